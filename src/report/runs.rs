//! The runs there were, a line each: to find the one whose report, or whose mails, somebody asks for.

use serde_json::{Value, json};

use crate::ledger::ListedRun;

/// For people.
pub fn to_text(runs: &[ListedRun]) -> String {
    if runs.is_empty() {
        return "no run is recorded\n".to_owned();
    }
    let heading = format!(
        "{:<20} {:<8} {:<10} {:>6} {:>9} {:>7} {:>11}  by",
        "run", "verb", "outcome", "files", "staged", "held", "placements"
    );
    let lines = runs.iter().map(|run| {
        let outcome = run.outcome.as_deref().unwrap_or("not ended");
        let (items, placements) = (&run.books.items, run.books.placements.staged);
        format!(
            "{:<20} {:<8} {outcome:<10} {:>6} {:>9} {:>7} {placements:>11}  {}",
            run.name, run.verb, run.files, items.staged, items.held, run.invoked_by
        )
    });
    std::iter::once(heading).chain(lines).map(|line| line + "\n").collect()
}

/// For programs.
pub fn to_json(runs: &[ListedRun]) -> Value {
    let runs = runs.iter().map(|run| {
        json!({
            "run": run.name,
            "verb": run.verb,
            "started": run.started.to_string(),
            "finished": run.finished.map(|time| time.to_string()),
            "outcome": run.outcome,
            "error": run.error,
            "invoked_by": run.invoked_by,
            "program": run.program,
            "files": run.files,
            "items": run.books.items,
            "placements": run.books.placements,
        })
    });
    json!({ "runs": runs.collect::<Vec<_>>() })
}
