//! HTTP/2 (RFC 9113): read from captures, also where they join in the middle or lost packets, and
//! the parts that write it.

pub mod frame;
pub mod hpack;
pub mod huffman;
pub(crate) mod message;
pub mod pairing;
pub(in crate::wire) mod search;
mod side;
pub mod translate;
