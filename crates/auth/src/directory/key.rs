//! RSA keys as Kazoo stores them: a private key in PEM, 2048 bits, any public exponent.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// A signature algorithm that tokens may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
}

impl Algorithm {
    /// Reads a token's `alg`. Only RSA with PKCS#1 padding is accepted. `none` proves nothing. With an HMAC,
    /// an attacker could sign with the public key.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            _ => None,
        }
    }

    fn parameters(self) -> &'static RsaParameters {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

/// Why a stored key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not an RSA private key of at least 2048 bits in PEM")]
pub(crate) struct BadKey;

/// The public half of a key, which verifies signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifyingKey {
    der: Vec<u8>,
}

impl VerifyingKey {
    /// Takes a public key in DER, with or without its algorithm. Only tests have one: the store holds private
    /// keys.
    #[cfg(test)]
    pub(crate) fn from_der(der: Vec<u8>) -> Self {
        Self { der }
    }

    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm.parameters(), &self.der).verify(message, signature).is_ok()
    }
}

/// A private key, which makes signatures.
pub(crate) struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a private key in PEM: PKCS#1 as Kazoo writes it, or PKCS#8.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, BadKey> {
        let pair = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| BadKey)? {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(BadKey),
        };
        pair.map(Self).map_err(|_| BadKey)
    }

    /// Makes a new key of 2048 bits.
    pub(crate) fn generate() -> Result<Self, BadKey> {
        KeyPair::generate(KeySize::Rsa2048).map(Self).map_err(|_| BadKey)
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey { der: self.0.public_key().as_ref().to_vec() }
    }

    /// Signs with RS256, the only algorithm that Kazoo signs tokens with.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BadKey> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| BadKey)?;
        Ok(signature)
    }

    /// The key in PEM. Every version of Kazoo reads this form: PKCS#1 with a blank line at the end.
    pub(crate) fn to_pkcs1_pem(&self) -> Result<String, BadKey> {
        let pkcs8: Pkcs8V1Der<'_> = self.0.as_der().map_err(|_| BadKey)?;
        let encoded = STANDARD.encode(pkcs1_inside(pkcs8.as_ref()).ok_or(BadKey)?);
        let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let lines = lines.join("\n");
        Ok(format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----\n\n"))
    }
}

/// The PKCS#1 key inside a PKCS#8 key: `SEQUENCE { INTEGER, SEQUENCE, OCTET STRING { key } }`.
fn pkcs1_inside(pkcs8: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = der_value(pkcs8, 0x30)?;
    let (_, rest) = der_value(sequence, 0x02)?;
    let (_, rest) = der_value(rest, 0x30)?;
    let (key, _) = der_value(rest, 0x04)?;
    Some(key)
}

/// Splits bytes that begin with a DER value of this tag. Returns the value's content and the bytes after it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..0x80 => (usize::from(*length), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (
                digits
                    .iter()
                    .try_fold(0_usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?,
                rest,
            )
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, SigningKey};

    #[test]
    fn a_key_survives_its_pem_and_verifies_what_it_signs() {
        let pem = SigningKey::generate().unwrap().to_pkcs1_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\nMII") && pem.ends_with("-----\n\n"));
        let lines: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).map(str::len).collect();
        // The last two are the rest and the blank line.
        assert!(lines.iter().rev().skip(2).all(|length| *length == 64), "{lines:?}");
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert!(key.verifying_key().verify(Algorithm::Rs256, b"message", &signature));
        assert!(!key.verifying_key().verify(Algorithm::Rs256, b"massage", &signature));
        assert!(!key.verifying_key().verify(Algorithm::Rs384, b"message", &signature));
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for pem in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(SigningKey::from_pem(pem.as_bytes()).is_err());
        }
    }

    #[test]
    fn other_algorithms_are_refused() {
        for name in ["none", "HS256", "ES256", "PS256", "rs256", ""] {
            assert_eq!(Algorithm::parse(name), None);
        }
    }
}
