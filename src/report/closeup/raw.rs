//! A close-up as HTTP text: the request and both answers, one behind the other, as they were on the
//! wire but for chunks and, where secrets are masked, content codings.

use super::{CloseupSubject, Hidden};
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
    let known: Vec<&Response> = answers.iter().filter_map(|(_, answer)| *answer).collect();
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
    out.extend_from_slice(body);
    if !body.is_empty() && !body.ends_with(b"\n") {
        out.push(b'\n');
    }
}
