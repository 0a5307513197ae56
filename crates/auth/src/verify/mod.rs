//! Verifies credentials: tokens, bearer documents and Basic. Verifying never writes.

mod basic;
mod caller;
mod claims;
mod jwt;
mod trial;
mod verdicts;

use std::net::IpAddr;
use std::sync::Arc;

use datastore::{DbName, Deadline, Epoch};
use futures::future;
use kazoo::{AccountId, ConfigDocument, SystemDb, Time};

pub use caller::Caller;
pub(crate) use claims::{Claims, Expiry};
pub use jwt::read_without_key;
pub(crate) use jwt::{Jwt, SYSTEM_SECRET, mint, sign_identity};
pub(crate) use verdicts::{LOGGED_OUT_PREFIX, TokenDigest};

use self::jwt::is_identity_signature;
use self::trial::check_trial;
use self::verdicts::{Remembered, Signer, Verdicts, Verified};
use crate::directory::{Directory, own_db};
use crate::error::AuthError;
use crate::limits::PasswordGuesses;

type Result<T> = std::result::Result<T, AuthError>;

/// Verifies credentials against the directory.
pub(crate) struct Verifier {
    directory: Arc<Directory>,
    guesses: Arc<PasswordGuesses>,
    strict_tokens: bool,
    verdicts: Verdicts,
}

impl Verifier {
    pub(crate) fn new(directory: Arc<Directory>, guesses: Arc<PasswordGuesses>) -> Self {
        let lifetime = directory.settings().remember_for;
        let strict_tokens = directory.settings().strict_tokens;
        let verdicts = Verdicts::new(lifetime, directory.settings().memory_bytes / 4);
        Self { directory, guesses, strict_tokens, verdicts }
    }

    /// Verifies a token. `wanted_account` is the header `X-Auth-Account-ID`. If it is present, it must name
    /// the token's account. A token with a wrong signature is never reported as expired.
    pub(crate) async fn token(
        &self,
        token: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> Result<Caller> {
        let remembered = self.verified(token, deadline).await?;
        let verified = &remembered.verified;
        if verified.claims.expiry()?.is_over(Time::now()) {
            return Err(AuthError::Expired);
        }
        if wanted_account.is_some_and(|wanted| wanted != verified.account_id.as_str()) {
            return Err(AuthError::Invalid("X-Auth-Account-ID does not name the token's account"));
        }
        if let Some(caller) = remembered.caller.get() {
            // A trial ends without a change in the store.
            check_trial(caller.account().map(|account| &**account))?;
            return Ok(caller.clone());
        }
        let caller = self.caller(verified, deadline).await?;
        // One that acts as another user also depends on that user's database.
        if caller.signer().is_none() {
            let _ = remembered.caller.set(caller.clone());
        }
        Ok(caller)
    }

    /// Verifies the token in a stored bearer document.
    pub(crate) async fn bearer(
        &self,
        id: &str,
        wanted_account: Option<&str>,
        deadline: Deadline,
    ) -> Result<Caller> {
        let bearer = self.directory.bearer(id, deadline).await?;
        let token = bearer.as_ref().and_then(|bearer| bearer.get("Token")?.as_str());
        let token =
            token.ok_or(AuthError::Invalid("there is no such bearer document, or it holds no token"))?;
        self.token(token, wanted_account, deadline).await
    }

    /// Verifies Basic credentials: the base64 of `account id:credentials`. `address` is the client's.
    pub(crate) async fn basic(
        &self,
        encoded: &str,
        address: Option<IpAddr>,
        deadline: Deadline,
    ) -> Result<Caller> {
        basic::verify(&self.directory, &self.guesses, encoded, address, deadline).await
    }

    /// Makes this process refuse the token with this digest.
    pub(crate) fn end(&self, digest: TokenDigest) {
        self.directory.forget_in_own_db(&digest.logged_out_id());
        self.verdicts.end(digest);
    }

    async fn verified(&self, token: &str, deadline: Deadline) -> Result<Remembered> {
        let digest = TokenDigest::of(token);
        let known = self.verdicts.of(token, digest);
        let verified = match known {
            Some(known) if known.stands() => known,
            known => match self.in_respite(known.as_ref()) {
                Some(known) => known,
                None => self.verify(token, digest, known, deadline).await?,
            },
        };
        // Checked last, since the token may have been logged out while it was verified.
        if self.verdicts.has_ended(digest) {
            return Err(AuthError::Invalid("the token was logged out"));
        }
        Ok(verified)
    }

    /// A verdict that counted a short time ago. The store tells no epoch of any database that it depends on.
    fn in_respite(&self, known: Option<&Remembered>) -> Option<Remembered> {
        let known = known.filter(|known| known.epochs.is_none())?;
        known.in_respite(|respite| self.directory.lasts(respite, &needed_by(&known.verified)))
    }

    /// Verifies a token, unless the verdict that is known still counts, and remembers the verdict.
    async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        known: Option<Remembered>,
        deadline: Deadline,
    ) -> Result<Remembered> {
        if let Some(known) = known {
            let verified = &known.verified;
            let epochs_now = self.epochs(&verified.account_id, &verified.claims);
            if known.epochs.is_none() && epochs_now.is_none() {
                // The store does not learn of changes. What is cached decides, for as long as it stays there.
                let respite = self.directory.respite(&needed_by(verified));
                if self.still_counts(verified) {
                    return Ok(known.renewed(respite));
                }
            } else if self.counts_again(verified, digest, deadline).await? {
                return Ok(self.verdicts.remember(digest, known.verified, epochs_now));
            }
        }
        let (verified, epochs) = self.verify_anew(token, digest, deadline).await?;
        Ok(self.verdicts.remember(digest, Arc::new(verified), epochs))
    }

