//! The operators' mapping: which `ImId` is whose mailbox (contract 6).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::canonical::{CanonicalError, lines, pairs};
use super::table::{Fault, Row, RowError, Table};
use crate::export::ImId;
use crate::mailbox::{Mailbox, MailboxError};

/// An example that parses, for `mapping template` and the `mapping` folder.
pub const TEMPLATE: &str = include_str!("../../mapping/example.csv");

const IM_ID: &str = "ImId";
/// In order of preference where a file has several.
const MAILBOX: [&str; 4] = ["Mailbox", "PrimarySmtpAddress", "UserPrincipalName", "Microsoft 365 mailbox"];
const NAMES: [&str; 5] = [IM_ID, MAILBOX[0], MAILBOX[1], MAILBOX[2], MAILBOX[3]];
/// The word that stands in place of a mailbox for someone who is known not to be ours; no address can equal it.
const EXTERNAL: &str = "external";

/// What an `ImId` is mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A mailbox, not necessarily a valid one.
    Mailbox(Mailbox),
    /// Nobody of ours.
    External,
}

impl Target {
    fn parse(text: &str) -> Result<Self, MailboxError> {
        if text.eq_ignore_ascii_case(EXTERNAL) { Ok(Self::External) } else { Mailbox::parse(text).map(Self::Mailbox) }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Mailbox(mailbox) => mailbox.as_str(),
            Self::External => EXTERNAL,
        }
    }
}

/// One whole, good set of mapping files. Whether its mailboxes are valid users is not its business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    targets: HashMap<Box<str>, Target>,
}

/// Where the set first names an `ImId`, so that a contradiction can name both places.
struct Place<'a> {
    target: Target,
    file: &'a str,
    line: u64,
}

type Places<'a> = HashMap<Box<str>, Place<'a>>;

impl Mapping {
    /// The mapping that named files make together; no file makes an empty one.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of files and lines; then none of the set counts.
    pub fn parse(files: &[(String, Vec<u8>)]) -> Result<Self, Vec<RowError>> {
        let mut places = Places::new();
        let mut errors = Vec::new();
        for (file, bytes) in files {
            if let Err(error) = read_file(file, bytes, &mut places, &mut errors) {
                errors.push(error);
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { targets: places.into_iter().map(|(im_id, place)| (im_id, place.target)).collect() })
    }

    /// What `im_id` is mapped to.
    pub fn get(&self, im_id: &ImId) -> Option<&Target> {
        self.targets.get(im_id.folded())
    }

    /// The mailboxes it names, in no order and as often as it does.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.targets.values().filter_map(|target| match target {
            Target::Mailbox(mailbox) => Some(mailbox),
            Target::External => None,
        })
    }

    /// How many `ImId`s it maps.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether it maps none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The set as bytes that depend on nothing but what it says: sorted lines `imid TAB target LF`, folded.
    pub fn canonical(&self) -> Vec<u8> {
        lines(self.targets.iter().map(|(im_id, target)| (&**im_id, target.as_str())))
    }

    /// Reads what [`Mapping::canonical`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, CanonicalError> {
        Ok(Self { targets: pairs(bytes, |target| Target::parse(target).ok())? })
    }
}

fn read_file<'a>(
    file: &'a str,
    bytes: &[u8],
    places: &mut Places<'a>,
    errors: &mut Vec<RowError>,
) -> Result<(), RowError> {
    let table = Table::read(file, bytes, &NAMES)?;
    let im_id = table.required(&[IM_ID])?;
    let mailbox = table.required(&MAILBOX)?;
    table.for_each(|row| {
        let read = || {
            let target = Target::parse(row.filled(mailbox)?).map_err(|error| row.fault(mailbox, error))?;
            Ok((row_im_id(row, im_id)?, target))
        };
        match read() {
            Ok((key, target)) => {
                let place = Place { target, file, line: row.line };
                errors.extend(add(places, key, place).map(|fault| row.fault(im_id, fault)));
            }
            Err(error) => errors.push(error),
        }
    })
}

fn row_im_id(row: &Row<'_>, column: super::table::Column) -> Result<Box<str>, RowError> {
    let cell = row.filled(column)?;
    if cell.contains(char::is_control) {
        return Err(row.fault(column, Fault::ControlCharacter));
    }
    let im_id = ImId::new(cell).ok_or_else(|| row.fault(column, Fault::MissingCell))?;
    Ok(im_id.folded().into())
}

/// Adds a row; the same again is fine, another target for the same `ImId` is a contradiction.
fn add<'a>(places: &mut Places<'a>, im_id: Box<str>, place: Place<'a>) -> Option<Fault> {
    match places.entry(im_id) {
        Entry::Vacant(vacant) => {
            vacant.insert(place);
            None
        }
        Entry::Occupied(first) => {
            let first = first.get();
            let differs = first.target != place.target;
            differs.then(|| Fault::OtherMailbox { file: first.file.to_owned(), line: first.line })
        }
    }
}

#[cfg(test)]
mod tests;
