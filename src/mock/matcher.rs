//! Which recorded call answers a call of v2: an exactly equal one, else one that is equal by kind,
//! else the nearest one if it is near enough and no other is as near; of equal ones the next in
//! order, of the same cause where that is known: by trace headers, or since a replay in this
//! process tells which exchanges are at v2.
//!
//! The choice changes only what has been given, so that the same calls in the same order are
//! answered the same in every run.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::bound::BoundValues;
use super::cause::{self, in_common};
use super::features::{self, Content, Described, Feature, PackedFeatures, Subject, Weight};
use super::hashing::{hash_of, text_hash};
use super::ledger::CallPlace;
use super::namespace::TurnedPairs;
use super::naming::{key_of, key_place};
use super::reads;
use super::recording::{CallRecording, scope_of};
use crate::exchange::ExchangeId;
use crate::message::Request;
use crate::message::target::with_plain_path;
use crate::replay::UnderWay;
use crate::route::rpc;
use crate::time::Timestamp;

/// What happens when v2 makes a call more often than v1 did.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Exhausted {
    /// The last recorded answer again.
    #[default]
    Repeat,
    /// A miss.
    Miss,
}

/// How near a recorded call must be.
#[derive(Clone, Copy, Debug)]
pub struct MatchPolicy {
    /// What happens to surplus calls.
    pub exhausted: Exhausted,
    /// Least score of the nearest call, from 0 to 1; 1 answers only equal calls.
    pub threshold: f64,
    /// How much better than the next best it must be.
    pub margin: f64,
}

impl Default for MatchPolicy {
    fn default() -> Self {
        Self { exhausted: Exhausted::Repeat, threshold: 0.6, margin: 0.1 }
    }
}

/// Most calls that are looked at one by one to find the nearest.
pub(super) const CANDIDATES: usize = 400;
/// Most calls of one value by which equal ones are told apart.
const POSTING_TELLING: usize = 256;
/// How a recorded call was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Exact,
    ByKind,
    Nearest,
}

/// A call of v2 as the matcher sees it.
pub(super) struct CallQuery<'a> {
    pub(super) host: &'a str,
    pub(super) request: &'a Request,
    /// The target as it is compared.
    target: Cow<'a, [u8]>,
}

impl<'a> CallQuery<'a> {
    pub(super) fn new(host: &'a str, request: &'a Request) -> Self {
        Self { host, request, target: with_plain_path(&request.target) }
    }

    pub(super) fn content(&self) -> Content<'a> {
        Content::of(&self.request.body)
    }

    fn subject<'s>(&'s self, route: &'s str, reads: bool) -> Subject<'s> {
        Subject {
            route,
            target: &self.target,
            headers: &self.request.headers,
            content: self.content(),
            reads,
            at: Timestamp::now(),
        }
    }
}

/// A call of v2, taken apart.
pub(super) struct Prepared {
    pub(super) route: Arc<str>,
    /// Whose call it may be.
    pub(super) causes: Causes,
    /// Whether it only reads.
    pub(super) reads: bool,
    pub(super) scope: u64,
    pub(super) taken: features::TakenFeatures,
    /// When it was made.
    pub(super) at: Timestamp,
    /// Hashes of v1's values in it that v2 knows by other names.
    pub(super) turned: Vec<u64>,
    /// Of a write: the hash of the field by which it is done once.
    pub(super) key: Option<u64>,
}

/// Whose call of v2 it may be.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// The cause that the call's own header fields name.
    pub(super) traced: Option<u32>,
    /// Numbers of the ingress exchanges that are at v2 now, where a replay in this process tells, or
    /// of the one that the call names; sorted.
    pub(super) open: Vec<u32>,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum FoundCall {
    /// This call answers.
    Answer {
        index: u32,
        tier: Tier,
        score: f64,
        /// Whether it answered before: v2 makes the call more often than v1 did.
        again: bool,
        /// Whether it is taken from the recording's stock.
        takes: bool,
    },
    /// None does.
    Miss { nearest: Option<(u32, f64)>, reason: MissReason },
}

