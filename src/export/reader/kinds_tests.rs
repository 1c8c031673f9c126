//! What a profile other than the plainest can say, rule by rule, and the two that are built in against their examples.

use std::fmt::Write as _;

use super::*;
use crate::export::profile::Presence;
use crate::export::testing::{LIMITS, SAMPLE, icechat, read_by, records, whole};
use crate::export::totals::Total;
use crate::export::{Body, Details, EventKind, EventRecord, FileData, ItemKind, ItemRecord, Person};

/// A profile of one root, one conversation and these records.
fn profile(before: &str, records: &str) -> Profile {
    let text = format!("root = 'R'\n{before}\n[conversation]\npath = 'C'\nroom_id = ['@id', 'Id']\n{records}");
    Profile::parse("p", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const MESSAGE: &str = "[[record]]\nkind = 'message'\npath = 'M'\nmessage_id = '@id'\ntime = ['T', '@t']\n\
                       content = ['Html', 'Text']\nperson = { im_id = 'By', email = ['Work', 'Home'] }\n";
const ATTACHMENT: &str = "[[record]]\nkind = 'attachment'\npath = 'A'\ntime = '@t'\nfile_name = 'Name'\ndata = 'D'\n\
                          person = { im_id = '@by' }\n";

fn one(profile: &Profile, inside: &str) -> Record {
    let (mut records, _) = records(profile, &format!("<R><C>{inside}</C></R>"));
    assert_eq!(records.len(), 1, "{inside}");
    records.remove(0)
}

fn item(profile: &Profile, inside: &str) -> ItemRecord {
    match one(profile, inside) {
        Record::Item(item) => item,
        other => panic!("no item: {other:?}"),
    }
}

fn reason(profile: &Profile, inside: &str) -> String {
    match one(profile, inside) {
        Record::Rejected(rejected) => rejected.reason,
        other => panic!("not rejected: {other:?}"),
    }
}

fn event(profile: &Profile, inside: &str) -> EventRecord {
    match one(profile, inside) {
        Record::Event(event) => event,
        other => panic!("no event: {other:?}"),
    }
}

/// In few words.
fn shown(person: &Person) -> String {
    let id = person.im_id.as_ref().map_or("", |id| id.as_str());
    let (email, name) = (person.email.as_ref().map_or("", |email| email.as_str()), person.name.as_deref());
    format!("{} <{email}> {id} ({})", name.unwrap_or_default(), person.company.as_deref().unwrap_or_default())
}

fn text(body: &Body) -> &str {
    match body {
        Body::Text(text) => text,
        Body::File(file) => panic!("a file: {file:?}"),
    }
}

#[test]
fn of_several_places_the_first_that_is_not_empty_counts() {
    let profile = profile("", MESSAGE);
    let table = [
        ("<T>5</T><Work>w@x</Work><Home>h@x</Home><Html>h</Html><Text>t</Text>", ("w@x", 5, "h")),
        ("<Text>t</Text><Html>h</Html><Home>h@x</Home><Work>w@x</Work><T>5</T>", ("w@x", 5, "h")),
        ("<T> </T><Work/><Home>h@x</Home><Html> </Html><Text>t</Text>", ("h@x", 9, "t")),
        ("<T>5</T><Home>a@x</Home><Home>b@x</Home><Work>w@x</Work><Html/><Text> </Text>", ("w@x", 5, "")),
        ("<T>5</T><Home>a@x</Home><Home>A@x</Home><Text/>", ("a@x", 5, "")),
    ];
    for (fields, (email, time, content)) in table {
        let item = item(&profile, &format!("<M t='9'><By>a</By>{fields}</M>"));
        assert_eq!(item.sender.email.as_ref().unwrap().as_str(), email, "{fields}");
        assert_eq!((item.time.as_second(), text(&item.body)), (time, content), "{fields}");
    }
    for (fields, expected) in [
        ("<T>5</T><Home>a@x</Home><Home>b@x</Home><Text>t</Text>", "the person's e-mail is given twice"),
        ("<T>5</T><Html>h</Html><Html>i</Html><Text>t</Text>", "the content is given twice"),
        ("<T>5</T><T>6</T><Text>t</Text>", "the time is given twice"),
        ("<T>noon</T><Text>t</Text>", "the time is neither RFC 3339 with an offset nor Unix seconds"),
        ("<T>5</T>", "no content"),
    ] {
        let reason = reason(&profile, &format!("<M t='9'><By>a</By>{fields}</M>"));
        assert!(reason.starts_with(expected), "{fields}: {reason}");
    }
    let fine = item(&profile, "<M t='noon'><By>a</By><T>5</T><Text>t</Text></M>");
    assert_eq!(fine.time.as_second(), 5, "what is not preferred need not be readable");
}

#[test]
fn a_room_has_one_id_from_the_place_that_is_preferred() {
    let profile = profile("", MESSAGE);
    let end = |xml: &str| read_by(&profile, xml.as_bytes(), LIMITS, usize::MAX);
    for (inside, expected) in [("<C id='a'><Id>b</Id></C>", "a"), ("<C id=' '><Id>b</Id></C>", "b")] {
        let (steps, _) = end(&format!("<R>{inside}</R>"));
        let Some(Step::End(room)) = steps.last() else { panic!("{steps:?}") };
        assert_eq!(room.id.as_deref(), Some(expected));
    }
    assert!(end("<R><C id='a'><Id>b</Id><Id>c</Id></C></R>").1.is_ok(), "the attribute is preferred to both");
    let error = end("<R><C><Id>b</Id><Id>c</Id></C></R>").1.unwrap_err();
    assert!(error.contains("gives its room id twice"), "{error}");
}

#[test]
fn times_are_read_by_the_profile() {
    let rule = "[time]\nformats = ['%m/%d/%Y %H:%M:%S', 'unix_ms']\nzone = 'America/New_York'";
    let profile = profile(rule, &MESSAGE.replace("['T', '@t']", "'T'"));
    let message = |time: &str| format!("<M><By>a</By><T>{time}</T><Text>t</Text></M>");
    for (time, expected) in
        [("11/19/2026 08:02:05", "2026-11-19T13:02:05Z"), ("1795093325250", "2026-11-19T13:02:05.25Z")]
    {
        assert_eq!(item(&profile, &message(time)).time.to_string(), expected);
    }
    let listed = reason(&profile, &message("2026-11-19T13:02:05Z"));
    assert_eq!(listed, "the time is in none of the profile's time.formats");
    let twice = reason(&profile, &message("11/01/2026 01:30:00"));
    assert!(twice.starts_with("the clocks of the profile's time.zone show the time twice or never"), "{twice}");
}

#[test]
fn recipients_may_be_a_list() {
    let to = "[[record.recipient]]\npath = 'To'\ndelimiter = ';'\nperson = { email = '.' }\n\
              [[record.recipient]]\npath = 'Ids'\ndelimiter = ', '\nperson = { im_id = '@list' }\n\
              [[record.recipient]]\npath = ['@to', '@cc']\ndelimiter = ' '\nperson = { im_id = '.' }\n";
    let profile = profile("", &format!("{MESSAGE}{to}"));
    let message = "<M t='5' cc='h' to='g'><By>a</By><To> b@x ;;C@x; </To><To/><Ids list='d, e,f, '/><Text>t</Text></M>";
    let (records, summary) = records(&profile, &format!("<R><C>{message}</C></R>"));
    let [Record::Item(item)] = &records[..] else { panic!("{records:?}") };
    let to: Vec<_> = item.recipients.iter().map(shown).collect();
    assert_eq!(to, [" <> h ()", " <> g ()", " <b@x>  ()", " <C@x>  ()", " <> d ()", " <> e,f ()"]);
    assert_eq!(summary.nameless_recipients, 0);
    let crowd = ReadLimits { max_participants: 1, ..LIMITS };
    let error = read_by(&profile, format!("<R><C>{message}</C></R>").as_bytes(), crowd, 9).1.unwrap_err();
    assert!(error.contains("more than 1 participants"), "{error}");
}

#[test]
fn of_several_places_of_one_list_the_first_that_names_anybody_counts() {
    let to = "[[record.recipient]]\npath = 'To'\ndelimiter = ';'\nperson = { email = ['Work', '@home', '.'] }\n";
    let profile = profile("", &format!("{MESSAGE}{to}"));
    let table = [
        ("<To home='h@x;i@x'>j@x<Work>w@x; v@x</Work></To>", &["w@x", "v@x"][..]),
        ("<To home='h@x;i@x'>j@x<Work> ; </Work></To>", &["h@x", "i@x"]),
        ("<To home=''>j@x</To>", &["j@x"]),
        ("<To home='h@x'><Work>a@x</Work><Work>b@x</Work></To><To home='k@x'/>", &["a@x", "b@x", "k@x"]),
        ("<To/>", &[]),
    ];
    for (fields, expected) in table {
        let item = item(&profile, &format!("<M t='5'><By>a</By>{fields}<Text>t</Text></M>"));
        let to: Vec<_> = item.recipients.iter().map(|one| one.email.as_ref().unwrap().as_str()).collect();
        assert_eq!(to, expected, "{fields}");
    }
    let crowd = ReadLimits { max_participants: 2, ..LIMITS };
    let message = "<R><C><M t='5'><By>a</By><To home='a@x;b@x;c@x'/><Text>t</Text></M></C></R>";
    let error = read_by(&profile, message.as_bytes(), crowd, 9).1.unwrap_err();
    assert!(error.contains("more than 2 participants"), "{error}");
}

#[test]
fn data_may_stand_in_an_attribute() {
    let profile = profile("", &ATTACHMENT.replace("data = 'D'", "data = ['D', 'Blob/@base64']"));
    let file = |fields: &str| one(&profile, &format!("<A t='5' by='a'><Name>n</Name>{fields}</A>"));
    for (fields, expected) in [("<Blob base64='Qk JC'/>", "BBB"), ("<Blob base64='QkJC'/><D>QUFB</D>", "AAA")] {
        let Record::Item(ItemRecord { body: Body::File(found), .. }) = file(fields) else { panic!("{fields}") };
        assert_eq!(found.data, FileData::Inside(expected.into()), "{fields}");
    }
    for (fields, expected) in [("<Blob base64='%'/>", "the data is not base64"), ("<Blob base64=''/>", "no data")] {
        let Record::Rejected(rejected) = file(fields) else { panic!("{fields}") };
        assert_eq!(rejected.reason, expected);
    }
}

#[test]
fn words_that_are_not_whole_are_no_words() {
    let said = "[[record]]\nkind = 'system'\npath = 'S'\ntime = '@t'\ncontent = ['Text', 'Other']\n\
                [[record]]\nkind = 'disclaimer'\npath = 'N'\ncontent = 'Text'\n";
    let profile = profile("", said);
    let fine = event(&profile, "<S t='5'><Text>closing at five</Text></S>");
    assert_eq!((fine.text.as_deref(), fine.fault, fine.time.is_some()), (Some("closing at five"), None, true));
    // Whatever the limits, for a replay under wider ones must find the same.
    let long = "x".repeat(1 << 20);
    for (xml, why) in [
        ("<S t='5'><Text>one</Text><Text>two</Text></S>".to_owned(), "the content is given twice"),
        ("<N><Text>one</Text><Text>two</Text></N>".to_owned(), "the content is given twice"),
        (format!("<S t='5'><Text>{long}</Text></S>"), "longer than 1048576 bytes"),
        (format!("<S t='noon'><Text>{long}</Text></S>"), "longer than 1048576 bytes"),
    ] {
        let (found, summary) = records(&profile, &format!("<R><C>{xml}</C></R>"));
        let [Record::Event(event)] = &found[..] else { panic!("{why}") };
        assert_eq!(event.text, None, "{why}");
        assert!(event.fault.as_deref().unwrap().starts_with(why), "{event:?}");
        assert!(event.as_item().is_none());
        assert_eq!(summary.unknown.len(), 1, "{why}: it is told");
    }
}

#[test]
fn attachments_are_here_or_in_an_archive() {
    let inside = |keys: &str| profile("", &format!("{ATTACHMENT}{keys}"));
    let file = |profile: &Profile, fields: &str| match item(profile, &format!("<A t='5' by='a'>{fields}</A>")).body {
        Body::File(file) => (file.reference.map(String::from), file.data),
        Body::Text(text) => panic!("a text: {text}"),
    };
    let here = FileData::Inside(b"AAA".to_vec());
    let by_id = inside("file_id = 'Id'");
    assert_eq!(file(&by_id, "<Id> x1 </Id><Name>n</Name>"), (Some("x1".to_owned()), FileData::Awaited));
    assert_eq!(file(&by_id, "<Id>x1</Id><D>QUFB</D>"), (None, here.clone()));
    let nothing = reason(&by_id, "<A t='5' by='a'><Name>n</Name><D/></A>");
    assert_eq!(nothing, "neither data nor what an archive would know it by");
    let by_name = inside("reference = 'file_name'");
    assert_eq!(file(&by_name, "<Name>n</Name>"), (Some("n".to_owned()), FileData::Awaited));
    assert_eq!(file(&by_name, "<Name>n</Name><D>QUFB</D>"), (None, here));
    let both = inside("reference = 'file_name'\nfile_id = 'Id'");
    assert_eq!(file(&both, "<Name>n</Name><Id>x</Id>").0.as_deref(), Some("x"));
    assert_eq!(file(&both, "<Name>n</Name><Id/>").0.as_deref(), Some("n"));
    assert_eq!(reason(&inside(""), "<A t='5' by='a'><Name>n</Name></A>"), "no data");
}

#[test]
fn further_fields_are_kept_in_the_order_of_their_names() {
    let extra = "disclaimer = '@d'\nextra = { 'Zone' = '@z', 'Device' = ['Device', '@dev'] }\n";
    let profile = profile("", &MESSAGE.replace("content", &format!("{extra}content")));
    let details = item(&profile, "<M t='5' z='9' dev='x' d='D1'><By>a</By><Device> M </Device><Text/></M>").details;
    let details = details.unwrap();
    assert_eq!(details.extra, [("Device".into(), "M".into()), ("Zone".into(), "9".into())]);
    assert_eq!((details.disclaimer.as_deref(), details.source), (Some("D1"), None));
    assert_eq!(item(&profile, "<M t='5' z=''><By>a</By><Text/></M>").details, None);
    assert!(
        reason(&profile, "<M t='5'><By>a</By><Device>x</Device><Device>y</Device><Text/></M>")
            .starts_with("the further field")
    );
}

#[test]
fn history_is_numbered_by_unbroken_runs() {
    let history = "[[record]]\nkind = 'history'\npath = 'H'\ntime = '@t'\ncontent = '.'\nperson = { im_id = '@by' }\n\
                   [[record]]\nkind = 'event'\npath = 'E'\n";
    let profile = profile("", &format!("{MESSAGE}{history}"));
    let (h, bad, m) = ("<H t='5' by='a'>x</H>", "<H by='a'>x</H>", "<M t='5'><By>a</By><Text/></M>");
    let (records, summary) = records(&profile, &format!("<R><C>{h}{bad}{h}<E/>{h}{m}{h}</C><C>{h}</C></R>"));
    let runs: Vec<_> = records
        .iter()
        .map(|record| match record {
            Record::Item(item) => item.details.as_ref().and_then(|details| details.history),
            Record::Rejected(rejected) => {
                assert_eq!((rejected.kind, &*rejected.reason), (ItemKind::Message, "no time"));
                Some(99)
            }
            Record::Event(event) => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(runs, [Some(0), Some(99), Some(0), Some(0), None, Some(1), Some(2)]);
    let counted =
        [Total::Messages, Total::Attachments, Total::Conversations, Total::Records].map(|t| summary.counted.of(t));
    assert_eq!(counted, [7, 0, 2, 8]);
}

const EVENTS: &str = "[[record]]\nkind = 'disclaimer'\npath = 'D'\nmessage_id = '@id'\ncontent = ['Text', '.']\ntime = '@t'\n\
                      [[record]]\nkind = 'system'\npath = 'S'\ncontent = '.'\nperson = { im_id = '@by' }\n\
                      [[record]]\nkind = 'invited'\npath = 'I'\ntime = '@t'\nperson = { im_id = '@by' }\n\
                      [[record.invited]]\npath = 'Who'\nperson = { im_id = '.' }\n";

#[test]
fn what_is_said_by_nobody_is_an_event_with_words() {
    let profile = profile("", EVENTS);
    let said = event(&profile, "<D id='7' t='5'>not <b>an</b> offer<Text/></D>");
    assert_eq!(
        (said.kind, said.id.as_deref(), said.text.as_deref()),
        (EventKind::Disclaimer, Some("7"), Some("not an offer"))
    );
    assert_eq!(said.time.unwrap().as_second(), 5);
    assert_eq!(event(&profile, "<D> <Text>words</Text> </D>").text.as_deref(), Some("words"));
    assert_eq!(event(&profile, "<D/>").text, None);
    let system = event(&profile, "<S by='bot'>closed</S>");
    assert_eq!((system.kind, system.text.as_deref(), system.time), (EventKind::System, Some("closed"), None));
    assert_eq!(system.person.im_id.unwrap().as_str(), "bot");
    assert_eq!(records(&profile, "<R><C><D/><S/></C></R>").1.unknown, [], "they need no time");
    let unknown = records(&profile, "<R><C><D t='noon'/></C></R>").1.unknown;
    assert_eq!(unknown, [("R/C/D (the time is neither RFC 3339 with an offset nor Unix seconds)".to_owned(), 1)]);
}

#[test]
fn who_is_invited_is_named() {
    let profile = profile("", EVENTS);
    let invited = event(&profile, "<I t='5' by='a'><Who>b</Who><Who>c</Who><Who/></I>");
    assert_eq!((invited.kind, shown(&invited.person)), (EventKind::Invited, " <> a ()".to_owned()));
    assert_eq!(invited.invited.iter().map(shown).collect::<Vec<_>>(), [" <> b ()", " <> c ()"]);
    assert_eq!(event(&profile, "<I t='5'><Who>b</Who></I>").invited.len(), 1, "by whom may be unknown");
    let (records, summary) = records(&profile, "<R><C><I t='5' by='a'/><I t='5'/></C></R>");
    assert_eq!(records.len(), 1);
    assert_eq!(
        summary.unknown,
        [("R/C/I (names nobody invited)".to_owned(), 1), ("R/C/I (names nobody)".to_owned(), 1)]
    );
}

#[test]
fn a_record_with_something_unknown_keeps_its_source() {
    let profile = profile("", &format!("{MESSAGE}{ATTACHMENT}{EVENTS}"));
    let odd = [
        "<M t='5' new='1'><By>a</By><Text>t</Text></M>",
        "<M\r\n t='5'><By>a</By>\n<Text>t &amp; <![CDATA[u]]></Text><!-- c --><x:New xmlns:x='u'/></M>",
        "<M t='5'><By>a<New/></By><Text>t</Text></M>",
        "<M t='5'><By>a</By><Text>t</Text>stray</M>",
        "<M t='5'><By>a</By><Text>t <b>bold</b></Text></M>",
    ];
    for message in odd {
        let details = item(&profile, &format!(" {message} ")).details.unwrap();
        assert_eq!(*details, Details { source: Some(message.into()), ..Details::default() }, "{message}");
    }
    let said = event(&profile, "<S by='a' x='1'>closed</S>").details.unwrap();
    assert_eq!(said.source.as_deref(), Some("<S by='a' x='1'>closed</S>"), "it may become an item");
    for plain in ["<M t='5'><By>a</By> <Text>t</Text><!-- c --></M>", "<M t='5' xmlns:x='u'><By>a</By><Text/></M>"] {
        assert_eq!(item(&profile, plain).details, None, "{plain}");
    }
    let file = "<A t='5' by='a'><New/><D><!-- 1 -->QU<![CDATA[FB]]>QUFB<!--2-->&#81;UFB</D><Name>n</Name></A>";
    let elided = "<A t='5' by='a'><New/><D><!-- 1 --><!-- 20 bytes of attachment data left out --><!--2-->\
                  <!-- 8 bytes of attachment data left out --></D><Name>n</Name></A>";
    assert_eq!(item(&profile, file).details.unwrap().source.as_deref(), Some(elided));
    let long = format!("<M t='5'><By>a</By><Text>t</Text><New>{}</New></M>", "long ".repeat(100_000));
    assert_eq!(
        item(&profile, &long).details.unwrap().source.as_deref(),
        Some(&*long),
        "what nobody reads is there too"
    );
    let small = ReadLimits { max_message: 300, ..LIMITS };
    for size in [1, 7, usize::MAX] {
        let xml = format!("<R><C>{long}{}</C></R>", odd[0]);
        let (steps, _) = read_by(&profile, xml.as_bytes(), small, size);
        let [_, Step::Record { record: Record::Rejected(_), .. }, Step::Record { record: Record::Item(item), .. }, _] =
            &steps[..]
        else {
            panic!("{size}")
        };
        let source = item.details.as_ref().and_then(|details| details.source.as_deref());
        assert_eq!(source, Some(odd[0]), "after one that is too long, read by {size}");
    }
}

#[test]
fn a_profile_may_hold_what_it_does_not_name() {
    let hold = |xml: &str| {
        let profile = profile("unknown = 'hold'", EVENTS);
        records(&profile, xml).1.check().map_err(|fault| fault.to_string())
    };
    assert_eq!(hold("<R><C><D>x</D><I t='5' by='a'/></C></R>"), Ok(()), "something odd has a name all the same");
    let error = hold("<R><Poll/><C z='1'><Poll/><Poll/></C></R>").unwrap_err();
    assert!(
        error.starts_with("the export holds R/C/@z, which the profile does not name and holds files for (times: 1; other such paths: 2)"),
        "{error}"
    );
    let error = hold("<R><C><Poll/><Poll/></C></R>").unwrap_err();
    assert!(error.contains("R/C/Poll") && error.contains("(times: 2);"), "{error}");
    let (_, summary) = records(&profile("", EVENTS), "<R><C><Poll/></C></R>");
    assert_eq!(summary.check(), Ok(()));
}

#[test]
fn control_totals_hold_an_export_that_lost_something() {
    let totals = "[totals]\nmessages = ['Trailer/@messages', '@messages']\nattachments = 'Trailer/Files'\n\
                  conversations = 'Trailer/Rooms'\nrecords = 'Trailer/All'\n";
    let records_of = format!("{MESSAGE}{ATTACHMENT}{EVENTS}{totals}");
    let profile = profile("", &records_of);
    let inside = "<C><M/><M t='5'><By>a</By><Text/></M><A/><D>x</D></C><C/>";
    let check = |trailer: &str| {
        let (_, summary) = records(&profile, &format!("<R>{inside}{trailer}</R>"));
        summary.check().map_err(|fault| fault.to_string())
    };
    let right = "<Trailer messages='2'><Files> 1 </Files><Rooms>2</Rooms><All>4</All></Trailer>";
    assert_eq!(check(right), Ok(()), "rejected ones are there too");
    for (from, to, expected) in [
        ("'2'", "'3'", "the control total of messages is 3, and the export holds 2; ask the vendor for it again"),
        ("<All>4<", "<All>1,000<", "the control total of records is 1000, and the export holds 4"),
        (" 1 ", "one", "the control total of attachments is no whole number"),
        ("<Rooms>2</Rooms>", "<Rooms/>", "the control total of conversations is missing"),
        ("<Rooms>2</Rooms>", "<Rooms>2</Rooms><Rooms>3</Rooms>", "the control total of conversations is given twice"),
    ] {
        let error = check(&right.replace(from, to)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn control_totals_may_stand_beside_the_export() {
    let sidecar = "[totals.sidecar]\nmessages = 'Total  messages: {count}'\nrecords = '{count} records in all'\n";
    let profile = profile("", &format!("{MESSAGE}{sidecar}"));
    let (_, summary) = records(&profile, "<R><C><M/><M/></C></R>");
    assert_eq!(summary.check(), Ok(()), "the export itself says nothing");
    let check =
        |text: &str| compare(&profile.sidecar().read(text), &summary.counted).map_err(|fault| fault.to_string());
    assert_eq!(
        check("\u{feff}Report\r\nTOTAL MESSAGES : 2\r\n2 records in all\r\nTotal messages: see below\r\n"),
        Ok(())
    );
    for (text, expected) in [
        ("Total messages: 1,002\n2 records in all", "the control total of messages is 1002"),
        ("2 records in all", "the control total of messages is missing"),
        ("Total messages: 2\nTotal messages: 3\n2 records in all", "the control total of messages is given twice"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(icechat().sidecar().is_empty());
}

#[test]
fn what_else_a_profile_says() {
    let said = profile("presence = 'carry'\nguesses = ['The sender is By.']", MESSAGE);
    assert_eq!((said.presence(), said.guesses()), (Presence::Carry, &["The sender is By.".to_owned()][..]));
    assert_eq!((icechat().presence(), icechat().guesses().len()), (Presence::Export, 0));
}

/// One line for each record.
fn listed(records: &[Record]) -> String {
    let mut list = String::new();
    for record in records {
        match record {
            Record::Item(item) => {
                let content = match &item.body {
                    Body::Text(text) => format!("{text:?}"),
                    Body::File(file) => format!("{:?} {:?} {:?}", file.name, file.reference, file.data),
                };
                let _ = writeln!(list, "{} {} {} {content}", item.kind.as_str(), item.time, shown(&item.sender));
                note_details(&mut list, item.details.as_deref());
            }
            Record::Event(event) => {
                let (kind, time) = (event.kind.as_str(), event.time.map(|time| time.to_string()).unwrap_or_default());
                let _ = writeln!(list, "{kind} {time} {} {:?} {:?}", shown(&event.person), event.id, event.text);
                for person in &event.invited {
                    let _ = writeln!(list, "  invited {}", shown(person));
                }
                note_details(&mut list, event.details.as_deref());
            }
            Record::Rejected(rejected) => {
                let _ = writeln!(list, "rejected {}", rejected.reason);
            }
        }
    }
    list
}

fn note_details(list: &mut String, details: Option<&Details>) {
    let Some(details) = details else { return };
    if let Some(run) = details.history {
        let _ = writeln!(list, "  history {run}");
    }
    if let Some(disclaimer) = &details.disclaimer {
        let _ = writeln!(list, "  disclaimer {disclaimer}");
    }
    for (name, text) in &details.extra {
        let _ = writeln!(list, "  {name} {text}");
    }
    if let Some(source) = &details.source {
        let _ = writeln!(list, "  source of {} bytes", source.len());
    }
}

const DUMP: &str = include_str!("../../../tests/fixtures/profiles/bloomberg-ib/f848135.ib19.261119.xml");

#[test]
fn bloombergs_example_reads_as_expected() {
    let profile = Profile::builtin("bloomberg-ib").unwrap();
    let (found, summary) = records(&profile, DUMP);
    assert_eq!(listed(&found), include_str!("../../../tests/fixtures/profiles/bloomberg-ib/records.txt"));
    let reaction = "FileDump/Conversation/Message/Reaction".to_owned();
    assert_eq!(summary.unknown, [(reaction, 1)], "an element that the profile does not name, as there will be some");
    let role = profile.role("f848135.ib19.261119.xml.gpg");
    assert_eq!((role.kind.as_str(), role.date), ("export", Some(jiff::civil::date(2026, 11, 19))));
    assert_eq!(profile.date_in_name("f848135.ib19.261119.xml1.gpg"), role.date);
    for (name, kind, together) in [
        ("f848135.ib19.att.261119.tar.gz.gpg", "attachments", true),
        ("F848135.IB19.ATT.261119.1.TAR.GZ", "attachments", true),
        ("f848135.ib19.att.261118.tar.gz", "attachments", false),
        ("f848136.ib19.att.261119.tar.gz", "attachments", false),
        ("f848135.msg.261119.xml", "export", false),
    ] {
        let other = profile.role(name);
        assert_eq!((other.kind.as_str(), role.goes_with(&other)), (kind, together), "{name}");
    }
}

/// What earlier versions recorded with every export that they took in.
const FIRST: &str = include_str!("../../../tests/fixtures/profiles/icechat-first.toml");

#[test]
fn the_first_icechat_profile_still_reads_the_same() {
    let first = Profile::parse("recorded profile", FIRST).unwrap();
    for xml in [
        SAMPLE.to_owned(),
        SAMPLE.replace("<Message>", "<Message><ImId>x</ImId>"),
        SAMPLE.replace("DateTimeUTC", "Time"),
    ] {
        let old = read_by(&first, xml.as_bytes(), LIMITS, usize::MAX);
        let new = read_by(&icechat(), xml.as_bytes(), LIMITS, usize::MAX);
        assert_eq!(old.0, new.0);
        assert_eq!(old.1.unwrap().unknown, new.1.unwrap().unknown);
    }
    let said =
        "<IceChatExport><Conversation><Disclaimer>x<y/></Disclaimer><SystemMessage/></Conversation></IceChatExport>";
    let (_, summary) = records(&first, said);
    assert_eq!((summary.other_events, summary.unknown), (2, vec![]), "there, they were known and not looked at");
}

#[test]
fn icechats_disclaimers_and_system_messages_are_events() {
    let said = "<Disclaimer><MessageID>d</MessageID><DateTimeUTC>5</DateTimeUTC><Content>words</Content></Disclaimer>\
                <SystemMessage>closed</SystemMessage><Disclaimer/>";
    let (steps, summary) = whole(&crate::export::testing::conversation(said));
    let records: Vec<_> = steps
        .into_iter()
        .filter_map(|step| if let Step::Record { record, .. } = step { Some(record) } else { None })
        .collect();
    let expected = "disclaimer 1970-01-01T00:00:05Z  <>  () Some(\"d\") Some(\"words\")\n\
                    system   <>  () None Some(\"closed\")\ndisclaimer   <>  () None None\n";
    assert_eq!(listed(&records), expected);
    assert_eq!(summary.unknown, []);
}

#[test]
fn every_kind_reads_the_same_however_it_is_cut() {
    let dump = Profile::builtin("bloomberg-ib").unwrap();
    let odd = profile("unknown = 'hold'", &format!("{MESSAGE}{ATTACHMENT}{EVENTS}"));
    let pad = "p".repeat(65_400);
    let file = "<A t='5' by='a'><New/><D><!-- 1 -->QU<![CDATA[FB]]>QUFB<!--2-->&#81;UFB</D><Name>n</Name></A>";
    let files = format!("<R><C><!--{pad}-->{}</C></R>", file.repeat(20));
    let messages = format!("<R><C><M t='5' new='{}'><By>a</By><Text>{pad}</Text></M>{file}</C></R>", &pad[..300]);
    let long = ReadLimits { max_message: 300, max_attachment: 8, max_participants: 3 };
    for (profile, xml) in [(&dump, DUMP), (&odd, &files), (&odd, &messages)] {
        for limits in [LIMITS, long] {
            let expected = read_by(profile, xml.as_bytes(), limits, usize::MAX);
            let expected =
                (expected.0, expected.1.map(|summary| (summary.check().map_err(|fault| fault.to_string()), summary)));
            // One byte at a time from the beginning, and windows that end at every place of the interesting part.
            for size in [1, 2, 3, 5, 7, 64, 1000].into_iter().chain((65_400..65_700).step_by(7)) {
                let found = read_by(profile, xml.as_bytes(), limits, size);
                let found =
                    (found.0, found.1.map(|summary| (summary.check().map_err(|fault| fault.to_string()), summary)));
                assert!(found == expected, "reads of {size} bytes");
            }
        }
    }
}
