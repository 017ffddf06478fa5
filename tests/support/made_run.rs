//! A run's folder made by hand: what replay and diff would have left there, with figures that a
//! test chooses.

use std::fs;
use std::path::Path;

use shadowtap::diff::{Class, Cluster, Difference, Kind, RouteTotals, Totals};
use shadowtap::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::ledger::Ledger;
use shadowtap::message::{Body, Headers, Request, Response};
use shadowtap::outcome::{Failure, FailureKind, Outcome, ReplayId};
use shadowtap::record::{exchanges, outcomes};
use shadowtap::route::Routes;
use shadowtap::run::{InputInfo, RunFolder, RunInfo, names};
use shadowtap::time::Timestamp;

/// When the capture begins.
pub(crate) const START: i64 = 1_795_341_600_000_000_000;
const MS: f64 = 1e6;

/// SplitMix64, so that runs repeat exactly.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Between 0 and 1, neither of them.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Of mean 0 and variance 1.
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// How a made run is.
pub(crate) struct MadeRun {
    /// Exchanges.
    pub(crate) exchanges: u32,
    /// Method, target's stem, milliseconds, share of the traffic.
    pub(crate) routes: Vec<(&'static str, String, f64, f64)>,
    /// v2's latency over v1's, by route.
    pub(crate) slower: fn(&str) -> f64,
    /// Status and failure of v2, by number and route.
    pub(crate) answer: fn(u32, &str) -> Result<u16, FailureKind>,
    /// The replayer's own lateness in nanoseconds.
    pub(crate) lateness: i64,
    /// Whether there is a baseline as well.
    pub(crate) baseline: bool,
    /// What the diff found.
    pub(crate) clusters: Vec<Cluster>,
}

impl Default for MadeRun {
    fn default() -> Self {
        let route = |method, stem: &str, ms, share| (method, stem.to_owned(), ms, share);
        Self {
            exchanges: 1_200,
            routes: vec![
                route("GET", "/products/", 8.0, 0.45),
                route("GET", "/search?q=", 22.0, 0.25),
                route("GET", "/cart/", 5.0, 0.2),
                route("POST", "/checkout", 60.0, 0.1),
            ],
            slower: |_| 1.0,
            answer: |_, _| Ok(200),
            lateness: 120_000,
            baseline: false,
            clusters: Vec::new(),
        }
    }
}

impl MadeRun {
    /// Writes the folder and gives the diff's counts that it wrote.
    pub(crate) fn write(&self, path: &Path) -> Totals {
        let folder = RunFolder::create(path, true).unwrap();
        folder.write_info(&info(self.baseline)).unwrap();
        let mut random = Random(42);
        let mut routes = Routes::default();
        let (mut recorded, mut outcomes, mut baseline) = (Vec::new(), Vec::new(), Vec::new());
        exchanges::write_line(
            &mut recorded,
            &exchanges::Header::new(Timestamp::from_nanos(START), vec!["v1.pcap".to_owned()]),
        );
        for out in [&mut outcomes, &mut baseline] {
            exchanges::write_line(
                out,
                &outcomes::OutcomesHeader {
                    format: outcomes::FORMAT.to_owned(),
                    version: 1,
                    run: "2026-11-22T12-00-00Z".to_owned(),
                    target: "http://v2.staging:8080".to_owned(),
                    started: Timestamp::from_nanos(START + 7_200_000_000_000),
                    settings: serde_json::Value::Null,
                },
            );
        }
        let mut totals = Totals::default();
        let mut at = 0i64;
        for number in 0..self.exchanges {
            at += (-25.0 * MS * random.uniform().ln()) as i64;
            let (method, target, ms) = self.pick(&mut random, number);
            routes.learn(method.as_bytes(), target.as_bytes());
            let took = (ms * MS * (0.45 * random.normal()).exp()) as i64;
            let id = ExchangeId { connection: u64::from(number / 12), ordinal: number % 12 };
            exchanges::write(&mut recorded, &recorded_exchange(id, at, method, &target, took));
            let factor = (self.slower)(&target);
            let v2 = (ms * factor * MS * (0.45 * random.normal()).exp()) as i64;
            let outcome = self.outcome(id, at, v2, (self.answer)(number, &target));
            outcomes::write(&mut outcomes, &outcome);
            let again = (ms * MS * (0.45 * random.normal()).exp()) as i64;
            outcomes::write(&mut baseline, &self.outcome(id, at, again, Ok(200)));
            totals.compared += 1;
        }
        routes.settle();
        self.count(&mut totals, &routes, &recorded);
        let mut ledger = Ledger::default();
        ledger.take(u64::from(self.exchanges) * 9);
        ledger.reject("not-tcp", 14);
        ledger.note("retransmissions", 3);
        exchanges::write_line(
            &mut recorded,
            &exchanges::End::new(u64::from(self.exchanges), ledger, exchanges::Rest::default()),
        );
        let mut sent = Ledger::default();
        sent.take(u64::from(self.exchanges));
        let own = serde_json::json!({"workers": 2, "busy": 0.21});
        for out in [&mut outcomes, &mut baseline] {
            exchanges::write_line(
                out,
                &outcomes::OutcomesEnd::new(u64::from(self.exchanges), sent.clone(), own.clone()),
            );
        }
        let lines = |clusters: &[Cluster]| {
            let mut out = Vec::new();
            clusters.iter().for_each(|cluster| exchanges::write_line(&mut out, cluster));
            out
        };
        let write = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).unwrap();
        write(names::EXCHANGES, &recorded);
        write(names::OUTCOMES, &outcomes);
        if self.baseline {
            write(names::BASELINE, &baseline);
        }
        write(names::CLUSTERS, &lines(&self.clusters));
        write(names::ROUTES, &serde_json::to_vec(&routes).unwrap());
        write(names::DIFF, &serde_json::to_vec(&totals).unwrap());
        totals
    }

