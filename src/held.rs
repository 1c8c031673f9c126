//! What is held, for people and for programs, with an ID for each thing by which a person can dismiss it.
//!
//! An ID follows from what it names, so it stays the same for ever: `file:` and the file's SHA-256, `item:` and the item
//! id, `record:`, the export's SHA-256 and the record's place in it as in the manifest; `items:` and `records:` are all of
//! one export. SHA-256s are shown by their first 12 digits. Nothing here is chat text.

use std::fmt;

use serde_json::{Value, json};

use crate::digest::Sha256;
use crate::ledger::{Dismissal, HeldFile, HeldItem, HeldPerson, HeldRecord, Ledger, LedgerError, Matter};

/// So many participants of an item are shown to a person.
const SHOWN_PEOPLE: usize = 8;

/// All that is held, dismissed or not.
#[derive(Debug, Default)]
pub struct Held {
    /// Files that cannot be taken.
    pub files: Vec<HeldFile>,
    /// Items without a mailbox, export by export.
    pub items: Vec<HeldItem>,
    /// Records that are no items, export by export.
    pub records: Vec<HeldRecord>,
}

/// Why an ID names nothing that could be dismissed.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nothing.
    #[error("no held file, item or record has the ID {0}; icechatd held list shows them, nothing was dismissed")]
    Unknown(String),
    /// More than one thing.
    #[error("{0} is the beginning of several IDs; give more of its digits, nothing was dismissed")]
    Ambiguous(String),
}

/// What an ID names.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The whole ID.
    pub id: String,
    /// What it names, and whether that was dismissed already; several for all of an export.
    pub matters: Vec<(Matter, bool)>,
}

impl Held {
    /// Reads what the ledger holds.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn read(ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self { files: ledger.held_files()?, items: ledger.held_items()?, records: ledger.held_records()? })
    }

    /// Without what a person dismissed.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.files.retain(|file| !file.dismissed);
        self.items.retain(|item| !item.dismissed);
        self.records.retain(|record| !record.dismissed);
        self
    }

    /// What an ID names: a whole one, or as much of its beginning as only one thing has; for a file or an item the digits
    /// alone will do.
    ///
    /// # Errors
    /// Where it names nothing, or more than one thing.
    pub fn select(&self, word: &str) -> Result<Selected, SelectError> {
        let id = word.to_ascii_lowercase();
        let (kind, digits) = id.split_once(':').unwrap_or(("", &id));
        let place = digits.split_once(':');
        let mut found: Vec<Selected> = Vec::new();
        let mut add = |id: String, matter: Matter, dismissed: bool| match found.iter_mut().find(|one| one.id == id) {
            Some(one) => one.matters.push((matter, dismissed)),
            None => found.push(Selected { id, matters: vec![(matter, dismissed)] }),
        };
        let begins = |name: &str, digits: &str| !digits.is_empty() && name.starts_with(digits);
        for file in self.files.iter().filter(|_| ["", "file"].contains(&kind)) {
            if begins(&file.sha256.to_string(), digits) {
                add(file_id(file.sha256), file.matter, file.dismissed);
            }
        }
        for item in &self.items {
            let (own, export) = (item.id.to_string(), item.export.sha256.to_string());
            if ["", "item"].contains(&kind) && begins(&own, digits) {
                add(format!("item:{own}"), item.matter, item.dismissed);
            } else if kind == "items" && begins(&export, digits) {
                add(items_id(item.export.sha256), item.matter, item.dismissed);
            }
        }
        for record in &self.records {
            let export = record.sha256.to_string();
            if kind == "records" && begins(&export, digits) {
                add(records_id(record.sha256), record.matter, record.dismissed);
            }
            let is_it = |(digits, n): (&str, &str)| begins(&export, digits) && n == record.ordinal.to_string();
            if kind == "record" && place.is_some_and(is_it) {
                add(record_id(record.sha256, record.ordinal), record.matter, record.dismissed);
            }
        }
        match (found.len(), found.pop()) {
            (1, Some(one)) => Ok(one),
            (0, _) | (_, None) => Err(SelectError::Unknown(word.to_owned())),
            _ => Err(SelectError::Ambiguous(word.to_owned())),
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let exports = self.items.chunk_by(|one, next| one.export == next.export).map(|items| {
            let export = &items[0].export;
            json!({
                "id": items_id(export.sha256),
                "export": export.name,
                "sha256": export.sha256.to_string(),
                "date": export.date,
                "since": export.since.to_string(),
                "items": items.iter().map(item_json).collect::<Vec<_>>(),
            })
        });
        json!({
            "files": self.files.iter().map(|file| json!({
                "id": file_id(file.sha256), "name": file.name, "sha256": file.sha256.to_string(),
                "since": file.since.to_string(), "reason": file.reason,
            })).collect::<Vec<_>>(),
            "items": exports.collect::<Vec<_>>(),
            "records": self.records.iter().map(|record| json!({
                "id": record_id(record.sha256, record.ordinal), "file": record.name, "line": record.line,
                "kind": record.kind, "reason": record.reason,
            })).collect::<Vec<_>>(),
        })
    }
}

