//! See `server::fuzz::merge`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| server::fuzz::merge(bytes));
