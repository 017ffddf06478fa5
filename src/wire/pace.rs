//! When the pieces of a body came, where its pace says something: streams of messages and events.

use crate::limits;
use crate::time::Timestamp;

/// How many bytes came with which mark; of a long stream neighbours become one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces<M> {
    all: Vec<(u64, M)>,
}

impl<M> Default for Pieces<M> {
    fn default() -> Self {
        Self { all: Vec::new() }
    }
}

impl<M: Copy> Pieces<M> {
    /// Bytes that came with `mark`.
    pub(crate) fn add(&mut self, bytes: usize, mark: M) {
        if self.all.len() == limits::PIECES {
            let pairs = self.all.chunks(2).filter_map(|pair| {
                let (_, mark) = *pair.last()?;
                Some((pair.iter().map(|(bytes, _)| bytes).sum(), mark))
            });
            self.all = pairs.collect();
        }
        self.all.push((bytes as u64, mark));
    }

    /// Counted from `start`, what came at one time together. Where the capture has packets out of
    /// order, a piece is as late as the one before it: nobody could read it sooner.
    pub(crate) fn since(&self, start: Timestamp, at: impl Fn(M) -> Timestamp) -> Vec<(u64, i64)> {
        let mut told: Vec<(u64, i64)> = Vec::new();
        for (bytes, mark) in &self.all {
            let before = told.last().map_or(i64::MIN, |(_, when)| *when);
            let nanos = at(*mark).since(start).max(before);
            match told.last_mut() {
                Some((last, when)) if *when == nanos => *last += bytes,
                _ => told.push((*bytes, nanos)),
            }
        }
        told
    }
}

/// Counts the messages of a body while it comes, where its media type puts each behind a flag and
/// its length (gRPC over HTTP/2, "Length-Prefixed-Message"; Connect's streams); of others none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageCounter {
    counts: bool,
    /// Octets of the prefix under way.
    prefix: [u8; 5],
    have: usize,
    /// Octets of the message that are still to come.
    left: u32,
    count: u32,
}

impl MessageCounter {
    /// In a body of this media type.
    pub(crate) fn of(media_type: &[u8]) -> Self {
        let is = |start: &str| {
            let kind = media_type.get(..start.len());
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case(start.as_bytes()))
        };
        Self { counts: is("application/grpc") || is("application/connect+"), ..Self::default() }
    }

    /// Whether it counts any.
    pub(crate) const fn counts(&self) -> bool {
        self.counts
    }

    /// More of the body.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while self.counts && !bytes.is_empty() {
            if self.have < self.prefix.len() {
                let taken = (self.prefix.len() - self.have).min(bytes.len());
                self.prefix[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
                (self.have, bytes) = (self.have + taken, &bytes[taken..]);
                if self.have < self.prefix.len() {
                    return;
                }
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length);
            } else {
                let taken = (self.left as usize).min(bytes.len());
                self.left -= taken as u32;
                bytes = &bytes[taken..];
            }
            if self.left == 0 {
                self.count = self.count.saturating_add(1);
                self.have = 0;
            }
        }
    }

    /// How many are whole.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Counts the messages of a stream while it comes, whatever sets them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamCounter {
    /// Each behind its length.
    Prefixed(MessageCounter),
    /// Events (HTML §9.2.6): those that have data. Comments keep a connection open and say nothing.
    Events(LineCounter),
    /// Lines that are not empty.
    Lines(LineCounter),
}

/// Counts by lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounter {
    /// How the line under way begins, and how long it is.
    start: [u8; 5],
    length: usize,
    /// The octet before was a CR: an LF behind it ends no other line.
    after_cr: bool,
    /// The event under way has data.
    has_data: bool,
    count: u32,
}

