//! Checks documents with the crate `valico`. Schemas may only use the features of draft 4 that valico gets
//! right.
//!
//! Valico has these faults: it refuses a schema with `"exclusiveMinimum": true`, it accepts any value for a
//! `$ref` that it cannot resolve, it does not know anchors (`"id": "#…"`), and it treats `1.0` as an
//! integer. So a schema that uses any of these features is refused when it is loaded.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use url::Url;
use valico::common::error::ValicoError;
use valico::json_schema::{SchemaVersion, Scope};

use crate::error::SchemaError;
use crate::validator::{Keyword, Problem, Validator};

/// Valico's error codes, and the schema keywords that they stand for.
const CODES: [(&str, Keyword); 6] = [
    ("required", Keyword::Required),
    ("wrong_type", Keyword::Type),
    ("min_length", Keyword::MinLength),
    ("max_length", Keyword::MaxLength),
    ("enum", Keyword::Enum),
    ("pattern", Keyword::Pattern),
];

/// The most unknown members that are reported. Each report repeats the whole object around the member.
const MOST_SURPLUS: usize = 16;

/// Keywords that do not restrict documents, and `default`, which is handled without valico.
const SILENT: [&str; 4] = ["$schema", "description", "default", "title"];

/// Keywords whose violations we can describe to clients.
const SPOKEN: [&str; 9] = [
    "type",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "minLength",
    "maxLength",
    "enum",
    "pattern",
];

/// A schema, checked with valico. A compiled schema cannot move between threads, so each thread compiles its
/// own on first use.
pub(crate) struct ValicoValidator {
    key: usize,
    schema: Value,
    /// The members that the root object may have, if the schema allows no others.
    allowed: Option<Vec<String>>,
}

struct Compiled {
    scope: Scope,
    /// The key of the schema in the scope.
    id: Url,
}

static NEXT_KEY: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COMPILED: RefCell<HashMap<usize, Compiled>> = RefCell::new(HashMap::new());
}

impl ValicoValidator {
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaError> {
        refuse_unsupported("", schema)?;
        let allowed = (schema.get("additionalProperties") == Some(&Value::Bool(false))).then(|| {
            let properties = schema.get("properties").and_then(Value::as_object);
            properties.into_iter().flat_map(|properties| properties.keys().cloned()).collect()
        });
        let schema = for_valico(schema.clone());
        compile(&schema)?;
        Ok(Self { key: NEXT_KEY.fetch_add(1, Ordering::Relaxed), schema, allowed })
    }
}

fn compile(schema: &Value) -> Result<Compiled, SchemaError> {
    let mut scope = Scope::without_formats(SchemaVersion::Draft7);
    let id = scope
        .compile(schema.clone(), true)
        .map_err(|error| SchemaError::Invalid { reason: error.to_string() })?;
    Ok(Compiled { scope, id })
}

impl Validator for ValicoValidator {
    #[allow(clippy::expect_used, reason = "`new` has compiled this very schema")]
    fn problems(&self, document: &Value) -> Vec<Problem> {
        let mut problems: Vec<_> = COMPILED.with_borrow_mut(|compiled| {
            let Compiled { scope, id } = compiled
                .entry(self.key)
                .or_insert_with(|| compile(&self.schema).expect("the schema was compiled before"));
            let state = scope.resolve(id).expect("the scope holds what it has compiled").validate(document);
            state.errors.iter().filter_map(|error| problem(&**error)).collect()
        });
        if let (Some(allowed), Value::Object(members)) = (&self.allowed, document) {
            let surplus = members.keys().filter(|key| !allowed.contains(key)).take(MOST_SURPLUS);
            problems.extend(
                surplus
                    .map(|key| Problem { path: vec![key.clone()], keyword: Keyword::AdditionalProperties }),
            );
        }
        problems
    }
}

/// Translates an error from valico. Unknown members are not translated, because valico does not name them;
/// `problems` finds them itself.
fn problem(error: &dyn ValicoError) -> Option<Problem> {
    let keyword = CODES.iter().find(|(code, _)| *code == error.get_code())?.1;
    let path = error.get_path().split('/').skip(1).map(str::to_owned).collect();
    Some(Problem { path, keyword })
}

/// Refuses a schema with features that valico gets wrong, or with keywords whose violations we cannot
/// describe. Otherwise a client could be refused without a reason.
fn refuse_unsupported(path: &str, schema: &Value) -> Result<(), SchemaError> {
    let unsupported =
        |keyword: &str| SchemaError::Unsupported { keyword: keyword.to_owned(), path: path.to_owned() };
    let Value::Object(keywords) = schema else { return Err(unsupported("a schema that is not an object")) };
    for (keyword, value) in keywords {
        match keyword.as_str() {
            "properties" => {
                for (name, below) in value.as_object().into_iter().flatten() {
                    // Valico does not escape slashes in paths.
                    if name.contains('/') {
                        return Err(unsupported("a property whose name has a slash"));
                    }
                    refuse_unsupported(&format!("{path}/{name}"), below)?;
                }
            }
            "pattern" if value.as_str().and_then(with_ascii_words).is_none() => {
                return Err(unsupported("a pattern with an escape other than \\w in brackets"));
            }
            "items" => refuse_unsupported(&format!("{path}/items"), value)?,
            "type" if value == "integer" => return Err(unsupported("type integer")),
            "type" if !value.is_string() => return Err(unsupported("a list of types")),
            "additionalProperties" if !value.is_boolean() || !path.is_empty() => {
                return Err(unsupported(keyword));
            }
            known if SPOKEN.contains(&known) || SILENT.contains(&known) => {}
            other => return Err(unsupported(other)),
        }
    }
    Ok(())
}

/// Replaces `\w` in a pattern by `0-9A-Za-z_`, because Erlang's `\w` matches only ASCII. This works inside
/// brackets only. Returns `None` if the pattern has any other escape.
fn with_ascii_words(pattern: &str) -> Option<String> {
    let mut written_out = String::with_capacity(pattern.len());
    let mut is_in_brackets = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if is_in_brackets && characters.next() == Some('w') => written_out.push_str("0-9A-Za-z_"),
            '\\' => return None,
            other => {
                is_in_brackets = other == '[' || (is_in_brackets && other != ']');
                written_out.push(other);
            }
        }
    }
    Some(written_out)
}

/// The schema as valico needs it: without the keywords in [`SILENT`] (valico refuses the draft that
/// `$schema` names), and with patterns that match as in Erlang.
fn for_valico(schema: Value) -> Value {
    let Value::Object(mut keywords) = schema else { return schema };
    for silent in SILENT {
        keywords.shift_remove(silent);
    }
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        for below in properties.values_mut() {
            *below = for_valico(below.take());
        }
    }
    if let Some(items) = keywords.get_mut("items") {
        *items = for_valico(items.take());
    }
    if let Some(Value::String(pattern)) = keywords.get_mut("pattern") {
        *pattern = with_ascii_words(pattern).unwrap_or_default();
    }
    Value::Object(keywords)
}
