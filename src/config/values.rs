//! Single settings: from a value's text to a type that holds no bad one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use data_encoding::BASE64_NOPAD;
use glob::Pattern;
use jiff::SignedDuration;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::Room;
use super::document::{Problem, Value};
use crate::domain::Domain;
use crate::mailbox::Mailbox;

/// Text with something in it, and no control characters.
pub(super) fn filled(value: Value<'_>) -> Result<&str, Problem> {
    let text = value.text()?.trim();
    if text.is_empty() {
        return Err(value.problem("empty; write a value, or remove the key"));
    }
    if text.contains(char::is_control) {
        return Err(value.problem("a control character; write the value on one line"));
    }
    Ok(text)
}

/// Text without white space in it.
pub(super) fn word(value: Value<'_>) -> Result<String, Problem> {
    let text = filled(value)?;
    if text.contains(char::is_whitespace) {
        return Err(value.problem("holds white space; remove it"));
    }
    Ok(text.to_owned())
}

/// A host name or address, and nothing around it.
pub(super) fn host(value: Value<'_>) -> Result<String, Problem> {
    let host = word(value)?;
    if host.contains(['/', '@', '[', ']']) || host.matches(':').count() == 1 {
        return Err(value.problem("more than a host; write the bare name or address, and the port in site.port"));
    }
    Ok(host)
}

