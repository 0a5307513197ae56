//! The boundary to a message broker: connections, and what becomes of a message. `amqp` implements it, and so do
//! tests.

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::notice::Message;

/// Opens connections to brokers.
pub trait Brokers: Send + Sync {
    /// How many brokers there are.
    fn count(&self) -> usize;

    /// The address of one of them, without credentials.
    fn name(&self, number: usize) -> String;

    /// Connects to one of them, by its number.
    fn connect(&self, number: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, BrokerError>>;

    /// Listens to everything that is published from now on, on a connection of its own. The stream has the payloads.
    /// It ends when the connection does.
    fn listen(&self, number: usize) -> BoxFuture<'_, Result<Payloads, BrokerError>>;
}

/// The payloads of messages, as they come.
pub type Payloads = BoxStream<'static, Result<Vec<u8>, BrokerError>>;

/// A connection to a broker.
pub trait Connection: Send + Sync {
    /// Sends messages, and waits until the broker has dealt with all of them. The outcomes have the order of the
    /// messages. Only one call runs at a time.
    fn publish(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Outcome>, BrokerError>>;

    /// Waits until the connection breaks, and says why.
    fn broken(&self) -> BoxFuture<'static, BrokerError>;

    /// Closes the connection, and waits until the broker has dealt with all that it has read from it. If the
    /// connection is broken, that is not known.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A queue has it.
    Delivered,
    /// No queue takes it.
    Returned,
    /// The broker could not take it now.
    Refused,
}

/// A connection that failed. The text says why, without a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(pub String);

impl From<&str> for BrokerError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
