//! How far a comparison is. With a state file, a run that was stopped goes on there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kazoo::AccountId;
use serde::{Deserialize, Serialize};

use super::super::private_file::PrivateFile;
use super::tally::Tally;
use crate::failure::Failure;
use crate::settings::StoreLocation;

/// How often the file is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far a comparison is.
pub(super) struct State {
    file: Option<PathBuf>,
    store: StoreLocation,
    kept: Kept,
    saved: Instant,
}

/// The comparison that a state file belongs to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The addresses of both servers.
    pub(super) server: String,
    pub(super) against: String,
    /// The accounts that were named.
    pub(super) accounts: Vec<String>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    work: Work,
    /// The last account that is done. Accounts are compared in the order of their ids.
    last: Option<String>,
    tally: Tally,
}

impl State {
    /// Goes on with a comparison if the file is there.
    pub(super) fn open(work: Work, file: Option<PathBuf>, store: &StoreLocation) -> Result<Self, Failure> {
        let kept = match &file {
            Some(path) if path.exists() => read(path, &work)?,
            _ => Kept { work, last: None, tally: Tally::default() },
        };
        Ok(Self { file, store: store.clone(), kept, saved: Instant::now() })
    }

    pub(super) fn has_done(&self, account: &AccountId) -> bool {
        self.kept.last.as_deref().is_some_and(|last| account.as_str() <= last)
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.kept.tally
    }

    /// Takes note of an account that is done.
    pub(super) fn add(&mut self, account: &AccountId, tally: &Tally) -> Result<(), Failure> {
        self.kept.tally.add(tally);
        self.kept.last = Some(account.as_str().to_owned());
        if self.saved.elapsed() < INTERVAL {
            return Ok(());
        }
        self.saved = Instant::now();
        self.save()
    }

    /// Writes the file, if there is one.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.file else { return Ok(()) };
        let file = PrivateFile::create(path, &self.store)?;
        let failure =
            |error: &dyn std::fmt::Display| Failure::run(format!("cannot write {}: {error}", path.display()));
        let text = serde_json::to_vec(&self.kept).map_err(|error| failure(&error))?;
        file.writer().write_all(&text).map_err(|error| failure(&error))?;
        file.finish()
    }

    /// All is done: the next run begins anew. Answers the numbers.
    pub(super) fn finish(self) -> Result<Tally, Failure> {
        if let Some(path) = &self.file {
            fs::remove_file(path)
                .map_err(|error| Failure::run(format!("cannot remove {}: {error}", path.display())))?;
        }
        Ok(self.kept.tally)
    }

    /// A failure, with the way to go on.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        match &self.file {
            Some(path) => {
                failure.with(&format!("; run the same command again to go on, from {}", path.display()))
            }
            None => failure,
        }
    }
}

/// Reads a file that must be of the same work.
fn read(path: &Path, work: &Work) -> Result<Kept, Failure> {
    let shown = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| Failure::setup(format!("cannot read {shown}: {error}")))?;
    let kept: Kept = serde_json::from_str(&text).map_err(|error| {
        Failure::setup(format!(
            "{shown} is no state of a comparison ({error}): name another file with --state"
        ))
    })?;
    if kept.work != *work {
        return Err(Failure::setup(format!(
            "{shown} is the state of another comparison, of {} with {}: name another file with --state, or delete \
             this one",
            kept.work.server, kept.work.against
        )));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use kazoo::AccountId;

    use super::{State, StoreLocation, Tally, Work};

    fn work(against: &str) -> Work {
        Work { server: "http://here".to_owned(), against: against.to_owned(), accounts: Vec::new() }
    }

    #[test]
    fn a_stopped_comparison_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreLocation::File(folder.path().join("store.db"));
        let file = folder.path().join("state.json");
        let open = |work| State::open(work, Some(file.clone()), &store);
        let [first, second] = ["1", "2"].map(|digit| AccountId::parse(&digit.repeat(32)).unwrap());
        let mut state = open(work("http://there")).unwrap();
        assert!(!state.has_done(&first));
        let mut tally = Tally { accounts: 1, same: 7, ..Tally::default() };
        tally.here.note(std::time::Duration::from_millis(3));
        state.add(&first, &tally).unwrap();
        state.save().unwrap();

        let refused = open(work("http://elsewhere")).map(drop).unwrap_err().to_string();
        assert!(refused.contains("another comparison") && refused.contains("--state"), "{refused}");
        let mut state = open(work("http://there")).unwrap();
        assert!(state.has_done(&first) && !state.has_done(&second));
        assert_eq!(*state.tally(), tally);
        state.add(&second, &tally).unwrap();
        assert_eq!(state.finish().unwrap().same, 14);
        assert!(!file.exists(), "the next run begins anew");

        std::fs::write(&file, "{}").unwrap();
        let refused = open(work("http://there")).map(drop).unwrap_err().to_string();
        assert!(refused.contains("no state of a comparison"), "{refused}");
    }
}
