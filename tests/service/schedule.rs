//! Ten years of days in every time zone: each calendar day has exactly one run, whatever happens to clock and machine.
//!
//! What a day's slot is, is found here another way than the program finds it: by walking along the zone's local time. Near
//! slots the clock is looked at second by second, elsewhere at random; on the way it is set back and forward, and the
//! machine is off at times.

use crate::support;

use std::collections::BTreeSet;

use icechatd::config::Schedule;
use icechatd::schedule::{self, End, Past};
use jiff::civil::{Date, Time, Weekday, date, time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};
use support::archive::cases;

/// Zones that skipped a day, changed their clocks at midnight or by half an hour, change them twice around Ramadan, moved
/// for good, or stand far out.
const NASTY: [&str; 14] = [
    "Pacific/Apia",
    "Pacific/Fakaofo",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Caracas",
    "Asia/Pyongyang",
    "Europe/Istanbul",
    "America/Scoresbysund",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
    "Europe/London",
];

/// Times around which clocks change, and one that people choose.
const TIMES: [Time; 5] =
    [time(0, 0, 0, 0), time(0, 30, 0, 0), time(2, 30, 0, 0), time(6, 30, 0, 0), time(23, 59, 0, 0)];

const FIRST: Date = date(2008, 1, 1);
const YEARS: i16 = 10;

/// A source of numbers that are the same in each run of the test.
struct Dice(u64);

impl Dice {
    /// From 0 up to, not including, `below`.
    fn roll(&mut self, below: i64) -> i64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % below
    }
}

/// The slots of ten years: of each calendar day, the first moment at which the zone's clocks show that day's `at`. Where
/// they jump over it, it is reckoned with the offset before the jump (RFC 5545 3.3.5): so the slot of a day that was skipped
/// is that of the next.
fn slots(zone: &TimeZone, at: Time) -> Vec<Timestamp> {
    let last = FIRST.checked_add(YEARS.years()).unwrap();
    let mut slots = BTreeSet::new();
    for day in FIRST.series(1.day()).take_while(|day| *day < last) {
        let wanted = day.to_datetime(at);
        // No zone is further from UTC than this.
        let around = wanted.to_zoned(TimeZone::UTC).unwrap().timestamp();
        let (mut low, high) = (around - SignedDuration::from_hours(30), around + SignedDuration::from_hours(30));
        if zone.to_offset(low) == zone.to_offset(high) {
            slots.insert(around - SignedDuration::from_secs(zone.to_offset(low).seconds().into()));
            continue;
        }
        // Clocks change nearby, if only within the day: minute by minute.
        while low < high && zone.to_datetime(low) < wanted {
            low += SignedDuration::from_mins(1);
        }
        let jumped = zone.to_datetime(low) > wanted;
        let before = SignedDuration::from_secs(zone.to_offset(low - SignedDuration::from_mins(1)).seconds().into());
        slots.insert(if jumped { around - before } else { low });
    }
    slots.into_iter().collect()
}

/// The runs that were made, as the ledger would give them.
struct Ledger {
    runs: Vec<Past>,
}

impl Ledger {
    fn since(&self, since: Timestamp) -> Vec<Past> {
        let recent = self.runs.iter().rev().take(16);
        recent.filter(|run| run.ended >= since).copied().collect()
    }

    /// Makes the run that is due at this time, if one is.
    fn look(&mut self, schedule: &Schedule, now: Timestamp) {
        let past = self.since(schedule::remembered_since(schedule, now));
        let next = schedule::next_run(schedule, now, &past, false, None).unwrap();
        assert!(next.at <= now || next.at == schedule::next_slot(schedule, now).unwrap());
        if next.at <= now {
            self.runs.push(Past { began: now, ended: now, end: End::Good });
        }
    }
}

/// The moments at which the daemon looks, around one slot: before, at and after it, and anywhere until the next. Sometimes
/// the clock is set back, over the slot or within its day; sometimes the machine is off for days.
fn looks(slot: Timestamp, next: Timestamp, dice: &mut Dice) -> Vec<Timestamp> {
    if dice.roll(40) == 0 {
        return Vec::new();
    }
    let second = SignedDuration::from_secs;
    let length = next.duration_since(slot).as_secs();
    let mut looks = vec![slot - second(1), slot, slot + second(1)];
    let anywhere: Vec<_> = (0..3).map(|_| slot + second(dice.roll(length))).collect();
    looks.extend(anywhere);
    if dice.roll(3) == 0 {
        looks.sort();
    }
    if dice.roll(10) == 0 {
        looks.push(slot - second(dice.roll(60)));
        looks.push(slot + second(dice.roll(60)));
    }
    looks.push(next - second(1));
    looks
}

