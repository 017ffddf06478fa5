//! Tokens that a redacted recording holds, so that they are known where v2 repeats them.

use std::hash::{BuildHasher as _, RandomState};

use rustc_hash::FxHashSet;

use crate::limits;

/// A token of this length is known in the answer to any request; a shorter one only in the answer
/// to the request that had it, as among many short values some would be equal by chance.
const SHORTEST_KNOWN: usize = 8;

/// Tokens that requests of a redacted recording hold: v2 may have kept them, and show them later.
#[derive(Debug, Default)]
pub struct KnownTokens {
    hashes: FxHashSet<u64>,
    /// By a key of its own: what v2 answers cannot be made to look like a token.
    hasher: RandomState,
    more: u64,
}

impl KnownTokens {
    pub(super) fn add(&mut self, token: &[u8]) {
        if token.len() < SHORTEST_KNOWN {
            return;
        }
        let hash = self.hasher.hash_one(token);
        if self.hashes.len() < limits::KNOWN_TOKENS {
            self.hashes.insert(hash);
        } else if !self.hashes.contains(&hash) {
            self.more += 1;
        }
    }

    pub(super) fn holds(&self, value: &[u8]) -> bool {
        value.len() >= SHORTEST_KNOWN && self.hashes.contains(&self.hasher.hash_one(value))
    }

    /// Tokens for which there was no room.
    pub const fn left_out(&self) -> u64 {
        self.more
    }
}
