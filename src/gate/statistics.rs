//! Intervals for what was measured, none of which takes the shape of a distribution for granted.
//!
//! Every bound here is one-sided: each holds by itself with the given confidence, because a gate
//! asks one question ("is it worse than allowed?") and only one bound answers it. A pair of bounds
//! at 0.95 is what elsewhere is called a 90 % interval.

use statrs::distribution::{Binomial, DiscreteCDF as _};

use crate::measure::{Blocks, Histogram};

/// What lies between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The measured value.
    pub value: f64,
    /// At least this; 0 where the samples do not say.
    pub low: f64,
    /// At most this; infinite where the samples do not say.
    pub high: f64,
}

/// The share `hits / of` with its exact bounds (Clopper and Pearson 1934): the rates at which so
/// many hits, or so few, would be seen with a probability of 1 − `confidence`.
pub fn proportion(hits: u64, of: u64, confidence: f64) -> Option<Interval> {
    if of == 0 || hits > of {
        return None;
    }
    let alpha = 1.0 - confidence;
    // P(at least `hits`) grows with the rate, P(at most `hits`) falls.
    let low = if hits == 0 { 0.0 } else { solve(|rate| 1.0 - at_most(hits - 1, of, rate) < alpha) };
    let high = if hits == of { 1.0 } else { solve(|rate| at_most(hits, of, rate) > alpha) };
    Some(Interval { value: hits as f64 / of as f64, low, high })
}

/// P(X ≤ `hits`) for X of a binomial distribution.
fn at_most(hits: u64, of: u64, rate: f64) -> f64 {
    Binomial::new(rate.clamp(0.0, 1.0), of).map_or(1.0, |binomial| binomial.cdf(hits))
}

