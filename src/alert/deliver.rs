//! Sends what the ledger has queued, each channel by itself: a dead one stands in no other's way.

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::letter::{self, MailError};
use super::message::{Letter, test_words, webhook};
use super::web::{self, WebError};
use crate::cause::chain;
use crate::config::{Config, CredentialError};
use crate::ledger::{Channel, Ledger, LedgerError, Notice};

/// The first wait after a failure; it doubles.
const FIRST: SignedDuration = SignedDuration::from_mins(1);
/// The longest.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// How long a message is tried.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(3 * 24);
/// How long a ping is: told late, it would say that all is well when it may not be any more.
const PING_GIVEN_UP: SignedDuration = SignedDuration::from_hours(6);

/// Why a message did not get through. No address of a webhook, no password and no chat is in it.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// To an address.
    #[error(transparent)]
    Web(#[from] WebError),
    /// By mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The channel was taken out of the configuration.
    #[error("the configuration does not name this channel any more")]
    Gone,
    /// What was queued cannot be read.
    #[error("what was queued cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

impl From<CredentialError> for DeliveryError {
    fn from(error: CredentialError) -> Self {
        Self::Web(error.into())
    }
}

impl DeliveryError {
    fn is_dead(&self) -> bool {
        match self {
            Self::Web(error) => error.is_dead(),
            Self::Mail(error) => error.is_dead(),
            Self::Gone | Self::Unreadable(_) => false,
        }
    }

    /// Whether another try could fare better.
    fn is_final(&self) -> bool {
        matches!(self, Self::Gone | Self::Unreadable(_))
    }
}

/// A channel, and why a test by it failed if it did.
pub type Tested = (Channel, Result<(), DeliveryError>);

/// How many notices got through, and how many did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Those that did.
    pub sent: u64,
    /// Those that did not, and are tried again or given up.
    pub failed: u64,
}

/// Why nothing could be delivered at all.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system.
    #[error("the network could not be used")]
    System(#[from] std::io::Error),
}

/// Sends what is due now by every channel, and records how it went.
///
/// # Errors
/// Where the ledger cannot be used. That a channel is dead is no error: it is recorded, logged, and tried again.
pub fn deliver(ledger: &Ledger, config: &Config, clock: fn() -> Timestamp) -> Result<Delivered, DeliverError> {
    let [webhook, mail, ping] = Channel::ALL.map(|channel| deliver_by(ledger, config, channel, clock));
    let (webhook, mail, ping) = runtime()?.block_on(async { tokio::join!(webhook, mail, ping) });
    let mut all = Delivered::default();
    for one in [webhook?, mail?, ping?] {
        all.sent += one.sent;
        all.failed += one.failed;
    }
    Ok(all)
}

/// Sends a test by every configured channel: each channel, and why it failed if it did.
///
/// # Errors
/// Where the network cannot be used at all.
pub fn test(config: &Config, now: Timestamp) -> Result<Vec<Tested>, DeliverError> {
    let (subject, lines) = test_words(&config.site.firm_code);
    let facts =
        serde_json::json!({"schema": 1, "event": "test", "firm_code": config.site.firm_code, "alerts": [], "more": 0});
    let letter = Letter { text: format!("{subject}\n\n{}\n", lines.join("\n")), subject: subject.clone(), csv: None };
    let json = webhook(&subject, &lines, &facts).to_string();
    let runtime = runtime()?;
    let mut results = Vec::new();
    for channel in channels(config) {
        let body = match channel {
            Channel::Mail => letter.to_json(),
            Channel::Webhook | Channel::Ping => json.clone(),
        };
        results.push((channel, runtime.block_on(send(config, channel, &body, "test", now))));
    }
    Ok(results)
}

/// The channels that the configuration names.
pub fn channels(config: &Config) -> Vec<Channel> {
    let is_named = |channel: &Channel| match channel {
        Channel::Webhook => config.alerts.webhook.is_some(),
        Channel::Mail => config.mail.is_some(),
        Channel::Ping => config.alerts.ping.is_some(),
    };
    Channel::ALL.into_iter().filter(is_named).collect()
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn deliver_by(
    ledger: &Ledger,
    config: &Config,
    channel: Channel,
    clock: fn() -> Timestamp,
) -> Result<Delivered, LedgerError> {
    let mut done = Delivered::default();
    let mut dead = None;
    for notice in ledger.due_notices(channel, clock())? {
        if let Some(next) = dead.filter(|_| !is_stale(&notice, clock())) {
            // It waits its turn; that it was not tried is no try.
            ledger.postpone_notice(notice.id, next)?;
            continue;
        }
        let sent = send(config, channel, &notice.body, &notice.id.to_string(), notice.made).await;
        let now = clock();
        match sent {
            Ok(()) => {
                ledger.note_sent(notice.id, now)?;
                info!(channel = channel.as_str(), notice = notice.id.to_string(), "told: {}", notice.kind);
                done.sent += 1;
            }
            Err(error) => {
                let next = note_failure(ledger, &notice, &error, now)?;
                dead = error.is_dead().then_some(next);
                done.failed += 1;
            }
        }
    }
    Ok(done)
}

/// Whether a notice has been tried for long enough.
fn is_stale(notice: &Notice, now: Timestamp) -> bool {
    let patience = if notice.channel == Channel::Ping { PING_GIVEN_UP } else { GIVEN_UP };
    now.duration_since(notice.made) >= patience
}

/// Records that a notice did not get through. When the next try is.
fn note_failure(
    ledger: &Ledger,
    notice: &Notice,
    error: &DeliveryError,
    now: Timestamp,
) -> Result<Timestamp, LedgerError> {
    let (channel, words) = (notice.channel.as_str(), chain(error));
    let next = now.checked_add(wait(notice.tries)).unwrap_or(now);
    if error.is_final() || is_stale(notice, now) {
        warn!(channel, "a message was given up, after {} tries: {words}", notice.tries + 1);
        ledger.give_notice_up(notice.id, &words, now)?;
    } else {
        warn!(channel, "a message could not be sent; the next try is at {next}: {words}");
        ledger.note_unsent(notice.id, &words, next)?;
    }
    Ok(next)
}

/// A minute, doubled with each try in vain, up to an hour.
fn wait(tries: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(tries.min(10)).unwrap_or(i32::MAX);
    FIRST.checked_mul(doubled).map_or(LONGEST, |wait| wait.min(LONGEST))
}

async fn send(config: &Config, channel: Channel, body: &str, name: &str, made: Timestamp) -> Result<(), DeliveryError> {
    match channel {
        Channel::Webhook => {
            let to = config.alerts.webhook.as_ref().ok_or(DeliveryError::Gone)?;
            Ok(web::post(to, body).await?)
        }
        Channel::Ping => {
            let to = config.alerts.ping.as_ref().ok_or(DeliveryError::Gone)?;
            Ok(web::get(to).await?)
        }
        Channel::Mail => {
            let mail = config.mail.as_ref().ok_or(DeliveryError::Gone)?;
            let letter: Letter = serde_json::from_str(body)?;
            Ok(letter::send(mail, &letter, name, made).await?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_minute_to_an_hour() {
        let minutes: Vec<i64> = (0..9).map(|tries| wait(tries).as_mins()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait(u32::MAX), LONGEST);
    }
}
