//! The part of `check` that asks the site: connection, host key, login, listing, newest export, as far as it gets.

use std::time::Duration;

use super::{Level, Lines};
use crate::cause::chain;
use crate::config::Config;
use crate::decrypt::{self, SecretKeys};
use crate::download::sftp::{Site, SiteError, Timeouts, Trouble};
use crate::download::{Listing, RemoteFile};
use crate::inputs;

/// The steps in their order, by the name of their line. Each needs those before it.
const STEPS: [&str; 4] = ["connection", "host key", "login", "listing"];

pub(super) fn check(lines: &mut Lines, config: &Config, keys: Option<&SecretKeys>) {
    if config.site.host_keys.is_empty() {
        return offered(lines, config);
    }
    // Somebody is waiting, and a second try would say the same.
    let timeouts = Timeouts { retries: 0, connect: Duration::from_secs(10), ..Timeouts::default() };
    let site = match inputs::site_secrets(config) {
        Ok(secrets) => Site::with_timeouts(&config.site, &config.limits, &secrets, timeouts),
        Err(error) => return lines.failed("login", &error),
    };
    let mut site = match site {
        Ok(site) => site,
        Err(error) => return lines.failed("login", &error),
    };
    match site.list() {
        Err(error) => {
            let step = step_of(error.trouble());
            passed(lines, config, step);
            lines.failed(STEPS[step], &error);
        }
        Ok(listing) => {
            passed(lines, config, STEPS.len());
            listed(lines, &listing);
            newest(lines, &mut site, listing.exports.last(), keys);
        }
    }
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
fn passed(lines: &mut Lines, config: &Config, step: usize) {
    let site = &config.site;
    let texts = [
        format!("{}:{} answers", site.host, site.port),
        "one of site.host_keys".to_owned(),
        format!("as {}", site.firm_code),
    ];
    for (name, text) in STEPS.into_iter().zip(texts).take(step) {
        lines.add(name, Level::Ok, text);
    }
}

fn listed(lines: &mut Lines, listing: &Listing) {
    lines.add("listing", Level::Ok, format!("{} files match site.files", listing.exports.len()));
    if !listing.others.is_empty() {
        let names: Vec<_> = listing.others.iter().take(5).map(String::as_str).collect();
        let text = format!("{} do not and are left alone: {}", listing.others.len(), names.join(", "));
        lines.add("listing", Level::Note, text);
    }
}

/// Whether ICE encrypts to one of our keys, before the first run finds out. It says nothing of the export's integrity.
fn newest(lines: &mut Lines, site: &mut Site, newest: Option<&RemoteFile>, keys: Option<&SecretKeys>) {
    const NAME: &str = "newest export";
    let (Some(file), Some(keys)) = (newest, keys) else { return };
    let beginning = match site.beginning(file, decrypt::BEGINNING) {
        Ok(beginning) => beginning,
        Err(error) => return lines.add(NAME, Level::Warning, chain(&error)),
    };
    match decrypt::can_open(beginning.as_slice(), keys) {
        Ok(fingerprint) => lines.add(NAME, Level::Ok, format!("{} is for our key {fingerprint}", file.name)),
        Err(error) => {
            lines.add(NAME, Level::Warning, format!("{} would be held: {}", file.name, chain(&error)));
        }
    }
}

fn offered(lines: &mut Lines, config: &Config) {
    let text = match Site::offered_host_key(&config.site) {
        Err(error) => return lines.failed(if is_unreachable(&error) { "connection" } else { "host key" }, &error),
        Ok(offered) => format!(
            "none is pinned; the site offers {offered}. Ask ICE by another way whether that is right, then set \
             site.host_keys = [\"{offered}\"]"
        ),
    };
    lines.add("host key", Level::Failure, text);
}

fn is_unreachable(error: &SiteError) -> bool {
    step_of(error.trouble()) == 0
}
