//! Outcomes on their way from a worker to the recorder. They are written as lines where they are
//! made, while what they are made of is at hand, and handed over in bulk: no thread is woken for
//! one request.
//!
//! What is unwritten is bounded. A worker keeps its outcomes while the recorder is behind, and waits
//! where it has too many: backpressure, which is told as lateness of our own.
//!
//! Large outcomes are left to the recorder to write, since that takes time, and so are all where
//! somebody wants to see them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::record::outcomes;
use crate::replay::task::{Done, TargetSide};

/// Bytes of outcomes that are handed over at once, and how long they are gathered at most.
const BATCH_BYTES: usize = 64 << 10;
const HOLD_NS: i64 = 100_000_000;
/// An answer with a body up to this length is written by the worker: that takes some microseconds.
const SMALL_BODY: usize = 8 << 10;
/// About what an outcome takes beside its body.
const OUTCOME_BYTES: usize = 512;
/// Bytes that may wait for the recorder, of all workers; and for it to come below that, of one,
/// before the worker waits too.
const UNWRITTEN_BYTES: usize = 64 << 20;
const KEPT_BYTES: usize = 8 << 20;
/// How often a worker that waits for the recorder looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// Outcomes of one file as lines, and the account of them.
#[derive(Default)]
pub(in crate::replay) struct OutcomeLines {
    pub(in crate::replay) bytes: Vec<u8>,
    pub(in crate::replay) count: u64,
    /// Requests: sent, and not sent by reason.
    pub(in crate::replay) ledger: Ledger,
}

impl OutcomeLines {
    pub(in crate::replay) fn push(&mut self, outcome: &Outcome) {
        outcomes::write(&mut self.bytes, outcome);
        self.count += 1;
        match (&outcome.failure, outcome.sent_ns) {
            (Some(failure), None) => self.ledger.reject(failure.kind.name(), 1),
            _ => self.ledger.take(1),
        }
    }
}

/// What the recorder gets at once.
#[derive(Default)]
pub(in crate::replay) struct OutcomeBatch {
    pub(in crate::replay) target: OutcomeLines,
    pub(in crate::replay) baseline: OutcomeLines,
    pub(in crate::replay) done: Vec<Done>,
    /// Bytes of it that count as unwritten.
    pub(in crate::replay) weight: usize,
}

impl From<Vec<Done>> for OutcomeBatch {
    fn from(done: Vec<Done>) -> Self {
        Self { done, ..Self::default() }
    }
}

/// A worker's end of the way.
pub(in crate::replay) struct Outbox<'a> {
    to: SyncSender<OutcomeBatch>,
    unwritten: &'a AtomicUsize,
    observed: bool,
    batch: OutcomeBatch,
    /// When the batch is to be handed over, full or not; none while it is empty.
    due: Option<i64>,
    closed: bool,
}

impl<'a> Outbox<'a> {
    pub(in crate::replay) fn new(
        to: SyncSender<OutcomeBatch>,
        unwritten: &'a AtomicUsize,
        observed: bool,
    ) -> Self {
        Self { to, unwritten, observed, batch: OutcomeBatch::default(), due: None, closed: false }
    }

    /// The recorder is gone: the replay ends.
    pub(in crate::replay) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// When [`Self::hand_over`] is to be called at the latest.
    pub(in crate::replay) const fn due(&self) -> Option<i64> {
        self.due
    }

    /// Takes an outcome; `true` where it is time to hand over.
    pub(in crate::replay) fn add(&mut self, done: Done, now: i64) -> bool {
        let body = done.outcome.response.as_ref().map_or(0, |response| response.body.bytes.len());
        if self.observed || body > SMALL_BODY {
            self.batch.weight += OUTCOME_BYTES + body;
            self.batch.done.push(done);
        } else {
            let lines = match done.side {
                TargetSide::Target => &mut self.batch.target,
                TargetSide::Baseline => &mut self.batch.baseline,
            };
            if lines.bytes.capacity() == 0 {
                lines.bytes.reserve(BATCH_BYTES + 2 * SMALL_BODY);
            }
            let before = lines.bytes.len();
            lines.push(&done.outcome);
            self.batch.weight += lines.bytes.len() - before;
        }
        self.due.get_or_insert(now + HOLD_NS);
        self.batch.weight >= BATCH_BYTES
    }

