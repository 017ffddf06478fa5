//! Whether the times that stand at a place are drawn at random: v1's and v2's are spread alike, and
//! what v2 has says nothing of what v1 had.
//!
//! Dates that mean something go together: a version that moves all of them, cuts them off or has
//! one for all is told by that.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use rustc_hash::FxBuildHasher;

use crate::message::dates;
use crate::message::kinds::{self, ValueKind};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Fewest pairs that tell anything.
const FEWEST: f64 = 8.0;
/// How far from none the correlation of so many pairs may be by chance, and the most in any case.
const CORRELATION: f64 = 4.0;
const MOST_CORRELATION: f64 = 0.75;
/// How much wider one side may be spread than the other.
const WIDER: f64 = 2.0;
/// How far the means may be apart by chance, in standard errors, and by how days are counted.
const ERRORS: f64 = 5.0;
const DAYS_S: f64 = 3.0 * 86_400.0;

/// Different times of each side that are kept to see whether v2's are v1's of other exchanges.
const KEPT: usize = 64;
/// How many of the times of both sides in common are too many, and how many times as many as chance
/// explains.
const SHARED: f64 = 0.5;
const BEYOND_CHANCE: f64 = 1.5;

/// v1's time and v2's at one place of one exchange, written in one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// In seconds since 1970.
    v1: i64,
    v2: i64,
    /// How much later v2 was asked than v1.
    later: i64,
}

impl Instants {
    /// Those that two different texts or numbers are; none where they are none of one form. v2 was
    /// asked `later` nanoseconds later than v1.
    pub(super) fn of(a: &str, b: &str, later: i64) -> Option<Self> {
        let kind = |text| kinds::written_time(text).or_else(|| kinds::of_number(text));
        let (one, other) = match kind(a).filter(|one| kind(b) == Some(*one)) {
            Some(ValueKind::Moment) => {
                let (one, other) = (dates::whole(a)?, dates::whole(b)?);
                one.is_like(&other).then_some((one.readings[0], other.readings[0]))?
            }
            Some(kind) => (kinds::instant_of(kind, a)?, kinds::instant_of(kind, b)?),
            None => (compact(a)?, compact(b)?),
        };
        let seconds = |time: Timestamp| time.nanos() / NANOS_PER_SEC;
        Some(Self { v1: seconds(one), v2: seconds(other), later: later / NANOS_PER_SEC })
    }
}

/// The day that eight digits are: `20261128`.
fn compact(text: &str) -> Option<Timestamp> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let day = dates::whole(&format!("{text}T000000Z"))?;
    Some(day.readings[0])
}

/// The times of a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InstantPairs {
    count: f64,
    /// What the sums are of: how much later than the first pair's.
    first: Option<Instants>,
    sums: [f64; 2],
    squares: [f64; 2],
    products: f64,
    later: f64,
    /// The least hashes of the different times of each side.
    kept: [BTreeSet<u64>; 2],
}

impl InstantPairs {
    pub(super) fn add(&mut self, pair: Instants) {
        let first = *self.first.get_or_insert(pair);
        let sides = [pair.v1 - first.v1, pair.v2 - first.v1].map(|seconds| seconds as f64);
        self.count += 1.0;
        for (at, side) in sides.into_iter().enumerate() {
            self.sums[at] += side;
            self.squares[at] += side * side;
        }
        self.products += sides[0] * sides[1];
        self.later += pair.later as f64;
        for (kept, seconds) in self.kept.iter_mut().zip([pair.v1, pair.v2]) {
            kept.insert(FxBuildHasher.hash_one(seconds));
            if kept.len() > KEPT {
                kept.pop_last();
            }
        }
    }

    /// Whether v2's times are v1's of other exchanges, more often than chance explains: of days
    /// there are but few.
    fn are_each_others(&self) -> bool {
        let [v1, v2] = &self.kept;
        let mut both: Vec<u64> = v1.union(v2).copied().collect();
        both.truncate(KEPT);
        let shared = both.iter().filter(|hash| v1.contains(hash) && v2.contains(hash)).count();
        let shared = shared as f64 / both.len().max(1) as f64;
        // How many different ones there are, by how far the least of their hashes go.
        let different = match v1.last() {
            Some(last) if v1.len() >= KEPT => (KEPT - 1) as f64 / (*last as f64 / u64::MAX as f64),
            _ => v1.len() as f64,
        };
        // Of so many that may be drawn, `seen` of each were.
        let (mut few, mut many) = (different, 1e9);
        for _ in 0..60 {
            let middle = f64::sqrt(few * many);
            let expected = middle * (1.0 - (-self.count / middle).exp());
            if expected < different.min(0.99 * self.count) {
                few = middle;
            } else {
                many = middle;
            }
        }
        let seen = 1.0 - (-self.count / many).exp();
        shared > SHARED && shared > BEYOND_CHANCE * seen / (2.0 - seen)
    }

