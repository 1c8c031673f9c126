//! Suggestions for the people that operators meet, and none where two mailboxes could be meant.

use std::fmt::Write as _;

use super::*;
use crate::resolve::MailboxList;

/// Rows of `DisplayName;PrimarySmtpAddress;EmailAddresses`.
fn read(rows: &str) -> ReadList {
    let csv = format!("DisplayName;PrimarySmtpAddress;EmailAddresses\n{rows}");
    MailboxList::parse("l.csv", csv.as_bytes()).unwrap()
}

const FIRM: &str = "Amy Adams;amy.adams@c.com;smtp:amy@c.com\n\
                    Baker, Joe (London);joe.baker@c.com;smtp:jb@c.com\n\
                    Jane Baxter;jane.baxter@c.com;\n\
                    Dora Díaz;dora.diaz@c.com;smtp:d.diaz@c.com\n\
                    Wei Chen;wei.chen@c.com;\n\
                    Chen Li;chen.li@c.com;\n\
                    Siobhán O'Neil;siobhan.oneil@c.com;\n\
                    John Smith;john.smith@c.com;\n\
                    John Smith;john.smith2@c.com;\n\
                    ;u123456@c.com;\n\
                    ;u123457@c.com;\n";

/// A person as `name | e-mail | ImId`; `-` for what is not there.
fn described(text: &str) -> Described<'_> {
    let mut parts = text.split('|').map(str::trim).map(|part| Some(part).filter(|part| *part != "-"));
    let mut next = || parts.next().flatten();
    Described { name: next(), email: next(), im_id: next() }
}

fn suggested(firm: &str, who: &[&str]) -> Vec<String> {
    let read = read(firm);
    let people: Vec<_> = who.iter().map(|who| described(who)).collect();
    let found = read.suggest(&people);
    found
        .iter()
        .map(|found| found.as_ref().map_or("-", |mailbox| mailbox.as_str().trim_end_matches("@c.com")).to_owned())
        .collect()
}

#[test]
fn whom_an_operator_would_think_of() {
    let cases = [
        ("Amy Adams | - | x9", "amy.adams"),
        ("adams, AMY | - | -", "amy.adams"),
        ("Amy Adms | - | -", "amy.adams"),
        ("Any Adams | - | -", "amy.adams"),
        ("Joe Baker | - | -", "joe.baker"),
        ("Joe Barker | - | -", "joe.baker"),
        ("Dora Diaz | - | -", "dora.diaz"),
        ("Siobhan ONeil | - | -", "siobhan.oneil"),
        ("Wei Chen | - | -", "wei.chen"),
        ("- | amy.adams@old.example | -", "amy.adams"),
        ("- | adams_amy@old.example | -", "amy.adams"),
        ("- | Amy.Adams@old.example | jbaker", "amy.adams"),
        ("- | jbaker@old.example | -", "joe.baker"),
        ("- | d.diaz@old.example | -", "dora.diaz"),
        ("- | - | adams17", "amy.adams"),
        ("- | - | Baker.J", "joe.baker"),
        ("- | - | WChen", "wei.chen"),
        ("- | - | chenli", "chen.li"),
        ("- | - | joebaker@ice", "joe.baker"),
        ("- | - | u123456", "u123456"),
        ("- | john.smith@old.example | -", "john.smith"),
        ("- | john.smith2@old.example | -", "john.smith2"),
        // Nobody, or one of two.
        ("John Smith | - | -", "-"),
        ("- | - | chen_trading", "-"),
        ("- | - | chen", "-"),
        ("- | - | u12345", "-"),
        ("- | - | 123456", "-"),
        ("Nils Berg | nils@northern.example | nils9", "-"),
        ("Jo | j@x.y | j", "-"),
        ("Amy Adams | joe.baker@x.y | -", "-"),
        ("- | - | -", "-"),
    ];
    let people: Vec<_> = cases.iter().map(|(who, _)| *who).collect();
    for ((who, expected), found) in cases.iter().zip(suggested(FIRM, &people)) {
        assert_eq!(found, *expected, "{who}");
    }
}

#[test]
fn what_is_known_of_a_person_adds_up() {
    let firm = "Joe Baker;joe.baker@c.com;\nJane Baker;jane.baker@c.com;\n";
    let found =
        suggested(firm, &["- | - | jbaker", "- | joe@x.y | jbaker", "Jane Baker | - | jbaker", "- | - | baker"]);
    assert_eq!(found, ["-", "-", "jane.baker", "-"]);
    assert_eq!(suggested("Joe Baker;joe.baker@c.com;smtp:joe@c.com\n", &["- | joe@x.y | -"]), ["joe.baker"]);
    let nameless = ReadList { names: HashMap::new(), ..read(FIRM) };
    let found = nameless.suggest(&[described("Amy Adams | - | -")]);
    assert_eq!(found[0].as_ref().unwrap().as_str(), "amy.adams@c.com");
    assert_eq!(ReadList::default().suggest(&[described("Amy Adams | - | -")]), [None]);
}

/// Whoever is offered in whichever order: the best one that is far enough ahead of all others.
#[test]
fn the_order_of_the_list_does_not_matter() {
    let boxes = ["a@c.com", "b@c.com", "c@c.com"].map(|address| Mailbox::parse(address).unwrap());
    for (offers, expected) in [
        (&[(0, 90)][..], Some(0)),
        (&[(0, 90), (1, 85)], Some(0)),
        (&[(0, 90), (1, 86)], None),
        (&[(0, 90), (0, 95), (1, 90)], Some(0)),
        (&[(0, 85), (1, 90), (0, 95), (2, 80)], Some(0)),
        (&[(0, 85), (1, 90), (0, 95), (2, 95)], None),
    ] {
        for turn in 0..offers.len() {
            let mut found = Found::default();
            for (who, score) in offers.iter().cycle().skip(turn).take(offers.len()) {
                found.offer(&boxes[*who], *score);
            }
            assert_eq!(found.clearly_best(), expected.map(|who: usize| boxes[who].clone()), "{offers:?} from {turn}");
        }
    }
}

#[test]
#[ignore = "prints a figure"]
fn a_thousand_people_beside_a_hundred_thousand_mailboxes() {
    let syllables =
        ["ba", "ker", "jo", "an", "na", "ri", "chen", "wei", "smi", "th", "ad", "ams", "lo", "pez", "mor", "gan"];
    let name = |n: usize, salt: usize| {
        let at = |shift: usize| syllables[(n * salt + n / shift) % syllables.len()];
        [at(1), at(16), at(256)].concat()
    };
    let mut rows = String::new();
    for n in 0..100_000 {
        let (first, last) = (name(n, 1), name(n, 7));
        writeln!(rows, "{first} {last};{first}.{last}{n}@c.com;smtp:u{n}@c.com").unwrap();
    }
    let read = read(&rows);
    let people: Vec<_> = (0..1000)
        .map(|n| (format!("{} {}x", name(n * 97, 1), name(n * 97, 7)), format!("{}{n}", name(n, 3))))
        .collect();
    let people: Vec<_> =
        people.iter().map(|(name, im_id)| Described { name: Some(name), email: None, im_id: Some(im_id) }).collect();
    let started = std::time::Instant::now();
    let found = read.suggest(&people);
    println!("{} suggestions after {:?}", found.iter().flatten().count(), started.elapsed());
}
