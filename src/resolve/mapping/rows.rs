//! From the rows of several files to one mapping, or to everything that contradicts it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Binding, Mapping, OpenFile, ReadMapping, Target, Term};
use crate::export::ImId;
use crate::resolve::damage::{Damage, Digits, Warning};
use crate::resolve::fault::{Column, Fault, RowError};
use crate::resolve::period::{self, Period};
use crate::resolve::table::{Row, Table};

const IM_ID: &str = "ImId";
/// In order of preference where a file has several.
const MAILBOX: [&str; 4] = ["Mailbox", "PrimarySmtpAddress", "UserPrincipalName", "Microsoft 365 mailbox"];
const FROM: &str = "ValidFrom";
const TO: &str = "ValidTo";
const NAMES: [&str; 7] = [IM_ID, MAILBOX[0], MAILBOX[1], MAILBOX[2], MAILBOX[3], FROM, TO];

/// Where in a file a row says what.
#[derive(Clone, Copy)]
struct Columns {
    im_id: Column,
    mailbox: Column,
    from: Option<Column>,
    to: Option<Column>,
}

/// A row, and where it stands, so that a contradiction can name both places.
struct Place {
    term: Term,
    /// Counted over all files.
    file: usize,
    line: u64,
}

/// The rows of one `ImId`: nearly always one, which costs no list.
struct Places {
    first: Place,
    more: Vec<Place>,
}

/// The rows read so far. Errors and warnings come with their file's number, by which they are put in order at the end.
#[derive(Default)]
struct Reading {
    places: HashMap<Box<str>, Places>,
    /// Each file's column of `ImId`s, where it has one.
    im_ids: Vec<Option<Column>>,
    errors: Vec<(usize, RowError)>,
    warnings: Vec<(usize, Warning)>,
    open: Vec<OpenFile>,
    digits: Digits,
}

pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<ReadMapping, Vec<RowError>> {
    let mut reading = Reading { im_ids: vec![None; files.len()], ..Reading::default() };
    for (number, (file, bytes)) in files.iter().enumerate() {
        if let Err(error) = reading.read_file(number, file, bytes) {
            reading.errors.push((number, error));
        }
    }
    let bindings = reading.bindings(files);
    if !reading.errors.is_empty() {
        return Err(in_order(reading.errors, |error| error.line));
    }
    reading.warn_of_short_ones(files);
    let warnings = in_order(reading.warnings, |warning| warning.line);
    Ok(ReadMapping { mapping: Mapping { bindings }, warnings, open: reading.open })
}

fn in_order<T>(mut found: Vec<(usize, T)>, line: impl Fn(&T) -> u64) -> Vec<T> {
    found.sort_by_key(|(file, one)| (*file, line(one)));
    found.into_iter().map(|(_, one)| one).collect()
}

impl Reading {
    fn read_file(&mut self, number: usize, file: &str, bytes: &[u8]) -> Result<(), RowError> {
        let table = Table::read(file, bytes, &NAMES)?;
        let columns = Columns {
            im_id: table.required(&[IM_ID])?,
            mailbox: table.required(&MAILBOX)?,
            from: table.column(&[FROM]),
            to: table.column(&[TO]),
        };
        self.im_ids[number] = Some(columns.im_id);
        let mut open = table.is_open().then(|| OpenFile { name: file.to_owned(), ..OpenFile::default() });
        table.for_each(|row| match self.read_row(number, row, columns) {
            Ok(im_id) => open.iter_mut().for_each(|open| open.im_ids.push(im_id.clone())),
            Err(error) => self.errors.push((number, error)),
        })?;
        self.open.extend(open);
        Ok(())
    }

    /// The folded `ImId` of the row.
    fn read_row(&mut self, file: usize, row: &Row<'_>, columns: Columns) -> Result<Box<str>, RowError> {
        let mailbox = row.filled(columns.mailbox)?;
        let target = Target::parse(mailbox).map_err(|error| row.fault(columns.mailbox, error))?;
        let im_id = row.filled(columns.im_id)?;
        if im_id.contains(char::is_control) {
            return Err(row.fault(columns.im_id, Fault::ControlCharacter));
        }
        let key = ImId::new(im_id).ok_or_else(|| row.fault(columns.im_id, Fault::MissingCell))?;
        let term = Term { period: period_of(row, columns)?, target };
        for (column, cell) in [(columns.im_id, im_id), (columns.mailbox, mailbox)] {
            self.warnings.extend(Damage::of(cell).map(|damage| (file, row.warning(column, damage))));
        }
        self.digits.note(im_id, file, row.line);
        let key = key.into_folded();
        self.add(key.clone(), Place { term, file, line: row.line });
        Ok(key)
    }

