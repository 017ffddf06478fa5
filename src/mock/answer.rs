//! Responses as the mock sends them: the recorded ones, byte for byte but for what belongs to the
//! connection, and its own.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use super::head::RecordedFields;
use super::pace;
use super::recording::{CallRecording, RecordedAnswer};
use super::shelf::{Shelf, ShelvedBody};
use crate::message::fields::{is_framing, is_hop_by_hop};
use crate::message::{Framing, Headers, Response, Version};

/// The status of a miss: no server of the field gives it, so that it cannot be taken for a
/// provider's answer.
pub(super) const MISS: u16 = 599;

/// An answer on its way.
#[derive(Debug, Default)]
pub(super) struct Reply<'r> {
    pub(super) status: u16,
    pub(super) reason: &'r [u8],
    /// The recorded fields.
    pub(super) fields: RecordedFields<'r>,
    /// Those that stand in their place.
    pub(super) turned: Option<Headers>,
    pub(super) trailers: RecordedFields<'r>,
    pub(super) chunked: bool,
    pub(super) body: Option<ReplyBody>,
    /// Header fields that the mock adds: its own answers' type, and the choice where that is to be
    /// explained.
    pub(super) added: Vec<(&'static str, String)>,
    /// When it is due, in nanoseconds from the arrival of the request: its first and its last byte.
    pub(super) due: Option<(i64, i64)>,
    /// Of a stream: when each part of the body is due.
    pub(super) pace: &'r [pace::PaceStep],
}

/// A body on its way.
#[derive(Clone, Debug)]
pub(super) enum ReplyBody {
    /// A recorded one.
    ShelvedBody(ShelvedBody),
    /// One that was made.
    Own(Bytes),
}

impl ReplyBody {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::ShelvedBody(kept) => kept.len(),
            Self::Own(bytes) => bytes.len() as u64,
        }
    }

    /// A part of it, as [`Shelf::part`] gives it.
    pub(super) fn part<'c>(
        &'c self,
        shelf: &'c Shelf,
        from: u64,
        until: u64,
    ) -> io::Result<Cow<'c, [u8]>> {
        match self {
            Self::ShelvedBody(kept) => shelf.part(kept, from, until),
            Self::Own(bytes) => {
                let until = until.min(self.len()) as usize;
                Ok(Cow::Borrowed(&bytes[until.min(from as usize)..until]))
            }
        }
    }
}

/// What the request says of its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Its method is HEAD: a head without a body.
    pub(super) head: bool,
    pub(super) version: Version,
    /// Whether the connection goes on after the answer.
    pub(super) persists: bool,
}

impl<'r> Reply<'r> {
    /// A recorded answer.
    pub(super) fn recorded(
        recording: &'r CallRecording,
        answer: &'r RecordedAnswer,
        with_its_timing: bool,
    ) -> Self {
        let head = recording.head(answer);
        Self {
            status: answer.status(),
            reason: head.start[0],
            fields: head.fields,
            turned: None,
            trailers: head.trailers,
            chunked: match answer.framing {
                Framing::Chunked => true,
                // Trailers need chunks.
                Framing::Frames => !head.trailers.is_empty(),
                _ => false,
            },
            body: Some(ReplyBody::ShelvedBody(answer.body)),
            added: vec![],
            due: with_its_timing.then_some((answer.first_byte_ns, answer.last_byte_ns)),
            pace: if with_its_timing { recording.pace(answer) } else { &[] },
        }
    }

    /// The same with other fields and another body, whose parts have no times of their own.
    pub(super) fn turned(self, turned: Response) -> Self {
        Self {
            turned: Some(turned.headers),
            body: Some(ReplyBody::Own(turned.body.bytes)),
            pace: &[],
            ..self
        }
    }

