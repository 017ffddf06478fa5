//! Makes a request with v2's values in it, from the bytes that were prepared.

use std::io;

use bytes::Bytes;

use super::Binder;
use super::notices::{BoundOrder, request_of};
use super::slots::World;
use crate::bind::Use;
use crate::bind::fill::put::{Put, Untouched, put};
use crate::bind::fill::touch::Touching;
use crate::message::place::Step;
use crate::message::protobuf::Call;
use crate::outcome::{ReplayId, Unbound};
use crate::replay::gate::Ready;
use crate::replay::plan::script;
use crate::replay::side::TargetSide;
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::wire::h1::patch;

impl Binder<'_> {
    /// The request of an order with all that is known now.
    pub(super) fn fill(&mut self, side: TargetSide, order: &BoundOrder) -> io::Result<Ready> {
        let world = (side, order.id.copy);
        let jar = self.jars.get(&(world, order.part.session));
        if order.part.uses.is_empty() && jar.is_none() && self.touches.is_empty() {
            return Ok(Ready::default());
        }
        let mut ready = Ready::default();
        let puts = self.puts(world, &order.part.uses, &mut ready)?;
        if let Some(request) = request_of(order) {
            let call = Call::of(self.touches.schema(), &request.target);
            let now = Timestamp::now();
            let seconds = (now.nanos() - order.at) / NANOS_PER_SEC;
            let mut touching = self.touches.of(&request, order.id.copy, seconds);
            let mut filled = match &mut touching {
                Some(touching) => put(&request, call, &puts, touching),
                None => put(&request, call, &puts, &mut Untouched),
            };
            if let Some(jar) = jar {
                let is_of = |put: &Put<'_>, name: &str| {
                    let first = put.place.steps().first();
                    matches!(first, Some(Step::Cookie(own)) if own == name)
                };
                let is_bound = |name: &str| puts.iter().any(|put| is_of(put, name));
                jar.apply(&request, &mut filled.changes, is_bound, now);
            }
            if let Some(touching) = &touching {
                let is_signature = |put: &Put<'_>, name: &str| {
                    let steps = put.place.steps();
                    matches!(steps, [Step::Query(own)] if own == name)
                };
                touching.sign(&request, &mut filled.changes, |name| {
                    puts.iter().any(|put| is_signature(put, name))
                });
            }
            ready.bound = filled.placed;
            for (place, old, new) in touching.into_iter().flat_map(Touching::varied) {
                self.journal.varied(side, order.id, &place, &old, &new)?;
            }
            if !filled.changes.is_empty() {
                let mut out = Vec::with_capacity(order.bytes.len() + 64);
                let head = order.head as usize;
                let head = if script::is_script(&order.bytes) {
                    script::patched(&mut out, &order.bytes, &request, &filled.changes)
                } else {
                    patch::patched(&mut out, &order.bytes, head, &request, &filled.changes)
                };
                let head = u32::try_from(head).unwrap_or(u32::MAX);
                ready.bytes = Some((Bytes::from(out), head));
            }
        }
        self.have_gone(side, order.id.copy, &order.part.uses, &mut ready);
        Ok(ready)
    }

    /// What is put for `uses`; what v2 had not issued is told in `ready`.
    pub(super) fn puts<'p>(
        &'p self,
        world: World,
        uses: &'p [Use],
        ready: &mut Ready,
    ) -> io::Result<Vec<Put<'p>>> {
        let mut puts = Vec::new();
        for used in uses {
            match self.slots.get(world, used.slot) {
                Some(slot) => match &slot.new {
                    Some(new) => puts.push(Put {
                        place: &used.place,
                        range: used.range.clone(),
                        old: &slot.old,
                        new,
                    }),
                    None => ready.unbound.extend(slot.roots.iter().cloned()),
                },
                None => ready.unbound.push(self.never_issued(world.1, used)?),
            }
        }
        Ok(puts)
    }

    /// Counts uses that were filled as far as they could be.
    pub(super) fn have_gone(
        &mut self,
        side: TargetSide,
        copy: u32,
        uses: &[Use],
        ready: &mut Ready,
    ) {
        ready.unbound.sort_unstable();
        ready.unbound.dedup();
        for used in uses {
            let known = self.slots.get((side, copy), used.slot);
            self.journal.used(side, used, known.is_some_and(|slot| slot.new.is_some()));
            self.slots.used((side, copy), used.slot);
        }
    }

    /// The root of a use whose value no answer of v2's was asked for: its exchange was not
    /// replayed, or has no answer yet.
    fn never_issued(&self, copy: u32, used: &Use) -> io::Result<Unbound> {
        let birth = self.parts.part(used.from)?.and_then(|part| {
            part.births.into_iter().find(|birth| birth.slot == used.slot).map(|birth| birth.place)
        });
        let place = birth.as_ref().unwrap_or(&used.place).to_string();
        Ok(Unbound { root: ReplayId { exchange: used.from, copy }, place })
    }
}
