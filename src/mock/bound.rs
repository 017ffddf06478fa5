//! Values that v2 made up itself (a receipt's UUID, an order's number), with those that v1 made up
//! in their place: what is said of the one later is said of the other.

use rustc_hash::FxHashSet;

use crate::limits::MOCK_BINDINGS;

/// Pairs of hashes of texts, v2's and v1's.
#[derive(Debug, Default)]
pub(super) struct BoundValues(FxHashSet<(u64, u64)>);

impl BoundValues {
    /// Keeps a pair, up to a number of them.
    pub(super) fn add(&mut self, v2: u64, v1: u64) {
        if self.0.len() < MOCK_BINDINGS {
            self.0.insert((v2, v1));
        }
    }

    /// Whether v2's value stands for v1's.
    pub(super) fn are_one(&self, v2: u64, v1: u64) -> bool {
        self.0.contains(&(v2, v1))
    }
}
