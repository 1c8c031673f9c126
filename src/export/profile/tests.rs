//! What a profile may say, and what the reader makes of one that is not ours.

use super::*;
use crate::export::reader::{Reader, Step};
use crate::export::testing::LIMITS;
use crate::export::{Body, Record};

const OTHER: &str = r#"
root = "FileDump"
[header]
firm_code = ["@firm", "Header/Firm"]
date      = "Header/Date"
ignore    = "Header/@version"
[conversation]
path    = ["Rooms/Conversation", "Chat"]
room_id = "@id"
[[record]]
kind    = "message"
path    = "Message"
time    = ["DateTimeUTC", "@utc"]
content = "."
ignore  = "DateTime"
[record.person]
im_id   = "User/LoginName"
email   = ["User/CorporateEmailAddress", "User/EmailAddress"]
name    = "User/Name"
[[record.recipient]]
path    = "To/User"
person  = { im_id = "@login", name = "." }
"#;

#[test]
fn the_built_in_profiles_are_sound() {
    for name in builtin_names() {
        let profile = Profile::builtin(name).unwrap();
        assert_eq!(profile.name(), name);
        let again = Profile::parse(name, profile.text()).unwrap();
        assert_eq!(again.layout.paths(), profile.layout.paths());
    }
    assert!(Profile::builtin("other").is_none());
}

#[test]
fn another_schema_needs_another_profile_and_nothing_else() {
    let profile = Profile::parse("other", OTHER).unwrap();
    let xml = "<FileDump firm='ACME'><Header version='1'><Date>20261119</Date></Header><Rooms><Conversation id='R'>\
               <Message utc='5'>hi<User><LoginName>a</LoginName><Name>Amy</Name><EmailAddress>a@x</EmailAddress></User>\
               <DateTime>x</DateTime><To><User login='b'>Bob</User></To></Message></Conversation></Rooms><Chat/></FileDump>";
    let mut reader = Reader::new(&profile, LIMITS, xml.as_bytes());
    assert_eq!(reader.step().unwrap(), Some(Step::Begin));
    let Some(Step::Record { record: Record::Item(item), .. }) = reader.step().unwrap() else { panic!("no item") };
    assert_eq!(item.body, Body::Text("hi".into()));
    assert_eq!((item.sender.name.as_deref(), item.sender.email.unwrap().as_str()), (Some("Amy"), "a@x"));
    assert_eq!(
        (item.recipients[0].name.as_deref(), item.recipients[0].im_id.as_ref().unwrap().as_str()),
        (Some("Bob"), "b")
    );
    let Some(Step::End(room)) = reader.step().unwrap() else { panic!("no end") };
    assert_eq!(room.id.as_deref(), Some("R"));
    assert_eq!(
        (reader.step().unwrap(), reader.step().unwrap(), reader.step().unwrap()),
        (Some(Step::Begin), Some(Step::End(crate::export::Room::default())), None)
    );
    let summary = reader.finish();
    assert_eq!(summary.header.firm_code.as_deref(), Some("ACME"));
    assert_eq!(summary.unknown, []);
}

#[test]
fn a_faulty_profile_is_refused_with_its_line() {
    let conversation = "root = 'R'\n[conversation]\npath = 'C'\n";
    let event = |keys: &str| format!("{conversation}[[record]]\nkind = 'event'\npath = 'E'\n{keys}");
    let table = [
        ("root = ".to_owned(), Some(1), ""),
        ("root = 'R'".to_owned(), Some(1), "missing field `conversation`"),
        (format!("{conversation}rooms = 'x'\n"), Some(4), "unknown field `rooms`"),
        (event("colour = 'red'"), Some(7), "unknown field `colour`"),
        (event("").replace("'R'", "'x:R'"), Some(1), "root is no element name"),
        (event("").replace("'C'", "'a b'"), Some(3), "\"a b\" is no path"),
        (event("").replace("'C'", "'@a'"), Some(3), "\"@a\" must name an element"),
        (event("").replace("'C'", "'.'"), Some(3), "\".\" must name an element"),
        (event("").replace("'E'", "5"), Some(6), "invalid type"),
        (event("").replace("'event'", "'poll'"), Some(5), "unknown variant `poll`"),
        (event("time = 'T'"), Some(5), "a record of this kind has no time"),
        (event("").replace("'event'", "'message'"), Some(5), "a record of this kind needs time"),
        (event("[[record]]\nkind = 'event'\npath = 'E'"), Some(9), "\"E\" is named twice"),
        (event("ignore = ['A', 'A']"), Some(7), "\"A\" is named twice"),
        (
            event("").replace("path = 'C'\n", "path = 'C'\nroom_id = 'I'\nroom_name = 'I'\n"),
            Some(5),
            "\"I\" is named twice",
        ),
    ];
    let no_day = event("").replace("[conversation]", "[header]\nfile_date = '%Y'\n[conversation]");
    let reason = "file_date must say year, month and day";
    for (text, line, reason) in table.into_iter().chain([(no_day, Some(3), reason)]) {
        refused(&text, line, reason);
    }
}

