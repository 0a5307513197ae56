//! Defaults, filled in before anything is checked, in the order of the schema.

use serde_json::{Map, Value};

/// Gives a document the defaults of the members that it lacks; a `null` is no lack.
pub(crate) fn fill(document: &mut Map<String, Value>, schema: &Value) {
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    for (name, below) in properties {
        if let Some(default) = below.get("default") {
            document.entry(name).or_insert_with(|| default.clone());
        }
        if let Some(Value::Object(inner)) = document.get_mut(name) {
            fill(inner, below);
        }
    }
}
