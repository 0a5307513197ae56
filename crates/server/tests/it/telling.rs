//! What the log tells of requests, of refusals, and of connections that bring no request.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::account::Account;
use crate::http_client::send;
use crate::process::run_ok;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// The line of the log that satisfies a condition, once it is there.
pub(crate) fn line_where(alpha: &Account, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(line) = alpha.server().log().lines().find(|line| is_wanted(line)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "{what}:\n{}", alpha.server().log());
        std::thread::yield_now();
    }
}

#[test]
fn every_request_is_a_line_of_the_log() {
    let mut alpha = Account::served();
    alpha.create_all(&["g"]);
    let headers = [("X-Request-ID", "one"), ("X-Forwarded-For", "203.0.113.9")];
    alpha.send("GET", "/groups/g?secret=in-the-query", &headers, b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=one "));
    for field in [
        "method=GET status=200 duration_ms=",
        &format!(" path=/v2/accounts/{}/groups/g ", alpha.id),
        " route=/v2/accounts/{account_id}/groups/{group_id} ",
        " address=203.0.113.9 ",
        &format!(" account_id={} user_id={}", alpha.id, alpha.user_id),
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    let bytes = Regex::new(r" bytes=(\d+) ").unwrap();
    let answer = alpha.send("GET", "/groups/g", &[("X-Request-ID", "two")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=two "));
    assert_eq!(bytes.captures(&line).unwrap()[1], answer.body.len().to_string());
    // A token in a path, a listing that is sent while it is read, and a refusal.
    alpha.send("GET", &format!("/v2/user_auth/{}", alpha.token), &[("X-Request-ID", "three")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=three "));
    assert!(line.contains("path=/v2/user_auth/***"), "{line}");
    let answer = alpha.send("GET", "/groups?is_chunked=true", &[("X-Request-ID", "four")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("answered request_id=four "));
    assert_eq!(bytes.captures(&line).unwrap()[1], answer.body.len().to_string());
    assert!(!line.contains("complete=false"), "{line}");
    assert!(!alpha.server().log().contains("in-the-query"));

    alpha.restart(&["--log-format", "json"]);
    alpha.send("GET", "/groups/g", &[("X-Request-ID", "a \"b\"")], b"");
    let line = line_where(&alpha, "the request", |line| line.contains("\"answered\""));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["request_id"], &line["status"]), (&json!("a \"b\""), &json!(200)));
    let all = alpha.server().log();
    let of_log = all.lines().filter(|line| !line.is_empty());
    assert!(of_log.clone().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{all}");

    alpha.restart(&["--log-format", "kazoo"]);
    alpha.send("GET", "/groups/g?auth_token=x", &[("X-Request-ID", "five")], b"");
    let fulfilled = "|five|api_resource:0(<0.0.0>) GET request fulfilled in ";
    line_where(&alpha, "the request", |line| line.starts_with(fulfilled));
    let path =
        format!("|five|api_resource:0(<0.0.0>) GET: /v2/accounts/{}/groups/g? from 127.0.0.1", alpha.id);
    line_where(&alpha, "its path", |line| line == path);
}

#[test]
fn refusals_are_told_and_counted() {
    let alpha = Account::served();
    let login = credentials("wrong", "alpha");
    log_in(&alpha, "wrong", &login);
    let line = line_where(&alpha, "the login", |line| line.contains("reason=wrong_login"));
    let whose = format!(" address=127.0.0.1 account_id={}", alpha.id);
    assert!(line.contains("WARN") && line.contains("request_id=wrong ") && line.ends_with(&whose), "{line}");
    alpha.send_as_stranger("GET", "/groups", &[("X-Auth-Token", "nonsense")], b"");
    let line = line_where(&alpha, "the token", |line| line.contains("reason=bad_credentials"));
    assert!(line.contains("INFO") && line.contains(" detail="), "{line}");
    // To show a token below `user_auth` is no login.
    alpha.send_as_stranger("GET", "/v2/user_auth/abc", &[], b"");
    let other = format!("/v2/accounts/{}/groups", "0".repeat(32));
    assert_eq!(alpha.send("GET", &other, &[], b"").status, 404);
    for _ in 0..200 {
        alpha.send_as_stranger("PUT", "/v2/user_auth", &[], login.as_bytes());
    }
    let metrics = send(alpha.server().admin_address, "GET", "/metrics", &[], b"").text();
    let counter = Regex::new(r#"(?m)^crossbar_groups_refusals_total\{reason="(\w+)"\} (\d+)$"#).unwrap();
    let counted: BTreeMap<_, u64> = counter
        .captures_iter(&metrics)
        .map(|found| (found[1].to_owned(), found[2].parse().unwrap()))
        .collect();
    let documented = include_str!("../../../../docs/operations.md");
    for (reason, count) in &counted {
        let happened = ["wrong_login", "bad_credentials", "no_credentials", "too_many_failures"];
        let happened = happened.contains(&reason.as_str());
        assert_eq!(*count > 0, happened, "{counted:?}");
        assert!(documented.contains(&format!("`{reason}`")), "{reason} is not documented");
    }
    assert_eq!(counted.len(), 12, "every reason has a counter from the start: {metrics}");
    let told = alpha.server().log().lines().filter(|line| line.contains("refused a request")).count();
    assert!(told < 200, "{told} lines for 200 refusals");
}

/// The body of a login of the user `admin`.
fn credentials(password: &str, account_name: &str) -> String {
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(format!("admin:{password}")));
    json!({"data": {"credentials": digest, "account_name": account_name}}).to_string()
}

/// Logs in, and answers the status.
fn log_in(alpha: &Account, request_id: &str, body: &str) -> u16 {
    let path = if body.contains("api_key") { "/v2/api_auth" } else { "/v2/user_auth" };
    alpha.send_as_stranger("PUT", path, &[("X-Request-ID", request_id)], body.as_bytes()).status
}

/// The log names accounts and users by their ids, and never by what a client has typed.
#[test]
fn a_login_tells_whose_it_is() {
    let mut alpha = Account::served();
    let key = run_ok(&["account", "show", "alpha", "--api-key", "--store", &alpha.store()], b"");
    let key = Regex::new(r"api key +([0-9a-f]{64})").unwrap().captures(&key).unwrap()[1].to_owned();
    let api_key = json!({"data": {"api_key": key}}).to_string();
    let account = format!(" account_id={}", alpha.id);
    let both = format!("{account} user_id={}", alpha.user_id);
    let answered = |alpha: &Account, id: &str| {
        line_where(alpha, "the login", |line| line.contains(&format!("answered request_id={id} ")))
    };
    for (id, body, status, whose) in [
        ("good", credentials("secret", "alpha"), 201, &both),
        ("wrong", credentials("typed", "alpha"), 401, &account),
        ("nobody", credentials("typed", "typed-name"), 401, &String::new()),
        ("key", api_key.clone(), 201, &account),
    ] {
        assert_eq!(log_in(&alpha, id, &body), status, "{id}");
        let line = answered(&alpha, id);
        assert!(line.ends_with(&format!(" address=127.0.0.1{whose}")), "{line}");
    }
    alpha.while_stopped(|store| run_ok(&["account", "disable", "alpha", "--store", store], b""));
    assert_eq!(log_in(&alpha, "disabled", &credentials("secret", "alpha")), 400);
    let told = line_where(&alpha, "the refusal", |line| line.contains("reason=account_disabled"));
    for line in [told, answered(&alpha, "disabled")] {
        assert!(line.ends_with(&format!(" address=127.0.0.1{both}")), "{line}");
    }
    let log = alpha.server().log();
    assert!(!log.contains("typed-name") && !log.contains(&key), "{log}");
}

/// Bytes that are no request, the reason that the metrics and the log give, and the status of the answer.
const GARBAGE: &[(&[u8], &str, Option<u16>)] = &[
    (b"a\"b / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed", Some(400)),
    (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", "malformed", Some(400)),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", "malformed", Some(400)),
    (b"GET / HTTP/1.1\rHost: x\r\n\r\n", "malformed", Some(400)),
    (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n", "malformed", Some(400)),
    (
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        "malformed",
        Some(400),
    ),
    (b"\0\x01\x02\r\n\r\n", "malformed", Some(400)),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported", Some(505)),
    (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "unsupported", Some(501)),
    (&[b'x'; 70_000], "too_large", Some(414)),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "slow_head", Some(408)),
    (b"\x16\x03\x01\0\x05\x01\0\0\x01\x03", "tls", None),
    (b"GET /v2", "slow_head", None),
    (b"GET / HTTP/1.1\r\nHost: x", "slow_head", Some(408)),
    (b"", "no_request", None),
];

/// How often each kind of garbage is sent.
const TIMES: usize = 30;

/// Sends bytes that bring no answer of the application, and answers the status. An answer may never come.
fn send_garbage(alpha: &Account, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(alpha.server().address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The server may close the connection meanwhile.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).map(|status| status.parse().unwrap())
}

fn refused_connections(alpha: &Account) -> BTreeMap<String, usize> {
    let metrics = send(alpha.server().admin_address, "GET", "/metrics", &[], b"").text();
    let counter =
        Regex::new(r#"(?m)^crossbar_groups_connections_refused_total\{reason="(\w+)"\} (\d+)$"#).unwrap();
    counter.captures_iter(&metrics).map(|found| (found[1].to_owned(), found[2].parse().unwrap())).collect()
}

/// A slip in the variable, or one that is meant for another program, must not hide what goes wrong.
#[test]
fn what_rust_log_does_not_name_keeps_its_level() {
    let mut alpha = Account::served();
    for variable in ["inof", "otherapp=debug", "couchdb=debug"] {
        alpha.restart_with(&[], &[("RUST_LOG", variable)]);
        let log = alpha.server().log();
        assert!(log.contains("INFO") && log.contains("opened the store"), "{variable}: {log}");
    }
}

/// Whoever can connect can send garbage as fast as the network takes it. The log stays readable, and its other lines
/// are not crowded out; the metrics count all.
#[test]
fn no_garbage_floods_the_log() {
    let mut alpha = Account::served();
    // The usual level, whether a setting or a variable says so.
    for variable in ["", "info"] {
        alpha.restart_with(&["--head-timeout-ms", "300"], &[("RUST_LOG", variable)]);
        let names: Vec<_> = refused_connections(&alpha).into_keys().collect();
        assert_eq!(names.len(), 10, "every reason has a counter from the start: {names:?}");
        let begun = Instant::now();
        for (bytes, reason, status) in GARBAGE {
            let before = refused_connections(&alpha);
            let kind = String::from_utf8_lossy(bytes);
            std::thread::scope(|scope| {
                let each = || send_garbage(&alpha, bytes);
                let sent: Vec<_> = (0..TIMES).map(|_| scope.spawn(each)).collect();
                for answer in sent {
                    assert_eq!(answer.join().unwrap(), *status, "{kind:?}");
                }
            });
            let mut expected = before;
            *expected.get_mut(*reason).unwrap_or_else(|| panic!("no reason {reason}")) += TIMES;
            assert_eq!(refused_connections(&alpha), expected, "{kind:?}");
        }
        let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        // A second of the bound need not be one of this test.
        let most = 10 * (seconds + 1);
        let log = alpha.server().log();
        let told: Vec<_> = log.lines().filter(|line| line.contains("refused a connection")).collect();
        assert!((3..=most).contains(&told.len()), "{} lines in {seconds} s", told.len());
        assert!(told.iter().all(|line| line.contains("INFO") && line.contains(" address=127.0.0.1")));
        assert!(told.iter().any(|line| line.contains(" left_out=")));
        // The first lines are those of the first kind.
        assert!(told[0].contains(" listener=api reason=malformed "), "{log}");
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
        let shown = send(alpha.server().admin_address, "GET", "/status.json", &[], b"").text();
        assert!(!shown.contains("actix_http"), "{shown}");
        assert!(log.lines().count() < told.len() + 50, "{log}");
    }
}
