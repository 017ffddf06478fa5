//! What two servers said on a WebSocket, as the list of their messages, so that it is compared by
//! structure as events and calls are: `$[3].price` is in the fourth message.
//!
//! A message that is JSON stands in the list as such, another text as a string, octets by length
//! and hash, the end by its code and reason.

use sha2::{Digest as _, Sha256};

use super::change::{Context, Sink};
use super::json;
use crate::exchange::socket::{SocketSession, is_data};
use crate::exchange::{Exchange, SocketKind, SocketMessage};
use crate::message::document::digest_text;
use crate::message::json::tape::Tape;
use crate::message::{Headers, Response};
use crate::outcome::Outcome;
use crate::record::json as written;

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

/// How messages stand one behind the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SocketForm {
    /// As a list in JSON.
    List,
    /// Each on a line of its own.
    Lines,
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
        of(written_as(form, session.words().map(|word| word.message))),
        of(written_as(form, session.answers().chain(session.close()))),
        of(written_as(form, v2)),
    ])
}

/// Messages as an array in JSON.
fn as_json<'m>(messages: impl IntoIterator<Item = &'m SocketMessage>) -> Vec<u8> {
    written_as(SocketForm::List, messages)
}

fn written_as<'m>(
    form: SocketForm,
    messages: impl IntoIterator<Item = &'m SocketMessage>,
) -> Vec<u8> {
    let (first, between, last) = match form {
        SocketForm::List => (&b"["[..], b',', &b"]"[..]),
        SocketForm::Lines => (&b""[..], b'\n', &b""[..]),
    };
    let mut out = first.to_vec();
    for (place, message) in messages.into_iter().enumerate() {
        if place > 0 {
            out.push(between);
        }
        element(&mut out, message, form);
    }
    out.extend_from_slice(last);
    out
}

fn element(out: &mut Vec<u8>, message: &SocketMessage, form: SocketForm) {
    let data = &message.data;
    let named = |out: &mut Vec<u8>, name: &str, value: &str| {
        out.extend_from_slice(b"\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        written::string(out, value);
    };
    match (message.kind, std::str::from_utf8(&data.bytes)) {
        (SocketKind::Close, _) => {
            out.extend_from_slice(format!("{{\"close\":{},", message.close_code()).as_bytes());
            named(out, "reason", &message.close_reason());
            out.push(b'}');
        }
        (SocketKind::Text, Ok(text)) if !data.is_cut() => {
            let holds = text.trim_ascii_start().starts_with(['{', '[']);
            // A document that is laid out over several lines is one line as a string.
            let fits = matches!(form, SocketForm::List) || !text.contains(['\n', '\r']);
            if holds && fits && Tape::parse(&data.bytes).is_ok() {
                out.extend_from_slice(&data.bytes);
            } else {
                written::string(out, text);
            }
        }
        (SocketKind::Text, _) => written::string(out, &String::from_utf8_lossy(&data.bytes)),
        (kind, _) => {
            out.push(b'{');
            named(out, kind.name(), &digest_text(data.length, &Sha256::digest(&data.bytes)));
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Carriage, TimedRequest, TimedResponse};
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
