//! From elements, as the reader meets them, to records, as the profile's layout arranges them.
//!
//! Knows no XML beyond elements, attributes and text, and no element's name.

use super::base64::{Decoder, Failure};
use super::draft::{Draft, Finished, Reason, settle_text};
use super::fault::Fault;
use super::grammar::{Attribute, is_name};
use super::layout::{Layout, NodeId, Opens, ROOT, RecordKind, Slot};
use super::profile::Profile;
use super::reader::{ReadLimits, Step, Summary};
use super::source::WINDOW;
use super::tally::{ANOTHER_VALUE, Tally};
use super::{Header, Room};

/// Elements may be nested so deeply.
const MAX_DEPTH: usize = 128;
/// Bytes of any field but content and data.
pub(super) const MAX_FIELD: usize = 64 * 1024;

/// What happens to the text of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collect {
    /// Nothing expects text here.
    Nothing,
    /// It is a field's, its children's is not.
    Own,
    /// It is a field's, and so is its children's.
    Deep,
    /// It is attachment data.
    Data,
    /// It was a field's, but the field is too long.
    Dropped,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Known(NodeId),
    Unknown,
    /// In an element that is known not to matter.
    Ignored,
}

#[derive(Debug)]
struct Frame {
    place: Place,
    collect: Collect,
    /// Where in the collected text this element's begins.
    text: usize,
    /// The length of the unknown path before this element.
    trail: usize,
    stray: bool,
}

/// The state between two pieces of an export.
#[derive(Debug)]
pub(super) struct Assembly<'p> {
    profile: &'p Profile,
    layout: &'p Layout,
    limits: ReadLimits,
    frames: Vec<Frame>,
    text: String,
    trail: String,
    decoder: Option<Decoder>,
    /// Bytes of the export up to the end of the last piece.
    offset: u64,
    /// Where the record began.
    record_offset: u64,
    /// Bytes of attachment data in the record, as they stand in the export.
    record_data: u64,
    draft: Option<Draft>,
    room: Room,
    tally: Tally<'p>,
}

impl<'p> Assembly<'p> {
    pub(super) fn new(profile: &'p Profile, limits: ReadLimits) -> Self {
        Self {
            profile,
            layout: &profile.layout,
            limits,
            frames: Vec::new(),
            text: String::new(),
            trail: String::new(),
            decoder: None,
            offset: 0,
            record_offset: 0,
            record_data: 0,
            draft: None,
            room: Room::default(),
            tally: Tally::new(&profile.layout),
        }
    }

    /// Room taken by collected text.
    #[cfg(test)]
    pub(super) fn collected(&self) -> usize {
        self.text.capacity()
    }

    /// How many elements are open.
    pub(super) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// How many bytes of the next piece may be needed; of a longer one, only that it is longer.
    pub(super) fn keep(&self) -> u64 {
        match self.frames.last().map(|frame| frame.collect) {
            Some(Collect::Data) => self.max_data_text(),
            Some(Collect::Deep) => self.limits.max_message.saturating_sub(self.record_bytes()),
            _ => WINDOW as u64,
        }
    }

    /// A piece of base64 text longer than this is too long however much of it is white space.
    fn max_data_text(&self) -> u64 {
        self.limits.max_attachment.saturating_mul(2).saturating_add(WINDOW as u64)
    }

    fn record_bytes(&self) -> u64 {
        self.offset - self.record_offset - self.record_data
    }

