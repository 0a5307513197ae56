//! `healthcheck`: asks a running server whether it is ready. It exists for containers, whose image holds no
//! other program that could ask.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::arguments::Healthcheck;
use crate::failure::Failure;

/// How long each step of the request may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &Healthcheck) -> Result<(), Failure> {
    let url = &arguments.url;
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let status =
        ask(authority).map_err(|error| Failure::run(format!("no answer from {authority}: {error}")))?;
    if status.contains(" 200 ") {
        Ok(())
    } else {
        Err(Failure::run(format!("{authority} answers {}", status.trim())))
    }
}

/// Sends the request and reads the first line of the answer.
fn ask(authority: &str) -> std::io::Result<String> {
    let address = authority.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    write!(connection, "GET /health/ready HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(connection).read_line(&mut status)?;
    Ok(status)
}
