//! Lines of large files: read in batches, on all cores, and again by their place.
//!
//! A run's records are far larger than memory; what is kept of each is where it stands.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use memchr::{memchr_iter, memrchr};
use rayon::prelude::*;

use crate::limits::LINE_BYTES;
use crate::outcome::ReplayId;

/// Bytes that are read at once.
const BLOCK: usize = 4 << 20;

/// Some lines of a file, in order.
pub(crate) struct LineBatch {
    bytes: Vec<u8>,
    /// Where the first byte stands in the file.
    offset: u64,
    lines: Vec<(u32, u32)>,
}

impl LineBatch {
    /// How many lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The `length` bytes that stand at `offset` in the file; none where they are not all here.
    pub(crate) fn at(&self, offset: u64, length: u32) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        self.bytes.get(start..start.checked_add(length as usize)?)
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
    pub(crate) fn next(&mut self) -> io::Result<Option<LineBatch>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let start = self.offset - self.rest.len() as u64;
            let mut bytes = std::mem::take(&mut self.rest);
            bytes.reserve_exact(BLOCK);
            let read = self.file.take(BLOCK as u64).read_to_end(&mut bytes)?;
            self.offset += read as u64;
            self.ended = read < BLOCK;
            let mut lines = Vec::new();
            let mut from = 0;
            for end in memchr_iter(b'\n', &bytes) {
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
                return Ok(Some(LineBatch { bytes, offset: start, lines }));
            }
        }
    }
}

/// Reads `length` bytes at `offset`, into memory that nobody has cleared before.
pub(crate) fn read_at(file: &File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let wanted = length as usize;
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(wanted);
    Ok(bytes)
}

/// Level of zstd for records: about as fast as a disk.
pub(crate) const ZSTD_LEVEL: i32 = 3;

/// Opens a file of records: as named, or its `.zst` where only that is there.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let compressed = compressed_twin(path);
    if !path.exists() && compressed.exists() {
        return Ok(Box::new(zstd::stream::read::Decoder::new(File::open(compressed)?)?));
    }
    Ok(Box::new(File::open(path)?))
}

/// `NAME.zst` beside `NAME`.
pub fn compressed_twin(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    PathBuf::from(name)
}

/// Parses every line of `source` on all cores and gives the results to `each` in the order of the
/// file, with the number of the line (from 1). A line beyond [`LINE_BYTES`] is given as
/// `None`; empty lines are left out.
pub(crate) fn each_line<T: Send>(
    mut source: impl Read,
    parse: impl Fn(&[u8]) -> T + Sync,
    mut each: impl FnMut(u64, Option<T>),
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BLOCK);
    let mut number = 0;
    let mut done = 0;
    let mut overlong = false;
    loop {
        let kept = buffer.len();
        let read = source.by_ref().take(BLOCK as u64).read_to_end(&mut buffer)?;
        done += read as u64;
        progress(done);
        // The last line may lack its end.
        let end = if read == 0 {
            buffer.len()
        } else {
            memrchr(b'\n', &buffer[kept..]).map_or(0, |at| kept + at + 1)
        };
        let mut lines = Vec::new();
        let mut start = 0;
        for newline in memchr_iter(b'\n', &buffer[..end]).chain((read == 0).then_some(end)) {
            let line = &buffer[start..newline.max(start)];
            start = (newline + 1).min(buffer.len());
            number += 1;
            if std::mem::take(&mut overlong) {
                each(number, None);
            } else if !line.trim_ascii().is_empty() {
                lines.push((number, line));
            }
        }
        let parsed: Vec<(u64, T)> =
            lines.into_par_iter().map(|(number, line)| (number, parse(line))).collect();
        parsed.into_iter().for_each(|(number, value)| each(number, Some(value)));
        if read == 0 {
            return Ok(());
        }
        buffer.drain(..end);
        if buffer.len() > LINE_BYTES {
            buffer.clear();
            overlong = true;
        }
    }
}

/// The id that a record's line begins with, as this program writes it: `{"id":"12-3@2",…`. None
/// where the line has another form, or was cut.
pub(crate) fn id_of(line: &[u8]) -> Option<ReplayId> {
    let rest = line.strip_prefix(b"{\"id\":\"")?;
    let end = memchr::memchr(b'"', rest.get(..64.min(rest.len()))?)?;
    if !line.ends_with(b"}") {
        return None;
    }
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
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
                let length = line.len() as u32;
                assert_eq!(read_at(&file, offset, length).unwrap(), line);
                assert_eq!(batch.at(offset, length), Some(line));
                seen.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(seen, lines);
        assert_eq!(batches.position(), file.metadata().unwrap().len());
    }

    /// A source that gives few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(3).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn lines_come_in_order_with_their_numbers_and_the_last_may_lack_its_end() {
        let mut seen = Vec::new();
        each_line(
            Trickle(b"one\n\ntwo\nthree"),
            |line| String::from_utf8(line.to_vec()).unwrap(),
            |number, line| seen.push((number, line.unwrap())),
            |_| (),
        )
        .unwrap();
        assert_eq!(seen, [(1, "one".to_owned()), (3, "two".to_owned()), (4, "three".to_owned())]);
    }

    #[test]
    fn a_line_without_end_is_given_up_and_the_next_is_read() {
        let long = vec![b'x'; LINE_BYTES + BLOCK + 10];
        let text = [&long[..], b"\nshort\n"].concat();
        let mut seen = Vec::new();
        each_line(&text[..], <[u8]>::len, |number, line| seen.push((number, line)), |_| ())
            .unwrap();
        assert_eq!(seen, [(1, None), (2, Some(5))]);
    }
}
