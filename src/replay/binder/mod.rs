//! The thread that binds values: it knows which answers requests wait for, takes out of them what
//! v2 issued, puts that into the requests that use it, and opens their gates.
//!
//! It stands beside the way of a request, never on it. The feeder tells it of each request some
//! seconds ahead, workers tell it of answers, and what it makes is ready before the request is due
//! unless v2 is late. All its tables are its own: nothing is locked.

mod filling;
mod journal;
mod notices;
mod said;
mod slots;
mod sockets;
mod waits;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustc_hash::FxHashMap;

pub(in crate::replay) use self::journal::BindingJournal;
pub use self::journal::FlowCount;
use self::notices::request_of;
pub(in crate::replay) use self::notices::{BoundOrder, Ended, Notice, SocketTies};
pub(in crate::replay) use self::said::BoundSocket;
use self::said::WordsAhead;
pub(in crate::replay) use self::slots::Uses;
use self::slots::{Slots, World};
use self::waits::{Behind, Key, Point, Waits};
pub(in crate::replay) use super::bell::Bell;
use super::bell::{Ring, wake};
use super::gate::Ready;
use super::shared::Shared;
use super::side::TargetSide;
use crate::bind::fill::jar::Jar;
use crate::bind::fill::take::{Taken, take};
use crate::bind::fill::touch::Touches;
use crate::bind::{Birth, COURTESY_NS, Part, Parts};
use crate::exchange::ExchangeId;
use crate::message::Response;
use crate::outcome::{ReplayId, Unbound};
use crate::time::Timestamp;

/// Most cookie jars: of more sessions the later ones have none.
const JARS: usize = 100_000;
/// Longest wait without a look at the journal.
const IDLE: Duration = Duration::from_millis(200);

/// The thread.
pub(in crate::replay) struct Binder<'a> {
    shared: &'a Shared,
    parts: Arc<dyn Parts>,
    uses: Arc<Uses>,
    touches: Arc<Touches>,
    inbox: Receiver<Notice>,
    bells: Vec<Bell>,
    waits: Waits<Arc<BoundOrder>>,
    /// The WebSockets that are not over.
    sockets: FxHashMap<(TargetSide, ReplayId), Arc<BoundOrder>>,
    words: WordsAhead,
    slots: Slots,
    jars: FxHashMap<(World, u32), Jar>,
    journal: BindingJournal,
}

impl<'a> Binder<'a> {
    pub(in crate::replay) fn new(
        shared: &'a Shared,
        plan: &super::plan::bound::PlanBound,
        inbox: Receiver<Notice>,
        bells: Vec<Bell>,
        journal: BindingJournal,
    ) -> Self {
        Self {
            shared,
            parts: Arc::clone(&plan.parts),
            uses: Arc::clone(&plan.uses),
            touches: Arc::clone(&plan.touches),
            inbox,
            bells,
            waits: Waits::default(),
            sockets: FxHashMap::default(),
            words: WordsAhead::default(),
            slots: Slots::default(),
            jars: FxHashMap::default(),
            journal,
        }
    }

