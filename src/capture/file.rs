//! Capture files: finds the kind of an input from its content (never its name), opens gzip and
//! zstd, and reads pcap and pcapng in large blocks that are used again. A cut or corrupt file gives
//! everything before the damage, and says where it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::classic::{self, NextRecord};
use super::growing::Watch;
use super::known::{KnownKind, known_kind};
use super::pcapng::{self, Sections};
use super::{CaptureError, Frame, LinkType};
use crate::limits;
use crate::stop::{Stop, UntilTold};
use crate::time::Timestamp;
use crate::varint;

/// What each frame of a recording in frames begins with (`record::framed`).
pub const FRAMED: &[u8; 8] = b"\x89STX\r\n\x1a\n";

/// What editors and shells put before a text in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// An input, opened, its kind known.
pub enum Input {
    /// Packets.
    Packets(Box<CaptureFile>),
    /// Lines of JSON, or another text, from the first byte on.
    Records(Box<dyn BufRead + Send>),
}

/// Opens `name`: a path, or `-` for standard input.
pub fn open(name: &str) -> Result<Input, CaptureError> {
    open_until(name, None)
}

/// The same, at its end once `stop` is told.
pub fn open_until(name: &str, stop: Option<Arc<Stop>>) -> Result<Input, CaptureError> {
    let unreadable = |cause| CaptureError::Unreadable { name: name.to_owned(), cause };
    if name == "-" {
        let stdin = UntilTold::stdin(stop).map_err(|cause| CaptureError::Unreadable {
            name: "standard input".to_owned(),
            cause,
        })?;
        return from_reader("standard input", Box::new(stdin), None);
    }
    let file = File::open(Path::new(name)).map_err(unreadable)?;
    let file = UntilTold::waiting(file, stop).map_err(unreadable)?;
    watched(name, Box::new(file), Watch::new(Path::new(name)))
}

/// As [`open`], of a file that is known already; nothing of it stays open between two reads.
pub fn reopen(name: &str, watch: &Watch) -> Result<Input, CaptureError> {
    watched(name, Box::new(watch.reader()), Some(watch.clone()))
}

fn watched(
    name: &str,
    raw: Box<dyn Read + Send>,
    watch: Option<Watch>,
) -> Result<Input, CaptureError> {
    let length = watch.as_ref().map(Watch::length);
    match from_reader(name, raw, length) {
        Ok(Input::Packets(mut capture)) => {
            capture.watch = watch;
            Ok(Input::Packets(capture))
        }
        // Its header was not written yet.
        Err(CaptureError::Empty { .. } | CaptureError::Malformed { .. })
            if watch.as_ref().is_some_and(Watch::is_being_written) =>
        {
            Err(CaptureError::NotYet { name: name.to_owned() })
        }
        other => other,
    }
}

