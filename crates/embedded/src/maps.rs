//! Computes the view rows of documents on a few threads. Each thread keeps compiled map functions, and
//! databases whose views have the same source share one.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Deadline, StoreError};
use md5::{Digest, Md5};
use tokio::sync::oneshot;

use crate::catalogue::MapSource;
use crate::error::{deadline_exceeded, in_time, invalid};
use crate::rows::Rows;
use crate::sandbox::{Limits, MapFailure, Sandbox};
use crate::workers::{Claim, Size, Workers};

/// How many compiled map functions a thread keeps. Each is a runtime of about 100 kB.
const KEPT_SANDBOXES: usize = 64;

/// Mapping documents with more bytes than this together is a large job.
const LARGE_BYTES: usize = 16 << 10;

/// When a view is built, a map may take this many times the time that it has during a write. A document that
/// was accepted must not fall out of a view because the machine is slower that day.
pub(crate) const BUILD_EFFORT: u32 = 5;

/// A runtime that has read a document with more bytes than this is dropped, because its heap has grown.
const KEPT_BYTES: usize = 256 << 10;

/// A document to run maps on. The id is used in log messages.
#[derive(Clone, Debug)]
pub(crate) struct MapInput {
    pub(crate) id: String,
    pub(crate) text: Arc<str>,
}

/// A map reached a limit on a document, so the document's rows are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitReached(pub(crate) String);

/// The rows of one document for each map, in the order in which the maps were given.
pub(crate) type RowsByMap = Vec<Result<Rows, LimitReached>>;

/// The threads that run map functions.
pub(crate) struct Maps(Workers<Sandboxes>);

impl Maps {
    pub(crate) fn start(threads: usize, limits: Limits) -> std::io::Result<Self> {
        Workers::start("map", threads, move || Sandboxes { limits: limits.clone(), kept: Vec::new() })
            .map(Self)
    }

    /// Runs each map on each document of the database. The results have the order of `docs`, then of
    /// `maps`.
    pub(crate) async fn rows(
        &self,
        db: i64,
        docs: Vec<MapInput>,
        maps: Vec<Arc<MapSource>>,
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        if maps.is_empty() {
            return Ok(docs.iter().map(|_| Vec::new()).collect());
        }
        self.0
            .run(claim(db, &docs), deadline, move |sandboxes| sandboxes.rows(&docs, &maps, 1, deadline))
            .await
    }

    /// Runs each map on a document, and calls `then` with the rows on the map thread. `then` answers the caller, and so
    /// does an error. Nothing is done for a caller who has gone away.
    ///
    /// # Errors
    /// `Busy` if too many jobs wait.
    pub(crate) fn hand_over<R: Send + 'static>(
        &self,
        (db, doc): (i64, MapInput),
        maps: Vec<Arc<MapSource>>,
        deadline: Deadline,
        reply: oneshot::Sender<Result<R, StoreError>>,
        then: impl FnOnce(RowsByMap, oneshot::Sender<Result<R, StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let docs = [doc];
        self.0.hand_over(claim(db, &docs), move |sandboxes| {
            if reply.is_closed() {
                return;
            }
            match in_time(deadline).and_then(|()| sandboxes.rows(&docs, &maps, 1, deadline)) {
                Ok(mut rows) => then(rows.pop().unwrap_or_default(), reply),
                Err(error) => drop(reply.send(Err(error))),
            }
        })
    }

    /// Like [`Maps::rows`], but with more time for each document, for building a view. Blocks the calling thread.
    pub(crate) fn rows_blocking(
        &self,
        db: i64,
        docs: Vec<MapInput>,
        maps: Vec<Arc<MapSource>>,
        patience: Duration,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        let deadline = Deadline::after(patience);
        let claim = claim(db, &docs);
        self.0.run_blocking(claim, deadline, move |sandboxes| {
            sandboxes.rows(&docs, &maps, BUILD_EFFORT, deadline)
        })
    }

