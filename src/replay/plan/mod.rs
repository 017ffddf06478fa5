//! The plan of a replay: exchanges in, in the order of their completion; steps out, in the order of
//! their time.
//!
//! Each request is chosen or not, changed as asked and encoded into the [spool](super::spool) at
//! once; what stays is a record of fixed size. Records are sorted twice, first by connection (what
//! waits for what, where lanes open and end), then by time. Both sorts spill to disk, so memory
//! does not grow with the capture.

mod announced;
pub(super) mod bound;
pub(super) mod course;
pub mod guard;
mod idle;
mod lanes;
mod load;
mod names;
mod planner;
pub mod rewrite;
pub(super) mod script;
mod sound;
pub(super) mod spool;
mod step;
#[cfg(test)]
mod tests;
mod two;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub(in crate::replay) use self::load::Load;
pub use self::planner::Planner;
pub(in crate::replay) use self::step::{PlanStep, StepKind};

use self::bound::PlanBound;
use self::guard::Captured;
use self::rewrite::Rewriter;
use self::spool::Spool;
use self::step::STEP_BYTES;
use crate::bind::Parts;
use crate::exchange::ClientSettings;
use crate::ledger::Ledger;
use crate::outcome::ReplayId;
use crate::replay::spoken::Spoken;
use crate::schedule::pacing::{Pacing, Speed};
use crate::schedule::select::{Selection, Shard};
use crate::schedule::users::Users;
use crate::store::sorter::{Merge, Sorted};

/// What the user wants replayed, and how.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Which requests.
    pub selection: Selection,
    /// When.
    pub pacing: Pacing,
    /// Which part of the lanes.
    pub shard: Option<Shard>,
    /// With which changes.
    pub rewriter: Rewriter,
    /// Over which protocol; none for the one that each was captured with.
    pub protocol: Option<Spoken>,
    /// What its exchanges have to do with values that v1 issued; none where these are not bound.
    pub parts: Option<Arc<dyn Parts>>,
    /// Also requests with unsafe methods whose answers give values that others use.
    pub producers: bool,
    /// What a lane is.
    pub lanes: Users,
    /// The `Host` of requests whose recording names none.
    pub unnamed_host: Option<String>,
}

/// Labels a request for live figures: method and target to a route's name.
pub type RouteOf = Box<dyn Fn(&[u8], &[u8]) -> Arc<str> + Send>;

/// What a plan adds up to, for one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// Requests to be sent.
    pub sends: u64,
    /// Requests that are part of the run and not sent.
    pub skips: u64,
    /// Lanes.
    pub lanes: u64,
    /// Bytes to be sent.
    pub bytes: u64,
    /// Captured nanoseconds from the first request to the last.
    pub span: i64,
    /// Captured nanoseconds from the first request to the first opening of a connection; not above
    /// zero.
    pub earliest_open: i64,
}

/// The finished plan.
pub struct Plan {
    pub(in crate::replay) pacing: Pacing,
    pub(in crate::replay) steps: Sorted<STEP_BYTES>,
    pub(in crate::replay) spool: Spool,
    pub(in crate::replay) bound: Option<PlanBound>,
    /// Who served the capture.
    pub captured: Captured,
    /// What is not part of the run, by reason.
    pub ledger: Ledger,
    /// Requests to be sent, by method (of the first copy).
    pub methods: BTreeMap<String, u64>,
    pub(in crate::replay) names: Vec<Arc<str>>,
    /// What clients announced, by its number ([`load::Load::announced`]).
    pub(in crate::replay) announced: Vec<ClientSettings>,
    /// The routes' names by their number.
    pub routes: Vec<Arc<str>>,
    /// How far apart the lanes of two copies are numbered.
    pub(in crate::replay) lanes: u64,
    pub(in crate::replay) period: i64,
    /// What it adds up to.
    pub totals: PlanTotals,
    /// Rules that matched nothing, each in a line with what comes nearest.
    pub idle: Vec<String>,
    /// The longest that v1 took for a whole answer to a request that is sent, in milliseconds.
    pub longest_ms: u32,
}