/// Opens a stream of bytes that people know as `name`; `length` is its length where that is known.
pub fn from_reader(
    name: &str,
    raw: Box<dyn Read + Send>,
    length: Option<u64>,
) -> Result<Input, CaptureError> {
    let consumed = Arc::new(AtomicU64::new(0));
    let mut reader: Box<dyn Read + Send> =
        Box::new(CountedReader { inner: raw, consumed: Arc::clone(&consumed) });
    let mut plain = true;
    // A compressed file in a compressed file happens (an archive of rotated captures); more than
    // that does not.
    for _ in 0..3 {
        let mut start = [0; classic::FILE_HEADER];
        let got = read_full(&mut reader, &mut start)
            .map_err(|(_, cause)| CaptureError::Unreadable { name: name.to_owned(), cause })?;
        let head = &start[..got];
        let rest = move |reader| -> Box<dyn Read + Send> {
            Box::new(Cursor::new(start[..got].to_vec()).chain(reader))
        };
        if head.starts_with(&[0x1f, 0x8b]) {
            let buffered = BufReader::with_capacity(limits::READ_BYTES, rest(reader));
            (reader, plain) =
                (Box::new(InSteps::new(flate2::read::MultiGzDecoder::new(buffered))), false);
            continue;
        }
        if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let decoder = zstd::stream::read::Decoder::new(rest(reader))
                .map_err(|cause| CaptureError::Unreadable { name: name.to_owned(), cause })?;
            (reader, plain) = (Box::new(InSteps::new(decoder)), false);
            continue;
        }
        let kind = if got == classic::FILE_HEADER
            && let Some(format) = classic::ClassicFormat::parse(&start)
        {
            FileKind::Pcap(format)
        } else if head.starts_with(&pcapng::SECTION_HEADER) {
            FileKind::Pcapng(Sections::default())
        } else if head.is_empty() {
            return Err(CaptureError::Empty { name: name.to_owned() });
        } else if head
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(head)
            .trim_ascii_start()
            .starts_with(b"{")
            || is_text(head)
            || head.starts_with(FRAMED)
            || may_be_trace(head)
        {
            return Ok(Input::Records(Box::new(BufReader::with_capacity(
                limits::READ_BYTES,
                rest(reader),
            ))));
        } else if [
            [0xd4, 0xc3, 0xb2, 0xa1],
            [0xa1, 0xb2, 0xc3, 0xd4],
            [0x4d, 0x3c, 0xb2, 0xa1],
            [0xa1, 0xb2, 0x3c, 0x4d],
        ]
        .iter()
        .any(|magic| head.starts_with(magic))
        {
            let what = "the file ends inside its header".to_owned();
            return Err(CaptureError::Malformed {
                name: name.to_owned(),
                what,
                offset: got as u64,
            });
        } else {
            let start = match known_kind(head) {
                Some(KnownKind { name, advice: "" }) => format!("is {name}"),
                Some(KnownKind { name, advice }) => format!("is {name}; {advice}"),
                None => {
                    format!("starts with {:?}", String::from_utf8_lossy(&head[..got.min(12)]))
                }
            };
            return Err(CaptureError::UnknownKind { name: name.to_owned(), start });
        };
        let (carry, offset) = match kind {
            FileKind::Pcap(_) => (Vec::new(), classic::FILE_HEADER as u64),
            FileKind::Pcapng(_) => (head.to_vec(), 0),
        };
        return Ok(Input::Packets(Box::new(CaptureFile {
            name: name.to_owned(),
            reader,
            kind,
            carry,
            offset,
            packets: 0,
            ended: false,
            damage: None,
            watch: None,
            plain,
            consumed,
            length,
        })));
    }
    Err(CaptureError::Malformed {
        name: name.to_owned(),
        what: "compressed more than twice".to_owned(),
        offset: 0,
    })
}

/// Whether a file that begins so is a text: what kind of one is found by who reads it.
fn is_text(head: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..);
    head.iter().all(printable) && std::str::from_utf8(&head[..head.len().min(12)]).is_ok()
}

/// Whether a file may be protobuf of Envoy's tap, behind a length or not: a wrapper with a trace
/// whose message begins with header fields, or with a segment that begins with the number of its
/// trace. Who reads it looks closer.
fn may_be_trace(head: &[u8]) -> bool {
    let is_wrapper = |mut bytes: &[u8]| {
        let mut next = || varint::take(&mut bytes);
        let (outer, _, inner, _, then) = (next()?, next()?, next()?, next()?, next()?);
        Some(match (outer, inner) {
            (0x0a, 0x0a | 0x12) => then == 0x0a,
            (0x12, 0x08) => matches!(then, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a),
            _ => false,
        })
    };
    let mut delimited = head;
    let _ = varint::take(&mut delimited);
    [head, delimited].into_iter().any(|bytes| is_wrapper(bytes) == Some(true))
}

enum FileKind {
    Pcap(classic::ClassicFormat),
    Pcapng(Sections),
}

/// Where and why a file could not be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDamage {
    /// Offset in the (decompressed) file of the first byte that was not used.
    pub offset: u64,
    /// Number of the last packet before it, in this file.
    pub packet: u64,
    /// What is wrong.
    pub what: String,
    /// How many bytes lie behind the offset; zero where that is not known (a compressed file, a
    /// pipe).
    pub unused: u64,
    /// It is no damage: the file is still being written, and its end has not come yet.
    pub growing: bool,
}

