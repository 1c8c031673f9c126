//! What a person sees while a run works: bars on a terminal, log lines otherwise. Alone knows the bars' library.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing::info;

use crate::download::Progress;

/// The bars of this process, which log lines must not run into.
#[derive(Debug, Clone)]
pub(super) struct Bars {
    all: MultiProgress,
    on_terminal: bool,
}

impl Bars {
    /// Bars on standard error, where that is a terminal.
    pub(super) fn new() -> Self {
        let on_terminal = io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { all: MultiProgress::with_draw_target(target), on_terminal }
    }

    /// Whether somebody sees them.
    pub(super) fn are_on_terminal(&self) -> bool {
        self.on_terminal
    }

    /// Writes something while the bars are out of the way.
    pub(super) fn out_of_the_way<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }

    /// Bytes that come from the site.
    pub(super) fn download(&self) -> Bar {
        let style = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        Bar { bars: self.clone(), style, log: true, current: Mutex::default() }
    }

    /// Records that go to their places.
    pub(super) fn staging(&self) -> Bar {
        let style = "{msg} [{bar:30}] {human_pos}/{human_len} items {rate} {eta} left";
        Bar { bars: self.clone(), style, log: false, current: Mutex::default() }
    }
}

/// The progress of one kind of work, file after file.
#[derive(Debug)]
pub(super) struct Bar {
    bars: Bars,
    style: &'static str,
    log: bool,
    current: Mutex<Option<(ProgressBar, String, Instant)>>,
}

impl Progress for Bar {
    fn begin(&self, name: &str, total: u64) {
        let bar = self.bars.all.add(ProgressBar::new(total));
        if let Ok(style) = ProgressStyle::with_template(self.style) {
            // A fraction of an item says nothing.
            let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                // A bar that cannot be drawn is no reason to stop.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((bar, name.to_owned(), Instant::now()));
    }

    fn advance(&self, amount: u64) {
        if let Some((bar, ..)) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(amount);
        }
    }

    fn end(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((bar, name, begun)) = current {
            bar.finish_and_clear();
            if self.log && !self.bars.on_terminal {
                let seconds = begun.elapsed().as_secs_f64();
                info!(file = name, bytes = bar.position(), seconds = format!("{seconds:.1}"), "downloaded");
            }
        }
    }
}
