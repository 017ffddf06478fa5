//! Where the records stand of the exchanges that a report shows, so that nobody has to search the
//! files for them.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::diff::Difference;
use crate::diff::index::Index;
use crate::limits;
use crate::outcome::ReplayId;

/// First exchanges of a cluster that are kept.
pub const MEMBERS: usize = 50;

/// A part of a file: where it begins, and how long it is.
pub type Span = (u64, u64);

/// The first exchanges of each cluster, and where their records are.
pub struct Whereabouts {
    members: Members,
    exchanges: Vec<(u64, u32)>,
    outcomes: Index,
}

/// Where the records of one exchange are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpans {
    /// In `exchanges.jsonl`.
    pub exchange: Span,
    /// In `differences.jsonl`.
    pub differences: Span,
    /// In `outcomes.jsonl`, with those before it on its lane.
    pub outcomes: Vec<Span>,
}

impl Whereabouts {
    /// What was found of a run whose records were each there once.
    pub(super) fn new(members: Members, exchanges: Vec<(u64, u32)>, outcomes: Index) -> Self {
        Self { members, exchanges, outcomes }
    }

    /// The first exchanges of a cluster, in the order of the differences.
    pub fn members(&self, cluster: &str) -> &[ReplayId] {
        self.members.of_cluster.get(cluster).map_or(&[], Vec::as_slice)
    }

    /// Where the records of an exchange are, with the outcomes of `before` requests before it on
    /// its lane; none of one that is no first exchange or example of a cluster.
    pub fn spans(&self, id: ReplayId, before: u32) -> Option<RecordSpans> {
        let (rank, differences) = self.members.places.get(&id)?;
        let (offset, length) = *self.exchanges.get(*rank as usize)?;
        let last = id.exchange.ordinal;
        let ordinals = last.saturating_sub(before)..=last;
        let outcomes = ordinals.filter_map(|ordinal| {
            let mut id = id;
            id.exchange.ordinal = ordinal;
            self.outcomes.span(id)
        });
        Some(RecordSpans {
            exchange: (offset, u64::from(length)),
            differences: *differences,
            outcomes: outcomes.collect(),
        })
    }
}

/// The first exchanges of each cluster, while differences are written.
#[derive(Default)]
pub(super) struct Members {
    of_cluster: FxHashMap<String, Vec<ReplayId>>,
    /// The rank of each, and where its differences are.
    places: FxHashMap<ReplayId, (u32, Span)>,
    /// Bytes of differences so far.
    written: u64,
    /// There is no room for all, or there are two of one name.
    pub(super) is_beyond: bool,
}

impl Members {
    /// Counts the line of a difference; whether its exchange is one of the first of its cluster.
    pub(super) fn count(&mut self, difference: &Difference, line: &[u8]) -> bool {
        self.written += line.len() as u64;
        if self.is_beyond {
            return false;
        }
        if !self.of_cluster.contains_key(&difference.cluster) {
            self.of_cluster.insert(difference.cluster.clone(), Vec::new());
        }
        let Some(members) = self.of_cluster.get_mut(&difference.cluster) else { return false };
        // Differences of one exchange follow each other.
        if members.len() >= MEMBERS || members.last() == Some(&difference.id) {
            return false;
        }
        members.push(difference.id);
        true
    }

    /// Bytes of differences so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Keeps where the differences of an exchange are.
    pub(super) fn keep(&mut self, id: ReplayId, rank: u32, differences: Range<u64>) {
        if self.is_beyond {
            return;
        }
        let span = (differences.start, differences.end - differences.start);
        let is_new = self.places.insert(id, (rank, span)).is_none();
        if !is_new || self.places.len() > limits::PLACED_EXCHANGES {
            *self = Self { written: self.written, is_beyond: true, ..Self::default() };
        }
    }
}
