//! One change between two answers, and where comparisons put what they find.
//!
//! A change has a concrete place (`$.items[3].price`), which people read, and a general one
//! (`$.items[*].price`), by which noise and clusters count.

use std::borrow::Cow;
use std::hash::Hasher as _;

use rustc_hash::{FxHashSet, FxHasher};

use super::Kind;
use super::bindings::is_of_identity;
pub use super::context::{Asked, Context, Look};
use super::identity;
use super::nouns::{self, Named};
use super::parts::{self, DifferingPart};
use crate::message::kinds;
use crate::message::kinds::ValueKind;
pub use crate::message::place::{Step, is_variable};
use crate::redact::Masker;

/// Changes of one exchange that are kept; what is beyond is counted.
pub const MAX_CHANGES: usize = 500;
/// Digits from which a number may be drawn at random.
const LONG_NUMBER: usize = 17;
/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// What a change looks like, and the parts in which two texts differ.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenChange {
    /// The whole.
    pub look: Look,
    /// The values that differ in a text.
    pub parts: Vec<DifferingPart>,
    /// v1's and v2's number, where both are one: plain integers, or what something took.
    pub numbers: Option<[f64; 2]>,
}

impl SeenChange {
    /// A change like any other.
    pub const PLAIN: Self = Self { look: Look::Plain, parts: Vec::new(), numbers: None };
}

impl From<Look> for SeenChange {
    fn from(look: Look) -> Self {
        Self { look, ..Self::PLAIN }
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
    /// v1's and v2's number, where both are one.
    pub numbers: Option<[f64; 2]>,
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
        things: impl FnOnce() -> Named,
    ) -> Differ {
        let Some(bound) = self.bound else { return Differ::So(self.seen(a, b, number)) };
        let things = things();
        match bound.rebound(a, b, &things) {
            (_, Some(label)) => Differ::Identity(label),
            (Some(rebound), None) if rebound == b => Differ::Not,
            (None, None) if !number && bound.is_position(a, b, &things) && !self.asked_for(a) => {
                Differ::So(Look::Kind(ValueKind::Position).into())
            }
            (rebound, None) => Differ::So(self.seen(rebound.as_deref().unwrap_or(a), b, number)),
        }
    }

    /// The same of a value at these steps of an answer.
    pub(super) fn differ_at(&self, a: &str, b: &str, number: bool, steps: &[Step<'_>]) -> Differ {
        self.differ_beside(a, b, number, steps, |_| {})
    }

    /// The same where what stands beside the value says more of what it may name.
    pub(super) fn differ_beside(
        &self,
        a: &str,
        b: &str,
        number: bool,
        steps: &[Step<'_>],
        beside: impl FnOnce(&mut Named),
    ) -> Differ {
        let things = || {
            let mut things = nouns::at(steps, self.request);
            beside(&mut things);
            things
        };
        match self.differ(a, b, number, things) {
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
        let things = nouns::at(steps, self.request);
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
        let numbers = parts::numbers(self, a, b);
        if number && a.len().min(b.len()) < LONG_NUMBER {
            let parts = DifferingPart::of_numbers(self, a, b).into_iter().collect();
            return SeenChange { look, parts, numbers };
        }
        let parts = parts::of(self, a, b);
        match &parts[..] {
            // A text that says nothing else.
            [one] if one.at.is_none() && one.look == Look::Kind(ValueKind::Lasting) => {
                SeenChange { look: one.look, numbers: one.numbers, parts }
            }
            _ => SeenChange { look, parts, numbers },
        }
    }

    /// Whether two names are values that each answer has anew, and no words: of one kind, drawn at
    /// random, or alike but for such parts.
    pub(super) fn are_anew(&self, a: &str, b: &str) -> bool {
        /// Digits of a number that counts nothing.
        const LONG: usize = 15;
        let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if numeric(a) && numeric(b) {
            return a.len() == b.len() && a.len() >= LONG
                || kinds::of_number(a).is_some() && kinds::of_number(b).is_some();
        }
        let kind = kinds::of_text(a);
        kind.is_some() && kind == kinds::of_text(b)
            || are_mixed(a, b)
            || parts::are_anew(&parts::of(self, a, b))
    }
}

/// Whether a text may be an entity tag that was made, and not chosen.
fn is_tag(text: &str) -> bool {
    let tag = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    tag.len() >= 8 && tag.bytes().any(|byte| byte.is_ascii_digit()) && !tag.contains(' ')
}

/// The kind of a change by its label, at a place where others are `usual`.
pub(super) fn kind_of(label: &str, usual: Kind) -> Kind {
    match label {
        "removed" => Kind::Missing,
        label if is_of_identity(label) => Kind::Identity,
        _ => usual,
    }
}

/// What v1's answer says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnTies {
    /// Places with such values.
    pub(super) places: Vec<u64>,
    /// Ties that hold in it, by the place of the change that would break them, and the places that
    /// each is between.
    pub(super) held: Vec<(u64, [u64; 2])>,
    /// Ties that do not hold in it.
    pub(super) loose: Vec<u64>,
    /// Ties that v2's answer breaks.
    pub(super) broken: Vec<(u64, [u64; 2])>,
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
    /// What v1's answer says of itself.
    pub own_ties: OwnTies,
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
        let SeenChange { look, parts, numbers } = seen.into();
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
            numbers,
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

/// Whether two names of one length differ in nothing but a run of eight or more signs that mixes
/// digits, small letters and capitals as no word does. What they are is judged by all names of the
/// place.
fn are_mixed(a: &str, b: &str) -> bool {
    const LEAST: usize = 8;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let end = a[start..].iter().rev().zip(b[start..].iter().rev()).take_while(|(a, b)| a == b);
    let run = start..a.len() - end.count();
    let is_mixed = |run: &[u8]| {
        let turns = run.windows(2).filter(|pair| {
            let class = |byte: u8| match byte {
                b'0'..=b'9' => 0,
                b'a'..=b'z' => 1,
                b'A'..=b'Z' => 2,
                _ => 3,
            };
            class(pair[0]) != class(pair[1])
        });
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        run.len() >= LEAST && run.iter().all(is_name) && turns.count() * 4 >= run.len()
    };
    is_mixed(&a[run.clone()]) && is_mixed(&b[run])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;
    use crate::steps;

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
