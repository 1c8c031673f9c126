//! One table for each sentence of contract 5, and the properties that hold for any bytes.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::export::testing::{LIMITS, SAMPLE, conversation, icechat, item, only, read, rejected, whole};
use crate::export::{Body, Details, EventKind, FileBody, FileData, ItemKind, ItemRecord};

const M: &str = "<ImId>a</ImId><DateTimeUTC>5</DateTimeUTC>";

fn held(xml: &str) -> String {
    read(xml.as_bytes(), LIMITS, usize::MAX).1.unwrap_err()
}

fn unknown(xml: &str) -> Vec<(String, u64)> {
    whole(xml).1.unknown
}

fn content(inside: &str) -> String {
    match item(&format!("<Message>{M}{inside}</Message>")).body {
        Body::Text(text) => text.into(),
        Body::File(_) => panic!("a file"),
    }
}

#[test]
fn the_sample_is_read_whole() {
    let (steps, summary) = whole(SAMPLE);
    assert_eq!(summary.header.firm_code.as_deref(), Some("ACME"));
    assert_eq!(summary.header.date, Some(jiff::civil::date(2026, 11, 19)));
    assert_eq!(summary.unknown, []);
    let items: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Record { record: Record::Item(item), .. } => Some(item),
            _ => None,
        })
        .collect();
    let lines: Vec<_> = items.iter().map(|item| (item.message_id.as_deref().unwrap(), item.line)).collect();
    assert_eq!(lines, [("m-1", 15), ("m-2", 22), ("m-3", 29), ("m-4", 44), ("m-5", 51)]);
    assert_eq!(items[1].body, Body::Text("Done & filled <10>.\nSecond line: Grüße, 価格 ✓".into()));
    assert_eq!(items[1].time.to_string(), "2026-11-19T13:02:05Z");
    assert_eq!(items[3].recipients[0].email.as_ref().unwrap().as_str(), "nils@northern.example");
    assert!(matches!(&steps[0], Step::Begin));
    let rooms: Vec<_> = steps.iter().filter(|step| matches!(step, Step::End(_))).collect();
    assert!(matches!(rooms[0], Step::End(Room { id: Some(id), name: Some(name) })
        if &**id == "ROOM-1001" && &**name == "Gasoil & Jet"));
    assert!(matches!(rooms[1], Step::End(Room { id: Some(_), name: None })));
}

