//! A worker: one thread, one `epoll`, its share of the lanes. Everything between a due time and the
//! write happens here.
//!
//! The loop waits for the next due time or for a socket, whichever comes first, and looks at the
//! due times again after each socket, so that an answer that takes long to read delays nothing;
//! opening a connection gives way to requests. Sockets are edge-triggered and registered once; a
//! request costs one write, its answer one read, and nothing is encoded, looked up by name or
//! locked on the way. What the worker does with lanes, connections and answers is in the modules
//! below.

pub(super) mod clock;
mod ending;
pub(super) mod lane;
mod lanes;
mod opening;
mod ports;
mod reading;
pub(super) mod realtime;
mod sending;
mod slab;
pub(super) mod warm;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError};

use rustc_hash::FxHashMap;
use rustix::event::epoll;

use self::ports::Ports;
use self::slab::Slab;
use super::feed::FAR_NS;
use super::plan::StepKind;
use super::shared::Shared;
use super::task::{Answer, Live, TargetSide, Task};
use crate::outcome::{Failure, FailureKind};
use crate::replay::bell::Ring;
use crate::replay::binder::Notice;
use crate::replay::recorder::generator;
use crate::replay::recorder::generator::{GeneratorFigures, RecentLengths};
use crate::replay::recorder::outbox::{Outbox, OutcomeBatch};
use crate::replay::session::connection::{Phase, TargetConnection};
use crate::replay::worker::clock::{Alarm, Margin};
use crate::replay::worker::lane::Lane;
use crate::replay::worker::warm::Warm;

/// When a worker warms up, counted back from its first request: it begins, and it ends. Between
/// that and the request it sleeps once more, so that whom its last work woke on this processor does
/// not take his turn at the due time.
const WARM_NS: (i64, i64) = (500_000, 300_000);
/// No connection is opened or closed when a request is due so soon. Opening one takes a fraction of
/// it, but wakes v2, which may be on the same processor, and takes its turn.
const CHORE_NS: i64 = 250_000;
/// The same for one that has been due for so long that the lane's first request is near: as long as
/// opening takes by itself.
const OLD_CHORE_NS: i64 = 80_000;
const OLD_NS: i64 = 10_000_000;
const STALE_NS: i64 = 100_000_000;
const CHORES: usize = 16;
/// No event takes longer than this, as a rule: nothing that is due later need be looked for after
/// each.
const BETWEEN_NS: i64 = 200_000;
const READ_BYTES: usize = 64 << 10;
/// Bytes that are read of one connection before others get their turn.
const READ_AT_ONCE: usize = 128 << 10;
const ALARM: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// A wait on a connection may have lasted long enough: for an answer, for the time of a part.
    Deadline(usize, u32),
    /// A lane's next request may go.
    Lane(usize, u32),
}

/// Puts a task in its place by time. They come in order, but for the seam of two loops.
fn insert(queue: &mut VecDeque<Task>, task: Task) {
    let at = queue.iter().rposition(|known| known.due <= task.due).map_or(0, |at| at + 1);
    queue.insert(at, task);
}

