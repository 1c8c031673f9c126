//! A TOML document as sections and values that know where they stand, so that every complaint names file, line and key.
//! Alone knows the TOML library.

use std::fmt;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Every section with its keys. Whatever else a file says is an error, whichever verb reads it.
const KNOWN: [(&str, &[&str]); 16] = [
    (
        "site",
        &[
            "host",
            "port",
            "firm_code",
            "host_keys",
            "directory",
            "files",
            "password",
            "settle",
            "after",
            "source_address",
            "egress_ip",
            "initial_date",
        ],
    ),
    ("keys", &["ssh", "pgp", "retired", "passphrases", "signers"]),
    ("export", &["profile"]),
    ("mapping", &["directory", "automatic"]),
    ("mailboxes", &["domains", "companies", "list", "graph", "catch_all", "journal"]),
    ("eml", &["grouping", "events", "footer", "max_attachment", "max_size", "subject", "headers"]),
    ("attachments", &["wait", "max_entries"]),
    ("staging", &["local", "copies", "group", "importer_may_delete", "min_free"]),
    (
        "staging.azure",
        &["account", "endpoint", "container", "prefix", "sas", "identity", "client_id", "uploads", "immutability"],
    ),
    ("state", &["directory", "originals_days", "rejected_days"]),
    ("schedule", &["at", "time_zone", "days", "deadline", "holidays"]),
    ("entra", &["tenant", "client_id", "certificate", "authority", "graph"]),
    ("alerts", &["webhook", "ping"]),
    ("mail", &["server", "port", "security", "user", "password", "from", "to", "reconciliation"]),
    ("metrics", &["listen"]),
    (
        "limits",
        &[
            "max_plaintext",
            "max_ratio",
            "max_message",
            "max_attachment",
            "max_participants",
            "transfer_deadline",
            "workers",
        ],
    ),
];

/// Why a configuration cannot be used (exit code 78): a person has to change it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("{}: no such configuration file; name one with --config FILE, or write one there{hint}", file.display())]
    Missing {
        /// Where it should be.
        file: PathBuf,
        /// What the least such file holds, for the verb at hand.
        hint: &'static str,
    },
    /// The file cannot be read.
    #[error("{}: cannot read the configuration file; let this user read it, or name another with --config FILE", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML, or says something that cannot be.
    #[error("{}:{line}: {key}: {problem}", file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// The physical line, from 1; for what is missing, that of its section.
        line: usize,
        /// `section.key`, or what stands there in its place.
        key: String,
        /// What is wrong; what to do.
        problem: String,
    },
}

/// What is wrong with a value, and where it stands in the text.
#[derive(Debug)]
pub(super) struct Problem {
    at: usize,
    text: String,
}

/// A document whose sections and keys are all known.
pub(super) struct Document<'i> {
    file: PathBuf,
    text: &'i str,
    root: DeTable<'i>,
}

/// One section; it may be missing.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    name: &'static str,
    at: usize,
    table: Option<&'d DeTable<'d>>,
}

/// A value that knows where it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'d>(&'d Spanned<DeValue<'d>>);

/// A file's text.
pub(super) fn read(file: &Path, hint: &'static str) -> Result<String, ConfigError> {
    let bytes = std::fs::read(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing { file: file.to_owned(), hint },
        _ => ConfigError::Unreadable { file: file.to_owned(), source },
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let problem = "not UTF-8; save the file as UTF-8".to_owned();
        ConfigError::Invalid { file: file.to_owned(), line: line_of(valid), key: "text".to_owned(), problem }
    })
}

/// The text that a file gives for a key, as far as that can be read at all: whatever else is wrong with the file.
pub(super) fn salvaged(toml: &str, section: &str, key: &str) -> Option<String> {
    let (root, _) = DeTable::parse_recoverable(toml);
    let value = root.get_ref().get(section)?.get_ref().as_table()?.get(key)?;
    value.get_ref().as_str().map(str::to_owned)
}

