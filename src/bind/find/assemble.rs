//! Makes the parts of exchanges out of what the join found: numbers the issued values, and gathers
//! by exchange what belongs together.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::event::{ValueEvent, number};
use super::flows::{Numbers, Refusal, Tallies};
use super::join::Finds;
use super::kept;
use super::order::{self, OrderLine};
use super::parts::{PartFile, PartsWriter};
use super::templates::Templates;
use super::totals::{FlowTotals, Producer};
use crate::bind::config::Bind;
use crate::bind::{Birth, Part, Use};
use crate::exchange::ExchangeId;
use crate::exchange::socket::list::number_of;
use crate::message::method;
use crate::message::place::Place;
use crate::record::flows::Flow;
use crate::store::{Sorted, Sorter, Spooled, Window};

/// Most waits of one request; the latest are kept.
const WAITS: usize = 64;

/// Bytes of a link: a birth and a use of it.
const LINK: usize = 38;

/// A birth and a use of it, sorted by the birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BirthUse {
    /// Number of the exchange, and where its value is kept.
    birth: (u64, u64),
    /// The same of the use; [`NONE`] where no request uses it.
    used: (u64, u64),
    id: ExchangeId,
    template: u32,
    refusal: Refusal,
}

/// No exchange has this number.
const NONE: u64 = (1 << 40) - 1;

impl BirthUse {
    fn pack(&self) -> [u8; LINK] {
        let mut out = [0; LINK];
        out[0..5].copy_from_slice(&self.birth.0.to_be_bytes()[3..]);
        out[5..11].copy_from_slice(&self.birth.1.to_be_bytes()[2..]);
        out[11..16].copy_from_slice(&self.used.0.to_be_bytes()[3..]);
        out[16..22].copy_from_slice(&self.used.1.to_be_bytes()[2..]);
        out[22..28].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[28..32].copy_from_slice(&self.id.ordinal.to_be_bytes());
        out[32..36].copy_from_slice(&self.template.to_be_bytes());
        out[36] = self.refusal.code();
        out
    }

    fn unpack(record: &[u8; LINK]) -> Self {
        Self {
            birth: (number(&record[0..5]), number(&record[5..11])),
            used: (number(&record[11..16]), number(&record[16..22])),
            id: ExchangeId {
                connection: number(&record[22..28]),
                ordinal: number(&record[28..32]) as u32,
            },
            template: number(&record[32..36]) as u32,
            refusal: Refusal::of_code(record[36]),
        }
    }
}

/// Bytes of a piece.
const PIECE: usize = 36;

/// What one exchange gets, sorted by its number, kind and place in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExchangePiece {
    number: u64,
    kind: PieceKind,
    kept: u64,
    slot: u32,
    flow: u32,
    /// The exchange that it is about.
    id: ExchangeId,
    /// Of a use: the route of the birth, where that has an unsafe method.
    route: u32,
    /// Of a session: its number.
    session: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PieceKind {
    Session,
    Birth,
    Use,
    After,
    Older,
    /// A use inside a token that its client signed.
    Signed,
}

/// No flow, or no route.
const NO: u32 = u32::MAX;

impl ExchangePiece {
    fn of(number: u64, kind: PieceKind) -> Self {
        let id = ExchangeId::default();
        Self { number, kind, kept: 0, slot: 0, flow: NO, id, route: NO, session: 0 }
    }

    fn pack(&self) -> [u8; PIECE] {
        let mut out = [0; PIECE];
        out[0..5].copy_from_slice(&self.number.to_be_bytes()[3..]);
        out[5] = self.kind as u8;
        out[6..12].copy_from_slice(&self.kept.to_be_bytes()[2..]);
        out[12..16].copy_from_slice(&self.slot.to_be_bytes());
        out[16..20].copy_from_slice(&self.flow.to_be_bytes());
        out[20..26].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[26..30].copy_from_slice(&self.id.ordinal.to_be_bytes());
        // A session is numbered, a use has a route: never both.
        let last = if self.kind == PieceKind::Session { self.session } else { self.route };
        out[30..34].copy_from_slice(&last.to_be_bytes());
        out
    }

