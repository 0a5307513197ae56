//! The configuration of logins, `crossbar.auth`: an account's own, that of the accounts above it, and the
//! system's, merged.

use std::sync::Arc;

use datastore::{Deadline, Result};
use futures::future;
use kazoo::term::{is_true, to_integer};
use kazoo::{AccountId, Config};
use serde_json::{Map, Value};

use crate::directory::{Account, Directory};

/// How long a token is good if nothing is configured, in seconds.
const DEFAULT_EXPIRY: i64 = 3600;

/// The modules that have an expiry of their own in Kazoo's built-in configuration.
const MODULES: [&str; 4] = ["cb_user_auth", "cb_api_auth", "cb_auth", "cb_ip_auth"];

fn to_seconds(value: &Value) -> Option<i64> {
    to_integer(value).and_then(|seconds| i64::try_from(seconds).ok())
}

/// An account's ancestors from the nearest up, and which of them are resellers.
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

    /// The ancestors whose configuration an account inherits: up to the first reseller; none if the account
    /// is a reseller itself.
    fn benefactors(&self) -> impl Iterator<Item = &AccountId> {
        let upwards = if self.is_reseller { &[] } else { self.ancestors.as_slice() };
        let last = upwards.iter().position(|(_, is_reseller)| *is_reseller);
        let count = last.map_or(upwards.len(), |last| last.saturating_add(1));
        upwards.iter().take(count).map(|(ancestor, _)| ancestor)
    }
}

/// The configuration of one account's logins.
pub(super) struct LoginConfig {
    /// The documents that count before the system's, the nearest account's first.
    documents: Vec<Arc<Map<String, Value>>>,
    system: Arc<Config>,
}

impl LoginConfig {
    /// Whether a module may let clients in. Any configured value but true switches it off.
    pub(super) fn is_enabled(&self, module: &str) -> bool {
        self.get(&[module, "enabled"]).is_none_or(is_true)
    }

    /// Whether a module asks for a second factor. A configuration that another account made for itself
    /// counts for accounts below only if it says so; the master's own always counts.
    pub(super) fn wants_second_factor(&self, module: &str, account_id: &str, master: Option<&str>) -> bool {
        let get = |key| self.get(&[module, "multi_factor", key]);
        let made_for = get("account_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        get("enabled").is_some_and(is_true)
            && (master == Some(account_id)
                || made_for.is_none_or(|made_for| made_for == account_id)
                || get("include_subaccounts").is_some_and(is_true))
    }

    /// How long a token of a module is good, in seconds; none means for ever.
    pub(super) fn expiry(&self, module: &str) -> Option<i64> {
        let has_modules = self.documents.iter().any(|document| document.contains_key("auth_modules"))
            || self.system.get(&["auth_modules"]).is_some();
        let built_in = || (!has_modules && MODULES.contains(&module)).then_some(DEFAULT_EXPIRY);
        let of_module = self.get(&[module, "token_auth_expiry_s"]).and_then(to_seconds).or_else(built_in);
        let general = || self.system.get(&["token_auth_expiry_s"]).map_or(Some(DEFAULT_EXPIRY), to_seconds);
        of_module.filter(|seconds| *seconds > 0).or_else(general).filter(|seconds| *seconds > 0)
    }

    /// The value at a path of keys, from the nearest document that has one.
    fn get(&self, path: &[&str]) -> Option<&Value> {
        let below = |modules| path.iter().try_fold(modules, |here: &Value, key| here.get(key));
        let of_accounts = self.documents.iter().find_map(|document| below(document.get("auth_modules")?));
        of_accounts.or_else(|| self.system.get(&[&["auth_modules"], path].concat()))
    }
}

/// Finds out which accounts above an account are resellers, and whether it is one itself.
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

/// Reads the configuration of an account's logins.
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