    fn add(&mut self, im_id: Box<str>, place: Place) {
        match self.places.entry(im_id) {
            Entry::Vacant(vacant) => {
                vacant.insert(Places { first: place, more: Vec::new() });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // Repeating a row exactly is fine.
                if known.first.term != place.term {
                    known.more.push(place);
                }
            }
        }
    }

    /// What the rows say together; contradictions go to the errors.
    fn bindings(&mut self, files: &[(String, Vec<u8>)]) -> HashMap<Box<str>, Binding> {
        let mut bindings = HashMap::with_capacity(self.places.len());
        for (im_id, places) in std::mem::take(&mut self.places) {
            let binding = places.sorted_out(|later, earlier| {
                let fault = fault_between(later, earlier, &files[earlier.file].0);
                let (file, column) = (files[later.file].0.clone(), self.im_ids[later.file]);
                self.errors.push((later.file, RowError { file, line: later.line, column, fault }));
            });
            bindings.insert(im_id, binding);
        }
        bindings
    }

    fn warn_of_short_ones(&mut self, files: &[(String, Vec<u8>)]) {
        let Some((usual, short)) = self.digits.short() else { return };
        let damage = Damage::LeadingZeros { usual };
        self.warnings.extend(short.filter_map(|short| {
            let (file, column) = (files[short.file].0.clone(), self.im_ids[short.file]?);
            Some((short.file, Warning { file, line: short.line, column, damage }))
        }));
    }
}

impl Places {
    /// The rows in the order of their days. Two that overlap and have different targets clash: told is the one that was
    /// read later, and the earlier it clashes with.
    fn sorted_out(self, mut clash: impl FnMut(&Place, &Place)) -> Binding {
        if self.more.is_empty() {
            return Binding::single(self.first.term);
        }
        let mut places = self.more;
        places.insert(0, self.first);
        places.sort_by_key(|place| place.term.period.beginning());
        let mut kept: Vec<Place> = Vec::with_capacity(places.len());
        // Those kept do not clash. So of them only the one that reaches furthest can clash with the next.
        let mut furthest = 0;
        for place in places {
            match kept.get(furthest).filter(|before| before.clashes(&place)) {
                Some(before) if (before.file, before.line) < (place.file, place.line) => clash(&place, before),
                Some(before) => clash(before, &place),
                None => {
                    if kept.get(furthest).is_none_or(|before| before.term.period.end() < place.term.period.end()) {
                        furthest = kept.len();
                    }
                    kept.push(place);
                }
            }
        }
        Binding::of(kept.into_iter().map(|place| place.term).collect())
    }
}

impl Place {
    fn clashes(&self, other: &Self) -> bool {
        self.term.target != other.term.target && self.term.period.overlaps(other.term.period)
    }
}

fn fault_between(later: &Place, earlier: &Place, file: &str) -> Fault {
    let (file, line) = (file.to_owned(), earlier.line);
    let always = [later, earlier].iter().all(|place| place.term.period == Period::ALWAYS);
    if always { Fault::OtherMailbox { file, line } } else { Fault::Overlap { file, line } }
}

fn period_of(row: &Row<'_>, columns: Columns) -> Result<Period, RowError> {
    let end = |column: Option<Column>| {
        let Some((column, cell)) = column.map(|column| (column, row.cell(column))) else { return Ok(None) };
        if cell.is_empty() {
            return Ok(None);
        }
        period::date(cell).map(Some).ok_or_else(|| row.fault(column, Fault::Date))
    };
    let (from, to) = (end(columns.from)?, end(columns.to)?);
    // Both columns are there, for a period with an open end is never reversed.
    let at = columns.to.unwrap_or(columns.mailbox);
    Period::new(from, to).ok_or_else(|| row.fault(at, Fault::Reversed))
}
