//! One change between two answers, and where comparisons put what they find.
//!
//! A change has a concrete place (`$.items[3].price`), which people read, and a general one
//! (`$.items[*].price`), by which noise and clusters count.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::hash::Hasher as _;
#[cfg(test)]
use std::sync::LazyLock;

use rustc_hash::{FxHashSet, FxHasher};

use super::Kind;
use super::bindings::{Bound, is_of_identity};
use super::identity;
use super::nouns;
use super::parts::{self, DifferingPart};
use super::rules::RouteRules;
use crate::limits;
use crate::message::Request;
use crate::message::ages::{self, Age};
use crate::message::dates;
use crate::message::kinds;
use crate::message::kinds::ValueKind;
pub use crate::message::place::{Step, is_variable};
use crate::message::protobuf::Readings;
use crate::redact::Masker;
use crate::steps;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Changes of one exchange that are kept; what is beyond is counted.
pub const MAX_CHANGES: usize = 500;
/// Digits from which a number may be drawn at random.
const LONG_NUMBER: usize = 17;
/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// What a change looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Look {
    /// Like a change.
    Plain,
    /// Both sides have this kind, whose values may vary by themselves.
    Kind(ValueKind),
    /// Both sides are texts that are equal but for parts of one kind.
    Within(ValueKind),
    /// Two lists of new ids in another order: whether that is none in v1's, and in v2's.
    Shuffled([bool; 2]),
    /// What the replay itself causes: not held against v2.
    Excused,
}

/// What a change looks like, and the parts in which two texts differ.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenChange {
    /// The whole.
    pub look: Look,
    /// The values that differ in a text.
    pub parts: Vec<DifferingPart>,
}

impl SeenChange {
    /// A change like any other.
    pub const PLAIN: Self = Self { look: Look::Plain, parts: Vec::new() };
}

impl From<Look> for SeenChange {
    fn from(look: Look) -> Self {
        Self { look, parts: Vec::new() }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What kind.
    pub kind: Kind,
    /// Where, concretely.
    pub place: String,
    /// Where, with indices as `[*]`.
    pub general: String,
    /// Names the general place in counts.
    pub place_hash: u64,
    /// How it changed, coarsely: `changed`, `removed`, `added`, `string→null`, `200→500`, `renamed
    /// a→b`, `reordered` …
    pub label: Cow<'static, str>,
    /// v1's value, cut and masked.
    pub expected: Option<String>,
    /// v2's value, cut and masked.
    pub actual: Option<String>,
    /// What it looks like.
    pub look: Look,
    /// The values in which it differs, where it is a text.
    pub parts: Vec<DifferingPart>,
}

/// What a comparison knows beside the two answers.
pub struct Context<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// When v1 was asked.
    pub expected_at: Timestamp,
    /// When v2 was asked; none where that is not known.
    pub actual_at: Option<Timestamp>,
    /// Tells the authorities (lower case) that are v1 itself, and those that are v2: few
    /// comparisons ask.
    pub hosts: &'a dyn Fn() -> [Vec<String>; 2],
    /// The rules of the route.
    pub rules: &'a RouteRules,
    /// How messages of Protocol Buffers are read.
    pub readings: &'a Readings,
    /// Hides secrets.
    pub masker: &'a Masker,
    /// What v2 issued in the place of v1's values.
    pub bound: Option<Bound<'a>>,
    /// What is known of the request's bytes.
    pub asked: Asked,
}

/// What a request says, for the many values of an answer that ask whether it named them.
#[derive(Default)]
pub struct Asked {
    /// A bit for the hash of each run of eight bytes in it: where one of a value's is missing, so
    /// is the value.
    runs: OnceCell<Vec<u64>>,
    /// Bytes that were looked through so far.
    looked: Cell<usize>,
}

/// Bytes of a run.
const RUN: usize = 8;
/// Bytes of a request that are looked through without knowing its runs.
const SMALL: usize = 4 << 10;

