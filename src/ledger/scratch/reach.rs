//! What need not be looked up: most of a day's export is newer than all that the ledger has, whose trees are deep after years,
//! and most of its messages are of one day.

use super::super::LedgerError;
use super::Scratch;

/// The newest item's time in the ledger, in Unix seconds, and the newest key's day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) time: i64,
    day: i64,
}

/// The first and the last day, since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    first: i64,
    last: i64,
}

impl Days {
    fn has(self, day: i64) -> bool {
        (self.first..=self.last).contains(&day)
    }

    fn with(self, day: i64) -> Self {
        Self { first: self.first.min(day), last: self.last.max(day) }
    }
}

impl Scratch<'_> {
    pub(super) fn reach(&self) -> Result<Reach, LedgerError> {
        if let Some(reach) = self.reach.get() {
            return Ok(reach);
        }
        let sql = "SELECT (SELECT max(time) FROM main.items), (SELECT max(day) FROM main.message_keys)";
        let (time, day) = self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let newest = |known: Option<i64>| known.unwrap_or(i64::MIN);
        let reach = Reach { time: newest(time), day: newest(day) };
        self.reach.set(Some(reach));
        Ok(reach)
    }

    /// Notes a message's key; whether it was taken on that day or one beside it. (A correction may move a message over
    /// midnight; the same id weeks later is a vendor counting from 1 again.)
    pub(in crate::ledger) fn take_key(&self, time: i64, key: u64) -> Result<bool, LedgerError> {
        let day = time.div_euclid(86_400);
        let key = key.cast_signed();
        let sql = "INSERT OR IGNORE INTO scratch.message_keys VALUES (?1, ?2)";
        let mut taken = self.connection.prepare_cached(sql)?.execute([day, key])? == 0;
        let noted = self.days.get().unwrap_or(Days { first: day, last: day });
        self.days.set(Some(noted.with(day)));
        for beside in [day - 1, day + 1].into_iter().filter(|beside| noted.has(*beside)) {
            let sql = "SELECT 1 FROM scratch.message_keys WHERE day = ?1 AND key = ?2";
            taken = taken || self.connection.prepare_cached(sql)?.exists([beside, key])?;
        }
        let newest = self.reach()?.day;
        for near in [day - 1, day, day + 1].into_iter().filter(|near| *near <= newest) {
            let sql = "SELECT 1 FROM main.message_keys WHERE day = ?1 AND key = ?2";
            taken = taken || self.connection.prepare_cached(sql)?.exists([near, key])?;
        }
        Ok(taken)
    }
}
