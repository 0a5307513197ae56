//! The configuration of logins, `crossbar.auth`. It merges the documents of an account, of the accounts above
//! it, and of the system.

use std::sync::Arc;

use datastore::{Deadline, Result};
use futures::future;
use kazoo::term::{is_true, to_integer};
use kazoo::{AccountId, Config};
use serde_json::{Map, Value};

use crate::directory::{Account, Directory};

/// The lifetime of a token if nothing is configured, in seconds.
const DEFAULT_EXPIRY: i64 = 3600;

/// The modules whose token lifetime Kazoo's built-in configuration sets.
const MODULES: [&str; 4] = ["cb_user_auth", "cb_api_auth", "cb_auth", "cb_ip_auth"];

fn to_seconds(value: &Value) -> Option<i64> {
    to_integer(value).and_then(|seconds| i64::try_from(seconds).ok())
}

/// The accounts above an account, the nearest first, and which of them are resellers.
pub(super) struct Lineage {
    is_reseller: bool,
    ancestors: Vec<(AccountId, bool)>,
}

impl Lineage {
    pub(super) fn is_reseller(&self) -> bool {
        self.is_reseller
    }

    /// The nearest ancestor that is a reseller.
    pub(super) fn reseller(&self) -> Option<&AccountId> {
        self.ancestors.iter().find(|(_, is_reseller)| *is_reseller).map(|(ancestor, _)| ancestor)
    }

    /// The ancestors whose configuration an account inherits: all up to the first reseller. A reseller
    /// inherits from nobody.
    fn benefactors(&self) -> impl Iterator<Item = &AccountId> {
        let upwards = if self.is_reseller { &[] } else { self.ancestors.as_slice() };
        let last = upwards.iter().position(|(_, is_reseller)| *is_reseller);
        let count = last.map_or(upwards.len(), |last| last.saturating_add(1));
        upwards.iter().take(count).map(|(ancestor, _)| ancestor)
    }
}

/// The login configuration of one account.
pub(super) struct LoginConfig {
    /// The documents that override the system's. The nearest account's comes first.
    documents: Vec<Arc<Map<String, Value>>>,
    system: Arc<Config>,
}

impl LoginConfig {
    /// Whether clients may log in through a module. Any configured value except `true` forbids it.
    pub(super) fn is_enabled(&self, module: &str) -> bool {
        self.get(&[module, "enabled"]).is_none_or(is_true)
    }

    /// Whether a module asks for a second factor. The setting of an account applies to accounts below it only
    /// if it has `include_subaccounts`. For the master account, any setting applies.
    pub(super) fn wants_second_factor(&self, module: &str, account_id: &str, master: Option<&str>) -> bool {
        let get = |key| self.get(&[module, "multi_factor", key]);
        let made_for = get("account_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        get("enabled").is_some_and(is_true)
            && (master == Some(account_id)
                || made_for.is_none_or(|made_for| made_for == account_id)
                || get("include_subaccounts").is_some_and(is_true))
    }

    /// The lifetime of a module's tokens in seconds. `None` means no expiry.
    pub(super) fn expiry(&self, module: &str) -> Option<i64> {
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

/// Finds out whether an account and the accounts above it are resellers.
pub(super) async fn load_lineage(
    directory: &Directory,
    account_id: &AccountId,
    account: Option<&Account>,
    deadline: Deadline,
) -> Result<Lineage> {
    let tree = account.into_iter().flat_map(Account::tree).rev();
    let ancestors: Vec<_> = tree.filter_map(|ancestor| AccountId::parse(ancestor).ok()).collect();
    let own = directory.is_reseller(account_id, deadline);
    let above = ancestors.iter().map(|ancestor| directory.is_reseller(ancestor, deadline));
    let (is_reseller, above) = future::try_join(own, future::try_join_all(above)).await?;
    Ok(Lineage { is_reseller, ancestors: ancestors.into_iter().zip(above).collect() })
}

/// Reads the login configuration of an account.
pub(super) async fn load_config(
    directory: &Directory,
    account_id: &AccountId,
    lineage: &Lineage,
    deadline: Deadline,
) -> Result<LoginConfig> {
    let asked = std::iter::once(account_id).chain(lineage.benefactors());
    let documents = asked.map(|id| directory.policy(id, "configs_crossbar.auth", deadline));
    let system = directory.config("crossbar.auth", deadline);
    let (documents, system) = future::try_join(future::try_join_all(documents), system).await?;
    Ok(LoginConfig { documents: documents.into_iter().flatten().collect(), system })
}
