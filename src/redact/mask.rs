//! Hides secrets in what people read: reports, tables, differences, logs.
//!
//! A secret becomes `‹masked:3f2a91›`, a short hash under a key that is drawn anew for each run:
//! equal secrets stay equal and different ones different, which is all that a comparison needs, and
//! nothing can be looked up.

use std::borrow::Cow;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hide::{self, Hide};
use super::shapes::{self, SecretShape};
use super::sieve::Kinds;
use super::view::ViewEncoding;
use super::{body, names};

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

    /// A header's value with its secrets masked; scheme, cookie names and cookie attributes are
    /// kept.
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(value);
        }
        match names::header_secret(name) {
            None if names::is_percent_encoded(name) => {
                masked(value, hide::parts(&mut &*self, value.as_bytes(), ViewEncoding::Percent))
            }
            None => self.value(value),
            Some(kind) => {
                masked(value, hide::whole(&mut &*self, kind, value.as_bytes(), ViewEncoding::Plain))
            }
        }
    }

    /// A request target or URL with the secrets of its query masked, and such as are known by their
    /// look elsewhere in it.
    pub fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(target);
        }
        masked(target, hide::target(&mut &*self, target.as_bytes()))
    }

    /// The value of a JSON or form field of this name: masked whole where the name is a secret's
    /// (`true`, `false` and `null` are not), else where it holds something that looks like one.
    pub fn field<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        self.below([name], value)
    }

    /// The value of a field below others: what stands anywhere below a secret's name is secret.
    pub fn below<'a, 'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        value: &'a str,
    ) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(value);
        }
        match names.into_iter().find_map(names::field_secret) {
            Some(kind) => {
                masked(value, hide::whole(&mut &*self, kind, value.as_bytes(), ViewEncoding::Plain))
            }
            None => self.value(value),
        }
    }

    /// Whether everything below these names is masked.
    pub fn hides_all_below<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        !self.is_off() && names.into_iter().any(names::is_always_secret)
    }

    /// The value at a place that is written as a path, as `$.user.keys[0]` or `/user/@key`: see
    /// [`Self::below`].
    pub fn place<'a>(&self, place: &str, value: &'a str) -> Cow<'a, str> {
        match self.below(
            place.split(['.', '/', '@', '[', ']', '\'', ':', ' ']).filter(|name| !name.is_empty()),
            value,
        ) {
            Cow::Borrowed(value) => self.text(value),
            masked => masked,
        }
    }

    /// Any text, with the secrets masked that are known by their look: tokens, card numbers,
    /// passwords in URLs, values behind names.
    pub fn value<'a>(&self, value: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(value);
        }
        if hide::is_url(value.as_bytes()) {
            return self.target(value);
        }
        masked(value, hide::parts(&mut &*self, value.as_bytes(), ViewEncoding::Plain))
    }

    /// A body, or a part of one, of a kind that is not known: as JSON where it looks so (by the
    /// names of its members, also where it is cut), as a form, a multipart body or markup where it
    /// looks so, else as [`Self::value`].
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_off() {
            return Cow::Borrowed(text);
        }
        if hide::is_url(text.as_bytes()) {
            return self.target(text);
        }
        masked(text, body::redact(&mut &*self, b"", text.as_bytes()))
    }

    /// The lines of a text, masked as [`Self::text`] masks the whole: what a secret is may stand
    /// lines before it.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let owned = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        if self.is_off() {
            return owned(text);
        }
        let lines = owned(&masked(text, body::redact(&mut ByLine(self), b"", text.as_bytes())));
        if lines.len() == text.lines().count() {
            return lines;
        }
        // A secret that is written in a code for more lines than it stands on.
        text.lines().map(|line| self.secret(line).into_owned()).collect()
    }

    fn hash(&self, value: &[u8]) -> Option<String> {
        if is_mask(value) {
            return None;
        }
        let digest = self.keyed.clone()?.chain_update(value).finalize().into_bytes();
        Some(format!("{MASK}{:02x}{:02x}{:02x}›", digest[0], digest[1], digest[2]))
    }
}

impl Hide for &Masker {
    const KEEPS_LENGTH: bool = false;

    fn hidden(&mut self, value: &[u8], _source: &[u8]) -> Option<Vec<u8>> {
        if value.is_empty() {
            return None;
        }
        self.hash(value).map(String::into_bytes)
    }

    fn by_look(&self, value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
        shapes::find(value, false)
    }

    fn looks_for(&self, kinds: Kinds) -> bool {
        !kinds.has(Kinds::AT)
    }
}

