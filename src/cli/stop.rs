//! SIGTERM and SIGINT end a run at its next safe point. Every other moment is safe as well, only less tidy: whatever
//! the run had begun, the next one finishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use crate::exit_code::ExitCode;

/// How long a run may take to its next safe point; a download in flight is given up then.
const GRACE: Duration = Duration::from_secs(20);

/// A flag that a signal sets.
pub(super) fn on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    thread::spawn(move || {
        // Without a runtime, signals keep their own meaning: the end of the process, which is safe.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(wait(&flag));
    });
    stop
}

async fn wait(flag: &AtomicBool) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    flag.store(true, Ordering::Relaxed);
    warn!("stopping at the next safe point; Ctrl-C stops at once");
    tokio::select! {
        // A person who presses Ctrl-C again means it. A second SIGTERM means nothing: systemd sends one to a daemon's child
        // as well as to the daemon, which passes it on.
        _ = interrupt.recv() => {},
        () = tokio::time::sleep(GRACE) => {},
    }
    std::process::exit(i32::from(ExitCode::Failed.code()));
}