    /// Compiles the sources, and returns them if each is a map function.
    ///
    /// # Errors
    /// `Invalid` names the first view whose map does not compile.
    pub(crate) async fn check(
        &self,
        db: i64,
        sources: Vec<(String, Arc<MapSource>)>,
        deadline: Deadline,
    ) -> Result<Vec<(String, Arc<MapSource>)>, StoreError> {
        let check = move |sandboxes: &mut Sandboxes| {
            for (view, source) in &sources {
                match sandboxes.sandbox(source, deadline) {
                    Ok(_) => {}
                    Err(MapFailure::Deadline) => return Err(deadline_exceeded()),
                    Err(MapFailure::Threw(reason) | MapFailure::Limit(reason)) => {
                        return Err(invalid(format!("the map of view {view} does not compile: {reason}")));
                    }
                }
            }
            Ok(sources)
        };
        self.0.run(Claim { db, size: Size::Large }, deadline, check).await
    }
}

fn claim(db: i64, docs: &[MapInput]) -> Claim {
    let bytes = docs.iter().map(|doc| doc.text.len()).fold(0, usize::saturating_add);
    Claim { db, size: if bytes > LARGE_BYTES { Size::Large } else { Size::Small } }
}

/// Computes the hash of a source and keeps both together.
pub(crate) fn source(text: String) -> Arc<MapSource> {
    Arc::new(MapSource { hash: Md5::digest(text.as_bytes()).into(), text })
}

struct Sandboxes {
    limits: Limits,
    /// The most recently used one is last.
    kept: Vec<(Arc<MapSource>, Sandbox)>,
}

impl Sandboxes {
    fn rows(
        &mut self,
        docs: &[MapInput],
        maps: &[Arc<MapSource>],
        effort: u32,
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        let mut rows_of = |doc, map| self.rows_of(doc, map, effort, deadline);
        docs.iter().map(|doc| maps.iter().map(|map| rows_of(doc, map)).collect()).collect()
    }

    /// Runs one map on one document. If the map throws, the document has no rows in that view, as in
    /// CouchDB. Running out of the caller's time is an error, because the map might have emitted rows.
    fn rows_of(
        &mut self,
        doc: &MapInput,
        map: &Arc<MapSource>,
        effort: u32,
        deadline: Deadline,
    ) -> Result<Result<Rows, LimitReached>, StoreError> {
        let emitted = self
            .sandbox(map, deadline)
            .and_then(|sandbox| sandbox.map(&doc.text, effort, deadline.instant()));
        if doc.text.len() > KEPT_BYTES || matches!(emitted, Err(MapFailure::Deadline | MapFailure::Limit(_)))
        {
            self.forget(map);
        }
        match emitted {
            Ok(emitted) => Ok(Ok(Rows::new(&doc.id, emitted).unwrap_or_else(|error| {
                log::debug!(
                    "document {} has no rows in a view: cannot parse an emitted key: {error}",
                    doc.id
                );
                Rows::default()
            }))),
            Err(MapFailure::Deadline) => Err(deadline_exceeded()),
            Err(MapFailure::Threw(reason)) => {
                log::debug!("document {} has no rows in a view: the map threw {reason}", doc.id);
                Ok(Ok(Rows::default()))
            }
            Err(MapFailure::Limit(reason)) => {
                let head: String = map.text.chars().take(60).collect();
                Ok(Err(LimitReached(format!("{reason} (the map begins with {head:?})"))))
            }
        }
    }

    fn sandbox(&mut self, map: &Arc<MapSource>, deadline: Deadline) -> Result<&mut Sandbox, MapFailure> {
        let kept = match self.kept.iter().position(|(source, _)| source == map) {
            Some(at) => self.kept.remove(at),
            None => {
                if self.kept.len() >= KEPT_SANDBOXES {
                    self.kept.remove(0);
                }
                (Arc::clone(map), Sandbox::compile(&map.text, &self.limits, deadline.instant())?)
            }
        };
        self.kept.push(kept);
        match self.kept.last_mut() {
            Some((_, sandbox)) => Ok(sandbox),
            None => Err(MapFailure::Limit("no room for a map".to_owned())),
        }
    }

    /// Drops a runtime. After running out of memory it is unusable.
    fn forget(&mut self, map: &Arc<MapSource>) {
        self.kept.retain(|(source, _)| source != map);
    }
}
