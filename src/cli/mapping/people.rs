//! `mapping unresolved` and `mapping externals`: participants without a mailbox, ours and others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::super::{Failure, output};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::inputs;
use crate::ledger::{Ledger, UnplacedPerson};
use crate::mailbox::Mailbox;
use crate::report::cell::{cell, is_formula};
use crate::resolve::ReadList;
use crate::resolve::suggest::Described;

/// Somebody of ours without a mailbox, and the mailbox that may be theirs.
#[derive(Debug, Serialize)]
struct Unresolved {
    #[serde(flatten)]
    person: UnplacedPerson,
    suggestion: Option<String>,
}

pub(super) fn unresolved(config: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let (people, held_items) = match Ledger::read(&config.state.directory)? {
        Some(ledger) => {
            let list = inputs::list_with_names(&config, &ledger)?;
            (with_suggestions(ledger.unplaced(false)?, list.as_ref()), ledger.state_now()?.held_items)
        }
        None => (Vec::new(), 0),
    };
    if json {
        output::print_json(&json!(people))?;
        return Ok(ExitCode::Complete);
    }
    // A row without an ImId would reject the whole set.
    let (known, nameless): (Vec<_>, Vec<_>) = people.into_iter().partition(|found| found.person.im_id.is_some());
    output::print(&csv(&known))?;
    advise(&config.mapping.directory, &known, &nameless);
    if known.is_empty() && nameless.is_empty() && held_items > 0 {
        output::complain(&format!(
            "but items are held ({held_items}) whose people all look external: icechatd held list names them; map one who \
             is yours, or icechatd held dismiss"
        ));
    }
    Ok(ExitCode::Complete)
}

fn with_suggestions(people: Vec<UnplacedPerson>, list: Option<&ReadList>) -> Vec<Unresolved> {
    let described: Vec<Described<'_>> = people.iter().map(described).collect();
    let suggestions = list.map_or_else(|| vec![None; people.len()], |list| list.suggest(&described));
    let suggestions: Vec<Option<String>> =
        suggestions.into_iter().map(|found| found.as_ref().map(Mailbox::to_string)).collect();
    people.into_iter().zip(suggestions).map(|(person, suggestion)| Unresolved { person, suggestion }).collect()
}

fn described(person: &UnplacedPerson) -> Described<'_> {
    Described { name: person.name.as_deref(), email: person.email.as_deref(), im_id: person.im_id.as_deref() }
}

/// What to do with the CSV, beside it rather than in it.
fn advise(folder: &Path, known: &[Unresolved], nameless: &[Unresolved]) {
    if known.is_empty() && nameless.is_empty() {
        output::complain("everybody of ours has a mailbox");
    }
    if !known.is_empty() {
        output::complain(&format!(
            "fill in Mailbox in every row (a mailbox, or external), remove the rows you cannot fill in, and drop the file \
             into {}: a row with an empty cell rejects the whole set",
            folder.display()
        ));
    }
    if known.iter().any(|found| found.suggestion.is_some()) {
        output::complain(
            "a Suggestion is a mailbox that looks alike, and may be somebody else's: copy it to Mailbox once you know",
        );
    }
    if known.iter().any(|found| found.person.im_id.as_deref().is_some_and(is_formula)) {
        output::complain(
            "an apostrophe stands before each ImId that a spreadsheet would take for a formula: remove it before you drop \
             the file",
        );
    }
    for found in nameless {
        output::complain(&format!(
            "{} has no ImId in the export, so no mapping can help: make that address a valid mailbox ([mailboxes])",
            found.person.email.as_deref().unwrap_or("somebody")
        ));
    }
}