/// A pcap or pcapng file that is being read.
pub struct CaptureFile {
    name: String,
    reader: Box<dyn Read + Send>,
    kind: FileKind,
    /// The start of a record whose end was not yet read.
    carry: Vec<u8>,
    /// Offset in the (decompressed) file of the carry's first byte.
    offset: u64,
    packets: u64,
    ended: bool,
    damage: Option<FileDamage>,
    watch: Option<Watch>,
    /// It is not compressed, so that offsets are those of the file as it lies there.
    plain: bool,
    consumed: Arc<AtomicU64>,
    length: Option<u64>,
}

impl CaptureFile {
    /// Reads the time of the first packet and lets go of the file until [`Self::open_again`]; none
    /// where that cannot be: it has no packet, or is no file of its own.
    pub fn park(&mut self) -> Option<Timestamp> {
        let watch = self.watch.as_ref()?;
        let Ok(Input::Packets(mut probe)) = reopen(&self.name, watch) else { return None };
        let mut frames = Vec::new();
        probe.read(&mut Vec::new(), limits::SMALLEST_BLOCK_BYTES, 0, &mut frames);
        let first = frames.iter().map(|frame| frame.at).min()?;
        self.reader = Box::new(io::empty());
        Some(first)
    }

    /// Opens a file again that was parked, from its start.
    pub fn open_again(&mut self) {
        let Some(watch) = self.watch.clone() else { return };
        match reopen(&self.name, &watch) {
            Ok(Input::Packets(again)) => *self = *again,
            Ok(Input::Records(_)) => self.fail("it is no capture any more".to_owned()),
            Err(error) => self.fail(format!("it cannot be opened again: {error}")),
        }
    }

    fn fail(&mut self, what: String) {
        self.ended = true;
        let unused = self.length.unwrap_or_default();
        self.damage = Some(FileDamage { offset: 0, packet: 0, what, unused, growing: false });
    }

    /// Lets go of what was needed for reading, once there is nothing more to read.
    pub fn close(&mut self) {
        (self.ended, self.carry) = (true, Vec::new());
        self.reader = Box::new(io::empty());
    }

    /// As people know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Packets read so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Where it was damaged, once that is known.
    pub fn damage(&self) -> Option<&FileDamage> {
        self.damage.as_ref()
    }

