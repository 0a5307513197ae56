//! Violations in Kazoo's form: `{path: {rule: details}}`, with the messages that clients show to people.

use serde_json::map::Entry;
use serde_json::{Map, Value, json};

use crate::validator::{Keyword, Problem};

/// The errors in a document or request, by field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations(Map<String, Value>);

impl Violations {
    /// A single violation of `rule`. `path` must already be in Kazoo's form.
    #[must_use]
    pub fn one<'a>(path: &str, rule: &str, details: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let details = details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut violations = Self::default();
        violations.push(path.to_owned(), rule, details);
        violations
    }

    /// A value with the wrong type. `target` names the allowed type or types.
    #[must_use]
    pub fn wrong_type(path: &str, target: &str, value: Value) -> Self {
        Self::one(path, Keyword::Type.name(), wrong_type_details(target, value))
    }

    /// A required member that is missing. `value` is what Kazoo shows in the violation.
    #[must_use]
    pub fn missing(path: &str, value: Value) -> Self {
        Self::one(path, Keyword::Required.name(), missing_details(value))
    }

    /// Whether there are no violations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds other violations to these.
    pub fn extend(&mut self, others: Self) {
        for (path, rules) in others.0 {
            for (rule, details) in rules.as_object().into_iter().flatten() {
                self.push(path.clone(), rule, details.as_object().cloned().unwrap_or_default());
            }
        }
    }

    /// The violations as JSON, for the `data` member of an answer.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Turns problems into violations. The messages show limits from the schema and values from the document.
    pub(crate) fn describe(problems: &[Problem], schema: &Value, document: &Value) -> Self {
        let mut violations = Self::default();
        for problem in problems {
            let path: Vec<_> = problem.path.iter().map(|part| part.replace('.', "%2E")).collect();
            let details = details(problem, schema, document);
            violations.push(
                path.join("."),
                problem.keyword.name(),
                details.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            );
        }
        violations
    }

    fn push(&mut self, path: String, rule: &str, details: Map<String, Value>) {
        let rules = match self.0.entry(path) {
            Entry::Vacant(place) => place.insert(Value::Object(Map::new())),
            Entry::Occupied(place) => place.into_mut(),
        };
        if let Value::Object(rules) = rules {
            rules.insert(rule.to_owned(), Value::Object(details));
        }
    }
}

fn details(problem: &Problem, schema: &Value, document: &Value) -> Vec<(&'static str, Value)> {
    let value = value_at(document, &problem.path).unwrap_or_default();
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
            ("message", json!("Strict checking of data is enabled; only include schema-defined properties")),
            ("value", value_at(document, parent(&problem.path)).unwrap_or_default()),
        ],
    }
}

fn missing_details(value: Value) -> Vec<(&'static str, Value)> {
    vec![("message", json!("Field is required but missing")), ("value", value)]
}

fn wrong_type_details(target: &str, value: Value) -> Vec<(&'static str, Value)> {
    let message = format!("Value did not match type(s): {target}");
    vec![("message", json!(message)), ("target", json!(target)), ("value", value)]
}

fn with_target(message: String, target: Value, value: Value) -> Vec<(&'static str, Value)> {
    vec![("message", json!(message)), ("target", target), ("cause", value.clone()), ("value", value)]
}

fn without_cause(message: String, target: Value, value: Value) -> Vec<(&'static str, Value)> {
    vec![("message", json!(message)), ("target", target), ("value", value)]
}

fn parent(path: &[String]) -> &[String] {
    path.split_last().map_or(path, |(_, parent)| parent)
}

fn value_at(document: &Value, path: &[String]) -> Option<Value> {
    let mut here = document;
    for part in path {
        here = match here {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(here.clone())
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
