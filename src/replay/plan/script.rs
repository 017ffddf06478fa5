//! A request of HTTP/2 as it stands in the spool: its fields in their order, what of its content
//! goes when, and how its client left.
//!
//! It begins with an octet that no request of HTTP/1 begins with. Behind the head stands the body;
//! the head holds, each with its length: the header section, the trailer section, the moments of
//! the pieces. Header sections are kept as fields, not as blocks (RFC 7541): values can still be
//! changed, and which table a connection has is known only when it is there.

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::message::edit::Changes;
use crate::message::{Body, Extras, Framing, Headers, Request, Version, reset_of};
use crate::varint::fixed;
use crate::wire::pace::MessageCounter;

/// The first octet.
const MARK: u8 = 0;
/// What is nearer to the start of a request than this goes with it.
const AT_ONCE_NS: i64 = 500_000;

/// When something of a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct SendMoment {
    /// Nanoseconds since the request's first byte, in captured time.
    pub(in crate::replay) at: i64,
    /// How many messages of the answer its client had.
    pub(in crate::replay) messages: u32,
    /// Its client had the head of the answer.
    pub(in crate::replay) headed: bool,
}

/// What a client did on a stream beside sending its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Story {
    /// The pieces of the body; none where it goes at once.
    pub(in crate::replay) pieces: Vec<(u64, SendMoment)>,
    /// When it ended its part of the stream, where that was later than its last piece.
    pub(in crate::replay) end: Option<SendMoment>,
    /// With which code it left the answer, and how many messages it had by then.
    pub(in crate::replay) left: Option<(u32, u32)>,
    /// With which code v1 reset the stream.
    pub(in crate::replay) reset: Option<u32>,
}

impl Story {
    /// What the client of an exchange did.
    pub(in crate::replay) fn of(exchange: &Exchange) -> Self {
        let Some(request) = &exchange.request else { return Self::default() };
        let extras = request.message.extras.as_deref();
        let had = |at: i64| moment(exchange, at);
        let captured = extras.map_or(&[][..], |extras| &extras.pieces);
        let pieces: Vec<_> = captured.iter().map(|&(bytes, at)| (bytes, had(at))).collect();
        let last = captured.last().map_or(0, |(_, at)| *at);
        let answer = exchange.response.as_ref().map(|response| &response.message);
        let whole = exchange.response.as_ref().is_some_and(|answer| answer.last_byte_ns.is_some());
        let left = reset_of(extras).filter(|_| answer.is_some() && !whole);
        Self {
            end: (!pieces.is_empty() && request.duration_ns > last + AT_ONCE_NS)
                .then(|| had(request.duration_ns)),
            pieces,
            left: left.map(|code| (code, had(i64::MAX).messages)),
            reset: answer.and_then(|answer| reset_of(answer.extras.as_deref())),
        }
    }

    /// The same for messages of other lengths: a piece ends in the message in which it did.
    fn recut(mut self, old: &[u8], new: &[u8]) -> Self {
        let mut ends = message_ends(old).zip(message_ends(new)).peekable();
        let (mut told, mut before, mut given) = (0, (0, 0), 0);
        for (bytes, _) in &mut self.pieces {
            told += *bytes;
            while let Some(passed) = ends.next_if(|(end, _)| *end <= told) {
                before = passed;
            }
            let most = ends.peek().map_or(new.len() as u64, |(_, end)| *end);
            let end = (before.1 + (told - before.0)).min(most).max(given);
            *bytes = end - std::mem::replace(&mut given, end);
        }
        self
    }

    /// The same for a body that is now so long.
    fn fitting(mut self, length: u64) -> Self {
        let told: u64 = self.pieces.iter().map(|(bytes, _)| bytes).sum();
        if let Some((last, _)) = self.pieces.last_mut() {
            if length >= told {
                *last += length - told;
            } else {
                // Shorter than it was: what is left goes in the pieces that it fills.
                let mut left = length;
                for (bytes, _) in &mut self.pieces {
                    *bytes = left.min(*bytes);
                    left -= *bytes;
                }
            }
        }
        self.pieces.retain(|(bytes, _)| *bytes > 0);
        self
    }
}

