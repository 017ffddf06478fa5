//! Bounds of the connections of one shard.

use crate::limits;

/// Bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes held in one direction before the missing ones are given up although they may still
    /// come.
    pub held_bytes: usize,
    /// Bytes held behind a hole that the peer acknowledged, before it is a gap.
    pub reorder_bytes: usize,
    /// Nanoseconds of capture time after which such a hole is a gap.
    pub reorder_ns: i64,
    /// Nanoseconds of capture time after which a quiet connection is over.
    pub idle_ns: i64,
    /// Nanoseconds of capture time after which a connection that was closed or reset is forgotten.
    pub linger_ns: i64,
}

impl TableLimits {
    /// The share of one of `shards` shards.
    pub fn share(shards: usize) -> Self {
        Self {
            connections: limits::CONNECTIONS / shards,
            held_bytes: limits::STREAM_HELD_BYTES,
            reorder_bytes: limits::REORDER_BYTES,
            reorder_ns: limits::REORDER_NS,
            idle_ns: limits::IDLE_NS,
            linger_ns: limits::LINGER_NS,
        }
    }
}
