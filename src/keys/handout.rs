//! What an admin sends to ICE: public keys, the address we come from, and the words to go with them (contract 3).

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::durable::{self, AtPath, Disk};

use super::{KeyFile, KeysError, PgpKey, Shown, SshKey, entra, show, show_entra};

/// What the hand-outs are made from.
#[derive(Debug, Clone, Copy)]
pub struct HandOut<'a> {
    /// `site.firm_code`.
    pub firm_code: Option<&'a str>,
    /// `site.egress_ip`.
    pub egress_ip: &'a [IpAddr],
    /// The SSH keys in use, newest first: the first is handed out, the others are what it replaces.
    pub ssh: &'a [KeyFile],
    /// The OpenPGP keys in use, newest first, likewise.
    pub pgp: &'a [KeyFile],
    /// The certificates for Microsoft Entra, newest first; none of this goes to ICE.
    pub entra: &'a [KeyFile],
}

/// What was written, and what the letter still lacks.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Settings that are empty; the letter has a gap where they belong.
    pub missing: Vec<&'static str>,
    /// Whether the folder holds anything else, which is not to be sent.
    pub others: bool,
}

/// The hand-outs, as contract 3 names them.
const FILES: [&str; 4] = ["ssh-public-key.pub", "pgp-public-key.asc", "egress-ip.txt", "README.txt"];

/// What an administrator of the tenant uploads: the newest certificate, and all of them as Microsoft Graph takes them.
const ENTRA: [&str; 2] = ["entra-certificate.cer", "entra-key-credentials.json"];

/// What the letter begins with, by which it is known again.
const SALUTATION: &str = "To ICE Chat support: ";

/// Writes the hand-outs of contract 3 into `folder`, which is made where it is missing; earlier ones are replaced. Of
/// each kind it is the newest key. All of it is public. No passphrase is needed, except for SSH keys in a format that hides its public part.
///
/// # Errors
/// Where a key cannot be read, a file not be written, or a `README.txt` of somebody else stands there.
pub fn export(folder: &Path, hand_out: HandOut<'_>, passphrases: &[impl AsRef<[u8]>]) -> Result<Exported, KeysError> {
    let Shown { ssh, pgp } = show(hand_out.ssh, hand_out.pgp, passphrases)?;
    let others = check_hand_out_folder(folder)?;
    let contents = [
        lines(ssh.first().map(|key| key.public_line.as_str()).into_iter()),
        pgp.first().map_or_else(String::new, |key| key.certificate.clone()),
        addresses(hand_out.egress_ip),
        letter(hand_out, &ssh, &pgp),
    ];
    let mut files = Vec::new();
    for (name, content) in FILES.into_iter().zip(contents) {
        let path = folder.join(name);
        durable::replace(&path, 0o644, content.as_bytes())?;
        files.push(path);
    }
    files.extend(export_entra(folder, hand_out.entra)?);
    Ok(Exported { files, missing: missing(hand_out), others })
}

fn export_entra(folder: &Path, files: &[KeyFile]) -> Result<Vec<PathBuf>, KeysError> {
    let certificates = show_entra(files)?;
    let Some(newest) = certificates.first() else { return Ok(Vec::new()) };
    let [certificate, credentials] = ENTRA.map(|name| folder.join(name));
    durable::replace(&certificate, 0o644, &newest.der)?;
    let json = format!("{:#}\n", entra::key_credentials(&certificates));
    durable::replace(&credentials, 0o644, json.as_bytes())?;
    Ok(vec![certificate, credentials])
}

/// Makes the folder for hand-outs where it is missing. Whether something else is in it, which is not to be sent.
///
/// # Errors
/// Where it cannot be made or read, or a `README.txt` stands there that is no letter of ours.
pub fn check_hand_out_folder(folder: &Path) -> Result<bool, KeysError> {
    Disk::open_or_make(folder, 0o755)?;
    let letter = folder.join("README.txt");
    let is_foreign = match fs::read(&letter) {
        Ok(bytes) => !bytes.starts_with(SALUTATION.as_bytes()),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if is_foreign {
        return Err(KeysError::Foreign { file: letter });
    }
    let mut others = false;
    for entry in fs::read_dir(folder).at(folder)? {
        others |= !FILES.iter().chain(&ENTRA).any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name));
    }
    Ok(others)
}

