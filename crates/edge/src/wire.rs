//! One socket, as actix-http sees it. The bytes of a head are held back until the head is complete and
//! judged, and the bytes behind a request until it is answered. So actix-http has one request at a time, and
//! a wait of the client always has a name and a deadline.

mod reading;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::arrival::{Arrival, BodyLength};
use crate::capacity::Slot;
use crate::crowd::{Crowd, Member};
use crate::head::Scan;
use crate::limits::Limits;
use crate::refused::Reason;

/// How long a connection is kept without a request when connections are scarce.
const SCARCE_IDLE: Duration = Duration::from_secs(1);

/// A connection that was used so lately is not closed to make room: its client may be about to ask again.
const SHORT_REST: Duration = Duration::from_millis(100);

/// How long a client may read nothing of its answer when buffers take much memory.
const SCARCE_ANSWER: Duration = Duration::from_secs(2);

/// The socket of a connection, and how far its requests are.
pub(crate) struct Wire {
    stream: TcpStream,
    limits: Limits,
    slot: Slot,
    crowd: Crowd<Self>,
    phase: Phase,
    /// Bytes from the client that actix-http has not got yet.
    held: BytesMut,
    /// How many bytes at the front of `held` actix-http may have.
    cleared: usize,
    scan: Scan,
    /// The query of the head under way, if it is too long for the head.
    long_query: Option<String>,
    /// How many bytes of a body were read since the connection had its turn on the thread.
    read_in_turn: usize,
    /// Whether the client sends no more. actix-http hears of it behind the bytes that are held.
    is_at_end: bool,
    /// Whether actix-http got a head that it has not called the application for.
    owes_call: bool,
    /// Whether actix-http has written the whole answer into its buffer.
    is_answered: bool,
    /// Whether the application has begun to answer the request under way.
    is_being_answered: bool,
    /// Until when the client must read more of its answer.
    blocked_until: Option<Instant>,
    refusal: Option<Refusal>,
    /// Why the connection ends without an answer of the application.
    reason: Option<Reason>,
    reader: Option<Waker>,
    /// Wakes the future that drives the connection.
    driver: Option<Waker>,
}

/// How far the request under way is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// There is none.
    Rest { since: Instant, until: Instant },
    /// Its head arrives.
    Head { since: Instant },
    /// Its body arrives.
    Body(Arrival),
    /// It is complete, and is being answered.
    Answering,
}

/// Why a connection ends that actix-http has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is answered with a bare status.
    Status(u16),
    /// Nothing is answered.
    Silent,
    /// The client does not read. What is still unsent is thrown away.
    Abort,
    /// There is no request, and nothing to wait for.
    AtRest,
}

impl Wire {
    /// A connection that has just been accepted.
    pub(crate) fn new(
        stream: TcpStream,
        limits: Limits,
        slot: Slot,
        crowd: Crowd<Self>,
    ) -> Rc<RefCell<Self>> {
        let wire = Rc::new(RefCell::new(Self {
            stream,
            limits,
            slot,
            crowd: crowd.clone(),
            phase: Phase::Head { since: Instant::now() },
            held: BytesMut::new(),
            cleared: 0,
            scan: Scan::default(),
            long_query: None,
            read_in_turn: 0,
            is_at_end: false,
            owes_call: false,
            is_answered: false,
            is_being_answered: false,
            blocked_until: None,
            refusal: None,
            reason: None,
            reader: None,
            driver: None,
        }));
        crowd.add(Rc::downgrade(&wire));
        wire
    }

    /// The socket alone, and its slot.
    pub(crate) fn into_stream(mut self) -> (TcpStream, Slot) {
        self.slot.release_buffers();
        (self.stream, self.slot)
    }

    /// actix-http has read a head and calls the application. Answers the query if the head did not hold it.
    pub(crate) fn begin(&mut self, body: BodyLength) -> Option<String> {
        self.is_answered = false;
        self.is_being_answered = false;
        self.phase = Phase::Answering;
        self.slot.release_head();
        if !std::mem::take(&mut self.owes_call) {
            // actix-http has read a head that it never got, so the two disagree about where a body ended.
            self.refuse_for(Reason::OutOfStep, Refusal::Silent);
        }
        if let Some(arrival) = Arrival::of(body) {
            self.phase = Phase::Body(arrival);
        }
        if !self.slot.begin_request() && !self.crowd.close_resting() {
            self.refuse_status(503);
        }
        self.wake_reader();
        self.long_query.take()
    }