impl Asked {
    fn names(&self, request: &Request, value: &[u8]) -> bool {
        let parts = [&request.target[..], &request.body.bytes[..]];
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes > SMALL && value.len() >= RUN {
            let runs = self.runs.get_or_init(|| {
                steps::add(bytes);
                let mut runs = vec![0; (bytes / 8).next_power_of_two()];
                for run in parts.iter().flat_map(|part| part.windows(RUN)) {
                    let (word, bit) = Self::place(run, runs.len());
                    runs[word] |= 1 << bit;
                }
                runs
            });
            steps::add(value.len());
            let is_there = |run| {
                let (word, bit) = Self::place(run, runs.len());
                runs[word] & 1 << bit != 0
            };
            if !value.windows(RUN).all(is_there) {
                return false;
            }
        }
        let looked = self.looked.get().saturating_add(bytes);
        self.looked.set(looked);
        if looked > limits::ASKED_BYTES {
            return true;
        }
        steps::add(bytes);
        parts.iter().any(|part| memchr::memmem::find(part, value).is_some())
    }

    /// The word and the bit of a run, among so many words (a power of two).
    fn place(run: &[u8], words: usize) -> (usize, u32) {
        let run = u64::from_le_bytes(run.try_into().expect("a run has its length"));
        let hash = run.wrapping_mul(0x9e37_79b1_85eb_ca87);
        // Digits differ in few bits: once is not enough to spread them.
        let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((hash >> 32) as usize & (words - 1), (hash >> 58) as u32)
    }
}

/// How two values differ that are not written alike.
pub(super) enum Differ {
    /// Not at all: v2's stands for v1's.
    Not,
    /// v1's names a thing, and v2's is not what v2 calls it.
    Identity(&'static str),
    /// Like this.
    So(SeenChange),
}

impl Context<'_> {
    /// How `b` differs from `a`; `things` tells what a value there may name.
    pub(super) fn differ(
        &self,
        a: &str,
        b: &str,
        number: bool,
        things: impl FnOnce() -> Vec<String>,
    ) -> Differ {
        let Some(bound) = self.bound else { return Differ::So(self.seen(a, b, number)) };
        let things = things();
        match bound.rebound(a, b, &things) {
            (_, Some(label)) => Differ::Identity(label),
            (Some(rebound), None) if rebound == b => Differ::Not,
            (None, None) if !number && bound.are_of_one_make(a, b) && !self.asked_for(a) => {
                Differ::So(Look::Kind(ValueKind::Position).into())
            }
            (rebound, None) => Differ::So(self.seen(rebound.as_deref().unwrap_or(a), b, number)),
        }
    }

