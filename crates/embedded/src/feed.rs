//! The changes feed. It reads pages of documents in the order of their sequence, and a waiting feed wakes
//! up after the writer's next commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use datastore::{Change, ChangesQuery, DbName, Deadline, DocId, Document, Feed, Since, StoreError};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use crate::catalogue::{Db, Progress, database_missing};
use crate::embedded::Inner;
use crate::error::{SqliteResult, closed, invalid};
use crate::read::stored_rev;
use crate::recent::Committed;
use crate::workers::{Claim, Size};

/// The most changes that one read returns.
const PAGE: i64 = 500;

/// The longest pause between two attempts, when a waiting feed cannot read.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long a watching feed rests after it has told changes. Then it tells all that came meanwhile, so under many writes
/// the writer wakes no task for each of them.
const REST: Duration = Duration::from_millis(4);

/// A running changes feed.
pub(crate) struct ChangesFeed {
    inner: Arc<Inner>,
    name: DbName,
    query: ChangesQuery,
    rest: Duration,
    /// Whether it has told changes since it rested last.
    is_due_to_rest: bool,
    at: Option<Position>,
    page: VecDeque<Change>,
    left: u64,
    has_told: bool,
    ended: bool,
}

/// The database that a feed reads, and how far it has read.
struct Position {
    db: Arc<Db>,
    progress: watch::Receiver<Progress>,
    seq: i64,
}

impl ChangesFeed {
    pub(crate) fn new(inner: Arc<Inner>, name: DbName, query: ChangesQuery) -> Self {
        let left = query.limit.unwrap_or(u64::MAX);
        let page = VecDeque::new();
        Self {
            inner,
            name,
            query,
            rest: Duration::ZERO,
            is_due_to_rest: false,
            at: None,
            page,
            left,
            has_told: false,
            ended: false,
        }
    }

    /// The changes from now on. After it has told some, it rests for a few milliseconds before it tells more.
    pub(crate) fn watching(inner: Arc<Inner>, name: DbName) -> Self {
        let query = ChangesQuery { since: Since::Now, feed: Feed::Continuous, ..ChangesQuery::default() };
        Self { rest: REST, ..Self::new(inner, name, query) }
    }

    /// Finds the position to start from now, and not at the first change.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.head().map(drop)
    }

    /// The next change; `None` at the end. An error ends the feed.
    pub(crate) async fn next(&mut self) -> Option<Result<Change, StoreError>> {
        if self.ended || self.left == 0 {
            return None;
        }
        let next = self.advance().await;
        let next = self.inner.advised(next).transpose();
        match &next {
            Some(Ok(_)) => {
                self.left -= 1;
                self.has_told = true;
            }
            _ => self.ended = true,
        }
        next
    }

    async fn advance(&mut self) -> Result<Option<Change>, StoreError> {
        loop {
            if *self.inner.closed.borrow() {
                return Err(closed());
            }
            if let Some(change) = self.page.pop_front() {
                self.is_due_to_rest = !self.rest.is_zero();
                return Ok(Some(change));
            }
            let mut closing = self.inner.closed.subscribe();
            if std::mem::take(&mut self.is_due_to_rest) {
                tokio::select! {
                    () = tokio::time::sleep(self.rest) => {}
                    _ = closing.wait_for(|closed| *closed) => return Err(closed()),
                }
            }
            let head = self.head()?;
            let Some(at) = &mut self.at else { return Ok(None) };
            if at.seq < head {
                self.read_page(head).await?;
                continue;
            }
            match self.query.feed {
                Feed::Normal => return Ok(None),
                Feed::Longpoll if self.has_told => return Ok(None),
                Feed::Longpoll | Feed::Continuous => {}
            }
            tokio::select! {
                // This cannot fail: `Position` holds the database, which holds the sender.
                _ = at.progress.changed() => {}
                _ = closing.wait_for(|closed| *closed) => return Err(closed()),
            }
        }
    }

    /// The newest sequence of the database. The first call also finds the position to start from.
    fn head(&mut self) -> Result<i64, StoreError> {
        let at = match &mut self.at {
            Some(at) => at,
            none => {
                let db = self.inner.catalogue.load(&self.name)?;
                let progress = db.progress.subscribe();
                let head = progress.borrow().seq;
                let seq = match &self.query.since {
                    Since::Beginning => 0,
                    Since::Now => head,
                    Since::Seq(text) => start(text, &db, head)?,
                };
                none.insert(Position { db, progress, seq })
            }
        };
        let progress = *at.progress.borrow_and_update();
        if progress.gone { Err(database_missing(&self.name)) } else { Ok(progress.seq) }
    }

    /// Reads the next page. A longpoll or continuous feed retries after a failure; a normal feed ends.
    async fn read_page(&mut self, head: i64) -> Result<(), StoreError> {
        let Some(at) = &mut self.at else { return Ok(()) };
        let (db, seq, include_docs) = (at.db.id, at.seq, self.query.include_docs);
        if !include_docs && let Some(recent) = at.db.recent.between(seq, head) {
            at.seq = head;
            self.page = recent.into_iter().map(|change| told(change, db)).collect();
            return Ok(());
        }
        let most_bytes = self.inner.settings.page_bytes;
        let mut pause = Duration::from_millis(50);
        let page = loop {
            let deadline = Deadline::after(self.inner.settings.batch_timeout);
            let claim = Claim { db, size: Size::Small };
            let read = self.inner.scanners.run(claim, deadline, move |scanner| {
                changes(scanner.until(deadline)?, db, (seq, head), include_docs, most_bytes)
            });
            match read.await {
                Err(error)
                    if error.is_retryable()
                        && self.query.feed != Feed::Normal
                        && !*self.inner.closed.borrow() =>
                {
                    log::warn!("a changes feed of {} could not read and will retry: {error}", self.name);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                page => break page?,
            }
        };
        at.seq = page.last().map_or(head, |(seq, _)| *seq);
        self.page = page.into_iter().map(|(_, change)| change).collect();
        Ok(())
    }
}

