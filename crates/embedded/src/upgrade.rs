//! Brings a file of an older format to today's. The file is copied first, and changed in one transaction:
//! a process that is killed meanwhile leaves the old format or the new one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use datastore::StoreError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};

use crate::error::SqliteResult;
use crate::format::{VERSION, for_the_owner};
use crate::open_error::OpenError;
use crate::owner::Owner;
use crate::put::put_new;
use crate::rows::{RowParts, Rows};

/// The changes from format 1 to format 2. The rows follow in [`share_values`].
const TABLES_FROM_1: &str = "
ALTER TABLE view_row ADD COLUMN emission INTEGER;
CREATE TABLE emission (
    emission INTEGER PRIMARY KEY,
    view INTEGER NOT NULL,
    id TEXT NOT NULL,
    live INTEGER NOT NULL,
    digest BLOB,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX emission_by_doc ON emission (view, id);
CREATE INDEX emission_not_live ON emission (live) WHERE live = 0;
CREATE INDEX view_row_by_doc ON view_row (view, id, emission);
";

/// The change from format 2 to format 3.
const TABLES_FROM_2: &str = "
CREATE TABLE local (
    db INTEGER NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (db, name)
) STRICT, WITHOUT ROWID;
";

/// Upgrades the file from the format `found`. The caller holds the lock on the file.
pub(crate) fn upgrade(path: &Path, found: i32, busy_timeout: Duration) -> Result<(), OpenError> {
    let began = Instant::now();
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy_timeout)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    let mut connection = open().map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    let copy = copy(&connection, path, found)?;
    log::info!(
        "upgrading {} from format {found} to {VERSION}; its copy is {}",
        path.display(),
        copy.display()
    );
    change(&mut connection, found).map_err(|source| OpenError::NotUpgraded {
        path: path.to_owned(),
        found,
        copy,
        source,
    })?;
    log::info!("upgraded {} in {:?}", path.display(), began.elapsed());
    Ok(())
}

fn change(connection: &mut Connection, found: i32) -> Result<(), StoreError> {
    const WHAT: &str = "changing the tables";
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .during("beginning the upgrade")?;
    if found < 2 {
        transaction.execute_batch(TABLES_FROM_1).during(WHAT)?;
        share_values(&transaction)?;
        transaction.execute_batch("DROP INDEX view_row_by_id").during(WHAT)?;
    }
    transaction.execute_batch(TABLES_FROM_2).during(WHAT)?;
    transaction.pragma_update(None, "user_version", VERSION).during(WHAT)?;
    transaction.commit().during("committing the upgrade")
}

/// Stores each value once that a document emitted often in a view.
fn share_values(connection: &Connection) -> Result<(), StoreError> {
    const WHAT: &str = "reading the rows of documents";
    let documents = connection
        .prepare(
            "SELECT view, id FROM view_row INDEXED BY view_row_by_id GROUP BY view, id
             HAVING count(*) > 1 AND sum(octet_length(value)) > 2000",
        )
        .and_then(|mut s| {
            s.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?.collect()
        })
        .during(WHAT);
    let documents: Vec<_> = documents?;
    for (view, id) in documents {
        let rows = Rows::from_values(rows_in_format_1(connection, view, &id).during(WHAT)?);
        if !rows.shared.is_empty() {
            connection
                .prepare_cached("DELETE FROM view_row INDEXED BY view_row_by_id WHERE view = ?1 AND id = ?2")
                .and_then(|mut s| s.execute(params![view, id]))
                .during("removing the rows of a document")?;
            put_new(connection, view, &id, &rows)?;
        }
    }
    Ok(())
}

/// The rows of a document. Equal values share one text.
fn rows_in_format_1(connection: &Connection, view: i64, id: &str) -> rusqlite::Result<Vec<RowParts>> {
    let mut statement = connection.prepare_cached(
        "SELECT sort, key, value FROM view_row INDEXED BY view_row_by_id WHERE view = ?1 AND id = ?2",
    )?;
    let mut known: HashSet<Arc<str>> = HashSet::new();
    let rows = statement.query_map(params![view, id], |row| {
        let value = row.get_ref(2)?.as_str()?;
        let value = match known.get(value) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = value.into();
                known.insert(Arc::clone(&new));
                new
            }
        };
        Ok((row.get(0)?, row.get(1)?, value))
    })?;
    rows.collect()
}

