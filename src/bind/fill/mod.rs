//! Filling: what v2 issued takes the place of what v1 did.
//!
//! [`take`] looks in an answer of v2's for the values that v1's answer issued at its places, and
//! says of each what stands there, or why none does. [`put`] puts them into a request. [`jar`] adds
//! the cookies that only v2 sets. All three are pure: they know messages and places, and neither
//! sockets nor time. What is put is told by the message's parts
//! ([`Changes`](crate::message::edit::Changes)): HTTP/1 finds them in the prepared text
//! ([`wire::h1::patch`](crate::wire::h1::patch)), HTTP/2 replaces the fields of its header list and
//! the data of its frames.

pub mod beside;
pub mod expected;
pub mod jar;
pub mod put;
pub mod sign;
pub mod socket;
pub mod take;
pub mod touch;
pub mod url;

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

/// Names a text, and the kind of thing that it means something for.
pub fn text_hash(thing: Option<&str>, text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (thing, text).hash(&mut hasher);
    hasher.finish()
}
