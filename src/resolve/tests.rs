//! The rule, sentence by sentence (contract 6), and against a plain reference written from the contract alone.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::export::{Body, ChatItem, ImId, ItemKind, ItemRecord, Participant, Role};

/// The day of [`item`]'s items.
const DAY: Date = jiff::civil::date(1970, 1, 1);

fn mapping(rows: &[(&str, &str)]) -> Arc<Mapping> {
    let mut csv = String::from("ImId,Mailbox\n");
    for (im_id, target) in rows {
        writeln!(csv, "{im_id},{target}").unwrap();
    }
    Arc::new(Mapping::parse(&[("m.csv".to_owned(), csv.into_bytes())]).unwrap().mapping)
}

fn list(rows: &[(&str, &str)]) -> Arc<MailboxList> {
    let mut csv = String::from("PrimarySmtpAddress,EmailAddresses\n");
    for (primary, alias) in rows {
        writeln!(csv, "{primary},smtp:{alias}").unwrap();
    }
    Arc::new(MailboxList::parse("l.csv", csv.as_bytes()).unwrap().list)
}

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| Domain::parse(name).unwrap()).collect()
}

fn rules(rows: &[(&str, &str)]) -> RuleSet {
    let domains = domains(&["contoso.com"]);
    RuleSet { mapping: mapping(rows), list: None, directory: None, domains, companies: Vec::new(), automatic: true }
}

/// A person as `ImId | e-mail | company`; `-` for what is not there.
fn person(text: &str) -> Person {
    let parts: Vec<_> = text.split('|').map(str::trim).map(|part| if part == "-" { "" } else { part }).collect();
    let company = Some(parts[2]).filter(|company| !company.is_empty()).map(Into::into);
    Person { im_id: ImId::new(parts[0]), email: Email::new(parts[1]), name: None, company }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Mailbox(mailbox) => mailbox.to_string(),
        Outcome::External => "external".to_owned(),
        Outcome::Unresolved => "unresolved".to_owned(),
    }
}

fn table(set: &RuleSet, cases: &[(&str, &str)]) {
    for (who, expected) in cases {
        assert_eq!(words(&set.resolve(&person(who), DAY)), *expected, "{who}");
    }
}

#[test]
fn the_mapping_comes_first_if_its_mailbox_is_valid() {
    let set = rules(&[
        ("adams17", "amy.adams@contoso.com"),
        ("left", "nobody@fabrikam.com"),
        ("sub", "x@emea.contoso.com"),
        ("amy@contoso.com", "amy.adams@contoso.com"),
    ]);
    table(
        &set,
        &[
            ("adams17 | other@contoso.com | -", "amy.adams@contoso.com"),
            ("ADAMS17 | - | -", "amy.adams@contoso.com"),
            ("left | other@contoso.com | -", "other@contoso.com"),
            ("left | - | -", "unresolved"),
            ("left | nils@northern.example | -", "unresolved"),
            ("sub | - | -", "unresolved"),
            // An ImId may look like an address; an e-mail never finds one.
            ("amy@contoso.com | - | -", "amy.adams@contoso.com"),
            ("- | amy@contoso.com | -", "amy@contoso.com"),
            ("- | adams17 | -", "unresolved"),
        ],
    );
}

#[test]
fn then_the_email_if_automatic_and_valid() {
    let mut set = rules(&[]);
    let cases = [
        ("new | Amy@CONTOSO.com | -", "amy@contoso.com"),
        ("- | amy@contoso.com | -", "amy@contoso.com"),
        ("new | amy@emea.contoso.com | -", "external"),
        ("new | amy@notcontoso.com | -", "external"),
        ("new | nils@northern.example | -", "external"),
        ("new | - | -", "unresolved"),
        ("new | a b@contoso.com | -", "unresolved"),
        ("new | a/../b@contoso.com | -", "unresolved"),
        ("new | .amy@contoso.com | -", "unresolved"),
        ("new | nils@x@contoso.com | -", "unresolved"),
        // U+212A folds to an ASCII k: malformed all the same.
        ("new | \u{212a}im@contoso.com | -", "unresolved"),
    ];
    table(&set, &cases);
    set.automatic = false;
    for (who, expected) in cases {
        let expected = if expected == "external" { "external" } else { "unresolved" };
        assert_eq!(words(&set.resolve(&person(who), DAY)), expected, "{who}");
    }
}