    /// Hands the batch to the recorder. Where that is behind, the batch is kept for now; `true`
    /// where it had to be waited for.
    pub(in crate::replay) fn hand_over(&mut self, now: i64) -> bool {
        if self.due.is_none() {
            return false;
        }
        let behind = self.unwritten.load(Ordering::Relaxed) >= UNWRITTEN_BYTES;
        if behind && self.batch.weight < KEPT_BYTES {
            self.due = Some(now + HOLD_NS);
            return false;
        }
        if behind {
            return self.wait();
        }
        let batch = self.take();
        match self.to.try_send(batch) {
            Ok(()) => false,
            Err(TrySendError::Full(batch)) => {
                self.unwritten.fetch_sub(batch.weight, Ordering::Relaxed);
                self.batch = batch;
                self.due = Some(now + HOLD_NS);
                self.batch.weight >= KEPT_BYTES && self.wait()
            }
            Err(TrySendError::Disconnected(_)) => {
                self.closed = true;
                false
            }
        }
    }

    /// Hands over what is left; nothing comes after it.
    pub(in crate::replay) fn end(&mut self) {
        if self.due.is_some() {
            self.wait();
        }
    }

    /// Hands over as soon as the recorder takes it: it takes everything until it is gone.
    fn wait(&mut self) -> bool {
        while self.unwritten.load(Ordering::Relaxed) >= UNWRITTEN_BYTES {
            std::thread::sleep(PAUSE);
        }
        let batch = self.take();
        self.closed |= self.to.send(batch).is_err();
        true
    }

    fn take(&mut self) -> OutcomeBatch {
        self.due = None;
        let batch = std::mem::take(&mut self.batch);
        self.unwritten.fetch_add(batch.weight, Ordering::Relaxed);
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::message::{Body, Response};
    use crate::outcome::{Failure, FailureKind};
    use crate::replay::plan::spool::SpoolPlace;
    use crate::replay::task::Original;

    fn done(side: TargetSide, body: usize) -> Done {
        let response =
            Response { status: 200, body: Body::whole(vec![b'a'; body]), ..Response::default() };
        Done {
            side,
            route: 0,
            original: Original::default(),
            request: SpoolPlace::default(),
            filled: None,
            socket: None,
            outcome: Outcome { sent_ns: Some(1), response: Some(response), ..Outcome::default() },
        }
    }

    #[test]
    fn small_outcomes_go_as_lines_of_their_side_and_large_ones_as_they_are() {
        let (to, from) = sync_channel(4);
        let unwritten = AtomicUsize::new(0);
        let mut outbox = Outbox::new(to, &unwritten, false);
        assert_eq!(outbox.due(), None);
        assert!(
            !outbox.add(done(TargetSide::Target, 3), 10)
                && !outbox.add(done(TargetSide::Baseline, 3), 11)
        );
        assert_eq!(outbox.due(), Some(10 + HOLD_NS), "the oldest counts");
        assert!(!outbox.add(done(TargetSide::Target, SMALL_BODY + 1), 12));
        let failure = Some(Failure::new(FailureKind::Skipped, ""));
        outbox.add(
            Done {
                side: TargetSide::Target,
                route: 0,
                original: Original::default(),
                request: SpoolPlace::default(),
                filled: None,
                socket: None,
                outcome: Outcome { failure, ..Outcome::default() },
            },
            13,
        );
        assert!(!outbox.hand_over(14));
        let batch = from.try_recv().unwrap();
        assert_eq!((batch.target.count, batch.baseline.count, batch.done.len()), (2, 1, 1));
        assert_eq!(
            (batch.target.ledger.input, batch.target.ledger.rejected.get("skipped")),
            (2, Some(&1))
        );
        assert_eq!(batch.target.bytes.iter().filter(|&&byte| byte == b'\n').count(), 2);
        assert_eq!(unwritten.load(Ordering::Relaxed), batch.weight);
        assert!(outbox.add(done(TargetSide::Target, BATCH_BYTES), 20), "enough to hand over");
    }

    #[test]
    fn nothing_is_lost_where_the_recorder_is_behind() {
        let (to, from) = sync_channel(1);
        let unwritten = AtomicUsize::new(UNWRITTEN_BYTES);
        let mut outbox = Outbox::new(to, &unwritten, true);
        outbox.add(done(TargetSide::Target, 1), 0);
        assert!(!outbox.hand_over(5));
        assert!(from.try_recv().is_err(), "kept while too much is unwritten");
        assert_eq!(outbox.due(), Some(5 + HOLD_NS), "and tried again later, not at once");
        unwritten.store(0, Ordering::Relaxed);
        outbox.hand_over(6);
        outbox.add(done(TargetSide::Target, 1), 7);
        outbox.hand_over(8);
        assert_eq!(outbox.due(), Some(8 + HOLD_NS), "kept while the queue is full");
        assert_eq!(from.try_recv().unwrap().done.len(), 1);
        outbox.end();
        assert_eq!(from.try_recv().unwrap().done.len(), 1);
        assert!(!outbox.is_closed());
        drop(from);
        outbox.add(done(TargetSide::Target, 1), 9);
        outbox.end();
        assert!(outbox.is_closed());
    }
}
