//! One request on a connection of HTTP/2: what of its content goes when, and what has come of its
//! answer (RFC 9113 §5.1, §8.1).

use std::io;

use bytes::Bytes;

use crate::limits;
use crate::message::{Extras, Framing, Headers, Response, Version};
use crate::outcome::{Failure, FailureKind};
use crate::replay::plan::script::{SendMoment, Story};
use crate::replay::plan::spool::Spool;
use crate::replay::session::InFlight;
use crate::replay::session::h2::rules::H2Rules;
use crate::replay::task::{Answer, shown};
use crate::time::Timestamp;
use crate::wire::h1::body::BodyGather;
use crate::wire::h1::parser::ParserLimits;
use crate::wire::h2::hpack::HeaderBlock;
use crate::wire::pace::{MessageCounter, Pieces, has_pace};

/// How long a body waits for `100 Continue` (RFC 9110 §10.1.1 leaves the time to the client).
const CONTINUE_NS: i64 = 1_000_000_000;
/// A client with a deadline waits a tenth longer than that for the server to say that it passed,
/// and at least so long.
const GRACE_NS: i64 = 10_000_000;

/// Whether the next part of a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartGate {
    /// It may.
    Open,
    /// At this time, not before.
    At(i64),
    /// Behind more of the answer.
    Answer,
}

/// The next part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendPart {
    /// So much content.
    Content(u64),
    /// Nothing but the end.
    End,
    /// Everything went.
    None,
}

/// A request that was begun.
pub(super) struct BegunStream {
    pub(super) request: InFlight,
    story: Story,
    /// The piece under way, and how much of it went.
    piece: usize,
    of_piece: u64,
    /// How much content went, and how much there is.
    at: u64,
    total: u64,
    /// Where the content begins in the task's bytes.
    head: usize,
    /// It ended its part of the stream.
    pub(super) ended: bool,
    /// It was written that its trailers stand for the end.
    pub(super) trailers: bool,
    /// Not before: its `100 Continue` has not come.
    continues_at: i64,
    /// What v2 lets come: a window of its content (RFC 9113 §6.9).
    pub(super) window: i64,
    /// Since when it waits for that, and for how long it did so far.
    pub(super) closed_since: Option<i64>,
    pub(super) is_queued: bool,
    /// When the time changes something, as it is registered.
    pub(super) wakes_at: i64,
    /// What v2 may still send before it is allowed more.
    pub(super) allowed: i64,
    /// What came of it that v2 was not given back.
    pub(super) unreturned: u32,
    first: Option<i64>,
    last: i64,
    pub(super) interims: u32,
    answer: Option<HeaderBlock>,
    status: u16,
    length: Option<u64>,
    body: BodyGather,
    framed: bool,
    trailer: Headers,
    messages: MessageCounter,
    pieces: Option<Pieces<i64>>,
}

impl BegunStream {
    pub(super) fn new(
        mut request: InFlight,
        story: Story,
        deadline: Option<i64>,
        rules: &H2Rules,
    ) -> Self {
        let task = &request.task;
        let head = (task.load.head as usize).min(task.bytes.len());
        let total = (task.bytes.len() - head) as u64 + task.rest();
        let continues_at = match task.load.traits.expects_continue() {
            true => request.sent.saturating_add(CONTINUE_NS),
            false => i64::MIN,
        };
        if let Some(deadline) = deadline {
            // Its client had given up by then.
            let patience = deadline.saturating_add((deadline / 10).max(GRACE_NS));
            request.until = request.until.min(request.sent.saturating_add(patience));
        }
        Self {
            story,
            piece: 0,
            of_piece: 0,
            at: 0,
            total,
            head,
            ended: false,
            trailers: false,
            continues_at,
            window: 0,
            closed_since: None,
            is_queued: false,
            wakes_at: i64::MAX,
            allowed: i64::from(rules.window),
            unreturned: 0,
            first: None,
            last: request.sent,
            interims: 0,
            answer: None,
            status: 0,
            length: None,
            body: BodyGather::default(),
            framed: false,
            trailer: Headers::new(),
            messages: MessageCounter::default(),
            pieces: None,
            request,
        }
    }

    /// What goes next.
    pub(super) fn next(&self) -> SendPart {
        match () {
            () if self.ended => SendPart::None,
            () if self.at >= self.total => SendPart::End,
            () => {
                let left = self.total - self.at;
                let piece = self.story.pieces.get(self.piece).map(|(bytes, _)| *bytes);
                SendPart::Content(piece.map_or(left, |piece| (piece - self.of_piece).min(left)))
            }
        }
    }

