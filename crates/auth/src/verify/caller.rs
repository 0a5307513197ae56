//! The caller: a client with valid credentials.

use std::fmt;
use std::sync::Arc;

use kazoo::AccountId;
use serde_json::{Map, Value};

use super::claims::Claims;

/// A client with valid credentials.
#[derive(Clone)]
pub struct Caller(Arc<Facts>);

struct Facts {
    account_id: AccountId,
    owner_id: Option<String>,
    method: Option<String>,
    original_account_id: Option<String>,
    original_owner_id: Option<String>,
    is_superduper: bool,
    claims: Arc<Claims>,
}

impl Caller {
    pub(crate) fn new(
        account_id: AccountId,
        owner_id: Option<String>,
        is_superduper: bool,
        claims: Arc<Claims>,
    ) -> Self {
        let text = |name: &str| claims.text(name).map(str::to_owned);
        Self(Arc::new(Facts {
            account_id,
            owner_id,
            method: text("method"),
            original_account_id: text("original_account_id"),
            original_owner_id: text("original_owner_id"),
            is_superduper,
            claims,
        }))
    }

    /// The caller's account. If the caller acts as another user, it is that user's account.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.0.account_id
    }

    /// The caller's user id. `None` for an account's own token.
    #[must_use]
    pub fn owner_id(&self) -> Option<&str> {
        self.0.owner_id.as_deref()
    }

    /// The crossbar module that the caller logged in with, such as `cb_user_auth`.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.0.method.as_deref()
    }

    /// The caller's own account, if the caller acts as another user.
    #[must_use]
    pub fn original_account_id(&self) -> Option<&str> {
        self.0.original_account_id.as_deref()
    }

    /// The caller's own user id, if the caller acts as another user.
    #[must_use]
    pub fn original_owner_id(&self) -> Option<&str> {
        self.0.original_owner_id.as_deref()
    }

    /// Whether the caller may reach every account.
    #[must_use]
    pub fn is_superduper(&self) -> bool {
        self.0.is_superduper
    }

    /// A claim of the caller's token.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.0.claims.0.get(name)
    }

    /// All claims of the caller's token.
    pub(crate) fn claims(&self) -> Map<String, Value> {
        self.0.claims.0.clone()
    }
}

impl fmt::Debug for Caller {
    /// Leaves out the claims, since they hold the identity's signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("account_id", self.account_id())
            .field("owner_id", &self.owner_id())
            .field("method", &self.method())
            .field("is_superduper", &self.is_superduper())
            .finish_non_exhaustive()
    }
}
