//! The claims of a token. This file only reads them; the signature is checked elsewhere.

use std::time::Duration;

use kazoo::Time;
use serde_json::{Map, Value};

use crate::error::AuthError;

/// The payload of a token. It holds the identity's signature, so it cannot be printed.
#[derive(Clone)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

/// When a token expires.
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

    /// When the token expires. A token is invalid if its `exp` is not a number.
    pub(crate) fn expiry(&self) -> Result<Expiry, AuthError> {
        match self.0.get("exp") {
            None => Ok(Expiry::Never),
            Some(Value::Number(number)) => match number.as_f64() {
                Some(seconds) => Ok(Expiry::At(seconds)),
                None => Err(AuthError::Invalid("exp is out of range")),
            },
            Some(_) => Err(AuthError::Invalid("exp is not a number")),
        }
    }

    /// The id of the identity that signed the token: the device, else the user, else the account.
    pub(crate) fn identity(&self) -> Option<&str> {
        ["device_id", "owner_id", "account_id"].into_iter().find_map(|name| self.text(name))
    }

    /// The account and the user that the token acts for, from the claim `as`. `None` unless the claim has
    /// both. Clients choose this claim when they log in, so it can hold any value. An id that is not a text
    /// is refused.
    pub(crate) fn masquerade(&self) -> Result<Option<(&str, &str)>, AuthError> {
        let member = |name| self.0.get("as").and_then(|wanted| wanted.get(name));
        let (Some(account_id), Some(owner_id)) = (member("account_id"), member("owner_id")) else {
            return Ok(None);
        };
        match (account_id.as_str(), owner_id.as_str()) {
            (Some(account_id), Some(owner_id)) => Ok(Some((account_id, owner_id))),
            _ => Err(AuthError::Invalid("the ids in the claim `as` are not texts")),
        }
    }
}

impl Expiry {
    /// Whether the token has expired. Like Kazoo, this compares with the current whole second, without
    /// leeway.
    pub(crate) fn is_over(self, now: Time) -> bool {
        let now = Duration::from_secs(u64::try_from(now.unix_seconds()).unwrap_or_default()).as_secs_f64();
        match self {
            Self::Never => false,
            Self::At(end) => end - now <= 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expiry, Time};

    #[test]
    fn a_token_counts_until_its_last_second_begins() {
        for (end, now, expected) in [
            (100.0, 99, false),
            (100.0, 100, true),
            (100.5, 100, false),
            (100.5, 101, true),
            (0.0, 100, true),
            (-1.0, 0, true),
        ] {
            assert_eq!(Expiry::At(end).is_over(Time::from_unix_seconds(now)), expected, "{end} at {now}");
        }
        assert!(!Expiry::Never.is_over(Time::from_unix_seconds(i64::MAX)));
    }
}
