use datastore::{DocId, Document, Rev};
use serde_json::{Value, json};

use super::{FilterValue, Filters};

fn matches(filters: &Filters, document: &Value) -> bool {
    let rev = Rev::parse("1-0123456789abcdef0123456789abcdef").unwrap();
    let stored = Document::new(DocId::parse("g").unwrap(), rev, document.to_string());
    filters.matches(&stored).unwrap()
}

fn check(query: &[(&str, &str)], document: &Value, expected: bool) {
    let pairs: Vec<_> =
        query.iter().map(|(key, value)| (*key, FilterValue::Bytes(value.as_bytes().to_vec()))).collect();
    let filters = Filters::from_query(pairs.iter().map(|(key, value)| (*key, value)));
    assert_eq!(matches(&filters, document), expected, "{query:?} on {document}");
}

fn check_bare(key: &str, document: &Value, expected: bool) {
    let filters = Filters::from_query([(key, &FilterValue::True)]);
    assert_eq!(matches(&filters, document), expected, "{key} on {document}");
}

#[test]
fn values_compare_by_their_text() {
    let doc = json!({"n": 2, "f": 1.5, "b": true, "z": null, "s": "Group 1", "deep": {"a": {"b": "c"}}});
    for (key, value, expected) in [
        ("filter_n", "2", true),
        ("filter_n", "02", false),
        ("filter_f", "1.5", true),
        ("filter_b", "true", true),
        ("filter_b", "1", false),
        ("filter_z", "null", true),
        ("filter_s", "Group 1", true),
        ("filter_s", "group 1", false),
        ("filter_s", "Group", false),
        ("filter_deep.a.b", "c", true),
        ("filter_not_n", "2", false),
        ("filter_not_n", "3", true),
    ] {
        check(&[(key, value)], &doc, expected);
    }
}

#[test]
fn a_value_may_be_a_json_string_or_a_list_of_strings() {
    let doc = json!({"n": 1, "s": "Group 1"});
    check(&[("filter_s", "\"Group 1\"")], &doc, true);
    check(&[("filter_s", "[\"x\",\"Group 1\"]")], &doc, true);
    check(&[("filter_n", "[\"1\",\"3\"]")], &doc, true);
    check(&[("filter_n", "[1,3]")], &doc, false);
}

#[test]
fn a_missing_value_is_the_empty_text() {
    check(&[("filter_x", "")], &json!({}), true);
    check(&[("filter_not_x", "")], &json!({}), false);
    check(&[("filter_not_x", "y")], &json!({}), true);
}

#[test]
fn an_object_equals_nothing() {
    check(&[("filter_o", "{}")], &json!({"o": {}}), false);
    check(&[("filter_not_o", "{}")], &json!({"o": {}}), true);
}

#[test]
fn an_array_is_the_concatenation_of_its_strings_and_indexes_from_one() {
    check(&[("filter_l", "ab")], &json!({"l": ["a", "b"]}), true);
    check(&[("filter_l", "a")], &json!({"l": ["a", "b"]}), false);
    check(&[("filter_l", "A")], &json!({"l": [65]}), true);
    check(&[("filter_l", "")], &json!({"l": [{"a": 1}]}), true);
    check(&[("filter_l.1", "a")], &json!({"l": ["a", "b"]}), true);
    check(&[("filter_l.0", "a")], &json!({"l": ["a", "b"]}), false);
}

#[test]
fn a_path_through_a_scalar_drops_the_document() {
    let doc = json!({"name": "x", "l": ["a"]});
    for key in ["filter_name.x", "filter_not_name.x"] {
        check(&[(key, "")], &doc, false);
    }
    for key in ["has_key", "key_missing", "has_value", "value_missing"] {
        check(&[(key, "name.x")], &doc, false);
    }
    check(&[("key_missing", "l.1.x")], &doc, true);
}

#[test]
fn keys_and_values_can_be_asked_for() {
    let doc = json!({"nul": null, "empty": "", "zero": 0, "no": false, "undefined": "undefined", "one": 1});
    for (key, has_key, has_value) in [
        ("nul", true, false),
        ("empty", true, false),
        ("zero", true, false),
        ("no", true, true),
        ("undefined", true, false),
        ("one", true, true),
        ("none", false, false),
    ] {
        check(&[("has_key", key)], &doc, has_key);
        check(&[("key_missing", key)], &doc, !has_key);
        check(&[("has_value", key)], &doc, has_value);
        check(&[("value_missing", key)], &doc, !has_value);
    }
}

#[test]
fn stamps_are_inclusive_and_a_document_without_one_is_never_too_early() {
    let doc = json!({"pvt_created": 100});
    check(&[("created_from", "100"), ("created_to", "100")], &doc, true);
    check(&[("created_from", "101")], &doc, false);
    check(&[("created_to", "99")], &doc, false);
    check(&[("created_from", "100.4")], &doc, true);
    check(&[("created_from", "abc")], &doc, false);
    check(&[("modified_from", "1")], &doc, true);
    check(&[("modified_to", "99999999999")], &doc, false);
    let doc = json!({"pvt_created": 100, "pvt_modified": 200});
    check(&[("modified_from", "200"), ("modified_to", "200")], &doc, true);
    check(&[("modified_from", "201")], &doc, false);
    check(&[("modified_to", "199")], &doc, false);
}

#[test]
fn a_key_without_a_value_is_true() {
    check_bare("filter_even", &json!({"even": true}), true);
    check_bare("filter_even", &json!({"even": 1}), false);
    check_bare("has_key", &json!({"true": 1}), false);
    check_bare("created_from", &json!({"pvt_created": 1}), false);
}

#[test]
fn all_filters_must_hold_and_unknown_ones_are_ignored() {
    let doc = json!({"a": 1, "b": 2});
    check(&[("filter_a", "1"), ("filter_b", "2")], &doc, true);
    check(&[("filter_a", "1"), ("filter_a", "2")], &doc, false);
    check(&[("missing_value", "a"), ("has_keyfoo", "x"), ("q", "x")], &doc, true);
    for (keys, count) in
        [(vec![], 0), (vec!["q", "has_keyfoo"], 0), (vec!["has_key", "q", "filter_a", "has_key"], 3)]
    {
        let filters = Filters::from_query(keys.iter().map(|key| (*key, &FilterValue::True)));
        assert_eq!((filters.len(), filters.is_empty()), (count, count == 0), "{keys:?}");
    }
}

#[test]
fn undecodable_bytes_match_nothing() {
    let filters = Filters::from_query([("filter_a", &FilterValue::Bytes(vec![0xff]))]);
    assert!(!matches(&filters, &json!({"a": "\u{ff}"})));
}
