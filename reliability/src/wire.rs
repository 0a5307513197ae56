//! Clients: one request and its answer, and connections that count what they send and drop what they read.

use std::collections::HashSet;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plain_http::{Answer, AnswerTo, read_answer};

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: String,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: String::new(), body: None }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Adds the token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("X-Auth-Token", token)
    }

    /// Adds a body of JSON.
    pub(crate) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// Adds a body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes, for a connection that ends with the answer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.clone().header("Connection", "close").kept()
    }

    /// The bytes, for a connection that is kept.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let mut bytes =
            self.head(self.body.as_ref().map(|body| format!("Content-Length: {}\r\n", body.len())));
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// The bytes of the head alone, with other framing.
    pub(crate) fn head(&self, framing: Option<String>) -> Vec<u8> {
        let Self { method, path, headers, .. } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}{}\r\n", framing.unwrap_or_default())
            .into_bytes()
    }

    /// The bytes with the body in chunks of this size.
    pub(crate) fn in_chunks(&self, size: usize) -> Vec<u8> {
        let framing = "Transfer-Encoding: chunked\r\nConnection: close\r\n".to_owned();
        let mut bytes = self.head(Some(framing));
        for chunk in self.body.iter().flat_map(|body| body.chunks(size)) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    /// Sends the request on a connection of its own and reads the answer, within a time.
    pub(crate) fn ask(&self, address: SocketAddr, patience: Duration) -> io::Result<Answer> {
        let mut connection = connect(address, patience)?;
        // A server that refuses a body early may close before all of it is sent. Its answer counts.
        let _ = connection.write_all(&self.bytes());
        read_answer(&mut BufReader::new(connection), self.answer_to())
    }

    fn answer_to(&self) -> AnswerTo {
        if self.method == "HEAD" { AnswerTo::Head } else { AnswerTo::Other }
    }
}

fn connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&address, patience)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

/// A connection that is kept for many requests. It opens again when the server has closed it.
pub(crate) struct Kept {
    address: SocketAddr,
    patience: Duration,
    stream: Option<BufReader<TcpStream>>,
}

impl Kept {
    /// A connection that is opened with the first request.
    pub(crate) fn new(address: SocketAddr, patience: Duration) -> Self {
        Self { address, patience, stream: None }
    }

    /// Sends a request and reads its answer. A connection that the server has closed meanwhile is opened once
    /// more.
    pub(crate) fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let was_open = self.stream.is_some();
        match self.attempt(request) {
            Err(error) if was_open && !is_timeout(&error) => self.attempt(request),
            answer => answer,
        }
    }

    fn attempt(&mut self, request: &Request) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(self.address, self.patience)?),
        };
        stream.get_mut().write_all(&request.kept())?;
        let answer = read_answer(&mut stream, request.answer_to())?;
        if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// Whether an error of a socket means that its time was over.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A connection of hostile input: it counts what it sends, never waits beyond its end, and drops what it
/// reads.
pub(crate) struct Raw<'a> {
    stream: TcpStream,
    sent: &'a AtomicU64,
    end: Instant,
}

/// How reading an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    /// The server ended the connection after an answer of this status.
    Answered(u16),
    /// The server ended the connection without an answer.
    Closed,
    /// The time was over first.
    Unanswered,
}

impl<'a> Raw<'a> {
    /// Opens the connection. `end` is when everything about it is over.
    pub(crate) fn open(address: SocketAddr, sent: &'a AtomicU64, end: Instant) -> io::Result<Self> {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let stream = TcpStream::connect_timeout(&address, left)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self { stream, sent, end })
    }

    /// Sends bytes. Ends early, without an error, if the server closes or the time is over.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    self.sent.fetch_add(u64::try_from(written).unwrap_or(0), Ordering::Relaxed);
                }
                Err(error) if is_timeout(&error) && Instant::now() < self.end => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads until the server ends the connection. `piece` and `pause` make the reader slow.
    pub(crate) fn read(&mut self, piece: usize, pause: Duration) -> Read {
        let mut start = Vec::new();
        let mut buffer = vec![0; piece];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    let room = 64_usize.saturating_sub(start.len());
                    start.extend(buffer.iter().take(read.min(room)));
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
            if Instant::now() >= self.end {
                return Read::Unanswered;
            }
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        let text = String::from_utf8_lossy(&start);
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        status.map_or(Read::Closed, Read::Answered)
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1];
        match self.stream.peek(&mut buffer) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !is_timeout(&error),
        }
    }

    /// Whether everything about the connection is over.
    pub(crate) fn is_past_end(&self) -> bool {
        Instant::now() >= self.end
    }

    /// The port of this side.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().map_or(0, |address| address.port())
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }
}

/// The local ports of all connections that are open on both sides. Bytes that nobody has read hide from a
/// socket that its peer has closed, so the kernel is asked.
pub(crate) fn established_ports() -> HashSet<u16> {
    established().map(|(local, _)| local).collect()
}

/// How many connections to a port are open.
pub(crate) fn connections_to(port: u16) -> usize {
    established().filter(|(_, remote)| *remote == port).count()
}

/// The local and the remote port of each connection that is open on both sides.
fn established() -> impl Iterator<Item = (u16, u16)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let ports = move |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        if state == "01" { Some((port(local)?, port(remote)?)) } else { None }
    };
    let ports: Vec<_> = table.lines().filter_map(ports).collect();
    ports.into_iter()
}
