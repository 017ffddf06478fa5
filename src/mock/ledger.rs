//! `egress.jsonl`: each of v2's outgoing calls with the recorded call that answered it, each of v1's that v2 did not make, and
//! their summary by provider and route.
//!
//! The same conventions as the other JSONL files: a first line that names the format, a last one that closes it.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::exchange::ExchangeId;
use crate::exchange::log::{END_FORMAT, TOOL};
use crate::limits;
use crate::time::Timestamp;

/// The format's name in the first line.
pub const FORMAT: &str = "shadowtap/egress";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the mock started.
    pub created: Timestamp,
    /// Program and version.
    #[serde(default)]
    pub tool: String,
    /// Where the recorded calls came from.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// How many recorded calls the mock can answer with.
    #[serde(default)]
    pub recorded: u64,
}

impl Header {
    /// The first line of a ledger that starts at `created`.
    pub fn new(created: Timestamp, inputs: Vec<String>, recorded: u64) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, created, tool: TOOL.to_owned(), inputs, recorded }
    }
}

/// What a call of v2 is, beside v1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// v1 made it as well: equal, but for values that vary by themselves.
    Matched,
    /// v1 made it with another payload: answered from the nearest recorded call.
    Drifted,
    /// v1 made it as well, but less often.
    Repeated,
    /// v1 never made it: answered with 599.
    Extra,
    /// v1 made it and v2 did not.
    Missing,
}

impl Verdict {
    /// All of them, in the order of the summary.
    pub const ALL: [Self; 5] = [Self::Matched, Self::Drifted, Self::Repeated, Self::Extra, Self::Missing];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Drifted => "drifted",
            Self::Repeated => "repeated",
            Self::Extra => "extra",
            Self::Missing => "missing",
        }
    }
}

/// A place where a call differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where: `$.amount` (JSONPath into the body), `query.currency`, `form.card`, `header.accept`, `path[2]`, `body`.
    pub place: String,
    /// v1's value in short; none where v1 has none.
    pub expected: Option<String>,
    /// v2's value in short; none where v2 has none.
    pub actual: Option<String>,
}

/// A line: a call of v2, or one of v1 that v2 did not make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What it is.
    pub verdict: Verdict,
    /// When it reached the mock; for a missing one: the capture time of v1's.
    pub at: Timestamp,
    /// The provider's host, with its port where it is not the scheme's own.
    pub provider: String,
    /// The method.
    pub method: String,
    /// The route, e.g. `POST /v1/charges`.
    pub route: String,
    /// The request-target in origin form.
    pub target: String,
    /// The beginning of the body, secrets masked, as a person tells calls apart by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub payload: String,
    /// The recorded call that answered; for an extra one: the nearest, which did not.
    pub recorded: Option<ExchangeId>,
    /// How often that one has answered by now; 0 for an extra or missing one.
    #[serde(default)]
    pub times: u32,
    /// The ingress exchange that caused it, where that is known.
    #[serde(default)]
    pub cause: Option<ExchangeId>,
    /// The status that was given.
    pub status: Option<u16>,
    /// From 0 (nothing in common) to 1 (equal but for values that vary by themselves).
    #[serde(default)]
    pub score: f64,
    /// Why this recorded call, or why none, in words.
    pub why: String,
    /// Where it differs from the recorded one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// Whether v1 made the calls of this cause in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub order_changed: bool,
    /// The fault that was injected on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Call {
    /// Whether the method is one that changes something at the provider (RFC 9110 §9.2.1).
    pub fn is_unsafe(&self) -> bool {
        is_unsafe(self.method.as_bytes())
    }
}

/// Whether a method may change something at its server (RFC 9110 §9.2.1).
pub fn is_unsafe(method: &[u8]) -> bool {
    !matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// [`END_FORMAT`].
    pub format: String,
    /// Calls by verdict.
    #[serde(default)]
    pub calls: BTreeMap<String, u64>,
}

impl End {
    /// The last line for these counts.
    pub fn new(counts: &Counts) -> Self {
        let calls = Verdict::ALL.into_iter().map(|verdict| (verdict.name().to_owned(), counts.of(verdict))).collect();
        Self { format: END_FORMAT.to_owned(), calls }
    }
}

/// Calls by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// v1 made them as well.
    pub matched: u64,
    /// v1 made them with another payload.
    pub drifted: u64,
    /// v1 made them less often.
    pub repeated: u64,
    /// v1 never made them.
    pub extra: u64,
    /// v2 did not make them.
    pub missing: u64,
    /// Calls (of any verdict) whose place among the calls of the same cause changed.
    pub order_changed: u64,
    /// Repeated calls with a method that changes something.
    pub unsafe_repeated: u64,
    /// Extra calls with a method that changes something.
    pub unsafe_extra: u64,
}

