//! The one pass over a text that says where a secret may stand: at parts of names, prefixes of
//! tokens, signs of URLs and addresses, words of routes. What has no hit needs no other look.
//!
//! A filter of one bit for each three bytes with which one of them begins is asked at each place of
//! the text, so that the pass costs the same whatever their number, and no step waits for the one
//! before. Case does not count here; who verifies a hit looks closer.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::vendors::{MIDDLES, VENDORS};

/// Parts of names, of which every secret's name holds one.
const STEMS: &[&str] = &[
    "adgangskode",
    "answer",
    "assertion",
    "auth",
    "bearer",
    "card",
    "ccnum",
    "code",
    "connection",
    "contrase",
    "cookie",
    "cred",
    "csrf",
    "-u ",
    "--user ",
    "-user ",
    "http -a ",
    "cvc",
    "cvv",
    "dpop",
    "haslo",
    "hasło",
    "heslo",
    "hmac",
    "iban",
    "jelsz",
    "jwt",
    "identified by ",
    "kennwort",
    "key",
    // Of JSON Web Keys.
    "\"kty\"",
    "mnemonic",
    "lösenord",
    "otp",
    "pan",
    "parola",
    "pass",
    "phrase",
    "pin",
    "privk",
    "psk",
    "psw",
    "pw",
    "pwd",
    "s_id",
    "s-id",
    "s.id",
    "websocket-protocol",
    "salasana",
    "saml",
    // Parameters with names that are words or letters elsewhere.
    "?ct=",
    "&ct=",
    "hdnea=",
    "hdnts=",
    "?nonce=",
    "&nonce=",
    "?policy=",
    "&policy=",
    "?sas=",
    "&sas=",
    "?state=",
    "&state=",
    "&amp;state=",
    "?tk=",
    "&tk=",
    "secret",
    "senha",
    // `"sensitive": true`.
    "\"masked\"",
    "\"sensitive\"",
    // What is said of fields, by their names.
    "\"errors\"",
    "\"i18n\"",
    "\"labels\"",
    "\"messages\"",
    "\"placeholders\"",
    "\"translations\"",
    "\"violations\"",
    "skey",
    "sess",
    "sid",
    "sig",
    "social",
    "ssn",
    "tfa",
    "ticket",
    "token",
    "verifier",
    "wachtwoord",
    "wpnonce",
    "wresult",
    "xsrf",
    "clave",
    "geslo",
    "lozinka",
    "parole",
    "κωδικός",
    "暗号",
    "密碼",
    "कूटशब्द",
    "סיסמה",
    "รหัสผ่าน",
    "пароль",
    "密码",
    "şifre",
    "パスワード",
    "비밀번호",
    // `%74oken`: letters, digits, brackets and hyphens that are written in code.
    // `pass&#119;ord`
    "&#",
    "%2d",
    "%3",
    "%4",
    "%5",
    "%6",
    "%7",
];

/// Parts of the segments that a secret follows in a path.
const ROUTES: &[&str] = &[
    "accept",
    "activ",
    "bot",
    "capab",
    "change",
    "claim",
    "confirm",
    "download",
    "forgot",
    "hook",
    "invit",
    "join",
    "key",
    "link",
    "login",
    "magic",
    "optout",
    "password",
    "recover",
    "redeem",
    "regist",
    "reset",
    "secret",
    "services",
    "session",
    "share",
    "signin",
    "sign-in",
    "sso",
    "ticket",
    "token",
    "unlock",
    "unsubscribe",
    "valid",
    "verif",
    "workflows",
    // Short ones, with what stands around them.
    "/access/",
    "/approve/",
    "/auth/",
    "/callback/",
    "/deny/",
    "/dl/",
    "/embed/",
    "/exchange/",
    "/feed",
    "/go/",
    "/guest/",
    "/onetime/",
    "/otp/",
    "/pair/",
    "/paste/",
    "/preview/",
    "/public/",
    "/qr/",
    "/revoke/",
];

