//! What the checks look at.

use std::path::PathBuf;
use std::sync::Arc;

use auth::Authenticator;
use couchdb::Session;
use datastore::Backend;
use groups::SchemaSource;
use notices::Amqp;
use validation::Schema;

use super::known_design::KnownDesign;
use crate::release::{self, ProfileSetting};

/// What the checks look at.
pub(super) struct Examined {
    pub(super) store: Arc<dyn Backend>,
    pub(super) couchdb: Option<couchdb::Client>,
    /// Who each node of a CouchDB takes this program for, with the node's address.
    pub(super) sessions: Vec<(String, Result<Session, couchdb::Error>)>,
    /// The design documents that each account's database should have.
    pub(super) designs: Vec<KnownDesign>,
    /// The file of an embedded store.
    pub(super) file: Option<PathBuf>,
    /// The settings file, if it holds a password.
    pub(super) file_with_secret: Option<PathBuf>,
    /// Knows where storage plans put accounts.
    pub(super) auth: Authenticator,
    pub(super) brokers: Amqp,
    /// The schema of groups, and where it comes from. If it was not read, the built-in one stands in.
    pub(super) schema: Schema,
    pub(super) schema_source: datastore::Result<SchemaSource>,
    /// Which release of Kazoo the store belongs to.
    pub(super) release: datastore::Result<release::Finding>,
    /// The release that the server stands in for, if the operator names one.
    pub(super) profile: ProfileSetting,
    /// The largest body of a request that the server takes.
    pub(super) max_body_bytes: u64,
}
