//! Transcripts in the ledger: what of a conversation's day is known already, and which transcript a later one follows.
//!
//! The messages within a transcript have rows of their own beside it, so that a message is known whichever grouping brought
//! it, and whichever grouping brings it again. No such row was placed by itself.

use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::{Arrival, FileId, Ledger, LedgerError, Scratch, Verdict};
use crate::digest::ItemId;

/// A room on a day, as the ledger finds the first transcript of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomDay {
    /// Days since 1970-01-01, of the day in the transcript's own zone.
    pub day: i64,
    /// A hash of the room's id.
    pub room: u64,
}

/// What a transcript refers to as the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follows {
    /// The transcript's time, Unix seconds.
    pub time: i64,
    /// The transcript's id.
    pub id: ItemId,
    /// What it follows; none where it is the first.
    pub follows: Option<ItemId>,
}

/// What stands in a transcript.
#[derive(Debug, Clone, Copy)]
pub struct HeldIn<'a> {
    /// Its room and day; none where the room has no id.
    pub room_day: Option<RoomDay>,
    /// Its messages, attachments, and events that are items.
    pub messages: &'a [Arrival],
    /// Its words that are no items, by their hashes.
    pub words: &'a [u64],
}

impl Scratch<'_> {
    /// Takes a transcript in, with what stands in it, and says what it is. One that is known is judged as any item.
    /// One of which every message is known, for the people it names, and all words that the room's day was archived with,
    /// says nothing new: a duplicate. All else is new.
    ///
    /// # Errors
    /// Where the ledger cannot be read or the disk refuses.
    pub fn admit_transcript(&self, arrival: &Arrival, held: &HeldIn<'_>) -> Result<Verdict, LedgerError> {
        if self.participants_of(arrival)?.is_some() {
            for message in held.messages {
                self.admit_within(message, arrival.ordinal)?;
            }
            return self.admit(arrival);
        }
        // In a part in which people only came and went nothing could be known already.
        if held.messages.is_empty() || self.has_unknown_words(held)? {
            return self.take_transcript(arrival, held);
        }
        match self.unknown_combinations(held.messages)? {
            None => self.take_transcript(arrival, held),
            Some(known) if known.is_empty() => Ok(Verdict::Duplicate { naming: false }),
            Some(doubts) => {
                let sql = "INSERT OR IGNORE INTO scratch.doubts VALUES (?1, ?2, ?3, ?4)";
                for doubt in doubts {
                    let row = params![doubt.ordinal, arrival.ordinal, doubt.time, doubt.id.0];
                    self.connection.prepare_cached(sql)?.execute(row)?;
                }
                Ok(Verdict::Doubtful)
            }
        }
    }

    /// Takes a transcript in as new.
    ///
    /// # Errors
    /// Where the ledger cannot be read or the disk refuses.
    pub fn take_transcript(&self, arrival: &Arrival, held: &HeldIn<'_>) -> Result<Verdict, LedgerError> {
        self.take(arrival, None)?;
        let mut changed = 0;
        for message in held.messages {
            changed += u64::from(self.admit_within(message, arrival.ordinal)?);
        }
        if let Some(RoomDay { day, .. }) = held.room_day {
            let sql = "INSERT OR IGNORE INTO scratch.words VALUES (?1, ?2)";
            let mut insert = self.connection.prepare_cached(sql)?;
            for key in held.words {
                insert.execute(params![day, key.cast_signed()])?;
            }
        }
        Ok(Verdict::New { changed })
    }

    /// Whether some words were not there when the room's day was archived as a transcript. Where it was archived otherwise,
    /// nobody knows; then the messages alone decide.
    fn has_unknown_words(&self, held: &HeldIn<'_>) -> Result<bool, LedgerError> {
        let Some(RoomDay { day, room }) = held.room_day else { return Ok(false) };
        let mut archived = self.connection.prepare_cached(
            "SELECT 1 FROM main.transcripts WHERE day = ?1 AND room = ?2 AND words = 1
             UNION ALL SELECT 1 FROM scratch.transcripts WHERE day = ?1 AND room = ?2 AND words = 1",
        )?;
        if held.words.is_empty() || !archived.exists(params![day, room.cast_signed()])? {
            return Ok(false);
        }
        let mut known = self.connection.prepare_cached(
            "SELECT 1 FROM main.words WHERE day = ?1 AND key = ?2
             UNION ALL SELECT 1 FROM scratch.words WHERE day = ?1 AND key = ?2",
        )?;
        for key in held.words {
            if !known.exists(params![day, key.cast_signed()])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The messages that name participants in a combination not seen before; none where one is not known, or there are none
    /// at all.
    fn unknown_combinations<'a>(&self, within: &'a [Arrival]) -> Result<Option<Vec<&'a Arrival>>, LedgerError> {
        let mut doubts = Vec::new();
        for message in within {
            match self.participants_of(message)? {
                None => return Ok(None),
                Some(known) if known == message.participants || self.named_before(message)? => {}
                Some(_) => doubts.push(message),
            }
        }
        Ok((!within.is_empty()).then_some(doubts))
    }

    /// Whether an item is known: of a committed export or of this run.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_known(&self, time: i64, id: ItemId) -> Result<bool, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM main.items WHERE time = ?1 AND id = ?2
             UNION ALL SELECT 1 FROM scratch.items WHERE time = ?1 AND id = ?2",
        )?;
        Ok(statement.exists(params![time, id.0])?)
    }

    /// Makes the messages that leave a transcript in doubt contested. How many of them there are.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn contest_doubts(&self) -> Result<u64, LedgerError> {
        self.connection.execute_batch("INSERT OR IGNORE INTO scratch.contested SELECT time, id FROM scratch.doubts")?;
        Ok(self.connection.query_row("SELECT count(*) FROM scratch.doubts", [], |row| row.get(0))?)
    }

    /// The transcript that the record at this place leaves in doubt.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn doubted_by(&self, ordinal: u64) -> Result<Option<u64>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT transcript FROM scratch.doubts WHERE ordinal = ?1")?;
        Ok(statement.query_row([ordinal], |row| row.get(0)).optional()?)
    }

    /// Notes that a transcript in doubt is new to somebody.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn settle(&self, transcript: u64) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.settled VALUES (?1)";
        self.connection.prepare_cached(sql)?.execute([transcript])?;
        Ok(())
    }

    /// Of a transcript in doubt, whether it is new to somebody; none where there was no doubt.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn settled(&self, transcript: u64) -> Result<Option<bool>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM scratch.settled WHERE transcript = ?1) FROM scratch.doubts
             WHERE transcript = ?1 LIMIT 1",
        )?;
        Ok(statement.query_row([transcript], |row| row.get(0)).optional()?)
    }

    /// All doubts are settled: what is contested after this is contested by itself.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn end_doubts(&self) -> Result<(), LedgerError> {
        let messages = "(time, id) IN (SELECT time, id FROM scratch.doubts)";
        Ok(self.connection.execute_batch(&format!(
            "DELETE FROM scratch.contested WHERE {messages}; DELETE FROM scratch.named WHERE {messages};
             DELETE FROM scratch.has WHERE {messages}; DELETE FROM scratch.doubts; DELETE FROM scratch.settled"
        ))?)
    }

    /// A message of a transcript that is new; whether it changes one that is known.
    fn admit_within(&self, message: &Arrival, transcript: u64) -> Result<bool, LedgerError> {
        match self.participants_of(message)? {
            None => {
                self.take(message, Some(transcript))?;
                message.message_key.map_or(Ok(false), |key| self.take_key(message.time, key))
            }
            Some(known) => {
                if known != message.participants && !self.named_before(message)? {
                    self.note_naming(message, Some(transcript))?;
                }
                Ok(false)
            }
        }
    }

    /// The first transcript of a room on a day: of the exports that are committed, else of this pass.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn first_transcript(&self, of: RoomDay) -> Result<Option<ItemId>, LedgerError> {
        for sql in [
            "SELECT id FROM main.transcripts WHERE day = ?1 AND room = ?2",
            "SELECT id FROM scratch.transcripts WHERE day = ?1 AND room = ?2",
        ] {
            let mut statement = self.connection.prepare_cached(sql)?;
            let found = statement.query_row(params![of.day, of.room.cast_signed()], |row| row.get(0).map(ItemId));
            if let Some(id) = found.optional()? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Notes that this pass takes a transcript in, of which the room and day may have none yet; and whether its words are known
    /// as well.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn note_transcript(&self, of: RoomDay, id: ItemId, words: bool) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.transcripts VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![of.day, of.room.cast_signed(), id.0, words])?;
        Ok(())
    }

    /// Looks up, for one export, which of its transcripts hold contested messages. How many of those there are.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn find_contested_within(&self, file: FileId) -> Result<u64, LedgerError> {
        self.connection.execute_batch("DELETE FROM scratch.contested_within")?;
        self.connection.execute(
            "INSERT OR IGNORE INTO scratch.contested_within
             SELECT i.within, c.time, c.id FROM scratch.contested c
             JOIN main.items i ON i.time = c.time AND i.id = c.id WHERE i.file = ?1 AND i.within IS NOT NULL
             UNION SELECT n.within, c.time, c.id FROM scratch.contested c
             JOIN main.namings n ON n.time = c.time AND n.id = c.id WHERE n.file = ?1 AND n.within IS NOT NULL",
            [file.0],
        )?;
        Ok(self.connection.query_row("SELECT count(*) FROM scratch.contested_within", [], |row| row.get(0))?)
    }

    /// Notes that a mailbox has the contested messages of the transcript at this place in the export that
    /// [`Scratch::find_contested_within`] looked at.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn give_within(&self, transcript: u64, mailbox: &str) -> Result<(), LedgerError> {
        let sql = "INSERT OR IGNORE INTO scratch.has SELECT time, id, ?2 FROM scratch.contested_within WHERE n = ?1";
        self.connection.prepare_cached(sql)?.execute(params![transcript, mailbox])?;
        Ok(())
    }
}

impl Ledger {
    /// What a transcript was recorded to follow: the outer none where nothing was recorded.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn followed(&self, time: i64, id: ItemId) -> Result<Option<Option<ItemId>>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT follows FROM main.followed WHERE time = ?1 AND id = ?2")?;
        let found = statement.query_row(params![time, id.0], |row| row.get::<_, Option<[u8; 16]>>(0)).optional()?;
        Ok(found.map(|follows| follows.map(ItemId)))
    }

    /// Records what transcripts follow, before the first of their EMLs is written.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn note_followed(&self, all: &[Follows]) -> Result<(), LedgerError> {
        if all.is_empty() {
            return Ok(());
        }
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        for Follows { time, id, follows } in all {
            let sql = "INSERT OR IGNORE INTO main.followed VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![time, id.0, follows.map(|id| id.0)])?;
        }
        Ok(transaction.commit()?)
    }
}
