//! See `server::fuzz::headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| server::fuzz::headers(bytes));