    /// An answer of the mock itself.
    pub(super) fn own(status: u16, body: &serde_json::Value) -> Self {
        let mut text = serde_json::to_vec_pretty(body).unwrap_or_default();
        text.push(b'\n');
        let added = vec![("content-type", "application/json".to_owned())];
        Self { body: Some(ReplyBody::Own(text.into())), added, ..Self::empty(status) }
    }

    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        let usual = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let reason = if status == MISS { "Not Recorded" } else { usual.unwrap_or_default() };
        Self { status, reason: reason.as_bytes(), ..Self::default() }
    }

    /// The parts of its body, and when each is due; what is due at once has no time to wait for.
    pub(super) fn steps(&self) -> Vec<pace::PaceStep> {
        match self.due {
            Some(_) if !self.pace.is_empty() => self.pace.to_vec(),
            Some((first, last)) => pace::of_body(self.length(), first, last),
            None => vec![(self.length(), 0)],
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.body.as_ref().map_or(0, ReplyBody::len)
    }

    /// The header fields in their order.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let recorded = if self.turned.is_none() { self.fields } else { RecordedFields::default() };
        recorded.chain(self.turned.iter().flat_map(Headers::iter))
    }

    /// Whether a body follows the head (RFC 9112 §6.3).
    pub(super) fn has_body(&self, asker: Asker) -> bool {
        !asker.head && self.status != 204 && self.status != 304
    }

    fn sends_chunks(&self, asker: Asker) -> bool {
        self.chunked && self.has_body(asker) && asker.version == Version::Http11
    }

    /// Appends the head: the recorded fields in their order and case, with the length that the body
    /// has. Gives whether chunks follow.
    pub(super) fn write_head(&self, asker: Asker, out: &mut Vec<u8>) -> bool {
        let chunks = self.sends_chunks(asker);
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa(u64::from(self.status)).as_slice());
        out.push(b' ');
        out.extend_from_slice(self.reason);
        out.extend_from_slice(b"\r\n");
        let field = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
            // No parser gives these; a recording that was written by hand might.
            if name.is_empty()
                || name.iter().chain(value).any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            {
                return;
            }
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        let mut framed = !self.has_body(asker);
        for (name, value) in self.fields() {
            // Pseudo-header fields are of HTTP/2 alone.
            if is_hop_by_hop(name) && !is_framing(name) || name.starts_with(b":") {
                continue;
            }
            let (length, coding) = (
                name.eq_ignore_ascii_case(b"content-length"),
                name.eq_ignore_ascii_case(b"transfer-encoding"),
            );
            match () {
                // Of an answer without a body it says how long the body would be.
                () if length && !self.has_body(asker) => field(out, name, value),
                () if length && !framed && !chunks => {
                    framed = true;
                    field(out, name, &itoa(self.length()));
                }
                () if coding && !framed && chunks => {
                    framed = true;
                    field(out, name, b"chunked");
                }
                () if length || coding => {}
                () => field(out, name, value),
            }
        }
        for (name, value) in &self.added {
            field(out, name.as_bytes(), value.as_bytes());
        }
        if !framed {
            if chunks {
                field(out, b"Transfer-Encoding", b"chunked")
            } else {
                field(out, b"Content-Length", &itoa(self.length()))
            }
        }
        if !asker.persists {
            field(out, b"Connection", b"close");
        } else if asker.version != Version::Http11 {
            field(out, b"Connection", b"keep-alive");
        }
        out.extend_from_slice(b"\r\n");
        chunks
    }

    /// Appends the end of a body in chunks, with its trailer fields.
    pub(super) fn write_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"0\r\n");
        for (name, value) in self.trailers {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The header fields for HTTP/2, where names are in lower case (RFC 9113 §8.2).
    pub(super) fn header_map(&self, head: bool) -> HeaderMap {
        let mut map = fields(self.fields());
        if !head && self.status != 304 {
            map.remove(CONTENT_LENGTH);
        }
        for (name, value) in &self.added {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.append(*name, value);
            }
        }
        map
    }

    /// The trailer fields for HTTP/2.
    pub(super) fn trailer_map(&self) -> Option<HeaderMap> {
        (!self.trailers.is_empty()).then(|| fields(self.trailers))
    }
}

fn fields<'f>(all: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in all {
        if is_hop_by_hop(name) {
            continue;
        }
        // What no header field may hold was damage in v1's answer; the rest of the answer is given.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// Appends a chunk.
pub(super) fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing into memory cannot fail.
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The decimal digits of a number.
fn itoa(mut number: u64) -> Vec<u8> {
    let mut digits = Vec::with_capacity(20);
    loop {
        digits.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            digits.reverse();
            return digits;
        }
    }
}
