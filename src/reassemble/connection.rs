//! One connection: both sides, who is the client, what can be handed on, and what is proved to be
//! missing.
//!
//! Invariants: a byte is handed on once and in order; a held byte lies behind `Side::next`; no
//! event comes behind `Close` of its direction; the stream, where there is one, is finished exactly
//! once.

use super::bounds::TableLimits;
use super::notes::Notes;
use super::sequence::advance;
use super::side::StreamSide;
use super::{DirectionEnd, EventStreams, FinishedConnection, Mark, Missing, Opened, StreamEvent};
use crate::decode::{Pair, Segment, TcpFlags};
use crate::flow::Direction;
use crate::time::Timestamp;

/// Sequence numbers further away than this are another connection's.
const FAR: i64 = 1 << 24;

/// Sequence numbers nearer than this are the same connection's, where two come into question.
const NEAR: u64 = 1 << 20;

/// The furthest that an acknowledgement is believed to lie ahead of what was seen, in bytes: the
/// largest window (RFC 7323 §2.3).
const FURTHEST_ACK: i64 = 1 << 30;

pub(super) struct Connection<S> {
    pub(super) pair: Pair,
    pub(super) hash: u64,
    /// Virtual networks that it was seen in.
    pub(super) network: u32,
    pub(super) other_networks: Vec<u32>,
    pub(super) first_packet: u64,
    pub(super) rank: Option<u64>,
    /// The lower end, the higher end.
    pub(super) sides: [StreamSide; 2],
    /// Which of them is the client, once that is known.
    client: Option<usize>,
    syn_from: Option<usize>,
    opened_at: Option<Timestamp>,
    handshake_ns: Option<i64>,
    answered: bool,
    /// Directions whose bytes nobody reads.
    unread: [bool; 2],
    pub(super) unread_bytes: u64,
    /// Bytes that were told as gaps.
    pub(super) missing_bytes: u64,
    /// Whether one direction was never seen although the other one waited for it.
    one_sided: bool,
    pub(super) reset: Option<Mark>,
    pub(super) stream: Option<S>,
    /// Whether it is over; what comes is late.
    pub(super) over: bool,
    /// What it was; known when it is over.
    pub(super) finished: FinishedConnection,
    /// Why it is not followed, where it is not: its packets are counted, and nothing else.
    pub(super) left_out: Option<NotFollowed>,
    /// It began while another one between the same ends went on, and nothing proves it yet: what
    /// began it may be a stray.
    pub(super) unproven: bool,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Capture time of the shard when it was last seen; never goes back.
    pub(super) last_seen: Timestamp,
    pub(super) last: Mark,
}

/// Why a connection is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFollowed {
    /// Its ports were not asked for.
    OtherPort,
    /// The capture could not keep up. It was followed for so many packets before.
    Shed { followed: u64 },
}

/// A SYN may come so many times (both ends, retransmitted) before the next one is another
/// connection's.
const SYN_PACKETS: u64 = 4;

/// What a segment is to a connection with the same ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It is part of it.
    Yes,
    /// It starts (or is in the middle of) another one.
    NewEpoch,
}

impl<S> Connection<S> {
    pub(super) fn new(segment: &Segment, left_out: Option<NotFollowed>) -> Self {
        Self {
            pair: segment.pair,
            hash: segment.hash,
            network: segment.network,
            other_networks: Vec::new(),
            first_packet: segment.number,
            rank: None,
            sides: Default::default(),
            client: None,
            syn_from: None,
            opened_at: None,
            handshake_ns: None,
            answered: false,
            unread: [false; 2],
            unread_bytes: 0,
            missing_bytes: 0,
            one_sided: false,
            reset: None,
            stream: None,
            over: false,
            finished: FinishedConnection {
                protocol: "no-payload",
                ..FinishedConnection::default()
            },
            left_out,
            unproven: false,
            packets: 0,
            bytes: 0,
            last_seen: segment.at,
            last: Mark::default(),
        }
    }

    /// Bytes held in both directions.
    pub(super) fn held(&self) -> usize {
        self.sides[0].held_bytes + self.sides[1].held_bytes
    }

