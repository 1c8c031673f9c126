//! Alerts from the ledger to their readers: facts in a real ledger, sinks on real sockets that fail first.

use crate::support;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use icechatd::alert::deliver::deliver;
use icechatd::alert::{Kind, look, summary};
use icechatd::config::Config;
use icechatd::ledger::{AlertId, Channel, Ledger};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use mail_parser::{MessageParser, MimeHeaders};
use rusqlite::Connection;
use serde_json::Value;
use support::daemon::Daemon;
use support::firm::{Firm, Said, Settings, export, message};
use support::sinks::{Identity, MailScript, MailSink, WebSink};
use tempfile::TempDir;

/// Part of every webhook's address here; it must be read nowhere.
const TOKEN: &str = "T0KENzwischen";
const PASSWORD: &str = "pa55word-of-the-mail";

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

fn clock() -> Timestamp {
    NOW.with(Cell::get)
}

/// A firm of which there is only the configuration and the ledger.
struct Office {
    dir: TempDir,
    config: Config,
    ledger: Ledger,
}

impl Office {
    /// With these sections; the time is noon past one of Friday, 2026-11-20, UTC.
    fn new(sections: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host_key = format!("SHA256:{}", "A".repeat(43));
        let text = format!(
            "[site]\nhost = \"127.0.0.1\"\nfirm_code = \"ACME\"\nhost_keys = [\"{host_key}\"]\n[mailboxes]\n\
             domains = [\"contoso.com\"]\n[staging]\nlocal = \"staging\"\n[state]\ndirectory = \"state\"\n{sections}"
        );
        let file = dir.path().join("config.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        let ledger = Ledger::open(&config.state.directory).unwrap();
        NOW.with(|now| now.set("2026-11-20T13:00:00Z".parse().unwrap()));
        let office = Self { dir, config, ledger };
        // What is put in here by hand is in no chain.
        office.sql("DROP TRIGGER files_linked");
        office
    }

    fn with_webhook(port: u16) -> Self {
        let office = Self::new("[alerts]\nwebhook = \"hook\"\n");
        office.keep("hook", &format!("http://127.0.0.1:{port}/services/{TOKEN}\n"));
        office
    }

    /// Whose users are asked of a tenant.
    fn with_tenant() -> Self {
        let entra = "[entra]\ntenant = \"contoso.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\n";
        Self::new(&format!("[mailboxes.graph]\n{entra}[alerts]\nwebhook = \"hook\"\n"))
    }

    fn keep(&self, name: &str, secret: &str) {
        keep(&self.dir.path().join(name), secret);
    }

    fn sql(&self, statements: &str) {
        Connection::open(self.config.state.directory.join("ledger.db")).unwrap().execute_batch(statements).unwrap();
    }

    fn ask(&self, sql: &str) -> String {
        let connection = Connection::open(self.config.state.directory.join("ledger.db")).unwrap();
        connection
            .query_row(sql, [], |row| row.get::<_, Option<String>>(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
            .unwrap_or_default()
    }

    fn look(&self) {
        look(&self.ledger, &self.config, clock()).unwrap();
    }

    fn deliver(&self) -> (u64, u64) {
        let done = deliver(&self.ledger, &self.config, clock).unwrap();
        (done.sent, done.failed)
    }

    /// The kinds that are open.
    fn open(&self) -> Vec<String> {
        self.ledger.open_alerts().unwrap().into_iter().map(|alert| alert.kind).collect()
    }

    /// The messages queued since the last call, as lists of (state, kind).
    fn told(&self) -> Vec<Vec<(String, String)>> {
        let mut told = Vec::new();
        for notice in self.ledger.due_notices(Channel::Webhook, clock()).unwrap() {
            let body: Value = serde_json::from_str(&notice.body).unwrap();
            let word = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
            let alerts = body["icechatd"]["alerts"].as_array().unwrap().iter();
            told.push(alerts.map(|alert| (word(alert, "state"), word(alert, "kind"))).collect());
            self.ledger.note_sent(notice.id, clock()).unwrap();
        }
        told
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::from(&self.command(arguments).output().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icechatd"));
        command.arg("-c").arg(&self.config.file).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
        command
    }
}

fn keep(path: &PathBuf, secret: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, secret).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn pass(time: impl Into<SignedDuration>) {
    let time = time.into();
    NOW.with(|now| now.set(now.get().checked_add(time).unwrap()));
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

fn one(state: &str, kind: &str) -> Vec<Vec<(String, String)>> {
    vec![vec![(state.to_owned(), kind.to_owned())]]
}

/// A run at the site, with its number; times as SQLite reads them.
fn ran(id: u32, started: &str, minutes: u32, outcome: &str, trouble: &str) -> String {
    format!(
        "INSERT INTO runs (id, name, verb, at_site, firm_code, started, finished, outcome, error, program, invoked_by,
           trouble)
         VALUES ({id}, 'run-{id}', 'ingest', 1, 'ACME', unixepoch('{started}'), unixepoch('{started}') + 60 * {minutes},
           '{outcome}', iif('{outcome}' = 'failed', 'the site said no', NULL), '', '', {trouble});"
    )
}

/// A committed export of a day, with its items all staged.
fn committed(id: u32, day: &str, items: u32) -> String {
    format!(
        "INSERT INTO files (id, sha256, name, bytes, received, received_run, state, date, committed, available, staged)
         VALUES ({id}, unhex(printf('%064x', {id})), 'ACME-{id}.pgp', 1, unixepoch('{day}') + 90000, 1, 'committed',
           '{day}', unixepoch('{day}') + 90000, {items}, {items});"
    )
}

/// A good run this morning, and Thursday's export.
fn all_well() -> String {
    ran(1, "2026-11-20T06:30:00Z", 1, "complete", "NULL") + &committed(1, "2026-11-19", 5)
}

#[test]
fn the_page_lists_every_kind_as_the_program_has_it() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).unwrap();
    let section = page.split("\n## The kinds\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let said: Vec<String> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let (name, urgency, id) = (kind.name(), kind.severity().as_str(), kind.message_id());
            format!("| `{name}` | {urgency} | {} | {} | `{id}` |", kind.means(), kind.advice())
        })
        .collect();
    assert_eq!(rows, said);
}

/// What each table says raises its alert, and the alert goes with its fact; the time is the same throughout.
#[test]
fn each_fact_of_the_ledger_raises_its_alert_and_its_end_ends_it() {
    let cases = [
        ("run_failed", ran(2, "2026-11-20T07:00:00Z", 1, "failed", "NULL"), ran(3, "2026-11-20T08:00:00Z", 1, "attention", "NULL")),
        ("run_failed", "INSERT INTO shapes VALUES (zeroblob(32), 'mapping', x''); INSERT INTO in_force VALUES ('mapping', zeroblob(32), 0, 0);
            INSERT INTO runs (name, verb, at_site, firm_code, started, finished, outcome, error, program, invoked_by)
            VALUES ('r', 'replay', 0, 'ACME', unixepoch('2026-11-20T07:00:00Z'), unixepoch('2026-11-20T07:00:09Z'), 'failed', 'no room', '0', 'root')".into(), "UPDATE in_force SET replayed = 1".into()),
        ("login_refused", ran(2, "2026-11-20T07:00:00Z", 1, "failed", "'login'"), ran(3, "2026-11-20T08:00:00Z", 1, "complete", "NULL")),
        ("site_unreachable", ran(2, "2026-11-20T07:00:00Z", 1, "failed", "'unreachable'"), ran(3, "2026-11-20T12:30:00Z", 1, "complete", "NULL")),
        ("staging_full", ran(2, "2026-11-20T07:00:00Z", 1, "failed", "'no_room'"), ran(3, "2026-11-20T08:00:00Z", 1, "attention", "NULL")),
        ("staging_full", "INSERT INTO shapes VALUES (zeroblob(32), 'mapping', x''); INSERT INTO in_force VALUES ('mapping', zeroblob(32), 0, 0);
            INSERT INTO runs (name, verb, at_site, firm_code, started, finished, outcome, error, program, invoked_by, trouble)
            VALUES ('r', 'replay', 0, 'ACME', unixepoch('2026-11-20T07:00:00Z'), unixepoch('2026-11-20T07:00:09Z'), 'failed', 'no room', '0', 'root', 'no_room')".into(), "UPDATE in_force SET replayed = 1".into()),
        ("export_missing", "UPDATE files SET date = '2026-11-18'; UPDATE runs SET started = unixepoch('2026-11-18')".into(), committed(2, "2026-11-19", 5)),
        ("file_held", "UPDATE files SET state = 'held', reason = 'no key'; UPDATE runs SET started = unixepoch('2026-11-20')".into(),
            "INSERT INTO dismissals VALUES (1, 1, 'file', NULL, NULL, NULL, 'why', 'root', 0, 1)".into()),
        ("items_held", "UPDATE files SET held = 1, staged = 4; INSERT INTO items (time, id, file, ordinal, held, participants) VALUES (9, x'00', 1, 1, 1, x'')".into(),
            "INSERT INTO dismissals VALUES (1, 1, 'item', 9, x'00', NULL, 'why', 'root', 0, 1)".into()),
        ("unresolved", "INSERT INTO unplaced VALUES (1, 'k', 'Ghost1', NULL, NULL, NULL, 0, 1, 0, 0)".into(), "UPDATE unplaced SET external = 1".into()),
        ("record_rejected", "INSERT INTO rejected VALUES (1, 12, 3, 'message', 'too large')".into(),
            "INSERT INTO dismissals VALUES (1, 1, 'record', NULL, NULL, 3, 'why', 'root', 0, 1)".into()),
        ("attachment_missing", "INSERT INTO attachments VALUES (1, 3, 'F-1', 'missing', NULL, NULL, NULL, NULL)".into(),
            "UPDATE attachments SET state = 'present'".into()),
        ("attachment_orphan", "INSERT INTO archives VALUES (1, 1, 0, 1, unixepoch('2026-11-20'));
            INSERT INTO entries VALUES (1, 'F-9', zeroblob(32), 3)".into(),
            "INSERT INTO attachments VALUES (1, 3, 'F-9', 'present', NULL, NULL, 1, 'F-9')".into()),
        ("failed_replay", "UPDATE files SET reason = 'the original is gone'".into(), "UPDATE files SET reason = NULL".into()),
        ("empty_export", "UPDATE files SET available = 0, staged = 0".into(), committed(2, "2026-11-19", 7)),
        ("unexpected_name", "INSERT INTO strangers VALUES ('notes.zip', 0)".into(), "DELETE FROM strangers".into()),
        ("unknown_elements", "INSERT INTO run_files VALUES (1, 0, 1, 'ACME-1.pgp', 'staged', NULL, 5, 5, 0, 0, 0, 0, 5, 0, 0,
            '[{\"path\": \"a/b\", \"count\": 2}]', '[]')".into(), "UPDATE run_files SET unknown = '[]'".into()),
        ("other_firm", "UPDATE files SET export_firm = 'EVIL'".into(), "UPDATE files SET export_firm = 'ACME'".into()),
        ("changed_messages", "INSERT INTO run_files VALUES (1, 0, 1, 'ACME-1.pgp', 'staged', NULL, 5, 5, 0, 0, 0, 0, 5, 0, 2,
            '[]', '[]')".into(), "UPDATE run_files SET changed = 0".into()),
        ("mapping_rejected", "INSERT INTO rejections VALUES (1, 'mapping', 0, NULL, '[\"line 3\"]')".into(), "UPDATE rejections SET mended = 1".into()),
        ("list_rejected", "INSERT INTO rejections VALUES (1, 'list', 0, NULL, '[\"line 3\"]')".into(), "UPDATE rejections SET mended = 1".into()),
        ("configuration_rejected", "INSERT INTO rejections VALUES (1, 'configuration', 0, NULL, '[\"line 3\"]')".into(), "UPDATE rejections SET mended = 1".into()),
        ("mapping_moved", "INSERT INTO shapes VALUES (zeroblob(32), 'mapping', x''); INSERT INTO versions VALUES (1, 'mapping',
            zeroblob(32), unixepoch('2026-11-20'), 'root', 1, 0, 0, 1, '[{\"kind\": \"moved\", \"words\": \"row 3\"}]', 1)".into(),
            "UPDATE versions SET since = unixepoch('2026-10-20')".into()),
        ("key_expiry", "INSERT INTO certificates VALUES ('AB', 'pgp-key', unixepoch('2026-12-01'), 0, 'pgp')".into(), "DELETE FROM certificates".into()),
        ("entra_expiry", "INSERT INTO certificates VALUES ('AB', 'entra', unixepoch('2026-12-01'), 0, 'entra')".into(), "DELETE FROM certificates".into()),
        ("directory_rejected", "INSERT INTO rejections VALUES (1, 'directory', 0, NULL, '[\"4 of 12\"]')".into(), "UPDATE rejections SET mended = 1".into()),
        ("directory_stale", "INSERT INTO directory VALUES (1, 's', unixepoch('2026-11-18'), unixepoch('2026-11-20'), 'down', '[]', NULL, NULL)".into(),
            "UPDATE directory SET refreshed = tried, error = NULL".into()),
        ("im_id_contested", "INSERT INTO directory VALUES (1, 's', unixepoch('2026-11-20'), unixepoch('2026-11-20'), NULL, '[\"x\"]', NULL, NULL)".into(),
            "UPDATE directory SET contested = '[]'".into()),
    ];
    for (kind, raise, end) in cases {
        let office = Office::with_tenant();
        office.sql(&all_well());
        office.look();
        assert_eq!(office.open(), Vec::<String>::new(), "before {kind}");
        office.sql(&raise);
        office.look();
        assert_eq!(office.open(), [kind]);
        assert_eq!(office.told(), one("new", kind));
        office.look();
        assert_eq!(office.told(), Vec::<Vec<_>>::new(), "{kind} is told once");
        office.sql(&end);
        office.look();
        assert_eq!(office.open(), Vec::<String>::new(), "after {kind}");
        let critical = Kind::named(kind).unwrap().severity().as_str() == "critical";
        assert_eq!(office.told(), if critical { one("resolved", kind) } else { Vec::new() }, "{kind}");
    }
}

#[test]
fn an_alert_is_repeated_weekly_and_silent_while_acknowledged() {
    let office = Office::new("[alerts]\nwebhook = \"hook\"\n[schedule]\ntime_zone = \"America/New_York\"\n");
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    let office_looks = |time: SignedDuration| {
        pass(time);
        // The site goes on as usual: only the stranger is the matter.
        let day = clock().strftime("%Y-%m-%dT06:30:00Z").to_string();
        office.sql(&format!("UPDATE runs SET started = unixepoch('{day}'), finished = unixepoch('{day}')"));
        office.look();
        office.told()
    };
    assert_eq!(office_looks(SignedDuration::ZERO), one("new", "unexpected_name"));
    assert_eq!(office_looks(days(6)), Vec::<Vec<_>>::new());
    assert_eq!(office_looks(days(1)), one("lasts", "unexpected_name"), "a week later");
    let id = office.ledger.open_alerts().unwrap()[0].id;
    let until: Date = "2026-12-10".parse().unwrap();
    assert!(office.ledger.ack_alert(id, until, Some("asked ICE"), clock()).unwrap());
    assert_eq!(office_looks(days(13)), Vec::<Vec<_>>::new(), "2026-12-10, acknowledged");
    assert_eq!(
        office_looks(15.hours().try_into().unwrap()),
        Vec::<Vec<_>>::new(),
        "2026-12-11 in London, not in New York"
    );
    assert_eq!(
        office_looks(1.hour().try_into().unwrap()),
        one("lasts", "unexpected_name"),
        "the day is over, and it lasts"
    );
    assert_eq!(office_looks(days(1)), Vec::<Vec<_>>::new());
    assert_eq!(office_looks(days(6)), one("lasts", "unexpected_name"));
    assert_eq!(office.ask("SELECT acked_reason FROM alerts"), "asked ICE");
    assert_ne!(office.ask("SELECT acked_by FROM alerts"), "");
    office.sql("DELETE FROM strangers");
    assert_eq!(office_looks(days(1)), Vec::<Vec<_>>::new());
    office.sql("INSERT INTO strangers VALUES ('notes.zip', 0)");
    assert_eq!(office_looks(days(1)), one("new", "unexpected_name"), "a new one, that nobody has acknowledged");
}

#[test]
fn three_hundred_new_alerts_are_one_message_to_each_channel() {
    let office = Office::new(
        "[alerts]\nwebhook = \"hook\"\n[mail]\nserver = \"localhost\"\nfrom = \"i@contoso.com\"\nto = \"c@contoso.com\"\n",
    );
    office.sql(&all_well());
    for number in 0..300 {
        office.sql(&format!("INSERT INTO unplaced VALUES (1, 'k{number}', 'T{number}', NULL, NULL, NULL, 0, 1, 0, 0)"));
    }
    office.look();
    assert_eq!(office.open().len(), 300);
    assert_eq!(office.ask("SELECT group_concat(channel ORDER BY channel) FROM notices"), "mail,webhook");
    assert!(
        office.ask("SELECT body FROM notices WHERE channel = 'mail'").contains("and 280 more: icechatd alert list")
    );
}

#[test]
fn what_was_queued_before_the_clock_was_set_back_is_sent_all_the_same() {
    let office = Office::new("[alerts]\nwebhook = \"hook\"\n");
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    office.look();
    let is_due = |ahead: i64| office.ledger.notices_due(clock() + SignedDuration::from_secs(ahead)).unwrap();
    assert!(is_due(0) && is_due(-3601));
    assert!(!is_due(-1) && !is_due(-3600), "one that waits for its next try waits an hour at most");
}

#[test]
fn a_run_that_works_is_waited_for_but_not_for_ever() {
    let office = Office::new("[alerts]\nwebhook = \"hook\"\n");
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    office.sql(&ran(2, "2026-11-20T12:30:00Z", 1, "complete", "NULL"));
    office.sql("UPDATE runs SET finished = NULL, outcome = NULL WHERE id = 2");
    office.look();
    assert_eq!(office.open(), Vec::<String>::new());
    pass(SignedDuration::from_mins(30));
    office.look();
    assert_eq!(office.open(), ["unexpected_name"], "it was killed, or takes very long");
}

#[test]
fn a_webhook_that_fails_first_gets_each_message_once() {
    let sink = WebSink::start(&[500, 0, 429]);
    let office = Office::with_webhook(sink.port());
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    office.look();
    for (minutes, failures) in [(0, 1), (1, 2), (2, 3)] {
        pass(SignedDuration::from_mins(minutes));
        assert!(office.ledger.notices_due(clock()).unwrap());
        assert_eq!(office.deliver(), (0, 1));
        assert_eq!(office.ask("SELECT tries || '' FROM notices"), failures.to_string());
        assert!(!office.ledger.notices_due(clock()).unwrap(), "it waits");
        assert_eq!(office.deliver(), (0, 0));
    }
    assert!(office.ask("SELECT error FROM notices").contains("429"));
    pass(SignedDuration::from_mins(4));
    assert_eq!(office.deliver(), (1, 0));
    assert_eq!(
        office.ask("SELECT sent || ',' || tries || ',' || coalesce(error, '-') FROM notices"),
        format!("{},4,-", clock().as_second())
    );
    pass(days(1));
    assert_eq!(office.deliver(), (0, 0), "once");
    let requests = sink.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[3].line, format!("POST /services/{TOKEN}"));
    let body: Value = serde_json::from_str(&requests[3].body).unwrap();
    assert_eq!(body["icechatd"]["alerts"][0]["kind"], "unexpected_name");
    assert!(body["text"].as_str().unwrap().contains("notes.zip"));
}

fn mail_section(port: u16, more: &str) -> String {
    format!(
        "[mail]\nserver = \"localhost\"\nport = {port}\nfrom = \"icechatd@contoso.com\"\nto = [\"a@contoso.com\", \"b@contoso.com\"]\n{more}"
    )
}

#[test]
fn a_mail_server_that_fails_first_gets_each_mail_once() {
    let refusals = vec!["451 4.3.2 try later".to_owned(), "554 5.7.1 no".to_owned()];
    let sink = MailSink::start(MailScript { refusals, ..MailScript::default() }, None);
    let office = Office::new(&mail_section(sink.port(), "security = \"none\"\n"));
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    office.look();
    assert_eq!(office.deliver(), (0, 1));
    assert!(office.ask("SELECT error FROM notices").contains("try later"));
    pass(SignedDuration::from_mins(1));
    assert_eq!(office.deliver(), (0, 1), "what a server calls permanent is often mended by a person");
    pass(SignedDuration::from_mins(2));
    assert_eq!(office.deliver(), (1, 0));
    pass(days(1));
    assert_eq!(office.deliver(), (0, 0));
    let heard = sink.heard();
    assert_eq!(heard.mails.len(), 1);
    for address in ["a@contoso.com", "b@contoso.com"] {
        assert!(heard.commands.iter().any(|line| line == &format!("RCPT TO:<{address}>")), "{:?}", heard.commands);
    }
    let mail = MessageParser::default().parse(&heard.mails[0]).unwrap();
    assert_eq!(mail.subject(), Some("icechatd ACME: 1 new alert"));
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-11-20T13:00:00Z", "when it was written");
    assert!(mail.message_id().unwrap().ends_with("@contoso.com"));
    assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("icechatd@contoso.com"));
    assert!(mail.body_text(0).unwrap().contains("notes.zip at the site matches no pattern"));
    assert_eq!(mail.parts.len(), 1, "plain text");
}

