//! Writes the fields of a log line. Some values come from clients, such as the id of a request, so a value
//! that could look like more fields is quoted. It knows no field and no message.

use std::borrow::Cow;
use std::io::{self, Write};

use log::kv::{Error, Key, Source, Value, VisitSource, VisitValue};

/// Writes each field as ` key=value`. A plain value is written as it is; any other is quoted, with escapes.
pub(super) fn write(out: &mut impl Write, fields: &dyn Source) -> io::Result<()> {
    fields.visit(&mut Fields(out)).map_err(io::Error::other)
}

struct Fields<'a, W>(&'a mut W);

impl<'kvs, W: Write> VisitSource<'kvs> for Fields<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if !is_null(&value) {
            write!(self.0, " {key}={}", quoted(&value.to_string()))?;
        }
        Ok(())
    }
}

/// Whether a field has no value, as `None` has none.
pub(super) fn is_null(value: &Value<'_>) -> bool {
    struct IsNull(bool);
    impl<'v> VisitValue<'v> for IsNull {
        fn visit_any(&mut self, _: Value<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn visit_null(&mut self) -> Result<(), Error> {
            self.0 = true;
            Ok(())
        }
    }
    let mut is_null = IsNull(false);
    value.visit(&mut is_null).is_ok() && is_null.0
}

/// A value that ends where it seems to end.
pub(crate) fn quoted(value: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() & !matches!(byte, b'"' | b'\\' | b'=' | b'\'');
    // Without an early end, the compiler looks at many bytes at once.
    if !value.is_empty() && value.bytes().fold(true, |so_far, byte| so_far & is_plain(byte)) {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{value:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, write};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_value_cannot_look_like_more_fields() {
        for (value, expected) in [
            ("abc-1.2/x:8000", "abc-1.2/x:8000"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("x status=200", r#""x status=200""#),
            ("a=b", r#""a=b""#),
            (r#"a" b="c"#, r#""a\" b=\"c""#),
            ("a\\", r#""a\\""#),
            ("a\nb", r#""a\nb""#),
            ("a\u{1b}[31m", r#""a\u{1b}[31m""#),
            ("Büro", r#""Büro""#),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }

    #[test]
    fn fields_are_written_behind_each_other() {
        let absent: Option<&str> = None;
        let fields = [("request_id", Some("x status=200")), ("absent", absent), ("status", Some("401"))];
        let mut out = Vec::new();
        write(&mut out, &fields).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#" request_id="x status=200" status=401"#);
    }

    proptest! {
        /// A quoted value ends at its first quote without a backslash, and has no line breaks.
        #[test]
        fn a_value_is_one_word_or_one_quoted_text(value in any::<String>()) {
            let written = quoted(&value);
            match written.strip_prefix('"') {
                None => assert!(*written == *value && !value.contains([' ', '=', '"', '\n'])),
                Some(rest) => {
                    let inside = rest.strip_suffix('"').unwrap();
                    let mut is_escaped = false;
                    for character in inside.chars() {
                        assert!(!character.is_control() && (is_escaped || character != '"'));
                        is_escaped = !is_escaped && character == '\\';
                    }
                    assert!(!is_escaped, "the last quote is not escaped");
                }
            }
        }
    }
}