#[test]
fn with_a_list_only_its_addresses_are_valid_and_each_leads_to_the_primary_one() {
    let mut set = rules(&[("a", "amy@contoso.com"), ("b", "gone@contoso.com"), ("c", "AMY@fabrikam.com")]);
    set.list = Some(list(&[("amy.adams@contoso.com", "amy@contoso.com"), ("ext@fabrikam.com", "amy@fabrikam.com")]));
    table(
        &set,
        &[
            ("a | - | -", "amy.adams@contoso.com"),
            ("b | - | -", "unresolved"),
            ("b | Amy@Contoso.com | -", "amy.adams@contoso.com"),
            ("c | - | -", "ext@fabrikam.com"),
            ("- | amy.adams@contoso.com | -", "amy.adams@contoso.com"),
            ("- | gone@contoso.com | -", "unresolved"),
            ("- | amy@fabrikam.com | -", "ext@fabrikam.com"),
            ("- | bob@fabrikam.com | -", "external"),
        ],
    );
    set.list = Some(list(&[("kim@contoso.com", "kim@contoso.com")]));
    table(&set, &[("- | \u{212a}im@contoso.com | -", "unresolved"), ("- | KIM@contoso.com | -", "kim@contoso.com")]);
}

#[test]
fn external_or_unresolved() {
    let mut set = rules(&[("broker9", "External"), ("moved", "x@fabrikam.com")]);
    set.companies = vec!["Contoso".to_owned(), "Contoso Ltd".to_owned()];
    table(
        &set,
        &[
            // Mapped to `external`: whatever the rest, but a valid e-mail comes before (rule 2).
            ("broker9 | - | -", "external"),
            ("broker9 | - | Contoso", "external"),
            ("broker9 | x y@contoso.com | -", "external"),
            ("broker9 | amy@contoso.com | -", "amy@contoso.com"),
            // An e-mail outside the domains, and no mapping.
            ("x | nils@northern.example | -", "external"),
            ("x | nils@northern.example | Northern Brokers", "external"),
            ("moved | nils@northern.example | -", "unresolved"),
            // Ours by company, whatever the e-mail.
            ("x | nils@northern.example | Contoso", "unresolved"),
            ("x | nils@northern.example | contoso ltd ", "unresolved"),
            ("x | amy@contoso.com | Contoso", "amy@contoso.com"),
            // No e-mail: the company decides, if there is one.
            ("x | - | Northern Brokers", "external"),
            ("x | - | Contoso", "unresolved"),
            ("x | - | -", "unresolved"),
            ("moved | - | Northern Brokers", "external"),
            // An e-mail without a readable domain is taken for ours.
            ("x | nils | -", "unresolved"),
            ("x | nils@ | Northern Brokers", "unresolved"),
            ("x | <nils@northern.example> | -", "unresolved"),
            ("x | n i l s@northern.example | -", "external"),
            ("x | nils@contoso.com@northern.example | -", "external"),
        ],
    );
    set.companies.clear();
    table(&set, &[("x | - | Northern Brokers", "unresolved"), ("x | nils@northern.example | Contoso", "external")]);
}

#[test]
fn domains_compare_without_case_and_exactly() {
    let mut set = rules(&[("s", "x@EMEA.contoso.com")]);
    set.domains = domains(&["Contoso.COM", "emea.contoso.com"]);
    table(&set, &[("s | - | -", "x@emea.contoso.com"), ("- | a@contoso.com | -", "a@contoso.com")]);
    table(&set, &[("- | a@apac.contoso.com | -", "external"), ("- | a@com | -", "external")]);
}