#[test]
fn a_dead_channel_blocks_no_other_and_is_given_up_after_three_days() {
    let mail = MailSink::start(MailScript::default(), None);
    let dead = free_port();
    let office =
        Office::new(&format!("[alerts]\nwebhook = \"hook\"\n{}", mail_section(mail.port(), "security = \"none\"\n")));
    office.keep("hook", &format!("http://127.0.0.1:{dead}/services/{TOKEN}"));
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
    office.look();
    office.sql("INSERT INTO strangers VALUES ('more.zip', 0)");
    office.look();
    assert_eq!(office.deliver(), (2, 1), "one try tells that nobody is there");
    assert_eq!(mail.heard().mails.len(), 2);
    let mut tries = 1;
    while office.ask("SELECT count(given_up) || '' FROM notices") == "0" {
        pass(SignedDuration::from_hours(1));
        tries += office.deliver().1;
        assert!(tries < 200);
    }
    assert!(clock() >= "2026-11-23T13:00:00Z".parse().unwrap());
    let undelivered = office.ledger.undelivered().unwrap();
    assert_eq!((undelivered.len(), undelivered[0].channel), (1, Channel::Webhook));
    office.look();
    assert!(office.open().contains(&"not_delivered".to_owned()));
    office.deliver();
    let last = String::from_utf8(mail.heard().mails.pop().unwrap()).unwrap();
    assert!(last.contains("not_delivered"), "the other channel tells it: {last}");
    let line = summary(&office.ledger, &office.config, clock()).unwrap().unwrap();
    assert!(line.contains("not delivered by webhook"), "{line}");
    let listed = office.run(&["alert", "list"]).expect(0).out;
    assert!(listed.contains("by webhook were not delivered") && !listed.contains(TOKEN), "{listed}");
    assert!(office.run(&["status"]).expect(0).out.contains("not delivered by webhook"));
    // Somebody mends it: what waits gets through, and the alert is over.
    let sink = WebSink::start(&[]);
    office.keep("hook", &format!("http://127.0.0.1:{}/services/{TOKEN}", sink.port()));
    pass(SignedDuration::from_hours(1));
    assert!(office.deliver().0 > 0);
    office.look();
    assert!(!office.open().contains(&"not_delivered".to_owned()));
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn without_tls_nothing_is_mailed_where_tls_is_asked_for() {
    for security in ["starttls", "tls"] {
        let sink = MailSink::start(MailScript { login: Some(true), ..MailScript::default() }, None);
        let more = format!("security = \"{security}\"\nuser = \"icechatd\"\npassword = \"secret\"\n");
        let office = Office::new(&mail_section(sink.port(), &more));
        office.keep("secret", PASSWORD);
        office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
        office.look();
        assert_eq!(office.deliver(), (0, 1));
        let heard = sink.heard();
        assert!(heard.mails.is_empty());
        let said = heard.commands.concat();
        assert!(!said.contains("MAIL") && !said.contains("AUTH") && !said.contains("notes"), "{said}");
        assert!(office.ask("SELECT error FROM notices").contains("nothing was sent"));
    }
}

/// With TLS and a certificate that the machine trusts; and with one that it does not.
#[test]
fn mail_and_webhook_go_by_tls_to_who_can_prove_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::make(folder.path());
    for (security, script) in [
        ("starttls", MailScript { starttls: true, login: Some(true), ..MailScript::default() }),
        ("tls", MailScript { tls: true, login: Some(true), ..MailScript::default() }),
    ] {
        let mail = MailSink::start(script, Some(&identity));
        let web = WebSink::start_tls(&[], &identity);
        let login = format!("security = \"{security}\"\nuser = \"icechatd\"\npassword = \"secret\"\n");
        let office = Office::new(&format!("[alerts]\nwebhook = \"hook\"\n{}", mail_section(mail.port(), &login)));
        office.keep("secret", PASSWORD);
        office.keep("hook", &format!("https://localhost:{}/{TOKEN}", web.port()));
        let said = office.run(&["alert", "test"]).expect(1);
        assert!(mail.heard().mails.is_empty() && web.requests().is_empty(), "nobody vouches for them: {said:?}");
        assert_eq!(said.out.matches("FAILED").count(), 2, "{said:?}");
        assert_quiet(&said);
        let mut trusting = office.command(&["alert", "test"]);
        let said = Said::from(&trusting.env("SSL_CERT_FILE", identity.authority()).output().unwrap()).expect(0);
        assert_eq!(said.out, "ok      webhook\nok      mail\n");
        assert_eq!((mail.heard().mails.len(), web.requests().len()), (1, 1));
        let auth = mail.heard().commands.into_iter().find(|line| line.starts_with("AUTH")).unwrap();
        assert!(auth.starts_with("AUTH PLAIN "), "{auth}");
    }
}

