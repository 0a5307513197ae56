//! Replaces the stored rows of a document in a view, inside a transaction. Rows are visible unless they
//! belong to an emission that is not live.

use std::sync::Arc;

use datastore::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::SqliteResult;
use crate::rows::{Row, RowParts, RowValue, Rows};

/// The state of a document after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Leftover {
    Nothing,
    /// Rows that are not visible any more. The housekeeper removes them.
    Garbage,
}

/// The emissions that belong to some rows, by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// One for each shared value.
    pub(crate) shared: Vec<i64>,
    /// The emission of the rows with values of their own, if they are invisible until it is live.
    pub(crate) own: Option<i64>,
}

/// Whether the rows of an emission can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Live,
    Hidden,
}

/// A live emission of a document.
struct Live {
    number: i64,
    value: Arc<str>,
    /// Its rows were written in parts, so there may be too many to remove them at once.
    is_large: bool,
}

/// Replaces a document's rows in a view. Nothing is written if the rows are unchanged, because most updates
/// do not change what a listing shows.
pub(crate) fn put(
    connection: &Connection,
    view: i64,
    id: &str,
    rows: &Rows,
    may_have_rows: bool,
) -> Result<Leftover, StoreError> {
    let mut leftover = Leftover::Nothing;
    if may_have_rows {
        let live = live(connection, view, id)?;
        if is_stored(connection, view, id, &live, rows)? {
            return Ok(Leftover::Nothing);
        }
        leftover = remove(connection, view, id, &live)?;
    }
    put_new(connection, view, id, rows)?;
    Ok(leftover)
}

/// Writes the rows of a document that has none in the view.
pub(crate) fn put_new(connection: &Connection, view: i64, id: &str, rows: &Rows) -> Result<(), StoreError> {
    let digest = rows.is_large().then(|| rows.digest());
    let insert =
        |value: &str| insert_emission(connection, (view, id), value, Visibility::Live, digest.as_ref());
    let shared = rows.shared.iter().map(|value| insert(value)).collect::<Result<_, _>>()?;
    let own = if digest.is_some() && rows.has_own(0..rows.rows.len()) { Some(insert("")?) } else { None };
    insert_rows(connection, view, id, &rows.rows, &Numbers { shared, own })
}

/// Replaces a document's rows by rows that were written before, with emissions that are not live yet.
///
/// # Errors
/// `Unavailable` if an emission is gone.
pub(crate) fn put_prepared(
    connection: &Connection,
    view: i64,
    id: &str,
    emissions: &[i64],
) -> Result<Leftover, StoreError> {
    let leftover = remove(connection, view, id, &live(connection, view, id)?)?;
    for emission in emissions {
        let updated = connection
            .prepare_cached("UPDATE emission SET live = 1 WHERE emission = ?1 AND view = ?2 AND id = ?3")
            .and_then(|mut s| s.execute(params![emission, view, id]))
            .during("showing rows")?;
        if updated != 1 {
            let reason = format!("prepared rows of document {id} are gone");
            return Err(StoreError::Unavailable(datastore::Cause::new(reason)));
        }
    }
    Ok(leftover)
}

/// Whether the document's rows in the view were written in parts and have this digest.
pub(crate) fn has_large(
    connection: &Connection,
    view: i64,
    id: &str,
    digest: &[u8; 16],
) -> Result<bool, StoreError> {
    connection
        .prepare_cached(
            "SELECT 1 FROM emission WHERE view = ?1 AND id = ?2 AND live = 1 AND digest = ?3 LIMIT 1",
        )
        .and_then(|mut s| s.query_row(params![view, id, digest], |_| Ok(())).optional())
        .map(|found| found.is_some())
        .during("comparing rows")
}