    /// Says where the next piece ends.
    pub(super) fn advance(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// An element begins at byte `offset`. A record that begins with it needs [`Self::record_line`] next.
    pub(super) fn open(&mut self, name: &str, offset: u64) -> Result<Option<Step>, Fault> {
        if self.frames.len() == MAX_DEPTH {
            return Err(Fault::Deep(MAX_DEPTH));
        }
        let place = self.place(name)?;
        // What the profile does not know inside a content is part of the text; what it does know has its own place.
        let inherited = match (place, self.frames.last()) {
            (Place::Unknown, Some(Frame { collect: Collect::Deep, .. })) => Collect::Deep,
            _ => Collect::Nothing,
        };
        let mut frame =
            Frame { place, collect: inherited, text: self.text.len(), trail: self.trail.len(), stray: false };
        let mut step = None;
        match place {
            Place::Known(node) => step = self.open_known(node, offset, &mut frame),
            Place::Unknown => self.open_unknown(name),
            Place::Ignored => {}
        }
        self.frames.push(frame);
        Ok(step)
    }

    fn place(&self, name: &str) -> Result<Place, Fault> {
        let place = match self.frames.last() {
            None if *self.profile.root == *name => Place::Known(ROOT),
            None => {
                let (expected, found) = (self.profile.root.to_string(), name.chars().take(64).collect());
                return Err(if is_name(name) { Fault::Root { expected, found } } else { Fault::Name });
            }
            Some(Frame { place: Place::Known(parent), .. }) => {
                self.layout.child(*parent, name).map_or(Place::Unknown, Place::Known)
            }
            Some(frame) => frame.place,
        };
        // Names in the profile are sound; all others are looked at here.
        let sound = matches!(place, Place::Known(_)) || is_name(name);
        if sound { Ok(place) } else { Err(Fault::Name) }
    }

    fn open_known(&mut self, id: NodeId, offset: u64, frame: &mut Frame) -> Option<Step> {
        self.tally.found(id);
        let node = self.layout.node(id);
        match node.slot {
            Some(Slot::Content) => frame.collect = Collect::Deep,
            Some(Slot::Data) => {
                frame.collect = Collect::Data;
                self.decoder = Some(Decoder::new(self.limits.max_attachment));
            }
            Some(_) => frame.collect = Collect::Own,
            None => {}
        }
        match node.opens {
            Opens::Nothing => {}
            Opens::Ignored => frame.place = Place::Ignored,
            Opens::Record(RecordKind::Event) => {
                self.tally.summary.other_events += 1;
                frame.place = Place::Ignored;
            }
            Opens::Record(kind) => {
                self.draft = Some(Draft::new(kind));
                (self.record_offset, self.record_data) = (offset, 0);
            }
            Opens::Recipient => self.on_draft(Draft::begin_recipient),
            Opens::Conversation => {
                self.room = Room::default();
                return Some(Step::Begin);
            }
        }
        None
    }

    fn open_unknown(&mut self, name: &str) {
        if let Some(Frame { place: Place::Known(parent), .. }) = self.frames.last() {
            self.trail.clear();
            self.trail.push_str(&self.layout.paths()[*parent]);
        }
        self.trail.push('/');
        self.trail.push_str(name);
        self.tally.unknown(&self.trail, "");
    }

    /// Whether what was opened last is a record.
    pub(super) fn opened_record(&self) -> bool {
        let Some(Frame { place: Place::Known(node), .. }) = self.frames.last() else { return false };
        matches!(self.layout.node(*node).opens, Opens::Record(_))
    }

    /// Says on which line the record that was opened last begins.
    pub(super) fn record_line(&mut self, line: u64) {
        self.on_draft(|draft| draft.begins_on(line));
    }

    fn on_draft(&mut self, change: impl FnOnce(&mut Draft)) {
        if let Some(draft) = &mut self.draft {
            change(draft);
        }
    }

    /// An attribute of the element that was opened last.
    pub(super) fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), Fault> {
        // Namespace declarations and what XML itself defines say nothing about chat.
        let xml = matches!(attribute.prefix, Some("xmlns" | "xml" | "xsi"));
        let Some(Frame { place: Place::Known(node), .. }) = self.frames.last() else { return Ok(()) };
        if xml || (attribute.prefix.is_none() && attribute.name == "xmlns") {
            return Ok(());
        }
        let node = *node;
        let known = self.layout.node(node).attributes.iter().find(|(name, _)| **name == *attribute.name);
        let Some((_, known)) = known else {
            self.tally.unknown_at(node, &format!("/@{}", attribute.name));
            return Ok(());
        };
        self.tally.found(known.path);
        known.slot.map_or(Ok(()), |slot| self.fill(slot, attribute.value, known.path))
    }

    /// Text in the open element, from a piece of `bytes` bytes; `blank` if the whole piece is white space.
    pub(super) fn text(&mut self, text: &str, bytes: u64, blank: bool) -> Result<(), Fault> {
        let too_long = self.record_bytes() > self.limits.max_message;
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        match frame.collect {
            Collect::Own => {
                self.text.push_str(text);
                if bytes > MAX_FIELD as u64 || self.text.len() - frame.text > MAX_FIELD {
                    return self.drop_field();
                }
            }
            Collect::Deep if too_long => {
                let limit = self.limits.max_message;
                self.on_draft(|draft| draft.fail(Reason::TooLong(limit)));
            }
            Collect::Deep => self.text.push_str(text),
            Collect::Data => self.data(text, bytes),
            Collect::Nothing => {
                if let (Place::Known(node), false, false) = (frame.place, blank, frame.stray) {
                    frame.stray = true;
                    self.tally.unknown_at(node, "/text()");
                }
            }
            Collect::Dropped => {}
        }
        Ok(())
    }