    /// The same of a value at these steps of an answer.
    pub(super) fn differ_at(&self, a: &str, b: &str, number: bool, steps: &[Step<'_>]) -> Differ {
        match self.differ(a, b, number, || nouns::at(steps, &self.request.target)) {
            Differ::So(SeenChange { look: Look::Plain, .. })
                if !number && nouns::is_entity_tag(steps) && [a, b].iter().all(|t| is_tag(t)) =>
            {
                Differ::So(Look::Kind(ValueKind::ETag).into())
            }
            differ => differ,
        }
    }

    /// How two lists at these steps of an answer name the same things; none where they do not name
    /// the same.
    pub(super) fn same_things(
        &self,
        a: &[String],
        b: &[String],
        steps: &[Step<'_>],
    ) -> Option<identity::Same> {
        let bound = self.bound.filter(|_| a.len() == b.len() && a.len() > 1)?;
        let things = nouns::at(steps, &self.request.target);
        identity::same(bound, a, b, &things)
    }

    /// What the change from `a` to `b` looks like, and in which values it is.
    pub fn seen(&self, a: &str, b: &str, number: bool) -> SeenChange {
        let look = self.look(a, b, number);
        let known = matches!(look, Look::Kind(kind) if kind.is_time() || kind.is_structured());
        // A number as long as nanoseconds since 1970 may be drawn as well: a snowflake is.
        let long = || a.len() >= LONG_NUMBER && a.bytes().all(|byte| byte.is_ascii_digit());
        if known && !long() {
            return look.into();
        }
        if number && a.len().min(b.len()) < LONG_NUMBER {
            let parts = DifferingPart::of_numbers(self, a, b).into_iter().collect();
            return SeenChange { look, parts };
        }
        SeenChange { look, parts: parts::of(self, a, b) }
    }

    /// What the change from `a` to `b` looks like.
    pub fn look(&self, a: &str, b: &str, number: bool) -> Look {
        let kind = if number { kinds::of_number } else { kinds::of_text };
        match (kind(a), kind(b)) {
            (Some(kind), Some(other)) if kind == other => self.same_kind(kind, a, b),
            _ if number => Look::Plain,
            _ if self.are_ages(a, b) => Look::Kind(ValueKind::Moment),
            _ => self.within(a, b).map_or(Look::Plain, Look::Within),
        }
    }

    /// Whether two names are values that each answer has anew, and no words: of one kind, drawn at
    /// random, or alike but for such parts.
    pub(super) fn are_anew(&self, a: &str, b: &str) -> bool {
        let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if numeric(a) && numeric(b) {
            return kinds::of_number(a).is_some() && kinds::of_number(b).is_some();
        }
        let kind = kinds::of_text(a);
        kind.is_some() && kind == kinds::of_text(b) || parts::are_anew(&parts::of(self, a, b))
    }

    /// What the change of one value looks like.
    pub(super) fn look_of_value(&self, a: &str, b: &str) -> Look {
        match (kinds::of_text(a), kinds::of_text(b)) {
            (Some(kind), Some(other)) if kind == other => self.same_kind(kind, a, b),
            _ if self.are_clocks(a, b) => Look::Kind(ValueKind::Moment),
            _ => Look::Plain,
        }
    }

    fn same_kind(&self, kind: ValueKind, a: &str, b: &str) -> Look {
        let varies = match kind {
            kind if kind.is_time() => self.same_time(kind, a, b),
            // It was signed anew: an equal one is of the same second.
            ValueKind::Signed => true,
            _ => !self.asked_for(a),
        };
        if varies { Look::Kind(kind) } else { Look::Plain }
    }

    /// Whether two times stand in the same relation to their requests.
    fn same_time(&self, kind: ValueKind, a: &str, b: &str) -> bool {
        const DAY: i64 = 86_400 * NANOS_PER_SEC;
        if kind == ValueKind::Moment {
            return match (dates::whole(a), dates::whole(b)) {
                (Some(a), Some(b)) if a.is_like(&b) => {
                    let exact = if a.exact_s > 1 { a.exact_s * NANOS_PER_SEC } else { 0 };
                    let pairs = a.readings.into_iter().zip(b.readings);
                    pairs.into_iter().any(|(a, b)| self.same_distance(a, b, exact))
                }
                _ => false,
            };
        }
        match (kinds::instant_of(kind, a), kinds::instant_of(kind, b)) {
            // A date has no time of day.
            (Some(a), Some(b)) => {
                self.same_distance(a, b, if kind == ValueKind::Date { DAY } else { 0 })
            }
            _ => false,
        }
    }

    /// Whether two words are the times of day of two requests. One that is exact to the second says
    /// so by itself; `10:30` may be when a shop opens, and must have moved as the requests did.
    fn are_clocks(&self, a: &str, b: &str) -> bool {
        const DAY: i64 = 86_400;
        /// How long before the answer it may have been: clocks, and how long an answer takes.
        const SLACK_S: i64 = 5;
        if clock(a) && clock(b) {
            return true;
        }
        let (Some((a, 60)), Some((b, 60)), Some(at)) =
            (dates::clock_whole(a), dates::clock_whole(b), self.actual_at)
        else {
            return false;
        };
        let moved = at.since(self.expected_at) / NANOS_PER_SEC;
        let apart = (b - a - moved).rem_euclid(DAY);
        apart.min(DAY - apart) < 60 + SLACK_S
    }

    /// Whether two texts are equal but for how long ago something was.
    fn are_ages(&self, a: &str, b: &str) -> bool {
        const LONGEST: usize = 4 << 10;
        if a.len().max(b.len()) > LONGEST {
            return false;
        }
        let (left, right) = (ages::ages(a), ages::ages(b));
        let between = |text: &'_ str, all: &[Age]| -> Vec<String> {
            let starts = std::iter::once(0).chain(all.iter().map(|age| age.range.end));
            let ends = all.iter().map(|age| age.range.start).chain([text.len()]);
            starts.zip(ends).map(|(start, end)| text[start..end].to_owned()).collect()
        };
        !left.is_empty()
            && left.len() == right.len()
            && left.iter().zip(&right).all(|(a, b)| self.same_age(a, b))
            && between(a, &left) == between(b, &right)
    }

    /// Whether two texts beside a date each say how long ago it was.
    pub(super) fn are_bare_ages(&self, a: &str, b: &str) -> bool {
        let (a, b) = (ages::bare(a.trim()), ages::bare(b.trim()));
        a.zip(b).is_some_and(|(a, b)| self.same_age(&a, &b))
    }

    fn same_age(&self, a: &Age, b: &Age) -> bool {
        let Some(actual_at) = self.actual_at else { return false };
        let ago = |at: Timestamp, age: &Age| {
            at.plus(age.seconds.saturating_mul(NANOS_PER_SEC).saturating_neg())
        };
        let exact = a.exact_s.max(b.exact_s).saturating_mul(NANOS_PER_SEC);
        let (then, other) = (ago(self.expected_at, a), ago(actual_at, b));
        // v2's data may have been made for the replay, or be those that v1 had.
        self.same_distance(then, other, exact)
            || then.since(other).saturating_abs() <= exact.saturating_mul(2)
    }

    /// Whether two instants are both near their requests, or both as far from them. `exact` is how
    /// exact they are, where that is coarse.
    fn same_distance(&self, a: Timestamp, b: Timestamp, exact: i64) -> bool {
        /// Both as near as this: made while answering, or not long before.
        const NEAR: i64 = 600 * NANOS_PER_SEC;
        /// Distances may differ by this, and by 2 %: clocks, and how long an answer takes. What did
        /// not move as the requests did stays as far from that as it is far away.
        const SLACK: i64 = 5 * NANOS_PER_SEC;
        const LEAST: i64 = 60 * NANOS_PER_SEC;
        let Some(actual_at) = self.actual_at else { return false };
        let most = (actual_at.since(self.expected_at).saturating_abs() / 4).max(LEAST);
        let (a, b) = (a.since(self.expected_at), b.since(actual_at));
        let slack = if exact > 0 { exact } else { SLACK + (a.saturating_abs() / 50).min(most) };
        a.saturating_abs().max(b.saturating_abs()) <= NEAR
            || a.saturating_sub(b).saturating_abs() <= slack
    }

    /// Whether the request itself names the value: then it is no accident.
    pub(super) fn asked_for(&self, value: &str) -> bool {
        self.asked.names(self.request, value.as_bytes())
    }

    /// The kind of the parts in which two texts differ, where each pair of parts has one kind and
    /// all else is equal.
    fn within(&self, a: &str, b: &str) -> Option<ValueKind> {
        const LONGEST: usize = 16 << 10;
        if a.len().max(b.len()) > LONGEST {
            return None;
        }
        let mut found = None;
        let (mut left, mut right) = (words(a), words(b));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return found,
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) if self.are_clocks(a, b) => {
                    found = found.or(Some(ValueKind::Rfc3339))
                }
                (Some(a), Some(b)) => match (kinds::of_text(a), kinds::of_text(b)) {
                    (Some(kind), Some(other)) if kind == other => {
                        if kind.is_time() && !self.same_time(kind, a, b)
                            || !kind.is_time() && self.asked_for(a)
                        {
                            return None;
                        }
                        found = Some(kind);
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
}

/// Words and what stands between them, in turn.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = part(rest.chars().next()?);
        let end = rest.find(|c| part(c) != first).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

/// Whether a text may be an entity tag that was made, and not chosen.
fn is_tag(text: &str) -> bool {
    let tag = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    tag.len() >= 8 && tag.bytes().any(|byte| byte.is_ascii_digit()) && !tag.contains(' ')
}

/// `10:00:00`, perhaps with a fraction.
fn clock(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 8
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            8 => *byte == b'.',
            _ => byte.is_ascii_digit(),
        })
}

/// The kind of a change by its label, at a place where others are `usual`.
pub(super) fn kind_of(label: &str, usual: Kind) -> Kind {
    match label {
        "removed" => Kind::Missing,
        label if is_of_identity(label) => Kind::Identity,
        _ => usual,
    }
}

/// Collects the changes of one exchange, and which places there were.
#[derive(Default)]
pub struct Sink {
    /// The changes.
    pub changes: Vec<Change>,
    /// How many more there were than [`MAX_CHANGES`].
    pub more: u64,
    /// Changes that a rule took.
    pub ruled: Vec<u32>,
    /// Hashes of places where v2's value stands for v1's, which is another.
    pub twins: Vec<u64>,
    /// Hashes of all places that both sides were looked at, where that is asked for.
    pub present: Option<FxHashSet<u64>>,
}

impl Sink {
    /// Notes that there was something at a place.
    pub fn saw(&mut self, place_hash: u64) {
        if let Some(present) = &mut self.present {
            present.insert(place_hash);
        }
    }

