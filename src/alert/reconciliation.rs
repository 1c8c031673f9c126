//! The day's books as a mail: what every run since the last such mail did, file by file, as CSV.

use jiff::civil::Date;

use super::message::Letter;
use crate::books::Books;
use crate::ledger::{Link, RunReport};
use crate::report::rows::to_csv;
use crate::report::{books_line, counted};

/// What a day came to.
#[derive(Debug, Clone)]
pub(super) struct Day<'a> {
    pub(super) firm_code: &'a str,
    /// In the schedule's zone.
    pub(super) date: Date,
    /// The runs that ended since the last mail.
    pub(super) runs: Vec<RunReport>,
    /// Whether a run at the site went well.
    pub(super) went_well: bool,
    /// How many alerts are open.
    pub(super) alerts: usize,
    pub(super) missing: &'a [Date],
    /// The newest link of the chain.
    pub(super) head: Option<Link>,
}

impl Day<'_> {
    fn totals(&self) -> Books {
        let files = self.runs.iter().flat_map(|run| &run.files);
        files.fold(Books::default(), |mut sum, file| {
            sum += file.books;
            sum
        })
    }

    fn outcome(&self) -> &'static str {
        match (self.went_well, self.alerts == 0 && self.missing.is_empty()) {
            (false, _) => "failed",
            (true, false) => "attention",
            (true, true) => "complete",
        }
    }

    pub(super) fn letter(&self) -> Letter {
        let staged = self.totals().items.staged;
        let subject = format!(
            "icechatd {} {}: {}, {staged} {} staged",
            self.firm_code,
            self.date,
            self.outcome(),
            if staged == 1 { "item" } else { "items" }
        );
        let name = format!("icechatd-{}-{}.csv", file_name(self.firm_code), self.date);
        Letter { text: self.text(&subject), subject, csv: Some((name, to_csv(&self.runs))) }
    }

    fn text(&self, subject: &str) -> String {
        let books = self.totals();
        let mut lines = vec![subject.to_owned(), String::new(), books_line(&books)];
        if !self.went_well {
            lines.push("No run at the site has gone well by the deadline.".to_owned());
        }
        for run in &self.runs {
            let outcome = run.outcome.as_deref().unwrap_or("not finished");
            let error = run.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            lines.push(format!("run {} {} {outcome}{error}", run.name, run.verb));
        }
        if !self.missing.is_empty() {
            let days: Vec<String> = self.missing.iter().map(Date::to_string).collect();
            lines.push(format!("exports missing: {}", days.join(", ")));
        }
        lines.push(match self.alerts {
            0 => "no alerts are open".to_owned(),
            1 => "1 alert is open: icechatd alert list".to_owned(),
            count => format!("{count} alerts are open: icechatd alert list"),
        });
        if let Some(Link { seq, hash, .. }) = &self.head {
            lines.push(format!("the chain has {}, the newest is {hash}", counted(*seq, "link")));
            lines.push(
                "Keep this mail: icechatd verify --head and that hash show whether all of it is still there."
                    .to_owned(),
            );
        }
        lines.push("The CSV has a row for each file, and the sum of all below.".to_owned());
        lines.join("\n") + "\n"
    }
}

/// A firm code as part of a file's name.
fn file_name(firm_code: &str) -> String {
    firm_code.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}