/// What a hit may be, several at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// Part of a secret's name.
    pub(super) const NAME: Self = Self(1);
    /// `bearer` or `basic`.
    pub(super) const SCHEME: Self = Self(2);
    /// The start of JSON in base64, of which a JSON Web Token is made.
    pub(super) const BASE64: Self = Self(4);
    /// The prefix of a vendor's token, by its number in the table.
    pub(super) const VENDOR: Self = Self(8);
    /// What a vendor's token has in its middle, by its number there.
    pub(super) const MIDDLE: Self = Self(16);
    /// `://`
    pub(super) const URL: Self = Self(32);
    /// The start of a PEM block.
    pub(super) const PEM: Self = Self(64);
    /// `@`
    pub(super) const AT: Self = Self(128);
    /// Part of a segment that a secret follows.
    pub(super) const ROUTE: Self = Self(256);
    /// Digits, as many as a number of a card or an account has.
    pub(super) const DIGITS: Self = Self(512);
    /// Part of a secret's name in base64, by its number among [`INSIDES`].
    pub(super) const INSIDE: Self = Self(1024);

    /// A Secret of Kubernetes in YAML.
    pub(super) const MANIFEST: Self = Self(2048);

    /// None of them.
    pub(super) const NONE: Self = Self(0);
    /// Those that are secrets by themselves.
    pub(super) const LOOKS: Self = Self(!(Self::NAME.0 | Self::SCHEME.0 | Self::ROUTE.0));

    /// Both.
    #[must_use]
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `other` is among them.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A place where something may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// Where what was found begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What it may be.
    pub(super) kinds: Kinds,
    /// Which of the table.
    pub(super) number: usize,
}

/// Parts of names that are looked for inside of base64; without their first letter, whose case
/// tells in base64.
const ENCODED: &[&str] = &[
    "assword",
    "ASSWORD",
    "asswd",
    "ecret",
    "ECRET",
    "oken",
    "OKEN",
    "pi_key",
    "pikey",
    "piKey",
    "pi-key",
    "PI_KEY",
    "ccess_key",
    "rivate_key",
    "redential",
    "ession",
    "uthorization",
    "earer ",
];

/// What these names are in base64, wherever they begin: the signs, and where among four signs the
/// first one stands.
pub(super) static INSIDES: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
    let each = |name: &'static str| {
        (0..3).map(move |offset| {
            let encoded = STANDARD_NO_PAD.encode([&[0; 3][..offset], name.as_bytes()].concat());
            // Signs that hold bits of what stands before or behind it are not known.
            let (first, end) = ((offset * 4).div_ceil(3), (offset + name.len()) * 4 / 3);
            (encoded[first..end].to_owned(), first % 4)
        })
    };
    ENCODED.iter().copied().flat_map(each).collect()
});

/// One of those that are looked for, in small letters.
struct Pattern {
    text: Box<[u8]>,
    /// Its first four bytes, folded, and which of them there are.
    head: u32,
    mask: u32,
    kinds: Kinds,
    number: usize,
}

struct Sieve {
    /// By the bucket of their first two bytes.
    patterns: Vec<Pattern>,
    /// Where each bucket begins, and one more for the end.
    buckets: Box<[u16]>,
    /// One bit for each first three bytes, by their hash.
    filter: Box<[u64]>,
}

/// Bits of a hash: of three bytes in the filter, and of two for the bucket.
const FILTER_BITS: u32 = 17;
const BUCKET_BITS: u32 = 12;

/// Three bytes, capitals as small letters; a few other signs become others, too.
const fn folded(word: u32) -> u32 {
    (word & 0xff_ffff) | 0x20_2020
}

const fn filter_bit(three: u32) -> usize {
    (three.wrapping_mul(0x9e37_79b1) >> (32 - FILTER_BITS)) as usize
}

const fn bucket(three: u32) -> usize {
    ((three & 0xffff).wrapping_mul(0x9e37_79b1) >> (32 - BUCKET_BITS)) as usize
}

static SIEVE: LazyLock<Sieve> = LazyLock::new(|| {
    let mut patterns: Vec<(String, Kinds, usize)> = Vec::new();
    let mut add = |pattern: &str, kinds: Kinds, number: usize| {
        let pattern = pattern.to_ascii_lowercase();
        match patterns.iter_mut().find(|(known, known_kinds, _)| {
            let numbered = Kinds::VENDOR.with(Kinds::INSIDE);
            *known == pattern && !kinds.has(numbered) && !known_kinds.has(numbered)
        }) {
            Some((_, known, _)) => known.0 |= kinds.0,
            None => patterns.push((pattern, kinds, number)),
        }
    };
    STEMS.iter().for_each(|stem| add(stem, Kinds::NAME, 0));
    ROUTES.iter().for_each(|part| add(part, Kinds::ROUTE, 0));
    ('a'..='z').for_each(|letter| add(&format!("/{letter}/"), Kinds::ROUTE, 0));
    ["bearer", "basic"].iter().for_each(|scheme| add(scheme, Kinds::SCHEME, 0));
    // The last one is `eyJ` in base64 again.
    for start in ["eyJ", "eyA", "ewog", "ewoJ", "ew0K", "ewkK", "W3si", "WyJ", "ZXlK", "PD94"] {
        add(start, Kinds::BASE64, 0);
    }
    // Of what is compressed: gzip, and zlib.
    for start in ["H4sI", "eJw", "eJx", "eJy", "eJz"] {
        add(start, Kinds::BASE64, 0);
    }
    INSIDES.iter().enumerate().for_each(|(number, (signs, _))| add(signs, Kinds::INSIDE, number));
    // Groups of digits may stand on both sides.
    add("&nbsp;", Kinds::DIGITS, 0);
    add("://", Kinds::URL, 0);
    add("-----BEGIN ", Kinds::PEM, 0);
    add("Private-Lines: ", Kinds::PEM, 0);
    add("@", Kinds::AT, 0);
    super::manifest::SIGNS.iter().for_each(|sign| add(sign, Kinds::MANIFEST, 0));
    VENDORS
        .iter()
        .enumerate()
        .for_each(|(number, vendor)| add(vendor.prefix, Kinds::VENDOR, number));
    MIDDLES.iter().enumerate().for_each(|(number, (middle, _))| add(middle, Kinds::MIDDLE, number));
    Sieve::of(patterns)
});

