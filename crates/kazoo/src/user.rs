//! The members of a user's document that several crates judge.

use serde_json::{Map, Value};

use crate::term;

/// Whether a user may log in: `enabled` is what JavaScript takes for true. The views that logins ask leave out every
/// other user, also one without the member. It says nothing about tokens that were given out.
#[must_use]
pub fn may_log_in(user: &Map<String, Value>) -> bool {
    user.get("enabled").is_some_and(term::is_truthy)
}

#[cfg(test)]
mod tests {
    use super::may_log_in;
    use serde_json::json;

    #[test]
    fn a_user_needs_a_member_that_javascript_takes_for_true() {
        for (user, expected) in [
            (json!({"enabled": true}), true),
            (json!({"enabled": "false"}), true),
            (json!({"enabled": false}), false),
            (json!({"enabled": 0}), false),
            (json!({"enabled": null}), false),
            (json!({}), false),
        ] {
            assert_eq!(may_log_in(user.as_object().unwrap()), expected, "{user}");
        }
    }
}
