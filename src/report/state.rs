//! The state of a run in words: which values of v1's were bound to v2's, which v2 did not issue,
//! and which nothing could be bound to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;
use crate::diff::Cluster;
use crate::gate::words::{count, plural};
use crate::record::flows::{Flow, FlowFigures};

/// What `flows.jsonl` says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct State {
    /// The recording in figures.
    pub figures: FlowFigures,
    /// The flows, those with the most uses first; at most [`State::MOST`].
    pub flows: Vec<Flow>,
    /// Flows beyond those.
    pub more: u64,
    /// Uses that got a value of v2's; none where no replay tells.
    pub bound: Option<u64>,
    /// Uses that kept v1's value, since v2 had issued none.
    pub unbound: u64,
}

impl State {
    /// Most flows that a report shows; all of them are in `flows.jsonl`.
    pub const MOST: usize = 200;

    /// Adds a flow, in any order; memory stays bounded.
    pub fn add(&mut self, flow: Flow) {
        if let Some(bound) = flow.bound {
            *self.bound.get_or_insert(0) += bound;
        }
        self.unbound += flow.unbound.unwrap_or(0);
        self.flows.push(flow);
        if self.flows.len() >= 2 * Self::MOST {
            self.settle();
        }
    }

    /// Puts the flows in order and drops what is beyond the bound.
    pub fn settle(&mut self) {
        self.flows.sort_by_key(|flow| (std::cmp::Reverse(flow.uses), flow.flow));
        self.more += self.flows.len().saturating_sub(Self::MOST) as u64;
        self.flows.truncate(Self::MOST);
    }
}

/// What was bound and what was not, in a sentence; none where nothing was to be bound.
pub(crate) fn sentence(report: &Report<'_>) -> Option<String> {
    let totals = report.totals;
    let state = report.state.filter(|state| state.figures.uses + state.figures.older > 0);
    let mut said = Vec::new();
    if let Some(state) = state {
        let figures = &state.figures;
        if figures.sessions > 0 {
            said.push(plural(figures.sessions, "user", "users"));
        }
        let (uses, bound) = match state.bound {
            Some(0) => (format!("none of {}", plural(figures.uses, "use", "uses")), " bound"),
            Some(bound) => (plural(bound, "use", "uses"), " bound"),
            None => (plural(figures.uses, "use", "uses"), ""),
        };
        let bound = format!(
            "{uses} of {}{bound} in {} of {}",
            plural(figures.values, "value", "values"),
            count(figures.using),
            plural(figures.requests, "request", "requests")
        );
        said.extend((figures.uses > 0).then_some(bound));
    }
    if totals.not_issued > 0 {
        said.push(format!("{} not issued by v2", count(totals.not_issued)));
    }
    if totals.unbound > 0 {
        said.push(format!(
            "{} with v1's values, since v2 had issued none",
            plural(totals.unbound, "request was sent", "requests were sent")
        ));
    }
    if let Some(older) = state.map(|state| state.figures.older).filter(|older| *older > 0) {
        said.push(format!(
            "{} values from before the capture",
            plural(older, "request uses", "requests use")
        ));
    }
    (!said.is_empty()).then(|| format!("{}.", said.join("; ")))
}

/// What v2 did not issue, with what follows from it; the most first.
pub(crate) fn roots<'r>(report: &Report<'r>) -> Vec<&'r Cluster> {
    let mut roots: Vec<&Cluster> =
        report.clusters.kept.iter().filter(|cluster| cluster.followed_by > 0).collect();
    roots.sort_by_key(|cluster| (std::cmp::Reverse(cluster.followed_by), &cluster.id));
    roots
}

/// The clusters that follow from each root, by its id.
pub(crate) fn followers<'r>(report: &Report<'r>) -> BTreeMap<&'r str, Vec<&'r Cluster>> {
    let mut followers: BTreeMap<&str, Vec<&Cluster>> = BTreeMap::new();
    for cluster in &report.clusters.kept {
        if let Some(root) = &cluster.root {
            followers.entry(root).or_default().push(cluster);
        }
    }
    followers
}

/// A root in a sentence: what v2 did not issue, and how many requests follow from it.
pub(crate) fn root_words(cluster: &Cluster) -> String {
    format!(
        "v2 did not issue {} of {}: {} from it.",
        cluster.not_issued.join(", "),
        cluster.route,
        plural(cluster.followed_by, "request follows", "requests follow")
    )
}
