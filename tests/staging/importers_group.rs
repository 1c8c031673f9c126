//! The importer's side of staging: the group that reads and removes, under the restrictions of the shipped unit, and the
//! ready lists that say what may be taken.

use crate::support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::firm::{Firm, Said, Settings, export, header, message, staged};

/// A group that is not this user's first one, if there is one to give files to.
fn another_group() -> Option<(String, u32)> {
    let own = fs::metadata("/proc/self").unwrap().gid();
    let groups = Command::new("id").arg("-Gn").output().unwrap();
    let mine = String::from_utf8(groups.stdout).unwrap();
    let is_root = is_root();
    fs::read_to_string("/etc/group").unwrap().lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?.parse().ok()?);
        let is_usable = number != own && (is_root || mine.split_whitespace().any(|one| one == name));
        is_usable.then(|| (name.to_owned(), number))
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn firm_with(staging: &str) -> Firm {
    let mailboxes = "domains = [\"contoso.com\"]\n".to_owned();
    Firm::with(&Settings { staging: staging.to_owned(), mailboxes, ..Settings::default() })
}

fn day(number: u32, from: &str) -> String {
    export(&message(&format!("m-{number}"), from, &["joe@contoso.com", "otto@northern.example"], "12 lots"))
}

/// Folders below staging with group and mode, and files likewise.
fn access(root: &Path) -> Vec<(PathBuf, u32, u32)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        found.push((path.strip_prefix(root).unwrap().to_owned(), meta.gid(), meta.mode() & 0o7777));
        if meta.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// Everything below staging is the group's, and each thing has the mode that its kind should have.
fn assert_is_the_groups(root: &Path, group: u32, removable: u32) {
    let all = access(root);
    assert!(all.iter().any(|(path, ..)| path.extension().is_some_and(|suffix| suffix == "eml")), "{all:?}");
    for (path, of, mode) in all {
        let (depth, last) = (path.components().count(), path.file_name().and_then(|name| name.to_str()).unwrap_or(""));
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).filter(|_| depth > 1);
        let wanted = match (depth, last, suffix) {
            (1, ".incoming", _) => 0o2700,
            (1, ".owner", _) | (_, _, Some("jsonl")) => 0o640,
            (_, "ICE Chat", _) => removable,
            (_, _, Some("eml")) => 0o440,
            _ => 0o2750,
        };
        assert_eq!((of, format!("{mode:o}")), (group, format!("{wanted:o}")), "{}", path.display());
    }
}

fn lists(root: &Path) -> Vec<(String, Vec<Value>)> {
    let Ok(entries) = fs::read_dir(root.join(".ready")) else { return Vec::new() };
    let mut lists: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.ends_with('\n'));
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), lines)
        })
        .collect();
    lists.sort_by(|one, other| one.0.cmp(&other.0));
    lists
}

fn sha256(path: &Path) -> String {
    let said = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_list_names_what_each_run_placed_and_nothing_else() {
    let firm = firm_with("");
    let root = firm.path("staging");
    firm.deliver_export("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com"));
    firm.deliver_export("ACME-20261118.xml.pgp", &day(2, "wei@contoso.com"));
    let run = firm.ingest(0)["run"].as_str().unwrap().to_owned();
    let found = lists(&root);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, format!("{run}.jsonl"));
    assert_eq!(found[0].1.len(), 4, "two exports of one run, an item in two mailboxes each: {found:?}");
    let standing = staged(&root);
    assert_eq!(standing.len(), 4);
    for line in &found[0].1 {
        let of = |key: &str| line[key].as_str().unwrap();
        let path = root.join(of("path"));
        assert_eq!(of("sha256"), sha256(&path));
        assert_eq!(of("path").split('/').next(), Some(of("mailbox")));
        let eml = fs::read(&path).unwrap();
        assert_eq!(
            Some(format!("<{}>", header(&eml, "Message-ID").unwrap().trim_matches(['<', '>']))),
            Some(of("message_id").to_owned())
        );
        assert_eq!(line.as_object().unwrap().len(), 4);
    }
    // A run that places nothing has no list; one that adds copies names those alone.
    firm.ingest(0);
    assert_eq!(lists(&root).len(), 1);
    firm.map("late.csv", "ImId,Mailbox\nx,x@contoso.com\n");
    firm.replay(0);
    assert_eq!(lists(&root).len(), 1);
    assert_eq!(fs::metadata(root.join(".ready")).unwrap().permissions().mode() & 0o777, 0o750);
}

