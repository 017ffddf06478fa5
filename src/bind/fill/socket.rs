//! Values in messages of WebSockets: each message of v2's is taken from, and each of the client's
//! is filled, by itself and when it comes. v2's message stands for v1's of the same number.

use std::collections::BTreeMap;

use super::expected::Expected;
use super::put::{Filled, Put, put_element};
use super::take::{Known, Taken, take};
use crate::bind::{Birth, Part, Use};
use crate::exchange::socket::list::{self, SocketForm, number_of};
use crate::exchange::{SocketKind, SocketMessage};
use crate::message::place::{Place, Step};
use crate::message::protobuf::Schema;
use crate::message::{Body, Headers, Response};

/// What the messages of a WebSocket have to do with bound values, by number from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InSocket {
    /// What those of the server issue.
    pub births: Vec<(u32, Vec<Birth>)>,
    /// What those of the client use.
    pub uses: Vec<(u32, Vec<Use>)>,
}

impl InSocket {
    /// Takes it out of the part of the exchange that opens the WebSocket.
    pub fn take_from(part: &mut Part) -> Self {
        let births = std::mem::take(&mut part.births);
        let (births, rest) = by_message(births, |birth| &birth.place);
        part.births = rest;
        let (uses, rest) = by_message(std::mem::take(&mut part.uses), |used| &used.place);
        part.uses = rest;
        Self { births, uses }
    }
}

/// What stands in messages, by their numbers, and the rest.
fn by_message<T>(all: Vec<T>, place: impl Fn(&T) -> &Place) -> (Vec<(u32, Vec<T>)>, Vec<T>) {
    let (mut inside, mut rest): (BTreeMap<u32, Vec<T>>, Vec<T>) = (BTreeMap::new(), Vec::new());
    for one in all {
        match number_of(place(&one)) {
            Some(number) => inside.entry(number).or_default().push(one),
            None => rest.push(one),
        }
    }
    (inside.into_iter().collect(), rest)
}

/// What v1's message had where its `births` stand.
pub fn expected(births: &[Birth], message: &SocketMessage) -> Expected {
    Expected::of(&as_answer(message), &as_only(births), b"", &Schema::default())
}

/// For each birth what stands in its place in v2's `message`, as [`take`].
pub fn take_from(
    births: &[Birth],
    expected: &Expected,
    message: &SocketMessage,
    known: &dyn Known,
) -> Vec<Taken> {
    let mut taken =
        take(&as_only(births), expected, &as_answer(message), &Schema::default(), known);
    for (taken, birth) in taken.iter_mut().zip(births) {
        if let Taken::Lacking(why) = taken {
            // In the words of the list of all messages.
            *why = format!("no {} on the WebSocket", birth.place);
        }
    }
    taken
}

