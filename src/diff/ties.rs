//! What an answer says of itself: values made anew that stand in it twice, and such that never do.
//!
//! The place of each may vary by itself, so that v2 may have any value there. But where v1 says one
//! value at two places of an answer, always, so must v2 (`Location` and the id in the body, a nonce
//! and the policy that allows it); where v1's values are never the same (ids in a list), v2's are
//! not; and what v1 says at one place v2 does not say at another (buyer and seller).

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};

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
enum Stands<'p> {
    /// The same, as often as the place is there.
    One(&'p str),
    /// So many, each another one.
    Distinct,
    /// Some of several are equal.
    Mixed,
}

/// A place as it is written, and all that stands there.
struct TiedPlace {
    text: String,
    header: Option<String>,
    values: Vec<String>,
}

impl TiedPlace {
    fn stands(&self) -> Stands<'_> {
        if let Some(value) = self.one() {
            return Stands::One(value);
        }
        let different: FxHashSet<&str> = self.values.iter().map(String::as_str).collect();
        match different.len() == self.values.len() {
            true => Stands::Distinct,
            false => Stands::Mixed,
        }
    }

    /// The only value that stands there.
    fn one(&self) -> Option<&str> {
        let (first, others) = self.values.split_first()?;
        others.iter().all(|other| other == first).then_some(first)
    }
}

type TiedPlaces = BTreeMap<u64, TiedPlace>;

