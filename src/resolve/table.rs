//! Tables as spreadsheets and Exchange write them, whatever their encoding and delimiter, and where in a file a cell is
//! wrong. Alone knows the CSV and encoding libraries.
//!
//! The CSV library takes any quoting without complaint; a file cut in the middle, or a stray quote that swallows the
//! rows below it, must not pass for a shorter table. So the quoting is checked first.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::damage::{Damage, Warning};
use super::fault::{Column, Fault, RowError};
use crate::export::trim;

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

    /// How many rows it likely has, by its line ends: never so many that making room for them would cost far more than the
    /// text itself.
    pub(super) fn likely_rows(&self) -> usize {
        const LEAST: usize = 16;
        let line_ends = self.text.bytes().filter(|byte| *byte == b'\n').count();
        line_ends.min(self.text.len() / LEAST)
    }

    /// Whether the last row lacks its line end, as people and spreadsheets leave it now and then, and as a cut within the
    /// last cell does.
    pub(super) fn is_open(&self) -> bool {
        !self.text.ends_with(['\n', '\r'])
    }

    /// Whether the text ends in the middle of `record`: where it [is open](Self::is_open) and cells are missing.
    fn is_cut(&self, record: &csv::StringRecord, now: &csv::Position) -> bool {
        let last = now.byte() == self.text.len() as u64 && self.is_open();
        last && record.len() < self.width
    }
}

impl Row<'_> {
    /// The cell's text, trimmed; empty where the row is too short.
    pub(super) fn cell(&self, column: Column) -> &str {
        self.record.get(column.number - 1).map(trim_cell).unwrap_or_default()
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

    /// A cell of this row that counts and looks damaged.
    pub(super) fn warning(&self, column: Column, damage: Damage) -> Warning {
        Warning { file: self.file.to_owned(), line: self.line, column, damage }
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
    record.iter().all(|cell| trim_cell(cell).is_empty())
}

/// As [`trim`], and what else is invisible at either end of text that was copied from a directory, a mail program or a
/// web page: soft hyphens, joiners, marks of the direction of writing.
fn trim_cell(text: &str) -> &str {
    let visible = trim(text);
    if visible.is_ascii() {
        return visible;
    }
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
    let name_of = |cell: &str| names.iter().find(|name| name.eq_ignore_ascii_case(trim_cell(cell)));
    let cells = header.iter().enumerate();
    cells.filter_map(|(at, cell)| Some(Column { number: at + 1, name: name_of(cell)? })).collect()
}

/// The first place where the quoting leaves RFC 4180 in a way that could hide rows.
fn quoting_fault(text: &str, delimiter: u8) -> Option<(usize, Fault)> {
    enum At {
        Start,
        Bare,
        Quoted,
        Closed,
    }
    let ends_cell = |byte| byte == delimiter || byte == b'\n' || byte == b'\r';
    // Of the cell at hand, and of the quote that is open.
    let (mut state, mut begun, mut opened) = (At::Start, 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        state = match (state, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) | (At::Closed, b'"') => At::Quoted,
            (_, byte) if ends_cell(byte) => {
                begun = at + 1;
                At::Start
            }
            (At::Closed, _) => return Some((at, Fault::AfterQuote)),
            (At::Start, b'"') => {
                opened = at;
                At::Quoted
            }
            (At::Bare, b'"') if trim_cell(&text[begun..at]).is_empty() => return Some((at, Fault::LateQuote)),
            _ => At::Bare,
        };
    }
    matches!(state, At::Quoted).then_some((opened, Fault::UnclosedQuote))
}
