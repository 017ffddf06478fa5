//! What a run's ledger of outgoing calls says, as a report shows it.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::ReviewError;
use crate::diff::approvals::CallApproval;
use crate::mock::ledger as egress;
use crate::mock::summary::{CallSummary as Calls, OutgoingCluster};
use crate::redact::Masker;
use crate::report::{CallCluster, Egress};

/// The mock's ledger, where there is one.
pub(super) fn egress(
    path: &Path,
    approvals: &[CallApproval],
    masker: &Masker,
) -> Result<Option<Egress>, ReviewError> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = File::open(path).map_err(ReviewError::io(path))?;
    let summary = Calls::read(BufReader::with_capacity(1 << 16, file), approvals)
        .map_err(|cause| ReviewError::Ledger { path: path.to_owned(), cause })?;
    let (counts, approved) = (&summary.total, &summary.approved);
    Ok(Some(Egress {
        calls: egress::CallVerdict::ALL
            .into_iter()
            .map(|v| (v.name(), counts.of(v)))
            .filter(|(_, n)| *n > 0)
            .collect(),
        unsafe_repeated: counts.unsafe_repeated - approved.unsafe_repeated,
        unsafe_different: counts.unsafe_different() - approved.unsafe_different(),
        drifted_reads: counts.drifted_reads() - approved.drifted_reads(),
        missed_reads: counts.missed_reads() - approved.missed_reads(),
        different: counts.different() - approved.different(),
        approved: approved.different(),
        unmatched_approvals: summary.unmatched_approvals,
        in_another_order: counts.order_changed,
        faulted: counts.faulted,
        complete: summary.complete,
        clusters: summary
            .clusters
            .iter()
            .take(CALL_CLUSTERS)
            .map(|cluster| outgoing(cluster, masker))
            .collect(),
        more_clusters: summary.clusters.len().saturating_sub(CALL_CLUSTERS) as u64,
        routes: summary.routes,
    }))
}

/// All clusters of a ledger, secrets masked; none where there is no ledger.
pub(crate) fn call_clusters(
    path: &Path,
    approvals: &[CallApproval],
    masker: &Masker,
) -> Result<Vec<CallCluster>, ReviewError> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let file = File::open(path).map_err(ReviewError::io(path))?;
    let summary = Calls::read(BufReader::with_capacity(1 << 16, file), approvals)
        .map_err(|cause| ReviewError::Ledger { path: path.to_owned(), cause })?;
    Ok(summary.clusters.iter().map(|cluster| outgoing(cluster, masker)).collect())
}

/// Clusters of outgoing calls that a report shows.
const CALL_CLUSTERS: usize = 50;

/// Outgoing calls with one cause of difference, secrets masked.
fn outgoing(cluster: &OutgoingCluster, masker: &Masker) -> CallCluster {
    let example = &cluster.example;
    let what = match cluster.verdict {
        egress::CallVerdict::Repeated => "made more often than by v1",
        egress::CallVerdict::Extra => "that v1 never made",
        egress::CallVerdict::Missing => "that v1 made and v2 did not",
        egress::CallVerdict::Drifted => "with another payload",
        egress::CallVerdict::Matched => "in another order than v1's",
    };
    let value =
        |value: &Option<String>| value.as_deref().map(|value| masker.text(value).into_owned());
    CallCluster {
        id: cluster.id.clone(),
        verdict: cluster.verdict.name(),
        what,
        changes: cluster.changes,
        provider: cluster.provider.clone(),
        route: cluster.route.clone(),
        calls: cluster.calls,
        shape: masker.text(&cluster.shape).into_owned(),
        places: example
            .places
            .iter()
            .take(5)
            .map(|place| (place.place.clone(), value(&place.expected), value(&place.actual)))
            .collect(),
        expected: masker.text(&example.recorded_payload).into_owned(),
        actual: masker.text(&example.payload).into_owned(),
        causes: cluster.causes.iter().take(5).map(ToString::to_string).collect(),
        approved: cluster.approved.as_deref().map(|why| masker.text(why).into_owned()),
        repeat: masker.text(&example.repeat).into_owned(),
    }
}
