//! Sessions with a site that lies, by the hundred, each from a seed: whatever it says at whatever state, every call comes
//! back in time, nothing panics, and what lies in the spool is what the site's file was.
//!
//! `LIES_SESSIONS` asks for another number of them, `LIES_FIRST` for another first seed, `LIES_SEED` for one session alone.

use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, mpsc};

use icechatd::download::{Ciphertext, Listing};

use super::*;
use crate::support::lies::{Liar, Lie, State};
use crate::support::rack::Filed;

/// So many sessions without being asked, and so many at once: nearly all of their time they wait for an answer.
const SESSIONS: u64 = 160;
const AT_ONCE: usize = 16;
/// What no call may take longer than; `MARGIN` more on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_secs(20);
/// Exports of a listing that a session looks after.
const MOST: usize = 6;

/// Panics of tasks, which no caller sees.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What one session came to.
#[derive(Debug, Default)]
struct Seen {
    taken: usize,
    removed: usize,
    troubles: Vec<String>,
    told: BTreeMap<(State, Lie), usize>,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn watch_tasks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |found| {
            // Other tests may fail meanwhile: theirs are not ours.
            if thread::current().name().is_some_and(|name| name == "sftp" || name.starts_with("tokio")) {
                PANICS.lock().unwrap().push(found.to_string());
            }
            before(found);
        }));
    });
}

fn impatient() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(500),
        authentication: Duration::from_millis(500),
        operation: Duration::from_millis(300),
        least_rate: 1024,
        rate_window: Duration::from_millis(300),
        retries: 1,
        first_wait: Duration::from_millis(2),
    }
}

/// Whether it can be printed to a log or a terminal as it is.
fn is_fit(text: &str) -> bool {
    text.len() < 4096 && !text.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

/// A call that comes back in time; what it said went wrong is noted.
fn timed<T>(seen: &mut Seen, call: impl FnOnce() -> Result<T, SiteError>) -> Result<T, bool> {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < DEADLINE + MARGIN, "it took {:?}", start.elapsed());
    result.map_err(|error| {
        assert!(is_fit(&line(&error)), "{:?}", line(&error));
        let kind = format!("{:?}", error.trouble());
        seen.troubles.push(kind.split([' ', '(', '{']).next().unwrap().to_owned());
        error.is_about_one_file()
    })
}

fn assert_fit(listing: &Listing) {
    assert!(listing.others.iter().all(|name| is_fit(name)), "{:?}", listing.others);
    let mut names = BTreeSet::new();
    for file in listing.exports.iter().chain(&listing.unmatched) {
        assert!(is_fit(&file.name) && !file.name.contains('/') && names.insert(&file.name), "{file:?}");
    }
}

