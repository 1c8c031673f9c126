//! The page at `/metrics`: each name, its meaning and its value. Alone knows its form (`OpenMetrics` 1.0).
//!
//! Labels are words of ours and fingerprints of our keys. Nothing that names a person, a mailbox or a file is a label:
//! whoever monitors a machine need not know who chats.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Facts;
use crate::books::Counts;
use crate::in_flight::{InFlight, Step};
use crate::ledger::{Counted, LastRun, Measures, Outcome};
use crate::report::Needs;
use crate::waiting::Waiting;

type Labels = Vec<(&'static str, String)>;

/// The page.
pub(super) fn of(facts: &Facts) -> String {
    let mut registry = Registry::with_prefix("icechatd");
    daemon(&mut registry, facts);
    in_flight(&mut registry, facts.working, facts.in_flight.as_ref());
    if let Some((measures, needs, waiting)) = &facts.ledger {
        runs(&mut registry, measures);
        totals(&mut registry, measures);
        needs_a_person(&mut registry, measures, needs);
        for_the_importer(&mut registry, waiting);
    }
    let mut page = String::new();
    // Writing to memory does not fail, and a page cut short lacks its end mark, which a scraper insists on.
    let _ = encode(&mut page, &registry);
    page
}

fn daemon(registry: &mut Registry, facts: &Facts) {
    let version = Info::new(vec![("version", crate::VERSION.to_owned())]);
    registry.register("build", "The program that runs", version);
    let started = ConstGauge::new(facts.vitals.started.as_second());
    registry.register_with_unit("start_timestamp", "When the daemon started", Unit::Seconds, started);
    let turns = i64::from(facts.vitals.standstill().is_ok());
    registry.register(
        "loop_turning",
        "1 while the daemon's loop turns, 0 when it stands still",
        ConstGauge::new(turns),
    );
    let failed = i64::from(facts.ledger.is_none());
    let help = "1 when the ledger could not be read for this page, which then lacks all that comes from it";
    registry.register("last_scrape_error", help, ConstGauge::new(failed));
}

fn in_flight(registry: &mut Registry, working: bool, run: Option<&InFlight>) {
    let help = "1 while a run works, whoever started it";
    registry.register("run_in_flight", help, ConstGauge::new(i64::from(working)));
    let progress = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    if let Some(run) = run {
        let step = match run.step {
            Step::Settle => "settle",
            Step::Download => "download",
            Step::Survey => "survey",
            Step::Staging => "staging",
        };
        progress.get_or_create(&vec![("step", step.to_owned())]).set(share(run.done, run.total));
    }
    let help = "How far the run in flight is with the export it works on, from 0 to 1";
    registry.register_with_unit("run_progress", help, Unit::Other("ratio".to_owned()), progress);
}

#[expect(clippy::cast_precision_loss, reason = "a share that is drawn needs no more digits than a float has")]
fn share(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { done as f64 / total as f64 }
}

fn runs(registry: &mut Registry, measures: &Measures) {
    let help = "When the last run ended that asked the site and did not fail; 0 if none ever did";
    let success = ConstGauge::new(measures.last_success.unwrap_or(0));
    registry.register_with_unit("last_success_timestamp", help, Unit::Seconds, success);
    let runs = by(&["verb", "outcome"], &measures.runs);
    counters(registry, "runs", "Runs that have ended", runs);
    let of_each = |value: fn(&LastRun) -> i64| {
        measures.last_runs.iter().map(move |run| (vec![("verb", run.verb.clone())], value(run)))
    };
    let name = "last_run_timestamp";
    gauges(registry, name, "When the last run that has ended began", Some(Unit::Seconds), of_each(|run| run.started));
    let name = "last_run_duration";
    gauges(registry, name, "How long it took", Some(Unit::Seconds), of_each(|run| run.finished - run.started));
    let outcomes = measures.last_runs.iter().flat_map(|run| {
        [Outcome::Complete, Outcome::Attention, Outcome::Failed].map(|outcome| {
            let labels = vec![("verb", run.verb.clone()), ("outcome", outcome.as_str().to_owned())];
            (labels, i64::from(run.outcome == outcome.as_str()))
        })
    });
    gauges(registry, "last_run_outcome", "1 for how it ended, 0 for how it did not", None, outcomes);
    let items = measures.last_runs.iter().flat_map(|run| {
        what_became(&run.items)
            .map(|(word, count)| (vec![("verb", run.verb.clone()), ("outcome", word.to_owned())], signed(count)))
    });
    gauges(registry, "last_run_items", "What became of its items", None, items);
}

fn what_became(items: &Counts) -> [(&'static str, u64); 5] {
    [
        ("staged", items.staged),
        ("held", items.held),
        ("duplicate", items.duplicate),
        ("rejected", items.rejected),
        ("skipped", items.skipped),
    ]
}

fn totals(registry: &mut Registry, measures: &Measures) {
    let files = with_zeros("state", &["received", "staging", "committed", "held", "superseded"], &measures.files);
    gauges(registry, "files", "Files ever received, by what they are now", None, files);
    let bytes = ConstCounter::new(measures.received_bytes);
    registry.register_with_unit("received", "Bytes of all files ever received, encrypted", Unit::Bytes, bytes);
    let items = what_became(&measures.items).map(|(word, count)| (vec![("outcome", word.to_owned())], signed(count)));
    gauges(registry, "items", "Items of all committed exports, by what has become of them by now", None, items);
    let available = ConstGauge::new(signed(measures.items.available));
    registry.register("items_available", "Items of all committed exports: the sum of icechatd_items", available);
    let placements = [("staged", measures.placements.staged), ("existing", measures.placements.existing)];
    let placements = placements.map(|(word, count)| (vec![("result", word.to_owned())], count));
    counters(registry, "placements", "Items in mailboxes: made, or found standing already", placements);
}

fn needs_a_person(registry: &mut Registry, measures: &Measures, needs: &Needs) {
    let state = &needs.state;
    let missing = needs.missing.len() as u64;
    for (name, help, count) in [
        ("held_files", "Files that are held", state.held_files),
        ("unfinished_files", "Files that the last run did not finish", state.unfinished_files),
        ("failed_replays", "Exports whose last replay failed", state.failed_replays),
        ("held_items", "Items without a mailbox", state.held_items),
        ("rejected_records", "Records that are no items", state.rejected_records),
        ("unresolved_participants", "Participants of ours without a mailbox", state.unresolved),
        ("missing_exports", "Days whose export is missing after its deadline", missing),
    ] {
        registry.register(name, help, ConstGauge::new(signed(count)));
    }
    let rejections = with_zeros("kind", &["mapping", "list", "directory", "configuration"], &measures.rejections);
    gauges(registry, "rejected_inputs", "Operators' files that are rejected and not mended yet", None, rejections);
    let alerts = by(&["kind", "silenced"], &measures.alerts).map(|(labels, count)| (labels, signed(count)));
    gauges(registry, "alerts_open", "Alerts that are open", None, alerts);
    let notices = by(&["channel", "state"], &measures.notices).map(|(labels, count)| (labels, signed(count)));
    gauges(registry, "notices", "Alerts, mails and pings sent, or not sent, to their receivers", None, notices);
    let expiry = measures.key_expiry.iter().map(|(fingerprint, at)| (vec![("fingerprint", fingerprint.clone())], *at));
    let help = "When our PGP certificate expires; one that never does is left out";
    gauges(registry, "key_expiry_timestamp", help, Some(Unit::Seconds), expiry);
}

fn for_the_importer(registry: &mut Registry, waiting: &Waiting) {
    let help = "When the oldest EML was committed that still stands in staging; not there when none stands. While there \
                was no time to look at all that was placed, no EML is older than that, and there may be none";
    if let Some(since) = waiting.since {
        let oldest = ConstGauge::new(since.as_second());
        registry.register_with_unit("staging_oldest_eml_timestamp", help, Unit::Seconds, oldest);
    }
    let commits = ConstGauge::new(signed(waiting.commits));
    let help = "Commits of which EMLs may still stand in staging: the oldest that has one, and all after it";
    registry.register("staging_commits", help, commits);
}

fn by<const N: usize>(names: &[&'static str; N], counted: &Counted<N>) -> impl Iterator<Item = (Labels, u64)> {
    counted.iter().map(|(words, count)| (names.iter().copied().zip(words.iter().cloned()).collect(), *count))
}

/// A series that is not there is no zero to a rule, so those that may come are there from the first.
fn with_zeros(name: &'static str, words: &[&str], counted: &Counted<1>) -> Vec<(Labels, i64)> {
    let zeros = words.iter().map(|word| (vec![(name, (*word).to_owned())], 0));
    zeros.chain(by(&[name], counted).map(|(labels, count)| (labels, signed(count)))).collect()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn gauges(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl IntoIterator<Item = (Labels, i64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, family),
        None => registry.register(name, help, family),
    }
}

fn counters(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}
