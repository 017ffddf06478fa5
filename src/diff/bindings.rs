//! v1's values beside those that v2 issued in their place: under them two answers may be equal that
//! are written differently.
//!
//! `bindings.jsonl` says which value of v1's stands for which of v2's, for each copy of the
//! recording by itself. What is kept of one is hashes, 56 bytes, and 40 more of a number: texts are
//! always at hand where they are compared. A value that means something only beside its kind of
//! thing (`4` of a page) is bound only there.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::issued::{IssuedBy, Issuers};
use super::nouns::{self, Called, Named};
use crate::bind::find::strength::encoded;
use crate::bind::find::things;
use crate::limits::{BINDINGS, SHARED_IDS};
use crate::message::encoding;
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{self, Place};
use crate::outcome::ReplayId;
use crate::record::flows::Binding;
use crate::record::lines::Batches;
use crate::steps;

/// A value of v1's and what stands for it, as hashes.
#[derive(Clone, Copy, Debug)]
struct StandIn {
    /// Of copy, thing and v1's value.
    v1: u64,
    /// Of v2's value.
    v2: u64,
    /// Length of v2's value, in bytes.
    length: u32,
    /// Which of the answers issued it, in the order of the file.
    rank: u32,
    /// Whether it names one thing, so that v2 must name that thing always so.
    names: bool,
    /// How it is called where v1 issued it.
    born: Called,
}

/// Two numbers of a thing, v1's and v2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NumberPair {
    /// Of copy and v1's.
    v1: u64,
    /// Of copy and both.
    both: u64,
    /// Of copy and thing.
    thing: u64,
    /// Of copy, thing and by how much v2's is higher.
    raised: u64,
    /// Which exchange issues it.
    issuer: u32,
}

/// The other way: v2's value, and v1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Back {
    /// Of copy, place and v2's value.
    v2: u64,
    /// Of v1's value.
    v1: u64,
}

/// Two values of v1's for which v2 issued one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharedValue {
    /// Where v1's value stands in the answer that issued it.
    pub(super) place: String,
    /// v1's value.
    pub(super) v1: String,
    /// v2's, which it had issued for another one before.
    pub(super) v2: String,
}

/// The bindings of a run.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    entries: Vec<StandIn>,
    /// v2's values, of any place.
    issued: Vec<u64>,
    /// Numbers, whatever they name.
    numbers: Vec<NumberPair>,
    /// The exchanges that issue them.
    pub(super) issuers: Issuers,
    /// Hashes of copy and thing of the kinds of things that numbers are bound of, and of by how much
    /// v2's are higher.
    kinds: FxHashSet<u64>,
    /// Kinds of things by how much v2's numbers are higher, as far as there is room.
    raises: FxHashMap<u64, RaisedKinds>,
    /// By how much v2's numbers are higher, and of how many that is so; as far as there is room.
    apart: FxHashMap<i64, u32>,
    /// How many numbers are equal, and how many differ of those that requests say and of the others;
    /// and of these equal and differing ones by place.
    alike: [u32; 3],
    alike_at: FxHashMap<u64, [u32; 2]>,
    /// What positions are made of that v2 issued anew in the same make.
    makes: FxHashSet<u64>,
    /// The same of any values, with the names under which they are issued.
    named_makes: FxHashSet<u64>,
    /// Which lengths v1's values have: most of what may be a value is told apart by it.
    lengths: FxHashSet<u32>,
    shared: FxHashMap<ReplayId, Vec<SharedValue>>,
    /// Bindings beyond the bound: what they say is not known.
    pub(super) beyond: u64,
    /// Lines that are no binding.
    pub(super) damaged: u64,
}