    /// Whether it may go at `now`.
    pub(super) fn gate(&self, now: i64, rules: &H2Rules) -> PartGate {
        if self.continues_at > now {
            return PartGate::At(self.continues_at);
        }
        let moment = match self.next() {
            SendPart::Content(_) => self.story.pieces.get(self.piece).map(|(_, moment)| *moment),
            SendPart::End => self.story.end,
            SendPart::None => None,
        };
        let Some(SendMoment { at, messages, headed }) = moment else { return PartGate::Open };
        let due = self.request.task.due.saturating_add(rules.pacing.stretch(at));
        match () {
            () if due > now => PartGate::At(due),
            () if headed && self.answer.is_none() => PartGate::Answer,
            () if self.messages.count() < messages => PartGate::Answer,
            () => PartGate::Open,
        }
    }

    /// Appends the next `n` octets of content.
    pub(super) fn content(&self, n: usize, spool: &Spool, out: &mut Vec<u8>) -> io::Result<()> {
        let task = &self.request.task;
        let at_hand = &task.bytes[self.head..];
        let begin = usize::try_from(self.at).unwrap_or(usize::MAX).min(at_hand.len());
        let near = &at_hand[begin..at_hand.len().min(begin + n)];
        out.extend_from_slice(near);
        if near.len() < n {
            let behind = self.at + near.len() as u64 - at_hand.len() as u64;
            let start = out.len();
            out.resize(start + n - near.len(), 0);
            spool.read_at(&mut out[start..], task.load.place.offset + task.ahead + behind)?;
        }
        Ok(())
    }

    /// So much content went.
    pub(super) fn sent(&mut self, n: u64) {
        self.at += n;
        self.of_piece += n;
        self.window -= n as i64;
        while let Some((bytes, _)) = self.story.pieces.get(self.piece)
            && self.of_piece >= *bytes
        {
            self.of_piece -= bytes;
            self.piece += 1;
        }
    }

    /// Whether all content went and nothing is waited for before the end.
    pub(super) fn may_end(&self, now: i64, rules: &H2Rules) -> bool {
        self.next() == SendPart::End && self.gate(now, rules) == PartGate::Open
    }

    /// An interim answer: a 100 lets the body go.
    pub(super) fn interim(&mut self, status: u16) {
        self.interims += 1;
        if status == 100 {
            self.continues_at = i64::MIN;
        }
    }

    /// The head of the answer; why it is none.
    pub(super) fn open(&mut self, block: HeaderBlock, status: u16, now: i64, most: usize) -> Lies {
        self.continues_at = i64::MIN;
        self.body =
            BodyGather::new(&ParserLimits { body_bytes: most, ..ParserLimits::default() }, 0);
        let kind = block.fields.get("content-type").unwrap_or_default();
        self.messages = MessageCounter::of(kind);
        self.pieces = has_pace(kind).then(Pieces::default);
        match told_length(&block.fields) {
            Ok(length) => self.length = length,
            Err(why) => return Some(why),
        }
        (self.first, self.last, self.status) = (Some(now), now, status);
        self.answer = Some(block);
        None
    }

    /// Whether the head of the answer came.
    pub(super) fn is_headed(&self) -> bool {
        self.answer.is_some()
    }

    /// Content of the answer.
    pub(super) fn push(&mut self, content: &[u8], now: i64) {
        self.framed = true;
        self.last = now;
        self.body.push(content);
        self.messages.push(content);
        if let Some(pieces) = &mut self.pieces {
            pieces.add(content.len(), now);
        }
    }

    /// The trailers of the answer.
    pub(super) fn close_with(&mut self, block: HeaderBlock, now: i64) {
        (self.framed, self.last) = (true, now);
        self.trailer = block.fields;
    }

    /// The answer is whole: whether it is what it said.
    pub(super) fn end(&mut self, now: i64) -> Lies {
        self.last = now;
        let bodyless = self.request.task.load.traits.is_head() || matches!(self.status, 204 | 304);
        if bodyless && self.body.length() > 0 {
            return Some("it has content, and must have none");
        }
        let told = self.length.filter(|_| !bodyless);
        (told.is_some_and(|told| told != self.body.length()))
            .then_some("its content is not as long as its content-length says")
    }

    /// When the time changes something.
    pub(super) fn next_wake(&self, now: i64, rules: &H2Rules) -> i64 {
        let leaves = self.leaves_at().unwrap_or(i64::MAX);
        let go = match self.next() {
            SendPart::None => i64::MAX,
            _ => match self.gate(now, rules) {
                PartGate::At(at) => at,
                PartGate::Open | PartGate::Answer => i64::MAX,
            },
        };
        self.request.until.min(leaves).min(go)
    }

