//! Checks documents with the crate `valico`. Schemas may only use the features of draft 4 that valico gets
//! right.
//!
//! Valico has these faults: it refuses a schema with `"exclusiveMinimum": true`, it accepts any value for a
//! `$ref` that it cannot resolve, it does not know anchors (`"id": "#…"`), and it treats `1.0` as an
//! integer. So a schema that uses any of these features is refused when it is loaded.
//!
//! Valico also collects every error before it returns, and it remembers the path of every value. So valico
//! checks one value at a time here, without the values inside. [`Search`] walks through the document and stops
//! when it has found enough.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use serde_json::Value;
use url::Url;
use valico::common::error::ValicoError;
use valico::json_schema::schema::ScopedSchema;
use valico::json_schema::{SchemaVersion, Scope};

use crate::error::SchemaError;
use crate::validator::{Keyword, MAX_PROBLEMS, Problem, Validator};

/// Valico's error codes, and the schema keywords that they stand for.
const CODES: [(&str, Keyword); 6] = [
    ("required", Keyword::Required),
    ("wrong_type", Keyword::Type),
    ("min_length", Keyword::MinLength),
    ("max_length", Keyword::MaxLength),
    ("enum", Keyword::Enum),
    ("pattern", Keyword::Pattern),
];

/// The most unknown members that are reported. A client that sends many does not need each by its name.
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

/// What a pattern may not hold.
pub(crate) const OTHER_ESCAPE: &str = "a pattern with an escape other than \\w in brackets";

/// Keywords about the values inside a value.
const STRUCTURE: [&str; 3] = ["properties", "items", "additionalProperties"];

/// A schema, checked with valico. A compiled schema cannot move between threads, so each thread compiles its
/// own on first use, and drops it after the schema was dropped.
pub(crate) struct ValicoValidator {
    key: usize,
    alive: Arc<()>,
    /// The rules of every part, as valico needs them.
    rules: Vec<Value>,
    root: Part,
}

/// The part of a schema that describes one value, and the parts for the values inside it.
struct Part {
    /// The place of the value's own rules in the list of rules.
    rules: usize,
    members: HashMap<String, Part>,
    items: Option<Box<Part>>,
    /// Whether an object may only have the members above.
    is_closed: bool,
}

struct Compiled {
    /// Whether anybody has the schema still.
    alive: Weak<()>,
    scope: Scope,
    /// The keys of the rules in the scope, in the order of the rules.
    ids: Vec<Url>,
}

static NEXT_KEY: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COMPILED: RefCell<HashMap<usize, Compiled>> = RefCell::new(HashMap::new());
}

impl ValicoValidator {
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaError> {
        refuse_unsupported("", schema)?;
        let mut rules = Vec::new();
        let root = Part::of(schema, &mut rules);
        let alive = Arc::default();
        compile(&rules, &alive)?;
        Ok(Self { key: NEXT_KEY.fetch_add(1, Ordering::Relaxed), alive, rules, root })
    }
}

impl Part {
    /// Splits a schema into parts. `rules` receives the rules of each part.
    fn of(schema: &Value, rules: &mut Vec<Value>) -> Self {
        let place = rules.len();
        rules.push(own_rules(schema));
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        Self {
            rules: place,
            members: properties.map(|(name, below)| (name.clone(), Self::of(below, rules))).collect(),
            items: schema.get("items").map(|below| Box::new(Self::of(below, rules))),
            is_closed: schema.get("additionalProperties") == Some(&Value::Bool(false)),
        }
    }
}

fn compile(rules: &[Value], alive: &Arc<()>) -> Result<Compiled, SchemaError> {
    let mut scope = Scope::without_formats(SchemaVersion::Draft7);
    let ids = rules.iter().map(|rules| scope.compile(rules.clone(), true)).collect::<Result<_, _>>();
    let alive = Arc::downgrade(alive);
    Ok(Compiled {
        alive,
        ids: ids.map_err(|error| SchemaError::Invalid { reason: error.to_string() })?,
        scope,
    })
}

