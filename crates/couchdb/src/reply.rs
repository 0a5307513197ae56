//! The answer to one request: its status, then its body, whole or in chunks. Every wait has a limit, and
//! every failure becomes the crate's [`Error`].

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datastore::{Deadline, Document, Meter, SMALL};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use crate::error::{Call, Error, Target};
use crate::large::{LARGE, LargeOfDb, LargeTurn};
use crate::plain::Answer;

/// The largest body of an error answer that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How long to wait for the body of an error answer.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(1);

/// Settings may hold any duration, but a point in time has a limit.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long to wait for the server. It also decides the error after that time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimeLimit {
    /// Wait until the caller's deadline. Then the error is `DeadlineExceeded`.
    Deadline(Deadline),
    /// Wait this long. Then the server counts as gone, and the error is `Transport`.
    Silence(Duration),
}

impl TimeLimit {
    /// The deadline `wait` from now.
    pub(crate) fn deadline_after(wait: Duration) -> Self {
        Self::Deadline(Deadline::after(wait.min(LONGEST_WAIT)))
    }

    /// Runs `work` and stops it when the time is over.
    pub(crate) async fn apply<T>(
        self,
        call: &Call,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let until = match self {
            Self::Deadline(deadline) => deadline.instant(),
            Self::Silence(silence) => Instant::now() + silence.min(LONGEST_WAIT),
        };
        match timeout_at(until.into(), work).await {
            Ok(done) => done,
            Err(_) => Err(match self {
                Self::Deadline(_) => Error::DeadlineExceeded(call.clone()),
                Self::Silence(silence) => {
                    Error::no_answer(call.clone(), format!("silent for {} ms", silence.as_millis()))
                }
            }),
        }
    }
}

/// An answer from either HTTP library.
#[derive(Debug)]
pub(crate) enum Response {
    /// Over plain HTTP.
    Plain(Answer),
    /// Over any connection.
    Full(reqwest::Response),
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Plain(answer) => answer.status(),
            Self::Full(response) => response.status(),
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Plain(answer) => answer.headers(),
            Self::Full(response) => response.headers(),
        }
    }

    /// The length of the body that has not been read, if it is known.
    fn content_length(&self) -> Option<u64> {
        match self {
            Self::Plain(answer) => answer.content_length(),
            Self::Full(response) => response.content_length(),
        }
    }

    async fn chunk(&mut self, call: &Call) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Plain(answer) => {
                answer.chunk().await.map_err(|error| Error::broken(call.clone(), true, error))
            }
            Self::Full(response) => {
                response.chunk().await.map_err(|error| Error::transport(call.clone(), error))
            }
        }
    }
}

/// A successful answer. Its body has not been read yet.
#[derive(Debug)]
pub(crate) struct Reply {
    call: Call,
    response: Response,
    large: LargeOfDb,
}

impl Reply {
    /// The answer to a call.
    pub(crate) fn new(call: Call, response: Response, large: LargeOfDb) -> Self {
        Self { call, response, large }
    }

    /// Accepts a successful answer. Any other answer becomes an error with CouchDB's words. If the words do
    /// not arrive soon, the error has only the status.
    pub(crate) async fn accepted(self, target: Target, deadline: Option<Deadline>) -> Result<Self, Error> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(self);
        }
        let call = self.call.clone();
        let soon = Deadline::after(ERROR_BODY_WAIT);
        let soon = deadline.map_or(soon, |deadline| deadline.min(soon));
        let words = self.whole(soon, MAX_ERROR_BODY).await.map(Body::into_bytes).unwrap_or_default();
        Err(Error::refused(call, target, status.as_u16(), &words))
    }

    /// The request.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// What the server's clock said, in the form of HTTP.
    pub(crate) fn date(&self) -> Option<String> {
        Some(self.response.headers().get(DATE)?.to_str().ok()?.to_owned())
    }

    /// The whole body.
    pub(crate) async fn whole(mut self, deadline: Deadline, max_bytes: usize) -> Result<Body, Error> {
        let limit = TimeLimit::Deadline(deadline);
        // After the first chunk, this is only the rest.
        let announced = self.response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        let announced = announced.unwrap_or(0).min(max_bytes);
        // Most bodies are one chunk, which needs no copy.
        let first = self.next_chunk(limit).await?.unwrap_or_default();
        let mut joined = Vec::new();
        let mut length = first.len();
        let mut turn = None;
        let mut held = SMALL;
        while length <= max_bytes {
            // Without a length, the room grows with what has come.
            if length.max(announced) > held {
                held = announced.max(length.saturating_mul(2).min(max_bytes));
                self.hold(held, limit).await?;
            }
            if length > LARGE && turn.is_none() {
                turn = Some(self.large_turn(limit).await?);
            }
            let Some(chunk) = self.next_chunk(limit).await? else {
                let bytes = if joined.is_empty() { first } else { joined.into() };
                return Ok(Body { call: self.call, bytes, _turn: turn });
            };
            if joined.is_empty() {
                joined.reserve(announced.max(first.len().saturating_add(chunk.len())));
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&chunk);
            length = joined.len();
        }
        Err(Error::AnswerTooLarge { call: self.call, max_bytes })
    }

    /// Waits until the caller has room for so many bytes of the answer. Meanwhile the server waits too.
    pub(crate) async fn hold(&self, bytes: usize, limit: TimeLimit) -> Result<(), Error> {
        let call = &self.call;
        let room = async {
            let held = Meter::current().hold(bytes).await;
            held.map_err(|source| Error::NoRoom { call: call.clone(), source })
        };
        limit.apply(call, room).await
    }

    /// Waits for the turn to read a large body or row. A feed waits as long as it takes: the server is not
    /// silent, and the turns of others end at their limits.
    pub(crate) async fn large_turn(&self, limit: TimeLimit) -> Result<LargeTurn, Error> {
        let turn = self.large.turn();
        match limit {
            TimeLimit::Silence(_) => Ok(turn.await),
            TimeLimit::Deadline(_) => limit.apply(&self.call, async { Ok(turn.await) }).await,
        }
    }

    /// The next part of the body, or `None` at its end.
    pub(crate) async fn next_chunk(&mut self, limit: TimeLimit) -> Result<Option<Bytes>, Error> {
        let call = &self.call;
        limit.apply(call, self.response.chunk(call)).await
    }
}

/// A whole body.
#[derive(Debug)]
pub(crate) struct Body {
    call: Call,
    bytes: Bytes,
    /// A large body keeps its turn until it has been parsed.
    _turn: Option<LargeTurn>,
}

impl Body {
    /// The request.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| Error::unreadable(&self.call, error))
    }

    /// The body as one document. A large one is parsed on a thread for such work.
    pub(crate) async fn into_document(self) -> Result<Document, Error> {
        if self.bytes.len() <= SMALL {
            return self.document();
        }
        off_the_loop(move || self.document()).await
    }

    fn document(&self) -> Result<Document, Error> {
        let text = std::str::from_utf8(&self.bytes).map_err(|error| Error::unreadable(&self.call, error))?;
        Document::from_text(text.trim_end()).map_err(|error| Error::unreadable(&self.call, error))
    }
}

/// Does work on a thread that may be kept busy.
pub(crate) async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panicked) => std::panic::resume_unwind(panicked),
            // The runtime ends, and its tasks with it.
            Err(_) => std::future::pending().await,
        },
    }
}
