//! Messages of a WebSocket (RFC 6455) behind the answer that opened it: frames in any cut,
//! fragments joined, compression undone (RFC 7692), with the time of each message.
//!
//! What is missing is told, and never made up: behind bytes that were lost inside a frame the
//! messages go on; where a frame's head is lost, or what earlier messages left in the window of a
//! compressed one, the rest of that direction is counted only.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use crate::exchange::{SocketKind, SocketMessage};
use crate::flow::Direction;
use crate::limits;
use crate::message::Body;
use crate::time::Timestamp;

/// Reads both directions.
#[derive(Debug)]
pub(crate) struct WebSocket {
    sides: [SocketSide; 2],
    messages: Vec<(Direction, Timestamp, SocketKind, Body)>,
    /// Most bytes that are kept of a message.
    most: usize,
    /// How many messages there were, and their bytes.
    count: usize,
    kept: usize,
    /// Messages that were not kept.
    left_out: u64,
}

/// Longest message that is read of who is held to the rules: more is not kept of a whole session.
const LONGEST: u64 = limits::SOCKET_BYTES as u64;

/// What a WebSocket said.
#[derive(Debug)]
pub(crate) struct Said {
    /// In the order in which they ended.
    pub(crate) messages: Vec<SocketMessage>,
    /// What is missing.
    pub(crate) marks: Vec<String>,
}

#[derive(Debug)]
struct SocketSide {
    direction: Direction,
    state: SocketState,
    /// A frame's head of which some bytes have come.
    head: Vec<u8>,
    frame: SocketFrame,
    /// The message under way, and a control frame that may stand inside it.
    message: SocketGather,
    control: SocketGather,
    inflate: Option<Inflate>,
    /// Messages of which bytes are missing, or that cannot be read.
    damaged: u64,
    /// Bytes that were not read.
    unread: u64,
    /// Bytes that are missing between messages.
    missing: u64,
    /// It is held to all rules: nothing is lost on the way from it.
    is_strict: bool,
    /// The first rule that it broke.
    fault: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketState {
    Head,
    Payload,
    /// Where the next frame begins is not known.
    Lost,
}

/// The frame under way.
#[derive(Clone, Copy, Debug, Default)]
struct SocketFrame {
    ends: bool,
    code: u8,
    left: u64,
    /// The key, and how many bytes it was put over.
    mask: Option<[u8; 4]>,
    masked: usize,
}

/// A message under way.
#[derive(Debug, Default)]
struct SocketGather {
    kind: Option<SocketKind>,
    compressed: bool,
    bytes: Vec<u8>,
    length: u64,
    damaged: bool,
}

/// Undoes the compression of one direction.
#[derive(Debug)]
struct Inflate {
    /// None where bytes of the window are missing.
    stream: Option<Decompress>,
    /// Each message is compressed by itself.
    alone: bool,
}

impl WebSocket {
    /// Behind an answer with this `Sec-WebSocket-Extensions`. Of a message as much is kept as
    /// `most` bytes.
    pub(crate) fn new(extensions: Option<&[u8]>, most: usize) -> Self {
        let extensions = extensions.map(String::from_utf8_lossy).unwrap_or_default();
        let agreed = extensions.split(',').find_map(|extension| {
            let mut parts = extension.split(';').map(str::trim);
            let name = parts.next()?;
            name.eq_ignore_ascii_case("permessage-deflate").then(|| parts.collect::<Vec<_>>())
        });
        let side = |direction, parameter: &str| SocketSide {
            direction,
            state: SocketState::Head,
            head: Vec::new(),
            frame: SocketFrame::default(),
            message: SocketGather::default(),
            control: SocketGather::default(),
            inflate: agreed.as_ref().map(|parameters| Inflate {
                stream: Some(Decompress::new(false)),
                alone: parameters.iter().any(|name| name.eq_ignore_ascii_case(parameter)),
            }),
            damaged: 0,
            unread: 0,
            missing: 0,
            is_strict: false,
            fault: None,
        };
        Self {
            sides: [
                side(Direction::ToServer, "client_no_context_takeover"),
                side(Direction::ToClient, "server_no_context_takeover"),
            ],
            messages: Vec::new(),
            most,
            count: 0,
            kept: 0,
            left_out: 0,
        }
    }

