//! The error catalogue: every reason to refuse a request, and one table with the status, `message` and
//! `data` of each. Nothing else builds the body of an error.

use actix_web::http::header::{self, HeaderName};
use auth::Barred;
use datastore::StoreError;
use serde_json::{Map, Value, json};
use validation::{MAX_ECHO, Violations, shortened};

use crate::budget::NoRoom;
use crate::lane::LaneFull;
use crate::request::api_version::ApiVersion;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A refusal without a body.
    Bare(Bare),
    /// The request or its data breaks rules. All of them are named.
    Validation(Violations),
    /// The trial of the token's account expired at this time, in gregorian seconds.
    AccountExpired { cause: i64 },
    /// The account is disabled, so nobody can log in to it.
    AccountDisabled,
    /// Version 1 of the API was asked for.
    Gone,
    /// The token has expired, or `/account` was asked for without a token.
    TokenExpired,
    /// There is no token, or the token is bad.
    NotAuthenticated,
    /// The account requires a second factor for logins.
    SecondFactor,
    /// The client's bucket of failed requests is empty.
    TooManyRequests,
    /// The token's account has no rights over this account.
    Forbidden,
    /// The account's token restrictions forbid this.
    Restricted,
    /// Nothing has this path.
    UnknownPath,
    /// The resource does not have this verb.
    InvalidMethod,
    /// The account id has the wrong length.
    InvalidAccountId(String),
    /// The path has no account id.
    MissingAccountId,
    /// Nothing has this id.
    BadIdentifier(String),
    /// No account has this key.
    UnknownApiKey(String),
    /// A parameter of a listing is senseless.
    Faulty(&'static str),
    /// Another request has changed the document, or the id is taken.
    Conflict,
    /// The store failed in a request about groups.
    Store(StoreError),
    /// The store failed while it was asked about the account, the user, or the token.
    StoreWhileIdentifying(StoreError),
    /// The server has no memory or threads left for the request now.
    Busy,
    /// The store has become one of another release of Kazoo, so nothing may be written to it.
    OtherRelease,
    /// A storage plan of Kazoo's puts the account on another server than the store.
    StoredElsewhere,
}

/// A refusal without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// The client already has this content.
    NotModified,
    /// The path has a bad escape.
    BadPath,
    /// `If-Match` or `If-None-Match` cannot be read.
    BadPrecondition,
    /// `Accept` cannot be read.
    BadAccept,
    /// A superuser asked for a path that does not exist.
    NoSuchPath,
    /// A preflight was tunnelled through POST.
    TunnelledPreflight,
    /// The client accepts no type that is served.
    NotAcceptable,
    /// The body did not arrive in time.
    BodyTimeout,
    /// A precondition failed.
    PreconditionFailed,
    /// Bodies of this type are not accepted.
    UnsupportedMediaType,
    /// The method is unknown.
    UnknownMethod,
}

impl Bare {
    /// The status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::NotModified => 304,
            Self::BadPath | Self::BadPrecondition | Self::BadAccept => 400,
            Self::NoSuchPath => 404,
            Self::TunnelledPreflight => 405,
            Self::NotAcceptable => 406,
            Self::BodyTimeout => 408,
            Self::PreconditionFailed => 412,
            Self::UnsupportedMediaType => 415,
            Self::UnknownMethod => 501,
        }
    }

    /// Whether the answer has no headers, not even the request's id. cowboy gives these answers itself.
    pub(crate) fn is_without_headers(self) -> bool {
        matches!(self, Self::BadPath | Self::BadPrecondition)
    }
}

/// What a refusal with a body says: its row of the catalogue.
#[derive(Debug, PartialEq)]
pub(crate) struct RefusalText {
    /// The status. The body repeats it as text in `error`.
    pub(crate) status: u16,
    /// `message`.
    pub(crate) message: &'static str,
    /// `data`.
    pub(crate) data: Value,
}

impl Refusal {
    /// A part of the request cannot be read. `part` names the part, and `message` says what is wrong.
    pub(crate) fn malformed(part: &str, message: &str, target: Option<&str>) -> Self {
        let target = target.unwrap_or(part);
        Self::Validation(Violations::one(
            part,
            "invalid",
            [("message", json!(message)), ("target", json!(target))],
        ))
    }