    fn unpack(record: &[u8; PIECE]) -> Self {
        let kind = match record[5] {
            0 => PieceKind::Session,
            1 => PieceKind::Birth,
            2 => PieceKind::Use,
            3 => PieceKind::After,
            4 => PieceKind::Older,
            _ => PieceKind::Signed,
        };
        let last = number(&record[30..34]) as u32;
        let (session, route) = if kind == PieceKind::Session { (last, NO) } else { (0, last) };
        Self {
            number: number(&record[0..5]),
            kind,
            kept: number(&record[6..12]),
            slot: number(&record[12..16]) as u32,
            flow: number(&record[16..20]) as u32,
            id: ExchangeId {
                connection: number(&record[20..26]),
                ordinal: number(&record[26..30]) as u32,
            },
            route,
            session,
        }
    }
}

/// Bytes of an exchange that was answered just before another one was said.
const BESIDE: usize = 15;

/// The same of one, by the number of the other. They are most of what exchanges get, and come in
/// the order of time, which is nearly that of the recording: by themselves they are sorted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BesidePiece {
    number: u64,
    id: ExchangeId,
}

impl BesidePiece {
    fn pack(&self) -> [u8; BESIDE] {
        let mut out = [0; BESIDE];
        out[0..5].copy_from_slice(&self.number.to_be_bytes()[3..]);
        out[5..11].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[11..15].copy_from_slice(&self.id.ordinal.to_be_bytes());
        out
    }

    fn unpack(record: &[u8; BESIDE]) -> Self {
        let (connection, ordinal) = (number(&record[5..11]), number(&record[11..15]) as u32);
        Self { number: number(&record[0..5]), id: ExchangeId { connection, ordinal } }
    }
}

/// What the join found.
pub(super) struct Assembly {
    templates: Templates,
    tallies: Tallies,
    links: Sorter<LINK>,
    pieces: Sorter<PIECE>,
    besides: Sorter<BESIDE>,
}

impl Finds for Assembly {
    fn used(&mut self, birth: &ValueEvent, used: &ValueEvent) -> io::Result<()> {
        let refusal = self.tallies.count(birth, used, &self.templates);
        let link = BirthUse {
            birth: (birth.number, birth.kept),
            used: (used.number, used.kept),
            id: birth.id,
            template: birth.template,
            refusal,
        };
        self.links.push(link.pack())
    }

    fn shown(&mut self, birth: &ValueEvent) -> io::Result<()> {
        if self.templates.get(birth.template).is_none_or(|of| of.never) {
            return Ok(());
        }
        let link = BirthUse {
            birth: (birth.number, birth.kept),
            used: (NONE, 0),
            id: birth.id,
            template: birth.template,
            refusal: Refusal::None,
        };
        self.links.push(link.pack())
    }

    fn older(&mut self, said: &ValueEvent) -> io::Result<()> {
        let piece =
            ExchangePiece { kept: said.kept, ..ExchangePiece::of(said.number, PieceKind::Older) };
        self.pieces.push(piece.pack())
    }

    fn after(&mut self, said: &ValueEvent, exchange: ExchangeId) -> io::Result<()> {
        self.wait(said.number, exchange)
    }

    fn ended(&mut self) {
        self.tallies.ended();
    }
}

impl Assembly {
    pub(super) fn new(folder: &Path, templates: Templates) -> Self {
        Self {
            templates,
            tallies: Tallies::default(),
            links: Sorter::new(folder),
            pieces: Sorter::new(folder),
            besides: Sorter::new(folder),
        }
    }

    fn wait(&mut self, number: u64, id: ExchangeId) -> io::Result<()> {
        self.pieces.push(ExchangePiece { id, ..ExchangePiece::of(number, PieceKind::After) }.pack())
    }

