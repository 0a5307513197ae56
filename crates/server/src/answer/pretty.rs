//! JSON indented as crossbar does it for `pretty_print`.

use std::io;

use serde::Serialize as _;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// Two spaces a level, and a space on either side of a colon.
struct SpacedColon(PrettyFormatter<'static>);

impl Formatter for SpacedColon {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// The most that indenting may add to a text: as many bytes as it has, so many times. What is nested
/// deeply would grow beyond all measure.
const MOST_TIMES: usize = 16;

/// Memory up to a limit.
struct Limited {
    text: Vec<u8>,
    limit: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len().saturating_add(bytes.len()) > self.limit {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON text, indented; as it is where it is no JSON that is read here, or would grow too much.
pub(crate) fn print(compact: String) -> Vec<u8> {
    let Ok(value) = datastore::json::parse(compact.as_bytes()) else { return compact.into_bytes() };
    let mut limited = Limited { text: Vec::new(), limit: compact.len().saturating_mul(MOST_TIMES) };
    let mut serializer = Serializer::with_formatter(&mut limited, SpacedColon(PrettyFormatter::new()));
    match value.serialize(&mut serializer) {
        Ok(()) => limited.text,
        Err(_) => compact.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    fn check(compact: &str, expected: &str) {
        assert_eq!(String::from_utf8(super::print(compact.to_owned())).unwrap(), expected);
    }

    #[test]
    fn two_spaces_a_level_and_spaced_colons() {
        check(r#"{"a":{"b":[1]}}"#, "{\n  \"a\" : {\n    \"b\" : [\n      1\n    ]\n  }\n}");
    }

    #[test]
    fn what_would_grow_beyond_measure_stays_as_it_is() {
        let deep = format!("{}{}0{}", "[".repeat(100), "0,".repeat(1_000), "]".repeat(100));
        check(&deep, &deep);
    }
}
