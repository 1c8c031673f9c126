//! A link of the chain in words for people; what it says stands in docs/evidence.md.

use serde_json::Value;

use super::counted;

/// What was done, and why.
pub fn words(says: &Value) -> String {
    let word = |key: &str| says[key].as_str().unwrap_or_default();
    let number = |key: &str| says[key].as_u64().unwrap_or_default();
    let name = word("name");
    match word("what") {
        "founded" => format!("the chain begins; {} tell of what was done before", counted(number("before"), "link")),
        "received" => format!("{name} came: {}", counted(number("bytes"), "byte")),
        "commit" => {
            format!("{} of {name} committed{}; manifest {}", word("verb"), books(says), word("manifest_sha256"))
        }
        "archive" => format!("{name} read: {}", counted(number("entries"), "file")),
        "in-force" => format!(
            "{} in force: {} ({} new, {} gone, {} changed), digest {}",
            word("set"),
            counted(number("entries"), "entry"),
            number("added"),
            number("removed"),
            number("changed"),
            word("digest")
        ),
        "dismissal" => format!("{} in {name} dismissed: {}", word("matter"), word("reason")),
        "restage" => format!("put into staging once more ({}): {}", asked(&says["asked"]), word("reason")),
        "retention" => format!("the original of {name} removed by retention"),
        "keys" => format!("certificates in use: {}", list(&says["certificates"])),
        _ => says.to_string(),
    }
}

fn books(says: &Value) -> String {
    let items = &says["books"]["items"];
    if items.is_null() {
        return String::new();
    }
    let (staged, held, duplicate) = (&items["staged"], &items["held"], &items["duplicate"]);
    format!(": {staged} staged, {held} held, {duplicate} duplicate")
}

fn asked(asked: &Value) -> String {
    let named = ["run", "since", "mailbox"].map(|key| asked[key].as_str().map(|value| format!("{key} {value}")));
    named.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn list(values: &Value) -> String {
    let values: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}