    /// Whether a segment from another virtual network is part of this connection all the same: the
    /// packet was seen in both, or its numbers follow on.
    pub(super) fn meshes(&self, segment: &Segment) -> bool {
        let (s, r) = ends(segment);
        if self.sides[s].has_seen(segment.fingerprint) {
            return true;
        }
        let near = |side: &StreamSide, number: u32| {
            side.known && (side.offset(number) - side.next).abs() < 1 << 20
        };
        match (segment.flags.has(TcpFlags::SYN), segment.flags.has(TcpFlags::ACK)) {
            (true, true) => {
                self.sides[r].known
                    && self.sides[r].offset(segment.ack) == 0
                    && !self.sides[s].known
            }
            (false, true) => {
                near(&self.sides[r], segment.ack)
                    && (near(&self.sides[s], segment.seq) || !self.sides[s].seen)
            }
            _ => false,
        }
    }

    /// Whether a segment between the same ends is part of this connection.
    pub(super) fn belongs(&self, segment: &Segment) -> Belongs {
        let (s, r) = ends(segment);
        let (side, other) = (&self.sides[s], &self.sides[r]);
        if let Some(NotFollowed::Shed { .. }) = self.left_out {
            // Its numbers are not followed any more.
            let opens = segment.flags.has(TcpFlags::SYN) && !segment.flags.has(TcpFlags::ACK);
            let another = opens && (self.over || self.packets > SYN_PACKETS);
            return if another { Belongs::NewEpoch } else { Belongs::Yes };
        }
        if !side.known {
            return Belongs::Yes;
        }
        let has_ack = segment.flags.has(TcpFlags::ACK);
        if segment.flags.has(TcpFlags::SYN) {
            let first = side.offset(segment.seq.wrapping_add(1));
            let same_number = side.offset(segment.seq.wrapping_add(1)) == 0;
            // A SYN that was captured behind the data that it precedes.
            let late = !side.firm && (-(1 << 20)..=0).contains(&first);
            let answers = has_ack && other.known && other.offset(segment.ack) == 0 && !side.started;
            return if same_number || late || answers { Belongs::Yes } else { Belongs::NewEpoch };
        }
        // Resets carry any number.
        if segment.flags.has(TcpFlags::RST) || (side.offset(segment.seq) - side.next).abs() < FAR {
            return Belongs::Yes;
        }
        let far_ack =
            !has_ack || !other.known || (other.offset(segment.ack) - other.next).abs() >= FAR;
        if far_ack { Belongs::NewEpoch } else { Belongs::Yes }
    }

    /// How far from where this connection stands a segment lies, in bytes of both directions; none
    /// where it lies too far away to be part of it, or nothing tells.
    pub(super) fn fits(&self, segment: &Segment) -> Option<u64> {
        let (s, r) = ends(segment);
        let has = |flag| segment.flags.has(flag);
        let from = segment.seq.wrapping_add(u32::from(has(TcpFlags::SYN)));
        let distance = |side: &StreamSide, number: u32, known: bool| {
            (known && side.known).then(|| side.offset(number).abs_diff(side.next))
        };
        let parts = [
            distance(&self.sides[s], from, true),
            distance(&self.sides[r], segment.ack, has(TcpFlags::ACK)),
        ];
        let near = parts.iter().flatten().all(|&bytes| bytes < NEAR);
        let some = parts.iter().any(Option::is_some);
        (near && some).then(|| parts.iter().flatten().sum())
    }

    /// Whether what looks like the start of another connection between the same ends may be a
    /// stray: this one has not ended.
    pub(super) fn may_go_on(&self) -> bool {
        !self.over && self.reset.is_none() && self.left_out.is_none()
    }

