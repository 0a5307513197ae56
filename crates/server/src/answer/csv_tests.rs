//! The bytes of CSV and its limits. A second, independent reader reads the CSV back.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{FORMULA_STARTS, Formulas, MAX_COLUMNS, MAX_NAMES, heading};
use crate::request::api_version::ApiVersion;

fn render(rows: &[Value]) -> Result<Vec<u8>, super::Refusal> {
    super::render(rows, Formulas::Kept)
}

fn text(data: &Value) -> String {
    text_with(data, Formulas::Kept)
}

fn text_with(data: &Value, formulas: Formulas) -> String {
    let rows = match data {
        Value::Array(rows) => rows.as_slice(),
        row => std::slice::from_ref(row),
    };
    let csv = super::render(rows, formulas).expect("the CSV is narrow enough");
    String::from_utf8(csv).expect("CSV is text")
}

fn check(data: &Value, expected: &str) {
    assert_eq!(text(data), expected);
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
    check(&json!([{"a": 1, "b": 1}, {}, {"a": 2}]), "\"a\",\"b\"\n\"1\",\"1\"\n,\n\"2\",\n");
}

#[test]
fn members_that_have_one_name_are_bounded_as_columns_are() {
    let twice = |count: usize| {
        let inner: Map<_, _> = (0..count).map(|n| (format!("b_{n}"), json!(1))).collect();
        let other: Map<_, _> = (0..count).map(|n| (n.to_string(), json!(2))).collect();
        json!({"a": inner, "a_b": other})
    };
    assert!(render(&[twice(MAX_COLUMNS / 2)]).is_ok());
    assert!(render(&[twice(MAX_COLUMNS / 2 + 1)]).is_err());
    assert!(render(&vec![twice(MAX_COLUMNS / 2); 3]).is_ok());
}

#[test]
fn of_two_leaves_with_one_name_the_later_counts() {
    check(&json!({"a_b": 1, "c": 2, "a": {"b": 3}}), "\"a_b\",\"c\"\n\"3\",\"2\"\n");
    check(&json!({"": {"a": 1}, "b": {"": 2}}), "\"a\",\"b_\"\n\"1\",\"2\"\n");
}

#[test]
fn values_inside_lists_are_joined_and_quoted() {
    check(
        &json!({"l": ["a\"", [1, 1e20], {"k": "v"}, null, true]}),
        "\"l\"\n\"a\"\",1,1.0e+20,{\"\"k\"\":\"\"v\"\"},null,true\"\n",
    );
}

#[test]
fn formulas_are_disarmed_only_on_request() {
    for (cell, disarmed) in [
        (json!("=1+1"), "'=1+1"),
        (json!("+14155550100"), "'+14155550100"),
        (json!("-x"), "'-x"),
        (json!("@x"), "'@x"),
        (json!("\tx"), "'\tx"),
        (json!("\rx"), "'\rx"),
        (json!(["=x", "y"]), "'=x,y"),
        (json!([["=x"], "y"]), "'=x,y"),
        (json!([-1, "x"]), "'-1,x"),
        (json!(-1), "-1"),
        (json!("x=1"), "x=1"),
        (json!(" =1"), " =1"),
        (json!(["", "=x"]), ",=x"),
        (json!([]), ""),
        (json!(""), ""),
    ] {
        let row = json!({"a": cell});
        assert_eq!(text_with(&row, Formulas::Disarmed), format!("\"a\"\n\"{disarmed}\"\n"), "{cell}");
        let kept = disarmed.strip_prefix('\'').unwrap_or(disarmed);
        check(&row, &format!("\"a\"\n\"{kept}\"\n"));
    }
    // Clients choose the headings, too.
    assert_eq!(text_with(&json!({"=a": {"b": 1}}), Formulas::Disarmed), "\"'=a_b\"\n\"1\"\n");
}

#[test]
fn the_number_of_columns_is_bounded() {
    let row =
        |count: usize| -> Value { Value::Object((0..count).map(|n| (format!("c{n}"), json!(n))).collect()) };
    let refused = |rows: &[Value]| match render(rows) {
        Err(refusal) => {
            let text = refusal.text(ApiVersion::V2).expect("a refusal with a body");
            text.data["accept"]["maxColumns"]["message"].to_string()
        }
        Ok(csv) => panic!("{} bytes of CSV", csv.len()),
    };
    assert!(render(&[row(MAX_COLUMNS)]).is_ok());
    assert!(refused(&[row(MAX_COLUMNS + 1)]).contains("at most 1000 columns"));
    assert!(refused(&[row(MAX_COLUMNS), json!({"one more": 1})]).contains("ask for JSON"));
    // A long key counts for each of its members.
    let long = |count: usize| json!({ ("k".repeat(MAX_NAMES / 10 - 3)): row(count) });
    assert!(render(&[long(10)]).is_ok());
    refused(&[long(11)]);
}

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
    fn no_text_of_disarmed_csv_is_a_formula(rows in vec(any::<String>(), 1..5)) {
        let row: Value = json!({"a": rows, "b": rows.first()});
        let csv = text_with(&row, Formulas::Disarmed);
        for cell in csv.strip_prefix("\"a\",\"b\"\n").expect("the headings").split("\",\"") {
            let cell = cell.trim_start_matches('"');
            let is_own = rows.first().is_some_and(|first| first.starts_with(FORMULA_STARTS));
            assert!(!is_own || cell.starts_with('\'') || !cell.starts_with(FORMULA_STARTS), "{csv}");
        }
    }

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
        prop_assert_eq!(read(&text(&data)), expected);
    }
}
