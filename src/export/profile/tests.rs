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
        let error = Profile::parse("p", &text).unwrap_err();
        assert_eq!(error.line, line, "{text}\n{error}");
        assert!(error.reason.starts_with(reason), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
