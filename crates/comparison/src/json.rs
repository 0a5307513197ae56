//! Differences of JSON values: objects without order, numbers by value.

use serde_json::{Number, Value};

use crate::difference::{Difference, What};
use crate::symbols::text_matches;

/// How the texts of the expected value are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// They may hold symbols, as recordings do.
    WithSymbols,
    /// They are as they stand.
    Literal,
}

/// The first difference from the expected value. `place` is the path of the value.
#[must_use]
pub fn difference(place: &str, expected: &Value, actual: &Value, texts: Texts) -> Option<Difference> {
    let mut search = Search { texts, place: place.to_owned() };
    search.look(expected, actual)
}

struct Search {
    texts: Texts,
    place: String,
}

impl Search {
    fn look(&mut self, expected: &Value, actual: &Value) -> Option<Difference> {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                let missing = expected.keys().find(|key| !actual.contains_key(*key));
                let surplus = actual.keys().find(|key| !expected.contains_key(*key));
                if let Some(key) = missing {
                    return self.at(&format!(".{key}"), |search| search.found(What::Missing));
                }
                if let Some(key) = surplus {
                    return self.at(&format!(".{key}"), |search| search.found(What::Surplus));
                }
                expected.iter().find_map(|(key, value)| {
                    let other = actual.get(key)?;
                    self.at(&format!(".{key}"), |search| search.look(value, other))
                })
            }
            (Value::Array(expected), Value::Array(actual)) => {
                let mut pairs = expected.iter().zip(actual).enumerate();
                let inside = pairs
                    .find_map(|(place, (e, a))| self.at(&format!("[{place}]"), |search| search.look(e, a)));
                inside.or_else(|| {
                    (expected.len() != actual.len()).then(|| {
                        let items = |count| format!("{count} items");
                        Difference::of_values(&self.place, items(expected.len()), items(actual.len()))
                    })
                })
            }
            (Value::Number(expected), Value::Number(actual)) if numbers_equal(expected, actual) => None,
            (Value::String(expected), Value::String(actual)) if self.is_same(expected, actual) => None,
            (Value::String(expected), Value::Number(actual))
                if expected.starts_with("{{") && self.is_same(expected, &actual.to_string()) =>
            {
                None
            }
            (expected, actual) if expected == actual => None,
            (expected, actual) => Some(Difference::of_values(&self.place, Short(expected), Short(actual))),
        }
    }

    fn found(&self, what: What) -> Option<Difference> {
        Some(Difference::new(&self.place, what))
    }

    /// Looks at a value inside.
    fn at<T>(&mut self, part: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.place.len();
        self.place.push_str(part);
        let found = look(self);
        self.place.truncate(length);
        found
    }

    fn is_same(&self, expected: &str, actual: &str) -> bool {
        match self.texts {
            Texts::WithSymbols => text_matches(expected, actual) == Some(true),
            Texts::Literal => expected == actual,
        }
    }
}

/// A value as JSON. A list or an object is shown by its kind alone: it may be large.
struct Short<'a>(&'a Value);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Value::Array(items) => write!(f, "a list of {} items", items.len()),
            Value::Object(members) => write!(f, "an object of {} members", members.len()),
            other => write!(f, "{other}"),
        }
    }
}

/// Whether the members of two objects have another order.
#[must_use]
pub fn order_difference<'a>(
    place: &str,
    expected: impl IntoIterator<Item = &'a str>,
    actual: impl IntoIterator<Item = &'a str>,
) -> Option<Difference> {
    let expected: Vec<_> = expected.into_iter().collect();
    let actual: Vec<_> = actual.into_iter().collect();
    let order = format!("the order of {place}");
    (expected != actual).then(|| Difference::of_values(&order, expected.join(", "), actual.join(", ")))
}

/// Numbers are equal by value; integers of any size exactly.
fn numbers_equal(a: &Number, b: &Number) -> bool {
    let (a_text, b_text) = (a.to_string(), b.to_string());
    let is_integer = |text: &str| !text.contains(['.', 'e', 'E']);
    if is_integer(&a_text) && is_integer(&b_text) {
        return a_text == b_text;
    }
    a.as_f64() == b.as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Texts, difference};

    fn check(expected: Value, actual: Value, place: Option<&str>) {
        let found = difference("body", &expected, &actual, Texts::Literal);
        assert_eq!(found.as_ref().map(super::Difference::place), place, "{expected} {actual}");
    }

    #[test]
    fn the_first_difference_has_a_path() {
        check(json!({"a": 1, "b": [1, {"c": "x"}]}), json!({"b": [1.0, {"c": "x"}], "a": 1}), None);
        check(json!({"b": [1, {"c": "x"}]}), json!({"b": [1, {"c": "y"}]}), Some("body.b[1].c"));
        check(json!({"b": [1]}), json!({"b": [1, 2]}), Some("body.b"));
        check(json!({"b": [1, 2]}), json!({"b": [3]}), Some("body.b[0]"));
        check(json!({"a": 1}), json!({}), Some("body.a"));
        check(json!({}), json!({"a": 1}), Some("body.a"));
        check(json!(18_446_744_073_709_551_615_u64), json!(18_446_744_073_709_551_614_u64), Some("body"));
        check(json!("{{int}}"), json!("1"), Some("body"));
        check(json!("{{int}}"), json!(1), Some("body"));
        check(json!(null), json!(false), Some("body"));
    }

    #[test]
    fn recorded_texts_may_hold_symbols() {
        let recorded = json!({"t": "{{int}}", "u": "{{md5}}"});
        let look = |actual| difference("body", &recorded, &actual, Texts::WithSymbols);
        assert_eq!(look(json!({"t": 5, "u": "0123456789abcdef0123456789abcdef"})), None);
        assert!(look(json!({"t": 5, "u": "x"})).is_some());
    }
}
