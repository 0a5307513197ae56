//! `backup`: copies an embedded store into a file, also while a server uses it.

use embedded::OpenError;

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
    embedded::back_up(store, file.part(), |copied| progress.reach(copied.pages, copied.of)).map_err(
        |error| {
            let text = crate::chain(&error);
            match error {
                // A disk that is full or fails.
                OpenError::Io { .. } | OpenError::Sqlite { .. } => Failure::run(text),
                _ => Failure::setup(text),
            }
        },
    )?;
    drop(progress);
    file.finish()?;
    let bytes = std::fs::metadata(&arguments.file).map_or(0, |data| data.len());
    super::say(&format!("{}: {bytes} bytes, readable by you alone", arguments.file.display()))
}
