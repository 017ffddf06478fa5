//! Latencies cut into blocks of time, at most [`MOST`] of them: what tells a slow version from one
//! hiccup.
//!
//! Neighbours in time are slow together. An interval that takes every request for an independent
//! witness is too narrow then; how much too narrow is seen by counting the slow ones block by block
//! (`gate::statistics`). The width of a block doubles as the span grows, so any run has between
//! half of [`MOST`] and [`MOST`] blocks, whatever its length.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Most blocks of a series.
pub const MOST: usize = 64;

/// Width at the start, as a power of two in nanoseconds: about a millisecond.
const FIRST_WIDTH: u32 = 20;

/// A series of histograms over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocks {
    /// Width of a block: 2 to this power, in nanoseconds.
    width: u32,
    /// Number of the first block: time divided by the width.
    first: i64,
    /// Neighbouring blocks; the first and the last are not empty.
    blocks: Vec<Histogram>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, first: 0, blocks: Vec::new() }
    }
}

impl Blocks {
    /// Adds a duration that was measured at the instant `at` (any origin, the same for a series).
    pub fn record(&mut self, at: i64, nanos: i64) {
        self.at(at).record(nanos);
    }

    /// The block of an instant, made where it is not there.
    fn at(&mut self, at: i64) -> &mut Histogram {
        if self.blocks.is_empty() {
            self.first = at >> self.width;
            self.blocks.push(Histogram::default());
        }
        loop {
            let last = self.first + self.blocks.len() as i64 - 1;
            let number = at >> self.width;
            if last.max(number) - self.first.min(number) < MOST as i64 {
                if number < self.first {
                    let missing = (self.first - number) as usize;
                    self.blocks.splice(0..0, std::iter::repeat_n(Histogram::default(), missing));
                    self.first = number;
                }
                let index = (number - self.first) as usize;
                if index >= self.blocks.len() {
                    self.blocks.resize(index + 1, Histogram::default());
                }
                return &mut self.blocks[index];
            }
            self.double();
        }
    }

    /// Joins neighbours in pairs.
    fn double(&mut self) {
        let first = self.first >> 1;
        let mut joined: Vec<Histogram> = Vec::with_capacity(MOST);
        for (index, block) in std::mem::take(&mut self.blocks).into_iter().enumerate() {
            let to = (((self.first + index as i64) >> 1) - first) as usize;
            match joined.get_mut(to) {
                Some(pair) => pair.merge(&block),
                None => joined.push(block),
            }
        }
        (self.blocks, self.first, self.width) = (joined, first, self.width + 1);
    }

    /// Adds all of another series with the same origin.
    pub fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.double();
        }
        let mut other = other.clone();
        while other.width < self.width {
            other.double();
        }
        for (index, block) in other.blocks.iter().enumerate() {
            if block.count() > 0 {
                // `at` may double the width on the way; the instant stays inside the joined block.
                self.at((other.first + index as i64) << other.width).merge(block);
            }
        }
    }

    /// All blocks as one.
    pub fn whole(&self) -> Histogram {
        let mut whole = Histogram::default();
        self.blocks.iter().for_each(|block| whole.merge(block));
        whole
    }

    /// The blocks, in the order of time.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Histogram> {
        self.blocks.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_and_split_do_not_matter_and_nothing_is_lost(
            mut events in prop::collection::vec(
                (-1_000_000_000_000i64..1_000_000_000_000, 0i64..1_000_000),
                1..200,
            ),
            split in 0usize..200
        ) {
            let fill = |events: &[(i64, i64)]| {
                let mut blocks = Blocks::default();
                events.iter().for_each(|&(at, nanos)| blocks.record(at, nanos));
                blocks
            };
            let all = fill(&events);
            prop_assert!(all.iter().len() <= MOST);
            prop_assert_eq!(all.whole().count(), events.len() as u64);
            let split = split.min(events.len());
            let mut merged = fill(&events[..split]);
            merged.merge(&fill(&events[split..]));
            prop_assert_eq!(&merged, &all);
            events.reverse();
            prop_assert_eq!(&fill(&events), &all);
        }
    }

    #[test]
    fn instants_at_both_ends_of_time_are_taken() {
        let mut blocks = Blocks::default();
        for at in [i64::MIN, 0, i64::MAX, 5] {
            blocks.record(at, 1);
        }
        assert_eq!(blocks.whole().count(), 4);
        assert!(blocks.iter().len() <= MOST);
    }
}
