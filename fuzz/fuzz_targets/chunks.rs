//! See `src/chunks.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icechatd_fuzz::chunks::target(bytes));
