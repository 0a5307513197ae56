use datastore::{DocId, Document, Rev};
use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};
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

/// Other programs may store such documents.
#[test]
fn a_member_that_cannot_be_read_matches_nothing() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for bad in [deep.as_str(), "1e400", r#"["\ud800"]"#] {
        let rev = Rev::parse("1-0123456789abcdef0123456789abcdef").unwrap();
        let text = format!(r#"{{"_id":"g","_rev":"{rev}","bad":{bad},"good":1}}"#);
        let document = Document::new(DocId::parse("g").unwrap(), rev, text);
        let matches = |key: &str, value: &str| {
            let value = FilterValue::Bytes(value.as_bytes().to_vec());
            Filters::from_query([(key, &value)]).matches(&document)
        };
        for (key, value) in
            [("filter_bad", "x"), ("filter_not_bad", "x"), ("has_key", "bad"), ("key_missing", "bad")]
        {
            assert_eq!(matches(key, value).ok(), Some(false), "{key} on {bad}");
        }
        for (key, value) in [("filter_good", "1"), ("has_key", "good"), ("key_missing", "other")] {
            assert_eq!(matches(key, value).ok(), Some(true), "{key} on {bad}");
        }
    }
}

#[test]
fn of_two_equal_members_the_first_counts() {
    let rev = Rev::parse("1-0123456789abcdef0123456789abcdef").unwrap();
    let document = Document::new(DocId::parse("g").unwrap(), rev, r#"{"a":1,"b":2,"a":2}"#.to_owned());
    for (value, expected) in [("1", true), ("2", false)] {
        let value = FilterValue::Bytes(value.as_bytes().to_vec());
        assert_eq!(Filters::from_query([("filter_a", &value)]).matches(&document).unwrap(), expected);
    }
}

#[test]
fn lists_in_lists_are_compared_beside_the_outer_ones() {
    let doc = json!({"l": ["a", ["b", ["c"], "d"], "e"], "bad": ["x", ["y"], true, ["z", [1.5]], ["w"]]});
    let all = [
        ("filter_l", "abcde"),
        ("filter_l.2", "bcd"),
        ("filter_l.02", "bcd"),
        ("filter_l.2.2", "c"),
        ("filter_not_l.2.2", "b"),
        ("filter_l.2.2.1", "c"),
        ("filter_bad", ""),
        ("filter_bad.2", "y"),
        ("filter_bad.4", ""),
        ("filter_bad.4.1", "z"),
        ("filter_bad.4.2", ""),
        ("filter_bad.5", "w"),
    ];
    check(&all, &doc, true);
    let mut turned = all;
    turned.reverse();
    check(&turned, &doc, true);
    for place in 0..all.len() {
        let mut one_wrong = all;
        one_wrong[place].1 = "b";
        check(&one_wrong, &doc, all[place].0 == "filter_not_l.2.2");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (0..70u8).prop_map(Value::from),
        Just(json!(1.5)),
        "[aA0]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn conditions() -> impl Strategy<Value = (&'static str, String, &'static str)> {
    let path = "[ab](\\.([ab]|1|01|2)){0,3}";
    let kinds =
        proptest::sample::select(vec!["filter_", "filter_not_", "has_key", "key_missing", "has_value"]);
    (kinds, path, proptest::sample::select(vec!["", "a", "A", "0", "aa", "1.5", "[\"a\",\"0\"]"]))
}

proptest! {
    #[test]
    fn several_filters_hold_where_each_of_them_does(
        members in proptest::collection::btree_map("[ab]", values(), 0..3),
        conditions in proptest::collection::vec(conditions(), 1..5),
    ) {
        let document = Value::Object(members.into_iter().collect());
        let pairs: Vec<_> = conditions
            .iter()
            .map(|(kind, path, value)| match *kind {
                "filter_" | "filter_not_" => (format!("{kind}{path}"), FilterValue::Bytes(value.as_bytes().to_vec())),
                kind => (kind.to_owned(), FilterValue::Bytes(path.as_bytes().to_vec())),
            })
            .collect();
        let together = Filters::from_query(pairs.iter().map(|(key, value)| (key.as_str(), value)));
        let each = |(key, value): &(String, FilterValue)| {
            matches(&Filters::from_query([(key.as_str(), value)]), &document)
        };
        prop_assert_eq!(matches(&together, &document), pairs.iter().all(each));
    }
}
