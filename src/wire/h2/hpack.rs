//! HPACK (RFC 7541) for who may have come late: a decoder in which an entry that was never seen is
//! a value with an identity, and not an error.
//!
//! An index of the dynamic table counts back from the newest entry. So what was inserted since the
//! decoder began is known exactly, whatever stood in the table before, and an index beyond that
//! names one certain entry whose octets nobody can tell. A value is therefore known, or unknown; it
//! is never guessed. [`Encoder`] is the other side, for a replay.

mod encoder;
mod table;

use std::collections::VecDeque;

pub use encoder::{Encoder, Indexing};

use self::table::{INITIAL, OVERHEAD, STATIC};
use super::huffman;
use crate::limits;
use crate::message::{HeaderPart, Headers};

/// Why a header block cannot be read. Whatever its reason, the table is unknown behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// It ends inside a field.
    Cut,
    /// An index that no table has.
    Index,
    /// A Huffman code that is none.
    Huffman,
    /// An integer beyond 32 bits.
    Integer,
}

impl BlockError {
    /// The name in `Exchange.marks`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "hpack-cut",
            Self::Index => "hpack-index",
            Self::Huffman => "hpack-huffman",
            Self::Integer => "hpack-integer",
        }
    }
}

/// A header block, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderBlock {
    /// Its fields as they stood, pseudo-header fields among them.
    pub fields: Headers,
    /// Places of the fields whose sender forbids that they are ever indexed (RFC 7541 §7.1.3).
    pub never_indexed: Vec<u32>,
    /// Fields beyond the limits, which were left out.
    pub left_out: u64,
}

/// Reads the header blocks of one direction, in their order.
#[derive(Debug)]
pub struct Decoder {
    /// What is known of the dynamic table, the newest first.
    entries: VecDeque<Entry>,
    /// Octets that they take (RFC 7541 §4.1); of unknown ones what is known.
    size: usize,
    capacity: usize,
    /// Entries that were inserted, modulo 2^64; jumps where a block was lost, so that no two
    /// unknown entries have the same identity.
    inserted: u64,
    /// Older entries than the known ones may be there.
    older: bool,
    /// Names and values of the field under way.
    scratch: Vec<u8>,
    most_bytes: usize,
    most_fields: usize,
}

/// An entry of the dynamic table.
#[derive(Debug)]
struct Entry {
    octets: Box<[u8]>,
    /// How many of them are the name; the rest is the value.
    name: usize,
    unknown_name: Option<u32>,
    unknown_value: Option<u32>,
}

impl Entry {
    fn new(name: HeaderPart<'_>, value: HeaderPart<'_>) -> Self {
        let octets = [name.octets(), value.octets()].concat().into_boxed_slice();
        Self {
            octets,
            name: name.octets().len(),
            unknown_name: name.identity(),
            unknown_value: value.identity(),
        }
    }

    fn size(&self) -> usize {
        self.octets.len() + OVERHEAD
    }

    fn name(&self) -> HeaderPart<'_> {
        self.unknown_name.map_or(HeaderPart::Known(&self.octets[..self.name]), HeaderPart::Unknown)
    }

    fn value(&self) -> HeaderPart<'_> {
        self.unknown_value.map_or(HeaderPart::Known(&self.octets[self.name..]), HeaderPart::Unknown)
    }
}

/// A name or a value of the field under way.
#[derive(Clone, Copy)]
enum Source {
    /// The name at this index of the tables.
    Index(usize),
    /// Octets of `scratch`.
    Literal(usize, usize),
}

/// How far another entry of the table stands from all that stood in it before a loss.
const LOST_ENTRIES: u64 = 1 << 20;

impl Default for Decoder {
    fn default() -> Self {
        Self::new(limits::HEAD_BYTES, limits::HEADER_FIELDS)
    }
}

