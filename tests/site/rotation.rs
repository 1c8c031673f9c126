//! Keys that take the place of others: rotated, retired and prolonged, as ICE's gpg and sshd see it.

use crate::support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::firm::{Firm, Said, Settings, export, file, message};
use support::gpg::{Encrypt, Gpg};

fn config(firm: &Firm) -> String {
    fs::read_to_string(firm.path("config.toml")).unwrap()
}

/// Replaces text in the configuration.
fn edit(firm: &Firm, from: &str, to: &str) {
    let text = config(firm);
    assert!(text.contains(from), "{text}");
    fs::write(firm.path("config.toml"), text.replace(from, to)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Hands out to a folder of this name, and lets the site's gpg know.
fn hand_out(firm: &Firm, folder: &str) -> String {
    firm.run(&["keys", "export", firm.path(folder).to_str().unwrap()]).expect(0);
    firm.gpg.import(&fs::read(firm.path(folder).join("pgp-public-key.asc")).unwrap());
    fs::read_to_string(firm.path(folder).join("README.txt")).unwrap()
}

fn encrypted_to(firm: &Firm, fingerprint: &str, id: &str) -> Vec<u8> {
    let xml = export(&message(id, "amy@contoso.com", &[], "hello"));
    firm.encrypt_how(&xml, &Encrypt { recipients: &[fingerprint], ..Encrypt::default() })
}

/// The whole life of a change of keys, as an admin and ICE go through it.
#[test]
fn old_and_new_keys_are_in_use_together_until_the_old_ones_are_retired() {
    let firm = Firm::with(&Settings { keys: "pgp = \"pgp-key\"  # made in 2024\n".to_owned(), ..Settings::default() });
    fs::set_permissions(firm.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = config(&firm);
    let old = firm.recipient();
    let nobody = message("m-0", "", &[], "held").replace("<SenderEmail></SenderEmail>", "<ImId>adams17</ImId>");
    firm.deliver("day-0.pgp", &firm.encrypt(&export(&nobody)));
    firm.ingest(3);

    let made = firm.run(&["keys", "rotate", "--json"]).expect(0).json();
    assert_eq!((&made["made"][0]["name"], &made["made"][1]["name"]), (&"ssh-key-2".into(), &"pgp-key-2".into()));
    let keys = "pgp = [\"pgp-key-2\", \"pgp-key\"]  # made in 2024\nssh = [\"ssh-key-2\", \"ssh-key\"]\n";
    assert_eq!(config(&firm), before.replace("pgp = \"pgp-key\"  # made in 2024\n", keys));
    assert_eq!(mode(&firm.path("config.toml")), 0o640);
    assert_eq!((mode(&firm.path("ssh-key-2")), mode(&firm.path("pgp-key-2"))), (0o600, 0o600));
    let new = firm.recipient();
    assert_ne!(new, old);

    // Only the newest is handed out, and the letter says what it replaces.
    let letter = hand_out(&firm, "second");
    assert!(letter.contains(&format!("in place of\n    {old}\n")), "{letter}");
    let public = fs::read_to_string(firm.path("second/ssh-public-key.pub")).unwrap();
    let shown = firm.run(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(public.trim_end(), shown["ssh"][0]["public_line"]);
    assert!(letter.contains(shown["ssh"][1]["fingerprint"].as_str().unwrap()));

    // The site knows only the old SSH key yet, then only the new one; ICE encrypts now to this key, now to that one.
    firm.deliver("day-1.pgp", &encrypted_to(&firm, &old, "m-1"));
    firm.deliver("day-2.pgp", &encrypted_to(&firm, &new, "m-2"));
    assert_eq!(firm.ingest(3)["items"]["staged"], 2);
    firm.sshd.authorize(&public);
    firm.deliver("day-3.pgp", &encrypted_to(&firm, &old, "m-3"));
    assert_eq!(firm.ingest(3)["items"]["staged"], 1);
    assert!(firm.sshd.log().contains(shown["ssh"][0]["fingerprint"].as_str().unwrap()));

    let said = firm.run(&["keys", "retire", "pgp-key"]).expect(0);
    assert!(said.out.contains("Never delete its file"), "{said:?}");
    let said = firm.run(&["keys", "retire", "ssh-key"]).expect(0);
    assert!(said.out.contains("delete it, and its LoadCredential= line"), "{said:?}");
    let keys = "pgp = [\"pgp-key-2\"]  # made in 2024\nssh = [\"ssh-key-2\"]\nretired = [\"pgp-key\"]\n";
    assert!(config(&firm).contains(keys), "{}", config(&firm));
    assert!(firm.path("ssh-key").exists() && firm.path("pgp-key").exists());
    let shown = firm.run(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(
        (&shown["pgp"][0]["fingerprint"], &shown["retired"][0]["fingerprint"]),
        (&new.clone().into(), &old.clone().into())
    );
    assert_eq!(shown["unused"][0]["file"], firm.path("ssh-key").to_str().unwrap());

    // A new export for the retired key is held and says so; a kept original is opened with it.
    firm.deliver("day-4.pgp", &encrypted_to(&firm, &old, "m-4"));
    let report = firm.ingest(3);
    let reason = file(&report, "day-4.pgp")["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("encrypted to {old}, which is retired")), "{reason}");
    let said = firm.run(&["check", "--json"]).expect(3).json();
    let newest = said["checks"].as_array().unwrap().iter().find(|line| line["name"] == "newest export").unwrap();
    assert!(newest["level"] == "warning" && newest["text"].as_str().unwrap().contains("which is retired"), "{newest}");
    firm.map("desk.csv", "ImId,Mailbox\nadams17,adams@contoso.com\n");
    assert_eq!(firm.replay(3)["items"]["staged"], 1);

    // As the reason says, it is taken once the key is in use again.
    edit(&firm, "retired = [\"pgp-key\"]\n", "");
    edit(&firm, "[\"pgp-key-2\"]", "[\"pgp-key-2\", \"pgp-key\"]");
    assert_eq!(firm.ingest(0)["items"]["staged"], 1);
}

#[test]
fn one_kind_is_rotated_alone_and_never_onto_a_file_that_stands() {
    let firm = Firm::new();
    fs::write(firm.path("ssh-key-2"), "mine").unwrap();
    firm.run(&["keys", "rotate", "--ssh"]).expect(0);
    assert!(config(&firm).contains("[keys]\nssh = [\"ssh-key-3\", \"ssh-key\"]\n"), "{}", config(&firm));
    assert_eq!(fs::read(firm.path("ssh-key-2")).unwrap(), b"mine");
    let said = firm.run(&["keys", "rotate", "--pgp"]).expect(0);
    assert!(said.out.contains("keys export DIR") && said.err.is_empty(), "{said:?}");
    firm.run(&["keys", "rotate", "--pgp"]).expect(0);
    assert!(config(&firm).contains("pgp = [\"pgp-key-3\", \"pgp-key-2\", \"pgp-key\"]\n"), "{}", config(&firm));
    firm.run(&["keys", "rotate", "--pgp", "--rsa"]).expect(2);
    hand_out(&firm, "second");
    firm.deliver_export("day.pgp", &export(&message("m-1", "amy@contoso.com", &[], "hello")));
    firm.ingest(0);
}

/// Where the site needed RSA before, it will again.
#[test]
fn an_rsa_key_is_followed_by_one() {
    let firm = Firm::new();
    fs::remove_file(firm.path("ssh-key")).unwrap();
    support::sshd::keygen(&firm.path("ssh-key"), &["-t", "rsa", "-b", "2048"], "");
    firm.run(&["keys", "rotate", "--ssh"]).expect(0);
    let shown = firm.run(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(shown["ssh"][0]["algorithm"], "ssh-rsa");
    let listed = Command::new("ssh-keygen").args(["-l", "-f"]).arg(firm.path("ssh-key-2")).output().unwrap();
    assert!(listed.stdout.starts_with(b"4096 "), "{listed:?}");
}

#[test]
fn what_cannot_be_retired_changes_nothing() {
    let firm = Firm::new();
    let before = config(&firm);
    for (name, words) in [
        ("ssh-key", "the last of keys.ssh; icechatd keys rotate --ssh"),
        ("pgp-key", "the last of keys.pgp; icechatd keys rotate --pgp"),
        ("other", "is neither in keys.ssh nor in keys.pgp; in use: ssh-key, pgp-key"),
    ] {
        let said = firm.run(&["keys", "retire", name]).expect(1);
        assert!(said.err.contains(words) && said.err.lines().count() == 1, "{said:?}");
    }
    assert_eq!(config(&firm), before);
    edit(&firm, "[keys]\n", "[keys]\npgp = [\"pgp-key-2\", \"pgp-key\"]\nretired = \"pgp-key-0\"\n");
    let said = firm.run(&["keys", "retire", "pgp-key-0"]).expect(1);
    assert!(said.err.contains("is retired already"), "{said:?}");
    firm.run(&["keys", "retire", "pgp-key"]).expect(0);
    assert!(config(&firm).contains("pgp = [\"pgp-key-2\"]\nretired = [\"pgp-key\", \"pgp-key-0\"]\n"));
}

/// Runs a verb as somebody who may not write to the folder of the configuration.
fn unprivileged(firm: &Firm, arguments: &[&str]) -> Said {
    let mut command = firm.command(arguments);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    Said::from(&command.output().unwrap())
}

#[test]
fn where_the_configuration_cannot_be_written_the_line_is_said() {
    let firm = Firm::new();
    let own = firm.path("own");
    fs::create_dir(&own).unwrap();
    for name in ["ssh-key", "pgp-key"] {
        fs::rename(firm.path(name), own.join(name)).unwrap();
    }
    edit(&firm, "[keys]\n", "[keys]\nssh = \"own/ssh-key\"\npgp = \"own/pgp-key\"\n");
    if rustix::process::geteuid().is_root() {
        for path in [own.clone(), own.join("ssh-key"), own.join("pgp-key")] {
            chown(path, Some(65_534), Some(65_534)).unwrap();
        }
    }
    fs::set_permissions(firm.dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = config(&firm);
    let said = unprivileged(&firm, &["keys", "rotate"]).expect(1);
    let line = "ssh = [\"own/ssh-key-2\", \"own/ssh-key\"]  and  pgp = [\"own/pgp-key-2\", \"own/pgp-key\"]";
    assert!(said.err.contains(line) && said.err.contains("not in use: write into [keys] of"), "{said:?}");
    assert!(own.join("ssh-key-2").exists() && own.join("pgp-key-2").exists());
    assert_eq!(config(&firm), before);
    // And what was said is right.
    fs::set_permissions(firm.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    edit(&firm, "ssh = \"own/ssh-key\"\npgp = \"own/pgp-key\"\n", &format!("{}\n", line.replace("  and  ", "\n")));
    firm.run(&["keys", "show"]).expect(0);
    fs::set_permissions(firm.dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let said = unprivileged(&firm, &["keys", "retire", "own/pgp-key"]).expect(1);
    assert!(said.err.contains("retired = [\"own/pgp-key\"] into [keys]"), "{said:?}");
    fs::set_permissions(firm.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn with_credentials_of_systemd_the_line_for_the_unit_is_said() {
    let firm = Firm::new();
    let folder = firm.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::rename(firm.path("pgp-key"), folder.join("pgp-key")).unwrap();
    let before = fs::read(folder.join("pgp-key")).unwrap();
    let run = |arguments: &[&str]| {
        Said::from(&firm.command(arguments).env("CREDENTIALS_DIRECTORY", &folder).output().unwrap())
    };
    let said = run(&["keys", "extend", firm.path("out").to_str().unwrap()]).expect(1);
    assert!(said.err.contains("LoadCredential=pgp-key:"), "{said:?}");
    assert_eq!(fs::read(folder.join("pgp-key")).unwrap(), before);
    let said = run(&["keys", "rotate", "--pgp"]).expect(0);
    let line = format!("LoadCredential=pgp-key-2:{}", firm.path("pgp-key-2").display());
    assert!(said.err.contains(&line), "{said:?}");
    let shown = run(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(shown["pgp"].as_array().unwrap().len(), 2);
}

/// The end that gpg sees, in Unix seconds: the primary key's and the encryption subkey's.
fn ends(gpg: &Gpg, fingerprint: &str) -> Vec<i64> {
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys", fingerprint], b"")).unwrap();
    let keys = listing.lines().filter(|line| line.starts_with("pub:") || line.starts_with("sub:"));
    keys.map(|line| line.split(':').nth(6).unwrap().parse().unwrap()).collect()
}

#[test]
fn an_expired_protected_key_is_prolonged_and_gpg_encrypts_to_it_again() {
    let past = "--faked-system-time=20240101T000000";
    let own = Gpg::new();
    let make = [past, "--passphrase", "secret words", "--quick-gen-key", "own", "future-default", "default", "1y"];
    own.run(&make, b"");
    let fingerprint = own.fingerprint("own");
    // A signing subkey has to countersign.
    own.run(&[past, "--passphrase", "secret words", "--quick-add-key", &fingerprint, "ed25519", "sign", "1y"], b"");
    let firm = Firm::new();
    edit(&firm, "[keys]\n", "[keys]\npassphrases = \"words\"\n");
    fs::write(firm.path("pgp-key"), own.export_secret("own", "secret words")).unwrap();
    fs::write(firm.path("words"), "secret words\n").unwrap();
    fs::set_permissions(firm.path("words"), fs::Permissions::from_mode(0o600)).unwrap();
    hand_out(&firm, "first");
    let how = ["--encrypt", "-r", &fingerprint];
    assert!(!firm.gpg.try_run(&how, b"chat").status.success(), "gpg must refuse an expired certificate");
    let before = fs::read(firm.path("pgp-key")).unwrap();

    let out = firm.path("second");
    let said = firm.run(&["keys", "extend", "--until", "2036-05-06", out.to_str().unwrap()]).expect(0);
    assert!(said.out.contains(&fingerprint) && said.out.contains("2036-05-06T23:59:59Z (was 2024-12-31"), "{said:?}");
    assert_eq!(mode(&firm.path("pgp-key")), 0o600);
    // Over the expired one, as ICE imports it.
    firm.gpg.import(&fs::read(out.join("pgp-public-key.asc")).unwrap());
    assert_eq!(ends(&firm.gpg, &fingerprint), [2_093_731_199; 3]);
    firm.deliver("day.pgp", &encrypted_to(&firm, &fingerprint, "m-1"));
    assert_eq!(firm.ingest(0)["items"]["staged"], 1);
    let late = ["--faked-system-time=20360506T120000", "--encrypt", "-r", &fingerprint];
    let ciphertext = firm.gpg.run(&late, b"chat");
    let later = ["--faked-system-time=20360507T120000", "--encrypt", "-r", &fingerprint];
    assert!(!firm.gpg.try_run(&later, b"chat").status.success());

    // Still protected; what it was before still opens what comes now, and so does what it is now.
    let shown = |firm: &Firm| firm.run(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(shown(&firm)["pgp"][0]["protection"], "opened");
    fs::write(firm.path("words"), "other words\n").unwrap();
    assert_eq!(shown(&firm)["pgp"][0]["protection"], "locked");
    let said = firm.run(&["keys", "extend", "--years", "20", out.to_str().unwrap()]).expect(1);
    assert!(said.err.contains("no passphrase of keys.passphrases opens"), "{said:?}");
    let after = fs::read(firm.path("pgp-key")).unwrap();
    for secret in [before, after] {
        let gpg = Gpg::new();
        gpg.run(&["--passphrase", "secret words", "--import"], &secret);
        assert_eq!(gpg.run(&["--passphrase", "secret words", "--decrypt"], &ciphertext), b"chat");
    }
}

#[test]
fn our_own_key_is_prolonged_and_the_old_secret_opens_what_is_encrypted_to_the_new_certificate() {
    let firm = Firm::new();
    let fingerprint = firm.recipient();
    let before = fs::read(firm.path("pgp-key")).unwrap();
    let out = firm.path("out");
    let facts = firm.run(&["keys", "extend", "--years", "5", "--json", out.to_str().unwrap()]).expect(0).json();
    assert_eq!(facts["fingerprint"], fingerprint.as_str());
    assert!(facts["expires"].as_str().unwrap() > facts["expired_before"].as_str().unwrap(), "{facts}");
    firm.gpg.import(&fs::read(out.join("pgp-public-key.asc")).unwrap());
    let until: jiff::Timestamp = facts["expires"].as_str().unwrap().parse().unwrap();
    assert_eq!(ends(&firm.gpg, &fingerprint), [until.as_second(); 2]);
    firm.deliver("day.pgp", &encrypted_to(&firm, &fingerprint, "m-1"));
    fs::write(firm.path("pgp-key"), before).unwrap();
    assert_eq!(firm.ingest(0)["items"]["staged"], 1);
}

#[test]
fn what_cannot_be_prolonged_is_left_as_it_is() {
    let firm = Firm::new();
    edit(&firm, "[keys]\n", "[keys]\nretired = [\"pgp-key-0\"]\n");
    let before = fs::read(firm.path("pgp-key")).unwrap();
    let out = firm.path("out");
    let docs = firm.path("docs");
    fs::create_dir(&docs).unwrap();
    fs::write(docs.join("README.txt"), "mine").unwrap();
    let (out, docs) = (out.to_str().unwrap(), docs.to_str().unwrap());
    for (arguments, code, words) in [
        (vec!["--until", "2001-01-01", out], 2, "that day is over"),
        (vec!["--until", "soon", out], 2, "invalid value"),
        (vec!["--years", "0", out], 2, "invalid value"),
        (vec!["--years", "3", "--until", "2036-01-01", out], 2, "cannot be used with"),
        (vec!["--years", "1", out], 1, "already, which is not sooner"),
        (vec!["--key", "pgp-key-0", out], 1, "is retired"),
        (vec!["--key", "other", out], 1, "is not in keys.pgp; in use: pgp-key"),
        (vec!["--years", "9", docs], 1, "is no letter of ours and would be overwritten"),
        (vec!["--years", "9", firm.path("config.toml").to_str().unwrap()], 1, "config.toml"),
    ] {
        let said = firm.run(&[&["keys", "extend"], arguments.as_slice()].concat()).expect(code);
        assert!(said.err.contains(words), "{said:?}");
    }
    assert_eq!(fs::read(firm.path("pgp-key")).unwrap(), before);
    assert_eq!(fs::read(firm.path("docs/README.txt")).unwrap(), b"mine");
    firm.run(&["keys", "export", docs]).expect(1);
    let two = [before.clone(), before].concat();
    fs::write(firm.path("pgp-key"), &two).unwrap();
    let said = firm.run(&["keys", "extend", "--years", "9", out]).expect(1);
    assert!(said.err.contains("split it"), "{said:?}");
    assert_eq!(fs::read(firm.path("pgp-key")).unwrap(), two);
}

#[test]
fn a_folder_with_other_files_is_used_and_said() {
    let firm = Firm::new();
    fs::write(firm.path("handouts/notes"), "mine").unwrap();
    let said = firm.run(&["keys", "export", firm.path("handouts").to_str().unwrap()]).expect(0);
    assert!(said.err.contains("holds other files too; send ICE only those"), "{said:?}");
}

#[test]
fn what_is_wrong_with_one_key_does_not_hide_the_others() {
    let firm = Firm::new();
    fs::remove_file(firm.path("ssh-key")).unwrap();
    fs::copy(firm.path("pgp-key"), firm.path("forgotten")).unwrap();
    let said = firm.run(&["keys", "show"]).expect(1);
    assert!(said.err.contains("keys.ssh: no credential ssh-key"), "{said:?}");
    assert!(said.out.contains("in use; made ") && said.out.contains("forgotten\n     NOT IN USE"), "{said:?}");
}
