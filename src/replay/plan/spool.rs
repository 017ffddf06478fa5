//! The bytes that will be sent, on disk: written once before the replay, read ahead in order while
//! it runs.
//!
//! So memory holds what is due soon, never the capture, and nothing is left to encode when a
//! request is due.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::sorter::nameless_file;

const WRITE_BYTES: usize = 1 << 20;
const BLOCK_BYTES: usize = 256 << 10;

/// Where something stands in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct SpoolPlace {
    pub(in crate::replay) offset: u64,
    pub(in crate::replay) length: u64,
}

impl SpoolPlace {
    /// Where what stands behind it begins.
    pub(in crate::replay) const fn end(self) -> u64 {
        self.offset + self.length
    }
}

/// Takes bytes.
pub(in crate::replay) struct SpoolWriter {
    file: File,
    buffer: Vec<u8>,
    flushed: u64,
}

impl SpoolWriter {
    pub(in crate::replay) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: nameless_file(folder)?,
            buffer: Vec::with_capacity(WRITE_BYTES),
            flushed: 0,
        })
    }

    /// Appends what `write` puts into the buffer it is given.
    pub(in crate::replay) fn append(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<SpoolPlace> {
        let start = self.buffer.len();
        write(&mut self.buffer);
        let place = SpoolPlace {
            offset: self.flushed + start as u64,
            length: (self.buffer.len() - start) as u64,
        };
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(place)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.flushed)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(4 * WRITE_BYTES);
        Ok(())
    }

    pub(in crate::replay) fn finish(mut self) -> io::Result<Spool> {
        self.flush()?;
        Ok(Spool { file: Arc::new(self.file) })
    }
}

/// The finished spool; clones share the file.
#[derive(Clone)]
pub(in crate::replay) struct Spool {
    file: Arc<File>,
}

impl Spool {
    /// Fills `buffer` from `offset`.
    pub(in crate::replay) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// A reader for places that mostly follow each other.
    pub(in crate::replay) fn reader(&self) -> SpoolReader {
        SpoolReader { spool: self.clone(), block: Vec::new(), start: 0 }
    }
}

/// Reads a block at a time.
pub(in crate::replay) struct SpoolReader {
    spool: Spool,
    block: Vec<u8>,
    start: u64,
}

impl SpoolReader {
    /// The first `length` bytes from `offset`.
    pub(in crate::replay) fn get(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset + length as u64;
        if offset < self.start || end > self.start + self.block.len() as u64 {
            if length >= BLOCK_BYTES {
                let mut bytes = vec![0; length];
                self.spool.read_at(&mut bytes, offset)?;
                return Ok(bytes.into());
            }
            self.fill(offset, length)?;
        }
        let from = (offset - self.start) as usize;
        Ok(Bytes::copy_from_slice(&self.block[from..from + length]))
    }

    fn fill(&mut self, offset: u64, needed: usize) -> io::Result<()> {
        self.block.resize(BLOCK_BYTES, 0);
        self.start = offset;
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.spool.file.read_at(&mut self.block[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.block.clear();
                    return Err(error);
                }
            }
        }
        self.block.truncate(filled);
        if filled < needed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SpoolWriter::new(folder.path()).unwrap();
        let contents: Vec<Vec<u8>> = (0..300usize)
            .map(|n| vec![n as u8; [0, 1, 100, 5_000, BLOCK_BYTES + 3][n % 5]])
            .collect();
        let places: Vec<SpoolPlace> = contents
            .iter()
            .map(|bytes| writer.append(|out| out.extend_from_slice(bytes)).unwrap())
            .collect();
        let mut reader = writer.finish().unwrap().reader();
        for index in (0..300).chain((0..300).rev()) {
            let got = reader.get(places[index].offset, places[index].length as usize).unwrap();
            assert!(got == contents[index], "content {index}");
        }
        assert!(reader.get(places[299].offset + places[299].length, 1).is_err());
    }
}
