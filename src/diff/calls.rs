//! Calls of gRPC: their status, their messages one by one, and what the messages are made of.

use std::fs::File;
use std::io;

use rayon::prelude::*;

use super::change::{Context, Look, Sink, hash_place};
use super::index::Index;
use super::{Kind, headers, json};
use crate::exchange::Exchange;
use crate::message::grpc;
use crate::message::protobuf::{Read, Readings, Schema, Speaker};
use crate::message::{Body, Headers, Request, Response};
use crate::record::exchanges::{self, Line};
use crate::record::lines::read_at;

/// Exchanges that are read at once to learn what messages are made of.
const TOGETHER: usize = 256;

/// Whether a request, or what it accepts, is written in Protocol Buffers.
pub(super) fn may_be(request: &Request) -> bool {
    let accepts = request.headers.get("accept").unwrap_or_default();
    Readings::may_be(&request.headers) || memchr::memmem::find(accepts, b"protobuf").is_some()
}

/// Learns from all answers of these exchanges, v1's and v2's, where no schema names their fields.
pub(super) fn learn(
    readings: &mut Readings,
    file: &File,
    places: impl Iterator<Item = (u64, u32)>,
    outcomes: [Option<&Index>; 2],
) -> io::Result<()> {
    let places: Vec<_> = places.collect();
    for part in places.chunks(TOGETHER) {
        let answers: Vec<_> = part
            .par_iter()
            .map(|&(offset, length)| answers_of(file, offset, length, outcomes))
            .collect::<io::Result<_>>()?;
        // One after the other: what is learned first has the room.
        for (target, answers) in answers.into_iter().flatten() {
            for (headers, body) in answers {
                readings.learn(Speaker::Answer, &target, &headers, &body);
            }
        }
    }
    Ok(())
}

type Answers = (Vec<u8>, Vec<(Headers, Vec<u8>)>);

fn answers_of(
    file: &File,
    offset: u64,
    length: u32,
    outcomes: [Option<&Index>; 2],
) -> io::Result<Option<Answers>> {
    let line = read_at(file, offset, length)?;
    let Ok(Line::Exchange(exchange)) = exchanges::read(&line) else { return Ok(None) };
    let Exchange { id, request: Some(request), response, .. } = *exchange else { return Ok(None) };
    let mut answers: Vec<Response> = response.into_iter().map(|answer| answer.message).collect();
    for index in outcomes.into_iter().flatten() {
        for at in index.of(id) {
            answers.extend(index.read(at)?.and_then(|(outcome, _)| outcome.response));
        }
    }
    let contents = answers
        .into_iter()
        .filter(|answer| Readings::may_be(&answer.headers) && !answer.body.is_cut())
        .map(|answer| (answer.headers, answer.body.bytes.to_vec()));
    Ok(Some((request.message.target.to_vec(), contents.collect())))
}

/// What a request and both answers to it say in Protocol Buffers, with bodies of JSON, for who shows
/// it. Fields that no schema names are what these answers show them to be.
pub(crate) fn as_answers(
    schema: &Schema,
    request: &Request,
    answers: [Option<&Response>; 2],
) -> Option<[Response; 3]> {
    let of_answer =
        |answer: &Response| (answer.headers.clone(), answer.body.clone(), answer.trailers.clone());
    let asked = (request.headers.clone(), request.body.clone(), request.trailers.clone());
    let [v1, v2] = answers.map(|answer| answer.map(of_answer).unwrap_or_default());
    let (question, answer) = (Speaker::Question, Speaker::Answer);
    let said = [(question, asked), (answer, v1), (answer, v2)];
    if !said.iter().any(|(_, (headers, ..))| Readings::may_be(headers)) {
        return None;
    }
    let mut readings = Readings::new(schema.clone());
    for (speaker, (headers, body, _)) in &said {
        if Readings::may_be(headers) && !body.is_cut() {
            readings.learn(*speaker, &request.target, headers, &body.bytes);
        }
    }
    Some(said.map(|(speaker, (headers, body, trailers))| {
        match readings.read(speaker, &request.target, &headers, &body.bytes) {
            Some(read) if !body.bytes.is_empty() && !body.is_cut() => Response {
                headers: [(&b"content-type"[..], &b"application/json"[..])].into_iter().collect(),
                body: Body::whole(read.json),
                trailers: read.trailers.unwrap_or(trailers),
                ..Response::default()
            },
            _ => Response { headers, body, trailers, ..Response::default() },
        }
    }))
}

