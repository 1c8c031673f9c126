//! Who stays in a room from one export to the next (`presence = "carry"` in the profile): asked of the ledger when an
//! export is taken in, kept as part of what shapes it, and recorded for the next when it is committed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::original::{Original, Surveyed};
use super::shape::Shape;
use super::{IngestError, Tools};
use crate::decrypt::SurveyError;
use crate::digest::Sha256;
use crate::export::carried::{Before, Carried, Presence};
use crate::export::fault::ExportError;
use crate::export::files::FileKind;
use crate::export::passes::Survey;
use crate::export::profile::{self, Profile};
use crate::export::{Email, ImId, Person};
use crate::ledger::{FileRow, FileState, LedgerError, Staying};

/// A person as the ledger keeps them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    im_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    company: Option<String>,
}

impl From<&Person> for Kept {
    fn from(person: &Person) -> Self {
        Self {
            im_id: person.im_id.as_ref().map(|id| id.as_str().to_owned()),
            email: person.email.as_ref().map(|email| email.as_str().to_owned()),
            name: person.name.as_deref().map(str::to_owned),
            company: person.company.as_deref().map(str::to_owned),
        }
    }
}

impl From<Kept> for Person {
    fn from(kept: Kept) -> Self {
        Self {
            im_id: kept.im_id.as_deref().and_then(ImId::new),
            email: kept.email.as_deref().and_then(Email::new),
            name: kept.name.map(Into::into),
            company: kept.company.map(Into::into),
        }
    }
}

fn people(json: &str) -> Result<Vec<Person>, LedgerError> {
    let kept: Vec<Kept> = serde_json::from_str(json).map_err(|_| damaged())?;
    Ok(kept.into_iter().map(Person::from).collect())
}

fn damaged() -> LedgerError {
    LedgerError::Damaged("who stays in a room is not what was kept".to_owned())
}

fn carries(profile: &Profile) -> bool {
    profile.presence() == profile::Presence::Carry
}

/// Pass 1 of an export that is taken in: whoever its rooms had when they last ended is there when they begin.
pub(super) fn survey(
    tools: &Tools<'_>,
    original: &Original<'_>,
    name: &str,
) -> Result<Result<Surveyed, SurveyError<ExportError>>, IngestError> {
    if !carries(original.profile) {
        return Ok(original.survey(name, tools.watch.survey));
    }
    let failed: RefCell<Option<LedgerError>> = RefCell::default();
    let ask = |room: &str, begins: jiff::Timestamp| {
        let found = tools.ledger.staying(room, begins.as_second());
        let found = found.and_then(|json| json.map_or(Ok(Vec::new()), |json| people(&json)));
        found.unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            Vec::new()
        })
    };
    let surveyed = original.survey_after(Before::Ask(&ask), name, tools.watch.survey);
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(surveyed),
    }
}

/// The newest of the exports in these states from before this one, by the days that their names say, of which `counts` is
/// true.
fn one_before(
    tools: &Tools<'_>,
    profile: &Profile,
    row: &FileRow,
    states: &[FileState],
    counts: impl Fn(&FileRow) -> Result<bool, LedgerError>,
) -> Result<Option<FileRow>, LedgerError> {
    let (true, Some(day)) = (carries(profile) && !tools.is_dry(), profile.date_in_name(&row.name)) else {
        return Ok(None);
    };
    let mut found: Option<(Date, FileRow)> = None;
    for state in states {
        for other in tools.ledger.files_in(*state)? {
            let before = profile.date_in_name(&other.name).filter(|before| *before < day);
            let Some(before) = before.filter(|_| profile.role(&other.name).kind == FileKind::Export) else { continue };
            if found.as_ref().is_none_or(|(newest, _)| before > *newest) && counts(&other)? {
                found = Some((before, other));
            }
        }
    }
    Ok(found.map(|(_, row)| row))
}

