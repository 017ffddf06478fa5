//! What exchanges show and say, in the order of the recording: spooled until all of it was read,
//! then sifted, so that only what may flow is sorted and kept.

use std::io;
use std::path::Path;

use rustc_hash::FxHashMap;

use super::event::{self, ValueEvent};
use super::kept;
use super::look::{Atom, SeenExchange, UNKNOWN_THING};
use super::order::OrderLine;
use super::sieve::Sieve;
use super::templates::{Template, Templates};
use super::things;
use crate::store::{Sorted, Sorter, SpoolFile, Spooled, Window};

/// Bytes before an exchange's values: when its answer was known, two hashes of its path, the flags
/// of the path, whether each value has a time of its own, how many values there are, and how many
/// bytes their texts and places take.
const HEAD: usize = 8 + 8 + 4 + 1 + 1 + 4 + 4;
/// Bytes of a value before all texts and places: hash, flags, who says it (and makes what it
/// names), template, where it is kept, what it names, its measure.
const VALUE: usize = 8 + 1 + 1 + 4 + 4 + 4 + 4;
/// Bytes behind the values for each of them, where it has a time of its own: that, and whether it
/// was in a message of a WebSocket.
const TIMED: usize = 8 + 1;
/// Most kinds of things that are told apart.
const THINGS: usize = 1 << 16;

/// Writes what exchanges show and say.
pub(super) struct Sights {
    spool: SpoolFile,
    sieve: Sieve,
    buffer: Vec<u8>,
    orders: bool,
    things: Kinds,
    /// Roles that are things of their own.
    roles: things::RoleSet,
    /// Exchanges so far.
    count: u64,
}

/// Kinds of things that weak values name.
#[derive(Default)]
struct Kinds(FxHashMap<u32, KnownKind>);

/// What is known of one.
#[derive(Default)]
struct KnownKind {
    /// The value that a request said last, and whether one said another one before.
    said: Option<u64>,
    is_said: bool,
    /// The greatest number of the first answer that shows one.
    greatest: Option<(u64, u32)>,
}

impl Kinds {
    fn add(&mut self, atom: &Atom, exchange: u64) {
        if !self.0.contains_key(&atom.thing) && self.0.len() >= THINGS {
            return;
        }
        let kind = self.0.entry(atom.thing).or_default();
        if atom.said {
            kind.is_said |= kind.said.is_some_and(|before| before != atom.hash);
            kind.said = Some(atom.hash);
        } else if atom.measure > 0 {
            let (first, greatest) = kind.greatest.get_or_insert((exchange, 0));
            if *first == exchange {
                *greatest = atom.measure.max(*greatest);
            }
        }
    }

    /// Whether a number names what came to be in the recording, of a kind that requests name by
    /// numbers: an answer that shows it issues it, though no request says it.
    fn is_new(&self, thing: u32, number: u32) -> bool {
        let kind = self.0.get(&thing).filter(|kind| kind.is_said);
        kind.and_then(|kind| kind.greatest).is_some_and(|(_, greatest)| number > greatest)
    }
}

impl Sights {
    /// None yet; `orders`: paths are joined, too.
    pub(super) fn new(folder: &Path, orders: bool) -> io::Result<Self> {
        let spool = SpoolFile::new(folder)?;
        let sieve = Sieve::default();
        Ok(Self {
            spool,
            sieve,
            buffer: Vec::new(),
            orders,
            things: Kinds::default(),
            roles: 0,
            count: 0,
        })
    }

    /// Adds an exchange. `template` gives the number of a value's place.
    pub(super) fn add(
        &mut self,
        seen: &SeenExchange,
        mut template: impl FnMut(usize) -> u32,
    ) -> io::Result<()> {
        let target = String::from_utf8_lossy(&seen.target);
        let path = things::hash(&target, "path") as u32;
        self.roles |= things::roles_in_path(target.split('?').next().unwrap_or_default());
        let whole_path = things::hash(&target, "the path");
        let changes = if seen.may_change { event::UNSAFE } else { 0 };
        // A path that is posted to is a collection or a door; the others name one thing.
        let named = seen.may_change && seen.method != b"POST";
        let path_flags = event::PATH | if named { event::UNSAFE } else { 0 };
        let out = &mut self.buffer;
        out.clear();
        let known = seen.atoms.iter().find(|atom| !atom.said).map_or(seen.answered, |atom| atom.at);
        out.extend_from_slice(&known.to_le_bytes());
        out.extend_from_slice(&whole_path.to_le_bytes());
        out.extend_from_slice(&path.to_le_bytes());
        out.extend_from_slice(&[path_flags, u8::from(seen.opens)]);
        out.extend_from_slice(&(seen.atoms.len() as u32).to_le_bytes());
        out.extend_from_slice(&(seen.kept.len() as u32).to_le_bytes());
        for (number, atom) in seen.atoms.iter().enumerate() {
            let flags = atom.flags | if atom.said { changes } else { 0 };
            self.sieve.add(atom.hash, atom.said, flags);
            out.extend_from_slice(&atom.hash.to_le_bytes());
            out.extend_from_slice(&[flags, u8::from(atom.said) | u8::from(atom.makes) << 1]);
            out.extend_from_slice(&template(number).to_le_bytes());
            out.extend_from_slice(&atom.kept.to_le_bytes());
            out.extend_from_slice(&atom.thing.to_le_bytes());
            out.extend_from_slice(&atom.measure.to_le_bytes());
            if flags & event::WEAK != 0 {
                self.things.add(atom, self.count);
            }
        }
        for atom in seen.atoms.iter().filter(|_| seen.opens) {
            out.extend_from_slice(&atom.at.to_le_bytes());
            out.push(u8::from(atom.in_session));
        }
        if self.orders {
            self.sieve.add(whole_path, true, path_flags);
        }
        out.extend_from_slice(&seen.kept);
        self.count += 1;
        self.spool.write(out)
    }

