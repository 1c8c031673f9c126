//! The reconciliation of a day: what came for it, what became of every item, who did what about it since, and the link of
//! the chain that vouches for all of that.

mod html;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

pub use self::html::to_html;
use super::rows::{join, numbers};
use crate::books::{Books, Counts, Placements};
use crate::config::Config;
use crate::ledger::{DayFile, Ledger, LedgerError};

/// A day, as things stand.
#[derive(Debug, Clone, Serialize)]
pub struct Day {
    /// Whose.
    pub firm_code: String,
    /// The exports' own date.
    pub date: Date,
    /// When this was made.
    pub made: Timestamp,
    /// By which version.
    pub program: &'static str,
    /// Whether the schedule says that the day has an export.
    pub expected: bool,
    /// The sum over `files`.
    pub items: Counts,
    /// Likewise.
    pub placements: u64,
    /// Files that are about the day.
    pub files: Vec<DayFile>,
    /// Files that came on the day, in the schedule's zone, and are about no day that is known.
    pub undated: Vec<DayFile>,
    /// What the chain tells of all these files, the oldest first.
    pub deeds: Vec<Deed>,
    /// How many links the chain has.
    pub links: u64,
    /// The hash of the newest.
    pub head: Option<String>,
}

/// One link that tells of a file.
#[derive(Debug, Clone, Serialize)]
pub struct Deed {
    /// Its place in the chain.
    pub link: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// What it says.
    pub says: Value,
}

/// The reconciliation of a day, at one moment of the ledger; `date_in_name` says which day a file is about by its name, where
/// it could not be read.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn day(
    ledger: &Ledger,
    config: &Config,
    date_in_name: &dyn Fn(&str) -> Option<Date>,
    date: Date,
    now: Timestamp,
) -> Result<Day, LedgerError> {
    ledger.at_one_moment(|| at_this_moment(ledger, config, date_in_name, date, now))
}

fn at_this_moment(
    ledger: &Ledger,
    config: &Config,
    date_in_name: &dyn Fn(&str) -> Option<Date>,
    date: Date,
    now: Timestamp,
) -> Result<Day, LedgerError> {
    let schedule = &config.schedule;
    let mut files = ledger.files_about(date)?;
    let mut undated = Vec::new();
    for file in ledger.undated_files()? {
        match date_in_name(&file.name) {
            Some(about) if about == date => files.push(file),
            None if file.received.to_zoned(schedule.time_zone.clone()).date() == date => undated.push(file),
            _ => {}
        }
    }
    let (mut items, mut placements) = (Counts::default(), 0);
    for file in &files {
        items += file.items;
        placements += file.placements;
    }
    let head = ledger.chain_head()?;
    Ok(Day {
        firm_code: config.site.firm_code.clone(),
        date,
        made: Timestamp::from_second(now.as_second()).unwrap_or(now),
        program: crate::VERSION,
        expected: schedule.days.contains(&date.weekday()) && !schedule.holidays.contains(&date),
        items,
        placements,
        deeds: deeds(ledger, files.iter().chain(&undated))?,
        files,
        undated,
        links: head.as_ref().map_or(0, |head| head.seq),
        head: head.map(|head| head.hash.to_string()),
    })
}

fn deeds<'a>(ledger: &Ledger, files: impl Iterator<Item = &'a DayFile>) -> Result<Vec<Deed>, LedgerError> {
    let digests: Vec<&str> = files.map(|file| file.sha256.as_str()).collect();
    let mut deeds = Vec::new();
    ledger.each_link(|link| {
        let says: Value = serde_json::from_str(&link.line).unwrap_or_default();
        if says["sha256"].as_str().is_some_and(|sha256| digests.contains(&sha256)) {
            deeds.push(Deed { link: link.seq, hash: link.hash.to_string(), says });
        }
        Ok::<_, LedgerError>(())
    })?;
    Ok(deeds)
}

impl Day {
    /// Whether every file about the day was read, and every item of it went somewhere.
    pub fn is_settled(&self) -> bool {
        self.open() == 0 && self.files.iter().all(|file| file.items.balance())
    }

