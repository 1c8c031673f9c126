//! Compression bombs: messages of a few kilobytes that would be a hundred gigabytes, in one layer and nested. Each is refused
//! in bounded time and memory, and the reason names the limit, or the layer.
//!
//! `ICECHATD_CASES` says how many MiB the bombs of one layer become at least.

use crate::support;

use std::io::Write;
use std::time::Instant;

use flate2::{Compress, Compression, FlushCompress};
use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::stream::{Compressor, Encryptor, LiteralWriter, Message};
use openpgp::types::CompressionAlgorithm;
use support::archive::{Archive, cases};
use support::firm::staged;

/// What a nested bomb would become.
const HUNDRED_GB: u64 = 100_000_000_000;
/// A packet of compressed data, and one of literal data, without an announced length: to the end of what holds it.
const COMPRESSED: [u8; 2] = [0x80 | 8 << 2 | 3, 1];
const LITERAL: [u8; 7] = [0x80 | 11 << 2 | 3, b'b', 0, 0, 0, 0, 0];

/// Raw deflate of `head` and then `piece` so many times, made from one compression of the piece.
fn deflated(head: &[u8], piece: &[u8], times: u64) -> Vec<u8> {
    let mut out = flushed(head);
    let again = flushed(piece);
    out.reserve(again.len() * usize::try_from(times).unwrap());
    for _ in 0..times {
        out.extend_from_slice(&again);
    }
    // An empty last block.
    out.extend([3, 0]);
    out
}

/// Deflated so that it can stand anywhere in a stream: nothing in it refers to what was before.
fn flushed(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() / 4 + 1024);
    compress.compress_vec(bytes, &mut out, FlushCompress::Full).unwrap();
    assert_eq!(compress.total_in(), bytes.len() as u64);
    out
}

/// A hundred gigabytes of zeros as literal data, deflated so often; the inner layers' sizes are printed.
fn nested(layers: usize) -> Vec<u8> {
    let piece = vec![0; 16 << 20];
    let mut packet = [&COMPRESSED[..], &deflated(&LITERAL, &piece, HUNDRED_GB.div_ceil(piece.len() as u64))].concat();
    for _ in 1..layers {
        packet = [&COMPRESSED[..], &deflated(&packet, b"", 0)].concat();
    }
    packet
}

fn encrypted(certificate: &[u8], write: impl FnOnce(Message<'_>) -> openpgp::Result<()>) -> Vec<u8> {
    let cert = Cert::from_bytes(certificate).unwrap();
    let policy = StandardPolicy::new();
    let recipients = cert.keys().with_policy(&policy, None).supported().for_transport_encryption();
    let mut sink = Vec::new();
    write(Encryptor::for_recipients(Message::new(&mut sink), recipients).build().unwrap()).unwrap();
    sink
}

/// Packets as they stand in the container.
fn enclosed(certificate: &[u8], packets: &[u8]) -> Vec<u8> {
    encrypted(certificate, |mut message| {
        message.write_all(packets)?;
        message.finalize()
    })
}

/// So many MiB of zeros, as a sender's program would compress them.
fn zeros(certificate: &[u8], algorithm: CompressionAlgorithm, mib: u32) -> Vec<u8> {
    encrypted(certificate, |message| {
        let mut message = LiteralWriter::new(Compressor::new(message).algo(algorithm).build()?).build()?;
        for _ in 0..mib {
            message.write_all(&vec![0; 1 << 20])?;
        }
        message.finalize()
    })
}

#[test]
fn bombs_are_refused_in_bounded_time_and_memory() {
    let archive = Archive::new();
    let certificate = archive.certificate();
    let mib = cases(96);
    let (twice, thrice) = (nested(2), nested(3));
    assert!(thrice.len() < 2048 && twice.len() < 1 << 20, "{} {}", twice.len(), thrice.len());
    let bombs = [
        // What it would be in one layer: refused by the bytes that may come of it, for no deflate exceeds 1032 to 1.
        ("deflate", zeros(&certificate, CompressionAlgorithm::Zip, mib), "limits.max_ratio"),
        ("zlib", zeros(&certificate, CompressionAlgorithm::Zlib, mib), "limits.max_ratio"),
        ("bzip2", zeros(&certificate, CompressionAlgorithm::BZip2, mib), "limits.max_ratio"),
        ("twice", enclosed(&certificate, &twice), "compressed twice over"),
        ("thrice", enclosed(&certificate, &thrice), "compressed twice over"),
    ];
    let quiet = archive.measure(&[("sample.pgp", archive.seal(&support::firm::sample_export()))]);
    for (name, bomb, expected) in bombs {
        let file = format!("{name}.pgp");
        let length = bomb.len();
        let seen = archive.measure(&[(&file, bomb)]);
        let reason = seen.report["files"][0]["reason"].as_str().unwrap_or_default();
        println!("{name}: {length} bytes, {} ms, {} KiB: {reason}", seen.milliseconds, seen.peak);
        assert!(seen.code == 3 && reason.contains(expected), "{name}: {seen:#?}");
        // A run of an ordinary export, and some room.
        assert!(seen.peak < quiet.peak + (48 << 10), "{name}: {} KiB, otherwise {}", seen.peak, quiet.peak);
    }
    assert!(staged(&archive.staging()).len() >= 4, "the sample is staged");
}

/// One layer that stays below `limits.max_ratio` meets `limits.max_plaintext`: of 100 GB only so much is decompressed.
#[test]
fn one_layer_of_a_hundred_gigabytes_is_cut_off_at_the_limit() {
    let archive = Archive::new();
    let begun = Instant::now();
    let bomb = enclosed(&archive.certificate(), &nested(1));
    assert!(HUNDRED_GB / (bomb.len() as u64) < 1032 && bomb.len() > 90_000_000, "{}", bomb.len());
    println!("{} bytes made in {:?}", bomb.len(), begun.elapsed());
    archive.limit("max_plaintext = \"64MiB\"");
    let seen = archive.measure(&[("large.pgp", bomb)]);
    let reason = seen.report["files"][0]["reason"].as_str().unwrap_or_default();
    println!("{} ms, {} KiB: {reason}", seen.milliseconds, seen.peak);
    assert!(seen.code == 3 && reason.contains("limits.max_plaintext"), "{seen:#?}");
    assert!(seen.peak < 160 << 10, "{} KiB", seen.peak);
    assert!(staged(&archive.staging()).is_empty());
}
