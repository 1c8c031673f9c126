//! What monitoring is told: a real daemon's `/metrics` and `/healthz`, and that dashboard, rules and page speak of the same
//! names.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;
use support::daemon::Daemon;
use support::firm::{Firm, Settings, export, message};
use support::http::{Answer, ask, free_address, get, try_send};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";

fn firm_with_metrics() -> (Firm, SocketAddr) {
    let address = free_address();
    let more = format!("[metrics]\nlisten = \"{address}\"\n[schedule]\ndays = \"daily\"\n");
    (Firm::with(&Settings { more, ..Settings::default() }), address)
}

/// The value of a series, written as in `name{label="value"}`.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn expect(page: &str, series: &str, expected: f64) {
    let found = value(page, series);
    assert!(found.is_some_and(|found| (found - expected).abs() < 0.5), "{series}: {found:?} of\n{page}");
}

fn metrics(address: SocketAddr) -> String {
    let Answer { code, head, body } = get(address, "/metrics");
    assert_eq!(code, 200, "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    body
}

/// A firm that had a run with something of everything.
fn a_varied_run(firm: &Firm) {
    let records = [
        message("m-1", AMY, &[JOE, "ola@northern.example"], "both of ours"),
        message("m-2", "ola@northern.example", &["otto@northern.example"], "nobody of ours"),
        "<Message><ImId>amy</ImId></Message>".to_owned(),
    ];
    firm.deliver_export("day.pgp", &export(&records.concat()));
    firm.deliver("broken.pgp", b"not an export");
}

#[test]
fn a_daemons_page_tells_what_its_runs_did() {
    let (firm, address) = firm_with_metrics();
    a_varied_run(&firm);
    let before = Timestamp::now().as_second();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    let page = metrics(address);
    let success = value(&page, "icechatd_last_success_timestamp_seconds").unwrap();
    let before = f64::from(u32::try_from(before).unwrap());
    assert!((before..before + 120.0).contains(&success), "{before} {success}");
    for (series, expected) in [
        ("icechatd_runs_total{verb=\"ingest\",outcome=\"attention\"}", 1.0),
        ("icechatd_last_run_outcome{verb=\"ingest\",outcome=\"attention\"}", 1.0),
        ("icechatd_last_run_outcome{verb=\"ingest\",outcome=\"failed\"}", 0.0),
        ("icechatd_last_run_items{verb=\"ingest\",outcome=\"staged\"}", 1.0),
        ("icechatd_files{state=\"committed\"}", 1.0),
        ("icechatd_files{state=\"held\"}", 1.0),
        ("icechatd_files{state=\"superseded\"}", 0.0),
        ("icechatd_items{outcome=\"staged\"}", 1.0),
        ("icechatd_items{outcome=\"held\"}", 1.0),
        ("icechatd_items{outcome=\"rejected\"}", 1.0),
        ("icechatd_items_available", 3.0),
        ("icechatd_placements_total{result=\"staged\"}", 2.0),
        ("icechatd_held_files", 1.0),
        ("icechatd_held_items", 1.0),
        ("icechatd_rejected_records", 1.0),
        ("icechatd_missing_exports", 0.0),
        ("icechatd_run_in_flight", 0.0),
        ("icechatd_loop_turning", 1.0),
        ("icechatd_last_scrape_error", 0.0),
        ("icechatd_rejected_inputs{kind=\"mapping\"}", 0.0),
    ] {
        expect(&page, series, expected);
    }
    let received: u64 =
        ["day.pgp", "broken.pgp"].iter().map(|name| fs::metadata(firm.sshd.root().join(name)).unwrap().len()).sum();
    expect(&page, "icechatd_received_bytes_total", f64::from(u32::try_from(received).unwrap()));
    assert!(page.contains(&format!("icechatd_build_info{{version=\"{}\"}} 1", icechatd::VERSION)), "{page}");
}

/// What a replay moves is counted where it is then, and nothing is counted twice.
#[test]
fn a_replay_moves_items_and_the_books_balance() {
    let (firm, address) = firm_with_metrics();
    let newcomers = ["1", "2"].map(|id| {
        format!(
            "<Message><MessageID>{id}</MessageID><ImId>new7</ImId><CompanyName>Contoso</CompanyName><Recipient>\
             <ImId>out1</ImId></Recipient><DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC><Content>hi</Content></Message>"
        )
    });
    firm.deliver_export("day.pgp", &export(&(newcomers.concat() + &message("m-1", AMY, &[JOE], "known"))));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    let of = |page: &str| ["staged", "held"].map(|word| value(page, &format!("icechatd_items{{outcome=\"{word}\"}}")));
    let page = metrics(address);
    assert_eq!(of(&page), [Some(1.0), Some(2.0)], "{page}");
    firm.map("new.csv", "ImId,Mailbox\nnew7,amy@contoso.com\n");
    daemon.wait_for_log("replay is done", 1);
    let page = metrics(address);
    assert_eq!(of(&page), [Some(3.0), Some(0.0)], "{page}");
    for (series, expected) in [
        ("icechatd_items_available", 3.0),
        ("icechatd_placements_total{result=\"staged\"}", 4.0),
        ("icechatd_held_items", 0.0),
        ("icechatd_last_run_items{verb=\"replay\",outcome=\"staged\"}", 2.0),
        ("icechatd_last_run_items{verb=\"ingest\",outcome=\"held\"}", 2.0),
    ] {
        expect(&page, series, expected);
    }
}

#[test]
fn no_label_names_a_person_a_mailbox_or_a_file() {
    let (firm, address) = firm_with_metrics();
    a_varied_run(&firm);
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    fill_tables_of_others(&firm);
    let page = metrics(address);
    for word in ["amy", "joe", "ola", "contoso", "northern", "pgp\"", "day", "broken", firm.sshd.user()] {
        let shown = page.lines().any(|line| line.split(' ').next().unwrap().to_lowercase().contains(word));
        assert!(!shown || line_is_ours(&page, word), "{word} in {page}");
    }
    let labels: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.split_once('{'))
        .flat_map(|(_, rest)| rest.split('}').next().unwrap().split(','))
        .map(|label| label.split('=').next().unwrap())
        .collect();
    let known = ["channel", "fingerprint", "kind", "outcome", "result", "silenced", "state", "step", "verb", "version"];
    assert!(labels.iter().all(|label| known.contains(label)), "{labels:?}");
}

