//! The words of Kazoo 4.3's decoder for many faults.

use super::decoder_fault;
use proptest::prelude::{any, proptest};

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = decoder_fault(text.as_bytes()).map(|fault| fault.to_string());
    assert_eq!(found.unwrap_or_default(), expected, "{text}");
}

#[test]
fn the_fault_and_its_place_are_the_decoders() {
    for (text, expected) in [
        ("", "truncated_json around 1"),
        ("  ", "truncated_json around 3"),
        ("{", "truncated_json around 2"),
        ("[1,2", "truncated_json around 5"),
        ("{\"data\":", "truncated_json around 9"),
        ("not json", "invalid_literal around 1"),
        ("[tru]", "invalid_literal around 2"),
        ("{'a':1}", "invalid_json around 2"),
        ("{\"a\" 1}", "invalid_json around 6"),
        ("{\"a\":1,}", "invalid_json around 8"),
        ("{\"a\":]", "invalid_json around 6"),
        ("[1,]", "invalid_json around 4"),
        ("[1}", "invalid_json around 3"),
        ("{\"a\":1]", "invalid_json around 7"),
        ("]", "invalid_json around 1"),
        ("\u{feff}{}", "invalid_json around 1"),
        ("{\"n\":01}", "invalid_json around 7"),
        ("{\"n\":NaN}", "invalid_json around 6"),
        ("{} x", "invalid_trailing_data around 4"),
        ("1 2", "invalid_trailing_data around 3"),
        ("-", "invalid_number around 2"),
        ("[-a]", "invalid_number around 3"),
        ("[1.]", "invalid_number around 4"),
        ("[1e]", "invalid_number around 4"),
        ("1.", "invalid_number around 3"),
    ] {
        check(text, expected);
    }
}

#[test]
fn a_string_stops_where_the_decoders_does() {
    for (text, expected) in [
        ("\"abc", "invalid_string around 5"),
        ("\"a\nb\"", "invalid_string around 3"),
        ("\"a\\xb\"", "invalid_string around 4"),
        ("\"a\\", "invalid_string around 3"),
        ("\"\\u12\"", "invalid_string around 4"),
        ("\"\\u12g4\"", "invalid_string around 4"),
        ("\"a\\ud800b\"", "invalid_string around 9"),
        ("\"a\\ud800bcdefgh\"", "invalid_string around 10"),
        ("\"a\\ud800\\ncdefgh\"", "invalid_string around 11"),
        ("\"a\\ud800\\u0041\"", "invalid_string around 11"),
        ("\"a\\udc00bcdefgh\"", "invalid_string around 9"),
        ("{\"\\q\":1}", "invalid_string around 4"),
    ] {
        check(text, expected);
    }
    assert_eq!(decoder_fault(b"\"a\xff\"").map(|fault| fault.place), Some(3));
}

#[test]
fn what_the_decoder_reads_has_no_fault() {
    for text in ["{}", " [ ] ", "[[],{\"a\":{}}]", "1e400", "1e+", "-0.5E-3", "\"\\ud83d\\ude00é\"", "null"]
    {
        check(text, "");
    }
}

proptest! {
    /// Where the decoder finds no fault, other decoders find none either, except in numbers.
    #[test]
    fn good_json_has_no_fault(text in "[\\[\\]{}:,\"a0\\\\u1 n]{0,12}") {
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            assert_eq!(decoder_fault(text.as_bytes()), None, "{text}");
        } else {
            assert!(decoder_fault(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_the_scan_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let fault = decoder_fault(&bytes);
        assert!(fault.is_none_or(|fault| fault.place <= bytes.len() + 2));
    }
}
