//! The mapping's CSV as contract 6 takes it, and as Excel, PowerShell and hurried people write it.

use std::fmt::Write as _;

use proptest::prelude::*;

use jiff::civil::date;

use super::*;
use crate::digest::Sha256;
use crate::resolve::{Column, Damage, Fault};

fn files(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

fn parse(bytes: impl AsRef<[u8]>) -> Result<Mapping, Vec<RowError>> {
    Mapping::parse(&files(&[("m.csv", bytes.as_ref())])).map(|read| read.mapping)
}

fn target_on(mapping: &Mapping, im_id: &str, day: Date) -> Option<String> {
    mapping.get(&ImId::new(im_id).unwrap(), day).map(|target| target.as_str().to_owned())
}

/// What it is mapped to on any day: those that are asked about here have no periods.
fn target(mapping: &Mapping, im_id: &str) -> Option<String> {
    target_on(mapping, im_id, date(2026, 11, 19))
}

/// What is in a mapping, in words.
fn said(mapping: &Mapping) -> String {
    String::from_utf8(mapping.canonical()).unwrap()
}

/// The one error of a file: line, column number and fault.
fn fault(bytes: impl AsRef<[u8]>) -> (u64, Option<usize>, Fault) {
    let errors = parse(&bytes).expect_err(&String::from_utf8_lossy(bytes.as_ref()));
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].line, errors[0].column.map(|column| column.number), errors[0].fault.clone())
}

/// Rows of `ImId,Mailbox,ValidFrom,ValidTo`, separated by spaces.
fn dated(rows: &str) -> Vec<u8> {
    format!("ImId,Mailbox,ValidFrom,ValidTo\n{}\n", rows.replace(' ', "\n")).into_bytes()
}

/// The warnings of a file: line, column number and damage.
fn warnings(csv: &str) -> Vec<(u64, usize, Damage)> {
    let read = Mapping::parse(&files(&[("m.csv", csv.as_bytes())])).unwrap();
    read.warnings.iter().map(|warning| (warning.line, warning.column.number, warning.damage)).collect()
}

const TWO: &str = "adams17\tamy.adams@contoso.com\nbaker.j\tjoe.baker@contoso.com\n";

#[test]
fn the_sample() {
    let csv = "ImId,Mailbox,Desk\nadams17,amy.adams@contoso.com,Gasoil\nBAKER.J,Joe.Baker@contoso.com,Gasoil\n\
               chen_trading,wei.chen@contoso.com,Power\nghost1,nobody@contoso.com,Left the firm\n";
    let mapping = parse(csv).unwrap();
    assert_eq!(mapping.len(), 4);
    assert_eq!(target(&mapping, "ADAMS17").unwrap(), "amy.adams@contoso.com");
    assert_eq!(target(&mapping, " baker.j ").unwrap(), "joe.baker@contoso.com");
    assert_eq!(target(&mapping, "ghost1").unwrap(), "nobody@contoso.com");
    assert_eq!(target(&mapping, "ghost"), None);
}

#[test]
fn the_template_parses() {
    let mapping = parse(TEMPLATE).unwrap();
    assert_eq!(target(&mapping, "broker9").unwrap(), "external");
    assert_eq!(mapping.get(&ImId::new("broker9").unwrap(), Date::MIN), Some(&Target::External));
    assert!(mapping.len() >= 4);
}

