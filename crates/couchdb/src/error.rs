//! The error of every call: what was asked, what CouchDB answered, and the error below it.
//!
//! It never invents a status. Without an answer there is none. A 404 page of a proxy does not count as a
//! missing document, because CouchDB did not write it.

use std::error::Error as StdError;
use std::fmt;

use reqwest::Method;
use serde_json::{Map, Value};

/// The longest text kept of CouchDB's `error` and `reason`, in characters.
const MAX_WORDS: usize = 300;

/// The method and the address of a request. The address has no user, no password and no query: a view's
/// key may be a secret.
///
/// ```
/// let call = couchdb::Call { method: "GET".parse()?, url: "http://127.0.0.1:5984/db/id".to_owned() };
/// assert_eq!(call.to_string(), "GET http://127.0.0.1:5984/db/id");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// An error answer of CouchDB, in its own words.
///
/// ```
/// fn is_validation_failure(error: &couchdb::Error) -> bool {
///     error.refusal().is_some_and(|refusal| refusal.status == Some(403) && refusal.error == "forbidden")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The request.
    pub call: Call,
    /// The status of the answer. It is `None` for an error inside a successful answer, as for one document
    /// of a bulk write or one row of a view.
    pub status: Option<u16>,
    /// CouchDB's `error` (`not_found`, `conflict`). It is empty if CouchDB did not write the answer.
    pub error: String,
    /// CouchDB's `reason`.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.call)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if self.error.is_empty() {
            return f.write_str(" (CouchDB did not write this answer)");
        }
        write!(f, " {}: {}", self.error, self.reason)
    }
}

/// Why a call failed.
///
/// ```no_run
/// # async fn example(
/// #     client: couchdb::Client, db: datastore::DbName, id: datastore::DocId, by: datastore::Deadline,
/// # ) -> Result<(), couchdb::Error> {
/// match client.fetch(&db, &id, by).await {
///     Ok(doc) => println!("{}", doc.text()),
///     Err(error) if error.is_not_found() => println!("no such document"),
///     Err(error) if error.is_retryable() => println!("try again later: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client could not be created, because TLS cannot be set up.
    #[error("the CouchDB client cannot be created: {}", causes(.0))]
    Setup(#[source] reqwest::Error),
    /// No answer came, or the answer broke off. It is unknown whether a write was done.
    #[error("no answer: {call}: {reason}")]
    Transport {
        /// The request.
        call: Call,
        /// All causes in one line: `client error (Connect): tcp connect error: Connection refused (os error 111)`.
        reason: String,
        /// Whether the server may have got the request. It has not if there was no connection.
        was_sent: bool,
        /// The error below. It is `None` if the server was silent for too long.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The caller's deadline passed first.
    #[error("no answer before the deadline: {0}")]
    DeadlineExceeded(Call),
    /// 401: the user or the password is wrong, or the request needs an administrator.
    #[error("not authorised: {0}")]
    Unauthorized(Box<Refusal>),
    /// 403: this user may not do this.
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
    /// The design document or its view does not exist.
    #[error("view missing: {0}")]
    ViewMissing(Box<Refusal>),
    /// 409: the write was not based on the newest revision. 412: the thing to be created exists already.
    #[error("conflict: {0}")]
    Conflict(Box<Refusal>),
    /// 413: CouchDB does not accept a document or request of this size.
    #[error("too large: {0}")]
    TooLarge(Box<Refusal>),
    /// CouchDB does not understand the request (400), or a map function does not compile.
    #[error("invalid: {0}")]
    Invalid(Box<Refusal>),
    /// 408, 429, 5xx: CouchDB cannot serve the request now. 403: it has locked the user for a few minutes.
    #[error("unavailable: {0}")]
    Unavailable(Box<Refusal>),
    /// CouchDB does not give this status for this request, or something else answered in its place.
    #[error("unexpected answer: {0}")]
    Unexpected(Box<Refusal>),
    /// The answer is not what CouchDB writes, or it ends too early.
    #[error("unreadable answer: {call}: {source}")]
    Unreadable {
        /// The request.
        call: Call,
        /// What is wrong with the answer.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer, or one row of it, is larger than the client's settings allow.
    #[error("the answer is larger than {max_bytes} bytes: {call}")]
    AnswerTooLarge {
        /// The request.
        call: Call,
        /// The setting.
        max_bytes: usize,
    },
    /// The caller has no room for the answer now.
    #[error("no room for the answer: {call}")]
    NoRoom {
        /// The request.
        call: Call,
        /// What the caller's [`Meter`](datastore::Meter) says.
        source: datastore::StoreError,
    },
    /// The name cannot be part of a path: the path would mean something else. Nothing was sent.
    #[error("{0:?} cannot be used as a name in a path")]
    UnusableName(String),
    /// The draft has a member that begins with `_`. Only CouchDB may set it. Nothing was sent.
    #[error("only CouchDB may set the member {0:?} of a document")]
    ReservedMember(String),
}

impl Error {
    /// The request that failed, if one was sent.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Transport { call, .. }
            | Self::DeadlineExceeded(call)
            | Self::Unreadable { call, .. }
            | Self::AnswerTooLarge { call, .. }
            | Self::NoRoom { call, .. } => Some(call),
            _ => self.refusal().map(|refusal| &refusal.call),
        }
    }

    /// CouchDB's error answer, if there was one.
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

    /// The status of the error answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal()?.status
    }

    /// Whether it may help to read the document again and repeat the change.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the document or its database does not exist. A missing view does not count.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Deleted(_) | Self::DatabaseMissing(_))
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Transport { .. } | Self::DeadlineExceeded(_) | Self::NoRoom { .. }
        )
    }

    /// Whether a read should be tried again at once. That is so if no answer came, if a proxy answered for a
    /// CouchDB that it could not reach, or if another node went down meanwhile.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        // A view may also answer 500, with Erlang's words as the reason: `{nodedown,<<"progress not possible">>}`.
        let lost_a_node = self.refusal().is_some_and(|refusal| {
            refusal.status.is_some() && (refusal.error == "nodedown" || refusal.reason.contains("nodedown"))
        });
        lost_a_node || matches!(self, Self::Transport { .. }) || matches!(self.status(), Some(502..=504))
    }

    /// Whether the server has certainly not got the request, since there was no connection.
    pub(crate) fn was_not_sent(&self) -> bool {
        matches!(self, Self::Transport { was_sent: false, .. })
    }

    /// Whether a write may have been done although it failed. A connection that was never opened carried nothing.
    pub(crate) fn leaves_the_outcome_open(&self) -> bool {
        match self {
            Self::Transport { .. } => !self.was_not_sent(),
            Self::DeadlineExceeded(_)
            | Self::Unreadable { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NoRoom { .. } => true,
            Self::Unavailable(refusal) => !matches!(refusal.status, Some(403 | 429)),
            _ => false,
        }
    }

    /// The same failure for another write that was in the same request. Its outcome must be open.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::Unavailable(refusal) => Self::Unavailable(refusal.clone()),
            Self::DeadlineExceeded(call) => Self::DeadlineExceeded(call.clone()),
            _ => {
                let call = self.call().cloned();
                let call = call.unwrap_or_else(|| Call { method: Method::POST, url: String::new() });
                Self::no_answer(call, self.to_string())
            }
        }
    }

    pub(crate) fn transport(call: Call, error: reqwest::Error) -> Self {
        let was_sent = !error.is_connect();
        Self::broken(call, was_sent, error.without_url())
    }

    /// The error for a connection that could not be opened, or broke off.
    pub(crate) fn broken(
        call: Call,
        was_sent: bool,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let error = error.into();
        Self::Transport { call, reason: causes(&*error), was_sent, source: Some(error) }
    }

    pub(crate) fn no_answer(call: Call, reason: impl Into<String>) -> Self {
        Self::Transport { call, reason: reason.into(), was_sent: true, source: None }
    }

    pub(crate) fn unreadable(call: &Call, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unreadable { call: call.clone(), source: source.into() }
    }

    /// The error for an answer whose status is not 2xx.
    pub(crate) fn refused(call: Call, target: Target, status: u16, body: &[u8]) -> Self {
        let words = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
        let (error, reason) = (words_of(words.get("error")), words_of(words.get("reason")));
        Self::from_refusal(Refusal { call, status: Some(status), error, reason }, target)
    }

    /// The error for one document or row inside a successful answer.
    pub(crate) fn refused_inside(call: &Call, error: Option<&Value>, reason: Option<&Value>) -> Self {
        let (error, reason) = (words_of(error), words_of(reason));
        Self::from_refusal(Refusal { call: call.clone(), status: None, error, reason }, Target::Document)
    }

    fn from_refusal(refusal: Refusal, target: Target) -> Self {
        let variant: Variant = match (refusal.status, refusal.error.as_str()) {
            // CouchDB answers 400 if such a design document is saved, and 500 if its view is asked.
            (_, "compilation_error" | "invalid_design_doc") => Self::Invalid,
            // The draft lists an attachment that the document does not have. CouchDB answers 412, but this is
            // no conflict: repeating the change does not help.
            (_, "missing_stub") => Self::Invalid,
            // A node went down amid the request, or is in maintenance. CouchDB answers 412, but this is no conflict
            // either: nobody knows whether a write was done.
            (_, "nodedown") => Self::Unavailable,
            // Somebody has tried wrong passwords of this user. Right ones are refused too, for a few minutes.
            (Some(403), _) if refusal.reason.contains("temporarily locked") => Self::Unavailable,
            (Some(404), "not_found") | (None, "not_found") => target.missing(&refusal.reason),
            (Some(status), _) => by_status(status),
            (None, error) => by_error(error),
        };
        variant(Box::new(refusal))
    }
}

