//! Figures of a run: how often, how long, how many errors, for v1 (from the capture), v2 and the
//! baseline (from the replay), for all and by route.
//!
//! Latency counts from two instants. From sent it is what the version took. From due it is what a
//! user would have felt, and it shows what a closed loop hides (coordinated omission).
//!
//! In: a run's records, joined by the exchange's id (`join`). Out: a [`Summary`] of counts and
//! histograms, which can be added to another. Only exchanges that were replayed are measured, on
//! each side, so that like is compared with like.

mod answered;
pub mod beside;
pub mod blocks;
mod forms;
pub mod histogram;
mod join;
pub mod kept;
mod pace;
pub mod paired;
mod records;
pub mod timeline;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use blocks::Blocks;
pub use histogram::Histogram;
pub use join::{Error, RunRecords, measure};
use serde::{Deserialize, Serialize};
pub use timeline::Timeline;

use crate::ledger::Ledger;
use crate::outcome::FailureKind;
pub use crate::record::lines::{compressed_twin, open as open_records};
use crate::time::Timestamp;

/// Whose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The captured version, as the tap saw it.
    V1 = 0,
    /// The target of the replay.
    V2 = 1,
    /// v1 in staging, replayed by the same schedule.
    Baseline = 2,
}

/// How many sides there are.
pub const SIDES: usize = 3;

impl Side {
    /// In the order of rows.
    pub const ALL: [Self; SIDES] = [Self::V1, Self::V2, Self::Baseline];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Baseline => "baseline",
        }
    }
}

/// Answers and latencies of one side on one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideSummary {
    /// Requests that were sent.
    pub requests: u64,
    /// Those that have no usable answer, by kind. v1 has none: a capture cannot tell a failure from
    /// its own end.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Latency from the request's first byte to the answer's last, over time (v1: capture time;
    /// else replay time).
    pub sent: Blocks,
    /// Latency from the instant the request was due; empty for v1, which was due when it came.
    /// Requests that timed out are in it with the time that was waited for them.
    pub due: Histogram,
    /// Of streams of messages: from the request's first byte to the first message.
    pub first_message: Histogram,
    /// Of streams of several messages: the mean time between them.
    pub between_messages: Histogram,
}

impl SideSummary {
    /// Failures and answers with a status of 500 or above.
    pub fn errors(&self) -> u64 {
        self.failures.values().sum::<u64>()
            + self.statuses.range(500..).map(|(_, n)| n).sum::<u64>()
    }

    /// Notes how the messages of an answer came.
    fn take_pace(&mut self, pace: Option<pace::Pace>) {
        let Some(pace) = pace else { return };
        self.first_message.record(pace.first);
        if let Some(between) = pace.between {
            self.between_messages.record(between);
        }
    }

    /// Answers.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        other.failures.iter().for_each(|(&kind, n)| *self.failures.entry(kind).or_default() += n);
        other
            .statuses
            .iter()
            .for_each(|(&status, n)| *self.statuses.entry(status).or_default() += n);
        self.sent.merge(&other.sent);
        self.due.merge(&other.due);
        self.first_message.merge(&other.first_message);
        self.between_messages.merge(&other.between_messages);
    }
}

/// Requests that were answered on both sides, or failed at v2: the errors that are v2's own. The
/// other side is the baseline where there is one, else v1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// How many.
    pub count: u64,
    /// v2 failed or answered 5xx, the other side did not.
    pub new_errors: u64,
    /// The other side failed or answered 5xx, v2 did not.
    pub gone_errors: u64,
    /// Of [`Self::new_errors`]: v2 refused (401, 403, a redirect, 404) what the other side granted.
    pub refusals: u64,
}

impl Pairs {
    /// Adds all of another.
    pub const fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.new_errors += other.new_errors;
        self.gone_errors += other.gone_errors;
        self.refusals += other.refusals;
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteSummary {
    /// Its name, e.g. `GET /orders/{id}`.
    #[serde(serialize_with = "forms::write_text", deserialize_with = "forms::read_text")]
    pub route: Arc<str>,
    /// v1, v2, baseline.
    pub sides: [SideSummary; SIDES],
    /// v2 against the other side, request by request.
    pub pairs: Pairs,
    /// v2's latency over the other side's, request by request, where both gave an answer of one
    /// class of status; over replay time, as [`paired::scaled`] keeps ratios.
    pub ratios: Blocks,
    /// How much longer v2 took than the other side, of the same requests where it did.
    pub slower: Histogram,
    /// How much shorter, where it did.
    pub faster: Histogram,
    /// Over replay time, in at most [`crate::limits::ROUTE_STEPS`] steps.
    pub over_time: Timeline,
}

impl Default for RouteSummary {
    fn default() -> Self {
        Self {
            route: Arc::from(""),
            sides: Default::default(),
            pairs: Pairs::default(),
            ratios: Blocks::default(),
            slower: Histogram::default(),
            faster: Histogram::default(),
            over_time: Timeline::with_limit(crate::limits::ROUTE_STEPS),
        }
    }
}

impl RouteSummary {
    /// One side.
    pub const fn side(&self, side: Side) -> &SideSummary {
        &self.sides[side as usize]
    }

