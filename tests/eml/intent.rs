//! Contract section 7 once more, naively: what a reader must see of an item. Only the mail's own syntax is left out.

use icechatd::digest::Sha256;
use icechatd::export::{Body, ChatItem, Email, FileBody, FileData, ImId, Participant, Person, Role};

use super::cases::id_of;
use super::readers::{File, Seen};

pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn shown(text: Option<&str>) -> Option<String> {
    text.map(one_line).filter(|line| !line.is_empty())
}

fn display_name(person: &Person) -> String {
    match (shown(person.name.as_deref()), shown(person.company.as_deref())) {
        (Some(name), Some(company)) => format!("{name} ({company})"),
        (name, company) => name.or(company).unwrap_or_default(),
    }
}

fn is_atext(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>[]:;@\\,.\"".contains(c)
}

fn is_well_formed(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else { return false };
    let atom = |atom: &str| !atom.is_empty() && atom.chars().all(|c| is_atext(c) && c != '/');
    let label = |label: &str| {
        let inner = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        inner && !label.is_empty() && label.len() < 64 && label.trim_matches('-') == label
    };
    email.len() <= 254 && local.split('.').all(atom) && domain.split('.').all(label) && !local.contains("=?")
}

fn local_part(identity: &str) -> String {
    let chars: Vec<char> = identity.chars().collect();
    let mut local = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = if at == 0 { None } else { Some(chars[at - 1]) };
        let inner_dot = c == '.' && !matches!(before, None | Some('.')) && at + 1 < chars.len();
        let word = c == '?' && before == Some('=');
        if inner_dot || (is_atext(c) && c != '%' && !word) {
            local.push(c);
        } else {
            local.extend(c.to_string().bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    if local.len() > 900 {
        let mut end = 866;
        while local[end - 2..end].contains('%') {
            end -= 1;
        }
        local = format!("{}%-{}", &local[..end], &Sha256::of(identity.as_bytes()).to_string()[..32]);
    }
    local
}

fn mailbox(person: &Person) -> (String, String) {
    let email = person.email.as_ref().map(Email::as_str);
    let identity = person.im_id.as_ref().map(ImId::as_str).or(email).expect("an identity");
    let address = match email {
        Some(email) if is_well_formed(email) => email.to_owned(),
        _ => format!("{}@icechat.invalid", local_part(identity)),
    };
    (display_name(person), address)
}

fn mailboxes(item: &ChatItem, role: Role) -> Vec<(String, String)> {
    let of_role = item.participants.iter().filter(|participant| participant.role == role);
    of_role.map(|participant| mailbox(&participant.person)).collect()
}

fn cut(text: &str, longest: usize) -> String {
    let kept: String = text.chars().take(longest).collect();
    if kept == text { kept } else { format!("{}…", kept.trim_end_matches(' ')) }
}

fn subject(item: &ChatItem) -> String {
    let label = |participant: &Participant| {
        let person = &participant.person;
        let im_id = person.im_id.as_ref().and_then(|im_id| shown(Some(im_id.as_str())));
        let email = person.email.as_ref().and_then(|email| shown(Some(email.as_str())));
        cut(&shown(person.name.as_deref()).or(im_id).or(email).unwrap_or("(unnamed)".to_owned()), 80)
    };
    let people = || {
        let names: Vec<_> = item.participants.iter().take(2).map(label).collect();
        let more = item.participants.len().saturating_sub(2);
        names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    let room = shown(item.room.name.as_deref()).unwrap_or_else(people);
    let id = shown(item.room.id.as_deref()).map(|id| format!(" [{id}]")).unwrap_or_default();
    format!("ICE Chat: {room}{id}")
}

fn footer(item: &ChatItem) -> String {
    let sender = item.sender();
    let im_id = |person: &Person| person.im_id.as_ref().and_then(|im_id| shown(Some(im_id.as_str())));
    let mut lines = vec!["-- ".to_owned()];
    let facts = [
        ("Room", shown(item.room.name.as_deref())),
        ("Room ID", shown(item.room.id.as_deref())),
        ("Message ID", shown(item.record.message_id.as_deref())),
        ("Sender ImId", im_id(sender)),
        ("Sender company", shown(sender.company.as_deref())),
    ];
    lines.extend(facts.into_iter().filter_map(|(label, value)| Some(format!("{label}: {}", value?))));
    for Participant { role, person } in &item.participants {
        let name = Some(display_name(person)).filter(|name| !name.is_empty());
        let email = person.email.as_ref().and_then(|email| shown(Some(email.as_str())));
        let parts: Vec<_> =
            [name, im_id(person).map(|im_id| format!("ImId {im_id}")), email].into_iter().flatten().collect();
        lines.push(format!("{role:?}: {}", parts.join(", ")).trim_end().to_owned());
    }
    lines.push(format!("Time (UTC): {}", item.record.time));
    lines.join("\n") + "\n"
}

fn text(item: &ChatItem, with_footer: bool) -> String {
    let content = match &item.record.body {
        Body::Text(content) => content.replace("\r\n", "\n").replace('\r', "\n"),
        Body::File(FileBody { name, data, .. }) => {
            let FileData::Inside(data) = data else { panic!("not at hand") };
            let name = shown(name.as_deref()).unwrap_or_else(|| "(without a name)".to_owned());
            format!("Attachment: {name}, {} bytes, SHA-256 {}", data.len(), Sha256::of(data))
        }
    };
    content + "\n" + &if with_footer { footer(item) } else { String::new() }
}

fn files(item: &ChatItem) -> Vec<File> {
    let Body::File(FileBody { name, content_type, data: FileData::Inside(data), .. }) = &item.record.body else {
        return vec![];
    };
    let line = one_line(name.as_deref().unwrap_or_default());
    let parts: Vec<_> = line.split(['/', '\\']).map(str::trim).filter(|part| !part.is_empty()).collect();
    let last = parts.last().copied().filter(|last| !last.trim_matches('.').is_empty()).unwrap_or("attachment");
    let excess = last.chars().count().saturating_sub(120);
    let tail: String = last.chars().skip(excess).collect();
    let name = if excess > 0 { format!("…{tail}") } else { tail }.replace("=?", "=_");
    let claimed = content_type.as_deref().unwrap_or_default();
    let claimed = claimed.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // RFC 6838 section 4.2; what is made of parts cannot be one.
    let allowed =
        |(at, letter): (usize, char)| letter.is_ascii_alphanumeric() || (at > 0 && "!#$&-^_.+".contains(letter));
    let named = |text: &str| (1..=127).contains(&text.len()) && text.chars().enumerate().all(allowed);
    let media_type = match claimed.split('/').collect::<Vec<_>>()[..] {
        [kind, sub] if named(kind) && named(sub) && kind != "multipart" && kind != "message" => claimed,
        _ => "application/octet-stream".to_owned(),
    };
    vec![File { name, media_type, hex: data_encoding::HEXLOWER.encode(data) }]
}

/// What a reader must see, and nothing else: the fields are all the fields there are.
pub(crate) fn intent(item: &ChatItem, footer: bool, format: u32) -> Seen {
    let mut fields = vec![
        ("content-class", "urn:content-class:custom.IceChat".to_owned()),
        (
            "date",
            item.record
                .time
                .max("0000-01-01T00:00:00Z".parse().expect("a time"))
                .as_nanosecond()
                .div_euclid(1_000_000_000)
                .to_string(),
        ),
        ("message-id", format!("<{}@icechat.invalid>", id_of(item))),
        ("mime-version", "1.0".to_owned()),
        ("references", thread(item)),
        ("subject", subject(item)),
        ("x-ice-chat-item-id", id_of(item).to_string()),
    ];
    let optional = [
        ("x-ice-chat-room-id", item.room.id.as_deref()),
        ("x-ice-chat-message-id", item.record.message_id.as_deref()),
        ("x-ice-chat-sender-imid", item.sender().im_id.as_ref().map(ImId::as_str)),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, shown(value)?))));
    if format >= 2 {
        let room_name = shown(item.room.name.as_deref()).map(|name| format!(": {name}")).unwrap_or_default();
        let room_id = shown(item.room.id.as_deref()).map(|id| format!(" [{id}]")).unwrap_or_default();
        fields.push(("thread-topic", format!("ICE Chat{room_name}{room_id}")));
        fields.push(("thread-index", thread_index(item)));
        let file = matches!(item.record.body, Body::File(_));
        fields.push(("x-ice-chat-kind", if file { "attachment" } else { "message" }.to_owned()));
        fields.extend(file.then(|| ("x-ice-chat-attachment", "attached".to_owned())));
    }
    Seen {
        html: None,
        from: mailboxes(item, Role::Sender),
        to: mailboxes(item, Role::Recipient),
        cc: mailboxes(item, Role::Present),
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        text: text(item, footer),
        files: files(item),
    }
}

