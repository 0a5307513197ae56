//! Verifying credentials and granting access.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Backend, Deadline, Result};
use futures::future;
use ipnet::IpNet;
use kazoo::{AccountId, Config, Place, Time};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::{Map, Value};

use crate::account::Account;
use crate::caller::{AccountAccess, Caller, Denied};
use crate::claims::Claims;
use crate::encoding::sha256;
use crate::error::AuthError;
use crate::jwt::{Jwt, is_identity_signature};
use crate::key::VerifyingKey;
use crate::lookup::{Identity, Lookup};
use crate::rate_limits::RateLimits;
use crate::restrictions::{Asked, Restrictions};
use crate::secret::Secret;

/// Where `system_config/auth` has the half of identities' signatures that is the system's.
pub(crate) const SYSTEM_SECRET: &str = "secret_for_user_signature";

/// How much is remembered of verified tokens, in bytes of their texts: some ten thousand of Kazoo's.
const MAX_VERIFIED_BYTES: u64 = 8_000_000;

/// How many logged-out tokens this process remembers by itself; the store remembers all.
const MAX_ENDED: u64 = 100_000;

/// What authentication goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose sections of configuration documents count before `default`.
    pub place: Place,
    /// Peers, or networks of them, whose `X-Forwarded-For` is believed; none for those that Kazoo's
    /// configuration names.
    pub reverse_proxies: Option<Vec<IpNet>>,
    /// Refuse tokens that never expire or that no identity has signed.
    pub strict_tokens: bool,
    /// Create the views that logging in needs where they are missing. Only for a store that is this
    /// program's own: in Kazoo's, a design document with some of its views would hide the others.
    pub may_create_views: bool,
    /// How long what was read from the store, and a verified token, count without being looked at again.
    pub remember_for: Duration,
    /// How long the absence of a key, account or document counts.
    pub remember_absence_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            place: Place::default(),
            reverse_proxies: None,
            strict_tokens: false,
            may_create_views: false,
            remember_for: Duration::from_secs(60),
            remember_absence_for: Duration::from_secs(5),
        }
    }
}

/// Knows who a request comes from, and what they may.
pub struct Authenticator {
    pub(crate) lookup: Lookup,
    pub(crate) settings: Settings,
    /// What counts for clients as long as the store has not been asked.
    pub(crate) default_rate_limits: Arc<RateLimits>,
    verified: Cache<[u8; 32], Arc<Verified>>,
    /// Tokens that were logged out here, for as long as something may still be remembered of them.
    ended: Cache<[u8; 32], ()>,
}

/// A token that was verified, and what it was verified with: as soon as any of that is not what counts
/// any more, the token is verified anew.
struct Verified {
    /// The token's length in bytes: its digest leaves out the padding.
    length: usize,
    kid: String,
    key: Arc<VerifyingKey>,
    claims: Arc<Claims>,
    account_id: AccountId,
    identity: Option<SignedIdentity>,
}

struct SignedIdentity {
    id: String,
    secret: Secret,
    system_secret: Secret,
}

/// The documents that restrictions come from.
struct Restricting {
    own: Option<Arc<Map<String, Value>>>,
    system: Arc<Config>,
    /// The user whose token it is; none for an account's own, and where the user is gone.
    user: Option<Arc<Identity>>,
}

impl Authenticator {
    /// Authentication by what `store` holds.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let lookup = Lookup::new(store, &settings);
        let lifetime = settings.remember_for;
        let verified = Cache::builder()
            .max_capacity(MAX_VERIFIED_BYTES)
            .weigher(|_, verified: &Arc<Verified>| u32::try_from(verified.length).unwrap_or(u32::MAX))
            .time_to_live(lifetime)
            .build();
        // By default moka keeps what is asked for often and turns newcomers away: they would be forgotten.
        let policy = EvictionPolicy::lru();
        let of_ended = lifetime.saturating_mul(2);
        let ended =
            Cache::builder().max_capacity(MAX_ENDED).eviction_policy(policy).time_to_live(of_ended).build();
        let proxies = settings.reverse_proxies.as_deref();
        let default_rate_limits = Arc::new(RateLimits::read(&Config::default(), &Config::default(), proxies));
        Self { lookup, settings, default_rate_limits, verified, ended }
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
        if verified.claims.expiry()?.is_over(Time::now()) {
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
        let bearer = self.lookup.bearer(id, deadline).await?;
        let token = bearer.as_ref().and_then(|bearer| bearer.get("Token")?.as_str());
        self.verify(token.ok_or(AuthError::Invalid("no such bearer document"))?, wanted_account, deadline)
            .await
    }

    async fn verified_token(
        &self,
        token: &str,
        deadline: Deadline,
    ) -> std::result::Result<Arc<Verified>, AuthError> {
        let digest = token_digest(token);
        let is_this = |known: &Arc<Verified>| known.length == token.len() && self.still_counts(known);
        let verified = match self.verified.get(&digest).filter(is_this) {
            Some(known) => known,
            None => {
                let verified = Arc::new(self.verify_anew(token, digest, deadline).await?);
                self.verified.insert(digest, Arc::clone(&verified));
                verified
            }
        };
        // Looked at last: it may have been logged out while it was verified.
        if self.ended.contains_key(&digest) {
            return Err(AuthError::Invalid("it was logged out"));
        }
        Ok(verified)
    }