    /// Bytes read of the file as it lies there, and its length.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.consumed.load(Ordering::Relaxed), self.length)
    }

    /// The state of a pcapng file: drops, secrets.
    pub fn sections(&self) -> Option<&Sections> {
        match &self.kind {
            FileKind::Pcapng(sections) => Some(sections),
            FileKind::Pcap(_) => None,
        }
    }

    /// The same, to take secrets out.
    pub fn sections_mut(&mut self) -> Option<&mut Sections> {
        match &mut self.kind {
            FileKind::Pcapng(sections) => Some(sections),
            FileKind::Pcap(_) => None,
        }
    }

    /// Reads the next block into `block` and adds its packets to `frames` (as of block `index`).
    /// Answers `false` when there are no more; then nothing was added.
    pub fn read(
        &mut self,
        block: &mut Vec<u8>,
        bytes: usize,
        index: u32,
        frames: &mut Vec<Frame>,
    ) -> bool {
        let before = frames.len();
        while !self.ended && frames.len() == before {
            self.read_block(block, bytes, index, frames);
        }
        frames.len() > before
    }

    fn read_block(
        &mut self,
        block: &mut Vec<u8>,
        bytes: usize,
        index: u32,
        frames: &mut Vec<Frame>,
    ) {
        let before = frames.len();
        let mut filled = self.carry.len();
        let mut target = bytes.max(filled);
        let mut failure = None;
        // The buffer keeps its length from use to use, so that it is zeroed once and not for every
        // block.
        block.resize(target.max(block.len()), 0);
        block[..filled].copy_from_slice(&self.carry);
        let (at, need) = loop {
            let read = read_full(&mut self.reader, &mut block[filled..target]);
            let (got, error) =
                read.map_or_else(|(got, error)| (got, Some(error)), |got| (got, None));
            filled += got;
            self.ended = filled < target || error.is_some();
            failure = failure.or(error);
            let (at, need) = self.frame(&block[..filled], index, frames);
            if at > 0 || self.ended || self.damage.is_some() {
                break (at, need);
            }
            // One record is longer than the block: room for it. The framing has checked the length.
            target = need;
            block.resize(target.max(block.len()), 0);
        };
        self.packets += (frames.len() - before) as u64;
        self.offset += at as u64;
        self.carry.clear();
        if self.damage.is_some() {
            self.ended = true;
            return;
        }
        self.carry.extend_from_slice(&block[at..filled]);
        let watch = self.watch.as_ref().filter(|_| self.ended);
        let (what, growing) = match failure {
            Some(error) => {
                // A compressed file that is still being written ends inside a block.
                let cut = error.kind() == io::ErrorKind::UnexpectedEof;
                (
                    format!("it cannot be read on ({error})"),
                    cut && watch.is_some_and(Watch::is_being_written),
                )
            }
            None if self.ended && at < filled => {
                let what = format!(
                    "it ends inside a record, of which {} of {need} bytes are there",
                    filled - at
                );
                (what, watch.is_some_and(Watch::is_being_written))
            }
            None if watch.is_some_and(Watch::has_grown) => {
                ("more has come since it was opened".to_owned(), true)
            }
            None => return,
        };
        let unused = self.carry.len() as u64;
        self.damage =
            Some(FileDamage { offset: self.offset, packet: self.packets, what, unused, growing });
    }

    /// Finds the records in `bytes`: how many bytes they take, and how many must be there for the
    /// next one. Damage is kept.
    fn frame(&mut self, bytes: &[u8], index: u32, frames: &mut Vec<Frame>) -> (usize, usize) {
        let before = frames.len() as u64;
        let mut at = 0;
        let (need, damage) = match &mut self.kind {
            FileKind::Pcap(format) => loop {
                match format.next(&bytes[at..]) {
                    NextRecord::Record(record) => {
                        frames.push(frame(&record, at, index, format.link()));
                        at += record.header + record.captured as usize;
                    }
                    NextRecord::Need(need) => break (need, None),
                    NextRecord::Damaged(what) => break (0, Some(what)),
                }
            },
            FileKind::Pcapng(sections) => loop {
                match sections.next(&bytes[at..]) {
                    pcapng::Block::Packet(record, link, length) => {
                        frames.push(frame(&record, at, index, link));
                        at += length;
                    }
                    pcapng::Block::Other(length) => at += length,
                    pcapng::Block::Need(need) => break (need, None),
                    pcapng::Block::Damaged(what) => break (0, Some(what)),
                }
            },
        };
        if let Some(what) = damage {
            let packet = self.packets + frames.len() as u64 - before;
            let offset = self.offset + at as u64;
            // Nothing behind the damage is read, so how much there is is known of plain files only.
            let unused = self
                .length
                .filter(|_| self.plain)
                .map_or(0, |length| length.saturating_sub(offset));
            self.damage =
                Some(FileDamage { offset, packet, what: what.to_owned(), unused, growing: false });
        }
        (at, need)
    }
}

fn frame(record: &classic::ClassicRecord, at: usize, block: u32, link: LinkType) -> Frame {
    let start = u32::try_from(at + record.header).expect("a block is far shorter than 4 GiB");
    Frame { at: record.at, block, start, captured: record.captured, length: record.length, link }
}

/// Reads until `buffer` is full or the stream ends, so that blocks depend on the content alone and
/// not on how a pipe delivered it. An error tells how much was read before it.
fn read_full(
    reader: &mut (impl Read + ?Sized),
    buffer: &mut [u8],
) -> Result<usize, (usize, io::Error)> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}

/// A decoder that is asked for a little at a time, and for the same little whoever reads: one that
/// finds damage forgets what it decoded in the same call.
struct InSteps<R>(BufReader<R>);

impl<R: Read> InSteps<R> {
    const STEP: usize = 1 << 10;

    fn new(decoder: R) -> Self {
        Self(BufReader::with_capacity(Self::STEP, decoder))
    }
}

impl<R: Read> Read for InSteps<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not by `BufReader::read`, which hands large buffers on to the decoder.
        let got = self.0.fill_buf()?.read(buffer)?;
        self.0.consume(got);
        Ok(got)
    }
}

/// Counts what was read of the file as it lies there.
struct CountedReader {
    inner: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
}

impl Read for CountedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.consumed.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}
