//! The program against a site that lies: nothing is staged that the site's files do not hold, nothing is removed that was
//! not committed, and once the site is honest the same state comes to what an undisturbed run gives.
//!
//! `LYING_RUNS` asks for another number of sessions, `LYING_FIRST` for another first seed, `LYING_SEED` for one alone.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use support::firm::{Firm, Said, export, message};
use support::lies::{Liar, Lie, State};
use support::scripted::{Script, Scripted};

/// Without being asked: how many sessions, and how many at once, each with a firm of its own.
const RUNS: u64 = 8;
const AT_ONCE: u64 = 4;
/// What a run may take at most, in KiB: twice what an honest one takes, and less than one listing of long names.
const MOST_MEMORY: u64 = 120 << 10;
/// Runs a program and writes down the most memory that it held, in KiB.
const MEASURE: &str = "import resource,subprocess,sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)";

type Staged = BTreeMap<(String, String), Vec<u8>>;

/// A firm, three exports for it, and what each of them comes to.
struct Lab {
    firm: Firm,
    config: String,
    files: Vec<(String, Vec<u8>)>,
    truth: Staged,
    of_each: BTreeMap<String, Vec<(String, String)>>,
}

impl Lab {
    fn new() -> Self {
        let firm = Firm::new();
        let config = fs::read_to_string(firm.path("config.toml")).unwrap();
        let names = ["a.pgp", "b.pgp", "c.pgp"];
        let sealed = names.map(|name| (name.to_owned(), firm.encrypt(&conversation(name))));
        let mut lab = Self { firm, config, files: sealed.to_vec(), truth: BTreeMap::new(), of_each: BTreeMap::new() };
        for alone in 0..lab.files.len() {
            let server = serve(&lab.files[alone..=alone], Liar::honest());
            lab.begin(&server, "keep");
            lab.firm.run(&["ingest"]).expect(0);
            let staged = lab.firm.staged();
            lab.of_each.insert(lab.files[alone].0.clone(), staged.keys().cloned().collect());
            lab.truth.extend(staged);
        }
        assert_eq!(lab.truth.len(), 18);
        lab
    }

    /// A fresh state, with this server as its site.
    fn begin(&self, server: &Scripted, after: &str) {
        for folder in ["state", "staging"] {
            let _ = fs::remove_dir_all(self.firm.path(folder));
        }
        let ours = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
            Some("port") => format!("port = {}\n", server.port()),
            Some("host_keys") => format!("host_keys = [\"{}\"]\nafter = \"{after}\"\n", server.host_key()),
            Some("directory") if line.contains(self.firm.sshd.root().to_str().unwrap()) => {
                "directory = \".\"\n".to_owned()
            }
            _ => format!("{line}\n"),
        };
        fs::write(self.firm.path("config.toml"), self.config.lines().map(ours).collect::<String>()).unwrap();
    }

    /// Runs `ingest`, and says how much memory it took, in KiB.
    fn measured(&self, arguments: &[&str]) -> (Said, u64) {
        let (plain, peak) = (self.firm.command(arguments), self.firm.path("peak"));
        let mut command = Command::new("python3");
        command.args(["-c", MEASURE]).arg(&peak).arg(plain.get_program()).args(plain.get_args());
        let said = Said::from(&command.env_remove("CREDENTIALS_DIRECTORY").output().unwrap());
        support::planted::look_through_state(&self.firm.path("state"));
        (said, fs::read_to_string(peak).unwrap().parse().unwrap())
    }

    fn session(&self, seed: u64) -> (BTreeMap<(State, Lie), usize>, i32, u64) {
        let server = serve(&self.files, Liar::of_seed(seed).in_haste(2));
        self.begin(&server, if seed.is_multiple_of(2) { "keep" } else { "delete" });
        let (said, memory) = self.measured(&["ingest"]);
        assert_well_said(&said, server.port());
        assert!(memory < MOST_MEMORY, "{memory} KiB");
        let staged = self.firm.staged();
        for (place, eml) in &staged {
            assert_eq!(self.truth.get(place), Some(eml), "{place:?} is in no export");
        }
        self.assert_only_the_committed_went(&server, &staged);
        self.repent(&server);
        let told = server.shared().liar().told.clone();
        (told, said.code, memory)
    }

    fn assert_only_the_committed_went(&self, server: &Scripted, staged: &Staged) {
        let rack = server.shared().rack();
        for removed in &rack.removed {
            let is_staged = self.of_each[&removed.name].iter().all(|place| staged.contains_key(place));
            assert!(is_staged, "{} was removed and is not staged", removed.name);
            let original = self.files.iter().find(|(name, _)| *name == removed.name).map(|(_, bytes)| bytes);
            let is_same = removed.was_seen && original == Some(&removed.file.bytes);
            assert!(is_same || removed.was_lied_about, "{} was another file by then", removed.name);
        }
    }

    /// The site becomes honest, with the files that it ought to have.
    fn repent(&self, server: &Scripted) {
        server.shared().liar().repent();
        let swore_falsely = !server.shared().rack().vouched.is_empty();
        for (name, bytes) in &self.files {
            server.shared().rack().put(name, bytes.clone(), 1_000_000_000);
        }
        // What the site swore to was held as it came; a person has it fetched again.
        let said = self.firm.run(if swore_falsely { &["ingest", "--retry"] } else { &["ingest"] });
        assert!([0, 3].contains(&said.code), "{said:#?}");
        assert_eq!(self.firm.staged(), self.truth, "{said:#?}");
    }
}