#[test]
fn what_is_not_well_formed_holds_the_file_with_its_place() {
    let table: &[(&str, &str)] = &[
        ("", "line 1, column 1: the file holds no XML element"),
        (" \n ", "line 2, column 2: the file holds no XML element"),
        ("<?xml version='1.0'?>\n", "line 2, column 1: the file holds no XML element"),
        ("hello", "line 1, column 1: there is text outside the root element"),
        ("<Other/>", "line 1, column 1: the root element is \"Other\" where"),
        ("<IceChatExport>", "line 1, column 16: the file ends inside the element \"IceChatExport\"; it is cut off"),
        ("<IceChatExport>\n<Conversation>é", "line 2, column 16: the file ends inside the element \"Conversation\""),
        ("<IceChatExport>\n <Conv", "line 2, column 2: the file ends inside the markup"),
        ("<IceChatExport><!-- ", "line 1, column 16: the file ends inside the markup"),
        ("<IceChatExport><![CDATA[ ]]", "line 1, column 16: the file ends inside the markup"),
        ("<IceChatExport/><IceChatExport/>", "line 1, column 17: a second root element"),
        ("<IceChatExport/>\njunk", "line 1, column 17: there is text outside"),
        ("<IceChatExport/>&amp;", "line 1, column 17: there is text outside"),
        ("<IceChatExport/><![CDATA[]]>", "line 1, column 17: there is text outside"),
        ("<IceChatExport></Other>", "line 1, column 16: this closing tag is not that of the open element"),
        ("<x:IceChatExport></y:IceChatExport>", "line 1, column 18: this closing tag is not"),
        ("<IceChatExport/></IceChatExport>", "line 1, column 17: this closing tag closes nothing"),
        ("<!DOCTYPE IceChatExport><IceChatExport/>", "line 1, column 1: a DOCTYPE is not accepted"),
        ("\n<!DOCTYPE>", "line 2, column 1: a DOCTYPE is not accepted"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>", "line 1, column 1: a DOCTYPE is not accepted"),
        ("<!doctype html><IceChatExport/>", "line 1, column 1: a DOCTYPE is not accepted"),
        ("<!FOO><IceChatExport/>", "line 1, column 1: this is no XML markup"),
        ("<IceChatExport>a & b</IceChatExport>", "line 1, column 18: an ampersand begins no"),
        ("<IceChatExport>AT&T; x</IceChatExport>", "line 1, column 18: a reference to an entity"),
        ("<IceChatExport>&nbsp;</IceChatExport>", "line 1, column 16: a reference to an entity"),
        ("<IceChatExport>&#0;</IceChatExport>", "line 1, column 16: a reference to an entity"),
        ("<IceChatExport>&#x1F;</IceChatExport>", "line 1, column 16: a reference to an entity"),
        ("<IceChatExport>&#+65;</IceChatExport>", "line 1, column 16: a reference to an entity"),
        ("<IceChatExport>&#xD800;</IceChatExport>", "line 1, column 16: a reference to an entity"),
        ("<IceChatExport>é]]></IceChatExport>", "line 1, column 17: the sequence ]]>"),
        ("<IceChatExport><!-- a -- b --></IceChatExport>", "line 1, column 23: the sequence --"),
        ("<IceChatExport><!-- a ---></IceChatExport>", "line 1, column 23: the sequence --"),
        ("<IceChatExport>\u{1}</IceChatExport>", "line 1, column 16: the character U+0001 is not allowed"),
        ("<IceChatExport>\u{ffff}</IceChatExport>", "line 1, column 16: the character U+FFFF is not allowed"),
        (" <?xml version='1.0'?><IceChatExport/>", "line 1, column 2: the XML declaration"),
        ("<?xml encoding='utf-8'?><IceChatExport/>", "line 1, column 1: the XML declaration"),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><IceChatExport/>",
            "line 1, column 1: the export is written in ISO",
        ),
        ("<IceChatExport a='1' a='2'/>", "line 1, column 1: this tag has a malformed or repeated attribute"),
        ("<IceChatExport a='1'b='2'/>", "line 1, column 1: this tag has a malformed or repeated attribute"),
        ("<IceChatExport a=1/>", "line 1, column 1: this tag has a malformed or repeated attribute"),
        ("<IceChatExport a/>", "line 1, column 1: this tag has a malformed or repeated attribute"),
        ("<IceChatExport a='<'/>", "line 1, column 1: this tag has a malformed or repeated attribute"),
        ("<IceChatExport a='&x;'/>", "line 1, column 1: a reference to an entity"),
        ("<IceChatExport a='& '/>", "line 1, column 1: an ampersand"),
        ("<IceChatExport>< a/></IceChatExport>", "line 1, column 16: this tag has a malformed name"),
        ("<IceChatExport><1/></IceChatExport>", "line 1, column 16: this tag has a malformed name"),
        ("<IceChatExport><a$b/></IceChatExport>", "line 1, column 16: this tag has a malformed name"),
        ("<:IceChatExport></:IceChatExport>", "line 1, column 1: this tag has a malformed name"),
        ("<IceChatExport><??></IceChatExport>", "line 1, column 16: this is no XML markup"),
        ("<IceChatExport><?xMl a?></IceChatExport>", "line 1, column 16: this is no XML markup"),
    ];
    for (xml, expected) in table {
        let error = held(xml);
        assert!(error.starts_with(expected), "{xml:?}\n    {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn only_utf8_is_read() {
    let table: [(&[u8], &str); 7] = [
        (b"\xff\xfe<\0I\0", "line 1, column 1: the export is written in UTF-16"),
        (b"\xfe\xff\0<\0I", "line 1, column 1: the export is written in UTF-16"),
        (b"<\0I\0c\0", "line 1, column 1: the export is written in UTF-16"),
        (b"<IceChatExport>\n\xc3\xa9\xff", "line 2, column 2: these bytes are not UTF-8"),
        (b"<IceChatExport>\xe2\x82", "line 1, column 16: these bytes are not UTF-8"),
        (b"<IceChatExport>\xed\xa0\x80", "line 1, column 16: these bytes are not UTF-8"),
        (b"<IceChatExport a='\xc0\x80'/>", "line 1, column 19: these bytes are not UTF-8"),
    ];
    for (xml, expected) in table {
        let error = read(xml, LIMITS, usize::MAX).1.unwrap_err();
        assert!(error.starts_with(expected), "{xml:?}\n    {error}");
    }
    for declared in ["UTF-8", "utf-8", "US-ASCII"] {
        whole(&format!("\u{feff}<?xml version=\"1.0\" encoding=\"{declared}\" standalone='yes'?><IceChatExport/>"));
    }
}

#[test]
fn bounds_hold_the_file() {
    let deep = format!("<IceChatExport>{}", "<a>".repeat(200));
    assert!(held(&deep).contains("nested deeper than 128"));
    let name = format!("<IceChatExport><{}/>", "a".repeat(300));
    assert!(held(&name).contains("name is longer than 256"));
    let many: Vec<_> = (0..300).map(|number| format!(" a{number}='x'")).collect();
    let many = many.concat();
    assert!(held(&format!("<IceChatExport{many}>")).contains("more than 256 attributes"));
    let room = format!("<IceChatExport><Conversation><RoomName>{}</RoomName>", "a".repeat(70_000));
    assert!(held(&room).contains("room name is longer than 65536 bytes"));
    for size in [1, 4096, usize::MAX] {
        let tag = format!("<IceChatExport a='{}'/>", "a".repeat(70_000));
        let error = read(tag.as_bytes(), LIMITS, size).1.unwrap_err();
        assert_eq!(error, "line 1, column 1: a tag is longer than 65536 bytes");
    }
    let twice = held(&conversation("<RoomID>S</RoomID>"));
    assert!(twice.contains("gives its room id twice with different values"), "{twice}");
    whole(&conversation("<RoomID> R </RoomID><RoomID/>"));
    let crowd = ReadLimits { max_participants: 2, ..LIMITS };
    let to = "<RecipientEmail>x@y</RecipientEmail>".repeat(3);
    let error = read(conversation(&format!("<Message>{to}</Message>")).as_bytes(), crowd, 99).1.unwrap_err();
    assert!(error.contains("more than 2 participants; raise limits.max_participants"), "{error}");
}

#[test]
fn elements_match_by_local_name_in_any_order() {
    let plain = item(
        "<Message><MessageID>m</MessageID><ImId>a</ImId><DateTimeUTC>5</DateTimeUTC><Content>x</Content></Message>",
    );
    let odd = "<i:Message xmlns:i='urn:x' i:new='1' xsi:nil='false'><i:Content>x</i:Content><!-- c --><?p i?>\
               <i:DateTimeUTC>\n5 </i:DateTimeUTC><j:ImId xml:lang='en'> a</j:ImId><MessageID>m</MessageID></i:Message>";
    let read = item(odd);
    let source = Some(odd.into());
    assert_eq!(
        *read.details.unwrap(),
        Details { source, ..Details::default() },
        "it has an attribute that nobody knows"
    );
    assert_eq!(ItemRecord { details: None, ..item(odd) }, plain);
    let empty =
        item(&format!("<Message>{M}<MessageID> </MessageID><SenderEmail/><Recipient/><Content>x</Content></Message>"));
    assert_eq!((empty.message_id, empty.sender.email, empty.recipients), (None, None, vec![]));
}

#[test]
fn recipients_are_listed_in_document_order() {
    let to = "<Recipient><ImId>b</ImId></Recipient><RecipientEmail>c@x</RecipientEmail>\
              <Recipient><RecipientEmail>d@x</RecipientEmail><ImId>d</ImId></Recipient><Recipient><ImId/></Recipient>";
    let item = item(&format!("<Message>{M}{to}<Content/></Message>"));
    let shown: Vec<_> = item
        .recipients
        .iter()
        .map(|person| {
            (person.im_id.as_ref().map_or("", |id| id.as_str()), person.email.as_ref().map_or("", |e| e.as_str()))
        })
        .collect();
    assert_eq!(shown, [("b", ""), ("", "c@x"), ("d", "d@x")]);
}

#[test]
fn content_is_taken_as_it_stands() {
    let table = [
        ("<Content/>", ""),
        ("<Content></Content>", ""),
        ("<Content>  two  </Content>", "  two  "),
        ("<Content>a<b>b<c/>c</b>d</Content>", "abcd"),
        ("<Content>a&amp;b&lt;&gt;&quot;&apos;&#65;&#x1F600;</Content>", "a&b<>\"'A\u{1f600}"),
        ("<Content>a<![CDATA[<b> & ]] ]]>c</Content>", "a<b> & ]] c"),
        ("<Content>a\r\nb\rc\n\r\nd&#13;</Content>", "a\nb\nc\n\nd\r"),
        ("<Content><![CDATA[a\r\nb\r]]></Content>", "a\nb\n"),
        ("<Content>x</Content><Content>x</Content>", "x"),
        ("<Content>a<!-- no -->b<?no no?>c</Content>", "abc"),
        ("<Content>\u{feff}\u{85}\u{2028}</Content>", "\u{feff}\u{85}\u{2028}"),
    ];
    for (xml, expected) in table {
        assert_eq!(content(xml), expected, "{xml}");
    }
}

#[test]
fn a_record_that_is_not_whole_is_rejected_with_line_and_reason() {
    let time = "<DateTimeUTC>5</DateTimeUTC>";
    let table = [
        (format!("\n\n<Message>{time}<Content>x</Content></Message>"), "no sender"),
        ("<Message><ImId>a</ImId><Content>x</Content></Message>".to_owned(), "no time"),
        (format!("<Message>{M}</Message>"), "no content"),
        ("<Message/>".to_owned(), "no sender"),
        (
            "<Message><ImId>a</ImId><DateTimeUTC>noon</DateTimeUTC><Content/></Message>".to_owned(),
            "the time is neither",
        ),
        (format!("<Message>{M}{time}<DateTimeUTC>6</DateTimeUTC><Content/></Message>"), "the time is given twice"),
        (format!("<Message>{M}<ImId>b</ImId><Content/></Message>"), "the person's id is given twice"),
        (format!("<Message>{M}<Content>x</Content><Content/></Message>"), "the content is given twice"),
        (
            format!("<Message>{M}<MessageID>1</MessageID><MessageID>2</MessageID><Content/></Message>"),
            "the message id is",
        ),
        (
            format!("<Message>{M}<Recipient><ImId>b</ImId><ImId>c</ImId></Recipient><Content/></Message>"),
            "the recipient",
        ),
        (
            format!("<Message>{M}<MessageID>{}</MessageID><Content/></Message>", "1".repeat(70_000)),
            "the message id is long",
        ),
        (format!("<Message>{M}<Content>{}</Content></Message>", "1".repeat(1 << 20)), "longer than limits.max_message"),
        (format!("<Message>{M}<Content/>{}</Message>", "<a/>".repeat(1 << 18)), "longer than limits.max_message"),
        (format!("<Attachment>{M}<FileName>f</FileName></Attachment>"), "no data"),
        (format!("<Attachment>{M}<FileName>f</FileName><Data encoding='base64'> </Data></Attachment>"), "no data"),
        (format!("<Attachment>{M}<Data>A</Data></Attachment>"), "the data is not base64"),
        (format!("<Attachment>{M}<Data encoding='hex'>AAAA</Data></Attachment>"), "the data is in another encoding"),
        (format!("<Attachment>{M}<Data>AAAA</Data><Data>BBBB</Data></Attachment>"), "the data is given twice"),
        (
            format!("<Attachment>{M}<Data>{}</Data></Attachment>", "AAAA".repeat(1 << 19)),
            "the data is longer than limits.max_a",
        ),
        (
            format!("<Attachment>{M}<Data>{}</Data></Attachment>", " ".repeat(3 << 20)),
            "the data is longer than limits.max_a",
        ),
    ];
    for (xml, expected) in table {
        let record = rejected(&xml);
        assert!(record.reason.starts_with(expected), "{expected}: {}", record.reason);
        assert_eq!(record.line, 1 + xml.matches('\n').count() as u64);
        assert!(!record.reason.contains('\n'));
    }
}

#[test]
fn the_same_value_twice_is_one_value() {
    let twice = "<ImId> A</ImId><DateTimeUTC>1970-01-01T00:00:05Z</DateTimeUTC><MessageID/>";
    item(&format!("<Message>{M}{twice}<Content/></Message>"));
}

#[test]
fn who_is_named_in_a_rejected_record_is_kept() {
    let record = rejected("<Message><ImId>a</ImId><Recipient><ImId>b</ImId></Recipient><Content/></Message>");
    assert_eq!(record.sender.im_id.unwrap().as_str(), "a");
    assert_eq!(record.recipients.len(), 1);
    let long = format!(
        "<Message><Content>{}</Content>{M}<Recipient><ImId>b</ImId></Recipient></Message>",
        "x".repeat(2 << 20)
    );
    let record = rejected(&long);
    assert_eq!(record.sender.im_id.unwrap().as_str(), "a");
    assert_eq!(record.recipients.len(), 1);
}

#[test]
fn attachments_are_items() {
    let xml = format!(
        "<Attachment>{M}<FileName> a.txt </FileName><ContentType>text/plain</ContentType>\
         <Data encoding=\"base64\">aGVs\n bG8<!-- -->=</Data></Attachment>"
    );
    let record = item(&xml);
    assert_eq!(record.kind, ItemKind::Attachment);
    let (name, content_type) = (Some("a.txt".into()), Some("text/plain".into()));
    assert_eq!(
        record.body,
        Body::File(FileBody { name, content_type, reference: None, data: FileData::Inside(b"hello".to_vec()) })
    );
    let large = format!("<Attachment>{M}<Data>{}</Data></Attachment>", "QUFB".repeat(300_000));
    let limits = ReadLimits { max_message: 1000, ..LIMITS };
    let (steps, _) = read(conversation(&large).as_bytes(), limits, usize::MAX);
    assert!(matches!(&steps[1], Step::Record { record: Record::Item(_), .. }), "data counts against max_message");
}

#[test]
fn presence_events_name_people() {
    let user = "<User><ImId>a</ImId><FirstName>Amy</FirstName><LastName>Adams</LastName><CompanyName>C</CompanyName>\
                <EmailAddress>a@x</EmailAddress></User>";
    let Record::Event(event) =
        only(&format!("<ParticipantLeft>{user}<DateTimeUTC>5.5</DateTimeUTC></ParticipantLeft>"))
    else {
        panic!("no presence");
    };
    assert_eq!(event.kind, EventKind::Left);
    assert_eq!(event.person.name.as_deref(), Some("Amy Adams"));
    assert_eq!(event.person.company.as_deref(), Some("C"));
    assert_eq!(event.time.unwrap().to_string(), "1970-01-01T00:00:05.5Z");
    let Record::Event(event) =
        only("<ParticipantEntered><User><LastName>B</LastName><ImId>b</ImId></User></ParticipantEntered>")
    else {
        panic!("no presence");
    };
    assert_eq!((event.person.name.as_deref(), event.time), (Some("B"), None));
    let twice = "<DateTimeUTC>5</DateTimeUTC><DateTimeUTC>6</DateTimeUTC>";
    let Record::Event(event) = only(&format!("<ParticipantLeft>{twice}{user}</ParticipantLeft>")) else {
        panic!("no presence");
    };
    assert_eq!(event.time, None, "neither of two times is taken");
}

#[test]
fn whatever_the_profile_does_not_name_is_counted() {
    let table: &[(&str, &[(&str, u64)])] = &[
        ("", &[]),
        ("<StartTimeUTC>x</StartTimeUTC><EndTimeUTC a='1'><b/></EndTimeUTC>", &[]),
        ("<Disclaimer a='1'>x<b>y</b></Disclaimer><SystemMessage/>", &[("/Disclaimer/@a", 1), ("/Disclaimer/b", 1)]),
        ("<Poll><Vote/><Vote/></Poll>", &[("/Poll", 1), ("/Poll/Vote", 2)]),
        ("<Poll/><x:Poll/>text", &[("/Poll", 2), ("/text()", 1)]),
        ("<Message/>\n<Message>a<Edited/>b</Message>", &[("/Message/Edited", 1), ("/Message/text()", 1)]),
        ("<Message edited='1' xmlns='u' xmlns:a='u'/>", &[("/Message/@edited", 1)]),
        (
            "<Message><Content a='1'>x<b>y</b></Content></Message>",
            &[("/Message/Content/@a", 1), ("/Message/Content/b", 1)],
        ),
        ("<Message><ImId>x<b>y</b></ImId></Message>", &[("/Message/ImId/b", 1)]),
        ("<Message>a&amp;b<![CDATA[c]]></Message>", &[("/Message/text()", 1)]),
        ("<Conversation><Message/></Conversation>", &[("/Conversation", 1), ("/Conversation/Message", 1)]),
        ("<ParticipantLeft/>", &[("/ParticipantLeft (names nobody)", 1)]),
        (
            "<ParticipantLeft><User><ImId>a</ImId></User><DateTimeUTC>x</DateTimeUTC></ParticipantLeft>",
            &[("/ParticipantLeft (the time is neither RFC 3339 with an offset nor Unix seconds)", 1)],
        ),
        ("<RoomName>a</RoomName><RoomName>b</RoomName>", &[("/RoomName (another value)", 1)]),
    ];
    for (inside, expected) in table {
        let found = unknown(&conversation(inside));
        let expected: Vec<_> =
            expected.iter().map(|(path, times)| (format!("IceChatExport/Conversation{path}"), *times)).collect();
        assert_eq!(found, expected, "{inside}");
    }
    let root = "<IceChatExport date='soon' x='1'>a<Message/></IceChatExport>";
    let paths = ["@date (unreadable)", "@x", "Message", "text()"].map(|path| (format!("IceChatExport/{path}"), 1));
    assert_eq!(unknown(root), paths);
    assert_eq!(whole("<IceChatExport date='20261119'/>").1.header.date, Some(jiff::civil::date(2026, 11, 19)));
    let many: Vec<_> = (0..2000).map(|number| format!("<a{number}/>")).collect();
    let counted = unknown(&conversation(&many.concat()));
    assert_eq!((counted.len(), counted[0].clone()), (1001, ("(more)".to_owned(), 1000)));
}

/// Repeats a text between a head and a tail.
struct Endless {
    head: &'static [u8],
    body: &'static [u8],
    times: usize,
    tail: &'static [u8],
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() && self.times > 0 {
            self.times -= 1;
            self.head = self.body;
        }
        if self.head.is_empty() {
            return self.tail.read(into);
        }
        self.head.read(into)
    }
}

#[test]
fn memory_stays_small_whatever_is_long() {
    let tails: [(&[u8], &[u8], &[u8]); 6] = [
        (b"<Message><Content>", b"long<b/>er", b"</Content><ImId>a</ImId></Message>"),
        (b"<Message><Content>", b"longer & longer".split_at(7).0, b"</Content><ImId>a</ImId></Message>"),
        (b"<Message><Content><![CDATA[", b"]]longer]", b"]]></Content><ImId>a</ImId></Message>"),
        (b"<Message><Foo>", b" longer", b"</Foo><ImId>a</ImId></Message>"),
        (b"<Message><!--", b"- longer ", b"--><ImId>a</ImId></Message>"),
        (b"<Attachment><Data>", b"longer-- ", b"</Data><ImId>a</ImId></Attachment>"),
    ];
    let limits = ReadLimits { max_message: 100_000, max_attachment: 100_000, ..LIMITS };
    for (head, body, tail) in tails {
        let profile = icechat();
        let start: &[u8] = b"<IceChatExport><Conversation>";
        let cut_off = start.chain(Endless { head, body, times: 300_000, tail: b"" });
        let mut reader = Reader::new(&profile, limits, cut_off);
        reader.step().unwrap();
        reader.step().unwrap_err();
        assert!(reader.assembly.collected() < 1_000_000, "{}", reader.assembly.collected());
        let input = start.chain(Endless { head, body, times: 300_000, tail });
        let mut reader = Reader::new(&profile, limits, input.chain(&b"</Conversation></IceChatExport>"[..]));
        assert_eq!(reader.step().unwrap(), Some(Step::Begin));
        let step = reader.step().unwrap();
        let Some(Step::Record { record: Record::Rejected(record), bytes }) = step else { panic!("{step:?}") };
        assert!(record.reason.starts_with("longer than limits") || record.reason.starts_with("the data"), "{record:?}");
        assert_eq!(record.sender.im_id.unwrap().as_str(), "a");
        assert_eq!(bytes, (head.len() + body.len() * 300_000 + tail.len()) as u64);
        assert!(reader.walk.piece_room() < 1_000_000, "{}", reader.walk.piece_room());
        assert!(matches!(reader.step(), Ok(Some(Step::End(_)))));
        assert!(reader.step().unwrap().is_none());
    }
}

#[test]
fn long_pieces_are_checked_to_their_end() {
    let long = "a]b-c\n".repeat(50_000);
    let table = [
        (format!("<IceChatExport>{long}]]>"), "line 50001, column 1: the sequence ]]>"),
        (format!("<IceChatExport>{long}\u{1}"), "line 50001, column 1: the character"),
        (format!("<IceChatExport><!--{long}é--->"), "line 50001, column 2: the sequence --"),
        (format!("<IceChatExport><!--{long}-- -->"), "line 50001, column 1: the sequence --"),
        (format!("<IceChatExport><![CDATA[{long}]]"), "line 1, column 16: the file ends inside the markup"),
        (format!("<IceChatExport><![CDATA[{long}]]]]></IceChatExport>x"), "line 50001, column 22: there is text"),
        (format!("<IceChatExport><!--{long}--></IceChatExport>x"), "line 50001, column 20: there is text"),
        (format!("<IceChatExport/>{}x", " ".repeat(300_000)), "line 1, column 17: there is text"),
    ];
    for (xml, expected) in table {
        for size in [1, 2, 3, 1000, 65_535, usize::MAX] {
            let error = read(xml.as_bytes(), LIMITS, size).1.unwrap_err();
            assert!(error.starts_with(expected), "{size}: {expected}: {error}");
        }
    }
    whole(&format!("<IceChatExport/>{}", " ".repeat(300_000)));
    assert_eq!(unknown(&conversation(&" ".repeat(300_000))), []);
    assert_eq!(unknown(&conversation(&format!("{}x", " ".repeat(300_000)))).len(), 1);
}

#[test]
fn what_ends_a_long_piece_is_found_wherever_it_is_cut() {
    // Where the tokeniser has been given more than a window, a byte at a time or in whole windows.
    let places = (65_525..65_540).map(|pad| (pad, 1)).chain((131_040..131_075).map(|pad| (pad, usize::MAX)));
    let around = |head: &str, pad: usize, tail: &str| format!("<IceChatExport>{head}{}{tail}", "x".repeat(pad));
    for (pad, size) in places {
        let end = |xml: String| read(xml.as_bytes(), LIMITS, size).1.map(|_| ());
        let column =
            |before: usize, fault: &str| Err(format!("line 1, column {}: the sequence {fault}", 16 + before + pad));
        let text = end(around("", pad, "]]></IceChatExport>"));
        assert_eq!(text, column(0, "]]> is not allowed in text"));
        let comment = end(around("<!--", pad, "--x--></IceChatExport>"));
        assert_eq!(comment, column(4, "-- is not allowed in a comment"));
        for whole in ["-x-x--></IceChatExport>", "--></IceChatExport>"] {
            assert_eq!(end(around("<!--", pad, whole)), Ok(()), "{pad} {size}");
        }
        for whole in ["]x]]]></IceChatExport>", "]]></IceChatExport>"] {
            assert_eq!(end(around("<![CDATA[", pad, whole)), Ok(()), "{pad} {size}");
        }
    }
}

#[test]
fn only_texts_may_be_long() {
    let table: [(&[u8], &[u8], &str); 4] = [
        (b"<a b='", b"longer ", "line 1, column 16: a tag is longer than 65536 bytes"),
        (b"<?a ", b"longer ", "line 1, column 16: a tag is longer than 65536 bytes"),
        (b"&", b"longer ", "line 1, column 16: an ampersand begins no entity or character reference"),
        (b"<!DOCTYPE a [", b"longer ", "line 1, column 16: a DOCTYPE is not accepted"),
    ];
    for (head, body, expected) in table {
        let profile = icechat();
        let input = (&b"<IceChatExport>"[..]).chain(Endless { head, body, times: 300_000, tail: b"" });
        let mut reader = Reader::new(&profile, LIMITS, input);
        assert_eq!(reader.step().unwrap_err().to_string(), expected);
        assert!(reader.walk.piece_room() < 300_000, "{}", reader.walk.piece_room());
    }
}

#[test]
fn an_input_error_is_no_fault_of_the_content() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("integrity"))
        }
    }
    for cut in [0, 2, 20, 60] {
        let profile = icechat();
        let mut reader = Reader::new(&profile, LIMITS, SAMPLE.as_bytes()[..cut].chain(Failing));
        let error = reader.step().unwrap_err();
        assert!(matches!(error, ExportError::Input(_)), "{error}");
        assert!(reader.step().unwrap().is_none(), "no step follows an error");
    }
}

