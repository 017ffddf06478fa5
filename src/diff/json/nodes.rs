//! Values of JSON by themselves: written alike, equal, hashed so that equal ones are one.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

use crate::message::json::number::{self, Decimal};
use crate::message::json::tape::{Node, Type};
use crate::steps;

/// Whether two values are written alike.
#[inline]
pub(super) fn same_text(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    a.kind() == b.kind() && a.raw() == b.raw()
}

/// Whether two values are equal: objects without regard to the order of their members, numbers by
/// value.
pub(super) fn equal(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    match (a.kind(), b.kind()) {
        (Type::Object, Type::Object) | (Type::Array, Type::Array) => {
            a.raw() == b.raw() || hash(a) == hash(b)
        }
        (Type::Number, Type::Number) => number::equal(a.raw_str(), b.raw_str()),
        (left, right) if left == right && left != Type::Escaped => a.raw() == b.raw(),
        _ => a.is_string() && b.is_string() && a.text() == b.text(),
    }
}

/// A hash of a value under which equal values are equal. 64 bits: two different elements of one
/// array collide by accident once in 10^15 arrays of a hundred.
pub(super) fn hash(node: Node<'_, '_>) -> u64 {
    steps::add(1);
    let mut hasher = FxHasher::default();
    match node.kind() {
        Type::Object => {
            // A sum does not depend on the order.
            let sum = node.members().fold(0_u64, |sum, (name, value)| {
                let mut member = FxHasher::default();
                name.text().hash(&mut member);
                member.write_u64(hash(value));
                sum.wrapping_add(spread(member.finish()))
            });
            hasher.write_u8(b'{');
            hasher.write_u64(sum);
        }
        Type::Array => {
            hasher.write_u8(b'[');
            for element in node.elements() {
                hasher.write_u64(hash(element));
            }
        }
        Type::Number => {
            hasher.write_u8(b'0');
            match Decimal::parse(node.raw_str()) {
                Some(value) => value.hash(&mut hasher),
                None => node.raw().hash(&mut hasher),
            }
        }
        Type::String | Type::Escaped => {
            hasher.write_u8(b'"');
            node.text().hash(&mut hasher);
        }
        Type::Null | Type::Boolean => node.raw().hash(&mut hasher),
    }
    spread(hasher.finish())
}

/// Spreads the bits (the finaliser of SplitMix64): sums of weak hashes would cancel out.
const fn spread(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
