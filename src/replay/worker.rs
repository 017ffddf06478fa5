//! A worker: one thread, one `epoll`, its share of the lanes. Everything between a due time and the write happens here.
//!
//! Opening a connection gives way to requests. The loop waits for the next due time or for a socket, whichever comes first, and looks at the due times again after each
//! socket, so that an answer that takes long to read delays nothing. Sockets are edge-triggered and registered once; a
//! request costs one write, its answer one read, and nothing is encoded, looked up by name or locked on the way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;
use rustix::event::epoll;
use rustls::ClientConfig;

use super::clock::{Alarm, Clock};
use super::connection::{Connection, InFlight, Phase, Written};
use super::generator::{self, Figures};
use super::lane::{Arrivals, Lane, Next, Think};
use super::spool::Spool;
use super::target::Target;
use super::task::{Budget, Done, Live, Side, Stop, Task, bump, lower};
use super::tls::server_name;
use super::underway::UnderWay;
use super::wire::{Handshake, Socket};
use super::{Failure, FailureKind, Outcome, ReplayId};
use crate::http::Response;
use crate::http::parser::{Damage, Ending, Message, Parsed};

/// How long before a due time the worker is awake: waking up takes tens of microseconds, and so much it spins at most.
const SPIN_NS: i64 = 60_000;
/// No connection is opened when a request is due so soon: opening one takes about as long.
const OPENING_NS: i64 = 80_000;
const OPENINGS: usize = 16;
/// How long a body waits for `100 Continue` (RFC 9110 §10.1.1 leaves the time to the client).
const CONTINUE_NS: i64 = 1_000_000_000;
/// Requests in flight on one connection.
const PIPELINE: usize = 1_024;
const READ_BYTES: usize = 64 << 10;
/// Outcomes that are handed to the recorder at once.
const BATCH: usize = 128;
/// Outcomes that a worker keeps while the recorder is behind, before it waits for it.
const KEPT: usize = 16_384;
const ALARM: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

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

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// A connection's oldest wait may have lasted too long.
    Deadline(usize, u32),
    /// A body has waited long enough for its 100.
    Continue(usize, u32),
    /// A lane's next request may go.
    Lane(usize, u32),
}

/// Places with a generation, so that a late event of a former tenant is known as such.
struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    fn insert(&mut self, value: T) -> (usize, u32) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() - 1
        });
        self.places[at].1 = Some(value);
        (at, self.places[at].0)
    }

    fn get(&mut self, at: usize) -> &mut T {
        self.places[at].1.as_mut().expect("a place is used only while its tenant is known to be there")
    }

    fn generation(&self, at: usize) -> u32 {
        self.places[at].0
    }

    fn holds(&self, at: usize, generation: u32) -> bool {
        self.places.get(at).is_some_and(|(now, value)| *now == generation && value.is_some())
    }

    fn remove(&mut self, at: usize) -> Option<T> {
        let value = self.places[at].1.take()?;
        self.places[at].0 = self.places[at].0.wrapping_add(1);
        self.free.push(at);
        Some(value)
    }

    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().enumerate().filter(|(_, (_, value))| value.is_some()).map(|(at, _)| at)
    }
}

/// How a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On this connection.
    On(usize),
    /// Not now: something will happen that looks at the lane again.
    Wait,
    /// Opening a connection failed at once, and the request with it.
    Failed,
}

/// An answer, or the want of one.
struct Answer {
    first: Option<i64>,
    last: Option<i64>,
    response: Option<Response>,
    failure: Option<Failure>,
}

impl Answer {
    fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { first: None, last: None, response: None, failure: Some(Failure { kind, detail: detail.into() }) }
    }
}