/// Why no recorded call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissReason {
    /// No call to this host was recorded.
    Host,
    /// None with this method and route.
    Route,
    /// The nearest one is too far.
    Far,
    /// The nearest one is about another thing.
    Other,
    /// The nearest one was answered by a condition that this call does not make.
    NotModified,
    /// Two different ones are as near.
    Ambiguous,
    /// All that are equal were given, and surplus calls are misses.
    Exhausted,
}

impl MissReason {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Host => {
                "no call to this host was recorded; if it is another name of a recorded provider, \
                 start the mock with --provider-alias NAME=PROVIDER"
            }
            Self::Route => "no call with this method and route was recorded",
            Self::Far => "the nearest recorded call has too little in common",
            Self::Other => {
                "the nearest recorded call is about another thing (--volatile names a place that \
                 may differ)"
            }
            Self::NotModified => {
                "v1 was answered by the condition under which it asked (If-None-Match and its \
                 like), and this call does not ask so"
            }
            Self::Ambiguous => "two different recorded calls are as near",
            Self::Exhausted => "v1 made this call less often",
        }
    }
}

/// What has been given so far.
#[derive(Debug)]
pub(super) struct Stock {
    /// By call: how often it has answered.
    pub(super) given: Vec<u32>,
    /// By call: whether v2 made it, though a fault kept the answer from it.
    pub(super) tried: Vec<bool>,
    /// By exact key: the first place in its list that may not have been given.
    next_exact: FxHashMap<u64, u32>,
    /// The same by group.
    next_group: Vec<u32>,
    /// How often each exchange is replayed.
    copies: u32,
    pub(super) under_way: Option<Arc<UnderWay>>,
    /// Values that v2 made up, with those that v1 did in their place.
    pub(super) bound: BoundValues,
    /// Since when v2 makes calls.
    pub(super) since: Timestamp,
}

impl Prepared {
    /// Keeps which values of a call were turned back to v1's.
    pub(super) fn turned(mut self, pairs: &TurnedPairs) -> Self {
        self.turned = pairs.iter().map(|(v1, _)| text_hash(v1)).collect();
        self
    }
}

impl Stock {
    pub(super) fn new(
        recording: &CallRecording,
        copies: u32,
        under_way: Option<Arc<UnderWay>>,
    ) -> Self {
        Self {
            given: vec![0; recording.calls.len()],
            tried: vec![false; recording.calls.len()],
            next_exact: FxHashMap::default(),
            next_group: vec![0; recording.group_count() as usize],
            copies: copies.max(1),
            under_way,
            bound: BoundValues::default(),
            since: Timestamp::now(),
        }
    }

    /// How often v2 is to make a call of this cause: as often as its exchange was sent, where that
    /// is known.
    pub(super) fn due(&self, caused_by: Option<u32>) -> u32 {
        match (&self.under_way, caused_by) {
            (Some(watch), Some(number)) => watch.times_sent(number).max(1),
            _ => self.copies,
        }
    }

    pub(super) fn is_free(&self, recording: &CallRecording, index: u32) -> bool {
        self.given[index as usize] < self.due(recording.calls[index as usize].caused_by)
    }

    /// Whether the exchange that caused it was sent, and so may have made it late.
    fn is_of_the_past(&self, recording: &CallRecording, index: u32) -> bool {
        match (&self.under_way, recording.calls[index as usize].caused_by) {
            (Some(watch), Some(number)) => watch.times_sent(number) > 0,
            _ => false,
        }
    }
}

/// A call from a list of equal ones: the next, or the last one again.
#[derive(Clone, Copy)]
pub(super) struct Pick {
    pub(super) index: u32,
    pub(super) again: bool,
    /// Whether it is taken from the recording's stock.
    takes: bool,
}