fn missing(hand_out: HandOut<'_>) -> Vec<&'static str> {
    let gaps = [
        (hand_out.firm_code.is_none(), "site.firm_code"),
        (hand_out.egress_ip.is_empty(), "site.egress_ip"),
        (hand_out.ssh.is_empty(), "keys.ssh"),
        (hand_out.pgp.is_empty(), "keys.pgp"),
    ];
    gaps.into_iter().filter_map(|(missing, name)| missing.then_some(name)).collect()
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn addresses(addresses: &[IpAddr]) -> String {
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if listed.is_empty() { "(to be named)\n".to_owned() } else { lines(listed.iter().map(String::as_str)) }
}

/// The letter to ICE.
fn letter(hand_out: HandOut<'_>, ssh: &[SshKey], pgp: &[PgpKey]) -> String {
    let mut text = format!("{SALUTATION}automated download of our chat exports by SFTP\n\n");
    let firm_code = hand_out.firm_code.unwrap_or("(to be named)");
    // Writing to a string cannot fail.
    let _ = write!(text, "Firm code (SFTP user name)\n    {firm_code}\n\nWe connect from\n");
    text.extend(addresses(hand_out.egress_ip).lines().map(|line| format!("    {line}\n")));
    text.push_str("\nPlease register this SSH public key for our login (ssh-public-key.pub)\n");
    text.extend(ssh.iter().take(1).map(|key| format!("    {} {}\n", key.algorithm, key.fingerprint)));
    let earlier = ssh.iter().skip(1).map(|key| key.fingerprint.as_str());
    text.push_str(&replaced(
        earlier,
        "Please keep the earlier key registered until we tell you that we use the new one.",
    ));
    text.push_str("\nPlease encrypt our exports to this OpenPGP certificate (pgp-public-key.asc)\n");
    text.extend(pgp.iter().take(1).map(certificate));
    let earlier = pgp.iter().skip(1).map(|key| key.fingerprint.as_str());
    text.push_str(&replaced(earlier, "Please tell us from which day on you encrypt to the new one alone."));
    text.push_str(QUESTIONS);
    text
}

/// During a rotation: what the new key takes the place of.
fn replaced<'a>(earlier: impl Iterator<Item = &'a str>, request: &str) -> String {
    let earlier: Vec<&str> = earlier.collect();
    if earlier.is_empty() {
        String::new()
    } else {
        format!("  in place of\n    {}\n  {request}\n", earlier.join("\n    "))
    }
}

fn certificate(key: &PgpKey) -> String {
    let day = |time: jiff::Timestamp| time.strftime("%Y-%m-%d").to_string();
    let until = key.expires.map_or_else(String::new, |time| format!(", valid until {}", day(time)));
    let user_id = key.user_id.as_deref().unwrap_or("no user id");
    format!("    {}\n    {user_id}, made {}{until}\n", key.fingerprint, day(key.created))
}

const QUESTIONS: &str = "  If you have it already, import it once more: its end may have moved.

Please encrypt with integrity protection (any current OpenPGP program does), one export in each file, and sign the
exports if you can; then please send us the certificate you sign with.

Please tell us
 1. the fingerprint of your SFTP server's host key (SHA256), and its address and port
 2. the format of the exports (its schema or documentation), with a sample
 3. how the files are named, and in which folder they are put
 4. in which time zone a day begins and ends, and at what time its export is there
 5. how long files stay on the server
 6. what we get for a day without chats: an export without messages, or no file
 7. how attachments are delivered
 8. your maintenance window
 9. how you announce that a day is issued again or corrected, and under which name
10. how you announce new host keys, signing keys and changes of the format, and how long before

We ask you to compare the fingerprints above with us by telephone before you put the keys into use.
";
