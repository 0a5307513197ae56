//! Bounds how much of a client's own text an error answer repeats.

use std::io::{self, Write};

use serde_json::Value;

/// The most bytes that an error answer repeats of what its client sent, as JSON.
pub const MAX_ECHO: usize = 16_000;

/// How many characters stay of a text that is too long to repeat.
const SHORTENED: usize = 256;

/// The size of a value as JSON; `None` if it is more than `limit`. Such a value is read no further than that.
#[must_use]
pub fn echo_size(value: &Value, limit: usize) -> Option<usize> {
    let mut room = Room(limit);
    room.take_value(value)?;
    Some(limit.saturating_sub(room.0))
}

/// A text that is repeated whole if it has at most [`MAX_ECHO`] bytes. Only the beginning of a longer one stays.
#[must_use]
pub fn shortened(text: String) -> String {
    if text.len() <= MAX_ECHO { text } else { beginning(&text) }
}

fn beginning(text: &str) -> String {
    text.chars().take(SHORTENED).chain(['…']).collect()
}

/// How many bytes an answer may still repeat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_ECHO)
    }
}

impl Room {
    /// How many bytes are repeated already.
    pub(crate) fn used(&self) -> usize {
        MAX_ECHO.saturating_sub(self.0)
    }

    /// Takes room for all these values, or for none.
    pub(crate) fn fits<'a>(&mut self, values: impl IntoIterator<Item = &'a Value>) -> bool {
        let mut left = Self(self.0);
        let fits = values.into_iter().try_for_each(|value| left.take_value(value)).is_some();
        if fits {
            *self = left;
        }
        fits
    }

    /// Takes room for a text. Only the beginning of a text that does not fit stays.
    pub(crate) fn fitted(&mut self, text: String) -> String {
        let mut left = Self(self.0);
        if left.take_text(&text).is_none() {
            return beginning(&text);
        }
        *self = left;
        text
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }

    fn take_value(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => serde_json::to_writer(self, value).ok(),
            Value::String(text) => self.take_text(text),
            // The brackets, and a comma between two items.
            Value::Array(items) => {
                self.take(items.len().saturating_sub(1) + 2)?;
                items.iter().try_for_each(|item| self.take_value(item))
            }
            // Each member has a colon too.
            Value::Object(members) => {
                self.take((2 * members.len()).saturating_sub(1) + 2)?;
                members.iter().try_for_each(|(key, inner)| {
                    self.take_text(key)?;
                    self.take_value(inner)
                })
            }
        }
    }

    /// Takes a text in its quotes. A text that is too long is not even searched for characters to escape.
    fn take_text(&mut self, text: &str) -> Option<()> {
        if text.len() > self.0 { None } else { serde_json::to_writer(self, text).ok() }
    }
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ECHO, echo_size, shortened};
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::json;

    proptest! {
        #[test]
        fn the_size_is_that_of_the_json(texts in proptest::collection::vec(any::<String>(), 0..4), number in any::<f64>()) {
            let value = json!({"texts": texts, "n": number, "é\n": [[], {}, null, true, {"a": 1, "b": 2}]});
            let size = value.to_string().len();
            prop_assert_eq!(echo_size(&value, size), Some(size));
            prop_assert_eq!(echo_size(&value, size - 1), None);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let whole = "é".repeat(MAX_ECHO / 2);
        assert_eq!(shortened(whole.clone()), whole);
        assert_eq!(shortened(whole + "é"), "é".repeat(256) + "…");
    }
}
