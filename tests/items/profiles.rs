//! From an unknown export to a working profile: what is proposed, what must be decided, and that nothing is taken in before.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use icechatd::export::infer::{InferError, Proposal, infer};
use icechatd::export::lint::{Lint, lint};
use icechatd::export::profile::Profile;
use icechatd::export::reader::{ReadLimits, Reader, Step};
use icechatd::export::{Details, EventKind, ItemKind, Record};

use support::firm::{Firm, Said, Settings, sample, sample_export};

const LIMITS: ReadLimits = ReadLimits { max_message: 1 << 20, max_attachment: 1 << 20, max_participants: 10_000 };

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

fn proposed(file: &str, xml: &str) -> Proposal {
    infer("ours", Some(file), xml.as_bytes()).unwrap()
}

/// The profile with its list of guesses emptied, as a person leaves it who found every guess right.
fn decide(text: &str) -> String {
    let (before, rest) = text.split_once("guesses = [\n").unwrap();
    let (_, after) = rest.split_once("\n]\n").unwrap();
    format!("{before}{after}")
}

fn decided(proposal: &Proposal) -> Profile {
    Profile::parse("ours", &decide(&proposal.text)).unwrap_or_else(|error| panic!("{error}\n{}", proposal.text))
}

fn linted(profile: &Profile, xml: &str) -> Lint {
    lint(profile, LIMITS, xml.as_bytes()).unwrap()
}

/// Everything a profile makes of an export.
fn steps(profile: &Profile, xml: &str) -> Vec<Step> {
    let mut reader = Reader::new(profile, LIMITS, xml.as_bytes());
    std::iter::from_fn(|| reader.step().unwrap()).collect()
}

/// What an export says, without what is merely kept of it beside.
fn plain(steps: Vec<Step>) -> Vec<Step> {
    let bare = |details: Option<Box<Details>>| {
        let details = details.map(|details| Details { extra: Vec::new(), source: None, ..*details });
        details.filter(|details| *details != Details::default()).map(Box::new)
    };
    let mut steps = steps;
    for step in &mut steps {
        match step {
            Step::Record { record: Record::Item(item), .. } => item.details = bare(item.details.take()),
            Step::Record { record: Record::Event(event), .. } => event.details = bare(event.details.take()),
            _ => {}
        }
    }
    steps
}

/// Nothing is wrong, nothing is left over, and every item has people and a time.
fn assert_reads_all(found: &Lint) {
    assert_eq!((&found.unknown, &found.rejected, &found.unreadable), (&vec![], &vec![], &vec![]), "{found:#?}");
    assert_eq!((&found.without_identity, &found.held, found.without_room_id), (&vec![], &None, 0), "{found:#?}");
    assert!(found.conversations > 0 && found.items > 0, "{found:#?}");
}

fn kinds(found: &Lint) -> Vec<(&str, u64)> {
    found.kinds.iter().map(|kind| (kind.path.as_str(), kind.count)).collect()
}

#[test]
fn the_sample_gets_a_profile_that_reads_what_the_built_in_one_reads() {
    let xml = sample_export();
    let proposal = proposed("ACME-20261119.xml", &xml);
    let profile = decided(&proposal);
    let found = linted(&profile, &xml);
    assert_reads_all(&found);
    assert_eq!((found.items, found.firm_code.as_deref(), found.date.as_deref()), (5, Some("ACME"), Some("2026-11-19")));
    assert_eq!(steps(&profile, &xml), steps(&Profile::builtin("icechat").unwrap(), &xml));
}

#[test]
fn a_dump_of_the_other_kind_gets_a_profile_that_reads_what_the_built_in_one_reads() {
    let file = "f848135.ib19.261119.xml";
    let xml = text(&format!("profiles/bloomberg-ib/{file}"));
    let proposal = proposed(file, &xml);
    let profile = decided(&proposal);
    let found = linted(&profile, &xml);
    assert_reads_all(&found);
    assert_eq!(
        plain(steps(&profile, &xml)),
        plain(steps(&Profile::builtin("bloomberg-ib").unwrap(), &xml)),
        "{}",
        proposal.text
    );
    assert_eq!(profile.date_in_name(file), Some(jiff::civil::date(2026, 11, 19)));
    let items = |kind: ItemKind| {
        let is = |step: &&Step| matches!(step, Step::Record { record: Record::Item(item), .. } if item.kind == kind);
        steps(&profile, &xml).iter().filter(is).count()
    };
    assert!(items(ItemKind::Message) > 2 && items(ItemKind::Attachment) == 1);
    assert!(proposal.text.contains("time       = [\"DateTimeUTC\", \"DateTime\"]"), "{}", proposal.text);
    let guessed = proposal.guesses.join("\n");
    for words in
        ["User/LoginName is the im_id, rather than User/UUID", "CorporateEmailAddress counts before", "time.zone"]
    {
        assert!(guessed.contains(words), "{words}: {guessed}");
    }
}

