//! HTTP/2 (RFC 9113): read from captures, also where they join in the middle or lost packets, and
//! the parts that write it.

pub mod frame;
pub mod hpack;
pub mod huffman;
pub mod search;
