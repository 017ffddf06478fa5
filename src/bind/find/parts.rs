//! The parts of a recording's exchanges on disk: read one after the other in the recording's order,
//! or looked up by an exchange's name.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Mutex;

use crate::bind::{Birth, Part, Parts, Use};
use crate::exchange::ExchangeId;
use crate::message::place::Place;
use crate::store::{Sorter, SpoolFile, Spooled, WindowBytes};

/// Bytes of a record of the index: connection, ordinal, offset.
const RECORD: usize = 16;
/// Bytes of the length before each part.
const LENGTH: u64 = 4;
/// Bytes of the name that a part begins with.
const ID: usize = 12;
/// Records of the index between two that are in memory.
const STRIDE: u64 = 256;

/// Writes parts.
pub(super) struct PartsWriter {
    parts: SpoolFile,
    index: Sorter<RECORD>,
    buffer: Vec<u8>,
}

impl PartsWriter {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { parts: SpoolFile::new(folder)?, index: Sorter::new(folder), buffer: Vec::new() })
    }

    pub(super) fn write(&mut self, part: &Part) -> io::Result<()> {
        let mut record = [0; RECORD];
        record[..6].copy_from_slice(&part.exchange.connection.to_be_bytes()[2..]);
        record[6..10].copy_from_slice(&part.exchange.ordinal.to_be_bytes());
        record[10..].copy_from_slice(&self.parts.len().to_be_bytes()[2..]);
        self.index.push(record)?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; 4]);
        encode(&mut self.buffer, part);
        let length = (self.buffer.len() - 4) as u32;
        self.buffer[..4].copy_from_slice(&length.to_le_bytes());
        self.parts.write(&self.buffer)
    }

    pub(super) fn finish(self, folder: &Path) -> io::Result<PartFile> {
        let mut index = SpoolFile::new(folder)?;
        let mut sparse = Vec::new();
        for (number, record) in self.index.finish()?.iter()?.enumerate() {
            let record = record?;
            if (number as u64).is_multiple_of(STRIDE) {
                sparse.push(name(&record));
            }
            index.write(&record)?;
        }
        let turn = Mutex::default();
        Ok(PartFile { parts: self.parts.finish()?, index: index.finish()?, sparse, turn })
    }
}

fn name(record: &[u8]) -> ExchangeId {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    ExchangeId { connection: number(&record[..6]), ordinal: number(&record[6..10]) as u32 }
}

/// The parts of a recording. Those of exchanges without a whole request are not there.
pub struct PartFile {
    parts: Spooled,
    index: Spooled,
    /// The name of every so many records of the index.
    sparse: Vec<ExchangeId>,
    /// Where who asks in the recording's order is.
    turn: Mutex<PartsTurn>,
}

/// How far parts were read in the recording's order. A plan asks for them so, and then none is
/// searched for.
#[derive(Default)]
struct PartsTurn {
    at: u64,
    window: WindowBytes,
}

impl PartsTurn {
    /// Whether the next part is that of an exchange.
    fn is_of(&mut self, parts: &Spooled, of: ExchangeId) -> io::Result<bool> {
        if self.at >= parts.len() {
            return Ok(false);
        }
        let name = &mut self.window.of(parts, self.at + LENGTH, ID)?;
        Ok(take_id(name) == Some(of))
    }

    /// The next part, which is there.
    fn next(&mut self, parts: &Spooled) -> io::Result<Part> {
        let length = self.window.of(parts, self.at, LENGTH as usize)?;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes were asked for"));
        let part = decode(self.window.of(parts, self.at + LENGTH, length as usize)?)?;
        self.at += LENGTH + u64::from(length);
        Ok(part)
    }
}

impl std::fmt::Debug for PartFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartFile({} bytes)", self.parts.len())
    }
}

impl PartFile {
    /// How many bytes of parts and of their index there are.
    pub(super) fn lengths(&self) -> [u64; 2] {
        [self.parts.len(), self.index.len()]
    }