    /// Lets the token of that digest count no more in this process.
    pub(crate) fn end(&self, digest: [u8; 32]) {
        self.lookup.remember_logged_out(digest);
        self.ended.insert(digest, ());
        self.verified.invalidate(&digest);
    }

    /// Whether the store has what tokens are made and checked with.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn is_set_up(&self, deadline: Deadline) -> Result<bool> {
        crate::bootstrap::is_set_up_for(self.lookup.store(), &self.settings, deadline).await
    }

    /// Whether the key and secrets that a token was verified with are those that count now.
    fn still_counts(&self, known: &Verified) -> bool {
        let is_key = self.lookup.remembered_key(&known.kid).is_some_and(|key| key == known.key);
        is_key
            && known.identity.as_ref().is_none_or(|identity| {
                let now = self.lookup.remembered_identity(&known.account_id, &identity.id);
                let config = self.lookup.remembered_config("auth");
                now.is_some_and(|now| now.secret.as_ref() == Some(&identity.secret))
                    && config.is_some_and(|config| {
                        config.text(&[SYSTEM_SECRET]).map(Secret::new).as_ref()
                            == Some(&identity.system_secret)
                    })
            })
    }

    async fn verify_anew(
        &self,
        token: &str,
        digest: [u8; 32],
        deadline: Deadline,
    ) -> std::result::Result<Verified, AuthError> {
        let jwt = Jwt::parse(token)?;
        let key = self.lookup.key(&jwt.kid, deadline).await?.ok_or(AuthError::Invalid("no such key"))?;
        if !jwt.is_signed_by(&key) {
            return Err(AuthError::Invalid("the signature is wrong"));
        }
        let expiry = jwt.claims.expiry()?;
        if expiry.is_over(Time::now()) {
            return Err(AuthError::Expired);
        }
        let signature = jwt.claims.0.get("identity_sig");
        let is_lax = matches!(expiry, crate::claims::Expiry::Never) || signature.is_none();
        if self.settings.strict_tokens && is_lax {
            return Err(AuthError::Invalid("it never expires, or no identity has signed it"));
        }
        let account_id = jwt.claims.text("account_id").and_then(|id| AccountId::parse(id).ok());
        let account_id = account_id.ok_or(AuthError::Invalid("it names no account"))?;
        let identity = async {
            let Some(signature) = signature else { return Ok(None) };
            let signature = signature.as_str().filter(|text| !text.is_empty());
            let signature = signature.ok_or(AuthError::Invalid("the identity's signature is empty"))?;
            self.signed_identity(&jwt.claims, &account_id, signature, deadline).await.map(Some)
        };
        let (identity, is_logged_out) = future::join(identity, self.is_logged_out(digest, deadline)).await;
        let identity = identity?;
        if is_logged_out? {
            return Err(AuthError::Invalid("it was logged out"));
        }
        Ok(Verified {
            length: token.len(),
            kid: jwt.kid,
            key,
            claims: Arc::new(jwt.claims),
            account_id,
            identity,
        })
    }

    async fn signed_identity(
        &self,
        claims: &Claims,
        account_id: &AccountId,
        signature: &str,
        deadline: Deadline,
    ) -> std::result::Result<SignedIdentity, AuthError> {
        let id = claims.identity().ok_or(AuthError::Invalid("it names no identity"))?;
        let identity = self.lookup.identity(account_id, id, deadline);
        let config = self.lookup.config("auth", deadline);
        // What the token is good for is asked right behind; asking now saves round trips.
        let ahead = self.read_ahead(claims, account_id, deadline);
        let (identity, config, ()) = future::join3(identity, config, ahead).await;
        let identity = identity?;
        let secret = identity.as_ref().and_then(|identity| identity.secret.as_ref());
        let secret = secret.ok_or(AuthError::Invalid("the identity is not there, or has no secret"))?;
        let config = config?;
        let system_secret = config.text(&[SYSTEM_SECRET]);
        let system_secret = system_secret.ok_or(AuthError::Invalid("the store has no system secret"))?;
        if !is_identity_signature(signature, id, secret.expose(), system_secret) {
            return Err(AuthError::Invalid("the identity's signature is wrong"));
        }
        Ok(SignedIdentity {
            id: id.to_owned(),
            secret: secret.clone(),
            system_secret: Secret::new(system_secret),
        })
    }

    /// Reads all that [`Authenticator::caller`] and [`Authenticator::authorise`] will ask about a token
    /// whose signature is good, at once. A failure shows when it is asked for in earnest.
    async fn read_ahead(&self, claims: &Claims, account_id: &AccountId, deadline: Deadline) {
        let account = self.lookup.account(account_id, deadline);
        let wanted = claims.masquerade().ok().flatten();
        let wanted = wanted.and_then(|(account, owner)| Some((AccountId::parse(account).ok()?, owner)));
        let Some((wanted, owner_id)) = wanted else {
            let restrictions = self.restricting(account_id, claims.text("owner_id"), deadline);
            let _ = future::join(account, restrictions).await;
            return;
        };
        let is_descendant = self.lookup.is_descendant(account_id, &wanted, deadline);
        let acting = self.lookup.account(&wanted, deadline);
        let restrictions = self.restricting(&wanted, Some(owner_id), deadline);
        let _ = future::join4(account, is_descendant, acting, restrictions).await;
    }

    /// Who a verified token stands for, once its account's trial and its masquerade are looked at.
    async fn caller(
        &self,
        verified: &Verified,
        deadline: Deadline,
    ) -> std::result::Result<Caller, AuthError> {
        let claims = &verified.claims;
        if self.lookup.remembered_account(&verified.account_id).is_none() {
            // The memory of it has just ended, and then that of the rest soon will.
            self.read_ahead(claims, &verified.account_id, deadline).await;
        }
        let account = self.lookup.account(&verified.account_id, deadline).await?;
        check_trial(account.as_deref())?;
        let Some((account_id, owner_id)) = claims.masquerade()? else {
            let owner_id = claims.text("owner_id").map(str::to_owned);
            let is_superduper = account.is_some_and(|account| account.is_superduper());
            return Ok(Caller::new(verified.account_id.clone(), owner_id, is_superduper, Arc::clone(claims)));
        };
        let wanted =
            AccountId::parse(account_id).map_err(|_| AuthError::Invalid("it acts for no account"))?;
        if !self.lookup.is_descendant(&verified.account_id, &wanted, deadline).await? {
            return Err(AuthError::Invalid("it acts for an account that is not below its own"));
        }
        let account = self.lookup.account(&wanted, deadline).await?;
        let is_superduper = account.is_some_and(|account| account.is_superduper());
        Ok(Caller::new(wanted, Some(owner_id.to_owned()), is_superduper, Arc::clone(claims)))
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
        self.check_restrictions(caller, Some(target), asked, deadline).await?;
        if caller.may_reach(target) {
            Ok(AccountAccess::grant(target.id().clone(), caller.clone()))
        } else {
            Err(Denied::OutOfReach)
        }
    }

    /// Refuses what the restrictions of the caller's account forbid. They speak of every path, also of
    /// those that name no account.
    ///
    /// # Errors
    /// [`Denied`], but never `OutOfReach`.
    pub async fn check_restrictions(
        &self,
        caller: &Caller,
        target: Option<&Account>,
        asked: Asked<'_>,
        deadline: Deadline,
    ) -> std::result::Result<(), Denied> {
        match self.restrictions(caller, deadline).await? {
            Some(restrictions) if !restrictions.allow(caller, target, asked) => Err(Denied::Restricted),
            _ => Ok(()),
        }
    }

    /// The restrictions that hold for a caller, if any: of its account, else of the system, by the
    /// method that let it in and by its level.
    async fn restrictions(&self, caller: &Caller, deadline: Deadline) -> Result<Option<Restrictions>> {
        if caller.is_superduper() {
            return Ok(None);
        }
        let Restricting { own, system, user } =
            self.restricting(caller.account_id(), caller.owner_id(), deadline).await?;
        let method = caller.method().unwrap_or("undefined");
        let own = own.as_ref().and_then(|own| {
            let restrictions = own.get("restrictions")?;
            restrictions.get(method).or_else(|| restrictions.get("_"))
        });
        let of_system =
            || [method, "_"].into_iter().find_map(|key| system.get(&[key]).filter(|rules| rules.is_object()));
        let Some(rules) = own.or_else(of_system) else { return Ok(None) };
        let level = match &user {
            Some(user) => user.priv_level.as_deref().unwrap_or("user"),
            None => system.text(&["default_priv_level"]).unwrap_or("admin"),
        };
        Ok(Restrictions::for_level(rules, level))
    }

    /// The documents that say what a user of an account, or its key, may do.
    async fn restricting(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<Restricting> {
        let own = self.lookup.document(account_id, "token_restrictions", deadline);
        let system = self.lookup.config("crossbar.token_restrictions", deadline);
        let user = async {
            match owner_id {
                Some(owner_id) => self.lookup.identity(account_id, owner_id, deadline).await,
                None => Ok(None),
            }
        };
        let (own, system, user) = future::try_join3(own, system, user).await?;
        Ok(Restricting { own, system, user })
    }
}

/// A token of an account whose trial is over counts no more.
pub(crate) fn check_trial(account: Option<&Account>) -> std::result::Result<(), AuthError> {
    match account.and_then(|account| account.expired_at(Time::now())) {
        Some(at) => Err(AuthError::TrialExpired { at }),
        None => Ok(()),
    }
}

/// What a token is remembered by; never by itself. The signature may stand with its padding or without:
/// it is the same token.
pub(crate) fn token_digest(token: &str) -> [u8; 32] {
    sha256(token.trim_end_matches('=').as_bytes())
}
