//! How events are written in each format of the log. Lines about requests have their own writer in
//! `access_log`; both use the stamp and the texts from here.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};
use serde_json::Map;

use super::fields;

/// How the lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A message and fields like `status=200`.
    Text,
    /// An object of JSON on each line.
    Json,
    /// The lines of Kazoo's crossbar.
    Kazoo,
}

/// The request id in Kazoo's lines that belong to no request.
const NO_REQUEST: &str = "00000000000";

/// Now, as a line begins with it: `2026-01-31T12:00:00.123Z`. The part that changes once a second is kept.
pub(crate) struct Stamp;

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thread_local! {
            static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != now.as_secs() || text.is_empty() {
                let whole = i64::try_from(now.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
                text.clear();
                // Writing into a text does not fail.
                let _ = write!(text, "{}", whole.unwrap_or_default());
                text.truncate(text.len().saturating_sub(1));
                *second = now.as_secs();
            }
            write!(f, "{text}.{:03}Z", now.subsec_millis())
        })
    }
}

/// An object with `time`, `level`, `target`, `message` and the event's fields.
pub(super) fn json(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut object = Map::new();
    let mut put = |key: &str, text: String| object.insert(key.to_owned(), text.into());
    put("time", Stamp.to_string());
    put("level", record.level().as_str().to_lowercase());
    put("target", record.target().to_owned());
    put("message", record.args().to_string());
    record.key_values().visit(&mut Fields(&mut object)).map_err(io::Error::other)?;
    writeln!(out, "{}", serde_json::Value::Object(object))
}

struct Fields<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if fields::is_null(&value) {
            return Ok(());
        }
        let written = match (value.to_u64(), value.to_i64(), value.to_bool()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (_, _, Some(switch)) => switch.into(),
            _ => value.to_string().into(),
        };
        self.0.insert(key.to_string(), written);
        Ok(())
    }
}

/// Kazoo's form: `|REQUEST ID|module:line(<process>) message`. Kazoo's lines have no level in this form, so a
/// warning and an error begin with their level.
pub(super) fn kazoo(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let request_id = record.key_values().get(Key::from("request_id")).map(|id| id.to_string());
    let request_id = request_id.as_deref().unwrap_or(NO_REQUEST);
    write!(out, "|{}|{}:0(<0.0.0>) ", one_line(request_id), record.target().replace("::", "_"))?;
    match record.level() {
        Level::Error => out.write_all(b"error: ")?,
        Level::Warn => out.write_all(b"warning: ")?,
        Level::Info | Level::Debug | Level::Trace => {}
    }
    write!(out, "{}", one_line(&record.args().to_string()))?;
    fields::write(out, record.key_values())?;
    out.write_all(b"\n")
}

/// A text whose control characters are escaped, and whose `|` cannot end a field.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' => line.push('/'),
            character if character.is_control() => line.extend(character.escape_default()),
            character => line.push(character),
        }
    }
    line
}

/// At most this many bytes of a text. An ellipsis shows that it was longer.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// The line that tells of lines that were dropped.
pub(super) fn lost_lines(format: LogFormat, lines: u64) -> Vec<u8> {
    let text = "lines of the log were dropped: the place that the log goes to is too slow";
    let line = match format {
        LogFormat::Text => format!("[{Stamp} WARN  log] {lines} {text} lines={lines}\n"),
        LogFormat::Json => format!(
            "{{\"time\":\"{Stamp}\",\"level\":\"warn\",\"target\":\"log\",\"message\":\"{lines} {text}\",\
             \"lines\":{lines}}}\n"
        ),
        LogFormat::Kazoo => format!("|{NO_REQUEST}|log:0(<0.0.0>) warning: {lines} {text}\n"),
    };
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use log::{Level, Record};
    use proptest::prelude::{any, proptest};
    use serde_json::Value;

    use super::{Stamp, json, kazoo, lost_lines, one_line};
    use crate::logging::LogFormat;

    fn written(write: impl Fn(&mut Vec<u8>, &Record<'_>) -> std::io::Result<()>) -> String {
        let fields = [("request_id", "a|b\nc"), ("status", "200")];
        let mut out = Vec::new();
        let record = Record::builder()
            .args(format_args!("two\nlines"))
            .level(Level::Warn)
            .target("server::http")
            .key_values(&fields)
            .build();
        write(&mut out, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_one_line_in_every_format() {
        let text = written(json);
        assert_eq!(text.lines().count(), 1);
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&object["message"], &object["level"]), (&"two\nlines".into(), &"warn".into()));
        assert_eq!((&object["request_id"], &object["status"]), (&"a|b\nc".into(), &"200".into()));
        assert_eq!(
            written(kazoo),
            "|a/b\\nc|server_http:0(<0.0.0>) warning: two\\nlines request_id=\"a|b\\nc\" status=200\n"
        );
    }

    #[test]
    fn a_stamp_has_milliseconds() {
        let stamp = Stamp.to_string();
        assert!(stamp.len() == 24 && stamp.ends_with('Z') && stamp.get(19..20) == Some("."), "{stamp}");
        assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    }

    #[test]
    fn lost_lines_are_told_in_every_format() {
        for format in [LogFormat::Text, LogFormat::Json, LogFormat::Kazoo] {
            let line = String::from_utf8(lost_lines(format, 7)).unwrap();
            assert!(line.contains("7 lines of the log were dropped") && line.ends_with('\n'), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_text_in_kazoos_form_stays_in_its_field(text in any::<String>()) {
            assert!(!one_line(&text).contains(['\n', '\r', '|']));
        }
    }
}
