//! What each command takes on its command line. The settings themselves are declared in `settings`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::kazoo_config;
use crate::settings::{
    self, AdminSettings, CacheSettings, Given, LogSettings, NoticeSettings, ServeSettings, Setting,
    SettingsFile, Source, StoreSettings,
};

/// The settings file, and Kazoo's configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// A file with settings in TOML.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_CONFIG")]
    config: Option<PathBuf>,
    /// Kazoo's configuration (config.ini or config.yaml). The store, the brokers, the zone and the node are taken from
    /// it, unless they are given otherwise.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_KAZOO_CONFIG")]
    kazoo_config: Option<PathBuf>,
}

impl ConfigFile {
    fn read(&self) -> Result<SettingsFile, Failure> {
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
}

/// The store and how to use it: every command that opens a store takes these.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArguments {
    #[command(flatten)]
    given: Given<StoreSettings>,
    #[command(flatten)]
    file: ConfigFile,
}

impl StoreArguments {
    /// The settings of the store.
    pub(crate) fn settings(&self) -> Result<StoreSettings, Failure> {
        self.given.settings(&self.file.read()?)
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
    pub(crate) fn notices(&self) -> Result<ServeSettings, Failure> {
        Ok(self.given.settings(&self.store.file.read()?)?.0)
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

/// `account create`.
#[derive(Args, Debug)]
pub(crate) struct AccountCreate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account's name.
    #[arg(long)]
    pub(crate) name: String,
    /// The account's SIP realm [default: a random one].
    #[arg(long)]
    pub(crate) realm: Option<String>,
    /// The parent account, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) parent: Option<String>,
    /// If the account exists, print its id instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `account list`.
#[derive(Args, Debug)]
pub(crate) struct AccountList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
}

/// `account show`.
#[derive(Args, Debug)]
pub(crate) struct AccountShow {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account, by its id or name.
    #[arg(value_name = "ID|NAME")]
    pub(crate) account: String,
    /// Print the account's API key too. Whoever has it can act for the account.
    #[arg(long)]
    pub(crate) api_key: bool,
}

/// `account disable` and `account enable`.
#[derive(Args, Debug)]
pub(crate) struct AccountNamed {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account, by its id or name.
    #[arg(value_name = "ID|NAME")]
    pub(crate) account: String,
}

/// `user disable`, `user enable` and `user delete`.
#[derive(Args, Debug)]
pub(crate) struct UserNamed {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account that the user belongs to, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
    /// The user, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) user: String,
}

/// `key list`.
#[derive(Args, Debug)]
pub(crate) struct KeyList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
}

/// `key rotate`.
#[derive(Args, Debug)]
pub(crate) struct KeyRotate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// Go on although a Kazoo uses the store. Its nodes sign with the old key until they read their settings again.
    #[arg(long)]
    pub(crate) shared: bool,
}

/// `key retire`.
#[derive(Args, Debug)]
pub(crate) struct KeyRetire {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The id of the key.
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// Do not wait until the key's tokens have expired: they end at once.
    #[arg(long)]
    pub(crate) now: bool,
    /// Go on although a Kazoo uses the store. Its nodes may still sign with the key.
    #[arg(long)]
    pub(crate) shared: bool,
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

/// `user list`.
#[derive(Args, Debug)]
pub(crate) struct UserList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
}

/// `user passwd`.
#[derive(Args, Debug)]
pub(crate) struct UserPasswd {
    #[command(flatten)]
    pub(crate) user: UserNamed,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// `user create`.
#[derive(Args, Debug)]
pub(crate) struct UserCreate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account that the user belongs to, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
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
    pub(crate) store: ChangedStore,
    /// Push only to the database of this account, named by its id or name, and the database of all accounts
    /// [default: every account's].
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: Option<String>,
}

/// `healthcheck`.
#[derive(Args, Debug)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    admin: Given<AdminSettings>,
    #[command(flatten)]
    file: ConfigFile,
    /// The URL of the server's admin listener [default: the address in the setting admin_listen].
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
}

impl Healthcheck {
    /// The settings of the admin listener.
    pub(crate) fn admin(&self) -> Result<AdminSettings, Failure> {
        self.admin.settings(&self.file.read()?)
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
        let file = self.store.file.read()?;
        Ok((self.given.settings(&file)?, self.store.given.settings(&file)?))
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
    /// A file with a token that both servers accept, best of a user of the master account; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with an API key, best of the master account, that tokens are fetched with; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// How many requests each server gets in a second at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// The address that both servers are told in X-Forwarded-For. Its bucket pays for what a crossbar charges.
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

/// A setting with its value as other people may see it, and where that came from.
pub(crate) struct ShownSetting {
    pub(crate) setting: Setting,
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
}

impl Serve {
    /// The settings of the server, of its cache and of its store. Those of the log are read before, by [`Serve::log`].
    pub(crate) fn settings(&self) -> Result<AllSettings, Failure> {
        let file = self.store.file.read()?;
        Ok(AllSettings {
            serve: self.given.settings(&file)?,
            admin: self.admin.settings(&file)?,
            cache: self.cache.settings(&file)?,
            store: self.store.given.settings(&file)?,
        })
    }

    /// The settings of the log.
    pub(crate) fn log(&self) -> Result<LogSettings, Failure> {
        self.log.settings(&self.store.file.read()?)
    }

    /// The text of every setting, secrets too: for comparing, never for showing.
    pub(crate) fn texts(&self) -> Result<BTreeMap<&'static str, Option<String>>, Failure> {
        let file = self.store.file.read()?;
        let texts = [
            self.given.texts(&file),
            self.admin.texts(&file),
            self.cache.texts(&file),
            self.log.texts(&file),
            self.store.given.texts(&file),
        ];
        Ok(texts.into_iter().flatten().collect())
    }

    /// The path of Kazoo's configuration, where Kazoo finds it unless it was given.
    pub(crate) fn find_kazoo_config(&mut self) -> Result<PathBuf, Failure> {
        let given = &mut self.store.file.kazoo_config;
        let path = given.take().map_or_else(kazoo_config::find, Ok)?;
        *given = Some(path.clone());
        Ok(path)
    }

    /// Every setting.
    pub(crate) fn show(&self) -> Result<Vec<ShownSetting>, Failure> {
        let file = self.store.file.read()?;
        let shown = [
            self.given.show(&file),
            self.admin.show(&file),
            self.cache.show(&file),
            self.log.show(&file),
            self.store.given.show(&file),
        ];
        let shown = shown.into_iter().flatten();
        Ok(shown.map(|(setting, value, source)| ShownSetting { setting, value, source }).collect())
    }
}
