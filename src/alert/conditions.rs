//! What is the matter, derived from plain values: the ledger's circumstances, the schedule, the time. No alert is decided
//! anywhere else.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::days;
use super::kind::Kind;
use crate::config::Schedule;
use crate::ledger::{
    Astray, Certificate, CertificateKind, Circumstances, Concern, DirectoryStanding, Export, FailedReplay, LastAtSite,
    Rejection, RunTrouble, Trouble, UnplacedPerson,
};
use crate::schedule;

/// How long what happened once is told, unless it is acknowledged.
pub(super) const EVENT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long an element that no profile names is told after the last export that held it.
pub(super) const UNKNOWN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long ahead a certificate's end is told.
const EXPIRY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What the ledger says of a run that did not start for want of room.
const NO_ROOM: &str = RunTrouble::NoRoom.as_str();
/// Of words that come from outside, in characters.
const LONGEST: usize = 300;

/// Something that is the matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// What.
    pub kind: Kind,
    /// Which, among those of its kind.
    pub subject: String,
    /// What and where, on one line.
    pub words: String,
}

/// All that is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the ledger knows.
    pub circumstances: &'a Circumstances,
    /// Days whose export is missing past its deadline.
    pub missing: &'a [Date],
    /// Which days have an export, and when it is late.
    pub schedule: &'a Schedule,
    /// Whose exports they should be.
    pub firm_code: &'a str,
    /// How old what the tenant said of its users may be; none where it is not asked.
    pub max_age: Option<SignedDuration>,
}

/// Everything that is the matter now, each kind and subject once, the most urgent first.
pub fn conditions(facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let known = facts.circumstances;
    let mut found = Vec::new();
    let last_run = known.last_run.as_ref().and_then(|run| of_last_run(run, facts.schedule, now));
    let is_told = |day: &&Date| match (&last_run, &known.last_run) {
        (Some(told), Some(run)) if told.kind == Kind::SiteUnreachable => is_within(run, **day, facts.schedule),
        _ => false,
    };
    found.extend(facts.missing.iter().filter(|day| !is_told(day)).map(|day| of_missing(*day)));
    found.extend(last_run);
    found.extend(known.failed_replay.iter().map(of_failed_replay));
    found.extend(known.held_files.iter().map(|file| of_trouble(Kind::FileHeld, file, "is held")));
    found.extend(known.failed_replays.iter().map(|file| of_trouble(Kind::FailedReplay, file, "could not be replayed")));
    found.extend(known.exports.iter().flat_map(of_what_it_holds_back));
    found.extend(known.missing_attachments.iter().map(|export| {
        let what = if export.count == 1 { "attachment is" } else { "attachments are" };
        of_astray(Kind::AttachmentMissing, export, &format!("{what} missing"))
    }));
    found.extend(known.orphans.iter().map(|archive| {
        let what = if archive.count == 1 { "entry is" } else { "entries are" };
        of_astray(Kind::AttachmentOrphan, archive, &format!("{what} in no mail"))
    }));
    found.extend(known.unresolved.iter().map(of_unresolved));
    found.extend(days::conditions(&known.exports, facts.schedule, now));
    found.extend(of_other_firms(&known.exports, facts.firm_code, now));
    found.extend(known.exports.iter().filter(|export| is_recent(export, now)).filter_map(of_changed));
    found.extend(known.strangers.iter().map(|name| {
        condition(Kind::UnexpectedName, name, format!("{name} at the site matches no pattern of site.files"))
    }));
    found.extend(known.unknown.iter().map(|unknown| {
        let (path, count, exports, newest) = (&unknown.path, unknown.count, unknown.exports, &unknown.newest);
        let words = format!("{path}: {count} times in {exports} export(s) of the last 7 days, the newest {newest}");
        condition(Kind::UnknownElements, path, words)
    }));
    found.extend(known.rejections.iter().filter_map(of_rejection));
    found.extend(known.concerns.iter().flat_map(of_version));
    found.extend(expiring(&known.certificates, now));
    found.extend(known.directory.iter().zip(facts.max_age).flat_map(|(users, age)| of_directory(users, age, now)));
    found.extend(known.undelivered.iter().map(|dead| {
        let channel = dead.channel.as_str();
        let words = format!("{channel}: {} message(s) given up, the last because of: {}", dead.notices, dead.error);
        condition(Kind::NotDelivered, channel, words)
    }));
    each_once(found)
}

/// Names repeat, and people are named in several ways; of what has one subject, the first is told.
fn each_once(found: Vec<Condition>) -> Vec<Condition> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<Condition> =
        found.into_iter().filter(|one| seen.insert((one.kind, one.subject.clone()))).collect();
    kept.sort_by_key(|one| (one.kind.severity(), one.kind));
    kept
}

