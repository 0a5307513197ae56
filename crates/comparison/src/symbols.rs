//! Symbols stand for texts that differ from answer to answer: `{{timestamp}}`, `{{md5}}`. Each has a form, and a text
//! must be of it.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// The symbols, and the texts of each form.
const FORMS: [(&str, &str); 10] = [
    ("timestamp", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("node", r"[A-Za-z0-9_-]{22}"),
    ("version", r"[^ ]+"),
    ("request_id", r"[0-9a-f]{32}"),
    ("cluster_id", r"[0-9a-f]{32}"),
    ("jwt", r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    ("md5", r"[0-9a-f]{32}"),
    ("hex", r"[0-9a-f]+"),
    ("gregorian", r"6\d{10}"),
    ("int", r"-?\d+"),
];

/// Whether a text is the expected one. Symbols in `expected` stand for any text of their form. `None` if a symbol is
/// unknown.
#[must_use]
pub fn text_matches(expected: &str, actual: &str) -> Option<bool> {
    if expected == actual {
        return Some(true);
    }
    if !expected.contains("{{") {
        return Some(false);
    }
    Some(pattern(expected)?.is_match(actual))
}

/// Whether a text has the form of a symbol.
pub(crate) fn is_of(symbol: &str, text: &str) -> bool {
    static PATTERNS: LazyLock<HashMap<&str, Option<Regex>>> = LazyLock::new(|| {
        FORMS.iter().map(|(name, _)| (*name, pattern(&format!("{{{{{name}}}}}")))).collect()
    });
    PATTERNS.get(symbol).and_then(Option::as_ref).is_some_and(|pattern| pattern.is_match(text))
}

fn pattern(expected: &str) -> Option<Regex> {
    let mut pattern = String::from("(?s)^");
    let mut rest = expected;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((symbol, after)) = behind.split_once("}}") else { break };
        pattern.push_str(&regex::escape(before));
        pattern.push_str(&form(symbol)?);
        rest = after;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    Regex::new(&pattern).ok()
}

fn form(symbol: &str) -> Option<String> {
    if let Some(generation) = symbol.strip_prefix("rev/") {
        return generation.parse::<u64>().ok().map(|generation| format!("{generation}-[0-9a-f]{{32}}"));
    }
    if symbol.starts_with("id:") {
        return Some("[0-9a-f]{32}".to_owned());
    }
    let (_, form) = FORMS.iter().find(|(name, _)| *name == symbol)?;
    Some((*form).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{FORMS, is_of, text_matches};

    #[test]
    fn symbols_stand_for_texts_of_their_form() {
        for (expected, actual, matches) in [
            ("plain", "plain", Some(true)),
            ("plain", "other", Some(false)),
            ("a.c", "abc", Some(false)),
            ("{{rev/2}}", "2-0123456789abcdef0123456789abcdef", Some(true)),
            ("{{rev/2}}", "3-0123456789abcdef0123456789abcdef", Some(false)),
            ("json_{{hex}}.csv", "json_a1.csv", Some(true)),
            ("json_{{hex}}.csv", "json_a1xcsv", Some(false)),
            ("{{int}} and {{int}}", "-1 and 20", Some(true)),
            ("{{timestamp}}", "2026-01-01T00:00:00Z\n", Some(false)),
            ("{{nothing}}", "x", None),
            ("{{open", "{{open", Some(true)),
            ("{{open", "x", Some(false)),
        ] {
            assert_eq!(text_matches(expected, actual), matches, "{expected} {actual}");
        }
    }

    #[test]
    fn every_form_can_be_used() {
        for (name, _) in FORMS {
            assert!(text_matches(&format!("{{{{{name}}}}}"), "").is_some(), "{name}");
            assert!(!is_of(name, " "), "{name}");
        }
        assert!(is_of("md5", "0123456789abcdef0123456789abcdef"));
    }
}
