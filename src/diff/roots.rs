//! Values that v2 did not issue, and the requests that had to go with v1's in their place.
//!
//! Such a request tells nothing of v2: it asks for what v2 never gave. Outcomes name the answers
//! that should have issued their values; one that should have and could not, since it lacked a
//! value itself, leads on to the first of all. That one is the *root*, the rest follows from it.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use super::Kind;
use super::change::{Change, Sink};
use crate::limits::{ROOT_STEPS, UNBOUND_ROOTS};
use crate::message::place;
use crate::outcome::{ReplayId, Unbound};
use crate::record::outcomes::lacks_values;

/// A value that v2 did not issue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Root {
    /// The replayed request whose answer should have issued it.
    pub(super) id: ReplayId,
    /// Where it stands in v1's answer.
    pub(super) place: Box<str>,
    /// How many requests follow from it.
    pub(super) requests: u64,
}

impl Root {
    /// As outcomes name it.
    pub(super) fn unbound(&self) -> Unbound {
        Unbound { root: self.id, place: self.place.to_string() }
    }

    /// The place with numbers and names that are values as `[*]`.
    pub(super) fn general(&self) -> String {
        place::general_text(&self.place)
    }
}

/// All of them, and what follows from each.
#[derive(Default)]
pub(super) struct Roots {
    all: Vec<Root>,
    numbers: FxHashMap<Unbound, u32>,
    /// What each request lacks.
    lacking: FxHashMap<ReplayId, Vec<u32>>,
    /// The values that an answer should have issued.
    of_answer: FxHashMap<ReplayId, Vec<u32>>,
    /// Requests whose roots are beyond the bound.
    untold: FxHashSet<ReplayId>,
}

#[derive(Deserialize)]
struct LackingValue {
    unbound: Vec<Unbound>,
}

impl Roots {
    /// Notes what the outcome `id` lacks, which `line` says.
    pub(super) fn note(&mut self, id: ReplayId, line: &[u8]) {
        if !lacks_values(line) {
            return;
        }
        let Ok(LackingValue { unbound }) = serde_json::from_slice(line) else { return };
        let numbers: Vec<u32> =
            unbound.into_iter().filter_map(|unbound| self.number(unbound)).collect();
        if numbers.is_empty() {
            self.untold.insert(id);
        } else {
            self.lacking.insert(id, numbers);
        }
    }

