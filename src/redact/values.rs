//! What is secret in a value whose name says that it holds a secret: all of it, or credentials
//! behind their scheme, the values of cookies, a token among protocols.
//!
//! Headers and whatever repeats them (a service that echoes, a log, an export) go by the same
//! rules, so that a secret has the same token wherever it stands.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::drawn;
use super::names::{self, HeaderSecret};
use super::shapes::{self, SecretShape};

/// Values that are no secrets, whatever their name.
const HARMLESS: &[&str] = &[
    "deleted",
    "denied",
    "disabled",
    "enabled",
    "failed",
    "false",
    "filtered",
    "granted",
    "hidden",
    "include",
    "masked",
    "n/a",
    "nil",
    "no",
    "none",
    "null",
    "off",
    "ok",
    "omit",
    "on",
    "optional",
    "redacted",
    "removed",
    "required",
    "same-origin",
    "true",
    "undefined",
    "yes",
];

/// Schemes of authentication (RFC 9110 §16.4.1, and usual ones).
const SCHEMES: &[&str] = &[
    "api-key",
    "apikey",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "genieKey",
    "hawk",
    "hoba",
    "jwt",
    "mac",
    "negotiate",
    "ntlm",
    "oauth",
    "scram-sha-256",
    "sharedkey",
    "sso-key",
    "ssws",
    "token",
    "vapid",
];

/// The secrets in a value of this kind, in order.
pub(super) fn find(kind: HeaderSecret, value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
    match kind {
        HeaderSecret::Credentials => credentials(value, true),
        HeaderSecret::Cookies => cookies(value),
        HeaderSecret::SetCookie => {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let mut found = cookies(&value[..end]);
            // Attributes are no secrets, but what stands in a path may be one.
            let inside = shapes::find(&value[end..], false).into_iter();
            found.extend(inside.map(|(at, shape)| (end + at.start..end + at.end, shape)));
            found
        }
        HeaderSecret::Protocols => protocols(value),
        HeaderSecret::Authority => authority(value),
        HeaderSecret::Whole => credentials(value, false),
        HeaderSecret::NoWord if !drawn::in_cell(value) => Vec::new(),
        HeaderSecret::Made if is_written(value) => Vec::new(),
        HeaderSecret::NoWord | HeaderSecret::Made => credentials(value, false),
        HeaderSecret::UserCode if !is_user_code(value) => Vec::new(),
        HeaderSecret::Drawn if !drawn::as_value(value) => Vec::new(),
        HeaderSecret::UserCode | HeaderSecret::Drawn => one(0..value.len(), SecretShape::Named),
        HeaderSecret::All if value.is_empty() => Vec::new(),
        HeaderSecret::All => one(0..value.len(), SecretShape::Named),
    }
}

fn one(range: Range<usize>, shape: SecretShape) -> Vec<(Range<usize>, SecretShape)> {
    vec![(range, shape)]
}

/// The password before a machine's name, which may stand among other words: `1.1 joe:k1@proxy`,
/// `for=a;host="joe:k1@b"`.
fn authority(value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
    let mut from = 0;
    let words = value.split(|byte| byte.is_ascii_whitespace() || b"\"=;,".contains(byte));
    let in_word = |word: &[u8]| {
        let start = from;
        from += word.len() + 1;
        shapes::url_password(word, 0).map(|range| start + range.start..start + range.end)
    };
    let password = shapes::url_password(value, 0).or_else(|| words.map(in_word).find_map(|it| it));
    password.map(|range| one(range, SecretShape::UrlPassword)).unwrap_or_default()
}

/// Short words that people choose as secrets, or put where one belongs.
const CHOSEN: &[&str] =
    &["admin", "hunter", "letmein", "monkey", "pass", "passwd", "qwerty", "root", "secret"];