/// The program's version may hold any hexadecimal word.
fn line_is_ours(page: &str, word: &str) -> bool {
    page.lines().filter(|line| line.to_lowercase().contains(word)).all(|line| line.contains("version="))
}

/// What other rooms record, as though they had.
fn fill_tables_of_others(firm: &Firm) {
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger
        .execute_batch(
            "INSERT INTO certificates (fingerprint, credential, expires, seen) VALUES ('ABCDEF0123', 'pgp-key', 1900000000, 1), ('FFFF', 'other', NULL, 1);
             INSERT INTO rejections (kind, since, mended, errors) VALUES ('mapping', 1, NULL, '[]'), ('list', 1, 2, '[]');
             INSERT INTO alerts (kind, subject, words, raised, ended, acked_until) VALUES
               ('held_file', 'a', 'w', 1, NULL, NULL), ('held_file', 'b', 'w', 1, 2, NULL),
               ('held_file', 'c', 'w', 1, NULL, '2999-01-01'), ('held_file', 'd', 'w', 1, NULL, '2020-01-01');
             INSERT INTO notices (channel, kind, body, made, next_try, sent, given_up) VALUES
               ('webhook', 'k', 'b', 1, 1, 2, NULL), ('webhook', 'k', 'b', 1, 1, NULL, 3), ('mail', 'k', 'b', 1, 1, NULL, NULL);",
        )
        .unwrap();
}

#[test]
fn what_other_rooms_record_is_counted() {
    let (firm, address) = firm_with_metrics();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    let page = metrics(address);
    assert!(page.contains("icechatd_key_expiry_timestamp_seconds{fingerprint=\""), "{page}");
    fill_tables_of_others(&firm);
    let page = metrics(address);
    for (series, expected) in [
        ("icechatd_key_expiry_timestamp_seconds{fingerprint=\"ABCDEF0123\"}", 1_900_000_000.0),
        ("icechatd_rejected_inputs{kind=\"mapping\"}", 1.0),
        ("icechatd_rejected_inputs{kind=\"list\"}", 0.0),
        ("icechatd_alerts_open{kind=\"held_file\",silenced=\"false\"}", 2.0),
        ("icechatd_alerts_open{kind=\"held_file\",silenced=\"true\"}", 1.0),
        ("icechatd_notices{channel=\"webhook\",state=\"given_up\"}", 1.0),
        ("icechatd_notices{channel=\"mail\",state=\"waiting\"}", 1.0),
    ] {
        expect(&page, series, expected);
    }
    assert!(!page.contains("FFFF"), "{page}");
}

