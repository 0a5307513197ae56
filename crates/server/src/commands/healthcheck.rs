//! `healthcheck`: asks a running server whether it is ready. It exists for containers, whose image holds no
//! other program that could ask. Only the answer of an admin listener counts: another listener may answer 200
//! to any path.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::arguments::Healthcheck;
use crate::failure::Failure;

/// How long the whole request may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes.
const MOST: u64 = 64 * 1024;

pub(crate) fn run(arguments: &Healthcheck) -> Result<(), Failure> {
    let authority = match &arguments.url {
        Some(url) => authority_of(url)?,
        None => reachable(arguments.admin()?.admin_listen).to_string(),
    };
    let path = if arguments.writes { "/health/ready?writes=true" } else { "/health/ready" };
    let readiness = ask(&authority, path, Instant::now() + PATIENCE).map_err(|error| {
        Failure::run(format!(
            "no answer from {authority}: {error}; is the server running, and is this its admin listener \
             (the setting admin_listen)?"
        ))
    })?;
    match readiness {
        Readiness { is_ok: true, status: Some(status), .. } if status == "ready" => Ok(()),
        Readiness { status: Some(status), reason, .. } => {
            Err(Failure::run(format!("{authority} is not ready: {}", reason.unwrap_or(status))))
        }
        Readiness { line, status: None, .. } => Err(Failure::run(format!(
            "{authority} answers {:?}, but is no admin listener: name the address in the setting admin_listen",
            line.trim()
        ))),
    }
}

/// The host and port of a URL.
fn authority_of(url: &str) -> Result<String, Failure> {
    let refused = |why: &str| {
        Failure::setup(format!("{url:?} {why}: write it as http://127.0.0.1:8001, without a path"))
    };
    if url.starts_with("https://") {
        return Err(refused("is an https URL, and the admin listener has no TLS"));
    }
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    if authority.contains(['/', '@', '?', ' ']) {
        return Err(refused("is not the URL of an admin listener"));
    }
    if authority.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
        return Err(refused("has no host and port"));
    }
    Ok(authority.to_owned())
}

/// The address at which a listener on this machine can be reached.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What a listener answers to the question whether it is ready.
struct Readiness {
    /// The first line.
    line: String,
    /// Whether the HTTP status is 200.
    is_ok: bool,
    /// What an admin listener says. Others do not.
    status: Option<String>,
    /// Why the store cannot write.
    reason: Option<String>,
}

fn ask(authority: &str, path: &str, end: Instant) -> io::Result<Readiness> {
    let address = authority.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let mut connection = TcpStream::connect_timeout(&address, left_until(end)?)?;
    connection.set_write_timeout(Some(left_until(end)?))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(TimedReader { connection, end }.take(MOST));
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let is_ok = http_status(&line) == Some(200);
    let body = body_of(answer).unwrap_or_default();
    let text = |key: &str| Some(body.get(key)?.as_str()?.to_owned());
    Ok(Readiness { line, is_ok, status: text("status"), reason: text("reason") })
}

fn left_until(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Reads from a connection until a time. A server that sends a byte now and then cannot delay that.
struct TimedReader {
    connection: TcpStream,
    end: Instant,
}

impl Read for TimedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.set_read_timeout(Some(left_until(self.end)?))?;
        self.connection.read(buffer).map_err(|error| match error.kind() {
            // That is how Linux reports the end of the time.
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

/// The status in the first line of an HTTP/1 answer.
fn http_status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.trim_end().split(' ').next().filter(|digits| digits.len() == 3)?;
    digits.parse().ok()
}

/// The line of JSON that an admin listener answers.
fn body_of(answer: impl BufRead) -> Option<Value> {
    let body = answer.lines().map_while(Result::ok).find(|line| line.starts_with('{'))?;
    serde_json::from_str(&body).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::{TimedReader, authority_of, http_status, reachable};

    #[test]
    fn only_a_status_line_has_a_status() {
        for (line, status) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 Service Unavailable\r\n", Some(503)),
            ("HTTP/1.1 200\r\n", Some(200)),
            ("HTTP/1.1 500 not 200 OK\r\n", Some(500)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/2 200 OK\r\n", None),
            ("220 mail 200 ready\r\n", None),
            ("", None),
        ] {
            assert_eq!(http_status(line), status, "{line:?}");
        }
    }

    #[test]
    fn an_answer_is_read_until_a_time_and_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"ab").unwrap();
        let mut byte = [0];
        let mut answer = TimedReader { connection, end: Instant::now() + Duration::from_secs(60) };
        assert_eq!(answer.read(&mut byte).unwrap(), 1);
        answer.end = Instant::now();
        // The second byte is there, but too late.
        assert_eq!(answer.read(&mut byte).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_url_is_a_host_and_a_port() {
        for url in ["http://127.0.0.1:8001", "http://127.0.0.1:8001/", "127.0.0.1:8001"] {
            assert_eq!(authority_of(url).unwrap(), "127.0.0.1:8001");
        }
        assert_eq!(authority_of("http://[::1]:8001").unwrap(), "[::1]:8001");
        for url in ["https://x:1", "http://x", "http://x:y", "http://x:1/health", "http://u:p@x:1", "", ":1"]
        {
            let refused = authority_of(url).unwrap_err().to_string();
            assert!(refused.contains("write it as http://127.0.0.1:8001"), "{refused}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_this_machine() {
        for (listens, asked) in
            [("0.0.0.0:8001", "127.0.0.1:8001"), ("[::]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
