//! Schemas that an operator has stored.

use serde_json::{Map, Value, json};
use validation::{Schema, SchemaError};

fn schema(value: Value) -> Result<Schema, SchemaError> {
    Schema::of_operator(object(value))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

fn property(rules: Value) -> Value {
    json!({"type": "object", "properties": {"a": rules}})
}

#[test]
fn kazoos_own_schema_is_taken() {
    let stored = object(serde_json::from_str(include_str!("../../../../schemas/groups.json")).unwrap());
    let schema = Schema::of_operator(stored).unwrap();
    let mut group = object(json!({"flags": [1]}));
    let found = schema.check(&mut group).unwrap_err().to_value();
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["flags.0", "name"]);
    assert_eq!(group["endpoints"], json!({}));
}

#[test]
fn an_edited_schema_counts() {
    let rules = json!({"type": "string", "enum": ["x", "y"], "default": "x", "pattern": "^(?:x|y)$"});
    let schema = schema(property(rules)).unwrap();
    let mut group = Map::new();
    schema.check(&mut group).unwrap();
    assert_eq!(Value::Object(group), json!({"a": "x"}));
    let found = schema.check(&mut object(json!({"a": "z"}))).unwrap_err().to_value();
    assert!(found["a"]["enum"].is_object() && found["a"]["pattern"].is_object(), "{found}");
}

#[test]
fn what_kazoo_does_otherwise_is_refused_by_name() {
    for (rules, words) in [
        (json!({"type": "boolean"}), "type boolean"),
        (json!({"type": "number"}), "type number"),
        (json!({"type": "integer"}), "type integer"),
        (json!({"type": ["string", "null"]}), "a list of types"),
        (json!({"format": "uri"}), "format"),
        (json!({"$ref": "endpoints"}), "$ref"),
        (json!({"oneOf": []}), "oneOf"),
        (json!({"minimum": 1}), "minimum"),
        (json!({"kazoo-validation": true}), "kazoo-validation"),
        (json!({"pattern": "^(?=a)"}), "(?:"),
        (json!({"pattern": "a++b"}), "possessive"),
        (json!({"pattern": "(a)\\1"}), "an escape"),
    ] {
        let refused = schema(property(rules.clone())).map(drop).unwrap_err();
        assert!(matches!(refused, SchemaError::Unsupported { .. }), "{rules}: {refused}");
        let told = refused.to_string();
        assert!(told.contains(words) && told.contains("\"/a\""), "{rules}: {told}");
    }
}

#[test]
fn what_would_cost_too_much_is_refused_by_name() {
    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let mut deep = json!({});
    for _ in 0..22 {
        deep = property(deep);
    }
    for (value, words) in [
        (property(json!({"default": "x".repeat(70_000)})), "65536 bytes"),
        (property(json!({"enum": many})), "100 values of enum"),
        (property(json!({"required": many})), "100 values of required"),
        (property(json!({"pattern": "a".repeat(1_001)})), "1000 bytes"),
        (property(json!({"pattern": "(?:(?:a{100}){100}){100}"})), "automaton"),
        (deep, "levels"),
    ] {
        let refused = schema(value).map(drop).unwrap_err();
        assert!(matches!(refused, SchemaError::Dear { .. }), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    for value in [property(json!({"pattern": "("})), json!({"type": "strnig"}), json!({"properties": 5})] {
        assert!(schema(value.clone()).is_err(), "{value}");
    }
}