impl Decoder {
    /// For a direction that begins. Of a block as many fields are given as `most_fields` and
    /// `most_bytes` (names, values, 32 bytes a field) allow.
    pub fn new(most_bytes: usize, most_fields: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            capacity: INITIAL,
            inserted: 0,
            older: false,
            scratch: Vec::new(),
            most_bytes,
            most_fields,
        }
    }

    /// A block was lost, or the direction is joined in the middle: of the table nothing is known
    /// any more, not even how large it is.
    pub fn lost(&mut self) {
        self.entries.clear();
        self.size = 0;
        // To keep more than its sender does is never wrong: it does not name what it let go of.
        self.capacity = limits::HPACK_TABLE_BYTES;
        self.inserted = self.inserted.wrapping_add(LOST_ENTRIES);
        self.older = true;
    }

    /// Bytes that the table holds.
    pub fn held(&self) -> usize {
        self.size
    }

    /// Reads one whole block.
    pub fn decode(&mut self, block: &[u8]) -> Result<HeaderBlock, BlockError> {
        let mut out = HeaderBlock::default();
        let read = self.read(block, &mut out);
        if read.is_err() {
            self.lost();
        }
        read.map(|()| out)
    }

    fn read(&mut self, mut block: &[u8], out: &mut HeaderBlock) -> Result<(), BlockError> {
        let encoded = block.len();
        let mut taken = 0;
        while let Some(&first) = block.first() {
            self.scratch.clear();
            match first {
                0x80.. => {
                    let index = integer(&mut block, 7)? as usize;
                    let (name, value) = self.at(index)?;
                    give(out, &mut taken, encoded, self.bounds(), name, value, false);
                }
                0x40.. => {
                    let (name, value) = self.literal(&mut block, 6)?;
                    let (name, value) = (self.part(name)?, self.part(value)?);
                    give(out, &mut taken, encoded, self.bounds(), name, value, false);
                    let entry = Entry::new(name, value);
                    self.insert(entry);
                }
                0x20.. => {
                    let size = integer(&mut block, 5)? as usize;
                    self.resize(size);
                }
                _ => {
                    let (name, value) = self.literal(&mut block, 4)?;
                    let (name, value) = (self.part(name)?, self.part(value)?);
                    give(out, &mut taken, encoded, self.bounds(), name, value, first >= 0x10);
                }
            }
        }
        Ok(())
    }

    const fn bounds(&self) -> (usize, usize) {
        (self.most_bytes, self.most_fields)
    }

    /// A literal's name and value (RFC 7541 §6.2).
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(Source, Source), BlockError> {
        let name = match integer(block, prefix)? as usize {
            0 => self.string(block)?,
            index => Source::Index(index),
        };
        Ok((name, self.string(block)?))
    }

    /// A string into `scratch` (RFC 7541 §5.2).
    fn string(&mut self, block: &mut &[u8]) -> Result<Source, BlockError> {
        let coded = block.first().is_some_and(|first| first & 0x80 != 0);
        let length = integer(block, 7)? as usize;
        let (text, rest) = block.split_at_checked(length).ok_or(BlockError::Cut)?;
        *block = rest;
        let start = self.scratch.len();
        if coded {
            huffman::decode(text, &mut self.scratch).map_err(|_| BlockError::Huffman)?;
        } else {
            self.scratch.extend_from_slice(text);
        }
        Ok(Source::Literal(start, self.scratch.len()))
    }

    fn part(&self, source: Source) -> Result<HeaderPart<'_>, BlockError> {
        match source {
            Source::Index(index) => self.at(index).map(|(name, _)| name),
            Source::Literal(start, end) => Ok(HeaderPart::Known(&self.scratch[start..end])),
        }
    }

    /// The entry with an index of both tables (RFC 7541 §2.3.3).
    fn at(&self, index: usize) -> Result<(HeaderPart<'_>, HeaderPart<'_>), BlockError> {
        let Some(place) = index.checked_sub(STATIC.len() + 1) else {
            let (name, value) = STATIC.get(index.wrapping_sub(1)).ok_or(BlockError::Index)?;
            return Ok((HeaderPart::Known(name.as_bytes()), HeaderPart::Known(value.as_bytes())));
        };
        match self.entries.get(place) {
            Some(entry) => Ok((entry.name(), entry.value())),
            None if self.older => {
                let identity = HeaderPart::unknown((place as u64).wrapping_sub(self.inserted));
                Ok((identity, identity))
            }
            None => Err(BlockError::Index),
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.inserted = self.inserted.wrapping_add(1);
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    /// A dynamic table size update (RFC 7541 §6.3).
    fn resize(&mut self, size: usize) {
        // What is beyond the limit is forgotten earlier than its sender forgets it.
        self.older = size > 0 && self.older || size > limits::HPACK_TABLE_BYTES;
        self.capacity = size.min(limits::HPACK_TABLE_BYTES);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.capacity {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size();
        }
    }
}

/// Adds a field, where the limits allow it. A short block that says a lot by naming large entries
/// again and again is a bomb.
fn give(
    out: &mut HeaderBlock,
    taken: &mut usize,
    encoded: usize,
    (most_bytes, most_fields): (usize, usize),
    name: HeaderPart<'_>,
    value: HeaderPart<'_>,
    never: bool,
) {
    let size = name.octets().len() + value.octets().len() + OVERHEAD;
    let most = most_bytes.min(limits::HEADER_BOMB_BYTES.max(encoded * limits::HEADER_BOMB_RATIO));
    if *taken + size > most || out.fields.len() >= most_fields {
        out.left_out += 1;
        return;
    }
    *taken += size;
    if never {
        out.never_indexed.push(out.fields.len() as u32);
    }
    out.fields.push_parts(name, value);
}

/// An integer with a prefix of `bits` bits (RFC 7541 §5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<u32, BlockError> {
    let (&first, rest) = block.split_first().ok_or(BlockError::Cut)?;
    *block = rest;
    let full = (1u32 << bits) - 1;
    let prefix = u32::from(first) & full;
    if prefix < full {
        return Ok(prefix);
    }
    let mut value = u64::from(full);
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = block.split_first().ok_or(BlockError::Cut)?;
        *block = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| BlockError::Integer);
        }
    }
    Err(BlockError::Integer)
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