/// Masks line by line, so that what is masked has as many lines as before.
struct ByLine<'a>(&'a Masker);

impl Hide for ByLine<'_> {
    const KEEPS_LENGTH: bool = false;

    fn hidden(&mut self, value: &[u8], source: &[u8]) -> Option<Vec<u8>> {
        let mut masker = self.0;
        if memchr::memchr(b'\n', source).is_none() {
            return masker.hidden(value, source);
        }
        let line = |line: &[u8]| {
            let end = line.len() - usize::from(line.ends_with(b"\r"));
            let mut out = (&mut &*self.0)
                .hidden(&line[..end], &line[..end])
                .unwrap_or_else(|| line[..end].to_vec());
            out.extend_from_slice(&line[end..]);
            out
        };
        Some(source.split(|&byte| byte == b'\n').map(line).collect::<Vec<_>>().join(&b'\n'))
    }

    fn by_look(&self, value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
        shapes::find(value, false)
    }

    fn looks_for(&self, kinds: Kinds) -> bool {
        !kinds.has(Kinds::AT)
    }
}

/// What stands in place of `text`, where anything does. Secrets begin and end at characters.
fn masked(text: &str, new: Option<Vec<u8>>) -> Cow<'_, str> {
    match new {
        None => Cow::Borrowed(text),
        Some(new) => Cow::Owned(
            String::from_utf8(new)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

/// Whether a value is a mask already: what was masked for one file may be shown by another.
fn is_mask(value: &[u8]) -> bool {
    let inner =
        value.strip_prefix(MASK.as_bytes()).and_then(|rest| rest.strip_suffix("›".as_bytes()));
    inner.is_some_and(|hash| hash.len() == 6 && hash.iter().all(u8::is_ascii_hexdigit))
}

/// What a mask begins with.
pub const MASK: &str = "‹masked:";

/// A key of 32 bytes from the system's source of randomness.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut key)
        .expect("the system's source of randomness is there");
    key
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
        assert_eq!(
            masker.header("cookie", "a=s3cret; b=; flag"),
            format!("a={token}; b=; {}", masker.secret("flag"))
        );
        assert_eq!(
            masker.header("Set-Cookie", "sid=s3cret; Path=/; HttpOnly"),
            format!("sid={token}; Path=/; HttpOnly")
        );
        assert_eq!(masker.header("X-Api-Key", "s3cret"), token);
        assert_eq!(
            masker.header("X-Forwarded-Proof", &format!("t {JWT}")),
            format!("t {}", masker.secret(JWT))
        );
        assert!(matches!(masker.header("Content-Type", "text/html"), Cow::Borrowed("text/html")));
    }

    #[test]
    fn the_same_secret_has_the_same_mask_wherever_it_stands() {
        let masker = masker();
        let mask = masker.secret("a b/c").into_owned();
        assert_eq!(masker.target("/x?q=1&token=a%20b%2Fc&z"), format!("/x?q=1&token={mask}&z"));
        assert_eq!(masker.target("/x?key=a+b/c"), format!("/x?key={mask}"));
        assert_eq!(masker.text("user=joe&password=a+b%2fc"), format!("user=joe&password={mask}"));
        assert_eq!(
            masker.text(r#"{"user": "joe", "password": "a b/c"}"#),
            format!(r#"{{"user": "joe", "password": "{mask}"}}"#)
        );
        assert_ne!(masker.secret("a b/d"), mask);
        assert_ne!(Masker::new(b"another key").secret("a b/c"), mask);
        assert_ne!(Masker::random().secret("a b/c"), Masker::random().secret("a b/c"));
    }

    #[test]
    fn json_is_masked_by_name_also_nested_numeric_and_cut() {
        let masker = masker();
        let (one, two) = (masker.secret("1").into_owned(), masker.secret("two").into_owned());
        assert_eq!(
            masker.text(
                r#"{"credentials":{"a":"two","n":1,"ok":true},"token":null,"pin": 1,"x":"two"}"#
            ),
            format!(
                "{{\"credentials\":{{\"a\":\"{two}\",\"n\":\"{one}\",\"ok\":true}},\"token\":null,\
                 \"pin\": \"{one}\",\"x\":\"two\"}}"
            )
        );
        assert_eq!(masker.text(r#"{"secret":"two"#), format!(r#"{{"secret":"{two}"#));
        assert_eq!(
            masker
                .text(&format!(r#"["{JWT}", "4111 1111 1111 1111", 4111111111111111]"#))
                .matches("‹masked:")
                .count(),
            3
        );
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
