//! A schema that uses an unsupported feature is refused when it is loaded.

use validation::{Schema, SchemaError};

fn check_refused(schema: &str) {
    match Schema::parse(schema) {
        Err(SchemaError::Unsupported { .. }) => {}
        Err(other) => panic!("{schema}: {other}"),
        Ok(_) => panic!("{schema} is accepted"),
    }
}

#[test]
fn boolean_exclusive_limits_are_refused() {
    check_refused(r#"{"properties": {"a": {"minimum": 1, "exclusiveMinimum": true}}}"#);
}

#[test]
fn references_are_refused() {
    check_refused(r#"{"properties": {"a": {"$ref": "nowhere"}}}"#);
}

#[test]
fn anchors_are_refused() {
    check_refused(r##"{"properties": {"a": {"id": "#a"}}}"##);
}

#[test]
fn integers_are_refused() {
    check_refused(r#"{"properties": {"a": {"type": "integer"}}}"#);
}

#[test]
fn features_without_violation_messages_are_refused() {
    for schema in [
        r#"{"properties": {"a": {"format": "uri"}}}"#,
        r#"{"type": ["string", "null"]}"#,
        r#"{"items": {"oneOf": []}}"#,
        r#"{"properties": {"a": {"additionalProperties": false}}}"#,
    ] {
        check_refused(schema);
    }
}

#[test]
fn invalid_schemas_are_refused() {
    for text in ["", "{", r#"{"type": "strnig"}"#] {
        assert!(matches!(Schema::parse(text), Err(SchemaError::Invalid { .. })), "{text}");
    }
}
