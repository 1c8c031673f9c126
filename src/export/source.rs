//! What stands between the plaintext and the XML tokeniser, which has neither limits nor an eye for encodings.
//!
//! Every byte that passes is valid UTF-8 and a character that XML allows; whoever reads can ask at any time where the
//! current piece of markup or text begins; and no piece makes the tokeniser keep more of it than was asked for: the rest
//! of a long text, CDATA section or comment is checked and swallowed here. What comes out is the same however the input
//! is cut into reads.

mod kept;
mod swallow;

use std::io::{self, BufRead, Read};

use self::kept::Keeper;
pub(super) use self::kept::Kept;

use super::fault::{ExportError, Fault, Position};
use super::grammar::is_allowed;

/// Bytes read at a time, and the least a text keeps.
pub(super) const WINDOW: usize = 64 * 1024;
/// Longer tags are refused.
pub(super) const MAX_TAG: u64 = 64 * 1024;
/// Longer references (`&…;`) are none.
pub(super) const MAX_REFERENCE: u64 = 64;

/// What the tokeniser is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Text,
    Reference,
    Section,
    Comment,
    Doctype,
    Tag,
}

/// The plaintext, measured and checked.
#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    /// `buffer[at..good]` is checked and not yet consumed; `buffer[good..filled]` begins with a character that is cut or
    /// that `flaw` condemns.
    at: usize,
    good: usize,
    filled: usize,
    flaw: Option<Fault>,
    ended: bool,
    /// Bytes consumed before `buffer[0]`.
    base: u64,
    /// The place of `buffer[counted]`.
    place: Position,
    counted: usize,
    piece: PieceState,
    keeper: Keeper,
    error: Option<ExportError>,
}

/// The piece the tokeniser asked for last.
#[derive(Debug, Clone, Copy)]
struct PieceState {
    /// Where it begins, counted in bytes from the beginning of the export.
    offset: u64,
    /// Its place, once its first byte has left the buffer.
    place: Option<Position>,
    /// Its first bytes, as far as they have left the buffer.
    head: [u8; 3],
    head_len: usize,
    /// How many of its last bytes are the one that its end, or a forbidden sequence, is made of.
    run: u64,
    /// Bytes after which a text, section or comment is swallowed.
    keep: u64,
    /// Whether its text is attachment data.
    data: bool,
    swallowed: bool,
    /// Whether what was swallowed is white space only.
    blank: bool,
}

