//! Conversations over a socket: requests are written one after the other, answers are read one by one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plain_http::{AnswerTo, read_answer};
use serde_json::value::RawValue;

use super::generator::Request;

/// The parts of an answer that are judged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it says that the connection ends with it.
    pub(crate) closes: bool,
    pub(crate) is_json: bool,
    pub(crate) body_is_json: bool,
}

/// The outcome of a conversation.
pub(crate) struct Exchange {
    pub(crate) answers: Vec<Answer>,
    /// How the connection ended.
    pub(crate) end: String,
}

/// Sends all requests at once and reads until the connection ends.
pub(crate) fn converse(address: SocketAddr, requests: &[Request]) -> Exchange {
    let mut connection = match TcpStream::connect(address) {
        Ok(connection) => connection,
        Err(error) => return Exchange { answers: Vec::new(), end: format!("no connection: {error}") },
    };
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for request in requests {
        // A server that refused an earlier request may not read this one.
        if connection.write_all(&request.bytes).is_err() {
            break;
        }
    }
    let mut raw = Vec::new();
    let end = match connection.read_to_end(&mut raw) {
        Ok(_) => "its end".to_owned(),
        Err(error) => error.to_string(),
    };
    let mut answers = Vec::new();
    let mut rest = raw.as_slice();
    for request in requests {
        let to = if request.is_head { AnswerTo::Head } else { AnswerTo::Other };
        let mut behind = rest;
        let Ok(answer) = read_answer(&mut behind, to) else { break };
        answers.push(judged(&answer, request.is_head));
        rest = behind;
    }
    let end = if rest.is_empty() { end } else { format!("{end}, with {} bytes left over", rest.len()) };
    Exchange { answers, end }
}

fn judged(answer: &plain_http::Answer, is_head: bool) -> Answer {
    let is_plain = answer.header("content-encoding").is_none() && !is_head;
    Answer {
        status: answer.status,
        closes: answer.header("connection") == Some("close"),
        is_json: answer.header("content-type") == Some("application/json") && is_plain,
        // Without a limit of depth, since a refusal may repeat deeply nested data.
        body_is_json: serde_json::from_slice::<Box<RawValue>>(&answer.body).is_ok(),
    }
}
