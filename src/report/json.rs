//! `summary.json`: all figures of the report, for machines. Durations are integers of nanoseconds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Column, LatencyRow, Report, column};
use crate::diff::{Class, Cluster};
use crate::measure::histogram::QUANTILES;
use crate::measure::{Histogram, RouteSummary, Side, Summary};
use crate::record::exchanges::TOOL;

/// The format's name.
pub const FORMAT: &str = "shadowtap/summary";
/// Its version.
pub const VERSION: u32 = 1;

/// Fields at the top of `summary.json`.
pub const FIELDS: [Column; 18] = [
    column("format", "text", "`shadowtap/summary`"),
    column("version", "number", "1"),
    column("tool", "text", "what wrote the report"),
    column("verdict", "text", "`pass`, `fail`, `cannot-say` or `invalid`"),
    column("headline", "text", "the verdict in a sentence"),
    column("reasons", "texts", "why, the weightiest first"),
    column("run", "object", "what was run: run.json, secrets masked"),
    column(
        "gate",
        "object",
        "`reference` (what v2 was compared with), `checks` of the run, `rules` with measured \
         value, bounds, limit, count and confidence, `unmatched_routes`",
    ),
    column(
        "replay",
        "object",
        "exchanges by completeness, replayed, skipped by reason, failed by anything but v2 \
         (`own_failures`), lanes, capture span, length of the replay",
    ),
    column(
        "diff",
        "object",
        "compared, mismatched, noisy, approved, fixed and failed exchanges and consequences, \
         values that v2 did not issue (`not_issued`), answers that follow from them (`unbound`) \
         and those of these that differ (`unbound_differ`), how many causes the regressions have \
         (`causes`), not compared by reason, the same by route",
    ),
    column(
        "clusters",
        "objects",
        "the largest clusters of regressions, at most 100: id, route, kind, place, shape, \
         exchanges, compared, on how many other routes the same change was found (`also_on`), the \
         name of its cause (`cause`), which those have in common, how many requests follow from it \
         (`followed_by`) and which values v2 did not issue (`not_issued`)",
    ),
    column(
        "state",
        "object or null",
        "what was bound: `figures` of the recording (sessions, uses, values, requests that use \
         one, requests with values from before the capture), `bound` and `unbound` uses, the \
         largest `flows`, at most 200; null where flows.jsonl is not there",
    ),
    column("latency", "objects", "the rows of latency.csv in nanoseconds"),
    column("status", "object", "answers by route, side and status code"),
    column("failures", "object", "failures of v2 by kind, with an example"),
    column(
        "generator",
        "object",
        "the replayer's own lateness in nanoseconds, round trips, and what it measured of itself",
    ),
    column(
        "egress",
        "object or null",
        "v2's calls to its providers by what they are, where a mock watched",
    ),
    column(
        "ledger",
        "object",
        "where every packet, request and record went; rules that matched nothing",
    ),
];

/// Most clusters that are listed.
const CLUSTERS: usize = 100;

/// A histogram's figures.
#[derive(Serialize)]
struct HistogramFigures {
    count: u64,
    min_ns: Option<u64>,
    mean_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p95_ns: Option<u64>,
    p99_ns: Option<u64>,
    p999_ns: Option<u64>,
    max_ns: Option<u64>,
}

fn figures(histogram: &Histogram) -> HistogramFigures {
    let [p50_ns, p90_ns, p95_ns, p99_ns, p999_ns] =
        QUANTILES.map(|(_, quantile)| histogram.quantile(quantile));
    HistogramFigures {
        count: histogram.count(),
        min_ns: histogram.min(),
        mean_ns: histogram.mean().map(|mean| mean.round() as u64),
        p50_ns,
        p90_ns,
        p95_ns,
        p99_ns,
        p999_ns,
        max_ns: histogram.max(),
    }
}

#[derive(Serialize)]
struct Latency<'a> {
    route: &'a str,
    side: &'static str,
    from: &'static str,
    errors: u64,
    #[serde(flatten)]
    figures: HistogramFigures,
}

