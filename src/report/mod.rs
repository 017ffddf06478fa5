//! Writes what people and tools read of a run: a page, tables, histograms, CI files, a few lines
//! for the terminal.
//!
//! In: the run's figures, the diff's clusters, the judgement. Out: bytes, the same for the same
//! run; nothing here reads a clock or a file. What comes from a capture is hostile and is escaped
//! by the rules of each format.

pub mod closeup;
pub mod compare;
pub mod csv;
pub mod github;
pub mod hlog;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod page;
pub mod query;
mod sentences;
pub mod state;
pub mod terminal;
pub mod text;
mod words;

use serde::Serialize;

pub(crate) use self::sentences::{apart, how_many, left_out, undone};
pub use self::state::State;
pub(crate) use self::words::{
    anchor, both_values, cluster_id, elsewhere, of_protocol, once_each, still_held, what,
};
pub(crate) use crate::diff::renames::shape_words;

use crate::diff::{Class, Cluster, Totals};
use crate::gate::Judgement;
use crate::measure::{Histogram, RouteSummary, Side, Summary};
use crate::mock::summary::ProviderCounts;
use crate::time::Timestamp;
use closeup::Closeup;

/// Names of the files that a report consists of.
pub mod names {
    /// Latencies by route, side and start.
    pub const LATENCY_CSV: &str = "latency.csv";
    /// Requests, errors and latencies by second.
    pub const TIMELINE_CSV: &str = "timeline.csv";
    /// HdrHistogram's interval log.
    pub const LATENCY_HLOG: &str = "latency.hlog";
    /// Percentiles of v1, for HdrHistogram's plotter.
    pub const V1_HGRM: &str = "latency.v1.hgrm";
    /// Percentiles of v2.
    pub const V2_HGRM: &str = "latency.v2.hgrm";
    /// Percentiles of the baseline, where there is one.
    pub const BASELINE_HGRM: &str = "latency.baseline.hgrm";
    /// All figures, for machines.
    pub const SUMMARY_JSON: &str = "summary.json";
    /// The page.
    pub const REPORT_HTML: &str = "report.html";
    /// For CI.
    pub const JUNIT_XML: &str = "junit.xml";
    /// For a pull-request comment.
    pub const SUMMARY_MD: &str = "summary.md";
    /// All of them.
    pub const ALL: [&str; 10] = [
        LATENCY_CSV,
        TIMELINE_CSV,
        LATENCY_HLOG,
        V1_HGRM,
        V2_HGRM,
        BASELINE_HGRM,
        SUMMARY_JSON,
        REPORT_HTML,
        JUNIT_XML,
        SUMMARY_MD,
    ];
}

/// A column of a table: its name, its unit, and what it says.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// As in the file's first line.
    pub name: &'static str,
    /// The unit, or what kind of text.
    pub unit: &'static str,
    /// In words.
    pub what: &'static str,
}

/// Shortens the tables of columns.
pub(crate) const fn column(name: &'static str, unit: &'static str, what: &'static str) -> Column {
    Column { name, unit, what }
}

/// What was run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Names the run.
    pub run: String,
    /// The command line.
    pub command: Vec<String>,
    /// `shadowtap X.Y.Z`.
    pub tool: String,
    /// The target's URL.
    pub target: String,
    /// The baseline's URL.
    pub baseline: Option<String>,
    /// The captures.
    pub inputs: Vec<InputFacts>,
    /// The settings that shaped the run.
    pub settings: serde_json::Value,
    /// The machine.
    pub host: serde_json::Value,
    /// When the command started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// A capture.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputFacts {
    /// As it was given.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// The diff's clusters, the weightiest first, at most [`Clusters::MOST`].
#[derive(Clone, Debug, Default)]
pub struct Clusters {
    /// By class in the order of [`Class::ALL`], each by how many exchanges they touch.
    pub kept: Vec<Cluster>,
    /// How many clusters there are of each class, in the order of [`Class::ALL`].
    pub counts: [u64; Class::ALL.len()],
}

impl Clusters {
    /// Most clusters that a report shows; all of them are in `clusters.jsonl`.
    pub const MOST: usize = 1_000;

