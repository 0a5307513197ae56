//! What a client pays for failing. Refuses (429) who has failed too often.

use std::sync::Arc;
use std::time::Instant;

use auth::RateLimits;

use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;

/// How often clients may fail. Where the store cannot be asked, what was known before counts: the request
/// itself will fail of the same.
pub(crate) async fn load_limits(exchange: &Exchange<'_>) -> Arc<RateLimits> {
    exchange.app.auth.rate_limits(exchange.deadline).await.unwrap_or_else(|error| {
        let request_id = exchange.request_id.as_str();
        log::debug!(request_id; "the rate limits were not read: {}", crate::chain(&error));
        Arc::clone(&exchange.limits)
    })
}

/// Charges a failure.
pub(crate) fn charge(exchange: &Exchange<'_>) -> Result<(), Refusal> {
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