impl CallRecording {
    /// Takes a call apart; needs no lock.
    pub(super) fn prepare(&self, query: &CallQuery<'_>, under_way: Option<&UnderWay>) -> Prepared {
        let operation = rpc::operation(query.request);
        let method = &query.request.method;
        let route = self.routes.route_of(method, &query.target, operation.as_deref());
        let reads = reads::reads(query.request, operation.as_deref());
        let named = cause::named(&query.request.headers);
        let mut causes = match named {
            Some(exchange) => {
                let (traced, number) = self.known_as(exchange);
                Causes { traced, open: number.into_iter().collect() }
            }
            None => Causes { traced: self.known_cause(query.request), open: Vec::new() },
        };
        if let Some(watch) = under_way.filter(|_| named.is_none()) {
            watch.read(&mut causes.open);
            self.narrow(&mut causes.open, query);
        }
        let scope = scope_of(query.host, &route);
        let subject = query.subject(&route, reads);
        let taken = features::take(&subject, self.known(scope));
        let at = subject.at;
        let key = if reads { None } else { key_of(&query.request.headers).map(hash_of) };
        Prepared { route, causes, reads, scope, taken, at, turned: Vec::new(), key }
    }

    /// Of several exchanges that may have made a call, those that most of the names in it are of.
    fn narrow(&self, open: &mut Vec<u32>, query: &CallQuery<'_>) {
        if open.len() < 2 {
            return;
        }
        let names = cause::names(query.request);
        let common = |number: &u32| in_common(&names, &self.ingress[*number as usize].1);
        let most = open.iter().map(common).max().unwrap_or(0);
        if most > 0 {
            open.retain(|number| common(number) == most);
        }
    }

    /// The ingress exchange that made a call of v2, where only one can have.
    pub(super) fn ingress_of(&self, causes: &Causes) -> Option<ExchangeId> {
        match (causes.open.as_slice(), causes.traced) {
            ([only], _) => Some(self.ingress[*only as usize].0),
            (_, traced) => self.ingress_of_cause(traced?),
        }
    }

    /// Chooses, and takes what it chose from `stock` unless `peek`.
    pub(super) fn choose(
        &self,
        query: &CallQuery<'_>,
        prepared: &Prepared,
        policy: &MatchPolicy,
        stock: &mut Stock,
        peek: bool,
    ) -> FoundCall {
        let mut found = self.find(query, prepared, policy, stock);
        if let FoundCall::Answer { index, takes, ref mut tier, again, .. } = found {
            let call = &self.calls[index as usize];
            if !again && self.is_key_of_another(prepared, call, stock) {
                *tier = Tier::Nearest;
            } else if *tier != Tier::Exact || !prepared.reads {
                self.bind(prepared, index, stock);
            }
            if peek {
                stock.tried[index as usize] = true;
            } else if takes {
                stock.given[index as usize] = stock.given[index as usize].saturating_add(1);
            }
        }
        found
    }

    fn find(
        &self,
        query: &CallQuery<'_>,
        prepared: &Prepared,
        policy: &MatchPolicy,
        stock: &mut Stock,
    ) -> FoundCall {
        let changes = !prepared.reads;
        let equal = self.pick_equal(prepared, changes, stock);
        if let Some((pick, tier)) = equal {
            if pick.again && policy.exhausted == Exhausted::Miss {
                return FoundCall::Miss {
                    nearest: Some((pick.index, 1.0)),
                    reason: MissReason::Exhausted,
                };
            }
            return FoundCall::Answer {
                index: pick.index,
                tier,
                score: 1.0,
                again: pick.again,
                takes: pick.takes,
            };
        }
        if !self.knows(prepared.scope) {
            let reason =
                if self.knows_host(query.host) { MissReason::Route } else { MissReason::Host };
            return FoundCall::Miss { nearest: None, reason };
        }
        self.find_nearest(prepared, changes, policy, stock)
    }

