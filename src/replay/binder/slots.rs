//! What v2 issued in place of v1's values: a table of slots for each side and copy, so that copies
//! are users of their own. A value is kept until its last use has gone.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bind::Birth;
use crate::bind::fill::take::Known;
use crate::bind::fill::text_hash;
use crate::outcome::Unbound;
use crate::replay::side::TargetSide;

/// Which world a value is of: side and copy.
pub(super) type World = (TargetSide, u32);

/// How many uses of each slot the plan sends, for one copy; [`u8::MAX`] stands for that many or
/// more.
pub(in crate::replay) type Uses = Vec<u8>;

/// Most texts that are remembered twice over: what comes again within so many is known.
const REMEMBERED: usize = 1 << 19;

/// A value of v1's at v2.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) old: Box<str>,
    /// What v2 issued.
    pub(super) new: Option<Box<str>>,
    /// Where it did not, what that follows from.
    pub(super) roots: Arc<[Unbound]>,
    left: u8,
}

/// All slots that are still of use, and what is known of texts: a listing shows a value again that
/// has gone with its last use.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: FxHashMap<(World, u32), Slot>,
    /// What v2 issued for a text of v1's.
    bound: RecentValues<Box<str>>,
    /// The texts that v2 issued.
    issued: RecentValues<()>,
}

/// What was put lately, by world and hash: bounded, and what is put again stays.
#[derive(Debug)]
struct RecentValues<T> {
    young: FxHashMap<(World, u64), T>,
    old: FxHashMap<(World, u64), T>,
}

impl<T> Default for RecentValues<T> {
    fn default() -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default() }
    }
}

impl<T> RecentValues<T> {
    fn put(&mut self, key: (World, u64), value: T) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn get(&self, key: (World, u64)) -> Option<&T> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }
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
        if let Some(new) = &new {
            let hash = |text: &str| (world, text_hash(birth.thing.as_deref(), text));
            self.bound.put(hash(&birth.text), new.clone());
            self.issued.put(hash(new), ());
        }
        if let Some(known) = self.slots.get_mut(&(world, birth.slot)) {
            if new.is_none() || known.new == new {
                return false;
            }
            (known.new, known.roots) = (new, Arc::clone(roots));
            return true;
        }
        let left = uses.get(birth.slot as usize).copied().unwrap_or(0);
        if left > 0 {
            let slot = Slot { old: birth.text.clone(), new, roots: Arc::clone(roots), left };
            self.slots.insert((world, birth.slot), slot);
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
            self.slots.remove(&(world, slot));
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
        self.slots.bound.get((self.world, text)).map(|text| &**text)
    }

    fn is_issued(&self, text: u64) -> bool {
        self.slots.issued.get((self.world, text)).is_some()
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
        let (one, two) = ((TargetSide::Target, 1), (TargetSide::Baseline, 1));
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
        assert_eq!(slots.get(one, 0).and_then(|slot| slot.new.as_deref()), Some("x2"));
        slots.used(one, 0);
        assert!(slots.get(one, 0).is_none(), "gone with its last use");
        assert_eq!(slots.of(one).bound(hash), Some("x2"), "and known where it is shown again");
        assert!(slots.of(one).is_issued(text_hash(None, "x2")));
        assert!(!slots.of(two).is_issued(text_hash(None, "x2")));
    }
}
