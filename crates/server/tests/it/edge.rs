//! The connection below the API, over raw sockets: what a request may look like, and how long clients may
//! take. The crate `edge` tests the layer itself; these tests show that the server uses it, and its settings.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use plain_http::{Answer, AnswerTo, read_answer};
use serde_json::json;

use crate::account::Account;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// A raw connection to an account's server.
struct Raw<'a> {
    account: &'a Account,
    reader: BufReader<TcpStream>,
}

impl<'a> Raw<'a> {
    fn connect(account: &'a Account) -> Self {
        let stream = TcpStream::connect(account.server().address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { account, reader: BufReader::new(stream) }
    }

    /// Sends a head. `{groups}` and `{token}` in it are the account's.
    fn send(&mut self, head: &str) -> &mut Self {
        let head = head.replace("{groups}", &format!("/v2/accounts/{}/groups", self.account.id));
        let head = head.replace("{token}", &format!("Host: x\r\nX-Auth-Token: {}", self.account.token));
        self.reader.get_ref().write_all(head.as_bytes()).unwrap();
        self
    }

    fn answer_to(&mut self, to: AnswerTo) -> Answer {
        read_answer(&mut self.reader, to).unwrap()
    }

    fn answer(&mut self) -> Answer {
        self.answer_to(AnswerTo::Other)
    }

    fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }

    fn assert_open(&mut self) {
        assert_eq!(self.send("GET {groups} HTTP/1.1\r\n{token}\r\n\r\n").answer().status, 200);
    }
}