fn refused(text: &str, line: Option<usize>, reason: &str) {
    let error = Profile::parse("p", text).unwrap_err();
    assert_eq!(error.line, line, "{text}\n{error}");
    assert!(error.reason.starts_with(reason), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn what_is_wrong_with_a_record_is_said_with_its_line() {
    let person = "person = { im_id = 'By' }";
    let table = [
        ("entered", "time = 'T'", 5, "a record of this kind needs person.im_id or person.email"),
        ("left", "time = 'T'\nperson = { name = 'By' }", 5, "a record of this kind needs person.im_id or person.email"),
        ("invited", "time = 'T'", 5, "a record of this kind needs invited"),
        ("invited", "invited = [{ path = 'W', person = { im_id = '.' } }]", 5, "a record of this kind needs time"),
        ("history", "time = 'T'\nPERSON", 5, "a record of this kind needs content"),
        ("history", "content = '.'\nPERSON", 5, "a record of this kind needs time"),
        ("disclaimer", "time = 'T'", 5, "a record of this kind needs content"),
        ("disclaimer", "content = '.'\ndisclaimer = 'D'", 5, "a record of this kind has no disclaimer"),
        ("system", "content = '.'\nfile_id = 'F'", 5, "a record of this kind has no data or file_id"),
        (
            "system",
            "content = '.'\ninvited = [{ path = 'W', person = { im_id = '.' } }]",
            5,
            "a record of this kind has no invited",
        ),
        ("event", "message_id = 'I'", 5, "a record of this kind has no message_id"),
        ("event", "extra = { A = 'A' }", 5, "a record of this kind has no extra"),
        ("attachment", "time = 'T'\nPERSON", 5, "a record of this kind needs data or file_id"),
        ("attachment", "time = 'T'\ncontent = 'C'\nfile_id = 'F'\nPERSON", 5, "a record of this kind has no content"),
        ("attachment", "time = 'T'\nreference = 'file_name'\nPERSON", 8, "reference = \"file_name\" needs file_name"),
        (
            "attachment",
            "time = 'T'\ndata = 'D'\nreference = 'file_id'\nPERSON",
            9,
            "reference = \"file_id\" needs file_id",
        ),
        ("attachment", "time = 'T'\nreference = 'name'\nPERSON", 8, "unknown variant `name`"),
        (
            "attachment",
            "time = 'T'\nfile_id = 'F'\ndata_encoding = 'E'\nPERSON",
            5,
            "a record of this kind has no data_encoding",
        ),
    ];
    for (kind, keys, line, reason) in table {
        let keys = keys.replace("PERSON", person);
        refused(
            &format!("root = 'R'\n[conversation]\npath = 'C'\n[[record]]\nkind = '{kind}'\npath = 'E'\n{keys}"),
            Some(line),
            reason,
        );
    }
    for (kind, keys, line, never) in [
        ("message", "time = 'T'\ncontent = 'X/Y'\nPERSON\nignore = 'X'", 8, "\"R/C/E/X/Y\" is never read"),
        ("message", "time = 'T'\ncontent = 'X/@y'\nPERSON\nignore = 'X'", 8, "\"R/C/E/X\" is never read"),
        ("attachment", "time = 'T'\ndata = 'X/Y/Z'\nPERSON\nignore = ['Q', 'X/Y']", 8, "\"R/C/E/X/Y/Z\" is never read"),
        (
            "event",
            "[[record]]\nkind = 'message'\npath = 'E/M'\ntime = 'T'\ncontent = 'X'\nPERSON",
            9,
            "\"R/C/E/M\" is never read",
        ),
    ] {
        let keys = keys.replace("PERSON", person);
        refused(
            &format!("root = 'R'\n[conversation]\npath = 'C'\n[[record]]\nkind = '{kind}'\npath = 'E'\n{keys}"),
            Some(line),
            never,
        );
    }
    let twice = "root = 'R'\n[conversation]\npath = 'C'\n[[record]]\nkind = 'system'\npath = 'E'\ncontent = '.'\nignore = ['A', 'A/B', 'A/@c']";
    assert!(Profile::parse("p", twice).is_ok(), "what is not used may be named within what is not used");
    let nested = "root = 'R'\n[conversation]\npath = 'C'\n[[record]]\nkind = 'system'\npath = 'E'\ncontent = '.'\n\
                  [[record]]\nkind = 'system'\npath = 'E/F'\ncontent = '.'";
    refused(nested, Some(10), "\"E/F\" is a record within a record");
    refused(&nested.replace("'E'", "'E/F/G'"), Some(10), "\"E/F\" is a record within a record");
}

#[test]
fn what_is_wrong_with_a_further_field_or_a_list_is_said_with_its_line() {
    let person = "person = { im_id = 'By' }";
    let table = [
        ("message", "time = 'T'\ncontent = '.'\nextra = { 'a b' = '@x' }\nPERSON", 9, "extra \"a b\" must be letters"),
        (
            "message",
            "time = 'T'\ncontent = '.'\nextra = { 'Item-ID' = '@x' }\nPERSON",
            9,
            "extra \"Item-ID\" is the name of",
        ),
        (
            "message",
            "time = 'T'\ncontent = '.'\nextra = { A = '@x', a = '@y' }\nPERSON",
            9,
            "extra \"a\" is the name of",
        ),
        ("message", "time = 'T'\ncontent = '.'\nextra = { A = 'T' }\nPERSON", 9, "\"T\" is named twice"),
        (
            "message",
            "time = 'T'\ncontent = 'X'\nPERSON\nrecipient = [{ path = 'To', delimiter = '', person = { email = '.' } }]",
            10,
            "delimiter is empty",
        ),
        (
            "message",
            "time = 'T'\ncontent = 'X'\nPERSON\nrecipient = [{ path = 'To', delimiter = ';', person = { name = '.' } }]",
            10,
            "with a delimiter, the person has one field, which is im_id or email",
        ),
        (
            "message",
            "time = 'T'\ncontent = 'X'\nPERSON\nrecipient = [{ path = 'To', delimiter = ';', person = { email = '.', im_id = '@i' } }]",
            10,
            "with a delimiter, the person has one field, which is im_id or email",
        ),
    ];
    for (kind, keys, line, reason) in table {
        let keys = keys.replace("PERSON", person);
        refused(
            &format!("root = 'R'\n[conversation]\npath = 'C'\n[[record]]\nkind = '{kind}'\npath = 'E'\n{keys}"),
            Some(line),
            reason,
        );
    }
}

#[test]
fn what_is_wrong_beside_the_records_is_said_with_its_line() {
    let rest = "[conversation]\npath = 'C'\n[[record]]\nkind = 'event'\npath = 'E'\n";
    let table = [
        ("unknown = 'drop'", 2, "unknown variant `drop`"),
        ("presence = 'keep'", 2, "unknown variant `keep`"),
        ("guesses = 'one'", 2, "invalid type: string"),
        ("[[file]]\nkind = 'export'", 2, "missing field `name`"),
        ("[[file]]\nkind = 'mail'\nname = 'x'", 3, "unknown variant `mail`"),
        ("[[file]]\nkind = 'export'\nname = ['a', '{date:%Y}']", 4, "\"{date:%Y}\" has {date:%Y}, which must say"),
        ("[[file]]\nkind = 'export'\nname = '{a}{a}'", 4, "\"{a}{a}\" has {a} twice"),
        ("[time]\nzone = 'Mars/Base'", 3, "\"Mars/Base\" is no time zone"),
        ("[time]\nformats = 'unix'", 3, "invalid type: string"),
        ("[time]\nformats = []", 3, "time.formats: names no format"),
        ("[time]\nformats = ['iso']", 3, "time.formats: \"iso\" is no format"),
        ("[time]\nambiguous = 'first'", 3, "unknown variant `first`"),
        (
            "[time]\nformats = ['%m/%d/%Y %H:%M']",
            3,
            "time.formats: \"%m/%d/%Y %H:%M\" has no offset, so that time.zone",
        ),
        ("[totals]\nmails = 'T'", 3, "unknown field `mails`"),
        ("[totals]\nmessages = 'T'\nrecords = 'T'", 4, "\"T\" is named twice"),
        ("[totals]\nmessages = '.'", 3, "\".\" is named twice, or cannot stand here"),
        ("[totals.sidecar]\nmessages = 'Messages'", 3, "a line of control totals has {count} once"),
        ("[totals.sidecar]\nmessages = '{count} {count}'", 3, "a line of control totals has {count} once"),
    ];
    for (keys, line, reason) in table {
        refused(&format!("root = 'R'\n{keys}\n{rest}"), Some(line), reason);
    }
}

#[test]
fn a_file_is_what_its_name_says() {
    let names = "[[file]]\nkind = 'totals'\nname = ['{firm}-{date:%Y%m%d}.txt', '*.count']\n\
                 [[file]]\nkind = 'attachments'\nname = '{firm}-{date:%Y%m%d}*.zip'\n";
    let text = format!(
        "root = 'R'\n{names}[header]\nfile_date = '%Y%m%d'\n[conversation]\npath = 'C'\n[[record]]\nkind = 'event'\npath = 'E'\n"
    );
    let profile = Profile::parse("p", &text).unwrap();
    let export = profile.role("ACME-20261119.xml.pgp");
    assert_eq!((export.kind, export.captures.len()), (FileKind::Export, 0), "where none fits");
    assert_eq!(profile.date_in_name("ACME-20261119.xml.pgp"), Some(jiff::civil::date(2026, 11, 19)));
    let totals = profile.role("ACME-20261119.TXT.gpg");
    assert_eq!(
        (totals.kind, totals.captures["firm"].as_str(), totals.captures["date"].as_str()),
        (FileKind::Totals, "acme", "2026-11-19")
    );
    assert_eq!(profile.role("x.count").kind, FileKind::Totals);
    let archive = profile.role("acme-20261119.2.zip");
    assert!(archive.kind == FileKind::Attachments && archive.goes_with(&totals));
    assert_eq!(Profile::builtin("icechat").unwrap().role("any.att.tar.gz").kind, FileKind::Export);
}
