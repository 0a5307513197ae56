//! Makes bodies and documents of a size.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::wire::Request;
use crate::world::Account;

/// `{"data": …}`.
pub(super) fn envelope(data: &str) -> String {
    format!(r#"{{"data":{data}}}"#)
}

/// `count` texts with commas between them.
pub(super) fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0..count {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&item(number));
    }
    text
}

/// `"prefix0":value,"prefix1":value…`.
pub(super) fn members(prefix: &str, count: usize, value: &str) -> String {
    list(count, |number| format!(r#""{prefix}{number}":{value}"#))
}

/// A group with a name and more members.
pub(super) fn group(more: &str) -> String {
    format!(r#"{{"name":"x",{more}}}"#)
}

/// A value nested in `depth` objects.
pub(super) fn nested(depth: usize, value: &str) -> String {
    format!("{}{value}{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

/// Queries, headers and the like: `count` times the text that `item` makes.
pub(super) fn repeated(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = write!(text, "{}", item(number));
        text
    })
}

/// The creation of a group.
pub(super) fn put(account: &Account, data: &str) -> Request {
    Request::new("PUT", account.groups("")).token(&account.token).json(envelope(data))
}

/// The creation of a group by a stranger.
pub(super) fn put_by_stranger(account: &Account, body: impl Into<Vec<u8>>) -> Request {
    Request::new("PUT", account.groups("")).json(body)
}

/// A read below the account's groups.
pub(super) fn get(account: &Account, rest: &str) -> Request {
    Request::new("GET", account.groups(rest)).token(&account.token)
}

/// A change of a group.
pub(super) fn change(method: &'static str, account: &Account, id: &str, data: &str) -> Request {
    Request::new(method, account.groups(&format!("/{id}"))).token(&account.token).json(envelope(data))
}

/// The line of a group from its JSON.
pub(super) fn line(account: &Account, id: &str, data: &str) -> String {
    let public: Value = serde_json::from_str(data).expect("the table's own JSON");
    account.line(id, &public)
}

/// The lines of many small groups that have the administrator in them.
pub(super) fn many(account: &Account, count: usize) -> Vec<String> {
    let one = |number: usize| {
        let public = json!({
            "name": format!("group {number}"),
            "flags": ["a", "b"],
            "endpoints": {(&account.user_id): {"type": "user"}},
        });
        account.line(&format!("{number:032x}"), &public)
    };
    (0..count).map(one).collect()
}
