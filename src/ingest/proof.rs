//! The proof from the kept originals: everything that the manifests say is worked out again, by what was recorded when it was
//! placed, and compared. It stages and records nothing, and goes on beside whatever run works meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::original::{Numbered, NumberedItem, Original, Surveyed};
use super::placing::Shaping;
use super::recorded::{self, number};
use super::shape::Shape;
use super::stager::render;
use super::{IngestError, Job, Tools, tools};
use crate::cause::chain;
use crate::export::profile::Profile;
use crate::ledger::manifest::Recorded;
use crate::ledger::{Expected, FileId, FileRow, FileState, Ledger, LedgerError, RunId};
use crate::mailbox::Mailbox;
use crate::resolve::Rules;
use crate::stage::in_parallel;

/// What a proof found.
#[derive(Debug, Default, Serialize)]
pub struct Proven {
    /// Exports that were worked out again.
    pub exports: u64,
    /// Records of theirs that the manifests account for.
    pub records: u64,
    /// EMLs that were rendered again, and are what was placed.
    pub emls: u64,
    /// Exports whose original retention removed.
    pub without_original: u64,
    /// Exports that were staged in a format of EML that this version does not write, by name.
    pub not_comparable: Vec<String>,
    /// What does not agree.
    #[serde(skip)]
    pub faults: Vec<String>,
}

/// Compares every export whose original is kept with its manifests.
///
/// # Errors
/// Where ledger or working tables cannot be used, or someone stopped it. What concerns one export is a fault.
pub fn prove(job: &Job<'_>) -> Result<Proven, IngestError> {
    let mut proven = Proven::default();
    let state = &job.config.state.directory;
    if Ledger::read(state)?.is_none() {
        return Ok(proven);
    }
    let ledger = Ledger::for_proof(state)?;
    let scratch = ledger.scratch_aside()?;
    let tools = tools(job, &ledger, &scratch, None, RunId::none());
    // What is committed later can wait for the next proof.
    for (row, manifests) in committed(&ledger)? {
        if ledger.original_removed(row.id)? {
            proven.without_original += 1;
            continue;
        }
        match prove_one(&tools, &row, &manifests, &mut proven) {
            // Meanwhile.
            Err(_) if ledger.original_removed(row.id)? => proven.without_original += 1,
            Err(error) if concerns_evidence(&error) => proven.faults.push(chain(&error)),
            done => done?,
        }
    }
    Ok(proven)
}

fn concerns_evidence(error: &IngestError) -> bool {
    error.concerns_one_export()
        || error.is_about_the_books()
        || matches!(
            error,
            IngestError::Ledger(LedgerError::Damaged(_) | LedgerError::File(_))
                | IngestError::Shape(_)
                | IngestError::Input(_)
        )
}

fn committed(ledger: &Ledger) -> Result<Vec<(FileRow, Vec<Recorded>)>, LedgerError> {
    ledger.at_one_moment(|| {
        let mut committed = Vec::new();
        for row in ledger.files_in(FileState::Committed)? {
            let manifests = ledger.recorded_manifests(Some(row.id))?;
            if !manifests.is_empty() {
                committed.push((row, manifests));
            }
        }
        Ok(committed)
    })
}

/// One export's comparison.
struct Pass<'a> {
    tools: &'a Tools<'a>,
    file: FileId,
    shape: &'a Shape,
    /// All that were ever applied to it, in order.
    rules: Rules,
    records: u64,
    emls: u64,
    /// Items that do not agree, for each way in which they do not, and the first of them.
    differences: [(u64, String); 4],
}

/// An item and what the manifests say of it.
struct Found {
    item: Box<NumberedItem>,
    expected: Vec<Expected>,
    /// Whether its participants are named in different combinations, so that other manifests have copies of it too.
    contested: bool,
    /// Whether this export brought it, at this place.
    own: bool,
}

/// Ways in which an item does not agree, in the order of [`Pass::differences`].
const UNKNOWN: usize = 0;
const OTHER_OUTCOME: usize = 1;
const OTHER_BYTES: usize = 2;
const OTHER_MAILBOXES: usize = 3;

