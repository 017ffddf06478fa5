//! Hides secrets in what people read: reports, tables, differences, logs.
//!
//! A secret becomes `‹masked:3f2a91›`, a short hash under a key that is drawn anew for each run: equal secrets stay equal
//! and different ones different, which is all that a comparison needs, and nothing can be looked up.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::names::{self, HeaderSecret};
use super::scan::{Scanner, Token};
use super::shapes;

/// Replaces secrets by short keyed hashes; made once per run and shared.
#[derive(Clone)]
pub struct Masker {
    keyed: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.keyed.is_some() { "Masker(on)" } else { "Masker(off)" })
    }
}

impl Masker {
    /// With a key: the same secret has the same mask under the same key.
    pub fn new(key: &[u8]) -> Self {
        Self { keyed: Some(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")) }
    }

    /// With a key that is drawn from the system and known to nobody.
    pub fn random() -> Self {
        Self::new(&random_key())
    }

    /// Shows everything, for `--show-secrets`.
    pub const fn off() -> Self {
        Self { keyed: None }
    }

    /// Whether secrets are shown.
    pub const fn is_off(&self) -> bool {
        self.keyed.is_none()
    }

    /// The mask of a value that is known to be secret. Empty values are no secret.
    pub fn secret<'a>(&self, value: &'a str) -> Cow<'a, str> {
        match self.hash(value.as_bytes()) {
            Some(mask) if !value.is_empty() => Cow::Owned(mask),
            _ => Cow::Borrowed(value),
        }
    }

    /// A header's value with its secrets masked; scheme, cookie names and cookie attributes are kept.
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(value);
        }
        match names::header_secret(name) {
            None => self.value(value),
            Some(HeaderSecret::Whole) => self.secret(value),
            Some(HeaderSecret::Credentials) => match value.trim_start().split_once(' ') {
                Some((scheme, credentials)) => Cow::Owned(format!("{scheme} {}", self.secret(credentials.trim_start()))),
                None => self.secret(value),
            },
            Some(HeaderSecret::Cookies) => Cow::Owned(value.split(';').map(|pair| self.pair(pair)).collect::<Vec<_>>().join(";")),
            Some(HeaderSecret::SetCookie) => {
                let (cookie, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
                Cow::Owned(format!("{}{attributes}", self.pair(cookie)))
            }
        }
    }

    /// `name=value` with the value masked; what has no name is masked whole.
    fn pair(&self, pair: &str) -> String {
        let text = pair.trim_start();
        let space = &pair[..pair.len() - text.len()];
        match text.split_once('=') {
            Some((name, value)) => format!("{space}{name}={}", self.secret(value)),
            None => format!("{space}{}", self.secret(text)),
        }
    }

    /// A request target or URL with the secrets of its query masked, and such as are known by their look elsewhere in it.
    pub fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(target);
        }
        let Some((path, query)) = target.split_once('?') else { return self.value(target) };
        let masked = self.form(query, names::is_secret_parameter);
        match (self.value(path), masked) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(target),
            (path, query) => Cow::Owned(format!("{path}?{query}")),
        }
    }

    /// `name=value&name=value` with secret values masked. Hashes the decoded value, so that it has the same mask elsewhere.
    fn form<'a>(&self, form: &'a str, is_secret: fn(&str) -> bool) -> Cow<'a, str> {
        let mut changed = false;
        let pairs: Vec<Cow<'_, str>> = form
            .split('&')
            .map(|pair| {
                let Some((name, value)) = pair.split_once('=') else { return self.value(pair) };
                let masked = if is_secret(&decoded(name)) && !value.is_empty() {
                    self.secret(&decoded(value)).into_owned()
                } else {
                    match self.value(value) {
                        Cow::Borrowed(_) => return Cow::Borrowed(pair),
                        Cow::Owned(masked) => masked,
                    }
                };
                Cow::Owned(format!("{name}={masked}"))
            })
            .inspect(|pair| changed |= matches!(pair, Cow::Owned(_)))
            .collect();
        if changed { Cow::Owned(pairs.join("&")) } else { Cow::Borrowed(form) }
    }

    /// The value of a JSON or form field of this name: masked whole where the name is a secret's (`true`, `false` and `null`
    /// are not), else where it holds something that looks like one.
    pub fn field<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if !self.is_off() && names::is_secret_field(name) && !matches!(value, "true" | "false" | "null") {
            return self.secret(value);
        }
        self.value(value)
    }

    /// Any text, with the secrets masked that are known by their look: tokens, card numbers, passwords in URLs.
    pub fn value<'a>(&self, value: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(value);
        }
        let found = shapes::find(value.as_bytes(), false);
        if found.is_empty() {
            return Cow::Borrowed(value);
        }
        let mut out = String::with_capacity(value.len());
        let mut from = 0;
        for (range, _) in found {
            out.push_str(&value[from..range.start]);
            out.push_str(&self.secret(&value[range.clone()]));
            from = range.end;
        }
        out.push_str(&value[from..]);
        Cow::Owned(out)
    }

    /// A body, or a part of one, of a kind that is not known: as JSON where it looks so (by the names of its members, also
    /// where it is cut), as a form where it looks so, else as [`Self::value`].
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(text);
        }
        if Scanner::looks_like_json(text.as_bytes()) {
            return self.json(text);
        }
        let looks_like_form = text.contains('=') && !text.bytes().any(|byte| byte.is_ascii_whitespace() || byte == b'<');
        if looks_like_form { self.form(text, names::is_secret_field) } else { self.value(text) }
    }

    fn json<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let mut from = 0;
        // Depth inside a value whose name is a secret's: all scalars in it are.
        let mut secret_depth = 0usize;
        let mut pending = false;
        for token in Scanner::new(text.as_bytes()) {
            let (range, quoted) = match token {
                Token::Key(range) => {
                    pending = names::is_secret_field(&text[range]);
                    continue;
                }
                Token::Open(_) => {
                    secret_depth += usize::from(pending || secret_depth > 0);
                    pending = false;
                    continue;
                }
                Token::Close(_) => {
                    secret_depth = secret_depth.saturating_sub(1);
                    continue;
                }
                Token::Comma => continue,
                Token::Text(range) => (range, true),
                Token::Number(range) => (range, false),
                Token::Word(range) => {
                    // A bare word after a secret's name is no JSON, but it may be the secret.
                    if matches!(&text[range.clone()], "true" | "false" | "null") {
                        pending = false;
                        continue;
                    }
                    (range, true)
                }
            };
            let scalar = &text[range.clone()];
            let masked = if std::mem::take(&mut pending) || secret_depth > 0 { self.secret(scalar) } else { self.value(scalar) };
            if let Cow::Owned(masked) = masked {
                out.push_str(&text[from..range.start]);
                let quote = if quoted { "" } else { "\"" };
                out.extend([quote, &masked, quote]);
                from = range.end;
            }
        }
        if from == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    fn hash(&self, value: &[u8]) -> Option<String> {
        let digest = self.keyed.clone()?.chain_update(value).finalize().into_bytes();
        Some(format!("‹masked:{:02x}{:02x}{:02x}›", digest[0], digest[1], digest[2]))
    }
}

