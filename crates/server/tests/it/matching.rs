//! Whether an answer is the recorded one: texts may hold symbols for what differs from run to run.

use regex::Regex;
use serde_json::Value;

/// The symbols that stand for any text of a form.
const FORMS: [(&str, &str); 9] = [
    ("timestamp", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("node", r"[A-Za-z0-9_-]{22}"),
    ("version", r"[^ ]+"),
    ("request_id", r"[0-9a-f]{32}"),
    ("cluster_id", r"[0-9a-f]{32}"),
    ("jwt", r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    ("md5", r"[0-9a-f]{32}"),
    ("hex", r"[0-9a-f]+"),
    ("gregorian", r"6\d{10}"),
];

/// Whether a text is of the recorded form.
pub(crate) fn text_matches(expected: &str, actual: &str) -> bool {
    expected == actual || (expected.contains("{{") && pattern(expected).is_match(actual))
}

fn pattern(expected: &str) -> Regex {
    let symbol = Regex::new(r"\{\{([^}]*)\}\}").unwrap();
    let mut pattern = String::from("(?s)^");
    let mut end = 0;
    for found in symbol.captures_iter(expected) {
        let whole = found.get(0).unwrap();
        pattern.push_str(&regex::escape(&expected[end..whole.start()]));
        pattern.push_str(&form(&found[1]));
        end = whole.end();
    }
    pattern.push_str(&regex::escape(&expected[end..]));
    pattern.push('$');
    Regex::new(&pattern).unwrap()
}

fn form(symbol: &str) -> String {
    if let Some(generation) = symbol.strip_prefix("rev/") {
        return format!("{generation}-[0-9a-f]{{32}}");
    }
    if symbol == "int" {
        return r"-?\d+".to_owned();
    }
    if symbol.starts_with("id:") {
        return "[0-9a-f]{32}".to_owned();
    }
    let found = FORMS.iter().find(|(name, _)| *name == symbol);
    found.unwrap_or_else(|| panic!("the recordings use an unknown symbol {symbol:?}")).1.to_owned()
}

/// The first difference from the recorded value, with its path. `None` if there is none.
pub(crate) fn difference(path: &str, expected: &Value, actual: &Value) -> Option<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let missing = expected.keys().find(|key| !actual.contains_key(*key));
            let surplus = actual.keys().find(|key| !expected.contains_key(*key));
            if let Some(key) = missing {
                return Some(format!("{path}.{key} is missing"));
            }
            if let Some(key) = surplus {
                return Some(format!("{path}.{key} is not recorded, here {}", actual[key]));
            }
            expected.iter().find_map(|(key, value)| difference(&format!("{path}.{key}"), value, &actual[key]))
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            let pairs = expected.iter().zip(actual).enumerate();
            pairs.into_iter().find_map(|(place, (e, a))| difference(&format!("{path}[{place}]"), e, a))
        }
        (Value::Number(expected), Value::Number(actual)) if numbers_equal(expected, actual) => None,
        (Value::String(expected), Value::String(actual)) if text_matches(expected, actual) => None,
        (Value::String(expected), Value::Number(actual)) if expected.starts_with("{{") => {
            (!text_matches(expected, &actual.to_string())).then(|| format!("{path}: {expected} is {actual}"))
        }
        (expected, actual) if expected == actual => None,
        (expected, actual) => Some(format!("{path}: recorded {expected}, here {actual}")),
    }
}

/// Numbers are equal by value; integers of any size exactly.
fn numbers_equal(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    let (a_text, b_text) = (a.to_string(), b.to_string());
    let is_integer = |text: &str| !text.contains(['.', 'e', 'E']);
    if is_integer(&a_text) && is_integer(&b_text) {
        return a_text == b_text;
    }
    a.as_f64() == b.as_f64()
}
