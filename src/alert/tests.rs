//! Conditions and tellings, from plain values.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday, date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::conditions::{Condition, Facts, conditions};
use super::kind::{Kind, Severity};
use super::message::{Message, News};
use super::telling::{Changes, compare, end_is_told, is_due};
use crate::config::Schedule;
use crate::digest::Sha256;
use crate::ledger::{
    Ack, AlertId, AlertRow, Certificate, CertificateKind, Channel, Circumstances, Concern, DirectoryStanding, Export,
    FailedReplay, LastAtSite, Rejection, Trouble, Undelivered, Unknown, UnplacedPerson,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-20T13:00:00Z")
}

fn schedule() -> Schedule {
    Schedule {
        at: time(6, 30, 0, 0),
        time_zone: TimeZone::UTC,
        days: vec![Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday],
        deadline: time(12, 0, 0, 0),
        holidays: BTreeSet::from([date(2026, 11, 18)]),
    }
}

fn failed(trouble: Option<&str>, since: &str) -> LastAtSite {
    LastAtSite {
        name: "20261120T110000Z".to_owned(),
        began: at("2026-11-20T11:00:00Z"),
        good: false,
        error: Some("the site said no".to_owned()),
        trouble: trouble.map(str::to_owned),
        failing_since: at(since),
    }
}

/// An export of a day, committed the day after, with items that all have a mailbox.
fn export(day: Date, available: u64) -> Export {
    let committed = day.tomorrow().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
    Export {
        sha256: Sha256::of(day.to_string().as_bytes()),
        name: format!("ACME-{day}.pgp"),
        date: Some(day),
        received: committed,
        committed,
        firm: Some("ACME".to_owned()),
        available,
        staged: available,
        duplicate: 0,
        held: 0,
        rejected: 0,
        changed: 0,
    }
}

fn told_at(circumstances: &Circumstances, missing: &[Date], now: Timestamp) -> Vec<Condition> {
    let schedule = schedule();
    let max_age = Some(SignedDuration::from_hours(48));
    conditions(&Facts { circumstances, missing, schedule: &schedule, firm_code: "ACME", max_age }, now)
}

fn told(circumstances: &Circumstances) -> Vec<(&'static str, String, String)> {
    told_at(circumstances, &[], now()).into_iter().map(|one| (one.kind.name(), one.subject, one.words)).collect()
}

#[test]
fn where_nothing_is_the_matter_nothing_is_told() {
    assert_eq!(told(&Circumstances::default()), []);
    let well = Circumstances {
        last_run: Some(LastAtSite { good: true, ..failed(None, "2026-11-20T06:30:00Z") }),
        exports: vec![export(date(2026, 11, 19), 5)],
        certificates: vec![Certificate {
            kind: CertificateKind::Pgp,
            fingerprint: "AB".to_owned(),
            credential: "pgp-key".to_owned(),
            expires: Some(now() + 31 * 24.hours()),
        }],
        ..Circumstances::default()
    };
    assert_eq!(told(&well), []);
}

