//! Numbers that grow from one request to the next: they count requests, and a version that was
//! started at another time has others.
//!
//! Order alone does not tell them from numbers of orders, from stocks and from what a client asked
//! for in that order. So a number must be called a count of requests, and grow by one with each
//! request of its route, or of all, on both sides and in every answer.

/// Least answers that show how a number grows.
const SAMPLES: u32 = 8;

/// How the numbers of a place grow, v1's and v2's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Growth {
    samples: u32,
    last: [f64; 2],
    /// The number of the last answer, of its route and of all.
    ranks: [u64; 2],
    /// Steps by as many as there were requests of the route, and of all.
    in_step: [[u32; 2]; 2],
    /// Steps by which they rose.
    rises: [u32; 2],
    /// Whether there was a fraction.
    is_broken: bool,
}

impl Growth {
    /// Adds v1's and v2's number of the answer that is this one of its route, and of all.
    pub(super) fn add(&mut self, numbers: [f64; 2], ranks: [u64; 2]) {
        if self.samples > 0 {
            for (side, number) in numbers.into_iter().enumerate() {
                let step = number - self.last[side];
                self.rises[side] += u32::from(step > 0.0);
                for (way, counted) in self.in_step[side].iter_mut().enumerate() {
                    let requests = ranks[way].saturating_sub(self.ranks[way]);
                    *counted += u32::from((step - requests as f64).abs() < 0.5);
                }
            }
        }
        self.samples += 1;
        (self.last, self.ranks) = (numbers, ranks);
        self.is_broken |= numbers.iter().any(|number| number.fract() != 0.0);
    }
}

impl Growth {
    /// Whether enough numbers rose from one answer to the next on both sides, as a counter's do. Of
    /// requests under way together the later one may be answered first.
    pub(super) fn rises(&self) -> bool {
        const ENOUGH: u32 = 5;
        let steps = self.samples.saturating_sub(1);
        self.samples >= ENOUGH && self.rises.iter().all(|rises| rises * 10 >= steps * 7)
    }
}

/// Whether numbers that stand in `compared` answers count requests on both sides.
pub(super) fn counts_up(growth: &Growth, compared: u64) -> bool {
    let Growth { samples, in_step, .. } = *growth;
    // A counter that began elsewhere differs everywhere; one that is wrong now and then does not.
    if samples < SAMPLES || u64::from(samples) * 10 < compared * 9 || growth.is_broken {
        return false;
    }
    let steps = samples - 1;
    (0..2).any(|way| in_step.iter().all(|side| side[way] * 10 >= steps * 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: impl Iterator<Item = [u32; 2]>, left_out: u64) -> bool {
        let mut growth = Growth::default();
        let mut samples = 0;
        for (rank, pair) in numbers.enumerate() {
            growth.add(pair.map(f64::from), [rank as u64, 3 * rank as u64]);
            samples += 1;
        }
        counts_up(&growth, samples + left_out)
    }

    #[test]
    fn what_counts_requests_grows_by_one_with_each() {
        assert!(counted((0..20).map(|n| [17 + n, 900 + n]), 0));
        assert!(counted((0..20).map(|n| [17 + 3 * n, 1 + 3 * n]), 0), "of all routes");
        assert!(!counted((0..20).map(|n| [17 + n, 18 + n]), 5), "not in every answer");
        assert!(!counted((0..20).map(|n| [17 + 5 * n, 1 + 5 * n]), 0), "adds up");
        assert!(!counted((0..20).map(|n| [17 + n, 18 + 2 * n]), 0), "twice");
        assert!(!counted((0..20).map(|n| [17 + n, 18 + n - n / 5]), 0), "some were lost");
        assert!(!counted((0..20).map(|n| [17 + n, 90 - n]), 0), "down");
        assert!(!counted((0..20).map(|n| [17 + n, 18]), 0), "stays");
        assert!(!counted((0..7).map(|n| [17 + n, 900 + n]), 0), "few");
    }
}
