//! Sending: a request leaves, its lateness is measured, and what the socket did not take is written
//! later.

use std::sync::atomic::Ordering;

use std::io;

use super::super::task::{Task, bump};
use super::{Failure, FailureKind, Worker};
use crate::outcome::Owner;
use crate::replay::recorder::generator;
use crate::replay::recorder::generator::RecentLengths;
use crate::replay::session::{InFlight, Spoken, Written};
use crate::replay::worker::lane::{Arrivals, MayGo};

impl Worker<'_> {
    pub(super) fn send(&mut self, at: usize, free: i64) {
        let now = self.now();
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let (ready, room_since) = (connection.ready, connection.session.room_since());
        let connect_ns = connection.connect_ns.take();
        let opening =
            if connect_ns.is_some() { (ready, connection.started) } else { (i64::MIN, 0) };
        let side = self.lanes.get(lane).side;
        let Some(mut task) = self.lanes.get(lane).take() else { return };
        task.pass_gate(side, &self.shared.budget);
        task.trace(side, self.shared.traces.as_ref());
        if self.connections.get(at).spoken == Spoken::One
            && let Err(error) = task.speak_one(self.shared)
        {
            return self.not_read(lane, task, &error, now);
        }
        self.waiting -= 1;
        let waited = if self.shared.at_once {
            task.due = free.max(ready).max(room_since).max(0).min(now);
            0
        } else if task.again {
            now - task.due
        } else {
            // What v2 caused: the wait for its answer, then the wait for a connection or for room
            // on it.
            let for_answer = free.saturating_sub(task.due).max(0);
            let since = opening.1.max(task.due).max(free);
            let for_connection = opening.0.max(room_since).saturating_sub(since).max(0);
            for_answer.saturating_add(for_connection).clamp(0, (now - task.due).max(0))
        };
        let late = (!task.again).then_some(now - task.due - waited);
        if late.is_some() {
            self.shared.begins(side, task.id);
        }
        let length = task.bytes.len() as u64 + task.rest();
        let until = now.saturating_add(self.shared.patience_ns(&task.load));
        self.under_way += 1;
        let session = &mut self.connections.get(at).session;
        session.begin(InFlight { task, sent: now, waited, connect_ns, until, held_ns: 0 });
        let more = self.next_follows(lane, at, now);
        self.write_on(at, more);
        // What is measured is noted when the request is on its way.
        if let Some(late) = late {
            generator::record(&mut self.figures.lateness, late);
            generator::record(&mut self.figures.waited, waited);
            self.note_lateness(late, now);
        }
        self.figures.sent += 1;
        self.figures.bytes_sent += length;
        bump(&self.live().sent);
    }

    /// The bytes of a request could not be read back.
    fn not_read(&mut self, lane: usize, task: Task, error: &io::Error, now: i64) {
        self.waiting -= 1;
        let failure = Failure::new(FailureKind::Rewrite, format!("its bytes are lost: {error}"));
        self.record(lane, task, None, 0, None, failure.of(Owner::Replayer).into(), now);
    }

    /// Whether the lane's next request goes on the same connection right behind the one that was
    /// begun.
    fn next_follows(&mut self, lane: usize, at: usize, now: i64) -> bool {
        let (arrivals, think) = (self.shared.arrivals, self.shared.think);
        let connection = self.connections.get(at);
        if arrivals != Arrivals::Causal || !connection.session.has_room() {
            return false;
        }
        let upstream = connection.upstream;
        let lane = self.lanes.get(lane);
        let same = lane.queue.front().is_some_and(|next| next.load.upstream == upstream);
        same && matches!(lane.next(arrivals, think, now), MayGo::Ready(_))
    }

    fn note_lateness(&mut self, late: i64, now: i64) {
        self.recent.add(late);
        if now - self.recent_since > 1_000_000_000 {
            self.live().lateness_p99.store(self.recent.p99(), Ordering::Relaxed);
            self.live().waiting.store(self.waiting, Ordering::Relaxed);
            self.recent = RecentLengths::default();
            self.recent_since = now;
        }
    }

    /// Writes on, and lets the lane send its next request when the last is written.
    pub(super) fn write(&mut self, at: usize) {
        let generation = self.connections.generation(at);
        self.write_on(at, false);
        if !self.connections.holds(at, generation) {
            return;
        }
        let connection = self.connections.get(at);
        let lane = connection.lane;
        if connection.session.is_shared() || !connection.is_writing() {
            if connection.session.is_closing() && connection.is_idle() {
                // It answered early and said that it closes; now it has the whole request.
                self.close(at);
            }
            let now = self.now();
            self.pump(lane, now);
        }
    }

    pub(super) fn write_on(&mut self, at: usize, more: bool) {
        let now = self.seen;
        let connection = self.connections.get(at);
        let socket = &mut connection.socket;
        match connection.session.write(socket, &self.shared.spool, more, now) {
            Ok(Written::All | Written::Blocked) => {
                let wakes_at = connection.session.wakes_at();
                self.arm(at, wakes_at);
            }
            // What v2 said before it closed is still to be read.
            Err(error) => {
                let connection = self.connections.get(at);
                connection.session.drop_rest();
                connection.broken = Some(error.to_string());
                self.read_later(at, true);
            }
        }
    }
}
