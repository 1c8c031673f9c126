//! See `src/list.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icechatd_fuzz::list::target(bytes));