fn prove_one(tools: &Tools<'_>, row: &FileRow, manifests: &[Recorded], proven: &mut Proven) -> Result<(), IngestError> {
    let (profile, shape) = match recorded::recorded(tools, row) {
        Err(IngestError::OtherFormat { .. }) => {
            proven.not_comparable.push(row.name.clone());
            return Ok(());
        }
        recorded => recorded?,
    };
    let Some(original) = Original::kept(tools, row, &profile, &shape)? else {
        return Err(IngestError::original_gone(&row.name));
    };
    collect(tools, manifests)?;
    let surveyed = original.survey_kept(tools, &row.name, &shape)?;
    let rules = recorded::load_rules(tools.ledger, &tools.ledger.rules_of(row.id)?)?;
    let (file, shape, differences) = (row.id, &shape, Default::default());
    let mut pass = Pass { tools, file, shape, rules, records: 0, emls: 0, differences };
    pass.all(row, &original, &surveyed)?;
    proven.exports += 1;
    proven.records += pass.records;
    proven.emls += pass.emls;
    proven.faults.extend(pass.faults(&row.name)?);
    proven.faults.extend(said_otherwise(tools, row, &profile, &surveyed)?);
    Ok(())
}

/// The day and the firm of the export, where the ledger has others than its original says.
fn said_otherwise(
    tools: &Tools<'_>,
    row: &FileRow,
    profile: &Profile,
    surveyed: &Surveyed,
) -> Result<Option<String>, IngestError> {
    let header = &surveyed.survey.header;
    let date = header.date.or_else(|| profile.date_in_name(&row.name)).map(|date| date.to_string());
    let recorded = tools.ledger.said_of_itself(row.id)?;
    let is_same = recorded == (date, header.firm_code.clone());
    Ok((!is_same).then(|| format!("the original of {} is about another day or firm than the ledger has", row.name)))
}

fn collect(tools: &Tools<'_>, manifests: &[Recorded]) -> Result<(), IngestError> {
    tools.scratch.clear()?;
    for (index, manifest) in manifests.iter().enumerate() {
        tools.watch.staging.advance(0);
        tools
            .scratch
            .round(|| manifest.read(&tools.ledger.manifests(), |entry| tools.scratch.expect(&entry, index)))?;
    }
    Ok(())
}

impl Pass<'_> {
    fn all(&mut self, row: &FileRow, original: &Original<'_>, surveyed: &Surveyed) -> Result<(), IngestError> {
        let tools = self.tools;
        tools.watch.staging.begin(&row.name, surveyed.survey.counts.available());
        original.each_batch(tools, surveyed, |batch| {
            if tools.stop.load(Ordering::Relaxed) {
                return Err(IngestError::Stopped);
            }
            let records = batch.iter().map(Numbered::records).sum();
            let found = tools.scratch.round(|| self.find(batch))?;
            self.compare(&found)?;
            self.records += records;
            tools.watch.staging.advance(records);
            Ok(())
        })?;
        tools.watch.staging.end();
        Ok(())
    }

    fn find(&mut self, batch: Vec<Numbered>) -> Result<Vec<Found>, IngestError> {
        let mut found = Vec::with_capacity(batch.len());
        for numbered in batch {
            match numbered {
                Numbered::Rejected { ordinal, .. } => {
                    if !self.tools.scratch.find_rejected(ordinal)? {
                        self.differs(UNKNOWN, || format!("the record at place {ordinal}"));
                    }
                }
                Numbered::Item(item) => found.extend(self.find_item(item)?),
            }
        }
        Ok(found)
    }

    fn find_item(&mut self, mut item: Box<NumberedItem>) -> Result<Option<Found>, IngestError> {
        let tools = self.tools;
        number(tools, &mut item)?;
        let expected = tools.scratch.find_expected(item.ordinal, item.time, item.id)?;
        for ordinal in item.ordinals() {
            // It was rejected once, and let in by a replay.
            tools.scratch.find_rejected(ordinal)?;
        }
        let skips = self.shape.skips(item.taken_at());
        if expected.is_empty() {
            // What came later for an item that was skipped was never looked at.
            if !(skips && item.later.is_some()) {
                self.differs(UNKNOWN, || item.id.to_string());
            }
            return Ok(None);
        }
        let known = tools.ledger.item(item.time, item.id)?;
        let own = known.is_some_and(|(file, ordinal, _)| (file, ordinal) == (self.file, item.ordinal));
        if !outcome_is_right(tools, &item, &expected, skips, known.is_some(), own)? {
            self.differs(OTHER_OUTCOME, || item.id.to_string());
        }
        let contested = tools.ledger.is_named_otherwise(item.time, item.id)?;
        Ok(Some(Found { item, expected, contested, own }))
    }

    fn compare(&mut self, found: &[Found]) -> Result<(), IngestError> {
        let shaping = Shaping { shape: self.shape, rules: &self.rules, before: None };
        let compared = in_parallel(self.tools.workers, found, |part| {
            Ok::<_, IngestError>(part.iter().map(|found| found.compared(shaping)).collect::<Vec<_>>())
        })?;
        for (found, compared) in found.iter().zip(compared.into_iter().flatten()) {
            self.emls += u64::from(compared.eml);
            for (way, differs) in [(OTHER_BYTES, compared.other_bytes), (OTHER_MAILBOXES, compared.other_mailboxes)] {
                if differs {
                    self.differs(way, || found.item.id.to_string());
                }
            }
        }
        Ok(())
    }

    fn differs(&mut self, way: usize, what: impl FnOnce() -> String) {
        let (count, first) = &mut self.differences[way];
        if *count == 0 {
            *first = what();
        }
        *count += 1;
    }

    fn faults(self, name: &str) -> Result<Vec<String>, IngestError> {
        let words = [
            "records that no manifest accounts for",
            "items of which another outcome is recorded than was theirs",
            "items with other bytes than were placed",
            "items whose mailboxes are others than the recorded rules give",
        ];
        let differences = self.differences.into_iter().zip(words).filter(|((count, _), _)| *count > 0);
        let mut faults: Vec<_> = differences
            .map(|((count, first), what)| format!("the original of {name} gives {what}: {count}, the first is {first}"))
            .collect();
        if let (count @ 1.., Some(first)) = self.tools.scratch.not_found()? {
            faults.push(format!(
                "the manifests of {name} account for records that its original does not have: {count}, the first at place \
                 {first}"
            ));
        }
        Ok(faults)
    }
}

