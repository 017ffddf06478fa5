//! Where each outcome stands in its file, by the name of its request: what joins outcomes to
//! exchanges without holding either.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::roots::Roots;
use crate::exchange::ExchangeId;
use crate::message::Request;
use crate::outcome::{HostMap, Outcome, ReplayId, server_of};
use crate::record::lines::{Batches, id_of, read_at};
use crate::record::outcomes;
use crate::record::outcomes::OutcomeLine;
use crate::time::Timestamp;

/// Where an outcome stands: 32 bytes for each.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    id: ReplayId,
    length: u32,
    offset: u64,
}

/// The outcomes of a file.
pub(super) struct Index {
    file: File,
    entries: Vec<IndexEntry>,
    /// When each part of the file started, by offset: shards that were put together have several.
    starts: Vec<(u64, Timestamp)>,
    /// Where the requests went.
    target: String,
    /// Hosts whose requests went elsewhere, and where.
    mapped: Vec<HostMap>,
    /// Values that the target did not issue.
    pub(super) roots: Roots,
    /// Lines that are no outcome.
    pub(super) damaged: u64,
    /// Whether the file was closed by its last line.
    pub(super) closed: bool,
    /// Whether a request has several outcomes.
    pub(super) has_doubles: bool,
}

impl Index {
    /// Walks the file once; first and last lines are given to `edge`.
    pub(super) fn build(
        file: File,
        mut progress: impl FnMut(u64),
        mut edge: impl FnMut(&[u8]),
    ) -> io::Result<Self> {
        let mut index = Self {
            file,
            entries: Vec::new(),
            starts: Vec::new(),
            target: String::new(),
            mapped: vec![],
            roots: Roots::default(),
            damaged: 0,
            closed: false,
            has_doubles: false,
        };
        let file = index.file.try_clone()?;
        let mut batches = Batches::new(&file)?;
        while let Some(batch) = batches.next()? {
            for at in 0..batch.len() {
                let (offset, line) = batch.line(at);
                index.add(offset, line, &mut edge);
            }
            progress(batches.position());
        }
        index.damaged += batches.too_long;
        // The last of several outcomes of one request counts, as for a run that was resumed.
        index.entries.sort_by_key(|entry| (entry.id, std::cmp::Reverse(entry.offset)));
        let all = index.entries.len();
        index.entries.dedup_by_key(|entry| entry.id);
        index.has_doubles = index.entries.len() < all;
        index.entries.shrink_to_fit();
        index.roots.settle();
        Ok(index)
    }

    fn add(&mut self, offset: u64, line: &[u8], edge: &mut impl FnMut(&[u8])) {
        let length = line.len() as u32;
        // A line that was cut is found when it is read; one that cannot be whole is no outcome.
        if let Some(id) = id_of(line) {
            self.entries.push(IndexEntry { id, length, offset });
            self.roots.note(id, line);
            return;
        }
        match outcomes::read(line) {
            Ok(OutcomeLine::Outcome(outcome)) => {
                self.entries.push(IndexEntry { id: outcome.id, length, offset });
                self.roots.note(outcome.id, line);
            }
            Ok(OutcomeLine::Header(header)) => {
                edge(line);
                self.starts.push((offset, header.started));
                self.mapped = header.mapped();
                self.target = header.target;
                self.closed = false;
            }
            Ok(OutcomeLine::End(_)) => {
                edge(line);
                self.closed = true;
            }
            Err(_) => self.damaged += 1,
        }
    }

    /// Where `request` went, and whether its host was mapped to another.
    pub(super) fn target_of(&self, request: &Request) -> (&str, bool) {
        server_of(request, &self.target, &self.mapped)
    }

    /// How many outcomes.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The outcomes of an exchange: one, or one for each copy of its request.
    pub(super) fn of(&self, id: ExchangeId) -> Range<usize> {
        let from = self.entries.partition_point(|entry| entry.id.exchange < id);
        let to = from + self.entries[from..].partition_point(|entry| entry.id.exchange == id);
        from..to
    }

    /// Where an outcome stands in the file.
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.entries[at].offset
    }

    /// The line of an outcome.
    pub(super) fn line(&self, at: usize) -> io::Result<Vec<u8>> {
        let entry = self.entries[at];
        read_at(&self.file, entry.offset, entry.length)
    }

    /// Reads an outcome, and when its part of the file started; none where the line is damaged.
    pub(super) fn read(&self, at: usize) -> io::Result<Option<(Outcome, Option<Timestamp>)>> {
        Ok(self.outcome(at, &self.line(at)?))
    }

    /// The same from the line at hand.
    pub(super) fn outcome(&self, at: usize, line: &[u8]) -> Option<(Outcome, Option<Timestamp>)> {
        let offset = self.offset(at);
        let started =
            self.starts[..self.starts.partition_point(|(start, _)| *start <= offset)].last();
        match outcomes::read(line) {
            Ok(OutcomeLine::Outcome(outcome)) => {
                Some((*outcome, started.map(|(_, started)| *started)))
            }
            _ => None,
        }
    }
}