/// Where `below` turns from true to false between 0 and 1.
fn solve(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Chance that `gained` of `gained + lost` coin tosses, or more, fall to one side: McNemar's test
/// in its exact form.
pub fn sign_test(gained: u64, lost: u64) -> f64 {
    if gained == 0 { 1.0 } else { 1.0 - at_most(gained - 1, gained + lost, 0.5) }
}

/// A quantile with bounds from order statistics: the r-th shortest lies below the true quantile
/// with the probability that at least r of n samples do, which is binomial whatever the
/// distribution (David and Nagaraja, Order Statistics, 7.1).
///
/// `samples` is how many independent samples the histogram is worth ([`effective_samples`]).
pub fn quantile(
    histogram: &Histogram,
    quantile: f64,
    samples: u64,
    confidence: f64,
) -> Option<Interval> {
    let value = histogram.quantile(quantile)? as f64;
    let samples = samples.clamp(1, histogram.count());
    let (low, high) = ranks(quantile, samples, confidence);
    let scale = histogram.count() as f64 / samples as f64;
    let at = |rank: f64| {
        histogram.at_rank((rank as u64).clamp(1, histogram.count())).map(|nanos| nanos as f64)
    };
    Some(Interval {
        value,
        low: low.and_then(|rank| at((rank as f64 * scale).floor())).unwrap_or(0.0).min(value),
        high: high
            .and_then(|rank| at((rank as f64 * scale).ceil()))
            .unwrap_or(f64::INFINITY)
            .max(value),
    })
}

/// Ranks (from 1) of the order statistics that bound a quantile of `samples`; none where there are
/// too few.
fn ranks(quantile: f64, samples: u64, confidence: f64) -> (Option<u64>, Option<u64>) {
    // The smallest number of samples `k` in 0..=samples with P(X ≤ k) ≥ level.
    let smallest = |level: f64| {
        let (mut low, mut high) = (0, samples);
        while low < high {
            let middle = low.midpoint(high);
            if at_most(middle, samples, quantile) >= level {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    };
    // Lower: the largest r with P(X ≤ r − 1) ≤ alpha; upper: the smallest s with P(X ≤ s − 1) ≥
    // confidence.
    let alpha = 1.0 - confidence;
    let reached = smallest(alpha);
    let low = if at_most(reached, samples, quantile) <= alpha { reached + 1 } else { reached };
    let high = smallest(confidence) + 1;
    ((low >= 1).then_some(low.min(samples)), (high <= samples).then_some(high))
}

/// Whether so many samples can bound a quantile from above at all.
pub fn can_bound(quantile: f64, samples: u64, confidence: f64) -> bool {
    1.0 - quantile.powf(samples as f64) >= confidence
}

/// `worse / reference`, each a quantile with its bounds, by the method of variance estimates
/// recovery on the logarithms (Zou and Donner 2008): the distance of each side's own bound is its
/// spread, and spreads add as squares.
pub fn ratio(worse: &Interval, reference: &Interval) -> Interval {
    let log = |value: f64| value.max(1.0).ln();
    let value = log(worse.value) - log(reference.value);
    let down =
        (log(worse.value) - log(worse.low)).hypot(log(reference.high) - log(reference.value));
    let up = (log(worse.high) - log(worse.value)).hypot(log(reference.value) - log(reference.low));
    let unbounded_below = worse.low <= 0.0 || reference.high.is_infinite();
    let unbounded_above = worse.high.is_infinite() || reference.low <= 0.0;
    Interval {
        value: value.exp(),
        low: if unbounded_below { 0.0 } else { (value - down).exp() },
        high: if unbounded_above { f64::INFINITY } else { (value + up).exp() },
    }
}

/// How many independent samples a series is worth when a quantile of it is asked for.
///
/// Requests that are slow for one reason (a pause, a full queue) are slow together. Blocks of time
/// show it: the number of samples beyond a threshold varies more from block to block than
/// independent ones would. The factor is the design effect of cluster sampling (Kish 1965): the
/// variance between blocks over the binomial one. It is applied only where it is beyond what chance
/// gives, so that independent samples keep their worth.
pub fn effective_samples(blocks: &Blocks, whole: &Histogram, quantile: f64) -> u64 {
    let count = whole.count();
    let Some(threshold) = whole.quantile(quantile) else { return 0 };
    let worth = worth_beyond(blocks, whole, threshold);
    if worth == count {
        return count;
    }
    // A bound lies away from the quantile; what is clustered there matters as much.
    let rank = ranks(quantile, worth, 0.95).0.unwrap_or(1);
    let bound =
        whole.at_rank((rank as f64 * count as f64 / worth as f64) as u64).unwrap_or(threshold);
    worth.min(worth_beyond(blocks, whole, bound))
}

/// How many independent samples would vary as much in how many of them are beyond `threshold`.
fn worth_beyond(blocks: &Blocks, whole: &Histogram, threshold: u64) -> u64 {
    let count = whole.count();
    let (mut used, mut spread) = (0u32, 0.0);
    let share = whole.count_above(threshold) as f64 / count as f64;
    for block in blocks.iter().filter(|block| block.count() > 0) {
        let expected = block.count() as f64 * share;
        spread += (block.count_above(threshold) as f64 - expected).powi(2);
        used += 1;
    }
    let variance = count as f64 * share * (1.0 - share);
    if used < 2 || variance <= 0.0 {
        return count;
    }
    let blocks = f64::from(used);
    let effect = blocks / (blocks - 1.0) * spread / variance;
    // For counts near Poisson's the statistic's own variance is (2 + 1 / mean) / blocks.
    let chance = ((2.0 + blocks / variance) / blocks).sqrt();
    if effect <= 1.0 + 2.5 * chance {
        count
    } else {
        ((count as f64 / effect) as u64).clamp(1, count)
    }
}

/// Judges a family of tests so that the chance of even one false alarm stays below `alpha` (Holm
/// 1979, in its sequential form): all at alpha / m; what fails leaves the family and the rest is
/// judged again at alpha / (what is left).
///
/// Returns for each test whether it fails and the confidence at which it was judged.
pub fn holm(tests: usize, alpha: f64, fails: impl Fn(usize, f64) -> bool) -> Vec<(bool, f64)> {
    let mut judged = vec![(false, 1.0 - alpha); tests];
    let mut left: Vec<usize> = (0..tests).collect();
    while !left.is_empty() {
        let confidence = 1.0 - alpha / left.len() as f64;
        let (failed, rest): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|&&test| fails(test, confidence));
        failed.iter().for_each(|&test| judged[test] = (true, confidence));
        rest.iter().for_each(|&test| judged[test] = (false, confidence));
        if failed.is_empty() {
            break;
        }
        left = rest;
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() <= want.abs() * 1e-3 + 1e-9, "{got} instead of {want}");
    }

    #[test]
    fn exact_bounds_of_shares() {
        // 3/n rule, closed forms at the ends, and a table value (one-sided 97.5 % of 5 in 20:
        // 0.0866, 0.4910).
        let none = proportion(0, 1000, 0.95).unwrap();
        close(none.high, 1.0 - 0.05f64.powf(1.0 / 1000.0));
        assert_eq!(none.low, 0.0);
        let one = proportion(1, 50, 0.95).unwrap();
        close(one.low, 1.0 - 0.95f64.powf(1.0 / 50.0));
        let five = proportion(5, 20, 0.975).unwrap();
        close(five.low, 0.086_57);
        close(five.high, 0.491_05);
        assert_eq!(proportion(7, 7, 0.95).unwrap().high, 1.0);
        assert_eq!(proportion(0, 0, 0.95), None);
        let many = proportion(1, 1_000_000_000, 0.95).unwrap();
        assert!(
            many.low > 0.0 && many.low < 1e-9 && many.high > 1e-9 && many.high < 1e-8,
            "{many:?}"
        );
    }

    #[test]
    fn order_statistics_bound_the_median_as_tables_say() {
        // n = 10, median, each side 98.93 %: ranks 2 and 9 (P(X ≤ 1) = 0.0107).
        assert_eq!(ranks(0.5, 10, 0.98), (Some(2), Some(9)));
        assert_eq!(
            ranks(0.5, 4, 0.95),
            (None, None),
            "P(X = 0) = 0.0625: four samples do not bound a median"
        );
        assert_eq!(ranks(0.5, 5, 0.95), (Some(1), Some(5)));
        assert_eq!(ranks(0.99, 298, 0.95).1, None);
        assert_eq!(ranks(0.99, 299, 0.95).1, Some(299));
        for n in [4, 5, 298, 299] {
            let quantile = if n < 10 { 0.5 } else { 0.99 };
            assert_eq!(can_bound(quantile, n, 0.95), ranks(quantile, n, 0.95).1.is_some(), "{n}");
        }
    }

    #[test]
    fn the_bounds_cover_as_often_as_they_say() {
        let mut random = Random(7);
        let (mut below, mut above) = (0, 0);
        for _ in 0..2_000 {
            let mut histogram = Histogram::default();
            (0..500).for_each(|_| histogram.record((random.uniform() * 1e6) as i64));
            let p90 = quantile(&histogram, 0.9, 500, 0.95).unwrap();
            below += u32::from(p90.low > 0.9e6);
            above += u32::from(p90.high < 0.9e6);
        }
        assert!(below <= 120 && above <= 120, "{below} and {above} of 2,000 miss; 100 may");
        assert!(
            below >= 40 && above >= 40,
            "{below} and {above} of 2,000: the bounds are wider than they need be"
        );
    }

    #[test]
    fn a_ratio_needs_both_sides() {
        let known = Interval { value: 200.0, low: 150.0, high: 300.0 };
        let open = Interval { value: 100.0, low: 50.0, high: f64::INFINITY };
        assert_eq!(ratio(&known, &open).low, 0.0);
        assert_eq!(ratio(&open, &known).high, f64::INFINITY);
        let same = ratio(&known, &known);
        close(same.value, 1.0);
        assert!(same.low < 1.0 && same.high > 1.0);
        close(same.low * same.high, 1.0);
    }

    #[test]
    fn a_hiccup_is_one_witness_not_fifty() {
        let mut random = Random(11);
        let (mut steady, mut hiccup) = (Blocks::default(), Blocks::default());
        for index in 0..2_000i64 {
            let at = index * 5_000_000;
            let nanos = 1_000_000 + (random.uniform() * 1e6) as i64;
            steady.record(at, nanos);
            hiccup.record(at, if (900..950).contains(&index) { nanos + 30_000_000 } else { nanos });
        }
        assert_eq!(effective_samples(&steady, &steady.whole(), 0.99), 2_000);
        assert!(effective_samples(&hiccup, &hiccup.whole(), 0.99) < 200);
        assert!(
            effective_samples(&hiccup, &hiccup.whole(), 0.5) > 1_000,
            "the median is little the worse"
        );
        assert_eq!(effective_samples(&Blocks::default(), &Histogram::default(), 0.5), 0);
    }

    #[test]
    fn holm_steps_down() {
        // p-values of a textbook family: at 0.05 the first three of four fail, where Bonferroni
        // would stop at two.
        let p = [0.01, 0.02, 0.005, 0.2];
        let judged = holm(4, 0.05, |test, confidence| p[test] <= 1.0 - confidence + 1e-12);
        assert_eq!(judged.iter().map(|j| j.0).collect::<Vec<_>>(), [true, true, true, false]);
        assert!(holm(0, 0.05, |_, _| true).is_empty());
    }

    #[test]
    fn coins_fall_evenly() {
        close(sign_test(5, 0), 1.0 / 32.0);
        assert_eq!(sign_test(0, 9), 1.0);
        assert!(sign_test(20, 18) > 0.4);
    }

    /// A small generator (SplitMix64), so that the tests repeat exactly.
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }
}