/// A file in the spool is whole, and was at the site, unless the site swore to other bytes.
fn assert_authentic(taken: &Ciphertext, server: &Scripted) {
    let bytes = fs::read(&taken.spool).unwrap();
    assert_eq!((taken.len, taken.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
    let rack = server.shared().rack();
    let is_real = rack.ever.iter().any(|(name, was)| *name == taken.name && *was == bytes);
    let told = &server.shared().liar().told;
    assert!(is_real || rack.vouched.contains(&taken.name), "{} is not what was at the site: {told:?}", taken.name);
}

/// Nothing went at the site but what was taken, and only if the site had said that it still stood there.
fn assert_removed_what_was_taken(taken: &[Ciphertext], server: &Scripted) {
    let rack = server.shared().rack();
    for removed in &rack.removed {
        let Filed { bytes, .. } = &removed.file;
        let of_it = taken.iter().find(|taken| taken.name == removed.name);
        let of_it = of_it.unwrap_or_else(|| panic!("{} was never taken", removed.name));
        let is_same = of_it.sha256 == Sha256::of(bytes) || rack.vouched.contains(&removed.name);
        assert!(removed.was_lied_about || (removed.was_seen && is_same), "{} is another file by now", removed.name);
    }
}

/// What a run does with the site, file by file.
fn visit(site: &mut Site, spool: &Path, seen: &mut Seen) -> Vec<Ciphertext> {
    let mut taken = Vec::new();
    let Ok(listing) = timed(seen, || site.list()) else { return taken };
    assert_fit(&listing);
    for file in listing.exports.iter().take(MOST) {
        match timed(seen, || site.fetch(file, spool, &())) {
            Ok(ciphertext) => taken.push(ciphertext),
            Err(true) => continue,
            Err(false) => break,
        }
        if let Ok(gone) = timed(seen, || site.remove(file)) {
            seen.removed += usize::from(gone);
        }
    }
    if let Some(last) = listing.exports.last()
        && let Ok(bytes) = timed(seen, || site.beginning(last, 512))
    {
        assert!(bytes.len() <= 512);
    }
    seen.taken = taken.len();
    taken
}

fn session(seed: u64, key: &Path) -> Seen {
    let files = [("a.pgp", 200_000), ("b.pgp", 700), ("c.pgp", 40_000), ("readme.txt", 10)];
    let files = files.map(|(name, len)| (name.to_owned(), noise(len))).to_vec();
    let server = Scripted::lying(Script { files, ..Script::default() }, Liar::of_seed(seed));
    let spool = tempfile::tempdir().unwrap();
    let limits = config::Limits { transfer_deadline: DEADLINE, ..limits() };
    let settings = settings(server.port(), "ACME", server.host_key());
    let mut site = Site::with_timeouts(&settings, &limits, &self::key(key), impatient()).unwrap();
    let mut visited = Seen::default();
    let taken = visit(&mut site, spool.path(), &mut visited);
    drop(site);
    assert_eq!(count(spool.path()), taken.len(), "something else was left in the spool");
    for ciphertext in &taken {
        assert_authentic(ciphertext, &server);
    }
    assert_removed_what_was_taken(&taken, &server);
    visited.told.clone_from(&server.shared().liar().told);
    visited
}

/// Runs sessions of these seeds, several at once, and gives what each came to as it ends.
fn sessions(first: u64, end: u64, key: &Path, mut each: impl FnMut(u64, Seen)) {
    let next = AtomicU64::new(first);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                for seed in std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst)).take_while(|at| *at < end) {
                    let result = panic::catch_unwind(|| session(seed, key));
                    sender.send((seed, result)).unwrap();
                }
            });
        }
        let mut open: BTreeSet<u64> = (first..end).collect();
        while !open.is_empty() {
            let Ok((seed, result)) = receiver.recv_timeout(Duration::from_mins(3)) else {
                // Whoever hangs would keep the scope from ending.
                eprintln!("no end of the sessions of the seeds {:?}", open.iter().take(AT_ONCE).collect::<Vec<_>>());
                std::process::abort();
            };
            open.remove(&seed);
            each(seed, result.unwrap_or_else(|_| panic!("again with LIES_SEED={seed}")));
            assert!(PANICS.lock().unwrap().is_empty(), "{:?}: LIES_SEED={seed} or one just before", PANICS.lock());
        }
    });
}

#[test]
fn whatever_a_site_says_the_spool_holds_the_truth() {
    watch_tasks();
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("key"), &["-t", "ed25519"], "");
    let first = number("LIES_SEED").or(number("LIES_FIRST")).unwrap_or(0);
    let alone = number("LIES_SEED").map(|_| 1);
    let end = first + alone.or(number("LIES_SESSIONS")).unwrap_or(SESSIONS);
    let (mut all, mut troubles) = (Seen::default(), BTreeMap::<String, usize>::new());
    let start = Instant::now();
    sessions(first, end, &dir.path().join("key"), |_, seen| {
        (all.taken, all.removed) = (all.taken + seen.taken, all.removed + seen.removed);
        seen.told.into_iter().for_each(|(lie, times)| *all.told.entry(lie).or_default() += times);
        seen.troubles.into_iter().for_each(|trouble| *troubles.entry(trouble).or_default() += 1);
    });
    let lies: BTreeSet<Lie> = all.told.keys().map(|(_, lie)| *lie).collect();
    println!("{} sessions in {:?}: {} files taken, {} removed", end - first, start.elapsed(), all.taken, all.removed);
    println!("{} lies of {} kinds in {} ways", all.told.values().sum::<usize>(), lies.len(), all.told.len());
    println!("troubles: {troubles:?}");
    println!("told: {:?}", all.told);
    if end - first < SESSIONS {
        return;
    }
    // Without files that come and files that do not, nothing would have been shown.
    assert!(all.taken > 40 && all.removed > 20 && lies.len() > 60);
    for trouble in ["Changed", "Deadline", "Lost", "Missing"] {
        assert!(troubles.contains_key(trouble), "nothing came to {trouble}");
    }
}
