//! One request and its answer, seen between actix-http and the application: the socket learns where the
//! body and the answer end.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::header::CONTENT_LENGTH;
use actix_http::{ConnectionType, HttpMessage as _, Payload, Request, Response};
use actix_service::Service;
use bytes::Bytes;
use futures::Stream;

use crate::arrival::BodyLength;
use crate::socket::Watch;
use crate::wire::Wire;

/// actix-http gets an answer in parts of at most this many bytes. Its buffer grows to what it gets at once, and does
/// not shrink while the connection is kept.
pub const PART_BYTES: usize = 16 * 1024;

/// The query of a request, if it has raw bytes and is too long for the target when these are escaped. Then the
/// target has no query, and the request has this extension.
#[derive(Clone, Debug)]
pub struct LongQuery(pub Rc<str>);

/// Calls the application, and tells the socket how far the request is.
pub(crate) fn serve<S, B>(
    mut request: Request,
    application: &S,
) -> impl Future<Output = Result<Response<AnswerBody<EitherBody<B>>>, S::Error>> + use<S, B>
where
    S: Service<Request>,
    S::Error: Into<Response<BoxBody>>,
    S::Response: Into<Response<B>>,
    B: MessageBody + Unpin + 'static,
{
    let watch = request.conn_data::<Watch>().cloned().unwrap_or_default();
    let length = body_length(&mut request);
    if let Some(query) = tell(&watch, |wire| wire.begin(length)).flatten() {
        request.extensions_mut().insert(LongQuery(query.into()));
    }
    let is_read = Rc::new(Cell::new(length != BodyLength::Chunked));
    if length == BodyLength::Chunked {
        let payload = request.take_payload();
        let body = ChunkedBody { payload, is_read: Rc::clone(&is_read), watch: watch.clone() };
        *request.payload() = Payload::Stream { payload: Box::pin(body) };
    }
    let answering = application.call(request);
    async move {
        let mut response = match answering.await {
            Ok(response) => response.into().map_body(|_, body| EitherBody::left(body)),
            Err(error) => error.into().map_body(|_, body| EitherBody::right(body)),
        };
        let buffered = match response.body().size() {
            BodySize::None => 0,
            BodySize::Sized(bytes) => usize::try_from(bytes).unwrap_or(PART_BYTES).min(PART_BYTES),
            // A part may come when the buffer is nearly full.
            BodySize::Stream => 2 * PART_BYTES,
        };
        tell(&watch, |wire| wire.begin_answer(buffered));
        if !is_read.get() {
            // The rest of the body would be read as the next request.
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(response.map_body(|_, body| AnswerBody { body, unsent: Bytes::new(), watch }))
    }
}

/// The length of the body, as actix-http has read it from the head.
fn body_length(request: &mut Request) -> BodyLength {
    if matches!(request.payload(), Payload::None) {
        return BodyLength::None;
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.trim().parse().ok()).map_or(BodyLength::Chunked, BodyLength::Bytes)
}

/// Tells the socket something. It may be gone already.
fn tell<T>(watch: &Watch, what: impl FnOnce(&mut Wire) -> T) -> Option<T> {
    watch.upgrade().map(|wire| what(&mut wire.borrow_mut()))
}

/// A chunked body. Only actix-http knows where it ends.
struct ChunkedBody {
    payload: Payload,
    is_read: Rc<Cell<bool>>,
    watch: Watch,
}

impl Stream for ChunkedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(part) = Pin::new(&mut self.payload).poll_next(cx) else {
            tell(&self.watch, Wire::ask_for_chunks);
            return Poll::Pending;
        };
        match &part {
            None => {
                self.is_read.set(true);
                tell(&self.watch, Wire::end_body);
            }
            // The application must not answer too. Its future is dropped with the connection.
            Some(Err(_)) if tell(&self.watch, Wire::break_body) == Some(true) => return Poll::Pending,
            Some(_) => {}
        }
        Poll::Ready(part)
    }
}

/// The body of an answer. actix-http drops it once it has all of it in its buffer.
pub(crate) struct AnswerBody<B> {
    body: B,
    /// The rest of a large part of the body.
    unsent: Bytes,
    watch: Watch,
}

impl<B: MessageBody + Unpin> MessageBody for AnswerBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(part)) if part.len() > PART_BYTES => self.unsent = part,
                other => return Poll::Ready(other),
            }
        }
        let length = self.unsent.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(self.unsent.split_to(length))))
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        tell(&self.watch, Wire::end_answer);
    }
}
