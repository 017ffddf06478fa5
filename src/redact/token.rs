//! What a secret is replaced by: a value of the same length and the same kinds of characters, under
//! a key.
//!
//! Equal secrets become equal tokens wherever they stand, so joins, caches and logins keep working.
//! Short values (a PIN, a customer's number) are permuted within all values of their form, so that
//! different ones stay different and none stays itself; long ones are replaced by a stream from
//! which nothing can be computed back. Form or value give a key by HMAC-SHA-256 (RFC 2104), and
//! AES-128 under that key is the round function or the stream: one HMAC a token, as fresh secrets
//! come with every exchange. A card number stays one (issuer, length, check digit), a UUID keeps
//! its version, an address gets a domain that nobody has, a JSON Web Token keeps its header.

use aes::Aes128Enc;
use aes::cipher::{Block, BlockCipherEncrypt as _};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{numbers, shapes, vendors};
use crate::message::encoding::hex;

/// Makes tokens under one key.
#[derive(Clone)]
pub struct Tokens {
    keyed: Hmac<Sha256>,
}

/// Rounds of the permutation.
const ROUNDS: u32 = 6;
/// Characters that stand for signs where a value has little else: they need no escape in any place
/// that a value stands in.
const SIGNS: &[u8] = b"-._~!*()";
/// Letters of two, three and four bytes in UTF-8 that stand for others of that length: first of the
/// range, and how many.
const WIDE: [(u32, u64); 3] = [(0xc0, 22), (0x4e00, 20_000), (0x2_0000, 40_000)];

/// What may stand at a place: `radix` characters in a row from `first`, or, with none, the
/// character itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Radix {
    kind: TokenKind,
    length: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    /// Stays as it is.
    Fixed,
    /// So many characters from this one on.
    Range { first: u32, radix: u64 },
    /// One of [`SIGNS`].
    Sign,
    /// A byte that is no character.
    Byte,
    /// Becomes this character.
    Set(u8),
}

impl Tokens {
    /// Tokens under `key`.
    pub fn new(key: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes a key of any length") }
    }

    /// Names the key; it cannot be computed back.
    pub fn fingerprint(&self) -> String {
        let digest = self.keyed.clone().chain_update(b"fingerprint").finalize().into_bytes();
        hex(&digest[..8])
    }

    /// The token for `value`: as many bytes, character by character of the same kind.
    pub fn token(&self, value: &[u8]) -> Vec<u8> {
        if let Some(token) = self.card(value).or_else(|| self.iban(value)) {
            return token;
        }
        let mut places = places(value);
        fix_what_has_meaning(value, &mut places);
        let token = self.replaced(value, &places);
        if token == value { self.replaced(value, &signs_too(value, places)) } else { token }
    }

    fn replaced(&self, value: &[u8], places: &[Radix]) -> Vec<u8> {
        let domain = places.iter().try_fold(1u64, |product, place| match place.kind {
            TokenKind::Fixed | TokenKind::Set(_) => Some(product),
            TokenKind::Range { radix, .. } => product.checked_mul(radix),
            // What is mapped onto fewer characters cannot be permuted.
            TokenKind::Sign | TokenKind::Byte => None,
        });
        match domain {
            Some(0 | 1) => value.to_vec(),
            Some(domain) if domain <= 1 << 62 => self.permuted(value, places, domain),
            _ => self.streamed(value, places),
        }
    }

    /// The value's number among all of its form, permuted.
    fn permuted(&self, value: &[u8], places: &[Radix], domain: u64) -> Vec<u8> {
        let mut number = 0;
        let mut form = Vec::with_capacity(value.len() + 16);
        let mut at = 0;
        for place in places {
            let bytes = &value[at..at + usize::from(place.length)];
            at += bytes.len();
            match place.kind {
                TokenKind::Range { first, radix } => {
                    number = number * radix + u64::from(scalar(bytes) - first);
                    form.extend_from_slice(&first.to_be_bytes());
                    form.push(0);
                }
                _ => form.extend_from_slice(bytes),
            }
        }
        let mut rest = self.permutation(domain, &form).next(number);
        let mut scalars = vec![0; places.len()];
        for (place, scalar) in places.iter().zip(&mut scalars).rev() {
            if let TokenKind::Range { first, radix } = place.kind {
                *scalar = first + (rest % radix) as u32;
                rest /= radix;
            }
        }
        spelled(value, places, &scalars)
    }

    fn permutation(&self, domain: u64, form: &[u8]) -> Permutation {
        let bits = 64 - (domain - 1).leading_zeros().min(63);
        Permutation { domain, half: bits.div_ceil(2).max(1), cipher: self.cipher(b"form", form) }
    }

