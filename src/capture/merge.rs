//! One stream of packets out of one or several capture files: merged by time, equal times in the
//! order of the inputs. What stands out of order inside a file is put in order (`order`).
//!
//! Of many files only those are open whose time has come: each is opened when its first packet may
//! be due and closed behind its last one.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use super::file::{CaptureFile, FileDamage};
use super::order::{Ordered, OrderedRun, Pool};
use super::{Batch, CaptureError, Frame, PacketSource};
use crate::ledger::Ledger;
use crate::limits;
use crate::time::Timestamp;

/// Several capture files as one [`PacketSource`].
pub struct CaptureMerge {
    files: Vec<Ordered>,
    /// Files that are not open yet, with the times of their first packets, in the order of these.
    parked: VecDeque<(Timestamp, usize)>,
    /// Files that are open.
    open: Vec<OpenFile>,
    pool: Pool,
    /// As it was asked for; none: by how many files are open.
    block_bytes: Option<usize>,
    packets: u64,
}

/// An open file with the packets that were read and not yet handed out.
struct OpenFile {
    file: usize,
    run: OrderedRun,
    next: usize,
}

impl OpenFile {
    fn is_used(&self) -> bool {
        self.next >= self.run.frames.len()
    }

    fn head(&self) -> Option<Timestamp> {
        self.run.frames.get(self.next).map(|frame| frame.at)
    }
}

impl CaptureMerge {
    /// Of files and what is to be added to their times, in nanoseconds.
    pub fn new(files: Vec<(Box<CaptureFile>, i64)>) -> Self {
        Self::start(files.into_iter().map(|(file, skew)| (file, skew, None)), None)
    }

    /// As [`Self::new`], with the times of the first packets of those that are parked.
    pub fn of_parked(files: Vec<(Box<CaptureFile>, i64, Option<Timestamp>)>) -> Self {
        Self::start(files.into_iter(), None)
    }

    /// As [`Self::new`], with another length of blocks.
    pub fn with_block_bytes(files: Vec<(Box<CaptureFile>, i64)>, block_bytes: usize) -> Self {
        let files = files.into_iter().map(|(file, skew)| (file, skew, None));
        Self::start(files, Some(block_bytes))
    }

    fn start(
        files: impl Iterator<Item = (Box<CaptureFile>, i64, Option<Timestamp>)>,
        block_bytes: Option<usize>,
    ) -> Self {
        let (mut all, mut parked, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let files: Vec<_> = files.collect();
        let ahead = block_bytes_of(files.len()) / 2;
        for (place, (file, skew, first)) in files.into_iter().enumerate() {
            all.push(Ordered::new(file, skew, ahead));
            match first {
                Some(first) => parked.push((first.plus(skew), place)),
                None => open.push(OpenFile { file: place, run: OrderedRun::default(), next: 0 }),
            }
        }
        parked.sort_unstable();
        let (parked, pool) = (parked.into(), Pool::default());
        Self { files: all, parked, open, pool, block_bytes, packets: 0 }
    }

    /// Reads on where all packets were handed out, and opens the files whose time has come.
    fn refill(&mut self) {
        loop {
            let block_bytes = self.block_bytes();
            let Self { files, open, pool, .. } = self;
            open.retain_mut(|reading| {
                if !reading.is_used() {
                    return true;
                }
                let file = &mut files[reading.file];
                reading.next = 0;
                let more = file.next_run(&mut reading.run, block_bytes, pool);
                if !more {
                    file.file.close();
                }
                more
            });
            let next = self.open.iter().filter_map(OpenFile::head).min();
            let Some(&(first, file)) = self.parked.front() else { return };
            if next.is_some_and(|next| next < due(first)) {
                return;
            }
            self.parked.pop_front();
            self.files[file].file.open_again();
            self.open.push(OpenFile { file, run: OrderedRun::default(), next: 0 });
            self.open.sort_unstable_by_key(|reading| reading.file);
        }
    }

    /// How many files are open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.open.len()
    }

    fn block_bytes(&self) -> usize {
        self.block_bytes.unwrap_or_else(|| block_bytes_of(self.open.len()))
    }

