//! The settings of authentication.

use std::time::Duration;

use ipnet::IpNet;
use kazoo::Place;

/// Settings of an [`Authenticator`](crate::Authenticator).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node and zone whose sections of configuration documents count before `default`.
    pub place: Place,
    /// Peers, or networks of peers, whose `X-Forwarded-For` is believed. None: those that Kazoo's
    /// configuration names.
    pub reverse_proxies: Option<Vec<IpNet>>,
    /// Refuse tokens that never expire or that no identity has signed.
    pub strict_tokens: bool,
    /// Create the views that logging in needs where they are missing. Only for a store that belongs to
    /// this program: in Kazoo's store, a design document with some of its views would hide the others.
    pub may_create_views: bool,
    /// How long a document or a verified token counts before it is read or checked again.
    pub remember_for: Duration,
    /// How long the absence of a document counts.
    pub remember_absence_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            place: Place::default(),
            reverse_proxies: None,
            strict_tokens: false,
            may_create_views: false,
            remember_for: Duration::from_secs(60),
            remember_absence_for: Duration::from_secs(5),
        }
    }
}