    /// A cipher of its own for what `said` says.
    fn cipher(&self, purpose: &[u8], said: &[u8]) -> Aes128Enc {
        let key = self.keyed.clone().chain_update(purpose).chain_update(said).finalize();
        Aes128Enc::new_from_slice(&key.into_bytes()[..16]).expect("AES-128 has keys of 16 bytes")
    }

    fn streamed(&self, value: &[u8], places: &[Radix]) -> Vec<u8> {
        let cipher = self.cipher(b"value", value);
        let mut block = [0; 16];
        let mut scalars = vec![0; places.len()];
        for (index, (place, scalar)) in places.iter().zip(&mut scalars).enumerate() {
            let at = index % 4 * 4;
            if at == 0 {
                block = encrypted(&cipher, 0, index as u64);
            }
            let random = u64::from(u32::from_be_bytes(
                block[at..at + 4].try_into().expect("four bytes were taken"),
            ));
            *scalar = match place.kind {
                TokenKind::Fixed | TokenKind::Set(_) => 0,
                TokenKind::Range { first, radix } => first + (random % radix) as u32,
                TokenKind::Sign => u32::from(SIGNS[random as usize % SIGNS.len()]),
                TokenKind::Byte => 0x80 + (random % 0x40) as u32,
            };
        }
        spelled(value, places, &scalars)
    }

    /// A card number, with spaces or hyphens: issuer and check digit are kept right.
    fn card(&self, value: &[u8]) -> Option<Vec<u8>> {
        let is_written =
            |byte: &u8| byte.is_ascii_digit() || b" -\t".contains(byte) || *byte > 0x7f;
        if !value.iter().all(is_written) {
            return None;
        }
        let digits = numbers::without_gaps(value)?;
        if !shapes::is_card(&digits) {
            return None;
        }
        let mut token = digits.clone();
        let middle = 4..digits.len() - 1;
        let number =
            digits[middle.clone()].iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let domain = 10u64.pow(middle.len() as u32);
        let mut form = b"card".to_vec();
        form.extend_from_slice(&digits[..4]);
        let mut rest = self.permutation(domain, &form).next(number);
        for digit in token[middle].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let check = token.len() - 1;
        token[check] = b'0';
        token[check] = b'0' + ((10 - shapes::luhn(&token)) % 10) as u8;
        let mut next = token.into_iter();
        Some(
            value
                .iter()
                .map(|&byte| if byte.is_ascii_digit() { next.next().unwrap_or(byte) } else { byte })
                .collect(),
        )
    }
}

impl Tokens {
    /// A bank account's number, with blanks or hyphens: country and form are kept, and the check
    /// digits are right.
    fn iban(&self, value: &[u8]) -> Option<Vec<u8>> {
        if !(15..=64).contains(&value.len()) || !value[0].is_ascii_alphabetic() {
            return None;
        }
        let number = numbers::without_gaps(value)?;
        if !numbers::is_iban(&number) {
            return None;
        }
        let mut places = places(&number);
        places[..4].iter_mut().for_each(|place| place.kind = TokenKind::Fixed);
        let mut token = self.replaced(&number, &places);
        numbers::check_iban(&mut token);
        let mut next = token.into_iter();
        // The same number has the same token, whatever its case.
        let sign = |byte: &u8| match byte {
            b'a'..=b'z' => next.next().unwrap_or(*byte).to_ascii_lowercase(),
            _ if byte.is_ascii_alphanumeric() => next.next().unwrap_or(*byte),
            _ => *byte,
        };
        Some(value.iter().map(sign).collect())
    }
}

/// A permutation of the numbers below `domain` without a fixed point: Q⁻¹(Q(x) + 1), where Q is a
/// Feistel network with AES as its round function, walked until it lands in the domain.
struct Permutation {
    domain: u64,
    /// Bits of half a number.
    half: u32,
    cipher: Aes128Enc,
}

/// Two numbers as one block, encrypted.
fn encrypted(cipher: &Aes128Enc, first: u64, second: u64) -> [u8; 16] {
    let mut block = Block::<Aes128Enc>::default();
    block[..8].copy_from_slice(&first.to_be_bytes());
    block[8..].copy_from_slice(&second.to_be_bytes());
    cipher.encrypt_block(&mut block);
    block.into()
}

impl Permutation {
    fn next(&self, number: u64) -> u64 {
        let mut there = number;
        loop {
            there = self.forth(there);
            if there < self.domain {
                break;
            }
        }
        let mut back = if there + 1 == self.domain { 0 } else { there + 1 };
        loop {
            back = self.back(back);
            if back < self.domain {
                return back;
            }
        }
    }

    fn mask(&self) -> u64 {
        (1 << self.half) - 1
    }

