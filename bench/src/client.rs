//! Clients: one GET over one connection, and many requests over one that is kept.

use std::io::{BufRead as _, BufReader, Write as _};
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

    /// Sends a request as it stands and reads its answer.
    pub fn answer(&mut self, request: &str) -> Answer {
        self.send(request);
        self.receive()
    }

    /// Sends a request as it stands.
    pub fn send(&mut self, request: &str) {
        self.stream.get_mut().write_all(request.as_bytes()).expect("the request is sent");
    }

    /// Waits for the first byte of the answer. It is not taken.
    pub fn wait(&mut self) {
        assert!(!self.stream.fill_buf().expect("the answer comes").is_empty(), "the connection is closed");
    }

    /// Reads the answer to the request that was sent last.
    pub fn receive(&mut self) -> Answer {
        read_answer(&mut self.stream, AnswerTo::Other).expect("the answer comes")
    }
}

/// A request with a body, as text.
#[must_use]
pub fn request(method: &str, path: &str, header: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
