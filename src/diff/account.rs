//! The counts of a diff while it runs: by route, and by way of changing at a place. Bounded,
//! whatever the data.

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::Kind;
use super::change::{Change, Look, OwnTies, Sink, hash_place};
use super::noise::{Decision, Samples, Stat, decide, decide_tie, reversed};
use super::parts::At;
use super::ties;
use crate::time::Timestamp;

/// Different ways of changing that are told apart; what is beyond is counted as `(others)` of its
/// route.
const MAX_KEYS: usize = 20_000;
/// Values in texts that are told apart; those beyond are no noise.
const MAX_PARTS: usize = 40_000;
/// The number of a value that is not told apart.
pub(super) const UNTOLD: u32 = u32::MAX;
/// Different places whose presence is counted.
const MAX_PLACES: usize = 200_000;
/// Different routes that are told apart.
const MAX_ROUTES: usize = 20_000;
/// How often at least something is there and not there in either of two answers of v1 that both may
/// have.
const OPTIONAL: u64 = 3;
/// The place and the route of what is beyond a bound.
const OTHERS: &str = "(others)";

/// How the change of a status begins where v1's is not known.
const UNKNOWN_STATUS: &str = "none→";

/// Which comparison a sink comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComparedSide {
    /// v2 against v1.
    Live = 0,
    /// v1 against itself.
    Own = 1,
    /// v1 in staging against v1.
    Base = 2,
}

/// The counts of one route.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteCounts {
    pub(super) name: Arc<str>,
    /// Comparisons of each side.
    pub(super) compared: [u64; 3],
    /// Comparisons of each side in which places were counted.
    sampled: [u64; 3],
    pub(super) failed: u64,
    /// How often v1 gave which status, in whole answers.
    statuses: FxHashMap<u16, u64>,
    /// Answers to requests that lacked a value that v2 did not issue.
    pub(super) unbound: u64,
}

/// How often v1's answers say the same of themselves.
#[derive(Clone, Copy, Debug, Default)]
struct TieCount {
    places: [u64; 2],
    held: u32,
    loose: u32,
}

/// All counts.
#[derive(Default)]
pub(super) struct Account {
    numbers: FxHashMap<Arc<str>, u32>,
    pub(super) routes: Vec<RouteCounts>,
    keys: FxHashMap<(u32, Kind, u64, u64), u32>,
    pub(super) stats: Vec<Stat>,
    present: FxHashMap<(u32, u64), [u32; 3]>,
    /// Exchanges in which v2's value at a place stands for v1's.
    twins: FxHashMap<(u32, u64), u64>,
    /// What v1's answers say of themselves.
    ties: FxHashMap<(u32, u64), TieCount>,
    /// How many of them have a place of that.
    tie_places: FxHashMap<(u32, u64), u32>,
    pub(super) rule_hits: Vec<u64>,
    /// By how much v2's ids are higher than v1's, and whether most are equal.
    raises: (FxHashSet<i64>, bool),
    /// How many of `stats` are values in texts.
    parts: usize,
    /// When the first and the last request was sent to v1, and to v2.
    spans: [Option<(Timestamp, Timestamp)>; 2],
    /// Changes of exchanges that had too many.
    pub(super) unlisted: u64,
    serial: u64,
    /// Comparisons of v2's answers.
    answers: u64,
}

impl Account {
    /// With room for the hits of `rules` rules; by how much v2's ids are higher than v1's, and
    /// whether most are equal.
    pub(super) fn new(rules: usize, raises: (FxHashSet<i64>, bool)) -> Self {
        Self { rule_hits: vec![0; rules], raises, ..Self::default() }
    }

    /// In how many comparisons of a route places were counted so far.
    pub(super) fn sampled(&self, route: &Arc<str>, side: ComparedSide) -> u64 {
        self.numbers
            .get(route)
            .map_or(0, |&number| self.routes[number as usize].sampled[side as usize])
    }

