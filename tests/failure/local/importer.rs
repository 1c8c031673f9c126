//! A user of the group that imports reads staging, removes from it where it may, and reaches nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{AMY, all, bring, is_root};
use crate::support::firm::{Firm, Settings};

/// Numbers that belong to nobody here.
const IMPORTER: &str = "65443";
const GROUP: &str = "65444";

/// What the importer may do with a path, of `r` and `w`; everything is tried, for the kernel has the last word.
fn may(paths: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let script = r#"for path; do may=; [ -r "$path" ] && may=r; [ -w "$path" ] && may=${may}w; echo "$may"; done"#;
    let user = [format!("--reuid={IMPORTER}"), format!("--regid={IMPORTER}"), format!("--groups={GROUP}")];
    let said = Command::new("setpriv").args(user).args(["sh", "-c", script, "sh"]).args(paths).output().unwrap();
    let may = String::from_utf8(said.stdout).unwrap();
    assert_eq!(may.lines().count(), paths.len(), "{}", String::from_utf8_lossy(&said.stderr));
    paths.iter().cloned().zip(may.lines().map(str::to_owned)).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The folders as the package has them: others may pass through to mapping and staging.
fn firm(staging: &str) -> Firm {
    let firm = Firm::with(&Settings { staging: staging.to_owned(), ..Settings::default() });
    set_mode(firm.dir.path(), 0o751);
    set_mode(&firm.path("config.toml"), 0o640);
    set_mode(&firm.path("mapping"), 0o2770);
    // As root of the machine gives it to a group of a firm's choice.
    fs::create_dir(firm.path("staging")).unwrap();
    std::os::unix::fs::chown(firm.path("staging"), None, Some(GROUP.parse().unwrap())).unwrap();
    set_mode(&firm.path("staging"), 0o2750);
    firm.map("new.csv", "ImId,Mailbox\nnobody,dora@contoso.com\n");
    let export = bring(&firm, 1);
    set_mode(&export, 0o600);
    firm.run(&["ingest", export.to_str().unwrap()]).expect(3);
    firm.run(&["status"]).expect(0);
    firm
}

#[test]
fn the_group_reads_staging_and_nothing_else() {
    if !is_root() {
        return eprintln!("only root can play the importer: not tried");
    }
    let firm = firm("");
    let (root, hidden) = (firm.path("staging"), firm.path("staging/.incoming"));
    let found = all(firm.dir.path());
    for name in ["pgp-key", "ssh-key", "config.toml", "mapping/new.csv", "state/ledger.db", "state/spool", "state/firm"]
    {
        assert!(found.contains(&firm.path(name)), "{name} is not there");
    }
    let mut read = 0;
    for (path, may) in may(&found) {
        // What is sent to ICE is public.
        let is_public = path.starts_with(firm.path("handouts"));
        let wanted = (path.starts_with(&root) && !path.starts_with(&hidden)) || is_public;
        assert_eq!(may, if wanted { "r" } else { "" }, "{}", path.display());
        read += usize::from(wanted && path.extension().is_some_and(|suffix| suffix == "eml"));
    }
    assert_eq!(read, 2);
}

#[test]
fn and_removes_from_it_where_it_may_delete() {
    if !is_root() {
        return eprintln!("only root can play the importer: not tried");
    }
    let firm = firm("importer_may_delete = true\n");
    let chat = firm.path("staging").join(AMY).join("ICE Chat");
    for (path, may) in may(&all(&firm.path("staging"))) {
        let wanted = match path.file_name().unwrap().to_str().unwrap() {
            "ICE Chat" => "rw",
            ".incoming" => "",
            _ => "r",
        };
        assert_eq!(may, wanted, "{}", path.display());
    }
    let eml = fs::read_dir(&chat).unwrap().next().unwrap().unwrap().path();
    let remove = |path: &Path| {
        let user = [format!("--reuid={IMPORTER}"), format!("--regid={IMPORTER}"), format!("--groups={GROUP}")];
        Command::new("setpriv").args(user).args(["rm", "-rf"]).arg(path).output().unwrap();
        !path.exists()
    };
    assert!(remove(&eml), "it takes what it imported");
    for name in ["staging/.ready", "staging/.owner", "staging/joe@contoso.com", "state", "mapping/new.csv", "pgp-key"] {
        remove(&firm.path(name));
        assert!(firm.path(name).exists(), "{name} is not the importer's to remove");
    }
}
