//! Profiles: TOML files that say where in an export each field stands (contract 5), so that another schema needs another
//! file and no other reader.

mod compile;
mod document;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;

use self::document::{Ambiguity, Document, FileNames, Times, Unknown};
use super::file_date::FileDate;
use super::files::{FileKind, FilePattern, FileRole};
use super::layout::Layout;
use super::times::{Ambiguous, TimeRule};
use super::totals::{Sidecar, Total};

/// The profiles that come with the program, by name.
const BUILTIN: [(&str, &str); 2] =
    [("icechat", include_str!("profiles/icechat.toml")), ("bloomberg-ib", include_str!("profiles/bloomberg-ib.toml"))];

/// Whether who is in a room when an export ends is there when its next one begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Each export says for itself who is there.
    #[default]
    Export,
    /// They are there until an export says that they left: standing rooms, whose silent members no later export names.
    Carry,
}

/// A profile, checked and ready to read with.
#[derive(Debug)]
pub struct Profile {
    name: String,
    text: String,
    pub(super) layout: Layout,
    pub(super) root: Box<str>,
    pub(super) times: TimeRule,
    /// Whether an export that holds what is not named here is held.
    pub(super) holds_unknown: bool,
    /// Control totals that an export must give.
    pub(super) totals: Vec<Total>,
    presence: Presence,
    guesses: Vec<String>,
    file_date: Option<FileDate>,
    files: Vec<(FileKind, FilePattern)>,
    sidecar: Sidecar,
}

/// Why a profile cannot be used; the operator corrects the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile {name}{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct ProfileError {
    /// The profile.
    pub name: String,
    /// The line at fault, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong, on one line.
    pub reason: String,
}

impl Profile {
    /// The built-in profile of that name.
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = BUILTIN.into_iter().find(|(builtin, _)| *builtin == name)?;
        Self::parse(name, text).ok()
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// Where it is no TOML, has an unknown key, lacks what a record needs, or names one place twice.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        Self::read(name, text, true)
    }

    /// Reads a profile that was good enough when exports were taken in by it, whatever is asked of one today.
    ///
    /// # Errors
    /// Where it cannot be read as it was then.
    pub fn recorded(text: &str) -> Result<Self, ProfileError> {
        Self::read("recorded profile", text, false)
    }

    fn read(name: &str, text: &str, today: bool) -> Result<Self, ProfileError> {
        let error = |at: Option<usize>, reason: &str| ProfileError {
            name: name.to_owned(),
            line: at.map(|offset| text[..offset.min(text.len())].matches('\n').count() + 1),
            reason: reason.trim().replace('\n', "; "),
        };
        let document: Document =
            toml::from_str(text).map_err(|toml| error(toml.span().map(|span| span.start), toml.message()))?;
        Self::new(name, text, document, today).map_err(|(at, reason)| error(Some(at), &reason))
    }

    fn new(name: &str, text: &str, document: Document, today: bool) -> Result<Self, Wrong> {
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            layout: compile::compile(&document, today)?,
            times: times(&document.time)?,
            holds_unknown: document.unknown == Unknown::Hold,
            totals: document.totals.places().map(|(total, _)| total).collect(),
            presence: document.presence,
            file_date: file_date(document.header.file_date.as_ref())?,
            files: files(&document.file)?,
            sidecar: sidecar(&document)?,
            root: document.root.into_inner().into(),
            guesses: document.guesses,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a file holds and what goes with it, as its name says. Of several patterns that fit, the first counts; where
    /// none fits, it is an export.
    pub fn role(&self, file_name: &str) -> FileRole {
        let fit = |(kind, pattern): &(FileKind, FilePattern)| pattern.fit(*kind, file_name);
        self.files.iter().find_map(fit).unwrap_or_else(FileRole::export)
    }

    /// The day that an export's file name says it is about, for one that does not say it inside.
    pub fn date_in_name(&self, file_name: &str) -> Option<Date> {
        self.role(file_name).date.or_else(|| self.file_date.as_ref()?.find(file_name))
    }

    /// Whether who is in a room when an export ends is there when its next one begins.
    pub fn presence(&self) -> Presence {
        self.presence
    }

    /// What was guessed when the profile was proposed, and no person has decided yet: one sentence each. Such a profile
    /// may be tried, but takes in nothing.
    pub fn guesses(&self) -> &[String] {
        &self.guesses
    }

    /// How a file of control totals is read; what the profile expects of one is empty where there is none.
    pub fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// The TOML as it was given: what the ledger keeps, so that a replay reads as the first run did.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The names of the built-in profiles.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.into_iter().map(|(name, _)| name)
}

/// Where in the TOML, and why.
type Wrong = (usize, String);

fn file_date(pattern: Option<&Spanned<String>>) -> Result<Option<FileDate>, Wrong> {
    let Some(pattern) = pattern else { return Ok(None) };
    let wrong = || {
        let what = "file_date must say year, month and day, and nothing else, as in \"%Y%m%d\"";
        (pattern.span().start, what.to_owned())
    };
    FileDate::new(pattern.get_ref()).map(Some).ok_or_else(wrong)
}

fn files(entries: &[FileNames]) -> Result<Vec<(FileKind, FilePattern)>, Wrong> {
    let mut files = Vec::new();
    for entry in entries {
        for name in &entry.name.get_ref().0 {
            let wrong = |why: String| (entry.name.span().start, format!("{name:?} {why}"));
            files.push((entry.kind.file(), FilePattern::new(name).map_err(wrong)?));
        }
    }
    Ok(files)
}

fn times(times: &Times) -> Result<TimeRule, Wrong> {
    let ambiguous = match times.ambiguous {
        Ambiguity::Reject => Ambiguous::Reject,
        Ambiguity::Earlier => Ambiguous::Earlier,
        Ambiguity::Later => Ambiguous::Later,
    };
    let zone = times.zone.as_ref().map(|zone| {
        let wrong = || {
            (zone.span().start, format!("{:?} is no time zone; write one as in \"America/New_York\"", zone.get_ref()))
        };
        TimeZone::get(zone.get_ref()).map_err(|_| wrong())
    });
    let zone = zone.transpose()?;
    let Some(formats) = &times.formats else { return Ok(TimeRule::default()) };
    TimeRule::new(formats.get_ref(), zone, ambiguous).map_err(|(place, why)| {
        let format = formats.get_ref().get(place).map(|format| format!("{format:?} ")).unwrap_or_default();
        (formats.span().start, format!("time.formats: {format}{why}"))
    })
}

fn sidecar(document: &Document) -> Result<Sidecar, Wrong> {
    let mut sidecar = Sidecar::default();
    for (total, pattern) in document.totals.sidecar.patterns() {
        sidecar.expect(total, pattern.get_ref()).map_err(|why| (pattern.span().start, why.to_owned()))?;
    }
    Ok(sidecar)
}

#[cfg(test)]
mod tests;
