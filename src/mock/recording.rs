//! The recorded calls, indexed to be found by what they were: exactly, by kind, and by single
//! values; and what caused each.
//!
//! Exchanges are taken one by one: of what is no call only what may have caused one is kept, and
//! large bodies go to disk.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::cause::{self, CauseFinder, Ingress, traces};
use super::features::{self, Content, Feature, FeatureRules, Subject};
use super::pace;
use super::shelf::{Shelf, ShelvedBody};
use crate::exchange::{Completeness, Exchange, ExchangeId};
use crate::message::target::{self, canonical_authority, host_and_port};
use crate::message::{Request, Response};
use crate::replay::UnderWay;
use crate::route::Routes;
use crate::time::Timestamp;

/// Which exchanges of the inputs are v1's outgoing calls; the others are what caused them.
#[derive(Clone, Debug, Default)]
pub struct EgressSelection {
    /// Ports of providers; empty: any.
    pub ports: Vec<u16>,
    /// Hosts of providers (the `Host` of their requests, without port); empty: any.
    pub hosts: Vec<String>,
    /// Ports and hosts that are v1's own, and so no providers.
    pub ingress_ports: Vec<u16>,
    /// The same by host.
    pub ingress_hosts: Vec<String>,
}

impl EgressSelection {
    /// Whether it says anything.
    pub fn is_given(&self) -> bool {
        !(self.ports.is_empty()
            && self.hosts.is_empty()
            && self.ingress_ports.is_empty()
            && self.ingress_hosts.is_empty())
    }

    fn takes(&self, port: u16, host: &str) -> bool {
        let bare = host_and_port(host).0;
        (self.ports.is_empty() || self.ports.contains(&port))
            && (self.hosts.is_empty() || self.hosts.iter().any(|own| own == bare || own == host))
            && !self.ingress_ports.contains(&port)
            && !self.ingress_hosts.iter().any(|own| own == bare || own == host)
    }
}

/// Why there is nothing to answer from.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// No exchange is an outgoing call.
    #[error("no outgoing call among {exchanges} exchanges")]
    NoCall {
        /// How many exchanges there were.
        exchanges: u64,
    },
    /// Large bodies cannot be put aside.
    #[error("large bodies cannot be kept in a temporary file")]
    Disk(#[source] Arc<io::Error>),
}

/// One recorded call.
#[derive(Debug)]
pub(super) struct RecordedCall {
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
    /// Number of the ingress exchange that caused it.
    pub(super) caused_by: Option<u32>,
    pub(super) features: Box<[Feature]>,
    /// The condition under which it asked, where its answer holds under that only (304, 412).
    pub(super) condition: Option<u64>,
    /// The request without its body.
    pub(super) request: Request,
    pub(super) asked: AskedBody,
    /// The recorded answer; else why it cannot be given.
    pub(super) answer: Result<RecordedAnswer, &'static str>,
}

/// A recorded request's body.
#[derive(Debug)]
pub(super) enum AskedBody {
    Whole(ShelvedBody),
    /// Too large to be taken apart.
    Hashed {
        length: u64,
        sha256: [u8; 32],
    },
}

/// A recorded answer.
#[derive(Debug)]
pub(super) struct RecordedAnswer {
    /// Without its body.
    pub(super) head: Response,
    pub(super) body: ShelvedBody,
    /// Tells answers with different bodies apart.
    digest: u64,
    pub(super) first_byte_ns: i64,
    pub(super) last_byte_ns: i64,
    /// Of a stream: when each part of the body came.
    pub(super) pace: Box<[pace::PaceStep]>,
}

impl RecordedAnswer {
    fn of(call: &mut Exchange, shelf: &mut Shelf) -> io::Result<Result<Self, &'static str>> {
        let Some(response) =
            call.response.take().filter(|_| call.completeness == Completeness::Complete)
        else {
            return Ok(Err("the recording does not hold the whole answer of this call"));
        };
        let mut head = response.message;
        if head.body.is_cut() {
            return Ok(Err("the recorded answer was too large to be kept whole"));
        }
        if head.status < 200 || head.status > 999 {
            return Ok(Err("the recorded answer switched protocols and cannot be given again"));
        }
        let body = std::mem::take(&mut head.body).bytes;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let first = response.first_byte_ns.unwrap_or(0).max(0);
        let last = response.last_byte_ns.unwrap_or(first).max(first);
        let kept = shelf.keep(&body)?;
        let pace = pace::of_stream(&head, &body, first, last);
        Ok(Ok(Self {
            pace,
            head,
            body: kept,
            digest: hasher.finish(),
            first_byte_ns: first,
            last_byte_ns: last,
        }))
    }
}

