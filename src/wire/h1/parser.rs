//! The incremental parser of HTTP/1 messages, for both directions and both sides: v1's recorded
//! bytes and v2's live ones.
//!
//! It owns no input and reads no clock. The caller gives slices with a mark of its own type `M` (a
//! packet, an instant), and takes one event at a time; between two events nothing is held but a
//! head under way and the body so far.
//!
//! ```
//! use shadowtap::wire::h1::parser::{Expect, Message, MessageSide, Parser};
//! let mut parser = Parser::<u64>::new(MessageSide::Responses, Default::default());
//! parser.expect(Expect::Other);
//! let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..];
//! let parsed = parser.step(&mut input, 7).unwrap();
//! assert!(matches!(parsed.message, Message::Response(response) if &response.body.bytes[..] ==
//! b"hi")); assert!(parser.step(&mut input, 7).is_none() && input.is_empty());
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits;
use crate::message::wire::Verbatim;
use crate::message::{Framing, Response, Version};
pub use crate::wire::conversation::Ending;
use crate::wire::h1::body::{BodyGather, chunk_size};
use crate::wire::h1::head;
pub use crate::wire::h1::head::AMBIGUOUS_FRAMING;
use crate::wire::h1::head::{BodyPlan, Head, HeadFacts, Oddities, StartLine};
pub use crate::wire::h1::parsed::{
    BODY_KEPT_IN_PART, Damage, Expect, Hole, Keep, Message, MessageSide, Parsed, ParserLimits,
};
use crate::wire::h1::search::{
    PREFIX, is_prefix, is_simple, looks_like_field, may_be_request, trim_end,
};
use crate::wire::h1::verbatim;
use crate::wire::pace::{Pieces, has_pace};

/// Longest start line that is searched for after bytes were lost.
const SEARCHED_LINE: usize = 16 << 10;
/// Longest line of a chunk's size with its extension.
const CHUNK_LINE: usize = 16 << 10;
/// Capacity that an idle connection may keep for its next head.
const KEEP_LINE: usize = 4 << 10;

/// Reads one direction of a connection.
#[derive(Debug)]
pub struct Parser<M> {
    side: MessageSide,
    limits: ParserLimits,
    state: ParserState,
    position: u64,
    /// A head, chunk line or trailer section of which some bytes have come.
    line: Vec<u8>,
    /// Where the last line in `line` starts.
    line_start: usize,
    /// The mark of the first byte in `line`, where that is a trailer section.
    line_mark: M,
    expected: VecDeque<Expect>,
    current: Option<Box<Current<M>>>,
    first: M,
    start: u64,
    last: M,
    /// Bytes that belong to no message.
    skipped: u64,
    tunnelled: u64,
    /// The next start line was found by search.
    resumed: bool,
    /// Bytes of empty lines since the last message.
    blanks: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    /// Before a message or in its head.
    Head,
    /// In a body of known length.
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    /// Behind a chunk's bytes, before its line end; whether a CR came.
    ChunkEnd(bool),
    Trailers,
    UntilClose,
    /// Not understood: looking for a start line.
    Lost,
    Tunnel,
}

/// A message whose head was read.
#[derive(Debug)]
struct Current<M> {
    message: Message,
    body: BodyGather,
    framing: Framing,
    /// A request's head, where its parts do not tell it.
    raw_head: Option<Bytes>,
    /// What stood around a request's chunks.
    around_chunks: verbatim::ChunkGather,
    holes: Vec<Hole<M>>,
    /// When its body came, where that says something.
    pieces: Option<Pieces<M>>,
    oddities: Oddities,
    persists: bool,
    tunnel: bool,
}

impl<M: Copy + Default + Ord> Parser<M> {
    /// A parser at the start of a stream.
    pub fn new(side: MessageSide, limits: ParserLimits) -> Self {
        Self {
            side,
            limits,
            state: ParserState::Head,
            position: 0,
            line: Vec::new(),
            line_start: 0,
            line_mark: M::default(),
            expected: VecDeque::new(),
            current: None,
            first: M::default(),
            start: 0,
            last: M::default(),
            skipped: 0,
            tunnelled: 0,
            resumed: false,
            blanks: 0,
        }
    }

