//! A body while it arrives: what is missing, how fast it comes, and how much of it actix-http may have. Only actix-http
//! knows where a chunked body ends, so it never gets more than one empty line at a time: nothing behind the body
//! reaches it before the next request's turn.

use std::time::Duration;

use memchr::memmem;
use tokio::time::Instant;

use crate::chunk_sizes::ChunkSizes;
use crate::limits::{BODY_GRACE, Limits};

/// The bytes that end a chunked body, after trailers if there are any.
const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// The length of a body, as actix-http has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is no body.
    None,
    /// The number of its bytes.
    Bytes(u64),
    /// It is chunked.
    Chunked,
}

/// A body that arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    since: Instant,
    received: u64,
    missing: Missing,
    /// Whether the server waits for the client, and not the other way round.
    is_awaited: bool,
    sizes: ChunkSizes,
    has_absurd_chunk: bool,
}

/// The part of a body that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// The number of bytes that have not arrived.
    Bytes(u64),
    /// The end of a chunked body, which only actix-http can tell. It is behind an empty line.
    Chunks(Chunks),
}

/// Whether actix-http may have more of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    /// It may. These were the last bytes that it got.
    Flow([u8; 3]),
    /// It got an empty line. Perhaps the body ends there.
    EmptyLine,
    /// The application waits for more of the body, but actix-http may not have read all that it got.
    Asked,
    /// actix-http has read all that it got before the application asks again.
    Seen,
}

impl Arrival {
    /// A body that begins now. `None` if there is none.
    pub(crate) fn of(body: BodyLength) -> Option<Self> {
        let (missing, sizes) = match body {
            BodyLength::None => return None,
            BodyLength::Bytes(length) => (Missing::Bytes(length), ChunkSizes::Done),
            BodyLength::Chunked => (Missing::Chunks(Chunks::Flow([0; 3])), ChunkSizes::START),
        };
        Some(Self {
            since: Instant::now(),
            received: 0,
            missing,
            is_awaited: false,
            sizes,
            has_absurd_chunk: false,
        })
    }

    /// Whether nothing is missing. Of a chunked body, only actix-http can tell.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing == Missing::Bytes(0)
    }

    /// Whether the server waits for the client.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Says whether the server waits for the client.
    pub(crate) fn set_awaited(&mut self, is_awaited: bool) {
        self.is_awaited = is_awaited;
    }

    /// Measures the rate from now on.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.since = now;
        self.received = 0;
    }

    /// The application has used up the chunked body so far, and waits for more. Answers whether there is a
    /// reason to read again.
    pub(crate) fn ask(&mut self) -> bool {
        let Missing::Chunks(chunks) = &mut self.missing else { return false };
        let next = match chunks {
            Chunks::EmptyLine => Chunks::Asked,
            Chunks::Seen => Chunks::Flow(*b"\n\r\n"),
            Chunks::Flow(_) | Chunks::Asked => return false,
        };
        *chunks = next;
        true
    }

    /// Whether actix-http may not have more now. Then: whether it is about to read all that it got because
    /// the application asked.
    pub(crate) fn wait(&mut self) -> Option<bool> {
        let Missing::Chunks(chunks) = &mut self.missing else { return None };
        let is_asked = match chunks {
            Chunks::Flow(_) => return None,
            Chunks::Asked => true,
            Chunks::EmptyLine | Chunks::Seen => false,
        };
        if is_asked {
            *chunks = Chunks::Seen;
        }
        self.is_awaited = false;
        Some(is_asked)
    }

    /// How many of these bytes actix-http may have. They count as received.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let wanted = match &mut self.missing {
            Missing::Bytes(left) => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(u64::try_from(wanted).unwrap_or(u64::MAX));
                wanted
            }
            Missing::Chunks(chunks) => chunks.take(bytes),
        };
        self.has_absurd_chunk |= self.sizes.pass(bytes.get(..wanted).unwrap_or_default()).is_err();
        self.received = self.received.saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
        wanted
    }

    /// Whether a chunk announced more bytes than any body has.
    pub(crate) fn has_absurd_chunk(&self) -> bool {
        self.has_absurd_chunk
    }

    /// The moment at which the body is slower than the least rate.
    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        let milliseconds =
            self.received.saturating_mul(1_000) / u64::from(limits.body_bytes_per_second.max(1));
        // A day is longer than any body may take, and cannot overflow.
        let paid = Duration::from_millis(milliseconds.min(86_400_000));
        self.since + BODY_GRACE + paid
    }
}

impl Chunks {
    /// How many of these bytes actix-http may have: all up to an empty line.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let Self::Flow(last) = *self else { return 0 };
        // An empty line may begin in the bytes before.
        let head: Vec<u8> = last.iter().chain(bytes.iter().take(last.len())).copied().collect();
        let across = memmem::find(&head, EMPTY_LINE).map(|position| position.saturating_add(1));
        let within = || memmem::find(bytes, EMPTY_LINE).map(|position| position.saturating_add(4));
        if let Some(end) = across.or_else(within) {
            *self = Self::EmptyLine;
            return end;
        }
        let mut latest = last.iter().chain(bytes).rev().copied();
        let mut next = || latest.next().unwrap_or_default();
        let (third, second, first) = (next(), next(), next());
        *self = Self::Flow([first, second, third]);
        bytes.len()
    }
}