#[test]
fn outside_its_periods_an_im_id_is_as_if_unmapped() {
    let csv = "ImId,Mailbox,ValidFrom,ValidTo\na,amy@contoso.com,2026-01-01,2026-01-31\na,external,2026-03-01,\n\
               b,gone@fabrikam.com,,2026-01-31\nb,external,2026-02-01,2026-02-28\n";
    let mut set = rules(&[]);
    set.mapping = Arc::new(Mapping::parse(&[("m.csv".to_owned(), csv.into())]).unwrap().mapping);
    let on = |who: &str, month: i8| words(&set.resolve(&person(who), jiff::civil::date(2026, month, 15)));
    for (who, january, february, march) in [
        ("a | - | -", "amy@contoso.com", "unresolved", "external"),
        ("A | joe@contoso.com | -", "amy@contoso.com", "joe@contoso.com", "joe@contoso.com"),
        ("a | nils@northern.example | -", "amy@contoso.com", "external", "external"),
        ("b | - | -", "unresolved", "external", "unresolved"),
        // Mapped, though to no valid mailbox, it is ours; unmapped, the e-mail says that it is not.
        ("b | nils@northern.example | -", "unresolved", "external", "external"),
    ] {
        assert_eq!([on(who, 1), on(who, 2), on(who, 3)], [january, february, march], "{who}");
    }
    let between = |who: &str, first: (i8, i8), last: (i8, i8)| {
        let day = |(month, day): (i8, i8)| jiff::civil::date(2026, month, day);
        words(&set.resolve_between(&person(who), day(first), day(last)))
    };
    for (who, first, last, expected) in [
        ("a | - | -", (1, 31), (12, 31), "amy@contoso.com"),
        ("a | - | -", (2, 1), (12, 31), "unresolved"),
        ("a | - | -", (3, 1), (12, 31), "external"),
        ("a | joe@contoso.com | -", (2, 1), (2, 1), "joe@contoso.com"),
        ("b | nils@northern.example | -", (1, 31), (2, 1), "unresolved"),
        ("b | nils@northern.example | -", (2, 1), (4, 1), "external"),
        ("b | - | -", (2, 28), (3, 1), "unresolved"),
        ("c | - | -", (2, 28), (3, 1), "unresolved"),
        ("- | amy@contoso.com | -", (2, 28), (3, 1), "amy@contoso.com"),
    ] {
        assert_eq!(between(who, first, last), expected, "{who} {first:?} {last:?}");
    }
}

fn item(who: &[&str]) -> Item {
    let participants = who.iter().map(|who| Participant { role: Role::Present, person: Arc::new(person(who)) });
    let record = ItemRecord {
        kind: ItemKind::Message,
        line: 1,
        message_id: None,
        sender: person(who[0]),
        recipients: Vec::new(),
        time: jiff::Timestamp::UNIX_EPOCH,
        body: Body::Text("".into()),
        details: None,
    };
    Item::Chat(ChatItem { record, room: Arc::default(), participants: participants.collect() })
}

fn placed(rules: &Rules, who: &[&str]) -> Vec<String> {
    rules.mailboxes_of(&item(who)).iter().map(ToString::to_string).collect()
}

#[test]
fn the_samples_placements() {
    let mut set = rules(&[
        ("adams17", "amy.adams@contoso.com"),
        ("BAKER.J", "Joe.Baker@contoso.com"),
        ("chen_trading", "wei.chen@contoso.com"),
        ("ghost1", "nobody@contoso.com"),
    ]);
    set.list = Some(list(&[
        ("amy.adams@contoso.com", "amy@contoso.com"),
        ("joe.baker@contoso.com", "joe.baker@contoso.com"),
        ("wei.chen@contoso.com", "wei.chen@contoso.com"),
        ("dora.diaz@contoso.com", "d.diaz@contoso.com"),
    ]));
    let rules = Rules(vec![Arc::new(set)]);
    let (amy, nils) = ("adams17 | amy@contoso.com | Contoso", "broker9 | nils@northern.example | Northern Brokers");
    let (joe, dora) = ("Baker.J | someone.else@contoso.com | -", "newhire5 | d.diaz@contoso.com | -");
    assert_eq!(placed(&rules, &[amy, nils]), ["amy.adams@contoso.com"]);
    assert_eq!(
        placed(&rules, &[joe, amy, nils, dora]),
        ["joe.baker@contoso.com", "amy.adams@contoso.com", "dora.diaz@contoso.com"]
    );
    assert_eq!(placed(&rules, &[dora, "- | amy@contoso.com | -"]), ["dora.diaz@contoso.com", "amy.adams@contoso.com"]);
    assert_eq!(placed(&rules, &["ghost1 | ghost@contoso.com | -", "- | nils@northern.example | -"]), [""; 0]);
    let chen = ["nils9 | nils@northern.example | -", "chen_trading | - | -", "CHEN_TRADING | wei.chen@contoso.com | -"];
    assert_eq!(placed(&rules, &chen), ["wei.chen@contoso.com"]);
}

