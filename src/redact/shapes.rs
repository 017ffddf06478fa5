//! Secrets that are known by their look, anywhere in a text: JSON Web Tokens, tokens with a
//! vendor's prefix, numbers of cards and accounts, passwords in URLs, private keys, what stands
//! behind a secret's name; and e-mail addresses, which only redaction takes away.
//!
//! Works on octets, since bodies need not be UTF-8; what it finds is ASCII, so its ranges cut a
//! string at characters. Only looks where the sieve has a hit.

use std::ops::Range;

use memchr::memmem;

pub use super::numbers::{is_card, luhn};
pub use super::shape::SecretShape;
use super::sieve::{self, Hit, INSIDES, Kinds};
use super::vendors::{MIDDLES, VENDORS};
use super::{drawn, manifest, named, numbers, routes};

/// All secrets in `text` by their look, in order, none inside another. E-mail addresses only where
/// `emails` is set.
pub fn find(text: &[u8], emails: bool) -> Vec<(Range<usize>, SecretShape)> {
    let mut look = CloserLook { text, found: Vec::new(), done: LookedUpTo::default() };
    sieve::each(text, |kinds| emails || !kinds.has(Kinds::AT), |hit| look.at(hit));
    let mut found = look.found;
    if found.len() > 1 {
        // The longer one of two that overlap; a token that ends in something like a card number is
        // a token.
        found.sort_unstable_by_key(|(range, shape): &(Range<usize>, SecretShape)| {
            (range.start, usize::MAX - range.end, *shape as u8)
        });
        found.dedup_by(|(next, _), (kept, _)| {
            let overlaps = next.start < kept.end;
            // What hangs over is a part of it.
            kept.end = if overlaps { kept.end.max(next.end) } else { kept.end };
            overlaps
        });
    }
    found
}

/// Up to where a text was looked at, by kind.
#[derive(Default)]
struct LookedUpTo {
    base64: usize,
    pair: named::NamedUpTo,
    pem: usize,
    route: usize,
    scheme: usize,
    token: usize,
    address: usize,
    manifest: usize,
}

/// A closer look at the hits of the sieve.
struct CloserLook<'a> {
    text: &'a [u8],
    found: Vec<(Range<usize>, SecretShape)>,
    done: LookedUpTo,
}

impl CloserLook<'_> {
    fn at(&mut self, hit: Hit) {
        let (text, found, done) = (self.text, &mut self.found, &mut self.done);
        if hit.kinds.has(Kinds::NAME) {
            named::pair_around(text, hit.end, &mut done.pair, found);
        }
        if hit.kinds.has(Kinds::SCHEME) && hit.start >= done.scheme {
            let end = named::scheme(text, hit.start, hit.end, found);
            done.scheme = end.unwrap_or(done.scheme);
        }
        if hit.kinds.has(Kinds::ROUTE) && hit.start >= done.route {
            done.route = routes::find(text, hit.start, found);
        }
        if hit.kinds.has(Kinds::BASE64) && hit.start >= done.base64 {
            done.base64 = base64(text, hit.start, found);
        }
        if hit.kinds.has(Kinds::INSIDE) && hit.start >= done.base64 {
            let end = base64_around(text, hit, done.base64, found);
            done.base64 = end.unwrap_or(done.base64);
        }
        if hit.kinds.has(Kinds::VENDOR) && hit.start >= done.token {
            let token = VENDORS[hit.number].token(text, hit.start);
            done.token = token.as_ref().map_or(done.token, |range| range.end);
            found.extend(token.map(|range| (range, SecretShape::VendorToken)));
        }
        if hit.kinds.has(Kinds::MIDDLE) {
            let token = MIDDLES[hit.number].1(text, hit.start);
            found.extend(token.map(|range| (range, SecretShape::VendorToken)));
        }
        if hit.kinds.has(Kinds::URL) {
            found
                .extend(url_password(text, hit.end).map(|range| (range, SecretShape::UrlPassword)));
        }
        if hit.kinds.has(Kinds::PEM) && hit.start >= done.pem {
            done.pem = private_key(text, hit.end, found);
        }
        if hit.kinds.has(Kinds::MANIFEST) && hit.start >= done.manifest {
            let end = manifest::find(text, hit.start..hit.end, done.manifest, found);
            done.manifest = end.unwrap_or(done.manifest);
        }
        if hit.kinds.has(Kinds::AT) && hit.start >= done.address {
            done.address = email(text, hit.start, done.address, found);
        }
        if hit.kinds.has(Kinds::DIGITS) {
            numbers::find(text, hit.start..hit.end, found);
        }
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_base64(byte: u8) -> bool {
    is_base64url(byte) || byte == b'+' || byte == b'/'
}

/// How many bytes from `from` on satisfy `is`.
fn run(text: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|&byte| !is(byte)).unwrap_or(text.len() - from)
}

