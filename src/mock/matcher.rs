//! Which recorded call answers a call of v2: an exactly equal one, else one that is equal by kind, else the nearest one if it
//! is near enough and no other is as near; of equal ones the next in order, of the same cause where that is known.
//!
//! The choice changes only what has been given, so that the same calls in the same order are answered the same in every run.

use rustc_hash::FxHashMap;

use super::features::{self, Content, Described, Feature, Subject, Weight};
use super::ledger::{Place, is_unsafe};
use super::recording::{Recording, scope_of};

/// What happens when v2 makes a call more often than v1 did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
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
pub struct Policy {
    /// What happens to surplus calls.
    pub exhausted: Exhausted,
    /// Least score of the nearest call, from 0 to 1; 1 answers only equal calls.
    pub threshold: f64,
    /// How much better than the next best it must be.
    pub margin: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { exhausted: Exhausted::Repeat, threshold: 0.6, margin: 0.1 }
    }
}

/// Calls with a value that more than this many others have are not looked for by that value.
const POSTING_LONG: usize = 2_000;
/// Most calls that are looked at one by one to find the nearest.
const CANDIDATES: usize = 400;
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
pub(super) struct Query<'a> {
    pub(super) host: &'a str,
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) headers: &'a dyn Fn(&str) -> Option<String>,
    pub(super) content: Content<'a>,
}

/// A call of v2, taken apart.
pub(super) struct Prepared {
    pub(super) route: std::sync::Arc<str>,
    /// The cause that the call's own header fields name.
    pub(super) cause: Option<u32>,
    scope: u64,
    taken: features::Taken,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
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
    /// Two different ones are as near.
    Ambiguous,
    /// All that are equal were given, and surplus calls are misses.
    Exhausted,
}

impl MissReason {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Host => "no call to this host was recorded",
            Self::Route => "no call with this method and route was recorded",
            Self::Far => "the nearest recorded call has too little in common",
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
}

impl Stock {
    pub(super) fn new(recording: &Recording) -> Self {
        Self {
            given: vec![0; recording.calls.len()],
            tried: vec![false; recording.calls.len()],
            next_exact: FxHashMap::default(),
            next_group: vec![0; recording.groups.len()],
        }
    }
}

/// A call from a list of equal ones: the next, or the last one again.
#[derive(Clone, Copy)]
struct Pick {
    index: u32,
    again: bool,
}

fn next_of(list: &[u32], from: &mut u32, given: &[u32]) -> Option<Pick> {
    while let Some(&index) = list.get(*from as usize) {
        if given[index as usize] == 0 {
            return Some(Pick { index, again: false });
        }
        *from += 1;
    }
    list.last().map(|&index| Pick { index, again: true })
}

impl Recording {
    /// Takes a call apart; needs no lock.
    pub(super) fn prepare(&self, query: &Query<'_>) -> Prepared {
        let route = self.routes.route(query.method, query.target);
        let cause = self.known_cause(query.headers);
        let scope = scope_of(query.host, &route);
        let subject = Subject { route: &route, target: query.target, headers: query.headers, content: query.content };
        let taken = features::take(&subject, &self.rules, scope);
        Prepared { route, cause, scope, taken }
    }