/// The columns `ImId` and `Mailbox` are what the mapping folder takes; the others help a person and are ignored there.
fn csv(people: &[Unresolved]) -> String {
    let mut text = "ImId,Mailbox,Suggestion,Name,Company,EmailAddress,FirstSeen,LastSeen,Items\r\n".to_owned();
    for Unresolved { person, suggestion } in people {
        let word = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
        let cells = [
            word(&person.im_id),
            String::new(),
            word(suggestion),
            word(&person.name),
            word(&person.company),
            word(&person.email),
            person.first_seen.to_string(),
            person.last_seen.to_string(),
            person.items.to_string(),
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// The external participants of one mail domain.
#[derive(Debug, Serialize)]
struct Outside {
    /// None for those whose e-mail the exports do not give.
    domain: Option<String>,
    people: usize,
    /// Each person's items, added up: an item of two of them counts twice.
    items: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    participants: Vec<UnplacedPerson>,
}

pub(super) fn externals(config: &Path, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::load(config)?;
    let people = match Ledger::read(&config.state.directory)? {
        Some(ledger) => ledger.unplaced(true)?,
        None => Vec::new(),
    };
    let domains = by_domain(people);
    if json {
        output::print_json(&json!(domains))?;
    } else if domains.is_empty() {
        output::complain("no external participant has been seen");
    } else {
        let zone = &config.schedule.time_zone;
        output::print(&domains.iter().map(|domain| paragraph(domain, zone)).collect::<String>())?;
    }
    Ok(ExitCode::Complete)
}

/// The domain with most items first; within each, the person with most.
fn by_domain(people: Vec<UnplacedPerson>) -> Vec<Outside> {
    let mut domains: BTreeMap<Option<String>, Outside> = BTreeMap::new();
    for person in people {
        let domain = person.email.as_deref().and_then(|email| email.rsplit_once('@'));
        let domain = domain.map(|(_, domain)| domain.to_lowercase());
        let outside = domains.entry(domain.clone()).or_insert_with(|| Outside {
            domain,
            people: 0,
            items: 0,
            first_seen: person.first_seen,
            last_seen: person.last_seen,
            participants: Vec::new(),
        });
        outside.people += 1;
        outside.items += person.items;
        outside.first_seen = outside.first_seen.min(person.first_seen);
        outside.last_seen = outside.last_seen.max(person.last_seen);
        outside.participants.push(person);
    }
    let mut domains: Vec<_> = domains.into_values().collect();
    // Stable, and they come by name: so do those of equal weight.
    domains.sort_by_key(|outside| std::cmp::Reverse(outside.items));
    domains
}

fn paragraph(outside: &Outside, zone: &TimeZone) -> String {
    let seen = |first: Timestamp| first.to_zoned(zone.clone()).date();
    let Outside { people, items, first_seen, .. } = outside;
    let domain = outside.domain.as_deref().unwrap_or("(no e-mail)");
    let mut text = format!("{domain}: people {people}, items {items}, first seen {}\n", seen(*first_seen));
    for person in &outside.participants {
        let words = [&person.name, &person.company, &person.email, &person.im_id];
        let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        let (who, items) = (one_line(&words.join(", ")), person.items);
        let _ = writeln!(text, "  {who}: items {items}, first seen {}", seen(person.first_seen));
    }
    text
}

/// Names come from outside the firm: one that has line ends would make lines of its own.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(email: Option<&str>, items: u64, day: i64) -> UnplacedPerson {
        let seen = Timestamp::from_second(day * 86_400).unwrap();
        let email = email.map(str::to_owned);
        let name = Some("Nils\nBerg".to_owned());
        UnplacedPerson { im_id: None, email, name, company: None, items, first_seen: seen, last_seen: seen }
    }

    #[test]
    fn externals_are_summed_by_domain() {
        let of = |email| Some(email);
        let people = vec![
            person(of("a@small.example"), 9, 3),
            person(of("nils@Northern.example"), 6, 2),
            person(of("olga@northern.example"), 4, 1),
            person(None, 2, 5),
        ];
        let domains = by_domain(people);
        let shown: Vec<_> = domains.iter().map(|found| (found.domain.as_deref(), found.people, found.items)).collect();
        assert_eq!(shown, [(of("northern.example"), 2, 10), (of("small.example"), 1, 9), (None, 1, 2)]);
        assert_eq!(
            paragraph(&domains[0], &TimeZone::UTC),
            "northern.example: people 2, items 10, first seen 1970-01-02\n\
             \x20 Nils Berg, nils@Northern.example: items 6, first seen 1970-01-03\n\
             \x20 Nils Berg, olga@northern.example: items 4, first seen 1970-01-02\n"
        );
        assert!(paragraph(&domains[2], &TimeZone::UTC).starts_with("(no e-mail): people 1"));
    }
}
