//! Clients: one GET over one connection, and many over one that is kept.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An answer. A chunked body is left as it came.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends a request and reads its answer to the end.
pub fn get(address: SocketAddr, path: &str, token: &str) -> Answer {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("the request is sent");
    let mut raw = Vec::new();
    connection.read_to_end(&mut raw).expect("the answer comes");
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&raw[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = raw.split_off(end + 4);
    Answer { status, body: if is_chunked { unchunk(&body) } else { body } }
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(raw.len());
    loop {
        let line = raw.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size =
            std::str::from_utf8(&raw[..line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.expect("a number");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&raw[line + 2..line + 2 + size]);
        raw = &raw[line + 2 + size + 2..];
    }
}

/// A connection that is kept for many requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Opens it.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("small packets are sent at once");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request as it stands, reads its answer, and says its status.
    pub fn ask(&mut self, request: &str) -> u16 {
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("the answer comes");
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().expect("a length");
                }
                Some(_) => {}
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
        }
        std::io::copy(&mut (&mut self.stream).take(length), &mut std::io::sink()).expect("the body comes");
        status.expect("a status")
    }
}
