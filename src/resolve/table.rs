//! Tables as spreadsheets and Exchange write them, whatever their encoding and delimiter, and where in a file a cell is
//! wrong. Alone knows the CSV and encoding libraries.
//!
//! The CSV library takes any quoting without complaint; a file cut in the middle, or a stray quote that swallows the
//! rows below it, must not pass for a shorter table. So the quoting is checked first.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::export::trim;
use crate::mailbox::MailboxError;

/// What is wrong in a file, and where. It never quotes a cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RowError {
    /// The file's name, without its folder.
    pub file: String,
    /// The physical line, from 1, on which the row begins, or the quote that is at fault.
    pub line: u64,
    /// The column, where one is at fault.
    pub column: Option<Column>,
    /// What is wrong, and what to do.
    #[source]
    pub fault: Fault,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.column.map_or(Ok(()), |Column { number, name }| write!(f, ": column {number} ({name})"))
    }
}

/// A column that a row error or a reader names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// From 1.
    pub number: usize,
    /// Its heading.
    pub name: &'static str,
}

/// What is wrong with a row or a file, in an operator's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing but white space.
    #[error("the file is empty; it needs a header row")]
    Empty,
    /// Most often Windows-1252.
    #[error("the text is not UTF-8; save it as \"CSV UTF-8\"")]
    NotUtf8,
    /// An odd byte or half a surrogate pair.
    #[error("the text is not UTF-16 to its end; save it again as \"CSV UTF-8\"")]
    NotUtf16,
    /// The first row is no header, or not ours.
    #[error("no column {0}; the first row must be a header row that names it")]
    NoColumn(&'static str),
    /// Which of the two counts?
    #[error("the header row names this column twice; remove one")]
    ColumnTwice,
    /// A quote swallows the rest of the file.
    #[error("a quote opens here and never closes; the file seems to be cut")]
    UnclosedQuote,
    /// The quotes are out of step: rows may have been swallowed.
    #[error("text follows a closing quote; write a quote inside a quoted cell twice")]
    AfterQuote,
    /// It would count as text, and a delimiter after it as one.
    #[error("white space stands before an opening quote; remove it")]
    LateQuote,
    /// The last row.
    #[error("the last row ends before its last column, without a line end; the file seems to be cut")]
    CutOff,
    /// Nothing in it.
    #[error("the cell is empty; fill it in or remove the row")]
    MissingCell,
    /// No mailbox.
    #[error(transparent)]
    Address(#[from] MailboxError),
    /// A line break or the like.
    #[error("the cell holds a control character; remove it")]
    ControlCharacter,
    /// One `ImId` has two mailboxes.
    #[error("this ImId has another mailbox in {file}:{line}; remove one of the two rows")]
    OtherMailbox {
        /// The other row's file.
        file: String,
        /// The other row's line.
        line: u64,
    },
    /// Two mailboxes claim one address.
    #[error("an address of this row belongs to another mailbox in line {line}; remove it from one of the two rows")]
    OtherPrimary {
        /// The other row's line.
        line: u64,
    },
    /// `Export-Csv` wrote a collection's type.
    #[error(
        "the cell holds a type's name instead of addresses; write the list with: Get-EXOMailbox -ResultSize Unlimited | \
         Select-Object DisplayName,PrimarySmtpAddress,UserPrincipalName,@{{n='EmailAddresses';\
         e={{$_.EmailAddresses -join ' '}}}} | Export-Csv mailboxes.csv -NoTypeInformation -Encoding utf8"
    )]
    Collection,
    /// More often a mistake than a fact.
    #[error("the list names no mailbox; with it nobody would be a valid user")]
    NoMailbox,
    /// What the CSV library says that we did not foresee.
    #[error("the row cannot be read as CSV")]
    NotCsv,
}

/// A file whose encoding, delimiter and quoting are understood.
pub(super) struct Table<'a> {
    file: &'a str,
    text: Cow<'a, str>,
    delimiter: u8,
    columns: Vec<Column>,
    width: usize,
}

/// One row that is not blank.
pub(super) struct Row<'a> {
    file: &'a str,
    record: &'a csv::StringRecord,
    pub(super) line: u64,
}

