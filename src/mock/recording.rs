//! The recorded calls, indexed to be found by what they were: exactly, by kind, and by single values; and what caused each.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::features::{self, Content, Feature, Rules, Subject, header_of};
use crate::diff::route::{Routes, path_and_query};
use crate::exchange::{Completeness, Exchange, ExchangeId};
use crate::http::{Request, Response};
use crate::time::Timestamp;

/// Header fields that name the request that a call belongs to; equal values mean the same cause.
const TRACE_HEADERS: [&str; 9] = [
    "traceparent",
    "x-b3-traceid",
    "b3",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-correlation-id",
    "x-request-id",
];
/// Shortest value that names a request, in bytes: shorter ones are flags.
const TRACE_BYTES: usize = 6;

/// Which exchanges of the inputs are v1's outgoing calls; the others are what caused them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Ports of providers; empty: any.
    pub ports: Vec<u16>,
    /// Hosts of providers (the `Host` of their requests, without port); empty: any.
    pub hosts: Vec<String>,
    /// Ports and hosts that are v1's own, and so no providers.
    pub ingress_ports: Vec<u16>,
    /// The same by host.
    pub ingress_hosts: Vec<String>,
}

impl Selection {
    /// Whether it says anything.
    pub fn is_given(&self) -> bool {
        !(self.ports.is_empty() && self.hosts.is_empty() && self.ingress_ports.is_empty() && self.ingress_hosts.is_empty())
    }

    fn takes(&self, port: u16, host: &str) -> bool {
        let bare = without_port(host);
        (self.ports.is_empty() || self.ports.contains(&port))
            && (self.hosts.is_empty() || self.hosts.iter().any(|own| own == bare || own == host))
            && !self.ingress_ports.contains(&port)
            && !self.ingress_hosts.iter().any(|own| own == bare || own == host)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The provider's name: in lower case, without the scheme's own port.
pub(super) fn canonical_host(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    for own in [":80", ":443"] {
        if let Some(name) = host.strip_suffix(own)
            && !name.is_empty()
        {
            return name.to_owned();
        }
    }
    host
}

/// Why there is nothing to answer from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No exchange is an outgoing call.
    #[error("no outgoing call among {exchanges} exchanges")]
    NoCall {
        /// How many exchanges there were.
        exchanges: u64,
    },
}

/// One recorded call.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) id: ExchangeId,
    pub(super) at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) host: Arc<str>,
    pub(super) route: Arc<str>,
    pub(super) scope: u64,
    /// Calls that are equal by kind share it.
    pub(super) group: u32,
    /// Index of its cause, where it carries a trace.
    pub(super) cause: Option<u32>,
    /// The ingress exchange that caused it.
    pub(super) caused_by: Option<ExchangeId>,
    pub(super) features: Box<[Feature]>,
    pub(super) request: Request,
    /// The whole recorded answer; none where the capture has not got it.
    pub(super) response: Option<Response>,
    pub(super) first_byte_ns: i64,
    pub(super) last_byte_ns: i64,
}

impl Recorded {
    pub(super) fn describe(&self, rules: &Rules) -> Vec<features::Described> {
        let header = header_of(&self.request.headers);
        features::describe(
            &Subject {
                route: &self.route,
                target: &self.request.target,
                headers: &header,
                content: Content::of(&self.request.body),
            },
            rules,
        )
    }
}

/// The calls of one host and route.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) calls: Vec<u32>,
    /// By value: the calls that have it, in order.
    pub(super) postings: FxHashMap<u64, Vec<u32>>,
}

