//! What separates the exchanges of a cluster from the matching ones of their route: the smallest
//! sharp predicate over the request or v1's answer, such as `query:currency = "JPY"` or
//! `response $.stock = "0"`.
//!
//! What is known of an exchange comes from the one walk ([`document`]), by the places that rules
//! and reports name. What stands in an array has no place of its own from exchange to exchange:
//! arrays are known by their length, and a root array also by its first element (the first message
//! of a call).
//!
//! [`document`]: crate::message::document

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};

use super::change::short;
use crate::exchange::Exchange;
use crate::message::document::{Bounds, Form, Value, Visit, Walk};
use crate::message::place::{Step, Trail};
use crate::message::protobuf::{Readings, Speaker};
use crate::message::{Body, Headers};
use crate::redact::Masker;
use crate::redact::names::{header_secret, is_secret_parameter};

/// Most facts of one exchange.
const MAX_FEATURES: usize = 400;
/// Longest value that a predicate names, in characters.
const MAX_VALUE: usize = 80;
/// Deepest member of a document that is looked at.
const MAX_DEPTH: usize = 4;
/// Exchanges that a predicate must hold for, so that it is no accident.
pub(super) const FEWEST: u64 = 3;

/// What a predicate is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fact {
    side: Side,
    what: What,
    /// As places are written.
    place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Side {
    Request,
    /// v1's answer.
    Response,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum What {
    Value,
    /// How many elements an array has.
    Length,
}

/// What is known of one exchange. A value that must not be told is none: only its presence may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Features(BTreeMap<Fact, Option<String>>);

/// A predicate over facts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Predicate {
    about: Fact,
    says: Says,
}

/// What a predicate says of its fact. The simpler ones first.
#[derive(Clone, Debug, PartialEq)]
enum Says {
    Equals(String),
    NotAscii,
    Empty,
    Present,
    Absent,
    AtLeast(f64),
    AtMost(f64),
    LongerThan(usize),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.side {
            Side::Request => "",
            Side::Response => "response ",
        })?;
        f.write_str(match self.what {
            What::Value => "",
            What::Length => "length of ",
        })?;
        f.write_str(&self.place)
    }
}

impl Features {
    /// The facts of an exchange: request first, then v1's answer.
    pub(super) fn of(exchange: &Exchange, readings: &Readings, masker: &Masker) -> Self {
        let mut features = Self::default();
        let Some(request) = &exchange.request else { return features };
        let request = &request.message;
        let target = &request.target;
        features.side(Side::Request, masker, |walk| {
            walk.target(target);
            walk.headers(&request.headers);
            let read = (Speaker::Question, readings);
            body(walk, read, target, &request.headers, &request.body);
        });
        if let Some(response) = &exchange.response {
            let response = &response.message;
            let fact =
                Fact { side: Side::Response, what: What::Value, place: Step::Status.to_string() };
            features.put(fact, Some(&response.status.to_string()));
            features.side(Side::Response, masker, |walk| {
                let read = (Speaker::Answer, readings);
                body(walk, read, target, &response.headers, &response.body);
            });
        }
        features
    }

    fn side(&mut self, side: Side, masker: &Masker, look: impl FnOnce(&mut Walk<'_>)) {
        let mut looker = Looker { side, masker, features: self, lengths: FxHashMap::default() };
        let mut walk = Walk::new(&mut looker, Bounds::default());
        look(&mut walk);
        let was_cut = walk.was_cut();
        let lengths = std::mem::take(&mut looker.lengths);
        // Of a cut walk nobody knows how long an array is.
        for (place, length) in lengths.into_values().filter(|_| !was_cut) {
            self.put(Fact { side, what: What::Length, place }, Some(&length.to_string()));
        }
    }

    fn put(&mut self, fact: Fact, value: Option<&str>) {
        if self.0.len() < MAX_FEATURES {
            let cut = |value: &str| {
                let end = value.char_indices().nth(MAX_VALUE).map_or(value.len(), |(at, _)| at);
                value[..end].to_owned()
            };
            self.0.entry(fact).or_insert_with(|| value.map(cut));
        }
    }

    fn value(&self, fact: &Fact) -> Option<&str> {
        self.0.get(fact)?.as_deref()
    }

    fn number(&self, fact: &Fact) -> Option<f64> {
        self.value(fact)?.parse().ok()
    }
}

/// The values of a body: those of messages behind a schema as JSON.
fn body(
    walk: &mut Walk<'_>,
    (speaker, readings): (Speaker, &Readings),
    target: &[u8],
    headers: &Headers,
    body: &Body,
) {
    match readings.read(speaker, target, headers, &body.bytes) {
        _ if body.is_cut() => None,
        Some(read) => walk.body(&Headers::new(), &read.json),
        None => walk.body(headers, &body.bytes),
    };
}

/// Notes what a walk tells of one side.
struct Looker<'l> {
    side: Side,
    masker: &'l Masker,
    features: &'l mut Features,
    /// Arrays by the hash of their place: how it is written, and how many elements they have.
    lengths: FxHashMap<u64, (String, usize)>,
}

