//! Verifying credentials and granting access.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use datastore::{AccountId, Backend, Deadline, Result, StoreError, ViewQuery};
use futures::{StreamExt as _, future};
use moka::sync::Cache;
use serde_json::json;

use crate::account::Account;
use crate::caller::{AccountAccess, Caller, Denied};
use crate::claims::Claims;
use crate::error::AuthError;
use crate::jwt::{Jwt, is_identity_signature};
use crate::key::VerifyingKey;
use crate::lookup::{Lookup, if_found, system_db};
use crate::restrictions::{Asked, Restrictions};
use crate::secret::Secret;

/// How many verified tokens are remembered.
const MAX_VERIFIED: u64 = 10_000;

/// How long a verified token is remembered, at most.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// What authentication goes by.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The Kazoo node whose section of a configuration document counts first.
    pub kazoo_node: Option<String>,
    /// The Kazoo zone whose section of a configuration document counts second.
    pub kazoo_zone: Option<String>,
    /// Refuse tokens that never expire or that no identity has signed.
    pub strict_tokens: bool,
    /// Create the views that logging in needs where they are missing. Only for a store that is this
    /// program's own: in Kazoo's, a design document with some of its views would hide the others.
    pub may_create_views: bool,
}

/// Knows who a request comes from, and what they may.
pub struct Authenticator {
    pub(crate) lookup: Lookup,
    pub(crate) settings: Settings,
    verified: Cache<[u8; 32], Arc<Verified>>,
}

/// A token that was verified, and what it was verified with: as soon as any of that is not what counts
/// any more, the token is verified anew.
struct Verified {
    kid: String,
    key: Arc<VerifyingKey>,
    claims: Claims,
    account_id: AccountId,
    identity: Option<SignedIdentity>,
}

struct SignedIdentity {
    id: String,
    secret: Arc<Secret>,
    system_secret: String,
}

