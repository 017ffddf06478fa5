//! Who waits for whom between lanes: requests that were read ahead and have no answer yet, and
//! those that must not go before.
//!
//! Requests are read in the order of their time, and one waits only for such as were answered
//! before it was sent in the recording. So what it waits for was read before it or is not replayed
//! at all, and no circle can come about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::outcome::ReplayId;
use crate::replay::side::TargetSide;

/// A request of one side, or something on its WebSocket.
pub(super) type Key = (TargetSide, ReplayId, Point);

/// What of an exchange is waited for, or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Point {
    /// Its request, and the answer; of a WebSocket that it is open.
    Whole,
    /// The message of its client with this number.
    Word(u32),
    /// The message of v2's with this number.
    Heard(u32),
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Waits<T> {
    running: FxHashMap<Key, Running<T>>,
    /// When those that wait have waited long enough; by time.
    deadlines: BinaryHeap<Reverse<(i64, ReplayId, Point, bool, Patience)>>,
}

#[derive(Debug)]
struct Running<T> {
    /// What it goes with.
    order: T,
    /// Answers that it waits for, by how long; none once it may go.
    waits: Option<[u32; 2]>,
    /// When the last of those that it waited for came.
    free: i64,
    waiters: Vec<(Key, Patience)>,
}

/// How long a request waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Patience {
    /// For what others just did: not longer than by which v2 may be slower.
    Short,
    /// For what it needs.
    Long,
}

/// What a request waits for, and until when at most.
pub(super) struct Behind<I> {
    pub(super) answers: I,
    pub(super) until: i64,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self { running: FxHashMap::default(), deadlines: BinaryHeap::new() }
    }
}

/// Nothing to wait for.
pub(super) fn nothing() -> Behind<std::iter::Empty<(ReplayId, Point)>> {
    Behind { answers: std::iter::empty(), until: i64::MAX }
}

impl<T> Waits<T> {
    /// A request that must not go before the answers of `needed` and `others`, as far as these are
    /// under way, and not for ever. Gives whether it may go at once.
    pub(super) fn add(
        &mut self,
        key: Key,
        order: T,
        needed: Behind<impl Iterator<Item = (ReplayId, Point)>>,
        others: Behind<impl Iterator<Item = (ReplayId, Point)>>,
    ) -> bool {
        let waits =
            [self.wait(key, others, Patience::Short), self.wait(key, needed, Patience::Long)];
        let waits = (waits != [0, 0]).then_some(waits);
        let running = Running { order, waits, free: i64::MIN, waiters: Vec::new() };
        self.running.insert(key, running);
        waits.is_none()
    }

    fn wait(
        &mut self,
        key: Key,
        behind: Behind<impl Iterator<Item = (ReplayId, Point)>>,
        patience: Patience,
    ) -> u32 {
        let mut waits = 0;
        for (id, point) in behind.answers.filter(|other| *other != (key.1, key.2)) {
            if let Some(running) = self.running.get_mut(&(key.0, id, point)) {
                running.waiters.push((key, patience));
                waits += 1;
            }
        }
        if waits > 0 && behind.until < i64::MAX {
            let is_baseline = key.0 == TargetSide::Baseline;
            self.deadlines.push(Reverse((behind.until, key.1, key.2, is_baseline, patience)));
        }
        waits
    }

    /// A request that is under way, and when the last answer came that it waited for.
    pub(super) fn get(&self, key: Key) -> Option<(&T, i64)> {
        self.running.get(&key).map(|running| (&running.order, running.free))
    }

    /// A request was answered `at`, or will not be: gives it, and those that may go now.
    pub(super) fn done(&mut self, key: Key, at: i64) -> Option<(T, Vec<Key>)> {
        let Running { order, waiters, .. } = self.running.remove(&key)?;
        let mut free = Vec::new();
        for (waiter, patience) in waiters {
            let Some(running) = self.running.get_mut(&waiter) else { continue };
            let Some(waits) = &mut running.waits else { continue };
            // It may have waited for this one long enough.
            let Some(left) = waits[patience as usize].checked_sub(1) else { continue };
            waits[patience as usize] = left;
            if running.go_on(at) {
                free.push(waiter);
            }
        }
        Some((order, free))
    }

    /// When to look at [`Self::overdue`] again.
    pub(super) fn deadline(&self) -> Option<i64> {
        self.deadlines.peek().map(|Reverse((at, ..))| *at)
    }