fn serve(files: &[(String, Vec<u8>)], liar: Liar) -> Scripted {
    Scripted::lying(Script { files: files.to_vec(), ..Script::default() }, liar)
}

fn conversation(name: &str) -> String {
    let one = |number: u32| {
        message(&format!("{name}-{number}"), "amy@contoso.com", &["joe@contoso.com"], &format!("{name} {number}"))
    };
    export(&(0..3).map(one).collect::<String>())
}

/// One line for what went wrong, which names the site; nothing that the site wrote begins a line.
fn assert_well_said(said: &Said, port: u16) {
    assert!([0, 1, 3].contains(&said.code), "{said:#?}");
    let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!said.out.contains(hostile) && !said.err.contains(hostile), "{said:#?}");
    let (logged, others): (Vec<&str>, Vec<&str>) = said.err.lines().partition(|line| line.starts_with("20"));
    assert!(!logged.iter().any(|line| line.starts_with("2026-11-19T00:00:00Z")), "{said:#?}");
    assert!(others.iter().all(|line| line.starts_with("icechatd: ")) && others.len() < 2, "{said:#?}");
    let site = format!("127.0.0.1:{port}");
    assert!(said.code != 1 || others.iter().any(|line| line.contains(&site) || line.contains(".pgp")), "{said:#?}");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_a_site_says_only_the_truth_is_staged() {
    let first = number("LYING_SEED").or(number("LYING_FIRST")).unwrap_or(0);
    let runs = if number("LYING_SEED").is_some() { 1 } else { number("LYING_RUNS").unwrap_or(RUNS) };
    let next = AtomicU64::new(first);
    let work = || {
        let lab = Lab::new();
        let mut seen = Vec::new();
        for seed in
            std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst)).take_while(|seed| *seed < first + runs)
        {
            let session = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.session(seed)));
            seen.push(session.unwrap_or_else(|_| panic!("again with LYING_SEED={seed}")));
        }
        seen
    };
    let seen: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE.min(runs)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let (mut codes, mut told, mut memory) = (BTreeMap::<i32, usize>::new(), BTreeMap::<Lie, usize>::new(), 0);
    for (lies, code, peak) in seen {
        *codes.entry(code).or_default() += 1;
        for ((_, lie), times) in lies {
            *told.entry(lie).or_default() += times;
        }
        memory = memory.max(peak);
    }
    println!("exit codes {codes:?}; at most {memory} KiB; {} kinds of lies: {told:?}", told.len());
    assert!(runs < RUNS || told.len() > 8);
}

