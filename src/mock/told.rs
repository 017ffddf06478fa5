//! Numbers in v1's calls that it had just made up: the answer to the request that caused the call
//! tells them to v1's client. v2 counts by itself, so that its order 1003 is v1's order 3.
//!
//! A place is learned from all calls: at each, v1's number is told under a name that identifies,
//! and the client had not said it. What a call charges is no such number, since no answer tells it
//! so.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHashSet};

use super::hashing::text_hash;
use crate::bind::find::things;
use crate::limits::MOCK_SAMPLED_PLACES;
use crate::message::place::{Step, Trail};
use crate::message::tokens::{Token, runs, tokens};

/// Calls that show it at least, with different numbers.
const CALLS: u32 = 3;
/// Longest text that is looked at, in bytes, and digits of a number.
const LONGEST: usize = 1 << 10;
const DIGITS: usize = 18;

/// The places of such numbers.
#[derive(Debug, Default)]
pub(super) struct ToldNumbers(FxHashSet<u64>);

impl ToldNumbers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a number is one: the `run`th part, from 1, of a text's `token`th thing, or all of
    /// that (0).
    pub(super) fn has(&self, place: u64, token: usize, run: usize, part: &str) -> bool {
        is_number(part) && self.0.contains(&key(place, token, run))
    }

    /// Whether a value as a whole is one.
    pub(super) fn is_whole(&self, place: u64, text: &str) -> bool {
        self.has(place, 0, 0, text)
    }
}

/// The numbers of each place.
#[derive(Debug, Default)]
pub(super) struct ToldSamples(FxHashMap<u64, ToldPlace>);

#[derive(Debug, Default)]
struct ToldPlace {
    calls: u32,
    told: u32,
    last: u64,
    /// Numbers that differ from the one before.
    values: u32,
}

impl ToldSamples {
    /// Adds a value at a place, of which [`names_one`] says whether a number alone names something
    /// there.
    pub(super) fn add(
        &mut self,
        place: u64,
        text: &str,
        names_one: bool,
        is_told: impl Fn(u64) -> bool,
    ) {
        for (token, run, part) in numbers(text).filter(|n| names_one || n.2.len() < text.len()) {
            let key = key(place, token, run);
            if self.0.len() >= MOCK_SAMPLED_PLACES && !self.0.contains_key(&key) {
                continue;
            }
            let of = self.0.entry(key).or_default();
            let number = text_hash(part);
            of.calls += 1;
            of.told += u32::from(is_told(number));
            of.values += u32::from(of.calls == 1 || of.last != number);
            of.last = number;
        }
    }

    /// The places whose numbers are told.
    pub(super) fn judged(self) -> ToldNumbers {
        // A small one may be said by its request by chance.
        let is_told = |of: &ToldPlace| of.told * 10 >= of.calls * 9 && of.values >= CALLS;
        ToldNumbers(self.0.into_iter().filter(|(_, of)| is_told(of)).map(|(key, _)| key).collect())
    }
}

/// The numbers in a text: which thing of it each is in, which part of that from 1 (0 for all of
/// it), and itself.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let text = if text.len() > LONGEST { "" } else { text };
    let parts = tokens(text).enumerate().flat_map(|(at, token)| {
        let whole = Some((at, 0, token.text()));
        let inner = match token {
            Token::Chunk(chunk) if !is_number(chunk) => Some(runs(chunk)),
            _ => None,
        };
        let inner = inner.into_iter().flatten().zip(1..);
        whole.into_iter().chain(inner.map(move |(run, number)| (at, number, run.text())))
    });
    parts.filter(|(_, _, part)| is_number(part))
}

fn is_number(text: &str) -> bool {
    (1..=DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a number alone names something at a place: by its name, or as a segment of a path.
pub(super) fn names_one(at: &Trail<'_>) -> bool {
    const NAMES: [&str; 5] = ["order", "reference", "document", "invoice", "external"];
    match at.last() {
        Step::Segment(_) => true,
        step => step.name().is_some_and(|name| {
            things::identified(name).is_some()
                // `last_order`, `parentOrder`; not `border`.
                || things::words(name).last().is_some_and(|last| NAMES.contains(&last.as_str()))
        }),
    }
}

fn key(place: u64, token: usize, run: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (place, token, run).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        for (text, found) in [
            ("5", &["5"][..]),
            ("Order #5 of 12", &["5", "12"]),
            ("order-5-pay", &["5"]),
            ("https://shop.test/orders/5/done", &["5"]),
            ("SO-5", &["5"]),
            ("a5b", &[]),
            ("1234567890123456789", &[]),
        ] {
            let numbers: Vec<&str> = numbers(text).map(|(.., part)| part).collect();
            assert_eq!(numbers, found, "{text}");
        }
    }

    #[test]
    fn a_name_ends_with_a_word_of_its_own() {
        for (name, is) in [
            ("order", true),
            ("last_order", true),
            ("lastOrder", true),
            ("border", false),
            ("orders", false),
            ("é", false),
        ] {
            assert_eq!(names_one(&Trail::new(Step::Name(name.into()))), is, "{name}");
        }
    }

    #[test]
    fn a_place_has_told_numbers_where_all_are_and_they_differ() {
        let judged = |calls: &[(&str, &[&str])], names_one: bool| {
            let mut samples = ToldSamples::default();
            for (text, told) in calls {
                let told: Vec<u64> = told.iter().map(|number| text_hash(number)).collect();
                samples.add(7, text, names_one, |number| told.contains(&number));
            }
            samples.judged()
        };
        let all = [("5", &["5"][..]), ("6", &["6", "9"]), ("7", &["7"])];
        assert!(judged(&all, true).is_whole(7, "1005"));
        assert!(!judged(&all, true).is_whole(7, "x"));
        assert!(!judged(&all, true).is_whole(8, "1005"));
        assert!(!judged(&all, false).is_whole(7, "1005"), "an amount");
        assert!(!judged(&all[..2], true).is_whole(7, "1005"), "too few");
        let one_is_not = [all[0], all[1], all[2], ("8", &[][..])];
        assert!(!judged(&one_is_not, true).is_whole(7, "1005"));
        let in_text = [("no. 5 of 2", &["5"][..]), ("no. 6 of 2", &["6"]), ("no. 7 of 2", &["7"])];
        let told = judged(&in_text, false);
        let at: Vec<bool> = numbers("no. 9 of 2").map(|(t, r, n)| told.has(7, t, r, n)).collect();
        assert_eq!(at, [true, false]);
    }
}
