//! The edge. It turns actix-web's requests into [`Incoming`] ones and answers into responses. Requests that
//! are cheap to read run on the event loop, all others in the lane. It does not know what a request means.

mod body;

use std::time::Instant;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::{StatusCode, Version};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use edge::LongQuery;
use futures::{StreamExt as _, stream};

use self::body::Lost;
use crate::answer::{self, Answer, Body};
use crate::app::App;
use crate::budget::{Payer, Reservation};
use crate::catalogue::{Bare, Refusal};
use crate::cost;
use crate::pipeline;
use crate::request::exchange::{Exchange, Verified};
use crate::request::incoming::{Copied, Incoming, Received};
use crate::request::route::{self, Versioned};
use crate::request::verb::Verb;
use crate::stage::account;

/// A larger answer is handed to the connection in slices of this size, in bytes. What is not sent yet stays
/// in one place and in the budget.
const SLICE: usize = 64 * 1024;

/// A request that has arrived, besides its [`Incoming`] part.
struct Arrived {
    /// The path, or why it is refused.
    path: Result<Versioned, Refusal>,
    body: Received,
    /// The verdict on the token in a header, if it was asked for.
    verified: Option<Verified>,
    /// The memory that the request holds.
    reservation: Reservation,
}

/// Serves every request to the API.
pub(crate) async fn serve(request: HttpRequest, payload: Payload, app: Data<App>) -> HttpResponse {
    let begun = Instant::now();
    let long_query = request.extensions().get::<LongQuery>().cloned();
    let incoming = Incoming::of(&request, long_query.as_ref().map(|query| &*query.0));
    let path = route::split(incoming.path);
    let has_body = body::is_announced(incoming.headers);
    // Whoever shows a good token in a header may send more than a stranger.
    let verified = if has_body { account::verify_header(&app, &incoming).await } else { None };
    let payer = verified.as_ref().and_then(|verified| verified.account_id());
    let payer = payer.map_or(Payer::Stranger, |id| Payer::Account(id.clone()));
    let reservation = Reservation::new(&app.budget, payer);
    let limit = body::limit(&incoming.method, &path, app.settings.max_body_bytes);
    let reading = body::read(payload, incoming.headers, limit, &reservation);
    let body = match tokio::time::timeout(app.settings.body_timeout, reading).await {
        Ok(Ok(body)) => body,
        // The client went away or was too slow, so it does not wait for an answer.
        Ok(Err(Lost)) | Err(_) => {
            return response_of_status(Bare::BodyTimeout.status()).force_close().finish();
        }
    };
    let was_read = matches!(body, Received::Whole(_));
    let arrived = Arrived { path, body, verified, reservation };
    let is_light = !has_body && matches!(incoming.method, Verb::Get | Verb::Head | Verb::Options);
    let (answer, reservation) = if is_light {
        answer(&app, &incoming, arrived, begun).await
    } else {
        let (copied, shared) = (Copied::of(&incoming), app.clone());
        let work = async move { answer(&shared, &copied.incoming(), arrived, begun).await };
        match app.lane.run(work).await {
            Ok(answered) => answered,
            Err(_) => busy(&app, &incoming, begun),
        }
    };
    into_response(request.version(), answer, reservation, was_read)
}

/// The answer to a request, and what it holds of the budget.
async fn answer(
    app: &App,
    incoming: &Incoming<'_>,
    arrived: Arrived,
    begun: Instant,
) -> (Answer, Reservation) {
    let Arrived { path, body, verified, reservation } = arrived;
    let mut exchange = Exchange::new(app, incoming, reservation);
    exchange.verified = verified;
    let answer = pipeline::run(&mut exchange, path, body).await;
    log_answer(&exchange, &answer, begun);
    (answer, exchange.reservation)
}

/// The answer if too much work waits already.
fn busy(app: &App, incoming: &Incoming<'_>, begun: Instant) -> (Answer, Reservation) {
    let exchange = Exchange::new(app, incoming, Reservation::new(&app.budget, Payer::Stranger));
    let answer = answer::refusal(&exchange, &Refusal::Busy, None);
    log_answer(&exchange, &answer, begun);
    (answer, exchange.reservation)
}

fn log_answer(exchange: &Exchange<'_>, answer: &Answer, begun: Instant) {
    log::info!(
        request_id = exchange.request_id.as_str(),
        method = exchange.incoming.method.as_str(),
        status = answer.status,
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        "answered"
    );
}

fn response_of_status(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The response. It holds the reservation until its last byte is sent.
fn into_response(
    version: Version,
    answer: Answer,
    reservation: Reservation,
    body_was_read: bool,
) -> HttpResponse {
    let mut response = response_of_status(answer.status);
    for header in answer.headers {
        response.append_header(header);
    }
    if !body_was_read {
        // Otherwise the unread rest of the body would count as the next request.
        response.force_close();
    }
    match answer.body {
        Body::Empty => response.finish(),
        Body::Full(bytes) if bytes.len() <= SLICE => response.body(bytes),
        Body::Full(bytes) => {
            reservation.shrink_to(cost::of_answer(bytes.len()));
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let unsent = (Bytes::from(bytes), reservation);
            let slices = stream::unfold(unsent, |(mut bytes, reservation)| async move {
                let slice = bytes.split_to(bytes.len().min(SLICE));
                (!slice.is_empty()).then_some((Ok::<_, std::io::Error>(slice), (bytes, reservation)))
            });
            response.body(SizedStream::new(size, Box::pin(slices)))
        }
        Body::Stream(chunks) => {
            let mut response = response.body(BodyStream::new(chunks.map(move |chunk| {
                let _held_until_the_end = &reservation;
                chunk
            })));
            // A client of HTTP/1.0 knows no chunks. For it, the body ends with the connection.
            response.head_mut().no_chunking(version < Version::HTTP_11);
            response
        }
    }
}
