//! Idle times cut short: captured times as they would have been had nobody waited so long.

/// A time without requests that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// From here on nothing passes, up to `until`.
    from: i64,
    until: i64,
    /// All that was cut before.
    before: i64,
}

/// Maps captured times to ones without long gaps. Order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Of the times of all requests, in order: gaps longer than `longest` nanoseconds are cut to
    /// that. 24 bytes for each that is.
    pub fn new<E>(times: impl Iterator<Item = Result<i64, E>>, longest: i64) -> Result<Self, E> {
        let (mut gaps, mut cut) = (Vec::new(), 0_i64);
        let mut last: Option<i64> = None;
        for time in times {
            let time = time?;
            if let Some(last) = last
                && time.saturating_sub(last) > longest
            {
                let from = last.saturating_add(longest);
                gaps.push(Gap { from, until: time, before: cut });
                cut = cut.saturating_add(time.saturating_sub(from));
            }
            last = Some(time);
        }
        Ok(Self(gaps))
    }

    /// When a captured time is without the gaps.
    pub fn map(&self, time: i64) -> i64 {
        let after = self.0.partition_point(|gap| gap.from <= time);
        let Some(gap) = after.checked_sub(1).map(|at| self.0[at]) else { return time };
        let within = time.min(gap.until).saturating_sub(gap.from);
        time.saturating_sub(gap.before).saturating_sub(within)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gaps(times: &[i64], longest: i64) -> Gaps {
        let all: Result<Gaps, ()> = Gaps::new(times.iter().copied().map(Ok), longest);
        all.unwrap_or_default()
    }

    #[test]
    fn only_long_gaps_are_cut() {
        let gaps = gaps(&[100, 105, 205, 206, 1_206], 10);
        let mapped =
            [50, 100, 105, 115, 160, 205, 206, 216, 700, 1_206, 1_300].map(|t| gaps.map(t));
        assert_eq!(mapped, [50, 100, 105, 115, 115, 115, 116, 126, 126, 126, 220]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn order_stays_and_no_gap_is_longer(mut times: Vec<u16>, longest in 1i64..500) {
            times.sort_unstable();
            let times: Vec<i64> = times.into_iter().map(i64::from).collect();
            let gaps = gaps(&times, longest);
            for pair in times.windows(2) {
                let (before, now) = (gaps.map(pair[0]), gaps.map(pair[1]));
                prop_assert_eq!(now - before, (pair[1] - pair[0]).min(longest));
                let between = gaps.map(pair[0] + (pair[1] - pair[0]) / 2);
                prop_assert!(before <= between && between <= now);
            }
        }
    }
}
