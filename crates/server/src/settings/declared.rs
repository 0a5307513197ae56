//! Every setting. To add one, add a row here, and one to the table in `docs/deploy.md`.

use std::net::SocketAddr;
use std::time::Duration;

use embedded::Durability;
use ipnet::IpNet;
use log::LevelFilter;
use notices::BrokerUrl;

use super::group::{Group, Layers, settings};
use super::location::StoreLocation;
use super::origin::Origin;
use super::setting::Default::{Found, Nothing, Value};
use super::setting::Setting;
use super::value::OnOff;
use crate::counterpart::CounterpartUrl;
use crate::failure::Failure;
use crate::logging::LogFormat;
use crate::release::ProfileSetting;

settings! {
    /// The settings of `serve`, complete and checked.
    pub(crate) struct ServeSettings in "Server" {
        /// The address of the API.
        listen: SocketAddr = "listen" "ADDRESS", Value("127.0.0.1:8000");
        /// The API's address as browsers reach it, like https://api.example.com, for the page /docs.
        api_url: Option<Origin> = "api_url" "URL", Nothing("the page's host, and the port of the API");
        /// How many threads serve requests.
        workers: usize = "workers" "N", Found("one for each processor", processors), 1..=512;
        /// How many connections are served at once. Further clients get a 503.
        max_connections: usize = "max_connections" "N", Value("12000"), 1..=1_000_000;
        /// How long the head of a request may take to arrive, in milliseconds. For the first request it counts
        /// from the start of the connection.
        head_timeout: Duration = "head_timeout_ms" "MS", Value("5000");
        /// How long a connection without a request is kept, in milliseconds. Keep it longer than a proxy in
        /// front does.
        idle_timeout: Duration = "idle_timeout_ms" "MS", Value("120000");
        /// How much memory all requests together may use, in bytes. The server refuses requests beyond it with
        /// 503. Requests without a good token get an eighth of it, and one account gets half.
        request_memory_bytes: usize = "request_memory_bytes" "BYTES", Value("256000000"), 32_000_000..=1_000_000_000_000;
        /// How many bytes of a request body must arrive each second, on average after the first 5 seconds.
        body_rate: u32 = "body_rate" "BYTES", Value("1000"), 1..=1_000_000_000;
        /// How long a client may read nothing of its answer before the connection is closed, in milliseconds.
        answer_timeout: Duration = "answer_timeout_ms" "MS", Value("30000");
        /// The release of Kazoo whose crossbar this server stands in for. With auto, the store's databases show it.
        profile: ProfileSetting = "profile" "RELEASE", Value("auto");
        /// The version that envelopes show.
        api_version: Option<String> = "api_version" "TEXT", Nothing("5.0.0 or 4.3.0, as the profile");
        /// Refuse tokens that never expire and tokens that no identity has signed.
        strict_tokens: bool = "strict_tokens" "BOOL", Value("false");
        /// The proxies whose X-Forwarded-For header is trusted: addresses, or networks like 10.0.0.0/8,
        /// separated by commas. An empty list trusts no proxy.
        reverse_proxies: Option<Vec<IpNet>> = "reverse_proxies" "ADDRESSES",
            Nothing("those of system_config/crossbar, else 127.0.0.1");
        /// Another server that is asked what this server was asked, beside the requests: a crossbar, as in
        /// http://127.0.0.1:8000. Only GETs of groups are asked there, with their clients' own tokens. Differences of
        /// the answers are counted and logged.
        shadow: Option<CounterpartUrl> = "shadow" "URL", Nothing("no answers are compared");
        /// How many requests in a second are compared with the other server at most.
        shadow_rate: u32 = "shadow_rate" "N", Value("10"), 1..=1_000;
    }
    with {
        /// The settings that a running server takes anew, as they were at the start.
        live: LiveSettings;
        /// The settings of change notices.
        notices: NoticeSettings;
    }
}

settings! {
    /// The settings that a running server takes anew when it gets SIGHUP. `log_level` is another one.
    #[derive(Copy)]
    pub(crate) struct LiveSettings in "Server" {
        /// The largest request body that is accepted, in bytes.
        max_body_bytes: u64 = "max_body_bytes" "BYTES", Value("8000000");
        /// How long a request body may take to arrive, in milliseconds.
        body_timeout: Duration = "body_timeout_ms" "MS", Value("60000");
        /// How many seconds the server still serves but is not ready when SIGTERM tells it to stop, so that proxies
        /// send their requests elsewhere. Ctrl-C does not wait.
        drain: u32 = "drain" "SECONDS", Value("5"), 0..=3_600;
        /// How long the store may take for one request, in milliseconds. Each further batch of a listing may
        /// take as long again.
        store_timeout: Duration = "store_timeout_ms" "MS", Value("5000");
        /// How many groups a page holds when the client does not say.
        page_size: u64 = "page_size" "N", Value("50");
        /// In CSV, put a ' before texts that a spreadsheet would run as a formula (= + - @). This changes phone
        /// numbers, too.
        csv_safe: bool = "csv_safe" "BOOL", Value("false");
    }
}

