//! The places of connections, and load shedding where all are taken: the connections that have
//! waited longest for a request give their places to those that come. A client that opens
//! connections and says nothing keeps nobody out.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;

use crate::time::Monotonic;

/// Of the connections that wait, one of so many gives way at once: asking them all takes time.
const SHARE: usize = 16;

/// All places that are taken.
pub(super) struct Seats {
    taken: Mutex<Vec<Weak<Seat>>>,
    opened: Monotonic,
}

/// A connection's place, kept for as long as it is there.
pub(super) struct Seat {
    opened: Monotonic,
    /// Since when it waits for a request, in nanoseconds since the first place was taken; negative
    /// while it does not wait.
    since: AtomicI64,
    /// Requests under way, where there may be several.
    active: AtomicUsize,
    leave: Notify,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self { taken: Mutex::default(), opened: Monotonic::now() }
    }

    /// Takes a place; it counts as waiting.
    pub(super) fn take(&self) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            opened: self.opened,
            since: AtomicI64::new(self.opened.elapsed()),
            active: AtomicUsize::new(0),
            leave: Notify::new(),
        });
        let mut taken = self.taken.lock().expect("no holder of this lock panics");
        if taken.len() == taken.capacity() {
            taken.retain(|seat| seat.strong_count() > 0);
        }
        taken.push(Arc::downgrade(&seat));
        seat
    }

    /// Asks those that have waited longest to leave; how many.
    pub(super) fn make_room(&self) -> usize {
        let mut taken = self.taken.lock().expect("no holder of this lock panics");
        taken.retain(|seat| seat.strong_count() > 0);
        let mut waiting: Vec<(i64, Arc<Seat>)> = taken
            .iter()
            .filter_map(Weak::upgrade)
            .map(|seat| (seat.since.load(Ordering::Relaxed), seat))
            .filter(|(since, _)| *since >= 0)
            .collect();
        drop(taken);
        waiting.sort_unstable_by_key(|(since, _)| *since);
        let leaving = waiting.len().div_ceil(SHARE);
        for (_, seat) in &waiting[..leaving] {
            seat.leave.notify_one();
        }
        leaving
    }
}

impl Seat {
    /// Waits for what a client says first; none where it has to give way.
    pub(super) async fn wait<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.since.store(self.opened.elapsed(), Ordering::Relaxed);
        let said = tokio::select! {
            biased;
            said = what => Some(said),
            () = self.leave.notified() => None,
        };
        self.since.store(-1, Ordering::Relaxed);
        said
    }

    /// Answered when it has to give way.
    pub(super) async fn leave(&self) {
        self.leave.notified().await;
    }

    /// A request of several; while there is one nothing waits.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.since.store(-1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }
}

/// A request under way.
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.since.store(self.0.opened.elapsed(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_wait_leave_and_no_other() {
        let seats = Seats::new();
        let all: Vec<Arc<Seat>> = (0..40).map(|_| seats.take()).collect();
        for (at, seat) in all.iter().enumerate() {
            seat.since.store(at as i64, Ordering::Relaxed);
        }
        let busy = all[0].request();
        assert_eq!(seats.make_room(), 3);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let leaves = |seat: &Seat| runtime.block_on(seat.wait(std::future::ready(()))).is_some();
        let pending = |seat: &Seat| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = seat.leave() => true,
                    () = std::future::ready(()) => false,
                }
            })
        };
        let left: Vec<usize> = (0..40).filter(|&at| pending(&all[at])).collect();
        assert_eq!(left, [1, 2, 3]);
        assert!(leaves(&all[5]), "what is said is heard");
        drop(busy);
        assert!(all[0].since.load(Ordering::Relaxed) >= 0, "it waits again");
        drop(all);
        assert_eq!(seats.make_room(), 0);
    }
}
