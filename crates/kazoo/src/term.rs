//! Interprets values as Kazoo's helpers `kz_term` and `kz_json` do: whether a value is true, false or empty,
//! and its integer, text or bytes. Also tells what the map functions of views take for true.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

/// Whether Kazoo treats a value as true. Only `true` and the string `"true"` are.
#[must_use]
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text == "true",
        _ => false,
    }
}

/// Whether Kazoo treats a value as false. Only `false` and the string `"false"` are.
#[must_use]
pub fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => !truth,
        Value::String(text) => text == "false",
        _ => false,
    }
}

/// Whether JavaScript takes a value for true, as map functions do.
#[must_use]
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Converts a number or a text to an integer. Fractions are rounded, half away from zero.
#[must_use]
pub fn to_integer(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => integer_of_text(text),
        Value::Number(number) => integer_of_text(&number_text(number)),
        _ => None,
    }
}

/// Converts a text to an integer. Fractions are rounded, half away from zero.
#[must_use]
pub fn integer_of_text(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse::<i128>() {
        return Some(number);
    }
    // Erlang's syntax of floats: digits, a dot, digits, and perhaps an exponent. It has no `inf` and no `.5`.
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, rest) = text.split_once('.')?;
    let (fraction, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let unsigned = |part: &str| part.strip_prefix(['-', '+']).unwrap_or(part).to_owned();
    if !digits(&unsigned(whole)) || !digits(fraction) || !digits(&unsigned(exponent)) {
        return None;
    }
    let number = text.parse::<f64>().ok()?.round();
    format!("{number:.0}").parse().ok()
}

/// Whether Kazoo treats a value as empty. Zero and a few words count as empty too.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => is_empty_text(text),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Whether Kazoo treats a text as empty.
#[must_use]
pub fn is_empty_text(text: &str) -> bool {
    matches!(text, "" | "0" | "NULL" | "undefined")
}

/// The text of a value as bytes. An array is an Erlang iolist: its strings and bytes are joined. An array
/// with any other item gives no bytes. An object gives its JSON.
#[must_use]
pub fn to_bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::Null => Cow::Borrowed(b"null"),
        Value::Bool(truth) => Cow::Borrowed(if *truth { b"true" } else { b"false" }),
        Value::Number(number) => Cow::Owned(number_text(number).into_bytes()),
        Value::String(text) => Cow::Borrowed(text.as_bytes()),
        Value::Array(items) => {
            let mut bytes = Vec::new();
            Cow::Owned(if push_list(items, &mut bytes, &mut |_, _| {}) { bytes } else { Vec::new() })
        }
        Value::Object(_) => Cow::Owned(value.to_string().into_bytes()),
    }
}

/// Appends the text of a list, and calls `note` with each list in it and the place of its text. Returns `false` if the
/// list has no text; what was appended by then has no meaning. A list in it without a text has the place `0..0`.
pub fn push_list(items: &[Value], bytes: &mut Vec<u8>, note: &mut impl FnMut(&Value, Range<usize>)) -> bool {
    items.iter().all(|item| match item {
        Value::String(text) => {
            bytes.extend_from_slice(text.as_bytes());
            true
        }
        Value::Number(number) => match number.as_u64().and_then(|n| u8::try_from(n).ok()) {
            Some(byte) => {
                bytes.push(byte);
                true
            }
            None => false,
        },
        Value::Array(inner) => {
            let start = bytes.len();
            let is_text = push_list(inner, bytes, note);
            note(item, if is_text { start..bytes.len() } else { 0..0 });
            is_text
        }
        _ => false,
    })
}

/// The text of a number. Integers stay as they are. Floats get their shortest digits in Kazoo's form: `1.5`,
/// `1000.0`, `1.0e+20`.
#[must_use]
pub fn number_text(number: &serde_json::Number) -> String {
    let text = number.to_string();
    if !text.contains(['.', 'e', 'E']) {
        return text;
    }
    match number.as_f64() {
        Some(float) => float_text(float),
        None => text,
    }
}

fn float_text(float: f64) -> String {
    if float == 0.0 {
        return "0.0".to_owned();
    }
    // Like Kazoo, Rust prints the shortest digits that read back as the same float. Kazoo puts the point
    // elsewhere and writes the exponent differently.
    let scientific = format!("{:e}", float.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let place = exponent.parse::<i32>().unwrap_or(0) + 1;
    let sign = if float < 0.0 { "-" } else { "" };
    format!("{sign}{}", with_point(&digits, place))
}

/// Puts the point after the first `place` digits. Adds zeros or an exponent if needed.
fn with_point(digits: &str, place: i32) -> String {
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match place {
        0 => format!("0.{digits}"),
        1.. if place == length => format!("{digits}.0"),
        1.. if place < length => {
            let (whole, fraction) = digits.split_at(usize::try_from(place).unwrap_or(0));
            format!("{whole}.{fraction}")
        }
        1.. if place - length < 6 => format!("{digits}{}.0", zeros(place - length)),
        -5..0 => format!("0.{}{digits}", zeros(-place)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { "0" } else { rest };
            let sign = if place < 0 { '-' } else { '+' };
            format!("{first}.{rest}e{sign}{}", (place - 1).abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{integer_of_text, number_text};

    #[test]
    fn floats_are_printed_as_kazoo_prints_them() {
        for (json, expected) in [
            ("1", "1"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1.0", "1.0"),
            ("1.5", "1.5"),
            ("-0.5", "-0.5"),
            ("1e3", "1000.0"),
            ("1e5", "100000.0"),
            ("1e6", "1.0e+6"),
            ("1e20", "1.0e+20"),
            ("0.001", "0.001"),
            ("1.5e-7", "1.5e-7"),
            ("0.0", "0.0"),
        ] {
            let number: serde_json::Number = json.parse().unwrap();
            assert_eq!(number_text(&number), expected, "{json}");
        }
    }

    #[test]
    fn integers_are_read_from_text_and_fractions_rounded() {
        for (text, expected) in [
            ("5", Some(5)),
            ("-5", Some(-5)),
            ("2.5", Some(3)),
            ("5.4", Some(5)),
            ("1.0e2", Some(100)),
            ("abc", None),
            ("", None),
            ("5.", None),
            (".5", None),
            ("1e2", None),
            ("inf", None),
            ("1 ", None),
        ] {
            assert_eq!(integer_of_text(text), expected, "{text:?}");
        }
    }
}
