//! The list of valid Microsoft 365 users, as Exchange's `Get-EXOMailbox | Export-Csv` writes it (contract 6).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::canonical::{CanonicalError, lines, pairs};
use super::table::{Column, Fault, Row, RowError, Table};
use crate::export::trim;
use crate::mailbox::Mailbox;

const PRIMARY: &str = "PrimarySmtpAddress";
const USER: &str = "UserPrincipalName";
const ADDRESSES: &str = "EmailAddresses";

/// What PowerShell writes in place of a collection's elements begins with one of these.
const TYPE_NAMES: [&str; 3] = ["System.String[]", "System.Collections", "Microsoft.Exchange.Data"];

/// The only valid mailboxes: every address of each, and its primary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxList {
    primaries: HashMap<Box<str>, Mailbox>,
}

/// A list that was read, and what of it was passed over.
#[derive(Debug, Clone)]
pub struct ReadList {
    /// The list.
    pub list: MailboxList,
    /// How many further addresses are malformed (not ASCII, say) and so valid nowhere: worth a warning.
    pub skipped: u64,
}

/// The rows read so far.
#[derive(Default)]
struct Reading {
    primaries: HashMap<Box<str>, (Mailbox, u64)>,
    skipped: u64,
}

/// Where in the file a row says what.
struct Columns {
    primary: Column,
    user: Option<Column>,
    addresses: Option<Column>,
}

impl MailboxList {
    /// The list in one file's bytes; `file` is its name.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of lines; then none of the list counts.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<ReadList, Vec<RowError>> {
        let mut errors = Vec::new();
        let mut reading = Reading::default();
        if let Err(error) = reading.read_file(file, bytes, &mut errors) {
            errors.push(error);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let primaries = reading.primaries.into_iter().map(|(address, (primary, _))| (address, primary)).collect();
        Ok(ReadList { list: Self { primaries }, skipped: reading.skipped })
    }

    /// The primary address of the mailbox that has this address; `folded` is in lower case.
    pub fn resolve(&self, folded: &str) -> Option<&Mailbox> {
        self.primaries.get(folded)
    }

    /// How many addresses it knows, primary ones and others.
    pub fn len(&self) -> usize {
        self.primaries.len()
    }

    /// Whether it knows none; a list that was read from a file does.
    pub fn is_empty(&self) -> bool {
        self.primaries.is_empty()
    }

    /// How many mailboxes it has, each with one primary address.
    pub fn mailboxes(&self) -> usize {
        self.all().count()
    }

    /// Its mailboxes, each once, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Mailbox> {
        self.primaries.iter().filter(|(address, primary)| ***address == *primary.as_str()).map(|(_, primary)| primary)
    }

    /// The list as bytes that depend on nothing but what it says: sorted lines `address TAB primary LF`.
    pub fn canonical(&self) -> Vec<u8> {
        lines(self.primaries.iter().map(|(address, primary)| (&**address, primary.as_str())))
    }

    /// Reads what [`MailboxList::canonical`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        Ok(Self { primaries: pairs(bytes, |primary| Mailbox::parse(primary).ok())? })
    }
}

impl Reading {
    fn read_file(&mut self, file: &str, bytes: &[u8], errors: &mut Vec<RowError>) -> Result<(), RowError> {
        let table = Table::read(file, bytes, &[PRIMARY, USER, ADDRESSES])?;
        // A list without the primary column is one of users: their names stand in, if the list was made that way.
        let primary = table.required(&[PRIMARY, USER])?;
        let columns = Columns { primary, user: table.column(&[USER]), addresses: table.column(&[ADDRESSES]) };
        table.for_each(|row| errors.extend(self.read_row(row, &columns).err()))?;
        if self.primaries.is_empty() && errors.is_empty() {
            return Err(table.fault(1, Fault::NoMailbox));
        }
        Ok(())
    }

    fn read_row(&mut self, row: &Row<'_>, columns: &Columns) -> Result<(), RowError> {
        for column in [Some(columns.primary), columns.user, columns.addresses].into_iter().flatten() {
            if TYPE_NAMES.iter().any(|name| row.cell(column).starts_with(name)) {
                return Err(row.fault(column, Fault::Collection));
            }
        }
        let primary = Mailbox::parse(row.filled(columns.primary)?);
        let primary = primary.map_err(|error| row.fault(columns.primary, error))?;
        self.claim(row, columns.primary, primary.as_str(), &primary)?;
        if let Some(column) = columns.user {
            self.claim_further(row, column, row.cell(column), &primary)?;
        }
        let addresses = columns.addresses.map(|column| (column, row.cell(column)));
        for (column, address) in addresses.into_iter().flat_map(|(column, cell)| smtp(cell).map(move |a| (column, a))) {
            self.claim_further(row, column, address, &primary)?;
        }
        Ok(())
    }

    fn claim_further(
        &mut self,
        row: &Row<'_>,
        column: Column,
        address: &str,
        primary: &Mailbox,
    ) -> Result<(), RowError> {
        match Mailbox::parse(address) {
            Ok(address) => self.claim(row, column, address.as_str(), primary),
            Err(_) if address.is_empty() => Ok(()),
            Err(_) => {
                self.skipped += 1;
                Ok(())
            }
        }
    }

    fn claim(&mut self, row: &Row<'_>, column: Column, address: &str, primary: &Mailbox) -> Result<(), RowError> {
        match self.primaries.entry(address.into()) {
            Entry::Vacant(vacant) => {
                vacant.insert((primary.clone(), row.line));
                Ok(())
            }
            Entry::Occupied(first) if first.get().0 == *primary => Ok(()),
            Entry::Occupied(first) => Err(row.fault(column, Fault::OtherPrimary { line: first.get().1 })),
        }
    }
}

/// The addresses of the `smtp:` entries; others (SIP, X500, SPO) name no mail address.
fn smtp(cell: &str) -> impl Iterator<Item = &str> {
    let entries = cell.split(|c: char| c == ';' || c.is_whitespace()).map(trim);
    entries.filter_map(|entry| {
        let (prefix, address) = entry.split_once(':')?;
        prefix.eq_ignore_ascii_case("smtp").then_some(address)
    })
}

#[cfg(test)]
mod tests;
