//! Items that several exports carry, and people that several name: each gets one copy, whatever comes when, and the
//! books and the evidence say so (contract 6 and 7).

use crate::support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use icechatd::held::Held;
use icechatd::ledger::Ledger;
use icechatd::mailbox::Mailbox;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runner, TestRunner};
use serde_json::Value;
use support::archive::{Archive, cases};
use support::firm::{Firm, Settings, body, export, file, message, staged};

const AMY: &str = "amy@contoso.com";
const JOE: &str = "joe@contoso.com";
const WEI: &str = "wei@contoso.com";
const DORA: &str = "dora@contoso.com";
const NILS: &str = "nils@northern.example";
const OLA: &str = "ola@northern.example";

/// A message whose people have `ImId`s that are their e-mails, so that a mapping can name the outsiders.
fn said(id: &str, from: &str, to: &[&str], text: &str) -> String {
    let named = |email: &str| format!("<ImId>{email}</ImId>");
    let recipient = |to: &&str| format!("<Recipient>{}<RecipientEmail>{to}</RecipientEmail></Recipient>", named(to));
    let recipients = to.iter().map(recipient).collect::<Vec<_>>().concat();
    let id = if id.is_empty() { String::new() } else { format!("<MessageID>{id}</MessageID>") };
    format!(
        "<Message>{id}{}<SenderEmail>{from}</SenderEmail>{recipients}<DateTimeUTC>2026-11-19T13:00:00Z</DateTimeUTC>\
         <Content>{text}</Content></Message>",
        named(from)
    )
}

fn deliver(firm: &Firm, name: &str, to: &[&str]) {
    firm.deliver_export(name, &export(&said("m-1", NILS, to, "hello")));
}

fn mailboxes(firm: &Firm) -> BTreeSet<String> {
    firm.staged().into_keys().map(|(mailbox, _)| mailbox).collect()
}

fn set(mailboxes: &[&str]) -> BTreeSet<String> {
    mailboxes.iter().map(|mailbox| (*mailbox).to_owned()).collect()
}

fn items(report: &Value) -> [u64; 4] {
    ["available", "staged", "held", "duplicate"].map(|key| report["items"][key].as_u64().unwrap())
}

#[test]
fn a_third_export_that_names_others_again() {
    let firm = Firm::new();
    deliver(&firm, "1.pgp", &[AMY]);
    assert_eq!(items(&firm.ingest(0)), [1, 1, 0, 0]);
    deliver(&firm, "2.pgp", &[AMY, JOE]);
    assert_eq!(firm.ingest(0)["placements"]["staged"], 1);
    deliver(&firm, "3.pgp", &[WEI, JOE, AMY]);
    let report = firm.ingest(0);
    assert_eq!((items(&report), &report["placements"]["staged"]), ([1, 0, 0, 1], &1.into()));
    deliver(&firm, "4.pgp", &[JOE, WEI]);
    assert_eq!(firm.ingest(0)["placements"]["staged"], 0);
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI]));
    // The file that first named somebody gives that person's copy, and no other one does.
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},{DORA}\n{JOE},{AMY}\n"));
    let report = firm.replay(0);
    assert_eq!(report["placements"]["staged"], 1);
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI, DORA]));
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_held_item_that_a_reissue_releases() {
    let firm = Firm::new();
    deliver(&firm, "1.pgp", &[OLA]);
    assert_eq!(items(&firm.ingest(3)), [1, 0, 1, 0]);
    assert_eq!(firm.run(&["report", "--json"]).expect(0).json()["outcome"], "attention");
    deliver(&firm, "2.pgp", &[OLA, AMY]);
    let report = firm.ingest(0);
    assert_eq!((items(&report), &report["placements"]["staged"]), ([1, 0, 0, 1], &1.into()));
    assert_eq!(report["needs"]["held_items"], 0);
    assert_eq!(mailboxes(&firm), set(&[AMY]));
    firm.run(&["verify"]).expect(0);
    firm.ingest(0);
    assert_eq!(items(&firm.replay(0)), [0, 0, 0, 0]);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_mailbox_that_a_reissue_gave_is_not_given_again() {
    let firm = Firm::new();
    deliver(&firm, "1.pgp", &[OLA]);
    firm.ingest(3);
    deliver(&firm, "2.pgp", &[AMY]);
    firm.ingest(0);
    // An importer has taken it meanwhile: nothing but the evidence says that Amy has it.
    fs::remove_dir_all(firm.path("staging").join(AMY)).unwrap();
    firm.map("new.csv", &format!("ImId,Mailbox\n{OLA},{AMY}\n{NILS},{JOE}\n"));
    let report = firm.replay(0);
    assert_eq!(report["placements"]["staged"], 1, "{report:#}");
    assert_eq!(mailboxes(&firm), set(&[JOE]));
    firm.run(&["verify"]).expect(0);
}

#[test]
fn duplicates_within_one_export_name_others() {
    let firm = Firm::new();
    let records = [&[OLA][..], &[OLA, AMY], &[JOE]].map(|to| said("m-1", NILS, to, "hello")).concat();
    firm.deliver_export("1.pgp", &export(&records));
    let report = firm.ingest(0);
    assert_eq!((items(&report), &report["placements"]["staged"]), ([3, 1, 0, 2], &2.into()));
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE]));
    firm.run(&["verify"]).expect(0);
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},{JOE}\n{OLA},{WEI}\n"));
    assert_eq!(firm.replay(0)["placements"]["staged"], 1);
    assert_eq!(mailboxes(&firm), set(&[AMY, JOE, WEI]));
    firm.run(&["verify"]).expect(0);
}

