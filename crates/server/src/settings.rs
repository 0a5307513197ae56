//! Settings: flags, then the environment, then a TOML file, then defaults. Checked once; what makes no
//! sense is refused with the name of the setting and the reason.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;

use crate::failure::Failure;
use crate::store::StoreLocation;

/// Where documents live unless something else is said.
const DEFAULT_STORE: &str = "sqlite:data/crossbar-groups.db";

/// The store, as every command takes it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StoreArguments {
    /// Where documents live: sqlite:PATH, or http(s)://USER:PASSWORD@HOST:5984 of a CouchDB.
    #[arg(long, value_name = "URL", env = "CROSSBAR_GROUPS_STORE", hide_env_values = true)]
    store: Option<String>,
    /// A file with settings in TOML.
    #[arg(long, value_name = "FILE", env = "CROSSBAR_GROUPS_CONFIG")]
    config: Option<PathBuf>,
}

impl StoreArguments {
    /// The store that was named; the settings file may name it too.
    pub(crate) fn location(&self) -> Result<StoreLocation, Failure> {
        let from_file = self.config.as_deref().map(read_file).transpose()?.and_then(|file| file.store);
        let text = self.store.clone().or(from_file);
        StoreLocation::parse(text.as_deref().unwrap_or(DEFAULT_STORE))
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
    /// Only this database.
    #[arg(long, value_name = "NAME")]
    pub(crate) db: Option<String>,
}

/// `token`.
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account.
    #[arg(long, value_name = "ID")]
    pub(crate) account: String,
    /// A user of the account; without one the token is like that of an API key.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// How long it is good, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) ttl: u32,
}

/// `account create`.
#[derive(Args, Debug)]
pub(crate) struct AccountCreate {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Its name.
    #[arg(long)]
    pub(crate) name: String,
    /// Its SIP realm; one is made up otherwise.
    #[arg(long)]
    pub(crate) realm: Option<String>,
    /// The account above it.
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// Print the id of the one that is there instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `user create`.
#[derive(Args, Debug)]
pub(crate) struct UserCreate {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account.
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
    /// Print the id of the one that is there instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `views push`.
#[derive(Args, Debug)]
pub(crate) struct ViewsPush {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Only this account's database and that of all accounts; otherwise every account's.
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
}

/// `healthcheck`.
#[derive(Args, Debug)]
pub(crate) struct Healthcheck {
    /// The admin listener.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8001")]
    pub(crate) url: String,
}

/// `serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    values: ServeValues,
    /// On an empty store: make a demo account with a few groups, and print how to use it.
    #[arg(long, env = "CROSSBAR_GROUPS_DEMO")]
    pub(crate) demo: bool,
}

/// The settings of `serve` that a file can give as well.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServeValues {
    /// The address of the API.
    #[arg(long, value_name = "ADDRESS", env = "CROSSBAR_GROUPS_LISTEN")]
    listen: Option<String>,
    /// The address of health checks.
    #[arg(long, value_name = "ADDRESS", env = "CROSSBAR_GROUPS_ADMIN_LISTEN")]
    admin_listen: Option<String>,
    /// How many threads serve requests.
    #[arg(long, value_name = "N", env = "CROSSBAR_GROUPS_WORKERS")]
    workers: Option<usize>,
    /// How many connections are served at once.
    #[arg(long, value_name = "N", env = "CROSSBAR_GROUPS_MAX_CONNECTIONS")]
    max_connections: Option<usize>,
    /// The largest body that is taken, in bytes.
    #[arg(long, value_name = "BYTES", env = "CROSSBAR_GROUPS_MAX_BODY_BYTES")]
    max_body_bytes: Option<u64>,
    /// How long a body may take to arrive, in milliseconds.
    #[arg(long, value_name = "MS", env = "CROSSBAR_GROUPS_BODY_TIMEOUT_MS")]
    body_timeout_ms: Option<u64>,
    /// How long the store may take to answer, in milliseconds.
    #[arg(long, value_name = "MS", env = "CROSSBAR_GROUPS_STORE_TIMEOUT_MS")]
    store_timeout_ms: Option<u64>,
    /// How many groups a page holds where the client does not say.
    #[arg(long, value_name = "N", env = "CROSSBAR_GROUPS_PAGE_SIZE")]
    page_size: Option<u64>,
    /// The name of this node, which envelopes show as a digest.
    #[arg(long, value_name = "NAME", env = "CROSSBAR_GROUPS_NODE_NAME")]
    node_name: Option<String>,
    /// The version that envelopes show.
    #[arg(long, value_name = "TEXT", env = "CROSSBAR_GROUPS_API_VERSION")]
    api_version: Option<String>,
    /// The Kazoo node whose section of a system_config document counts first.
    #[arg(long, value_name = "NAME", env = "CROSSBAR_GROUPS_KAZOO_NODE")]
    kazoo_node: Option<String>,
    /// The Kazoo zone whose section of a system_config document counts second.
    #[arg(long, value_name = "NAME", env = "CROSSBAR_GROUPS_KAZOO_ZONE")]
    kazoo_zone: Option<String>,
    /// Refuse tokens that never expire or that no identity has signed.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", env = "CROSSBAR_GROUPS_STRICT_TOKENS")]
    strict_tokens: Option<bool>,
    /// Peers whose X-Forwarded-For is believed, or networks of them (10.0.0.0/8), divided by commas;
    /// by default what system_config/crossbar says, else 127.0.0.1.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', env = "CROSSBAR_GROUPS_REVERSE_PROXIES")]
    reverse_proxies: Option<Vec<String>>,
}