    /// When to leave the answer, where v1's client did: behind as many messages as it had.
    pub(super) fn leaves_at(&self) -> Option<i64> {
        let had = self.story.left.map_or(0, |(_, messages)| messages);
        let leaves = self.request.leaves_at(self.answer.is_some())?;
        (self.messages.count() >= had).then_some(leaves)
    }

    /// The code with which v1's client left.
    pub(super) fn left_with(&self) -> Option<u32> {
        self.story.left.map(|(code, _)| code)
    }

    /// The answer as it came to its end.
    pub(super) fn whole(self) -> (InFlight, Answer) {
        let last = Some(self.last);
        let (request, answer) = self.cut(None);
        (request, Answer { last, ..answer })
    }

    /// v2 reset the stream. Where v1 did the same, that is the answer.
    pub(super) fn reset(self, code: u32, name: &str, now: i64) -> (InFlight, Answer) {
        if self.answer.is_some() && self.story.reset == Some(code) {
            let (request, answer) = self.cut(Some(code));
            return (request, Answer { last: Some(now), ..answer });
        }
        let inside = if self.answer.is_some() { ", inside the answer" } else { "" };
        let detail = format!("v2 reset the stream with {name} ({code}){inside}");
        self.failed(Failure::new(FailureKind::Closed, detail), Some(code))
    }

    /// It took too long.
    pub(super) fn timed_out(self) -> (InFlight, Answer) {
        let what = if self.first.is_none() { "no answer" } else { "no whole answer" };
        let limit = shown(self.request.until - self.request.sent);
        self.failed(Failure::new(FailureKind::Timeout, format!("{what} within {limit}")), None)
    }

    /// It came to a failure; with what came until then.
    pub(super) fn failed(self, failure: Failure, reset: Option<u32>) -> (InFlight, Answer) {
        let (request, answer) = self.cut(reset);
        (request, Answer { failure: Some(failure), ..answer })
    }

    /// What came of the answer until now.
    pub(super) fn cut(self, reset: Option<u32>) -> (InFlight, Answer) {
        let Self { request, first, answer, status, body, framed, trailer, pieces, .. } = self;
        let since = Timestamp::from_nanos(request.sent);
        let pieces = pieces.map(|pieces| pieces.since(since, Timestamp::from_nanos));
        let response = answer.map(|block| Response {
            status,
            reason: Bytes::new(),
            version: Version::Http2,
            headers: block.fields,
            body: body.finish(),
            framing: if framed { Framing::Frames } else { Framing::None },
            trailers: trailer,
            extras: Extras {
                reset,
                never_indexed: block.never_indexed,
                pieces: pieces.unwrap_or_default(),
            }
            .of(),
        });
        (request, Answer { first, response, ..Answer::none() })
    }

    /// Whether more interim answers came than anybody sends.
    pub(super) fn is_flooded(&self) -> bool {
        self.interims > limits::INTERIM_ANSWERS
    }
}

/// Why an answer is not what it says, if it is not.
pub(super) type Lies = Option<&'static str>;

/// Why a header block is none that any client takes (RFC 9113 §8.2.1, §8.3).
pub(super) fn malformed(fields: &Headers) -> Lies {
    let (mut statuses, mut is_behind) = (0, false);
    for (name, value) in fields.iter() {
        match name {
            [b':', ..] if is_behind => return Some("a pseudo-field behind others"),
            b":status" => statuses += 1,
            [b':', ..] => return Some("a pseudo-field of requests"),
            _ => is_behind = true,
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Some("a line end inside a field");
        }
    }
    (statuses > 1).then_some("two statuses")
}

/// What `content-length` says.
fn told_length(fields: &Headers) -> Result<Option<u64>, &'static str> {
    let mut lengths = fields.all("content-length");
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != length) {
        return Err("it tells two lengths");
    }
    let told = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
    told.map(Some).ok_or("its content-length is no length")
}

/// The deadline that a gRPC client gave (`grpc-timeout`): at most eight digits and a unit.
pub(super) fn deadline(value: &[u8]) -> Option<i64> {
    let (unit, digits) = value.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.len() <= 8)?;
    let count: i64 = digits.parse::<u32>().ok()?.into();
    let unit: i64 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(count.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_digits_and_a_unit() {
        for (text, nanos) in [
            ("500m", Some(500_000_000)),
            ("1S", Some(1_000_000_000)),
            ("99999999H", Some(i64::MAX)),
            ("7n", Some(7)),
            ("S", None),
            ("-1S", None),
            ("123456789S", None),
            ("5s", None),
            ("", None),
        ] {
            assert_eq!(deadline(text.as_bytes()), nanos, "{text}");
        }
    }
}