impl LiveSettings {
    /// Whether a setting is one of these.
    pub(crate) fn has(key: &str) -> bool {
        Self::declared().iter().any(|setting| setting.key == key)
    }
}

settings! {
    /// The settings of change notices. Commands that change the store need them too.
    pub(crate) struct NoticeSettings in "Server" {
        /// A RabbitMQ of this server's zone that is told of every change, so that Kazoo's nodes drop their copies:
        /// amqp(s)://USER:PASSWORD@HOST:PORT/VHOST. More than one, separated by white space, are used if the
        /// first fails.
        amqp: Vec<BrokerUrl> = "amqp" "URL", Nothing("nobody is told of changes");
        /// How much memory notices may take that wait for the broker, in bytes. Beyond it, older notices of the same
        /// document give way first.
        amqp_queue_bytes: usize = "amqp_queue_bytes" "BYTES", Value("32000000"), 100_000..=10_000_000_000;
        /// The name of this node. Envelopes show a digest of it.
        node_name: String = "node_name" "NAME", Found("crossbar_groups@ and the host's name", node_name);
        /// The Kazoo node whose section of a system_config document is read first.
        kazoo_node: Option<String> = "kazoo_node" "NAME", Nothing("no section of a node");
        /// The Kazoo zone whose section of a system_config document is read second.
        kazoo_zone: Option<String> = "kazoo_zone" "NAME", Nothing("no section of a zone");
    }
}

settings! {
    /// The settings of the admin listener.
    pub(crate) struct AdminSettings in "Server" {
        /// The address of health checks, metrics, and the pages /status and /docs.
        admin_listen: SocketAddr = "admin_listen" "ADDRESS", Value("127.0.0.1:8001");
    }
}

settings! {
    /// The settings of the log.
    pub(crate) struct LogSettings in "Log" {
        /// How the lines of the log are written: text has fields like status=200; json has an object on each
        /// line; kazoo writes what Kazoo's crossbar writes.
        log_format: LogFormat = "log_format" "FORMAT", Value("text");
        /// The least level that is logged. At warn and error, requests are not logged. The variable RUST_LOG
        /// wins if it is set.
        log_level: LevelFilter = "log_level" "LEVEL", Value("info");
    }
}

settings! {
    /// The location of the store.
    pub(crate) struct LocationSettings in "Store" {
        /// The store: sqlite:PATH for a file, or http(s)://USER:PASSWORD@HOST:5984 for a CouchDB. Repeat it for
        /// further nodes of the same cluster, or separate them by white space. A node is used while none before it is
        /// well.
        location: StoreLocation = "store" "URL", Value("sqlite:data/crossbar-groups.db");
    }
}

settings! {
    /// How many calls the store gets at once.
    pub(crate) struct CallSettings in "Store" {
        /// How many calls of the store run at once. Fewer run while more would only make each one slower.
        calls: usize = "store_calls" "N", Value("64"), 4..=10_000;
        /// How many calls of the store wait when no more may run. Further requests are refused with 503.
        queue: usize = "store_queue" "N", Value("256"), 1..=100_000;
        /// How long a call waits at most before its request is refused, in milliseconds. While requests are
        /// being refused, the calls of an account with many waiting ones wait only a tenth of this.
        queue_wait: Duration = "store_queue_wait_ms" "MS", Value("1000");
    }
}

settings! {
    /// What is remembered of the store.
    pub(crate) struct CacheSettings in "Cache" {
        /// Whether groups and listings are remembered. Own writes are always seen, those of other programs as
        /// soon as the store's change feed tells them: on or off.
        cache: OnOff = "cache" "on|off", Value("on");
        /// How much memory may be used for what is remembered, in bytes: half of it for groups and listings, half for
        /// tokens and for what authentication reads, which is remembered with cache = off too.
        bytes: u64 = "cache_bytes" "BYTES", Value("48000000"), 1_000_000..=1_000_000_000_000;
        /// How many databases are watched at most. Each has one connection to a CouchDB.
        feeds: usize = "cache_feeds" "N", Value("500"), 8..=1_000_000;
        /// How often Kazoo's common databases show a sign of life, in milliseconds. Those of accounts show one in
        /// three. If one is late by half its time, what is remembered of the database does not count.
        heartbeat: Duration = "cache_heartbeat_ms" "MS", Value("2000"), 100..=60_000;
    }
}

