//! Brokers that speak AMQP 0-9-1, by way of lapin. The exchange is Kazoo's: it is declared where it is missing,
//! as Kazoo declares it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use futures::stream::{self, Stream, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ConnectionProperties, ErrorKind, Event, ExchangeKind};
use tokio::time::{Instant, timeout};

use crate::broker::{BrokerError, Brokers, Connection, Outcome, Payloads};
use crate::broker_url::BrokerUrl;
use crate::notice::Message;

/// Kazoo's exchange for changes of documents.
const EXCHANGE: &str = "configuration";

/// How long it may take to connect, to find the exchange, and to open a channel.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How many notices of others may wait for this process: at the broker, and in its own memory.
const MAX_UNHEARD: i32 = 100_000;
const PREFETCH: u16 = 500;

/// How long a broker may take to confirm a notice. The time in which it says that it is overloaded does not
/// count.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether the broker says so.
const CONFIRM_LOOK: Duration = Duration::from_secs(5);

/// The brokers that a server may use, in the order of preference.
#[derive(Clone, Debug)]
pub struct Amqp {
    urls: Vec<BrokerUrl>,
    node: String,
}

impl Amqp {
    /// Brokers for a node of this name, which the brokers show for its connection.
    #[must_use]
    pub fn new(urls: Vec<BrokerUrl>, node: String) -> Self {
        Self { urls, node }
    }
}

impl Brokers for Amqp {
    fn count(&self) -> usize {
        self.urls.len()
    }

    fn name(&self, number: usize) -> String {
        self.urls.get(number).map(ToString::to_string).unwrap_or_default()
    }

    fn connect(&self, number: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, BrokerError>> {
        Box::pin(async move {
            let connection: Box<dyn Connection> = Box::new(self.opened(number, open).await?);
            Ok(connection)
        })
    }

    fn listen(&self, number: usize) -> BoxFuture<'_, Result<Payloads, BrokerError>> {
        Box::pin(async move {
            let queue = self.opened(number, OpenQueue::open).await?;
            Ok(stream::unfold(queue, OpenQueue::next).boxed())
        })
    }
}

impl Amqp {
    /// Whether a broker has Kazoo's exchange. Nothing is declared.
    ///
    /// # Errors
    /// Why the broker cannot be asked.
    pub async fn has_exchange(&self, number: usize) -> Result<bool, BrokerError> {
        let asked = self.opened(number, async |connection| {
            let channel = connection.create_channel().await?;
            match declare(&channel, true).await {
                Ok(()) => Ok(true),
                Err(error) if is_missing(&error) => Ok(false),
                Err(error) => Err(error),
            }
        });
        asked.await
    }

    /// Whether the user may write to Kazoo's exchange, which must be there. A message is sent in a transaction that is
    /// rolled back, so no queue gets it: the broker refuses a user without the right before that.
    ///
    /// # Errors
    /// Why the broker cannot be asked.
    pub async fn may_write(&self, number: usize) -> Result<bool, BrokerError> {
        let asked = self.opened(number, async |connection| {
            let channel = connection.create_channel().await?;
            let events = connection.events_listener();
            channel.tx_select().await?;
            let (key, options) =
                (ShortString::from("crossbar_groups.doctor"), BasicPublishOptions::default());
            channel.basic_publish(EXCHANGE.into(), key, options, b"", BasicProperties::default()).await?;
            let Err(error) = channel.tx_rollback().await else { return Ok(true) };
            // A channel that is closing already tells the reason as an event.
            let error = match error.kind() {
                ErrorKind::InvalidChannelState(..) => reason(events).await.unwrap_or(error),
                _ => error,
            };
            if is_refused(&error) { Ok(false) } else { Err(error) }
        });
        asked.await
    }

    /// Opens something on a new connection to a broker, in a bounded time.
    async fn opened<T, F>(
        &self,
        number: usize,
        open: impl FnOnce(lapin::Connection) -> F,
    ) -> Result<T, BrokerError>
    where
        F: Future<Output = lapin::Result<T>>,
    {
        let uri = self.urls.get(number).ok_or("there is no such broker")?.uri();
        let properties = ConnectionProperties::default().with_connection_name(self.node.as_str().into());
        let opened = async { open(lapin::Connection::connect_uri(uri.clone(), properties).await?).await };
        match timeout(CONNECT_PATIENCE, opened).await {
            Ok(opened) => opened.map_err(|error| BrokerError(error.to_string())),
            Err(_) => Err("it does not answer".into()),
        }
    }
}

/// A queue of this connection's own, which gets everything that is published.
struct OpenQueue {
    consumer: lapin::Consumer,
    /// The queue ends with the connection.
    _connection: lapin::Connection,
}

