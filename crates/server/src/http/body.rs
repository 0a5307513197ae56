//! Reads bodies. How large a body may be depends on the route. A body that arrives is charged to the budget
//! while it grows.

use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Payload;
use bytes::BytesMut;
use futures::StreamExt as _;

use crate::budget::{NoRoom, Reservation};
use crate::catalogue::Refusal;
use crate::request::incoming::Received;
use crate::request::route::Versioned;
use crate::request::verb::Verb;

/// The largest body of a request that does not write a group, in bytes.
const SMALL_BODY: u64 = 64 * 1024;

/// A smaller body is not charged while it arrives, in bytes. The connection's own buffers are as large.
const FREE: usize = 4 * 1024;

/// The body did not arrive whole.
pub(super) struct Lost;

impl From<PayloadError> for Lost {
    fn from(_: PayloadError) -> Self {
        Self
    }
}

/// Whether a request says that it has a body.
pub(super) fn is_announced(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || content_length(headers).is_some_and(|length| length > 0)
}

/// The largest body that a request may have, in bytes. Only those who write groups have a reason to send much.
pub(super) fn limit(method: &Verb, path: &Result<Versioned, Refusal>, max_body_bytes: u64) -> u64 {
    let writes = matches!(method, Verb::Put | Verb::Post | Verb::Patch);
    match path {
        Ok(path) if writes && path.may_be_of_groups() => max_body_bytes,
        _ => max_body_bytes.min(SMALL_BODY),
    }
}

/// Reads a body. If it is larger than `limit`, or there is no room for it, the rest is not read.
pub(super) async fn read(
    mut payload: Payload,
    headers: &HeaderMap,
    limit: u64,
    reservation: &Reservation,
) -> Result<Received, Lost> {
    let announced = content_length(headers);
    let too_large = Received::TooLarge { limit };
    if announced.is_some_and(|length| length > limit) {
        return Ok(too_large);
    }
    let mut body =
        BytesMut::with_capacity(announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk?;
        let size = body.len().saturating_add(chunk.len());
        if u64::try_from(size).unwrap_or(u64::MAX) > limit {
            return Ok(too_large);
        }
        reservation.has_sent(size);
        if size > reservation.held().max(FREE)
            && let Err(NoRoom) = reservation.grow_to(size.saturating_add(size / 4)).await
        {
            return Ok(Received::NoRoom);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received::Whole(body.freeze()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
