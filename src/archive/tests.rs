//! Archives of every kind, honest and hostile.

use std::io::Write;

use ::zip::write::SimpleFileOptions;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const WIDE: Bounds =
    Bounds { max_entries: 1000, max_plaintext: 1 << 30, max_ratio: 1000, encrypted: 1 << 20, max_kept: 1 << 20 };

fn open(bytes: &[u8], bounds: Bounds) -> Result<Contents, ArchiveError> {
    let spool = tempfile::tempdir().unwrap();
    let read = read(bytes, spool.path(), bounds, &mut |_| true);
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "something is left in the spool");
    read
}

/// What was taken, name by name, with the bytes that were kept.
fn taken(contents: &Contents) -> Vec<(&str, Option<Vec<u8>>)> {
    let bytes = |entry: &Entry| {
        let bytes = entry.place.map(|place| contents.kept.as_ref().unwrap().bytes(place).unwrap());
        if let Some(bytes) = &bytes {
            assert_eq!((Sha256::of(bytes), bytes.len() as u64), (entry.sha256, entry.bytes));
        }
        bytes
    };
    contents.entries.iter().map(|entry| (entry.name.as_str(), bytes(entry))).collect()
}

fn refused(contents: &Contents) -> Vec<(&str, Refusal)> {
    assert_eq!(contents.refused.len() as u64, contents.refusals);
    contents.refused.iter().map(|refused| (refused.name.as_str(), refused.why)).collect()
}

/// A tar's header as somebody wrote it who minds no rule.
fn header(name: &[u8], kind: u8, size: u64) -> ::tar::Header {
    let mut header = ::tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// An entry with its bytes, filled up to a block.
fn entry(name: &[u8], kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut entry = header(name, kind, bytes.len() as u64).as_bytes().to_vec();
    entry.extend_from_slice(bytes);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        // The number counts itself (pax, "pax Extended Header").
        let rest = key.len() + value.len() + 3;
        let len = (rest + 1..rest + 9).find(|len| len.to_string().len() + rest == *len).unwrap();
        writeln!(body, "{len} {key}={value}").unwrap();
    }
    body
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Where a pattern stands for the first or the last time.
fn find(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes.windows(pattern.len()).position(|window| window == pattern).unwrap()
}

fn rfind(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes.windows(pattern.len()).rposition(|window| window == pattern).unwrap()
}

#[test]
fn every_kind_gives_its_files() {
    let large: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let files: &[(&str, &[u8])] = &[("F-1", b"one"), ("a/F-2.pdf", &large), ("empty", b"")];
    let tar = tar_of(&[
        entry(b"./", b'5', b""),
        entry(b"./F-1", b'0', b"one"),
        entry(b"a/", b'5', b""),
        // As archives of before 1988 have a folder.
        entry(b"old/", 0, b""),
        entry(b"a/F-2.pdf", 0, &large),
        entry(b"empty", b'7', b""),
    ]);
    let expected: Vec<_> = files.iter().map(|(name, bytes)| (*name, Some(bytes.to_vec()))).collect();
    let halves = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    for (kind, bytes) in [("tar", tar.clone()), ("tar.gz", gzip(&tar)), ("members", halves), ("zip", zip_of(files))] {
        let contents = open(&bytes, WIDE).unwrap();
        assert_eq!(taken(&contents), expected, "{kind}");
        assert_eq!(refused(&contents), [], "{kind}");
    }
    for empty in [tar_of(&[]), gzip(&tar_of(&[])), zip_of(&[])] {
        assert!(open(&empty, WIDE).unwrap().entries.is_empty());
    }
}

#[test]
fn only_what_is_asked_for_is_kept_and_only_what_is_not_too_large() {
    let tar = tar_of(&[entry(b"small", b'0', b"12345"), entry(b"large", b'0', b"123456"), entry(b"other", b'0', b"1")]);
    let spool = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_kept: 5, ..WIDE };
    for bytes in [gzip(&tar), zip_of(&[("small", b"12345"), ("large", b"123456"), ("other", b"1")])] {
        let contents = read(&bytes[..], spool.path(), bounds, &mut |name| name != "other").unwrap();
        let places: Vec<_> = contents.entries.iter().map(|entry| entry.place.is_some()).collect();
        assert_eq!(places, [true, false, false]);
        assert_eq!(contents.entries[1].sha256, Sha256::of(b"123456"));
        assert_eq!(taken(&contents)[0].1.as_deref(), Some(&b"12345"[..]));
        assert!(read(&bytes[..], spool.path(), bounds, &mut |_| false).unwrap().kept.is_none());
    }
}

