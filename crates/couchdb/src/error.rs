//! What can go wrong with a CouchDB, each failure with what was asked and what was answered.
//!
//! A status is never invented: where no answer came there is none, and a `404` that CouchDB did not write
//! (a proxy's page) is not taken for a missing document.

use std::error::Error as StdError;
use std::fmt;

use datastore::{Cause, StoreError};
use reqwest::Method;
use serde_json::{Map, Value};

/// So much of CouchDB's `reason` is kept, in characters.
const MAX_REASON: usize = 300;

/// What was asked: the method and the address, without credentials and without the query (a view's key may
/// be a credential itself).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The address up to the query.
    pub url: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// A refusal in CouchDB's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub call: Call,
    /// The status of the answer; none where the refusal stands inside a successful answer, as for one
    /// document of a bulk write or one row of a view.
    pub status: Option<u16>,
    /// CouchDB's word (`not_found`, `conflict`); empty where the answer was not CouchDB's.
    pub error: String,
    /// CouchDB's explanation.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.call)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if self.error.is_empty() {
            return f.write_str(" (not an answer of CouchDB's)");
        }
        write!(f, " {}: {}", self.error, self.reason)
    }
}

/// A request that got no answer, and why.
#[derive(Debug)]
pub struct TransportFailure {
    /// What was asked.
    pub call: Call,
    /// The causes in a row: `error sending request: client error (Connect): … Connection refused`.
    pub why: String,
    source: Option<reqwest::Error>,
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.why)
    }
}

impl StdError for TransportFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| {
            let source: &(dyn StdError + 'static) = source;
            source
        })
    }
}

/// Why CouchDB did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client itself could not be made (TLS, an address that makes no header).
    #[error("the CouchDB client cannot be set up: {0}")]
    Setup(String),
    /// No answer came. There is no status, and it is unknown whether a write was done.
    #[error("no answer: {0}")]
    Transport(#[source] Box<TransportFailure>),
    /// The caller's deadline passed first.
    #[error("no answer before the deadline: {0}")]
    DeadlineExceeded(Call),
    /// 401: CouchDB does not know us, or wants an administrator.
    #[error("not authorised: {0}")]
    Unauthorized(Box<Refusal>),
    /// 403: CouchDB knows us and says no.
    #[error("forbidden: {0}")]
    Forbidden(Box<Refusal>),
    /// There never was such a document, or the document has no such attachment.
    #[error("missing: {0}")]
    Missing(Box<Refusal>),
    /// The document is deleted.
    #[error("deleted: {0}")]
    Deleted(Box<Refusal>),
    /// There is no such database.
    #[error("database missing: {0}")]
    DatabaseMissing(Box<Refusal>),
    /// The design document or the view in it does not exist.
    #[error("view missing: {0}")]
    ViewMissing(Box<Refusal>),
    /// 409: the write was based on another revision than the newest. Also 412, what is to be created is
    /// there.
    #[error("conflict: {0}")]
    Conflict(Box<Refusal>),
    /// 413: the document or request is larger than CouchDB takes.
    #[error("too large: {0}")]
    TooLarge(Box<Refusal>),
    /// CouchDB finds the request senseless (400), or a map function that does not compile.
    #[error("invalid: {0}")]
    Invalid(Box<Refusal>),
    /// The name cannot be asked for: as a part of a path it would mean something else.
    #[error("{0:?} names no document that can be asked for")]
    Name(String),
    /// The draft has a member that begins with `_` and is not the caller's to set.
    #[error("a document's member {0:?} is CouchDB's own")]
    Member(String),
    /// 408, 429, 5xx: CouchDB cannot serve now.
    #[error("unavailable: {0}")]
    Unavailable(Box<Refusal>),
    /// A status that CouchDB does not give here, or one that somebody else gave in its place.
    #[error("unexpected answer: {0}")]
    Unexpected(Box<Refusal>),
    /// The answer is not what CouchDB writes, or it ends too early.
    #[error("unreadable answer: {call}: {what}")]
    Unreadable {
        /// What was asked.
        call: Call,
        /// What is wrong with the answer.
        what: String,
    },
    /// The answer, or one row of it, is larger than the client's settings allow.
    #[error("the answer is larger than {max_bytes} bytes: {call}")]
    AnswerTooLarge {
        /// What was asked.
        call: Call,
        /// The setting.
        max_bytes: usize,
    },
}

impl Error {
    /// CouchDB's words, where it had some.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Unauthorized(refusal)
            | Self::Forbidden(refusal)
            | Self::Missing(refusal)
            | Self::Deleted(refusal)
            | Self::DatabaseMissing(refusal)
            | Self::ViewMissing(refusal)
            | Self::Conflict(refusal)
            | Self::TooLarge(refusal)
            | Self::Invalid(refusal)
            | Self::Unavailable(refusal)
            | Self::Unexpected(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The status of the answer, where there was one that was an error.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal()?.status
    }

