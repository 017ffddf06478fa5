//! The typical change of latency, from pairs: the same request at v2 and at the reference.
//!
//! What makes a request slow makes it slow on both sides, so the pair tells more than two
//! distributions do. The estimate is a trimmed mean of the logarithms of v2 over the reference:
//! neither a few stalls nor a cache's two modes move it. Neighbours in time are slow together, so
//! its error is taken from sums over blocks of time (batch means, Conway 1963), on every scale that
//! the run's length allows, with what neighbouring blocks share (an autoregressive correction).

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::statistics::Interval;
use crate::measure::{Blocks, Histogram, paired};

/// Share of the pairs that is left out at each end.
const TRIMMED: f64 = 0.25;
/// Fewer blocks than this do not tell how much neighbours share.
const FEWEST_BLOCKS: usize = 8;
/// Fewer pairs than this have no typical change.
const FEWEST_PAIRS: u64 = 10;
/// Standard deviations beyond which a dependence is more than chance.
const BEYOND_CHANCE: f64 = 1.5;
/// A change is noticed where it is found in so large a share of runs.
const POWER: f64 = 0.95;

/// How much slower v2 typically is, on a logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shift {
    /// Natural logarithm of the typical ratio.
    log: f64,
    /// Its standard error.
    error: f64,
    /// What the error's own uncertainty is worth, in degrees of freedom.
    freedom: f64,
    /// How many pairs there are, and how many independent ones they are worth.
    pub(super) pairs: u64,
    pub(super) worth: u64,
}

impl Shift {
    /// The typical change of `pairs` (ratios as [`paired::scaled`] writes them); none of too few.
    pub(super) fn of(pairs: &Blocks) -> Option<Self> {
        let whole = pairs.whole();
        if whole.count() < FEWEST_PAIRS {
            return None;
        }
        let trim = Trim::of(&whole)?;
        let count = whole.count() as f64;
        let (mean, variance) = trim.moments(&whole);
        let sums: Vec<f64> = pairs.iter().map(|block| trim.sum(block, mean)).collect();
        let (effect, freedom) = design_effect(&sums, variance * count, count - 1.0);
        let error = (variance * effect / count).sqrt() / (1.0 - 2.0 * TRIMMED);
        let worth = ((count / effect) as u64).max(1);
        Some(Self { log: trim.mean, error, freedom, pairs: whole.count(), worth })
    }

    fn margin(&self, confidence: f64) -> f64 {
        let student = StudentsT::new(0.0, 1.0, self.freedom.max(1.0));
        student.map_or(f64::INFINITY, |student| student.inverse_cdf(confidence)) * self.error
    }

    /// The ratio with its bounds, each by itself with `confidence`.
    pub(super) fn ratio(&self, confidence: f64) -> Interval {
        let margin = self.margin(confidence);
        Interval {
            value: self.log.exp(),
            low: (self.log - margin).exp(),
            high: (self.log + margin).exp(),
        }
    }

    /// The smallest true ratio that is found to be beyond `limit` in nineteen runs of twenty.
    pub(super) fn noticeable(&self, limit: f64, confidence: f64) -> f64 {
        limit * (self.margin(confidence) + self.margin(POWER)).exp()
    }
}

/// The middle of a distribution of ratios, in logarithms.
struct Trim {
    low: f64,
    high: f64,
    mean: f64,
}

impl Trim {
    fn of(whole: &Histogram) -> Option<Self> {
        let left_out = (whole.count() as f64 * TRIMMED) as u64;
        let kept = left_out..whole.count() - left_out;
        let at = |rank| whole.at_rank(rank).map(|value| paired::log(value as f64));
        let (mut seen, mut sum) = (0u64, 0.0);
        for (value, count) in logs(whole) {
            let inside = (seen + count).min(kept.end).saturating_sub(seen.max(kept.start));
            sum += value * inside as f64;
            seen += count;
        }
        let mean = sum / (kept.end - kept.start) as f64;
        Some(Self { low: at(kept.start + 1)?, high: at(kept.end)?, mean })
    }

    /// Mean and variance of what is drawn in to the ends of the middle (winsorized).
    fn moments(&self, whole: &Histogram) -> (f64, f64) {
        let count = whole.count() as f64;
        let drawn = || logs(whole).map(|(value, n)| (self.drawn_in(value), n as f64));
        let mean = drawn().map(|(value, n)| value * n).sum::<f64>() / count;
        let spread = drawn().map(|(value, n)| (value - mean).powi(2) * n).sum::<f64>();
        (mean, spread / (count - 1.0))
    }