/// The item is held until a replay finds a mailbox for somebody whom only its second naming has.
#[test]
fn a_duplicate_within_one_export_releases_a_held_item_in_a_replay() {
    let firm = Firm::new();
    let records = [&[OLA][..], &["otto@northern.example"]].map(|to| said("m-1", NILS, to, "hello")).concat();
    firm.deliver_export("1.pgp", &export(&records));
    assert_eq!(items(&firm.ingest(3)), [2, 0, 1, 1]);
    firm.map("new.csv", &format!("ImId,Mailbox\notto@northern.example,{JOE}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), &report["placements"]["staged"]), ([1, 1, 0, 0], &1.into()));
    assert_eq!(mailboxes(&firm), set(&[JOE]));
    firm.run(&["verify"]).expect(0);
}

/// A record that was too large comes before the held item that it repeats: once it can be read, and again whenever the
/// export is opened.
#[test]
fn a_duplicate_that_is_let_in_before_its_held_item() {
    let limited =
        |bytes: &str| Settings { more: format!("[limits]\nmax_message = \"{bytes}\"\n"), ..Settings::default() };
    let firm = Firm::with(&limited("4KiB"));
    let many: Vec<String> = (0..60).map(|n| format!("otto{n}@northern.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    firm.deliver_export("1.pgp", &export(&[&many[..], &[OLA]].map(|to| said("m-1", NILS, to, "hello")).concat()));
    let report = firm.ingest(3);
    assert_eq!((items(&report), &report["items"]["rejected"]), ([2, 0, 1, 0], &1.into()));
    firm.configure(&limited("1MiB"));
    assert_eq!(items(&firm.replay(3)), [2, 0, 1, 1]);
    firm.map("new.csv", &format!("ImId,Mailbox\notto7@northern.example,{JOE}\n"));
    let report = firm.replay(0);
    assert_eq!((items(&report), &report["placements"]["staged"]), ([1, 1, 0, 0], &1.into()));
    assert_eq!(mailboxes(&firm), set(&[JOE]));
    firm.run(&["verify"]).expect(0);
}

/// Retention took the first export's original: whom it named is no longer known, but who has the item is.
#[test]
fn where_the_original_is_gone_the_manifests_decide() {
    let firm = Firm::new();
    deliver(&firm, "1.pgp", &[AMY]);
    let report = firm.ingest(0);
    let digest = report["files"][0]["sha256"].as_str().unwrap();
    fs::remove_file(firm.path(&format!("state/originals/{digest}.pgp"))).unwrap();
    firm.rewrite_ledger("UPDATE files SET original_removed = 1");
    fs::remove_dir_all(firm.path("staging").join(AMY)).unwrap();
    deliver(&firm, "2.pgp", &[AMY, JOE]);
    let report = firm.ingest(0);
    assert_eq!(report["placements"]["staged"], 1);
    assert_eq!(mailboxes(&firm), set(&[JOE]));
    firm.map("new.csv", &format!("ImId,Mailbox\n{NILS},{WEI}\n"));
    assert_eq!(firm.replay(0)["placements"]["staged"], 1, "by the second, the first cannot be opened");
    assert_eq!(mailboxes(&firm), set(&[JOE, WEI]));
    firm.run(&["verify"]).expect(0);
}

/// A damaged original is one export's trouble, and is named.
#[test]
fn a_damaged_original_is_named_and_keeps_no_other() {
    let firm = Firm::new();
    deliver(&firm, "1.pgp", &[OLA]);
    firm.deliver_export("2.pgp", &export(&said("m-2", OLA, &[NILS], "other")));
    let report = firm.ingest(3);
    let digest = file(&report, "1.pgp")["sha256"].as_str().unwrap();
    let original = firm.path(&format!("state/originals/{digest}.pgp"));
    let mut bytes = fs::read(&original).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(&original).unwrap();
    fs::write(&original, bytes).unwrap();
    firm.map("new.csv", &format!("ImId,Mailbox\n{OLA},{AMY}\n"));
    let said = firm.run(&["replay", "--json"]).expect(3);
    assert!(said.err.contains("1.pgp") && said.err.contains("not what was committed"), "{}", said.err);
    assert_eq!(said.json()["items"]["staged"], 1);
    let faults = firm.run(&["verify"]).expect(1);
    assert!(faults.out.contains("1.pgp") || faults.err.contains("1.pgp"), "{faults:?}");
}

const PEOPLE: usize = 6;
const ROOM: usize = 4;

/// What the mapping says of a person: nothing, nobody of ours, or one of four mailboxes.
type Mapped = Option<Option<usize>>;

/// Of each person.
type Mapping = Vec<Mapped>;

/// An item, and a person whom it names.
type Named = (usize, usize);

/// What may happen.
#[derive(Debug, Clone)]
enum Op {
    Map(Vec<Mapped>),
    /// Each export a list of messages, each with whom it names.
    Ingest(Vec<Vec<(usize, BTreeSet<usize>)>>),
    Replay,
    /// An importer takes everything away.
    Import,
    /// Another catch-all and journal.
    Beside(Option<usize>, Option<usize>),
    /// A person dismisses one of the held items, if there is one.
    Dismiss(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let mapped = prop_oneof![3 => Just(None), 1 => Just(Some(None)), 3 => (0..4_usize).prop_map(|to| Some(Some(to)))];
    let named = (0..ROOM, prop::collection::btree_set(0..PEOPLE, 1..4));
    let export = prop::collection::vec(named, 1..5);
    prop_oneof![
        2 => prop::collection::vec(mapped, PEOPLE).prop_map(Op::Map),
        3 => prop::collection::vec(export, 1..3).prop_map(Op::Ingest),
        2 => Just(Op::Replay),
        2 => Just(Op::Import),
        2 => (beside(), beside()).prop_map(|(catch_all, journal)| Op::Beside(catch_all, journal)),
        2 => (0..ROOM).prop_map(Op::Dismiss),
    ]
}

/// Somebody's mailbox may be named too.
fn beside() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.8, 0..4_usize)
}

fn address(mailbox: usize) -> String {
    format!("box{mailbox}@contoso.com")
}

/// Person 0 has an e-mail of ours, 1 one that is malformed, 2 and 3 foreign ones, 4 and 5 none.
fn email(person: usize) -> Option<&'static str> {
    [Some("zero@contoso.com"), Some("one two@contoso.com"), Some(NILS), Some(OLA), None, None][person]
}

fn xml(named: &[(usize, BTreeSet<usize>)]) -> String {
    let person = |n: usize, tag: &str| {
        let email = email(n).map_or(String::new(), |email| format!("<{tag}>{email}</{tag}>"));
        format!("<ImId>p{n}</ImId>{email}")
    };
    let records = named.iter().map(|(item, people)| {
        let recipient = |n: &usize| format!("<Recipient>{}</Recipient>", person(*n, "RecipientEmail"));
        let to = people.iter().map(recipient).collect::<Vec<_>>().concat();
        format!(
            "<Message><MessageID>{item}</MessageID>{}{to}<DateTimeUTC>2026-11-19T13:00:0{item}Z</DateTimeUTC><Content>\
             item {item}</Content></Message>",
            person(item % PEOPLE, "SenderEmail")
        )
    });
    export(&records.collect::<String>())
}

/// The slow, plain truth: who was first named by which export, and which rules were applied to each.
#[derive(Default)]
struct Truth {
    mapping: Mapping,
    catch_all: Option<usize>,
    journal: Option<usize>,
    /// Of each export: the mappings applied to it, and the people it was the first to name, each for an item.
    exports: Vec<(Vec<Mapping>, Vec<Named>)>,
    named: BTreeSet<Named>,
    /// In somebody's own mailbox.
    given: BTreeSet<(usize, String)>,
    /// Those, and the catch-all's and the journal's.
    placed: BTreeSet<(usize, String)>,
    /// Of those, what an importer took: it must not appear again.
    taken: BTreeSet<(usize, String)>,
    dismissed: BTreeSet<usize>,
    /// Whom a dismissed item named when it was dismissed; whoever is named later is a matter of its own.
    decided: BTreeSet<Named>,
}

impl Truth {
    fn resolve(mapping: &[Mapped], person: usize) -> Option<String> {
        match mapping.get(person).copied().flatten() {
            Some(Some(mailbox)) => Some(address(mailbox)),
            _ => (person == 0).then(|| "zero@contoso.com".to_owned()),
        }
    }

    fn ingest(&mut self, named: &[(usize, BTreeSet<usize>)]) {
        let mut own = Vec::new();
        for (item, people) in named {
            let people: Vec<_> = std::iter::once(item % PEOPLE).chain(people.iter().copied()).collect();
            if self.named.iter().all(|(known, _)| known != item) {
                let is_placed = people.iter().any(|person| Self::resolve(&self.mapping, *person).is_some());
                let beside = self.journal.into_iter().chain(self.catch_all.filter(|_| !is_placed));
                self.placed.extend(beside.map(|mailbox| (*item, address(mailbox))));
            }
            own.extend(people.iter().map(|person| (*item, *person)).filter(|pair| self.named.insert(*pair)));
        }
        self.exports.push((vec![self.mapping.clone()], own));
        self.place();
    }

    fn replay(&mut self) {
        for (mappings, _) in &mut self.exports {
            mappings.push(self.mapping.clone());
        }
        self.place();
    }

    fn place(&mut self) {
        for (mappings, own) in &self.exports {
            for (item, person) in own {
                let found = mappings.iter().find_map(|mapping| Self::resolve(mapping, *person));
                self.given.extend(found.map(|mailbox| (*item, mailbox)));
            }
        }
        self.placed.extend(self.given.iter().cloned());
    }

    fn held(&self) -> BTreeSet<usize> {
        let given: BTreeSet<_> = self.given.iter().map(|(item, _)| *item).collect();
        self.named.iter().map(|(item, _)| *item).filter(|item| !given.contains(item)).collect()
    }

    fn asking(&self) -> Vec<usize> {
        self.held().difference(&self.dismissed).copied().collect()
    }

    /// Ours, and without a mailbox for an item about which nobody decided. Persons 2 and 3 have foreign e-mails.
    fn unresolved(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for (mappings, own) in &self.exports {
            for (_, person) in own.iter().filter(|named| !self.decided.contains(named)) {
                let newest = mappings.last().unwrap().get(*person).copied().flatten();
                let external = newest == Some(None) || [2, 3].contains(person);
                if mappings.iter().all(|mapping| Self::resolve(mapping, *person).is_none()) && !external {
                    found.insert(*person);
                }
            }
        }
        found
    }

    /// The newest item that each mailbox has as somebody's own.
    fn captured(&self) -> BTreeMap<String, usize> {
        let mut last = BTreeMap::new();
        for (item, mailbox) in &self.given {
            last.insert(mailbox.clone(), *item);
        }
        last
    }

    /// Of each person the first and last item that names them.
    fn seen(&self) -> BTreeMap<String, (usize, usize)> {
        let mut seen = BTreeMap::new();
        for (item, person) in &self.named {
            seen.entry(format!("p{person}")).and_modify(|(_, last)| *last = *item).or_insert((*item, *item));
        }
        seen
    }
}

fn second(time: jiff::Timestamp) -> usize {
    usize::try_from(time.as_second() % 60).unwrap()
}

/// What the ledger says beside the books is what the truth says.
fn check_ledger(archive: &Archive, truth: &Truth, op: &Op) -> Result<(), TestCaseError> {
    let Some(ledger) = Ledger::read(&archive.config.state.directory).unwrap() else { return Ok(()) };
    let state = ledger.state_now().unwrap();
    prop_assert_eq!(state.held_items, truth.asking().len() as u64, "after {:?}", op);
    prop_assert_eq!(state.unresolved, truth.unresolved().len() as u64, "after {:?}: {:?}", op, truth.unresolved());
    let held = Held::read(&ledger).unwrap();
    prop_assert_eq!(held.items.iter().map(|item| second(item.time)).collect::<BTreeSet<_>>(), truth.held());
    for item in &held.items {
        let people = item.people.iter().flat_map(|circle| circle.iter());
        let people: Vec<_> = people.map(|person| person.im_id.clone().unwrap()).collect();
        let named = truth.named.iter().filter(|(named, _)| *named == second(item.time));
        let named: Vec<_> = named.map(|(_, person)| format!("p{person}")).collect();
        prop_assert_eq!(people.iter().cloned().collect::<BTreeSet<_>>(), named.iter().cloned().collect());
        prop_assert_eq!(people.len(), named.len(), "each once");
    }
    let captured = ledger.captured().unwrap().into_iter().map(|(mailbox, time)| (mailbox.to_string(), second(time)));
    prop_assert_eq!(captured.collect::<BTreeMap<_, _>>(), truth.captured(), "after {:?}", op);
    let sql = rusqlite::Connection::open(archive.config.state.directory.join("ledger.db")).unwrap();
    let mut people = sql.prepare("SELECT im_id, first_seen % 60, last_seen % 60 FROM people").unwrap();
    let people = people.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    prop_assert_eq!(people.map(Result::unwrap).collect::<BTreeMap<_, _>>(), truth.seen(), "after {:?}", op);
    Ok(())
}

/// What happens between the runs; whether the operation was such a thing.
fn happens_between(archive: &mut Archive, truth: &mut Truth, op: &Op) -> bool {
    match op {
        Op::Map(mapping) => {
            let rows = mapping.iter().enumerate().filter_map(|(person, mapped)| {
                let target = mapped.map(|to| to.map_or("external".to_owned(), address))?;
                Some(format!("P{person},{target}\n"))
            });
            archive.map(&format!("ImId,Mailbox\n{}", rows.collect::<String>()));
            truth.mapping.clone_from(mapping);
        }
        Op::Import => {
            truth.taken.clone_from(&truth.placed);
            let _ = fs::remove_dir_all(archive.staging());
        }
        Op::Beside(catch_all, journal) => {
            let parsed = |mailbox: &Option<usize>| mailbox.map(|mailbox| Mailbox::parse(&address(mailbox)).unwrap());
            archive.config.mailboxes.catch_all = parsed(catch_all);
            archive.config.mailboxes.journal = parsed(journal);
            (truth.catch_all, truth.journal) = (*catch_all, *journal);
        }
        Op::Dismiss(which) => {
            let asking = truth.asking();
            if let Some(item) = asking.get(which % asking.len().max(1)) {
                let ledger = Ledger::open(&archive.config.state.directory).unwrap();
                let held = ledger.held_items().unwrap();
                let matter = held.iter().find(|held| second(held.time) == *item).unwrap().matter;
                assert_eq!(ledger.dismiss(&[matter], "not ours", jiff::Timestamp::now()).unwrap(), [true]);
                truth.dismissed.insert(*item);
                truth
                    .decided
                    .extend(truth.named.iter().filter(|(named, _)| named == item).copied().collect::<Vec<_>>());
                // The ledger knows whole seconds: what comes within this one would count as known to whoever decided.
                let decided = jiff::Timestamp::now().as_second();
                while jiff::Timestamp::now().as_second() == decided {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            }
        }
        Op::Ingest(_) | Op::Replay => return false,
    }
    true
}

fn check(archive: &RefCell<Archive>, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut archive = archive.borrow_mut();
    archive.clear();
    archive.map("ImId,Mailbox\n");
    archive.config.mailboxes.catch_all = None;
    archive.config.mailboxes.journal = None;
    let mut truth = Truth::default();
    for op in ops {
        if !happens_between(&mut archive, &mut truth, op) {
            let finished = if let Op::Ingest(exports) = op {
                for named in exports {
                    truth.ingest(named);
                }
                archive.ingest(&exports.iter().map(|named| xml(named)).collect::<Vec<_>>())
            } else {
                truth.replay();
                archive.replay()
            };
            prop_assert_eq!(finished.needs.state.held_items, truth.asking().len() as u64, "after {:?}", op);
            prop_assert_eq!(archive.faults(), Vec::<String>::new(), "after {:?}", op);
        }
        let stands: BTreeSet<_> = staged(&archive.staging())
            .into_iter()
            .map(|((mailbox, _), eml)| (body(&eml)[5..6].parse::<usize>().unwrap(), mailbox))
            .collect();
        let expected: BTreeSet<_> = truth.placed.difference(&truth.taken).cloned().collect();
        prop_assert_eq!(stands, expected, "after {:?}", op);
        check_ledger(&archive, &truth, op)?;
    }
    Ok(())
}

/// Whatever is delivered, re-issued, mapped, replayed and dismissed in whatever order, with whatever catch-all and journal:
/// the placements are those of the plain truth, and so are who is asked about and who was seen; the books balance, and
/// ledger, manifests and originals agree after each run.
#[test]
fn any_history_of_reissues_and_replays_places_everybody_once() {
    let archive = RefCell::new(Archive::new());
    let runner = Runner { cases: cases(100), max_shrink_iters: 400, failure_persistence: None, ..Runner::default() };
    let histories = prop::collection::vec(op(), 1..13);
    TestRunner::new(runner).run(&histories, |ops| check(&archive, &ops)).unwrap();
}

/// Every placement of two firms that were given the same, one of them with the message's plain form.
#[test]
fn an_item_that_names_its_own_sender_again_is_placed_once() {
    let firm = Firm::new();
    firm.deliver_export("1.pgp", &export(&message("m-1", AMY, &[AMY, "AMY@Contoso.com"], "to myself")));
    assert_eq!(firm.ingest(0)["placements"]["staged"], 1);
    let counted: BTreeMap<_, _> = firm.placements();
    assert_eq!(counted["m-1"], set(&[AMY]));
}
