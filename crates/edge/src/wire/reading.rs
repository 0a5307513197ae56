//! What the client sends: heads, bodies, and what is read ahead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::{Phase, Refusal, Wire, register};
use crate::arrival::Arrival;
use crate::head::{Scanned, Verdict, judge};
use crate::refused::Reason;

/// How many bytes are read ahead of the request that is being answered.
const READ_AHEAD_BYTES: usize = 16_384;

/// After so many bytes of a body, other connections of the thread have their turn. A client that sends as fast as it is
/// read would have all of a long turn, and a body in chunks of one byte takes much work.
const TURN_BYTES: usize = 64 * 1024;

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

impl Wire {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cleared > 0 {
            self.hand_over(buf);
            return Poll::Ready(Ok(()));
        }
        match self.phase {
            _ if self.refusal.is_some() => Poll::Pending,
            Phase::Body(arrival) => self.poll_read_body(cx, buf, arrival),
            Phase::Rest { .. } | Phase::Head { .. } => self.poll_read_head(cx, buf),
            Phase::Answering => self.poll_read_ahead(cx),
        }
    }

    /// Gives actix-http the bytes that it may have.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared.min(self.held.len()).min(buf.remaining());
        buf.put_slice(&self.held.split_to(length));
        self.cleared = self.cleared.saturating_sub(length);
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut arrival: Arrival,
    ) -> Poll<io::Result<()>> {
        if let Some(is_asked) = arrival.wait() {
            if is_asked {
                cx.waker().wake_by_ref();
            }
            self.phase = Phase::Body(arrival);
            return self.poll_read_ahead(cx);
        }
        if self.read_in_turn >= TURN_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if self.held.is_empty() && !self.is_at_end {
            let read = Pin::new(&mut self.stream).poll_read(cx, buf);
            arrival.set_awaited(read.is_pending());
            self.phase = Phase::Body(arrival);
            if let Err(error) = ready!(read) {
                // The client is gone, and has sent nothing malformed.
                self.is_at_end = true;
                return Poll::Ready(Err(error));
            }
            let got = buf.filled().get(before..).unwrap_or_default();
            self.is_at_end = got.is_empty();
            let wanted = arrival.take(got);
            self.hold_back(buf, before.saturating_add(wanted));
        } else {
            let room = self.held.len().min(buf.remaining());
            self.cleared = arrival.take(self.held.get(..room).unwrap_or_default());
            self.hand_over(buf);
        }
        self.read_in_turn = self.read_in_turn.saturating_add(buf.filled().len().saturating_sub(before));
        if arrival.has_absurd_chunk() {
            self.refuse_status(400);
        }
        self.phase = if arrival.is_complete() { Phase::Answering } else { Phase::Body(arrival) };
        Poll::Ready(Ok(()))
    }

    /// Takes back the bytes of `buf` behind `length`.
    fn hold_back(&mut self, buf: &mut ReadBuf<'_>, length: usize) {
        if let Some(behind) = buf.filled().get(length..)
            && !behind.is_empty()
        {
            self.held.extend_from_slice(behind);
            buf.set_filled(length);
        }
    }

    /// Reads until the head is complete.
    fn poll_read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let before = buf.filled().len();
            let is_fresh = self.held.is_empty();
            if is_fresh || self.scan.has_seen(self.held.len()) {
                if self.is_at_end {
                    // A head that breaks off is no request.
                    self.held.clear();
                    return Poll::Ready(Ok(()));
                }
                if is_fresh {
                    ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
                    self.is_at_end = buf.filled().len() == before;
                } else {
                    self.is_at_end =
                        ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.held))? == 0;
                }
                if self.is_at_end {
                    continue;
                }
            }
            let bytes = if is_fresh { buf.filled().get(before..).unwrap_or_default() } else { &self.held };
            if bytes.first() == Some(&TLS_HANDSHAKE) {
                buf.set_filled(before);
                self.refuse_for(Reason::Tls, Refusal::Silent);
                return Poll::Pending;
            }
            let verdict = match self.scan.advance(bytes) {
                Scanned::Partial => {
                    self.hold_back(buf, before);
                    if let Phase::Rest { .. } = self.phase {
                        self.phase = Phase::Head { since: Instant::now() };
                    }
                    if !self.slot.hold_head(self.held.len()) {
                        self.refuse_status(503);
                        return Poll::Pending;
                    }
                    continue;
                }
                Scanned::Complete(length) => {
                    (length, judge(bytes.get(..length).unwrap_or_default(), self.limits.headers))
                }
                Scanned::Refused(status) => (0, Verdict::Refuse(status)),
            };
            match verdict {
                (_, Verdict::Refuse(status)) => {
                    buf.set_filled(before);
                    self.refuse_status(status);
                    return Poll::Pending;
                }
                (length, Verdict::Pass) if is_fresh => {
                    self.hold_back(buf, before.saturating_add(length));
                    self.phase = Phase::Answering;
                    self.owes_call = true;
                    return Poll::Ready(Ok(()));
                }
                (length, Verdict::Pass) => self.cleared = length,
                (length, Verdict::Rewrite(head, long_query)) => {
                    self.long_query = long_query;
                    self.hold_back(buf, before);
                    self.held.advance(length);
                    self.cleared = head.len();
                    let behind = std::mem::replace(&mut self.held, BytesMut::from(head.as_slice()));
                    self.held.extend_from_slice(&behind);
                }
            }
            self.phase = Phase::Answering;
            self.owes_call = true;
            self.hand_over(buf);
            return Poll::Ready(Ok(()));
        }
    }

    /// Reads what the client sends behind its request, so that a client that goes away is noticed.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        register(&mut self.reader, cx);
        while !self.is_at_end && self.held.len() < READ_AHEAD_BYTES {
            // Asked first, because reading would make room for bytes that seldom come.
            ready!(self.stream.poll_read_ready(cx))?;
            self.is_at_end = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.held))? == 0;
        }
        // The end of a half-closed connection is not kept from actix-http: it answers all the same.
        if self.is_at_end && self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;

    use tokio::io::ReadBuf;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::{Phase, Wire};
    use super::TURN_BYTES;
    use crate::arrival::{Arrival, BodyLength};
    use crate::capacity::Capacity;
    use crate::crowd::Crowd;
    use crate::limits::Limits;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Two clients send all at once what four turns are needed for: one with a length, one in chunks.
    #[tokio::test]
    async fn a_body_that_is_all_there_is_read_in_turns() {
        for length in [BodyLength::Bytes(u64::try_from(4 * TURN_BYTES).unwrap()), BodyLength::Chunked] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let stream: TcpStream = listener.accept().await.unwrap().0;
            let sender = std::thread::spawn(move || {
                client.write_all(&b"1\r\nx\r\n".repeat(4 * TURN_BYTES / 6)).unwrap();
                client
            });
            let minute = Duration::from_secs(60);
            let limits =
                Limits { head: minute, idle: minute, body_bytes_per_second: 1, answer: minute, headers: &[] };
            let slot = Capacity::new(1).admit().unwrap();
            let wire = Wire::new(stream, limits, slot, Crowd::default());
            let mut wire = Rc::into_inner(wire).unwrap().into_inner();
            wire.phase = Phase::Body(Arrival::of(length).unwrap());
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let mut cx = Context::from_waker(&waker);
            let (mut total, mut turns) = (0, 0);
            while total < 4 * TURN_BYTES / 6 * 6 {
                wire.stream.readable().await.unwrap();
                wire.drive(&cx);
                let (mut in_turn, before) = (0, woken.0.load(Ordering::SeqCst));
                loop {
                    let mut bytes = [0; 8_192];
                    let mut buf = ReadBuf::new(&mut bytes);
                    match wire.poll_read(&mut cx, &mut buf) {
                        Poll::Ready(read) => read.unwrap(),
                        Poll::Pending => break,
                    }
                    in_turn += buf.filled().len();
                }
                assert!(in_turn < TURN_BYTES + 8_192, "{in_turn}");
                let is_over = in_turn >= TURN_BYTES;
                assert!(!is_over || woken.0.load(Ordering::SeqCst) > before, "the next turn comes by itself");
                (total, turns) = (total + in_turn, turns + 1);
            }
            assert!(turns >= 4);
            drop(sender.join().unwrap());
        }
    }
}
