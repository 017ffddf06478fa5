//! Secrets that are known by their look, anywhere in a text: JSON Web Tokens, tokens with a
//! vendor's prefix, payment card numbers, passwords in URLs, private keys, what stands behind a
//! secret's name; and e-mail addresses, which only redaction takes away.
//!
//! Works on octets, since bodies need not be UTF-8; what it finds is ASCII, so its ranges cut a
//! string at characters.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::Regex;

use super::named;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A JSON Web Token in compact form (RFC 7519 §3).
    Jwt,
    /// A token with a prefix that its issuer uses for nothing else.
    VendorToken,
    /// A payment card number: an issuer's range and length, and the check digit of ISO/IEC 7812-1.
    Card,
    /// The password in `scheme://user:password@host`.
    UrlPassword,
    /// A PEM block of a private key (RFC 7468 §10).
    PrivateKey,
    /// What stands behind a secret's name, or behind a scheme of authentication.
    Named,
    /// The same in the query or fragment of a URL, where it may be percent-encoded.
    Parameter,
    /// An e-mail address.
    Email,
}

/// Prefixes of tokens, and the fewest characters that follow.
const VENDOR_PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xoxs-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("sk_test_", 16),
    ("AIza", 35),
    ("npm_", 36),
    ("SG.", 40),
];

/// Shortest of them, with its prefix.
const SHORTEST_TOKEN: usize = 20;

/// All secrets in `text` by their look, in order, none inside another. E-mail addresses only where
/// `emails` is set.
pub fn find(text: &[u8], emails: bool) -> Vec<(Range<usize>, Shape)> {
    let mut found = Vec::new();
    jwts(text, &mut found);
    vendor_tokens(text, &mut found);
    cards(text, &mut found);
    url_passwords(text, &mut found);
    private_keys(text, &mut found);
    named::find(text, &mut found);
    if emails {
        self::emails(text, &mut found);
    }
    if found.len() > 1 {
        // The longer one of two that overlap; a token that ends in something like a card number is
        // a token.
        found.sort_unstable_by_key(|(range, shape): &(Range<usize>, Shape)| {
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

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// How many bytes from `from` on satisfy `is`.
fn run(text: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|&byte| !is(byte)).unwrap_or(text.len() - from)
}

fn jwts(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    let mut end = 0;
    // `eyJ` is `{"` in base64: the start of the header's JSON.
    for start in memmem::find_iter(text, b"eyJ") {
        if start < end || (start > 0 && is_base64url(text[start - 1])) {
            continue;
        }
        let header = run(text, start, is_base64url);
        let payload_at = start + header + 1;
        if header < 8 || text.get(payload_at - 1) != Some(&b'.') || payload_at >= text.len() {
            continue;
        }
        let payload = run(text, payload_at, is_base64url);
        if payload < 2 {
            continue;
        }
        end = payload_at + payload;
        // Signature of a JWS (empty for "none"), or the three further parts of a JWE.
        for _ in 0..3 {
            if text.get(end) == Some(&b'.') && (end + 1 < text.len() && is_base64url(text[end + 1]))
            {
                end += 1 + run(text, end + 1, is_base64url);
            }
        }
        found.push((start..end, Shape::Jwt));
    }
}

/// All prefixes at once: one pass over the text, whatever their number.
static VENDOR_TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let forms: Vec<String> = VENDOR_PREFIXES
        .iter()
        .map(|(prefix, least)| format!("{}[A-Za-z0-9_.-]{{{least},}}", regex::escape(prefix)))
        .collect();
    Regex::new(&format!("(?-u)(?:{})", forms.join("|"))).expect("the prefixes are plain text")
});

fn vendor_tokens(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    if text.len() < SHORTEST_TOKEN {
        return;
    }
    for token in VENDOR_TOKENS.find_iter(text) {
        if token.start() == 0 || !text[token.start() - 1].is_ascii_alphanumeric() {
            found.push((token.range(), Shape::VendorToken));
        }
    }
}

fn cards(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        // Digits, with single spaces or hyphens between groups.
        let mut end = at;
        while at < text.len() {
            if text[at].is_ascii_digit() {
                at += 1;
                end = at;
            } else if (text[at] == b' ' || text[at] == b'-')
                && text.get(at + 1).is_some_and(u8::is_ascii_digit)
            {
                at += 1;
            } else {
                break;
            }
        }
        at = at.max(end);
        let alone =
            |byte: Option<&u8>| byte.is_none_or(|&b| !b.is_ascii_alphanumeric() && b != b'_');
        let before = start.checked_sub(1).map(|before| &text[before]);
        if end - start < 13 || !alone(before) || before == Some(&b'.') || !alone(text.get(end)) {
            continue;
        }
        for range in card_ranges(&text[start..end]) {
            found.push((start + range.start..start + range.end, Shape::Card));
        }
    }
}

