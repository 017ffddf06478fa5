//! What the readers of all connections share.

use crate::wire::conversation::{Conversation, Origin};
use crate::wire::h1::parser::ParserLimits;
use crate::wire::tls::shared::TlsShared;

/// What the readers of all connections share.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Bounds of messages.
    pub limits: ParserLimits,
    /// Secrets of TLS, and what its sessions share.
    pub tls: TlsShared,
    /// The conversation is inside another one that gives it records: what a frame says can be read
    /// when its last record has come.
    pub in_records: bool,
}

/// Begins a conversation inside another one, which gives it its plaintext or the rest of its
/// stream: the probe chooses it by its first bytes.
pub type Inner = fn(Origin, &Setup) -> Box<dyn Conversation>;
