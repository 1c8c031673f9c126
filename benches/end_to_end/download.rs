//! Download beside OpenSSH's own `sftp`, at hand and over a line on which an answer takes a tenth of a second.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use icechatd::download::RemoteFile;
use icechatd::download::sftp::{Secrets, Site};
use zeroize::Zeroizing;

use crate::support::nearby;
use crate::support::proxy::{Line, Proxy};
use crate::support::sshd::{Sshd, SshdOptions};
use crate::table::{Table, seconds, times};
use crate::{Arguments, median};

/// Each way: an answer takes twice as long.
const FAR: Duration = Duration::from_millis(50);
/// Bytes of ciphertext for a message, about.
const MESSAGE: u64 = 290;

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let sshd = Sshd::start(SshdOptions::default());
    let bytes = noise(arguments.messages * 10 * MESSAGE);
    let (path, target) = (sshd.root().join("export.pgp"), tempfile::tempdir().unwrap());
    fs::write(&path, &bytes).unwrap();
    let heading =
        format!("Download of {} MB, login included; the median of {}", bytes.len() / 1_000_000, arguments.runs);
    let mut table = Table::new(heading, &["line", "`sftp`", "`icechatd`", "times as fast"]);
    for (name, line) in [("loopback", Line::Good), ("100 ms round trip", Line::Far(FAR))] {
        let near = matches!(line, Line::Good);
        let proxy = (!near).then(|| Proxy::start(sshd.port(), &[line]));
        let port = proxy.as_ref().map_or(sshd.port(), Proxy::port);
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..arguments.runs {
            let begun = Instant::now();
            let got = target.path().join("theirs");
            assert!(sftp(port, &sshd.client_key(), sshd.user(), &path, &got));
            theirs.push(begun.elapsed().as_secs_f64());
            assert_eq!(got.metadata().unwrap().len(), bytes.len() as u64);
            ours.push(fetch(&sshd, port, target.path(), &path));
        }
        let (theirs, ours) = (median(theirs), median(ours));
        table.row(&[name, &seconds(theirs), &seconds(ours), &times(theirs / ours)]);
    }
    table
}

/// Whether OpenSSH's `sftp` fetched a file.
pub(crate) fn sftp(port: u16, key: &Path, user: &str, from: &Path, to: &Path) -> bool {
    let mut command = Command::new("sftp");
    command.args(["-q", "-P", &port.to_string(), "-i"]).arg(key);
    command.args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    command.arg(format!("{user}@127.0.0.1:{}", from.display())).arg(to);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn fetch(sshd: &Sshd, port: u16, spool: &Path, path: &Path) -> f64 {
    let directory = sshd.root().display().to_string();
    let settings = nearby::site(port, sshd.user(), sshd.host_key_fingerprint(), &directory);
    let limits = nearby::limits(Duration::from_hours(1));
    let metadata = path.metadata().unwrap();
    let file = RemoteFile { name: "export.pgp".to_owned(), size: metadata.len(), mtime: metadata.mtime() };
    let begun = Instant::now();
    let secrets = Secrets::default().with_key("ssh-key", Zeroizing::new(fs::read(sshd.client_key()).unwrap()));
    let mut site = Site::new(&settings, &limits, &secrets).unwrap();
    let fetched = site.fetch(&file, spool, &()).unwrap();
    drop(site);
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(fetched.len, metadata.len());
    fs::remove_file(&fetched.spool).unwrap();
    took
}

/// Bytes that nothing shortens.
fn noise(len: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(step).collect()
}