    /// Chooses, and takes what it chose from `stock` unless `peek`.
    pub(super) fn choose(&self, query: &Query<'_>, prepared: &Prepared, policy: &Policy, stock: &mut Stock, peek: bool) -> Found {
        let found = self.find(query, &prepared.taken, prepared.scope, prepared.cause, policy, stock);
        if let Found::Answer { index, takes, .. } = found {
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
        query: &Query<'_>,
        taken: &features::Taken,
        scope: u64,
        cause: Option<u32>,
        policy: &Policy,
        stock: &mut Stock,
    ) -> Found {
        let group = self.by_kind.get(&taken.by_kind).copied();
        let equal = self
            .exact
            .get(&taken.exact)
            .map(|list| (self.pick_exact(list, taken.exact, group, cause, query.method, stock), Tier::Exact))
            .or_else(|| group.map(|group| (self.pick_by_kind(group, taken, scope, cause, query.method, stock), Tier::ByKind)));
        if let Some(((pick, takes), tier)) = equal {
            if pick.again && policy.exhausted == Exhausted::Miss {
                return Found::Miss { nearest: Some((pick.index, 1.0)), reason: MissReason::Exhausted };
            }
            return Found::Answer { index: pick.index, tier, score: 1.0, again: pick.again, takes };
        }
        let Some(_) = self.scopes.get(&scope) else {
            let reason = if self.knows_host(query.host) { MissReason::Route } else { MissReason::Host };
            return Found::Miss { nearest: None, reason };
        };
        self.find_nearest(&taken.features, scope, cause, policy, stock)
    }

    /// Of exactly equal calls.
    fn pick_exact(
        &self,
        list: &[u32],
        key: u64,
        group: Option<u32>,
        cause: Option<u32>,
        method: &[u8],
        stock: &mut Stock,
    ) -> (Pick, bool) {
        let of_cause = |cause| {
            let calls = self.of_cause.get(&(group?, cause))?;
            let equal: Vec<u32> = calls.iter().copied().filter(|index| list.binary_search(index).is_ok()).collect();
            (!equal.is_empty()).then_some(equal)
        };
        if let Some(cause) = cause {
            if let Some(calls) = of_cause(cause) {
                return (next_of(&calls, &mut 0, &stock.given).expect("the list has a call"), true);
            }
            if let Some(stranger) = self.pick_stranger(list, method, stock) {
                return stranger;
            }
        }
        let from = stock.next_exact.entry(key).or_default();
        (next_of(list, from, &stock.given).expect("a key leads to at least one call"), true)
    }

    /// A call that changes something is not taken from another cause's stock: v1 made it for that one, not for this one.
    /// It answers, but as one that v1 made less often.
    fn pick_stranger(&self, list: &[u32], method: &[u8], stock: &Stock) -> Option<(Pick, bool)> {
        if !is_unsafe(method) {
            return None;
        }
        let free = |index: &&u32| self.calls[**index as usize].cause.is_none() && stock.given[**index as usize] == 0;
        match list.iter().take(CANDIDATES).find(free) {
            Some(&index) => Some((Pick { index, again: false }, true)),
            None => Some((Pick { index: *list.last()?, again: true }, false)),
        }
    }

    /// Of calls that are equal by kind: those of the same cause, then those that share most of the values that vary.
    fn pick_by_kind(
        &self,
        group: u32,
        taken: &features::Taken,
        scope: u64,
        cause: Option<u32>,
        method: &[u8],
        stock: &mut Stock,
    ) -> (Pick, bool) {
        let list = &self.groups[group as usize];
        if let Some(cause) = cause
            && let Some(calls) = self.of_cause.get(&(group, cause))
        {
            let telling = self.most_telling(calls.iter().copied(), &taken.features);
            return (next_of(&telling, &mut 0, &stock.given).expect("the list has a call"), true);
        }
        let sharing = self.sharing(group, taken, scope);
        if !sharing.is_empty() {
            return (next_of(&sharing, &mut 0, &stock.given).expect("the list has a call"), true);
        }
        if cause.is_some()
            && let Some(stranger) = self.pick_stranger(list, method, stock)
        {
            return stranger;
        }
        (next_of(list, &mut stock.next_group[group as usize], &stock.given).expect("a group has at least one call"), true)
    }

    /// The calls of a group that share a rare value which varies by itself (a cart's UUID, say) with the request.
    fn sharing(&self, group: u32, taken: &features::Taken, scope: u64) -> Vec<u32> {
        let Some(scope) = self.scopes.get(&scope) else { return vec![] };
        let rare = taken
            .features
            .iter()
            .filter(|feature| feature.weight == Weight::Volatile)
            .filter_map(|feature| scope.postings.get(&feature.value))
            .filter(|posting| posting.len() <= POSTING_TELLING);
        let mut calls: Vec<u32> = rare.flatten().copied().filter(|&index| self.calls[index as usize].group == group).collect();
        calls.sort_unstable();
        calls.dedup();
        self.most_telling(calls.into_iter(), &taken.features)
    }

    /// Those of `calls` that have most of the request's varying values in common with it.
    fn most_telling(&self, calls: impl Iterator<Item = u32>, features: &[Feature]) -> Vec<u32> {
        let mut best = 0;
        let mut kept = Vec::new();
        for index in calls {
            let common = varying_in_common(features, &self.calls[index as usize].features);
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

    fn find_nearest(&self, features: &[Feature], scope: u64, cause: Option<u32>, policy: &Policy, stock: &mut Stock) -> Found {
        // The best of each group, best first.
        let mut best: Vec<(f64, u32)> = Vec::new();
        for index in self.candidates(features, scope, cause) {
            let call = &self.calls[index as usize];
            let score = self.score(features, index, scope, cause);
            match best.iter_mut().find(|(_, other)| self.calls[*other as usize].group == call.group) {
                Some(known) if known.0 >= score => {}
                Some(known) => *known = (score, index),
                None => best.push((score, index)),
            }
        }
        best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let Some(&(score, index)) = best.first() else {
            return Found::Miss { nearest: None, reason: MissReason::Far };
        };
        if score < policy.threshold {
            return Found::Miss { nearest: Some((index, score)), reason: MissReason::Far };
        }
        if best.get(1).is_some_and(|next| next.0 > score - policy.margin) {
            return Found::Miss { nearest: Some((index, score)), reason: MissReason::Ambiguous };
        }
        let group = self.calls[index as usize].group;
        let equal = match cause.and_then(|cause| self.of_cause.get(&(group, cause))) {
            Some(calls) => calls.clone(),
            None => self.most_telling(self.groups[group as usize].iter().copied().take(CANDIDATES), features),
        };
        let pick = next_of(&equal, &mut 0, &stock.given).unwrap_or(Pick { index, again: stock.given[index as usize] > 0 });
        if pick.again && policy.exhausted == Exhausted::Miss {
            return Found::Miss { nearest: Some((pick.index, score)), reason: MissReason::Exhausted };
        }
        Found::Answer { index: pick.index, tier: Tier::Nearest, score, again: pick.again, takes: true }
    }

    /// Calls that may be the nearest: of the same cause, and those that share the request's rarest values.
    fn candidates(&self, features: &[Feature], scope: u64, cause: Option<u32>) -> Vec<u32> {
        let Some(place) = self.scopes.get(&scope) else { return vec![] };
        let mut calls: Vec<u32> = Vec::new();
        if let Some(of_cause) = cause.and_then(|cause| self.near_cause.get(&(scope, cause))) {
            calls.extend(of_cause.iter().take(CANDIDATES));
        }
        let mut postings: Vec<&Vec<u32>> = features.iter().filter_map(|feature| place.postings.get(&feature.value)).collect();
        postings.sort_by_key(|posting| posting.len());
        for posting in postings {
            if calls.len() >= CANDIDATES || posting.len() > POSTING_LONG && !calls.is_empty() {
                break;
            }
            calls.extend(posting.iter().take(CANDIDATES - calls.len()));
        }
        if calls.is_empty() {
            calls.extend(place.calls.iter().take(CANDIDATES));
        }
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// The share of what the two have in common of what either has, by weight. A varying value that is equal by kind only
    /// says nothing.
    fn score(&self, features: &[Feature], index: u32, scope: u64, cause: Option<u32>) -> f64 {
        let call = &self.calls[index as usize];
        let scope = &self.scopes[&scope];
        let (mut common, mut all) = (0.0_f64, 0.0_f64);
        if let (Some(mine), Some(theirs)) = (cause, call.cause) {
            all += 3.0;
            common += if mine == theirs { 3.0 } else { 0.0 };
        }
        let weight = |feature: &Feature| -> f64 {
            let having = scope.postings.get(&feature.value).map_or(0, Vec::len);
            match feature.weight {
                Weight::Identifier | Weight::Volatile => 2.5,
                Weight::Plain if scope.calls.len() >= 4 && having * 2 > scope.calls.len() => 0.5,
                Weight::Plain => 1.0,
            }
        };
        both(features, &call.features, |mine, theirs| match (mine, theirs) {
            (Some(mine), Some(theirs)) if mine.value == theirs.value => {
                common += weight(mine);
                all += weight(mine);
            }
            (Some(mine), Some(theirs)) if mine.kind == theirs.kind => {}
            (Some(mine), Some(theirs)) => all += weight(mine).max(weight(theirs)),
            (one, other) => all += one.or(other).map_or(0.0, &weight),
        });
        if all > 0.0 { common / all } else { 0.0 }
    }

    /// Where a request differs from a recorded call, but for values that vary by themselves.
    pub(super) fn places(&self, query: &Query<'_>, route: &str, index: u32) -> Vec<Place> {
        let subject = Subject { route, target: query.target, headers: query.headers, content: query.content };
        let (mine, theirs) = (features::describe(&subject, &self.rules), self.calls[index as usize].describe(&self.rules));
        let shown = |one: &Described| one.value.clone();
        let mut places = Vec::new();
        let (mut a, mut b) = (mine.iter().peekable(), theirs.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => return places,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(mine), Some(theirs)) => mine.place.cmp(&theirs.place),
            };
            let mine = if order.is_le() { a.next() } else { None };
            let theirs = if order.is_ge() { b.next() } else { None };
            let equal = match (mine, theirs) {
                (Some(mine), Some(theirs)) => {
                    mine.value == theirs.value && mine.typed == theirs.typed
                        || mine.family.is_some() && mine.family == theirs.family
                }
                _ => false,
            };
            if let Some(one) = mine.or(theirs).filter(|_| !equal) {
                places.push(Place { place: one.place.clone(), expected: theirs.map(shown), actual: mine.map(shown) });
            }
        }
    }
}

/// Walks two sorted lists of features by place; equal places together, the first of each value with the first.
fn both<'a>(a: &'a [Feature], b: &'a [Feature], mut visit: impl FnMut(Option<&'a Feature>, Option<&'a Feature>)) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let order = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.place.cmp(&y.place),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        visit(a.get(i).filter(|_| order.is_le()), b.get(j).filter(|_| order.is_ge()));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
}

fn varying_in_common(a: &[Feature], b: &[Feature]) -> usize {
    let mut common = 0;
    both(a, b, |mine, theirs| {
        if let (Some(mine), Some(theirs)) = (mine, theirs) {
            common += usize::from(mine.weight == Weight::Volatile && mine.value == theirs.value);
        }
    });
    common
}