    /// Takes note of when v1 and v2 were asked.
    pub(super) fn asked(&mut self, at: [Option<Timestamp>; 2]) {
        for (span, at) in self.spans.iter_mut().zip(at) {
            let Some(at) = at else { continue };
            let (first, last) = span.unwrap_or((at, at));
            *span = Some((first.min(at), last.max(at)));
        }
    }

    /// Whether the replay took less than half of the time that the recording took.
    fn is_faster(&self) -> bool {
        let [Some(v1), Some(v2)] = self.spans else { return false };
        let long = |(first, last): (Timestamp, Timestamp)| last.since(first);
        long(v2) < long(v1) / 2
    }

    /// The number of a route.
    pub(super) fn route(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let name =
            if self.routes.len() < MAX_ROUTES { Arc::clone(name) } else { Arc::from(OTHERS) };
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let number = self.routes.len() as u32;
        self.routes.push(RouteCounts { name: Arc::clone(&name), ..RouteCounts::default() });
        self.numbers.insert(name, number);
        number
    }

    /// Counts a comparison; the numbers of its changes and of their parts, in their order. `clear`
    /// says that every write before that could explain them was done.
    pub(super) fn add(
        &mut self,
        side: ComparedSide,
        route: u32,
        sink: &Sink,
        clear: bool,
    ) -> Vec<(u32, Vec<u32>)> {
        self.serial += 1;
        let at = side as usize;
        self.answers += u64::from(side == ComparedSide::Live);
        let counts = &mut self.routes[route as usize];
        counts.compared[at] += 1;
        if let Some(present) = &sink.present {
            counts.sampled[at] += 1;
            self.count_places(at, route, present);
        }
        if side == ComparedSide::Live {
            for &rule in &sink.ruled {
                self.rule_hits[rule as usize] += 1;
            }
            self.unlisted += sink.more;
            self.count_ties(route, &sink.own_ties);
            for &place in sink.twins.iter().collect::<FxHashSet<_>>() {
                if self.twins.len() < MAX_PLACES || self.twins.contains_key(&(route, place)) {
                    *self.twins.entry((route, place)).or_default() += 1;
                }
            }
        }
        let count = |change| {
            let key = self.count(at, route, change, clear);
            (key, self.count_parts(at, key, change))
        };
        sink.changes.iter().map(count).collect()
    }

    /// The numbers of the changes of a comparison that counts for nothing.
    pub(super) fn name(&mut self, route: u32, sink: &Sink) -> Vec<(u32, Vec<u32>)> {
        let untold = |change: &Change| vec![UNTOLD; change.parts.len()];
        sink.changes.iter().map(|change| (self.key(route, change), untold(change))).collect()
    }

    fn count_ties(&mut self, route: u32, own: &OwnTies) {
        for &place in &own.places {
            if self.tie_places.len() < MAX_PLACES || self.tie_places.contains_key(&(route, place)) {
                *self.tie_places.entry((route, place)).or_default() += 1;
            }
        }
        let none = [0; 2];
        let held = own.held.iter().map(|&(tie, places)| (tie, Some(places), [1, 0]));
        let broken = own.broken.iter().map(|&(tie, places)| (tie, Some(places), none));
        let loose = own.loose.iter().map(|&tie| (tie, None, [0, 1]));
        for (tie, places, [held, loose]) in held.chain(broken).chain(loose) {
            if self.ties.len() < MAX_PLACES || self.ties.contains_key(&(route, tie)) {
                let count = self.ties.entry((route, tie)).or_default();
                count.places = places.unwrap_or(count.places);
                count.held += held;
                count.loose += loose;
            }
        }
    }

    /// In how many of v1's answers a tie held that `stat` breaks; none where it did not always.
    fn tied(&self, stat: &Stat) -> Option<u64> {
        let count = self.ties.get(&(stat.route, stat.place_hash))?;
        let of = |place: u64| self.tie_places.get(&(stat.route, place)).copied().unwrap_or(0);
        let most = of(count.places[0]).min(of(count.places[1]));
        let always = match &*stat.label {
            // Where one of its places is without the other it cannot be told.
            ties::PARTED => count.held == most,
            ties::JOINED if count.places[0] == count.places[1] => {
                return (count.loose == 0).then(|| u64::from(count.held));
            }
            ties::JOINED => count.loose == 0,
            // A value that is drawn from few may be another place's now and then.
            _ => stat.live * 4 >= u64::from(most),
        };
        always.then(|| u64::from(most))
    }