impl<'a> Table<'a> {
    /// Understands a file as far as its header, in which it finds the columns called one of `names`, whatever their
    /// order, case and surrounding space.
    pub(super) fn read(file: &'a str, bytes: &'a [u8], names: &[&'static str]) -> Result<Self, RowError> {
        let fault = |line, fault| RowError { file: file.to_owned(), line, column: None, fault };
        let text = decode(bytes).map_err(|(line, reason)| fault(line, reason))?;
        let (delimiter, header) = header(&text, names).ok_or_else(|| fault(1, Fault::Empty))?;
        if let Some((at, reason)) = quoting_fault(&text, delimiter) {
            return Err(fault(1 + line_ends(&text.as_bytes()[..at]), reason));
        }
        let columns = columns(&header, names);
        let twice =
            columns.iter().enumerate().find(|(at, column)| columns[..*at].iter().any(|c| c.name == column.name));
        if let Some((_, column)) = twice {
            return Err(RowError { column: Some(*column), ..fault(line_of(&header, &text), Fault::ColumnTwice) });
        }
        Ok(Self { file, delimiter, columns, width: header.len(), text })
    }

    /// The first of `names` that the header has.
    pub(super) fn column(&self, names: &[&'static str]) -> Option<Column> {
        names.iter().find_map(|name| self.columns.iter().find(|column| column.name == *name)).copied()
    }

    /// As [`Table::column`], for one that must be there; an error names the first of `names`.
    pub(super) fn required(&self, names: &[&'static str]) -> Result<Column, RowError> {
        let missing = Fault::NoColumn(names.first().copied().unwrap_or_default());
        self.column(names).ok_or_else(|| self.fault(1, missing))
    }

    /// An error of the whole file.
    pub(super) fn fault(&self, line: u64, fault: Fault) -> RowError {
        RowError { file: self.file.to_owned(), line, column: None, fault }
    }

    /// Shows `visit` every row below the header that is not blank.
    ///
    /// # Errors
    /// The last row is cut, or the CSV library cannot go on.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Row<'_>)) -> Result<(), RowError> {
        let mut reader = reader(&self.text, self.delimiter);
        let mut record = csv::StringRecord::new();
        let mut lines = Lines::new(&self.text);
        let mut header_seen = false;
        while reader.read_record(&mut record).map_err(|_| self.fault(lines.line, Fault::NotCsv))? {
            if is_blank(&record) {
                continue;
            }
            let line = lines.start_of(&record);
            if self.is_cut(&record, reader.position()) {
                return Err(self.fault(line, Fault::CutOff));
            }
            if header_seen {
                visit(&Row { file: self.file, record: &record, line });
            }
            header_seen = true;
        }
        Ok(())
    }

    /// Whether the text ends in the middle of `record`. A cut within the last cell cannot be told from a file that
    /// merely lacks its last line end, as those that people write by hand often do.
    fn is_cut(&self, record: &csv::StringRecord, now: &csv::Position) -> bool {
        let last = now.byte() == self.text.len() as u64 && !self.text.ends_with(['\n', '\r']);
        last && record.len() < self.width
    }
}

impl Row<'_> {
    /// The cell's text, trimmed; empty where the row is too short.
    pub(super) fn cell(&self, column: Column) -> &str {
        self.record.get(column.number - 1).map(trim).unwrap_or_default()
    }

    /// As [`Row::cell`]; an empty one is an error.
    pub(super) fn filled(&self, column: Column) -> Result<&str, RowError> {
        let cell = self.cell(column);
        if cell.is_empty() { Err(self.fault(column, Fault::MissingCell)) } else { Ok(cell) }
    }

    /// An error in this row.
    pub(super) fn fault(&self, column: Column, fault: impl Into<Fault>) -> RowError {
        RowError { file: self.file.to_owned(), line: self.line, column: Some(column), fault: fault.into() }
    }
}

/// Counts the lines up to the row at hand; the CSV library counts neither blank lines before a row nor lone CRs.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, line: 1 }
    }

    fn start_of(&mut self, record: &csv::StringRecord) -> u64 {
        let position = record.position().map_or(0, csv::Position::byte);
        let position = usize::try_from(position).unwrap_or(usize::MAX).clamp(self.at, self.bytes.len());
        let line_ends_before = self.bytes[position..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = position + line_ends_before;
        self.line += line_ends(&self.bytes[self.at..start]);
        self.at = start;
        self.line
    }
}

