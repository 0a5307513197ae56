//! Who sends a request, and the proof that they may touch an account.

use std::fmt;
use std::sync::Arc;

use datastore::DbName;
use kazoo::AccountId;
use serde_json::{Map, Value};

use crate::account::Account;
use crate::claims::Claims;

/// Somebody whose credentials were good.
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

    /// The account that the caller belongs to, or acts for.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.0.account_id
    }

    /// The user that the caller is, unless it is an account's key.
    #[must_use]
    pub fn owner_id(&self) -> Option<&str> {
        self.0.owner_id.as_deref()
    }

    /// The module that has let the caller in, `cb_user_auth` for instance.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.0.method.as_deref()
    }

    /// The account of whoever acts as somebody else.
    #[must_use]
    pub fn original_account_id(&self) -> Option<&str> {
        self.0.original_account_id.as_deref()
    }

    /// The user who acts as somebody else.
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

    /// All that the caller's token claims.
    pub(crate) fn claims(&self) -> Map<String, Value> {
        self.0.claims.0.clone()
    }

    /// Whether the caller has to do with an account: its own, one below its own, or any for a superuser.
    pub(crate) fn may_reach(&self, target: &Account) -> bool {
        let own = self.account_id();
        self.is_superduper()
            || own == target.id()
            || target.tree().iter().any(|ancestor| ancestor == own.as_str())
    }
}

impl fmt::Debug for Caller {
    /// Who it is; what else its token claims is left out, since the identity's signature is among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("account_id", self.account_id())
            .field("owner_id", &self.owner_id())
            .field("method", &self.method())
            .field("is_superduper", &self.is_superduper())
            .finish_non_exhaustive()
    }
}

/// The proof that a caller may touch an account. Only [`Authenticator::authorise`] gives one, and
/// nothing reaches an account's groups without.
///
/// [`Authenticator::authorise`]: crate::Authenticator::authorise
#[derive(Clone, Debug)]
pub struct AccountAccess {
    account_id: AccountId,
    db: DbName,
    caller: Caller,
}

impl AccountAccess {
    pub(crate) fn grant(account_id: AccountId, caller: Caller) -> Self {
        let db = account_id.db();
        Self { account_id, db, caller }
    }

    /// The account.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.account_id
    }

    /// The account's database.
    #[must_use]
    pub fn db(&self) -> &DbName {
        &self.db
    }

    /// Who may.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Why a caller may not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The caller has nothing to do with the account.
    #[error("the account is out of the caller's reach")]
    OutOfReach,
    /// The restrictions of the caller's account forbid what is asked for.
    #[error("token restrictions forbid it")]
    Restricted,
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] datastore::StoreError),
}
