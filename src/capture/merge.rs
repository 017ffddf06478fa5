//! One stream of packets out of one or several capture files: merged by time, equal times in the
//! order of the inputs. The order inside a file is kept as it is. Each file holds one block at a
//! time; a block goes back when all its packets are used.

use std::collections::VecDeque;
use std::sync::Arc;

use super::file::{CaptureFile, Damage};
use super::{Batch, CaptureError, Frame, PacketSource};
use crate::ledger::Ledger;
use crate::limits;

/// Several capture files as one [`PacketSource`].
pub struct Merge {
    files: Vec<Reading>,
    /// Blocks that nobody reads any more, to be filled again.
    spare: VecDeque<Arc<Vec<u8>>>,
    block_bytes: usize,
    packets: u64,
}

/// One file with the packets that were found in its current block and are not yet handed out.
struct Reading {
    file: Box<CaptureFile>,
    /// Nanoseconds that are added to its capture times.
    skew: i64,
    block: Arc<Vec<u8>>,
    frames: Vec<Frame>,
    next: usize,
}

impl Merge {
    /// Of files and what is to be added to their times, in nanoseconds.
    pub fn new(files: Vec<(Box<CaptureFile>, i64)>) -> Self {
        let block_bytes = (limits::READ_AHEAD_BYTES / files.len().max(1))
            .clamp(limits::SMALLEST_BLOCK_BYTES, limits::BLOCK_BYTES);
        Self::with_block_bytes(files, block_bytes)
    }

    /// As [`Self::new`], with another length of blocks.
    pub fn with_block_bytes(files: Vec<(Box<CaptureFile>, i64)>, block_bytes: usize) -> Self {
        let reading = |(file, skew)| Reading {
            file,
            skew,
            block: Arc::default(),
            frames: Vec::new(),
            next: 0,
        };
        Self {
            files: files.into_iter().map(reading).collect(),
            spare: VecDeque::new(),
            block_bytes,
            packets: 0,
        }
    }

    fn fresh_block(&mut self) -> Arc<Vec<u8>> {
        // A spare block may still be read by the batch behind this one; the oldest is the likeliest
        // to be free.
        let mut block = self.spare.pop_front().unwrap_or_default();
        if Arc::get_mut(&mut block).is_none() {
            self.spare.push_back(std::mem::take(&mut block));
        }
        block
    }

    /// Reads the next block of file `which` where all its packets were handed out; answers whether
    /// it has any now.
    fn refill(&mut self, which: usize) -> bool {
        if self.files[which].next < self.files[which].frames.len() {
            return true;
        }
        let mut block = self.fresh_block();
        let reading = &mut self.files[which];
        reading.frames.clear();
        reading.next = 0;
        let bytes = Arc::get_mut(&mut block).expect("a fresh block is nobody else's");
        let more = reading.file.read(bytes, self.block_bytes, 0, &mut reading.frames);
        if reading.skew != 0 {
            for frame in &mut reading.frames {
                frame.at = frame.at.plus(reading.skew);
            }
        }
        let used = std::mem::replace(&mut reading.block, block);
        if used.capacity() > 0 && self.spare.len() < 2 * self.files.len() {
            self.spare.push_back(used);
        }
        more
    }

    fn fill_from_one(&mut self, batch: &mut Batch) -> bool {
        let more = self.refill(0);
        let reading = &mut self.files[0];
        std::mem::swap(&mut batch.frames, &mut reading.frames);
        reading.frames.clear();
        reading.next = 0;
        batch.blocks.push(std::mem::take(&mut reading.block));
        more
    }

    fn fill_from_many(&mut self, batch: &mut Batch) -> bool {
        for which in 0..self.files.len() {
            self.refill(which);
            batch.blocks.push(Arc::clone(&self.files[which].block));
        }
        // Until one file has handed out its block: what follows in it decides who is next.
        loop {
            let heads = self
                .files
                .iter()
                .enumerate()
                .filter_map(|(which, r)| Some((r.frames.get(r.next)?.at, which)));
            let Some((_, which)) = heads.min() else { break };
            let reading = &mut self.files[which];
            batch.frames.push(Frame { block: which as u32, ..reading.frames[reading.next] });
            reading.next += 1;
            if reading.next == reading.frames.len() {
                break;
            }
        }
        !batch.frames.is_empty()
    }
}

impl PacketSource for Merge {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.frames.clear();
        let room = 4 * self.files.len().max(1);
        for block in batch.blocks.drain(..) {
            if self.spare.len() < room {
                self.spare.push_back(block);
            }
        }
        let more = match self.files.len() {
            0 => false,
            1 => self.fill_from_one(batch),
            _ => self.fill_from_many(batch),
        };
        batch.first = self.packets + 1;
        self.packets += batch.frames.len() as u64;
        Ok(more)
    }

    fn progress(&self) -> (u64, Option<u64>) {
        let all = self.files.iter().map(|reading| reading.file.progress());
        all.fold((0, Some(0)), |(done, of), (d, l)| (done + d, of.zip(l).map(|(a, b)| a + b)))
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for Reading { file, .. } in &self.files {
            if let Some(sections) = file.sections() {
                let (interface, system) = sections.drops();
                ledger.note("dropped-by-interface", interface);
                ledger.note("dropped-by-kernel", system);
                ledger.note("pcapng-blocks-not-understood", sections.unknown_blocks);
                ledger.note("tls-secrets-bytes", sections.secrets.len() as u64);
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
            .filter_map(|reading| Some((reading.file.name(), reading.file.damage()?)));
        damaged
            .map(|(name, damage)| {
                let Damage { offset, packet, what, growing, .. } = damage;
                if *growing {
                    return format!(
                        "{name}: still being written at byte {offset} behind packet {packet}: {what}; all before it is used"
                    );
                }
                format!("{name}: damaged at byte {offset} behind packet {packet}: {what}; all before it is used")
            })
            .collect()
    }
}