    /// Adds one, in any order; memory stays bounded.
    pub fn add(&mut self, cluster: Cluster) {
        self.counts[cluster.class as usize] += 1;
        self.kept.push(cluster);
        if self.kept.len() >= 2 * Self::MOST {
            self.settle();
        }
    }

    /// Puts them in order and drops what is beyond the bound.
    pub fn settle(&mut self) {
        self.kept.sort_by(|a, b| {
            (a.class, std::cmp::Reverse(a.exchanges), &a.route, &a.id).cmp(&(
                b.class,
                std::cmp::Reverse(b.exchanges),
                &b.route,
                &b.id,
            ))
        });
        self.kept.truncate(Self::MOST);
    }

    /// The regressions that are kept.
    pub fn regressions(&self) -> impl Iterator<Item = &Cluster> {
        self.kept.iter().filter(|cluster| cluster.class == Class::Regression)
    }

    /// How many causes the clusters of a class have, as far as they are kept: a change that was
    /// found on several routes is one.
    pub fn causes(&self, class: Class) -> u64 {
        let kept = || self.kept.iter().filter(|cluster| cluster.class == class);
        let again = kept().count() - once_each(kept()).count();
        self.count(class).saturating_sub(again as u64)
    }

    /// How many clusters of a class there are.
    pub const fn count(&self, class: Class) -> u64 {
        self.counts[class as usize]
    }
}

/// v2's calls to its providers, as the mock saw them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Egress {
    /// Calls by what they are: `matched`, `drifted`, `repeated`, `extra`, `missing`.
    pub calls: std::collections::BTreeMap<&'static str, u64>,
    /// Calls that change something at a provider and were made more often than by v1.
    pub unsafe_repeated: u64,
    /// Calls that change something at a provider and are not v1's.
    pub unsafe_different: u64,
    /// Reads that were answered by a recorded call that is only like them, and were not approved.
    pub drifted_reads: u64,
    /// Reads that v1 never made and the mock had no answer to, and that were not approved.
    pub missed_reads: u64,
    /// Calls that are not v1's, those that were approved left out.
    pub different: u64,
    /// Calls that are not v1's and were approved.
    pub approved: u64,
    /// Approvals that no call needed.
    pub unmatched_approvals: Vec<String>,
    /// Calls whose place among the calls of the same cause changed.
    pub in_another_order: u64,
    /// Calls that got a fault on purpose.
    pub faulted: u64,
    /// Whether the mock was ended in order, so that what is missing is known.
    pub complete: bool,
    /// By provider and route, most calls first.
    pub routes: Vec<ProviderCounts>,
    /// What differs, by cause; what changes something and was made too often first.
    pub clusters: Vec<CallCluster>,
    /// Clusters beyond those: smaller ones, which only the mock's ledger holds.
    pub more_clusters: u64,
}

/// Outgoing calls with one cause of difference.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallCluster {
    /// The same for the same difference in any run.
    pub id: String,
    /// `drifted`, `repeated`, `extra`, `missing`, or `matched` for those in another order.
    pub verdict: &'static str,
    /// The same in words.
    pub what: &'static str,
    /// Whether their method changes something at the provider.
    pub changes: bool,
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// How many.
    pub calls: u64,
    /// How they changed.
    pub shape: String,
    /// Of the example: places with v1's and v2's value.
    pub places: Vec<(String, Option<String>, Option<String>)>,
    /// The beginning of v1's body in the example.
    pub expected: String,
    /// The beginning of v2's.
    pub actual: String,
    /// Exchanges that caused them, the first few.
    pub causes: Vec<String>,
    /// Why they are intended, where they were approved.
    pub approved: Option<String>,
    /// A command line that repeats the example at a mock, secrets masked.
    pub repeat: String,
}

impl Egress {
    /// All calls.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// Everything that a report is made of.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// What was run.
    pub facts: &'a Facts,
    /// The figures.
    pub summary: &'a Summary,
    /// The diff's counts.
    pub totals: &'a Totals,
    /// The diff's clusters.
    pub clusters: &'a Clusters,
    /// v2's calls to its providers, where a mock watched.
    pub egress: Option<&'a Egress>,
    /// What was bound, where flows were found.
    pub state: Option<&'a State>,
    /// The verdict.
    pub judgement: &'a Judgement,
    /// Exchanges close up: for each cluster in its turn its first one, then the others.
    pub closeups: &'a [Closeup],
    /// The folder of the run, as its user named it.
    pub folder: &'a str,
    /// Names of the files in it.
    pub files: &'a [String],
}

