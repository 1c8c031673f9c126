//! The second pass on its way from the thread that reads to the one that works: in batches, each item with what it is known
//! by and with the attachments that archives have of it.

use std::sync::mpsc::SyncSender;

use jiff::Timestamp;

use super::attached::Attached;
use super::original::{Later, Numbered, NumberedItem};
use crate::durable::PathError;
use crate::export::identity::{item_id, message_key, participants_digest, transcript_id};
use crate::export::passes::Step;
use crate::export::transcript::{Line, Transcript};
use crate::export::{Body, ChatItem, FileBody, FileData, Item, ItemRecord};
use crate::ledger::{Arrival, AttachmentRow};

/// A batch ends at so many records: one `syncfs` each, and a bound on memory.
const BATCH_RECORDS: usize = 1024;
/// A batch ends at so many bytes of content.
const BATCH_BYTES: usize = 4 << 20;
/// Items that came later have places behind all others: the turn, from 1, and then the place of the record that names it.
const TURN: u32 = 40;

/// What a reading of an export is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turning {
    /// Its records: all that were items at first, or those that a replay let in.
    Records(usize),
    /// Attachments of those that are in an archive which came later.
    Later {
        /// The archive.
        turn: usize,
        /// Which records.
        records: usize,
    },
}

impl Turning {
    /// Which records are read.
    pub(super) fn records(self) -> usize {
        match self {
            Self::Records(records) | Self::Later { records, .. } => records,
        }
    }
}

/// Why no more batches are taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Nobody takes the batches any more; whoever ended the run says why.
    #[error("the run ended")]
    Gone,
    /// An attachment that was sealed cannot be read.
    #[error("an attachment cannot be read")]
    Attachment(#[from] PathError),
}

