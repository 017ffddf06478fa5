//! Writes header blocks (RFC 7541): what was sent before is named by its index, strings go in
//! Huffman code where that is shorter.

use std::collections::VecDeque;

use super::table::{INITIAL, OVERHEAD, STATIC};
use crate::wire::h2::huffman;

/// What may be remembered of a field (RFC 7541 §6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// It goes into the dynamic table.
    #[default]
    Incremental,
    /// It does not, here.
    Without,
    /// It must not, by nobody on the way (RFC 7541 §7.1.3).
    Never,
}

/// Writes the header blocks of one direction.
#[derive(Debug)]
pub struct Encoder {
    /// The dynamic table, the newest first.
    entries: VecDeque<(Box<[u8]>, Box<[u8]>)>,
    size: usize,
    capacity: usize,
    /// The smallest and the last size that the peer allowed since the last block (RFC 7541 §4.2).
    updates: Option<(usize, usize)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, capacity: INITIAL, updates: None }
    }
}

impl Encoder {
    /// The peer allows a table of so many octets (SETTINGS_HEADER_TABLE_SIZE): told at the start of
    /// the next block.
    pub fn allow(&mut self, octets: usize) {
        let size = octets.min(INITIAL);
        if size != self.capacity || self.updates.is_some() {
            let smallest = self.updates.map_or(size, |(smallest, _)| smallest.min(size));
            self.updates = Some((smallest, size));
        }
    }

    /// Appends what stands at the start of a block: how large the table is from now on, where that
    /// changed.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some((smallest, last)) = self.updates.take() else { return };
        for size in [Some(smallest).filter(|&smallest| smallest < last), Some(last)] {
            let Some(size) = size else { continue };
            integer(out, 0x20, 5, size);
            self.capacity = size;
            self.evict();
        }
    }

    /// Appends one field.
    pub fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let (index, whole) = self.find(name, value);
        if whole && indexing != Indexing::Never {
            return integer(out, 0x80, 7, index);
        }
        match indexing {
            Indexing::Incremental => integer(out, 0x40, 6, index),
            Indexing::Without => integer(out, 0x00, 4, index),
            Indexing::Never => integer(out, 0x10, 4, index),
        }
        if index == 0 {
            string(out, name);
        }
        string(out, value);
        if indexing == Indexing::Incremental {
            self.size += name.len() + value.len() + OVERHEAD;
            self.entries.push_front((name.into(), value.into()));
            self.evict();
        }
    }

    /// The index of a field and whether its value is the same; 0 where not even its name is known.
    fn find(&self, name: &[u8], value: &[u8]) -> (usize, bool) {
        let mut by_name = 0;
        let fixed = STATIC.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let own = self.entries.iter().map(|(name, value)| (&name[..], &value[..]));
        for (place, (known, content)) in fixed.chain(own).enumerate() {
            if known != name {
                continue;
            }
            if content == value {
                return (place + 1, true);
            }
            if by_name == 0 {
                by_name = place + 1;
            }
        }
        (by_name, false)
    }

    fn evict(&mut self) {
        while self.size > self.capacity {
            let Some((name, value)) = self.entries.pop_back() else { return };
            self.size -= name.len() + value.len() + OVERHEAD;
        }
    }
}

/// Appends an integer behind the bits of `first` (RFC 7541 §5.1).
fn integer(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let full = (1usize << bits) - 1;
    if value < full {
        return out.push(first | value as u8);
    }
    out.push(first | full as u8);
    let mut rest = value - full;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a string (RFC 7541 §5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::coded_len(text);
    if coded < text.len() {
        integer(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        integer(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}
