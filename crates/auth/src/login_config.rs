//! The configuration of logins, `crossbar.auth`. It merges the documents of an account, of the accounts above
//! it, and of the system.

use std::sync::Arc;

use datastore::{Deadline, Result};
use futures::future;
use kazoo::term::{is_true, to_integer};
use kazoo::{AccountId, Config, ConfigDocument};
use serde_json::{Map, Value};

use crate::directory::{Account, Directory};
use crate::error::Barred;

/// The module of logins with a user's credentials.
pub(crate) const USER_AUTH: &str = "cb_user_auth";

/// The module of `Authorization: Basic`.
pub(crate) const BASIC_AUTH: &str = "cb_basic_auth";

/// The lifetime of a token if nothing is configured, in seconds.
pub(crate) const DEFAULT_EXPIRY: i64 = 3600;

/// The modules whose token lifetime Kazoo's built-in configuration sets.
const MODULES: [&str; 4] = [USER_AUTH, "cb_api_auth", "cb_auth", "cb_ip_auth"];

pub(crate) fn to_seconds(value: &Value) -> Option<i64> {
    to_integer(value).and_then(|seconds| i64::try_from(seconds).ok())
}

/// The accounts above an account, the nearest first, and which of them are resellers.
pub(crate) struct Lineage {
    is_reseller: bool,
    ancestors: Vec<(AccountId, bool)>,
}

impl Lineage {
    pub(crate) fn is_reseller(&self) -> bool {
        self.is_reseller
    }

    /// The nearest ancestor that is a reseller.
    pub(crate) fn reseller(&self) -> Option<&AccountId> {
        self.ancestors.iter().find(|(_, is_reseller)| *is_reseller).map(|(ancestor, _)| ancestor)
    }

    /// How many of the nearest ancestors' configurations an account inherits: all up to the first reseller.
    /// A reseller inherits from nobody.
    fn benefactors(&self) -> usize {
        if self.is_reseller {
            return 0;
        }
        let first = self.ancestors.iter().position(|(_, is_reseller)| *is_reseller);
        first.map_or(self.ancestors.len(), |first| first.saturating_add(1))
    }
}

/// The login configuration of one account.
pub(crate) struct LoginConfig {
    /// The documents that override the system's. The nearest account's comes first.
    documents: Vec<Arc<Map<String, Value>>>,
    system: Arc<Config>,
}

impl LoginConfig {
    /// Checks that the configuration lets users with good credentials in through a module.
    pub(crate) fn check(
        &self,
        module: &str,
        account_id: &AccountId,
        master: Option<&str>,
    ) -> std::result::Result<(), Barred> {
        if !self.is_enabled(module) {
            return Err(Barred::ModuleDisabled);
        }
        let mut modules = vec![module];
        if module == BASIC_AUTH {
            // Basic shows the same password as a login. It is no way around the login's second factor.
            modules.push(USER_AUTH);
        }
        let wants = |module| self.wants_second_factor(module, account_id.as_str(), master);
        if modules.into_iter().any(wants) { Err(Barred::SecondFactor) } else { Ok(()) }
    }

    /// Whether clients may log in through a module. Any configured value except `true` forbids it.
    fn is_enabled(&self, module: &str) -> bool {
        self.get(&[module, "enabled"]).is_none_or(is_true)
    }

    /// Whether a module asks for a second factor. The setting of an account applies to accounts below it only
    /// if it has `include_subaccounts`. For the master account, any setting applies.
    fn wants_second_factor(&self, module: &str, account_id: &str, master: Option<&str>) -> bool {
        let get = |key| self.get(&[module, "multi_factor", key]);
        let made_for = get("account_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        get("enabled").is_some_and(is_true)
            && (master == Some(account_id)
                || made_for.is_none_or(|made_for| made_for == account_id)
                || get("include_subaccounts").is_some_and(is_true))
    }

    /// The lifetime of a module's tokens in seconds. `None` means no expiry.
    pub(crate) fn expiry(&self, module: &str) -> Option<i64> {
        let has_modules = self.documents.iter().any(|document| document.contains_key("auth_modules"))
            || self.system.get(&["auth_modules"]).is_some();
        let built_in = || (!has_modules && MODULES.contains(&module)).then_some(DEFAULT_EXPIRY);
        let of_module = self.get(&[module, "token_auth_expiry_s"]).and_then(to_seconds).or_else(built_in);
        let general = || self.system.get(&["token_auth_expiry_s"]).map_or(Some(DEFAULT_EXPIRY), to_seconds);
        of_module.filter(|seconds| *seconds > 0).or_else(general).filter(|seconds| *seconds > 0)
    }

    /// The value at a path of keys. The nearest document with a value wins.
    fn get(&self, path: &[&str]) -> Option<&Value> {
        let below = |modules| path.iter().try_fold(modules, |here: &Value, key| here.get(key));
        let of_accounts = self.documents.iter().find_map(|document| below(document.get("auth_modules")?));
        of_accounts.or_else(|| self.system.get(&[&["auth_modules"], path].concat()))
    }
}

/// The accounts above an account, the nearest first.
fn ancestors(account: Option<&Account>) -> Vec<AccountId> {
    let tree = account.into_iter().flat_map(Account::tree).rev();
    tree.filter_map(|ancestor| AccountId::parse(ancestor).ok()).collect()
}

/// Finds out whether an account and the accounts above it are resellers.
pub(crate) async fn load_lineage(
    directory: &Directory,
    account_id: &AccountId,
    account: Option<&Account>,
    deadline: Deadline,
) -> Result<Lineage> {
    lineage(directory, account_id, ancestors(account), deadline).await
}

async fn lineage(
    directory: &Directory,
    account_id: &AccountId,
    ancestors: Vec<AccountId>,
    deadline: Deadline,
) -> Result<Lineage> {
    let own = directory.is_reseller(account_id, deadline);
    let above = ancestors.iter().map(|ancestor| directory.is_reseller(ancestor, deadline));
    let (is_reseller, above) = future::try_join(own, future::try_join_all(above)).await?;
    Ok(Lineage { is_reseller, ancestors: ancestors.into_iter().zip(above).collect() })
}

/// Reads the login configuration of an account, and the lineage that it depends on. It reads the documents of
/// all ancestors at once, which saves a round trip.
pub(crate) async fn load_login_config(
    directory: &Directory,
    account_id: &AccountId,
    account: Option<&Account>,
    deadline: Deadline,
) -> Result<(LoginConfig, Lineage)> {
    let ancestors = ancestors(account);
    let lineage = lineage(directory, account_id, ancestors.clone(), deadline);
    let asked = std::iter::once(account_id).chain(&ancestors);
    let documents = asked.map(|id| directory.policy(id, "configs_crossbar.auth", deadline));
    let system = directory.config(ConfigDocument::CrossbarAuth, deadline);
    let (lineage, documents, system) =
        future::try_join3(lineage, future::try_join_all(documents), system).await?;
    let inherited = documents.into_iter().take(lineage.benefactors().saturating_add(1));
    Ok((LoginConfig { documents: inherited.flatten().collect(), system }, lineage))
}
