//! Two independent readers of mail, each showing what it sees in the same form.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use mail_parser::{Address, HeaderName, MessageParser, MessagePart, MimeHeaders, PartType};
use serde::Deserialize;

/// A mail as a reader shows it, line ends as LF. `fields` are all fields but the addresses and the part's own.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Seen {
    pub(crate) from: Vec<(String, String)>,
    pub(crate) to: Vec<(String, String)>,
    pub(crate) cc: Vec<(String, String)>,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) files: Vec<File>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) hex: String,
}

fn addresses(address: Option<&Address<'_>>) -> Vec<(String, String)> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    address.map(|list| list.iter().map(|one| (text(one.name()), text(one.address()))).collect()).unwrap_or_default()
}

const SHOWN_APART: [&str; 5] = ["from", "to", "cc", "content-type", "content-transfer-encoding"];

/// The parser shows `text/*` in UTF-8 whatever it was, so the bytes of a file are taken from its part.
fn base64_of(part: &MessagePart<'_>, mail: &[u8]) -> Vec<u8> {
    assert_eq!(part.content_transfer_encoding(), Some("base64"));
    let encoded = &mail[part.raw_body_offset() as usize..part.raw_end_offset() as usize];
    let digits: Vec<u8> = encoded.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    data_encoding::BASE64.decode(&digits).expect("base64")
}

pub(crate) fn by_mail_parser(bytes: &[u8]) -> Seen {
    let mail = MessageParser::new().with_minimal_headers().default_header_text().parse(bytes).expect("no mail");
    let field = |name: &str| match name {
        "date" => mail.date().expect("no date").to_timestamp().to_string(),
        "message-id" | "references" | "in-reply-to" => {
            mail.header_raw(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        }
        _ => mail
            .header(HeaderName::parse(name).expect("a name"))
            .and_then(|value| value.as_text())
            .unwrap_or_default()
            .to_owned(),
    };
    let names: Vec<_> = mail.headers().iter().map(|header| header.name().to_ascii_lowercase()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a field twice: {names:?}");
    let names = names.into_iter();
    let fields =
        names.filter(|name| !SHOWN_APART.contains(&&**name)).map(|name| (name.clone(), field(&name))).collect();
    let files = mail.attachments().map(|part| {
        let media_type =
            part.content_type().map(|found| format!("{}/{}", found.ctype(), found.subtype().unwrap_or_default()));
        File {
            name: part.attachment_name().unwrap_or_default().to_owned(),
            media_type: media_type.unwrap_or_default().to_ascii_lowercase(),
            hex: data_encoding::HEXLOWER.encode(&base64_of(part, bytes)),
        }
    });
    Seen {
        from: addresses(mail.from()),
        to: addresses(mail.to()),
        cc: addresses(mail.cc()),
        fields,
        text: mail.body_text(0).expect("no text").replace("\r\n", "\n"),
        // Where there is none, the parser makes one of the text.
        html: mail.parts.iter().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.replace("\r\n", "\n")),
            _ => None,
        }),
        files: files.collect(),
    }
}

/// Python's `email` package, all mails in one process. Python 3 belongs to Debian; without it the tests fail.
pub(crate) fn by_python(emls: &[Vec<u8>]) -> Vec<Seen> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/eml/read_back.py");
    let mut python =
        Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    let mut stdin = python.stdin.take().expect("a pipe");
    let lines: String = emls.iter().map(|eml| data_encoding::HEXLOWER.encode(eml) + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().expect("an end");
    writer.join().expect("a thread").expect("all read");
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .expect("ASCII")
        .lines()
        .map(|line| serde_json::from_str(line).expect("what was seen"))
        .collect()
}
