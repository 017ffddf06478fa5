//! Protocols as captures show them and as v2 speaks them: a probe names what a connection carries
//! by its first bytes, and a protocol's folder reads it.
//!
//! Nothing here knows of captures, files or sockets.

mod conversation;
pub mod h1;
pub mod h2;
pub(crate) mod pace;
pub mod probe;
mod proxied;
pub mod quic;
mod setup;
mod talk;
pub mod tls;
pub(crate) mod websocket;

pub use conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
pub use setup::{Inner, Setup};
pub use talk::Talk;
#[cfg(test)]
pub(crate) use websocket::frame as websocket_frame;
