//! What each fuzz target does with some bytes. The fuzzer calls one of them; on a stable toolchain the test suite calls all,
//! with the corpora and cheap mutations of them (`tests/hostile/corpora.rs`).

pub mod chunks;
pub mod configuration;
pub mod eml;
pub mod export;
pub mod list;
pub mod mapping;
pub mod profile;

/// A target: it panics where something is not as it should be.
pub type Target = fn(&[u8]);

/// The targets by name, as their corpora are called.
pub const ALL: [(&str, Target); 7] = [
    ("chunks", chunks::target),
    ("configuration", configuration::target),
    ("eml", eml::target),
    ("export", export::target),
    ("list", list::target),
    ("mapping", mapping::target),
    ("profile", profile::target),
];

/// The same text as a spreadsheet may save it, where it is text without a mark of its own.
fn utf_16(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.starts_with('\u{feff}') && !text.contains('\0'))?;
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    Some(units.flat_map(u16::to_le_bytes).collect())
}