/// The calls of one host and route.
#[derive(Debug, Default)]
pub(super) struct CallScope {
    pub(super) calls: Vec<u32>,
    /// By value: the calls that have it, in order.
    pub(super) postings: FxHashMap<u64, Vec<u32>>,
}

/// All recorded calls with their indexes. Calls are numbered in the order of their times.
#[derive(Debug)]
pub struct CallRecording {
    pub(super) calls: Vec<RecordedCall>,
    pub(super) shelf: Shelf,
    pub(super) routes: Routes,
    pub(super) rules: FeatureRules,
    pub(super) exact: FxHashMap<u64, Vec<u32>>,
    pub(super) by_kind: FxHashMap<u64, u32>,
    pub(super) groups: Vec<Vec<u32>>,
    /// Calls of one group and cause.
    pub(super) of_cause: FxHashMap<(u32, u32), Vec<u32>>,
    /// Calls of one scope and cause.
    pub(super) near_cause: FxHashMap<(u64, u32), Vec<u32>>,
    /// Calls of one group and ingress exchange.
    pub(super) of_ingress: FxHashMap<(u32, u32), Vec<u32>>,
    /// Calls of one scope and ingress exchange.
    pub(super) near_ingress: FxHashMap<(u64, u32), Vec<u32>>,
    pub(super) scopes: FxHashMap<u64, CallScope>,
    /// By trace: the cause's index.
    causes: FxHashMap<u64, u32>,
    /// By cause: the first ingress exchange that carries it.
    cause_ids: Vec<Option<ExchangeId>>,
    /// By number: the ingress exchanges that caused calls, with the names in them.
    pub(super) ingress: Vec<(ExchangeId, Box<[u64]>)>,
    /// By host: how many calls.
    hosts: BTreeMap<String, u64>,
    /// Exchanges that are no outgoing call, or whose request is not whole.
    pub not_used: u64,
    /// Groups of equal requests with different answers: they are given in their order.
    pub contradictions: u64,
    /// Whether nothing told outgoing calls from incoming ones, so that all exchanges were taken.
    pub undivided: bool,
}

/// A call before its route is known.
struct Raw {
    id: ExchangeId,
    at: Timestamp,
    client: IpAddr,
    server: IpAddr,
    host: String,
    request: Request,
    /// Hashes of the values that name something, where that may be needed to find its cause.
    names: Box<[u64]>,
    asked: AskedBody,
    answer: Result<RecordedAnswer, &'static str>,
}

/// Takes exchanges one by one, until they can be made a recording.
pub struct CallGatherer {
    selection: EgressSelection,
    shelf: Shelf,
    calls: Vec<Raw>,
    ingress: Vec<Ingress>,
    /// Addresses that served, where the selection says nothing.
    servers: BTreeSet<IpAddr>,
    /// An exchange whose ends have one address.
    one_address: bool,
    total: u64,
}

impl CallGatherer {
    /// Takes those that `selection` takes; where it says nothing, what v1's address called is known
    /// at the end.
    pub fn new(selection: EgressSelection) -> Self {
        Self {
            selection,
            shelf: Shelf::default(),
            calls: Vec::new(),
            ingress: Vec::new(),
            servers: BTreeSet::new(),
            one_address: false,
            total: 0,
        }
    }

    /// Takes one; in any order.
    pub fn add(&mut self, mut exchange: Exchange) -> io::Result<()> {
        self.total += 1;
        let undecided = !self.selection.is_given();
        if undecided {
            self.servers.insert(exchange.server.address);
            self.one_address |= exchange.client.address == exchange.server.address;
        }
        let host = exchange
            .request
            .as_ref()
            .map(|request| host_of(&request.message, &exchange))
            .unwrap_or_default();
        let takes = !undecided && self.selection.takes(exchange.server.port, &host);
        if !takes {
            self.ingress.extend(Ingress::of(&exchange));
        }
        if !(takes || undecided) || !exchange.completeness.request_is_whole() {
            return Ok(());
        }
        let Some(request) = exchange.request.take() else { return Ok(()) };
        let answer = RecordedAnswer::of(&mut exchange, &mut self.shelf)?;
        let mut message = request.message;
        let names = cause::names(&message);
        let body = std::mem::take(&mut message.body);
        let asked = match Content::of(&body) {
            Content::Whole(bytes) => AskedBody::Whole(self.shelf.keep(bytes)?),
            Content::Hashed { length, sha256 } => AskedBody::Hashed { length, sha256 },
        };
        let (client, server) = (exchange.client.address, exchange.server.address);
        self.calls.push(Raw {
            id: exchange.id,
            at: request.at,
            client,
            server,
            host,
            request: message,
            names,
            asked,
            answer,
        });
        Ok(())
    }