#[test]
fn what_is_no_file_of_a_chat_is_refused_by_itself() {
    let long = "x".repeat(300);
    let tar = tar_of(&[
        entry(b"/etc/passwd", b'0', b"root"),
        entry(b"../up", b'0', b"up"),
        entry(b"hard", b'1', b""),
        entry(b"soft", b'2', b""),
        entry(b"char", b'3', b""),
        entry(b"block", b'4', b""),
        entry(b"pipe", b'6', b""),
        entry(b"sparse", b'S', b""),
        entry(b"volume", b'V', b""),
        entry(b"bad\xff", b'0', b"latin"),
        entry(b"tab\there", b'0', b"tab"),
        entry(b"GNUSparse/pax", b'x', &pax(&[("GNU.sparse.major", "1"), ("path", "real")])),
        entry(b"GNUSparse/pax", b'0', b"holes"),
        entry(b"././@LongLink", b'L', &[b'y'; 1025]),
        entry(b"yyy", b'0', b"y"),
        entry(b"././@LongLink", b'L', format!("{long}\0").as_bytes()),
        entry(b"xxx", b'0', b"long"),
        entry(b"pax", b'x', &pax(&[("mtime", "1"), ("path", &format!("dir/{long}ü"))])),
        entry(b"short", b'0', b"longer"),
        entry(b"g", b'g', &pax(&[("comment", "made by git")])),
        entry(b"good", b'0', b"good"),
    ]);
    let contents = open(&gzip(&tar), WIDE).unwrap();
    let (long, longer) = (long.clone(), format!("dir/{long}ü"));
    let expected = [(long.as_str(), "long"), (longer.as_str(), "longer"), ("good", "good")];
    assert_eq!(taken(&contents), expected.map(|(name, text)| (name, Some(text.as_bytes().to_vec()))));
    let why: Vec<_> = refused(&contents).iter().map(|(_, why)| why.as_str()).collect();
    let expected = "path path link link device device device sparse device name name sparse name";
    assert_eq!(why.join(" "), expected);
    assert_eq!(refused(&contents)[1].0, "../up");
}

#[test]
fn of_one_name_there_is_one_file_or_none() {
    let twice = |second: &[u8]| {
        let tar = tar_of(&[entry(b"a", b'0', b"1"), entry(b"./a", b'0', second), entry(b"b", b'0', b"2")]);
        let mut zip = zip_of(&[("aa", b"1"), ("ab", second), ("b", b"2")]);
        // The writer would not write one name twice.
        for pattern in [b"PK\x03\x04", b"PK\x01\x02"] {
            let name = pattern.len() + if pattern[2] == 3 { 26 } else { 42 };
            let all: Vec<usize> = (0..zip.len() - 4).filter(|at| zip[*at..].starts_with(pattern)).collect();
            zip[all[1] + name + 1] = b'a';
        }
        [open(&gzip(&tar), WIDE).unwrap(), open(&zip, WIDE).unwrap()]
    };
    for (contents, name) in twice(b"1").iter().zip(["a", "aa"]) {
        assert_eq!(taken(contents).iter().map(|(name, _)| *name).collect::<Vec<_>>(), [name, "b"]);
        assert_eq!(contents.refusals, 0);
    }
    for contents in twice(b"other") {
        assert_eq!(taken(&contents).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["b"], "a guess was taken");
        assert_eq!(refused(&contents).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [Refusal::Duplicate; 2]);
    }
}

