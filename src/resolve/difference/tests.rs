//! Differences as an operator makes them, by hand and by mistake.

use std::fmt::Write as _;
use std::sync::Arc;

use super::*;
use crate::domain::Domain;

fn mapping(rows: &str) -> Mapping {
    let csv = format!("ImId,Mailbox,ValidFrom,ValidTo\n{}\n", rows.replace(' ', "\n"));
    Mapping::parse(&[("m.csv".to_owned(), csv.into_bytes())]).unwrap().mapping
}

fn list(rows: &str) -> MailboxList {
    let csv = format!("PrimarySmtpAddress;EmailAddresses\n{}\n", rows.replace(' ', "\n"));
    MailboxList::parse("l.csv", csv.as_bytes()).unwrap().list
}

fn rules(rows: &str, listed: Option<&str>) -> RuleSet {
    RuleSet {
        mapping: Arc::new(mapping(rows)),
        list: listed.map(|rows| Arc::new(list(rows))),
        directory: None,
        domains: vec![Domain::parse("c.com").unwrap()],
        companies: Vec::new(),
        automatic: true,
    }
}

fn emails(pairs: &[(&str, &str)]) -> HashMap<String, Email> {
    pairs.iter().map(|(im_id, email)| ((*im_id).to_owned(), Email::new(email).unwrap())).collect()
}

/// Added, removed, changed; then each concern.
fn said(difference: &Difference) -> String {
    let Difference { added, removed, changed, concerns } = difference;
    let mut said = format!("+{added} -{removed} ~{changed}");
    for Concern { kind, words } in concerns {
        write!(said, "\n{kind:?} {words}").unwrap();
    }
    said
}

fn between(old: &str, new: &str) -> String {
    // Twenty that stay, so that one that goes is no concern of its own.
    let rest: String = (0..20).fold(String::new(), |rest, n| rest + &format!(" z{n},z{n}@c.com"));
    let new = rules(&format!("{new}{rest}"), None);
    said(&Difference::of_mapping(Some(&mapping(&format!("{old}{rest}"))), &new, &HashMap::new()))
}

#[test]
fn what_a_mapping_changes() {
    for (old, new, expected) in [
        ("a,a@c.com", "a,a@c.com", "+0 -0 ~0"),
        ("a,a@c.com", "A,A@c.com b,b@c.com", "+1 -0 ~0"),
        ("a,a@c.com b,b@c.com", "b,b@c.com", "+0 -1 ~0"),
        ("a,a@c.com", "a,b@c.com", "+0 -0 ~1\nMoved a: b@c.com now, was a@c.com"),
        ("a,a@c.com", "a,external", "+0 -0 ~1\nMoved a: external now, was a@c.com"),
        ("a,external", "a,a@c.com", "+0 -0 ~1"),
        // A period that ends hands nothing on; a successor is a move from that day on.
        ("a,a@c.com", "a,a@c.com,,2026-03-31", "+0 -0 ~1"),
        (
            "a,a@c.com",
            "a,a@c.com,,2026-03-31 a,b@c.com,2026-04-01",
            "+0 -0 ~1\nMoved a: b@c.com now from 2026-04-01 on, was a@c.com",
        ),
        ("a,a@c.com,,2026-03-31", "a,a@c.com,,2026-03-31 a,b@c.com,2026-04-01", "+0 -0 ~1"),
        (
            "a,a@c.com,,2026-03-31 a,b@c.com,2026-04-01",
            "a,a@c.com,,2026-02-28 a,b@c.com,2026-03-01",
            "+0 -0 ~1\nMoved a: b@c.com now from 2026-03-01 on, was a@c.com",
        ),
        // The same said in another way is no change.
        ("a,a@c.com", "a,a@c.com,,2026-03-31 a,a@c.com,2026-04-01", "+0 -0 ~0"),
    ] {
        assert_eq!(between(old, new), expected, "{old} -> {new}");
    }
    let first = Difference::of_mapping(None, &rules("a,a@c.com b,b@c.com", None), &HashMap::new());
    assert_eq!(said(&first), "+2 -0 ~0");
}

#[test]
fn two_addresses_of_one_mailbox_are_no_move() {
    let old = mapping("a,a@c.com");
    let listed = Some("amy@c.com;smtp:a@c.com joe@c.com;smtp:j@c.com");
    let to = |target: &str| {
        said(&Difference::of_mapping(Some(&old), &rules(&format!("a,{target}"), listed), &HashMap::new()))
    };
    assert_eq!(to("amy@c.com"), "+0 -0 ~1");
    assert_eq!(to("j@c.com"), "+0 -0 ~1\nMoved a: j@c.com now, was a@c.com");
    assert_eq!(to("gone@c.com"), "+0 -0 ~1\nMoved a: gone@c.com now, was a@c.com");
}

