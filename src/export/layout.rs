//! A profile in the form the reader walks: a tree of element names, so that reading costs the same whatever a profile
//! says, and no element name stands in code.

use super::ItemKind;

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
    /// Of whom the record is: the sender, or who came or went.
    Person(Part),
    Recipient(Part),
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
            Self::Person(part) => part.words(),
            Self::Recipient(_) => "recipient field",
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    Item(ItemKind),
    Presence(super::Presence),
    Event,
}

/// What begins with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Nothing,
    Conversation,
    Record(RecordKind),
    Recipient,
    /// Known, and nothing in it is looked at.
    Ignored,
}

/// One element of the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) children: Vec<(Box<str>, NodeId)>,
    pub(super) attributes: Vec<(Box<str>, Attribute)>,
    pub(super) opens: Opens,
    pub(super) slot: Option<Slot>,
}

/// One attribute of an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// Its place in [`Layout::paths`].
    pub(super) path: usize,
    pub(super) slot: Option<Slot>,
}

/// The tree; its first node is the root element.
#[derive(Debug)]
pub(super) struct Layout {
    nodes: Vec<Node>,
    /// The path of each node (whose id it is), and after them of each attribute.
    paths: Vec<Box<str>>,
}

/// The root element's node.
pub(super) const ROOT: NodeId = 0;

impl Layout {
    /// A tree of one root element.
    pub(super) fn new(root: &str) -> Self {
        Self { nodes: vec![Node::new()], paths: vec![root.into()] }
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

    /// Says what begins at a node; `false` where that was said before.
    pub(super) fn open(&mut self, node: NodeId, opens: Opens) -> bool {
        let free = self.nodes[node].opens == Opens::Nothing;
        self.nodes[node].opens = opens;
        free && node != ROOT
    }

    /// Says where a node's text goes; `false` where that was said before.
    pub(super) fn fill(&mut self, node: NodeId, slot: Option<Slot>) -> bool {
        let free = self.nodes[node].slot.is_none();
        self.nodes[node].slot = slot;
        free
    }

    /// Says where an attribute's text goes; `false` where that was said before.
    pub(super) fn attribute(&mut self, node: NodeId, name: &str, slot: Option<Slot>) -> bool {
        let attributes = &mut self.nodes[node].attributes;
        let free = attributes.iter().all(|(other, _)| &**other != name);
        // The place among the paths is settled by `seal`, when all nodes have theirs.
        attributes.push((name.into(), Attribute { path: 0, slot }));
        free
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
        Self { children: Vec::new(), attributes: Vec::new(), opens: Opens::Nothing, slot: None }
    }
}
