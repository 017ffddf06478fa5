//! Values that v2 made up itself (a receipt's UUID, an order's number), with those that v1 made up
//! in their place: what is said of the one later is said of the other.
//!
//! Beside them, by place: what each of v2's values stands for there, and where v2 says what v1 said
//! itself, since both read it from where it is kept.

use rustc_hash::{FxHashMap, FxHashSet};

use super::hashing::value_at;
use crate::limits::{MOCK_BINDINGS, MOCK_SAMPLED_PLACES};

/// So many values of v1's that v2 says as well show that they are read, not made up.
const READ: usize = 2;

/// Pairs of hashes of texts, v2's and v1's.
#[derive(Debug, Default)]
pub(super) struct BoundValues {
    pairs: FxHashSet<(u64, u64)>,
    /// By place and v2's text: v1's.
    said: FxHashMap<u64, u64>,
    /// By place: the first few texts that both say.
    read: FxHashMap<u64, Vec<u64>>,
}

impl BoundValues {
    /// Keeps a pair, up to a number of them.
    pub(super) fn add(&mut self, v2: u64, v1: u64) {
        if self.pairs.len() < MOCK_BINDINGS {
            self.pairs.insert((v2, v1));
        }
    }

    /// Whether v2's value stands for v1's.
    pub(super) fn are_one(&self, v2: u64, v1: u64) -> bool {
        self.pairs.contains(&(v2, v1))
    }

    /// v2 said a value at a place where v1 said one of its own.
    pub(super) fn say(&mut self, place: u64, v2: u64, v1: u64) {
        if self.said.len() < MOCK_BINDINGS {
            self.said.entry(value_at(place, false, v2)).or_insert(v1);
        }
    }

    /// Whether v2's value stands for another one of v1's at this place.
    pub(super) fn is_of_another(&self, place: u64, v2: u64, v1: u64) -> bool {
        self.said.get(&value_at(place, false, v2)).is_some_and(|known| *known != v1)
    }

    /// v2 said what v1 said at a place, and nobody else before.
    pub(super) fn read(&mut self, place: u64, text: u64) {
        if self.read.len() >= MOCK_SAMPLED_PLACES && !self.read.contains_key(&place) {
            return;
        }
        let texts = self.read.entry(place).or_default();
        if texts.len() < READ && !texts.contains(&text) {
            texts.push(text);
        }
    }

    /// Whether v2 reads what it says at a place.
    pub(super) fn is_read(&self, place: u64) -> bool {
        self.read.get(&place).is_some_and(|texts| texts.len() >= READ)
    }
}