/// All recorded calls with their indexes. Calls are numbered in the order of their times.
#[derive(Debug)]
pub struct Recording {
    pub(super) calls: Vec<Recorded>,
    pub(super) routes: Routes,
    pub(super) rules: Rules,
    pub(super) exact: FxHashMap<u64, Vec<u32>>,
    pub(super) by_kind: FxHashMap<u64, u32>,
    pub(super) groups: Vec<Vec<u32>>,
    /// Calls of one group and cause.
    pub(super) of_cause: FxHashMap<(u32, u32), Vec<u32>>,
    /// Calls of one scope and cause.
    pub(super) near_cause: FxHashMap<(u64, u32), Vec<u32>>,
    pub(super) scopes: FxHashMap<u64, Scope>,
    /// By trace: the cause's index.
    causes: FxHashMap<u64, u32>,
    /// By cause: the ingress exchanges that carry it.
    ingress: Vec<Vec<ExchangeId>>,
    /// By host: how many calls.
    hosts: BTreeMap<String, u64>,
    /// Exchanges that are no outgoing call, or whose request is not whole.
    pub not_used: u64,
    /// Groups of equal requests with different answers: they are given in their order.
    pub contradictions: u64,
    /// Whether nothing told outgoing calls from incoming ones, so that all exchanges were taken.
    pub undivided: bool,
}

struct Ingress {
    id: ExchangeId,
    at: Timestamp,
    ends_at: Timestamp,
    server: IpAddr,
    traces: Vec<u64>,
}

impl Recording {
    /// Takes the outgoing calls from `exchanges` (in any order) and indexes them.
    pub fn build(exchanges: Vec<Exchange>, selection: &Selection, rules: Rules) -> Result<Self, BuildError> {
        let total = exchanges.len() as u64;
        let (calls, others, undivided) = divide(exchanges, selection);
        let mut recording = Self {
            calls: Vec::with_capacity(calls.len()),
            routes: Routes::new(vec![]),
            rules,
            exact: FxHashMap::default(),
            by_kind: FxHashMap::default(),
            groups: Vec::new(),
            of_cause: FxHashMap::default(),
            near_cause: FxHashMap::default(),
            scopes: FxHashMap::default(),
            causes: FxHashMap::default(),
            ingress: Vec::new(),
            hosts: BTreeMap::new(),
            not_used: 0,
            contradictions: 0,
            undivided,
        };
        let mut ingress = recording.ingress_of(others);
        ingress.sort_by_key(|one| (one.at, one.id));
        let mut calls: Vec<_> = calls
            .into_iter()
            .filter(|call| call.completeness.request_is_whole())
            .filter_map(|mut call| Some((call.request.take()?, call)))
            .collect();
        calls.sort_by_key(|(request, call)| (request.at, call.id));
        for (request, _) in &calls {
            recording.routes.learn(&request.message.method, &request.message.target);
        }
        recording.routes.settle();
        let mut causes = CauseFinder::new(&ingress);
        for (request, call) in calls {
            let host = host_of(&request.message, &call);
            let response = call.response.filter(|_| call.completeness == Completeness::Complete);
            let first = response.as_ref().and_then(|response| response.first_byte_ns).unwrap_or(0).max(0);
            let last = response.as_ref().and_then(|response| response.last_byte_ns).unwrap_or(first).max(first);
            let traces = traces(&|name| header_of(&request.message.headers)(name));
            let cause = traces.first().map(|_| recording.cause_of(&traces));
            let caused_by = causes.find(request.at, call.client.address, &traces);
            let route = recording.routes.route(&request.message.method, &request.message.target);
            recording.add(Recorded {
                id: call.id,
                at: request.at,
                ends_at: request.at.plus(last),
                scope: scope_of(&host, &route),
                host: host.into(),
                route,
                group: 0,
                cause,
                caused_by,
                features: Box::default(),
                request: request.message,
                response: response.map(|response| response.message),
                first_byte_ns: first,
                last_byte_ns: last,
            });
        }
        recording.not_used = total - recording.calls.len() as u64;
        if recording.calls.is_empty() {
            return Err(BuildError::NoCall { exchanges: total });
        }
        recording.contradictions = recording.count_contradictions();
        Ok(recording)
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none; never so for a recording that was built.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The providers, with the number of their calls.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.hosts.iter().map(|(host, calls)| (host.as_str(), *calls))
    }