#[test]
fn what_is_not_whole_gives_nothing() {
    let tar = tar_of(&[entry(b"a", b'0', &[b'x'; 600]), entry(b"b", b'0', b"2")]);
    let zip = zip_of(&[("a", &[b'x'; 600]), ("b", b"2")]);
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for cut in [100, 512, 900, 1024, 1535, 1536, 2048, 2560, 2561, 3071] {
        cases.push((format!("tar cut at {cut}"), tar[..cut].to_vec()));
        cases.push((format!("gzip'd tar cut at {cut}"), gzip(&tar[..cut])));
    }
    let packed = gzip(&tar);
    cases.extend((11..packed.len()).map(|cut| (format!("gzip cut at {cut}"), packed[..cut].to_vec())));
    cases.extend((5..zip.len()).map(|cut| (format!("zip cut at {cut}"), zip[..cut].to_vec())));
    for (kind, whole) in [("tar", &tar), ("gzip", &packed), ("zip", &zip)] {
        cases.push((format!("{kind} with a tail"), [&whole[..], b"and more"].concat()));
    }
    cases.push(("gzip'd tar with a tail".to_owned(), gzip(&[&tar[..], b"and more"].concat())));
    let mut flipped = packed.clone();
    let crc = flipped.len() - 6;
    flipped[crc] ^= 1;
    cases.push(("gzip with another checksum".to_owned(), flipped));
    let mut flipped = tar.clone();
    flipped[0] ^= 1;
    cases.push(("tar with another checksum".to_owned(), gzip(&flipped)));
    let mut flipped = zip.clone();
    let crc = rfind(&zip, b"PK\x01\x02") + 16;
    flipped[crc] ^= 1;
    cases.push(("zip with another checksum".to_owned(), flipped));
    cases.push(("gzip of no tar".to_owned(), gzip(b"hello")));
    for (what, bytes) in cases {
        // A cut tar that ends in zeros is whole as far as it says.
        let error = open(&bytes, WIDE).map(|contents| taken(&contents).len()).unwrap_err();
        assert!(matches!(error, ArchiveError::Malformed(_) | ArchiveError::Unknown), "{what}: {error:?}");
    }
    for bytes in [&b""[..], b"hello", &[7; 4096], b"<IceChatExport/>"] {
        assert!(matches!(open(bytes, WIDE), Err(ArchiveError::Unknown)), "{bytes:?}");
    }
}

#[test]
fn headers_that_contradict_each_other_are_damage() {
    let global = entry(b"g", b'g', &pax(&[("path", "all")]));
    let size = entry(b"x", b'x', &pax(&[("size", "9")]));
    let no_size = entry(b"x", b'x', &pax(&[("size", "many")]));
    let name = entry(b"l", b'L', b"name\0");
    let link = entry(b"k", b'K', b"link\0");
    let other = entry(b"x", b'x', &pax(&[("mtime", "1")]));
    let file = entry(b"a", b'0', b"a");
    let endless = header(b"l", b'L', 1 << 40).as_bytes().to_vec();
    for entries in [
        vec![global],
        vec![size, file.clone()],
        vec![no_size, file.clone()],
        vec![name.clone(), name.clone(), file.clone()],
        vec![link.clone(), link, file.clone()],
        vec![other.clone(), other, file],
        vec![name],
        vec![endless],
        vec![header(b"a", b'0', u64::MAX).as_bytes().to_vec()],
        vec![header(b"a", b'0', u64::MAX - 600).as_bytes().to_vec()],
    ] {
        assert!(matches!(open(&tar_of(&entries), WIDE), Err(ArchiveError::Malformed(_))), "{}", entries.len());
    }
}

#[test]
fn a_zip_that_shows_two_faces_is_damage() {
    let zip = zip_of(&[("aaaa", b"first"), ("bbbb", b"other")]);
    let mut name = zip.clone();
    name[find(&zip, b"aaaa")] = b'z';
    let mut overlapping = zip.clone();
    let second = rfind(&zip, b"PK\x01\x02");
    let first = find(&zip, b"PK\x01\x02");
    // Both entries of the directory point to the first one's bytes.
    let entry = zip[first..second].to_vec();
    overlapping[second..second + entry.len()].copy_from_slice(&entry);
    let mut size = zip.clone();
    size[second + 24] = 99;
    let mut local = zip.clone();
    local[find(&zip, b"PK\x03\x04") + 22] = 99;
    for (what, bytes) in [("names", name), ("overlapping", overlapping), ("size", size), ("local size", local)] {
        let error = open(&bytes, WIDE).map(|contents| format!("{contents:?}")).unwrap_err();
        assert!(matches!(error, ArchiveError::Malformed(_)), "{what}: {error:?}");
    }
}

