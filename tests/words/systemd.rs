//! What ships in `systemd/`, held against systemd itself: units without a fault, exposure no higher than promised, the two
//! units alike but for what makes one of them a template, and folders with the modes that the documents name.
//!
//! It needs `systemd-analyze`, and no running systemd: everything is read from files in a folder of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const UNITS: [&str; 2] = ["icechatd.service", "icechatd@.service"];
const PROGRAM: &str = "/usr/bin/icechatd";

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

/// The lines that systemd reads.
fn directives(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What a drop-in would say if every line that is commented out counted, with words in capitals filled in.
fn filled_in(name: &str) -> String {
    let text = shipped(name).replace("\n#IPAddress", "\nIPAddress").replace("\n#LoadCredential", "\nLoadCredential");
    ["SITE", "MAIL", "WEBHOOK", "PING"]
        .iter()
        .fold(text, |text, who| text.replace(&format!("{who}_ADDRESS"), "203.0.113.0/24 2001:db8::7"))
}

/// A folder with both units, which start the program that was built (none is installed), and with these drop-ins for both.
fn unit_folder(dropins: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = shipped(unit);
        assert_eq!(text.matches(PROGRAM).count(), 1, "{unit}");
        fs::write(folder.path().join(unit), text.replace(PROGRAM, env!("CARGO_BIN_EXE_icechatd"))).unwrap();
        let beside = folder.path().join(format!("{unit}.d"));
        fs::create_dir(&beside).unwrap();
        for name in dropins {
            fs::write(beside.join(name), filled_in(name)).unwrap();
        }
    }
    folder
}

fn analyze(arguments: &[&str], folder: &TempDir, unit: &str) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(folder.path().join(unit)).env("LC_ALL", "C").env("SYSTEMD_PAGER", "");
    command.output().expect("systemd-analyze is of the package systemd; .ci/setup installs it")
}

fn words(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}

/// What `systemd-analyze verify` says of the unit itself; what other units of this machine lack is not our matter.
fn faults(folder: &TempDir, unit: &str) -> Option<String> {
    // Man pages are looked for where the package puts them, which the package's own test does.
    let said = analyze(&["verify", "--man=no", "--recursive-errors=no"], folder, unit);
    (!said.status.success()).then(|| words(&said))
}

fn exposure(folder: &TempDir, unit: &str, at_most: &str) -> Result<(), String> {
    let said = analyze(&["security", "--offline=true", &format!("--threshold={at_most}")], folder, unit);
    assert!(words(&said).contains("Overall exposure level for"), "{}", words(&said));
    if said.status.success() { Ok(()) } else { Err(words(&said)) }
}

const DROPINS: [&[&str]; 5] = [
    &[],
    &["addresses.conf"],
    &["credentials.conf"],
    &["credentials-encrypted.conf"],
    &["addresses.conf", "credentials-encrypted.conf"],
];

#[test]
fn units_and_drop_ins_are_without_a_fault() {
    for dropins in DROPINS {
        let folder = unit_folder(dropins);
        for unit in UNITS {
            assert_eq!(faults(&folder, unit), None, "{unit} with {dropins:?}");
        }
    }
    // The check itself sees a misspelt line, a faulty drop-in, and a program that is not there.
    for (file, from, to) in [
        ("icechatd.service", "PrivateTmp=", "PrivateTemp="),
        ("icechatd.service", "WatchdogSec=3min", "WatchdogSec=long"),
        ("icechatd@.service.d/addresses.conf", "203.0.113.0/24", "SITE_ADDRESS"),
        ("icechatd@.service", env!("CARGO_BIN_EXE_icechatd"), "/usr/bin/no-icechatd"),
    ] {
        let folder = unit_folder(&["addresses.conf"]);
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let unit = UNITS.into_iter().find(|unit| file.starts_with(unit)).unwrap();
        assert!(faults(&folder, unit).is_some(), "{file} with {to} passed");
    }
}

