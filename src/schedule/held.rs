//! Whether a schedule was held, judged by how many requests were sent late, and not by the one that
//! was latest: with fewer than a hundred requests the 99th percentile is the slowest of all, and
//! one stall of the machine says nothing about the run.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The share of requests that may be later than the limit: what a limit of the 99th percentile
/// means.
pub const LATE_SHARE: f64 = 0.01;
/// How seldom a run that is late just as often as it may be is called late all the same.
const ALPHA: f64 = 0.05;

/// Whether `late` of `sent` requests, those beyond the limit, still fit to a run that is late once
/// in a hundred times: false where so many would be seen in less than one of twenty such runs (the
/// exact binomial test, one-sided).
pub fn held(late: u64, sent: u64) -> bool {
    if late as f64 <= sent as f64 * LATE_SHARE {
        return true;
    }
    Binomial::new(LATE_SHARE, sent).is_ok_and(|requests| 1.0 - requests.cdf(late - 1) >= ALPHA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_request_of_a_few_is_no_late_run_and_several_are() {
        let first_broken = |sent: u64| (0..=sent).find(|&late| !held(late, sent));
        // By hand: 1 − 0.99⁵ = 0.049, 1 − 0.99⁸⁰ − 80 · 0.01 · 0.99⁷⁹ = 0.19.
        assert_eq!(
            [0, 1, 5, 6, 80, 1_000, 100_000].map(first_broken),
            [None, Some(1), Some(1), Some(2), Some(3), Some(16), Some(1_053)]
        );
    }

    #[test]
    fn more_late_requests_never_make_it_hold() {
        for sent in 1..300 {
            let verdicts: Vec<bool> = (0..=sent).map(|late| held(late, sent)).collect();
            assert!(verdicts.is_sorted_by(|before, after| before >= after), "{sent}: {verdicts:?}");
            assert!(!verdicts[sent as usize], "all {sent} late");
        }
    }
}
