//! A steady load of requests through a proxy, and what its clients saw.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plain_http::{AnswerTo, read_answer};

/// How many clients send at the same time. Each has one connection.
pub(super) const CLIENTS: u8 = 16;

/// How many requests there are for each one that creates a group.
const WRITE_EVERY: u64 = 10;

/// What clients saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) reads: u64,
    pub(super) writes: u64,
    /// Requests that were not answered as they should be, by method and what came instead.
    pub(super) failed: BTreeMap<(&'static str, String), u64>,
    /// Answers that say something that is not so: a group that is there is missing, or the answer is of another one.
    pub(super) wrong: BTreeMap<(&'static str, String), u64>,
    /// When the last failure was seen.
    pub(super) last_failure: Option<Instant>,
    /// The longest time that a request took.
    pub(super) slowest: Duration,
    /// The ids of groups whose creation was acknowledged.
    pub(super) created: Vec<String>,
}

impl Seen {
    /// How many requests of a method failed.
    pub(super) fn failures(&self, method: &str) -> u64 {
        self.failed.iter().filter(|((of, _), _)| *of == method).map(|(_, count)| count).sum()
    }
}

/// A load that runs until it is stopped.
pub(super) struct Load {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients ask for.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) proxy: SocketAddr,
    pub(super) account_id: String,
    pub(super) token: String,
    /// A group that is there.
    pub(super) group_id: String,
}

impl Load {
    /// Starts the clients. Together they send `per_second` requests a second, however long each takes.
    pub(super) fn start(target: &Target, per_second: u32) -> Self {
        let (seen, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let number = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let clients = (0..CLIENTS).map(|place| {
            let (seen, is_over, number) = (Arc::clone(&seen), Arc::clone(&is_over), Arc::clone(&number));
            let mut client = Client { target: target.clone(), connection: None };
            std::thread::spawn(move || {
                let mut due = begun + Duration::from_secs(1) / per_second * u32::from(place);
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    client.send(number.fetch_add(1, Ordering::Relaxed), &seen);
                    due += Duration::from_secs(1) / per_second * u32::from(CLIENTS);
                }
            })
        });
        let clients = clients.collect();
        Self { seen, is_over, clients }
    }

    /// What the clients have seen since the last time.
    pub(super) fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Ends the load, and answers what the clients have seen since the last time.
    pub(super) fn stop(mut self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        self.take()
    }
}

struct Client {
    target: Target,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn send(&mut self, number: u64, seen: &Mutex<Seen>) {
        let Target { account_id, group_id, .. } = self.target.clone();
        let (groups, id) = (format!("/v2/accounts/{account_id}/groups"), format!("load-{number}"));
        let (method, target, body, expected) = match number % WRITE_EVERY {
            0 => (
                "PUT",
                groups,
                format!("{{\"data\":{{\"id\":\"{id}\",\"name\":\"{id}\"}}}}"),
                (201, id.as_str()),
            ),
            // The listing's first page need not have the group.
            1 => ("GET", groups, String::new(), (200, "\"data\":[")),
            _ => ("GET", format!("{groups}/{group_id}"), String::new(), (200, group_id.as_str())),
        };
        let begun = Instant::now();
        let outcome = self.ask(method, &target, &body);
        let mut seen = seen.lock().unwrap();
        seen.slowest = seen.slowest.max(begun.elapsed());
        match (method, &outcome) {
            ("GET", _) => seen.reads += 1,
            _ => seen.writes += 1,
        }
        let failure = match outcome {
            Ok((status, text)) if status == expected.0 => {
                if !text.contains(expected.1) {
                    *seen.wrong.entry((method, text)).or_default() += 1;
                } else if method == "PUT" {
                    seen.created.push(id);
                }
                return;
            }
            Ok((status, text)) if status < 500 => {
                *seen.wrong.entry((method, text)).or_default() += 1;
                status.to_string()
            }
            Ok((status, _)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        seen.last_failure = Some(Instant::now());
        *seen.failed.entry((method, failure)).or_default() += 1;
    }

    /// Sends a request on the connection that is open. As every HTTP client does, it sends a read once more if the
    /// connection was closed between two requests.
    fn ask(&mut self, method: &str, target: &str, body: &str) -> io::Result<(u16, String)> {
        let was_open = self.connection.is_some();
        match self.try_ask(method, target, body) {
            Err(_) if was_open && method == "GET" => self.try_ask(method, target, body),
            outcome => outcome,
        }
    }

    fn try_ask(&mut self, method: &str, target: &str, body: &str) -> io::Result<(u16, String)> {
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => {
                let stream = TcpStream::connect(self.target.proxy)?;
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: groups\r\nX-Auth-Token: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.target.token,
            body.len()
        );
        connection.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut connection, AnswerTo::Other)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }
}
