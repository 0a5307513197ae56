//! Clients: one GET over one connection, and many requests over one that is kept.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use plain_http::{Answer, AnswerTo, read_answer};

/// Sends a GET on a connection of its own and reads the answer.
pub fn get(address: SocketAddr, path: &str, token: &str) -> Answer {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n");
    Connection::open(address).answer(&request)
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

    /// Sends a request as it stands, reads its answer, and answers its status.
    pub fn ask(&mut self, request: &str) -> u16 {
        self.answer(request).status
    }

    /// Sends a GET for a JSON answer and skips the answer's body, at little cost to the processors that the
    /// server needs too. Fails unless the answer is a 200 with a `Content-Length` or in chunks.
    pub fn skim(&mut self, request: &str) {
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        let mut line = Vec::with_capacity(128);
        self.read_line(&mut line);
        assert!(line.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&line));
        let mut length = None;
        while self.read_line(&mut line) {
            let Some((name, value)) = line.split_at_checked("content-length:".len()) else { continue };
            if name.eq_ignore_ascii_case(b"content-length:") {
                length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<u64>().ok());
            }
        }
        if let Some(length) = length {
            return self.skip(length);
        }
        loop {
            self.read_line(&mut line);
            let size = std::str::from_utf8(&line).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
            let size = size.expect("a chunk begins with its size");
            self.skip(size + 2);
            if size == 0 {
                return;
            }
        }
    }

    /// Reads a line without its end; whether there is anything in it.
    fn read_line(&mut self, line: &mut Vec<u8>) -> bool {
        line.clear();
        self.stream.read_until(b'\n', line).expect("the answer comes");
        assert_eq!(line.pop(), Some(b'\n'), "the answer is whole");
        line.pop();
        !line.is_empty()
    }

    fn skip(&mut self, length: u64) {
        let skipped = std::io::copy(&mut self.stream.by_ref().take(length), &mut std::io::sink());
        assert_eq!(skipped.expect("the answer comes"), length, "the answer is whole");
    }

    fn answer(&mut self, request: &str) -> Answer {
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
        read_answer(&mut self.stream, AnswerTo::Other).expect("the answer comes")
    }
}
