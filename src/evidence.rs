//! The evidence handed out: the chain and the manifests as files that an auditor checks without this program.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::durable::{AtPath, PathError, open_regular};
use crate::ledger::{Ledger, LedgerError, Link};

/// Why the evidence could not be handed out.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The folder.
    #[error("the evidence could not be written")]
    File(#[from] PathError),
    /// The folder is somebody's.
    #[error("{0} is there already; name a folder that is not, for nothing is written over")]
    Taken(PathBuf),
}

/// What was handed out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HandedOut {
    /// The newest link; none of a chain that has not begun.
    pub head: Option<Link>,
    /// How many manifests.
    pub manifests: usize,
    /// Manifests that could not be handed out, and why.
    pub missing: Vec<String>,
}

const README: &str = "\
This folder is the evidence of icechatd, the archive of a firm's ICE Chat.

chain.txt    One line for each change: a hash, a space, and what was done, as JSON: who, when, what and why.
manifests/   One file for each commit that chain.txt names: what became of every item of one export (zcat shows it).

The hash of a line is the SHA-256 of the hash before it (64 zeros before the first), a line feed, and the JSON as it
stands. So nothing in chain.txt can be altered, removed, put in or moved without changing every hash below it. The last
hash stands for all. Compare it with one that was noted elsewhere at the time, such as in a daily mail or in a report.

To check the chain and then the manifests, in this folder:

    before=0000000000000000000000000000000000000000000000000000000000000000
    while IFS=' ' read -r hash line; do
        before=$(printf '%s\\n%s' \"$before\" \"$line\" | sha256sum | cut -d' ' -f1)
        [ \"$before\" = \"$hash\" ] || echo \"altered: $line\"
    done <chain.txt
    echo \"the newest hash: $before\"

    sed -n 's/.*\"manifest\":\"\\([^\"]*\\)\",\"manifest_sha256\":\"\\([^\"]*\\)\".*/\\2  manifests\\/\\1/p' chain.txt | sha256sum --check
";

/// Writes chain, manifests and an explanation into a folder that is not there yet, for nobody else to read.
///
/// # Errors
/// Where it is there, the ledger cannot be read, or the disk refuses. What was written until then stays.
pub fn export(ledger: &Ledger, folder: &Path) -> Result<HandedOut, EvidenceError> {
    if folder.symlink_metadata().is_ok() {
        return Err(EvidenceError::Taken(folder.to_owned()));
    }
    let manifests = folder.join("manifests");
    for folder in [folder, &manifests] {
        std::fs::DirBuilder::new().mode(0o700).create(folder).at(folder)?;
    }
    create(&folder.join("README.txt"), |file| file.write_all(README.as_bytes()))?;
    // Chain first: a manifest is there before the link that names it is.
    let mut handed_out = HandedOut::default();
    let mut links = Vec::new();
    ledger.each_link(|link| {
        links.push(link);
        Ok::<_, LedgerError>(())
    })?;
    create(&folder.join("chain.txt"), |file| {
        links.iter().try_for_each(|link| writeln!(file, "{} {}", link.hash, link.line))
    })?;
    for recorded in ledger.recorded_manifests(None)? {
        let name = &recorded.finished.name;
        let from = ledger.manifests().join(name);
        // What is not there is what somebody wants to see: the rest is handed out all the same.
        match open_regular(&from) {
            Ok(mut manifest) => {
                create(&manifests.join(name), |file| io::copy(&mut manifest, file).map(drop))?;
                handed_out.manifests += 1;
            }
            Err(error) => handed_out.missing.push(format!("{name}: {}", error.source)),
        }
    }
    handed_out.head = links.pop();
    Ok(handed_out)
}

fn create(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), PathError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    let mut file = BufWriter::new(file);
    write(&mut file).at(path)?;
    file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).at(path)
}
