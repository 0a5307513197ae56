//! The edge. It turns actix-web's requests into [`Incoming`] ones and answers into responses. Requests that
//! cost little run on the event loop, all others in the lane.

mod body;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::header;
use actix_web::http::{StatusCode, Version};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use edge::LongQuery;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};

use self::body::Lost;
use crate::access_log::Visit;
use crate::answer::{self, Answer, Body};
use crate::app::App;
use crate::budget::{Payer, Reservation};
use crate::catalogue::{Bare, Refusal};
use crate::cost;
use crate::counterpart::{Heard, is_failing, shown_header};
use crate::metrics::InFlight;
use crate::pipeline;
use crate::request::exchange::{Exchange, Verified};
use crate::request::incoming::{Copied, Incoming, Received};
use crate::request::route::{self, Versioned};
use crate::request::verb::Verb;
use crate::shadow;
use crate::stage::account;

/// A new group of at most this many bytes runs on the event loop: to read and check it takes about as long as to hand
/// it to another thread.
const LIGHT_BODY: usize = 8 * 1024;

/// A larger answer is handed to the connection in slices of this size, in bytes. What is not sent yet stays
/// in one place and in the budget.
const SLICE: usize = edge::PART_BYTES;

/// A request that has arrived, besides its [`Incoming`] part.
struct Arrived {
    /// The path, or why it is refused.
    path: Result<Versioned, Refusal>,
    /// The path with names in place of ids.
    route: &'static str,
    body: Received,
    /// The verdict on the token in a header, if it was asked for.
    verified: Option<Verified>,
    /// The memory that the request holds.
    reservation: Arc<Reservation>,
}

/// Serves every request to the API.
pub(crate) async fn serve(request: HttpRequest, payload: Payload, app: Data<App>) -> HttpResponse {
    let begun = Instant::now();
    let in_flight = app.metrics.arrive();
    let long_query = request.extensions().get::<LongQuery>().cloned();
    let incoming = Incoming::of(&request, long_query.as_ref().map(|query| &*query.0));
    let path = route::split(incoming.path, app.profile().paths);
    let route = path.as_ref().map_or("unreadable", Versioned::template);
    let has_body = body::is_announced(incoming.headers);
    let is_read = matches!(incoming.method, Verb::Get | Verb::Head | Verb::Options);
    // Whoever shows a good token in a header may send more than a stranger, and has turns of their own in the lane.
    // In a box, so that other requests have no room for it.
    let verified =
        if has_body || !is_read { Box::pin(account::verify_header(&app, &incoming)).await } else { None };
    let payer = verified.as_ref().and_then(|verified| verified.account_id());
    let payer = payer.map_or(Payer::Stranger, |id| Payer::Account(id.clone()));
    let reservation = Arc::new(Reservation::new(&app.budget, payer.clone()));
    let live = app.live();
    let limit = body::limit(&incoming.method, &path, live.max_body_bytes);
    let reading = body::read(payload, incoming.headers, limit, &reservation);
    let body = match tokio::time::timeout(live.body_timeout, reading).await {
        Ok(Ok(body)) => body,
        // The client went away or was too slow, so it does not wait for an answer.
        Ok(Err(Lost)) | Err(_) => {
            let exchange = Exchange::new(&app, &incoming, reservation);
            let status = Bare::BodyTimeout.status();
            app.note(&visit(&exchange, route, (status, 0), begun));
            return response_of_status(status).force_close().finish();
        }
    };
    let was_read = matches!(body, Received::Whole(_));
    let shadow = app.shadow.as_ref().filter(|_| path.as_ref().is_ok_and(Versioned::is_of_groups));
    let arrived = Arrived { path, route, body, verified, reservation };
    let is_light = match incoming.method {
        _ if is_read => !has_body,
        Verb::Put => is_small_group(&arrived),
        _ => false,
    };
    // In boxes, so that a request that waits for its body has no room for all that comes later.
    let answered = if is_light {
        Box::pin(answer(&app, &incoming, arrived, begun)).await
    } else {
        let (copied, shared) = (Copied::of(&incoming), app.clone());
        let work = Box::pin(async move { answer(&shared, &copied.incoming(), arrived, begun).await });
        match app.lane.of(payer).run(work).await {
            Ok(answered) => answered,
            Err(_) => busy(&app, &incoming, route, begun),
        }
    };
    if let Some(shadow) = shadow
        && !has_body
        && incoming.method == Verb::Get
    {
        let (status, is_known) = (answered.answer.status, answered.is_known);
        shadow.note(&incoming, &shadow::Answered { status, is_known });
    }
    into_response(request.version(), answered, was_read, (&app, in_flight))
}

/// Whether a PUT makes a group, and the group is small. For other writes, the size of the stored group is not known
/// yet.
fn is_small_group(Arrived { path, body, .. }: &Arrived) -> bool {
    let is_small = matches!(body, Received::Whole(body) if body.len() <= LIGHT_BODY);
    is_small && path.as_ref().is_ok_and(Versioned::is_of_all_groups)
}

