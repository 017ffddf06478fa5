//! What moves between the threads of a replay: tasks from the feeder to the workers, outcomes from
//! the workers to the recorder, and the few numbers that all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use super::plan::{Load, StepKind};
use crate::message::Response;
use crate::outcome::{Failure, FailureKind, Outcome, ReplayId};
use crate::replay::plan::spool::Place;

/// Something a worker has to do at a time.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Open the lane's connection, send a request on it, or close it.
    pub(super) kind: StepKind,
    pub(super) id: ReplayId,
    pub(super) lane: u64,
    /// When, on the replay's clock.
    pub(super) due: i64,
    /// When its client sent it, and when it had its answer, on the plan's clock: what of the lane
    /// it comes after, and what comes after it.
    pub(super) when: i64,
    pub(super) answered: i64,
    /// The client's think time after the last of them, at the replay's pace.
    pub(super) think: i64,
    pub(super) load: Load,
    /// The request, or its first part where the rest is streamed from the spool.
    pub(super) bytes: Bytes,
    /// It was on a connection that v2 closed before it answered, and is sent again.
    pub(super) again: bool,
    /// It was the next to be answered then.
    pub(super) blamed: bool,
}

impl Task {
    /// How many bytes are to be streamed from the spool behind [`Self::bytes`].
    pub(super) fn rest(&self) -> u64 {
        self.load.place.length - self.bytes.len() as u64
    }
}

/// Which target an outcome is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// v2.
    Target,
    /// v1 in staging.
    Baseline,
}

/// An outcome on its way to the file.
pub(super) struct Done {
    pub(super) side: Side,
    pub(super) route: u16,
    /// Where the spool holds its request.
    pub(super) request: Place,
    pub(super) outcome: Outcome,
}

/// An answer, or the want of one. Times as in an [`Outcome`].
pub(super) struct Answer {
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    pub(super) response: Option<Response>,
    pub(super) failure: Option<Failure>,
}

impl Answer {
    pub(super) fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Failure::new(kind, detail).into()
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { first: None, last: None, response: None, failure: Some(failure) }
    }
}

/// Read-ahead that the workers have not used up yet.
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

/// Set to end the replay early.
#[derive(Default)]
pub struct Stop {
    set: AtomicBool,
    program: Option<Arc<crate::stop::Stop>>,
}

impl Stop {
    /// Set as well once the whole program shall end.
    pub fn below(program: Arc<crate::stop::Stop>) -> Self {
        Self { set: AtomicBool::new(false), program: Some(program) }
    }

    /// Ends the replay within a second.
    pub fn set(&self) {
        self.set.store(true, Ordering::Release);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
            || self.program.as_ref().is_some_and(|program| program.is_told())
    }
}
