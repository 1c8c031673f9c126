//! An error with its causes, on the one line that an operator reads.

use std::error::Error;

/// The error and all that caused it, with a colon between.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line.replace(['\n', '\r'], " ")
}