fn assert_quiet(said: &Said) {
    let encoded = data_encoding::BASE64.encode(format!("\0icechatd\0{PASSWORD}").as_bytes());
    for secret in [TOKEN, PASSWORD, encoded.as_str()] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:?}");
    }
}

/// Servers repeat what they refuse, and libraries what they were given; neither ends in a log or in the ledger.
#[test]
fn no_secret_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::make(folder.path());
    let mail = MailSink::start(MailScript { tls: true, login: Some(false), ..MailScript::default() }, Some(&identity));
    let login = "security = \"tls\"\nuser = \"icechatd\"\npassword = \"secret\"\n";
    let sections = format!("[alerts]\nwebhook = \"hook\"\nping = \"ping\"\n{}", mail_section(mail.port(), login));
    for address in [
        format!("http://127.0.0.1:{}/{TOKEN}", free_port()),
        format!("http://127.0.0.1:{}/{TOKEN}", WebSink::start(&[404; 9]).port()),
        format!("http://127.0.0.1:{}/{TOKEN}", WebSink::start(&[0; 9]).port()),
        format!("http://127.0.0.1:{}/{TOKEN}", WebSink::start(&[302; 9]).port()),
        format!("http://hooks.example/{TOKEN}"),
        format!("https://localhost:{}/{TOKEN}", WebSink::start(&[]).port()),
        format!("https://{TOKEN}.invalid/{TOKEN}"),
        format!("{TOKEN} is no address"),
    ] {
        let office = Office::new(&sections);
        office.keep("secret", PASSWORD);
        office.keep("hook", &address);
        office.keep("ping", &address);
        office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0);"));
        office.look();
        for verb in [&["alert", "test"][..], &["alert", "deliver"], &["alert", "list"], &["status"]] {
            let mut command = office.command(verb);
            assert_quiet(&Said::from(&command.env("SSL_CERT_FILE", identity.authority()).output().unwrap()));
        }
        assert_eq!(office.ask("SELECT count(error) || '' FROM notices"), "3", "{address}");
        let errors = office.ask("SELECT group_concat(error) FROM notices");
        assert_quiet(&Said { code: 0, out: errors.clone(), err: String::new() });
        assert!(errors.contains("535"), "{errors}");
    }
    assert!(mail.heard().commands.iter().any(|line| line.starts_with("AUTH PLAIN ")));
}

