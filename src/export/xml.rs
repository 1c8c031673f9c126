//! From XML to elements, attributes and text, told to a [`Sink`]. The only file that knows quick-xml.
//!
//! quick-xml 0.42 says nothing about truncated documents, second roots, text outside the root, malformed names and
//! attributes, or undefined entities, and it keeps whatever length of text it meets. All that is settled here and in
//! `source`: what comes out is well-formed XML 1.0 to its end, or an error with its place.

use std::io::{BufRead, Read};

use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesDecl, Event};

use super::fault::{ExportError, Fault, Position};
use super::grammar::{Attribute, expand, is_name, is_space, line_feeds, next_attribute, resolve};
use super::sink::Sink;
use super::source::{MAX_REFERENCE, MAX_TAG, Piece, Source, WINDOW};

/// Bytes of an element's name.
const MAX_NAME: usize = 256;
/// Attributes of one tag.
const MAX_ATTRIBUTES: usize = 256;

/// Goes through a document and tells a [`Sink`] what stands in it.
#[derive(Debug)]
pub(super) struct Walk<R> {
    xml: quick_xml::Reader<Source<R>>,
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

impl<R: Read> Walk<R> {
    pub(super) fn new(input: R) -> Self {
        let mut xml = quick_xml::Reader::from_reader(Source::new(input));
        xml.config_mut().expand_empty_elements = true;
        Self { xml, piece: Vec::new(), scratch: String::new(), stage: Stage::New }
    }

    /// Goes on until the sink has made a step of the document; `false` at its end.
    ///
    /// # Errors
    /// Where the document is not well-formed to its end or exceeds a bound. No further step follows an error.
    pub(super) fn step(&mut self, sink: &mut impl Sink) -> Result<bool, ExportError> {
        if self.stage == Stage::New {
            self.stage = Stage::Done;
            self.xml.get_mut().begin()?;
            self.stage = Stage::Prolog { first: true };
        }
        while self.stage != Stage::Done {
            match self.piece(sink) {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                Err(error) => {
                    self.stage = Stage::Done;
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    /// Where the last step ended.
    pub(super) fn here(&self) -> Position {
        self.xml.get_ref().here()
    }

    /// Room taken by the current piece.
    #[cfg(test)]
    pub(super) fn piece_room(&self) -> usize {
        self.piece.capacity()
    }

    /// Reads one piece of markup or text.
    fn piece(&mut self, sink: &mut impl Sink) -> Result<bool, ExportError> {
        let Self { xml, piece, scratch, stage } = self;
        piece.clear();
        if piece.capacity().max(scratch.capacity()) > 4 * WINDOW {
            // One long message must not cost its size for the rest of the export.
            (*piece, *scratch) = (Vec::new(), String::new());
        }
        xml.get_mut().begin_piece(sink.keep(), sink.takes_data());
        let event = xml.read_event_into(piece);
        let source = xml.get_mut();
        if source.piece_len() > MAX_REFERENCE {
            check_length(source)?;
        }
        sink.advance(source.offset());
        let event = event.map_err(|error| failure(source, error))?;
        let first = *stage == Stage::Prolog { first: true };
        if first {
            *stage = Stage::Prolog { first: false };
        }
        let mut parser = Parser { source, sink, scratch, stage, first };
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

/// Whether there is anything in a text that must be looked at. One pass without an early end, which a processor makes many
/// bytes at once.
fn has_rare(text: &str) -> bool {
    text.bytes().fold(0, |found, byte| found | u8::from(matches!(byte, b']' | b'\r'))) != 0
}

/// What follows the prefix.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// Whether the sink has made a step.
type Parsed = Result<bool, ExportError>;

/// One piece on its way from the tokeniser to the records.
struct Parser<'a, S, R> {
    source: &'a mut Source<R>,
    sink: &'a mut S,
    scratch: &'a mut String,
    stage: &'a mut Stage,
    first: bool,
}

impl<S: Sink, R: Read> Parser<'_, S, R> {
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
        let opened = if sound { self.sink.open(name, self.source.piece_offset()) } else { Err(Fault::Name) };
        let step = opened.map_err(|fault| self.held(fault))?;
        if let Some(max) = self.sink.opened_record() {
            self.sink.record_line(self.source.piece_place().line);
            self.source.keep_record(max);
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
            self.sink.attribute(&Attribute { prefix, name, value: self.scratch })?;
        }
        Ok(())
    }

    fn end(&mut self) -> Parsed {
        let step = self.sink.close(&self.source.kept()).map_err(|fault| self.held(fault))?;
        if !self.sink.in_record() {
            self.source.forget_record();
        }
        if self.sink.depth() == 0 {
            *self.stage = Stage::Epilog;
        }
        Ok(step)
    }

    fn text(&mut self, text: &str) -> Parsed {
        let rare = has_rare(text);
        if rare && let Some(offset) = text.find("]]>") {
            let at = self.source.piece_place().after(&text.as_bytes()[..offset]);
            return Err(ExportError::Held { at, fault: Fault::SectionEnd });
        }
        let blank = self.source.swallowed_blank() && text.bytes().all(is_space);
        if *self.stage != Stage::Root {
            return if blank { Ok(false) } else { Err(self.held(Fault::Outside)) };
        }
        self.characters(text, rare, blank)
    }

    fn section(&mut self, text: &str) -> Parsed {
        if *self.stage != Stage::Root {
            return Err(self.held(Fault::Outside));
        }
        let blank = self.source.swallowed_blank() && text.bytes().all(is_space);
        self.characters(text, true, blank)
    }

    fn characters(&mut self, text: &str, rare: bool, blank: bool) -> Parsed {
        let text = if rare && text.contains('\r') {
            line_feeds(text, self.scratch);
            self.scratch.as_str()
        } else {
            text
        };
        self.sink.text(text, self.source.piece_len(), blank).map_err(|fault| self.held(fault))?;
        Ok(false)
    }

    fn reference(&mut self, name: &str) -> Parsed {
        if *self.stage != Stage::Root {
            return Err(self.held(Fault::Outside));
        }
        let character = resolve(name).map_err(|fault| self.held(fault))?;
        let blank = character.is_ascii() && is_space(character as u8);
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes);
        self.sink.text(text, self.source.piece_len(), blank).map_err(|fault| self.held(fault))?;
        Ok(false)
    }

    fn comment(&mut self, text: &str) -> Parsed {
        // Where the middle was swallowed, it was checked on the way, and what stands at the end is no neighbour.
        let ends_badly = text.ends_with('-') && !self.source.swallowed();
        let offset = text.find("--").or(ends_badly.then(|| text.len() - 1));
        let Some(offset) = offset else { return Ok(false) };
        let at = self.source.piece_place().after(b"<!--").after(&text.as_bytes()[..offset]);
        Err(ExportError::Held { at, fault: Fault::DoubleHyphen })
    }

    fn instruction(&mut self, target: &str) -> Parsed {
        let sound = is_name(target) && !target.eq_ignore_ascii_case("xml");
        if sound { Ok(false) } else { Err(self.held(Fault::Markup)) }
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
                if taken { Ok(false) } else { Err(self.held(Fault::Encoding(shown()))) }
            }
            _ => Err(self.held(Fault::Declaration)),
        }
    }

    fn eof(&mut self) -> Parsed {
        let fault = match self.stage {
            Stage::Root => Fault::CutOff(self.sink.innermost()),
            Stage::Epilog => {
                *self.stage = Stage::Done;
                return Ok(false);
            }
            _ => Fault::Empty,
        };
        Err(ExportError::Held { at: self.source.here(), fault })
    }
}
