//! What happened second by second, for each side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::{SIDES, Side};
use crate::limits;
use crate::time::NANOS_PER_SEC;

/// One second (or step) of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Requests that were sent (v1: whose replay was sent) in it.
    pub requests: u64,
    /// Those of them that ended in an error.
    pub errors: u64,
    /// Answers by the first digit of their status; at 0 the requests that failed.
    pub classes: [u64; CLASSES],
    /// Latencies from sent.
    pub latency: Histogram,
    /// The replayer's own lateness; empty for v1.
    pub lateness: Histogram,
}

/// Classes of status codes (RFC 9110 §15), and one for failures.
pub const CLASSES: usize = 6;

/// How one request ended, as a timeline counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestEnding {
    /// Whether it was an error.
    pub(super) error: bool,
    /// The status; none of a failure.
    pub(super) status: Option<u16>,
    /// The answer was left open, as v1's was.
    pub(super) open: bool,
    /// Latency from sent.
    pub(super) latency: Option<i64>,
}

impl Cell {
    /// Adds a request.
    pub(super) fn add(&mut self, ending: RequestEnding) {
        self.requests += 1;
        self.errors += u64::from(ending.error);
        if !ending.open {
            let class = usize::from(ending.status.unwrap_or(0) / 100);
            self.classes[class.min(CLASSES - 1)] += 1;
        }
        if let Some(latency) = ending.latency {
            self.latency.record(latency);
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.classes.iter_mut().zip(other.classes).for_each(|(mine, other)| *mine += other);
        self.latency.merge(&other.latency);
        self.lateness.merge(&other.lateness);
    }
}

/// Steps from the start of the replay; a step is one second, or more in a run of more than
/// [`limits::TIMELINE_STEPS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds to a step.
    step: i64,
    cells: BTreeMap<i64, [Cell; SIDES]>,
    most: usize,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::with_limit(limits::TIMELINE_STEPS)
    }
}

impl Timeline {
    /// A timeline of at most `most` steps.
    pub fn with_limit(most: usize) -> Self {
        Self { step: 1, cells: BTreeMap::new(), most: most.max(1) }
    }

    /// The cell of a side at `at_ns` from the start of the replay.
    pub fn cell(&mut self, side: Side, at_ns: i64) -> &mut Cell {
        let second = at_ns.div_euclid(NANOS_PER_SEC);
        while self.cells.len() >= self.most
            && !self.cells.contains_key(&second.div_euclid(self.step))
        {
            self.coarsen();
        }
        &mut self.cells.entry(second.div_euclid(self.step)).or_default()[side as usize]
    }

    /// Seconds to a step.
    pub const fn step(&self) -> i64 {
        self.step
    }

    /// The steps that hold anything: their first second and the three sides.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &[Cell; SIDES])> {
        self.cells.iter().map(|(&key, cells)| (key * self.step, cells))
    }

    /// The same in at most `most` steps, for a picture.
    #[must_use]
    pub fn at_most(&self, most: usize) -> Self {
        let mut coarse = self.clone();
        let span = |timeline: &Self| match (
            timeline.cells.keys().next(),
            timeline.cells.keys().next_back(),
        ) {
            (Some(first), Some(last)) => last.abs_diff(*first) as usize,
            _ => 0,
        };
        while span(&coarse) > most {
            coarse.coarsen();
        }
        coarse
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while other.step < self.step {
            other.coarsen();
        }
        while self.step < other.step {
            self.coarsen();
        }
        for (key, cells) in other.cells {
            let mine = self.cells.entry(key).or_default();
            mine.iter_mut().zip(&cells).for_each(|(mine, cell)| mine.merge(cell));
        }
        while self.cells.len() > self.most {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        for (key, cells) in std::mem::take(&mut self.cells) {
            let pair = self.cells.entry(key.div_euclid(2)).or_default();
            pair.iter_mut().zip(&cells).for_each(|(mine, cell)| mine.merge(cell));
        }
        self.step *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_gets_longer_steps_and_loses_nothing() {
        let mut timeline = Timeline::with_limit(4);
        for second in 0..100 {
            timeline.cell(Side::V2, second * NANOS_PER_SEC + 5).requests += 1;
        }
        assert!(timeline.iter().len() <= 4, "{timeline:?}");
        assert_eq!(timeline.step(), 32);
        assert_eq!(
            timeline.iter().map(|(_, cells)| cells[Side::V2 as usize].requests).sum::<u64>(),
            100
        );
        assert_eq!(timeline.iter().map(|(second, _)| second).collect::<Vec<_>>(), [0, 32, 64, 96]);
    }

    #[test]
    fn instants_at_both_ends_of_time_are_taken() {
        let mut timeline = Timeline::with_limit(2);
        for at in [i64::MIN, -1, 0, i64::MAX] {
            timeline.cell(Side::V1, at).requests += 1;
        }
        assert_eq!(timeline.at_most(10).iter().map(|(_, cells)| cells[0].requests).sum::<u64>(), 4);
    }
}
