//! What is counted of TCP beside packets.

use super::Missing;
use crate::ledger::{Ledger, Seen, Traffic};

/// What is counted beside packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) retransmitted_packets: u64,
    pub(super) retransmitted_bytes: u64,
    pub(super) differing_retransmissions: u64,
    pub(super) out_of_order_packets: u64,
    pub(super) keep_alive_probes: u64,
    pub(super) behind_fin_bytes: u64,
    pub(super) gaps: u64,
    gap_bytes: u64,
    cut_bytes: u64,
    limit_bytes: u64,
}

impl Notes {
    pub(super) fn gap(&mut self, missing: Missing, bytes: u64) {
        match missing {
            Missing::Lost => (self.gaps, self.gap_bytes) = (self.gaps + 1, self.gap_bytes + bytes),
            Missing::Cut => self.cut_bytes += bytes,
            Missing::Limit => self.limit_bytes += bytes,
        }
    }

    /// Bytes that were sent and are not there; those that the snap length cut were counted with
    /// their packets.
    pub(super) fn write_unseen(&self, seen: &mut Seen) {
        let of = |bytes| Traffic { bytes, ..Traffic::default() };
        let cut = self.cut_bytes.min(seen.readable.bytes);
        seen.readable.bytes -= cut;
        seen.leave("cut-by-the-snap-length", of(cut));
        seen.leave("lost", of(self.gap_bytes + self.limit_bytes));
    }

    pub(super) fn write(&self, ledger: &mut Ledger) {
        ledger.note("tcp-retransmitted-packets", self.retransmitted_packets);
        ledger.note("tcp-retransmitted-bytes", self.retransmitted_bytes);
        ledger.note("tcp-retransmissions-that-differ", self.differing_retransmissions);
        ledger.note("tcp-out-of-order-packets", self.out_of_order_packets);
        ledger.note("tcp-keep-alive-probes", self.keep_alive_probes);
        ledger.note("tcp-bytes-behind-a-fin", self.behind_fin_bytes);
        ledger.note("tcp-gaps", self.gaps);
        ledger.note("tcp-gap-bytes", self.gap_bytes);
        ledger.note("tcp-bytes-cut-by-the-snap-length", self.cut_bytes);
        ledger.note("tcp-bytes-given-up-by-a-limit", self.limit_bytes);
    }
}
