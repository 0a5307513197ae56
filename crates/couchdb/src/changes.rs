//! Change feeds that survive failures. A feed that breaks is opened again after the last change, with growing
//! pauses, until another attempt cannot help.

use std::time::{Duration, Instant};

use datastore::{Change, ChangesQuery, DbName, Deadline, Feed, Rev, Sign, Since};
use futures::TryFutureExt as _;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};
use crate::rows::{Row, RowReader, Step, Wait, parsed, seq_text};
use crate::splitter::Shape;

/// After this many unreadable answers in a row the feed ends: the address is probably wrong.
const MAX_UNREADABLE: u32 = 5;

impl Client {
    /// The changes of a database since a sequence.
    ///
    /// A feed that waits (`Longpoll`, `Continuous`) opens itself again after a failure and goes on after the
    /// last change that it returned. It never returns half a change. It ends with the error if CouchDB
    /// refuses the request (401, 403, 404…). It does not end for 408, 429 or 5xx, or if no answer comes. A
    /// feed that is silent for three heartbeats is opened again. `Since::Now` is the moment of the first poll.
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

    /// The sequence of the newest change. A feed since this sequence returns every later change.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// let seq = client.newest_seq(&db, by).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database.
    pub async fn newest_seq(&self, db: &DbName, deadline: Deadline) -> Result<String, Error> {
        let request = Request::read(Method::GET, Path::db(db), Target::Database);
        let description: Description = self.send_whole(&request, deadline).await?.json()?;
        Ok(seq_text(&description.update_seq))
    }
}

/// The part of a database's description that is read.
#[derive(Deserialize)]
struct Description {
    update_seq: Value,
}

impl Client {
    /// Watches a database from now on. CouchDB shows a sign of life each `heartbeat`; the first one comes when
    /// the feed is open. The stream ends with the error if the connection breaks or is silent for three
    /// heartbeats. It is not opened again, since the caller must know that it may have missed a change.
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use datastore::{DbName, Sign};
    /// use futures::StreamExt;
    ///
    /// let db = DbName::parse("account/ac/co/unt001")?;
    /// let mut signs = client.watch(&db, Duration::from_secs(2));
    /// while let Some(sign) = signs.next().await {
    ///     match sign? {
    ///         Sign::Alive(time) => println!("nothing was missed; more within {time:?}"),
    ///         Sign::Changed { id, rev } => println!("{id} is now {rev}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign, Error>> {
        let query = ChangesQuery {
            since: Since::Now,
            feed: Feed::Continuous,
            heartbeat: Some(heartbeat),
            ..ChangesQuery::default()
        };
        let follower = Follower::new(self.clone(), db.clone(), query);
        let rows = async move { follower.open(&follower.request(), Shape::Sequence).await };
        rows.map_ok(move |rows| stream::try_unfold(rows, move |rows| next_sign(rows, heartbeat)))
            .try_flatten_stream()
            .boxed()
    }
}

/// A sign of life is late after one and a half heartbeats.
async fn next_sign(
    mut rows: RowReader<Change>,
    heartbeat: Duration,
) -> Result<Option<(Sign, RowReader<Change>)>, Error> {
    Ok(match rows.advance().await? {
        Step::Row(Change { id, rev, .. }) => Some((Sign::Changed { id, rev }, rows)),
        Step::Pause => Some((Sign::Alive(heartbeat.saturating_mul(3) / 2), rows)),
        Step::End => None,
    })
}

/// An open feed.
struct Connection {
    rows: RowReader<Change>,
    opened: Instant,
}

struct Follower {
    client: Client,
    db: DbName,
    query: ChangesQuery,
    connection: Option<Connection>,
    /// Failures since the last change.
    failures: u32,
    /// Unreadable answers since the last change.
    unreadable: u32,
    returned: u64,
    is_over: bool,
}

impl Follower {
    fn new(client: Client, db: DbName, query: ChangesQuery) -> Self {
        Self { client, db, query, connection: None, failures: 0, unreadable: 0, returned: 0, is_over: false }
    }