    /// The epochs of what a verdict depends on: three databases, and some documents of the account. `None` if the store
    /// does not tell one of them. This program's own database may not exist yet.
    fn epochs(&self, account_id: &AccountId, claims: &Claims) -> Option<Arc<[Epoch]>> {
        let store = self.directory.store();
        let needed = [store.epoch(SystemDb::SystemAuth.name())?, store.epoch(SystemDb::SystemConfig.name())?];
        let identities = [claims.identity(), claims.text("owner_id")];
        let identities: Vec<_> = identities.into_iter().flatten().collect();
        let of_caller = self.directory.epochs_of_caller(account_id, &identities)?;
        Some(needed.into_iter().chain(of_caller).chain(store.epoch(own_db())).collect())
    }

    /// Whether the key and secrets in the cache are those that the token was verified with.
    fn still_counts(&self, known: &Verified) -> bool {
        self.directory.system_auth().remembered_key(&known.kid).is_some_and(|key| key == known.key)
            && known.signer.as_ref().is_none_or(|signer| {
                let identity = self.directory.remembered_identity(&known.account_id, &signer.id);
                let config = self.directory.remembered_config(ConfigDocument::Auth);
                identity.zip(config).is_some_and(|(identity, config)| signer.is_same(&identity, &config))
            })
    }

    /// Whether the key and secrets are still those that the token was verified with, and it was not logged out.
    /// A database has changed, but most changes are about other documents.
    async fn counts_again(&self, known: &Verified, digest: TokenDigest, deadline: Deadline) -> Result<bool> {
        let logged_out_id = digest.logged_out_id();
        let is_logged_out = self.directory.is_in_own_db(&logged_out_id, deadline);
        let key = self.directory.system_auth().key(&known.kid, deadline);
        let signer = async {
            let Some(signer) = &known.signer else { return Ok(true) };
            let identity = self.directory.identity(&known.account_id, &signer.id, deadline);
            let (identity, config) =
                future::try_join(identity, self.directory.config(ConfigDocument::Auth, deadline)).await?;
            Ok(identity.is_some_and(|identity| signer.is_same(&identity, &config)))
        };
        let (is_logged_out, key, has_same_signer) = future::try_join3(is_logged_out, key, signer).await?;
        Ok(!is_logged_out && has_same_signer && key.is_some_and(|key| key == known.key))
    }

    async fn verify_anew(
        &self,
        token: &str,
        digest: TokenDigest,
        deadline: Deadline,
    ) -> Result<(Verified, Option<Arc<[Epoch]>>)> {
        let jwt = Jwt::parse(token)?;
        let account_id = jwt.claims.text("account_id").and_then(|id| AccountId::parse(id).ok());
        // Asked before anything is read, so that a change meanwhile counts.
        let epochs = account_id.as_ref().and_then(|id| self.epochs(id, &jwt.claims));
        let key = self
            .directory
            .system_auth()
            .key(&jwt.kid, deadline)
            .await?
            .ok_or(AuthError::Invalid("there is no such key"))?;
        if !jwt.is_signed_by(&key) {
            return Err(AuthError::Invalid("the signature is wrong"));
        }
        let expiry = jwt.claims.expiry()?;
        if expiry.is_over(Time::now()) {
            return Err(AuthError::Expired);
        }
        let signature = jwt.claims.0.get("identity_sig");
        if self.strict_tokens && (matches!(expiry, Expiry::Never) || signature.is_none()) {
            return Err(AuthError::Invalid("the token never expires or has no identity signature"));
        }
        let account_id = account_id.ok_or(AuthError::Invalid("the token names no account"))?;
        let signer = async {
            let Some(signature) = signature else { return Ok(None) };
            let signature = signature.as_str().filter(|text| !text.is_empty());
            let signature =
                signature.ok_or(AuthError::Invalid("the identity's signature is empty or not a text"))?;
            self.signer(&jwt.claims, &account_id, signature, deadline).await.map(Some)
        };
        let logged_out_id = digest.logged_out_id();
        let is_logged_out = self.directory.is_in_own_db(&logged_out_id, deadline);
        let (signer, is_logged_out) = future::join(signer, is_logged_out).await;
        let signer = signer?;
        if is_logged_out? {
            return Err(AuthError::Invalid("the token was logged out"));
        }
        let (length, kid, claims) = (token.len(), jwt.kid, Arc::new(jwt.claims));
        let db = account_id.db();
        Ok((Verified { length, kid, key, claims, account_id, db, signer }, epochs))
    }

