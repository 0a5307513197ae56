//! What each command takes on its command line. The settings themselves are declared in `settings`.

mod administration;
mod store;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

pub(crate) use self::administration::{
    AccountCreate, AccountList, AccountNamed, AccountShow, KeyList, KeyRetire, KeyRotate, UserCreate,
    UserList, UserNamed, UserPasswd, ViewsPush,
};
pub(crate) use self::store::{ChangedStore, ConfigFile, StoreArguments};
use crate::failure::Failure;
use crate::settings::{
    AdminSettings, CacheSettings, Given, LogSettings, ServeSettings, ShownSetting, StoreSettings,
};

/// `import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The file to read; - is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Export only this database.
    #[arg(long, value_name = "NAME")]
    pub(crate) db: Option<String>,
    /// Write to this file, which only you can read, and not to standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The file to write. Only you can read it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `token`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account that the token is for, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
    /// A user of the account, by its id or name; without a user the token is like that of an API key.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) user: Option<String>,
    /// How long the token is valid, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ttl: u32,
}

/// `restore`.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// A file that `backup` has written.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write a page for each command into this folder, and not the main page to standard output.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}

/// `healthcheck`.
#[derive(Args, Debug)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    admin: Given<AdminSettings>,
    #[command(flatten)]
    file: ConfigFile,
    /// Ask whether the store can write, too. Without this, a server that can only read is ready.
    #[arg(long)]
    pub(crate) writes: bool,
    /// The URL of the server's admin listener [default: the address in the setting admin_listen].
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
}

impl Healthcheck {
    /// The settings of the admin listener.
    pub(crate) fn admin(&self) -> Result<AdminSettings, Failure> {
        self.admin.settings(self.file.read()?)
    }
}

/// `doctor`.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    given: Given<ServeSettings>,
    /// Print JSON and not a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Doctor {
    /// The settings of the server and of its store.
    pub(crate) fn settings(&self) -> Result<(ServeSettings, StoreSettings), Failure> {
        let file = self.store.read_file()?;
        Ok((self.given.settings(file)?, self.store.given.settings(file)?))
    }

    /// The settings file, if it holds a password.
    pub(crate) fn file_with_secret(&self) -> Result<Option<PathBuf>, Failure> {
        self.store.file.with_secret()
    }
}

/// `compare`.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The other server: crossbar, as in http://127.0.0.1:8000.
    #[arg(long, value_name = "URL")]
    pub(crate) against: String,
    /// This server, which must be running. `attach` proposes this port.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8010")]
    pub(crate) server: String,
    /// Compare only this account, named by its id or name. Repeat it for further ones [default: every account of the
    /// store].
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: Vec<String>,
    /// A file with a token that both servers accept; use a token of the master account to compare all accounts. - is
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with an API key, with which `compare` logs in; use that of the master account to compare all accounts. -
    /// is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// How many requests each server gets in a second at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// The client address that both servers see, from X-Forwarded-For. Crossbar charges its rate limit.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) forwarded_for: Option<IpAddr>,
    /// Keep in this file how far the comparison is. The same command goes on from there after it was stopped.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Show the values that differ, too. They may be personal data.
    #[arg(long)]
    pub(crate) values: bool,
    /// Print JSON and not lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `serve`, and the commands that show and check its settings.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    given: Given<ServeSettings>,
    #[command(flatten)]
    cache: Given<CacheSettings>,
    #[command(flatten)]
    admin: Given<AdminSettings>,
    #[command(flatten)]
    log: Given<LogSettings>,
    /// On an empty store: create a demo account with a few groups, and print how to use it.
    #[arg(long, env = "CROSSBAR_GROUPS_DEMO")]
    pub(crate) demo: bool,
}

/// The settings of `serve`.
pub(crate) struct AllSettings {
    pub(crate) serve: ServeSettings,
    pub(crate) admin: AdminSettings,
    pub(crate) cache: CacheSettings,
    pub(crate) store: StoreSettings,
}

impl Serve {
    /// The settings of the server, of its cache and of its store. Those of the log are read before, by [`Serve::log`].
    pub(crate) fn settings(&self) -> Result<AllSettings, Failure> {
        let file = self.store.read_file()?;
        Ok(AllSettings {
            serve: self.given.settings(file)?,
            admin: self.admin.settings(file)?,
            cache: self.cache.settings(file)?,
            store: self.store.given.settings(file)?,
        })
    }

    /// The settings of the log.
    pub(crate) fn log(&self) -> Result<LogSettings, Failure> {
        self.log.settings(self.store.read_file()?)
    }

    /// The settings file, if it holds a password.
    pub(crate) fn file_with_secret(&self) -> Result<Option<PathBuf>, Failure> {
        self.store.file.with_secret()
    }

    /// The path of Kazoo's configuration, where Kazoo finds it unless it was given.
    pub(crate) fn find_kazoo_config(&mut self) -> Result<PathBuf, Failure> {
        self.store.find_kazoo_config()
    }

    /// What may be wrong with Kazoo's configuration, in words.
    pub(crate) fn kazoo_warning(&self) -> Result<Option<&str>, Failure> {
        self.store.file.kazoo_warning()
    }

    /// The absolute path of the settings file, if one was named.
    pub(crate) fn settings_file(&self) -> Result<Option<PathBuf>, Failure> {
        self.store.file.settings_file()
    }

    /// Every setting.
    pub(crate) fn show(&self) -> Result<Vec<ShownSetting>, Failure> {
        let file = self.store.read_file()?;
        let shown = [
            self.given.show(file),
            self.admin.show(file),
            self.cache.show(file),
            self.log.show(file),
            self.store.given.show(file),
        ];
        Ok(shown.into_iter().flatten().collect())
    }

    /// The same arguments, for which the settings files are read once more.
    pub(crate) fn again(&self) -> Result<Self, Failure> {
        Ok(Self { store: self.store.again()?, ..self.clone() })
    }
}
