//! Why a record is rejected: an operator's words, never the record's.

use std::fmt;

use crate::export::assembly::MAX_FIELD;
use crate::export::times::Unreadable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) enum Reason {
    NoSender,
    NoTime,
    UnreadableTime(Unreadable),
    NoContent,
    NoData,
    NoReference,
    Twice(&'static str),
    LongField(&'static str),
    TooLong(u64),
    LongEvent(u64),
    DataTooLong(u64),
    DataMalformed,
    DataEncoding,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSender => f.write_str("no sender"),
            Self::NoTime => f.write_str("no time"),
            Self::UnreadableTime(why) => f.write_str(match why {
                Unreadable::Usual => "the time is neither RFC 3339 with an offset nor Unix seconds",
                Unreadable::Unlisted => "the time is in none of the profile's time.formats",
                Unreadable::Ambiguous => {
                    "the clocks of the profile's time.zone show the time twice or never, and time.ambiguous rejects it"
                }
            }),
            Self::NoContent => f.write_str("no content"),
            Self::NoData => f.write_str("no data"),
            Self::NoReference => f.write_str("neither data nor what an archive would know it by"),
            Self::Twice(field) => write!(f, "the {field} is given twice with different values"),
            Self::LongField(field) => write!(f, "the {field} is longer than {MAX_FIELD} bytes"),
            Self::TooLong(limit) => write!(f, "longer than limits.max_message ({limit} bytes)"),
            Self::LongEvent(limit) => write!(f, "longer than {limit} bytes"),
            Self::DataTooLong(limit) => write!(f, "the data is longer than limits.max_attachment ({limit} bytes)"),
            Self::DataMalformed => f.write_str("the data is not base64"),
            Self::DataEncoding => f.write_str("the data is in another encoding than base64"),
        }
    }
}