impl Authenticator {
    /// Authentication by what `store` holds.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let lookup = Lookup::new(store, settings.kazoo_node.clone(), settings.kazoo_zone.clone());
        let verified = Cache::builder().max_capacity(MAX_VERIFIED).time_to_live(VERIFIED_FOR).build();
        Self { lookup, settings, verified }
    }

    /// Verifies a token. `wanted_account` is the header `X-Auth-Account-ID`, which must name the
    /// token's account where it is there at all.
    ///
    /// # Errors
    /// [`AuthError`]: only a token whose signature is good is ever called expired.
    pub async fn verify(
        &self,
        token: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        let verified = self.verified_token(token, deadline).await?;
        let (_, now) = crate::unix_now();
        if verified.claims.expiry()?.is_over(now) {
            return Err(AuthError::Expired);
        }
        if wanted_account.is_some_and(|wanted| wanted != verified.account_id.as_str()) {
            return Err(AuthError::Invalid("another account is wanted than the token's"));
        }
        self.caller(&verified, deadline).await
    }

    /// Verifies the token that a stored bearer document holds.
    ///
    /// # Errors
    /// [`AuthError`], also where there is no such document.
    pub async fn verify_bearer(
        &self,
        id: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        let bearer = self.lookup.read(&system_db("system_auth")?, id, deadline).await?;
        let token = bearer.as_ref().and_then(|bearer| bearer.get("Token")?.as_str());
        self.verify(token.ok_or(AuthError::Invalid("no such bearer document"))?, wanted_account, deadline).await
    }

    async fn verified_token(&self, token: &str, deadline: Deadline) -> std::result::Result<Arc<Verified>, AuthError> {
        let digest = token_digest(token);
        if let Some(known) = self.verified.get(&digest).filter(|known| self.still_counts(known)) {
            return Ok(known);
        }
        let verified = Arc::new(self.verify_anew(token, deadline).await?);
        self.verified.insert(digest, Arc::clone(&verified));
        Ok(verified)
    }

    /// Whether the key and secrets that a token was verified with are those that count now.
    fn still_counts(&self, known: &Verified) -> bool {
        let is_key = self.lookup.remembered_key(&known.kid).is_some_and(|key| key == known.key);
        is_key
            && known.identity.as_ref().is_none_or(|identity| {
                let secret = self.lookup.remembered_secret(&known.account_id, &identity.id);
                let config = self.lookup.remembered_config("auth");
                secret.is_some_and(|secret| secret == identity.secret)
                    && config.is_some_and(|config| {
                        config.text(&["secret_for_user_signature"]) == Some(identity.system_secret.as_str())
                    })
            })
    }

    async fn verify_anew(&self, token: &str, deadline: Deadline) -> std::result::Result<Verified, AuthError> {
        let jwt = Jwt::parse(token)?;
        let key = self.lookup.key(&jwt.kid, deadline).await?.ok_or(AuthError::Invalid("no such key"))?;
        if !jwt.is_signed_by(&key) {
            return Err(AuthError::Invalid("the signature is wrong"));
        }
        let (_, now) = crate::unix_now();
        let expiry = jwt.claims.expiry()?;
        if expiry.is_over(now) {
            return Err(AuthError::Expired);
        }
        let signature = jwt.claims.0.get("identity_sig");
        let is_lax = matches!(expiry, crate::claims::Expiry::Never) || signature.is_none();
        if self.settings.strict_tokens && is_lax {
            return Err(AuthError::Invalid("it never expires, or no identity has signed it"));
        }
        let account_id = jwt.claims.text("account_id").and_then(|id| AccountId::parse(id).ok());
        let account_id = account_id.ok_or(AuthError::Invalid("it names no account"))?;
        let identity = match signature {
            None => None,
            Some(signature) => {
                let signature = signature.as_str().filter(|text| !text.is_empty());
                let signature = signature.ok_or(AuthError::Invalid("the identity's signature is empty"))?;
                Some(self.signed_identity(&jwt.claims, &account_id, signature, deadline).await?)
            }
        };
        Ok(Verified { kid: jwt.kid, key, claims: jwt.claims, account_id, identity })
    }

    async fn signed_identity(
        &self,
        claims: &Claims,
        account_id: &AccountId,
        signature: &str,
        deadline: Deadline,
    ) -> std::result::Result<SignedIdentity, AuthError> {
        let id = claims.identity().ok_or(AuthError::Invalid("it names no identity"))?;
        let secret = self.lookup.identity_secret(account_id, id, deadline);
        let config = self.lookup.config("auth", deadline);
        // The account is needed right behind; asking for it now saves a round trip.
        let account = self.lookup.account(account_id, deadline);
        let (secret, config, account) = future::join3(secret, config, account).await;
        drop(account?);
        let secret = secret?.ok_or(AuthError::Invalid("the identity is not there, or has no secret"))?;
        let config = config?;
        let system_secret =
            config.text(&["secret_for_user_signature"]).ok_or(AuthError::Invalid("the store has no system secret"))?;
        if !is_identity_signature(signature, id, secret.expose(), system_secret) {
            return Err(AuthError::Invalid("the identity's signature is wrong"));
        }
        Ok(SignedIdentity { id: id.to_owned(), secret, system_secret: system_secret.to_owned() })
    }

    /// Who a verified token stands for, once its account's trial and its masquerade are looked at.
    async fn caller(&self, verified: &Verified, deadline: Deadline) -> std::result::Result<Caller, AuthError> {
        let claims = &verified.claims;
        let account = self.lookup.account(&verified.account_id, deadline).await?;
        check_trial(account.as_deref())?;
        let Some((account_id, owner_id)) = claims.masquerade() else {
            let owner_id = claims.text("owner_id").map(str::to_owned);
            let is_superduper = account.is_some_and(|account| account.is_superduper());
            return Ok(Caller::new(verified.account_id.clone(), owner_id, is_superduper, claims.clone()));
        };
        let wanted = AccountId::parse(account_id).map_err(|_| AuthError::Invalid("it acts for no account"))?;
        if !self.is_descendant(&verified.account_id, &wanted, deadline).await? {
            return Err(AuthError::Invalid("it acts for an account that is not below its own"));
        }
        let account = self.lookup.account(&wanted, deadline).await?;
        let is_superduper = account.is_some_and(|account| account.is_superduper());
        Ok(Caller::new(wanted, Some(owner_id.to_owned()), is_superduper, claims.clone()))
    }

    /// Whether an account is below another, by the view of all accounts.
    async fn is_descendant(&self, ancestor: &AccountId, wanted: &AccountId, deadline: Deadline) -> Result<bool> {
        let query = ViewQuery {
            start_key: Some(json!([ancestor.as_str()])),
            end_key: Some(json!([ancestor.as_str(), {}])),
            ..ViewQuery::of("accounts", "listing_by_descendants")
        };
        let rows = self.accounts_view(query, deadline).await;
        let mut rows = match rows {
            // Without the view nobody's descendants are known.
            Err(StoreError::ViewMissing(_) | StoreError::DatabaseMissing(_)) => return Ok(false),
            rows => rows?,
        };
        while let Some(row) = rows.next().await {
            if row?.id.as_str() == wanted.as_str() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An account, deleted or not.
    ///
    /// # Errors
    /// What the store answers; an account that is not there is none.
    pub async fn load_account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        self.lookup.account(id, deadline).await
    }

    /// Grants access to an account, or says why not. Restrictions are told before reach: a request that
    /// both forbid is called restricted.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authorise(
        &self,
        caller: &Caller,
        target: &Account,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> std::result::Result<AccountAccess, Denied> {
        if let Some(restrictions) = self.restrictions(caller, deadline).await?
            && !restrictions.allow(caller, target, asked)
        {
            return Err(Denied::Restricted);
        }
        if caller.may_reach(target) {
            Ok(AccountAccess::grant(target.id().clone(), caller.clone()))
        } else {
            Err(Denied::OutOfReach)
        }
    }

    /// The restrictions that hold for a caller, if any: of its account, else of the system, by the
    /// method that let it in and by its level.
    async fn restrictions(&self, caller: &Caller, deadline: Deadline) -> Result<Option<Restrictions>> {
        if caller.is_superduper() {
            return Ok(None);
        }
        let own = self.lookup.document(caller.account_id(), "token_restrictions", deadline);
        let system = self.lookup.config("crossbar.token_restrictions", deadline);
        let user = async {
            match caller.owner_id() {
                Some(owner_id) => self.lookup.document(caller.account_id(), owner_id, deadline).await,
                None => Ok(None),
            }
        };
        let (own, system, user) = future::join3(own, system, user).await;
        let (own, system, user) = (own?, system?, user?);
        let method = caller.method().unwrap_or("undefined");
        let own = own.as_ref().and_then(|own| {
            let restrictions = own.get("restrictions")?;
            restrictions.get(method).or_else(|| restrictions.get("_"))
        });
        let of_system = || [method, "_"].into_iter().find_map(|key| system.get(&[key]).filter(|rules| rules.is_object()));
        let Some(rules) = own.or_else(of_system) else { return Ok(None) };
        let level = match (&user, caller.owner_id()) {
            (Some(user), Some(_)) => user.get("priv_level").and_then(|level| level.as_str()).unwrap_or("user"),
            _ => system.text(&["default_priv_level"]).unwrap_or("admin"),
        };
        Ok(Restrictions::for_level(rules, level))
    }
}

/// A token of an account whose trial is over counts no more.
pub(crate) fn check_trial(account: Option<&Account>) -> std::result::Result<(), AuthError> {
    let (now, _) = crate::unix_now();
    match account.and_then(|account| account.expired_at(now)) {
        Some(at) => Err(AuthError::TrialExpired { at }),
        None => Ok(()),
    }
}

/// What a token is remembered by; never by itself.
fn token_digest(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
        *place = *byte;
    }
    bytes
}

/// Whether the store has what tokens are checked with.
pub(crate) async fn has_system_config(store: &dyn Backend, deadline: Deadline) -> Result<bool> {
    let id = datastore::DocId::from_store("auth".to_owned());
    Ok(if_found(store.fetch(&system_db("system_config")?, &id, deadline).await)?.is_some())
}
