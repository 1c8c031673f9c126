//! Where results and errors go. A reader that closes the pipe early (`| head`) is no failure of ours.

use std::io::{self, Write};

use serde_json::Value;

use super::Failure;

/// Writes a result to standard output. Names come from outside the firm: what would steer a terminal, or turn the
/// direction of what follows, is shown as U+FFFD.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let tame = |letter: char| if is_wild(letter) { '\u{fffd}' } else { letter };
    write(&text.chars().map(tame).collect::<String>())
}

/// Control characters (C0 and C1, but for line ends and tabs) and bidirectional controls (UAX #9).
fn is_wild(letter: char) -> bool {
    (letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
        || matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes facts for programs.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    write(&format!("{value:#}\n"))
}

/// The one line that says what went wrong.
pub(super) fn complain(line: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "icechatd: {line}");
}
