//! The values of a recording's symbols in this run. Requests are sent with them, and answers are compared with
//! them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use comparison::{Difference, Texts, difference, header_difference, order_difference};
use serde_json::Value;

use super::replay::Replay;
use crate::http_client::{Response, send};
use crate::process::Server;
use crate::tokens::Minter;

/// Seconds between Kazoo's beginning of time and Unix'.
const GREGORIAN_EPOCH: i64 = 62_167_219_200;

/// The values of the recordings' symbols in this run.
pub(super) struct Symbols<'a> {
    pub(super) replay: &'a Replay,
    now: i64,
    pub(super) known: BTreeMap<String, String>,
}

impl<'a> Symbols<'a> {
    pub(super) fn new(replay: &'a Replay) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { replay, now: i64::try_from(now).unwrap(), known: replay.seed.names.clone() }
    }

    pub(super) fn send(&mut self, server: &Server, request: &Value) -> Response {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = self.resolve(&text(&request["target"]));
        let headers = request["headers"].as_array().unwrap();
        let headers: Vec<_> =
            headers.iter().map(|header| (text(&header[0]), self.resolve(&text(&header[1])))).collect();
        let body = match request.get("body_b64") {
            Some(encoded) => {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text(encoded)).unwrap()
            }
            None => self.resolve(&text(&request["body"])).into_bytes(),
        };
        send(server.address, &text(&request["method"]), &target, &headers, &body)
    }

    /// A text with every symbol in it whose meaning is known.
    fn resolve(&mut self, text: &str) -> String {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            // A start key may hold symbols itself; they are resolved from the inside out.
            let (symbol, after) = close(behind);
            resolved.push_str(before);
            match self.meaning(symbol) {
                Some(meaning) => resolved.push_str(&meaning),
                None => {
                    let _ = write!(resolved, "{{{{{symbol}}}}}");
                }
            }
            rest = after;
        }
        resolved.push_str(rest);
        resolved
    }

    fn meaning(&mut self, symbol: &str) -> Option<String> {
        if let Some(known) = self.known.get(symbol) {
            return Some(known.clone());
        }
        if let Some(persona) = symbol.strip_prefix("T:") {
            let Replay { seed, key, other_key, .. } = self.replay;
            let minter = Minter { seed, key, other_key, now: self.now };
            let token = minter.token(persona);
            self.known.insert(symbol.to_owned(), token.clone());
            return Some(token);
        }
        if let Some(key) = symbol.strip_prefix("sk:") {
            let key = self.resolve(key);
            let mut term = vec![131, 109];
            term.extend_from_slice(&u32::try_from(key.len()).unwrap().to_be_bytes());
            term.extend_from_slice(key.as_bytes());
            return Some(base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, term));
        }
        let offset: i64 = symbol.strip_prefix("greg:")?.parse().unwrap();
        Some((self.now + GREGORIAN_EPOCH + offset).to_string())
    }

    pub(super) fn resolve_all(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.resolve(text)),
            Value::Array(items) => items.iter().map(|item| self.resolve_all(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| (self.resolve(key), self.resolve_all(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// What is wrong with an answer, if anything.
    pub(super) fn compare(&mut self, expected: &Value, response: &Response) -> Option<String> {
        if expected["status"] != response.status {
            return Some(format!("status {} recorded, {} here", expected["status"], response.status));
        }
        let headers = self.resolve_all(&expected["headers"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers: Vec<_> =
            headers.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect();
        if let Some(fault) = header_difference(&headers, &response.headers, response.status) {
            return Some(fault.to_string());
        }
        match self.resolve_all(&expected["body"]) {
            Value::Null => (!response.body.is_empty()).then(|| "a body where none is recorded".to_owned()),
            Value::String(text) => {
                (!text_matches(&text, &response.text())).then(|| format!("the body is not {text:?}"))
            }
            json => match serde_json::from_slice(&response.body) {
                Ok(actual) => body_difference(&json, &actual).map(|difference| difference.to_string()),
                Err(error) => Some(format!("the body is no JSON: {error}")),
            },
        }
    }

    pub(super) fn remember(&mut self, step: &str, response: &Response) {
        let Ok(body) = serde_json::from_slice::<Value>(&response.body) else { return };
        for (kind, value) in [("id", &body["data"]["id"]), ("rev", &body["revision"])] {
            if let Some(text) = value.as_str() {
                self.known.insert(format!("{kind}:{step}"), text.to_owned());
            }
        }
    }
}

/// Whether a text is the recorded one, which may hold symbols.
fn text_matches(recorded: &str, actual: &str) -> bool {
    comparison::text_matches(recorded, actual)
        .unwrap_or_else(|| panic!("the recordings use an unknown symbol: {recorded:?}"))
}

/// The first difference of a body from the recorded one. The order of an envelope's members counts too.
fn body_difference(recorded: &Value, actual: &Value) -> Option<Difference> {
    let names = |envelope: &Value| -> Vec<String> {
        envelope.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    difference("body", recorded, actual, Texts::WithSymbols).or_else(|| {
        let (recorded, actual) = (names(recorded), names(actual));
        order_difference("body", recorded.iter().map(String::as_str), actual.iter().map(String::as_str))
    })
}

/// Splits behind the `}}` that closes a symbol, which may hold other symbols.
fn close(text: &str) -> (&str, &str) {
    let (mut depth, mut place) = (0, 0);
    loop {
        let rest = &text[place..];
        let end = rest.find("}}").expect("every symbol is closed");
        match rest.find("{{") {
            Some(begin) if begin < end => {
                depth += 1;
                place += begin + 2;
            }
            _ if depth == 0 => return (&text[..place + end], &text[place + end + 2..]),
            _ => {
                depth -= 1;
                place += end + 2;
            }
        }
    }
}