/// Fewest characters of JSON in base64 that holds a secret.
const SHORTEST_BASE64: usize = 16;

/// A JSON Web Token, or any JSON in base64. Answers where it ends.
fn base64(text: &[u8], start: usize, found: &mut Vec<(Range<usize>, SecretShape)>) -> usize {
    if start > 0 && is_base64url(text[start - 1]) {
        return start + 1;
    }
    if let Some(end) = jwt(text, start) {
        let is_encoded = memchr::memchr(b'%', &text[start..end]).is_some();
        let shape = if is_encoded { SecretShape::Parameter } else { SecretShape::Jwt };
        found.push((start..end, shape));
        return end;
    }
    let mut end = start + run(text, start, is_base64);
    if end - start >= SHORTEST_BASE64 {
        end += text[end..].iter().take(2).take_while(|&&byte| byte == b'=').count();
        found.push((start..end, SecretShape::Base64));
    }
    end.max(start + 1)
}

/// The base64 around a part of a secret's name that is encoded in it. Answers where it ends.
fn base64_around(
    text: &[u8],
    hit: Hit,
    done: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let (signs, phase) = &INSIDES[hit.number];
    if text[hit.start..hit.end] != *signs.as_bytes() {
        return None;
    }
    let before = &text[done..hit.start];
    let length = before.iter().rev().take_while(|&&byte| is_base64(byte)).count();
    let mut start = hit.start - length;
    // Before it a path may stand, of which each part looks alike.
    while (hit.start - start) % 4 != *phase {
        start += 1 + memchr::memchr(b'/', &text[start..hit.start])?;
    }
    let mut end = hit.end + run(text, hit.end, is_base64);
    if end - start < SHORTEST_BASE64 {
        return None;
    }
    end += text[end..].iter().take(2).take_while(|&&byte| byte == b'=').count();
    found.push((start..end, SecretShape::Base64));
    Some(end)
}

/// How a point is written in a target that is encoded once more, or twice.
const POINTS: [&[u8]; 5] = [b".", b"%2E", b"%2e", b"%252E", b"%252e"];

/// How many bytes the point at `at` has; none where there is none.
fn point(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    POINTS.iter().find(|point| rest.starts_with(point)).map(|point| point.len())
}

/// Where the JSON Web Token ends that begins at `start`: `eyJ` is `{"` in base64, the start of its
/// header.
fn jwt(text: &[u8], start: usize) -> Option<usize> {
    let header = run(text, start, is_base64url);
    let payload_at = start + header + point(text, start + header)?;
    if !text[start..].starts_with(b"eyJ") || header < 8 || payload_at >= text.len() {
        return None;
    }
    let payload = run(text, payload_at, is_base64url);
    let mut end = payload_at + payload;
    // Signature of a JWS (empty for "none"), or the three further parts of a JWE, of which the key
    // is empty where it is agreed on directly.
    for _ in 0..3 {
        let Some(point) = point(text, end) else { break };
        if payload == 0 || text.get(end + point).is_some_and(|&next| is_base64url(next)) {
            end += point + run(text, end + point, is_base64url);
        }
    }
    (payload >= 2 || end > payload_at + 16).then_some(end)
}

/// The password in the authority that begins at `from`, or a token that stands there alone:
/// `https://TOKEN@github.com/`.
pub(super) fn url_password(text: &[u8], from: usize) -> Option<Range<usize>> {
    let authority =
        run(text, from, |byte| byte.is_ascii_graphic() && !b"/?#\"'<>\\".contains(&byte));
    let authority = &text[from..from + authority];
    let at = memchr::memrchr(b'@', authority)?;
    match memchr::memchr(b':', &authority[..at]) {
        Some(colon) => (colon + 1 < at).then_some(from + colon + 1..from + at),
        None => is_token(&authority[..at]).then_some(from..from + at),
    }
}

/// Whether who is named before a machine is a token, and no user.
fn is_token(user: &[u8]) -> bool {
    const SHORTEST: usize = 16;
    user.len() >= SHORTEST && drawn::in_text(user) && !user.contains(&b'@')
}

