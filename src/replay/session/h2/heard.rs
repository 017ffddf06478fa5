//! What v2 sends on a connection of HTTP/2, frame by frame, and what breaks the protocol.

use crate::limits;
use crate::outcome::{Failure, FailureKind};
use crate::replay::session::Heard;
use crate::replay::session::h2::rules::{
    ENABLE_PUSH, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, LARGEST_FRAME, LARGEST_WINDOW,
    MAX_FRAME_SIZE, WINDOW,
};
use crate::replay::session::h2::stream::{BegunStream, Lies, malformed};
use crate::replay::session::h2::streams::{CANCEL, Core};
use crate::wire::h2::frame::{
    self, FrameHead, FrameReader, PROTOCOL_ERROR, Piece, REFUSED_STREAM, error_name, flag,
    headers_fragment, kind,
};
use crate::wire::h2::hpack::{Decoder, HeaderBlock};
use crate::wire::h2::message::{Is, kind_of, status_of};

/// A setting (RFC 9113 §6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// What HTTP/1 begins its answers with.
const HTTP_1: &[u8] = b"HTTP/";

/// How many streams that v2 ended are known as such.
const ENDED_STREAMS: usize = 64;

/// Whether an answer of HTTP/1 begins so, or the page that stands alone where a server takes the
/// preface for a request of HTTP/0.9. No frame begins with such octets: it would be too long.
fn is_of_one(input: &[u8]) -> bool {
    input.starts_with(HTTP_1) || input.first() == Some(&b'<')
}

/// Why a connection is of no use any more.
type Breach = String;

/// Reads what v2 sends.
pub(super) struct Incoming {
    reader: FrameReader<i64>,
    decoder: Decoder,
    /// A header block that is not whole: its stream, whether that ends with it, and how many frames
    /// it had so far.
    open: Option<(u32, bool, usize)>,
    fragments: Vec<u8>,
    /// v2's settings came (RFC 9113 §3.4).
    settled: bool,
    /// Largest payload of a frame.
    frame: usize,
    /// Frames since the last that brought an answer on.
    idle: u32,
}

impl Incoming {
    pub(super) fn new(frame: usize) -> Self {
        Self {
            // Content goes on as it comes, whatever its frames are; other frames are held whole.
            reader: FrameReader::new(frame.min(limits::HEAD_BYTES)),
            decoder: Decoder::default(),
            open: None,
            fragments: Vec::new(),
            settled: false,
            frame,
            idle: 0,
        }
    }

    /// Takes octets from the front of `input`, up to the end of the next frame or of a part of its
    /// content; `false` where there is none.
    pub(super) fn take(&mut self, input: &mut &[u8], core: &mut Core) -> Result<bool, Breach> {
        if !self.settled && is_of_one(input) {
            core.heard.push_back(Heard::SpeaksOne);
            *input = &[];
            return Ok(true);
        }
        let Self { reader, decoder, open, fragments, settled, frame, idle } = self;
        let all = *input;
        let step = reader.step(all, core.now);
        *input = &all[step.used..];
        let Some(piece) = step.piece else {
            return match reader.length() {
                Some(length) if length as usize > *frame => Err(too_long(length, *frame)),
                _ if reader.is_lost() => Err("what came is no frame".to_owned()),
                _ => Ok(false),
            };
        };
        let (Piece::Frame(head, _)
        | Piece::Data(head, _)
        | Piece::DataEnd(head)
        | Piece::TooLong(head)) = piece;
        if !std::mem::replace(settled, true) && head.kind != kind::SETTINGS {
            return Err("v2 did not begin with its settings".to_owned());
        }
        if head.length as usize > *frame {
            return Err(too_long(head.length, *frame));
        }
        *idle = if std::mem::take(&mut core.moves) { 0 } else { *idle + 1 };
        if *idle > limits::IDLE_FRAMES {
            return Err("frames without end that bring no answer on".to_owned());
        }
        match piece {
            Piece::Data(head, content) if open.is_none() => {
                *idle = 0;
                core.content(head, content)
            }
            Piece::DataEnd(head) if open.is_none() => core.content_ends(head),
            Piece::Frame(head, payload) => {
                ControlFrames { decoder, open, fragments, idle }.frame(head, payload, core)
            }
            Piece::TooLong(head) => Err(too_long(head.length, limits::HEAD_BYTES)),
            _ => Err("another frame stands inside a header block".to_owned()),
        }?;
        Ok(true)
    }
}

