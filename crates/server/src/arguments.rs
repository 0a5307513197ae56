//! What each command takes on its command line. The settings themselves are declared in `settings`.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::settings::{self, CacheSettings, Given, ServeSettings, SettingsFile, StoreSettings};

/// The store and how to use it: every command that opens a store takes these.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    given: Given<StoreSettings>,
    /// A file with settings in TOML.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_CONFIG")]
    config: Option<PathBuf>,
}

impl StoreArguments {
    /// The settings of the store.
    pub(crate) fn settings(&self) -> Result<StoreSettings, Failure> {
        self.given.settings(&self.file()?)
    }

    /// The settings file.
    fn file(&self) -> Result<SettingsFile, Failure> {
        match self.config.as_deref() {
            Some(path) => SettingsFile::read(path, &settings::all()),
            None => Ok(SettingsFile::default()),
        }
    }
}

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
}

/// `token`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account that the token is for.
    #[arg(long, value_name = "ID")]
    pub(crate) account: String,
    /// A user of the account; without a user the token is like that of an API key.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// How long the token is valid, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ttl: u32,
}

/// `account create`.
#[derive(Args, Debug)]
pub(crate) struct AccountCreate {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account's name.
    #[arg(long)]
    pub(crate) name: String,
    /// The account's SIP realm [default: a random one].
    #[arg(long)]
    pub(crate) realm: Option<String>,
    /// The parent account.
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// If the account exists, print its id instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `user create`.
#[derive(Args, Debug)]
pub(crate) struct UserCreate {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account that the user belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) account: String,
    /// The name to log in with.
    #[arg(long)]
    pub(crate) username: String,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Make the user an administrator of the account.
    #[arg(long)]
    pub(crate) admin: bool,
    /// If the user exists, print its id instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `views push`.
#[derive(Args, Debug)]
pub(crate) struct ViewsPush {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Push only to this account's database and the database of all accounts [default: every account's].
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
}

/// `healthcheck`.
#[derive(Args, Debug)]
pub(crate) struct Healthcheck {
    /// The server's admin listener.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8001")]
    pub(crate) url: String,
}

/// `serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    given: Given<ServeSettings>,
    #[command(flatten)]
    cache: Given<CacheSettings>,
    /// On an empty store: create a demo account with a few groups, and print how to use it.
    #[arg(long, env = "CROSSBAR_GROUPS_DEMO")]
    pub(crate) demo: bool,
}

impl Serve {
    /// The settings of the server, of its cache and of its store.
    pub(crate) fn settings(&self) -> Result<(ServeSettings, CacheSettings, StoreSettings), Failure> {
        let file = self.store.file()?;
        Ok((self.given.settings(&file)?, self.cache.settings(&file)?, self.store.given.settings(&file)?))
    }
}