    fn number(&mut self, unbound: Unbound) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&unbound) {
            return Some(number);
        }
        if self.all.len() >= UNBOUND_ROOTS {
            return None;
        }
        let number = self.all.len() as u32;
        let place = unbound.place.clone().into_boxed_str();
        self.all.push(Root { id: unbound.root, place, requests: 0 });
        self.numbers.insert(unbound, number);
        Some(number)
    }

    /// Follows each value to the first that was not issued, and counts. Called once, when all
    /// outcomes are noted.
    pub(super) fn settle(&mut self) {
        self.numbers = FxHashMap::default();
        let first: Vec<u32> =
            (0..self.all.len() as u32).map(|number| self.first_of(number)).collect();
        for numbers in self.lacking.values_mut() {
            numbers.iter_mut().for_each(|number| *number = first[*number as usize]);
            numbers.sort_unstable();
            numbers.dedup();
            for &number in &*numbers {
                self.all[number as usize].requests += 1;
            }
        }
        for (number, root) in self.all.iter().enumerate().filter(|(_, root)| root.requests > 0) {
            self.of_answer.entry(root.id).or_default().push(number as u32);
        }
    }

    /// The value for want of which another was not issued, for want of which … Records that lead
    /// in a circle end somewhere.
    fn first_of(&self, number: u32) -> u32 {
        let mut number = number;
        for _ in 0..ROOT_STEPS {
            match self.lacking.get(&self.all[number as usize].id) {
                Some(before) if before[0] != number => number = before[0],
                _ => break,
            }
        }
        number
    }

    /// How many requests follow from values of answers that `met` does not know as v2's.
    pub(super) fn unsent(&self, met: &FxHashMap<u32, Met>) -> u64 {
        let unsent = |number: usize| met.get(&(number as u32)).is_none_or(|met| met.unsent);
        let all = self.all.iter().enumerate().filter(|(number, _)| unsent(*number));
        all.map(|(_, root)| root.requests).sum()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Root> {
        self.all.get(number as usize)
    }

    /// Whether a request lacked a value, and the first one of these.
    pub(super) fn of(&self, id: ReplayId) -> Option<Option<u32>> {
        match self.lacking.get(&id) {
            Some(numbers) => Some(numbers.first().copied()),
            None => self.untold.contains(&id).then_some(None),
        }
    }

    /// The values that an answer should have issued, by number.
    pub(super) fn of_answer(&self, id: ReplayId) -> &[u32] {
        self.of_answer.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Finds in the changes of an answer those that show that its values were not issued, and adds
    /// one where none does: by number of the change and of the root.
    pub(super) fn shown_in(&self, id: ReplayId, sink: &mut Sink) -> Vec<(u32, u32)> {
        let mut shown = Vec::new();
        for &number in self.of_answer(id) {
            let root = &self.all[number as usize];
            let at = sink.changes.iter().position(|change| shows(change, &root.place));
            let at = at.unwrap_or_else(|| {
                sink.changes.push(not_issued(root));
                sink.changes.len() - 1
            });
            shown.push((at as u32, number));
        }
        shown
    }
}

/// Whether a change says why no value stands at `place`: no such answer, or nothing there.
fn shows(change: &Change, place: &str) -> bool {
    let gone = change.label == "removed" || change.label.contains('→');
    match change.kind {
        Kind::Failure => true,
        Kind::Status => change.label.split_once('→').is_some_and(|(a, b)| a.get(..1) != b.get(..1)),
        Kind::Header | Kind::Missing | Kind::Body => gone && holds(&change.place, place),
        Kind::Identity => false,
    }
}

/// Whether what stands at a place of the diff holds what stands at `place` of an answer.
fn holds(changed: &str, place: &str) -> bool {
    let bare = match place.split_once(':') {
        Some(("header", name)) => return name == changed,
        Some(("cookie", name)) => return changed.strip_prefix("set-cookie:") == Some(name),
        _ => place,
    };
    changed == "body"
        || bare
            .strip_prefix(changed)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', ' ', '/']))
}

fn not_issued(root: &Root) -> Change {
    let general = root.general();
    Change {
        kind: Kind::Missing,
        place: root.place.to_string(),
        place_hash: super::change::hash_place(&general),
        general,
        label: NOT_ISSUED.into(),
        expected: None,
        actual: None,
        look: super::change::Look::Plain,
        parts: Vec::new(),
        numbers: None,
    }
}

/// How a value changed that v2 did not issue, where nothing else says so.
pub(super) const NOT_ISSUED: &str = "not issued";

/// What the walk over the exchanges finds out about a root.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    /// The route of its answer.
    pub(super) route: Option<Arc<str>>,
    /// Whether its request did not reach v2.
    pub(super) unsent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, lacks: &[(&str, &str)]) -> Vec<u8> {
        let unbound: Vec<String> = lacks
            .iter()
            .map(|(root, place)| format!("{{\"root\":\"{root}\",\"place\":\"{place}\"}}"))
            .collect();
        format!("{{\"id\":\"{id}\",\"unbound\":[{}],\"due_ns\":0}}", unbound.join(",")).into_bytes()
    }

    fn roots(lines: &[(&str, &[(&str, &str)])]) -> Roots {
        let mut roots = Roots::default();
        for (id, lacks) in lines {
            roots.note(id.parse().unwrap(), &line(id, lacks));
        }
        roots.settle();
        roots
    }

    #[test]
    fn what_lacks_a_value_follows_from_the_first_that_was_not_issued() {
        let roots = roots(&[
            ("1-1", &[("0-1", "$.token")]),
            ("1-2", &[("1-1", "$.id"), ("0-1", "$.token")]),
            ("1-3", &[("1-2", "$.id")]),
        ]);
        let of = |id: &str| roots.of(id.parse().unwrap()).flatten().and_then(|n| roots.get(n));
        for id in ["1-1", "1-2", "1-3"] {
            let root = of(id).unwrap();
            assert_eq!((root.id.to_string().as_str(), &*root.place), ("0-1", "$.token"), "{id}");
            assert_eq!(root.requests, 3);
        }
        assert!(roots.of("0-1".parse().unwrap()).is_none());
        assert_eq!(roots.of_answer("1-1".parse().unwrap()), [0_u32; 0], "it follows itself");
    }

    #[test]
    fn records_that_lead_in_a_circle_end() {
        let roots = roots(&[("1-1", &[("1-2", "$.a")]), ("1-2", &[("1-1", "$.b")])]);
        assert!(roots.of("1-1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_change_shows_a_root_where_it_tells_that_nothing_stands_there() {
        for (changed, place, holds_it) in [
            ("$.data", "$.data.token", true),
            ("$.data.token", "$.data.token", true),
            ("$.dat", "$.data.token", false),
            ("$", "$.token", true),
            ("etag", "header:etag", true),
            ("set-cookie:sid", "cookie:sid", true),
            ("set-cookie:sid", "cookie:si", false),
        ] {
            assert_eq!(holds(changed, place), holds_it, "{changed} {place}");
        }
        let roots = roots(&[("1-1", &[("0-1", "$.items[2].id")])]);
        let mut sink = Sink::default();
        assert_eq!(roots.shown_in("0-1".parse().unwrap(), &mut sink), [(0, 0)]);
        assert_eq!(
            (sink.changes[0].general.as_str(), sink.changes[0].label.as_ref()),
            ("$.items[*].id", NOT_ISSUED)
        );
    }
}
