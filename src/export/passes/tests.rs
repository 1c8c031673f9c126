//! The two passes against the sample, against each other, and against a plain, slow reading of contract 6.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::export::testing::{LIMITS, SAMPLE, conversation, icechat};
use crate::export::{EventKind, Role};

const MESSAGES: Grouping = Grouping { by_day: None, events: false };
const TINY: Hold = Hold { bytes: 0, records: 0 };

fn run(xml: &str, hold: Hold) -> (Survey, Vec<Step>) {
    run_by(&Grouping::default(), xml, hold)
}

fn run_by(grouping: &Grouping, xml: &str, hold: Hold) -> (Survey, Vec<Step>) {
    let profile = icechat();
    let survey = survey(&profile, LIMITS, hold, grouping, &[], xml.as_bytes()).unwrap();
    let mut steps = Vec::new();
    let mut sink = |step| -> Result<(), Infallible> {
        steps.push(step);
        Ok(())
    };
    let counts = items(&profile, LIMITS, &survey, grouping, Turn::ALL, xml.as_bytes(), &mut sink).unwrap();
    assert_eq!(counts, survey.counts);
    if grouping.by_day.is_none() {
        assert_eq!(steps.len() as u64, counts.available());
    }
    (survey, steps)
}

type Named = (Role, String, String, String, String);

/// A participant, identifiers folded or not, as text.
fn named(participant: &crate::export::Participant) -> Named {
    let person = &participant.person;
    let im_id = person.im_id.as_ref().map_or("", |id| id.as_str()).to_owned();
    let email = person.email.as_ref().map_or("", |email| email.as_str()).to_owned();
    let (name, company) = (person.name.clone().unwrap_or_default(), person.company.clone().unwrap_or_default());
    (participant.role, im_id, email, name.into(), company.into())
}

#[test]
fn the_sample_has_the_participants_the_contract_gives_it() {
    let (survey, steps) = run(SAMPLE, Hold::default());
    let mut events = EventCounts::default();
    events.add(EventKind::Entered, 2);
    events.add(EventKind::Left, 1);
    assert_eq!(survey.counts, Counts { conversations: 2, messages: 5, events, ..Counts::default() });
    let participants = steps.iter().map(|step| {
        let Step::Item { item, .. } = step else { panic!("rejected") };
        let people = item.participants.iter().map(|one| {
            let (role, im_id, email, ..) = named(one);
            format!("{role:?} {im_id} {email}")
        });
        people.collect::<Vec<_>>()
    });
    let expected = [
        vec!["Sender adams17 amy@contoso.com", "Recipient broker9 nils@northern.example"],
        vec![
            "Sender Baker.J someone.else@contoso.com",
            "Present adams17 amy@contoso.com",
            "Present broker9 nils@northern.example",
            "Present newhire5 d.diaz@contoso.com",
        ],
        vec!["Sender newhire5 d.diaz@contoso.com", "Recipient  amy@contoso.com"],
        vec!["Sender ghost1 ghost@contoso.com", "Recipient  nils@northern.example"],
        vec!["Sender nils9 nils@northern.example", "Recipient chen_trading wei.chen@contoso.com"],
    ];
    assert_eq!(participants.collect::<Vec<_>>(), expected);
}

#[test]
fn a_sink_stops_the_pass() {
    let profile = icechat();
    let survey = survey(&profile, LIMITS, TINY, &MESSAGES, &[], SAMPLE.as_bytes()).unwrap();
    let mut taken = 0;
    let mut sink = |_| {
        taken += 1;
        if taken == 2 { Err(std::io::Error::other("full")) } else { Ok(()) }
    };
    let error = items(&profile, LIMITS, &survey, &MESSAGES, Turn::ALL, SAMPLE.as_bytes(), &mut sink).unwrap_err();
    assert_eq!((error.to_string().as_str(), taken), ("full", 2));
}

#[test]
fn too_many_people_hold_the_file() {
    let limits = ReadLimits { max_participants: 3, ..LIMITS };
    let error = survey(&icechat(), limits, Hold::default(), &MESSAGES, &[], SAMPLE.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 35, column 15: the conversation has more than 3 participants; raise limits.max_participants if that is right"
    );
}

#[test]
fn another_export_than_the_surveyed_is_noticed_where_it_is_larger() {
    let profile = icechat();
    let hold = Hold { bytes: 4 << 20, records: 1 };
    let survey = survey(&profile, LIMITS, hold, &MESSAGES, &[], conversation("").as_bytes()).unwrap();
    let mut sink = |_| -> Result<(), Infallible> { Ok(()) };
    let error = items(&profile, LIMITS, &survey, &MESSAGES, Turn::ALL, SAMPLE.as_bytes(), &mut sink).unwrap_err();
    assert!(error.to_string().ends_with("this conversation is not the one that was surveyed"), "{error}");
}

