//! An error with its causes, on the one line that an operator reads.

use std::error::Error;

/// The error and all that caused it, with a colon between. A cause that the line ends with
/// already, because a library tells it too, is not told twice.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !line.ends_with(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        cause = error.source();
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Told {
        words: &'static str,
        #[source]
        cause: std::fmt::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::fmt::Error;
        let once = format!("no mail: {cause}");
        assert_eq!(chain(&Told { words: "no mail", cause }), once);
        assert_eq!(chain(&Told { words: once.clone().leak(), cause }), once);
    }
}
