//! Looks again and again which release of Kazoo a store belongs to. When it becomes another one than the server
//! stands in for, the server is unready and writes nothing, until it is restarted or the old release is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use datastore::{Backend, Deadline};

use super::choose::{Choice, ProfileSetting, find};
use super::signs::Finding;
use crate::profile::{Profile, Release};
use crate::supervisor::StopSignal;

/// How often the databases are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often they are looked at until they have answered once.
const INTERVAL_UNTIL_KNOWN: Duration = Duration::from_secs(1);

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The release that the server stands in for, and whether the store is still one of it.
pub(crate) struct ReleaseWatch {
    /// Chosen once: at the start, or when the store answers for the first time.
    serves: OnceLock<Release>,
    setting: ProfileSetting,
    /// Whether it is safe to write. Each request that writes reads it.
    may_write: AtomicBool,
    /// What was found last.
    last: Mutex<Last>,
}

/// What was found last.
struct Last {
    finding: Option<Finding>,
    /// Why the server is not ready.
    mismatch: Option<String>,
}

impl ReleaseWatch {
    /// Begins with what was found at the start.
    pub(crate) fn new(choice: Choice) -> Self {
        let Choice { release, setting, found } = choice;
        let is_unknown = setting == ProfileSetting::Auto && found.is_none();
        let mismatch = is_unknown.then(|| "the release of Kazoo is not known yet".to_owned());
        let serves = OnceLock::new();
        if !is_unknown {
            let _ = serves.set(release);
        }
        Self {
            serves,
            setting,
            may_write: AtomicBool::new(mismatch.is_none()),
            last: Mutex::new(Last { finding: found, mismatch }),
        }
    }

    /// How the release behaves that the server stands in for. Until the store shows which it is, that is 5.0.
    pub(crate) fn profile(&self) -> &'static Profile {
        self.release().profile()
    }

    fn release(&self) -> Release {
        self.serves.get().copied().unwrap_or(Release::Kazoo50)
    }

    /// Whether nothing may be written now.
    pub(crate) fn forbids_writes(&self) -> bool {
        !self.may_write.load(Ordering::Relaxed)
    }

    /// Why the server is not ready, if its release is the reason.
    pub(crate) fn mismatch(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).mismatch.clone()
    }

    /// Looks at the databases until the server stops.
    pub(crate) async fn run(
        self: Arc<Self>,
        store: Arc<dyn Backend>,
        mut stop: StopSignal,
    ) -> Result<(), String> {
        loop {
            let is_known = self.last.lock().unwrap_or_else(PoisonError::into_inner).finding.is_some();
            if !stop.pause(if is_known { INTERVAL } else { INTERVAL_UNTIL_KNOWN }).await {
                return Ok(());
            }
            match find(&*store, Deadline::after(PATIENCE)).await {
                Ok(finding) => self.note(finding),
                // Whoever needs the store logs its failures.
                Err(error) => log::debug!("the release of Kazoo was not read: {}", crate::chain(&error)),
            }
        }
    }

    /// Takes note of what was found.
    fn note(&self, finding: Finding) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.finding.as_ref() == Some(&finding) {
            return;
        }
        let found = finding.to_string();
        let mismatch = match finding.release() {
            Ok(release) if *self.serves.get_or_init(|| release) == release => None,
            Ok(release) => Some(format!(
                "it is Kazoo {} now, and this server stands in for {}",
                release.name(),
                self.release().name()
            )),
            Err(reason) => Some(reason),
        };
        match (self.setting, &mismatch) {
            (ProfileSetting::Named(_), Some(reason)) => log::warn!(
                profile = self.release().name(), found = found.as_str();
                "the release of Kazoo has changed, and the setting profile names another one: {reason}"
            ),
            (ProfileSetting::Auto, Some(reason)) => log::error!(
                profile = self.release().name(), found = found.as_str();
                "the release of Kazoo has changed: {reason}. Nothing is written until this server is restarted"
            ),
            (_, None) => {
                log::info!(profile = self.release().name(), found = found.as_str(); "read the release of Kazoo")
            }
        }
        last.finding = Some(finding);
        last.mismatch = mismatch.filter(|_| self.setting == ProfileSetting::Auto);
        self.may_write.store(last.mismatch.is_none(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Finding, ProfileSetting, Release, ReleaseWatch};

    fn known(release: Release) -> Finding {
        Finding::Known { release, because: "x".to_owned() }
    }

    fn watch(setting: ProfileSetting, found: Option<Finding>) -> ReleaseWatch {
        ReleaseWatch::new(Choice { release: Release::Kazoo43, setting, found })
    }

    #[test]
    fn a_change_forbids_writes_until_the_old_release_is_back() {
        let watch = watch(ProfileSetting::Auto, Some(known(Release::Kazoo43)));
        assert!(!watch.forbids_writes() && watch.mismatch().is_none());
        for other in [known(Release::Kazoo50), Finding::NoKazoo, Finding::Newer { because: "y".to_owned() }] {
            watch.note(other);
            assert!(watch.forbids_writes() && watch.mismatch().is_some());
        }
        watch.note(known(Release::Kazoo43));
        assert!(!watch.forbids_writes() && watch.mismatch().is_none());
    }

    #[test]
    fn writes_wait_until_the_release_is_known() {
        let watch = watch(ProfileSetting::Auto, None);
        assert!(watch.forbids_writes());
        assert!(watch.mismatch().unwrap().contains("not known yet"));
        watch.note(known(Release::Kazoo43));
        assert!(!watch.forbids_writes());
    }

    /// The store may answer only after the server has started.
    #[test]
    fn the_first_answer_of_the_store_chooses_the_release() {
        for release in [Release::Kazoo43, Release::Kazoo50] {
            let watch = watch(ProfileSetting::Auto, None);
            watch.note(Finding::Newer { because: "y".to_owned() });
            assert!(watch.forbids_writes());
            watch.note(known(release));
            assert!(!watch.forbids_writes() && watch.mismatch().is_none());
            assert_eq!(watch.profile().release, release);
            watch.note(Finding::Newer { because: "y".to_owned() });
            assert!(watch.forbids_writes());
            assert_eq!(watch.profile().release, release);
        }
    }

    #[test]
    fn a_named_release_is_served_whatever_is_found() {
        let watch = watch(ProfileSetting::Named(Release::Kazoo43), None);
        assert!(!watch.forbids_writes());
        watch.note(Finding::Newer { because: "y".to_owned() });
        assert!(!watch.forbids_writes() && watch.mismatch().is_none());
    }
}
