//! One place of a connection: a request with what answers it, and the parts of the exchange that it
//! becomes.

use crate::exchange::{Completeness, TimedRequest, TimedResponse};
use crate::limits;
use crate::message::{Extras, Request, Response};
use crate::time::Timestamp;
use crate::wire::conversation::PacketMark;
use crate::wire::h1::parsed::{Message, Parsed};

/// A place in the connection: a request, or an orphan response.
#[derive(Debug, Default)]
pub(super) struct PairingSlot {
    pub(super) request: Option<Box<Parsed<PacketMark>>>,
    /// The request is still under way; where it starts in its stream.
    pub(super) open: bool,
    pub(super) start: u64,
    pub(super) interim: Interim,
    pub(super) response: Option<Box<Parsed<PacketMark>>>,
    /// The response was lost.
    pub(super) lost: bool,
    /// It opened a WebSocket, of which messages may still come.
    pub(super) socket: bool,
    pub(super) note: Option<&'static str>,
}

/// Interim answers of one exchange: the first ones, and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Interim {
    pub(super) kept: Vec<Parsed<PacketMark>>,
    pub(super) bytes: usize,
    pub(super) more: u64,
}

impl Interim {
    /// Keeps one more where there is room.
    pub(super) fn add(&mut self, parsed: Parsed<PacketMark>) {
        let bytes = self.bytes + weight(&parsed.message);
        if self.kept.len() >= limits::INTERIM_RESPONSES || bytes > limits::INTERIM_BYTES {
            self.more += 1;
            return;
        }
        self.bytes = bytes;
        self.kept.push(parsed);
    }
}

impl PairingSlot {
    /// How complete the exchange is that it becomes.
    pub(super) fn completeness(&self) -> Completeness {
        match (&self.request, &self.response) {
            (None, _) => Completeness::OrphanResponse,
            (Some(request), _) if request.damage.is_some() => Completeness::RequestDamaged,
            (Some(_), Some(response)) if response.damage.is_some() => Completeness::ResponseDamaged,
            (Some(_), Some(_)) => Completeness::Complete,
            (Some(_), None) if self.lost => Completeness::ResponseDamaged,
            (Some(_), None) => Completeness::NoResponse,
        }
    }

    /// Whether nothing more can come of it.
    pub(super) fn is_done(&self) -> bool {
        !self.open && !self.socket && (self.response.is_some() || self.lost)
    }

    /// What it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of = |parsed: &Option<Box<Parsed<PacketMark>>>| {
            parsed.as_ref().map_or(0, |parsed| weight(&parsed.message))
        };
        of(&self.request) + of(&self.response) + self.interim.bytes
    }
}

/// What a message holds, in bytes.
pub(super) fn weight(message: &Message) -> usize {
    512 + match message {
        Message::Request(Request { target, headers, body, trailers, .. }) => {
            target.len() + headers.weight() + body.bytes.len() + trailers.weight()
        }
        Message::Response(Response { headers, body, trailers, .. }) => {
            headers.weight() + body.bytes.len() + trailers.weight()
        }
    }
}

/// Says in words what is damaged or odd about a message, with packet numbers.
pub(super) fn note(what: &str, parsed: &Parsed<PacketMark>, marks: &mut Vec<String>) {
    for hole in &parsed.holes {
        let kind = if hole.mark.cut { "cut by the snap length" } else { "gap" };
        marks
            .push(format!("{what}: {kind} of {} bytes at packet {}", hole.bytes, hole.mark.packet));
    }
    match parsed.damage {
        Some(damage) if parsed.holes.is_empty() => {
            marks.push(format!("{what}: {} at packet {}", damage.name(), parsed.last.packet))
        }
        _ => {}
    }
    for odd in &parsed.oddities {
        marks.push(format!("{what}: {odd} at packet {}", parsed.first.packet));
    }
    if parsed.resumed {
        marks.push(format!("{what}: what came before packet {} is missing", parsed.first.packet));
    }
}

/// When the body came, where its pace says something.
fn extras(parsed: &Parsed<PacketMark>, start: Timestamp) -> Option<Box<Extras>> {
    let pieces = parsed.pieces.as_ref()?.since(start, |mark| mark.at);
    Extras { pieces, ..Extras::default() }.of()
}

/// A request with its times.
pub(super) fn timed_request(parsed: Parsed<PacketMark>) -> Option<TimedRequest> {
    let duration_ns = parsed.last.at.since(parsed.first.at);
    let extras = extras(&parsed, parsed.first.at);
    match parsed.message {
        Message::Request(mut message) => {
            message.extras = extras;
            Some(TimedRequest { at: parsed.first.at, duration_ns, message })
        }
        Message::Response(_) => None,
    }
}

/// A response with its times since the request that began at `start`.
pub(super) fn timed_response(
    parsed: Parsed<PacketMark>,
    start: Option<Timestamp>,
) -> Option<TimedResponse> {
    let whole = parsed.damage.is_none();
    let extras = extras(&parsed, start.unwrap_or(parsed.first.at));
    match parsed.message {
        Message::Response(mut message) => {
            message.extras = extras;
            Some(TimedResponse {
                at: parsed.first.at,
                first_byte_ns: start.map(|start| parsed.first.at.since(start)),
                last_byte_ns: start.filter(|_| whole).map(|start| parsed.last.at.since(start)),
                message,
            })
        }
        Message::Request(_) => None,
    }
}
