//! One message of a stream while it comes, and the request or response that it becomes
//! (RFC 9113 §8).

use bytes::Bytes;

use crate::message::{Extras, Framing, Headers, Request, Response, Version};
use crate::time::Timestamp;
use crate::wire::conversation::PacketMark;
use crate::wire::h1::body::BodyGather;
use crate::wire::h1::parser::{BODY_KEPT_IN_PART, ParserLimits};
use crate::wire::h2::frame::error_name;
use crate::wire::h2::hpack::HeaderBlock;
use crate::wire::pace::{Pieces, has_pace};

/// A message under way.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Its header section, where that was seen.
    head: Option<HeaderBlock>,
    pub(super) first: PacketMark,
    pub(super) last: PacketMark,
    body: BodyGather,
    trailers: Headers,
    /// Content came before its header section.
    headless: bool,
    /// Frames of DATA were seen, or END_STREAM did not stand on the head.
    framed: bool,
    pub(super) ended: bool,
    pub(super) reset: Option<u32>,
    /// Bytes of content that are missing.
    missing: u64,
    /// Frames of it may be missing.
    doubtful: bool,
    /// Of frames that may be missing, none but interim answers can have been its.
    led: bool,
    /// What is wrong with its blocks.
    faults: Vec<&'static str>,
    left_out: u64,
    pieces: Option<Pieces<Timestamp>>,
    /// Bytes that it keeps, about.
    pub(super) weight: usize,
}

impl Half {
    /// One that needs no end.
    pub(super) fn of_ended() -> Self {
        Self { ended: true, ..Self::default() }
    }

