//! The streaming reader: XML in, records out, constant memory. The only file that knows quick-xml.
//!
//! quick-xml 0.42 says nothing about truncated documents, second roots, text outside the root, malformed names and
//! attributes, or undefined entities, and it keeps whatever length of text it meets. All that is settled here and in
//! `source`: what comes out is well-formed XML 1.0 to its end, or an error with its place.

use std::io::{BufRead, Read};

use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesDecl, Event};

use super::assembly::Assembly;
use super::fault::{ExportError, Fault};
use super::grammar::{Attribute, expand, is_name, is_space, line_feeds, next_attribute, resolve};
use super::profile::Profile;
use super::source::{MAX_REFERENCE, MAX_TAG, Piece, Source, WINDOW};
use super::{Header, Record, Room};

/// Bytes of an element's name.
const MAX_NAME: usize = 256;
/// Attributes of one tag.
const MAX_ATTRIBUTES: usize = 256;

/// Bounds on what one record may cost; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Of one record as it stands in the export, attachment data not counted (`limits.max_message`).
    pub max_message: u64,
    /// Of one attachment's decoded data (`limits.max_attachment`).
    pub max_attachment: u64,
    /// Of people, and of presence events, in one conversation (`limits.max_participants`).
    pub max_participants: u64,
}

/// What an export holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A conversation begins.
    Begin,
    /// A record of the conversation, in document order.
    Record {
        /// The record.
        record: Record,
        /// Bytes it takes in the export.
        bytes: u64,
    },
    /// The conversation ends; only now is its room known.
    End(Room),
}

/// What an export says of itself and what was found in it, known at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Firm and day.
    pub header: Header,
    /// How often each path that the profile names was found.
    pub found: Vec<(String, u64)>,
    /// Paths that the profile does not name, with their number, by path. A note in parentheses says what else is odd:
    /// an event that names nobody, a date that cannot be read. Never text of the export but names of elements and
    /// attributes.
    pub unknown: Vec<(String, u64)>,
    /// Records that are neither items nor presence.
    pub other_events: u64,
    /// Records with a time that cannot be read.
    pub unreadable_times: u64,
    /// Recipients that count as absent because nothing says who they are.
    pub nameless_recipients: u64,
}

/// Reads an export. The result is the same however the input is cut into reads.
#[derive(Debug)]
pub struct Reader<'p, R> {
    xml: quick_xml::Reader<Source<R>>,
    assembly: Assembly<'p>,
    piece: Vec<u8>,
    scratch: String,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was read.
    New,
    /// Before the root element; only here can the XML declaration stand, and only as the first piece.
    Prolog {
        first: bool,
    },
    Root,
    /// After the root element.
    Epilog,
    Done,
}

impl<'p, R: Read> Reader<'p, R> {
    /// A reader of `input` by `profile`. Bytes are read in windows; `input` needs no buffer of its own.
    pub fn new(profile: &'p Profile, limits: ReadLimits, input: R) -> Self {
        let mut xml = quick_xml::Reader::from_reader(Source::new(input));
        xml.config_mut().expand_empty_elements = true;
        let assembly = Assembly::new(profile, limits);
        Self { xml, assembly, piece: Vec::new(), scratch: String::new(), stage: Stage::New }
    }