fn too_long(length: u32, most: usize) -> Breach {
    format!("a frame of {length} bytes, where {most} are allowed")
}

/// Frames that are not content.
struct ControlFrames<'i> {
    decoder: &'i mut Decoder,
    open: &'i mut Option<(u32, bool, usize)>,
    fragments: &'i mut Vec<u8>,
    idle: &'i mut u32,
}

impl ControlFrames<'_> {
    fn frame(self, head: FrameHead, payload: &[u8], core: &mut Core) -> Result<(), Breach> {
        match (*self.open, head.kind) {
            (Some((stream, ..)), kind::CONTINUATION) if stream == head.stream => {
                self.fragment(head, payload, core)
            }
            (Some(_), _) => Err("another frame stands inside a header block".to_owned()),
            (None, kind::HEADERS) => {
                let fragment = headers_fragment(head, payload).ok_or("a HEADERS frame is cut")?;
                *self.open = Some((head.stream, head.ends_stream(), 0));
                self.fragments.clear();
                self.fragment(head, fragment, core)
            }
            (None, kind::CONTINUATION) => Err("CONTINUATION without a header block".to_owned()),
            (None, kind::SETTINGS) => core.settings(head, payload),
            (None, kind::PING) => core.ping(head, payload),
            (None, kind::WINDOW_UPDATE) => core.window_update(head, payload),
            (None, kind::RST_STREAM) => core.is_reset(head, payload),
            (None, kind::GOAWAY) => core.go_away(payload),
            (None, kind::PUSH_PROMISE) => Err("a push that was not allowed".to_owned()),
            // Priorities, and what this version of the protocol does not know (RFC 9113 §5.5).
            (None, _) => Ok(()),
        }
    }

    /// A part of a header block.
    fn fragment(self, head: FrameHead, part: &[u8], core: &mut Core) -> Result<(), Breach> {
        let Some((stream, ends, frames)) = *self.open else { return Ok(()) };
        if self.fragments.len() + part.len() > limits::HEAD_BYTES || frames > limits::CONTINUATIONS
        {
            return Err("a header block without end".to_owned());
        }
        self.fragments.extend_from_slice(part);
        *self.open = Some((stream, ends, frames + 1));
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        *self.open = None;
        let block = self.decoder.decode(self.fragments);
        let block =
            block.map_err(|why| format!("a header block that cannot be read: {}", why.name()))?;
        if block.left_out > 0 {
            return Err(format!("a header block with {} fields too many", block.left_out));
        }
        if core.streams.contains_key(&stream) {
            *self.idle = 0;
        }
        core.block(stream, block, ends)
    }
}

impl Core {
    /// A stream that somebody began, and that is perhaps over.
    fn begun(&self, stream: u32) -> Result<(), Breach> {
        if stream.is_multiple_of(2) || stream >= self.next {
            return Err(format!("a frame on stream {stream}, which nobody began"));
        }
        Ok(())
    }

    /// A stream on which something may be said: begun, and not ended by v2.
    fn known(&self, stream: u32) -> Result<(), Breach> {
        self.begun(stream)?;
        if self.over.contains(&stream) {
            return Err(format!("a frame on stream {stream}, which v2 had ended"));
        }
        Ok(())
    }

