//! Puts a copy of a backup into the place of a store. What was there is kept under another name.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::backup::copy_store;
use crate::file::{BUSY_TIMEOUT, beside, check_before_writing, lock, remove};
use crate::format::{APPLICATION_ID, for_the_owner, pragma};
use crate::open_error::OpenError;
use crate::owner::Owner;
use crate::place::{check_names, place_of};
use crate::upgrade::{Copied, Writers, sync_folder};

/// The header of an SQLite file, up to and including the id of the program that made it.
const HEADER: u64 = 72;

/// Puts a copy of the store in the file `backup` into the place `path`, which no process may have open. A store that
/// is there is kept: its new path is the answer. Links to either file stay. A process that is killed meanwhile leaves the old store or the new
/// one in its place, or none; then the call is repeated. `tell` hears how far the copy is.
///
/// # Errors
/// [`OpenError`]. `backup` is left as it is, and so is `path`, unless the last step itself fails.
pub fn restore(backup: &Path, path: &Path, tell: impl FnMut(Copied)) -> Result<Option<PathBuf>, OpenError> {
    let (backup, path) = (&*place_of(backup), &*place_of(path));
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    check_names(path)?;
    let _tidy = Tidy::before(backup);
    check_before_writing(backup)?;
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|data| !data.is_file()) {
        return Err(OpenError::NotAFile { path: path.to_owned() });
    }
    if there.is_some() {
        check_may_move(path)?;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let lock = lock(path)?;
    let part = beside(path, ".restoring");
    let keep_owner = || {
        let owner = Owner::of(path)?;
        owner.take(&part)?;
        if lock.is_new { owner.take(&lock.path) } else { Ok(()) }
    };
    let copied = copy(backup, &part, tell).and_then(|()| keep_owner().map_err(io));
    if let Err(error) = copied {
        // If the part stays, the next call overwrites it.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    let kept = put_in_place(&part, path).map_err(io);
    // A child process that is just starting may have inherited the handle, so closing it may not be enough.
    lock.file.unlock().map_err(io)?;
    kept
}

/// SQLite makes files beside a store that it only reads. The last connection that may write removes them.
struct Tidy<'a> {
    path: &'a Path,
    had_log: bool,
}

impl<'a> Tidy<'a> {
    fn before(path: &'a Path) -> Self {
        Self { path, had_log: beside(path, "-wal").exists() }
    }
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        if !self.had_log
            && beside(self.path, "-wal").exists()
            && let Err(error) = open(self.path).and_then(|connection| pragma(&connection, "user_version"))
        {
            log::debug!("files of SQLite stay beside {}: {error}", self.path.display());
        }
    }
}

/// Refuses to move a file of another program away. A store may be damaged, so only its header is looked at.
fn check_may_move(path: &Path) -> Result<(), OpenError> {
    let mut header = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let is_ours = header.ends_with(&APPLICATION_ID.to_be_bytes());
    // The header of a young store may still be in its log.
    let is_young = header.ends_with(&0_i32.to_be_bytes()) && beside(path, "-wal").exists();
    let is_store = header.starts_with(b"SQLite format 3\0") && (is_ours || is_young);
    if is_store || header.is_empty() {
        return Ok(());
    }
    Err(OpenError::Foreign { path: path.to_owned(), reason: "it is no store of this program".to_owned() })
}

/// Copies the backup, and checks that the copy is a whole store.
fn copy(backup: &Path, part: &Path, tell: impl FnMut(Copied)) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: part.to_owned(), source };
    remove(part).map_err(io)?;
    for_the_owner().open(part).map_err(io)?;
    copy_store(backup, part, Writers::Nobody, tell)?;
    let refused = |source| OpenError::of_sqlite(backup, "its content", source);
    let check = || -> rusqlite::Result<(i32, String)> {
        let connection = open(part)?;
        let faults = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((pragma(&connection, "application_id")?, faults))
    };
    let path = backup.to_owned();
    match check().map_err(refused)? {
        (APPLICATION_ID, faults) if faults == "ok" => {}
        // SQLite says it in several lines.
        (APPLICATION_ID, faults) => {
            let reason = faults.lines().collect::<Vec<_>>().join(" ");
            return Err(OpenError::Damaged { path, reason });
        }
        _ => return Err(OpenError::Foreign { path, reason: "it is empty".to_owned() }),
    }
    // The check has left no content in a log.
    for end in ["-wal", "-shm"] {
        remove(&beside(part, end)).map_err(io)?;
    }
    File::open(part).and_then(|copied| copied.sync_all()).map_err(io)
}

/// Moves what is at the path out of the way, and the part there. Nothing opens the old store: SQLite could remove the
/// log of a damaged one. Whenever the process is killed, the log is in its old place or beside its store.
fn put_in_place(part: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let (log, is_there) = (beside(path, "-wal"), path.try_exists()?);
    let mut kept = None;
    if is_there || log.try_exists()? {
        let name = free_name(path)?;
        keep_too(&log, &beside(&name, "-wal"))?;
        if is_there {
            fs::rename(path, &name)?;
        }
        // SQLite must not take the log of the old store for one of the new store.
        remove(&log)?;
        kept = is_there.then_some(name);
    }
    remove(&beside(path, "-shm"))?;
    fs::rename(part, path)?;
    sync_folder(path)?;
    Ok(kept)
}

/// Gives a file a second name, if it is there. Some file systems cannot do that; then it is copied.
fn keep_too(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            fs::copy(file, name)?;
            File::open(name)?.sync_all()
        }
    }
}

/// A name for the store that was at the path.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let name = beside(path, &format!(".before-restore-{number}"));
        if !name.try_exists()? && !beside(&name, "-wal").try_exists()? {
            return Ok(name);
        }
        number = number.saturating_add(1);
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}