fn line_of(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

impl<'i> Document<'i> {
    pub(super) fn parse(file: &Path, text: &'i str) -> Result<Self, ConfigError> {
        let mut document = Self { file: file.to_owned(), text, root: DeTable::new() };
        match DeTable::parse(text) {
            Ok(root) => document.root = root.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |Range { start, .. }| start);
                let text = format!("{}; correct the line", one_line(error.message()));
                return Err(document.invalid("not TOML", Problem { at, text }));
            }
        }
        document.refuse_unknown()?;
        Ok(document)
    }

    /// The section called `name`; one within another has that one's name and a dot before its own.
    pub(super) fn section(&'i self, name: &'static str) -> Section<'i> {
        let mut found = None;
        for part in name.split('.') {
            let within =
                found.map_or(Some(&self.root), |(_, value): (_, &Spanned<DeValue<'i>>)| value.get_ref().as_table());
            found = within.and_then(|table| table.get_key_value(part));
            if found.is_none() {
                break;
            }
        }
        let at = found.map_or(0, |(key, _)| key.span().start);
        Section { document: self, name, at, table: found.and_then(|(_, value)| value.get_ref().as_table()) }
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        for (name, value) in &self.root {
            let at = name.span().start;
            if !name.get_ref().contains('.') && is_section(name.get_ref()) {
                self.refuse_unknown_in(name.get_ref(), at, value)?;
            } else {
                let sections = KNOWN.map(|(section, _)| section).join("], [");
                return Err(self.unknown(name.get_ref(), at, &format!("the sections are [{sections}]")));
            }
        }
        Ok(())
    }

    fn refuse_unknown_in(&self, section: &str, at: usize, value: &Spanned<DeValue<'i>>) -> Result<(), ConfigError> {
        let Some(table) = value.get_ref().as_table() else {
            let text = format!("this is a section; write its keys below a line [{section}]");
            return Err(self.invalid(section, Problem { at, text }));
        };
        let keys = KNOWN.iter().find(|(known, _)| *known == section).map_or(&[][..], |(_, keys)| keys);
        for (key, value) in table {
            let path = format!("{section}.{}", key.get_ref());
            if is_section(&path) {
                self.refuse_unknown_in(&path, key.span().start, value)?;
            } else if !keys.contains(&&**key.get_ref()) {
                return Err(self.unknown(&path, key.span().start, &format!("[{section}] takes {}", keys.join(", "))));
            }
        }
        Ok(())
    }

    fn unknown(&self, key: &str, at: usize, known: &str) -> ConfigError {
        self.invalid(key, Problem { at, text: format!("unknown key; {known}") })
    }

    fn invalid(&self, key: &str, problem: Problem) -> ConfigError {
        let line = line_of(&self.text.as_bytes()[..problem.at.min(self.text.len())]);
        // A quoted key may hold anything, a line break too.
        ConfigError::Invalid { file: self.file.clone(), line, key: one_line(key), problem: problem.text }
    }
}

fn is_section(name: &str) -> bool {
    KNOWN.iter().any(|(section, _)| *section == name)
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

impl<'d> Section<'d> {
    fn value(&self, key: &str) -> Option<Value<'d>> {
        self.table.and_then(|table| table.get(key)).map(Value)
    }

    /// Whether the file has it.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the file has this key of it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The value of `key` as `read` takes it, if the key is there.
    pub(super) fn get<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Value<'d>) -> Result<T, Problem>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key).map(|value| read(value).map_err(|problem| self.problem(key, problem))).transpose()
    }

    /// As [`Section::get`], for a key that must be there.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Value<'d>) -> Result<T, Problem>,
    ) -> Result<T, ConfigError> {
        self.get(key, read)?.ok_or_else(|| {
            let text = format!("missing; add {key} = {example} to [{}]", self.name);
            self.problem(key, Problem { at: self.at, text })
        })
    }

    /// A complaint about a key of this section, where its value stands, else where the section does.
    pub(super) fn complain(&self, key: &'static str, text: impl fmt::Display) -> ConfigError {
        let at = self.value(key).map_or(self.at, |value| value.0.span().start);
        self.problem(key, Problem { at, text: text.to_string() })
    }

    fn problem(&self, key: &str, problem: Problem) -> ConfigError {
        self.document.invalid(&format!("{}.{key}", self.name), problem)
    }
}

impl<'d> Value<'d> {
    /// A complaint about this value.
    pub(super) fn problem(self, text: impl fmt::Display) -> Problem {
        Problem { at: self.0.span().start, text: text.to_string() }
    }

    fn expected(self, what: &str) -> Problem {
        let kind = self.0.get_ref().type_str();
        let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
        self.problem(format_args!("{article} {kind} stands here; write {what}"))
    }

    /// A string.
    pub(super) fn text(self) -> Result<&'d str, Problem> {
        self.0.get_ref().as_str().ok_or_else(|| self.expected("a string in quotes"))
    }

    /// A string, or one of TOML's own dates and times, as text.
    pub(super) fn text_or_time(self) -> Result<String, Problem> {
        match self.0.get_ref() {
            DeValue::Datetime(time) => Ok(time.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// The keys and values of a table within a section; none where it is no table.
    pub(super) fn entries(self) -> Option<Vec<(&'d str, Self)>> {
        let table = self.0.get_ref().as_table()?;
        Some(table.iter().map(|(key, value)| (&**key.get_ref(), Self(value))).collect())
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Result<bool, Problem> {
        self.0.get_ref().as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number within `range`.
    pub(super) fn number<T>(self, range: RangeInclusive<T>) -> Result<T, Problem>
    where
        T: TryFrom<i128> + PartialOrd + fmt::Display,
    {
        let words = || format!("a whole number from {} to {}", range.start(), range.end());
        let integer = self.0.get_ref().as_integer().ok_or_else(|| self.expected(&words()))?;
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| T::try_from(n).ok());
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| self.problem(format_args!("out of range; write {}", words())))
    }

    /// The elements of a list, each as `read` takes it.
    pub(super) fn list<T>(self, read: impl FnMut(Value<'d>) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
        let list = self.0.get_ref().as_array().ok_or_else(|| self.expected("a list in brackets"))?;
        list.iter().map(Value).map(read).collect()
    }

    /// As [`Value::list`]; a single element is taken too.
    pub(super) fn one_or_more<T>(self, read: impl FnMut(Value<'d>) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
        if self.0.get_ref().is_array() { self.list(read) } else { std::iter::once(self).map(read).collect() }
    }
}