    async fn next(&mut self) -> Option<Result<Change, Error>> {
        loop {
            if self.is_over || self.query.limit.is_some_and(|limit| self.returned >= limit) {
                return None;
            }
            match self.step().await {
                Ok(Some(change)) => {
                    self.query.since = Since::Seq(change.seq.clone());
                    self.failures = 0;
                    self.unreadable = 0;
                    self.returned += 1;
                    return Some(Ok(change));
                }
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

    /// Opens the feed, or reads on in it. `None` if that gave no change.
    async fn step(&mut self) -> Result<Option<Change>, Error> {
        let Some(connection) = &mut self.connection else {
            if self.waits() && self.query.since == Since::Now {
                // A sequence stays the same moment if the connection breaks.
                self.query.since = Since::Seq(self.current_seq().await?);
            }
            let shape = match self.mode() {
                Feed::Continuous => Shape::Sequence,
                Feed::Normal | Feed::Longpoll => Shape::ArrayIn("results"),
            };
            let rows = self.open(&self.request(), shape).await?;
            self.connection = Some(Connection { rows, opened: Instant::now() });
            return Ok(None);
        };
        let change = connection.rows.next().await?;
        if change.is_none() {
            let last_seq = connection.rows.last_seq();
            self.ended(last_seq).await;
        }
        Ok(change)
    }

    /// The server ended the feed without an error.
    async fn ended(&mut self, last_seq: Option<String>) {
        let connection = self.connection.take();
        if let Some(seq) = last_seq {
            self.query.since = Since::Seq(seq);
        }
        if self.mode() == Feed::Normal {
            self.is_over = true;
        } else if self.query.limit.is_none_or(|limit| self.returned < limit) {
            self.pause(connection.as_ref()).await;
        }
    }

    /// Waits before the next attempt, or returns the error if there will be none.
    async fn failed(&mut self, error: Error) -> Option<Error> {
        let connection = self.connection.take();
        let may_recover = match &error {
            Error::Transport { .. } | Error::Unavailable(_) => true,
            Error::Unreadable { .. } => {
                self.unreadable += 1;
                self.unreadable < MAX_UNREADABLE
            }
            _ => false,
        };
        if !self.waits() || !may_recover {
            return Some(error);
        }
        log::warn!(db = self.db.as_str(), failures_before = self.failures; "a change feed failed and is opened again: {error}");
        self.pause(connection.as_ref()).await;
        None
    }

    async fn pause(&mut self, connection: Option<&Connection>) {
        let backoff = self.client.settings().feed_backoff;
        // A connection that lived long counts as a success, even without a change.
        if connection.is_some_and(|connection| connection.opened.elapsed() > backoff.cap) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        sleep(backoff.delay(self.failures)).await;
    }

    /// Whether the feed is opened again after a failure.
    fn waits(&self) -> bool {
        self.query.feed != Feed::Normal
    }

    /// The kind of feed to ask for now. A longpoll that returned a change does not wait again.
    fn mode(&self) -> Feed {
        match self.query.feed {
            Feed::Longpoll if self.returned > 0 => Feed::Normal,
            feed => feed,
        }
    }

    fn heartbeat(&self) -> Duration {
        self.query.heartbeat.unwrap_or(self.client.settings().heartbeat).max(Duration::from_millis(1))
    }

    /// How long the server may be silent. A feed that does not wait has no heartbeats, and its first change
    /// may take a while.
    fn silence(&self) -> Duration {
        match self.mode() {
            Feed::Normal => self.client.settings().request_timeout,
            Feed::Longpoll | Feed::Continuous => self.heartbeat().saturating_mul(3),
        }
    }

    async fn open(&self, request: &Request, shape: Shape) -> Result<RowReader<Change>, Error> {
        let silence = self.silence();
        let reply = self.client.open(request, silence).await?;
        let max_row_bytes = self.client.settings().max_row_bytes;
        Ok(RowReader::new(reply, shape, Wait::Silence(silence), max_row_bytes, read_change))
    }

    async fn current_seq(&self) -> Result<String, Error> {
        let request = self.bare_request().with_query("since", "now").with_query("limit", 1);
        let mut rows = self.open(&request, Shape::ArrayIn("results")).await?;
        match rows.next().await? {
            Some(change) => Ok(change.seq),
            None => rows.last_seq().ok_or_else(|| Error::unreadable(rows.call(), "no last_seq")),
        }
    }

    /// A request without parameters. Compression would hold changes back until a block is full.
    fn bare_request(&self) -> Request {
        Request::read(Method::GET, Path::db(&self.db).resource("_changes"), Target::Database).uncompressed()
    }

    fn request(&self) -> Request {
        let since = match &self.query.since {
            Since::Beginning => "0",
            Since::Now => "now",
            Since::Seq(seq) => seq,
        };
        let mut request = self.bare_request().with_query("since", since);
        let feed = match self.mode() {
            Feed::Normal => None,
            Feed::Longpoll => Some("longpoll"),
            Feed::Continuous => Some("continuous"),
        };
        if let Some(feed) = feed {
            request = request.with_query("feed", feed).with_query("heartbeat", self.heartbeat().as_millis());
        }
        if let Some(limit) = self.query.limit {
            request = request.with_query("limit", limit - self.returned);
        }
        if self.query.include_docs {
            request = request.with_query("include_docs", true);
        }
        request
    }
}

fn read_change(row: &Row<'_>) -> Result<Change, Error> {
    row.check()?;
    let id = row.id().ok_or_else(|| row.unreadable("a change without an id"))?;
    let seq = row.seq().ok_or_else(|| row.unreadable("a change without a sequence"))?;
    let changes = parsed(row.changes);
    let rev = changes.as_ref().and_then(|changes| changes.get(0)?.get("rev")?.as_str());
    let rev = rev.and_then(|rev| Rev::parse(rev).ok());
    let rev = rev.ok_or_else(|| row.unreadable("a change without a revision"))?;
    let deleted = row.deleted.map(RawValue::get) == Some("true");
    Ok(Change { seq, id, rev, deleted, doc: row.document()? })
}