/// The address of a web service without a path's end, or what is wrong with it. Without TLS only this machine itself.
///
/// # Errors
/// Where it is no such address; in words for whoever wrote it.
pub fn service(text: &str) -> Result<String, &'static str> {
    let (is_safe, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err("no address of a service; write it as in \"https://acme.blob.core.windows.net\""),
    };
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || ['?', '#', '@', '\\'].contains(&c)) {
        return Err("more than the address of a service; write it without user, ? and #");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host =
        authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(authority, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if host.is_empty() {
        return Err("an address without a host; write it as in \"https://acme.blob.core.windows.net\"");
    }
    if !is_safe && !is_here {
        return Err("an address without TLS, by which everybody on the way could read chat; write https://");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// What `ssh-keygen -lf` prints: `SHA256:` and the unpadded base64 of 32 bytes.
pub(super) fn host_key(value: Value<'_>) -> Result<String, Problem> {
    let text = filled(value)?;
    let digest = text.strip_prefix("SHA256:").and_then(|base64| BASE64_NOPAD.decode(base64.as_bytes()).ok());
    if digest.is_none_or(|digest| digest.len() != 32) {
        let what = "not an OpenSSH fingerprint; write SHA256: and 43 characters, as `icechatd check` or ssh-keygen -lf \
                    shows it";
        return Err(value.problem(what));
    }
    Ok(text.to_owned())
}

/// A pattern for names in the remote folder.
pub(super) fn pattern(value: Value<'_>) -> Result<Pattern, Problem> {
    let text = filled(value)?;
    if text.contains('/') {
        return Err(value.problem("a pattern for names holds no slash; name the folder in site.directory"));
    }
    Pattern::new(text)
        .map_err(|error| value.problem(format_args!("not a pattern: {}; write it as in \"*.pgp\"", error.msg)))
}

/// An address of this machine or of the firm.
pub(super) fn address(value: Value<'_>) -> Result<IpAddr, Problem> {
    filled(value)?.parse().map_err(|_| value.problem("not an IP address; write it as in \"203.0.113.7\""))
}

/// A domain of ours.
pub(super) fn domain(value: Value<'_>) -> Result<Domain, Problem> {
    let what = "not a domain name; write it as in \"contoso.com\", an international one as xn--...";
    Domain::parse(filled(value)?).ok_or_else(|| value.problem(what))
}

/// jiff's friendly form: `10s`, `6h`, `1m 30s`.
pub(super) fn duration(value: Value<'_>) -> Result<Duration, Problem> {
    let bad = || value.problem("not a duration; write it as in \"10s\", \"5m\" or \"6h\"");
    let duration: SignedDuration = filled(value)?.parse().map_err(|_| bad())?;
    Duration::try_from(duration).map_err(|_| bad())
}

/// A duration that is not nothing.
pub(super) fn deadline(value: Value<'_>) -> Result<Duration, Problem> {
    let duration = duration(value)?;
    if duration.is_zero() { Err(value.problem("no time at all; write it as in \"6h\"")) } else { Ok(duration) }
}

/// A number of bytes.
pub(super) fn size(value: Value<'_>) -> Result<u64, Problem> {
    let size = filled(value)?.parse::<ByteSize>().map(|size| size.as_u64());
    size.ok().filter(|size| *size > 0).ok_or_else(|| value.problem("not a size; write it as in \"64GiB\" or \"16MiB\""))
}

/// Bytes as a size, `"0"` for none; or a table of bytes and inodes. What is not named has its default.
pub(super) fn room(value: Value<'_>) -> Result<Room, Problem> {
    let what = "write it as in \"1GiB\", or as in { bytes = \"1GiB\", inodes = 10000 }";
    let bytes = |value: Value<'_>| {
        let size = filled(value)?.parse::<ByteSize>().map(|size| size.as_u64());
        size.map_err(|_| value.problem(format_args!("not a size; {what}")))
    };
    let mut room = Room::default();
    match value.entries() {
        Some(entries) => {
            for (key, value) in entries {
                match key {
                    "bytes" => room.bytes = bytes(value)?,
                    "inodes" => room.inodes = value.number(0..=1 << 40)?,
                    _ => return Err(value.problem(format_args!("unknown key; {what}"))),
                }
            }
        }
        None => room.bytes = bytes(value)?,
    }
    Ok(room)
}

/// `HH:MM`, with seconds where wanted.
pub(super) fn time(value: Value<'_>) -> Result<Time, Problem> {
    let text = value.text_or_time()?;
    let format = if text.len() == 5 { "%H:%M" } else { "%H:%M:%S" };
    let time = Time::strptime(format, &text).ok().filter(|_| matches!(text.len(), 5 | 8));
    time.ok_or_else(|| value.problem("not a time of day; write it as in \"06:30\""))
}

/// `YYYY-MM-DD`.
pub(super) fn date(value: Value<'_>) -> Result<Date, Problem> {
    day(&value.text_or_time()?).map_err(|()| value.problem("not a date; write it as in \"2026-10-01\""))
}

/// `YYYY-MM-DD` outside the configuration file itself.
pub(super) fn day(text: &str) -> Result<Date, ()> {
    Date::strptime("%Y-%m-%d", text).ok().filter(|_| text.len() == 10).ok_or(())
}

/// The address of a mailbox.
pub(super) fn mailbox(value: Value<'_>) -> Result<Mailbox, Problem> {
    Mailbox::parse(filled(value)?).map_err(|error| value.problem(format_args!("{error}; write a mailbox's address")))
}

/// An address and port that nobody outside this machine reaches.
pub(super) fn loopback(value: Value<'_>) -> Result<SocketAddr, Problem> {
    let bad = "not an address and port; write it as in \"127.0.0.1:9464\"";
    let address: SocketAddr = filled(value)?.parse().map_err(|_| value.problem(bad))?;
    let what = "not on loopback; write 127.0.0.1 or [::1], and let a proxy or agent on this machine carry it further";
    if address.ip().is_loopback() { Ok(address) } else { Err(value.problem(what)) }
}

/// An IANA name.
pub(super) fn time_zone(value: Value<'_>) -> Result<TimeZone, Problem> {
    let zone = TimeZone::get(filled(value)?);
    zone.map_err(|_| value.problem("no such time zone; write an IANA name as in \"Europe/London\" or \"UTC\""))
}

/// `keep` or `delete`: whether an export is removed once it is committed.
pub(super) fn delete_after(value: Value<'_>) -> Result<bool, Problem> {
    match value.text()? {
        "keep" => Ok(false),
        "delete" => Ok(true),
        _ => Err(value.problem("neither \"keep\" nor \"delete\"; write one of them")),
    }
}

/// `mon-fri`, `mon,wed,fri`, `sat-tue`, `daily`, or a list of such; from Monday on, each day once.
pub(super) fn days(value: Value<'_>) -> Result<Vec<Weekday>, Problem> {
    let mut named = [false; 7];
    value.one_or_more(|part| {
        let bad = || part.problem("not days of the week; write them as in \"mon-fri\", \"mon,wed,fri\" or \"daily\"");
        for part in part.text()?.split(',') {
            span(part).ok_or_else(bad)?.for_each(|day| named[usize::from(day) % 7] = true);
        }
        Ok(())
    })?;
    let week = Weekday::Monday.cycle_forward().zip(named);
    let days: Vec<_> = week.filter(|(_, named)| *named).map(|(day, _)| day).collect();
    if days.is_empty() { Err(value.problem("no day; name at least one")) } else { Ok(days) }
}

/// Days from Monday as 0; beyond 6 where a span runs into the next week.
fn span(text: &str) -> Option<std::ops::RangeInclusive<u8>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("daily") {
        return Some(0..=6);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (weekday(first)?, weekday(last)?);
    Some(first..=if last < first { last + 7 } else { last })
}

/// A day's English name or the first three letters of it.
fn weekday(text: &str) -> Option<u8> {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let text = text.trim().to_ascii_lowercase();
    (0..).zip(NAMES).find(|(_, name)| text == *name || text == name[..3]).map(|(day, _)| day)
}
