//! Mints tokens in Kazoo's form: the same header, the same claims in the same order, the same signatures. One
//! claim is added at the end: an id that makes each token unique.

use datastore::{Cause, Deadline, Result, StoreError, random_hex};
use futures::future;
use kazoo::{AccountId, Config, ConfigDocument, Time};
use serde_json::{Map, Value, json};

use crate::directory::{Directory, Identity};
use crate::verify::{SYSTEM_SECRET, mint, sign_identity};

/// The content of a new token.
pub(super) struct NewToken<'a> {
    pub(super) account_id: &'a AccountId,
    pub(super) owner_id: Option<&'a str>,
    /// The crossbar module that the client logged in with.
    pub(super) method: &'a str,
    /// The claim `as`, as the client sent it.
    pub(super) masquerade: Option<&'a Value>,
    /// When the token expires. `None` means never.
    pub(super) expires_at: Option<Time>,
}

/// The secrets that sign a token.
pub(super) struct Signing {
    config: Config,
    /// The user. For an account's own token, the account. `None` if it does not exist.
    pub(super) identity: Option<Identity>,
}

/// Reads the secrets for a new token from the store, not from the cache. Other servers would refuse a token
/// that was signed with an old secret.
pub(super) async fn load_signing(
    directory: &Directory,
    account_id: &AccountId,
    owner_id: Option<&str>,
    deadline: Deadline,
) -> Result<Signing> {
    let config = directory.config_now(ConfigDocument::Auth, deadline);
    let identity = directory.identity_now(account_id, owner_id.unwrap_or(account_id.as_str()), deadline);
    let (config, identity) = future::try_join(config, identity).await?;
    Ok(Signing { config, identity })
}

/// Makes and signs a token.
pub(super) async fn mint_token(
    directory: &Directory,
    token: NewToken<'_>,
    signing: &Signing,
    deadline: Deadline,
) -> Result<String> {
    let missing = |what: &str| StoreError::Missing(Cause::new(what));
    let Signing { config, identity } = signing;
    let kid =
        config.text(&["system_key"]).ok_or_else(|| missing("system_config/auth names no system_key"))?;
    let system_secret = config.text(&[SYSTEM_SECRET]);
    let key = directory.system_auth().signing_key(kid, deadline).await?;
    let key = key.ok_or_else(|| missing("the system_key is not in system_auth"))?;
    let secret = identity.as_ref().and_then(|identity| identity.secret.as_ref());

    if directory.settings().strict_tokens && secret.and(system_secret).is_none() {
        return Err(missing("--strict-tokens needs an identity signature, but a secret for it is missing"));
    }
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!("kazoo"));
    if let (Some(secret), Some(system_secret)) = (secret, system_secret) {
        let signer = token.owner_id.unwrap_or(token.account_id.as_str());
        let signature = sign_identity(signer, secret.expose(), system_secret);
        claims.insert("identity_sig".to_owned(), json!(signature));
    }
    claims.insert("account_id".to_owned(), json!(token.account_id.as_str()));
    let optional = [
        ("owner_id", token.owner_id.map(|owner_id| json!(owner_id))),
        ("as", token.masquerade.cloned()),
        ("method", Some(json!(token.method))),
        ("exp", token.expires_at.map(|end| json!(end.unix_seconds()))),
        // Kazoo's tokens have no `jti`, and Kazoo ignores it. Without it, two logins in one second would give
        // the same token, and logging out of one would log out of both.
        ("jti", Some(json!(random_hex()))),
    ];
    claims.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    mint(kid, &key, claims).map_err(|error| StoreError::Corrupt(Cause::with_source("the system_key", error)))
}
