//! A server that follows a script, byte for byte. It sends what no HTTP library would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use couchdb::{Backoff, Client, Copies, Settings};

/// A script sends the last deletion's id in place of this text, which is as long.
pub(crate) const DELETION_ID: &str = "the id of the deletion, 32 chars";

/// What the server sends on one connection after it has read the request.
#[derive(Clone)]
pub(crate) struct Script(Vec<Act>);

#[derive(Clone)]
enum Act {
    Send(Vec<u8>),
    /// A number of heartbeats, with a pause before each.
    Beat(u32, Duration),
    /// Waits for the next request on the same connection.
    NextRequest,
    /// Sends nothing more until the client hangs up.
    Hold,
}

impl Script {
    /// Hangs up without an answer.
    pub(crate) fn hang_up() -> Self {
        Self(Vec::new())
    }

    /// A whole answer. After it the connection is closed.
    pub(crate) fn answer(status: &str, body: &str) -> Self {
        Self::hang_up().send(&format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: \
             close\r\n\r\n{body}",
            body.len()
        ))
    }

    /// The head of an answer. The body follows in chunks.
    pub(crate) fn begin() -> Self {
        Self::hang_up()
            .send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    /// A part of the body.
    pub(crate) fn chunk(self, text: &str) -> Self {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len()))
    }

    /// The end of the body.
    pub(crate) fn end(self) -> Self {
        self.send("0\r\n\r\n")
    }

    pub(crate) fn send(mut self, bytes: &str) -> Self {
        self.0.push(Act::Send(bytes.as_bytes().to_vec()));
        self
    }

    pub(crate) fn beat(mut self, times: u32, pause: Duration) -> Self {
        self.0.push(Act::Beat(times, pause));
        self
    }

    pub(crate) fn next_request(mut self) -> Self {
        self.0.push(Act::NextRequest);
        self
    }

    pub(crate) fn hold(mut self) -> Self {
        self.0.push(Act::Hold);
        self
    }
}

pub(crate) struct Raw {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// The requests that the server has received.
#[derive(Default)]
struct Seen {
    /// The heads of the requests, in lower case.
    heads: Vec<String>,
    /// Of the last body that had one.
    deletion_id: Option<String>,
}

impl Raw {
    /// Connection n gets script n. The last script is for all further connections.
    pub(crate) fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let all = Arc::clone(&seen);
        thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                let script = scripts[count.min(scripts.len() - 1)].clone();
                let seen = Arc::clone(&all);
                thread::spawn(move || play(stream.unwrap(), script, &seen));
            }
        });
        Self { address, seen }
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    pub(crate) fn settings(&self) -> Settings {
        quick(&format!("http://{}", self.address))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.settings()).unwrap()
    }
}

/// Settings with short pauses, for a server that misbehaves.
pub(crate) fn quick(url: &str) -> Settings {
    let short = |cap| Backoff { first: Duration::from_millis(1), cap: Duration::from_millis(cap) };
    let settings = Settings::new(url.parse().unwrap());
    // Only some tests want to be asked for the number of copies before a write.
    Settings { copies: Copies::Most, feed_backoff: short(5), read_backoff: short(2), ..settings }
}

fn play(mut stream: TcpStream, script: Script, seen: &Mutex<Seen>) {
    if !read_request(&mut stream, seen) {
        return;
    }
    for act in script.0 {
        let goes_on = match act {
            Act::Send(bytes) => stream.write_all(&with_deletion_id(bytes, seen)).is_ok(),
            Act::Beat(times, pause) => (0..times).all(|_| {
                thread::sleep(pause);
                stream.write_all(b"1\r\n\n\r\n").is_ok()
            }),
            Act::NextRequest => read_request(&mut stream, seen),
            Act::Hold => {
                while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Reads one request with its body.
fn read_request(stream: &mut TcpStream, seen: &Mutex<Seen>) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    let is_whole = stream.read_exact(&mut body).is_ok();
    let body = String::from_utf8_lossy(&body);
    let deletion_id =
        body.split_once("\"deletion_id\":\"").map(|(_, rest)| rest[..DELETION_ID.len()].to_owned());
    let mut seen = seen.lock().unwrap();
    seen.heads.push(head);
    seen.deletion_id = deletion_id.or(seen.deletion_id.take());
    is_whole
}

fn with_deletion_id(bytes: Vec<u8>, seen: &Mutex<Seen>) -> Vec<u8> {
    match (String::from_utf8(bytes), &seen.lock().unwrap().deletion_id) {
        (Ok(text), Some(id)) => text.replace(DELETION_ID, id).into_bytes(),
        (Ok(text), None) => text.into_bytes(),
        (Err(error), _) => error.into_bytes(),
    }
}
