//! A file without a name that is written once, from its start to its end, and then read: in
//! windows, mostly forwards.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::nameless_file;

/// Bytes that are gathered before they are written, and read at a time.
const AT_ONCE: usize = 1 << 20;

/// Takes bytes.
pub(crate) struct SpoolFile {
    file: File,
    buffer: Vec<u8>,
    written: u64,
}

impl SpoolFile {
    /// An empty one in `folder`.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: nameless_file(folder)?, buffer: Vec::new(), written: 0 })
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    /// Appends so many bytes of `input`, which has as many, and ends the writing.
    pub(crate) fn fill(mut self, input: &mut impl Read, length: u64) -> io::Result<Spooled> {
        let mut left = length;
        while left > 0 {
            let more = left.min(AT_ONCE as u64);
            let got = input.by_ref().take(more).read_to_end(&mut self.buffer)? as u64;
            if got < more {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= got;
            self.flush()?;
        }
        self.finish()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the writing.
    pub(crate) fn finish(mut self) -> io::Result<Spooled> {
        self.flush()?;
        Ok(Spooled { file: self.file, length: self.written })
    }
}

/// A spool that is whole.
pub(crate) struct Spooled {
    file: File,
    length: u64,
}

impl Spooled {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Reads it in windows.
    pub(crate) fn window(&self) -> Window<'_> {
        Window { spooled: self, held: WindowBytes::default() }
    }

    /// Writes all of it to `out`.
    pub(crate) fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut window = self.window();
        for offset in (0..self.length).step_by(AT_ONCE) {
            let length = (self.length - offset).min(AT_ONCE as u64) as usize;
            out.write_all(window.bytes(offset, length)?)?;
        }
        Ok(())
    }

    /// Bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.length);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// The part of a spool that is in memory.
pub(crate) struct Window<'s> {
    spooled: &'s Spooled,
    held: WindowBytes,
}

impl Window<'_> {
    /// `length` bytes from `offset` on.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        self.held.of(self.spooled, offset, length)
    }
}

/// What a window holds, for who keeps it beside the spool.
#[derive(Default)]
pub(crate) struct WindowBytes {
    start: u64,
    bytes: Vec<u8>,
}

impl WindowBytes {
    /// `length` bytes of a spool from `offset` on: always of the same one.
    pub(crate) fn of(
        &mut self,
        spooled: &Spooled,
        offset: u64,
        length: usize,
    ) -> io::Result<&[u8]> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= spooled.length);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let left = spooled.length - offset;
            self.bytes.resize(left.min(AT_ONCE.max(length) as u64) as usize, 0);
            spooled.file.read_exact_at(&mut self.bytes, offset)?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_forwards_and_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = SpoolFile::new(folder.path()).expect("a file");
        let bytes: Vec<u8> = (0..3 * AT_ONCE as u32).map(|n| (n / 7) as u8).collect();
        for part in bytes.chunks(1_000) {
            spool.write(part).expect("room");
        }
        assert_eq!(spool.len(), bytes.len() as u64);
        let spooled = spool.finish().expect("room");
        let mut copy = Vec::new();
        spooled.copy_to(&mut copy).expect("memory");
        assert_eq!(copy, bytes);
        let fill = |length| {
            let spool = SpoolFile::new(folder.path()).expect("a file");
            spool.fill(&mut &copy[..], length).map(|spooled| spooled.len())
        };
        assert_eq!(fill(copy.len() as u64).expect("as many as there are"), spooled.len());
        assert_eq!(fill(7).expect("fewer than there are"), 7);
        assert!(fill(copy.len() as u64 + 1).is_err());
        let mut window = spooled.window();
        for at in [0, 5, AT_ONCE - 2, 2 * AT_ONCE, 100, bytes.len() - 8] {
            let read = window.bytes(at as u64, 8).expect("it is there");
            assert_eq!(read, &bytes[at..at + 8], "{at}");
            assert_eq!(spooled.read_at(at as u64, 8).expect("it is there"), &bytes[at..at + 8]);
        }
        assert!(window.bytes(bytes.len() as u64 - 7, 8).is_err());
        assert!(window.bytes(u64::MAX, 8).is_err());
        assert!(spooled.read_at(bytes.len() as u64 - 7, 8).is_err());
        assert!(spooled.read_at(u64::MAX, 8).is_err());
        assert_eq!(spooled.len(), bytes.len() as u64);
    }
}
