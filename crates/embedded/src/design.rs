//! Reads the views out of a design document.

use std::sync::Arc;

use datastore::StoreError;
use serde_json::{Map, Value};

use crate::catalogue::MapSource;
use crate::error::invalid;
use crate::maps;

/// The name and map source of each view in a design document. There are none if the document's language is
/// not JavaScript. Reduces, filters, validation functions and lists stay in the document and never run.
///
/// # Errors
/// `Invalid` if CouchDB would refuse the shape of the views.
pub(crate) fn views(body: &Map<String, Value>) -> Result<Vec<(String, Arc<MapSource>)>, StoreError> {
    if body.get("language").is_some_and(|language| language != "javascript") {
        return Ok(Vec::new());
    }
    let views = match body.get("views") {
        None => return Ok(Vec::new()),
        Some(Value::Object(views)) => views,
        Some(_) => return Err(invalid("views is not an object")),
    };
    let mut sources = Vec::with_capacity(views.len());
    for (name, view) in views {
        // `lib` holds modules for `require`, which the sandbox does not offer. It is not a view.
        if name == "lib" {
            continue;
        }
        let Value::Object(view) = view else { return Err(invalid(format!("view {name} is not an object"))) };
        match view.get("map") {
            Some(Value::String(map)) => sources.push((name.clone(), maps::source(map.clone()))),
            Some(_) => {
                return Err(invalid(format!(
                    "the map of view {name} is not a string: join its lines into one"
                )));
            }
            None => {}
        }
    }
    Ok(sources)
}
