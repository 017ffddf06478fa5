//! What is needed of each exchange, and counts of paths and hosts.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::latencies::{Exact, HIGHEST_NS, Quantiles, bucket_of, nanos_of};
use super::names::{Countable, CountedByName};
use super::summary::SurveyedRoute;
use crate::exchange::{Completeness, Exchange};
use crate::flow::Endpoint;
use crate::message::grpc;
use crate::message::target::path_and_query;
use crate::route::Routes;
use crate::time::Timestamp;

/// Different paths (with their methods) that are told apart; what comes beyond is counted as one.
const PATHS: usize = 16_384;
/// Different hosts that are told apart.
const HOSTS: usize = 4_096;

/// Counts by path and by host, and takes the facts of exchanges.
pub struct NameCounts {
    pub(super) paths: CountedByName<PathCounts>,
    pub(super) hosts: CountedByName<u64>,
}

impl Default for NameCounts {
    fn default() -> Self {
        Self::new()
    }
}

impl NameCounts {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { paths: CountedByName::new(PATHS), hosts: CountedByName::new(HOSTS) }
    }

    /// What is needed of an exchange.
    pub fn facts(&self, exchange: &Exchange) -> ExchangeFacts {
        let response = exchange.response.as_ref();
        let is_plain = exchange.completeness == Completeness::Complete && exchange.marks.is_empty();
        let facts = ExchangeFacts {
            server: exchange.server,
            at: exchange
                .request
                .as_ref()
                .map(|request| request.at)
                .or(response.map(|response| response.at)),
            ended: response.map(|response| response.at),
            completeness: exchange.completeness,
            status: response.map(|response| response.message.status),
            call: response.and_then(|response| grpc::status(&response.message)),
            first_byte_ns: response.and_then(|response| response.first_byte_ns),
            last_byte_ns: response.and_then(|response| response.last_byte_ns),
            request_bytes: exchange
                .request
                .as_ref()
                .map_or(0, |request| request.message.body.length),
            response_bytes: response.map_or(0, |response| response.message.body.length),
            odd: (!is_plain).then(|| {
                let connection = format!("{} → {}", exchange.client, exchange.server);
                Box::new(Odd { connection, marks: exchange.marks.clone() })
            }),
        };
        if let Some(request) = &exchange.request {
            let mut key = [0; 256];
            let name = path_and_query(&request.message.target).0;
            let method = &request.message.method;
            let length = method.len() + 1 + name.len();
            let count = |path: &mut PathCounts| path.add(&facts);
            if length <= key.len() {
                key[..method.len()].copy_from_slice(method);
                key[method.len()] = b' ';
                key[method.len() + 1..length].copy_from_slice(name);
                self.paths.count(&key[..length], count);
            } else {
                self.paths.count(&[method, &b" "[..], name].concat(), count);
            }
            let fields = &request.message.headers;
            if let Some(host) = fields.get(":authority").or_else(|| fields.get("host")) {
                self.hosts.count(host, |exchanges| *exchanges += 1);
            }
        }
        facts
    }
}

/// What is needed of one exchange.
pub struct ExchangeFacts {
    pub(super) server: Endpoint,
    pub(super) at: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) completeness: Completeness,
    pub(super) status: Option<u16>,
    /// The status of a call of gRPC.
    pub(super) call: Option<u16>,
    pub(super) first_byte_ns: Option<i64>,
    pub(super) last_byte_ns: Option<i64>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) odd: Option<Box<Odd>>,
}

impl ExchangeFacts {
    pub(super) fn is_error(&self) -> bool {
        self.status.is_some_and(|status| grpc::judged(status, self.call) >= 500)
    }

    /// To the first and to the last byte of a whole answer.
    pub(super) fn latencies(&self) -> Option<(i64, i64)> {
        self.first_byte_ns
            .zip(self.last_byte_ns)
            .filter(|_| self.completeness == Completeness::Complete)
    }
}

/// An exchange that is damaged, or was marked.
pub(super) struct Odd {
    pub(super) connection: String,
    pub(super) marks: Vec<String>,
}

/// Counts of one path.
#[derive(Default)]
pub(super) struct PathCounts {
    exchanges: u64,
    errors: u64,
    /// Latencies by bucket: 32 to an octave, so a route's quantiles are right within 1.6 percent.
    latencies: BTreeMap<u16, u32>,
    exact: Exact,
}

impl PathCounts {
    fn add(&mut self, facts: &ExchangeFacts) {
        self.exchanges += 1;
        self.errors += u64::from(facts.is_error());
        if facts.completeness == Completeness::Complete
            && let Some(last) = facts.last_byte_ns
        {
            let last = u64::try_from(last).unwrap_or(0);
            *self.latencies.entry(bucket_of(last)).or_default() += 1;
            self.exact.add(Exact { least: last, most: last, sum: last });
        }
    }
}

impl Countable for PathCounts {
    fn merge(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.errors += other.errors;
        self.exact.add(other.exact);
        for (bucket, count) in other.latencies {
            *self.latencies.entry(bucket).or_default() += count;
        }
    }
}

/// Paths by the route that they belong to.
pub(super) fn routes(
    (paths, others): (Vec<(Box<[u8]>, PathCounts)>, PathCounts),
) -> Vec<SurveyedRoute> {
    let split = |name: &[u8]| {
        let blank = memchr::memchr(b' ', name).unwrap_or(name.len());
        (name[..blank].to_vec(), name.get(blank + 1..).unwrap_or_default().to_vec())
    };
    let mut learned = Routes::new(Vec::new());
    for (name, _) in &paths {
        let (method, path) = split(name);
        learned.learn(&method, &path);
    }
    learned.settle();
    let others = (others.exchanges > 0).then(|| ("(more paths)".to_owned(), others));
    let named = paths.into_iter().map(|(name, path)| {
        let (method, target) = split(&name);
        (learned.route(&method, &target).to_string(), path)
    });
    let mut found: BTreeMap<String, (u64, u64, u64, Histogram<u64>, Exact)> = BTreeMap::new();
    for (name, path) in named.chain(others) {
        let (exchanges, errors, different, latency, exact) =
            found.entry(name).or_insert_with(|| {
                let histogram = Histogram::new_with_max(HIGHEST_NS, 2)
                    .expect("two digits up to an hour are within bounds");
                (0, 0, 0, histogram, Exact::default())
            });
        *exchanges += path.exchanges;
        *errors += path.errors;
        *different += 1;
        exact.add(path.exact);
        for (bucket, count) in path.latencies {
            latency.saturating_record_n(nanos_of(bucket), u64::from(count));
        }
    }
    let mut routes: Vec<SurveyedRoute> = found
        .into_iter()
        .map(|(route, (exchanges, errors, paths, latency, exact))| SurveyedRoute {
            route,
            exchanges,
            errors,
            paths,
            latency: Quantiles::of(&latency).within(exact),
        })
        .collect();
    routes.sort_by(|a, b| b.exchanges.cmp(&a.exchanges).then_with(|| a.route.cmp(&b.route)));
    routes
}
