//! The part of `check` that asks the site: name, connection, host key, login, listing, newest export, as far as it gets.

use std::time::Duration;

use jiff::Timestamp;

use super::{Level, Lines, dated};
use crate::cause::chain;
use crate::config::Config;
use crate::decrypt::{self, DecryptError};
use crate::download::sftp::{Met, Site, SiteError, Timeouts, Trouble};
use crate::download::{Listing, RemoteFile};
use crate::inputs::{self, Inputs};

/// The steps in their order, by the name of their line. Each needs those before it.
const STEPS: [&str; 4] = ["connection", "host key", "login", "listing"];
/// The last step, which only an export makes possible.
const NEWEST: &str = "newest export";
/// Names in a line; more are counted.
const NAMES: usize = 5;
/// A file of the site that is so much ahead of our clock is worth a warning, seconds: clocks that nobody sets drift by less.
const AHEAD: i64 = 600;

pub(super) fn check(lines: &mut Lines, config: &Config, inputs: Option<&Inputs>, now: Timestamp) {
    // Somebody is waiting, and a second try would say the same.
    let timeouts = Timeouts { retries: 0, connect: Duration::from_secs(10), ..Timeouts::default() };
    if !resolves(lines, config, timeouts.clone()) {
        return not_tried(lines, 0);
    }
    if config.site.host_keys.is_empty() {
        return offered(lines, config);
    }
    let site = match inputs::site_secrets(config) {
        Ok(secrets) => Site::with_timeouts(&config.site, &config.limits, &secrets, timeouts),
        // What is missing or unreadable has its line already.
        Err(_) => return not_tried(lines, 0),
    };
    let mut site = match site {
        Ok(site) => site,
        Err(error) => {
            lines.failed("login", &error);
            return not_tried(lines, 0);
        }
    };
    match site.list() {
        Err(error) => {
            let step = step_of(error.trouble());
            passed(lines, config, site.met(), step);
            lines.failed(STEPS[step], &error);
            not_tried(lines, step + 1);
        }
        Ok(listing) => {
            passed(lines, config, site.met(), STEPS.len());
            matching(lines, &listing, now);
            let unmatched = Unmatched::of(&mut site, &listing);
            unmatched.add_to(lines);
            newest(lines, &mut site, listing.exports.last(), inputs);
        }
    }
}

/// Silence about a step must not pass for a good word.
fn not_tried(lines: &mut Lines, from: usize) {
    let steps: Vec<_> = STEPS.into_iter().skip(from).chain([NEWEST]).collect();
    lines.add("not tried", Level::Note, format!("{}: what failed above comes first", steps.join(", ")));
}

/// The host's name has addresses.
fn resolves(lines: &mut Lines, config: &Config, timeouts: Timeouts) -> bool {
    let found = match Site::addresses(&config.site, timeouts) {
        Ok(found) => found,
        Err(error) => {
            lines.failed("address", &error);
            return false;
        }
    };
    let mut found: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    found.dedup();
    let (host, found) = (&config.site.host, some(&found));
    let text = if *host == found { found } else { format!("{host} is {found}") };
    lines.add("address", Level::Ok, text);
    true
}

fn step_of(trouble: &Trouble) -> usize {
    match trouble {
        Trouble::HostKey { .. } | Trouble::HostCertificate => 1,
        Trouble::Login { .. } | Trouble::NothingToLogInWith | Trouble::Key { .. } | Trouble::NotText { .. } => 2,
        Trouble::Deadline { doing, .. } | Trouble::Lost { doing, .. } if *doing == "logging in" => 2,
        Trouble::Deadline { doing, .. } | Trouble::Lost { doing, .. }
            if ["resolving the host name", "connecting", "greeting the SSH server"].contains(doing) =>
        {
            0
        }
        Trouble::Resolve(_)
        | Trouble::SourceAddress { .. }
        | Trouble::Connect(_)
        | Trouble::Runtime(_)
        | Trouble::NoCommonAlgorithm { .. } => 0,
        _ => 3,
    }
}

/// The steps before one that failed went well.
fn passed(lines: &mut Lines, config: &Config, met: Option<Met>, step: usize) {
    let site = &config.site;
    let from = site.source_address.map_or_else(String::new, |address| format!(" to us at {address}"));
    let answers = met.as_ref().map_or_else(|| format!("port {}", site.port), |met| met.address.to_string());
    let host_key = met.map_or_else(String::new, |met| {
        let others: Vec<_> = site.host_keys.iter().filter(|key| **key != met.host_key).cloned().collect();
        let others = if others.is_empty() { String::new() } else { format!(", and beside it {}", some(&others)) };
        format!("the site offers {0}; site.host_keys has {0}{others}", met.host_key)
    });
    let texts = [format!("{answers} answers{from}"), host_key, format!("as {}", site.firm_code)];
    for (name, text) in STEPS.into_iter().zip(texts).take(step) {
        lines.add(name, Level::Ok, text);
    }
}

