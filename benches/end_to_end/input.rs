//! Exports as large as wanted: messages of four traders each, in rooms, in the words of a desk.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::gpg::Gpg;

/// Traders of the firm, each with a mailbox.
pub(crate) const TRADERS: u64 = 400;
/// Who takes part in each message: so many placements it has.
pub(crate) const PLACEMENTS: u64 = 4;
/// Messages in one room.
const ROOM: u64 = 20;
/// Messages of one day.
const DAY_SECONDS: u64 = 86_400;

/// What is said, by chance: so that it compresses about as chats do.
const WORDS: [&str; 32] = [
    "gasoil", "Jan/Feb", "bid", "offered", "lots", "at", "the", "close", "can", "you", "show", "me", "done", "thanks",
    "Baltic", "jet", "still", "tight", "Grüße", "cargo", "first", "half", "of", "next", "month", "booking", "it",
    "now", "Q1 power", "価格", "please", "&amp;",
];
/// Words of a message, at most.
const MOST_WORDS: u64 = 24;

/// The operators' mapping.
pub(crate) fn mapping(rows: u64) -> String {
    (0..rows).fold("ImId,Mailbox,Desk\n".to_owned(), |mut text, trader| {
        writeln!(text, "trader{trader},t{trader}@contoso.com,Desk {}", trader % 12).unwrap();
        text
    })
}

/// Writes the export of a day whose messages are numbered from `first`, and whose messages are `padding` bytes longer.
pub(crate) fn write(export: impl Write, date: &str, messages: std::ops::Range<u64>, padding: usize) -> io::Result<()> {
    let mut export = io::BufWriter::with_capacity(1 << 18, export);
    let padding = "x".repeat(padding);
    writeln!(export, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<IceChatExport firmCode=\"BENCH\" date=\"{date}\">")?;
    let mut first = messages.start;
    while first < messages.end {
        let room = first / ROOM;
        writeln!(export, "<Conversation><RoomID>ROOM-{room}</RoomID><RoomName>Gasoil &amp; Jet {room}</RoomName>")?;
        let end = messages.end.min((room + 1) * ROOM);
        for number in first..end {
            write_message(&mut export, date, room, number, &padding)?;
        }
        first = end;
        export.write_all(b"</Conversation>\n")?;
    }
    export.write_all(b"</IceChatExport>\n")?;
    export.flush()
}

fn write_message(export: &mut impl Write, date: &str, room: u64, number: u64, padding: &str) -> io::Result<()> {
    let trader = |place: u64| (room * 7 + (number + place) % PLACEMENTS * 13) % TRADERS;
    let from = trader(0);
    write!(
        export,
        "<Message><MessageID>m-{number}</MessageID><ImId>trader{from}</ImId><SenderEmail>t{from}@contoso.com</SenderEmail>"
    )?;
    for place in 1..PLACEMENTS {
        let to = trader(place);
        let person = format!("<ImId>trader{to}</ImId><RecipientEmail>t{to}@contoso.com</RecipientEmail>");
        write!(export, "<Recipient>{person}</Recipient>")?;
    }
    let second = number % DAY_SECONDS;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(export, "<DateTimeUTC>{date}T{hour:02}:{minute:02}:{second:02}Z</DateTimeUTC><Content>")?;
    write_text(export, number)?;
    writeln!(export, "{padding}</Content></Message>")
}

fn write_text(export: &mut impl Write, number: u64) -> io::Result<()> {
    // splitmix64: a number's own chances, whatever was written before.
    let mut state = number;
    let mut chance = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
    };
    for _ in 0..=chance() % MOST_WORDS {
        let price = chance() % 10_000;
        match WORDS.get(usize::try_from(chance() % 40).unwrap()) {
            Some(word) => write!(export, "{word} ")?,
            None => write!(export, "{}.{:02} ", price / 100, price % 100)?,
        }
    }
    Ok(())
}

/// Encrypts to a recipient as vendors do, while it is written.
pub(crate) fn seal(gpg: &Gpg, recipient: &str, output: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(gpg.home()).args([
        "--batch",
        "--no-tty",
        "--yes",
        "--quiet",
        "--trust-model",
        "always",
    ]);
    command.args(["--compress-algo", "zlib", "-r", recipient, "--output"]).arg(output).arg("--encrypt");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    write(&mut child.stdin.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
}
