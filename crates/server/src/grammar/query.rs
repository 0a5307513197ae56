//! Query strings and forms, read as in cowboy: `+` is a space, `%XX` is a byte, and a key without `=` has
//! the value `true`.

use groups::FilterValue;
use serde_json::Value;

use super::percent::{BadEscape, Plus, decode};

/// The decoded pairs of a query string in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query(Vec<(String, FilterValue)>);

impl Query {
    /// Reads the pairs of a query string or a form body.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, BadEscape> {
        if raw.is_empty() {
            return Ok(Self::default());
        }
        let pairs = raw.split(|byte| *byte == b'&').map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let key = decode(halves.next().unwrap_or_default(), Plus::Space)?;
            let value = halves.next().map(|half| decode(half, Plus::Space)).transpose()?;
            let value = value.map_or(FilterValue::True, FilterValue::Bytes);
            // Every parameter's name is UTF-8, so a lossy key matches no parameter.
            Ok((text_of(key), value))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// The pairs in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &FilterValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The first value of a key as JSON: a string, or `true` for a key without `=`.
    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        self.pairs().find(|(name, _)| *name == key).map(|(_, value)| to_json(value))
    }

    /// All pairs as an object. If a key occurs twice, its first value counts.
    pub(crate) fn to_object(&self) -> serde_json::Map<String, Value> {
        let mut object = serde_json::Map::new();
        for (key, value) in self.pairs() {
            object.entry(key).or_insert_with(|| to_json(value));
        }
        object
    }

    /// Whether the whole text is a single key without a value.
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

/// The text of bytes, without a copy if they are UTF-8.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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
