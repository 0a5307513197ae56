//! The tokens of the recordings' personas, good and bad, made with a key of this run.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::seed::Seed;

/// An RSA key as Kazoo stores it.
pub(crate) struct SigningKey(KeyPair);

impl SigningKey {
    /// A new key.
    pub(crate) fn generate() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    /// The private half in PEM.
    pub(crate) fn private_pem(&self) -> String {
        let der = self.0.as_der().expect("PKCS#8");
        pem("PRIVATE KEY", der.as_ref())
    }

    /// The public half in PEM. A careless server could be made to use it as a shared secret.
    fn public_pem(&self) -> String {
        let der = self.0.public_key().as_der().expect("SPKI");
        pem("PUBLIC KEY", der.as_ref())
    }

    fn sign(&self, padding: &'static dyn RsaEncoding, text: &str) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(padding, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("a signature");
        signature
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n\n", lines.join("\n"))
}

/// Makes the personas' tokens.
pub(crate) struct Minter<'a> {
    pub(crate) seed: &'a Seed,
    pub(crate) key: &'a SigningKey,
    pub(crate) other_key: &'a SigningKey,
    pub(crate) now: i64,
}

impl Minter<'_> {
    /// The token of a persona, `alpha_admin` or `alg_none`.
    pub(crate) fn token(&self, persona: &str) -> String {
        if persona == "master" {
            return self.user_token("master", "master_user");
        }
        if let Some(account) = persona.strip_suffix("_api") {
            let account_id = self.name(account);
            return self.sign(self.header(), self.claims(&account_id, None));
        }
        let is_user = persona.ends_with("_admin") || persona.ends_with("_user");
        match persona.split_once('_') {
            Some((account, _)) if is_user => self.user_token(account, persona),
            _ => self.variant(persona),
        }
    }

    fn name(&self, name: &str) -> String {
        self.seed.names.get(name).unwrap_or_else(|| panic!("the seed names no {name}")).clone()
    }

    fn user_token(&self, account: &str, user: &str) -> String {
        self.sign(self.header(), self.claims(&self.name(account), Some(&self.name(user))))
    }

    /// A user's token without the identity's signature.
    pub(crate) fn unsigned(&self, user: &str) -> String {
        let (account, _) = user.split_once('_').expect("ACCOUNT_ROLE");
        let mut claims = self.claims(&self.name(account), Some(&self.name(user)));
        claims.shift_remove("identity_sig");
        self.sign(self.header(), claims)
    }

    fn header(&self) -> Map<String, Value> {
        object(json!({"alg": "RS256", "typ": "JWT", "kid": self.seed.system_auth("system_key")}))
    }

    fn claims(&self, account_id: &str, owner_id: Option<&str>) -> Map<String, Value> {
        let identity = owner_id.unwrap_or(account_id);
        let secret =
            self.seed.account_doc_text(account_id, identity, "pvt_signature_secret").expect("a secret");
        let key = format!("{secret}{}", self.seed.system_auth("secret_for_user_signature"));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), identity.as_bytes());
        let mut claims = object(json!({
            "iss": "kazoo",
            "identity_sig": URL_SAFE_NO_PAD.encode(signature),
            "account_id": account_id,
        }));
        if let Some(owner_id) = owner_id {
            claims.insert("owner_id".to_owned(), json!(owner_id));
        }
        let method = if owner_id.is_some() { "cb_user_auth" } else { "cb_api_auth" };
        claims.insert("method".to_owned(), json!(method));
        claims.insert("exp".to_owned(), json!(self.now + 86_400));
        claims
    }

    /// alpha_admin's token with one thing changed.
    fn variant(&self, name: &str) -> String {
        let good = self.token("alpha_admin");
        let mut header = self.header();
        let mut claims = self.claims(&self.name("alpha"), Some(&self.name("alpha_admin")));
        let mut set = |key: &str, value: Value| claims.insert(key.to_owned(), value);
        match name {
            "expired" | "exp_now" => drop(set("exp", json!(self.now - 1))),
            "exp_string" => drop(set("exp", json!((self.now + 86_400).to_string()))),
            "exp_float" => {
                drop(set("exp", Value::Number(format!("{}.5", self.now + 86_400).parse().unwrap())))
            }
            "exp_null" => drop(set("exp", Value::Null)),
            "empty_sig" => drop(set("identity_sig", json!(""))),
            "wrong_sig" => drop(set("identity_sig", json!(URL_SAFE_NO_PAD.encode([7; 32])))),
            "iss_other" => drop(set("iss", json!("someone"))),
            "nbf_future" => drop(set("nbf", json!(self.now + 3600))),
            "other_account" => drop(set("account_id", json!(self.name("beta")))),
            "owner_elsewhere" => drop(set("owner_id", json!(self.name("beta_admin")))),
            "owner_unknown" => drop(set("owner_id", json!("0".repeat(32)))),
            "as_child" => {
                drop(set(
                    "as",
                    json!({"account_id": self.name("gamma"), "owner_id": self.name("gamma_admin")}),
                ));
            }
            "as_parent" => {
                drop(set(
                    "as",
                    json!({"account_id": self.name("master"), "owner_id": self.name("master_user")}),
                ));
            }
            "as_half" => drop(set("as", json!({"account_id": self.name("gamma")}))),
            "no_exp" => drop(claims.shift_remove("exp")),
            "no_sig" => drop(claims.shift_remove("identity_sig")),
            "no_account" => drop(claims.shift_remove("account_id")),
            "no_alg" => drop(header.shift_remove("alg")),
            "no_typ" => drop(header.shift_remove("typ")),
            "no_kid" => drop(header.shift_remove("kid")),
            "typ_other" => drop(header.insert("typ".to_owned(), json!("at+jwt"))),
            "alg_lower" => drop(header.insert("alg".to_owned(), json!("rs256"))),
            "rs384" | "rs512" => drop(header.insert("alg".to_owned(), json!(name.to_ascii_uppercase()))),
            "hs256" => {
                header.insert("alg".to_owned(), json!("HS256"));
                let text = signing_input(&Value::Object(header), &Value::Object(claims));
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_pem().as_bytes());
                return format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())));
            }
            "alg_none" => {
                header.insert("alg".to_owned(), json!("none"));
                return format!("{}.", signing_input(&Value::Object(header), &Value::Object(claims)));
            }
            "header_array" => {
                let text = signing_input(&json!([]), &Value::Object(claims));
                return format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(&RSA_PKCS1_SHA256, &text)));
            }
            "other_key" => {
                let text = signing_input(&Value::Object(header), &Value::Object(claims));
                return format!(
                    "{text}.{}",
                    URL_SAFE_NO_PAD.encode(self.other_key.sign(&RSA_PKCS1_SHA256, &text))
                );
            }
            "bad_signature" => {
                let (text, signature) = good.rsplit_once('.').unwrap();
                let first = if signature.starts_with('A') { 'B' } else { 'A' };
                return format!("{text}.{first}{}", &signature[1..]);
            }
            "tampered" => {
                set("account_id", json!(self.name("master")));
                let text = signing_input(&Value::Object(header), &Value::Object(claims));
                return format!("{text}.{}", good.rsplit_once('.').unwrap().1);
            }
            "expired_bad" => {
                set("exp", json!(self.now - 1));
                let text = signing_input(&Value::Object(header), &Value::Object(claims));
                return format!("{text}.{}", good.rsplit_once('.').unwrap().1);
            }
            "two_parts" => return good.rsplit_once('.').unwrap().0.to_owned(),
            "four_parts" => return format!("{good}.x"),
            "padded" => return format!("{good}=="),
            other => panic!("no token is called {other}"),
        }
        self.sign(header, claims)
    }

    fn sign(&self, header: Map<String, Value>, claims: Map<String, Value>) -> String {
        let padding: &dyn RsaEncoding = match header.get("alg").and_then(Value::as_str) {
            Some("RS384") => &RSA_PKCS1_SHA384,
            Some("RS512") => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        let text = signing_input(&Value::Object(header), &Value::Object(claims));
        let signature = self.key.sign(padding, &text);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}
