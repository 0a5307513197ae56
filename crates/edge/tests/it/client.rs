//! A raw connection to the server, with a deadline for every wait.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use plain_http::{Answer, AnswerTo, read_answer};

/// How long a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Sends bytes. The server may have closed already: what it answered counts.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream().write_all(bytes.as_ref());
        self
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to(AnswerTo::Other).unwrap()
    }

    pub(crate) fn answer_to(&mut self, to: AnswerTo) -> io::Result<Answer> {
        read_answer(&mut self.reader, to)
    }

    /// Asserts that the server closes the connection and sends nothing before.
    pub(crate) fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), "", "sent before the close"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// Asserts that a further request is answered.
    pub(crate) fn assert_open(&mut self) {
        self.send("GET /open HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(self.answer().status, 200);
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}