    pub(super) fn knows_host(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// The only provider, where there is but one.
    pub(super) fn only_host(&self) -> Option<&str> {
        match self.hosts.len() {
            1 => self.hosts.keys().next().map(String::as_str),
            _ => None,
        }
    }

    /// The cause that a call with these header fields belongs to, where the recording knows it.
    pub(super) fn known_cause(&self, header: &dyn Fn(&str) -> Option<String>) -> Option<u32> {
        if self.causes.is_empty() {
            return None;
        }
        traces(header).iter().find_map(|trace| self.causes.get(trace).copied())
    }

    /// An ingress exchange of a cause.
    pub(super) fn ingress_of_cause(&self, cause: u32) -> Option<ExchangeId> {
        self.ingress.get(cause as usize)?.first().copied()
    }

    fn ingress_of(&mut self, others: Vec<Exchange>) -> Vec<Ingress> {
        let mut all = Vec::new();
        for other in others {
            let Some(request) = &other.request else { continue };
            let traces = traces(&|name| header_of(&request.message.headers)(name));
            if !traces.is_empty() {
                let cause = self.cause_of(&traces);
                self.ingress[cause as usize].push(other.id);
            }
            let lasted = other.response.as_ref().and_then(|response| response.last_byte_ns).unwrap_or(0);
            let ends_at = request.at.plus(lasted);
            all.push(Ingress { id: other.id, at: request.at, ends_at, server: other.server.address, traces });
        }
        all
    }

    /// The cause's index for these traces: a known one, else a new one; all of them lead to it from now on.
    fn cause_of(&mut self, traces: &[u64]) -> u32 {
        let cause = traces.iter().find_map(|trace| self.causes.get(trace).copied()).unwrap_or_else(|| {
            self.ingress.push(Vec::new());
            u32::try_from(self.ingress.len() - 1).expect("fewer causes than exchanges in memory")
        });
        for trace in traces {
            self.causes.entry(*trace).or_insert(cause);
        }
        cause
    }

    fn add(&mut self, mut call: Recorded) {
        let index = u32::try_from(self.calls.len()).expect("fewer calls than fit into memory");
        let taken = {
            let header = header_of(&call.request.headers);
            let content = Content::of(&call.request.body);
            let subject = Subject { route: &call.route, target: &call.request.target, headers: &header, content };
            features::take(&subject, &self.rules, call.scope)
        };
        self.exact.entry(taken.exact).or_default().push(index);
        let next = u32::try_from(self.groups.len()).expect("fewer groups than calls");
        call.group = *self.by_kind.entry(taken.by_kind).or_insert(next);
        if call.group == next {
            self.groups.push(Vec::new());
        }
        self.groups[call.group as usize].push(index);
        if let Some(cause) = call.cause {
            self.of_cause.entry((call.group, cause)).or_default().push(index);
            self.near_cause.entry((call.scope, cause)).or_default().push(index);
        }
        let scope = self.scopes.entry(call.scope).or_default();
        scope.calls.push(index);
        for feature in &taken.features {
            let posting = scope.postings.entry(feature.value).or_default();
            if posting.last() != Some(&index) {
                posting.push(index);
            }
        }
        *self.hosts.entry(call.host.to_string()).or_default() += 1;
        call.features = taken.features.into_boxed_slice();
        self.calls.push(call);
    }

    /// Exactly equal requests whose answers differ in status or body.
    fn count_contradictions(&self) -> u64 {
        let answer =
            |&index: &u32| self.calls[index as usize].response.as_ref().map(|response| (response.status, &response.body.bytes));
        let differ = |calls: &&Vec<u32>| calls.windows(2).any(|pair| answer(&pair[0]) != answer(&pair[1]));
        self.exact.values().filter(differ).count() as u64
    }
}

pub(super) fn scope_of(host: &str, route: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    route.hash(&mut hasher);
    hasher.finish()
}

fn host_of(request: &Request, call: &Exchange) -> String {
    if !request.target.starts_with(b"/")
        && let Ok(target) = std::str::from_utf8(&request.target)
        && let Some((_, rest)) = target.split_once("://")
    {
        return canonical_host(rest.split(['/', '?', '#']).next().unwrap_or_default());
    }
    match request.headers.get("host") {
        Some(host) if !host.is_empty() => canonical_host(&String::from_utf8_lossy(host)),
        _ => canonical_host(&call.server.to_string()),
    }
}

/// Outgoing calls and the rest; and whether nothing told them apart.
fn divide(exchanges: Vec<Exchange>, selection: &Selection) -> (Vec<Exchange>, Vec<Exchange>, bool) {
    if selection.is_given() {
        let (calls, others) = exchanges.into_iter().partition(|exchange| {
            let host = exchange.request.as_ref().map(|request| host_of(&request.message, exchange)).unwrap_or_default();
            selection.takes(exchange.server.port, &host)
        });
        return (calls, others, false);
    }
    // Seen from v1's node: who serves there is v1, and what v1's address calls elsewhere is outgoing.
    let servers: BTreeSet<IpAddr> = exchanges.iter().map(|exchange| exchange.server.address).collect();
    let calls_out =
        |exchange: &Exchange| servers.contains(&exchange.client.address) && exchange.client.address != exchange.server.address;
    if exchanges.iter().any(calls_out) {
        let (calls, others) = exchanges.into_iter().partition(calls_out);
        return (calls, others, false);
    }
    // Only one direction was captured, or all of it on one address.
    let undivided = exchanges.iter().any(|exchange| exchange.client.address == exchange.server.address);
    (exchanges, Vec::new(), undivided)
}

/// What names the cause in header fields, most telling first, hashed.
fn traces(header: &dyn Fn(&str) -> Option<String>) -> Vec<u64> {
    let mut traces = Vec::new();
    for name in TRACE_HEADERS {
        let Some(value) = header(name) else { continue };
        let id = trace_id(name, value.trim());
        if id.len() >= TRACE_BYTES {
            let mut hasher = DefaultHasher::new();
            id.to_ascii_lowercase().hash(&mut hasher);
            traces.push(hasher.finish());
        }
    }
    traces
}

/// The part of a trace header that stays the same from hop to hop.
fn trace_id<'a>(name: &str, value: &'a str) -> &'a str {
    match name {
        "traceparent" => value.split('-').nth(1).unwrap_or_default(),
        "b3" => value.split('-').next().unwrap_or_default(),
        "uber-trace-id" => value.split([':', '%']).next().unwrap_or_default(),
        "x-cloud-trace-context" => value.split('/').next().unwrap_or_default(),
        "x-amzn-trace-id" => value.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or_default(),
        _ => value,
    }
}

