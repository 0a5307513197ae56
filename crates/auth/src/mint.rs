//! Minting tokens as Kazoo does: its claims in its order, its header, its signature; and behind them an
//! id, so that no two tokens are the same.

use std::sync::Arc;

use datastore::{Cause, Deadline, Result, StoreError, random_hex};
use futures::future;
use kazoo::{AccountId, Config, Time};
use serde_json::{Map, Value, json};

use crate::authenticator::{Authenticator, SYSTEM_SECRET};
use crate::jwt;
use crate::lookup::Identity;

/// What a new token is to say.
pub(crate) struct NewToken<'a> {
    pub(crate) account_id: &'a AccountId,
    pub(crate) owner_id: Option<&'a str>,
    /// The module that lets its bearer in.
    pub(crate) method: &'a str,
    /// Who it wants to be taken for, as the client sent it.
    pub(crate) masquerade: Option<&'a Value>,
    /// When it ends; none for never.
    pub(crate) expires_at: Option<Time>,
}

/// What a token is signed with.
pub(crate) struct Signing {
    config: Config,
    /// The user, or for an account's key the account; none where it is not there.
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Authenticator {
    /// Mints a token for an account, or for a user of it, that is good for `ttl_seconds` from now.
    ///
    /// # Errors
    /// What the store answers; `Missing` where it holds no signing key.
    pub async fn mint(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        ttl_seconds: u32,
        deadline: Deadline,
    ) -> Result<String> {
        let method = if owner_id.is_some() { "cb_user_auth" } else { "cb_api_auth" };
        let expires_at = Some(Time::now().plus_seconds(i64::from(ttl_seconds)));
        let token = NewToken { account_id, owner_id, method, masquerade: None, expires_at };
        let signing = self.load_signing(account_id, owner_id, deadline).await?;
        if signing.identity.is_none() {
            return Err(StoreError::Missing(Cause::new("there is no such user or account")));
        }
        self.mint_token(token, &signing, deadline).await
    }

    /// Reads what a token is signed with, as it is now: one that is signed with what was remembered may
    /// be refused elsewhere.
    pub(crate) async fn load_signing(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<Signing> {
        let config = self.lookup.load_config("auth", deadline);
        let id = owner_id.unwrap_or(account_id.as_str());
        let identity = self.lookup.load_identity(account_id, id, deadline);
        let (config, identity) = future::try_join(config, identity).await?;
        Ok(Signing { config: config.unwrap_or_default(), identity })
    }

    pub(crate) async fn mint_token(
        &self,
        token: NewToken<'_>,
        signing: &Signing,
        deadline: Deadline,
    ) -> Result<String> {
        let missing = |what: &str| StoreError::Missing(Cause::new(what));
        let Signing { config, identity: known } = signing;
        let identity = token.owner_id.unwrap_or(token.account_id.as_str());
        let kid =
            config.text(&["system_key"]).ok_or_else(|| missing("system_config/auth names no system_key"))?;
        let system_secret = config.text(&[SYSTEM_SECRET]);
        let key = self.lookup.signing_key(kid, deadline).await?;
        let key = key.ok_or_else(|| missing("the system_key is not in system_auth"))?;
        let secret = known.as_ref().and_then(|known| known.secret.as_ref());

        if self.settings.strict_tokens && secret.and(system_secret).is_none() {
            return Err(missing("the identity has no secret, and only signed tokens are taken here"));
        }
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!("kazoo"));
        if let (Some(secret), Some(system_secret)) = (secret, system_secret) {
            let signature = jwt::sign_identity(identity, secret.expose(), system_secret);
            claims.insert("identity_sig".to_owned(), json!(signature));
        }
        claims.insert("account_id".to_owned(), json!(token.account_id.as_str()));
        let optional = [
            ("owner_id", token.owner_id.map(|owner_id| json!(owner_id))),
            ("as", token.masquerade.cloned()),
            ("method", Some(json!(token.method))),
            ("exp", token.expires_at.map(|end| json!(end.unix_seconds()))),
            // Kazoo's have none, and take no notice of one. Without it two logins in one second would
            // give the same token, and logging out of one would log out of both.
            ("jti", Some(json!(random_hex()))),
        ];
        claims.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        jwt::mint(kid, &key, claims)
            .map_err(|error| StoreError::Corrupt(Cause::with_source("the system_key", error)))
    }
}
