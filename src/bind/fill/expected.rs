//! What v1's answer had where its births stand: what v2's answer is aligned with.
//!
//! Kept beside the plan, so that no recorded answer need be read while a replay runs. Texts are
//! kept as hashes, but those of which a born value is a part.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::beside::{Elements, Wanted};
use super::text_hash;
use crate::bind::Birth;
use crate::message::Response;
use crate::message::document::{Bounds, Value, Visit, Walk};
use crate::message::place::{Step, Trail};
use crate::message::protobuf::{Call, Schema};
use crate::message::{fields, grpc};

/// What is kept of an answer of v1's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its status; of a call the one of HTTP that says the same.
    pub status: u16,
    /// The target of its request, where messages of a call give values.
    #[serde(default)]
    pub call: Option<Box<str>>,
    /// By generalised place of a birth: all values there, in order.
    pub lists: FxHashMap<u64, Vec<u64>>,
    /// By place: the texts that hold a born value among other things.
    pub texts: FxHashMap<u64, Box<str>>,
    /// The births, by number, that are of a value which holds others: a URL and not its origin, a
    /// token and not its claims.
    pub holders: FxHashSet<u32>,
    /// How many values of the answer have the name that a birth's place ends with, by the name's
    /// hash.
    pub named: FxHashMap<u64, u32>,
    /// The births, by number, whose value is called something beside its place.
    #[serde(default)]
    pub labels: FxHashMap<u32, Label>,
    /// What its lists' elements say beside the born values.
    #[serde(default)]
    pub elements: Elements,
    /// The cookies that it sets.
    pub cookies: Vec<Box<str>>,
}

/// What a value of a page is called, wherever it stands: by the name of its input, or by what
/// stands before it in a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Names it.
    pub name: u64,
    /// Which of the values that are called so it is, from 0.
    pub turn: u32,
    /// How many there are.
    pub count: u32,
    /// They all say the same.
    pub is_one: bool,
}

/// Values of one label.
#[derive(Default)]
struct Labelled {
    first: u64,
    count: u32,
    differ: bool,
}

impl Expected {
    /// Of `answer` with these births; `asked`: the target of its request.
    pub fn of(answer: &Response, births: &[Birth], asked: &[u8], schema: &Schema) -> Self {
        let is_call = grpc::codec_of(&answer.headers).is_some();
        let mut expected = Self {
            status: grpc::judged_status(answer),
            call: is_call.then(|| String::from_utf8_lossy(asked).into()),
            cookies: cookies_set(answer),
            ..Self::default()
        };
        if births.is_empty() {
            return expected;
        }
        let mut at_place: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (number, birth) in births.iter().enumerate() {
            at_place.entry(birth.place.hash()).or_default().push(number);
        }
        let generals: FxHashMap<u64, Option<&str>> =
            births.iter().map(|birth| (birth.place.general(), birth.thing.as_deref())).collect();
        let names: FxHashSet<u64> =
            births.iter().filter_map(|birth| name_of_place(&birth.place)).collect();
        let mut labelled: FxHashMap<u64, Labelled> = FxHashMap::default();
        let wanted = Wanted::of(births);
        each_value(answer, births, Call::of(schema, asked), |at, text, holds, label| {
            expected.elements.add(&wanted, at, text);
            let turn = label.map(|label| {
                let of = labelled.entry(label).or_default();
                let hash = text_hash(None, text);
                of.differ |= of.count > 0 && of.first != hash;
                (of.first, of.count) = (hash, of.count + 1);
                of.count - 1
            });
            if let Some(thing) = generals.get(&at.general()) {
                let list = expected.lists.entry(key(at.general(), holds)).or_default();
                list.push(text_hash(*thing, text));
            }
            let here = at_place.get(&at.hash()).into_iter().flatten();
            for (number, birth) in here.map(|&number| (number as u32, &births[number])) {
                let is_of = is_of(birth, text) && !expected.holders.contains(&number);
                if is_of && holds {
                    expected.holders.insert(number);
                }
                if let (true, Some(name), Some(turn)) = (is_of, label, turn) {
                    let label = Label { name, turn, count: 0, is_one: false };
                    expected.labels.entry(number).or_insert(label);
                }
                if is_of && birth.range.is_some() {
                    let place = key(at.hash(), holds);
                    expected.texts.entry(place).or_insert_with(|| text.into());
                }
            }
            let name = at.name().map(name_hash).filter(|name| names.contains(name));
            if let Some(name) = name {
                *expected.named.entry(name).or_default() += 1;
            }
        });
        for label in expected.labels.values_mut() {
            if let Some(of) = labelled.get(&label.name) {
                (label.count, label.is_one) = (of.count, !of.differ);
            }
        }
        expected
    }

