//! What the demo's people say. Names, rooms and firms are invented.

use std::io::{self, Write};

use jiff::civil::Date;

/// The operators' mapping.
pub(super) const MAPPING: &str = "ImId,Mailbox,Desk\n\
    adams17,amy.adams@contoso.com,Gasoil\n\
    baker.j,joe.baker@contoso.com,Gasoil\n\
    chen_trading,wei.chen@contoso.com,Power\n";

/// The valid mailboxes. Dora Díaz is found by her e-mail, an alias; the newcomer not at all.
pub(super) const MAILBOXES: &str = "DisplayName,PrimarySmtpAddress,UserPrincipalName,EmailAddresses\n\
    Amy Adams,amy.adams@contoso.com,aadams@contoso.com,SMTP:amy.adams@contoso.com smtp:amy@contoso.com\n\
    Joe Baker,joe.baker@contoso.com,joe.baker@contoso.com,SMTP:joe.baker@contoso.com\n\
    Wei Chen,wei.chen@contoso.com,wei.chen@contoso.com,SMTP:wei.chen@contoso.com\n\
    Dora Díaz,dora.diaz@contoso.com,dora.diaz@contoso.com,SMTP:dora.diaz@contoso.com smtp:d.diaz@contoso.com\n\
    Sam New,sam.new@contoso.com,sam.new@contoso.com,SMTP:sam.new@contoso.com\n";

/// The mailbox that releases the held item.
pub(super) const RELEASE_TO: &str = "sam.new@contoso.com";

struct Speaker {
    im_id: &'static str,
    first: &'static str,
    last: &'static str,
    company: &'static str,
    email: &'static str,
}

const PEOPLE: [Speaker; 5] = [
    speaker("adams17", "Amy", "Adams", "Contoso", "amy@contoso.com"),
    speaker("Baker.J", "Joe", "Baker", "Contoso", "joe.baker@contoso.com"),
    speaker("chen_trading", "Wei", "Chen", "Contoso", "wei.chen@contoso.com"),
    speaker("diaz5", "Dora", "Díaz", "Contoso", "d.diaz@contoso.com"),
    speaker("broker9", "Nils", "Berg", "Northern Brokers", "nils@northern.example"),
];

const fn speaker(
    im_id: &'static str,
    first: &'static str,
    last: &'static str,
    company: &'static str,
    email: &'static str,
) -> Speaker {
    Speaker { im_id, first, last, company, email }
}

const LINES: [&str; 6] = [
    "Jan/Feb gasoil roll: 2.25 bid, offered 2.50, 10 lots",
    "I can show you 2.40 for the 10",
    "Done at 2.40, thanks",
    "Grüße aus Hamburg – Baltic jet still tight?",
    "Confirmed, booking it now ✓",
    "Anything in Q1 power? 価格 please",
];

/// Messages in one room before the next room begins.
const ROOM_SIZE: u64 = 200;

/// Writes an export of that many messages, the last of which nobody can be found for.
pub(super) fn write(export: &mut dyn Write, firm: &str, date: Date, messages: u64) -> io::Result<()> {
    let mut export = io::BufWriter::new(export);
    writeln!(export, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(export, "<IceChatExport firmCode=\"{firm}\" date=\"{date}\">")?;
    let staged = messages.saturating_sub(1);
    for room in 0..staged.div_ceil(ROOM_SIZE) {
        let first = room * ROOM_SIZE;
        write_room(&mut export, date, room, first..staged.min(first + ROOM_SIZE))?;
    }
    write_held(&mut export, date, staged)?;
    writeln!(export, "</IceChatExport>")?;
    export.flush()
}

fn write_room(export: &mut impl Write, date: Date, room: u64, messages: std::ops::Range<u64>) -> io::Result<()> {
    writeln!(export, "<Conversation><RoomID>DEMO-{room}</RoomID><RoomName>Gasoil &amp; Jet {room}</RoomName>")?;
    for person in &PEOPLE {
        let Speaker { im_id, first, last, company, email } = person;
        writeln!(
            export,
            "<ParticipantEntered><User><ImId>{im_id}</ImId><FirstName>{first}</FirstName><LastName>{last}</LastName>\
             <CompanyName>{company}</CompanyName><EmailAddress>{email}</EmailAddress></User>\
             <DateTimeUTC>{date}T06:00:00Z</DateTimeUTC></ParticipantEntered>"
        )?;
    }
    for number in messages {
        let index = usize::try_from(number).unwrap_or_default();
        let person = &PEOPLE[index % PEOPLE.len()];
        let text = LINES[index % LINES.len()];
        write_message(export, number, person.im_id, person.email, &time(date, number), text)?;
    }
    writeln!(export, "</Conversation>")
}

/// One message to whoever is in the room.
fn write_message(
    export: &mut impl Write,
    number: u64,
    im_id: &str,
    email: &str,
    time: &str,
    text: &str,
) -> io::Result<()> {
    writeln!(
        export,
        "<Message><MessageID>m-{number}</MessageID><ImId>{im_id}</ImId><SenderEmail>{email}</SenderEmail>\
         <DateTimeUTC>{time}</DateTimeUTC><Content>{text}</Content></Message>"
    )
}

/// A newcomer writes to a broker: no mapping, and an address that is not in the list.
fn write_held(export: &mut impl Write, date: Date, number: u64) -> io::Result<()> {
    writeln!(
        export,
        "<Conversation><RoomID>DEMO-NEW</RoomID><Message><MessageID>m-{number}</MessageID><ImId>newhire5</ImId>\
         <SenderEmail>s.new@contoso.com</SenderEmail>\
         <Recipient><ImId>broker9</ImId><RecipientEmail>nils@northern.example</RecipientEmail></Recipient>\
         <DateTimeUTC>{}</DateTimeUTC><Content>Hello from the new desk</Content></Message></Conversation>",
        time(date, number)
    )
}

fn time(date: Date, number: u64) -> String {
    let second = number % 60;
    let minute = number / 60 % 60;
    let hour = 7 + number / 3600 % 12;
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}
