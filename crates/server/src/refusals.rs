//! Tells operators of requests that were refused for who sent them: wrong logins, bad tokens, missing rights,
//! too many failures. The log gets a bounded number of lines a second; the metrics count all.

use std::time::Instant;

use crate::catalogue::Refusal;
use crate::logging::Throttle;
use crate::metrics::Metrics;
use crate::request::exchange::Exchange;

/// How many lines a second the log gets about logins, and how many about all else.
const LINES_PER_SECOND: u32 = 10;

/// Every reason. Each has a counter from the start, because Prometheus does not see a counter begin.
pub(crate) const REASONS: [&str; 12] = [
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

/// Tells of refusals.
#[derive(Debug)]
pub(crate) struct Refusals {
    logins: Throttle,
    others: Throttle,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { logins: Throttle::new(LINES_PER_SECOND), others: Throttle::new(LINES_PER_SECOND) }
    }
}

impl Refusals {
    /// Counts and logs a refusal, if it is one about who sent the request.
    pub(crate) fn note(&self, exchange: &Exchange<'_>, refusal: &Refusal, metrics: &Metrics) {
        let Some(reason) = reason(exchange, refusal) else { return };
        metrics.refuse(reason);
        let (level, throttle) = match reason {
            // Browsers and monitors ask without a token all the time.
            "no_credentials" => (log::Level::Debug, &self.others),
            "expired_token" | "bad_credentials" | "no_rights" | "restricted" => {
                (log::Level::Info, &self.others)
            }
            _ => (log::Level::Warn, &self.logins),
        };
        if !log::log_enabled!(level) {
            return;
        }
        let Some(left_out) = throttle.admit(Instant::now()) else { return };
        let account_id = exchange.account_id.as_ref();
        let account_id = account_id.or_else(|| exchange.caller.as_ref().map(auth::Caller::account_id));
        let address = exchange.address().map(|address| address.to_string());
        log::log!(
            level,
            request_id = exchange.request_id.as_str(),
            reason,
            detail = exchange.fault,
            address = address.as_deref(),
            account_id = account_id.map(kazoo::AccountId::as_str),
            left_out = (left_out > 0).then_some(left_out);
            "refused a request"
        );
    }
}

/// The word for a refusal about who sent the request.
fn reason(exchange: &Exchange<'_>, refusal: &Refusal) -> Option<&'static str> {
    let is_login = matches!(exchange.endpoint, "user_auth" | "api_auth");
    let has_credentials = exchange.presented.is_some();
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