/// What the client's message of this number and kind says with `puts` in it.
pub fn filled(
    (number, kind): (u32, SocketKind),
    content: &[u8],
    puts: &[Put<'_>],
) -> Filled<Option<Vec<u8>>> {
    let message = SocketMessage {
        direction: crate::flow::Direction::ToServer,
        at_ns: 0,
        kind,
        data: Body::whole(content.to_vec()),
    };
    let mut json = Vec::new();
    list::element(&mut json, &message, SocketForm::List);
    let json = std::str::from_utf8(&json).unwrap_or_default();
    let Filled { changes, placed } = put_element(number as usize, json, puts);
    Filled { changes: changes.map(|json| list::content_of(&message, &json)), placed }
}

/// An answer that is this message alone.
fn as_answer(message: &SocketMessage) -> Response {
    let kind = [(&b"content-type"[..], &b"application/json"[..])];
    Response {
        status: 101,
        headers: kind.into_iter().collect::<Headers>(),
        body: Body::whole(list::written(SocketForm::List, [message])),
        ..Response::default()
    }
}

/// Births of one message as they stand where it is the only one.
fn as_only(births: &[Birth]) -> Vec<Birth> {
    let first = |place: &Place| {
        let root = [Step::Root, Step::Index(0)];
        Place::new(root.iter().chain(place.steps().get(2..).unwrap_or_default()))
    };
    births.iter().map(|birth| Birth { place: first(&birth.place), ..birth.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use rustc_hash::FxHashMap;

    use super::*;
    use crate::exchange::ExchangeId;
    use crate::flow::Direction;

    fn message(text: &str) -> SocketMessage {
        let data = Body::whole(text.as_bytes().to_vec());
        SocketMessage { direction: Direction::ToClient, at_ns: 0, kind: SocketKind::Text, data }
    }

    fn birth(slot: u32, place: &str, text: &str) -> Birth {
        let place = place.parse().expect("a place");
        Birth { slot, place, range: None, text: text.into(), thing: None, flow: Some(0) }
    }

    #[test]
    fn a_part_is_split_by_messages() {
        let used = |place: &str| Use {
            slot: 0,
            place: place.parse().expect("a place"),
            range: None,
            flow: 0,
            from: ExchangeId::default(),
        };
        let mut part = Part {
            births: vec![birth(0, "$[4].id", "a"), birth(1, "cookie:sid", "b")],
            uses: vec![used("$[2].id"), used("cookie:sid"), used("$[2].x"), used("$[0]")],
            ..Part::default()
        };
        let inside = InSocket::take_from(&mut part);
        assert_eq!((part.births.len(), part.uses.len(), inside.births[0].0), (1, 1, 4));
        let uses: Vec<_> = inside.uses.iter().map(|(number, uses)| (*number, uses.len())).collect();
        assert_eq!(uses, [(0, 1), (2, 2)]);
    }

    #[test]
    fn a_message_gives_what_stands_where_v1s_issued_it() {
        let births = [birth(3, "$[7].session.id", "5f2c9a"), birth(4, "$[7].gone", "77aa01")];
        let v1 = message(r#"{"session":{"id":"5f2c9a"},"gone":"77aa01"}"#);
        let expected = expected(&births, &v1);
        let known: FxHashMap<u64, String> = FxHashMap::default();
        let v2 = message(r#"{"session":{"id":"c0ffee"}}"#);
        let lacking = Taken::Lacking("no $[7].gone on the WebSocket".to_owned());
        let taken = take_from(&births, &expected, &v2, &known);
        assert_eq!(taken, [Taken::Issued("c0ffee".into()), lacking]);
    }

    #[test]
    fn a_message_is_filled_as_it_was_written() {
        let place: Place = "$[1].token".parse().expect("a place");
        let text: Place = "$[1]".parse().expect("a place");
        let put = |place, range, old, new| Put { place, range, old, new };
        let told = |content: &str, puts: &[Put<'_>]| {
            let Filled { changes, placed } =
                filled((1, SocketKind::Text), content.as_bytes(), puts);
            (changes.map(|bytes| String::from_utf8(bytes).expect("text")), placed)
        };
        let document = r#"{ "token" : "t1", "n": 1.0 }"#;
        let new = r#"{ "token" : "t\"2", "n": 1.0 }"#.to_owned();
        assert_eq!(told(document, &[put(&place, None, "t1", "t\"2")]), (Some(new), 1));
        assert_eq!(told(document, &[put(&place, None, "t1", "t1")]), (None, 1));
        assert_eq!(told(document, &[put(&place, None, "t0", "t2")]), (None, 0));
        let inside: Place = "$[1].binary.token".parse().expect("a place");
        let content = br#"{"token":"t1"}"#;
        let Filled { changes, placed } =
            filled((1, SocketKind::Binary), content, &[put(&inside, None, "t1", "t2")]);
        assert_eq!((changes, placed), (Some(br#"{"token":"t2"}"#.to_vec()), 1));
        let new = "42[\"join\",\"r2\"]".to_owned();
        let (framed, inside): (_, Place) =
            ("42[\"join\",\"r1\"]", "$[1]['42'].join[0]".parse().expect("a place"));
        assert_eq!(told(framed, &[put(&inside, None, "r1", "r2")]), (Some(new), 1));
        let (words, new) = ("join r1", "join r2".to_owned());
        assert_eq!(told(words, &[put(&text, Some(5..7), "r1", "r2")]), (Some(new), 1));
    }
}
