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

    /// Counted from `start`, what came at one time together.
    pub(crate) fn since(&self, start: Timestamp, at: impl Fn(M) -> Timestamp) -> Vec<(u64, i64)> {
        let mut told: Vec<(u64, i64)> = Vec::new();
        for (bytes, mark) in &self.all {
            let nanos = at(*mark).since(start);
            match told.last_mut() {
                Some((last, when)) if *when == nanos => *last += bytes,
                _ => told.push((*bytes, nanos)),
            }
        }
        told
    }
}

/// Whether the pace of a body of this media type says something.
pub(crate) fn has_pace(media_type: &[u8]) -> bool {
    const STREAMS: [&str; 7] = [
        "application/grpc",
        "text/event-stream",
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