    /// How many bytes of what the client sent the refusal repeats.
    pub(crate) fn echoed_bytes(&self) -> usize {
        match self {
            Self::Validation(violations) => violations.echoed_bytes(),
            Self::InvalidAccountId(text) | Self::BadIdentifier(text) | Self::UnknownApiKey(text) => {
                text.len()
            }
            _ => 0,
        }
    }

    /// The headers that this refusal has in addition to those of every answer.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Self::Bare(Bare::TunnelledPreflight) => vec![(header::ALLOW, "OPTIONS".to_owned())],
            Self::Busy => vec![(header::RETRY_AFTER, "1".to_owned())],
            Self::Store(error) | Self::StoreWhileIdentifying(error) if error.is_busy() => {
                vec![(header::RETRY_AFTER, "1".to_owned())]
            }
            _ => Vec::new(),
        }
    }

    /// The text as a version of the API has it, or the refusal without a body.
    pub(crate) fn text(&self, api: ApiVersion) -> Result<RefusalText, Bare> {
        let mut refusal = self.text_of_v2()?;
        // Version 1 has the text alone where version 2 has an object around it. The violations of a member that is
        // called `message` are an object.
        if api == ApiVersion::V1
            && let Some(text @ Value::String(_)) = refusal.data.get_mut("message")
        {
            refusal.data = text.take();
        }
        Ok(refusal)
    }

    fn text_of_v2(&self) -> Result<RefusalText, Bare> {
        let row = |status, message, data| Ok(RefusalText { status, message, data });
        // crossbar has two styles: a name in `message` and a text in `data`, or a text in `message` and no
        // data. Clients know both.
        let named = |status, name, text: &str| row(status, name, json!({ "message": text }));
        match self {
            Self::Bare(bare) => Err(*bare),
            Self::Validation(violations) => row(400, "validation error", violations.to_value()),
            Self::AccountExpired { cause } => {
                let detail = json!({"message": "account expired", "cause": cause});
                row(400, "validation error", json!({"account": {"expired": detail}}))
            }
            Self::AccountDisabled => row(
                400,
                "validation error",
                json!({"account": {"disabled": {"message": "account disabled"}}}),
            ),
            Self::Gone => {
                let text = "API version 1 is not supported. Please upgrade your code to use version 2.";
                row(410, "gone", json!(text))
            }
            Self::TokenExpired => row(401, "invalid credentials", nothing()),
            Self::NotAuthenticated => named(401, "invalid_credentials", "invalid credentials"),
            Self::SecondFactor => named(
                401,
                "invalid_credentials",
                "this account needs a second factor: log in through Kazoo's crossbar",
            ),
            Self::TooManyRequests => named(429, "too_many_requests", "too many requests"),
            Self::Forbidden => named(403, "forbidden", "forbidden"),
            Self::Restricted => row(
                403,
                "forbidden",
                json!({"cause": "access denied by token restrictions", "message": "forbidden"}),
            ),
            Self::UnknownPath => named(404, "not_found", "not found"),
            Self::InvalidMethod => named(405, "invalid_method", "method not allowed"),
            Self::InvalidAccountId(id) => {
                let id = shortened(id.clone());
                named(404, "bad identifier", &format!("invalid account_id '{id}'"))
            }
            Self::MissingAccountId => named(404, "bad identifier", "missing account_id"),
            Self::BadIdentifier(id) if id.len() > MAX_ECHO => named(404, "bad_identifier", "bad identifier"),
            Self::BadIdentifier(id) => {
                row(404, "bad_identifier", json!({"cause": id, "message": "bad identifier"}))
            }
            Self::UnknownApiKey(key) => row(404, "bad identifier", json!([key])),
            Self::Faulty(text) => named(404, "faulty_request", text),
            Self::Conflict => named(409, "datastore_conflict", "conflicting documents"),
            Self::Store(error) | Self::StoreWhileIdentifying(error) if error.is_busy() => {
                named(503, "datastore_busy", "too many requests are in progress: try again in a second")
            }
            Self::Store(StoreError::CannotWrite(_)) => {
                let text = "the datastore cannot write now: its disk may be full";
                named(503, "datastore_unreachable", text)
            }
            Self::Store(StoreError::Unavailable(_)) => {
                named(503, "datastore_unreachable", "the datastore cannot do this now: try again later")
            }
            Self::Store(error) if error.is_retryable() => {
                named(503, "datastore_unreachable", "datastore timeout")
            }
            Self::Store(error) => {
                row(500, "datastore_fault", json!({"cause": fault_word(error), "message": "unknown failure"}))
            }
            Self::StoreWhileIdentifying(_) => row(503, "datastore fatal error", nothing()),
            Self::Busy => named(503, "too_busy", "the server is busy: try again in a second"),
            Self::StoredElsewhere => named(
                503,
                "stored_elsewhere",
                "Kazoo keeps this account on another server, so only crossbar serves it",
            ),
            Self::OtherRelease => named(
                503,
                "release_changed",
                "Kazoo was upgraded or downgraded, so this server writes nothing until it is restarted",
            ),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Barred> for Refusal {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::AccountDisabled => Self::AccountDisabled,
            // crossbar answers a login through a disabled module like an expired token.
            Barred::ModuleDisabled => Self::TokenExpired,
            Barred::SecondFactor => Self::SecondFactor,
            Barred::TooManyGuesses => Self::TooManyRequests,
        }
    }
}

