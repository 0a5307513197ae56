//! Creates, fills and deletes the views of a design document, inside the writer's transactions. The write
//! that changes a design document also replaces its views. The housekeeper then fills the new views with
//! the documents that already exist; later writes bring their own rows. A view can be queried once it is
//! complete.

use std::sync::{Arc, mpsc};

use datastore::{DocId, Rev, StoreError};
use rusqlite::params;
use tokio::sync::watch;

use crate::catalogue::{Db, MapSource, Phase, View};
use crate::draft::NewRevision;
use crate::error::SqliteResult;
use crate::maps::MapInput;
use crate::put::Leftover;
use crate::transaction::Transaction;
use crate::write::{self, NewRows, SaveOutcome, Write};

/// A job for the housekeeper.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Fill new views with the rows of older documents.
    Build(Build),
    /// Remove the rows of the databases and views in the table `garbage`, and of emissions that are not live.
    Purge,
    /// End the thread.
    Stop,
}

/// Views that are filled together.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) db: i64,
    pub(crate) views: Vec<Arc<View>>,
    /// Changes up to this sequence are indexed.
    pub(crate) built_seq: i64,
    /// Changes after this sequence brought their own rows when they were written.
    pub(crate) until_seq: i64,
}

/// Writes a design document and replaces its views.
pub(crate) fn save_design(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    doc: NewRevision,
    views: &[(String, Arc<MapSource>)],
    chores: &mpsc::Sender<Chore>,
) -> Result<SaveOutcome, StoreError> {
    transaction.whole(|transaction| {
        let design = doc.id.design_name().unwrap_or_default().to_owned();
        let outcome = write::save(transaction, db, &Write { doc, rows: Vec::new() })?;
        if matches!(outcome, SaveOutcome::Saved(_)) {
            replace_views(transaction, db, &design, views, chores)?;
        }
        Ok(outcome)
    })
}

/// Deletes a design document and its views.
pub(crate) fn delete_design(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    (id, design): (&DocId, &str),
    base: &Rev,
    chores: &mpsc::Sender<Chore>,
) -> Result<Rev, StoreError> {
    transaction.whole(|transaction| {
        let rev = write::delete(transaction, db, id, base)?;
        replace_views(transaction, db, design, &[], chores)?;
        Ok(rev)
    })
}

/// Replaces the views of a design document by `sources`, in the transaction that writes the document. A view
/// whose name and map have not changed keeps its rows.
fn replace_views(
    transaction: &mut Transaction<'_>,
    db: &Arc<Db>,
    design: &str,
    sources: &[(String, Arc<MapSource>)],
    chores: &mpsc::Sender<Chore>,
) -> Result<(), StoreError> {
    let stays = |view: &View| {
        view.design != design || sources.iter().any(|(name, map)| *name == view.name && *map == view.map)
    };
    let (mut views, gone): (Vec<_>, Vec<_>) = db.views.iter().cloned().partition(|view| stays(view));
    let connection = transaction.connection;
    for view in &gone {
        for sql in
            ["INSERT INTO garbage (kind, number) VALUES ('view', ?1)", "DELETE FROM view WHERE view = ?1"]
        {
            connection
                .prepare_cached(sql)
                .and_then(|mut s| s.execute([view.id]))
                .during("removing a view")?;
        }
    }
    let (ready, until_seq): (bool, i64) = connection
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM doc WHERE db = ?1 AND text IS NOT NULL AND id < '_design/')
                AND NOT EXISTS (SELECT 1 FROM doc WHERE db = ?1 AND text IS NOT NULL AND id >= '_design0'),
                coalesce((SELECT max(seq) FROM doc WHERE db = ?1), 0)",
        )
        .and_then(|mut s| s.query_row([db.id], |row| Ok((row.get(0)?, row.get(1)?))))
        .during("looking for documents to index")?;
    let mut new = Vec::new();
    for (name, map) in sources {
        if views.iter().any(|view| view.design == design && view.name == *name) {
            continue;
        }
        connection
            .prepare_cached("INSERT OR IGNORE INTO map (hash, source) VALUES (?1, ?2)")
            .and_then(|mut s| s.execute(params![map.hash, map.text]))
            .during("keeping a map")?;
        let id = connection
            .prepare_cached(
                "INSERT INTO view (db, design, name, map, ready, built_seq, until_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
            )
            .and_then(|mut s| s.insert(params![db.id, design, name, map.hash, ready, until_seq]))
            .during("creating a view")?;
        let phase = watch::Sender::new(if ready { Phase::Ready } else { Phase::Building });
        let (design, name, map) = (design.to_owned(), name.clone(), Arc::clone(map));
        new.push(Arc::new(View { id, design, name, map, phase }));
    }
    if gone.is_empty() && new.is_empty() {
        return Ok(());
    }
    views.extend(new.iter().cloned());
    let (catalogue, db, chores) = (Arc::clone(transaction.catalogue), Arc::clone(db), chores.clone());
    if !gone.is_empty() {
        transaction.leave(Leftover::Garbage);
    }
    transaction.after_commit(move || {
        catalogue.publish(db.with_views(views));
        for view in &gone {
            view.phase.send_replace(Phase::Gone);
        }
        // Sending fails if the store is closing. The build then runs after the next start.
        if !ready && !new.is_empty() {
            let _ = chores.send(Chore::Build(Build { db: db.id, views: new, built_seq: 0, until_seq }));
        }
    });
    Ok(())
}

/// A document that a build has read.
pub(crate) struct DocToIndex {
    pub(crate) doc: i64,
    pub(crate) seq: i64,
    pub(crate) mapped: MapInput,
}

/// Writes the rows of the documents that have not changed since the build read them. A changed document
/// has already brought its own rows.
pub(crate) fn fill(
    transaction: &mut Transaction<'_>,
    views: &[Arc<View>],
    docs: &[(DocToIndex, Vec<NewRows>)],
    built_seq: i64,
    done: bool,
) -> Result<(), StoreError> {
    let mut filled = Vec::new();
    transaction.whole(|transaction| {
        let connection = transaction.connection;
        // Skip views that were replaced while the build was running.
        let mut there = Vec::with_capacity(views.len());
        for view in views {
            let updated = connection
                .prepare_cached("UPDATE view SET built_seq = ?2, ready = ?3 WHERE view = ?1")
                .and_then(|mut s| s.execute(params![view.id, built_seq, done]))
                .during("filling a view")?;
            there.push(updated > 0);
        }
        for (read, rows) in docs {
            let unchanged: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM doc WHERE doc = ?1 AND seq = ?2)")
                .and_then(|mut s| s.query_row(params![read.doc, read.seq], |row| row.get(0)))
                .during("filling a view")?;
            for ((view, rows), _) in
                views.iter().zip(rows).zip(&there).filter(|(_, there)| unchanged && **there)
            {
                let leftover = rows.put(connection, view.id, &read.mapped.id, true)?;
                transaction.leave(leftover);
            }
        }
        filled
            .extend(views.iter().zip(&there).filter(|(_, there)| **there).map(|(view, _)| Arc::clone(view)));
        Ok(())
    })?;
    if done {
        transaction.after_commit(move || {
            for view in filled {
                view.phase.send_if_modified(|phase| {
                    let building = *phase == Phase::Building;
                    if building {
                        *phase = Phase::Ready;
                    }
                    building
                });
            }
        });
    }
    Ok(())
}
