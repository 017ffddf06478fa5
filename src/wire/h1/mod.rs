//! HTTP/1 (RFC 9112): the one parser that reads v1's bytes and v2's, the pairing of a connection's
//! messages, and the bytes of a request as they go out.

pub(crate) mod body;
pub mod encode;
mod head;
pub mod pairing;
pub mod parsed;
pub mod parser;
pub mod patch;
mod pieces;
mod search;
pub mod verbatim;