/// Compares what calls came to; whether one of them failed, so that all else follows from that.
pub(super) fn compare_status(expected: &Response, actual: &Response, sink: &mut Sink) -> bool {
    let (a, b) = (grpc::status(expected), grpc::status(actual));
    if a.is_none() && b.is_none() {
        return false;
    }
    sink.saw(hash_place(grpc::STATUS));
    if a == b {
        return false;
    }
    let code = |status: Option<u16>| status.map_or("none".to_owned(), |code| code.to_string());
    let label = format!("{}→{}", code(a), code(b));
    let (shown_a, shown_b) = (a.map(grpc::shown), b.map(grpc::shown));
    sink.plain(Kind::Status, grpc::STATUS, label, shown_a, shown_b, Look::Plain);
    a.is_none_or(|code| code == 0) || b.is_none_or(|code| code == 0)
}

/// Compares bodies of Protocol Buffers; false where one of them is none that can be read.
pub(super) fn compare(
    context: &Context<'_>,
    fields: [&Headers; 2],
    contents: [&[u8]; 2],
    sink: &mut Sink,
) -> bool {
    let target = &context.request.target;
    let read =
        |side: usize| context.readings.read(Speaker::Answer, target, fields[side], contents[side]);
    let (Some(a), Some(b)) = (read(0), read(1)) else { return false };
    let (Read { json: left, trailers: a, .. }, Read { json: right, trailers: b, .. }) = (a, b);
    let none = Headers::new();
    let of_body = |trailers: &Option<Headers>| trailers.is_some();
    if of_body(&a) || of_body(&b) {
        let (a, b) = (a.as_ref().unwrap_or(&none), b.as_ref().unwrap_or(&none));
        headers::compare_trailers(context, a, b, sink);
    }
    json::compare(context, &left, &right, sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with field 1 as a number and field 2 as a text.
    fn call(number: u8, text: &str) -> Vec<u8> {
        let mut message = vec![8, number, 18, text.len() as u8];
        message.extend_from_slice(text.as_bytes());
        grpc::frame_of(&message)
    }

    fn headers() -> Headers {
        [(&b"content-type"[..], &b"application/grpc"[..])].into_iter().collect()
    }

    #[test]
    fn calls_are_shown_as_lists_of_their_messages() {
        let body = |bytes: Vec<u8>| Body::whole(bytes);
        let request = Request {
            method: "POST".into(),
            target: "/shop.Shop/List".to_owned().into(),
            headers: headers(),
            body: body(call(1, "tea")),
            ..Request::default()
        };
        let answer =
            |bytes| Response { headers: headers(), body: body(bytes), ..Response::default() };
        let v1 = answer([call(1, "a"), call(2, "b")].concat());
        let v2 = answer(call(1, "a"));
        let schema = Schema::default();
        let said = as_answers(&schema, &request, [Some(&v1), Some(&v2)]).expect("a call");
        let told = said.map(|said| String::from_utf8(said.body.bytes.to_vec()).expect("JSON"));
        assert_eq!(
            told,
            [
                r##"[{"#1":1,"#2":"tea"}]"##,
                r##"[{"#1":1,"#2":"a"},{"#1":2,"#2":"b"}]"##,
                r##"[{"#1":1,"#2":"a"}]"##,
            ]
        );
        let plain = Response::default();
        assert!(as_answers(&schema, &Request::default(), [Some(&plain), None]).is_none());
    }
}
