//! The faults that can lie between the server and CouchDB.

use std::time::Duration;

/// A fault in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The connection is reset before the call is passed on. If the fault stays, nothing listens.
    Refuse,
    /// The call is done, and the connection ends without an answer.
    Cut,
    /// The call is done, and the connection is reset in the middle of the answer.
    ResetInBody,
    /// The call is done at once, and its answer comes too late.
    Delay,
    /// The call is passed on too late, and is done then.
    Late,
    /// The call is done, and its answer comes one byte after another.
    Drip,
    /// The call is done, and the answer is no HTTP.
    Garbage,
    /// The call is done, and the answer is a 500.
    Status500,
    /// The call is not done, and the answer is a 503.
    Status503,
    /// The call is not done, and the answer is a 429.
    Status429,
    /// The call is not done, and the answer is a page of HTML with status 200.
    Html,
    /// The call is done, and the answer ends in the middle of its JSON, with a length that fits.
    Truncated,
    /// The call is done, and the answer is shorter than the length that it tells.
    TooShort,
    /// The call is done, and the answer is longer than the length that it tells.
    TooLong,
    /// The call is not done, and the answer is an empty object with status 200.
    EmptyObject,
    /// The call is done, and the answer has status 202: too few copies were written.
    Accepted,
}

/// Every fault.
pub(crate) const FAULTS: [Fault; 16] = [
    Fault::Refuse,
    Fault::Cut,
    Fault::ResetInBody,
    Fault::Delay,
    Fault::Late,
    Fault::Drip,
    Fault::Garbage,
    Fault::Status500,
    Fault::Status503,
    Fault::Status429,
    Fault::Html,
    Fault::Truncated,
    Fault::TooShort,
    Fault::TooLong,
    Fault::EmptyObject,
    Fault::Accepted,
];

impl Fault {
    /// Whether CouchDB does the call, sooner or later.
    pub(crate) fn is_done(self) -> bool {
        !matches!(self, Self::Refuse | Self::Status503 | Self::Status429 | Self::Html | Self::EmptyObject)
    }

    /// Whether the answer takes longer than any deadline.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Delay | Self::Late | Self::Drip)
    }
}

/// How long late calls and answers are held back. The server's deadline must be shorter.
pub(crate) const HELD_BACK: Duration = Duration::from_millis(1_800);