    fn count_places(&mut self, side: usize, route: u32, present: &FxHashSet<u64>) {
        for &place in present {
            if self.present.len() < MAX_PLACES || self.present.contains_key(&(route, place)) {
                self.present.entry((route, place)).or_default()[side] += 1;
            }
        }
    }

    fn count(&mut self, side: usize, route: u32, change: &Change, clear: bool) -> u32 {
        let key = self.key(route, change);
        let ranks = self.ranks(route);
        let stat = &mut self.stats[key as usize];
        let once = stat.last[side] != self.serial;
        stat.last[side] = self.serial;
        stat.loose[side] += u64::from(once && change.parts.is_empty());
        match side {
            0 => {
                stat.live += u64::from(once);
                stat.clear += u64::from(once && clear);
                stat.differences += 1;
                if let Look::Kind(kind) | Look::Within(kind) = change.look {
                    stat.looking += 1;
                    stat.looks.get_or_insert(kind);
                }
                if let Look::Shuffled(sides) = change.look {
                    (0..2).for_each(|side| stat.shuffled[side] += u64::from(sides[side]));
                }
                let values = [&change.expected, &change.actual];
                for (side, value) in values.into_iter().enumerate() {
                    let hash = value_hash(value);
                    stat.values[side].add(hash);
                    stat.repeats[side].add(hash);
                    stat.numbers[side].add(value.as_deref());
                }
                if let Some(numbers) = change.numbers {
                    stat.add_numbers(numbers, ranks);
                }
            }
            1 => {
                stat.own += u64::from(once);
                // Both are v1's.
                for value in [&change.expected, &change.actual] {
                    stat.values[0].add(value_hash(value));
                    stat.numbers[0].add(value.as_deref());
                }
            }
            _ => {
                stat.base += u64::from(once);
                let value = value_hash(&change.actual);
                stat.values[0].add(value);
                stat.staged.add(value);
                stat.numbers[2].add(change.actual.as_deref());
            }
        }
        key
    }

    /// The number of a comparison of v2's answers, of its route and of all.
    fn ranks(&self, route: u32) -> [u64; 2] {
        [self.routes[route as usize].compared[ComparedSide::Live as usize], self.answers]
    }

    /// Takes note of the status of a whole answer of v1's.
    pub(super) fn answered(&mut self, route: u32, status: u16) {
        *self.routes[route as usize].statuses.entry(status).or_default() += 1;
    }

    /// Whether v1 gave a status to any such request.
    pub(super) fn gave(&self, route: u32, status: u16) -> bool {
        self.routes[route as usize].statuses.contains_key(&status)
    }

    /// Whether v1 had an answer to any such request that is no error.
    pub(super) fn answers(&self, route: u32) -> bool {
        self.routes[route as usize].statuses.keys().any(|status| *status < 400)
    }

    /// Whether a status that v2 gave where v1's is not known is one that v1 gives to a quarter of
    /// such requests.
    fn is_usual(&self, stat: &Stat) -> bool {
        let unknown = stat.label.strip_prefix(UNKNOWN_STATUS).filter(|_| stat.kind == Kind::Status);
        let Some(status) = unknown.and_then(|status| status.parse().ok()) else { return false };
        let statuses = &self.routes[stat.route as usize].statuses;
        let own = statuses.get(&status).copied().unwrap_or(0);
        own > 0 && own * 4 >= statuses.values().sum()
    }

