//! The owner of a store's files. If root runs a command, the files that it makes belong to the user that runs the
//! server, so that the server can open them.

use std::io;
use std::path::Path;

/// The user and the group that own a store's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    #[cfg(unix)]
    user: u32,
    #[cfg(unix)]
    group: u32,
}

#[cfg(unix)]
impl Owner {
    /// The owner of the store at the path, or of its folder if there is no store yet.
    pub(crate) fn of(store: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty());
        let there = if store.try_exists()? { store } else { folder.unwrap_or(Path::new(".")) };
        let there = std::fs::metadata(there)?;
        Ok(Self { user: there.uid(), group: there.gid() })
    }

    /// Gives a new file to the owner if root has made it. Only root can give a file away. A link is not followed: the
    /// owner of the folder may have put it there.
    pub(crate) fn take(self, file: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt as _, lchown};
        if self.user != 0 && std::fs::symlink_metadata(file)?.uid() == 0 {
            lchown(file, Some(self.user), Some(self.group))?;
        }
        Ok(())
    }
}

#[cfg(not(unix))]
impl Owner {
    pub(crate) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn take(self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