    /// Says whose an exchange is, and which ones it follows.
    pub(super) fn session(
        &mut self,
        number: u64,
        session: u32,
        after: &[ExchangeId],
    ) -> io::Result<()> {
        self.pieces.push(
            ExchangePiece { session, ..ExchangePiece::of(number, PieceKind::Session) }.pack(),
        )?;
        self.follows(number, after)
    }

    /// Says which exchanges one follows.
    pub(super) fn follows(&mut self, number: u64, after: &[ExchangeId]) -> io::Result<()> {
        after.iter().try_for_each(|id| self.wait(number, *id))
    }

    /// Says which exchanges of others were answered just before one was said.
    pub(super) fn beside(&mut self, number: u64, others: &mut [ExchangeId]) -> io::Result<()> {
        others.sort_unstable();
        others.iter().try_for_each(|&id| self.besides.push(BesidePiece { number, id }.pack()))
    }

    /// Numbers the values, and writes the parts.
    pub(super) fn finish(
        self,
        bind: Bind,
        lines: &Spooled,
        kept: &Spooled,
        folder: &Path,
        totals: FlowTotals,
    ) -> io::Result<(Vec<Flow>, PartFile, FlowTotals)> {
        let Self { templates, tallies, links, mut pieces, besides } = self;
        let (mut flows, numbers) = tallies.finish(&templates);
        bound(&links.finish()?, &numbers, bind, &templates, &mut pieces)?;
        let pieces = pieces.finish()?;
        let renumbered = keep_used(&mut flows, &pieces, kept, bind)?;
        let mut gather = PieceGather {
            window: kept.window(),
            templates: &templates,
            renumbered: &renumbered,
            totals,
            producers: BTreeMap::new(),
            older: FxHashMap::default(),
        };
        let parts = gather.parts(&pieces, &besides.finish()?, lines, folder)?;
        Ok((flows, parts, gather.finish()))
    }
}

/// Leaves out flows of which each use is a part of a longer one's, and numbers the others anew:
/// gives the new number by the old one.
fn keep_used(
    flows: &mut Vec<Flow>,
    pieces: &Sorted<PIECE>,
    kept: &Spooled,
    bind: Bind,
) -> io::Result<Vec<u32>> {
    let mut counts = FlowCounts::new(flows.len());
    let mut window = kept.window();
    let mut part = RequestUses::default();
    let mut whole: FxHashSet<u64> = FxHashSet::default();
    let mut of = None;
    for piece in pieces.iter()? {
        let piece = ExchangePiece::unpack(&piece?);
        if of != Some(piece.number) {
            counts.add(&part.uses);
            part.clear();
            whole.clear();
            of = Some(piece.number);
        }
        match piece.kind {
            PieceKind::Use => {
                part.put(used(&piece, &mut window)?);
            }
            PieceKind::Signed => {
                if whole.is_empty() {
                    let uses = part.uses.iter().filter(|used| used.range.is_none());
                    whole.extend(uses.map(|used| used.place.hash()));
                }
                // A token that is bound as a whole needs no new signature.
                let place = kept::read(&mut window, piece.kept)?.place;
                if !around(&place).any(|outer| whole.contains(&outer)) {
                    counts.uses[piece.flow as usize] += 1;
                }
            }
            _ => {}
        }
    }
    counts.add(&part.uses);
    let mut renumbered = vec![NO; flows.len()];
    let mut next = 0;
    flows.retain_mut(|flow| {
        let old = flow.flow as usize;
        let is_bound = bind.takes(flow.class);
        if is_bound || flow.reason == Refusal::Signed.words() {
            flow.uses = counts.uses[old];
        }
        if is_bound {
            flow.values = counts.values[old];
        }
        let stays = flow.uses > 0;
        if stays {
            (renumbered[old], flow.flow) = (next, next);
            next += 1;
        }
        stays
    });
    Ok(renumbered)
}

/// How often each flow is used in fact, and how many values of it.
struct FlowCounts {
    uses: Vec<u64>,
    values: Vec<u64>,
    /// A bit for each value that is used.
    slots: Vec<u64>,
}