    /// The same, for what a server says to us: it is held to all rules, and [`Self::fault`] tells
    /// the first one that it breaks.
    pub(crate) fn of_server(extensions: Option<&[u8]>, most: usize) -> Self {
        let mut socket = Self::new(extensions, most);
        socket.sides[Direction::ToClient as usize].is_strict = true;
        socket
    }

    /// What was said since it was asked last, in the order in which it ended.
    pub(crate) fn take_heard(&mut self) -> Vec<(Direction, Timestamp, SocketKind, Body)> {
        std::mem::take(&mut self.messages)
    }

    /// Which rule the server broke.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let more = (self.left_out > 0).then_some("more messages than are kept of a session");
        self.sides[Direction::ToClient as usize].fault.or(more)
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.kept + self.sides.iter().map(|side| side.message.bytes.capacity()).sum::<usize>()
    }

    /// Bytes that were not read.
    pub(crate) fn unread(&self) -> u64 {
        self.sides.iter().map(|side| side.unread).sum()
    }

    /// The next bytes of a direction.
    pub(crate) fn bytes(&mut self, direction: Direction, mut payload: &[u8], at: Timestamp) {
        let Self { sides, messages, most, count, kept, left_out } = self;
        let side = &mut sides[direction as usize];
        while let Some((kind, body)) = side.next(&mut payload, *most) {
            let size = body.bytes.len() + 64;
            if *count >= limits::SOCKET_MESSAGES || *kept + size > limits::SOCKET_BYTES {
                *left_out += 1;
                continue;
            }
            (*count, *kept) = (*count + 1, *kept + size);
            messages.push((direction, at, kind, body));
        }
    }

    /// `n` bytes of a direction are missing here.
    pub(crate) fn gap(&mut self, direction: Direction, n: u64) {
        self.sides[direction as usize].gap(n);
    }

    /// All that was said, with times since `start`.
    pub(crate) fn finish(self, start: Timestamp) -> Said {
        let mut marks = Vec::new();
        for side in &self.sides {
            let who = match side.direction {
                Direction::ToServer => "client",
                Direction::ToClient => "server",
            };
            // What ends inside a message.
            let under_way = side.message.kind.is_some()
                || side.state == SocketState::Payload
                || !side.head.is_empty();
            let damaged = side.damaged + u64::from(under_way);
            if damaged > 0 {
                marks.push(format!("websocket: {damaged} messages of the {who} damaged"));
            }
            if side.missing > 0 {
                marks.push(format!("websocket: gap of {} bytes of the {who}", side.missing));
            }
            if side.unread > 0 {
                marks.push(format!("websocket: {} bytes of the {who} not read", side.unread));
            }
        }
        if self.left_out > 0 {
            marks.push(format!("websocket: {} messages were not kept", self.left_out));
        }
        let message = |(direction, at, kind, data): (Direction, Timestamp, SocketKind, Body)| {
            SocketMessage { direction, at_ns: at.since(start), kind, data }
        };
        Said { messages: self.messages.into_iter().map(message).collect(), marks }
    }
}

impl SocketSide {
    /// Reads up to the end of the next message or control frame.
    fn next(&mut self, payload: &mut &[u8], most: usize) -> Option<(SocketKind, Body)> {
        loop {
            match self.state {
                SocketState::Lost => {
                    self.unread += payload.len() as u64;
                    *payload = &[];
                    return None;
                }
                SocketState::Head => {
                    if !self.read_head(payload) {
                        return None;
                    }
                }
                SocketState::Payload => {
                    let taken = self.frame.left.min(payload.len() as u64) as usize;
                    let (content, rest) = payload.split_at(taken);
                    *payload = rest;
                    self.take(content, most);
                    if self.frame.left > 0 {
                        return None;
                    }
                    self.state = SocketState::Head;
                    if let Some(message) = self.end(most) {
                        return Some(message);
                    }
                }
            }
        }
    }

