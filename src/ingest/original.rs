//! One encrypted original, read as often as a run needs it: surveyed once for the proof, then item by item.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};

use jiff::Timestamp;

use super::attached::Attached;
use super::batches::{Batches, Ended, Turning};
use super::recorded;
use super::shape::Shape;
use super::{IngestError, Tools, carried};
use crate::decrypt::{self, Authenticated, Caps, Opener, SurveyError};
use crate::digest::{ItemId, Sha256};
use crate::download::Progress;
use crate::export::carried::{Before, Carried};
use crate::export::fault::ExportError;
use crate::export::passes::{self, Grouping, Hold, ItemsError, Survey, Turn};
use crate::export::profile::Profile;
use crate::export::reader::ReadLimits;
use crate::export::{Item, RejectedRecord};
use crate::ledger::manifest::digest_of;
use crate::ledger::{Arrival, AttachmentRow, FileRow};

/// What the second pass needs of the first.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub survey: Survey,
    pub proof: Authenticated,
    /// The archives that the export's shape names.
    pub attached: Attached,
}

/// One record of the second pass.
#[derive(Debug)]
pub(super) enum Numbered {
    Item(Box<NumberedItem>),
    Rejected { ordinal: u64, record: RejectedRecord },
}

/// An item with what it is known by.
#[derive(Debug)]
pub(super) struct NumberedItem {
    /// Its place among the export's items and rejected records, from 0.
    pub ordinal: u64,
    /// Unix seconds.
    pub time: i64,
    /// Where MessageID is absent, not final until its equals before it are counted.
    pub id: ItemId,
    pub participants: [u8; 16],
    pub message_key: Option<u64>,
    pub item: Item,
    /// Of a transcript, the messages and attachments within it, in its order; their ids are final when its own is.
    pub within: Vec<Arrival>,
    /// Of a transcript, its words that are no items, where they are part of what it is known by.
    pub words: Vec<u64>,
    /// The item that this one continues or belongs to.
    pub follows: Option<ItemId>,
    /// What became of the attachments in it.
    pub attachments: Vec<AttachmentRow>,
    /// Of an attachment that came after the item which names it.
    pub later: Option<Later>,
}

/// What an attachment that came later has beside what other items have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later {
    /// Which of the archives that came later it is from, from 0.
    pub turn: usize,
    /// The place of the record that names it.
    pub of: u64,
    /// The time of the item that it follows.
    pub since: Timestamp,
    /// Of its bytes.
    pub sha256: Sha256,
}

impl Numbered {
    /// How many of the export's records it is.
    pub(super) fn records(&self) -> u64 {
        match self {
            Self::Item(item) => item.ordinals().count() as u64,
            Self::Rejected { .. } => 1,
        }
    }
}

impl NumberedItem {
    /// When it was said, as far as that decides whether it is taken in: an attachment that came later is, as is what it
    /// follows.
    pub(super) fn taken_at(&self) -> Timestamp {
        self.later.map_or_else(|| self.item.time(), |later| later.since)
    }

    /// What the ledger is asked about.
    pub(super) fn arrival(&self) -> Arrival {
        let Self { time, id, ordinal, participants, message_key, .. } = *self;
        Arrival { time, id, ordinal, participants, message_key }
    }

    /// The id of the record at this place of the export, if it is this item or stands within it.
    pub(super) fn id_of(&self, ordinal: u64) -> Option<ItemId> {
        let within = self.within.iter().find(|message| message.ordinal == ordinal).map(|message| message.id);
        within.or((matches!(self.item, Item::Chat(_)) && self.ordinal == ordinal).then_some(self.id))
    }

    /// The places in the export of the records that it is made of: none of an attachment that came later, whose record is
    /// the item's that names it.
    pub(super) fn ordinals(&self) -> impl Iterator<Item = u64> {
        let own = (matches!(self.item, Item::Chat(_)) && self.later.is_none()).then_some(self.ordinal);
        own.into_iter().chain(self.within.iter().map(|message| message.ordinal))
    }
}

/// An original and how to read it.
pub(super) struct Original<'a> {
    pub file: File,
    pub opener: Opener<'a>,
    pub profile: &'a Profile,
    pub limits: ReadLimits,
    pub grouping: Grouping,
    /// Records that were rejected at first, by the replay that let them in: [`Shape::let_in`].
    pub late: Vec<BTreeSet<u64>>,
    /// Who was in its rooms before, where its profile carries presence on: what was answered when it was taken in.
    pub carried: Option<Carried>,
}

impl<'a> Original<'a> {
    /// The kept original of a committed export, unless retention removed it. It was found authentic and within the limits
    /// when it was taken, so no signer, no cap and no record limit of today stands in its way as long as it is the same,
    /// and keys that were retired since open it.
    pub(super) fn kept(
        tools: &Tools<'a>,
        row: &FileRow,
        profile: &'a Profile,
        shape: &Shape,
    ) -> Result<Option<Self>, IngestError> {
        let Some(file) = tools.ledger.open_original(row.sha256)? else { return Ok(None) };
        if digest_of(&tools.ledger.original(row.sha256))? != row.sha256 {
            let reason = "it is not what was committed; restore it from a backup".to_owned();
            return Err(IngestError::Original { name: row.name.clone(), reason });
        }
        let caps = Caps { max_plaintext: u64::MAX, max_ratio: u64::MAX };
        let opener = Opener { keys: &tools.inputs.archive_keys, signers: None, caps };
        let (limits, late) = (shape.limits.for_reading(), shape.let_in.clone());
        let grouping = shape.grouping();
        let carried = carried::recorded(tools, row, profile, shape)?;
        Ok(Some(Self { file, opener, profile, limits, grouping, late, carried }))
    }

