//! Where a request's credentials stand. The first place that has any decides, good or bad.

use serde_json::Value;

use crate::incoming::Incoming;
use crate::parameters::Parameters;

/// Credentials as a client presents them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    /// A token.
    Token(String),
    /// `Basic`, and what follows.
    Basic(String),
    /// `Bearer`, and what follows.
    Bearer(String),
    /// An `Authorization` of another scheme.
    Unknown(String),
}

impl Presented {
    /// The token, where it is one.
    pub(crate) fn into_token(self) -> Option<String> {
        match self {
            Self::Token(token) => Some(token),
            _ => None,
        }
    }

    /// What the answer's envelope repeats.
    pub(crate) fn echo(&self) -> &str {
        match self {
            Self::Token(text) | Self::Basic(text) | Self::Bearer(text) | Self::Unknown(text) => text,
        }
    }
}

/// Finds a request's credentials.
pub(crate) fn find(incoming: &Incoming, parameters: Parameters<'_>) -> Option<Presented> {
    // A header that is there counts even where it is empty or no text.
    let header = |name: &str| {
        incoming.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let parameter = |name: &str| parameters.value(name).map(text_of);
    if let Some(token) = header("x-auth-token").or_else(|| parameter("auth_token")) {
        return Some(Presented::Token(token));
    }
    let authorization = header("authorization").or_else(|| parameter("authorization"))?;
    let scheme = |prefix: &str| authorization.strip_prefix(prefix).map(str::to_owned);
    Some(if let Some(rest) = scheme("Basic ") {
        Presented::Basic(rest)
    } else if let Some(rest) = scheme("Bearer ") {
        Presented::Bearer(rest)
    } else {
        Presented::Unknown(authorization)
    })
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