/// Copies the file to `FILE.format-N`, next to it, as the connection sees it. A copy that is there already
/// is never changed: if it is equal, it is the copy, and otherwise the new one gets another name.
fn copy(connection: &Connection, path: &Path, found: i32) -> Result<PathBuf, OpenError> {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".format-{found}{end}"));
        PathBuf::from(name)
    };
    let part = beside(".part");
    let refused = |reason: String| {
        // Make room again. If this fails too, the next start removes the part.
        let _ = fs::remove_file(&part);
        OpenError::NoCopy { path: path.to_owned(), found, copy: beside(""), reason }
    };
    let io = |error: io::Error| refused(error.to_string());
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    for_the_owner().open(&part).map_err(io)?;
    Owner::of(path).and_then(|owner| owner.take(&part)).map_err(io)?;
    write_copy(connection, &part, Writers::Nobody, |_| ()).map_err(|error| refused(error.to_string()))?;
    let copied = File::open(&part).map_err(io)?;
    copied.sync_all().map_err(io)?;
    let mut number = 1u32;
    loop {
        let copy = if number == 1 { beside("") } else { beside(&format!(".{number}")) };
        if !copy.try_exists().map_err(io)? {
            fs::rename(&part, &copy).map_err(io)?;
            sync_folder(&copy).map_err(io)?;
            return Ok(copy);
        }
        if is_equal(&part, &copy).map_err(io)? {
            fs::remove_file(&part).map_err(io)?;
            return Ok(copy);
        }
        number = number.saturating_add(1);
    }
}

/// How many pages are copied before they are synced. Writes of the store wait while the disk syncs them, so they are
/// few.
const PAGES_AT_ONCE: std::ffi::c_int = 64;

/// Whether somebody may write to the store while it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    Some,
    Nobody,
}

impl Writers {
    /// How long the copy rests after a part that took this time: then the disk belongs to those who write.
    fn rest(self, took: Duration) -> Duration {
        match self {
            Self::Some => took.saturating_mul(2).max(Duration::from_millis(10)),
            Self::Nobody => Duration::ZERO,
        }
    }
}

/// How far a copy is, in pages of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many pages are copied.
    pub pages: u64,
    /// How many pages the store has.
    pub of: u64,
}

/// Copies the store into another file, as it is at this moment. `tell` hears how far the copy is.
pub(crate) fn write_copy(
    connection: &Connection,
    to: &Path,
    writers: Writers,
    mut tell: impl FnMut(Copied),
) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed =
        |code, why: String| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(why));
    let unsynced = |error: io::Error| failed(rusqlite::ffi::SQLITE_IOERR_FSYNC, error.to_string());
    let file = File::open(to).map_err(unsynced)?;
    let mut to = Connection::open_with_flags(to, flags)?;
    // A copy that does not succeed is removed, so it needs no journal.
    to.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    to.pragma_update(None, "synchronous", "OFF")?;
    // The transaction holds on to this moment. Otherwise every write of another process would begin the copy anew.
    let moment = connection.unchecked_transaction()?;
    moment.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    {
        let backup = Backup::new(&moment, &mut to)?;
        loop {
            let begun = Instant::now();
            let step = backup.step(PAGES_AT_ONCE)?;
            let progress = backup.progress();
            let [left, of] =
                [progress.remaining, progress.pagecount].map(|pages| u64::try_from(pages).unwrap_or(0));
            tell(Copied { pages: of.saturating_sub(left), of });
            match step {
                StepResult::Done => break,
                StepResult::More => {
                    file.sync_data().map_err(unsynced)?;
                    thread::sleep(writers.rest(begun.elapsed()));
                }
                _ => {
                    let why = "another program uses the file".to_owned();
                    return Err(failed(rusqlite::ffi::SQLITE_BUSY, why));
                }
            }
        }
    }
    moment.finish()?;
    to.close().map_err(|(_, error)| error)
}

fn is_equal(one: &Path, other: &Path) -> io::Result<bool> {
    if fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (one, other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    for (one, other) in one.bytes().zip(other.bytes()) {
        if one? != other? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the name of a new file in a folder durable.
pub(crate) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if cfg!(unix) { File::open(folder.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}
