//! Reads the plan ahead of time and hands tasks to the workers: far enough ahead that a slow disk
//! delays nothing. Its backpressure is a bounded number of requests and bytes under way.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, SyncSender};
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::bell::wake;
use super::gate::Gate;
use super::plan::bound::{Note, PlanBound, note};
use super::plan::{Load, Plan, PlanStep, StepKind};
use super::shared::Shared;
use super::task::{Done, Original, TargetSide, Task};
use crate::bind::Part;
use crate::bind::fill::socket::InSocket;
use crate::outcome::{Failure, Outcome, ReplayId};
use crate::replay::binder::{BoundOrder, BoundSocket, Notice, SocketTies};
use crate::replay::plan::spool::SpoolPlace;
use crate::replay::plan::spool::SpoolReader;
use crate::replay::recorder::outbox::OutcomeBatch;
use crate::schedule::pacing::Speed;

/// How far ahead of its due time a request is read.
const AHEAD_NS: i64 = 2_000_000_000;
/// Most requests that are read ahead or wait on their lanes.
const TASKS: usize = 131_072;
/// As many for each lane where all are due at once, and at least so many: enough to keep every lane
/// busy, and few enough to stay in the processor's cache.
const TASKS_OF_LANE: u64 = 64;
const TASKS_AT_ONCE: usize = 4_096;
/// Most bytes of them.
const BYTES: usize = 64 << 20;
/// A request longer than this is read ahead up to here; the rest is streamed when it is sent.
const WHOLE_BYTES: u64 = 256 << 10;
/// The same for one with values in it: a body that long is looked into, and so put together whole.
const FILLED_BYTES: u64 = 2 << 20;
/// A due time further away than this (18 years) is as good as never.
pub(super) const FAR_NS: i64 = 1 << 59;
const BATCH: usize = 256;
/// How often a waiting feeder looks again.
const PAUSE: Duration = Duration::from_millis(2);

/// One worker's end of the line.
pub(super) struct FeedLine {
    pub(super) sender: SyncSender<Vec<Task>>,
    pub(super) wake: Arc<OwnedFd>,
}

/// The feeder.
pub(super) struct Feeder<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    lines: Vec<FeedLine>,
    batches: Vec<Vec<Task>>,
    records: SyncSender<OutcomeBatch>,
    not_sent: Vec<Done>,
    spool: SpoolReader,
    /// Tells the thread that binds values of what it is to know, and reads what it must.
    binding: Option<(Sender<Notice>, SpoolReader)>,
    /// The gates of first requests whose connections were read ahead, and they were not.
    opened: FxHashMap<ReplayId, Arc<Gate>>,
    /// Most requests that are read ahead.
    tasks: usize,
    /// All before this time of the plan were read; told where what is said on WebSockets waits.
    read: i64,
    tells_read: bool,
}

