//! The edge. It turns actix-web's requests into [`Incoming`] ones, and answers into responses. It does not
//! know what a request means.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use crate::answer::{Answer, Body};
use crate::app::App;
use crate::catalogue::Bare;
use crate::pipeline;
use crate::request::exchange::Exchange;
use crate::request::incoming::Incoming;
use crate::request::verb::Verb;

/// Serves every request to the API.
pub(crate) async fn serve(request: HttpRequest, payload: Payload, app: Data<App>) -> HttpResponse {
    let begun = Instant::now();
    let settings = &app.settings;
    let body = tokio::time::timeout(settings.body_timeout, read_body(payload, settings.max_body_bytes)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        // The client went away or was too slow, so it does not wait for an answer.
        Ok(Err(_)) | Err(_) => return response_of_status(Bare::BodyTimeout.status()).force_close().finish(),
    };
    let was_read = body.is_some();
    let incoming = Incoming {
        method: Verb::of_method(request.method().as_str()),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        peer: request.peer_addr().map(|address| address.ip()),
        body,
    };
    let mut exchange = Exchange::new(&app, &incoming);
    let answer = pipeline::run(&mut exchange).await;
    log::info!(
        request_id = exchange.request_id.as_str(),
        method = incoming.method.as_str(),
        status = answer.status,
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        "answered"
    );
    into_response(answer, was_read)
}

/// Reads the body. `None` if it is larger than `max_bytes`; the rest is not read then.
async fn read_body(
    mut payload: Payload,
    max_bytes: u64,
) -> Result<Option<Bytes>, actix_web::error::PayloadError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk?;
        let size = u64::try_from(body.len().saturating_add(chunk.len())).unwrap_or(u64::MAX);
        if size > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

fn response_of_status(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

fn into_response(answer: Answer, body_was_read: bool) -> HttpResponse {
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
        Body::Full(bytes) => response.body(bytes),
        Body::Stream(chunks) => response.streaming(chunks),
    }
}
