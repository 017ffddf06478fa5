//! Frames (RFC 9113 §4): a reader that takes them in any cut and with bytes missing, and a writer.
//!
//! The reader owns no input and reads no clock, as the parser of HTTP/1. Contents of DATA are
//! handed on as they come, without padding; other frames when they are whole. Bytes that are
//! missing inside a frame are skipped exactly; where a frame's head is missing,
//! [`super::search::Search`] looks for the next one.

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Octets of a frame's head.
pub(super) const HEAD: usize = 9;
/// Largest payload that everybody takes (RFC 9113 §4.2).
pub const PAYLOAD: usize = 16_384;

/// Types of frames (RFC 9113 §6).
pub mod kind {
    #![expect(missing_docs, reason = "the names of the standard")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    #![expect(missing_docs, reason = "the names of the standard")]
    pub const END_STREAM: u8 = 0x01;
    pub const ACK: u8 = 0x01;
    pub const END_HEADERS: u8 = 0x04;
    pub const PADDED: u8 = 0x08;
    pub const PRIORITY: u8 = 0x20;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHead {
    /// Octets of its payload.
    pub length: u32,
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
    /// The bit that must not be set.
    pub(super) reserved: bool,
}

impl FrameHead {
    /// From its nine octets.
    pub fn read(octets: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *octets;
        let stream = u32::from_be_bytes(stream);
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: stream & (u32::MAX >> 1),
            reserved: stream >> 31 == 1,
        }
    }

    /// Whether a flag is set.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it ends its stream (RFC 9113 §5.1).
    pub const fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.has(flag::END_STREAM)
    }

    /// Whether it holds a part of a header block.
    pub const fn has_block(&self) -> bool {
        matches!(self.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION)
    }

    /// Whether a frame may look so (RFC 9113 §6), where it is known that one stands here.
    pub(super) const fn is_possible(&self) -> bool {
        use self::kind::*;
        let (length, on_stream) = (self.length, self.stream != 0);
        match self.kind {
            DATA | HEADERS | CONTINUATION => on_stream,
            PRIORITY => on_stream && length == 5,
            RST_STREAM => on_stream && length == 4,
            SETTINGS => !on_stream && length % 6 == 0,
            PUSH_PROMISE => on_stream && length >= 4,
            PING => !on_stream && length == 8,
            GOAWAY => !on_stream && length >= 8,
            WINDOW_UPDATE => length == 4,
            _ => true,
        }
    }
}

/// What a step gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole frame other than DATA, with its payload as it stands.
    Frame(FrameHead, &'a [u8]),
    /// Content of a DATA frame.
    Data(FrameHead, &'a [u8]),
    /// A DATA frame is over.
    DataEnd(FrameHead),
    /// A frame other than DATA has passed that was too long to be kept.
    TooLong(FrameHead),
}

/// What a reader took of its input.
#[derive(Debug)]
pub struct ReadStep<'a, M> {
    /// How many octets, from the front.
    pub used: usize,
    /// The mark of the slice that held the first octet of the piece's frame.
    pub first: M,
    /// None where all octets were taken, or where what follows is no frame
    /// ([`FrameReader::is_lost`]).
    pub piece: Option<Piece<'a>>,
}

/// What missing bytes took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// The frame that they hit.
    pub frame: Option<FrameHead>,
    /// How much of its content, where it is DATA.
    pub content: u64,
    /// Whole frames may be among them.
    pub frames: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// At the start of the stream, where a preface may stand.
    Start,
    /// Before a frame, or in its head.
    Head,
    /// In the payload of a frame that is kept.
    Payload,
    /// In a payload that is not kept: octets left.
    Skipped(u32),
    /// Before the length of a DATA frame's padding.
    Padding,
    /// In a DATA frame: octets of content left, and of padding.
    Content(u32, u32),
    /// Where the next frame begins is not known.
    Lost,
}

/// Reads the frames of one direction.
#[derive(Debug)]
pub struct FrameReader<M> {
    state: Where,
    /// A preface, head or payload of which some octets have come.
    kept: Vec<u8>,
    head: FrameHead,
    first: M,
    /// Longest payload that is kept.
    most: usize,
    /// The payload was handed on from `kept`.
    used: bool,
    has_preface: bool,
}

