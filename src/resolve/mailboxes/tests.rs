//! The mailbox list as Exchange writes it, and the ways in which it comes out wrong.

use std::fmt::Write as _;

use super::*;
use crate::mailbox::MailboxError;

fn parse(csv: &str) -> Result<ReadList, Vec<RowError>> {
    MailboxList::parse("mailboxes.csv", csv.as_bytes())
}

fn said(csv: &str) -> String {
    String::from_utf8(parse(csv).unwrap_or_else(|errors| panic!("{csv}: {errors:?}")).list.canonical()).unwrap()
}

fn fault(csv: &str) -> (u64, Option<&'static str>, Fault) {
    let errors = parse(csv).expect_err(csv);
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].line, errors[0].column.map(|column| column.name), errors[0].fault.clone())
}

#[test]
fn the_sample() {
    let csv = "\"DisplayName\",\"PrimarySmtpAddress\",\"UserPrincipalName\",\"EmailAddresses\"\n\
        \"Amy Adams\",\"amy.adams@contoso.com\",\"aadams@contoso.com\",\"SMTP:amy.adams@contoso.com smtp:amy@contoso.com\"\n\
        \"Joe Baker\",\"joe.baker@contoso.com\",\"joe.baker@contoso.com\",\"SMTP:joe.baker@contoso.com\"\n\
        \"Dora Díaz\",\"dora.diaz@contoso.com\",\"dora.diaz@contoso.com\",\"SMTP:dora.diaz@contoso.com smtp:d.diaz@contoso.com\"\n";
    let ReadList { list, skipped, .. } = parse(csv).unwrap();
    assert_eq!((list.mailboxes(), list.len(), skipped), (3, 6, 0));
    for (address, primary) in [
        ("amy@contoso.com", "amy.adams@contoso.com"),
        ("aadams@contoso.com", "amy.adams@contoso.com"),
        ("amy.adams@contoso.com", "amy.adams@contoso.com"),
        ("d.diaz@contoso.com", "dora.diaz@contoso.com"),
    ] {
        assert_eq!(list.resolve(address).unwrap().as_str(), primary);
    }
    assert_eq!(list.resolve("nobody@contoso.com"), None);
}

#[test]
fn entries_of_every_kind() {
    let head = "PrimarySmtpAddress;EmailAddresses\n";
    let ab = "a@c.d\ta@c.d\nb@c.d\ta@c.d\n";
    for cell in [
        "\"SMTP:a@c.d smtp:b@c.d\"",
        "\"smtp:B@C.D;SMTP:a@c.d\"",
        "\"SMTP:a@c.d; Smtp:b@c.d ;\"",
        "\"SIP:x@c.d SPO:SPO_1@SPO_2 smtp:b@c.d X500:/o=First Organization/ou=x y@z/cn=smtp eum:1;phone-context=x\"",
        "\"smtp:b@c.d\nsmtp:b@c.d\"",
    ] {
        assert_eq!(said(&format!("{head}a@c.d;{cell}\n")), ab, "{cell}");
    }
    let read = parse(&format!("{head}a@c.d;\"smtp:jö@c.d smtp:b@c.d smtp: smtp:a@b@c\"\n")).unwrap();
    assert_eq!((read.skipped, read.list.len()), (2, 2), "malformed further addresses are passed over, and counted");
}

#[test]
fn columns_and_encodings() {
    for csv in [
        "primarysmtpaddress\nA@c.d\n",
        "UserPrincipalName\na@c.d\n",
        "\u{feff}Name\tUserPrincipalName\n\"\tx\"\tA@C.D\n",
        "#TYPE Microsoft.Exchange.X\r\n\"PrimarySmtpAddress\"\r\n\"a@c.d\"\r\n",
        "PrimarySmtpAddress,UserPrincipalName,EmailAddresses\na@c.d,,\n\n,,\na@c.d,a@c.d,SMTP:a@c.d\n",
    ] {
        assert_eq!(said(csv), "a@c.d\ta@c.d\n", "{csv:?}");
    }
    assert_eq!(parse("PrimarySmtpAddress,UserPrincipalName\na@c.d,guest\n").unwrap().skipped, 1);
    let utf16: Vec<u8> = "\u{feff}PrimarySmtpAddress\na@c.d\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(MailboxList::parse("l.csv", &utf16).unwrap().list.canonical(), b"a@c.d\ta@c.d\n");
}

