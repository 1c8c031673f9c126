//! The tenant's users, asked and judged as operators' files are: what of their answer may count, and what is wrong with it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};

use super::InputError;
use super::found::Kind;
use crate::cause::chain;
use crate::config::Config;
use crate::directory::{self, DirectoryError, Judged, Users};
use crate::events;
use crate::ledger::{DirectoryState, Ledger, LedgerError};
use crate::resolve::{Directory, shrinks};

/// What a tenant without any is taken for a mistake, whoever confirms it.
const MAILBOXES: &str = "users with a mailbox";
/// How many claims are said one by one; the ledger keeps all.
const SAID: usize = 20;

/// The tenant's users as it said them.
#[derive(Debug)]
pub struct Snapshot {
    /// Whom they were asked of, and for what.
    source: String,
    /// All of them.
    pub users: Users,
    /// Who has a mailbox.
    pub judged: Judged,
    /// The same for a rule set.
    pub set: Arc<Directory>,
}

/// What came of asking the tenant.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A snapshot that may count.
    Good(Arc<Snapshot>),
    /// One that does not count unless a person says so.
    Rejected(Arc<Snapshot>, Dwindled),
    /// No answer, but a person confirms what the tenant said last.
    Confirmed(Arc<Snapshot>, Arc<DirectoryError>),
    /// No answer.
    Failed(Arc<DirectoryError>),
}

impl Asked {
    /// What may count, if anything.
    pub fn good(&self) -> Option<&Arc<Snapshot>> {
        match self {
            Self::Good(snapshot) | Self::Confirmed(snapshot, _) => Some(snapshot),
            Self::Rejected(..) | Self::Failed(_) => None,
        }
    }
}

/// How far what the tenant says became less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dwindled {
    /// What there is less of.
    pub what: &'static str,
    /// How many the snapshot in force has.
    pub before: usize,
    /// How many the new one has.
    pub after: usize,
}

impl fmt::Display for Dwindled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, before, after } = self;
        write!(
            f,
            "the tenant has {after} {what}, the snapshot in force {before}, which is a mistake more often than a fact; look at \
             the app's permissions, at licences and at mailboxes.graph.im_id_attribute"
        )?;
        // Nobody has meant that.
        if *after > 0 || *what != MAILBOXES {
            f.write_str(", or confirm it as it is: icechatd mapping accept")
        } else {
            Ok(())
        }
    }
}

impl Snapshot {
    fn of(source: String, users: Users) -> Self {
        let judged = users.judge();
        let set = Arc::new(judged.read.directory.clone());
        Self { source, users, judged, set }
    }

    fn dwindled(&self, kept: Option<&Directory>) -> Option<Dwindled> {
        let counts = |set: &Directory| (set.mailboxes.mailboxes(), set.im_ids.len());
        let (mailboxes, im_ids) = counts(&self.set);
        let (mailboxes_before, im_ids_before) = kept.map_or((0, 0), counts);
        if mailboxes == 0 || shrinks(mailboxes_before, mailboxes) {
            return Some(Dwindled { what: MAILBOXES, before: mailboxes_before, after: mailboxes });
        }
        shrinks(im_ids_before, im_ids).then_some(Dwindled { what: "ImIds", before: im_ids_before, after: im_ids })
    }
}

/// Asks the tenant, where it is to be asked; a snapshot is measured against the one in force, unless a person confirms it: then
/// only one without any mailbox does not count. It may take minutes. Nothing is written.
///
/// # Errors
/// Where the ledger cannot be read; that the tenant does not answer is part of the result.
pub fn ask_tenant(config: &Config, ledger: &Ledger, measured: bool) -> Result<Option<Asked>, InputError> {
    let (Some(settings), Some(entra)) = (&config.mailboxes.graph, &config.entra) else { return Ok(None) };
    let source = directory::source(entra, settings);
    let known = known(ledger, &source)?;
    let users = match directory::refresh(entra, settings, known) {
        Ok(users) => users,
        Err(error) => return Ok(Some(Asked::Failed(Arc::new(error)))),
    };
    let snapshot = Snapshot::of(source, users);
    let kept = if measured { kept_directory(ledger)? } else { None };
    let dwindled = snapshot.dwindled(kept.as_deref());
    let snapshot = Arc::new(snapshot);
    Ok(Some(dwindled.map_or(Asked::Good(Arc::clone(&snapshot)), |dwindled| Asked::Rejected(snapshot, dwindled))))
}