    /// Names the place of a birth, and the generalised one, apart for a value that holds others and
    /// for what it holds.
    pub(super) fn keys(&self, number: usize, birth: &Birth) -> (u64, u64) {
        let holds = self.holders.contains(&(number as u32));
        (key(birth.place.hash(), holds), key(birth.place.general(), holds))
    }
}

/// Whether a birth is this text, or a part of it.
fn is_of(birth: &Birth, text: &str) -> bool {
    let part = match &birth.range {
        Some(range) => text.get(range.start as usize..range.end as usize),
        None => Some(text),
    };
    part == Some(&*birth.text)
}

/// A value that holds others stands at the place of some of these, as a URL at that of its origin:
/// what names the one must not name the other.
pub(super) const fn key(place: u64, holds: bool) -> u64 {
    if holds { !place } else { place }
}

/// Names a name.
pub(super) fn name_hash(name: &str) -> u64 {
    text_hash(None, name)
}

/// Names the name that stands nearest to a value at `place`.
pub(super) fn name_of_place(place: &crate::message::place::Place) -> Option<u64> {
    place.steps().iter().rev().find_map(|step| step.name()).map(name_hash)
}

/// The cookies that an answer sets, by name.
fn cookies_set(answer: &Response) -> Vec<Box<str>> {
    let names = answer.headers.all("set-cookie").map(|field| fields::set_cookie(field).name);
    names.map(|name| String::from_utf8_lossy(name).into()).collect()
}

/// Tells all values of an answer, and what each is called beside its place. A value that holds
/// others is told as a whole (`true`) where one is born at its place, and then by what is in it.
pub(super) fn each_value(
    answer: &Response,
    births: &[Birth],
    call: Call,
    tell: impl FnMut(&Trail<'_>, &str, bool, Option<u64>),
) {
    struct All<F> {
        places: FxHashSet<u64>,
        /// The hash of the place of the link that is walked, and its segments so far.
        link: (u64, String),
        tell: F,
    }
    impl<F: FnMut(&Trail<'_>, &str, bool, Option<u64>)> Visit for All<F> {
        fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
            let label = match (value.label, at.last(), at.before()) {
                (Some(label), ..) => Some(text_hash(Some("label"), label)),
                (None, Step::Segment(_), Some(link))
                    if matches!(link.last(), Step::Attribute(_)) =>
                {
                    Some(self.behind(link.hash(), value.text))
                }
                _ => None,
            };
            (self.tell)(at, value.text, false, label);
            None
        }

        fn inside(&mut self, at: &Trail<'_>, value: Value<'_>) -> bool {
            if self.places.contains(&at.general()) {
                (self.tell)(at, value.text, true, None);
            }
            true
        }
    }
    impl<F> All<F> {
        /// Names what stands before a segment of a link; what may be a value of its own is any.
        fn behind(&mut self, link: u64, segment: &str) -> u64 {
            if self.link.0 != link {
                self.link = (link, String::new());
            }
            let label = text_hash(Some("link"), &self.link.1);
            self.link.1.push('/');
            if !segment.bytes().any(|byte| byte.is_ascii_digit()) {
                self.link.1.push_str(segment);
            }
            label
        }
    }
    let places = births.iter().map(|birth| birth.place.general()).collect();
    let link = (0, String::new());
    let settled = fields::settled(answer);
    let answer = settled.as_ref().unwrap_or(answer);
    Walk::new(&mut All { places, link, tell }, Bounds::default()).of(call).response(answer);
}