/// systemd counts in tenths: 11 is an exposure of 1.1.
#[test]
fn exposure_is_no_higher_than_promised() {
    for unit in UNITS {
        for dropins in DROPINS {
            let at_most = if dropins.contains(&"addresses.conf") { "10" } else { "11" };
            exposure(&unit_folder(dropins), unit, at_most).unwrap_or_else(|said| panic!("{unit} {dropins:?}: {said}"));
        }
        let folder = unit_folder(&[]);
        assert!(exposure(&folder, unit, "10").is_err(), "{unit}: better than the documents say");
        let weaker = fs::read_to_string(folder.path().join(unit)).unwrap().replace("ProtectHome=yes\n", "");
        fs::write(folder.path().join(unit), weaker).unwrap();
        assert!(exposure(&folder, unit, "11").is_err(), "{unit}: a lost line is not seen");
    }
}

/// Addresses are the site's: what allows everybody scores as well as what protects.
#[test]
fn no_unit_has_a_meaningless_address_list() {
    for unit in UNITS {
        assert!(!shipped(unit).contains("IPAddress"), "{unit}");
    }
    let addresses = shipped("addresses.conf");
    assert_eq!(
        directives(&addresses),
        [
            "[Service]",
            "IPAddressDeny=any",
            "IPAddressAllow=SITE_ADDRESS",
            "IPAddressAllow=127.0.0.53",
            "IPAddressAllow=127.0.0.1"
        ]
    );
}

#[test]
fn the_template_is_the_unit_with_a_firm_in_its_paths() {
    let (one, many) = (shipped(UNITS[0]), shipped(UNITS[1]));
    let of_a_firm: Vec<String> = directives(&one)
        .into_iter()
        .map(|line| match line {
            "Description=Archives ICE Chat exports" => format!("{line} of %i"),
            "ExecStart=/usr/bin/icechatd run" => format!("{line} --config /etc/icechatd/%i/config.toml"),
            "StateDirectory=icechatd" => format!("{line}-%i"),
            "ReadWritePaths=-/etc/icechatd/mapping" => "ReadWritePaths=-/etc/icechatd/%i/mapping".to_owned(),
            line => line.to_owned(),
        })
        .collect();
    assert_eq!(directives(&many), of_a_firm);
    assert_eq!(many.matches("%i").count(), 4);

    let folders = |name: &str| -> Vec<String> {
        directives(&shipped(name)).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let of_a_firm: Vec<String> = folders("icechatd.tmpfiles.conf")
        .iter()
        .map(|line| line.replace("/etc/icechatd", "/etc/icechatd/FIRM").replace("/lib/icechatd", "/lib/icechatd-FIRM"))
        .collect();
    assert_eq!(folders("firm.tmpfiles.conf"), of_a_firm);
}

/// Type, the groups and the folders that the design promises to an importer and to colleagues.
#[test]
fn the_units_say_what_the_program_relies_on() {
    for unit in UNITS {
        let text = shipped(unit);
        for line in [
            "Type=notify",
            "User=icechatd",
            "Group=icechatd",
            "StateDirectoryMode=0711",
            "UMask=0077",
            "KillMode=mixed",
            "RestartPreventExitStatus=2 78",
            "WatchdogSec=3min",
        ] {
            assert!(directives(&text).contains(&line), "{unit}: {line}");
        }
    }
    let folders = shipped("icechatd.tmpfiles.conf");
    let made: Vec<Vec<&str>> = directives(&folders).iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        made,
        [
            ["d", "/etc/icechatd", "0751", "icechatd", "icechatd", "-"],
            ["d", "/etc/icechatd/mapping", "2770", "icechatd", ":icechat-mapping", "-"],
            ["d", "/var/lib/icechatd", "0711", "icechatd", "icechatd", "-"],
            ["d", "/var/lib/icechatd/state", "0700", "icechatd", "icechatd", "-"],
            ["d", "/var/lib/icechatd/staging", "2750", "icechatd", ":icechat-import", "-"],
        ]
    );
}
