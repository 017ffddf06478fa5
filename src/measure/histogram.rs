//! Latencies by value: a sparse histogram in the buckets of HdrHistogram (three significant
//! digits), so that a thousand routes, each cut into blocks of time, stay as small as what they
//! hold.
//!
//! A value is kept by the bucket that HdrHistogram would put it in; [`Histogram::to_hdr`] loses
//! nothing. Counts, the sum and the two ends are exact. Merging is adding.

use hdrhistogram::Histogram as Hdr;
use serde::{Deserialize, Serialize};

/// Bits of a value that are kept: 2,048 buckets to a doubling are three significant digits.
const KEPT_BITS: u32 = 11;

/// Largest value in nanoseconds (one hour, as HdrHistogram's tools have it); what is longer counts
/// as this.
pub const LONGEST_NS: u64 = 3_600_000_000_000;

/// The quantiles that tables show and rules can be about: their names in keys and columns. Whoever
/// adds one (`p9999` for p99.99) adds it here; the compiler leads to its keys in `gate/policy.rs`
/// and to its columns in `report/json.rs`, `report/csv.rs` and `inspect/latencies.rs`.
pub const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// A multiset of durations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// (bucket, count), ascending by bucket; a bucket whose count would overflow has several
    /// entries.
    bins: Vec<(u16, u32)>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// The bucket of `value`. Ascending in the value; exact up to 2,047.
const fn bucket(value: u64) -> u16 {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(KEPT_BITS);
    // A shifted value has its highest bit at place 10, so the doublings follow each other without a
    // hole.
    ((shift as u16) << (KEPT_BITS - 1)) + (value >> shift) as u16
}

/// Lowest and highest value of a bucket.
const fn range(bucket: u16) -> (u64, u64) {
    const HALF: u16 = 1 << (KEPT_BITS - 1);
    let shift = if bucket < 2 * HALF { 0 } else { bucket / HALF - 1 };
    let low = ((bucket - shift * HALF) as u64) << shift;
    (low, low + (1 << shift) - 1)
}

impl Histogram {
    /// Adds a duration; negative ones count as 0.
    pub fn record(&mut self, nanos: i64) {
        let value = u64::try_from(nanos).unwrap_or(0).min(LONGEST_NS);
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
        let bucket = bucket(value);
        match self.bins.binary_search_by_key(&bucket, |&(key, _)| key) {
            Ok(at) if self.bins[at].1 < u32::MAX => self.bins[at].1 += 1,
            Ok(at) | Err(at) => self.bins.insert(at, (bucket, 1)),
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        let mut merged: Vec<(u16, u32)> = Vec::with_capacity(self.bins.len() + other.bins.len());
        let (mut mine, mut theirs) = (self.bins.iter().peekable(), other.bins.iter().peekable());
        loop {
            let from_mine = match (mine.peek(), theirs.peek()) {
                (Some(a), Some(b)) => a.0 <= b.0,
                (a, _) => a.is_some(),
            };
            let Some(&(key, count)) = (if from_mine { mine.next() } else { theirs.next() }) else {
                break;
            };
            match merged.last_mut() {
                Some(last) if last.0 == key && last.1.checked_add(count).is_some() => {
                    last.1 += count
                }
                _ => merged.push((key, count)),
            }
        }
        self.bins = merged;
    }

    /// How many durations.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The shortest, exactly.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The longest, exactly (up to [`LONGEST_NS`]).
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The duration of rank `rank` (from 1, the shortest, to `count`), within three significant
    /// digits: the highest value of its bucket, as HdrHistogram answers, but never beyond the
    /// longest.
    pub fn at_rank(&self, rank: u64) -> Option<u64> {
        if rank == 0 || rank > self.count {
            return None;
        }
        let mut seen = 0;
        self.bins.iter().find_map(|&(key, count)| {
            seen += u64::from(count);
            (seen >= rank).then(|| range(key).1.clamp(self.min, self.max))
        })
    }

    /// The smallest duration that at least the share `quantile` of all do not exceed.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        self.at_rank(rank_of(quantile, self.count))
    }

