//! A proxy between the server and CouchDB that does one thing wrong at the call that it is set for. It knows
//! HTTP's framing and nothing of CouchDB.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use plain_http::{Answer, AnswerTo, read_answer};

use crate::fault::{Fault, HELD_BACK};

/// A fault at a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    /// The first call after arming is 1.
    pub(crate) at: usize,
    /// Whether all later calls fail too.
    pub(crate) stays: bool,
}

/// A call that came through.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) was_faulted: bool,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    calls: Vec<Call>,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    refuses: AtomicBool,
    stop: AtomicBool,
    open: AtomicUsize,
    most_open: AtomicUsize,
    at_work: AtomicUsize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Begins to listen on a free port.
    pub(crate) fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::default(),
            refuses: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            at_work: AtomicUsize::new(0),
        });
        let ours = Arc::clone(&shared);
        thread::spawn(move || listen(listener, address, &ours));
        Ok(Self { address, shared })
    }

    /// Counts calls from here on, and does something wrong.
    pub(crate) fn arm(&self, plan: Option<Plan>) {
        let mut state = self.shared.state();
        state.plan = plan;
        state.calls.clear();
        self.shared.refuses.store(false, Ordering::Relaxed);
    }

    /// Does nothing wrong any more, and answers the calls since it was armed.
    pub(crate) fn disarm(&self) -> Vec<Call> {
        let mut state = self.shared.state();
        state.plan = None;
        self.shared.refuses.store(false, Ordering::Relaxed);
        state.calls.clone()
    }

    /// Whether a call is being passed on, or held back.
    pub(crate) fn is_at_work(&self) -> bool {
        self.shared.at_work.load(Ordering::Relaxed) > 0
    }

    /// The number of connections that the server has open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// The most connections that the server has had open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn listen(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    while !shared.stop.load(Ordering::Relaxed) {
        if shared.refuses.load(Ordering::Relaxed) {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).ok();
        }
        let accepted = listener.as_ref().and_then(|listener| {
            listener.set_nonblocking(true).ok()?;
            listener.accept().ok()
        });
        let Some((stream, _)) = accepted else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let shared = Arc::clone(shared);
        let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_open.fetch_max(open, Ordering::Relaxed);
        let serve = move || {
            // The end of a connection needs no report: that is what this program is for.
            let _ = serve(stream, &shared);
            shared.open.fetch_sub(1, Ordering::Relaxed);
        };
        let _ = thread::Builder::new().stack_size(128 * 1024).spawn(serve);
    }
}

struct Incoming {
    method: String,
    bytes: Vec<u8>,
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let mut client = BufReader::new(stream);
    let mut upstream = None;
    while let Some(incoming) = read_request(&mut client)? {
        shared.at_work.fetch_add(1, Ordering::Relaxed);
        let fault = fault_of(shared, &incoming);
        let served = answer(client.get_mut(), &mut upstream, shared, &incoming, fault);
        shared.at_work.fetch_sub(1, Ordering::Relaxed);
        if !served? {
            break;
        }
    }
    Ok(())
}

/// Notes the call and answers what goes wrong with it.
fn fault_of(shared: &Shared, incoming: &Incoming) -> Option<Fault> {
    let mut state = shared.state();
    let number = state.calls.len() + 1;
    let plan = state.plan.filter(|plan| number == plan.at || (plan.stays && number > plan.at));
    let fault = plan.map(|plan| plan.fault);
    state.calls.push(Call { method: incoming.method.clone(), was_faulted: fault.is_some() });
    if plan.is_some_and(|plan| plan.fault == Fault::Refuse && plan.stays) {
        shared.refuses.store(true, Ordering::Relaxed);
    }
    fault
}