    /// Answers of v2 whose status the other side never gave on this route, by status.
    pub fn new_statuses(&self, other: Side) -> BTreeMap<u16, u64> {
        let known = &self.side(other).statuses;
        let v2 = &self.side(Side::V2).statuses;
        v2.iter()
            .filter(|(status, _)| !known.contains_key(status))
            .map(|(&status, &n)| (status, n))
            .collect()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.sides.iter_mut().zip(&other.sides).for_each(|(mine, other)| mine.merge(other));
        self.pairs.merge(&other.pairs);
        self.ratios.merge(&other.ratios);
        self.slower.merge(&other.slower);
        self.faster.merge(&other.faster);
        self.over_time.merge(&other.over_time);
    }
}

/// Share of the time beyond which a wait for a processor shows in latencies.
const CONTENDED: f64 = 0.1;

/// One kind of failure over all routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureSummary {
    /// How many.
    pub count: u64,
    /// What the first one said, in short.
    pub example: String,
    /// Which request it was.
    pub id: String,
    /// On which route.
    pub route: String,
}

/// A run in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Exchanges in the recording, by completeness.
    #[serde(deserialize_with = "forms::by_completeness")]
    pub exchanges: BTreeMap<&'static str, u64>,
    /// Those of them of which nothing is missing in the capture: v1's client left the answer, or
    /// the recording is of a kind that does not tell it whole.
    pub left: u64,
    /// Exchanges that were replayed, at least once.
    pub replayed: u64,
    /// Requests that were not sent, on purpose, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Requests that failed by somebody else than v2, by whom and how: they say nothing about it.
    pub own_failures: BTreeMap<String, u64>,
    /// Requests that were sent to v2 with values of v1's, since v2 had issued none in their place:
    /// they count in no rate and no latency.
    pub unbound: u64,
    /// Lanes with at least one sent request.
    pub lanes: u64,
    /// Capture time of the first request that was replayed.
    pub first_at: Option<Timestamp>,
    /// Capture time of the last one.
    pub last_at: Option<Timestamp>,
    /// When the replay started.
    pub started: Option<Timestamp>,
    /// From the start of the replay to the last sent request or answer, in nanoseconds.
    pub took_ns: i64,
    /// By route, the most requests at v2 first.
    pub routes: Vec<RouteSummary>,
    /// All routes together.
    pub all: RouteSummary,
    /// Over time.
    pub timeline: Timeline,
    /// The replayer's own lateness (what v2 caused is not in it).
    pub lateness: Histogram,
    /// Handshakes in the capture: the round trip between v1's clients and v1, one a connection.
    pub handshakes: Histogram,
    /// Times to connect, v2.
    pub connects: Histogram,
    /// Times to connect, baseline.
    pub baseline_connects: Histogram,
    /// Failures of v2 by kind.
    pub failures: BTreeMap<FailureKind, FailureSummary>,
    /// Whether there is a baseline.
    pub has_baseline: bool,
    /// Requests that v1 in the recording and the baseline both answered, and those that the
    /// baseline answered with another status.
    pub baseline_answers: u64,
    /// See [`Self::baseline_answers`].
    pub baseline_otherwise: u64,
    /// The packets of the capture.
    pub capture_ledger: Ledger,
    /// The requests of the replay.
    pub replay_ledger: Ledger,
    /// What the replayer measured of itself.
    pub generator: serde_json::Value,
    /// Lines that could not be used and why, in short: `outcomes.jsonl: line 7: …`; the first few.
    pub rejected_examples: Vec<String>,
    /// Lines that could not be used, and records without a partner, by reason.
    pub records_ledger: Ledger,
    /// Files that lack their last line: the writer was cut off.
    pub unclosed: Vec<String>,
}

impl Summary {
    /// What v2 is compared with.
    pub const fn reference(&self) -> Side {
        if self.has_baseline { Side::Baseline } else { Side::V1 }
    }

    /// Exchanges in the recording.
    pub fn recorded(&self) -> u64 {
        self.exchanges.values().sum()
    }

    /// Exchanges of the recording that are damaged: bytes of the request or the response are
    /// missing.
    pub fn damaged(&self) -> u64 {
        ["request-damaged", "response-damaged", "orphan-response"]
            .iter()
            .filter_map(|name| self.exchanges.get(name))
            .sum::<u64>()
            .saturating_sub(self.left)
    }

    /// Whether the replayer's machine was contended: its workers waited for a processor, or the
    /// host gave the machine's to others, for more than a tenth of the time.
    pub fn contended(&self) -> bool {
        let figures = |own: &serde_json::Value| {
            ["run_queue_share", "cpu_stolen_share"]
                .iter()
                .any(|name| own[name].as_f64().is_some_and(|share| share > CONTENDED))
        };
        let shards = self.generator["shards"].as_array();
        figures(&self.generator) || shards.is_some_and(|shards| shards.iter().any(figures))
    }

    /// A route by its name.
    pub fn route(&self, name: &str) -> Option<&RouteSummary> {
        self.routes.iter().find(|route| &*route.route == name)
    }
}