/// The position that a client's sequence names. The feed starts from the beginning if the sequence belongs
/// to an older database with the same name, or if it is newer than the database (after a restored backup).
/// The client then sees some changes twice but misses none.
fn start(text: &str, db: &Db, head: i64) -> Result<i64, StoreError> {
    let bad = || invalid(format!("{text:?} is not a sequence of this store"));
    let (seq, id) = text.split_once('-').ok_or_else(bad)?;
    let (seq, id): (i64, i64) = (seq.parse().map_err(|_| bad())?, id.parse().map_err(|_| bad())?);
    Ok(if id == db.id && (0..=head).contains(&seq) { seq } else { 0 })
}

/// The sequence as clients see it: the number, and the database that it belongs to.
pub(crate) fn seq_text(seq: i64, db: i64) -> String {
    format!("{seq}-{db}")
}

fn told(Committed { seq, id, rev, deleted }: Committed, db: i64) -> Change {
    Change { seq: seq_text(seq, db), id, rev, deleted, doc: None }
}

/// Reads a page of changes after `from`, up to and including `head`.
fn changes(
    connection: &Connection,
    db: i64,
    (from, head): (i64, i64),
    include_docs: bool,
    most_bytes: usize,
) -> Result<Vec<(i64, Change)>, StoreError> {
    let what = "reading changes";
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, id, rev, text IS NULL, iif(?5, text, NULL) FROM doc
             WHERE db = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
        )
        .during(what)?;
    let mut rows = statement.query(params![db, from, head, PAGE, include_docs]).during(what)?;
    let (mut page, mut bytes) = (Vec::new(), 0usize);
    while let Some(row) = rows.next().during(what)? {
        let text = |column| row.get::<_, String>(column).during(what);
        let seq: i64 = row.get(0).during(what)?;
        let (id, rev) = (DocId::from_store(text(1)?), stored_rev(&text(2)?)?);
        let deleted = row.get(3).during(what)?;
        let content: Option<Arc<str>> = row.get(4).during(what)?;
        bytes = bytes.saturating_add(content.as_ref().map_or(0, |text| text.len()));
        let doc = content.map(|text| Document::new(id.clone(), rev.clone(), text));
        page.push((seq, Change { seq: seq_text(seq, db), id, rev, deleted, doc }));
        if bytes >= most_bytes {
            break;
        }
    }
    Ok(page)
}
