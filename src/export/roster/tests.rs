//! Contract 6, paragraphs 1 and 2, a line of the table for each clause.

use super::*;
use crate::export::reader::Step;
use crate::export::testing::{conversation, whole};

const MANY: u64 = 1000;

/// The roster of a conversation with this inside, and its items.
fn roster(inside: &str) -> (Attendance, Vec<ItemRecord>) {
    let mut roster = Roster::default();
    let mut items = Vec::new();
    for step in whole(&conversation(inside)).0 {
        let Step::Record { record, .. } = step else { continue };
        roster.note(&record, MANY).unwrap();
        if let Record::Item(item) = record {
            items.push(item);
        }
    }
    (roster.close(), items)
}

fn said(who: &str, time: &str) -> String {
    format!("<Message><ImId>{who}</ImId><DateTimeUTC>{time}</DateTimeUTC><Content/></Message>")
}

fn event(kind: &str, who: &str, time: &str) -> String {
    format!("<Participant{kind}><User><ImId>{who}</ImId></User><DateTimeUTC>{time}</DateTimeUTC></Participant{kind}>")
}

/// Who is present at a time, told by someone else: `e a 5` enters, `l a 5` leaves, `s a 5` says something.
fn present(script: &str, time: &str) -> String {
    let mut inside = String::new();
    for line in script.split(',').map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        inside += &match words[0] {
            "e" => event("Entered", words[1], words[2]),
            "l" => event("Left", words[1], words[2]),
            _ => said(words[1], words[2]),
        };
    }
    let (attendance, items) = roster(&(inside + &said("teller", time)));
    let record = items.last().unwrap();
    let everyone = attendance.walk().participants(record);
    let names = everyone[1..].iter().map(|one| {
        assert_eq!(one.role, Role::Present);
        one.person.im_id.as_ref().unwrap().as_str()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_last_event_at_or_before_the_message_decides() {
    let table = [
        ("", "5", ""),
        ("e a 5", "5", "a"),
        ("e a 5", "4", ""),
        ("e a 5", "4.999999999", ""),
        ("e a 4.5", "4.500000000", "a"),
        ("e a 1, l a 3", "2", "a"),
        ("e a 1, l a 3", "3", ""),
        ("l a 3, e a 1", "2", "a"),
        ("l a 3, e a 1", "4", ""),
        ("e a 3, l a 3", "3", ""),
        ("l a 3, e a 3", "3", "a"),
        ("e a 1, l a 3, e A 5", "6", "a"),
        ("s a 1", "0", "a"),
        ("s a 1", "9", "a"),
        ("l a 3", "2", "a"),
        ("l a 3", "3", ""),
        ("l a 3, e a 5", "1", "a"),
        ("e a 5, l a 3", "1", "a"),
        ("e a 5, s a 1", "1", ""),
        ("l a 3, e a 3", "1", "a"),
        ("e a 3, l a 3", "1", ""),
        ("s a 1, l a 3", "5", ""),
        ("s b 1, e a 1, s c 1", "2", "b a c"),
        ("e a soon, s a 9", "1", "a"),
        ("e a soon", "1", ""),
        ("s a noon", "1", "a"),
        ("e teller 1, e a 1", "2", "a"),
    ];
    for (script, time, expected) in table {
        assert_eq!(present(script, time), expected, "{script:?} at {time}");
    }
}

#[test]
fn who_is_only_a_recipient_is_not_present() {
    let to =
        "<Message><ImId>a</ImId><DateTimeUTC>1</DateTimeUTC><Content/><Recipient><ImId>b</ImId></Recipient></Message>";
    let (attendance, items) = roster(&format!("{to}{}", said("c", "2")));
    let names: Vec<_> = attendance.walk().present_at(items[1].time, &items[1].sender).cloned().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].im_id.as_ref().unwrap().as_str(), "a");
}

#[test]
fn time_can_be_walked_in_any_direction() {
    let inside =
        event("Entered", "a", "10") + &event("Left", "a", "20") + &event("Entered", "b", "15") + &said("c", "1");
    let (attendance, items) = roster(&inside);
    let mut walk = attendance.walk();
    for (time, expected) in [(30, 1), (15, 2), (12, 1), (5, 0), (19, 2), (20, 1), (10, 1), (9, 0)] {
        let time = Timestamp::from_second(time).unwrap();
        assert_eq!(walk.present_at(time, &items[0].sender).count(), expected, "{time}");
    }
}

