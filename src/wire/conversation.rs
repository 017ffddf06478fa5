//! What a reader of one connection is asked, whatever protocol it reads: the seam between the
//! streams of a capture and the exchanges in them.

use std::fmt::Debug;

use crate::exchange::Exchange;
use crate::flow::{Direction, Endpoint};
use crate::time::Timestamp;

/// The packet that something came with, as evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketMark {
    /// Its number in the (merged) input: what is later has a higher one.
    pub packet: u64,
    /// Its capture time.
    pub at: Timestamp,
    /// How much of the other direction its sender had received: an offset in that stream, counted
    /// as the bytes and gaps that are given here. None where that is not known (no packet of the
    /// other direction was seen).
    pub ack: Option<u64>,
    /// Of a gap: the bytes were cut off by the snap length.
    pub cut: bool,
}

/// What is known of a connection when it begins.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Its rank.
    pub connection: u64,
    /// Who opened it; a guess where the SYN is missing. Corrected by content: who sends requests is
    /// the client.
    pub client: Endpoint,
    /// The other one.
    pub server: Endpoint,
    /// The time of its SYN.
    pub opened_at: Option<Timestamp>,
    /// Its SYN is missing: messages may begin anywhere.
    pub joined: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: FIN at this offset, end of file of a socket, TLS close_notify.
    Closed,
    /// Reset, or not seen to the end.
    Cut,
}

/// Where exchanges go, at the packet that finished them.
pub type ExchangeOut<'a> = &'a mut dyn FnMut(Exchange);

/// Reads one connection: bytes, gaps and ends of both directions, each in stream order; and gives
/// the exchanges in it. A conversation may hand the rest of its stream to another one.
pub trait Conversation: Debug + Send {
    /// Tells how long the handshake took, once it is known.
    fn set_handshake(&mut self, nanos: i64);

    /// Whether the bytes of a direction are needed. Where not, they need not be put in order and
    /// given.
    fn wants(&self, direction: Direction) -> bool;

    /// What the connection carries, by content: `http/1`, `http/2`, the protocol behind an upgrade,
    /// another name, `unknown` or `empty`.
    fn protocol(&self) -> &'static str;

    /// Who sends requests and who answers, as far as is known.
    fn roles(&self) -> (Endpoint, Endpoint);

    /// Bytes that it holds: of messages under way, waiting to be paired, or waiting for the other
    /// direction.
    fn held(&self) -> usize;

    /// Lets go of what it can, where memory is short: bodies under way are counted and hashed only,
    /// and requests that wait for their answers leave without.
    fn relieve(&mut self, out: ExchangeOut<'_>);

    /// Whether it waits for something that other connections may still tell.
    fn waits(&self) -> bool {
        false
    }

    /// More may be known now of what it waits for.
    fn retry(&mut self, _: ExchangeOut<'_>) {}

    /// Exchanges that have begun and were not given out.
    fn under_way(&self) -> u64;

    /// Bytes given that belong to no message.
    fn skipped(&self) -> u64;

    /// Bytes given that stand behind a 101 or a successful CONNECT and were not read.
    fn tunnelled(&self) -> u64;

    /// Interim answers beyond the bound, of which only the number is kept.
    fn unkept_interim(&self) -> u64;

    /// The next bytes of a direction.
    fn bytes(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    );

    /// `n` bytes of a direction are missing here.
    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>);

    /// A direction has ended.
    fn close(&mut self, direction: Direction, ending: Ending, out: ExchangeOut<'_>);

    /// The connection is over, or nothing more of it will be seen: gives all that is left.
    fn finish(&mut self, out: ExchangeOut<'_>);
}
