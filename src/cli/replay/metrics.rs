//! The figures of a replay for `--metrics`.
//!
//! | name, behind `shadowtap_` | labels | what |
//! |---|---|---|
//! | `requests_total` | `version`, `route`, `code` | requests and answers, of v1 the same ones |
//! | `failures_total` | `version`, `kind` | requests without a whole answer, or not sent |
//! | `request_duration_seconds` | `version`, `route` | from sent to the whole answer |
//! | `own_lateness_seconds` | | lateness of the replayer |
//! | `sent_total`, `in_flight`, `connections`, `waiting` | | how far it is |
//! | `differences` | `class` | what `run` found: differences by class |
//! | `verdict` | `verdict` | 1 for the one that `run` came to |
//!
//! `version` is `v1`, `v2` or `baseline`; `code` is the answer's status, `none` where there is
//! none.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rustc_hash::FxHashMap;

use crate::cli::metrics::{tell_counter, tell_gauge};
use crate::message::grpc;
use crate::replay::plan::RouteOf;
use crate::replay::{Observed, ReplayProgress, TargetSide};
use crate::route::Routes;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 18] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    version: &'static str,
    route: Arc<str>,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    version: &'static str,
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    version: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByVerdict {
    verdict: &'static str,
}

/// How far the replay is, told when it is asked for.
#[derive(Clone, Debug, Default)]
struct Far(Arc<Mutex<ReplayProgress>>);

impl Collector for Far {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let now = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell_counter(&mut encoder, "sent", "Requests sent.", now.sent)?;
        let in_flight = "Requests that were sent and not answered.";
        tell_gauge(&mut encoder, "in_flight", in_flight, now.in_flight())?;
        tell_gauge(&mut encoder, "connections", "Open connections.", now.connections)?;
        tell_gauge(&mut encoder, "waiting", "Requests that are due and wait for v2.", now.waiting)
    }
}

/// The figures, shared by those who count and those who ask.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<ByCode, Counter>,
    failures: Family<ByKind, Counter>,
    durations: Family<ByRoute, Histogram, fn() -> Histogram>,
    lateness: Histogram,
    differences: Family<ByClass, Gauge>,
    verdicts: Family<ByVerdict, Gauge>,
    far: Far,
}

/// Names a request's route by the shape of its path: nothing has been learned while the replay
/// runs.
pub(super) fn route_of() -> RouteOf {
    let routes = Routes::new(Vec::new());
    Box::new(move |method, target| routes.route(method, target))
}

impl Metrics {
    /// Figures of a replay that has not begun, known to `registry`.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            failures: Family::default(),
            durations: Family::new_with_constructor(histogram),
            lateness: histogram(),
            differences: Family::default(),
            verdicts: Family::default(),
            far: Far::default(),
        };
        registry.register("requests", "Replayed requests, and v1's", metrics.requests.clone());
        registry.register(
            "failures",
            "Requests without a whole answer, or not sent",
            metrics.failures.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "From sent to the whole answer; v1 as captured",
            metrics.durations.clone(),
        );
        registry.register(
            "own_lateness_seconds",
            "How late the replayer itself sent",
            metrics.lateness.clone(),
        );
        registry.register("differences", "Differences by class", metrics.differences.clone());
        registry.register("verdict", "What the run came to", metrics.verdicts.clone());
        registry.register_collector(Box::new(metrics.far.clone()));
        metrics
    }

    /// Takes over how far the replay is.
    pub(super) fn progress(&self, progress: &ReplayProgress) {
        *self.far.0.lock().unwrap_or_else(PoisonError::into_inner) = *progress;
    }

    /// Tells what the differences came to.
    pub(crate) fn differs(&self, class: &'static str, differences: u64) {
        let differences = i64::try_from(differences).unwrap_or(i64::MAX);
        self.differences.get_or_create(&ByClass { class }).set(differences);
    }

    /// Tells the verdict.
    pub(crate) fn judged(&self, verdict: &'static str) {
        self.verdicts.get_or_create(&ByVerdict { verdict }).set(1);
    }
}

/// What counts one kind of request: looked up once, so that counting makes nothing.
#[derive(Clone)]
struct Counting {
    requests: Counter,
    durations: Histogram,
}

/// Counts outcomes.
pub(super) struct Observing<'a> {
    metrics: Metrics,
    routes: &'a [Arc<str>],
    /// By version, route's number and status.
    known: FxHashMap<(&'static str, u16, u16), Counting>,
}

impl<'a> Observing<'a> {
    /// Of a plan's routes.
    pub(super) fn new(metrics: &Metrics, routes: &'a [Arc<str>]) -> Self {
        Self { metrics: metrics.clone(), routes, known: FxHashMap::default() }
    }

