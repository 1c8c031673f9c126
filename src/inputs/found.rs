//! The operators' files as they stand, judged: what of them is good, and what is wrong with the rest, by file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::InputError;
use super::directory::{Asked, kept_directory};
use crate::cause::chain;
use crate::config::{Config, read_list};
use crate::durable::PathError;
use crate::export::{Email, ImId};
use crate::ledger::{Ledger, LedgerError};
use crate::resolve::mapping::OpenFile;
use crate::resolve::{MailboxList, Mapping, ReadList, RowError};

/// What operators drop, and what the tenant says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The CSV files of the mapping folder, as one set.
    Mapping,
    /// The list of valid mailboxes.
    List,
    /// The snapshot of the tenant's users.
    Directory,
}

impl Kind {
    /// As the ledger calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::List => "list",
            Self::Directory => "directory",
        }
    }

    /// As people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::List => "mailbox list",
            Self::Directory => "snapshot of the tenant's users",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Mapping => "mapping.directory",
            Self::List => "mailboxes.list",
            Self::Directory => "mailboxes.graph",
        }
    }
}

/// Why operators' files of one kind do not count.
#[derive(Debug)]
pub enum Rejected {
    /// They cannot be read.
    Unreadable(PathError),
    /// Bad rows, or files that are no tables; at least one.
    Rows(Vec<RowError>),
    /// A list with far fewer mailboxes than the one in force.
    Shrunk(Shrinkage),
    /// Files whose last row may have been cut off, in a set that is another than the one in force.
    Open(Vec<OpenEnd>),
}

/// A file whose last row has no line end. Cut off within its last cell, it would look the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: the last row has no line end, as in a file that was cut off; end it with a line break, or confirm the file as it is: \
     icechatd mapping accept"
)]
pub struct OpenEnd(pub String);

/// How far a list shrank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrinkage {
    /// Its name.
    pub file: String,
    /// Mailboxes of the list in force.
    pub before: usize,
    /// Mailboxes of the new one.
    pub after: usize,
}

impl fmt::Display for Shrinkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, before, after } = self;
        write!(
            f,
            "{file} names {after} mailboxes, the list in force {before}, which is a mistake more often than a fact; write \
             the list again, or confirm it as it is: icechatd mapping accept"
        )
    }
}

impl Rejected {
    /// Whether it may be good a moment later although no file changes.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// Everything that is wrong, a line each; no cell is quoted.
    pub fn lines(&self, kind: Kind) -> Vec<String> {
        match self {
            Self::Unreadable(error) => vec![format!("{} cannot be read: {}", kind.key(), chain(error))],
            Self::Rows(errors) => errors.iter().map(|error| chain(error)).collect(),
            Self::Shrunk(shrinkage) => vec![shrinkage.to_string()],
            Self::Open(files) => files.iter().map(OpenEnd::to_string).collect(),
        }
    }

    /// What is wrong with each file of `folder` that is there, a line each.
    pub fn by_file(&self, folder: &Path) -> BTreeMap<String, Vec<String>> {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        match self {
            Self::Unreadable(PathError { path, source }) => {
                let is_there = path.parent() == Some(folder) && source.kind() != std::io::ErrorKind::NotFound;
                if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| is_there) {
                    files.insert(name.to_owned(), vec![format!("it cannot be read: {source}")]);
                }
            }
            Self::Rows(errors) => {
                for error in errors {
                    files.entry(error.file.clone()).or_default().push(place(error));
                }
            }
            Self::Shrunk(shrinkage) => {
                files.insert(shrinkage.file.clone(), vec![shrinkage.to_string()]);
            }
            Self::Open(open) => files.extend(open.iter().map(|open| (open.0.clone(), vec![open.to_string()]))),
        }
        files
    }

    /// The same for who cannot go on without a good one.
    pub(super) fn into_error(self, kind: Kind) -> InputError {
        match self {
            Self::Unreadable(source) => InputError::File { key: kind.key(), source },
            Self::Shrunk(shrinkage) => InputError::Shrunk(shrinkage),
            Self::Open(files) => InputError::Open { kind, files },
            Self::Rows(rows) => {
                let errors = rows.len();
                match (kind, rows.into_iter().next()) {
                    (Kind::Mapping, Some(first)) => InputError::Mapping { errors, first },
                    (_, Some(first)) => InputError::List { errors, first },
                    (_, None) => {
                        LedgerError::Damaged(format!("a {} was rejected without a reason", kind.words())).into()
                    }
                }
            }
        }
    }
}

/// Where in its file a row is wrong, and why.
fn place(error: &RowError) -> String {
    let column =
        error.column.map_or_else(String::new, |column| format!(", column {} ({})", column.number, column.name));
    format!("line {}{column}: {}", error.line, chain(&error.fault))
}

/// A good set, and what of it looks odd all the same, a line each.
#[derive(Debug)]
pub struct Read<T> {
    /// The set.
    pub set: Arc<T>,
    /// What counts, and should be looked at.
    pub warnings: Vec<String>,
}

// Derived, it would ask the same of the set.
impl<T> Clone for Read<T> {
    fn clone(&self) -> Self {
        Self { set: Arc::clone(&self.set), warnings: self.warnings.clone() }
    }
}

/// The operators' files as they stand.
#[derive(Debug)]
pub struct Found {
    /// The mapping folder's.
    pub mapping: Result<Read<Mapping>, Rejected>,
    /// The mailbox list, where one is configured.
    pub list: Option<Result<Read<MailboxList>, Rejected>>,
}

