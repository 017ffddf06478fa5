//! What all connections of a mock share, and what is known of each.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::authority::Authority;
use super::journal::Journal;
use super::ledger::{Broken, Call};
use super::namespace::Namespace;
use super::recording::CallRecording;
use super::seats::Seat;
use super::teller::Teller;
use super::writer::LedgerWriter;
use crate::replay::UnderWay;

/// Most bytes of requests under way that are kept, of all connections together; beyond it bodies
/// are hashed as they come.
pub(super) const HELD_BYTES: usize = 256 << 20;
/// How long a connection may be open without a request, in units of the patience: clients pool
/// connections.
const IDLE: u32 = 5;

/// When an answer is given.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Timing {
    /// At once.
    #[default]
    None,
    /// As long after its request as it was recorded, first byte and last byte.
    Recorded,
}

/// What all connections share.
pub(super) struct SharedMock {
    pub(super) recording: Arc<CallRecording>,
    pub(super) timing: Timing,
    pub(super) aliases: Vec<(String, String)>,
    /// Its own address in the forms that a client may call it by.
    pub(super) own: [String; 3],
    /// `:` and its port.
    pub(super) own_port: String,
    pub(super) authority: Option<Authority>,
    pub(super) explain: Option<Arc<dyn Fn(&Call) + Send + Sync>>,
    pub(super) can_reset: bool,
    pub(super) connections: usize,
    pub(super) patience: Duration,
    /// Bytes of requests under way.
    pub(super) held: AtomicUsize,
    pub(super) trouble: Trouble,
    pub(super) under_way: Arc<UnderWay>,
    /// Whether a replay in this process tells what is under way.
    pub(super) watches: bool,
    pub(super) journal: Mutex<Journal>,
    /// Makes the lines of calls.
    pub(super) teller: Arc<Teller>,
    /// Writes them, where there is a ledger.
    pub(super) writer: Option<LedgerWriter>,
    /// What v2 issued to its clients, where the run's bindings are at hand.
    pub(super) namespace: Option<Mutex<Namespace>>,
}

impl SharedMock {
    /// How long a connection may be open without a request.
    pub(super) fn idle(&self) -> Duration {
        self.patience * IDLE
    }
}

/// Counts of what went wrong with clients.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) unfinished: AtomicU64,
    pub(super) not_understood: AtomicU64,
    pub(super) unread: AtomicU64,
    pub(super) no_tls: AtomicU64,
}

impl Trouble {
    pub(super) fn counts(&self) -> Broken {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Broken {
            unfinished: read(&self.unfinished),
            not_understood: read(&self.not_understood),
            unread: read(&self.unread),
            no_tls: read(&self.no_tls),
        }
    }
}

/// Counts one more.
pub(super) fn count(what: &AtomicU64) {
    what.fetch_add(1, Ordering::Relaxed);
}

/// What is known of a connection.
pub(super) struct CallerConnection {
    /// The host of the CONNECT that opened it.
    pub(super) tunnel: Option<String>,
    /// To reset it, where a fault may want that.
    pub(super) raw: Option<std::os::fd::OwnedFd>,
    /// Its place among the others.
    pub(super) seat: Arc<Seat>,
}