impl Counts {
    /// Counts one call.
    pub fn add(&mut self, verdict: Verdict, changes: bool, order_changed: bool) {
        let place = match verdict {
            Verdict::Matched => &mut self.matched,
            Verdict::Drifted => &mut self.drifted,
            Verdict::Repeated => &mut self.repeated,
            Verdict::Extra => &mut self.extra,
            Verdict::Missing => &mut self.missing,
        };
        *place += 1;
        self.unsafe_repeated += u64::from(changes && verdict == Verdict::Repeated);
        self.unsafe_extra += u64::from(changes && verdict == Verdict::Extra);
        self.order_changed += u64::from(order_changed);
    }

    /// How many of one verdict.
    pub const fn of(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Matched => self.matched,
            Verdict::Drifted => self.drifted,
            Verdict::Repeated => self.repeated,
            Verdict::Extra => self.extra,
            Verdict::Missing => self.missing,
        }
    }

    /// The calls that v2 made.
    pub const fn made(&self) -> u64 {
        self.matched + self.drifted + self.repeated + self.extra
    }

    /// Whether v2 called as v1 did.
    pub const fn is_clean(&self) -> bool {
        self.made() == self.matched && self.missing == 0 && self.order_changed == 0
    }
}

/// Calls with one cause of difference: the same provider, route, verdict and places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// What they are.
    pub verdict: Verdict,
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// Whether their method changes something at the provider.
    pub changes: bool,
    /// Where they differ, indices as `[*]`, joined by `, `; empty where the call as a whole is the difference.
    pub places: String,
    /// How many.
    pub calls: u64,
    /// The ingress exchanges that caused them, the first few.
    pub causes: Vec<ExchangeId>,
    /// The first of them.
    pub example: Call,
}

/// The ledger in short: what the report's section "outgoing calls" shows and the gate judges by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// All calls.
    pub total: Counts,
    /// By provider and route, most calls first.
    pub routes: Vec<RouteCounts>,
    /// Everything but plain matches, by cause; calls that change something and were made too often come first.
    pub clusters: Vec<Cluster>,
    /// Whether the last line is there: the mock was ended in order.
    pub complete: bool,
}

/// Calls of one provider and route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteCounts {
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// Its calls.
    pub counts: Counts,
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("cannot read it")]
    Io(#[from] std::io::Error),
    /// A line of it.
    #[error("line {line}: {message}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

/// How many causes a cluster names.
const CAUSES_KEPT: usize = 20;
/// How many clusters a summary keeps apart; what is beyond is counted in the totals and routes only.
const CLUSTERS_KEPT: usize = 1_000;

impl Summary {
    /// Reads `egress.jsonl` and sums it up.
    pub fn read(reader: impl BufRead) -> Result<Self, ReadError> {
        let mut builder = Builder::default();
        let complete = read(reader, |call| builder.add(call))?;
        let mut summary = builder.finish();
        summary.complete = complete;
        Ok(summary)
    }
}

#[derive(Deserialize)]
struct Probe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads `egress.jsonl` call by call; gives whether its last line is there.
pub fn read(mut reader: impl BufRead, mut each: impl FnMut(Call)) -> Result<bool, ReadError> {
    let mut text = Vec::new();
    let mut complete = false;
    for line in 1.. {
        text.clear();
        let taken = std::io::Read::take(&mut reader, limits::LINE_BYTES as u64).read_until(b'\n', &mut text)?;
        if taken == 0 {
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wrong = |message: String| ReadError::Line { line, message };
        let probe: Probe = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match probe.format.as_deref() {
            None => each(serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?),
            Some(FORMAT) if probe.version > Some(VERSION) => {
                return Err(wrong(format!("version {} is newer than {VERSION}", probe.version.unwrap_or_default())));
            }
            Some(FORMAT) => complete = false,
            Some(END_FORMAT) => complete = true,
            Some(other) => return Err(wrong(format!("a file of format {other:?}, not {FORMAT:?}"))),
        }
    }
    Ok(complete)
}

#[derive(Default)]
struct Builder {
    total: Counts,
    routes: BTreeMap<(String, String), Counts>,
    clusters: BTreeMap<(String, String, Verdict, bool, String), Cluster>,
}

impl Builder {
    fn add(&mut self, call: Call) {
        let changes = call.is_unsafe();
        self.total.add(call.verdict, changes, call.order_changed);
        let key = (call.provider.clone(), call.route.clone());
        self.routes.entry(key).or_default().add(call.verdict, changes, call.order_changed);
        if call.verdict == Verdict::Matched && !call.order_changed {
            return;
        }
        let mut places: Vec<String> = match call.verdict {
            Verdict::Drifted => call.places.iter().map(|place| generalised(&place.place)).collect(),
            _ => vec![],
        };
        places.dedup();
        let places = places.join(", ");
        let key = (call.provider.clone(), call.route.clone(), call.verdict, call.order_changed, places.clone());
        if self.clusters.len() >= CLUSTERS_KEPT && !self.clusters.contains_key(&key) {
            return;
        }
        let cluster = self.clusters.entry(key).or_insert_with(|| Cluster {
            verdict: call.verdict,
            provider: call.provider.clone(),
            route: call.route.clone(),
            changes,
            places,
            calls: 0,
            causes: vec![],
            example: call.clone(),
        });
        cluster.calls += 1;
        if let Some(cause) = call.cause
            && cluster.causes.len() < CAUSES_KEPT
            && !cluster.causes.contains(&cause)
        {
            cluster.causes.push(cause);
        }
    }

    fn finish(self) -> Summary {
        let mut routes: Vec<_> =
            self.routes.into_iter().map(|((provider, route), counts)| RouteCounts { provider, route, counts }).collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.counts.made() + route.counts.missing));
        let mut clusters: Vec<_> = self.clusters.into_values().collect();
        clusters.sort_by_key(|cluster| {
            let rank = match cluster.verdict {
                Verdict::Repeated if cluster.changes => 0,
                Verdict::Extra if cluster.changes => 1,
                Verdict::Drifted => 2,
                Verdict::Missing => 3,
                Verdict::Repeated | Verdict::Extra => 4,
                Verdict::Matched => 5,
            };
            (rank, std::cmp::Reverse(cluster.calls))
        });
        Summary { total: self.total, routes, clusters, complete: false }
    }
}

