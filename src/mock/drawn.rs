//! Which places of v1's calls have values that are drawn at random, learned from all calls that
//! were recorded: value by value a short nano id may be a word, and a number no number.
//!
//! Values within texts have places of their own: the second thing of three in `$.key`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rustc_hash::FxHashMap;

use crate::limits::{MOCK_SAMPLED_PLACES, MOCK_SAMPLES};
use crate::message::kinds;
use crate::message::population::{Population, TextForm};
use crate::message::tokens::{Token, tokens};

/// Longest text that is looked at, in bytes, and the most things in it.
const LONGEST: usize = 1 << 10;
const MOST_TOKENS: usize = 24;

/// The places whose values are drawn at random.
#[derive(Debug, Default)]
pub(super) struct Drawn(FxHashMap<u64, DrawnPlace>);

/// What the values of a place begin with, and what is drawn behind it.
#[derive(Debug)]
struct DrawnPlace {
    prefix: Box<str>,
    population: Population,
}

/// Different values of each place, up to a number of them.
#[derive(Default)]
pub(super) struct DrawnSamples(FxHashMap<u64, Vec<Box<str>>>);

impl DrawnSamples {
    /// Adds a text at a place.
    pub(super) fn add(&mut self, place: u64, text: &str) {
        for (_, key, part) in parts(place, text) {
            if self.0.len() >= MOCK_SAMPLED_PLACES && !self.0.contains_key(&key) {
                continue;
            }
            let samples = self.0.entry(key).or_default();
            if samples.len() < MOCK_SAMPLES && !samples.iter().any(|known| **known == *part) {
                samples.push(part.into());
            }
        }
    }

    /// The places whose values are drawn.
    pub(super) fn judged(self) -> Drawn {
        let judge = |(key, samples): (u64, Vec<Box<str>>)| {
            // A UUID is known by its form; those of one hour begin alike.
            if samples.iter().all(|text| kinds::uuid(text.as_bytes()).is_some()) {
                return None;
            }
            let prefix = common_start(&samples);
            let mut population = Population::default();
            samples.iter().for_each(|text| population.add(TextForm::of(&text[prefix..])));
            let drawn = population.is_drawn(&Population::default());
            drawn.then(|| (key, DrawnPlace { prefix: samples[0][..prefix].into(), population }))
        };
        Drawn(self.0.into_iter().filter_map(judge).collect())
    }
}

impl Drawn {
    /// Which of the things in a text may have been drawn as the others of their places were, a bit
    /// each.
    pub(super) fn in_text(&self, place: u64, text: &str) -> u32 {
        if self.0.is_empty() {
            return 0;
        }
        parts(place, text)
            .filter(|(_, key, part)| self.admits(*key, part))
            .fold(0, |bits, (at, ..)| bits | 1 << at)
    }

    fn admits(&self, key: u64, part: &str) -> bool {
        self.0.get(&key).is_some_and(|place| {
            let rest = part.strip_prefix(&*place.prefix);
            rest.is_some_and(|rest| place.population.admits(TextForm::of(rest)))
        })
    }
}

/// The things in a text that may be drawn, each with its number and the key of its place; none of a
/// long text.
fn parts(place: u64, text: &str) -> impl Iterator<Item = (usize, u64, &str)> {
    let count = if text.len() > LONGEST { 0 } else { tokens(text).take(MOST_TOKENS + 1).count() };
    let few = if count > MOST_TOKENS { 0 } else { count };
    tokens(text).take(few).enumerate().filter_map(move |(at, token)| match token {
        Token::Mark(_) => None,
        Token::Value(part) | Token::Chunk(part) => Some((at, key(place, at, count), part)),
    })
}

fn key(place: u64, at: usize, count: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (place, at, count).hash(&mut hasher);
    hasher.finish()
}

/// The length of what all samples begin with, up to a symbol: `ch_`, `receipts/r-`.
fn common_start(samples: &[Box<str>]) -> usize {
    let first = samples[0].as_bytes();
    let common = samples.iter().fold(first.len(), |most, sample| {
        first.iter().zip(sample.bytes()).take(most).take_while(|(a, b)| **a == *b).count()
    });
    let symbol = |byte: &u8| matches!(byte, b'-' | b'_' | b'+' | b'/');
    first[..common].iter().rposition(symbol).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(texts: &[&str]) -> Drawn {
        let mut samples = DrawnSamples::default();
        texts.iter().for_each(|text| samples.add(7, text));
        samples.judged()
    }

    fn admits(drawn: &Drawn, text: &str) -> bool {
        drawn.in_text(7, text) != 0
    }

    #[test]
    fn places_are_judged_by_all_their_values() {
        for (known, fresh, other) in [
            (&["DFyuzX9kQ2", "1gnneGEYw0", "x8Lq_3Zt-A"][..], "0owWCLdC7p", "undefined"),
            (&["ch_3PqX81LkZr9T", "ch_3Qw7TtB0m2Va"], "ch_3Ra5Yn8KcE1z", "re_3Ra5Yn8KcE1z"),
            (&["app-3f2a91c0.js", "app-be41d057.js"], "app-0190fe14.js", "app-main0000.js"),
            (
                &["ref 7QK2M9XA4B7C ok", "ref Z81PW3VN0RTE ok"],
                "ref 5YH8D2KQ9LM1 ok",
                "ref CONFIRMED ok",
            ),
        ] {
            let drawn = judged(known);
            assert!(admits(&drawn, fresh), "{fresh}");
            assert!(!admits(&drawn, other), "{other}");
        }
    }

    #[test]
    fn what_means_something_is_not_drawn() {
        for known in [
            &["cancelled", "confirmed", "delivered"][..],
            &["12345678", "87654321", "24681357"],
            &["only-3f2a91c0be41d057"],
            &["customer4711", "customer4712", "customer7"],
        ] {
            let drawn = judged(known);
            assert!(known.iter().all(|text| !admits(&drawn, text)), "{known:?}");
        }
    }
}