    /// Reads a frame's head (RFC 6455 §5.2); whether it is whole.
    fn read_head(&mut self, payload: &mut &[u8]) -> bool {
        loop {
            let wanted = match self.head[..] {
                [] | [_] => 2,
                [_, second, ..] => {
                    let length = match second & 0x7f {
                        126 => 2,
                        127 => 8,
                        _ => 0,
                    };
                    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
                }
            };
            if self.head.len() == wanted {
                break;
            }
            let Some((&byte, rest)) = payload.split_first() else { return false };
            *payload = rest;
            self.head.push(byte);
        }
        let head = std::mem::take(&mut self.head);
        let (code, masked) = (head[0] & 0x0f, head[1] & 0x80 != 0);
        let (numbers, key) = head[2..].split_at(head.len() - 2 - if masked { 4 } else { 0 });
        let number = numbers.iter().fold(0u64, |all, &byte| all << 8 | u64::from(byte));
        let left = if numbers.is_empty() { u64::from(head[1] & 0x7f) } else { number };
        let ends = head[0] & 0x80 != 0;
        let compressed = head[0] & 0x40 != 0;
        let known = matches!(code, 0..=2 | 8..=10) && head[0] & 0x30 == 0 && left >> 63 == 0;
        let control_is_short = code < 8 || ends && left <= 125;
        // The shortest form is a must.
        let shortest = match numbers.len() {
            2 => left >= 126,
            8 => left >= 1 << 16,
            _ => true,
        };
        let follows = (code == 0) == self.message.kind.is_some() || code >= 8;
        let is_server = self.direction == Direction::ToClient;
        // The first frame of a message tells that it is compressed (RFC 7692 §6).
        let later = matches!(code, 0 | 8..);
        let told = if code >= 8 { left } else { self.message.length.saturating_add(left) };
        let fault = match () {
            () if left >> 63 != 0 => Some("a length of more than 63 bits"),
            () if !known && head[0] & 0x30 != 0 => Some("reserved bits that nobody agreed on"),
            () if !known => Some("a frame of a kind that is not known"),
            () if !control_is_short => Some("a control frame in parts or of more than 125 bytes"),
            () if !shortest => Some("a length that is not in its shortest form"),
            () if !follows => Some("a fragment out of its order"),
            () if compressed && (self.inflate.is_none() || later && self.is_strict) => {
                Some("a compressed frame where nobody agreed on that")
            }
            () if self.is_strict && is_server && masked => Some("a masked frame of a server"),
            () if self.is_strict && told > LONGEST => Some("a message of more than 32 MiB"),
            () => None,
        };
        if let Some(fault) = fault {
            self.lose(fault);
            return true;
        }
        self.frame = SocketFrame { ends, code, left, mask: key.first_chunk().copied(), masked: 0 };
        match code {
            0 => {}
            1 | 2 => {
                let kind = if code == 1 { SocketKind::Text } else { SocketKind::Binary };
                self.message =
                    SocketGather { kind: Some(kind), compressed, ..SocketGather::default() };
            }
            _ => self.control = SocketGather::default(),
        }
        self.state = SocketState::Payload;
        true
    }

    fn gather(&mut self) -> &mut SocketGather {
        if self.frame.code >= 8 { &mut self.control } else { &mut self.message }
    }

    /// Content of the frame under way.
    fn take(&mut self, content: &[u8], most: usize) {
        let SocketFrame { mask, masked, .. } = self.frame;
        self.frame.left -= content.len() as u64;
        self.frame.masked = masked.wrapping_add(content.len());
        let gather = self.gather();
        gather.length += content.len() as u64;
        let most = if gather.compressed { limits::BODY_BYTES } else { most };
        let content = &content[..content.len().min(most.saturating_sub(gather.bytes.len()))];
        let start = gather.bytes.len();
        gather.bytes.extend_from_slice(content);
        if let Some(mask) = mask {
            let octets = gather.bytes[start..].iter_mut();
            octets.enumerate().for_each(|(place, octet)| *octet ^= mask[(masked + place) % 4]);
        }
    }