/// Where the messages of a body end, each behind a flag and its length.
fn message_ends(body: &[u8]) -> impl Iterator<Item = u64> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let [_, length @ ..] = *body.get(at..)?.first_chunk::<5>()?;
        at = at.saturating_add(5 + u32::from_be_bytes(length) as usize);
        (at <= body.len()).then_some(at as u64)
    })
}

/// What the client of an exchange had of the answer, so long after it began.
fn moment(exchange: &Exchange, at: i64) -> SendMoment {
    let answer = exchange.response.as_ref();
    let headed = answer.and_then(|answer| answer.first_byte_ns).is_some_and(|first| first <= at);
    let mut messages = 0;
    if let Some(answer) = answer.filter(|_| headed) {
        let kind = answer.message.headers.get("content-type").unwrap_or_default();
        let mut counted = MessageCounter::of(kind);
        let mut rest = &answer.message.body.bytes[..];
        for &(bytes, when) in answer.message.extras.iter().flat_map(|extras| &extras.pieces) {
            if when > at {
                break;
            }
            let (piece, after) = rest.split_at((bytes as usize).min(rest.len()));
            counted.push(piece);
            rest = after;
        }
        messages = counted.count();
    }
    SendMoment { at: if at < AT_ONCE_NS { 0 } else { at }, messages, headed }
}

/// Appends a request; gives how much of it is the head.
pub(in crate::replay) fn write(out: &mut Vec<u8>, request: &Request, story: Story) -> usize {
    let head = write_head(out, request, &story.fitting(request.body.bytes.len() as u64));
    out.extend_from_slice(&request.body.bytes);
    head
}

/// Appends a prepared request with other values in it; gives how much of it is the head.
/// `prepared`: its bytes; of a long one the first part will do where the body stays.
pub(in crate::replay) fn patched(
    out: &mut Vec<u8>,
    prepared: &[u8],
    request: &Request,
    changes: &Changes,
) -> usize {
    let Some((script, at_hand)) = read_all(prepared) else { return 0 };
    let target = changes.target.as_deref().unwrap_or(&request.target);
    let headers: Headers = changes
        .fields(&request.headers)
        .iter()
        .map(|(name, value)| if name == b":path" { (name, target) } else { (name, value) })
        .collect();
    let never_indexed = never_indexed(request, &headers);
    let extras = Extras { never_indexed, ..Extras::default() }.of();
    let (framing, trailers) = (request.framing, request.trailers.clone());
    let new = Request { headers, framing, trailers, extras, ..Request::default() };
    match &changes.body {
        None => {
            let head = write_head(out, &new, &script.story);
            out.extend_from_slice(at_hand);
            head
        }
        Some(body) => {
            let kind = new.headers.get("content-type").unwrap_or_default();
            let story = match MessageCounter::of(kind).counts() {
                true => script.story.recut(at_hand, body),
                false => script.story,
            };
            write(out, &Request { body: Body::whole(body.clone()), ..new }, story)
        }
    }
}

/// The places of the fields that must never be indexed, where others may stand before them: those
/// of their names.
pub(super) fn never_indexed(request: &Request, headers: &Headers) -> Vec<u32> {
    let marked = request.extras.iter().flat_map(|extras| &extras.never_indexed);
    let names: Vec<&[u8]> =
        marked.filter_map(|&at| request.headers.iter().nth(at as usize)).map(|(n, _)| n).collect();
    let places = (0..).zip(headers.iter());
    places.filter(|(_, (name, _))| names.contains(name)).map(|(place, _)| place).collect()
}

