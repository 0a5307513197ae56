//! Inputs that take time or connections: slow senders, slow readers, floods, idle and broken connections.

use std::sync::Arc;
use std::time::Duration;

use super::input::{Ending, Input, Load, PLAIN};
use super::makers::{envelope, get, group, line, list, many, members, put, put_by_stranger};
use crate::wire::Request;
use crate::world::Account;

#[allow(clippy::too_many_lines, reason = "a list of data")]
pub(super) fn inputs() -> Vec<Input> {
    vec![
        Input {
            name: "chunks-of-one-byte",
            about: "4 at once: a body of 1 MB in chunks of one byte, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(1_000_000))));
                vec![Load::of(put_by_stranger(account, body).in_chunks(1)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "body-dripped",
            about: "200 at once: a body of 2 MB, half at once and then a byte each 200 ms; no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(2_000_000))));
                let bytes = put_by_stranger(account, body).bytes();
                let start = bytes.get(..1_000_000).unwrap_or(&bytes).to_vec();
                vec![Load::of(start).connections(200).held(15)]
            },
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "body-slow",
            about: "100 at once: 20 bytes a second of a body of 64 kB for 70 s; the server must close them",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(64_000))));
                vec![Load::of(put_by_stranger(account, body).bytes()).connections(100).dripping(20, 1000)]
            },
            limit: Duration::from_secs(75),
            ..PLAIN
        },
        Input {
            name: "body-missing",
            about: "500 at once: a Content-Length of 8,000,000 and no body; the server, told to wait for 10 s, must close them",
            arguments: &["--body-timeout-ms", "10000"],
            loads: |account| {
                let head = put_by_stranger(account, "").head(Some("Content-Length: 8000000\r\n".to_owned()));
                vec![Load::of(head).connections(500).held(20)]
            },
            ..PLAIN
        },
        Input {
            name: "bodies-begun",
            about: "5,000 at once: a login with 4 of its 200 bytes, held for 8 s, no token",
            loads: |_| {
                let mut bytes =
                    Request::new("PUT", "/v2/api_auth").head(Some("Content-Length: 200\r\n".to_owned()));
                bytes.extend(b"{\"da");
                vec![Load::of(bytes).connections(5_000).held(8)]
            },
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "large-bodies-begun",
            about: "5,000 at once: 4 kB of a body of 8 MB, held for 8 s, no token",
            loads: |account| {
                let head = put_by_stranger(account, "").head(Some("Content-Length: 8000000\r\n".to_owned()));
                let bytes = [head, vec![b'x'; 4_000]].concat();
                vec![Load::of(bytes).connections(5_000).held(8)]
            },
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "answers-kept",
            about: "5,000 connections: a GET of a group of 60 kB, then nothing for 8 s",
            seed: |account| {
                vec![line(account, "middle", &group(&format!(r#""text":"{}""#, "x".repeat(60_000))))]
            },
            loads: |account| vec![Load::of(get(account, "/middle").kept()).connections(5_000).held(8)],
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "refusals-kept",
            about: "5,000 connections: a request without a token, then nothing for 8 s",
            loads: |account| {
                let request = Request::new("GET", account.groups(""));
                vec![Load::of(request.kept()).connections(5_000).held(8)]
            },
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "body-longer",
            about: "50 at once: 4 MB behind a Content-Length of 10",
            loads: |account| {
                let mut bytes = put_by_stranger(account, "").head(Some("Content-Length: 10\r\n".to_owned()));
                bytes.extend("x".repeat(4_000_000).into_bytes());
                vec![Load::of(bytes).connections(50)]
            },
            ..PLAIN
        },
        Input {
            name: "body-too-large",
            about: "20 at once: 30 MB of body, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(30_000_000))));
                vec![Load::ask(&put_by_stranger(account, body)).connections(20)]
            },
            ..PLAIN
        },
        Input {
            name: "body-too-large-chunked",
            about: "20 at once: 30 MB of body in chunks, no token",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(30_000_000))));
                vec![Load::of(put_by_stranger(account, body).in_chunks(16_000)).connections(20)]
            },
            ..PLAIN
        },
        Input {
            name: "heads-slow",
            about: "2,000 at once: half a head for 20 s; the server must close them",
            loads: |account| {
                let mut head = get(account, "").bytes();
                head.truncate(40);
                vec![Load::of(head).connections(2_000).held(20)]
            },
            ..PLAIN
        },
        Input {
            name: "heads-dripped",
            about: "200 at once: a byte of the head each 500 ms for 15 s; the server must close them",
            loads: |account| vec![Load::of(get(account, "").bytes()).connections(200).dripping(1, 500)],
            limit: Duration::from_secs(15),
            ..PLAIN
        },
        Input {
            name: "heads-endless",
            about: "50 at once: a head of 20 MB",
            loads: |account| {
                let mut bytes = get(account, "").bytes();
                bytes.truncate(bytes.len().saturating_sub(2));
                bytes.extend(b"X-Flood: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(400_000));
                vec![Load::of(bytes).connections(50)]
            },
            ..PLAIN
        },
        Input {
            name: "heads-large-held",
            about: "1,000 at once: 60 kB of a head, then nothing for 10 s",
            loads: |account| {
                let mut bytes = get(account, "").bytes();
                bytes.truncate(bytes.len().saturating_sub(2));
                bytes.extend(format!("X-Flood: {}", "a".repeat(60_000)).into_bytes());
                vec![Load::of(bytes).connections(1_000).held(10)]
            },
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "pipelined",
            about: "8 connections: 5,000 reads in one write",
            seed: |account| many(account, 50),
            loads: |account| {
                let mut bytes = get(account, "").kept().repeat(4_999);
                bytes.extend(get(account, "").bytes());
                vec![Load::of(bytes).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "pipelined-unread",
            about: "50 connections: 2,000 reads of 8 kB in one write, answers unread for 10 s",
            seed: |account| many(account, 50),
            loads: |account| vec![Load::of(get(account, "").kept().repeat(2_000)).connections(50).held(10)],
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "pipelined-writes",
            about: "4 connections: 200 creations in one write",
            loads: |account| {
                let mut bytes = put(account, r#"{"name":"x"}"#).kept().repeat(199);
                bytes.extend(put(account, r#"{"name":"x"}"#).bytes());
                vec![Load::of(bytes).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "chunked-listing-slow",
            about: "50 at once: a listing of 20,000 groups in chunks, read at 20 kB a second for 10 s",
            seed: |account| many(account, 20_000),
            loads: |account| {
                let request = get(account, "?paginate=false&is_chunked=true");
                let ending = Ending::ReadSlowly { piece: 1_000, pause: Duration::from_millis(50) };
                vec![Load::ask(&request).connections(50).ending(ending)]
            },
            limit: Duration::from_secs(10),
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "listing-slow",
            about: "30 at once: a listing of 20,000 groups, read at 20 kB a second for 10 s",
            seed: |account| many(account, 20_000),
            loads: |account| {
                let ending = Ending::ReadSlowly { piece: 1_000, pause: Duration::from_millis(50) };
                vec![Load::ask(&get(account, "?paginate=false")).connections(30).ending(ending)]
            },
            limit: Duration::from_secs(10),
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "by-user-pages",
            about: "50 connections, each 10 times: a user's groups out of 20,000",
            seed: |account| many(account, 20_000),
            loads: |account| {
                let request = Request::new("GET", account.groups_of_user("")).token(&account.token);
                vec![Load::ask(&request).connections(50).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "by-user-all",
            about: "4 at once: all of a user's 50,000 groups",
            seed: |account| many(account, 50_000),
            loads: |account| {
                let path = account.groups_of_user("?paginate=false");
                vec![Load::ask(&Request::new("GET", path).token(&account.token)).connections(4)]
            },
            ..PLAIN
        },
        Input {
            name: "crowd",
            about: "8 at once: GET and listing of a group with 100,000 users",
            seed: |account| {
                let users = members("u", 100_000, r#"{"type":"user"}"#);
                vec![line(account, "crowd", &group(&format!(r#""endpoints":{{{users}}}"#)))]
            },
            loads: |account| {
                ["/crowd", "", "?filter_name=x", "/crowd?pretty_print=true"]
                    .map(|rest| Load::ask(&get(account, rest)).connections(2))
                    .to_vec()
            },
            ..PLAIN
        },
        Input {
            name: "idle",
            about: "5,000 connections that send nothing for 5 s",
            loads: |_| vec![Load::of(Vec::new()).connections(5_000).held(5)],
            must_be_answered: false,
            ..PLAIN
        },
        Input {
            name: "resets",
            about: "50 connections, each 100 times: a reset in the middle of a body of 100 kB",
            loads: |account| {
                let body = envelope(&group(&format!(r#""t":"{}""#, "x".repeat(200_000))));
                let mut bytes = put_by_stranger(account, body).bytes();
                bytes.truncate(100_000);
                vec![Load::of(bytes).connections(50).rounds(100).ending(Ending::Reset)]
            },
            ..PLAIN
        },
        Input {
            name: "gone-before-the-answer",
            about: "20 connections, each 10 times: a listing of 20,000 groups, reset at once",
            seed: |account| many(account, 20_000),
            loads: |account| {
                let request = get(account, "?paginate=false");
                vec![Load::ask(&request).connections(20).rounds(10).ending(Ending::Reset)]
            },
            ..PLAIN
        },
        Input {
            name: "connections-new",
            about: "100 connections, each 50 times: opened for one read",
            seed: |account| many(account, 50),
            loads: |account| vec![Load::ask(&get(account, "")).connections(100).rounds(50)],
            ..PLAIN
        },
        Input {
            name: "writes-many",
            about: "64 connections, each 20 times: creation of a group of 20 kB",
            loads: |account| {
                let account = Account::clone(account);
                let text = "x".repeat(20_000);
                let request =
                    move |_, _| Arc::new(put(&account, &group(&format!(r#""t":"{text}""#))).bytes());
                vec![Load::made(request).connections(64).rounds(20)]
            },
            ..PLAIN
        },
        Input {
            name: "documents-dear",
            about: "8 at once: creation of groups whose map functions are dear (80,000 features, 80,000 endpoints)",
            loads: |account| {
                let features = members("f", 40_000, r#"{"enabled":true}"#);
                let endpoints = members("e", 40_000, r#"{"type":"device"}"#);
                let data = group(&format!(r#""smartpbx":{{{features}}},"endpoints":{{{endpoints}}}"#));
                vec![Load::ask(&put(account, &data)).connections(8)]
            },
            ..PLAIN
        },
        Input {
            name: "no-http",
            about: "100 connections, each 10 times: 100 kB that are no HTTP",
            loads: |_| {
                let garbage = list(25_000, |_| "\u{1}\u{2}x".to_owned());
                vec![Load::of(garbage.into_bytes()).connections(100).rounds(10)]
            },
            ..PLAIN
        },
        Input {
            name: "banner",
            about: "500 connections, each 10 times: `/` and a wrong version",
            loads: |_| {
                ["/", "/v1/accounts"]
                    .map(|path| Load::ask(&Request::new("GET", path)).connections(250).rounds(10))
                    .to_vec()
            },
            ..PLAIN
        },
    ]
}
