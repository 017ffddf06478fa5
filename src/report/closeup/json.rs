//! A close-up for machines: one JSON object, secrets masked, content codings undone.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Closeup, CloseupSubject, Flight, Hidden, messages};
use crate::message::document::digest_text;
use crate::message::{Body, Headers, Request, Response, content};
use crate::record::json::{request_fields, response_fields};
use crate::redact::Echoes;
use crate::report::{Column, column};

/// Fields of an object of `shadowtap show --json`.
pub const FIELDS: [Column; 19] = [
    column("id", "text", "the replayed request, as in outcomes.jsonl"),
    column("route", "text", "its route"),
    column("at", "RFC 3339", "capture time of its request"),
    column("lane", "number or null", "its lane"),
    column("completeness", "text", "how much of the exchange the capture holds"),
    column("request", "object", "as in exchanges.jsonl; content codings are undone"),
    column("v1", "object or null", "v1's answer, in the same form"),
    column("v2", "object or null", "v2's answer, in the same form"),
    column(
        "messages",
        "object or null",
        "what `client`, `v1` and `v2` said on a WebSocket or in a call of gRPC, each as a list in \
         JSON",
    ),
    column("failure", "object or null", "why v2's answer is not there or not whole"),
    column("differences", "objects", "its differences, as in differences.jsonl"),
    column(
        "times",
        "object",
        "v1's first and last byte from the request, v2's due, sent, first byte and end from the \
         start of the replay",
    ),
    column("before", "objects", "the times of earlier requests of its lane"),
    column("waited_for", "text or null", "why it was sent later than due"),
    column("bound", "number", "values of v2's that were put into its request"),
    column(
        "unbound",
        "objects",
        "values that v2 had not issued: the request that should have, and the place",
    ),
    column("bindings", "objects", "values that its answer issues, as in bindings.jsonl"),
    column("traceparent", "text or null", "the context of the trace that v2 was asked in"),
    column("trace_link", "text or null", "the page that shows it"),
];

/// The object.
pub fn value(subject: &CloseupSubject<'_>, closeup: &Closeup) -> Value {
    let CloseupSubject { exchange, outcome, masker, .. } = subject;
    let request = exchange.request.as_ref().map(|request| &request.message);
    let [v1, v2] = subject.answers();
    let nothing = Request::default();
    let asked = request.unwrap_or(&nothing);
    let said = messages::said(exchange, *outcome, subject.schema);
    let known: Vec<&Response> = v1.into_iter().chain(v2).chain(said.iter().flatten()).collect();
    let hidden = Hidden { masker, echoes: Echoes::of(masker, asked, &known) };
    let answer = |answer: Option<&Response>| answer.map(|answer| hidden.response(answer));
    let failure = outcome.and_then(|outcome| outcome.failure.as_ref()).map(|failure| {
        let detail = hidden.masked(&masker.text(&failure.detail));
        json!({"kind": failure.kind, "detail": detail, "owner": failure.owner})
    });
    let times = json!({
        "v1_first_byte_ns": closeup.times.v1[0], "v1_last_byte_ns": closeup.times.v1[1],
        "v2": closeup.times.v2.as_ref().map(flight),
    });
    let bindings: Vec<Value> = subject
        .bindings
        .iter()
        .map(|binding| {
            let text = |text: &str| hidden.masked(&masker.text(text));
            json!({
                "slot": binding.slot, "place": binding.place, "thing": binding.thing,
                "flow": binding.flow, "v1": text(&binding.v1),
                "v2": binding.v2.as_deref().map(text), "reason": binding.reason,
            })
        })
        .collect();
    json!({
        "id": subject.id, "route": subject.route, "at": closeup.at, "lane": closeup.lane,
        "completeness": exchange.completeness,
        "request": request.map(|request| hidden.request(request)),
        "v1": answer(v1), "v2": answer(v2), "failure": failure,
        "messages": said.as_ref().map(|said| hidden.messages(said)),
        "differences": subject.differences, "times": times,
        "before": closeup.times.before.iter().map(flight).collect::<Vec<_>>(),
        "waited_for": closeup.times.waited_for(),
        "bound": outcome.map_or(0, |outcome| outcome.bound),
        "unbound": outcome.map_or(&[][..], |outcome| &outcome.unbound),
        "bindings": bindings,
        "traceparent": outcome.and_then(|outcome| outcome.traceparent),
        "trace_link": closeup.trace.as_ref().and_then(|(_, link)| link.as_ref()),
    })
}