    /// The next step, or `None` at the end of the export.
    ///
    /// # Errors
    /// Where the export is not well-formed to its end or exceeds a bound. No further step follows an error.
    pub fn step(&mut self) -> Result<Option<Step>, ExportError> {
        if self.stage == Stage::New {
            self.stage = Stage::Done;
            self.xml.get_mut().begin()?;
            self.stage = Stage::Prolog { first: true };
        }
        while self.stage != Stage::Done {
            match self.piece() {
                Ok(None) => {}
                Ok(step) => return Ok(step),
                Err(error) => {
                    self.stage = Stage::Done;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// What was found; complete once [`Self::step`] has returned `None`.
    pub fn finish(self) -> Summary {
        self.assembly.finish()
    }

    /// What the export has said of itself so far.
    pub fn header(&self) -> &Header {
        self.assembly.header()
    }

    /// Where the last step ended.
    pub fn here(&self) -> super::fault::Position {
        self.xml.get_ref().here()
    }

    /// Reads one piece of markup or text.
    fn piece(&mut self) -> Result<Option<Step>, ExportError> {
        let Self { xml, assembly, piece, scratch, stage } = self;
        piece.clear();
        if piece.capacity().max(scratch.capacity()) > 4 * WINDOW {
            // One long message must not cost its size for the rest of the export.
            (*piece, *scratch) = (Vec::new(), String::new());
        }
        let keep = assembly.keep();
        xml.get_mut().begin_piece(keep);
        let event = xml.read_event_into(piece);
        let source = xml.get_mut();
        if source.piece_len() > MAX_REFERENCE {
            check_length(source)?;
        }
        assembly.advance(source.offset());
        let event = event.map_err(|error| failure(source, error))?;
        let first = *stage == Stage::Prolog { first: true };
        if first {
            *stage = Stage::Prolog { first: false };
        }
        let mut parser = Parser { source, assembly, scratch, stage, first };
        match event {
            Event::Start(tag) => parser.start(tag.name().into_inner(), tag.attributes_raw()),
            Event::End(_) => parser.end(),
            Event::Text(text) => parser.text(&text.into_inner()),
            Event::CData(text) => parser.section(&text.into_inner()),
            Event::GeneralRef(name) => parser.reference(&name.into_inner()),
            Event::Comment(text) => parser.comment(&text.into_inner()),
            Event::PI(instruction) => parser.instruction(instruction.target()),
            Event::Decl(declaration) => parser.declaration(&declaration),
            Event::DocType(_) => Err(parser.held(Fault::Doctype)),
            Event::Eof => parser.eof(),
            // Not made by a reader that expands empty elements.
            Event::Empty(_) => Err(parser.held(Fault::Markup)),
        }
    }
}

/// Refuses what only a long piece can be guilty of, whether or not the tokeniser took it whole.
fn check_length<R: Read>(source: &mut Source<R>) -> Result<(), ExportError> {
    let fault = match source.piece() {
        Piece::Tag if source.piece_len() > MAX_TAG => Fault::LongTag(MAX_TAG),
        Piece::Reference => Fault::Ampersand,
        _ => return Ok(()),
    };
    Err(ExportError::Held { at: source.piece_place(), fault })
}

/// What the tokeniser's error means.
fn failure<R: Read>(source: &mut Source<R>, error: XmlError) -> ExportError {
    if let Some(error) = source.take_error() {
        return error;
    }
    let cut_off = source.fill_buf().is_ok_and(<[u8]>::is_empty);
    let fault = match error {
        _ if source.piece() == Piece::Doctype => Fault::Doctype,
        XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, .. }) => {
            Fault::Mismatch(local(&expected).chars().take(64).collect())
        }
        XmlError::IllFormed(IllFormedError::UnmatchedEndTag(_)) => Fault::Unopened,
        XmlError::IllFormed(IllFormedError::UnclosedReference) => Fault::Ampersand,
        XmlError::Syntax(_) if cut_off => Fault::CutOffMarkup,
        _ => Fault::Markup,
    };
    ExportError::Held { at: source.piece_place(), fault }
}

/// What follows the prefix.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

type Parsed = Result<Option<Step>, ExportError>;

/// One piece on its way from the tokeniser to the records.
struct Parser<'a, 'p, R> {
    source: &'a mut Source<R>,
    assembly: &'a mut Assembly<'p>,
    scratch: &'a mut String,
    stage: &'a mut Stage,
    first: bool,
}

impl<R: Read> Parser<'_, '_, R> {
    fn held(&mut self, fault: Fault) -> ExportError {
        ExportError::Held { at: self.source.piece_place(), fault }
    }

    fn start(&mut self, name: &str, attributes: &str) -> Parsed {
        match self.stage {
            Stage::Epilog => return Err(self.held(Fault::SecondRoot)),
            _ => *self.stage = Stage::Root,
        }
        if name.len() > MAX_NAME {
            return Err(self.held(Fault::LongName(MAX_NAME)));
        }
        let (sound, name) = name.split_once(':').map_or((true, name), |(prefix, local)| (is_name(prefix), local));
        let opened = if sound { self.assembly.open(name, self.source.piece_offset()) } else { Err(Fault::Name) };
        let step = opened.map_err(|fault| self.held(fault))?;
        if self.assembly.opened_record() {
            self.assembly.record_line(self.source.piece_place().line);
        }
        if !attributes.is_empty() {
            self.attributes(attributes).map_err(|fault| self.held(fault))?;
        }
        Ok(step)
    }

    fn attributes(&mut self, raw: &str) -> Result<(), Fault> {
        let mut names = Vec::new();
        let mut rest = raw;
        while let Some((name, value, behind)) = next_attribute(rest)? {
            if names.len() == MAX_ATTRIBUTES {
                return Err(Fault::ManyAttributes(MAX_ATTRIBUTES));
            }
            if names.contains(&name) {
                return Err(Fault::Attribute);
            }
            names.push(name);
            rest = behind;
            self.scratch.clear();
            expand(value, self.scratch)?;
            let (prefix, name) = name.split_once(':').map_or((None, name), |(prefix, name)| (Some(prefix), name));
            self.assembly.attribute(&Attribute { prefix, name, value: self.scratch })?;
        }
        Ok(())
    }

    fn end(&mut self) -> Parsed {
        let step = self.assembly.close().map_err(|fault| self.held(fault))?;
        if self.assembly.depth() == 0 {
            *self.stage = Stage::Epilog;
        }
        Ok(step)
    }

    fn text(&mut self, text: &str) -> Parsed {
        if text.contains(']')
            && let Some(offset) = text.find("]]>")
        {
            let at = self.source.piece_place().after(&text.as_bytes()[..offset]);
            return Err(ExportError::Held { at, fault: Fault::SectionEnd });
        }
        let blank = self.source.swallowed_blank() && text.bytes().all(is_space);
        if *self.stage != Stage::Root {
            return if blank { Ok(None) } else { Err(self.held(Fault::Outside)) };
        }
        self.characters(text, blank)
    }

    fn section(&mut self, text: &str) -> Parsed {
        if *self.stage != Stage::Root {
            return Err(self.held(Fault::Outside));
        }
        let blank = self.source.swallowed_blank() && text.bytes().all(is_space);
        self.characters(text, blank)
    }

    fn characters(&mut self, text: &str, blank: bool) -> Parsed {
        let text = if text.contains('\r') {
            line_feeds(text, self.scratch);
            self.scratch.as_str()
        } else {
            text
        };
        self.assembly.text(text, self.source.piece_len(), blank).map_err(|fault| self.held(fault))?;
        Ok(None)
    }

    fn reference(&mut self, name: &str) -> Parsed {
        if *self.stage != Stage::Root {
            return Err(self.held(Fault::Outside));
        }
        let character = resolve(name).map_err(|fault| self.held(fault))?;
        let blank = character.is_ascii() && is_space(character as u8);
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes);
        self.assembly.text(text, self.source.piece_len(), blank).map_err(|fault| self.held(fault))?;
        Ok(None)
    }

    fn comment(&mut self, text: &str) -> Parsed {
        // Where the middle was swallowed, it was checked on the way, and what stands at the end is no neighbour.
        let ends_badly = text.ends_with('-') && !self.source.swallowed();
        let offset = text.find("--").or(ends_badly.then(|| text.len() - 1));
        let Some(offset) = offset else { return Ok(None) };
        let at = self.source.piece_place().after(b"<!--").after(&text.as_bytes()[..offset]);
        Err(ExportError::Held { at, fault: Fault::DoubleHyphen })
    }

    fn instruction(&mut self, target: &str) -> Parsed {
        let sound = is_name(target) && !target.eq_ignore_ascii_case("xml");
        if sound { Ok(None) } else { Err(self.held(Fault::Markup)) }
    }

    fn declaration(&mut self, declaration: &BytesDecl<'_>) -> Parsed {
        let version = declaration.version();
        let sound = self.first && version.is_ok_and(|version| version.starts_with("1."));
        let encoding = declaration.encoding().transpose();
        match encoding {
            Ok(encoding) if sound => {
                let name = encoding.as_deref().unwrap_or("UTF-8");
                let taken = ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| name.eq_ignore_ascii_case(known));
                let shown = || name.chars().take(64).filter(char::is_ascii_graphic).collect();
                if taken { Ok(None) } else { Err(self.held(Fault::Encoding(shown()))) }
            }
            _ => Err(self.held(Fault::Declaration)),
        }
    }

    fn eof(&mut self) -> Parsed {
        let fault = match self.stage {
            Stage::Root => Fault::CutOff(self.assembly.innermost()),
            Stage::Epilog => {
                *self.stage = Stage::Done;
                return Ok(None);
            }
            _ => Fault::Empty,
        };
        Err(ExportError::Held { at: self.source.here(), fault })
    }
}

#[cfg(test)]
mod tests;
