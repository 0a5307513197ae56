//! A stand-in for a crossbar that answers from a recording. A server that compares its own answers with it must find
//! them all alike.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use super::replay::{Release, Replay};
use super::symbols::Symbols;
use crate::http_client::{Response, send};
use crate::process::{Server, run_ok, wait_until};

/// The header with the id of a request. The server hands it on.
const REQUEST_ID: &str = "x-request-id";

/// An answer as bytes. `None` until the recorded one can be made.
type Prepared = Option<Vec<u8>>;

/// A stand-in for a crossbar.
#[derive(Clone, Default)]
struct Standin {
    answers: Arc<(Mutex<HashMap<String, Prepared>>, Condvar)>,
}

impl Standin {
    fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let standin = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let standin = standin.clone();
                std::thread::spawn(move || standin.serve(stream.unwrap()));
            }
        });
        address
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let value = |line: &String| Some(line.strip_prefix(REQUEST_ID)?.strip_prefix(": ")?.to_owned());
        let id = lines.iter().find_map(value).unwrap_or_default();
        let _ = reader.get_mut().write_all(&self.answer(&id));
    }

    /// Waits for the answer to a request that is recorded. Others are not answered.
    fn answer(&self, id: &str) -> Vec<u8> {
        let (answers, ready) = &*self.answers;
        let answers = answers.lock().unwrap();
        let is_open = |answers: &mut HashMap<String, Prepared>| answers.get(id).is_some_and(Option::is_none);
        let (answers, _) = ready.wait_timeout_while(answers, Duration::from_secs(60), is_open).unwrap();
        let answer = answers.get(id).cloned().flatten();
        answer.unwrap_or_else(|| b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec())
    }

    fn set(&self, id: &str, answer: Prepared) {
        let (answers, ready) = &*self.answers;
        answers.lock().unwrap().insert(id.to_owned(), answer);
        ready.notify_all();
    }
}

/// What another crossbar would answer: the recorded answer with other ids and times. Revisions are those of the
/// store, and the id of the request is the client's.
fn filled(recorded: &Value, actual: &Value) -> Value {
    match (recorded, actual) {
        (Value::Object(recorded), _) => {
            let member = |(key, value): (&String, &Value)| (key.clone(), filled(value, &actual[key]));
            recorded.iter().map(member).collect()
        }
        (Value::Array(recorded), _) => {
            recorded.iter().enumerate().map(|(place, value)| filled(value, &actual[place])).collect()
        }
        (Value::String(text), _) => match text.as_str() {
            "{{timestamp}}" => "2020-02-02T02:02:02Z".into(),
            "{{node}}" => "abcdefghijklmnopqrstuv".into(),
            "{{version}}" => "5.0.7".into(),
            "{{request_id}}" => actual.clone(),
            "{{md5}}" => "00000000000000000000000000000001".into(),
            "\"{{md5}}\"" => "\"00000000000000000000000000000001\"".into(),
            "{{int}}" => 55.into(),
            text if text.contains("{{hex}}") => text.replace("{{hex}}", "a1b2").into(),
            text if text.contains("{{") => actual.clone(),
            _ => recorded.clone(),
        },
        _ => recorded.clone(),
    }
}

