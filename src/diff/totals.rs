//! What a diff counted: `diff.json` in the run's folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approvals::CallApproval;

/// What a diff counted, of all routes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Exchanges that were compared.
    pub compared: u64,
    /// Compared exchanges with at least one regression.
    pub mismatched: u64,
    /// Compared exchanges whose only differences are noise.
    pub noisy: u64,
    /// Compared exchanges whose differences are approved (and perhaps noise), none a regression.
    pub approved: u64,
    /// Compared exchanges that differ in what follows from requests that were not done at v2, none
    /// a regression.
    pub consequences: u64,
    /// Requests that were skipped although they change something: what consequences follow from.
    pub skipped_writes: u64,
    /// Requests that change something and had a condition that did not hold at v2 (412):
    /// consequences follow from them, too.
    pub unmet_writes: u64,
    /// Answers to requests that were sent with values of v1's, since v2 had issued none in their
    /// place: no rate counts them, nor [`Self::compared`].
    pub unbound: u64,
    /// Those of them that differ from v1's.
    pub unbound_differ: u64,
    /// Those of them whose values nobody asked v2 for: their producers were not sent.
    pub unbound_unsent: u64,
    /// Values that v2 did not issue and that requests use.
    pub not_issued: u64,
    /// Clusters of regressions.
    pub clusters: u64,
    /// How many causes they have: the same change on several routes is one.
    pub causes: u64,
    /// Answers of the baseline that were compared with v1's.
    pub baseline_compared: u64,
    /// Those of them that are of another shape (no answer, another kind of document, other members
    /// at its top) although equal requests of the recording never were, and others are not as often
    /// the other way.
    pub baseline_shapes: u64,
    /// Compared exchanges where v1 failed and v2 answers, none a regression.
    pub fixed: u64,
    /// Answers of v2 with the status of an error that is not its fault (`412` for want of v1's
    /// entity tag, `404` for what was never made): no rate counts them.
    pub excused: u64,
    /// Compared exchanges where v2 gave no usable answer (they are mismatched as well).
    pub failed: u64,
    /// Exchanges that were not compared, by reason (`skipped`, `no-response`, `response-damaged`,
    /// `not-replayed` …).
    pub not_compared: BTreeMap<String, u64>,
    /// Differences of exchanges that had too many; counted and not listed.
    pub unlisted: u64,
    /// The same by route, in the order of `compared`, largest first.
    pub routes: Vec<RouteTotals>,
    /// Rules of the configuration that matched nothing, as a person would write them.
    pub unmatched_rules: Vec<String>,
    /// Approvals that matched nothing.
    pub unmatched_approvals: Vec<String>,
    /// Approvals whose end date is past and that matched something: their differences are
    /// regressions again.
    pub expired_approvals: Vec<String>,
    /// The approvals of outgoing calls on the day of the diff: reports apply them to the mock's
    /// ledger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub call_approvals: Vec<CallApproval>,
}

/// What a diff counted on one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteTotals {
    /// The route, e.g. `GET /orders/{id}`.
    pub route: String,
    /// Exchanges that were compared.
    pub compared: u64,
    /// Compared exchanges with at least one regression.
    pub mismatched: u64,
    /// Compared exchanges without a usable answer of v2.
    pub failed: u64,
    /// Answers of v2 with the status of an error that is not its fault.
    pub excused: u64,
    /// Answers to requests that were sent with values of v1's, since v2 had issued none.
    pub unbound: u64,
}