impl OpenQueue {
    async fn open(connection: lapin::Connection) -> lapin::Result<Self> {
        let channel = channel_with_exchange(&connection).await?;
        // If this process is held up for long, the broker drops the oldest and does not fill its memory.
        let mut limits = FieldTable::default();
        limits.insert("x-max-length".into(), AMQPValue::LongInt(MAX_UNHEARD));
        let options =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, limits).await?;
        let name = queue.name().clone();
        let (every_key, no_table) = ("#".into(), FieldTable::default);
        channel
            .queue_bind(name.clone(), EXCHANGE.into(), every_key, QueueBindOptions::default(), no_table())
            .await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let consumer =
            channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), no_table()).await?;
        Ok(Self { consumer, _connection: connection })
    }

    async fn next(mut self) -> Option<(Result<Vec<u8>, BrokerError>, Self)> {
        let next = match self.consumer.next().await? {
            Ok(delivery) => {
                let acknowledged = delivery.ack(BasicAckOptions::default()).await;
                acknowledged.map(|_| delivery.data)
            }
            Err(error) => Err(error),
        };
        Some((next.map_err(|error| BrokerError(error.to_string())), self))
    }
}

/// An open connection.
struct OpenConnection {
    connection: Arc<lapin::Connection>,
    channel: Channel,
}

async fn open(connection: lapin::Connection) -> lapin::Result<OpenConnection> {
    let channel = channel_with_exchange(&connection).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(OpenConnection { connection: Arc::new(connection), channel })
}

/// A channel, once the exchange is there. To look for it needs no permission to configure the broker, and does
/// no harm where somebody has declared it in another way. A broker closes the channel if it is missing.
async fn channel_with_exchange(connection: &lapin::Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    match declare(&channel, true).await {
        Err(error) if is_missing(&error) => {}
        found => return found.map(|()| channel),
    }
    let channel = connection.create_channel().await?;
    declare(&channel, false).await?;
    log::info!("declared the exchange {EXCHANGE}, which the broker did not have");
    Ok(channel)
}

async fn declare(channel: &Channel, passive: bool) -> lapin::Result<()> {
    // Kazoo's: neither durable nor deleted with its last user.
    let options = ExchangeDeclareOptions { passive, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// The next error of a connection.
async fn reason(events: impl Stream<Item = Event>) -> Option<lapin::Error> {
    futures::pin_mut!(events);
    loop {
        if let Event::Error(error) = events.next().await? {
            return Some(error);
        }
    }
}

fn is_missing(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::NOTFOUND)
}

fn is_refused(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::ACCESSREFUSED)
}

/// Whether the broker has closed the channel with this error.
fn is_soft(error: &lapin::Error, wanted: &AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(error) if error == wanted)
        }
        _ => false,
    }
}

impl Connection for OpenConnection {
    fn publish(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Outcome>, BrokerError>> {
        Box::pin(async move {
            let publish = publish(&self.channel, &messages);
            futures::pin_mut!(publish);
            let mut began = Instant::now();
            let mut has_told = false;
            loop {
                if let Ok(outcomes) = timeout(CONFIRM_LOOK, &mut publish).await {
                    return outcomes.map_err(|error| BrokerError(error.to_string()));
                }
                if self.connection.status().blocked() {
                    began = Instant::now();
                    if !std::mem::replace(&mut has_told, true) {
                        log::warn!("the broker is overloaded and takes no change notices now: they wait");
                    }
                } else if began.elapsed() >= CONFIRM_PATIENCE {
                    return Err(BrokerError("it does not confirm what it gets".to_owned()));
                }
            }
        })
    }

    fn broken(&self) -> BoxFuture<'static, BrokerError> {
        let events = self.connection.events_listener();
        let error = async move {
            futures::pin_mut!(events);
            loop {
                match events.next().await {
                    Some(Event::Error(error)) => return BrokerError(error.to_string()),
                    Some(_) => {}
                    None => return BrokerError("the connection has ended".to_owned()),
                }
            }
        };
        error.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // An error means that the connection is broken.
        self.connection.close(200, "done".into()).map(drop).boxed()
    }
}

/// Sends messages and waits for all confirmations. lapin hands a returned message to any confirmation that comes
/// next, so which one came back is known only when all confirmations are there.
async fn publish(channel: &Channel, messages: &[Message]) -> lapin::Result<Vec<Outcome>> {
    let mut confirmations = Vec::with_capacity(messages.len());
    for message in messages {
        let key = ShortString::try_new(message.routing_key.as_str());
        let key = key.map_err(|error| lapin::Error::from(std::io::Error::other(error)))?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_timestamp(message.timestamp_us);
        let payload = message.payload.as_bytes();
        confirmations.push(channel.basic_publish(EXCHANGE.into(), key, options, payload, properties).await?);
    }
    let confirmations = try_join_all(confirmations).await?;
    let is_refused: Vec<bool> = confirmations.iter().map(Confirmation::is_nack).collect();
    let returned = confirmations.into_iter().filter_map(Confirmation::take_message);
    // Each payload has an id of its own.
    let returned: HashSet<Vec<u8>> = returned.map(|message| message.delivery.data).collect();
    let outcome = |(message, is_refused): (&Message, bool)| {
        if is_refused {
            Outcome::Refused
        } else if returned.contains(message.payload.as_bytes()) {
            Outcome::Returned
        } else {
            Outcome::Delivered
        }
    };
    Ok(messages.iter().zip(is_refused).map(outcome).collect())
}
