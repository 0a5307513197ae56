//! The private members of an account's document that several crates judge.

use serde_json::{Map, Value};

use crate::member;
use crate::term;

/// The ids of the accounts above an account, the root first.
pub fn ancestors(account: &Map<String, Value>) -> impl DoubleEndedIterator<Item = &str> {
    let tree = account.get(member::TREE).and_then(Value::as_array);
    tree.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether callers of the account may reach every account.
#[must_use]
pub fn is_superduper(account: &Map<String, Value>) -> bool {
    account.get(member::SUPERDUPER_ADMIN).is_some_and(term::is_true)
}

/// Whether users may log in to the account: its `pvt_enabled` is true or missing. It says nothing about the
/// account's API key, nor about tokens that were given out.
#[must_use]
pub fn lets_users_log_in(account: &Map<String, Value>) -> bool {
    account.get(member::ENABLED).is_none_or(term::is_true)
}

#[cfg(test)]
mod tests {
    use super::{ancestors, is_superduper, lets_users_log_in};
    use serde_json::{Map, Value, json};

    fn account(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_account_is_judged_as_kazoo_judges_it() {
        for (value, is_so) in [
            (json!(true), true),
            (json!("true"), true),
            (json!("yes"), false),
            (json!(1), false),
            (json!("false"), false),
            (json!(null), false),
        ] {
            let found = account(json!({"pvt_enabled": value, "pvt_superduper_admin": value}));
            assert_eq!((lets_users_log_in(&found), is_superduper(&found)), (is_so, is_so), "{value}");
        }
        let bare = Map::new();
        assert_eq!((lets_users_log_in(&bare), is_superduper(&bare)), (true, false));
    }

    #[test]
    fn the_ancestors_are_the_texts_of_the_tree() {
        for (tree, expected) in
            [(json!(["a", 1, "b"]), &["a", "b"][..]), (json!("a"), &[]), (json!(null), &[])]
        {
            let account = account(json!({"pvt_tree": tree}));
            assert_eq!(ancestors(&account).collect::<Vec<_>>(), expected);
        }
    }
}
