//! Compares v2's answers with v1's: a difference is typed, located, classed and clustered.

mod account;
pub mod approvals;
mod beginning;
mod bindings;
mod body;
pub(crate) mod calls;
mod challenge;
pub mod change;
mod cluster;
pub mod compare;
mod conditional;
mod content;
mod context;
pub mod csv;
mod elapsed;
mod embedded;
pub mod engine;
mod events;
mod form;
mod growth;
pub mod header_table;
pub mod headers;
mod identity;
mod index;
mod instants;
mod issued;
pub mod json;
mod judging;
pub mod markup;
mod multipart;
pub mod noise;
mod nouns;
mod open;
pub mod parts;
pub mod planned;
mod predicate;
mod query;
pub(crate) mod renames;
pub mod repeat;
mod roots;
pub mod rules;
mod scatter;
mod skipped;
pub(crate) mod sockets;
mod spool;
mod survey;
mod table;
pub(crate) mod text;
mod ties;
mod totals;

pub use totals::{RouteTotals, Totals};

use serde::{Deserialize, Serialize};

use crate::outcome::{ReplayId, Unbound};
use crate::time::Timestamp;

/// What kind of thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The status code.
    Status,
    /// A header field; the place is its name in lower case.
    Header,
    /// The body; the place is a JSONPath (RFC 9535), or what the body's kind has instead (`line
    /// 12`, `bytes`).
    Body,
    /// Something v1 sent and v2 did not.
    Missing,
    /// v2 gave no usable answer where v1 answered; the place is the failure's kind.
    Failure,
    /// v2 named one thing by two ids, or two things by one, or another thing than v1 did.
    Identity,
}

impl Kind {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Header => "header",
            Self::Body => "body",
            Self::Missing => "missing",
            Self::Failure => "failure",
            Self::Identity => "identity",
        }
    }
}

/// What is to be thought of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Counts against v2.
    Regression,
    /// Follows from a value that v2 did not issue, or from a request that was not sent, as a `GET`
    /// behind a `PUT` that was skipped; shown apart.
    Consequence,
    /// v1's own error, which v2 answers rightly; shown apart.
    Fixed,
    /// Intended, by `approved.toml`; shown apart.
    Approved,
    /// Varies by itself; shown apart.
    Noise,
}

impl Class {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::Regression, Self::Consequence, Self::Fixed, Self::Approved, Self::Noise];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Consequence => "consequence",
            Self::Fixed => "fixed",
            Self::Noise => "noise",
            Self::Approved => "approved",
        }
    }
}

/// One difference of one exchange: a line of `differences.jsonl`, a row of `mismatches.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The replayed exchange: `12-3`, of a copy `12-3@2`.
    pub id: ReplayId,
    /// Capture time of its request.
    pub at: Timestamp,
    /// The request's method.
    pub method: String,
    /// The route, e.g. `GET /orders/{id}`.
    pub route: String,
    /// The request-target (lossy UTF-8).
    pub target: String,
    /// `status`, `header`, `body`, `missing`, `failure` or `identity`.
    pub kind: Kind,
    /// Where: header name or JSONPath, concrete (`$.items[3].price`); a path into HTML or XML, a
    /// line, a form's or part's field; `status`, `bytes`, or the kind of a failure.
    pub place: String,
    /// v1's value in short (bounded, with its length where cut); none where v1 has none.
    pub expected: Option<String>,
    /// v2's value in short.
    pub actual: Option<String>,
    /// `regression`, `consequence`, `fixed`, `approved` or `noise`.
    pub class: Class,
    /// The `id` of its cluster.
    pub cluster: String,
    /// Of a consequence: the value that v2 did not issue and for want of which it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Unbound>,
}

/// Differences with one cause: a line of `clusters.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Stable from run to run: a short hash of route, kind, place, shape and class.
    pub id: String,
    /// The route.
    pub route: String,
    /// `status`, `header`, `body`, `missing`, `failure` or `identity`.
    pub kind: Kind,
    /// The place generalised: indices as `[*]`.
    pub place: String,
    /// How it changed: `string→null`, `×100`, `removed`, `added`, `200→500`, `changed`.
    pub shape: String,
    /// `regression`, `consequence`, `fixed`, `approved` or `noise`.
    pub class: Class,
    /// Why it has that class, in words; empty for a plain regression.
    #[serde(default)]
    pub why: String,
    /// How many differences.
    pub differences: u64,
    /// In how many exchanges.
    pub exchanges: u64,
    /// Of how many compared exchanges of the route.
    pub compared: u64,
    /// Other routes on which the same change was found (kind, place, shape, class): one cause most
    /// likely, as of a framework.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub also_on: u64,
    /// Names what clusters of one cause have in common: the same change on several routes, or a
    /// value that v2 did not issue.
    #[serde(default)]
    pub cause: String,
    /// What separates its exchanges from the matching ones of the route, e.g. `query:currency =
    /// "JPY"`.
    #[serde(default)]
    pub only_where: Option<String>,
    /// First time it was seen (capture time).
    pub first_at: Timestamp,
    /// Last time it was seen.
    pub last_at: Timestamp,
    /// Requests that follow from it: they were sent with v1's values, since v2 had issued none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub followed_by: u64,
    /// Places of values that v2 did not issue, generalised; those that requests follow from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_issued: Vec<String>,
    /// Of consequences: the cluster that they follow from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The exchange that stands for it.
    pub example: Difference,
    /// A command line that repeats the example's request at v2; secrets masked.
    pub repeat: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
