//! What an admin sends to ICE: public keys, the address we come from, and the words to go with them (contract 3).

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::durable::{self, Disk};

use super::{KeyFile, KeysError, PgpKey, Shown, SshKey, show};

/// What the hand-outs are made from.
#[derive(Debug, Clone, Copy)]
pub struct HandOut<'a> {
    /// `site.firm_code`.
    pub firm_code: Option<&'a str>,
    /// `site.egress_ip`.
    pub egress_ip: &'a [IpAddr],
    /// The active SSH keys.
    pub ssh: &'a [KeyFile],
    /// The active OpenPGP keys, newest first.
    pub pgp: &'a [KeyFile],
}

/// What was written, and what the letter still lacks.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Settings that are empty; the letter has a gap where they belong.
    pub missing: Vec<&'static str>,
}

/// Writes the hand-outs of contract 3 into `folder`, which is made where it is missing; earlier ones are replaced. All
/// of it is public. No passphrase is needed, except for SSH keys in a format that hides its public part.
///
/// # Errors
/// Where a key cannot be read or a file not be written.
pub fn export(folder: &Path, hand_out: HandOut<'_>, passphrases: &[impl AsRef<[u8]>]) -> Result<Exported, KeysError> {
    let Shown { ssh, pgp } = show(hand_out.ssh, hand_out.pgp, passphrases)?;
    Disk::open_or_make(folder, 0o755)?;
    let contents = [
        ("ssh-public-key.pub", lines(ssh.iter().map(|key| key.public_line.as_str()))),
        ("pgp-public-key.asc", pgp.iter().map(|key| key.certificate.as_str()).collect()),
        ("egress-ip.txt", addresses(hand_out.egress_ip)),
        ("README.txt", letter(hand_out, &ssh, &pgp)),
    ];
    let mut files = Vec::new();
    for (name, content) in contents {
        let path = folder.join(name);
        durable::replace(&path, 0o644, content.as_bytes())?;
        files.push(path);
    }
    Ok(Exported { files, missing: missing(hand_out) })
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
    let mut text = String::from("To ICE Chat support: automated download of our chat exports by SFTP\n\n");
    let firm_code = hand_out.firm_code.unwrap_or("(to be named)");
    // Writing to a string cannot fail.
    let _ = write!(text, "Firm code (SFTP user name)\n    {firm_code}\n\nWe connect from\n");
    text.extend(addresses(hand_out.egress_ip).lines().map(|line| format!("    {line}\n")));
    text.push_str("\nPlease register these SSH public keys for our login (ssh-public-key.pub)\n");
    text.extend(ssh.iter().map(|key| format!("    {} {}\n", key.algorithm, key.fingerprint)));
    text.push_str("\nPlease encrypt our exports to the first of these OpenPGP certificates (pgp-public-key.asc)\n");
    text.extend(pgp.iter().map(certificate));
    text.push_str(QUESTIONS);
    text
}

fn certificate(key: &PgpKey) -> String {
    let day = |time: jiff::Timestamp| time.strftime("%Y-%m-%d").to_string();
    let until = key.expires.map_or_else(String::new, |time| format!(", valid until {}", day(time)));
    let user_id = key.user_id.as_deref().unwrap_or("no user id");
    format!("    {}\n    {user_id}, made {}{until}\n", key.fingerprint, day(key.created))
}

const QUESTIONS: &str = "
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
10. how you announce new host keys, signing keys and changes of the format

We ask you to compare the fingerprints above with us by telephone before you put the keys into use.
";