#[test]
fn as_items_events_have_a_person_and_whoever_was_there() {
    let xml = conversation(
        "<Message><MessageID>m</MessageID><ImId>a</ImId><DateTimeUTC>1</DateTimeUTC><Content/></Message>\
         <ParticipantEntered><User><ImId>b</ImId></User><DateTimeUTC>2</DateTimeUTC></ParticipantEntered>\
         <ParticipantLeft><User><ImId>b</ImId></User></ParticipantLeft>\
         <ParticipantLeft><User><ImId>a</ImId></User><DateTimeUTC>3</DateTimeUTC></ParticipantLeft>",
    );
    let grouping = Grouping { by_day: None, events: true };
    for hold in [Hold::default(), TINY] {
        let (survey, steps) = run_by(&grouping, &xml, hold);
        let (counts, events) = (survey.counts, survey.counts.events);
        assert_eq!((counts.records(), counts.rejected, counts.available()), (3, 1, 4));
        assert_eq!((events.of(EventKind::Entered), events.of(EventKind::Left)), (1, 2));
        let shown: Vec<String> = steps
            .iter()
            .map(|step| match step {
                Step::Item { ordinal, item } => {
                    let people = item.participants.iter().map(|one| named(one).1).collect::<Vec<_>>();
                    format!("{ordinal} {} {}", item.record.kind.as_str(), people.join(" "))
                }
                Step::Rejected { ordinal, record } => format!("{ordinal} {} {}", record.kind.as_str(), record.reason),
                Step::Transcript(_) => unreachable!("not grouped"),
            })
            .collect();
        assert_eq!(shown, ["0 message a", "1 entered b a", "2 left no time", "3 left a b"]);
    }
    let (survey, steps) = run(&xml, Hold::default());
    assert_eq!((steps.len(), survey.counts.events.of(EventKind::Left)), (1, 2), "counted, and no items");
}

/// A person as a test writes one: numbers into small pools, 0 for absent. Several spellings of one `ImId` occur.
#[derive(Debug, Clone, Copy)]
struct Who {
    im_id: usize,
    email: usize,
    name: usize,
    company: usize,
}

const IDS: [&str; 6] = ["", "ann", "ANN", "bob", "cid", "Bob"];
const EMAILS: [&str; 5] = ["", "x@a", "X@a", "y@a", "z@b"];
const NAMES: [&str; 3] = ["", "N1", "N2"];

impl Who {
    fn key(self) -> Option<String> {
        match (IDS[self.im_id], EMAILS[self.email]) {
            ("", "") => None,
            ("", email) => Some(format!("mail {}", email.to_lowercase())),
            (id, _) => Some(format!("id {}", id.to_lowercase())),
        }
    }
}

#[derive(Debug, Clone)]
enum Line {
    Event { entered: bool, who: Who, time: Option<u32> },
    Said { who: Who, to: Vec<Who>, time: Option<u32> },
}

fn who(named: bool) -> impl Strategy<Value = Who> {
    let extra = if named { 0..3usize } else { 0..1 };
    (0..IDS.len(), 0..EMAILS.len(), extra.clone(), extra).prop_map(|(im_id, email, name, company)| Who {
        im_id,
        email,
        name,
        company,
    })
}

fn line() -> impl Strategy<Value = Line> {
    let time = || prop::option::weighted(0.9, 0..12u32);
    prop_oneof![
        (any::<bool>(), who(true), time()).prop_map(|(entered, who, time)| Line::Event { entered, who, time }),
        (who(false), prop::collection::vec(who(false), 0..3), any::<bool>(), time())
            .prop_map(|(who, to, listed, time)| Line::Said { who, to: if listed { to } else { vec![] }, time }),
    ]
}

/// Quarters of a second, in either notation.
fn clock(time: u32) -> String {
    let fraction = ["", ".25", ".5", ".75"][(time % 4) as usize];
    if time.is_multiple_of(3) {
        format!("{}{fraction}", time / 4)
    } else {
        format!("1970-01-01T01:00:0{}{fraction}+01:00", time / 4)
    }
}

fn xml(lines: &[Line]) -> String {
    let mut inside = String::new();
    for line in lines {
        let clock = |time: &Option<u32>| {
            time.map(clock).map_or(String::new(), |time| format!("<DateTimeUTC>{time}</DateTimeUTC>"))
        };
        match line {
            Line::Event { entered, who, time } => {
                let tag = if *entered { "ParticipantEntered" } else { "ParticipantLeft" };
                write!(
                    inside,
                    "<{tag}>{}<User><ImId>{}</ImId><LastName>{}</LastName><CompanyName>{}</CompanyName>\
                     <EmailAddress>{}</EmailAddress></User></{tag}>",
                    clock(time),
                    IDS[who.im_id],
                    NAMES[who.name],
                    NAMES[who.company],
                    EMAILS[who.email]
                )
                .unwrap();
            }
            Line::Said { who, to, time } => {
                write!(
                    inside,
                    "<Message><ImId>{}</ImId><SenderEmail>{}</SenderEmail>",
                    IDS[who.im_id], EMAILS[who.email]
                )
                .unwrap();
                for who in to {
                    let (id, email) = (IDS[who.im_id], EMAILS[who.email]);
                    write!(inside, "<Recipient><ImId>{id}</ImId><RecipientEmail>{email}</RecipientEmail></Recipient>")
                        .unwrap();
                }
                write!(inside, "{}<Content/></Message>", clock(time)).unwrap();
            }
        }
    }
    conversation(&inside)
}

