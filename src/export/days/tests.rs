//! Who takes part on which day, for what no profile needs to be written for.

use super::*;
use crate::export::roster::Roster;
use crate::export::{Body, Email, EventRecord, ImId, ItemKind, ItemRecord, RejectedRecord};

fn person(im_id: &str) -> Person {
    Person { im_id: ImId::new(im_id), ..Person::default() }
}

/// Hours after 2026-11-19T00:00:00Z.
fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_795_046_400 + hour * 3600).unwrap()
}

fn said(who: &str, to: &[&str], hour: i64) -> Record {
    Record::Item(ItemRecord {
        kind: ItemKind::Message,
        line: 1,
        message_id: None,
        sender: person(who),
        recipients: to.iter().map(|to| person(to)).collect(),
        time: at(hour),
        body: Body::Text("x".into()),
        details: None,
    })
}

fn event(kind: EventKind, who: &str, invited: &[&str], hour: Option<i64>) -> Record {
    Record::Event(EventRecord {
        kind,
        line: 1,
        id: None,
        person: person(who),
        invited: invited.iter().map(|invited| person(invited)).collect(),
        time: hour.map(at),
        text: None,
        fault: None,
        details: None,
    })
}

fn rejected(who: &str) -> Record {
    let (kind, reason, sender) = (ItemKind::Message, "no time".to_owned(), person(who));
    Record::Rejected(RejectedRecord { kind, line: 1, reason, sender, recipients: Vec::new() })
}

fn noted(records: &[Record], events: bool, turns: &[usize]) -> (Days, Attendance) {
    let mut days = Days::new(Calendar { zone: TimeZone::UTC, events });
    let mut roster = Roster::default();
    for (at, record) in records.iter().enumerate() {
        roster.note(record, 100).unwrap();
        let turn = turns.get(at).copied().unwrap_or_default();
        days.note(record, at as u64, turn, 100).unwrap();
    }
    (days, roster.close())
}

fn hours(time: Option<Timestamp>) -> String {
    time.map_or("-".to_owned(), |time| ((time.as_second() - 1_795_046_400) / 3600).to_string())
}

