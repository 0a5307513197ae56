//! Tells operators of requests that were refused for who sent them: wrong logins, bad tokens, missing rights,
//! too many failures. The log gets a bounded number of lines a second; the metrics count all.

use std::time::Instant;

use kazoo::AccountId;

use crate::catalogue::Refusal;
use crate::logging::Throttle;
use crate::metrics::{Metrics, ReasonCounts};

/// The module that the log names.
pub(crate) const LOG_TARGET: &str = module_path!();

/// How many lines a second the log gets about logins, and how many about all else.
const LINES_PER_SECOND: u32 = 10;

/// Every reason.
const REASONS: [&str; 12] = [
    "account_disabled",
    "account_expired",
    "bad_credentials",
    "expired_token",
    "login_disabled",
    "no_credentials",
    "no_rights",
    "restricted",
    "second_factor",
    "too_many_failures",
    "unknown_api_key",
    "wrong_login",
];

/// Counts refusals, and bounds the lines about them.
#[derive(Debug)]
pub(crate) struct Refusals {
    counts: ReasonCounts,
    logins: Throttle,
    others: Throttle,
    foreign_accounts: Throttle,
}

/// A line that the log may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Its level.
    pub(crate) level: log::Level,
    /// How many lines before it were left out, if there were any.
    pub(crate) left_out: Option<u64>,
}

impl Refusals {
    /// Registers the counters.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counts = ReasonCounts::register(
            metrics,
            "refusals",
            "Requests that were refused for their credentials, for a lack of rights, or for too many failures",
            REASONS,
        );
        let (logins, others) = (Throttle::new(LINES_PER_SECOND), Throttle::new(LINES_PER_SECOND));
        Self { counts, logins, others, foreign_accounts: Throttle::new(1) }
    }

    /// Tells that an account is refused, because a storage plan keeps it elsewhere.
    pub(crate) fn tell_foreign_account(&self, account_id: &AccountId, connection: &str) {
        if let Some(left_out) = self.foreign_accounts.admit(Instant::now()) {
            log::warn!(
                account_id = account_id.as_str(), connection, left_out;
                "a storage plan of Kazoo's keeps this account on another server, so its requests are refused"
            );
        }
    }

    /// Counts a refusal. `None` if the log gets no line about it.
    pub(crate) fn count(&self, reason: &'static str) -> Option<Line> {
        self.counts.add(reason);
        let (level, throttle) = match reason {
            // Browsers and monitors ask without a token all the time.
            "no_credentials" => (log::Level::Debug, &self.others),
            "expired_token" | "bad_credentials" | "no_rights" | "restricted" => {
                (log::Level::Info, &self.others)
            }
            _ => (log::Level::Warn, &self.logins),
        };
        if !log::log_enabled!(target: LOG_TARGET, level) {
            return None;
        }
        let left_out = throttle.admit(Instant::now())?;
        Some(Line { level, left_out: (left_out > 0).then_some(left_out) })
    }
}

/// The word for a refusal about who sent the request. `None` for other refusals.
pub(crate) fn reason(refusal: &Refusal, is_login: bool, has_credentials: bool) -> Option<&'static str> {
    Some(match refusal {
        Refusal::NotAuthenticated if is_login => "wrong_login",
        Refusal::NotAuthenticated | Refusal::TokenExpired if !has_credentials && !is_login => {
            "no_credentials"
        }
        Refusal::NotAuthenticated => "bad_credentials",
        // A login that the configuration disables is refused like an expired token.
        Refusal::TokenExpired if is_login => "login_disabled",
        Refusal::TokenExpired => "expired_token",
        Refusal::UnknownApiKey(_) => "unknown_api_key",
        Refusal::AccountExpired { .. } => "account_expired",
        Refusal::AccountDisabled => "account_disabled",
        Refusal::SecondFactor => "second_factor",
        Refusal::TooManyRequests => "too_many_failures",
        Refusal::Forbidden => "no_rights",
        Refusal::Restricted => "restricted",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Metrics, REASONS, Refusals};

    #[test]
    fn every_reason_has_a_counter_from_the_start() {
        let metrics = Metrics::new();
        let refusals = Refusals::new(&metrics);
        let _ = refusals.count("wrong_login");
        let text = metrics.encode().unwrap();
        for reason in REASONS {
            let count = u8::from(reason == "wrong_login");
            let line = format!("crossbar_groups_refusals_total{{reason=\"{reason}\"}} {count}");
            assert!(text.lines().any(|written| written == line), "{line}:\n{text}");
        }
    }
}
