//! A conversation's days as transcripts: which line stands on which day, and where a part ends.
//!
//! A conversation that is held is sorted by day before it is written. Of one that is streamed, one day is open at a time;
//! a day that comes again goes on in another part. An event of a day that is not open waits for it, and so does what is
//! shown again from another day. Where days come one after the other, both give the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::conversation::Out;
use super::{ByDay, Step};
use crate::export::days::{Days, Place};
use crate::export::roster::Attendance;
use crate::export::transcript::{Line, Transcript};
use crate::export::{Participant, Room};

/// What part of `max_size` a part's lines may take however much its names do: else a crowd would make a part of each line.
const LEAST: u64 = 4;

/// Whose days are written.
pub(super) struct Written<'s> {
    pub(super) room: &'s Arc<Room>,
    pub(super) attendance: &'s Attendance,
    /// Only records of this turn are.
    pub(super) turn: usize,
}

/// The days of one conversation.
pub(super) struct Pages<'s> {
    by_day: &'s ByDay,
    days: &'s Days,
    whose: Written<'s>,
    /// The day of the last item; at first, that of the first.
    current: Option<Date>,
    progress: BTreeMap<Date, Progress>,
    open: Option<Open>,
    /// What waits for its day.
    waiting: BTreeMap<Date, Vec<Line>>,
    waiting_size: u64,
}

/// How far a day is written.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Parts that were handed out.
    parts: u32,
    /// Lines with a time that are still to come.
    left: u64,
    /// The time of its last line so far, or else the first of the day.
    time: Timestamp,
}

/// A part while it grows.
struct Open {
    transcript: Box<Transcript>,
    /// Bytes of its lines.
    size: u64,
    /// Bytes that its lines may take.
    room: u64,
    /// Whether a line with a time stands in it, and an item.
    timed: bool,
    placed: bool,
}