    /// Takes a segment of this connection; answers `false` where it was seen before.
    pub(super) fn segment<T: EventStreams<Stream = S>>(
        &mut self,
        segment: &Segment,
        payload: &[u8],
        streams: &mut T,
        limits: &TableLimits,
        notes: &mut Notes,
    ) -> bool {
        let (s, r) = ends(segment);
        let mark = Mark { packet: segment.number, at: segment.at };
        let flags = segment.flags;
        let special = segment.length > 0
            || flags.0 & (TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0) != 0;
        if self.sides[s].is_repeated(segment.fingerprint) && (special || segment.identified) {
            return false;
        }
        self.packets += 1;
        self.last = mark;
        match self.left_out {
            Some(NotFollowed::OtherPort) => return true,
            Some(NotFollowed::Shed { .. }) => {
                self.sides[s].closed |= flags.has(TcpFlags::FIN);
                self.over |= flags.has(TcpFlags::RST) || self.sides.iter().all(|side| side.closed);
                return true;
            }
            None => {}
        }
        self.sides[s].seen = true;
        if flags.has(TcpFlags::SYN) {
            self.syn(segment, s, r, mark);
        } else if !self.sides[s].known {
            self.sides[s].start_at(segment.seq, false);
        }
        let mut ack = None;
        if flags.has(TcpFlags::ACK) {
            ack = self.acknowledge(segment, s, r, mark);
        }
        if flags.has(TcpFlags::RST) {
            self.reset.get_or_insert(mark);
        } else {
            if segment.length > 0 && !flags.has(TcpFlags::SYN) {
                self.sides[s].settle(segment.seq);
            }
            let from = self.sides[s].offset(segment.seq) + i64::from(flags.has(TcpFlags::SYN));
            if flags.has(TcpFlags::FIN) {
                let end = from + advance(false, segment.length, false);
                if self.sides[s].fin.is_none() && end >= self.sides[s].next {
                    self.sides[s].fin = Some((end, mark));
                }
            }
            if segment.length > 0 {
                self.bytes += u64::from(segment.length);
                self.payload(
                    s,
                    from,
                    payload,
                    segment.length - segment.captured,
                    ack,
                    mark,
                    streams,
                    notes,
                );
            }
        }
        self.pump(streams, notes);
        self.prove_loss(mark, streams, limits, notes);
        true
    }

    fn syn(&mut self, segment: &Segment, s: usize, r: usize, mark: Mark) {
        let first = segment.seq.wrapping_add(1);
        let side = &mut self.sides[s];
        if !side.known {
            side.start_at(first, true);
        } else if !side.started && !side.closed && side.held.is_empty() && side.offset(first) != 0 {
            side.start_again_at(first);
        } else if !side.firm {
            // What was captured before its SYN keeps its place in the stream.
            side.start_earlier(side.offset(first));
            side.firm = true;
        }
        if segment.flags.has(TcpFlags::ACK) {
            self.answered = true;
            let other = &mut self.sides[r];
            if !other.known {
                other.start_at(segment.ack, true);
            }
            self.syn_from.get_or_insert(r);
        } else {
            self.syn_from.get_or_insert(s);
            self.opened_at.get_or_insert(mark.at);
        }
    }

    /// Notes what the segment acknowledges; answers the offset in the other direction.
    fn acknowledge(&mut self, segment: &Segment, s: usize, r: usize, mark: Mark) -> Option<i64> {
        if self.answered
            && self.handshake_ns.is_none()
            && self.syn_from == Some(s)
            && !segment.flags.has(TcpFlags::SYN)
        {
            self.handshake_ns =
                self.opened_at.map(|opened| mark.at.since(opened)).filter(|&nanos| nanos >= 0);
        }
        let other = &mut self.sides[r];
        if !other.known {
            other.start_at(segment.ack, false);
        }
        other.settle(segment.ack);
        let ack = other.offset(segment.ack);
        if ack > other.acked && ack - other.next <= FURTHEST_ACK {
            other.acked = ack;
        }
        Some(ack)
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one segment, used once")]
    fn payload<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        from: i64,
        payload: &[u8],
        cut: u32,
        ack: Option<i64>,
        mark: Mark,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        self.sides[s].start_earlier(from);
        let end = from + payload.len() as i64 + i64::from(cut);
        if end <= self.sides[s].next || self.sides[s].closed || self.over {
            let probe = payload.len() <= 1 && end == self.sides[s].next;
            if probe {
                notes.keep_alive_probes += 1;
            } else {
                notes.retransmitted_packets += 1;
                notes.retransmitted_bytes += payload.len() as u64;
            }
            return;
        }
        if self.unread[s] {
            // Nobody reads these bytes, so their order does not matter.
            self.unread_bytes += (end - self.sides[s].next.max(from)).max(0) as u64;
            self.sides[s].next = self.sides[s].next.max(end);
            return;
        }
        if from == self.sides[s].next && self.sides[s].held.is_empty() && self.has_cause(s, ack) {
            // A snap length may have left nothing of it.
            if !payload.is_empty() {
                self.deliver(s, payload, ack, mark, streams);
            }
            self.deliver_cut(s, cut, mark, streams, notes);
            return;
        }
        if from > self.sides[s].next {
            notes.out_of_order_packets += 1;
        }
        let (repeated, differing) = self.sides[s].hold(from, payload, cut, ack, mark);
        if repeated > 0 {
            notes.retransmitted_packets += 1;
            notes.retransmitted_bytes += repeated;
        }
        notes.differing_retransmissions += u64::from(differing > 0);
    }

