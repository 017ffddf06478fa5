//! What a capture saw, kept and lost: counters that its threads add to and that are looked at while
//! it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::writer::Statistics;

/// What a recording saw and lost, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that passed the filter: kept, or dropped by the kernel or by us.
    pub seen: u64,
    /// Packets on disk.
    pub kept: u64,
    /// Packets that the kernel's ring had no room for.
    pub dropped_by_kernel: u64,
    /// Packets that the device lost before the kernel saw them; not among the seen ones.
    pub dropped_by_interface: u64,
    /// Packets that were read and could not be written.
    pub dropped_by_us: u64,
    /// How often the reader had to wait for the writer.
    pub waits: u64,
    /// Connections that were let go of since exchanges could not be made of them fast enough.
    pub shed_connections: u64,
    /// Their packets; they are among the kept ones, as these were all looked at.
    pub shed_packets: u64,
}

/// Counters that are looked at while it runs.
#[derive(Debug, Default)]
pub struct LiveCounts {
    read: AtomicU64,
    bytes: AtomicU64,
    dropped_by_kernel: AtomicU64,
    dropped_by_interface: AtomicU64,
    waits: AtomicU64,
    shed_connections: AtomicU64,
    shed_packets: AtomicU64,
    lost: AtomicU64,
}

impl LiveCounts {
    /// The counts until now.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (read, lost, dropped_by_kernel) =
            (get(&self.read), get(&self.lost), get(&self.dropped_by_kernel));
        Counts {
            seen: read + dropped_by_kernel,
            kept: read.saturating_sub(lost),
            dropped_by_kernel,
            dropped_by_interface: get(&self.dropped_by_interface),
            dropped_by_us: lost,
            waits: get(&self.waits),
            shed_connections: get(&self.shed_connections),
            shed_packets: get(&self.shed_packets),
        }
    }

    /// Counts packets that were read.
    pub(crate) fn read(&self, packets: u64, bytes: u64) {
        self.read.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts packets that were read and are lost.
    pub(crate) fn lose(&self, packets: u64) {
        self.lost.fetch_add(packets, Ordering::Relaxed);
    }

    /// Counts that the reader had to wait.
    pub(crate) fn wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were let go of until now, and their packets.
    pub(crate) fn shed(&self, connections: u64, packets: u64) {
        self.shed_connections.store(connections, Ordering::Relaxed);
        self.shed_packets.store(packets, Ordering::Relaxed);
    }

    /// What the kernel and the devices dropped until now.
    pub(crate) fn dropped(&self, statistics: &[Statistics]) {
        let sum = |of: fn(&Statistics) -> u64| statistics.iter().map(of).sum::<u64>();
        self.dropped_by_kernel.store(sum(|one| one.dropped_by_kernel), Ordering::Relaxed);
        self.dropped_by_interface.store(sum(|one| one.dropped_by_interface), Ordering::Relaxed);
    }

    /// Bytes of packets that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