/// The hash of a text, alone and among what it stands with.
fn hash(of: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn key(copy: u32, thing: &str, value: &str) -> u64 {
    hash((copy, thing, value))
}

/// The hash of two numbers of a copy.
fn pair(copy: u32, v1: &str, v2: &str) -> u64 {
    hash((copy, v1, v2))
}

impl Bindings {
    /// Reads a file of bindings.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bindings = Self::default();
        let mut back = [Vec::new(), Vec::new()];
        let (mut rank, mut last) = (0, None);
        let mut batches = Batches::new(file)?;
        while let Some(batch) = batches.next()? {
            let read: Vec<Option<Option<HashedLine>>> = (0..batch.len())
                .into_par_iter()
                .with_min_len(64)
                .map(|at| entry(batch.line(at).1))
                .collect();
            for one in read {
                match one {
                    None => bindings.damaged += 1,
                    Some(None) => {}
                    Some(Some(_)) if bindings.entries.len() >= BINDINGS => bindings.beyond += 1,
                    Some(Some(line)) => {
                        if last.replace(line.id).is_some_and(|last| last != line.id) {
                            rank += 1;
                        }
                        for (entry, v1_length) in line.spoken.into_iter().flatten() {
                            bindings.entries.push(StandIn { rank, ..entry });
                            bindings.lengths.insert(v1_length);
                        }
                        bindings.entries.push(StandIn { rank, ..line.entry });
                        bindings.issued.push(line.issued);
                        if let Some(pair) = line.numbers {
                            let issuer = bindings.issuers.number(line.id.exchange);
                            bindings.numbers.push(NumberPair { issuer, ..pair });
                            bindings.kinds.extend([pair.thing, pair.raised]);
                            bindings.add_raise(hash((line.id.copy, line.apart)), pair.thing);
                            bindings.add_apart(line.apart, line.unused_at);
                        }
                        if let Some(make) = line.make {
                            bindings.named_makes.insert(hash((make.of, make.name)));
                            bindings.makes.extend(make.is_position.then_some(make.of));
                        }
                        bindings.lengths.insert(line.v1_length);
                        back[0].extend(line.back);
                        back[1].extend(line.token);
                    }
                }
            }
        }
        bindings.damaged += batches.too_long;
        bindings.entries.par_sort_unstable_by_key(|entry| (entry.v1, entry.v2));
        bindings.numbers.par_sort_unstable();
        bindings.numbers.dedup();
        bindings.keep_first_issuers();
        bindings.forget_others(file)?;
        bindings.issued.par_sort_unstable();
        bindings.issued.dedup();
        bindings.find_shared(file, back)?;
        Ok(bindings)
    }

    fn add_apart(&mut self, apart: Option<i64>, unused_at: Option<u64>) {
        const MOST: usize = 1 << 12;
        let which = usize::from(apart != Some(0));
        let [equal, said, others] = &mut self.alike;
        *match (which, unused_at) {
            (0, _) => equal,
            (_, None) => said,
            (_, Some(_)) => others,
        } += 1;
        if let Some(at) = unused_at
            && (self.alike_at.len() < MOST || self.alike_at.contains_key(&at))
        {
            self.alike_at.entry(at).or_default()[which] += 1;
        }
        if let Some(apart) =
            apart.filter(|by| self.apart.len() < MOST || self.apart.contains_key(by))
        {
            *self.apart.entry(apart).or_default() += 1;
        }
    }

    /// Whether v2 numbers things as v1 did: it began with the same data.
    pub(super) fn number_alike(&self) -> bool {
        const ENOUGH: u32 = 10;
        let [equal, said, others] = self.alike;
        equal >= ENOUGH && equal >= said * 2 && equal * 2 >= others
    }

    /// Forgets numbers that nobody says again at places where most differ although v2 numbers things
    /// as v1 did: they are of other things, or wrong.
    fn forget_others(&mut self, file: &File) -> io::Result<()> {
        let differ = |[equal, differ]: &[u32; 2]| *differ > *equal;
        let others: FxHashSet<u64> =
            self.alike_at.iter().filter(|(_, at)| differ(at)).map(|(&at, _)| at).collect();
        self.alike_at = FxHashMap::default();
        if others.is_empty() || !self.number_alike() {
            return Ok(());
        }
        let mut forgotten: FxHashSet<(u64, u64)> = FxHashSet::default();
        let mut pairs: FxHashSet<(u64, u64)> = FxHashSet::default();
        let mut batches = Batches::new(file)?;
        while let Some(batch) = batches.next()? {
            for at in 0..batch.len() {
                let Some(Some(line)) = entry(batch.line(at).1) else { continue };
                let is_other = line.unused_at.is_some_and(|at| others.contains(&at));
                if is_other && line.apart != Some(0) && forgotten.len() < SHARED_IDS {
                    forgotten.insert((line.entry.v1, line.entry.v2));
                    pairs.extend(line.numbers.map(|pair| (pair.both, pair.thing)));
                }
            }
        }
        self.entries.retain(|entry| !forgotten.contains(&(entry.v1, entry.v2)));
        self.numbers.retain(|pair| !pairs.contains(&(pair.both, pair.thing)));
        Ok(())
    }

    /// By how much v2's ids are higher than v1's, each of some.
    pub(super) fn raises(&self) -> FxHashSet<i64> {
        const ENOUGH: u32 = 3;
        self.apart.iter().filter(|(_, count)| **count >= ENOUGH).map(|(by, _)| *by).collect()
    }

    /// Notes that numbers of a kind are that much higher.
    fn add_raise(&mut self, raise: u64, thing: u64) {
        const MOST: usize = 1 << 14;
        if self.raises.len() < MOST || self.raises.contains_key(&raise) {
            let kinds = self.raises.entry(raise).or_default();
            if let Some(room) = kinds.iter_mut().find(|kind| kind.is_none_or(|kind| kind == thing))
            {
                *room = Some(thing);
            }
        }
    }

    /// Keeps of the issuers of one pair as many as the first of all in time is among.
    fn keep_first_issuers(&mut self) {
        const KEPT: usize = 8;
        let (mut of, mut count) = (None, 0);
        self.numbers.retain(|pair| {
            let this = Some((pair.both, pair.thing));
            count = if of == this { count + 1 } else { 1 };
            of = this;
            count <= KEPT
        });
    }

    /// Finds values of v2's that stand for several of v1's of one place. Tokens name nothing, but
    /// where v1 gave to each its own v2 does not give one to all.
    fn find_shared(&mut self, file: &File, mut back: [Vec<Back>; 2]) -> io::Result<()> {
        for side in &mut back {
            side.par_sort_unstable();
            side.dedup();
        }
        let [back, tokens] = back;
        let shared: FxHashSet<u64> = back
            .windows(2)
            .filter(|pair| pair[0].v2 == pair[1].v2)
            .map(|pair| pair[0].v2)
            .take(SHARED_IDS)
            .collect();
        let is_one = |of_one: &&[Back]| of_one.len() >= TOKENS;
        let ones: FxHashSet<u64> = tokens
            .chunk_by(|a, b| a.v2 == b.v2)
            .filter(is_one)
            .map(|of_one| of_one[0].v2)
            .take(SHARED_IDS)
            .collect();
        drop((back, tokens));
        if shared.is_empty() && ones.is_empty() {
            return Ok(());
        }
        // Places where v2 has several: it does not give one to all.
        let mut others: FxHashSet<u64> = FxHashSet::default();
        let mut place_of: FxHashMap<u64, u64> = FxHashMap::default();
        if !ones.is_empty() {
            let mut batches = Batches::new(file)?;
            while let Some(batch) = batches.next()? {
                for at in 0..batch.len() {
                    let Some(binding) = binding(batch.line(at).1) else { continue };
                    let Some(v2) = binding.v2.as_deref().filter(|v2| is_token_of(&binding, v2))
                    else {
                        continue;
                    };
                    let (place, back) = (Back::place(&binding), Back::of(&binding, v2));
                    if *place_of.entry(place).or_insert(back.v2) != back.v2 {
                        others.insert(place);
                    }
                }
            }
        }
        let mut first: FxHashMap<u64, u64> = FxHashMap::default();
        let mut batches = Batches::new(file)?;
        while let Some(batch) = batches.next()? {
            for at in 0..batch.len() {
                let Some(binding) = binding(batch.line(at).1) else { continue };
                let Some(v2) = binding.v2.as_deref() else { continue };
                let back = Back::of(&binding, v2);
                let is_shared = if names_one_thing(&binding, v2) {
                    shared.contains(&back.v2)
                } else {
                    ones.contains(&back.v2)
                        && is_token_of(&binding, v2)
                        && !others.contains(&Back::place(&binding))
                };
                if is_shared && *first.entry(back.v2).or_insert(back.v1) != back.v1 {
                    let one = SharedValue {
                        place: binding.place.clone(),
                        v1: binding.v1.clone(),
                        v2: v2.to_owned(),
                    };
                    self.shared.entry(binding.id).or_default().push(one);
                }
            }
        }
        Ok(())
    }

    /// What v2 issued in an answer although it had issued it for another value before.
    pub(super) fn shared_in(&self, id: ReplayId) -> &[SharedValue] {
        self.shared.get(&id).map_or(&[], Vec::as_slice)
    }

    fn of(&self, key: u64) -> &[StandIn] {
        let from = self.entries.partition_point(|entry| entry.v1 < key);
        let rest = &self.entries[from..];
        &rest[..rest.iter().take_while(|entry| entry.v1 == key).count()]
    }
}

/// A line as hashes.
struct HashedLine {
    id: ReplayId,
    entry: StandIn,
    /// Where it names one thing.
    back: Option<Back>,
    /// Where it is a token of somebody's.
    token: Option<Back>,
    issued: u64,
    /// What both are made of, where they differ.
    make: Option<BoundMake>,
    v1_length: u32,
    /// Both, where they are numbers of a thing.
    numbers: Option<NumberPair>,
    /// By how much v2's number is higher than v1's.
    apart: Option<i64>,
    /// Names the place of one that nobody says again.
    unused_at: Option<u64>,
    /// The same as people say it, with the length of v1's.
    spoken: [Option<(StandIn, u32)>; 3],
}

