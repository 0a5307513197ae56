//! What crossbar's own HTTP server answered to raw bytes, byte for byte, against this one. The rows are
//! recorded in `conformance/wire.jsonl`. `conformance/wire.exceptions.json` has the rows that are answered
//! otherwise here, each with its reason.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::time::Duration;

use base64::Engine as _;
use edge::Limits;
use percent_encoding::percent_decode_str;
use plain_http::{Answer, AnswerTo};
use serde_json::Value;

use crate::client::Client;
use crate::echo::{Echo, PATIENT, READ};

/// A recorded exchange.
struct Row {
    name: String,
    parts: Vec<Vec<u8>>,
    pause: Duration,
    answers: Vec<Value>,
    /// Whether the connection stays open behind the answers.
    is_open: bool,
}

impl Row {
    fn read(line: &str) -> Self {
        let row: Value = serde_json::from_str(line).unwrap();
        let decode =
            |part: &Value| base64::engine::general_purpose::STANDARD.decode(part.as_str().unwrap()).unwrap();
        Self {
            name: row["name"].as_str().unwrap().to_owned(),
            parts: row["send"].as_array().unwrap().iter().map(decode).collect(),
            pause: Duration::from_secs_f64(row["pause_s"].as_f64().unwrap_or_default()),
            answers: row["answers"].as_array().unwrap().clone(),
            is_open: row["then"] == "open",
        }
    }

    /// Applies an exception: `answers` are statuses.
    fn except(&mut self, exception: &Value) {
        if let Some(statuses) = exception["answers"].as_array() {
            let times = exception["times"].as_u64().unwrap_or(1);
            let statuses = (0..times).flat_map(|_| statuses);
            self.answers = statuses.map(|status| serde_json::json!({ "status": status })).collect();
        }
        self.is_open = exception["then"].as_str().map_or(self.is_open, |then| then == "open");
        assert!(exception["because"].as_str().is_some_and(|reason| reason.len() > 10), "{}", self.name);
    }

    /// A header's refusal that is crossbar's own, above its HTTP server. The echo does not refuse.
    fn is_of_the_application(&self) -> bool {
        const NAMES: [&str; 7] =
            ["Accept", "If-", "Content-Type", "twice Accept", "twice If-", "HEAD 406", "OPTIONS"];
        NAMES.iter().any(|name| self.name.starts_with(name)) && self.is_open
    }

    /// The methods of the requests. The row's name lists them.
    fn methods(&self) -> impl Iterator<Item = AnswerTo> {
        let methods = self.name.strip_prefix("pipeline ").unwrap_or(&self.name).split(' ');
        let methods = methods.map(|method| if method == "HEAD" { AnswerTo::Head } else { AnswerTo::Other });
        methods.chain(std::iter::repeat(AnswerTo::Other))
    }

