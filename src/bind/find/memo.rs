//! What is known of places, whatever stands there: found out once, and not for every value. Kept
//! from one exchange to the next by whoever looks at them; what is kept changes no outcome.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::things::{self, Nouns, Stands};
use crate::message::place::{Step, Trail};

/// Most places that are remembered; beyond, all is found out anew.
const MOST: usize = 1 << 14;

/// The kinds of things that the values of a place may name.
pub(super) type ThingKinds = Option<Arc<[String]>>;

/// What was found out, and room that is used again.
#[derive(Debug, Default)]
pub(super) struct PlaceMemo {
    kinds: FxHashMap<(u64, u64), ThingKinds>,
    /// Values of the message at hand, and of the one before; see [`super::look`].
    pub(super) known: FxHashMap<u64, u32>,
    pub(super) echoed: FxHashMap<u64, u32>,
}

impl PlaceMemo {
    /// As [`things::at`].
    pub(super) fn kinds(
        &mut self,
        at: &Trail<'_>,
        stands: Stands,
        label: Option<&str>,
        nouns: &Nouns,
    ) -> ThingKinds {
        let find = || {
            let kinds = things::at(at, stands, label, nouns).0;
            (!kinds.is_empty()).then(|| kinds.into())
        };
        // Those of an entity tag, and those under names that are values, are of this place alone.
        if label.is_some() || at.varies() || matches!(at.last(), Step::Header(_)) {
            return find();
        }
        if self.kinds.len() >= MOST {
            self.kinds.clear();
        }
        let key = (at.general(), nouns.hash ^ stands as u64);
        self.kinds.entry(key).or_insert_with(find).clone()
    }

    /// Forgets the values of the message before.
    pub(super) fn begin(&mut self) {
        for map in [&mut self.known, &mut self.echoed] {
            // One large message should not slow down those behind it.
            if map.capacity() > 1 << 12 {
                *map = FxHashMap::default();
            } else {
                map.clear();
            }
        }
    }
}