#[test]
fn the_first_rule_set_that_finds_a_mailbox_wins_and_the_newest_says_why_not() {
    let old = Arc::new(rules(&[("a", "old@contoso.com"), ("b", "x@fabrikam.com"), ("c", "external")]));
    let new = Arc::new(rules(&[("a", "new@contoso.com"), ("b", "b@contoso.com"), ("d", "external")]));
    let both = Rules(vec![Arc::clone(&old), Arc::clone(&new)]);
    for (who, expected) in [
        ("a | - | -", "old@contoso.com"),
        ("b | - | -", "b@contoso.com"),
        ("c | - | -", "unresolved"),
        ("d | - | -", "external"),
        ("e | - | -", "unresolved"),
    ] {
        assert_eq!(words(&both.resolve(&person(who), DAY)), expected, "{who}");
    }
    assert_eq!(placed(&both, &["b | - | -", "a | - | -", "e | - | -"]), ["b@contoso.com", "old@contoso.com"]);
    assert_eq!(Rules::default().resolve(&person("a | - | -"), DAY), Outcome::Unresolved);
}

/// Addresses whose nature is written down beside them, not found out: (text, mailbox if well-formed, domain if any).
const ADDRESSES: [(&str, Option<&str>, Option<&str>); 9] = [
    ("amy@one.com", Some("amy@one.com"), Some("one.com")),
    ("AMY@One.COM", Some("amy@one.com"), Some("one.com")),
    ("joe@two.com", Some("joe@two.com"), Some("two.com")),
    ("Joe@sub.two.com", Some("joe@sub.two.com"), Some("sub.two.com")),
    ("al ias@one.com", None, Some("one.com")),
    ("x@y@three.com", None, Some("three.com")),
    ("eve@three.com", Some("eve@three.com"), Some("three.com")),
    ("nobody", None, None),
    ("jö@two.com", None, Some("two.com")),
];
const GOOD: [usize; 5] = [0, 2, 3, 6, 1];
const DOMAINS: [&str; 3] = ["one.com", "two.com", "three.com"];
const COMPANIES: [&str; 3] = ["Ours", "Theirs", "Else"];

/// A rule set as plain data: mapping by `ImId` number (address number, or none for `external`), list rows (primary,
/// alias), which domains and companies, automatic.
type Plain = (Vec<(usize, Option<usize>)>, Option<Vec<(usize, usize)>>, Vec<usize>, Vec<usize>, bool);
type PlainPerson = (Option<usize>, Option<usize>, Option<usize>);

fn plain() -> impl Strategy<Value = Plain> {
    use proptest::collection::vec;
    let good = || (0..GOOD.len()).prop_map(|at| GOOD[at]);
    (
        vec((0..4_usize, proptest::option::of(good())), 0..4),
        proptest::option::of(vec((good(), good()), 1..3)),
        vec(0..3_usize, 1..3),
        vec(0..3_usize, 0..2),
        any::<bool>(),
    )
}

fn real(plain: &Plain) -> Option<RuleSet> {
    let mut rows = String::from("ImId,Mailbox\n");
    for (im_id, target) in &plain.0 {
        writeln!(rows, "ID{im_id},{}", target.map_or("external", |at| ADDRESSES[at].0)).unwrap();
    }
    let mapping = Mapping::parse(&[("m.csv".to_owned(), rows.into_bytes())]).ok()?.mapping;
    let list = match &plain.1 {
        None => None,
        Some(rows) => {
            let mut csv = String::from("PrimarySmtpAddress;EmailAddresses\n");
            for (primary, alias) in rows {
                writeln!(csv, "{};smtp:{}", ADDRESSES[*primary].0, ADDRESSES[*alias].0).unwrap();
            }
            Some(Arc::new(MailboxList::parse("l.csv", csv.as_bytes()).ok()?.list))
        }
    };
    let companies = plain.3.iter().map(|at| COMPANIES[*at].to_owned()).collect();
    let names: Vec<_> = plain.2.iter().map(|at| DOMAINS[*at]).collect();
    Some(RuleSet {
        mapping: Arc::new(mapping),
        list,
        directory: None,
        domains: domains(&names),
        companies,
        automatic: plain.4,
    })
}

