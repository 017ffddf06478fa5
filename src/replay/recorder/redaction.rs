//! Takes secrets out of answers before they are written, on the recorder's thread: what is sent,
//! and when, does not change.
//!
//! What of its request comes again in an answer is told by the request itself, which is read back
//! from the spool.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::exchange::SocketMessage;
use crate::message::place::{Place, Step};
use crate::message::{Body, Headers, Request, Response, fields};
use crate::redact::Redactor;
use crate::redact::{AnsweredRequest, KnownTokens};
use crate::replay::plan::course::Course;
use crate::replay::plan::script;
use crate::replay::plan::spool::Spool;
use crate::replay::session::client;
use crate::replay::task::Done;

/// How answers are redacted.
#[derive(Debug)]
pub struct Redaction {
    /// The rules and the key.
    pub redactor: Redactor,
    /// The tokens that requests hold, where the recording is redacted already.
    pub known: Option<KnownTokens>,
    /// Names of the header fields that are set in every request: they were not recorded.
    pub given: Vec<String>,
}

impl Redaction {
    /// Takes secrets out of a value that an answer gave at `place`, as out of that answer.
    pub(in crate::replay) fn value(&self, place: &Place, text: &str) -> String {
        let mut answer = holding(place, text);
        let (given, known) = (&self.given[..], self.known.as_ref());
        let asked = AnsweredRequest { given, known, ..AnsweredRequest::default() };
        self.redactor.answer(asked, &mut answer, true);
        held(&answer).unwrap_or_default()
    }
}

/// An answer that holds nothing but a text, under the names that lead to its place.
fn holding(place: &Place, text: &str) -> Response {
    let mut headers = Headers::new();
    match place.steps().first() {
        Some(Step::Header(name)) => headers.push(name.as_bytes(), text.as_bytes()),
        Some(Step::Cookie(name)) => {
            headers.push(b"set-cookie", format!("{name}={text}").as_bytes());
        }
        _ => {
            let within = |value, step: &Step<'_>| match step.name() {
                Some(name) => json!({ name: value }),
                None => value,
            };
            let body = place.steps().iter().rev().fold(json!(text), within);
            let body = if body.is_string() { json!({ "": text }) } else { body };
            headers.push(b"content-type", b"application/json");
            let body = Body::whole(body.to_string().into_bytes());
            return Response { status: 200, headers, body, ..Response::default() };
        }
    }
    Response { status: 200, headers, ..Response::default() }
}

/// The text that such an answer holds.
fn held(answer: &Response) -> Option<String> {
    let (name, value) = answer.headers.iter().next()?;
    if !answer.body.bytes.is_empty() {
        let mut value: Value = serde_json::from_slice(&answer.body.bytes).ok()?;
        while let Value::Object(members) = value {
            value = members.into_iter().next()?.1;
        }
        return value.as_str().map(str::to_owned);
    }
    let value = if name == b"set-cookie" { fields::set_cookie(value).value } else { value };
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// Redacts one outcome after the other.
pub(in crate::replay) struct Redacting {
    pub(in crate::replay) by: Arc<Redaction>,
    pub(in crate::replay) spool: Spool,
}

/// A request as it was prepared.
fn prepared(bytes: &[u8]) -> Option<Request> {
    script::request(bytes).or_else(|| client::parse(bytes).ok())
}

impl Redacting {
    /// Redacts the answer, where there is one.
    pub(in crate::replay) fn apply(&self, done: &mut Done) -> io::Result<()> {
        let is_whole = done.outcome.failure.is_none();
        let said = self.said(done)?;
        let Some(response) = &mut done.outcome.response else { return Ok(()) };
        let request = match &done.filled {
            Some(filled) => prepared(filled),
            None => {
                let length = usize::try_from(done.request.length).unwrap_or(usize::MAX);
                let mut bytes = vec![0; length];
                self.spool.read_at(&mut bytes, done.request.offset)?;
                prepared(&bytes)
            }
        };
        let Redaction { redactor, known, given } = &*self.by;
        let (request, known) = (request.as_ref(), known.as_ref());
        let asked = AnsweredRequest { request, messages: &said, given, known };
        redactor.session(asked, response, &mut done.outcome.messages, is_whole);
        Ok(())
    }

    /// What was said to v2 on the WebSocket that v2 answered on.
    fn said(&self, done: &Done) -> io::Result<Vec<SocketMessage>> {
        let place = done.request;
        match done.outcome.messages[..] {
            [] => Ok(Vec::new()),
            [_, ..] => {
                let course = Course::read(&self.spool, place.end())?;
                let mut said = course.said(&self.spool)?;
                for (number, message) in said.iter_mut().enumerate() {
                    let socket = done.socket.as_ref();
                    let filled = socket.and_then(|gates| gates.filled(number, done.side));
                    message.data = filled.map_or(std::mem::take(&mut message.data), Body::whole);
                }
                Ok(said)
            }
        }
    }
}
