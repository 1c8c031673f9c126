//! What monitoring asks of the daemon: `/metrics`, read from the ledger when asked, and `/healthz`, on loopback.
//!
//! It has a thread of its own: when the daemon's loop stands still, somebody must be there to say so.

mod page;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::server::Answer;
use crate::cause::chain;
use crate::config::Config;
use crate::in_flight::InFlight;
use crate::ledger::{Ledger, LedgerError, Measures};
use crate::lock::is_held;
use crate::report::{self, Needs};
use crate::waiting::{Observer, Waiting};

/// The loop turns every few seconds, also while a run works. It may wait for the ledger, but for no longer than this.
const STANDSTILL: Duration = Duration::from_mins(1);
/// How long one page may look into staging for what the importer has not taken; the next page goes on from there. All who
/// ask wait meanwhile.
const TO_LOOK: Duration = Duration::from_millis(250);
/// What Prometheus calls the page's form (`OpenMetrics` 1.0, section "Media Type").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The daemon's signs of life, and the configuration it works by; a clone is the same daemon's.
#[derive(Debug, Clone)]
pub struct Vitals {
    shared: Arc<Mutex<Shared>>,
    started: Timestamp,
}

#[derive(Debug)]
struct Shared {
    turned: Instant,
    config: Config,
}

impl Vitals {
    /// Those of a daemon that starts now.
    pub fn new(config: &Config) -> Self {
        let shared = Shared { turned: Instant::now(), config: config.clone() };
        Self { shared: Arc::new(Mutex::new(shared)), started: Timestamp::now() }
    }

    /// Notes that the loop turned at that moment.
    pub fn turned(&self, now: Instant) {
        self.lock().turned = now;
    }

    /// Notes that another configuration is in force. The address that is listened on stays.
    pub fn reconfigure(&self, config: &Config) {
        self.lock().config = config.clone();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> Config {
        self.lock().config.clone()
    }

    /// Why the daemon's loop does not do its work, if so.
    fn standstill(&self) -> Result<(), String> {
        let age = self.lock().turned.elapsed();
        if age <= STANDSTILL {
            return Ok(());
        }
        Err(format!("the daemon has stood still for {} s; restart it (systemctl restart icechatd)", age.as_secs()))
    }
}

/// Everything that the page says.
struct Facts {
    vitals: Vitals,
    /// None where the ledger cannot be read.
    ledger: Option<(Measures, Needs, Waiting)>,
    working: bool,
    in_flight: Option<InFlight>,
}

/// Serves from now on, until the program ends.
///
/// # Errors
/// Where the address cannot be listened on.
pub fn serve(address: SocketAddr, vitals: Vitals) -> std::io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let observer = Mutex::new(Observer::default());
    server::start(listener, move |path| match path {
        "/metrics" => {
            let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
            Some(Answer { code: 200, kind: OPEN_METRICS, body: page::of(&facts(&vitals, &mut observer)) })
        }
        "/healthz" => Some(health(&vitals)),
        _ => None,
    })
}

fn facts(vitals: &Vitals, observer: &mut Observer) -> Facts {
    let config = vitals.config();
    let state = &config.state.directory;
    let working = is_held(&state.join("work.lock"));
    Facts {
        vitals: vitals.clone(),
        ledger: read(&config, observer, Timestamp::now()).ok().flatten(),
        working,
        in_flight: InFlight::read(state).filter(|_| working),
    }
}

fn read(
    config: &Config,
    observer: &mut Observer,
    now: Timestamp,
) -> Result<Option<(Measures, Needs, Waiting)>, LedgerError> {
    let Some(ledger) = Ledger::read(&config.state.directory)? else { return Ok(None) };
    let today = now.to_zoned(config.schedule.time_zone.clone()).date();
    let waiting = observer.look(&ledger, config, Instant::now() + TO_LOOK)?;
    Ok(Some((ledger.measures(&today.to_string())?, report::needs(&ledger, config, now)?, waiting)))
}

/// Whether the daemon lives and can work: its loop turns, and the ledger answers. Whether something needs a person is
/// no question of its health.
fn health(vitals: &Vitals) -> Answer {
    let well = vitals.standstill().and_then(|()| ledger_answers(&vitals.config().state.directory));
    let (code, body) = match well {
        Ok(()) => (200, "ok".to_owned()),
        Err(reason) => (503, reason),
    };
    Answer { code, kind: TEXT, body: body + "\n" }
}

fn ledger_answers(state: &Path) -> Result<(), String> {
    let unreadable =
        |error: &LedgerError| format!("the ledger in {} cannot be read: {}", state.display(), chain(error));
    let ledger = Ledger::read(state).map_err(|error| unreadable(&error))?;
    let ledger = ledger.ok_or_else(|| format!("there is no ledger in {}; restart the daemon", state.display()))?;
    ledger.first_run().map(drop).map_err(|error| unreadable(&error))
}