impl Validator for ValicoValidator {
    #[allow(clippy::expect_used, reason = "`new` has compiled these very rules")]
    fn problems(&self, document: &Value) -> Vec<Problem> {
        COMPILED.with_borrow_mut(|compiled| {
            if !compiled.contains_key(&self.key) {
                compiled.retain(|_, other| other.alive.strong_count() > 0);
            }
            let Compiled { scope, ids, .. } = compiled.entry(self.key).or_insert_with(|| {
                compile(&self.rules, &self.alive).expect("the rules were compiled before")
            });
            let rules = ids.iter().map(|id| scope.resolve(id).expect("the scope holds what it has compiled"));
            let mut search = Search { rules: rules.collect(), path: Vec::new(), found: Vec::new() };
            search.check(&self.root, document);
            search.found
        })
    }
}

/// A search for problems in one document.
struct Search<'a> {
    rules: Vec<ScopedSchema<'a>>,
    /// The path of the value that is checked.
    path: Vec<String>,
    found: Vec<Problem>,
}

impl Search<'_> {
    /// Checks the values inside a value, and then the value itself.
    fn check(&mut self, part: &Part, value: &Value) {
        match (value, &part.items) {
            (Value::Object(members), _) if !part.members.is_empty() => {
                for (key, inner) in members {
                    if let Some(below) = part.members.get(key) {
                        self.check_inside(below, inner, key.clone());
                    }
                }
            }
            (Value::Array(items), Some(below)) => {
                for (place, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    self.check_inside(below, item, place.to_string());
                }
            }
            _ => {}
        }
        self.check_alone(part, value);
        if let (Value::Object(members), true) = (value, part.is_closed) {
            let surplus = members.keys().filter(|key| !part.members.contains_key(*key));
            for key in surplus.take(MOST_SURPLUS) {
                self.push(Some(key.clone()), Keyword::AdditionalProperties);
            }
        }
    }

    fn check_inside(&mut self, part: &Part, value: &Value, key: String) {
        self.path.push(key);
        self.check(part, value);
        self.path.pop();
    }

    /// Checks a value without the values inside it.
    fn check_alone(&mut self, part: &Part, value: &Value) {
        let Some(rules) = self.rules.get(part.rules) else { return };
        let errors = rules.validate(value).errors;
        let mut problems: Vec<_> = errors.iter().filter_map(|error| problem(&**error)).collect();
        // Valico applies its rules in any order.
        problems.sort_by_key(|(keyword, _)| *keyword);
        for (keyword, member) in problems {
            self.push(member, keyword);
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MAX_PROBLEMS
    }

    /// Adds a problem of the current value, or of one of its members.
    fn push(&mut self, member: Option<String>, keyword: Keyword) {
        if !self.is_full() {
            let path = self.path.iter().cloned().chain(member).collect();
            self.found.push(Problem { path, keyword });
        }
    }
}

/// Translates an error from valico. The error of a required member has the path of that member.
fn problem(error: &dyn ValicoError) -> Option<(Keyword, Option<String>)> {
    let keyword = CODES.iter().find(|(code, _)| *code == error.get_code())?.1;
    Some((keyword, error.get_path().strip_prefix('/').map(str::to_owned)))
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
                    refuse_unsupported(&format!("{path}/{name}"), below)?;
                }
            }
            "pattern" if value.as_str().and_then(with_ascii_words).is_none() => {
                return Err(unsupported(OTHER_ESCAPE));
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
pub(crate) fn with_ascii_words(pattern: &str) -> Option<String> {
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

/// The rules of a schema for the value itself, as valico needs them: without the keywords in [`STRUCTURE`] and
/// [`SILENT`] (valico refuses the draft that `$schema` names), and with a pattern that matches as in Erlang.
fn own_rules(schema: &Value) -> Value {
    let keywords = schema.as_object().into_iter().flatten();
    let rules = keywords.filter(|(keyword, _)| {
        let keyword = keyword.as_str();
        !STRUCTURE.contains(&keyword) && !SILENT.contains(&keyword)
    });
    let rules = rules.map(|(keyword, value)| {
        let pattern = value.as_str().filter(|_| keyword == "pattern").and_then(with_ascii_words);
        (keyword.clone(), pattern.map_or_else(|| value.clone(), Value::from))
    });
    Value::Object(rules.collect())
}
