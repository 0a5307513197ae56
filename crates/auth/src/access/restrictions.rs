//! Token restrictions: the rules for an account's tokens. They are tried in the order of the document.

use serde_json::{Map, Value};

use crate::directory::Account;
use crate::verify::Caller;

/// The parts of a request that the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The last module of the path, such as `groups`.
    pub endpoint: &'a str,
    /// The parts of the path after the endpoint: none, or a group's id.
    pub params: &'a [&'a str],
    /// The verb, in upper case.
    pub verb: &'a str,
}

/// The rules for one caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restrictions<'a>(&'a Map<String, Value>);

impl<'a> Restrictions<'a> {
    /// Picks the rules for a privilege level from the rules for a login method. `None` means no restrictions.
    #[must_use]
    pub fn for_level(rules: &'a Value, level: &str) -> Option<Self> {
        match rules.get(level).or_else(|| rules.get("_")) {
            Some(Value::Object(rules)) => Some(Self(rules)),
            _ => None,
        }
    }

    /// Whether the rules allow a request. `target` is the account in the path, if there is one.
    #[must_use]
    pub fn allow(&self, caller: &Caller, target: Option<&Account>, asked: Asked<'_>) -> bool {
        let Some(items) = self.items(asked.endpoint).or_else(|| self.items("_")) else { return false };
        let names = names_of_target(caller, target);
        // Only the first item that names the account counts.
        let Some(item) = items.iter().find(|item| names_one_of(item, &names)) else { return false };
        let Some(Value::Object(rules)) = item.get("rules") else { return false };
        let Some((_, verbs)) = rules.iter().find(|(pattern, _)| matches(pattern, asked.params)) else {
            return false;
        };
        verbs.as_array().into_iter().flatten().any(|verb| verb == "_" || verb == asked.verb)
    }

    fn items(&self, endpoint: &str) -> Option<&Vec<Value>> {
        self.0.get(endpoint)?.as_array()
    }
}

/// The names by which a rule can list the account.
fn names_of_target<'a>(caller: &'a Caller, target: Option<&'a Account>) -> Vec<&'a str> {
    let Some(target) = target else { return vec!["_"] };
    let own = caller.account_id().as_str();
    let target_id = target.id().as_str();
    if own == target_id {
        vec!["_", own, "{AUTH_ACCOUNT_ID}"]
    } else if target.tree().iter().any(|ancestor| ancestor == own) {
        vec!["_", target_id, "{DESCENDANT_ACCOUNT_ID}"]
    } else {
        vec!["_", target_id]
    }
}

fn names_one_of(item: &Value, names: &[&str]) -> bool {
    match item.get("allowed_accounts") {
        Some(Value::Array(accounts)) => {
            accounts.iter().filter_map(Value::as_str).any(|account| names.contains(&account))
        }
        _ => true,
    }
}

/// Whether a rule's pattern fits the parts of the path after the endpoint. `#` fits any number of parts, `*`
/// fits one.
fn matches(pattern: &str, params: &[&str]) -> bool {
    let mut parts: Vec<_> = pattern.split('/').collect();
    while parts.last() == Some(&"") {
        parts.pop();
    }
    // One `#` means the same as many. Merging them keeps the search below from growing with the rule.
    parts.dedup_by(|part, before| *part == "#" && *before == "#");
    let fixed = parts.iter().filter(|part| **part != "#").count();
    fixed <= params.len() && fits(&parts, params)
}

fn fits(pattern: &[&str], params: &[&str]) -> bool {
    match (pattern.split_first(), params.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"#", rest)), _) => {
            (0..=params.len()).any(|skipped| fits(rest, params.get(skipped..).unwrap_or_default()))
        }
        (Some((&"*", pattern)), Some((_, params))) => fits(pattern, params),
        (Some((part, pattern)), Some((param, params))) => part == param && fits(pattern, params),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_fit_what_stands_behind_the_endpoint() {
        for (pattern, params, expected) in [
            ("/", &[][..], true),
            ("", &[], true),
            ("/", &["g"], false),
            ("*", &["g"], true),
            ("*", &[], false),
            ("*", &["g", "x"], false),
            ("#", &[], true),
            ("#", &["g", "x"], true),
            ("#/x", &["g", "x"], true),
            ("g", &["g"], true),
            ("g/", &["g"], true),
            ("/g", &["g"], false),
            ("h", &["g"], false),
            ("#/#/*/#", &["g"], true),
            ("#/#/*/#", &[], false),
        ] {
            assert_eq!(matches(pattern, params), expected, "{pattern} {params:?}");
        }
        // A pattern of any length is answered quickly.
        assert!(matches(&"#/".repeat(100_000), &["g"]));
        assert!(!matches(&"#/*/".repeat(100_000), &["g"]));
    }
}