#[test]
fn a_redirect_is_not_followed() {
    let sink = WebSink::start(&[307; 9]);
    let office = Office::with_webhook(sink.port());
    let said = office.run(&["alert", "test"]).expect(1);
    assert!(said.out.contains("HTTP 307: it sends elsewhere"), "{said:?}");
    assert_eq!(sink.requests().len(), 1);
}

#[test]
fn the_ping_follows_each_good_run_unless_an_export_is_missing() {
    let sink = WebSink::start(&[]);
    let office = Office::new("[alerts]\nping = \"ping\"\n");
    office.keep("ping", &format!("http://127.0.0.1:{}/{TOKEN}", sink.port()));
    let pings = || {
        office.look();
        office.deliver();
        sink.requests().len()
    };
    assert_eq!(pings(), 0, "no run yet");
    office.sql(&all_well());
    assert_eq!((pings(), pings()), (1, 1), "once for the run");
    assert_eq!(sink.requests()[0].line, format!("GET /{TOKEN}"));
    office.sql(&ran(2, "2026-11-20T12:00:00Z", 1, "failed", "NULL"));
    assert_eq!(pings(), 1, "a failed run");
    office.sql(&ran(3, "2026-11-20T12:30:00Z", 1, "attention", "NULL"));
    assert_eq!(pings(), 2, "what needs a person does not keep the run from having gone well");
    office.sql("UPDATE files SET date = '2026-11-18'; UPDATE runs SET started = unixepoch('2026-11-19') WHERE id = 1");
    office.sql(&ran(4, "2026-11-20T12:40:00Z", 1, "attention", "NULL"));
    assert_eq!(pings(), 2, "Thursday is missing");
    let id = office.ledger.open_alerts().unwrap()[0].id;
    office.ledger.ack_alert(id, "2026-12-01".parse().unwrap(), None, clock()).unwrap();
    assert_eq!(pings(), 3, "and somebody knows");
    pass(days(2));
    office.sql("UPDATE runs SET name = 'other' WHERE id = 4");
    assert_eq!(pings(), 3, "a run of two days ago is no sign of life");
}