/// A listing of long names, ever new ones, floods: what the site sends unasked is not kept.
#[test]
fn a_site_that_sends_without_an_end_fills_no_memory() {
    let lab = Lab::new();
    let cases = [
        (State::Readdir, Lie::ListingLong, 1, "longer than limits.transfer_deadline over listing"),
        (State::Readdir, Lie::ListingNew, 1, "more than 100000 entries"),
        (State::Readdir, Lie::StderrFlood, 0, ""),
        (State::Readdir, Lie::StrayFlood, 0, ""),
        (State::Readdir, Lie::ChannelFlood, 0, ""),
        (State::Connect, Lie::EndlessKeepalives, 0, ""),
    ];
    for (state, lie, code, words) in cases {
        let server = serve(&lab.files, Liar::that_says(&[(state, lie)]));
        lab.begin(&server, "keep");
        if lie == Lie::ListingLong {
            let config = lab.firm.path("config.toml");
            let short = "[limits]\ntransfer_deadline = \"2s\"\n";
            fs::write(&config, fs::read_to_string(&config).unwrap() + short).unwrap();
        }
        let (said, memory) = lab.measured(&["ingest"]);
        println!("{lie:?}: {memory} KiB");
        assert!(said.code == code && said.err.contains(words), "{lie:?}: {said:#?}");
        assert!(memory < MOST_MEMORY, "{lie:?}: {memory} KiB");
        assert!(code == 1 || lab.firm.staged() == lab.truth, "{lie:?}");
    }
}

/// A file that came damaged is held; the same name, size and mtime lie there whole later. A person has it fetched again.
#[test]
fn what_came_damaged_is_fetched_again_when_asked() {
    let lab = Lab::new();
    let server = serve(&lab.files, Liar::that_says(&[(State::Read, Lie::ReadFlipped)]));
    lab.begin(&server, "delete");
    lab.firm.run(&["ingest"]).expect(3);
    assert!(lab.firm.staged().is_empty() && server.shared().rack().removed.is_empty());
    server.shared().liar().repent();
    lab.firm.run(&["ingest"]).expect(3);
    assert!(lab.firm.staged().is_empty());
    lab.firm.run(&["ingest", "--retry"]).expect(0);
    assert_eq!(lab.firm.staged(), lab.truth);
    lab.firm.run(&["verify", "--deep"]).expect(0);
    assert!(server.shared().rack().files.is_empty(), "what was committed went from the site");
}

/// One file whose size no ledger can hold, or that is none, keeps no other.
#[test]
fn what_a_listing_says_of_one_file_keeps_no_other() {
    let lab = Lab::new();
    for (lie, code) in
        [(Lie::ListingAbsurd, 1), (Lie::ListingOdd, 0), (Lie::ListingHostile, 0), (Lie::ListingDoubled, 0)]
    {
        let server = serve(&lab.files, Liar::that_says(&[(State::Readdir, lie)]).once());
        lab.begin(&server, "keep");
        let said = lab.firm.run(&["ingest"]);
        assert_well_said(&said, server.port());
        assert_eq!(lab.firm.staged(), lab.truth, "{lie:?}: {said:#?}");
        assert_eq!(said.code, code, "{lie:?}: {said:#?}");
        let checked = serve(&lab.files, Liar::that_says(&[(State::Readdir, lie)]).once());
        lab.begin(&checked, "keep");
        for verb in ["check", "ingest", "status", "report"] {
            let shown = lab.firm.run(&[verb]);
            assert!(!(shown.out + &shown.err).contains(|c: char| c.is_control() && c != '\n'), "{verb}, {lie:?}");
        }
    }
}