#[test]
fn headers_delimiters_quotes_and_line_ends() {
    for csv in [
        "ImId,Mailbox\nadams17,amy.adams@contoso.com\nBaker.J,Joe.Baker@Contoso.com\n",
        "ImId,Mailbox\nadams17,amy.adams@contoso.com\nBaker.J,Joe.Baker@Contoso.com",
        "imid,MAILBOX\r\nadams17,amy.adams@contoso.com\r\nBaker.J,Joe.Baker@Contoso.com\r\n",
        "ImId,Mailbox\radams17,amy.adams@contoso.com\rBaker.J,Joe.Baker@Contoso.com\r",
        " Mailbox ;\u{a0}ImId\nAmy.Adams@contoso.com;adams17\njoe.baker@contoso.com;baker.j\n",
        "Desk\tImId\tMailbox\nx\tadams17\tamy.adams@contoso.com\ny\tbaker.j\tjoe.baker@contoso.com\n",
        "\"ImId\",\"PrimarySmtpAddress\"\n\"adams17\",\"amy.adams@contoso.com\"\n\"baker.j\",\"joe.baker@contoso.com\"\n",
        "UserPrincipalName,ImId\namy.adams@contoso.com,adams17\njoe.baker@contoso.com,baker.j\n",
        "ImId;Microsoft 365 Mailbox\nadams17;amy.adams@contoso.com\nbaker.j;joe.baker@contoso.com\n",
        "ImId,Mailbox\n\n  \n,\n adams17 ,\u{a0}amy.adams@contoso.com\u{a0}\n\u{200b}baker.j\u{feff},joe.baker@contoso.com\n,,,\n",
        "\n\r\nImId,Mailbox\nadams17,amy.adams@contoso.com,\"a \"\"note\"\", with\nlines; and\ttabs\"\nbaker.j,joe.baker@contoso.com\n",
        "ImId,Mailbox,a;b;c;d\nadams17,amy.adams@contoso.com\nbaker.j,joe.baker@contoso.com,x;y,z\n",
        "ImId,Mailbox\nadams17,amy.adams@contoso.com\nADAMS17,AMY.Adams@contoso.com\nbaker.j,joe.baker@contoso.com\n",
        "#TYPE Selected.Thing\r\n\"ImId\",\"Mailbox\"\r\n\"adams17\",\"amy.adams@contoso.com\"\r\n\"baker.j\",\"joe.baker@contoso.com\"\r\n",
        "ImId,Mailbox,Size\nadams17,amy.adams@contoso.com,5\" pipe\nbaker.j,joe.baker@contoso.com,6\"\n",
    ] {
        assert_eq!(said(&parse(csv).unwrap_or_else(|errors| panic!("{csv:?}: {errors:?}"))), TWO, "{csv:?}");
    }
}

#[test]
fn where_a_file_has_several_mailbox_columns_the_first_of_the_contracts_names_counts() {
    let csv = "UserPrincipalName,PrimarySmtpAddress,ImId\nupn@contoso.com,primary@contoso.com,a\n";
    assert_eq!(target(&parse(csv).unwrap(), "a").unwrap(), "primary@contoso.com");
    let csv = "PrimarySmtpAddress,Mailbox,ImId\nprimary@contoso.com,mailbox@contoso.com,a\n";
    assert_eq!(target(&parse(csv).unwrap(), "a").unwrap(), "mailbox@contoso.com");
    assert_eq!(fault("PrimarySmtpAddress,Mailbox,ImId\nprimary@contoso.com,,a\n"), (2, Some(2), Fault::MissingCell));
}

#[test]
fn every_encoding_that_excel_writes() {
    let csv = "ImId;Mailbox\r\nadams17;amy.adams@contoso.com\r\nbaker.j;joe.baker@contoso.com\r\n";
    let utf16 = |to: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    for bytes in [
        format!("\u{feff}{csv}").into_bytes(),
        utf16(u16::to_le_bytes, &format!("\u{feff}{csv}")),
        utf16(u16::to_be_bytes, &format!("\u{feff}{csv}")),
        utf16(u16::to_le_bytes, csv),
        utf16(u16::to_be_bytes, csv),
    ] {
        assert_eq!(said(&parse(&bytes).unwrap()), TWO);
        if bytes.contains(&0) {
            assert!(parse(&bytes[..bytes.len() - 1]).is_err(), "half a character at the end");
        }
    }
    let names = "ImId,Mailbox\nМария,maria@contoso.com\n陈,chen@contoso.com\n";
    let mapping = parse(utf16(u16::to_le_bytes, &format!("\u{feff}{names}"))).unwrap();
    assert_eq!(target(&mapping, "МАРИЯ").unwrap(), "maria@contoso.com");
    assert_eq!(mapping, parse(names).unwrap());
    let surrogate = [&utf16(u16::to_le_bytes, "\u{feff}ImId,Mailbox\na,a@b.c\nb")[..], &[0x00, 0xd8]].concat();
    assert_eq!(fault(surrogate), (3, None, Fault::NotUtf16));
    assert_eq!(fault(b"ImId,Mailbox\r\na,a@b.c\r\nm\xfcller,m@b.c\r\n"), (3, None, Fault::NotUtf8));
}

