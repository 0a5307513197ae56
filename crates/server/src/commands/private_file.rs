//! A file that only its owner can read, for what holds a store's keys. It gets its name when it is complete,
//! so a command that fails leaves nothing, and an older file with the name stays until then.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::settings::StoreLocation;

/// The owner may read and write.
const OWNER_ONLY: u32 = 0o600;

/// The permissions of others to read.
const OTHERS_READ: u32 = 0o044;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct PrivateFile {
    path: PathBuf,
    /// Where it is written until it is complete.
    part: PathBuf,
    file: File,
    is_complete: bool,
}

impl PrivateFile {
    /// Creates the file beside its place. Refuses a place where the store itself is.
    pub(super) fn create(path: &Path, store: &StoreLocation) -> Result<Self, Failure> {
        let refused = |error: io::Error| {
            Failure::setup(format!(
                "cannot write {}: {error}; name a file in a folder that exists and that you may write to",
                path.display()
            ))
        };
        if path.is_dir() {
            return Err(Failure::setup(format!("{} is a folder: name a file in it", path.display())));
        }
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(Failure::setup(format!(
                "{} is a device or a pipe: name a file (`export` without --output writes to standard output)",
                path.display()
            )));
        }
        if let StoreLocation::File(store) = store
            && (is_of_store(path, store) || is_copy_of_store(path, store))
        {
            return Err(Failure::setup(format!(
                "{} belongs to the store itself: name another file",
                path.display()
            )));
        }
        // A link stays, and the file that it leads to is replaced.
        let place = match path.canonicalize() {
            Ok(place) => place,
            Err(_) if path.is_symlink() => {
                return Err(Failure::setup(format!(
                    "{} is a link that leads nowhere: name a file",
                    path.display()
                )));
            }
            Err(_) => path.to_owned(),
        };
        let mut name = place.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        remove_left(&part).map_err(|error| match error {
            Left::InUse => in_use(path),
            Left::Io(error) => refused(error),
        })?;
        let mut options = OpenOptions::new();
        // Never a file or a link that somebody else has put there.
        let file = options.write(true).create_new(true).mode(OWNER_ONLY).open(&part).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let file = Self { path: place, part, file, is_complete: false };
        if file.has_its_part() { Ok(file) } else { Err(in_use(path)) }
    }

    /// Whether the part is still the file that was created.
    fn has_its_part(&self) -> bool {
        let there = fs::symlink_metadata(&self.part).map(|data| (data.dev(), data.ino()));
        let own = self.file.metadata().map(|data| (data.dev(), data.ino()));
        there.is_ok_and(|there| own.is_ok_and(|own| there == own))
    }

    /// Where the content is to be written.
    pub(super) fn writer(&self) -> &File {
        &self.file
    }

    /// The path to write to, for whoever cannot take an open file.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Puts the complete file in its place.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let failed =
            |error: &dyn Display| Failure::run(format!("cannot write {}: {error}", self.path.display()));
        if !self.has_its_part() {
            return Err(failed(&format!("{} was removed or replaced meanwhile", self.part.display())));
        }
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        done.map_err(|error| failed(&error))?;
        // Otherwise the name may be gone after a power failure, although the command has succeeded.
        File::open(folder_of(&self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(&error))?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.is_complete && self.has_its_part() {
            // The command has failed already. If the part stays, the next run removes it.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Why the part of an earlier command was not removed.
enum Left {
    /// The command still runs.
    InUse,
    Io(io::Error),
}

/// Removes what a command left that was killed, or a link that somebody has put there.
fn remove_left(part: &Path) -> Result<(), Left> {
    if fs::symlink_metadata(part).is_ok_and(|data| data.is_file())
        && let Ok(left) = File::open(part)
        && matches!(left.try_lock(), Err(TryLockError::WouldBlock))
    {
        return Err(Left::InUse);
    }
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Left::Io(error)),
        _ => Ok(()),
    }
}

fn in_use(path: &Path) -> Failure {
    Failure::obstacle(format!(
        "another command is writing {}: wait until it has ended, or name another file",
        path.display()
    ))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The ends of the names of a store's files. `docs/operations.md` says what each file is.
const ENDS: [&str; 5] = ["", "-wal", "-shm", ".lock", ".sock"];

/// What follows the name of a store in the names of its older copies: `PATH.format-4`, `PATH.before-restore-1-wal`.
const COPIES: [&str; 2] = [".format-", ".before-restore-"];

/// Whether a path is one of the files that a store has open.
pub(super) fn is_of_store(path: &Path, store: &Path) -> bool {
    ENDS.into_iter().any(|end| {
        let mut file = store.as_os_str().to_owned();
        file.push(end);
        real(Path::new(&file)).is_some_and(|file| real(path) == Some(file))
    })
}

/// Whether a path is an older copy of a store, which the server or `restore` has kept.
fn is_copy_of_store(path: &Path, store: &Path) -> bool {
    let (Some(path), Some(store)) = (real(path), real(store)) else { return false };
    let name = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_vec());
    let (Some(own), Some(of_store)) = (name(&path), name(&store)) else { return false };
    path.parent() == store.parent()
        && own
            .strip_prefix(&*of_store)
            .is_some_and(|end| COPIES.iter().any(|copy| end.starts_with(copy.as_bytes())))
}

