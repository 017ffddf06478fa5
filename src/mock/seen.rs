//! When each value that names something was said first: a call that says it later did not make it
//! up.

use rustc_hash::FxHashMap;

use super::hashing::hash;
use super::moving::SaidTime;
use crate::time::Timestamp;

/// A time among the values.
fn time_name(time: SaidTime) -> u64 {
    hash(time.pack(), 7, b"")
}

/// When each value was said first, by its hash; and each time, by a client.
#[derive(Debug, Default)]
pub(super) struct SeenValues(FxHashMap<u64, Timestamp>);

impl SeenValues {
    pub(super) fn add(&mut self, name: u64, at: Timestamp) {
        let first = self.0.entry(name).or_insert(at);
        *first = at.min(*first);
    }

    /// Adds a time that a client said, where it is none of now: what v1 says of it moves with no
    /// clock.
    pub(super) fn add_time(&mut self, time: SaidTime, at: Timestamp) {
        if !time.is_near(at) {
            self.add(time_name(time), at);
        }
    }

    /// Whether a client said a time before a call that was made at `at`.
    pub(super) fn time_before(&self, time: SaidTime, at: Timestamp) -> bool {
        self.before(time_name(time), at)
    }

    /// Whether a value was there before a call that was made at `at`.
    pub(super) fn before(&self, name: u64, at: Timestamp) -> bool {
        self.0.get(&name).is_some_and(|first| *first < at)
    }
}
