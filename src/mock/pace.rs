//! When the parts of a recorded body are given: a stream of events event by event, as v1 got them;
//! any other body in two halves, at its first and its last byte.

use crate::message::Response;
use crate::message::content::is_coded;
use crate::message::media::MediaType;

/// A part of a body: up to which byte, and when, in nanoseconds from the arrival of the request.
pub(super) type PaceStep = (u64, i64);

/// The steps of a recorded stream of events; none for a body of another kind. `first` and `last`
/// are the times of its first and its last byte.
pub(super) fn of_stream(head: &Response, body: &[u8], first: i64, last: i64) -> Box<[PaceStep]> {
    let kind = MediaType::new(head.headers.get("content-type").unwrap_or_default());
    let pieces = head.extras.as_ref().map_or(&[][..], |extras| &extras.pieces);
    if body.is_empty() || !kind.is_events() && pieces.is_empty() {
        return Box::default();
    }
    let ends = match kind.is_events() && !is_coded(head.headers.all("content-encoding")) {
        true => event_ends(body),
        false => vec![],
    };
    if pieces.is_empty() {
        return evenly(&ends, first, last);
    }
    let mut until = 0;
    let arrived: Vec<PaceStep> = pieces
        .iter()
        .map(|&(bytes, at)| {
            until += bytes;
            (until.min(body.len() as u64), at)
        })
        .collect();
    if ends.is_empty() { arrived.into() } else { whole_events(&ends, &arrived, last) }
}

/// Each event when its last byte came.
fn whole_events(ends: &[u64], arrived: &[PaceStep], last: i64) -> Box<[PaceStep]> {
    let mut pieces = arrived.iter().peekable();
    let mut steps: Vec<PaceStep> = Vec::new();
    for &end in ends {
        while pieces.next_if(|(until, _)| *until < end).is_some() {}
        let at = pieces.peek().map_or(last, |(_, at)| *at);
        match steps.last_mut() {
            // What came together is given together.
            Some(step) if step.1 == at => step.0 = end,
            _ => steps.push((end, at)),
        }
    }
    steps.into()
}

/// Events of a recording that does not tell when each came.
fn evenly(ends: &[u64], first: i64, last: i64) -> Box<[PaceStep]> {
    let steps = ends.len().saturating_sub(1).max(1) as i64;
    let at = |index: usize| first + (last - first) / steps * index as i64;
    ends.iter().enumerate().map(|(index, &end)| (end, at(index))).collect()
}

/// Where the events of a stream end: behind the blank line (HTML §9.2.5); the last one where the
/// body does.
fn event_ends(body: &[u8]) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut line = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', body) {
        // CRLF is one end of a line.
        if body[at] == b'\r' && body.get(at + 1) == Some(&b'\n') {
            continue;
        }
        if body[line..=at].iter().all(|byte| matches!(byte, b'\r' | b'\n')) && line > 0 {
            ends.push(at as u64 + 1);
        }
        line = at + 1;
    }
    if ends.last() != Some(&(body.len() as u64)) {
        ends.push(body.len() as u64);
    }
    ends
}

/// The steps of any other body: half of it with its first byte, the rest with its last one.
pub(super) fn of_body(length: u64, first: i64, last: i64) -> Vec<PaceStep> {
    if last > first { vec![(length / 2, first), (length, last)] } else { vec![(length, first)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Extras;

    fn stream(kind: &str, body: &str, pieces: &[(u64, i64)]) -> Vec<PaceStep> {
        let head = Response {
            headers: std::iter::once((&b"Content-Type"[..], kind.as_bytes())).collect(),
            extras: Extras { pieces: pieces.to_vec(), ..Extras::default() }.of(),
            ..Response::default()
        };
        of_stream(&head, body.as_bytes(), 10, 100).into_vec()
    }

    #[test]
    fn events_are_given_whole_when_their_last_byte_came() {
        let events = "text/event-stream; charset=utf-8";
        for (body, pieces, expected) in [
            ("data: a\n\ndata: b\n\n", vec![(9, 20), (9, 50)], vec![(9, 20), (18, 50)]),
            ("data: a\n\ndata: b\n\n", vec![(4, 20), (8, 30), (6, 50)], vec![(9, 30), (18, 50)]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec![(22, 40)], vec![(22, 40)]),
            (
                ": hi\n\ndata: a\ndata: b\n\ncut",
                vec![(6, 11), (17, 12), (3, 13)],
                vec![(6, 11), (23, 12), (26, 13)],
            ),
            ("data: a\n\ndata: b\n\n", vec![(9, 20)], vec![(9, 20), (18, 100)]),
            ("data: a\n\ndata: b\n\ndata: c\n\n", vec![], vec![(9, 10), (18, 55), (27, 100)]),
            ("data: a\n\n", vec![], vec![(9, 10)]),
        ] {
            assert_eq!(stream(events, body, &pieces), expected, "{body:?} {pieces:?}");
        }
        assert_eq!(stream("application/grpc", "abcdef", &[(2, 5), (4, 9)]), [(2, 5), (6, 9)]);
        assert_eq!(stream("text/plain", "data: a\n\n", &[]), []);
        assert_eq!(stream(events, "", &[(1, 1)]), []);
        assert_eq!(of_body(10, 5, 9), [(5, 5), (10, 9)]);
        assert_eq!(of_body(10, 5, 5), [(10, 5)]);
    }
}
