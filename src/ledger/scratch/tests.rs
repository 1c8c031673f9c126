//! What the working tables say of items and keys is what looking everywhere would say.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn arrival(time: i64, id: u8, participants: u8, key: Option<u64>) -> Arrival {
    Arrival { time, id: ItemId([id; 16]), ordinal: 0, participants: [participants; 16], message_key: key }
}

/// Days are few, so that neighbours are common, and one is far from all others.
fn day() -> impl Strategy<Value = i64> {
    prop_oneof![9 => 0..6_i64, 1 => Just(100_i64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_key_is_taken_on_its_day_and_those_beside_it(
        committed in prop::collection::btree_set((day(), 0..4_u64), 0..6),
        exports in prop::collection::vec(prop::collection::vec((day(), 0..4_u64), 0..12), 1..4),
        dry in any::<bool>(),
    ) {
        let ledger = Ledger::none().unwrap();
        for (day, key) in &committed {
            ledger.connection.execute("INSERT INTO message_keys VALUES (?1, ?2)", params![day, key]).unwrap();
        }
        let scratch = ledger.scratch_aside().unwrap();
        let mut noted = BTreeSet::new();
        for export in exports {
            scratch.begin_pass().unwrap();
            for (day, key) in export {
                let near = |known: &BTreeSet<(i64, u64)>| (day - 1..=day + 1).any(|day| known.contains(&(day, key)));
                let taken = near(&committed) || near(&noted);
                prop_assert_eq!(scratch.take_key(day * 86_400 + 7, key).unwrap(), taken, "{} on day {}", key, day);
                noted.insert((day, key));
            }
            if dry {
                scratch.next_of_dry_run().unwrap();
            } else {
                scratch.clear().unwrap();
                noted.clear();
            }
        }
    }

    #[test]
    fn an_item_is_new_once(
        committed in prop::collection::btree_map((0..6_i64, 0..3_u8), 0..2_u8, 0..6),
        arrivals in prop::collection::vec((0..9_i64, 0..3_u8, 0..2_u8), 0..24),
    ) {
        let ledger = Ledger::none().unwrap();
        for ((time, id), participants) in &committed {
            let row = params![time, [*id; 16], [*participants; 16]];
            let sql = "INSERT INTO items (time, id, file, ordinal, held, participants) VALUES (?1, ?2, 1, 0, 0, ?3)";
            ledger.connection.execute(sql, row).unwrap();
        }
        let scratch = ledger.scratch_aside().unwrap();
        scratch.begin_pass().unwrap();
        let mut known: BTreeMap<(i64, u8), BTreeSet<u8>> = BTreeMap::new();
        for (&item, &participants) in &committed {
            known.entry(item).or_default().insert(participants);
        }
        for (time, id, participants) in arrivals {
            let expected = match known.get(&(time, id)) {
                None => Verdict::New { changed: 0 },
                Some(namings) => Verdict::Duplicate { naming: !namings.contains(&participants) },
            };
            prop_assert_eq!(scratch.admit(&arrival(time, id, participants, None)).unwrap(), expected);
            known.entry((time, id)).or_default().insert(participants);
        }
    }
}