fn flight(flight: &Flight) -> Value {
    json!({
        "id": flight.id, "due_ns": flight.due_ns, "sent_ns": flight.sent_ns,
        "first_byte_ns": flight.first_byte_ns, "ended_ns": flight.ended_ns,
        "waited_ns": flight.waited_ns, "connect_ns": flight.connect_ns,
    })
}

impl Hidden<'_> {
    /// A masked text without what it repeats.
    fn masked(&self, masked: &str) -> String {
        let mut text = masked.to_owned();
        self.echoes.hide(&mut text);
        text
    }

    fn headers(&self, headers: &Headers) -> Headers {
        let mut hidden = Headers::new();
        for ((name, value), (shown_name, shown)) in headers.iter().zip(headers.parts()) {
            let text = String::from_utf8_lossy(value);
            let masked = self.masker.header(&String::from_utf8_lossy(name), &text);
            match shown.identity() {
                // What is not known is no secret.
                Some(_) => hidden.push_parts(shown_name, shown),
                None if masked == text && !self.echoed(&masked) => hidden.push(name, value),
                None => hidden.push(name, self.masked(&masked).as_bytes()),
            }
        }
        hidden
    }

    fn echoed(&self, text: &str) -> bool {
        self.masked(text) != text
    }

    fn body(&self, headers: &Headers, body: &Body) -> Body {
        let codings = headers.all("content-encoding");
        let content = content::decode(&body.bytes, codings, crate::limits::BODY_BYTES);
        let Ok(content) = content else { return body.clone() };
        let masked = match std::str::from_utf8(&content) {
            Ok(text) => self.masked(&self.masker.text(text)).into_bytes(),
            Err(_) if self.masker.is_off() => content.into_owned(),
            // Nobody finds the secrets in what is no text.
            Err(_) => digest_text(content.len() as u64, &Sha256::digest(&content)).into_bytes(),
        };
        Body::whole(masked)
    }

    /// The same request without secrets, its content coding undone.
    pub(crate) fn hidden_request(&self, request: &Request) -> Request {
        let target = String::from_utf8_lossy(&request.target);
        let target = match self.masker.is_off() {
            true => request.target.clone(),
            false => self.masked(&self.masker.target(&target)).into(),
        };
        Request {
            target,
            headers: self.headers(&request.headers),
            body: self.body(&request.headers, &request.body),
            trailers: self.headers(&request.trailers),
            verbatim: None,
            ..request.clone()
        }
    }

    /// The same answer without secrets, its content coding undone.
    pub(crate) fn hidden_response(&self, response: &Response) -> Response {
        let reason = String::from_utf8_lossy(&response.reason);
        let reason = match self.masker.is_off() {
            true => response.reason.clone(),
            false => self.masked(&self.masker.text(&reason)).into(),
        };
        Response {
            reason,
            headers: self.headers(&response.headers),
            body: self.body(&response.headers, &response.body),
            trailers: self.headers(&response.trailers),
            ..response.clone()
        }
    }

    /// What was said in messages, each side's as a list of JSON.
    fn messages(&self, said: &[Response; 3]) -> Value {
        let [client, v1, v2] = said.each_ref().map(|said| {
            let body = self.body(&said.headers, &said.body);
            serde_json::from_slice::<Value>(&body.bytes).unwrap_or(Value::Null)
        });
        json!({"client": client, "v1": v1, "v2": v2})
    }

    fn request(&self, request: &Request) -> Value {
        let mut out = vec![b'{'];
        request_fields(&mut out, &self.hidden_request(request));
        object(out)
    }

    fn response(&self, response: &Response) -> Value {
        let mut out = vec![b'{'];
        response_fields(&mut out, &self.hidden_response(response));
        object(out)
    }
}

fn object(mut fields: Vec<u8>) -> Value {
    fields.push(b'}');
    serde_json::from_slice(&fields).unwrap_or_else(|_| Value::Object(Map::new()))
}
