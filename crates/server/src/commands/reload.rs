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
        self.app.live().drain
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
        self.app.running.set(LiveSettings::of(&settings.serve));
        for (key, text) in changed {
            if key == LOG_LEVEL {
                let counts = logging::server_log().is_some_and(|server| server.set_level(log.log_level));
                if !counts {
                    log::warn!(setting = key; "a setting has changed, and does not count: the variable RUST_LOG is set");
                    continue;
                }
            } else if !LiveSettings::KEYS.contains(&key) {
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
    fn every_setting_that_can_change_is_one() {
        let all = settings::all();
        for key in LiveSettings::KEYS.into_iter().chain([LOG_LEVEL]) {
            let setting = all.iter().find(|setting| setting.key == key);
            assert!(!setting.unwrap_or_else(|| panic!("{key}")).shape.is_secret(), "{key} may be shown");
        }
    }
}
