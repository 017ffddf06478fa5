//! `.stx`: a recording in frames, for speed: heads in binary, bodies as they are, each frame by
//! itself compressed or not. It says what `exchanges.jsonl` says, and is converted both ways
//! without loss; `docs/formats.md` describes it byte by byte.
//!
//! A file is a row of frames: a first line, exchanges, a last line, and an index by time and lane.
//! Files can be put behind each other. What a frame says is trusted as far as its hash goes: a
//! frame that was damaged is one that cannot be used, those behind it can.

mod code;
mod hash;
mod read;

use zstd::bulk::Compressor;

use code::FIXED;
pub use code::encode;
pub use hash::hash;
pub use read::{Frame, FrameContent, FrameError, FrameIndex, first, index};

use super::exchanges::{self, End, Header};
use crate::capture::file::FRAMED;
use crate::exchange::{Closed, ExchangeId};
use crate::limits::LINE_BYTES;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u16 = 1;
/// Bytes of exchanges in a frame, about: small enough for the cache of a processor, large enough
/// that a frame costs nothing beside its content.
const FRAME_BYTES: usize = 1 << 20;
/// Most bytes of a frame: one exchange more than it has room for.
const MOST_BYTES: usize = LINE_BYTES + FRAME_BYTES;
/// Length of what stands before a frame's content, in bytes.
const HEADER: usize = 64;
/// Length of an entry of the index, in bytes.
const ENTRY: usize = 48;
/// How hard is compressed: the fastest level that still finds repeated heads. Bodies that are
/// compressed already stay as they are.
const LEVEL: i32 = -1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    /// The first line of `exchanges.jsonl`.
    First = 1,
    /// Exchanges.
    Exchanges = 2,
    /// The last line of `exchanges.jsonl`.
    Last = 3,
    /// Where the frames stand.
    FrameIndex = 4,
}

/// Span of what a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSpan {
    /// Times of the first and the last exchange, in nanoseconds since 1970.
    pub times: (i64, i64),
    /// Lowest and highest number of a connection.
    pub connections: (u64, u64),
}

impl Default for FrameSpan {
    fn default() -> Self {
        Self { times: (i64::MAX, i64::MIN), connections: (u64::MAX, 0) }
    }
}

impl FrameSpan {
    fn add(&mut self, at: i64, connection: u64) {
        self.times = (self.times.0.min(at), self.times.1.max(at));
        self.connections = (self.connections.0.min(connection), self.connections.1.max(connection));
    }
}

/// Writes a recording in frames.
pub struct FrameWriter {
    compressor: Option<Compressor<'static>>,
    /// Of the frame that is being filled: the fixed parts, the heads, the bodies.
    fixed: Vec<u8>,
    heads: Vec<u8>,
    bodies: Vec<u8>,
    plain: Vec<u8>,
    span: FrameSpan,
    /// How much was written.
    offset: u64,
    index: Vec<u8>,
}

impl FrameWriter {
    /// A writer, and the frame of the first line.
    pub fn begin(header: &Header, out: &mut Vec<u8>) -> Self {
        let mut writer = Self {
            // Without it frames stay as they are.
            compressor: Compressor::new(LEVEL).ok(),
            fixed: Vec::new(),
            heads: Vec::new(),
            bodies: Vec::new(),
            plain: Vec::new(),
            span: FrameSpan::default(),
            offset: 0,
            index: Vec::new(),
        };
        let mut line = Vec::new();
        exchanges::write_line(&mut line, header);
        writer.frame(FrameKind::First, 0, &line, out);
        writer
    }

    /// Adds an exchange: its name, and what [`encode`] made of the rest. Appends the frame to `out`
    /// where it is full.
    pub fn add(&mut self, id: ExchangeId, closed: &[Closed], encoded: &[u8], out: &mut Vec<u8>) {
        let parts = code::EncodedParts::of(encoded);
        if !self.fixed.is_empty() && self.held() + encoded.len() > FRAME_BYTES {
            self.flush(out);
        }
        self.span.add(parts.at, id.connection);
        let (head, body) = (self.heads.len(), self.bodies.len());
        self.heads.extend_from_slice(parts.head);
        code::put_closed(closed, &mut self.heads);
        let length = self.heads.len() - head;
        self.bodies.extend_from_slice(parts.bodies);
        parts.put_fixed(id, (head, length), body, &mut self.fixed);
    }

    fn held(&self) -> usize {
        self.fixed.len() + self.heads.len() + self.bodies.len()
    }

    /// Appends the frame of what was added.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let records = self.fixed.len() / FIXED;
        if records == 0 {
            return;
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        // Heads and bodies are told by where they stand in their own part until here.
        let heads = self.fixed.len();
        code::place(&mut self.fixed, heads, heads + self.heads.len());
        for part in [&mut self.fixed, &mut self.heads, &mut self.bodies] {
            plain.extend_from_slice(part);
            part.clear();
        }
        let at = self.offset;
        let span = self.span;
        self.frame(FrameKind::Exchanges, records as u32, &plain, out);
        self.index.extend_from_slice(&at.to_le_bytes());
        self.index.extend_from_slice(&(records as u64).to_le_bytes());
        self.index.extend_from_slice(&span.times.0.to_le_bytes());
        self.index.extend_from_slice(&span.times.1.to_le_bytes());
        self.index.extend_from_slice(&span.connections.0.to_le_bytes());
        self.index.extend_from_slice(&span.connections.1.to_le_bytes());
        plain.shrink_to(2 * FRAME_BYTES);
        (self.plain, self.span) = (plain, FrameSpan::default());
    }

    /// Appends what stands behind the last exchange.
    pub fn end(&mut self, end: &End, out: &mut Vec<u8>) {
        self.flush(out);
        let mut line = Vec::new();
        exchanges::write_line(&mut line, end);
        self.frame(FrameKind::Last, 0, &line, out);
        // The index is found from the end of the file.
        let at = self.offset;
        let mut index = std::mem::take(&mut self.index);
        index.extend_from_slice(&at.to_le_bytes());
        index.extend_from_slice(FRAMED);
        self.frame(FrameKind::FrameIndex, 0, &index, out);
    }

    fn frame(&mut self, kind: FrameKind, records: u32, plain: &[u8], out: &mut Vec<u8>) {
        // A compressed form that saves little costs more than it saves.
        let worth = plain.len() - plain.len() / 8;
        let compressed = match (kind, &mut self.compressor) {
            (FrameKind::Exchanges, Some(compressor)) => compressor.compress(plain).ok(),
            _ => None,
        };
        let compressed = compressed.filter(|bytes| bytes.len() < worth);
        let stored = compressed.as_deref().unwrap_or(plain);
        let start = out.len();
        out.extend_from_slice(FRAMED);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[kind as u8, u8::from(compressed.is_some())]);
        for number in [records, stored.len() as u32, plain.len() as u32, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let FrameSpan { times, connections } = self.span;
        let span = if records == 0 { (0, 0) } else { times };
        let lanes = if records == 0 { 0 } else { connections.0 };
        out.extend_from_slice(&span.0.to_le_bytes());
        out.extend_from_slice(&span.1.to_le_bytes());
        out.extend_from_slice(&lanes.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let mut hashed = out[start..].to_vec();
        hashed.extend_from_slice(&hash(stored).to_le_bytes());
        out.extend_from_slice(&hash(&hashed).to_le_bytes());
        debug_assert_eq!(out.len() - start, HEADER);
        out.extend_from_slice(stored);
        self.offset += (out.len() - start) as u64;
    }
}

#[cfg(test)]
mod tests;
