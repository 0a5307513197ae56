//! Chooses the release that the server stands in for, when it starts.

use datastore::{Backend, Deadline};

use super::read;
use super::signs::Finding;
use crate::failure::Failure;
use crate::profile::Release;

/// The setting `profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileSetting {
    /// The signs in the databases decide.
    Auto,
    /// The operator has decided.
    Named(Release),
}

/// The release that the server stands in for.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) release: Release,
    pub(super) setting: ProfileSetting,
    /// What the databases showed. `None` if they did not answer.
    pub(super) found: Option<Finding>,
}

/// What the databases of a store show of its release. It writes nothing.
pub(crate) async fn find(store: &dyn Backend, deadline: Deadline) -> datastore::Result<Finding> {
    Ok(read::signs(store, deadline).await?.finding())
}

/// Chooses the release that the server stands in for, and says why in the log.
pub(crate) async fn choose(
    setting: ProfileSetting,
    store: &dyn Backend,
    deadline: Deadline,
) -> Result<Choice, Failure> {
    let found = match find(store, deadline).await {
        Ok(finding) => Some(finding),
        Err(error) => {
            let error = crate::chain(&error);
            log::warn!(
                "the release of Kazoo was not read from the store: {error}. If it never can be, name it in the setting profile"
            );
            None
        }
    };
    let release = match (setting, found.as_ref().map(Finding::release)) {
        (ProfileSetting::Auto, Some(Err(reason))) => {
            return Err(Failure::setup(format!(
                "this server must not stand in for the Kazoo of this store: {reason}. If that is wrong, name the \
                 release in the setting profile (--profile 5.0 or 4.3)"
            )));
        }
        (ProfileSetting::Auto, Some(Ok(release))) => release,
        (ProfileSetting::Auto, None) => Release::Kazoo50,
        (ProfileSetting::Named(release), _) => {
            if let Some(found) = &found {
                warn_of_other_release(release, found);
            }
            release
        }
    };
    let why = match (setting, &found) {
        (ProfileSetting::Auto, Some(found)) => Some(found.to_string()),
        (ProfileSetting::Auto, None) => None,
        (ProfileSetting::Named(_), _) => Some("the setting names it".to_owned()),
    };
    match why {
        Some(why) => log::info!(profile = release.name(), why = why.as_str(); "chose the profile"),
        None => log::warn!(
            profile = release.name();
            "nothing is written, and answers have the form of this profile, until the store shows its release"
        ),
    }
    if matches!(setting, ProfileSetting::Auto) && matches!(found, Some(Finding::Unclear { .. })) {
        log::warn!(
            "nothing in the store tells Kazoo 4.3 from 5.0, so this server behaves as 5.0: if it is a 4.3, set \
             profile (--profile 4.3)"
        );
    }
    Ok(Choice { release, setting, found })
}

/// Warns if the databases show another release than the operator names.
fn warn_of_other_release(named: Release, found: &Finding) {
    match (found, found.release()) {
        (_, Err(reason)) => {
            log::warn!(profile = named.name(), reason = reason.as_str(); "the setting profile overrides a refusal");
        }
        (Finding::Known { .. }, Ok(found)) if found != named => log::warn!(
            profile = named.name(), found = found.name();
            "the setting profile names another release than the store shows"
        ),
        _ => {}
    }
}
