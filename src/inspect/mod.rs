//! What is in captures and recordings: counts and histograms, bounded whatever the length of the
//! input. Nothing of a message is kept but its names.
//!
//! In: the facts of exchanges ([`NameCounts::facts`], where they are rendered, on all cores). Out:
//! an [`InspectSummary`].

mod facts;
mod latencies;
mod names;
mod summary;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

pub use self::facts::{ExchangeFacts, NameCounts};
use self::facts::{Odd, routes};
use self::latencies::HIGHEST_NS;
pub use self::latencies::Quantiles;
pub use self::summary::{
    Bucket, CountedName, DamageReason, InspectSummary, Listed, Rate, SurveyedRoute,
};
use crate::exchange::{Completeness, ExchangeId};
use crate::flow::Endpoint;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Buckets of the timeline; where they do not suffice they get twice as wide.
const BUCKETS: usize = 2_048;
/// Kinds of damage that are told apart.
const DAMAGES: usize = 256;
/// Servers that are told apart.
const SERVERS: usize = 4_096;
/// Damaged exchanges that are listed one by one.
const LISTED: usize = 1_000;
/// What was gathered so far.
pub struct InspectSurvey {
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
    servers: FxHashMap<Endpoint, u64>,
    /// Exchanges with servers beyond those that are told apart.
    other_servers: u64,
    damages: BTreeMap<String, DamageReason>,
    listed: Vec<Listed>,
    unlisted: u64,
}

/// Counts by time; the buckets get wider as the span grows.
struct InspectTimeline {
    width_ns: i64,
    buckets: BTreeMap<i64, (u64, u64)>,
}

/// The connections that were met, as stretches of numbers in a row: a capture numbers them so, and
/// a recording of which a part was taken leaves some out.
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

impl Default for InspectSurvey {
    fn default() -> Self {
        Self::new()
    }
}

impl InspectSurvey {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
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
            servers: FxHashMap::default(),
            other_servers: 0,
            damages: BTreeMap::new(),
            listed: Vec::new(),
            unlisted: 0,
        }
    }

    /// Adds one exchange.
    pub fn add(&mut self, id: ExchangeId, facts: ExchangeFacts) {
        *self.completeness.entry(facts.completeness.name()).or_default() += 1;
        self.connections.add(id.connection);
        self.add_server(facts.server);
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

    /// Counts an exchange by its server, where the recording tells it.
    fn add_server(&mut self, server: Endpoint) {
        if server.port == 0 && server.address.is_unspecified() {
            return;
        }
        if self.servers.len() < SERVERS || self.servers.contains_key(&server) {
            *self.servers.entry(server).or_default() += 1;
        } else {
            self.other_servers += 1;
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
    pub fn finish(self, names: &NameCounts) -> InspectSummary {
        let (hosts, more) = names.hosts.all();
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let hosts = hosts.iter().map(|(name, count)| (text(name), *count));
        let hosts = busiest_first(hosts, "(more hosts)", more);
        let servers = self.servers.iter().map(|(server, count)| (server.to_string(), *count));
        let servers = busiest_first(servers, "(more servers)", self.other_servers);
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
            servers,
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

/// Names with their counts, the busiest first, and what is beyond those that are told apart.
fn busiest_first(
    names: impl Iterator<Item = (String, u64)>,
    rest: &str,
    more: u64,
) -> Vec<CountedName> {
    let rest = (more > 0).then(|| (rest.to_owned(), more));
    let all = names.chain(rest).map(|(name, exchanges)| CountedName { name, exchanges });
    let mut all: Vec<CountedName> = all.collect();
    all.sort_by(|a, b| b.exchanges.cmp(&a.exchanges).then_with(|| a.name.cmp(&b.name)));
    all
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

#[cfg(test)]
mod tests {
    use super::*;

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
