//! JSON indented as crossbar does it for `pretty_print`: two spaces a level, and a space on either side of
//! a colon. Works on JSON text as it is written; no value is parsed.

use super::sink::{Sink, TooLarge};

/// Indented JSON may be at most this many times the size of the compact text. Deeply nested JSON would
/// grow with the square of its depth.
const MAX_GROWTH: usize = 16;

/// The spaces of one level.
const LEVEL: &[u8] = b"  ";

/// Indents the JSON text that is written to it.
struct Indenter {
    sink: Sink,
    depth: usize,
    /// Whether the last byte opened an object or array.
    has_just_opened: bool,
    text: Text,
}

/// Where in a JSON string the last byte was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Indenter {
    fn new(sink: Sink) -> Self {
        Self { sink, depth: 0, has_just_opened: false, text: Text::Outside }
    }

    fn push(&mut self, json: &[u8]) -> Result<(), TooLarge> {
        for byte in json {
            match self.text {
                Text::Outside => self.push_outside(*byte)?,
                Text::Inside => {
                    self.text = match byte {
                        b'\\' => Text::Escaped,
                        b'"' => Text::Outside,
                        _ => Text::Inside,
                    };
                    self.sink.push(&[*byte])?;
                }
                Text::Escaped => {
                    self.text = Text::Inside;
                    self.sink.push(&[*byte])?;
                }
            }
        }
        Ok(())
    }

    fn push_outside(&mut self, byte: u8) -> Result<(), TooLarge> {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(()),
            b':' => return self.sink.push(b" : "),
            b',' => {
                self.sink.push(b",")?;
                return self.break_line();
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.has_just_opened) {
                    self.break_line()?;
                }
                return self.sink.push(&[byte]);
            }
            _ => {}
        }
        if std::mem::take(&mut self.has_just_opened) {
            self.break_line()?;
        }
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.has_just_opened = true;
            }
            b'"' => self.text = Text::Inside,
            _ => {}
        }
        self.sink.push(&[byte])
    }

    fn break_line(&mut self) -> Result<(), TooLarge> {
        self.sink.push(b"\n")?;
        (0..self.depth).try_for_each(|_| self.sink.push(LEVEL))
    }
}

/// JSON text, indented; unchanged if it would grow too much.
pub(crate) fn indent(compact: Vec<u8>) -> Vec<u8> {
    let limit = compact.len().saturating_mul(MAX_GROWTH);
    let mut indenter = Indenter::new(Sink::new(limit, compact.len().saturating_mul(2)));
    match indenter.push(&compact) {
        Ok(()) => indenter.sink.into_bytes(),
        Err(TooLarge { .. }) => compact,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::{Value, json};

    fn check(compact: &str, expected: &str) {
        assert_eq!(String::from_utf8(super::indent(compact.as_bytes().to_vec())).unwrap(), expected);
    }

    #[test]
    fn two_spaces_a_level_and_spaced_colons() {
        check(r#"{"a":{"b":[1]}}"#, "{\n  \"a\" : {\n    \"b\" : [\n      1\n    ]\n  }\n}");
    }

    #[test]
    fn empty_objects_and_arrays_stay_on_their_line() {
        check(r#"{"a":{},"b":[ ]}"#, "{\n  \"a\" : {},\n  \"b\" : []\n}");
    }

    #[test]
    fn strings_are_left_alone() {
        let text = r#""{a:\"b\\\",[ :""#;
        check(&format!("[{text}]"), &format!("[\n  {text}\n]"));
    }

    #[test]
    fn json_that_would_grow_too_much_stays_compact() {
        let deep = format!("{}{}0{}", "[".repeat(100), "0,".repeat(1_000), "]".repeat(100));
        check(&deep, &deep);
    }

    proptest! {
        #[test]
        fn the_value_stays(texts in proptest::collection::vec(any::<String>(), 0..5), number in any::<i64>()) {
            let value = json!({"texts": texts, "inner": {"n": number, "empty": {}, "list": [[], null, true]}});
            let indented = super::indent(value.to_string().into_bytes());
            prop_assert_eq!(serde_json::from_slice::<Value>(&indented).unwrap(), value);
        }
    }
}
