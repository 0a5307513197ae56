//! Writes the rows of a large document in parts, each in a transaction of its own, so that other databases'
//! writes get their turn in between. The rows stay invisible until the document itself is written. If that
//! does not happen, the housekeeper removes them.

use std::collections::VecDeque;
use std::sync::Arc;

use datastore::StoreError;
use rusqlite::OptionalExtension;

use crate::error::SqliteResult;
use crate::in_use::InUse;
use crate::put::{Numbers, Visibility, insert_emission, insert_rows};
use crate::rows::{Part, Rows};
use crate::transaction::Transaction;
use crate::write_queue::Turn;

/// The rows of a document in a view, written in parts and not visible yet.
pub(crate) struct StagedRows {
    emissions: Vec<i64>,
    in_use: Arc<InUse>,
}

impl StagedRows {
    /// The emissions to set live.
    pub(crate) fn emissions(&self) -> &[i64] {
        &self.emissions
    }

    fn add(&mut self, emission: i64) {
        self.emissions.push(emission);
        self.in_use.add(emission);
    }
}

impl std::fmt::Debug for StagedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StagedRows").field(&self.emissions).finish()
    }
}

impl Drop for StagedRows {
    fn drop(&mut self) {
        self.in_use.remove(&self.emissions);
        self.in_use.collect_garbage();
    }
}

/// Rows that are being written in parts.
pub(crate) struct Staging {
    db: i64,
    view: i64,
    id: String,
    rows: Arc<Rows>,
    digest: [u8; 16],
    left: VecDeque<Part>,
    numbers: Numbers,
    staged: StagedRows,
}

/// The state after a part was written.
pub(crate) enum Progress {
    More(Staging),
    Done(StagedRows),
    /// The view does not exist any more.
    ViewGone,
}

impl Staging {
    pub(crate) fn new(
        (db, view): (i64, i64),
        id: &str,
        rows: Arc<Rows>,
        digest: [u8; 16],
        in_use: &Arc<InUse>,
    ) -> Self {
        let left = rows.parts().into();
        let staged = StagedRows { emissions: Vec::new(), in_use: Arc::clone(in_use) };
        Self { db, view, id: id.to_owned(), rows, digest, left, numbers: Numbers::default(), staged }
    }

    /// The place of the next part in the writer's queue.
    pub(crate) fn turn(&self) -> Turn {
        Turn::of(self.db)
    }

    /// Writes the next part.
    pub(crate) fn write(mut self, transaction: &mut Transaction<'_>) -> Result<Progress, StoreError> {
        // Rows of a removed view would never be found again.
        let view: Option<()> = transaction
            .connection
            .prepare_cached("SELECT 1 FROM view WHERE view = ?1")
            .and_then(|mut s| s.query_row([self.view], |_| Ok(())).optional())
            .during("looking at a view")?;
        if view.is_none() {
            return Ok(Progress::ViewGone);
        }
        if let Some(part) = self.left.pop_front() {
            transaction.whole(|transaction| self.write_part(transaction, part))?;
        }
        Ok(if self.left.is_empty() { Progress::Done(self.staged) } else { Progress::More(self) })
    }

    fn write_part(&mut self, transaction: &Transaction<'_>, part: Part) -> Result<(), StoreError> {
        let Self { rows, digest, numbers, staged, .. } = self;
        let (connection, place) = (transaction.connection, (self.view, self.id.as_str()));
        let mut hidden = |value: &str| {
            let number = insert_emission(connection, place, value, Visibility::Hidden, Some(digest))?;
            staged.add(number);
            Ok::<_, StoreError>(number)
        };
        match part {
            Part::Shared(range) => {
                for value in rows.shared.get(range).unwrap_or_default() {
                    numbers.shared.push(hidden(value)?);
                }
                Ok(())
            }
            Part::Rows(range) => {
                if numbers.own.is_none() && rows.has_own(range.clone()) {
                    numbers.own = Some(hidden("")?);
                }
                let rows = rows.rows.get(range).unwrap_or_default();
                insert_rows(connection, self.view, &self.id, rows, numbers)
            }
        }
    }
}
