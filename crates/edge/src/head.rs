//! Heads of requests: where one ends, and what is wrong with it. A head is passed on as it is, or written
//! again in a form that actix-http takes, or refused. What stands in a head about the body is left to
//! actix-http.

use memchr::{memchr, memchr2_iter};

/// The longest head.
pub(crate) const MAX_HEAD_BYTES: usize = 65_536;

/// How many header lines are taken.
const MAX_HEADERS: usize = 100;

/// How many header lines actix-http takes.
const ACTIX_MAX_HEADERS: usize = 96;

/// How many empty lines may stand before a head.
const MAX_EMPTY_LINES: usize = 5;

/// From this length on, crossbar's server takes no method.
const TOO_LONG_METHOD: usize = 32;

/// Headers that actix-http reads. They are never left out.
const FRAMING: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "expect"];

/// The longest target that the type `Uri` takes.
const MAX_TARGET_BYTES: usize = 65_534;

/// Stands for a byte that no path may hold. No path can be decoded that holds this, so the application
/// refuses it.
const BAD_ESCAPE: &[u8] = b"%%";

/// Looks for the end of a head while its bytes arrive. Each byte is looked at once.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// How many bytes there were the last time.
    known: usize,
    /// The place to go on from: before a carriage return at the end, else the end.
    next: usize,
    line_start: usize,
    lines: usize,
    empty_lines: usize,
}

/// How far a head has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// More bytes are needed.
    Partial,
    /// The head is this long.
    Complete(usize),
    /// No further byte could make it a head that is taken: the status says why.
    Refused(u16),
}

impl Scan {
    /// Looks at the bytes that are new. `bytes` are all since the head began.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Scanned {
        self.known = bytes.len();
        let start = std::mem::replace(&mut self.next, bytes.len());
        for offset in memchr2_iter(b'\r', b'\n', bytes.get(start..).unwrap_or_default()) {
            let position = start.saturating_add(offset);
            let after = position.saturating_add(1);
            let is_return = bytes.get(position) == Some(&b'\r');
            match bytes.get(after) {
                None if is_return => {
                    self.next = position;
                    break;
                }
                Some(b'\n') if is_return => {}
                _ if is_return => return Scanned::Refused(400),
                _ => match self.end_line(bytes, position) {
                    Scanned::Partial => {}
                    end => return end,
                },
            }
        }
        match bytes.len() {
            0..MAX_HEAD_BYTES => Scanned::Partial,
            _ if self.has_request_line() => Scanned::Refused(431),
            _ => Scanned::Refused(414),
        }
    }

    /// Ends a line at this line feed.
    fn end_line(&mut self, bytes: &[u8], line_feed: usize) -> Scanned {
        let line = bytes.get(self.line_start..line_feed).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else {
            // Crossbar's server reads a version that ends without a carriage return as an unknown one.
            return Scanned::Refused(if self.lines == 0 && !line.is_empty() { 505 } else { 400 });
        };
        self.line_start = line_feed.saturating_add(1);
        let (count, most, status) = match (line.is_empty(), self.lines) {
            (true, 1..) => return Scanned::Complete(self.line_start),
            (true, 0) => (&mut self.empty_lines, MAX_EMPTY_LINES, 400),
            (false, _) => (&mut self.lines, MAX_HEADERS.saturating_add(1), 431),
        };
        *count = count.saturating_add(1);
        if *count > most { Scanned::Refused(status) } else { Scanned::Partial }
    }

    /// Whether the request line is complete.
    pub(crate) fn has_request_line(&self) -> bool {
        self.lines > 0
    }

    /// Whether this many bytes were all looked at.
    pub(crate) fn has_seen(&self, bytes: usize) -> bool {
        self.known >= bytes
    }
}

/// The decision about a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// actix-http gets it as it is.
    Pass,
    /// actix-http gets this instead. The query is left out of it if it is too long. Then the application gets
    /// it on another way.
    Rewrite(Vec<u8>, Option<String>),
    /// It is refused with this status, and the connection is closed.
    Refuse(u16),
}

