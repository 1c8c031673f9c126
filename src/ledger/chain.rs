//! The chain: for each change of consequence a link that says who did what, when and why, bound to the link before it.
//!
//! A link's hash is the SHA-256 of the hash before it (64 hexadecimal digits; zeros before the first), a line feed and the
//! link's line. So nothing in it can be altered, removed, put in or moved without changing every hash after it, and
//! whoever noted one hash elsewhere can tell. docs/evidence.md has the rule in words that need no Rust.
//!
//! What a link says stands in the other tables as well, and is read from them: a link cannot say anything else than what was
//! recorded, and the two can be compared at any time.

mod check;
mod deeds;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;

pub use self::check::ChainCheck;
pub(super) use self::deeds::Source;
use super::questions::timestamp;
use super::{Ledger, LedgerError, invoked_by};
use crate::books::Books;
use crate::digest::Sha256;

/// A change of consequence.
#[derive(Debug, Clone, Serialize)]
pub struct Deed {
    /// When, to the second.
    pub at: Timestamp,
    /// Who had it done.
    pub by: String,
    /// The run that did it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What, and why.
    #[serde(flatten)]
    pub what: What,
}

/// What was done. Digests are hexadecimal; what is not known of changes from before there was a chain is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The chain began.
    Founded {
        /// The program's version.
        program: String,
        /// How many links come next that tell of what was done before: what the ledger knew of it by then.
        before: usize,
    },
    /// A file came, from the site or by hand, and its original was kept.
    Received {
        /// As it was named.
        name: String,
        /// Of its bytes.
        sha256: String,
        /// How many.
        bytes: u64,
    },
    /// Items of an export were placed, or accounted for otherwise: the manifest says each of them.
    Commit {
        /// `ingest` or `replay`.
        verb: String,
        /// The export.
        name: String,
        /// Of the export's bytes.
        sha256: String,
        /// The manifest's file name.
        manifest: String,
        /// Of the manifest's file: what stands for all that is in it.
        manifest_sha256: String,
        /// How many lines it has, without the first.
        entries: u64,
        /// The rule set by which it was placed.
        rules: String,
        /// The profile by which it was read.
        profile: String,
        /// What else shaped it.
        #[serde(skip_serializing_if = "Option::is_none")]
        shape: Option<String>,
        /// The day that the export says it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        date: Option<String>,
        /// The firm that it says it is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        firm: Option<String>,
        /// The signer's certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        signed_by: Option<String>,
        /// The books.
        #[serde(skip_serializing_if = "Option::is_none")]
        books: Option<Books>,
    },
    /// A file was read as an archive of attachments, or as control totals.
    Archive {
        /// As it was named.
        name: String,
        /// Of its bytes.
        sha256: String,
        /// How many files are in it.
        entries: u64,
        /// Of their names, digests and lengths.
        entries_sha256: String,
        /// How many in it are none.
        refused: u64,
    },
    /// A mapping, a mailbox list or a snapshot of the tenant's users came into force.
    InForce {
        /// Which of them.
        set: String,
        /// Of what it says.
        digest: String,
        /// How many entries it has, and how they differ from those before.
        entries: u64,
        /// Entries that are new.
        added: u64,
        /// Entries that are gone.
        removed: u64,
        /// Entries that say something else.
        changed: u64,
    },
    /// A person decided that something held needs nothing more.
    Dismissal {
        /// `file`, `item` or `record`.
        matter: String,
        /// The file or export.
        name: String,
        /// Of its bytes.
        sha256: String,
        /// The item's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        item: Option<String>,
        /// The item's time, Unix seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<i64>,
        /// The record's place in the export, from 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        n: Option<u64>,
        /// Why.
        reason: String,
    },
    /// A person had something put into staging once more.
    Restage {
        /// What was asked for.
        asked: serde_json::Value,
        /// Why.
        reason: String,
    },
    /// Retention removed an original that nothing needed any more.
    Retention {
        /// As the file was named.
        name: String,
        /// Of its bytes.
        sha256: String,
    },
    /// The certificates in use are others than before.
    Keys {
        /// Their fingerprints, sorted.
        certificates: Vec<String>,
    },
}

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place, from 1.
    pub seq: u64,
    /// What it says: a JSON object on one line.
    pub line: String,
    /// Of the hash before, and the line.
    pub hash: Sha256,
}

