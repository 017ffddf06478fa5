//! Clusters: differences with one cause, gathered by route, kind, general place and shape.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest as _, Sha256};

use super::approvals::{numeric, pair};
use super::noise::Stat;
use super::{Class, Cluster, Difference, Kind};
use crate::time::Timestamp;

/// Bits that all sets of member exchanges may take, in bytes: beyond, clusters have no predicate.
const MEMBER_BYTES: usize = 64 << 20;
/// Places of values that were not issued that a cluster names.
const PLACES: usize = 8;
/// Samples from which a shape that all have in common is taken for the shape.
const SAME: u64 = 3;

/// What differences have in common so far.
#[derive(Clone, Debug, Default)]
enum Common {
    #[default]
    Nothing,
    All(String),
    Different,
}

impl Common {
    fn add(&mut self, value: Option<&str>) {
        *self = match (std::mem::take(self), value) {
            (Self::Nothing, Some(value)) if !value.is_empty() => Self::All(value.to_owned()),
            (Self::All(known), Some(value)) if known == value => Self::All(known),
            _ => Self::Different,
        };
    }

    fn get(&self) -> Option<&str> {
        match self {
            Self::All(value) => Some(value),
            _ => None,
        }
    }
}

/// A set of exchanges by their rank.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberSet(Vec<u64>);

impl MemberSet {
    pub(super) fn with_room(ranks: usize) -> Self {
        Self(vec![0; ranks.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, rank: u32) {
        if let Some(word) = self.0.get_mut(rank as usize / 64) {
            *word |= 1 << (rank % 64);
        }
    }

    /// All of them, in order.
    pub(super) fn ranks(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(at, &word)| {
            let first = at as u32 * 64;
            (0..64).filter(move |bit| word & 1 << bit != 0).map(move |bit| first + bit)
        })
    }

    pub(super) fn contains(&self, rank: u32) -> bool {
        self.0.get(rank as usize / 64).is_some_and(|word| word & 1 << (rank % 64) != 0)
    }
}

/// A cluster while it is gathered.
pub(super) struct Draft {
    pub(super) key: u32,
    class: Class,
    pub(super) why: String,
    differences: u64,
    exchanges: u64,
    last: Option<(u32, u32)>,
    first_at: Timestamp,
    last_at: Timestamp,
    example: Difference,
    pub(super) example_rank: u32,
    factor: Common,
    step: Common,
    pair: Common,
    pub(super) members: Option<MemberSet>,
    /// Requests that follow from it.
    followed_by: u64,
    not_issued: BTreeSet<String>,
    /// Of consequences: the number of what they follow from.
    pub(super) cause: Option<usize>,
}

/// All clusters while they are gathered.
#[derive(Default)]
pub(super) struct Drafts {
    numbers: BTreeMap<(u32, Class, usize), usize>,
    pub(super) drafts: Vec<Draft>,
    member_bytes: usize,
}

/// The stable name of a cluster: of the same change of the same place in any run. `apart` is the
/// class of what is not v2's doing; `root` is what consequences follow from.
pub(super) fn id(route: &str, stat: &Stat, apart: Option<Class>, root: Option<&str>) -> String {
    let parts = [route, stat.kind.name(), &stat.general, &stat.label];
    let parts = parts.map(|part| format!("{part}\0"));
    let root = root.map(|root| format!("{root}\0"));
    let class = apart.map_or("", Class::name);
    named(parts.iter().chain(&root).map(String::as_str).chain([class]))
}

/// A short name for texts.
fn named<'t>(parts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part.as_bytes()));
    hasher.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// Tells each cluster on how many other routes its change was found as well, and which cause they
/// have in common: the same change, or one value that v2 did not issue.
pub(super) fn count_routes(clusters: &mut [(usize, Cluster)]) {
    fn change(cluster: &Cluster) -> (Class, Kind, &str, &str) {
        (cluster.class, cluster.kind, &cluster.place, &cluster.shape)
    }
    for (_, cluster) in &mut *clusters {
        cluster.cause = match &cluster.root {
            Some(root) => root.clone(),
            None => {
                let (class, kind, place, shape) = change(cluster);
                named([class.name(), kind.name(), place, shape])
            }
        };
    }
    let mut routes: FxHashMap<_, FxHashSet<&str>> = FxHashMap::default();
    for (_, cluster) in &*clusters {
        routes.entry(change(cluster)).or_default().insert(&cluster.route);
    }
    let counts: Vec<u64> =
        clusters.iter().map(|(_, cluster)| routes[&change(cluster)].len() as u64 - 1).collect();
    clusters.iter_mut().zip(counts).for_each(|((_, cluster), count)| cluster.also_on = count);
}

impl Drafts {
    /// Adds a difference. `which` tells apart clusters of one key and class: the approval that
    /// holds.
    pub(super) fn add(
        &mut self,
        key: u32,
        which: usize,
        rank: u32,
        ranks: usize,
        difference: &Difference,
        why: &str,
    ) -> &mut Draft {
        let number =
            *self.numbers.entry((key, difference.class, which)).or_insert(self.drafts.len());
        if number == self.drafts.len() {
            let bytes = ranks.div_ceil(8);
            let keep =
                difference.class == Class::Regression && self.member_bytes + bytes <= MEMBER_BYTES;
            self.member_bytes += if keep { bytes } else { 0 };
            self.drafts.push(Draft {
                key,
                class: difference.class,
                why: why.to_owned(),
                differences: 0,
                exchanges: 0,
                last: None,
                first_at: difference.at,
                last_at: difference.at,
                example: difference.clone(),
                example_rank: rank,
                factor: Common::Nothing,
                step: Common::Nothing,
                pair: Common::Nothing,
                members: keep.then(|| MemberSet::with_room(ranks)),
                followed_by: 0,
                not_issued: BTreeSet::new(),
                cause: None,
            });
        }
        let draft = &mut self.drafts[number];
        draft.add(rank, difference);
        draft
    }
}

impl Draft {
    fn add(&mut self, rank: u32, difference: &Difference) {
        self.differences += 1;
        let exchange = Some((rank, difference.id.copy));
        if self.last != exchange {
            self.exchanges += 1;
            self.last = exchange;
            if let Some(members) = &mut self.members {
                members.insert(rank);
            }
        }
        self.first_at = self.first_at.min(difference.at);
        self.last_at = self.last_at.max(difference.at);
        if let (Some(a), Some(b)) = (&difference.expected, &difference.actual) {
            let live = |common: &Common| !matches!(common, Common::Different);
            if live(&self.factor) || live(&self.step) {
                let (factor, step) = numeric(a, b).unwrap_or_default();
                self.factor.add(Some(&factor));
                self.step.add(Some(&step));
            }
            if live(&self.pair) {
                let short = a.chars().count().max(b.chars().count()) <= 24;
                self.pair.add(short.then(|| pair(a, b)).as_deref());
            }
        }
    }

