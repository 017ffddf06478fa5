//! The packets of one capture file in the order of their times.
//!
//! Several queues, interfaces or threads write a file by turns, so packets stand in it out of their
//! order, a little or up to a second. How far is learned on the way: a file in order costs one look
//! at each time, and is read one block ahead; any other as far ahead as its packets were late. A
//! clock that was set back is no disorder: behind such a step the order of the file counts.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Frame;
use super::file::CaptureFile;
use crate::limits;
use crate::time::Timestamp;

/// Packets in order, with the blocks that hold them.
#[derive(Default)]
pub(super) struct Run {
    pub(super) blocks: Vec<Arc<Vec<u8>>>,
    pub(super) frames: Vec<Frame>,
}

/// Blocks that nobody reads any more, to be filled again.
#[derive(Default)]
pub(super) struct Pool(VecDeque<Arc<Vec<u8>>>);

impl Pool {
    fn fresh(&mut self) -> Arc<Vec<u8>> {
        // A spare block may still be read by the batch behind this one; the oldest is the likeliest
        // to be free.
        let mut block = self.0.pop_front().unwrap_or_default();
        if Arc::get_mut(&mut block).is_none() {
            self.0.push_back(std::mem::take(&mut block));
        }
        block
    }

    /// Takes a block back, where fewer than `room` are there.
    pub(super) fn give_back(&mut self, block: Arc<Vec<u8>>, room: usize) {
        if block.capacity() > 0 && self.0.len() < room {
            self.0.push_back(block);
        }
    }
}

/// A file whose packets are put in order.
pub(super) struct Ordered {
    pub(super) file: Box<CaptureFile>,
    /// Nanoseconds that are added to its capture times.
    skew: i64,
    /// What was read and not handed out, in order.
    pending: Run,
    /// The latest time that was read, since the clock was set back.
    latest: Timestamp,
    /// How far behind the latest packet one may still come, in nanoseconds: nothing so far.
    window: i64,
    late: u64,
}

impl Ordered {
    pub(super) fn new(file: Box<CaptureFile>, skew: i64) -> Self {
        let latest = Timestamp::from_nanos(i64::MIN);
        Self { file, skew, pending: Run::default(), latest, window: 0, late: 0 }
    }

    /// Packets that did not stand in the order of their times.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// The next packets in place of those of `run`, which was used; `false` where there are none.
    pub(super) fn next_run(&mut self, run: &mut Run, block_bytes: usize, pool: &mut Pool) -> bool {
        run.blocks.clear();
        run.frames.clear();
        while run.frames.is_empty() {
            let mut block = pool.fresh();
            let mut frames = std::mem::take(&mut run.frames);
            let bytes = Arc::get_mut(&mut block).expect("a fresh block is nobody else's");
            if !self.file.read(bytes, block_bytes, 0, &mut frames) {
                pool.give_back(block, usize::MAX);
                std::mem::swap(run, &mut self.pending);
                return !run.frames.is_empty();
            }
            if self.skew != 0 {
                frames.iter_mut().for_each(|frame| frame.at = frame.at.plus(self.skew));
            }
            if self.window == 0 && self.is_in_order(&frames) {
                self.latest = frames[frames.len() - 1].at;
                let next = Run { blocks: vec![block], frames };
                *run = std::mem::replace(&mut self.pending, next);
            } else {
                self.sort_in(block, &frames, block_bytes, run);
            }
        }
        true
    }

    fn is_in_order(&self, frames: &[Frame]) -> bool {
        self.latest <= frames[0].at && frames.is_sorted_by_key(|frame| frame.at)
    }

    /// Puts the packets of a block among those that were not handed out, and hands out those that
    /// none can come before any more.
    fn sort_in(
        &mut self,
        block: Arc<Vec<u8>>,
        frames: &[Frame],
        block_bytes: usize,
        run: &mut Run,
    ) {
        self.pending.blocks.push(block);
        let mut rest = frames;
        while !rest.is_empty() {
            let length = self.look_for_step(rest);
            let block = self.pending.blocks.len() as u32 - 1;
            let next = rest[..length].iter().map(|frame| Frame { block, ..*frame });
            self.pending.frames.extend(next);
            self.pending.frames.sort_by_key(|frame| frame.at);
            rest = &rest[length..];
            if let Some(next) = rest.first() {
                self.hand_out(self.pending.frames.len(), run);
                self.latest = next.at;
            }
        }
        let known = self.latest.plus(-self.window);
        let mut ready = self.pending.frames.partition_point(|frame| frame.at <= known);
        if self.pending.blocks.len() * block_bytes > limits::DISORDER_BYTES {
            ready = ready.max(self.pending.frames.len() / 2);
        }
        self.hand_out(ready, run);
    }

    /// How many of these packets stand before the clock was set back; notes how late they are.
    fn look_for_step(&mut self, frames: &[Frame]) -> usize {
        for (place, frame) in frames.iter().enumerate() {
            let late = self.latest.nanos().saturating_sub(frame.at.nanos());
            if late > limits::DISORDER_NS {
                return place;
            }
            if late > 0 {
                self.late += 1;
                self.window = self.window.max((2 * late).min(limits::DISORDER_NS));
            }
            self.latest = self.latest.max(frame.at);
        }
        frames.len()
    }

    /// Moves the first packets to `run`, and lets go of blocks that hold no others, but for the last
    /// one.
    fn hand_out(&mut self, packets: usize, run: &mut Run) {
        if packets == 0 {
            return;
        }
        let base = run.blocks.len() as u32;
        let Run { blocks, frames } = &mut self.pending;
        run.blocks.extend(blocks.iter().cloned());
        let moved = frames.drain(..packets);
        run.frames.extend(moved.map(|frame| Frame { block: frame.block + base, ..frame }));
        let last = blocks.len() as u32 - 1;
        let first = frames.iter().map(|frame| frame.block).min().unwrap_or(last);
        blocks.drain(..first as usize);
        frames.iter_mut().for_each(|frame| frame.block -= first);
    }
}