impl From<NoRoom> for Refusal {
    fn from(_: NoRoom) -> Self {
        Self::Busy
    }
}

impl From<LaneFull> for Refusal {
    fn from(_: LaneFull) -> Self {
        Self::Busy
    }
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

/// The one word about a store's failure that clients see.
fn fault_word(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unauthorized(_) => "unauthorized",
        StoreError::Forbidden(_) => "forbidden",
        StoreError::TooLarge(_) => "too_large",
        StoreError::ViewMissing(_) => "view_missing",
        StoreError::DatabaseMissing(_) => "db_not_found",
        StoreError::Corrupt(_) => "unreadable",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiVersion, Bare, Refusal, header};
    use datastore::{Cause, StoreError};
    use serde_json::{Value, json};
    use validation::Violations;

    #[test]
    fn version_1_has_bare_texts_and_the_same_violations() {
        let data = |refusal: Refusal| refusal.text(ApiVersion::V1).unwrap().data;
        for (refusal, text) in [
            (Refusal::InvalidMethod, "method not allowed"),
            (Refusal::BadIdentifier("g".to_owned()), "bad identifier"),
            (Refusal::Restricted, "forbidden"),
            (Refusal::Store(StoreError::Corrupt(Cause::new("x"))), "unknown failure"),
        ] {
            assert_eq!(data(refusal), Value::from(text));
        }
        let violations = Violations::wrong_type("message", "string", json!(1));
        assert_eq!(data(Refusal::Validation(violations.clone())), violations.to_value());
        assert_eq!(data(Refusal::TokenExpired), json!({}));
    }

    #[test]
    fn a_busy_store_says_when_to_come_back() {
        for refusal in [Refusal::Store, Refusal::StoreWhileIdentifying] {
            let refusal = refusal(StoreError::Busy(Cause::new("x")));
            assert_eq!(refusal.headers(), [(header::RETRY_AFTER, "1".to_owned())]);
            let text = refusal.text(ApiVersion::V2).unwrap();
            assert_eq!((text.status, text.message), (503, "datastore_busy"));
        }
        let refusal = Refusal::Store(StoreError::Unavailable(Cause::new("x")));
        assert!(refusal.headers().is_empty());
        assert_eq!(refusal.text(ApiVersion::V2).unwrap().message, "datastore_unreachable");
    }

    #[test]
    fn only_a_store_that_does_not_answer_in_time_is_called_a_timeout() {
        for (error, words) in [
            (StoreError::DeadlineExceeded(Cause::new("x")), "datastore timeout"),
            (StoreError::Transport(Cause::new("x")), "datastore timeout"),
            (StoreError::Unavailable(Cause::new("x")), "cannot do this now"),
            (StoreError::CannotWrite(Cause::new("x")), "cannot write now"),
        ] {
            let text = Refusal::Store(error).text(ApiVersion::V2).unwrap();
            assert_eq!((text.status, text.message), (503, "datastore_unreachable"));
            assert!(text.data["message"].as_str().unwrap().contains(words), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_can_have_its_own_headers() {
        let refused = Refusal::Bare(Bare::TunnelledPreflight);
        assert_eq!(refused.headers(), [(header::ALLOW, "OPTIONS".to_owned())]);
        assert_eq!(Refusal::Busy.headers(), [(header::RETRY_AFTER, "1".to_owned())]);
        assert!(Refusal::Forbidden.headers().is_empty());
    }
}
