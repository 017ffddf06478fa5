//! Frames, read one by one and opened on whatever thread.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;

use super::code::FIXED;
use super::code::decode;
use super::hash::hash;
use super::{ENTRY, FrameKind, FrameSpan, HEADER, MOST_BYTES, VERSION};
use crate::capture::file::FRAMED;
use crate::exchange::Exchange;
use crate::record::exchanges::{self, Header, Line, LineError};

/// A frame as it is stored.
#[derive(Debug)]
pub struct Frame {
    kind: FrameKind,
    compressed: bool,
    records: usize,
    plain: usize,
    /// Hash of what stands before the content; with the content's own it makes the frame's.
    before: [u8; HEADER - 8],
    hash: u64,
    stored: Vec<u8>,
}

/// What a frame holds.
#[derive(Debug)]
pub enum FrameContent {
    /// A first or a last line.
    Line(Line),
    /// Exchanges.
    Exchanges(Vec<Exchange>),
    /// Where the frames of a file stand, which nobody needs who reads them all.
    FrameIndex,
}

/// Why there is no frame.
#[derive(Debug)]
pub enum FrameError {
    /// The file ends inside one.
    Cut,
    /// What stands there is no frame, and so it is not known where the next one begins.
    Lost,
    /// The frame is of a newer program.
    TooNew(u16),
    /// It cannot be read on.
    Failed(io::Error),
}

impl Frame {
    /// Reads the next frame; none at the end.
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>, FrameError> {
        let mut head = [0; HEADER];
        match fill(reader, &mut head)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(FrameError::Cut),
        }
        if !head.starts_with(FRAMED) {
            return Err(FrameError::Lost);
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version > VERSION {
            return Err(FrameError::TooNew(version));
        }
        let kind = match head[10] {
            1 => FrameKind::First,
            2 => FrameKind::Exchanges,
            3 => FrameKind::Last,
            4 => FrameKind::FrameIndex,
            _ => return Err(FrameError::Lost),
        };
        let number = |at: usize| {
            let word = head[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
            word as usize
        };
        let (records, length, plain) = (number(12), number(16), number(20));
        if length.max(plain) > MOST_BYTES || records > plain / FIXED || head[11] > 1 {
            return Err(FrameError::Lost);
        }
        let mut stored = Vec::new();
        // Grows with what comes: a length may be a lie.
        let read = reader.by_ref().take(length as u64).read_to_end(&mut stored);
        match read {
            Ok(got) if got == length => {}
            Ok(_) => return Err(FrameError::Cut),
            Err(error) => return Err(failed(error)),
        }
        let mut before = [0; HEADER - 8];
        before.copy_from_slice(&head[..HEADER - 8]);
        let hash = head[HEADER - 8..].try_into().map_or(0, u64::from_le_bytes);
        Ok(Some(Self { kind, compressed: head[11] == 1, records, plain, before, hash, stored }))
    }

    /// How many bytes it takes in the file.
    pub const fn length(&self) -> u64 {
        (HEADER + self.stored.len()) as u64
    }

    /// How many exchanges it says that it holds.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// What it holds.
    pub fn open(self) -> Result<FrameContent, LineError> {
        let mut hashed = self.before.to_vec();
        hashed.extend_from_slice(&hash(&self.stored).to_le_bytes());
        if hash(&hashed) != self.hash {
            return Err(damaged("the hash of a frame is not that of its content"));
        }
        let plain = match self.compressed {
            true => decompress(&self.stored, self.plain)?,
            false => self.stored,
        };
        if plain.len() != self.plain {
            return Err(damaged("a frame is not as long as it says"));
        }
        match self.kind {
            FrameKind::First | FrameKind::Last => {
                exchanges::read(plain.trim_ascii_end()).map(FrameContent::Line)
            }
            FrameKind::FrameIndex => Ok(FrameContent::FrameIndex),
            FrameKind::Exchanges => {
                let plain = Bytes::from(plain);
                let exchanges = (0..self.records).map(|number| decode(&plain, number));
                let exchanges = exchanges.collect::<Option<Vec<_>>>();
                let exchanges = exchanges.ok_or_else(|| damaged("a frame is in another form"))?;
                Ok(FrameContent::Exchanges(exchanges))
            }
        }
    }
}

fn decompress(stored: &[u8], plain: usize) -> Result<Vec<u8>, LineError> {
    let wrong = |error: io::Error| damaged(&format!("a frame cannot be decompressed: {error}"));
    let decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(wrong)?;
    let mut out = Vec::with_capacity(plain.min(4 << 20));
    decoder.take(plain as u64 + 1).read_to_end(&mut out).map_err(wrong)?;
    Ok(out)
}

fn damaged(why: &str) -> LineError {
    LineError::Malformed(serde::de::Error::custom(why))
}

fn failed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Cut,
        _ => FrameError::Failed(error),
    }
}

