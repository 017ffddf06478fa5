//! The packets of one capture file in the order of their times.
//!
//! Several queues, interfaces or threads write a file by turns, so packets stand in it out of their
//! order, a little or up to a second. How far is learned on the way: a packet waits until the file
//! went on for some bytes behind it, and for as much time as packets were late so far. A clock that
//! was set back is no disorder: behind such a step the order of the file counts.
//!
//! The order depends on packets and their times alone, not on how blocks cut the file. A file in
//! order costs one look at each time, and its blocks are handed on whole.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Frame;
use super::file::CaptureFile;
use crate::limits;
use crate::time::Timestamp;

mod waiting;

pub(super) use waiting::OrderedRun;
use waiting::{WaitingPackets, weight};

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
    /// How much of the file is read beyond a packet before it is handed out, in bytes.
    ahead: usize,
    /// What was read and not handed out, while it stands in order; with how much it weighs.
    queue: VecDeque<(OrderedRun, usize)>,
    /// How much all of the queue weighs.
    queued: usize,
    /// The same, where it must be sorted.
    waiting: WaitingPackets,
    /// The latest time that was read, since the clock was set back.
    latest: Timestamp,
    /// How far behind the latest packet one may still come, in nanoseconds: nothing so far.
    window: i64,
    late: u64,
    /// The packets of the block that is being read.
    read: Vec<Frame>,
}

impl Ordered {
    /// Of a file that is read `ahead` bytes beyond a packet before this one is handed out.
    pub(super) fn new(file: Box<CaptureFile>, skew: i64, ahead: usize) -> Self {
        Self {
            file,
            skew,
            ahead,
            queue: VecDeque::new(),
            queued: 0,
            waiting: WaitingPackets::default(),
            latest: Timestamp::from_nanos(i64::MIN),
            window: 0,
            late: 0,
            read: Vec::new(),
        }
    }

    /// Packets that did not stand in the order of their times.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// The next packets in place of those of `run`, which was used; `false` where there are none.
    pub(super) fn next_run(
        &mut self,
        run: &mut OrderedRun,
        block_bytes: usize,
        pool: &mut Pool,
    ) -> bool {
        run.blocks.clear();
        run.frames.clear();
        while run.frames.is_empty() {
            let mut block = pool.fresh();
            let bytes = Arc::get_mut(&mut block).expect("a fresh block is nobody else's");
            self.read.clear();
            if !self.file.read(bytes, block_bytes, 0, &mut self.read) {
                pool.give_back(block, usize::MAX);
                self.hand_out_rest(run);
                return !run.frames.is_empty();
            }
            if self.skew != 0 {
                self.read.iter_mut().for_each(|frame| frame.at = frame.at.plus(self.skew));
            }
            let weight = self.read.iter().map(weight).sum();
            let block = self.without_much_else(block, weight, pool);
            if self.window == 0 && self.is_in_order() {
                self.enqueue(block, weight, run);
            } else {
                self.sort_in(block, run);
            }
        }
        true
    }

    fn is_in_order(&self) -> bool {
        self.latest <= self.read[0].at && self.read.is_sorted_by_key(|frame| frame.at)
    }

    /// The block, or a copy of its packets alone where they are a small part of it, so that what
    /// waits takes no more memory than it weighs.
    fn without_much_else(
        &mut self,
        block: Arc<Vec<u8>>,
        weight: usize,
        pool: &mut Pool,
    ) -> Arc<Vec<u8>> {
        if weight >= block.len() / 4 {
            return block;
        }
        let mut dense = Vec::with_capacity(weight);
        self.read.iter_mut().for_each(|frame| waiting::copy(frame, &block, &mut dense));
        pool.give_back(block, usize::MAX);
        Arc::new(dense)
    }

    /// Adds packets in order, and hands out the first block where enough was read beyond it.
    fn enqueue(&mut self, block: Arc<Vec<u8>>, weight: usize, run: &mut OrderedRun) {
        self.latest = self.read[self.read.len() - 1].at;
        let frames = std::mem::replace(&mut self.read, std::mem::take(&mut run.frames));
        self.queue.push_back((OrderedRun { blocks: vec![block], frames }, weight));
        self.queued += weight;
        if self.queue.front().is_some_and(|(_, first)| self.queued - first >= self.ahead) {
            self.dequeue(run);
        }
    }

    fn dequeue(&mut self, run: &mut OrderedRun) {
        if let Some((first, weight)) = self.queue.pop_front() {
            self.queued -= weight;
            *run = first;
        }
    }

    /// Puts the packets of a block among those that were not handed out, and hands out those that
    /// none can come before any more.
    fn sort_in(&mut self, block: Arc<Vec<u8>>, run: &mut OrderedRun) {
        for (queued, _) in self.queue.drain(..) {
            self.waiting.add_blocks(queued.blocks, queued.frames);
        }
        self.queued = 0;
        self.release(run);
        let slot = self.waiting.hold(block);
        for frame in std::mem::take(&mut self.read) {
            let late = self.latest.nanos().saturating_sub(frame.at.nanos());
            if late > limits::DISORDER_NS {
                while self.waiting.take_first(run) {}
                self.latest = frame.at;
            } else if late > 0 {
                self.late += 1;
                self.window = self.window.max((2 * late).min(limits::DISORDER_NS));
            }
            self.latest = self.latest.max(frame.at);
            self.waiting.add(Frame { block: slot, ..frame });
            self.release(run);
        }
        self.waiting.settle(run);
        if self.window == 0 {
            self.line_up();
        }
    }

    /// Hands out what was waited for long enough, by bytes and by time, and the first ones where
    /// more wait than may.
    fn release(&mut self, run: &mut OrderedRun) {
        let known = self.latest.plus(-self.window);
        while self.waiting.weight() > limits::DISORDER_BYTES
            || (self.waiting.weight() > self.ahead
                && self.waiting.first().is_some_and(|first| first <= known))
        {
            self.waiting.take_first(run);
        }
    }

    /// Behind a step of the clock all is in order again.
    fn line_up(&mut self) {
        let (mut run, weight) = (OrderedRun::default(), self.waiting.weight());
        while self.waiting.take_first(&mut run) {}
        if run.frames.is_empty() {
            return;
        }
        self.waiting.settle(&mut run);
        self.queue.push_back((run, weight));
        self.queued += weight;
    }

    /// Nothing more can come before what was read.
    fn hand_out_rest(&mut self, run: &mut OrderedRun) {
        if self.queue.is_empty() {
            while self.waiting.take_first(run) {}
            self.waiting.settle(run);
        }
        self.dequeue(run);
    }
}

#[cfg(test)]
mod tests;
