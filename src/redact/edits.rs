//! Replacements in a text, in order.

use std::ops::Range;

/// What is to stand where in a text.
pub(super) struct Edits<'a> {
    text: &'a [u8],
    made: Vec<(Range<usize>, Vec<u8>)>,
    /// Those that may lie before others.
    late: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Edits<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, made: Vec::new(), late: Vec::new() }
    }

    /// What of `range` lies behind all replacements.
    pub(super) fn free(&self, range: Range<usize>) -> Option<Range<usize>> {
        let from = self.made.last().map_or(0, |(last, _)| last.end).max(range.start);
        (from < range.end).then_some(from..range.end)
    }

    /// Replaces a range that lies behind all others.
    pub(super) fn put(&mut self, range: &Range<usize>, new: Option<Vec<u8>>) {
        let Some(new) = new else { return };
        if self.made.last().is_none_or(|(last, _)| range.start >= last.end) {
            self.made.push((range.clone(), new));
        }
    }

    /// Replaces a range that may lie before others, unless it touches one.
    pub(super) fn put_before(&mut self, range: &Range<usize>, new: Option<Vec<u8>>) {
        self.late.extend(new.map(|new| (range.clone(), new)));
    }

    /// The text with what was replaced; none where nothing was.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        if self.made.is_empty() && self.late.is_empty() { None } else { self.finish_by(|_| None) }
    }

    /// The text with what was replaced, and with what `between` makes of the rest.
    pub(super) fn finish_by(
        mut self,
        mut between: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if !self.late.is_empty() {
            self.made.append(&mut self.late);
            self.made.sort_by_key(|(range, _)| (range.start, range.end));
            self.made.dedup_by(|(next, _), (kept, _)| next.start < kept.end);
        }
        let mut changed = !self.made.is_empty();
        let mut out = Vec::with_capacity(self.text.len());
        let mut from = 0;
        let end = (self.text.len()..self.text.len(), Vec::new());
        for (range, new) in self.made.iter().chain([&end]) {
            let rest = &self.text[from..range.start];
            let other = between(rest);
            changed |= other.is_some();
            out.extend_from_slice(other.as_deref().unwrap_or(rest));
            out.extend_from_slice(new);
            from = range.end;
        }
        changed.then_some(out)
    }
}
