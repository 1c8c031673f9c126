//! A profile in the form the reader walks: a tree of element names, so that reading costs the same whatever a profile
//! says, and no element name stands in code.

use std::sync::Arc;

use super::EventKind;
use super::totals::Total;

/// The index of a [`Node`].
pub(super) type NodeId = usize;

/// Which part of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    ImId,
    Email,
    Name,
    FirstName,
    LastName,
    Company,
}

/// Where the text of an element or attribute goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    FirmCode,
    Date,
    RoomId,
    RoomName,
    MessageId,
    Time,
    Content,
    FileName,
    ContentType,
    Data,
    DataEncoding,
    /// By what an archive knows the attachment.
    FileId,
    /// By what the record refers to a disclaimer.
    Disclaimer,
    /// A further field to keep: its place in [`Layout::extras`].
    Extra(usize),
    /// Of whom the record is: the sender, or who came, went or invited.
    Person(Part),
    /// Of a recipient, or of who was invited.
    Recipient(Part),
    /// Many recipients in one text: the place of what stands between them in [`Layout::delimiters`].
    Recipients(Part, usize),
    /// How many there should be.
    Total(Total),
}

/// A slot, and where this place stands in the order of preference of all that fill it: 0 before 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) slot: Slot,
    pub(super) rank: u8,
}

impl Slot {
    /// The field in an operator's words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::FirmCode => "firm code",
            Self::Date => "date",
            Self::RoomId => "room id",
            Self::RoomName => "room name",
            Self::MessageId => "message id",
            Self::Time => "time",
            Self::Content => "content",
            Self::FileName => "file name",
            Self::ContentType => "content type",
            Self::Data => "data",
            Self::DataEncoding => "data encoding",
            Self::FileId => "file id",
            Self::Disclaimer => "disclaimer",
            Self::Extra(_) => "further field",
            Self::Person(part) => part.words(),
            Self::Recipient(_) | Self::Recipients(..) => "recipient field",
            Self::Total(_) => "control total",
        }
    }
}

impl Part {
    fn words(self) -> &'static str {
        match self {
            Self::ImId => "person's id",
            Self::Email => "person's e-mail",
            Self::Name | Self::FirstName | Self::LastName => "person's name",
            Self::Company => "person's company",
        }
    }
}

/// The kinds of record a profile can name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RecordKind {
    Message,
    /// A message from before, shown again.
    History,
    Attachment(Reference),
    Event(EventKind),
    /// Known, and nothing of it is looked at.
    #[default]
    Ignored,
}

/// By what an archive knows an attachment whose data is not in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// There is no archive: the record has the data.
    None,
    /// The file id.
    FileId,
    /// The file id where there is one, else the file name.
    FileName,
}

/// What begins with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Nothing,
    Conversation,
    Record(RecordKind),
    Recipient,
    /// Several recipients, which its text or an attribute lists.
    Recipients,
    /// Known, and nothing in it is looked at.
    Ignored,
}

/// One element of the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) children: Vec<(Box<str>, NodeId)>,
    pub(super) attributes: Vec<(Box<str>, Attribute)>,
    pub(super) opens: Opens,
    pub(super) fills: Option<Target>,
}

/// One attribute of an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// Its place in [`Layout::paths`].
    pub(super) path: usize,
    pub(super) fills: Option<Target>,
}

/// The tree; its first node is the root element.
#[derive(Debug)]
pub(super) struct Layout {
    nodes: Vec<Node>,
    /// The path of each node (whose id it is), and after them of each attribute.
    paths: Vec<Box<str>>,
    /// What each further field is called.
    extras: Vec<Arc<str>>,
    /// What stands between the recipients of a list.
    delimiters: Vec<Box<str>>,
}

/// The root element's node.
pub(super) const ROOT: NodeId = 0;

impl Layout {
    /// A tree of one root element.
    pub(super) fn new(root: &str) -> Self {
        Self { nodes: vec![Node::new()], paths: vec![root.into()], extras: Vec::new(), delimiters: Vec::new() }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The paths of elements and attributes that the profile names.
    pub(super) fn paths(&self) -> &[Box<str>] {
        &self.paths
    }

    /// The child of `parent` with this local name.
    pub(super) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.nodes[parent].children.iter().find(|(child, _)| &**child == name).map(|(_, id)| *id)
    }

    /// The node at the end of `names`, made where it is missing.
    pub(super) fn grow<'a>(&mut self, from: NodeId, names: impl Iterator<Item = &'a str>) -> NodeId {
        names.fold(from, |parent, name| {
            self.child(parent, name).unwrap_or_else(|| {
                let id = self.nodes.len();
                self.nodes.push(Node::new());
                self.paths.push(format!("{}/{name}", self.paths[parent]).into());
                self.nodes[parent].children.push((name.into(), id));
                id
            })
        })
    }

    /// Whether a record begins below a node.
    pub(super) fn has_record_below(&self, node: NodeId) -> bool {
        self.nodes[node].children.iter().any(|(_, child)| self.is_record(*child) || self.has_record_below(*child))
    }

    /// Whether a record begins at a node.
    pub(super) fn is_record(&self, node: NodeId) -> bool {
        matches!(self.nodes[node].opens, Opens::Record(kind) if kind != RecordKind::Ignored)
    }

    /// Says what begins at a node; `false` where that was said before.
    pub(super) fn open(&mut self, node: NodeId, opens: Opens) -> bool {
        let free = self.nodes[node].opens == Opens::Nothing;
        self.nodes[node].opens = opens;
        free && node != ROOT
    }

    /// Says where a node's text goes; `false` where that was said before.
    pub(super) fn fill(&mut self, node: NodeId, target: Option<Target>) -> bool {
        let free = self.nodes[node].fills.is_none();
        self.nodes[node].fills = target;
        free
    }

    /// Says where an attribute's text goes; `false` where that was said before.
    pub(super) fn attribute(&mut self, node: NodeId, name: &str, fills: Option<Target>) -> bool {
        let attributes = &mut self.nodes[node].attributes;
        let free = attributes.iter().all(|(other, _)| &**other != name);
        // The place among the paths is settled by `seal`, when all nodes have theirs.
        attributes.push((name.into(), Attribute { path: 0, fills }));
        free
    }

    /// The place of what a further field is called, the same for every record that has it.
    pub(super) fn extra(&mut self, name: &str) -> usize {
        self.extras.iter().position(|extra| **extra == *name).unwrap_or_else(|| {
            self.extras.push(name.into());
            self.extras.len() - 1
        })
    }

    /// What further fields are called.
    pub(super) fn extras(&self) -> &[Arc<str>] {
        &self.extras
    }

    /// The place of what stands between recipients.
    pub(super) fn delimiter(&mut self, text: &str) -> usize {
        self.delimiters.push(text.into());
        self.delimiters.len() - 1
    }

    /// What stands between recipients.
    pub(super) fn delimiters(&self) -> &[Box<str>] {
        &self.delimiters
    }

    /// Gives every attribute its path.
    pub(super) fn seal(mut self) -> Self {
        for id in 0..self.nodes.len() {
            for (name, attribute) in &mut self.nodes[id].attributes {
                attribute.path = self.paths.len();
                self.paths.push(format!("{}/@{name}", self.paths[id]).into());
            }
        }
        self
    }
}

impl Node {
    fn new() -> Self {
        Self { children: Vec::new(), attributes: Vec::new(), opens: Opens::Nothing, fills: None }
    }
}