    fn round(&self, round: u32, half: u64) -> u64 {
        let block = encrypted(&self.cipher, u64::from(round), half);
        u64::from_be_bytes(block[..8].try_into().expect("a block has 16 bytes")) & self.mask()
    }

    fn forth(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number >> self.half, number & self.mask());
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        (left << self.half) | right
    }

    fn back(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number >> self.half, number & self.mask());
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        (left << self.half) | right
    }
}

/// What may stand at each place of a value.
fn places(value: &[u8]) -> Vec<Radix> {
    let mut places = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            let length = c.len_utf8() as u8;
            let kind = match c {
                '0'..='9' => TokenKind::Range { first: u32::from(b'0'), radix: 10 },
                'a'..='z' => TokenKind::Range { first: u32::from(b'a'), radix: 26 },
                'A'..='Z' => TokenKind::Range { first: u32::from(b'A'), radix: 26 },
                c if c.is_ascii() => TokenKind::Fixed,
                c => {
                    let (first, radix) = WIDE[usize::from(length) - 2];
                    let inside = (u64::from(first)..u64::from(first) + radix)
                        .contains(&u64::from(u32::from(c)));
                    // A letter outside the range is replaced like a sign, one way.
                    if inside { TokenKind::Range { first, radix } } else { TokenKind::Byte }
                }
            };
            places.push(Radix { kind, length });
        }
        places.extend(chunk.invalid().iter().map(|_| Radix { kind: TokenKind::Byte, length: 1 }));
    }
    places
}

/// Keeps what makes the value what it is, and narrows letters to those that may stand there.
fn fix_what_has_meaning(value: &[u8], places: &mut [Radix]) {
    if !value.is_ascii() {
        return;
    }
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let hex_digits = value.iter().filter(|&&byte| byte != b'-').collect::<Vec<_>>();
    if hex_digits.len() >= 8
        && hex_digits.iter().all(|byte| is_hex(byte))
        && hex_digits.iter().any(|byte| byte.is_ascii_digit())
    {
        for (byte, place) in value.iter().zip(places.iter_mut()) {
            if byte.is_ascii_lowercase() {
                place.kind = TokenKind::Range { first: u32::from(b'a'), radix: 6 };
            }
        }
    }
    if value.len() == 36 && [8, 13, 18, 23].iter().all(|&at| value[at] == b'-') {
        // Version and variant (RFC 9562 §4).
        (places[14].kind, places[19].kind) = (TokenKind::Fixed, TokenKind::Fixed);
    }
    if is_json_number(value) {
        fix_number(value, places);
    }
    if let [(range, shape)] = &shapes::find(value, true)[..]
        && range.len() == value.len()
    {
        match shape {
            shapes::SecretShape::Jwt => {
                let header = value.iter().position(|&byte| byte == b'.').unwrap_or(0);
                places[..header].iter_mut().for_each(|place| place.kind = TokenKind::Fixed);
                // The payload starts like a JSON object, and the last sign of a part must not carry
                // bits that nobody reads.
                let payload = header + 1..value.len().min(header + 4);
                places[payload].iter_mut().for_each(|place| place.kind = TokenKind::Fixed);
                places[value.len() - 1].kind = TokenKind::Fixed;
            }
            shapes::SecretShape::Email => {
                // No top-level domain is made of the letter z alone: what v2 sends there reaches
                // nobody.
                let top = value.iter().rposition(|&byte| byte == b'.').map_or(0, |dot| dot + 1);
                for (byte, place) in value.iter().zip(places.iter_mut()).skip(top) {
                    place.kind =
                        TokenKind::Set(if byte.is_ascii_uppercase() { b'Z' } else { b'z' });
                }
            }
            shapes::SecretShape::VendorToken => {
                let mark = vendors::mark_length(value).max(4);
                places[..mark].iter_mut().for_each(|place| place.kind = TokenKind::Fixed);
            }
            _ => {}
        }
    }
}

/// A number stays one: its sign, point and exponent, and no zero in front. Long ones keep their
/// first digit, so that they fit where they did.
fn fix_number(value: &[u8], places: &mut [Radix]) {
    let start = usize::from(value[0] == b'-');
    let whole = value[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole > 1 {
        places[start].kind = if whole >= 16 {
            TokenKind::Fixed
        } else {
            TokenKind::Range { first: u32::from(b'1'), radix: 9 }
        };
    }
    if let Some(exponent) = value.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        places[exponent..].iter_mut().for_each(|place| place.kind = TokenKind::Fixed);
    }
}

/// RFC 8259 §6.
pub(super) fn is_json_number(value: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let value = value.strip_prefix(b"-").unwrap_or(value);
    let (mantissa, exponent) = match value.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => (&mantissa[..at], Some(&mantissa[at + 1..])),
        None => (mantissa, None),
    };
    let unsigned = |text: &'_ [u8]| {
        text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text).to_vec()
    };
    digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(&unsigned(exponent)))
}