#[test]
fn a_failed_run_is_told_by_what_kind_of_failure_it_was() {
    let kinds = |trouble, since, now: &str| {
        let last_run = Some(failed(trouble, since));
        let found = told_at(&Circumstances { last_run, ..Circumstances::default() }, &[], at(now));
        found.into_iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    let (morning, before, after) = ("2026-11-20T06:30:00Z", "2026-11-20T11:59:59Z", "2026-11-20T12:00:00Z");
    assert_eq!(kinds(None, morning, before), [Kind::RunFailed]);
    assert_eq!(kinds(Some("login"), morning, before), [Kind::LoginRefused]);
    assert_eq!(kinds(Some("unreachable"), morning, before), [], "the daemon still tries");
    assert_eq!(kinds(Some("unreachable"), morning, after), [Kind::SiteUnreachable]);
    assert_eq!(kinds(Some("unreachable"), "2026-11-20T12:30:00Z", after), [], "since the afternoon");
    assert_eq!(kinds(Some("no_export"), morning, after), [], "the day is told instead");
    assert_eq!(kinds(Some("no_room"), morning, before), [Kind::StagingFull]);
    let words = told(&Circumstances { last_run: Some(failed(None, morning)), ..Circumstances::default() });
    assert!(words[0].2.contains("the site said no"), "{words:?}");
}

#[test]
fn a_full_disk_is_one_alert_whatever_it_kept_from_starting() {
    let replay = |trouble: Option<&str>| {
        let trouble = trouble.map(str::to_owned);
        Some(FailedReplay { name: "r".to_owned(), error: "the disk said no".to_owned(), trouble })
    };
    let found = |last_run, failed_replay| {
        let found = told(&Circumstances { last_run, failed_replay, ..Circumstances::default() });
        found.into_iter().map(|(kind, ..)| kind).collect::<Vec<_>>()
    };
    let run = |trouble| Some(failed(trouble, "2026-11-20T06:30:00Z"));
    assert_eq!(found(run(Some("no_room")), replay(Some("no_room"))), ["staging_full"]);
    assert_eq!(found(None, replay(Some("no_room"))), ["staging_full"]);
    assert_eq!(found(run(None), replay(Some("no_room"))), ["run_failed", "staging_full"]);
    assert_eq!(found(run(Some("no_room")), replay(None)), ["run_failed", "staging_full"]);
}

#[test]
fn a_site_that_is_down_past_the_deadline_is_one_alert() {
    let days = [date(2026, 11, 17), date(2026, 11, 19)];
    let kinds = |trouble| {
        let last_run = Some(failed(Some(trouble), "2026-11-20T06:30:00Z"));
        let found = told_at(&Circumstances { last_run, ..Circumstances::default() }, &days, now());
        found.into_iter().map(|one| (one.kind, one.subject)).collect::<Vec<_>>()
    };
    let missing = |day: &str| (Kind::ExportMissing, day.to_owned());
    let down = (Kind::SiteUnreachable, String::new());
    assert_eq!(kinds("unreachable"), [down, missing("2026-11-17")], "what was missing before stays so");
    assert_eq!(kinds("no_export"), [missing("2026-11-17"), missing("2026-11-19")], "the site is up again");
}

/// What is found where only this is the matter.
type Case = (Circumstances, &'static [Kind], String, &'static str);

fn short(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string()[..16].to_owned()
}

/// Each fact by itself raises its kind, once, about what it names.
fn assert_raised(cases: Vec<Case>) {
    for (circumstances, kinds, subject, words) in cases {
        let found = told_at(&circumstances, &[], now());
        assert_eq!(found.iter().map(|one| one.kind).collect::<Vec<_>>(), kinds, "{found:?}");
        assert!(found.iter().all(|one| one.subject == subject), "{found:?}");
        assert!(found[0].words.contains(words), "{found:?}");
    }
}

#[test]
fn each_fact_of_an_export_raises_its_kind() {
    let file = Trouble { sha256: Sha256::of(b"f"), name: "ACME-1.pgp".to_owned(), reason: "no key".to_owned() };
    let none = Circumstances::default;
    let day = date(2026, 11, 19);
    let with = |change: &dyn Fn(&mut Export)| {
        let mut export = export(day, 5);
        change(&mut export);
        Circumstances { exports: vec![export], ..none() }
    };
    let id = || short("2026-11-19");
    let unknown = Unknown { path: "a/b".to_owned(), count: 9, exports: 2, newest: "n".to_owned() };
    assert_raised(vec![
        (Circumstances { held_files: vec![file.clone()], ..none() }, &[Kind::FileHeld], short("f"), "no key"),
        (Circumstances { failed_replays: vec![file], ..none() }, &[Kind::FailedReplay], short("f"), "ACME-1.pgp"),
        (with(&|one| one.held = 2), &[Kind::ItemsHeld], id(), "2 items without a mailbox"),
        (with(&|one| one.rejected = 1), &[Kind::RecordRejected], id(), "1 record rejected"),
        (with(&|one| one.changed = 4), &[Kind::ChangedMessages], id(), "4 items came again"),
        (with(&|one| one.firm = Some("EVIL".to_owned())), &[Kind::OtherFirm], "EVIL".to_owned(), "not ACME"),
        (with(&|one| (one.available, one.staged) = (0, 0)), &[Kind::EmptyExport], day.to_string(), "Thursday"),
        (with(&|one| (one.held, one.staged) = (5, 0)), &[Kind::NothingResolves, Kind::ItemsHeld], id(), "5 items"),
        (
            Circumstances { unknown: vec![unknown], ..none() },
            &[Kind::UnknownElements],
            "a/b".to_owned(),
            "9 times in 2",
        ),
    ]);
}

#[test]
fn each_fact_of_people_files_and_channels_raises_its_kind() {
    let none = Circumstances::default;
    let person = UnplacedPerson {
        im_id: Some("Trader1".to_owned()),
        email: Some("t@contoso.com".to_owned()),
        name: Some("T. Rader".to_owned()),
        company: None,
        items: 3,
        first_seen: now(),
        last_seen: now(),
    };
    let concern = |kind: &str, of: &str| {
        let concerns = format!("[{{\"kind\": \"{kind}\", \"words\": \"row 3\"}}]");
        let concern = Concern { version: 7, kind: of.to_owned(), since: now(), concerns };
        Circumstances { concerns: vec![concern], ..none() }
    };
    let refusal = |kind: &str| {
        let errors = vec!["line 3".to_owned(), "line 4".to_owned()];
        Circumstances { rejections: vec![Rejection { kind: kind.to_owned(), since: now(), errors }], ..none() }
    };
    let dead = Undelivered { channel: Channel::Mail, notices: 2, given_up: now(), error: "gone".to_owned() };
    let (stranger, tamed) = ("notes\u{202e}.zip".to_owned(), "notes\u{fffd}.zip".to_owned());
    let version = || "7.1".to_owned();
    assert_raised(vec![
        (Circumstances { unresolved: vec![person], ..none() }, &[Kind::Unresolved], "trader1".to_owned(), "3 items"),
        (Circumstances { strangers: vec![stranger], ..none() }, &[Kind::UnexpectedName], tamed, "site.files"),
        (refusal("mapping"), &[Kind::MappingRejected], String::new(), "line 3 (and 1 more)"),
        (refusal("list"), &[Kind::ListRejected], String::new(), "line 3"),
        (refusal("configuration"), &[Kind::ConfigurationRejected], String::new(), "line 3"),
        (concern("moved", "mapping"), &[Kind::MappingMoved], version(), "row 3"),
        (concern("overrides", "mapping"), &[Kind::MappingOverrides], version(), "row 3"),
        (concern("removed", "mapping"), &[Kind::MappingRemoved], version(), "row 3"),
        (concern("shrunk", "list"), &[Kind::ListShrunk], version(), "row 3"),
        (Circumstances { undelivered: vec![dead], ..none() }, &[Kind::NotDelivered], "mail".to_owned(), "gone"),
    ]);
}

#[test]
fn each_missing_day_is_told_by_itself() {
    let found = told_at(&Circumstances::default(), &[date(2026, 11, 17), date(2026, 11, 19)], now());
    let subjects: Vec<&str> = found.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(subjects, ["2026-11-17", "2026-11-19"]);
    assert!(found.iter().all(|one| one.kind == Kind::ExportMissing));
}

#[test]
fn a_certificate_is_told_from_thirty_days_before_its_end_on() {
    for (left, words) in [(31 * 24, None), (30 * 24, Some("ends on")), (1, Some("ends on")), (0, Some("ended on"))] {
        let certificate = Certificate {
            kind: CertificateKind::Pgp,
            fingerprint: "AB".to_owned(),
            credential: "pgp-key".to_owned(),
            expires: Some(now() + left.hours()),
        };
        let found = told(&Circumstances { certificates: vec![certificate], ..Circumstances::default() });
        assert_eq!(found.first().is_some_and(|one| one.2.contains(words.unwrap_or("?"))), words.is_some(), "{left}");
    }
}

#[test]
fn a_certificate_for_the_sign_in_is_no_matter_while_another_lasts() {
    let certificate = |name: &str, left: i64| Certificate {
        kind: CertificateKind::Entra,
        fingerprint: name.to_owned(),
        credential: name.to_owned(),
        expires: Some(now() + left.hours()),
    };
    let kinds = |certificates| {
        let found = told(&Circumstances { certificates, ..Circumstances::default() });
        found.into_iter().map(|(kind, subject, _)| (kind, subject)).collect::<Vec<_>>()
    };
    let (old, new) = (certificate("old", 24), certificate("new", 24 * 300));
    assert_eq!(kinds(vec![old.clone()]), [("entra_expiry", "old".to_owned())]);
    assert_eq!(kinds(vec![old.clone(), new.clone()]), []);
    let pgp = Certificate { kind: CertificateKind::Pgp, ..old };
    assert_eq!(kinds(vec![pgp, new]), [("key_expiry", "old".to_owned())], "ICE encrypts to that one");
}

#[test]
fn the_tenants_users_are_told_when_they_are_old_or_contradict_each_other() {
    let of = |refreshed: Option<i64>, error: Option<&str>, contested: &[&str]| {
        let directory = Some(DirectoryStanding {
            refreshed: refreshed.map(|hours| now() - hours.hours()),
            tried: now(),
            error: error.map(str::to_owned),
            contested: contested.iter().map(|line| (*line).to_owned()).collect(),
            ..DirectoryStanding::default()
        });
        told(&Circumstances { directory, ..Circumstances::default() })
    };
    assert_eq!(of(Some(48), Some("down"), &[]), [], "it may be down for a while");
    let old = of(Some(49), Some("down"), &[]);
    assert!(old[0].0 == "directory_stale" && old[0].2.ends_with("2026-11-18 12:00 UTC: down"), "{old:?}");
    assert_eq!(of(Some(49), None, &[])[0].0, "directory_stale", "nobody asked");
    assert!(of(None, Some("down"), &[])[0].2.contains("could not be read yet: down"));
    let contested = of(Some(1), None, &["the ImId x is that of several users: a, b"]);
    assert_eq!((contested.len(), contested[0].0), (1, "im_id_contested"));
    let circumstances = Circumstances { directory: Some(DirectoryStanding::default()), ..Circumstances::default() };
    let facts =
        Facts { circumstances: &circumstances, missing: &[], schedule: &schedule(), firm_code: "A", max_age: None };
    assert_eq!(conditions(&facts, now()), [], "it is not asked any more");
}

#[test]
fn an_export_of_which_all_was_known_or_dismissed_is_no_matter() {
    let mut again = export(date(2026, 11, 19), 5);
    (again.staged, again.duplicate) = (0, 5);
    let mut dismissed = export(date(2026, 11, 17), 5);
    (dismissed.staged, dismissed.held) = (0, 0);
    assert_eq!(told(&Circumstances { exports: vec![again, dismissed], ..Circumstances::default() }), []);
}

/// Days of one weekday, oldest first, the last of them judged.
fn thursdays(items: &[u64]) -> Vec<Export> {
    let last = date(2026, 11, 19);
    let back = |weeks: usize| last - (7 * i64::try_from(weeks).unwrap()).days();
    items.iter().enumerate().map(|(place, count)| export(back(items.len() - 1 - place), *count)).collect()
}

#[test]
fn far_fewer_items_than_usual_are_told() {
    let cases: [(&[u64], bool, &str); 8] = [
        (&[100, 100, 100, 100, 24], true, "less than a quarter"),
        (&[100, 100, 100, 100, 25], false, "a quarter"),
        (&[100, 100, 100, 24], false, "three say nothing"),
        (&[1, 100, 100, 100, 20], true, "one quiet day is not usual"),
        (&[10, 10, 90, 90, 12], true, "the median of an even number is between the two: 50"),
        (&[10, 10, 90, 90, 13], false, "the same"),
        (&[1, 1, 1, 1, 100, 100, 100, 100, 100, 100, 100, 100, 20], true, "the last eight only"),
        (&[3, 3, 3, 3, 1], false, "few items say little: one is more than a quarter of three"),
    ];
    for (items, is_told, why) in cases {
        let found = told(&Circumstances { exports: thursdays(items), ..Circumstances::default() });
        let last: Vec<_> = found.iter().filter(|one| one.1 == "2026-11-19").collect();
        assert_eq!(last.iter().any(|one| one.0 == "fewer_items"), is_told, "{why}: {found:?}");
    }
}

#[test]
fn a_days_exports_count_together_and_other_weekdays_say_nothing() {
    let mut exports = thursdays(&[100, 100, 100, 100, 20]);
    let mut second = export(date(2026, 11, 19), 80);
    second.sha256 = Sha256::of(b"second");
    exports.push(second.clone());
    assert_eq!(told(&Circumstances { exports: exports.clone(), ..Circumstances::default() }), []);
    // The same items again are no more items.
    exports.last_mut().unwrap().duplicate = 80;
    let found = told(&Circumstances { exports: exports.clone(), ..Circumstances::default() });
    assert_eq!(found.iter().map(|one| one.0).collect::<Vec<_>>(), ["fewer_items"]);
    // An empty file beside a full one is no empty day.
    second.available = 0;
    let beside = vec![export(date(2026, 11, 19), 5), second];
    assert_eq!(told(&Circumstances { exports: beside, ..Circumstances::default() }), []);
    let mut friday = thursdays(&[100, 100, 100, 100]);
    friday.push(export(date(2026, 11, 20), 1));
    assert_eq!(told(&Circumstances { exports: friday, ..Circumstances::default() }), []);
}

#[test]
fn holidays_weekends_and_the_past_are_not_judged() {
    for (day, why) in [
        (date(2026, 11, 18), "a holiday"),
        (date(2026, 11, 15), "a Sunday"),
        (date(2026, 10, 19), "more than 30 days ago"),
    ] {
        let found = told(&Circumstances { exports: vec![export(day, 0)], ..Circumstances::default() });
        assert_eq!(found, [], "{why}");
    }
    let mut undated = export(date(2026, 11, 19), 0);
    undated.date = None;
    let found = told(&Circumstances { exports: vec![undated], ..Circumstances::default() });
    assert_eq!(found[0].1, "2026-11-20", "the day on which it came");
}

fn row(id: i64, kind: Kind, subject: &str) -> AlertRow {
    AlertRow {
        id: AlertId(id),
        kind: kind.name().to_owned(),
        subject: subject.to_owned(),
        words: "words".to_owned(),
        raised: at("2026-11-01T12:00:00Z"),
        ended: None,
        told: None,
        ack: None,
    }
}

fn acked(mut alert: AlertRow, until: Date) -> AlertRow {
    alert.ack = Some(Ack { until, by: "root".to_owned(), reason: None, at: at("2026-11-02T12:00:00Z") });
    alert
}

fn one(kind: Kind, subject: &str, words: &str) -> Condition {
    Condition { kind, subject: subject.to_owned(), words: words.to_owned() }
}

#[test]
fn what_is_found_is_compared_with_what_is_open() {
    let open = vec![row(1, Kind::FileHeld, "a"), row(2, Kind::FileHeld, "b"), row(3, Kind::FileHeld, "c")];
    let found = vec![
        one(Kind::FileHeld, "a", "words"),
        one(Kind::FileHeld, "b", "other words"),
        one(Kind::ItemsHeld, "a", "words"),
    ];
    let Changes { raise, reword, last, end } = compare(found.clone(), open, &[]);
    assert_eq!(raise, [one(Kind::ItemsHeld, "a", "words")]);
    assert_eq!(reword.iter().map(|alert| (alert.id.0, alert.words.as_str())).collect::<Vec<_>>(), [(2, "other words")]);
    assert_eq!(last.iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(end.iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [3]);
    let opened: Vec<AlertRow> = found
        .iter()
        .zip(1..)
        .map(|(one, id)| AlertRow { words: one.words.clone(), ..row(id, one.kind, &one.subject) })
        .collect();
    let again = compare(found, opened.clone(), &[]);
    assert_eq!(again, Changes { last: opened, ..Changes::default() }, "a second look changes nothing");
}

#[test]
fn what_happened_once_is_settled_by_acknowledging_it() {
    let found = vec![one(Kind::MappingMoved, "7.1", "w"), one(Kind::FileHeld, "a", "w")];
    let acknowledged =
        [row(1, Kind::MappingMoved, "7.1"), row(2, Kind::FileHeld, "a")].map(|alert| acked(alert, date(2026, 11, 3)));
    let changes = compare(found.clone(), acknowledged.to_vec(), &acknowledged);
    assert_eq!(changes.end.iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(changes.reword.iter().map(|alert| alert.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(compare(found, Vec::new(), &acknowledged).raise, [one(Kind::FileHeld, "a", "w")], "a new one is new");
}

#[test]
fn an_alert_is_told_once_then_weekly_and_not_while_acknowledged() {
    let new_york = TimeZone::get("America/New_York").unwrap();
    let told = |told: Option<&str>, until: Option<Date>, now: &str| {
        let alert = AlertRow { told: told.map(at), ..row(1, Kind::FileHeld, "a") };
        let alert = until.map_or(alert.clone(), |until| acked(alert, until));
        is_due(&alert, &new_york, at(now))
    };
    let first = Some("2026-11-01T12:00:00Z");
    let ninth = Some(date(2026, 11, 9));
    assert!(told(None, None, "2026-11-01T12:00:00Z"), "at once");
    assert!(!told(first, None, "2026-11-08T11:59:59Z"), "not before a week is over");
    assert!(told(first, None, "2026-11-08T12:00:00Z"), "weekly");
    assert!(!told(first, ninth, "2026-11-08T12:00:00Z"), "acknowledged");
    assert!(!told(None, ninth, "2026-11-08T12:00:00Z"), "acknowledged before it was told");
    assert!(!told(first, ninth, "2026-11-10T04:59:59Z"), "the day ends by the zone's clocks");
    assert!(told(first, ninth, "2026-11-10T05:00:00Z"), "it lasts, and nobody has said more");
    assert!(!told(Some("2026-11-10T05:00:00Z"), ninth, "2026-11-16T12:00:00Z"), "told once after that, then weekly");
    assert!(told(Some("2026-12-01T12:00:00Z"), None, "2026-11-08T12:00:00Z"), "the clock was set back");
}

#[test]
fn only_the_end_of_what_was_urgent_and_told_is_told() {
    let told = |kind| AlertRow { told: Some(now()), ..row(1, kind, "a") };
    assert!(end_is_told(&told(Kind::FileHeld)));
    assert!(!end_is_told(&row(1, Kind::FileHeld, "a")), "nobody was told");
    assert!(!end_is_told(&told(Kind::Unresolved)), "a warning");
}

#[test]
fn names_and_message_ids_are_each_ones_own() {
    let names: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
    let ids: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::message_id).collect();
    assert_eq!((names.len(), ids.len()), (Kind::ALL.len(), Kind::ALL.len()));
    for kind in Kind::ALL {
        assert!(kind.name().chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{}", kind.name());
        let id = kind.message_id();
        assert!(id.len() == 32 && id.chars().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));
        assert_eq!(Kind::named(kind.name()), Some(kind));
    }
    assert_eq!(Kind::FileHeld.severity(), Severity::Critical);
}

#[test]
fn three_hundred_at_once_are_one_message_of_twenty() {
    let alerts = (1..=300).map(|id| (News::New, row(id, Kind::Unresolved, &id.to_string()))).collect();
    let message = Message::new("ACME", alerts);
    assert_eq!(message.subject(), "icechatd ACME: 300 new alerts");
    let letter = message.letter();
    assert_eq!(letter.text.matches("\n#").count(), 20, "{}", letter.text);
    assert!(letter.text.contains("\nand 280 more: icechatd alert list\n"), "{}", letter.text);
    let json = message.json();
    assert_eq!(json["icechatd"]["alerts"].as_array().unwrap().len(), 20);
    assert_eq!(json["icechatd"]["more"], 280);
    assert!(json["text"].as_str().unwrap().contains("and 280 more"));
}

#[test]
fn a_message_puts_first_what_is_new_and_urgent() {
    let alerts = vec![
        (News::Resolved, row(1, Kind::SiteUnreachable, "")),
        (News::Lasts, row(2, Kind::FileHeld, "a")),
        (News::New, row(3, Kind::Unresolved, "b")),
        (News::New, row(4, Kind::ExportMissing, "c")),
    ];
    let letter = Message::new("ACME", alerts).letter();
    assert_eq!(letter.subject, "icechatd ACME: 2 new, 1 lasting, 1 resolved alerts, 2 critical");
    let places: Vec<usize> = ["#4 ", "#3 ", "#2 ", "#1 "].iter().map(|id| letter.text.find(id).unwrap()).collect();
    assert!(places.is_sorted(), "{}", letter.text);
    assert!(
        letter.text.contains(Kind::ExportMissing.advice()) && !letter.text.contains(Kind::SiteUnreachable.advice())
    );
}

/// As Slack's and Teams' documents have it: `text` with its three letters escaped; an Adaptive Card in a `message`.
#[test]
fn the_webhooks_body_is_what_slack_and_teams_take() {
    let mut alert = row(1, Kind::UnexpectedName, "x");
    alert.words = "<!channel> & [click](https://evil.example) *x*".to_owned();
    let json = Message::new("ACME", vec![(News::New, alert)]).json();
    let text = json["text"].as_str().unwrap();
    assert!(text.contains("&lt;!channel&gt; &amp; ") && !text.contains('<'), "{text}");
    assert_eq!(json["mrkdwn"], false);
    assert_eq!(json["type"], "message");
    let card = &json["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["type"], "AdaptiveCard");
    let blocks = card["content"]["body"].as_array().unwrap();
    assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"), "no markdown: {blocks:?}");
    assert!(card.to_string().len() < 28 * 1024);
    assert_eq!(json["icechatd"]["alerts"][0]["kind"], "unexpected_name");
}
