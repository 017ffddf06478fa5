//! What an answer says of itself: values made anew that stand in it twice, and such that never do.
//!
//! The place of each may vary by itself, so that v2 may have any value there. But where v1 says one
//! value at two places of an answer, always, so must v2 (`Location` and the id in the body, a nonce
//! and the policy that allows it); where v1's values are never the same (ids in a list), v2's are
//! not; and what v1 says at one place v2 does not say at another (buyer and seller).

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::cmp::Ordering;
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;

use super::Kind;
use super::change::{Change, Context, Look, OwnTies, Sink, short};
use super::header_table::{How, built_in};
use super::rules::RuleVerdict;
use crate::message::Response;
use crate::message::document::{Bounds, Form, Reader, Value, Walk};
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Step, Trail};
use crate::message::tokens::tokens;

/// Most values made anew of one answer; of a longer one nothing is said.
const MOST: usize = 2_000;
/// Longest text in which they are looked for.
const LONGEST: usize = 4 << 10;
/// Shortest of them.
const SHORTEST: usize = 16;
/// Most pairs of places of one answer that have one value.
const PAIRS: usize = 200;

/// v2 has two values where v1 has one.
pub(super) const PARTED: &str = "two values for one";
/// v2 has one value at two places that never have one in v1's.
pub(super) const JOINED: &str = "one value for two";
/// v2 has the value that v1 has elsewhere in the answer.
pub(super) const MOVED: &str = "another place's value";

/// Whether a way of changing is one of these.
pub(super) fn is_tie(label: &str) -> bool {
    matches!(label, PARTED | JOINED | MOVED)
}

/// What stands at one place of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    /// The same, as often as the place is there.
    One(TiedValue),
    /// So many, each another one.
    Distinct,
    /// Some of several are equal.
    Mixed,
}

/// A value that was made anew.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TiedValue {
    /// Names its place, and which of the values in one text it is.
    place: u64,
    /// Of what it says.
    hash: u64,
    /// Where that stands in [`TiedPlaces::text`].
    start: usize,
    end: usize,
}

/// The values of an answer that were made anew, in the order of their places, and as they stand
/// within each. How places are written is asked for only where something is told of them.
#[derive(Default)]
struct TiedPlaces {
    values: Vec<TiedValue>,
    /// The texts that were looked at, in the order of the answer, and where in [`Self::text`] they
    /// and the values in them stand.
    looked: Vec<LookedAt>,
    parts: Vec<Range<usize>>,
    text: String,
}

/// A text that may hold values made anew.
struct LookedAt {
    text: Range<usize>,
    /// Of [`TiedPlaces::parts`], which begin with the text.
    parts: Range<usize>,
}

impl TiedPlaces {
    /// None where there are too many. What `beside`, the other answer, says in the same texts is
    /// known: most of both is the same.
    fn of(response: &Response, beside: Option<&Self>) -> Option<Self> {
        let mut found = Self::default();
        let mut next = 0;
        each(response, |at, text| {
            if found.values.len() <= MOST {
                found.look(at, text, beside, &mut next);
            }
        });
        found.values.sort_by_key(|value| value.place);
        (found.values.len() <= MOST).then_some(found)
    }

    fn look(&mut self, at: &Trail<'_>, text: &str, beside: Option<&Self>, next: &mut usize) {
        let start = self.text.len();
        self.text.push_str(text);
        let from = self.parts.len();
        // A text more or less on one side puts the others a place on.
        let near = [*next, *next + 1, next.saturating_sub(1)];
        let known = beside.and_then(|beside| {
            let is_same = |at: &usize| {
                beside.looked.get(*at).is_some_and(|known| beside.text[known.text.clone()] == *text)
            };
            Some((beside, near.into_iter().find(is_same)?))
        });
        *next += 1;
        if let Some((beside, at)) = known {
            *next = at + 1;
            self.parts.extend_from_slice(&beside.parts[beside.looked[at].parts.clone()]);
        } else {
            made_anew(text, |part| self.parts.push(part));
        }
        self.looked.push(LookedAt { text: start..self.text.len(), parts: from..self.parts.len() });
        for (number, part) in self.parts[from..].iter().enumerate() {
            let mut hash = FxHasher::default();
            text[part.clone()].hash(&mut hash);
            self.values.push(TiedValue {
                place: place_of(at, number),
                hash: hash.finish(),
                start: start + part.start,
                end: start + part.end,
            });
        }
    }

