//! A store with a few accounts, and tokens of every kind for them.
//!
//! `master` may reach every account. `alpha` and `beta` are its children, `gamma` is a child of `alpha`. The
//! trial of `echo` is over. Each has the users `{account}_admin` and `{account}_user` and the device
//! `{account}_device`.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use auth::{Asked, AuthError, Authenticator, Barred, Caller, Denied, LoginSubject, Settings, bootstrap};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use datastore::{Backend, DbName, Deadline, DocId, Draft, StoreError};
use kazoo::AccountId;
use serde_json::{Map, Value, json};

use crate::place::Place;

pub(crate) const KID: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const SYSTEM_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// The end of a trial that is over, in gregorian seconds.
pub(crate) const EXPIRED_AT: i64 = 63_900_000_000;

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER_KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

pub(crate) struct World {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) auth: Authenticator,
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// For a login of which nobody asks whose it is.
pub(crate) fn whoever() -> LoginSubject {
    LoginSubject::default()
}

pub(crate) fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// The id of an account, user or device: its name without `_`, padded with zeros to 32 characters.
pub(crate) fn id(name: &str) -> String {
    format!("{:0<32}", name.replace('_', ""))
}

pub(crate) fn account_id(name: &str) -> AccountId {
    AccountId::parse(&id(name)).unwrap()
}

pub(crate) fn secret_of(name: &str) -> String {
    format!("the secret of {name}")
}

pub(crate) fn db(name: &str) -> DbName {
    DbName::parse(name).unwrap()
}

