//! `profile lint`: how well a profile fits an export.

use std::path::Path;

use super::open;
use crate::cli::{Failure, output};
use crate::exit_code::ExitCode;
use crate::export::lint::{Count, Lint, Total, lint as linted};
use crate::export::profile::Profile;

pub(super) fn lint(config: &Path, path: &Path, profile: &Profile, json: bool) -> Result<ExitCode, Failure> {
    let mut found = open::read(config, path, |limits, input| linted(profile, limits, input))?;
    let in_name = || profile.date_in_name(path.file_name()?.to_str()?);
    found.date = found.date.or_else(|| in_name().map(|date| date.to_string()));
    if json {
        output::print_json(&serde_json::to_value(&found).unwrap_or_default())?;
    } else {
        output::print(&text(&found))?;
    }
    Ok(ExitCode::Complete)
}

fn text(found: &Lint) -> String {
    let mut lines = vec![
        format!("firm code    {}", found.firm_code.as_deref().unwrap_or("not found, or none that can be shown")),
        format!("date         {}", found.date.as_deref().unwrap_or("not found")),
        format!("conversations {} ({} without a room id)", found.conversations, found.without_room_id),
        format!(
            "items        {} ({} without a message id, {} repeat the id of an earlier one in their room)",
            found.items, found.without_message_id, found.repeated_message_ids
        ),
    ];
    section(&mut lines, "records of each kind:", &found.kinds);
    section(&mut lines, "rejected:", &found.rejected);
    section(
        &mut lines,
        "times that cannot be read, by the look of them (9 a digit, a and A letters):",
        &found.unreadable,
    );
    section(&mut lines, "people of whom nothing says who they are:", &found.without_identity);
    section(&mut lines, "found where the profile looks (0: it looks in vain):", &found.fields);
    section(&mut lines, "in the export, but not in the profile:", &found.unknown);
    lines.push("\ncontrol totals:".to_owned());
    lines.extend(found.totals.iter().map(total));
    if found.totals.is_empty() {
        lines.push("      none in the profile".to_owned());
    }
    if !found.guesses.is_empty() {
        lines.push("\nguesses left in the profile; only lint reads by it:".to_owned());
        lines.extend(found.guesses.iter().map(|guess| format!("  - {guess}")));
    }
    lines.push("\nwhat to do next:".to_owned());
    lines.extend(found.advice().iter().map(|advice| format!("  - {advice}")));
    lines.join("\n")
}

fn total(total: &Total) -> String {
    let told = total.told.map_or_else(|| "not found".to_owned(), |told| told.to_string());
    format!("{:>10}  {} (the vendor says: {told})", total.found, total.what)
}

fn section(lines: &mut Vec<String>, title: &str, counts: &[Count]) {
    lines.push(format!("\n{title}"));
    lines.extend(counts.iter().map(|Count { path, count }| format!("{count:>10}  {path}")));
    if counts.is_empty() {
        lines.push("      none".to_owned());
    }
}
