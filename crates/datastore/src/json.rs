//! A strict JSON reader, and the escapes of texts. The reader refuses lone surrogates, numbers outside a float's range,
//! duplicate keys and deep nesting. Numbers keep their text, so integers of any size survive.
//!
//! `serde_json` alone does not suffice: it takes the last of two equal keys, and with
//! `arbitrary_precision` it reads an object with a magic key as a number. The tokens come from
//! `json-event-parser`.

use std::borrow::Cow;
use std::mem;

use json_event_parser::{JsonEvent, SliceJsonParser};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// The deepest nesting, counting the outermost object.
pub const MAX_DEPTH: usize = 127;

/// The most values in a text from a client, counting nested ones. A value can take two bytes of text and
/// far more memory.
pub const MAX_VALUES: usize = 250_000;

/// How many members or items are collected before an object or array is made, which then takes no more memory
/// than it needs. A map or list that grows from nothing has room for several values at once.
const FEW: usize = 8;

/// An object with so many members gets room at once for as many as a client's text may have. If it grew on, its
/// last step would need room for the old and the new list of all members.
const VERY_MANY: usize = 100_000;

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// An object has this key more than once.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// Values are nested more than [`MAX_DEPTH`] levels deep.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// There are more than [`MAX_VALUES`] values.
    #[error("more than {MAX_VALUES} values")]
    TooMany,
    /// An object is needed, and the value is something else.
    #[error("not a JSON object")]
    NotAnObject,
}

/// A text as JSON writes it, without its quotes. Most texts have nothing to escape.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    // Without an early end, the compiler looks at many bytes at once.
    let needs_escape = |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut quoted = Value::from(text).to_string();
    quoted.pop();
    quoted.remove(0);
    Cow::Owned(quoted)
}

/// Reads a value from a client. Duplicate keys are refused.
///
/// # Errors
/// [`JsonError`], the first that is met.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    Reader::new(text, Duplicates::Refuse).read()
}

/// Reads a value from a stored document. If a key occurs twice in an object, its first value counts, as in
/// Kazoo.
///
/// # Errors
/// [`JsonError`], the first that is met.
pub fn parse_stored(text: &str) -> Result<Value, JsonError> {
    Reader::new(text.as_bytes(), Duplicates::FirstWins).read()
}

/// Reads a stored object, with the rule of [`parse_stored`] for keys that occur twice.
///
/// # Errors
/// [`JsonError`], the first that is met.
pub fn parse_stored_object(text: &str) -> Result<Map<String, Value>, JsonError> {
    match parse_stored(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError::NotAnObject),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    Refuse,
    FirstWins,
}

/// An object or array that is still being read. While it has few members or items, they are the last ones on
/// the reader's stack.
enum Open {
    Object { key: String, first: usize, many: Map<String, Value> },
    Array { first: usize, many: Vec<Value> },
}

