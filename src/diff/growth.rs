//! Numbers that grow from one request to the next: they count requests, and a version that was
//! started at another time has others.
//!
//! Order alone does not tell them from what a client asked for in that order (pages, ids), nor from
//! what it added up (a cart's total). So a number must grow by one with each request of its route,
//! or of all, while these come in no order of their own; or its name must say that it counts.

use bytes::Bytes;

/// Least answers that show how a number grows.
const SAMPLES: u32 = 8;

/// How the numbers of a place grow, v1's and v2's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Growth {
    samples: u32,
    first: [f64; 2],
    last: [f64; 2],
    /// The number of the last answer, of its route and of all.
    ranks: [u64; 2],
    first_rank: u64,
    /// Steps up.
    ups: [u32; 2],
    /// … by as many as there were requests of the route, and of all.
    in_step: [[u32; 2]; 2],
    /// Whether there was a fraction.
    is_broken: bool,
}

impl Growth {
    /// Adds v1's and v2's number of the answer that is this one of its route, and of all.
    pub(super) fn add(&mut self, numbers: [f64; 2], ranks: [u64; 2]) {
        if self.samples == 0 {
            (self.first, self.first_rank) = (numbers, ranks[0]);
        } else {
            for (side, number) in numbers.into_iter().enumerate() {
                let step = number - self.last[side];
                self.ups[side] += u32::from(step > 0.0);
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

/// Whether numbers that differ in `live` answers count requests on both sides. `is_named` says that
/// they are called so, `in_order` that the requests came in an order of their own.
pub(super) fn counts_up(growth: &Growth, live: u64, is_named: bool, in_order: bool) -> bool {
    /// How much further v2 may have got than v1.
    const FURTHER: f64 = 1.25;
    /// … and how far it must have got, of what it was asked.
    const LEAST: f64 = 0.75;
    let Growth { samples, first, last, ups, in_step, .. } = *growth;
    if samples < SAMPLES || u64::from(samples) * 2 < live || growth.is_broken {
        return false;
    }
    let steps = samples - 1;
    if !ups.iter().all(|&ups| ups * 10 >= steps * 9) {
        return false;
    }
    let [v1, v2] = [0, 1].map(|side| last[side] - first[side]);
    let asked = (growth.ranks[0] - growth.first_rank) as f64;
    let alike = v2 <= v1 * FURTHER && v2 >= v1.min(asked) * LEAST;
    let by_one = (0..2).any(|way| in_step.iter().all(|side| side[way] * 4 >= steps * 3));
    alike && (is_named || by_one && !in_order)
}

/// Whether what a route is asked for comes in an order of its own: by the last number in its
/// targets, or as texts.
#[derive(Clone, Debug, Default)]
pub(super) struct AskedOrder {
    steps: u32,
    last: Option<(Bytes, Option<u64>)>,
    /// Steps up and down, of texts and of numbers.
    texts: [u32; 2],
    numbers: [u32; 2],
}

impl AskedOrder {
    /// Adds the next target.
    pub(super) fn add(&mut self, target: &Bytes) {
        let number = last_number(target);
        if let Some((text, before)) = &self.last {
            self.steps += 1;
            self.texts[0] += u32::from(target > text);
            self.texts[1] += u32::from(target < text);
            self.numbers[0] += u32::from(number > *before);
            self.numbers[1] += u32::from(number < *before);
        }
        self.last = Some((target.clone(), number));
    }

    /// Whether three of four steps go one way.
    pub(super) fn is_one(&self) -> bool {
        let mut ways = self.texts.iter().chain(&self.numbers);
        self.steps > 0 && ways.any(|&steps| steps * 4 >= self.steps * 3)
    }
}

/// The last number in a target, as far as its last digits go.
fn last_number(target: &[u8]) -> Option<u64> {
    const DIGITS: usize = 18;
    let end = target.iter().rposition(u8::is_ascii_digit)? + 1;
    let digits = target[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let start = end - digits.min(DIGITS);
    Some(target[start..end].iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: impl Iterator<Item = [u32; 2]>, is_named: bool, in_order: bool) -> bool {
        let mut growth = Growth::default();
        let mut samples = 0;
        for (rank, pair) in numbers.enumerate() {
            growth.add(pair.map(f64::from), [rank as u64, 3 * rank as u64]);
            samples += 1;
        }
        counts_up(&growth, samples, is_named, in_order)
    }

    #[test]
    fn what_counts_requests_grows_by_one_with_each_or_is_called_so() {
        assert!(counted((0..20).map(|n| [17 + n, 900 + n]), false, false));
        assert!(counted((0..20).map(|n| [17 + 3 * n, 1 + 3 * n]), false, false), "of all routes");
        assert!(counted((0..20).map(|n| [17 + 5 * n, 1 + 5 * n]), true, true), "by its name");
        assert!(counted((0..20).map(|n| [17 + 5 * n, 1 + n]), true, false), "v1 had others too");
        assert!(!counted((0..20).map(|n| [17 + n, 900 + n]), false, true), "as it was asked");
        assert!(!counted((0..20).map(|n| [17 + 5 * n, 1 + 5 * n]), false, false), "adds up");
        assert!(!counted((0..7).map(|n| [17 + n, 900 + n]), true, false), "few");
        for named in [false, true] {
            assert!(!counted((0..20).map(|n| [17 + n, 18 + 2 * n]), named, false), "twice");
            assert!(!counted((0..20).map(|n| [17 + n, 90 - n]), named, false), "down");
            assert!(!counted((0..20).map(|n| [17 + n, 18]), named, false), "stays");
            assert!(
                !counted((0..20).map(|n| [n * 7 % 11, 1 + n * 7 % 11]), named, false),
                "no order"
            );
        }
    }

    #[test]
    fn an_order_of_targets_is_seen_in_numbers_and_in_texts() {
        let order = |targets: &[&str]| {
            let mut order = AskedOrder::default();
            targets.iter().for_each(|target| order.add(&Bytes::copy_from_slice(target.as_bytes())));
            order.is_one()
        };
        assert!(order(&["/a?page=8", "/a?page=9", "/a?page=10", "/a?page=11"]));
        assert!(order(&["/a/9", "/a/8", "/a/7"]));
        assert!(order(&["/u/anna", "/u/ben", "/u/carl"]));
        assert!(!order(&["/a", "/a", "/a"]));
        assert!(!order(&["/u/ben", "/u/zoe", "/u/anna", "/u/carl", "/u/abe"]));
    }
}
