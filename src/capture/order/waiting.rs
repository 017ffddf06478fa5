//! Packets that wait until no earlier one can come, and the blocks that hold their bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::capture::Frame;
use crate::time::Timestamp;

/// Packets in order, with the blocks that hold them.
#[derive(Default)]
pub(in crate::capture) struct OrderedRun {
    pub(in crate::capture) blocks: Vec<Arc<Vec<u8>>>,
    pub(in crate::capture) frames: Vec<Frame>,
}

/// What a packet costs beside its bytes.
const PACKET_COST: usize = 64;

/// Blocks that are held beyond what waits in them, in bytes, before that is copied together.
const SPARSE_BYTES: usize = 8 << 20;

/// How much of what may wait a packet takes, in bytes.
pub(super) const fn weight(frame: &Frame) -> usize {
    frame.captured as usize + PACKET_COST
}

/// Copies a packet's bytes to the end of `dense`, and says in it where they are.
pub(super) fn copy(frame: &mut Frame, block: &[u8], dense: &mut Vec<u8>) {
    let start = frame.start as usize;
    frame.start = dense.len() as u32;
    dense.extend_from_slice(&block[start..start + frame.captured as usize]);
}

/// Packets by time, equal times in the order of the file.
#[derive(Default)]
pub(super) struct WaitingPackets {
    packets: BinaryHeap<WaitingPacket>,
    blocks: Vec<HeldBlock>,
    /// Places in `blocks` that hold nothing.
    free: Vec<u32>,
    added: u64,
    weight: usize,
    /// Bytes of all blocks.
    block_bytes: usize,
}

/// A block and how many packets in it wait.
#[derive(Default)]
struct HeldBlock {
    block: Arc<Vec<u8>>,
    packets: usize,
    /// Which block it is in the run that is being settled.
    settled: Option<u32>,
}

struct WaitingPacket {
    number: u64,
    frame: Frame,
}

impl WaitingPacket {
    const fn key(&self) -> (Timestamp, u64) {
        (self.frame.at, self.number)
    }
}

impl Ord for WaitingPacket {
    /// The first one is the greatest: what the heap gives out.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for WaitingPacket {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for WaitingPacket {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for WaitingPacket {}

impl WaitingPackets {
    /// How much all that waits takes, in bytes.
    pub(super) const fn weight(&self) -> usize {
        self.weight
    }

    /// Bytes of the blocks that are held.
    #[cfg(test)]
    pub(super) const fn held_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The time of the first packet.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.packets.peek().map(|packet| packet.frame.at)
    }

    /// Takes a block, whose packets are then added: by what number they name it.
    pub(super) fn hold(&mut self, block: Arc<Vec<u8>>) -> u32 {
        self.block_bytes += block.len();
        let held = HeldBlock { block, ..HeldBlock::default() };
        if let Some(slot) = self.free.pop() {
            self.blocks[slot as usize] = held;
            return slot;
        }
        self.blocks.push(held);
        self.blocks.len() as u32 - 1
    }

    /// Adds a packet of a block that is held.
    pub(super) fn add(&mut self, frame: Frame) {
        self.weight += weight(&frame);
        self.blocks[frame.block as usize].packets += 1;
        self.packets.push(WaitingPacket { number: self.added, frame });
        self.added += 1;
    }

    /// Adds the packets of a run.
    pub(super) fn add_blocks(&mut self, blocks: Vec<Arc<Vec<u8>>>, frames: Vec<Frame>) {
        let slots: Vec<u32> = blocks.into_iter().map(|block| self.hold(block)).collect();
        for frame in frames {
            self.add(Frame { block: slots[frame.block as usize], ..frame });
        }
    }

    /// Moves the first packet to the end of `run`, which is to be settled; `false` where none
    /// waits.
    pub(super) fn take_first(&mut self, run: &mut OrderedRun) -> bool {
        let Some(WaitingPacket { frame, .. }) = self.packets.pop() else { return false };
        self.weight -= weight(&frame);
        self.blocks[frame.block as usize].packets -= 1;
        run.frames.push(frame);
        true
    }

    /// Gives `run` the blocks of its packets, and lets go of those that no other waits in.
    pub(super) fn settle(&mut self, run: &mut OrderedRun) {
        for frame in &mut run.frames {
            let held = &mut self.blocks[frame.block as usize];
            frame.block = *held.settled.get_or_insert_with(|| {
                run.blocks.push(Arc::clone(&held.block));
                run.blocks.len() as u32 - 1
            });
        }
        for (slot, held) in self.blocks.iter_mut().enumerate() {
            held.settled = None;
            if held.packets == 0 && held.block.capacity() > 0 {
                self.block_bytes -= held.block.len();
                held.block = Arc::default();
                self.free.push(slot as u32);
            }
        }
        if self.block_bytes > 4 * self.weight + SPARSE_BYTES {
            self.copy_together();
        }
    }

    /// Copies what waits into one block: a few packets must not hold the blocks they came in.
    fn copy_together(&mut self) {
        let mut packets = std::mem::take(&mut self.packets).into_vec();
        let mut dense = Vec::with_capacity(self.weight);
        for WaitingPacket { frame, .. } in &mut packets {
            copy(frame, &self.blocks[frame.block as usize].block, &mut dense);
            frame.block = 0;
        }
        self.block_bytes = dense.len();
        self.free.clear();
        self.blocks.clear();
        self.blocks.push(HeldBlock {
            block: Arc::new(dense),
            packets: packets.len(),
            settled: None,
        });
        self.packets = packets.into();
    }
}