#[test]
fn raw_bytes_in_a_query_are_taken_and_those_in_a_path_are_400() {
    let alpha = Account::served();
    for (id, name) in [("a", "Büro"), ("b", "[\"<b>\"]"), ("c", "c")] {
        assert_eq!(alpha.ask("PUT", "/groups", &json!({"id": id, "name": name})).status, 201);
    }
    let mut raw = Raw::connect(&alpha);
    for (query, ids) in [
        ("filter_name=Büro", "a"),
        ("filter_name=[\"<b>\"]", "b"),
        ("filter_name=c#&filter_name=d", "c"),
        ("filter_name=c\t", ""),
        // Escaped, it is longer than a head.
        (&format!("x={}&filter_name=c", "ü".repeat(30_000)), "c"),
    ] {
        let answer = raw.send(&format!("GET {{groups}}?{query} HTTP/1.1\r\n{{token}}\r\n\r\n")).answer();
        let listing: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let listed: Vec<_> =
            listing["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!((answer.status, listed.concat().as_str()), (200, ids), "{query}");
    }
    for path in ["Büro", "a<", "{41}", "\u{1}", "`"] {
        let answer = raw.send(&format!("GET {{groups}}/{path} HTTP/1.1\r\n{{token}}\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.body.len()), (400, 0), "{path:?}");
    }
    raw.assert_open();
}

#[test]
fn an_upgrade_is_ignored() {
    let alpha = Account::served();
    let mut raw = Raw::connect(&alpha);
    for upgrade in ["Connection: Upgrade\r\nUpgrade: websocket", "Upgrade: foo", "Connection: upgrade"] {
        let data = r#"{"data":{"name":"upgraded"}}"#;
        let head = format!(
            "PUT {{groups}} HTTP/1.1\r\n{{token}}\r\nContent-Type: application/json\r\n{upgrade}\r\n\
             Content-Length: {}\r\n\r\n{data}",
            data.len()
        );
        assert_eq!(raw.send(&head).answer().status, 201, "{upgrade}");
    }
    raw.assert_open();
    assert_eq!(alpha.ids("/groups").len(), 3);
}

#[test]
fn trace_and_connect_are_a_bare_501_and_the_end() {
    let alpha = Account::served();
    for line in ["TRACE {groups}", "CONNECT x:80"] {
        let mut raw = Raw::connect(&alpha);
        let answer = raw.send(&format!("{line} HTTP/1.1\r\n{{token}}\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.header("x-request-id")), (501, None), "{line}");
        raw.assert_closed();
    }
}

#[test]
fn a_pipelined_head_has_no_body() {
    let alpha = Account::served();
    let mut raw = Raw::connect(&alpha);
    raw.send("GET {groups} HTTP/1.1\r\n{token}\r\n\r\n")
        .send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        .send("GET {groups} HTTP/1.1\r\n{token}\r\nConnection: close\r\n\r\n")
        .send("GET {groups} HTTP/1.1\r\n{token}\r\n\r\n");
    assert!(!raw.answer().body.is_empty());
    let head = raw.answer_to(AnswerTo::Head);
    assert_eq!(head.status, 200);
    assert!(!raw.answer().body.is_empty());
    // Behind `Connection: close`, no further request is answered.
    raw.assert_closed();
}

#[test]
fn every_answer_to_head_has_the_length_of_its_plain_body_and_nothing_more() {
    let alpha = Account::served();
    let mut raw = Raw::connect(&alpha);
    for (target, headers, status) in [
        ("/", "Host: x", 200),
        ("{groups}", "{token}", 405),
        ("{groups}?is_chunked=true", "{token}", 405),
        ("{groups}?accept=csv", "{token}\r\nAccept: text/csv", 405),
        ("{groups}?verb=GET", "{token}", 405),
        ("{groups}/a", "{token}\r\nOrigin: http://x", 405),
        ("{groups}", "Host: x\r\nX-Auth-Token: bad", 405),
        ("{groups}", "{token}\r\nX-Pretty-Print: true", 405),
        ("{groups}?x=%zz", "{token}", 400),
        ("{groups}/%zz", "{token}", 400),
        ("{groups}/a/b", "{token}", 404),
        ("/v1/accounts", "{token}", 410),
        ("/v2/nosuch", "Host: x", 401),
        ("/v2/user_auth", "Host: x", 405),
    ] {
        // They are pipelined, so a body would be read as the next answer.
        for encoding in ["identity", "gzip"] {
            let accepts = format!("Accept-Encoding: {encoding}");
            raw.send(&format!("HEAD {target} HTTP/1.1\r\n{headers}\r\n{accepts}\r\n\r\n"));
        }
        raw.send("GET {groups} HTTP/1.1\r\n{token}\r\n\r\n");
        let [plain, gzip] = [(); 2].map(|()| raw.answer_to(AnswerTo::Head));
        for answer in [&plain, &gzip] {
            let seen = (answer.status, answer.header("content-encoding"), answer.header("transfer-encoding"));
            assert_eq!(seen, (status, None, None), "{target} {headers}");
        }
        assert_eq!(plain.header("content-length"), gzip.header("content-length"), "{target} {headers}");
        assert_eq!(raw.answer().status, 200, "{target} {headers}");
    }
}

#[test]
fn a_hundred_headers_are_taken() {
    let alpha = Account::served();
    let surplus: String = (0..98).map(|number| format!("A{number}: b\r\n")).collect();
    let mut raw = Raw::connect(&alpha);
    assert_eq!(
        raw.send(&format!("GET {{groups}} HTTP/1.1\r\n{surplus}{{token}}\r\n\r\n")).answer().status,
        200
    );
    let answer = raw.send(&format!("GET {{groups}} HTTP/1.1\r\n{surplus}A: b\r\n{{token}}\r\n\r\n")).answer();
    assert_eq!(answer.status, 431);
    raw.assert_closed();
}

#[test]
fn a_malformed_chunk_is_400_at_once() {
    let alpha = Account::served();
    for chunk in ["zz\r\n", "fffffffffffffffff\r\n", "5\nhello", "2\r\n{}X"] {
        let mut raw = Raw::connect(&alpha);
        let head = "PUT {groups} HTTP/1.1\r\n{token}\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        assert_eq!(raw.send(&format!("{head}{chunk}")).answer().status, 400, "{chunk:?}");
        raw.assert_closed();
    }
    assert_eq!(alpha.ids("/groups").len(), 0);
}

#[test]
fn the_settings_of_time_are_used() {
    let mut alpha = Account::served();
    alpha.restart(&["--head-timeout-ms", "300"]);
    let mut raw = Raw::connect(&alpha);
    raw.assert_open();
    assert_eq!(raw.send("GET {groups} HTTP/1.1\r\nHost: x\r\n").answer().status, 408);
    raw.assert_closed();
    Raw::connect(&alpha).assert_closed();

    alpha.restart(&["--idle-timeout-ms", "300"]);
    let mut raw = Raw::connect(&alpha);
    raw.assert_open();
    raw.assert_closed();

    alpha.restart(&["--body-rate", "1000000"]);
    let head = "PUT {groups} HTTP/1.1\r\n{token}\r\nContent-Length: 10\r\n\r\n";
    let mut raw = Raw::connect(&alpha);
    assert_eq!(raw.send(head).answer().status, 408);
    raw.assert_closed();
}

#[test]
fn a_client_that_does_not_read_its_answers_is_closed() {
    let mut alpha = Account::served();
    let large = json!({"id": "large", "name": "large", "custom": "x".repeat(2_000_000)});
    assert_eq!(alpha.ask("PUT", "/groups", &large).status, 201);
    alpha.restart(&["--answer-timeout-ms", "300"]);
    let mut raw = Raw::connect(&alpha);
    // More than the buffers of the system hold.
    raw.send(&"GET {groups}/large HTTP/1.1\r\n{token}\r\n\r\n".repeat(30));
    let deadline = Instant::now() + DEADLINE;
    while raw.reader.get_ref().write_all(b"\r\n").is_ok() {
        assert!(Instant::now() < deadline, "the connection is still open");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Another client is served.
    Raw::connect(&alpha).assert_open();
}

#[test]
fn the_limit_of_connections_is_that_of_the_process() {
    let mut alpha = Account::served();
    // There are two threads.
    alpha.restart(&["--max-connections", "3", "--head-timeout-ms", "60000"]);
    let mut kept: Vec<_> = (0..3).map(|_| Raw::connect(&alpha)).collect();
    for raw in &mut kept {
        // A client that was answered has its place.
        raw.assert_open();
        raw.send("GET {groups} HTTP/1.1\r\n");
    }
    let mut surplus = Raw::connect(&alpha);
    let answer = surplus.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    surplus.assert_closed();
    for raw in &mut kept {
        assert_eq!(raw.send("{token}\r\n\r\n").answer().status, 200);
    }
    drop(kept);
    let deadline = Instant::now() + DEADLINE;
    while alpha.send("GET", "/groups", &[], b"").status != 200 {
        assert!(Instant::now() < deadline, "the places are not free again");
    }
}

#[test]
fn a_client_that_speaks_tls_is_named_in_the_log() {
    let alpha = Account::served();
    let mut raw = Raw::connect(&alpha);
    raw.reader.get_ref().write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]).unwrap();
    raw.assert_closed();
    let deadline = Instant::now() + DEADLINE;
    let is_named = |line: &str| line.contains("speaks TLS") && line.contains(" address=127.0.0.1");
    while !alpha.server().log().lines().any(is_named) {
        assert!(Instant::now() < deadline, "{}", alpha.server().log());
        std::thread::yield_now();
    }
}
