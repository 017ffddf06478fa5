//! What all threads of a replay share: where requests go, how they are paced, and the counts that
//! several of them keep.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rustls::ClientConfig;

use super::task::{Budget, Live, Side, Stop};
use super::underway::UnderWay;
use crate::outcome::ReplayId;
use crate::replay::plan::spool::Spool;
use crate::replay::session::target::Target;
use crate::replay::worker::clock::Clock;
use crate::replay::worker::lane::{Arrivals, Think};

/// What all workers share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// 0 is the target, the last is the baseline where there is one, between them mapped hosts.
    pub(super) targets: Vec<Target>,
    pub(super) baseline: Option<u16>,
    pub(super) names: Vec<Arc<str>>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) spool: Spool,
    pub(super) budget: Budget,
    pub(super) stop: Arc<Stop>,
    pub(super) arrivals: Arrivals,
    pub(super) think: Think,
    /// Requests are due when they may go ([`crate::schedule::pacing::Speed::Max`]).
    pub(super) at_once: bool,
    pub(super) timeout_ns: i64,
    pub(super) max_body: usize,
    /// Told of what v2 has not answered yet.
    pub(super) under_way: Option<Arc<UnderWay>>,
    pub(super) live: Vec<Live>,
    /// Bytes of outcomes that the recorder has not written yet.
    pub(super) unwritten: AtomicUsize,
    /// Each outcome is to be seen before it is written.
    pub(super) observed: bool,
}

impl Shared {
    /// A request is about to be sent.
    pub(super) fn begins(&self, side: Side, id: ReplayId) {
        if let (Some(watch), Side::Target) = (&self.under_way, side) {
            watch.begin(id.exchange);
        }
    }

    /// A request that was sent has its answer, or will have none.
    pub(super) fn ends(&self, side: Side, id: ReplayId) {
        if let (Some(watch), Side::Target) = (&self.under_way, side) {
            watch.end(id.exchange);
        }
    }
}
