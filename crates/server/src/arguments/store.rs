//! Where a command finds its settings: the settings file, and the store.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::kazoo_config;
use crate::settings::{self, Given, NoticeSettings, SettingsFile, Source, StoreSettings};

/// The settings file, and Kazoo's configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// A file with settings in TOML.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Kazoo's configuration (config.ini or config.yaml). The store, the brokers, the zone and the node are taken from
    /// it, unless they are given otherwise.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_KAZOO_CONFIG")]
    pub(super) kazoo_config: Option<PathBuf>,
}

impl ConfigFile {
    pub(super) fn read(&self) -> Result<SettingsFile, Failure> {
        let mut file = match self.config.as_deref() {
            Some(path) => SettingsFile::read(path, &settings::all())?,
            None => SettingsFile::default(),
        };
        if let Some(path) = &self.kazoo_config {
            let taken = kazoo_config::read(path)?.into_iter().map(|taken| (taken.key, taken.text));
            file.fill(taken.collect(), &Source::Kazoo(path.display().to_string()));
        }
        Ok(file)
    }

    /// The path of the settings file, if it holds a password.
    pub(super) fn with_secret(&self) -> Result<Option<PathBuf>, Failure> {
        let has_secret = self.read()?.has_secret(&settings::all());
        Ok(self.config.clone().filter(|_| has_secret))
    }
}

/// The store and how to use it: every command that opens a store takes these.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    pub(super) given: Given<StoreSettings>,
    #[command(flatten)]
    pub(super) file: ConfigFile,
}

impl StoreArguments {
    /// The settings of the store.
    pub(crate) fn settings(&self) -> Result<StoreSettings, Failure> {
        self.given.settings(&self.read_file()?)
    }

    /// The settings file, filled with what Kazoo's configuration says and what follows from the store's address.
    pub(super) fn read_file(&self) -> Result<SettingsFile, Failure> {
        let mut file = self.file.read()?;
        let store = self.given.texts(&file).into_iter().find(|(key, _)| *key == "store");
        if let Some((_, Some(store))) = store {
            file.fill(settings::that_fit_the_store(&store), &Source::Proxy);
        }
        Ok(file)
    }
}

/// The store that a command changes, and the brokers that are told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChangedStore {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    given: Given<NoticeSettings>,
}

impl ChangedStore {
    /// The settings of the store.
    pub(crate) fn settings(&self) -> Result<StoreSettings, Failure> {
        self.store.settings()
    }

    /// The settings of the brokers, and of the names that change notices carry.
    pub(crate) fn notices(&self) -> Result<NoticeSettings, Failure> {
        self.given.settings(&self.store.read_file()?)
    }
}
