//! Inputs whose form is odd: nesting, keys, numbers, texts, queries, headers, parts of forms.

use std::sync::Arc;

use super::input::{Input, Load, PLAIN};
use super::makers::{
    envelope, get, group, line, list, many, members, nested, put, put_by_stranger, repeated,
};
use crate::wire::Request;

#[allow(clippy::too_many_lines, reason = "a list of data")]
pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "nested-lists",
            about: "4 at once: 7.9 million opening brackets, no token",
            loads: |account| {
                let body = format!(r#"{{"data":{}"#, "[".repeat(7_900_000));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "nested-objects-pretty",
            about: "4 at once: 1,500 members nested 120 deep, indented",
            loads: |account| {
                let data = group(&members("m", 1_500, &nested(120, "1")));
                vec![Load::ask(&put(account, &data).header("X-Pretty-Print", "true")).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "get-pretty-deep",
            about: "4 at once: GET of a group with lists of 1,900 numbers nested 120 deep, indented",
            seed: |account| {
                let numbers = format!("[{}]", list(1_900, |_| "1".to_owned()));
                vec![line(account, "deep", &group(&members("m", 100, &nested(118, &numbers))))]
            },
            loads: |account| vec![Load::ask(&get(account, "/deep?pretty_print=true")).connections(4)],
            ..PLAIN
        },
        Input {
            name: "key-of-7-mb",
            about: "4 at once: one key of 7 MB, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""{}":1"#, "k".repeat(7_000_000))));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "keys-long",
            about: "2 at once: creation of a group with 2,000 keys of 3,500 bytes",
            loads: |account| {
                vec![
                    Load::ask(&put(account, &group(&members(&"k".repeat(3_500), 2_000, "1")))).connections(2),
                ]
            },
            ..PLAIN
        },
        Input {
            name: "keys-with-dots",
            about: "2 at once: `flags` of 20,000 objects, their violations repeat 7 MB",
            loads: |account| {
                let flags = list(20_000, |_| format!(r#"{{"a.b":"{}"}}"#, "x".repeat(340)));
                vec![Load::ask(&put(account, &group(&format!(r#""flags":[{flags}]"#)))).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "keys-twice",
            about: "4 at once: 240,000 keys and at the end the first of them again, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#"{},"k0":1"#, members("k", 240_000, "1"))));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "number-of-7-mb",
            about: "4 at once: creation of a group with a number of 7 million digits",
            loads: |account| {
                let data = group(&format!(r#""n":{}"#, "9".repeat(7_000_000)));
                vec![Load::ask(&put(account, &data)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "numbers-long",
            about: "2 at once: creation of a group with 7,000 numbers of 1,000 digits",
            loads: |account| {
                let numbers = members("n", 7_000, &"7".repeat(1_000));
                vec![Load::ask(&put(account, &group(&numbers))).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "escapes",
            about: "4 at once: a text of 1.3 million escapes, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, r"\u0001".repeat(1_300_000))));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "control-characters-echoed",
            about: "4 at once: a name of 1.3 million control characters: the violation repeats them",
            loads: |account| {
                let data = format!(r#"{{"name":"{}"}}"#, r"\u0001".repeat(1_300_000));
                vec![Load::ask(&put(account, &data)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "multipart-parts",
            about: "2 at once: a multipart body of 100,000 parts, no token",
            loads: |account| {
                let part = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{\"data\":{}}\r\n";
                let body = format!("{}--b--\r\n", part.repeat(100_000));
                let request = Request::new("PUT", account.groups(""))
                    .header("Content-Type", "multipart/form-data; boundary=b")
                    .body(body.into_bytes().into_iter().take(7_900_000).collect::<Vec<_>>());
                vec![Load::ask(&request).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "multipart-headers",
            about: "2 at once: a multipart body whose part has 200,000 headers, no token",
            loads: |account| {
                let headers = repeated(200_000, |number| format!("x-{number}: 1\r\n"));
                let request = Request::new("PUT", account.groups(""))
                    .header("Content-Type", "multipart/form-data; boundary=b")
                    .body(format!("--b\r\n{headers}\r\n{{}}\r\n--b--\r\n"));
                vec![Load::ask(&request).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "base64",
            about: "8 at once: 7.9 MB of base64, no token",
            loads: |account| {
                let request = Request::new("PUT", account.groups(""))
                    .header("Content-Type", "application/base64")
                    .body("QUFB".repeat(1_970_000));
                vec![Load::ask(&request).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "form-pairs",
            about: "2 at once: a form of 600,000 pairs with escapes, no token",
            loads: |account| {
                let pairs = repeated(600_000, |number| format!("%61{number:x}=1&"));
                let request = Request::new("PUT", account.groups(""))
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(pairs.into_bytes().into_iter().take(7_900_000).collect::<Vec<_>>());
                vec![Load::ask(&request).connections(2)]
            },
            ..PLAIN
        },
        Input {
            name: "query-parameters",
            about: "20 connections, each 10 times: 8,000 query parameters",
            loads: |account| {
                let query = repeated(8_000, |number| format!("{number:x}&"));
                vec![Load::ask(&get(account, &format!("?{query}"))).connections(20).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "query-filters",
            about: "8 at once: 2,000 filters over 2,000 groups",
            seed: |account| many(account, 2_000),
            loads: |account| {
                let query = repeated(2_000, |_| "has_key=name&filter_flags=a&".to_owned());
                vec![Load::ask(&get(account, &format!("?page_size=2000&{query}"))).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "filter-values-json",
            about: "8 at once: a filter whose value is a JSON list of 7,000 texts, over 2,000 groups",
            seed: |account| many(account, 2_000),
            loads: |account| {
                let values = list(7_000, |_| "%22a%22".to_owned());
                let query = format!("?page_size=2000&filter_flags=%5B{values}%5D");
                vec![Load::ask(&get(account, &query)).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "start-key-long",
            about: "20 connections, each 10 times: a start key of 60,000 bytes",
            seed: |account| many(account, 100),
            loads: |account| {
                let query = format!("?start_key={}", "g2wAAAAB".repeat(7_500));
                vec![Load::ask(&get(account, &query)).connections(20).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "accept-ranges",
            about: "20 connections, each 10 times: 6,000 ranges in `Accept` and `Accept-Language`",
            loads: |account| {
                let ranges = list(6_000, |number| format!("a/b;q=0.{}", number % 1000));
                let request = get(account, "").header("Accept", &ranges).header("Accept-Language", &ranges);
                vec![Load::ask(&request).connections(20).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "if-match-tags",
            about: "20 connections, each 10 times: 12,000 tags in `If-None-Match`",
            seed: |account| vec![line(account, "one", r#"{"name":"x"}"#)],
            loads: |account| {
                let tags = list(12_000, |number| format!("\"{number}\""));
                let request = get(account, "/one").header("If-None-Match", &tags);
                vec![Load::ask(&request).connections(20).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "headers-many",
            about: "20 connections, each 10 times: 5,000 headers",
            loads: |account| {
                let request = (0..5_000)
                    .fold(get(account, ""), |request, number| request.header(&format!("x-{number}"), "1"));
                vec![Load::ask(&request).connections(20).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "cookies",
            about: "50 connections, each 10 times: 60,000 bytes of cookies",
            loads: |account| {
                let request = get(account, "").header("Cookie", &"a=b; ".repeat(12_000));
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "path-long",
            about: "50 connections, each 10 times: a path of 30,000 parts",
            loads: |account| {
                let request =
                    Request::new("GET", account.groups(&"/%41".repeat(15_000))).token(&account.token);
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "id-long",
            about: "50 connections, each 10 times: a group's id of 60,000 bytes",
            loads: |account| {
                let request = get(account, &format!("/{}", "a".repeat(60_000)));
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "id-long-created",
            about: "4 at once: creation of a group whose id has 7 MB",
            loads: |account| {
                let data = group(&format!(r#""id":"{}""#, "i".repeat(7_000_000)));
                vec![Load::ask(&put(account, &data)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "head-and-options-with-bodies",
            about: "20 at once each: GET, HEAD, OPTIONS and DELETE with a body of 4 MB, no token",
            loads: |account| {
                let body = envelope(&format!(r#"{{"t":"{}"}}"#, "x".repeat(4_000_000)));
                ["GET", "HEAD", "OPTIONS", "DELETE"]
                    .map(|method| {
                        let path = account.groups("/one");
                        Load::ask(&Request::new(method, path).json(body.clone())).connections(20)
                    })
                    .to_vec()
            },
            ..PLAIN
        },
        Input {
            name: "login-as",
            about: "8 at once: a login whose `as` has 100,000 members, no token",
            loads: |account| {
                let members = members("a", 100_000, "1");
                let data =
                    format!(r#"{{"account_name":"{}","credentials":"x","as":{{{members}}}}}"#, account.name);
                vec![Load::ask(&Request::new("PUT", "/v2/user_auth").json(envelope(&data))).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "login-credentials-long",
            about: "8 at once: a login whose account name has 7 MB, no token",
            loads: |_| {
                let name = "n".repeat(7_000_000);
                let data = format!(r#"{{"account_name":"{name}","credentials":"x"}}"#);
                vec![Load::ask(&Request::new("PUT", "/v2/user_auth").json(envelope(&data))).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "token-in-data",
            about: "4 at once: a token that is an object of 240,000 members",
            loads: |account| {
                let token = members("t", 240_000, "1");
                let body = envelope(&format!(r#"{{"auth_token":{{{token}}}}}"#));
                vec![Load::ask(&put_by_stranger(account, body)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "token-long",
            about: "50 connections, each 10 times: a token of 60,000 bytes",
            loads: |account| {
                let token = format!("{0}.{0}.{0}", "A".repeat(20_000));
                let request = Request::new("GET", account.groups("")).token(&token);
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "basic-long",
            about: "50 connections, each 10 times: Basic credentials of 60,000 bytes",
            loads: |account| {
                let credentials = format!("Basic {}", "QUFB".repeat(15_000));
                let request = Request::new("GET", account.groups("")).header("Authorization", &credentials);
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "tokens-made-up",
            about: "50 connections, each 100 times: a token whose key nobody knows",
            loads: |account| {
                let (path, claims) = (account.groups(""), account.token.clone());
                let request = move |number: usize, round: usize| {
                    let header =
                        format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{number:016x}{round:016x}"}}"#);
                    let header =
                        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
                    let rest = claims.split_once('.').map_or("", |(_, rest)| rest);
                    Arc::new(Request::new("GET", path.clone()).token(&format!("{header}.{rest}")).bytes())
                };
                vec![Load::made(request).connections(50).rounds(100)]
            },
            ..PLAIN
        },
        Input {
            name: "bearers-made-up",
            about: "50 connections, each 100 times: an unknown bearer id",
            loads: |account| {
                let path = account.groups("");
                let request = move |number: usize, round: usize| {
                    let bearer = format!("Bearer {number:016x}{round:016x}");
                    Arc::new(Request::new("GET", path.clone()).header("Authorization", &bearer).bytes())
                };
                vec![Load::made(request).connections(50).rounds(100)]
            },
            ..PLAIN
        },
        Input {
            name: "accounts-made-up",
            about: "50 connections, each 100 times: an unknown account",
            loads: |_| {
                let request = |number: usize, round: usize| {
                    let path = format!("/v2/accounts/{number:016x}{round:016x}/groups");
                    Arc::new(Request::new("GET", path).bytes())
                };
                vec![Load::made(request).connections(50).rounds(100)]
            },
            ..PLAIN
        },
    ]
}
