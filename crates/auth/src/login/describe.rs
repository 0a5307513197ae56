//! Describes an account to the clients that are logged in to it.

use datastore::{Deadline, Result};
use futures::future;
use kazoo::{AccountId, ConfigDocument};
use serde_json::{Map, Value, json};

use crate::directory::{Account, Directory, Identity};
use crate::login_config::Lineage;
use crate::password;

/// The parts of the system's configuration that a description needs.
pub(super) struct ClusterSettings {
    pub(super) master_account_id: Option<String>,
    default_language: Option<String>,
    cluster_id: String,
}

/// The values that a description is made from.
pub(super) struct Described<'a> {
    pub(super) account_id: &'a AccountId,
    pub(super) owner_id: Option<&'a str>,
    pub(super) account: Option<&'a Account>,
    /// The user. For an account's own token, the account itself.
    pub(super) identity: Option<&'a Identity>,
    pub(super) lineage: Lineage,
    pub(super) settings: ClusterSettings,
}

/// Makes the description of an account.
pub(super) fn describe(described: &Described<'_>) -> Map<String, Value> {
    let Described { account_id, owner_id, account, identity, lineage, settings } = described;
    let master = settings.master_account_id.as_deref();
    let of_user = identity.and_then(|identity| identity.language.as_deref());
    let of_account = account.and_then(Account::language);
    let language = of_user.or(of_account).or(settings.default_language.as_deref());
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    if let Some(owner_id) = owner_id {
        set("owner_id", json!(owner_id));
    }
    set("account_id", json!(account_id.as_str()));
    set("ui_config", json!({}));
    set("capabilities", json!({"voicemail": {"transcription": {"default": false, "available": false}}}));
    set("is_master_account", json!(master == Some(account_id.as_str())));
    set("is_reseller", json!(lineage.is_reseller()));
    if let Some(reseller_id) = lineage.reseller().map(AccountId::as_str).or(master) {
        set("reseller_id", json!(reseller_id));
    }
    set("cluster_id", json!(settings.cluster_id));
    if let Some(name) = account.and_then(Account::name) {
        set("account_name", json!(name));
    }
    set("language", json!(language.unwrap_or("en-US")));
    set("apps", json!([]));
    data
}

/// Reads the parts of the system's configuration that a description needs.
pub(super) async fn load_cluster_settings(
    directory: &Directory,
    deadline: Deadline,
) -> Result<ClusterSettings> {
    let master_account_id = directory.master_account_id(deadline);
    let crossbar = directory.config(ConfigDocument::Crossbar, deadline);
    let cluster = directory.config(ConfigDocument::Cluster, deadline);
    let auth = directory.config(ConfigDocument::Auth, deadline);
    let (master_account_id, crossbar, cluster, auth) =
        future::try_join4(master_account_id, crossbar, cluster, auth).await?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    // A cluster without an id gets one here. It changes only if the signing key changes.
    let made_up = || password::md5_of(auth.text(&["system_key"]).unwrap_or_default());
    Ok(ClusterSettings {
        master_account_id,
        default_language: owned(crossbar.text(&["default_language"])),
        cluster_id: owned(cluster.text(&["cluster_id"])).unwrap_or_else(made_up),
    })
}
