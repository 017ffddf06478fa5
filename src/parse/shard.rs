//! One shard: its connections, their parsers and pairs. Sees its segments in capture order.

use crate::exchange::pairing::{self, Origin, Pairing};
use crate::exchange::{Exchange, ExchangeId};
use crate::flow::Direction;
use crate::http::parser::{Ending, Limits};
use crate::reassemble::{End, Finished, Mark, Missing, Opened, StreamEvent, Streams};

/// An exchange that is complete, or as complete as it will be.
pub(super) struct Emitted {
    /// The packet at which it was known.
    pub(super) packet: u64,
    /// The first packet of its connection, where the connection has no rank yet.
    pub(super) unranked: Option<u64>,
    pub(super) id: ExchangeId,
    /// Until it is rendered.
    pub(super) exchange: Option<Exchange>,
}

/// Ranks of the connections that a round started: `base` and up, in the order of their first packets.
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

/// Feeds the streams of a shard to their pairings.
pub(super) struct Pairings {
    pub(super) emitted: Vec<Emitted>,
    limits: Limits,
    now: Mark,
}

/// One connection's pairing.
pub(super) struct Lane {
    pairing: Pairing,
    first_packet: u64,
    rank: Option<u64>,
    exchanges: u64,
}

impl Pairings {
    pub(super) fn new(limits: Limits) -> Self {
        Self { emitted: Vec::new(), limits, now: Mark::default() }
    }
}

impl Streams for Pairings {
    type Stream = Box<Lane>;

    fn now(&mut self, mark: Mark) {
        self.now = mark;
    }

    fn open(&mut self, opened: &Opened) -> Box<Lane> {
        let origin = Origin {
            connection: opened.first_packet,
            client: opened.client,
            server: opened.server,
            opened_at: opened.opened_at,
            joined: opened.joined,
        };
        let mut pairing = Pairing::new(origin, self.limits);
        if let Some(nanos) = opened.handshake_ns {
            pairing.set_handshake(nanos);
        }
        Box::new(Lane { pairing, first_packet: opened.first_packet, rank: opened.rank, exchanges: 0 })
    }

    fn rank(&mut self, lane: &mut Box<Lane>, rank: u64) {
        lane.rank = Some(rank);
    }

    fn event(&mut self, lane: &mut Box<Lane>, event: StreamEvent<'_>) {
        let Lane { pairing, first_packet, rank, exchanges } = &mut **lane;
        let emitted = &mut self.emitted;
        let now = self.now.packet;
        let mut out = |exchange| emit(emitted, exchange, now, *first_packet, *rank, exchanges);
        match event {
            StreamEvent::Bytes { direction, payload, acked, mark, .. } => {
                let mark = pairing::Mark { at: mark.at, packet: mark.packet, ack: acked, cut: false };
                pairing.bytes(direction, payload, mark, &mut out);
            }
            StreamEvent::Gap { direction, bytes, missing, mark, .. } => {
                let cut = missing == Missing::Cut;
                let mark = pairing::Mark { at: mark.at, packet: mark.packet, ack: None, cut };
                pairing.gap(direction, bytes, mark, &mut out);
            }
            StreamEvent::Close { direction, end: End::Fin, .. } => pairing.close(direction, Ending::Closed, &mut out),
            // Not seen to the end: `finish` says the same for both directions.
            StreamEvent::Close { .. } => {}
        }
    }

    fn held(&self, lane: &Box<Lane>) -> usize {
        lane.pairing.held()
    }

    fn shed(&mut self, lane: &mut Box<Lane>) {
        let Lane { pairing, first_packet, rank, exchanges } = &mut **lane;
        let (emitted, now) = (&mut self.emitted, self.now.packet);
        pairing.relieve(&mut |exchange| emit(emitted, exchange, now, *first_packet, *rank, exchanges));
    }

    fn wants(&self, lane: &Box<Lane>, direction: Direction) -> bool {
        lane.pairing.wants(direction)
    }

    fn finish(&mut self, mut lane: Box<Lane>) -> Finished {
        let Lane { pairing, first_packet, rank, exchanges } = &mut *lane;
        let (emitted, now) = (&mut self.emitted, self.now.packet);
        pairing.finish(&mut |exchange| emit(emitted, exchange, now, *first_packet, *rank, exchanges));
        Finished {
            protocol: pairing.protocol(),
            used: *exchanges > 0,
            skipped: pairing.skipped(),
            tunnelled: pairing.tunnelled(),
        }
    }
}

fn emit(emitted: &mut Vec<Emitted>, mut exchange: Exchange, packet: u64, first: u64, rank: Option<u64>, exchanges: &mut u64) {
    *exchanges += 1;
    if let Some(rank) = rank {
        exchange.id.connection = rank;
    }
    let unranked = if rank.is_none() { Some(first) } else { None };
    emitted.push(Emitted { packet, unranked, id: exchange.id, exchange: Some(exchange) });
}