#[test]
fn without_a_group_what_an_operator_arranged_stays() {
    let firm = firm_with("");
    let root = firm.path("staging");
    firm.deliver_export("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com"));
    firm.ingest(0);
    let folder = root.join("amy@contoso.com/ICE Chat");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2775)).unwrap();
    firm.deliver_export("ACME-20261118.xml.pgp", &day(2, "amy@contoso.com"));
    firm.ingest(0);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o2775);
    assert_eq!(staged(&root).len(), 4);
}

#[test]
fn a_group_that_is_not_there_is_named() {
    let firm = firm_with("group = \"no-such-group-here\"\n");
    firm.deliver_export("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com"));
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("staging.group: this machine has no group no-such-group-here"), "{}", said.err);
    assert!(staged(&firm.path("staging")).is_empty());
}

#[test]
fn where_it_may_the_program_gives_staging_to_the_group_itself() {
    let Some((name, number)) = another_group() else { return eprintln!("no second group: not tried") };
    let firm = firm_with("");
    let root = firm.path("staging");
    firm.deliver_export("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com"));
    firm.ingest(0);
    // What was placed before there was a group stays readable for the old one alone: its importer knows it.
    let settings = |more: &str| Settings {
        staging: format!("group = \"{name}\"\n{more}"),
        mailboxes: "domains = [\"contoso.com\"]\n".to_owned(),
        ..Settings::default()
    };
    firm.configure(&settings(""));
    let said = firm.run(&["ingest"]).expect(1);
    assert!(said.err.contains("what stands there is another group's"), "{}", said.err);
    assert!(firm.run(&["check", "--offline"]).expect(1).out.contains(&format!("chgrp -R {name} ")));
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    firm.deliver_export("ACME-20261118.xml.pgp", &day(2, "amy@contoso.com"));
    let stricter = |arguments: &[&str]| {
        let command = firm.command(arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0077; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        Said::from(&shell.output().unwrap())
    };
    stricter(&["ingest"]).expect(0);
    assert_is_the_groups(&root, number, 0o2750);
    firm.configure(&settings("importer_may_delete = true\n"));
    firm.deliver_export("ACME-20261119.xml.pgp", &day(3, "amy@contoso.com"));
    stricter(&["ingest"]).expect(0);
    assert_is_the_groups(&root, number, 0o2770);
}

/// Who runs the service, and who imports: numbers that belong to nobody here.
const SERVICE: &str = "65441";
const IMPORTER: &str = "65442";

/// A firm's folder as a service's that runs in the shipped unit's sandbox, as far as it concerns staging: its user has no
/// other group, groups are not mapped (`PrivateUsers=`), and no set-group-ID bit can be set (`RestrictSUIDSGID=`).
struct Sandboxed {
    firm: Firm,
    program: PathBuf,
}