/// The settings file: the keys are the flags with `_` for `-`.
#[derive(Clone, Debug, Default, Deserialize)]
struct File {
    store: Option<String>,
    #[serde(flatten)]
    rest: toml::Table,
}

fn read_file(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::setup(format!("cannot read the settings file {}: {error}", path.display()))
    })?;
    toml::from_str(&text).map_err(|error| {
        Failure::setup(format!(
            "the settings file {} cannot be understood: {}",
            path.display(),
            error.message()
        ))
    })
}

/// What `serve` goes by, complete and checked.
#[derive(Clone, Debug)]
pub(crate) struct ServeSettings {
    /// The address of the API.
    pub(crate) listen: SocketAddr,
    /// The address of health checks.
    pub(crate) admin_listen: SocketAddr,
    /// How many threads serve requests.
    pub(crate) workers: usize,
    /// How many connections are served at once, on each thread.
    pub(crate) max_connections: usize,
    /// The largest body that is taken.
    pub(crate) max_body_bytes: u64,
    /// How long a body may take to arrive.
    pub(crate) body_timeout: Duration,
    /// How long the store may take over a request, and again over each further batch of a listing.
    pub(crate) store_timeout: Duration,
    /// How many groups a page holds where the client does not say.
    pub(crate) page_size: u64,
    /// The name of this node.
    pub(crate) node_name: String,
    /// The version that envelopes show.
    pub(crate) api_version: String,
    /// The Kazoo node and zone whose configuration counts first.
    pub(crate) kazoo_node: Option<String>,
    /// See `kazoo_node`.
    pub(crate) kazoo_zone: Option<String>,
    /// Whether tokens must expire and be signed by an identity.
    pub(crate) strict_tokens: bool,
    /// Peers whose `X-Forwarded-For` is believed; none for those that Kazoo's configuration names.
    pub(crate) reverse_proxies: Option<Vec<IpNet>>,
}

impl Serve {
    /// The settings, from the arguments and the environment (clap has joined them), the file, defaults.
    pub(crate) fn settings(&self) -> Result<ServeSettings, Failure> {
        let file = match &self.store.config {
            None => ServeValues::default(),
            Some(path) => {
                toml::Value::Table(read_file(path)?.rest).try_into().map_err(|error: toml::de::Error| {
                    Failure::setup(format!("the settings file {}: {}", path.display(), error.message()))
                })?
            }
        };
        validate(&self.values, file)
    }
}