    /// Counts the values in which a text differs; their numbers.
    fn count_parts(&mut self, side: usize, key: u32, change: &Change) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(change.parts.len());
        for part in &change.parts {
            let number = match part.at {
                None => key,
                Some(at) => self.part_key(key, at),
            };
            numbers.push(number);
            let ranks = self.ranks(self.stats[key as usize].route);
            let Some(stat) = self.stats.get_mut(number as usize) else { continue };
            let once = stat.last[side] != self.serial;
            stat.last[side] = self.serial;
            let [v1, v2] = part.forms;
            match side {
                0 => {
                    part.instants.into_iter().for_each(|pair| stat.instants.add(pair));
                    stat.drawn[0].add(v1);
                    stat.drawn[1].add(v2);
                    stat.short.iter_mut().zip(part.short).for_each(|(all, one)| all.add(one));
                    if let Some(numbers) = part.numbers
                        && (part.at.is_some() || change.numbers.is_none())
                    {
                        stat.add_numbers(numbers, ranks);
                    }
                }
                1 => [v1, v2].into_iter().for_each(|form| stat.drawn[0].add(form)),
                _ => stat.drawn[0].add(v2),
            }
            if part.at.is_none() {
                continue;
            }
            match side {
                0 => {
                    stat.live += u64::from(once);
                    stat.differences += 1;
                    if let Look::Kind(kind) | Look::Within(kind) = part.look {
                        stat.looking += 1;
                        stat.looks.get_or_insert(kind);
                    }
                    stat.values.iter_mut().zip(part.values).for_each(|(all, one)| all.add(one));
                }
                1 => {
                    stat.own += u64::from(once);
                    part.values.into_iter().for_each(|one| stat.values[0].add(one));
                }
                _ => {
                    stat.base += u64::from(once);
                    stat.values[0].add(part.values[1]);
                    stat.staged.add(part.values[1]);
                }
            }
        }
        numbers
    }

    /// The number of a value in a text whose number is `whole`.
    fn part_key(&mut self, whole: u32, at: At) -> u32 {
        let of = &self.stats[whole as usize];
        let mut hasher = FxHasher::default();
        (of.place_hash, at).hash(&mut hasher);
        // A label that no change has.
        let key = (of.route, of.kind, hasher.finish(), 1);
        if let Some(&number) = self.keys.get(&key) {
            return number;
        }
        if self.parts >= MAX_PARTS || of.general == OTHERS {
            return UNTOLD;
        }
        self.parts += 1;
        let number = self.stats.len() as u32;
        self.keys.insert(key, number);
        let general = format!("{}{at}", of.general);
        let stat = Stat {
            general,
            place_hash: key.2,
            counted_at: of.counted_at,
            within: Some(whole),
            ..Stat::new(of.route, of.kind, "changed")
        };
        self.stats.push(stat);
        number
    }

    fn key(&mut self, route: u32, change: &Change) -> u32 {
        let mut label = FxHasher::default();
        change.label.hash(&mut label);
        let key = (route, change.kind, change.place_hash, label.finish());
        if let Some(&number) = self.keys.get(&key) {
            return number;
        }
        let (key, general, label) = if self.stats.len() - self.parts < MAX_KEYS {
            (key, change.general.as_str(), &change.label)
        } else {
            ((route, change.kind, hash_place(OTHERS), 0), OTHERS, &Cow::Borrowed("changed"))
        };
        let number = *self.keys.entry(key).or_insert(self.stats.len() as u32);
        if number as usize == self.stats.len() {
            self.stats.push(Stat {
                general: general.to_owned(),
                place_hash: key.2,
                counted_at: key.2,
                ..Stat::new(route, key.1, label)
            });
        }
        number
    }

    /// How many samples there were in which the place of `stat` could have changed.
    fn samples(&self, stat: &Stat) -> Samples {
        let counts = &self.routes[stat.route as usize];
        let present = self.present.get(&(stat.route, stat.counted_at));
        let of = |side: usize| match present {
            // Scaled where not all comparisons counted places.
            Some(present) if counts.sampled[side] > 0 => {
                let scaled = u128::from(present[side]) * u128::from(counts.compared[side])
                    / u128::from(counts.sampled[side]);
                u64::try_from(scaled).unwrap_or(u64::MAX).min(counts.compared[side])
            }
            _ => counts.compared[side],
        };
        let twins = self.twins.get(&(stat.route, stat.counted_at)).copied().unwrap_or(0);
        // Where texts differ between their values too, nobody knows how a value of them went.
        let loose = stat.within.map_or([0; 3], |whole| self.stats[whole as usize].loose);
        let [live, own, base] = [0, 1, 2].map(|side| of(side).saturating_sub(loose[side]));
        let is_raised = stat.scatter.raise.of_all().is_some_and(|by| self.raises.0.contains(&by));
        let makes = counts.name.starts_with("POST ") && !self.raises.1;
        Samples { live, own, base, twins, is_faster: self.is_faster(), is_raised, makes }
    }

    /// The same change in the other direction.
    fn opposite(&self, stat: &Stat) -> Option<&Stat> {
        let label = reversed(&stat.label)?;
        let kind = match (stat.kind, label.as_str()) {
            (_, "removed") => Kind::Missing,
            (Kind::Missing, _) if of_body(&stat.general) => Kind::Body,
            (Kind::Missing, _) => Kind::Header,
            (kind, _) => kind,
        };
        let mut hasher = FxHasher::default();
        Cow::<str>::Owned(label).hash(&mut hasher);
        let key = self.keys.get(&(stat.route, kind, stat.place_hash, hasher.finish()))?;
        self.stats.get(*key as usize)
    }

    /// Whether the baseline has something at random that v1 has at random, too: as often there where
    /// v1 has none as the other way.
    pub(super) fn is_optional(&self, key: u32) -> bool {
        let stat = &self.stats[key as usize];
        let Some(other) = self.opposite(stat) else { return false };
        let (few, many) = (stat.base.min(other.base), stat.base.max(other.base));
        few >= OPTIONAL && few * 3 >= many
    }

    /// What is thought of each way of changing, by its number.
    pub(super) fn decisions(&self) -> Vec<(Decision, Samples)> {
        let mut headers: FxHashMap<(u64, &str), (Samples, u64, u64)> = FxHashMap::default();
        let is_header = |stat: &Stat| {
            matches!(stat.kind, Kind::Header | Kind::Missing) && !of_body(&stat.general)
        };
        for stat in self.stats.iter().filter(|stat| is_header(stat)) {
            let samples = self.samples(stat);
            let (sum, own, base) = headers.entry((stat.place_hash, &stat.label)).or_default();
            sum.own += samples.own;
            sum.base += samples.base;
            *own += stat.own;
            *base += stat.base;
        }
        self.stats
            .iter()
            .map(|stat| {
                let samples = self.samples(stat);
                if ties::is_tie(&stat.label) {
                    return (decide_tie(stat, self.tied(stat)), samples);
                }
                let opposite = self.opposite(stat);
                let opposite = opposite.map(|other| (other.own, other.base)).unwrap_or_default();
                let mut decision = decide(stat, samples, opposite);
                if self.is_usual(stat) {
                    decision.measured = true;
                    decision.why = "v1 answers so where its answer is known".to_owned();
                }
                // A route with too few pairs of its own may learn of a header from the others.
                match headers.get(&(stat.place_hash, stat.label.as_str())) {
                    Some((sum, own, base))
                        if is_header(stat)
                            && samples.own < 3
                            && !decision.measured
                            && own + base > stat.own =>
                    {
                        let pooled = Stat { own: *own, base: *base, ..stat.clone() };
                        let samples = Samples { own: sum.own, base: sum.base, ..samples };
                        (decide(&pooled, samples, (0, 0)), samples)
                    }
                    _ => (decision, samples),
                }
            })
            .collect()
    }
}

/// Whether a place is one of a body.
pub(super) fn of_body(general: &str) -> bool {
    ["$", "line", "form:", "part ", "body", "bytes"].iter().any(|start| general.starts_with(start))
}

/// Names a value in counts.
pub(super) fn value_hash(value: &Option<String>) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