/// Finds the ingress exchange of each call; calls come in the order of their times.
struct CauseFinder<'a> {
    ingress: &'a [Ingress],
    by_trace: FxHashMap<u64, Vec<usize>>,
    next: usize,
    /// Exchanges that began and did not end before the last call.
    open: Vec<usize>,
}

impl<'a> CauseFinder<'a> {
    fn new(ingress: &'a [Ingress]) -> Self {
        let mut by_trace: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (index, one) in ingress.iter().enumerate() {
            for trace in &one.traces {
                by_trace.entry(*trace).or_default().push(index);
            }
        }
        Self { ingress, by_trace, next: 0, open: Vec::new() }
    }

    fn find(&mut self, at: Timestamp, caller: IpAddr, traces: &[u64]) -> Option<ExchangeId> {
        while let Some(one) = self.ingress.get(self.next)
            && one.at <= at
        {
            self.open.push(self.next);
            self.next += 1;
        }
        self.open.retain(|&index| self.ingress[index].ends_at >= at);
        if let Some(known) = traces.iter().find_map(|trace| self.by_trace.get(trace)) {
            // Of several requests with this trace (one session, say) the one that was open, else the last one before.
            let before = known.partition_point(|&index| self.ingress[index].at <= at);
            let open = known[..before].iter().rev().find(|&&index| self.ingress[index].ends_at >= at);
            return open.or(known[..before].last()).map(|&index| self.ingress[index].id);
        }
        let mut serving = self.open.iter().filter(|&&index| self.ingress[index].server == caller);
        match (serving.next(), serving.next()) {
            (Some(&only), None) => Some(self.ingress[only].id),
            _ => None,
        }
    }
}

/// The path and query that a target names, in origin form.
pub(super) fn origin_form(target: &[u8]) -> String {
    let (path, query) = path_and_query(target);
    let path = if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path) };
    match query {
        b"" => path.into_owned(),
        query => format!("{path}?{}", String::from_utf8_lossy(query)),
    }
}
