//! Inputs that are dear to a store or to what is remembered of it: made-up keys, many rows of one document, and large
//! documents and rows on a CouchDB.

use std::sync::Arc;
use std::time::Duration;

use super::input::{Input, Load, PLAIN, Store, Victim};
use super::makers::{change, get, group, line, list, many};

/// Made-up keys, each asked for once: 16 connections, so many times.
const ROUNDS: usize = 1_000;

/// Groups of 6 MB, most of it in `flags`, which listings show.
fn groups_of_6_mb(account: &Victim<'_>) -> Vec<String> {
    let flag = format!(r#""{}""#, "x".repeat(1_000));
    let data = group(&format!(r#""flags":[{}]"#, list(6_000, |_| flag.clone())));
    (0..8).map(|number| line(account, &format!("large{number}"), &data)).collect()
}

/// Listings from start keys that nobody has asked for.
fn start_keys(account: &Victim<'_>) -> Vec<Load> {
    let (path, token) = (account.groups(""), account.token.clone());
    let request = move |number: usize, round: usize| {
        let query = format!("?start_key={number:08x}{round:024x}");
        Arc::new(crate::wire::Request::new("GET", format!("{path}{query}")).token(&token).bytes())
    };
    vec![Load::made(request).connections(16).rounds(ROUNDS)]
}

pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "start-keys-made-up",
            about: "16 connections, each 1,000 times: a listing from a made-up start key, over 200 groups",
            seed: |account| many(account, 200),
            loads: start_keys,
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "start-keys-of-nothing",
            about: "16 connections, each 1,000 times: a listing from a made-up start key, without groups",
            loads: start_keys,
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "patch-many-users",
            about: "8 connections, each twice: a new name for one of 4 groups with 30,000 users, whose rows all change",
            seed: |account| {
                let users = list(30_000, |user| format!(r#""{user:032x}":{{"type":"user"}}"#));
                let data = group(&format!(r#""endpoints":{{{users}}}"#));
                (0..4).map(|number| line(account, &format!("users{number}"), &data)).collect()
            },
            loads: |account| {
                let patch = |number: usize| {
                    let name = format!(r#"{{"name":"n{number}"}}"#);
                    Load::ask(&change("PATCH", account, &format!("users{}", number % 4), &name)).rounds(2)
                };
                (0..8).map(patch).collect()
            },
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "couchdb-list-large",
            about: "60 at once, on a CouchDB: a listing of 8 groups with 6 MB of `flags` each",
            seed: groups_of_6_mb,
            store: Store::CouchDb,
            loads: |account| vec![Load::ask(&get(account, "?page_size=8")).connections(60)],
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "couchdb-filter-large",
            about: "60 at once, on a CouchDB without a cache: a filter over 8 groups of 6 MB",
            seed: groups_of_6_mb,
            store: Store::CouchDb,
            arguments: &["--cache", "off"],
            loads: |account| vec![Load::ask(&get(account, "?filter_name=y")).connections(60)],
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "couchdb-get-large",
            about: "100 at once, on a CouchDB: GET of one of 8 groups of 6 MB",
            seed: groups_of_6_mb,
            store: Store::CouchDb,
            loads: |account| {
                let read =
                    |number: usize| Load::ask(&get(account, &format!("/large{number}"))).connections(13);
                (0..8).map(read).collect()
            },
            limit: Duration::from_secs(60),
            ..PLAIN
        },
    ]
}
