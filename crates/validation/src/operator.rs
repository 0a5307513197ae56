//! What a schema of an operator may hold, beside what every schema may. An operator may write any schema for Kazoo; a
//! client must not be able to make this program work long with it, and no group may pass here that Kazoo refuses.

use regex::RegexBuilder;
use serde_json::Value;

use crate::error::SchemaError;
use crate::valico_validator::{OTHER_ESCAPE, with_ascii_words};

/// The largest schema, in bytes of JSON. Kazoo's own has less than 1 kB. Defaults in it become part of groups.
const MOST_BYTES: usize = 64 * 1024;

/// The most values in an `enum`, and names in `required`. Each value that is checked is compared with all of them.
const MOST_LISTED: usize = 100;

/// The longest regular expression, in bytes, and the largest automaton that one may need.
const MOST_PATTERN: usize = 1_000;
const MOST_AUTOMATON: usize = 256 * 1024;

/// How deep a schema may go into a document.
const MOST_DEPTH: usize = 20;

/// Refuses what costs too much, and what Kazoo does otherwise.
pub(crate) fn check(schema: &Value) -> Result<(), SchemaError> {
    if schema.to_string().len() > MOST_BYTES {
        return Err(dear(&format!("more than {MOST_BYTES} bytes"), ""));
    }
    check_part("", schema, 0)
}

fn check_part(path: &str, schema: &Value, depth: usize) -> Result<(), SchemaError> {
    if depth > MOST_DEPTH {
        return Err(dear("more levels than groups have", path));
    }
    let Some(keywords) = schema.as_object() else { return Ok(()) };
    for (keyword, value) in keywords {
        match keyword.as_str() {
            "properties" if !value.is_object() => {
                return Err(SchemaError::Invalid { reason: format!("properties at {path:?} is no object") });
            }
            "properties" => {
                for (name, below) in value.as_object().into_iter().flatten() {
                    check_part(&format!("{path}/{name}"), below, depth + 1)?;
                }
            }
            "items" => check_part(&format!("{path}/items"), value, depth + 1)?,
            // Kazoo turns texts into numbers and booleans where the schema asks for these.
            "type" if value == "number" || value == "boolean" => {
                let keyword =
                    format!("type {} (Kazoo turns texts into it)", value.as_str().unwrap_or_default());
                return Err(SchemaError::Unsupported { keyword, path: path.to_owned() });
            }
            "enum" | "required" if value.as_array().is_some_and(|listed| listed.len() > MOST_LISTED) => {
                return Err(dear(&format!("more than {MOST_LISTED} values of {keyword}"), path));
            }
            "pattern" => check_pattern(path, value.as_str().unwrap_or_default())?,
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a regular expression that cannot be matched in linear time, or whose meaning differs from Kazoo's.
fn check_pattern(path: &str, pattern: &str) -> Result<(), SchemaError> {
    if pattern.len() > MOST_PATTERN {
        return Err(dear(&format!("a pattern of more than {MOST_PATTERN} bytes"), path));
    }
    let unsupported =
        |keyword: &str| SchemaError::Unsupported { keyword: keyword.to_owned(), path: path.to_owned() };
    let Some(written_out) = with_ascii_words(pattern) else { return Err(unsupported(OTHER_ESCAPE)) };
    let is_possessive = ["++", "*+", "?+", "}+"].iter().any(|quantifier| pattern.contains(quantifier));
    let looks_around = pattern.match_indices("(?").any(|(place, _)| {
        let behind = place.saturating_add(2);
        !pattern.get(behind..).is_some_and(|rest| rest.starts_with(':'))
    });
    if is_possessive || looks_around {
        return Err(unsupported(
            "a pattern with a possessive quantifier or a group that begins with (? but not with (?:",
        ));
    }
    match RegexBuilder::new(&written_out).size_limit(MOST_AUTOMATON).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err(dear("a pattern that needs a large automaton", path)),
        Err(error) => Err(SchemaError::Invalid { reason: format!("the pattern at {path:?}: {error}") }),
    }
}

fn dear(what: &str, path: &str) -> SchemaError {
    SchemaError::Dear { what: what.to_owned(), path: path.to_owned() }
}