/// A place with its indices as `[*]`.
fn generalised(place: &str) -> String {
    let mut out = String::with_capacity(place.len());
    let mut rest = place;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let digits = from[1..].bytes().take_while(u8::is_ascii_digit).count();
        if before.starts_with("path") || digits == 0 || from.as_bytes().get(1 + digits) != Some(&b']') {
            out.push('[');
            rest = &from[1..];
        } else {
            out.push_str("[*]");
            rest = &from[digits + 2..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(verdict: Verdict, method: &str, place: &str) -> Call {
        Call {
            verdict,
            at: Timestamp::default(),
            provider: "payments.example".to_owned(),
            method: method.to_owned(),
            route: format!("{method} /v1/charges"),
            target: "/v1/charges".to_owned(),
            payload: String::new(),
            recorded: None,
            times: 1,
            cause: Some(ExchangeId { connection: 4, ordinal: 1 }),
            status: Some(200),
            score: 1.0,
            why: String::new(),
            places: vec![Place { place: place.to_owned(), expected: None, actual: Some("1".to_owned()) }],
            order_changed: false,
            fault: None,
        }
    }

    #[test]
    fn a_charge_made_twice_comes_first_and_indices_do_not_split_clusters() {
        let mut text = serde_json::to_string(&Header::new(Timestamp::default(), vec![], 2)).unwrap();
        for line in [
            call(Verdict::Drifted, "POST", "$.items[0].price"),
            call(Verdict::Drifted, "POST", "$.items[17].price"),
            call(Verdict::Matched, "GET", ""),
            call(Verdict::Missing, "GET", ""),
            call(Verdict::Repeated, "POST", ""),
        ] {
            text.push('\n');
            text.push_str(&serde_json::to_string(&line).unwrap());
        }
        let summary = Summary::read(text.as_bytes()).unwrap();
        assert!(!summary.complete, "its last line is not there");
        assert_eq!((summary.total.made(), summary.total.missing, summary.total.unsafe_repeated), (4, 1, 1));
        let seen: Vec<_> = summary.clusters.iter().map(|c| (c.verdict, c.places.as_str(), c.calls, c.causes.len())).collect();
        assert_eq!(
            seen,
            [(Verdict::Repeated, "", 1, 1), (Verdict::Drifted, "$.items[*].price", 2, 1), (Verdict::Missing, "", 1, 1)]
        );
        text.push('\n');
        text.push_str(&serde_json::to_string(&End::new(&summary.total)).unwrap());
        assert!(Summary::read(text.as_bytes()).unwrap().complete);
    }

    #[test]
    fn another_file_is_refused_with_its_line() {
        for text in
            ["hello", "{\"format\":\"shadowtap/outcomes\",\"version\":1}", "{\"format\":\"shadowtap/egress\",\"version\":2}"]
        {
            assert!(matches!(Summary::read(text.as_bytes()), Err(ReadError::Line { line: 1, .. })), "{text}");
        }
    }
}
