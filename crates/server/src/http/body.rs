//! Reads bodies. How large a body may be depends on the route. A body that arrives is charged to the budget
//! while it grows.

use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Payload;
use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt as _};

use crate::budget::{NoRoom, Reservation};
use crate::catalogue::Refusal;
use crate::request::incoming::Received;
use crate::request::route::Versioned;
use crate::request::verb::Verb;

/// The largest body of a request that does not write a group, in bytes.
const SMALL_BODY: u64 = 64 * 1024;

/// What a request takes while it waits for its body, in bytes: the request and its connection, as measured with 10,000
/// requests.
const WAITING: usize = 20 * 1024;

/// A body gets all the room that it announces when this part of it is there. Before that, its room doubles.
const CREDIBLE_PART: u64 = 8;

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

/// Reads a body. If it is larger than `limit`, or there is no room for it, the rest is not read. A request that has to
/// wait for its body is charged for that at once: thousands that send nothing would take much memory too.
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
    let mut body = BytesMut::new();
    let mut waiting = 0;
    loop {
        let chunk = match payload.next().now_or_never() {
            Some(chunk) => chunk,
            None => {
                waiting = WAITING;
                if !reservation.try_grow_to(cost(body.len()).saturating_add(waiting)) {
                    return Ok(Received::NoRoom);
                }
                payload.next().await
            }
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk?;
        let size = body.len().saturating_add(chunk.len());
        if u64::try_from(size).unwrap_or(u64::MAX) > limit {
            return Ok(too_large);
        }
        reservation.has_sent(size);
        if let Err(NoRoom) = reservation.grow_to(cost(size).saturating_add(waiting)).await {
            return Ok(Received::NoRoom);
        }
        make_room(&mut body, chunk.len(), announced);
        body.extend_from_slice(&chunk);
    }
    reservation.shrink_to(cost(body.len()));
    Ok(Received::Whole(body.freeze()))
}

/// What a body takes while it arrives: its bytes, and as many again of a part of them while it grows.
fn cost(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 4)
}

/// Makes room for a part of a body.
fn make_room(body: &mut BytesMut, more: usize, announced: Option<u64>) {
    let size = body.len().saturating_add(more);
    let is_credible = |length: &u64| u64::try_from(size).is_ok_and(|size| *length / CREDIBLE_PART <= size);
    let whole = announced.filter(is_credible).and_then(|length| usize::try_from(length).ok());
    body.reserve(whole.unwrap_or(size).max(size).saturating_sub(body.len()));
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
