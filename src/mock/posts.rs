//! Lists of calls, of which most have one call: without an allocation of its own for each.

use rustc_hash::FxHashMap;

/// Marks the number of a list of several calls.
const SEVERAL: u32 = 1 << 31;

/// Calls by a key, each list in the order in which it grew.
#[derive(Debug, Default)]
pub(super) struct Posts {
    /// The only call, or the number of a list.
    by_key: FxHashMap<u64, u32>,
    several: Vec<Vec<u32>>,
}

impl Posts {
    /// Adds a call behind the others of this key, where it is not the last of them already.
    pub(super) fn add(&mut self, key: u64, call: u32) {
        assert!(call < SEVERAL, "fewer calls than fit into memory");
        let Self { by_key, several } = self;
        let entry = by_key.entry(key).or_insert(call);
        if *entry == call {
            return;
        }
        if *entry & SEVERAL == 0 {
            several.push(vec![*entry]);
            *entry = SEVERAL | (several.len() - 1) as u32;
        }
        let list = &mut several[(*entry & !SEVERAL) as usize];
        if list.last() != Some(&call) {
            list.push(call);
        }
    }

    /// The calls of a key.
    pub(super) fn get(&self, key: u64) -> &[u32] {
        match self.by_key.get(&key) {
            None => &[],
            Some(several) if several & SEVERAL != 0 => &self.several[(several & !SEVERAL) as usize],
            Some(only) => std::slice::from_ref(only),
        }
    }

    /// All lists of several calls.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[u32]> {
        self.several.iter().map(Vec::as_slice)
    }

    /// Nothing more is added.
    pub(super) fn settle(&mut self) {
        self.by_key.shrink_to_fit();
        self.several.shrink_to_fit();
        self.several.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_back_by_their_keys_in_order_and_once() {
        let mut posts = Posts::default();
        for (key, call) in [(1, 0), (2, 0), (1, 0), (1, 3), (1, 3), (3, 4), (1, 5)] {
            posts.add(key, call);
        }
        posts.settle();
        assert_eq!(posts.get(1), [0, 3, 5]);
        assert_eq!(posts.get(2), [0]);
        assert_eq!(posts.get(3), [4]);
        assert!(posts.get(4).is_empty());
        assert_eq!(posts.lists().collect::<Vec<_>>(), [[0, 3, 5]]);
    }
}
