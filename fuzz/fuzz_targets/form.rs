//! See `server::fuzz::form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| server::fuzz::form(bytes));
