//! Conversations over a socket: requests written one behind the other, answers read one by one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::value::RawValue;

use super::generator::Request;

/// An answer, as far as it is judged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it says that the connection ends with it.
    pub(crate) closes: bool,
    pub(crate) is_json: bool,
    pub(crate) body_is_json: bool,
}

/// What came of a conversation.
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
        // A server that has refused an earlier one may not read this one.
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
        match answer(rest, request.is_head) {
            Some((answer, after)) => {
                answers.push(answer);
                rest = after;
            }
            None => break,
        }
    }
    let end = if rest.is_empty() { end } else { format!("{end}, with {} bytes left over", rest.len()) };
    Exchange { answers, end }
}

fn answer(mut raw: &[u8], is_head: bool) -> Option<(Answer, &[u8])> {
    loop {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&raw[..end]).to_ascii_lowercase();
        let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
        raw = &raw[end + 4..];
        if status < 200 {
            continue;
        }
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let (body, rest) = if is_head || status == 204 || status == 304 {
            (Vec::new(), raw)
        } else if header("transfer-encoding") == Some("chunked") {
            unchunk(raw)?
        } else {
            let length = header("content-length").map_or(Some(raw.len()), |length| length.parse().ok())?;
            (raw.get(..length)?.to_vec(), &raw[length..])
        };
        let is_plain = header("content-encoding").is_none() && !is_head;
        let is_json = header("content-type") == Some("application/json") && is_plain;
        // Without a limit of depth: a refusal may repeat what was nested as deep as it may be.
        let body_is_json = serde_json::from_slice::<Box<RawValue>>(&body).is_ok();
        let closes = header("connection") == Some("close");
        return Some((Answer { status, closes, is_json, body_is_json }, rest));
    }
}

fn unchunk(mut raw: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let line_end = raw.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line_end]).ok()?, 16).ok()?;
        body.extend_from_slice(raw.get(line_end + 2..line_end + 2 + size)?);
        raw = raw.get(line_end + 2 + size + 2..)?;
        if size == 0 {
            return Some((body, raw));
        }
    }
}
