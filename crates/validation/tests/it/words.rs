//! Checks Kazoo's message for each rule.

use serde_json::{Value, json};
use validation::Schema;

fn check(schema: &Schema, document: Value, expected: Value) {
    let Value::Object(mut members) = document.clone() else { panic!("objects only") };
    let violations =
        schema.check(&mut members).map_or_else(|violations| violations.to_value(), |()| json!({}));
    assert_eq!(violations, expected, "{document}");
}

fn wrong_type(target: &str, value: Value) -> Value {
    json!({"type": {"message": format!("Value did not match type(s): {target}"), "target": target, "value": value}})
}

fn required(name: &str) -> Value {
    json!({"required": {"message": "Field is required but missing", "value": name}})
}

fn max_length(limit: usize, value: &str) -> Value {
    let message = format!("String must not be more than {limit} characters");
    json!({"maxLength": {"message": message, "target": limit, "cause": value, "value": value}})
}

#[test]
fn a_missing_name_is_required() {
    check(&Schema::groups(), json!({}), json!({"name": required("name")}));
}

#[test]
fn lengths_are_counted_in_characters() {
    let groups = Schema::groups();
    let empty =
        json!({"message": "String must be at least 1 characters", "target": 1, "cause": "", "value": ""});
    check(&groups, json!({"name": ""}), json!({"name": {"minLength": empty}}));
    for text in ["é".repeat(128), "😀".repeat(128)] {
        check(&groups, json!({"name": text}), json!({}));
    }
    let long = "é".repeat(129);
    check(&groups, json!({"name": long}), json!({"name": max_length(128, &long)}));
    check(
        &groups,
        json!({"name": "x", "music_on_hold": {"media_id": long}}),
        json!({"music_on_hold.media_id": max_length(128, &long)}),
    );
}

#[test]
fn a_wrong_type_is_reported_and_null_matches_no_type() {
    let groups = Schema::groups();
    for value in [json!(5), json!(null), json!(true), json!(["a"]), json!({"a": 1})] {
        check(&groups, json!({"name": value}), json!({"name": wrong_type("string", value)}));
    }
    for value in [json!([]), json!("x"), json!(null), json!(7)] {
        let document = json!({"name": "x", "endpoints": value, "music_on_hold": value});
        let wrong = wrong_type("object", value);
        check(&groups, document, json!({"endpoints": wrong, "music_on_hold": wrong}));
    }
    check(&groups, json!({"name": "x", "flags": {}}), json!({"flags": wrong_type("array", json!({}))}));
    let nothing = json!({"music_on_hold.media_id": wrong_type("string", json!(null))});
    check(&groups, json!({"name": "x", "music_on_hold": {"media_id": null}}), nothing);
}

#[test]
fn items_are_counted_from_zero() {
    check(
        &Schema::groups(),
        json!({"name": "x", "flags": ["ok", 1, null, {"a": 1}, ["b"]]}),
        json!({
            "flags.1": wrong_type("string", json!(1)),
            "flags.2": wrong_type("string", json!(null)),
            "flags.3": wrong_type("string", json!({"a": 1})),
            "flags.4": wrong_type("string", json!(["b"])),
        }),
    );
}

#[test]
fn all_violations_come_at_once() {
    check(
        &Schema::groups(),
        json!({"flags": 7, "endpoints": 7, "music_on_hold": 7}),
        json!({
            "endpoints": wrong_type("object", json!(7)),
            "flags": wrong_type("array", json!(7)),
            "music_on_hold": wrong_type("object", json!(7)),
            "name": required("name"),
        }),
    );
}

#[test]
fn defaults_are_filled_in_and_unknown_members_stay() {
    let Value::Object(mut members) = json!({"zeta": null, "name": "x", "n": [1.0, {}]}) else {
        unreachable!()
    };
    Schema::groups().check(&mut members).unwrap();
    let expected = r#"{"zeta":null,"name":"x","n":[1.0,{}],"endpoints":{},"music_on_hold":{}}"#;
    assert_eq!(Value::Object(members).to_string(), expected);
}

#[test]
fn a_login_with_credentials_is_checked() {
    let schema = Schema::user_auth();
    check(&schema, json!({}), json!({"credentials": required("credentials")}));
    let long = "a".repeat(65);
    check(&schema, json!({"credentials": long}), json!({"credentials": max_length(64, &long)}));
    let message = "Value not found in enumerated list of values";
    let other = json!({"message": message, "target": ["md5", "sha"], "value": "sha1"});
    check(&schema, json!({"credentials": "x", "method": "sha1"}), json!({"method": {"enum": other}}));
    let pattern = r"^[.\w_-]+$";
    let message = format!("Failed to match pattern '{pattern}'");
    // Erlang's `\w` matches only ASCII.
    for realm in ["a b c", "müller"] {
        let form = json!({"message": message, "target": pattern, "value": realm});
        check(
            &schema,
            json!({"credentials": "x", "account_realm": realm}),
            json!({"account_realm": {"pattern": form}}),
        );
    }
    check(&schema, json!({"credentials": "x", "account_realm": "a_b-C.9"}), json!({}));
}

#[test]
fn a_login_with_a_key_allows_no_other_members() {
    let key = "k".repeat(64);
    let surplus = json!({
        "message": "Strict checking of data is enabled; only include schema-defined properties",
        "value": {"api_key": key, "x": 1},
    });
    check(
        &Schema::api_auth(),
        json!({"api_key": key, "x": 1}),
        json!({"x": {"additionalProperties": surplus}}),
    );
}

#[test]
fn a_dot_in_a_key_is_escaped() {
    let key = "k".repeat(64);
    let Value::Object(mut members) = json!({"api_key": key, "a.b": 1}) else { unreachable!() };
    let violations = Schema::api_auth().check(&mut members).unwrap_err().to_value();
    assert_eq!(violations.as_object().unwrap().keys().collect::<Vec<_>>(), ["a%2Eb"]);
}
