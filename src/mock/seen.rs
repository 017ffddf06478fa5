//! When each value that names something was said first: a call that says it later did not make it
//! up.

use rustc_hash::FxHashMap;

use crate::time::Timestamp;

/// When each value was said first, by its hash.
#[derive(Debug, Default)]
pub(super) struct SeenValues(FxHashMap<u64, Timestamp>);

impl SeenValues {
    pub(super) fn add(&mut self, name: u64, at: Timestamp) {
        let first = self.0.entry(name).or_insert(at);
        *first = at.min(*first);
    }

    /// Whether a value was there before a call that was made at `at`.
    pub(super) fn before(&self, name: u64, at: Timestamp) -> bool {
        self.0.get(&name).is_some_and(|first| *first < at)
    }
}
