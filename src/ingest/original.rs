//! One encrypted original, read as often as a run needs it: surveyed once for the proof, then item by item.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::shape::Shape;
use super::{IngestError, Tools};
use crate::decrypt::{self, Authenticated, Caps, Opener, SurveyError};
use crate::digest::ItemId;
use crate::download::Progress;
use crate::export::fault::ExportError;
use crate::export::identity::{item_id, message_key, participants_digest};
use crate::export::passes::{self, Hold, ItemsError, Step, Survey};
use crate::export::profile::Profile;
use crate::export::reader::ReadLimits;
use crate::export::{Body, ChatItem, RejectedRecord};
use crate::ledger::FileRow;
use crate::ledger::manifest::digest_of;

/// A batch ends at so many records: one `syncfs` each, and a bound on memory.
const BATCH_RECORDS: usize = 2048;
/// A batch ends at so many bytes of content.
const BATCH_BYTES: usize = 4 << 20;

/// What the second pass needs of the first.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub survey: Survey,
    pub proof: Authenticated,
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
    pub item: ChatItem,
}

/// An original and how to read it.
pub(super) struct Original<'a> {
    pub file: File,
    pub opener: Opener<'a>,
    pub profile: &'a Profile,
    pub limits: ReadLimits,
    /// Records that were rejected at first, by the replay that let them in: [`Shape::let_in`].
    pub late: Vec<BTreeSet<u64>>,
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
        Ok(Some(Self { file, opener, profile, limits, late }))
    }

    /// Pass 1: to the end, for the proof.
    pub(super) fn survey(&self, name: &str, progress: &dyn Progress) -> Result<Surveyed, SurveyError<ExportError>> {
        progress.begin(name, 0);
        let surveyed = decrypt::survey(&self.file, &self.opener, |plaintext| {
            passes::survey(self.profile, self.limits, Hold::default(), Counted { inner: plaintext, progress })
        });
        progress.end();
        let (survey, proof) = surveyed?;
        Ok(Surveyed { survey, proof })
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
        (0..=self.late.len()).try_for_each(|turn| self.each_batch_of(turn, tools, surveyed, &mut work))
    }

    fn each_batch_of(
        &self,
        turn: usize,
        tools: &Tools<'_>,
        surveyed: &Surveyed,
        work: &mut impl FnMut(Vec<Numbered>) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        std::thread::scope(|scope| {
            let (sender, batches) = sync_channel(2);
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
                SurveyError::Content(ItemsError::Sink(Ended)) => IngestError::Stopped,
            })
        })
    }

    fn send_batches(
        &self,
        turn: usize,
        surveyed: &Surveyed,
        sender: SyncSender<Vec<Numbered>>,
    ) -> Result<(), SurveyError<ItemsError<Ended>>> {
        let mut batches = Batches { turn, late: &self.late, batch: Vec::new(), bytes: 0, ordinal: 0, sender };
        decrypt::reread(&self.file, &self.opener, &surveyed.proof, |plaintext| {
            passes::items(self.profile, self.limits, &surveyed.survey, plaintext, &mut |step| batches.add(step))?;
            batches.send().map_err(ItemsError::Sink)
        })
    }
}

/// Plaintext whose bytes are told as they are read.
struct Counted<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

/// Nobody takes the batches any more; whoever ended the run says why.
#[derive(Debug, thiserror::Error)]
#[error("the run ended")]
struct Ended;

struct Batches<'a> {
    turn: usize,
    late: &'a [BTreeSet<u64>],
    batch: Vec<Numbered>,
    bytes: usize,
    ordinal: u64,
    sender: SyncSender<Vec<Numbered>>,
}

impl Batches<'_> {
    fn add(&mut self, step: Step) -> Result<(), Ended> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        if self.turn_of(&step, ordinal) != self.turn {
            return Ok(());
        }
        self.batch.push(match step {
            Step::Item(item) => {
                self.bytes += weight(&item);
                Numbered::Item(Box::new(NumberedItem {
                    ordinal,
                    time: item.record.time.as_second(),
                    id: item_id(&item, None),
                    participants: participants_digest(&item),
                    message_key: message_key(&item),
                    item,
                }))
            }
            Step::Rejected(record) => Numbered::Rejected { ordinal, record },
        });
        if self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES { self.send() } else { Ok(()) }
    }

    fn turn_of(&self, step: &Step, ordinal: u64) -> usize {
        match step {
            Step::Item(_) => self.late.iter().position(|turn| turn.contains(&ordinal)).map_or(0, |turn| turn + 1),
            Step::Rejected(_) => 0,
        }
    }

    fn send(&mut self) -> Result<(), Ended> {
        self.bytes = 0;
        if self.batch.is_empty() {
            return Ok(());
        }
        self.sender.send(std::mem::take(&mut self.batch)).map_err(|_| Ended)
    }
}

/// What an item weighs in memory, its participants included: a room may hold thousands.
fn weight(item: &ChatItem) -> usize {
    let content = match &item.record.body {
        Body::Text(text) => text.len(),
        Body::File { data, .. } => data.len(),
    };
    content + item.participants.len() * 64 + 512
}