/// All hits of some kinds, in the order of their ends; digits come after all others.
pub(super) fn each(text: &[u8], kinds: impl Fn(Kinds) -> bool, mut hit: impl FnMut(Hit)) {
    let mut hits = Vec::new();
    SIEVE.find(text, &kinds, &mut hits);
    hits.sort_unstable_by_key(|hit: &Hit| (hit.end, hit.start));
    hits.into_iter().for_each(&mut hit);
    if kinds(Kinds::DIGITS) {
        digits(text, |start, end| hit(Hit { start, end, kinds: Kinds::DIGITS, number: 0 }));
    }
}

impl Sieve {
    fn of(all: Vec<(String, Kinds, usize)>) -> Self {
        let mut filter = vec![0_u64; 1 << (FILTER_BITS - 6)].into_boxed_slice();
        let mut patterns = Vec::with_capacity(all.len());
        for (text, kinds, number) in all {
            let text: Box<[u8]> = text.into_bytes().into();
            let mut four = [0; 4];
            let length = text.len().min(4);
            four[..length].copy_from_slice(&text[..length]);
            let mask = if length == 4 { u32::MAX } else { (1 << (8 * length)) - 1 };
            let head = (u32::from_le_bytes(four) | 0x2020_2020) & mask;
            // A sign alone is looked for by itself.
            let third = if length == 2 { 0..=255 } else { four[2]..=four[2] };
            for third in third.filter(|_| length > 1) {
                let three = u32::from_le_bytes([four[0], four[1], third, 0]);
                let bit = filter_bit(folded(three));
                filter[bit / 64] |= 1 << (bit % 64);
            }
            patterns.push(Pattern { text, head, mask, kinds, number });
        }
        let of = |pattern: &Pattern| bucket(pattern.head | 0x2020);
        patterns.sort_by_key(of);
        let buckets = 0..=1 << BUCKET_BITS;
        let buckets = buckets.map(|at| patterns.partition_point(|pattern| of(pattern) < at) as u16);
        Self { buckets: buckets.collect(), patterns, filter }
    }

    #[inline]
    fn is_candidate(&self, word: u32) -> bool {
        let bit = filter_bit(folded(word));
        self.filter[bit / 64] >> (bit % 64) & 1 == 1
    }

    fn find(&self, text: &[u8], kinds: &impl Fn(Kinds) -> bool, hits: &mut Vec<Hit>) {
        /// Places that are asked for by one word of eight bytes.
        const STEP: usize = 4;
        let mut at = 0;
        while let Some(word) = text.get(at..at + 8) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            let mut found = 0_u32;
            for n in 0..STEP {
                found |= u32::from(self.is_candidate((word >> (8 * n)) as u32)) << n;
            }
            while found != 0 {
                self.verify(text, at + found.trailing_zeros() as usize, kinds, hits);
                found &= found - 1;
            }
            at += STEP;
        }
        (at..text.len()).for_each(|at| self.verify(text, at, kinds, hits));
        for sign in self.patterns.iter().filter(|one| one.text.len() == 1 && kinds(one.kinds)) {
            hits.extend(memchr::memchr_iter(sign.text[0], text).map(|start| Hit {
                start,
                end: start + 1,
                kinds: sign.kinds,
                number: sign.number,
            }));
        }
    }

    /// Adds all that begin at a place.
    fn verify(&self, text: &[u8], at: usize, kinds: &impl Fn(Kinds) -> bool, hits: &mut Vec<Hit>) {
        let rest = &text[at..];
        let mut four = [0; 4];
        let length = rest.len().min(4);
        four[..length].copy_from_slice(&rest[..length]);
        let head = u32::from_le_bytes(four) | 0x2020_2020;
        let bucket = bucket(head);
        let range = usize::from(self.buckets[bucket])..usize::from(self.buckets[bucket + 1]);
        for pattern in &self.patterns[range] {
            let length = pattern.text.len();
            if head & pattern.mask == pattern.head
                && length > 1
                && kinds(pattern.kinds)
                && rest.get(..length).is_some_and(|found| found.eq_ignore_ascii_case(&pattern.text))
            {
                hits.push(Hit {
                    start: at,
                    end: at + length,
                    kinds: pattern.kinds,
                    number: pattern.number,
                });
            }
        }
    }
}