/// `summary.json`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let (summary, totals, judgement) = (report.summary, report.totals, report.judgement);
    let document = json!({
        "format": FORMAT,
        "version": VERSION,
        "tool": TOOL,
        "verdict": judgement.verdict,
        "headline": judgement.verdict.headline(),
        "reasons": judgement.reasons,
        "run": report.facts,
        "gate": {
            "reference": judgement.reference.name(), "checks": judgement.checks,
            "rules": judgement.rules,
            "unmatched_routes": judgement.unmatched_routes,
        },
        "replay": {
            "exchanges": summary.exchanges, "replayed": summary.replayed,
            "skipped": summary.skipped, "own_failures": summary.own_failures,
            "lanes": summary.lanes,
            "first_at": summary.first_at, "last_at": summary.last_at, "started": summary.started,
            "took_ns": summary.took_ns,
            "requests": summary.all.side(Side::V2).requests, "unbound": summary.unbound,
            "pairs": summary.all.pairs.count,
            "new_errors": summary.all.pairs.new_errors,
            "gone_errors": summary.all.pairs.gone_errors,
        },
        "diff": {
            "compared": totals.compared, "mismatched": totals.mismatched, "noisy": totals.noisy,
            "approved": totals.approved,
            "consequences": totals.consequences, "skipped_writes": totals.skipped_writes,
            "unmet_writes": totals.unmet_writes,
            "fixed": totals.fixed, "excused": totals.excused,
            "unbound": totals.unbound, "unbound_differ": totals.unbound_differ,
            "not_issued": totals.not_issued,
            "failed": totals.failed, "not_compared": totals.not_compared, "routes": totals.routes,
            "clusters": counts_by_class(report), "causes": totals.causes,
        },
        "clusters": clusters(report),
        "state": report.state,
        "latency": latencies(report),
        "status": statuses(report),
        "failures": failures(summary),
        "generator": {
            "lateness": figures(&summary.lateness), "v1_handshake": figures(&summary.handshakes),
            "v2_connect": figures(&summary.connects),
            "baseline_connect": figures(&summary.baseline_connects),
            "own": summary.generator,
        },
        "egress": report.egress,
        "ledger": {
            "capture": summary.capture_ledger, "replay": summary.replay_ledger,
            "records": summary.records_ledger,
            "unusable": summary.rejected_examples, "unclosed": summary.unclosed,
            "unmatched_rules": report.unmatched(),
        },
    });
    let mut out = serde_json::to_vec_pretty(&document)
        .expect("strings, integers and maps with string keys serialise");
    out.push(b'\n');
    out
}

fn latencies<'r>(report: &Report<'r>) -> Vec<Latency<'r>> {
    let latency = |row: LatencyRow<'r>| Latency {
        route: row.route,
        side: row.side.name(),
        from: row.from.name(),
        errors: row.errors,
        figures: figures(&row.latency),
    };
    report.latencies().map(latency).collect()
}

/// Answers by route, side and status.
fn statuses<'r>(
    report: &Report<'r>,
) -> BTreeMap<&'r str, BTreeMap<&'static str, BTreeMap<String, u64>>> {
    let of = |route: &RouteSummary, side: Side| {
        route.side(side).statuses.iter().map(|(status, &n)| (status.to_string(), n)).collect()
    };
    let by_side = |route: &'r RouteSummary| {
        (&*route.route, report.sides().map(|side| (side.name(), of(route, side))).collect())
    };
    report.subjects().map(by_side).collect()
}

fn clusters(report: &Report<'_>) -> Vec<Value> {
    let told = |cluster: &Cluster| {
        json!({
            "id": cluster.id, "route": cluster.route, "kind": cluster.kind,
            "place": cluster.place,
            "shape": cluster.shape, "exchanges": cluster.exchanges,
            "compared": cluster.compared,
            "only_where": cluster.only_where, "also_on": cluster.also_on,
            "cause": cluster.cause,
            "followed_by": cluster.followed_by, "not_issued": cluster.not_issued,
            "first_at": cluster.first_at, "last_at": cluster.last_at,
        })
    };
    report.clusters.regressions().take(CLUSTERS).map(told).collect()
}

fn counts_by_class(report: &Report<'_>) -> serde_json::Map<String, Value> {
    let counts = Class::ALL.into_iter();
    counts.map(|class| (class.name().to_owned(), report.clusters.count(class).into())).collect()
}

/// Failures by kind, with an example of each.
fn failures(summary: &Summary) -> BTreeMap<&'static str, Value> {
    let failures = summary.failures.iter().map(|(kind, of)| {
        let told =
            json!({"count": of.count, "example": of.example, "id": of.id, "route": of.route});
        (kind.name(), told)
    });
    failures.collect()
}
