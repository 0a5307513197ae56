//! The deep merge of a PATCH into a stored document. It follows `kz_json:merge`.

use serde_json::{Map, Value};

/// Merges `patch` into `stored`.
///
/// - Objects are merged at any depth. But an *empty* object in the patch replaces the stored value.
/// - A `null` in the patch removes the key.
/// - Scalars and arrays in the patch replace the stored value.
/// - A merge also removes every other `null` member of an object, stored or new. Arrays, and the objects
///   inside them, keep theirs.
#[must_use]
pub fn merge(stored: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    let mut merged = stored;
    merge_into(&mut merged, patch);
    remove_nulls(&mut merged);
    merged
}

/// Merges `patch` into `stored`. A `null` replaces the stored value, and stays until [`remove_nulls`] removes
/// all of them in one pass: to remove members one by one would cost the square of their number.
fn merge_into(stored: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (stored.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !new.is_empty() => merge_into(old, new),
            (Some(place), new) => *place = new,
            (None, new) => {
                stored.insert(key, new);
            }
        }
    }
}

/// Removes `null` members from an object and the objects nested in it, but not inside arrays.
fn remove_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| {
        if let Value::Object(inner) = value {
            remove_nulls(inner);
        }
        !value.is_null()
    });
}

#[cfg(test)]
mod tests {
    use super::merge;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use serde_json::{Map, Value, json};

    fn check(stored: Value, patch: Value, expected: Value) {
        let (Value::Object(stored), Value::Object(patch)) = (stored, patch) else { panic!("objects only") };
        assert_eq!(Value::Object(merge(stored, patch)), expected);
    }

    #[test]
    fn objects_merge_and_everything_else_replaces() {
        check(
            json!({"e": {"a": 1, "b": 2}}),
            json!({"e": {"b": 3, "c": 4}}),
            json!({"e": {"a": 1, "b": 3, "c": 4}}),
        );
        check(json!({"l": [1, 2, 3]}), json!({"l": [9]}), json!({"l": [9]}));
        check(json!({"l": [9]}), json!({"l": {"a": 1}}), json!({"l": {"a": 1}}));
        check(json!({"e": {"a": 1}}), json!({"e": "s"}), json!({"e": "s"}));
    }

    #[test]
    fn an_empty_object_replaces() {
        check(json!({"endpoints": {"a": {}}}), json!({"endpoints": {}}), json!({"endpoints": {}}));
    }

    #[test]
    fn null_removes_at_any_depth() {
        check(json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2}));
        check(json!({"e": {"a": 1, "b": 2}}), json!({"e": {"b": null}}), json!({"e": {"a": 1}}));
        check(json!({}), json!({"new": {"a": {"b": null, "c": 1}}}), json!({"new": {"a": {"c": 1}}}));
    }

    #[test]
    fn stored_nulls_go_with_any_patch_but_stay_in_arrays() {
        check(
            json!({"n": null, "o": {"n": null}, "l": [null, {"n": null}]}),
            json!({}),
            json!({"o": {}, "l": [null, {"n": null}]}),
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                objects_of(inner).prop_map(Value::Object),
            ]
        })
    }

    fn objects_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        proptest::collection::btree_map("[abc]", inner, 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    /// A second implementation of the merge, to compare with: the merged value for one stored and one
    /// patched value.
    fn model(stored: Option<&Value>, patch: Option<&Value>) -> Option<Value> {
        match (stored, patch) {
            (_, Some(Value::Null)) | (None | Some(Value::Null), None) => None,
            (Some(Value::Object(old)), Some(Value::Object(new))) if !new.is_empty() => {
                let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
                let members = keys
                    .into_iter()
                    .filter_map(|key| Some((key.clone(), model(old.get(key), new.get(key))?)));
                Some(Value::Object(members.collect()))
            }
            (_, Some(Value::Object(new))) => Some(Value::Object(
                new.iter().filter_map(|(k, v)| Some((k.clone(), model(None, Some(v))?))).collect(),
            )),
            (Some(Value::Object(old)), None) => Some(Value::Object(
                old.iter().filter_map(|(k, v)| Some((k.clone(), model(Some(v), None)?))).collect(),
            )),
            (_, Some(new)) => Some(new.clone()),
            (Some(old), None) => Some(old.clone()),
        }
    }

    proptest! {
        #[test]
        fn merging_agrees_with_the_model(stored in objects_of(values()), patch in objects_of(values())) {
            let keys: std::collections::BTreeSet<_> = stored.keys().chain(patch.keys()).cloned().collect();
            let expected: Map<_, _> = keys.into_iter()
                .filter_map(|key| { let value = model(stored.get(&key), patch.get(&key))?; Some((key, value)) })
                .collect();
            assert_eq!(merge(stored, patch), expected);
        }

        #[test]
        fn merging_twice_is_merging_once(stored in objects_of(values()), patch in objects_of(values())) {
            let once = merge(stored, patch.clone());
            assert_eq!(merge(once.clone(), patch), once);
        }
    }
}
