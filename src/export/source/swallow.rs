//! The rest of a long text, CDATA section or comment: checked, and passed on to nobody.

use std::io::{self, Read};

use super::{Piece, Source};
use crate::export::fault::Fault;

impl<R: Read> Source<R> {
    /// Drops the rest of a long piece up to what ends it, so that the tokeniser sees a short one.
    pub(super) fn swallow(&mut self) -> io::Result<()> {
        let (piece, mark) = (self.piece(), self.mark());
        let mut run = self.piece.run;
        let mut from = self.at;
        loop {
            for index in from..self.good {
                let byte = self.buffer[index];
                match (piece, byte) {
                    (Piece::Text, b'<' | b'&') => {
                        self.drop_to(index);
                        return Ok(());
                    }
                    (Piece::Section | Piece::Comment, b'>') if run >= 2 => {
                        // Of the two marks before it, those that were passed on already are not here any more.
                        self.drop_to(index.saturating_sub(2).max(self.at));
                        return Ok(());
                    }
                    (Piece::Text, b'>') if run >= 2 => return Err(self.fail_before(index, Fault::SectionEnd)),
                    (Piece::Comment, _) if run >= 2 => return Err(self.fail_before(index, Fault::DoubleHyphen)),
                    _ => {
                        self.piece.blank &= byte.is_ascii_whitespace();
                        run = if Some(byte) == mark { run + 1 } else { 0 };
                    }
                }
            }
            // Marks at the end stay: with what comes next they may be the end of the piece.
            let kept = usize::try_from(run.min(2)).unwrap_or(2).min(self.good - self.at);
            self.drop_to(self.good - kept);
            if self.ended || self.flaw.is_some() || self.error.is_some() {
                self.drop_to(self.good);
                return Ok(());
            }
            self.refill();
            from = self.at + kept;
        }
    }

    /// The fault is in the two characters before `index`, which are ASCII and no line feeds.
    fn fail_before(&mut self, index: usize, fault: Fault) -> io::Error {
        let mut place = self.place.after(&self.buffer[self.counted..index]);
        place.column -= 2;
        self.fail(place, fault)
    }

    fn drop_to(&mut self, index: usize) {
        self.piece.swallowed |= index > self.at;
        self.at = index;
    }
}
