//! How the numbers of two versions go with each other at a place: what was measured anew for each
//! answer varies around the same size, and v2's do not follow from v1's.
//!
//! A price that is wrong by one, a length in other units or a limit that was raised follow from
//! v1's by a rule, whatever it is.

/// Least pairs that show it.
const PAIRS: f64 = 5.0;
/// How much of v1's and v2's variance a line may explain.
const EXPLAINED: f64 = 0.95;
/// How much ratios and differences vary at least: the latter of the mean.
const VARIES: f64 = 0.1;
/// How many times as much v2's may be, as a logarithm: units differ by sixty.
const APART: f64 = 3.4;

/// How much higher v2's numbers are, where all are as much.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raise {
    by: Option<i64>,
    differs: bool,
    /// The last number of v1, and how often it was another one than before.
    last: f64,
    values: u32,
}

impl Raise {
    /// Adds v1's and v2's number.
    fn add(&mut self, [a, b]: [f64; 2]) {
        let by = (b - a) as i64;
        self.differs |= *self.by.get_or_insert(by) != by;
        self.values += u32::from(self.values == 0 || self.last != a);
        self.last = a;
    }

    /// By how much, where enough numbers show it. What is wrong by one or two would be right where
    /// ids are as much higher.
    pub(super) fn of_all(&self) -> Option<i64> {
        const VALUES: u32 = 3;
        const FAR: u64 = 20;
        self.by.filter(|by| !self.differs && by.unsigned_abs() >= FAR && self.values >= VALUES)
    }
}

/// Sums over pairs of numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scatter {
    pairs: f64,
    sums: [f64; 2],
    squares: [f64; 2],
    products: f64,
    /// Of logarithms of ratios, where there is one.
    ratios: [f64; 3],
    is_negative: bool,
    /// How much higher all of v2's are.
    pub(super) raise: Raise,
}

impl Scatter {
    /// Adds v1's and v2's number.
    pub(super) fn add(&mut self, numbers: [f64; 2]) {
        self.raise.add(numbers);
        self.pairs += 1.0;
        for (side, number) in numbers.into_iter().enumerate() {
            self.sums[side] += number;
            self.squares[side] += number * number;
            self.is_negative |= number < 0.0;
        }
        let [a, b] = numbers;
        self.products += a * b;
        if a > 0.0 && b > 0.0 {
            let ratio = (b / a).ln();
            let [count, sum, squares] = &mut self.ratios;
            *count += 1.0;
            *sum += ratio;
            *squares += ratio * ratio;
        }
    }

    /// Whether both sides vary as measured numbers do.
    pub(super) fn is_measured(&self) -> bool {
        let Self { pairs, sums, squares, products, ratios, .. } = *self;
        if pairs < PAIRS || self.is_negative || ratios[0] * 2.0 < pairs {
            return false;
        }
        let means = sums.map(|sum| sum / pairs);
        let variance = [0, 1].map(|side| squares[side] / pairs - means[side] * means[side]);
        let together = products / pairs - means[0] * means[1];
        let [count, sum, of_squares] = ratios;
        let ratio = sum / count;
        let of_ratios = of_squares / count - ratio * ratio;
        let of_differences = variance[0] + variance[1] - 2.0 * together;
        let mean = f64::midpoint(means[0], means[1]);
        // What does not vary at all is no measure.
        let least = |side: usize| variance[side] > (VARIES * means[side] / 10.0).powi(2);
        least(0)
            && least(1)
            && together * together < EXPLAINED * variance[0] * variance[1]
            && of_ratios > VARIES * VARIES
            && of_differences > (VARIES * mean).powi(2)
            && ratio.abs() < APART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(of: impl Fn(f64, f64) -> [f64; 2]) -> bool {
        let mut scatter = Scatter::default();
        let mut dice = 7_u64;
        let mut roll = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (dice >> 40) as f64 / (1_u64 << 24) as f64
        };
        for _ in 0..20 {
            scatter.add(of(roll(), roll()));
        }
        scatter.is_measured()
    }

    #[test]
    fn only_what_varies_by_itself_on_both_sides_was_measured() {
        assert!(measured(|a, b| [1.0 + 8.0 * a, 1.0 + 8.0 * b]));
        assert!(measured(|a, b| [3.0 + (20.0 * a).floor(), 9.0 + (60.0 * b).floor()]), "slower");
        assert!(measured(|a, b| [10.0 * a + 3.0 * b + 1.0, 10.0 * a + 1.0]), "of the request, too");
        assert!(!measured(|a, _| [1.0 + 8.0 * a, 2.0 + 8.0 * a]), "one more");
        assert!(!measured(|a, _| [1.0 + 8.0 * a, 3.0 + 24.0 * a]), "three times");
        assert!(!measured(|a, _| [180_000.0 + 9_000.0 * a, (180.0 + 9.0 * a).floor()]), "units");
        assert!(!measured(|a, b| [180_000.0 + 9_000.0 * a, 180.0 + 9.0 * b]), "units");
        assert!(!measured(|_, _| [500.0, 600.0]), "a setting");
        assert!(!measured(|a, _| [1.0 + 8.0 * a, 5.0]), "always one");
        assert!(!measured(|_, b| [5.0, 1.0 + 8.0 * b]), "v1 never varied");
        assert!(!measured(|a, b| [8.0 * a, -8.0 * b]));
    }
}
