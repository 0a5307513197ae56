//! Cuts a JSON answer into rows while it arrives: `{"rows":[…]}`, `{"results":[…]}`, or a sequence of
//! objects. It looks only at the structure of JSON, not at line breaks or network packets. It keeps at most
//! one unfinished row. It does not check the inside of a row: the code that parses the row does.

// Own code: serde_json wants a whole value or a blocking reader, and JSON tokenisers return tokens. The
// client needs the original text of each row, from bytes that arrive in any portions.

use std::mem;
use std::ops::Range;

use memchr::memchr2;

/// The outer form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One object. The rows are the items of the array in this member.
    ArrayIn(&'static str),
    /// One object after another. Each is a row.
    Sequence,
}

/// A part of the answer. [`Splitter::text`] takes the range, until the next call of [`Splitter::push`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A row.
    Row(Range<usize>),
    /// Another member of the outer object: its name and its value.
    Member(String, Range<usize>),
}

/// Why the bytes are not an answer of this shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitError {
    #[error("{0}")]
    Syntax(&'static str),
    #[error("it ends too early")]
    Truncated,
    #[error("it has no array {0:?}")]
    NoRows(&'static str),
    #[error("a row is too large")]
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the outer object, or between objects of a sequence.
    Outside,
    /// After `{` of the outer object.
    KeyOrEnd,
    /// After `,` in the outer object.
    Key,
    InKey,
    Colon,
    /// After `:`.
    Value,
    InValue,
    CommaOrEnd,
    /// After `[` of the rows.
    RowOrEnd,
    /// After `,` in the rows.
    Row,
    InRow,
    RowCommaOrEnd,
    /// After the outer object.
    Done,
}

/// A buffer keeps at most this much memory without need.
const KEPT_BYTES: usize = 64 * 1024;

/// Takes bytes and returns pieces.
#[derive(Debug)]
pub(crate) struct Splitter {
    shape: Shape,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// The end of the bytes that were looked at.
    seen: usize,
    /// The start of the current token.
    start: usize,
    state: State,
    token: Token,
    key: String,
    has_rows: bool,
}

impl Splitter {
    /// `max_bytes` is the size of the largest row.
    pub(crate) fn new(shape: Shape, max_bytes: usize) -> Self {
        Self {
            shape,
            max_bytes,
            buffer: Vec::new(),
            seen: 0,
            start: 0,
            state: State::Outside,
            token: Token::default(),
            key: String::new(),
            has_rows: false,
        }
    }

    /// Adds bytes, and drops those of pieces that were returned.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let keep = if self.in_token() { self.start } else { self.seen };
        self.buffer.drain(..keep);
        self.seen -= keep;
        self.start = 0;
        // Give the memory of a large row back.
        if self.buffer.len() < self.buffer.capacity() / 4 {
            self.buffer.shrink_to(KEPT_BYTES);
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// How many bytes of an unfinished row or member there are.
    pub(crate) fn unfinished(&self) -> usize {
        if self.in_token() { self.seen - self.start } else { 0 }
    }

    /// The next complete piece, or `None` if it needs more bytes.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, SplitError> {
        while let Some(&byte) = self.buffer.get(self.seen) {
            if !self.in_token() {
                self.between(byte)?;
                continue;
            }
            let (length, has_ended) = self.token.take(self.buffer.get(self.seen..).unwrap_or_default())?;
            self.seen += length;
            if has_ended && let Some(piece) = self.end_token()? {
                return Ok(Some(piece));
            }
        }
        if self.in_token() && self.seen - self.start > self.max_bytes {
            return Err(SplitError::TooLarge);
        }
        Ok(None)
    }

    /// The text of a piece.
    pub(crate) fn text(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Takes the text of the row that was returned last, without a copy if it began at the front. The bytes behind it
    /// stay.
    pub(crate) fn take(&mut self, row: Range<usize>) -> Vec<u8> {
        let rest = self.buffer.split_off(row.end.min(self.buffer.len()));
        let mut text = mem::replace(&mut self.buffer, rest);
        text.drain(..row.start.min(text.len()));
        self.seen = self.seen.saturating_sub(row.end);
        self.start = 0;
        text
    }

    /// Whether the answer may end here.
    pub(crate) fn finish(&self) -> Result<(), SplitError> {
        match (self.shape, self.state) {
            (Shape::Sequence, State::Outside) => Ok(()),
            (Shape::ArrayIn(_), State::Done) if self.has_rows => Ok(()),
            (Shape::ArrayIn(name), State::Done) => Err(SplitError::NoRows(name)),
            _ => Err(SplitError::Truncated),
        }
    }

    fn in_token(&self) -> bool {
        matches!(self.state, State::InKey | State::InValue | State::InRow)
    }

    /// Handles a byte outside keys, values and rows.
    fn between(&mut self, byte: u8) -> Result<(), SplitError> {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            self.seen += 1;
            return Ok(());
        }
        let enters = match (self.state, byte) {
            (State::Outside, b'{') if self.shape == Shape::Sequence => State::InRow,
            (State::Outside, b'{') => State::KeyOrEnd,
            (State::KeyOrEnd | State::Key, b'"') => State::InKey,
            (State::KeyOrEnd | State::CommaOrEnd, b'}') => State::Done,
            (State::Colon, b':') => State::Value,
            (State::Value, b'[') if self.is_at_rows() => {
                self.has_rows = true;
                State::RowOrEnd
            }
            (State::Value, _) if self.is_at_rows() => {
                return Err(SplitError::Syntax("the rows are not an array"));
            }
            (State::Value, _) => State::InValue,
            (State::CommaOrEnd, b',') => State::Key,
            (State::RowOrEnd | State::RowCommaOrEnd, b']') => State::CommaOrEnd,
            (State::RowCommaOrEnd, b',') => State::Row,
            // If CouchDB fails while it sends rows, the error follows the last row without a comma.
            (State::RowOrEnd | State::Row | State::RowCommaOrEnd, b'{') => State::InRow,
            _ => return Err(SplitError::Syntax("it is not the expected JSON")),
        };
        self.state = enters;
        if self.in_token() {
            self.start = self.seen;
            self.token = Token::default();
        } else {
            self.seen += 1;
        }
        Ok(())
    }

    fn is_at_rows(&self) -> bool {
        matches!(self.shape, Shape::ArrayIn(name) if name == self.key)
    }

    /// The piece that just ended. A key is not a piece.
    fn end_token(&mut self) -> Result<Option<Piece>, SplitError> {
        let range = self.start..self.seen;
        if range.len() > self.max_bytes {
            return Err(SplitError::TooLarge);
        }
        match self.state {
            State::InKey => {
                self.key = serde_json::from_slice(self.text(range))
                    .map_err(|_| SplitError::Syntax("the name of a member is not a string"))?;
                self.state = State::Colon;
                Ok(None)
            }
            State::InValue => {
                self.state = State::CommaOrEnd;
                Ok(Some(Piece::Member(mem::take(&mut self.key), range)))
            }
            _ => {
                self.state = match self.shape {
                    Shape::Sequence => State::Outside,
                    Shape::ArrayIn(_) => State::RowCommaOrEnd,
                };
                Ok(Some(Piece::Row(range)))
            }
        }
    }
}

/// The position inside one JSON value.
#[derive(Debug, Default)]
struct Token {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A number, `true`, `false` or `null` outside brackets. It ends before the byte that follows it.
    bare: bool,
}

enum Step {
    Inside,
    /// The value ends with this byte.
    Last,
    /// The value ended before this byte.
    Beyond,
}

impl Token {
    /// Looks at bytes until the value ends. Returns how many belong to it, and whether it has ended.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), SplitError> {
        let mut seen = 0;
        loop {
            if self.in_string && !self.escaped {
                // Most bytes are in strings, where only these two have a meaning.
                let rest = bytes.get(seen..).unwrap_or_default();
                seen += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            }
            let Some(&byte) = bytes.get(seen) else { return Ok((seen, false)) };
            match self.step(byte)? {
                Step::Inside => seen += 1,
                Step::Last => return Ok((seen + 1, true)),
                Step::Beyond => return Ok((seen, true)),
            }
        }
    }

    fn step(&mut self, byte: u8) -> Result<Step, SplitError> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    return Ok(self.closed());
                }
                _ => {}
            }
            return Ok(Step::Inside);
        }
        match byte {
            b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' if self.bare => return Ok(Step::Beyond),
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or(SplitError::Syntax("a closing bracket without an opening one"))?;
                return Ok(self.closed());
            }
            _ if self.depth == 0 => self.bare = true,
            _ => {}
        }
        Ok(Step::Inside)
    }

    fn closed(&self) -> Step {
        if self.depth == 0 { Step::Last } else { Step::Inside }
    }
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
