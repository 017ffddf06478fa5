//! What the mock keeps while it runs: what has been given, in which order, and the counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::answer;
use super::fault::{Action, Faults};
use super::ledger::{CallVerdict, Counted, VerdictCounts};
use super::matcher::{CallQuery, FoundCall, MatchPolicy, MissReason, Prepared, Stock, Tier};
use super::recording::CallRecording;
use crate::exchange::ExchangeId;
use crate::message::method::is_safe;
use crate::message::target::origin_form;
use crate::time::Timestamp;

/// Most recorded hosts and routes that are told apart in figures.
const ROUTES: u32 = 500;

/// What is to be done with a call.
pub(super) struct CallDecision {
    /// The recorded call that answers; none: a miss.
    pub(super) index: Option<u32>,
    /// What a fault does to it.
    pub(super) actions: Vec<Action>,
    pub(super) entry: Entry,
}

/// What was decided of a call: all of its line that the call itself does not say.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) verdict: CallVerdict,
    pub(super) found: FoundCall,
    /// How often the recorded call has answered by now.
    pub(super) times: u32,
    /// The ingress exchange that caused it.
    pub(super) cause: Option<ExchangeId>,
    /// The status that was given.
    pub(super) status: Option<u16>,
    /// Whether v1 made the calls of this cause in another order.
    pub(super) order_changed: bool,
    /// The fault that was injected on purpose.
    pub(super) fault: Option<String>,
    /// The places, hashed, at which it names another thing than the nearest recorded call.
    pub(super) others: Box<[u64]>,
}

/// A call of v1 that v2 did not make.
pub(super) struct Missing {
    pub(super) index: u32,
    /// How often it answered.
    pub(super) times: u32,
    /// How often it is missing.
    pub(super) lacking: u32,
    pub(super) cause: Option<ExchangeId>,
}

/// The state that calls share.
pub(super) struct Journal {
    recording: Arc<CallRecording>,
    policy: MatchPolicy,
    stock: Stock,
    faults: Faults,
    counts: VerdictCounts,
    /// Calls by verdict, number of the recorded host and route that answered, and status given.
    made: FxHashMap<(CallVerdict, Option<u32>, Option<u16>), u64>,
    /// By cause: the last call in v1's order that v2 has made.
    furthest: FxHashMap<u32, u32>,
}

impl Journal {
    pub(super) fn new(
        recording: Arc<CallRecording>,
        policy: MatchPolicy,
        faults: Faults,
        stock: Stock,
    ) -> Self {
        Self {
            recording,
            policy,
            stock,
            faults,
            counts: VerdictCounts::default(),
            made: FxHashMap::default(),
            furthest: FxHashMap::default(),
        }
    }

    /// Chooses the answer of a call and counts it.
    pub(super) fn decide(
        &mut self,
        query: &CallQuery<'_>,
        prepared: &Prepared,
        at: Timestamp,
    ) -> CallDecision {
        let request = query.request;
        let drawn = if self.faults.is_empty() {
            None
        } else {
            let method = String::from_utf8_lossy(&request.method);
            self.faults.draw(&method, &origin_form(&request.target))
        };
        let (fault, actions) = drawn.unzip();
        let actions = actions.unwrap_or_default();
        let spoilt = actions.iter().any(|action| !matches!(action, Action::Delay(_)));
        let found = self.recording.choose(query, prepared, &self.policy, &mut self.stock, spoilt);
        let mut entry = Entry {
            at,
            verdict: CallVerdict::Extra,
            found,
            times: 0,
            cause: self.recording.ingress_of(&prepared.causes),
            status: Some(answer::MISS),
            order_changed: false,
            fault,
            others: Box::default(),
        };
        if let FoundCall::Answer { index, tier: Tier::Nearest, .. }
        | FoundCall::Miss { nearest: Some((index, _)), .. } = found
        {
            entry.others = self.recording.others(prepared, index, &self.stock);
        }
        let index = match found {
            FoundCall::Answer { index, tier, again, .. } => {
                self.answered(&mut entry, prepared, index, (tier, again));
                Some(index)
            }
            FoundCall::Miss { reason: MissReason::Exhausted, .. } => {
                entry.verdict = CallVerdict::Repeated;
                None
            }
            FoundCall::Miss { .. } => None,
        };
        for action in &actions {
            match action {
                Action::Status(status) => entry.status = Some(*status),
                Action::Reset | Action::Hang => entry.status = None,
                Action::Delay(_) => {}
            }
        }
        self.counts.count(Counted {
            verdict: entry.verdict,
            changes: !is_safe(&request.method),
            caused: entry.cause.is_some(),
            order_changed: entry.order_changed,
            faulted: entry.fault.is_some(),
        });
        let aim = index.map(|index| self.recording.calls[index as usize].aim);
        *self.made.entry((entry.verdict, aim, entry.status)).or_default() += 1;
        CallDecision { index, actions, entry }
    }