/// Makes the error of one meaning.
type Variant = fn(Box<Refusal>) -> Error;

fn by_status(status: u16) -> Variant {
    match status {
        400 | 406 | 415 | 416 | 417 | 422 => Error::Invalid,
        401 => Error::Unauthorized,
        403 => Error::Forbidden,
        409 | 412 => Error::Conflict,
        413 => Error::TooLarge,
        408 | 429 | 500..=599 => Error::Unavailable,
        _ => Error::Unexpected,
    }
}

/// For errors inside a successful answer, which have no status.
fn by_error(error: &str) -> Variant {
    match error {
        "bad_request" | "doc_validation" | "illegal_docid" | "query_parse_error" => Error::Invalid,
        "unauthorized" => Error::Unauthorized,
        "forbidden" => Error::Forbidden,
        "conflict" => Error::Conflict,
        "too_large" | "document_too_large" | "attachment_too_large" => Error::TooLarge,
        _ => Error::Unavailable,
    }
}

/// What a request asks for. It decides what a 404 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Database,
    Document,
    View,
}

impl Target {
    fn missing(self, reason: &str) -> Variant {
        match (self, reason) {
            (_, "Database does not exist." | "no_db_file") | (Self::Database, _) => Error::DatabaseMissing,
            (Self::View, _) => Error::ViewMissing,
            (Self::Document, "deleted") => Error::Deleted,
            (Self::Document, _) => Error::Missing,
        }
    }
}

/// An error and all errors below it, in one line.
fn causes(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors repeat the text of the error below them.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

fn words_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.chars().take(MAX_WORDS).collect(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string().chars().take(MAX_WORDS).collect(),
    }
}
