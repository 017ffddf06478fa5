//! A close-up as HTTP text: the request and both answers, one behind the other, as they were on the
//! wire but for chunks and, where secrets are masked, content codings; and what was said on a
//! WebSocket, a message a line.

use super::{CloseupSubject, Hidden};
use crate::diff::sockets;
use crate::exchange::socket::list::SocketForm;
use crate::message::{Headers, Request, Response};
use crate::redact::Echoes;

/// Appends the messages of an exchange, each behind a line that names it.
pub fn write(out: &mut Vec<u8>, subject: &CloseupSubject<'_>) {
    let CloseupSubject { exchange, outcome, masker, id, .. } = subject;
    let nothing = Request::default();
    let request = exchange.request.as_ref().map(|request| &request.message);
    let answers = [
        ("v1 answered", exchange.response.as_ref().map(|answer| &answer.message)),
        ("v2 answered", outcome.and_then(|outcome| outcome.response.as_ref())),
    ];
    let said = sockets::as_answers(exchange, *outcome, SocketForm::Lines);
    let known = answers.iter().filter_map(|(_, answer)| *answer).chain(said.iter().flatten());
    let known: Vec<&Response> = known.collect();
    let hidden = Hidden { masker, echoes: Echoes::of(masker, request.unwrap_or(&nothing), &known) };
    if let Some(request) = request {
        out.extend_from_slice(format!("### {id}: asked\n").as_bytes());
        match masker.is_off() {
            true => self::request(out, request),
            false => self::request(out, &hidden.hidden_request(request)),
        }
    }
    for (what, answer) in answers {
        let Some(answer) = answer else { continue };
        out.extend_from_slice(format!("\n### {id}: {what}\n").as_bytes());
        match masker.is_off() {
            true => response(out, answer),
            false => response(out, &hidden.hidden_response(answer)),
        }
    }
    let names = ["its client said", "v1 said", "v2 said"];
    for (what, said) in names.into_iter().zip(said.iter().flatten()) {
        if said.body.bytes.is_empty() {
            continue;
        }
        out.extend_from_slice(format!("\n### {id}: {what} on the WebSocket\n").as_bytes());
        match masker.is_off() {
            true => content(out, &said.body.bytes),
            false => content(out, &hidden.hidden_response(said).body.bytes),
        }
    }
}

fn request(out: &mut Vec<u8>, request: &Request) {
    out.extend_from_slice(&request.method);
    out.push(b' ');
    out.extend_from_slice(&request.target);
    out.extend_from_slice(format!(" HTTP/{}\r\n", request.version).as_bytes());
    rest(out, &request.headers, &request.body.bytes);
}

fn response(out: &mut Vec<u8>, response: &Response) {
    out.extend_from_slice(format!("HTTP/{} {} ", response.version, response.status).as_bytes());
    out.extend_from_slice(&response.reason);
    out.extend_from_slice(b"\r\n");
    rest(out, &response.headers, &response.body.bytes);
}

fn rest(out: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    for (name, value) in headers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    content(out, body);
}

fn content(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(body);
    if !body.is_empty() && !body.ends_with(b"\n") {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::exchange::{
        Carriage, Exchange, SocketKind, SocketMessage, TimedRequest, TimedResponse,
    };
    use crate::flow::Direction;
    use crate::message::Body;
    use crate::message::protobuf::Schema;
    use crate::outcome::{Outcome, ReplayId};
    use crate::redact::Masker;

    fn said(direction: Direction, kind: SocketKind, text: &str) -> SocketMessage {
        SocketMessage { direction, at_ns: 1, kind, data: Body::whole(text.as_bytes().to_vec()) }
    }

    #[test]
    fn what_was_said_on_a_websocket_stands_behind_the_answers_a_message_a_line() {
        const SECRET: &str = "q7RkPz0vTq3LmX9bNc5dWs1f";
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        let opened = Response {
            status: 101,
            headers: [(&b"upgrade"[..], &b"websocket"[..])].into_iter().collect(),
            ..Response::default()
        };
        let asked = format!("{{\"password\":\"{SECRET}\"}}");
        let ends = ["10.0.0.9:1", "10.0.0.1:80"].map(|end| end.parse().unwrap());
        let exchange = Exchange {
            request: Some(TimedRequest::default()),
            response: Some(TimedResponse { message: opened.clone(), ..TimedResponse::default() }),
            carriage: Some(Box::new(Carriage {
                messages: vec![
                    said(up, SocketKind::Text, &asked),
                    said(down, SocketKind::Text, "{\"n\":\n1}"),
                    said(down, SocketKind::Ping, "there?"),
                    said(down, SocketKind::Text, "{\"n\":2}"),
                ],
                ..Carriage::default()
            })),
            ..Exchange::between(ends[0], ends[1])
        };
        let outcome = Outcome {
            response: Some(opened),
            messages: vec![said(down, SocketKind::Text, "no more")],
            ..Outcome::default()
        };
        for masker in [Masker::off(), Masker::new(b"key")] {
            let subject = CloseupSubject {
                put: &[],
                trace_link: None,
                id: ReplayId { exchange: exchange.id, copy: 0 },
                exchange: &exchange,
                outcome: Some(&outcome),
                route: "GET /",
                differences: &[],
                shapes: &HashMap::new(),
                bindings: &[],
                before: &[],
                masker: &masker,
                schema: &Schema::default(),
            };
            let mut out = Vec::new();
            write(&mut out, &subject);
            let text = String::from_utf8(out).unwrap();
            let (_, sockets) = text.split_once(": its client said").expect("messages");
            let (words, answers) = sockets.split_once("\n\n### ").expect("answers");
            match masker.is_off() {
                true => assert_eq!(words, format!(" on the WebSocket\n{asked}")),
                false => assert!(!text.contains(SECRET) && words.contains("{\"password\":\"")),
            }
            let id = exchange.id;
            let wanted = format!(
                "{id}: v1 said on the WebSocket\n\"{{\\\"n\\\":\\n1}}\"\n{{\"n\":2}}\n\n\
                 ### {id}: v2 said on the WebSocket\n\"no more\"\n"
            );
            assert_eq!(answers, wanted);
        }
    }
}
