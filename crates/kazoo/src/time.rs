//! Time in whole seconds. Kazoo's documents count from the year 0, its tokens from 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seconds from the year 0 to 1970. Kazoo's gregorian time begins in the year 0.
const GREGORIAN_EPOCH: i64 = 62_167_219_200;

/// A point in time, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    unix_seconds: i64,
}

impl Time {
    /// The current time.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX) }
    }

    /// Makes a time from seconds since 1970.
    #[must_use]
    pub fn from_unix_seconds(unix_seconds: i64) -> Self {
        Self { unix_seconds }
    }

    /// Makes a time from seconds since the year 0.
    #[must_use]
    pub fn from_gregorian_seconds(seconds: i64) -> Self {
        Self { unix_seconds: seconds.saturating_sub(GREGORIAN_EPOCH) }
    }

    /// The seconds since 1970. Tokens use these.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }

    /// The seconds since the year 0. Documents use these.
    #[must_use]
    pub fn gregorian_seconds(self) -> i64 {
        self.unix_seconds.saturating_add(GREGORIAN_EPOCH)
    }

    /// The time that is `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self { unix_seconds: self.unix_seconds.saturating_add(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn gregorian_time_begins_in_the_year_0() {
        assert_eq!(Time::from_unix_seconds(0).gregorian_seconds(), 62_167_219_200);
        assert_eq!(Time::from_unix_seconds(i64::MAX).gregorian_seconds(), i64::MAX);
        assert_eq!(Time::from_gregorian_seconds(62_167_219_201).unix_seconds(), 1);
    }
}