struct Reader<'a> {
    text: &'a [u8],
    tokens: SliceJsonParser<'a>,
    duplicates: Duplicates,
    open: Vec<Open>,
    members: Vec<(String, Value)>,
    items: Vec<Value>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], duplicates: Duplicates) -> Self {
        Self {
            text,
            tokens: SliceJsonParser::new(text),
            duplicates,
            open: Vec::new(),
            members: Vec::new(),
            items: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Value, JsonError> {
        // The tokeniser would skip a byte order mark, which JSON does not allow.
        if self.text.starts_with(b"\xef\xbb\xbf") {
            return Err(JsonError::Syntax("a byte order mark".to_owned()));
        }
        let mut whole = None;
        let mut values = 0_usize;
        loop {
            let event = self.tokens.parse_next().map_err(|error| JsonError::Syntax(error.to_string()))?;
            let value = match event {
                JsonEvent::Eof => return whole.ok_or_else(|| JsonError::Syntax("nothing there".to_owned())),
                JsonEvent::StartObject => {
                    let first = self.members.len();
                    self.enter(Open::Object { key: String::new(), first, many: Map::new() })?;
                    continue;
                }
                JsonEvent::StartArray => {
                    self.enter(Open::Array { first: self.items.len(), many: Vec::new() })?;
                    continue;
                }
                JsonEvent::ObjectKey(next) => {
                    if let Some(Open::Object { key, .. }) = self.open.last_mut() {
                        *key = next.into_owned();
                    }
                    continue;
                }
                JsonEvent::EndObject | JsonEvent::EndArray => match self.open.pop() {
                    Some(open) => self.close(open),
                    None => return Err(JsonError::Syntax("an end without a beginning".to_owned())),
                },
                JsonEvent::String(text) => Value::String(text.into_owned()),
                JsonEvent::Number(text) => Value::Number(number(&text)?),
                JsonEvent::Boolean(truth) => Value::Bool(truth),
                JsonEvent::Null => Value::Null,
            };
            values += 1;
            if values > MAX_VALUES && self.duplicates == Duplicates::Refuse {
                return Err(JsonError::TooMany);
            }
            match self.open.last_mut() {
                None => whole = Some(value),
                Some(Open::Array { first, many }) => add_item(&mut self.items, *first, many, value),
                Some(Open::Object { key, first, many }) => {
                    let refused = add_member(&mut self.members, *first, many, mem::take(key), value);
                    if let Some(key) = refused
                        && self.duplicates == Duplicates::Refuse
                    {
                        return Err(JsonError::DuplicateKey(key));
                    }
                }
            }
        }
    }

    fn close(&mut self, open: Open) -> Value {
        match open {
            Open::Object { first, many, .. } if many.is_empty() => {
                Value::Object(self.members.drain(first..).collect())
            }
            Open::Array { first, many } if many.is_empty() => {
                Value::Array(self.items.drain(first..).collect())
            }
            Open::Object { many, .. } => Value::Object(many),
            Open::Array { many, .. } => Value::Array(many),
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), JsonError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.open.push(open);
        Ok(())
    }
}

fn add_item(items: &mut Vec<Value>, first: usize, many: &mut Vec<Value>, value: Value) {
    if !many.is_empty() {
        many.push(value);
    } else if items.len() - first < FEW {
        items.push(value);
    } else {
        many.extend(items.drain(first..));
        many.push(value);
    }
}

/// Adds a member. If there is one with this key, it stays, and the key is returned.
fn add_member(
    members: &mut Vec<(String, Value)>,
    first: usize,
    many: &mut Map<String, Value>,
    key: String,
    value: Value,
) -> Option<String> {
    if many.is_empty() {
        if members.iter().skip(first).any(|(known, _)| *known == key) {
            return Some(key);
        }
        if members.len() - first < FEW {
            members.push((key, value));
            return None;
        }
        many.extend(members.drain(first..));
    }
    if many.len() == VERY_MANY {
        let mut roomy = Map::with_capacity(MAX_VALUES);
        roomy.extend(mem::take(many));
        *many = roomy;
    }
    match many.entry(key) {
        Entry::Vacant(place) => {
            place.insert(value);
            None
        }
        Entry::Occupied(place) => Some(place.key().clone()),
    }
}

/// Reads a number and keeps its text. A number outside a float's range (`1e400`) is refused, as in crossbar's
/// decoder. Integers may have any size.
fn number(text: &str) -> Result<Number, JsonError> {
    let bad = || JsonError::Syntax(format!("{} is out of range", text.chars().take(32).collect::<String>()));
    let is_integer = !text.contains(['.', 'e', 'E']);
    if !is_integer && !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(bad());
    }
    // The integer zero has no sign; the float zero has.
    let text = if text == "-0" { "0" } else { text };
    text.parse::<Number>().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::{FEW, JsonError, MAX_DEPTH, MAX_VALUES, VERY_MANY, escape, parse, parse_stored_object};
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::{Value, json};

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn numbers_keep_their_text() {
        let text = r#"{"a":12345678901234567890123,"b":1.0,"c":1e3,"d":-0.0,"e":1.50}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string().replace("1e+3", "1e3"), text);
    }

    #[test]
    fn an_object_with_very_many_members_keeps_them_in_order() {
        let member = |number: usize| format!("\"{number}\":{number}");
        let text = format!("{{{}}}", (0..=VERY_MANY + FEW).map(member).collect::<Vec<_>>().join(","));
        let written = parse(text.as_bytes()).unwrap().to_string();
        assert!(written == text);
        for again in [0, VERY_MANY - 1, VERY_MANY, VERY_MANY + FEW] {
            let twice = text.replacen('}', &format!(",{}}}", member(again)), 1);
            assert_eq!(parse(twice.as_bytes()), Err(JsonError::DuplicateKey(again.to_string())));
            assert_eq!(parse_stored_object(&twice).unwrap().len(), VERY_MANY + FEW + 1);
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\":1,}",
            "[1,]",
            "01",
            "1.",
            "+1",
            "NaN",
            "nul",
            "'a'",
            "\"\\ud800\"",
            "\"a\nb\"",
            "1 2",
            "/*c*/1",
            "\u{feff}1",
            "1e400",
            "-1e400",
            "\"\\x\"",
            "{a:1}",
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))),
                "{text:?}: {:?}",
                parse(text.as_bytes())
            );
        }
        assert!(parse(b"\"\xff\xfe\"").is_err());
    }

    #[test]
    fn duplicate_keys_are_refused_from_clients_and_the_first_counts_in_stored_text() {
        let text = r#"{"a":1,"\u0061":2}"#;
        assert_eq!(parse(text.as_bytes()), Err(JsonError::DuplicateKey("a".to_owned())));
        assert_eq!(Value::Object(parse_stored_object(text).unwrap()), json!({"a": 1}));
    }

    #[test]
    fn a_key_that_occurs_twice_is_found_in_objects_of_any_size() {
        for count in 1..=3 * FEW {
            let members: Vec<_> = (0..count).map(|number| format!(r#""k{number}":{number}"#)).collect();
            for twice in 0..count {
                let text = format!(r#"{{"before":[{{}}],"o":{{{},"k{twice}":"again"}}}}"#, members.join(","));
                assert_eq!(parse(text.as_bytes()), Err(JsonError::DuplicateKey(format!("k{twice}"))));
                let stored = parse_stored_object(&text).unwrap();
                assert_eq!(stored["o"].to_string(), format!("{{{}}}", members.join(",")));
            }
        }
    }

    #[test]
    fn small_lists_have_no_spare_room() {
        let read = parse(b"[[1],[1,2,3,4,5],[]]").unwrap();
        let lists = read.as_array().unwrap();
        for list in lists.iter().filter_map(Value::as_array).chain([lists]) {
            assert_eq!(list.capacity(), list.len());
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn the_number_of_values_from_a_client_is_bounded() {
        let zeros = |count| format!("{{\"a\":[{}0]}}", "0,".repeat(count - 1));
        // The list and the object count too.
        assert!(parse(zeros(MAX_VALUES - 2).as_bytes()).is_ok());
        assert_eq!(parse(zeros(MAX_VALUES - 1).as_bytes()), Err(JsonError::TooMany));
        assert!(parse_stored_object(&zeros(MAX_VALUES)).is_ok());
    }

    #[test]
    fn an_object_with_serde_jsons_magic_key_stays_an_object() {
        let text = r#"{"$serde_json::private::Number":"1"}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 48, 12, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..2 * FEW).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..2 * FEW)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_read_as_it_was(text in any::<String>()) {
            assert_eq!(format!("\"{}\"", escape(&text)), Value::from(text).to_string());
        }

        #[test]
        fn written_values_are_read_back(value in values()) {
            assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let ours = parse(&bytes);
            if ours.is_ok() {
                assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            }
        }
    }
}
