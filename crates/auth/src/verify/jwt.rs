//! Reads and writes tokens (JWT, RFC 7519). Other files check the claims.
//!
//! The crate `jsonwebtoken` is not used: it refuses padded signatures and a fractional `exp`, and Kazoo
//! accepts both.

use aws_lc_rs::hmac;
use datastore::json;
use kazoo::Time;
use serde_json::{Map, Value};

use super::claims::Claims;
use crate::directory::{Algorithm, BadKey, SigningKey, VerifyingKey};
use crate::encoding::{decode_base64url, encode_base64url};
use crate::error::AuthError;

/// The longest token that is accepted, in bytes. Kazoo's tokens have fewer than 1,000.
const MAX_TOKEN: usize = 16_384;

/// The longest key id that is accepted, in bytes. Kazoo's key ids have 32.
const MAX_KID: usize = 128;

/// The member of `system_config/auth` that holds the system's secret. Identity signatures need it.
pub(crate) const SYSTEM_SECRET: &str = "secret_for_user_signature";

/// A well-formed token. Its signature may still be wrong. It cannot be printed.
pub(crate) struct Jwt<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: String,
    pub(crate) claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Reads a token.
    pub(crate) fn parse(token: &'a str) -> Result<Self, AuthError> {
        if token.len() > MAX_TOKEN {
            return Err(AuthError::Invalid("the token is too long"));
        }
        let (signed, signature) =
            token.rsplit_once('.').ok_or(AuthError::Invalid("the token does not have three parts"))?;
        let (header, payload) =
            signed.split_once('.').ok_or(AuthError::Invalid("the token does not have three parts"))?;
        if payload.contains('.') {
            return Err(AuthError::Invalid("the token does not have three parts"));
        }
        let header = decode_object(header).ok_or(AuthError::Invalid("the header cannot be read"))?;
        let claims = Claims(decode_object(payload).ok_or(AuthError::Invalid("the payload cannot be read"))?);
        let signature =
            decode_base64url(signature).ok_or(AuthError::Invalid("the signature cannot be read"))?;
        if claims.text("iss") != Some("kazoo") {
            return Err(AuthError::Invalid("the issuer is not kazoo"));
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let algorithm = text("alg")
            .and_then(Algorithm::parse)
            .ok_or(AuthError::Invalid("the algorithm is missing or not supported"))?;
        let kid = text("kid")
            .filter(|kid| kid.len() <= MAX_KID)
            .ok_or(AuthError::Invalid("the key id is missing or too long"))?;
        Ok(Self { algorithm, kid: kid.to_owned(), claims, signed, signature })
    }

    /// Whether this key made the token's signature.
    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify(self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}

/// Reads a token and its claims without looking at the signature, for fuzzers. Nobody is let in by this.
#[doc(hidden)]
pub fn read_without_key(token: &str) {
    if let Ok(Jwt { claims, .. }) = Jwt::parse(token) {
        let _ = (claims.identity(), claims.masquerade().is_ok());
        let _ = claims.expiry().map(|expiry| expiry.is_over(Time::now()));
    }
}

fn decode_object(part: &str) -> Option<Map<String, Value>> {
    match json::parse(&decode_base64url(part)?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Makes a signed token with these claims.
pub(crate) fn mint(kid: &str, key: &SigningKey, claims: Map<String, Value>) -> Result<String, BadKey> {
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": kid}).to_string();
    let payload = Value::Object(claims).to_string();
    let signed = format!("{}.{}", encode_base64url(header), encode_base64url(payload));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", encode_base64url(signature)))
}

/// The HMAC key of an identity's signature: the identity's secret followed by the system's secret.
fn identity_key(identity_secret: &str, system_secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, format!("{identity_secret}{system_secret}").as_bytes())
}

/// The claim `identity_sig`: the identity's signature of its own id.
pub(crate) fn sign_identity(identity: &str, identity_secret: &str, system_secret: &str) -> String {
    encode_base64url(hmac::sign(&identity_key(identity_secret, system_secret), identity.as_bytes()))
}

/// Whether a token's identity signature is correct. The comparison takes constant time.
pub(crate) fn is_identity_signature(
    signature: &str,
    identity: &str,
    identity_secret: &str,
    system_secret: &str,
) -> bool {
    let key = identity_key(identity_secret, system_secret);
    decode_base64url(signature).is_some_and(|tag| hmac::verify(&key, identity.as_bytes(), &tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Jwt, is_identity_signature, sign_identity};
    use crate::directory::VerifyingKey;
    use base64::Engine as _;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../../conformance/jwt-vectors.json")).unwrap()
    }

    fn public_key(vectors: &Value) -> VerifyingKey {
        let pem = vectors["public_key"].as_str().unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        VerifyingKey::from_der(base64::engine::general_purpose::STANDARD.decode(base64).unwrap())
    }

    #[test]
    fn tokens_that_kazoo_minted_verify() {
        let vectors = vectors();
        let key = public_key(&vectors);
        let system_secret = vectors["system_secret"].as_str().unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let token = Jwt::parse(vector["token"].as_str().unwrap()).unwrap();
            assert_eq!(token.kid, vectors["kid"].as_str().unwrap());
            assert!(token.is_signed_by(&key), "a key with the exponent 2049 verifies");
            let identity = token.claims.identity().unwrap();
            assert_eq!(identity, vector["identity_doc"].as_str().unwrap());
            let secret = vector["pvt_signature_secret"].as_str().unwrap();
            let signature = token.claims.text("identity_sig").unwrap();
            assert_eq!(signature, sign_identity(identity, secret, system_secret));
            assert!(is_identity_signature(signature, identity, secret, system_secret));
        }
    }

    #[test]
    fn no_changed_byte_of_a_token_verifies() {
        let vectors = vectors();
        let key = public_key(&vectors);
        let mut tried = 0;
        for vector in vectors["vectors"].as_array().unwrap() {
            let token = vector["token"].as_str().unwrap();
            for place in 0..token.len() {
                for replacement in [b'A', b'B', b'g', b'z', b'0', b'-', b'_', b'.', b'=', b' '] {
                    let mut bytes = token.as_bytes().to_vec();
                    if bytes[place] == replacement {
                        continue;
                    }
                    bytes[place] = replacement;
                    let text = String::from_utf8(bytes).unwrap();
                    tried += 1;
                    assert!(
                        !Jwt::parse(&text).is_ok_and(|jwt| jwt.is_signed_by(&key)),
                        "{place} {replacement}"
                    );
                }
            }
        }
        assert!(tried >= 10_000, "{tried}");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "aaa.bbb.ccc", "e30.e30.", " "] {
            assert!(Jwt::parse(text).is_err(), "{text:?}");
        }
    }
}