    /// Whether re-reading and applying the change again may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the document or its database is not there. A missing view is not meant.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Deleted(_) | Self::DatabaseMissing(_))
    }

    /// Whether the same call may succeed a little later with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Transport(_) | Self::DeadlineExceeded(_))
    }

    /// Whether a read should be tried again at once: nobody answered, or somebody answered for a server
    /// that was not there.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Transport(_)) || matches!(self.status(), Some(502..=504))
    }

    pub(crate) fn transport(call: Call, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let why = causes(&error);
        Self::Transport(Box::new(TransportFailure { call, why, source: Some(error) }))
    }

    pub(crate) fn no_answer(call: Call, why: impl Into<String>) -> Self {
        Self::Transport(Box::new(TransportFailure { call, why: why.into(), source: None }))
    }

    pub(crate) fn unreadable(call: &Call, what: impl fmt::Display) -> Self {
        Self::Unreadable { call: call.clone(), what: what.to_string() }
    }

    /// The refusal that an answer with a status outside 2xx is.
    pub(crate) fn refused(call: Call, status: u16, body: &[u8]) -> Self {
        let words = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
        Self::of(Refusal {
            call,
            status: Some(status),
            error: text_of(words.get("error")),
            reason: text_of(words.get("reason")),
        })
    }

    /// The refusal of one document or row inside a successful answer, by CouchDB's word.
    pub(crate) fn refused_inside(call: &Call, error: Option<&Value>, reason: Option<&Value>) -> Self {
        let call = call.clone();
        Self::of(Refusal { call, status: None, error: text_of(error), reason: text_of(reason) })
            .about(About::Document)
    }

    fn of(refusal: Refusal) -> Self {
        let refusal = Box::new(refusal);
        let status = refusal.status.unwrap_or(match refusal.error.as_str() {
            "not_found" => 404,
            "conflict" => 409,
            "forbidden" => 403,
            "unauthorized" => 401,
            "too_large" | "document_too_large" | "attachment_too_large" => 413,
            "bad_request" | "doc_validation" | "illegal_docid" | "query_parse_error" => 400,
            _ => 500,
        });
        match status {
            // CouchDB says this with 400 when a design document is written, with 500 when it is used.
            _ if refusal.error == "compilation_error" => Self::Invalid(refusal),
            // A stub of an attachment that is not there: 412 by CouchDB, but repeating will not help.
            _ if refusal.error == "missing_stub" => Self::Invalid(refusal),
            400 | 406 | 415 | 416 | 417 | 422 => Self::Invalid(refusal),
            401 => Self::Unauthorized(refusal),
            403 => Self::Forbidden(refusal),
            404 if refusal.error == "not_found" => Self::Missing(refusal),
            409 | 412 => Self::Conflict(refusal),
            413 => Self::TooLarge(refusal),
            408 | 429 | 500..=599 => Self::Unavailable(refusal),
            _ => Self::Unexpected(refusal),
        }
    }

    /// Says of a 404 what it is that is not there.
    pub(crate) fn about(self, about: About) -> Self {
        let Self::Missing(refusal) = self else { return self };
        match (refusal.reason.as_str(), about) {
            ("Database does not exist." | "no_db_file", _) | (_, About::Database) => {
                Self::DatabaseMissing(refusal)
            }
            (_, About::View) => Self::ViewMissing(refusal),
            ("deleted", _) => Self::Deleted(refusal),
            _ => Self::Missing(refusal),
        }
    }
}

/// What a `404` would be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Database,
    Document,
    View,
}

/// An error and those that led to it in one line.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some repeat what is below them.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.chars().take(MAX_REASON).collect(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string().chars().take(MAX_REASON).collect(),
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // The text holds the whole chain of causes already, so that nothing is lost with the type.
        let cause = Cause::new(error.to_string());
        match error {
            Error::Transport(_) => Self::Transport(cause),
            Error::DeadlineExceeded(_) => Self::DeadlineExceeded(cause),
            Error::Unauthorized(_) => Self::Unauthorized(cause),
            Error::Forbidden(_) => Self::Forbidden(cause),
            Error::Missing(_) => Self::Missing(cause),
            Error::Deleted(_) => Self::Deleted(cause),
            Error::DatabaseMissing(_) => Self::DatabaseMissing(cause),
            Error::ViewMissing(_) => Self::ViewMissing(cause),
            Error::Conflict(_) => Self::Conflict(cause),
            Error::TooLarge(_) | Error::AnswerTooLarge { .. } => Self::TooLarge(cause),
            Error::Invalid(_) | Error::Name(_) | Error::Member(_) | Error::Setup(_) => Self::Invalid(cause),
            Error::Unavailable(_) => Self::Unavailable(cause),
            Error::Unexpected(_) | Error::Unreadable { .. } => Self::Corrupt(cause),
        }
    }
}
