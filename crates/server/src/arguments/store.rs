//! Where a command finds its settings: the settings file, and the store.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;

use crate::failure::Failure;
use crate::kazoo_config;
use crate::settings::{self, Given, NoticeSettings, SettingsFile, ShownSetting, Source, StoreSettings};

/// The settings file, and Kazoo's configuration. A command reads them once, since they may be pipes, and since they may
/// change meanwhile.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// A file with settings in TOML.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_CONFIG")]
    config: Option<PathBuf>,
    /// Kazoo's configuration (config.ini or config.yaml). The store, the brokers, the zone and the node are taken from
    /// it, unless they are given otherwise.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_KAZOO_CONFIG")]
    kazoo_config: Option<PathBuf>,
    /// What was read.
    #[arg(skip)]
    content: OnceLock<Content>,
}

/// What the files say.
#[derive(Clone, Debug)]
struct Content {
    file: SettingsFile,
    /// What may be wrong with Kazoo's configuration, in words.
    kazoo_warning: Option<String>,
}

impl ConfigFile {
    /// What the files say, at the first call.
    pub(super) fn read(&self) -> Result<&SettingsFile, Failure> {
        Ok(&self.content()?.file)
    }

    /// What may be wrong with Kazoo's configuration, in words.
    pub(super) fn kazoo_warning(&self) -> Result<Option<&str>, Failure> {
        Ok(self.content()?.kazoo_warning.as_deref())
    }

    /// The absolute path of the settings file, if one was named.
    pub(super) fn settings_file(&self) -> Result<Option<PathBuf>, Failure> {
        self.config.as_deref().map(absolute).transpose()
    }

    fn content(&self) -> Result<&Content, Failure> {
        match self.content.get() {
            Some(content) => Ok(content),
            None => {
                let content = self.read_files()?;
                Ok(self.content.get_or_init(|| content))
            }
        }
    }

    /// The same files, to be read once more.
    pub(super) fn again(&self) -> Result<Self, Failure> {
        for path in [&self.config, &self.kazoo_config].into_iter().flatten() {
            // A pipe that was read is empty, and every setting would have its default. Whoever reads a file that is
            // missing says so.
            if path.metadata().is_ok_and(|data| !data.is_file()) {
                return Err(Failure::setup(format!(
                    "{} is no file, and what was read from it cannot be read again: restart the server",
                    path.display()
                )));
            }
        }
        Ok(Self { content: OnceLock::new(), ..self.clone() })
    }

    /// The path of Kazoo's configuration, where Kazoo finds it unless it was given. It is absolute: systemd takes any other
    /// one for the name of a credential.
    pub(super) fn find_kazoo_config(&mut self) -> Result<PathBuf, Failure> {
        let path = self.kazoo_config.take().map_or_else(kazoo_config::find, Ok)?;
        let path = absolute(&path)?;
        *self =
            Self { config: self.config.take(), kazoo_config: Some(path.clone()), content: OnceLock::new() };
        Ok(path)
    }

    fn read_files(&self) -> Result<Content, Failure> {
        let mut file = match self.config.as_deref() {
            Some(path) => SettingsFile::read(path, &settings::all())?,
            None => SettingsFile::default(),
        };
        let mut kazoo_warning = None;
        if let Some(path) = &self.kazoo_config {
            let found = kazoo_config::read(path)?;
            let taken = found.settings.into_iter().map(|taken| (taken.key, taken.text));
            file.fill(taken.collect(), &Source::Kazoo(path.display().to_string()));
            kazoo_warning = found.warning;
        }
        Ok(Content { file, kazoo_warning })
    }

    /// The path of the settings file, if it holds a password.
    pub(super) fn with_secret(&self) -> Result<Option<PathBuf>, Failure> {
        let has_secret = self.read()?.has_secret(&settings::all());
        Ok(self.config.clone().filter(|_| has_secret))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::setup(format!("{} has no absolute path: {error}", path.display())))
}

/// The store and how to use it: every command that opens a store takes these.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    pub(super) given: Given<StoreSettings>,
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// What the files say, and what follows from the store's address.
    #[arg(skip)]
    content: OnceLock<SettingsFile>,
}

impl StoreArguments {
    /// The settings of the store.
    pub(crate) fn settings(&self) -> Result<StoreSettings, Failure> {
        self.given.settings(self.read_file()?)
    }

    /// The settings file, filled with what Kazoo's configuration says and what follows from the store's address.
    pub(super) fn read_file(&self) -> Result<&SettingsFile, Failure> {
        if let Some(content) = self.content.get() {
            return Ok(content);
        }
        let mut file = self.file.read()?.clone();
        let shown = self.given.show(&file);
        let store = shown.iter().find(|shown| shown.setting.key == "store").and_then(ShownSetting::text);
        if let Some(store) = store {
            file.fill(settings::that_fit_the_store(store), &Source::Proxy);
        }
        Ok(self.content.get_or_init(|| file))
    }

    /// The path of Kazoo's configuration, where Kazoo finds it unless it was given.
    pub(super) fn find_kazoo_config(&mut self) -> Result<PathBuf, Failure> {
        self.content = OnceLock::new();
        self.file.find_kazoo_config()
    }

    /// The same arguments, for which the files are read once more.
    pub(super) fn again(&self) -> Result<Self, Failure> {
        Ok(Self { file: self.file.again()?, content: OnceLock::new(), ..self.clone() })
    }
}

/// The store that a command changes, and the brokers that get its notices.
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
        self.given.settings(self.store.read_file()?)
    }
}
