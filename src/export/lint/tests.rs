//! Numbers and names, never what was said.

use super::*;
use crate::export::testing::{LIMITS, SAMPLE, icechat};

#[test]
fn lint_counts_what_fits_and_what_does_not() {
    let odd = "<Conversation><Message secret='1'><MessageID>x</MessageID><ImId>whisper</ImId><DateTimeUTC>noon</DateTimeUTC>\
               <Content>whisper</Content><Recipient/></Message>\
               <Message><MessageID>m</MessageID><ImId>whisper</ImId><DateTimeUTC>5</DateTimeUTC><Content/></Message>\
               <Message><MessageID>m</MessageID><ImId>whisper</ImId><DateTimeUTC>6</DateTimeUTC><Content/></Message>\
               <Message><ImId>whisper</ImId><DateTimeUTC>6</DateTimeUTC><Content>whisper</Content></Message><Poll/></Conversation>";
    let xml = SAMPLE.replace("</IceChatExport>", &format!("{odd}</IceChatExport>"));
    let lint = lint(&icechat(), LIMITS, xml.as_bytes()).unwrap();
    assert_eq!((lint.conversations, lint.without_room_id, lint.items), (3, 1, 8));
    assert_eq!((lint.unreadable_times, lint.repeated_message_ids, lint.without_message_id), (1, 1, 1));
    assert_eq!(lint.participants_without_identity, 1);
    assert_eq!((lint.firm_code.as_deref(), lint.date.as_deref()), (Some("ACME"), Some("2026-11-19")));
    let unknown: Vec<_> = lint.unknown.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(unknown, ["IceChatExport/Conversation/Message/@secret", "IceChatExport/Conversation/Poll"]);
    let times = |path: &str| lint.fields.iter().find(|field| field.path == path).unwrap().count;
    assert_eq!(times("IceChatExport/Conversation/Message"), 9);
    assert_eq!(times("IceChatExport/Conversation/Attachment/Data/@encoding"), 0);
    assert_eq!(times("IceChatExport/@firmCode"), 1);
    assert!(!serde_json::to_string(&lint).unwrap().contains("whisper"));
}
