//! From a document to the settings: which key is read as what, what it defaults to, and what must agree with what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;
use jiff::civil::{Date, Weekday, time};
use jiff::tz::TimeZone;

use super::document::{Document, Problem, Section, Value, read};
use super::text::ConfigText;
use super::{
    Config, ConfigError, Credential, Export, Keys, KeysConfig, Limits, Mailboxes, Mapping, Places, ProfileSource,
    Schedule, Secrecy, SignIn, Site, State,
};
use super::{entra, items, staging, telling, values};

pub(super) const LEAST: &str = " with site.host, site.firm_code, site.host_keys, mailboxes.domains, a staging \
                     (staging.local or [staging.azure]) and state.directory";
const LEAST_FOR_KEYS: &str = " with a line [keys]: the rest may follow later";

impl Config {
    /// Reads the configuration for a verb that works.
    ///
    /// # Errors
    /// The first thing that is wrong; among it, that no host key is pinned.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        load(file, Pins::Required)
    }

    /// Reads the configuration for `check`, which shows the key that the site offers where none is pinned yet, and does
    /// not log in.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load_for_check(file: &Path) -> Result<Self, ConfigError> {
        load(file, Pins::Optional)
    }
}

impl KeysConfig {
    /// Reads what the `keys` verbs need, whatever else is missing yet.
    ///
    /// # Errors
    /// The first thing that is wrong; an unknown key anywhere is.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::of_text(file, &read(file, LEAST_FOR_KEYS)?)
    }

    /// The same from a text that stands, or is to stand, in that file.
    pub(super) fn of_text(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(file, text)?;
        let (site, places, entra) = (document.section("site"), places(file), document.section("entra"));
        Ok(Self {
            file: absolute(file),
            keys: keys(&document.section("keys"), &places)?,
            firm_code: site.get("firm_code", values::word)?,
            egress_ip: site.get("egress_ip", |value| value.one_or_more(values::address))?.unwrap_or_default(),
            certificates: entra::certificates(&entra, &places)?,
            has_entra: entra.is_there(),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pins {
    Required,
    Optional,
}

fn load(file: &Path, pins: Pins) -> Result<Config, ConfigError> {
    of_text(file, &ConfigText::read(file)?, pins)
}

pub(super) fn of_text(file: &Path, text: &ConfigText, pins: Pins) -> Result<Config, ConfigError> {
    let document = Document::parse(file, &text.toml)?;
    let places = places(file);
    let base = &places.beside;
    let config = Config {
        file: absolute(file),
        site: site(&document.section("site"), &places, pins)?,
        keys: keys(&document.section("keys"), &places)?,
        export: export(&document.section("export"), base)?,
        mapping: mapping(&document.section("mapping"), base)?,
        mailboxes: mailboxes(&document.section("mailboxes"), base)?,
        eml: items::eml(&document.section("eml"))?,
        attachments: items::attachments(&document.section("attachments"))?,
        staging: staging::staging(&document.section("staging"), &document.section("staging.azure"), &places)?,
        state: state(&document.section("state"), base)?,
        schedule: schedule(&document.section("schedule"), file, text)?,
        entra: entra::entra(&document.section("entra"), &places)?,
        alerts: telling::alerts(&document.section("alerts"), &places)?,
        mail: telling::mail(&document.section("mail"), &places)?,
        metrics: document.section("metrics").get("listen", values::loopback)?,
        limits: limits(&document.section("limits"))?,
    };
    let by_app = config.staging.azure.as_ref().is_some_and(|azure| azure.sign_in == SignIn::App);
    if by_app && config.entra.is_none() {
        let what = "needs a section [entra] with tenant and client_id, to sign in; see docs/entra.md";
        return Err(document.section("staging.azure").complain("identity", what));
    }
    if config.mailboxes.graph.is_some() && config.entra.is_none() {
        let what = "needs a section [entra] with tenant and client_id, to sign in; see docs/entra.md";
        return Err(document.section("mailboxes").complain("graph", what));
    }
    refuse_overlap(&document, &config)?;
    Ok(config)
}

/// Where the file's relative paths and its credentials are.
fn places(file: &Path) -> Places {
    let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    Places { systemd, beside: absolute(file).parent().map_or_else(PathBuf::new, Path::to_owned) }
}

/// Not relative to a working directory that may change. It fails only where there is none; then nothing is changed.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

pub(super) fn path(value: Value<'_>, base: &Path) -> Result<PathBuf, Problem> {
    values::filled(value).map(|text| absolute(&base.join(text)))
}

/// A credential's name or path.
pub(super) fn credential(
    value: Value<'_>,
    key: &'static str,
    secrecy: Secrecy,
    at: &Places,
) -> Result<Credential, Problem> {
    let name = values::filled(value)?;
    if name == "." || name == ".." || name.ends_with('/') {
        return Err(value.problem("the name of a folder; write the name of a credential, or a path to its file"));
    }
    Ok(Credential::new(key, name, secrecy, at))
}

fn site(section: &Section<'_>, places: &Places, pins: Pins) -> Result<Site, ConfigError> {
    let host = section.require("host", "\"sftp.theice.com\"", values::host)?;
    let firm_code = section.require("firm_code", "the SFTP user name in quotes", values::word)?;
    Ok(Site {
        host,
        firm_code,
        host_keys: host_keys(section, pins)?,
        port: section.get("port", |value| value.number(1..=u16::MAX))?.unwrap_or(22),
        directory: section.get("directory", values::filled)?.unwrap_or(".").to_owned(),
        files: files(section)?,
        password: section.get("password", |value| credential(value, "site.password", Secrecy::Secret, places))?,
        settle: section.get("settle", values::duration)?.unwrap_or(Duration::from_secs(10)),
        delete_after: section.get("after", values::delete_after)?.unwrap_or(false),
        source_address: section.get("source_address", values::address)?,
        egress_ip: section.get("egress_ip", |value| value.one_or_more(values::address))?.unwrap_or_default(),
        initial_date: section.get("initial_date", values::date)?,
    })
}

fn host_keys(section: &Section<'_>, pins: Pins) -> Result<Vec<String>, ConfigError> {
    let keys = section.get("host_keys", |value| value.one_or_more(values::host_key))?.unwrap_or_default();
    if keys.is_empty() && pins == Pins::Required {
        let what = "no host key is pinned; run icechatd check, compare the key it shows with ICE's, and add it";
        return Err(section.complain("host_keys", what));
    }
    Ok(keys)
}

fn files(section: &Section<'_>) -> Result<Vec<Pattern>, ConfigError> {
    match section.get("files", |value| value.one_or_more(values::pattern))? {
        Some(files) if files.is_empty() => Err(section.complain("files", "no pattern; name at least one")),
        Some(files) => Ok(files),
        None => Ok(["*.pgp", "*.gpg", "*.asc"].into_iter().filter_map(|text| Pattern::new(text).ok()).collect()),
    }
}

fn keys(section: &Section<'_>, places: &Places) -> Result<Keys, ConfigError> {
    let secrets = |key, path, default: &[&str]| {
        let read = |value| credential(value, path, Secrecy::Secret, places);
        let default = || default.iter().map(|name| Credential::new(path, name, Secrecy::Secret, places)).collect();
        Ok(section.get(key, |value| value.one_or_more(read))?.unwrap_or_else(default))
    };
    let signer = |value| credential(value, "keys.signers", Secrecy::Public, places);
    let keys = Keys {
        ssh: secrets("ssh", "keys.ssh", &["ssh-key"])?,
        pgp: secrets("pgp", "keys.pgp", &["pgp-key"])?,
        retired: secrets("retired", "keys.retired", &[])?,
        passphrases: secrets("passphrases", "keys.passphrases", &[])?,
        signers: section.get("signers", |value| value.one_or_more(signer))?.unwrap_or_default(),
    };
    let empty = [("ssh", keys.ssh.is_empty()), ("pgp", keys.pgp.is_empty())].into_iter().find(|(_, empty)| *empty);
    empty.map_or(Ok(keys), |(key, _)| Err(section.complain(key, "no key; name at least one, or remove the line")))
}

fn export(section: &Section<'_>, base: &Path) -> Result<Export, ConfigError> {
    let profile = section.get("profile", |value| {
        let name = values::filled(value)?;
        let is_file = name.contains('/') || Path::new(name).extension().is_some_and(|suffix| suffix == "toml");
        if is_file { path(value, base).map(ProfileSource::File) } else { Ok(ProfileSource::BuiltIn(name.to_owned())) }
    })?;
    Ok(Export { profile: profile.unwrap_or_else(|| ProfileSource::BuiltIn("icechat".to_owned())) })
}

fn mapping(section: &Section<'_>, base: &Path) -> Result<Mapping, ConfigError> {
    let directory = section.get("directory", |value| path(value, base))?;
    Ok(Mapping {
        named: directory.is_some(),
        directory: directory.unwrap_or_else(|| base.join("mapping")),
        automatic: section.get("automatic", Value::flag)?.unwrap_or(true),
    })
}

fn mailboxes(section: &Section<'_>, base: &Path) -> Result<Mailboxes, ConfigError> {
    let domains = section.require("domains", "[\"contoso.com\"]", |value| {
        let mut domains = Vec::new();
        value.one_or_more(|value| {
            let domain = values::domain(value)?;
            let known = domains.contains(&domain);
            domains.push(domain);
            if known { Err(value.problem("named twice; remove one")) } else { Ok(()) }
        })?;
        if domains.is_empty() { Err(value.problem("no domain; name at least one")) } else { Ok(domains) }
    })?;
    let company = |value| values::filled(value).map(str::to_owned);
    Ok(Mailboxes {
        domains,
        companies: section.get("companies", |value| value.one_or_more(company))?.unwrap_or_default(),
        list: section.get("list", |value| path(value, base))?,
        graph: section.get("graph", entra::directory)?.flatten(),
        catch_all: section.get("catch_all", values::mailbox)?,
        journal: section.get("journal", values::mailbox)?,
    })
}

fn state(section: &Section<'_>, base: &Path) -> Result<State, ConfigError> {
    Ok(State {
        directory: section.require("directory", "\"/var/lib/icechatd/state\"", |value| path(value, base))?,
        originals_days: section.get("originals_days", |value| value.number(0..=100_000))?.unwrap_or(0),
        rejected_days: section.get("rejected_days", |value| value.number(0..=100_000))?.unwrap_or(90),
    })
}

fn schedule(section: &Section<'_>, file: &Path, text: &ConfigText) -> Result<Schedule, ConfigError> {
    let working_days = || Weekday::Monday.cycle_forward().take(5).collect();
    Ok(Schedule {
        at: section.get("at", values::time)?.unwrap_or(time(6, 30, 0, 0)),
        time_zone: section.get("time_zone", values::time_zone)?.unwrap_or(TimeZone::UTC),
        days: section.get("days", values::days)?.unwrap_or_else(working_days),
        deadline: section.get("deadline", values::time)?.unwrap_or(time(12, 0, 0, 0)),
        holidays: section.get("holidays", |value| holidays(value, file, text))?.unwrap_or_default(),
    })
}

/// Where the days stand that have no export.
pub(super) fn holidays_file(value: Value<'_>, file: &Path) -> Result<PathBuf, Problem> {
    path(value, &places(file).beside)
}

/// The file's days, one to a line; what follows a `#` is for its readers.
fn holidays(value: Value<'_>, file: &Path, text: &ConfigText) -> Result<BTreeSet<Date>, Problem> {
    let file = holidays_file(value, file)?;
    let lines = text.holidays.as_deref().unwrap_or_default().lines();
    let days = lines.zip(1..).map(|(line, number)| {
        let day = line.split('#').next().unwrap_or_default().trim();
        let bad = |()| {
            let what = "no day; write it as in 2026-12-25, with a # before a remark";
            value.problem(format_args!("{}:{number}: {what}", file.display()))
        };
        if day.is_empty() { Ok(None) } else { values::day(day).map(Some).map_err(bad) }
    });
    days.filter_map(Result::transpose).collect()
}

fn limits(section: &Section<'_>) -> Result<Limits, ConfigError> {
    let size = |key, default| Ok(section.get(key, values::size)?.unwrap_or(default));
    let count = |key, default| Ok(section.get(key, |value| value.number(1..=1 << 40))?.unwrap_or(default));
    Ok(Limits {
        max_plaintext: size("max_plaintext", 64 << 30)?,
        max_ratio: count("max_ratio", 1000)?,
        max_message: size("max_message", 16 << 20)?,
        max_attachment: size("max_attachment", 256 << 20)?,
        max_participants: count("max_participants", 200_000)?,
        transfer_deadline: section.get("transfer_deadline", values::deadline)?.unwrap_or(Duration::from_hours(6)),
        workers: section.get("workers", |value| value.number(0..=1024))?.unwrap_or(0),
    })
}

/// Staging, state and mapping each own their folder: what one drops, takes away or reads must never be another's. In
/// the mapping folder the mailbox list would be read as a mapping, and an importer may take away whatever stands in
/// staging.
fn refuse_overlap(document: &Document<'_>, config: &Config) -> Result<(), ConfigError> {
    let staging = config.staging.local.as_deref().map(|local| ("staging", "local", real(local)));
    let others = [
        ("state", "directory", real(&config.state.directory)),
        ("mapping", "directory", real(&config.mapping.directory)),
    ];
    let folders: Vec<_> = staging.iter().chain(&others).collect();
    for (at, (section, key, path)) in folders.iter().enumerate() {
        for (other_section, other_key, other) in &folders[..at] {
            if path.starts_with(other) || other.starts_with(path) {
                let what =
                    format!("the same folder as {other_section}.{other_key}, or one inside the other; name another");
                return Err(document.section(section).complain(key, what));
            }
        }
    }
    let [_, mapping] = &others;
    let list = config.mailboxes.list.as_deref().map(real);
    let holds_list = |folder: &&(_, _, PathBuf)| list.as_ref().is_some_and(|list| list.starts_with(&folder.2));
    if let Some((section, key, _)) = staging.iter().chain([mapping]).find(holds_list) {
        let what = format!("stands inside {section}.{key}; move the list elsewhere");
        return Err(document.section("mailboxes").complain("list", what));
    }
    if staging.is_some_and(|(_, _, staging)| real(&config.file).starts_with(staging)) {
        let what = "holds this configuration file; name a folder that holds nothing else";
        return Err(document.section("staging").complain("local", what));
    }
    Ok(())
}

/// The path without links and detours as far as it exists: the folder itself may be still to be made, its parent not.
fn real(path: &Path) -> PathBuf {
    let parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(parent).unwrap_or_else(|| path.to_owned())
}