    /// Writes the parts, then their index.
    pub(super) fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        [&self.parts, &self.index].into_iter().try_for_each(|spooled| spooled.copy_to(out))
    }

    /// What [`Self::copy_to`] wrote of so many bytes, in temporary files in `folder`.
    pub(super) fn copy_of(
        input: &mut impl Read,
        [parts_bytes, index_bytes]: [u64; 2],
        folder: &Path,
    ) -> io::Result<Self> {
        let parts = SpoolFile::new(folder)?.fill(input, parts_bytes)?;
        let index = SpoolFile::new(folder)?.fill(input, index_bytes)?;
        let (mut window, mut sparse) = (index.window(), Vec::new());
        for offset in (0..index.len()).step_by(STRIDE as usize * RECORD) {
            sparse.push(name(window.bytes(offset, RECORD)?));
        }
        Ok(Self { parts, index, sparse, turn: Mutex::default() })
    }

    /// All of them, in the recording's order.
    pub fn iter(&self) -> PartsReader<'_> {
        PartsReader { parts: &self.parts, turn: PartsTurn::default() }
    }
}

impl Parts for PartFile {
    // Reads from disk; any number of threads may ask.
    fn part(&self, id: ExchangeId) -> io::Result<Option<Part>> {
        // Whoever asks beside another one searches.
        if let Ok(mut turn) = self.turn.try_lock()
            && turn.is_of(&self.parts, id)?
        {
            return turn.next(&self.parts).map(Some);
        }
        let block = self.sparse.partition_point(|first| *first <= id);
        let Some(block) = block.checked_sub(1) else { return Ok(None) };
        let start = block as u64 * STRIDE * RECORD as u64;
        let length = (self.index.len() - start).min(STRIDE * RECORD as u64) as usize;
        let records = self.index.read_at(start, length)?;
        let Some(record) = records.chunks_exact(RECORD).find(|record| name(record) == id) else {
            return Ok(None);
        };
        let offset = record[10..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let length = self.parts.read_at(offset, 4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        decode(&self.parts.read_at(offset + 4, length as usize)?).map(Some)
    }
}

/// Reads parts one after the other.
pub struct PartsReader<'p> {
    parts: &'p Spooled,
    turn: PartsTurn,
}

impl Iterator for PartsReader<'_> {
    type Item = io::Result<Part>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.turn.at >= self.parts.len() {
            return None;
        }
        let next = self.turn.next(self.parts);
        if next.is_err() {
            self.turn.at = self.parts.len();
        }
        Some(next)
    }
}

fn encode(out: &mut Vec<u8>, part: &Part) {
    id(out, part.exchange);
    out.extend_from_slice(&part.session.to_le_bytes());
    out.extend_from_slice(&part.older.to_le_bytes());
    let Part { births, uses, after, beside, .. } = part;
    for length in [births.len(), uses.len(), after.len(), beside.len()] {
        out.extend_from_slice(&(length as u32).to_le_bytes());
    }
    for birth in births {
        out.extend_from_slice(&birth.slot.to_le_bytes());
        out.extend_from_slice(&birth.flow.unwrap_or(u32::MAX).to_le_bytes());
        range(out, birth.range.as_ref());
        text(out, Some(&birth.text));
        text(out, birth.thing.as_deref());
        birth.place.write(out);
    }
    for used in uses {
        out.extend_from_slice(&used.slot.to_le_bytes());
        out.extend_from_slice(&used.flow.to_le_bytes());
        range(out, used.range.as_ref());
        id(out, used.from);
        used.place.write(out);
    }
    after.iter().chain(beside).for_each(|other| id(out, *other));
}

fn id(out: &mut Vec<u8>, id: ExchangeId) {
    out.extend_from_slice(&id.connection.to_le_bytes());
    out.extend_from_slice(&id.ordinal.to_le_bytes());
}

fn range(out: &mut Vec<u8>, range: Option<&std::ops::Range<u32>>) {
    let (start, end) = range.map_or((u32::MAX, u32::MAX), |range| (range.start, range.end));
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&end.to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: Option<&str>) {
    let length = text.map_or(u32::MAX, |text| text.len() as u32);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn decode(mut bytes: &[u8]) -> io::Result<Part> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a temporary file was changed");
    part(&mut bytes).ok_or_else(damaged)
}