    /// Tells what the next final response without an expectation answers. Called in the order of
    /// the requests, before the bytes of the answer are given. A response that was not expected is
    /// read as [`Expect::Other`].
    pub fn expect(&mut self, expect: Expect) {
        self.expected.push_back(expect);
    }

    /// Says what the next final response answers, in place of all that was said before.
    pub fn expect_only(&mut self, expect: Option<Expect>) {
        self.expected.clear();
        self.expected.extend(expect);
    }

    /// The message under way, where its head was read.
    pub fn current(&self) -> Option<&Message> {
        self.current.as_ref().map(|current| &current.message)
    }

    /// Which messages it reads; [`Side::Either`] until the first start line.
    pub fn side(&self) -> MessageSide {
        self.side
    }

    /// Fixes what it reads, where the other direction told.
    pub fn set_side(&mut self, side: MessageSide) {
        self.side = side;
    }

    /// Says that the stream is joined in the middle: the first start line must be searched.
    pub fn joined(&mut self) {
        self.resumed = true;
    }

    /// Whether no message is under way: all bytes so far belong to messages that were given out, or
    /// to none.
    pub fn is_between_messages(&self) -> bool {
        self.current.is_none() && self.line.is_empty()
    }

    /// Whether it searches for a start line: what came last is not HTTP.
    pub fn is_lost(&self) -> bool {
        self.state == ParserState::Lost
    }

    /// Whether the next message is one that was searched for: others may be missing before it.
    pub fn is_resuming(&self) -> bool {
        self.resumed
    }

    /// Whether the stream belongs to another protocol from here on.
    pub fn is_tunnel(&self) -> bool {
        self.state == ParserState::Tunnel
    }

    /// The mark of the first byte of the message under way.
    pub fn first(&self) -> Option<M> {
        (!self.is_between_messages()).then_some(self.first)
    }

    /// The offset in the stream of the first byte of the message under way.
    pub fn start(&self) -> Option<u64> {
        (!self.is_between_messages()).then_some(self.start)
    }

    /// The offset in the stream of the next byte, bytes of gaps counted.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that it holds of the message under way.
    pub fn held(&self) -> usize {
        self.line.len()
            + self
                .current
                .as_ref()
                .map_or(0, |current| current.body.kept() + current.around_chunks.kept())
    }

    /// Lets go of the body under way, where memory is short: the message will have its length and
    /// hash.
    pub fn let_go(&mut self) {
        if let Some(current) = &mut self.current
            && current.body.kept() > 0
        {
            current.body.let_go();
            current.oddities.push("body-not-kept");
        }
    }

    /// Bytes so far that belong to no message.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Bytes so far behind a 101 or a successful CONNECT.
    pub fn tunnelled(&self) -> u64 {
        self.tunnelled
    }

    /// What follows is of another protocol; it is counted and not read.
    pub fn tunnel(&mut self) {
        self.drop_line();
        self.state = ParserState::Tunnel;
    }

    /// Reads on in `input`, which it shortens by what it used; `mark` stands for the slice. Returns
    /// at the end of a message, with the rest still in `input`; `None`: all of `input` was used and
    /// more is needed.
    pub fn step(&mut self, input: &mut &[u8], mark: M) -> Option<Parsed<M>> {
        while !input.is_empty() {
            if let Some(parsed) = self.advance(input, mark) {
                return Some(parsed);
            }
        }
        None
    }

    fn advance(&mut self, input: &mut &[u8], mark: M) -> Option<Parsed<M>> {
        match self.state {
            ParserState::Head => self.head(input, mark),
            ParserState::Length(left) => {
                let bytes = self.take(input, left);
                self.gather(bytes, mark);
                self.last = self.last.max(mark);
                let left = left - bytes.len() as u64;
                self.state = ParserState::Length(left);
                (left == 0).then(|| self.complete(None))
            }
            ParserState::UntilClose => {
                let bytes = self.take(input, u64::MAX);
                self.gather(bytes, mark);
                self.last = self.last.max(mark);
                None
            }
            ParserState::ChunkSize => self.chunk_line(input, mark),
            ParserState::ChunkData(left) => {
                let bytes = self.take(input, left);
                self.gather(bytes, mark);
                self.last = self.last.max(mark);
                let left = left - bytes.len() as u64;
                self.state = if left == 0 {
                    ParserState::ChunkEnd(false)
                } else {
                    ParserState::ChunkData(left)
                };
                None
            }
            ParserState::ChunkEnd(cr) => self.chunk_end(input, mark, cr),
            ParserState::Trailers => self.trailers(input, mark),
            ParserState::Lost => {
                self.search(input);
                None
            }
            ParserState::Tunnel => {
                self.tunnelled += self.take(input, u64::MAX).len() as u64;
                None
            }
        }
    }