/// Answers a call. False if the connection must end.
fn answer(
    client: &mut TcpStream,
    upstream: &mut Option<BufReader<TcpStream>>,
    shared: &Shared,
    incoming: &Incoming,
    fault: Option<Fault>,
) -> io::Result<bool> {
    if fault == Some(Fault::Late) {
        thread::sleep(HELD_BACK);
    }
    match fault {
        Some(Fault::Refuse) => {
            reset(client);
            return Ok(false);
        }
        Some(Fault::Status503) => {
            return write_json(
                client,
                "503 Service Unavailable",
                r#"{"error":"unavailable","reason":"maintenance"}"#,
            );
        }
        Some(Fault::Status429) => {
            return write_json(
                client,
                "429 Too Many Requests",
                r#"{"error":"too_many","reason":"slow down"}"#,
            );
        }
        Some(Fault::EmptyObject) => return write_json(client, "200 OK", "{}"),
        Some(Fault::Html) => {
            let page = "<html><body>Welcome to this hotel's network</body></html>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            client.write_all(format!("{head}{page}").as_bytes())?;
            return Ok(true);
        }
        _ => {}
    }
    let answer = match forward(upstream, shared.upstream, incoming) {
        Ok(answer) => answer,
        Err(_) => return Ok(false),
    };
    let to_head = incoming.method == "HEAD";
    let body = if to_head { &[] } else { answer.body.as_slice() };
    let half = body.get(..body.len() / 2).unwrap_or_default();
    match fault {
        None | Some(Fault::Late) => write_answer(client, &answer, body, body.len(), to_head)?,
        Some(Fault::Delay) => {
            thread::sleep(HELD_BACK);
            write_answer(client, &answer, body, body.len(), to_head)?;
        }
        Some(Fault::Drip) => {
            let mut bytes = head_of(&answer, body.len(), to_head);
            bytes.extend(body);
            for byte in bytes.iter().take(100_000) {
                client.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Some(Fault::Cut) => return Ok(false),
        Some(Fault::ResetInBody) => {
            write_answer(client, &answer, half, body.len(), to_head)?;
            // The bytes must arrive before the reset drops them.
            thread::sleep(Duration::from_millis(5));
            reset(client);
            return Ok(false);
        }
        Some(Fault::Garbage) => {
            client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n")?;
            return Ok(false);
        }
        Some(Fault::Status500) => {
            return write_json(
                client,
                "500 Internal Server Error",
                r#"{"error":"unknown_error","reason":"badmatch"}"#,
            );
        }
        Some(Fault::Truncated) => write_answer(client, &answer, half, half.len(), to_head)?,
        Some(Fault::TooShort) => {
            write_answer(client, &answer, half, body.len(), to_head)?;
            return Ok(false);
        }
        Some(Fault::TooLong) => write_answer(client, &answer, body, half.len(), to_head)?,
        Some(Fault::Accepted) => {
            let accepted = Answer { status: 202, ..answer.clone() };
            write_answer(client, &accepted, body, body.len(), to_head)?;
        }
        Some(Fault::Refuse | Fault::Status503 | Fault::Status429 | Fault::Html | Fault::EmptyObject) => {}
    }
    Ok(true)
}

fn reset(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}

fn write_json(client: &mut TcpStream, status: &str, body: &str) -> io::Result<bool> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes())?;
    Ok(true)
}

fn write_answer(
    client: &mut TcpStream,
    answer: &Answer,
    body: &[u8],
    length: usize,
    to_head: bool,
) -> io::Result<()> {
    let mut bytes = head_of(answer, length, to_head);
    bytes.extend(body);
    client.write_all(&bytes)
}

fn head_of(answer: &Answer, length: usize, to_head: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        let is_framing = ["transfer-encoding", "connection"].contains(&name.as_str());
        if !is_framing && (to_head || name != "content-length") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !to_head {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Passes a call on. A read on a connection that CouchDB has closed meanwhile is sent once more. A write gets
/// a connection of its own, so that this proxy never sends one twice.
fn forward(
    upstream: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    incoming: &Incoming,
) -> io::Result<Answer> {
    let to = if incoming.method == "HEAD" { AnswerTo::Head } else { AnswerTo::Other };
    if let Some(mut stream) = upstream.take()
        && incoming.method == "GET"
        && stream.get_mut().write_all(&incoming.bytes).is_ok()
        // An end before the first byte means that CouchDB had closed the unused connection.
        && stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    {
        let answer = read_answer(&mut stream, to)?;
        *upstream = Some(stream);
        return Ok(answer);
    }
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    stream.get_mut().write_all(&incoming.bytes)?;
    let answer = read_answer(&mut stream, to)?;
    *upstream = Some(stream);
    Ok(answer)
}

/// Reads a request with its body. `None` if the connection ends before one.
fn read_request(client: &mut BufReader<TcpStream>) -> io::Result<Option<Incoming>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut is_chunked = false;
    loop {
        let start = bytes.len();
        if client.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = bytes.get(start..).unwrap_or_default();
        if line == b"\r\n" {
            break;
        }
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        is_chunked |= line.starts_with("transfer-encoding:");
    }
    if is_chunked {
        return Err(io::Error::other("a request in chunks, which CouchDB's client does not send"));
    }
    client.take(length).read_to_end(&mut bytes)?;
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let method = String::from_utf8_lossy(method).into_owned();
    Ok(Some(Incoming { method, bytes }))
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
