//! The settings of the judge, and the outcome of its steps.

use std::path::PathBuf;

/// The result of a step, or the reason why it could not be taken.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The settings of every section.
pub(crate) struct Settings {
    /// The binary that is judged.
    pub(crate) binary: String,
    /// The folder of stores and reports, kept between runs.
    pub(crate) folder: PathBuf,
    /// The seed of the random numbers.
    pub(crate) seed: u64,
}

impl Settings {
    /// The store that is copied for each fresh server.
    pub(crate) fn template(&self) -> PathBuf {
        self.folder.join("template")
    }
}