impl Looker<'_> {
    /// Whether a value may be told: a secret's place is known, and no more.
    fn may_tell(&self, at: &Trail<'_>, text: &str) -> bool {
        if self.masker.is_off() {
            return true;
        }
        let steps = at.steps();
        let is_secret = |step: &&Step<'_>| match step {
            Step::Cookie(_) => true,
            Step::Header(name) => header_secret(name).is_some(),
            Step::Query(name) => is_secret_parameter(name),
            _ => false,
        };
        let names = steps.iter().filter_map(|step| step.name());
        !steps.iter().copied().any(|step| is_secret(&step))
            && !self.masker.hides_all_below(names.clone())
            && self.masker.below(names, text) == text
            && self.masker.text(text) == text
    }

    /// Counts an element of the outermost array that a value is in; whether the value has a place
    /// of its own for all that.
    fn in_array(&mut self, at: &Trail<'_>) -> bool {
        let (mut outermost, mut trail) = (None, Some(at));
        while let Some(step) = trail {
            if let Step::Index(index) = step.last() {
                outermost = step.before().map(|array| (array, *index));
            }
            trail = step.before();
        }
        let Some((array, index)) = outermost else { return true };
        match self.lengths.entry(array.hash()) {
            Entry::Occupied(mut known) => known.get_mut().1 = index + 1,
            Entry::Vacant(new) if !array.varies() => {
                new.insert((array.to_string(), index + 1));
            }
            Entry::Vacant(_) => {}
        }
        let is_root = *array.last() == Step::Root && array.before().is_none();
        let indices = |step: &&&Step<'_>| matches!(step, Step::Index(_));
        is_root && index == 0 && at.steps().iter().filter(indices).count() == 1
    }
}

impl Visit for Looker<'_> {
    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        if !self.in_array(at) || at.varies() {
            return None;
        }
        match value.form {
            Form::Empty if value.text == "[]" => {
                self.lengths.insert(at.hash(), (at.to_string(), 0));
                return None;
            }
            Form::Empty if value.text == "{}" => return None,
            Form::Key | Form::Digest => return None,
            Form::Text | Form::Bare | Form::Empty => {}
        }
        let mut depth = 0;
        for step in at.steps() {
            match step {
                Step::Name(_) | Step::Element(_, 0 | 1) => depth += 1,
                // Which of several it is may be another one elsewhere.
                Step::Element(..) | Step::Again(_) | Step::Line(_) | Step::Event(_) => return None,
                Step::Header(name) if name.eq_ignore_ascii_case("content-length") => return None,
                _ => {}
            }
        }
        if depth <= MAX_DEPTH {
            let told = self.may_tell(at, value.text).then_some(value.text);
            let fact = Fact { side: self.side, what: What::Value, place: at.to_string() };
            self.features.put(fact, told);
        }
        None
    }
}

impl Predicate {
    fn holds(&self, features: &Features) -> bool {
        let about = &self.about;
        let value = features.value(about);
        match &self.says {
            Says::Equals(text) => value == Some(text),
            Says::NotAscii => value.is_some_and(|value| !value.is_ascii()),
            Says::Empty => value.is_some_and(str::is_empty),
            Says::Present => features.0.contains_key(about),
            Says::Absent => !features.0.contains_key(about),
            Says::AtLeast(bound) => features.number(about).is_some_and(|value| value >= *bound),
            Says::AtMost(bound) => features.number(about).is_some_and(|value| value <= *bound),
            Says::LongerThan(bound) => value.is_some_and(|value| value.len() > *bound),
        }
    }