    /// The frame under way is over: gives the message that it ends.
    fn end(&mut self, most: usize) -> Option<(SocketKind, Body)> {
        let kind = match self.frame.code {
            8 => SocketKind::Close,
            9 => SocketKind::Ping,
            10 => SocketKind::Pong,
            _ if !self.frame.ends => return None,
            _ => self.message.kind.take()?,
        };
        let gather = std::mem::take(self.gather());
        if gather.damaged {
            self.damaged += 1;
            self.break_window();
            return None;
        }
        let body = if gather.compressed {
            self.inflate.as_mut().and_then(|inflate| inflate.undo(&gather, most)).map(Body::whole)
        } else {
            let SocketGather { bytes, length, .. } = gather;
            Some(Body { bytes: Bytes::from(bytes), length, sha256: None })
        };
        let fault = match &body {
            None => Some("compressed content that cannot be undone"),
            Some(body) if self.is_strict => broken(kind, body),
            Some(_) => None,
        };
        if body.is_none() {
            self.damaged += 1;
        }
        match fault {
            Some(fault) if self.is_strict => {
                self.lose(fault);
                None
            }
            _ => body.map(|body| (kind, body)),
        }
    }

    /// `n` bytes are missing.
    fn gap(&mut self, n: u64) {
        if self.state != SocketState::Payload || n > self.frame.left {
            self.missing += n;
            return self.lose("bytes are missing");
        }
        self.frame.left -= n;
        self.frame.masked = self.frame.masked.wrapping_add(n as usize);
        self.gather().damaged = true;
        if self.frame.left == 0 {
            self.state = SocketState::Head;
            self.end(0);
        }
    }

    fn lose(&mut self, fault: &'static str) {
        self.fault.get_or_insert(fault);
        self.damaged += u64::from(self.message.kind.is_some());
        self.message = SocketGather::default();
        self.state = SocketState::Lost;
    }

    /// What a compressed message may refer to is not known any more.
    fn break_window(&mut self) {
        if let Some(inflate) = &mut self.inflate
            && !inflate.alone
        {
            inflate.stream = None;
        }
    }
}

/// Which rule for its content a message breaks (RFC 6455 §5.5.1, §5.6, §7.4).
fn broken(kind: SocketKind, body: &Body) -> Option<&'static str> {
    let is_text = |bytes: &[u8], is_cut: bool| match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The cut may stand inside of a character.
        Err(error) => is_cut && error.error_len().is_none(),
    };
    match kind {
        SocketKind::Text if !is_text(&body.bytes, body.is_cut()) => Some("text that is not UTF-8"),
        SocketKind::Close => match body.bytes[..] {
            [] => None,
            [high, low, ref reason @ ..] => {
                let code = u16::from_be_bytes([high, low]);
                let is_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                match () {
                    () if !is_sent => Some("a close with a code that nobody may send"),
                    () if !is_text(reason, false) => Some("a reason that is not UTF-8"),
                    () => None,
                }
            }
            [_] => Some("a close with half a code"),
        },
        _ => None,
    }
}

impl Inflate {
    /// What a message says (RFC 7692 §7.2.2); none where that cannot be known or is longer than
    /// `most`.
    fn undo(&mut self, gather: &SocketGather, most: usize) -> Option<Vec<u8>> {
        let mut stream = self.stream.take()?;
        if gather.bytes.len() as u64 != gather.length {
            return None;
        }
        let mut out = Vec::with_capacity(gather.bytes.len().saturating_mul(2).min(1 << 16));
        for part in [&gather.bytes[..], &[0, 0, 0xff, 0xff]] {
            let mut rest = part;
            while !rest.is_empty() {
                out.reserve(1 << 10);
                let before = stream.total_in();
                let status = stream.decompress_vec(rest, &mut out, FlushDecompress::Sync).ok()?;
                let used = (stream.total_in() - before) as usize;
                rest = &rest[used..];
                let stuck = used == 0 && out.len() < out.capacity();
                if out.len() > most.max(1 << 10) || stuck {
                    return None;
                }
                if status == Status::StreamEnd {
                    // A last block inside the message: what follows begins anew.
                    stream.reset(false);
                }
            }
            while out.len() == out.capacity() {
                out.reserve(1 << 10);
                stream.decompress_vec(&[], &mut out, FlushDecompress::Sync).ok()?;
            }
        }
        if self.alone {
            stream.reset(false);
        }
        self.stream = Some(stream);
        Some(out)
    }
}

