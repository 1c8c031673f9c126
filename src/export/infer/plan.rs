//! A proposal before it is written: every line of the profile with why it is there, and what a person must decide.

/// What nobody but a person can know.
const COMPARE: &str = "nobody has compared this profile with the vendor's description of the export: do that last";

/// A key with its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: &'static str,
    /// One path, or several in order of preference.
    pub(super) paths: Vec<String>,
    /// Why, and what else it could be; stands beside the line.
    pub(super) why: String,
    /// What a person must decide; none where name and texts agree.
    pub(super) guess: Option<String>,
}

impl Line {
    pub(super) fn new(key: &'static str, path: String, why: impl Into<String>) -> Self {
        Self { key, paths: vec![path], why: why.into(), guess: None }
    }

    /// Adds what a person must decide.
    pub(super) fn unsure(mut self, guess: impl Into<String>) -> Self {
        self.guess = Some(guess.into());
        self
    }
}

/// One of those to whom a record is addressed, or who are asked to come.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) path: String,
    pub(super) why: String,
    pub(super) person: Vec<Line>,
    pub(super) delimiter: Option<char>,
    pub(super) ignore: Vec<String>,
}

/// The kinds of record, as a profile names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entered,
    Left,
    Invited,
    Message,
    History,
    Attachment,
    Disclaimer,
    System,
    Event,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left => "left",
            Self::Invited => "invited",
            Self::Message => "message",
            Self::History => "history",
            Self::Attachment => "attachment",
            Self::Disclaimer => "disclaimer",
            Self::System => "system",
            Self::Event => "event",
        }
    }

    /// Whether each becomes an item.
    pub(super) fn is_item(self) -> bool {
        matches!(self, Self::Message | Self::History | Self::Attachment)
    }
}

/// One kind of record.
#[derive(Debug)]
pub(super) struct RecordPlan {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) count: u64,
    pub(super) why: String,
    pub(super) guess: Option<String>,
    pub(super) lines: Vec<Line>,
    pub(super) person: Vec<Line>,
    pub(super) recipients: Vec<Group>,
    pub(super) invited: Vec<Group>,
    /// What each is called, and where it stands.
    pub(super) extra: Vec<(String, String)>,
    pub(super) ignore: Vec<String>,
    /// What stays unknown, because a profile cannot say it.
    pub(super) left_out: Vec<String>,
}

/// The whole profile.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: String,
    pub(super) header: Vec<Line>,
    pub(super) header_ignore: Vec<String>,
    pub(super) conversation: Line,
    pub(super) room: Vec<Line>,
    pub(super) room_ignore: Vec<String>,
    pub(super) records: Vec<RecordPlan>,
    /// Notations, in the order in which they are tried.
    pub(super) formats: Vec<String>,
    pub(super) formats_why: String,
    /// Whether some notation lacks an offset.
    pub(super) needs_zone: bool,
    pub(super) totals: Vec<Line>,
    /// What a person must decide that belongs to no line.
    pub(super) guesses: Vec<String>,
}

impl RecordPlan {
    fn guesses(&self) -> impl Iterator<Item = &String> {
        let groups = self.recipients.iter().chain(&self.invited).flat_map(|group| &group.person);
        let lines = self.lines.iter().chain(&self.person).chain(groups);
        self.guess.iter().chain(lines.filter_map(|line| line.guess.as_ref()))
    }
}

impl Plan {
    /// What a person must decide, in the order of the profile, each once. What is the same for several records
    /// (`Message: this rather than that`) is one decision.
    pub(super) fn decisions(&self) -> Vec<String> {
        let lines = self.header.iter().chain([&self.conversation]).chain(&self.room).chain(&self.totals);
        let of_lines = lines.filter_map(|line| line.guess.as_ref());
        let mut found: Vec<(Vec<&str>, &str)> = Vec::new();
        let of_records = self.records.iter().flat_map(RecordPlan::guesses);
        let all = self.guesses.iter().chain(of_lines).chain(of_records).map(String::as_str);
        for guess in all.chain([COMPARE]) {
            let (whose, what) = guess.split_once(": ").map_or((None, guess), |(whose, what)| (Some(whose), what));
            match found.iter_mut().find(|(_, known)| *known == what) {
                Some((all, _)) => all.extend(whose),
                None => found.push((whose.into_iter().collect(), what)),
            }
        }
        let said = |(whose, what): (Vec<&str>, &str)| {
            if whose.is_empty() { what.to_owned() } else { format!("{}: {what}", whose.join(", ")) }
        };
        found.into_iter().map(said).collect()
    }
}
