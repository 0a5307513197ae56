//! Reads HTTP/1.1 answers from any stream of bytes: a socket, or a slice of what a socket has sent. For tests,
//! fuzzing and benches, which must send what no HTTP client would, and see exactly what comes back.
//!
//! It knows framing alone: heads, `Content-Length`, chunks, and answers that have no body.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, Read as _};

/// An answer. A chunked body is joined; a compressed one stays compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in order, names in lower case, values as Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// What an answer belongs to, which decides whether it has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerTo {
    /// A HEAD request. Its answer has no body, whatever its headers say.
    Head,
    /// Any other request.
    Other,
}

/// Reads one answer to its end and no further. Interim answers (1xx) are skipped.
///
/// # Errors
/// `UnexpectedEof` if the stream ends first, `InvalidData` if the bytes are no HTTP answer, and whatever the
/// stream reports.
pub fn read_answer(stream: &mut impl BufRead, to: AnswerTo) -> io::Result<Answer> {
    loop {
        let (status, headers) = read_head(stream)?;
        if status < 200 {
            continue;
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let has_body = to == AnswerTo::Other && status != 204 && status != 304;
        if !has_body {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            read_chunks(stream, &mut answer.body)?;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| invalid("a Content-Length that is no number"))?;
            read_exactly(stream, length, &mut answer.body)?;
        } else {
            stream.read_to_end(&mut answer.body)?;
        }
        return Ok(answer);
    }
}

fn read_head(stream: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let status_line = read_line(stream)?;
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| invalid(&format!("no status line: {status_line:.100}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A line without its `\r\n`, each byte as the character of that number.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(line.iter().copied().map(char::from).collect()),
        None if line.ends_with(b"\n") => Err(invalid("a line that ends without a carriage return")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = read_line(stream)?;
        let size = u64::from_str_radix(&size, 16).map_err(|_| invalid("a chunk without a size"))?;
        read_exactly(stream, size, body)?;
        if !read_line(stream)?.is_empty() {
            return Err(invalid("a chunk that is longer than its size"));
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(length).read_to_end(body)?;
    if u64::try_from(read).ok() == Some(length) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::{Answer, AnswerTo, read_answer};
    use std::io::ErrorKind;

    fn read(mut raw: &[u8], to: AnswerTo) -> Result<(Answer, usize), ErrorKind> {
        read_answer(&mut raw, to).map(|answer| (answer, raw.len())).map_err(|error| error.kind())
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        for (raw, to, body, left_over) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc", AnswerTo::Other, "ab", 1),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\nx",
                AnswerTo::Other,
                "abc",
                1,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", AnswerTo::Other, "to the end", 0),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", AnswerTo::Head, "", 2),
            ("HTTP/1.1 304 x\r\ncontent-length: 2\r\n\r\nab", AnswerTo::Other, "", 2),
            ("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n", AnswerTo::Other, "", 0),
        ] {
            let (answer, rest) = read(raw.as_bytes(), to).unwrap();
            assert_eq!((answer.body.as_slice(), rest), (body.as_bytes(), left_over), "{raw:?}");
        }
    }

    #[test]
    fn headers_keep_their_order_and_bytes() {
        let (answer, _) = read(b"HTTP/1.0 404 No\r\nX-A: 1\r\nx-a:\xe9\r\n\r\n", AnswerTo::Other).unwrap();
        let expected = [("x-a", "1"), ("x-a", "\u{e9}")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!((answer.status, answer.headers.as_slice()), (404, expected.as_slice()));
        assert_eq!(answer.header("x-a"), Some("1"));
    }

    #[test]
    fn a_broken_answer_is_an_error() {
        for (raw, kind) in [
            ("", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\n", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", ErrorKind::InvalidData),
            ("hello\r\n\r\n", ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\nx: y\n\n", ErrorKind::InvalidData),
        ] {
            assert_eq!(read(raw.as_bytes(), AnswerTo::Other).unwrap_err(), kind, "{raw:?}");
        }
    }
}