    fn says(&self, value: TiedValue) -> &str {
        &self.text[value.start..value.end]
    }

    /// The values of each place.
    fn places(&self) -> impl Iterator<Item = &[TiedValue]> {
        self.values.chunk_by(|one, other| one.place == other.place)
    }

    /// Those that stand at a place.
    fn at(&self, place: u64) -> &[TiedValue] {
        let start = self.values.partition_point(|value| value.place < place);
        let rest = &self.values[start..];
        &rest[..rest.partition_point(|value| value.place == place)]
    }

    /// The only value that stands at a place.
    fn one(&self, values: &[TiedValue]) -> Option<TiedValue> {
        let (&first, others) = values.split_first()?;
        others.iter().all(|&other| self.is_same(first, self, other)).then_some(first)
    }

    fn is_same(&self, own: TiedValue, other: &Self, theirs: TiedValue) -> bool {
        own.hash == theirs.hash && self.says(own) == other.says(theirs)
    }

    /// By what they say.
    fn order(&self, one: &TiedValue, other: &TiedValue) -> Ordering {
        let text = || self.says(*one).cmp(self.says(*other));
        one.hash.cmp(&other.hash).then_with(text)
    }

    fn stands(&self, values: &[TiedValue]) -> Stands {
        if let Some(value) = self.one(values) {
            return Stands::One(value);
        }
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(|one, other| self.order(one, other));
        match sorted.windows(2).any(|two| self.is_same(two[0], self, two[1])) {
            true => Stands::Mixed,
            false => Stands::Distinct,
        }
    }

    /// The first place of `values`, which are in order, where a text stands.
    fn first_with(&self, values: &[TiedValue], text: &str, hash: u64) -> Option<TiedValue> {
        let is_before = |value: &TiedValue| (value.hash, self.says(*value)) < (hash, text);
        let first = values.get(values.partition_point(is_before))?;
        (first.hash == hash && self.says(*first) == text).then_some(*first)
    }

    /// Of the places of each of these values the first one with each other; none where these are
    /// more than are `left`.
    fn pairs(
        &self,
        values: &[TiedValue],
        is_counted: impl Fn(TiedValue) -> bool,
        left: &mut usize,
    ) -> Option<Vec<[u64; 2]>> {
        let mut found = Vec::new();
        for same in values.chunk_by(|&one, &other| self.is_same(one, self, other)) {
            if same.len() > 1 && is_counted(same[0]) {
                *left = left.checked_sub(same.len() - 1)?;
                found.extend(same[1..].iter().map(|other| [same[0].place, other.place]));
            }
        }
        Some(found)
    }
}