/// Whether what the manifests say became of an item can have become of it: what is before the initial date is skipped, and
/// nothing else is; what this export brought is placed or held; and what it did not is known from elsewhere.
fn outcome_is_right(
    tools: &Tools<'_>,
    item: &NumberedItem,
    expected: &[Expected],
    skips: bool,
    is_known: bool,
    own: bool,
) -> Result<bool, IngestError> {
    let any = |states: &[&str]| expected.iter().any(|expected| states.contains(&expected.state.as_str()));
    if skips || any(&["skipped"]) {
        return Ok(skips && expected.iter().all(|expected| expected.state == "skipped"));
    }
    if own || any(&["staged", "held"]) {
        return Ok(own && any(&["staged", "held"]));
    }
    // A transcript that says nothing new is not known itself, but each message in it is.
    let mut within = !item.within.is_empty();
    for message in &item.within {
        within &= tools.ledger.item(message.time, message.id)?.is_some();
    }
    Ok(is_known || within)
}

/// How one item compares.
#[derive(Default)]
struct Compared {
    eml: bool,
    other_bytes: bool,
    other_mailboxes: bool,
}

impl Found {
    fn compared(&self, shaping: Shaping<'_>) -> Compared {
        let mut compared = Compared::default();
        let mut placed = self.expected.iter().filter(|expected| !expected.eml.is_empty()).peekable();
        if placed.peek().is_some() {
            let digest = render(&self.item, shaping.shape).1.to_string();
            compared.other_bytes = placed.any(|expected| expected.eml != digest);
            compared.eml = !compared.other_bytes;
        }
        compared.other_mailboxes = !self.mailboxes_are_right(shaping);
        compared
    }

    /// The mailboxes of an item's own participants are those that its export's rules give, all of them. Where others name
    /// it otherwise, other manifests have some of them.
    fn mailboxes_are_right(&self, shaping: Shaping<'_>) -> bool {
        let placed: BTreeSet<&str> =
            self.expected.iter().flat_map(|expected| &expected.mailboxes).map(String::as_str).collect();
        let was_held = self.expected.iter().any(|expected| expected.state == "held");
        let mut given = shaping.rules.mailboxes_of(&self.item.item);
        given.extend(shaping.shape.beside(was_held).cloned());
        let given: BTreeSet<&str> = given.iter().map(Mailbox::as_str).collect();
        if self.own && !self.contested { placed == given } else { placed.is_subset(&given) }
    }
}
