//! SIGHUP: reads the settings again, and takes those that can change while the server runs. A mistake in them changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::arguments::Serve;
use crate::failure::Failure;
use crate::logging;
use crate::settings::LiveSettings;

/// The setting of the least level that is logged.
const LOG_LEVEL: &str = "log_level";

/// The settings of a running server, and where they come from.
pub(super) struct Reload {
    arguments: Serve,
    app: Arc<App>,
    /// The text of every setting as the server uses it. Some are secret.
    used: BTreeMap<&'static str, Option<String>>,
}

impl Reload {
    /// The settings that the server has started with.
    pub(super) fn new(arguments: Serve, app: Arc<App>) -> Result<Self, Failure> {
        let used = arguments.texts()?;
        Ok(Self { arguments, app, used })
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
            log::error!("the settings were not read again, and the old ones count: {failure}");
        }
    }

    fn try_run(&mut self) -> Result<(), Failure> {
        let settings = self.arguments.settings()?;
        let log = self.arguments.log()?;
        let found = self.arguments.texts()?;
        let changed = found.iter().filter(|(key, text)| self.used.get(*key) != Some(*text));
        let changed: Vec<_> = changed.map(|(key, text)| (*key, text.clone())).collect();
        if changed.is_empty() {
            log::info!("the settings were read again: nothing has changed");
        }
        self.app.running.set(settings.serve.live);
        for (key, text) in changed {
            if key == LOG_LEVEL {
                let counts = logging::server_log().is_some_and(|server| server.set_level(log.log_level));
                if !counts {
                    log::warn!(setting = key; "a setting has changed, and does not count: the variable RUST_LOG is set");
                    continue;
                }
            } else if !LiveSettings::has(key) {
                log::warn!(setting = key; "a setting has changed, and counts from the next start on: restart the server");
                continue;
            }
            log::info!(setting = key, value = text.as_deref().unwrap_or_default(); "a setting has changed");
            self.used.insert(key, text);
        }
        Ok(())
    }
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