#[test]
fn the_first_given_completes_what_a_mention_leaves_out() {
    let user = |fields: &str| {
        format!("<ParticipantEntered><User>{fields}</User><DateTimeUTC>1</DateTimeUTC></ParticipantEntered>")
    };
    let inside = "<Message><ImId>A</ImId><SenderEmail>own@x</SenderEmail><DateTimeUTC>2</DateTimeUTC><Content/>\
                  <Recipient><ImId>b</ImId></Recipient><Recipient><RecipientEmail>a@x</RecipientEmail></Recipient></Message>"
        .to_owned()
        + &user("<ImId>a</ImId><EmailAddress>a@x</EmailAddress><LastName>Adams</LastName>")
        + &user("<ImId>a</ImId><EmailAddress>z@x</EmailAddress><CompanyName>C</CompanyName>")
        + &user("<EmailAddress>a@x</EmailAddress><LastName>Mail</LastName>")
        + &said("a", "3");
    let (attendance, items) = roster(&inside);
    let mut walk = attendance.walk();
    let everyone = walk.participants(&items[0]);
    let shown = |person: &Person| {
        let email = person.email.as_ref().map_or("", |email| email.as_str()).to_owned();
        (email, person.name.clone().unwrap_or_default(), person.company.clone().unwrap_or_default())
    };
    let people: Vec<_> = everyone.iter().map(|one| shown(&one.person)).collect();
    assert_eq!(people[0], ("own@x".to_owned(), "Adams".into(), "C".into()));
    assert_eq!(everyone[0].person.im_id.as_ref().unwrap().as_str(), "A", "the mention's own spelling stays");
    assert_eq!(people[1], (String::new(), "".into(), "".into()));
    assert_eq!(people[2], ("a@x".to_owned(), "".into(), "".into()), "an e-mail finds nobody");
    let sender = &walk.participants(&items[1])[0].person;
    assert_eq!(shown(sender), ("own@x".to_owned(), "Adams".into(), "C".into()), "the first in the document counts");
    assert!(Arc::ptr_eq(&attendance.complete(&items[0].sender), &everyone[0].person), "nothing of its own: shared");
}

#[test]
fn participants_repeat_neither_sender_nor_each_other() {
    let to = |who: &str| format!("<Recipient><ImId>{who}</ImId></Recipient>");
    let inside = "<Message><ImId>a</ImId><DateTimeUTC>2</DateTimeUTC><Content/>".to_owned()
        + &[to("b"), to("A"), to("B"), to("c")].concat()
        + "<Recipient><ImId>c</ImId><RecipientEmail>c@x</RecipientEmail></Recipient>\
           <RecipientEmail>C@x</RecipientEmail><RecipientEmail>c@X</RecipientEmail></Message>";
    let many =
        inside.replace("<Recipient><ImId>b", &((0..40).map(|_| to("b")).collect::<String>() + "<Recipient><ImId>b"));
    for inside in [inside, many] {
        let (attendance, items) = roster(&inside);
        let keys: Vec<_> = attendance.walk().participants(&items[0]);
        let keys: Vec<_> = keys.iter().map(|one| key(&one.person)).collect();
        assert_eq!(keys, [(Some("a"), None), (Some("b"), None), (Some("c"), Some("c@x")), (None, Some("c@x"))]);
    }
}

#[test]
fn a_roster_is_bounded() {
    let steps = whole(&conversation(&(event("Entered", "a", "1") + &event("Left", "a", "2") + &said("b", "1")))).0;
    let note = |limit| {
        let mut roster = Roster::default();
        let records = steps.iter().filter_map(|step| match step {
            Step::Record { record, .. } => Some(record),
            _ => None,
        });
        records.map(|record| roster.note(record, limit)).find_map(Result::err)
    };
    assert_eq!(note(2), None);
    assert_eq!(note(1), Some(RosterFull::Events));
    assert_eq!(note(0), Some(RosterFull::People));
}
