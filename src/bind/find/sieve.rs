//! Which values may flow at all, told before anything is sorted: most are shown once and never
//! said, or said and never shown, and need not be joined.
//!
//! A cell of four bits for each value, by its hash: values that share a cell pass together, so that
//! none is lost, only some are sorted for nothing. The table grows with the recording, up to a
//! bound.

use super::event::{ISSUED, MADE, PATH, RULED, UNSAFE, WEAK};

/// Cells at first, and at most: 64 MiB.
const FIRST: usize = 1 << 20;
const MOST: usize = 1 << 27;
/// How many times more cells there are once one of so many is taken. What was known before is then
/// known that many times, so that few large steps leave more cells free than many small ones.
const GROWTH: usize = 16;

/// An answer shows it.
const SHOWN: u8 = 1;
/// Another one does, or the same one again.
const AGAIN: u8 = 2;
/// A request says it.
const SAID: u8 = 4;
/// Such a request may create or change what it names.
const CHANGES: u8 = 8;

/// The cells.
pub(super) struct Sieve {
    /// Two in a byte.
    cells: Vec<u8>,
    taken: usize,
    most: usize,
}

impl Default for Sieve {
    fn default() -> Self {
        Self::with_bounds(FIRST, MOST)
    }
}

impl Sieve {
    fn with_bounds(first: usize, most: usize) -> Self {
        Self { cells: vec![0; first / 2], taken: 0, most }
    }

    /// The byte of a value, and the bits of its cell there.
    fn cell(&self, hash: u64) -> (usize, u32) {
        let cell = hash as usize & (2 * self.cells.len() - 1);
        (cell / 2, (cell % 2 * 4) as u32)
    }

    /// Takes note of a value's appearance, with what is known of it (see [`super::event`]).
    pub(super) fn add(&mut self, hash: u64, said: bool, flags: u8) {
        let (byte, shift) = self.cell(hash);
        let known = self.cells[byte] >> shift & 15;
        let is = |flag: u8| flags & flag != 0;
        let mark = match (said, known & SHOWN != 0) {
            // One that changes what a path names comes before others of it.
            _ if is(PATH) && is(UNSAFE) => SAID | if known & SHOWN == 0 { SHOWN } else { AGAIN },
            (true, _) if is(UNSAFE) && !is(WEAK | RULED) => SAID | CHANGES,
            (true, _) => SAID,
            (false, true) => AGAIN,
            (false, false) => SHOWN,
        };
        if known | mark == known {
            return;
        }
        self.cells[byte] |= mark << shift;
        if known == 0 {
            self.taken += 1;
            if self.taken * GROWTH > 2 * self.cells.len() {
                self.grow();
            }
        }
    }

    fn grow(&mut self) {
        let before = self.cells.len();
        let after = (before * GROWTH).min(self.most / 2);
        self.cells.reserve_exact(after.saturating_sub(before));
        while self.cells.len() < after {
            // Each part knows what the one knew; new values are told apart better.
            self.cells.extend_from_within(..before);
        }
    }

    /// Whether a request may say a value.
    pub(super) fn is_said(&self, hash: u64) -> bool {
        let (byte, shift) = self.cell(hash);
        self.cells[byte] >> shift & SAID != 0
    }

    /// Whether an appearance may matter to another one.
    pub(super) fn passes(&self, hash: u64, said: bool, flags: u8) -> bool {
        let (byte, shift) = self.cell(hash);
        let known = self.cells[byte] >> shift & 15;
        let is = |flag: u8| known & flag != 0;
        if flags & PATH != 0 {
            return is(SHOWN);
        }
        match said {
            true => is(SHOWN) || is(CHANGES) || flags & ISSUED != 0,
            false => is(SAID) || is(AGAIN) || flags & MADE != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::FIELD;
    use super::*;

    #[test]
    fn what_appears_once_is_left() {
        let mut sieve = Sieve::default();
        let all =
            [(1, false, 0), (2, true, 0), (3, false, WEAK), (10, true, WEAK), (8, true, PATH)];
        all.iter().for_each(|&(hash, said, flags)| sieve.add(hash, said, flags));
        assert!(all.iter().all(|&(hash, said, flags)| !sieve.passes(hash, said, flags)));
        for (hash, said, flags) in [
            (4, false, 0),
            (4, false, 0),
            (5, false, WEAK),
            (5, true, WEAK),
            (6, true, UNSAFE),
            (6, true, 0),
            (7, true, ISSUED),
            (9, true, PATH | UNSAFE),
            (9, true, PATH),
        ] {
            sieve.add(hash, said, flags);
        }
        for (hash, said, flags) in
            [(4, false, 0), (5, true, WEAK), (6, true, 0), (7, true, ISSUED), (9, true, PATH)]
        {
            assert!(sieve.passes(hash, said, flags), "{hash}");
        }
    }

    proptest! {
        /// No value is lost, however few the cells are and however often there are more of them.
        #[test]
        fn what_one_appearance_means_to_another_passes(
            seen in prop::collection::vec((0..40_u64, any::<bool>(), 0..4_u8), 0..200),
        ) {
            let mut sieve = Sieve::with_bounds(4, 64);
            let flags = |kind: u8| [0, WEAK, UNSAFE, UNSAFE | FIELD][usize::from(kind)];
            let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            seen.iter().for_each(|&(n, said, kind)| sieve.add(hash(n), said, flags(kind)));
            for &(n, said, kind) in &seen {
                let others = || seen.iter().filter(|other| other.0 == n);
                let joined = match said {
                    true => others().any(|other| !other.1 || other.2 > 1),
                    false => others().any(|other| other.1)
                        || kind == 0 && others().filter(|o| o.2 != 1).count() > 1,
                };
                if joined && !(said && kind == 1 && !others().any(|other| !other.1)) {
                    prop_assert!(sieve.passes(hash(n), said, flags(kind)));
                }
            }
        }
    }
}
