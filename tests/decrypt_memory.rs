//! However large an export, decrypting it takes the same little memory. Alone in its program: the kernel counts the
//! peak of all of it.

#![cfg(test)]

pub mod support;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use icechatd::decrypt::{Caps, Opener, Plaintext, SecretKeys, reread, survey};
use support::gpg::Gpg;

/// Bytes of plaintext; the environment variable `DECRYPT_MEMORY_BYTES` asks for another size.
const BYTES: usize = 96 << 20;

/// The most memory that this program has held so far, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// Text that compresses about as well as chats do.
fn write_chats(path: &Path, bytes: usize) -> u64 {
    let mut file = io::BufWriter::new(File::create(path).unwrap());
    let (mut seed, mut written) = (7_u64, 0);
    while written < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let line = format!("<Message><MessageID>{written}</MessageID><Content>{seed:x} bid</Content></Message>\n");
        file.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
    file.flush().unwrap();
    written as u64
}

#[test]
fn a_large_export_takes_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    let bytes = std::env::var("DECRYPT_MEMORY_BYTES").map_or(BYTES, |bytes| bytes.parse().unwrap());
    let len = write_chats(&plain, bytes);
    let gpg = Gpg::new();
    gpg.generate("us@example.com", "");
    let secret = gpg.export_secret("us@example.com", "");
    let keys = SecretKeys::parse(&[("pgp-key".to_owned(), secret)], &[""; 0]).unwrap();
    let opener = Opener { keys: &keys, signers: None, caps: Caps { max_plaintext: u64::MAX, max_ratio: 1000 } };
    for how in [&["--compress-algo", "zlib"][..], &["--compress-algo", "none"], &["--armor"]] {
        let paths = [sealed.to_str().unwrap(), "--encrypt", plain.to_str().unwrap()];
        gpg.run(&[how, &["-r", "us@example.com", "--output"], &paths].concat(), b"");
        let sealed = File::open(&sealed).unwrap();
        let count = |plaintext: &mut Plaintext| io::copy(plaintext, &mut io::sink());
        let (before, start) = (peak_memory(), Instant::now());
        let (seen, proof) = survey(&sealed, &opener, count).unwrap();
        let first = start.elapsed();
        let start = Instant::now();
        assert_eq!((seen, reread(&sealed, &opener, &proof, count).unwrap()), (len, len));
        let grown = peak_memory() - before;
        println!("{how:?}: survey {first:?}, reread {:?}, {grown} KiB more", start.elapsed());
        assert!(grown < 24 << 10, "{grown} KiB");
    }
}