/// A worker.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    number: usize,
    epoll: OwnedFd,
    alarm: Alarm,
    margin: Margin,
    /// When it began to wait, and when that ended.
    waited: (i64, i64),
    inbox: Receiver<Vec<Task>>,
    inbox_open: bool,
    outbox: Outbox<'a>,
    /// Tells the thread that binds values of answers, and hears of it which lanes may go on.
    notices: Option<Sender<Notice>>,
    bell: Option<Receiver<Ring>>,
    /// Requests read ahead, by due time.
    upcoming: VecDeque<Task>,
    /// Connections to be opened, and to be closed, each by time. They give way to requests: a
    /// hundred at once would make the next one late.
    openings: VecDeque<Task>,
    closings: VecDeque<Task>,
    ports: Ports,
    /// Of each target: it spoke on a connection before anything was asked.
    speaks_first: Vec<bool>,
    lanes: Slab<Lane>,
    by_number: FxHashMap<(bool, u64), usize>,
    connections: Slab<TargetConnection>,
    /// How many more connections may be opened.
    slots: usize,
    waiting_for_slot: VecDeque<(usize, u32)>,
    timers: BinaryHeap<Reverse<(i64, Wake)>>,
    buffer: Vec<u8>,
    /// A connection may have become idle since the last search for one.
    maybe_idle: bool,
    baseline_first: bool,
    waiting: u64,
    /// Requests that were sent and are not recorded.
    under_way: u64,
    /// Connections that are to be read on: place and generation, none twice.
    unread: VecDeque<(usize, u32)>,
    figures: GeneratorFigures,
    recent: RecentLengths,
    recent_since: i64,
    /// There until the first request is near.
    warm: Option<Warm>,
    /// What the clock said last.
    seen: i64,
    /// Read-ahead that is used up, and not given back yet: requests and bytes.
    used: (usize, usize),
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        number: usize,
        slots: usize,
        inbox: Receiver<Vec<Task>>,
        wake: &OwnedFd,
        outbox: SyncSender<OutcomeBatch>,
        binder: Option<(Sender<Notice>, Receiver<Ring>)>,
    ) -> io::Result<Self> {
        let (notices, bell) = binder.unzip();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let alarm = Alarm::new(shared.clock)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &alarm, epoll::EventData::new_u64(ALARM), edge)?;
        epoll::add(&epoll, wake, epoll::EventData::new_u64(WAKE), edge)?;
        Ok(Self {
            shared,
            number,
            epoll,
            alarm,
            margin: Margin::new(),
            waited: (0, 0),
            inbox,
            inbox_open: true,
            outbox: Outbox::new(outbox, &shared.unwritten, shared.observed),
            notices,
            bell,
            upcoming: VecDeque::new(),
            openings: VecDeque::new(),
            closings: VecDeque::new(),
            ports: Ports::shared_by(shared.live.len()),
            speaks_first: vec![false; shared.targets.len()],
            lanes: Slab::new(),
            by_number: FxHashMap::default(),
            connections: Slab::new(),
            slots,
            waiting_for_slot: VecDeque::new(),
            timers: BinaryHeap::new(),
            buffer: vec![0; READ_BYTES],
            maybe_idle: false,
            baseline_first: false,
            waiting: 0,
            under_way: 0,
            unread: VecDeque::new(),
            figures: GeneratorFigures::default(),
            recent: RecentLengths::default(),
            recent_since: 0,
            warm: Warm::new().ok(),
            seen: i64::MIN,
            used: (0, 0),
        })
    }

    fn live(&self) -> &'a Live {
        &self.shared.live[self.number]
    }

    fn now(&mut self) -> i64 {
        self.seen = self.shared.clock.now();
        self.seen
    }

    /// Works until everything is done or the replay is stopped.
    pub(super) fn run(mut self) -> io::Result<GeneratorFigures> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        self.figures.touch();
        let mut woke = self.now();
        loop {
            self.take_inbox();
            self.run_due();
            self.answer_bell();
            self.run_chores();
            self.serve_waiting();
            self.close_what_stayed_open();
            if self.shared.stop.is_set() || self.outbox.is_closed() {
                self.abandon();
                break;
            }
            if !self.inbox_open
                && self.upcoming.is_empty()
                && self.openings.is_empty()
                && self.closings.is_empty()
                && self.lanes.len() == 0
            {
                break;
            }
            let now = self.now();
            generator::record(&mut self.figures.loop_delay, now - woke);
            let ahead = self.upcoming.front().map_or(i64::MAX, |task| task.due - now);
            let spins = self.warms_up(ahead) || ahead <= self.margin_ns();
            if !spins {
                self.before_waiting(now)?;
            }
            events.clear();
            let stays = spins || !self.unread.is_empty();
            let timeout = stays.then_some(rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 });
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            woke = self.now();
            self.waited = (now, woke);
            for event in &events {
                self.event(event.data.u64(), event.flags);
                self.run_due_between();
            }
            self.read_on();
        }
        self.give_back();
        self.outbox.end();
        Ok(self.figures)
    }

    /// Goes the way of a request once, in the time for that before the first one; `false` at any
    /// other time.
    fn warms_up(&mut self, ahead: i64) -> bool {
        if ahead > WARM_NS.0 {
            return false;
        }
        if ahead <= WARM_NS.1 {
            self.warm = None;
        }
        self.warm.as_ref().is_some_and(Warm::round)
    }

    /// When to be awake for a request that is due.
    fn awake_at(&self, due: i64, now: i64) -> i64 {
        let early = due - WARM_NS.0;
        if self.warm.is_some() && now < early { early } else { due - self.margin_ns() }
    }

    /// How long before a due time to be awake: before the first, with which all others are
    /// compared, as long as ever.
    const fn margin_ns(&self) -> i64 {
        if self.figures.sent == 0 { Margin::MOST_NS } else { self.margin.ns() }
    }

    /// What has time until something is due: hands outcomes over, and sets the alarm.
    fn before_waiting(&mut self, now: i64) -> io::Result<()> {
        self.give_back();
        if self.outbox.due().is_some_and(|at| at <= now) {
            self.hand_over(now);
        }
        let due = self.upcoming.front().map(|task| self.awake_at(task.due, now));
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let chores = [&self.openings, &self.closings]
            .into_iter()
            .filter_map(|queue| queue.front())
            .map(|task| task.due);
        // One that gives way to a request is looked at again behind it.
        let chores = chores.filter(|due| *due > now || !self.gives_way(now - due, now));
        match due.into_iter().chain(timer).chain(chores).chain(self.outbox.due()).min() {
            Some(at) => self.alarm.set(at),
            None => Ok(()),
        }
    }

    fn hand_over(&mut self, now: i64) {
        if self.outbox.hand_over(now) {
            self.figures.note("recorder-behind");
        }
    }

    /// Gives used-up read-ahead back: in bulk, since the feeder counts on the same numbers.
    fn give_back(&mut self) {
        let (tasks, bytes) = std::mem::take(&mut self.used);
        if tasks > 0 {
            self.shared.budget.give_back(tasks, bytes);
        }
    }

    fn take_inbox(&mut self) {
        while self.inbox_open {
            match self.inbox.try_recv() {
                Ok(batch) => {
                    for task in batch {
                        match task.kind {
                            StepKind::Send | StepKind::Skip => self.upcoming.push_back(task),
                            StepKind::Open => insert(&mut self.openings, task),
                            StepKind::Close => insert(&mut self.closings, task),
                        }
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.inbox_open = false,
            }
        }
    }

    /// Looks at the lanes whose next request has got what it waited for.
    fn answer_bell(&mut self) {
        while let Some(Ok(ring)) = self.bell.as_ref().map(Receiver::try_recv) {
            let Ring { side, lane, connections } = ring;
            if let Some(&at) = self.by_number.get(&(side == TargetSide::Baseline, lane)) {
                let now = self.now();
                let lane = self.lanes.get(at);
                if connections {
                    // A message of a WebSocket has got its values.
                    let connections = lane.connections.clone();
                    connections.into_iter().for_each(|connection| self.deadline(connection, now));
                    continue;
                }
                let opens = std::mem::take(&mut lane.opens_later);
                if opens && lane.queue.is_empty() && lane.connections.is_empty() {
                    self.open(at, now);
                } else {
                    self.pump(at, now);
                }
            }
        }
    }

    /// Does what is due between two events. The clock was read a moment ago, so it is asked again
    /// only where something may be due by now; timers that are not to the microsecond wait for the
    /// end of the round.
    fn run_due_between(&mut self) {
        if self.upcoming.front().is_some_and(|task| task.due - self.seen <= BETWEEN_NS) {
            self.run_due();
        }
    }

    /// Does all that is due.
    fn run_due(&mut self) {
        loop {
            let now = self.now();
            if self.upcoming.front().is_some_and(|task| task.due <= now) {
                let task = self.upcoming.pop_front().expect("the front was just looked at");
                self.forget_opening(task.lane, now);
                self.dispatch(task, now);
                continue;
            }
            match self.timers.peek() {
                Some(Reverse((at, _))) if *at <= now => {
                    let Reverse((_, wake)) = self.timers.pop().expect("the top was just looked at");
                    self.wake(wake, now);
                }
                _ => return,
            }
        }
    }

    /// Opens and closes connections while no request is close to its due time; some at once, so
    /// that answers are read between them.
    fn run_chores(&mut self) {
        for _ in 0..CHORES {
            let now = self.now();
            let ready = |queue: &VecDeque<Task>| {
                queue
                    .front()
                    .is_some_and(|task| task.due <= now && !self.gives_way(now - task.due, now))
            };
            let queue = match (ready(&self.openings), ready(&self.closings)) {
                (true, _) => &mut self.openings,
                (false, true) => &mut self.closings,
                (false, false) => return,
            };
            let task = queue.pop_front().expect("the front was just looked at");
            self.dispatch(task, now);
        }
    }

    /// Closes the connections that the captured clients never closed, once all else is done.
    fn close_what_stayed_open(&mut self) {
        let done = !self.inbox_open
            && self.upcoming.is_empty()
            && self.openings.is_empty()
            && self.waiting + self.under_way == 0;
        while done && self.closings.front().is_some_and(|task| task.due >= FAR_NS) {
            let task = self.closings.pop_front().expect("the front was just looked at");
            let now = self.now();
            self.dispatch(task, now);
        }
    }

    /// Whether opening or closing a connection has to wait, `age` after its time, for a request
    /// that is due soon.
    fn gives_way(&self, age: i64, now: i64) -> bool {
        let room = match age {
            ..OLD_NS => CHORE_NS,
            OLD_NS..STALE_NS => OLD_CHORE_NS,
            // Requests come so close to each other that there is no better time.
            _ => return false,
        };
        self.upcoming.front().is_some_and(|task| task.due - now < room)
    }

    /// A lane's first request is due, and its connection has had to give way until now: the request
    /// opens it.
    fn forget_opening(&mut self, lane: u64, now: i64) {
        let at = self.by_number.get(&(false, lane));
        if at.and_then(|&at| self.lanes.peek(at)).is_some_and(|lane| lane.opened > 0) {
            return;
        }
        if let Some(place) = self
            .openings
            .iter()
            .take_while(|task| task.due <= now)
            .position(|task| task.lane == lane)
        {
            self.openings.remove(place);
        }
    }

    fn wake(&mut self, wake: Wake, now: i64) {
        match wake {
            Wake::Deadline(at, generation) if self.connections.holds(at, generation) => {
                self.deadline(at, now)
            }
            Wake::Lane(at, generation) if self.lanes.holds(at, generation) => self.pump(at, now),
            _ => {}
        }
    }

    fn event(&mut self, data: u64, flags: epoll::EventFlags) {
        match data {
            ALARM => {
                // What was done when it rang says nothing about waking up.
                let (began, woke) = self.waited;
                if let Some(at) = self.alarm.rang().filter(|&at| at > began) {
                    self.margin.woke(woke - at);
                }
            }
            WAKE => self.take_inbox(),
            _ => {
                let (at, generation) = ((data & u64::from(u32::MAX)) as usize, (data >> 32) as u32);
                if !self.connections.holds(at, generation) {
                    return;
                }
                match self.connections.get(at).phase {
                    Phase::Connecting => {
                        self.connected(at, flags.contains(epoll::EventFlags::IN));
                    }
                    Phase::Handshaking => self.handshake(at),
                    Phase::Open => {
                        if flags.contains(epoll::EventFlags::OUT)
                            && self.connections.get(at).is_writing()
                        {
                            self.write(at);
                        }
                        let incoming = epoll::EventFlags::IN
                            | epoll::EventFlags::RDHUP
                            | epoll::EventFlags::HUP
                            | epoll::EventFlags::ERR;
                        if flags.intersects(incoming) && self.connections.holds(at, generation) {
                            let ends = flags.intersects(incoming.difference(epoll::EventFlags::IN));
                            match &mut self.connections.get(at).unread {
                                Some(to_the_end) => *to_the_end |= ends,
                                None => self.read(at, ends),
                            }
                        }
                    }
                }
            }
        }
    }
}