fn reconciliations(office: &Office) -> usize {
    office.look();
    office.ask("SELECT count(*) || '' FROM notices WHERE kind = 'reconciliation'").parse().unwrap()
}

#[test]
fn the_days_books_are_mailed_once_after_the_first_good_run() {
    let sink = MailSink::start(MailScript::default(), None);
    let office = Office::new(&mail_section(sink.port(), "security = \"none\"\nreconciliation = true\n"));
    assert_eq!(reconciliations(&office), 0, "no run yet");
    office.sql(&all_well());
    office.sql(
        "UPDATE files SET name = '=cmd|'' /C calc''!A0' WHERE id = 1;
         INSERT INTO run_files VALUES (1, 0, 1, '=cmd|'' /C calc''!A0', 'staged', NULL, 5, 4, 1, 0, 0, 0, 7, 1, 0, '[]', '[]');
         UPDATE files SET signed_by = 'A, B' WHERE id = 1;",
    );
    assert_eq!((reconciliations(&office), reconciliations(&office)), (1, 1));
    pass(SignedDuration::from_hours(1));
    office.sql(&ran(2, "2026-11-20T13:50:00Z", 5, "complete", "NULL"));
    office.sql(&committed(2, "2026-11-17", 2));
    office.sql(
        "INSERT INTO run_files VALUES (2, 0, 2, 'late.pgp', 'held', 'no key', 0, 0, 0, 0, 0, 0, 0, 0, 0, '[]', '[]')",
    );
    assert_eq!(reconciliations(&office), 1, "once a day");
    office.deliver();
    let bytes = sink.heard().mails.pop().unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.subject(), Some("icechatd ACME 2026-11-20: complete, 4 items staged"));
    assert!(mail.body_text(0).unwrap().contains("5 items available = 4 staged + 1 held"));
    let head = office.ledger.chain_head().unwrap().unwrap().hash;
    assert!(mail.body_text(0).unwrap().contains(&format!("the chain has 1 link, the newest is {head}")));
    let csv = mail.attachment(0).unwrap();
    assert_eq!(csv.attachment_name(), Some("icechatd-ACME-2026-11-20.csv"));
    let zeros = format!("{:063}1", 0);
    assert_eq!(
        csv.text_contents().unwrap(),
        format!(
            "run,file,sha256,export_date,state,available,staged,held,duplicate,rejected,skipped,placements_staged,\
             placements_existing,changed,signed_by\r\n\
             run-1,'=cmd|' /C calc'!A0,{zeros},2026-11-19,staged,5,4,1,0,0,0,7,1,0,\"A, B\"\r\n\
             total,,,,,5,4,1,0,0,0,7,1,0,\r\n"
        )
    );
    // The next day's has what the afternoon's run did too.
    pass(days(1));
    assert_eq!(reconciliations(&office), 1, "no run of that day yet");
    office.sql(&ran(3, "2026-11-21T06:30:00Z", 1, "attention", "NULL"));
    assert_eq!(reconciliations(&office), 2);
    office.deliver();
    let bytes = sink.heard().mails.pop().unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert!(mail.attachment(0).unwrap().text_contents().unwrap().contains("run-2,late.pgp,"), "nothing falls between");
}

