//! The query string, as cowboy reads it: `+` is a space, `%XX` a byte, a key without `=` is `true`.
//! Refuses a bad escape (400).

use groups::FilterValue;
use serde_json::Value;

use crate::catalogue::Refusal;

/// The pairs of a query string, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query(Vec<(String, FilterValue)>);

/// A `%` that two hex digits do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// Reads the query string of a request.
pub(crate) fn parse(raw: &str) -> Result<Query, Refusal> {
    Query::parse(raw.as_bytes())
        .map_err(|BadEscape| Refusal::malformed("query", "every % must be followed by two hex digits", None))
}

impl Query {
    /// Reads pairs in the form of a query string or of a form body.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, BadEscape> {
        if raw.is_empty() {
            return Ok(Self::default());
        }
        let pairs = raw.split(|byte| *byte == b'&').map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let key = decode(halves.next().unwrap_or_default())?;
            let value = halves.next().map(decode).transpose()?.map_or(FilterValue::True, FilterValue::Bytes);
            // A key that is no UTF-8 names nothing that anybody looks for.
            Ok((String::from_utf8_lossy(&key).into_owned(), value))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// The pairs, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &FilterValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The first value of a key as JSON: a string, or `true` where the key stands alone.
    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        self.pairs().find(|(name, _)| *name == key).map(|(_, value)| to_json(value))
    }

    /// All pairs as an object; of a key that stands twice the first counts.
    pub(crate) fn to_object(&self) -> serde_json::Map<String, Value> {
        let mut object = serde_json::Map::new();
        for (key, value) in self.pairs() {
            object.entry(key).or_insert_with(|| to_json(value));
        }
        object
    }

    /// The key, where the whole is one key without a value.
    pub(crate) fn is_single_bare_key(&self) -> bool {
        matches!(self.0.as_slice(), [(_, FilterValue::True)])
    }
}

fn to_json(value: &FilterValue) -> Value {
    match value {
        FilterValue::True => Value::Bool(true),
        FilterValue::Bytes(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn decode(raw: &[u8]) -> Result<Vec<u8>, BadEscape> {
    unescape(raw, true)
}

/// Percent-decodes; `+` becomes a space where the form wants it.
pub(crate) fn unescape(raw: &[u8], plus_is_space: bool) -> Result<Vec<u8>, BadEscape> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let high = rest.next().and_then(hex_digit).ok_or(BadEscape)?;
                let low = rest.next().and_then(hex_digit).ok_or(BadEscape)?;
                high * 16 + low
            }
            b'+' if plus_is_space => b' ',
            other => *other,
        });
    }
    Ok(decoded)
}

fn hex_digit(byte: &u8) -> Option<u8> {
    let digit = char::from(*byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::Query;
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    fn check(raw: &str, expected: &serde_json::Value) {
        assert_eq!(json!(Query::parse(raw.as_bytes()).unwrap().to_object()), *expected, "{raw}");
    }

    #[test]
    fn pairs_are_decoded_as_cowboy_does() {
        check("", &json!({}));
        check("a=1&b", &json!({"a": "1", "b": true}));
        check("a=1&a=2", &json!({"a": "1"}));
        check("n=SDK+Update%20Test", &json!({"n": "SDK Update Test"}));
        check("a=b=c&=x&%41=%C3%A9", &json!({"a": "b=c", "": "x", "A": "é"}));
    }

    #[test]
    fn bad_escapes_are_refused() {
        for raw in ["a=%zz", "%", "a%4=1", "a=%4"] {
            assert!(Query::parse(raw.as_bytes()).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(pairs in proptest::collection::vec((any::<String>(), any::<Vec<u8>>()), 1..5)) {
            let encode = |bytes: &[u8]| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
            let raw: Vec<_> = pairs.iter().map(|(key, value)| format!("{}={}", encode(key.as_bytes()), encode(value))).collect();
            let query = Query::parse(raw.join("&").as_bytes()).unwrap();
            let back: Vec<_> = query.pairs().map(|(key, value)| (key.to_owned(), value.clone())).collect();
            let expected: Vec<_> = pairs.into_iter().map(|(key, value)| (key, groups::FilterValue::Bytes(value))).collect();
            assert_eq!(back, expected);
        }

        #[test]
        fn any_bytes_are_answered(raw in any::<Vec<u8>>()) {
            let _ = Query::parse(&raw);
        }
    }
}
