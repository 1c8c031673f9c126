//! See `src/mapping.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icechatd_fuzz::mapping::target(bytes));