pub(crate) fn doc_id(id: &str) -> DocId {
    DocId::parse(id).unwrap()
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn md5(text: &str) -> String {
    use md5::Digest as _;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha1(text: &str) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl World {
    pub(crate) async fn new(place: &Place) -> Self {
        Self::with(place, Settings::default()).await
    }

    pub(crate) async fn with(place: &Place, settings: Settings) -> Self {
        let world = Self::without_accounts(place, settings).await;
        world.account("master", &[], json!({"pvt_superduper_admin": true})).await;
        for name in ["alpha", "beta"] {
            world.account(name, &["master"], json!({})).await;
        }
        world.account("gamma", &["master", "alpha"], json!({})).await;
        world.account("echo", &["master"], json!({"pvt_trial_expires": EXPIRED_AT})).await;
        world
    }

    /// A store with a key and a system secret, and no accounts.
    pub(crate) async fn without_accounts(place: &Place, settings: Settings) -> Self {
        let store = place.store();
        for name in ["system_config", "system_auth", "accounts", "services"] {
            store.create_db(&db(name), soon()).await.unwrap();
        }
        let auth = Authenticator::new(Arc::clone(&store), settings);
        let world = Self { store, auth };
        let config = json!({"default": {"system_key": KID, "secret_for_user_signature": SYSTEM_SECRET}});
        world.put("system_config", "auth", config).await;
        world.put("system_auth", KID, key_document(pem())).await;
        world
    }

    pub(crate) async fn account(&self, name: &str, tree: &[&str], more: Value) {
        let account = account_id(name);
        self.store.create_db(&account.db(), soon()).await.unwrap();
        let tree: Vec<_> = tree.iter().map(|name| id(name)).collect();
        let mut body = object(json!({
            "name": name, "realm": format!("{name}.example.com"), "pvt_type": "account", "pvt_tree": tree,
            "pvt_alphanum_name": name, "pvt_api_key": md5(name).repeat(2), "pvt_signature_secret": secret_of(name),
        }));
        body.extend(object(more));
        self.put("accounts", account.as_str(), Value::Object(body.clone())).await;
        self.put(account.db().as_str(), account.as_str(), Value::Object(body)).await;
        for (kind, level) in [("admin", "admin"), ("user", "user")] {
            let user = format!("{name}_{kind}");
            let credentials = format!("{kind}:{name}-password");
            let body = json!({
                "username": kind, "priv_level": level, "enabled": true, "pvt_type": "user",
                "pvt_account_id": account.as_str(), "pvt_signature_secret": secret_of(&user),
                "pvt_md5_auth": md5(&credentials), "pvt_sha1_auth": sha1(&credentials),
            });
            self.put(account.db().as_str(), &id(&user), body).await;
        }
        let device = format!("{name}_device");
        let body = json!({"pvt_type": "device", "pvt_signature_secret": secret_of(&device)});
        self.put(account.db().as_str(), &id(&device), body).await;
    }

    pub(crate) async fn push_views(&self) {
        for name in ["master", "alpha", "beta", "gamma", "echo"] {
            bootstrap::push_views(&*self.store, &account_id(name), soon()).await.unwrap();
        }
    }

    /// Writes a document. It replaces an earlier one.
    pub(crate) async fn put(&self, db_name: &str, doc: &str, body: Value) {
        let doc = DocId::from_store(doc.to_owned());
        let base = self.store.fetch(&db(db_name), &doc, soon()).await.ok().map(|doc| doc.rev().clone());
        let draft = Draft { id: doc, base, body: object(body) };
        self.store.save(&db(db_name), draft, soon()).await.unwrap();
    }

    pub(crate) async fn read(&self, db_name: &str, doc: &str) -> Map<String, Value> {
        let doc = DocId::from_store(doc.to_owned());
        self.store.fetch(&db(db_name), &doc, soon()).await.unwrap().to_object().unwrap()
    }

    /// Changes members of a document.
    pub(crate) async fn change(&self, db_name: &str, doc: &str, changes: Value) {
        let mut body = self.read(db_name, doc).await;
        body.extend(object(changes));
        self.put(db_name, doc, Value::Object(body)).await;
    }

    pub(crate) async fn remove(&self, db_name: &str, doc: &str) {
        let doc = DocId::from_store(doc.to_owned());
        let rev = self.store.fetch(&db(db_name), &doc, soon()).await.unwrap().rev().clone();
        self.store.delete(&db(db_name), &doc, &rev, soon()).await.unwrap();
    }

    /// An authenticator with an empty cache, like another process.
    pub(crate) fn fresh(&self, settings: Settings) -> Authenticator {
        Authenticator::new(Arc::clone(&self.store), settings)
    }

    /// The same world with an empty cache.
    pub(crate) fn forgotten(mut self) -> Self {
        self.auth = self.fresh(Settings::default());
        self
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        self.auth.verify(token, None, soon()).await
    }

    pub(crate) async fn verdict(&self, token: &str) -> &'static str {
        verdict(&self.verify(token).await)
    }

    pub(crate) async fn authorise(&self, caller: &Caller, target: &str, asked: Asked<'_>) -> &'static str {
        let target = self.auth.load_account(&account_id(target), soon()).await.unwrap().unwrap();
        match self.auth.authorise(caller, &target, asked, soon()).await {
            Ok(access) => {
                assert_eq!((access.account_id(), access.db()), (target.id(), &target.id().db()));
                "allowed"
            }
            Err(Denied::OutOfReach) => "out of reach",
            Err(Denied::Restricted) => "restricted",
            Err(other) => panic!("{other}"),
        }
    }
}

/// The result of verifying, as a word or two.
pub(crate) fn verdict(result: &Result<Caller, AuthError>) -> &'static str {
    match result {
        Ok(_) => "good",
        Err(AuthError::Expired) => "expired",
        Err(AuthError::Invalid(_)) => "invalid",
        Err(AuthError::TrialExpired { .. }) => "trial over",
        Err(AuthError::Barred(Barred::AccountDisabled)) => "account disabled",
        Err(AuthError::Barred(Barred::ModuleDisabled)) => "module disabled",
        Err(AuthError::Barred(Barred::SecondFactor)) => "second factor",
        Err(AuthError::Store(StoreError::Corrupt(_))) => "unreadable",
        Err(other) => panic!("{other}"),
    }
}

/// A document of `system_auth` with a private key.
pub(crate) fn key_document(pem: String) -> Value {
    let data = STANDARD.encode(pem);
    let attachment = json!({"private_key.pem": {"content_type": "application/x-pem-file", "data": data}});
    json!({"pvt_type": "system_key", "_attachments": attachment})
}

pub(crate) fn pem() -> String {
    pem_of(&KEY)
}

/// A private key that has signed none of the tokens, unless a test asks for it.
pub(crate) fn other_pem() -> String {
    pem_of(&OTHER_KEY)
}

fn pem_of(key: &KeyPair) -> String {
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
}

/// The public key. An attacker could use these bytes as the secret of an HMAC.
pub(crate) fn public_key() -> Vec<u8> {
    use aws_lc_rs::signature::KeyPair as _;
    KEY.public_key().as_ref().to_vec()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An unsigned token. Tests can change its header and claims before they sign it.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

/// The token of a user (`alpha_admin`) or of an account's key (`alpha`).
pub(crate) fn token(name: &str) -> Token {
    let (account, user) = name.split_once('_').map_or((name, None), |(account, _)| (account, Some(name)));
    let mut claims = json!({
        "iss": "kazoo",
        "identity_sig": identity_sig(&id(name), &secret_of(name), SYSTEM_SECRET),
        "account_id": id(account),
        "method": if user.is_some() { "cb_user_auth" } else { "cb_api_auth" },
        "exp": unix_now() + 3600,
    });
    if let Some(user) = user {
        claims["owner_id"] = json!(id(user));
    }
    Token { header: json!({"alg": "RS256", "typ": "JWT", "kid": KID}), claims }
}

pub(crate) fn identity_sig(identity: &str, secret: &str, system_secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{secret}{system_secret}").as_bytes());
    base64url(hmac::sign(&key, identity.as_bytes()))
}

impl Token {
    /// Sets a claim. `None` removes it.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Option<Value>>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Option<Value>>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// The header and the payload, which the signature covers.
    pub(crate) fn body(&self) -> String {
        format!("{}.{}", base64url(self.header.to_string()), base64url(self.claims.to_string()))
    }

    /// Signs with the system's key and the header's algorithm. If that is not RS384 or RS512, uses RS256.
    pub(crate) fn signed(&self) -> String {
        let algorithm = match self.header["alg"].as_str() {
            Some("RS384") => &RSA_PKCS1_SHA384,
            Some("RS512") => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        self.signed_with(&KEY, algorithm)
    }

    /// Signs with a key that is not in the store.
    pub(crate) fn signed_by_a_stranger(&self) -> String {
        self.signed_with(&OTHER_KEY, &RSA_PKCS1_SHA256)
    }

    /// Signs with an HMAC.
    pub(crate) fn signed_with_hmac(&self, secret: &[u8]) -> String {
        let body = self.body();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body.as_bytes());
        format!("{body}.{}", base64url(tag))
    }

    fn signed_with(&self, key: &KeyPair, algorithm: &'static dyn RsaEncoding) -> String {
        let body = self.body();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(algorithm, &SystemRandom::new(), body.as_bytes(), &mut signature).unwrap();
        format!("{body}.{}", base64url(signature))
    }
}

fn set(object: &mut Value, name: &str, value: Option<Value>) {
    match value {
        Some(value) => object[name] = value,
        None => drop(object.as_object_mut().unwrap().shift_remove(name)),
    }
}

/// The revisions of all documents of each database. Any write changes the result.
pub(crate) async fn revisions(store: &dyn Backend) -> Vec<(DbName, Vec<String>)> {
    use futures::TryStreamExt as _;
    let mut all = Vec::new();
    for db in store.list_dbs(soon()).await.unwrap() {
        let changes: Vec<_> =
            store.changes(&db, datastore::ChangesQuery::default()).try_collect().await.unwrap();
        let mut revisions: Vec<_> =
            changes.iter().map(|change| format!("{} {}", change.id, change.rev)).collect();
        revisions.sort();
        all.push((db, revisions));
    }
    all
}