#[test]
fn attributes_are_as_good_as_elements() {
    let xml = text("infer/attributes.xml");
    let proposal = proposed("chat.xml", &xml);
    let profile = decided(&proposal);
    let found = linted(&profile, &xml);
    // A list of members without times is nothing that presence could be made of: it stays unknown, and is said.
    let unknown: BTreeSet<&str> = found.unknown.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        unknown,
        BTreeSet::from(["chatlog/channels/channel/members", "chatlog/channels/channel/members/member"])
    );
    assert!(proposal.guesses.iter().any(|guess| guess.contains("members/member repeats")), "{:?}", proposal.guesses);
    assert_reads_all(&Lint { unknown: Vec::new(), ..found.clone() });
    assert_eq!(kinds(&found), [("entered", 1), ("left", 1), ("message", 4)]);
    let recipients: Vec<Vec<&str>> = steps(&profile, &xml)
        .iter()
        .filter_map(|step| match step {
            Step::Record { record: Record::Item(item), .. } => Some(item.recipients.clone()),
            _ => None,
        })
        .map(|people| people.iter().map(|one| one.im_id.as_ref().unwrap().as_str().to_owned()).collect::<Vec<_>>())
        .map(|people| people.into_iter().map(|one| &*one.leak()).collect())
        .collect();
    assert_eq!(recipients, [vec!["nils9", "jo4"], vec!["amy17"], vec!["nils9"], vec!["amy17", "jo4"]]);
    let totals: Vec<_> = found.totals.iter().map(|one| (one.what, one.told, one.found)).collect();
    assert_eq!(totals, [("messages", Some(4), 4), ("conversations", Some(2), 2)]);
}

