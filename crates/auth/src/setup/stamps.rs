//! The private members of the documents that a set-up makes or changes.

use datastore::{Backend, DbName, Deadline, Document, Draft, Result};
use kazoo::{AccountId, Kind, SystemDb, Time};
use serde_json::{Map, Value};

/// Saves the changed members of a document.
pub(super) async fn save_changed(
    store: &dyn Backend,
    db: &DbName,
    document: &Document,
    mut body: Map<String, Value>,
    owner: &str,
    deadline: Deadline,
) -> Result<()> {
    body.shift_remove("_id");
    body.shift_remove("_rev");
    kazoo::stamp_modified(&mut body, owner, db, Time::now());
    let draft = Draft { id: document.id().clone(), base: Some(document.rev().clone()), body };
    store.save(db, draft, deadline).await.map(drop)
}

/// The private members of a new document in an account's database.
pub(super) fn private_fields_of(account_id: &AccountId, kind: Kind) -> Map<String, Value> {
    stamped(kind, account_id.as_str(), &account_id.db())
}

/// The private members of a new document in a system database. They name the database as the account.
pub(super) fn private_fields(kind: Kind, db: SystemDb) -> Map<String, Value> {
    stamped(kind, db.name().as_str(), db.name())
}

fn stamped(kind: Kind, owner: &str, db: &DbName) -> Map<String, Value> {
    let (mut fields, now) = (Map::new(), Time::now());
    kazoo::stamp_created(&mut fields, kind, now);
    kazoo::stamp_modified(&mut fields, owner, db, now);
    fields
}