impl FlowCounts {
    fn new(flows: usize) -> Self {
        Self { uses: vec![0; flows], values: vec![0; flows], slots: Vec::new() }
    }

    fn add(&mut self, part: &[Use]) {
        for used in part {
            let (flow, word, bit) =
                (used.flow as usize, used.slot as usize / 64, 1 << (used.slot % 64));
            if self.slots.len() <= word {
                self.slots.resize(word + 1, 0);
            }
            self.uses[flow] += 1;
            self.values[flow] += u64::from(self.slots[word] & bit == 0);
            self.slots[word] |= bit;
        }
    }
}

/// The hashes of the places that a place is within.
fn around(place: &Place) -> impl Iterator<Item = u64> {
    let steps = place.steps();
    (1..steps.len()).map(move |length| Place::new(&steps[..length]).hash())
}

/// The use that a piece tells, and which value of the message it is in.
fn used(piece: &ExchangePiece, window: &mut Window<'_>) -> io::Result<(Use, u32)> {
    let kept = kept::read(window, piece.kept)?;
    let ExchangePiece { slot, flow, id, .. } = *piece;
    Ok((Use { slot, place: kept.place, range: kept.range, flow, from: id }, kept.value))
}

/// The uses of one request, as they are put together: pieces come in the order of the walk, what a
/// value holds behind itself, and those of one value together.
#[derive(Default)]
struct RequestUses {
    uses: Vec<Use>,
    /// Which value of the message each is in.
    values: Vec<u32>,
}

impl RequestUses {
    fn clear(&mut self) {
        self.uses.clear();
        self.values.clear();
    }

    /// Adds a use, unless its bytes are those of another one; says whether it did.
    fn put(&mut self, (used, value): (Use, u32)) -> bool {
        let hides = |whole: &Use| {
            whole.range.is_none()
                && whole.place.steps().len() < used.place.steps().len()
                && used.place.steps().starts_with(whole.place.steps())
        };
        if self.uses.last().is_some_and(hides) {
            return false;
        }
        let first = self.values.iter().rposition(|other| *other != value).map_or(0, |at| at + 1);
        let same = &self.uses[first..];
        let hidden = |other: &&Use| overlap(other, &used);
        // What hides others is the longer one.
        if same.iter().filter(hidden).any(|other| other.range.is_none() || used.range.is_some()) {
            return false;
        }
        for at in (first..self.uses.len()).rev() {
            if overlap(&self.uses[at], &used) {
                self.uses.remove(at);
                self.values.remove(at);
            }
        }
        self.uses.push(used);
        self.values.push(value);
        true
    }
}

/// Numbers the values whose flows are bound, and hands on their births and uses.
fn bound(
    links: &Sorted<LINK>,
    numbers: &Numbers,
    bind: Bind,
    templates: &Templates,
    pieces: &mut Sorter<PIECE>,
) -> io::Result<()> {
    let mut slots = 0_u32;
    let mut at = None;
    for link in links.iter()? {
        let link = BirthUse::unpack(&link?);
        let flow = match link.used.0 {
            NONE if bind == Bind::Off => continue,
            NONE => NO,
            _ => match numbers.of(link.template, link.refusal) {
                Some((flow, class)) if bind.takes(class) => flow,
                Some((flow, _)) if link.refusal == Refusal::Signed => {
                    let signed = ExchangePiece {
                        kept: link.used.1,
                        flow,
                        ..ExchangePiece::of(link.used.0, PieceKind::Signed)
                    };
                    pieces.push(signed.pack())?;
                    continue;
                }
                _ => continue,
            },
        };
        if at != Some(link.birth) {
            if slots == u32::MAX {
                break;
            }
            at = Some(link.birth);
            let birth = ExchangePiece {
                kept: link.birth.1,
                slot: slots,
                flow,
                ..ExchangePiece::of(link.birth.0, PieceKind::Birth)
            };
            pieces.push(birth.pack())?;
            slots += 1;
        }
        if flow == NO {
            continue;
        }
        let route = templates.get(link.template).map_or(NO, |of| of.route);
        let used = ExchangePiece {
            kept: link.used.1,
            slot: slots - 1,
            flow,
            id: link.id,
            route,
            ..ExchangePiece::of(link.used.0, PieceKind::Use)
        };
        pieces.push(used.pack())?;
    }
    Ok(())
}

