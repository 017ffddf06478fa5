//! One lane while it is replayed: what waits on it, what was answered, and whether its next request
//! may go. A request that waits for the answer before it is head-of-line blocking, as v1's client
//! had it; its lateness is v2's.

use std::collections::VecDeque;

pub use crate::replay::arrivals::{Arrivals, Think};
use crate::replay::plan::Load;
use crate::replay::spoken::Spoken;
use crate::replay::task::{TargetSide, Task};
use crate::schedule::after::After;

/// Whether the next request of a lane may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum MayGo {
    /// Nothing waits.
    Empty,
    /// It waits for an answer.
    Answer,
    /// It may go at this time, not before.
    At(i64),
    /// It may go; v2 kept it until this time ([`i64::MIN`]: it did not).
    Ready(i64),
}

/// A lane.
pub(in crate::replay) struct Lane {
    pub(in crate::replay) side: TargetSide,
    pub(in crate::replay) number: u64,
    /// Due, and not sent.
    pub(in crate::replay) queue: VecDeque<Task>,
    /// The answers that its requests come after.
    after: After,
    /// Its connections: with [`Arrivals::Causal`] at most one that takes requests.
    pub(in crate::replay) connections: Vec<usize>,
    /// How many it had so far.
    pub(in crate::replay) opened: u32,
    /// Its last request was given out.
    pub(in crate::replay) spent: bool,
    /// It ends when all is answered.
    pub(in crate::replay) ends: bool,
    /// Its connection opens when its first request may go.
    pub(in crate::replay) opens_later: bool,
    /// It waits for a place among the connections.
    pub(in crate::replay) queued_for_slot: bool,
    /// Where its next connection goes, and under which name.
    pub(in crate::replay) upstream: u16,
    pub(in crate::replay) name: u32,
    /// What is spoken on it, and whether as gRPC's C core does.
    pub(in crate::replay) spoken: Spoken,
    pub(in crate::replay) is_core: bool,
    /// What its client announced.
    pub(in crate::replay) announced: u16,
    /// Since when v2 bars its requests though none is under way, and when that is looked at again.
    pub(in crate::replay) barred: Option<(i64, i64)>,
    /// Why its next request fails: v2 spoke on its connection before anything was asked.
    pub(in crate::replay) accused: Option<&'static str>,
}

impl Lane {
    pub(in crate::replay) fn new(side: TargetSide, number: u64, load: &Load) -> Self {
        Self {
            side,
            number,
            queue: VecDeque::new(),
            after: After::default(),
            connections: Vec::new(),
            opened: 0,
            spent: false,
            ends: false,
            opens_later: false,
            queued_for_slot: false,
            upstream: load.upstream,
            name: load.name,
            spoken: load.traits.spoken(),
            is_core: load.traits.is_core(),
            announced: load.announced,
            barred: None,
            accused: None,
        }
    }

    /// Whether the next request may go at `now`.
    pub(in crate::replay) fn next(&mut self, arrivals: Arrivals, think: Think, now: i64) -> MayGo {
        let Some(front) = self.queue.front() else { return MayGo::Empty };
        let free = self.after.free(front.when);
        let opened = match &front.gate {
            None => i64::MIN,
            Some(gate) => match gate.pass(self.side) {
                Some(ready) => ready.free,
                None => return MayGo::Answer,
            },
        };
        if arrivals == Arrivals::Open {
            return MayGo::Ready(opened);
        }
        match (free.map(|free| free.max(opened)), think) {
            (None, _) => MayGo::Answer,
            (Some(i64::MIN), _) => MayGo::Ready(i64::MIN),
            (Some(free), Think::ThinkTime) if free.saturating_add(front.think) > now => {
                MayGo::At(free.saturating_add(front.think))
            }
            (Some(free), Think::ThinkTime) => MayGo::Ready(free.saturating_add(front.think)),
            (Some(free), Think::Schedule) => MayGo::Ready(free),
        }
    }

    /// The next request, which is on its way from here on.
    pub(in crate::replay) fn take(&mut self) -> Option<Task> {
        let task = self.queue.pop_front()?;
        self.after.begins(task.id.exchange, task.answered);
        Some(task)
    }

    /// A request that was on its way is the next once more.
    pub(in crate::replay) fn put_back(&mut self, task: Task) {
        self.after.returns(task.id.exchange, task.answered);
        self.queue.push_front(task);
    }

    /// A request of the lane was answered or given up.
    pub(in crate::replay) fn finish(&mut self, task: &Task, at: i64) {
        self.after.ends(task.id.exchange, task.answered, at);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::exchange::ExchangeId;
    use crate::outcome::ReplayId;

    fn task(ordinal: u32, when: i64, answered: i64) -> Task {
        Task {
            kind: crate::replay::plan::StepKind::Send,
            id: ReplayId { exchange: ExchangeId { connection: 1, ordinal }, copy: 1 },
            lane: 1,
            due: 0,
            when,
            answered,
            think: 30,
            load: Load::default(),
            bytes: Bytes::new(),
            ahead: 0,
            gate: None,
            socket: None,
            again: false,
            blamed: false,
            traceparent: None,
        }
    }

    #[test]
    fn a_request_waits_for_the_answers_its_client_had() {
        let mut lane = Lane::new(TargetSide::Target, 1, &Load::default());
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), MayGo::Empty);
        lane.queue.extend([task(0, 0, 7), task(1, 1, 8), task(2, 8, 9)]);
        for _ in 0..2 {
            assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), MayGo::Ready(i64::MIN));
            lane.take();
        }
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), MayGo::Answer);
        lane.finish(&task(0, 0, 7), 10);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 20), MayGo::Answer);
        lane.finish(&task(1, 1, 8), 20);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 20), MayGo::Ready(20));
        assert_eq!(lane.next(Arrivals::Causal, Think::ThinkTime, 20), MayGo::At(50));
        assert_eq!(lane.next(Arrivals::Causal, Think::ThinkTime, 50), MayGo::Ready(50));
    }

    #[test]
    fn where_arrivals_are_open_nothing_is_waited_for() {
        let mut lane = Lane::new(TargetSide::Target, 1, &Load::default());
        lane.queue.extend([task(0, 0, 7), task(1, 8, 9)]);
        lane.take();
        assert_eq!(lane.next(Arrivals::Open, Think::Schedule, 5), MayGo::Ready(i64::MIN));
    }

    #[test]
    fn what_is_sent_again_does_not_wait_for_itself() {
        let mut lane = Lane::new(TargetSide::Target, 1, &Load::default());
        lane.queue.push_back(task(0, 5, 5));
        let sent = lane.take().unwrap();
        lane.put_back(sent);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), MayGo::Ready(i64::MIN));
    }
}
