//! The views for listing groups.

use datastore::DesignDocument;

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
