//! Lines of large files: read in batches, and again by their place.
//!
//! A run's records are far larger than memory; what is kept of each is where it stands.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use crate::limits::LINE_BYTES;

/// Bytes that are read at once.
const BLOCK: usize = 4 << 20;

/// Some lines of a file, in order.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where the first byte stands in the file.
    offset: u64,
    lines: Vec<(u32, u32)>,
}

impl Batch {
    /// How many lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A part of the batch, from its first byte on.
    pub(crate) fn span(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start + length).unwrap_or_default()
    }

    /// A line without its end, and where it stands.
    pub(crate) fn line(&self, index: usize) -> (u64, &[u8]) {
        let (start, end) = self.lines[index];
        (self.offset + u64::from(start), &self.bytes[start as usize..end as usize])
    }
}

/// Reads a file by batches of whole lines.
pub(crate) struct Batches<'f> {
    file: &'f File,
    offset: u64,
    rest: Vec<u8>,
    ended: bool,
    /// Lines that were longer than [`LINE_BYTES`] and were left out.
    pub(crate) too_long: u64,
    skipping: bool,
}

impl<'f> Batches<'f> {
    /// From the start of `file`.
    pub(crate) fn new(mut file: &'f File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, offset: 0, rest: Vec::new(), ended: false, too_long: 0, skipping: false })
    }

    /// How far the file was read.
    pub(crate) const fn position(&self) -> u64 {
        self.offset
    }

    /// The next lines; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Batch>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let start = self.offset - self.rest.len() as u64;
            let mut bytes = std::mem::take(&mut self.rest);
            let kept = bytes.len();
            bytes.resize(kept + BLOCK, 0);
            let read = read_full(&mut self.file, &mut bytes[kept..])?;
            bytes.truncate(kept + read);
            self.offset += read as u64;
            self.ended = read < BLOCK;
            let mut lines = Vec::new();
            let mut from = 0;
            for end in memchr::memchr_iter(b'\n', &bytes) {
                if !std::mem::take(&mut self.skipping) && end > from {
                    lines.push((from as u32, end as u32));
                }
                from = end + 1;
            }
            if self.ended {
                if from < bytes.len() && !self.skipping {
                    lines.push((from as u32, bytes.len() as u32));
                }
            } else {
                self.rest = bytes[from..].to_vec();
                if self.rest.len() > LINE_BYTES {
                    self.too_long += u64::from(!self.skipping);
                    self.skipping = true;
                    self.rest.clear();
                } else if self.skipping {
                    self.rest.clear();
                }
            }
            if !lines.is_empty() {
                return Ok(Some(Batch { bytes, offset: start, lines }));
            }
        }
    }
}

fn read_full(file: &mut &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads `length` bytes at `offset`.
pub(crate) fn read_at(file: &File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_come_back_whole_wherever_a_block_ends() {
        let mut file = tempfile::tempfile().unwrap();
        let lines: Vec<String> =
            (0..3_000).map(|n: usize| format!("{n}{}", "x".repeat(n * 7 % 5_000))).collect();
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        let mut batches = Batches::new(&file).unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = batches.next().unwrap() {
            for index in 0..batch.len() {
                let (offset, line) = batch.line(index);
                assert_eq!(read_at(&file, offset, line.len() as u32).unwrap(), line);
                seen.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(seen, lines);
        assert_eq!(batches.position(), file.metadata().unwrap().len());
    }
}