    fn data(&mut self, text: &str, bytes: u64) {
        self.record_data += bytes;
        let too_long = bytes > self.max_data_text();
        if let Some(decoder) = &mut self.decoder {
            if too_long { decoder.fail(Failure::TooLong) } else { decoder.feed(text) }
        }
    }

    /// The field of the open element is too long.
    fn drop_field(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.collect = Collect::Dropped;
        self.text.truncate(frame.text);
        let Place::Known(node) = frame.place else { return Ok(()) };
        let field = self.layout.node(node).slot.map_or("field", Slot::words);
        match &mut self.draft {
            Some(draft) => {
                draft.fail(Reason::LongField(field));
                Ok(())
            }
            None => Err(Fault::LongField { field, bytes: MAX_FIELD }),
        }
    }

    /// The open element ends.
    pub(super) fn close(&mut self) -> Result<Option<Step>, Fault> {
        let Some(frame) = self.frames.pop() else { return Ok(None) };
        match frame.place {
            Place::Known(node) => self.close_known(node, &frame),
            Place::Unknown => {
                self.trail.truncate(frame.trail);
                Ok(None)
            }
            Place::Ignored => Ok(None),
        }
    }

    fn close_known(&mut self, id: NodeId, frame: &Frame) -> Result<Option<Step>, Fault> {
        let node = self.layout.node(id);
        if let (Collect::Own | Collect::Deep, Some(slot)) = (frame.collect, node.slot) {
            let text = std::mem::take(&mut self.text);
            let filled = self.fill(slot, &text[frame.text..], id);
            self.text = text;
            self.text.truncate(frame.text);
            filled?;
        }
        if let (Collect::Data, Some(decoder)) = (frame.collect, self.decoder.take()) {
            let limit = self.limits.max_attachment;
            self.on_draft(|draft| draft.fill_data(decoder.finish(), limit));
        }
        match node.opens {
            Opens::Recipient => self.close_recipient().map(|()| None),
            Opens::Record(_) => Ok(self.close_record(id)),
            Opens::Conversation => Ok(Some(Step::End(std::mem::take(&mut self.room)))),
            Opens::Nothing | Opens::Ignored => Ok(None),
        }
    }

    fn close_recipient(&mut self) -> Result<(), Fault> {
        let recipients = self.draft.as_mut().map_or(0, Draft::end_recipient);
        if recipients as u64 > self.limits.max_participants {
            return Err(Fault::too_many("participants", self.limits.max_participants));
        }
        Ok(())
    }

    fn close_record(&mut self, id: NodeId) -> Option<Step> {
        let bytes = self.offset - self.record_offset;
        let too_long = self.record_bytes() > self.limits.max_message;
        if self.text.capacity() > WINDOW {
            self.text = String::new();
        }
        let mut draft = self.draft.take()?;
        if too_long {
            draft.fail(Reason::TooLong(self.limits.max_message));
        }
        self.tally.summary.unreadable_times += u64::from(draft.unreadable_time);
        self.tally.summary.nameless_recipients += draft.nameless;
        let Finished { record, complaint } = draft.finish();
        if let Some(complaint) = complaint {
            self.tally.unknown_at(id, &format!(" ({complaint})"));
        }
        record.map(|record| Step::Record { record, bytes })
    }

    fn fill(&mut self, slot: Slot, text: &str, path: usize) -> Result<(), Fault> {
        match slot {
            Slot::RoomId if settle_text(&mut self.room.id, text) => {}
            Slot::RoomId => return Err(Fault::Ambiguous(slot.words())),
            Slot::RoomName => {
                if !settle_text(&mut self.room.name, text) {
                    self.tally.unknown_at(path, ANOTHER_VALUE);
                }
            }
            Slot::FirmCode => self.tally.firm_code(text, path),
            Slot::Date => self.tally.date(text, path),
            _ => self.on_draft(|draft| draft.fill(slot, text)),
        }
        Ok(())
    }

    /// The name of the innermost open element that the profile knows.
    pub(super) fn innermost(&self) -> String {
        let known = self.frames.iter().rev().find_map(|frame| match frame.place {
            Place::Known(node) => Some(node),
            Place::Unknown | Place::Ignored => None,
        });
        let path = &self.layout.paths()[known.unwrap_or(ROOT)];
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }

    /// What was found, once the export has been read to its end.
    pub(super) fn finish(self) -> Summary {
        self.tally.finish()
    }

    /// What the export says of itself so far.
    pub(super) fn header(&self) -> &Header {
        &self.tally.summary.header
    }
}