/// Whether people wrote it: a short word, several of a usual length, or a number of a few digits.
/// No word has a capital behind a small letter (`aaaaAA_aAa`).
fn is_written(value: &[u8]) -> bool {
    const LONGEST_ALONE: usize = 7;
    const LONGEST_WORD: usize = 10;
    const MOST_DIGITS: usize = 5;
    let value = value.trim_ascii();
    if is_among(CHOSEN, value) {
        return false;
    }
    if value.len() <= MOST_DIGITS && value.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let is_sign =
        |byte: &u8| matches!(byte, b' ' | b',' | b'.' | b'!' | b'?' | b'\'' | b'-' | b'_');
    let longest = if value.iter().any(is_sign) { LONGEST_WORD } else { LONGEST_ALONE };
    !drawn::has_capital_inside(value)
        && value.iter().all(|byte| is_letter(byte) || is_sign(byte))
        && value.split(is_sign).all(|word| {
            let letters = word.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
            letters <= longest
        })
}

/// Whether it is a code by which a device is let in (RFC 8628 §6.1, `WDJB-MJHT`), or looks drawn.
fn is_user_code(value: &[u8]) -> bool {
    let is_sign = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let is_half =
        |half: &[u8]| half.iter().all(is_sign) && half.iter().any(|b| !b.is_ascii_digit());
    match value.trim_ascii() {
        [first @ .., b'-', _, _, _, _] if first.len() == 4 => {
            is_half(first) && is_half(&value.trim_ascii()[5..])
        }
        value => drawn::as_value(value),
    }
}

/// Whether a value says nothing that anyone could use.
pub(super) fn is_harmless(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let inner = match value {
        [b'[', inner @ .., b']'] | [b'<', inner @ .., b'>'] | [b'(', inner @ .., b')'] => inner,
        _ => value,
    };
    is_among(HARMLESS, inner) || is_mask(value)
}

/// What others put in place of a secret: `********`, `••••`, `xxxx-xxxx`.
fn is_mask(value: &[u8]) -> bool {
    const SHORTEST: usize = 3;
    let is_sign = |byte: &u8| matches!(byte, b'*' | b'x' | b'X' | b'-' | b' ');
    let rest = || String::from_utf8_lossy(value).replace(['•', '●', '∙'], "*");
    value.len() >= SHORTEST
        && (value.iter().all(is_sign) && !value.iter().all(|byte| *byte == b'-')
            || value[0] >= 0x80 && rest().bytes().all(|byte| is_sign(&byte)))
}

