//! What waits on lanes: where a due request goes, and whether it may go yet.

use std::cmp::Reverse;

use super::super::plan::{Load, StepKind};
use super::super::task::{TargetSide, Task, shown};
use super::{Failure, FailureKind, Wake, Worker};
use crate::replay::session::connection::Phase;
use crate::replay::worker::lane::{Arrivals, Lane, MayGo};

/// How a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestWay {
    /// On this connection.
    On(usize),
    /// Not now: something will happen that looks at the lane again.
    Wait,
    /// Opening a connection failed at once, and the request with it.
    Failed,
}

impl Worker<'_> {
    pub(super) fn dispatch(&mut self, task: Task, now: i64) {
        let Some(baseline) = self.shared.baseline else {
            return self.place(TargetSide::Target, task, now);
        };
        let twin = Task { load: Load { upstream: baseline, ..task.load }, ..task.clone() };
        // Who goes first is the other one each time, so that neither side always finds the warmer
        // machine.
        self.baseline_first = !self.baseline_first;
        if task.kind == StepKind::Send {
            self.shared.budget.take(1, twin.bytes.len());
        }
        if self.baseline_first {
            self.place(TargetSide::Baseline, twin, now);
            self.place(TargetSide::Target, task, now);
        } else {
            self.place(TargetSide::Target, task, now);
            self.place(TargetSide::Baseline, twin, now);
        }
    }

    /// Puts a task on its lane.
    fn place(&mut self, side: TargetSide, task: Task, now: i64) {
        let key = (side == TargetSide::Baseline, task.lane);
        let at = match self.by_number.get(&key) {
            Some(&at) => at,
            None if task.kind == StepKind::Close => return,
            None => {
                let (at, _) = self.lanes.insert(Lane::new(side, task.lane, &task.load));
                self.by_number.insert(key, at);
                at
            }
        };
        match task.kind {
            StepKind::Send | StepKind::Skip => {}
            StepKind::Open => {
                let lane = self.lanes.get(at);
                let waits = task.gate.as_ref().is_some_and(|gate| gate.pass(side).is_none());
                lane.opens_later = waits;
                if !waits && lane.connections.is_empty() {
                    self.open(at, now);
                }
                return;
            }
            StepKind::Close => {
                self.lanes.get(at).ends = true;
                return self.end_lane(at);
            }
        }
        let lane = self.lanes.get(at);
        lane.spent |= task.load.traits.is_last();
        lane.ends |= task.load.traits.is_last() && !task.load.traits.lane_closes();
        lane.queue.push_back(task);
        self.waiting += 1;
        self.figures.peak_waiting = self.figures.peak_waiting.max(self.waiting);
        self.pump(at, now);
    }

    /// Sends what may go on a lane.
    pub(super) fn pump(&mut self, at: usize, mut now: i64) {
        let generation = self.lanes.generation(at);
        // Sending may find the connection lost, and then the lane at its end.
        while self.lanes.holds(at, generation) {
            let next = self.lanes.get(at).next(self.shared.arrivals, self.shared.think, now);
            let free = match next {
                MayGo::Ready(free) => free,
                MayGo::At(when) => {
                    self.timers.push(Reverse((when, Wake::Lane(at, generation))));
                    return;
                }
                MayGo::Answer => return,
                MayGo::Empty => return self.end_lane(at),
            };
            if let Some(why) = self.lanes.get(at).accused.take() {
                self.fail_front(at, Failure::new(FailureKind::Protocol, why), now);
                continue;
            }
            let spreads = self.spreads(at);
            let way = match self.shared.arrivals {
                Arrivals::Causal if !spreads => self.the_connection(at, now),
                Arrivals::Causal => self.a_free_connection(at, 1, now),
                Arrivals::Open => {
                    let wanted = self.lanes.get(at).queue.len();
                    self.a_free_connection(at, wanted, now)
                }
            };
            match way {
                RequestWay::On(connection) => self.send(connection, free),
                RequestWay::Failed => {}
                RequestWay::Wait => return,
            }
            now = self.seen;
        }
    }

    /// Whether the lane's next request goes on any connection that is free, since one cannot carry
    /// what its client had under way at a time.
    fn spreads(&mut self, at: usize) -> bool {
        let lane = self.lanes.get(at);
        let Some(front) = lane.queue.front() else { return false };
        let (upstream, traits) = (front.load.upstream, front.load.traits);
        let downgraded = self.shared.spoken(upstream, traits.spoken()) != traits.spoken();
        traits.spreads() || downgraded
    }

    /// The lane's one connection where it can take a request now; asks for it where there is none.
    /// One that v2 is about to leave keeps what is under way on it, and another one takes the rest.
    fn the_connection(&mut self, at: usize, now: i64) -> RequestWay {
        loop {
            let lane = self.lanes.get(at);
            let Some(front) = lane.queue.front() else { return RequestWay::Wait };
            let (upstream, name) = (front.load.upstream, front.load.name);
            let spoken = front.load.traits.spoken();
            let stays = |&&at: &&usize| {
                let session = self.connections.peek(at).map(|known| &known.session);
                session.is_some_and(|session| !(session.is_shared() && session.is_closing()))
            };
            let Some(&connection) = lane.connections.iter().find(stays) else {
                (lane.upstream, lane.name, lane.spoken) = (upstream, name, spoken);
                return if self.open(at, now) { RequestWay::Wait } else { RequestWay::Failed };
            };
            let known = self.connections.get(connection);
            if known.phase != Phase::Open || known.listens_until > now {
                return RequestWay::Wait;
            }
            let fits =
                known.upstream == upstream && known.spoken == self.shared.spoken(upstream, spoken);
            if known.session.is_closing() || !fits {
                if !known.is_idle() || known.is_writing() {
                    return RequestWay::Wait;
                }
                self.close(connection);
                continue;
            }
            let free = known.session.is_shared() || !known.is_writing();
            if free && known.session.has_room() {
                self.lanes.get(at).barred = None;
                return RequestWay::On(connection);
            }
            return match known.session.barred() {
                Some(why) => self.wait_barred(at, why, now),
                None => RequestWay::Wait,
            };
        }
    }

    /// Nothing that is under way will make room for the lane's next request: it waits for v2 as
    /// long as for an answer.
    fn wait_barred(&mut self, at: usize, why: &str, now: i64) -> RequestWay {
        let timeout = self.shared.timeout_ns;
        let generation = self.lanes.generation(at);
        let lane = self.lanes.get(at);
        let Some(front) = lane.queue.front() else { return RequestWay::Wait };
        let (since, armed) = lane.barred.unwrap_or((now, i64::MIN));
        let waits_since = if self.shared.at_once { since } else { since.max(front.due) };
        let until = waits_since.saturating_add(timeout);
        if now >= until {
            lane.barred = Some((since, armed));
            let detail = format!("not sent: {why}, for {}", shown(timeout));
            self.fail_front(at, Failure::new(FailureKind::Timeout, detail), now);
            return RequestWay::Failed;
        }
        lane.barred = Some((since, until));
        if armed != until {
            self.timers.push(Reverse((until, Wake::Lane(at, generation))));
        }
        RequestWay::Wait
    }

    /// A connection of the lane that has nothing to do, or carries several requests at a time; asks
    /// for enough of them where there is none.
    fn a_free_connection(&mut self, at: usize, wanted: usize, now: i64) -> RequestWay {
        let lane = self.lanes.get(at);
        let Some(front) = lane.queue.front() else { return RequestWay::Wait };
        let (upstream, name) = (front.load.upstream, front.load.name);
        let spoken = front.load.traits.spoken();
        (lane.upstream, lane.name, lane.spoken) = (upstream, name, spoken);
        let spoken = self.shared.spoken(upstream, spoken);
        let mut coming = 0;
        for index in 0..self.lanes.get(at).connections.len() {
            let connection = self.lanes.get(at).connections[index];
            let known = self.connections.get(connection);
            if known.phase != Phase::Open || known.listens_until > now {
                coming += 1;
            } else if (known.is_idle() && !known.is_writing() || known.session.is_shared())
                && known.session.has_room()
                && (known.upstream, known.spoken) == (upstream, spoken)
            {
                return RequestWay::On(connection);
            }
        }
        while coming < wanted && !self.lanes.get(at).queued_for_slot {
            if !self.open(at, now) {
                return RequestWay::Failed;
            }
            coming += 1;
        }
        RequestWay::Wait
    }

    /// Takes a lane away that has given out its last request and has all answers, and closes its
    /// connection.
    pub(super) fn end_lane(&mut self, at: usize) {
        let lane = self.lanes.get(at);
        if !lane.ends || !lane.queue.is_empty() {
            return;
        }
        for index in 0..lane.connections.len() {
            let connection = self.lanes.get(at).connections[index];
            if !self.connections.get(connection).is_idle() {
                return;
            }
        }
        while let Some(&connection) = self.lanes.get(at).connections.first() {
            self.close(connection);
        }
        if let Some(lane) = self.lanes.remove(at) {
            self.by_number.remove(&(lane.side == TargetSide::Baseline, lane.number));
        }
    }

    /// The next request of a lane fails without having been sent.
    pub(super) fn fail_front(&mut self, at: usize, failure: Failure, now: i64) {
        let Some(task) = self.lanes.get(at).queue.pop_front() else { return };
        let waited = (now - task.due).max(0);
        self.waiting -= 1;
        self.record(at, task, None, waited, None, failure.into(), now);
    }

    /// Requests that have been due for longer than the timeout, behind one that timed out: v2
    /// hangs, and waiting for each of them in turn would never end.
    pub(super) fn clear_backlog(&mut self, at: usize, failure: &Failure, now: i64) {
        if self.shared.at_once {
            return;
        }
        while self
            .lanes
            .get(at)
            .queue
            .front()
            .is_some_and(|task| now - task.due >= self.shared.timeout_ns)
        {
            self.fail_front(at, failure.clone(), now);
        }
    }
}