#[test]
fn bad_files() {
    for empty in ["", " \r\n\n", "\u{feff}", "#TYPE x"] {
        assert_eq!(fault(empty), (1, None, Fault::Empty), "{empty:?}");
    }
    for (csv, column) in [
        ("adams17,amy.adams@contoso.com\n", "ImId"),
        ("Mailbox\namy.adams@contoso.com\n", "ImId"),
        ("ImId,Desk\nadams17,Gasoil\n", "Mailbox"),
        ("ImId Mailbox\nadams17 amy.adams@contoso.com\n", "ImId"),
        ("Im Id,Mailbox\na,b@c\n", "ImId"),
    ] {
        assert_eq!(fault(csv), (1, None, Fault::NoColumn(column)), "{csv:?}");
    }
    assert_eq!(fault("\nImId,Mailbox,imid\na,b@c,d\n"), (2, Some(3), Fault::ColumnTwice));
    for header_only in ["ImId,Mailbox", "ImId,Mailbox\r\n\r\n", "\u{feff}Mailbox;ImId\n;\n"] {
        assert!(parse(header_only).unwrap().is_empty());
    }
    assert!(Mapping::parse(&[]).unwrap().mapping.is_empty());
}

#[test]
fn quotes_out_of_step_never_swallow_rows() {
    let rows = "ImId,Mailbox,Desk\na,a@b.c,\"Gas\nb,b@b.c,\"Power\nc,c@b.c,\n";
    assert_eq!(fault(rows), (3, None, Fault::AfterQuote));
    assert_eq!(fault("ImId,Mailbox\n\na,\"a@b.c\nb,b@b.c\n"), (3, None, Fault::UnclosedQuote));
    assert_eq!(fault("ImId,Mailbox\n\"a\"b,a@b.c\n"), (2, None, Fault::AfterQuote));
    assert_eq!(fault("ImId, \"Mailbox\"\na,a@b.c\n"), (1, None, Fault::LateQuote));
    assert_eq!(fault("ImId,Mailbox,Desk\na,a@b.c\nb,b@b.c"), (3, None, Fault::CutOff));
}

#[test]
fn bad_rows_name_line_column_and_reason() {
    let head = "ImId,Mailbox,Desk\r\n\r\nok,\"ok@contoso.com\",\"two\r\nlines\"\r\n";
    for (row, column, expected) in [
        ("a,,x", 2, Fault::MissingCell),
        ("a, \u{a0},x", 2, Fault::MissingCell),
        (",a@b.c,x", 1, Fault::MissingCell),
        ("a", 2, Fault::MissingCell),
        (",,x", 2, Fault::MissingCell),
        ("a,amy,x", 2, Fault::Address(MailboxError::Shape)),
        ("a,externals,x", 2, Fault::Address(MailboxError::Shape)),
        ("a,amy adams@b.c,x", 2, Fault::Address(MailboxError::Local)),
        ("a,a/b@b.c,x", 2, Fault::Address(MailboxError::Local)),
        ("a,<a@b.c>,x", 2, Fault::Address(MailboxError::Local)),
        ("a,a@b.c;b@b.c,x", 2, Fault::Address(MailboxError::Shape)),
        ("a,jö@b.c,x", 2, Fault::Address(MailboxError::Local)),
        ("a,a@b_c,x", 2, Fault::Address(MailboxError::Domain)),
        ("\"a\nb\",a@b.c,x", 1, Fault::ControlCharacter),
        ("OK,other@contoso.com,x", 1, Fault::OtherMailbox { file: "m.csv".to_owned(), line: 3 }),
        ("OK,external,x", 1, Fault::OtherMailbox { file: "m.csv".to_owned(), line: 3 }),
    ] {
        assert_eq!(fault(format!("{head}{row}\r\n")), (5, Some(column), expected), "{row:?}");
    }
}