/// Why an export waits for one from before it: who stays in its rooms, that one says. It waits as long, and no longer: what
/// could not be taken by then keeps no other.
pub(super) fn waits(tools: &Tools<'_>, profile: &Profile, row: &FileRow) -> Result<Option<String>, IngestError> {
    let now = (tools.clock)();
    let still =
        |other: &FileRow| Ok::<_, LedgerError>(tools.ledger.waiting(other.id)?.filter(|waiting| waiting.until > now));
    let before = one_before(tools, profile, row, &[FileState::Received], |other| Ok(still(other)?.is_some()))?;
    let Some(before) = before else { return Ok(None) };
    let Some(waiting) = still(&before)? else { return Ok(None) };
    tools.ledger.wait(row.id, waiting, profile.date_in_name(&row.name))?;
    Ok(Some(format!("who stays in its rooms says {}, which waits until {}", before.name, waiting.until)))
}

/// The export from before this one that is not taken in: who stays in this one's rooms is not known from it. The others go on
/// (contract 8), and say so.
pub(super) fn gap(tools: &Tools<'_>, profile: &Profile, row: &FileRow) -> Result<Option<String>, IngestError> {
    let states = [FileState::Held, FileState::Staging, FileState::Received];
    let counts = |other: &FileRow| Ok(!tools.ledger.is_file_dismissed(other.id)?);
    let Some(before) = one_before(tools, profile, row, &states, counts)? else { return Ok(None) };
    Ok(Some(format!("(who stays in its rooms is not known from {}, which is not taken in)", before.name)))
}

/// What was answered, for every later pass.
pub(super) fn asked(profile: &Profile, survey: &Survey) -> Option<Carried> {
    carries(profile).then(|| survey.presence.carried.clone())
}

/// Keeps who was there before; the digest is part of the export's shape. Nothing is kept where nobody was.
pub(super) fn keep(tools: &Tools<'_>, carried: &Carried) -> Result<Option<String>, IngestError> {
    if carried.0.is_empty() || tools.is_dry() {
        return Ok(None);
    }
    let kept = |people: &Vec<Person>| people.iter().map(Kept::from).collect::<Vec<_>>();
    let all: BTreeMap<u64, Vec<Kept>> = carried.0.iter().map(|(number, people)| (*number, kept(people))).collect();
    let json = serde_json::to_vec(&all).map_err(IngestError::shape)?;
    Ok(Some(tools.ledger.keep_shape("presence", &json)?.to_string()))
}

/// What an export was taken in with.
pub(super) fn recorded(
    tools: &Tools<'_>,
    row: &FileRow,
    profile: &Profile,
    shape: &Shape,
) -> Result<Option<Carried>, IngestError> {
    let Some(digest) = &shape.carried else { return Ok(carries(profile).then(Carried::default)) };
    let missing = || LedgerError::Damaged(format!("who was in the rooms of {} before is not recorded", row.name));
    let json = tools.ledger.shape(Sha256::from_hex(digest).ok_or_else(missing)?)?;
    let all: BTreeMap<u64, Vec<Kept>> = serde_json::from_slice(&json).map_err(|_| missing())?;
    let people = |kept: Vec<Kept>| kept.into_iter().map(Person::from).collect();
    Ok(Some(Carried(all.into_iter().map(|(number, kept)| (number, people(kept))).collect())))
}

/// Who is in the export's rooms when it ends.
pub(super) fn staying(presence: &Presence) -> Result<Vec<Staying>, IngestError> {
    let mut rows = Vec::with_capacity(presence.staying.len());
    for (room, staying) in &presence.staying {
        let people: Vec<Kept> = staying.people.iter().map(|person| Kept::from(&**person)).collect();
        let people = serde_json::to_string(&people).map_err(IngestError::shape)?;
        rows.push(Staying { room: room.to_string(), until: staying.until.as_second(), people });
    }
    Ok(rows)
}