fn same_for_every_cut(xml: &[u8], limits: ReadLimits) -> Result<(), TestCaseError> {
    let expected = read(xml, limits, usize::MAX);
    for size in [1, 2, 3, 7, 64, 4096] {
        let found = read(xml, limits, size);
        prop_assert_eq!(&found.0, &expected.0, "{}", size);
        prop_assert_eq!(&found.1, &expected.1, "{}", size);
    }
    Ok(())
}

#[test]
fn the_sample_reads_the_same_however_it_is_cut() {
    same_for_every_cut(SAMPLE.as_bytes(), LIMITS).unwrap();
    same_for_every_cut(SAMPLE.replace('\n', "\r\n").as_bytes(), LIMITS).unwrap();
    for cut in 0..SAMPLE.len() {
        let bytes = &SAMPLE.as_bytes()[..cut];
        let (steps, end) = read(bytes, LIMITS, usize::MAX);
        if cut < SAMPLE.trim_end().len() {
            end.unwrap_err();
        }
        let (other, _) = read(bytes, LIMITS, 1);
        assert_eq!(steps, other);
    }
}

/// Bits of XML that make trouble together.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let bits: Vec<&[u8]> = vec![
        b"<IceChatExport>",
        b"</IceChatExport>",
        b"<Conversation>",
        b"</Conversation>",
        b"<Message>",
        b"</Message>",
        b"<Content>",
        b"</Content>",
        b"<ImId>a</ImId>",
        b"<DateTimeUTC>5</DateTimeUTC>",
        b"<Data>",
        b"</Data>",
        b"<Attachment>",
        b"</Attachment>",
        b"<Recipient>",
        b"</Recipient>",
        b"<x/>",
        b"<x>",
        b"</x>",
        b"<![CDATA[",
        b"]]>",
        b"]]",
        b"]",
        b"<!--",
        b"-->",
        b"--",
        b"-",
        b"<?",
        b"?>",
        b"<?xml version='1.0'?>",
        b"<!",
        b"<!D",
        b"<!DOCTYPE",
        b"&",
        b"&amp;",
        b"&#13;",
        b";",
        b"<",
        b">",
        b"/>",
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"=",
        b"'",
        b"\"",
        b" a='1'",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
        b"\xc3",
        b"\xff",
        b"\x00",
        b"\x01",
        b"\xef\xbf\xbf",
        b"QUFB",
        b"text",
    ];
    prop::collection::vec(prop::sample::select(bits), 0..40).prop_map(|bits| bits.concat())
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), fragments());
    prop::collection::vec(change, 1..4).prop_map(|changes| {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (from, to, with) in changes {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let range = from.min(to)..from.max(to).min(from.min(to) + 40);
            bytes.splice(range, with.into_iter().take(30));
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_read_the_same_however_they_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        same_for_every_cut(&bytes, LIMITS)?;
    }

    #[test]
    fn troublesome_bits_read_the_same_however_they_are_cut(bytes in fragments(), rooted in any::<bool>()) {
        let bytes = if rooted { [&b"<IceChatExport><Conversation>"[..], &bytes].concat() } else { bytes };
        same_for_every_cut(&bytes, ReadLimits { max_message: 60, max_attachment: 4, max_participants: 2 })?;
    }

    #[test]
    fn damaged_samples_read_the_same_however_they_are_cut(bytes in mutated()) {
        same_for_every_cut(&bytes, LIMITS)?;
        same_for_every_cut(&bytes, ReadLimits { max_message: 200, max_attachment: 4, max_participants: 3 })?;
    }
}
