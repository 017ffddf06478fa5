//! What v2 issued in place of v1's values: a table of slots for each side and copy, so that copies
//! are users of their own. A value is kept until its last use has gone.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bind::Birth;
use crate::bind::fill::take::Known;
use crate::bind::fill::text_hash;
use crate::outcome::Unbound;
use crate::replay::task::Side;

/// Which world a value is of: side and copy.
pub(super) type World = (Side, u32);

/// How many uses of each slot the plan sends, for one copy; [`u8::MAX`] stands for that many or
/// more.
pub(in crate::replay) type Uses = Vec<u8>;

/// A value of v1's at v2.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) old: Box<str>,
    /// What v2 issued.
    pub(super) new: Option<Box<str>>,
    /// Where it did not, what that follows from.
    pub(super) roots: Arc<[Unbound]>,
    text: u64,
    issued: Option<u64>,
    left: u8,
}

/// All slots that are still of use.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: FxHashMap<(World, u32), Slot>,
    by_text: FxHashMap<(World, u64), u32>,
    /// How many slots have what v2 issued, by its hash.
    issued: FxHashMap<(World, u64), u32>,
}

impl Slots {
    /// What is known of a value.
    pub(super) fn get(&self, world: World, slot: u32) -> Option<&Slot> {
        self.slots.get(&(world, slot))
    }

    /// An answer of v2's issued `new` for a birth, or nothing, which follows from `roots`. What was
    /// issued before is kept where an answer lacks it. Gives whether it is news.
    pub(super) fn put(
        &mut self,
        world: World,
        birth: &Birth,
        new: Option<Box<str>>,
        roots: &Arc<[Unbound]>,
        uses: &[u8],
    ) -> bool {
        let hash_of = |text: &str| text_hash(birth.thing.as_deref(), text);
        if let Some(known) = self.slots.get_mut(&(world, birth.slot)) {
            if new.is_none() || known.new == new {
                return false;
            }
            let hash = new.as_deref().map(hash_of);
            let before = std::mem::replace(&mut known.issued, hash);
            (known.new, known.roots) = (new, Arc::clone(roots));
            self.forget(world, before);
            self.note(world, hash);
            return true;
        }
        let left = uses.get(birth.slot as usize).copied().unwrap_or(0);
        if left > 0 {
            let text = text_hash(birth.thing.as_deref(), &birth.text);
            let roots = Arc::clone(roots);
            let issued = new.as_deref().map(hash_of);
            self.note(world, issued);
            let slot = Slot { old: birth.text.clone(), new, roots, text, issued, left };
            self.slots.insert((world, birth.slot), slot);
            self.by_text.insert((world, text), birth.slot);
        }
        true
    }

    /// A use of a value has gone.
    pub(super) fn used(&mut self, world: World, slot: u32) {
        let Some(known) = self.slots.get_mut(&(world, slot)) else { return };
        if known.left == u8::MAX {
            return;
        }
        known.left = known.left.saturating_sub(1);
        if known.left == 0 {
            let (text, issued) = ((world, known.text), known.issued);
            if self.by_text.get(&text) == Some(&slot) {
                self.by_text.remove(&text);
            }
            self.slots.remove(&(world, slot));
            self.forget(world, issued);
        }
    }

    fn note(&mut self, world: World, issued: Option<u64>) {
        if let Some(issued) = issued {
            *self.issued.entry((world, issued)).or_default() += 1;
        }
    }

    fn forget(&mut self, world: World, issued: Option<u64>) {
        let Some(key) = issued.map(|issued| (world, issued)) else { return };
        match self.issued.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.issued.remove(&key)),
        }
    }

    /// What is known in one world.
    pub(super) const fn of(&self, world: World) -> InWorld<'_> {
        InWorld { slots: self, world }
    }
}

/// The values of one world, by what v1 called them.
pub(super) struct InWorld<'s> {
    slots: &'s Slots,
    world: World,
}

impl Known for InWorld<'_> {
    fn bound(&self, text: u64) -> Option<&str> {
        let slot = *self.slots.by_text.get(&(self.world, text))?;
        self.slots.get(self.world, slot)?.new.as_deref()
    }

    fn is_issued(&self, text: u64) -> bool {
        self.slots.issued.contains_key(&(self.world, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth(slot: u32, text: &str) -> Birth {
        let place = "$.id".parse().expect("a place");
        Birth { slot, place, range: None, text: text.into(), thing: None, flow: Some(0) }
    }

    #[test]
    fn worlds_are_apart_and_values_go_with_their_last_use() {
        let (none, mut slots): (Arc<[Unbound]>, _) = (Arc::from([]), Slots::default());
        let (one, two) = ((Side::Target, 1), (Side::Baseline, 1));
        let uses = [2, 0];
        assert!(slots.put(one, &birth(0, "a"), Some("x".into()), &none, &uses));
        assert!(slots.put(two, &birth(0, "a"), Some("y".into()), &none, &uses));
        assert!(slots.put(one, &birth(1, "b"), Some("z".into()), &none, &uses));
        let hash = text_hash(None, "a");
        assert_eq!((slots.of(one).bound(hash), slots.of(two).bound(hash)), (Some("x"), Some("y")));
        assert!(slots.get(one, 1).is_none(), "nobody uses it");
        assert!(!slots.put(one, &birth(0, "a"), None, &none, &uses), "what was issued stays");
        assert!(slots.put(one, &birth(0, "a"), Some("x2".into()), &none, &uses), "issued anew");
        slots.used(one, 0);
        assert_eq!(slots.of(one).bound(hash), Some("x2"));
        assert!(slots.of(one).is_issued(text_hash(None, "x2")));
        assert!(!slots.of(one).is_issued(text_hash(None, "x")));
        slots.used(one, 0);
        assert!(!slots.of(one).is_issued(text_hash(None, "x2")));
        assert_eq!((slots.of(one).bound(hash), slots.of(two).bound(hash)), (None, Some("y")));
    }
}