/// A condition in words that keep to one line, whatever names from outside hold.
pub(super) fn condition(kind: Kind, subject: &str, words: impl AsRef<str>) -> Condition {
    Condition { kind, subject: tame(subject), words: tame(words.as_ref()) }
}

fn tame(text: &str) -> String {
    let mut line: String =
        text.chars().take(LONGEST).map(|letter| if is_wild(letter) { '\u{fffd}' } else { letter }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// Controls, and what turns the direction of the text after it (UAX #9).
fn is_wild(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether something happened so lately that it is still told.
pub(super) fn is_recent(export: &Export, now: Timestamp) -> bool {
    now.duration_since(export.committed) < EVENT
}

/// An export as an operator finds it again, on any page: by its name and the beginning of its digest.
fn subject_of(export: &Export) -> String {
    short(&export.sha256.to_string())
}

fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

fn of_last_run(run: &LastAtSite, schedule: &Schedule, now: Timestamp) -> Option<Condition> {
    if run.good {
        return None;
    }
    let why = run.error.as_deref().unwrap_or("it says nothing of why");
    match run.trouble.as_deref() {
        Some("login") => Some(condition(Kind::LoginRefused, "", format!("run {}: {why}", run.name))),
        // The daemon tries again until then; before it, nobody needs to come.
        Some("unreachable") => days::first_at(schedule, schedule.deadline, run.failing_since)
            .is_some_and(|deadline| deadline <= now)
            .then(|| {
                let since = run.failing_since;
                condition(Kind::SiteUnreachable, "", format!("since {since}, last in run {}: {why}", run.name))
            }),
        // What did not come is told as the day that it is missing for.
        Some("no_export") => None,
        Some(NO_ROOM) => Some(condition(Kind::StagingFull, "", format!("run {}: {why}", run.name))),
        _ => Some(condition(Kind::RunFailed, "", format!("run {}: {why}", run.name))),
    }
}

/// Nothing of the site: the run there that went well in between does not end it. A full disk is one matter, whichever run it
/// kept from starting.
fn of_failed_replay(replay: &FailedReplay) -> Condition {
    let words = format!("replay {}: {}", replay.name, replay.error);
    match replay.trouble.as_deref() {
        Some(NO_ROOM) => condition(Kind::StagingFull, "", words),
        _ => condition(Kind::RunFailed, "replay", words),
    }
}

/// Whether a day's export became missing while the site could not be reached: that is one alert, not two.
fn is_within(run: &LastAtSite, day: Date, schedule: &Schedule) -> bool {
    schedule::deadline(schedule, day).is_some_and(|deadline| deadline > run.failing_since)
}

fn of_missing(day: Date) -> Condition {
    let words = format!("the export of {day} ({}) has not come", day.strftime("%A"));
    condition(Kind::ExportMissing, &day.to_string(), words)
}

fn of_trouble(kind: Kind, file: &Trouble, what: &str) -> Condition {
    condition(kind, &short(&file.sha256.to_string()), format!("{} {what}: {}", file.name, file.reason))
}

fn of_astray(kind: Kind, file: &Astray, what: &str) -> Condition {
    condition(kind, &short(&file.sha256.to_string()), format!("{}: {} {what}", file.name, file.count))
}

fn of_what_it_holds_back(export: &Export) -> Vec<Condition> {
    let subject = subject_of(export);
    let mut found = Vec::new();
    if export.held > 0 {
        let words = format!("{}: {}", export.name, items(export.held, "without a mailbox"));
        found.push(condition(Kind::ItemsHeld, &subject, words));
    }
    if export.held > 0 && export.staged == 0 && export.duplicate == 0 {
        let words = format!("{}: none of its {} has a mailbox", export.name, items(export.available, "").trim_end());
        found.push(condition(Kind::NothingResolves, &subject, words));
    }
    if export.rejected > 0 {
        let noun = if export.rejected == 1 { "record" } else { "records" };
        let words = format!("{}: {} {noun} rejected", export.name, export.rejected);
        found.push(condition(Kind::RecordRejected, &subject, words));
    }
    found
}

fn items(count: u64, what: &str) -> String {
    format!("{count} {} {what}", if count == 1 { "item" } else { "items" })
}

fn of_unresolved(person: &UnplacedPerson) -> Condition {
    let who = person.im_id.as_deref().or(person.email.as_deref()).unwrap_or("somebody without ImId and e-mail");
    let email = person.im_id.as_ref().and(person.email.as_deref());
    let more: Vec<&str> = [person.name.as_deref(), email, person.company.as_deref()].into_iter().flatten().collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let last = person.last_seen.strftime("%Y-%m-%d");
    let words = format!("{who}{more}: {} last {last}", items(person.items, "so far,"));
    condition(Kind::Unresolved, &who.to_lowercase(), words)
}

fn of_other_firms(exports: &[Export], ours: &str, now: Timestamp) -> Vec<Condition> {
    let mut firms: BTreeMap<&str, Vec<&Export>> = BTreeMap::new();
    for export in exports.iter().filter(|export| is_recent(export, now)) {
        if let Some(firm) = export.firm.as_deref().filter(|firm| *firm != ours) {
            firms.entry(firm).or_default().push(export);
        }
    }
    let told = firms.into_iter().map(|(firm, exports)| {
        let newest = exports.last().map_or("", |export| export.name.as_str());
        let words = format!("{} export(s) say they are for {firm}, not {ours}; the newest is {newest}", exports.len());
        condition(Kind::OtherFirm, firm, words)
    });
    told.collect()
}

fn of_changed(export: &Export) -> Option<Condition> {
    let words = || format!("{}: {} came again changed", export.name, items(export.changed, "").trim_end());
    (export.changed > 0).then(|| condition(Kind::ChangedMessages, &subject_of(export), words()))
}

fn of_rejection(rejection: &Rejection) -> Option<Condition> {
    let kind = match rejection.kind.as_str() {
        "mapping" => Kind::MappingRejected,
        "list" => Kind::ListRejected,
        "directory" => Kind::DirectoryRejected,
        "configuration" => Kind::ConfigurationRejected,
        _ => return None,
    };
    let errors = &rejection.errors;
    let first = errors.first().map_or("it says nothing of why", String::as_str);
    let more = match errors.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Some(condition(kind, "", format!("{first}{more}")))
}

/// One for each concern of a version; its subject is the version and, after the first, its place in the list.
fn of_version(concern: &Concern) -> Vec<Condition> {
    let list: Vec<Value> = serde_json::from_str(&concern.concerns).unwrap_or_default();
    let mut found = Vec::new();
    for (place, one) in list.iter().enumerate() {
        let kind = match one["kind"].as_str() {
            Some("moved") => Kind::MappingMoved,
            Some("overrides") => Kind::MappingOverrides,
            Some("removed") if concern.kind == "mapping" => Kind::MappingRemoved,
            Some("removed" | "shrunk") => Kind::ListShrunk,
            _ => continue,
        };
        let words = one["words"].as_str().unwrap_or_default();
        let subject = format!("{}.{}", concern.version, place + 1);
        found.push(condition(kind, &subject, format!("in force since {}: {words}", concern.since)));
    }
    found
}

/// A certificate for the sign-in is no matter while another one lasts: it was rotated out.
fn expiring(all: &[Certificate], now: Timestamp) -> Vec<Condition> {
    let lasts = |one: &Certificate| one.expires.is_none_or(|end| end.duration_since(now) > EXPIRY);
    let signs_in = all.iter().any(|one| one.kind == CertificateKind::Entra && lasts(one));
    let is_over = |one: &Certificate| one.kind == CertificateKind::Entra && signs_in;
    let matters = |one: &&Certificate| !lasts(one) && !is_over(one);
    all.iter().filter(matters).filter_map(|one| of_expiry(one, now)).collect()
}

fn of_expiry(certificate: &Certificate, now: Timestamp) -> Option<Condition> {
    let expires = certificate.expires?;
    let day = expires.strftime("%Y-%m-%d");
    let when = if expires <= now { "ended on" } else { "ends on" };
    let Certificate { fingerprint, credential, .. } = certificate;
    let kind = match certificate.kind {
        CertificateKind::Pgp => Kind::KeyExpiry,
        CertificateKind::Entra => Kind::EntraExpiry,
    };
    let words = format!("the certificate {fingerprint} of {credential} {when} {day}");
    Some(condition(kind, fingerprint, words))
}

/// How old the tenant's users are, and what several of them claim.
fn of_directory(users: &DirectoryStanding, max_age: SignedDuration, now: Timestamp) -> Vec<Condition> {
    let why = users.error.as_deref().map_or_else(String::new, |error| format!(": {error}"));
    let old = match users.refreshed {
        Some(last) if now.duration_since(last) > max_age => {
            Some(format!("the tenant's users were read last on {}{why}", last.strftime("%Y-%m-%d %H:%M UTC")))
        }
        None if users.error.is_some() => Some(format!("the tenant's users could not be read yet{why}")),
        _ => None,
    };
    let old = old.map(|words| condition(Kind::DirectoryStale, "", words));
    let contested = users.contested.iter().map(|line| condition(Kind::ImIdContested, line, line));
    old.into_iter().chain(contested).collect()
}
