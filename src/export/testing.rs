//! What the tests of this room share: inputs cut into reads of any size, and everything a reader says of one.

use std::io::{self, Read};

use super::profile::Profile;
use super::reader::{ReadLimits, Reader, Step, Summary};
use super::{ItemRecord, Record, RejectedRecord};

pub(super) const LIMITS: ReadLimits =
    ReadLimits { max_message: 1 << 20, max_attachment: 1 << 20, max_participants: 10_000 };

pub(super) const SAMPLE: &str = include_str!("../../tests/fixtures/samples/icechat.xml");

pub(super) fn icechat() -> Profile {
    Profile::builtin("icechat").unwrap()
}

/// Gives out at most `size` bytes a read.
pub(super) struct Cut<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) size: usize,
}

impl Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.size.min(into.len());
        self.bytes.read(&mut into[..size])
    }
}

/// Everything a reader says: its steps, and how it ends.
pub(super) fn read(xml: &[u8], limits: ReadLimits, size: usize) -> (Vec<Step>, Result<Summary, String>) {
    read_by(&icechat(), xml, limits, size)
}

/// As [`read`], by another profile.
pub(super) fn read_by(
    profile: &Profile,
    xml: &[u8],
    limits: ReadLimits,
    size: usize,
) -> (Vec<Step>, Result<Summary, String>) {
    let mut reader = Reader::new(profile, limits, Cut { bytes: xml, size });
    let mut steps = Vec::new();
    loop {
        match reader.step() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => return (steps, Ok(reader.finish())),
            Err(error) => return (steps, Err(error.to_string())),
        }
    }
}

pub(super) fn whole(xml: &str) -> (Vec<Step>, Summary) {
    let (steps, end) = read(xml.as_bytes(), LIMITS, usize::MAX);
    (steps, end.unwrap())
}

/// The document around one conversation's inside.
pub(super) fn conversation(inside: &str) -> String {
    format!("<IceChatExport><Conversation><RoomID>R</RoomID>{inside}</Conversation></IceChatExport>")
}

/// The records of an export that the profile reads whole.
pub(super) fn records(profile: &Profile, xml: &str) -> (Vec<Record>, Summary) {
    let (steps, end) = read_by(profile, xml.as_bytes(), LIMITS, usize::MAX);
    let record = |step| match step {
        Step::Record { record, .. } => Some(record),
        Step::Begin | Step::End(_) => None,
    };
    (steps.into_iter().filter_map(record).collect(), end.unwrap())
}

/// The only record of a conversation with this inside.
pub(super) fn only(inside: &str) -> Record {
    let (steps, _) = whole(&conversation(inside));
    let mut records = steps.into_iter().filter_map(|step| match step {
        Step::Record { record, .. } => Some(record),
        Step::Begin | Step::End(_) => None,
    });
    let record = records.next().unwrap();
    assert!(records.next().is_none(), "more than one record");
    record
}

pub(super) fn item(inside: &str) -> ItemRecord {
    match only(inside) {
        Record::Item(item) => item,
        other => panic!("no item: {other:?}"),
    }
}

pub(super) fn rejected(inside: &str) -> RejectedRecord {
    match only(inside) {
        Record::Rejected(rejected) => rejected,
        other => panic!("not rejected: {other:?}"),
    }
}