    /// Whether its header section was seen.
    pub(super) fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Nothing more of it comes.
    pub(super) fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }

    /// Its header section.
    pub(super) fn open(
        &mut self,
        block: HeaderBlock,
        first: PacketMark,
        last: PacketMark,
        limits: &ParserLimits,
    ) {
        (self.first, self.last) = (first, last);
        self.body = BodyGather::new(limits, 0);
        // Nothing but interim answers comes before such a head.
        let begins = kind_of(&block.fields) == Is::Request || status_of(&block.fields).is_some();
        self.led = begins && std::mem::take(&mut self.doubtful);
        self.left_out = block.left_out;
        let fields = &block.fields;
        let paced = fields.get("content-type").is_some_and(has_pace);
        if paced || fields.get(":protocol").is_some() {
            self.pieces = Some(Pieces::default());
        }
        self.weight +=
            512 + fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.head = Some(block);
    }

    /// Whether its head may be an interim answer's: nothing is known of its status, and nothing
    /// came behind it.
    pub(super) fn may_be_interim(&self) -> bool {
        let unknown = |head: &HeaderBlock| status_of(&head.fields).is_none();
        self.head.as_ref().is_some_and(unknown) && !self.framed && !self.is_over()
    }

    /// Takes a head that is an interim answer's: its own has not come.
    pub(super) fn take_interim(&mut self) -> Self {
        let (doubtful, faults) = (self.doubtful, std::mem::take(&mut self.faults));
        let fresh = Self { doubtful, faults, ..Self::default() };
        Self { ended: true, doubtful: false, ..std::mem::replace(self, fresh) }
    }

    /// Its body is a tunnel's (RFC 8441): the pace is kept.
    pub(super) fn keep_pace(&mut self) {
        self.pieces.get_or_insert_default();
    }

    /// What its header section says of a field.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.as_ref()?.fields.get(name)
    }

    /// Content.
    pub(super) fn push(&mut self, content: &[u8], mark: PacketMark) {
        let before = self.body.kept();
        self.body.push(content);
        self.weight += self.body.kept() - before;
        self.framed = true;
        self.last = self.last.max(mark);
        if let Some(pieces) = &mut self.pieces {
            pieces.add(content.len(), mark.at);
        }
    }

    /// Content that is missing.
    pub(super) fn skip(&mut self, bytes: u64, mark: PacketMark) {
        self.body.skip(bytes);
        self.missing += bytes;
        self.framed = true;
        self.last = self.last.max(mark);
        self.faults.push(if mark.cut { "cut by the snap length" } else { "gap" });
        self.faults.dedup();
    }

    /// Its trailer section.
    pub(super) fn close_with(&mut self, block: HeaderBlock) {
        self.framed = true;
        self.left_out += block.left_out;
        self.weight += 512;
        self.trailers = block.fields;
    }

    /// Whether a header block of it was lost or could not be read, or content came without one.
    pub(super) fn has_lost_head(&self) -> bool {
        self.head.is_none() && (self.headless || !self.faults.is_empty())
    }

    /// Content came, and its header section had not.
    pub(super) fn miss_head(&mut self) {
        self.headless = true;
    }

    /// Frames of its direction are missing here, of whichever stream.
    pub(super) fn doubt(&mut self) {
        if !self.is_over() {
            self.doubtful = true;
            self.body.doubt();
        }
    }

    /// Whether frames of it may be missing.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// A header block of it cannot be read.
    pub(super) fn fault(&mut self, why: &'static str) {
        self.faults.push(why);
    }

    /// Its direction's part of the stream is over.
    pub(super) fn end(&mut self, mark: PacketMark) {
        self.ended = true;
        self.last = self.last.max(mark);
    }

    /// Keeps nothing more of its body.
    pub(super) fn let_go(&mut self) {
        let before = self.body.kept();
        self.body.let_go();
        self.weight = self.weight.saturating_sub(before);
    }

    /// Whether bytes of it are missing, or fields cannot be told.
    pub(super) fn is_damaged(&self) -> bool {
        !self.faults.is_empty()
            || self.left_out > 0
            || self.unknown() > 0
            || self.doubtful && !self.is_proved()
            || !self.is_over()
    }

    /// Its length is what it says, so nothing of it was among frames that are missing.
    fn is_proved(&self) -> bool {
        let said = self.head.as_ref().and_then(|head| head.fields.get("content-length"));
        let said = said.and_then(|said| std::str::from_utf8(said).ok()?.parse::<u64>().ok());
        self.ended && said.is_some() && said == Some(self.body.length())
    }

    fn unknown(&self) -> usize {
        self.head.as_ref().map_or(0, |head| head.fields.unknown()) + self.trailers.unknown()
    }

    /// Says in words what is damaged or odd about it.
    pub(super) fn note(&self, what: &str, marks: &mut Vec<String>) {
        let packet = self.last.packet;
        if self.missing > 0 {
            marks.push(format!("{what}: gap of {} bytes at packet {packet}", self.missing));
        }
        for fault in self.faults.iter().filter(|fault| self.missing == 0 || **fault != "gap") {
            marks.push(format!("{what}: {fault} at packet {packet}"));
        }
        if self.left_out > 0 {
            marks.push(format!("{what}: {} fields beyond the limits left out", self.left_out));
        }
        if self.unknown() > 0 {
            let all = self.head.as_ref().map_or(0, |head| head.fields.len()) + self.trailers.len();
            marks.push(format!("{what}: hpack: {} of {all} fields unknown", self.unknown()));
        }
        if self.doubtful && !self.is_proved() {
            marks.push(format!("{what}: frames may be missing before packet {packet}"));
        }
        if self.led && what == "response" {
            marks.push("interim: answers may be missing".to_owned());
        }
        if let Some(code) = self.reset {
            marks.push(format!("{what}: reset with {} ({code})", error_name(code)));
        }
        if self.has_head() && !self.is_over() {
            marks.push(format!("{what}: ended-inside at packet {packet}"));
        }
        if self.missing == 0 && self.body.is_cut() {
            marks.push(format!("{what}: {BODY_KEPT_IN_PART} at packet {packet}"));
        }
    }

    /// The request, where its head was seen.
    pub(super) fn into_request(self, start: Timestamp) -> Option<Request> {
        let (head, parts) = self.into_parts(start)?;
        let own = |name| head.get(name).map(Bytes::copy_from_slice).unwrap_or_default();
        let method = own(":method");
        let target = match own(":path") {
            path if path.is_empty() && &method[..] == b"CONNECT" => own(":authority"),
            path => path,
        };
        let MessageParts { body, framing, trailers, extras } = parts;
        Some(Request {
            method,
            target,
            version: Version::Http2,
            headers: head,
            body,
            framing,
            trailers,
            verbatim: None,
            extras: extras.of(),
        })
    }

    /// The response, where its head was seen.
    pub(super) fn into_response(self, start: Timestamp) -> Option<Response> {
        let (head, parts) = self.into_parts(start)?;
        let MessageParts { body, framing, trailers, extras } = parts;
        Some(Response {
            status: status_of(&head).unwrap_or_default(),
            reason: Bytes::new(),
            version: Version::Http2,
            headers: head,
            body,
            framing,
            trailers,
            extras: extras.of(),
        })
    }

    fn into_parts(mut self, start: Timestamp) -> Option<(Headers, MessageParts)> {
        if self.doubtful && !self.is_proved() {
            self.body.lose_doubted();
        }
        let HeaderBlock { fields, never_indexed, .. } = self.head?;
        let pieces = self.pieces.map(|pieces| pieces.since(start, |at| at)).unwrap_or_default();
        let framing = if self.framed || !self.ended { Framing::Frames } else { Framing::None };
        let extras = Extras { reset: self.reset, never_indexed, pieces };
        let body = self.body.finish();
        Some((fields, MessageParts { body, framing, trailers: self.trailers, extras }))
    }
}

