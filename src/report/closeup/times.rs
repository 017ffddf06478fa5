//! When what happened to one request: at v1, at v2, and on its lane before it.

use crate::exchange::Exchange;
use crate::gate::words::duration;
use crate::outcome::{Outcome, ReplayId};

/// The times of one request of the replay, in nanoseconds from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// Which request.
    pub id: ReplayId,
    /// When it was due.
    pub due_ns: i64,
    /// When it was sent.
    pub sent_ns: Option<i64>,
    /// When the answer's first byte came.
    pub first_byte_ns: Option<i64>,
    /// When the answer's last byte came, or when it was given up.
    pub ended_ns: Option<i64>,
    /// The part of the wait that v2 caused.
    pub waited_ns: i64,
    /// How long its connection took to open, where it opened one.
    pub connect_ns: Option<i64>,
}

impl Flight {
    /// Of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            id: outcome.id,
            due_ns: outcome.due_ns,
            sent_ns: outcome.sent_ns,
            first_byte_ns: outcome.first_byte_ns,
            ended_ns: outcome.last_byte_ns.or(outcome.left_ns).or(outcome.failed_ns),
            waited_ns: outcome.waited_ns,
            connect_ns: outcome.connect_ns,
        }
    }

    /// From sent to the end of the answer.
    pub fn took_ns(&self) -> Option<i64> {
        Some(self.ended_ns?.saturating_sub(self.sent_ns?))
    }
}

/// The times of one exchange on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// v1: from the request's first byte to the answer's first and last one.
    pub v1: [Option<i64>; 2],
    /// v2.
    pub v2: Option<Flight>,
    /// Earlier requests of the lane, in order.
    pub before: Vec<Flight>,
}

impl Times {
    pub(super) fn of(exchange: &Exchange, outcome: Option<&Outcome>, before: &[Flight]) -> Self {
        let v1 = exchange.response.as_ref();
        Self {
            v1: [
                v1.and_then(|answer| answer.first_byte_ns),
                v1.and_then(|answer| answer.last_byte_ns),
            ],
            v2: outcome.map(Flight::of),
            before: before.to_vec(),
        }
    }

    /// What its sending waited for, in words; none where it was sent when it was due.
    pub fn waited_for(&self) -> Option<String> {
        /// Less is the clock's grain.
        const SHORTEST_NS: i64 = 100_000;
        let flight = self.v2.as_ref()?;
        let sent = flight.sent_ns?;
        let late = sent.saturating_sub(flight.due_ns);
        if late < SHORTEST_NS {
            return None;
        }
        let own = late.saturating_sub(flight.waited_ns).max(0);
        let last = self
            .before
            .iter()
            .filter(|other| other.ended_ns.is_some_and(|end| end > flight.due_ns && end <= sent))
            .max_by_key(|other| other.ended_ns);
        let cause = match (last, flight.connect_ns) {
            (Some(other), _) => format!("for the answer to {} on its lane", other.id),
            (None, Some(_)) => "for its connection".to_owned(),
            (None, None) => "for v2".to_owned(),
        };
        let mut said = Vec::new();
        if flight.waited_ns > 0 {
            said.push(format!("{} {cause}", duration(flight.waited_ns as f64)));
        }
        if own >= SHORTEST_NS {
            said.push(format!("{} of the replayer itself", duration(own as f64)));
        }
        (!said.is_empty()).then(|| {
            format!("Sent {} after it was due: {}.", duration(late as f64), said.join(", "))
        })
    }
}
