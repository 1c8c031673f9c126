//! From the site to the committed ledger, beside the bare file system and beside what a firm would script.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::desk::Desk;
use crate::floor::Tree;
use crate::ground::Kind;
use crate::input::PLACEMENTS;
use crate::table::{Table, mebibytes, seconds, times};
use crate::{Arguments, median};

/// As many threads as the floor is allowed at most: what `icechatd` has.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was measured on one kind of ground.
#[derive(Debug, Default)]
struct Figures {
    floor: Vec<f64>,
    floor_on_all: Vec<f64>,
    ours: Vec<f64>,
    peak: u64,
}

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let desk = Desk::new(arguments);
    let bytes = desk.deliver(0..arguments.messages, 0);
    let heading = format!(
        "From the site to the committed ledger: {} messages, {PLACEMENTS} placements each, {bytes} bytes encrypted; \
         {} cores, the median of {}",
        arguments.messages,
        cores(),
        arguments.runs
    );
    let columns =
        ["where", "floor", "floor on all cores", "script", "`icechatd`", "of the floor", "script / ours", "peak"];
    let mut table = Table::new(heading, &columns);
    let tree = tree(&desk, arguments.messages);
    for kind in Kind::all(&arguments.disk) {
        let mut figures = Figures::default();
        for _ in 0..arguments.runs {
            figures.floor.push(tree.make(&kind.lay().path(), 1));
            figures.floor_on_all.push(tree.make(&kind.lay().path(), cores()));
            let ground = kind.lay();
            let measured = desk.run(&desk.configure(&ground.path()), &["ingest", "--json"]);
            figures.ours.push(f64::from(u32::try_from(measured.milliseconds).unwrap()) / 1000.0);
            figures.peak = figures.peak.max(measured.peak);
        }
        let scripted = (!arguments.no_script).then(|| script(&desk, &kind.lay().path()));
        let (floor, ours) = (median(figures.floor), median(figures.ours));
        table.row(&[
            &kind.name(),
            &seconds(floor),
            &seconds(median(figures.floor_on_all)),
            &scripted.map_or("–".to_owned(), seconds),
            &seconds(ours),
            &times(ours / floor),
            &scripted.map_or("–".to_owned(), |scripted| times(scripted / ours)),
            &mebibytes(figures.peak),
        ]);
    }
    table
}

/// What a run stages, which the floor makes again.
fn tree(desk: &Desk, messages: u64) -> Tree {
    let ground = Kind::Memory.lay();
    let report = desk.run(&desk.configure(&ground.path()), &["ingest", "--json"]).report;
    assert_eq!(report["items"]["staged"], messages, "{report:#}");
    let tree = Tree::read(&ground.path().join("staging"));
    assert_eq!(tree.files() as u64, messages);
    assert_eq!(tree.placements() as u64, messages * PLACEMENTS);
    tree
}

/// Seconds that the scripted pipeline takes: `sftp`, then `gpg -d` into Python.
fn script(desk: &Desk, ground: &Path) -> f64 {
    let begun = Instant::now();
    let export = ground.join("export.pgp");
    let fetched =
        crate::download::sftp(desk.sshd.port(), &desk.sshd.client_key(), desk.sshd.user(), &desk.export(), &export);
    assert!(fetched);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end/script.py");
    let mut gpg = Command::new("gpg");
    gpg.arg("--homedir").arg(desk.gpg.home()).args(["--batch", "--no-tty", "--quiet", "--decrypt"]).arg(&export);
    let mut gpg = gpg.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut python = Command::new("python3");
    python.arg(script).arg(desk.mapping()).arg(ground.join("staging")).stdin(gpg.stdout.take().unwrap());
    assert!(python.status().unwrap().success());
    assert!(gpg.wait().unwrap().success());
    begun.elapsed().as_secs_f64()
}