fn validate(given: &ServeValues, file: ServeValues) -> Result<ServeSettings, Failure> {
    let values = given.clone();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = ServeSettings {
        listen: address("listen", values.listen.or(file.listen), "127.0.0.1:8000")?,
        admin_listen: address("admin_listen", values.admin_listen.or(file.admin_listen), "127.0.0.1:8001")?,
        workers: values.workers.or(file.workers).unwrap_or(cores),
        max_connections: values.max_connections.or(file.max_connections).unwrap_or(10_000),
        max_body_bytes: values.max_body_bytes.or(file.max_body_bytes).unwrap_or(8_000_000),
        body_timeout: milliseconds(values.body_timeout_ms.or(file.body_timeout_ms), 60_000),
        store_timeout: milliseconds(values.store_timeout_ms.or(file.store_timeout_ms), 5_000),
        page_size: values.page_size.or(file.page_size).unwrap_or(50),
        node_name: values.node_name.or(file.node_name).unwrap_or_else(default_node_name),
        api_version: values.api_version.or(file.api_version).unwrap_or_else(|| "5.0.0".to_owned()),
        kazoo_node: values.kazoo_node.or(file.kazoo_node),
        kazoo_zone: values.kazoo_zone.or(file.kazoo_zone),
        strict_tokens: values.strict_tokens.or(file.strict_tokens).unwrap_or(false),
        reverse_proxies: values.reverse_proxies.or(file.reverse_proxies).map(proxies).transpose()?,
    };
    let at_least_one = [
        ("workers", settings.workers == 0),
        ("max_connections", settings.max_connections == 0),
        ("max_body_bytes", settings.max_body_bytes == 0),
        ("body_timeout_ms", settings.body_timeout.is_zero()),
        ("store_timeout_ms", settings.store_timeout.is_zero()),
        ("page_size", settings.page_size == 0),
    ];
    match at_least_one.into_iter().find(|(_, is_zero)| *is_zero) {
        Some((name, _)) => Err(Failure::setup(format!("the setting {name} must be at least 1"))),
        None => Ok(settings),
    }
}

fn address(name: &str, value: Option<String>, default: &str) -> Result<SocketAddr, Failure> {
    let text = value.unwrap_or_else(|| default.to_owned());
    text.parse().map_err(|_| {
        Failure::setup(format!(
            "the setting {name} must be an address and a port, like {default}, not {text:?}"
        ))
    })
}

fn proxies(named: Vec<String>) -> Result<Vec<IpNet>, Failure> {
    let read = |text: &String| {
        auth::network(text.trim()).ok_or_else(|| {
            Failure::setup(format!(
                "the setting reverse_proxies must hold addresses or networks, like 10.0.0.0/8, not {text:?}"
            ))
        })
    };
    named.iter().map(read).collect()
}

fn milliseconds(value: Option<u64>, default: u64) -> Duration {
    Duration::from_millis(value.unwrap_or(default))
}

fn default_node_name() -> String {
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".to_owned());
    format!("crossbar_groups@{}", host.trim())
}

#[cfg(test)]
mod tests {
    use super::{ServeValues, validate};

    #[test]
    fn what_is_given_wins_over_the_file_and_the_file_over_defaults() {
        let given = ServeValues { page_size: Some(7), ..ServeValues::default() };
        let file = ServeValues { page_size: Some(9), workers: Some(3), ..ServeValues::default() };
        let settings = validate(&given, file).unwrap();
        assert_eq!((settings.page_size, settings.workers, settings.max_body_bytes), (7, 3, 8_000_000));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let zero = ServeValues { page_size: Some(0), ..ServeValues::default() };
        let nowhere = ServeValues { listen: Some("nowhere".to_owned()), ..ServeValues::default() };
        for (values, name) in [(zero, "page_size"), (nowhere, "listen")] {
            let failure = validate(&values, ServeValues::default()).unwrap_err();
            assert!(format!("{failure:?}").contains(name), "{failure:?}");
        }
        assert!(toml::from_str::<ServeValues>("page_sizes = 1").is_err());
    }
}