/// For a person.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() && self.items.is_empty() && self.records.is_empty() {
            return f.write_str("nothing is held that needs a person");
        }
        if !self.files.is_empty() {
            writeln!(f, "held files ({}): mend the cause, then icechatd ingest", self.files.len())?;
        }
        for file in &self.files {
            writeln!(f, "  {}  {}  since {}", file_id(file.sha256), file.name, file.since)?;
            writeln!(f, "    {}", file.reason)?;
        }
        if !self.items.is_empty() {
            let count = self.items.len();
            let advice = "map one of these people who is yours, then icechatd replay";
            writeln!(f, "held items ({count}), in nobody's mailbox: {advice}")?;
        }
        for items in self.items.chunk_by(|one, next| one.export == next.export) {
            write_export(f, items)?;
        }
        if !self.records.is_empty() {
            writeln!(f, "rejected records ({}): icechatd replay tries them again", self.records.len())?;
        }
        for record in &self.records {
            let id = record_id(record.sha256, record.ordinal);
            writeln!(f, "  {id}  {} line {}: {} ({})", record.name, record.line, record.reason, record.kind)?;
        }
        f.write_str("what needs nothing more: icechatd held dismiss ID... --reason TEXT")
    }
}

fn write_export(f: &mut fmt::Formatter<'_>, items: &[HeldItem]) -> fmt::Result {
    let export = &items[0].export;
    let date = export.date.as_deref().unwrap_or("no date");
    writeln!(f, "  {}  {}  {date}  since {}", items_id(export.sha256), export.name, export.since)?;
    for item in items {
        writeln!(f, "    item:{}  {}", item.id, item.time)?;
        let people = || item.people.iter().flat_map(|circle| circle.iter());
        for person in people().take(SHOWN_PEOPLE) {
            writeln!(f, "      {}", shown(person))?;
        }
        if people().count() > SHOWN_PEOPLE {
            writeln!(f, "      … {} participants in all; --json lists them", people().count())?;
        }
    }
    Ok(())
}

/// As `ghost1 <ghost@contoso.com> Gus Host (Contoso Ltd), external`: what of it the export gives.
fn shown(person: &HeldPerson) -> String {
    let HeldPerson { im_id, email, name, company, external } = person;
    let mut words: Vec<String> = im_id.iter().cloned().collect();
    words.extend(email.as_ref().map(|email| format!("<{email}>")));
    words.extend(name.clone());
    words.extend(company.as_ref().map(|company| format!("({company})")));
    words.join(" ") + if *external { ", external" } else { "" }
}

fn item_json(item: &HeldItem) -> Value {
    let people: Vec<&HeldPerson> = item.people.iter().flat_map(|circle| circle.iter()).collect();
    json!({"id": format!("item:{}", item.id), "time": item.time.to_string(), "participants": people})
}

/// What was dismissed, for programs.
pub fn dismissals_json(dismissals: &[Dismissal]) -> Value {
    let list = dismissals.iter().map(|one| {
        json!({
            "id": id_of(one), "file": one.name, "sha256": one.sha256.to_string(), "reason": one.reason,
            "by": one.by, "at": one.at.to_string(), "held": one.holds,
        })
    });
    list.collect()
}

/// What was dismissed, for a person.
pub fn dismissals_text(dismissals: &[Dismissal]) -> String {
    if dismissals.is_empty() {
        return "nothing was dismissed".to_owned();
    }
    let lines = dismissals.iter().map(|one| {
        let since = if one.holds { "" } else { "  (not held any more)" };
        format!("{}  {}  {}  by {}: {}{since}", id_of(one), one.name, one.at, one.by, one.reason)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn id_of(dismissal: &Dismissal) -> String {
    match dismissal.matter {
        Matter::File(_) => file_id(dismissal.sha256),
        Matter::Item { id, .. } => format!("item:{id}"),
        Matter::Record { ordinal, .. } => record_id(dismissal.sha256, ordinal),
    }
}

fn file_id(sha256: Sha256) -> String {
    format!("file:{}", short(sha256))
}

fn items_id(sha256: Sha256) -> String {
    format!("items:{}", short(sha256))
}

fn record_id(sha256: Sha256, ordinal: u64) -> String {
    format!("record:{}:{ordinal}", short(sha256))
}

fn records_id(sha256: Sha256) -> String {
    format!("records:{}", short(sha256))
}

fn short(sha256: Sha256) -> String {
    sha256.to_string().chars().take(12).collect()
}
