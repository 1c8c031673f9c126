//! The sections on Microsoft Entra: who we are to the tenant, and the snapshot of its users.

use std::net::IpAddr;
use std::time::Duration;

use super::document::{Problem, Section, Value};
use super::load::credential;
use super::values;
use super::{ConfigError, Credential, Directory, Entra, Places, Secrecy};

/// What the certificate is called where nothing else is said.
const CERTIFICATE: &str = "entra-certificate";
/// Microsoft's public cloud; the national ones have others.
const AUTHORITY: &str = "https://login.microsoftonline.com";
const GRAPH: &str = "https://graph.microsoft.com";
/// Two days: a refresh that fails over a night or a holiday is no alarm yet.
const MAX_AGE: Duration = Duration::from_hours(48);

/// None where the section is not there.
pub(super) fn entra(section: &Section<'_>, places: &Places) -> Result<Option<Entra>, ConfigError> {
    if !section.is_there() {
        return Ok(None);
    }
    Ok(Some(Entra {
        tenant: section.require("tenant", "\"contoso.onmicrosoft.com\"", tenant)?,
        client_id: section.require("client_id", "the application (client) ID in quotes", guid)?,
        certificates: certificates(section, places)?,
        authority: section.get("authority", endpoint)?.unwrap_or_else(|| AUTHORITY.to_owned()),
        graph: section.get("graph", endpoint)?.unwrap_or_else(|| GRAPH.to_owned()),
    }))
}

/// `entra.certificate`, which has a name before the section is there: the certificate is made first.
pub(super) fn certificates(section: &Section<'_>, places: &Places) -> Result<Vec<Credential>, ConfigError> {
    const KEY: &str = "entra.certificate";
    let read = |value| credential(value, KEY, Secrecy::Secret, places);
    let default = || vec![Credential::new(KEY, CERTIFICATE, Secrecy::Secret, places)];
    let named = section.get("certificate", |value| value.one_or_more(read))?.unwrap_or_else(default);
    if named.is_empty() {
        return Err(section.complain("certificate", "no certificate; name at least one, or remove the line"));
    }
    Ok(named)
}

/// `mailboxes.graph`: `true`, or a table.
pub(super) fn directory(value: Value<'_>) -> Result<Option<Directory>, Problem> {
    let mut directory = Directory { im_id_attribute: None, max_age: MAX_AGE };
    let Some(entries) = value.entries() else { return Ok(value.flag()?.then_some(directory)) };
    for (key, value) in entries {
        match key {
            "im_id_attribute" => directory.im_id_attribute = Some(attribute(value)?),
            "max_age" => directory.max_age = max_age(value)?,
            _ => return Err(value.problem("unknown key; [mailboxes.graph] takes im_id_attribute, max_age")),
        }
    }
    Ok(Some(directory))
}

fn max_age(value: Value<'_>) -> Result<Duration, Problem> {
    let age = values::duration(value)?;
    let is_long = age >= Duration::from_hours(12);
    let what = "shorter than twelve hours, and the tenant is asked every six; write it as in \"48h\"";
    is_long.then_some(age).ok_or_else(|| value.problem(what))
}

/// A tenant's id, or one of its domains: it becomes part of an address.
fn tenant(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?;
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.'));
    if ["common", "organizations", "consumers"].contains(&text) {
        return Err(value.problem("names no tenant; write the directory (tenant) ID, or one of its domains"));
    }
    if is_plain { Ok(text.to_owned()) } else { Err(value.problem("no tenant; write its ID, or one of its domains")) }
}

/// 8-4-4-4-12 hexadecimal digits.
fn guid(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?;
    let parts: Vec<&str> = text.split('-').collect();
    let is_guid = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let what = "no application ID; write it as in \"00000000-0000-0000-0000-000000000000\", see the app's overview";
    if is_guid { Ok(text.to_ascii_lowercase()) } else { Err(value.problem(what)) }
}

/// `https://host[:port]` without a path; without TLS only on this machine.
fn endpoint(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?.trim_end_matches('/');
    let bad = || value.problem("no endpoint; write it as in \"https://login.microsoftonline.com\", without a path");
    let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (rest, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let is_name = bare.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.'));
    if bare.is_empty() || !(is_name || address.is_some()) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(bad());
    }
    let is_here = bare == "localhost" || address.is_some_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if is_here => Ok(text.to_owned()),
        "http" => Err(value.problem("without TLS everybody on the way could read it; write https://")),
        _ => Err(bad()),
    }
}

/// A property of a user: letters, digits, `_`, and a dot within a complex one. It becomes part of an address.
fn attribute(value: Value<'_>) -> Result<String, Problem> {
    let text = values::filled(value)?;
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut parts = text.split('.');
    let is_good = parts.by_ref().take(2).all(is_name) && parts.next().is_none();
    let what = "no property of a user; write it as in \"onPremisesExtensionAttributes.extensionAttribute7\"";
    if is_good { Ok(text.to_owned()) } else { Err(value.problem(what)) }
}
