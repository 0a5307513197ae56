//! Fills in defaults before a document is checked.

use serde_json::{Map, Value};

/// Adds the default of each member that is missing, in the order of the schema. A member that is `null` is
/// not missing.
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