    /// How many are longer than `value`, which must come from this histogram's [`Self::at_rank`] or
    /// be known to the bucket.
    pub fn count_above(&self, value: u64) -> u64 {
        let bucket = bucket(value.min(LONGEST_NS));
        let at = self.bins.partition_point(|&(key, _)| key <= bucket);
        self.bins[at..].iter().map(|&(_, count)| u64::from(count)).sum()
    }

    /// Buckets with their lowest and highest value and count, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.bins.iter().map(|&(key, count)| {
            let (low, high) = range(key);
            (low, high, u64::from(count))
        })
    }

    /// The same in HdrHistogram's own type.
    pub fn to_hdr(&self) -> Hdr<u64> {
        let mut hdr =
            Hdr::new_with_bounds(1, LONGEST_NS, 3).expect("bounds that HdrHistogram accepts");
        for (low, _, count) in self.buckets() {
            hdr.record_n(low, count).expect("values within the bounds");
        }
        hdr
    }
}

/// The rank (from 1) of a quantile among `count`; 0 for none.
pub fn rank_of(quantile: f64, count: u64) -> u64 {
    // One part in a billion keeps 0.99 × 100 from being the 100th.
    ((quantile * count as f64 - 1e-9 * count as f64).ceil() as u64)
        .clamp(1, count.max(1))
        .min(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_without_hole_and_hold_their_values() {
        let mut next = 0;
        for key in 0..=bucket(LONGEST_NS) {
            let (low, high) = range(key);
            assert_eq!(low, next, "bucket {key}");
            assert_eq!((bucket(low), bucket(high)), (key, key));
            assert!((high - low) as f64 <= low as f64 / 1000.0 || high == low);
            next = high + 1;
        }
    }

    #[test]
    fn an_empty_one_has_no_values() {
        let empty = Histogram::default();
        assert_eq!(
            (empty.min(), empty.max(), empty.mean(), empty.quantile(0.5)),
            (None, None, None, None)
        );
        assert_eq!(rank_of(0.5, 0), 0);
    }

    #[test]
    fn ranks_of_round_quantiles_are_not_off_by_one() {
        for (quantile, count, rank) in [
            (0.99, 100, 99),
            (0.5, 2, 1),
            (0.5, 3, 2),
            (0.999, 1000, 999),
            (1.0, 7, 7),
            (0.0, 7, 1),
        ] {
            assert_eq!(rank_of(quantile, count), rank, "{quantile} of {count}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_hdrhistogram(
            values in prop::collection::vec(0u64..LONGEST_NS, 1..300),
            split in 0usize..300
        ) {
            let split = split.min(values.len());
            let (mut a, mut b) = (Histogram::default(), Histogram::default());
            values[..split].iter().for_each(|&value| a.record(value as i64));
            values[split..].iter().for_each(|&value| b.record(value as i64));
            a.merge(&b);
            let mut hdr = Hdr::<u64>::new_with_bounds(1, LONGEST_NS, 3).unwrap();
            values.iter().for_each(|&value| hdr.record(value).unwrap());
            prop_assert_eq!(&a.to_hdr(), &hdr);
            prop_assert_eq!(a.max(), values.iter().max().copied());
            prop_assert_eq!(a.min(), values.iter().min().copied());
            let mut sorted = values;
            sorted.sort_unstable();
            for rank in 1..=sorted.len() {
                let got = a.at_rank(rank as u64).unwrap();
                prop_assert!(
                    hdr.equivalent(got, sorted[rank - 1]),
                    "rank {}: {} for {}",
                    rank,
                    got,
                    sorted[rank - 1]
                );
            }
            prop_assert_eq!(a.count_above(a.max().unwrap()), 0);
        }
    }
}