impl Sandboxed {
    fn new(settings: &Settings) -> Self {
        let firm = Firm::with(settings);
        let program = firm.path("icechatd");
        fs::copy(env!("CARGO_BIN_EXE_icechatd"), &program).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/sandbox.py"), firm.path("sandbox.py"))
            .unwrap();
        fs::set_permissions(firm.dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let sandboxed = Self { firm, program };
        sandboxed.shell(&format!("chown -R {SERVICE}:{SERVICE} {}", sandboxed.firm.dir.path().display()));
        sandboxed
    }

    /// As root.
    fn shell(&self, script: &str) {
        let said = Command::new("sh").args(["-euc", script]).current_dir(self.firm.dir.path()).output().unwrap();
        assert!(said.status.success(), "{script}: {}", String::from_utf8_lossy(&said.stderr));
    }

    fn ingest(&self, name: &str, xml: &str) -> Said {
        let file = self.firm.path(name);
        fs::write(&file, self.firm.encrypt(xml)).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={SERVICE}"), &format!("--regid={SERVICE}"), "--clear-groups"])
            .args(["unshare", "--user", &format!("--map-user={SERVICE}"), &format!("--map-group={SERVICE}")])
            .arg("/usr/bin/python3")
            .args([
                self.firm.path("sandbox.py"),
                self.program.clone(),
                "--config".into(),
                self.firm.path("config.toml"),
            ])
            .arg("ingest")
            .arg(&file)
            .env_remove("CREDENTIALS_DIRECTORY")
            .current_dir("/");
        Said::from(&command.output().unwrap())
    }

    /// What the importer, a member of the group, may do.
    fn may(&self, group: u32, script: &str) -> bool {
        let user = [format!("--reuid={IMPORTER}"), format!("--regid={IMPORTER}"), format!("--groups={group}")];
        let mut command = Command::new("setpriv");
        command.args(user).args(["sh", "-euc", script]).current_dir(self.firm.path("staging"));
        command.output().unwrap().status.success()
    }
}

#[test]
fn within_the_units_sandbox_the_group_is_inherited() {
    let (true, Some((name, number))) = (is_root(), another_group()) else {
        return eprintln!("only root can play the service and the importer: not tried");
    };
    let settings = |more: &str| Settings {
        staging: format!("group = \"{name}\"\n{more}"),
        mailboxes: "domains = [\"contoso.com\"]\n".to_owned(),
        ..Settings::default()
    };
    let service = Sandboxed::new(&settings(""));
    let root = service.firm.path("staging");

    // A root that is not the group's cannot be made so from within; the line says what root has to do, and that is enough.
    service.shell(&format!("install -d -o {SERVICE} -g {SERVICE} -m 0750 staging"));
    let said = service.ingest("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com")).expect(1);
    let (_, mend) = said.err.split_once("as root, once: ").unwrap_or_else(|| panic!("{}", said.err));
    let mend = mend.lines().next().unwrap().rsplit_once(": ").unwrap().0.to_owned();
    service.shell(&mend);
    // As on a disk of its own: nobody but root may enter.
    service.shell("install -d -m 0700 staging/lost+found");
    service.ingest("ACME-20261117.xml.pgp", &day(1, "amy@contoso.com")).expect(0);
    fs::remove_dir(root.join("lost+found")).unwrap();
    assert_is_the_groups(&root, number, 0o2750);
    assert!(service.may(number, "cat */'ICE Chat'/*.eml .ready/*.jsonl > /dev/null"));
    assert!(!service.may(number, "rm -f amy@contoso.com/'ICE Chat'/*.eml"));
    assert!(!service.may(65500, "ls"), "others see nothing");

    // Who may delete is changed later: likewise.
    service.firm.configure(&settings("importer_may_delete = true\n"));
    let said = service.ingest("ACME-20261118.xml.pgp", &day(2, "amy@contoso.com")).expect(1);
    let (_, mend) = said.err.split_once("as root, once: ").unwrap_or_else(|| panic!("{}", said.err));
    service.shell(mend.lines().next().unwrap().rsplit_once(": ").unwrap().0);
    service.ingest("ACME-20261119.xml.pgp", &day(3, "wei@contoso.com")).expect(0);
    assert_is_the_groups(&root, number, 0o2770);
    assert_eq!(staged(&root).len(), 6);
    assert!(!service.may(number, "rm -f .ready/*.jsonl"), "lists are the program's");
    assert!(!service.may(number, "mv wei@contoso.com away"), "and so are mailboxes");
    assert!(service.may(number, "rm -f */'ICE Chat'/*.eml"));
    assert!(staged(&root).is_empty());
    service.ingest("ACME-20261120.xml.pgp", &day(4, "wei@contoso.com")).expect(0);
    assert_eq!(staged(&root).len(), 2);
}