    /// The same, read as single messages, however its own export groups them.
    pub(super) fn as_messages(&self) -> io::Result<Self> {
        let grouping = Grouping { by_day: None, ..self.grouping.clone() };
        let Self { profile, limits, .. } = *self;
        Ok(Self {
            file: self.file.try_clone()?,
            opener: self.opener,
            profile,
            limits,
            grouping,
            late: self.late.clone(),
            carried: self.carried.clone(),
        })
    }

    /// Pass 1: to the end, for the proof.
    pub(super) fn survey(&self, name: &str, progress: &dyn Progress) -> Result<Surveyed, SurveyError<ExportError>> {
        self.survey_after(self.carried.as_ref().map_or(Before::Nobody, Before::Recorded), name, progress)
    }

    /// Pass 1 of an export in whose rooms people may be already.
    pub(super) fn survey_after(
        &self,
        before: Before<'_>,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Surveyed, SurveyError<ExportError>> {
        progress.begin(name, 0);
        let surveyed = decrypt::survey(&self.file, &self.opener, |plaintext| {
            let plaintext = Counted { inner: plaintext, progress };
            let (profile, limits, grouping) = (self.profile, self.limits, &self.grouping);
            passes::survey_after(before, profile, limits, Hold::default(), grouping, &self.late, plaintext)
        });
        progress.end();
        let (survey, proof) = surveyed?;
        Ok(Surveyed { survey, proof, attached: Attached::default() })
    }

    /// The same of an export that was committed, with the archives that its shape names.
    pub(super) fn survey_kept(&self, tools: &Tools<'_>, name: &str, shape: &Shape) -> Result<Surveyed, IngestError> {
        let mut surveyed =
            self.survey(name, tools.watch.survey).map_err(|error| IngestError::original(name, &error))?;
        surveyed.attached = Attached::open(tools, shape, &surveyed.survey.references, &[])?;
        Ok(surveyed)
    }

    /// Pass 2: decrypting and parsing on threads of their own, `work` here, batch by batch, in document order. Records
    /// that were let in later come after all others, so that equal ones without MessageID keep their numbers.
    pub(super) fn each_batch(
        &self,
        tools: &Tools<'_>,
        surveyed: &Surveyed,
        mut work: impl FnMut(Vec<Numbered>) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        tools.scratch.begin_pass()?;
        (0..=self.late.len())
            .try_for_each(|turn| self.each_batch_of(Turning::Records(turn), tools, surveyed, &mut work))?;
        self.each_turn_later(tools, surveyed, &mut work)
    }

    /// As [`Original::each_batch`], of attachments alone that came after the items which name them.
    pub(super) fn each_later(
        &self,
        tools: &Tools<'_>,
        surveyed: &Surveyed,
        mut work: impl FnMut(Vec<Numbered>) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        tools.scratch.begin_pass()?;
        self.each_turn_later(tools, surveyed, &mut work)
    }

    fn each_turn_later(
        &self,
        tools: &Tools<'_>,
        surveyed: &Surveyed,
        work: &mut impl FnMut(Vec<Numbered>) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        for turn in 0..surveyed.attached.turns() {
            tools.scratch.begin_pass()?;
            let mut last = None;
            for records in 0..=self.late.len() {
                self.each_batch_of(Turning::Later { turn, records }, tools, surveyed, &mut |batch| {
                    let batch = tools.scratch.round(|| recorded::what_came_later(tools, &mut last, batch))?;
                    if batch.is_empty() { Ok(()) } else { work(batch) }
                })?;
            }
        }
        Ok(())
    }

    fn each_batch_of(
        &self,
        turn: Turning,
        tools: &Tools<'_>,
        surveyed: &Surveyed,
        work: &mut impl FnMut(Vec<Numbered>) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        std::thread::scope(|scope| {
            // A transcript is large: one is read while another is written, and none waits in between.
            let (sender, batches) = sync_channel(usize::from(self.grouping.by_day.is_none()));
            let reader = scope.spawn(move || self.send_batches(turn, surveyed, sender));
            for batch in batches {
                if tools.stop.load(Ordering::Relaxed) {
                    return Err(IngestError::Stopped);
                }
                // A pass in which nothing new is placed, as one for further copies, is alive all the same.
                tools.watch.staging.advance(0);
                work(batch)?;
            }
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read.map_err(|error| match error {
                SurveyError::Decrypt(error) => IngestError::Reread(error),
                SurveyError::Content(ItemsError::Export(error)) => IngestError::Reparse(error),
                SurveyError::Content(ItemsError::Sink(Ended::Gone)) => IngestError::Stopped,
                SurveyError::Content(ItemsError::Sink(Ended::Attachment(error))) => IngestError::File(error),
            })
        })
    }

    fn send_batches(
        &self,
        turning: Turning,
        surveyed: &Surveyed,
        sender: SyncSender<Vec<Numbered>>,
    ) -> Result<(), SurveyError<ItemsError<Ended>>> {
        let by_words = self.grouping.by_day.as_ref().is_some_and(|by_day| by_day.words);
        let mut batches = Batches::new(&surveyed.attached, turning, by_words, sender);
        let turn = Turn { late: &self.late, number: turning.records() };
        let grouping = self.grouping.with_attached(&surveyed.attached.sizes);
        decrypt::reread(&self.file, &self.opener, &surveyed.proof, |plaintext| {
            let (profile, limits, survey) = (self.profile, self.limits, &surveyed.survey);
            passes::items(profile, limits, survey, &grouping, turn, plaintext, &mut |step| batches.add(step))?;
            batches.send().map_err(ItemsError::Sink)
        })
    }
}

/// Plaintext whose bytes are told as they are read.
pub(super) struct Counted<'a, R> {
    pub(super) inner: R,
    pub(super) progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
