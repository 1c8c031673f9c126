//! `profile`: how exports are written, and how well a profile fits one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, output};
use crate::cause::chain;
use crate::config::Config;
use crate::decrypt::{self, Caps, Opener, SurveyError};
use crate::durable::AtPath;
use crate::exit_code::ExitCode;
use crate::export::lint::{Count, Lint, lint as linted};
use crate::export::profile::{Profile, builtin_names};
use crate::export::reader::ReadLimits;
use crate::inputs::{Inputs, profile_named};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Name the built-in profiles
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a profile
    Show {
        /// A built-in name, or a path
        name: String,
    },
    /// Say how well a profile fits an export; never prints its content
    Lint {
        /// The export, decrypted, or encrypted to a key of the configuration
        file: PathBuf,

        /// A built-in name, or a path
        #[arg(long, value_name = "NAME", default_value = "icechat")]
        profile: String,

        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn profile(config: &Path, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List { json } => list(*json),
        Verb::Show { name } => {
            output::print(profile_named(name)?.text())?;
            Ok(ExitCode::Complete)
        }
        Verb::Lint { file, profile, json } => lint(config, file, &profile_named(profile)?, *json),
    }
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let names: Vec<&str> = builtin_names().collect();
    if json {
        output::print_json(&json!(names))?;
    } else {
        output::print(&names.join("\n"))?;
    }
    Ok(ExitCode::Complete)
}

fn lint(config: &Path, path: &Path, profile: &Profile, json: bool) -> Result<ExitCode, Failure> {
    let mut found = read(config, path, profile)?;
    let in_name = || profile.date_in_name(path.file_name()?.to_str()?);
    found.date = found.date.or_else(|| in_name().map(|date| date.to_string()));
    if json {
        output::print_json(&serde_json::to_value(&found).unwrap_or_default())?;
    } else {
        output::print(&text(&found))?;
    }
    Ok(ExitCode::Complete)
}

/// The defaults of `[limits]`: a decrypted export is looked at without a configuration.
const PLAIN_LIMITS: ReadLimits =
    ReadLimits { max_message: 16 << 20, max_attachment: 256 << 20, max_participants: 200_000 };

/// XML begins with `<`, a byte order mark or white space, which no OpenPGP message does.
fn read(config: &Path, path: &Path, profile: &Profile) -> Result<Lint, Failure> {
    let mut file = File::open(path).at(path)?;
    let mut first = [0];
    let has_any = file.read(&mut first).at(path)? == 1;
    file.seek(SeekFrom::Start(0)).at(path)?;
    if has_any && (first[0] == b'<' || first[0] == 0xef || first[0].is_ascii_whitespace()) {
        return linted(profile, PLAIN_LIMITS, BufReader::new(file)).map_err(|error| Failure::failed(&error));
    }
    // OpenPGP: a binary packet begins with the high bit set (RFC 9580 4.2), armour with dashes.
    if !has_any || (first[0] & 0x80 == 0 && first[0] != b'-') {
        let line = format!("{}: neither XML nor an OpenPGP message", path.display());
        return Err(Failure::new(ExitCode::Failed, line));
    }
    let config = Config::load_for_check(config)?;
    let inputs = Inputs::read(&config)?;
    let limits = ReadLimits {
        max_message: config.limits.max_message,
        max_attachment: config.limits.max_attachment,
        max_participants: config.limits.max_participants,
    };
    let caps = Caps { max_plaintext: config.limits.max_plaintext, max_ratio: config.limits.max_ratio };
    let opener = Opener { keys: &inputs.keys, signers: inputs.signers.as_ref(), caps };
    let surveyed = decrypt::survey(&file, &opener, |plaintext| linted(profile, limits, plaintext));
    match surveyed {
        Ok((found, _)) => Ok(found),
        Err(SurveyError::Decrypt(error)) => Err(Failure::new(ExitCode::Failed, chain(&error))),
        Err(SurveyError::Content(error)) => Err(Failure::new(ExitCode::Failed, chain(&error))),
    }
}

fn text(found: &Lint) -> String {
    let mut lines = vec![
        format!("firm code    {}", found.firm_code.as_deref().unwrap_or("not found")),
        format!("date         {}", found.date.as_deref().unwrap_or("not found")),
        format!("conversations {} ({} without a room id)", found.conversations, found.without_room_id),
        format!(
            "items        {} ({} without a message id, {} repeat the id of an earlier one in their room)",
            found.items, found.without_message_id, found.repeated_message_ids
        ),
        format!("times that cannot be read: {}", found.unreadable_times),
        format!("recipients without ImId and e-mail: {}", found.participants_without_identity),
    ];
    section(&mut lines, "found where the profile looks (0: it looks in vain):", &found.fields);
    section(&mut lines, "in the export, but not in the profile:", &found.unknown);
    section(&mut lines, "rejected:", &found.rejected);
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, counts: &[Count]) {
    lines.push(format!("\n{title}"));
    lines.extend(counts.iter().map(|Count { path, count }| format!("{count:>10}  {path}")));
    if counts.is_empty() {
        lines.push("      none".to_owned());
    }
}