/// A key of 32 bytes from the system's source of randomness.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut key).expect("the system's source of randomness is there");
    key
}

/// Percent-decoded, `+` as a space; what is not UTF-8 then is replaced.
fn decoded(text: &str) -> String {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |place: usize| bytes.get(place).and_then(|&byte| char::from(byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', ..) => {
                out.push(b' ');
                at += 1;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

    fn masker() -> Masker {
        Masker::new(b"a key for tests")
    }

    #[test]
    fn headers_keep_what_is_no_secret() {
        let masker = masker();
        let token = masker.secret("s3cret");
        assert!(token.starts_with("‹masked:") && token.chars().count() == 15, "{token}");
        assert_eq!(masker.header("Authorization", "Bearer s3cret"), format!("Bearer {token}"));
        assert_eq!(masker.header("cookie", "a=s3cret; b=; flag"), format!("a={token}; b=; {}", masker.secret("flag")));
        assert_eq!(masker.header("Set-Cookie", "sid=s3cret; Path=/; HttpOnly"), format!("sid={token}; Path=/; HttpOnly"));
        assert_eq!(masker.header("X-Api-Key", "s3cret"), token);
        assert_eq!(masker.header("X-Forwarded-Proof", &format!("t {JWT}")), format!("t {}", masker.secret(JWT)));
        assert!(matches!(masker.header("Content-Type", "text/html"), Cow::Borrowed("text/html")));
    }

    #[test]
    fn the_same_secret_has_the_same_mask_wherever_it_stands() {
        let masker = masker();
        let mask = masker.secret("a b/c").into_owned();
        assert_eq!(masker.target("/x?q=1&token=a%20b%2Fc&z"), format!("/x?q=1&token={mask}&z"));
        assert_eq!(masker.target("/x?key=a+b/c"), format!("/x?key={mask}"));
        assert_eq!(masker.text("user=joe&password=a+b%2fc"), format!("user=joe&password={mask}"));
        assert_eq!(masker.text(r#"{"user": "joe", "password": "a b/c"}"#), format!(r#"{{"user": "joe", "password": "{mask}"}}"#));
        assert_ne!(masker.secret("a b/d"), mask);
        assert_ne!(Masker::new(b"another key").secret("a b/c"), mask);
        assert_ne!(Masker::random().secret("a b/c"), Masker::random().secret("a b/c"));
    }

    #[test]
    fn json_is_masked_by_name_also_nested_numeric_and_cut() {
        let masker = masker();
        let (one, two) = (masker.secret("1").into_owned(), masker.secret("two").into_owned());
        assert_eq!(
            masker.text(r#"{"credentials":{"a":"two","n":1,"ok":true},"token":null,"pin": 1,"x":"two"}"#),
            format!(r#"{{"credentials":{{"a":"{two}","n":"{one}","ok":true}},"token":null,"pin": "{one}","x":"two"}}"#)
        );
        assert_eq!(masker.text(r#"{"secret":"two"#), format!(r#"{{"secret":"{two}"#));
        assert_eq!(masker.text(&format!(r#"["{JWT}", "4111 1111 1111 1111", 4111111111111111]"#)).matches("‹masked:").count(), 3);
        assert!(matches!(masker.text(r#"{"name":"x"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn off_shows_everything() {
        let off = Masker::off();
        assert_eq!(off.header("Authorization", "Bearer x"), "Bearer x");
        assert_eq!(off.target("/?token=x"), "/?token=x");
        assert_eq!(off.field("password", "x"), "x");
        assert_eq!(off.text(r#"{"password":"x"}"#), r#"{"password":"x"}"#);
    }
}
