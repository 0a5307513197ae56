//! Checks what a caller may do in an account, and gives the proof of access.

mod restrictions;

use std::sync::Arc;

use datastore::{DbName, Deadline};
use futures::FutureExt as _;
use futures::future::{self, OptionFuture};
use kazoo::AccountId;

pub use restrictions::{Asked, Restrictions};

use crate::directory::{Account, Directory, Policies};
use crate::login_config::{BASIC_AUTH, USER_AUTH};
use crate::verify::Caller;

/// The proof that a caller may use an account. Only [`Authenticator::authorise`] gives one. Code cannot reach
/// an account's groups without it.
///
/// [`Authenticator::authorise`]: crate::Authenticator::authorise
#[derive(Clone, Debug)]
pub struct AccountAccess {
    account_id: AccountId,
    db: DbName,
    caller: Caller,
}

impl AccountAccess {
    fn grant(account_id: AccountId, caller: Caller) -> Self {
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

    /// The caller who has this access.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Why access is denied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The account is neither the caller's own nor below it.
    #[error("the account is out of the caller's reach")]
    OutOfReach,
    /// The restrictions of the caller's account forbid the request.
    #[error("token restrictions forbid the request")]
    Restricted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] datastore::StoreError),
}

/// Checks access. It reads accounts and rules from the directory.
pub(crate) struct Access {
    directory: Arc<Directory>,
}

impl Access {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    /// Grants access to an account, or says why access is denied. Restrictions are checked first. A request
    /// that fails both checks is therefore `Restricted`.
    pub(crate) async fn authorise(
        &self,
        caller: &Caller,
        target: &Account,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> Result<AccountAccess, Denied> {
        self.check_restrictions(caller, Some(target), asked, deadline).await?;
        if may_reach(caller, target) {
            Ok(AccountAccess::grant(target.id().clone(), caller.clone()))
        } else {
            Err(Denied::OutOfReach)
        }
    }

    /// Refuses a request if the caller's restrictions forbid it. Restrictions cover every path, even a path
    /// without an account. For a caller that acts as another user, the signer's restrictions hold as well.
    pub(crate) async fn check_restrictions(
        &self,
        caller: &Caller,
        target: Option<&Account>,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> Result<(), Denied> {
        let signer =
            caller.signer().map(|signer| self.check_own_restrictions(signer, target, asked, deadline));
        let own = self.check_own_restrictions(caller, target, asked, deadline);
        future::try_join(own, OptionFuture::from(signer).map(Option::transpose)).await.map(drop)
    }

    async fn check_own_restrictions(
        &self,
        caller: &Caller,
        target: Option<&Account>,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> Result<(), Denied> {
        if caller.is_superduper() {
            return Ok(());
        }
        let policies = match caller.policies() {
            Some(policies) => Arc::clone(policies),
            None => {
                let policies =
                    self.directory.policies(caller.account_id(), caller.owner_id(), deadline).await?;
                let policies = Arc::new(policies);
                caller.keep_policies(&policies);
                policies
            }
        };
        match restrictions(caller, &policies) {
            Some(restrictions) if !restrictions.allow(caller, target, asked) => Err(Denied::Restricted),
            _ => Ok(()),
        }
    }
}

/// Finds the caller's restrictions. The account's own come first, then the system's. Both are listed by login
/// method and privilege level. Basic shows the same password as a login: without rules of its own, it has the
/// login's.
fn restrictions<'a>(caller: &Caller, policies: &'a Policies) -> Option<Restrictions<'a>> {
    let Policies { own, system, user } = policies;
    let method = caller.method().unwrap_or("undefined");
    let of_login = if method == BASIC_AUTH { USER_AUTH } else { method };
    let methods = [method, of_login, "_"];
    let own = own.as_ref().and_then(|own| {
        let restrictions = own.get("restrictions")?;
        methods.into_iter().find_map(|method| restrictions.get(method))
    });
    let of_system =
        || methods.into_iter().find_map(|key| system.get(&[key]).filter(|rules| rules.is_object()));
    let rules = own.or_else(of_system)?;
    let level = match user {
        Some(user) => user.priv_level.as_deref().unwrap_or("user"),
        None => system.text(&["default_priv_level"]).unwrap_or("admin"),
    };
    Restrictions::for_level(rules, level)
}

/// Whether a caller may reach an account: its own account and all accounts below it. A superuser reaches
/// every account.
fn may_reach(caller: &Caller, target: &Account) -> bool {
    let own = caller.account_id();
    caller.is_superduper()
        || own == target.id()
        || target.tree().iter().any(|ancestor| ancestor == own.as_str())
}