#[test]
fn every_error_of_every_file_is_reported_and_none_quotes_a_cell() {
    let set = files(&[
        ("a.csv", b"ImId,Mailbox\nsecret1,one@contoso.com\nsecret2,hunter2\nsecret3,\n"),
        ("b.csv", b"Mailbox;ImId\ntwo@contoso.com;SECRET1\nexternal;secret4\n"),
        ("c.csv", b""),
        ("d.csv", b"ImId,Mailbox\nsecret4,EXTERNAL\n"),
    ]);
    let errors = Mapping::parse(&set).unwrap_err();
    let words: Vec<_> = errors.iter().map(|error| format!("{error}: {}", error.fault)).collect();
    assert_eq!(
        words,
        [
            "a.csv:3: column 2 (Mailbox): malformed address: it needs one @ between name and domain",
            "a.csv:4: column 2 (Mailbox): the cell is empty; fill it in or remove the row",
            "b.csv:2: column 2 (ImId): this ImId has another mailbox in a.csv:2; remove one of the two rows",
            "c.csv:1: the file is empty; it needs a header row",
        ]
    );
    assert_eq!(errors[0].column, Some(Column { number: 2, name: "Mailbox" }));
    assert!(!format!("{errors:?}").contains("secret") && !format!("{errors:?}").contains("hunter"));
}

/// What surrounds a cell after copying it from somewhere is no part of it.
#[test]
fn white_space_of_every_kind() {
    for space in [
        " ",
        "\u{a0}",
        "\u{2007}",
        "\u{202f}",
        "\u{3000}",
        "\u{2003}",
        "\u{200b}",
        "\u{feff}",
        "\u{200e}",
        "\u{200f}",
        "\u{202a}",
        "\u{202c}",
        "\u{2066}",
        "\u{2069}",
        "\u{2060}",
        "\u{200d}",
        "\u{ad}",
        " \u{a0}\u{200e} ",
    ] {
        let around = |text: &str| format!("{space}{text}{space}");
        let csv = format!(
            "{},{},{}\n{},{},{}\n{space},{space},\n",
            around("ImId"),
            around("Mailbox"),
            around("ValidTo"),
            around("a"),
            around("a@b.c"),
            around("2026-11-19")
        );
        let mapping = parse(&csv).unwrap_or_else(|errors| panic!("{space:?}: {errors:?}"));
        assert_eq!(said(&mapping), "a\ta@b.c\t\t2026-11-19\n", "{space:?}");
        assert_eq!(fault(format!("ImId,Mailbox\n{space}\"a\",a@b.c\n")), (2, None, Fault::LateQuote), "{space:?}");
    }
    assert_eq!(said(&parse("ImId,Mailbox\na\u{a0}b,a@b.c\n").unwrap()), "a\u{a0}b\ta@b.c\n", "within a cell it stays");
}

#[test]
fn damage_is_warned_of_and_the_row_counts() {
    let csv =
        "ImId,Mailbox,Phone\n#N/A,a@c.d,#N/A\n1.2E+11,b@c.d,1.2E+11\n'ok,'c@c.d,'\nfine,d@c.d,\n#REF!,external,\n";
    let expected = [
        (2, 1, Damage::ErrorValue),
        (3, 1, Damage::Rounded),
        (4, 1, Damage::Apostrophe),
        (4, 2, Damage::Apostrophe),
        (6, 1, Damage::ErrorValue),
    ];
    assert_eq!(warnings(csv), expected);
    assert_eq!(parse(csv).unwrap().len(), 5);
    for bad in ["#N/A", "#REF!", "1.2E+11", "'external"] {
        let words = Fault::Address(MailboxError::Shape);
        assert_eq!(fault(format!("ImId,Mailbox\na,{bad}\n")), (2, Some(2), words), "{bad}");
    }
    assert_eq!(warnings(TEMPLATE), []);
}

