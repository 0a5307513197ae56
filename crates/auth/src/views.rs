//! The design documents for logging in. Their map functions are the files in `couch-views/`.

use datastore::{DesignDocument, NameError};

/// The views over all accounts.
pub(crate) fn accounts_design() -> std::result::Result<DesignDocument, NameError> {
    DesignDocument::new(
        "accounts",
        &[
            ("listing_by_api", include_str!("../../../couch-views/accounts/accounts/listing_by_api.js")),
            ("listing_by_realm", include_str!("../../../couch-views/accounts/accounts/listing_by_realm.js")),
            ("listing_by_name", include_str!("../../../couch-views/accounts/accounts/listing_by_name.js")),
            (
                "listing_by_descendants",
                include_str!("../../../couch-views/accounts/accounts/listing_by_descendants.js"),
            ),
        ],
    )
}

/// The views over an account's users.
pub(crate) fn users_design() -> std::result::Result<DesignDocument, NameError> {
    DesignDocument::new(
        "users",
        &[
            ("creds_by_md5", include_str!("../../../couch-views/account/users/creds_by_md5.js")),
            ("creds_by_sha", include_str!("../../../couch-views/account/users/creds_by_sha.js")),
        ],
    )
}
