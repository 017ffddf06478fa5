//! The recorded call that is nearest to one of v2's that none equals: which may be, how near each
//! is, and why one is no answer however near.

use super::features::{Feature, PackedFeatures, Weight};
use super::matcher::{
    CANDIDATES, Causes, Exhausted, FoundCall, MatchPolicy, MissReason, Prepared, Stock, Tier, both,
};
use super::naming::Names;
use super::recording::CallRecording;

/// Calls with a value that more than this many others have are not looked for by that value.
const POSTING_LONG: usize = 2_000;
/// Least score of a write that says the same of other values.
const ALIKE: f64 = 0.75;
/// How much it counts for the nearest call to be of the cause that the call's own trace names.
const TRACED: f64 = 3.0;
/// The same for one of the exchanges that are at v2 now.
const AT_V2: f64 = 1.5;

impl CallRecording {
    pub(super) fn find_nearest(
        &self,
        prepared: &Prepared,
        changes: bool,
        policy: &MatchPolicy,
        stock: &mut Stock,
    ) -> FoundCall {
        let (features, causes) = (&prepared.taken.features, &prepared.causes);
        // The best of each group, best first.
        let mut best: Vec<(f64, u32)> = Vec::new();
        // The best of those that are no answer to this call, however near they are.
        let mut barred: Option<(f64, u32, MissReason)> = None;
        for index in self.candidates(features, prepared.scope, causes) {
            let call = &self.calls[index as usize];
            let mut score = self.score(features, index, prepared.scope, causes);
            if changes && is_said_alike(features, self.features(call)) {
                score = score.max(policy.threshold.min(ALIKE));
            }
            if let Some(reason) = self.bar(prepared, changes, index, stock) {
                if barred.is_none_or(|(known, ..)| known < score) {
                    barred = Some((score, index, reason));
                }
                continue;
            }
            match best.iter_mut().find(|(_, other)| self.calls[*other as usize].group == call.group)
            {
                Some(known) if known.0 >= score => {}
                Some(known) => *known = (score, index),
                None => best.push((score, index)),
            }
        }
        best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let Some(&(score, index)) = best.first() else {
            let (nearest, reason) = match barred {
                Some((score, index, reason)) => (Some((index, score)), reason),
                None => (None, MissReason::Far),
            };
            return FoundCall::Miss { nearest, reason };
        };
        if score < policy.threshold {
            return FoundCall::Miss { nearest: Some((index, score)), reason: MissReason::Far };
        }
        let near = || best.iter().take_while(|next| next.0 > score - policy.margin);
        let mut index = index;
        if near().nth(1).is_some() {
            // Of writes that say the same of other values the next one is meant: v1 and v2 make
            // them in the same order.
            let is_next = |next: &u32| {
                let theirs = self.features(&self.calls[*next as usize]);
                changes && stock.is_free(self, *next) && is_said_alike(features, theirs)
            };
            match near().map(|next| next.1).filter(is_next).min() {
                Some(next) => index = next,
                None => {
                    let nearest = Some((index, score));
                    return FoundCall::Miss { nearest, reason: MissReason::Ambiguous };
                }
            }
        }
        let group = self.calls[index as usize].group;
        let mut equal = self.own_calls(group, causes);
        if equal.is_empty() {
            equal = self.most_telling(self.group(group).iter().copied().take(CANDIDATES), features);
        }
        let pick = self.next_of(&equal, &mut 0, stock);
        if pick.again && policy.exhausted == Exhausted::Miss {
            return FoundCall::Miss {
                nearest: Some((pick.index, score)),
                reason: MissReason::Exhausted,
            };
        }
        FoundCall::Answer {
            index: pick.index,
            tier: Tier::Nearest,
            score,
            again: pick.again,
            takes: true,
        }
    }