#[test]
fn lost_zeros_are_seen_by_the_other_files_too_and_warnings_are_in_order() {
    let set = files(&[
        ("a.csv", b"Mailbox,ImId\na@c.d,4321\nb@c.d,#N/A\nc@c.d,hugo\n"),
        ("b.csv", b"ImId,Mailbox\n0012345,d@c.d\n0012346,e@c.d\n0012347,f@c.d\n12348,g@c.d\n"),
    ]);
    let warnings = Mapping::parse(&set).unwrap().warnings;
    let words: Vec<_> = warnings.iter().map(|warning| format!("{warning}: {}", warning.damage)).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(words[0].starts_with("a.csv:2: column 2 (ImId): digits only, and fewer than the 7 that"), "{words:?}");
    assert!(words[1].starts_with("a.csv:3: column 2 (ImId): the cell holds a spreadsheet's error value"), "{words:?}");
    assert!(words[2].starts_with("b.csv:5: column 1 (ImId): digits only"), "{words:?}");
    assert!(words.iter().all(|words| !words.contains("4321") && !words.contains("N/A") && !words.contains("12348")));
}

#[test]
fn an_im_id_is_bound_for_a_time() {
    let mapping =
        parse(dated("a,amy@c.d,,2026-03-31 A,joe@c.d,2026-04-01, b,external,2026-01-01,2026-01-01 c,wei@c.d,,"))
            .unwrap();
    assert_eq!(mapping.len(), 3);
    for (im_id, day, expected) in [
        ("a", date(2026, 3, 31), Some("amy@c.d")),
        ("a", date(2026, 4, 1), Some("joe@c.d")),
        ("a", Date::MIN, Some("amy@c.d")),
        ("a", Date::MAX, Some("joe@c.d")),
        ("b", date(2025, 12, 31), None),
        ("b", date(2026, 1, 1), Some("external")),
        ("b", date(2026, 1, 2), None),
        ("c", Date::MIN, Some("wei@c.d")),
        ("d", date(2026, 1, 1), None),
    ] {
        assert_eq!(target_on(&mapping, im_id, day).as_deref(), expected, "{im_id} {day}");
    }
    let only_to = parse("ValidTo;Mailbox;ImId\n2026-03-31;amy@c.d;a\n;joe@c.d;b\n").unwrap();
    assert_eq!(said(&only_to), "a\tamy@c.d\t\t2026-03-31\nb\tjoe@c.d\n");
}

#[test]
fn periods_that_contradict_name_both_places() {
    let clash = |line| Fault::Overlap { file: "m.csv".to_owned(), line };
    for (rows, expected) in [
        ("a,x@c.d,2026-01-01,2026-03-31 a,y@c.d,2026-03-31,", (3, Some(1), clash(2))),
        ("a,x@c.d,2026-03-31, a,y@c.d,2026-01-01,2026-03-31", (3, Some(1), clash(2))),
        ("a,x@c.d,2026-01-01,2026-01-31 a,y@c.d,,", (3, Some(1), clash(2))),
        ("a,x@c.d,, A,external,2026-01-01,2026-01-31", (3, Some(1), clash(2))),
        ("a,x@c.d,, b,b@c.d,, a,x@c.d,2026-01-01, a,y@c.d,2026-05-01,2026-05-01", (5, Some(1), clash(2))),
        ("a,x@c.d,2026-01-01,2025-12-31", (2, Some(4), Fault::Reversed)),
        ("a,x@c.d,2026-02-30,", (2, Some(3), Fault::Date)),
        ("a,x@c.d,,31.12.2026", (2, Some(4), Fault::Date)),
        ("a,x@c.d,46345,", (2, Some(3), Fault::Date)),
        ("a,x@c.d,20260101,", (2, Some(3), Fault::Date)),
    ] {
        assert_eq!(fault(dated(rows)), expected, "{rows}");
    }
    let two = files(&[
        ("a.csv", b"ImId,Mailbox,ValidTo\na,x@c.d,2026-01-31\n"),
        ("b.csv", b"Mailbox;ValidFrom;ImId\ny@c.d;2026-01-31;A\n"),
    ]);
    let errors = Mapping::parse(&two).unwrap_err();
    let words = format!("{}: {}", errors[0], errors[0].fault);
    assert!(
        words.starts_with(
            "b.csv:2: column 3 (ImId): this ImId has another mailbox in a.csv:2 for some of the same days; end"
        ),
        "{words}"
    );
    for fine in [
        "a,x@c.d,, a,x@c.d,2026-01-01,2026-02-01",
        "a,x@c.d,2026-01-01,2026-03-31 a,x@c.d,2026-02-01,2026-04-30 a,y@c.d,2026-05-01,",
        "a,x@c.d,2026-01-01,9999-12-31 a,y@c.d,,2025-12-31",
    ] {
        assert!(parse(dated(fine)).is_ok(), "{fine}");
    }
}

