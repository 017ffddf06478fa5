//! The one pass over a text that says where a secret may stand: at parts of names, prefixes of
//! tokens, signs of URLs and addresses, words of routes. What has no hit needs no other look.
//!
//! One automaton knows all of them, so that the pass costs the same whatever their number. Case
//! does not count here; who verifies a hit looks closer. A step of it waits for the one before, so
//! long texts are walked at several places at once.

use std::sync::LazyLock;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind, StartKind};
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
    "captcha",
    "card",
    "ccnum",
    "challenge",
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
    // Options of commands that a password follows.
    " -p",
    " -p ",
    " -a ",
    " -w ",
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
    "nonce",
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
    "seed",
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
    "turnstile",
    "verifier",
    "wachtwoord",
    "wresult",
    "xsrf",
    "clave",
    "geslo",
    "lozinka",
    "parole",
    "κωδικός",
    "المرور",
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
    "imperson",
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
    "/calendar/",
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

struct Sieve {
    automaton: DFA,
    /// By pattern.
    kinds: Vec<(Kinds, usize)>,
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
    let automaton = DFA::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .start_kind(StartKind::Unanchored)
        .build(patterns.iter().map(|(pattern, ..)| pattern))
        .expect("a few hundred short patterns");
    Sieve {
        automaton,
        kinds: patterns.into_iter().map(|(_, kinds, number)| (kinds, number)).collect(),
    }
});

/// How many parts of a text are walked side by side.
const LANES: usize = 4;
/// Bytes of a part, at most, so that the hits that wait for those before them are bounded.
const LONGEST_LANE: usize = 1 << 10;
/// Fewest bytes of a part: below, what each reads before its start costs more than it gains.
const SHORTEST_LANE: usize = 64;

/// All hits of some kinds, in the order of their ends; digits come after all others.
pub(super) fn each(text: &[u8], kinds: impl Fn(Kinds) -> bool, mut hit: impl FnMut(Hit)) {
    let sieve = &*SIEVE;
    let mut tell = |end: usize, state: StateID| sieve.tell(end, state, &kinds, &mut hit);
    let mut state = sieve.start();
    let mut at = 0;
    let mut waiting = Vec::new();
    while text.len() - at >= LANES * SHORTEST_LANE {
        let length = LONGEST_LANE.min((text.len() - at) / LANES);
        state = sieve.lanes(text, at, length, state, &mut waiting);
        at += LANES * length;
        waiting.sort_unstable_by_key(|&(end, _)| end);
        waiting.drain(..).for_each(|(end, state)| tell(end, state));
    }
    sieve.walk(state, &text[at..], |end, state| tell(at + end, state));
    if kinds(Kinds::DIGITS) {
        digits(text, |start, end| hit(Hit { start, end, kinds: Kinds::DIGITS, number: 0 }));
    }
}

impl Sieve {
    fn start(&self) -> StateID {
        self.automaton.start_state(Anchored::No).expect("it was built for that")
    }

    fn is_match(&self, state: StateID) -> bool {
        self.automaton.is_special(state) && self.automaton.is_match(state)
    }

    /// Walks over a text; tells where matches end. Answers the state behind it.
    fn walk(
        &self,
        mut state: StateID,
        text: &[u8],
        mut matched: impl FnMut(usize, StateID),
    ) -> StateID {
        for (at, &byte) in text.iter().enumerate() {
            state = self.automaton.next_state(Anchored::No, state, byte);
            if self.is_match(state) {
                matched(at + 1, state);
            }
        }
        state
    }

    /// Walks over parts of `length` bytes from `at` on, side by side: each step waits for the one
    /// before it, but not for those of other parts. All but the first begin earlier by the longest
    /// pattern, after which the state is that of a walk from the text's start. Adds where matches
    /// end, in no order; answers the state behind the last part.
    fn lanes(
        &self,
        text: &[u8],
        at: usize,
        length: usize,
        first: StateID,
        matched: &mut Vec<(usize, StateID)>,
    ) -> StateID {
        let parts: [&[u8]; LANES] = std::array::from_fn(|n| &text[at + n * length..][..length]);
        let mut states: [StateID; LANES] = std::array::from_fn(|n| {
            let from = at + n * length;
            let before = &text[from.saturating_sub(self.automaton.max_pattern_len())..from];
            if n == 0 { first } else { self.walk(self.start(), before, |_, _| {}) }
        });
        for index in 0..length {
            for (state, part) in states.iter_mut().zip(parts) {
                *state = self.automaton.next_state(Anchored::No, *state, part[index]);
            }
            if states.iter().any(|&state| self.automaton.is_special(state)) {
                for (n, &state) in states.iter().enumerate().filter(|(_, s)| self.is_match(**s)) {
                    matched.push((at + n * length + index + 1, state));
                }
            }
        }
        states[LANES - 1]
    }

    /// Tells what matches in a state that was reached at `end`.
    fn tell(
        &self,
        end: usize,
        state: StateID,
        kinds: impl Fn(Kinds) -> bool,
        hit: &mut impl FnMut(Hit),
    ) {
        for index in 0..self.automaton.match_len(state) {
            let pattern = self.automaton.match_pattern(state, index);
            let (found, number) = self.kinds[pattern.as_usize()];
            if kinds(found) {
                let start = end - self.automaton.pattern_len(pattern);
                hit(Hit { start, end, kinds: found, number });
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

    /// Parts that are walked side by side tell what one walk tells, in its order.
    #[test]
    fn long_texts_have_the_hits_of_one_walk() {
        let words =
            ["password", "shipping", "websocket-protocol", "://", "x", "eyJ", "\u{43f}", " "];
        let mut random = 7_u64;
        for length in (0..400).map(|n| n * 23) {
            let mut text = String::new();
            while text.len() < length {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(words[(random >> 60) as usize % words.len()]);
            }
            let (mut told, mut expected) = (Vec::new(), Vec::new());
            let is_sign = |kinds: Kinds| kinds != Kinds::DIGITS;
            each(text.as_bytes(), is_sign, |hit| told.push((hit.start, hit.end, hit.kinds)));
            SIEVE.walk(SIEVE.start(), text.as_bytes(), |end, state| {
                SIEVE.tell(end, state, is_sign, &mut |hit: Hit| {
                    expected.push((hit.start, hit.end, hit.kinds));
                });
            });
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