    /// Whether everything that the sender had received before is handed on: bytes come behind what
    /// caused them.
    fn has_cause(&self, s: usize, ack: Option<i64>) -> bool {
        let other = &self.sides[1 - s];
        // A FIN counts as one; nothing comes behind a FIN that was told.
        let fin = other.fin.is_some_and(|(end, _)| end <= other.next);
        ack.is_none_or(|ack| ack <= other.next + i64::from(fin))
            || other.closed
            || (self.one_sided && !other.seen)
            || self.unread[1 - s]
    }

    fn direction(&self, s: usize) -> Direction {
        if self.client == Some(s) { Direction::ToServer } else { Direction::ToClient }
    }

    /// Something is to be told: the stream begins, unless it has. The client is who opened the
    /// connection, else who has the higher port; content has the last word, behind this stage, as a
    /// server may call its client back.
    fn open<T: EventStreams<Stream = S>>(&mut self, streams: &mut T) {
        if self.stream.is_some() {
            return;
        }
        let client =
            self.syn_from.unwrap_or(usize::from(self.pair.high.port >= self.pair.low.port));
        let ends = [self.pair.low, self.pair.high];
        self.client = Some(client);
        self.stream = Some(streams.open(&Opened {
            first_packet: self.first_packet,
            rank: self.rank,
            client: ends[client],
            server: ends[1 - client],
            opened_at: self.opened_at,
            handshake_ns: self.handshake_ns,
            joined: self.syn_from.is_none(),
        }));
    }