#[test]
fn a_mapping_without_periods_has_the_digest_that_ledgers_know() {
    let said = "adams17\tamy.adams@contoso.com\nbaker.j\tjoe.baker@contoso.com\nbroker9\texternal\n";
    let csv = "ImId,Mailbox,ValidFrom,ValidTo\nBaker.J,Joe.Baker@contoso.com,,\nbroker9,External,,\nadams17,amy.adams@contoso.com,,\n";
    let canonical = parse(csv).unwrap().canonical();
    assert_eq!(canonical, said.as_bytes());
    let digest = "691afa8e3be7b7988376a367523accf19a8ac012aaca1e44b6ffbf20d3215f23";
    assert_eq!(Sha256::of(&canonical).to_string(), digest);
}

#[test]
fn the_canonical_form_of_periods() {
    let rows = "a,y@c.d,2026-04-01, a,x@c.d,,2026-01-31 a,x@c.d,2026-02-01,2026-03-31 b,x@c.d,2026-01-01,9999-12-31";
    let mapping = parse(dated(rows)).unwrap();
    let expected = "a\tx@c.d\t\t2026-03-31\ty@c.d\t2026-04-01\t\nb\tx@c.d\t2026-01-01\t\n";
    assert_eq!(said(&mapping), expected, "touching periods of one mailbox are one");
    assert_eq!(Mapping::from_canonical(expected.as_bytes()).unwrap(), mapping);
    for damaged in [
        "a\tx@c.d\t\t2026-03-31\ty@c.d\t2026-04-01\n",
        "a\tx@c.d\t\t\n",
        "a\tx@c.d\t\t9999-12-31\n",
        "a\tx@c.d\t2026-4-1\t\n",
        "a\tx@c.d\t2026-04-01\t2026-03-01\n",
        "a\tx@c.d\t\t2026-03-31\ty@c.d\t2026-03-31\t\n",
        "a\ty@c.d\t2026-04-01\t\tx@c.d\t\t2026-03-31\n",
        "a\tx@c.d\t\t2026-03-31\tx@c.d\t2026-04-01\t\n",
        "a\tX@c.d\t\t2026-03-31\n",
    ] {
        assert_eq!(Mapping::from_canonical(damaged.as_bytes()), Err(CanonicalError { line: 1 }), "{damaged:?}");
    }
}

/// A row of one `ImId`: which mailbox, and the days 1 to 28 of a month that it counts, open where there is none.
type Span = (usize, Option<i8>, Option<i8>);

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let end = || proptest::option::weighted(0.8, 1..29_i8);
    proptest::collection::vec((0..3_usize, end(), end()), 0..6)
}

fn covers((_, from, to): Span, day: i8) -> bool {
    from.is_none_or(|from| from <= day) && to.is_none_or(|to| day <= to)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    /// Day by day: refused is what gives a day two mailboxes (or a row no day), and each day has the mailbox of a row that
    /// covers it. The days before and after the month stand for all those that no end reaches.
    #[test]
    fn periods_are_what_they_are_day_by_day(spans in spans()) {
        let day = |day: i8| date(2026, 2, 28).checked_add(jiff::Span::new().days(i64::from(day))).unwrap();
        let cell = |end: Option<i8>| end.map(|end| day(end).to_string()).unwrap_or_default();
        let rows: Vec<_> = spans.iter().map(|&(who, from, to)| format!("a,m{who}@c.d,{},{}", cell(from), cell(to))).collect();
        let read = parse(dated(&rows.join(" ")));
        let on = |at: i8| spans.iter().filter(|span| covers(**span, at)).map(|span| span.0).collect::<std::collections::BTreeSet<_>>();
        let reversed = spans.iter().any(|(_, from, to)| from.zip(*to).is_some_and(|(from, to)| from > to));
        let contradicts = (0..30).any(|at| on(at).len() > 1);
        prop_assert_eq!(read.is_err(), reversed || contradicts, "{:?}", rows);
        let Ok(mapping) = read else { return Ok(()) };
        for at in 0..30 {
            let expected = on(at).first().map(|who| format!("m{who}@c.d"));
            prop_assert_eq!(target_on(&mapping, "A", day(at)), expected, "{:?} on {}", rows, at);
        }
        prop_assert_eq!(&Mapping::from_canonical(&mapping.canonical()).unwrap(), &mapping);
        let mut turned = rows.clone();
        turned.reverse();
        prop_assert_eq!(parse(dated(&turned.join(" "))).unwrap().canonical(), mapping.canonical());
        // Whatever it is on a day of a span, it is on one of the days that tell.
        let im_id = ImId::new("a").unwrap();
        for (first, last) in [(0, 29), (3, 9), (5, 5), (10, 28)] {
            let told: Vec<_> = mapping.telling_days(Some(&im_id), day(first), day(last)).collect();
            prop_assert!(told.iter().all(|told| (day(first)..=day(last)).contains(told)));
            let told: Vec<_> = told.iter().map(|day| mapping.get(&im_id, *day)).collect();
            for at in first..=last {
                prop_assert!(told.contains(&mapping.get(&im_id, day(at))), "{:?} from {} to {}, on {}", rows, first, last, at);
            }
        }
    }
}