/// Judges a complete head. All its lines end with `\r\n`. `read` are the headers that the application reads.
pub(crate) fn judge(head: &[u8], read: &[&str]) -> Verdict {
    let mut lines = lines(head);
    let Some(request_line) = lines.next().and_then(RequestLine::split) else { return Verdict::Refuse(400) };
    if let Some(status) = request_line.refusal() {
        return Verdict::Refuse(status);
    }
    let mut headers = 0_usize;
    let mut has_upgrade = false;
    let (mut seen, mut repeated) = (0, 0);
    for (name, value) in lines.clone().filter_map(split_header) {
        headers = headers.saturating_add(1);
        let bit = bit_of(name, read);
        repeated |= seen & bit;
        seen |= bit;
        if name.eq_ignore_ascii_case(b"host") && !is_host(value) {
            return Verdict::Refuse(400);
        }
        has_upgrade |= is_upgrade(name, value);
    }
    let is_too_many = headers > ACTIX_MAX_HEADERS;
    if !has_upgrade && !is_too_many && repeated == 0 && request_line.is_plain() {
        return Verdict::Pass;
    }
    let mut rewritten = Vec::with_capacity(head.len());
    let long_query = request_line.rewrite(&mut rewritten);
    let mut joined = 0;
    for line in lines.clone() {
        match split_header(line) {
            Some((name, _)) if bit_of(name, read) & joined != 0 => {}
            Some((name, _)) if bit_of(name, read) & repeated != 0 => {
                // A header on several lines is one list. It stands where its first line stood.
                joined |= bit_of(name, read);
                let values = lines.clone().filter_map(split_header);
                let values = values.filter(|(other, _)| other.eq_ignore_ascii_case(name));
                let values: Vec<_> = values.map(|(_, value)| value).collect();
                push_line(&mut rewritten, &[name, b": ", &values.join(&b", "[..])]);
            }
            Some((name, _)) if is_too_many && !is_one_of(name, read) && !is_one_of(name, &FRAMING) => {}
            Some((name, _)) if name.eq_ignore_ascii_case(b"upgrade") => {}
            Some((name, value)) if is_upgrade(name, value) => {
                let options: Vec<_> = options(value).filter(|option| !is_upgrade_option(option)).collect();
                if !options.is_empty() {
                    push_line(&mut rewritten, &[name, b": ", &options.join(&b", "[..])]);
                }
            }
            // actix-http refuses lines that are not headers.
            _ => push_line(&mut rewritten, &[line]),
        }
    }
    rewritten.extend_from_slice(b"\r\n");
    Verdict::Rewrite(rewritten, long_query)
}

/// The lines of a head that are not empty, without their ends.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(head);
    let every = std::iter::from_fn(move || {
        let (line, behind) = split_at_byte(rest?, b'\n');
        rest = behind;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    });
    every.filter(|line| !line.is_empty())
}

fn push_line(head: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        head.extend_from_slice(part);
    }
    head.extend_from_slice(b"\r\n");
}

/// A request line.
struct RequestLine<'a> {
    method: &'a [u8],
    path: &'a [u8],
    /// Without its question mark.
    query: Option<&'a [u8]>,
    has_fragment: bool,
    version: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn split(line: &'a [u8]) -> Option<Self> {
        let (method, rest) = split_at_byte(line, b' ');
        let (target, version) = split_at_byte(rest?, b' ');
        let (target, fragment) = split_at_byte(target, b'#');
        let (path, query) = split_at_byte(target, b'?');
        // Without a version, the method alone can be judged.
        let version = version.unwrap_or_default();
        Some(Self { method, path, query, has_fragment: fragment.is_some(), version })
    }

    fn refusal(&self) -> Option<u16> {
        match (self.method, self.path.first()) {
            (b"TRACE" | b"CONNECT", _) => Some(501),
            (method, _) if method.len() >= TOO_LONG_METHOD => Some(501),
            (b"", _) => Some(400),
            (_, Some(b'/')) => self.version_refusal(),
            (_, Some(b'*')) if self.path.len() == 1 => self.version_refusal(),
            _ => Some(400),
        }
    }

    fn version_refusal(&self) -> Option<u16> {
        match self.version {
            b"HTTP/1.1" | b"HTTP/1.0" => None,
            b"" => Some(400),
            _ => Some(505),
        }
    }

    /// Whether actix-http takes the line as it is.
    fn is_plain(&self) -> bool {
        !self.has_fragment
            && self.path.iter().all(|byte| OF_PATH.holds(*byte))
            && self.query.is_none_or(|query| query.iter().all(|byte| OF_QUERY.holds(*byte)))
    }

    /// Writes the line again. Answers the query if it is too long for the line.
    fn rewrite(&self, head: &mut Vec<u8>) -> Option<String> {
        head.extend_from_slice(self.method);
        head.push(b' ');
        let begin = head.len();
        let mut is_bad = false;
        for byte in self.path {
            if OF_PATH.holds(*byte) {
                head.push(*byte);
            } else if !std::mem::replace(&mut is_bad, true) {
                // One is enough, and the path grows by no more than that.
                head.extend_from_slice(BAD_ESCAPE);
            }
        }
        let path_bytes = head.len().saturating_sub(begin);
        let query = self.query.map(escaped);
        let is_long =
            |query: &String| path_bytes.saturating_add(1).saturating_add(query.len()) > MAX_TARGET_BYTES;
        let long = query.as_ref().is_some_and(is_long);
        if let Some(query) = query.as_ref().filter(|_| !long) {
            head.push(b'?');
            head.extend_from_slice(query.as_bytes());
        }
        push_line(head, &[b" ", self.version]);
        query.filter(|_| long)
    }
}

