//! `flows.jsonl`, one flow a line, and `bindings.jsonl` (with its twin `baseline-bindings.jsonl`),
//! one issued value a line: what was found in the recording, and what became of it at v2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::ReplayId;
use crate::record::exchanges::END_FORMAT;

/// Where a flow begins or ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowEnd {
    /// As reports name it.
    pub route: String,
    /// The place, with numbers and names that are values as `[*]`.
    pub place: String,
}

/// How sure a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowEvidence {
    /// A strong and fresh value, or a weak one of one kind of thing with two values or more.
    Sure,
    /// One weak value.
    Likely,
    /// Not bound, with the reason.
    Refused,
}

/// A line of `flows.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Its number in the recording, from 0.
    pub flow: u32,
    /// `sure`, `likely` or `refused`.
    pub class: FlowEvidence,
    /// Why it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where its values are born: `route`, and `place` in its answers, with numbers and names that
    /// are values as `[*]`.
    pub from: FlowEnd,
    /// The same of requests that use them, the most used first, at most 256.
    pub to: Vec<FlowEnd>,
    /// How often requests use them.
    pub uses: u64,
    /// How many different values they are.
    pub values: u64,
    /// The share of the values at these places of requests that answers explain, 0 to 1.
    pub coverage: f64,
    /// After a replay: how many uses got a value of v2's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// After a replay: how many uses kept v1's value, as v2 had issued none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound: Option<u64>,
    /// After a replay: how many of its values v2 did not issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_issued: Option<u64>,
}

/// A line of `bindings.jsonl`: a value that v1 issued, and what v2 issued in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The value's number in the recording; 4294967295 for a name that `[[flow.vary]]` made
    /// another one in this copy.
    pub slot: u32,
    /// The replayed request whose answer issues it; of a varied name, the request that says it.
    pub id: ReplayId,
    /// Where it stands in v1's answer; of a varied name, in the request.
    pub place: String,
    /// The kind of thing that it names, where it means something only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
    /// Number of its flow; left out where no request uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<u32>,
    /// What v1 issued.
    pub v1: String,
    /// What v2 issued; null where it did not.
    pub v2: Option<String>,
    /// Why v2 issued none, in words (`answered 401`, `no $.token in the answer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The last line of `flows.jsonl`: the state of a recording in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowFigures {
    /// [`END_FORMAT`].
    pub format: String,
    /// Lines before it.
    pub flows: u64,
    /// Clients across connections.
    pub sessions: u64,
    /// How often requests use issued values that are bound, by the settings of the run.
    pub uses: u64,
    /// How many such values.
    pub values: u64,
    /// How many requests use one.
    pub using: u64,
    /// How many requests there are.
    pub requests: u64,
    /// How many requests use values that look issued, but by no answer of the recording.
    pub older: u64,
    /// The same by route.
    pub older_by_route: BTreeMap<String, u64>,
    /// Rules of `[flow]` that matched nothing, as a person would write them.
    pub unmatched_rules: Vec<String>,
}

impl FlowFigures {
    /// Whether `line` is a last line: it names a format, which no flow does.
    pub fn is(line: &[u8]) -> bool {
        line.starts_with(b"{\"format\"")
            && memchr::memmem::find(line, END_FORMAT.as_bytes()).is_some()
    }
}
