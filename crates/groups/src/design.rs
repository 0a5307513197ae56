//! The views for listing groups.

use auth::{Registered, registered_design};
use datastore::{DbName, Deadline, DesignDocument, Ensured, Store, ensure_design};

/// The design document with the group views, built from the files in `couch-views/`.
#[must_use]
#[allow(clippy::expect_used, reason = "the name is a constant and a valid document name")]
pub fn design_document() -> DesignDocument {
    let views = [
        ("crossbar_listing", include_str!("../../../couch-views/account/groups/crossbar_listing.js")),
        (
            "crossbar_listing_by_user",
            include_str!("../../../couch-views/account/groups/crossbar_listing_by_user.js"),
        ),
    ];
    DesignDocument::new("groups", &views).expect("`groups` is a valid document name")
}

/// Adds the group views that are missing in an account's database, as Kazoo's registry defines them if there is one.
///
/// # Errors
/// As [`ensure_design`].
pub async fn ensure_views(store: &dyn Store, db: &DbName, deadline: Deadline) -> datastore::Result<Ensured> {
    let design = registered_design(store, Registered::Account, design_document(), deadline).await?;
    ensure_design(store, db, &design, deadline).await
}
