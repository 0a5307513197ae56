//! `restore`: puts a backup in the place of an embedded store that no server has open. The store that was there is
//! kept.

use super::private_file::is_of_store;
use super::progress::Progress;
use crate::arguments::Restore;
use crate::failure::Failure;
use crate::settings::StoreLocation;
use crate::stack;

pub(crate) fn run(arguments: &Restore) -> Result<(), Failure> {
    let Restore { store, file } = arguments;
    let StoreLocation::File(store) = store.settings()?.location else {
        return Err(Failure::setup(
            "restore puts a backup in the place of an embedded store (sqlite:PATH): for a CouchDB, replicate the \
             databases back or restore its files, or `import` an export into an empty one",
        ));
    };
    if is_of_store(file, &store) {
        return Err(Failure::setup(format!(
            "{} belongs to the store itself: name a file that `crossbar-groups backup` has written",
            file.display()
        )));
    }
    if !file.is_file() {
        return Err(Failure::setup(format!(
            "{}: no such file: name a file that `crossbar-groups backup` has written",
            file.display()
        )));
    }
    let mut progress = Progress::of("pages copied");
    let kept = embedded::restore(file, &store, |copied| progress.reach(copied.pages, copied.of))
        .map_err(|error| stack::unopened(&error))?;
    drop(progress);
    super::say(&format!("{} is the store of {} again", store.display(), file.display()))?;
    match kept {
        Some(kept) => super::say(&format!(
            "the store that was there is kept as {}: remove it when you do not need it any more",
            kept.display()
        )),
        None => Ok(()),
    }
}
