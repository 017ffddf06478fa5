//! Clusters as people get them: ranked, with the predicate that separates their exchanges from the
//! others of their route, and a command line that repeats one.

use std::collections::hash_map::Entry;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::Engine;
use super::settings::{DiffError, reading};
use crate::diff::account::{Account, ComparedSide};
use crate::diff::cluster::{self, Drafts, MemberSet};
use crate::diff::judging::Lacking;
use crate::diff::predicate::{FEWEST, Features, Tally, candidates};
use crate::diff::survey::NONE;
use crate::diff::{Cluster, repeat};
use crate::exchange::Exchange;
use crate::record::exchanges::{self, Line};
use crate::record::lines::read_at;

/// Exchanges that may be read again in search of predicates, largest clusters first.
const PREDICATE_READS: usize = 400_000;
/// Exchanges from which a predicate is made, of each side.
const PREDICATE_SAMPLES: usize = 300;
/// Exchanges on which a predicate is tried, of each side.
const PREDICATE_TRIALS: usize = 5_000;
impl Engine<'_> {
    /// The clusters with predicates and command lines, ranked.
    pub(super) fn clusters(
        &self,
        drafts: &Drafts,
        account: &Account,
        route_of: &[u32],
        regressed: &MemberSet,
        lacking: &Lacking<'_>,
    ) -> Result<Vec<Cluster>, DiffError> {
        let mut clusters: Vec<(usize, Cluster)> = drafts
            .drafts
            .iter()
            .enumerate()
            .map(|(at, draft)| {
                let stat = &account.stats[draft.key as usize];
                let counts = &account.routes[stat.route as usize];
                let follows = if draft.cause.is_some() { counts.unbound } else { 0 };
                let compared = counts.compared[ComparedSide::Live as usize] + follows;
                let cluster = draft.finish(&counts.name, stat, compared);
                let root = draft.cause.and_then(|cause| lacking.cluster(cause)).cloned();
                (at, Cluster { root, ..cluster })
            })
            .collect();
        clusters.sort_by(|(_, a), (_, b)| {
            a.class
                .cmp(&b.class)
                .then(b.exchanges.cmp(&a.exchanges))
                .then(b.differences.cmp(&a.differences))
                .then_with(|| {
                    (&a.route, &a.place, &a.shape, a.kind)
                        .cmp(&(&b.route, &b.place, &b.shape, b.kind))
                })
        });
        cluster::count_routes(&mut clusters);
        let mut reads = PREDICATE_READS;
        let unharmed = unharmed(route_of, regressed);
        // One exchange may be the example of many clusters.
        let mut repeats: FxHashMap<u32, String> = FxHashMap::default();
        for (at, cluster) in &mut clusters {
            let draft = &drafts.drafts[*at];
            cluster.repeat = match repeats.entry(draft.example_rank) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(self.repeat(draft.example_rank)?).clone(),
            };
            if reads > 0
                && (FEWEST..cluster.compared).contains(&cluster.exchanges)
                && let Some(members) = &draft.members
            {
                let route = account.stats[draft.key as usize].route;
                let others = unharmed.get(&route).map_or(&[][..], Vec::as_slice);
                cluster.only_where = self.predicate(members, others, &mut reads)?;
            }
        }
        Ok(clusters.into_iter().map(|(_, cluster)| cluster).collect())
    }

    /// The command line that repeats the exchange of a rank; empty where it cannot be read.
    fn repeat(&self, rank: u32) -> Result<String, DiffError> {
        let Some(exchange) = self.exchange(rank)? else { return Ok(String::new()) };
        let Some(request) = &exchange.request else { return Ok(String::new()) };
        let id = exchange.id.to_string();
        let (target, mapped) = self.outcomes.target_of(&request.message);
        Ok(repeat::at(target, mapped, &request.message, &self.settings.masker, &id))
    }

    /// The exchange of a rank; none where its line cannot be read.
    pub(super) fn exchange(&self, rank: u32) -> Result<Option<Box<Exchange>>, DiffError> {
        let (offset, length) = self.survey.places[rank as usize];
        let line = read_at(&self.exchanges, offset, length).map_err(reading("exchanges.jsonl"))?;
        Ok(match exchanges::read(&line) {
            Ok(Line::Exchange(exchange)) => Some(exchange),
            _ => None,
        })
    }

    /// What the requests of `members` have in common and those of `outside`, of the same route,
    /// have not.
    fn predicate(
        &self,
        members: &MemberSet,
        outside: &[u32],
        reads: &mut usize,
    ) -> Result<Option<String>, DiffError> {
        let inside: Vec<u32> = members.ranks().collect();
        let mut features = |ranks: Vec<u32>| -> Result<Vec<Features>, DiffError> {
            *reads = reads.saturating_sub(ranks.len());
            let one = |rank: u32| {
                let exchange = self.exchange(rank)?;
                Ok(exchange
                    .map(|exchange| Features::of(&exchange, &self.readings, &self.settings.masker))
                    .unwrap_or_default())
            };
            ranks.into_par_iter().map(one).collect()
        };
        let found = candidates(
            &features(spread(&inside, PREDICATE_SAMPLES))?,
            &features(spread(outside, PREDICATE_SAMPLES))?,
        );
        if found.is_empty() {
            return Ok(None);
        }
        let inside = features(spread(&inside, PREDICATE_TRIALS))?;
        let outside = features(spread(outside, PREDICATE_TRIALS))?;
        for predicate in found.iter().take(8) {
            let mut tally = Tally::default();
            inside.iter().for_each(|features| tally.count(predicate, features, true));
            outside.iter().for_each(|features| tally.count(predicate, features, false));
            if tally.is_sharp() {
                return Ok(Some(tally.text(predicate)));
            }
        }
        Ok(None)
    }
}

/// The exchanges of each route that no regression is of.
fn unharmed(route_of: &[u32], regressed: &MemberSet) -> FxHashMap<u32, Vec<u32>> {
    let mut routes: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (rank, &route) in route_of.iter().enumerate().filter(|(_, route)| **route != NONE) {
        if !regressed.contains(rank as u32) {
            routes.entry(route).or_default().push(rank as u32);
        }
    }
    routes
}

/// At most `most` of `ranks`, spread evenly.
fn spread(ranks: &[u32], most: usize) -> Vec<u32> {
    let step = ranks.len().div_ceil(most).max(1);
    ranks.iter().copied().step_by(step).collect()
}
