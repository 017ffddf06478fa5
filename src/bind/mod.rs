//! State: what v1's answers issued and later requests used is bound to what v2 issues in its place.
//!
//! A value is *born* in an answer and *used* in requests. All values that one answer issued at one
//! place and that mean one thing have a [`slot`](Birth::slot); a *binding* is v1's value of a slot
//! with v2's. Births and uses of the same routes and places are one *flow*. What an exchange has to
//! do with slots is its [`Part`]: which answers it waits for, what is put into its request, and
//! what is looked for in its answer.

pub mod config;
pub mod fill;
pub mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use crate::exchange::ExchangeId;
use crate::message::place::Place;

/// How long a request waits for what others had been answered just before it. Users do not wait for
/// each other; but who came first must not rest on some milliseconds by which v2 is slower.
pub const COURTESY_NS: i64 = 100_000_000;

/// A value that an answer of v1 issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Numbers the values of a recording, from 0.
    pub slot: u32,
    /// Where it stands in the answer.
    pub place: Place,
    /// The bytes of it in the decoded value at that place; none where it is all of it.
    pub range: Option<Range<u32>>,
    /// What v1 issued, decoded.
    pub text: Box<str>,
    /// The kind of thing that it names (`orders`), where it means something only there: a small
    /// number, a word. None for a value that means the same wherever it stands.
    pub thing: Option<Box<str>>,
    /// Number of its flow; none where no request uses it: it is only checked.
    pub flow: Option<u32>,
}

/// A value that a request uses, or a client's message on a WebSocket: `$[2].token` then stands in
/// the third of what its client said, and of a birth in the third of what the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which one.
    pub slot: u32,
    /// Where it stands in the request.
    pub place: Place,
    /// The bytes of it in the decoded value at that place; none where it is all of it.
    pub range: Option<Range<u32>>,
    /// Number of its flow.
    pub flow: u32,
    /// The exchange whose answer gives it, as this client came to know it.
    pub from: ExchangeId,
}

/// What an exchange has to do with bound values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub exchange: ExchangeId,
    /// Its client across connections: numbered from 0.
    pub session: u32,
    /// What its answer issues. A value that stands at several places has one behind the other: the
    /// first at which v2's answer has it gives it.
    pub births: Vec<Birth>,
    /// What its request uses, in the order of the walk over it.
    pub uses: Vec<Use>,
    /// Exchanges that must have been answered before its request goes, beside the ones that its own
    /// connection asks for, those of its uses among them; but not of what is said on a WebSocket
    /// that it opens, which waits by itself. The request of each was sent, in the recording, before
    /// this one (at one instant: stands before it), and what this one needs of its answer was
    /// there: waits never go round in a circle.
    pub after: Vec<ExchangeId>,
    /// Others' exchanges that were answered at most [`COURTESY_NS`] before its request was sent,
    /// one of the two a change: it goes behind them too, but waits for them no longer than that.
    pub beside: Vec<ExchangeId>,
    /// How many values it uses that look issued, but by no answer of the recording.
    pub older: u32,
}

/// The parts of a recording's exchanges, by exchange.
pub trait Parts: std::fmt::Debug + Send + Sync {
    /// What an exchange has to do with bound values; none where it has nothing.
    fn part(&self, of: ExchangeId) -> io::Result<Option<Part>>;
}

impl Parts for BTreeMap<ExchangeId, Part> {
    fn part(&self, of: ExchangeId) -> io::Result<Option<Part>> {
        Ok(self.get(&of).cloned())
    }
}

/// Exchanges with all whose answers give values to them, or to the earlier requests of their
/// connections: what must be replayed for theirs to be whole. Sorted.
pub fn with_givers(parts: &dyn Parts, ids: &[ExchangeId]) -> io::Result<Vec<ExchangeId>> {
    let mut known: BTreeSet<ExchangeId> = ids.iter().copied().collect();
    let mut left: Vec<ExchangeId> = known.iter().copied().collect();
    // Up to where connections were looked at.
    let mut looked: BTreeMap<u64, u32> = BTreeMap::new();
    while let Some(ExchangeId { connection, ordinal }) = left.pop() {
        let from = looked.entry(connection).or_default();
        let new = std::mem::replace(from, ordinal.saturating_add(1).max(*from));
        for ordinal in new..=ordinal {
            let part = parts.part(ExchangeId { connection, ordinal })?;
            let givers = part.into_iter().flat_map(|part| part.uses).map(|used| used.from);
            left.extend(givers.filter(|giver| known.insert(*giver)));
        }
    }
    Ok(known.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_values_to_what_gives_values_is_found() {
        let id = |text: &str| text.parse::<ExchangeId>().expect("an id");
        let part = |of: &str, from: &[&str]| {
            let used = |from: &&str| Use {
                slot: 0,
                place: "$.id".parse().expect("a place"),
                range: None,
                flow: 0,
                from: id(from),
            };
            let uses = from.iter().map(used).collect();
            (id(of), Part { exchange: id(of), uses, ..Part::default() })
        };
        let parts: BTreeMap<ExchangeId, Part> =
            [part("3-0", &["1-0"]), part("3-1", &[]), part("1-0", &["0-2"]), part("9-0", &["8-0"])]
                .into();
        let found = with_givers(&parts, &[id("3-1")]).expect("nothing is read");
        assert_eq!(found, [id("0-2"), id("1-0"), id("3-1")]);
    }
}
