//! Violations in Kazoo's form: `{path: {rule: details}}`, with the messages that clients show to people.
//! Together they repeat at most [`MAX_ECHO`](crate::MAX_ECHO) bytes of what the client sent.

use std::borrow::Cow;

use serde_json::map::Entry;
use serde_json::{Map, Value, json};

use crate::echo::{Room, shortened};
use crate::validator::{Keyword, Problem};

/// The details that repeat what the client sent. They are left out if there is no room for them.
const SENT: [&str; 2] = ["cause", "value"];

/// The errors in a document or request, by field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations {
    by_path: Map<String, Value>,
    room: Room,
}

/// The details of a violation.
type Details<'a> = Vec<(&'static str, Cow<'a, Value>)>;

impl Violations {
    /// A single violation of `rule`. `path` must already be in Kazoo's form. A long `value` is left out, and
    /// any other long text is shortened.
    #[must_use]
    pub fn one(path: &str, rule: &str, details: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let details = details.into_iter().map(|(name, value)| match value {
            Value::String(text) if !SENT.contains(&name) => (name, Cow::Owned(Value::from(shortened(text)))),
            other => (name, Cow::Owned(other)),
        });
        Self::of(path, rule, details.collect())
    }

    /// A value with the wrong type. `target` names the allowed type or types.
    #[must_use]
    pub fn wrong_type(path: &str, target: &str, value: Value) -> Self {
        Self::of(path, Keyword::Type.name(), wrong_type_details(target, Cow::Owned(value)))
    }

    /// A required member that is missing. `value` is what Kazoo shows in the violation.
    #[must_use]
    pub fn missing(path: &str, value: Value) -> Self {
        Self::of(path, Keyword::Required.name(), missing_details(value))
    }

    fn of(path: &str, rule: &str, details: Details<'_>) -> Self {
        let mut violations = Self::default();
        violations.push(path.to_owned(), rule, details);
        violations
    }

    /// Whether there are no violations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// How many bytes of what the client sent they repeat, as JSON.
    #[must_use]
    pub fn echoed_bytes(&self) -> usize {
        self.room.used()
    }

    /// Adds other violations to these.
    pub fn extend(&mut self, others: Self) {
        for (path, rules) in others.by_path {
            let Value::Object(rules) = rules else { continue };
            for (rule, details) in rules {
                if let Value::Object(details) = details {
                    let details = details.into_iter().map(|(name, value)| (name, Cow::Owned(value)));
                    self.push(path.clone(), &rule, details.collect());
                }
            }
        }
    }

    /// The violations as JSON, for the `data` member of an answer.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.by_path.clone())
    }

    /// Turns problems into violations. The messages show limits from the schema and values from the document.
    pub(crate) fn describe(problems: &[Problem], schema: &Value, document: &Value) -> Self {
        let mut violations = Self::default();
        // Every surplus member repeats the same object. If it does not fit once, it never will.
        let mut may_repeat_object = true;
        for problem in problems {
            let is_surplus = problem.keyword == Keyword::AdditionalProperties;
            let path: Vec<_> = problem.path.iter().map(|part| part.replace('.', "%2E")).collect();
            let mut path = path.join(".");
            let mut details = details(problem, schema, document);
            if is_surplus {
                // The client chose the name.
                path = violations.room.fitted(path);
                details.retain(|(name, _)| may_repeat_object || !SENT.contains(name));
            }
            may_repeat_object &= violations.push(path, problem.keyword.name(), details) || !is_surplus;
        }
        violations
    }

    /// Adds a violation. Values that the client sent are copied only if there is room for them. Returns whether
    /// there was.
    fn push<N>(&mut self, path: String, rule: &str, details: Vec<(N, Cow<'_, Value>)>) -> bool
    where
        N: AsRef<str> + Into<String>,
    {
        let is_sent = |name: &N| SENT.contains(&name.as_ref());
        let sent = details.iter().filter(|(name, _)| is_sent(name));
        let fits = self.room.fits(sent.map(|(_, value)| &**value));
        let kept = details.into_iter().filter(|(name, _)| fits || !is_sent(name));
        let kept = kept.map(|(name, value)| (name.into(), value.into_owned())).collect();
        let rules = match self.by_path.entry(path) {
            Entry::Vacant(place) => place.insert(Value::Object(Map::new())),
            Entry::Occupied(place) => place.into_mut(),
        };
        if let Value::Object(rules) = rules {
            rules.insert(rule.to_owned(), Value::Object(kept));
        }
        fits
    }
}

fn details<'a>(problem: &Problem, schema: &Value, document: &'a Value) -> Details<'a> {
    let value = value_at(document, &problem.path);
    let target = rule_at(schema, &problem.path, problem.keyword);
    match problem.keyword {
        Keyword::Required => missing_details(json!(problem.path.last())),
        Keyword::Type => wrong_type_details(target.as_str().unwrap_or_default(), value),
        Keyword::MinLength => {
            with_target(format!("String must be at least {target} characters"), target, value)
        }
        Keyword::MaxLength => {
            with_target(format!("String must not be more than {target} characters"), target, value)
        }
        // Kazoo gives no `cause` for the next two rules.
        Keyword::Enum => {
            without_cause("Value not found in enumerated list of values".to_owned(), target, value)
        }
        Keyword::Pattern => {
            let message = format!("Failed to match pattern '{}'", target.as_str().unwrap_or_default());
            without_cause(message, target, value)
        }
        Keyword::AdditionalProperties => vec![
            own("message", "Strict checking of data is enabled; only include schema-defined properties"),
            ("value", value_at(document, parent(&problem.path))),
        ],
    }
}

/// A detail that does not come from the client.
fn own<'a>(name: &'static str, value: impl Into<Value>) -> (&'static str, Cow<'a, Value>) {
    (name, Cow::Owned(value.into()))
}

fn missing_details<'a>(value: Value) -> Details<'a> {
    vec![own("message", "Field is required but missing"), ("value", Cow::Owned(value))]
}

fn wrong_type_details<'a>(target: &str, value: Cow<'a, Value>) -> Details<'a> {
    let message = format!("Value did not match type(s): {target}");
    vec![own("message", message), own("target", target), ("value", value)]
}

fn with_target(message: String, target: Value, value: Cow<'_, Value>) -> Details<'_> {
    vec![own("message", message), own("target", target), ("cause", value.clone()), ("value", value)]
}

fn without_cause(message: String, target: Value, value: Cow<'_, Value>) -> Details<'_> {
    vec![own("message", message), own("target", target), ("value", value)]
}

fn parent(path: &[String]) -> &[String] {
    path.split_last().map_or(path, |(_, parent)| parent)
}

fn value_at<'a>(document: &'a Value, path: &[String]) -> Cow<'a, Value> {
    let found = path.iter().try_fold(document, |here, part| match here {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    });
    found.map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

/// The value of a keyword in the part of the schema that describes `path`.
fn rule_at(schema: &Value, path: &[String], keyword: Keyword) -> Value {
    let mut here = Some(schema);
    for part in path {
        here = here.and_then(|schema| {
            let property = schema.get("properties").and_then(|properties| properties.get(part));
            property.or_else(|| schema.get("items"))
        });
    }
    here.and_then(|schema| schema.get(keyword.name())).cloned().unwrap_or_default()
}
