//! The ledger in short: calls by provider and route, and clusters of those that are not v1's, as
//! there are of answers.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ledger::{Call, CallPlace, CallVerdict, ReadError, VerdictCounts, read};
use crate::diff::approvals::{CallApproval, numeric, pair};
use crate::exchange::ExchangeId;
use crate::message::encoding::hex;

/// Calls with one cause of difference: the same provider, route, verdict and places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutgoingCluster {
    /// The same for the same difference in any run.
    pub id: String,
    /// What they are.
    pub verdict: CallVerdict,
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// Whether their method changes something at the provider.
    pub changes: bool,
    /// Where they differ, indices as `[*]`, joined by `, `; empty where the call as a whole is the
    /// difference.
    pub places: String,
    /// How: `"1299"→"1399"`, `×1.19`, `+100` where all change alike; `added`, `removed`, `changed`;
    /// empty where the call as a whole is the difference.
    pub shape: String,
    /// Why they are intended, where they were approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
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
pub struct CallSummary {
    /// All calls.
    pub total: VerdictCounts,
    /// Those of them that are not v1's and were approved.
    pub approved: VerdictCounts,
    /// Approvals that no call needed, as a person would write them.
    pub unmatched_approvals: Vec<String>,
    /// By provider and route, most calls first.
    pub routes: Vec<ProviderCounts>,
    /// Everything but plain matches, by cause; calls that change something and were made too often
    /// come first.
    pub clusters: Vec<OutgoingCluster>,
    /// Whether the last line is there: the mock was ended in order.
    pub complete: bool,
}

/// Calls of one provider and route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderCounts {
    /// The provider's host.
    pub provider: String,
    /// The route.
    pub route: String,
    /// Its calls.
    pub counts: VerdictCounts,
}

/// How many causes a cluster names.
const CAUSES_KEPT: usize = 20;
/// How many clusters a summary keeps apart; what is beyond is counted in the totals and routes
/// only.
const CLUSTERS_KEPT: usize = 1_000;

impl CallSummary {
    /// Reads `egress.jsonl` and sums it up; calls that `approvals` name stay visible and are
    /// counted apart.
    pub fn read(reader: impl BufRead, approvals: &[CallApproval]) -> Result<Self, ReadError> {
        let mut builder = SummaryBuilder {
            approvals,
            used: vec![false; approvals.len()],
            ..SummaryBuilder::default()
        };
        let complete = read(reader, |call| builder.add(call))?;
        let mut summary = builder.finish();
        summary.complete = complete;
        Ok(summary)
    }
}

#[derive(Default)]
struct SummaryBuilder<'a> {
    approvals: &'a [CallApproval],
    used: Vec<bool>,
    total: VerdictCounts,
    approved: VerdictCounts,
    routes: BTreeMap<(String, String), VerdictCounts>,
    clusters: BTreeMap<ClusterKey, CallDraft>,
}

/// What calls of one cluster have in common: provider, route, verdict, order, the places with how
/// they change, and the approval.
type ClusterKey = (String, String, CallVerdict, bool, String, String, Option<usize>);

/// A cluster while it is gathered: what the changes at its first place have in common so far.
struct CallDraft {
    cluster: OutgoingCluster,
    pair: Option<String>,
    factor: Option<String>,
    step: Option<String>,
}

impl CallDraft {
    fn add(&mut self, call: &Call) {
        self.cluster.calls += 1;
        if let Some(cause) = call.cause
            && self.cluster.causes.len() < CAUSES_KEPT
            && !self.cluster.causes.contains(&cause)
        {
            self.cluster.causes.push(cause);
        }
        let (pair, factor, step) = changes(call);
        for (known, now) in
            [(&mut self.pair, pair), (&mut self.factor, factor), (&mut self.step, step)]
        {
            if *known != now {
                *known = None;
            }
        }
    }

    fn finish(mut self) -> OutgoingCluster {
        if self.cluster.shape == CHANGED
            && let Some(shape) = self.pair.or(self.factor).or(self.step)
        {
            self.cluster.shape = shape;
        }
        self.cluster
    }
}

/// Longest values that are shown as a pair, in characters.
const PAIR_SHOWN: usize = 24;
/// How a value changed that is there on both sides.
const CHANGED: &str = "changed";

/// How the first place of a call changed: as a pair, by a factor, by a step.
fn changes(call: &Call) -> (Option<String>, Option<String>, Option<String>) {
    let Some(CallPlace { expected: Some(a), actual: Some(b), .. }) = call.places.first() else {
        return (None, None, None);
    };
    let short = a.chars().count().max(b.chars().count()) <= PAIR_SHOWN;
    let (factor, step) = numeric(a, b).unzip();
    let told = |shape: Option<String>| shape.filter(|shape| !shape.is_empty());
    (short.then(|| pair(a, b)), told(factor), told(step))
}

/// How each place of a drifted call changed: once where all changed alike.
fn label(call: &Call) -> String {
    let mut labels: Vec<&str> = call
        .places
        .iter()
        .map(|place| match (&place.expected, &place.actual) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => CHANGED,
        })
        .collect();
    labels.dedup();
    labels.join(", ")
}

