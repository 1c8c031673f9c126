//! `keys extend`: a later end for the PGP certificate, and the hand-outs with it.

use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::{Failure, hand_out, key_file, output, passphrases};
use crate::config::{Credential, KeysConfig};
use crate::exit_code::ExitCode;
use crate::keys;

/// The moment that was asked for: it must be to come.
pub(super) fn end(years: i16, until: Option<Date>) -> Result<Timestamp, Failure> {
    let now = Timestamp::now();
    let date = match until {
        Some(date) => Ok(date),
        None => now.to_zoned(TimeZone::UTC).date().checked_add(years.years()),
    };
    let moment = date.and_then(|date| date.at(23, 59, 59, 0).to_zoned(TimeZone::UTC)).map(|zoned| zoned.timestamp());
    let moment = moment.map_err(|error| Failure::new(ExitCode::Usage, format!("--until: {error}")))?;
    if moment <= now {
        return Err(Failure::new(ExitCode::Usage, "--until: that day is over; name one to come"));
    }
    Ok(moment)
}

pub(super) fn extend(
    config: &KeysConfig,
    name: Option<&str>,
    until: Timestamp,
    dir: &Path,
    json: bool,
) -> Result<(), Failure> {
    let credential = chosen(config, name)?;
    if credential.is_from_systemd() {
        let name = credential.name();
        let line = format!(
            "{name} comes from $CREDENTIALS_DIRECTORY, which cannot be written; run this outside the unit, on the file \
             that its LoadCredential={name}: names (an encrypted credential has to be encrypted again)"
        );
        return Err(Failure::new(ExitCode::Failed, line));
    }
    // A folder that cannot be used is found out before the key is touched.
    keys::check_hand_out_folder(dir)?;
    let passphrases = passphrases(config)?;
    let before = keys::extend(&key_file(credential)?, until, &passphrases)?;
    let shown = keys::show(&[], &[key_file(credential)?], &passphrases)?;
    let Some(key) = shown.pgp.first() else { return Ok(()) };
    let exported = hand_out(config, dir)?;
    if json {
        return output::print_json(&json!({
            "key": credential.name(), "fingerprint": key.fingerprint, "expired_before": before, "expires": key.expires,
            "directory": dir, "files": exported.files, "missing": exported.missing,
        }));
    }
    let was = before.map_or_else(String::new, |before| format!(" (was {before})"));
    output::print(&format!("{}: {} now expires {until}{was}", credential.name(), key.fingerprint))?;
    for file in &exported.files {
        output::print(&file.display().to_string())?;
    }
    output::print(
        "send these to ICE, who must import the certificate once more; renew the copy of the key in your safe",
    )
}

fn chosen<'a>(config: &'a KeysConfig, name: Option<&str>) -> Result<&'a Credential, Failure> {
    let keys = &config.keys;
    let mut in_use = keys.pgp.iter();
    let Some(name) = name else {
        return in_use.next().ok_or_else(|| Failure::new(ExitCode::Config, "keys.pgp must name a credential"));
    };
    if let Some(found) = in_use.find(|credential| credential.name() == name) {
        return Ok(found);
    }
    let known: Vec<_> = keys.pgp.iter().map(Credential::name).collect();
    let why = if keys.retired.iter().any(|credential| credential.name() == name) {
        "is retired, so nobody is to encrypt to it any more"
    } else {
        "is not in keys.pgp"
    };
    Err(Failure::new(ExitCode::Failed, format!("{name} {why}; in use: {}", known.join(", "))))
}