/// A message in one frame (RFC 6455 §5.2), not compressed; a client's has a mask (§5.3).
pub(crate) fn encode(out: &mut Vec<u8>, kind: SocketKind, payload: &[u8], mask: Option<[u8; 4]>) {
    let code = match kind {
        SocketKind::Text => 1,
        SocketKind::Binary => 2,
        SocketKind::Close => 8,
        SocketKind::Ping => 9,
        SocketKind::Pong => 10,
    };
    write_frame(out, 0x80 | code, payload, mask);
}

fn write_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        length @ ..126 => out.push(length as u8 | bit),
        length @ ..65_536 => {
            out.push(126 | bit);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127 | bit);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask.unwrap_or_default()[..mask.map_or(0, |_| 4)]);
    let key = mask.unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(place, octet)| octet ^ key[place % 4]));
}

/// A frame of any kind.
#[cfg(test)]
pub(crate) fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, first, payload, mask);
    out
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn said(socket: WebSocket) -> Vec<(Direction, &'static str, String)> {
        let said = socket.finish(Timestamp::default());
        said.messages
            .into_iter()
            .map(|message| {
                let text = String::from_utf8_lossy(&message.data.bytes).into_owned();
                (message.direction, message.kind.name(), text)
            })
            .collect()
    }

    const UP: Direction = Direction::ToServer;

    #[test]
    fn fragments_are_joined_in_any_cut_and_control_frames_stand_between() {
        let key = Some([1, 2, 3, 4]);
        let long = "x".repeat(300);
        let stream = [
            frame(0x01, b"Hel", key),
            frame(0x89, b"ping", key),
            frame(0x80, b"lo", key),
            frame(0x82, long.as_bytes(), None),
            frame(0x88, &[3, 232], key),
        ]
        .concat();
        for cut in [1, 2, 3, 7, 100, 1000] {
            let mut socket = WebSocket::new(None, 1 << 20);
            stream.chunks(cut).for_each(|part| socket.bytes(UP, part, Timestamp::default()));
            let messages = said(socket);
            let kinds: Vec<_> = messages.iter().map(|(_, kind, _)| *kind).collect();
            assert_eq!(kinds, ["ping", "text", "binary", "close"]);
            assert_eq!((&messages[1].2[..], &messages[2].2), ("Hello", &long));
        }
    }

    #[test]
    fn compressed_messages_refer_to_those_before_them() {
        let mut deflate = Compress::new(Compression::default(), false);
        let mut compressed = |text: &str| {
            let mut out = Vec::with_capacity(1 << 12);
            deflate.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).expect("room");
            out.truncate(out.len() - 4);
            frame(0xc1, &out, None)
        };
        let texts = ["a message that comes again", "a message that comes again", "b"];
        let frames = texts.map(&mut compressed);
        let mut socket = WebSocket::new(Some(b"permessage-deflate; foo=1"), 1 << 20);
        socket.bytes(UP, &frames.concat(), Timestamp::default());
        let read: Vec<_> = said(socket).into_iter().map(|(.., text)| text).collect();
        assert_eq!(read, texts);

        // Without the first one the second cannot be known, and is not made up.
        let mut socket = WebSocket::new(Some(b"permessage-deflate"), 1 << 20);
        socket.bytes(UP, &frames[0][..5], Timestamp::default());
        socket.gap(UP, frames[0].len() as u64 - 5);
        frames[1..].iter().for_each(|frame| socket.bytes(UP, frame, Timestamp::default()));
        socket.bytes(UP, &frame(0x81, b"plain", None), Timestamp::default());
        let said = socket.finish(Timestamp::default());
        assert_eq!(said.messages.len(), 1);
        assert_eq!(said.marks, ["websocket: 3 messages of the client damaged"]);
    }

    #[test]
    fn what_is_no_frame_ends_a_direction() {
        for bad in [&[0x83, 0][..], &[0x80, 0], &[0x09, 0], &[0x89, 126, 0, 1], &[0xc1, 0]] {
            let mut socket = WebSocket::new(None, 1 << 20);
            socket.bytes(UP, bad, Timestamp::default());
            socket.bytes(UP, &frame(0x81, b"later", None), Timestamp::default());
            socket.bytes(Direction::ToClient, &frame(0x81, b"down", None), Timestamp::default());
            assert_eq!(socket.unread(), 7, "{bad:x?}");
            assert_eq!(said(socket), [(Direction::ToClient, "text", "down".to_owned())]);
        }
    }

    #[test]
    fn who_is_held_to_the_rules_is_told_which_one_it_broke() {
        let text = |bytes: &[u8]| frame(0x81, bytes, None);
        let long = [&[0x82, 127][..], &(1_u64 << 40).to_be_bytes()].concat();
        for (bytes, fault) in [
            (frame(0x81, b"a", Some([1, 2, 3, 4])), "a masked frame of a server"),
            (frame(0xb1, b"a", None), "reserved bits that nobody agreed on"),
            (frame(0xc1, b"a", None), "a compressed frame where nobody agreed on that"),
            (frame(0x83, b"a", None), "a frame of a kind that is not known"),
            (frame(0x80, b"a", None), "a fragment out of its order"),
            (frame(0x09, b"a", None), "a control frame in parts or of more than 125 bytes"),
            (text(&[0xff]), "text that is not UTF-8"),
            (frame(0x88, &[3], None), "a close with half a code"),
            (frame(0x88, &[3, 237], None), "a close with a code that nobody may send"),
            (long, "a message of more than 32 MiB"),
        ] {
            let mut socket = WebSocket::of_server(None, 1 << 20);
            let all = [text(b"before"), bytes, text(b"behind")].concat();
            all.chunks(3).for_each(|part| {
                socket.bytes(Direction::ToClient, part, Timestamp::default());
            });
            assert_eq!(socket.fault(), Some(fault));
            assert_eq!(socket.take_heard().len(), 1, "{fault}");
        }
        let mut socket = WebSocket::of_server(Some(b"permessage-deflate"), 1 << 20);
        socket.bytes(Direction::ToClient, &frame(0xc1, b"\xff\xff", None), Timestamp::default());
        assert_eq!(socket.fault(), Some("compressed content that cannot be undone"));
        let mut socket = WebSocket::of_server(None, 1 << 20);
        for good in [text("\u{e9}".as_bytes()), frame(0x88, &[3, 232, b'x'], None)] {
            socket.bytes(Direction::ToClient, &good, Timestamp::default());
        }
        assert_eq!((socket.fault(), socket.take_heard().len()), (None, 2));
        // What was taken is not held any more, and counts all the same.
        for _ in 2..limits::SOCKET_MESSAGES {
            socket.bytes(Direction::ToClient, &frame(0x89, b"", None), Timestamp::default());
        }
        assert_eq!(
            (socket.fault(), socket.take_heard().len()),
            (None, limits::SOCKET_MESSAGES - 2)
        );
        socket.bytes(Direction::ToClient, &frame(0x8a, b"", None), Timestamp::default());
        assert_eq!(socket.fault(), Some("more messages than are kept of a session"));
    }

    #[test]
    fn what_is_encoded_is_read_back_as_the_message_that_it_was() {
        let mask = Some([9, 8, 7, 6]);
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            for kind in [SocketKind::Text, SocketKind::Binary] {
                let mut out = Vec::new();
                encode(&mut out, kind, &payload, mask);
                assert!(out[1] & 0x80 != 0, "a client masks");
                let mut socket = WebSocket::new(None, 1 << 20);
                socket.bytes(UP, &out, Timestamp::default());
                let (_, _, read, body) = &socket.take_heard()[0];
                assert_eq!((*read, &body.bytes[..]), (kind, &payload[..]));
            }
        }
    }
}
