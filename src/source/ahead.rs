//! Lines of a recording: cut out of what a reader gives, and parsed. On several threads the next
//! ones are read and parsed while somebody works on the ones before.

use std::io::{self, BufRead, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::capture::file::{BYTE_ORDER_MARK, FRAMED};
use crate::limits;
use crate::record::exchanges::{self, Line, LineError};
use crate::record::framed::{Frame, FrameContent, FrameError};

/// Bytes of lines that are parsed together, about: one buffer of the reader, or this many.
const TOGETHER: usize = 1 << 20;
/// Lines that one thread parses at least.
const LEAST: usize = 8;
/// Frames that are opened together.
const FRAMES: usize = 4;

/// What is read from: given to another thread and back.
pub(super) type LentReader = Box<dyn BufRead + Send>;

/// How far lines are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Depth {
    /// All of them.
    #[default]
    Whole,
    /// Without what answers hold.
    Outline,
}

/// What comes next of a recording.
pub(super) enum NextLine {
    /// A line of `got` bytes; `whole` with its end.
    Line { got: u64, whole: bool, parsed: Result<Line, LineError> },
    /// A line without anything in it.
    Blank { got: u64 },
    /// A line that is longer than any exchange.
    Long { got: u64 },
    /// It is compressed, and cut inside a block.
    Cut,
    /// It cannot be read on.
    Failed(io::Error),
    /// There is no more.
    End,
}

/// The lines of a recording.
pub(super) struct RecordingLines {
    /// None while another thread has it.
    reader: Option<LentReader>,
    batch: ReadBatch,
    ahead: Option<Ahead>,
    /// Whether it is of frames; as far as that is known.
    framed: Option<bool>,
}

/// Threads that read ahead.
struct Ahead {
    pool: Arc<ThreadPool>,
    under_way: Option<Receiver<(LentReader, ReadBatch)>>,
    spare: ReadBatch,
}

/// Lines that were read together.
#[derive(Default)]
struct ReadBatch {
    text: Vec<u8>,
    pieces: Vec<ReadPiece>,
    /// The next one to be taken.
    next: usize,
    depth: Depth,
    /// They are of frames.
    framed: bool,
}

enum ReadPiece {
    Line {
        text: Range<usize>,
        got: usize,
        whole: bool,
        parsed: Option<Result<Line, LineError>>,
    },
    /// Of a frame: what it holds. It counts as long as the frame where it is the last of it, else
    /// as nothing.
    Read {
        got: u64,
        read: Result<Line, LineError>,
    },
    /// A frame without anything to take, or one before it is opened.
    Frame {
        got: u64,
        frame: Option<Box<Frame>>,
    },
    Long {
        got: u64,
    },
    Cut,
    Failed(io::Error),
    End,
}

impl RecordingLines {
    pub(super) fn new(reader: LentReader) -> Self {
        Self { reader: Some(reader), batch: ReadBatch::default(), ahead: None, framed: None }
    }

    /// Reads ahead on these threads.
    pub(super) fn ahead(&mut self, pool: Arc<ThreadPool>) {
        self.ahead = Some(Ahead { pool, under_way: None, spare: ReadBatch::default() });
    }

    /// What it reads from, until lines are taken.
    pub(super) fn reader(&mut self) -> &mut LentReader {
        self.reader.get_or_insert_with(|| Box::new(io::empty()))
    }

    /// Whether what is read stands in frames: it is read whole, and has no lines that could be
    /// kept.
    pub(super) fn are_framed(&mut self) -> bool {
        let reader = &mut self.reader;
        let starts = || reader.as_mut().is_some_and(starts_framed);
        *self.framed.get_or_insert_with(starts)
    }

    /// The same, told by who knows it.
    pub(super) fn framed(self, framed: bool) -> Self {
        Self { framed: Some(framed), ..self }
    }

    /// How much was taken of a frame that was not taken whole.
    pub(super) fn taken(&self) -> usize {
        let ReadBatch { pieces, next, framed, .. } = &self.batch;
        if *framed && *next < pieces.len() { *next } else { 0 }
    }

    /// Passes over what was taken of the first frame.
    pub(super) fn pass(&mut self, taken: usize) {
        if taken > 0 {
            self.more(Depth::Whole);
            self.batch.next = taken.min(self.batch.pieces.len());
        }
    }

