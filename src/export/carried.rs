//! Who is in a room before the first word of an export: in a standing room, members who came weeks ago and say nothing are
//! named by no export since (`presence = "carry"`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Person;

/// Who is there when a conversation begins, by the conversation's number in the export, from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried(pub BTreeMap<u64, Vec<Person>>);

impl Carried {
    /// Those in a conversation.
    pub fn of(&self, conversation: u64) -> &[Person] {
        self.0.get(&conversation).map_or(&[], Vec::as_slice)
    }
}

/// Who knows it.
#[derive(Clone, Copy)]
pub enum Before<'a> {
    /// Nobody: each export says for itself who is there.
    Nobody,
    /// Asked who was in a room at its last conversation's end, if that was before this time.
    Ask(&'a dyn Fn(&str, Timestamp) -> Vec<Person>),
    /// What was answered when the export was taken in.
    Recorded(&'a Carried),
}

/// Who is in a room when its last conversation of an export ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// The time of the last record that has one.
    pub until: Timestamp,
    /// In order of first appearance.
    pub people: Vec<Arc<Person>>,
}

/// What the first pass learned of it.
#[derive(Debug, Default)]
pub struct Presence {
    /// Who was there already.
    pub carried: Carried,
    /// Who is there at the end, by the room's id.
    pub staying: BTreeMap<Box<str>, Staying>,
}

impl Presence {
    /// Who is there when a conversation of this room begins. Of two conversations in one export, the later begins with
    /// those with whom the earlier ended.
    pub(super) fn begin(
        &mut self,
        before: Before<'_>,
        number: u64,
        room: Option<&str>,
        begins: Option<Timestamp>,
    ) -> Vec<Person> {
        let people = match (before, room, begins) {
            (Before::Recorded(carried), ..) => carried.of(number).to_vec(),
            (Before::Ask(ask), Some(room), Some(begins)) => match self.staying.get(room) {
                Some(earlier) if earlier.until < begins => {
                    earlier.people.iter().map(|person| Person::clone(person)).collect()
                }
                Some(_) => Vec::new(),
                None => ask(room, begins),
            },
            _ => Vec::new(),
        };
        if !people.is_empty() {
            self.carried.0.insert(number, people.clone());
        }
        people
    }

    /// Notes who is there when a conversation ends.
    pub(super) fn end(&mut self, room: Option<&str>, until: Option<Timestamp>, people: Vec<Arc<Person>>) {
        let (Some(room), Some(until)) = (room, until) else { return };
        if self.staying.get(room).is_none_or(|earlier| earlier.until <= until) {
            self.staying.insert(room.into(), Staying { until, people });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::export::ImId;
    use crate::export::passes::{Grouping, Hold, Step, Survey, Turn, items, survey_after};
    use crate::export::testing::{LIMITS, icechat};

    fn person(id: &str) -> Person {
        Person { im_id: ImId::new(id), ..Person::default() }
    }

    fn names<'a>(people: impl IntoIterator<Item = &'a Person>) -> Vec<&'a str> {
        people.into_iter().map(|person| person.im_id.as_ref().unwrap().as_str()).collect()
    }

    fn record(kind: &str, who: &str, time: u32) -> String {
        let time = format!("<DateTimeUTC>{time}</DateTimeUTC>");
        match kind {
            "Message" => format!("<Message><ImId>{who}</ImId>{time}<Content>x</Content></Message>"),
            kind => format!("<Participant{kind}><User><ImId>{who}</ImId></User>{time}</Participant{kind}>"),
        }
    }

    fn conversation(room: &str, records: &[(&str, &str, u32)]) -> String {
        let records: String = records.iter().map(|(kind, who, time)| record(kind, who, *time)).collect();
        format!("<Conversation><RoomID>{room}</RoomID>{records}</Conversation>")
    }

    fn surveyed(before: Before<'_>, hold: Hold, xml: &str) -> Survey {
        survey_after(before, &icechat(), LIMITS, hold, &Grouping::default(), &[], xml.as_bytes()).unwrap()
    }

    /// Whom each item concerns.
    fn concerned(survey: &Survey, xml: &str) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        let mut take = |step| -> Result<(), Infallible> {
            if let Step::Item { item, .. } = step {
                let people = item.participants.iter().map(|participant| &*participant.person);
                all.push(names(people).into_iter().map(str::to_owned).collect());
            }
            Ok(())
        };
        items(&icechat(), LIMITS, survey, &Grouping::default(), Turn::ALL, xml.as_bytes(), &mut take).unwrap();
        all
    }

    #[test]
    fn a_room_begins_with_those_with_whom_it_ended() {
        let xml = [
            conversation("A", &[("Message", "amy", 1000), ("Entered", "ben", 1001), ("Left", "old", 1002)]),
            conversation("B", &[("Message", "amy", 1000)]),
            conversation("A", &[("Message", "amy", 2000), ("Left", "ben", 2001)]),
            // It begins before the one above ended: nobody can say who was there.
            conversation("A", &[("Message", "dee", 1500)]),
            conversation("", &[("Message", "amy", 3000)]),
        ];
        let xml = format!("<IceChatExport>{}</IceChatExport>", xml.concat());
        let ask = |room: &str, begins: Timestamp| {
            assert_eq!(begins.as_second(), 1000, "asked once for each room, at its beginning");
            if room == "A" { vec![person("old"), person("Cho")] } else { Vec::new() }
        };
        let expected: [&[&str]; 5] = [&["amy", "old", "Cho"], &["amy"], &["amy", "ben", "Cho"], &["dee"], &["amy"]];
        let tiny = Hold { bytes: 1, records: 0 };
        for hold in [Hold::default(), tiny] {
            let asked = surveyed(Before::Ask(&ask), hold, &xml);
            let found = concerned(&asked, &xml);
            assert_eq!(found, expected);
            assert_eq!(names(asked.presence.staying["A"].people.iter().map(|person| &**person)), ["amy", "Cho"]);
            assert_eq!(asked.presence.staying["A"].until.as_second(), 2001);
            // What was answered is all that a later pass needs, however it holds conversations.
            for hold in [Hold::default(), tiny] {
                let again = surveyed(Before::Recorded(&asked.presence.carried), hold, &xml);
                assert_eq!(concerned(&again, &xml), expected);
                assert_eq!(again.presence.staying, asked.presence.staying);
                assert_eq!(again.presence.carried, asked.presence.carried);
            }
            let nobody = surveyed(Before::Nobody, hold, &xml);
            assert_eq!(concerned(&nobody, &xml)[0], ["amy", "old"]);
            assert!(nobody.presence.staying.is_empty() && nobody.presence.carried.0.is_empty());
        }
    }
}
