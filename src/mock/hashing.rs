//! Hashes of values and of what stands around them: what is kept of recorded calls in place of
//! texts.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The hash of bytes by themselves.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    hash(0, 0, bytes)
}

/// The hash of a text, wherever it stands.
pub(super) fn text_hash(text: &str) -> u64 {
    hash(0, 4, text.as_bytes())
}

/// The hash of a value at its place: made often, of two that are hashes already.
pub(super) const fn value_at(place: u64, typed: bool, text: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (text ^ place.rotate_left(23)).wrapping_add(typed as u64).wrapping_mul(ODD);
    (mixed ^ mixed >> 32).wrapping_mul(ODD) ^ place
}

/// The hash of a value at its place; `tag` keeps kinds of them apart.
pub(super) fn hash(place: u64, tag: u8, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    tag.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}