impl<'a> Feeder<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        shared: &'a Shared,
        lines: Vec<FeedLine>,
        records: SyncSender<OutcomeBatch>,
        notices: Option<Sender<Notice>>,
    ) -> Self {
        let binding = notices.zip(plan.bound.as_ref().map(PlanBound::notes));
        let batches = lines.iter().map(|_| Vec::new()).collect();
        let at_once =
            usize::try_from(plan.totals.lanes.saturating_mul(TASKS_OF_LANE)).unwrap_or(usize::MAX);
        let tasks = if plan.pacing.speed == Speed::Max {
            at_once.clamp(TASKS_AT_ONCE, TASKS)
        } else {
            TASKS
        };
        Self {
            plan,
            shared,
            lines,
            batches,
            records,
            not_sent: Vec::new(),
            spool: plan.spool.reader(),
            binding,
            opened: FxHashMap::default(),
            tasks,
            read: i64::MIN,
            tells_read: false,
        }
    }

    /// Feeds the whole plan, all its loops. Ends early where the replay is stopped.
    pub(super) fn run(mut self) -> io::Result<()> {
        let pacing = self.plan.pacing;
        for round in 0..pacing.loops.max(1) {
            let shift = self.plan.period.saturating_mul(i64::from(round));
            for step in self.plan.steps()? {
                let step = step?;
                // A connection that closed behind the last request must hold up neither the next
                // loop nor the end: it closes with that request, and in the last loop when all is
                // answered.
                let behind = step.kind == StepKind::Close && step.when > self.plan.totals.span;
                let when = if behind { self.plan.totals.span } else { step.when };
                // Clocks in captures may say anything; within these bounds no sum with a time of
                // the replay overflows.
                let due = pacing.due(when.saturating_add(shift)).clamp(-FAR_NS, FAR_NS);
                self.read = step.when.saturating_add(shift);
                if !self.wait_for_room(due) {
                    return Ok(());
                }
                let due = if behind && round + 1 == pacing.loops.max(1) { FAR_NS } else { due };
                if step.kind == StepKind::Skip {
                    if round == 0 {
                        self.skip(&step, due)?;
                    }
                    continue;
                }
                self.feed(&step, round, due)?;
            }
        }
        self.read = i64::MAX;
        self.flush();
        if !self.not_sent.is_empty() {
            let _ = self.records.send(std::mem::take(&mut self.not_sent).into());
        }
        Ok(())
    }

    fn feed(&mut self, step: &PlanStep, round: u32, due: i64) -> io::Result<()> {
        let (id, lane) = self.plan.identity(step, round);
        let sends = step.kind == StepKind::Send;
        // Fibonacci hashing: neighbouring lanes go to different workers.
        let spread =
            (u128::from(lane.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * self.lines.len() as u128) >> 64;
        let line = spread as usize;
        let opens = step.kind == StepKind::Open;
        let part = match &self.plan.bound {
            Some(bound) if (sends || opens) && step.load.note.length > 0 => {
                bound.parts.part(step.id)?
            }
            _ => None,
        };
        let bytes = if !sends {
            Bytes::new()
        } else {
            let fills = part.as_ref().is_some_and(|part| !part.uses.is_empty());
            let whole = if fills { FILLED_BYTES } else { WHOLE_BYTES };
            // The head is never cut: it goes out in one piece.
            let ahead = step.load.place.length.min(whole.max(u64::from(step.load.head)));
            self.spool.get(step.load.place.offset, ahead as usize)?
        };
        if sends {
            self.shared.budget.take(1, bytes.len());
        }
        let order = (id, lane, due, line, bytes.clone());
        let (gate, socket) = match part {
            Some(part) if opens => (self.gate_of_opening(id, &part), None),
            Some(part) => self.order(&step.load, part, order)?,
            None => (None, None),
        };
        let think = self.plan.pacing.stretch(step.think);
        let task = Task {
            kind: step.kind,
            id,
            lane,
            due,
            when: step.when,
            answered: step.answered,
            think,
            load: step.load,
            ahead: bytes.len() as u64,
            bytes,
            gate,
            socket,
            again: false,
            blamed: false,
            traceparent: None,
        };
        self.batches[line].push(task);
        if self.batches[line].len() >= BATCH {
            self.flush_line(line);
        }
        Ok(())
    }

    /// The gate of a lane's first request, where that waits: its connection is opened when the
    /// request may go. A server that takes few at a time would be kept from the very request that
    /// is waited for.
    fn gate_of_opening(&mut self, id: ReplayId, part: &Part) -> Option<Arc<Gate>> {
        if part.after.is_empty() && part.uses.is_empty() {
            return None;
        }
        let gate = Arc::new(Gate::new(!part.births.is_empty()));
        self.opened.insert(id, Arc::clone(&gate));
        Some(gate)
    }

    /// Tells of a request that has to do with bound values; gives its gate, and those on the
    /// WebSocket that it opens.
    fn order(
        &mut self,
        load: &Load,
        mut part: Part,
        (id, lane, due, worker, bytes): (ReplayId, u64, i64, usize, Bytes),
    ) -> io::Result<(Option<Arc<Gate>>, Option<SocketTies>)> {
        let Some((notices, notes)) = &mut self.binding else { return Ok((None, None)) };
        let Note { at, expected, messages } = note(notes, load.note)?;
        let socket = if load.traits.opens_socket() {
            let (inside, course) = (InSocket::take_from(&mut part), load.place.end());
            self.tells_read |= !inside.uses.is_empty();
            Some(BoundSocket::read(&self.shared.spool, course, inside, messages)?)
        } else {
            None
        };
        let ties = socket
            .as_ref()
            .map(|socket| SocketTies { gates: Arc::clone(&socket.gates), binder: notices.clone() });
        let known = self.opened.remove(&id);
        let gate = known.unwrap_or_else(|| Arc::new(Gate::new(!part.births.is_empty())));
        let head = load.head;
        let (told, when) = ((Some(Arc::clone(&gate)), ties), self.read);
        let order = BoundOrder {
            id,
            at,
            when,
            part,
            expected,
            gate,
            socket,
            lane,
            due,
            worker,
            bytes,
            head,
        };
        // Where nobody hears it, the replay is being stopped.
        let _ = notices.send(Notice::Order(Arc::new(order)));
        Ok(told)
    }

    fn skip(&mut self, step: &PlanStep, due: i64) -> io::Result<()> {
        let (id, lane) = self.plan.identity(step, 0);
        let Some(kind) = step.load.traits.not_sent() else { return Ok(()) };
        let detail = self.spool.get(step.load.place.offset, step.load.place.length as usize)?;
        let failure = Some(Failure::new(kind, String::from_utf8_lossy(&detail)));
        for side in [Some(TargetSide::Target), self.shared.baseline.map(|_| TargetSide::Baseline)]
            .into_iter()
            .flatten()
        {
            let outcome =
                Outcome { id, lane, due_ns: due, failure: failure.clone(), ..Outcome::default() };
            let request = SpoolPlace::default();
            self.not_sent.push(Done {
                side,
                route: 0,
                original: Original::default(),
                request,
                filled: None,
                socket: None,
                outcome,
            });
        }
        if self.not_sent.len() >= BATCH {
            // The recorder is a thread of its own and takes what comes; it ends only after this
            // one.
            let _ = self.records.send(std::mem::take(&mut self.not_sent).into());
        }
        Ok(())
    }

    /// Waits until `due` is near and there is room; where there was none, until there is some more
    /// of it than for one. `false`: the replay was stopped.
    fn wait_for_room(&mut self, due: i64) -> bool {
        let mut tasks = self.tasks;
        loop {
            if self.shared.stop.is_set() {
                return false;
            }
            let budget = &self.shared.budget;
            let full = budget.tasks.load(Ordering::Relaxed) >= tasks
                || budget.bytes.load(Ordering::Relaxed) >= BYTES;
            let early =
                self.plan.pacing.speed != Speed::Max && due - self.shared.clock.now() > AHEAD_NS;
            if !full && !early {
                return true;
            }
            if full
                && !early
                && self.plan.pacing.speed != Speed::Max
                && due < self.shared.clock.now()
            {
                budget.stalled.store(true, Ordering::Relaxed);
            }
            self.flush();
            tasks = self.tasks - self.tasks / 4;
            std::thread::sleep(if early { PAUSE * 10 } else { PAUSE });
        }
    }

    fn flush(&mut self) {
        for line in 0..self.lines.len() {
            self.flush_line(line);
        }
        if let (true, Some((notices, _))) = (self.tells_read, &self.binding) {
            let _ = notices.send(Notice::Read(self.read));
        }
    }

    fn flush_line(&mut self, line: usize) {
        if self.batches[line].is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.batches[line], Vec::with_capacity(BATCH));
        // A worker that is gone has said why; the replay is being stopped.
        if self.lines[line].sender.send(batch).is_ok() {
            wake(&self.lines[line].wake);
        }
    }
}
