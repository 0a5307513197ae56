//! What valico gets wrong of draft 4 is refused when a schema is loaded.

use validation::{Schema, SchemaError};

fn check_refused(schema: &str) {
    match Schema::parse(schema) {
        Err(SchemaError::Unsupported { .. }) => {}
        Err(other) => panic!("{schema}: {other}"),
        Ok(_) => panic!("{schema} is taken"),
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
fn what_violations_have_no_words_for_is_refused() {
    for schema in [
        r#"{"properties": {"a": {"format": "uri"}}}"#,
        r#"{"type": ["string", "null"]}"#,
        r#"{"items": {"oneOf": []}}"#,
        r#"{"properties": {"a": {"additionalProperties": false}}}"#,
        r#"{"properties": {"a/b": {}}}"#,
    ] {
        check_refused(schema);
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    for text in ["", "{", r#"{"type": "strnig"}"#] {
        assert!(matches!(Schema::parse(text), Err(SchemaError::Invalid { .. })), "{text}");
    }
}