/// Ten years in one zone; how many days that were.
fn ten_years(name: &str, zone: &TimeZone, at: Time) -> usize {
    let mut dice =
        Dice(name.bytes().fold(u64::from(at.minute().unsigned_abs()), |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        }));
    let schedule = Schedule {
        at,
        time_zone: zone.clone(),
        days: Weekday::Monday.cycle_forward().take(5).collect(),
        deadline: time(12, 0, 0, 0),
        holidays: BTreeSet::new(),
    };
    let slots = slots(zone, at);
    let mut ledger = Ledger { runs: Vec::new() };
    let mut seen = BTreeSet::new();
    for pair in slots.windows(2) {
        let second = SignedDuration::from_secs(1);
        assert_eq!(schedule::last_slot(&schedule, pair[1] - second), pair[0], "{name} at {at}");
        assert_eq!(schedule::last_slot(&schedule, pair[1]), pair[1], "{name} at {at}");
        let soon = pair[0] + SignedDuration::from_mins(20);
        assert_eq!(schedule::last_slot(&schedule, soon), pair[0], "{name} at {at}");
        assert_eq!(schedule::next_slot(&schedule, pair[0]), Some(pair[1]), "{name} at {at}");
        assert_eq!(schedule::next_slot(&schedule, pair[1] - second), Some(pair[1]), "{name} at {at}");
        for now in looks(pair[0], pair[1], &mut dice) {
            if let Some(slot) = slots.partition_point(|slot| *slot <= now).checked_sub(1) {
                seen.insert(slot);
                ledger.look(&schedule, now);
            }
        }
    }
    let of_slot: Vec<usize> =
        ledger.runs.iter().map(|run| slots.partition_point(|slot| *slot <= run.began) - 1).collect();
    let once: BTreeSet<usize> = of_slot.iter().copied().collect();
    assert_eq!(of_slot.len(), once.len(), "{name} at {at}: a day had two runs");
    assert_eq!(once, seen, "{name} at {at}: the daemon was there and made no run, or made one for another day");
    assert!(seen.len() > slots.len() / 10 * 9, "{name} at {at}: it looked on {} of {} days", seen.len(), slots.len());
    slots.len()
}

/// `ICECHATD_CASES` zones beside the nasty ones; from 1000 on it is every zone there is, at each of the times.
#[test]
fn each_day_has_exactly_one_run() {
    let bundled = TimeZoneDatabase::bundled();
    let all: Vec<String> = bundled.available().map(|name| name.to_string()).collect();
    assert!(all.len() > 400, "{}", all.len());
    let wanted = usize::try_from(cases(4)).unwrap();
    let step = (all.len() / wanted).max(1);
    let zones: BTreeSet<&str> =
        NASTY.into_iter().chain(all.iter().step_by(step).take(wanted).map(String::as_str)).collect();
    let mut days = 0;
    for (number, name) in zones.iter().enumerate() {
        let zone = bundled.get(name).unwrap();
        let times = if wanted >= 1000 { TIMES.to_vec() } else { vec![TIMES[number % TIMES.len()]] };
        days += times.into_iter().map(|at| ten_years(name, &zone, at)).sum::<usize>();
    }
    println!("{} zones, {days} days", zones.len());
}

/// There, until 2011, a minute after midnight clocks went back to the day before: that day's slot has been, and is once.
#[test]
fn a_clock_change_over_midnight_makes_one_day_of_one() {
    let zone = TimeZoneDatabase::bundled().get("America/St_Johns").unwrap();
    ten_years("America/St_Johns", &zone, time(0, 0, 0, 0));
}

/// Days that a zone had twice or not at all are seen: the walk above is no copy of what it checks.
#[test]
fn a_skipped_day_has_no_run_of_its_own() {
    let apia = TimeZoneDatabase::bundled().get("Pacific/Apia").unwrap();
    let london = TimeZoneDatabase::bundled().get("Europe/London").unwrap();
    let count = |zone: &TimeZone| slots(zone, time(0, 0, 0, 0)).len();
    assert_eq!(count(&london), 3653);
    assert_eq!(count(&apia), 3652, "Samoa had no 30 December 2011");
}