    /// Of calls that are equal, exactly or by kind: those that were answered by the same condition
    /// first, then those whose answer holds for anybody.
    fn pick_equal(
        &self,
        prepared: &Prepared,
        changes: bool,
        stock: &mut Stock,
    ) -> Option<(Pick, Tier)> {
        let taken = &prepared.taken;
        let keys = [taken.conditional(), Some([taken.exact, taken.by_kind])];
        let keys = || keys.iter().flatten().flat_map(|keys| self.in_context(taken, *keys));
        let group = |key: u64| self.by_kind.get(&key).copied();
        for (list, exact, by_kind) in keys() {
            if let Some(group) = group(by_kind).filter(|_| !list.is_empty()) {
                let pick = self.pick_exact(list, exact, group, &prepared.causes, changes, stock);
                // What v1 says of another cause's thing is said too early: this one's is not made.
                let own = || self.own_calls(group, &prepared.causes);
                let is_early = changes
                    && self.is_to_come(&prepared.causes, pick.index, stock)
                    && own().iter().any(|index| stock.is_free(self, *index));
                return (!is_early).then_some((pick, Tier::Exact));
            }
        }
        let group = keys().find_map(|(.., by_kind)| group(by_kind))?;
        let pick = self.pick_by_kind(group, prepared, changes, stock);
        // What is about another thing is none of these: the nearest one says what it lacks.
        let is_same =
            |index: u32| self.is_about_the_same(prepared, &self.calls[index as usize], stock);
        if is_same(pick.index) {
            return Some((pick, Tier::ByKind));
        }
        let own = self.own_calls(group, &prepared.causes);
        let others = if own.is_empty() { self.group(group) } else { &own };
        let mut free = others.iter().filter(|index| stock.is_free(self, **index)).take(CANDIDATES);
        let index = *free.find(|index| is_same(**index))?;
        Some((Pick { index, again: false, takes: true }, Tier::ByKind))
    }

    /// The exactly equal calls for keys, and the keys: first as they are in the call's context,
    /// then without where it lacks some of that.
    fn in_context(
        &self,
        taken: &features::TakenFeatures,
        [exact, by_kind]: [u64; 2],
    ) -> impl Iterator<Item = (&[u32], u64, u64)> {
        let within = taken.in_context(exact).zip(taken.in_context(by_kind));
        let plain = taken.context.is_none_or(|context| !context.is_whole);
        let within = within.map(|(exact, kind)| (self.exact_in_context.get(exact), exact, kind));
        let plain = plain.then(|| (self.exact.get(exact), exact, by_kind));
        within.into_iter().chain(plain)
    }

    /// Of exactly equal calls.
    fn pick_exact(
        &self,
        list: &[u32],
        key: u64,
        group: u32,
        causes: &Causes,
        changes: bool,
        stock: &mut Stock,
    ) -> Pick {
        let mut own = self.own_calls(group, causes);
        own.retain(|index| list.binary_search(index).is_ok());
        let mut from = stock.next_exact.get(&key).copied().unwrap_or(0);
        let pick = self.pick(own, list, &mut from, causes, changes, stock);
        if from > 0 {
            stock.next_exact.insert(key, from);
        }
        pick
    }

    /// Of calls that are equal by kind: those of the same cause, then those that share most of the
    /// values that vary.
    fn pick_by_kind(
        &self,
        group: u32,
        prepared: &Prepared,
        changes: bool,
        stock: &mut Stock,
    ) -> Pick {
        let (list, features, causes) =
            (self.group(group), &prepared.taken.features, &prepared.causes);
        let mut own = self.own_calls(group, causes);
        if own.is_empty() || causes.traced.is_none() {
            let mut sharing = self.sharing(group, &prepared.taken, prepared.scope);
            if changes && !own.is_empty() {
                sharing.retain(|index| !self.is_to_come(causes, *index, stock));
            }
            let both: Vec<u32> =
                sharing.iter().copied().filter(|index| own.contains(index)).collect();
            match (sharing.is_empty(), both.is_empty()) {
                (true, _) => {}
                (false, true) => return self.next_of(&sharing, &mut 0, stock),
                (false, false) => own = both,
            }
        }
        let own = if own.len() > 1 { self.most_telling(own.into_iter(), features) } else { own };
        let mut from = stock.next_group[group as usize];
        let pick = self.pick(own, list, &mut from, causes, changes, stock);
        stock.next_group[group as usize] = from;
        pick
    }