    /// Works until feeder and workers are gone; gives what was counted of the flows.
    pub(in crate::replay) fn run(mut self) -> io::Result<Vec<FlowCount>> {
        loop {
            let notice = match self.inbox.try_recv() {
                Ok(notice) => Ok(notice),
                Err(_) => {
                    // Nothing to do: what was bound may be read by others now.
                    self.journal.flush()?;
                    self.inbox.recv_timeout(self.patience())
                }
            };
            match notice {
                Ok(Notice::Order(order)) => {
                    self.take_order(&order)?;
                    self.take_words(order.when)?;
                }
                Ok(Notice::Read(when)) => self.take_words(when)?,
                Ok(Notice::Opened(ended)) => self.take_answer(&ended)?,
                Ok(Notice::Done(ended)) => {
                    self.take_answer(&ended)?;
                    self.end_socket(&ended)?;
                }
                Ok(Notice::Said(said)) => self.take_said(&said)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = self.shared.clock.now();
            while let Some(key) = self.waits.overdue(now) {
                self.release(key)?;
            }
        }
        self.journal.finish()
    }

    fn patience(&self) -> Duration {
        let until = self.waits.deadline().map_or(i64::MAX, |at| at - self.shared.clock.now());
        IDLE.min(Duration::from_nanos(until.max(0).unsigned_abs()))
    }

    fn take_order(&mut self, order: &Arc<BoundOrder>) -> io::Result<()> {
        let sides = [Some(TargetSide::Target), self.shared.baseline.map(|_| TargetSide::Baseline)];
        let copy = order.id.copy;
        let (at_once, timeout) = (self.shared.at_once, self.shared.timeout_ns);
        // At full speed nobody waits for others.
        let until = self.patience_of(order.due);
        let soon = order.due.saturating_add(COURTESY_NS.min(timeout));
        let others = if at_once { &[][..] } else { &order.part.beside };
        for side in sides.into_iter().flatten() {
            let key = (side, order.id, Point::Whole);
            let replayed = |exchange| (ReplayId { exchange, copy }, Point::Whole);
            let answers = self.awaited(side, copy, &order.part).into_iter();
            let needed = Behind { answers, until };
            let others = Behind { answers: others.iter().copied().map(replayed), until: soon };
            if self.waits.add(key, Arc::clone(order), needed, others) {
                self.release(key)?;
            }
            self.take_socket(side, order);
        }
        Ok(())
    }

    /// When something goes in any case that is due then. At full speed nothing is due: a wait ends
    /// with the answers.
    const fn patience_of(&self, due: i64) -> i64 {
        if self.shared.at_once { i64::MAX } else { due.saturating_add(self.shared.timeout_ns) }
    }

    /// What a request waits for.
    fn awaited(&self, side: TargetSide, copy: u32, part: &Part) -> Vec<(ReplayId, Point)> {
        let mut all = self.givers(side, copy, &part.uses);
        let whole = |&exchange: &ExchangeId| (ReplayId { exchange, copy }, Point::Whole);
        all.extend(part.after.iter().map(whole));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Makes the request, or a message on its WebSocket, opens its gate, and wakes the worker where
    /// it waits.
    fn release(&mut self, key: Key) -> io::Result<()> {
        let Some((order, free)) = self.waits.get(key) else { return Ok(()) };
        let order = Arc::clone(order);
        let is_whole = key.2 == Point::Whole;
        let is_awaited = if is_whole {
            let ready = Ready { free, ..self.fill(key.0, &order)? };
            order.gate.open(key.0, ready)
        } else {
            self.release_word(key, &order)?
        };
        if is_awaited
            && let Some(bell) = self.bells.get(order.worker)
            && bell
                .lanes
                .send(Ring { side: key.0, lane: order.lane, connections: !is_whole })
                .is_ok()
        {
            wake(&bell.wake);
        }
        Ok(())
    }

    /// A request was answered, or will not be.
    fn take_answer(&mut self, ended: &Ended) -> io::Result<()> {
        let key = (ended.side, ended.id, Point::Whole);
        let Some((order, _)) = self.waits.get(key) else { return Ok(()) };
        let order = Arc::clone(order);
        if let Some(answer) = &ended.answer {
            self.learn_cookies(ended.side, &order, answer);
        }
        if !order.part.births.is_empty() {
            self.take_births(ended, &order)?;
        }
        self.answered(key, ended.at)
    }

    /// What others wait for is there: lets them go.
    fn answered(&mut self, key: Key, at: i64) -> io::Result<()> {
        let Some((_, free)) = self.waits.done(key, at) else { return Ok(()) };
        free.into_iter().try_for_each(|key| self.release(key))
    }

    /// Takes what v2 issued out of an answer.
    fn take_births(&mut self, ended: &Ended, order: &BoundOrder) -> io::Result<()> {
        let world = (ended.side, ended.id.copy);
        let births = &order.part.births;
        let taken = match (&ended.answer, &ended.failure) {
            (Some(answer), None) => {
                let known = self.slots.of(world);
                take(births, &order.expected, answer, self.touches.schema(), &known)
            }
            (_, failure) => {
                let why = failure.as_deref().unwrap_or("the answer was left before its end");
                vec![Taken::Lacking(why.to_owned()); births.len()]
            }
        };
        self.put_births((ended.side, ended.id), births, &taken, order)
    }

    /// Takes note of what became of births of one message.
    fn put_births(
        &mut self,
        (side, id): (TargetSide, ReplayId),
        births: &[Birth],
        mut taken: &[Taken],
        order: &BoundOrder,
    ) -> io::Result<()> {
        // What a request lacked explains what its answer lacks.
        let mut lacked = Vec::new();
        lacked.extend(order.gate.ready(side).into_iter().flat_map(|ready| ready.unbound.clone()));
        lacked.extend(order.socket.iter().flat_map(|socket| socket.gates.bound(side).1));
        let before: Arc<[Unbound]> = lacked.into();
        let nothing: Arc<[Unbound]> = Arc::from([]);
        for of_one in births.chunk_by(|a, b| a.slot == b.slot) {
            let (own, rest) = taken.split_at(of_one.len());
            taken = rest;
            let is_issued = |taken: &Taken| matches!(taken, Taken::Issued(_));
            let at = own.iter().position(is_issued).unwrap_or(0);
            let birth = &of_one[at];
            let (new, why) = match &own[at] {
                Taken::Issued(text) => (Some(text.clone()), None),
                Taken::Lacking(why) => (None, Some(why.clone())),
            };
            let roots = match (&new, before.is_empty()) {
                (Some(_), _) => Arc::clone(&nothing),
                (None, false) => Arc::clone(&before),
                (None, true) => {
                    let place = birth.place.to_string();
                    Arc::from([Unbound { root: id, place }])
                }
            };
            if self.slots.put((side, id.copy), birth, new.clone(), &roots, &self.uses) {
                self.journal.birth(side, id, birth, new.as_deref(), why)?;
            }
        }
        Ok(())
    }

    fn learn_cookies(&mut self, side: TargetSide, order: &BoundOrder, answer: &Response) {
        if answer.headers.get("set-cookie").is_none() && order.expected.cookies.is_empty() {
            return;
        }
        let key = ((side, order.id.copy), order.part.session);
        if self.jars.len() >= JARS && !self.jars.contains_key(&key) {
            return;
        }
        let Some(request) = request_of(order) else { return };
        let jar = self.jars.entry(key).or_default();
        let known = order.expected.status > 0;
        let set_by_v1 = known.then_some(&order.expected.cookies[..]);
        jar.learn(&request, answer, set_by_v1, Timestamp::now());
        if jar.is_empty() {
            self.jars.remove(&key);
        }
    }
}
