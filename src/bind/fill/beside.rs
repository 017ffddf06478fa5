//! Which element of v2's lists is which of v1's, by what stands beside their new ids.
//!
//! A list may have no order of its own: that of random ids, or of a set of them. Its elements are
//! told by the rest of what they say: a value that few elements have tells more than one that all
//! have. An element that nothing tells from another has no mate here, and lists pair it by turns.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::text_hash;
use crate::bind::Birth;
use crate::message::place::{Step, Trail, is_variable};

/// Values of an answer that are kept to tell elements by.
const VALUES: usize = 4096;
/// Values of one element.
const OF_ONE: usize = 32;
/// Pairs of elements with one value, beyond which it tells nothing.
const PAIRS: usize = 4096;

/// What the elements of lists say, where values are born in several of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// By the element's place: that of its list, generalised, and what it says.
    of: FxHashMap<u64, Element>,
    /// How many values are kept.
    kept: usize,
}

/// What an element says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Element {
    general: u64,
    /// Where within the element, and which text.
    says: Vec<(u64, u64)>,
}

/// Generalised places of elements in which values are born.
pub(super) struct Wanted(FxHashSet<u64>);

impl Wanted {
    /// Of lists in which more than one of `births` stands.
    pub(super) fn of(births: &[Birth]) -> Self {
        let mut first: FxHashMap<u64, u64> = FxHashMap::default();
        let mut wanted = FxHashSet::default();
        for (at, general) in births.iter().filter_map(|birth| birth.place.element()) {
            if *first.entry(general).or_insert(at) != at {
                wanted.insert(general);
            }
        }
        Self(wanted)
    }

    /// Names the innermost such element that a value is in.
    pub(super) fn element(&self, at: &Trail<'_>) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        let mut above = Some(at);
        while let Some(trail) = above {
            if matches!(trail.last(), Step::Index(_)) {
                return self.0.contains(&trail.general()).then(|| trail.hash());
            }
            above = trail.before();
        }
        None
    }
}

impl Elements {
    /// Takes note of a value.
    pub(super) fn add(&mut self, wanted: &Wanted, at: &Trail<'_>, text: &str) {
        if wanted.0.is_empty() || self.kept >= VALUES {
            return;
        }
        let mut above = Some(at);
        while let Some(trail) = above {
            above = trail.before();
            if !matches!(trail.last(), Step::Index(_)) || !wanted.0.contains(&trail.general()) {
                continue;
            }
            let element = self.of.entry(trail.hash()).or_insert_with(|| {
                let says = names_above(trail);
                Element { general: trail.general(), says }
            });
            if element.says.len() < OF_ONE {
                let within = at.general() ^ trail.general();
                element.says.push((within, text_hash(None, text)));
                self.kept += 1;
            }
        }
    }

    /// The elements of `theirs` by those of v1's that they are, where what they say tells. `as_v2`
    /// tells what v2 says for a text of v1's, by their hashes, where that is bound.
    pub(super) fn mates(
        &self,
        theirs: &Self,
        as_v2: impl Fn(u64) -> Option<u64>,
    ) -> FxHashMap<u64, u64> {
        let mut who: FxHashMap<(u64, u64, u64), Vec<u64>> = FxHashMap::default();
        for (at, element) in &theirs.of {
            for (within, text) in &element.says {
                who.entry((element.general, *within, *text)).or_default().push(*at);
            }
        }
        let mut count: FxHashMap<(u64, u64, u64), usize> = FxHashMap::default();
        let said = |element: &Element| {
            let key = |(within, text): &(u64, u64)| {
                (element.general, *within, as_v2(*text).unwrap_or(*text))
            };
            element.says.iter().map(key).collect::<Vec<_>>()
        };
        let ours: Vec<(u64, Vec<_>)> = self.of.iter().map(|(at, e)| (*at, said(e))).collect();
        ours.iter().flat_map(|(_, says)| says).for_each(|key| *count.entry(*key).or_default() += 1);
        let mut likeness: FxHashMap<(u64, u64), f64> = FxHashMap::default();
        for (at, says) in &ours {
            for key in says {
                let Some(others) = who.get(key) else { continue };
                if others.len() * count[key] <= PAIRS {
                    let tells = 1.0 / (others.len().max(count[key]) as f64);
                    others.iter().for_each(|o| *likeness.entry((*at, *o)).or_default() += tells);
                }
            }
        }
        mutual(&likeness)
    }
}

/// Names on the way to an element that are values, as in a map from ids to lists.
fn names_above(element: &Trail<'_>) -> Vec<(u64, u64)> {
    let name = |step: &Step<'_>| match step {
        Step::Name(name) if is_variable(name) => Some((0, text_hash(None, name))),
        _ => None,
    };
    element.steps().into_iter().filter_map(name).collect()
}

/// Pairs of which each is liker to the other than to any other.
fn mutual(likeness: &FxHashMap<(u64, u64), f64>) -> FxHashMap<u64, u64> {
    /// How much liker the likest must be: sums of shares are not exact.
    const MORE: f64 = 1e-9;
    let best = |side: fn(&(u64, u64)) -> (u64, u64)| {
        let mut best: FxHashMap<u64, (u64, f64, bool)> = FxHashMap::default();
        for (pair, &like) in likeness {
            let (own, other) = side(pair);
            let found = best.entry(own).or_insert((other, like, true));
            if found.0 != other {
                if like > found.1 + MORE {
                    *found = (other, like, true);
                } else if like > found.1 - MORE {
                    found.2 = false;
                }
            }
        }
        best
    };
    let (ours, theirs) = (best(|pair| *pair), best(|pair| (pair.1, pair.0)));
    let is_mate = |(at, (other, _, alone)): (&u64, &(u64, f64, bool))| {
        let back = theirs.get(other)?;
        (*alone && back.2 && back.0 == *at).then_some((*at, *other))
    };
    ours.iter().filter_map(is_mate).collect()
}