#[test]
fn the_days_books_wait_for_an_export_that_is_late() {
    let office = Office::new(&mail_section(1, "security = \"none\"\nreconciliation = true\n"));
    office.sql(&(ran(1, "2026-11-19T06:30:00Z", 1, "complete", "NULL") + &committed(1, "2026-11-18", 5)));
    NOW.with(|now| now.set("2026-11-20T11:59:59Z".parse().unwrap()));
    office.sql(&ran(2, "2026-11-20T06:30:00Z", 1, "complete", "NULL"));
    assert_eq!(reconciliations(&office), 0, "yesterday's export is still looked for");
    pass(SignedDuration::from_secs(1));
    assert_eq!(reconciliations(&office), 1);
    let body = office.ask("SELECT body FROM notices WHERE kind = 'reconciliation'");
    assert!(body.contains("attention, 0 items staged") && body.contains("exports missing: 2026-11-19"), "{body}");
}

#[test]
fn a_day_of_failed_runs_is_mailed_at_the_deadline() {
    let office = Office::new(&mail_section(1, "security = \"none\"\nreconciliation = true\n"));
    office.sql(&(all_well() + "UPDATE runs SET started = started - 86400, finished = finished - 86400;"));
    NOW.with(|now| now.set("2026-11-20T11:59:59Z".parse().unwrap()));
    let yesterdays = "INSERT INTO notices (channel, kind, body, made, next_try, sent) VALUES
        ('mail', 'reconciliation', '', unixepoch('2026-11-19T07:00:00Z'), 0, 1)";
    office.sql(yesterdays);
    office.sql(&ran(2, "2026-11-20T06:30:00Z", 1, "failed", "'login'"));
    assert_eq!(reconciliations(&office), 1, "the daemon still tries");
    pass(SignedDuration::from_secs(1));
    assert_eq!(reconciliations(&office), 2);
    let body = office.ask("SELECT body FROM notices WHERE kind = 'reconciliation' ORDER BY id DESC LIMIT 1");
    assert!(body.contains("icechatd ACME 2026-11-20: failed, 0 items staged"), "{body}");
    assert!(body.contains("the site said no"), "{body}");
    office.sql(&ran(3, "2026-11-20T12:30:00Z", 1, "complete", "NULL"));
    pass(SignedDuration::from_hours(1));
    assert_eq!(reconciliations(&office), 2, "once a day; tomorrow's has what was done after it");
}