impl StreamCounter {
    /// Of a body of this media type; none where nobody knows what its messages are.
    pub(crate) fn of(media_type: &[u8]) -> Option<Self> {
        let is = |start: &str| {
            let kind = media_type.get(..start.len());
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case(start.as_bytes()))
        };
        let lines = [
            "application/x-ndjson",
            "application/stream+json",
            "application/jsonl",
            "application/jsonlines",
            "application/json-lines",
        ];
        match MessageCounter::of(media_type) {
            // Its trailers stand in a message of their own.
            _ if is("application/grpc-web") => None,
            prefixed if prefixed.counts => Some(Self::Prefixed(prefixed)),
            _ if is("text/event-stream") => Some(Self::Events(LineCounter::default())),
            _ if lines.into_iter().any(is) => Some(Self::Lines(LineCounter::default())),
            _ => None,
        }
    }

    /// More of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Prefixed(counter) => counter.push(bytes),
            Self::Events(lines) => bytes.iter().for_each(|&byte| lines.push(byte, true)),
            Self::Lines(lines) => bytes.iter().for_each(|&byte| lines.push(byte, false)),
        }
    }

    /// How many are whole.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Prefixed(counter) => counter.count(),
            Self::Events(lines) | Self::Lines(lines) => lines.count,
        }
    }
}

impl LineCounter {
    fn push(&mut self, byte: u8, events: bool) {
        let is_behind = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if is_behind => {}
            b'\n' | b'\r' => self.end(events),
            _ => {
                if let Some(place) = self.start.get_mut(self.length) {
                    *place = byte;
                }
                self.length += 1;
            }
        }
    }

    /// The line under way is over.
    fn end(&mut self, events: bool) {
        let is_data = match self.length {
            0..4 => false,
            4 => self.start[..4] == *b"data",
            _ => self.start == *b"data:",
        };
        let counts = match events {
            true => self.length == 0 && std::mem::take(&mut self.has_data),
            false => self.length > 0,
        };
        self.has_data |= is_data;
        self.count = self.count.saturating_add(u32::from(counts));
        self.length = 0;
    }
}

/// Whether the pace of a body of this media type says something.
pub(crate) fn has_pace(media_type: &[u8]) -> bool {
    const STREAMS: [&str; 14] = [
        "application/grpc",
        "text/event-stream",
        // Lines as they come, and texts that models write.
        "text/plain",
        "application/json-seq",
        "application/json-lines",
        "application/jsonlines",
        "application/x-json-stream",
        "application/vnd.amazon.eventstream",
        "application/vnd.docker.",
        "application/connect+",
        "application/x-ndjson",
        "application/stream+json",
        "application/jsonl",
        "multipart/x-mixed-replace",
    ];
    STREAMS.iter().any(|stream| {
        let kind = media_type.get(..stream.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(stream.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stream_is_told_in_fewer_pieces() {
        let mut pieces = Pieces::default();
        let many = 5 * limits::PIECES;
        (0..many).for_each(|number| pieces.add(3, number));
        let at = |number: usize| Timestamp::from_nanos(number as i64);
        let told = pieces.since(Timestamp::default(), at);
        assert!(told.len() <= limits::PIECES && told.is_sorted_by_key(|(_, nanos)| *nanos));
        assert_eq!(told.iter().map(|(bytes, _)| bytes).sum::<u64>(), 3 * many as u64);
        assert_eq!(told.last().map(|(_, nanos)| *nanos), Some(many as i64 - 1));
    }

    #[test]
    fn messages_are_counted_in_any_cut() {
        let body = [&b"\0\0\0\0\x03abc"[..], b"\0\0\0\0\0", b"\x01\0\0\0\x02de", b"\0\0"].concat();
        for cut in 1..body.len() {
            let mut messages = MessageCounter::of(b"application/grpc+proto");
            body.chunks(cut).for_each(|part| messages.push(part));
            assert_eq!(messages.count(), 3, "parts of {cut}");
        }
        let mut other = MessageCounter::of(b"application/json");
        other.push(&body);
        assert_eq!(other.count(), 0);
    }

    #[test]
    fn what_comes_together_is_one_piece() {
        let mut pieces = Pieces::default();
        [(1, 5), (2, 5), (4, 9)].into_iter().for_each(|(bytes, at)| pieces.add(bytes, at));
        assert_eq!(pieces.since(Timestamp::from_nanos(4), Timestamp::from_nanos), [(3, 1), (4, 5)]);
    }

    #[test]
    fn streams_have_a_pace() {
        for (kind, wanted) in [
            ("text/event-stream; charset=utf-8", true),
            ("application/grpc+proto", true),
            ("Application/GRPC-Web", true),
            ("application/json", false),
            ("text/event", false),
        ] {
            assert_eq!(has_pace(kind.as_bytes()), wanted, "{kind}");
        }
    }
}
