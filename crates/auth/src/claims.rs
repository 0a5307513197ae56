//! What a token claims, once it has been read; believing it is another matter.

use serde_json::{Map, Value};

use crate::error::AuthError;

/// The payload of a token.
#[derive(Clone, Debug)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Expiry {
    Never,
    /// In seconds since 1970.
    At(f64),
}

impl Claims {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// When the token ends. What is there and no number makes no sense.
    pub(crate) fn expiry(&self) -> Result<Expiry, AuthError> {
        match self.0.get("exp") {
            None => Ok(Expiry::Never),
            Some(Value::Number(number)) => match number.as_f64() {
                Some(seconds) => Ok(Expiry::At(seconds)),
                None => Err(AuthError::Invalid("exp is out of range")),
            },
            Some(_) => Err(AuthError::Invalid("exp is no number")),
        }
    }

    /// The document that vouches for the token: the device, else the user, else the account.
    pub(crate) fn identity(&self) -> Option<&str> {
        ["device_id", "owner_id", "account_id"].into_iter().find_map(|name| self.text(name))
    }

    /// The account and user that the token wants to be taken for; both or nothing.
    pub(crate) fn masquerade(&self) -> Option<(&str, &str)> {
        let wanted = self.0.get("as")?;
        Some((wanted.get("account_id")?.as_str()?, wanted.get("owner_id")?.as_str()?))
    }
}

impl Expiry {
    /// Whether the token still counts, without any leeway.
    pub(crate) fn is_over(self, unix_seconds: f64) -> bool {
        match self {
            Self::Never => false,
            Self::At(end) => end - unix_seconds <= 0.0,
        }
    }
}