/// A path without links. The file itself may be missing.
fn real(path: &Path) -> Option<PathBuf> {
    let folder = folder_of(path).canonicalize().ok()?;
    Some(path.canonicalize().unwrap_or_else(|_| folder.join(path.file_name().unwrap_or_default())))
}

/// Warns if what a command prints can be read by others, or is shown. An export holds the store's key.
pub(super) fn warn_of_readers_of_output() {
    let output = io::stdout();
    if output.is_terminal() {
        return super::warn(
            "the export holds the store's signing key and digests of passwords, and is shown here: --output FILE \
             writes a file that only you can read",
        );
    }
    let Ok(data) = output.as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata())
    else {
        return;
    };
    if data.is_file() && data.permissions().mode() & OTHERS_READ != 0 {
        super::warn(
            "other users of this machine can read the file that the export goes to, which holds the store's \
             signing key and digests of passwords: run chmod 600 on it, or use --output FILE",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::{PrivateFile, StoreLocation};

    #[test]
    fn a_file_gets_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreLocation::File(folder.path().join("store.db"));
        let path = folder.path().join("out");
        fs::write(&path, "older").unwrap();
        fs::write(folder.path().join("out.part"), "of a command that was killed").unwrap();
        let file = PrivateFile::create(&path, &store).unwrap();
        file.writer().write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "older");
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a command that fails leaves nothing");
        let file = PrivateFile::create(&path, &store).unwrap();
        file.writer().write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Somebody else may have put a file or a link there, in a folder where everybody may write.
    #[test]
    fn what_stands_in_place_of_the_part_is_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = StoreLocation::File(path("store.db"));
        fs::write(path("victim"), "a victim").unwrap();
        std::os::unix::fs::symlink("victim", path("linked.part")).unwrap();
        fs::write(path("planted.part"), "").unwrap();
        fs::set_permissions(path("planted.part"), fs::Permissions::from_mode(0o666)).unwrap();
        let planted = fs::File::open(path("planted.part")).unwrap();
        for name in ["linked", "planted"] {
            let file = PrivateFile::create(&path(name), &store).unwrap();
            file.writer().write_all(b"secret").unwrap();
            file.finish().unwrap();
            assert!(!path(name).is_symlink());
            assert_eq!(fs::read_to_string(path(name)).unwrap(), "secret");
        }
        assert_eq!(fs::read_to_string(path("victim")).unwrap(), "a victim");
        assert_eq!(std::io::read_to_string(planted).unwrap(), "", "whoever had it open reads nothing");
    }

    #[test]
    fn of_two_commands_that_write_one_file_the_second_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreLocation::File(folder.path().join("store.db"));
        let path = folder.path().join("out");
        let first = PrivateFile::create(&path, &store).unwrap();
        first.writer().write_all(b"the first one's").unwrap();
        let refused = PrivateFile::create(&path, &store).unwrap_err();
        assert!(refused.to_string().contains("another command is writing"), "{refused}");
        first.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the first one's");
        PrivateFile::create(&path, &store).unwrap().finish().unwrap();
    }

    #[test]
    fn a_part_that_was_replaced_meanwhile_gets_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreLocation::File(folder.path().join("store.db"));
        let path = folder.path().join("out");
        fs::write(&path, "older").unwrap();
        let file = PrivateFile::create(&path, &store).unwrap();
        fs::remove_file(folder.path().join("out.part")).unwrap();
        fs::write(folder.path().join("out.part"), "another one's").unwrap();
        assert!(file.finish().unwrap_err().to_string().contains("replaced"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "older");
        assert!(folder.path().join("out.part").exists(), "it is not this command's");
    }

    #[test]
    fn a_link_stays_and_the_file_that_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreLocation::File(folder.path().join("store.db"));
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "older").unwrap();
        std::os::unix::fs::symlink("out", &link).unwrap();
        let file = PrivateFile::create(&link, &store).unwrap();
        file.writer().write_all(b"new").unwrap();
        file.finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn the_store_itself_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("store.db"), "the store").unwrap();
        std::os::unix::fs::symlink(path("store.db"), path("link")).unwrap();
        let store = StoreLocation::File(path("store.db"));
        for name in [
            "store.db",
            "./store.db",
            "store.db-wal",
            "store.db-shm",
            "store.db.lock",
            "store.db.sock",
            "store.db.format-4",
            "store.db.format-4.2",
            "store.db.before-restore-1",
            "store.db.before-restore-1-wal",
            "link",
        ] {
            let refused = PrivateFile::create(&path(name), &store).unwrap_err().to_string();
            assert!(refused.contains("belongs to the store"), "{name}: {refused}");
        }
        for name in ["store.db.copy", "copy-of-store.db", "other.db.sock"] {
            PrivateFile::create(&path(name), &store).unwrap();
        }
        let refused =
            PrivateFile::create(&PathBuf::from("/no/such/folder/x"), &store).unwrap_err().to_string();
        assert!(refused.contains("a folder that exists"), "{refused}");
        assert_eq!(fs::read_to_string(path("store.db")).unwrap(), "the store");
    }
}