/// A worker.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    number: usize,
    epoll: OwnedFd,
    alarm: Alarm,
    inbox: Receiver<Vec<Task>>,
    inbox_open: bool,
    outbox: SyncSender<Vec<Done>>,
    /// The recorder is gone: the replay ends.
    outbox_open: bool,
    done: Vec<Done>,
    /// Requests read ahead, by due time.
    upcoming: VecDeque<Task>,
    /// Connections to be opened, by time. They give way to requests: a hundred at once would make the next one late.
    openings: VecDeque<Task>,
    lanes: Slab<Lane>,
    by_number: FxHashMap<(bool, u64), usize>,
    connections: Slab<Connection>,
    /// How many more connections may be opened.
    slots: usize,
    waiting_for_slot: VecDeque<(usize, u32)>,
    timers: BinaryHeap<Reverse<(i64, Wake)>>,
    buffer: Vec<u8>,
    /// A connection may have become idle since the last search for one.
    maybe_idle: bool,
    baseline_first: bool,
    waiting: u64,
    figures: Figures,
    recent: Histogram<u64>,
    recent_since: i64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        number: usize,
        slots: usize,
        inbox: Receiver<Vec<Task>>,
        wake: &OwnedFd,
        outbox: SyncSender<Vec<Done>>,
    ) -> io::Result<Self> {
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
            inbox,
            inbox_open: true,
            outbox,
            outbox_open: true,
            done: Vec::with_capacity(BATCH),
            upcoming: VecDeque::new(),
            openings: VecDeque::new(),
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
            figures: Figures::default(),
            recent: generator::histogram(),
            recent_since: 0,
        })
    }

    fn live(&self) -> &'a Live {
        &self.shared.live[self.number]
    }

    /// Works until everything is done or the replay is stopped.
    pub(super) fn run(mut self) -> io::Result<Figures> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        let mut woke = self.shared.clock.now();
        loop {
            self.take_inbox();
            self.run_due();
            self.run_openings();
            self.serve_waiting();
            if self.shared.stop.is_set() || !self.outbox_open {
                self.abandon();
                break;
            }
            if !self.inbox_open && self.upcoming.is_empty() && self.openings.is_empty() && self.lanes.len() == 0 {
                break;
            }
            let now = self.shared.clock.now();
            generator::record(&mut self.figures.loop_delay, now - woke);
            let due = self.upcoming.front().map(|task| task.due);
            let spins = due.is_some_and(|due| due - now <= SPIN_NS);
            let timer = self.timers.peek().map(|Reverse((at, _))| *at);
            let opening = self.openings.front().map(|task| task.due);
            let alarm = due.map(|due| due - SPIN_NS).into_iter().chain(timer).chain(opening).min();
            if !spins {
                self.hand_over();
                if let Some(at) = alarm {
                    self.alarm.set(at)?;
                }
            }
            events.clear();
            let timeout = spins.then_some(rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 });
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            woke = self.shared.clock.now();
            for event in &events {
                self.event(event.data.u64(), event.flags);
                self.run_due();
            }
        }
        self.hand_over_all();
        Ok(self.figures)
    }

    // -- tasks in, outcomes out ----------------------------------------------------------------------------------------

    fn take_inbox(&mut self) {
        while self.inbox_open {
            match self.inbox.try_recv() {
                Ok(batch) => {
                    for task in batch {
                        if task.open { self.openings.push_back(task) } else { self.upcoming.push_back(task) }
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.inbox_open = false,
            }
        }
    }

    /// Hands outcomes to the recorder; where it is behind they are kept for now.
    fn hand_over(&mut self) {
        if self.done.is_empty() {
            return;
        }
        match self.outbox.try_send(std::mem::take(&mut self.done)) {
            Ok(()) => self.done.reserve(BATCH),
            Err(TrySendError::Full(batch)) => {
                self.done = batch;
                if self.done.len() >= KEPT {
                    self.figures.note("recorder-behind");
                    self.hand_over_all();
                }
            }
            Err(TrySendError::Disconnected(_)) => self.outbox_open = false,
        }
    }

    fn hand_over_all(&mut self) {
        if !self.done.is_empty() && self.outbox.send(std::mem::take(&mut self.done)).is_err() {
            self.outbox_open = false;
        }
    }

    // -- time ----------------------------------------------------------------------------------------------------------

    /// Does all that is due.
    fn run_due(&mut self) {
        loop {
            let now = self.shared.clock.now();
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

    /// Opens connections while no request is close to its due time; some at once, so that answers are read between them.
    fn run_openings(&mut self) {
        for _ in 0..OPENINGS {
            let now = self.shared.clock.now();
            let busy = self.upcoming.front().is_some_and(|task| task.due - now < OPENING_NS);
            if busy || self.openings.front().is_none_or(|task| task.due > now) {
                return;
            }
            let task = self.openings.pop_front().expect("the front was just looked at");
            self.dispatch(task, now);
        }
    }

    /// A lane's first request is due, and its connection has had to give way until now: the request opens it.
    fn forget_opening(&mut self, lane: u64, now: i64) {
        if let Some(place) = self.openings.iter().take_while(|task| task.due <= now).position(|task| task.lane == lane) {
            self.openings.remove(place);
        }
    }

    fn wake(&mut self, wake: Wake, now: i64) {
        match wake {
            Wake::Deadline(at, generation) if self.connections.holds(at, generation) => self.deadline(at, now),
            Wake::Continue(at, generation) if self.connections.holds(at, generation) => {
                let connection = self.connections.get(at);
                let waited = connection.in_flight.back().is_some_and(|request| now - request.sent >= CONTINUE_NS);
                if waited && connection.holds_body() {
                    self.figures.note("sent-body-without-100");
                    self.connections.get(at).let_body_go();
                    self.write(at);
                }
            }
            Wake::Lane(at, generation) if self.lanes.holds(at, generation) => self.pump(at),
            _ => {}
        }
    }

    fn dispatch(&mut self, task: Task, now: i64) {
        let Some(baseline) = self.shared.baseline else { return self.place(Side::Target, task, now) };
        let twin = Task { load: super::plan::Load { upstream: baseline, ..task.load }, ..task.clone() };
        // Who goes first is the other one each time, so that neither side always finds the warmer machine.
        self.baseline_first = !self.baseline_first;
        if !task.open {
            self.shared.budget.take(1, twin.bytes.len());
        }
        if self.baseline_first {
            self.place(Side::Baseline, twin, now);
            self.place(Side::Target, task, now);
        } else {
            self.place(Side::Target, task, now);
            self.place(Side::Baseline, twin, now);
        }
    }

    /// Puts a task on its lane.
    fn place(&mut self, side: Side, task: Task, now: i64) {
        let key = (side == Side::Baseline, task.lane);
        let at = match self.by_number.get(&key) {
            Some(&at) => at,
            None => {
                let (at, _) = self.lanes.insert(Lane::new(side, task.lane, task.load.upstream, task.load.name));
                self.by_number.insert(key, at);
                at
            }
        };
        if task.open {
            if self.lanes.get(at).connections.is_empty() {
                self.open(at, now);
            }
            return;
        }
        let lane = self.lanes.get(at);
        lane.ends |= task.load.traits.is_last();
        lane.queue.push_back(task);
        self.waiting += 1;
        self.figures.peak_waiting = self.figures.peak_waiting.max(self.waiting);
        self.pump(at);
    }

    // -- lanes ---------------------------------------------------------------------------------------------------------

    /// Sends what may go on a lane.
    fn pump(&mut self, at: usize) {
        let generation = self.lanes.generation(at);
        // Sending may find the connection lost, and then the lane at its end.
        while self.lanes.holds(at, generation) {
            let now = self.shared.clock.now();
            let next = self.lanes.get(at).next(self.shared.arrivals, self.shared.think, now);
            let free = match next {
                Next::Ready(free) => free,
                Next::At(when) => {
                    self.timers.push(Reverse((when, Wake::Lane(at, generation))));
                    return;
                }
                Next::Answer => return,
                Next::Empty => return self.end_lane(at),
            };
            let way = match self.shared.arrivals {
                Arrivals::Causal => self.the_connection(at, now),
                Arrivals::Open => self.a_free_connection(at, now),
            };
            match way {
                Way::On(connection) => self.send(connection, free),
                Way::Failed => {}
                Way::Wait => return,
            }
        }
    }

    /// The lane's one connection where it can take a request now; asks for it where there is none.
    fn the_connection(&mut self, at: usize, now: i64) -> Way {
        loop {
            let lane = self.lanes.get(at);
            let Some(front) = lane.queue.front() else { return Way::Wait };
            let (upstream, name) = (front.load.upstream, front.load.name);
            let Some(&connection) = lane.connections.first() else {
                (lane.upstream, lane.name) = (upstream, name);
                return if self.open(at, now) { Way::Wait } else { Way::Failed };
            };
            let known = self.connections.get(connection);
            if known.phase != Phase::Open {
                return Way::Wait;
            }
            if known.closing || known.upstream != upstream {
                if !known.in_flight.is_empty() || known.is_writing() {
                    return Way::Wait;
                }
                self.close(connection);
                continue;
            }
            let takes = !known.is_writing() && known.in_flight.len() < PIPELINE;
            return if takes { Way::On(connection) } else { Way::Wait };
        }
    }

    /// A connection of the lane that has nothing to do; asks for enough of them where there is none.
    fn a_free_connection(&mut self, at: usize, now: i64) -> Way {
        let lane = self.lanes.get(at);
        let Some(front) = lane.queue.front() else { return Way::Wait };
        let (upstream, name, wanted) = (front.load.upstream, front.load.name, lane.queue.len());
        (lane.upstream, lane.name) = (upstream, name);
        let mut coming = 0;
        for index in 0..self.lanes.get(at).connections.len() {
            let connection = self.lanes.get(at).connections[index];
            let known = self.connections.get(connection);
            if known.phase != Phase::Open {
                coming += 1;
            } else if known.in_flight.is_empty() && !known.closing && !known.is_writing() && known.upstream == upstream {
                return Way::On(connection);
            }
        }
        while coming < wanted && !self.lanes.get(at).queued_for_slot {
            if !self.open(at, now) {
                return Way::Failed;
            }
            coming += 1;
        }
        Way::Wait
    }

    /// Takes a lane away that has given out its last request and has all answers.
    fn end_lane(&mut self, at: usize) {
        let lane = self.lanes.get(at);
        if !lane.ends || !lane.queue.is_empty() {
            return;
        }
        for index in 0..lane.connections.len() {
            let connection = self.lanes.get(at).connections[index];
            if !self.connections.get(connection).in_flight.is_empty() {
                return;
            }
        }
        while let Some(&connection) = self.lanes.get(at).connections.first() {
            self.close(connection);
        }
        if let Some(lane) = self.lanes.remove(at) {
            self.by_number.remove(&(lane.side == Side::Baseline, lane.number));
        }
    }

    // -- connections ---------------------------------------------------------------------------------------------------

    /// Opens a connection for a lane, or puts the lane in line for one. `false`: it failed at once, and so did the lane's
    /// next request.
    fn open(&mut self, at: usize, now: i64) -> bool {
        if self.slots == 0 && !self.evict() {
            let generation = self.lanes.generation(at);
            if !std::mem::replace(&mut self.lanes.get(at).queued_for_slot, true) {
                self.figures.note("waited-for-a-connection-slot");
                self.waiting_for_slot.push_back((at, generation));
            }
            return true;
        }
        let lane = self.lanes.get(at);
        let target = &self.shared.targets[usize::from(lane.upstream).min(self.shared.targets.len() - 1)];
        let upstream = lane.upstream;
        let address = target.address(lane.number);
        let (index, generation) = match Socket::connect(address) {
            Ok(socket) => self.connections.insert(Connection::new(at, upstream, socket, now, self.shared.max_body)),
            Err(error) => {
                self.fail_front(at, FailureKind::Connect, &no_socket(&error), now);
                return false;
            }
        };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(index as u64 | u64::from(generation) << 32);
        if let Err(error) = epoll::add(&self.epoll, &self.connections.get(index).socket, data, flags) {
            self.connections.remove(index);
            self.fail_front(at, FailureKind::Connect, &no_socket(&error.into()), now);
            return false;
        }
        self.slots -= 1;
        let lane = self.lanes.get(at);
        lane.connections.push(index);
        if lane.opened > 0 && self.shared.arrivals == Arrivals::Causal {
            self.figures.note("reopened-connections");
        }
        lane.opened += 1;
        self.figures.note("connections");
        bump(&self.live().connections);
        self.figures.peak_connections = self.figures.peak_connections.max(self.connections.len() as u64);
        self.arm(index, now + self.shared.timeout_ns);
        true
    }

    /// Closes a connection that nobody needs now, for one that somebody needs.
    fn evict(&mut self) -> bool {
        if !self.maybe_idle {
            return false;
        }
        let found = self.connections.indices().find(|&at| {
            let connection = self.connections.places[at].1.as_ref().expect("the index is of a tenant");
            let lane = self.lanes.places[connection.lane].1.as_ref();
            connection.in_flight.is_empty() && lane.is_none_or(|lane| lane.queue.is_empty())
        });
        let Some(at) = found else {
            self.maybe_idle = false;
            return false;
        };
        self.figures.note("evicted-idle-connections");
        self.close(at);
        true
    }

    /// Lanes that waited for a slot look again.
    fn serve_waiting(&mut self) {
        for _ in 0..self.waiting_for_slot.len() {
            if self.slots == 0 && !self.evict() {
                return;
            }
            let Some((at, generation)) = self.waiting_for_slot.pop_front() else { return };
            if self.lanes.holds(at, generation) {
                self.lanes.get(at).queued_for_slot = false;
                if self.lanes.get(at).queue.is_empty() {
                    // It only wanted to be early: it opens with its first request.
                    continue;
                }
                self.pump(at);
            }
        }
    }

    fn close(&mut self, at: usize) {
        let Some(connection) = self.connections.remove(at) else { return };
        let _ = epoll::delete(&self.epoll, &connection.socket);
        self.lanes.get(connection.lane).connections.retain(|&other| other != at);
        self.slots += 1;
        lower(&self.live().connections);
    }

    fn arm(&mut self, at: usize, when: i64) {
        let generation = self.connections.generation(at);
        if !std::mem::replace(&mut self.connections.get(at).armed, true) {
            self.timers.push(Reverse((when, Wake::Deadline(at, generation))));
        }
    }

    // -- events --------------------------------------------------------------------------------------------------------

    fn event(&mut self, data: u64, flags: epoll::EventFlags) {
        match data {
            ALARM => self.alarm.rang(),
            WAKE => self.take_inbox(),
            _ => {
                let (at, generation) = ((data & u64::from(u32::MAX)) as usize, (data >> 32) as u32);
                if !self.connections.holds(at, generation) {
                    return;
                }
                match self.connections.get(at).phase {
                    Phase::Connecting => self.connected(at),
                    Phase::Handshaking => self.handshake(at),
                    Phase::Open => {
                        if flags.contains(epoll::EventFlags::OUT) && self.connections.get(at).is_writing() {
                            self.write(at);
                        }
                        let incoming =
                            epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                        if flags.intersects(incoming) && self.connections.holds(at, generation) {
                            let ends = flags.intersects(incoming.difference(epoll::EventFlags::IN));
                            self.read(at, ends);
                        }
                    }
                }
            }
        }
    }

    fn connected(&mut self, at: usize) {
        let now = self.shared.clock.now();
        let connection = self.connections.get(at);
        if let Err(error) = connection.socket.connected() {
            return self.not_opened(at, FailureKind::Connect, &no_socket(&error), now);
        }
        let target = &self.shared.targets[usize::from(connection.upstream)];
        if !target.tls {
            return self.opened(at, now);
        }
        let lane = connection.lane;
        let name = self.lanes.get(lane).name;
        let host = self.shared.names.get(name as usize).map_or("", |name| &**name);
        let (Some(config), Some(name)) = (&self.shared.tls, server_name(host, target)) else {
            return self.not_opened(at, FailureKind::Tls, "no server name to ask for", now);
        };
        let connection = self.connections.get(at);
        if let Err(error) = connection.socket.start_tls(Arc::clone(config), name) {
            return self.not_opened(at, FailureKind::Tls, &error.to_string(), now);
        }
        connection.phase = Phase::Handshaking;
        self.handshake(at);
    }

    fn handshake(&mut self, at: usize) {
        let now = self.shared.clock.now();
        match self.connections.get(at).socket.handshake() {
            Ok(Handshake::Going) => {}
            Ok(Handshake::Done) => self.opened(at, now),
            Err(error) => self.not_opened(at, FailureKind::Tls, &error.to_string(), now),
        }
    }

    fn opened(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        self.maybe_idle = true;
        connection.phase = Phase::Open;
        connection.ready = now;
        connection.connect_ns = Some(now - connection.started);
        let lane = connection.lane;
        if connection.socket.is_tls() {
            // Bytes behind the handshake may have come with it, and no edge will tell of them.
            let generation = self.connections.generation(at);
            self.read(at, false);
            if !self.connections.holds(at, generation) {
                return;
            }
        }
        self.pump(lane);
    }

    /// A connection could not be opened: the request that waits for it fails.
    fn not_opened(&mut self, at: usize, kind: FailureKind, detail: &str, now: i64) {
        let lane = self.connections.get(at).lane;
        self.close(at);
        self.figures.note("connections-not-opened");
        self.fail_front(lane, kind, detail, now);
        self.pump(lane);
    }

    /// The next request of a lane fails without having been sent.
    fn fail_front(&mut self, at: usize, kind: FailureKind, detail: &str, now: i64) {
        let Some(task) = self.lanes.get(at).queue.pop_front() else { return };
        let waited = (now - task.due).max(0);
        self.waiting -= 1;
        self.record(at, task, None, waited, None, Answer::failed(kind, detail), now);
    }

    // -- sending -------------------------------------------------------------------------------------------------------

    fn send(&mut self, at: usize, free: i64) {
        let now = self.shared.clock.now();
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let ready = connection.ready;
        let connect_ns = connection.connect_ns.take();
        let opening = if connect_ns.is_some() { (ready, connection.started) } else { (i64::MIN, 0) };
        let Some(mut task) = self.lanes.get(lane).queue.pop_front() else { return };
        self.waiting -= 1;
        let waited = if self.shared.at_once {
            task.due = free.max(ready).max(0).min(now);
            0
        } else if task.again {
            now - task.due
        } else {
            // What v2 caused: the wait for its answer, then the wait for a connection.
            let for_answer = free.saturating_sub(task.due).max(0);
            let since = opening.1.max(task.due).max(free);
            let for_connection = opening.0.saturating_sub(since).max(0);
            for_answer.saturating_add(for_connection).clamp(0, (now - task.due).max(0))
        };
        if !task.again {
            self.shared.begins(self.lanes.get(lane).side, task.id);
            let late = now - task.due - waited;
            generator::record(&mut self.figures.lateness, late);
            generator::record(&mut self.figures.waited, waited);
            self.note_lateness(late, now);
        }
        self.figures.sent += 1;
        self.figures.bytes_sent += task.load.place.length;
        bump(&self.live().sent);
        let expects = task.load.traits.expects_continue();
        self.connections.get(at).begin(InFlight { task, sent: now, waited, connect_ns });
        if expects {
            let generation = self.connections.generation(at);
            self.timers.push(Reverse((now + CONTINUE_NS, Wake::Continue(at, generation))));
        }
        self.arm(at, now + self.shared.timeout_ns);
        self.write_on(at);
    }

    fn note_lateness(&mut self, late: i64, now: i64) {
        generator::record(&mut self.recent, late);
        if now - self.recent_since > 1_000_000_000 {
            let p99 = i64::try_from(self.recent.value_at_quantile(0.99)).unwrap_or(i64::MAX);
            self.live().lateness_p99.store(p99, Ordering::Relaxed);
            self.live().waiting.store(self.waiting, Ordering::Relaxed);
            self.recent.reset();
            self.recent_since = now;
        }
    }

    /// Writes on, and lets the lane send its next request when the last is written.
    fn write(&mut self, at: usize) {
        let generation = self.connections.generation(at);
        self.write_on(at);
        if self.connections.holds(at, generation) && !self.connections.get(at).is_writing() {
            let lane = self.connections.get(at).lane;
            let connection = self.connections.get(at);
            if connection.closing && connection.in_flight.is_empty() {
                // It answered early and said that it closes; now it has the whole request.
                self.close(at);
            }
            self.pump(lane);
        }
    }

    fn write_on(&mut self, at: usize) {
        match self.connections.get(at).write(&self.shared.spool) {
            Ok(Written::All | Written::Blocked) => {}
            // What v2 said before it closed is still to be read, and says more than the failed write does.
            Err(error) => {
                let generation = self.connections.generation(at);
                self.connections.get(at).drop_rest();
                self.read(at, true);
                if self.connections.holds(at, generation) {
                    self.lost(at, Ending::Cut, &error.to_string());
                }
            }
        }
    }

    // -- reading -------------------------------------------------------------------------------------------------------

    /// Reads what is there. `ends`: the peer has closed, so read to the end.
    fn read(&mut self, at: usize, ends: bool) {
        let generation = self.connections.generation(at);
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            // Another connection is being read: a due request was sent meanwhile, and found this one ended.
            buffer = vec![0; READ_BYTES];
        }
        while self.connections.holds(at, generation) {
            let connection = self.connections.get(at);
            let tls = connection.socket.is_tls();
            match connection.socket.read(&mut buffer) {
                Ok(0) => self.lost(at, Ending::Closed, "closed by v2"),
                Ok(n) => {
                    self.figures.bytes_received += n as u64;
                    self.parse(at, generation, &buffer[..n]);
                    if n < buffer.len() && !tls && !ends {
                        break;
                    }
                    // A long answer must not delay what is due. Lanes are not touched while one is being read, except by
                    // their own due times, and the connection is looked up anew.
                    if self.upcoming.front().is_some_and(|task| task.due <= self.shared.clock.now()) {
                        self.run_due();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.lost(at, Ending::Cut, "closed by v2 without the end of the TLS session");
                }
                Err(error) => self.lost(at, Ending::Cut, &error.to_string()),
            }
        }
        self.buffer = buffer;
    }

    fn parse(&mut self, at: usize, generation: u32, mut input: &[u8]) {
        let now = self.shared.clock.now();
        while !input.is_empty() {
            let connection = self.connections.get(at);
            let parsed = connection.parser.step(&mut input, now);
            if connection.parser.is_lost() {
                return self.garbage(at, now);
            }
            let Some(parsed) = parsed else { break };
            self.message(at, parsed, now);
            if !self.connections.holds(at, generation) {
                return;
            }
        }
        let connection = self.connections.get(at);
        if connection.in_flight.is_empty() && !connection.parser.is_between_messages() {
            // The beginning of an answer that nobody asked for.
            self.figures.note("unexpected-bytes");
            let lane = connection.lane;
            self.close(at);
            self.pump(lane);
        }
    }

    fn message(&mut self, at: usize, parsed: Parsed<i64>, now: i64) {
        let interim = parsed.message.is_interim();
        let Message::Response(response) = parsed.message else { return };
        let connection = self.connections.get(at);
        let lane = connection.lane;
        if interim {
            if response.status == 100 && connection.holds_body() {
                connection.let_body_go();
                self.write(at);
            }
            return;
        }
        if connection.in_flight.is_empty() {
            self.figures.note("unexpected-answers");
            self.close(at);
            return self.pump(lane);
        }
        connection.served += 1;
        connection.closing |= !parsed.persists || parsed.tunnel || parsed.damage.is_some();
        let failure = parsed.damage.map(|damage| Failure {
            kind: if matches!(damage, Damage::BadChunk | Damage::HeadLimit) {
                FailureKind::Protocol
            } else {
                FailureKind::Closed
            },
            detail: format!("the answer is not whole: {}", damage.name()),
        });
        let answer = Answer { first: Some(parsed.first), last: Some(parsed.last), response: Some(response), failure };
        let request = connection.in_flight.pop_front().expect("the queue was just found to have one");
        if connection.in_flight.is_empty() && connection.is_writing() {
            // It answered before it had the whole request (RFC 9112 §9.3). A body that still waits for its 100 is not sent;
            // of another the rest goes as long as v2 takes it, as a real client's would.
            if connection.holds_body() {
                connection.drop_rest();
            } else {
                self.figures.note("early-answers");
            }
        }
        self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
        let connection = self.connections.get(at);
        if connection.closing && !connection.is_writing() {
            // Requests behind it on this connection get no answer any more.
            self.lost(at, Ending::Closed, "v2 closed after the answer before");
            return;
        }
        self.pump(lane);
    }

    /// What came is not HTTP.
    fn garbage(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        connection.closing = true;
        match connection.in_flight.pop_front() {
            Some(request) => {
                let answer =
                    Answer { first: Some(now), ..Answer::failed(FailureKind::Protocol, "what came is not an HTTP response") };
                self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
            }
            None => self.figures.note("unexpected-bytes"),
        }
        self.give_up(at, "v2 sent something else than HTTP before", now);
    }

    /// The connection ended.
    fn lost(&mut self, at: usize, ending: Ending, detail: &str) {
        let now = self.shared.clock.now();
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let parsed = connection.parser.finish(ending);
        if let Some(parsed) = parsed
            && let Some(request) = connection.in_flight.pop_front()
        {
            let failure =
                parsed.damage.map(|_| Failure { kind: FailureKind::Closed, detail: format!("{detail}, inside the answer") });
            let response = match parsed.message {
                Message::Response(response) => Some(response),
                Message::Request(_) => None,
            };
            let last = failure.is_none().then_some(parsed.last);
            let answer = Answer { first: Some(parsed.first), last, response, failure };
            self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
        } else if connection.in_flight.is_empty() && connection.served > 0 && !connection.closing {
            self.figures.note("closed-while-idle");
        }
        self.give_up(at, detail, now);
    }

    /// Closes a connection; what was sent on it and not answered goes again or fails.
    fn give_up(&mut self, at: usize, detail: &str, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let served = connection.served;
        let mut unanswered = std::mem::take(&mut connection.in_flight);
        self.close(at);
        let mut again = Vec::new();
        let mut behind = false;
        while let Some(request) = unanswered.pop_front() {
            // A kept connection may be closed by v2 at any moment, also at the one of sending. A safe request of which no
            // answer came goes again once (RFC 9110 §9.2.2).
            if request.task.load.traits.is_safe() && !request.task.again && (served > 0 || behind) {
                self.figures.note("sent-again");
                again.push(Task { again: true, ..request.task });
            } else {
                let answer = Answer::failed(FailureKind::Closed, detail);
                self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
            }
            behind = true;
        }
        for task in again.into_iter().rev() {
            self.waiting += 1;
            self.lanes.get(lane).queue.push_front(task);
        }
        self.pump(lane);
    }

    // -- the ends of waiting -------------------------------------------------------------------------------------------

    fn deadline(&mut self, at: usize, now: i64) {
        let timeout = self.shared.timeout_ns;
        let connection = self.connections.get(at);
        connection.armed = false;
        let lane = connection.lane;
        if connection.phase != Phase::Open {
            let until = connection.started + timeout;
            if now < until {
                return self.arm(at, until);
            }
            let (kind, what) = match connection.phase {
                Phase::Handshaking => (FailureKind::Tls, "the TLS handshake did not end"),
                _ => (FailureKind::Connect, "no answer to the attempt to connect"),
            };
            let detail = format!("{what} within {}", shown(timeout));
            self.clear_backlog(lane, kind, &detail, now);
            return self.not_opened(at, kind, &detail, now);
        }
        let Some(front) = connection.in_flight.front() else {
            if connection.is_writing() {
                // It answered early, and then took no more of the request.
                self.close(at);
                self.pump(lane);
            }
            return;
        };
        let until = front.sent + timeout;
        if now < until {
            return self.arm(at, until);
        }
        let request = connection.in_flight.pop_front().expect("the front was just looked at");
        let detail = match connection.parser.first() {
            None => format!("no answer within {}", shown(timeout)),
            Some(_) => format!("no whole answer within {}", shown(timeout)),
        };
        let first = connection.parser.first();
        let part = connection.parser.finish(Ending::Cut).and_then(|parsed| match parsed.message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        });
        let failure = Some(Failure { kind: FailureKind::Timeout, detail: detail.clone() });
        let answer = Answer { first, last: None, response: part, failure };
        self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
        self.clear_backlog(lane, FailureKind::Timeout, &format!("not sent: {detail} to a request before"), now);
        self.give_up(at, "given up after a timeout", now);
    }

    /// Requests that have been due for longer than the timeout, behind one that timed out: v2 hangs, and waiting for each
    /// of them in turn would never end.
    fn clear_backlog(&mut self, at: usize, kind: FailureKind, detail: &str, now: i64) {
        if self.shared.at_once {
            return;
        }
        while self.lanes.get(at).queue.front().is_some_and(|task| now - task.due >= self.shared.timeout_ns) {
            self.fail_front(at, kind, detail, now);
        }
    }

    /// The replay was stopped: what is under way is recorded as interrupted.
    fn abandon(&mut self) {
        let now = self.shared.clock.now();
        let connections: Vec<usize> = self.connections.indices().collect();
        for at in connections {
            let connection = self.connections.get(at);
            let lane = connection.lane;
            for request in std::mem::take(&mut connection.in_flight) {
                let answer = Answer::failed(FailureKind::Skipped, "interrupted before the answer was whole");
                self.record(lane, request.task, Some(request.sent), request.waited, request.connect_ns, answer, now);
            }
        }
        let lanes: Vec<usize> = self.lanes.indices().collect();
        for at in lanes {
            while !self.lanes.get(at).queue.is_empty() {
                self.fail_front(at, FailureKind::Skipped, "interrupted before it was sent", now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one outcome, put together in one place")]
    fn record(
        &mut self,
        at: usize,
        task: Task,
        sent: Option<i64>,
        waited: i64,
        connect_ns: Option<i64>,
        answer: Answer,
        now: i64,
    ) {
        let lane = self.lanes.get(at);
        lane.finish_one(now);
        self.maybe_idle = true;
        let side = lane.side;
        if sent.is_some() || task.again {
            self.shared.ends(side, task.id);
        }
        self.shared.budget.give_back(1, task.bytes.len());
        match &answer.failure {
            Some(failure) => {
                self.figures.fail(failure.kind);
                if failure.kind != FailureKind::Skipped {
                    bump(&self.live().failed);
                }
            }
            None => {
                self.figures.answered += 1;
                bump(&self.live().answered);
                if let (Some(sent), Some(last)) = (sent, answer.last) {
                    generator::record(&mut self.figures.from_sent, last - sent);
                    generator::record(&mut self.figures.from_due, last - task.due);
                }
            }
        }
        if let Some(response) = &answer.response {
            *self.figures.status.entry(response.status).or_default() += 1;
        }
        let outcome = Outcome {
            id: task.id,
            lane: task.lane,
            due_ns: task.due,
            sent_ns: sent,
            first_byte_ns: answer.first,
            last_byte_ns: answer.last,
            failed_ns: answer.failure.as_ref().map(|_| now),
            connect_ns,
            waited_ns: waited,
            response: answer.response,
            failure: answer.failure,
        };
        self.done.push(Done { side, route: task.load.route, outcome });
        if self.done.len() >= BATCH {
            self.hand_over();
        }
    }
}

/// Why there is no connection, in words that help.
fn no_socket(error: &io::Error) -> String {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            "no file descriptor is left: raise the limit (ulimit -n) or lower --max-connections".to_owned()
        }
        Some(Errno::ADDRNOTAVAIL) => {
            "no local port is left: widen net.ipv4.ip_local_port_range, add target addresses, or lower the rate of connections"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn shown(nanos: i64) -> String {
    format!("{:?}", std::time::Duration::from_nanos(nanos.max(0).unsigned_abs()))
}