    /// Notes that a value was not issued here which so many requests use.
    pub(super) fn followed(&mut self, general: String, requests: u64) {
        self.followed_by += requests;
        if self.not_issued.len() < PLACES {
            self.not_issued.insert(general);
        }
    }

    /// Why it has its class, with what follows from it.
    fn why(&self, route: &str) -> String {
        if self.followed_by == 0 {
            return self.why.clone();
        }
        let places: Vec<&str> = self.not_issued.iter().map(String::as_str).collect();
        let requests = if self.followed_by == 1 { "request follows" } else { "requests follow" };
        let said = format!(
            "v2 did not issue {} of {route}: {} {requests} from it",
            places.join(", "),
            self.followed_by
        );
        if self.why.is_empty() { said } else { format!("{said}; {}", self.why) }
    }

    /// How it changed: the label, or what all its differences have in common where there are enough
    /// of them.
    fn shape(&self, label: &str) -> String {
        if label != "changed" {
            return label.to_owned();
        }
        let shape = match (self.pair.get(), self.factor.get(), self.step.get()) {
            (Some(pair), ..) if self.exchanges >= SAME => Some(pair),
            (None, Some(factor), _) => Some(factor),
            (None, None, Some(step)) if self.exchanges >= SAME => Some(step),
            _ => None,
        };
        shape.unwrap_or("changed").to_owned()
    }

    /// The cluster, without predicate and command line.
    pub(super) fn finish(&self, route: &str, stat: &Stat, compared: u64) -> Cluster {
        Cluster {
            id: self.example.cluster.clone(),
            route: route.to_owned(),
            kind: stat.kind,
            place: stat.general.clone(),
            shape: self.shape(&stat.label),
            class: self.class,
            why: self.why(route),
            differences: self.differences,
            exchanges: self.exchanges,
            compared,
            also_on: 0,
            cause: String::new(),
            only_where: None,
            first_at: self.first_at,
            last_at: self.last_at,
            followed_by: self.followed_by,
            not_issued: self.not_issued.iter().cloned().collect(),
            root: None,
            example: self.example.clone(),
            repeat: String::new(),
        }
    }
}