/// The recorded answer to a request as bytes. `actual` is what this server answers.
fn answer_of(expected: &Value, actual: &Response) -> Vec<u8> {
    let header_of = |name: &str| actual.header(name).map_or(Value::Null, Value::from);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", expected["status"]);
    for (name, value) in expected["headers"].as_object().unwrap() {
        if name != "transfer-encoding" {
            let value = filled(value, &header_of(name));
            head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
        }
    }
    let body = match &expected["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => filled(json, &serde_json::from_slice(&actual.body).unwrap()).to_string(),
    };
    let has_body = expected["status"] != 304 && expected["status"] != 204;
    if has_body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// A request with an id of its own. A recorded one stays.
fn with_id(request: &Value, name: &str) -> (String, Value) {
    let mut request = request.clone();
    let headers = request["headers"].as_array_mut().unwrap();
    let is_id = |header: &&Value| header[0].as_str().unwrap().eq_ignore_ascii_case(REQUEST_ID);
    let id = match headers.iter().find(is_id) {
        Some(header) => header[1].as_str().unwrap().to_owned(),
        None => {
            headers.push(json!([REQUEST_ID, name]));
            name.to_owned()
        }
    };
    (id, request)
}

/// How many requests were compared, by the health check.
fn counts(server: &Server) -> (u64, u64) {
    let answer = send(server.admin_address, "GET", "/health/ready", &[], b"");
    let health: Value = serde_json::from_slice(&answer.body).unwrap();
    let count = |outcome: &str| health["shadow"][outcome].as_u64().unwrap();
    (count("same"), count("differs"))
}

/// Whether a step is a read with a token that a server compares, and whose recorded answer can be given again.
fn is_compared(replay: &Replay, step: &Value) -> bool {
    let (request, expected) = (&step["request"], &step["expect"]);
    let status = expected["status"].as_u64().unwrap();
    // Requests without good credentials are not all compared.
    let is_good = |token: &str| {
        let persona = token.strip_prefix("{{T:").and_then(|rest| rest.strip_suffix("}}")).unwrap_or_default();
        persona == "master" || ["_admin", "_user", "_api"].iter().any(|end| persona.ends_with(end))
    };
    let has_token = request["headers"].as_array().unwrap().iter().any(|header| {
        header[0].as_str().unwrap().eq_ignore_ascii_case("x-auth-token")
            && is_good(header[1].as_str().unwrap())
    });
    let of_groups = Regex::new(r"^/v2/accounts/[^/]+(/users/[^/]+)?/groups(/[^/?]+)?(\?.*)?$").unwrap();
    let has_symbols = expected["body"].as_str().is_some_and(|text| text.contains("{{"));
    let is_compressed = expected["headers"].get("content-encoding").is_some();
    let target = request["target"].as_str().unwrap();
    request["method"] == "GET"
        && request["body"].as_str().is_none_or(str::is_empty)
        && request.get("body_b64").is_none()
        && [200, 204, 304, 404].contains(&status)
        && has_token
        && !has_symbols
        && !is_compressed
        && !replay.is_deviation(step["name"].as_str().unwrap())
        && of_groups.is_match(target)
        && comparison::is_comparable(target)
}

/// The reads of a recording, as a server compares them with a stand-in for the recorded crossbar.
pub(super) fn check(release: Release, recording: &str, least: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let replay = Replay::of(release);
    run_ok(&["import", "--store", &store, "-"], replay.seed.lines(&replay.key).as_bytes());
    let standin = Standin::default();
    let with = format!("http://{}", standin.listen());
    let arguments = [release.arguments(), &["--shadow", &with, "--shadow-rate", "1000"]].concat();
    let server = Server::start(&store, &arguments);
    let mut symbols = Symbols::new(&replay);
    let mut compared = 0;
    for line in std::fs::read_to_string(release.recordings().join(recording)).unwrap().lines() {
        let step: Value = serde_json::from_str(line).unwrap();
        let name = step["name"].as_str().unwrap();
        let (id, request) = with_id(&step["request"], name);
        let is_compared = is_compared(&replay, &step);
        if is_compared {
            standin.set(&id, None);
        }
        let response = symbols.send(&server, &request);
        if is_compared {
            let expected = symbols.resolve_all(&step["expect"]);
            standin.set(&id, Some(answer_of(&expected, &response)));
            compared += 1;
            // The copies of all other steps have no answer.
            wait_until("it is compared", || {
                let (same, differs) = counts(&server);
                if differs > 0 {
                    wait_until("the difference is told", || server.log().contains("answers differently"));
                }
                assert_eq!(differs, 0, "{name}: {}", server.log());
                assert!(same <= compared, "{name}: {same} of {compared}");
                same == compared
            });
        }
        symbols.remember(name, &response);
    }
    assert!(compared >= least, "{compared} reads of {recording} were compared");
}
