//! The behaviours that every backend of `datastore` must show, on the client.

use std::sync::Arc;

use couchdb::standin;
use datastore::suite::Subject;

use crate::server;

async fn subject() -> Subject {
    Subject::new(Arc::new(server::client()), standin::unique_db())
}

/// What the stand-in cannot show, and why. A real CouchDB has no such rows.
const STANDIN_DIFFERENCES: &[(&str, &str)] = &[
    ("members_keep_their_order", "JavaScript puts keys that look like numbers first"),
    ("numbers_survive_by_value", "JavaScript's numbers are doubles"),
    ("a_tombstone_cannot_be_a_base", "it takes a tombstone for a base"),
    ("odd_keys_survive", "__proto__ is no ordinary key to PouchDB"),
    ("ids_may_have_odd_characters", "its _all_docs leaves ids out that begin outside of Latin"),
    ("keys_of_every_type_sort_as_in_couchdb", "its index loses digits of large negative keys"),
    ("maps_have_couchdbs_helpers", "it has no toJSON and no require"),
    ("an_update_removes_attachments_without_a_stub", "it takes a stub of an attachment only with its digest"),
];

fn known_differences() -> &'static [(&'static str, &'static str)] {
    if standin::is_real() { &[] } else { STANDIN_DIFFERENCES }
}

datastore::store_suite!(subject, known_differences());
