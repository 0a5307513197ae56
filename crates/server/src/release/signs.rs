//! What the databases of a cluster show of its release of Kazoo, and what that means. It reads nothing.

use std::fmt;

use crate::profile::Release;

/// The first release that this server cannot stand in for.
const FIRST_NEWER: Version = Version { major: 5, minor: 1 };

/// A view of the accounts' databases. It is printed as Kazoo writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The name of its design document.
    pub(super) design: &'static str,
    /// Its own name.
    pub(super) name: &'static str,
}

/// The view that 4.3 and 5.0 list groups with.
pub(super) const GROUPS_VIEW: View = View { design: "groups", name: "crossbar_listing" };

/// The view that newer releases list groups with.
pub(super) const NEWER_VIEW: View = View { design: "crossbar_listings", name: "by_type_id" };

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.design, self.name)
    }
}

/// What was seen in the databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// Whether there are databases that only Kazoo makes.
    pub(super) has_kazoo_databases: bool,
    /// Where the view of groups is that 4.3 and 5.0 have.
    pub(super) groups_view: Places,
    /// Where the view of all kinds of documents is that newer releases list groups with.
    pub(super) newer_view: Places,
    /// What the sections of `system_config/kapps_maintenance` call the version that the databases were migrated to.
    pub(super) migrated_to: Vec<String>,
    /// Whether the schema of groups has a member that newer releases added.
    pub(super) has_newer_schema: bool,
}

/// Where a view was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// In Kazoo's registry of views.
    pub(super) registry: bool,
    /// In the database of an account.
    pub(super) account: bool,
}

impl Places {
    /// The places in words, and what is there.
    fn with(self, view: View) -> Option<String> {
        let place = match self {
            Self { registry: true, account: true } => "the registry of views and an account's database have",
            Self { registry: true, account: false } => "the registry of views has",
            Self { registry: false, account: true } => "an account's database has",
            Self { registry: false, account: false } => return None,
        };
        Some(format!("{place} {view}"))
    }
}

/// A version of Kazoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Reads a version: two numbers with a point between them, and anything behind.
    fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.trim_start_matches('v').split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What the signs mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// No Kazoo uses the store.
    NoKazoo,
    /// It is the store of this release.
    Known {
        /// The release.
        release: Release,
        /// The sign that says so.
        because: String,
    },
    /// A Kazoo uses the store, but no sign says which release it is.
    Unclear {
        /// What was seen.
        seen: String,
    },
    /// It is the store of a release that this server cannot stand in for.
    Newer {
        /// The signs that say so.
        because: String,
    },
    /// Some signs are of one release, and others of another.
    Contradiction {
        /// What they say.
        between: String,
    },
}

impl Finding {
    /// The release to stand in for, or why this server must not stand in for the one that was found.
    pub(crate) fn release(&self) -> Result<Release, String> {
        match self {
            Self::NoKazoo | Self::Unclear { .. } => Ok(Release::Kazoo50),
            Self::Known { release, .. } => Ok(*release),
            Self::Newer { .. } | Self::Contradiction { .. } => Err(self.to_string()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKazoo => f.write_str("the store has no database that only Kazoo makes"),
            Self::Known { release, because } => write!(f, "it is Kazoo {}: {because}", release.name()),
            Self::Unclear { seen } => write!(f, "it is a Kazoo, but nothing tells 4.3 from 5.0: {seen}"),
            Self::Newer { because } => write!(
                f,
                "it is newer than 5.0 ({because}), and its tokens have scopes that this server does not check"
            ),
            Self::Contradiction { between } => {
                write!(f, "the signs of its release contradict each other: {between}")
            }
        }
    }
}

impl Signs {
    /// What the signs mean.
    pub(crate) fn finding(&self) -> Finding {
        let version = self.version();
        let newer = self.newer();
        let registered = self.registered_by_known_release();
        match version {
            Some(version) if version >= FIRST_NEWER => match registered {
                Some(registered) if newer.is_empty() => {
                    Finding::Contradiction { between: format!("{}, but {registered}", migrated_to(version)) }
                }
                _ => Finding::Newer { because: join(&newer, Some(migrated_to(version))) },
            },
            Some(version) if !newer.is_empty() => Finding::Contradiction {
                between: format!("{}, but {}", migrated_to(version), join(&newer, None)),
            },
            None if !newer.is_empty() => match registered {
                Some(registered) => {
                    Finding::Contradiction { between: format!("{registered}, but {}", join(&newer, None)) }
                }
                None => Finding::Newer { because: join(&newer, None) },
            },
            Some(version) => {
                let release = if version.major >= 5 { Release::Kazoo50 } else { Release::Kazoo43 };
                Finding::Known { release, because: migrated_to(version) }
            }
            None if self.has_kazoo_databases || self.groups_view.registry => {
                Finding::Unclear { seen: self.seen() }
            }
            None => Finding::NoKazoo,
        }
    }

    /// What the registry of views says, if it is that of 4.3 or 5.0.
    fn registered_by_known_release(&self) -> Option<String> {
        let is_known = self.groups_view.registry && !self.newer_view.registry;
        is_known
            .then(|| format!("the registry has the views of 4.3 and 5.0 ({GROUPS_VIEW} and no {NEWER_VIEW})"))
    }

    /// The newest version that the databases were migrated to. Kazoo writes each node's into a section of its own,
    /// and `3.22` where nobody has ever migrated anything.
    fn version(&self) -> Option<Version> {
        let versions = self.migrated_to.iter().filter_map(|text| Version::parse(text));
        versions.filter(|version| version.major >= 4).max()
    }

    /// The signs of a newer release.
    fn newer(&self) -> Vec<String> {
        let view = self.newer_view.with(NEWER_VIEW);
        let schema =
            self.has_newer_schema.then(|| "the schema of groups has music_on_hold.options".to_owned());
        view.into_iter().chain(schema).collect()
    }

    /// What was seen, for the log.
    fn seen(&self) -> String {
        let Places { registry, account } = self.groups_view;
        let view = Places { registry, account: account && !registry }.with(GROUPS_VIEW);
        let view = view.unwrap_or_else(|| "Kazoo's databases are there".to_owned());
        match self.migrated_to.as_slice() {
            [] => format!("{view}, and no migration is recorded"),
            versions => format!("{view}, and the migrations stand at {}", versions.join(" and ")),
        }
    }
}

fn migrated_to(version: Version) -> String {
    format!("system_config/kapps_maintenance says that the databases were migrated to {version}")
}

fn join(signs: &[String], last: Option<String>) -> String {
    signs.iter().cloned().chain(last).collect::<Vec<_>>().join(", and ")
}

#[cfg(test)]
#[path = "signs_tests.rs"]
mod tests;