/// What two values are made of.
struct BoundMake {
    of: u64,
    /// The hash of the name under which they are issued.
    name: u64,
    /// Whether they say where a reader is.
    is_position: bool,
}

/// The kind of thing that a name in base64 begins with: `Task:`, `gid://shop/Order/`.
fn kind_of_encoded(kind: &str) -> Option<String> {
    /// The place of a list may be behind anything.
    const PLACES: [&str; 4] = ["cursor", "arrayconnection", "offset", "position"];
    let words = || kind.rsplit(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_place = words().any(|word| PLACES.iter().any(|own| word.eq_ignore_ascii_case(own)));
    words().next().filter(|_| !is_place).and_then(things::singular)
}

/// Some kinds of things.
type RaisedKinds = [Option<u64>; 4];

/// By how much a number is higher than another one.
fn raised(v1: &str, v2: &str) -> Option<i64> {
    Some(v2.parse::<i64>().ok()?.wrapping_sub(v1.parse().ok()?))
}

impl NumberPair {
    fn of(copy: u32, thing: &str, [v1, v2]: [&str; 2]) -> Self {
        Self {
            v1: hash((copy, v1)),
            both: pair(copy, v1, v2),
            thing: hash((copy, thing)),
            raised: hash((copy, thing, raised(v1, v2))),
            issuer: 0,
        }
    }
}

/// A line as hashes; nothing of what v2 did not issue, none where it is no binding.
fn entry(line: &[u8]) -> Option<Option<HashedLine>> {
    if line.starts_with(b"{\"format\"") {
        return Some(None);
    }
    let binding = binding(line)?;
    let Some(v2) = binding.v2.as_deref() else { return Some(None) };
    let thing = binding.thing.as_deref().unwrap_or_default();
    let names = names_one_thing(&binding, v2);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let make = kinds::make_of(&binding.v1).filter(|_| *binding.v1 != *v2);
    let make = make.filter(|make| kinds::make_of(v2) == Some(*make));
    let is_of_thing = !thing.is_empty();
    let place = (is_of_thing || make.is_some()).then(|| binding.place.parse::<Place>().ok());
    let place = place.flatten();
    let steps = place.as_ref().map_or(&[][..], Place::steps);
    let copy = binding.id.copy;
    let entry = StandIn {
        v1: key(copy, thing, &binding.v1),
        v2: hash(v2),
        length: u32::try_from(v2.len()).ok()?,
        rank: 0,
        names,
        born: Called::at(steps),
    };
    let issued = key(copy, thing, v2);
    let back = names.then(|| Back::of(&binding, v2));
    let token = (!names && is_token_of(&binding, v2)).then(|| Back::of(&binding, v2));
    let make = make.map(|of| BoundMake {
        of,
        name: nouns::name_of(steps),
        is_position: is_position(&binding.place) || is_of_stream(&binding.v1),
    });
    let v1_length = u32::try_from(binding.v1.len()).ok()?;
    let [said, noun] = spoken(&binding, v2, entry);
    let mut spoken = [said, noun, None];
    let mut apart = raised(&binding.v1, v2);
    let numbers = match encoded(&binding.v1).zip(encoded(v2)) {
        Some(((kind, ours), (_, theirs))) => {
            apart = raised(&ours, &theirs);
            let thing = kind_of_encoded(&kind).unwrap_or_default();
            let number = StandIn {
                v1: key(copy, &thing, &ours),
                v2: hash(&*theirs),
                length: theirs.len() as u32,
                born: Called::Otherwise,
                ..entry
            };
            spoken[2] = (!thing.is_empty()).then_some((number, ours.len() as u32));
            Some(NumberPair::of(copy, &thing, [&ours, &theirs]))
        }
        None => (is_of_thing && is_number(&binding.v1) && is_number(v2))
            .then(|| NumberPair::of(copy, thing, [&binding.v1, v2])),
    };
    let id = binding.id;
    let unused_at = binding.flow.is_none().then(|| Back::place(&binding));
    let line = HashedLine {
        id,
        entry,
        back,
        token,
        issued,
        make,
        v1_length,
        numbers,
        apart,
        unused_at,
        spoken,
    };
    Some(Some(line))
}

/// Whether a value at a place says where a reader is: `next_batch`, `cursor`, `end`.
fn is_position(place: &str) -> bool {
    const NAMES: [&str; 9] =
        ["cursor", "next", "prev", "sync", "marker", "batch", "continu", "offset", "position"];
    /// Parts of other words.
    const WHOLE: [&str; 7] = ["page", "since", "before", "after", "start", "end", "from"];
    let place = place.to_ascii_lowercase();
    let last = place.rsplit([':', '.', '/', '[']).next().unwrap_or(&place);
    NAMES.iter().any(|name| last.contains(name)) || WHOLE.contains(&last)
}

/// Whether a value is a letter and numbers: `s121_4_0_10`. A version is written with a `v`.
fn is_of_stream(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase() && c != 'v');
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'))
}

/// What numbers with their words name: `issue7`, `PROJ-12`.
const NUMBERED: &str = "numbered";

/// The word and the number of a text that is one with the other, as trackers name what they hold.
fn numbered(text: &str) -> Option<(&str, &str)> {
    /// Longest word and number.
    const WORD: usize = 16;
    const NUMBER: usize = 9;
    let at = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (word, number) = (&text[..at], text[at..].strip_prefix('-').unwrap_or(&text[at..]));
    let is_number = (1..=NUMBER).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !number.starts_with('0');
    ((1..=WORD).contains(&word.len()) && is_number).then_some((word, number))
}

/// `issue7` is the issue 7 wherever it stands, and so is what is called issue 7.
fn spoken(binding: &Binding, v2: &str, entry: StandIn) -> [Option<(StandIn, u32)>; 2] {
    let pair = numbered(&binding.v1).zip(numbered(v2));
    let Some(((word, ours), (_, theirs))) = pair.filter(|(ours, theirs)| ours.0 == theirs.0) else {
        return [None; 2];
    };
    let of = |thing: &str, v1: &str, v2: &str| {
        let v1_hash = key(binding.id.copy, thing, v1);
        let length = v2.len() as u32;
        Some((StandIn { v1: v1_hash, v2: hash(v2), length, ..entry }, v1.len() as u32))
    };
    let noun = things::singular(word);
    [of(NUMBERED, &binding.v1, v2), noun.and_then(|noun| of(&noun, ours, theirs))]
}

fn binding(line: &[u8]) -> Option<Binding> {
    serde_json::from_slice(line).ok()
}

impl Back {
    fn of(binding: &Binding, v2: &str) -> Self {
        let place = place::general_text(&binding.place);
        let thing = binding.thing.as_deref().unwrap_or_default();
        Self { v2: hash((binding.id.copy, thing, place, v2)), v1: hash(&binding.v1) }
    }

