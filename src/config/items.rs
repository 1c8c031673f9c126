//! What becomes an EML and what it looks like; and how long an export waits for its attachments.

use std::time::Duration;

use super::document::{Problem, Section, Value};
use super::{Attachments, ConfigError, Eml, Grouping, values};
use crate::template::{Template, check_field_name};

/// Exchange Online takes messages of 25 MB and more; a reviewer's mail program shows none of that size.
const MAX_SIZE: u64 = 10 << 20;
const MAX_ATTACHMENT: u64 = 25 << 20;
/// Further header fields; `eml::frame` allows for so many.
const MAX_HEADERS: usize = 16;

pub(super) fn eml(section: &Section<'_>) -> Result<Eml, ConfigError> {
    Ok(Eml {
        grouping: section.get("grouping", grouping)?.unwrap_or(Grouping::Message),
        events: section.get("events", Value::flag)?.unwrap_or(false),
        footer: section.get("footer", Value::flag)?.unwrap_or(true),
        max_attachment: section.get("max_attachment", values::size)?.unwrap_or(MAX_ATTACHMENT),
        max_size: section.get("max_size", values::size)?.unwrap_or(MAX_SIZE),
        subject: section.get("subject", template)?,
        headers: section.get("headers", headers)?.unwrap_or_default(),
    })
}

pub(super) fn attachments(section: &Section<'_>) -> Result<Attachments, ConfigError> {
    Ok(Attachments {
        wait: section.get("wait", values::duration)?.unwrap_or(Duration::from_hours(4)),
        max_entries: section.get("max_entries", |value| value.number(1..=1 << 40))?.unwrap_or(100_000),
    })
}

fn grouping(value: Value<'_>) -> Result<Grouping, Problem> {
    match value.text()? {
        "message" => Ok(Grouping::Message),
        "conversation" => Ok(Grouping::Conversation),
        _ => Err(value.problem("write \"message\" or \"conversation\"")),
    }
}

/// Kept as text, for that is how it is recorded with each export; checked here.
fn template(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?;
    Template::parse(text).map_err(|error| value.problem(error.to_string()))?;
    Ok(text.to_owned())
}

fn headers(value: Value<'_>) -> Result<Vec<(String, String)>, Problem> {
    let what = "write the fields as in { \"X-Archive\" = \"ICE Chat of {firm_code}\" }";
    let entries = value.entries().ok_or_else(|| value.problem(what))?;
    if entries.len() > MAX_HEADERS {
        return Err(value.problem(format!("more than {MAX_HEADERS} fields; remove some")));
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        check_field_name(name).map_err(|error| value.problem(error.to_string()))?;
        if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(value.problem(format!("{name} is there twice; remove one")));
        }
        headers.push((name.to_owned(), template(value)?));
    }
    Ok(headers)
}