/// The private key in the PEM block whose label begins at `label`, or in the lines of one of PuTTY.
/// Answers where it ends.
fn private_key(text: &[u8], label: usize, found: &mut Vec<(Range<usize>, SecretShape)>) -> usize {
    if text[label - 1] == b' ' && text[..label].ends_with(b"Lines: ") {
        let body = label + run(text, label, |byte| byte != b'\n');
        let end = memmem::find(&text[body..], b"Private-").map_or(text.len(), |found| body + found);
        found.push((body..end, SecretShape::PrivateKey));
        return end;
    }
    let window = &text[label..text.len().min(label + 80)];
    let Some(length) = memmem::find(window, b"-----") else { return label };
    if memmem::find(&window[..length], b"PRIVATE KEY").is_none() {
        return label;
    }
    let body = label + length + 5;
    let end = memmem::find(&text[body..], b"-----END ").map_or(text.len(), |found| body + found);
    found.push((body..end, SecretShape::PrivateKey));
    end
}

/// The address around the `@` at `at`, which begins behind `done`. Answers where it ends.
fn email(
    text: &[u8],
    at: usize,
    done: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> usize {
    let local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$&'*+-/=?^_`{|}~".contains(&byte);
    let domain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let mut start = at;
    while start > done && at - start < 64 && local(text[start - 1]) {
        start -= 1;
    }
    // In forms and queries `name=` and `&` stand before an address, in texts quotes and braces;
    // none begins one in practice.
    let begins = text[start..at]
        .iter()
        .rposition(|byte| b"=&?/{}|'`#".contains(byte))
        .map_or(start, |place| start + place + 1);
    let length = run(text, at + 1, domain);
    let name = &text[at + 1..at + 1 + length];
    let name = &name
        [..name.iter().rposition(|byte| byte.is_ascii_alphanumeric()).map_or(0, |last| last + 1)];
    let top = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    if begins < at && top.len() >= 2 && top.len() < name.len() && top[0].is_ascii_alphabetic() {
        found.push((begins..at + 1 + name.len(), SecretShape::Email));
        return at + 1 + name.len();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        find(text.as_bytes(), true).into_iter().map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn tokens_are_found_where_they_stand() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        assert_eq!(texts(&format!("see {jwt}, and \"{jwt}\"")), [jwt, jwt]);
        assert_eq!(
            texts("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
            ["eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0"]
        );
        assert_eq!(texts("heyJude.this is no.token eyJ eyJshort.x"), [""; 0]);
        let jwe = "eyJhbGciOiJkaXIifQ..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYI.XFBoMYUZodetZdvT";
        assert_eq!(texts(jwe), [jwe]);
        let key = format!("AKIA{}", "ABCDEFGHIJKLMNOP");
        assert_eq!(texts(&format!("id={key};")), [&key[..]]);
        assert_eq!(texts("postgres://joe:hunter2@db:5432/x"), ["hunter2"]);
        assert_eq!(texts("token=4111111111111111x"), ["4111111111111111x"]);
        assert_eq!(texts("http://host:80/a@b"), [""; 0]);
        assert_eq!(texts("Private-Lines: 1\nMIIE\nPrivate-MAC: 0a"), ["\nMIIE\n"]);
        assert_eq!(texts("WIFI:T:WPA;S:home;P:a\\;b1;;"), ["a\\;b1"]);
        let feed = "0123456789abcdef0123456789abcdef";
        assert_eq!(texts(&format!("/ical/joe/private-{feed}/basic.ics")), [feed]);
        assert_eq!(
            texts("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"),
            ["\nMIIE\n"]
        );
    }

    #[test]
    fn cards_need_an_issuer_a_length_and_the_check_digit() {
        assert_eq!(
            texts("4111111111111111, 4111 1111 1111 1111 and 3782-822463-10005"),
            ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005"]
        );
        assert_eq!(texts("at 2026 4111 1111 1111 1111"), ["4111 1111 1111 1111"]);
        for written in ["4111.1111.1111.1111", "4111/1111/1111/1111", "4111+1111+1111+1111"] {
            assert_eq!(texts(written), [written]);
        }
        assert_eq!(texts("/pay/4111111111111111/x"), ["4111111111111111"]);
        for none in [
            "4111111111111112",
            "1795341600000",
            "a4111111111111111",
            "0.4111111111111111",
            "4111.1111/1111.1111",
            "41111111111111110000000",
            "2026-11-22 10:00:00",
        ] {
            assert_eq!(texts(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn addresses_stop_at_what_surrounds_them() {
        assert_eq!(texts("mail=joe.doe+x@example.co.uk&x=1"), ["joe.doe+x@example.co.uk"]);
        assert_eq!(texts("<a href=\"mailto:a@b.de\">a@b.de.</a>"), ["a@b.de", "a@b.de"]);
        assert_eq!(texts("@home me@localhost a@1.2 @@"), [""; 0]);
    }
}