    fn pick(&self, random: &mut Random, number: u32) -> (&'static str, String, f64) {
        let mut left = random.uniform() * self.routes.iter().map(|route| route.3).sum::<f64>();
        let (method, stem, ms, _) = self
            .routes
            .iter()
            .find(|route| {
                left -= route.3;
                left <= 0.0
            })
            .unwrap_or(&self.routes[0]);
        let target = if stem.ends_with(['/', '=']) {
            format!("{stem}{}", 1_000 + number % 97)
        } else {
            stem.clone()
        };
        (method, target, *ms)
    }

    fn outcome(
        &self,
        id: ExchangeId,
        at: i64,
        took: i64,
        answer: Result<u16, FailureKind>,
    ) -> Outcome {
        let sent = at + self.lateness;
        let mut outcome = Outcome {
            id: ReplayId::first(id),
            lane: id.connection,
            due_ns: at,
            sent_ns: Some(sent),
            connect_ns: (id.ordinal == 0).then_some(180_000),
            ..Outcome::default()
        };
        match answer {
            Ok(status) => {
                (outcome.first_byte_ns, outcome.last_byte_ns) =
                    (Some(sent + took * 9 / 10), Some(sent + took));
                outcome.response =
                    Some(Response { status, body: Body::whole(&b"{}"[..]), ..Response::default() });
            }
            Err(FailureKind::Skipped) => {
                outcome.sent_ns = None;
                outcome.failure = Some(Failure::new(FailureKind::Skipped, "unsafe method POST"));
            }
            Err(kind) => {
                outcome.failed_ns = Some(sent + 30_000_000_000);
                outcome.failure = Some(Failure::new(kind, "no answer within 30 s"));
            }
        }
        outcome
    }

    /// Counts by route, with the mismatches that the clusters say.
    fn count(&self, totals: &mut Totals, routes: &Routes, recorded: &[u8]) {
        let mut by_route = std::collections::BTreeMap::<String, u64>::new();
        for line in recorded.split(|&byte| byte == b'\n').skip(1) {
            if let Ok(exchanges::Line::Exchange(exchange)) = exchanges::read(line) {
                let message = exchange.request.unwrap().message;
                *by_route
                    .entry(routes.route(&message.method, &message.target).to_string())
                    .or_default() += 1;
            }
        }
        for (route, compared) in by_route {
            let of_route = self
                .clusters
                .iter()
                .filter(|cluster| cluster.class == Class::Regression && cluster.route == route);
            let mismatched =
                of_route.map(|cluster| cluster.exchanges).max().unwrap_or(0).min(compared);
            totals.mismatched += mismatched;
            totals.routes.push(RouteTotals { route, compared, mismatched, ..Default::default() });
        }
    }
}

