//! Query strings and forms, read as in cowboy: `+` is a space, `%XX` is a byte, and a key without `=` has
//! the value `true`.

use std::borrow::Cow;

use groups::FilterValue;
use serde_json::Value;

use super::percent::{BadEscape, Plus, decode};

/// One pair of a query string or a form.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    /// The decoded key. Every parameter's name is UTF-8, so a lossy key matches no parameter.
    pub(crate) key: Cow<'a, str>,
    /// The decoded value; `None` for a key without `=`.
    pub(crate) value: Option<Cow<'a, [u8]>>,
}

impl Pair<'_> {
    /// The value as JSON: a string, or `true` for a key without `=`.
    pub(crate) fn to_json(&self) -> Value {
        to_json(self.value.as_deref())
    }
}

/// Reads the pairs of a query string or a form one by one.
pub(crate) fn pairs(raw: &[u8]) -> impl Iterator<Item = Result<Pair<'_>, BadEscape>> {
    let texts = (!raw.is_empty()).then(|| raw.split(|byte| *byte == b'&'));
    texts.into_iter().flatten().map(|text| {
        let mut halves = text.splitn(2, |byte| *byte == b'=');
        let key = text_of(decode(halves.next().unwrap_or_default(), Plus::Space)?);
        let value = halves.next().map(|half| decode(half, Plus::Space)).transpose()?;
        Ok(Pair { key, value })
    })
}

/// The decoded pairs of a query string in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query(Vec<(String, FilterValue)>);

impl Query {
    /// Reads a query string.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, BadEscape> {
        let pairs = pairs(raw).map(|pair| {
            let Pair { key, value } = pair?;
            let value = value.map_or(FilterValue::True, |bytes| FilterValue::Bytes(bytes.into_owned()));
            Ok((key.into_owned(), value))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// The pairs in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &FilterValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The first value of a key as JSON: a string, or `true` for a key without `=`.
    pub(crate) fn value(&self, key: &str) -> Option<Value> {
        let (_, value) = self.pairs().find(|(name, _)| *name == key)?;
        Some(to_json(match value {
            FilterValue::True => None,
            FilterValue::Bytes(bytes) => Some(bytes),
        }))
    }
}

fn to_json(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Bool(true), |bytes| Value::from(String::from_utf8_lossy(bytes)))
}

/// The text of bytes, without a copy if they are UTF-8.
fn text_of(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::Query;
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    /// Checks the value of every key.
    fn check(raw: &str, expected: &serde_json::Value) {
        let query = Query::parse(raw.as_bytes()).unwrap();
        let values: serde_json::Map<_, _> =
            query.pairs().map(|(key, _)| (key.to_owned(), query.value(key).unwrap())).collect();
        assert_eq!(json!(values), *expected, "{raw}");
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
