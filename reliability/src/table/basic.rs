//! The first inputs of the table, and their siblings: bodies and answers that cost more than their bytes.

use std::sync::Arc;
use std::time::Duration;

use super::input::{Input, Load, PLAIN};
use super::makers::{change, envelope, get, group, line, list, many, members, put, put_by_stranger};
use crate::wire::Request;
use crate::world::Account;

#[allow(clippy::too_many_lines, reason = "a list of data")]
pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "login-surplus",
            about: "3 at once: `PUT /v2/api_auth` with 16 surplus members beside a list of 249,900 numbers, no token",
            loads: |account| {
                let list = list(account.count(249_900), |_| "10".to_owned());
                let data = format!(r#"{{"api_key":"x",{},"list":[{list}]}}"#, members("s", 15, "0"));
                vec![Load::ask(&Request::new("PUT", "/v2/api_auth").json(envelope(&data))).connections(3)]
            },
            ..PLAIN
        },
        Input {
            name: "csv-long-key",
            about: "CSV of one group with a key of 50,000 bytes over 8,000 members",
            seed: |account| {
                let inner = members("m", account.count(8_000), "1");
                vec![line(
                    account,
                    "wide",
                    &group(&format!(r#""{}":{{{inner}}}"#, "k".repeat(account.count(50_000)))),
                )]
            },
            loads: |account| vec![Load::ask(&get(account, "/wide?accept=csv"))],
            ..PLAIN
        },
        Input {
            name: "csv-columns",
            about: "CSV of one group with 60,000 columns",
            seed: |account| {
                vec![line(account, "columns", &group(&members("column", account.count(60_000), "1")))]
            },
            loads: |account| vec![Load::ask(&get(account, "/columns?accept=csv"))],
            ..PLAIN
        },
        Input {
            name: "patch-nulls",
            about: "2 at once: PATCH of 40,000 nulls onto 40,000 members",
            seed: |account| {
                vec![line(account, "full", &group(&members("member", account.count(40_000), "1")))]
            },
            loads: |account| {
                let nulls = format!("{{{}}}", members("member", account.count(40_000), "null"));
                vec![Load::ask(&change("PATCH", account, "full", &nulls)).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "flags-violations",
            about: "PUT with `flags` of 249,000 numbers: as many violations",
            loads: |account| {
                let flags = list(account.count(249_000), |_| "1".to_owned());
                vec![Load::ask(&put(account, &group(&format!(r#""flags":[{flags}]"#))))]
            },
            ..PLAIN
        },
        Input {
            name: "form-names",
            about: "2 at once: form bodies of 1.2 million names, no token",
            loads: |account| {
                let names = list(account.count(1_200_000), |number| format!("{number:x}")).replace(',', "&");
                let request = Request::new("PUT", account.groups(""))
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(names.into_bytes().into_iter().take(7_900_000).collect::<Vec<_>>());
                vec![Load::ask(&request).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "strangers-bodies",
            about: "60 at once: bodies of 4 MB, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""text":"{}""#, "x".repeat(account.count(4_000_000)))));
                vec![Load::ask(&put_by_stranger(account, body)).connections(60)]
            },
            ..PLAIN
        },
        Input {
            name: "flags-listed",
            about: "a listing of 20 groups with 7 MB of `flags` each",
            seed: |account| {
                let flags = list(7, |_| format!(r#""{}""#, "f".repeat(account.count(1_000_000))));
                let data = group(&format!(r#""flags":[{flags}]"#));
                (0..20).map(|number| line(account, &format!("heavy{number}"), &data)).collect()
            },
            loads: |account| vec![Load::ask(&get(account, ""))],
            ..PLAIN
        },
        Input {
            name: "unread-answers",
            about: "32 answers of 8 MB that nobody reads for 40 s; the server must close them",
            seed: |account| {
                let data = group(&format!(r#""text":"{}""#, "x".repeat(7_800_000)));
                vec![line(account, "large", &data)]
            },
            loads: |account| vec![Load::ask(&get(account, "/large")).connections(32).held(40)],
            limit: Duration::from_secs(60),
            ..PLAIN
        },
        Input {
            name: "bodies-of-an-account",
            about: "30 at once: creation of groups of 7 MB with a token",
            loads: |account| {
                let text = "x".repeat(account.count(7_000_000));
                vec![Load::ask(&put(account, &group(&format!(r#""text":"{text}""#)))).connections(30)]
            },
            ..PLAIN
        },
        Input {
            name: "values-objects",
            about: "4 at once: a body of 249,000 empty objects, no token",
            loads: |account| {
                let objects = list(249_000, |_| "{}".to_owned());
                let body = envelope(&group(&format!(r#""list":[{objects}]"#)));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "values-members",
            about: "4 at once: a body of 120,000 objects of one member, no token",
            loads: |account| {
                let objects = list(120_000, |_| r#"{"":0}"#.to_owned());
                let body = envelope(&group(&format!(r#""list":[{objects}]"#)));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "data-is-a-list",
            about: "2 at once: PUT whose `data` is a list of 249,000 numbers: the answer repeats it",
            loads: |account| {
                let data = format!("[{}]", list(249_000, |_| "1".to_owned()));
                vec![Load::ask(&put(account, &data)).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "data-missing",
            about: "4 at once: an envelope of 240,000 members without `data`: the answer repeats it; no token",
            loads: |account| {
                let body = format!("{{{}}}", members("m", 240_000, "1"));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "data-is-text",
            about: "8 at once: `data` is a text of 7.9 MB: the answer repeats it; no token",
            loads: |account| {
                let body = envelope(&format!(r#""{}""#, "x".repeat(7_900_000)));
                vec![Load::ask(&put_by_stranger(account, body)).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "name-too-long",
            about: "4 at once: a name of 7.9 MB: the violation repeats it twice",
            loads: |account| {
                let data = format!(r#"{{"name":"{}"}}"#, "n".repeat(7_900_000));
                vec![Load::ask(&put(account, &data)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "name-is-an-object",
            about: "2 at once: a name that is an object of 240,000 members, indented",
            loads: |account| {
                let data = format!(r#"{{"name":{{{}}}}}"#, members("n", 240_000, "1"));
                vec![Load::ask(&put(account, &data).header("X-Pretty-Print", "true")).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "long-key-violations",
            about: "2 at once: 200 surplus members with names of 30,000 bytes in a login, no token",
            loads: |_| {
                let name = "k".repeat(30_000);
                let data = format!(r#"{{"api_key":"x",{}}}"#, members(&name, 200, "1"));
                vec![Load::ask(&Request::new("PUT", "/v2/api_auth").json(envelope(&data))).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "patch-deep",
            about: "4 at once: PATCH of 100,000 leaves in nested objects onto as many",
            seed: |account| vec![line(account, "deep", &group(&leaves("1")))],
            loads: |account| {
                vec![
                    Load::ask(&change("PATCH", account, "deep", &format!("{{{}}}", leaves("2"))))
                        .connections(4),
                ]
            },
            ..PLAIN
        },
        Input {
            name: "patch-large",
            about: "8 at once: a PATCH of one member onto a group of 7 MB",
            seed: |account| {
                vec![line(account, "large", &group(&format!(r#""text":"{}""#, "x".repeat(7_000_000))))]
            },
            loads: |account| vec![Load::ask(&change("PATCH", account, "large", r#"{"a":1}"#)).connections(8)],
            ..PLAIN
        },
        Input {
            name: "patch-many-values",
            about: "8 at once: a PATCH of one member onto a group of 240,000 members",
            seed: |account| vec![line(account, "full", &group(&members("m", 240_000, "1")))],
            loads: |account| vec![Load::ask(&change("PATCH", account, "full", r#"{"a":1}"#)).connections(8)],
            ..PLAIN
        },
        Input {
            name: "get-large",
            about: "40 at once: GET of a group of 7 MB, read to the end",
            seed: |account| {
                vec![line(account, "large", &group(&format!(r#""text":"{}""#, "x".repeat(7_000_000))))]
            },
            loads: |account| vec![Load::ask(&get(account, "/large")).connections(40)],
            ..PLAIN
        },
        Input {
            name: "get-large-gzip",
            about: "10 at once: GET of a group of 7 MB with gzip",
            seed: |account| {
                let words = list(700_000, |number| format!("{number:09}"));
                vec![line(account, "large", &group(&format!(r#""text":"{words}""#)))]
            },
            loads: |account| {
                vec![Load::ask(&get(account, "/large").header("Accept-Encoding", "gzip")).connections(10)]
            },
            ..PLAIN
        },
        Input {
            name: "list-all",
            about: "4 at once: `paginate=false` over 50,000 groups",
            seed: |account| many(account, 50_000),
            loads: |account| vec![Load::ask(&get(account, "?paginate=false")).connections(4)],
            ..PLAIN
        },
        Input {
            name: "list-all-pretty",
            about: "2 at once: `paginate=false` over 50,000 groups, indented and with gzip",
            seed: |account| many(account, 50_000),
            loads: |account| {
                let request =
                    get(account, "?paginate=false&pretty_print=true").header("Accept-Encoding", "gzip");
                vec![Load::ask(&request).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "list-all-csv",
            about: "2 at once: CSV of 50,000 groups",
            seed: |account| many(account, 50_000),
            loads: |account| vec![Load::ask(&get(account, "?paginate=false&accept=csv")).connections(2)],
            ..PLAIN
        },
        Input {
            name: "list-no-match",
            about: "4 at once: a filter that matches none of 50,000 groups",
            seed: |account| many(account, 50_000),
            loads: |account| vec![Load::ask(&get(account, "?filter_name=nobody")).connections(4)],
            ..PLAIN
        },
        Input {
            name: "list-filtered-large",
            about: "4 at once: a filter over 60 groups of 2 MB",
            seed: |account| {
                let data = group(&format!(r#""text":"{}""#, "x".repeat(2_000_000)));
                (0..60).map(|number| line(account, &format!("large{number}"), &data)).collect()
            },
            loads: |account| vec![Load::ask(&get(account, "?filter_name=nobody")).connections(4)],
            ..PLAIN
        },
        Input {
            name: "list-features",
            about: "a listing of 30 groups with 60,000 features each",
            seed: |account| {
                let features = members("feature", 60_000, r#"{"enabled":true}"#);
                let data = group(&format!(r#""smartpbx":{{{features}}}"#));
                (0..30).map(|number| line(account, &format!("features{number}"), &data)).collect()
            },
            loads: |account| vec![Load::ask(&get(account, "")).connections(2)],
            ..PLAIN
        },
        Input {
            name: "many-users-many-flags",
            about: "2 at once: creation of a group of 64 kB with many users and many flags; each user's row has all flags",
            loads: |account| {
                let users = members("u", 1_200, r#"{"type":"user"}"#);
                let flags = list(6_000, |number| format!(r#""f{number}""#));
                let data = group(&format!(r#""endpoints":{{{users}}},"flags":[{flags}]"#));
                vec![Load::ask(&put(account, &data)).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "many-users",
            about: "2 at once: creation of a group with 100,000 users",
            loads: |account| {
                let users = members("u", 100_000, r#"{"type":"user"}"#);
                vec![Load::ask(&put(account, &group(&format!(r#""endpoints":{{{users}}}"#)))).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "csv-of-lists",
            about: "2 at once: CSV of a group with lists of 240,000 numbers in all",
            seed: |account| {
                let lists = members("l", 240, &format!("[{}]", list(990, |_| "1".to_owned())));
                vec![line(account, "lists", &group(&lists))]
            },
            loads: |account| vec![Load::ask(&get(account, "/lists?accept=csv")).connections(2)],
            ..PLAIN
        },
        Input {
            name: "post-conflicts",
            about: "200 connections, each 5 times: a small change of the same group",
            seed: |account| vec![line(account, "one", r#"{"name":"x"}"#)],
            loads: |account| {
                let account = Account::clone(account);
                let change = move |number: usize, round: usize| {
                    let data = format!(r#"{{"n":"{number}-{round}"}}"#);
                    Arc::new(change("PATCH", &account, "one", &data).bytes())
                };
                vec![Load::made(change).connections(200).rounds(5)]
            },
            ..PLAIN
        },
    ]
}

/// 100,000 leaves below 100 keys of 10 keys.
fn leaves(value: &str) -> String {
    let inner = members("c", 100, value);
    let middle = members("b", 10, &format!("{{{inner}}}"));
    members("a", 100, &format!("{{{middle}}}"))
}