    /// The application has used up the chunked body so far, and waits for more.
    pub(crate) fn ask_for_chunks(&mut self) {
        if let Phase::Body(arrival) = &mut self.phase
            && arrival.ask()
        {
            self.wake_reader();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The body under way is complete.
    pub(crate) fn end_body(&mut self) {
        if matches!(self.phase, Phase::Body(_)) {
            self.phase = Phase::Answering;
        }
    }

    /// actix-http has given up the body. If the client has not ended the connection, what it sent is
    /// malformed: then the client is refused, and the answer is true.
    pub(crate) fn break_body(&mut self) -> bool {
        let is_malformed = matches!(self.phase, Phase::Body(_)) && !self.is_at_end;
        if is_malformed {
            self.refuse_status(400);
        }
        is_malformed
    }

    /// The application has begun to answer, in parts of up to so many bytes.
    pub(crate) fn begin_answer(&mut self, bytes: usize) {
        self.is_being_answered = true;
        self.slot.begin_answer(bytes);
    }

    /// The connection has its turn on the thread. Notes who drives it.
    pub(crate) fn drive(&mut self, cx: &Context<'_>) {
        self.read_in_turn = 0;
        register(&mut self.driver, cx);
    }

    /// actix-http has the whole answer in its buffer.
    pub(crate) fn end_answer(&mut self) {
        self.is_answered = true;
    }

    /// Ends the connection. The future that drives it sees to the answer.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        // Behind a part of an answer, another one would be read as its continuation.
        let refusal = match refusal {
            Refusal::Status(_) if self.is_being_answered => Refusal::Silent,
            other => other,
        };
        self.refusal.get_or_insert(refusal);
    }

    /// Ends the connection, and notes why.
    fn refuse_for(&mut self, reason: Reason, refusal: Refusal) {
        self.note(reason);
        self.refuse(refusal);
    }

    /// Ends the connection with a bare status for what the client has sent.
    fn refuse_status(&mut self, status: u16) {
        self.refuse_for(Reason::of_status(status), Refusal::Status(status));
    }

    /// Notes why the connection ends. The first reason counts.
    pub(crate) fn note(&mut self, reason: Reason) {
        if self.refusal.is_none() {
            self.reason.get_or_insert(reason);
        }
    }

    /// Why the connection ends, if it ends without an answer of the application.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Whether the connection is to end.
    pub(crate) fn has_refusal(&self) -> bool {
        self.refusal.is_some()
    }

    /// Takes the refusal, if there is one.
    pub(crate) fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Until when the client must do something. `None` while it has nothing to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Rest { until, .. } => Some(until),
            Phase::Head { since } => Some(since + self.limits.head),
            Phase::Body(arrival) => Some(arrival.deadline(&self.limits)),
            Phase::Answering => None,
        };
        [phase, self.blocked_until].into_iter().flatten().min()
    }

    /// Refuses the client if its deadline has passed.
    pub(crate) fn check_deadline(&mut self, now: Instant) {
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.refuse_for(Reason::SlowReader, Refusal::Abort);
            return;
        }
        match &mut self.phase {
            Phase::Rest { until, .. } if *until <= now => self.refuse(Refusal::Silent),
            Phase::Head { since } if *since + self.limits.head <= now => {
                let refusal =
                    if self.scan.has_request_line() { Refusal::Status(408) } else { Refusal::Silent };
                let has_begun = !self.held.is_empty();
                let reason = if has_begun { Reason::SlowHead } else { Reason::NoRequest };
                self.refuse_for(reason, refusal);
            }
            Phase::Body(arrival) if arrival.deadline(&self.limits) <= now => {
                if arrival.is_awaited() {
                    self.refuse_for(Reason::SlowBody, Refusal::Status(408));
                } else {
                    // The server has not read lately, so the client could not send.
                    arrival.restart(now);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() {
            let patience = self.answer_patience();
            self.blocked_until.get_or_insert_with(|| Instant::now() + patience);
        } else {
            self.blocked_until = None;
        }
        written
    }

    /// How long the client may read nothing of its answer.
    fn answer_patience(&self) -> Duration {
        let limit = self.limits.answer;
        if self.slot.has_many_buffers() { limit.min(SCARCE_ANSWER) } else { limit }
    }

    /// How long this connection may be without a request.
    fn idle(&self) -> Duration {
        if self.slot.is_scarce() { self.limits.idle.min(SCARCE_IDLE) } else { self.limits.idle }
    }

    /// actix-http has given all its bytes to the socket.
    pub(crate) fn flushed(&mut self, cx: &Context<'_>) {
        if !std::mem::take(&mut self.is_answered) {
            return;
        }
        if let Phase::Body(_) = self.phase {
            // The rest of the body would be read as the next request.
            self.refuse(Refusal::Silent);
            return;
        }
        let since = Instant::now();
        self.scan = Scan::default();
        self.is_being_answered = false;
        if self.slot.has_many_buffers() {
            self.crowd.close_resting();
        }
        self.phase = if self.held.is_empty() {
            Phase::Rest { since, until: since + self.idle() }
        } else {
            Phase::Head { since }
        };
        if !self.held.is_empty() || self.is_at_end {
            cx.waker().wake_by_ref();
        }
    }
}

impl Member for Wire {
    fn close_if_resting(&mut self) -> bool {
        let is_at_rest = matches!(self.phase, Phase::Rest { since, .. } if since.elapsed() >= SHORT_REST);
        let is_resting = is_at_rest && self.refusal.is_none();
        if is_resting {
            self.refuse(Refusal::AtRest);
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
        is_resting
    }
}

/// Notes whom to wake.
fn register(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}