/// What a plan looks like in time, for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanFigures {
    /// Nanoseconds of one loop at its pace.
    pub duration_ns: i64,
    /// Most requests due within one second of the replay.
    pub peak_second: u64,
    /// Most lanes that are open at the same time.
    pub peak_lanes: u64,
    /// Requests that are not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
}

impl Plan {
    /// How many requests wait for answers of other connections or for values, and how many values
    /// are put into requests: of one copy.
    pub fn bound(&self) -> Option<(u64, u64)> {
        self.bound.as_ref().map(|bound| (bound.waits, bound.holes))
    }

    /// Rules of `[flow]` for values that no flow gives which matched nothing.
    pub fn idle_rules(&self) -> Vec<String> {
        self.bound.as_ref().map_or_else(Vec::new, |bound| bound.touches.unmatched())
    }

    /// How many requests are to be sent, all loops counted.
    pub fn sends(&self) -> u64 {
        self.totals.sends.saturating_mul(u64::from(self.pacing.loops.max(1)))
    }

    /// How long it takes by the schedule; none for [`Speed::Max`].
    pub fn duration_ns(&self) -> Option<i64> {
        let rounds = i64::from(self.pacing.loops.max(1)) - 1;
        (self.pacing.speed != Speed::Max).then(|| {
            self.pacing.due(self.totals.span.saturating_add(self.period.saturating_mul(rounds)))
        })
    }

    /// How long before the first request the first connection opens at this pace.
    pub(in crate::replay) fn lead_ns(&self) -> i64 {
        self.pacing.due(self.totals.earliest_open).saturating_neg().max(0)
    }

    /// The steps of one loop in order.
    pub(in crate::replay) fn steps(
        &self,
    ) -> io::Result<impl Iterator<Item = io::Result<PlanStep>> + use<'_>> {
        let merge: Merge<'_, STEP_BYTES> = self.steps.iter()?;
        Ok(merge.map(|record| record.map(|record| PlanStep::decode(&record))))
    }

    /// The id and the lane of a step in loop `round`.
    pub(in crate::replay) fn identity(&self, step: &PlanStep, round: u32) -> (ReplayId, u64) {
        let copy = round.saturating_mul(self.pacing.multiply.max(1)).saturating_add(step.copy);
        let lane = u64::from(copy).saturating_mul(self.lanes).saturating_add(step.lane);
        (ReplayId { exchange: step.id, copy: copy.saturating_add(1) }, lane)
    }

    /// Reads the plan through once and says what it looks like.
    pub fn figures(&self) -> io::Result<PlanFigures> {
        let mut figures = PlanFigures {
            duration_ns: self.pacing.due(self.totals.span),
            ..PlanFigures::default()
        };
        let mut spool = self.spool.reader();
        let (mut open, mut second, mut in_second) = (0u64, i64::MIN, 0u64);
        for step in self.steps()? {
            let step = step?;
            match step.kind {
                StepKind::Open => open += 1,
                StepKind::Close => open = open.saturating_sub(1),
                StepKind::Skip => {
                    let reason =
                        spool.get(step.load.place.offset, step.load.place.length as usize)?;
                    let reason = String::from_utf8_lossy(&reason).into_owned();
                    if figures.skipped.len() < 100 || figures.skipped.contains_key(&reason) {
                        *figures.skipped.entry(reason).or_default() += 1;
                    }
                }
                StepKind::Send => {
                    let now = self.pacing.due(step.when).div_euclid(crate::time::NANOS_PER_SEC);
                    if now != second {
                        (second, in_second) = (now, 0);
                    }
                    in_second += 1;
                    figures.peak_second = figures.peak_second.max(in_second);
                }
            }
            figures.peak_lanes = figures.peak_lanes.max(open);
            if step.kind == StepKind::Send
                && step.load.traits.is_last()
                && !step.load.traits.lane_closes()
            {
                open = open.saturating_sub(1);
            }
        }
        if self.pacing.speed == Speed::Max {
            (figures.peak_second, figures.peak_lanes) = (0, self.totals.lanes);
        }
        Ok(figures)
    }
}
