//! Which exchanges are at v2 right now: for an egress mock that runs beside the replay, and so can
//! know whose outgoing call it sees.
//!
//! Only exchanges that caused recorded calls are watched; for all others it costs one look into a
//! table that never changes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustc_hash::FxHashMap;

use crate::exchange::ExchangeId;

/// The watched exchanges, by the numbers that the watcher gave them.
#[derive(Debug, Default)]
pub struct UnderWay {
    numbers: FxHashMap<ExchangeId, u32>,
    /// By number: how often it was sent.
    sent: Box<[AtomicU32]>,
    /// The numbers of those that are sent and not answered.
    open: Mutex<Vec<u32>>,
}

impl UnderWay {
    /// Watches these exchanges, numbered from 0 in this order.
    pub fn watching(ids: &[ExchangeId]) -> Self {
        Self {
            numbers: ids.iter().copied().zip(0..).collect(),
            sent: ids.iter().map(|_| AtomicU32::new(0)).collect(),
            open: Mutex::default(),
        }
    }

    /// It is about to be sent.
    pub fn begin(&self, id: ExchangeId) {
        if let Some(&number) = self.numbers.get(&id) {
            self.sent[number as usize].fetch_add(1, Ordering::Relaxed);
            self.open.lock().expect("no holder of this lock panics").push(number);
        }
    }

    /// It was answered, or will not be.
    pub fn end(&self, id: ExchangeId) {
        if let Some(&number) = self.numbers.get(&id) {
            let mut open = self.open.lock().expect("no holder of this lock panics");
            if let Some(at) = open.iter().position(|&known| known == number) {
                open.swap_remove(at);
            }
        }
    }

    /// Puts the numbers of those that are under way into `open`, each once and sorted.
    pub fn read(&self, open: &mut Vec<u32>) {
        open.clear();
        open.extend_from_slice(&self.open.lock().expect("no holder of this lock panics"));
        open.sort_unstable();
        open.dedup();
    }

    /// How often an exchange was sent so far.
    pub fn times_sent(&self, number: u32) -> u32 {
        self.sent.get(number as usize).map_or(0, |sent| sent.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted_and_strangers_are_not_seen() {
        let id = |connection| ExchangeId { connection, ordinal: 0 };
        let watch = UnderWay::watching(&[id(5), id(7)]);
        let mut open = vec![9];
        for (begin, which) in [(true, 7), (true, 7), (true, 8), (true, 5), (false, 7), (false, 8)] {
            if begin { watch.begin(id(which)) } else { watch.end(id(which)) }
        }
        watch.read(&mut open);
        assert_eq!(
            (open.as_slice(), watch.times_sent(0), watch.times_sent(1)),
            (&[0, 1][..], 1, 2)
        );
        watch.end(id(7));
        watch.end(id(7));
        watch.read(&mut open);
        assert_eq!(open, [0]);
    }
}
