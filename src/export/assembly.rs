//! From elements, as the reader meets them, to records, as the profile's layout arranges them.
//!
//! Knows no XML beyond elements, attributes and text, and no element's name.

mod closing;

use self::closing::RoomDraft;
use super::base64::{Decoder, Failure};
use super::draft::{Draft, Reason};
use super::fault::Fault;
use super::grammar::{Attribute, is_name};
use super::layout::{Layout, NodeId, Opens, ROOT, RecordKind, Slot};
use super::profile::Profile;
use super::reader::{ReadLimits, Step};
use super::source::WINDOW;
use super::tally::Tally;

/// Elements may be nested so deeply.
const MAX_DEPTH: usize = 128;
/// Bytes of any field but content and data.
pub(super) const MAX_FIELD: usize = 64 * 1024;
/// Bytes of an event's record. No setting: what words a transcript has is part of what it is known by, and a replay under a
/// wider limit must find the same.
pub(super) const MAX_EVENT: u64 = 1 << 20;

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
    draft: Draft,
    in_record: bool,
    /// What the last element made.
    step: Option<Step>,
    room: RoomDraft,
    /// Unbroken runs of history records so far, and whether the last record was one.
    runs: u64,
    in_run: bool,
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
            draft: Draft::default(),
            in_record: false,
            step: None,
            room: RoomDraft::default(),
            runs: 0,
            in_run: false,
            tally: Tally::new(profile),
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
            Some(Collect::Deep) => self.max_record().saturating_sub(self.record_bytes()),
            _ => WINDOW as u64,
        }
    }

    /// Whether text that comes next is attachment data.
    pub(super) fn takes_data(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.collect == Collect::Data)
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
    pub(super) fn open(&mut self, name: &str, offset: u64) -> Result<bool, Fault> {
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
        let mut made = false;
        match place {
            Place::Known(node) => made = self.open_known(node, offset, &mut frame),
            Place::Unknown => self.open_unknown(name),
            Place::Ignored => {}
        }
        self.frames.push(frame);
        Ok(made)
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

    fn open_known(&mut self, id: NodeId, offset: u64, frame: &mut Frame) -> bool {
        self.tally.found(id);
        let node = self.layout.node(id);
        match node.fills.map(|target| target.slot) {
            Some(Slot::Content) => frame.collect = Collect::Deep,
            Some(Slot::Data) => {
                frame.collect = Collect::Data;
                self.decoder = Some(Decoder::new(self.limits.max_attachment));
            }
            Some(_) => frame.collect = Collect::Own,
            None => {}
        }
        match node.opens {
            Opens::Nothing | Opens::Recipients => {}
            Opens::Ignored => frame.place = Place::Ignored,
            Opens::Record(RecordKind::Ignored) => {
                self.tally.record(RecordKind::Ignored);
                frame.place = Place::Ignored;
            }
            Opens::Record(kind) => {
                self.tally.record(kind);
                self.draft.begin(kind);
                self.in_record = true;
                (self.record_offset, self.record_data) = (offset, 0);
            }
            Opens::Recipient => self.on_draft(Draft::begin_recipient),
            Opens::Conversation => {
                self.room = RoomDraft::default();
                self.in_run = false;
                self.tally.conversation();
                self.step = Some(Step::Begin);
                return true;
            }
        }
        false
    }

    fn open_unknown(&mut self, name: &str) {
        if let Some(Frame { place: Place::Known(parent), .. }) = self.frames.last() {
            self.trail.clear();
            self.trail.push_str(&self.layout.paths()[*parent]);
        }
        self.trail.push('/');
        self.trail.push_str(name);
        self.on_draft(|draft| draft.is_odd = true);
        self.tally.unknown(&self.trail);
    }

    /// Whether what was opened last is a record.
    pub(super) fn opened_record(&self) -> bool {
        let Some(Frame { place: Place::Known(node), .. }) = self.frames.last() else { return false };
        matches!(self.layout.node(*node).opens, Opens::Record(_))
    }

    /// Whether a record is open.
    pub(super) fn in_record(&self) -> bool {
        self.in_record
    }

    /// Bytes that a record may have, attachment data not counted.
    pub(super) fn max_record(&self) -> u64 {
        if self.in_record && matches!(self.draft.kind(), RecordKind::Event(_)) {
            MAX_EVENT
        } else {
            self.limits.max_message
        }
    }

    /// Says on which line the record that was opened last begins.
    pub(super) fn record_line(&mut self, line: u64) {
        self.on_draft(|draft| draft.begins_on(line));
    }

    fn on_draft(&mut self, change: impl FnOnce(&mut Draft)) {
        if self.in_record {
            change(&mut self.draft);
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
            self.on_draft(|draft| draft.is_odd = true);
            self.tally.unknown_in(node, &format!("/@{}", attribute.name));
            return Ok(());
        };
        self.tally.found(known.path);
        known.fills.map_or(Ok(()), |target| self.fill(target, attribute.value, known.path))
    }

    /// Text in the open element, from a piece of `bytes` bytes; `blank` if the whole piece is white space.
    pub(super) fn text(&mut self, text: &str, bytes: u64, blank: bool) -> Result<(), Fault> {
        let limit = self.max_record();
        let too_long = self.record_bytes() > limit;
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        match frame.collect {
            Collect::Own => {
                self.text.push_str(text);
                if bytes > MAX_FIELD as u64 || self.text.len() - frame.text > MAX_FIELD {
                    return self.drop_field();
                }
            }
            Collect::Deep if too_long => self.on_draft(|draft| draft.is_too_long(limit)),
            Collect::Deep => self.text.push_str(text),
            Collect::Data => self.data(text, bytes),
            Collect::Nothing => {
                if let (Place::Known(node), false, false) = (frame.place, blank, frame.stray) {
                    frame.stray = true;
                    self.on_draft(|draft| draft.is_odd = true);
                    self.tally.unknown_in(node, "/text()");
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
        let field = self.layout.node(node).fills.map_or("field", |target| target.slot.words());
        if !self.in_record {
            return Err(Fault::LongField { field, bytes: MAX_FIELD });
        }
        self.draft.fail(Reason::LongField(field));
        Ok(())
    }
}