/// For a value that has nothing but signs: those are replaced too, but for such as must be escaped
/// somewhere.
fn signs_too(value: &[u8], mut places: Vec<Radix>) -> Vec<Radix> {
    let mut at = 0;
    for place in &mut places {
        let byte = value[at];
        at += usize::from(place.length);
        if place.kind == TokenKind::Fixed
            && byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'\\' | b'/')
        {
            place.kind = TokenKind::Sign;
        }
    }
    places
}

fn scalar(bytes: &[u8]) -> u32 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next()).map_or(0, u32::from)
}

/// The value with new characters at the places that have some.
fn spelled(value: &[u8], places: &[Radix], scalars: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    for (place, &scalar) in places.iter().zip(scalars) {
        let old = &value[at..at + usize::from(place.length)];
        at += old.len();
        match place.kind {
            TokenKind::Fixed => out.extend_from_slice(old),
            TokenKind::Set(byte) => out.push(byte),
            TokenKind::Sign => out.push(scalar as u8),
            TokenKind::Byte if place.length == 1 => out.push(scalar as u8),
            TokenKind::Byte => {
                let (first, radix) = WIDE[usize::from(place.length) - 2];
                push(&mut out, first + (u64::from(scalar) % radix) as u32, old);
            }
            TokenKind::Range { .. } => push(&mut out, scalar, old),
        }
    }
    out
}

fn push(out: &mut Vec<u8>, scalar: u32, old: &[u8]) {
    match char::from_u32(scalar) {
        Some(c) if c.len_utf8() == old.len() => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes())
        }
        _ => out.extend_from_slice(old),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn token(value: &str) -> String {
        String::from_utf8(Tokens::new(b"key").token(value.as_bytes())).unwrap()
    }

    #[test]
    fn short_values_are_permuted_without_a_fixed_point() {
        for (all, form) in [
            ((0..10).map(|n| n.to_string()).collect::<Vec<_>>(), "one digit"),
            ((100..1000).map(|n: u32| n.to_string()).collect(), "three digits"),
        ] {
            let tokens: HashSet<String> = all.iter().map(|value| token(value)).collect();
            assert_eq!(tokens.len(), all.len(), "{form}: different values stay different");
            assert_eq!(
                tokens,
                all.iter().cloned().collect::<HashSet<_>>(),
                "{form}: and of the same form"
            );
            assert!(
                all.iter().all(|value| token(value) != *value),
                "{form}: and none stays itself"
            );
        }
    }

    #[test]
    fn forms_are_kept() {
        let card = token("4111 1111-11111111");
        assert!(card.starts_with("4111 ") && card != "4111 1111-11111111", "{card}");
        assert_eq!(
            card.replace([' ', '-'], ""),
            token("4111111111111111"),
            "separators do not matter"
        );
        assert!(shapes::is_card(token("378282246310005").as_bytes()));
        let uuid = token("123e4567-e89b-42d3-a456-426614174000");
        assert!(
            uuid.len() == 36
                && &uuid[14..15] == "4"
                && &uuid[19..20] == "a"
                && uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()),
            "{uuid}"
        );
        let jwt = token("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl");
        assert!(
            jwt.starts_with("eyJhbGciOiJIUzI1NiJ9.eyJ")
                && shapes::find(jwt.as_bytes(), false).len() == 1,
            "{jwt}"
        );
        for number in ["-12.50", "1e5", "0.25", "12345678901234567890", "10"] {
            let token = token(number);
            assert!(
                is_json_number(token.as_bytes()) && token.len() == number.len() && token != number,
                "{number} {token}"
            );
        }
        let address = token("joe.doe@example.co.uk");
        assert!(
            address.ends_with(".zz")
                && address.len() == 21
                && address.find('@') == Some(7)
                && !address.contains("example"),
            "{address}"
        );
        let word = token("Straße-Ж 漢字 7");
        assert_eq!(word.len(), "Straße-Ж 漢字 7".len());
        assert!(
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && !word.contains('漢')
                && !word.contains('Ж'),
            "{word}"
        );
        assert_ne!(token("#!$"), "#!$");
        assert_eq!(token(""), "");
    }

    #[test]
    fn another_key_gives_other_tokens() {
        assert_ne!(
            Tokens::new(b"a").token(b"correct horse battery"),
            Tokens::new(b"b").token(b"correct horse battery")
        );
        assert_eq!(
            Tokens::new(b"a").token(b"correct horse battery"),
            Tokens::new(b"a").token(b"correct horse battery")
        );
        assert_eq!(Tokens::new(b"a").token(&[0xff, 0xfe, b'a']).len(), 3);
    }
}
