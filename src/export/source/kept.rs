//! A record as it stands in the export, for the few that hold what the profile does not name.
//!
//! Whether a record is one of these is known only at its end. Until then most of it is still in the buffer; what leaves the
//! buffer earlier is kept here, attachment data left out.

use std::io::Read;

use super::{Piece, Source};

/// The part of the open record that has left the buffer.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    text: Vec<u8>,
    /// Whether a record is open. Before it is, the tag that may begin one is kept.
    is_open: bool,
    /// The text is the record up to this byte of the export.
    until: u64,
    /// Bytes of attachment data that were left out at the end of the text.
    elided: u64,
    /// Bytes of the text that say so and are not the record's.
    notes: u64,
    /// The text's length and the two before where the current piece begins, if part of the piece has left the buffer while it
    /// may yet turn out to be data.
    mark: Option<(usize, u64, u64)>,
    max: u64,
    is_full: bool,
}

impl Keeper {
    /// Whether something must be done where a piece begins: rarely.
    pub(super) fn is_busy(&self) -> bool {
        !self.text.is_empty()
    }

    /// What is kept begins here, unless something is.
    fn begin(&mut self, offset: u64) {
        if self.text.is_empty() {
            self.until = offset;
        }
    }

    /// A record of at most so many bytes, data aside, begins with the piece that begins here.
    fn open(&mut self, max: u64, offset: u64) {
        self.begin(offset);
        // A record within another is refused with the profile.
        (self.is_open, self.max) = (true, max);
    }

    /// The record is whole, or it is not wanted.
    fn close(&mut self) {
        (self.is_open, self.is_full, self.mark) = (false, false, None);
        (self.elided, self.notes) = (0, 0);
        if self.text.capacity() > super::WINDOW {
            self.text = Vec::new();
        }
    }

    /// Takes bytes that follow those it has.
    fn push(&mut self, bytes: &[u8], until: u64) {
        self.until = until;
        if bytes.is_empty() || self.is_full {
            return;
        }
        // Exact only at the end: what may yet be left out counts here.
        if self.is_open && self.length(bytes) > self.max.saturating_add(64) {
            (self.text, self.is_full) = (Vec::new(), true);
            return;
        }
        self.notes += write_elided(&mut self.text, self.elided);
        self.elided = 0;
        self.text.extend_from_slice(bytes);
    }

    /// Bytes of the record, data aside, with these.
    fn length(&self, bytes: &[u8]) -> u64 {
        (self.text.len() + bytes.len()) as u64 - self.notes
    }

    /// Remembers where the current piece begins: the text is kept up to it.
    fn mark(&mut self) {
        self.mark.get_or_insert((self.text.len(), self.elided, self.notes));
    }

    /// Whether [`Self::mark`] was called for the current piece.
    fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    /// The current piece ends; it is no data.
    fn unmark(&mut self) {
        self.mark = None;
    }

    /// The current piece, which ends here, was data; the text is kept up to its beginning, or was when it was marked.
    fn elide(&mut self, bytes: u64, until: u64) {
        if let Some((length, elided, notes)) = self.mark.take() {
            self.text.truncate(length);
            (self.elided, self.notes) = (elided, notes);
        }
        self.elided += bytes;
        self.until = until;
    }
}

/// The open record: what has left the buffer, and what is in it.
#[derive(Debug)]
pub(in crate::export) struct Kept<'a> {
    keeper: &'a Keeper,
    /// What was consumed of the buffer.
    buffer: &'a [u8],
    /// Bytes of the export before it.
    base: u64,
}

impl Kept<'_> {
    /// The record from its first byte to the end of the last piece; none where that is longer than a record may be.
    pub(in crate::export) fn text(&self) -> Option<Box<str>> {
        let Keeper { text, elided, is_open: true, is_full: false, .. } = self.keeper else { return None };
        let from = usize::try_from(self.keeper.until.saturating_sub(self.base)).ok()?;
        let rest = self.buffer.get(from..)?;
        if self.keeper.length(rest) > self.keeper.max {
            return None;
        }
        let mut text = text.clone();
        write_elided(&mut text, *elided);
        text.extend_from_slice(rest);
        String::from_utf8(text).ok().map(Into::into)
    }
}

/// Says what is not there, and how many bytes that takes.
fn write_elided(text: &mut Vec<u8>, bytes: u64) -> u64 {
    if bytes == 0 {
        return 0;
    }
    let note = format!("<!-- {bytes} bytes of attachment data left out -->");
    text.extend_from_slice(note.as_bytes());
    note.len() as u64
}

impl<R: Read> Source<R> {
    /// A record of at most so many bytes, data aside, begins with the current piece.
    pub(in crate::export) fn keep_record(&mut self, max: u64) {
        self.keeper.open(max, self.piece.offset);
    }

    /// The current piece ends here, and another begins.
    #[cold]
    pub(super) fn between_pieces(&mut self, offset: u64) {
        if !self.keeper.is_open {
            self.keeper.text.clear();
        } else if self.piece.data {
            self.leave_out_data(offset);
        }
    }

    /// The record is not wanted any more.
    pub(in crate::export) fn forget_record(&mut self) {
        self.keeper.close();
    }

    /// The open record up to here.
    pub(in crate::export) fn kept(&self) -> Kept<'_> {
        Kept { keeper: &self.keeper, buffer: &self.buffer[..self.at], base: self.base }
    }

    /// The place in the buffer of what was consumed from a byte of the export on.
    fn in_buffer(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base)).unwrap_or(self.at).min(self.at)
    }

    /// Whether the current piece is attachment data.
    fn is_data(&self) -> bool {
        let is_text = matches!(self.piece(), Piece::Text | Piece::Section | Piece::Reference);
        self.piece.data && is_text && self.piece_len() > 0
    }

    /// The current piece, of an element with attachment data, ends here.
    fn leave_out_data(&mut self, end: u64) {
        if self.is_data() {
            self.keep_before_piece();
            self.keeper.elide(self.piece_len(), end);
        }
        self.keeper.unmark();
    }

    /// Keeps what stands before the current piece.
    fn keep_before_piece(&mut self) {
        if !self.keeper.is_marked() {
            let (from, to) = (self.in_buffer(self.keeper.until), self.in_buffer(self.piece.offset));
            self.keeper.push(&self.buffer[from..to], self.piece.offset);
            self.keeper.mark();
        }
    }

    /// Keeps of the record what is about to leave the buffer.
    pub(super) fn keep_consumed(&mut self) {
        if !self.keeper.is_open {
            if self.piece() != Piece::Tag {
                return;
            }
            self.keeper.begin(self.piece.offset);
        }
        if self.piece.data {
            self.keep_before_piece();
        }
        let bytes = if self.is_data() { self.at..self.at } else { self.in_buffer(self.keeper.until)..self.at };
        self.keeper.push(&self.buffer[bytes], self.base + self.at as u64);
    }
}