/// The way to whoever works.
pub(super) struct Batches<'a> {
    batch: Vec<Numbered>,
    bytes: usize,
    attached: &'a Attached,
    turning: Turning,
    /// Whether transcripts are known by their words as well.
    by_words: bool,
    sender: SyncSender<Vec<Numbered>>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        attached: &'a Attached,
        turning: Turning,
        by_words: bool,
        sender: SyncSender<Vec<Numbered>>,
    ) -> Self {
        Self { batch: Vec::new(), bytes: 0, attached, turning, by_words, sender }
    }

    pub(super) fn add(&mut self, step: Step) -> Result<(), Ended> {
        match (step, self.turning) {
            (Step::Item { ordinal, item }, Turning::Records(_)) => {
                let mut item = message(ordinal, item);
                self.fill(&mut item)?;
                self.push(item);
            }
            (Step::Transcript(transcript), Turning::Records(_)) => {
                let mut item = day(transcript, self.by_words);
                self.fill(&mut item)?;
                self.push(item);
            }
            (Step::Rejected { ordinal, record }, Turning::Records(_)) => {
                self.batch.push(Numbered::Rejected { ordinal, record });
            }
            (Step::Item { ordinal, item }, Turning::Later { turn, .. }) => {
                let later = self.later(turn, ordinal, item.record.time, || item.clone(), &item.record)?;
                self.push(message(ordinal, item));
                if let Some(later) = later {
                    self.push(later);
                }
            }
            (Step::Transcript(transcript), Turning::Later { turn, .. }) => {
                let time = transcript.time;
                let awaited: Vec<_> = transcript.lines.iter().filter_map(|line| awaited(line, &transcript)).collect();
                self.push(day(transcript, self.by_words));
                for (ordinal, item) in awaited {
                    // One at a time: a day may name more than memory holds.
                    let record = item.record.clone();
                    if let Some(later) = self.later(turn, ordinal, time, || item, &record)? {
                        self.push(later);
                    }
                    if self.bytes >= BATCH_BYTES {
                        self.send()?;
                    }
                }
            }
            (Step::Rejected { .. }, Turning::Later { .. }) => {}
        }
        if self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES { self.send() } else { Ok(()) }
    }

    fn push(&mut self, item: NumberedItem) {
        self.bytes += match &item.item {
            Item::Chat(chat) => weight(&chat.record),
            Item::Transcript(transcript) => transcript.lines.iter().map(weight_of_line).sum(),
        };
        self.bytes += item.item.participants().len() * 64;
        self.batch.push(Numbered::Item(Box::new(item)));
    }

    /// Finds the attachments of an item. Its id was taken before: where an attachment is must change nothing of it.
    fn fill(&self, item: &mut NumberedItem) -> Result<(), Ended> {
        let ordinal = item.ordinal;
        match &mut item.item {
            Item::Chat(chat) => {
                if let Body::File(file) = &mut chat.record.body {
                    item.attachments.push(self.attached.fill(ordinal, file)?);
                }
            }
            Item::Transcript(transcript) => {
                for line in &mut transcript.lines {
                    if let Line::Item(spoken) = line
                        && let Body::File(file) = &mut spoken.record.body
                    {
                        item.attachments.push(self.attached.fill(spoken.ordinal, file)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// The attachment that a record names, as an item of its own, if the archive of this turn is the first to have it. Its
    /// id, and what it follows, the item that names it says.
    fn later(
        &self,
        turn: usize,
        of: u64,
        since: Timestamp,
        item: impl FnOnce() -> ChatItem,
        record: &ItemRecord,
    ) -> Result<Option<NumberedItem>, Ended> {
        let Body::File(file) = &record.body else { return Ok(None) };
        if !matches!(file.data, FileData::Awaited) {
            return Ok(None);
        }
        let Some((opened, at)) = file.reference.as_deref().and_then(|name| self.attached.later(turn, of, name)) else {
            return Ok(None);
        };
        let mut item = item();
        let Body::File(file) = &mut item.record.body else { return Ok(None) };
        let found = self.attached.take(of, file, opened, at)?;
        let Some((sha256, _)) = found.content else { return Ok(None) };
        let mut numbered = message(((turn as u64 + 1) << TURN) | of, item);
        numbered.message_key = None;
        numbered.attachments.push(found);
        numbered.later = Some(Later { turn, of, since, sha256 });
        Ok(Some(numbered))
    }

    pub(super) fn send(&mut self) -> Result<(), Ended> {
        self.bytes = 0;
        if self.batch.is_empty() {
            return Ok(());
        }
        self.sender.send(std::mem::take(&mut self.batch)).map_err(|_| Ended::Gone)
    }
}

impl NumberedItem {
    /// What is too large for a mail and stands in the export stays there. The ids are final by now, for which it was needed.
    pub(super) fn let_go_of_what_is_too_large(&mut self) {
        for found in self.attachments.iter().filter(|found| found.is_oversize() && found.reference.is_none()) {
            let Some((sha256, bytes)) = found.content else { continue };
            let body = match &mut self.item {
                Item::Chat(chat) => Some(&mut chat.record.body),
                Item::Transcript(transcript) => body_of(transcript, found),
            };
            if let Some(Body::File(file)) = body {
                file.data = FileData::Oversize { bytes, sha256 };
            }
        }
    }
}

fn body_of<'a>(transcript: &'a mut Transcript, found: &AttachmentRow) -> Option<&'a mut Body> {
    transcript.lines.iter_mut().find_map(|line| match line {
        Line::Item(spoken) if spoken.ordinal == found.ordinal => Some(&mut spoken.record.body),
        _ => None,
    })
}

fn message(ordinal: u64, item: ChatItem) -> NumberedItem {
    NumberedItem {
        ordinal,
        time: item.record.time.as_second(),
        id: item_id(&item.record, &item.room, None),
        participants: participants_digest(&item.participants),
        message_key: message_key(&item.record, &item.room),
        item: Item::Chat(item),
        within: Vec::new(),
        words: Vec::new(),
        follows: None,
        attachments: Vec::new(),
        later: None,
    }
}

/// A conversation's day.
fn day(transcript: Box<Transcript>, by_words: bool) -> NumberedItem {
    let within = transcript.items().map(|(ordinal, record, participants)| Arrival {
        time: record.time.as_second(),
        id: item_id(&record, &transcript.room, None),
        ordinal,
        participants,
        message_key: message_key(&record, &transcript.room),
    });
    NumberedItem {
        ordinal: transcript.ordinal,
        time: transcript.time.as_second(),
        id: transcript_id(&transcript, [], []),
        participants: participants_digest(&transcript.participants),
        message_key: None,
        within: within.collect(),
        words: if by_words { transcript.words().collect() } else { Vec::new() },
        item: Item::Transcript(transcript),
        follows: None,
        attachments: Vec::new(),
        later: None,
    }
}

/// What a record weighs in memory.
fn weight(record: &ItemRecord) -> usize {
    let content = match &record.body {
        Body::Text(text) => text.len(),
        Body::File(file) => match &file.data {
            FileData::Inside(data) | FileData::Found(data) => data.len(),
            FileData::Awaited | FileData::Oversize { .. } | FileData::Missing => 0,
        },
    };
    let source = record.details.as_ref().and_then(|details| details.source.as_ref());
    content + source.map_or(0, |source| source.len()) + record.recipients.len() * 64 + 512
}

fn weight_of_line(line: &Line) -> usize {
    match line {
        Line::Item(spoken) => weight(&spoken.record),
        Line::Event(happened) => happened.record.text.as_ref().map_or(0, |text| text.len()) + 512,
        Line::Unreadable { .. } => 64,
    }
}

/// An attachment within a transcript that an archive may have, as an item of its own.
fn awaited(line: &Line, transcript: &Transcript) -> Option<(u64, ChatItem)> {
    let Line::Item(spoken) = line else { return None };
    let Body::File(FileBody { data: FileData::Awaited, .. }) = &spoken.record.body else { return None };
    Some((spoken.ordinal, transcript.item_of(spoken)))
}