#[test]
fn external_in_any_case() {
    for word in ["external", "External", "EXTERNAL", " external "] {
        let mapping = parse(format!("ImId,Mailbox\na,{word}\n")).unwrap();
        assert_eq!(mapping.get(&ImId::new("A").unwrap(), Date::MAX), Some(&Target::External));
    }
}

#[test]
fn canonical_form_depends_on_nothing_but_the_set() {
    let one = parse("ImId,Mailbox\nb,B@contoso.com\na,external\n").unwrap();
    let two = Mapping::parse(&files(&[
        ("x.csv", b"Mailbox\tImId\nEXTERNAL\tA\n"),
        ("y.csv", b"ImId;Mailbox\nB;b@contoso.com\n"),
    ]));
    assert_eq!(said(&one), "a\texternal\nb\tb@contoso.com\n");
    assert_eq!(said(&two.unwrap().mapping), said(&one));
    assert_eq!(Mapping::from_canonical(&one.canonical()).unwrap(), one);
    assert!(Mapping::from_canonical(b"").unwrap().is_empty());
    for (damaged, line) in [
        ("a\texternal", 1),
        ("a external\n", 1),
        ("b\tb@c\na\ta@c\n", 2),
        ("a\ta@c\na\ta@c\n", 2),
        ("a\tnobody\n", 1),
        ("\ta@c\n", 1),
    ] {
        assert_eq!(Mapping::from_canonical(damaged.as_bytes()).unwrap_err().line, line, "{damaged:?}");
    }
}

/// Rows as an operator may have them (`ImId`, mailbox), notes beside them (quoted?, text), the delimiter, CR LF or LF.
type Written = (Vec<(String, String)>, Vec<(bool, String)>, char, bool);

