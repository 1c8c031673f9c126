//! Where log lines go: to the journal with their fields when systemd reads them, else to standard error as text or JSON.
//! Alone knows the subscriber's libraries.
//!
//! Only this program's own words are logged, whatever the level. Libraries log packets, header fields and addresses at
//! theirs, and what matters of their troubles comes back as an error, which is said in our words.

use std::fmt;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use super::progress::Bars;
use super::{Failure, output};
use crate::events;
use crate::exit_code::ExitCode;

/// In the journal, as in `journalctl -t icechatd`.
const IDENTIFIER: &str = "icechatd";
/// The field that is for rules, not for readers.
const MESSAGE_ID: &str = "message_id";

/// The flags of every verb that say how it logs.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArguments {
    /// How the log is written; auto: to the journal under systemd, else as text to standard error
    #[arg(long, global = true, value_enum, default_value_t = Format::Auto, value_name = "FORMAT")]
    log_format: Format,

    /// What is logged: this and what is graver
    #[arg(long, global = true, value_enum, default_value_t = Level::Info, value_name = "LEVEL")]
    log_level: Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    Text,
    Json,
    Journald,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

impl LogArguments {
    /// The same flags again, for a program that this one starts. `auto` stays so: a child has our standard error.
    pub(super) fn to_pass_on(self) -> Vec<String> {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
        let flags = [
            ("--log-format", self.log_format.to_possible_value()),
            ("--log-level", self.log_level.to_possible_value()),
        ];
        flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag}={}", name(value)?))).collect()
    }

    /// Starts the log. Whether its lines are text that a person reads.
    pub(super) fn start(self, bars: &Bars) -> bool {
        let format = match self.log_format {
            Format::Auto if is_read_by_the_journal() => Format::Journald,
            Format::Auto => Format::Text,
            asked => asked,
        };
        let journal = (format == Format::Journald).then(journal).transpose();
        let format = if journal.is_err() { Format::Text } else { format };
        let lines = Lines(bars.clone());
        let layer = match (&format, journal) {
            (_, Ok(Some(journal))) => journal,
            (Format::Json, _) => tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(lines).boxed(),
            _ => tracing_subscriber::fmt::layer()
                .fmt_fields(Readable)
                .with_ansi(bars.are_on_terminal())
                .with_target(false)
                .with_writer(lines)
                .boxed(),
        };
        // A second call, as tests make in one process, keeps the first subscriber.
        let _ =
            tracing::subscriber::set_global_default(Registry::default().with(layer.with_filter(ours(self.log_level))));
        if self.log_format == Format::Journald && format == Format::Text {
            tracing::warn!("the journal does not listen on this machine; the log goes to standard error");
        }
        format == Format::Text
    }
}

/// Nothing of a library, whatever the level.
fn ours(level: Level) -> Targets {
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level.filter())
}

/// Says why a verb failed: a reader sees the line itself, a program an event.
pub(super) fn complain(failure: &Failure, as_text: bool) {
    let line = &failure.line;
    match failure.code {
        _ if as_text => output::complain(line),
        ExitCode::Config => tracing::error!(message_id = events::CONFIGURATION_REJECTED, "{line}"),
        _ => tracing::error!("{line}"),
    }
}

/// Whether standard error goes to the journal: systemd says which socket it gave us, and it may have been redirected
/// since (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_read_by_the_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    named.is_some_and(|named| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn journal() -> io::Result<Box<dyn Layer<Registry> + Send + Sync>> {
    // Syslog's own words (RFC 5424): what is neither an error nor a warning is informational.
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::Layer::new()?
        .with_field_prefix(None)
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_priority_mappings(priorities);
    Ok(layer.boxed())
}

/// Log lines on standard error, above the bars.
struct Lines(Bars);

struct Line(Bars);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.out_of_the_way(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

/// The fields of a line of text as usual, without what only a rule reads.
struct Readable;

impl<'a> FormatFields<'a> for Readable {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut visitor = Skipping(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct Skipping<'a>(DefaultVisitor<'a>);

impl Visit for Skipping<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE_ID {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != MESSAGE_ID {
            self.0.record_debug(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as Grade;

    use super::*;

    #[test]
    fn only_this_program_is_heard() {
        let most = ours(Level::Debug);
        assert!(most.would_enable("icechatd::download::sftp", &Grade::DEBUG));
        assert!(!ours(Level::Warn).would_enable("icechatd::ingest", &Grade::INFO));
        for library in
            ["russh::client", "russh_sftp::client", "hyper::proto", "reqwest", "lettre::transport", "log", ""]
        {
            assert!(!most.would_enable(library, &Grade::ERROR), "{library}");
        }
    }

    #[test]
    fn a_child_is_given_the_same_flags() {
        let flags = LogArguments { log_format: Format::Json, log_level: Level::Debug }.to_pass_on();
        assert_eq!(flags, ["--log-format=json", "--log-level=debug"]);
    }
}