fn line_of(record: &csv::StringRecord, text: &str) -> u64 {
    Lines::new(text).start_of(record)
}

fn is_blank(record: &csv::StringRecord) -> bool {
    record.iter().all(|cell| trim(cell).is_empty())
}

/// LF, CR LF and lone CR each end a line.
fn line_ends(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().zip(bytes.iter().skip(1).map(Some).chain([None]));
    ends.filter(|(byte, next)| **byte == b'\n' || (**byte == b'\r' && *next != Some(&b'\n'))).count() as u64
}

/// The text without byte order mark and without the type line that Windows PowerShell's `Export-Csv` writes first (its
/// line end stays, so that lines are counted right).
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, (u64, Fault)> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or_else(|| (encoding_without_mark(bytes), 0));
    let text = if encoding == UTF_8 { decode_utf8(&bytes[mark..]) } else { decode_utf16(&bytes[mark..], encoding) }?;
    if !text.starts_with("#TYPE") {
        return Ok(text);
    }
    let rest = text.find(['\r', '\n']).unwrap_or(text.len());
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[rest..]),
        Cow::Owned(text) => Cow::Owned(text[rest..].to_owned()),
    })
}

/// A header is ASCII, so UTF-16 shows by its zeros.
fn encoding_without_mark(bytes: &[u8]) -> &'static Encoding {
    match bytes {
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => UTF_16BE,
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => UTF_16LE,
        _ => UTF_8,
    }
}

fn decode_utf8(bytes: &[u8]) -> Result<Cow<'_, str>, (u64, Fault)> {
    let text = std::str::from_utf8(bytes);
    text.map(Cow::Borrowed).map_err(|error| (1 + line_ends(&bytes[..error.valid_up_to()]), Fault::NotUtf8))
}

fn decode_utf16<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, (u64, Fault)> {
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    if malformed {
        let valid = text.find(char::REPLACEMENT_CHARACTER).unwrap_or(0);
        return Err((1 + line_ends(&text.as_bytes()[..valid]), Fault::NotUtf16));
    }
    Ok(text)
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
}

/// The delimiter under which the first row that is not blank names the most columns, and that row.
fn header(text: &str, names: &[&'static str]) -> Option<(u8, csv::StringRecord)> {
    let candidates = b",;\t".iter().filter_map(|delimiter| Some((*delimiter, first_row(text, *delimiter)?)));
    let mut best: Option<(usize, u8, csv::StringRecord)> = None;
    for (delimiter, row) in candidates {
        let found = columns(&row, names).len();
        if best.as_ref().is_none_or(|(most, ..)| found > *most) {
            best = Some((found, delimiter, row));
        }
    }
    best.map(|(_, delimiter, row)| (delimiter, row))
}

fn first_row(text: &str, delimiter: u8) -> Option<csv::StringRecord> {
    reader(text, delimiter).into_records().map_while(Result::ok).find(|record| !is_blank(record))
}

fn columns(header: &csv::StringRecord, names: &[&'static str]) -> Vec<Column> {
    let name_of = |cell: &str| names.iter().find(|name| name.eq_ignore_ascii_case(trim(cell)));
    let cells = header.iter().enumerate();
    cells.filter_map(|(at, cell)| Some(Column { number: at + 1, name: name_of(cell)? })).collect()
}

/// The first place where the quoting leaves RFC 4180 in a way that could hide rows.
fn quoting_fault(text: &str, delimiter: u8) -> Option<(usize, Fault)> {
    enum At {
        Start,
        Space,
        Bare,
        Quoted,
        Closed,
    }
    let ends_cell = |byte| byte == delimiter || byte == b'\n' || byte == b'\r';
    let (mut state, mut opened) = (At::Start, 0);
    for (at, byte) in text.bytes().enumerate() {
        state = match (state, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) | (At::Closed, b'"') => At::Quoted,
            (_, byte) if ends_cell(byte) => At::Start,
            (At::Closed, _) => return Some((at, Fault::AfterQuote)),
            (At::Space, b'"') => return Some((at, Fault::LateQuote)),
            (At::Start, b'"') => {
                opened = at;
                At::Quoted
            }
            (At::Start | At::Space, b' ') => At::Space,
            _ => At::Bare,
        };
    }
    matches!(state, At::Quoted).then_some((opened, Fault::UnclosedQuote))
}