    /// Counts an outcome, and v1's answer to the same request.
    pub(super) fn observe(&mut self, observed: &Observed<'_>) {
        let &Observed { side, route, original, outcome, .. } = observed;
        let version = match side {
            TargetSide::Target => "v2",
            TargetSide::Baseline => "baseline",
        };
        if let Some(failure) = &outcome.failure {
            let kind = failure.kind.name();
            self.metrics.failures.get_or_create(&ByKind { version, kind }).inc();
        }
        if let Some(nanos) = outcome.own_lateness_ns() {
            self.metrics.lateness.observe(seconds(nanos));
        }
        let Some(sent) = outcome.sent_ns else { return };
        let code = outcome.response.as_ref().map_or(0, grpc::judged_status);
        self.count(version, route, code, outcome.last_byte_ns.map(|last| last - sent));
        if side == TargetSide::Target {
            self.count("v1", route, original.status, original.took_ns);
        }
    }

    fn count(&mut self, version: &'static str, route: u16, code: u16, took: Option<i64>) {
        let (metrics, routes) = (&self.metrics, self.routes);
        let counting = self.known.entry((version, route, code)).or_insert_with(|| {
            let name = routes.get(usize::from(route)).cloned().unwrap_or_else(|| "other".into());
            let shown = if code < 100 { "none".to_owned() } else { code.to_string() };
            let by_code = ByCode { version, route: Arc::clone(&name), code: shown };
            Counting {
                requests: metrics.requests.get_or_create_owned(&by_code),
                durations: metrics.durations.get_or_create_owned(&ByRoute { version, route: name }),
            }
        });
        counting.requests.inc();
        if let Some(nanos) = took {
            counting.durations.observe(seconds(nanos));
        }
    }
}

fn seconds(nanos: i64) -> f64 {
    nanos.max(0) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::metrics::tests::ask;
    use crate::cli::metrics::{MetricsServer, registry};
    use crate::message::Response;
    use crate::outcome::{Failure, FailureKind, Outcome};
    use crate::replay::Original;
    use crate::time::Timestamp;

    fn observed<'a>(
        side: TargetSide,
        route: u16,
        original: &'a Original,
        outcome: &'a Outcome,
    ) -> Observed<'a> {
        Observed { started: Timestamp::default(), side, route, original, outcome }
    }

    #[test]
    fn both_versions_are_counted_when_a_request_is_replayed() {
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        let server = MetricsServer::start("127.0.0.1:0", registry.into()).unwrap();
        let routes: [Arc<str>; 2] = ["other".into(), "GET /a\"b".into()];
        let mut observing = Observing::new(&metrics, &routes);
        let original = Original { status: 200, took_ns: Some(700_000) };
        let response = Some(Response { status: 503, ..Response::default() });
        let sent = Outcome {
            sent_ns: Some(1_000),
            last_byte_ns: Some(2_001_000),
            response,
            ..Outcome::default()
        };
        observing.observe(&observed(TargetSide::Target, 1, &original, &sent));
        observing.observe(&observed(TargetSide::Baseline, 1, &original, &sent));
        let failure = Some(Failure::new(FailureKind::Timeout, ""));
        let late = Outcome { sent_ns: Some(0), failure, ..Outcome::default() };
        observing.observe(&observed(TargetSide::Target, 1, &original, &late));
        let failure = Some(Failure::new(FailureKind::Skipped, "unsafe method POST"));
        let skipped = Outcome { failure, ..Outcome::default() };
        observing.observe(&observed(TargetSide::Target, 0, &Original::default(), &skipped));
        metrics.progress(&ReplayProgress { sent: 7, answered: 4, ..ReplayProgress::default() });
        metrics.differs("regression", 3);
        metrics.judged("fail");
        let text = ask(&server, "/metrics");
        let route = "route=\"GET /a\\\"b\"";
        for line in [
            &format!("shadowtap_requests_total{{version=\"v2\",{route},code=\"503\"}} 1"),
            &format!("shadowtap_requests_total{{version=\"v2\",{route},code=\"none\"}} 1"),
            &format!("shadowtap_requests_total{{version=\"v1\",{route},code=\"200\"}} 2"),
            &format!("shadowtap_requests_total{{version=\"baseline\",{route},code=\"503\"}} 1"),
            "shadowtap_failures_total{version=\"v2\",kind=\"timeout\"} 1",
            "shadowtap_failures_total{version=\"v2\",kind=\"skipped\"} 1",
            &format!("shadowtap_request_duration_seconds_count{{version=\"v2\",{route}}} 1"),
            &format!("shadowtap_request_duration_seconds_count{{version=\"v1\",{route}}} 2"),
            &format!(
                "shadowtap_request_duration_seconds_bucket{{le=\"0.001\",version=\"v1\",{route}}} 2"
            ),
            "shadowtap_sent_total 7",
            "shadowtap_in_flight 3",
            "shadowtap_differences{class=\"regression\"} 3",
            "shadowtap_verdict{verdict=\"fail\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("route=\"other\""), "what is not sent is no request: {text}");
    }
}