    /// Hands out all that was read of the only open file, where no other comes among it.
    fn fill_from_one(&mut self, batch: &mut Batch) -> bool {
        let [reading] = self.open.as_mut_slice() else { return false };
        let last = || reading.run.frames.iter().map(|frame| frame.at).max();
        let apart = self.parked.front().is_none_or(|&(first, _)| last() < Some(due(first)));
        if reading.next > 0 || !apart {
            return false;
        }
        std::mem::swap(&mut batch.frames, &mut reading.run.frames);
        std::mem::swap(&mut batch.blocks, &mut reading.run.blocks);
        true
    }

    /// Hands out packets until one file has no more that were read, as what follows in it decides
    /// who is next, or until another file is to be opened.
    fn fill_from_many(&mut self, batch: &mut Batch) {
        let mut bases = Vec::with_capacity(self.open.len());
        for reading in &self.open {
            bases.push(batch.blocks.len() as u32);
            batch.blocks.extend(reading.run.blocks.iter().cloned());
        }
        let until = self.parked.front().map(|&(first, _)| due(first));
        let heads = self.open.iter().enumerate();
        let heads = heads.filter_map(|(place, reading)| Some(Reverse((reading.head()?, place))));
        let mut heads: BinaryHeap<_> = heads.collect();
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((at, place)) = *head;
            if until.is_some_and(|until| at >= until) {
                return;
            }
            let reading = &mut self.open[place];
            let frame = reading.run.frames[reading.next];
            batch.frames.push(Frame { block: frame.block + bases[place], ..frame });
            reading.next += 1;
            match reading.head() {
                Some(next) => *head = Reverse((next, place)),
                None => {
                    PeekMut::pop(head);
                    return;
                }
            }
        }
    }
}

/// The length of a block where so many files are read.
fn block_bytes_of(files: usize) -> usize {
    (limits::READ_AHEAD_BYTES / files.max(1))
        .clamp(limits::SMALLEST_BLOCK_BYTES, limits::BLOCK_BYTES)
}

/// When a file whose first packet has this time must be open: packets behind it may be earlier.
fn due(first: Timestamp) -> Timestamp {
    first.plus(-limits::DISORDER_NS)
}

impl PacketSource for CaptureMerge {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.frames.clear();
        let room = 4 * self.open.len().max(1);
        for block in batch.blocks.drain(..) {
            self.pool.give_back(block, room);
        }
        self.refill();
        if !self.fill_from_one(batch) {
            self.fill_from_many(batch);
        }
        batch.first = self.packets + 1;
        self.packets += batch.frames.len() as u64;
        Ok(!batch.frames.is_empty())
    }

    fn take_secrets(&mut self, into: &mut Vec<u8>) {
        for reading in &mut self.files {
            if let Some(sections) = reading.file.sections_mut() {
                into.append(&mut sections.secrets);
            }
        }
    }

    fn progress(&self) -> (u64, Option<u64>) {
        let all = self.files.iter().map(|ordered| ordered.file.progress());
        all.fold((0, Some(0)), |(done, of), (d, l)| (done + d, of.zip(l).map(|(a, b)| a + b)))
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for ordered in &self.files {
            let file = &ordered.file;
            ledger.note("packets-out-of-the-order-of-their-times", ordered.late());
            if let Some(sections) = file.sections() {
                let (interface, system) = sections.drops();
                ledger.note("dropped-by-interface", interface);
                ledger.note("dropped-by-kernel", system);
                ledger.note("pcapng-blocks-not-understood", sections.unknown_blocks);
                ledger.note("tls-secrets-bytes", sections.secret_bytes);
            }
            if let Some(damage) = file.damage().filter(|damage| damage.growing) {
                ledger.note("inputs-still-being-written", 1);
                ledger.note("bytes-of-records-still-being-written", damage.unused);
            } else if let Some(damage) = file.damage() {
                ledger.note("damaged-inputs", 1);
                ledger.note("damaged-input-bytes-unused", damage.unused);
                ledger.note(&format!("damage at byte {} of {}", damage.offset, file.name()), 1);
            }
        }
        ledger
    }

    fn warnings(&self) -> Vec<String> {
        let damaged = self
            .files
            .iter()
            .filter_map(|ordered| Some((ordered.file.name(), ordered.file.damage()?)));
        damaged
            .map(|(name, damage)| {
                let FileDamage { offset, packet, what, growing, .. } = damage;
                if *growing {
                    return format!(
                        "{name}: still being written at byte {offset} behind packet {packet}: \
                         {what}; all before it is used"
                    );
                }
                format!(
                    "{name}: damaged at byte {offset} behind packet {packet}: {what}; all \
                    before it is used"
                )
            })
            .collect()
    }
}