#[test]
fn groups_of_fields_and_wrappers_are_seen_through() {
    let xml = text("infer/nested.xml");
    let profile = decided(&proposed("chat.xml", &xml));
    let found = linted(&profile, &xml);
    // What stands within a text belongs to it, and is reported all the same.
    let unknown: Vec<_> = found.unknown.iter().map(|one| (one.path.as_str(), one.count)).collect();
    assert_eq!(unknown, [("Archive/Chats/Chat/Messages/Message/Body/b", 1)]);
    assert_reads_all(&Lint { unknown: Vec::new(), ..found });
    let first = steps(&profile, &xml).into_iter().find_map(|step| match step {
        Step::Record { record: Record::Item(item), .. } => Some(item),
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!((first.message_id.as_deref(), first.recipients.len()), (Some("a-1"), 2));
    assert_eq!(
        (first.sender.name.as_deref(), first.time.to_string()),
        (Some("Amy Adams"), "2026-11-19T13:01:00Z".into())
    );
}

#[test]
fn what_the_language_cannot_say_is_told_in_a_line() {
    let message = "<m><room>R</room><id>1</id><from>amy@contoso.com</from><at>2026-11-19T13:00:05Z</at><text>good morning</text></m>";
    let flat = text("infer/flat.xml");
    let deep = format!("<log>{message}{}</log>", message.replace("<id>1", "<id>2"));
    let timeless = "<log><room id='1'><message id='1' from='amy'>hello there</message></room></log>".to_owned();
    let wide = format!("<log>{}</log>", (0..5000).fold(String::new(), |all, index| all + &format!("<e{index}/>")));
    for (xml, words) in [
        (flat.as_str(), "its messages (Messages/Message) stand in one list, and each names its room itself (RoomId)"),
        (deep.as_str(), "its messages (m) stand in one list, and each names its room itself (room)"),
        (timeless.as_str(), "nothing in it has a time that can be read"),
        (wide.as_str(), "more than 4000 different elements"),
        ("{\"messages\": []}", "this is JSON; a profile can only read XML"),
        ("id;from;text\n", "this is text of another kind; a profile can only read XML"),
        ("", "this is empty"),
        ("PK\u{3}\u{4}", "this is a zip archive"),
        ("<a><b></a>", "line 1"),
    ] {
        let error = infer("x", None, xml.as_bytes()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words) && !said.contains('\n'), "{said}");
        assert_eq!(matches!(error, InferError::Export(_)), words == "line 1");
    }
}

/// The export with a mark in every word of its texts and attributes, so that whoever says one of them is found out; and
/// every long number in it.
fn marked(xml: &str) -> (String, BTreeSet<String>) {
    let (mut out, mut numbers) = (String::new(), BTreeSet::new());
    let (mut in_tag, mut in_value, mut word, mut number) = (false, false, 0, String::new());
    for c in xml.chars() {
        let is_text = !in_tag || in_value;
        if is_text && !c.is_ascii_alphabetic() && word > 2 && c != ';' {
            out.push_str(MARK);
        }
        if is_text && !c.is_ascii_digit() && number.len() > 4 {
            numbers.insert(number.clone());
        }
        word = if c.is_ascii_alphabetic() && is_text { word + 1 } else { 0 };
        number = if c.is_ascii_digit() && is_text { number + &c.to_string() } else { String::new() };
        match c {
            '<' => in_tag = true,
            '>' => in_tag = in_value,
            '"' if in_tag => in_value = !in_value,
            _ => {}
        }
        out.push(c);
    }
    (out, numbers)
}

const MARK: &str = "zqj";

#[test]
fn neither_proposal_nor_lint_says_what_an_export_holds() {
    let files = [
        "samples/icechat.xml",
        "profiles/bloomberg-ib/f848135.ib19.261119.xml",
        "infer/attributes.xml",
        "infer/nested.xml",
    ];
    for file in files {
        let xml = text(file);
        let body = &xml[xml.find("?>").map_or(0, |at| at + 2)..];
        let (xml, numbers) =
            marked(&body.replace("<![CDATA[Done & filled <10>.", "Done and filled").replace("]]>", ""));
        assert!(xml.matches(MARK).count() > 20 && xml.contains(&format!("contoso{MARK}.com{MARK}")), "{xml}");
        let proposal = proposed("export.xml", &xml);
        // Times that cannot be read, ids that repeat, people of whom nothing is known.
        let broken = xml
            .replace("2026", MARK)
            .replace("17950", MARK)
            .replace("m-2", "m-1")
            .replace(&format!("@contoso{MARK}.com{MARK}"), "");
        let found = linted(&decided(&proposal), &broken);
        let told = [
            proposal.text.clone(),
            proposal.guesses.join("\n"),
            // Whose export it is and of which day is what lint is asked.
            serde_json::to_string(&Lint { firm_code: None, date: None, ..found.clone() }).unwrap(),
            found.advice().join("\n"),
        ];
        for told in &told {
            assert!(!told.contains(MARK), "{file}: {told}");
            assert!(numbers.iter().all(|number| !told.contains(number)), "{file}: {told}");
        }
    }
}

#[test]
fn a_proposal_is_the_same_every_time_and_is_named_as_asked() {
    let xml = sample_export();
    let first = infer("desk \u{7}one", None, xml.as_bytes()).unwrap();
    assert_eq!(first, infer("desk \u{7}one", None, xml.as_bytes()).unwrap());
    assert!(first.text.starts_with("# desk one: proposed by"));
    assert_eq!(Profile::parse("x", &first.text).unwrap().guesses(), first.guesses);
}

#[test]
fn lint_says_what_to_do_next() {
    let profile = Profile::builtin("icechat").unwrap();
    let xml = sample_export();
    let advice = |xml: &str| linted(&profile, xml).advice().join("\n");
    assert!(advice(&xml).contains("look at the places with 0"), "{}", advice(&xml));
    for (from, to, words) in [
        ("<Conversation>", "<Chat>", "no conversation was found"),
        ("Message>", "Said>", "no message was found"),
        ("<RoomID>ROOM-1002</RoomID>", "", "conversations without a room id (1)"),
        ("<ImId>ghost1</ImId><SenderEmail>ghost@contoso.com</SenderEmail>", "", "(senders: 1): they get no copy"),
        ("2026-11-19T13:01:00Z", "11/19/2026 13:01:00", "DateTimeUTC: 99/99/9999 99:99:99)"),
        ("m-2", "m-1", "message ids repeat (1)"),
        ("<Recipient><ImId>chen_trading</ImId></Recipient>", "<Recipient/>", "(recipients: 1)"),
        ("<EndTimeUTC>", "<Poll/><EndTimeUTC>", "name what is in the export, but not in the profile (paths: 1)"),
    ] {
        let mut changed = xml.replace(from, to);
        if from == "<Conversation>" {
            changed = changed.replace("</Conversation>", "</Chat>");
        }
        assert!(advice(&changed).contains(words), "{words}: {}", advice(&changed));
    }
    let held = profile.text().replace("root = ", "unknown = \"hold\"\nroot = ");
    let held = Profile::parse("held", &held).unwrap();
    let found = linted(&held, &xml.replace("<EndTimeUTC>", "<Poll/><EndTimeUTC>"));
    assert!(found.held.as_deref().unwrap().contains("Poll"), "{found:#?}");
    assert!(found.advice().iter().any(|advice| advice.contains("a run would hold this file whole")));
    assert_eq!(EventKind::ALL.len(), 5, "a new kind is a new word in lint's table");
}

#[test]
fn lint_shows_a_firm_code_only_where_it_looks_like_one() {
    let profile = Profile::builtin("icechat").unwrap();
    for (code, shown) in
        [("ACME_1.b-2", true), ("amy@contoso.com", false), ("Amy Adams", false), (&"A".repeat(33), false)]
    {
        let xml = format!("<IceChatExport firmCode=\"{code}\"></IceChatExport>");
        assert_eq!(linted(&profile, &xml).firm_code.as_deref(), shown.then_some(code), "{code}");
    }
}

#[test]
fn a_profile_with_guesses_takes_in_nothing() {
    let firm = Firm::new();
    let plain = firm.path("ACME-20261119.xml");
    fs::write(&plain, sample_export()).unwrap();
    let (ours, own) = (firm.path("ours.toml"), "[export]\nprofile = \"./ours.toml\"\n");
    let said = Said::to(&["profile", "infer", "--output", ours.to_str().unwrap(), plain.to_str().unwrap()]).expect(0);
    assert!(said.out.contains("You must decide:") && said.out.contains("profile lint"), "{said:?}");
    // What a person has worked on is never overwritten.
    Said::to(&["profile", "infer", "--output", ours.to_str().unwrap(), plain.to_str().unwrap()]).expect(1);
    firm.configure(&Settings { more: own.to_owned(), ..Settings::default() });
    firm.deliver_export("ACME-20261119.xml.pgp", &sample_export());
    let proposal = fs::read_to_string(&ours).unwrap();
    let line = proposal.lines().position(|line| line == "guesses = [").unwrap() + 2;
    for verb in [
        &["ingest"][..],
        &["ingest", "--dry-run"],
        &["replay"],
        &["run"],
        &["restage", "--files", "x", "--reason", "y"],
    ] {
        let said = firm.run(verb);
        if verb[0] == "restage" && said.code == 2 {
            continue;
        }
        assert_eq!(said.code, 78, "{verb:?}: {said:?}");
        let words = format!("ours.toml, line {line}: ");
        assert!(said.err.contains(&words) && said.err.contains("its guesses are not decided"), "{said:?}");
    }
    let said = firm.run(&["check", "--offline"]).expect(1);
    assert!(said.out.contains("FAILURE  profile") && said.out.contains("guesses are not decided"), "{said:?}");
    assert!(firm.staged().is_empty());
    // Lint reads by it all the same, and says what is left, of an encrypted export too.
    let sealed = firm.sshd.root().join("ACME-20261119.xml.pgp");
    let said = firm.run(&["profile", "lint", "--profile", ours.to_str().unwrap(), sealed.to_str().unwrap()]).expect(0);
    assert!(
        said.out.contains("guesses left in the profile") && said.out.contains("RoomID is the room's own id"),
        "{said:?}"
    );
    assert!(said.out.contains("decide the guesses"), "{said:?}");
    fs::write(&ours, decide(&proposal)).unwrap();
    let said = firm.run(&["profile", "lint", "--profile", ours.to_str().unwrap(), sealed.to_str().unwrap()]).expect(0);
    assert!(!said.out.contains("guesses"), "{said:?}");
    firm.ingest(0);
    let ours: BTreeSet<String> = firm.placements().into_keys().collect();
    let built_in = Firm::new();
    built_in.deliver_export("ACME-20261119.xml.pgp", &sample_export());
    built_in.ingest(0);
    assert_eq!(ours, built_in.placements().into_keys().collect());
}

#[test]
fn an_encrypted_export_needs_no_plaintext_on_disk() {
    let firm = Firm::new();
    let sealed = firm.path("ACME-20261119.xml.pgp");
    fs::write(&sealed, firm.encrypt(&sample_export())).unwrap();
    // A configured profile that nobody has gone through does not stand in the way of a better one.
    let proposal = firm.run(&["profile", "infer", sealed.to_str().unwrap()]).expect(0).out;
    fs::write(firm.path("ours.toml"), &proposal).unwrap();
    firm.configure(&Settings { more: "[export]\nprofile = \"./ours.toml\"\n".to_owned(), ..Settings::default() });
    assert_eq!(firm.run(&["profile", "infer", sealed.to_str().unwrap()]).expect(0).out, proposal);
    let plain = sample("icechat.xml");
    let of_plain = Said::to(&["profile", "infer", plain.to_str().unwrap()]).expect(0).out;
    assert_eq!(of_plain, proposal);
    let json = firm.path("chat.json");
    fs::write(&json, "{}").unwrap();
    let said = Said::to(&["profile", "infer", json.to_str().unwrap()]).expect(1);
    assert!(said.err.contains("chat.json: neither XML nor an OpenPGP message"), "{said:?}");
    let sealed_json = firm.path("chat.json.pgp");
    fs::write(&sealed_json, firm.encrypt_bytes(b"{}")).unwrap();
    let said = firm.run(&["profile", "infer", sealed_json.to_str().unwrap()]).expect(1);
    assert!(said.err.contains("chat.json.pgp: this is JSON"), "{said:?}");
    let _ = sample_export();
}

/// The keys that a table of a profile may have, as the reader names them where it meets another.
fn keys_of(table: &str) -> BTreeSet<String> {
    let least = "root = \"R\"\nzz_top\n[conversation]\npath = \"C\"\nzz_conversation\n[[record]]\nkind = \"message\"\npath = \"M\"\n\
                 time = \"T\"\ncontent = \"C\"\nzz_record\n[record.person]\nim_id = \"I\"\nzz_person\n[[record.recipient]]\n\
                 path = \"P\"\nperson = { im_id = \"I\" }\nzz_recipient\n";
    let place = format!("zz_{table}\n");
    let text =
        if least.contains(&place) { least.replace(&place, "zz = 1\n") } else { format!("{least}{table}\nzz = 1\n") };
    let text: String = text.lines().filter(|line| !line.starts_with("zz_")).flat_map(|line| [line, "\n"]).collect();
    let reason = Profile::parse("x", &text).unwrap_err().reason;
    let (_, expected) = reason.split_once("expected").unwrap_or_else(|| panic!("{reason}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_explains_every_key_there_is() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profiles.md")).unwrap();
    let section = page.split("\n## Every key\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut tables = 0;
    for (heading, table) in [
        ("Top level", "top"),
        ("`[[file]]`", "[[file]]\nkind = \"export\"\nname = \"x\""),
        ("`[time]`", "[time]"),
        ("`[header]`", "[header]"),
        ("`[conversation]`", "conversation"),
        ("`[[record]]`", "record"),
        ("`[record.person]`", "person"),
        ("`[[record.recipient]]` and `[[record.invited]]`", "recipient"),
        ("`[totals]`", "[totals]"),
        ("`[totals.sidecar]`", "[totals.sidecar]"),
    ] {
        let part = section.split(&format!("\n### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
        let part = part.split("\n### ").next().unwrap();
        let explained: BTreeSet<String> =
            part.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned())).collect();
        assert_eq!(explained, keys_of(table), "{heading}: the page, and the keys there are");
        tables += 1;
    }
    assert_eq!(section.matches("\n### ").count(), tables, "a table of the page that no test knows");
}

#[test]
fn the_profiles_that_the_page_shows_are_sound() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profiles.md")).unwrap();
    let shown: Vec<&str> =
        page.split("<!-- profile -->\n```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!shown.is_empty());
    for text in shown {
        let profile = Profile::parse("docs/profiles.md", text).unwrap_or_else(|error| panic!("{error}"));
        assert!(profile.guesses().is_empty());
    }
}

/// A day of a standing room, by the profile `icechat`.
fn day(date: &str, records: &[(&str, &str, &str)]) -> String {
    let record = |(kind, who, clock): &(&str, &str, &str)| {
        let time = format!("<DateTimeUTC>{date}T{clock}Z</DateTimeUTC>");
        let email = format!("{who}@contoso.com");
        match *kind {
            "said" => format!(
                "<Message><MessageID>{date}-{clock}-{who}</MessageID><ImId>{who}</ImId><SenderEmail>{email}</SenderEmail>\
                 {time}<Content>good morning</Content></Message>"
            ),
            kind => format!(
                "<Participant{kind}><User><ImId>{who}</ImId><EmailAddress>{email}</EmailAddress></User>{time}\
                 </Participant{kind}>"
            ),
        }
    };
    let records: String = records.iter().map(record).collect();
    format!(
        "<IceChatExport firmCode=\"ACME\" date=\"{date}\"><Conversation><RoomID>STANDING</RoomID>{records}</Conversation>\
         </IceChatExport>"
    )
}

/// A firm whose profile carries presence on.
fn firm_that_carries(more: &str) -> Firm {
    let firm =
        Firm::with(&Settings { more: format!("[export]\nprofile = \"./ours.toml\"\n{more}"), ..Settings::default() });
    let text = Profile::builtin("icechat").unwrap().text().to_owned();
    fs::write(firm.path("ours.toml"), text.replace("root = \"", "presence = \"carry\"\nroot = \"")).unwrap();
    firm
}

const FIRST: [(&str, &str, &str); 4] = [
    ("Entered", "amy", "09:00:00"),
    ("Entered", "ben", "09:00:01"),
    ("Entered", "cho", "09:00:02"),
    ("said", "amy", "09:01:00"),
];

fn who(firm: &Firm, message: &str) -> Vec<String> {
    firm.placements()
        .remove(message)
        .unwrap_or_default()
        .into_iter()
        .map(|name| name.replace("@contoso.com", ""))
        .collect()
}

#[test]
fn a_silent_member_of_a_standing_room_gets_the_next_days_messages() {
    let firm = firm_that_carries("");
    firm.deliver_export("standing-20261116.pgp", &day("2026-11-16", &FIRST));
    firm.ingest(0);
    // Nobody comes; Cho goes at noon.
    let second = [("said", "amy", "09:01:00"), ("Left", "cho", "12:00:00"), ("said", "amy", "12:01:00")];
    firm.deliver_export("standing-20261117.pgp", &day("2026-11-17", &second));
    firm.ingest(0);
    assert_eq!(who(&firm, "2026-11-17-09:01:00-amy"), ["amy", "ben", "cho"]);
    assert_eq!(who(&firm, "2026-11-17-12:01:00-amy"), ["amy", "ben"]);
    // Who went is gone; who stayed is there two days on, and comes again without being there twice.
    let third = [("said", "dee", "09:01:00"), ("Entered", "ben", "09:02:00"), ("said", "dee", "09:03:00")];
    firm.deliver_export("standing-20261118.pgp", &day("2026-11-18", &third));
    firm.ingest(0);
    assert_eq!(who(&firm, "2026-11-18-09:01:00-dee"), ["amy", "ben", "dee"]);
    // Issued again with more in it, the second day begins with whom the first ended, not with whom the third did.
    let again = [&second[..], &[("said", "ben", "13:00:00")]].concat();
    firm.deliver_export("standing-20261117-2.pgp", &day("2026-11-17", &again));
    let report = firm.ingest(0);
    assert_eq!((&report["items"]["staged"], &report["items"]["duplicate"]), (&1.into(), &2.into()), "{report:#}");
    assert_eq!(who(&firm, "2026-11-17-13:00:00-ben"), ["amy", "ben"]);
    // What comes before everything else begins with nobody.
    firm.deliver_export("standing-20261115.pgp", &day("2026-11-15", &[("said", "amy", "09:01:00")]));
    firm.ingest(0);
    assert_eq!(who(&firm, "2026-11-15-09:01:00-amy"), ["amy"]);
}

/// Says which file is what, and of which day, and lets exports name attachments in archives.
fn with_archives(firm: &Firm) {
    let text = fs::read_to_string(firm.path("ours.toml")).unwrap();
    let with_id =
        text.replace("file_name     = \"FileName\"", "file_id       = \"FileID\"\nfile_name     = \"FileName\"");
    assert_ne!(text, with_id);
    let files = "[[file]]\nkind = \"export\"\nname = \"*-standing-{date:%Y%m%d}.pgp\"\n\
                 [[file]]\nkind = \"attachments\"\nname = \"files-{date:%Y%m%d}.zip\"\n";
    fs::write(firm.path("ours.toml"), format!("{with_id}\n{files}")).unwrap();
}

/// Ben enters on the 17th and says nothing on the 18th.
fn two_days() -> [String; 2] {
    let file = "<Attachment><MessageID>f</MessageID><ImId>amy</ImId><SenderEmail>amy@contoso.com</SenderEmail>\
                <DateTimeUTC>2026-11-17T09:02:00Z</DateTimeUTC><FileID>F-1</FileID><FileName>f.txt</FileName></Attachment>";
    let first = day("2026-11-17", &[("said", "amy", "09:00:00"), ("Entered", "ben", "09:01:00")]);
    let first = first.replace("</Conversation>", &format!("{file}</Conversation>"));
    [first, day("2026-11-18", &[("said", "amy", "09:01:00")])]
}

#[test]
fn an_export_waits_for_the_one_before_that_says_who_stays() {
    let firm = firm_that_carries("[attachments]\nwait = \"4h\"\n");
    with_archives(&firm);
    let [first, second] = two_days();
    // The site lists the second day first.
    firm.deliver_export("a-standing-20261118.pgp", &second);
    firm.deliver_export("b-standing-20261117.pgp", &first);
    for _ in 0..2 {
        let report = firm.ingest(0);
        for file in report["files"].as_array().unwrap() {
            assert_eq!(file["state"], "waiting", "{report:#}");
        }
        let reason = support::firm::file(&report, "a-standing-20261118.pgp")["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("who stays in its rooms says b-standing-20261117.pgp, which waits"), "{reason}");
    }
    assert!(firm.staged().is_empty());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("F-1", zip::write::SimpleFileOptions::default()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    firm.deliver("files-20261117.zip.pgp", &firm.encrypt_bytes(&zip));
    firm.ingest(0);
    assert_eq!(who(&firm, "2026-11-18-09:01:00-amy"), ["amy", "ben"], "Ben was there all the time");
    assert_eq!(firm.ingest(0)["files"], serde_json::json!([]));
    firm.run(&["verify"]).expect(0);
}

#[test]
fn an_export_that_cannot_be_taken_in_keeps_the_next_no_longer_than_it_waits() {
    let firm = firm_that_carries("[attachments]\nwait = \"4h\"\n");
    with_archives(&firm);
    let [first, second] = two_days();
    firm.deliver_export("b-standing-20261117.pgp", &first);
    firm.ingest(0);
    for original in fs::read_dir(firm.path("state/originals")).unwrap() {
        fs::remove_file(original.unwrap().path()).unwrap();
    }
    let ledger = rusqlite::Connection::open(firm.path("state/ledger.db")).unwrap();
    ledger.execute_batch("UPDATE waiting SET until = 1000; UPDATE files SET received = 1000").unwrap();
    firm.deliver_export("a-standing-20261118.pgp", &second);
    let report = firm.ingest(3);
    assert_eq!(support::firm::file(&report, "a-standing-20261118.pgp")["state"], "staged", "{report:#}");
    assert_eq!(firm.ingest(3)["needs"]["unfinished_files"], 1, "and it is a matter for a person");
}

#[test]
fn an_export_that_is_held_keeps_no_other_and_the_other_says_what_it_lacks() {
    let firm = firm_that_carries("[attachments]\nwait = \"0s\"\n");
    let [first, second] = two_days();
    firm.deliver_export("standing-20261117.pgp", &first[..first.len() - 9]);
    firm.deliver_export("standing-20261118.pgp", &second);
    let report = firm.ingest(3);
    assert_eq!(support::firm::file(&report, "standing-20261117.pgp")["state"], "held");
    let other = support::firm::file(&report, "standing-20261118.pgp");
    assert_eq!(other["state"], "staged");
    let says = "(who stays in its rooms is not known from standing-20261117.pgp, which is not taken in)";
    assert!(other["unknown"].as_array().unwrap().iter().any(|one| one["path"] == says), "{other:#}");
}

#[test]
fn an_export_says_for_itself_who_is_there_unless_the_profile_carries() {
    let firm = Firm::new();
    firm.deliver_export("standing-20261116.pgp", &day("2026-11-16", &FIRST));
    firm.ingest(0);
    firm.deliver_export("standing-20261117.pgp", &day("2026-11-17", &[("said", "amy", "09:01:00")]));
    firm.ingest(0);
    assert_eq!(who(&firm, "2026-11-17-09:01:00-amy"), ["amy"]);
}

#[test]
fn a_replay_knows_who_was_carried_in() {
    let list = "list = \"mailboxes.csv\"\n";
    let firm = firm_that_carries("");
    let settings = Settings {
        mailboxes: format!("domains = [\"contoso.com\"]\n{list}"),
        more: "[export]\nprofile = \"./ours.toml\"\n".to_owned(),
        ..Settings::default()
    };
    fs::write(firm.path("mailboxes.csv"), "PrimarySmtpAddress\namy@contoso.com\ncho@contoso.com\n").unwrap();
    firm.configure(&settings);
    firm.deliver_export("standing-20261116.pgp", &day("2026-11-16", &FIRST));
    firm.deliver_export("standing-20261117.pgp", &day("2026-11-17", &[("said", "amy", "09:01:00")]));
    firm.ingest(3);
    assert_eq!(who(&firm, "2026-11-17-09:01:00-amy"), ["amy", "cho"]);
    // Ben has a mailbox from now on: his copies follow, of the day that no longer names him as well.
    fs::write(firm.path("mailboxes.csv"), "PrimarySmtpAddress\namy@contoso.com\nben@contoso.com\ncho@contoso.com\n")
        .unwrap();
    firm.replay(0);
    assert_eq!(who(&firm, "2026-11-17-09:01:00-amy"), ["amy", "ben", "cho"]);
    firm.run(&["verify"]).expect(0);
}

#[test]
fn a_days_transcript_names_the_silent_who_were_there_already() {
    let firm = firm_that_carries("[eml]\ngrouping = \"conversation\"\n");
    firm.deliver_export("standing-20261116.pgp", &day("2026-11-16", &FIRST));
    firm.ingest(0);
    firm.deliver_export("standing-20261117.pgp", &day("2026-11-17", &[("said", "amy", "09:01:00")]));
    firm.ingest(0);
    let staged = firm.staged();
    let of_second: BTreeSet<&str> =
        staged.keys().filter(|(_, name)| name.starts_with("20261117")).map(|(mailbox, _)| mailbox.as_str()).collect();
    assert_eq!(of_second, BTreeSet::from(["amy@contoso.com", "ben@contoso.com", "cho@contoso.com"]));
}

#[test]
fn names_are_not_needed_where_texts_speak() {
    let line = |n: u32, who: &str, said: &str| {
        format!("<q><a>k{n}</a><b>2026-11-19T13:0{n}:05Z</b><c>{who}@contoso.com</c><d>{said}</d></q>")
    };
    let xml = format!(
        "<z><y roomId='1'>{}{}{}</y></z>",
        line(1, "amy", "three lots of copper if you can"),
        line(2, "jo", "I can, at eight thousand and two"),
        line(3, "amy", "then we have a deal, thank you")
    );
    let proposal = proposed("chat.xml", &xml);
    let profile = decided(&proposal);
    assert_reads_all(&linted(&profile, &xml));
    assert!(
        proposal.guesses.iter().any(|guess| guess.contains("only the look of its texts says so")),
        "{:?}",
        proposal.guesses
    );
}