/// `S a`, `R b`, `P c`; and for who was there or invited `a 1-5`, `b i3 by a`.
fn shown(days: &Days, attendance: &Attendance, turn: usize, day: i8) -> (String, String) {
    let cast = days.cast(turn, jiff::civil::date(2026, 11, day), attendance);
    let name = |person: &Person| person.im_id.as_ref().map_or("nobody", ImId::as_str).to_owned();
    let participants = cast.participants.iter().map(|one| {
        let role = format!("{:?}", one.role);
        format!("{} {}", &role[..1], name(&one.person))
    });
    let attended = cast.attended.iter().map(|one| {
        let stays = one.stays.iter().map(|stay| format!(" {}-{}", hours(stay.from), hours(stay.to)));
        let invited = one
            .invited
            .iter()
            .map(|(time, by)| format!(" i{} by {}", hours(*time), by.as_deref().map_or("nobody".to_owned(), name)));
        name(&one.person) + &stays.chain(invited).collect::<String>()
    });
    (participants.collect::<Vec<_>>().join(", "), attended.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_day_has_who_spoke_who_was_spoken_to_and_who_was_there() {
    let records = [
        event(EventKind::Invited, "a", &["early"], None),
        event(EventKind::Entered, "silent", &[], Some(1)),
        event(EventKind::Left, "gone", &[], Some(2)),
        said("a", &["b"], 3),
        event(EventKind::Invited, "a", &["guest", "late"], Some(4)),
        event(EventKind::Entered, "late", &[], Some(5)),
        event(EventKind::Left, "late", &[], Some(6)),
        event(EventKind::Entered, "late", &[], Some(7)),
        rejected("unread"),
        event(EventKind::Entered, "tomorrow", &[], Some(25)),
        said("c", &["a"], 8),
        said("b", &[], 26),
    ];
    let (days, attendance) = noted(&records, false, &[]);
    let (participants, attended) = shown(&days, &attendance, 0, 19);
    assert_eq!(participants, "S a, R b, R c, P silent, P gone, P late, P unread");
    assert_eq!(
        attended,
        "a ---, early i- by a, silent 1--, gone --2, b ---, guest i4 by a, late 5-6 7-- i4 by a, unread ---, c ---"
    );
    assert_eq!(shown(&days, &attendance, 0, 20).0, "S b, P a, P silent, P late, P unread, P tomorrow, P c");
    assert_eq!(shown(&days, &attendance, 0, 21), (String::new(), String::new()));
}

#[test]
fn a_later_turn_has_its_own() {
    let records =
        [said("a", &["b"], 1), said("c", &["d"], 2), event(EventKind::Left, "e", &[], Some(3)), said("f", &[], 30)];
    let (days, attendance) = noted(&records, false, &[0, 1, 0, 1]);
    assert_eq!(shown(&days, &attendance, 0, 19).0, "S a, R b, P c, P e, P f");
    assert_eq!(shown(&days, &attendance, 1, 19).0, "S c, R d, P a, P e, P f");
    assert_eq!(days.lines(0, jiff::civil::date(2026, 11, 20)), None);
    assert_eq!(shown(&days, &attendance, 1, 20).0, "S f, P a, P c");
}

fn shown_again(who: &str, hour: i64) -> Record {
    let Record::Item(mut item) = said(who, &[], hour) else { unreachable!("an item") };
    item.details.get_or_insert_default().history = Some(0);
    Record::Item(item)
}

#[test]
fn what_has_no_time_stands_with_what_is_said_and_not_with_what_is_shown_again() {
    let invited = || event(EventKind::Invited, "a", &["guest"], None);
    let (days, attendance) = noted(&[shown_again("old", 1), invited(), said("a", &[], 25)], false, &[]);
    assert_eq!(days.first(0), Some(jiff::civil::date(2026, 11, 20)));
    assert!(!shown(&days, &attendance, 0, 19).1.contains("guest"));
    assert!(shown(&days, &attendance, 0, 20).1.contains("guest i- by a"));
    let (days, attendance) = noted(&[shown_again("old", 1), invited()], false, &[]);
    assert!(shown(&days, &attendance, 0, 19).1.contains("guest i- by a"), "there is nothing else");
}

#[test]
fn as_items_events_concern_whom_they_name() {
    let records = [
        event(EventKind::Invited, "a", &["guest"], Some(1)),
        event(EventKind::System, "named", &[], Some(2)),
        event(EventKind::System, "", &[], Some(30)),
    ];
    let (days, attendance) = noted(&records, true, &[]);
    assert_eq!(shown(&days, &attendance, 0, 19).0, "S a, R guest, P named");
    assert_eq!(shown(&days, &attendance, 0, 20).0, "S nobody");
    let (days, attendance) = noted(&records, false, &[]);
    assert_eq!(days.lines(0, jiff::civil::date(2026, 11, 19)), None, "nothing but events is no transcript");
    assert_eq!(shown(&days, &attendance, 0, 19).0, "S nobody");
}

#[test]
fn people_of_many_days_are_bounded() {
    let mut days = Days::new(Calendar { zone: TimeZone::UTC, events: false });
    let full = (0..1_000).find(|day| days.note(&said("a", &["b"], day * 24), 0, 0, 10).is_err());
    // Three a day: the day itself, and two people; and two people once more, as they are mentioned.
    assert_eq!(full, Some(52));
    // One person by any number of addresses, on one day.
    let mut days = Days::new(Calendar { zone: TimeZone::UTC, events: false });
    let mut names = |number: i64| {
        let mut record = event(EventKind::Entered, "a", &[], Some(1));
        let Record::Event(entered) = &mut record else { return false };
        entered.person.im_id = ImId::new("a");
        entered.person.email = Email::new(&format!("a{number}@x"));
        days.note(&record, 0, 0, 10).is_err()
    };
    assert_eq!((0..1_000).find(|number| names(*number)), Some(159), "with the day itself");
}