/// A query with the bytes escaped that `Uri` does not take.
fn escaped(query: &[u8]) -> String {
    let mut text = String::with_capacity(query.len());
    for byte in query {
        if OF_QUERY.holds(*byte) {
            text.push(char::from(*byte));
        } else {
            let digit = |nibble: u8| b"0123456789ABCDEF".get(usize::from(nibble)).copied().map(char::from);
            text.push('%');
            text.extend([digit(byte >> 4), digit(byte & 15)].into_iter().flatten());
        }
    }
    text
}

fn split_at_byte(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(separator, text).and_then(|position| text.split_at_checked(position)) {
        Some((before, rest)) => (before, rest.get(1..)),
        None => (text, None),
    }
}

/// A set of ASCII characters, with a bit for each.
#[derive(Clone, Copy)]
struct AsciiSet(u128);

impl AsciiSet {
    /// These characters.
    const fn of(mut characters: &[u8]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = characters {
            bits |= 1 << *first;
            characters = rest;
        }
        Self(bits)
    }

    /// Both sets together.
    const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    fn holds(self, byte: u8) -> bool {
        1_u128.checked_shl(byte.into()).is_some_and(|bit| self.0 & bit != 0)
    }
}

const ALPHANUMERIC: AsciiSet =
    AsciiSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// The bytes that crossbar takes in a path.
const OF_PATH: AsciiSet = ALPHANUMERIC.and(AsciiSet::of(b"/-._~%!$&'()*+,;=:@"));

/// The bytes that the type `Uri`, into which actix-http reads the target, takes in a query: all that are visible but
/// `"`, `#`, `<` and `>`.
const OF_QUERY: AsciiSet = OF_PATH.and(AsciiSet::of(b"?[\\]^`{|}"));

/// The bytes of a host and a port.
const OF_HOST: AsciiSet = ALPHANUMERIC.and(AsciiSet::of(b"-._~%!$&'()*+,;=:[]"));

/// The name and the trimmed value of a header. `None` if the line is no header.
fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_at_byte(line, b':');
    Some((name, value?.trim_ascii()))
}

/// Whether a header asks for another protocol.
fn is_upgrade(name: &[u8], value: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"upgrade")
        || (name.eq_ignore_ascii_case(b"connection") && options(value).any(is_upgrade_option))
}

/// The options in a `Connection` header.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn is_upgrade_option(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}

/// The bit of a header among those that the application reads, or 0.
fn bit_of(name: &[u8], read: &[&str]) -> u64 {
    let place = read.iter().position(|other| name.eq_ignore_ascii_case(other.as_bytes()));
    place.and_then(|place| 1_u64.checked_shl(u32::try_from(place).ok()?)).unwrap_or(0)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether a value can be a host and a port.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| OF_HOST.holds(*byte))
}

#[cfg(test)]
mod tests;
