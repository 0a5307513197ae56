//! Change feeds that survive: opened again from the last sequence seen, with a capped back-off, until
//! trying again cannot help.

use std::time::Duration;

use datastore::{Change, ChangesQuery, DbName, Feed, Since};
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::Method;
use tokio::time::sleep;

use crate::client::{Ask, Encoding, db_path};
use crate::error::About;
use crate::feed_rows::{Connection, Limits, Said};
use crate::splitter::Shape;
use crate::{Client, Error};

/// So often in a row a feed may answer with something unreadable before that is taken for its nature.
const MAX_UNREADABLE: u32 = 5;

impl Client {
    /// The changes of a database since a sequence.
    ///
    /// A feed that waits (`Longpoll`, `Continuous`) comes back by itself after a failure, after the last
    /// change that it handed out; half of a change is none. It ends with the error where CouchDB refuses
    /// (401, 403, 404…), but not for 408, 429, 5xx or where no answer comes. A feed that is silent for
    /// three heartbeats is taken for dead. `Since::Now` is the moment of the first poll.
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use datastore::{ChangesQuery, DbName, Feed, Since};
    /// use futures::StreamExt;
    ///
    /// let db = DbName::parse("account/ac/co/unt001")?;
    /// let query = ChangesQuery { since: Since::Now, feed: Feed::Continuous, ..ChangesQuery::default() };
    /// let mut changes = client.changes(&db, query);
    /// while let Some(change) = changes.next().await {
    ///     let change = change?;
    ///     println!("{} is now {}", change.id, change.rev);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change, Error>> {
        stream::unfold(Follower::new(self.clone(), db.clone(), query), |mut follower| async move {
            follower.next().await.map(|change| (change, follower))
        })
        .fuse()
        .boxed()
    }
}

struct Follower {
    client: Client,
    db: DbName,
    query: ChangesQuery,
    connection: Option<Connection>,
    /// In a row, without a change between them.
    failures: u32,
    unreadable: u32,
    handed_out: u64,
    is_over: bool,
}

impl Follower {
    fn new(client: Client, db: DbName, query: ChangesQuery) -> Self {
        Self {
            client,
            db,
            query,
            connection: None,
            failures: 0,
            unreadable: 0,
            handed_out: 0,
            is_over: false,
        }
    }

