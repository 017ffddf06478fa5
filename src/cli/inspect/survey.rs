//! What `inspect` gathers: counts and histograms, bounded whatever the length of the input. Nothing
//! of a message is kept but its names.

use std::collections::{BTreeMap, BinaryHeap};
use std::hash::BuildHasher as _;
use std::sync::Mutex;

use hdrhistogram::Histogram;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::Serialize;

use crate::exchange::{Completeness, Exchange, ExchangeId};
use crate::measure::histogram::QUANTILES;
use crate::message::grpc;
use crate::message::target::path_and_query;
use crate::route::Routes;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Different paths (with their methods) that are told apart; what comes beyond is counted as one.
const PATHS: usize = 16_384;
/// Different hosts that are told apart.
const HOSTS: usize = 4_096;
/// Buckets of the timeline; where they do not suffice they get twice as wide.
const BUCKETS: usize = 2_048;
/// Kinds of damage that are told apart.
const DAMAGES: usize = 256;
/// Damaged exchanges that are listed one by one.
const LISTED: usize = 1_000;
/// Highest latency that is told apart, in nanoseconds: an hour.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// What is counted by name, where exchanges are rendered: on all cores at once. Of more names than
/// the bound those with the lowest hashes are told apart: which ones that are does not depend on
/// the order in which they come, and a name that is among them was so from its first time on.
pub(super) struct CountedByName<V> {
    parts: Vec<Mutex<NamedPart<V>>>,
    hasher: FxBuildHasher,
    most: usize,
}

#[derive(Default)]
struct NamedPart<V> {
    /// By the hashes of their names.
    known: FxHashMap<u64, (Box<[u8]>, V)>,
    /// The hashes, the highest first.
    hashes: BinaryHeap<u64>,
    /// All other names together.
    others: V,
}

/// What is counted of a name.
pub(super) trait Countable: Default {
    /// Adds what was counted elsewhere.
    fn merge(&mut self, other: Self);
}

impl Countable for u64 {
    fn merge(&mut self, other: Self) {
        *self += other;
    }
}

const PARTS: usize = 16;

impl<V: Countable> CountedByName<V> {
    fn new(most: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: FxBuildHasher,
            most: most / PARTS,
        }
    }

    /// Lets `count` count for `name`.
    fn count(&self, name: &[u8], count: impl FnOnce(&mut V)) {
        let hash = self.hasher.hash_one(name);
        let mut part = self.parts[hash as usize >> 7 & (PARTS - 1)]
            .lock()
            .expect("no holder of this lock panics");
        let NamedPart { known, hashes, others } = &mut *part;
        // First what is quick to tell: most of very many names are not among those that are told
        // apart.
        let is_full = known.len() >= self.most;
        if is_full && hashes.peek().is_none_or(|highest| hash > *highest) {
            return count(others);
        }
        if let Some((other, value)) = known.get_mut(&hash) {
            // Two names of one hash do not happen by chance.
            return count(if **other == *name { value } else { others });
        }
        if is_full && let Some((_, value)) = hashes.pop().and_then(|highest| known.remove(&highest))
        {
            others.merge(value);
        }
        hashes.push(hash);
        count(&mut known.entry(hash).or_insert_with(|| (name.into(), V::default())).1);
    }

    /// All of it, and what was counted of the other names; nothing is left. By reference, since the
    /// threads that counted may let go of it a little later.
    fn all(&self) -> (Vec<(Box<[u8]>, V)>, V) {
        let (mut all, mut sum) = (Vec::new(), V::default());
        for part in &self.parts {
            let NamedPart { known, others, .. } =
                std::mem::take(&mut *part.lock().expect("no holder of this lock panics"));
            all.extend(known.into_values());
            sum.merge(others);
        }
        (all, sum)
    }
}

/// Counts by path and by host, and takes the facts of exchanges.
pub(super) struct NameCounts {
    paths: CountedByName<PathCounts>,
    hosts: CountedByName<u64>,
}

impl NameCounts {
    pub(super) fn new() -> Self {
        Self { paths: CountedByName::new(PATHS), hosts: CountedByName::new(HOSTS) }
    }