/// Tells each text of an answer that is long enough to hold a value made anew, and says something.
fn each(response: &Response, mut tell: impl FnMut(&Trail<'_>, &str)) {
    let mut read = Reader(|at: &Trail<'_>, value: Value<'_>| {
        let is_text = matches!(value.form, Form::Text);
        // Words of a sentence are shorter: most texts need no more than this look.
        if !is_text || value.text.len() > LONGEST || !has_long_run(value.text.as_bytes()) {
            return;
        }
        let is_left = |name: &str| {
            name == "etag" || matches!(built_in(name), Some(How::Ignored | How::Presence))
        };
        if !outer_header(at).is_some_and(|name| is_left(&name)) {
            tell(at, value.text);
        }
    });
    Walk::new(&mut read, Bounds::default()).response(response);
}

/// Names the place of the value with this number in a text.
fn place_of(at: &Trail<'_>, number: usize) -> u64 {
    let mut key = FxHasher::default();
    (at.general(), number).hash(&mut key);
    key.finish()
}

/// A place as it is written, and the header field that it is in.
struct WrittenPlace {
    text: String,
    header: Option<String>,
}

/// How these places of an answer are written.
fn written(response: &Response, places: &FxHashSet<u64>) -> FxHashMap<u64, WrittenPlace> {
    let mut found = FxHashMap::default();
    each(response, |at, text| {
        let mut number = 0;
        made_anew(text, |_| {
            let place = place_of(at, number);
            number += 1;
            if places.contains(&place) {
                let written = || WrittenPlace { text: shown_place(at), header: outer_header(at) };
                found.entry(place).or_insert_with(written);
            }
        });
    });
    found
}

/// The header field that a value stands in.
fn outer_header(at: &Trail<'_>) -> Option<String> {
    let mut at = Some(at);
    let mut first = None;
    while let Some(trail) = at {
        first = Some(trail.last());
        at = trail.before();
    }
    match first? {
        Step::Header(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

/// A place as the diff writes it.
fn shown_place(at: &Trail<'_>) -> String {
    let text = at.general_text();
    match text.strip_prefix("header:") {
        Some(name) => name.to_owned(),
        None => text.strip_prefix("cookie:").map_or(text.clone(), |n| format!("set-cookie:{n}")),
    }
}

/// Tells where in a text the values stand that were made anew: drawn, or of a kind that always is.
fn made_anew(text: &str, mut tell: impl FnMut(Range<usize>)) {
    if is_anew(text) {
        return tell(0..text.len());
    }
    let mut at = 0;
    for token in tokens(text) {
        let token = token.text();
        let mut start = at;
        at += token.len();
        // `/orders/3f2a…`, `nonce-3f2a…`: what stands before it says what it is.
        for part in token.split('/') {
            let word = part.bytes().take_while(u8::is_ascii_lowercase).count();
            let skipped = match part.as_bytes().get(word) {
                Some(b'-' | b'_') if word > 0 => word + 1,
                _ => 0,
            };
            let end = start + part.len();
            if let Some(from) = [skipped, 0].into_iter().find(|from| is_anew(&part[*from..])) {
                tell(start + from..end);
            }
            start = end + 1;
        }
    }
}

/// Whether so many bytes stand together as such a value has, in which there is no blank.
fn has_long_run(text: &[u8]) -> bool {
    let mut words = text.split(|byte| byte.is_ascii_whitespace());
    words.any(|word| word.len() >= SHORTEST)
}

fn is_anew(text: &str) -> bool {
    text.len() >= SHORTEST
        && !text.bytes().any(|byte| byte.is_ascii_whitespace())
        && (kinds::uuid(text.as_bytes()).is_some() || kinds::of_text(text).is_some_and(is_of_kind))
}

/// Whether values of a kind are always made anew.
const fn is_of_kind(kind: ValueKind) -> bool {
    matches!(
        kind,
        ValueKind::Uuid(1..=8)
            | ValueKind::Ulid
            | ValueKind::Ksuid
            | ValueKind::ObjectId
            | ValueKind::Jwt
            | ValueKind::Prefixed(..)
            | ValueKind::Hex(_)
            | ValueKind::Token(_)
    )
}

/// Names what would break a tie, as the place of a change.
fn tie(label: &str, places: [u64; 2]) -> u64 {
    let mut hasher = FxHasher::default();
    (label, places).hash(&mut hasher);
    hasher.finish()
}

/// Adds what `actual` breaks of what `expected` says of itself, and takes note of that.
pub(super) fn compare(
    context: &Context<'_>,
    expected: &Response,
    actual: &Response,
    sink: &mut Sink,
) {
    if sink.changes.is_empty() || expected.status != actual.status {
        return;
    }
    let Some(v1) = TiedPlaces::of(expected, None) else { return };
    let Some(v2) = TiedPlaces::of(actual, Some(&v1)) else { return };
    let mut own = OwnTies::default();
    let mut broken = Vec::new();
    let mut ours = Vec::new();
    for values in v1.places() {
        let key = values[0].place;
        own.places.push(key);
        match v1.stands(values) {
            Stands::One(value) => ours.push(value),
            Stands::Distinct => {
                let id = tie(JOINED, [key, key]);
                own.held.push((id, [key, key]));
                let other = v2.at(key);
                if other.len() > 1 && v2.stands(other) != Stands::Distinct {
                    broken.push((JOINED, [key, key], id));
                }
            }
            Stands::Mixed => own.loose.push(tie(JOINED, [key, key])),
        }
    }
    // What stands at one place more than another is found side by side; their places in order.
    ours.sort_by(|one, other| v1.order(one, other));
    let mut left = PAIRS;
    // What the client said itself goes with the request.
    let is_own = |value| !context.asked_for(v1.says(value));
    let Some(alike) = v1.pairs(&ours, is_own, &mut left) else { return };
    for both in alike {
        let id = tie(PARTED, both);
        own.held.push((id, both));
        // That they are one value here says that they may be.
        own.loose.push(tie(JOINED, both));
        let [a, b] = both.map(|key| v2.at(key));
        if a.is_empty() || b.is_empty() {
            continue;
        }
        match (v2.one(a), v2.one(b)) {
            (Some(a), Some(b)) if v2.is_same(a, &v2, b) => {}
            _ => broken.push((PARTED, both, id)),
        }
    }
    let mut theirs = Vec::new();
    for values in v2.places() {
        let key = values[0].place;
        let (Some(value), Some(before)) = (v2.one(values), v1.one(v1.at(key))) else { continue };
        if !v2.is_same(value, &v1, before)
            && let Some(from) = v1.first_with(&ours, v2.says(value), value.hash)
            && from.place != key
            && is_own(from)
        {
            broken.push((MOVED, [key, from.place], tie(MOVED, [key, from.place])));
        }
        theirs.push(value);
    }
    theirs.sort_by(|one, other| v2.order(one, other));
    let Some(alike) = v2.pairs(&theirs, |_| true, &mut left) else { return };
    for both in alike {
        if let [Some(a), Some(b)] = both.map(|key| v1.one(v1.at(key)))
            && !v1.is_same(a, &v1, b)
        {
            broken.push((JOINED, both, tie(JOINED, both)));
        }
    }
    if !broken.is_empty() {
        let places = broken.iter().flat_map(|(_, both, _)| *both).collect();
        let written = written(expected, &places);
        for (label, both, id) in broken {
            own.broken.push((id, both));
            add(context, label, (both, id), both.map(|key| &written[&key]), [&v1, &v2], sink);
        }
    }
    sink.own_ties = own;
}

fn add(
    context: &Context<'_>,
    label: &'static str,
    (both, id): ([u64; 2], u64),
    places: [&WrittenPlace; 2],
    [v1, v2]: [&TiedPlaces; 2],
    sink: &mut Sink,
) {
    let is_ruled = |(place, key): (&WrittenPlace, u64)| {
        let value = v1.at(key).first().map(|value| v1.says(*value));
        let rules = &context.rules;
        let verdict = match &place.header {
            Some(name) => rules.judge_header(name, value, value),
            None => rules.judge_place(&place.text, value, value),
        };
        matches!(verdict, RuleVerdict::Taken(_))
    };
    if places.into_iter().zip(both).any(is_ruled) {
        return;
    }
    let is_one = both[0] == both[1];
    // Of two that say the same, the place that comes first in the alphabet is told first.
    let in_turn = match label != MOVED && places[1].text < places[0].text {
        true => [1, 0],
        false => [0, 1],
    };
    let text = match is_one {
        true => places[0].text.clone(),
        false => in_turn.map(|turn| &*places[turn].text).join(" = "),
    };
    let shown = |side: &TiedPlaces| {
        let mut values: Vec<String> = Vec::new();
        for turn in in_turn.into_iter().take(if is_one { 1 } else { 2 }) {
            let masked = |value: &TiedValue| {
                context.masker.place(&places[turn].text, side.says(*value)).into_owned()
            };
            values.extend(side.at(both[turn]).iter().take(4).map(masked));
        }
        Some(short(&values.join(", ")))
    };
    sink.add(Change {
        kind: Kind::Identity,
        place: text.clone(),
        general: text,
        place_hash: id,
        label: label.into(),
        expected: shown(v1),
        actual: shown(v2),
        look: Look::Tie,
        parts: Vec::new(),
        numbers: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Request};

    const IDS: [&str; 4] = [
        "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
        "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
        "2cb2d0a4-c43c-4639-94a9-73c39d2c029d",
        "59a0299b-f951-4525-8b61-9c9eb22ee12d",
    ];

    fn answer(headers: &[(&str, &str)], body: &str) -> Response {
        let fill = |text: &str| {
            let put = |text: String, (n, id): (usize, &&str)| text.replace(&format!("<{n}>"), id);
            IDS.iter().enumerate().fold(text.to_owned(), put)
        };
        let headers: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (*name, fill(value))).collect();
        Response {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
            body: Body::whole(fill(body)),
            ..Response::default()
        }
    }

    fn found(target: &str, v1: &Response, v2: &Response) -> Vec<String> {
        let request = Request { target: target.to_owned().into(), ..Request::default() };
        let mut sink = Sink::default();
        sink.plain(Kind::Body, "$", "changed", None, None, Look::Plain);
        compare(&Context::plain(&request), v1, v2, &mut sink);
        let ties = sink.changes.iter().skip(1);
        let mut told: Vec<String> =
            ties.map(|change| format!("{}: {}", change.label, change.place)).collect();
        told.sort();
        told
    }

    /// The same of two documents.
    fn of_json(v1: &str, v2: &str) -> Vec<String> {
        let [v1, v2] = [v1, v2].map(|body| answer(&[("content-type", "application/json")], body));
        found("/orders", &v1, &v2)
    }

    #[test]
    fn what_a_document_says_of_itself_is_compared() {
        let pair = r#"{"buyer":"<0>","seller":"<1>"}"#;
        let one = of_json(pair, r#"{"buyer":"<2>","seller":"<2>"}"#);
        assert_eq!(one, [format!("{JOINED}: $.buyer = $.seller")]);
        let swapped = of_json(pair, r#"{"buyer":"<1>","seller":"<0>"}"#);
        let places = ["$.buyer = $.seller", "$.seller = $.buyer"];
        assert_eq!(swapped, places.map(|place| format!("{MOVED}: {place}")));
        assert!(of_json(pair, r#"{"buyer":"<2>","seller":"<3>"}"#).is_empty());
        let list = r#"{"ids":["<0>","<1>","<2>"]}"#;
        let twice = of_json(list, r#"{"ids":["<3>","<1>","<3>"]}"#);
        assert_eq!(twice, [format!("{JOINED}: $.ids[*]")]);
        assert!(of_json(list, r#"{"ids":["<3>","<2>","<1>"]}"#).is_empty());
        let both = r#"{"id":"<0>","self":"/orders/<0>"}"#;
        let parted = of_json(both, r#"{"id":"<1>","self":"/orders/<2>"}"#);
        assert_eq!(parted, [format!("{PARTED}: $.id = $.self")]);
        assert!(of_json(both, r#"{"id":"<1>","self":"/orders/<1>"}"#).is_empty());
    }

    #[test]
    fn fields_and_bodies_say_one_thing() {
        let made = |location: usize, id: usize| {
            let location = format!("/orders/<{location}>");
            let fields = [("content-type", "application/json"), ("location", &*location)];
            answer(&fields, &format!(r#"{{"id":"<{id}>"}}"#))
        };
        let parted = [format!("{PARTED}: $.id = location path[2]")];
        assert_eq!(found("/orders", &made(0, 0), &made(1, 2)), parted);
        assert!(found("/orders", &made(0, 0), &made(1, 1)).is_empty());
        assert!(found("/orders", &made(0, 3), &made(1, 2)).is_empty());
        let page = |policy: usize, script: usize| {
            let policy =
                format!("script-src 'nonce-<{policy}>' 'self'; style-src 'nonce-<{policy}>'");
            let script = format!(r#"<html><script nonce="<{script}>">x()</script></html>"#);
            answer(&[("content-type", "text/html"), ("content-security-policy", &policy)], &script)
        };
        assert!(found("/", &page(0, 0), &page(1, 1)).is_empty());
        assert!(!found("/", &page(0, 0), &page(1, 2)).is_empty());
    }

    #[test]
    fn what_the_client_said_says_nothing_of_v2() {
        let both = [r#"{"cart":"<0>","id":"<0>"}"#, r#"{"cart":"<0>","id":"<1>"}"#]
            .map(|body| answer(&[("content-type", "application/json")], body));
        assert!(found(&format!("/carts/{}", IDS[0]), &both[0], &both[1]).is_empty());
        assert!(!found("/carts", &both[0], &both[1]).is_empty());
    }
}