    /// Names the place of a binding.
    fn place(binding: &Binding) -> u64 {
        hash((binding.id.copy, place::general_text(&binding.place)))
    }
}

/// Values of v1's from which one of v2's for all of them is none that somebody has for himself.
const TOKENS: usize = 5;

/// Whether a value tells who its client is: a cookie, or a token of a session. One that is made of
/// a time may be equal for two clients who come in one second.
fn is_token_of(binding: &Binding, v2: &str) -> bool {
    /// Shorter ones may be of an installation, a language, a node.
    const SHORTEST: usize = 16;
    const NAMES: [&str; 5] = ["token", "session", "sid", "auth", "ticket"];
    let place = binding.place.to_ascii_lowercase();
    let last = place.rsplit([':', '.', '/', '[']).next().unwrap_or(&place);
    let is_own = |value: &str| {
        let kind = kinds::of_text(value);
        let may_repeat = matches!(kind, Some(ValueKind::Jwt | ValueKind::Signed))
            || kind.is_some_and(ValueKind::is_time);
        value.len() >= SHORTEST && !may_repeat && !is_payload(value)
    };
    (place.starts_with("cookie:") || NAMES.iter().any(|name| last.contains(name)))
        && [&*binding.v1, v2].into_iter().all(is_own)
}

/// Whether a value names one thing and no other. Tokens and cookies are made anew as often as their
/// maker likes, and those made of a time may be equal where two were made in one second; entity
/// tags are equal where the contents are; cursors say where a reader is.
fn names_one_thing(binding: &Binding, v2: &str) -> bool {
    const OTHERS: [&str; 20] = [
        "token",
        "session",
        "sid",
        "auth",
        "signature",
        "ticket",
        "etag",
        "rev",
        "version",
        "cursor",
        "next",
        "prev",
        "sync",
        "page",
        "marker",
        "csrf",
        "xsrf",
        "nonce",
        "hash",
        "digest",
    ];
    /// Where a reader is, too, but parts of other words.
    const WHERE: [&str; 8] =
        ["start", "end", "from", "since", "offset", "position", "before", "after"];
    let place = binding.place.to_ascii_lowercase();
    let last = place.rsplit([':', '.', '/', '[']).next().unwrap_or(&place);
    let token = [&*binding.v1, v2].iter().any(|value| {
        kinds::of_text(value).is_some_and(|kind| match kind {
            ValueKind::Jwt | ValueKind::Signed => true,
            // What a form sends back unseen: a token of its own, or the signature in it.
            ValueKind::Token(_) => last == "@value",
            _ => kind.is_time(),
        }) || is_payload(value)
            || last == "@value" && is_ended(value)
    });
    !token
        && !place.starts_with("cookie:")
        && !OTHERS.iter().any(|word| last.contains(word))
        && !WHERE.contains(&last)
}

/// Whether something drawn has signs behind it that no id has, as tokens of forms do that must come
/// back unharmed: `8c1f…42+\`.
fn is_ended(text: &str) -> bool {
    let drawn = text.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '=');
    drawn.len() < text.len() && kinds::of_text(drawn).is_some_and(|kind| !kind.is_time())
}

/// Whether a text is an object or a string of JSON in base64, as the payload of a token: what it
/// holds may be a time, or nothing of its own.
fn is_payload(text: &str) -> bool {
    text.len() >= SHORTEST_PAYLOAD
        && encoding::base64_text(text)
            .is_some_and(|text| text.starts_with(['{', '"']) && text.ends_with(['}', '"']))
}

/// What v2 says of a thing that v1 named.
pub(super) const TWO_IDS: &str = "two ids for one";
/// See [`TWO_IDS`].
pub(super) const ANOTHER_THING: &str = "another thing";
/// See [`TWO_IDS`].
pub(super) const ONE_ID: &str = "one id for two";

/// Whether a way of changing is one of identity.
pub(super) fn is_of_identity(label: &str) -> bool {
    matches!(label, TWO_IDS | ANOTHER_THING | ONE_ID)
}

/// The bindings as they hold for one answer.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'b> {
    bindings: &'b Bindings,
    copy: u32,
    /// What was asked for: a number behind `#` is one of its kind.
    target: &'b [u8],
    /// What v1 had issued by then, where that is known.
    issued: Option<IssuedBy<'b>>,
}

/// Shortest payload of a token, in bytes.
const SHORTEST_PAYLOAD: usize = 8;
/// How often a byte of two texts may be looked at on the average.
const LOOKS: usize = 16;
/// Longest text in which values are looked for, in bytes.
const LONGEST: usize = 64 << 10;
/// Longest value that is looked for in a text, in bytes.
const LONGEST_VALUE: usize = 8 << 10;

impl<'b> Bound<'b> {
    pub(super) const fn new(bindings: &'b Bindings, copy: u32) -> Self {
        Self { bindings, copy, target: b"", issued: None }
    }

    /// The same for an answer to a request for `target`.
    pub(super) const fn asked(self, target: &'b [u8]) -> Self {
        Self { target, ..self }
    }

    /// The same for an answer before which no more was issued.
    pub(super) const fn after(self, issued: Option<IssuedBy<'b>>) -> Self {
        Self { issued, ..self }
    }

    /// What a value at `at` of a text may name by what stands before it. What was asked for goes by
    /// many names behind a `#`: `Bug #8` in an answer about `/issues/8`; and by none in a call:
    /// `remove(8)`.
    fn nouns(&self, text: &str, at: usize) -> Named {
        let mut found: Vec<String> = nouns::before(text, at).into_iter().collect();
        let before = text.get(..at).and_then(|head| head.bytes().next_back());
        if matches!(before, Some(b'#' | b'(' | b'\'' | b'"')) {
            let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            let asked = nouns::of_number(&text[at..at + digits], self.target);
            let behind = text.as_bytes().get(at + digits);
            let own = match before {
                Some(b'#') => asked.or_else(|| nouns::of(self.target).filter(|_| found.is_empty())),
                _ => asked.filter(|_| matches!(behind, Some(b')' | b',' | b'\'' | b'"'))),
            };
            found.extend(own.filter(|noun| !found.contains(noun)));
        }
        Named { nouns: found, ..Named::default() }
    }

    /// Whether `b` is what v2 issued in the place of `a`.
    pub(super) fn is_twin(&self, a: &str, b: &str, things: &Named) -> bool {
        let mut own = self.twins(a, things).peekable();
        let is_own = own.peek().is_some();
        // An `id` is what was asked for only where it is none of its own kind.
        let may_be_asked = things.asked && !(is_own && things.called == Called::Id);
        if own.any(|entry| entry.is(b)) || may_be_asked && self.is_asked(a, b) {
            return true;
        }
        // What v1 calls a thing of this kind is what v2 calls that one, and no other.
        if is_own || self.bindings.numbers.is_empty() {
            return false;
        }
        if things.any && self.is_of_any(a, b, &things.nouns, &things.others) {
            return true;
        }
        // The place of a list behind the thing of that number.
        let both = encoded(a).zip(encoded(b)).filter(|(ours, theirs)| ours.0 == theirs.0);
        both.is_some_and(|((kind, ours), (_, theirs))| {
            let kind: Vec<String> = kind_of_encoded(&kind).into_iter().collect();
            self.is_of_any(&ours, &theirs, &kind, &[])
        })
    }