/// Between runs the daemon only looks: nothing is written, and what it saw gone it does not look for again.
#[test]
fn the_oldest_eml_that_waits_shows_between_runs() {
    let (firm, address) = firm_with_metrics();
    let oldest = |page: &str| value(page, "icechatd_staging_oldest_eml_timestamp_seconds");
    firm.deliver_export("first.pgp", &export(&message("m-1", AMY, &[JOE], "first")));
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    firm.deliver_export("second.pgp", &export(&message("m-2", "dora@contoso.com", &["ed@contoso.com"], "second")));
    firm.run(&["ingest"]).expect(0);
    let ledger = Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.execute("UPDATE manifests SET committed = 1000000000 + seq * 1000", []).unwrap();
    let page = metrics(address);
    assert_eq!(oldest(&page), Some(1_000_001_000.0), "{page}");
    expect(&page, "icechatd_staging_commits", 2.0);
    let take = |mailbox: &str| fs::remove_dir_all(firm.path("staging").join(mailbox)).unwrap();
    take(AMY);
    assert_eq!(oldest(&metrics(address)), Some(1_000_001_000.0), "one of two copies is left");
    take(JOE);
    let page = metrics(address);
    assert_eq!(oldest(&page), Some(1_000_002_000.0), "{page}");
    expect(&page, "icechatd_staging_commits", 1.0);
    let kept = firm.path("kept");
    fs::rename(firm.path("staging/dora@contoso.com"), &kept).unwrap();
    take("ed@contoso.com");
    let page = metrics(address);
    assert_eq!(oldest(&page), None, "{page}");
    expect(&page, "icechatd_staging_commits", 0.0);
    let taken: i64 = ledger.query_row("SELECT count(taken) FROM manifests", [], |row| row.get(0)).unwrap();
    assert_eq!(taken, 0, "who only looks writes nothing");
    fs::rename(&kept, firm.path("staging/dora@contoso.com")).unwrap();
    assert_eq!(oldest(&metrics(address)), None, "what was seen gone is not looked for again");
    firm.run(&["ingest"]).expect(0);
    let page = metrics(address);
    assert_eq!(oldest(&page), Some(1_000_002_000.0), "but after a run, which may have put it there: {page}");
}

#[test]
fn a_run_in_flight_shows() {
    let (firm, address) = firm_with_metrics();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    let lock = icechatd::lock::Lock::take(&firm.path("state/work.lock")).unwrap();
    let told = r#"{"file": "day.pgp", "step": "staging", "done": 250, "total": 1000}"#;
    fs::write(firm.path("state/in-flight.json"), told).unwrap();
    let page = metrics(address);
    expect(&page, "icechatd_run_in_flight", 1.0);
    assert_eq!(value(&page, "icechatd_run_progress_ratio{step=\"staging\"}"), Some(0.25), "{page}");
    drop(lock);
    let page = metrics(address);
    expect(&page, "icechatd_run_in_flight", 0.0);
    assert!(!page.contains("icechatd_run_progress_ratio{"), "what a killed run left is not believed: {page}");
}

#[test]
fn only_the_two_pages_are_there_to_be_read() {
    let (firm, address) = firm_with_metrics();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    for (method, path, code) in [
        ("GET", "/healthz", 200),
        ("GET", "/metrics?name=x", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../state/ledger.db", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/healthz", 405),
    ] {
        let answer = ask(address, method, path);
        assert_eq!(answer.code, code, "{method} {path}: {answer:?}");
        assert_eq!(answer.head.contains("allow: get, head"), code == 405, "{answer:?}");
    }
    assert_eq!(get(address, "/healthz").body, "ok\n");
    let head = ask(address, "HEAD", "/healthz");
    assert!(head.code == 200 && head.body.is_empty() && head.head.contains("content-length: 3"), "{head:?}");
    assert_eq!(try_send(address, b"nonsense\r\n\r\n").unwrap().code, 400);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    // It hangs up while the rest is still being sent; either is a refusal.
    assert!(try_send(address, long.as_bytes()).map_or(true, |answer| answer.code == 431), "header fields are bounded");
}

#[test]
fn whoever_asks_slowly_keeps_nobody_waiting() {
    let (firm, address) = firm_with_metrics();
    let daemon = Daemon::start(&firm);
    daemon.wait_for_word("READY=1");
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
    }
    assert_eq!(get(address, "/healthz").code, 200);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    // A connection that is reset is closed too.
    let _ = slow[0].read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[test]
