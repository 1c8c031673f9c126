//! Exchange's own threading (MS-OXOMSG 2.2.1.2 and 2.2.1.3): all items of a room's day are one conversation.

use data_encoding::BASE64;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::digest::{ItemId, Sha256};

/// Seconds from 1601-01-01, when FILETIME begins, to 1970-01-01.
const FILETIME_EPOCH: i128 = 11_644_473_600;

/// The `Thread-Index`: a header of 22 bytes that is the room's day's, and a block of five that is the item's.
pub(super) fn index(room_day: Sha256, day: Date, time: Timestamp, id: ItemId) -> String {
    let begins = day.to_zoned(TimeZone::UTC).map_or(time, |begins| begins.timestamp());
    let mut bytes = Vec::with_capacity(27);
    bytes.push(1);
    let begins = filetime(begins).to_be_bytes();
    bytes.extend(&begins[..5]);
    bytes.extend(&room_day.0[..16]);
    // What the header left out of its time counts as zero.
    let mut header = [0; 8];
    header[..5].copy_from_slice(&begins[..5]);
    let since = filetime(time).saturating_sub(u64::from_be_bytes(header));
    // Delta code 0: without the 18 lowest bits, a day needs 22 bits.
    let delta = u32::try_from(since >> 18).unwrap_or(u32::MAX) & 0x7fff_ffff;
    bytes.extend(delta.to_be_bytes());
    // In place of the random number and the level: what tells items of the same moment apart.
    bytes.push(id.0[0]);
    BASE64.encode(&bytes)
}

/// Tenths of a microsecond since 1601; what was before counts as that.
fn filetime(time: Timestamp) -> u64 {
    let tenths = time.as_nanosecond().div_euclid(100) + FILETIME_EPOCH * 10_000_000;
    u64::try_from(tenths.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_what_the_specification_says() {
        let id = ItemId([7; 16]);
        let day = jiff::civil::date(2026, 11, 19);
        let time = "2026-11-19T13:01:00Z".parse().unwrap();
        let bytes = BASE64.decode(index(Sha256([9; 32]), day, time, id).as_bytes()).unwrap();
        assert_eq!(bytes.len(), 27);
        assert_eq!(bytes[0], 1);
        let mut begins = [0; 8];
        begins[..5].copy_from_slice(&bytes[1..6]);
        let seconds = u64::from_be_bytes(begins) / 10_000_000;
        // 2026-11-19T00:00:00Z, known from `date -u +%s`, within what 24 bits of a FILETIME are.
        assert!((1_795_046_400 + 11_644_473_600 - 2..=1_795_046_400 + 11_644_473_600).contains(&seconds), "{seconds}");
        let delta = u64::from(u32::from_be_bytes(bytes[22..26].try_into().unwrap())) << 18;
        let since = u64::from_be_bytes(begins) + delta;
        let said = (1_795_046_400 + 11_644_473_600 + 13 * 3600 + 60) * 10_000_000;
        assert!((said - (1 << 18)..=said).contains(&since), "{since} {said}");
        assert_eq!(&bytes[6..22], [9; 16]);
        // Times that no FILETIME has are no reason to fail.
        index(Sha256([9; 32]), Date::MIN, Timestamp::MIN, id);
        index(Sha256([9; 32]), Date::MAX, Timestamp::MAX, id);
    }
}