#[test]
fn alerts_are_listed_and_acknowledged_by_number() {
    let office = Office::new("");
    assert_eq!(office.run(&["alert", "list"]).expect(0).out, "no alerts\n");
    let said = office.run(&["alert", "test"]).expect(78);
    assert!(said.err.contains("names no channel"), "{said:?}");
    office.sql(&(all_well() + "INSERT INTO strangers VALUES ('notes.zip', 0), ('b.zip', 0);"));
    office.look();
    let list = office.run(&["alert", "list"]).expect(0).out;
    assert!(list.contains("unexpected_name  notes.zip at the site matches no pattern of site.files"), "{list}");
    let said = office.run(&["alert", "ack", "1", "7", "--until", "2099-01-01", "--reason", "asked"]).expect(1);
    assert!(said.err.contains("no alert 7 is open") && said.out.contains("alert 1 is not told again"), "{said:?}");
    let facts = office.run(&["alert", "list", "--json"]).expect(0).json();
    assert_eq!(facts["alerts"][0]["ack"]["until"], "2099-01-01");
    assert_eq!(facts["alerts"][0]["silenced"], true);
    assert_eq!(facts["alerts"][1]["silenced"], false);
    assert_eq!(facts["alerts"][0]["message_id"], Kind::UnexpectedName.message_id());
    assert!(office.run(&["alert", "list"]).out.contains("acknowledged until 2099-01-01 by "));
    for (arguments, code) in [
        (&["alert", "ack", "1", "--until", "2001-01-01"][..], 2),
        (&["alert", "ack", "1"], 2),
        (&["alert", "ack", "--until", "2099-01-01"], 2),
        (&["alert", "ack", "x", "--until", "2099-01-01"], 2),
        (&["alert", "ack", "1", "--until", "tomorrow"], 2),
        (&["alert"], 2),
    ] {
        office.run(arguments).expect(code);
    }
    office.sql("DELETE FROM strangers");
    office.look();
    assert_eq!(office.run(&["alert", "list"]).expect(0).out, "no alerts\n");
    let all = office.run(&["alert", "list", "--all"]).expect(0).out;
    assert!(all.contains("over since") && all.contains("asked"), "{all}");
    assert!(office.ledger.alert(AlertId(1)).unwrap().unwrap().ended.is_some());
    let status = office.run(&["status"]).expect(0).out;
    assert!(!status.contains("alerts "), "{status}");
}