fn an_unreadable_ledger_is_told_and_ends_nothing() {
    let (firm, address) = firm_with_metrics();
    let mut daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(get(address, "/healthz").code, 200);
    // With its journals, from which SQLite would answer on.
    let moves =
        ["ledger.db", "ledger.db-wal", "ledger.db-shm"].map(|name| (firm.path("state").join(name), firm.path(name)));
    for (from, to) in &moves {
        fs::rename(from, to).unwrap();
    }
    let gone = get(address, "/healthz");
    assert!(gone.code == 503 && gone.body.starts_with("there is no ledger in"), "{gone:?}");
    fs::write(&moves[0].0, "no database".repeat(100)).unwrap();
    let health = get(address, "/healthz");
    assert_eq!(health.code, 503);
    assert!(health.body.contains("the ledger in") && health.body.lines().count() == 1, "{health:?}");
    let page = metrics(address);
    expect(&page, "icechatd_last_scrape_error", 1.0);
    assert!(!page.contains("icechatd_last_success"), "what is not known is not told: {page}");
    for (from, to) in &moves {
        fs::rename(to, from).unwrap();
    }
    assert_eq!(get(address, "/healthz").code, 200);
    expect(&metrics(address), "icechatd_last_scrape_error", 0.0);
    assert!(daemon.is_running());
}

#[test]
fn a_port_that_is_taken_is_a_warning_and_the_daemon_works() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let more = format!("[metrics]\nlisten = \"{address}\"\n");
    let firm = Firm::with(&Settings { more, ..Settings::default() });
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log(&format!("metrics cannot be served at {address}"), 1);
    daemon.wait_for_log("ingest is done", 1);
    assert_eq!(daemon.logged("free the port or change metrics.listen"), 1);
}

#[test]
fn a_loop_that_stands_still_is_no_health() {
    let (firm, address) = firm_with_metrics();
    let config = icechatd::config::Config::load(&firm.path("config.toml")).unwrap();
    icechatd::ledger::Ledger::open(&config.state.directory).unwrap();
    let vitals = icechatd::metrics::Vitals::new(&config);
    icechatd::metrics::serve(address, vitals.clone()).unwrap();
    assert_eq!(get(address, "/healthz").code, 200);
    vitals.turned(Instant::now().checked_sub(Duration::from_secs(75)).unwrap());
    let health = get(address, "/healthz");
    assert_eq!(health.code, 503);
    assert_eq!(health.body, "the daemon has stood still for 75 s; restart it (systemctl restart icechatd)\n");
    expect(&metrics(address), "icechatd_loop_turning", 0.0);
    vitals.turned(Instant::now());
    assert_eq!(get(address, "/healthz").code, 200);
}

fn monitoring(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring").join(name)).unwrap()
}

/// The names of series in a text, `_total` and units included.
fn named(text: &str) -> BTreeSet<String> {
    let letters = |c: char| c.is_ascii_lowercase() || c == '_';
    text.match_indices("icechatd_")
        .map(|(at, _)| text[at..].split(|c: char| !letters(c)).next().unwrap().to_owned())
        .filter(|name| name.len() > "icechatd_".len())
        .collect()
}

#[test]
fn rules_dashboard_and_page_speak_of_what_is_served() {
    let (firm, address) = firm_with_metrics();
    a_varied_run(&firm);
    let daemon = Daemon::start(&firm);
    daemon.wait_for_log("ingest is done", 1);
    fill_tables_of_others(&firm);
    let page = metrics(address);
    let series = page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    // There is progress only while a run works.
    let served: BTreeSet<String> =
        named(&series).into_iter().chain(["icechatd_run_progress_ratio".to_owned()]).collect();
    assert!(served.len() > 25, "{served:?}");
    let (readme, rules) = (monitoring("README.md"), monitoring("alerts.rules.yml"));
    let dashboard: Value = serde_json::from_str(&monitoring("dashboard.json")).unwrap();
    let rows: String = readme.lines().filter(|line| line.starts_with("| `icechatd_")).collect::<Vec<_>>().join("\n");
    assert_eq!(named(&rows), served, "the table of docs/monitoring/README.md, and what is served");
    let mut expressions = Vec::new();
    collect_expressions(&dashboard, &mut expressions);
    assert!(expressions.len() > 15, "{expressions:?}");
    for text in [rules, expressions.join("\n")] {
        let unknown: Vec<_> = named(&text).difference(&served).cloned().collect();
        assert!(unknown.is_empty(), "not served: {unknown:?}");
    }
}

/// Every `expr` of a dashboard.
fn collect_expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_expressions(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_expressions(value, found)),
        _ => {}
    }
}

#[test]
fn every_rule_says_how_grave_it_is_and_what_to_do() {
    let rules = monitoring("alerts.rules.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 8, "{}", alerts.len());
    for alert in alerts {
        for part in ["expr: ", "for: ", "severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{part} is missing in {alert}");
        }
    }
}