impl<M: Copy + Default> FrameReader<M> {
    /// At the start of a direction. Payloads other than DATA are kept up to `most` octets.
    pub fn new(most: usize) -> Self {
        Self {
            state: Where::Start,
            kept: Vec::new(),
            head: FrameHead::default(),
            first: M::default(),
            most,
            used: false,
            has_preface: false,
        }
    }

    /// Frames begin anywhere: the capture joined in the middle.
    pub fn joined(&mut self) {
        self.state = Where::Lost;
    }

    /// A frame begins with the next octet.
    pub fn resume(&mut self) {
        self.kept.clear();
        self.state = Where::Head;
    }

    /// Whether the next frame must be searched.
    pub fn is_lost(&self) -> bool {
        self.state == Where::Lost
    }

    /// The mark of the slice that held the first octet of the frame that was given last.
    pub fn first(&self) -> M {
        self.first
    }

    /// Whether the preface of a client stood at the start.
    pub fn has_preface(&self) -> bool {
        self.has_preface
    }

    /// How long the payload of the frame under way is, once its head was read.
    pub fn length(&self) -> Option<u32> {
        let inside = !matches!(self.state, Where::Start | Where::Head | Where::Lost);
        inside.then_some(self.head.length)
    }

    /// Octets that it holds.
    pub fn held(&self) -> usize {
        self.kept.capacity()
    }

    /// Whether a frame is under way.
    pub fn is_inside(&self) -> bool {
        !matches!(self.state, Where::Start | Where::Lost) && !(self.at_boundary())
    }

    fn at_boundary(&self) -> bool {
        self.state == Where::Head && (self.kept.is_empty() || self.used)
    }

    /// Takes octets from the front of `input`, up to the end of the next piece.
    pub fn step<'a>(&'a mut self, input: &'a [u8], mark: M) -> ReadStep<'a, M> {
        let mut at = 0;
        let (used, first, piece) = self.next(input, &mut at, mark);
        ReadStep { used, first, piece }
    }

    fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        at: &mut usize,
        mark: M,
    ) -> (usize, M, Option<Piece<'a>>) {
        loop {
            if std::mem::take(&mut self.used) {
                self.kept.clear();
            }
            match self.state {
                Where::Start => {
                    if input.is_empty() {
                        return (*at, self.first, None);
                    }
                    if !self.preface(input, at) {
                        return (*at, self.first, None);
                    }
                }
                Where::Head => {
                    if !self.head(input, at, mark) {
                        return (*at, self.first, None);
                    }
                }
                Where::Payload => {
                    let first = self.first;
                    let (used, piece) = self.payload(input, *at);
                    return (used, first, piece);
                }
                Where::Skipped(left) => {
                    let taken = (left as usize).min(input.len() - *at);
                    *at += taken;
                    if taken < left as usize {
                        self.state = Where::Skipped(left - taken as u32);
                        return (*at, self.first, None);
                    }
                    self.state = Where::Head;
                    return (*at, self.first, Some(Piece::TooLong(self.head)));
                }
                Where::Padding => {
                    let Some(&padding) = input.get(*at) else { return (*at, self.first, None) };
                    *at += 1;
                    let left = self.head.length - 1;
                    let padding = u32::from(padding).min(left);
                    self.state = Where::Content(left - padding, padding);
                }
                Where::Content(0, padding) => {
                    let taken = (padding as usize).min(input.len() - *at);
                    *at += taken;
                    if taken < padding as usize {
                        self.state = Where::Content(0, padding - taken as u32);
                        return (*at, self.first, None);
                    }
                    self.state = Where::Head;
                    return (*at, self.first, Some(Piece::DataEnd(self.head)));
                }
                Where::Content(left, padding) => {
                    let content = &input[*at..input.len().min(*at + left as usize)];
                    if content.is_empty() {
                        return (*at, self.first, None);
                    }
                    self.state = Where::Content(left - content.len() as u32, padding);
                    return (
                        *at + content.len(),
                        self.first,
                        Some(Piece::Data(self.head, content)),
                    );
                }
                Where::Lost => return (*at, self.first, None),
            }
        }
    }

    /// Goes past the preface; whether what follows can be looked at.
    fn preface(&mut self, input: &[u8], at: &mut usize) -> bool {
        if self.kept.is_empty() && input[*at] != PREFACE[0] {
            self.state = Where::Head;
            return true;
        }
        let taken = (PREFACE.len() - self.kept.len()).min(input.len() - *at);
        self.kept.extend_from_slice(&input[*at..*at + taken]);
        *at += taken;
        if !PREFACE.starts_with(&self.kept) {
            self.state = Where::Lost;
            return false;
        }
        if self.kept.len() < PREFACE.len() {
            return false;
        }
        self.has_preface = true;
        self.resume();
        true
    }

    /// Reads a head; whether it is there.
    fn head(&mut self, input: &[u8], at: &mut usize, mark: M) -> bool {
        let rest = &input[*at..];
        if rest.is_empty() {
            return false;
        }
        if self.kept.is_empty() {
            self.first = mark;
        }
        let taken = (HEAD - self.kept.len()).min(rest.len());
        if taken == HEAD {
            let octets = rest.first_chunk::<HEAD>().unwrap_or(&[0; HEAD]);
            self.head = FrameHead::read(octets);
        } else {
            self.kept.extend_from_slice(&rest[..taken]);
            let Some(octets) = self.kept.first_chunk::<HEAD>() else {
                *at += taken;
                return false;
            };
            self.head = FrameHead::read(octets);
        }
        if !self.head.is_possible() {
            self.state = Where::Lost;
            return false;
        }
        *at += taken;
        self.kept.clear();
        let length = self.head.length;
        self.state = match self.head.kind {
            kind::DATA if self.head.has(flag::PADDED) && length > 0 => Where::Padding,
            kind::DATA => Where::Content(length, 0),
            _ if length as usize > self.most => Where::Skipped(length),
            _ => Where::Payload,
        };
        true
    }

    /// Hands on a payload once it is whole: from the input, where it stands there in one piece.
    fn payload<'a>(&'a mut self, input: &'a [u8], mut at: usize) -> (usize, Option<Piece<'a>>) {
        let length = self.head.length as usize;
        if self.kept.is_empty()
            && let Some(payload) = input.get(at..at + length)
        {
            self.state = Where::Head;
            return (at + length, Some(Piece::Frame(self.head, payload)));
        }
        let taken = (length - self.kept.len()).min(input.len() - at);
        self.kept.extend_from_slice(&input[at..at + taken]);
        at += taken;
        if self.kept.len() < length {
            return (at, None);
        }
        (self.state, self.used) = (Where::Head, true);
        (at, Some(Piece::Frame(self.head, &self.kept)))
    }

    /// `n` octets are missing here. [`FrameReader::step`] goes on behind them, with what is in hand
    /// (an end of DATA needs no more octets).
    pub fn gap(&mut self, n: u64) -> Loss {
        if std::mem::take(&mut self.used) {
            self.kept.clear();
        }
        let (left, content) = match self.state {
            Where::Payload => (u64::from(self.head.length) - self.kept.len() as u64, 0),
            Where::Skipped(left) => (u64::from(left), 0),
            Where::Padding => (u64::from(self.head.length), u64::from(self.head.length)),
            Where::Content(content, padding) => {
                (u64::from(content) + u64::from(padding), u64::from(content))
            }
            Where::Start | Where::Head | Where::Lost => (0, 0),
        };
        self.kept.clear();
        if n > left || left == 0 {
            let inside = left > 0;
            self.state = Where::Lost;
            return Loss { frame: inside.then_some(self.head), content, frames: true };
        }
        let left = (left - n) as u32;
        let content = content.min(n);
        self.state = match self.state {
            Where::Content(all, padding) => {
                let all = all - content as u32;
                Where::Content(all, padding.min(left - all))
            }
            Where::Padding => Where::Content(left, 0),
            _ => Where::Skipped(left),
        };
        Loss { frame: Some(self.head), content, frames: false }
    }
}

/// What a HEADERS frame's payload holds: its part of the header block, without padding and priority
/// (RFC 9113 §6.2).
pub fn headers_fragment(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    let payload = without_padding(head, payload)?;
    payload.get(if head.has(flag::PRIORITY) { 5 } else { 0 }..)
}