impl SummaryBuilder<'_> {
    fn add(&mut self, call: Call) {
        self.total.add(&call);
        self.routes.entry((call.provider.clone(), call.route.clone())).or_default().add(&call);
        if call.verdict == CallVerdict::Matched && !call.order_changed {
            return;
        }
        let (mut places, mut shape) = (Vec::new(), String::new());
        if call.verdict == CallVerdict::Drifted {
            places = call.places.iter().map(|place| generalised(&place.place)).collect();
            places.dedup();
            shape = label(&call);
        }
        let places = places.join(", ");
        let approval = self.approval(&call, &places, &shape);
        if let Some(index) = approval {
            self.used[index] = true;
            self.approved.add(&call);
        }
        let key = (
            call.provider.clone(),
            call.route.clone(),
            call.verdict,
            call.order_changed,
            places.clone(),
            shape.clone(),
            approval,
        );
        if self.clusters.len() >= CLUSTERS_KEPT && !self.clusters.contains_key(&key) {
            return;
        }
        let draft = self.clusters.entry(key).or_insert_with(|| {
            let (pair, factor, step) = changes(&call);
            let cluster = OutgoingCluster {
                id: id(&call, &places, &shape),
                verdict: call.verdict,
                provider: call.provider.clone(),
                route: call.route.clone(),
                changes: call.is_unsafe(),
                places,
                shape,
                approved: approval.map(|index| self.approvals[index].why()),
                calls: 0,
                causes: vec![],
                example: call.clone(),
            };
            CallDraft { cluster, pair, factor, step }
        });
        draft.add(&call);
    }

    /// The approval of a call that is not v1's.
    fn approval(&self, call: &Call, places: &str, label: &str) -> Option<usize> {
        let values = call
            .places
            .first()
            .map_or([None, None], |place| [place.expected.as_deref(), place.actual.as_deref()]);
        let what =
            [call.provider.as_str(), &call.route, kind(call.verdict, call.order_changed), places];
        self.approvals.iter().position(|approval| approval.fits(what, label, values))
    }

    fn finish(self) -> CallSummary {
        let unused = self.approvals.iter().zip(&self.used).filter(|(_, used)| !**used);
        let unmatched_approvals = unused.map(|(approval, _)| approval.text()).collect();
        let mut routes: Vec<_> = self
            .routes
            .into_iter()
            .map(|((provider, route), counts)| ProviderCounts { provider, route, counts })
            .collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.counts.made() + route.counts.missing));
        let mut clusters: Vec<_> = self.clusters.into_values().map(CallDraft::finish).collect();
        clusters.sort_by_key(|cluster| {
            let rank = match cluster.verdict {
                _ if cluster.approved.is_some() => 6,
                CallVerdict::Repeated if cluster.changes => 0,
                CallVerdict::Extra if cluster.changes => 1,
                CallVerdict::Drifted => 2,
                CallVerdict::Missing => 3,
                CallVerdict::Repeated | CallVerdict::Extra => 4,
                CallVerdict::Matched => 5,
            };
            (rank, std::cmp::Reverse(cluster.calls))
        });
        CallSummary {
            total: self.total,
            approved: self.approved,
            unmatched_approvals,
            routes,
            clusters,
            complete: false,
        }
    }
}

/// What approvals call a call that is not v1's.
const fn kind(verdict: CallVerdict, order_changed: bool) -> &'static str {
    match verdict {
        CallVerdict::Matched if order_changed => "reordered",
        _ => verdict.name(),
    }
}

impl OutgoingCluster {
    /// An approval of it.
    pub fn approval(&self, reason: &str, expires: Option<&str>) -> CallApproval {
        CallApproval {
            provider: self.provider.clone(),
            route: self.route.clone(),
            // What is matched and in a cluster is in another order.
            call: kind(self.verdict, true).to_owned(),
            places: self.places.clone(),
            shape: self.shape.clone(),
            reason: reason.to_owned(),
            expires: expires.map(str::to_owned),
            cluster: self.id.clone(),
        }
    }
}

/// The stable name of a cluster, as those of answers have one.
fn id(call: &Call, places: &str, shape: &str) -> String {
    let mut hasher = Sha256::new();
    let order = if call.order_changed { "order" } else { "" };
    for part in [&call.provider, &call.route, call.verdict.name(), order, places, shape] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex(&hasher.finalize()[..5])
}

