//! Indented JSON for `pretty_print`, in crossbar's form: two spaces a level, and a space on both sides of a
//! colon. It indents JSON text while the text is written, and parses no value.

use std::io::{self, Write};

/// Indented JSON may be at most this many times the size of the compact text. Deeply nested JSON would
/// grow with the square of its depth.
const MAX_GROWTH: usize = 16;

/// Indented JSON that is held whole may have at most this many bytes.
const MAX_INDENTED: usize = 16_000_000;

/// The spaces of one level.
const LEVEL: &[u8] = b"  ";

/// Takes indented JSON.
pub(crate) trait Output {
    /// Adds bytes.
    fn push(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Adds the spaces at the start of a line.
    fn indent(&mut self, levels: usize) -> io::Result<()>;
}

impl<W: Write> Output for W {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn indent(&mut self, levels: usize) -> io::Result<()> {
        (0..levels).try_for_each(|_| self.write_all(LEVEL))
    }
}

/// Indents the JSON text that is written to it, and passes it on.
pub(crate) struct Indenter<O> {
    out: O,
    depth: usize,
    /// Whether the last byte opened an object or array.
    has_just_opened: bool,
    text: Text,
    /// The size of the compact text so far.
    compact_size: usize,
}

/// The position of the last byte in the JSON text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    /// In a value that stays as it is.
    Untouched,
    /// Inside a string.
    Inside,
    /// After a backslash in a string.
    Escaped,
}

impl<O: Output> Indenter<O> {
    pub(crate) fn new(out: O) -> Self {
        Self { out, depth: 0, has_just_opened: false, text: Text::Outside, compact_size: 0 }
    }

    /// The sink.
    pub(crate) fn inner(&mut self) -> &mut O {
        &mut self.out
    }

    /// Begins a value. It is indented if it may grow. Otherwise it is passed on as it is until
    /// [`Indenter::end_value`].
    pub(crate) fn begin_value(&mut self, may_grow: bool) -> io::Result<()> {
        if may_grow {
            return Ok(());
        }
        if std::mem::take(&mut self.has_just_opened) {
            self.break_line()?;
        }
        self.text = Text::Untouched;
        Ok(())
    }

    /// Ends a value.
    pub(crate) fn end_value(&mut self) {
        self.text = Text::Outside;
    }

    fn push(&mut self, byte: u8) -> io::Result<()> {
        self.text = match (self.text, byte) {
            (Text::Outside, _) => return self.push_outside(byte),
            (Text::Inside, b'\\') => Text::Escaped,
            (Text::Inside, b'"') => Text::Outside,
            (Text::Inside | Text::Escaped | Text::Untouched, _) => Text::Inside,
        };
        self.out.push(&[byte])
    }

    fn push_outside(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(()),
            b':' => return self.out.push(b" : "),
            b',' => {
                self.out.push(b",")?;
                return self.break_line();
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.has_just_opened) {
                    self.break_line()?;
                }
                return self.out.push(&[byte]);
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
        self.out.push(&[byte])
    }

    fn break_line(&mut self) -> io::Result<()> {
        self.out.push(b"\n")?;
        self.out.indent(self.depth)
    }
}

impl<O: Output> Write for Indenter<O> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        if self.text == Text::Untouched {
            self.out.push(json)?;
            return Ok(json.len());
        }
        json.iter().try_for_each(|byte| self.push(*byte))?;
        self.compact_size += json.len();
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The size that JSON will have once it is indented; `None` if it would grow too much. `write` writes the
/// compact text.
pub(crate) fn indented_size(
    write: impl FnOnce(&mut Indenter<Counter>) -> io::Result<()>,
) -> io::Result<Option<usize>> {
    let mut indenter = Indenter::new(Counter::default());
    write(&mut indenter)?;
    let size = indenter.out.size;
    Ok(Some(size).filter(|size| *size <= most(indenter.compact_size)))
}

/// The most bytes that compact text of this size can have once it is indented.
pub(crate) fn most(compact_size: usize) -> usize {
    compact_size.saturating_mul(MAX_GROWTH).min(MAX_INDENTED)
}

/// Counts bytes. A deep level costs no more than a flat one.
#[derive(Default)]
pub(crate) struct Counter {
    size: usize,
}

impl Output for Counter {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size = self.size.saturating_add(bytes.len());
        Ok(())
    }

    fn indent(&mut self, levels: usize) -> io::Result<()> {
        self.size = self.size.saturating_add(levels.saturating_mul(LEVEL.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::{Value, json};

    use super::{Indenter, indented_size};

    fn indent(compact: &str) -> String {
        let mut indenter = Indenter::new(Vec::new());
        indenter.write_all(compact.as_bytes()).unwrap();
        String::from_utf8(indenter.out).unwrap()
    }

    fn size(compact: &str) -> Option<usize> {
        indented_size(|out| out.write_all(compact.as_bytes())).unwrap()
    }

    fn check(compact: &str, expected: &str) {
        assert_eq!(indent(compact), expected);
        assert_eq!(size(compact), Some(expected.len()));
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
    fn json_that_would_grow_too_much_has_no_size() {
        let deep = format!("{}{}0{}", "[".repeat(100), "0,".repeat(1_000), "]".repeat(100));
        assert_eq!(size(&deep), None);
    }

    proptest! {
        #[test]
        fn the_value_stays(texts in proptest::collection::vec(any::<String>(), 0..5), number in any::<i64>()) {
            let value = json!({"texts": texts, "inner": {"n": number, "empty": {}, "list": [[], null, true]}});
            let indented = indent(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), value);
        }
    }
}