/// Fewest characters of a run in which a card's or an account's number may stand: of an account in
/// small letters these are the digits alone.
const FEWEST: usize = 10;

/// Whether a number of a card or an account may be written with it.
const fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit()
        || byte.is_ascii_uppercase()
        || matches!(byte, b' ' | b'-' | b'.' | b'/' | b'+' | b'%' | b'\t')
        // Bytes of blanks and hyphens of other widths.
        || matches!(byte, 0xc2 | 0xa0 | 0xe2 | 0x80 | 0x87 | 0x89..=0x8a | 0x90..=0x93 | 0xaf)
}

/// Runs of digits and capitals, with blanks and marks between them, in which enough digits stand.
/// Looks at every tenth byte, as none is shorter.
fn digits(text: &[u8], mut run: impl FnMut(usize, usize)) {
    let mut at = FEWEST - 1;
    let mut done = 0;
    while at < text.len() {
        if !is_of_number(text[at]) {
            at += FEWEST;
            continue;
        }
        let before = text[done..at].iter().rev().take_while(|&&byte| is_of_number(byte)).count();
        let after = text[at..].iter().take_while(|&&byte| is_of_number(byte)).count();
        let (start, end) = (at - before, at + after);
        if end - start >= FEWEST
            && text[start..end].iter().filter(|byte| byte.is_ascii_digit()).nth(7).is_some()
        {
            run(start, end);
        }
        done = end;
        at = end + FEWEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        each(text.as_bytes(), |_| true, |hit| found.push(&text[hit.start..hit.end]));
        found
    }

    #[test]
    fn overlapping_parts_are_all_told() {
        assert_eq!(hits("xapikeyJx a@b"), ["key", "eyJ", "@"]);
        assert!(hits("nothing of the sort").is_empty());
        assert_eq!(hits("Pass 4111 1111 1111 1111."), ["Pass", " 4111 1111 1111 1111."]);
        assert_eq!(hits("1 2 3 4 5 6 7"), [""; 0]);
    }

    /// What each place of a text holds, by comparing all patterns with it.
    #[test]
    fn each_pattern_is_found_wherever_it_stands() {
        let words =
            ["password", "shipping", "websocket-protocol", "://", "x", "eyJ", "\u{43f}", " "];
        let mut random = 7_u64;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        for length in (0..200).map(|n| n * 7) {
            let mut text = Vec::new();
            while text.len() < length {
                match draw(3) {
                    0 => text.extend_from_slice(words[draw(words.len())].as_bytes()),
                    1 => {
                        let pattern = &SIEVE.patterns[draw(SIEVE.patterns.len())].text;
                        let part = &pattern[..pattern.len() - draw(2).min(pattern.len() - 1)];
                        match draw(2) {
                            0 => text.extend_from_slice(part),
                            _ => text.extend(part.iter().map(u8::to_ascii_uppercase)),
                        }
                    }
                    _ => text.push(draw(256) as u8),
                }
            }
            let is_sign = |kinds: Kinds| kinds != Kinds::DIGITS;
            let (mut told, mut expected) = (Vec::new(), Vec::new());
            each(&text, is_sign, |hit| told.push((hit.end, hit.start, hit.kinds.0, hit.number)));
            for pattern in SIEVE.patterns.iter().filter(|pattern| is_sign(pattern.kinds)) {
                let length = pattern.text.len();
                for (start, found) in text.windows(length).enumerate() {
                    if found.eq_ignore_ascii_case(&pattern.text) {
                        expected.push((start + length, start, pattern.kinds.0, pattern.number));
                    }
                }
            }
            told.sort_unstable();
            expected.sort_unstable();
            assert_eq!(told, expected, "{length}");
        }
    }

    #[test]
    fn runs_are_found_wherever_they_begin() {
        for before in 0..40 {
            let text = format!("{}4111111111111{}", "x".repeat(before), "y".repeat(before));
            assert_eq!(hits(&text), ["4111111111111"], "{before}");
        }
    }
}
