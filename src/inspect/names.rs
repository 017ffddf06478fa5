//! Counts by name, bounded, from all cores at once.

use std::collections::BinaryHeap;
use std::hash::BuildHasher as _;
use std::sync::Mutex;

use rustc_hash::{FxBuildHasher, FxHashMap};

/// What is counted by name, where exchanges are rendered: on all cores at once. Of more names than
/// the bound those with the lowest hashes are told apart: which ones that are does not depend on
/// the order in which they come, and a name that is among them was so from its first time on.
pub(super) struct CountedByName<V> {
    parts: Vec<Mutex<NamedPart<V>>>,
    hasher: FxBuildHasher,
    most: usize,
}

#[derive(Default)]
struct NamedPart<V> {
    /// By the hashes of their names.
    known: FxHashMap<u64, (Box<[u8]>, V)>,
    /// The hashes, the highest first.
    hashes: BinaryHeap<u64>,
    /// All other names together.
    others: V,
}

/// What is counted of a name.
pub(super) trait Countable: Default {
    /// Adds what was counted elsewhere.
    fn merge(&mut self, other: Self);
}

impl Countable for u64 {
    fn merge(&mut self, other: Self) {
        *self += other;
    }
}

const PARTS: usize = 16;

impl<V: Countable> CountedByName<V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: FxBuildHasher,
            most: most / PARTS,
        }
    }

    /// Lets `count` count for `name`.
    pub(super) fn count(&self, name: &[u8], count: impl FnOnce(&mut V)) {
        let hash = self.hasher.hash_one(name);
        let mut part = self.parts[hash as usize >> 7 & (PARTS - 1)]
            .lock()
            .expect("no holder of this lock panics");
        let NamedPart { known, hashes, others } = &mut *part;
        // First what is quick to tell: most of very many names are not among those that are told
        // apart.
        let is_full = known.len() >= self.most;
        if is_full && hashes.peek().is_none_or(|highest| hash > *highest) {
            return count(others);
        }
        if let Some((other, value)) = known.get_mut(&hash) {
            // Two names of one hash do not happen by chance.
            return count(if **other == *name { value } else { others });
        }
        if is_full && let Some((_, value)) = hashes.pop().and_then(|highest| known.remove(&highest))
        {
            others.merge(value);
        }
        hashes.push(hash);
        count(&mut known.entry(hash).or_insert_with(|| (name.into(), V::default())).1);
    }

    /// All of it, and what was counted of the other names; nothing is left. By reference, since the
    /// threads that counted may let go of it a little later.
    pub(super) fn all(&self) -> (Vec<(Box<[u8]>, V)>, V) {
        let (mut all, mut sum) = (Vec::new(), V::default());
        for part in &self.parts {
            let NamedPart { known, others, .. } =
                std::mem::take(&mut *part.lock().expect("no holder of this lock panics"));
            all.extend(known.into_values());
            sum.merge(others);
        }
        (all, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_are_told_apart_does_not_depend_on_their_order() {
        let counted = |numbers: &mut dyn Iterator<Item = u32>| {
            let names = CountedByName::<u64>::new(8 * PARTS);
            numbers.for_each(|n| names.count(&(n % 1000).to_le_bytes(), |count| *count += 1));
            let (mut known, others) = names.all();
            known.sort();
            assert!(names.all().0.is_empty());
            (known, others)
        };
        let (known, others) = counted(&mut (0..3000));
        assert!(
            known.len() == 8 * PARTS && known.iter().all(|(_, count)| *count == 3),
            "{known:?}"
        );
        assert_eq!(others, 3 * (1000 - known.len() as u64));
        assert_eq!(counted(&mut (0..3000).rev()), (known, others));
    }
}
