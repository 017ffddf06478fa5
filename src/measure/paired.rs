//! Latencies of the same request on two sides, as ratios that a histogram can hold.

/// A ratio of one, as it is kept.
const ONE: f64 = 1e6;

/// v2's latency over the reference's, in millionths; none where one of them is no latency.
pub const fn scaled(v2_ns: i64, reference_ns: i64) -> Option<i64> {
    if v2_ns <= 0 || reference_ns <= 0 {
        return None;
    }
    Some((v2_ns as f64 / reference_ns as f64 * ONE) as i64)
}

/// The natural logarithm of a ratio as it is kept.
pub fn log(scaled: f64) -> f64 {
    (scaled.max(1.0) / ONE).ln()
}
