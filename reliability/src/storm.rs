//! Thousands of clients in one thread, so that the load itself takes little of the machine that it shares with the
//! server. They send one request over and over.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::crowd::Served;
use crate::wire::Request;

const PATIENCE: Duration = Duration::from_secs(30);

/// How many clients open their connections within a millisecond.
const OPENED_AT_ONCE: usize = 10;

/// How long they rest after the last one is open.
const AFTER_OPENING: Duration = Duration::from_millis(300);

/// How often each client sends.
#[derive(Clone, Copy)]
pub(crate) enum Rhythm {
    /// As soon as it is answered. A client that is refused waits for so long before it asks again.
    Closed(Duration),
    /// All together so often a second, whether or not the answers come.
    Open(f64),
}

/// Runs `clients` clients for `duration`.
pub(crate) fn run(
    address: SocketAddr,
    request: &Request,
    clients: usize,
    rhythm: Rhythm,
    duration: Duration,
) -> Result<Served, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the clients do not start: {error}"))?;
    let request: Rc<[u8]> = request.kept().into();
    let work = async move {
        // All are connected before the first one asks.
        let opening =
            Duration::from_millis(u64::try_from(clients / OPENED_AT_ONCE).unwrap_or(0)) + AFTER_OPENING;
        let begin = Instant::now() + opening;
        let mut running = Vec::new();
        for number in 0..clients {
            if number % OPENED_AT_ONCE == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let client = Client { address, request: Rc::clone(&request), stream: None, read: Vec::new() };
            running.push(tokio::task::spawn_local(client.run(
                number,
                clients,
                rhythm,
                [begin, begin + duration],
            )));
        }
        let mut all = Served::default();
        for client in running {
            all = all.merge(client.await.unwrap_or_default());
        }
        all
    };
    Ok(LocalSet::new().block_on(&runtime, work))
}

/// A client with its connection.
struct Client {
    address: SocketAddr,
    request: Rc<[u8]>,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

impl Client {
    async fn run(
        mut self,
        number: usize,
        clients: usize,
        rhythm: Rhythm,
        [begin, end]: [Instant; 2],
    ) -> Served {
        let mut served = Served::default();
        self.stream = self.connect().await.ok();
        sleep_until(begin).await;
        let interval = match rhythm {
            Rhythm::Open(rate) => Duration::from_secs_f64(clients as f64 / rate.max(1.0)),
            Rhythm::Closed(_) => Duration::ZERO,
        };
        // Not all at once.
        let mut due = begin + interval.mul_f64(number as f64 / clients as f64);
        loop {
            if let Rhythm::Closed(_) = rhythm {
                due = Instant::now();
            }
            if due >= end {
                return served;
            }
            sleep_until(due).await;
            let answer = timeout(PATIENCE, self.ask()).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
            // What is answered after the end is not a part of what was served in this time.
            if Instant::now() >= end {
                return served;
            }
            let is_refused = !matches!(answer, Ok(200));
            match answer {
                Ok(200) => served.succeeded(due.elapsed()),
                Ok(status) => served.failed(status.to_string()),
                Err(error) => {
                    self.stream = None;
                    served.failed(format!("no answer ({:?})", error.kind()));
                }
            }
            match rhythm {
                Rhythm::Open(_) => due += interval,
                Rhythm::Closed(pause) if is_refused => sleep_until((Instant::now() + pause).min(end)).await,
                Rhythm::Closed(_) => {}
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends the request and reads the whole answer. Returns its status.
    async fn ask(&mut self) -> io::Result<u16> {
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        stream.write_all(&self.request).await?;
        self.read.clear();
        loop {
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = head(&self.read)? {
                while self.read.len() < answer.length {
                    if stream.read_buf(&mut self.read).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                if answer.closes {
                    self.stream = None;
                }
                return Ok(answer.status);
            }
        }
    }
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Of head and body together.
    length: usize,
    closes: bool,
}

/// The head, once it is whole. The answers to this request have a length.
fn head(read: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&read[..end]).map_err(io::Error::other)?.to_ascii_lowercase();
    let (first, headers) = text.split_once("\r\n").unwrap_or((&text, ""));
    let headers: BTreeMap<_, _> = headers.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some(Head {
            status,
            length: end + 4 + length,
            closes: headers.get("connection") == Some(&"close"),
        })),
        _ => Err(io::Error::other("an answer without a status or a length")),
    }
}