fn reference_valid(plain: &Plain, address: usize) -> Option<String> {
    let (_, mailbox, domain) = ADDRESSES[address];
    let mailbox = mailbox?;
    if let Some(rows) = &plain.1 {
        for (primary, alias) in rows {
            if ADDRESSES[*primary].1 == Some(mailbox) || ADDRESSES[*alias].1 == Some(mailbox) {
                return ADDRESSES[*primary].1.map(str::to_owned);
            }
        }
        return None;
    }
    plain.2.iter().any(|at| Some(DOMAINS[*at]) == domain).then(|| mailbox.to_owned())
}

fn reference(plain: &Plain, (im_id, email, company): PlainPerson) -> String {
    let row = im_id.and_then(|im_id| plain.0.iter().find(|(mapped, _)| *mapped == im_id));
    if let Some(found) = row.and_then(|(_, target)| *target).and_then(|target| reference_valid(plain, target)) {
        return found;
    }
    if plain.4
        && let Some(found) = email.and_then(|email| reference_valid(plain, email))
    {
        return found;
    }
    let mapped_external = matches!(row, Some((_, None)));
    let of_ours = company.is_some_and(|company| plain.3.contains(&company));
    let outside =
        |email: usize| ADDRESSES[email].2.is_some_and(|domain| plain.2.iter().all(|at| DOMAINS[*at] != domain));
    let by_email = email.is_some_and(outside) && row.is_none() && !of_ours;
    let by_company = email.is_none() && company.is_some() && !of_ours && !plain.3.is_empty();
    if mapped_external || by_email || by_company { "external".to_owned() } else { "unresolved".to_owned() }
}