/// Answers a copied GET once more, to compare the answer. It is not logged or counted, and nobody is charged. `None` if
/// the answer has more than `most` bytes, or breaks off, or says that this server cannot answer now.
pub(crate) async fn answer_again(app: &App, incoming: &Incoming<'_>, most: usize) -> Option<Heard> {
    let begun = Instant::now();
    let path = route::split(incoming.path, app.profile().paths);
    let mut exchange = Exchange::new(app, incoming, Arc::new(Reservation::new(&app.budget, Payer::Stranger)));
    exchange.is_repeated = true;
    let answer = pipeline::run(&mut exchange, path, Received::Whole(Bytes::new())).await;
    if is_failing(answer.status) {
        return None;
    }
    let headers = answer.headers.into_iter();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| shown_header(name.as_str(), value.as_bytes())).collect();
    let body = match answer.body {
        Body::Empty => Vec::new(),
        Body::Full(bytes) => bytes,
        Body::Stream(mut chunks) => {
            headers.push((header::TRANSFER_ENCODING.as_str().to_owned(), "chunked".to_owned()));
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.next().await {
                bytes.extend_from_slice(&chunk.ok()?);
                if bytes.len() > most {
                    return None;
                }
            }
            bytes
        }
    };
    (body.len() <= most).then(|| Heard { status: answer.status, headers, body, took: begun.elapsed() })
}

/// The answer to a request.
struct Answered {
    answer: Answer,
    /// What the answer holds of the budget.
    reservation: Arc<Reservation>,
    /// The line of the log, for when all is sent. `None` if it is written already.
    unfinished: Option<Visit<'static>>,
    /// Whether its credentials are good.
    is_known: bool,
}

impl Answered {
    /// The answer to a request. It is logged and counted now, unless it is sent while it is read.
    fn new(exchange: Exchange<'_>, answer: Answer, route: &'static str, begun: Instant) -> Self {
        let size = match &answer.body {
            Body::Empty => Some(0),
            Body::Full(_) if exchange.incoming.method == Verb::Head => Some(0),
            Body::Full(bytes) => Some(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Body::Stream(_) => None,
        };
        let visit = visit(&exchange, route, (answer.status, size.unwrap_or(0)), begun);
        let unfinished = match size {
            Some(_) => {
                exchange.app.note(&visit);
                None
            }
            None => Some(visit.into_owned()),
        };
        let is_known = exchange.caller.is_some();
        Self { answer, reservation: exchange.reservation, unfinished, is_known }
    }
}

/// What the log and the metrics say about a request.
fn visit<'a>(
    exchange: &'a Exchange<'_>,
    route: &'static str,
    (status, bytes): (u16, u64),
    begun: Instant,
) -> Visit<'a> {
    Visit {
        begun,
        method: exchange.incoming.method.as_str().into(),
        path: exchange.incoming.path.into(),
        route,
        status,
        bytes,
        is_complete: true,
        address: exchange.address(),
        account_id: exchange.logged_account_id().map(|id| id.as_str().into()),
        user_id: exchange.logged_user_id().map(Into::into),
        request_id: exchange.request_id.as_str().into(),
    }
}

async fn answer(app: &App, incoming: &Incoming<'_>, arrived: Arrived, begun: Instant) -> Answered {
    let Arrived { path, route, body, verified, reservation } = arrived;
    let mut exchange = Exchange::new(app, incoming, reservation);
    exchange.verified = verified;
    let answer = pipeline::run(&mut exchange, path, body).await;
    Answered::new(exchange, answer, route, begun)
}

/// The answer if too much work waits already.
fn busy(app: &App, incoming: &Incoming<'_>, route: &'static str, begun: Instant) -> Answered {
    let exchange = Exchange::new(app, incoming, Arc::new(Reservation::new(&app.budget, Payer::Stranger)));
    let answer = answer::refusal(&exchange, &Refusal::Busy, None);
    Answered::new(exchange, answer, route, begun)
}

fn response_of_status(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The response. It holds the reservation until its last byte is sent.
fn into_response(
    version: Version,
    answered: Answered,
    body_was_read: bool,
    (app, in_flight): (&Data<App>, InFlight),
) -> HttpResponse {
    let Answered { answer, reservation, unfinished, .. } = answered;
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
            let followed = Followed {
                chunks,
                visit: unfinished.map(|visit| Visit { is_complete: false, ..visit }),
                app: app.clone(),
                _reservation: reservation,
                _in_flight: in_flight,
            };
            let mut response = response.body(BodyStream::new(followed));
            // A client of HTTP/1.0 knows no chunks. For it, the body ends with the connection.
            response.head_mut().no_chunking(version < Version::HTTP_11);
            response
        }
    }
}

/// The body of an answer that is sent while it is read. It is logged when the body has ended.
struct Followed {
    chunks: BoxStream<'static, std::io::Result<Bytes>>,
    visit: Option<Visit<'static>>,
    app: Data<App>,
    _reservation: Arc<Reservation>,
    _in_flight: InFlight,
}

impl Stream for Followed {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.chunks.as_mut().poll_next(context));
        if let Some(visit) = &mut self.visit {
            match &chunk {
                Some(Ok(bytes)) => {
                    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    visit.bytes = visit.bytes.saturating_add(size);
                }
                Some(Err(_)) => {}
                None => visit.is_complete = true,
            }
        }
        Poll::Ready(chunk)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(visit) = &self.visit {
            self.app.note(visit);
        }
    }
}