    /// A request that has waited until `now`, and may go without what it waits for.
    pub(super) fn overdue(&mut self, now: i64) -> Option<Key> {
        while self.deadline().is_some_and(|at| at <= now) {
            let Reverse((at, id, point, is_baseline, patience)) = self.deadlines.pop()?;
            let side = if is_baseline { TargetSide::Baseline } else { TargetSide::Target };
            let key = (side, id, point);
            let Some(running) = self.running.get_mut(&key) else { continue };
            let Some(waits) = &mut running.waits else { continue };
            if std::mem::take(&mut waits[patience as usize]) > 0 && running.go_on(at) {
                return Some(key);
            }
        }
        None
    }
}

impl<T> Running<T> {
    /// Something that it waited for is there, or no longer waited for: gives whether it may go.
    fn go_on(&mut self, at: i64) -> bool {
        self.free = self.free.max(at);
        let may_go = self.waits == Some([0, 0]);
        if may_go {
            self.waits = None;
        }
        may_go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ExchangeId;

    fn id(connection: u64) -> ReplayId {
        ReplayId::first(ExchangeId { connection, ordinal: 0 })
    }

    const fn key(id: ReplayId) -> Key {
        (TargetSide::Target, id, Point::Whole)
    }

    fn behind(answers: &[u64], until: i64) -> Behind<impl Iterator<Item = (ReplayId, Point)>> {
        Behind { answers: answers.iter().map(|&connection| (id(connection), Point::Whole)), until }
    }

    /// Adds a request that needs answers.
    fn needs(waits: &mut Waits<()>, connection: u64, answers: &[u64], until: i64) -> bool {
        waits.add(key(id(connection)), (), behind(answers, until), behind(&[], 0))
    }

    #[test]
    fn a_request_goes_with_the_last_answer_it_waits_for() {
        let mut waits = Waits::default();
        assert!(needs(&mut waits, 1, &[], 100));
        assert!(needs(&mut waits, 2, &[9], 100), "9 is not replayed");
        assert!(!needs(&mut waits, 3, &[1, 2, 3], 100));
        assert_eq!(waits.done(key(id(2)), 7), Some(((), vec![])));
        assert_eq!(
            waits.done((TargetSide::Baseline, id(1), Point::Whole), 8),
            None,
            "the sides are apart"
        );
        assert_eq!(waits.done(key(id(1)), 5), Some(((), vec![key(id(3))])));
        assert_eq!(waits.get(key(id(3))), Some((&(), 7)));
        assert_eq!(waits.overdue(200), None, "it went");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut waits = Waits::default();
        needs(&mut waits, 1, &[], 100);
        needs(&mut waits, 2, &[1], 100);
        needs(&mut waits, 3, &[1], i64::MAX);
        assert_eq!((waits.deadline(), waits.overdue(99)), (Some(100), None));
        assert_eq!(waits.overdue(100), Some(key(id(2))));
        assert_eq!(waits.deadline(), None);
        assert_eq!(waits.done(key(id(1)), 150), Some(((), vec![key(id(3))])), "2 went before");
    }

    #[test]
    fn nobody_waits_long_for_others() {
        let mut waits = Waits::default();
        needs(&mut waits, 1, &[], 1_000);
        needs(&mut waits, 2, &[], 1_000);
        // One that goes on when both are there, one that stops waiting for the other's.
        for connection in [3, 4] {
            assert!(!waits.add(key(id(connection)), (), behind(&[1], 1_000), behind(&[2], 50)));
        }
        assert!(!waits.add(key(id(5)), (), behind(&[], 1_000), behind(&[1, 2], 50)));
        assert_eq!(waits.overdue(50), Some(key(id(5))), "the others need an answer");
        assert_eq!((waits.overdue(60), waits.get(key(id(5)))), (None, Some((&(), 50))));
        assert_eq!(waits.done(key(id(1)), 70), Some(((), vec![key(id(3)), key(id(4))])));
        assert_eq!(waits.done(key(id(2)), 90), Some(((), vec![])), "nobody waits for it any more");
        assert_eq!(waits.overdue(2_000), None);
    }

    #[test]
    fn who_has_both_answers_in_time_waits_for_both() {
        for order in [[1, 2], [2, 1]] {
            let mut waits = Waits::default();
            needs(&mut waits, 1, &[], 1_000);
            needs(&mut waits, 2, &[], 1_000);
            assert!(!waits.add(key(id(3)), (), behind(&[1], 1_000), behind(&[2], 50)));
            assert_eq!(waits.done(key(id(order[0])), 10), Some(((), vec![])));
            assert_eq!(waits.done(key(id(order[1])), 20), Some(((), vec![key(id(3))])));
            assert_eq!(waits.get(key(id(3))), Some((&(), 20)));
        }
    }
}