    /// Of a list of equal calls: one of its `own` cause first; `from` is the first place that may
    /// be free.
    fn pick(
        &self,
        own: Vec<u32>,
        list: &[u32],
        from: &mut u32,
        causes: &Causes,
        changes: bool,
        stock: &Stock,
    ) -> Pick {
        if !own.is_empty() {
            let pick = self.next_of(&own, &mut 0, stock);
            if !pick.again || causes.traced.is_some() {
                return pick;
            }
            // Exchanges at v2 have made all of theirs: one before them made this call late, else it
            // is made again. Of which exchange v1 made a call is not always known.
            let late = self.late(list, *from, stock);
            return late.or_else(|| self.of_nobody(list, from, stock)).unwrap_or(pick);
        }
        if causes.traced.is_some() && changes {
            return self.strangers(list, stock);
        }
        if let Some(late) = self.late(list, *from, stock) {
            return late;
        }
        self.next_of(list, from, stock)
    }

    /// The calls of a group whose cause it may be: by its trace, else of the exchanges that are at
    /// v2 now.
    pub(super) fn own_calls(&self, group: u32, causes: &Causes) -> Vec<u32> {
        let of_traced = causes.traced.map_or(&[][..], |traced| self.of_cause(group, traced));
        if let calls @ [_, ..] = of_traced {
            // A trace may be of a whole session: the exchange that is at v2 tells its calls apart.
            let open = |index: &&u32| {
                self.calls[**index as usize].caused_by.is_some_and(|by| causes.open.contains(&by))
            };
            let narrow: Vec<u32> = calls.iter().filter(open).copied().collect();
            return if narrow.is_empty() { calls.to_vec() } else { narrow };
        }
        if causes.traced.is_some() {
            return Vec::new();
        }
        let mut calls: Vec<u32> = causes
            .open
            .iter()
            .flat_map(|&number| self.of_ingress(group, number))
            .copied()
            .collect();
        calls.sort_unstable();
        calls
    }

    /// A call that an exchange made which v2 has answered already.
    fn late(&self, list: &[u32], from: u32, stock: &Stock) -> Option<Pick> {
        stock.under_way.as_ref()?;
        let fits =
            |index: &&u32| stock.is_free(self, **index) && stock.is_of_the_past(self, **index);
        let &index = list.get(from as usize..)?.iter().take(CANDIDATES).find(fits)?;
        Some(Pick { index, again: false, takes: true })
    }

    /// A call of which nothing tells for which exchange v1 made it.
    fn of_nobody(&self, list: &[u32], from: &mut u32, stock: &Stock) -> Option<Pick> {
        let is_given = |index: &u32| !stock.is_free(self, *index);
        while list.get(*from as usize).is_some_and(is_given) {
            *from += 1;
        }
        let fits = |index: &&u32| {
            stock.is_free(self, **index) && self.calls[**index as usize].caused_by.is_none()
        };
        let &index = list.get(*from as usize..)?.iter().take(CANDIDATES).find(fits)?;
        Some(Pick { index, again: false, takes: true })
    }

    /// A call that changes something is not taken from another cause's stock: v1 made it for that
    /// one, not for this one. It answers, but as one that v1 made less often.
    fn strangers(&self, list: &[u32], stock: &Stock) -> Pick {
        let free = |index: &&u32| {
            self.calls[**index as usize].cause.is_none() && stock.is_free(self, **index)
        };
        match list.iter().take(CANDIDATES).find(free) {
            Some(&index) => Pick { index, again: false, takes: true },
            None => Pick {
                index: *list.last().expect("equal calls are at least one"),
                again: true,
                takes: false,
            },
        }
    }

    pub(super) fn next_of(&self, list: &[u32], from: &mut u32, stock: &Stock) -> Pick {
        while let Some(&index) = list.get(*from as usize) {
            if stock.is_free(self, index) {
                return Pick { index, again: false, takes: true };
            }
            *from += 1;
        }
        Pick {
            index: *list.last().expect("equal calls are at least one"),
            again: true,
            takes: true,
        }
    }

