//! Lists of things that both versions name in their own way: which thing is which, and whether a
//! list's order says more than that of its ids.
//!
//! A list that stands in the order of its ids has no order of its own: v2's ids are others, and so
//! is the order. Whatever the format: arrays, elements of markup, values of one form field, members
//! of a header field.

use std::cmp::Ordering;

use rustc_hash::{FxHashMap, FxHashSet};

use super::bindings::Bound;
use super::nouns::Named;

/// How two lists of ids name the same things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Same {
    /// For each of v1's, where v2 names it.
    pub(super) places: Vec<usize>,
    /// Whether the order is the same, or on both sides that of the ids.
    pub(super) in_order: bool,
    /// Whether the order is none in v1's and in v2's: not that in which they were issued.
    pub(super) shuffled: [bool; 2],
}

/// How two lists name the same things; none where they do not, or where nothing in them is bound.
/// `things`: what a value there may name.
pub(super) fn same(
    bound: Bound<'_>,
    left: &[String],
    right: &[String],
    things: &Named,
) -> Option<Same> {
    if left.len() != right.len() || left.len() < 2 {
        return None;
    }
    let twins: Vec<Option<u64>> = left.iter().map(|text| bound.twin(text, things)).collect();
    if twins.iter().all(Option::is_none) {
        return None;
    }
    let mut theirs: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (index, text) in right.iter().enumerate().rev() {
        theirs.entry(Bound::name(text)).or_default().push(index);
    }
    let place = |(text, twin): (&String, &Option<u64>)| {
        theirs.get_mut(&twin.unwrap_or_else(|| Bound::name(text)))?.pop()
    };
    let places = left.iter().zip(&twins).map(place).collect::<Option<Vec<_>>>()?;
    let in_order = places.is_sorted() || both_in_order(left, right);
    let shuffled = if in_order { None } else { shuffled(bound, left, &places, things) };
    Some(Same { places, in_order, shuffled: shuffled.unwrap_or_default() })
}

/// Fewest things of which an order can be told from none: two always rise or fall.
pub(super) const FEWEST: usize = 3;

/// Whether things stand in another order than that in which they were issued, forwards or
/// backwards, at v1 and at v2, whose `places` they have; none where too few answers issued them, or
/// some are not bound: nothing is known then.
pub(super) fn shuffled(
    bound: Bound<'_>,
    left: &[String],
    places: &[usize],
    things: &Named,
) -> Option<[bool; 2]> {
    let ranks = left.iter().map(|text| bound.rank(text, things)).collect::<Option<Vec<u32>>>()?;
    if ranks.iter().collect::<FxHashSet<_>>().len() < FEWEST {
        return None;
    }
    let mut theirs: Vec<(usize, u32)> = places.iter().copied().zip(ranks.clone()).collect();
    theirs.sort_unstable();
    let theirs: Vec<u32> = theirs.into_iter().map(|(_, rank)| rank).collect();
    Some([!is_ordered(&ranks), !is_ordered(&theirs)])
}

/// Whether values rise or fall.
pub(super) fn is_ordered<T: PartialOrd>(values: &[T]) -> bool {
    values.is_sorted() || values.iter().rev().is_sorted()
}

/// Whether two lists of ids both rise, or both fall: each as numbers where they are some.
pub(super) fn both_in_order(left: &[String], right: &[String]) -> bool {
    let rises = |keys: &[String]| {
        let numbers: Option<Vec<f64>> = keys.iter().map(|key| key.parse().ok()).collect();
        let compare = |at: usize| match &numbers {
            Some(numbers) => numbers[at].total_cmp(&numbers[at + 1]),
            None => keys[at].cmp(&keys[at + 1]),
        };
        let all = |way: Ordering| (0..keys.len().saturating_sub(1)).all(|at| compare(at) != way);
        [all(Ordering::Greater), all(Ordering::Less)]
    };
    let (left, right) = (rises(left), rises(right));
    left[0] && right[0] || left[1] && right[1]
}
