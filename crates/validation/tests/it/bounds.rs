//! A check stops early, and its answer repeats little of what was sent.

use serde_json::{Map, Value, json};
use validation::{MAX_ECHO, MAX_PROBLEMS, Schema, Violations};

fn violations(schema: &Schema, document: Value) -> Map<String, Value> {
    let Value::Object(mut members) = document else { panic!("objects only") };
    let violations = schema.check(&mut members).unwrap_err();
    assert!(violations.echoed_bytes() <= MAX_ECHO);
    match violations.to_value() {
        Value::Object(by_path) => by_path,
        other => panic!("{other}"),
    }
}

fn key() -> String {
    "k".repeat(64)
}

#[test]
fn the_first_hundred_problems_are_reported() {
    let numbers: Vec<_> = (0..200).collect();
    let found = violations(&Schema::groups(), json!({"flags": numbers, "name": 7}));
    let expected: Vec<_> = (0..MAX_PROBLEMS).map(|place| format!("flags.{place}")).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
}

#[test]
fn the_first_hundred_surplus_members_are_reported() {
    let mut document: Map<_, _> = (0..200).map(|n| (format!("x{n}"), json!(n))).collect();
    document.insert("api_key".to_owned(), json!(key()));
    let found = violations(&Schema::api_auth(), Value::Object(document));
    assert_eq!(found.len(), MAX_PROBLEMS);
    assert!(found.contains_key("x0") && found.contains_key("x99"));
}

#[test]
fn values_are_repeated_until_the_room_is_used_up() {
    let name = "x".repeat(MAX_ECHO / 2 - 2);
    let details =
        |name: &str| violations(&Schema::groups(), json!({"name": name}))["name"]["maxLength"].clone();
    assert_eq!(
        details(&name),
        json!({
            "message": "String must not be more than 128 characters", "target": 128, "cause": name, "value": name,
        })
    );
    let without = json!({"message": "String must not be more than 128 characters", "target": 128});
    assert_eq!(details(&format!("{name}x")), without);
    // A small value still finds room after a large one.
    let large = "x".repeat(MAX_ECHO);
    let found = violations(&Schema::groups(), json!({"flags": [[large], 1], "name": "n"}));
    assert_eq!(found["flags.0"]["type"].get("value"), None);
    assert_eq!(found["flags.1"]["type"]["value"], 1);
}

#[test]
fn the_object_around_surplus_members_is_repeated_while_there_is_room() {
    let document = json!({"api_key": key(), "a": "x".repeat(5_000), "b": 1, "c": 2, "d": 3});
    let found = violations(&Schema::api_auth(), document.clone());
    let repeated: Vec<_> = found
        .iter()
        .filter(|(_, rules)| rules["additionalProperties"].get("value") == Some(&document))
        .collect();
    assert_eq!((found.len(), repeated.len()), (4, 3));
}

#[test]
fn a_long_name_of_a_surplus_member_is_cut() {
    let long = "é".repeat(1_000_000);
    let found = violations(&Schema::api_auth(), json!({"api_key": key(), (long): 1}));
    assert_eq!(found.keys().collect::<Vec<_>>(), [&format!("{}…", "é".repeat(256))]);
}

#[test]
fn violations_that_are_put_together_share_the_room() {
    let large = || Value::from("x".repeat(MAX_ECHO - 10));
    let mut violations = Violations::wrong_type("a", "object", large());
    violations.extend(Violations::wrong_type("b", "object", large()));
    let value = violations.to_value();
    assert_eq!(value["a"]["type"]["value"], large());
    assert_eq!(
        value["b"]["type"],
        json!({"message": "Value did not match type(s): object", "target": "object"})
    );
    assert_eq!(violations.echoed_bytes(), MAX_ECHO - 8);
}

#[test]
fn a_long_text_of_another_detail_is_shortened() {
    let details = [("message", json!("m".repeat(MAX_ECHO + 1))), ("target", json!("t".repeat(MAX_ECHO)))];
    let value = Violations::one("a", "invalid", details).to_value();
    assert_eq!(value["a"]["invalid"]["message"], format!("{}…", "m".repeat(256)));
    assert_eq!(value["a"]["invalid"]["target"], "t".repeat(MAX_ECHO));
}