#[test]
fn entries_of_a_zip_that_are_no_plain_files_are_refused() {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_directory("dir/", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    writer.start_file("../up", SimpleFileOptions::default()).unwrap();
    writer.write_all(b"up").unwrap();
    let large = SimpleFileOptions::default().large_file(true).compression_method(::zip::CompressionMethod::Stored);
    writer.start_file("dir\\zip64.txt", large).unwrap();
    writer.write_all(b"sixty-four").unwrap();
    let zip = writer.finish().unwrap().into_inner();
    let contents = open(&zip, WIDE).unwrap();
    assert_eq!(taken(&contents), [("dir/zip64.txt", Some(b"sixty-four".to_vec()))]);
    assert_eq!(refused(&contents), [("link", Refusal::Link), ("../up", Refusal::Path)]);

    let plain = zip_of(&[("secret", b"text"), ("open", b"text")]);
    let (local, central) = (find(&plain, b"PK\x03\x04"), find(&plain, b"PK\x01\x02"));
    let mut encrypted = plain.clone();
    (encrypted[local + 6], encrypted[central + 8]) = (encrypted[local + 6] | 1, encrypted[central + 8] | 1);
    let mut bzip2 = plain.clone();
    (bzip2[local + 8], bzip2[central + 10]) = (12, 12);
    let mut device = plain.clone();
    (device[central + 5], device[central + 41]) = (3, 0o060);
    for (bytes, why) in [(encrypted, Refusal::Encrypted), (bzip2, Refusal::Compression), (device, Refusal::Device)] {
        let contents = open(&bytes, WIDE).unwrap();
        assert_eq!((taken(&contents).len(), refused(&contents)), (1, vec![("secret", why)]));
    }
}

#[test]
fn bombs_go_off_at_their_bounds() {
    let zeros = vec![0; 4 << 20];
    let tar = gzip(&tar_of(&[entry(b"bomb", b'0', &zeros)]));
    let zip = zip_of(&[("bomb", &zeros)]);
    for bytes in [tar, zip] {
        let bounds = Bounds { encrypted: bytes.len() as u64, max_ratio: 100, ..WIDE };
        assert!(matches!(open(&bytes, bounds), Err(ArchiveError::RatioTooHigh { limit: 100 })));
        let bounds = Bounds { max_plaintext: 1 << 20, ..WIDE };
        assert!(matches!(open(&bytes, bounds), Err(ArchiveError::TooLarge { limit: 0x10_0000 })));
    }
    let many: Vec<_> = (0..11).map(|n| entry(format!("e{n}").as_bytes(), b'5', b"")).collect();
    let names: Vec<_> = (0..11).map(|n| format!("e{n}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    for bytes in [gzip(&tar_of(&many)), zip_of(&files)] {
        let bounds = Bounds { max_entries: 10, ..WIDE };
        assert!(matches!(open(&bytes, bounds), Err(ArchiveError::TooManyEntries { limit: 10 })));
        assert!(open(&bytes, Bounds { max_entries: 11, ..WIDE }).is_ok());
    }
}

#[test]
fn a_spool_that_cannot_be_used_is_this_machines_fault() {
    for bytes in [zip_of(&[("a", b"1")]), tar_of(&[entry(b"a", b'0', b"1")])] {
        let error = read(&bytes[..], Path::new("/nonexistent"), WIDE, &mut |_| true).unwrap_err();
        assert!(error.is_local(), "{error:?}");
    }
}

/// Whatever bytes come, reading ends, in bounds and without a panic.
#[test]
fn any_change_of_an_archive_is_borne() {
    let tar = tar_of(&[
        entry(b"././@LongLink", b'L', b"a-long-name\0"),
        entry(b"a", b'0', b"12345"),
        entry(b"x", b'x', &pax(&[("path", "b"), ("size", "2")])),
        entry(b"b", b'0', b"67"),
        entry(b"s", b'S', b""),
    ]);
    let zip = zip_of(&[("a", b"12345"), ("dir/b", &[b'x'; 300])]);
    let bounds = Bounds { max_plaintext: 1 << 20, ..WIDE };
    for whole in [tar, zip] {
        // What stands for nothing changes nothing.
        let told = |at: &usize| whole[*at] != 0 || whole[at.saturating_sub(4)..*at].iter().any(|byte| *byte != 0);
        for at in (0..whole.len()).filter(told) {
            for value in [0, 0x7f, 0xff, whole[at] ^ 1] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = open(&bytes, bounds);
            }
        }
    }
}
