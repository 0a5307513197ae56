//! The settings of authentication.

use std::time::Duration;

use ipnet::IpNet;
use kazoo::NodeAndZone;

/// Settings of an [`Authenticator`](crate::Authenticator).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Kazoo node and zone. Their sections of a configuration document override its section `default`.
    pub node_and_zone: NodeAndZone,
    /// The proxies whose `X-Forwarded-For` is believed. `None` means the proxies that Kazoo's configuration
    /// lists.
    pub reverse_proxies: Option<Vec<IpNet>>,
    /// Refuse tokens that never expire and tokens without an identity's signature.
    pub strict_tokens: bool,
    /// Create missing views for logging in. Only for a store that belongs to this program: Kazoo's own design
    /// documents hold more views, and Kazoo would lack those.
    pub may_create_views: bool,
    /// How many bytes may be remembered, estimated: half of them for documents, a quarter for values that were parsed
    /// from them, and a quarter for verified tokens.
    pub memory_bytes: u64,
    /// How long a document or a verified token stays cached.
    pub remember_for: Duration,
    /// How long the absence of a document stays cached.
    pub remember_absence_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_and_zone: NodeAndZone::default(),
            reverse_proxies: None,
            strict_tokens: false,
            may_create_views: false,
            memory_bytes: 24_000_000,
            remember_for: Duration::from_secs(60),
            remember_absence_for: Duration::from_secs(5),
        }
    }
}