/// The first names, and how many more there are.
fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES {
        text = format!("{text} and {} more", names.len() - NAMES);
    }
    text
}

/// Newest first, for it is those that somebody looks for.
fn matching(lines: &mut Lines, listing: &Listing, now: Timestamp) {
    const NAME: &str = "listing";
    let names: Vec<String> = listing.exports.iter().rev().map(|file| file.name.clone()).collect();
    let Some(newest) = listing.exports.last() else {
        return lines.add(NAME, Level::Note, "no file matches site.files yet".to_owned());
    };
    let time = Timestamp::from_second(newest.mtime).unwrap_or(Timestamp::UNIX_EPOCH);
    let what = if names.len() == 1 { "1 file matches".to_owned() } else { format!("{} files match", names.len()) };
    lines.add(NAME, Level::Ok, format!("{what} site.files: {}; the newest of {}", some(&names), dated(time, now)));
    if newest.mtime - now.as_second() > AHEAD {
        let text =
            format!("{} at the site is of {time}, which is to come: one of the two clocks is wrong", newest.name);
        lines.add("clock", Level::Warning, text);
    }
}

/// Files that match no pattern: those that may be exports under another name must be loud.
struct Unmatched {
    like_exports: Vec<String>,
    others: Vec<String>,
}

impl Unmatched {
    fn of(site: &mut Site, listing: &Listing) -> Self {
        let (mut like_exports, mut others) = (Vec::new(), listing.others.clone());
        let mut looks = 0;
        for file in &listing.unmatched {
            // To look into a few is enough: there is a line for the others too.
            let is_like = has_suffix_of_export(&file.name) || {
                looks += 1;
                looks <= NAMES && is_encrypted(site, file)
            };
            if is_like && let Some(at) = others.iter().position(|other| *other == file.name) {
                like_exports.push(others.remove(at));
            }
        }
        Self { like_exports, others }
    }

    fn add_to(&self, lines: &mut Lines) {
        const NAME: &str = "listing";
        let verbs = |count| if count == 1 { ("does", "is", "it is") } else { ("do", "are", "they are") };
        if !self.like_exports.is_empty() {
            let count = self.like_exports.len();
            let (does, is, it_is) = verbs(count);
            let names = some(&self.like_exports);
            let text = format!(
                "{count} {does} not match site.files and {is} not taken, but may be an export: {names}; if {it_is}, add a \
                 pattern"
            );
            lines.add(NAME, Level::Warning, text);
        }
        if !self.others.is_empty() {
            let (count, names) = (self.others.len(), some(&self.others));
            let (does, is, _) = verbs(count);
            let text = format!("{count} {does} not match and {is} left alone: {names}");
            lines.add(NAME, Level::Note, text);
        }
    }
}

fn has_suffix_of_export(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
    let exports = ["pgp", "gpg", "asc", "zip", "xml", "gz", "tgz"];
    suffix.is_some_and(|suffix| exports.contains(&suffix.as_str()))
}

/// Whether it begins as an OpenPGP message does, for whomever.
fn is_encrypted(site: &mut Site, file: &RemoteFile) -> bool {
    let Ok(beginning) = site.beginning(file, decrypt::BEGINNING) else { return false };
    decrypt::is_message(&beginning)
}

/// Whether ICE encrypts to one of our keys, before the first run finds out. It says nothing of the export's integrity.
fn newest(lines: &mut Lines, site: &mut Site, newest: Option<&RemoteFile>, inputs: Option<&Inputs>) {
    let (Some(file), Some(inputs)) = (newest, inputs) else { return };
    let beginning = match site.beginning(file, decrypt::BEGINNING) {
        Ok(beginning) => beginning,
        Err(error) => return lines.add(NEWEST, Level::Warning, chain(&error)),
    };
    match decrypt::can_open(beginning.as_slice(), &inputs.keys) {
        Ok(fingerprint) => lines.add(NEWEST, Level::Ok, format!("{} is for our key {fingerprint}", file.name)),
        Err(error) => {
            let better: Option<DecryptError> = inputs.retired_key_of(beginning.as_slice(), &error);
            let reason = chain(&better.unwrap_or(error));
            lines.add(NEWEST, Level::Warning, format!("{} would be held: {reason}", file.name));
        }
    }
}

fn offered(lines: &mut Lines, config: &Config) {
    let text = match Site::offered_host_key(&config.site) {
        Err(error) => {
            let step = usize::from(!is_unreachable(&error));
            lines.failed(STEPS[step], &error);
            return not_tried(lines, step + 1);
        }
        Ok(offered) => format!(
            "none is pinned; the site offers {offered}. Ask ICE by another way whether that is right, then set \
             site.host_keys = [\"{offered}\"]"
        ),
    };
    lines.add("connection", Level::Ok, format!("port {} answers", config.site.port));
    lines.add("host key", Level::Failure, text);
    not_tried(lines, 2);
}

fn is_unreachable(error: &SiteError) -> bool {
    step_of(error.trouble()) == 0
}