    /// Whether changes are only counted from here on.
    pub fn is_full(&self) -> bool {
        self.changes.len() >= MAX_CHANGES
    }

    /// Keeps a change; counts it where there are too many.
    pub fn add(&mut self, change: Change) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.changes.push(change);
        }
    }

    /// Keeps a change at a place that has no structure: a header, a form field, the status.
    pub fn plain(
        &mut self,
        kind: Kind,
        place: &str,
        label: impl Into<Cow<'static, str>>,
        expected: Option<String>,
        actual: Option<String>,
        seen: impl Into<SeenChange>,
    ) {
        let SeenChange { look, parts } = seen.into();
        let place_hash = hash_place(place);
        let (place, general) = (place.to_owned(), place.to_owned());
        self.add(Change {
            kind,
            place,
            general,
            place_hash,
            label: label.into(),
            expected,
            actual,
            look,
            parts,
        });
    }
}

/// The hash of a place without structure.
pub fn hash_place(place: &str) -> u64 {
    mix(0x51_7c_c1, place.as_bytes())
}

/// The hash of a place one step further.
pub fn mix(parent: u64, step: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(parent);
    hasher.write(step);
    hasher.finish()
}

/// A value as it is shown: cut, with its length where it was cut.
pub fn short(text: &str) -> String {
    cut_at(text, MAX_SHOWN)
}

