//! What two servers said on a WebSocket, as the list of their messages, so that it is compared by
//! structure as events and calls are ([`list`]).

use super::change::{Context, Sink};
use super::json;
use crate::exchange::socket::list::{self, SocketForm};
use crate::exchange::socket::{SocketSession, is_data};
use crate::exchange::{Exchange, SocketMessage};
use crate::message::{Headers, Response};
use crate::outcome::Outcome;

/// Compares what v2 said on the WebSocket that an exchange opened. v1's close is asked for where
/// the capture has it, and not what its client did not wait for.
pub(super) fn compare(
    context: &Context<'_>,
    exchange: &Exchange,
    outcome: &Outcome,
    sink: &mut Sink,
) {
    let is_open = outcome.response.as_ref().is_some_and(|answer| answer.status == 101);
    let Some(session) = SocketSession::of(exchange).filter(|_| is_open) else { return };
    let actual = outcome.messages.iter().filter(|said| is_data(said) || session.close().is_some());
    json::compare(
        context,
        &as_json(session.answers().chain(session.close())),
        &as_json(actual),
        sink,
    );
}

/// Compares v1's words on a WebSocket with those on another one, where both clients said the same.
pub(super) fn compare_own(
    context: &Context<'_>,
    first: &Exchange,
    again: &Exchange,
    sink: &mut Sink,
) {
    let (Some(first), Some(again)) = (SocketSession::of(first), SocketSession::of(again)) else {
        return;
    };
    let asked = |session: SocketSession<'_>| {
        session
            .words()
            .map(|word| (word.message.kind, word.message.data.clone()))
            .collect::<Vec<_>>()
    };
    if first.end == again.end && asked(first) == asked(again) {
        let said = |session: SocketSession<'_>| as_json(session.answers().chain(session.close()));
        json::compare(context, &said(first), &said(again), sink);
    }
}

/// What each side said on the WebSocket that an exchange opened, as an answer whose body has all of
/// it: the client, v1, and v2; for who shows answers or looks for secrets in them.
pub(crate) fn as_answers(
    exchange: &Exchange,
    outcome: Option<&Outcome>,
    form: SocketForm,
) -> Option<[Response; 3]> {
    let session = SocketSession::of(exchange)?;
    let kind = match form {
        SocketForm::List => &b"application/json"[..],
        SocketForm::Lines => b"application/x-ndjson",
    };
    let of = |said: Vec<u8>| Response {
        status: 101,
        headers: [(&b"content-type"[..], kind)].into_iter().collect::<Headers>(),
        body: crate::message::Body::whole(said),
        ..Response::default()
    };
    let none = &[][..];
    let v2 = outcome.map_or(none, |outcome| &outcome.messages);
    Some([
        of(list::written(form, session.words().map(|word| word.message))),
        of(list::written(form, session.answers().chain(session.close()))),
        of(list::written(form, v2)),
    ])
}

/// Messages as an array in JSON.
fn as_json<'m>(messages: impl IntoIterator<Item = &'m SocketMessage>) -> Vec<u8> {
    list::written(SocketForm::List, messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Carriage, SocketKind, TimedRequest, TimedResponse};
    use crate::flow::Direction;
    use crate::message::{Body, Request};

    fn said(text: &str) -> SocketMessage {
        let (from, text) = text.split_once(' ').expect("c or s, and what it says");
        let (kind, data) = match text.strip_prefix("close ") {
            Some(code) => (SocketKind::Close, code.parse::<u16>().unwrap().to_be_bytes().to_vec()),
            None if text.starts_with('\u{1}') => (SocketKind::Binary, text.into()),
            None => (SocketKind::Text, text.into()),
        };
        let direction = if from == "c" { Direction::ToServer } else { Direction::ToClient };
        SocketMessage { direction, at_ns: 1, kind, data: Body::whole(data) }
    }

    fn opened(messages: &[&str]) -> Exchange {
        let upgrade = [(&b"upgrade"[..], &b"websocket"[..])];
        Exchange {
            request: Some(TimedRequest::default()),
            response: Some(TimedResponse {
                message: Response {
                    status: 101,
                    headers: upgrade.into_iter().collect(),
                    ..Response::default()
                },
                ..TimedResponse::default()
            }),
            carriage: Some(Box::new(Carriage {
                messages: messages.iter().map(|text| said(text)).collect(),
                ..Carriage::default()
            })),
            ..Exchange::between("1.1.1.1:1".parse().unwrap(), "1.1.1.1:2".parse().unwrap())
        }
    }

    fn changes(v1: &[&str], v2: &[&str]) -> Vec<String> {
        let exchange = opened(v1);
        let outcome = Outcome {
            response: Some(Response { status: 101, ..Response::default() }),
            messages: v2.iter().map(|text| said(text)).collect(),
            ..Outcome::default()
        };
        let request = Request::default();
        let mut sink = Sink::default();
        compare(&Context::plain(&request), &exchange, &outcome, &mut sink);
        sink.changes.iter().map(|change| format!("{} {}", change.place, change.label)).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn messages_are_compared_in_order_and_by_structure() {
        let v1 = ["c a", "s {\"n\": 1, \"at\": 5}", "s plain words here", "s \u{1}\u{2}", "s [1]"];
        assert_eq!(changes(&v1, &v1[1..]), NONE);
        let same = ["s {\"at\":5,\"n\":1.0}", "s plain words here", "s \u{1}\u{2}", "s [1]"];
        assert_eq!(changes(&v1, &same), NONE);
        let other = ["s {\"n\": 2, \"at\": 5}", "s plain words there", "s \u{1}\u{3}", "s [1]"];
        assert_eq!(changes(&v1, &other), ["$[0].n changed", "$[1] changed", "$[2].binary changed"]);
        assert_eq!(changes(&v1, &other[1..]).len(), 3, "the first is missing: the others stay");
        assert_eq!(changes(&v1, &[&same[..], &["s more"]].concat()), ["$[4] added"]);
        assert_eq!(changes(&v1, &same[..3]), ["$[3] removed"]);
    }

    #[test]
    fn an_end_is_compared_where_v1s_is_known() {
        let v1 = ["s a", "s close 1000"];
        assert_eq!(changes(&v1, &v1), NONE);
        assert_eq!(changes(&v1, &["s a", "s close 1011"]), ["$[1].close changed"]);
        assert_eq!(changes(&v1, &["s a"]), ["$[1] removed"]);
        assert_eq!(changes(&["s a"], &["s a", "s close 1000"]), NONE, "the capture ended before");
        // What crossed the client's close was read by nobody.
        let crossed = ["s a", "c close 1000", "s b", "s close 1000"];
        assert_eq!(changes(&crossed, &["s a", "s close 1000"]), NONE);
    }

    #[test]
    fn two_sessions_of_v1_tell_of_noise_where_their_clients_said_the_same() {
        let told = |again: &[&str]| {
            let request = Request::default();
            let mut sink = Sink::default();
            let first = opened(&["c a", "s {\"t\":1}"]);
            compare_own(&Context::plain(&request), &first, &opened(again), &mut sink);
            sink.changes.len()
        };
        assert_eq!(told(&["c a", "s {\"t\":2}"]), 1);
        assert_eq!(told(&["c b", "s {\"t\":2}"]), 0);
    }
}