    /// What is a call, where the selection says nothing; whether nothing told them apart.
    fn divide(&mut self) -> bool {
        if self.selection.is_given() {
            return false;
        }
        // Seen from v1's node: who serves there is v1, and what v1's address calls elsewhere is
        // outgoing.
        let servers = std::mem::take(&mut self.servers);
        let calls_out = |call: &Raw| servers.contains(&call.client) && call.client != call.server;
        if self.calls.iter().any(calls_out) {
            self.calls.retain(calls_out);
            let calls: BTreeSet<ExchangeId> = self.calls.iter().map(|call| call.id).collect();
            self.ingress.retain(|one| !calls.contains(&one.id));
            return false;
        }
        // Only one direction was captured, or all of it on one address.
        self.ingress.clear();
        self.one_address
    }

    /// Indexes what was taken.
    pub fn build(mut self, rules: FeatureRules) -> Result<CallRecording, BuildError> {
        let undivided = self.divide();
        self.ingress.sort_by_key(|one| (one.at, one.id));
        self.calls.sort_by_key(|call| (call.at, call.id));
        let mut recording = CallRecording::empty(rules, self.shelf, undivided);
        for one in &self.ingress {
            if !one.traces.is_empty() {
                let cause = recording.cause_of(&one.traces);
                recording.cause_ids[cause as usize].get_or_insert(one.id);
            }
        }
        for call in &self.calls {
            recording.routes.learn(&call.request.method, &call.request.target);
        }
        recording.routes.settle();
        let mut numbers = FxHashMap::default();
        let mut finder = CauseFinder::new(&self.ingress);
        for call in self.calls {
            let traces = traces(&call.request.headers);
            let cause = traces.first().map(|_| recording.cause_of(&traces));
            let caused_by = finder.find(call.at, call.client, &traces, &call.names).map(|index| {
                *numbers.entry(index).or_insert_with(|| {
                    recording
                        .ingress
                        .push((self.ingress[index].id, self.ingress[index].names.clone()));
                    u32::try_from(recording.ingress.len() - 1)
                        .expect("fewer exchanges than fit into memory")
                })
            });
            let route = recording.routes.route(&call.request.method, &call.request.target);
            let lasted = call.answer.as_ref().map_or(0, |answer| answer.last_byte_ns);
            recording.add(RecordedCall {
                id: call.id,
                at: call.at,
                ends_at: call.at.plus(lasted),
                scope: scope_of(&call.host, &route),
                host: call.host.into(),
                route,
                group: 0,
                cause,
                caused_by,
                features: Box::default(),
                condition: None,
                request: call.request,
                asked: call.asked,
                answer: call.answer,
            })?;
        }
        recording.not_used = self.total - recording.calls.len() as u64;
        if recording.calls.is_empty() {
            return Err(BuildError::NoCall { exchanges: self.total });
        }
        recording.contradictions = recording.count_contradictions();
        Ok(recording)
    }
}

impl CallRecording {
    fn empty(rules: FeatureRules, shelf: Shelf, undivided: bool) -> Self {
        Self {
            calls: Vec::new(),
            shelf,
            routes: Routes::new(vec![]),
            rules,
            exact: FxHashMap::default(),
            by_kind: FxHashMap::default(),
            groups: Vec::new(),
            of_cause: FxHashMap::default(),
            near_cause: FxHashMap::default(),
            of_ingress: FxHashMap::default(),
            near_ingress: FxHashMap::default(),
            scopes: FxHashMap::default(),
            causes: FxHashMap::default(),
            cause_ids: Vec::new(),
            ingress: Vec::new(),
            hosts: BTreeMap::new(),
            not_used: 0,
            contradictions: 0,
            undivided,
        }
    }

