//! The recorded calls, indexed to be found by what they were: exactly, by kind, and by single
//! values; and what caused each.
//!
//! Exchanges are taken one by one: of what is no call only what may have caused one is kept, and
//! large bodies go to disk.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::cause::{self, CauseFinder, Ingress, traces};
use super::context::ContextNames;
use super::drawn::Drawn;
use super::features::{self, Content, FeatureLayouts, FeatureRules, PackedFeatures, Subject};
use super::head::{self, RecordedHead};
use super::naming::Names;
use super::pace;
use super::posts::Posts;
use super::reads;
use super::seen::SeenValues;
use super::selection::{EgressSelection, host_of};
use super::shelf::{Shelf, ShelfPiece, ShelvedBody};
use super::told::ToldNumbers;
use crate::exchange::{Completeness, Exchange, ExchangeId};
use crate::message::media::MediaType;
use crate::message::target::with_plain_path;
use crate::message::{Body, Framing, Headers, Request, Response};
use crate::replay::UnderWay;
use crate::route::{Routes, rpc};
use crate::time::Timestamp;

/// Why there is nothing to answer from.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// No exchange is an outgoing call.
    #[error("no outgoing call among {exchanges} exchanges{}", went_to(.servers))]
    NoCall {
        /// How many exchanges there were.
        exchanges: u64,
        /// Hosts and ports that they went to, the first few.
        servers: Vec<String>,
    },
    /// Large bodies cannot be put aside.
    #[error("large bodies cannot be kept in a temporary file")]
    Disk(#[source] Arc<io::Error>),
}

/// One recorded call. What it says is on the shelf: there may be millions of calls.
#[derive(Debug)]
pub(super) struct RecordedCall {
    pub(super) id: ExchangeId,
    pub(super) at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// Its host and route.
    pub(super) aim: u32,
    /// Calls that are equal by kind share it.
    pub(super) group: u32,
    /// Index of its cause, where it carries a trace.
    pub(super) cause: Option<u32>,
    /// Number of the ingress exchange that caused it.
    pub(super) caused_by: Option<u32>,
    /// Which layout its features have, and their values.
    features: (u32, ShelfPiece),
    /// Whether its answer holds only under the condition that it asked with.
    is_conditional: bool,
    /// Whether it only reads.
    pub(super) reads: bool,
    /// The request without its body.
    request: ShelfPiece,
    pub(super) asked: AskedBody,
    /// The recorded answer; else why it cannot be given.
    pub(super) answer: Result<RecordedAnswer, &'static str>,
}

/// A recorded request's body.
#[derive(Clone, Debug)]
pub(super) enum AskedBody {
    Whole(ShelvedBody),
    /// Too large to be taken apart.
    Hashed(Box<Hashed>),
}

/// A body that was too large.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    pub(super) length: u64,
    pub(super) sha256: [u8; 32],
}

/// A recorded answer.
#[derive(Debug)]
pub(super) struct RecordedAnswer {
    /// Without its body.
    head: ShelfPiece,
    pub(super) body: ShelvedBody,
    /// Tells answers with different bodies apart.
    digest: u64,
    pub(super) first_byte_ns: i64,
    pub(super) last_byte_ns: i64,
    /// Of a stream: where it stands when each part of the body came.
    pace: Option<u32>,
    status: u16,
    pub(super) framing: Framing,
}

impl RecordedAnswer {
    fn of(
        call: &mut Exchange,
        shelf: &mut Shelf,
        paces: &mut Vec<Box<[pace::PaceStep]>>,
    ) -> io::Result<Result<Self, &'static str>> {
        // Of a stream that its client left, what there was of it is given.
        let is_left = || {
            let head = call.response.as_ref().map(|answer| &answer.message.headers);
            let kind = head.and_then(|headers| headers.get("content-type")).unwrap_or_default();
            call.is_begun() && MediaType::new(kind).is_events()
        };
        let is_known = call.completeness == Completeness::Complete
            || call.completeness == Completeness::ResponseDamaged && is_left();
        let Some(response) = call.response.take().filter(|_| is_known) else {
            return Ok(Err("the recording does not hold the whole answer of this call"));
        };
        let head = response.message;
        if head.body.is_cut() {
            return Ok(Err("the recorded answer was too large to be kept whole"));
        }
        if head.status < 200 || head.status > 999 {
            return Ok(Err("the recorded answer switched protocols and cannot be given again"));
        }
        let body = &head.body.bytes;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let first = response.first_byte_ns.unwrap_or(0).max(0);
        let last = response.last_byte_ns.unwrap_or(first).max(first);
        let steps = pace::of_stream(&head, body, first, last);
        let pace = (!steps.is_empty()).then(|| {
            paces.push(steps);
            number(paces.len() - 1)
        });
        let mut packed = Vec::with_capacity(head.headers.weight());
        head::pack([&head.reason, b""], &head.headers, &head.trailers, &mut packed);
        Ok(Ok(Self {
            head: shelf.put_shared(&packed),
            body: shelf.keep(body)?,
            digest: hasher.finish(),
            first_byte_ns: first,
            last_byte_ns: last,
            pace,
            status: head.status,
            framing: head.framing,
        }))
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// What tells it from other answers: its status, and its body.
    pub(super) const fn says(&self) -> (u16, u64) {
        (self.status, self.digest)
    }
}

