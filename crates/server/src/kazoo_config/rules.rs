//! What Kazoo's rules find in a configuration, and the settings that follow.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Kazoo's values where its configuration says nothing.
const BROKER: &str = "amqp://guest:guest@localhost:5672";
pub(super) const ZONE: &str = "local";

/// A setting of this server, taken from Kazoo's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) key: &'static str,
    /// The text that a flag would have.
    pub(crate) text: String,
}

/// What Kazoo's rules look at beside the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// The name of this machine.
    pub(super) name: String,
    /// The zone in the environment.
    pub(super) zone: Option<String>,
}

/// What the rules find.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) zone: String,
    /// Whether one of the zones in the configuration is this one. Without any zones there is nothing to find.
    pub(super) has_zone: bool,
    pub(super) brokers: Vec<String>,
    pub(super) database: Database,
    /// The host of Kazoo's applications, if it is named.
    pub(super) apps_host: Option<String>,
}

/// Kazoo's CouchDB.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
}

impl Host {
    /// Whether this is the machine's name, with or without its domain.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        name == self.name || (!self.name.contains('.') && !self.name.is_empty() && first(name) == self.name)
    }
}

impl Database {
    pub(super) fn of(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let port = get("port").unwrap_or_else(|| "5984".to_owned());
        Ok(Self {
            address: get("ip").unwrap_or_else(|| "localhost".to_owned()),
            port: port.parse().map_err(|_| "the port of the CouchDB is no number".to_owned())?,
            user: get("username").unwrap_or_default(),
            password: get("password").unwrap_or_default(),
        })
    }

    fn url(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let login = match (self.user.as_str(), self.password.as_str()) {
            ("", "") => String::new(),
            (user, password) => format!("{}:{}@", encoded(user), encoded(password)),
        };
        let is_v6 = self.address.contains(':') && !self.address.starts_with('[');
        let address = if is_v6 { format!("[{}]", self.address) } else { self.address.clone() };
        format!("http://{login}{address}:{}", self.port)
    }
}

impl Rules {
    /// What may be wrong, in words.
    pub(super) fn warning(&self) -> Option<String> {
        let (zone, is_default) = (&self.zone, self.brokers.is_empty());
        let brokers = if is_default { ", and the broker is Kazoo's default one" } else { "" };
        (!self.has_zone).then(|| {
            format!("no section [zone] is named {zone:?}, the zone of this machine{brokers}: set KAZOO_ZONE to the \
                     name of its zone")
        })
    }

    pub(super) fn settings(self, host: &Host) -> Vec<Taken> {
        let mut brokers = if self.brokers.is_empty() { vec![BROKER.to_owned()] } else { self.brokers };
        // Kazoo's nodes use the first one that answers of the sorted texts (`kz_amqp_connections:primary_broker`), and
        // go back to it.
        brokers.sort();
        brokers.dedup();
        let apps_host = self.apps_host.unwrap_or_else(|| host.name.clone());
        vec![
            Taken { key: "store", text: self.database.url() },
            Taken { key: "amqp", text: brokers.join(" ") },
            Taken { key: "kazoo_zone", text: self.zone },
            Taken { key: "kazoo_node", text: format!("kazoo_apps@{apps_host}") },
        ]
    }
}