    async fn next(&mut self) -> Option<Result<Change, Error>> {
        loop {
            if self.is_over || self.query.limit.is_some_and(|limit| self.handed_out >= limit) {
                return None;
            }
            match self.step().await {
                Ok(Some(Said::Change(change))) => {
                    self.query.since = Since::Seq(change.seq.clone());
                    self.failures = 0;
                    self.unreadable = 0;
                    self.handed_out += 1;
                    return Some(Ok(change));
                }
                Ok(Some(Said::End(last_seq))) => self.ended(last_seq).await,
                Ok(None) => {}
                Err(error) => {
                    if let Some(error) = self.failed(error).await {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Opens the feed, or reads on in it.
    async fn step(&mut self) -> Result<Option<Said>, Error> {
        if let Some(connection) = &mut self.connection {
            return connection.next().await.map(Some);
        }
        if self.waits() && self.query.since == Since::Now {
            // As a sequence it stays the same moment when the connection breaks.
            self.query.since = Since::Seq(self.current_seq().await?);
        }
        let ask = self.ask();
        let limits = self.limits();
        let answer = self.client.open_feed(&ask, limits.silence).await?;
        let shape = match self.mode() {
            Feed::Continuous => Shape::Sequence,
            Feed::Normal | Feed::Longpoll => Shape::ArrayIn("results"),
        };
        self.connection = Some(Connection::new(answer, shape, limits));
        Ok(None)
    }

    /// The server has ended the feed in good order.
    async fn ended(&mut self, last_seq: Option<String>) {
        let connection = self.connection.take();
        if let Some(seq) = last_seq {
            self.query.since = Since::Seq(seq);
        }
        if self.mode() == Feed::Normal {
            self.is_over = true;
        } else if self.query.limit.is_none_or(|limit| self.handed_out < limit) {
            self.pause(connection.as_ref()).await;
        }
    }

    /// Waits before the next attempt, or gives the error back where there shall be none.
    async fn failed(&mut self, error: Error) -> Option<Error> {
        let connection = self.connection.take();
        let may_pass = match &error {
            Error::Transport(_) | Error::Unavailable(_) => true,
            Error::Unreadable { .. } => {
                self.unreadable += 1;
                self.unreadable < MAX_UNREADABLE
            }
            _ => false,
        };
        if !self.waits() || !may_pass {
            return Some(error);
        }
        log::warn!(db = self.db.as_str(), failures_before = self.failures; "change feed broke off: {error}");
        self.pause(connection.as_ref()).await;
        None
    }

    async fn pause(&mut self, connection: Option<&Connection>) {
        let backoff = self.client.settings().feed_backoff;
        // One that has lived for long was a good one, even if there was nothing to say.
        if connection.is_some_and(|connection| connection.age() > backoff.cap) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        sleep(backoff.delay(self.failures)).await;
    }

    /// Whether the feed comes back after a failure.
    fn waits(&self) -> bool {
        self.query.feed != Feed::Normal
    }

    /// What to ask for now: a longpoll that has told of something waits no more.
    fn mode(&self) -> Feed {
        match self.query.feed {
            Feed::Longpoll if self.handed_out > 0 => Feed::Normal,
            feed => feed,
        }
    }

    fn heartbeat(&self) -> Duration {
        self.query.heartbeat.unwrap_or(self.client.settings().heartbeat).max(Duration::from_millis(1))
    }

    /// A feed that does not wait has no heartbeat; its first change may be long in coming.
    fn limits(&self) -> Limits {
        let settings = self.client.settings();
        let silence = match self.mode() {
            Feed::Normal => settings.request_timeout,
            Feed::Longpoll | Feed::Continuous => self.heartbeat().saturating_mul(3),
        };
        Limits { silence, max_row_bytes: settings.max_row_bytes }
    }

    async fn current_seq(&self) -> Result<String, Error> {
        let mut ask = self.bare_ask();
        ask.query = vec![("since", "now".to_owned()), ("limit", "1".to_owned())];
        let limits = self.limits();
        let answer = self.client.open_feed(&ask, limits.silence).await?;
        let call = answer.call.clone();
        let mut connection = Connection::new(answer, Shape::ArrayIn("results"), limits);
        match connection.next().await? {
            Said::Change(change) => Ok(change.seq),
            Said::End(Some(seq)) => Ok(seq),
            Said::End(None) => Err(Error::unreadable(&call, "no last_seq")),
        }
    }

    fn bare_ask(&self) -> Ask {
        let mut ask = Ask::read(Method::GET, format!("{}/_changes", db_path(&self.db)), About::Database);
        ask.encoding = Encoding::Identity;
        ask
    }

    fn ask(&self) -> Ask {
        let mut ask = self.bare_ask();
        let since = match &self.query.since {
            Since::Beginning => "0",
            Since::Now => "now",
            Since::Seq(seq) => seq,
        };
        ask.query.push(("since", since.to_owned()));
        let feed = match self.mode() {
            Feed::Normal => None,
            Feed::Longpoll => Some("longpoll"),
            Feed::Continuous => Some("continuous"),
        };
        if let Some(feed) = feed {
            ask.query.push(("feed", feed.to_owned()));
            ask.query.push(("heartbeat", self.heartbeat().as_millis().to_string()));
        }
        if let Some(limit) = self.query.limit {
            ask.query.push(("limit", (limit - self.handed_out).to_string()));
        }
        if self.query.include_docs {
            ask.query.push(("include_docs", "true".to_owned()));
        }
        ask
    }
}
