//! Inputs that want all threads for long work, and inputs whose cost is the product of two sizes. Another tenant needs
//! these threads too.

use super::input::{Input, Load, PLAIN, Victim};
use super::makers::{change, get, group, line, list, members, nested};
use crate::wire::Request;
use crate::world::{Account, GROUP};

pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "filters-beside-listing",
            about: "16 at once: 100 filters over 20 groups of 100,000 members; the other tenant lists with a filter",
            seed: wide_groups,
            quiet: filtered,
            loads: |account| vec![Load::ask(&filters(account)).connections(16)],
            ..PLAIN
        },
        Input {
            name: "filters-beside-writes",
            about: "16 at once: 100 filters over 20 groups of 100,000 members; the other tenant changes a group",
            seed: wide_groups,
            quiet: |account| change("PATCH", account, GROUP, r#"{"n":1}"#),
            loads: |account| vec![Load::ask(&filters(account)).connections(16)],
            ..PLAIN
        },
        Input {
            name: "filters-lists-in-lists",
            about: "4 at once: 60 filters on lists in lists of 100,000 texts in 4 groups; the other tenant lists with a filter",
            seed: |account| {
                let texts = list(account.count(100_000), |_| r#""""#.to_owned());
                let lists = format!("{}[{texts}]{}", "[".repeat(59), "]".repeat(59));
                let data = group(&format!(r#""l":{lists}"#));
                (0..4).map(|number| line(account, &format!("lists{number}"), &data)).collect()
            },
            quiet: filtered,
            loads: |account| {
                let filters = list(60, |depth| format!("filter_l{}=", ".1".repeat(depth))).replace(',', "&");
                vec![Load::ask(&get(account, &format!("?{filters}"))).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "filters-long-number",
            about: "4 at once: 100 filters on a number of 3 million digits; the other tenant lists with a filter",
            seed: |account| {
                vec![line(
                    account,
                    "number",
                    &group(&format!(r#""n":{}"#, "9".repeat(account.count(3_000_000)))),
                )]
            },
            quiet: filtered,
            loads: |account| {
                let filters = list(100, |number| format!("filter_not_n={number}")).replace(',', "&");
                vec![Load::ask(&get(account, &format!("?{filters}"))).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "deletes-of-strangers",
            about: "200 connections, each 20 times: a DELETE without a token; the other tenant changes a group",
            quiet: |account| change("PATCH", account, GROUP, r#"{"n":1}"#),
            loads: |account| {
                let request = Request::new("DELETE", account.groups(&format!("/{GROUP}")));
                vec![Load::ask(&request).connections(200).rounds(20)]
            },
            ..PLAIN
        },
        Input {
            name: "csv-one-name",
            about: "2 at once: CSV of one group with 16,384 members that all have one name of 100,000 bytes",
            seed: |account| {
                let data =
                    nested(1, &one_name(15)).replacen("\"a\"", &format!("\"{}\"", "k".repeat(100_000)), 1);
                vec![line(account, "name", &group(&format!(r#""x":{data}"#)))]
            },
            loads: |account| vec![Load::ask(&get(account, "/name?accept=csv")).connections(2)],
            ..PLAIN
        },
    ]
}

/// 20 groups of 100,000 members.
fn wide_groups(account: &Victim<'_>) -> Vec<String> {
    let data = group(&members("m", account.count(100_000), "1"));
    (0..20).map(|number| line(account, &format!("wide{number}"), &data)).collect()
}

/// A listing with 100 filters that all hold for these groups.
fn filters(account: &Account) -> Request {
    let filters = list(50, |number| format!("has_key=m{number}&key_missing=x{number}")).replace(',', "&");
    get(account, &format!("?{filters}"))
}

/// A listing of few small groups with a filter.
fn filtered(account: &Account) -> Request {
    get(account, "?filter_name=nobody")
}

/// An object whose `2^(parts - 1)` leaves all have the name of so many letters `a`, joined by `_`.
fn one_name(parts: usize) -> String {
    // An object for each number of letters, made of those for fewer.
    let mut objects = vec!["1".to_owned()];
    for parts in 1..=parts {
        let members = list(parts, |place| {
            let rest = objects.get(parts - place - 1).map_or("", String::as_str);
            format!(r#""{}":{rest}"#, vec!["a"; place + 1].join("_"))
        });
        objects.push(format!("{{{members}}}"));
    }
    objects.pop().unwrap_or_default()
}
