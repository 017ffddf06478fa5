//! How bodies of Protocol Buffers are read: by the schemas that were given, else by what was
//! learned of each method.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::MessageDescriptor;
use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use super::{Schema, Shape, named, numbered, push_text};
use crate::message::Headers;
use crate::message::grpc::{self, Codec, Messages};
use crate::message::media::MediaType;
use crate::message::target::path_and_query;

/// Methods whose messages are learned; those beyond are compared by their octets.
const MAX_METHODS: usize = 4_096;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The client.
    Question,
    /// The server.
    Answer,
}

/// What is known of messages.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    schema: Schema,
    /// By path: of questions and of answers.
    learned: FxHashMap<Box<[u8]>, [Shape; 2]>,
}

/// A body as JSON.
#[derive(Debug, PartialEq)]
pub struct Read {
    /// An array of messages, or the one message of a body without frames.
    pub json: Vec<u8>,
    /// Trailer fields in the body.
    pub trailers: Option<Headers>,
    /// Messages, and the rest at the end, that could not be read and stand in base64.
    pub unread: usize,
}

impl Readings {
    /// By a schema.
    pub fn new(schema: Schema) -> Self {
        Self { schema, ..Self::default() }
    }

    /// Whether a body of this type may be read.
    pub fn may_be(headers: &Headers) -> bool {
        let kind = kind_of(headers);
        grpc::codec(kind).is_some() || grpc::is_bare_protobuf(kind)
    }

    /// Learns from a body that no schema names the messages of.
    pub fn learn(&mut self, said: Speaker, target: &[u8], headers: &Headers, body: &[u8]) {
        let kind = kind_of(headers);
        let path = path_and_query(target).0;
        let is_known = self.learned.contains_key(path);
        if self.descriptor(said, target).is_some() || !is_known && self.learned.len() >= MAX_METHODS
        {
            return;
        }
        let shapes = self.learned.entry(path.into()).or_default();
        let shape = &mut shapes[said as usize];
        if grpc::is_bare_protobuf(kind) {
            shape.learn(body);
        } else if grpc::codec(kind) == Some(Codec::Protobuf) {
            for message in grpc::messages(kind, headers, body).messages.into_iter().flatten() {
                shape.learn(&message);
            }
        }
    }

    /// A body as JSON; none where it is of another type, or nothing is known of its messages.
    pub fn read(
        &self,
        said: Speaker,
        target: &[u8],
        headers: &Headers,
        body: &[u8],
    ) -> Option<Read> {
        let kind = kind_of(headers);
        let is_bare = grpc::is_bare_protobuf(kind);
        let codec = if is_bare { Codec::Protobuf } else { grpc::codec(kind)? };
        let reading = self.reading(said, target, codec)?;
        let Messages { messages, trailers, rest } = if is_bare {
            Messages { messages: vec![Some(Cow::Borrowed(body))], ..Messages::default() }
        } else {
            grpc::messages(kind, headers, body)
        };
        let (mut json, mut unread) = (Vec::new(), usize::from(rest > 0));
        for message in &messages {
            json.push(if json.is_empty() { b'[' } else { b',' });
            unread += usize::from(!reading.message(message.as_deref(), &mut json));
        }
        if rest > 0 {
            json.push(if json.is_empty() { b'[' } else { b',' });
            push_text(&mut json, &STANDARD.encode(&body[body.len().saturating_sub(rest)..]));
        }
        match (is_bare, json.is_empty()) {
            (true, _) => drop(json.remove(0)),
            (false, true) => json.extend_from_slice(b"[]"),
            (false, false) => json.push(b']'),
        }
        Some(Read { json, trailers, unread })
    }

    /// A body with what was edited in its JSON. None where that cannot be written.
    pub fn write(
        &self,
        said: Speaker,
        target: &[u8],
        headers: &Headers,
        body: &[u8],
        edited: &[u8],
    ) -> Option<Vec<u8>> {
        let kind = kind_of(headers);
        if grpc::is_bare_protobuf(kind) {
            return named::with_json(&self.descriptor(said, target)?, body, edited);
        }
        let edited: Vec<&RawValue> = serde_json::from_slice(edited).ok()?;
        let messages = grpc::messages(kind, headers, body).messages;
        let is_json = grpc::codec(kind) == Some(Codec::Json);
        let descriptor = self.descriptor(said, target);
        let one = |(message, edited): (Option<Cow<'_, [u8]>>, &&RawValue)| {
            let text = edited.get().as_bytes();
            match (message, &descriptor) {
                (Some(_), _) if is_json => Some(Some(text.to_vec())),
                (Some(message), Some(kind)) => named::with_json(kind, &message, text).map(Some),
                _ => None,
            }
        };
        let new: Option<Vec<_>> = messages.into_iter().zip(&edited).map(one).collect();
        grpc::with_messages(kind, body, &new?)
    }

    fn descriptor(&self, said: Speaker, target: &[u8]) -> Option<MessageDescriptor> {
        match said {
            Speaker::Question => self.schema.question(target),
            Speaker::Answer => self.schema.answer(target),
        }
    }

    fn reading(&self, said: Speaker, target: &[u8], codec: Codec) -> Option<Reading<'_>> {
        if codec != Codec::Protobuf {
            return (codec == Codec::Json).then_some(Reading::Json);
        }
        let named = || self.descriptor(said, target).map(Reading::Named);
        let learned = || {
            let shapes = self.learned.get(path_and_query(target).0)?;
            Some(Reading::Learned(&shapes[said as usize]))
        };
        named().or_else(learned)
    }
}

/// How one message is read.
enum Reading<'r> {
    Named(MessageDescriptor),
    Learned(&'r Shape),
    Json,
}

impl Reading<'_> {
    /// Writes a message as JSON, or its octets in base64; whether it could be read.
    fn message(&self, message: Option<&[u8]>, json: &mut Vec<u8>) -> bool {
        let Some(message) = message else {
            push_text(json, "not decodable");
            return false;
        };
        let before = json.len();
        let is_read = match self {
            Self::Named(kind) => named::as_json(kind, message, json),
            Self::Learned(shape) => numbered::as_json(shape, message, json),
            Self::Json => {
                let is_json = serde_json::from_slice::<&RawValue>(message).is_ok();
                if is_json {
                    json.extend_from_slice(message);
                }
                is_json
            }
        };
        if !is_read {
            json.truncate(before);
            push_text(json, &STANDARD.encode(message));
        }
        is_read
    }
}

fn kind_of(headers: &Headers) -> MediaType<'_> {
    MediaType::new(headers.get("content-type").unwrap_or_default())
}