/// Stores a shared value, and returns its number.
pub(crate) fn insert_emission(
    connection: &Connection,
    (view, id): (i64, &str),
    value: &str,
    visibility: Visibility,
    digest: Option<&[u8; 16]>,
) -> Result<i64, StoreError> {
    connection
        .prepare_cached("INSERT INTO emission (view, id, live, digest, value) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut s| s.insert(params![view, id, visibility == Visibility::Live, digest, value]))
        .during("writing a shared value")
}

/// Writes rows whose emissions exist.
pub(crate) fn insert_rows(
    connection: &Connection,
    view: i64,
    id: &str,
    rows: &[Row],
    numbers: &Numbers,
) -> Result<(), StoreError> {
    const WHAT: &str = "writing a document's rows";
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO view_row (view, sort, id, key, value, emission) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .during(WHAT)?;
    let mut sort = Vec::new();
    for row in rows {
        let (value, emission) = match &row.value {
            RowValue::Own(value) => (&**value, numbers.own),
            RowValue::Shared(at) => ("", numbers.shared.get(*at).copied()),
        };
        sort.clear();
        sort.extend_from_slice(&row.sort);
        // Rows of a new emission stand beside the old ones until these are removed.
        sort.extend(emission.iter().flat_map(|emission| emission.to_be_bytes()));
        insert.execute(params![view, sort, id, &*row.key, value, emission]).during(WHAT)?;
    }
    Ok(())
}

/// The bytes by which a row is sorted, without the number of its emission.
pub(crate) fn sort_of_row(mut sort: Vec<u8>, emission: Option<i64>) -> Vec<u8> {
    let suffix = emission.map_or(0, |emission| emission.to_be_bytes().len());
    sort.truncate(sort.len().saturating_sub(suffix));
    sort
}

fn live(connection: &Connection, view: i64, id: &str) -> Result<Vec<Live>, StoreError> {
    connection
        .prepare_cached(
            "SELECT emission, iif(digest IS NULL, value, ''), digest IS NOT NULL FROM emission
             WHERE view = ?1 AND id = ?2 AND live = 1",
        )
        .and_then(|mut s| {
            let live = |row: &rusqlite::Row<'_>| {
                Ok(Live { number: row.get(0)?, value: row.get(1)?, is_large: row.get(2)? })
            };
            s.query_map(params![view, id], live)?.collect()
        })
        .during("reading shared values")
}

/// Whether exactly these rows are stored and visible.
fn is_stored(
    connection: &Connection,
    view: i64,
    id: &str,
    live: &[Live],
    wanted: &Rows,
) -> Result<bool, StoreError> {
    if live.iter().any(|live| live.is_large) || live.len() != wanted.shared.len() {
        return Ok(false);
    }
    let mut stored = read(connection, view, id, None)?;
    for live in live {
        stored.extend(read(connection, view, id, Some(live))?);
    }
    // Sort here: with `ORDER BY sort`, SQLite would read the whole view in order to avoid sorting a few
    // rows.
    stored.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(stored.len() == wanted.rows.len()
        && stored.iter().zip(&wanted.rows).all(|((sort, key, value), row)| {
            *sort == row.sort && **key == *row.key && **value == *wanted.value(row)
        }))
}

/// The rows of one emission, or those that belong to none.
fn read(
    connection: &Connection,
    view: i64,
    id: &str,
    live: Option<&Live>,
) -> Result<Vec<RowParts>, StoreError> {
    let number = live.map(|live| live.number);
    connection
        .prepare_cached(
            "SELECT sort, key, value FROM view_row INDEXED BY view_row_by_doc
             WHERE view = ?1 AND id = ?2 AND emission IS ?3",
        )
        .and_then(|mut s| {
            let row = |row: &rusqlite::Row<'_>| {
                let value = match (row.get_ref(2)?.as_str()?, live) {
                    ("", Some(live)) => Arc::clone(&live.value),
                    (own, _) => own.into(),
                };
                Ok((sort_of_row(row.get(0)?, number), row.get(1)?, value))
            };
            s.query_map(params![view, id, number], row)?.collect()
        })
        .during("reading a document's rows")
}

fn remove(connection: &Connection, view: i64, id: &str, live: &[Live]) -> Result<Leftover, StoreError> {
    const WHAT: &str = "removing a document's rows";
    let mut leftover = Leftover::Nothing;
    let small = live.iter().filter(|live| !live.is_large).map(|live| Some(live.number));
    for emission in small.chain([None]) {
        connection
            .prepare_cached(
                "DELETE FROM view_row INDEXED BY view_row_by_doc
                 WHERE view = ?1 AND id = ?2 AND emission IS ?3",
            )
            .and_then(|mut s| s.execute(params![view, id, emission]))
            .during(WHAT)?;
    }
    for live in live {
        let sql = if live.is_large {
            leftover = Leftover::Garbage;
            "UPDATE emission SET live = 0 WHERE emission = ?1"
        } else {
            "DELETE FROM emission WHERE emission = ?1"
        };
        connection.prepare_cached(sql).and_then(|mut s| s.execute([live.number])).during(WHAT)?;
    }
    Ok(leftover)
}