    /// `n` bytes of the stream are missing here. Gives the message that it damages beyond reading
    /// on; a hole inside a body of known length or inside a chunk is skipped by count, and the
    /// message comes out later, damaged.
    pub fn gap(&mut self, n: u64, mark: M) -> Option<Parsed<M>> {
        if n == 0 {
            return None;
        }
        self.position += n;
        let left = match self.state {
            ParserState::Tunnel => {
                self.tunnelled += n;
                return None;
            }
            ParserState::Lost => {
                self.skipped += n;
                return None;
            }
            ParserState::Length(left) | ParserState::ChunkData(left) => left,
            ParserState::UntilClose => u64::MAX,
            _ => 0,
        };
        if self.is_between_messages() {
            self.skipped += n;
            (self.state, self.resumed) = (ParserState::Lost, true);
            return None;
        }
        if let Some(current) = &mut self.current {
            let holes = current.holes.len();
            match current.holes.last_mut() {
                Some(last) if holes >= limits::MESSAGE_HOLES => {
                    last.bytes = last.bytes.saturating_add(n)
                }
                _ => current.holes.push(Hole { bytes: n, mark }),
            }
        }
        if n <= left {
            self.body().skip(n);
            self.last = self.last.max(mark);
            let left = left - n;
            match &mut self.state {
                ParserState::Length(rest) | ParserState::ChunkData(rest) => *rest = left,
                _ => {}
            }
            return match self.state {
                ParserState::Length(0) => Some(self.complete(Some(Damage::Gap))),
                ParserState::ChunkData(0) => {
                    self.state = ParserState::ChunkEnd(false);
                    None
                }
                _ => None,
            };
        }
        self.abandon(Damage::Gap, Some(Hole { bytes: n, mark }))
    }

    /// The stream has ended. Gives the message that was under way: whole where its end is the end
    /// of the stream.
    pub fn finish(&mut self, ending: Ending) -> Option<Parsed<M>> {
        let whole = match self.state {
            ParserState::UntilClose => ending == Ending::Closed,
            // The last chunk came and only the blank line behind it did not.
            ParserState::Trailers => ending == Ending::Closed && self.line.is_empty(),
            _ => false,
        };
        if whole {
            if self.state == ParserState::Trailers {
                self.oddity("no-end-of-chunks");
            }
            return Some(self.complete(None));
        }
        if self.is_between_messages() {
            return None;
        }
        self.abandon(Damage::Ended, None)
    }

