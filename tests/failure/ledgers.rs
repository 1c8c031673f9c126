//! A ledger that is busy, damaged in every way, or lost: originals and staging stay as they are, the error names the way out,
//! and the way out that docs/operations.md describes works as it stands there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use icechatd::lock::is_held;
use rusqlite::Connection;

use crate::faults::assert_says_why;
use crate::scene::{Scene, copy, next_day, random, with_a_day, write};
use crate::support::archive::cases;
use crate::support::firm::{Firm, Said};

/// Somebody else writes for a while: the run waits.
#[test]
fn a_busy_ledger_is_waited_for() {
    let scene = Scene::replay();
    scene.again();
    let other = Connection::open(scene.firm.path("state/ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = scene.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !is_held(&scene.firm.path("state/work.lock")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the run does not begin");
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_secs(1));
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    let said = Said::from(&run.wait_with_output().unwrap());
    assert_eq!(said.code, scene.code, "{said:#?}");
    scene.assert_as_undisturbed("after another had written");
}

/// And if they do not stop, it gives up after half a minute, and says why. By hand: half a minute is long.
#[test]
fn a_ledger_that_stays_busy_is_given_up() {
    if cases(0) == 0 {
        println!("NOT SHOWN: takes half a minute; with ICECHATD_CASES only");
        return;
    }
    let scene = Scene::replay();
    scene.again();
    let other = Connection::open(scene.firm.path("state/ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = scene.firm.run(&scene.arguments()).expect(1);
    assert_says_why(&said, "busy");
    assert!(said.err.contains("locked"), "{said:#?}");
    drop(other);
    scene.recover("after another had written for long");
}

/// What may happen to a file.
type Damage = fn(&mut Vec<u8>);
const DAMAGES: [(&str, Damage); 7] = [
    ("emptied", |bytes| bytes.clear()),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("cut at chance", |bytes| bytes.truncate(random(bytes.len()))),
    ("without its first page", |bytes| bytes[..4096].fill(0)),
    ("without a page", |bytes| {
        let page = random(bytes.len() / 4096) * 4096;
        bytes[page..page + 4096].fill(0);
    }),
    ("with a byte changed", |bytes| {
        let at = random(bytes.len());
        bytes[at] ^= 1 << random(8);
    }),
    ("overwritten", |bytes| bytes.fill(b'x')),
];

/// A firm with two days of which there is a backup of the first, as operations.md says to make it.
struct Backed {
    firm: Firm,
    /// State with both days; its log has not been taken into the database.
    before: PathBuf,
    originals: BTreeMap<PathBuf, Vec<u8>>,
    staged: BTreeMap<(String, String), Vec<u8>>,
}

impl Backed {
    fn new() -> Self {
        let firm = with_a_day("");
        copy(&firm.path("state"), &firm.path("backup"));
        write(&firm, "next.pgp", &next_day());
        // As a killed run leaves it.
        let reader = Connection::open(firm.path("state/ledger.db")).unwrap();
        reader.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, i64>(0)).unwrap();
        firm.run(&["ingest", firm.path("next.pgp").to_str().unwrap()]).expect(3);
        copy(&firm.path("state"), &firm.path("before"));
        drop(reader);
        let (before, originals, staged) = (firm.path("before"), originals(&firm.path("state")), firm.staged());
        assert!(before.join("ledger.db-wal").metadata().unwrap().len() > 10_000);
        Self { firm, before, originals, staged }
    }

    fn damage(&self, file: &str, damage: Damage) {
        fs::remove_dir_all(self.firm.path("state")).unwrap();
        copy(&self.before, &self.firm.path("state"));
        if file == "ledger.db" {
            // The log would heal what it has a newer page of.
            drop(
                Connection::open(self.firm.path("state/ledger.db"))
                    .unwrap()
                    .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"),
            );
        }
        let path = self.firm.path("state").join(file);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(path, bytes).unwrap();
        let _ = fs::remove_file(self.firm.path("state/ledger.db-shm"));
    }

    /// What a run makes of it. Damage that is in nothing it needs it does not see; `verify` may.
    fn run(&self, when: &str) -> i32 {
        let said = self.firm.run(&["ingest", self.firm.path("day.pgp").to_str().unwrap()]);
        assert!([0, 1, 3].contains(&said.code), "{when}: {said:#?}");
        if said.code == 1 {
            assert_says_why(&said, when);
            let way_out = ["restore", "belongs to", "another ledger places its EMLs there"];
            assert!(way_out.iter().any(|words| said.err.contains(words)), "{when}: {said:#?}");
        }
        assert_eq!(originals(&self.firm.path("state")), self.originals, "{when}");
        assert_eq!(self.firm.staged(), self.staged, "{when}");
        said.code
    }

    /// A run did not see the damage: the export that came last may be forgotten, and comes again. Whether ledger, manifests
    /// and originals then agree.
    fn goes_on(&self, when: &str) -> bool {
        let said = self.firm.run(&["ingest", self.firm.path("next.pgp").to_str().unwrap()]);
        assert!([0, 1, 3].contains(&said.code), "{when}: {said:#?}");
        assert_eq!(self.firm.staged(), self.staged, "{when}");
        let agree = self.firm.run(&["verify"]);
        assert!([0, 1].contains(&agree.code), "{when}: {agree:#?}");
        said.code != 1 && agree.code == 0
    }

    /// "The state is damaged, and there is a backup of some days ago", word for word.
    fn restore(&self, when: &str) {
        let state = self.firm.path("state");
        fs::rename(&state, self.firm.path("state.damaged")).unwrap();
        copy(&self.firm.path("backup"), &state);
        self.firm.run(&["verify"]).expect(0);
        let said = self.shell(&documented("for original in originals/*.pgp"));
        assert_eq!(self.firm.staged(), self.staged, "{when}: {said:#?}");
        assert_eq!(originals(&state), self.originals, "{when}");
        self.firm.run(&["verify"]).expect(0);
        assert!(!self.firm.path("rescued").exists());
        fs::remove_dir_all(self.firm.path("state.damaged")).unwrap();
    }

    /// Commands of the page, with this firm's folder and user.
    fn shell(&self, commands: &str) -> Said {
        let program = format!("{} -c {}", env!("CARGO_BIN_EXE_icechatd"), self.firm.path("config.toml").display());
        let commands = commands
            .replace("/var/lib/icechatd", self.firm.dir.path().to_str().unwrap())
            .replace("sudo -u icechatd sh", "sh")
            .replace("chown -R icechatd ", "test -d ")
            .replace("sudo ", "")
            .replace("icechatd ingest", &format!("{program} ingest"));
        Said::from(&Command::new("bash").arg("-c").arg(commands).output().unwrap())
    }
}

fn originals(state: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(state.join("originals")).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

/// The block of operations.md that has these words.
fn documented(words: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let block =
        page.split("```").find(|block| block.trim_start_matches("sh").contains(words) && !block.contains("\n## "));
    block.unwrap().trim_start_matches("sh").to_owned()
}

#[test]
fn a_damaged_ledger() {
    let backed = Backed::new();
    let mut seen: BTreeMap<(&str, &str), BTreeMap<i32, u32>> = BTreeMap::new();
    for _ in 0..cases(1).min(30) {
        for (what, damage) in DAMAGES {
            for file in ["ledger.db", "ledger.db-wal"] {
                let when = format!("{file} {what}");
                backed.damage(file, damage);
                let code = backed.run(&when);
                *seen.entry((file, what)).or_default().entry(code).or_default() += 1;
                if code == 1 || !backed.goes_on(&when) {
                    backed.restore(&when);
                }
            }
        }
    }
    println!("exit codes of the next run: {seen:#?}");
    for what in ["emptied", "without its first page", "overwritten"] {
        assert_eq!(seen[&("ledger.db", what)].keys().collect::<Vec<_>>(), [&1], "{what}");
    }
}

/// "The state is lost, and there is no backup."
#[test]
fn a_lost_state() {
    let firm = with_a_day("");
    write(&firm, "next.pgp", &next_day());
    let (day, next) = (firm.path("day.pgp"), firm.path("next.pgp"));
    let (day, next) = (day.to_str().unwrap(), next.to_str().unwrap());
    let staged = firm.staged();
    fs::remove_dir_all(firm.path("state")).unwrap();
    let said = firm.run(&["ingest", day, next]).expect(1);
    assert!(said.err.contains("staging/.owner") && said.err.contains("remove the file"), "{said:#?}");
    assert_eq!(firm.staged(), staged);
    // The importer takes what stands; the day after the last that was archived is the first that is taken.
    for mailbox in ["amy@contoso.com", "joe@contoso.com"] {
        fs::remove_dir_all(firm.path("staging").join(mailbox)).unwrap();
    }
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let config = config.replace("settle = ", "initial_date = \"2026-11-20\"\nsettle = ");
    fs::write(firm.path("config.toml"), config).unwrap();
    fs::remove_file(firm.path("staging/.owner")).unwrap();
    firm.run(&["ingest", day, next]).expect(0);
    assert!(firm.staged().is_empty(), "what was archived is staged again");
    firm.run(&["verify"]).expect(0);
}