fn thread(item: &ChatItem) -> String {
    let folded = |person: &Person| match (&person.im_id, &person.email) {
        (Some(im_id), _) => im_id.as_str().to_lowercase(),
        (None, email) => email.as_ref().expect("an identity").as_str().to_lowercase(),
    };
    let values = match (&item.room.id, &item.room.name) {
        (Some(id), _) => vec!["id".to_owned(), id.to_string()],
        (None, Some(name)) => vec!["name".to_owned(), name.to_string()],
        (None, None) => {
            let people: std::collections::BTreeSet<_> =
                item.participants.iter().map(|one| folded(&one.person)).collect();
            std::iter::once("people".to_owned()).chain(people).collect()
        }
    };
    let mut fed = Vec::new();
    for value in values.into_iter().chain([item.record.time.to_string()[..10].to_owned()]) {
        fed.extend((value.len() as u64).to_be_bytes());
        fed.extend(value.into_bytes());
    }
    format!("<{}@icechat.invalid>", &Sha256::of(&fed).to_string()[..32])
}

/// MS-OXOMSG 2.2.1.3, with FILETIME as big numbers.
fn thread_index(item: &ChatItem) -> String {
    let filetime = |nanoseconds: i128| nanoseconds.div_euclid(100) + 116_444_736_000_000_000;
    let time = item.record.time.as_nanosecond();
    let midnight = time - time.rem_euclid(86_400_000_000_000);
    let begins = filetime(midnight) >> 24;
    let references = thread(item);
    let mut hex = format!("01{begins:010x}{}", &references[1..33]);
    let delta = (filetime(time) - (begins << 24)) >> 18;
    hex.extend([format!("{delta:08x}"), id_of(item).to_string()[..2].to_owned()]);
    data_encoding::BASE64.encode(&data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal"))
}

/// What readers forgive and archives should not: bare line ends, long lines, 8-bit or control bytes, a field twice.
pub(crate) fn check_bytes(bytes: &[u8]) {
    assert!(bytes.ends_with(b"\r\n"), "the last line has no end");
    for line in bytes.split(|&byte| byte == b'\n').rev().skip(1) {
        let line = line.strip_suffix(b"\r").expect("a bare line feed");
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(
            line.iter().all(|&byte| byte == b'\t' || (b' '..=b'~').contains(&byte)),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let (header, _) = text.split_once("\r\n\r\n").expect("no end of the header");
    let mut names: Vec<_> = header
        .split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a field twice: {header}");
    for line in header.split("\r\n") {
        assert!(!line.trim().is_empty(), "a line of white space: {header}");
        assert!(line.len() <= 76 || !line.contains("=?"), "a long line with an encoded word: {line}");
    }
}
