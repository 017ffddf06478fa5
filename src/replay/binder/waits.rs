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

/// A request of one side.
pub(super) type Key = (TargetSide, ReplayId);

/// What is under way.
#[derive(Debug)]
pub(super) struct Waits<T> {
    running: FxHashMap<Key, Running<T>>,
    /// When those that wait have waited long enough; by time.
    deadlines: BinaryHeap<Reverse<(i64, ReplayId, bool)>>,
}

#[derive(Debug)]
struct Running<T> {
    /// What it goes with.
    order: T,
    /// Answers that it waits for; none once it may go.
    waits: Option<u32>,
    /// When the last of those that it waited for came.
    free: i64,
    waiters: Vec<Key>,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self { running: FxHashMap::default(), deadlines: BinaryHeap::new() }
    }
}

impl<T> Waits<T> {
    /// A request that must not go before `after` are answered, as far as these are under way, and
    /// not for ever: at `until` it may go in any case. Gives whether it may go at once.
    pub(super) fn add(
        &mut self,
        key: Key,
        order: T,
        after: impl Iterator<Item = ReplayId>,
        until: i64,
    ) -> bool {
        let mut waits = 0;
        for other in after.filter(|other| *other != key.1) {
            if let Some(running) = self.running.get_mut(&(key.0, other)) {
                running.waiters.push(key);
                waits += 1;
            }
        }
        let waits = (waits > 0).then_some(waits);
        if waits.is_some() && until < i64::MAX {
            self.deadlines.push(Reverse((until, key.1, key.0 == TargetSide::Baseline)));
        }
        let running = Running { order, waits, free: i64::MIN, waiters: Vec::new() };
        self.running.insert(key, running);
        waits.is_none()
    }

    /// A request that is under way, and when the last answer came that it waited for.
    pub(super) fn get(&self, key: Key) -> Option<(&T, i64)> {
        self.running.get(&key).map(|running| (&running.order, running.free))
    }

    /// A request was answered `at`, or will not be: gives it, and those that may go now.
    pub(super) fn done(&mut self, key: Key, at: i64) -> Option<(T, Vec<Key>)> {
        let Running { order, waiters, .. } = self.running.remove(&key)?;
        let mut free = Vec::new();
        for waiter in waiters {
            let Some(running) = self.running.get_mut(&waiter) else { continue };
            let Some(waits) = &mut running.waits else { continue };
            *waits -= 1;
            running.free = running.free.max(at);
            if *waits == 0 {
                running.waits = None;
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
            let Reverse((at, id, is_baseline)) = self.deadlines.pop()?;
            let key = (if is_baseline { TargetSide::Baseline } else { TargetSide::Target }, id);
            let Some(running) = self.running.get_mut(&key) else { continue };
            if running.waits.take().is_some() {
                running.free = running.free.max(at);
                return Some(key);
            }
        }
        None
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
        (TargetSide::Target, id)
    }

    #[test]
    fn a_request_goes_with_the_last_answer_it_waits_for() {
        let mut waits = Waits::default();
        assert!(waits.add(key(id(1)), (), std::iter::empty(), 100));
        assert!(waits.add(key(id(2)), (), [id(9)].into_iter(), 100), "9 is not replayed");
        assert!(!waits.add(key(id(3)), (), [id(1), id(2), id(3)].into_iter(), 100));
        assert_eq!(waits.done(key(id(2)), 7), Some(((), vec![])));
        assert_eq!(waits.done((TargetSide::Baseline, id(1)), 8), None, "the sides are apart");
        assert_eq!(waits.done(key(id(1)), 5), Some(((), vec![key(id(3))])));
        assert_eq!(waits.get(key(id(3))), Some((&(), 7)));
        assert_eq!(waits.overdue(200), None, "it went");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut waits = Waits::default();
        waits.add(key(id(1)), (), std::iter::empty(), 100);
        waits.add(key(id(2)), (), [id(1)].into_iter(), 100);
        waits.add(key(id(3)), (), [id(1)].into_iter(), i64::MAX);
        assert_eq!((waits.deadline(), waits.overdue(99)), (Some(100), None));
        assert_eq!(waits.overdue(100), Some(key(id(2))));
        assert_eq!(waits.deadline(), None);
        assert_eq!(waits.done(key(id(1)), 150), Some(((), vec![key(id(3))])), "2 went before");
    }
}