    /// Hands on the next bytes of a side.
    fn deliver<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        payload: &[u8],
        ack: Option<i64>,
        mark: Mark,
        streams: &mut T,
    ) {
        let side = &mut self.sides[s];
        if !side.started {
            (side.started, side.origin) = (true, side.next);
        }
        side.next += payload.len() as i64;
        self.open(streams);
        let direction = self.direction(s);
        let other = &self.sides[1 - s];
        let origin = if other.started { other.origin } else { other.next };
        let acked =
            ack.filter(|_| other.seen).map(|ack| (ack.min(other.next) - origin).max(0) as u64);
        let Some(stream) = &mut self.stream else { return };
        streams.event(stream, StreamEvent::Bytes { direction, payload, acked, mark });
        if !streams.wants(stream, direction) {
            self.unread[s] = true;
            self.sides[s].drop_held();
        }
    }

    /// Bytes that a packet had and the capture cut off are missing, unless held ones start among
    /// them.
    fn deliver_cut<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        cut: u32,
        mark: Mark,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        if cut == 0 {
            return;
        }
        let to = self.sides[s].next + i64::from(cut);
        let to = self.sides[s].head().map_or(to, |(at, _)| to.min(at));
        self.gap(s, to, Missing::Cut, mark, streams, notes);
    }

    /// Everything up to `to` is missing.
    fn gap<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        to: i64,
        missing: Missing,
        mark: Mark,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        let bytes = to - self.sides[s].next;
        if bytes <= 0 {
            return;
        }
        let side = &mut self.sides[s];
        if !side.started {
            (side.started, side.origin) = (true, side.next);
        }
        side.next = to;
        notes.gap(missing, bytes as u64);
        self.missing_bytes += bytes as u64;
        if self.unread[s] {
            return;
        }
        self.open(streams);
        let direction = self.direction(s);
        if let Some(stream) = &mut self.stream {
            streams
                .event(stream, StreamEvent::Gap { direction, bytes: bytes as u64, missing, mark });
        }
    }

    /// Hands on what can be: contiguous bytes whose cause was handed on.
    fn pump<T: EventStreams<Stream = S>>(&mut self, streams: &mut T, notes: &mut Notes) {
        if self.over {
            return;
        }
        // Almost always nothing waits.
        while !(self.sides[0].held.is_empty() && self.sides[1].held.is_empty()) {
            let can = [0, 1].map(|s| self.sides[s].is_contiguous());
            let ready = [0, 1].map(|s| {
                can[s] && self.has_cause(s, self.sides[s].head().and_then(|(_, held)| held.ack))
            });
            let packet =
                |s: usize| self.sides[s].head().map_or(u64::MAX, |(_, held)| held.mark.packet);
            let earlier = usize::from(packet(1) < packet(0));
            let s = match (ready, can) {
                ([true, true], _) => earlier,
                ([true, false], _) => 0,
                ([false, true], _) => 1,
                // Each waits for the other: retransmissions acknowledge more than the first copy
                // did.
                (_, [true, true]) => earlier,
                _ => break,
            };
            self.deliver_held(s, streams, notes);
        }
        self.tell_fin(streams, notes);
    }

    fn deliver_held<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        let Some((at, held)) = self.sides[s].pop() else { return };
        let known = (self.sides[s].next - at).max(0) as usize;
        if let Some(fresh) = held.bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.deliver(s, fresh, held.ack, held.mark, streams);
        }
        let cut = i64::from(held.cut) + at + held.bytes.len() as i64 - self.sides[s].next;
        self.deliver_cut(s, cut.clamp(0, i64::from(held.cut)) as u32, held.mark, streams, notes);
    }

    fn tell_fin<T: EventStreams<Stream = S>>(&mut self, streams: &mut T, notes: &mut Notes) {
        for s in [0, 1] {
            let side = &self.sides[s];
            // Where the capture joined at the FIN, bytes from before it may still be seen.
            let begun = side.started || side.firm;
            if let (Some((end, mark)), false) = (side.fin, side.closed)
                && begun
                && end <= side.next
                && let Some(stream) = &mut self.stream
            {
                self.sides[s].closed = true;
                // What is held can only lie behind the end, and a receiver takes nothing from
                // there.
                notes.behind_fin_bytes += self.sides[s].forget_held();
                let direction =
                    if self.client == Some(s) { Direction::ToServer } else { Direction::ToClient };
                streams
                    .event(stream, StreamEvent::Close { direction, end: DirectionEnd::Fin, mark });
            }
        }
    }

    /// Whether both sides have closed and every byte was handed on.
    pub(super) fn is_complete(&self) -> bool {
        self.sides
            .iter()
            .all(|side| side.fin.is_some_and(|(end, _)| end <= side.next) && side.held.is_empty())
    }

    /// Declares what cannot come any more: acknowledged, and waited for long enough; or beyond the
    /// limits.
    fn prove_loss<T: EventStreams<Stream = S>>(
        &mut self,
        now: Mark,
        streams: &mut T,
        limits: &TableLimits,
        notes: &mut Notes,
    ) {
        if self.sides[0].held.is_empty() && self.sides[1].held.is_empty() {
            return;
        }
        for s in [0, 1] {
            while let Some((at, held)) = self.sides[s].head() {
                let acked = self.sides[s].acked > self.sides[s].next || at <= self.sides[s].next;
                let old = now.at.since(held.mark.at) > limits.reorder_ns;
                let waited = old || self.sides[s].held_bytes > limits.reorder_bytes;
                // A side that nobody answers in the capture can never be proved to miss bytes.
                let unanswered =
                    !self.sides[1 - s].seen && self.sides[s].held_bytes > limits.reorder_bytes;
                if !((acked && waited)
                    || unanswered
                    || self.sides[s].held_bytes > limits.held_bytes)
                {
                    break;
                }
                let missing = if acked || unanswered { Missing::Lost } else { Missing::Limit };
                self.unblock(s, missing, streams, notes);
                self.pump(streams, notes);
            }
        }
    }

    /// Gives up what the first held bytes of `s` wait for: bytes before them, or their cause.
    fn unblock<T: EventStreams<Stream = S>>(
        &mut self,
        s: usize,
        missing: Missing,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        let Some((at, held)) = self.sides[s].head() else { return };
        let (ack, mark) = (held.ack, held.mark);
        if at > self.sides[s].next {
            self.gap(s, at, missing, mark, streams, notes);
            return;
        }
        let r = 1 - s;
        if !self.sides[r].seen {
            self.one_sided = true;
            return;
        }
        let cause = ack.unwrap_or_default();
        let behind = self.sides[r].head().map(|(at, _)| at);
        let to = behind.map_or(cause, |at| cause.min(at));
        // One, and nothing behind it, may be a FIN.
        let proved = to > self.sides[r].next + i64::from(behind.is_none());
        if proved && !self.sides[r].closed {
            self.gap(r, to, Missing::Lost, mark, streams, notes);
        } else {
            // Its cause is held and waits in turn; `pump` takes the earlier of the two.
            self.deliver_held(s, streams, notes);
        }
    }

    /// Follows it no longer: what is held of it is dropped, its exchanges under way are not told,
    /// and its packets are only counted. Answers how many exchanges were under way.
    pub(super) fn let_go<T: EventStreams<Stream = S>>(&mut self, streams: &mut T) -> u64 {
        self.left_out = Some(NotFollowed::Shed { followed: self.packets });
        self.sides.iter_mut().for_each(StreamSide::drop_held);
        let Some(stream) = self.stream.take() else { return 0 };
        let (finished, under_way) = streams.abandon(stream);
        self.finished = finished;
        under_way
    }

    /// Gives up everything that is held, because there is no room for it.
    pub(super) fn give_up_held<T: EventStreams<Stream = S>>(
        &mut self,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        self.drain(Missing::Limit, streams, notes);
    }

    fn drain<T: EventStreams<Stream = S>>(
        &mut self,
        missing: Missing,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        loop {
            self.pump(streams, notes);
            let head = |s: usize| self.sides[s].head().map(|(_, held)| (held.mark.packet, s));
            let Some((_, s)) = head(0).into_iter().chain(head(1)).min() else { return };
            self.unblock(s, missing, streams, notes);
        }
    }

    /// Ends it: hands on what is held, tells what is missing, closes both directions.
    pub(super) fn end<T: EventStreams<Stream = S>>(
        &mut self,
        how: DirectionEnd,
        now: Mark,
        streams: &mut T,
        notes: &mut Notes,
    ) {
        if self.over {
            return;
        }
        let how = if self.reset.is_some() { DirectionEnd::Reset } else { how };
        if self.sides.iter().any(|side| !side.held.is_empty()) {
            self.drain(Missing::Lost, streams, notes);
        }
        if self.stream.is_some() {
            for s in [0, 1] {
                let side = &self.sides[s];
                let missing = match side.fin {
                    Some((end, _)) => end - side.next,
                    // One byte more than was seen is a FIN that the capture does not hold.
                    None => {
                        Some(side.acked - side.next).filter(|&bytes| bytes > 1).unwrap_or_default()
                    }
                };
                if missing > 0 && side.seen {
                    self.gap(s, self.sides[s].next + missing, Missing::Lost, now, streams, notes);
                }
            }
            self.tell_fin(streams, notes);
        }
        if let Some(mut stream) = self.stream.take() {
            let mark = self.reset.unwrap_or(now);
            for s in [0, 1] {
                if !self.sides[s].closed {
                    let direction = self.direction(s);
                    streams.event(&mut stream, StreamEvent::Close { direction, end: how, mark });
                    self.sides[s].closed = true;
                }
            }
            let waits = streams.waits(&stream);
            self.stream = Some(stream);
            if !waits {
                self.finish(streams);
            }
        }
        self.over = true;
    }

    /// Nothing is waited for any more.
    pub(super) fn finish<T: EventStreams<Stream = S>>(&mut self, streams: &mut T) {
        if let Some(stream) = self.stream.take() {
            self.finished = streams.finish(stream);
        }
    }
}

/// Index of the side that sent the segment, and of the other one.
const fn ends(segment: &Segment) -> (usize, usize) {
    if segment.from_low { (0, 1) } else { (1, 0) }
}