    fn content(&mut self, head: FrameHead, content: &[u8]) -> Result<(), Breach> {
        self.known(head.stream)?;
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&head.stream) else { return Ok(()) };
        if !stream.is_headed() {
            return self.lies(head.stream, "content before a head");
        }
        stream.push(content, now);
        self.enqueue(head.stream);
        self.register(head.stream);
        Ok(())
    }

    /// A frame of content is over: with its padding it counts against the windows.
    fn content_ends(&mut self, head: FrameHead) -> Result<(), Breach> {
        self.known(head.stream)?;
        let length = i64::from(head.length);
        self.allowed -= length;
        if self.allowed < 0 {
            return Err("more content than the connection's window allows".to_owned());
        }
        self.unreturned += head.length;
        let all = i64::from(self.rules.more) + WINDOW;
        if i64::from(self.unreturned) * 2 >= all {
            let more = std::mem::take(&mut self.unreturned);
            self.allowed += i64::from(more);
            self.out.window_update(0, more);
            self.goes = true;
        }
        let Some(stream) = self.streams.get_mut(&head.stream) else { return Ok(()) };
        stream.allowed -= length;
        stream.unreturned += head.length;
        if stream.allowed < 0 {
            return Err("more content than a stream's window allows".to_owned());
        }
        if head.ends_stream() {
            return self.whole(head.stream);
        }
        if i64::from(stream.unreturned) * 2 >= i64::from(self.rules.window) {
            let more = std::mem::take(&mut stream.unreturned);
            stream.allowed += i64::from(more);
            self.out.window_update(head.stream, more);
            self.goes = true;
        }
        Ok(())
    }

    /// A header block: an interim answer, the head of one, or its trailers.
    fn block(&mut self, number: u32, block: HeaderBlock, ends: bool) -> Result<(), Breach> {
        self.known(number)?;
        let (now, most) = (self.now, self.rules.max_body);
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        // What was read before the request was sent answers another question.
        if stream.request.sent > self.read_at {
            return Err(format!("an answer on stream {number}, before its request was sent"));
        }
        let kind = kind_of(&block.fields);
        if matches!(kind, Is::Response)
            && let Some(lies) = malformed(&block.fields)
        {
            return self.lies(number, lies);
        }
        let status = status_of(&block.fields);
        let lies: Lies = match (kind, status) {
            (Is::Response, Some(status @ 100..200)) if !stream.is_headed() && !ends => {
                stream.interim(status);
                let flooded = stream.is_flooded();
                flooded.then_some("interim answers without end")
            }
            (Is::Response, Some(200..)) if !stream.is_headed() => {
                let status = status.unwrap_or_default();
                stream.open(block, status, now, most)
            }
            (Is::Trailers, _) if stream.is_headed() && ends => {
                stream.close_with(block, now);
                None
            }
            (Is::Trailers, _) if stream.is_headed() => Some("trailers that do not end it"),
            (Is::Response, _) if stream.is_headed() => Some("a second head"),
            _ => Some("a head without a status"),
        };
        if let Some(lies) = lies {
            return self.lies(number, lies);
        }
        self.enqueue(number);
        self.register(number);
        if ends { self.whole(number) } else { Ok(()) }
    }

    /// An answer came to its end.
    fn whole(&mut self, number: u32) -> Result<(), Breach> {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        if !stream.is_headed() {
            return self.lies(number, "it ended before it began");
        }
        if let Some(lies) = stream.end(now) {
            return self.lies(number, lies);
        }
        let early = !stream.ended;
        let stream = if early { self.reset(number, CANCEL) } else { self.remove(number) };
        if let Some(stream) = stream {
            self.served += 1;
            if !early {
                self.ended(number);
            }
            self.answer(stream.whole(), early);
        }
        Ok(())
    }

    /// Nothing comes on a stream that v2 ended itself (RFC 9113 §5.1); the last ones are known.
    fn ended(&mut self, number: u32) {
        if self.over.len() == ENDED_STREAMS {
            self.over.pop_front();
        }
        self.over.push_back(number);
    }

    /// An answer that is none (RFC 9113 §8.1.1): its stream fails, and no other.
    fn lies(&mut self, number: u32, what: &str) -> Result<(), Breach> {
        if let Some(stream) = self.reset(number, PROTOCOL_ERROR) {
            let failure =
                Failure::new(FailureKind::Protocol, format!("the answer is none: {what}"));
            self.answer(stream.failed(failure, None), false);
        }
        Ok(())
    }

    fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Breach> {
        if head.has(flag::ACK) {
            return Ok(());
        }
        for (name, value) in frame::settings(payload) {
            match name {
                HEADER_TABLE_SIZE => self.encoder.allow(value as usize),
                ENABLE_PUSH if value > 0 => return Err("v2 allows pushes to itself".to_owned()),
                MAX_CONCURRENT_STREAMS => self.peer.streams = value,
                INITIAL_WINDOW_SIZE => self.initial_window(value)?,
                MAX_FRAME_SIZE if !(frame::PAYLOAD as u32..=LARGEST_FRAME).contains(&value) => {
                    return Err(format!("a largest frame of {value} bytes"));
                }
                // Larger ones are allowed, and would keep others waiting.
                _ => {}
            }
        }
        self.out.acknowledge(kind::SETTINGS, &[]);
        self.goes = true;
        self.mind_room();
        self.is_heard()
    }

    /// Streams under way get the difference (RFC 9113 §6.9.2).
    fn initial_window(&mut self, value: u32) -> Result<(), Breach> {
        let value = i64::from(value);
        if value > LARGEST_WINDOW {
            return Err("a window beyond all bounds".to_owned());
        }
        let more = value - std::mem::replace(&mut self.peer.initial, value);
        if more == 0 {
            return Ok(());
        }
        let numbers: Vec<u32> = self.streams.keys().copied().collect();
        for number in numbers {
            if let Some(stream) = self.streams.get_mut(&number) {
                stream.window += more;
                if stream.window > LARGEST_WINDOW {
                    return Err("a window beyond all bounds".to_owned());
                }
            }
            self.enqueue(number);
        }
        Ok(())
    }

    fn ping(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Breach> {
        if !head.has(flag::ACK) {
            self.out.acknowledge(kind::PING, payload);
            self.goes = true;
        }
        self.is_heard()
    }

    /// v2 takes what it asks for: answers to its frames do not pile up.
    fn is_heard(&self) -> Result<(), Breach> {
        if self.out.left() > limits::UNREAD_BYTES {
            return Err("v2 asks and does not read the answers".to_owned());
        }
        Ok(())
    }

    fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Breach> {
        let more = i64::from(frame::number(payload).unwrap_or_default() & (u32::MAX >> 1));
        if head.stream == 0 {
            self.peer.window += more;
            if more == 0 || self.peer.window > LARGEST_WINDOW {
                return Err("a window beyond all bounds".to_owned());
            }
            self.goes |= !self.queue.is_empty();
            return Ok(());
        }
        // Behind the end of a stream, too, windows and resets are no fault (RFC 9113 §5.1).
        self.begun(head.stream)?;
        let Some(stream) = self.streams.get_mut(&head.stream) else { return Ok(()) };
        stream.window += more;
        if more == 0 || stream.window > LARGEST_WINDOW {
            return self.lies(head.stream, "a window beyond all bounds");
        }
        self.enqueue(head.stream);
        Ok(())
    }

    fn is_reset(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Breach> {
        self.begun(head.stream)?;
        let code = frame::number(payload).unwrap_or_default();
        let now = self.now;
        let Some(stream) = self.remove(head.stream) else { return Ok(()) };
        if code == REFUSED_STREAM && !stream.is_headed() {
            self.refused(vec![stream], 1);
        } else {
            self.answer(stream.reset(code, error_name(code), now), false);
        }
        Ok(())
    }

    /// v2 takes no further requests here, and did not look at those above the last it names.
    fn go_away(&mut self, payload: &[u8]) -> Result<(), Breach> {
        let last = frame::number(payload).unwrap_or_default() & (u32::MAX >> 1);
        self.closing = true;
        self.goes = true;
        let above: Vec<u32> =
            self.streams.range(last.saturating_add(1)..).map(|(number, _)| *number).collect();
        let refused: Vec<BegunStream> =
            above.into_iter().filter_map(|number| self.remove(number)).collect();
        self.refused(refused, 2);
        Ok(())
    }

    /// v2 did not look at these: they may go again, so many times.
    fn refused(&mut self, streams: Vec<BegunStream>, times: u8) {
        if !streams.is_empty() {
            let requests = streams.into_iter().map(|stream| stream.request).collect();
            self.heard.push_back(Heard::Refused { requests, times });
        }
    }
}
