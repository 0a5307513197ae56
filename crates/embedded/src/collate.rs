//! Encodes view keys as bytes that sort in CouchDB's order: null, false, true, numbers, strings, arrays,
//! objects. Strings sort by their bytes; CouchDB uses ICU instead. Arrays and objects are compared element
//! by element, and a shorter one comes before a longer one that begins with it.
//!
//! No encoding is a prefix of another. So a document id can be appended to a key, and the result still
//! sorts by the key first. No encoding begins with 0xFF, so `key ++ 0xFF` sorts after everything that
//! begins with `key`.

use serde_json::{Number, Value};

/// A byte that is greater than any byte that can follow a key.
pub(crate) const ABOVE: u8 = 0xFF;

const END: u8 = 0x00;
const NULL: u8 = 0x10;
const FALSE: u8 = 0x20;
const TRUE: u8 = 0x21;
const NUMBER: u8 = 0x30;
const STRING: u8 = 0x40;
const ARRAY: u8 = 0x50;
const OBJECT: u8 = 0x60;

const BELOW_ITS_FLOAT: u8 = 0x01;
const ITS_FLOAT: u8 = 0x02;
const ABOVE_ITS_FLOAT: u8 = 0x03;

/// Encodes a key as sortable bytes.
pub(crate) fn encode(key: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    push(key, &mut bytes);
    bytes
}

fn push(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(NULL),
        Value::Bool(false) => bytes.push(FALSE),
        Value::Bool(true) => bytes.push(TRUE),
        Value::Number(number) => push_number(number, bytes),
        Value::String(text) => {
            bytes.push(STRING);
            push_text(text, bytes);
        }
        Value::Array(items) => {
            bytes.push(ARRAY);
            for item in items {
                push(item, bytes);
            }
            bytes.push(END);
        }
        Value::Object(members) => {
            bytes.push(OBJECT);
            for (key, value) in members {
                bytes.push(STRING);
                push_text(key, bytes);
                push(value, bytes);
            }
            bytes.push(END);
        }
    }
}

/// Appends a text so that it sorts before every longer text that begins with it. A zero byte is written as
/// `00 FF`, and the text ends with `00 00`.
pub(crate) fn push_text(text: &str, bytes: &mut Vec<u8>) {
    for byte in text.bytes() {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(0xFF);
        }
    }
    bytes.extend([0, 0]);
}

/// Appends a number. Numbers sort as floats. An integer that no float can represent sorts just below or
/// above the nearest float. Only a query can contain such an integer, because JavaScript maps emit floats.
fn push_number(number: &Number, bytes: &mut Vec<u8>) {
    let text = number.to_string();
    // -0 and 0 are one key, as in JavaScript.
    let float = match text.parse::<f64>() {
        Ok(0.0) => 0.0,
        Ok(float) => float,
        Err(_) => f64::NAN,
    };
    let bits = float.to_bits();
    let sortable = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    bytes.push(NUMBER);
    bytes.extend(sortable.to_be_bytes());
    let apart = text
        .parse::<i128>()
        .ok()
        .and_then(|exact| Some(exact.wrapping_sub(format!("{float:.0}").parse::<i128>().ok()?)));
    match apart {
        Some(apart) if apart != 0 => {
            bytes.push(if apart < 0 { BELOW_ITS_FLOAT } else { ABOVE_ITS_FLOAT });
            bytes.extend(apart.wrapping_add(i128::MIN).to_be_bytes());
        }
        _ => bytes.push(ITS_FLOAT),
    }
}

#[cfg(test)]
mod tests {
    use super::{ABOVE, encode};
    use datastore::json;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::Value;
    use std::cmp::Ordering;

    fn parsed(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn encoded_keys_keep_their_order() {
        let keys = parsed(
            r#"[null, false, true, -1e308, -10, -9, -1.5, -1, -1e-300, 0, 1e-300, 0.5, 1, 9, 10,
                9007199254740991, 9007199254740992, 9007199254740993, 9007199254740994,
                12345678901234567890, 12345678901234567891, 1e300, 10E307,
                "", "\u0000", "\u0000a", "\u0001", "A", "a", "a\u0000", "a\u0001", "aa", "b", "é", "日", "😀",
                [], [null], [1], [1, 2], [2], ["a"], ["a", 1], ["a", {}], ["aa"], [[]], [{}],
                {}, {"a": 1}, {"a": 1, "b": 0}, {"a": 2}, {"aa": 0}, {"b": 0}]"#,
        );
        let encoded: Vec<_> = keys.as_array().unwrap().iter().map(|key| (encode(key), key)).collect();
        for pair in encoded.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} is not below {}", pair[0].1, pair[1].1);
        }
    }

    #[test]
    fn equal_numbers_are_one_key() {
        for same in [["1", "1.0"], ["1e3", "1000"], ["-0", "0"], ["0.1e1", "1"], ["2e53", "2E+53"]] {
            assert_eq!(encode(&parsed(same[0])), encode(&parsed(same[1])), "{same:?}");
        }
    }

    fn keys() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "[a-c\u{0}\u{1}é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[ab]{0,2}", inner), 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// CouchDB's order, written as a direct comparison of JSON values.
    fn compare(one: &Value, other: &Value) -> Ordering {
        let rank = |value: &Value| match value {
            Value::Null => 0,
            Value::Bool(false) => 1,
            Value::Bool(true) => 2,
            Value::Number(_) => 3,
            Value::String(_) => 4,
            Value::Array(_) => 5,
            Value::Object(_) => 6,
        };
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => one.cmp(&other),
                _ => one.as_f64().unwrap().partial_cmp(&other.as_f64().unwrap()).unwrap(),
            },
            (Value::String(one), Value::String(other)) => one.cmp(other),
            (Value::Array(one), Value::Array(other)) => one
                .iter()
                .zip(other)
                .map(|(one, other)| compare(one, other))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| one.len().cmp(&other.len())),
            (Value::Object(one), Value::Object(other)) => one
                .iter()
                .zip(other)
                .map(|(one, other)| one.0.cmp(other.0).then_with(|| compare(one.1, other.1)))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| one.len().cmp(&other.len())),
            _ => rank(one).cmp(&rank(other)),
        }
    }

    proptest! {
        #[test]
        fn bytes_sort_as_keys_do(one in keys(), other in keys()) {
            assert_eq!(encode(&one).cmp(&encode(&other)), compare(&one, &other));
        }

        #[test]
        fn no_key_is_the_prefix_of_another(one in keys(), other in keys()) {
            let (one, other) = (encode(&one), encode(&other));
            assert!(one == other || !other.starts_with(&one));
            assert!(one.first().is_some_and(|byte| *byte < ABOVE));
        }
    }
}