    /// Whether they look drawn at random.
    pub(super) fn are_drawn(&self) -> bool {
        let n = self.count;
        if n < FEWEST {
            return false;
        }
        let [v1, v2] = self.sums.map(|sum| sum / n);
        let variance = |at: usize, mean: f64| (self.squares[at] / n - mean * mean).max(0.0);
        let spread = [variance(0, v1).sqrt(), variance(1, v2).sqrt()];
        let (narrow, wide) = (spread[0].min(spread[1]), spread[0].max(spread[1]));
        if narrow < 1.0 || wide > narrow * WIDER || self.are_each_others() {
            return false;
        }
        let together = (self.products / n - v1 * v2) / (spread[0] * spread[1]);
        if together.abs() > (CORRELATION / n.sqrt()).min(MOST_CORRELATION) {
            return false;
        }
        // Drawn from a range that is fixed, or from one that goes with the request.
        let apart = v2 - v1;
        let chance = ERRORS * wide * (2.0 / n).sqrt() + DAYS_S;
        apart.abs().min((apart - self.later / n).abs()) <= chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without order, the same ones each time.
    fn draw(n: u64) -> i64 {
        let bits = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((bits ^ bits >> 27) >> 40) as i64 * 6
    }

    fn pairs(count: u64, of: impl Fn(u64) -> (i64, i64)) -> InstantPairs {
        let mut pairs = InstantPairs::default();
        for n in 0..count {
            let (v1, v2) = of(n);
            pairs.add(Instants { v1, v2, later: 5_000_000 });
        }
        pairs
    }

    #[test]
    fn times_that_go_their_own_ways_are_drawn() {
        for count in [8, 20, 100, 1_000] {
            let own = |n| 1_790_000_000 + draw(n + 7_000);
            assert!(pairs(count, |n| (1_790_000_000 + draw(n), own(n))).are_drawn(), "{count}");
            let moved = |n| (1_790_000_000 + draw(n), own(n) + 5_000_000);
            assert!(pairs(count, moved).are_drawn(), "with the request, {count}");
        }
        assert!(!pairs(7, |n| (draw(n), draw(n + 9))).are_drawn(), "too few");
    }

    #[test]
    fn times_of_other_exchanges_are_no_new_ones() {
        for count in [8, 20, 100, 1_000] {
            let turned = pairs(count, |n| (draw(n), draw((n + count / 3) % count)));
            assert!(!turned.are_drawn(), "{count}");
            let back = pairs(count, |n| (draw(n), draw(count - 1 - n)));
            assert!(!back.are_drawn(), "{count}");
            for days in [40, 80, 2_000] {
                let day = |n| draw(n).rem_euclid(days) * 86_400;
                assert!(pairs(count, |n| (day(n), day(n + 50_000))).are_drawn(), "{count} {days}");
            }
        }
    }

    #[test]
    fn times_that_mean_something_are_not() {
        let day = |seconds: i64| seconds - seconds.rem_euclid(8_640_000);
        for count in [8, 20, 100, 1_000] {
            for (what, v2) in [
                ("a day later", &(|n| draw(n) + 86_400) as &dyn Fn(u64) -> i64),
                ("cut off", &|n| day(draw(n))),
                ("always the same", &|_| 1_790_000_000),
                ("now", &|n| 50_000_000 + n as i64),
                ("years later", &|n| draw(n + 9_000) + 900_000_000),
                ("hours apart", &|n| draw(n) + draw(n + 9_000) / 10),
                ("the other way", &|n| -draw(n)),
            ] {
                assert!(!pairs(count, |n| (draw(n), v2(n))).are_drawn(), "{what}, {count}");
            }
        }
    }
}