    fn answered(
        &mut self,
        entry: &mut Entry,
        prepared: &Prepared,
        index: u32,
        (tier, again): (Tier, bool),
    ) {
        let recording = &self.recording;
        let recorded = &recording.calls[index as usize];
        entry.times = self.stock.given[index as usize];
        let causes = &prepared.causes;
        let is_theirs = match (causes.traced, recorded.caused_by) {
            (Some(traced), _) => recorded.cause == Some(traced),
            (None, Some(number)) => causes.open.is_empty() || causes.open.contains(&number),
            (None, None) => false,
        };
        if is_theirs {
            entry.cause = recording.caused_by(recorded).or(entry.cause);
        }
        entry.verdict = match (again, tier) {
            (true, _) => CallVerdict::Repeated,
            (false, Tier::Nearest) => CallVerdict::Drifted,
            (false, _) => CallVerdict::Matched,
        };
        if let Ok(answer) = &recorded.answer {
            entry.status = Some(answer.status());
        }
        if let Some(cause) = recorded.cause
            && !again
        {
            let furthest = self.furthest.entry(cause).or_insert(index);
            // Calls that v1 made side by side have no order.
            entry.order_changed =
                index < *furthest && recorded.ends_at <= recording.calls[*furthest as usize].at;
            *furthest = (*furthest).max(index);
        }
    }

    /// The calls of v1 that v2 did not make, counted. A call whose ingress exchange is known counts
    /// only where `replayed` says that it was replayed.
    pub(super) fn missing(&mut self, replayed: &dyn Fn(ExchangeId) -> bool) -> Vec<Missing> {
        let mut all = Vec::new();
        for (index, recorded) in self.recording.calls.iter().enumerate() {
            let cause = self.recording.caused_by(recorded);
            if self.stock.tried[index] || cause.is_some_and(|id| !replayed(id)) {
                continue;
            }
            let times = self.stock.given[index];
            let lacking = self.stock.due(recorded.caused_by).saturating_sub(times);
            if lacking == 0 {
                continue;
            }
            let changes = !is_safe(&self.recording.request(recorded).method);
            for _ in 0..lacking {
                self.counts.count(Counted {
                    verdict: CallVerdict::Missing,
                    changes,
                    caused: cause.is_some(),
                    order_changed: false,
                    faulted: false,
                });
            }
            all.push(Missing { index: index as u32, times, lacking, cause });
        }
        all
    }

    pub(super) fn counts(&self) -> VerdictCounts {
        self.counts
    }

    /// v2's calls by verdict, route and status given; what no recorded call answered, and what is
    /// beyond the bound of routes, is of `other`.
    pub(super) fn made(&self) -> BTreeMap<(CallVerdict, Arc<str>, Option<u16>), u64> {
        let other: Arc<str> = "other".into();
        let mut made = BTreeMap::new();
        for ((verdict, aim, status), count) in &self.made {
            let route = aim
                .filter(|aim| *aim < ROUTES)
                .map_or(&other, |aim| &self.recording.aims[aim as usize].route);
            *made.entry((*verdict, Arc::clone(route), *status)).or_default() += count;
        }
        made
    }
}