    async fn signer(
        &self,
        claims: &Claims,
        account_id: &AccountId,
        signature: &str,
        deadline: Deadline,
    ) -> Result<Signer> {
        let id = claims.identity().ok_or(AuthError::Invalid("the token names no identity"))?;
        let identity = self.directory.identity(account_id, id, deadline);
        let config = self.directory.config(ConfigDocument::Auth, deadline);
        // Reading ahead saves round trips: these documents are needed next.
        let ahead = self.read_ahead(claims, account_id, deadline);
        let (identity, config, ()) = future::join3(identity, config, ahead).await;
        let no_secret = AuthError::Invalid("the identity does not exist or has no secret");
        let Some(identity) = identity? else { return Err(no_secret) };
        let Some(secret) = &identity.secret else { return Err(no_secret) };
        let config = config?;
        let system_secret = config.text(&[SYSTEM_SECRET]);
        let system_secret = system_secret.ok_or(AuthError::Invalid("the store has no system secret"))?;
        if !is_identity_signature(signature, id, secret.expose(), system_secret) {
            return Err(AuthError::Invalid("the identity's signature is wrong"));
        }
        Ok(Signer { id: id.to_owned(), identity, config })
    }

    /// Reads the documents that [`Verifier::caller`] and the access checks need, all at the same time. Errors
    /// are ignored here; the real read reports them.
    async fn read_ahead(&self, claims: &Claims, account_id: &AccountId, deadline: Deadline) {
        let account = self.directory.account(account_id, deadline);
        let wanted = claims.masquerade().ok().flatten();
        let wanted = wanted.and_then(|(account, owner)| Some((AccountId::parse(account).ok()?, owner)));
        let policies = self.directory.policies(account_id, claims.text("owner_id"), deadline);
        let Some((wanted, owner_id)) = wanted else {
            let _ = future::join(account, policies).await;
            return;
        };
        let is_descendant = self.directory.is_descendant(account_id, &wanted, deadline);
        let acting = self.directory.account(&wanted, deadline);
        let of_acting = self.directory.policies(&wanted, Some(owner_id), deadline);
        let _ = future::join5(account, policies, is_descendant, acting, of_acting).await;
    }

    /// Builds the caller from a verified token. Checks the account's trial and the claim `as` first.
    async fn caller(&self, verified: &Verified, deadline: Deadline) -> Result<Caller> {
        let claims = &verified.claims;
        if !self.directory.remembers_account(&verified.account_id) {
            // The account has left the cache, and the other documents will soon. One round reads them all.
            self.read_ahead(claims, &verified.account_id, deadline).await;
        }
        let account = self.directory.account(&verified.account_id, deadline).await?;
        check_trial(account.as_deref())?;
        let owner_id = claims.text("owner_id").map(str::to_owned);
        let signer = Caller::new(verified.account_id.clone(), owner_id, account, Arc::clone(claims));
        let Some((account_id, owner_id)) = claims.masquerade()? else { return Ok(signer) };
        let wanted = AccountId::parse(account_id)
            .map_err(|_| AuthError::Invalid("the claim `as` names no account"))?;
        if !self.directory.is_descendant(&verified.account_id, &wanted, deadline).await? {
            return Err(AuthError::Invalid(
                "the claim `as` names an account that is not below the token's own",
            ));
        }
        // A client chose the id. Only a user counts: anybody who may write groups could make a group with
        // any privilege level in it.
        let owner = self.directory.identity(&wanted, owner_id, deadline).await?;
        if !owner.is_some_and(|owner| owner.is_user) {
            return Err(AuthError::Invalid("the claim `as` names a user that does not exist"));
        }
        let account = self.directory.account(&wanted, deadline).await?;
        Ok(signer.acting_as(wanted, owner_id.to_owned(), account))
    }
}

/// The databases that a verdict depends on. The claim `as` may name another account; such a caller is not kept.
fn needed_by(verified: &Verified) -> [&DbName; 4] {
    [SystemDb::SystemAuth.name(), SystemDb::SystemConfig.name(), &verified.db, own_db()]
}
