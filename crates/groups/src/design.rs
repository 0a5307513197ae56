//! The views that groups are listed by.

use datastore::DesignDocument;

/// The design document that groups are listed by, from the files in `couch-views/`.
#[must_use]
#[allow(clippy::expect_used, reason = "the name is a constant that can name a document")]
pub fn design_document() -> DesignDocument {
    let views = [
        ("crossbar_listing", include_str!("../../../couch-views/account/groups/crossbar_listing.js")),
        (
            "crossbar_listing_by_user",
            include_str!("../../../couch-views/account/groups/crossbar_listing_by_user.js"),
        ),
    ];
    DesignDocument::new("groups", &views).expect("`groups` can name a document")
}
