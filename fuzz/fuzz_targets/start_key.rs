//! See `server::fuzz::start_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| server::fuzz::start_key(bytes));
