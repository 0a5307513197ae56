//! Change notices of others: hears from a broker what they have changed, and drops it from every memory of this server.
//! The stores' own feeds report the same changes: this is the second path, and the only one where no feed lives.
//!
//! Notices are missed while there is no connection. Nothing needs to be forgotten for that when the connection is back:
//! no memory counts on the notices. Where a feed lives, what is remembered ends with the feed or with what it tells.
//! Where none lives, the cache remembers nothing, and authentication, the storage plans and the schema of groups forget
//! by time: what is there after at most 60 seconds, what is missing after at most 5. A notice only makes that sooner.

use std::sync::Arc;

use auth::Authenticator;
use cache::Hints;
use groups::Groups;
use kazoo::SystemDb;
use notices::{Amqp, Heard, Notices};

use crate::supervisor::StopSignal;

/// The memories of this server.
#[derive(Clone)]
pub(super) struct Memories {
    pub(super) auth: Arc<Authenticator>,
    pub(super) groups: Groups,
    /// The cache's, if there is one.
    pub(super) cache: Option<Hints>,
}

impl Memories {
    /// Drops what was changed. The cache goes first: authentication reads through it.
    fn forget(&self, heard: &Heard) {
        let (Heard::Document { db, .. } | Heard::Database(db)) = heard;
        if db == SystemDb::SystemSchemas.name() {
            self.groups.forget_schema();
        }
        match heard {
            Heard::Document { db, id, rev } => {
                if let Some(cache) = &self.cache {
                    cache.document(db, id, rev.as_ref());
                }
                self.auth.forget(db, id);
            }
            Heard::Database(db) => {
                if let Some(cache) = &self.cache {
                    cache.database(db);
                }
                self.auth.forget_database(db);
            }
        }
    }
}

/// Listens until the server stops.
pub(super) async fn listen(
    notices: Arc<Notices>,
    brokers: Arc<Amqp>,
    memories: Memories,
    mut stop: StopSignal,
) -> Result<(), String> {
    let forget = |heard: &Heard| memories.forget(heard);
    notices.listen(&*brokers, &forget, async move { stop.stopped().await }).await;
    Ok(())
}
