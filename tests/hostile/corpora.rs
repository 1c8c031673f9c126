//! The fuzz targets on a stable toolchain: their corpora, and cheap mutations of them. What a fuzzer found once is found again.
//!
//! `ICECHATD_CASES` says how many mutations each target gets.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::fuzz::{ALL, Target};
use crate::support::archive::cases;

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % bound.max(1)
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

/// One to four changes: a bit, a byte, a cut, a piece repeated, a piece of another input.
fn mutated(random: &mut Random, inputs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].1.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = b"<>&\"'\0\r\n,;=\xff"[random.below(12)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..to)),
            4 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &inputs[random.below(inputs.len())].1;
                let from = random.below(other.len() + 1);
                let end = (from + random.below(64)).min(other.len());
                bytes.splice(at..to, other[from..end].iter().copied());
            }
        }
    }
    bytes
}

/// What is wrong with an input is said with all of it: it is the next file of the corpus.
fn hit(target: Target, name: &str, what: &str, bytes: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(outcome.is_ok(), "{name}, {what}: {:?}", String::from_utf8_lossy(bytes));
}

/// All that is tried of the target of this name.
fn try_all(name: &str) {
    let (number, (_, target)) = ALL.into_iter().enumerate().find(|(_, (known, _))| *known == name).unwrap();
    let inputs = corpus(name);
    assert!(inputs.len() >= 4, "{name} has hardly a corpus");
    for (file, bytes) in &inputs {
        hit(target, name, file, bytes);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + number as u64);
    for case in 0..cases(150) {
        let bytes = mutated(&mut random, &inputs);
        hit(target, name, &format!("mutation {case}"), &bytes);
    }
}

macro_rules! corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            try_all(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried() {
            assert_eq!([$(stringify!($name)),*], ALL.map(|(name, _)| name));
        }
    };
}

corpora!(chunks configuration eml export list mapping profile);
