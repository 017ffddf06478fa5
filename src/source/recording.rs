//! Reads recordings (`exchanges.jsonl`) line by line, several of them merged by the times of their
//! requests.
//!
//! Files can be concatenated and merged, so connections get new numbers where theirs would collide:
//! those of one plain file stay, and those of one capture that was written into several files are
//! the same in all of them.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{BufRead, Read as _};
use std::sync::Arc;

use super::ahead::{Depth, NextLine, RecordingLines, read_line, without_mark};
use crate::capture::file::{self, Input};
use crate::capture::growing::{Watch, Writers};
use crate::exchange::Redacted;
use crate::exchange::{Closed, Exchange};
use crate::ledger::Ledger;
use crate::limits;
use crate::record::exchanges;
use crate::record::exchanges::{End, Header, Line, LineError, Rest};
use crate::record::framed;
use crate::time::Timestamp;

/// Why a recording cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("{name}: cannot be read on at byte {offset}")]
    Unreadable {
        /// The input.
        name: String,
        /// Offset of the line in the (decompressed) file.
        offset: u64,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{name}: line {line} (byte {offset}) cannot be used")]
    Line {
        /// The input.
        name: String,
        /// Number of the line, from 1.
        line: u64,
        /// Its offset.
        offset: u64,
        /// Why.
        #[source]
        cause: LineError,
    },
    /// A line is longer than any exchange.
    #[error("{name}: line {line} (byte {offset}) is longer than {} bytes", limits::LINE_BYTES)]
    Long {
        /// The input.
        name: String,
        /// Number of the line, from 1.
        line: u64,
        /// Its offset.
        offset: u64,
    },
}

/// A recording that is being read.
pub struct Recording {
    name: String,
    lines: RecordingLines,
    /// The reader was let go of, and is made again when it is needed.
    asleep: bool,
    /// Whether it is let go of until the next exchange of this recording is due.
    sleeps: bool,
    /// How much was taken of the frame that it was let go of in.
    taken: usize,
    /// Whether it was let go of in frames.
    framed: bool,
    /// Nanoseconds that are added to its times.
    skew: i64,
    line: u64,
    offset: u64,
    /// What is added to connections' numbers: behind those of a file that was concatenated before.
    base: u64,
    next_base: u64,
    /// What capture its last first line says that it is a part of, and when its parts were begun
    /// that are numbered by this base.
    part: Option<(String, Vec<Timestamp>)>,
    /// Lines that opened and closed a file.
    headers: u64,
    ends: u64,
    ledger: Ledger,
    /// What its last lines say of closing.
    rest: Rest,
    /// Exchanges that were read.
    exchanges: u64,
    /// Lines that were left out: the first one and why, and how many.
    bad: Option<(BadLine, u64)>,
    /// It ends inside a line, or inside a block of its compression.
    cut: bool,
    watch: Option<Watch>,
    /// What each of its first lines says of redaction, no two times the same.
    redactions: Vec<Option<Redacted>>,
}

/// A line that cannot be used.
#[derive(Debug)]
struct BadLine {
    line: u64,
    offset: u64,
    /// None: it is longer than any exchange.
    cause: Option<LineError>,
}

impl BadLine {
    fn into_error(self, name: &str) -> RecordingError {
        let Self { line, offset, cause } = self;
        let name = name.to_owned();
        match cause {
            Some(cause) => RecordingError::Line { name, line, offset, cause },
            None => RecordingError::Long { name, line, offset },
        }
    }
}

/// Who writes files, looked up once and only where a file is not whole.
type WritersNow = LazyCell<Writers>;

/// Most parts of a capture in one file that are told apart.
const PARTS: usize = 65_536;
/// What stands in one file behind a part of a capture is numbered from here, at least.
const FOREIGN: u64 = 1 << 31;
/// Lines that cannot be used and are left out, at least; more only where there are more exchanges.
const BAD_LINES: u64 = 16;
/// Most different redactions of one file that are told apart.
const REDACTIONS: usize = 16;

