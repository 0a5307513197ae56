//! A second, independent reader reads the CSV back.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{heading, render};

/// Reads lines of cells. A cell without quotes is `None`.
fn read(text: &str) -> Vec<Vec<Option<String>>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let cell = match rest.next_if_eq(&'"') {
            None => None,
            Some(_) => {
                let mut cell = String::new();
                loop {
                    match rest.next().expect("a quote is closed") {
                        '"' if rest.next_if_eq(&'"').is_none() => break Some(cell),
                        character => cell.push(character),
                    }
                }
            }
        };
        line.push(cell);
        match rest.next() {
            Some(',') => {}
            Some('\n') => lines.push(std::mem::take(&mut line)),
            other => panic!("{other:?} behind a cell"),
        }
    }
    assert!(line.is_empty(), "the last line ends");
    lines
}

/// A scalar. Texts have characters that need quoting.
fn scalar() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[\",\n\r a;é]{0,8}"];
    prop_oneof![4 => text.prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from), 1 => Just(json!(true))]
}

/// Flat rows whose columns overlap.
fn rows() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    let key = prop_oneof!["[a-d]", Just("id".to_owned()), "[\",\n]{1,3}"];
    let row = btree_map(key, scalar(), 1..6).prop_map(|members| members.into_iter().collect());
    vec(row, 1..8)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

proptest! {
    #[test]
    fn written_csv_is_read_back(rows in rows()) {
        let mut columns: Vec<String> = Vec::new();
        let mut expected = Vec::new();
        for row in &rows {
            let new: Vec<_> = row.keys().filter(|key| !columns.contains(key)).cloned().collect();
            columns.extend(new);
            let cells = columns.iter().map(|column| row.get(column).map(text_of));
            expected.push(cells.collect::<Vec<_>>());
        }
        expected.insert(0, columns.iter().map(|column| Some(heading(column).to_owned())).collect());
        let data = Value::Array(rows.into_iter().map(Value::Object).collect());
        prop_assert_eq!(read(&render(&data)), expected);
    }
}
