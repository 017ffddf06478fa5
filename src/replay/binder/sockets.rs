//! Values on WebSockets: what v2 says there gives some, and messages of the client wait for theirs,
//! each by itself, while the session goes on.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::Binder;
use super::notices::{BoundOrder, Ended};
use super::said::{BoundWord, GivingMessage, SaidMessage};
use super::waits::{Behind, Key, Point, nothing};
use crate::bind::Use;
use crate::bind::fill::socket;
use crate::bind::fill::take::Taken;
use crate::outcome::ReplayId;
use crate::replay::gate::Ready;
use crate::replay::side::TargetSide;

impl Binder<'_> {
    /// What gives a value of an exchange: its answer, or a message on its WebSocket.
    pub(super) fn giver(&self, side: TargetSide, id: ReplayId, slot: u32) -> (ReplayId, Point) {
        let socket = self.sockets.get(&(side, id)).and_then(|order| order.socket.as_ref());
        let number = socket.and_then(|socket| socket.giver(slot));
        (id, number.map_or(Point::Whole, Point::Heard))
    }

    /// Takes note of what will be said on a WebSocket.
    pub(super) fn take_socket(&mut self, side: TargetSide, order: &Arc<BoundOrder>) {
        let Some(socket) = &order.socket else { return };
        self.sockets.insert((side, order.id), Arc::clone(order));
        for giving in &socket.giving {
            let key = (side, order.id, Point::Heard(giving.number));
            self.waits.add(key, Arc::clone(order), nothing(), nothing());
        }
        for word in &socket.words {
            let when = order.when.saturating_add(word.at);
            self.words.add(when, (side, order.id), word.number);
        }
    }

    /// All requests up to this time of the plan were read: what a client says before it waits for
    /// those of them that give its values, and for no other.
    pub(super) fn take_words(&mut self, when: i64) -> io::Result<()> {
        while let Some(((side, id), number)) = self.words.before(when) {
            let Some(order) = self.sockets.get(&(side, id)).map(Arc::clone) else { continue };
            let Some(word) = order.socket.as_ref().and_then(|socket| socket.word(number)) else {
                continue;
            };
            let due = order.due.saturating_add(self.shared.two.pacing.stretch(word.at));
            let answers = self.givers(side, id.copy, &word.uses).into_iter();
            let key = (side, id, Point::Word(number));
            let needed = Behind { answers, until: self.patience_of(due) };
            if self.waits.add(key, Arc::clone(&order), needed, nothing()) {
                self.release(key)?;
            }
        }
        Ok(())
    }

    /// What gives the values of these uses.
    pub(super) fn givers(
        &self,
        side: TargetSide,
        copy: u32,
        uses: &[Use],
    ) -> Vec<(ReplayId, Point)> {
        let giver =
            |used: &Use| self.giver(side, ReplayId { exchange: used.from, copy }, used.slot);
        let mut all: Vec<_> = uses.iter().map(giver).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Fills a message of the client and opens its gate; whether somebody waits for it.
    pub(super) fn release_word(&mut self, key: Key, order: &BoundOrder) -> io::Result<bool> {
        let (side, id, Point::Word(number)) = key else { return Ok(false) };
        let free = self.waits.get(key).map_or(i64::MIN, |(_, free)| free);
        self.waits.done(key, free);
        let Some(socket) = &order.socket else { return Ok(false) };
        let Some(word) = socket.word(number) else { return Ok(false) };
        let ready = Ready { free, ..self.fill_word((side, id), word)? };
        let gate = socket.gates.gate(number as usize);
        Ok(gate.is_some_and(|gate| gate.open(side, ready)))
    }

    fn fill_word(
        &mut self,
        (side, id): (TargetSide, ReplayId),
        word: &BoundWord,
    ) -> io::Result<Ready> {
        let mut ready = Ready::default();
        let mut content = vec![0; word.length];
        self.shared.spool.read_at(&mut content, word.offset)?;
        let puts = self.puts((side, id.copy), &word.uses, &mut ready)?;
        let filled = socket::filled((word.number, word.kind), &content, &puts);
        ready.bound = filled.placed;
        ready.bytes = filled.changes.map(|bytes| (Bytes::from(bytes), 0));
        self.have_gone(side, id.copy, &word.uses, &mut ready);
        Ok(ready)
    }

    /// Takes what v2 issued out of what it said on a WebSocket.
    pub(super) fn take_said(&mut self, said: &SaidMessage) -> io::Result<()> {
        let SaidMessage { side, id, number, message } = said;
        let Some(order) = self.sockets.get(&(*side, *id)).map(Arc::clone) else { return Ok(()) };
        let Some(socket) = &order.socket else { return Ok(()) };
        if let Ok(at) = socket.giving.binary_search_by_key(number, |giving| giving.number) {
            let GivingMessage { births, expected, .. } = &socket.giving[at];
            let known = self.slots.of((*side, id.copy));
            let taken = socket::take_from(births, expected, message, &known);
            self.put_births((*side, *id), births, &taken, &order)?;
        }
        self.answered((*side, *id, Point::Heard(*number)), message.at_ns)
    }

    /// A WebSocket is over: nothing more comes of it, and nothing more goes.
    pub(super) fn end_socket(&mut self, ended: &Ended) -> io::Result<()> {
        let (side, id) = (ended.side, ended.id);
        let Some(order) = self.sockets.remove(&(side, id)) else { return Ok(()) };
        let Some(socket) = &order.socket else { return Ok(()) };
        for GivingMessage { number, births, .. } in &socket.giving {
            let key = (side, id, Point::Heard(*number));
            if self.waits.get(key).is_some() {
                let why = ended.failure.as_deref().unwrap_or("the WebSocket did not come so far");
                let taken = vec![Taken::Lacking(why.to_owned()); births.len()];
                self.put_births((side, id), births, &taken, &order)?;
                self.answered(key, ended.at)?;
            }
        }
        for BoundWord { number, uses, .. } in &socket.words {
            let key = (side, id, Point::Word(*number));
            let gate = socket.gates.gate(*number as usize);
            self.waits.done(key, ended.at);
            if gate.is_some_and(|gate| gate.ready(side).is_none()) {
                uses.iter().for_each(|used| self.slots.used((side, id.copy), used.slot));
            }
        }
        Ok(())
    }
}
