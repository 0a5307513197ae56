//! What requests share: made once, in `serve`, outside of the workers.

use std::sync::Arc;

use auth::{Authenticator, Buckets};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use groups::Groups;
use md5::{Digest as _, Md5};
use validation::Schema;

use crate::settings::ServeSettings;

/// What requests share.
pub(crate) struct App {
    /// The settings.
    pub(crate) settings: ServeSettings,
    /// The groups in the store.
    pub(crate) groups: Groups,
    /// Who may do what.
    pub(crate) auth: Arc<Authenticator>,
    /// How often each client may fail.
    pub(crate) buckets: Buckets,
    /// What logging in with a user's credentials takes.
    pub(crate) user_auth_schema: Schema,
    /// What logging in with an account's key takes.
    pub(crate) api_auth_schema: Schema,
    /// The envelope's `version`.
    pub(crate) version: String,
    /// The envelope's `node`.
    pub(crate) node: String,
}

/// A node's name as envelopes show it: 22 characters that tell nobody the name.
pub(crate) fn node_digest(node_name: &str) -> String {
    URL_SAFE_NO_PAD.encode(Md5::digest(node_name.as_bytes()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_node_is_22_characters() {
        assert_eq!(super::node_digest("crossbar_groups@host").len(), 22);
    }
}