    /// What may flow, sorted by value; and the texts and places of it.
    pub(super) fn sift(
        self,
        mut lines: impl Iterator<Item = io::Result<OrderLine>>,
        templates: &Templates,
        folder: &Path,
    ) -> io::Result<(Sorted<{ event::BYTES }>, Spooled)> {
        let Self { spool, sieve, orders, things, roles, .. } = self;
        let person = things::person_kind();
        let spooled = spool.finish()?;
        let (mut events, mut kept) = (Sorter::new(folder), SpoolFile::new(folder)?);
        let mut sights = SightReader { window: spooled.window(), at: 0, end: spooled.len() };
        let mut number = 0;
        while let Some(sight) = sights.next_sight()? {
            let Some(line) = lines.next().transpose()? else { break };
            let OrderLine { id, identity, at, answered, .. } = line;
            let Sight { known, whole_path, path, path_flags, values, times, texts } = sight;
            let mut event =
                ValueEvent { number, id, identity, path, answered, ..ValueEvent::default() };
            let mut times = times.chunks_exact(TIMED);
            for value in values.chunks_exact(VALUE) {
                let own = times.next();
                let (hash, rest) = value.split_at(8);
                let hash = u64::from_le_bytes(hash.try_into().expect("eight bytes"));
                let (mut flags, said) = (rest[0], rest[1] & 1 != 0);
                let (template, thing, measure) =
                    (four(&rest[2..]), four(&rest[10..]), four(&rest[14..]));
                let makes = || templates.get(template).is_some_and(Template::makes_anew);
                if !said && flags & event::MADE != 0 && !makes() {
                    flags &= !event::MADE;
                }
                // Where there are authors, an author is no user.
                let is_own = |of: &Template| things::role_at(&of.place) & roles != 0;
                if said && thing == person && templates.get(template).is_some_and(is_own) {
                    continue;
                }
                let may_name = || match thing {
                    UNKNOWN_THING => templates.get(template).is_some_and(|of| of.is_drawn(measure)),
                    _ => {
                        let is_made = flags & event::MADE != 0;
                        is_made || sieve.is_said(hash) || things.is_new(thing, measure)
                    }
                };
                let is_shown = flags & event::WEAK != 0 && !said;
                if !sieve.passes(hash, said, flags) || is_shown && !may_name() {
                    continue;
                }
                event.kept = kept.len();
                kept.write(kept::bytes_at(texts, four(&rest[6..])).unwrap_or_default())?;
                event.hash = hash;
                (event.said, event.makes) = (said, rest[1] & 2 != 0);
                event.at = match own {
                    Some(own) => i64::from_le_bytes(*own.first_chunk().expect("nine bytes")),
                    None if said => at,
                    None => known,
                };
                event.in_session = own.is_some_and(|own| own[8] != 0);
                event.flags = flags;
                event.template = template;
                events.push(event.pack())?;
            }
            if orders && sieve.passes(whole_path, true, path_flags) {
                (event.hash, event.said, event.makes) = (whole_path, true, false);
                (event.at, event.in_session) = (at, false);
                event.flags = path_flags;
                events.push(event.pack())?;
            }
            number += 1;
        }
        Ok((events.finish()?, kept.finish()?))
    }
}

/// What one exchange shows and says.
struct Sight<'s> {
    /// When its client knew what its answer says.
    known: i64,
    whole_path: u64,
    path: u32,
    path_flags: u8,
    values: &'s [u8],
    times: &'s [u8],
    texts: &'s [u8],
}

struct SightReader<'s> {
    window: Window<'s>,
    at: u64,
    end: u64,
}

impl SightReader<'_> {
    fn next_sight(&mut self) -> io::Result<Option<Sight<'_>>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let head = self.window.bytes(self.at, HEAD)?;
        let (count, length) = (four(&head[22..]) as usize, four(&head[26..]) as usize);
        let timed = if head[21] != 0 { count * TIMED } else { 0 };
        let whole = HEAD + count * VALUE + timed + length;
        let bytes = self.window.bytes(self.at, whole)?;
        self.at += whole as u64;
        let (head, rest) = bytes.split_at(HEAD);
        let (values, rest) = rest.split_at(count * VALUE);
        let (times, texts) = rest.split_at(timed);
        let eight =
            |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        Ok(Some(Sight {
            known: eight(0) as i64,
            whole_path: eight(8),
            path: four(&head[16..]),
            path_flags: head[20],
            values,
            times,
            texts,
        }))
    }
}

fn four(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