/// Gathers the pieces of each exchange.
struct PieceGather<'g> {
    window: Window<'g>,
    templates: &'g Templates,
    /// The numbers of flows.
    renumbered: &'g [u32],
    totals: FlowTotals,
    /// Requests that give values and requests that use them, by route.
    producers: BTreeMap<u32, (u64, u64)>,
    /// Requests with older values, by route.
    older: FxHashMap<u32, u64>,
}

impl PieceGather<'_> {
    fn parts(
        &mut self,
        pieces: &Sorted<PIECE>,
        besides: &Sorted<BESIDE>,
        lines: &Spooled,
        folder: &Path,
    ) -> io::Result<PartFile> {
        let mut writer = PartsWriter::new(folder)?;
        let mut pieces =
            pieces.iter()?.map(|piece| piece.map(|p| ExchangePiece::unpack(&p))).peekable();
        let mut besides =
            besides.iter()?.map(|piece| piece.map(|p| BesidePiece::unpack(&p))).peekable();
        let (mut own, mut beside) = (Vec::new(), Vec::new());
        for (number, line) in order::lines(lines).enumerate() {
            own.clear();
            beside.clear();
            let is_own = |piece: &io::Result<ExchangePiece>| {
                piece.as_ref().map_or(true, |piece| piece.number == number as u64)
            };
            while let Some(piece) = pieces.next_if(is_own) {
                own.push(piece?);
            }
            let is_beside = |piece: &io::Result<BesidePiece>| {
                piece.as_ref().map_or(true, |piece| piece.number == number as u64)
            };
            while let Some(piece) = besides.next_if(is_beside) {
                beside.push(piece?.id);
            }
            writer.write(&self.part(&line?, &own, &beside)?)?;
        }
        writer.finish(folder)
    }

    fn part(
        &mut self,
        line: &OrderLine,
        pieces: &[ExchangePiece],
        beside: &[ExchangeId],
    ) -> io::Result<Part> {
        let mut part = Part { exchange: line.id, beside: beside.to_vec(), ..Part::default() };
        let mut from = FxHashSet::default();
        let mut uses = RequestUses::default();
        let mut older: FxHashSet<Place> = FxHashSet::default();
        for piece in pieces {
            match piece.kind {
                PieceKind::Session => part.session = piece.session,
                PieceKind::Birth => self.births(piece, &mut part.births)?,
                PieceKind::Use => {
                    let (used, value) = used(piece, &mut self.window)?;
                    let flow = self.renumbered[used.flow as usize];
                    if uses.put((Use { flow, ..used }, value)) {
                        from.insert(piece.route);
                    }
                }
                PieceKind::After => part.after.push(piece.id),
                PieceKind::Signed => {}
                PieceKind::Older => {
                    older.insert(kept::read(&mut self.window, piece.kept)?.place);
                }
            }
        }
        part.uses = uses.uses;
        if !older.is_empty() {
            // What a client put together of issued values is no older one.
            part.uses.iter().for_each(|used| {
                older.remove(&used.place);
            });
        }
        part.older = older.len() as u32;
        // What is said on a WebSocket waits for its values by itself, after the request.
        let in_session = |used: &&Use| line.opens && number_of(&used.place).is_some();
        part.after.extend(part.uses.iter().filter(|u| !in_session(u)).map(|used| used.from));
        // An exchange never waits for itself, nor for what its connection asks for anyway.
        part.after.retain(|id| *id != line.id);
        part.after.sort_unstable();
        part.after.dedup();
        if part.after.len() > WAITS {
            part.after.drain(..part.after.len() - WAITS);
        }
        let is_ordered = |id: &ExchangeId| {
            id.connection == line.id.connection || part.after.binary_search(id).is_ok()
        };
        part.beside.retain(|id| !is_ordered(id));
        self.count(line, &part, &from);
        Ok(part)
    }

    /// A value that an answer issues: where it is looked for first, then its other places.
    fn births(&mut self, piece: &ExchangePiece, births: &mut Vec<Birth>) -> io::Result<()> {
        let kept = kept::read(&mut self.window, piece.kept)?;
        let birth = Birth {
            slot: piece.slot,
            place: kept.place,
            range: kept.range,
            text: kept.text,
            thing: (!kept.thing.is_empty()).then_some(kept.thing),
            flow: self.renumbered.get(piece.flow as usize).copied().filter(|flow| *flow != NO),
        };
        let others = kept.others.into_iter();
        let others: Vec<Birth> =
            others.map(|place| Birth { place, range: None, ..birth.clone() }).collect();
        births.push(birth);
        births.extend(others);
        Ok(())
    }

    fn count(&mut self, line: &OrderLine, part: &Part, from: &FxHashSet<u32>) {
        let counted = !line.is_beside;
        self.totals.uses += if counted { part.uses.len() as u64 } else { 0 };
        for birth in part.births.chunk_by(|a, b| a.slot == b.slot).filter_map(|of| of.first()) {
            match birth.flow {
                Some(_) => self.totals.values += 1,
                None => {
                    self.totals.shown += 1;
                    self.totals.made += u64::from(line.may_change);
                }
            }
        }
        self.totals.using += u64::from(counted && !part.uses.is_empty());
        self.totals.waits += part.after.len() as u64;
        if counted && part.older > 0 {
            self.totals.older += 1;
            *self.older.entry(line.route).or_default() += 1;
        }
        if part.births.iter().any(|birth| birth.flow.is_some()) {
            self.producers.entry(line.route).or_default().0 += 1;
        }
        for &route in from {
            self.producers.entry(route).or_default().1 += 1;
        }
    }

    fn finish(self) -> FlowTotals {
        let Self { templates, mut totals, producers, older, .. } = self;
        let mut by_route: BTreeMap<String, u64> = BTreeMap::new();
        for (route, requests) in older {
            *by_route.entry(templates.route_name(route).to_string()).or_default() += requests;
        }
        totals.older_by_route = by_route.into_iter().collect();
        totals.older_by_route.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        let mut by_route: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (route, (requests, users)) in producers {
            let name = templates.route_name(route);
            let method = name.split(' ').next().unwrap_or_default();
            if !method::is_safe(method.as_bytes()) && users > 0 {
                let sum = by_route.entry(name.to_string()).or_default();
                *sum = (sum.0 + requests, sum.1 + users);
            }
        }
        let producer = |(route, (requests, users))| Producer { route, requests, users };
        totals.producers = by_route.into_iter().map(producer).collect();
        totals.producers.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.route.cmp(&b.route)));
        totals
    }
}

/// Whether two uses of one place share bytes.
fn overlap(a: &Use, b: &Use) -> bool {
    match (&a.range, &b.range) {
        (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pieces_are_written_and_read() {
        let id = ExchangeId { connection: 1 << 39, ordinal: 3 };
        for refusal in [Refusal::None, Refusal::Never, Refusal::Signed] {
            let link =
                BirthUse { birth: (1 << 39, 1 << 47), used: (NONE, 5), id, template: 9, refusal };
            assert_eq!(BirthUse::unpack(&link.pack()), link);
        }
        for kind in [
            PieceKind::Session,
            PieceKind::Birth,
            PieceKind::Use,
            PieceKind::After,
            PieceKind::Older,
            PieceKind::Signed,
        ] {
            let piece = ExchangePiece {
                kept: 1 << 47,
                slot: 7,
                flow: 8,
                id,
                ..ExchangePiece::of(1 << 39, kind)
            };
            assert_eq!(ExchangePiece::unpack(&piece.pack()), piece);
            let beside = BesidePiece { number: 1 << 39, id };
            assert_eq!(BesidePiece::unpack(&beside.pack()), beside);
        }
    }
}