impl Recording {
    /// Of lines that people know as `name`.
    pub fn new(name: String, reader: Box<dyn BufRead + Send>, skew: i64) -> Self {
        Self {
            name,
            lines: RecordingLines::new(reader),
            asleep: false,
            sleeps: false,
            taken: 0,
            framed: false,
            skew,
            line: 0,
            offset: 0,
            base: 0,
            next_base: 0,
            part: None,
            headers: 0,
            ends: 0,
            ledger: Ledger::default(),
            rest: Rest::default(),
            exchanges: 0,
            bad: None,
            cut: false,
            watch: None,
            redactions: Vec::new(),
        }
    }

    /// With the file that the lines come from, so that a missing end can be told from one that has
    /// not come yet.
    pub fn watched(self, watch: Option<Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Read and parsed on these threads while somebody works on what was read before.
    pub fn ahead(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.lines.ahead(pool);
        self
    }

    /// As one of so many that only those are open whose time has come: where it can be opened
    /// again.
    pub fn among_many(mut self) -> Self {
        self.sleeps = self.watch.is_some();
        self.sleep();
        self
    }

    fn sleep(&mut self) {
        if self.sleeps {
            if !self.asleep {
                (self.framed, self.taken) = (self.lines.are_framed(), self.lines.taken());
            }
            (self.lines, self.asleep) = (RecordingLines::new(Box::new(std::io::empty())), true);
        }
    }

    /// Opens it again, where it was let go of, and goes to where it was.
    fn wake(&mut self) -> Result<(), RecordingError> {
        let Some(watch) = self.watch.as_ref().filter(|_| self.asleep) else { return Ok(()) };
        let woken = match file::reopen(&self.name, watch) {
            Ok(Input::Records(mut reader)) => {
                let mut known = (&mut reader).take(self.offset);
                std::io::copy(&mut known, &mut std::io::sink()).map(|_| reader)
            }
            Ok(Input::Packets(_)) => Err(std::io::Error::other("it is no recording any more")),
            Err(error) => Err(std::io::Error::other(error)),
        };
        let (name, offset) = (&self.name, self.offset);
        let reader = woken.map_err(|cause| RecordingError::Unreadable {
            name: name.clone(),
            offset,
            cause,
        })?;
        // Its bytes do not tell: where it goes on may be just before the end of a buffer.
        (self.lines, self.asleep) = (RecordingLines::new(reader).framed(self.framed), false);
        self.lines.pass(self.taken);
        Ok(())
    }

    /// The next exchange; none at the end.
    pub fn read(&mut self) -> Result<Option<Exchange>, RecordingError> {
        self.read_to(Depth::Whole, None)
    }

    /// The next exchange, without what its answers hold; appends its whole line to `lines`, as it
    /// stands where nothing in it changes.
    pub fn read_line(&mut self, lines: &mut Vec<u8>) -> Result<Option<Exchange>, RecordingError> {
        let start = lines.len();
        let next = self.read_to(Depth::Outline, Some(lines))?;
        if let Some(exchange) = next.as_ref().filter(|_| lines.len() == start) {
            exchanges::write(lines, exchange);
        }
        Ok(next)
    }

    /// The next exchange: an outline only where its line may be kept as it stands.
    fn read_to(
        &mut self,
        depth: Depth,
        mut keep: Option<&mut Vec<u8>>,
    ) -> Result<Option<Exchange>, RecordingError> {
        self.wake()?;
        loop {
            let as_it_stands = self.base == 0 && self.skew == 0 && !self.lines.are_framed();
            let next = match depth {
                Depth::Outline if as_it_stands => self.lines.next(depth, keep.as_deref_mut()),
                _ => self.lines.next(Depth::Whole, None),
            };
            let offset = self.offset;
            let (whole, parsed) = match next {
                NextLine::Line { got, whole, parsed } => {
                    self.step(got);
                    (whole, parsed)
                }
                NextLine::Blank { got } => {
                    self.step(got);
                    continue;
                }
                NextLine::Long { got } => {
                    self.step(got);
                    self.leave_out(offset, None)?;
                    continue;
                }
                NextLine::Cut => {
                    (self.cut, self.line) = (true, self.line + 1);
                    return self.ended();
                }
                NextLine::Failed(cause) => {
                    let name = self.name.clone();
                    return Err(RecordingError::Unreadable { name, offset, cause });
                }
                NextLine::End => return self.ended(),
            };
            match parsed {
                Ok(Line::Header(header)) => self.begin(header),
                Ok(Line::End(end)) => self.end(*end),
                Ok(Line::Exchange(exchange)) => {
                    self.exchanges += 1;
                    return Ok(Some(self.place(*exchange)));
                }
                // A file that was cut, or is still being written, ends inside a line.
                Err(LineError::Malformed(_)) if !whole => {
                    self.cut = true;
                    self.offset = offset;
                    return self.ended();
                }
                Err(cause) => self.leave_out(offset, Some(cause))?,
            }
        }
    }

    fn step(&mut self, bytes: u64) {
        self.line += 1;
        self.offset += bytes;
    }

    /// A first line.
    fn begin(&mut self, header: Header) {
        self.headers += 1;
        self.begin_part(header.capture, header.created);
        if self.headers > 1 {
            // What closed in this file is not told of connections in the ones before.
            self.rest.open = None;
        }
        self.note(header.redacted);
    }

    /// A last line.
    fn end(&mut self, end: End) {
        self.ends += 1;
        self.ledger.merge(&end.ledger);
        let mut rest = end.rest;
        rest.closed.retain(|closed| closed.0 < limits::CONNECTION_NUMBERS);
        for closed in &mut rest.closed {
            *closed = self.place_closed(*closed);
        }
        let only = (self.headers, self.ends) == (1, 1);
        self.rest = if only { rest } else { std::mem::take(&mut self.rest).and(rest) };
    }

    /// Leaves the line out that was read last, where the others look like a recording.
    fn leave_out(&mut self, offset: u64, cause: Option<LineError>) -> Result<(), RecordingError> {
        let another = matches!(cause, Some(LineError::OtherFormat(_) | LineError::TooNew(_)));
        let now = BadLine { line: self.line, offset, cause };
        if another {
            return Err(now.into_error(&self.name));
        }
        let (first, lines) = self.bad.take().map_or((now, 1), |(first, lines)| (first, lines + 1));
        if lines > BAD_LINES.max(self.exchanges) {
            return Err(first.into_error(&self.name));
        }
        self.bad = Some((first, lines));
        Ok(())
    }

    /// Nothing more comes: what had no exchange but lines that cannot be used is no recording.
    fn ended(&mut self) -> Result<Option<Exchange>, RecordingError> {
        match self.bad.take_if(|_| self.exchanges == 0) {
            Some((first, _)) => Err(first.into_error(&self.name)),
            None => Ok(None),
        }
    }

    /// Whether it stands in frames; asked before anything is read.
    pub fn is_framed(&mut self) -> bool {
        self.lines.are_framed()
    }

    /// What its first line says of redaction: asked before anything else is read.
    pub fn redacted(&mut self) -> Result<Option<Redacted>, RecordingError> {
        Ok(self.header()?.and_then(|header| header.redacted))
    }

    /// Its first line; asked before anything else is read.
    pub fn header(&mut self) -> Result<Option<Header>, RecordingError> {
        self.wake()?;
        let mut first = Vec::new();
        let is_framed = self.lines.are_framed();
        let reader = self.lines.reader();
        let read = match is_framed {
            true => framed::first(reader, &mut first),
            false => {
                let mut limited = reader.by_ref().take(limits::LINE_BYTES as u64 + 1);
                read_line(&mut limited, &mut first).map(|_| None)
            }
        };
        let mut from_frame = None;
        match read {
            Ok(header) => from_frame = header,
            // Cut inside the first block of its compression: it will be found so again.
            Err(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(cause) => {
                return Err(RecordingError::Unreadable {
                    name: self.name.clone(),
                    offset: 0,
                    cause,
                });
            }
        }
        let header = match exchanges::read(without_mark(&first)) {
            Ok(Line::Header(header)) => Some(header),
            // Whatever else it is, is said where it is read.
            _ => from_frame,
        };
        if self.sleeps {
            self.sleep();
            return Ok(header);
        }
        let rest = std::mem::replace(self.lines.reader(), Box::new(std::io::empty()));
        *self.lines.reader() = Box::new(std::io::Cursor::new(first).chain(rest));
        Ok(header)
    }

    /// A file begins. It goes on with the numbers before it where it is a further part of the same
    /// capture; the same part again is meant to be twice as much.
    fn begin_part(&mut self, capture: Option<String>, created: Timestamp) {
        match (&mut self.part, &capture) {
            (Some((of, parts)), Some(capture))
                if of == capture && parts.len() < PARTS && !parts.contains(&created) =>
            {
                parts.push(created);
                return;
            }
            // Further parts of that capture may be among other inputs, and their numbers go on.
            (Some(_), _) => self.base = self.next_base.max(FOREIGN),
            (None, _) => self.base = self.next_base,
        }
        self.part = capture.map(|capture| (capture, vec![created]));
    }

    fn note(&mut self, redacted: Option<Redacted>) {
        if self.redactions.len() < REDACTIONS && !self.redactions.contains(&redacted) {
            self.redactions.push(redacted);
        }
    }

    fn place(&mut self, mut exchange: Exchange) -> Exchange {
        exchange.id.connection = exchange.id.connection.saturating_add(self.base);
        self.next_base = self.next_base.max(exchange.id.connection.saturating_add(1));
        for closed in &mut exchange.closed {
            *closed = self.place_closed(*closed);
        }
        if self.skew != 0 {
            let moved = |at: &mut Timestamp| *at = at.plus(self.skew);
            exchange.opened_at.iter_mut().for_each(moved);
            exchange.request.iter_mut().for_each(|request| moved(&mut request.at));
            exchange
                .response
                .iter_mut()
                .chain(&mut exchange.interim)
                .for_each(|response| moved(&mut response.at));
        }
        exchange
    }

    fn place_closed(&mut self, Closed(connection, at): Closed) -> Closed {
        let connection = connection.saturating_add(self.base);
        self.next_base = self.next_base.max(connection.saturating_add(1));
        Closed(connection, at.plus(self.skew))
    }

    /// Whether all of it was read, and its bytes are what was read: one file of one writer, with
    /// nothing left out and nothing numbered anew.
    fn is_as_it_stands(&self) -> bool {
        let only = (self.headers, self.ends) == (1, 1);
        only && self.is_whole() && self.bad.is_none() && self.base == 0 && self.skew == 0
    }

    fn is_whole(&self) -> bool {
        !self.cut && self.ends >= self.headers
    }

    /// Whether what is missing has only not come yet.
    fn is_growing(&self, writers: &WritersNow) -> bool {
        let is_written = |watch: &Watch| watch.is_written_by(writers);
        !self.is_whole() && self.watch.as_ref().is_some_and(is_written)
    }

    /// What people should know of its damage.
    fn warnings(&self, writers: &WritersNow) -> impl Iterator<Item = String> {
        let bad = self.bad.as_ref().map(|(first, lines)| {
            let BadLine { line, offset, cause } = first;
            let why = cause.as_ref().map_or_else(
                || format!("longer than {} bytes", limits::LINE_BYTES),
                ToString::to_string,
            );
            let others = match lines - 1 {
                0 => String::new(),
                1 => ", and one more like it".to_owned(),
                more => format!(", and {more} more like it"),
            };
            let name = &self.name;
            format!("{name}: line {line} (byte {offset}) is left out: {why}{others}")
        });
        bad.into_iter().chain(self.warning(writers))
    }

    fn warning(&self, writers: &WritersNow) -> Option<String> {
        let Self { name, line, offset, .. } = self;
        if self.is_whole() {
            None
        } else if self.is_growing(writers) {
            Some(format!(
                "{name}: still being written at line {line} (byte {offset}); all before it is used"
            ))
        } else if self.cut {
            Some(format!("{name}: ends inside line {line} (byte {offset}); all before it is used"))
        } else {
            Some(format!(
                "{name}: its last line is missing: it may have been cut; all of it is used"
            ))
        }
    }
}

/// Several recordings as one, by the times of their requests; the order inside each is kept.
pub struct Merged {
    recordings: Vec<Recording>,
    heads: Vec<Option<Exchange>>,
    /// The heads' times, the earliest first, with their places.
    order: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Of each recording, which of the captures it is a part of; and how many there are. Known once
    /// it was begun.
    captures: (Vec<u64>, u64),
    started: bool,
}

/// Merges recordings.
pub fn merge(recordings: Vec<Recording>) -> Merged {
    let heads = recordings.iter().map(|_| None).collect();
    Merged {
        recordings,
        heads,
        order: BinaryHeap::new(),
        captures: (Vec::new(), 1),
        started: false,
    }
}

impl Merged {
    /// The one recording that this is, where it is one and was not begun: its lines can be had as
    /// they stand.
    pub fn only(&mut self) -> Option<&mut Recording> {
        match self.recordings.as_mut_slice() {
            [only] if !self.started => Some(only),
            _ => None,
        }
    }

    /// Whether this is one recording, and its bytes are what was read; once all was read.
    pub fn is_as_it_stands(&self) -> bool {
        matches!(self.recordings.as_slice(), [only] if only.is_as_it_stands())
    }

    /// What the first lines said of redaction, of all that was read; each once.
    pub fn redactions(&self) -> Vec<Option<Redacted>> {
        let mut all: Vec<_> =
            self.recordings.iter().flat_map(|recording| &recording.redactions).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What the last lines say of packets, what people should know of damage, and the connections
    /// that closed behind the last exchanges; once all was read.
    pub fn account(&self) -> (Ledger, Vec<String>, Rest) {
        let mut ledger = Ledger::default();
        let writers: WritersNow = LazyCell::new(Writers::now);
        let rest = |(at, recording): (usize, &Recording)| {
            recording.rest.clone().renumbered(|of| self.number(of, at))
        };
        let rest =
            self.recordings.iter().enumerate().map(rest).reduce(Rest::and).unwrap_or_default();
        for recording in &self.recordings {
            ledger.merge(&recording.ledger);
            let name = if recording.is_growing(&writers) {
                "inputs-still-being-written"
            } else {
                "recordings-without-their-end"
            };
            ledger.note(name, u64::from(!recording.is_whole()));
            let bad = recording.bad.as_ref().map_or(0, |(_, lines)| *lines);
            ledger.note("recording-lines-left-out", bad);
        }
        (
            ledger,
            self.recordings.iter().flat_map(|recording| recording.warnings(&writers)).collect(),
            rest,
        )
    }

    /// The number of a connection of recording `at`. Those of different captures must not collide;
    /// of one they stay as they are.
    fn number(&self, connection: u64, at: usize) -> u64 {
        let (of, all) = &self.captures;
        connection.saturating_mul(*all).saturating_add(of.get(at).copied().unwrap_or_default())
    }

    /// Finds out which recordings are parts of one capture, when their first lines were read.
    fn tell_captures(&mut self) {
        let (mut of, mut all) = (Vec::with_capacity(self.recordings.len()), 0);
        let parts: Vec<_> =
            self.recordings.iter().map(|recording| recording.part.as_ref()).collect();
        for (at, part) in parts.iter().enumerate() {
            let same = || {
                let before = parts[..at].iter().enumerate();
                before.filter_map(|(before, other)| {
                    part.zip(*other)
                        .filter(|(one, other)| one.0 == other.0)
                        .map(|both| (before, both))
                })
            };
            // The same part twice is meant to be twice as much.
            let twice = same()
                .any(|(_, (one, other))| one.1.iter().any(|created| other.1.contains(created)));
            let earlier = same().next().map(|(before, _)| of[before]).filter(|_| !twice);
            of.push(earlier.unwrap_or(all));
            all += u64::from(earlier.is_none());
        }
        self.captures = (of, all.max(1));
    }
}

/// When an exchange began: its request, or an orphan's response.
pub fn began(exchange: &Exchange) -> Timestamp {
    let request = exchange.request.as_ref().map(|request| request.at);
    request.or_else(|| exchange.response.as_ref().map(|response| response.at)).unwrap_or_default()
}

impl Iterator for Merged {
    type Item = Result<Exchange, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !std::mem::replace(&mut self.started, true) {
            for (head, recording) in self.heads.iter_mut().zip(&mut self.recordings) {
                match recording.read() {
                    Ok(first) => *head = first,
                    Err(error) => return Some(Err(error)),
                }
                recording.sleep();
            }
            self.tell_captures();
            let heads = self.heads.iter().enumerate();
            let begun = |(at, head): (usize, &Option<Exchange>)| {
                head.as_ref().map(|exchange| Reverse((began(exchange), at)))
            };
            self.order = heads.filter_map(begun).collect();
        }
        let &Reverse((_, at)) = self.order.peek()?;
        let next = match self.recordings[at].read() {
            Ok(next) => next,
            Err(error) => {
                self.order.clear();
                return Some(Err(error));
            }
        };
        if let Some(mut head) = self.order.peek_mut() {
            match &next {
                Some(next) => *head = Reverse((began(next), at)),
                None => {
                    PeekMut::pop(head);
                    self.recordings[at].sleep();
                }
            }
        }
        let mut exchange = std::mem::replace(&mut self.heads[at], next)?;
        exchange.renumber(|connection| self.number(connection, at));
        Some(Ok(exchange))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(connection: u64, at: &str) -> String {
        format!(
            "{{\"id\":\"{connection}-0\",\"connection\":{connection},\"client\":\"1.2.3.4:5\",\
             \"server\":\"1.2.3.4:80\",\"protocol\":\"http/1\",\"completeness\":\"no-response\",\
             \"request\":{{\"at\":\"{at}\",\"duration_ns\":0,\"method\":\"GET\",\"target\":\"/\",\
             \"version\":\"1.1\",\"headers\":[],\"body\":null,\"body_bytes\":0,\
             \"framing\":\"none\",\"trailers\":[]}},\"response\":null,\"interim\":[]}}"
        )
    }

    const FIRST: &str =
        r#"{"format":"shadowtap/exchanges","version":1,"created":"2026-01-01T00:00:00Z"}"#;
    const LAST: &str = r#"{"format":"shadowtap/end","exchanges":1,"ledger":{"in":5,"used":5}}"#;

    fn recording(name: &str, text: String, skew: i64) -> Recording {
        Recording::new(name.to_owned(), Box::new(std::io::Cursor::new(text.into_bytes())), skew)
    }

    #[test]
    fn concatenated_files_get_connections_of_their_own() {
        let one = [FIRST, &line(3, "2026-01-01T00:00:00Z"), LAST].join("\n");
        let mut merged = merge(vec![recording("a", format!("{one}\n{one}\n"), 0)]);
        let ids: Vec<u64> =
            merged.by_ref().map(|exchange| exchange.unwrap().id.connection).collect();
        assert_eq!(ids, [3, 7]);
        let (ledger, warnings, _) = merged.account();
        assert_eq!((ledger.input, warnings.len()), (10, 0));
    }

    #[test]
    fn lines_stay_as_they_stand_unless_their_connection_gets_another_number() {
        // Another writer's order of keys and a field of its own.
        let odd =
            line(3, "2026-01-01T00:00:00Z").replace(r#""interim":[]"#, r#""interim":[],"own":1"#);
        let one = [FIRST, &odd, LAST].join("\n");
        let mut recording = recording("a", format!("{one}\n{one}\n"), 0);
        let mut lines = Vec::new();
        assert_eq!(recording.read_line(&mut lines).unwrap().unwrap().id.connection, 3);
        assert_eq!(String::from_utf8_lossy(&lines), format!("{odd}\n"));
        lines.clear();
        let second = recording.read_line(&mut lines).unwrap().unwrap();
        assert_eq!(exchanges::read(&lines).unwrap(), Line::Exchange(Box::new(second)));
        assert!(
            lines.starts_with(br#"{"id":"7-0","connection":7,"#)
                && !lines.windows(5).any(|part| part == b"\"own\"")
        );
        lines.clear();
        assert!(recording.read_line(&mut lines).unwrap().is_none() && lines.is_empty());
    }

    #[test]
    fn what_is_read_ahead_is_what_is_read_alone() {
        use std::io::{BufReader, Cursor};
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap());
        let mut text = format!("\u{feff}{FIRST}\r\n\n");
        for connection in 0..200 {
            text += &format!("{}\n", line(connection, "2026-01-01T00:00:00Z"));
            match connection % 40 {
                7 => text += "no JSON at all\n",
                9 => text += "  \n\u{feff} \n",
                20 => text += &format!("{LAST}\n{FIRST}\n"),
                _ => {}
            }
        }
        let cut = &line(999, "2026-01-01T00:00:00Z")[..40];
        let texts = [format!("{text}{LAST}\n"), format!("{text}{cut}"), "no\nno\n".repeat(40)];
        let all = |mut recording: Recording, outlines: bool| {
            let (mut read, mut lines) = (Vec::new(), Vec::new());
            let error = loop {
                let next = match outlines {
                    true => recording.read_line(&mut lines),
                    false => recording.read(),
                };
                match next {
                    Ok(Some(exchange)) => read.push(exchange),
                    Ok(None) => break None,
                    Err(error) => break Some(error.to_string()),
                }
            };
            let (ledger, warnings, rest) = merge(vec![recording]).account();
            (read, lines, error, ledger, warnings, rest)
        };
        for text in texts {
            for outlines in [false, true] {
                let alone = all(recording("r", text.clone(), 0), outlines);
                assert!(alone.0.len() == 200 || alone.2.is_some());
                for size in [1, 100, 4096] {
                    let reader =
                        BufReader::with_capacity(size, Cursor::new(text.clone().into_bytes()));
                    let ahead = Recording::new("r".to_owned(), Box::new(reader), 0);
                    assert_eq!(all(ahead.ahead(Arc::clone(&pool)), outlines), alone, "{size}");
                }
            }
        }
    }

    #[test]
    fn several_files_are_merged_by_time_and_skew() {
        let a = [FIRST, &line(0, "2026-01-01T00:00:00Z"), &line(1, "2026-01-01T00:00:02Z"), LAST]
            .join("\n");
        let b = [FIRST, &line(0, "2026-01-01T00:00:00Z"), LAST].join("\n");
        let merged = merge(vec![recording("a", a, 0), recording("b", b, 1_000_000_000)]);
        let ids: Vec<u64> = merged.map(|exchange| exchange.unwrap().id.connection).collect();
        assert_eq!(ids, [0, 1, 2]);
    }

    #[test]
    fn files_of_one_capture_number_their_connections_together() {
        let file = |created: &str, lines: &[String]| {
            let first =
                FIRST.replace("2026-01-01T00:00:00Z", created).replace('}', r#","capture":"c"}"#);
            format!("{}\n", [&[first], lines, &[LAST.to_owned()]].concat().join("\n"))
        };
        let closes = line(5, "2026-01-01T00:00:03Z").replace(
            r#""connection":5,"#,
            r#""connection":5,"closed":[[3,"2026-01-01T00:00:02Z"]],"#,
        );
        let one = file(
            "2026-01-01T00:00:00Z",
            &[line(3, "2026-01-01T00:00:00Z"), line(4, "2026-01-01T00:00:01Z")],
        );
        let two = file("2026-01-01T00:00:02Z", &[closes, line(4, "2026-01-01T00:00:04Z")]);
        let read = |files: &[&str]| {
            let recordings =
                files.iter().map(|text| recording("r", (*text).to_owned(), 0)).collect();
            let all: Vec<Exchange> = merge(recordings).map(Result::unwrap).collect();
            let closed: Vec<u64> =
                all.iter().flat_map(|exchange| &exchange.closed).map(|closed| closed.0).collect();
            (all.iter().map(|exchange| exchange.id.connection).collect::<Vec<_>>(), closed)
        };
        let together = (vec![3, 4, 5, 4], vec![3]);
        assert_eq!(read(&[&one, &two]), together);
        assert_eq!(read(&[&two, &one]), together);
        assert_eq!(read(&[&format!("{one}{two}")]), together);
        // The same file twice is twice as many lanes, and so is another capture.
        assert_eq!(read(&[&one, &one]).0, [6, 7, 8, 9]);
        let twice = [3, 4, FOREIGN + 3, FOREIGN + 4];
        assert_eq!(read(&[&format!("{one}{one}")]).0, twice);
        let both = read(&[&format!("{one}{two}{one}")]).0;
        assert_eq!(both, [3, 4, 5, 4, FOREIGN + 3, FOREIGN + 4]);
        let other = two.replace(r#""capture":"c""#, r#""capture":"d""#);
        assert_eq!(read(&[&one, &other]), (vec![6, 8, 11, 9], vec![7]));
    }

    #[test]
    fn a_cut_file_is_read_with_a_warning_and_one_without_an_exchange_is_an_error() {
        let text = [FIRST, &line(0, "2026-01-01T00:00:00Z"), r#"{"id":"1-0","conn"#].join("\n");
        let mut merged = merge(vec![recording("cut.jsonl", text, 0)]);
        assert_eq!(merged.by_ref().filter(Result::is_ok).count(), 1);
        assert!(merged.account().1[0].contains("cut.jsonl: ends inside line 3"));
        let text = [FIRST, "nonsense", ""].join("\n");
        let error = merge(vec![recording("bad.jsonl", text, 0)]).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("bad.jsonl: line 2 (byte 78)"), "{error}");
    }

    #[test]
    fn a_mark_other_line_ends_and_a_bad_line_lose_nothing_else() {
        let lines: Vec<String> = (0..3).map(|n| line(n, "2026-01-01T00:00:00Z")).collect();
        let whole = [&[FIRST.to_owned()], &lines[..], &[LAST.to_owned()]].concat();
        let bad = |at: usize, text: &str| {
            let mut lines = whole.clone();
            lines.insert(at, text.to_owned());
            lines.join("\n") + "\n"
        };
        let one = whole.join("\n") + "\n";
        for (name, text, left_out) in [
            ("mark", format!("\u{feff}{one}"), 0),
            ("marks", format!("\u{feff}{one}\u{feff}{one}"), 0),
            ("line ends", format!("\u{feff}{}", one.replace('\n', "\r\n")), 0),
            ("half a line", bad(2, r#"{"id":"7-0","conn"#), 1),
            ("a word", bad(4, "Killed"), 1),
            ("no UTF-8 and two of them", bad(3, "\u{fffd}\n{}"), 2),
            ("before the first", bad(0, "{"), 1),
        ] {
            let mut merged = merge(vec![recording("r.jsonl", text, 0)]);
            let read = merged.by_ref().map(Result::unwrap).count();
            assert_eq!(read, if name == "marks" { 6 } else { 3 }, "{name}");
            let (ledger, warnings, _) = merged.account();
            let noted = ledger.noted.get("recording-lines-left-out").copied();
            assert_eq!(noted.unwrap_or_default(), left_out, "{name}");
            assert_eq!(warnings.len(), usize::from(left_out > 0), "{name}: {warnings:?}");
        }
        let mut merged = merge(vec![recording("r.jsonl", bad(2, "Killed"), 0)]);
        assert_eq!(merged.by_ref().filter(Result::is_ok).count(), 3);
        let warning = &merged.account().1[0];
        assert!(warning.contains("r.jsonl: line 3 (byte "), "{warning}");
        // What hardly holds an exchange is no recording.
        let noise = format!("{one}{}", "noise\n".repeat(40));
        assert!(merge(vec![recording("r.jsonl", noise, 0)]).any(|next| next.is_err()));
    }

    #[test]
    fn of_many_recordings_those_are_open_whose_time_has_come() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut recordings = Vec::new();
        for n in (0..20).rev() {
            let lines: Vec<String> = (0..3)
                .map(|m| line(m, &format!("2026-01-01T00:{:02}:{:02}Z", 2 * n, 10 * m)))
                .collect();
            let text = [&[FIRST.to_owned()], &lines[..], &[LAST.to_owned()]].concat().join("\n");
            let bytes = match n % 3 {
                0 => zstd::encode_all(text.as_bytes(), 1).expect("memory"),
                _ => format!("\u{feff}{text}\n").into_bytes(),
            };
            let path = folder.path().join(format!("{n}.jsonl"));
            std::fs::write(&path, bytes).expect("room");
            let name = path.to_str().expect("a name").to_owned();
            let Ok(Input::Records(reader)) = file::open(&name) else { panic!("a recording") };
            let watch = Watch::new(&path);
            recordings.push(Recording::new(name, reader, 0).watched(watch).among_many());
        }
        recordings[5].redacted().expect("it can be read");
        let mut merged = merge(recordings);
        let (mut times, mut most) = (Vec::new(), 0);
        while let Some(exchange) = merged.next() {
            times.push(began(&exchange.expect("it can be read")));
            let open = merged.recordings.iter().filter(|recording| !recording.asleep);
            most = most.max(open.count());
        }
        assert!(times.is_sorted() && times.len() == 60, "{times:?}");
        assert_eq!(most, 1);
        let (ledger, warnings, _) = merged.account();
        assert_eq!((ledger.input, warnings), (100, Vec::new()));
    }
}