/// A link's line: its place comes first, so that it cannot stand at another one.
#[derive(Serialize)]
struct Line<'a> {
    link: u64,
    #[serde(flatten)]
    deed: &'a Deed,
}

const BEFORE_THE_FIRST: Sha256 = Sha256([0; 32]);

/// The hash of a link.
fn hash(before: &str, line: &str) -> Sha256 {
    Sha256::of(format!("{before}\n{line}").as_bytes())
}

impl Ledger {
    /// A transaction that may write from its start on: one that read first could not go on beside another's commit, and two
    /// links never follow the same one.
    pub(super) fn writing(&self) -> Result<Transaction<'_>, LedgerError> {
        Ok(Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?)
    }

    /// The newest link; none where nothing was done yet.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn chain_head(&self) -> Result<Option<Link>, LedgerError> {
        last(&self.connection)
    }

    /// The newest link that tells of this run.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_link_of(&self, run: &str) -> Result<Option<Link>, LedgerError> {
        let sql = "SELECT seq, line, hash FROM chain WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([run], link).optional()?)
    }

    /// Shows each link, the oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read, and those of the visitor.
    pub fn each_link<E: From<LedgerError>>(&self, mut visit: impl FnMut(Link) -> Result<(), E>) -> Result<(), E> {
        let sql = "SELECT seq, line, hash FROM chain ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql).map_err(LedgerError::from)?;
        let rows = statement.query_map([], link).map_err(LedgerError::from)?;
        for row in rows {
            visit(row.map_err(LedgerError::from)?)?;
        }
        Ok(())
    }
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { seq: row.get(0)?, line: row.get(1)?, hash: Sha256(row.get(2)?) })
}

fn last(connection: &Connection) -> Result<Option<Link>, LedgerError> {
    let sql = "SELECT seq, line, hash FROM main.chain ORDER BY seq DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], link).optional()?)
}

/// Adds the links of what the transaction has just recorded: in it, so that neither is there without the other.
pub(super) fn append(transaction: &Transaction<'_>, source: Source, row: i64) -> Result<(), LedgerError> {
    source.deeds(transaction, Some(row))?.iter().try_for_each(|deed| append_deed(transaction, deed))
}

/// Adds a link.
pub(super) fn append_deed(connection: &Connection, deed: &Deed) -> Result<(), LedgerError> {
    let (seq, before) = last(connection)?.map_or((1, BEFORE_THE_FIRST), |last| (last.seq + 1, last.hash));
    let before = before.to_string();
    let line = serde_json::to_string(&Line { link: seq, deed });
    let line = line.map_err(|_| LedgerError::Damaged("a change cannot be written as JSON".to_owned()))?;
    connection.prepare_cached("INSERT INTO main.chain (seq, line, hash) VALUES (?1, ?2, ?3)")?.execute(params![
        seq,
        line,
        hash(&before, &line).0
    ])?;
    Ok(())
}

/// Begins the chain of a ledger that has been without one: with all that it knows was done. That it began is the first link,
/// so that a chain which was taken away and begun anew shows when.
pub(super) fn found(connection: &Connection) -> Result<(), LedgerError> {
    let mut deeds = deeds::all(connection)?;
    let certificates = keys_in_use(connection)?;
    if !certificates.is_empty() {
        let seen = connection.query_row("SELECT max(seen) FROM certificates", [], |row| row.get(0))?;
        let what = What::Keys { certificates };
        deeds.push(Deed { at: timestamp(seen), by: String::new(), run: None, what });
    }
    let what = What::Founded { program: crate::VERSION.to_owned(), before: deeds.len() };
    let at = timestamp(Timestamp::now().as_second());
    append_deed(connection, &Deed { at, by: invoked_by(), run: None, what })?;
    deeds.iter().try_for_each(|deed| append_deed(connection, deed))
}

/// The fingerprints of the certificates in use, sorted.
pub(super) fn keys_in_use(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    let mut statement = connection.prepare_cached("SELECT fingerprint FROM certificates ORDER BY fingerprint")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