/// The tenant's users as a person confirms them: as it says them now, or, where it does not answer, as it said them last. They
/// are measured as ever where no answer of the tenant was rejected: then it is something else that the person confirms.
///
/// # Errors
/// As [`ask_tenant`].
pub fn confirm_tenant(config: &Config, ledger: &Ledger) -> Result<Option<Asked>, InputError> {
    let rejections = ledger.open_rejections()?;
    let is_meant = rejections.iter().any(|rejection| rejection.kind == Kind::Directory.as_str());
    Ok(match ask_tenant(config, ledger, !is_meant)? {
        Some(Asked::Failed(error)) => Some(match kept_users(config, ledger)? {
            Some(snapshot) => Asked::Confirmed(Arc::new(snapshot), error),
            None => Asked::Failed(error),
        }),
        asked => asked,
    })
}

/// What was kept and cannot be read is asked for anew.
fn known(ledger: &Ledger, source: &str) -> Result<Option<Users>, LedgerError> {
    let known = ledger.directory(source)?;
    Ok(known.and_then(|DirectoryState { users, link, .. }| Users::from_bytes(&users, link)))
}

/// The tenant's users as it said them last, in force or not; none where it never did.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn kept_users(config: &Config, ledger: &Ledger) -> Result<Option<Snapshot>, InputError> {
    let (Some(settings), Some(entra)) = (&config.mailboxes.graph, &config.entra) else { return Ok(None) };
    let source = directory::source(entra, settings);
    Ok(known(ledger, &source)?.map(|users| Snapshot::of(source, users)))
}

/// The snapshot in force.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn kept_directory(ledger: &Ledger) -> Result<Option<Arc<Directory>>, InputError> {
    let kept = ledger.in_force(Kind::Directory.as_str())?;
    Ok(kept.map(|bytes| Directory::from_canonical(&bytes).map(Arc::new)).transpose()?)
}

/// The snapshot that a run goes by: the new one if it is good, else the one in force. None where the tenant is not asked,
/// or there is none and a list says who is valid.
///
/// # Errors
/// Where there is none, and nobody else says who is valid.
pub(super) fn directory_or_kept(
    config: &Config,
    ledger: &Ledger,
    asked: Option<&Asked>,
) -> Result<Option<Arc<Directory>>, InputError> {
    if config.mailboxes.graph.is_none() {
        return Ok(None);
    }
    if let Some(snapshot) = asked.and_then(Asked::good) {
        return Ok(Some(Arc::clone(&snapshot.set)));
    }
    let kept = kept_directory(ledger)?;
    if kept.is_some() || config.mailboxes.list.is_some() {
        return Ok(kept);
    }
    Err(match asked {
        Some(Asked::Failed(error)) => InputError::Tenant(Arc::clone(error)),
        Some(Asked::Rejected(_, dwindled)) => InputError::Dwindled(*dwindled),
        _ => InputError::NoDirectory,
    })
}

/// What is wrong with what came of asking, loudly, because the run goes on.
pub fn say_tenant(asked: &Asked) {
    const STAYS: &str = "the last good snapshot (if any) stays in force";
    match asked {
        Asked::Good(_) | Asked::Confirmed(..) => {}
        Asked::Rejected(_, dwindled) => {
            warn!(message_id = events::RULES_REJECTED, "the tenant's users are rejected, {STAYS}: {dwindled}");
        }
        Asked::Failed(error) => {
            let why = chain(error.as_ref());
            warn!(message_id = events::DIRECTORY_FAILED, "the tenant's users could not be read anew, {STAYS}: {why}");
        }
    }
}

/// Records what came of asking: what was said, or why nothing was, and what is wrong with it.
pub(super) fn record(config: &Config, ledger: &Ledger, asked: &Asked, now: Timestamp) -> Result<(), LedgerError> {
    let kind = Kind::Directory.as_str();
    match asked {
        Asked::Failed(error) | Asked::Confirmed(_, error) => {
            if let (Some(settings), Some(entra)) = (&config.mailboxes.graph, &config.entra) {
                ledger.note_directory_failed(&directory::source(entra, settings), &chain(error.as_ref()), now)?;
            }
        }
        Asked::Good(snapshot) | Asked::Rejected(snapshot, _) => keep(ledger, snapshot, now)?,
    }
    if let Asked::Rejected(_, dwindled) = asked {
        ledger.note_rejected(kind, &[dwindled.to_string()], now)?;
    } else if asked.good().is_some() && ledger.note_mended(kind, now)? {
        info!("the tenant's users are no longer rejected");
    }
    Ok(())
}

/// What several users claim is said when it is new.
fn keep(ledger: &Ledger, snapshot: &Snapshot, now: Timestamp) -> Result<(), LedgerError> {
    let contested = snapshot.judged.contested();
    let before = ledger.directory_standing()?.map(|standing| standing.contested).unwrap_or_default();
    for line in contested.iter().filter(|line| !before.contains(line)).take(SAID) {
        warn!("{line}; it counts for none of them");
    }
    let state = DirectoryState {
        source: snapshot.source.clone(),
        users: snapshot.users.to_bytes(),
        link: snapshot.users.link.clone(),
        contested,
    };
    ledger.keep_directory(&state, now)
}
