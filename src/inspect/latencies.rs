//! Latencies of very many names: by bucket, with what is known exactly beside.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::measure::histogram::QUANTILES;

/// Highest latency that is told apart, in nanoseconds: an hour.
pub(super) const HIGHEST_NS: u64 = 3_600_000_000_000;

/// What is known exactly of latencies that are counted by bucket.
#[derive(Clone, Copy)]
pub(super) struct Exact {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) sum: u64,
}

impl Default for Exact {
    fn default() -> Self {
        Self { least: u64::MAX, most: 0, sum: 0 }
    }
}

impl Exact {
    pub(super) fn add(&mut self, other: Self) {
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// Buckets of an octave, as a power of two.
const BITS: u16 = 5;

/// The bucket of a latency.
pub(super) fn bucket_of(nanos: u64) -> u16 {
    let nanos = nanos.max(1 << BITS);
    let octave = 63 - nanos.leading_zeros() as u16;
    (octave << BITS) + (nanos >> (octave - BITS) & ((1 << BITS) - 1)) as u16
}

/// The middle of a bucket.
pub(super) fn nanos_of(bucket: u16) -> u64 {
    let (octave, part) = (bucket >> BITS, u64::from(bucket & ((1 << BITS) - 1)));
    (((1 << BITS) + part) << (octave - BITS)) + ((1 << (octave - BITS)) >> 1)
}

/// Quantiles of latencies, counted from the request's first byte, in nanoseconds.
#[derive(Debug, Serialize)]
pub struct Quantiles {
    /// How many there are.
    pub count: u64,
    /// The least.
    pub min_ns: u64,
    /// Their mean.
    pub mean_ns: i64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 95th percentile.
    pub p95_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The most.
    pub max_ns: u64,
}

impl Quantiles {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let [p50_ns, p90_ns, p95_ns, p99_ns, p999_ns] =
            QUANTILES.map(|(_, quantile)| histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min_ns: if histogram.is_empty() { 0 } else { histogram.min() },
            mean_ns: histogram.mean().round() as i64,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
            p999_ns,
            max_ns: histogram.max(),
        }
    }

    /// With what is known exactly in place of what buckets say: least, most and mean; no quantile
    /// lies outside of them.
    pub(super) fn within(self, exact: Exact) -> Self {
        if self.count == 0 {
            return self;
        }
        let held = |nanos: u64| nanos.clamp(exact.least, exact.most);
        Self {
            count: self.count,
            min_ns: exact.least,
            mean_ns: i64::try_from(exact.sum / self.count).unwrap_or(i64::MAX),
            p50_ns: held(self.p50_ns),
            p90_ns: held(self.p90_ns),
            p95_ns: held(self.p95_ns),
            p99_ns: held(self.p99_ns),
            p999_ns: held(self.p999_ns),
            max_ns: exact.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_middle_is_near_all_that_it_holds() {
        for nanos in (3..62).flat_map(|shift| {
            [1u64 << shift, (1 << shift) + (1 << shift) / 3, (1 << (shift + 1)) - 1]
        }) {
            let middle = nanos_of(bucket_of(nanos));
            assert!(middle.abs_diff(nanos) <= nanos / 64 + 32, "{nanos} → {middle}");
        }
    }

    #[test]
    fn quantiles_of_buckets_stay_within_what_is_known_exactly() {
        let mut histogram = Histogram::new_with_max(HIGHEST_NS, 2).expect("within bounds");
        let mut exact = Exact::default();
        for nanos in [1_000_001, 1_000_003, 5_999_999] {
            histogram.record(nanos_of(bucket_of(nanos))).expect("within bounds");
            exact.add(Exact { least: nanos, most: nanos, sum: nanos });
        }
        let quantiles = Quantiles::of(&histogram).within(exact);
        assert_eq!(
            (quantiles.min_ns, quantiles.mean_ns, quantiles.max_ns),
            (1_000_001, 2_666_667, 5_999_999)
        );
        assert!(quantiles.p50_ns >= 1_000_001 && quantiles.p999_ns <= 5_999_999);
        assert!(quantiles.p50_ns.abs_diff(1_000_003) < 1_000_003 / 40, "{quantiles:?}");
    }
}
