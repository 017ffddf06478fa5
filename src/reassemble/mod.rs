//! From segments to the byte streams of connections, both directions, in the order in which the
//! ends saw them.
//!
//! In: [`Segment`](crate::decode::Segment)s of one shard in capture order. Out: [`StreamEvent`]s to
//! a [`EventStreams`]. What is missing is told as a gap only where that is proved (the peer
//! acknowledged it, or the connection is over) or where a named limit was hit; until then it may
//! still come, since captures are out of order. A byte is handed on once: the first copy wins.
//!
//! An answer is handed on behind the request that it acknowledges, whatever the order of their
//! packets in the capture.

mod bounds;
mod connection;
mod notes;
mod reuse;
mod sequence;
mod side;
mod sightings;
mod table;

use crate::flow::{Direction, Endpoint};
use crate::time::Timestamp;

pub use bounds::TableLimits;
pub use sightings::Sightings;
pub use table::{ConnectionTable, Shed};

/// A packet, as evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its number in the (merged) input.
    pub packet: u64,
    /// Its capture time.
    pub at: Timestamp,
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The capture does not hold them, although the peer received them or the connection went on
    /// behind them.
    Lost,
    /// The packet was longer than what was captured of it.
    Cut,
    /// They might have come, but a limit on held bytes was hit.
    Limit,
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionEnd {
    /// Its sender closed it, and every byte up to there was handed on.
    Fin,
    /// The connection was reset.
    Reset,
    /// Another connection took its place (the same ports, new sequence numbers).
    Replaced,
    /// It was quiet for too long, or there were too many connections.
    Evicted,
    /// The capture ended.
    Capture,
}

/// What happens in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// The next bytes of a direction, of one segment.
    Bytes {
        /// Which way.
        direction: Direction,
        /// The bytes; valid during the call.
        payload: &'a [u8],
        /// How many bytes of the other direction their sender had received, gaps counted; none
        /// where that is not known.
        acked: Option<u64>,
        /// The packet that carried them.
        mark: Mark,
    },
    /// Bytes that are missing.
    Gap {
        /// Which way.
        direction: Direction,
        /// How many.
        bytes: u64,
        /// Why.
        missing: Missing,
        /// The packet that is behind them.
        mark: Mark,
    },
    /// Nothing more comes in this direction.
    Close {
        /// Which way.
        direction: Direction,
        /// Why.
        end: DirectionEnd,
        /// The packet that says so, or the last one before it was known.
        mark: Mark,
    },
}

/// What is known of a connection when its first bytes are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Number of its first packet: names the connection until it has its rank.
    pub first_packet: u64,
    /// Its rank among all connections, once it is known.
    pub rank: Option<u64>,
    /// Who sends requests.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
    /// Capture time of the SYN; none where the connection was joined later.
    pub opened_at: Option<Timestamp>,
    /// From the SYN to the ACK of its answer, in nanoseconds.
    pub handshake_ns: Option<i64>,
    /// Whether the capture joined it in the middle: the first bytes may be the rest of a message.
    pub joined: bool,
}

/// Where the events of a shard's connections go.
pub trait EventStreams {
    /// What is kept of one connection.
    type Stream;

    /// What follows, until the next call, is known at this packet.
    fn now(&mut self, mark: Mark);

    /// A connection has bytes to hand on.
    fn open(&mut self, opened: &Opened) -> Self::Stream;

    /// The connection got its rank.
    fn rank(&mut self, stream: &mut Self::Stream, rank: u64);

    /// Something happened in it.
    fn event(&mut self, stream: &mut Self::Stream, event: StreamEvent<'_>);

    /// Bytes that are held of messages that are not whole, or wait for their answers.
    fn held(&self, stream: &Self::Stream) -> usize;

    /// There is no room: lets go of what it holds, as far as it can.
    fn shed(&mut self, stream: &mut Self::Stream);

    /// Whether it waits for something that other connections may tell: it is not over before the
    /// end of the round.
    fn waits(&self, _: &Self::Stream) -> bool {
        false
    }

    /// More may be known now of what it waits for.
    fn retry(&mut self, _: &mut Self::Stream) {}

    /// Whether the bytes of a direction are read at all; where not, they are not put in order.
    fn wants(&self, stream: &Self::Stream, direction: Direction) -> bool;

    /// It is over: both directions were closed.
    fn finish(&mut self, stream: Self::Stream) -> FinishedConnection;

    /// Nobody follows it any more: what is under way in it is not told. Answers how many messages
    /// or exchanges that are, too.
    fn abandon(&mut self, stream: Self::Stream) -> (FinishedConnection, u64);
}

/// What a connection turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishedConnection {
    /// What it spoke, by its name in the ledger.
    pub protocol: &'static str,
    /// Whether an exchange came out of it.
    pub used: bool,
    /// Bytes that belong to no message.
    pub skipped: u64,
    /// Bytes behind a switch to another protocol.
    pub tunnelled: u64,
    /// Interim answers beyond what is kept of an exchange.
    pub unkept_interim: u64,
}

#[cfg(test)]
mod tests;
