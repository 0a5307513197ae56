//! Reports store files that other users of the machine can read. They hold the signing key and the digests of
//! passwords. It changes nothing: the operator may have a reason.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Logs a warning for each file of an embedded store that others than its owner may open.
pub(super) fn warn_of_open_files(store: &Path) {
    for (path, mode) in open_files(store) {
        log::warn!(
            path = path.display().to_string().as_str(), mode = format!("{mode:o}").as_str();
            "other users of this machine can open a file of the store, which holds keys and digests of \
             passwords: run chmod 600 on it"
        );
    }
}

/// The files of a store that others may open, and their permissions. A file that cannot be asked is left out.
pub(super) fn open_files(store: &Path) -> Vec<(PathBuf, u32)> {
    let files = ["", "-wal", "-shm"].into_iter().map(|end| {
        let mut path = OsString::from(store);
        path.push(end);
        PathBuf::from(path)
    });
    let with_mode = files.filter_map(|path| {
        let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        Some((path, mode))
    });
    with_mode.filter(|(_, mode)| mode & OTHERS != 0).collect()
}

/// The permissions of a file, if every user of the machine can read it. A group may be meant to.
pub(super) fn mode_if_all_can_read(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::open_files;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_files_that_others_can_open_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        assert!(open_files(&store).is_empty(), "a file that is not there");
        let wal = folder.path().join("store.db-wal");
        for (mode, is_reported) in
            [(0o600, false), (0o400, false), (0o700, false), (0o640, true), (0o604, true), (0o620, true)]
        {
            for path in [&store, &wal] {
                let _ = std::fs::remove_file(path);
                write(path, "").unwrap();
                set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
            let expected =
                if is_reported { vec![(store.clone(), mode), (wal.clone(), mode)] } else { vec![] };
            assert_eq!(open_files(&store), expected);
        }
    }
}