/// A real run, a real delivery by the verb that the daemon starts, and no chat in any of it.
#[test]
fn a_real_run_is_told_without_its_chat() {
    let sink = WebSink::start(&[503]);
    let mail = MailSink::start(MailScript::default(), None);
    let more = format!(
        "[alerts]\nwebhook = \"hook\"\n{}",
        mail_section(mail.port(), "security = \"none\"\nreconciliation = true\n")
    );
    let mailboxes = "domains = [\"contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    let firm = Firm::with(&Settings { more, mailboxes, ..Settings::default() });
    keep(&firm.path("hook"), &format!("http://127.0.0.1:{}/{TOKEN}", sink.port()));
    fs::write(firm.path("mailboxes.csv"), "PrimarySmtpAddress\namy@contoso.com\n").unwrap();
    let records = message("m-1", "ghost@contoso.com", &["x@elsewhere.example"], "nightjar over the marsh");
    firm.deliver_export("ACME-20261119.xml.pgp", &export(&records));
    firm.run(&["ingest"]).expect(3);
    let config = Config::load(&firm.path("config.toml")).unwrap();
    let ledger = Ledger::open(&config.state.directory).unwrap();
    let now = Timestamp::now();
    look(&ledger, &config, now).unwrap();
    let kinds: Vec<String> = ledger.open_alerts().unwrap().into_iter().map(|alert| alert.kind).collect();
    for kind in ["items_held", "nothing_resolves", "unresolved", "other_firm"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind}: {kinds:?}");
    }
    let first = firm.run(&["alert", "deliver"]).expect(1);
    assert!(first.err.contains("HTTP 503") && !first.err.contains(TOKEN), "{first:?}");
    firm.run(&["alert", "deliver"]).expect(0);
    assert_eq!(sink.requests().len(), 1, "it waits for a minute");
    let heard = mail.heard();
    assert_eq!(heard.mails.len(), 2, "alerts and books");
    for bytes in heard.mails.into_iter().chain([sink.requests()[0].body.clone().into_bytes()]) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("ACME") && !text.contains("nightjar"), "{text}");
    }
    let status = firm.run(&["status"]).expect(0).out;
    assert!(status.contains("alerts     ") && status.contains("icechatd alert list"), "{status}");
}

/// The whole way, as on a firm's machine: the daemon's run finds somebody without a mailbox, the daemon looks, and a child
/// of it tells; once.
#[test]
fn the_daemon_tells_what_its_run_found() {
    let sink = WebSink::start(&[]);
    let more = "[alerts]\nwebhook = \"hook\"\nping = \"hook\"\n".to_owned();
    let mailboxes = "domains = [\"contoso.com\"]\nlist = \"mailboxes.csv\"\n".to_owned();
    let firm = Firm::with(&Settings { more, mailboxes, ..Settings::default() });
    keep(&firm.path("hook"), &format!("http://127.0.0.1:{}/{TOKEN}", sink.port()));
    fs::write(firm.path("mailboxes.csv"), "PrimarySmtpAddress\namy@contoso.com\n").unwrap();
    let records = message("m-1", "ghost@contoso.com", &["amy@contoso.com"], "nightjar over the marsh");
    firm.deliver_export("day.xml.pgp", &export(&records));
    let mut daemon = Daemon::start(&firm);
    daemon.wait_until("a POST", || sink.requests().iter().any(|request| request.line.starts_with("POST ")));
    daemon.stop();
    let posts: Vec<_> = sink.requests().into_iter().filter(|request| request.line.starts_with("POST ")).collect();
    assert_eq!(posts.len(), 1, "{posts:?}");
    let body: Value = serde_json::from_str(&posts[0].body).unwrap();
    let kinds: Vec<_> = body["icechatd"]["alerts"].as_array().unwrap().iter().map(|alert| &alert["kind"]).collect();
    assert!(kinds.contains(&&Value::from("unresolved")), "{body}");
    assert!(body["text"].as_str().unwrap().contains("ghost@contoso.com"), "{body}");
    assert!(!posts[0].body.contains("nightjar") && !daemon.log().contains(TOKEN), "{body}");
}