    /// The calls of a group that share a rare value which varies by itself (a cart's UUID, say)
    /// with the request.
    fn sharing(&self, group: u32, taken: &features::TakenFeatures, scope: u64) -> Vec<u32> {
        let Some(aim) = self.aim(scope) else { return vec![] };
        let rare = taken
            .features
            .iter()
            .filter(|feature| feature.weight == Weight::Volatile)
            .map(|feature| aim.postings.get(feature.value))
            .filter(|posting| posting.len() <= POSTING_TELLING);
        let mut calls: Vec<u32> = rare
            .flatten()
            .copied()
            .filter(|&index| self.calls[index as usize].group == group)
            .collect();
        calls.sort_unstable();
        calls.dedup();
        self.most_telling(calls.into_iter(), &taken.features)
    }

    /// Those of `calls` that have most of the request's varying values in common with it.
    pub(super) fn most_telling(
        &self,
        calls: impl Iterator<Item = u32>,
        features: &[Feature],
    ) -> Vec<u32> {
        let mut best = 0;
        let mut kept = Vec::new();
        for index in calls {
            let common = varying_in_common(features, self.features(&self.calls[index as usize]));
            if common > best {
                best = common;
                kept.clear();
            }
            if common == best {
                kept.push(index);
            }
        }
        kept
    }

    /// Where a request differs from a recorded call, but for values that vary by themselves.
    pub(super) fn places(
        &self,
        query: &CallQuery<'_>,
        route: &str,
        index: u32,
        others: &[u64],
    ) -> io::Result<Vec<CallPlace>> {
        let call = &self.calls[index as usize];
        let body = self.asked(call)?;
        let (host, recorded_route) = self.aim_of(call);
        let known = self.known(scope_of(host, recorded_route));
        let mine = features::describe(&query.subject(route, call.reads), known);
        let request = self.request(call);
        let theirs = features::describe(&self.subject(call, &request.headers, &body), known);
        let shown = |one: &Described| (!one.lacks).then(|| one.value.clone());
        let mut places = Vec::new();
        if others.contains(&key_place()) {
            let text = |headers| key_of(headers).map(|key| String::from_utf8_lossy(key).into());
            let (expected, actual) = (text(&request.headers), text(&query.request.headers));
            let place = "header:idempotency-key".to_owned();
            places.push(CallPlace { place, expected, actual });
        }
        let (mut a, mut b) = (mine.iter().peekable(), theirs.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => return Ok(places),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(mine), Some(theirs)) => mine.place.cmp(&theirs.place),
            };
            let mine = if order.is_le() { a.next() } else { None };
            let theirs = if order.is_ge() { b.next() } else { None };
            let equal = match (mine, theirs) {
                (Some(mine), Some(theirs)) => {
                    mine.value == theirs.value
                        && (mine.typed, mine.lacks) == (theirs.typed, theirs.lacks)
                        || mine.family.is_some()
                            && mine.family == theirs.family
                            && !others.contains(&theirs.at)
                }
                _ => false,
            };
            let counts = |one: &&Described| !one.context || mine.is_some() && theirs.is_some();
            if let Some(one) = mine.or(theirs).filter(counts).filter(|_| !equal) {
                places.push(CallPlace {
                    place: one.place.clone(),
                    expected: theirs.and_then(shown),
                    actual: mine.and_then(shown),
                });
            }
        }
    }
}

/// Walks two sorted lists of features by place; equal places together, the first of each value with
/// the first.
pub(super) fn both(
    a: &[Feature],
    b: PackedFeatures<'_>,
    mut visit: impl FnMut(Option<Feature>, Option<Feature>),
) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (mine, theirs) = (a.get(i).copied(), b.get(j));
        let order = match (mine, theirs) {
            (Some(x), Some(y)) => x.place.cmp(&y.place),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        visit(mine.filter(|_| order.is_le()), theirs.filter(|_| order.is_ge()));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
}

fn varying_in_common(a: &[Feature], b: PackedFeatures<'_>) -> usize {
    let mut common = 0;
    both(a, b, |mine, theirs| {
        if let (Some(mine), Some(theirs)) = (mine, theirs) {
            common += usize::from(mine.weight == Weight::Volatile && mine.value == theirs.value);
        }
    });
    common
}

#[cfg(test)]
mod tests;
