//! The few numbers that all threads of a replay share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// Read-ahead that the workers have not used up yet: the backpressure on the feeder, which reads no
/// further while there is too much.
#[derive(Default)]
pub(super) struct Budget {
    pub(super) tasks: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    /// There was no room for requests that were due: the ones before them waited for v2.
    pub(super) stalled: AtomicBool,
}

impl Budget {
    pub(super) fn take(&self, tasks: usize, bytes: usize) {
        self.tasks.fetch_add(tasks, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, tasks: usize, bytes: usize) {
        self.tasks.fetch_sub(tasks, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A worker's counts for the progress line; written by it alone.
#[derive(Default)]
pub(super) struct Live {
    pub(super) sent: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Whole answers with a status of 5xx.
    pub(super) server_errors: AtomicU64,
    pub(super) connections: AtomicU64,
    /// 99th percentile of the lateness of the last second or so, in nanoseconds.
    pub(super) lateness_p99: AtomicI64,
    /// Tasks that are due and wait on their lanes.
    pub(super) waiting: AtomicU64,
}

/// Adds to a count that only this thread writes.
pub(super) fn bump(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Lowers a count that only this thread writes.
pub(super) fn lower(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
}
