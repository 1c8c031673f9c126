//! What becomes of elements at their ends: fields settle, recipients and records are whole, a room is known.

use super::super::base64::Decoder;
use super::super::draft::{Draft, Finished, Ranked, Settled};
use super::super::fault::Fault;
use super::super::layout::{NodeId, Opens, ROOT, RecordKind, Slot, Target};
use super::super::reader::{Step, Summary};
use super::super::source::{Kept, WINDOW};
use super::super::{Header, Room};
use super::{Assembly, Collect, Frame, Place};

/// What a conversation has said of itself so far.
#[derive(Debug, Default)]
pub(super) struct RoomDraft {
    id: Ranked<Box<str>>,
    name: Ranked<Box<str>>,
}

impl RoomDraft {
    /// The room; it cannot have two ids.
    fn finish(&mut self) -> Result<Room, Fault> {
        if self.id.is_twice() {
            return Err(Fault::Ambiguous(Slot::RoomId.words()));
        }
        Ok(Room { id: self.id.take(), name: self.name.take() })
    }
}

impl Assembly<'_> {
    /// The open element ends. Says whether that makes a step; `kept` has the record as it stands in the export, up to its
    /// end.
    pub(in crate::export) fn close(&mut self, kept: &Kept<'_>) -> Result<bool, Fault> {
        let Some(frame) = self.frames.pop() else { return Ok(false) };
        match frame.place {
            Place::Known(node) => self.close_known(node, &frame, kept),
            Place::Unknown => {
                self.trail.truncate(frame.trail);
                Ok(false)
            }
            Place::Ignored => Ok(false),
        }
    }

    fn close_known(&mut self, id: NodeId, frame: &Frame, kept: &Kept<'_>) -> Result<bool, Fault> {
        let node = self.layout.node(id);
        if let (Collect::Own | Collect::Deep, Some(target)) = (frame.collect, node.fills) {
            let text = std::mem::take(&mut self.text);
            let filled = self.fill(target, &text[frame.text..], id);
            self.text = text;
            self.text.truncate(frame.text);
            filled?;
        }
        if let (Collect::Data, Some(decoder)) = (frame.collect, self.decoder.take()) {
            let (limit, rank) = (self.limits.max_attachment, node.fills.map_or(0, |target| target.rank));
            self.on_draft(|draft| draft.fill_data(rank, decoder.finish(), limit));
        }
        match node.opens {
            Opens::Recipient => {
                self.on_draft(Draft::end_recipient);
                self.check_recipients()?;
            }
            Opens::Record(_) if self.in_record => self.close_record(id, kept),
            Opens::Conversation => self.step = Some(Step::End(self.room.finish()?)),
            Opens::Recipients => self.on_draft(Draft::end_list),
            Opens::Nothing | Opens::Record(_) | Opens::Ignored => {}
        }
        Ok(self.step.is_some())
    }

    fn check_recipients(&self) -> Result<(), Fault> {
        let recipients = if self.in_record { self.draft.recipients() } else { 0 };
        if recipients as u64 > self.limits.max_participants {
            return Err(Fault::too_many("participants", self.limits.max_participants));
        }
        Ok(())
    }

    fn close_record(&mut self, id: NodeId, kept: &Kept<'_>) {
        let bytes = self.offset - self.record_offset;
        let limit = self.max_record();
        let too_long = self.record_bytes() > limit;
        if self.text.capacity() > WINDOW {
            self.text = String::new();
        }
        let run = self.run(self.draft.kind());
        let draft = &mut self.draft;
        if too_long {
            draft.is_too_long(limit);
        }
        self.tally.summary.unreadable_times += u64::from(draft.has_unreadable_time());
        self.tally.summary.nameless_recipients += draft.nameless;
        let Finished { record, complaint } = draft.finish(self.layout, run, || kept.text());
        draft.end();
        self.in_record = false;
        if let Some(complaint) = complaint {
            self.tally.odd_at(id, &format!(" ({complaint})"));
        }
        self.step = record.map(|record| Step::Record { record, bytes });
    }

    /// The number of the unbroken run of history records that a record of this kind goes on with or begins.
    fn run(&mut self, kind: RecordKind) -> Option<u64> {
        let before = std::mem::replace(&mut self.in_run, kind == RecordKind::History);
        if !self.in_run {
            return None;
        }
        self.runs += u64::from(!before);
        Some(self.runs - 1)
    }

    pub(super) fn fill(&mut self, target: Target, text: &str, path: usize) -> Result<(), Fault> {
        let Target { slot, rank } = target;
        match slot {
            Slot::RoomId => {
                if self.room.id.settle_text(rank, text) == Settled::Twice && rank == 0 {
                    return Err(Fault::Ambiguous(slot.words()));
                }
            }
            Slot::RoomName => {
                if self.room.name.settle_text(rank, text) == Settled::Twice {
                    self.tally.another_value(path);
                }
            }
            Slot::FirmCode => self.tally.firm_code(text, rank, path),
            Slot::Date => self.tally.date(text, rank, path),
            Slot::Total(total) => self.tally.told(total, text),
            // Of an attribute: what stands in an element is decoded as it arrives.
            Slot::Data => {
                let limit = self.limits.max_attachment;
                let mut decoder = Decoder::new(limit);
                decoder.feed(text);
                self.on_draft(|draft| draft.fill_data(rank, decoder.finish(), limit));
            }
            Slot::Recipients(..) => {
                let profile = self.profile;
                self.on_draft(|draft| draft.fill(target, text, profile));
                return self.check_recipients();
            }
            _ => {
                if self.in_record {
                    let draft = &mut self.draft;
                    let before = draft.has_unreadable_time();
                    draft.fill(target, text, self.profile);
                    if slot == Slot::Time && !before && draft.has_unreadable_time() {
                        self.tally.unreadable_time(path, text);
                    }
                }
            }
        }
        Ok(())
    }

    /// What the last element made.
    pub(in crate::export) fn take_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    /// The name of the innermost open element that the profile knows.
    pub(in crate::export) fn innermost(&self) -> String {
        let known = self.frames.iter().rev().find_map(|frame| match frame.place {
            Place::Known(node) => Some(node),
            Place::Unknown | Place::Ignored => None,
        });
        let path = &self.layout.paths()[known.unwrap_or(ROOT)];
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// What was found, once the export has been read to its end.
    pub(in crate::export) fn finish(self) -> Summary {
        self.tally.finish()
    }

    /// What the export says of itself so far.
    pub(in crate::export) fn header(&self) -> Header {
        self.tally.header()
    }
}
