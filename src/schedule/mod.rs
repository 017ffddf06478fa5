//! What is due when, and on which lane: pure functions from what the capture says to [`Release`]s.
//!
//! In: what is known of each recorded request ([`Recorded`]), and the wishes of the user
//! ([`pacing::Pacing`], [`select::Selection`]). Out: for each request its lane, its absolute due
//! time and what it must wait for. No clock, no file and no socket is touched here; `replay` is
//! given the result and does not know how it was made.

pub mod after;
pub mod gaps;
pub mod held;
pub mod lane;
pub mod pacing;
pub mod select;
pub mod users;

use crate::exchange::{Exchange, ExchangeId};
use crate::message::reset_of;

/// What the schedule needs to know of a recorded request. Times are nanoseconds since the epoch,
/// from the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which exchange.
    pub id: ExchangeId,
    /// First byte of the request.
    pub at: i64,
    /// Last byte of its answer; none where the capture does not hold it.
    pub answered_at: Option<i64>,
    /// When its connection was opened; none where the capture joined it later.
    pub opened_at: Option<i64>,
    /// Answers on its lane come in any order (HTTP/2), not in that of their requests.
    pub concurrent: bool,
}

impl Recorded {
    /// From an exchange; none for an orphan response, which has no request.
    pub fn new(exchange: &Exchange) -> Option<Self> {
        let request = exchange.request.as_ref()?;
        let answered_at = exchange.response.as_ref().and_then(|response| response.last_byte_ns);
        let answered_at = answered_at.or_else(|| left_ns(exchange));
        Some(Self {
            id: exchange.id,
            at: request.at.nanos(),
            answered_at: answered_at.map(|after| request.at.plus(after).nanos()),
            opened_at: exchange.opened_at.map(|at| at.nanos()),
            concurrent: exchange.protocol == "http/2",
        })
    }

    /// The same with other times.
    #[must_use]
    pub fn mapped(self, map: impl Fn(i64) -> i64) -> Self {
        Self {
            at: map(self.at),
            answered_at: self.answered_at.map(&map),
            opened_at: self.opened_at.map(&map),
            ..self
        }
    }
}

/// When a client that reset a stream had the last of what came of the answer, since it asked: it
/// waits for nothing on it any more.
fn left_ns(exchange: &Exchange) -> Option<i64> {
    reset_of(exchange.request.as_ref()?.message.extras.as_deref())?;
    let answer = exchange.response.as_ref()?;
    let pieces = answer.message.extras.as_ref().map(|extras| &extras.pieces[..]);
    pieces.and_then(|pieces| pieces.last()).map(|(_, at)| *at).or(answer.first_byte_ns)
}

/// One request of a lane, scheduled. Offsets are nanoseconds of captured time since the first
/// request of the schedule; [`pacing::Pacing::due`] turns them into due times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Which exchange.
    pub id: ExchangeId,
    /// When its first byte was sent, since the first request of all.
    pub offset: i64,
    /// When its client had its answer, since the first request of all: requests of the lane that
    /// were sent then or later come after it ([`after::After`]). [`i64::MAX`] where none does.
    pub answered: i64,
    /// How long after the last of the answers that it comes after the client sent it; zero where
    /// there was none.
    pub think: i64,
    /// When the lane's connection was opened; there on the first request of a lane only.
    pub open: Option<i64>,
    /// Whether the lane ends with it.
    pub last: bool,
}
