//! What a token claims, once it has been read; believing it is another matter.

use std::time::Duration;

use kazoo::Time;
use serde_json::{Map, Value};

use crate::error::AuthError;

/// The payload of a token. The identity's signature is in it, so it cannot be printed.
#[derive(Clone)]
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

    /// The account and user that the token wants to be taken for; both or nothing. Clients have a say in
    /// this claim when they log in, so anything may stand there: what is no text names nobody.
    pub(crate) fn masquerade(&self) -> Result<Option<(&str, &str)>, AuthError> {
        let member = |name| self.0.get("as").and_then(|wanted| wanted.get(name));
        let (Some(account_id), Some(owner_id)) = (member("account_id"), member("owner_id")) else {
            return Ok(None);
        };
        match (account_id.as_str(), owner_id.as_str()) {
            (Some(account_id), Some(owner_id)) => Ok(Some((account_id, owner_id))),
            _ => Err(AuthError::Invalid("it acts for nobody who has a name")),
        }
    }
}

impl Expiry {
    /// Whether the token is over. Kazoo's clock counts whole seconds here, and there is no leeway.
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