/// Fills `buffer` as far as there is something; how far.
fn fill(reader: &mut impl BufRead, buffer: &mut [u8]) -> Result<usize, FrameError> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(got)
}

/// Appends the first frame to `bytes`; the first line, where it holds one.
pub fn first(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<Option<Header>> {
    let mut kept = KeptReader { reader, bytes };
    match Frame::read(&mut kept) {
        Ok(Some(frame)) => match frame.open() {
            Ok(FrameContent::Line(Line::Header(header))) => Ok(Some(header)),
            // Whatever else it is, is said where it is read.
            _ => Ok(None),
        },
        Err(FrameError::Failed(error)) => Err(error),
        _ => Ok(None),
    }
}

/// A reader that keeps what is read.
struct KeptReader<'k, R> {
    reader: &'k mut R,
    bytes: &'k mut Vec<u8>,
}

impl<R: BufRead> Read for KeptReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..got]);
        Ok(got)
    }
}

impl<R: BufRead> BufRead for KeptReader<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(buffer) = self.reader.fill_buf() {
            self.bytes.extend_from_slice(&buffer[..amount.min(buffer.len())]);
        }
        self.reader.consume(amount);
    }
}

/// Where a frame of exchanges stands, and what it spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameIndex {
    /// Its first byte in the file.
    pub at: u64,
    /// How many exchanges it holds.
    pub records: u64,
    /// Their times and connections.
    pub span: FrameSpan,
}

/// The index at the end of a file; none where it has none, or a damaged one.
pub fn index(file: &File) -> io::Result<Option<Vec<FrameIndex>>> {
    let length = file.metadata()?.len();
    let mut tail = [0; 16];
    let Some(at) = length.checked_sub(tail.len() as u64) else { return Ok(None) };
    file.read_exact_at(&mut tail, at)?;
    let start = tail[..8].try_into().map_or(0, u64::from_le_bytes);
    if tail[8..] != *FRAMED || length.saturating_sub(start) > MOST_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = vec![0; (length - start) as usize];
    file.read_exact_at(&mut bytes, start)?;
    let Ok(Some(frame)) = Frame::read(&mut &bytes[..]) else { return Ok(None) };
    if frame.kind != FrameKind::FrameIndex || frame.length() != length - start {
        return Ok(None);
    }
    let stored = frame.stored.clone();
    if frame.open().is_err() {
        return Ok(None);
    }
    let (entries, _) = stored.as_chunks::<ENTRY>();
    let entry = |entry: &[u8; ENTRY]| {
        let (words, _) = entry.as_chunks::<8>();
        let word = |place: usize| u64::from_le_bytes(words[place]);
        FrameIndex {
            at: word(0),
            records: word(1),
            span: FrameSpan {
                times: (word(2).cast_signed(), word(3).cast_signed()),
                connections: (word(4), word(5)),
            },
        }
    };
    Ok(Some(entries.iter().map(entry).collect()))
}
