//! Protocols as captures show them and as v2 speaks them: a probe names what a connection carries by
//! its first bytes, and a protocol's folder reads it.
//!
//! Nothing here knows of captures, files or sockets.

pub mod h1;
pub mod probe;
