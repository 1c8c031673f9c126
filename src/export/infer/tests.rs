//! Exports as other vendors might write them: what is proposed reads them completely, and says none of what they hold.

use super::*;
use crate::export::testing::SAMPLE;

#[test]
fn show() {
    let proposal = infer("x", Some("ACME-20261119.xml"), SAMPLE.as_bytes()).unwrap();
    println!("{}", proposal.text);
}

/// Found by fuzzing: a stray text between messages had the element around them ignored, and the messages with it.
#[test]
fn a_stray_text_between_records_hides_none_of_them() {
    let xml = include_str!("../../../tests/fixtures/infer/nested.xml");
    for (place, stray) in
        [("<Messages>", "<Messages>stray"), ("</Message>", "</Message>stray"), ("<Chats>", "<Chats>stray")]
    {
        let stray = xml.replacen(place, stray, 1);
        assert_ne!(stray, xml, "{place}");
        let read = |xml: &str| {
            let proposal = infer("x", None, xml.as_bytes()).unwrap();
            let profile = Profile::parse("x", &proposal.text).unwrap();
            crate::export::lint::lint(&profile, crate::export::testing::LIMITS, xml.as_bytes()).unwrap().items
        };
        assert_eq!(read(&stray), read(xml), "{place}");
        assert!(read(xml) > 1);
    }
}