/// What a PUSH_PROMISE frame's payload holds: the promised stream and a part of the header block
/// (RFC 9113 §6.6).
pub fn push_fragment(head: FrameHead, payload: &[u8]) -> Option<(u32, &[u8])> {
    let (stream, fragment) = without_padding(head, payload)?.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*stream) & (u32::MAX >> 1), fragment))
}

fn without_padding(head: FrameHead, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

/// The settings of a SETTINGS frame's payload (RFC 9113 §6.5.1).
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    payload.chunks_exact(6).map(|setting| {
        let number =
            |octets: &[u8]| octets.iter().fold(0, |all, &octet| all << 8 | u32::from(octet));
        (number(&setting[..2]) as u16, number(&setting[2..]))
    })
}

/// The 32-bit number at the start of a payload: an error code, an increment, a last stream.
pub fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().copied().map(u32::from_be_bytes)
}

/// Error code of who cannot read what it got (RFC 9113 §7).
pub const PROTOCOL_ERROR: u32 = 1;
/// Error code of a server that did not look at a stream.
pub const REFUSED_STREAM: u32 = 7;

/// The name of an error code (RFC 9113 §7).
pub const fn error_name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    if (code as usize) < NAMES.len() { NAMES[code as usize] } else { "unknown error" }
}

/// Whether bytes begin as those of a server of HTTP/2 do (RFC 9113 §3.4).
pub fn begins_with_settings(bytes: &[u8]) -> bool {
    let Some([0, high, low, kind::SETTINGS, 0, 0, 0, 0, 0]) = bytes.first_chunk() else {
        return false;
    };
    u16::from_be_bytes([*high, *low]) % 6 == 0
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a header block as HEADERS and, where it is longer than a frame, CONTINUATION.
pub fn write_block(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool, most: usize) {
    let most = most.max(1);
    let count = block.len().div_ceil(most).max(1);
    for place in 0..count {
        let part = &block[place * most..block.len().min((place + 1) * most)];
        let last = if place + 1 == count { flag::END_HEADERS } else { 0 };
        let (kind, end) = match place {
            0 => (kind::HEADERS, if end_stream { flag::END_STREAM } else { 0 }),
            _ => (kind::CONTINUATION, 0),
        };
        write(out, kind, last | end, stream, part);
    }
}

/// Appends a SETTINGS frame.
pub fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let mut payload = Vec::with_capacity(settings.len() * 6);
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    write(out, kind::SETTINGS, 0, 0, &payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that a reader gives of `input` in slices of these lengths.
    fn read(input: &[u8], cuts: &[usize]) -> Vec<(FrameHead, Vec<u8>, &'static str)> {
        let mut reader = FrameReader::<usize>::new(1 << 16);
        let mut seen: Vec<(FrameHead, Vec<u8>, &'static str)> = Vec::new();
        let (mut rest, mut cuts) = (input, cuts.iter().copied().chain(std::iter::repeat(7)));
        while !rest.is_empty() {
            let (mut slice, after) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
            rest = after;
            loop {
                let ReadStep { used, piece, .. } = reader.step(slice, 0);
                slice = &slice[used..];
                match piece {
                    None => break,
                    Some(Piece::Frame(head, payload)) => seen.push((head, payload.into(), "frame")),
                    Some(Piece::TooLong(head)) => seen.push((head, vec![], "too long")),
                    Some(Piece::DataEnd(head)) => seen.push((head, vec![], "end")),
                    Some(Piece::Data(head, content)) => match seen.last_mut() {
                        Some((last, all, "data")) if *last == head => {
                            all.extend_from_slice(content)
                        }
                        _ => seen.push((head, content.into(), "data")),
                    },
                }
            }
            assert!(!reader.is_lost(), "own frames");
        }
        assert!(!reader.is_inside());
        seen
    }

    fn sample() -> Vec<u8> {
        let mut out = PREFACE.to_vec();
        write_settings(&mut out, &[(1, 0), (4, 65_535)]);
        write_block(&mut out, 1, &[7; 40], false, 16);
        write(&mut out, kind::DATA, flag::PADDED, 1, b"\x03abc\0\0\0");
        write(&mut out, kind::DATA, 0, 1, b"defg");
        write(&mut out, kind::DATA, flag::PADDED | flag::END_STREAM, 1, b"\x02\0\0");
        write(&mut out, 0xbe, 0xff, 9, b"unknown");
        write(&mut out, kind::PING, 0, 0, b"12345678");
        write(&mut out, kind::RST_STREAM, 0, 3, &8u32.to_be_bytes());
        out
    }

    #[test]
    fn frames_are_read_in_any_cut() {
        let input = sample();
        let whole = read(&input, &[usize::MAX]);
        let kinds: Vec<_> = whole.iter().map(|(head, _, what)| (head.kind, *what)).collect();
        assert_eq!(kinds[..4], [(4, "frame"), (1, "frame"), (9, "frame"), (9, "frame")]);
        assert_eq!(whole[4].1, b"abc");
        assert_eq!(kinds[4..9], [(0, "data"), (0, "end"), (0, "data"), (0, "end"), (0, "end")]);
        for cut in 1..30 {
            assert_eq!(read(&input, &vec![cut; 200]), whole, "slices of {cut} octets");
        }
    }

    #[test]
    fn what_is_missing_inside_a_frame_is_skipped_exactly() {
        let mut input = Vec::new();
        write(&mut input, kind::DATA, flag::PADDED, 1, b"\x02hello\0\0");
        write(&mut input, kind::HEADERS, flag::END_HEADERS, 3, &[1; 20]);
        write(&mut input, kind::PING, 0, 0, b"12345678");
        for (from, to, content, hit) in [
            (12, 14, 2, kind::DATA),
            (10, 15, 5, kind::DATA),
            (13, 17, 2, kind::DATA),
            (26, 46, 0, kind::HEADERS),
            (30, 31, 0, kind::HEADERS),
        ] {
            let mut reader = FrameReader::<()>::new(1 << 16);
            let mut last = None;
            let mut feed = |reader: &mut FrameReader<()>, mut slice: &[u8]| loop {
                let ReadStep { used, piece, .. } = reader.step(slice, ());
                slice = &slice[used..];
                match piece {
                    None => break,
                    Some(Piece::Frame(head, _) | Piece::DataEnd(head)) => last = Some(head.kind),
                    Some(_) => {}
                }
            };
            feed(&mut reader, &input[..from]);
            let loss = reader.gap((to - from) as u64);
            assert_eq!(
                (loss.content, loss.frame.map(|head| head.kind), loss.frames),
                (content, Some(hit), false)
            );
            feed(&mut reader, &input[to..]);
            assert_eq!((last, reader.is_lost()), (Some(kind::PING), false), "{from}..{to}");
        }
        let mut reader = FrameReader::<()>::new(1 << 16);
        assert_eq!(reader.step(&input[..11], ()).used, 11);
        let loss = reader.gap(9);
        assert_eq!((loss.content, loss.frames, reader.is_lost()), (4, true, true));
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let head = |flags| FrameHead { flags, ..FrameHead::default() };
        let both = flag::PADDED | flag::PRIORITY;
        assert_eq!(headers_fragment(head(both), b"\x01\0\0\0\x03\x10ab\0"), Some(&b"ab"[..]));
        assert_eq!(headers_fragment(head(flag::PADDED), b"\x05ab"), None);
        assert_eq!(headers_fragment(head(flag::PRIORITY), b"abc"), None);
        assert_eq!(push_fragment(head(flag::PADDED), b"\x01\0\0\0\x02x\0"), Some((2, &b"x"[..])));
        assert_eq!(push_fragment(head(0), b"\0\0\0"), None);
    }

    proptest! {
        #[test]
        fn no_octets_bring_it_down(
            input in prop::collection::vec(0u8..12, 0..200),
            gaps in prop::collection::vec((0usize..40, 0u64..40), 0..6)
        ) {
            let mut reader = FrameReader::<()>::new(16);
            let mut rest = &input[..];
            for (until, missing) in gaps {
                let (mut slice, after) = rest.split_at(until.min(rest.len()));
                rest = after;
                loop {
                    let ReadStep { used, piece, .. } = reader.step(slice, ());
                    let more = piece.is_some();
                    slice = &slice[used..];
                    if !more {
                        break;
                    }
                }
                reader.gap(missing);
                prop_assert!(reader.held() <= 64);
            }
        }
    }
}
