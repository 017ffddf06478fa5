//! What all threads of a replay share: where requests go, how they are paced, and the counts that
//! several of them keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::ClientConfig;

use super::arrivals::{Arrivals, Think};
use super::counts::{Budget, Live};
use super::hope::Hope;
use super::side::TargetSide;
use super::spoken::Spoken;
use super::stopping::ReplayStop;
use super::underway::UnderWay;
use crate::exchange::ClientSettings;
use crate::outcome::ReplayId;
use crate::replay::plan::Load;
use crate::replay::plan::spool::Spool;
use crate::replay::session::h2::rules::H2Rules;
use crate::replay::session::sources::Sources;
use crate::replay::session::target::Target;
use crate::replay::session::tls::Sni;
use crate::replay::traces::Traces;
use crate::replay::worker::clock::Clock;

/// What all workers share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// 0 is the target, the last is the baseline where there is one, between them mapped hosts.
    pub(super) targets: Vec<Target>,
    pub(super) baseline: Option<u16>,
    pub(super) names: Vec<Arc<str>>,
    /// To offer HTTP/1, and to offer HTTP/2.
    pub(super) tls: Option<[Arc<ClientConfig>; 2]>,
    /// How HTTP/2 is spoken.
    pub(super) two: H2Rules,
    /// What clients announced, by number.
    pub(super) announced: Vec<ClientSettings>,
    /// Requests of HTTP/2 may go in HTTP/1, where a server speaks nothing else: by target, whether
    /// one does.
    pub(super) downgrades: Option<Vec<AtomicBool>>,
    /// Under which name servers are asked for and checked.
    pub(super) sni: Sni,
    pub(super) sources: Sources,
    /// Whether v2's and the baseline's requests get as far as HTTP.
    pub(super) hopes: [Hope; 2],
    pub(super) spool: Spool,
    pub(super) budget: Budget,
    pub(super) stop: Arc<ReplayStop>,
    pub(super) arrivals: Arrivals,
    pub(super) think: Think,
    /// Requests are due when they may go ([`crate::schedule::pacing::Speed::Max`]).
    pub(super) at_once: bool,
    pub(super) timeout_ns: i64,
    /// A request may take longer than that where v1 took long, too.
    pub(super) is_patient: bool,
    pub(super) max_body: usize,
    /// A trace of its own for each request.
    pub(super) traces: Option<Traces>,
    /// Told of what v2 has not answered yet.
    pub(super) under_way: Option<Arc<UnderWay>>,
    pub(super) live: Vec<Live>,
    /// Bytes of outcomes that the recorder has not written yet.
    pub(super) unwritten: AtomicUsize,
    /// Each outcome is to be seen before it is written.
    pub(super) observed: bool,
}

impl Shared {
    /// What is known of a side.
    pub(super) fn hope(&self, side: TargetSide) -> &Hope {
        &self.hopes[usize::from(side == TargetSide::Baseline)]
    }

    /// Longest wait for the whole answer to a request.
    pub(super) fn patience_ns(&self, load: &Load) -> i64 {
        if self.is_patient { self.timeout_ns.max(load.patience_ns()) } else { self.timeout_ns }
    }

    /// What is spoken with a target, of what a request was prepared for.
    pub(super) fn spoken(&self, upstream: u16, prepared: Spoken) -> Spoken {
        let known = self.downgrades.as_ref().and_then(|known| known.get(usize::from(upstream)));
        match known.is_some_and(|speaks_one| speaks_one.load(Ordering::Relaxed)) {
            true => Spoken::One,
            false => prepared,
        }
    }

    /// A target speaks HTTP/1 and nothing else; whether requests of HTTP/2 may go so.
    pub(super) fn downgrade(&self, upstream: u16) -> bool {
        let known = self.downgrades.as_ref().and_then(|known| known.get(usize::from(upstream)));
        known.inspect(|speaks_one| speaks_one.store(true, Ordering::Relaxed)).is_some()
    }

    /// A request is about to be sent.
    pub(super) fn begins(&self, side: TargetSide, id: ReplayId) {
        if let (Some(watch), TargetSide::Target) = (&self.under_way, side) {
            watch.begin(id.exchange);
        }
    }

    /// A request that was sent has its answer, or will have none.
    pub(super) fn ends(&self, side: TargetSide, id: ReplayId) {
        if let (Some(watch), TargetSide::Target) = (&self.under_way, side) {
            watch.end(id.exchange);
        }
    }
}
