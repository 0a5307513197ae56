//! Charges clients for failed requests. Refuses a client that has failed too often (429).

use std::sync::Arc;
use std::time::Instant;

use auth::RateLimits;

use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;

/// Loads how often clients may fail. If the store cannot be read, the limits that were known before count:
/// the request itself will fail for the same reason.
pub(crate) async fn load_limits(exchange: &Exchange<'_>) -> Arc<RateLimits> {
    exchange.app.auth.rate_limits(exchange.deadline).await.unwrap_or_else(|error| {
        let request_id = exchange.request_id.as_str();
        log::debug!(request_id; "the rate limits were not read: {}", crate::chain(&error));
        Arc::clone(&exchange.limits)
    })
}

/// Charges a failed request.
pub(crate) fn charge(exchange: &Exchange<'_>) -> Result<(), Refusal> {
    if exchange.is_repeated {
        return Ok(());
    }
    let cost = exchange.limits.cost(exchange.charged());
    let charged = exchange.app.buckets.charge(&exchange.client(), cost, &exchange.limits, Instant::now());
    charged.map_err(|_| Refusal::TooManyRequests)
}

/// Charges an attempt to log in, good or bad.
pub(crate) fn charge_login(exchange: &Exchange<'_>) -> Result<(), Refusal> {
    let limits = &exchange.limits;
    let costs = [limits.cost(exchange.charged()), limits.login_cost(exchange.charged())];
    let charged = exchange.app.buckets.charge_login(&exchange.client(), costs, limits, Instant::now());
    charged.map_err(|_| Refusal::TooManyRequests)
}
