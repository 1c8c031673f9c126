//! Runs as CSV (RFC 4180), a row for each file and a sum: what an auditor opens in a spreadsheet, and what the daily mail
//! carries.

use super::cell::cell;
use super::totals;
use crate::books::Books;
use crate::ledger::{FileReport, RunReport};

const HEADER: &str = "run,file,sha256,export_date,state,available,staged,held,duplicate,rejected,skipped,\
                      placements_staged,placements_existing,changed,signed_by";

/// The files of these runs, and the sum of all.
pub fn to_csv(runs: &[RunReport]) -> String {
    let mut text = format!("{HEADER}\r\n");
    let mut sum = Books::default();
    for run in runs {
        sum += totals(run);
        for file in &run.files {
            text.push_str(&row(&run.name, file));
        }
    }
    let total = ["total".to_owned(), String::new(), String::new(), String::new(), String::new()];
    text.push_str(&join(total.into_iter().chain(numbers(&sum)).chain([String::new()])));
    text
}

fn row(run: &str, file: &FileReport) -> String {
    let signed_by = match (file.state.as_str(), &file.signed_by) {
        ("held", _) => "",
        (_, Some(signer)) => signer,
        (_, None) => "unsigned",
    };
    let date = file.date.clone().unwrap_or_default();
    let head = [run.to_owned(), file.name.clone(), file.sha256.to_string(), date, file.state.clone()];
    join(head.into_iter().chain(numbers(&file.books)).chain([signed_by.to_owned()]))
}

/// The columns that are numbers.
pub(super) fn numbers(books: &Books) -> impl Iterator<Item = String> + use<> {
    let (items, placements) = (books.items, books.placements);
    [
        items.available,
        items.staged,
        items.held,
        items.duplicate,
        items.rejected,
        items.skipped,
        placements.staged,
        placements.existing,
        books.changed,
    ]
    .into_iter()
    .map(|number| number.to_string())
}

/// A row of cells.
pub(super) fn join(cells: impl Iterator<Item = String>) -> String {
    cells.map(|text| cell(&text)).collect::<Vec<_>>().join(",") + "\r\n"
}
