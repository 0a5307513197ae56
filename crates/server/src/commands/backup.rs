//! `backup`: copies an embedded store into a file, also while a server uses it.

use super::private_file::PrivateFile;
use super::progress::Progress;
use crate::arguments::Backup;
use crate::failure::Failure;
use crate::settings::StoreLocation;
use crate::stack;

pub(crate) fn run(arguments: &Backup) -> Result<(), Failure> {
    let location = arguments.store.settings()?.location;
    let StoreLocation::File(store) = &location else {
        return Err(Failure::setup(
            "backup copies an embedded store (sqlite:PATH): for a CouchDB, replicate its databases or copy its \
             files, or use `export --output FILE`",
        ));
    };
    stack::check_exists(store)?;
    let file = PrivateFile::create(&arguments.file, &location)?;
    let mut progress = Progress::of("pages copied");
    embedded::back_up(store, file.part(), |copied| progress.reach(copied.pages, copied.of))
        .map_err(|error| Failure::run(crate::chain(&error)))?;
    drop(progress);
    file.finish()?;
    let bytes = std::fs::metadata(&arguments.file).map_or(0, |data| data.len());
    super::say(&format!("{}: {bytes} bytes, readable by you alone", arguments.file.display()))
}