fn part(bytes: &mut &[u8]) -> Option<Part> {
    let mut part = Part {
        exchange: take_id(bytes)?,
        session: take(bytes)?,
        older: take(bytes)?,
        ..Part::default()
    };
    let (births, uses) = (take(bytes)?, take(bytes)?);
    let (after, beside) = (take(bytes)?, take(bytes)?);
    for _ in 0..births {
        part.births.push(Birth {
            slot: take(bytes)?,
            flow: Some(take(bytes)?).filter(|flow| *flow != u32::MAX),
            range: take_range(bytes)?,
            text: take_text(bytes)??,
            thing: take_text(bytes)?,
            place: Place::read(bytes)?,
        });
    }
    for _ in 0..uses {
        part.uses.push(Use {
            slot: take(bytes)?,
            flow: take(bytes)?,
            range: take_range(bytes)?,
            from: take_id(bytes)?,
            place: Place::read(bytes)?,
        });
    }
    for _ in 0..after {
        part.after.push(take_id(bytes)?);
    }
    for _ in 0..beside {
        part.beside.push(take_id(bytes)?);
    }
    Some(part)
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

fn take_id(bytes: &mut &[u8]) -> Option<ExchangeId> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(ExchangeId { connection: u64::from_le_bytes(*head), ordinal: take(bytes)? })
}

fn take_range(bytes: &mut &[u8]) -> Option<Option<std::ops::Range<u32>>> {
    let (start, end) = (take(bytes)?, take(bytes)?);
    Some((start != u32::MAX).then_some(start..end))
}

/// A text that may not be there.
fn take_text(bytes: &mut &[u8]) -> Option<Option<Box<str>>> {
    let length = take(bytes)?;
    if length == u32::MAX {
        return Some(None);
    }
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(Some(std::str::from_utf8(text).ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(connection: u64, ordinal: u32) -> Part {
        let exchange = ExchangeId { connection, ordinal };
        Part {
            exchange,
            session: ordinal,
            births: vec![Birth {
                slot: 7,
                place: "$.items[3].id".parse().expect("a place"),
                range: Some(2..5),
                text: "é42".into(),
                thing: (ordinal == 0).then(|| "item".into()),
                flow: (ordinal > 0).then_some(1),
            }],
            uses: vec![Use {
                slot: 3,
                place: "header:authorization".parse().expect("a place"),
                range: None,
                flow: 2,
                from: ExchangeId { connection: 1 << 40, ordinal: 9 },
            }],
            after: vec![exchange; ordinal as usize],
            beside: vec![exchange; 2 - ordinal.min(2) as usize],
            older: 4,
        }
    }

    #[test]
    fn parts_are_read_in_order_and_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = PartsWriter::new(folder.path()).expect("a file");
        // Not in the order of their names.
        let all: Vec<Part> = (0..1_000).map(|n| sample(n * 7919 % 1_000, (n % 3) as u32)).collect();
        all.iter().for_each(|part| writer.write(part).expect("room"));
        let parts = writer.finish(folder.path()).expect("room");
        let read: Vec<Part> = parts.iter().map(|part| part.expect("it is there")).collect();
        assert_eq!(read, all);
        let mut copy = Vec::new();
        parts.copy_to(&mut copy).expect("memory");
        let copied = PartFile::copy_of(&mut &copy[..], parts.lengths(), folder.path());
        let copied = copied.expect("it is whole");
        let cut = &mut &copy[..copy.len() - 1];
        assert!(PartFile::copy_of(cut, parts.lengths(), folder.path()).is_err());
        for part in &all {
            assert_eq!(copied.part(part.exchange).expect("it is there").as_ref(), Some(part));
            assert_eq!(parts.part(part.exchange).expect("it is there").as_ref(), Some(part));
        }
        // Whatever was asked for in between, and of those that have none.
        for (place, part) in all.iter().enumerate() {
            let other = &all[(place * 31) % all.len()];
            for part in [other, part] {
                let read = copied.part(part.exchange).expect("it is there");
                assert_eq!(read.as_ref(), Some(part), "{place}");
            }
        }
        for (connection, ordinal) in [(0, 9), (5_000, 0), (999, 7)] {
            let none = parts.part(ExchangeId { connection, ordinal }).expect("it can be read");
            assert_eq!(none, None);
        }
    }

    #[test]
    fn no_parts_are_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = PartsWriter::new(folder.path()).expect("a file");
        let parts = writer.finish(folder.path()).expect("room");
        assert_eq!(parts.iter().count(), 0);
        assert_eq!(parts.part(ExchangeId::default()).expect("it can be read"), None);
    }
}
