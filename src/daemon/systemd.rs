//! What systemd is told. Alone knows the library that tells it.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

/// As many messages may wait; more than that, and nobody reads them.
const WAITING: usize = 64;
/// How long the last words are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Tells systemd, where it listens. A thread does the sending: a socket that nobody reads makes whoever writes to it wait
/// in the end, and the daemon must not.
pub(super) struct Systemd {
    /// None where nobody listens.
    messages: Option<SyncSender<String>>,
    /// Closed when the last message is sent.
    sent: Receiver<()>,
}

impl Systemd {
    /// Finds out whether systemd listens.
    pub(super) fn find() -> Self {
        let (messages, waiting) = sync_channel::<String>(WAITING);
        let (sending, sent) = channel::<()>();
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some();
        if listens {
            thread::spawn(move || {
                for message in waiting {
                    // What cannot be told is told nobody: systemd judges by what it hears.
                    let _ = sd_notify::notify(&[NotifyState::Custom(&message)]);
                }
                drop(sending);
            });
        }
        Self { messages: listens.then_some(messages), sent }
    }

    pub(super) fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It is over when [`Systemd::ready`] is said again (`sd_notify(3)`).
    pub(super) fn reloading(&self) {
        let since = NotifyState::monotonic_usec_now().ok();
        self.tell(&[Some(NotifyState::Reloading), since].into_iter().flatten().collect::<Vec<_>>());
    }

    pub(super) fn stopping(&self, sentence: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(sentence)]);
    }

    pub(super) fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// One sentence for `systemctl status`.
    pub(super) fn status(&self, sentence: &str) {
        self.tell(&[NotifyState::Status(sentence)]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(messages) = &self.messages {
            let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
            // Where the line is full, nobody reads.
            let _ = messages.try_send(lines.join("\n"));
        }
    }

    /// Waits for the last words to be sent, but not for long.
    pub(super) fn finish(self) {
        drop(self.messages);
        // It answers by hanging up.
        let _ = self.sent.recv_timeout(LAST_WORDS);
    }
}
