//! What `serve` looks at in its store before it serves.

use std::collections::BTreeSet;

use datastore::{Deadline, StoreError};

use super::{health, missing};
use crate::app::App;
use crate::failure::Failure;

/// Refuses to serve a store that lacks what tokens are checked with, because every request would fail.
/// A store that does not answer is no reason to stop: it may answer later.
pub(super) async fn check_set_up(app: &App) -> Result<(), Failure> {
    match app.auth.is_set_up(&*app.uncached, Deadline::after(health::PATIENCE)).await {
        Ok(true) => {
            match app.auth.has_named_key(Deadline::after(health::PATIENCE)).await {
                Ok(true) => {}
                Ok(false) => log::warn!("{}", missing::NO_KEY),
                Err(error) => log::warn!("the signing key was not read: {}", crate::chain(&error)),
            }
            Ok(())
        }
        Ok(false) => Err(Failure::setup(
            "the store has no system_config/auth, or one that is marked as deleted, so no token could be checked: \
             create an account with `crossbar-groups account create`, `import` one, or try `serve --demo`",
        )),
        Err(error @ (StoreError::Unauthorized(_) | StoreError::Forbidden(_))) => Err(Failure::setup(
            format!("check the user and the password in the setting store: {}", crate::chain(&error)),
        )),
        Err(error) => {
            log::warn!("the store does not answer yet: {}", crate::chain(&error));
            Ok(())
        }
    }
}

/// Warns if the node or the zone of the settings has no section in Kazoo's configuration: the name may have
/// a slip, and then the server would silently use other values than Kazoo does.
pub(super) async fn warn_of_unknown_sections(app: &App) {
    let settings = &app.settings.notices;
    let named = [("kazoo_node", &settings.kazoo_node), ("kazoo_zone", &settings.kazoo_zone)];
    let mut named = named.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?))).peekable();
    if named.peek().is_none() {
        return;
    }
    match app.auth.config_sections(Deadline::after(health::PATIENCE)).await {
        Ok(sections) => {
            for (key, name) in named {
                let kind = if key == "kazoo_node" { Sections::Nodes } else { Sections::Zones };
                let there = kind.of(&sections);
                if !there.contains(&name) {
                    let there = there.join(", ");
                    log::warn!(setting = key, value = name, there = there.as_str(); "{}", kind.unknown());
                }
            }
        }
        Err(error) => log::warn!("the sections of system_config were not read: {}", crate::chain(&error)),
    }
}

/// The sections for nodes, or those for zones. A node's name has an `@`, as in `crossbar@apps.example.com`.
#[derive(Clone, Copy)]
enum Sections {
    Nodes,
    Zones,
}

impl Sections {
    fn of(self, all: &BTreeSet<String>) -> Vec<&str> {
        let is_wanted = |name: &&str| name.contains('@') == matches!(self, Self::Nodes);
        all.iter().map(String::as_str).filter(is_wanted).collect()
    }

    fn unknown(self) -> &'static str {
        match self {
            Self::Nodes => "no document of system_config that this server reads has a section for this node",
            Self::Zones => "no document of system_config that this server reads has a section for this zone",
        }
    }
}