/// The values of an answer that were made anew, by place; none where there are too many.
fn places(response: &Response) -> Option<TiedPlaces> {
    let mut found = TiedPlaces::new();
    let mut count = 0;
    let mut tell = Reader(|at: &Trail<'_>, value: Value<'_>| {
        let is_text = matches!(value.form, Form::Text);
        if !is_text || value.text.len() < SHORTEST || value.text.len() > LONGEST {
            return;
        }
        let header = outer_header(at);
        if header.as_deref().is_some_and(|name| {
            name == "etag" || matches!(built_in(name), Some(How::Ignored | How::Presence))
        }) {
            return;
        }
        for (number, one) in made_anew(value.text).into_iter().enumerate() {
            count += 1;
            if count > MOST {
                return;
            }
            let mut key = FxHasher::default();
            (at.general(), number).hash(&mut key);
            let place = found.entry(key.finish()).or_insert_with(|| TiedPlace {
                text: shown_place(at),
                header: header.clone(),
                values: Vec::new(),
            });
            place.values.push(one.to_owned());
        }
    });
    Walk::new(&mut tell, Bounds::default()).response(response);
    (count <= MOST).then_some(found)
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

/// The values in a text that were made anew: drawn, or of a kind that always is.
fn made_anew(text: &str) -> Vec<&str> {
    // Words of a sentence are shorter: most texts need no more than this look.
    if !has_long_run(text.as_bytes()) {
        return Vec::new();
    }
    if is_anew(text) {
        return vec![text];
    }
    let mut found = Vec::new();
    for token in tokens(text) {
        let token = token.text();
        // `/orders/3f2a…`, `nonce-3f2a…`: what stands before it says what it is.
        for part in token.split('/') {
            let word = part.bytes().take_while(u8::is_ascii_lowercase).count();
            let rest = match part.as_bytes().get(word) {
                Some(b'-' | b'_') if word > 0 => &part[word + 1..],
                _ => part,
            };
            if let Some(one) = [rest, part].into_iter().find(|one| is_anew(one)) {
                found.push(one);
            }
        }
    }
    found
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
    let (Some(v1), Some(v2)) = (places(expected), places(actual)) else { return };
    let mut own = OwnTies { places: v1.keys().copied().collect(), ..OwnTies::default() };
    let mut broken = Vec::new();
    let mut by_value: FxHashMap<&str, Vec<u64>> = FxHashMap::default();
    for (&key, place) in &v1 {
        match place.stands() {
            // What the client said itself goes with the request.
            Stands::One(value) if !context.asked_for(value) => {
                by_value.entry(value).or_default().push(key);
            }
            Stands::One(_) => {}
            Stands::Distinct => {
                let id = tie(JOINED, [key, key]);
                own.held.push((id, [key, key]));
                if v2.get(&key).is_some_and(|other| {
                    other.values.len() > 1 && other.stands() != Stands::Distinct
                }) {
                    broken.push((JOINED, [key, key], id));
                }
            }
            Stands::Mixed => own.loose.push(tie(JOINED, [key, key])),
        }
    }
    let mut left = PAIRS;
    let Some(alike) = pairs(&mut by_value, &v1, &mut left) else { return };
    for both in alike {
        let id = tie(PARTED, both);
        own.held.push((id, both));
        // That they are one value here says that they may be.
        own.loose.push(tie(JOINED, both));
        let [Some(a), Some(b)] = both.map(|key| v2.get(&key)) else { continue };
        if a.one().is_none() || a.one() != b.one() {
            broken.push((PARTED, both, id));
        }
    }
    let mut theirs: FxHashMap<&str, Vec<u64>> = FxHashMap::default();
    for (&key, place) in &v2 {
        let before = v1.get(&key).and_then(TiedPlace::one);
        let (Some(value), Some(before)) = (place.one(), before) else { continue };
        if value != before
            && let Some(from) = by_value.get(value).and_then(|keys| keys.first())
            && *from != key
        {
            broken.push((MOVED, [key, *from], tie(MOVED, [key, *from])));
        }
        theirs.entry(value).or_default().push(key);
    }
    let Some(alike) = pairs(&mut theirs, &v1, &mut left) else { return };
    for both in alike {
        let [a, b] = both.map(|key| v1[&key].one());
        if a.is_some() && b.is_some() && a != b {
            broken.push((JOINED, both, tie(JOINED, both)));
        }
    }
    for (label, both, id) in broken {
        own.broken.push((id, both));
        add(context, label, both, id, [&v1, &v2], sink);
    }
    sink.own_ties = own;
}

/// Of the places of each value the first one with each other; none where these are more
/// than are `left`. `places` has them all.
fn pairs(
    by_value: &mut FxHashMap<&str, Vec<u64>>,
    places: &TiedPlaces,
    left: &mut usize,
) -> Option<Vec<[u64; 2]>> {
    let mut found = Vec::new();
    for keys in by_value.values_mut().filter(|keys| keys.len() > 1) {
        keys.sort_by_key(|key| (&places[key].text, *key));
        *left = left.checked_sub(keys.len() - 1)?;
        found.extend(keys[1..].iter().map(|&other| [keys[0], other]));
    }
    Some(found)
}

fn add(
    context: &Context<'_>,
    label: &'static str,
    both: [u64; 2],
    id: u64,
    [v1, v2]: [&TiedPlaces; 2],
    sink: &mut Sink,
) {
    let places = both.map(|key| &v1[&key]);
    let is_ruled = |place: &TiedPlace| {
        let value = place.values.first().map(String::as_str);
        let rules = &context.rules;
        let verdict = match &place.header {
            Some(name) => rules.judge_header(name, value, value),
            None => rules.judge_place(&place.text, value, value),
        };
        matches!(verdict, RuleVerdict::Taken(_))
    };
    if places.iter().any(|place| is_ruled(place)) {
        return;
    }
    let text = match both[0] == both[1] {
        true => places[0].text.clone(),
        false => format!("{} = {}", places[0].text, places[1].text),
    };
    let shown = |side: &TiedPlaces| {
        let mut values: Vec<String> = Vec::new();
        for key in if both[0] == both[1] { &both[..1] } else { &both[..] } {
            let Some(place) = side.get(key) else { continue };
            let masked = |value: &String| context.masker.place(&place.text, value).into_owned();
            values.extend(place.values.iter().take(4).map(masked));
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
