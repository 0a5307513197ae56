//! The views that logging in asks, and asking them. Verifying only ever reads: [`Authenticator::ask`] is
//! what it uses, while [`Authenticator::ask_or_create`] is for logging in alone.

use datastore::{
    Cause, DbName, Deadline, DesignDocument, NameError, Result, RowStream, StoreError, ViewQuery, ViewRow,
    ensure_design,
};
use futures::StreamExt as _;
use kazoo::{AccountId, SystemDb};

use crate::authenticator::Authenticator;

impl Authenticator {
    /// The accounts that a view over all accounts has rows of.
    pub(crate) async fn account_ids(&self, query: ViewQuery, deadline: Deadline) -> Result<Vec<AccountId>> {
        let rows = self.ask_or_create(SystemDb::Accounts.name(), query, accounts_design, deadline).await?;
        Ok(rows.iter().filter_map(|row| AccountId::parse(row.id.as_str()).ok()).collect())
    }

    /// Rows of a view over an account's users, which is created where it is missing and may be.
    pub(crate) async fn users(
        &self,
        account_id: &AccountId,
        query: ViewQuery,
        deadline: Deadline,
    ) -> Result<Vec<ViewRow>> {
        self.ask_or_create(&account_id.db(), query, users_design, deadline).await
    }

    /// Rows of a view. Where the database is missing there are none.
    pub(crate) async fn ask(
        &self,
        db: &DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> Result<Vec<ViewRow>> {
        match self.lookup.store().query(db, query, deadline).await {
            Ok(rows) => all(rows).await,
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Rows of a view; one that is missing is created where the store is this program's own.
    async fn ask_or_create(
        &self,
        db: &DbName,
        query: ViewQuery,
        design: fn() -> std::result::Result<DesignDocument, NameError>,
        deadline: Deadline,
    ) -> Result<Vec<ViewRow>> {
        match self.ask(db, query.clone(), deadline).await {
            Err(StoreError::ViewMissing(_)) if self.settings.may_create_views => {
                let invalid = |error| StoreError::Invalid(Cause::with_source("a design document", error));
                let design = design().map_err(invalid)?;
                ensure_design(self.lookup.store(), db, &design, deadline).await?;
                self.ask(db, query, deadline).await
            }
            answer => answer,
        }
    }
}

async fn all(mut rows: RowStream) -> Result<Vec<ViewRow>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next().await {
        all.push(row?);
    }
    Ok(all)
}

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