#[test]
fn a_mailbox_that_the_exports_contradict() {
    let known = emails(&[("a", "A@c.com"), ("b", "b@else.com"), ("c", "alias@c.com"), ("d", "d@c.com")]);
    let new =
        |rows: &str, listed| said(&Difference::of_mapping(Some(&mapping("d,x@c.com")), &rules(rows, listed), &known));
    assert_eq!(new("d,x@c.com a,a@c.com", None), "+1 -0 ~0", "the same mailbox, and one that was there before");
    assert_eq!(
        new("d,x@c.com a,z@c.com b,z@c.com e,z@c.com", None),
        "+3 -0 ~0\nOverrides a: mapped to z@c.com, but the exports give the e-mail of a@c.com"
    );
    assert_eq!(new("d,x@c.com a,external", None), "+1 -0 ~0", "the e-mail counts all the same");
    assert_eq!(new("d,x@c.com a,z@else.com", None), "+1 -0 ~0", "not valid, so the e-mail counts");
    assert_eq!(
        new("d,x@c.com c,carl@c.com a,carl@c.com", Some("carl@c.com;smtp:alias@c.com x@c.com;")),
        "+2 -0 ~0",
        "the e-mail is an alias of the mailbox; an address that is in no list is valid nowhere"
    );
    assert!(
        new("d,x@c.com a,a@c.com,,2026-01-01 a,b@c.com,2026-01-02", None).contains("Overrides a: mapped to b@c.com")
    );
}

fn rows(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("t{n:03},t{n:03}@c.com")).collect::<Vec<_>>().join(" ")
}

#[test]
fn more_than_a_twentieth_gone() {
    let gone = |of: usize, left: std::ops::Range<usize>| {
        said(&Difference::of_mapping(Some(&mapping(&rows(0..of))), &rules(&rows(left), None), &HashMap::new()))
    };
    assert_eq!(gone(40, 2..40), "+0 -2 ~0");
    assert_eq!(gone(40, 3..40), "+0 -3 ~0\nRemoved 3 of 40 ImIds of the mapping are gone: t000, t001, t002");
    let many = gone(40, 25..40);
    assert!(many.contains("25 of 40") && many.contains("t019 and 5 more") && !many.contains("t020"), "{many}");
    assert_eq!(
        said(&Difference::of_mapping(Some(&mapping(&rows(0..3))), &rules("", None), &HashMap::new())).lines().count(),
        2
    );
}

#[test]
fn at_most_so_many_are_told() {
    let moved = rows(0..60).replace("@c.com", "x@c.com");
    let difference = Difference::of_mapping(Some(&mapping(&rows(0..60))), &rules(&moved, None), &HashMap::new());
    assert_eq!((difference.changed, difference.concerns.len()), (60, 51));
    assert_eq!(difference.concerns[0].words, "t000: t000x@c.com now, was t000@c.com");
    assert_eq!(difference.concerns[50], Concern { kind: ConcernKind::Moved, words: "and 10 more".to_owned() });
    let json = serde_json::to_value(&difference.concerns[50]).unwrap();
    assert_eq!(json, serde_json::json!({"kind": "moved", "words": "and 10 more"}));
}

fn boxes(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("b{n:02}@c.com;")).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_list_changes() {
    let rest = boxes(0..20);
    let change = |old: &str, new: &str| {
        said(&Difference::of_list(Some(&list(&format!("{old} {rest}"))), &list(&format!("{new} {rest}"))))
    };
    for (old, new, expected) in [
        ("a@c.com;", "a@c.com;", "+0 -0 ~0"),
        ("a@c.com;", "a@c.com; n@c.com;smtp:m@c.com", "+1 -0 ~0"),
        ("a@c.com; n@c.com;smtp:m@c.com", "a@c.com;", "+0 -1 ~0"),
        ("a@c.com;", "a@c.com;smtp:amy@c.com", "+0 -0 ~1"),
        ("a@c.com;smtp:amy@c.com", "a@c.com;", "+0 -0 ~1"),
        // Another primary address: one entry for another, and nobody's chats go astray.
        ("a@c.com;smtp:x@c.com", "amy@c.com;\"smtp:a@c.com;smtp:x@c.com\"", "+1 -1 ~0"),
        (
            "a@c.com;smtp:x@c.com b@c.com;",
            "a@c.com; b@c.com;smtp:x@c.com",
            "+0 -0 ~2\nMoved x@c.com: an address of b@c.com now, was one of a@c.com",
        ),
    ] {
        assert_eq!(change(old, new), expected, "{old} -> {new}");
    }
    assert_eq!(said(&Difference::of_list(None, &list("a@c.com;"))), "+1 -0 ~0");
}

#[test]
fn a_list_that_shrinks() {
    let after = |of: usize, left: usize| (list(&boxes(0..of)), list(&boxes(0..left)));
    for (of, left, shrunk) in
        [(10, 5, false), (10, 4, true), (9, 1, false), (40, 19, true), (40, 20, false), (4, 40, false)]
    {
        let (old, new) = after(of, left);
        assert_eq!(old.shrinks_to(&new), shrunk, "{of} -> {left}");
        let kinds: Vec<_> = Difference::of_list(Some(&old), &new).concerns.iter().map(|concern| concern.kind).collect();
        assert_eq!(kinds.contains(&ConcernKind::Shrunk), shrunk, "{of} -> {left}");
        assert_eq!(kinds.contains(&ConcernKind::Removed), left < of, "{of} -> {left}");
    }
    let (old, new) = after(10, 4);
    assert!(
        said(&Difference::of_list(Some(&old), &new)).contains("Shrunk 4 of 10 mailboxes are left in the mailbox list")
    );
    // Aliases are no mailboxes.
    let aliased =
        list(&format!("a@c.com;\"{}\"", (0..30).map(|n| format!("smtp:x{n}@c.com")).collect::<Vec<_>>().join(";")));
    assert!(!aliased.shrinks_to(&list("a@c.com;")));
}
