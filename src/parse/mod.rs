//! The parallel driver: packets in, exchanges out, in the order in which they were completed.
//!
//! A round is a batch of packets on its way: filled, decoded, then reassembled, paired and
//! rendered, given out. With several threads a round is filled and decoded while the one before it
//! is reassembled; the work is cut by packets (decoding) or by shard (everything with state). A
//! connection belongs to one of [`SHARDS`] shards, whatever the number of threads, so every
//! decision, also that of a limit, depends on the packets alone: the output is byte-equal for any
//! number of threads.

mod driver;
#[cfg(target_os = "linux")]
pub mod live;
mod output;
mod round;
mod shard;

pub use self::driver::Parse;
pub use self::output::{LateName, Render, RoundOutput};
use crate::ledger::Ledger;
use crate::record::exchanges;

/// Parts that the connections are divided into. More than any machine's threads that would pay, so
/// that they balance.
pub const SHARDS: usize = 32;

/// What to parse, and how.
#[derive(Clone, Debug)]
pub struct ParseOptions {
    /// Threads that work; one works in the caller's.
    pub threads: usize,
    /// Ports of servers; all where there is none.
    pub ports: Vec<u16>,
    /// Bytes that all connections together may hold.
    pub held_bytes: usize,
    /// Key logs with TLS secrets; read again while they grow.
    pub keylogs: Vec<std::path::PathBuf>,
    /// Bounds of the HTTP parser.
    pub http: crate::wire::h1::parser::ParserLimits,
}

impl Default for ParseOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads,
            ports: Vec::new(),
            held_bytes: crate::limits::ALL_HELD_BYTES,
            keylogs: Vec::new(),
            http: crate::wire::h1::parser::ParserLimits::default(),
        }
    }
}

/// What is known when the input is used up.
#[derive(Clone, Debug, Default)]
pub struct ParseSummary {
    /// The account of packets, and what was noted beside it.
    pub ledger: Ledger,
    /// Lines for people about damaged inputs.
    pub warnings: Vec<String>,
    /// Connections that closed behind the last exchange.
    pub rest: exchanges::Rest,
}

#[cfg(test)]
mod tests;
