//! Accounts, users and tokens in an embedded store that no server has open. They are made in this process:
//! a test that is about serving should not run three commands first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth::Authenticator;
use auth::bootstrap::{NewAccount, NewUser, create_account, create_user, push_views};
use datastore::{Deadline, ensure_design};
use embedded::{Embedded, Settings};
use kazoo::AccountId;
use tokio::runtime::Runtime;

/// An open store. Drop it before a server opens the store.
pub(crate) struct OpenStore {
    store: Arc<Embedded>,
    runtime: Runtime,
}

/// An account with a user, and a token of that user.
pub(crate) struct AccountWithUser {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

impl OpenStore {
    /// Opens the store in a file, or creates it.
    pub(crate) fn open(path: &Path) -> Self {
        let store = Arc::new(Embedded::open(path, Settings::default()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { store, runtime }
    }

    /// Creates an account with a user. The token is good for an hour.
    pub(crate) fn account(&self, name: &str, user: &NewUser<'_>) -> AccountWithUser {
        let account = NewAccount { name, realm: None, parent: None };
        let (id, user_id) = self.runtime.block_on(async {
            let id = create_account(&*self.store, &account, soon()).await.unwrap();
            push_views(&*self.store, &id, soon()).await.unwrap();
            ensure_design(&*self.store, &id.db(), &groups::design_document(), soon()).await.unwrap();
            let user_id = create_user(&*self.store, &id, user, soon()).await.unwrap();
            (id.to_string(), user_id.to_string())
        });
        let token = self.token(&id, &user_id, 3600);
        AccountWithUser { id, user_id, token }
    }

    /// A token of a user that is good for `ttl_seconds`.
    pub(crate) fn token(&self, account_id: &str, user_id: &str, ttl_seconds: u32) -> String {
        let authenticator = Authenticator::new(self.store.clone(), auth::Settings::default());
        let account_id = AccountId::parse(account_id).unwrap();
        let minted = authenticator.mint(&account_id, Some(user_id), ttl_seconds, soon());
        self.runtime.block_on(minted).unwrap()
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}
