//! Where in a text a closer look is called for: the hits of the sieve in order, asked by a walker
//! that goes over the text once.

use std::ops::Range;

use super::hider::Hide;
use super::sieve::{self, Kinds};

/// The hits of one text.
pub(super) struct Marks {
    hits: Vec<(Range<usize>, Kinds)>,
    next: usize,
    all: bool,
    has_names: bool,
    has_escapes: bool,
    is_ascii: bool,
}

impl Marks {
    /// The hits in `text` that call for a look.
    pub(super) fn of(hide: &impl Hide, text: &[u8]) -> Self {
        let mut hits = Vec::new();
        sieve::each(
            text,
            |kinds| hide.looks_for(kinds),
            |hit| hits.push((hit.start..hit.end, hit.kinds)),
        );
        // Digits come last, and overlapping ones by their ends.
        hits.sort_unstable_by_key(|(range, _)| range.start);
        Self {
            has_escapes: memchr::memchr(b'\\', text).is_some(),
            is_ascii: text.is_ascii(),
            has_names: hits.iter().any(|(_, kinds)| kinds.has(Kinds::NAME)),
            hits,
            next: 0,
            all: hide.looks_at_all(),
        }
    }

    /// Whether the text holds no name of a secret, however it is written.
    pub(super) const fn has_no_names(&self) -> bool {
        !self.has_names && !self.has_spellings()
    }

    /// Whether names may be written in ways that have no hit.
    const fn has_spellings(&self) -> bool {
        self.has_escapes || !self.is_ascii
    }

    /// Begins again at the text's start.
    pub(super) const fn rewind(&mut self) {
        self.next = 0;
    }

    /// Whether the text has a backslash.
    pub(super) const fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Whether nothing calls for a look.
    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty() && !self.all
    }

    /// Whether something in `range` calls for a look, as [`Self::has_look`] is asked for it.
    pub(super) fn calls_for(&mut self, range: &Range<usize>) -> bool {
        self.all || self.kinds(range) != Kinds::NONE
    }

    /// What stands in `range`, which begins behind all that were asked for before.
    fn kinds(&mut self, range: &Range<usize>) -> Kinds {
        while self.hits.get(self.next).is_some_and(|(hit, _)| hit.end <= range.start) {
            self.next += 1;
        }
        let inside = self.hits[self.next..].iter().take_while(|(hit, _)| hit.start < range.end);
        inside.fold(Kinds::NONE, |all, (_, kinds)| all.with(*kinds))
    }

    /// Whether the name at `range` may be a secret's.
    pub(super) fn has_name(&mut self, text: &[u8], range: &Range<usize>) -> bool {
        self.kinds(range).has(Kinds::NAME)
            || self.has_spellings()
                && text[range.clone()].iter().any(|&byte| byte == b'\\' || !byte.is_ascii())
    }

    /// Whether the value at `range` may hold a secret, by its look; and whether it may be the name
    /// of one.
    pub(super) fn has_look(&mut self, text: &[u8], range: &Range<usize>) -> (bool, bool) {
        let kinds = self.kinds(range);
        let value = &text[range.clone()];
        let look = self.all
            || kinds.has(Kinds::LOOKS)
            || kinds.has(Kinds::NAME)
                && (memchr::memchr3(b'=', b':', b' ', value).is_some()
                    || memchr::memchr3(b',', b'<', b';', value).is_some()
                    || memchr::memchr(b'(', value).is_some())
            || kinds.has(Kinds::ROUTE) && memchr::memchr(b'/', value).is_some()
            || kinds.has(Kinds::SCHEME) && memchr::memchr3(b' ', b'+', b'%', value).is_some();
        (look, kinds.has(Kinds::NAME))
    }
}
