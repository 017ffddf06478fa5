//! One direction of an HTTP/2 connection: frames put together to header blocks, contents, resets;
//! and what is known to be missing.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::limits;
use crate::wire::conversation::PacketMark;
use crate::wire::h2::frame::{
    self, FrameHead, FrameReader, Piece, ReadStep, flag, headers_fragment, kind, push_fragment,
};
use crate::wire::h2::hpack::{BlockError, Decoder, HeaderBlock};
use crate::wire::h2::search::{self, Search};

/// What a direction says of its streams.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// A header block; where it stands in PUSH_PROMISE, with the stream that it promises.
    Block { stream: u32, promised: Option<u32>, block: HeaderBlock, ends: bool, first: PacketMark },
    /// A header block that cannot be read.
    BadBlock { stream: u32, why: &'static str, ends: bool },
    /// Content.
    Data { stream: u32, content: &'a [u8] },
    /// Content that is missing.
    Hole { stream: u32, bytes: u64 },
    /// The direction's part of a stream is over.
    End { stream: u32 },
    /// The stream was reset with this code.
    Reset { stream: u32, code: u32 },
    /// Streams of the other side above this one were not looked at.
    GoAway { last: u32, code: u32 },
    /// Settings, but no acknowledgement of such.
    Settings { payload: &'a [u8] },
    /// The window of the connection is larger by so much.
    Window { more: u32 },
    /// One of these cannot be read.
    Unannounced,
    /// Any frames may be missing.
    Lost,
}

/// Where events go, with the mark of the slice that completed them.
pub(super) type To<'a> = &'a mut dyn FnMut(Event<'_>, PacketMark);

/// Where a header block goes that is not whole.
#[derive(Debug)]
struct Opening {
    stream: u32,
    promised: Option<u32>,
    ends: bool,
    first: PacketMark,
    /// CONTINUATION frames.
    more: usize,
}

/// Reads one direction.
#[derive(Debug)]
pub(super) struct H2Side {
    reader: FrameReader<PacketMark>,
    search: Search<PacketMark>,
    decoder: Decoder,
    opening: Option<Opening>,
    fragments: Vec<u8>,
    /// A frame's time is that of its last slice, not of its first.
    by_last: bool,
    /// Bytes and gaps that were given.
    position: u64,
}

impl H2Side {
    pub(super) fn new(joined: bool, most_bytes: usize, most_fields: usize) -> Self {
        let mut side = Self {
            reader: FrameReader::new(limits::HEAD_BYTES),
            search: Search::default(),
            decoder: Decoder::new(most_bytes, most_fields),
            opening: None,
            fragments: Vec::new(),
            by_last: false,
            position: 0,
        };
        if joined {
            side.reader.joined();
            side.decoder.lost();
        }
        side
    }

    /// Tells times of frames by their last slices.
    pub(super) fn tell_by_last(&mut self) {
        self.by_last = true;
    }

    /// The offset behind what was given.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn held(&self) -> usize {
        self.reader.held() + self.search.held() + self.fragments.len() + self.decoder.held()
    }

    /// Bytes that belonged to no frame.
    pub(super) fn skipped(&self) -> u64 {
        self.search.skipped()
    }

    /// Whether it began as only clients do.
    pub(super) fn is_client(&self) -> bool {
        self.reader.has_preface()
    }

    /// The next bytes.
    pub(super) fn feed(&mut self, payload: &[u8], mark: PacketMark, to: To<'_>) {
        self.position += payload.len() as u64;
        self.read(payload, mark, to);
    }

    fn read(&mut self, payload: &[u8], mark: PacketMark, to: To<'_>) {
        let mut rest = payload;
        if !self.reader.is_lost() {
            rest = self.frames(rest, mark, to);
        }
        if rest.is_empty() {
            return;
        }
        let mut todo = VecDeque::from([(Cow::Borrowed(rest), mark)]);
        while let Some((slice, mark)) = todo.pop_front() {
            let mut rest = &slice[..];
            while !rest.is_empty() {
                if !self.reader.is_lost() {
                    rest = self.frames(rest, mark, to);
                    continue;
                }
                let at = if self.search.held() == 0 { search::find(rest) } else { None };
                if let Some(at) = at {
                    self.search.skip(at);
                    rest = &rest[at..];
                    self.reader.resume();
                    continue;
                }
                if let Some(found) = self.search.push(rest, mark) {
                    self.reader.resume();
                    found.into_iter().rev().for_each(|(octets, mark)| {
                        todo.push_front((Cow::Owned(octets), mark));
                    });
                }
                break;
            }
        }
    }

    /// Reads frames while they can be; gives what is left, of which the next is to be searched.
    fn frames<'a>(&mut self, mut rest: &'a [u8], mark: PacketMark, to: To<'_>) -> &'a [u8] {
        let Self { reader, decoder, opening, fragments, by_last, .. } = self;
        loop {
            let ReadStep { used, first, piece } = reader.step(rest, mark);
            rest = &rest[used..];
            match piece {
                None => break,
                Some(Piece::Data(head, content)) => {
                    to(Event::Data { stream: head.stream, content }, mark)
                }
                Some(Piece::DataEnd(head)) if head.ends_stream() => {
                    to(Event::End { stream: head.stream }, mark)
                }
                Some(Piece::DataEnd(_)) => {}
                Some(Piece::TooLong(head)) => {
                    lose_block(decoder, opening, head, "frame-limit", mark, to)
                }
                Some(Piece::Frame(head, payload)) => {
                    let first = if *by_last { mark } else { first };
                    HeaderBlocks { decoder, opening, fragments, first, mark }
                        .frame(head, payload, to)
                }
            }
        }
        if self.reader.is_lost() {
            // What comes is no frame.
            self.lose(mark, to);
        }
        rest
    }

    /// `n` bytes are missing here.
    pub(super) fn gap(&mut self, n: u64, mark: PacketMark, to: To<'_>) {
        self.position += n;
        if self.reader.is_lost() {
            self.search.gap();
            return;
        }
        let loss = self.reader.gap(n);
        if let Some(head) = loss.frame {
            match head.kind {
                kind::DATA => to(Event::Hole { stream: head.stream, bytes: loss.content }, mark),
                kind::RST_STREAM => to(Event::Reset { stream: head.stream, code: u32::MAX }, mark),
                kind::SETTINGS => to(Event::Unannounced, mark),
                kind::WINDOW_UPDATE if head.stream == 0 => to(Event::Unannounced, mark),
                _ => {
                    let (decoder, opening) = (&mut self.decoder, &mut self.opening);
                    lose_block(decoder, opening, head, "bytes-missing", mark, to);
                }
            }
        }
        if loss.frames {
            self.lose(mark, to);
        } else {
            self.frames(&[], mark, to);
        }
    }

    /// Frames are missing: blocks among them, so nothing is known of the table.
    fn lose(&mut self, mark: PacketMark, to: To<'_>) {
        self.decoder.lost();
        self.opening = None;
        self.fragments.clear();
        to(Event::Lost, mark);
    }
}

/// A frame with a part of a header block is lost.
fn lose_block(
    decoder: &mut Decoder,
    opening: &mut Option<Opening>,
    head: FrameHead,
    why: &'static str,
    mark: PacketMark,
    to: To<'_>,
) {
    if !head.has_block() {
        return;
    }
    decoder.lost();
    let ends = opening.take().map_or(head.ends_stream(), |open| open.ends);
    to(Event::BadBlock { stream: head.stream, why, ends }, mark);
}

/// Header blocks of one direction.
struct HeaderBlocks<'s> {
    decoder: &'s mut Decoder,
    opening: &'s mut Option<Opening>,
    fragments: &'s mut Vec<u8>,
    /// The packet in which the frame under way began.
    first: PacketMark,
    /// The packet that completed it.
    mark: PacketMark,
}

impl HeaderBlocks<'_> {
    fn frame(&mut self, head: FrameHead, payload: &[u8], to: To<'_>) {
        if let Some(opening) = self.opening.take() {
            if head.kind == kind::CONTINUATION && head.stream == opening.stream {
                return self.continuation(opening, head, payload, to);
            }
            // Nothing may stand inside a block (RFC 9113 §6.10).
            self.bad(opening, "block-interrupted", to);
        }
        match head.kind {
            kind::HEADERS => match headers_fragment(head, payload) {
                Some(fragment) => self.open(head, None, fragment, to),
                None => self.bad_frame(head, to),
            },
            kind::PUSH_PROMISE => match push_fragment(head, payload) {
                Some((promised, fragment)) => self.open(head, Some(promised), fragment, to),
                None => self.bad_frame(head, to),
            },
            kind::CONTINUATION => self.bad_frame(head, to),
            kind::RST_STREAM => {
                let code = frame::number(payload).unwrap_or_default();
                to(Event::Reset { stream: head.stream, code }, self.mark);
            }
            kind::GOAWAY => {
                let last = frame::number(payload).unwrap_or_default() & (u32::MAX >> 1);
                let code = frame::number(&payload[4..]).unwrap_or_default();
                to(Event::GoAway { last, code }, self.mark);
            }
            kind::SETTINGS if !head.has(flag::ACK) => to(Event::Settings { payload }, self.mark),
            kind::WINDOW_UPDATE if head.stream == 0 => {
                let more = frame::number(payload).unwrap_or_default() & (u32::MAX >> 1);
                to(Event::Window { more }, self.mark);
            }
            _ => {}
        }
    }

    fn open(&mut self, head: FrameHead, promised: Option<u32>, fragment: &[u8], to: To<'_>) {
        let (stream, ends) = (head.stream, head.ends_stream());
        let opening = Opening { stream, promised, ends, first: self.first, more: 0 };
        if head.has(flag::END_HEADERS) {
            let read = self.decoder.decode(fragment);
            return give(opening, read, self.mark, to);
        }
        self.fragments.clear();
        self.fragments.extend_from_slice(fragment);
        *self.opening = Some(opening);
    }

    fn continuation(&mut self, mut opening: Opening, head: FrameHead, payload: &[u8], to: To<'_>) {
        opening.more += 1;
        if self.fragments.len() + payload.len() > limits::HEAD_BYTES
            || opening.more > limits::CONTINUATIONS
        {
            return self.bad(opening, "head-limit", to);
        }
        self.fragments.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            let read = self.decoder.decode(self.fragments);
            self.fragments.clear();
            give(opening, read, self.mark, to);
        } else {
            *self.opening = Some(opening);
        }
    }

    fn bad_frame(&mut self, head: FrameHead, to: To<'_>) {
        let (stream, ends) = (head.stream, head.ends_stream());
        let opening = Opening { stream, promised: None, ends, first: self.first, more: 0 };
        self.bad(opening, "bad-block", to);
    }

    fn bad(&mut self, opening: Opening, why: &'static str, to: To<'_>) {
        self.decoder.lost();
        self.fragments.clear();
        let Opening { stream, ends, .. } = opening;
        to(Event::BadBlock { stream, why, ends }, self.mark);
    }
}

fn give(opening: Opening, read: Result<HeaderBlock, BlockError>, mark: PacketMark, to: To<'_>) {
    let Opening { stream, promised, ends, first, .. } = opening;
    match read {
        Ok(block) => to(Event::Block { stream, promised, block, ends, first }, mark),
        Err(error) => to(Event::BadBlock { stream, why: error.name(), ends }, mark),
    }
}