    /// Whether v2 calls what was asked for `b`, and v1 `a`.
    fn is_asked(&self, a: &str, b: &str) -> bool {
        let noun = nouns::of_number(a, self.target);
        noun.is_some_and(|noun| self.twins(a, &Named::of(noun)).any(|entry| entry.is(b)))
    }

    /// Whether `a` and `b` are numbers of one thing, of whatever kind: one that was issued by then.
    /// Where the kind is known, and v1's number is not, they are as far apart as others of the kind.
    fn is_of_any(&self, a: &str, b: &str, nouns: &[String], others: &[String]) -> bool {
        /// Kinds of things that have a number, of which one is asked for that stands not beside it.
        const KINDS: usize = 64;
        let Bindings { numbers, kinds, raises, .. } = self.bindings;
        let (v1, both) = (hash((self.copy, a)), pair(self.copy, a, b));
        let from = numbers.partition_point(|pair| (pair.v1, pair.both) < (v1, both));
        let is_issued =
            |pair: &NumberPair| self.issued.is_none_or(|issued| issued.has(pair.issuer));
        let mut pairs = numbers[from..]
            .iter()
            .take_while(|pair| pair.v1 == v1 && pair.both == both)
            .filter(|pair| is_issued(pair))
            .peekable();
        if pairs.peek().is_none() {
            return false;
        }
        let thing = |noun: &String| hash((self.copy, noun.as_str()));
        let apart = raised(a, b);
        let mut known = nouns.iter().filter(|noun| kinds.contains(&thing(noun))).peekable();
        let as_others = |noun: &String| kinds.contains(&hash((self.copy, noun.as_str(), apart)));
        if known.peek().is_some() && !known.any(as_others) {
            return false;
        }
        // What stands beside it is no thing of its kind, where it may be another, and nothing else
        // is as far apart.
        let others: Vec<u64> = others.iter().map(thing).collect();
        if pairs.any(|pair| !others.contains(&pair.thing)) {
            return true;
        }
        let first = numbers.partition_point(|pair| pair.v1 < v1);
        let mut own = numbers[first..].iter().take_while(|pair| pair.v1 == v1).take(KINDS);
        let may_be_another = own.any(|pair| !others.contains(&pair.thing));
        let is_alone = raises
            .get(&hash((self.copy, apart)))
            .is_some_and(|kinds| kinds.iter().flatten().all(|kind| others.contains(kind)));
        !(may_be_another && is_alone)
    }

    /// Takes in what stands beside `a`: kinds that it may be of, and those that it is not.
    pub(super) fn tell(
        &self,
        a: &str,
        kinds: Vec<String>,
        others: Vec<String>,
        things: &mut Named,
    ) {
        things.others = others;
        let told = Named { nouns: kinds, called: things.called, ..Named::default() };
        // What it says of itself tells more than what holds it.
        if !told.nouns.is_empty() && self.twins(a, &told).next().is_some() {
            things.nouns = told.nouns;
        } else if self.twins(a, things).next().is_none() {
            things.nouns.extend(told.nouns);
        }
    }

