//! One request over one connection. It is sent as it stands, so that a test can send what no client would.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use plain_http::{AnswerTo, read_answer};

/// An answer. Its body is joined from chunks and uncompressed.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The address in a URL with credentials, and the header with them.
pub(crate) fn address_and_authorization(url: &str) -> (SocketAddr, (String, String)) {
    let rest = url.strip_prefix("http://").expect("the URL begins with http://");
    let (credentials, authority) =
        rest.trim_end_matches('/').rsplit_once('@').expect("the URL has credentials");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
    let address = authority.to_socket_addrs().unwrap().next().expect("the host has an address");
    (address, ("Authorization".to_owned(), format!("Basic {encoded}")))
}

/// Sends a request and reads its answer to the end.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Response {
    try_send(address, method, target, headers, body)
        .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

/// As [`send`], where the connection may fail.
pub(crate) fn try_send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name == "Host") {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        request.push_str("Connection: close\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    connection.write_all(request.as_bytes())?;
    // A server that refuses a body early may close before all of it is sent. Its answer counts.
    let _ = connection.write_all(body);
    let mut connection = BufReader::new(connection);
    let to = if method == "HEAD" { AnswerTo::Head } else { AnswerTo::Other };
    let plain_http::Answer { status, headers, body } = read_answer(&mut connection, to)?;
    let mut response = Response { status, headers, body };
    let mut rest = Vec::new();
    // The connection may end with a reset, which takes nothing from a complete answer.
    let _ = connection.read_to_end(&mut rest);
    if !rest.is_empty() {
        return Err(std::io::Error::other(format!("{} bytes behind the answer", rest.len())));
    }
    if response.header("content-encoding") == Some("gzip") && !response.body.is_empty() {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&response.body[..]).read_to_end(&mut plain)?;
        response.body = plain;
    }
    Ok(response)
}
