//! Inputs that are small and ask for much that is stored.

use std::time::Duration;

use super::input::{Input, Load, PLAIN, Victim};
use super::makers::{change, get, group, line, list, members};
use crate::wire::Request;

/// Groups of 7 MB, most of it one text.
fn texts(account: &Victim<'_>, count: usize) -> Vec<String> {
    let data = group(&format!(r#""text":"{}""#, "x".repeat(7_000_000)));
    (0..count).map(|number| line(account, &format!("large{number}"), &data)).collect()
}

/// Groups of 7 MB whose rows in the views are as large, with the administrator in them.
fn rows(account: &Victim<'_>, count: usize) -> Vec<String> {
    let flags = list(7_000, |_| format!(r#""{}""#, "x".repeat(1_000)));
    let data =
        group(&format!(r#""flags":[{flags}],"endpoints":{{"{}":{{"type":"user"}}}}"#, account.user_id));
    (0..count).map(|number| line(account, &format!("large{number}"), &data)).collect()
}

/// A change of each of so many groups of 7 MB, all at once.
fn changes(account: &Victim<'_>, method: &'static str, count: usize) -> Vec<Load> {
    let change =
        |number| Load::ask(&change(method, account, &format!("large{number}"), r#"{"name":"x","a":1}"#));
    (0..account.count(count)).map(change).collect()
}

/// Requests for one after the other of eight documents.
fn of_eight(account: &Victim<'_>, connections: usize, request: impl Fn(usize) -> Request) -> Vec<Load> {
    let requests: Vec<_> = (0..8).map(|number| Load::ask(&request(number))).collect();
    let each = account.count(connections).div_ceil(8);
    requests.into_iter().map(|load| load.connections(each)).collect()
}

#[allow(clippy::too_many_lines, reason = "a list of data")]
pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "users-large",
            about: "200 at once: groups of a user whose document is one of 8 with 200,000 members, 6 MB",
            seed: |account| {
                let data = group(&members("member", 200_000, r#""xxxxxxxxxxxxx""#));
                (0..8).map(|number| line(account, &format!("large{number}"), &data)).collect()
            },
            loads: |account| {
                of_eight(account, 200, |number| {
                    let path = format!("/v2/accounts/{}/users/large{number}/groups", account.id);
                    Request::new("GET", path).token(&account.token)
                })
            },
            ..PLAIN
        },
        Input {
            name: "get-large-400",
            about: "400 at once: GET of one of 8 groups of 7 MB",
            seed: |account| texts(account, 8),
            loads: |account| of_eight(account, 400, |number| get(account, &format!("/large{number}"))),
            ..PLAIN
        },
        Input {
            name: "get-large-unmodified",
            about: "400 at once: GET of one of 8 groups of 7 MB, unless it is there",
            seed: |account| texts(account, 8),
            loads: |account| {
                of_eight(account, 400, |number| {
                    get(account, &format!("/large{number}")).header("If-None-Match", "*")
                })
            },
            ..PLAIN
        },
        Input {
            name: "delete-large",
            about: "60 at once: DELETE of a group of 7 MB",
            seed: |account| texts(account, account.count(60)),
            loads: |account| {
                let delete = |number| {
                    let path = account.groups(&format!("/large{number}"));
                    Load::ask(&Request::new("DELETE", path).token(&account.token))
                };
                (0..account.count(60)).map(delete).collect()
            },
            ..PLAIN
        },
        Input {
            name: "patch-text-of-7-mb",
            about: "60 at once: a PATCH of one member onto a group of 7 MB of its own",
            seed: |account| texts(account, account.count(60)),
            loads: |account| changes(account, "PATCH", 60),
            ..PLAIN
        },
        Input {
            name: "replace-text-of-7-mb",
            about: "60 at once: a POST of a small group in place of one of 7 MB",
            seed: |account| texts(account, account.count(60)),
            loads: |account| changes(account, "POST", 60),
            ..PLAIN
        },
        Input {
            name: "list-rows-of-7-mb",
            about: "100 at once: a listing of 3 groups whose rows have 7 MB",
            seed: |account| rows(account, 3),
            loads: |account| vec![Load::ask(&get(account, "")).connections(account.count(100))],
            ..PLAIN
        },
        Input {
            name: "list-rows-of-7-mb-unpaged",
            about: "60 at once: the same without pages",
            seed: |account| rows(account, 2),
            loads: |account| vec![Load::ask(&get(account, "?paginate=false")).connections(account.count(60))],
            ..PLAIN
        },
        Input {
            name: "list-rows-of-7-mb-by-user",
            about: "60 at once: the same by user",
            seed: |account| rows(account, 2),
            loads: |account| {
                let request = Request::new("GET", account.groups_of_user("")).token(&account.token);
                vec![Load::ask(&request).connections(account.count(60))]
            },
            ..PLAIN
        },
        Input {
            name: "list-rows-of-7-mb-csv",
            about: "60 at once: the same as CSV",
            seed: |account| rows(account, 2),
            loads: |account| {
                let request = get(account, "?accept=csv&paginate=false").header("Accept", "text/csv");
                vec![Load::ask(&request).connections(account.count(60))]
            },
            ..PLAIN
        },
        Input {
            name: "list-filtered-7-mb",
            about: "60 at once: a filter that no group of 7 MB matches",
            seed: |account| texts(account, 8),
            loads: |account| {
                let request = get(account, "?filter_text.1=zzz");
                vec![Load::ask(&request).connections(account.count(60))]
            },
            ..PLAIN
        },
        Input {
            name: "list-3-mb-unread",
            about: "2,000 at once: listings of 3 groups whose rows have 1 MB, that nobody reads",
            seed: |account| {
                let flags = list(1_000, |_| format!(r#""{}""#, "x".repeat(1_000)));
                let data = group(&format!(r#""flags":[{flags}]"#));
                (0..3).map(|number| line(account, &format!("large{number}"), &data)).collect()
            },
            loads: |account| vec![Load::ask(&get(account, "")).connections(account.count(2_000)).held(55)],
            limit: Duration::from_secs(60),
            ..PLAIN
        },
    ]
}