/// Where a latency starts to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// When the request was sent: what the version took.
    Sent,
    /// When the request was due: what a user would have felt.
    Due,
    /// When the request was sent, to the first message of a stream.
    FirstMessage,
    /// The message before, in a stream of several: the mean.
    BetweenMessages,
}

impl From {
    /// Of every answer.
    pub const ALL: [Self; 2] = [Self::Sent, Self::Due];
    /// Of streams of messages.
    pub const OF_MESSAGES: [Self; 2] = [Self::FirstMessage, Self::BetweenMessages];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Due => "due",
            Self::FirstMessage => "first-message",
            Self::BetweenMessages => "between-messages",
        }
    }
}

/// A row of the latency tables.
pub struct LatencyRow<'a> {
    /// `ALL` or the route.
    pub route: &'a str,
    /// Whose.
    pub side: Side,
    /// From when.
    pub from: From,
    /// Errors of that side on that route.
    pub errors: u64,
    /// The latencies.
    pub latency: Histogram,
}

impl<'a> Report<'a> {
    /// `ALL` and the routes.
    pub fn subjects(&self) -> impl Iterator<Item = &'a RouteSummary> + use<'a> {
        std::iter::once(&self.summary.all).chain(&self.summary.routes)
    }

    /// The sides that this run has.
    pub fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        let baseline = self.summary.has_baseline;
        Side::ALL.into_iter().filter(move |&side| side != Side::Baseline || baseline)
    }

    /// The rows of the latency tables: `ALL` first, then the routes by their requests at v2.
    pub fn latencies(&self) -> impl Iterator<Item = LatencyRow<'a>> + use<'a> {
        let sides: Vec<Side> = self.sides().collect();
        self.subjects().flat_map(move |route| {
            let streams = sides.iter().any(|&side| route.side(side).first_message.count() > 0);
            let of_messages = From::OF_MESSAGES.into_iter().filter(move |_| streams);
            let rows: Vec<LatencyRow<'a>> = sides
                .iter()
                .flat_map(|&side| {
                    let all = From::ALL.into_iter().chain(of_messages.clone());
                    all.map(move |from| (side, from))
                })
                .map(|(side, from)| {
                    let figures = route.side(side);
                    let latency = match from {
                        From::FirstMessage => figures.first_message.clone(),
                        From::BetweenMessages => figures.between_messages.clone(),
                        // v1's requests were due when they came.
                        From::Due if side != Side::V1 => figures.due.clone(),
                        From::Sent | From::Due => figures.sent.whole(),
                    };
                    LatencyRow {
                        route: &route.route,
                        side,
                        from,
                        errors: figures.errors(),
                        latency,
                    }
                })
                .collect();
            rows
        })
    }

    /// Rules of the configuration and the policy that matched nothing.
    pub fn unmatched(&self) -> Vec<String> {
        let totals = self.totals;
        let rules = totals.unmatched_rules.iter().map(|rule| format!("[diff] {rule}"));
        let flows = self.state.into_iter().flat_map(|state| &state.figures.unmatched_rules);
        let rules = rules.chain(flows.map(|rule| format!("[flow] {rule}")));
        let approvals =
            totals.unmatched_approvals.iter().map(|approval| format!("approved.toml: {approval}"));
        let expired = totals
            .expired_approvals
            .iter()
            .map(|approval| format!("approved.toml, past its end date: {approval}"));
        let calls = self.egress.into_iter().flat_map(|egress| &egress.unmatched_approvals);
        let approvals = approvals.chain(calls.map(|approval| format!("approved.toml: {approval}")));
        let routes =
            self.judgement.unmatched_routes.iter().map(|route| format!("[[gate.route]] {route}"));
        rules.chain(approvals).chain(expired).chain(routes).collect()
    }
}