    /// The next line, parsed to `depth`; that of an exchange is appended to `keep`.
    pub(super) fn next(&mut self, depth: Depth, keep: Option<&mut Vec<u8>>) -> NextLine {
        if self.batch.next == self.batch.pieces.len() {
            self.more(depth);
        }
        let ReadBatch { text: bytes, pieces, next, depth: parsed_to, .. } = &mut self.batch;
        let Some(piece) = pieces.get_mut(*next) else { return NextLine::End };
        *next += 1;
        match std::mem::replace(piece, ReadPiece::End) {
            ReadPiece::Line { text, got, .. } if text.is_empty() => {
                NextLine::Blank { got: got as u64 }
            }
            ReadPiece::Line { text, got, whole, parsed } => {
                let parsed = parsed.filter(|_| *parsed_to == depth);
                let parsed = parsed.unwrap_or_else(|| parse(depth, &bytes[text.clone()]));
                if let (Some(keep), Ok(Line::Exchange(_))) = (keep, &parsed) {
                    keep.extend_from_slice(&bytes[text]);
                    keep.push(b'\n');
                }
                NextLine::Line { got: got as u64, whole, parsed }
            }
            ReadPiece::Read { got, read } => NextLine::Line { got, whole: true, parsed: read },
            ReadPiece::Frame { got, .. } => NextLine::Blank { got },
            ReadPiece::Long { got } => NextLine::Long { got },
            ReadPiece::Cut => NextLine::Cut,
            ReadPiece::Failed(error) => NextLine::Failed(error),
            ReadPiece::End => NextLine::End,
        }
    }

    fn more(&mut self, depth: Depth) {
        let framed = self.are_framed();
        let Some(ahead) = &mut self.ahead else {
            self.batch.clear(depth);
            let reader = self.reader.get_or_insert_with(|| Box::new(io::empty()));
            if framed {
                self.batch.fill_frames(reader, 1);
                return self.batch.open_frames();
            }
            // One line at a time: it is parsed when it is taken.
            return self.batch.fill(reader, 1);
        };
        let read = match ahead.under_way.take() {
            Some(under_way) => under_way.recv().ok(),
            None => self.reader.take().map(|mut reader| {
                let mut batch = std::mem::take(&mut ahead.spare);
                batch.clear(depth);
                ahead.pool.install(|| batch.read(&mut reader, framed));
                (reader, batch)
            }),
        };
        let Some((reader, batch)) = read else {
            self.batch.clear(depth);
            return self
                .batch
                .pieces
                .push(ReadPiece::Failed(io::Error::other("its reader is gone")));
        };
        let mut next = std::mem::replace(&mut self.batch, batch);
        if matches!(
            self.batch.pieces.last(),
            None | Some(ReadPiece::Cut | ReadPiece::Failed(_) | ReadPiece::End)
        ) {
            self.reader = Some(reader);
            return;
        }
        next.clear(depth);
        let (tell, under_way) = sync_channel(1);
        let mut reader = reader;
        ahead.pool.spawn(move || {
            next.read(&mut reader, framed);
            // Nobody waits for it any more where the recording was let go of.
            let _ = tell.send((reader, next));
        });
        ahead.under_way = Some(under_way);
    }
}

impl ReadBatch {
    fn clear(&mut self, depth: Depth) {
        self.text.clear();
        self.pieces.clear();
        (self.next, self.depth, self.framed) = (0, depth, false);
    }

    /// Reads lines and parses them, on the threads that it is called on.
    fn read(&mut self, reader: &mut LentReader, framed: bool) {
        if framed {
            self.fill_frames(reader, FRAMES);
            return self.open_frames();
        }
        self.fill(reader, TOGETHER);
        let (bytes, depth) = (&self.text, self.depth);
        self.pieces.par_iter_mut().with_min_len(LEAST).for_each(|piece| {
            if let ReadPiece::Line { text, parsed, .. } = piece {
                *parsed = Some(parse(depth, &bytes[text.clone()]));
            }
        });
    }