    /// The bindings of a value, as itself and as one of `things`. An `id` is none of those that were
    /// issued as a number, where one was as an `id`; a number is none that was issued as an `id`.
    fn twins(&self, a: &str, things: &Named) -> impl Iterator<Item = &'b StandIn> {
        let bindings = self.bindings;
        let some = bindings.lengths.contains(&(a.len() as u32));
        let of = move |thing: &str| if some { bindings.of(key(self.copy, thing, a)) } else { &[] };
        let mut of_things: Vec<&StandIn> =
            things.nouns.iter().flat_map(|thing| of(thing)).collect();
        let other = match things.called {
            Called::Otherwise => None,
            Called::Id => Some(Called::Number),
            Called::Number => Some(Called::Id),
        };
        if let Some(other) = other
            && of_things.iter().any(|entry| entry.born != other)
        {
            of_things.retain(|entry| entry.born != other);
        } else if things.called == Called::Number {
            of_things.clear();
        }
        let numbered = if some && numbered(a).is_some() { of(NUMBERED) } else { &[] };
        of("").iter().chain(of_things).chain(numbered)
    }

    /// Names what v2 calls the thing that v1 calls `a`: equal to [`Bound::name`] of v2's own.
    pub(super) fn twin(&self, a: &str, things: &Named) -> Option<u64> {
        self.twins(a, things).next().map(|entry| entry.v2)
    }

    /// Whether two texts are made as values are that v2 issued anew: under the same name, or as
    /// positions are. One that v1 issued is v2's own elsewhere, and v2's own is no other.
    pub(super) fn is_position(&self, a: &str, b: &str, things: &Named) -> bool {
        let Bindings { makes, named_makes, .. } = self.bindings;
        if named_makes.is_empty() {
            return false;
        }
        let Some(make) = kinds::make_of(a).filter(|make| kinds::make_of(b) == Some(*make)) else {
            return false;
        };
        named_makes.contains(&hash((make, things.name)))
            || makes.contains(&make)
                && self.twins(a, things).next().is_none()
                && !self.was_issued(b, things)
    }

    /// Which of the answers issued what v1 calls `a`: those of one number are of one answer.
    pub(super) fn rank(&self, a: &str, things: &Named) -> Option<u32> {
        self.twins(a, things).map(|entry| entry.rank).min()
    }

    /// Whether v2 issued something in the place of what v1 calls `a`, by itself or as one of
    /// `things`.
    pub(super) fn has(&self, a: &str, things: &Named) -> bool {
        self.twins(a, things).next().is_some()
    }

    /// Names a value of v2's.
    pub(super) fn name(b: &str) -> u64 {
        hash(b)
    }

    /// How v2 breaks the identity of what v1 calls `a`, by calling it `b`; none where it does not,
    /// or where `a` names nothing.
    pub(super) fn broken(&self, a: &str, b: &str, things: &Named) -> Option<&'static str> {
        let mut all = self.twins(a, things).peekable();
        all.peek()?;
        if !all.all(|entry| entry.names && !entry.is(b)) {
            return None;
        }
        Some(if self.was_issued(b, things) { ANOTHER_THING } else { TWO_IDS })
    }

    /// The same of what names no thing for good, as an entity tag does: only where v2 issued `b`
    /// for another value of v1's.
    pub(super) fn mistaken(&self, a: &str, b: &str, things: &Named) -> Option<&'static str> {
        let mut all = self.twins(a, things).peekable();
        all.peek()?;
        let is_another = !all.any(|entry| entry.is(b)) && self.was_issued(b, things);
        is_another.then_some(ANOTHER_THING)
    }

    /// Whether v2 issued a value in the place of any of v1's.
    fn was_issued(&self, b: &str, things: &Named) -> bool {
        let issued =
            |thing: &str| self.bindings.issued.binary_search(&key(self.copy, thing, b)).is_ok();
        issued("") || things.nouns.iter().any(|thing| issued(thing))
    }

    /// `a` with values of v2's in the place of v1's, wherever `b` has them; none where it has none.
    /// Beside it, how `b` breaks the identity of something that `a` names.
    pub(super) fn rebound(
        &self,
        a: &str,
        b: &str,
        things: &Named,
    ) -> (Option<String>, Option<&'static str>) {
        if self.is_twin(a, b, things) {
            return (Some(b.to_owned()), None);
        }
        let mut broken = self.broken(a, b, things);
        // A token that was issued as a whole names nothing, and neither do its parts.
        let is_token = || self.twins(a, things).any(|entry| !entry.names);
        if broken.is_some() || is_token() || a.len().max(b.len()) > LONGEST {
            return (None, broken);
        }
        let mut out = String::new();
        let mut found = false;
        let (mut i, mut j) = (0, 0);
        // What may be looked at, so that no text costs more than it is long.
        let mut left = LOOKS * (a.len() + b.len());
        loop {
            let same = common(&a[i..], &b[j..]);
            let (x, y) = (i + same, j + same);
            // Of two numbers the shorter may be how the longer begins: `/carts/290`, `/carts/2906`.
            let is_end = x == a.len() || y == b.len();
            if is_end && (x == a.len() && y == b.len() || !cuts_a_word([a, b], [x, y])) {
                out.push_str(&a[i..]);
                return (found.then_some(out), broken);
            }
            let back = same.min(LONGEST_VALUE);
            let back = (x - back..=x).find(|&at| a.is_char_boundary(at)).map_or(0, |at| x - at);
            let (span, other) = (BoundarySpan::of(a, x, back), BoundarySpan::of(b, y, back));
            let cost = span.cost() + other.cost();
            if cost > left {
                out.push_str(&a[i..]);
                return (found.then_some(out), broken);
            }
            left -= cost;
            steps::add(cost);
            match self.value_at(a, b, [x, y], &span) {
                Some((start, end, length)) => {
                    let from = y - (x - start);
                    out.push_str(&a[i..start]);
                    out.push_str(&b[from..from + length]);
                    (i, j, found) = (end, from + length, true);
                }
                None => {
                    broken = broken.or_else(|| self.broken_at(a, b, [&span, &other]));
                    if is_end {
                        out.push_str(&a[i..]);
                        return (found.then_some(out), broken);
                    }
                    let (next, other) = (next_border(a, x), next_border(b, y));
                    out.push_str(&a[i..next]);
                    (i, j) = (next, other);
                }
            }
        }
    }

    /// How `b` breaks the identity of what `a` names where they differ.
    fn broken_at(
        &self,
        a: &str,
        b: &str,
        [span, other]: [&BoundarySpan; 2],
    ) -> Option<&'static str> {
        (0..2).find_map(|level| {
            let (start, end) = (span.starts[level], span.ends[level]);
            let nouns = self.nouns(a, start);
            let value = &b[other.starts[level]..other.ends[level]];
            self.broken(&a[start..end], value, &nouns)
        })
    }

    /// A bound value of `a` around `x`, whose twin stands in `b` around `y`: where it starts and
    /// ends, and how long the twin is.
    fn value_at(
        &self,
        a: &str,
        b: &str,
        [x, y]: [usize; 2],
        span: &BoundarySpan,
    ) -> Option<(usize, usize, usize)> {
        let is_start = |at: usize| is_border(a, at) && is_border(b, y - (x - at));
        // `/1/5/9`: the things above one of what was asked for.
        let of_lineage = is_lineage(a).then(|| nouns::of(self.target)).flatten();
        for start in span.starts.iter().rev().copied().filter(|&at| is_start(at)) {
            let from = y - (x - start);
            let mut nouns = self.nouns(a, start);
            nouns.nouns.extend(of_lineage.clone());
            nouns.nouns.extend(nouns::spoken(a, start));
            let ends = span.ends.iter().rev().chain(span.narrow.iter().rev());
            for end in ends.copied().filter(|&end| is_border(a, end)) {
                for entry in self.twins(&a[start..end], &nouns) {
                    let to = from + entry.length as usize;
                    let twin = b.get(from..to).filter(|twin| entry.is(twin));
                    if twin.is_some() && is_border(b, to) {
                        return Some((start, end, to - from));
                    }
                }
            }
        }
        None
    }
}

impl StandIn {
    fn is(&self, b: &str) -> bool {
        self.length as usize == b.len() && self.v2 == hash(b)
    }
}

/// Whether a text is numbers with the same sign between them, as a tree keeps what is above each
/// of its things: `/1/5/9`, `1.5.9`.
fn is_lineage(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    let Some(sign) = text.chars().find(|c| !digit(*c)) else { return false };
    "/.,|".contains(sign) && text.ends_with(digit) && text.chars().all(|c| digit(c) || c == sign)
}

/// The length of the equal beginnings of two texts, in whole characters.
fn common(a: &str, b: &str) -> usize {
    let mut same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    while !a.is_char_boundary(same) || !b.is_char_boundary(same) {
        same -= 1;
    }
    same
}

/// Characters of which values are made, from the narrowest to the widest: a value may be a word
/// between dashes, a UUID, a token with dots, a path.
const LEVELS: [fn(char) -> bool; 4] = [
    |c| c.is_alphanumeric(),
    |c| c.is_alphanumeric() || matches!(c, '-' | '_'),
    |c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '=' | ':' | '|' | '!'),
    |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | '&' | ',' | ';' | '(' | ')'),
];

/// Where a value may begin and end around a place at which two texts begin to differ.
struct BoundarySpan {
    /// By level, the widest last.
    starts: [usize; LEVELS.len()],
    ends: [usize; LEVELS.len()],
    /// Ends of the next words.
    narrow: [usize; 6],
}

