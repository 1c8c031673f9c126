//! The list of valid Microsoft 365 users, as Exchange's `Get-EXOMailbox | Export-Csv` writes it (contract 6).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::canonical::{CanonicalError, lines, pairs};
use super::damage::{Damage, Warning};
use super::fault::{Column, Fault, RowError};
use super::table::{Row, Table};
use crate::export::trim;
use crate::mailbox::Mailbox;

const PRIMARY: &str = "PrimarySmtpAddress";
const USER: &str = "UserPrincipalName";
const ADDRESSES: &str = "EmailAddresses";
const NAME: &str = "DisplayName";

/// What PowerShell writes in place of a collection's elements begins with one of these.
const TYPE_NAMES: [&str; 3] = ["System.String[]", "System.Collections", "Microsoft.Exchange.Data"];

/// The only valid mailboxes: every address of each, and its primary one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxList {
    /// Of each address.
    primaries: HashMap<Mailbox, Mailbox>,
}

/// A list that was read, and what of it was passed over.
#[derive(Debug, Clone, Default)]
pub struct ReadList {
    /// The list.
    pub list: MailboxList,
    /// How many further addresses are malformed (not ASCII, say) and so valid nowhere: worth a warning.
    pub skipped: u64,
    /// The name beside each mailbox, where there is one. No part of the list: it decides nothing.
    pub names: HashMap<Mailbox, Box<str>>,
    /// Cells that look damaged. A primary one counts as it stands; of another kind, nothing of the cell does.
    pub warnings: Vec<Warning>,
    /// Whether its last row has no line end: it may have been cut off.
    pub is_open: bool,
}

/// The rows read so far.
#[derive(Default)]
struct Reading {
    list: MailboxList,
    /// Where each mailbox is first named, so that a contradiction can name both places.
    lines: FirstLines,
    skipped: u64,
    names: HashMap<Mailbox, Box<str>>,
    warnings: Vec<Warning>,
    is_open: bool,
}

/// The line on which each mailbox is first named. Nearly no list asks, so finding them is made ready where one does.
#[derive(Default)]
struct FirstLines {
    named: Vec<(Mailbox, u64)>,
    found: HashMap<Mailbox, u64>,
}

impl FirstLines {
    fn note(&mut self, mailbox: &Mailbox, line: u64) {
        self.named.push((mailbox.clone(), line));
    }

    fn of(&mut self, mailbox: &Mailbox) -> Option<u64> {
        for (mailbox, line) in self.named.drain(..) {
            self.found.entry(mailbox).or_insert(line);
        }
        self.found.get(mailbox).copied()
    }
}

/// Where in the file a row says what.
struct Columns {
    primary: Column,
    user: Option<Column>,
    addresses: Option<Column>,
    name: Option<Column>,
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
        let Reading { list, skipped, names, warnings, is_open, .. } = reading;
        Ok(ReadList { list, skipped, names, warnings, is_open })
    }

    /// The list in which each of these addresses leads to the mailbox beside it.
    pub(super) fn of(pairs: impl IntoIterator<Item = (Mailbox, Mailbox)>) -> Self {
        Self { primaries: pairs.into_iter().collect() }
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
        self.primaries().count()
    }

    /// The primary address of each mailbox, in no order.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &Mailbox> {
        self.addresses().filter(|(address, primary)| *address == primary.as_str()).map(|(_, primary)| primary)
    }

    /// Each address and the mailbox it leads to, in no order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        self.primaries.iter().map(|(address, primary)| (address.as_str(), primary))
    }

    /// The list as bytes that depend on nothing but what it says: sorted lines `address TAB primary LF`.
    pub fn canonical(&self) -> Vec<u8> {
        lines(self.addresses().map(|(address, primary)| (address, primary.as_str())))
    }

    /// Reads what [`MailboxList::canonical`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let mailbox = |address: &str| Mailbox::parse(address).ok().filter(|mailbox| mailbox.as_str() == address);
        Ok(Self { primaries: pairs(bytes, |address, primary| Some((mailbox(address)?, mailbox(primary)?)))? })
    }
}

impl Reading {
    fn read_file(&mut self, file: &str, bytes: &[u8], errors: &mut Vec<RowError>) -> Result<(), RowError> {
        let table = Table::read(file, bytes, &[PRIMARY, USER, ADDRESSES, NAME])?;
        // A list without the primary column is one of users: their names stand in, if the list was made that way.
        let primary = table.required(&[PRIMARY, USER])?;
        self.is_open = table.is_open();
        let column = |name| table.column(&[name]);
        let columns = Columns { primary, user: column(USER), addresses: column(ADDRESSES), name: column(NAME) };
        // A map that grows moves all that it has, again and again.
        let (rows, further) = (table.likely_rows(), usize::from(columns.addresses.is_some()));
        self.list.primaries.reserve(rows * (1 + further));
        self.names.reserve(if columns.name.is_some() { rows } else { 0 });
        table.for_each(|row| errors.extend(self.read_row(row, &columns).err()))?;
        if self.list.is_empty() && errors.is_empty() {
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
        self.claim(row, columns.primary, primary.clone(), &primary)?;
        self.lines.note(&primary, row.line);
        self.warn(row, columns);
        if let Some(name) = columns.name.map(|column| row.cell(column)).filter(|name| !name.is_empty()) {
            self.names.entry(primary.clone()).or_insert_with(|| name.into());
        }
        if let Some(column) = columns.user {
            self.claim_further(row, column, row.cell(column), &primary)?;
        }
        let addresses = columns.addresses.map(|column| (column, row.cell(column)));
        for (column, address) in addresses.into_iter().flat_map(|(column, cell)| smtp(cell).map(move |a| (column, a))) {
            self.claim_further(row, column, address, &primary)?;
        }
        Ok(())
    }

    fn warn(&mut self, row: &Row<'_>, columns: &Columns) {
        let user = columns.user.filter(|user| *user != columns.primary);
        for column in [Some(columns.primary), user].into_iter().flatten() {
            self.warnings.extend(Damage::of(row.cell(column)).map(|damage| row.warning(column, damage)));
        }
        let shown = columns.addresses.filter(|column| row.cell(*column).starts_with('{'));
        self.warnings.extend(shown.map(|column| row.warning(column, Damage::Shown)));
    }

    fn claim_further(
        &mut self,
        row: &Row<'_>,
        column: Column,
        address: &str,
        primary: &Mailbox,
    ) -> Result<(), RowError> {
        // Nearly every mailbox is named by its primary address once more, which is claimed already.
        if address.eq_ignore_ascii_case(primary.as_str()) {
            return Ok(());
        }
        match Mailbox::parse(address) {
            Ok(address) => self.claim(row, column, address, primary),
            Err(_) if address.is_empty() => Ok(()),
            Err(_) => {
                self.skipped += 1;
                Ok(())
            }
        }
    }

    fn claim(&mut self, row: &Row<'_>, column: Column, address: Mailbox, primary: &Mailbox) -> Result<(), RowError> {
        match self.list.primaries.entry(address) {
            Entry::Vacant(vacant) => {
                vacant.insert(primary.clone());
                Ok(())
            }
            Entry::Occupied(first) if first.get() == primary => Ok(()),
            Entry::Occupied(first) => {
                let line = self.lines.of(first.get()).unwrap_or(row.line);
                Err(row.fault(column, Fault::OtherPrimary { line }))
            }
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