    /// Takes so many frames.
    fn fill_frames(&mut self, reader: &mut LentReader, frames: usize) {
        self.framed = true;
        for _ in 0..frames {
            let piece = match Frame::read(reader) {
                Ok(Some(frame)) => {
                    let (got, frame) = (frame.length(), Some(Box::new(frame)));
                    self.pieces.push(ReadPiece::Frame { got, frame });
                    continue;
                }
                Ok(None) => ReadPiece::End,
                Err(FrameError::Cut) => ReadPiece::Cut,
                Err(FrameError::Failed(error)) => ReadPiece::Failed(error),
                Err(FrameError::TooNew(version)) => {
                    let read = Err(LineError::TooNew(u32::from(version)));
                    self.pieces.push(ReadPiece::Read { got: 0, read });
                    ReadPiece::End
                }
                Err(FrameError::Lost) => ReadPiece::Failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "no frame of a recording begins here",
                )),
            };
            return self.pieces.push(piece);
        }
    }

    /// Opens the frames that were taken, on the threads that it is called on.
    fn open_frames(&mut self) {
        let frames = std::mem::take(&mut self.pieces);
        let opened: Vec<Vec<ReadPiece>> = frames.into_par_iter().map(open_frame).collect();
        self.pieces.extend(opened.into_iter().flatten());
    }

    /// Takes lines until there are so many bytes, or the reader would have to read on.
    fn fill(&mut self, reader: &mut LentReader, most: usize) {
        loop {
            let start = self.text.len();
            let mut limited = reader.by_ref().take(limits::LINE_BYTES as u64 + 1);
            let (piece, ends) = match read_line(&mut limited, &mut self.text) {
                Ok((0, _)) => (ReadPiece::End, true),
                Ok((got, _)) if got > limits::LINE_BYTES => {
                    let piece = match skip_line(reader, &mut self.text, start) {
                        Ok(more) => ReadPiece::Long { got: got as u64 + more },
                        Err(error) => ReadPiece::Failed(error),
                    };
                    let ends = matches!(piece, ReadPiece::Failed(_));
                    (piece, ends)
                }
                Ok((got, used_up)) => {
                    let whole = self.text.ends_with(b"\n");
                    let text = trimmed(&self.text, start);
                    (ReadPiece::Line { text, got, whole, parsed: None }, used_up)
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    (ReadPiece::Cut, true)
                }
                Err(error) => (ReadPiece::Failed(error), true),
            };
            self.pieces.push(piece);
            if ends || self.text.len() >= most {
                return;
            }
        }
    }
}

/// Whether a frame comes next.
fn starts_framed(reader: &mut LentReader) -> bool {
    // What cannot be read is told where it is read.
    reader.fill_buf().is_ok_and(|start| start.starts_with(FRAMED))
}

/// What a frame holds, piece by piece; any other piece as it is.
fn open_frame(piece: ReadPiece) -> Vec<ReadPiece> {
    let ReadPiece::Frame { got, frame: Some(frame) } = piece else { return vec![piece] };
    let last = |read| vec![ReadPiece::Read { got, read }];
    match frame.open() {
        Err(error) => last(Err(error)),
        Ok(FrameContent::Line(line)) => last(Ok(line)),
        Ok(FrameContent::Exchanges(exchanges)) if !exchanges.is_empty() => {
            let count = exchanges.len();
            let read = |(place, exchange)| ReadPiece::Read {
                got: if place + 1 == count { got } else { 0 },
                read: Ok(Line::Exchange(Box::new(exchange))),
            };
            exchanges.into_iter().enumerate().map(read).collect()
        }
        Ok(FrameContent::Exchanges(_) | FrameContent::FrameIndex) => {
            vec![ReadPiece::Frame { got, frame: None }]
        }
    }
}

fn parse(depth: Depth, text: &[u8]) -> Result<Line, LineError> {
    match depth {
        Depth::Whole => exchanges::read(text),
        Depth::Outline => exchanges::read_outline(text),
    }
}

/// A line without blanks around it and without the mark that a text may begin with, also where
/// several files were put behind each other.
pub(super) fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii()
}

/// Where [`without_mark`] of what is behind `start` stands.
fn trimmed(bytes: &[u8], start: usize) -> Range<usize> {
    let line = &bytes[start..];
    let text = without_mark(line);
    let mark = if line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let start = start + mark + (line[mark..].len() - line[mark..].trim_ascii_start().len());
    start..start + text.len()
}

/// Reads to the end of a line that is too long to be kept; how many bytes there were. What is
/// behind `start` of `buffer` is left out.
fn skip_line(reader: &mut LentReader, buffer: &mut Vec<u8>, start: usize) -> io::Result<u64> {
    let mut skipped = 0;
    while !buffer.ends_with(b"\n") {
        buffer.truncate(start);
        let mut limited = reader.by_ref().take(limits::READ_BYTES as u64);
        match read_line(&mut limited, buffer)?.0 {
            0 => break,
            got => skipped += got as u64,
        }
    }
    buffer.truncate(start);
    Ok(skipped)
}

/// Reads up to and with a line's end; how many bytes, and whether the reader's buffer is used up.
/// The standard library's own looks for the end byte by byte or nearly so.
pub(super) fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> io::Result<(usize, bool)> {
    let mut read = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', available).map(|at| at + 1);
        let used = end.unwrap_or(available.len());
        let used_up = used == available.len();
        line.extend_from_slice(&available[..used]);
        reader.consume(used);
        read += used;
        if end.is_some() || used == 0 {
            return Ok((read, used_up));
        }
    }
}
