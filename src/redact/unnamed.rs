//! Secrets in Protocol Buffers without a schema: what is known by its look, in the strings of their
//! messages, also where these are compressed.

use super::body;
use super::hide::Hide;
use crate::message::Headers;
use crate::message::grpc::{self, Codec};
use crate::message::media::MediaType;
use crate::message::protobuf::with_strings;

/// A body with its secrets replaced; none where there are none, or it is another kind of body.
pub(super) fn redact(hide: &mut impl Hide, headers: &Headers, content: &[u8]) -> Option<Vec<u8>> {
    let kind = MediaType::new(headers.get("content-type").unwrap_or_default());
    let mut look = |text: &[u8]| body::redact(hide, b"", text);
    if grpc::is_bare_protobuf(kind) {
        return with_strings(content, &mut look);
    }
    if grpc::codec(kind) != Some(Codec::Protobuf) {
        return None;
    }
    let messages = grpc::messages(kind, headers, content).messages;
    let new: Vec<Option<Vec<u8>>> = messages
        .into_iter()
        .map(|message| message.and_then(|message| with_strings(&message, &mut look)))
        .collect();
    if new.iter().all(Option::is_none) { None } else { grpc::with_messages(kind, content, &new) }
}