fn info(baseline: bool) -> RunInfo {
    let words = [
        "shadowtap",
        "run",
        "v1.pcap",
        "--target",
        "http://v2.staging:8080",
        "-o",
        "reports/2026-11-22T12-00-00Z",
    ];
    RunInfo {
        run: "2026-11-22T12-00-00Z".to_owned(),
        command: words.map(str::to_owned).to_vec(),
        tool: exchanges::TOOL.to_owned(),
        target: "http://v2.staging:8080".to_owned(),
        baseline: baseline.then(|| "http://v1.staging:8080".to_owned()),
        inputs: vec![InputInfo {
            name: "v1.pcap".to_owned(),
            bytes: 1_234_567,
            sha256: "ab".repeat(32),
        }],
        settings: serde_json::json!({"speed": 1.0, "arrivals": "causal", "transport": "wire"}),
        host: serde_json::json!({"name": "staging-1", "cores": 2, "kernel": "Linux 6.12"}),
        started: Timestamp::from_nanos(START + 7_200_000_000_000),
        ended: Timestamp::from_nanos(START + 7_231_000_000_000),
        ..RunInfo::default()
    }
}

fn recorded_exchange(id: ExchangeId, at: i64, method: &str, target: &str, took: i64) -> Exchange {
    let at = Timestamp::from_nanos(START + at);
    let mut headers = Headers::new();
    headers.push(b"Host", b"shop.local");
    Exchange {
        carriage: None,
        id,
        client: "10.0.0.9:40112".parse().unwrap(),
        server: "10.0.0.1:8080".parse().unwrap(),
        protocol: "http/1".to_owned(),
        completeness: Completeness::Complete,
        request: Some(TimedRequest {
            at,
            duration_ns: 0,
            message: Request {
                method: method.as_bytes().to_vec().into(),
                target: target.as_bytes().to_vec().into(),
                headers,
                ..Request::default()
            },
        }),
        response: Some(TimedResponse {
            at: at.plus(took),
            first_byte_ns: Some(took * 9 / 10),
            last_byte_ns: Some(took),
            message: Response { status: 200, body: Body::whole(&b"{}"[..]), ..Response::default() },
        }),
        interim: vec![],
        opened_at: Some(at),
        handshake_ns: Some(240_000),
        marks: vec![],
        closed: vec![],
    }
}

/// A cluster with its example.
pub(crate) fn cluster(
    number: u32,
    route: &str,
    kind: Kind,
    place: &str,
    values: [Option<&str>; 2],
    exchanges: u64,
) -> Cluster {
    let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
    let [expected, actual] = values.map(|value| value.map(str::to_owned));
    let at = Timestamp::from_nanos(START + 1_500_000_000);
    let id = format!("c{number:07x}");
    Cluster {
        id: id.clone(),
        route: route.to_owned(),
        kind,
        place: place.to_owned(),
        shape: "changed".to_owned(),
        class: Class::Regression,
        why: String::new(),
        differences: exchanges,
        exchanges,
        compared: exchanges * 3,
        also_on: 0,
        cause: String::new(),
        only_where: None,
        followed_by: 0,
        not_issued: vec![],
        root: None,
        first_at: at,
        last_at: at.plus(20_000_000_000),
        example: Difference {
            id: "3-4".parse().unwrap(),
            at,
            method: method.to_owned(),
            route: route.to_owned(),
            target: path.replace("{id}", "1042"),
            kind,
            place: place.replace("[*]", "[2]"),
            expected,
            actual,
            class: Class::Regression,
            cluster: id,
            root: None,
        },
        repeat: format!(
            "curl -sS -i -X {method} 'http://v2.staging:8080{}' -H 'Host: shop.local'",
            path.replace("{id}", "1042")
        ),
    }
}
