//! JSON Web Tokens signed anew with a test key, their times moved to now (RFC 7519, RFC 7515).
//!
//! A token that v1 issued before the capture began, or that another service issued, is known to no
//! flow; a staging v2 that checks tokens with a key of its own takes one that this key signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value};

/// Claims that are times, in seconds since the epoch (RFC 7519 §4.1, OpenID Connect Core §2).
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];

/// A key to sign with.
pub enum SigningKey {
    /// A secret, for HMAC.
    Secret(Vec<u8>),
    /// RSA.
    Rsa(Box<signature::RsaKeyPair>),
    /// The curve P-256.
    P256(Box<signature::EcdsaKeyPair>),
    /// Edwards.
    Ed25519(Box<signature::Ed25519KeyPair>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Secret(_) => "a secret",
            Self::Rsa(_) => "RSA",
            Self::P256(_) => "P-256",
            Self::Ed25519(_) => "Ed25519",
        };
        write!(f, "Key({kind})")
    }
}

impl SigningKey {
    /// A private key in PEM (PKCS #8), or a secret as it is, without a line end behind it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Err("the key is empty".to_owned());
        }
        if !text.starts_with(b"-----BEGIN") {
            return Ok(Self::Secret(text.to_vec()));
        }
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|error| format!("the key is no private key in PEM: {error}"))?;
        let PrivateKeyDer::Pkcs8(der) = key else {
            return Err(
                "the key is not in PKCS #8: openssl pkcs8 -topk8 -nodes makes it so".to_owned()
            );
        };
        let der = der.secret_pkcs8_der();
        let (curve, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        if let Ok(key) = signature::RsaKeyPair::from_pkcs8(der) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        if let Ok(key) = signature::EcdsaKeyPair::from_pkcs8(curve, der, &random) {
            return Ok(Self::P256(Box::new(key)));
        }
        signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|key| Self::Ed25519(Box::new(key)))
            .map_err(|_| "the key is none of RSA, P-256 and Ed25519".to_owned())
    }

    /// A token with the claims of `token`, its times moved by so many seconds, signed with this
    /// key; none where `token` is not one.
    pub fn jwt(&self, token: &str, seconds: i64) -> Option<String> {
        let mut parts = token.split('.');
        let (head, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (mut head, mut claims) = (object(head)?, object(claims)?);
        let name = self.name(head.get("alg")?.as_str()?);
        head.insert("alg".to_owned(), name.into());
        for time in TIMES {
            if let Some(at) = claims.get(time).and_then(Value::as_f64) {
                claims.insert(time.to_owned(), (at as i64).saturating_add(seconds).into());
            }
        }
        let encoded =
            |part: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part).to_string());
        let signed = format!("{}.{}", encoded(head), encoded(claims));
        let signature = self.sign(name, signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The algorithm (RFC 7518 §3.1): the token's own where this key can do it.
    fn name(&self, asked: &str) -> &'static str {
        match (self, asked) {
            (Self::Secret(_), "HS384") => "HS384",
            (Self::Secret(_), "HS512") => "HS512",
            (Self::Secret(_), _) => "HS256",
            (Self::Rsa(_), "RS384") => "RS384",
            (Self::Rsa(_), "RS512") => "RS512",
            (Self::Rsa(_), "PS256") => "PS256",
            (Self::Rsa(_), _) => "RS256",
            (Self::P256(_), _) => "ES256",
            (Self::Ed25519(_), _) => "EdDSA",
        }
    }

    /// The code of a text (HMAC, RFC 2104) under a secret; none of another key.
    pub(super) fn code(&self, algorithm: hmac::Algorithm, text: &[u8]) -> Option<Vec<u8>> {
        let Self::Secret(secret) = self else { return None };
        Some(hmac::sign(&hmac::Key::new(algorithm, secret), text).as_ref().to_vec())
    }

    /// A signature by an algorithm's name, as JWTs have them; none where the key is another one.
    pub(super) fn sign(&self, name: &str, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Secret(_) => {
                let algorithm = match name {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                self.code(algorithm, text)
            }
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match name {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(padding, &SystemRandom::new(), text, &mut out).ok()?;
                Some(out)
            }
            Self::P256(key) => {
                key.sign(&SystemRandom::new(), text).ok().map(|sig| sig.as_ref().to_vec())
            }
            Self::Ed25519(key) => Some(key.sign(text).as_ref().to_vec()),
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair as _;

    use super::*;

    fn token(head: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(head), encode(claims), encode("v1's signature"))
    }

    fn claims(token: &str) -> Value {
        Value::Object(object(token.split('.').nth(1).unwrap()).unwrap())
    }

    #[test]
    fn a_token_is_signed_anew_and_its_times_moved() {
        let old = token(r#"{"alg":"RS256","kid":"k"}"#, r#"{"sub":"a","exp":100,"iat":40.5}"#);
        let key = SigningKey::read(b"a secret\n").unwrap();
        let new = key.jwt(&old, 1_000).unwrap();
        let expected = serde_json::json!({"sub": "a", "exp": 1100, "iat": 1040});
        assert_eq!(claims(&new), expected);
        let head = object(new.split('.').next().unwrap()).unwrap();
        assert_eq!((head["alg"].as_str(), head["kid"].as_str()), (Some("HS256"), Some("k")));
        let (signed, signature) = new.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(hmac::verify(&key, signed.as_bytes(), &signature).is_ok());
    }

    #[test]
    fn what_is_no_token_is_left() {
        let key = SigningKey::read(b"secret").unwrap();
        for text in ["", "a.b.c", "a.b", &token("[]", "{}"), &token("{}", "{}")] {
            assert_eq!(key.jwt(text, 0), None, "{text}");
        }
        assert!(SigningKey::read(b"").is_err());
        assert!(
            SigningKey::read(b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----")
                .is_err()
        );
    }

    #[test]
    fn a_key_in_pem_signs_as_what_it_is() {
        let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = signature::EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let key = SigningKey::read(pem.as_bytes()).unwrap();
        let new = key.jwt(&token(r#"{"alg":"ES256"}"#, "{}"), 0).unwrap();
        let (signed, sent) = new.rsplit_once('.').unwrap();
        let SigningKey::P256(pair) = &key else { panic!("{key:?}") };
        let public = signature::UnparsedPublicKey::new(
            &signature::ECDSA_P256_SHA256_FIXED,
            pair.public_key().as_ref().to_vec(),
        );
        let sent = URL_SAFE_NO_PAD.decode(sent).unwrap();
        assert!(public.verify(signed.as_bytes(), &sent).is_ok());
    }
}