struct MessageParts {
    body: crate::message::Body,
    framing: Framing,
    trailers: Headers,
    extras: Extras,
}

/// What `:status` says.
pub(crate) fn status_of(fields: &Headers) -> Option<u16> {
    let digits = fields.get(":status")?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..=999).contains(status))
}

/// Whether fields are those of a request, of a response, or of neither for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// A request's head.
    Request,
    /// A response's head.
    Response,
    /// Trailers, or a head of which the pseudo-header fields are not known.
    Unsure,
    /// No pseudo-header field, and all names known.
    Trailers,
}

/// What a block is, by its pseudo-header fields (RFC 9113 §8.3).
pub(crate) fn kind_of(fields: &Headers) -> Is {
    let mut nameless = false;
    for (name, _) in fields.parts() {
        match name.octets() {
            b":status" => return Is::Response,
            b":method" | b":path" | b":scheme" | b":authority" | b":protocol" => {
                return Is::Request;
            }
            _ => nameless |= name.identity().is_some(),
        }
    }
    if nameless { Is::Unsure } else { Is::Trailers }
}

/// Whose fields these are by the names that only one side uses; for connections of which nothing
/// surer is known.
pub(crate) fn leaning_of(fields: &Headers) -> Option<Is> {
    const ASKING: [&[u8]; 8] = [
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"cookie",
        b"grpc-timeout",
        b"te",
    ];
    const ANSWERING: [&[u8]; 8] = [
        b"grpc-status",
        b"grpc-message",
        b"server",
        b"set-cookie",
        b"location",
        b"etag",
        b"last-modified",
        b"www-authenticate",
    ];
    fields.parts().find_map(|(name, _)| match name.octets() {
        name if ASKING.contains(&name) => Some(Is::Request),
        name if ANSWERING.contains(&name) => Some(Is::Response),
        _ => None,
    })
}

/// Names that heads of responses have, and trailers do not (RFC 9110 §6.5.1).
const HEADS: [&[u8]; 12] = [
    b"date",
    b"server",
    b"location",
    b"set-cookie",
    b"content-type",
    b"content-length",
    b"content-encoding",
    b"cache-control",
    b"etag",
    b"last-modified",
    b"vary",
    b"www-authenticate",
];

/// Whether a block that ends its stream, and may be a response's head or its trailers, is the
/// trailers: it has a name that is known, and none that only a head has (RFC 9110 §6.5.1), or it
/// begins with a literal whose name is not `:status`, as that one is in the static table, or it has
/// one field, as no head that a server sends.
pub(crate) fn may_trail(fields: &Headers) -> bool {
    let begins_with_literal = fields
        .parts()
        .next()
        .is_some_and(|(name, value)| name.identity().is_some() && value.identity().is_none());
    let mut known = fields.parts().filter(|(name, _)| name.identity().is_none()).peekable();
    (begins_with_literal || fields.len() == 1 || known.peek().is_some())
        && known.all(|(name, _)| !HEADS.contains(&name.octets()))
}

/// Whether a block is a response's head beyond doubt.
pub(crate) fn must_lead(fields: &Headers) -> bool {
    kind_of(fields) == Is::Response
        || fields.parts().any(|(name, _)| HEADS.contains(&name.octets()))
}