    fn replay(&self, server: &Echo) -> Result<(), String> {
        let mut client = Client::connect(server.address);
        for part in &self.parts {
            client.send(part);
            std::thread::sleep(self.pause);
        }
        if self.name.starts_with("half-close") {
            client.stream().shutdown(Shutdown::Write).unwrap();
        }
        let mut methods = self.methods();
        for expected in &self.answers {
            let status = expected["status"].as_u64().unwrap();
            if status == 100 {
                continue;
            }
            let answer = client.answer_to(methods.next().unwrap());
            let answer = answer.map_err(|error| format!("instead of a {status}: {error}"))?;
            if self.is_of_the_application() {
                check(answer.status == 200, || format!("the echo answers 200, not {}", answer.status))?;
                continue;
            }
            check(u64::from(answer.status) == status, || format!("{} instead of {status}", answer.status))?;
            check_seen(&expected["seen"], &answer)?;
            // Closing is what HTTP/1.0 does unless it is told otherwise.
            let connection =
                expected["headers"]["connection"].as_str().filter(|_| !self.name.contains("1.0"));
            check(connection.is_none() || answer.header("connection") == connection, || {
                format!("connection: {:?} instead of {connection:?}", answer.header("connection"))
            })?;
        }
        if self.is_open {
            client.assert_open()
        } else {
            client.assert_closed()
        }
        Ok(())
    }
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Compares what the application saw. Bytes of a query may be escaped here, and headers of an upgrade and
/// of the framing are not compared.
fn check_seen(expected: &Value, answer: &Answer) -> Result<(), String> {
    if expected.is_null() || answer.body.is_empty() {
        return Ok(());
    }
    let seen: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    for member in ["method", "path", "body"] {
        check(seen[member] == expected[member], || format!("{member}: {} seen", seen[member]))?;
    }
    let unescaped = |value: &Value| -> String {
        let bytes: Vec<u8> = match value.as_str() {
            // Each byte as the character of that number.
            Some(text) => text.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect(),
            None => Vec::new(),
        };
        let text: String = bytes.iter().copied().map(char::from).collect();
        let text = percent_decode_str(&text).collect::<Vec<u8>>();
        // Both sides turn bytes beyond ASCII into UTF-8 in the same way, so they can be compared.
        text.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let raw: String = expected["qs"]
        .as_str()
        .unwrap()
        .chars()
        .map(|byte| {
            let byte = u8::try_from(u32::from(byte)).unwrap();
            if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        })
        .collect();
    check(unescaped(&seen["qs"]) == unescaped(&Value::from(raw)), || format!("qs: {} seen", seen["qs"]))?;
    for (name, value) in expected["headers"].as_object().unwrap() {
        if ["connection", "upgrade", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            continue;
        }
        let joined = if name == "cookie" { "; " } else { ", " };
        let lines: Vec<_> =
            seen["headers"][name].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        check(lines.len() < 2 || !READ.contains(&name.as_str()), || format!("{name} is not joined"))?;
        check(lines.join(joined) == *value, || format!("{name}: {lines:?} seen"))?;
    }
    Ok(())
}

#[test]
fn raw_bytes_are_answered_as_by_crossbars_server() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance");
    let recorded = std::fs::read_to_string(format!("{folder}/wire.jsonl")).unwrap();
    let exceptions = std::fs::read_to_string(format!("{folder}/wire.exceptions.json")).unwrap();
    let mut exceptions: BTreeMap<String, Value> = serde_json::from_str(&exceptions).unwrap();
    let server = Echo::start(PATIENT);
    let hurried = Echo::start(Limits { head: Duration::from_millis(500), ..PATIENT });
    let mut faults = Vec::new();
    for line in recorded.lines() {
        let mut row = Row::read(line);
        if let Some(exception) = exceptions.remove(&row.name) {
            row.except(&exception);
        }
        let is_timed = ["silent ", "part of "].iter().any(|name| row.name.starts_with(name));
        if let Err(fault) = row.replay(if is_timed { &hurried } else { &server }) {
            faults.push(format!("{}: {fault}", row.name));
        }
    }
    assert!(faults.is_empty(), "{} rows differ:\n{}", faults.len(), faults.join("\n"));
    assert!(exceptions.is_empty(), "no such rows: {:?}", exceptions.keys());
}

/// The application gets it whole, and the requests behind it have their own queries.
#[test]
fn a_raw_query_may_be_as_long_as_a_head() {
    let server = Echo::start(PATIENT);
    let mut client = Client::connect(server.address);
    for length in [21_000, 22_000, 65_000] {
        let query = [b"k=".to_vec(), vec![0xfc; length]].concat();
        client.send([&b"GET /a?"[..], &query, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{length}");
        let seen: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["qs"], format!("k={}", "%FC".repeat(length)), "{length}");
    }
    client.send("GET /a?short HTTP/1.1\r\nHost: x\r\n\r\n");
    let seen: Value = serde_json::from_slice(&client.answer().body).unwrap();
    assert_eq!(seen["qs"], "short");
    client.assert_open();
}

/// The client sends nothing more, so waiting would be for ever.
#[test]
fn a_chunk_that_is_larger_than_any_body_is_refused_at_once() {
    let server = Echo::start(PATIENT);
    for body in [
        "ffffffffffffffff\r\n",
        "7fffffffffffffff\r\n",
        "7fffffffffffffff",
        "5\r\nhello\r\nffffffffffffffff\r\nx",
    ] {
        for path in ["/a", "/late", "/early"] {
            let mut client = Client::connect(server.address);
            client
                .send(format!("PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
            let answer = client.answer();
            let is_taken = path == "/early" && answer.status == 200;
            assert!(is_taken || answer.status == 400, "{path} {body:?}: {}", answer.status);
            client.assert_closed();
        }
    }
}
