//! Connections that end without an answer of the application: why, and who hears of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a connection ended without an answer of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client speaks TLS.
    Tls,
    /// The bytes are no request of HTTP/1.1, or the body is framed wrongly.
    Malformed,
    /// The method or the version of HTTP is one that is never served.
    Unsupported,
    /// The head is longer than heads may be.
    TooLarge,
    /// No head began in time.
    NoRequest,
    /// A head began, and did not end in time.
    SlowHead,
    /// The body was slower than the least rate.
    SlowBody,
    /// The client did not read its answer.
    SlowReader,
    /// There was no room for the connection, or for its head.
    NoRoom,
    /// actix-http saw a request where there is none. That is a fault of this program.
    OutOfStep,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Tls,
        Self::Malformed,
        Self::Unsupported,
        Self::TooLarge,
        Self::NoRequest,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowReader,
        Self::NoRoom,
        Self::OutOfStep,
    ];

    /// A word for the reason.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::NoRequest => "no_request",
            Self::SlowHead => "slow_head",
            Self::SlowBody => "slow_body",
            Self::SlowReader => "slow_reader",
            Self::NoRoom => "no_room",
            Self::OutOfStep => "out_of_step",
        }
    }

    /// The reason behind the status of a head that was refused.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            414 | 431 => Self::TooLarge,
            501 | 505 => Self::Unsupported,
            503 => Self::NoRoom,
            _ => Self::Malformed,
        }
    }
}

/// Hears of each such connection, and who the client is.
#[derive(Clone)]
pub struct Report(Arc<dyn Fn(Reason, Option<SocketAddr>) + Send + Sync>);

impl Report {
    /// A report to this function. It is called on the threads that serve connections, so it must be quick.
    pub fn to(hears: impl Fn(Reason, Option<SocketAddr>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }

    pub(crate) fn tell(&self, reason: Reason, peer: Option<SocketAddr>) {
        (self.0)(reason, peer);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}