/// Everyone mentioned, in document order.
fn mentions(lines: &[Line]) -> Vec<Who> {
    lines
        .iter()
        .flat_map(|line| match line {
            Line::Event { who, .. } => vec![*who],
            Line::Said { who, to, .. } => [&[*who], &to[..]].concat(),
        })
        .filter(|who| who.key().is_some())
        .collect()
}

/// The first non-empty value that any mention of the same person gives.
fn first(lines: &[Line], who: Who, of: fn(Who) -> &'static str) -> &'static str {
    let mentions = mentions(lines);
    mentions.into_iter().filter(|other| other.key() == who.key()).map(of).find(|value| !value.is_empty()).unwrap_or("")
}

fn completed(lines: &[Line], role: Role, who: Who) -> Named {
    let or_first = |own: &'static str, of: fn(Who) -> &'static str| {
        let fill = own.is_empty() && who.im_id != 0;
        if fill { first(lines, who, of) } else { own }.to_owned()
    };
    (
        role,
        IDS[who.im_id].to_owned(),
        or_first(EMAILS[who.email], |who| EMAILS[who.email]),
        or_first(NAMES[who.name], |who| NAMES[who.name]),
        or_first(NAMES[who.company], |who| NAMES[who.company]),
    )
}

/// Contract 6, paragraph 1, for one person and one time, straight from its words.
fn is_present(lines: &[Line], key: &str, at: u32) -> bool {
    let mut events: Vec<(u32, bool)> = Vec::new();
    let mut spoke = false;
    for line in lines {
        match line {
            Line::Event { entered, who, time: Some(time) } if who.key().as_deref() == Some(key) => {
                events.push((*time, *entered));
            }
            Line::Said { who, .. } if who.key().as_deref() == Some(key) => spoke = true,
            _ => {}
        }
    }
    let mut last: Option<(u32, bool)> = None;
    for event in events.iter().filter(|event| event.0 <= at) {
        if last.is_none_or(|last| event.0 >= last.0) {
            last = Some(*event);
        }
    }
    let mut earliest: Option<(u32, bool)> = None;
    for event in &events {
        if earliest.is_none_or(|earliest| event.0 < earliest.0) {
            earliest = Some(*event);
        }
    }
    let never_entered = spoke && events.iter().all(|event| !event.1);
    last.map_or(never_entered || earliest.is_some_and(|event| !event.1), |last| last.1)
}

/// The participants of every whole message.
fn reference(lines: &[Line]) -> Vec<Vec<Named>> {
    let mut messages = Vec::new();
    for line in lines {
        let Line::Said { who, to, time: Some(time) } = line else { continue };
        let Some(sender) = who.key() else { continue };
        let mut people = vec![completed(lines, Role::Sender, *who)];
        let listed: Vec<_> = to.iter().filter(|who| who.key().is_some()).collect();
        people.extend(listed.iter().map(|who| completed(lines, Role::Recipient, **who)));
        if listed.is_empty() {
            let mut seen = BTreeSet::new();
            for other in mentions(lines) {
                let key = other.key().unwrap();
                if key != sender && seen.insert(key.clone()) && is_present(lines, &key, *time) {
                    let of = |of| first(lines, other, of).to_owned();
                    let id = IDS[other.im_id].to_owned();
                    let fields = (of(|who| EMAILS[who.email]), of(|who| NAMES[who.name]), of(|who| NAMES[who.company]));
                    people.push((Role::Present, id, fields.0, fields.1, fields.2));
                }
            }
        }
        let mut seen = BTreeSet::new();
        people.retain(|one| seen.insert((one.1.to_lowercase(), one.2.to_lowercase())));
        messages.push(people);
    }
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn participants_are_those_of_the_plain_reading(lines in prop::collection::vec(line(), 0..14)) {
        let xml = xml(&lines);
        let (survey, held) = run(&xml, Hold::default());
        let (streamed_survey, streamed) = run(&xml, TINY);
        prop_assert!(survey.large.is_empty());
        prop_assert_eq!(streamed_survey.large.len(), usize::from(!lines.is_empty() && streamed_survey.counts != Counts { conversations: 1, ..Counts::default() }));
        prop_assert_eq!(format!("{held:?}"), format!("{streamed:?}"));
        let found: Vec<Vec<Named>> = held
            .iter()
            .filter_map(|step| match step {
                Step::Item { item, .. } => Some(item.participants.iter().map(named).collect()),
                Step::Transcript(_) | Step::Rejected { .. } => None,
            })
            .collect();
        prop_assert_eq!(found, reference(&lines), "{}", xml);
    }
}
