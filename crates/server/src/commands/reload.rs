//! SIGHUP: reads the settings again, and takes those that can change while the server runs. A mistake in them changes
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use super::pages::About;
use crate::app::App;
use crate::arguments::Serve;
use crate::failure::Failure;
use crate::logging::{self, RELOAD};
use crate::settings::{LiveSettings, LogSettings, ShownSetting};

/// The setting of the least level that is logged.
const LOG_LEVEL: &str = "log_level";

/// The settings of a running server, and where they come from.
pub(super) struct Reload {
    arguments: Serve,
    app: Arc<App>,
    about: Arc<About>,
    /// Every setting as the server uses it.
    used: Vec<ShownSetting>,
}

impl Reload {
    /// The settings that the server has started with.
    pub(super) fn new(arguments: Serve, app: Arc<App>, about: Arc<About>) -> Result<Self, Failure> {
        let used = arguments.show()?;
        Ok(Self { arguments, app, about, used })
    }

    /// How long the server drains before it stops.
    pub(super) fn drain(&self) -> Duration {
        Duration::from_secs(self.app.live().drain.into())
    }

    /// Makes the server unready, since it is about to stop.
    pub(super) fn note_stop(&self) {
        self.app.running.stop();
    }

    /// Reads the settings, and takes what has changed. The log says what was taken, and what was not and why.
    pub(super) fn run(&mut self) {
        if let Err(failure) = self.try_run() {
            log::error!(target: RELOAD, "the settings were not read again, and the old ones count: {failure}");
        }
    }

    fn try_run(&mut self) -> Result<(), Failure> {
        let arguments = self.arguments.again()?;
        let settings = arguments.settings()?;
        let log = arguments.log()?;
        let found = arguments.show()?;
        self.app.running.set(settings.serve.live);
        let mut has_changed = false;
        // Both have every setting, in the order of `--help`.
        for (used, found) in self.used.iter_mut().zip(found) {
            let is_same = found.has_value_of(used);
            has_changed |= !is_same;
            // The same value may stand on another line now.
            if is_same || take(&found, &log) {
                *used = found;
            }
        }
        if !has_changed {
            log::info!(target: RELOAD, "the settings were read again: nothing has changed");
        }
        self.about.set(&self.used);
        Ok(())
    }
}

/// Takes a setting that has changed, if it can change while the server runs. The log says what becomes of it.
fn take(found: &ShownSetting, log: &LogSettings) -> bool {
    let key = found.setting.key;
    if key == LOG_LEVEL {
        let counts = logging::server_log().is_some_and(|server| server.set_level(log.log_level));
        if !counts {
            log::warn!(target: RELOAD, setting = key; "a setting has changed, and does not count: the variable RUST_LOG is set");
            return false;
        }
    } else if !LiveSettings::has(key) {
        log::warn!(target: RELOAD, setting = key; "a setting has changed, and counts from the next start on: restart the server");
        return false;
    }
    log::info!(target: RELOAD, setting = key, value = found.value.as_deref().unwrap_or_default(); "a setting has changed");
    true
}

#[cfg(test)]
mod tests {
    use super::{LOG_LEVEL, LiveSettings};
    use crate::settings;

    #[test]
    fn a_setting_that_can_change_may_be_shown() {
        let all = settings::all();
        let live: Vec<_> =
            all.iter().filter(|one| one.key == LOG_LEVEL || LiveSettings::has(one.key)).collect();
        assert_eq!(live.len(), 7);
        for setting in live {
            assert!(!setting.shape.is_secret(), "{} may be shown", setting.key);
        }
    }
}
