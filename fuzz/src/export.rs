//! Any bytes as an export. Both passes agree on how much there is, for messages and for transcripts, whether a conversation is
//! held in memory or streamed; and neither lint nor the proposal of a profile comes to harm.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use icechatd::eml;
use icechatd::export::infer::infer;
use icechatd::export::lint::lint;
use icechatd::export::passes::{ByDay, Grouping, Hold, Step, Survey, Turn, items, survey};
use icechatd::export::profile::{Profile, builtin_names};
use icechatd::export::reader::ReadLimits;
use jiff::tz::TimeZone;

/// So small that they can be reached.
const LIMITS: ReadLimits = ReadLimits { max_message: 1024, max_attachment: 48, max_participants: 12 };
const TINY: Hold = Hold { bytes: 200, records: 2 };

/// # Panics
/// Where one of these is not so.
pub fn target(bytes: &[u8]) {
    for name in builtin_names() {
        let profile = Profile::builtin(name).expect("built in");
        // What lint says of such bytes is the export's own matter; only that it says something.
        let _ = lint(&profile, LIMITS, bytes);
        for events in [false, true] {
            for by_day in [None, Some(by_day())] {
                both_holds(&profile, &Grouping { by_day, events }, bytes);
            }
        }
    }
    if let Ok(proposal) = infer("fuzz", Some("f.20261119.xml"), bytes) {
        Profile::parse("fuzz", &proposal.text).expect("what is proposed is a profile");
    }
}

fn by_day() -> ByDay {
    ByDay {
        zone: TimeZone::UTC,
        max_size: 4096,
        words: true,
        measure: eml::measure,
        attached: Arc::default(),
        frame: eml::frame,
    }
}

fn both_holds(profile: &Profile, grouping: &Grouping, bytes: &[u8]) {
    let held = both_passes(profile, grouping, Hold::default(), bytes);
    let streamed = both_passes(profile, grouping, TINY, bytes);
    assert_eq!(held.is_some(), streamed.is_some(), "held whole by one only");
    if grouping.by_day.is_none() {
        assert_eq!(held, streamed, "streamed in another way than held");
    }
}

/// What comes of an export, or none where it is held.
fn both_passes(profile: &Profile, grouping: &Grouping, hold: Hold, bytes: &[u8]) -> Option<Vec<String>> {
    let survey = survey(profile, LIMITS, hold, grouping, &[], bytes).ok()?;
    let mut steps = Vec::new();
    let mut sink = |step| -> Result<(), Infallible> {
        steps.push(step);
        Ok(())
    };
    let counts = items(profile, LIMITS, &survey, grouping, Turn::ALL, bytes, &mut sink).expect("it was surveyed");
    assert_eq!(counts, survey.counts, "the passes count differently");
    count(&survey, grouping, &steps);
    Some(steps.iter().map(|step| format!("{step:?}")).collect())
}

/// Every record that takes a place comes out in one place, as what it was counted as.
fn count(survey: &Survey, grouping: &Grouping, steps: &[Step]) {
    let mut places = BTreeSet::new();
    let (mut items, mut rejected, mut lines) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Item { ordinal, item } => {
                items += 1;
                assert!(places.insert(*ordinal) && !item.participants.is_empty());
            }
            Step::Rejected { ordinal, record } => {
                rejected += 1;
                assert!(places.insert(*ordinal) && !record.reason.is_empty());
            }
            Step::Transcript(transcript) => lines += transcript.lines.len() as u64,
        }
    }
    assert_eq!(rejected, survey.counts.rejected);
    match grouping.by_day {
        None => assert_eq!((items, lines), (survey.counts.records(), 0)),
        Some(_) => assert!(items == 0 && lines >= survey.counts.records(), "{lines} {:?}", survey.counts),
    }
}
