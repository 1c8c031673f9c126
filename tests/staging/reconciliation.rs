//! The reconciliation of a day and the reports as CSV: what an auditor opens, prints and keeps.

use crate::support;

use std::fs;
use std::process::Command;

use serde_json::json;
use support::firm::{Firm, sample_export};

const DAY: &str = "2026-11-19";

fn firm_with_a_day(name: &str) -> Firm {
    let firm = Firm::of_the_samples();
    firm.deliver_export(name, &sample_export());
    firm.ingest(3);
    firm
}

fn day(firm: &Firm, date: &str, format: &str) -> String {
    firm.run(&["report", "day", date, format]).expect(0).out
}

/// Rows of cells, by Python's own reader.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let script = "import csv,json,sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline='')))))";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.csv"), csv).unwrap();
    let done = Command::new("python3").args(["-c", script]).arg(dir.path().join("a.csv")).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_day_is_told_with_its_books_and_all_that_was_done_about_it() {
    let firm = firm_with_a_day("ACME-20261119.xml.pgp");
    let facts: serde_json::Value = serde_json::from_str(&day(&firm, DAY, "--json")).unwrap();
    assert_eq!(
        facts["items"],
        json!({"available": 5, "staged": 4, "held": 1, "duplicate": 0, "rejected": 0, "skipped": 0})
    );
    assert_eq!((&facts["placements"], &facts["expected"]), (&json!(7), &json!(true)));
    let whats: Vec<_> = facts["deeds"].as_array().unwrap().iter().map(|deed| &deed["says"]["what"]).collect();
    assert_eq!(whats, ["received", "commit"]);
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    assert_eq!(facts["head"], verified["chain"]["head"]);

    // What a replay and a person did later is told of the same day.
    let mapping = fs::read_to_string(support::firm::sample("mapping.csv")).unwrap();
    firm.map("desk.csv", &mapping.replace("nobody@contoso.com", "amy.adams@contoso.com"));
    firm.replay(0);
    let facts: serde_json::Value = serde_json::from_str(&day(&firm, DAY, "--json")).unwrap();
    assert_eq!((&facts["items"]["staged"], &facts["items"]["held"]), (&json!(5), &json!(0)));
    assert_eq!(facts["placements"], 8);
    assert_eq!(facts["files"][0]["manifests"].as_array().unwrap().len(), 2);
    let text = firm.run(&["report", "day", DAY]).expect(0).out;
    for words in ["The books balance: 5 available = 5 staged", "replay of ACME-20261119.xml.pgp committed", "chain: "] {
        assert!(text.contains(words), "{text}");
    }
    firm.run(&["restage", "--mailbox", "amy.adams@contoso.com", "--reason", "lost"]).expect(0);
    let facts: serde_json::Value = serde_json::from_str(&day(&firm, DAY, "--json")).unwrap();
    assert_eq!(facts["placements"], 8, "what is put there again is no further copy");
}

#[test]
fn a_day_without_its_export_and_a_file_of_no_day_are_told() {
    let firm = firm_with_a_day("icechat.xml.pgp");
    assert!(firm.run(&["report", "day", "2026-11-18"]).expect(0).out.contains("The schedule expects one."));
    assert!(firm.run(&["report", "day", "2026-11-21"]).expect(0).out.contains("The schedule expects none."));
    firm.deliver("garbage.pgp", b"garbage");
    firm.ingest(3);
    let today = jiff::Timestamp::now().to_string();
    let facts: serde_json::Value = serde_json::from_str(&day(&firm, &today[..10], "--json")).unwrap();
    assert_eq!((&facts["undated"][0]["name"], &facts["undated"][0]["state"]), (&json!("garbage.pgp"), &json!("held")));
    assert_eq!(facts["files"], json!([]));
    // One that cannot be read is about the day that its name says.
    firm.deliver("ACME-20261120.xml.pgp", b"more garbage");
    firm.ingest(3);
    let facts: serde_json::Value = serde_json::from_str(&day(&firm, "2026-11-20", "--json")).unwrap();
    assert_eq!((&facts["files"][0]["state"], &facts["undated"]), (&json!("held"), &json!([])));
    let said = firm.run(&["report", "day", "2026-11-20"]).expect(0).out;
    assert!(said.contains("A file about this day is not staged"), "{said}");
    assert_eq!(firm.run(&["report", "day", "yesterday"]).code, 2);
    assert_eq!(firm.run(&["report", "day", DAY, "--html", "--csv"]).code, 2);
    let nothing = Firm::new();
    assert!(nothing.run(&["report", "day", DAY]).expect(0).out.contains("No export about this day is here."));
    assert!(!nothing.path("state").exists());
}

#[test]
fn csv_has_a_row_for_each_file_and_the_sum() {
    let firm = firm_with_a_day("ACME, \"19\".pgp");
    let rows = cells(&firm.run(&["report", "--csv"]).expect(0).out);
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (rows[1][1].as_str(), &rows[1][5..11]),
        ("ACME, \"19\".pgp", &["5", "4", "1", "0", "0", "0"].map(str::to_owned)[..])
    );
    assert_eq!(
        (rows[2][0].as_str(), &rows[2][5..]),
        ("total", &["5", "4", "1", "0", "0", "0", "7", "0", "0", ""].map(str::to_owned)[..])
    );
    let rows = cells(&day(&firm, DAY, "--csv"));
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1][0].as_str(), rows[1][1].as_str(), rows[1][15].as_str()), (DAY, "ACME, \"19\".pgp", "7"));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{rows:?}");
}

/// A page that any browser prints: by a parser of Python's it is well-nested, fetches nothing and runs nothing, whatever a
/// file is called.
#[test]
fn the_page_is_whole_and_holds_no_markup_from_outside() {
    let firm = firm_with_a_day("<script>alert(1)<-- & \"x\".pgp");
    let page = day(&firm, DAY, "--html");
    let checker = "
import sys
from html.parser import HTMLParser
class Page(HTMLParser):
    void = {'meta', 'br'}
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.tags = [], [], set()
    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert not any(name.startswith('on') or name in ('src', 'href') for name, _ in attributes), attributes
        if tag not in self.void: self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, data):
        if 'style' not in self.open: self.text.append(data)
page = Page()
page.feed(sys.stdin.read())
page.close()
assert page.open == [], page.open
assert not page.tags & {'script', 'img', 'link', 'iframe', 'object'}, page.tags
print(' '.join(''.join(page.text).split()))
";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("page.html"), &page).unwrap();
    let input = fs::File::open(dir.path().join("page.html")).unwrap();
    let done = Command::new("python3").args(["-c", checker]).stdin(input).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}\n{page}", String::from_utf8_lossy(&done.stderr));
    let verified = firm.run(&["verify", "--json"]).expect(0).json();
    let head = verified["chain"]["head"].as_str().unwrap();
    for words in [
        "<script>alert(1)<-- & \"x\".pgp",
        "The books balance: 5 available = 4 staged",
        head,
        "Reviewed by",
        "signed by: unsigned",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