/// What of them may come into force.
#[derive(Debug, Clone, Default)]
pub struct Good {
    /// A mapping.
    pub mapping: Option<Read<Mapping>>,
    /// A list.
    pub list: Option<Read<MailboxList>>,
    /// What came of asking the tenant, good or not.
    pub tenant: Option<Asked>,
}

impl Found {
    /// What of them is good.
    pub fn good(&self) -> Good {
        let list = self.list.as_ref().and_then(|list| list.as_ref().ok());
        Good { mapping: self.mapping.as_ref().ok().cloned(), list: list.cloned(), tenant: None }
    }

    /// What is wrong with them, if anything; nothing is with a list that is not configured.
    pub fn faults(&self) -> [(Kind, Option<&Rejected>); 2] {
        let list = self.list.as_ref().and_then(|list| list.as_ref().err());
        [(Kind::Mapping, self.mapping.as_ref().err()), (Kind::List, list)]
    }
}

/// Reads and judges the operators' files. If a ledger is given, they are measured against what is in force: a list that
/// shrank, or a set that was perhaps cut off, waits for a person.
///
/// # Errors
/// Where the ledger cannot be read; what is wrong with the files is part of the result.
pub fn find(config: &Config, ledger: Option<&Ledger>) -> Result<Found, InputError> {
    let mapping = ledger.map(kept_mapping).transpose()?.flatten();
    let list = match &config.mailboxes.list {
        None => None,
        Some(path) => {
            let kept = ledger.map(kept_list).transpose()?.flatten();
            Some(read_mailboxes(path, kept.as_deref()))
        }
    };
    Ok(Found { mapping: read_mapping(config, mapping.as_deref()), list })
}

fn read_mapping(config: &Config, kept: Option<&Mapping>) -> Result<Read<Mapping>, Rejected> {
    let files = config.mapping.read_files().map_err(Rejected::Unreadable)?;
    let read = Mapping::parse(&files).map_err(Rejected::Rows)?;
    let adds = |file: &&OpenFile| kept.is_none_or(|kept| !kept.has_all_of(file, &read.mapping));
    let open = read.open.iter().filter(adds).map(|file| OpenEnd(file.name.clone())).collect();
    let warnings = read.warnings.iter().map(|warning| chain(warning)).collect();
    whole(kept, Read { set: Arc::new(read.mapping), warnings }, open)
}

/// The set, unless it is another than the one in force and may have been cut off.
fn whole<T: PartialEq>(kept: Option<&T>, read: Read<T>, open: Vec<OpenEnd>) -> Result<Read<T>, Rejected> {
    let is_new = kept.is_some_and(|kept| *kept != *read.set);
    if is_new && !open.is_empty() { Err(Rejected::Open(open)) } else { Ok(read) }
}

fn read_mailboxes(path: &Path, kept: Option<&MailboxList>) -> Result<Read<MailboxList>, Rejected> {
    let bytes = read_list(path).map_err(Rejected::Unreadable)?;
    let name = file_name(path);
    let read = MailboxList::parse(&name, &bytes).map_err(Rejected::Rows)?;
    if let Some(kept) = kept.filter(|kept| kept.shrinks_to(&read.list)) {
        let (before, after) = (kept.mailboxes(), read.list.mailboxes());
        return Err(Rejected::Shrunk(Shrinkage { file: name, before, after }));
    }
    let open = read.is_open.then_some(OpenEnd(name)).into_iter().collect();
    let skipped = (read.skipped > 0).then(|| format!("{} addresses are malformed, and valid nowhere", read.skipped));
    let warnings = skipped.into_iter().chain(read.warnings.iter().map(|warning| chain(warning)));
    whole(kept, Read { warnings: warnings.collect(), set: Arc::new(read.list) }, open)
}

/// The mailbox list as it stands, with the names beside its addresses; where it is no good, the one in force, which keeps
/// no names, as the tenant's users do not.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn list_with_names(config: &Config, ledger: &Ledger) -> Result<Option<ReadList>, InputError> {
    let nameless = |list| ReadList { list, names: HashMap::new(), skipped: 0, warnings: Vec::new(), is_open: false };
    let Some(path) = &config.mailboxes.list else {
        let directory = if config.mailboxes.graph.is_some() { kept_directory(ledger)? } else { None };
        return Ok(directory.map(|directory| nameless((*directory.mailboxes).clone())));
    };
    let standing = read_list(path).ok().and_then(|bytes| MailboxList::parse(&file_name(path), &bytes).ok());
    if standing.is_some() {
        return Ok(standing);
    }
    let in_force = kept_list(ledger)?.map(Arc::unwrap_or_clone);
    Ok(in_force.map(nameless))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The mapping in force.
pub(super) fn kept_mapping(ledger: &Ledger) -> Result<Option<Arc<Mapping>>, InputError> {
    let kept = ledger.in_force(Kind::Mapping.as_str())?;
    Ok(kept.map(|bytes| Mapping::from_canonical(&bytes).map(Arc::new)).transpose()?)
}

/// The mailbox list in force.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn kept_list(ledger: &Ledger) -> Result<Option<Arc<MailboxList>>, InputError> {
    let kept = ledger.in_force(Kind::List.as_str())?;
    Ok(kept.map(|bytes| MailboxList::from_canonical(&bytes).map(Arc::new)).transpose()?)
}

/// The e-mail that exports gave for each `ImId` (folded) last.
pub(super) fn known_emails(ledger: &Ledger) -> Result<HashMap<String, Email>, InputError> {
    let pairs = ledger.known_emails()?;
    let read = |(im_id, email): (String, String)| Some((ImId::new(&im_id)?.folded().to_owned(), Email::new(&email)?));
    Ok(pairs.into_iter().filter_map(read).collect())
}