    /// Uses up to `most` bytes of `input`.
    fn take<'a>(&mut self, input: &mut &'a [u8], most: u64) -> &'a [u8] {
        let n = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
        let (taken, rest) = input.split_at(n);
        *input = rest;
        self.position += n as u64;
        taken
    }

    fn body(&mut self) -> &mut BodyGather {
        &mut self.current.as_mut().expect("a state inside a body has its message").body
    }

    fn gather(&mut self, bytes: &[u8], mark: M) {
        let current = self.current.as_mut().expect("a state inside a body has its message");
        current.body.push(bytes);
        if let Some(pieces) = &mut current.pieces {
            pieces.add(bytes.len(), mark);
        }
    }

    fn oddity(&mut self, what: &'static str) {
        if let Some(current) = &mut self.current {
            current.oddities.push(what);
        }
    }

    fn head(&mut self, input: &mut &[u8], mark: M) -> Option<Parsed<M>> {
        if self.line.is_empty() {
            // Empty lines before a start line are passed over (RFC 9112 §2.2).
            let blank = input.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
            self.take(input, blank as u64);
            self.blanks += blank;
            if self.limits.strict && self.blanks > self.limits.head_bytes {
                self.lose();
                return None;
            }
            if input.is_empty() {
                return None;
            }
            self.blanks = 0;
            (self.first, self.last, self.start) = (mark, mark, self.position);
            if self.expected.front() == Some(&Expect::Simple) && !is_prefix(b"HTTP/", input) {
                return self.simple_response();
            }
            if let Some((head, length)) =
                head::fast(input, self.limits.header_fields, self.limits.keep)
                && length <= self.limits.head_bytes
                && self.accepts(&head.start)
            {
                self.take(input, length as u64);
                return self.headed(head);
            }
        }
        self.last = self.last.max(mark);
        let (slice, old) = (*input, self.line.len());
        loop {
            let before = self.line.len();
            let ended = self.take_line(input);
            if self.line_start == 0 && before <= PREFIX && !self.is_plausible() {
                self.reject(input, slice, old);
                return None;
            }
            if self.line.len() > self.limits.head_bytes
                || (self.resumed && self.line_start == 0 && self.line.len() > SEARCHED_LINE)
            {
                return self.abandon(Damage::HeadLimit, None);
            }
            if !ended {
                return None;
            }
            let line = trim_end(&self.line[self.line_start..]);
            if self.line_start == 0 {
                let start = head::start_line(line).filter(|start| self.accepts(start));
                // While searching, a known start line at the front of a slice beats one that began
                // in the slice before.
                let restarts =
                    self.resumed && old > 0 && head::is_certain_start(&line[old.min(line.len())..]);
                let Some(start) = start.filter(|_| !restarts) else {
                    self.reject(input, slice, old);
                    return None;
                };
                if is_simple(&start) && !looks_like_field(input) {
                    return self.lenient_head();
                }
            } else if line.is_empty() {
                return self.lenient_head();
            }
            self.line_start = self.line.len();
        }
    }

    /// Moves bytes up to the next line end into `line`; whether the end came.
    fn take_line(&mut self, input: &mut &[u8]) -> bool {
        let end = memchr::memchr(b'\n', input);
        // A line without an end is bounded: one byte above the limit is enough to know.
        let most = self.limits.head_bytes.saturating_add(1).saturating_sub(self.line.len());
        let n = end.map_or(input.len(), |at| at + 1).min(most);
        let bytes = self.take(input, n as u64);
        self.line.extend_from_slice(bytes);
        end.is_some_and(|at| at < n)
    }

    fn drop_line(&mut self) {
        self.skipped += self.line.len() as u64;
        self.clear_line();
    }

    fn clear_line(&mut self) {
        self.line.clear();
        self.line_start = 0;
        // A long head must not pin its memory for the life of the connection.
        if self.line.capacity() > KEEP_LINE {
            self.line = Vec::new();
        }
    }

    /// The line is no start line. Bytes of it that came before `slice` are passed over; the slice
    /// is searched anew.
    fn reject<'a>(&mut self, input: &mut &'a [u8], slice: &'a [u8], old: usize) {
        if old > 0 {
            self.position -= (slice.len() - input.len()) as u64;
            *input = slice;
            self.line.truncate(old);
        }
        self.lose();
    }

    fn lose(&mut self) {
        self.drop_line();
        (self.state, self.resumed) = (ParserState::Lost, true);
    }

    /// Whether the first bytes of a line may become a start line; bounds what is kept of other
    /// protocols.
    fn is_plausible(&self) -> bool {
        let prefix = &self.line[..self.line.len().min(PREFIX)];
        let response = is_prefix(b"HTTP/", prefix);
        match self.side {
            MessageSide::Responses => response,
            MessageSide::Requests => may_be_request(prefix),
            MessageSide::Either => response || may_be_request(prefix),
        }
    }

    fn accepts(&self, start: &StartLine) -> bool {
        let (version, request) = match start {
            // Behind lost bytes an unknown method may be the end of a known one, or of a body.
            StartLine::Request { method, .. } if self.resumed && !head::is_known_method(method) => {
                return false;
            }
            StartLine::Request { version, .. } => (*version, true),
            // No status is below 100 (RFC 9110 §15).
            StartLine::Response { status: ..100, .. } if self.limits.strict => return false,
            StartLine::Response { version, .. } => (*version, false),
        };
        // A start line that was searched for must name its version; HTTP/2's preface is not a
        // request.
        let preface = request && matches!(version, Version::Other(2.., _));
        if preface || (self.resumed && version == Version::Http09) {
            return false;
        }
        match self.side {
            MessageSide::Either => true,
            MessageSide::Requests => request,
            MessageSide::Responses => !request,
        }
    }

    fn lenient_head(&mut self) -> Option<Parsed<M>> {
        let line = std::mem::take(&mut self.line);
        let head = head::lenient(&line, self.limits.header_fields);
        let unclean = self.limits.strict && memchr::memchr(0, &line).is_some();
        self.line = line;
        self.clear_line();
        let parsed = self.headed(head?);
        // An answer without a body is whole by now.
        if unclean && self.current.is_some() {
            return self.abandon(Damage::NulInHead, None);
        }
        parsed.map(|parsed| Parsed {
            damage: parsed.damage.or(unclean.then_some(Damage::NulInHead)),
            ..parsed
        })
    }

    /// An answer without a head to a request of HTTP/0.9.
    fn simple_response(&mut self) -> Option<Parsed<M>> {
        self.expected.pop_front();
        let response = Response { status: 200, version: Version::Http09, ..Response::default() };
        self.current = Some(Box::new(Current {
            message: Message::Response(response),
            body: BodyGather::new(&self.limits, 0),
            framing: Framing::Close,
            raw_head: None,
            around_chunks: verbatim::ChunkGather::default(),
            holes: Vec::new(),
            pieces: None,
            oddities: vec!["no-head"],
            persists: false,
            tunnel: false,
        }));
        self.state = ParserState::UntilClose;
        None
    }

    /// A head is whole: what follows?
    fn headed(&mut self, head: Head) -> Option<Parsed<M>> {
        let Head { start, headers, mut oddities, raw } = head;
        let facts = HeadFacts::of(&headers, &mut oddities);
        let (plan, tunnel, version) = match &start {
            StartLine::Request { method, version, .. } => {
                self.side = MessageSide::Requests;
                // What a CONNECT declares is no body (RFC 9110 §9.3.6).
                let connect = &method[..] == b"CONNECT";
                let plan = if connect { BodyPlan::None } else { facts.of_request() };
                (plan, connect || facts.upgrade, *version)
            }
            StartLine::Response { status, version, .. } => {
                self.side = MessageSide::Responses;
                let (plan, tunnel) = self.plan_response(*status, &facts);
                (plan, tunnel, *version)
            }
        };
        let declared = if let BodyPlan::Length(length) = plan { length } else { 0 };
        // Streams of events have no length.
        let endless = matches!(plan, BodyPlan::Chunked | BodyPlan::UntilClose);
        let paced = endless && headers.get("content-type").is_some_and(has_pace);
        let pieces = paced.then(Pieces::default);
        // Also where no body follows: of an answer to HEAD it is the length that GET would have.
        let bad_length =
            self.limits.strict && self.side == MessageSide::Responses && facts.has_no_one_length();
        self.current = Some(Box::new(Current {
            message: start.into_message(headers),
            body: BodyGather::new(&self.limits, declared),
            framing: plan.framing(),
            raw_head: raw,
            around_chunks: verbatim::ChunkGather::new(self.limits.keep == Keep::Everything),
            holes: Vec::new(),
            pieces,
            oddities,
            persists: facts.persists(version) && plan != BodyPlan::UntilClose,
            tunnel,
        }));
        if bad_length {
            return self.abandon(Damage::BadLength, None);
        }
        self.state = match plan {
            BodyPlan::None | BodyPlan::Length(0) => return Some(self.complete(None)),
            BodyPlan::Length(length) => ParserState::Length(length),
            BodyPlan::Chunked => ParserState::ChunkSize,
            BodyPlan::UntilClose => ParserState::UntilClose,
        };
        None
    }

    /// RFC 9112 §6.3, items 1 to 3.
    fn plan_response(&mut self, status: u16, facts: &HeadFacts) -> (BodyPlan, bool) {
        let interim = matches!(status, 100 | 102..=199);
        if interim {
            return (BodyPlan::None, false);
        }
        let expected = self.expected.pop_front().unwrap_or_default();
        match (status, expected) {
            (101, _) => (BodyPlan::None, true),
            (200..=299, Expect::Connect) => (BodyPlan::None, true),
            (_, Expect::Head) | (204 | 304, _) => (BodyPlan::None, false),
            _ => (facts.of_response(), false),
        }
    }

    fn chunk_line(&mut self, input: &mut &[u8], mark: M) -> Option<Parsed<M>> {
        self.last = self.last.max(mark);
        let ended = self.take_line(input);
        if self.line.len() > CHUNK_LINE.min(self.limits.head_bytes) {
            return self.abandon(Damage::BadChunk, None);
        }
        if !ended {
            // Who reads live would wait for the end of a line that is none.
            let begins = self.line.trim_ascii_start().first();
            let no_size = begins.is_some_and(|byte| !byte.is_ascii_hexdigit());
            if self.limits.strict && no_size {
                return self.abandon(Damage::BadChunk, None);
            }
            return None;
        }
        match chunk_size(trim_end(&self.line)) {
            None => self.abandon(Damage::BadChunk, None),
            Some(size) if self.limits.strict && size > limits::DECLARED_BYTES => {
                self.abandon(Damage::BadChunk, None)
            }
            Some(size) => {
                self.keep_around_chunks();
                self.clear_line();
                self.state =
                    if size == 0 { ParserState::Trailers } else { ParserState::ChunkData(size) };
                None
            }
        }
    }

    fn chunk_end(&mut self, input: &mut &[u8], mark: M, cr: bool) -> Option<Parsed<M>> {
        match (input[0], cr) {
            (b'\r', false) => self.state = ParserState::ChunkEnd(true),
            (b'\n', _) => self.state = ParserState::ChunkSize,
            _ => return self.abandon(Damage::BadChunk, None),
        }
        let byte = self.take(input, 1);
        if let Some(around) = self.around_chunks() {
            around.push(byte);
        }
        self.last = self.last.max(mark);
        None
    }

    /// What stands around the chunks of a request is kept, so that it can be sent the same way.
    fn around_chunks(&mut self) -> Option<&mut verbatim::ChunkGather> {
        let current = self
            .current
            .as_mut()
            .filter(|current| matches!(current.message, Message::Request(_)))?;
        Some(&mut current.around_chunks)
    }

    fn keep_around_chunks(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some(around) = self.around_chunks() {
            around.push(&line);
        }
        self.line = line;
    }

    fn trailers(&mut self, input: &mut &[u8], mark: M) -> Option<Parsed<M>> {
        if self.line.is_empty() {
            self.line_mark = mark;
        }
        loop {
            let ended = self.take_line(input);
            if self.line.len() > self.limits.head_bytes {
                return self.abandon(Damage::HeadLimit, None);
            }
            if !ended {
                return None;
            }
            if trim_end(&self.line[self.line_start..]).is_empty() {
                break;
            }
            if self.line_start == 0 && head::status_line(trim_end(&self.line)).is_some() {
                return Some(self.complete_without_end());
            }
            self.line_start = self.line.len();
        }
        self.last = self.last.max(mark);
        self.keep_around_chunks();
        if self.line_start > 0 {
            let mut oddities = Oddities::new();
            let trailers =
                head::fields(head::lines(&self.line), self.limits.header_fields, &mut oddities);
            let current = self.current.as_mut().expect("trailers belong to a message");
            current.message.set_trailers(trailers);
            current.oddities.append(&mut oddities);
        }
        Some(self.complete(None))
    }

    /// A server left out the blank line behind the last chunk: the line that was read begins its
    /// next answer.
    fn complete_without_end(&mut self) -> Parsed<M> {
        self.oddity("no-end-of-chunks");
        let line = std::mem::take(&mut self.line);
        self.position -= line.len() as u64;
        let parsed = self.complete(None);
        (self.start, self.first, self.last) = (self.position, self.line_mark, self.line_mark);
        self.position += line.len() as u64;
        self.line_start = line.len();
        self.line = line;
        parsed
    }

    /// The message under way ends here.
    fn complete(&mut self, damage: Option<Damage>) -> Parsed<M> {
        let Current {
            mut message,
            body,
            framing,
            raw_head,
            around_chunks,
            holes,
            pieces,
            mut oddities,
            persists,
            tunnel,
        } = *self.current.take().expect("a message that ends was under way");
        self.clear_line();
        self.state = if tunnel && matches!(message, Message::Response(_)) {
            ParserState::Tunnel
        } else {
            ParserState::Head
        };
        let body = body.finish();
        if body.sha256.is_some() && body.is_cut() && !oddities.contains(&"body-not-kept") {
            oddities.push(BODY_KEPT_IN_PART);
        }
        message.set_body(body, framing);
        if around_chunks.is_full() {
            oddities.push("chunks-not-kept");
        }
        if let Message::Request(request) = &mut message
            && damage.is_none()
            && holes.is_empty()
        {
            let chunks = around_chunks.finish(&request.trailers);
            request.verbatim = Verbatim::of(raw_head, chunks);
        }
        oddities.dedup();
        let damage = damage.or(if holes.is_empty() { None } else { Some(Damage::Gap) });
        let resumed = std::mem::take(&mut self.resumed);
        Parsed {
            message,
            first: self.first,
            last: self.last,
            start: self.start,
            end: self.position,
            damage,
            holes,
            pieces,
            oddities,
            persists: persists && damage.is_none(),
            resumed,
            tunnel,
        }
    }

    /// The message under way cannot be read on: gives what there is of it and searches for the
    /// next.
    fn abandon(&mut self, damage: Damage, hole: Option<Hole<M>>) -> Option<Parsed<M>> {
        if self.current.is_none() {
            // Inside the head: the lines that came whole are kept, where the start line is among
            // them.
            let head = head::lenient(&self.line[..self.line_start], self.limits.header_fields)
                .filter(|h| self.accepts(&h.start));
            let Some(Head { start, headers, oddities, .. }) = head else {
                self.lose();
                return None;
            };
            if matches!(start, StartLine::Response { .. }) {
                self.expected.pop_front();
            }
            self.current = Some(Box::new(Current {
                message: start.into_message(headers),
                body: BodyGather::default(),
                framing: Framing::None,
                raw_head: None,
                around_chunks: verbatim::ChunkGather::default(),
                holes: hole.into_iter().collect(),
                pieces: None,
                oddities,
                persists: false,
                tunnel: false,
            }));
        }
        let parsed = self.complete(Some(damage));
        (self.state, self.resumed) = (ParserState::Lost, true);
        Some(parsed)
    }

    /// Looks for a start line at the front of the slice or behind a line end (a message begins
    /// where a segment does, or where the one before it ended). What is passed over is counted.
    fn search(&mut self, input: &mut &[u8]) {
        let mut from = 0;
        while from < input.len() {
            let candidate = &input[from..];
            if self.may_start(candidate) {
                break;
            }
            from = memchr::memchr(b'\n', candidate).map_or(input.len(), |at| from + at + 1);
        }
        self.skipped += self.take(input, from as u64).len() as u64;
        if !input.is_empty() {
            (self.state, self.resumed) = (ParserState::Head, true);
        }
    }

    /// Whether a searched start line may begin here: its whole line where that is there, else its
    /// first bytes.
    fn may_start(&self, candidate: &[u8]) -> bool {
        if matches!(candidate[0], b'\r' | b'\n') {
            return false;
        }
        match memchr::memchr(b'\n', candidate) {
            Some(end) => head::start_line(trim_end(&candidate[..end])).is_some_and(|start| {
                let version = match start {
                    StartLine::Request { version, .. } | StartLine::Response { version, .. } => {
                        version
                    }
                };
                version != Version::Http09 && self.accepts(&start)
            }),
            None => {
                let prefix = &candidate[..candidate.len().min(PREFIX)];
                let response = is_prefix(b"HTTP/1.", prefix) && self.side != MessageSide::Requests;
                response || (self.side != MessageSide::Responses && may_be_request(prefix))
            }
        }
    }
}

#[cfg(test)]
mod tests;
