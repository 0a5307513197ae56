//! Compares our results with those of the crate `jsonschema`, on random documents that almost match the
//! schema.

use std::collections::BTreeSet;

use jsonschema::Draft;
use jsonschema::error::ValidationErrorKind;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Map, Value, json};
use validation::Schema;

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (0_usize..140).prop_map(|length| Value::from("é".repeat(length))),
        "[a-z]{0,5}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!("md5")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => leaf(),
        1 => proptest::collection::vec(leaf(), 0..4).prop_map(Value::from),
        1 => object("media_id|other", leaf()).prop_map(Value::Object),
    ]
}

fn object(
    keys: &'static str,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map(keys, value, 0..6).prop_map(|members| members.into_iter().collect())
}

/// The paths and keywords of the violations that `jsonschema` finds.
fn reference(schema: &str, document: &Value) -> BTreeSet<(String, String)> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap();
    let mut found = BTreeSet::new();
    for error in validator.iter_errors(document) {
        let mut path: Vec<String> =
            error.instance_path().as_str().split('/').skip(1).map(str::to_owned).collect();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                found.extend(unexpected.iter().map(|name| (name.clone(), "additionalProperties".to_owned())));
                continue;
            }
            ValidationErrorKind::Required { property } => path.push(property.as_str().unwrap().to_owned()),
            _ => {}
        }
        found.insert((path.join("."), error.kind().keyword().to_owned()));
    }
    found
}

fn ours(schema: &str, document: &Map<String, Value>) -> (BTreeSet<(String, String)>, Value) {
    let mut members = document.clone();
    let violations = Schema::parse(schema).unwrap().check(&mut members);
    let violations = violations.map_or_else(|violations| violations.to_value(), |()| json!({}));
    let mut found = BTreeSet::new();
    for (path, rules) in violations.as_object().unwrap() {
        found.extend(rules.as_object().unwrap().keys().map(|rule| (path.clone(), rule.clone())));
    }
    // `jsonschema` fills in no defaults, so it checks the document with ours filled in.
    (found, Value::Object(members))
}

fn check(schema: &str, document: &Map<String, Value>) {
    let (found, filled) = ours(schema, document);
    assert_eq!(found, reference(schema, &filled), "{filled}");
}

proptest! {
    #[test]
    fn groups_give_the_same_violations(document in object("name|endpoints|flags|music_on_hold|x", value())) {
        check(include_str!("../../../../schemas/groups.json"), &document);
    }

    #[test]
    fn logins_with_credentials_give_the_same_violations(
        document in object("credentials|method|account_realm|account_name|phone_number|x", value()),
    ) {
        check(include_str!("../../../../schemas/user_auth.json"), &document);
    }

    #[test]
    fn logins_with_a_key_give_the_same_violations(document in object("api_key|x|y", value())) {
        check(include_str!("../../../../schemas/api_auth.json"), &document);
    }
}
