//! The parts of a hostile input.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::probe::read_one;
use crate::wire::Request;
use crate::world::Account;

/// Makes the bytes of a connection from its number and its round.
pub(crate) type Bytes = Arc<dyn Fn(usize, usize) -> Arc<Vec<u8>> + Send + Sync>;

/// The account that an input comes from, and how small the input is made for quick tests.
pub(crate) struct Victim<'a> {
    account: &'a Account,
    divisor: usize,
}

impl<'a> Victim<'a> {
    /// For inputs of their full size.
    pub(crate) fn whole(account: &'a Account) -> Self {
        Self::small(account, 1)
    }

    /// For inputs that are `divisor` times smaller.
    pub(crate) fn small(account: &'a Account, divisor: usize) -> Self {
        Self { account, divisor }
    }

    /// A number of things, made as small as the input.
    pub(super) fn count(&self, count: usize) -> usize {
        (count / self.divisor.max(1)).max(1)
    }
}

impl Deref for Victim<'_> {
    type Target = Account;

    fn deref(&self) -> &Account {
        self.account
    }
}

/// Where the server keeps its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Embedded,
    /// In the CouchDB at `COUCHDB_URL`. Without one, the input is left out.
    CouchDb,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    /// A name to ask for it.
    pub(crate) name: &'static str,
    /// The bytes to send.
    pub(crate) about: &'static str,
    /// The lines that are imported beforehand.
    pub(crate) seed: fn(&Victim<'_>) -> Vec<String>,
    /// What another tenant asks for meanwhile.
    pub(crate) quiet: fn(&Account) -> Request,
    /// Where the server keeps its documents.
    pub(crate) store: Store,
    /// Settings of the server other than the usual ones.
    pub(crate) arguments: &'static [&'static str],
    /// The bytes to send, all at once.
    pub(crate) loads: fn(&Victim<'_>) -> Vec<Load>,
    /// When sending is over at the latest.
    pub(crate) limit: Duration,
    /// Whether each connection must end, with an answer or closed, before that.
    pub(crate) must_be_answered: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An input that needs nothing in the store and is answered.
pub(crate) const PLAIN: Input = Input {
    name: "",
    about: "",
    seed: |_| Vec::new(),
    quiet: read_one,
    store: Store::Embedded,
    arguments: &[],
    loads: |_| Vec::new(),
    limit: Duration::from_secs(30),
    must_be_answered: true,
};

/// The end of a connection, after the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer is read until the server closes.
    ReadAll,
    /// The answer is read in small pieces.
    ReadSlowly { piece: usize, pause: Duration },
    /// Nothing is read, for this time.
    Hold(Duration),
    /// The connection is reset.
    Reset,
}

impl Ending {
    /// Whether the connection waits for nothing.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, Self::Hold(_))
    }
}

/// Connections that all do the same.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// How many connections each opens, one after another.
    pub(crate) rounds: usize,
    pub(crate) bytes: Bytes,
    /// How many bytes are sent at once, and the pause after them.
    pub(crate) piece: usize,
    pub(crate) pause: Duration,
    pub(crate) ending: Ending,
}

impl Load {
    /// One connection that sends these bytes and reads the answer.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let bytes = Arc::new(bytes);
        Self::made(move |_, _| Arc::clone(&bytes))
    }

    /// One connection that sends this request and reads the answer.
    pub(crate) fn ask(request: &Request) -> Self {
        Self::of(request.bytes())
    }

    /// One connection whose bytes are made when it is opened.
    pub(crate) fn made(bytes: impl Fn(usize, usize) -> Arc<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self {
            connections: 1,
            rounds: 1,
            bytes: Arc::new(bytes),
            piece: usize::MAX,
            pause: Duration::ZERO,
            ending: Ending::ReadAll,
        }
    }

    pub(crate) fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    pub(crate) fn dripping(mut self, piece: usize, pause_ms: u64) -> Self {
        self.piece = piece;
        self.pause = Duration::from_millis(pause_ms);
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    pub(crate) fn held(self, seconds: u64) -> Self {
        self.ending(Ending::Hold(Duration::from_secs(seconds)))
    }
}
