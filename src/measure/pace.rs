//! How the messages of a stream came: until the first, and from one to the next. Streams are calls
//! of gRPC and Connect, events, lines of JSON, and what servers say on WebSockets.
//!
//! Of a stream two figures are kept, whatever its length: the time to its first message, and the
//! mean time between its messages, which does not depend on how packets cut them.

use memchr::memmem;

use crate::exchange::Exchange;
use crate::exchange::socket::{SocketSession, is_data};
use crate::message::{Response, content};
use crate::outcome::Outcome;
use crate::record::exchanges::{self, Line};
use crate::record::outcomes::{self, OutcomeLine};
use crate::wire::pace::StreamCounter;

/// How the messages of an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Nanoseconds from the request's first byte to the first message.
    pub(super) first: i64,
    /// Mean time between messages, where there are several.
    pub(super) between: Option<i64>,
}

impl Pace {
    /// Of v1's answer.
    pub(super) fn of_exchange(exchange: &Exchange) -> Option<Self> {
        match SocketSession::of(exchange) {
            Some(session) => Self::of_times(session.answers().map(|message| message.at_ns)),
            None => Self::of_answer(&exchange.response.as_ref()?.message),
        }
    }

    /// Of v1's answer in a line of exchanges.
    pub(super) fn of_recorded(line: &[u8]) -> Option<Self> {
        match exchanges::read(Some(line).filter(|line| may_tell(line))?) {
            Ok(Line::Exchange(exchange)) => Self::of_exchange(&exchange),
            _ => None,
        }
    }

    /// Of v2's answer.
    pub(super) fn of_outcome(outcome: &Outcome) -> Option<Self> {
        let (sent, answer) = (outcome.sent_ns?, outcome.response.as_ref()?);
        if outcome.messages.is_empty() {
            return Self::of_answer(answer);
        }
        let said = outcome.messages.iter().filter(|message| is_data(message));
        Self::of_times(said.map(|message| message.at_ns.saturating_sub(sent)))
    }

    /// Of v2's answer in a line of outcomes.
    pub(super) fn of_replayed(line: &[u8]) -> Option<Self> {
        match outcomes::read(Some(line).filter(|line| may_tell(line))?) {
            Ok(OutcomeLine::Outcome(outcome)) => Self::of_outcome(&outcome),
            _ => None,
        }
    }

    /// Of an answer whose pieces are told.
    fn of_answer(answer: &Response) -> Option<Self> {
        let pieces = &answer.extras.as_ref()?.pieces;
        if content::is_coded(answer.headers.all("content-encoding")) {
            return None;
        }
        let mut counter = StreamCounter::of(answer.headers.get("content-type")?)?;
        let mut rest = &answer.body.bytes[..];
        let mut times = Vec::new();
        for &(bytes, at) in pieces {
            let (piece, behind) = rest.split_at(rest.len().min(bytes as usize));
            rest = behind;
            counter.push(piece);
            times.resize(counter.count() as usize, at);
        }
        Self::of_times(times)
    }

    fn of_times(times: impl IntoIterator<Item = i64>) -> Option<Self> {
        let mut times = times.into_iter();
        let first = times.next()?;
        let (last, more) = times.fold((first, 0), |(_, more), at| (at, more + 1));
        let between = (more > 0).then(|| last.saturating_sub(first).max(0) / more);
        Some(Self { first: first.max(0), between })
    }
}

/// Whether a line may tell of messages: most do not, and are not read for it.
fn may_tell(line: &[u8]) -> bool {
    let holds = |part: &[u8]| memmem::find(line, part).is_some();
    holds(b"\"pieces\":[[") || holds(b"\"messages\":[{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{SocketKind, SocketMessage};
    use crate::flow::Direction;
    use crate::message::{Body, Extras};
    use crate::outcome::Outcome;

    fn told(kind: &str, body: &str, pieces: &[(u64, i64)]) -> Option<Pace> {
        let outcome = Outcome {
            sent_ns: Some(1_000),
            response: Some(Response {
                status: 200,
                headers: [(&b"content-type"[..], kind.as_bytes())].into_iter().collect(),
                body: Body::whole(body.as_bytes().to_vec()),
                extras: Extras { pieces: pieces.to_vec(), ..Extras::default() }.of(),
                ..Response::default()
            }),
            ..Outcome::default()
        };
        let mut line = Vec::new();
        outcomes::write(&mut line, &outcome);
        Pace::of_replayed(&line)
    }

    #[test]
    fn messages_count_and_not_the_pieces_that_they_come_in() {
        let pace = |first, between| Some(Pace { first, between });
        let events = "text/event-stream";
        // Two events in three pieces; a comment is none.
        let body = "data: a\n\n: still here\n\ndata: b\n\n";
        assert_eq!(told(events, body, &[(9, 50), (14, 60), (9, 150)]), pace(50, Some(100)));
        assert_eq!(told(events, body, &[(4, 10), (5, 50), (23, 150)]), pace(50, Some(100)));
        assert_eq!(told(events, "data: a\n\n", &[(9, 7)]), pace(7, None));
        assert_eq!(told(events, ": only\n\n", &[(8, 7)]), None);
        let calls = "\0\0\0\0\u{1}a\0\0\0\0\u{2}bc\0\0\0\0\0";
        assert_eq!(told("application/grpc", calls, &[(6, 5), (3, 6), (9, 35)]), pace(5, Some(15)));
        assert_eq!(told("application/x-ndjson", "{}\n\n{}\n", &[(3, 1), (4, 9)]), pace(1, Some(8)));
        assert_eq!(told("text/plain", "a\nb\n", &[(2, 1), (2, 2)]), None);
    }

    #[test]
    fn messages_of_a_websocket_count_from_its_request() {
        let said = |at_ns, kind| SocketMessage {
            direction: Direction::ToClient,
            at_ns,
            kind,
            data: Body::whole(vec![3, 232]),
        };
        let outcome = Outcome {
            sent_ns: Some(1_000),
            response: Some(Response { status: 101, ..Response::default() }),
            messages: vec![
                said(1_500, SocketKind::Text),
                said(1_900, SocketKind::Binary),
                said(9_000, SocketKind::Close),
            ],
            ..Outcome::default()
        };
        let mut line = Vec::new();
        outcomes::write(&mut line, &outcome);
        assert_eq!(Pace::of_replayed(&line), Some(Pace { first: 500, between: Some(400) }));
    }
}
