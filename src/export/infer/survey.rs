//! One pass over any XML: which elements and attributes there are, how they nest and repeat, and what their texts look
//! like. Memory is bounded by the number of different places, not by the export's length.

use super::values::Values;
use crate::export::fault::Fault;
use crate::export::grammar::{Attribute, is_name};
use crate::export::sink::Sink;
use crate::export::source::Kept;

/// Different places that are told apart; what has more is no schema that a profile could name.
const MAX_PLACES: usize = 4000;
/// Elements may be nested so deeply, as for the reader.
const MAX_DEPTH: usize = 128;
/// Bytes of one text that are looked at.
const LOOKED_AT: usize = 4096;

/// The index of an [`Element`].
pub(super) type Id = usize;

/// The element or attribute at one place.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    pub(super) parent: Id,
    pub(super) children: Vec<Id>,
    pub(super) attributes: Vec<(Box<str>, Values)>,
    /// Its own texts, children's not counted.
    pub(super) text: Values,
    /// How often.
    pub(super) count: u64,
    /// The most in one parent.
    pub(super) most: u64,
    /// How often its text has elements within.
    pub(super) mixed: u64,
}

/// The root element's.
pub(super) const ROOT: Id = 0;

/// Everything that was met.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) elements: Vec<Element>,
    /// Whether there was more than is told apart.
    pub(super) overflowed: bool,
    places: usize,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// None below what is not told apart.
    element: Option<Id>,
    text: String,
    bytes: usize,
    is_blank: bool,
    children: Vec<(Id, u64)>,
}

impl Survey {
    /// The element names from below `from` to `to`, with slashes between them; `.` for itself.
    pub(super) fn path(&self, from: Id, to: Id) -> String {
        let mut names = Vec::new();
        let mut at = to;
        while at != from && at != ROOT {
            names.push(&*self.elements[at].name);
            at = self.elements[at].parent;
        }
        names.reverse();
        if names.is_empty() { ".".to_owned() } else { names.join("/") }
    }

    /// Whether texts of this element have elements within: then they are all one text.
    pub(super) fn is_mixed(&self, id: Id) -> bool {
        self.elements[id].mixed > 0
    }

    fn child(&mut self, parent: Option<Id>, name: &str) -> Option<Id> {
        if let Some(parent) = parent {
            let known = self.elements[parent].children.iter().find(|child| *self.elements[**child].name == *name);
            if let Some(known) = known {
                return Some(*known);
            }
        }
        if self.places >= MAX_PLACES {
            self.overflowed = true;
            return None;
        }
        self.places += 1;
        let id = self.elements.len();
        self.elements.push(Element {
            name: name.into(),
            parent: parent.unwrap_or(ROOT),
            children: Vec::new(),
            attributes: Vec::new(),
            text: Values::default(),
            count: 0,
            most: 0,
            mixed: 0,
        });
        if let Some(parent) = parent {
            self.elements[parent].children.push(id);
        }
        Some(id)
    }

    fn count(&mut self, id: Id) {
        self.elements[id].count += 1;
        let Some(parent) = self.frames.last_mut() else { return };
        let known = parent.children.iter_mut().find(|(child, _)| *child == id);
        let siblings = known.map_or(1, |(_, count)| {
            *count += 1;
            *count
        });
        if siblings == 1 {
            parent.children.push((id, 1));
        }
        self.elements[id].most = self.elements[id].most.max(siblings);
    }
}

impl Sink for Survey {
    fn open(&mut self, name: &str, _offset: u64) -> Result<bool, Fault> {
        if self.frames.len() == MAX_DEPTH {
            return Err(Fault::Deep(MAX_DEPTH));
        }
        if !is_name(name) {
            return Err(Fault::Name);
        }
        let element = match self.frames.last() {
            None => self.child(None, name),
            Some(Frame { element: None, .. }) => None,
            Some(Frame { element: parent, .. }) => {
                let parent = *parent;
                self.child(parent, name)
            }
        };
        if let Some(id) = element {
            self.count(id);
        }
        self.frames.push(Frame { element, text: String::new(), bytes: 0, is_blank: true, children: Vec::new() });
        Ok(false)
    }

    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), Fault> {
        let of_xml = matches!(attribute.prefix, Some("xmlns" | "xml" | "xsi"));
        let Some(id) = self.frames.last().and_then(|frame| frame.element) else { return Ok(()) };
        if of_xml || (attribute.prefix.is_none() && attribute.name == "xmlns") {
            return Ok(());
        }
        let attributes = &mut self.elements[id].attributes;
        let known = attributes.iter().position(|(name, _)| **name == *attribute.name);
        let at = match known {
            Some(at) => at,
            None if self.places >= MAX_PLACES => {
                self.overflowed = true;
                return Ok(());
            }
            None => {
                self.places += 1;
                attributes.push((attribute.name.into(), Values::default()));
                attributes.len() - 1
            }
        };
        let shown = &attribute.value[..attribute.value.floor_char_boundary(LOOKED_AT)];
        attributes[at].1.take(shown, attribute.value.len());
        Ok(())
    }

    fn text(&mut self, text: &str, bytes: u64, blank: bool) -> Result<(), Fault> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.is_blank &= blank;
        // What was swallowed of a long piece counts, but is not looked at.
        frame.bytes += usize::try_from(bytes).unwrap_or(usize::MAX).max(text.len());
        let left = LOOKED_AT.saturating_sub(frame.text.len());
        frame.text.push_str(&text[..text.floor_char_boundary(left)]);
        Ok(())
    }

    fn close(&mut self, _kept: &Kept<'_>) -> Result<bool, Fault> {
        let Some(frame) = self.frames.pop() else { return Ok(false) };
        let Some(id) = frame.element else { return Ok(false) };
        if !frame.is_blank {
            let element = &mut self.elements[id];
            // The blanks around a text are no part of it.
            let bytes = if frame.bytes > LOOKED_AT { frame.bytes } else { 0 };
            element.text.take(&frame.text, bytes);
            element.mixed += u64::from(!frame.children.is_empty());
        }
        Ok(false)
    }

    fn depth(&self) -> usize {
        self.frames.len()
    }

    fn innermost(&self) -> String {
        let open = self.frames.iter().rev().find_map(|frame| frame.element);
        open.map(|id| self.elements[id].name.to_string()).unwrap_or_default()
    }
}
