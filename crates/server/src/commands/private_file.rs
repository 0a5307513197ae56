//! A file that only its owner can read, for what holds a store's keys. It gets its name when it is complete,
//! so a command that fails leaves nothing, and an older file with the name stays until then.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
                "{} is a device or a pipe: name a file; without --output, `export` writes to standard output",
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
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(OWNER_ONLY);
        let file = options.open(&part).map_err(refused)?;
        // The part of a command that was killed may be there, with other permissions.
        file.set_permissions(Permissions::from_mode(OWNER_ONLY)).map_err(refused)?;
        Ok(Self { path: place, part, file, is_complete: false })
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
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        done.map_err(|error| Failure::run(format!("cannot write {}: {error}", self.path.display())))?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.is_complete {
            // The command has failed already. If the part stays, the next run overwrites it.
            let _ = fs::remove_file(&self.part);
        }
    }
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
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