#[test]
fn names_and_damage_are_told_beside_the_list() {
    let csv = "DisplayName,PrimarySmtpAddress,UserPrincipalName,EmailAddresses\n\
        \u{a0}Amy Adams\u{200e},a@c.d,#N/A,smtp:x@c.d\n,'b@c.d,'b@c.d,\nJoe,c@c.d,,\"{SMTP:c@c.d, smtp:y@c.d...}\"\n";
    let read = parse(csv).unwrap();
    let warnings: Vec<_> =
        read.warnings.iter().map(|warning| (warning.line, warning.column.number, warning.damage)).collect();
    let expected =
        [(2, 3, Damage::ErrorValue), (3, 2, Damage::Apostrophe), (3, 3, Damage::Apostrophe), (4, 4, Damage::Shown)];
    assert_eq!(warnings, expected);
    assert_eq!(said(csv), "'b@c.d\t'b@c.d\na@c.d\ta@c.d\nc@c.d\tc@c.d\nx@c.d\ta@c.d\n", "nothing in braces counts");
    let mut names: Vec<_> = read.names.iter().map(|(mailbox, name)| format!("{mailbox} {name}")).collect();
    names.sort();
    assert_eq!(names, ["a@c.d Amy Adams", "c@c.d Joe"]);
    let only_users = parse("UserPrincipalName\n'a@c.d\n").unwrap();
    assert_eq!(only_users.warnings.len(), 1, "a cell that serves twice is warned of once");
    assert_eq!(only_users.warnings[0].to_string(), "mailboxes.csv:2: column 1 (UserPrincipalName)");
}

#[test]
fn wrong_lists() {
    assert_eq!(fault(""), (1, None, Fault::Empty));
    assert_eq!(fault("PrimarySmtpAddress\r\n\r\n"), (1, None, Fault::NoMailbox));
    assert_eq!(fault("Mailbox\na@c.d\n"), (1, None, Fault::NoColumn(PRIMARY)));
    assert_eq!(fault("EmailAddresses\nsmtp:a@c.d\n"), (1, None, Fault::NoColumn(PRIMARY)));
    let head =
        "#TYPE x\nDisplayName,PrimarySmtpAddress,UserPrincipalName,EmailAddresses\nok,ok@c.d,ok@c.d,smtp:o@c.d\n";
    for (row, column, expected) in [
        ("a,,a@c.d,SMTP:a@c.d", PRIMARY, Fault::MissingCell),
        ("a", PRIMARY, Fault::MissingCell),
        ("a,jö@c.d,a@c.d,", PRIMARY, Fault::Address(MailboxError::Local)),
        ("a,a,a@c.d,", PRIMARY, Fault::Address(MailboxError::Shape)),
        ("a,a@c.d,a@c.d,System.String[]", ADDRESSES, Fault::Collection),
        ("a,a@c.d,a@c.d,System.Collections.ArrayList", ADDRESSES, Fault::Collection),
        ("a,a@c.d,a@c.d,Microsoft.Exchange.Data.ProxyAddressCollection", ADDRESSES, Fault::Collection),
        ("a,System.String[],a@c.d,", PRIMARY, Fault::Collection),
        ("a,a@c.d,ok@c.d,", USER, Fault::OtherPrimary { line: 3 }),
        ("a,a@c.d,a@c.d,smtp:O@c.d", ADDRESSES, Fault::OtherPrimary { line: 3 }),
        ("a,o@c.d,,", PRIMARY, Fault::OtherPrimary { line: 3 }),
    ] {
        assert_eq!(fault(&format!("{head}{row}\n")), (4, Some(column), expected), "{row}");
    }
    let words = Fault::Collection.to_string();
    assert!(words.contains("Get-EXOMailbox") && words.contains("e={$_.EmailAddresses -join ' '}"), "{words}");
    let many = parse(&format!("{head}x,,,\ny,y,,\nz,z@c.d,,\"smtp:z")).unwrap_err();
    assert_eq!(many.len(), 1, "a file cut in the middle is one error: {many:?}");
    assert_eq!(parse(&format!("{head}x,,,\ny,y,,\n")).unwrap_err().len(), 2);
}

#[test]
fn canonical_form() {
    let csv = "PrimarySmtpAddress,EmailAddresses\nb@c.d,smtp:x@c.d\nA@c.d,smtp:y@c.d\n";
    let list = parse(csv).unwrap().list;
    assert_eq!(said(csv), "a@c.d\ta@c.d\nb@c.d\tb@c.d\nx@c.d\tb@c.d\ny@c.d\ta@c.d\n");
    assert_eq!(MailboxList::from_canonical(&list.canonical()), Ok(list));
    assert_eq!(MailboxList::from_canonical(b"a@c.d\ta@c.d\nb@c.d\tb\n").unwrap_err().line, 2);
}

#[test]
#[ignore = "prints a figure"]
fn a_hundred_thousand_mailboxes() {
    let mut csv =
        String::from("\u{feff}\"DisplayName\",\"PrimarySmtpAddress\",\"UserPrincipalName\",\"EmailAddresses\"\r\n");
    for row in 0..100_000 {
        write!(
            csv,
            "\"N {row}\",\"first.last{row}@contoso.com\",\"u{row}@contoso.com\",\
             \"SMTP:first.last{row}@contoso.com smtp:f{row}@contoso.com SIP:u{row}@contoso.com\"\r\n"
        )
        .unwrap();
    }
    let started = std::time::Instant::now();
    let read = parse(&csv).unwrap();
    println!("100,000 mailboxes, {} addresses: {:?}", read.list.len(), started.elapsed());
}
