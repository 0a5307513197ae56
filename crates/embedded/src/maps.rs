//! Computes the view rows of documents on a few threads. Each thread keeps compiled map functions, and
//! databases whose views have the same source share one.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Deadline, StoreError, json};
use md5::{Digest, Md5};

use crate::catalogue::MapSource;
use crate::collate;
use crate::error::{deadline_exceeded, invalid};
use crate::sandbox::{Emitted, Limits, MapFailure, Sandbox};
use crate::workers::Workers;

/// How many compiled map functions a thread keeps. Each is a runtime of about 100 kB.
const KEPT_SANDBOXES: usize = 64;

/// A row that a document emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EmittedRow {
    /// The key as sortable bytes.
    pub(crate) sort: Vec<u8>,
    /// The key as JSON.
    pub(crate) key: String,
    /// The value as JSON.
    pub(crate) value: String,
}

/// A document to run maps on. The id is used in log messages.
#[derive(Clone, Debug)]
pub(crate) struct MapInput {
    pub(crate) id: String,
    pub(crate) text: Arc<str>,
}

/// The rows of one document: one list for each map, in the order in which the maps were given.
pub(crate) type RowsByMap = Vec<Vec<EmittedRow>>;

/// The threads that run map functions.
pub(crate) struct Maps(Workers<Sandboxes>);

impl Maps {
    pub(crate) fn start(threads: usize, limits: Limits) -> std::io::Result<Self> {
        Workers::start("map", threads, move || Sandboxes { limits: limits.clone(), kept: Vec::new() })
            .map(Self)
    }

    /// Runs each map on each document. The results have the order of `docs`, then of `maps`.
    pub(crate) async fn rows(
        &self,
        docs: Vec<MapInput>,
        maps: Vec<Arc<MapSource>>,
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        if maps.is_empty() {
            return Ok(docs.iter().map(|_| Vec::new()).collect());
        }
        self.0.run(deadline, move |sandboxes| sandboxes.rows(&docs, &maps, deadline)).await
    }

    /// Like [`Maps::rows`], but blocks the calling thread.
    pub(crate) fn rows_blocking(
        &self,
        docs: Vec<MapInput>,
        maps: Vec<Arc<MapSource>>,
        patience: Duration,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        let deadline = Deadline::after(patience);
        self.0.run_blocking(deadline, move |sandboxes| sandboxes.rows(&docs, &maps, deadline))
    }

    /// Compiles the sources, and returns them if each is a map function.
    ///
    /// # Errors
    /// `Invalid` names the first view whose map does not compile.
    pub(crate) async fn check(
        &self,
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
        self.0.run(deadline, check).await
    }
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
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        docs.iter().map(|doc| maps.iter().map(|map| self.rows_of(doc, map, deadline)).collect()).collect()
    }

    /// Runs one map on one document. If the map fails, the document has no rows in that view. Running out
    /// of the caller's time is an error, because the map might have emitted rows.
    fn rows_of(
        &mut self,
        doc: &MapInput,
        map: &Arc<MapSource>,
        deadline: Deadline,
    ) -> Result<Vec<EmittedRow>, StoreError> {
        let emitted =
            self.sandbox(map, deadline).and_then(|sandbox| sandbox.map(&doc.text, deadline.instant()));
        match emitted {
            Ok(emitted) => Ok(rows(&doc.id, emitted)),
            Err(MapFailure::Deadline) => {
                self.forget(map);
                Err(deadline_exceeded())
            }
            Err(MapFailure::Threw(reason)) => {
                log::debug!("document {} has no rows in a view: the map threw {reason}", doc.id);
                Ok(Vec::new())
            }
            Err(MapFailure::Limit(reason)) => {
                self.forget(map);
                let head: String = map.text.chars().take(60).collect();
                log::error!(
                    "document {} has no rows in a view: {reason} (the map begins with {head:?})",
                    doc.id
                );
                Ok(Vec::new())
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

    /// Drops a runtime that ran into a limit. After running out of memory it is unusable.
    fn forget(&mut self, map: &Arc<MapSource>) {
        self.kept.retain(|(source, _)| source != map);
    }
}

/// Adds the sortable bytes to each emitted key. If a key is nested too deep to be parsed, the document has
/// no rows, as if the map had thrown.
fn rows(id: &str, emitted: Vec<Emitted>) -> Vec<EmittedRow> {
    let rows: Result<Vec<EmittedRow>, json::JsonError> = emitted
        .into_iter()
        .map(|(key, value)| {
            let sort = collate::encode(&json::parse(key.as_bytes())?);
            Ok(EmittedRow { sort, key, value })
        })
        .collect();
    rows.unwrap_or_else(|error| {
        log::debug!("document {id} has no rows in a view: cannot parse an emitted key: {error}");
        Vec::new()
    })
}