/// Card numbers among the groups of digits of `run`: one group, or groups as they are printed on a
/// card (4-4-4-4, 4-6-5 …).
fn card_ranges(run: &[u8]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    for at in 0..=run.len() {
        if at == run.len() || !run[at].is_ascii_digit() {
            groups.push(from..at);
            from = at + 1;
        }
    }
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        let last = (first..groups.len().min(first + 5)).rev().find(|&last| {
            let lengths: Vec<usize> = groups[first..=last].iter().map(Range::len).collect();
            let printed =
                matches!(lengths[..], [_] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5]);
            let digits: Vec<u8> = run[groups[first].start..groups[last].end]
                .iter()
                .copied()
                .filter(u8::is_ascii_digit)
                .collect();
            printed && is_card(&digits)
        });
        if let Some(last) = last {
            found.push(groups[first].start..groups[last].end);
            first = last;
        }
        first += 1;
    }
    found
}

/// Whether `digits` (ASCII) is a card number: a known issuer's range with its length, and the right
/// check digit.
pub fn is_card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let leading =
        |n: usize| digits[..n].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let issued = match leading(4) {
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => digits.len() == 16,
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&digits.len()),
        3528..=3589 | 6011 | 6440..=6599 | 6200..=6299 | 8100..=8199 => digits.len() >= 16,
        5000..=5099 | 5600..=5899 | 6000..=6999 => true,
        2200..=2204 => digits.len() >= 16,
        _ => false,
    };
    issued && luhn(digits) == 0
}

/// The Luhn sum of `digits` (ASCII) modulo 10: zero where the check digit is right.
pub fn luhn(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') * (1 + (place as u32 & 1));
            if value > 9 { value - 9 } else { value }
        })
        .sum::<u32>()
        % 10
}

fn url_passwords(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    for scheme_end in memmem::find_iter(text, b"://") {
        let from = scheme_end + 3;
        let authority =
            run(text, from, |byte| byte.is_ascii_graphic() && !b"/?#\"'<>\\".contains(&byte));
        let authority = &text[from..from + authority];
        let Some(at) = memchr::memrchr(b'@', authority) else { continue };
        let Some(colon) = memchr::memchr(b':', &authority[..at]) else { continue };
        if colon + 1 < at {
            found.push((from + colon + 1..from + at, Shape::UrlPassword));
        }
    }
}

fn private_keys(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    let mut end = 0;
    for start in memmem::find_iter(text, b"-----BEGIN ") {
        if start < end {
            continue;
        }
        let Some(label) = memmem::find(&text[start + 11..], b"-----") else { return };
        if label > 64
            || memmem::find(&text[start + 11..start + 11 + label], b"PRIVATE KEY").is_none()
        {
            continue;
        }
        let body = start + 11 + label + 5;
        end = memmem::find(&text[body..], b"-----END ").map_or(text.len(), |length| body + length);
        found.push((body..end, Shape::PrivateKey));
    }
}

fn emails(text: &[u8], found: &mut Vec<(Range<usize>, Shape)>) {
    let local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$&'*+-/=?^_`{|}~".contains(&byte);
    let domain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let mut end = 0;
    for at in memchr::memchr_iter(b'@', text) {
        if at < end {
            continue;
        }
        let mut start = at;
        while start > end && at - start < 64 && local(text[start - 1]) {
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
        let name = &name[..name
            .iter()
            .rposition(|byte| byte.is_ascii_alphanumeric())
            .map_or(0, |last| last + 1)];
        let top = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
        if begins < at && top.len() >= 2 && top.len() < name.len() && top[0].is_ascii_alphabetic() {
            end = at + 1 + name.len();
            found.push((begins..end, Shape::Email));
        }
    }
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
        let key = format!("AKIA{}", "ABCDEFGHIJKLMNOP");
        assert_eq!(texts(&format!("id={key};")), [&key[..]]);
        assert_eq!(texts("postgres://joe:hunter2@db:5432/x"), ["hunter2"]);
        assert_eq!(texts("token=4111111111111111x"), ["4111111111111111x"]);
        assert_eq!(texts("http://host:80/a@b"), [""; 0]);
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
        for none in [
            "4111111111111112",
            "1795341600000",
            "a4111111111111111",
            "0.4111111111111111",
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