    /// Simpler ones first: about the request rather than the answer, equality rather than a bound,
    /// and a short name.
    fn cost(&self) -> (u8, u8, usize, Fact) {
        let kind = match self.says {
            Says::Equals(_) => 0,
            Says::NotAscii | Says::Empty => 1,
            Says::Present | Says::Absent => 2,
            Says::AtLeast(_) | Says::AtMost(_) => 3,
            Says::LongerThan(_) => 4,
        };
        let place = &self.about.place;
        let about = match self.about.side {
            Side::Request if place.starts_with("header:") => 1,
            Side::Request => 0,
            Side::Response if *place == Step::Status.to_string() => 2,
            Side::Response => 3,
        };
        (about, kind, place.len(), self.about.clone())
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.about)?;
        match &self.says {
            Says::Equals(value) => write!(f, "= \"{}\"", short(value)),
            Says::NotAscii => f.write_str("is not ASCII"),
            Says::Empty => f.write_str("is empty"),
            Says::Present => f.write_str("is there"),
            Says::Absent => f.write_str("is not there"),
            Says::AtLeast(bound) => write!(f, "≥ {bound}"),
            Says::AtMost(bound) => write!(f, "≤ {bound}"),
            Says::LongerThan(bound) => write!(f, "has more than {bound} bytes"),
        }
    }
}

/// Candidates that hold for all of `members` and for none of `others`, the simplest first.
pub(super) fn candidates(members: &[Features], others: &[Features]) -> Vec<Predicate> {
    if (members.len() as u64) < FEWEST || others.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let facts: FxHashSet<&Fact> =
        members.iter().chain(others).flat_map(|features| features.0.keys()).collect();
    for fact in facts {
        let mut tries = vec![Says::Present, Says::Absent, Says::NotAscii, Says::Empty];
        let told = members[0].value(fact).filter(|value| !value.is_empty());
        tries.extend(told.map(|value| Says::Equals(value.to_owned())));
        let numbers = |features: &[Features]| {
            let values = features.iter().filter_map(|features| features.number(fact));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let ((low, high), (other_low, other_high)) = (numbers(members), numbers(others));
        if low > other_high && other_high.is_finite() {
            tries.push(Says::AtLeast(low));
        }
        if high < other_low && other_low.is_finite() {
            tries.push(Says::AtMost(high));
        }
        let lengths = |features: &Features| features.value(fact).map(str::len);
        let shortest = members.iter().filter_map(lengths).min();
        let longest = others.iter().filter_map(lengths).max();
        if let (Some(shortest), Some(longest)) = (shortest, longest)
            && shortest > longest
            && low.is_infinite()
        {
            tries.push(Says::LongerThan(longest));
        }
        let predicates = tries.into_iter().map(|says| Predicate { about: fact.clone(), says });
        found.extend(predicates.filter(|predicate| {
            members.iter().all(|features| predicate.holds(features))
                && !others.iter().any(|features| predicate.holds(features))
        }));
    }
    found.sort_by_cached_key(Predicate::cost);
    found
}

/// Counts for how many of the members and of the others a predicate holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    members: [u64; 2],
    others: [u64; 2],
}

impl Tally {
    pub(super) fn count(&mut self, predicate: &Predicate, features: &Features, member: bool) {
        let side = if member { &mut self.members } else { &mut self.others };
        side[0] += u64::from(predicate.holds(features));
        side[1] += 1;
    }

    /// Sharp: for nearly all of the members and hardly any of the others.
    pub(super) fn is_sharp(&self) -> bool {
        let ([held, members], [wrongly, others]) = (self.members, self.others);
        members >= FEWEST
            && others > 0
            && held * 100 >= members * 99
            && wrongly * 100 <= others
            && wrongly * 20 <= held
    }

    /// `query:currency = "JPY" (all 412, none of 9031 others)`.
    pub(super) fn text(&self, predicate: &Predicate) -> String {
        let ([held, members], [wrongly, others]) = (self.members, self.others);
        let mine =
            if held == members { format!("all {members}") } else { format!("{held} of {members}") };
        let theirs = if wrongly == 0 {
            format!("none of {others}")
        } else {
            format!("{wrongly} of {others}")
        };
        format!("{predicate} ({mine}, {theirs} others)")
    }
}

#[cfg(test)]
mod tests;
