//! The suite for all backends of `datastore`, run on the client.

use std::sync::Arc;

use couchdb::standin;
use datastore::suite::Subject;

use crate::server;

async fn subject() -> Subject {
    Subject::new(Arc::new(server::client()), standin::unique_db())
}

/// The behaviours that the stand-in does not have, and why. A real CouchDB has them all.
const STANDIN_DIFFERENCES: &[(&str, &str)] = &[
    ("a_map_that_is_no_text_is_invalid", "it does not look at the maps of a design document"),
    ("members_keep_their_order", "JavaScript puts keys that look like numbers first"),
    ("numbers_survive_by_value", "JavaScript's numbers are doubles"),
    ("a_tombstone_cannot_be_a_base", "it accepts a tombstone as a base"),
    ("odd_keys_survive", "PouchDB does not treat __proto__ as an ordinary key"),
    ("ids_may_have_odd_characters", "its _all_docs leaves out ids that begin with a letter beyond Latin"),
    ("keys_of_every_type_sort_as_in_couchdb", "its index loses digits of large negative keys"),
    ("maps_have_couchdbs_helpers", "it has no toJSON and no require"),
    ("an_update_removes_attachments_without_a_stub", "it needs the digest in the stub of an attachment"),
];

fn known_differences() -> &'static [(&'static str, &'static str)] {
    if standin::is_real() { &[] } else { STANDIN_DIFFERENCES }
}

datastore::store_suite!(subject, known_differences());
