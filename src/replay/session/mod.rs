//! Connections to v2: sockets and TLS, HTTP/1 on them, the negotiating client, and what is asked of a
//! target before the first request.

pub mod client;
pub mod forward;
pub(super) mod h1;
pub mod probe;
pub(super) mod seat;
pub(super) mod socket;
pub(super) mod sources;
pub mod target;
pub mod tls;