fn write_head(out: &mut Vec<u8>, request: &Request, story: &Story) -> usize {
    let start = out.len();
    out.push(MARK);
    out.push(u8::from(request.framing == Framing::None));
    let never = request.extras.as_ref().map_or(&[][..], |extras| &extras.never_indexed);
    section(out, &request.headers, never);
    section(out, &request.trailers, &[]);
    let with_length = |out: &mut Vec<u8>, moments: &[(u64, SendMoment)]| {
        out.extend_from_slice(&(moments.len() as u32).to_be_bytes());
        for (bytes, moment) in moments {
            out.extend_from_slice(&bytes.to_be_bytes());
            out.extend_from_slice(&moment.at.to_be_bytes());
            out.extend_from_slice(&moment.messages.to_be_bytes());
            out.push(u8::from(moment.headed));
        }
    };
    with_length(out, &story.pieces);
    let end: Vec<_> = story.end.map(|moment| (0, moment)).into_iter().collect();
    with_length(out, &end);
    let (code, messages) = story.left.map_or((u64::MAX, 0), |(code, had)| (code.into(), had));
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&messages.to_be_bytes());
    out.extend_from_slice(&story.reset.map_or(u64::MAX, u64::from).to_be_bytes());
    out.len() - start
}

fn section(out: &mut Vec<u8>, fields: &Headers, never: &[u32]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for (place, (name, value)) in (0..).zip(fields.iter()) {
        out.push(u8::from(never.contains(&place)));
        out.extend_from_slice(&(name.len() as u32).to_be_bytes());
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A request, read where it stands.
#[derive(Debug)]
pub(in crate::replay) struct Script<'a> {
    /// Its stream ends with its header section.
    pub(in crate::replay) is_bare: bool,
    fields: &'a [u8],
    trailers: &'a [u8],
    pub(in crate::replay) story: Story,
}

/// Whether prepared bytes are those of a request of HTTP/2.
pub(in crate::replay) fn is_script(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MARK)
}

/// The request that stands in prepared bytes, with what is at hand of its body.
pub(in crate::replay) fn request(bytes: &[u8]) -> Option<Request> {
    let (script, body) = read_all(bytes)?;
    Some(script.request(Bytes::copy_from_slice(body)))
}

/// Reads the head of a request.
pub(in crate::replay) fn read(bytes: &[u8]) -> Option<Script<'_>> {
    Some(read_all(bytes)?.0)
}

/// The head of a request, and what stands behind it.
fn read_all(mut bytes: &[u8]) -> Option<(Script<'_>, &[u8])> {
    let input = &mut bytes;
    if fixed::<1>(input)? != [MARK] {
        return None;
    }
    let is_bare = fixed::<1>(input)? == [1];
    let (fields, trailers) = (with_length(input)?, with_length(input)?);
    let pieces = moments(input)?;
    let end = moments(input)?.first().map(|(_, moment)| *moment);
    let code = u32::try_from(u64::from_be_bytes(fixed(input)?)).ok();
    let messages = u32::from_be_bytes(fixed(input)?);
    let reset = u32::try_from(u64::from_be_bytes(fixed(input)?)).ok();
    let left = code.map(|code| (code, messages));
    let story = Story { pieces, end, left, reset };
    Some((Script { is_bare, fields, trailers, story }, bytes))
}

fn with_length<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(fixed(input)?) as usize;
    let (part, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(part)
}

fn moments(input: &mut &[u8]) -> Option<Vec<(u64, SendMoment)>> {
    let count = u32::from_be_bytes(fixed(input)?);
    let mut moments = Vec::new();
    for _ in 0..count {
        let bytes = u64::from_be_bytes(fixed(input)?);
        let at = i64::from_be_bytes(fixed(input)?);
        let messages = u32::from_be_bytes(fixed(input)?);
        let headed = fixed(input)? == [1];
        moments.push((bytes, SendMoment { at, messages, headed }));
    }
    Some(moments)
}

/// The fields of a section: name, value, and whether it must never be indexed.
pub(in crate::replay) struct SectionFields<'a>(&'a [u8]);

impl<'a> Iterator for SectionFields<'a> {
    type Item = (&'a [u8], &'a [u8], bool);