impl BoundarySpan {
    /// Around `x`; values begin at most `back` bytes before it.
    fn of(text: &str, x: usize, back: usize) -> Self {
        let before = &text[x - back..x];
        let to = (x + LONGEST_VALUE).min(text.len());
        let to = (to..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        let behind = &text[x..to];
        let start = |of: fn(char) -> bool| {
            x - back + before.rfind(|c| !of(c)).map_or(0, |at| at + width(before, at))
        };
        let end = |of: fn(char) -> bool| x + behind.find(|c| !of(c)).unwrap_or(behind.len());
        let mut word = x;
        let narrow = std::array::from_fn(|_| {
            word = next_border(text, word);
            word
        });
        Self { starts: LEVELS.map(start), ends: LEVELS.map(end), narrow }
    }

    /// How much of the text is looked at for it.
    fn cost(&self) -> usize {
        let ends = self.ends.iter().chain(&self.narrow).copied().max().unwrap_or(0);
        1 + ends.saturating_sub(self.starts[LEVELS.len() - 1])
    }
}

/// Whether one of two texts ends at these places, and the other one goes on within a word.
fn cuts_a_word(texts: [&str; 2], at: [usize; 2]) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let before = texts[0][..at[0]].chars().next_back();
    let behind = |side: usize| word(texts[side][at[side]..].chars().next());
    word(before) && (behind(0) || behind(1))
}

fn width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

/// Whether a value may begin or end at `at`: not within a word.
fn is_border(text: &str, at: usize) -> bool {
    let Some((before, behind)) = text.split_at_checked(at) else { return false };
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !(word(before.chars().next_back()) && word(behind.chars().next()))
}

/// The next place behind `at` where a word ends.
fn next_border(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let lead = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
    let word = rest[lead..].find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len() - lead);
    (at + lead + word).max(at + width(text, at))
}