fn table() -> impl Strategy<Value = Written> {
    let row = ("[a-zA-Z0-9._ @ü-]{0,8}[a-z0-9]", "[a-z]{1,5}@[a-z]{1,5}\\.[a-z]{2,4}|external");
    let note = (any::<bool>(), "[a-z ,;\"\n]{0,6}");
    (
        proptest::collection::vec(row, 0..6),
        proptest::collection::vec(note, 6),
        prop_oneof![Just(','), Just(';'), Just('\t')],
        any::<bool>(),
    )
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

proptest! {
    /// A prefix of a good file is refused, or says what the rows before the cut say. Only a last row without a line end
    /// whose cells are all begun can be cut unnoticed, and only where the cut is in an unquoted last cell.
    #[test]
    fn a_file_cut_anywhere_is_refused_or_ends_with_a_row((rows, notes, delimiter, crlf) in table()) {
        let mut rows = rows;
        let mut seen = std::collections::HashSet::new();
        rows.retain(|(im_id, _)| seen.insert(im_id.trim().to_lowercase()));
        let d = delimiter;
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("ImId{d}Mailbox{d}Note{end}");
        let mut borders = vec![(text.len(), 0)];
        for (at, ((im_id, mailbox), (quoted, note))) in rows.iter().zip(&notes).enumerate() {
            let plain = !note.contains(['"', '\n', delimiter]) && !quoted;
            let note = if plain { note.clone() } else { quote(note) };
            let im_id = if *quoted { quote(im_id) } else { im_id.clone() };
            write!(text, "{im_id}{d}{mailbox}{d}{note}{end}").unwrap();
            borders.push((text.len(), at + 1));
        }
        let whole = parse(&text).unwrap();
        for cut in 0..=text.len() {
            let Ok(read) = parse(&text.as_bytes()[..cut]) else { continue };
            // Past the last delimiter of a row all that counts is there; before it the row must not count.
            let complete = borders.iter().filter(|(at, _)| *at <= cut).map(|(_, rows)| *rows).max().unwrap_or(0);
            prop_assert!(read.len() == complete || read.len() == complete + 1, "{text:?} cut at {cut}");
            prop_assert!(read.bindings.iter().all(|(im_id, binding)| whole.bindings.get(im_id) == Some(binding)), "{text:?} cut at {cut}");
            if read.len() == complete + 1 {
                let row = &text[borders[complete].0..cut];
                prop_assert!(row.contains(rows[complete].1.as_str()), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "(?s)ImId[,;\t]Mailbox\n.{0,60}") {
        let _ = parse(&bytes);
        if let Ok(mapping) = parse(&text) {
            prop_assert_eq!(Mapping::from_canonical(&mapping.canonical()), Ok(mapping));
        }
    }

    #[test]
    fn what_is_written_is_read(rows in proptest::collection::btree_map("[a-z\"',; ]{0,6}[a-z0-9]", "[a-z]{1,5}@[a-z]{1,5}", 0..9)) {
        let rows: std::collections::BTreeMap<_, _> = rows.into_iter().map(|(k, v)| (k.trim().to_owned(), v)).collect();
        let mut text = String::from("Mailbox;ImId\n");
        for (im_id, mailbox) in &rows {
            writeln!(text, "{mailbox};{}", quote(im_id)).unwrap();
        }
        let mapping = parse(&text).unwrap();
        let expected: Vec<_> = rows.iter().map(|(im_id, mailbox)| format!("{im_id}\t{mailbox}")).collect();
        let read = said(&mapping);
        prop_assert_eq!(read.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_one_cut_that_cannot_be_told_is_said() {
    // Without a last line end, a cut in an unquoted last cell is a shorter cell: whether it counts is for who knows what is in
    // force (`inputs::find`).
    let read = |csv: &str| Mapping::parse(&[("desk.csv".to_owned(), csv.into())]).unwrap();
    let cut = read("ImId,Mailbox\na,a@contoso.co");
    assert_eq!(said(&cut.mapping), "a\ta@contoso.co\n");
    assert_eq!(cut.open.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["desk.csv"]);
    for whole in
        ["ImId,Mailbox\na,a@contoso.com\n", "ImId,Mailbox\ra,a@contoso.com\r", "ImId,Mailbox\na,a@contoso.com\n\n"]
    {
        assert!(read(whole).open.is_empty(), "{whole:?}");
    }
    assert_eq!(read("ImId,Mailbox").open.len(), 1, "a cut may also leave no row");
    assert_eq!(fault("ImId,Mailbox\na,\"a@contoso.co"), (2, None, Fault::UnclosedQuote));
}

#[test]
#[ignore = "prints a figure"]
fn a_hundred_thousand_rows() {
    let mut csv = String::from("\u{feff}ImId;Mailbox;Desk\r\n");
    for row in 0..100_000 {
        writeln!(csv, "trader_{row};\"First.Last{row}@contoso.com\";Desk {}\r", row % 50).unwrap();
    }
    let started = std::time::Instant::now();
    let mapping = parse(&csv).unwrap();
    println!("100,000 rows parsed after {:?}", started.elapsed());
    let bytes = mapping.canonical();
    println!("written in canonical form after {:?}", started.elapsed());
    assert_eq!(Mapping::from_canonical(&bytes).unwrap().len(), 100_000);
    println!("read back after {:?}", started.elapsed());
}