/// A number of something that is in memory.
fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than fit into memory")
}

/// The calls of one host and route.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) host: Arc<str>,
    pub(super) route: Arc<str>,
    pub(super) calls: Vec<u32>,
    /// Whether some of them were not made, answer and all, while v1 served the exchange that caused
    /// them: v1 may make them later, and others then.
    pub(super) is_apart: bool,
    /// By value: the calls that have it, in order.
    pub(super) postings: Posts,
}

/// All recorded calls with their indexes. Calls are numbered in the order of their times.
#[derive(Debug)]
pub struct CallRecording {
    pub(super) calls: Vec<RecordedCall>,
    pub(super) shelf: Shelf,
    pub(super) routes: Routes,
    pub(super) rules: FeatureRules,
    pub(super) drawn: Drawn,
    pub(super) told: ToldNumbers,
    /// By the hash of host and route.
    pub(super) contexts: FxHashMap<u64, ContextNames>,
    paces: Vec<Box<[pace::PaceStep]>>,
    layouts: FeatureLayouts,
    /// Of calls whose answer holds under a condition: which.
    conditions: FxHashMap<u32, u64>,
    pub(super) exact: Posts,
    /// The same of those that say the same in their header fields and cookies.
    pub(super) exact_in_context: Posts,
    pub(super) by_kind: FxHashMap<u64, u32>,
    /// By group: its calls.
    groups: Posts,
    group_count: u32,
    /// By group: whether its calls say different things, and v1 was given the same for all.
    pub(super) alike: Vec<bool>,
    /// Calls of one group and cause.
    of_cause: Posts,
    /// Calls of one aim and cause.
    near_cause: Posts,
    /// Calls of one group and ingress exchange.
    of_ingress: Posts,
    /// Calls of one aim and ingress exchange.
    near_ingress: Posts,
    pub(super) aims: Vec<Aim>,
    /// By the hash of host and route.
    scopes: FxHashMap<u64, u32>,
    /// By trace: the cause's index.
    causes: FxHashMap<u64, u32>,
    /// By cause: the first ingress exchange that carries it.
    cause_ids: Vec<Option<ExchangeId>>,
    causes_by_id: FxHashMap<ExchangeId, u32>,
    /// The other way round: the numbers of [`Self::ingress`].
    ingress_numbers: FxHashMap<ExchangeId, u32>,
    /// By number: the ingress exchanges that caused calls, with the names in them.
    pub(super) ingress: Vec<(ExchangeId, Box<[u64]>)>,
    /// When the recording begins.
    pub(super) since: Timestamp,
    /// Hosts with the paths and methods that they were called with.
    called: FxHashSet<u64>,
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
pub(super) struct Raw {
    pub(super) id: ExchangeId,
    pub(super) at: Timestamp,
    pub(super) client: IpAddr,
    server: IpAddr,
    pub(super) host: Arc<str>,
    pub(super) request: ShelfPiece,
    /// What it names where its path does not say it, and whether it only reads.
    pub(super) operation: Option<String>,
    pub(super) reads: bool,
    /// Hashes of the values that name something, where that may be needed to find its cause.
    pub(super) names: Box<[u64]>,
    pub(super) asked: AskedBody,
    pub(super) answer: Result<RecordedAnswer, &'static str>,
}

/// Who was asked, in words.
fn went_to(servers: &[String]) -> String {
    match servers {
        [] => String::new(),
        _ => format!(", which went to {}", servers.join(", ")),
    }
}

/// Takes exchanges one by one, until they can be made a recording.
pub struct CallGatherer {
    selection: EgressSelection,
    shelf: Shelf,
    paces: Vec<Box<[pace::PaceStep]>>,
    hosts: FxHashSet<Arc<str>>,
    calls: Vec<Raw>,
    ingress: Vec<Ingress>,
    /// Addresses that served, where the selection says nothing.
    servers: BTreeSet<IpAddr>,
    /// An exchange whose ends have one address.
    one_address: bool,
    total: u64,
    /// Hosts and ports of the first few servers, for who asks for others.
    met: Vec<(String, u16)>,
}

/// Servers that are named where none is a provider.
const MOST_MET: usize = 8;

impl CallGatherer {
    /// Takes those that `selection` takes; where it says nothing, what v1's address called is known
    /// at the end.
    pub fn new(selection: EgressSelection) -> Self {
        Self {
            selection,
            shelf: Shelf::default(),
            paces: Vec::new(),
            hosts: FxHashSet::default(),
            calls: Vec::new(),
            ingress: Vec::new(),
            servers: BTreeSet::new(),
            one_address: false,
            total: 0,
            met: Vec::new(),
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
        let port = exchange.server.port;
        if self.met.len() < MOST_MET && !self.met.iter().any(|(h, p)| *h == host && *p == port) {
            self.met.push((host.clone(), port));
        }
        let takes = !undecided && self.selection.takes(port, &host);
        if !takes {
            self.ingress.extend(Ingress::of(&exchange));
        }
        if !(takes || undecided) || !exchange.completeness.request_is_whole() {
            return Ok(());
        }
        let Some(request) = exchange.request.take() else { return Ok(()) };
        let answer = RecordedAnswer::of(&mut exchange, &mut self.shelf, &mut self.paces)?;
        let message = request.message;
        let names = cause::names(&message);
        let operation = rpc::operation(&message);
        let reads = reads::reads(&message, operation.as_deref());
        let asked = match Content::of(&message.body) {
            Content::Whole(bytes) => AskedBody::Whole(self.shelf.keep(bytes)?),
            Content::Hashed { length, sha256 } => {
                AskedBody::Hashed(Box::new(Hashed { length, sha256 }))
            }
        };
        let mut packed = Vec::with_capacity(message.headers.weight());
        let target = with_plain_path(&message.target);
        let start = [&message.method[..], &target];
        head::pack(start, &message.headers, &Headers::new(), &mut packed);
        let host = match self.hosts.get(host.as_str()) {
            Some(known) => Arc::clone(known),
            None => {
                let host = Arc::<str>::from(host);
                self.hosts.insert(Arc::clone(&host));
                host
            }
        };
        let (client, server) = (exchange.client.address, exchange.server.address);
        self.calls.push(Raw {
            id: exchange.id,
            at: request.at,
            client,
            server,
            host,
            request: self.shelf.put_shared(&packed),
            operation,
            reads,
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
        recording.paces = self.paces;
        let firsts = self.ingress.first().map(|one| one.at).into_iter();
        let firsts = firsts.chain(self.calls.first().map(|call| call.at));
        recording.since = firsts.min().unwrap_or_default();
        recording.calls.reserve_exact(self.calls.len());
        for one in &self.ingress {
            if !one.traces.is_empty() {
                let cause = recording.cause_of(&one.traces);
                recording.cause_ids[cause as usize].get_or_insert(one.id);
                recording.causes_by_id.insert(one.id, cause);
            }
        }
        for call in &self.calls {
            let [method, target] = RecordedHead::of(recording.shelf.bytes(call.request)).start;
            recording.routes.learn(method, target);
        }
        recording.routes.settle();
        recording
            .learn(&self.calls, &self.ingress)
            .map_err(|error| BuildError::Disk(Arc::new(error)))?;
        let seen = recording.seen(&self.ingress, &self.calls);
        let seen = seen.map_err(|error| BuildError::Disk(Arc::new(error)))?;
        let mut numbers = FxHashMap::default();
        let mut finder = CauseFinder::new(&self.ingress);
        for call in self.calls {
            let head = RecordedHead::of(recording.shelf.bytes(call.request));
            let headers = head.fields.to_headers();
            let (path, route) = recording.route_of(&call);
            let traces = traces(&headers);
            let cause = traces.first().map(|_| recording.cause_of(&traces));
            let found = finder.find(call.at, call.client, &traces, &call.names);
            let caused_by = found.map(|index| {
                *numbers.entry(index).or_insert_with(|| {
                    recording
                        .ingress
                        .push((self.ingress[index].id, self.ingress[index].names.clone()));
                    number(recording.ingress.len() - 1)
                })
            });
            let lasted = call.answer.as_ref().map_or(0, |answer| answer.last_byte_ns);
            let recorded = RecordedCall {
                id: call.id,
                at: call.at,
                ends_at: call.at.plus(lasted),
                aim: recording.aim_at(&call.host, &route),
                group: 0,
                cause,
                caused_by,
                features: Default::default(),
                reads: call.reads,
                is_conditional: false,
                request: call.request,
                asked: call.asked,
                answer: call.answer,
            };
            recording.called.insert(scope_of(&call.host, &path));
            let causes = finder.may_have_caused(found, call.client);
            let ends_at = found.map(|index| self.ingress[index].ends_at);
            recording.add(recorded, &headers, &seen, (&causes, ends_at))?;
        }
        recording.not_used = self.total - recording.calls.len() as u64;
        if recording.calls.is_empty() {
            let servers = self.met.iter().map(|(host, port)| format!("{host} (port {port})"));
            let servers = servers.collect();
            return Err(BuildError::NoCall { exchanges: self.total, servers });
        }
        let numbers = recording.ingress.iter().zip(0..).map(|((id, _), number)| (*id, number));
        recording.ingress_numbers = numbers.collect();
        recording.settle();
        recording.contradictions = recording.count_contradictions();
        recording.alike =
            (0..recording.group_count).map(|group| recording.is_given_alike(group)).collect();
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
            drawn: Drawn::default(),
            told: ToldNumbers::default(),
            contexts: FxHashMap::default(),
            paces: Vec::new(),
            layouts: FeatureLayouts::default(),
            conditions: FxHashMap::default(),
            exact: Posts::default(),
            exact_in_context: Posts::default(),
            by_kind: FxHashMap::default(),
            groups: Posts::default(),
            group_count: 0,
            alike: Vec::new(),
            of_cause: Posts::default(),
            near_cause: Posts::default(),
            of_ingress: Posts::default(),
            near_ingress: Posts::default(),
            aims: Vec::new(),
            scopes: FxHashMap::default(),
            causes: FxHashMap::default(),
            cause_ids: Vec::new(),
            causes_by_id: FxHashMap::default(),
            ingress_numbers: FxHashMap::default(),
            ingress: Vec::new(),
            since: Timestamp::default(),
            called: FxHashSet::default(),
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
        let called = |host: &&str| self.called.contains(&scope_of(host, &route));
        only(hosts()).or_else(|| only(hosts().filter(called)))
    }

    /// The cause that a call with these header fields belongs to, where the recording knows it.
    pub(super) fn known_cause(&self, request: &Request) -> Option<u32> {
        if self.causes.is_empty() {
            return None;
        }
        traces(&request.headers).iter().find_map(|trace| self.causes.get(trace).copied())
    }

    /// The cause that an ingress exchange is of by its traces, and its number where it caused
    /// calls.
    pub(super) fn known_as(&self, exchange: ExchangeId) -> (Option<u32>, Option<u32>) {
        let number = self.ingress_numbers.get(&exchange);
        (self.causes_by_id.get(&exchange).copied(), number.copied())
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

    /// The aim of this host and route.
    fn aim_at(&mut self, host: &Arc<str>, route: &Arc<str>) -> u32 {
        let Self { aims, scopes, .. } = self;
        *scopes.entry(scope_of(host, route)).or_insert_with(|| {
            aims.push(Aim {
                host: Arc::clone(host),
                route: Arc::clone(route),
                calls: Vec::new(),
                is_apart: false,
                postings: Posts::default(),
            });
            number(aims.len() - 1)
        })
    }

    fn add(
        &mut self,
        mut call: RecordedCall,
        headers: &Headers,
        seen: &SeenValues,
        (causes, ends_at): (&[&Ingress], Option<Timestamp>),
    ) -> Result<(), BuildError> {
        let index = number(self.calls.len());
        let (host, route) = self.aim_of(&call);
        let scope = scope_of(host, route);
        let mut taken = {
            let body = self.asked(&call).map_err(|error| BuildError::Disk(Arc::new(error)))?;
            features::take(&self.subject(&call, headers, &body), self.known(scope))
        };
        let may_have_made = |text| causes.iter().any(|cause| cause.may_have_made(text));
        let is_made = call.answer.as_ref().is_ok_and(|answer| answer.status == CREATED);
        for feature in &mut taken.features {
            feature.known = match feature.time {
                Some(time) => seen.time_before(time, call.at),
                None => {
                    // What is put may be new; what is changed or taken away is there.
                    let is_put = feature.names == Names::Path && route.starts_with("PUT ");
                    let may_be_new = feature.names == Names::Value
                        || !route.starts_with("DELETE ") && !route.starts_with("PATCH ");
                    let is_new = may_be_new && (is_put && is_made || may_have_made(feature.text));
                    feature.known && !is_new
                        || feature.names != Names::No && seen.before(feature.text, call.at)
                }
            };
        }
        let conditional = taken.conditional().filter(|_| call.answers_a_condition());
        if let Some(condition) = taken.condition.filter(|_| conditional.is_some()) {
            call.is_conditional = true;
            self.conditions.insert(index, condition);
        }
        let [exact, by_kind] = conditional.unwrap_or([taken.exact, taken.by_kind]);
        self.exact.add(exact, index);
        let next = self.group_count;
        call.group = match (taken.in_context(exact), taken.in_context(by_kind)) {
            (Some(exact), Some(in_context)) => {
                self.exact_in_context.add(exact, index);
                let group = *self.by_kind.entry(in_context).or_insert(next);
                // For calls that lack some of it.
                self.by_kind.entry(by_kind).or_insert(group);
                group
            }
            _ => *self.by_kind.entry(by_kind).or_insert(next),
        };
        if call.group == next {
            self.group_count += 1;
        }
        self.groups.add(u64::from(call.group), index);
        if let Some(cause) = call.cause {
            self.of_cause.add(pair(call.group, cause), index);
            self.near_cause.add(pair(call.aim, cause), index);
        }
        if let Some(number) = call.caused_by {
            self.of_ingress.add(pair(call.group, number), index);
            self.near_ingress.add(pair(call.aim, number), index);
        }
        let aim = &mut self.aims[call.aim as usize];
        aim.is_apart |= ends_at.is_none_or(|ends_at| ends_at < call.ends_at);
        aim.calls.push(index);
        for feature in &taken.features {
            aim.postings.add(feature.value, index);
        }
        match self.hosts.get_mut(&*aim.host) {
            Some(calls) => *calls += 1,
            None => drop(self.hosts.insert(aim.host.to_string(), 1)),
        }
        call.features = self.layouts.pack(&taken.features, &mut self.shelf);
        self.calls.push(call);
        Ok(())
    }

    /// Nothing more is added: gives back memory that was kept for more.
    fn settle(&mut self) {
        self.shelf.settle();
        self.layouts.settle();
        let Self {
            exact,
            exact_in_context,
            groups,
            of_cause,
            near_cause,
            of_ingress,
            near_ingress,
            ..
        } = self;
        for posts in
            [exact, exact_in_context, groups, of_cause, near_cause, of_ingress, near_ingress]
        {
            posts.settle();
        }
        self.by_kind.shrink_to_fit();
        for aim in &mut self.aims {
            aim.calls.shrink_to_fit();
            aim.postings.settle();
        }
    }

    /// Whether a call to this host and route was recorded.
    pub(super) fn knows(&self, scope: u64) -> bool {
        self.scopes.contains_key(&scope)
    }

    /// The calls of a host and route.
    pub(super) fn aim(&self, scope: u64) -> Option<&Aim> {
        self.scopes.get(&scope).map(|&aim| &self.aims[aim as usize])
    }

    /// The host and the route of a call.
    pub(super) fn aim_of(&self, call: &RecordedCall) -> (&Arc<str>, &Arc<str>) {
        let aim = &self.aims[call.aim as usize];
        (&aim.host, &aim.route)
    }

    /// How many groups of calls there are that are equal by kind.
    pub(super) const fn group_count(&self) -> u32 {
        self.group_count
    }

    /// The calls of a group.
    pub(super) fn group(&self, group: u32) -> &[u32] {
        self.groups.get(u64::from(group))
    }

    /// Those of a group that a cause made.
    pub(super) fn of_cause(&self, group: u32, cause: u32) -> &[u32] {
        self.of_cause.get(pair(group, cause))
    }

    /// Those of a group that an ingress exchange made.
    pub(super) fn of_ingress(&self, group: u32, number: u32) -> &[u32] {
        self.of_ingress.get(pair(group, number))
    }

    /// The calls of a host and route that a cause made.
    pub(super) fn near_cause(&self, scope: u64, cause: u32) -> &[u32] {
        let aim = self.scopes.get(&scope);
        aim.map_or(&[], |&aim| self.near_cause.get(pair(aim, cause)))
    }

    /// The calls of a host and route that an ingress exchange made.
    pub(super) fn near_ingress(&self, scope: u64, number: u32) -> &[u32] {
        let aim = self.scopes.get(&scope);
        aim.map_or(&[], |&aim| self.near_ingress.get(pair(aim, number)))
    }

    /// What a call is compared by.
    pub(super) fn features(&self, call: &RecordedCall) -> PackedFeatures<'_> {
        let (layout, values) = call.features;
        self.layouts.unpack(layout, self.shelf.bytes(values))
    }

    /// The condition under which a call asked, where its answer holds under that only (304, 412).
    pub(super) fn condition(&self, index: u32) -> Option<u64> {
        if !self.calls[index as usize].is_conditional {
            return None;
        }
        self.conditions.get(&index).copied()
    }

    /// The request-target of a call.
    pub(super) fn target(&self, call: &RecordedCall) -> &[u8] {
        RecordedHead::of(self.shelf.bytes(call.request)).start[1]
    }

    /// A recorded request without its body.
    pub(super) fn request(&self, call: &RecordedCall) -> Request {
        let head = RecordedHead::of(self.shelf.bytes(call.request));
        let [method, target] = head.start.map(|part| part.to_vec().into());
        Request { method, target, headers: head.fields.to_headers(), ..Request::default() }
    }

    /// The head of a recorded answer.
    pub(super) fn head(&self, answer: &RecordedAnswer) -> RecordedHead<'_> {
        RecordedHead::of(self.shelf.bytes(answer.head))
    }

    /// A whole recorded answer.
    pub(super) fn response(&self, answer: &RecordedAnswer) -> io::Result<Response> {
        let head = self.head(answer);
        Ok(Response {
            status: answer.status,
            reason: head.start[0].to_vec().into(),
            headers: head.fields.to_headers(),
            trailers: head.trailers.to_headers(),
            framing: answer.framing,
            body: Body::whole(self.shelf.whole(&answer.body)?.into_owned()),
            ..Response::default()
        })
    }

    /// Of a stream: when each part of the body came.
    pub(super) fn pace(&self, answer: &RecordedAnswer) -> &[pace::PaceStep] {
        answer.pace.map_or(&[], |pace| &self.paces[pace as usize])
    }

    /// The body of a recorded request, where it can be taken apart.
    pub(super) fn asked(&self, call: &RecordedCall) -> io::Result<Cow<'_, [u8]>> {
        match &call.asked {
            AskedBody::Whole(kept) => self.shelf.whole(kept),
            AskedBody::Hashed { .. } => Ok(Cow::Borrowed(&[])),
        }
    }

    /// A call as it is taken apart; `headers` are its own, and `body` is what
    /// [`CallRecording::asked`] gives.
    pub(super) fn subject<'a>(
        &'a self,
        call: &'a RecordedCall,
        headers: &'a Headers,
        body: &'a [u8],
    ) -> Subject<'a> {
        let content = match &call.asked {
            AskedBody::Whole(_) => Content::Whole(body),
            AskedBody::Hashed(hashed) => {
                Content::Hashed { length: hashed.length, sha256: hashed.sha256 }
            }
        };
        Subject {
            route: self.aim_of(call).1,
            target: self.target(call),
            headers,
            content,
            reads: call.reads,
            at: call.at,
        }
    }
}

impl RecordedCall {
    /// Whether its answer says something of what the client has (RFC 9110 §13): it means nothing to
    /// one that asks without the same condition.
    fn answers_a_condition(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| matches!(answer.status, 304 | 412))
    }
}

/// The status that says that a thing was made by the call.
const CREATED: u16 = 201;

/// Two numbers as one key.
const fn pair(first: u32, second: u32) -> u64 {
    (first as u64) << 32 | second as u64
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
