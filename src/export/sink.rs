//! Who is told what stands in a document. Two know: the assembly, which makes records of it along a profile, and the
//! survey, which counts what a profile could be made of. Both see the same elements of the same well-formed XML.

use super::assembly::Assembly;
use super::fault::Fault;
use super::grammar::Attribute;
use super::source::{Kept, WINDOW};

/// What the reader tells of a document, piece by piece.
pub(super) trait Sink {
    /// How many bytes of the next piece may be needed; of a longer one, only that it is longer.
    fn keep(&self) -> u64 {
        WINDOW as u64
    }

    /// Whether text that comes next is attachment data.
    fn takes_data(&self) -> bool {
        false
    }

    /// Says where the next piece ends.
    fn advance(&mut self, _offset: u64) {}

    /// An element begins at byte `offset`. Says whether that makes a step.
    ///
    /// # Errors
    /// Where the document cannot be read on; so also below.
    fn open(&mut self, name: &str, offset: u64) -> Result<bool, Fault>;

    /// Where the element that was opened last is a record: how many bytes of it are to be kept as they stand, attachment
    /// data not counted. It is then told its line.
    fn opened_record(&self) -> Option<u64> {
        None
    }

    /// The line on which the record begins, from 1.
    fn record_line(&mut self, _line: u64) {}

    /// Whether a record is open: until it is not, what is kept of it stays.
    fn in_record(&self) -> bool {
        false
    }

    /// An attribute of the element that was opened last.
    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), Fault>;

    /// Text in the open element, from a piece of `bytes` bytes; `blank` if the whole piece is white space.
    fn text(&mut self, text: &str, bytes: u64, blank: bool) -> Result<(), Fault>;

    /// The open element ends; as [`Self::open`]. `kept` has the record as it stands in the export, up to its end.
    fn close(&mut self, kept: &Kept<'_>) -> Result<bool, Fault>;

    /// How many elements are open.
    fn depth(&self) -> usize;

    /// The name of the innermost open element, to say where a document breaks off.
    fn innermost(&self) -> String;
}

impl Sink for Assembly<'_> {
    fn keep(&self) -> u64 {
        Assembly::keep(self)
    }

    fn advance(&mut self, offset: u64) {
        Assembly::advance(self, offset);
    }

    fn open(&mut self, name: &str, offset: u64) -> Result<bool, Fault> {
        Assembly::open(self, name, offset)
    }

    fn takes_data(&self) -> bool {
        Assembly::takes_data(self)
    }

    fn opened_record(&self) -> Option<u64> {
        Assembly::opened_record(self).then(|| self.max_record())
    }

    fn record_line(&mut self, line: u64) {
        Assembly::record_line(self, line);
    }

    fn in_record(&self) -> bool {
        Assembly::in_record(self)
    }

    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), Fault> {
        Assembly::attribute(self, attribute)
    }

    fn text(&mut self, text: &str, bytes: u64, blank: bool) -> Result<(), Fault> {
        Assembly::text(self, text, bytes, blank)
    }

    fn close(&mut self, kept: &Kept<'_>) -> Result<bool, Fault> {
        Assembly::close(self, kept)
    }

    fn depth(&self) -> usize {
        Assembly::depth(self)
    }

    fn innermost(&self) -> String {
        Assembly::innermost(self)
    }
}