    /// How far the pairs of a block are from the mean, all together.
    fn sum(&self, block: &Histogram, mean: f64) -> f64 {
        logs(block).map(|(value, n)| (self.drawn_in(value) - mean) * n as f64).sum()
    }

    fn drawn_in(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high.max(self.low))
    }
}

fn logs(histogram: &Histogram) -> impl Iterator<Item = (f64, u64)> + '_ {
    histogram.buckets().map(|(low, high, n)| (paired::log((low + high) as f64 / 2.0), n))
}

/// By how much the sums of blocks vary more than those of independent pairs would (whose squares
/// add up to `spread`), and the degrees of freedom of that: the worst over blocks of one, two, four
/// … widths.
fn design_effect(sums: &[f64], spread: f64, independent: f64) -> (f64, f64) {
    let mut worst = (1.0f64, independent);
    let mut sums = sums.to_vec();
    while sums.len() >= FEWEST_BLOCKS && spread > 0.0 {
        let blocks = sums.len() as f64;
        let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
        let neighbours: f64 = sums.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let shared = autocorrelation(squares, neighbours, blocks);
        let effect = squares * blocks / (blocks - 1.0) / spread * (1.0 + shared) / (1.0 - shared);
        let noise = ((if shared > 0.0 { 6.0 } else { 2.0 }) / blocks).sqrt();
        if effect > worst.0.max(1.0 + BEYOND_CHANCE * noise) {
            let used = if shared > 0.0 { (blocks - 1.0) / 2.0 } else { blocks - 1.0 };
            worst = (effect, used.min((independent + 1.0) / effect - 1.0));
        }
        sums = sums.chunks(2).map(|pair| pair.iter().sum()).collect();
    }
    worst
}

/// Lag-one autocorrelation of block sums, freed of its bias (Kendall 1954); 0 where it may be
/// chance.
fn autocorrelation(squares: f64, neighbours: f64, blocks: f64) -> f64 {
    if squares <= 0.0 || neighbours / squares <= BEYOND_CHANCE / blocks.sqrt() {
        return 0.0;
    }
    let raw = neighbours / squares;
    (raw + (1.0 + 3.0 * raw) / blocks).clamp(0.0, 0.9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(ratios: impl Iterator<Item = f64>) -> Blocks {
        let mut blocks = Blocks::default();
        for (index, ratio) in ratios.enumerate() {
            let scaled = paired::scaled((ratio * 1e7) as i64, 10_000_000).expect("a ratio");
            blocks.record(index as i64 * 5_000_000, scaled);
        }
        blocks
    }

    #[test]
    fn a_steady_change_is_known_exactly() {
        let shift = Shift::of(&pairs((0..200).map(|_| 1.5))).expect("pairs");
        let ratio = shift.ratio(0.95);
        assert!((ratio.value - 1.5).abs() < 0.002 && ratio.high - ratio.low < 0.001, "{ratio:?}");
        assert!(shift.noticeable(1.2, 0.95) < 1.21, "{shift:?}");
        assert_eq!(shift.worth, 200);
    }

    #[test]
    fn stalls_and_modes_do_not_move_what_is_typical() {
        let one_in_eight = (0..400).map(|index| if index % 8 == 0 { 30.0 } else { 1.0 });
        let ratio = Shift::of(&pairs(one_in_eight)).expect("pairs").ratio(0.95);
        assert!((ratio.value - 1.0).abs() < 0.01, "{ratio:?}");
    }

    #[test]
    fn neighbours_that_are_slow_together_are_worth_less() {
        let alternating = (0..640).map(|index| if index % 2 == 0 { 0.8 } else { 1.25 });
        let together = (0..640).map(|index| if index / 80 % 2 == 0 { 0.8 } else { 1.25 });
        let (apart, together) =
            (Shift::of(&pairs(alternating)).unwrap(), Shift::of(&pairs(together)).unwrap());
        assert_eq!(apart.worth, 640, "{apart:?}");
        assert!(together.worth < 60, "{together:?}");
        assert!(together.noticeable(1.2, 0.95) > 1.1 * apart.noticeable(1.2, 0.95));
    }

    #[test]
    fn too_few_pairs_have_no_typical_change() {
        assert_eq!(Shift::of(&Blocks::default()), None);
        assert_eq!(Shift::of(&pairs((0..9).map(|_| 1.0))), None);
    }
}