impl PieceState {
    fn new(offset: u64, keep: u64, data: bool) -> Self {
        Self { offset, place: None, head: [0; 3], head_len: 0, run: 0, keep, data, swallowed: false, blank: true }
    }
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; WINDOW],
            at: 0,
            good: 0,
            filled: 0,
            flaw: None,
            ended: false,
            base: 0,
            place: Position::START,
            counted: 0,
            piece: PieceState::new(0, WINDOW as u64, false),
            keeper: Keeper::default(),
            error: None,
        }
    }

    /// Reads the first bytes and settles the encoding.
    pub(super) fn begin(&mut self) -> Result<(), ExportError> {
        while self.filled < 4 && !self.ended && self.error.is_none() {
            self.read();
        }
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mark = match &self.buffer[..self.filled.min(4)] {
            [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] => Err("UTF-32"),
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, b'<', ..] | [b'<', 0, ..] => Err("UTF-16"),
            [0xef, 0xbb, 0xbf, ..] => Ok(3),
            _ => Ok(0),
        };
        let held = |name: &str| ExportError::Held { at: Position::START, fault: Fault::Encoding(name.to_owned()) };
        let mark = mark.map_err(held)?;
        (self.at, self.counted) = (mark, mark);
        self.check(mark);
        Ok(())
    }

    /// The next piece begins here. Of a text, section or comment longer than `keep` bytes (at least [`WINDOW`]), only a
    /// beginning that is longer than that as well is passed on. `data` says whether text that comes is attachment data.
    #[inline]
    pub(super) fn begin_piece(&mut self, keep: u64, data: bool) {
        let offset = self.offset();
        if self.piece.data || self.keeper.is_busy() {
            self.between_pieces(offset);
        }
        self.piece = PieceState::new(offset, keep.max(WINDOW as u64), data);
    }

    /// Bytes consumed since the beginning of the export.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Where the current piece begins, in bytes.
    pub(super) fn piece_offset(&self) -> u64 {
        self.piece.offset
    }

    /// Bytes of the current piece, those swallowed included.
    pub(super) fn piece_len(&self) -> u64 {
        self.offset() - self.piece.offset
    }

    /// Whether the middle of the current piece was swallowed.
    pub(super) fn swallowed(&self) -> bool {
        self.piece.swallowed
    }

    /// Whether nothing but white space was swallowed.
    pub(super) fn swallowed_blank(&self) -> bool {
        self.piece.blank
    }

    /// Where the current piece begins.
    pub(super) fn piece_place(&mut self) -> Position {
        self.piece.place.unwrap_or_else(|| {
            let start = usize::try_from(self.piece.offset - self.base).unwrap_or(self.at);
            self.count_to(start);
            self.place
        })
    }

    /// Where the next byte is.
    pub(super) fn here(&self) -> Position {
        self.place.after(&self.buffer[self.counted.min(self.at)..self.at])
    }

    /// What the current piece is, as far as it has been consumed.
    pub(super) fn piece(&self) -> Piece {
        let mut piece = self.piece;
        self.note_head(&mut piece);
        match &piece.head[..piece.head_len] {
            [b'<', b'!', b'[', ..] => Piece::Section,
            [b'<', b'!', b'-', ..] => Piece::Comment,
            [b'<', b'!', b'D' | b'd', ..] => Piece::Doctype,
            [b'<', ..] => Piece::Tag,
            [b'&', ..] => Piece::Reference,
            _ => Piece::Text,
        }
    }

    /// The error behind the last failed read.
    pub(super) fn take_error(&mut self) -> Option<ExportError> {
        self.error.take()
    }

    fn count_to(&mut self, to: usize) {
        if to > self.counted {
            self.place = self.place.after(&self.buffer[self.counted..to]);
            self.counted = to;
        }
    }

    /// The part of the current piece that is consumed and still in the buffer.
    fn consumed(&self) -> &[u8] {
        let start = usize::try_from(self.piece.offset.saturating_sub(self.base)).unwrap_or(self.at);
        &self.buffer[start.min(self.at)..self.at]
    }

    fn note_head(&self, piece: &mut PieceState) {
        for byte in self.consumed().iter().take(piece.head.len() - piece.head_len) {
            piece.head[piece.head_len] = *byte;
            piece.head_len += 1;
        }
    }

    /// Before the buffer is filled again: keeps of the current piece what will be asked for later.
    fn note_piece(&mut self) {
        let mut piece = self.piece;
        self.note_head(&mut piece);
        if piece.place.is_none() {
            piece.place = Some(self.piece_place());
        }
        let consumed = self.consumed();
        let mark = self.mark();
        let run = consumed.iter().rev().take_while(|byte| Some(**byte) == mark).count();
        piece.run = if run == consumed.len() { piece.run + run as u64 } else { run as u64 };
        self.piece = piece;
    }

    /// The character of which two in a row matter in the current piece.
    fn mark(&self) -> Option<u8> {
        match self.piece() {
            Piece::Text | Piece::Section => Some(b']'),
            Piece::Comment => Some(b'-'),
            Piece::Reference | Piece::Doctype | Piece::Tag => None,
        }
    }

    /// Moves what is not consumed to the front and reads on.
    fn refill(&mut self) {
        self.keep_consumed();
        self.count_to(self.at);
        self.base += self.at as u64;
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.good -= self.at;
        self.at = 0;
        self.counted = 0;
        self.read();
        self.check(self.good);
    }

    fn read(&mut self) {
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.error = Some(ExportError::Input(error)),
            }
            return;
        }
    }

    /// Checks what was read, from a character's beginning on, up to the first flaw.
    fn check(&mut self, from: usize) {
        let fresh = &self.buffer[from..self.filled];
        let (valid, flaw) = match std::str::from_utf8(fresh) {
            Ok(_) => (fresh.len(), None),
            Err(error) if error.error_len().is_none() && !self.ended => (error.valid_up_to(), None),
            Err(error) => (error.valid_up_to(), Some(Fault::Utf8)),
        };
        self.good = from + valid;
        self.flaw = flaw;
        if let Some((offset, character)) = forbidden(&fresh[..valid]) {
            self.good = from + offset;
            self.flaw = Some(Fault::Character(character));
        }
    }

    /// Makes sure that something is left to consume, the input's end aside. Once in a window, so it stays out of the way of
    /// [`Self::fill_buf`], which is called several times for each piece.
    #[cold]
    #[inline(never)]
    fn supply(&mut self) -> io::Result<()> {
        while self.at == self.good {
            self.cap()?;
            if let Some(fault) = self.flaw.take() {
                return Err(self.fail(self.here(), fault));
            }
            if self.error.is_some() {
                return Err(failed());
            }
            if self.ended {
                return Ok(());
            }
            self.note_piece();
            self.refill();
            if self.piece_len() > self.piece.keep && self.mark().is_some() {
                self.swallow()?;
            }
        }
        Ok(())
    }

    /// Refuses what could otherwise grow without end: only texts, sections and comments may be long.
    fn cap(&mut self) -> io::Result<()> {
        let fault = match self.piece() {
            Piece::Tag if self.piece_len() > MAX_TAG => Fault::LongTag(MAX_TAG),
            Piece::Reference if self.piece_len() > MAX_REFERENCE => Fault::Ampersand,
            Piece::Doctype => Fault::Doctype,
            _ => return Ok(()),
        };
        let place = self.piece_place();
        Err(self.fail(place, fault))
    }

    fn fail(&mut self, at: Position, fault: Fault) -> io::Error {
        self.error = Some(ExportError::Held { at, fault });
        failed()
    }
}

impl<R: Read> BufRead for Source<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.good {
            self.supply()?;
        }
        Ok(&self.buffer[self.at..self.good])
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.good);
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(into)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

/// Says to the tokeniser that the source keeps the reason.
fn failed() -> io::Error {
    io::Error::other("see the source's error")
}

/// The first character in valid UTF-8 that XML does not allow.
fn forbidden(text: &[u8]) -> Option<(usize, u32)> {
    // U+FFFE and U+FFFF begin with EF. One pass without branches tells that nearly every text has neither.
    let suspicious = |byte: u8| (byte < 0x20 && byte != b'\t' && byte != b'\n' && byte != b'\r') || byte == 0xef;
    if !text.iter().fold(false, |found, byte| found | suspicious(*byte)) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    text.char_indices().find(|(_, c)| !is_allowed(*c)).map(|(offset, c)| (offset, u32::from(c)))
}