/// A value below these names as it is shown, secrets masked.
pub(super) fn shown_below<'n>(
    masker: &Masker,
    names: impl IntoIterator<Item = &'n str>,
    value: &str,
) -> String {
    short(&masker.below(names, value))
}

/// A text as it is shown, cut after so many characters.
pub(super) fn cut_at(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
    }
}

#[cfg(test)]
impl<'a> Context<'a> {
    /// What tests compare with: no rules, nothing bound, nothing hidden.
    pub(super) fn plain(request: &'a Request) -> Self {
        static RULES: LazyLock<RouteRules> = LazyLock::new(RouteRules::default);
        static READINGS: LazyLock<Readings> = LazyLock::new(Readings::default);
        static MASKER: Masker = Masker::off();
        Self {
            request,
            expected_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            actual_at: None,
            hosts: &Default::default,
            rules: &RULES,
            readings: &READINGS,
            masker: &MASKER,
            bound: None,
            asked: Asked::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_depend_on_the_request() {
        let request = Request {
            target: "/orders/f81d4fae-7dec-41d0-a765-00a0c91e6bf6".into(),
            ..Request::default()
        };
        let context = Context {
            actual_at: Some("2026-11-23T12:00:00Z".parse().unwrap()),
            ..Context::plain(&request)
        };
        let look = |a, b| context.look(a, b, false);
        assert_eq!(
            look("2026-11-22T10:00:01Z", "2026-11-23T12:00:00Z"),
            Look::Kind(ValueKind::Rfc3339),
            "both now"
        );
        assert_eq!(
            look("2026-12-22T10:00:01Z", "2026-12-23T12:00:01Z"),
            Look::Kind(ValueKind::Rfc3339),
            "both in a month"
        );
        assert_eq!(look("2020-01-01T10:00:00Z", "2021-01-01T10:00:00Z"), Look::Plain, "data");
        assert_eq!(look("2026-11-22T10:00:01Z", "1970-01-01T00:00:00Z"), Look::Plain, "one is now");
        for (a, b) in [
            ("1995-03-04T10:00:00Z", "1995-03-04T11:00:00Z"),
            ("2036-03-04T10:00:00Z", "2036-03-05T02:00:00Z"),
        ] {
            assert_eq!(look(a, b), Look::Plain, "an hour later, though far away: {a}");
        }
        assert_eq!(context.look("1000000000", "1000003600", true), Look::Plain);
        assert_eq!(
            context.look("1795341600", "1795435200", true),
            Look::Kind(ValueKind::EpochSeconds)
        );
        assert_eq!(
            look("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "a81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
            Look::Plain,
            "asked for"
        );
        assert_eq!(
            look("b81d4fae-7dec-41d0-a765-00a0c91e6bf6", "a81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
            Look::Kind(ValueKind::Uuid(4))
        );
        assert_eq!(
            look(
                "made at 2026-11-22 10:00:01 by 4bf92f3577b34da6a3ce929d0e0e4736",
                "made at 2026-11-23 12:00:01 by 0ba92f3577b34da6a3ce929d0e0e4736"
            ),
            Look::Within(ValueKind::Hex(32))
        );
        assert_eq!(look("red 2026-11-22", "blue 2026-11-23"), Look::Plain);
        let signed = "IjNhZjEi.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE";
        let request = Request { target: format!("/form?t={signed}").into(), ..Request::default() };
        let other = "IjNhZjEi.aSl2mB.w2T9bZfNn5rYc1XhEkJ8sQx0_vL";
        assert_eq!(
            Context { request: &request, ..context }.look(signed, other, false),
            Look::Kind(ValueKind::Signed),
            "signed anew"
        );
    }

    #[test]
    fn a_request_is_not_looked_through_for_every_value_of_an_answer() {
        // Drawn at random, but the same ones each time.
        let id = |at: usize| {
            let bits = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            format!("{:016x}", bits ^ bits >> 27)
        };
        steps::hold_to_n_log_n(2_000, |n| {
            let body: String = (0..n).map(|at| id(at) + ",").collect();
            let request = Request { body: crate::message::Body::whole(body), ..Request::default() };
            let asked = Asked::default();
            let named = (n..2 * n).filter(|&at| asked.names(&request, id(at).as_bytes())).count();
            assert_eq!(named, 0);
            assert!(asked.names(&request, id(n / 2).as_bytes()));
            assert!(asked.names(&request, b","), "too short for a run");
        });
        let request = Request { target: "/a?id=1234".into(), ..Request::default() };
        let asked = Asked::default();
        assert!(asked.names(&request, b"1234") && !asked.names(&request, b"123456789"));
    }
}