settings! {
    /// The settings of the embedded store.
    pub(crate) struct EmbeddedSettings in "Embedded store (sqlite:PATH)" {
        /// When a write is synced to disk: full syncs it before it is acknowledged; normal syncs later,
        /// and a power cut may lose the last writes.
        durability: Durability = "sqlite_sync" "MODE", Value("full");
        /// How much of the file SQLite caches for writes, in KiB. A large cache makes each write slower, because
        /// SQLite looks at all of it.
        writer_cache_kib: u32 = "sqlite_cache_kib" "KIB", Value("8192"), 1..=67_108_864;
        /// How many threads read views and feeds.
        reader_threads: usize = "sqlite_reader_threads" "N", Value("2"), 1..=256;
        /// How many writes fit in the queue. Further writes wait until it has room.
        write_queue: usize = "sqlite_write_queue" "N", Value("1024"), 1..=1_000_000;
        /// The largest document, in bytes of JSON without its attachments.
        max_document_bytes: usize = "sqlite_max_document_bytes" "BYTES", Value("8000000"), 1..=1_000_000_000;
        /// How long each batch of a view or feed after the first may take, in milliseconds.
        batch_timeout: Duration = "sqlite_batch_timeout_ms" "MS", Value("5000");
        /// How many threads run map functions.
        map_threads: usize = "sqlite_map_threads" "N", Value("2"), 1..=256;
        /// How much processor time a map function may take for one document, in milliseconds. A document
        /// that takes more is refused.
        map_time: Duration = "sqlite_map_time_ms" "MS", Value("2000");
        /// How much memory a map function may use for one document, in bytes. It may emit half as much. A
        /// document that takes more is refused.
        map_memory_bytes: usize = "sqlite_map_memory_bytes" "BYTES", Value("134217728"),
            1_000_000..=4_000_000_000;
        /// How much stack a map function may use, in bytes. The threads that run it have 2 MiB.
        map_stack_bytes: usize = "sqlite_map_stack_bytes" "BYTES", Value("524288"), 65_536..=1_048_576;
    }
}

settings! {
    /// The settings of the CouchDB client.
    pub(crate) struct CouchDbSettings in "CouchDB" {
        /// How long it may take to open a connection, in milliseconds.
        connect_timeout: Duration = "couchdb_connect_timeout_ms" "MS", Value("3000");
        /// How long CouchDB may take to begin an answer, in milliseconds.
        request_timeout: Duration = "couchdb_request_timeout_ms" "MS", Value("30000");
        /// How long CouchDB may be silent between two parts of a view, in milliseconds.
        batch_timeout: Duration = "couchdb_batch_timeout_ms" "MS", Value("5000");
        /// How often CouchDB sends a sign of life on a change feed, in milliseconds. A feed that is silent
        /// for three times as long is opened again.
        heartbeat: Duration = "couchdb_feed_heartbeat_ms" "MS", Value("10000");
        /// How long an unused connection is kept, in milliseconds. CouchDB, or a proxy in front of it, must
        /// keep it longer.
        pool_idle_timeout: Duration = "couchdb_pool_idle_ms" "MS", Value("15000");
        /// How many times a read is tried again if CouchDB does not answer, or answers 502, 503 or 504.
        read_retries: u32 = "couchdb_read_retries" "N", Value("2"), 0..=100;
    }
}

/// What every command needs that opens a store.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    /// The location of the store.
    pub(crate) location: StoreLocation,
    /// How many calls the store gets at once.
    pub(crate) calls: CallSettings,
    /// The settings of an embedded store.
    pub(crate) embedded: EmbeddedSettings,
    /// The settings of a CouchDB client.
    pub(crate) couchdb: CouchDbSettings,
}

impl Group for StoreSettings {
    fn declared() -> Vec<Setting> {
        [
            LocationSettings::declared(),
            CallSettings::declared(),
            EmbeddedSettings::declared(),
            CouchDbSettings::declared(),
        ]
        .concat()
    }

    fn read(layers: &Layers<'_>) -> Result<Self, Failure> {
        Ok(Self {
            location: LocationSettings::read(layers)?.location.at_its_place(),
            calls: CallSettings::read(layers)?,
            embedded: EmbeddedSettings::read(layers)?,
            couchdb: CouchDbSettings::read(layers)?,
        })
    }
}

/// Every setting. The settings file may hold all of them, whichever command reads it.
pub(crate) fn all() -> Vec<Setting> {
    [
        ServeSettings::declared(),
        AdminSettings::declared(),
        CacheSettings::declared(),
        LogSettings::declared(),
        StoreSettings::declared(),
    ]
    .concat()
}

fn processors() -> String {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string()
}

fn node_name() -> String {
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".to_owned());
    format!("crossbar_groups@{}", host.trim())
}