#[cfg(test)]
impl Bindings {
    /// Of ids of v1's and v2's, by the number of the answer that issued each.
    pub(super) fn of_ids(ids: &[(&str, &str, u32)]) -> Self {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().expect("a file");
        for (slot, (v1, v2, answer)) in ids.iter().enumerate() {
            let binding = Binding {
                slot: slot as u32,
                id: format!("{answer}-0").parse().expect("an id"),
                place: "$.id".to_owned(),
                thing: None,
                flow: None,
                v1: (*v1).to_owned(),
                v2: Some((*v2).to_owned()),
                reason: None,
            };
            serde_json::to_writer(&mut file, &binding).expect("written");
            file.write_all(b"\n").expect("written");
        }
        Self::read(&file).expect("read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(lines: &[(&str, &str, &str, Option<&str>)]) -> Bindings {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().expect("a file");
        for (slot, (place, v1, v2, thing)) in lines.iter().enumerate() {
            let binding = Binding {
                slot: slot as u32,
                id: format!("{slot}-0").parse().expect("an id"),
                place: (*place).to_owned(),
                thing: thing.map(str::to_owned),
                flow: None,
                v1: (*v1).to_owned(),
                v2: Some((*v2).to_owned()).filter(|v2| !v2.is_empty()),
                reason: None,
            };
            serde_json::to_writer(&mut file, &binding).expect("written");
            file.write_all(b"\n").expect("written");
        }
        Bindings::read(&file).expect("read")
    }

    #[test]
    fn a_tag_that_v2_issued_for_another_version_is_no_twin() {
        let all = bindings(&[
            ("header:etag", "first-1", "a-9", None),
            ("header:etag", "second-2", "b-9", None),
        ]);
        let bound = Bound::new(&all, 1);
        let of = |a: &str, b: &str| bound.mistaken(a, b, &Named::default());
        assert_eq!(of("second-2", "a-9"), Some(ANOTHER_THING));
        // Its own, one that nobody knows, and what v1 issued to nobody.
        for (a, b) in [("second-2", "b-9"), ("second-2", "c-9"), ("third-3", "a-9")] {
            assert_eq!(of(a, b), None, "{a} {b}");
        }
    }

    #[test]
    fn signed_values_name_nothing_nor_do_their_signatures() {
        // One page was made in the second of another one at v1, and not at v2.
        let (v1, signature) =
            ("IjNhZjEi.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE", "kJ8sQx0_vLw2T9bZfNn5rYc1XhE");
        let (v2, other) =
            ("IjNhZjEi.aSl2mB.w2T9bZfNn5rYc1XhEkJ8sQx0_vL", "w2T9bZfNn5rYc1XhEkJ8sQx0_vL");
        let later = "IjNhZjEi.aSl2mC.Nn5rYc1XhEkJ8sQx0_vLw2T9bZf";
        let place = "/html/body/form/input/@value";
        let all = bindings(&[
            (place, v1, v2, None),
            (place, signature, other, None),
            (place, later, v2, None),
        ]);
        assert!((0..3).all(|n| all.shared_in(format!("{n}-0").parse().unwrap()).is_empty()));
        let bound = Bound::new(&all, 1);
        assert_eq!(bound.rebound(v1, later, &Named::default()), (None, None));
        assert_eq!(bound.rebound(v1, v2, &Named::default()), (Some(v2.to_owned()), None));
        // The payload alone, of a second each: v2 made two in one.
        let payloads: Vec<String> =
            [1, 2].map(|n| encoding::base64_of(format!(r#"{{"at":{n}}}"#).as_bytes(), true)).into();
        let place = "/html/head/meta/@content";
        let all = bindings(&[
            (place, &payloads[0], &payloads[1], None),
            (place, "InNlY29uZCI", &payloads[1], None),
        ]);
        assert!((0..2).all(|n| all.shared_in(format!("{n}-0").parse().unwrap()).is_empty()));
        // An id in a form does name a thing.
        let id = "8d7f2f0e-3c43-4a5e-9d7b-0c6d1a2b3c4d";
        let all = bindings(&[(place, id, "59a0299b-f951-4525-8b61-9c9eb22ee12d", None)]);
        let found = Bound::new(&all, 1).broken(
            id,
            "2cb2d0a4-c43c-4639-94a9-73c39d2c029d",
            &Named::default(),
        );
        assert_eq!(found, Some(TWO_IDS));
    }

    #[test]
    fn whole_tokens_are_rebound_wherever_they_stand() {
        let all = bindings(&[
            ("$.id", "3f2a91c07be41d05", "00aa11bb22cc33dd", None),
            ("$.uuid", "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11", "c-7", None),
            ("$.token", "eyJ.a-b_c.sig-x", "eyJ.zz.q", None),
            ("$.page", "8", "1008", Some("page")),
        ]);
        let bound = Bound::new(&all, 1).asked(b"/pages/8/edit?x=1");
        let of = |a: &str, b: &str| bound.rebound(a, b, &Named::default()).0;
        for (a, b) in [
            ("3f2a91c07be41d05", "00aa11bb22cc33dd"),
            ("artifacts:/2/3f2a91c07be41d05/x", "artifacts:/2/00aa11bb22cc33dd/x"),
            ("id='3f2a91c07be41d05'", "id='00aa11bb22cc33dd'"),
            ("/c/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11?x=1", "/c/c-7?x=1"),
            ("Bearer eyJ.a-b_c.sig-x", "Bearer eyJ.zz.q"),
            ("3f2a91c07be41d05,3f2a91c07be41d05", "00aa11bb22cc33dd,00aa11bb22cc33dd"),
            ("/pages/8/edit", "/pages/1008/edit"),
            ("page_8_title", "page_1008_title"),
            ("Back to Page #8", "Back to Page #1008"),
            ("#8 (of 2)", "#1008 (of 2)"),
            ("Letter #8: words", "Letter #1008: words"),
        ] {
            assert_eq!(of(a, b).as_deref(), Some(b), "{a}");
        }
        assert_eq!(of("x3f2a91c07be41d05", "x00aa11bb22cc33dd"), None, "within a word");
        assert_eq!(of("8", "1008"), None, "a number alone names nothing");
        assert_eq!(
            bound.rebound("8", "1008", &Named::of("page".to_owned())).0.as_deref(),
            Some("1008")
        );
        assert_eq!(of("/orders/8", "/orders/1008"), None, "of another kind");
        let elsewhere = Bound::new(&all, 1).asked(b"/pages/9/edit");
        assert_eq!(
            elsewhere.rebound("Order #8", "Order #1008", &Named::default()).0,
            None,
            "of another kind"
        );
        assert_eq!(of("page 8", "page 1008"), None, "of how many");
        assert_eq!(
            of("3f2a91c07be41d05 costs 5", "00aa11bb22cc33dd costs 6").as_deref(),
            Some("00aa11bb22cc33dd costs 5"),
            "what else differs stays"
        );
        let other =
            Bound::new(&all, 2).rebound("3f2a91c07be41d05", "00aa11bb22cc33dd", &Named::default());
        assert_eq!(other, (None, None), "of another copy");
    }

    #[test]
    fn a_number_is_rebound_though_the_other_begins_with_it() {
        let all = bindings(&[
            ("$.id", "290", "2906", Some("cart")),
            ("$.no", "4711", "47", Some("order")),
            ("$.file", "3f2a91c07be41d05", "3f2a91c07be41d05ff", None),
        ]);
        let bound = Bound::new(&all, 1);
        for (a, b) in [
            ("/carts/290", "/carts/2906"),
            ("/orders/4711", "/orders/47"),
            ("/orders/4711?x=1", "/orders/47?x=1"),
            ("/files/3f2a91c07be41d05", "/files/3f2a91c07be41d05ff"),
        ] {
            assert_eq!(bound.rebound(a, b, &Named::default()).0.as_deref(), Some(b), "{a}");
        }
        for (a, b) in [("/carts/290", "/carts/2907"), ("/carts/29", "/carts/290"), ("a", "ab")] {
            assert_eq!(bound.rebound(a, b, &Named::default()).0, None, "{a}");
        }
        assert_eq!(bound.rebound("/carts/290", "/carts/290/x", &Named::default()), (None, None));
    }

    #[test]
    fn one_token_for_all_is_none() {
        let v1: Vec<String> = (0..6).map(drawn_hex).collect();
        let one = "ffee00112233445566778899aabbccdd";
        let of = |place: &str, v2: &dyn Fn(usize) -> String| {
            let v2: Vec<String> = (0..6).map(v2).collect();
            let lines = v1.iter().zip(&v2).map(|(v1, v2)| (place, &**v1, &**v2, None));
            let all = bindings(&lines.collect::<Vec<_>>());
            (0..6).filter(|n| !all.shared_in(format!("{n}-0").parse().unwrap()).is_empty()).count()
        };
        for place in ["cookie:sid", "$.token", "$.session_id", "header:x-auth-token"] {
            assert_eq!(of(place, &|_| one.to_owned()), 5, "{place}");
            assert_eq!(of(place, &|n| drawn_hex(n + 50)), 0, "{place}");
            // Two of one client in one second, or of one client who comes again.
            assert_eq!(of(place, &|n| drawn_hex(50 + n / 2)), 0, "{place}");
        }
        assert_eq!(of("$.cursor", &|_| one.to_owned()), 0, "where a reader is");
    }

    /// Hexadecimal digits that look drawn.
    fn drawn_hex(n: usize) -> String {
        let bits = (n as u128 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{:032x}", bits ^ bits >> 61)
    }

    #[test]
    fn one_thing_has_one_id_and_two_have_two() {
        let all = bindings(&[
            ("$.items[0].id", "aaaa1111bbbb", "9999", None),
            ("$.items[1].id", "cccc2222dddd", "9999", None),
            ("$.other", "eeee3333ffff", "9999", None),
            ("$.etag", "gggg4444", "8888", None),
            ("$.etag", "hhhh5555", "8888", None),
            ("$.gone", "iiii6666", "", None),
        ]);
        let shared: Vec<_> = (0..6)
            .filter(|n| !all.shared_in(format!("{n}-0").parse().unwrap()).is_empty())
            .collect();
        assert_eq!(shared, [1]);
        let bound = Bound::new(&all, 1);
        assert_eq!(bound.broken("aaaa1111bbbb", "9999", &Named::default()), None);
        assert_eq!(bound.broken("aaaa1111bbbb", "7777", &Named::default()), Some(TWO_IDS));
        assert_eq!(bound.broken("aaaa1111bbbb", "8888", &Named::default()), Some(ANOTHER_THING));
        assert_eq!(bound.broken("gggg4444", "7777", &Named::default()), None, "names no thing");
        assert_eq!(bound.broken("unknown", "7777", &Named::default()), None);
        let text = bound.rebound("/x/aaaa1111bbbb?y=1", "/x/7777?y=1", &Named::default());
        assert_eq!(text, (None, Some(TWO_IDS)), "in a text");
    }

    #[test]
    fn what_is_compared_costs_no_more_than_it_is_long() {
        let all = bindings(&[("$.id", "3f2a91c07be41d05", "00aa11bb22cc33dd", None)]);
        let bound = Bound::new(&all, 1);
        let long = |word: &str, n: usize| format!("{word}-").repeat(n);
        steps::hold_to_n_log_n(1_000, |n| {
            assert_eq!(
                bound.rebound(&long("a1", n), &long("b2", n), &Named::default()),
                (None, None)
            );
        });
        proptest::proptest!(|(a in "\\PC{0,40}", b in "\\PC{0,40}")| {
            let _ = bound.rebound(&a, &b, &Named::default());
        });
    }

    #[test]
    fn what_must_come_back_unharmed_names_nothing() {
        let drawn = "8c1fd0a75be3426690af1c2d7e5b3f94d1e2a6c7";
        let names = |place: &str, value: String| {
            let v2 = value.replace('8', "9");
            let line = format!(
                r#"{{"slot":0,"id":"0-0","place":{place:?},"flow":0,"v1":{value:?},"v2":{v2:?}}}"#
            );
            names_one_thing(&binding(line.as_bytes()).unwrap(), &v2)
        };
        let input = "/html/body/form/input/@value";
        assert!(!names(input, format!("{drawn}+\\")));
        assert!(names(input, drawn.to_owned()), "it may be a thing's id");
        assert!(names("/html/body/a/@href", format!("{drawn}+\\")));
    }
}
