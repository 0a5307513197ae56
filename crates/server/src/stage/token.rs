//! Where a request's credentials stand. The first place that has any decides, good or bad.

use serde_json::Value;

use crate::incoming::Incoming;
use crate::parameters::Parameters;

/// Credentials as a client presents them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    /// A token.
    Token(String),
    /// Something that is no text in the place of a token.
    NoToken(Value),
    /// `Basic`, and what follows.
    Basic(String),
    /// `Bearer`, and what follows.
    Bearer(String),
    /// An `Authorization` of another scheme, or that is no text.
    Unknown(Value),
}

impl Presented {
    /// The token, where it is one.
    pub(crate) fn into_token(self) -> Option<String> {
        match self {
            Self::Token(token) => Some(token),
            _ => None,
        }
    }

    /// What the answer's envelope repeats; a null is not repeated, nor what is no text and large.
    pub(crate) fn echo(&self) -> Option<Value> {
        match self {
            Self::Token(text) | Self::Basic(text) | Self::Bearer(text) => Some(Value::from(text.as_str())),
            Self::NoToken(value) | Self::Unknown(value) => {
                Some(value).filter(|value| !value.is_null() && is_short(value)).cloned()
            }
        }
    }
}

/// The longest thing that is repeated though it is no text, in bytes.
const MAX_ODD_ECHO: usize = 1_024;

fn is_short(value: &Value) -> bool {
    value.is_string() || value.to_string().len() <= MAX_ODD_ECHO
}

/// Finds a request's credentials.
pub(crate) fn find(incoming: &Incoming, parameters: Parameters<'_>) -> Option<Presented> {
    // A header that is there counts even where it is empty or no text.
    let header = |name: &str| {
        incoming.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let first =
        |in_header: &str, name: &str| header(in_header).map(Value::from).or_else(|| parameters.value(name));
    if let Some(token) = first("x-auth-token", "auth_token") {
        return Some(match token {
            Value::String(token) => Presented::Token(token),
            other => Presented::NoToken(other),
        });
    }
    let authorization = first("authorization", "authorization")?;
    let scheme = |prefix: &str| Some(authorization.as_str()?.strip_prefix(prefix)?.to_owned());
    Some(if let Some(rest) = scheme("Basic ") {
        Presented::Basic(rest)
    } else if let Some(rest) = scheme("Bearer ") {
        Presented::Bearer(rest)
    } else {
        Presented::Unknown(authorization)
    })
}
