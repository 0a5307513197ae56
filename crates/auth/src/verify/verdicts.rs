//! The memory of verified tokens, and of those that were logged out here.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use datastore::{DbName, DocId, Epoch, hex};
use kazoo::{AccountId, Config};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::caller::Caller;
use super::claims::Claims;
use super::jwt::SYSTEM_SECRET;
use crate::directory::{Identity, Respite, VerifyingKey};
use crate::encoding::sha256;
use crate::secret::Secret;

/// The memory that a verified token takes beside as much as its text, in bytes, estimated: its claims, who shows it, and
/// its place in the cache.
const TOKEN_OVERHEAD: usize = 2_000;

/// How many logged-out tokens this process keeps in memory. The store keeps all of them.
const MAX_ENDED: u64 = 100_000;

/// The prefix of the ids of documents that record logged-out tokens.
pub(crate) const LOGGED_OUT_PREFIX: &str = "logged_out-";

/// The remembered verdicts on tokens, and the tokens that were logged out here. Both are kept by the digests of the tokens.
pub(super) struct Verdicts {
    verified: Cache<TokenDigest, Remembered>,
    /// Tokens logged out here. Kept until every cached entry about them has expired.
    ended: Cache<TokenDigest, ()>,
}

/// A verified token that is remembered.
#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) verified: Arc<Verified>,
    /// The epochs of the databases and documents that the verdict depends on, if the store tells them. While they
    /// last, the verdict stands.
    pub(super) epochs: Option<Arc<[Epoch]>>,
    /// Who shows the token, for as long as the verdict stands.
    pub(super) caller: Arc<OnceLock<Caller>>,
    /// The verdict's respite, where the store tells no epochs. It is renewed here, so that the verdict itself does not
    /// become younger: another process may have logged the token out.
    respite: Arc<RwLock<Option<Renewed>>>,
}

/// A verdict that still counted a short time ago, and whose token it is.
struct Renewed {
    respite: Respite,
    caller: Arc<OnceLock<Caller>>,
}

/// A verified token, and the key and identity it was verified with. If one of those changes, the token is
/// verified again.
pub(super) struct Verified {
    /// The token's length in bytes. It tells spellings apart: the digest leaves out the padding.
    pub(super) length: usize,
    pub(super) kid: String,
    pub(super) key: Arc<VerifyingKey>,
    pub(super) claims: Arc<Claims>,
    pub(super) account_id: AccountId,
    /// The account's database.
    pub(super) db: DbName,
    pub(super) signer: Option<Signer>,
}

/// The identity that signed a token.
pub(super) struct Signer {
    pub(super) id: String,
    pub(super) identity: Arc<Identity>,
    pub(super) config: Arc<Config>,
}

impl Remembered {
    pub(super) fn new(verified: Arc<Verified>, epochs: Option<Arc<[Epoch]>>) -> Self {
        Self { verified, epochs, caller: Arc::default(), respite: Arc::default() }
    }

    /// The verdict, if its respite lasts.
    pub(super) fn in_respite(&self, lasts: impl FnOnce(Respite) -> bool) -> Option<Self> {
        let renewed = self.respite.read().unwrap_or_else(PoisonError::into_inner);
        let Renewed { caller, .. } = renewed.as_ref().filter(|renewed| lasts(renewed.respite))?;
        Some(Self { caller: Arc::clone(caller), ..self.clone() })
    }

    /// The verdict, which still counts, with a new respite.
    pub(super) fn renewed(&self, respite: Respite) -> Self {
        let caller = Arc::default();
        let renewed = Renewed { respite, caller: Arc::clone(&caller) };
        *self.respite.write().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        Self { caller, ..self.clone() }
    }

    /// Whether nothing has changed since the token was verified.
    pub(super) fn stands(&self) -> bool {
        self.epochs.as_ref().is_some_and(|epochs| epochs.iter().all(Epoch::is_current))
    }
}

impl Signer {
    /// Whether the secrets are those that the token was verified with.
    pub(super) fn is_same(&self, identity: &Arc<Identity>, config: &Arc<Config>) -> bool {
        (Arc::ptr_eq(identity, &self.identity) || identity.secret == self.identity.secret)
            && (Arc::ptr_eq(config, &self.config) || system_secret(config) == system_secret(&self.config))
    }
}

/// The digest under which a token is cached. The token itself is never stored. It leaves out the signature's
/// padding, since a token with padding and without is the same token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(sha256(token.trim_end_matches('=').as_bytes()))
    }

    /// The id of the document that records the logout of the token.
    pub(crate) fn logged_out_id(self) -> DocId {
        DocId::from_store(format!("{LOGGED_OUT_PREFIX}{}", hex(&self.0)))
    }
}

impl Verdicts {
    /// Verified tokens together take at most so many bytes.
    pub(super) fn new(lifetime: Duration, bytes: u64) -> Self {
        let weigh = |_: &TokenDigest, known: &Remembered| {
            u32::try_from(known.verified.length.saturating_add(TOKEN_OVERHEAD)).unwrap_or(u32::MAX)
        };
        let verified = Cache::builder().max_capacity(bytes).weigher(weigh).time_to_live(lifetime).build();
        // When full, Moka's default policy refuses rare keys. It would drop a token that was just logged out.
        let policy = EvictionPolicy::lru();
        let ended = Cache::builder()
            .max_capacity(MAX_ENDED)
            .eviction_policy(policy)
            .time_to_live(lifetime.saturating_mul(2).max(Duration::from_secs(1)))
            .build();
        Self { verified, ended }
    }

    /// The verdict on a token, if it is remembered.
    pub(super) fn of(&self, token: &str, digest: TokenDigest) -> Option<Remembered> {
        self.verified.get(&digest).filter(|known| known.verified.length == token.len())
    }

    /// Remembers a verified token.
    pub(super) fn remember(
        &self,
        digest: TokenDigest,
        verified: Arc<Verified>,
        epochs: Option<Arc<[Epoch]>>,
    ) -> Remembered {
        let remembered = Remembered::new(verified, epochs);
        self.verified.insert(digest, remembered.clone());
        remembered
    }

    /// Whether a token was logged out here.
    pub(super) fn has_ended(&self, digest: TokenDigest) -> bool {
        self.ended.contains_key(&digest)
    }

    /// Notes that a token was logged out here.
    pub(super) fn end(&self, digest: TokenDigest) {
        self.ended.insert(digest, ());
        self.verified.invalidate(&digest);
    }
}

/// The system's secret, which identity signatures need.
fn system_secret(config: &Config) -> Option<Secret> {
    config.text(&[SYSTEM_SECRET]).map(Secret::new)
}
