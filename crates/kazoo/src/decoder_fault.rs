//! What the JSON decoder of Kazoo 4.3 says of malformed text: a reason, and the place of the byte that it did
//! not expect. It stops elsewhere than other decoders do, and its clients show its words to people.

use std::fmt;

/// A fault in a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderFault {
    /// The decoder's word for the fault.
    pub reason: &'static str,
    /// The place of the fault. The first byte has the place 1.
    pub place: usize,
}

impl fmt::Display for DecoderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} around {}", self.reason, self.place)
    }
}

/// The first fault in a text, as Kazoo 4.3's decoder finds it. `None` if the decoder reads the whole text. It
/// reads numbers of any size, and fails later on those that no float can hold.
#[must_use]
pub fn decoder_fault(text: &[u8]) -> Option<DecoderFault> {
    Scanner { text, at: 0, open: Vec::new() }.fault()
}

/// What the decoder expects next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A value. The first one of an array may be missing.
    Value { may_end: bool },
    /// A key. The first one of an object may be missing.
    Key { may_end: bool },
    /// The colon between a key and its value.
    Colon,
    /// A comma, or the end of the object or array.
    Comma,
    /// Nothing more.
    End,
}

/// An object or array that is not closed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Open>,
}

/// Why the scan stops. [`Scanner::at`] is the place.
type Stopped = &'static str;

impl Scanner<'_> {
    fn fault(mut self) -> Option<DecoderFault> {
        let reason = self.scan().err()?;
        Some(DecoderFault { reason, place: self.at.saturating_add(1) })
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The bytes from the current one on.
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn scan(&mut self) -> Result<(), Stopped> {
        let mut expected = Expected::Value { may_end: false };
        while let Some(byte) = self.byte() {
            if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                self.at += 1;
                continue;
            }
            expected = match expected {
                Expected::Value { may_end } => self.value(byte, may_end)?,
                Expected::Key { may_end } => match byte {
                    b'"' => {
                        self.string()?;
                        Expected::Colon
                    }
                    b'}' if may_end => self.close(Open::Object)?,
                    _ => return Err("invalid_json"),
                },
                Expected::Colon if byte == b':' => {
                    self.at += 1;
                    Expected::Value { may_end: false }
                }
                Expected::Comma => match (byte, self.open.last()) {
                    (b',', Some(Open::Object)) => {
                        self.at += 1;
                        Expected::Key { may_end: false }
                    }
                    (b',', Some(Open::Array)) => {
                        self.at += 1;
                        Expected::Value { may_end: false }
                    }
                    (b'}', _) => self.close(Open::Object)?,
                    (b']', _) => self.close(Open::Array)?,
                    _ => return Err("invalid_json"),
                },
                Expected::Colon => return Err("invalid_json"),
                Expected::End => return Err("invalid_trailing_data"),
            };
        }
        if expected == Expected::End { Ok(()) } else { Err("truncated_json") }
    }

    /// Reads a value, or its beginning.
    fn value(&mut self, byte: u8, may_end: bool) -> Result<Expected, Stopped> {
        match byte {
            b'n' => self.literal(b"null")?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b'{' => {
                self.open.push(Open::Object);
                self.at += 1;
                return Ok(Expected::Key { may_end: true });
            }
            b'[' => {
                self.open.push(Open::Array);
                self.at += 1;
                return Ok(Expected::Value { may_end: true });
            }
            b']' if may_end => return self.close(Open::Array),
            _ => return Err("invalid_json"),
        }
        Ok(self.after_value())
    }

    /// Closes the innermost object or array.
    fn close(&mut self, kind: Open) -> Result<Expected, Stopped> {
        if self.open.last() != Some(&kind) {
            return Err("invalid_json");
        }
        self.open.pop();
        self.at += 1;
        Ok(self.after_value())
    }

    fn after_value(&self) -> Expected {
        if self.open.is_empty() { Expected::End } else { Expected::Comma }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Stopped> {
        if !self.rest().starts_with(word) {
            return Err("invalid_literal");
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string, from its first quote to its last.
    fn string(&mut self) -> Result<(), Stopped> {
        const BAD: Stopped = "invalid_string";
        self.at += 1;
        loop {
            match self.byte().ok_or(BAD)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    let escaped = *self.rest().get(1).ok_or(BAD)?;
                    self.at += 1;
                    match escaped {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            self.unicode_escape().ok_or(BAD)?;
                        }
                        _ => return Err(BAD),
                    }
                }
                0x20..=0x7f => self.at += 1,
                0x80.. => self.at += character_length(self.rest()).ok_or(BAD)?,
                _ => return Err(BAD),
            }
        }
    }

    /// Reads the four digits behind `\u`. A high surrogate must be followed by the escape of a low one.
    fn unicode_escape(&mut self) -> Option<()> {
        let first = self.four_digits(4)?;
        self.at += 4;
        match first {
            0xd800..=0xdbff => {
                self.rest().get(6)?;
                for wanted in *b"\\u" {
                    // The decoder has stepped behind the byte when it refuses it.
                    let byte = self.byte()?;
                    self.at += 1;
                    (byte == wanted).then_some(())?;
                }
                matches!(self.four_digits(3)?, 0xdc00..=0xdfff).then_some(())
            }
            0xdc00..=0xdfff => None,
            _ => Some(()),
        }
    }

    /// The number in the next four hex digits. At least `behind + 1` bytes must follow.
    fn four_digits(&self, behind: usize) -> Option<u32> {
        let rest = self.rest();
        rest.get(behind)?;
        let digits = rest.get(..4)?;
        digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
    }

    /// Reads a number. A leading zero ends it.
    fn number(&mut self) -> Result<(), Stopped> {
        const BAD: Stopped = "invalid_number";
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(BAD),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(BAD);
            }
            self.digits();
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            // The decoder takes a sign for a whole exponent.
            if !self.byte().is_some_and(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9')) {
                return Err(BAD);
            }
            self.at += 1;
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
    }
}

/// The length of the character at the beginning of a text; `None` if its bytes are not UTF-8.
fn character_length(text: &[u8]) -> Option<usize> {
    (2..=4).find(|length| text.get(..*length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()))
}

#[cfg(test)]
#[path = "decoder_fault_tests.rs"]
mod tests;