    /// How many files about the day are not staged.
    fn open(&self) -> usize {
        let settled = ["committed", "archive", "superseded"];
        self.files.iter().filter(|file| !settled.contains(&file.state.as_str())).count()
    }

    /// What the day came to, in one line.
    fn verdict(&self) -> String {
        match (self.files.is_empty(), self.expected) {
            (true, true) => "No export about this day is here. The schedule expects one.".to_owned(),
            (true, false) => "No export about this day is here. The schedule expects none.".to_owned(),
            (false, _) if self.open() > 0 => match self.open() {
                1 => "A file about this day is not staged; nothing of it is counted below.".to_owned(),
                open => format!("{open} files about this day are not staged; nothing of them is counted below."),
            },
            (false, _) if !self.is_settled() => "The books of this day do not balance.".to_owned(),
            (false, _) => {
                let Counts { available, staged, held, duplicate, rejected, skipped } = self.items;
                format!(
                    "The books balance: {available} available = {staged} staged + {held} held + {duplicate} duplicate + \
                     {rejected} rejected + {skipped} skipped."
                )
            }
        }
    }
}

impl Deed {
    fn word(&self, key: &str) -> &str {
        self.says[key].as_str().unwrap_or_default()
    }

    /// What was done, and why.
    fn words(&self) -> String {
        super::deed::words(&self.says)
    }
}

/// For people.
pub fn to_text(day: &Day) -> String {
    let mut lines = vec![
        format!("{}  {}  as of {}, icechatd {}", day.firm_code, day.date, day.made, day.program),
        day.verdict(),
        format!("placements made: {}", day.placements),
    ];
    for (what, files) in [("", &day.files), ("came on the day, about no day that is known", &day.undated)] {
        if !files.is_empty() && !what.is_empty() {
            lines.extend([String::new(), format!("{what}:")]);
        }
        for file in files {
            lines.push(String::new());
            lines.push(format!("{}  {}  {} bytes  received {}", file.name, file.state, file.bytes, file.received));
            lines.push(format!("  sha256 {}", file.sha256));
            lines.extend(file.reason.iter().map(|reason| format!("  {reason}")));
            lines.push(format!("  {}", super::books_line(&books(file))));
            lines.extend(file.manifests.iter().map(|digest| format!("  manifest {digest}")));
        }
    }
    if !day.deeds.is_empty() {
        lines.extend([String::new(), "what was done about these files:".to_owned()]);
        for deed in &day.deeds {
            lines.push(format!("  {}  {}  {}", deed.word("at"), deed.word("by"), deed.words()));
        }
    }
    if let Some(head) = &day.head {
        lines.extend([String::new(), format!("chain: {} links, the newest {head}", day.links)]);
    }
    lines.join("\n") + "\n"
}

/// As CSV, a row for each file.
pub fn to_csv(day: &Day) -> String {
    let header = "day,file,sha256,bytes,received,committed,state,reason,signed_by,available,staged,held,duplicate,rejected,\
                  skipped,placements_staged,placements_existing,changed,manifests";
    let rows = day.files.iter().map(|file| (day.date.to_string(), file));
    let undated = day.undated.iter().map(|file| (String::new(), file));
    let rows = rows.chain(undated).map(|(date, file)| {
        let head = [
            date,
            file.name.clone(),
            file.sha256.clone(),
            file.bytes.to_string(),
            file.received.to_string(),
            file.committed.map_or_else(String::new, |time| time.to_string()),
            file.state.clone(),
            file.reason.clone().unwrap_or_default(),
            file.signed_by.clone().unwrap_or_default(),
        ];
        join(head.into_iter().chain(numbers(&books(file))).chain([file.manifests.join(" ")]))
    });
    format!("{header}\r\n{}", rows.collect::<String>())
}

fn books(file: &DayFile) -> Books {
    let placements = Placements { staged: file.placements, existing: 0 };
    Books { items: file.items, placements, changed: file.changed }
}