    /// Why a recorded call is no answer to this one although it is like it: it was answered by
    /// another condition, or it is about another thing. Of a read nothing may differ but what is
    /// known to vary; of a write nothing that names a thing, unless both have one cause.
    fn bar(
        &self,
        prepared: &Prepared,
        changes: bool,
        index: u32,
        stock: &Stock,
    ) -> Option<MissReason> {
        let call = &self.calls[index as usize];
        let condition = self.condition(index);
        if condition.is_some() && condition != prepared.taken.condition {
            return Some(MissReason::NotModified);
        }
        if changes && Self::one_cause(&prepared.causes, call) {
            return None;
        }
        if changes && self.is_to_come(&prepared.causes, index, stock) {
            return Some(MissReason::Other);
        }
        let must_be_equal = |feature: Feature| match feature.weight {
            Weight::Volatile => !changes && feature.names != Names::No,
            Weight::Identifier => true,
            Weight::Plain | Weight::Context => !changes,
        };
        let mut other = false;
        both(&prepared.taken.features, self.features(call), |mine, theirs| {
            other |= match (mine, theirs) {
                (Some(mine), Some(theirs)) if mine.value == theirs.value => false,
                (Some(mine), Some(theirs)) if mine.kind == theirs.kind => {
                    self.names_another(prepared, call, mine, theirs, stock)
                }
                (Some(mine), Some(theirs)) => must_be_equal(mine) || must_be_equal(theirs),
                // A write that says more or less is still the same write.
                (one, other) => {
                    !changes
                        && one
                            .or(other)
                            .filter(|one| one.weight != Weight::Context)
                            .is_some_and(must_be_equal)
                }
            };
        });
        other.then_some(MissReason::Other)
    }

    /// Calls that may be the nearest: of the same cause, and those that share the request's rarest
    /// values.
    fn candidates(&self, features: &[Feature], scope: u64, causes: &Causes) -> Vec<u32> {
        let Some(aim) = self.aim(scope) else { return vec![] };
        let mut calls: Vec<u32> = Vec::new();
        if let Some(cause) = causes.traced {
            calls.extend(self.near_cause(scope, cause).iter().take(CANDIDATES));
        }
        for of_open in causes.open.iter().map(|&number| self.near_ingress(scope, number)) {
            calls.extend(of_open.iter().take(CANDIDATES.saturating_sub(calls.len())));
        }
        let mut postings: Vec<&[u32]> =
            features.iter().map(|feature| aim.postings.get(feature.value)).collect();
        postings.retain(|posting| !posting.is_empty());
        postings.sort_by_key(|posting| posting.len());
        for posting in postings {
            if calls.len() >= CANDIDATES || posting.len() > POSTING_LONG && !calls.is_empty() {
                break;
            }
            calls.extend(posting.iter().take(CANDIDATES - calls.len()));
        }
        if calls.is_empty() {
            calls.extend(aim.calls.iter().take(CANDIDATES));
        }
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// The share of what the two have in common of what either has, by weight. A varying value that
    /// is equal by kind only says nothing.
    fn score(&self, features: &[Feature], index: u32, scope: u64, causes: &Causes) -> f64 {
        let call = &self.calls[index as usize];
        let Some(aim) = self.aim(scope) else { return 0.0 };
        let (mut common, mut all) = (0.0_f64, 0.0_f64);
        match (causes.traced, call.cause, call.caused_by) {
            (Some(mine), Some(theirs), _) => {
                all += TRACED;
                common += if mine == theirs { TRACED } else { 0.0 };
            }
            (None, _, Some(theirs)) if !causes.open.is_empty() => {
                all += AT_V2;
                common += if causes.open.contains(&theirs) { AT_V2 } else { 0.0 };
            }
            _ => {}
        }
        let weight = |feature: Feature| -> f64 {
            let having = aim.postings.get(feature.value).len();
            match feature.weight {
                Weight::Identifier | Weight::Volatile => 2.5,
                Weight::Plain if aim.calls.len() >= 4 && having * 2 > aim.calls.len() => 0.5,
                Weight::Plain | Weight::Context => 1.0,
            }
        };
        both(features, self.features(call), |mine, theirs| match (mine, theirs) {
            (Some(mine), Some(theirs)) if mine.value == theirs.value => {
                common += weight(mine);
                all += weight(mine);
            }
            (Some(mine), Some(theirs)) if mine.kind == theirs.kind => {}
            (Some(mine), Some(theirs)) => all += weight(mine).max(weight(theirs)),
            (one, other) => {
                let counts = |feature: &Feature| feature.weight != Weight::Context;
                all += one.or(other).filter(counts).map_or(0.0, weight);
            }
        });
        if all > 0.0 { common / all } else { 0.0 }
    }
}

/// Whether two calls have the same places, whatever their values.
fn is_said_alike(a: &[Feature], b: PackedFeatures<'_>) -> bool {
    let place = |at| b.get(at).map(|theirs| theirs.place);
    a.len() == b.len() && a.iter().enumerate().all(|(at, mine)| place(at) == Some(mine.place))
}
