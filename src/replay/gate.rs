//! The gate before a request that waits for answers on other lanes, or whose bytes are made of what
//! such answers give: the thread that binds values opens it, the one that sends looks whether it is
//! open.
//!
//! A request that is due costs one atomic operation. Nobody is woken for a gate that opened before
//! its request was due. What a client says on a WebSocket has gates of its own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use super::side::TargetSide;
use crate::outcome::Unbound;

const CLOSED: u8 = 0;
/// Somebody waits for it, and is to be told.
const AWAITED: u8 = 1;
const OPEN: u8 = 2;

/// What a request goes with.
#[derive(Debug, Default)]
pub(in crate::replay) struct Ready {
    /// Its bytes with v2's values in them, and how many of them are its head; none where they are
    /// as they were prepared.
    pub(in crate::replay) bytes: Option<(Bytes, u32)>,
    /// When the last answer came that it waited for, on the replay's clock; [`i64::MIN`] for none.
    pub(in crate::replay) free: i64,
    /// How many values of v2's it has.
    pub(in crate::replay) bound: u32,
    /// Values that v2 had not issued.
    pub(in crate::replay) unbound: Vec<Unbound>,
}

/// A gate, for v2 and for the baseline.
#[derive(Debug)]
pub(in crate::replay) struct Gate {
    doors: [Door; 2],
    changed: Notify,
    /// Its answer gives values that others use.
    pub(in crate::replay) gives: bool,
}

#[derive(Debug, Default)]
struct Door {
    state: AtomicU8,
    ready: OnceLock<Ready>,
}

impl Gate {
    /// A closed one. `gives`: the answer to its request gives values.
    pub(in crate::replay) fn new(gives: bool) -> Self {
        Self { doors: Default::default(), changed: Notify::new(), gives }
    }

    const fn door(&self, side: TargetSide) -> &Door {
        match side {
            TargetSide::Target => &self.doors[0],
            TargetSide::Baseline => &self.doors[1],
        }
    }

    /// Opens it; whether somebody waits for it. A gate opens once.
    pub(in crate::replay) fn open(&self, side: TargetSide, ready: Ready) -> bool {
        let door = self.door(side);
        let is_first = door.ready.set(ready).is_ok();
        debug_assert!(is_first, "a gate opens once");
        let was = door.state.swap(OPEN, Ordering::AcqRel);
        self.changed.notify_waiters();
        was == AWAITED
    }

    /// What the request goes with; none while the gate is closed: then who opens it is told that
    /// somebody waits.
    pub(in crate::replay) fn pass(&self, side: TargetSide) -> Option<&Ready> {
        let door = self.door(side);
        if door.state.load(Ordering::Acquire) != OPEN {
            let waits =
                door.state.compare_exchange(CLOSED, AWAITED, Ordering::AcqRel, Ordering::Acquire);
            if !matches!(waits, Err(OPEN)) {
                return None;
            }
        }
        door.ready.get()
    }

    /// What the request goes with, where the gate is open.
    pub(in crate::replay) fn ready(&self, side: TargetSide) -> Option<&Ready> {
        self.door(side).ready.get()
    }

    /// Waits until it is open.
    pub(in crate::replay) async fn opened(&self, side: TargetSide) -> &Ready {
        loop {
            let changed = self.changed.notified();
            if let Some(ready) = self.ready(side) {
                return ready;
            }
            changed.await;
        }
    }
}

/// The gates on a WebSocket: one before each message of its client that says values of v2's.
#[derive(Debug)]
pub(in crate::replay) struct SocketGates {
    /// By the number of the message.
    gates: Vec<(u32, Gate)>,
    /// Numbers of v2's messages that give values.
    giving: Vec<u32>,
}

impl SocketGates {
    /// Closed ones; the numbers in their order.
    pub(in crate::replay) fn new(
        gates: impl Iterator<Item = u32>,
        giving: impl Iterator<Item = u32>,
    ) -> Self {
        let gates = gates.map(|number| (number, Gate::new(false))).collect();
        Self { gates, giving: giving.collect() }
    }

    /// Whether v2's message of this number gives values.
    pub(in crate::replay) fn takes(&self, number: u32) -> bool {
        self.giving.binary_search(&number).is_ok()
    }

    /// The gate before the client's message of this number, where it has one.
    pub(in crate::replay) fn gate(&self, number: usize) -> Option<&Gate> {
        let at = self.gates.binary_search_by_key(&number, |(number, _)| *number as usize).ok()?;
        Some(&self.gates[at].1)
    }

    /// Whether what the client's message of this number says is known.
    pub(in crate::replay) fn passes(&self, number: usize, side: TargetSide) -> bool {
        self.gate(number).is_none_or(|gate| gate.pass(side).is_some())
    }

    /// What the client's message of this number says with v2's values in it.
    pub(in crate::replay) fn filled(&self, number: usize, side: TargetSide) -> Option<Bytes> {
        let ready = self.gate(number)?.ready(side)?;
        ready.bytes.as_ref().map(|(bytes, _)| bytes.clone())
    }

    /// How many values of v2's all of them have, and which v2 had not issued.
    pub(in crate::replay) fn bound(&self, side: TargetSide) -> (u32, Vec<Unbound>) {
        let all = || self.gates.iter().filter_map(|(_, gate)| gate.ready(side));
        let unbound = all().flat_map(|ready| ready.unbound.iter().cloned()).collect();
        (all().map(|ready| ready.bound).sum(), unbound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_and_who_comes_later_walks_through() {
        let gate = Gate::new(false);
        assert!(gate.pass(TargetSide::Target).is_none());
        assert!(gate.open(TargetSide::Target, Ready { bound: 3, ..Ready::default() }));
        assert_eq!(gate.pass(TargetSide::Target).map(|ready| ready.bound), Some(3));
        assert!(!gate.open(TargetSide::Baseline, Ready::default()), "the sides are apart");
        assert!(gate.pass(TargetSide::Baseline).is_some());
    }

    #[test]
    fn whoever_comes_first_nobody_is_forgotten() {
        for _ in 0..2_000 {
            let gate = Gate::new(false);
            let (told, passed) = std::thread::scope(|scope| {
                let opens = scope.spawn(|| gate.open(TargetSide::Target, Ready::default()));
                let passed = gate.pass(TargetSide::Target).is_some();
                (opens.join().expect("no panic"), passed)
            });
            assert_ne!(told, passed, "told who waits, or let through at once");
        }
    }
}
