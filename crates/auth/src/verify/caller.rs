//! The caller: a client with valid credentials. A caller that acts as another user keeps the caller that
//! signed the token: its restrictions hold too, and saved documents name it.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kazoo::{AccountId, Time};
use serde_json::{Map, Value};

use super::claims::Claims;
use crate::directory::{Account, Policies};

/// A client with valid credentials, as it was when they were verified. Each request verifies them anew.
#[derive(Clone)]
pub struct Caller(Arc<Facts>);

struct Facts {
    account_id: AccountId,
    owner_id: Option<String>,
    is_superduper: bool,
    signer: Option<Caller>,
    claims: Arc<Claims>,
    /// The account, as it was when the caller was verified.
    account: Option<Arc<Account>>,
    /// What decides the caller's restrictions, once it was read.
    policies: OnceLock<Arc<Policies>>,
    /// A digest of the last address, and of the minute when the caller was seen there.
    seen: AtomicU64,
}

impl Caller {
    pub(crate) fn new(
        account_id: AccountId,
        owner_id: Option<String>,
        account: Option<Arc<Account>>,
        claims: Arc<Claims>,
    ) -> Self {
        Self::of(account_id, owner_id, account, claims, None)
    }

    /// This caller, acting as a user of another account.
    pub(crate) fn acting_as(
        self,
        account_id: AccountId,
        owner_id: String,
        account: Option<Arc<Account>>,
    ) -> Self {
        let claims = Arc::clone(&self.0.claims);
        Self::of(account_id, Some(owner_id), account, claims, Some(self))
    }

    fn of(
        account_id: AccountId,
        owner_id: Option<String>,
        account: Option<Arc<Account>>,
        claims: Arc<Claims>,
        signer: Option<Self>,
    ) -> Self {
        let is_superduper = account.as_ref().is_some_and(|account| account.is_superduper());
        let (policies, seen) = (OnceLock::new(), AtomicU64::new(0));
        Self(Arc::new(Facts { account_id, owner_id, is_superduper, signer, claims, account, policies, seen }))
    }

    /// The caller's account, as it was when the caller was verified. `None` if there was none.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.0.account.as_ref()
    }

    /// What decides the caller's restrictions, if it was read since the caller was verified.
    pub(crate) fn policies(&self) -> Option<&Arc<Policies>> {
        self.0.policies.get()
    }

    /// Keeps what decides the caller's restrictions, for as long as the caller itself is kept.
    pub(crate) fn keep_policies(&self, policies: &Arc<Policies>) {
        // Another request may have been faster. It has read the same.
        let _ = self.0.policies.set(Arc::clone(policies));
    }

    /// Notes that the caller is at this address. False if it was noted within this minute.
    pub(crate) fn is_new_at(&self, address: IpAddr) -> bool {
        let mut hasher = DefaultHasher::new();
        (address, Time::now().unix_seconds() / 60).hash(&mut hasher);
        let seen = hasher.finish();
        self.0.seen.swap(seen, Ordering::Relaxed) != seen
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
        self.0.claims.text("method")
    }

    /// The caller whose token this is, if the caller acts as another user.
    #[must_use]
    pub fn signer(&self) -> Option<&Self> {
        self.0.signer.as_ref()
    }

    /// The caller's own account, if the caller acts as another user. A token that Kazoo made for
    /// impersonation names it in a claim. Otherwise it is the signer's account.
    #[must_use]
    pub fn original_account_id(&self) -> Option<&str> {
        let claimed = self.0.claims.text("original_account_id");
        claimed.or_else(|| Some(self.signer()?.account_id().as_str()))
    }

    /// The caller's own user id, if the caller acts as another user. It comes from where the account comes
    /// from.
    #[must_use]
    pub fn original_owner_id(&self) -> Option<&str> {
        let claims = &self.0.claims;
        let of_signer = || self.signer().filter(|_| claims.text("original_account_id").is_none())?.owner_id();
        claims.text("original_owner_id").or_else(of_signer)
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
            .field("signer", &self.signer())
            .finish_non_exhaustive()
    }
}
