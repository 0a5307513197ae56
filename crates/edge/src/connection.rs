//! The life of one connection: actix-http's dispatcher, the deadline of the client, and the end.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_http::error::DispatchError;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::drain::Drain;
use crate::refused::Reason;
use crate::wire::{Refusal, Wire};

/// How long a client gets to read the last answer before its connection is closed. What it sends meanwhile is
/// thrown away. Closing a socket with unread bytes would reset the connection, and the client could lose the
/// answer.
const LINGER: Duration = Duration::from_secs(1);

/// The sleep of a connection whose client has nothing to do.
const NO_DEADLINE: Duration = Duration::from_secs(3_600);

/// Drives a connection to its end. `tell` hears if the connection ends without an answer of the application.
pub(crate) async fn run<F>(
    wire: Rc<RefCell<Wire>>,
    dispatcher: Pin<Box<F>>,
    drain: &Drain,
    tell: impl FnOnce(Reason),
) where
    F: Future<Output = Result<(), DispatchError>>,
{
    let ended = drive(&wire, dispatcher).await;
    if let Some(reason) = wire.borrow().reason() {
        tell(reason);
    }
    // Nobody else can hold the socket: the dispatcher is gone.
    let Some(wire) = Rc::into_inner(wire) else { return };
    let (stream, _place) = wire.into_inner().into_stream();
    match ended {
        Some(Refusal::Abort) => {
            // An error means that the connection is gone already.
            let _ = stream.set_zero_linger();
        }
        Some(Refusal::AtRest) => {}
        Some(Refusal::Silent) | None => close(stream, drain, b"").await,
        Some(Refusal::Status(status)) => close(stream, drain, bare_answer(status, "").as_bytes()).await,
    }
}

/// Runs the dispatcher until it ends or the client is refused. There is one timer for all deadlines. It is
/// set when it has passed, or when a deadline comes nearer.
async fn drive<F>(wire: &RefCell<Wire>, mut dispatcher: Pin<Box<F>>) -> Option<Refusal>
where
    F: Future<Output = Result<(), DispatchError>>,
{
    let mut timer = pin!(sleep_until(Instant::now() + NO_DEADLINE));
    poll_fn(|cx| {
        wire.borrow_mut().drive(cx);
        if timer.is_elapsed() {
            wire.borrow_mut().check_deadline(Instant::now());
        }
        let is_refused = wire.borrow().has_refusal();
        let polled = if is_refused { Poll::Ready(Ok(())) } else { dispatcher.as_mut().poll(cx) };
        let has_ended = polled.is_ready();
        if let Poll::Ready(Err(DispatchError::Parse(_))) = polled {
            // actix-http has answered it.
            wire.borrow_mut().note(Reason::Malformed);
        }
        if has_ended {
            wire.borrow_mut().break_body();
        }
        let refusal = wire.borrow_mut().take_refusal();
        if has_ended || refusal.is_some() {
            return Poll::Ready(refusal);
        }
        let deadline = wire.borrow().deadline();
        if timer.is_elapsed() || deadline.is_some_and(|deadline| deadline < timer.deadline()) {
            timer.as_mut().reset(deadline.unwrap_or_else(|| Instant::now() + NO_DEADLINE));
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await
}

/// Answers a client that is not served, and closes its connection.
pub(crate) async fn turn_away(stream: TcpStream, drain: &Drain) {
    close(stream, drain, bare_answer(503, "retry-after: 1\r\n").as_bytes()).await;
}

/// Sends the last bytes and closes the connection.
async fn close(mut stream: TcpStream, drain: &Drain, last: &[u8]) {
    let closing = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        drain.throw_away(&stream).await
    };
    // The client is gone, or had its time. Either way, the socket is closed now.
    let _ = timeout(LINGER, closing).await;
}

fn bare_answer(status: u16, headers: &str) -> String {
    let reason = actix_http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or("Refused");
    format!("HTTP/1.1 {status} {reason}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
}
