//! Data as comma-separated values, flattened and quoted as in crossbar.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The columns whose headings differ from their names in the data, as in crossbar.
const HEADINGS: [(&str, &str); 5] = [
    ("id", "ID"),
    ("description", "Description"),
    ("amount", "Amount"),
    ("account_id", "Account ID"),
    ("account_name", "Account Name"),
];

/// The CSV of a listing's rows or of one document: a line of headings, then one line for each object.
///
/// Columns are ordered by their first appearance. A line ends with the last column that was known when the
/// line was written.
pub(crate) fn render(data: &Value) -> String {
    let objects: Vec<&Value> = match data {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    let mut columns: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    let mut lines = Vec::with_capacity(objects.len());
    for object in objects {
        let cells = flatten(object);
        for column in cells.keys() {
            if known.insert(column.clone()) {
                columns.push(column.clone());
            }
        }
        let line: Vec<_> =
            columns.iter().map(|column| cells.get(column).map_or_else(String::new, quote)).collect();
        lines.push(line.join(","));
    }
    let headings: Vec<_> = columns.iter().map(|column| quote(&Value::from(heading(column)))).collect();
    let mut text = headings.join(",");
    text.push('\n');
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn heading(column: &str) -> &str {
    HEADINGS.iter().find(|(name, _)| *name == column).map_or(column, |(_, heading)| heading)
}

/// The leaves of an object. The key of a leaf is its path, joined by `_`. An empty object has no leaves.
fn flatten(value: &Value) -> Map<String, Value> {
    let mut cells = Map::new();
    if let Value::Object(members) = value {
        push_members("", members, &mut cells);
    }
    cells
}

fn push_members(prefix: &str, members: &Map<String, Value>, cells: &mut Map<String, Value>) {
    for (key, value) in members {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}_{key}") };
        match value {
            Value::Object(inner) => push_members(&path, inner, cells),
            leaf => {
                cells.insert(path, leaf.clone());
            }
        }
    }
}

fn quote(cell: &Value) -> String {
    format!("\"{}\"", cell_text(cell).replace('"', "\"\""))
}

fn cell_text(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        Value::Number(number) => kazoo::term::number_text(number),
        Value::Array(items) => items.iter().map(cell_text).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Object(_) => cell.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::{Value, json};

    fn check(data: &Value, expected: &str) {
        assert_eq!(render(data), expected);
    }

    #[test]
    fn a_listing_has_a_line_for_each_group() {
        let row = json!({"id": "gc", "name": "n,\"c\"", "features": [], "endpoints": 0, "flags": ["x", "y"]});
        check(
            &json!([row]),
            "\"ID\",\"name\",\"features\",\"endpoints\",\"flags\"\n\"gc\",\"n,\"\"c\"\"\",\"\",\"0\",\"x,y\"\n",
        );
    }

    #[test]
    fn nested_members_are_columns_and_empty_objects_are_not() {
        check(
            &json!({"name": "Sales", "endpoints": {"d": {"type": "device"}}, "music_on_hold": {}, "id": "g"}),
            "\"name\",\"endpoints_d_type\",\"ID\"\n\"Sales\",\"device\",\"g\"\n",
        );
    }

    #[test]
    fn a_row_written_before_a_column_is_known_is_shorter() {
        check(&json!([{"a": 1}, {"b": 2}]), "\"a\",\"b\"\n\"1\"\n,\"2\"\n");
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
#[allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must stop, and says why")]
mod quoting_tests;
