//! The reader, and both passes, say the same of an export whatever the size of the reads: from one byte up to all of it, for
//! every XML among samples and fixtures, by every profile.
//!
//! `ICECHATD_CASES` says how many sizes are tried for each; a large number tries all.

use std::fs;
use std::path::{Path, PathBuf};

use icechatd::export::profile::{Profile, builtin_names};

use crate::fuzz::chunks::{passes, read};
use crate::support::archive::cases;

fn xml_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            xml_below(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "xml") {
            found.push(path);
        }
    }
}

/// All that are there: the built-in ones, one that a firm may have, and those that are proposed for the fixtures.
fn profiles(exports: &[(PathBuf, Vec<u8>)]) -> Vec<Profile> {
    let built_in = builtin_names().map(|name| Profile::builtin(name).unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = fs::read_to_string(root.join("tests/fixtures/profiles/icechat-first.toml")).unwrap();
    let written = Profile::recorded(&written).unwrap();
    let proposed = exports.iter().filter_map(|(path, bytes)| {
        let proposal = icechatd::export::infer::infer("proposed", path.to_str(), &bytes[..]).ok()?;
        Some(Profile::parse("proposed", &proposal.text).unwrap())
    });
    built_in.chain([written]).chain(proposed).collect()
}

/// So many sizes, the small ones first, then evenly up to the whole.
fn sizes(len: usize, many: usize) -> Vec<usize> {
    let step = (len / many.max(1)).max(1);
    (1..=len).filter(|size| *size <= many / 3 || size % step == 0 || size + 2 > len).collect()
}

#[test]
fn every_size_of_reads_says_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    xml_below(&root.join("tests/fixtures"), &mut paths);
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    let exports: Vec<_> = paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let profiles = profiles(&exports);
    let mut whole_ones = 0;
    for (path, bytes) in &exports {
        for profile in &profiles {
            let (expected, both) = (read(profile, bytes, usize::MAX), passes(profile, bytes, usize::MAX));
            whole_ones += usize::from(both.len() > 1);
            let sizes = sizes(bytes.len(), cases(40) as usize);
            for size in sizes {
                let name = (path.display(), profile.name());
                assert!(read(profile, bytes, size) == expected, "{name:?}: reads of {size} bytes");
                assert!(passes(profile, bytes, size) == both, "{name:?}: passes in reads of {size} bytes");
            }
        }
    }
    assert!(whole_ones >= exports.len(), "few of the exports are read to their end: {whole_ones}");
}
