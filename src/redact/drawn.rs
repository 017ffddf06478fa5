//! What looks drawn at random: one measure of how a text is mixed, and for each use what it must
//! reach there.

use crate::message::kinds::{self, ValueKind};

/// How a text is mixed.
struct Randomness<'a> {
    text: &'a [u8],
    digits: usize,
    small: usize,
    capitals: usize,
    /// How often a digit stands beside a letter.
    turns: usize,
    /// How often a capital follows a small letter.
    capitals_inside: usize,
}

impl<'a> Randomness<'a> {
    fn of(text: &'a [u8]) -> Self {
        let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
        let pairs =
            |is: fn(u8, u8) -> bool| text.windows(2).filter(|pair| is(pair[0], pair[1])).count();
        Self {
            text,
            digits: count(u8::is_ascii_digit),
            small: count(u8::is_ascii_lowercase),
            capitals: count(u8::is_ascii_uppercase),
            turns: pairs(|a, b| {
                a.is_ascii_digit() && b.is_ascii_alphabetic()
                    || a.is_ascii_alphabetic() && b.is_ascii_digit()
            }),
            capitals_inside: pairs(|a, b| a.is_ascii_lowercase() && b.is_ascii_uppercase()),
        }
    }

    const fn mixes_all(&self) -> bool {
        self.digits > 0 && self.small > 0 && self.capitals > 0
    }

    /// Whether it is made of words, all of which are short or fit `is_name`.
    fn is_of_words(&self, is_name: fn(&[u8]) -> bool) -> bool {
        let mut words = self.text.split(|byte| !byte.is_ascii_alphanumeric());
        words.all(|word| word.len() <= 5 || is_name(word))
    }

    /// `2026-11-28T10`, `v1.2.3-rc1`, `order-1a-2b`: words and numbers of a few characters each.
    fn is_dated(&self) -> bool {
        self.is_of_words(|word| word.iter().all(u8::is_ascii_alphabetic))
    }

    /// `B2C_1A_SignUpOrSignInV2`, `sha256_digest_final`: words with no more than a number at
    /// their end.
    fn is_named(&self) -> bool {
        self.is_of_words(|word| {
            let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
            word[..word.len() - digits].iter().all(u8::is_ascii_alphabetic)
        })
    }
}

/// Whether a word looks drawn that stands where a text may say its name: letters and digits, and
/// nothing that a sentence has.
pub(super) fn in_text(word: &[u8]) -> bool {
    let random = Randomness::of(word.trim_ascii());
    let word = random.text;
    word.len() >= 8
        && random.digits > 0
        && random.small + random.capitals > 0
        && word.iter().all(|byte| byte.is_ascii_graphic() && !b"<>\"'()[]{},".contains(byte))
        && !word.contains(&b'/')
}

/// Whether a cell of a table, or what follows the name of a secret in a page, is a value and no
/// word of a text: one that has a digit or a sign in it, or a capital behind a small letter.
pub(super) fn in_cell(value: &[u8]) -> bool {
    const SHORTEST: usize = 4;
    let value = value.trim_ascii();
    let is_word = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    value.len() >= SHORTEST
        && !value.iter().any(u8::is_ascii_whitespace)
        && value.iter().any(u8::is_ascii_alphanumeric)
        && (!value[..value.len() - 1].iter().all(is_word) || has_capital_inside(value))
}

/// Whether a capital follows a small letter, as in no word of a text.
pub(super) fn has_capital_inside(value: &[u8]) -> bool {
    value.windows(2).any(|at| at[0].is_ascii_lowercase() && at[1].is_ascii_uppercase())
}

/// Whether a whole value looks drawn whose name says little, in base64 or in parts, too: it may
/// hold slashes, `=` and `~`, but letters and digits stand side by side in it more often than in
/// names, and it is neither a time nor a target.
pub(super) fn as_value(value: &[u8]) -> bool {
    const SHORTEST: usize = 16;
    let random = Randomness::of(value);
    let is_target = || value.starts_with(b"/") || memchr::memmem::find(value, b"://").is_some();
    let is_time = || {
        let kind = std::str::from_utf8(value).ok().and_then(kinds::of_text);
        kind.is_some_and(ValueKind::is_time)
    };
    let is_mixed =
        random.turns >= 3 || random.turns >= 2 && random.small > 0 && random.capitals_inside >= 3;
    value.len() >= SHORTEST
        && value.iter().all(|byte| byte.is_ascii_graphic() && !b"<>\"'()[]{}".contains(byte))
        && is_mixed
        && !random.is_named()
        && !is_target()
        && !is_time()
}

/// Whether a segment of a path looks drawn behind one that announces a secret.
pub(super) fn behind_link(segment: &[u8]) -> bool {
    let random = Randomness::of(segment);
    random.mixes_all() && segment.len() >= 6
        || random.turns >= 2 && random.digits >= 2 && segment.len() >= 8 && !random.is_dated()
        || random.capitals_inside >= 3 && segment.len() >= 16
        || random.digits == segment.len() && segment.len() >= 16
}

/// Whether a segment looks drawn behind one that ids follow as well as secrets.
pub(super) fn behind_hook(segment: &[u8]) -> bool {
    let random = Randomness::of(segment);
    segment.len() >= 20 && random.turns >= 4 && !random.is_dated()
        || segment.len() >= 32 && random.capitals_inside >= 5
}

/// Whether a segment looks drawn behind a common word or a letter: no id and no hash of a file
/// has capitals and small letters.
pub(super) fn behind_word(segment: &[u8]) -> bool {
    let is_hash =
        matches!(segment.len(), 24 | 32 | 40 | 64) && segment.iter().all(u8::is_ascii_hexdigit);
    behind_hook(segment) && Randomness::of(segment).mixes_all() && !is_hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_common_name_is_told_from_words_and_short_numbers() {
        for drawn in [
            "Zq7hT2mXw9Lk4RvB1nYs",
            "9f8a7b6c5d4e3f2a",
            "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            "st=1~exp=2~hmac=Zq7hT2mXw9Lk4RvB1nYs",
            "QmFzZTY0LXN0YXRl/dGVzdA==",
        ] {
            assert!(as_value(drawn.as_bytes()), "{drawn}");
        }
        for word in [
            "WaitingForCustomerReply",
            "InProgressNotStarted",
            "backInStockSoon",
            "B2C_1_SignUpSignIn",
            "B2C_1A_SignUpOrSignInV2",
            "9f8a7b6c",
            "gcpu2e8p",
            "sha256_digest_final",
            "2026-11-28T10:00:00Z",
            "/a1b2c3/d4e5f6/g7h8",
        ] {
            assert!(!as_value(word.as_bytes()), "{word}");
        }
    }
}
