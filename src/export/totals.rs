//! Control totals: how much a vendor says there is, in the export or beside it, against how much there is. An export that
//! lost something on its way is well-formed all the same; this is what tells.

use super::fault::Fault;

/// What a vendor may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Total {
    /// Messages, those that are shown again included.
    Messages,
    /// Attachments.
    Attachments,
    /// Conversations.
    Conversations,
    /// Whatever is a record in the profile, events included.
    Records,
}

impl Total {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Attachments, Self::Conversations, Self::Records];

    /// The key in a profile, and the word in a reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Attachments => "attachments",
            Self::Conversations => "conversations",
            Self::Records => "records",
        }
    }
}

/// How much of everything an export holds, rejected records included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// By [`Total`].
    numbers: [u64; 4],
}

impl Counted {
    /// How many of this.
    pub fn of(&self, total: Total) -> u64 {
        self.numbers[total as usize]
    }

    /// One more.
    pub(super) fn add(&mut self, total: Total) {
        self.numbers[total as usize] += 1;
    }
}

/// How much a vendor says there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// By [`Total`]: what the profile looks for, and what was found of it.
    numbers: [Option<Said>; 4],
}

/// One number that a vendor gives, or should give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The profile names it, and it was not there.
    Nothing,
    /// This many.
    Number(u64),
    /// Something that is no number.
    Unreadable,
    /// Two different numbers.
    Twice,
}

impl Told {
    /// Nothing yet of what is looked for.
    pub(super) fn expecting(totals: impl IntoIterator<Item = Total>) -> Self {
        let mut told = Self::default();
        totals.into_iter().for_each(|total| told.numbers[total as usize] = Some(Said::Nothing));
        told
    }

    /// The number that was found for this, where there is one.
    pub fn of(&self, total: Total) -> Option<u64> {
        match self.numbers[total as usize] {
            Some(Said::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Takes a number as it stands; what is empty counts as absent.
    pub(super) fn take(&mut self, total: Total, text: &str) {
        let text = super::trim(text);
        if text.is_empty() {
            return;
        }
        let said = number(text).map_or(Said::Unreadable, Said::Number);
        let place = &mut self.numbers[total as usize];
        *place = match *place {
            None | Some(Said::Nothing) => Some(said),
            Some(before) if before == said => Some(said),
            Some(_) => Some(Said::Twice),
        };
    }
}

/// A whole number, its thousands set apart with commas or not.
fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != ',').collect();
    let plain = digits.len() <= 18 && text.starts_with(|c: char| c.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The lines of a file of control totals, as `Total messages: {count}`.
#[derive(Debug, Default)]
pub struct Sidecar(Vec<(Total, LinePattern)>);

/// A line: what stands before the number, and behind it. White space and case do not matter.
#[derive(Debug)]
struct LinePattern {
    before: String,
    after: String,
}

impl Sidecar {
    /// Whether the profile knows no such files.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn expect(&mut self, total: Total, pattern: &str) -> Result<(), &'static str> {
        let wrong = "a line of control totals has {count} once, as in \"Total messages: {count}\"";
        let (before, after) = pattern.split_once(COUNT).ok_or(wrong)?;
        if after.contains(COUNT) {
            return Err(wrong);
        }
        let (before, after) = (plain(before), plain(after));
        self.0.push((total, LinePattern { before, after }));
        Ok(())
    }

    /// What such a file says. Lines that fit no pattern say nothing.
    pub fn read(&self, text: &str) -> Told {
        let mut told = Told::expecting(self.0.iter().map(|(total, _)| *total));
        for line in text.lines().map(plain) {
            for (total, pattern) in &self.0 {
                if let Some(number) = pattern.number(&line) {
                    told.take(*total, number);
                }
            }
        }
        told
    }
}

/// Where the number stands in a pattern.
const COUNT: &str = "{count}";

impl LinePattern {
    fn number<'a>(&self, line: &'a str) -> Option<&'a str> {
        let number = line.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        // Another line may begin the same way and go on with words.
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        is_number.then_some(number)
    }
}

/// In lower case, without white space.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{feff}').flat_map(char::to_lowercase).collect()
}

/// Holds what a vendor says against what there is.
///
/// # Errors
/// The first number that is another, or that should be there and is not: the file is held.
pub fn compare(told: &Told, counted: &Counted) -> Result<(), Fault> {
    for total in Total::ALL {
        let what = total.as_str();
        match told.numbers[total as usize] {
            None => {}
            Some(Said::Nothing) => return Err(Fault::NoTotal(what)),
            Some(Said::Unreadable) => return Err(Fault::UnreadableTotal(what)),
            Some(Said::Twice) => return Err(Fault::TotalTwice(what)),
            Some(Said::Number(told)) if told == counted.of(total) => {}
            Some(Said::Number(told)) => return Err(Fault::Total { what, told, found: counted.of(total) }),
        }
    }
    Ok(())
}
