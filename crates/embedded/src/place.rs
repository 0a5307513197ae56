//! The path of a store's file. The lock, SQLite's log and the server's socket stand beside the file, so every process
//! must come to the same path, whatever links lead there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::open_error::OpenError;

/// How many links are followed. Linux gives up at as many.
const MOST_LINKS: usize = 40;

/// The path of the file that links at this path lead to. The file may be missing, and so may its folder. A path without
/// a link at its end stays as it is, and so does one that leads to no file; opening it says what is wrong.
#[must_use]
pub fn place_of(path: &Path) -> PathBuf {
    if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return path.to_owned();
    }
    let mut place = path.to_owned();
    for followed in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else {
            return if followed == 0 { place } else { without_links(place) };
        };
        // A link's target is a path from the folder of the link, unless it is absolute.
        place = place.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    path.to_owned()
}

/// The same path through no link to a folder, if the folder exists.
fn without_links(place: PathBuf) -> PathBuf {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (folder.map(Path::canonicalize), place.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => place,
    }
}

/// Refuses a store whose file has several names. The lock and SQLite's log belong to one name, so two processes would
/// not see each other.
#[cfg(unix)]
pub(crate) fn check_names(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::metadata(path).map(|data| data.nlink()) {
        Ok(names @ 2..) => Err(OpenError::ManyNames { path: path.to_owned(), names }),
        // Whoever opens the file says what else is wrong with it.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(not(unix))]
pub(crate) fn check_names(_: &Path) -> Result<(), OpenError> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::place_of;

    #[test]
    fn links_are_followed_to_a_file_that_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let path = |name: &str| folder.join(name);
        fs::create_dir(path("data")).unwrap();
        fs::create_dir(path("etc")).unwrap();
        fs::write(path("data/real.db"), "").unwrap();
        symlink(path("data"), path("folder")).unwrap();
        for (link, target) in [
            ("etc/relative", "../data/real.db"),
            ("etc/through-a-folder", "../folder/real.db"),
            ("etc/twice", "relative"),
            ("etc/nowhere-yet", "../data/new.db"),
            ("etc/no-folder-yet", "../new/new.db"),
            ("etc/circle", "circle"),
            ("etc/device", "/dev/null"),
        ] {
            symlink(target, path(link)).unwrap();
        }
        for (given, place) in [
            ("etc/relative", "data/real.db"),
            ("etc/through-a-folder", "data/real.db"),
            ("etc/twice", "data/real.db"),
            ("etc/nowhere-yet", "data/new.db"),
            ("etc/no-folder-yet", "etc/../new/new.db"),
            ("etc/circle", "etc/circle"),
            ("etc/device", "etc/device"),
            ("data/real.db", "data/real.db"),
            ("folder/real.db", "folder/real.db"),
            ("data/new.db", "data/new.db"),
        ] {
            assert_eq!(place_of(&path(given)), path(place), "{given}");
        }
        symlink(path("data/real.db"), path("etc/absolute")).unwrap();
        assert_eq!(place_of(&path("etc/absolute")), path("data/real.db"));
        // A short path stays short: the name of a socket beside it may have 107 bytes.
        assert_eq!(place_of(Path::new("store.db")), Path::new("store.db"));
    }
}