impl<'s> Pages<'s> {
    pub(super) fn new(by_day: &'s ByDay, days: &'s Days, whose: Written<'s>) -> Self {
        let current = days.first(whose.turn);
        let (progress, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { by_day, days, whose, current, progress, open: None, waiting, waiting_size: 0 }
    }

    /// The day on which a line stands, `None` where that day has no transcript.
    fn settle(&mut self, place: Place) -> Option<Date> {
        match place {
            Place::Anchor(day) => {
                self.current = Some(day);
                Some(day)
            }
            Place::On(day) => self.days.lines(self.whose.turn, day).map(|_| day),
            Place::Again(day) => Some(day),
            Place::With => self.current,
            Place::Nowhere => None,
        }
    }

    /// A conversation's lines day by day, in the order in which days have their first item; then those of which something
    /// is only shown again.
    pub(super) fn sort(&mut self, lines: Vec<(Place, Line)>) -> impl Iterator<Item = (Date, Line)> + use<> {
        let mut order: Vec<Date> = Vec::new();
        let mut by_day: BTreeMap<Date, Vec<Line>> = BTreeMap::new();
        for (place, line) in lines {
            let Some(day) = self.settle(place) else { continue };
            if matches!(place, Place::Anchor(_) | Place::With) && !order.contains(&day) {
                order.push(day);
            }
            by_day.entry(day).or_default().push(line);
        }
        let others: Vec<Date> = by_day.keys().copied().filter(|day| !order.contains(day)).collect();
        order
            .into_iter()
            .chain(others)
            .flat_map(move |day| by_day.remove(&day).unwrap_or_default().into_iter().map(move |line| (day, line)))
    }

    /// Takes the next line of a conversation that is streamed.
    pub(super) fn stream<E>(&mut self, place: Place, line: Line, out: &mut Out<'_, E>) -> Result<(), E> {
        let Some(day) = self.settle(place) else { return Ok(()) };
        let is_open = self.open.as_ref().is_some_and(|open| open.transcript.day == day);
        if is_open || !matches!(place, Place::On(_) | Place::Again(_)) {
            return self.write(day, line, out);
        }
        self.waiting_size += self.by_day.size(&line);
        self.waiting.entry(day).or_default().push(line);
        if self.waiting_size > self.by_day.max_size { self.write_waiting(out) } else { Ok(()) }
    }

    /// Writes a line on its day.
    pub(super) fn write<E>(&mut self, day: Date, line: Line, out: &mut Out<'_, E>) -> Result<(), E> {
        self.turn_to(day, out)?;
        self.push(line, out)
    }

    /// Everything was read.
    pub(super) fn end<E>(&mut self, out: &mut Out<'_, E>) -> Result<(), E> {
        self.write_waiting(out)?;
        self.close(out)
    }

    fn write_waiting<E>(&mut self, out: &mut Out<'_, E>) -> Result<(), E> {
        while let Some(day) = self.waiting.keys().next().copied() {
            self.turn_to(day, out)?;
        }
        Ok(())
    }

    /// Opens a day, with what waits for it.
    fn turn_to<E>(&mut self, day: Date, out: &mut Out<'_, E>) -> Result<(), E> {
        if self.open.as_ref().is_none_or(|open| open.transcript.day != day) {
            self.close(out)?;
            self.open = Some(self.start(day, None));
            for line in self.waiting.remove(&day).unwrap_or_default() {
                self.waiting_size = self.waiting_size.saturating_sub(self.by_day.size(&line));
                self.push(line, out)?;
            }
        }
        Ok(())
    }

    fn push<E>(&mut self, line: Line, out: &mut Out<'_, E>) -> Result<(), E> {
        let size = self.by_day.size(&line);
        let full = |open: &Open| !open.transcript.lines.is_empty() && open.size.saturating_add(size) > open.room;
        if let Some(open) = self.open.take_if(|open| full(open)) {
            let (day, participants) = (open.transcript.day, open.transcript.participants.clone());
            self.send(open, true, out)?;
            self.open = Some(self.start(day, Some(participants)));
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let (Some(time), Some(progress)) = (line.time(), self.progress.get_mut(&open.transcript.day)) {
            progress.left = progress.left.saturating_sub(1);
            progress.time = time;
            if !std::mem::replace(&mut open.timed, true) {
                open.transcript.time = time;
            }
        }
        if let Some(ordinal) = line.item_ordinal()
            && !std::mem::replace(&mut open.placed, true)
        {
            open.transcript.ordinal = ordinal;
        }
        open.size = open.size.saturating_add(size);
        open.transcript.lines.push(line);
        Ok(())
    }

    fn start(&mut self, day: Date, participants: Option<Vec<Participant>>) -> Open {
        let turn = self.whose.turn;
        let begin = || Progress {
            parts: 0,
            left: self.days.lines(turn, day).unwrap_or_default(),
            time: self.days.begins(turn, day).unwrap_or_default(),
        };
        let progress = *self.progress.entry(day).or_insert_with(begin);
        let mut attendance = Vec::new();
        let participants = participants.unwrap_or_else(|| {
            let cast = self.days.cast(turn, day, self.whose.attendance);
            if turn == 0 && progress.parts == 0 {
                attendance = cast.attended;
            }
            cast.participants
        });
        let transcript = Box::new(Transcript {
            room: Arc::clone(self.whose.room),
            day,
            part: progress.parts + 1,
            continues: false,
            ordinal: self.days.ordinal(turn, day),
            time: progress.time,
            lines: Vec::new(),
            attendance,
            participants,
        });
        let frame = (self.by_day.frame)(&transcript);
        let room = self.by_day.max_size.saturating_sub(frame).max(self.by_day.max_size / LEAST);
        Open { transcript, size: 0, room, timed: false, placed: false }
    }

    fn close<E>(&mut self, out: &mut Out<'_, E>) -> Result<(), E> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let left = self.progress.get(&open.transcript.day).map_or(0, |progress| progress.left);
        if open.transcript.lines.is_empty() { Ok(()) } else { self.send(open, left > 0, out) }
    }

    fn send<E>(&mut self, open: Open, continues: bool, out: &mut Out<'_, E>) -> Result<(), E> {
        let mut transcript = open.transcript;
        transcript.continues = continues;
        if let Some(progress) = self.progress.get_mut(&transcript.day) {
            progress.parts += 1;
        }
        out.send(Step::Transcript(transcript))
    }
}