    fn next(&mut self) -> Option<Self::Item> {
        let never = fixed(&mut self.0)? == [1];
        let name = u32::from_be_bytes(fixed(&mut self.0)?) as usize;
        let value = u32::from_be_bytes(fixed(&mut self.0)?) as usize;
        let (name, rest) = self.0.split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some((name, value, never))
    }
}

impl<'a> Script<'a> {
    /// The header section.
    pub(in crate::replay) fn fields(&self) -> SectionFields<'a> {
        SectionFields(self.fields)
    }

    /// The trailer section; empty where there is none.
    pub(in crate::replay) fn trailers(&self) -> SectionFields<'a> {
        SectionFields(self.trailers)
    }

    /// The request, with this body.
    pub(in crate::replay) fn request(&self, body: Bytes) -> Request {
        let gather =
            |fields: SectionFields<'_>| -> Headers { fields.map(|(n, v, _)| (n, v)).collect() };
        let headers = gather(self.fields());
        let own = |name| headers.get(name).map(Bytes::copy_from_slice).unwrap_or_default();
        let places = (0..).zip(self.fields()).filter(|(_, (.., never))| *never);
        let never_indexed = places.map(|(place, _)| place).collect();
        Request {
            method: own(":method"),
            target: own(":path"),
            version: Version::Http2,
            framing: if self.is_bare { Framing::None } else { Framing::Frames },
            trailers: gather(self.trailers()),
            extras: Extras { never_indexed, ..Extras::default() }.of(),
            body: Body::whole(body),
            headers,
            verbatim: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_in_the_messages_in_which_they_did() {
        let framed = |messages: &[&[u8]]| -> Vec<u8> {
            messages.iter().flat_map(|message| crate::message::grpc::frame_of(message)).collect()
        };
        let (old, new) = (framed(&[b"a", b"bb", b"ccc"]), framed(&[b"a1234", b"bb", b"c"]));
        let cut = |pieces: &[u64]| {
            let at = |bytes: &u64| (*bytes, SendMoment::default());
            let story = Story { pieces: pieces.iter().map(at).collect(), ..Story::default() };
            story.recut(&old, &new).pieces.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[6, 7, 8]), [10, 7, 6]);
        assert_eq!(cut(&[13, 8]), [17, 6]);
        assert_eq!(cut(&[3, 3, 7, 7, 1]), [3, 7, 7, 6, 0], "inside messages");
        assert_eq!(cut(&[21]), [23]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let fields = [(":method", "POST"), (":path", "/a"), ("authorization", "b"), ("x", "")];
        let bytes = |(n, v): (&'static str, &'static str)| (n.as_bytes(), v.as_bytes());
        let request = Request {
            method: "POST".into(),
            target: "/a".into(),
            version: Version::Http2,
            headers: fields.into_iter().map(bytes).collect(),
            trailers: [("t", "v")].into_iter().map(bytes).collect(),
            framing: Framing::Frames,
            body: Body::whole("0123456789"),
            extras: Extras { never_indexed: vec![2], ..Extras::default() }.of(),
            ..Request::default()
        };
        let at = |at| SendMoment { at, messages: 3, headed: true };
        let story = Story {
            pieces: vec![(4, at(0)), (6, at(900_000))],
            end: Some(at(1_000_000)),
            left: Some((8, 2)),
            reset: Some(2),
        };
        let mut out = Vec::new();
        let head = write(&mut out, &request, story.clone());
        assert!(is_script(&out) && out[head..] == b"0123456789"[..]);
        let script = read(&out[..head]).unwrap();
        assert_eq!(script.story, story);
        assert_eq!(script.request(Bytes::from_static(b"0123456789")), request);
        for cut in 0..head {
            assert!(read(&out[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn pieces_follow_a_body_whose_length_changed() {
        let piece = |bytes| (bytes, SendMoment::default());
        let story = Story { pieces: vec![piece(4), piece(6)], ..Story::default() };
        for (length, pieces) in [(10, &[4, 6][..]), (12, &[4, 8]), (7, &[4, 3]), (2, &[2])] {
            let now = story.clone().fitting(length).pieces;
            assert_eq!(now.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), pieces);
        }
    }
}