    /// Takes the outgoing calls from `exchanges` (in any order) and indexes them.
    pub fn build(
        exchanges: Vec<Exchange>,
        selection: &EgressSelection,
        rules: FeatureRules,
    ) -> Result<Self, BuildError> {
        let mut gatherer = CallGatherer::new(selection.clone());
        for exchange in exchanges {
            gatherer.add(exchange).map_err(|error| BuildError::Disk(Arc::new(error)))?;
        }
        gatherer.build(rules)
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

    /// Watches the exchanges that caused calls: for a replay in this process to tell when each is
    /// at v2.
    pub fn watch(&self) -> UnderWay {
        let ids: Vec<ExchangeId> = self.ingress.iter().map(|(id, _)| *id).collect();
        UnderWay::watching(&ids)
    }

    pub(super) fn knows_host(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// The only provider, or of several the only one that was called with this method and route.
    pub(super) fn only_host_for(&self, method: &[u8], target: &[u8]) -> Option<&str> {
        let route = self.routes.route(method, target);
        let hosts = || self.hosts.keys().map(String::as_str);
        let called = |host: &&str| self.scopes.contains_key(&scope_of(host, &route));
        only(hosts()).or_else(|| only(hosts().filter(called)))
    }

    /// The cause that a call with these header fields belongs to, where the recording knows it.
    pub(super) fn known_cause(&self, request: &Request) -> Option<u32> {
        if self.causes.is_empty() {
            return None;
        }
        traces(&request.headers).iter().find_map(|trace| self.causes.get(trace).copied())
    }

    /// An ingress exchange of a cause.
    pub(super) fn ingress_of_cause(&self, cause: u32) -> Option<ExchangeId> {
        *self.cause_ids.get(cause as usize)?
    }

    /// The ingress exchange that caused a recorded call.
    pub(super) fn caused_by(&self, call: &RecordedCall) -> Option<ExchangeId> {
        call.caused_by.map(|number| self.ingress[number as usize].0)
    }

    /// The cause's index for these traces: a known one, else a new one; all of them lead to it from
    /// now on.
    fn cause_of(&mut self, traces: &[u64]) -> u32 {
        let cause =
            traces.iter().find_map(|trace| self.causes.get(trace).copied()).unwrap_or_else(|| {
                self.cause_ids.push(None);
                u32::try_from(self.cause_ids.len() - 1)
                    .expect("fewer causes than exchanges in memory")
            });
        for trace in traces {
            self.causes.entry(*trace).or_insert(cause);
        }
        cause
    }

    fn add(&mut self, mut call: RecordedCall) -> Result<(), BuildError> {
        let index = u32::try_from(self.calls.len()).expect("fewer calls than fit into memory");
        let body = self.asked(&call).map_err(|error| BuildError::Disk(Arc::new(error)))?;
        let taken = features::take(&call.subject(&body), &self.rules, call.scope);
        let conditional = taken.conditional().filter(|_| call.answers_a_condition());
        call.condition = taken.condition.filter(|_| conditional.is_some());
        let [exact, by_kind] = conditional.unwrap_or([taken.exact, taken.by_kind]);
        self.exact.entry(exact).or_default().push(index);
        let next = u32::try_from(self.groups.len()).expect("fewer groups than calls");
        call.group = *self.by_kind.entry(by_kind).or_insert(next);
        if call.group == next {
            self.groups.push(Vec::new());
        }
        self.groups[call.group as usize].push(index);
        if let Some(cause) = call.cause {
            self.of_cause.entry((call.group, cause)).or_default().push(index);
            self.near_cause.entry((call.scope, cause)).or_default().push(index);
        }
        if let Some(number) = call.caused_by {
            self.of_ingress.entry((call.group, number)).or_default().push(index);
            self.near_ingress.entry((call.scope, number)).or_default().push(index);
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
        Ok(())
    }

    /// The body of a recorded request, where it can be taken apart.
    pub(super) fn asked(&self, call: &RecordedCall) -> io::Result<Bytes> {
        match &call.asked {
            AskedBody::Whole(kept) => self.shelf.whole(kept),
            AskedBody::Hashed { .. } => Ok(Bytes::new()),
        }
    }

    /// Exactly equal requests whose answers differ in status or body.
    fn count_contradictions(&self) -> u64 {
        let answer = |&index: &u32| {
            let answer = self.calls[index as usize].answer.as_ref().ok()?;
            Some((answer.head.status, answer.digest))
        };
        let differ =
            |calls: &&Vec<u32>| calls.windows(2).any(|pair| answer(&pair[0]) != answer(&pair[1]));
        self.exact.values().filter(differ).count() as u64
    }
}

impl RecordedCall {
    /// Whether its answer says something of what the client has (RFC 9110 §13): it means nothing to
    /// one that asks without the same condition.
    fn answers_a_condition(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| matches!(answer.head.status, 304 | 412))
    }

    /// As it is taken apart; `body` is what [`CallRecording::asked`] gives.
    pub(super) fn subject<'a>(&'a self, body: &'a [u8]) -> Subject<'a> {
        let content = match self.asked {
            AskedBody::Whole(_) => Content::Whole(body),
            AskedBody::Hashed { length, sha256 } => Content::Hashed { length, sha256 },
        };
        Subject {
            route: &self.route,
            target: &self.request.target,
            headers: &self.request.headers,
            content,
        }
    }
}

/// The first of `hosts` where it is the last as well.
fn only<'h>(mut hosts: impl Iterator<Item = &'h str>) -> Option<&'h str> {
    let first = hosts.next()?;
    hosts.next().is_none().then_some(first)
}

pub(super) fn scope_of(host: &str, route: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    route.hash(&mut hasher);
    hasher.finish()
}

fn host_of(request: &Request, call: &Exchange) -> String {
    match target::host(request) {
        Some(host) if !host.is_empty() => {
            canonical_authority(&String::from_utf8_lossy(host)).into_owned()
        }
        _ => canonical_authority(&call.server.to_string()).into_owned(),
    }
}