    /// What is needed of an exchange.
    pub(super) fn facts(&self, exchange: &Exchange) -> ExchangeFacts {
        let response = exchange.response.as_ref();
        let is_plain = exchange.completeness == Completeness::Complete && exchange.marks.is_empty();
        let facts = ExchangeFacts {
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
pub(super) struct ExchangeFacts {
    at: Option<Timestamp>,
    ended: Option<Timestamp>,
    completeness: Completeness,
    status: Option<u16>,
    /// The status of a call of gRPC.
    call: Option<u16>,
    first_byte_ns: Option<i64>,
    last_byte_ns: Option<i64>,
    request_bytes: u64,
    response_bytes: u64,
    odd: Option<Box<Odd>>,
}

impl ExchangeFacts {
    fn is_error(&self) -> bool {
        self.status.is_some_and(|status| grpc::judged(status, self.call) >= 500)
    }

    /// To the first and to the last byte of a whole answer.
    fn latencies(&self) -> Option<(i64, i64)> {
        self.first_byte_ns
            .zip(self.last_byte_ns)
            .filter(|_| self.completeness == Completeness::Complete)
    }
}

struct Odd {
    connection: String,
    marks: Vec<String>,
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

/// What is known exactly of latencies that are counted by bucket.
#[derive(Clone, Copy)]
struct Exact {
    least: u64,
    most: u64,
    sum: u64,
}

impl Default for Exact {
    fn default() -> Self {
        Self { least: u64::MAX, most: 0, sum: 0 }
    }
}

impl Exact {
    fn add(&mut self, other: Self) {
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// Buckets of an octave, as a power of two.
const BITS: u16 = 5;

fn bucket_of(nanos: u64) -> u16 {
    let nanos = nanos.max(1 << BITS);
    let octave = 63 - nanos.leading_zeros() as u16;
    (octave << BITS) + (nanos >> (octave - BITS) & ((1 << BITS) - 1)) as u16
}

/// The middle of a bucket.
fn nanos_of(bucket: u16) -> u64 {
    let (octave, part) = (bucket >> BITS, u64::from(bucket & ((1 << BITS) - 1)));
    (((1 << BITS) + part) << (octave - BITS)) + ((1 << (octave - BITS)) >> 1)
}

/// What was gathered so far.
pub(super) struct Survey {
    completeness: BTreeMap<&'static str, u64>,
    statuses: BTreeMap<u16, u64>,
    /// Of calls of gRPC, by the number of their status.
    calls: BTreeMap<u16, u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    timeline: InspectTimeline,
    first_byte: Histogram<u64>,
    last_byte: Histogram<u64>,
    before_request: u64,
    request_bytes: u64,
    response_bytes: u64,
    connections: Connections,
    damages: BTreeMap<String, DamageReason>,
    listed: Vec<Listed>,
    unlisted: u64,
}

/// Counts by time; the buckets get wider as the span grows.
struct InspectTimeline {
    width_ns: i64,
    buckets: BTreeMap<i64, (u64, u64)>,
}

/// The connections that were met, as stretches of numbers in a row: a capture numbers them so, and a
/// recording of which a part was taken leaves some out.
#[derive(Default)]
struct Connections {
    /// The last number of each stretch, by its first.
    stretches: BTreeMap<u64, u64>,
}

impl Connections {
    fn add(&mut self, connection: u64) {
        let before = self.stretches.range_mut(..=connection).next_back();
        let mut first = connection;
        if let Some((&from, last)) = before {
            if connection <= *last {
                return;
            }
            if *last + 1 == connection {
                *last = connection;
                first = from;
            }
        }
        let next = connection.checked_add(1).and_then(|next| self.stretches.remove(&next));
        if next.is_some() || first == connection {
            self.stretches.insert(first, next.unwrap_or(connection));
        }
    }

    fn count(&self) -> u64 {
        self.stretches.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl InspectTimeline {
    fn add(&mut self, at: Timestamp, is_error: bool) {
        let bucket = self.buckets.entry(at.nanos().div_euclid(self.width_ns)).or_default();
        bucket.0 += 1;
        bucket.1 += u64::from(is_error);
        if self.buckets.len() > BUCKETS {
            self.width_ns = self.width_ns.saturating_mul(2);
            for (start, (count, errors)) in std::mem::take(&mut self.buckets) {
                let wider = self.buckets.entry(start.div_euclid(2)).or_default();
                wider.0 += count;
                wider.1 += errors;
            }
        }
    }
}

impl Survey {
    pub(super) fn new() -> Self {
        let histogram = || {
            Histogram::new_with_max(HIGHEST_NS, 3)
                .expect("three digits up to an hour are within bounds")
        };
        Self {
            completeness: BTreeMap::new(),
            statuses: BTreeMap::new(),
            calls: BTreeMap::new(),
            first: None,
            last: None,
            timeline: InspectTimeline { width_ns: NANOS_PER_SEC, buckets: BTreeMap::new() },
            first_byte: histogram(),
            last_byte: histogram(),
            before_request: 0,
            request_bytes: 0,
            response_bytes: 0,
            connections: Connections::default(),
            damages: BTreeMap::new(),
            listed: Vec::new(),
            unlisted: 0,
        }
    }

    pub(super) fn add(&mut self, id: ExchangeId, facts: ExchangeFacts) {
        *self.completeness.entry(facts.completeness.name()).or_default() += 1;
        self.connections.add(id.connection);
        let is_error = facts.is_error();
        if let Some(status) = facts.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Some(call) = facts.call {
            *self.calls.entry(call).or_default() += 1;
        }
        if let Some(at) = facts.at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            let ended = facts.ended.unwrap_or(at).max(at);
            self.last = Some(self.last.map_or(ended, |last| last.max(ended)));
            self.timeline.add(at, is_error);
        }
        self.request_bytes += facts.request_bytes;
        self.response_bytes += facts.response_bytes;
        if let Some((first, last)) = facts.latencies() {
            // Captured before its request: no latency, but worth a count.
            self.before_request += u64::from(first < 0);
            self.first_byte.saturating_record(u64::try_from(first).unwrap_or(0));
            self.last_byte.saturating_record(u64::try_from(last).unwrap_or(0));
        }
        if let Some(odd) = facts.odd {
            self.add_odd(id, facts.completeness, *odd);
        }
    }

    fn add_odd(&mut self, id: ExchangeId, completeness: Completeness, odd: Odd) {
        let none = [String::new()];
        let marks = if odd.marks.is_empty() { &none[..] } else { &odd.marks };
        for mark in marks {
            let reason = reason_of(completeness, mark);
            if self.damages.len() >= DAMAGES && !self.damages.contains_key(&reason) {
                continue;
            }
            let damage = self.damages.entry(reason).or_insert_with(|| DamageReason {
                exchanges: 0,
                connections: 0,
                example: id,
                detail: mark.clone(),
                last: None,
            });
            damage.exchanges += 1;
            damage.connections +=
                u64::from(damage.last.replace(id.connection) != Some(id.connection));
        }
        if completeness == Completeness::Complete {
            return;
        }
        if self.listed.len() < LISTED {
            self.listed.push(Listed {
                id,
                completeness,
                connection: odd.connection,
                marks: odd.marks,
            });
        } else {
            self.unlisted += 1;
        }
    }

    /// Puts names to the numbers.
    pub(super) fn finish(self, names: &NameCounts) -> InspectSummary {
        let (hosts, more) = names.hosts.all();
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut hosts: Vec<CountedName> = hosts
            .iter()
            .map(|(name, exchanges)| CountedName { name: text(name), exchanges: *exchanges })
            .collect();
        if more > 0 {
            hosts.push(CountedName { name: "(more hosts)".to_owned(), exchanges: more });
        }
        hosts.sort_by(|a, b| b.exchanges.cmp(&a.exchanges).then_with(|| a.name.cmp(&b.name)));
        let span_ns = self.first.zip(self.last).map_or(0, |(first, last)| last.since(first));
        let exchanges: u64 = self.completeness.values().sum();
        let busiest = self.timeline.buckets.values().map(|&(count, _)| count).max().unwrap_or(0);
        let seconds = span_ns as f64 / NANOS_PER_SEC as f64;
        let width_s = self.timeline.width_ns as f64 / NANOS_PER_SEC as f64;
        InspectSummary {
            first: self.first,
            last: self.last,
            span_ns,
            connections: self.connections.count(),
            exchanges,
            completeness: self.completeness,
            request_body_bytes: self.request_bytes,
            response_body_bytes: self.response_bytes,
            rate: Rate {
                mean_per_s: if seconds > 0.0 { exchanges as f64 / seconds } else { 0.0 },
                busiest_per_s: busiest as f64 / width_s,
                width_ns: self.timeline.width_ns,
                timeline: self
                    .timeline
                    .buckets
                    .iter()
                    .map(|(&start, &(exchanges, errors))| Bucket {
                        at: Timestamp::from_nanos(start.saturating_mul(self.timeline.width_ns)),
                        exchanges,
                        errors,
                    })
                    .collect(),
            },
            statuses: self.statuses,
            grpc_statuses: self.calls,
            hosts,
            routes: routes(names.paths.all()),
            first_byte: Quantiles::of(&self.first_byte),
            last_byte: Quantiles::of(&self.last_byte),
            answers_captured_before_requests: self.before_request,
            damages: self.damages,
            damaged: self.listed,
            damaged_not_listed: self.unlisted,
        }
    }
}

/// Paths by the route that they belong to.
fn routes((paths, others): (Vec<(Box<[u8]>, PathCounts)>, PathCounts)) -> Vec<SurveyedRoute> {
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

/// A mark without its numbers, so that equal reasons are counted as one.
fn reason_of(completeness: Completeness, mark: &str) -> String {
    if mark.is_empty() {
        return format!("{}: nothing was seen of it", completeness.name());
    }
    let mut reason = format!("{}: ", completeness.name());
    let mut in_number = false;
    for c in mark.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                reason.push('N');
            }
            in_number = true;
        } else {
            reason.push(c);
            in_number = false;
        }
    }
    reason
}

/// Everything that `inspect` says, in the form of its `--json`.
#[derive(Debug, Serialize)]
pub(super) struct InspectSummary {
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub span_ns: i64,
    pub connections: u64,
    pub exchanges: u64,
    pub completeness: BTreeMap<&'static str, u64>,
    pub request_body_bytes: u64,
    pub response_body_bytes: u64,
    pub rate: Rate,
    pub statuses: BTreeMap<u16, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grpc_statuses: BTreeMap<u16, u64>,
    pub hosts: Vec<CountedName>,
    pub routes: Vec<SurveyedRoute>,
    pub first_byte: Quantiles,
    pub last_byte: Quantiles,
    pub answers_captured_before_requests: u64,
    pub damages: BTreeMap<String, DamageReason>,
    pub damaged: Vec<Listed>,
    pub damaged_not_listed: u64,
}

/// Exchanges over time, by when their requests began.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub mean_per_s: f64,
    pub busiest_per_s: f64,
    pub width_ns: i64,
    pub timeline: Vec<Bucket>,
}

/// One bucket of the timeline.
#[derive(Debug, Serialize)]
pub(super) struct Bucket {
    pub at: Timestamp,
    pub exchanges: u64,
    pub errors: u64,
}

/// A name and how often it was seen.
#[derive(Debug, Serialize)]
pub(super) struct CountedName {
    pub name: String,
    pub exchanges: u64,
}

/// One route.
#[derive(Debug, Serialize)]
pub(super) struct SurveyedRoute {
    pub route: String,
    pub exchanges: u64,
    pub errors: u64,
    /// Different paths that belong to it.
    pub paths: u64,
    pub latency: Quantiles,
}

/// A reason why exchanges are damaged or odd.
#[derive(Debug, Serialize)]
pub(super) struct DamageReason {
    pub exchanges: u64,
    pub connections: u64,
    /// The first one, and what was said of it.
    pub example: ExchangeId,
    pub detail: String,
    #[serde(skip)]
    last: Option<u64>,
}

/// A damaged exchange.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub id: ExchangeId,
    pub completeness: Completeness,
    pub connection: String,
    pub marks: Vec<String>,
}

/// Quantiles of latencies, counted from the request's first byte.
#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: i64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let [p50_ns, p90_ns, p95_ns, p99_ns, p999_ns] =
            QUANTILES.map(|(_, quantile)| histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min_ns: if histogram.is_empty() { 0 } else { histogram.min() },
            mean_ns: histogram.mean().round() as i64,
            p50_ns,
            p90_ns,
            p95_ns,
            p99_ns,
            p999_ns,
            max_ns: histogram.max(),
        }
    }

    /// With what is known exactly in place of what buckets say: least, most and mean; no quantile
    /// lies outside of them.
    fn within(self, exact: Exact) -> Self {
        if self.count == 0 {
            return self;
        }
        let held = |nanos: u64| nanos.clamp(exact.least, exact.most);
        Self {
            count: self.count,
            min_ns: exact.least,
            mean_ns: i64::try_from(exact.sum / self.count).unwrap_or(i64::MAX),
            p50_ns: held(self.p50_ns),
            p90_ns: held(self.p90_ns),
            p95_ns: held(self.p95_ns),
            p99_ns: held(self.p99_ns),
            p999_ns: held(self.p999_ns),
            max_ns: exact.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_middle_is_near_all_that_it_holds() {
        for nanos in (3..62).flat_map(|shift| {
            [1u64 << shift, (1 << shift) + (1 << shift) / 3, (1 << (shift + 1)) - 1]
        }) {
            let middle = nanos_of(bucket_of(nanos));
            assert!(middle.abs_diff(nanos) <= nanos / 64 + 32, "{nanos} → {middle}");
        }
    }

    #[test]
    fn quantiles_of_buckets_stay_within_what_is_known_exactly() {
        let mut histogram = Histogram::new_with_max(HIGHEST_NS, 2).expect("within bounds");
        let mut exact = Exact::default();
        for nanos in [1_000_001, 1_000_003, 5_999_999] {
            histogram.record(nanos_of(bucket_of(nanos))).expect("within bounds");
            exact.add(Exact { least: nanos, most: nanos, sum: nanos });
        }
        let quantiles = Quantiles::of(&histogram).within(exact);
        assert_eq!(
            (quantiles.min_ns, quantiles.mean_ns, quantiles.max_ns),
            (1_000_001, 2_666_667, 5_999_999)
        );
        assert!(quantiles.p50_ns >= 1_000_001 && quantiles.p999_ns <= 5_999_999);
        assert!(quantiles.p50_ns.abs_diff(1_000_003) < 1_000_003 / 40, "{quantiles:?}");
    }

    #[test]
    fn which_names_are_told_apart_does_not_depend_on_their_order() {
        let counted = |numbers: &mut dyn Iterator<Item = u32>| {
            let names = CountedByName::<u64>::new(8 * PARTS);
            numbers.for_each(|n| names.count(&(n % 1000).to_le_bytes(), |count| *count += 1));
            let (mut known, others) = names.all();
            known.sort();
            assert!(names.all().0.is_empty());
            (known, others)
        };
        let (known, others) = counted(&mut (0..3000));
        assert!(
            known.len() == 8 * PARTS && known.iter().all(|(_, count)| *count == 3),
            "{known:?}"
        );
        assert_eq!(others, 3 * (1000 - known.len() as u64));
        assert_eq!(counted(&mut (0..3000).rev()), (known, others));
    }

    #[test]
    fn each_connection_counts_once_whichever_of_its_exchanges_are_there() {
        let counted = |numbers: &[u64]| {
            let mut connections = Connections::default();
            numbers.iter().for_each(|number| connections.add(*number));
            (connections.count(), connections.stretches.len())
        };
        assert_eq!(counted(&[]), (0, 0));
        assert_eq!(counted(&[12, 13, 12, 14, 13]), (3, 1));
        assert_eq!(counted(&[5, 1, 3, 4, 2, 0, 3]), (6, 1));
        assert_eq!(counted(&[0, 2, u64::MAX, u64::MAX - 1, 2, u64::MAX]), (4, 3));
    }

    #[test]
    fn the_timeline_widens_and_loses_nothing() {
        let mut timeline = InspectTimeline { width_ns: NANOS_PER_SEC, buckets: BTreeMap::new() };
        let count = 3 * BUCKETS as i64;
        for second in 0..count {
            timeline.add(Timestamp::from_parts(second * 7, 0), second % 2 == 0);
        }
        assert!(timeline.buckets.len() <= BUCKETS && timeline.width_ns > NANOS_PER_SEC);
        assert_eq!(timeline.buckets.values().map(|&(all, _)| all).sum::<u64>(), count as u64);
    }

    #[test]
    fn equal_reasons_are_one_whatever_their_numbers() {
        let a =
            reason_of(Completeness::ResponseDamaged, "response: gap of 1460 bytes at packet 812");
        assert_eq!(a, "response-damaged: response: gap of N bytes at packet N");
    }
}