fn real_person((im_id, email, company): PlainPerson, upper: bool) -> Person {
    let im_id = im_id.map(|at| if upper { format!("ID{at}") } else { format!(" id{at}") });
    Person {
        im_id: im_id.and_then(|text| ImId::new(&text)),
        email: email.and_then(|at| Email::new(ADDRESSES[at].0)),
        name: None,
        company: company.map(|at| COMPANIES[at].into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_rule_is_the_reference(
        plains in proptest::collection::vec(plain(), 1..4),
        people in proptest::collection::vec(
            (proptest::option::of(0..5_usize), proptest::option::of(0..ADDRESSES.len()), proptest::option::of(0..3_usize)), 1..6),
        upper in any::<bool>(),
    ) {
        let sets: Vec<_> = plains.iter().filter_map(|plain| Some((plain, real(plain)?))).collect();
        for (plain, set) in &sets {
            for who in &people {
                prop_assert_eq!(words(&set.resolve(&real_person(*who, upper), DAY)), reference(plain, *who), "{:?}", who);
            }
        }
        let rules = Rules(sets.iter().map(|(_, set)| Arc::new(set.clone())).collect());
        for who in &people {
            let all: Vec<_> = sets.iter().map(|(plain, _)| reference(plain, *who)).collect();
            let first = all.iter().find(|word| word.contains('@')).or(all.last());
            let expected = first.map_or("unresolved", String::as_str);
            prop_assert_eq!(words(&rules.resolve(&real_person(*who, upper), DAY)), expected);
        }
    }
}

fn directory(members: &[(&str, &[&str], Option<&str>)]) -> Arc<Directory> {
    let member = |(primary, further, im_id): &(&str, &[&str], Option<&str>)| Member {
        primary: Mailbox::parse(primary).unwrap(),
        further: further.iter().map(|address| Mailbox::parse(address).unwrap()).collect(),
        im_id: im_id.and_then(ImId::new),
    };
    Arc::new(Directory::of(members.iter().map(member)).directory)
}

#[test]
fn the_tenant_says_who_is_valid_and_knows_im_ids_behind_the_mapping() {
    let mut set = rules(&[("desk1", "amy.adams@contoso.com"), ("out", "external"), ("gone", "left@contoso.com")]);
    let amy: (&str, &[&str], _) = ("amy.adams@contoso.com", &["amy@contoso.com"], Some("amy1"));
    let bob: (&str, &[&str], _) = ("bob@contoso.com", &[], Some("DESK1"));
    let cat: (&str, &[&str], _) = ("cat@fabrikam.com", &[], Some("out"));
    let dan: (&str, &[&str], _) = ("dan@contoso.com", &[], Some("gone"));
    set.directory = Some(directory(&[amy, bob, cat, dan]));
    table(
        &set,
        &[
            ("- | AMY@contoso.com | -", "amy.adams@contoso.com"),
            ("- | cat@fabrikam.com | -", "cat@fabrikam.com"),
            ("- | nobody@contoso.com | -", "unresolved"),
            ("- | nils@northern.example | -", "external"),
            ("AMY1 | - | -", "amy.adams@contoso.com"),
            ("amy1 | bob@contoso.com | -", "amy.adams@contoso.com"),
            // What the mapping knows, it decides; also where its mailbox is not valid.
            ("desk1 | - | -", "amy.adams@contoso.com"),
            ("out | - | -", "external"),
            ("gone | - | -", "unresolved"),
        ],
    );
    assert_eq!(set.staff(DAY).len(), 4);
    // A list alone is what counts; the tenant still says whose an ImId is.
    set.list = Some(list(&[("amy.adams@contoso.com", "amy.adams@contoso.com")]));
    table(&set, &[("amy1 | - | -", "amy.adams@contoso.com"), ("- | bob@contoso.com | -", "unresolved")]);
    assert_eq!(set.staff(DAY).len(), 1);
}

/// On a day outside its periods an `ImId` is as if unmapped: then the tenant knows whose it is.
#[test]
fn a_period_that_ended_leaves_an_im_id_to_the_tenant() {
    let csv = "ImId,Mailbox,ValidFrom,ValidTo\ndesk1,amy@contoso.com,,2026-11-18\n";
    let mapping = Mapping::parse(&[("m.csv".to_owned(), csv.as_bytes().to_vec())]).unwrap().mapping;
    let mut set = RuleSet { mapping: Arc::new(mapping), ..rules(&[]) };
    set.directory = Some(directory(&[("amy@contoso.com", &[], None), ("bob@contoso.com", &[], Some("desk1"))]));
    let who = person("desk1 | - | -");
    let on = |day: Date| words(&set.resolve(&who, day));
    let (before, after) = (jiff::civil::date(2026, 11, 18), jiff::civil::date(2026, 11, 19));
    assert_eq!((on(before), on(after)), ("amy@contoso.com".to_owned(), "bob@contoso.com".to_owned()));
    assert_eq!(words(&set.resolve_between(&who, after, after)), "bob@contoso.com");
}

#[test]
#[ignore = "prints a figure"]
fn how_long_one_participant_takes() {
    let rows: Vec<_> = (0..100_000).map(|row| (format!("trader{row}"), format!("t{row}@contoso.com"))).collect();
    let rows: Vec<_> = rows.iter().map(|(im_id, mailbox)| (im_id.as_str(), mailbox.as_str())).collect();
    let mut set = rules(&rows);
    let people =
        ["TRADER77 | - | -", "x | t9@contoso.com | -", "x | n@northern.example | -", "x | - | Else"].map(person);
    for with_list in [false, true] {
        let listed: Vec<_> = rows.iter().map(|(_, mailbox)| (*mailbox, *mailbox)).collect();
        set.list = with_list.then(|| list(&listed));
        for who in &people {
            let started = std::time::Instant::now();
            for _ in 0..100_000 {
                std::hint::black_box(set.resolve(std::hint::black_box(who), DAY));
            }
            println!("list {with_list}, {:?}: {:?}", who.im_id.as_ref().map(ImId::as_str), started.elapsed() / 100_000);
        }
    }
}