fn is_among(words: &[&str], value: &[u8]) -> bool {
    words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// `scheme credentials`, the scheme kept: of a header of credentials any word, else a known one
/// before one word more.
fn credentials(value: &[u8], any_scheme: bool) -> Vec<(Range<usize>, SecretShape)> {
    if value.is_empty() || is_harmless(value) || is_among(SCHEMES, value.trim_ascii()) {
        return Vec::new();
    }
    let all = || one(0..value.len(), SecretShape::Named);
    let start = value.len() - value.trim_ascii_start().len();
    let Some(space) = memchr::memchr(b' ', &value[start..]).map(|at| start + at) else {
        return all();
    };
    let blanks = value[space..].iter().take_while(|&&byte| byte == b' ').count();
    let (scheme, from) = (&value[start..space], space + blanks);
    let to = value.trim_ascii_end().len();
    if from >= to {
        return all();
    }
    let is_one_word = !value[from..to].iter().any(u8::is_ascii_whitespace);
    if !(any_scheme || is_one_word && is_among(SCHEMES, scheme)) {
        return all();
    }
    let is_basic = scheme.eq_ignore_ascii_case(b"basic") && basic(&value[from..to]).is_some();
    one(from..to, if is_basic { SecretShape::Basic } else { SecretShape::Named })
}

/// User and password of the Basic scheme (RFC 7617 §2), with the colon's place.
pub(super) fn basic(credentials: &[u8]) -> Option<(Vec<u8>, usize)> {
    let pair = STANDARD.decode(credentials).ok()?;
    let colon = memchr::memchr(b':', &pair)?;
    Some((pair, colon))
}

/// `name=value; name=value`; what has no name is a value.
fn cookies(value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
    let mut found = Vec::new();
    let mut from = 0;
    for pair in value.split(|&byte| byte == b';') {
        let start = match memchr::memchr(b'=', pair) {
            Some(equals) => equals + 1,
            None => pair.len() - pair.trim_ascii_start().len(),
        };
        let secret = &pair[start..];
        if !secret.is_empty() && !is_harmless(secret) {
            found.push((from + start..from + pair.len(), SecretShape::Cookie));
        }
        from += pair.len() + 1;
    }
    found
}

/// What Kubernetes puts before a token.
const KUBERNETES: &[u8] = b"base64url.bearer.authorization.k8s.io.";
/// Fewest characters of a protocol that may be a token without a name before it.
const SHORTEST_PROTOCOL: usize = 20;

/// `bearer, TOKEN`, `base64url.bearer.authorization.k8s.io.TOKEN`, `access_token.TOKEN`, or a token
/// alone, among the names of protocols.
fn protocols(value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
    let mut found = Vec::new();
    let (mut from, mut announced) = (0, false);
    for protocol in value.split(|&byte| byte == b',') {
        let start = from + protocol.len() - protocol.trim_ascii_start().len();
        let name = protocol.trim_ascii();
        from += protocol.len() + 1;
        let secret = if announced {
            Some(0)
        } else if name.starts_with(KUBERNETES) {
            Some(KUBERNETES.len())
        } else {
            behind_name(name)
        };
        announced = is_announcement(name);
        if let Some(offset) = secret.filter(|&offset| offset < name.len())
            && !(announced || is_harmless(name))
        {
            found.push((start + offset..start + name.len(), SecretShape::Named));
        }
    }
    found
}

/// A protocol that is nothing but the name of a secret or of a scheme.
fn is_announcement(protocol: &[u8]) -> bool {
    is_among(SCHEMES, protocol)
        || protocol.len() < SHORTEST_PROTOCOL && names::is_secret_name(protocol)
}

/// Where the secret begins in `name.SECRET`, `name.scheme.SECRET`, `name-SECRET`, `name:SECRET`, or
/// a secret alone.
fn behind_name(protocol: &[u8]) -> Option<usize> {
    let is_mark = |byte: &u8| matches!(byte, b'.' | b'-' | b'_' | b':' | b'|' | b'=');
    let is_name = |name: &[u8]| names::is_secret_name(name) || is_among(SCHEMES, name);
    let mut marks = protocol.iter().enumerate().filter(|(_, byte)| is_mark(byte)).take(8);
    let named = marks.find(|&(at, _)| is_name(&protocol[..at]));
    let Some((at, _)) = named.filter(|&(at, _)| looks_random(&protocol[at + 1..], 8)) else {
        return looks_random(protocol, SHORTEST_PROTOCOL).then_some(0);
    };
    let mut from = at + 1;
    while let Some(length) = protocol[from..].iter().position(&is_mark)
        && is_among(SCHEMES, &protocol[from..from + length])
    {
        from += length + 1;
    }
    Some(from)
}

/// Digits among letters, or capitals among small ones, more often than in a name.
fn looks_random(text: &[u8], least: usize) -> bool {
    let turns = text.windows(2).filter(|pair| {
        pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
            || pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()
    });
    text.len() >= least && turns.count() * 4 >= text.len() && !text.contains(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: HeaderSecret, value: &str) -> Vec<&str> {
        find(kind, value.as_bytes()).into_iter().map(|(range, _)| &value[range]).collect()
    }

    #[test]
    fn schemes_and_names_are_no_part_of_a_secret() {
        for (kind, value, expected) in [
            (HeaderSecret::Credentials, "Bearer s3cret", &["s3cret"][..]),
            (HeaderSecret::Credentials, "Custom s3cret x", &["s3cret x"]),
            (HeaderSecret::Credentials, "Negotiate", &[]),
            (HeaderSecret::Credentials, "s3cret", &["s3cret"]),
            (HeaderSecret::Whole, "Bearer s3cret", &["s3cret"]),
            (HeaderSecret::Whole, "token s3cret", &["s3cret"]),
            (HeaderSecret::Whole, "correct horse battery", &["correct horse battery"]),
            (HeaderSecret::Whole, "True", &[]),
            (HeaderSecret::Drawn, "aB3dE5fG7hI9jK1l", &["aB3dE5fG7hI9jK1l"]),
            (HeaderSecret::Drawn, "aB3dE5fG7hI9", &[]),
            (HeaderSecret::Made, "abc123", &["abc123"]),
            (HeaderSecret::Made, "abcdefghijklm", &["abcdefghijklm"]),
            (HeaderSecret::Made, "deadbeef", &["deadbeef"]),
            (HeaderSecret::Made, "morning", &[]),
            (HeaderSecret::Made, "secret", &["secret"]),
            (HeaderSecret::Made, "123456", &["123456"]),
            (HeaderSecret::Made, "Best regards, Zoë", &[]),
            (HeaderSecret::Made, "404", &[]),
            (HeaderSecret::Made, "aaaaAA_aAa-aa", &["aaaaAA_aAa-aa"]),
            (HeaderSecret::Made, "kwTqbz", &["kwTqbz"]),
            (HeaderSecret::Made, "Not Found", &[]),
            (HeaderSecret::Made, "not_started", &[]),
            (HeaderSecret::Whole, "********", &[]),
            (HeaderSecret::Whole, "••••••", &[]),
            (HeaderSecret::Whole, "xxxx-xxxx", &[]),
            (HeaderSecret::Whole, "[REDACTED]", &[]),
            (HeaderSecret::Whole, "<hidden>", &[]),
            (HeaderSecret::Whole, "----", &["----"]),
            (HeaderSecret::Whole, "(letmein)", &["(letmein)"]),
            (HeaderSecret::Authority, "1.1 joe:k1@proxy", &["k1"]),
            (HeaderSecret::Authority, "for=192.0.2.1;host=\"joe:k1@x\";proto=http", &["k1"]),
            (HeaderSecret::Authority, "1.1 a, 1.1 b:80", &[]),
            (HeaderSecret::NoWord, "hunter22", &["hunter22"]),
            (HeaderSecret::NoWord, "ciao", &[]),
            (HeaderSecret::NoWord, "una bella parola", &[]),
            (HeaderSecret::UserCode, "WDJB-MJHT", &["WDJB-MJHT"]),
            (HeaderSecret::UserCode, "EMP-00123", &[]),
            (HeaderSecret::UserCode, "2026-1128", &[]),
            (HeaderSecret::Drawn, "closed", &[]),
            (HeaderSecret::Drawn, "2026-11-28T10:00:00Z", &[]),
            (HeaderSecret::Drawn, "/users/list", &[]),
            (HeaderSecret::Authority, "joe:s3cr:et@shop.example:80", &["s3cr:et"]),
            (HeaderSecret::Authority, "shop.example:80", &[]),
            (HeaderSecret::Authority, "[::1]:80", &[]),
            (HeaderSecret::Cookies, "a=b; c=; consent=yes; d", &["b", "d"]),
            (HeaderSecret::SetCookie, "sid=x; Path=/; HttpOnly", &["x"]),
            (HeaderSecret::SetCookie, "sid=deleted; Max-Age=0", &[]),
        ] {
            assert_eq!(texts(kind, value), expected, "{value}");
        }
    }

    #[test]
    fn a_token_among_protocols_is_told_from_their_names() {
        for (value, expected) in [
            ("bearer, XfhqPnXhVzYQBjMAkQDlLTtiR6UQPQ1c", &["XfhqPnXhVzYQBjMAkQDlLTtiR6UQPQ1c"][..]),
            ("graphql-ws, access_token, abc", &["abc"]),
            ("base64url.bearer.authorization.k8s.io.c2VjcmV0, base64.binary.k8s.io", &["c2VjcmV0"]),
            (
                "realtime, openai-insecure-api-key.ek_68af296e8e408191, openai-beta.realtime-v1",
                &["ek_68af296e8e408191"],
            ),
            (
                "v1, authorization.bearer.eyJ0eXAi.eyJpZCI6IjAxO.c2lnbmF0dXJl",
                &["eyJ0eXAi.eyJpZCI6IjAxO.c2lnbmF0dXJl"],
            ),
            ("9f8a7b6c5d4e3f2a1b0c9d8e", &["9f8a7b6c5d4e3f2a1b0c9d8e"]),
            (
                "graphql-transport-ws, mqtt, v12.stomp, actioncable-v1-json, wamp.2.json, ocpp1.6",
                &[],
            ),
        ] {
            assert_eq!(texts(HeaderSecret::Protocols, value), expected, "{value}");
        }
    }
}
