//! One shard: its connections, their parsers and pairs. Sees its segments in capture order.

use std::sync::Arc;

use super::output::{ConnectionEnded, Made, Render};
use crate::exchange::{Closed, Exchange};
use crate::flow::Direction;
use crate::reassemble::{
    DirectionEnd, EventStreams, FinishedConnection, Mark, Missing, Opened, StreamEvent,
};
use crate::time::Timestamp;
use crate::wire::{self, Conversation as _, Ending, Origin, Setup, Talk};

/// Ranks of the connections that a round started: `base` and up, in the order of their first
/// packets.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) base: u64,
    pub(super) first_packets: Vec<u64>,
}

impl Ranks {
    pub(super) fn of(&self, first_packet: u64) -> Option<u64> {
        self.first_packets.binary_search(&first_packet).ok().map(|place| self.base + place as u64)
    }
}

/// Feeds the streams of a shard to their conversations.
pub(super) struct Pairings<R: Render> {
    pub(super) made: Made<R::Item>,
    render: Arc<R>,
    setup: Setup,
    now: Mark,
}

/// When a connection closed.
#[derive(Debug, Default)]
struct Closing {
    /// Its last FIN, or its reset.
    seen: Option<Timestamp>,
    /// Known to be over without one.
    over: Option<Timestamp>,
}

impl Closing {
    /// One direction ended.
    fn add(&mut self, end: DirectionEnd, at: Timestamp) {
        let known = match end {
            DirectionEnd::Fin | DirectionEnd::Reset => &mut self.seen,
            DirectionEnd::Replaced | DirectionEnd::Evicted => &mut self.over,
            DirectionEnd::Capture => return,
        };
        *known = (*known).max(Some(at));
    }

    /// None: it was open when the capture ended.
    fn at(&self) -> Option<Timestamp> {
        self.seen.or(self.over)
    }
}

/// One connection.
pub(super) struct ShardLane {
    talk: Talk,
    first_packet: u64,
    rank: Option<u64>,
    exchanges: u64,
    closing: Closing,
}

impl<R: Render> Pairings<R> {
    pub(super) fn new(render: Arc<R>, setup: Setup) -> Self {
        Self { made: Made::default(), render, setup, now: Mark::default() }
    }

    /// Tells when a connection closed, of one that had exchanges; `None`: it did not.
    fn tell_end(&mut self, lane: &ShardLane, at: Option<Timestamp>) {
        let ShardLane { exchanges: 1.., first_packet, rank, .. } = lane else { return };
        match at {
            Some(at) => {
                let unranked = if rank.is_none() { Some(*first_packet) } else { None };
                self.made.ends.push(ConnectionEnded {
                    packet: self.now.packet,
                    unranked,
                    closed: Closed(rank.unwrap_or_default(), at),
                });
            }
            None => self.made.open += 1,
        }
    }

    /// Lets `step` move a lane on, and renders what it gives.
    fn step(
        &mut self,
        lane: &mut ShardLane,
        step: impl FnOnce(&mut Talk, &mut dyn FnMut(Exchange)),
    ) {
        let Self { made, render, now, .. } = self;
        let ShardLane { talk, first_packet, rank, exchanges, .. } = lane;
        step(talk, &mut |mut exchange| {
            *exchanges += 1;
            if let Some(rank) = *rank {
                exchange.id.connection = rank;
            }
            let unranked = if rank.is_none() { Some(*first_packet) } else { None };
            made.add(&**render, exchange, now.packet, unranked);
        });
    }
}

impl<R: Render> EventStreams for Pairings<R> {
    type Stream = Box<ShardLane>;

    fn now(&mut self, mark: Mark) {
        self.now = mark;
    }

    fn open(&mut self, opened: &Opened) -> Box<ShardLane> {
        let origin = Origin {
            connection: opened.first_packet,
            client: opened.client,
            server: opened.server,
            opened_at: opened.opened_at,
            joined: opened.joined,
        };
        let mut talk = Talk::new(origin, &self.setup);
        if let Some(nanos) = opened.handshake_ns {
            talk.set_handshake(nanos);
        }
        Box::new(ShardLane {
            talk,
            first_packet: opened.first_packet,
            rank: opened.rank,
            exchanges: 0,
            closing: Closing::default(),
        })
    }

    fn rank(&mut self, lane: &mut Box<ShardLane>, rank: u64) {
        lane.rank = Some(rank);
    }

    fn event(&mut self, lane: &mut Box<ShardLane>, event: StreamEvent<'_>) {
        if let StreamEvent::Close { end, mark, .. } = event {
            lane.closing.add(end, mark.at);
        }
        self.step(lane, |talk, mut out| match event {
            StreamEvent::Bytes { direction, payload, acked, mark, .. } => {
                let mark =
                    wire::PacketMark { at: mark.at, packet: mark.packet, ack: acked, cut: false };
                talk.bytes(direction, payload, mark, &mut out);
            }
            StreamEvent::Gap { direction, bytes, missing, mark, .. } => {
                let cut = missing == Missing::Cut;
                let mark = wire::PacketMark { at: mark.at, packet: mark.packet, ack: None, cut };
                talk.gap(direction, bytes, mark, &mut out);
            }
            StreamEvent::Close { direction, end: DirectionEnd::Fin, .. } => {
                talk.close(direction, Ending::Closed, &mut out)
            }
            // Not seen to the end: `finish` says the same for both directions.
            StreamEvent::Close { .. } => {}
        });
    }

    fn held(&self, lane: &Box<ShardLane>) -> usize {
        lane.talk.held()
    }

    fn shed(&mut self, lane: &mut Box<ShardLane>) {
        self.step(lane, |talk, mut out| talk.relieve(&mut out));
    }

    fn waits(&self, lane: &Box<ShardLane>) -> bool {
        lane.talk.waits()
    }

    fn retry(&mut self, lane: &mut Box<ShardLane>) {
        self.step(lane, |talk, mut out| talk.retry(&mut out));
    }

    fn wants(&self, lane: &Box<ShardLane>, direction: Direction) -> bool {
        lane.talk.wants(direction)
    }

    fn finish(&mut self, mut lane: Box<ShardLane>) -> FinishedConnection {
        self.step(&mut lane, |talk, mut out| talk.finish(&mut out));
        self.tell_end(&lane, lane.closing.at());
        let ShardLane { talk, exchanges, .. } = &*lane;
        FinishedConnection {
            protocol: talk.protocol(),
            used: *exchanges > 0,
            skipped: talk.skipped(),
            tunnelled: talk.tunnelled(),
            unkept_interim: talk.unkept_interim(),
        }
    }

    fn abandon(&mut self, lane: Box<ShardLane>) -> (FinishedConnection, u64) {
        self.tell_end(&lane, Some(self.now.at));
        let ShardLane { talk, exchanges, .. } = &*lane;
        let finished = FinishedConnection {
            protocol: talk.protocol(),
            used: *exchanges > 0,
            skipped: talk.skipped(),
            tunnelled: talk.tunnelled(),
            unkept_interim: talk.unkept_interim(),
        };
        (finished, talk.under_way())
    }
}
