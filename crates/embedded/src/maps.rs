//! Rows of documents, computed by a few threads that keep compiled map functions by the hash of their
//! source, so that all databases with the same view share one.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Deadline, StoreError, json};
use md5::{Digest, Md5};

use crate::catalogue::MapSource;
use crate::collate;
use crate::error::{deadline_exceeded, invalid};
use crate::sandbox::{Emitted, Limits, MapFailure, Sandbox};
use crate::workers::Workers;

/// Compiled map functions that a thread keeps: each is a runtime of some 100 kB.
const KEPT_SANDBOXES: usize = 64;

/// A row that a document emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The key's sortable bytes.
    pub(crate) sort: Vec<u8>,
    /// The key as JSON.
    pub(crate) key: String,
    /// The value as JSON.
    pub(crate) value: String,
}

/// A document to map: its id for the log, and its text.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) id: String,
    pub(crate) text: Arc<str>,
}

/// Rows by map, as the maps were named.
pub(crate) type RowsByMap = Vec<Vec<Row>>;

/// The threads that run map functions.
pub(crate) struct Maps(Workers<Sandboxes>);

impl Maps {
    pub(crate) fn start(threads: usize, limits: Limits) -> std::io::Result<Self> {
        Workers::start("map", threads, move || Sandboxes { limits: limits.clone(), kept: Vec::new() })
            .map(Self)
    }

    /// The rows of each document by each map, in the order given.
    pub(crate) async fn rows(
        &self,
        docs: Vec<Mapped>,
        maps: Vec<Arc<MapSource>>,
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        if maps.is_empty() {
            return Ok(docs.iter().map(|_| Vec::new()).collect());
        }
        self.0.run(deadline, move |sandboxes| sandboxes.rows(&docs, &maps, deadline)).await
    }

    /// As [`Maps::rows`], for a thread that may block.
    pub(crate) fn rows_blocking(
        &self,
        docs: Vec<Mapped>,
        maps: Vec<Arc<MapSource>>,
        patience: Duration,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        let deadline = Deadline::after(patience);
        self.0.run_blocking(deadline, move |sandboxes| sandboxes.rows(&docs, &maps, deadline))
    }

    /// The sources, if each is a map function.
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

/// The source with its hash.
pub(crate) fn source(text: String) -> Arc<MapSource> {
    Arc::new(MapSource { hash: Md5::digest(text.as_bytes()).into(), text })
}

struct Sandboxes {
    limits: Limits,
    /// The one used last stands last.
    kept: Vec<(Arc<MapSource>, Sandbox)>,
}

impl Sandboxes {
    fn rows(
        &mut self,
        docs: &[Mapped],
        maps: &[Arc<MapSource>],
        deadline: Deadline,
    ) -> Result<Vec<RowsByMap>, StoreError> {
        docs.iter().map(|doc| maps.iter().map(|map| self.rows_of(doc, map, deadline)).collect()).collect()
    }

    /// The rows of one document by one map; none where the map fails on it. Only the caller's deadline
    /// is an error, for then nobody knows what the map would have said.
    fn rows_of(
        &mut self,
        doc: &Mapped,
        map: &Arc<MapSource>,
        deadline: Deadline,
    ) -> Result<Vec<Row>, StoreError> {
        let emitted =
            self.sandbox(map, deadline).and_then(|sandbox| sandbox.map(&doc.text, deadline.instant()));
        match emitted {
            Ok(emitted) => Ok(rows(&doc.id, emitted)),
            Err(MapFailure::Deadline) => {
                self.forget(map);
                Err(deadline_exceeded())
            }
            Err(MapFailure::Threw(reason)) => {
                log::debug!("document {} is not in a view: its map threw {reason}", doc.id);
                Ok(Vec::new())
            }
            Err(MapFailure::Limit(reason)) => {
                self.forget(map);
                let head: String = map.text.chars().take(60).collect();
                log::error!("document {} is not in a view: {reason}, in the map {head:?}", doc.id);
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

    /// A runtime that ran into a limit is not used again: after a memory bomb it cannot be.
    fn forget(&mut self, map: &Arc<MapSource>) {
        self.kept.retain(|(source, _)| source != map);
    }
}

/// The emitted rows with sortable keys. A key nested too deep to be read drops the document's rows, as
/// if the map had thrown.
fn rows(id: &str, emitted: Vec<Emitted>) -> Vec<Row> {
    let rows: Result<Vec<Row>, json::JsonError> = emitted
        .into_iter()
        .map(|(key, value)| {
            let sort = collate::encode(&json::parse(key.as_bytes())?);
            Ok(Row { sort, key, value })
        })
        .collect();
    rows.unwrap_or_else(|error| {
        log::debug!("document {id} is not in a view: it emits a key that is {error}");
        Vec::new()
    })
}