/// A place with its indices as `[*]`.
fn generalised(place: &str) -> String {
    let mut out = String::with_capacity(place.len());
    let mut rest = place;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let digits = from[1..].bytes().take_while(u8::is_ascii_digit).count();
        if before.starts_with("path")
            || digits == 0
            || from.as_bytes().get(1 + digits) != Some(&b']')
        {
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
    use super::super::ledger::{Broken, LedgerEnd, LedgerHeader};
    use super::*;
    use crate::time::Timestamp;

    fn call(verdict: CallVerdict, method: &str, place: &str) -> Call {
        Call {
            verdict,
            at: Timestamp::default(),
            provider: "payments.example".to_owned(),
            method: method.to_owned(),
            route: format!("{method} /v1/charges"),
            target: "/v1/charges".to_owned(),
            payload: String::new(),
            recorded_payload: String::new(),
            recorded: None,
            times: 1,
            cause: Some(ExchangeId { connection: 4, ordinal: 1 }),
            status: Some(200),
            score: 1.0,
            why: String::new(),
            places: vec![CallPlace {
                place: place.to_owned(),
                expected: Some("100".to_owned()),
                actual: Some("150".to_owned()),
            }],
            order_changed: false,
            fault: None,
            repeat: String::new(),
        }
    }

    #[test]
    fn a_charge_made_twice_comes_first_and_indices_do_not_split_clusters() {
        let mut text =
            serde_json::to_string(&LedgerHeader::new(Timestamp::default(), vec![], 2)).unwrap();
        for line in [
            call(CallVerdict::Drifted, "POST", "$.items[0].price"),
            call(CallVerdict::Drifted, "POST", "$.items[17].price"),
            call(CallVerdict::Matched, "GET", ""),
            call(CallVerdict::Missing, "GET", ""),
            call(CallVerdict::Repeated, "POST", ""),
        ] {
            text.push('\n');
            text.push_str(&serde_json::to_string(&line).unwrap());
        }
        let summary = CallSummary::read(text.as_bytes(), &[]).unwrap();
        assert!(!summary.complete, "its last line is not there");
        assert_eq!(
            (summary.total.made(), summary.total.missing, summary.total.unsafe_repeated),
            (4, 1, 1)
        );
        let seen: Vec<_> = summary
            .clusters
            .iter()
            .map(|c| (c.verdict, c.places.as_str(), c.calls, c.causes.len()))
            .collect();
        assert_eq!(
            seen,
            [
                (CallVerdict::Repeated, "", 1, 1),
                (CallVerdict::Drifted, "$.items[*].price", 2, 1),
                (CallVerdict::Missing, "", 1, 1)
            ]
        );
        text.push('\n');
        text.push_str(
            &serde_json::to_string(&LedgerEnd::new(&summary.total, Broken::default())).unwrap(),
        );
        assert!(CallSummary::read(text.as_bytes(), &[]).unwrap().complete);
    }

    #[test]
    fn clusters_have_stable_names_and_say_what_all_their_changes_have_in_common() {
        let mut one = call(CallVerdict::Drifted, "POST", "$.amount");
        let mut other = call(CallVerdict::Drifted, "POST", "$.amount");
        other.places[0].expected = Some("200".to_owned());
        other.places[0].actual = Some("300".to_owned());
        let summary = |calls: &[&Call]| {
            let mut builder = SummaryBuilder::default();
            calls.iter().for_each(|call| builder.add((*call).clone()));
            builder.finish()
        };
        let (alone, both) = (summary(&[&one]), summary(&[&one, &other, &other]));
        assert_eq!(alone.clusters[0].shape, "\"100\"→\"150\"");
        assert_eq!(
            (both.clusters.len(), both.clusters[0].shape.as_str(), both.clusters[0].calls),
            (1, "×1.5", 3)
        );
        assert_eq!(
            (alone.clusters[0].id.len(), &alone.clusters[0].id),
            (10, &both.clusters[0].id),
            "the same in any run"
        );
        let half = |approvals: &[CallApproval]| {
            let mut builder = SummaryBuilder {
                approvals,
                used: vec![false; approvals.len()],
                ..SummaryBuilder::default()
            };
            [&one, &other, &other].iter().for_each(|call| builder.add((*call).clone()));
            builder.finish()
        };
        let approval = both.clusters[0].approval("rounded up since v2", None);
        let all = half(std::slice::from_ref(&approval));
        assert_eq!(
            (all.clusters.len(), all.clusters[0].approved.as_deref()),
            (1, Some("approved: rounded up since v2"))
        );
        assert_eq!(
            (
                all.total.unsafe_different(),
                all.approved.unsafe_different(),
                all.unmatched_approvals.len()
            ),
            (3, 3, 0)
        );
        // One that holds for a part: the rest stays a difference of its own.
        let part =
            half(&[CallApproval { shape: "\"200\"→\"300\"".to_owned(), ..approval.clone() }]);
        let seen: Vec<_> = part
            .clusters
            .iter()
            .map(|cluster| (cluster.calls, cluster.approved.is_some()))
            .collect();
        assert_eq!((seen, part.approved.drifted), (vec![(1, false), (2, true)], 2));
        let none = half(&[CallApproval { call: "extra".to_owned(), ..approval }]);
        assert_eq!((none.approved.different(), none.unmatched_approvals.len()), (0, 1));
        one.places[0].actual = None;
        let gone = summary(&[&one, &other]);
        assert_eq!(gone.clusters.len(), 2, "a field that is gone is another change");
        assert_eq!(both.total.unsafe_different(), 3);
    }
}
