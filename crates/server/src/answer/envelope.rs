//! The envelope around an answer's data. One writer serves plain answers and listings in chunks, of every
//! release. A [`Form`] holds the differences between them, above all the order of the members.

use std::borrow::Cow;
use std::io::{self, Write};

use datastore::json;
use groups::ListedRows;
use jiff::Timestamp;
use kazoo::Time;
use serde_json::Value;

use crate::profile::{Form, Member};

/// The members of an envelope that are about paging.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paging {
    /// The key that the next page begins with, in its wire form.
    pub(crate) next_start_key: Option<String>,
    /// The number of rows.
    pub(crate) page_size: Option<u64>,
    /// The key that the client asked for, in its wire form.
    pub(crate) start_key: Option<String>,
}

/// A client's bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    /// The cost of the request if it fails.
    pub(crate) consumed: u32,
    /// The number of tokens in the bucket.
    pub(crate) remaining: u32,
}

/// The values of an envelope's members.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    pub(crate) paging: Paging,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) received_at: Time,
    pub(crate) node: Cow<'a, str>,
    pub(crate) request_id: Cow<'a, str>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) auth_token: Option<Cow<'a, Value>>,
    pub(crate) error: Option<u16>,
    pub(crate) message: Option<&'static str>,
    pub(crate) revision: Option<Cow<'a, str>>,
    pub(crate) status: &'static str,
}

impl Values<'_> {
    /// The same values without their request.
    pub(crate) fn into_owned(self) -> Values<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        Values {
            version: self.version.map(owned),
            node: owned(self.node),
            request_id: owned(self.request_id),
            auth_token: self.auth_token.map(|token| Cow::Owned(token.into_owned())),
            revision: self.revision.map(owned),
            paging: self.paging,
            received_at: self.received_at,
            tokens: self.tokens,
            error: self.error,
            message: self.message,
            status: self.status,
        }
    }
}

/// The data of an answer.
#[derive(Debug)]
pub(crate) enum Data {
    /// The envelope has no `data`.
    Absent,
    /// A value.
    Value(Value),
    /// An object as JSON text.
    Object {
        /// The members with commas between them, without braces.
        members: String,
        /// One more member, which is written last.
        last: Option<&'static str>,
    },
    /// Rows of a view as they are stored.
    Rows(ListedRows),
}

impl Data {
    /// About how many bytes it takes.
    pub(crate) fn size_hint(&self) -> usize {
        match self {
            Self::Absent => 0,
            // Values are small: they are the data of refusals and logins.
            Self::Value(_) => 1_024,
            Self::Object { members, .. } => members.len(),
            Self::Rows(rows) => rows.bytes().saturating_add(rows.len()),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Absent => Ok(()),
            Self::Value(value) => Ok(serde_json::to_writer(out, value)?),
            Self::Object { members, last } => {
                out.write_all(b"{")?;
                out.write_all(members.as_bytes())?;
                if let Some(last) = last {
                    out.write_all(b",")?;
                    out.write_all(last.as_bytes())?;
                }
                out.write_all(b"}")
            }
            Self::Rows(rows) => {
                out.write_all(b"[")?;
                write_rows(rows, out)?;
                out.write_all(b"]")
            }
        }
    }
}

/// Writes rows with commas between them.
fn write_rows(rows: &ListedRows, out: &mut impl Write) -> io::Result<()> {
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            out.write_all(b",")?;
        }
        out.write_all(row.get().as_bytes())?;
    }
    Ok(())
}

/// Writes a whole envelope.
pub(crate) fn write(form: &Form, values: &Values<'_>, data: &Data, out: &mut impl Write) -> io::Result<()> {
    let mut writer = Writer::new(form, out);
    writer.begin(values)?;
    if !matches!(data, Data::Absent) {
        writer.key("data")?;
        data.write(writer.out)?;
    }
    writer.end(values)
}

/// Writes the part of a listing's envelope before the rows.
pub(crate) fn write_head(form: &Form, values: &Values<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut writer = Writer::new(form, out);
    writer.begin(values)?;
    writer.key("data")?;
    writer.out.write_all(b"[")
}

/// Writes the part of a listing's envelope after the rows.
pub(crate) fn write_tail(form: &Form, values: &Values<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"]")?;
    let mut writer = Writer::new(form, out);
    writer.is_first = false;
    writer.end(values)
}

struct Writer<'a, W> {
    form: &'a Form,
    out: &'a mut W,
    is_first: bool,
}

impl<'a, W: Write> Writer<'a, W> {
    fn new(form: &'a Form, out: &'a mut W) -> Self {
        Self { form, out, is_first: true }
    }

    fn begin(&mut self, values: &Values<'_>) -> io::Result<()> {
        self.out.write_all(b"{")?;
        self.form.before_data.iter().try_for_each(|member| self.member(*member, values))
    }

    fn end(&mut self, values: &Values<'_>) -> io::Result<()> {
        self.form.after_data.iter().try_for_each(|member| self.member(*member, values))?;
        self.out.write_all(b"}")
    }

    fn member(&mut self, member: Member, values: &Values<'_>) -> io::Result<()> {
        let paging = &values.paging;
        match member {
            Member::NextStartKey => self.text("next_start_key", paging.next_start_key.as_deref()),
            Member::PageSize => match paging.page_size {
                Some(size) if self.form.numbers_are_texts => self.text("page_size", Some(&size.to_string())),
                Some(size) => {
                    self.key("page_size")?;
                    write!(self.out, "{size}")
                }
                None => Ok(()),
            },
            Member::StartKey => self.text("start_key", paging.start_key.as_deref()),
            Member::Version => self.text("version", values.version.as_deref()),
            Member::Timestamp => {
                self.key("timestamp")?;
                write!(self.out, "\"{}\"", timestamp(values.received_at))
            }
            Member::Node => self.text("node", Some(&values.node)),
            Member::RequestId => self.text("request_id", Some(&values.request_id)),
            Member::Tokens => {
                let Some(Tokens { consumed, remaining }) = values.tokens else { return Ok(()) };
                self.key("tokens")?;
                write!(self.out, "{{\"consumed\":{consumed},\"remaining\":{remaining}}}")
            }
            Member::AuthToken => match values.auth_token.as_deref() {
                None => Ok(()),
                Some(Value::String(token)) => self.text("auth_token", Some(token)),
                Some(token) => {
                    self.key("auth_token")?;
                    Ok(serde_json::to_writer(&mut *self.out, token)?)
                }
            },
            Member::Error => {
                let Some(status) = values.error else { return Ok(()) };
                self.key("error")?;
                write!(self.out, "\"{status}\"")
            }
            Member::Message => self.text("message", values.message),
            Member::Revision => self.text("revision", values.revision.as_deref()),
            Member::Status => self.text("status", Some(values.status)),
        }
    }

    /// Writes a member whose value is a text. Without a value, writes nothing.
    fn text(&mut self, key: &str, text: Option<&str>) -> io::Result<()> {
        let Some(text) = text else { return Ok(()) };
        self.key(key)?;
        self.out.write_all(b"\"")?;
        self.out.write_all(json::escape(text).as_bytes())?;
        self.out.write_all(b"\"")
    }

    fn key(&mut self, key: &str) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(self.form.separator.as_bytes())?;
        }
        self.out.write_all(b"\"")?;
        self.out.write_all(key.as_bytes())?;
        self.out.write_all(b"\":")
    }
}

/// A time that is written in crossbar's form, `2026-11-23T14:41:56Z`.
fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_second(time.unix_seconds()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
