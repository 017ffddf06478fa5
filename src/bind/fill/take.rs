//! Takes out of an answer of v2's what stands where v1's answer issued values.
//!
//! The counterpart of a value is, in this order: what it is bound to already, where that stands at
//! its place; the same value at its place, as in a listing of data that both versions have; of the
//! values of its place that neither side shares, the one in the list's element that says the same
//! else, or the one at the same turn, where there are equally many; the one at exactly its place;
//! the one that is called the same, where the answer is built in another way: the input of that
//! name, the link that goes to the same place, the only value of its name. Else there is none, with
//! the reason: a wrong guess would bind two things that are not the same.

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::beside::{Elements, Wanted};
use super::expected::{Expected, Label, each_value, key, name_hash, name_of_place};
use super::jar::as_v1_names;
use super::text_hash;
use crate::bind::Birth;
use crate::bind::find::strength;
use crate::bind::find::things::is_moment;
use crate::message::place::{Place, Step};
use crate::message::protobuf::{Call, Schema};
use crate::message::{Response, grpc};

/// What became of a birth at v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// v2 issued this.
    Issued(Box<str>),
    /// v2 issued none: why, in words.
    Lacking(String),
}

/// Which of v1's texts are bound to what.
pub trait Known {
    /// What v2 issued for the value with this hash ([`text_hash`]).
    fn bound(&self, text: u64) -> Option<&str>;

    /// Whether v2 issued the value with this hash for any of v1's.
    fn is_issued(&self, text: u64) -> bool;
}

impl Known for FxHashMap<u64, String> {
    fn bound(&self, text: u64) -> Option<&str> {
        self.get(&text).map(String::as_str)
    }

    fn is_issued(&self, text: u64) -> bool {
        self.values().any(|issued| text_hash(None, issued) == text)
    }
}

/// For each birth what stands in its place in `answer`, as `expected` tells v1's.
pub fn take(
    births: &[Birth],
    expected: &Expected,
    answer: &Response,
    schema: &Schema,
    known: &dyn Known,
) -> Vec<Taken> {
    let named = as_v1_names(&expected.cookies, answer);
    let answer = named.as_ref().unwrap_or(answer);
    let wholes = wholes(births, expected);
    let mut found = Found::of(births, expected, answer, schema);
    let status = grpc::judged_status(answer);
    let answered = || match grpc::status(answer) {
        Some(code) if answer.status == 200 => format!("answered {}", grpc::shown(code)),
        _ => format!("answered {}", answer.status),
    };
    let refused = (status >= 400 && expected.status < 400).then(answered);
    let mut texts: FxHashMap<u64, Result<Box<str>, String>> = FxHashMap::default();
    let mut left = Vec::new();
    for whole in wholes.values() {
        match &refused {
            Some(why) if is_of_body(whole.place) => {
                let bound = whole.bound(known).map(Into::into);
                texts.insert(whole.own, bound.ok_or_else(|| why.clone()));
            }
            _ => left.push(whole),
        }
    }
    // In the order of the answer: lists are paired by turns.
    left.sort_by_key(|whole| whole.first);
    let told = |whole: &Whole<'_>, found: &mut Found| {
        (!whole.is_moment()).then(|| found.by_value(whole, known)).flatten()
    };
    left.retain(|whole| match told(whole, &mut found) {
        Some(text) => texts.insert(whole.own, Ok(text)).is_some(),
        None => true,
    });
    // Those that something tells go first, so that turns leave them alone.
    let as_v2 = |text| known.bound(text).map(|bound| text_hash(None, bound));
    let mates = expected.elements.mates(&found.elements, as_v2);
    let mate = |whole: &Whole<'_>| mates.get(&whole.place.element()?.0).copied();
    left.sort_by_key(|whole| mate(whole).is_none());
    let mut turns: FxHashMap<u64, Turns> = FxHashMap::default();
    for whole in left {
        let turns = turns
            .entry(whole.general)
            .or_insert_with(|| Turns::of(&found, whole.general, expected, known));
        let bound = whole.bound(known);
        let at = match &bound {
            // Two things may be changed in one second: where it stands tells which one's it is.
            _ if whole.is_moment() => mate(whole)
                .and_then(|mate| found.within(mate, whole, known))
                .or_else(|| found.at(whole, known).filter(|&at| found.is_called(at, whole)))
                .or_else(|| found.called(whole, known))
                .or_else(|| found.only(whole, expected, known)),
            // A list that lacks it for now takes nothing from what is bound.
            Some(_) if is_numbered(whole.place) => None,
            Some(_) => found.at(whole, known),
            None => {
                // Elements that say each other's numbers are none of each other's.
                let mate = mate(whole).filter(|_| !found.numbers_anew(whole.thing));
                let beside = mate.and_then(|mate| found.within(mate, whole, known));
                let turn = beside
                    .or_else(|| turns.of_text(text_hash(whole.thing, whole.text), &found.used));
                let same = turn.filter(|&at| found.is_called(at, whole));
                let there = || found.at(whole, known);
                same.or_else(|| there().filter(|&at| found.is_called(at, whole)))
                    .or_else(|| found.called(whole, known))
                    .or_else(|| turn.or_else(there).filter(|_| whole.place_tells()))
                    .or_else(|| found.only(whole, expected, known))
            }
        };
        let text = match at {
            None if bound.is_some() => Ok(bound.unwrap_or_default().into()),
            Some(at) => {
                found.used[at] = true;
                usable(whole, &found.values[at].text)
            }
            None if status / 100 != expected.status / 100 => Err(answered()),
            None => Err(format!("no {} in the answer", whole.place)),
        };
        texts.insert(whole.own, text);
    }
    let of_birth = |(number, birth): (usize, &Birth)| {
        let (own, _) = text_of(expected, number, birth);
        match texts.get(&own) {
            Some(Ok(text)) => wholes[&own].part(birth, text),
            Some(Err(why)) => Taken::Lacking(why.clone()),
            None => Taken::Lacking(format!("no {} in the answer", birth.place)),
        }
    };
    births.iter().enumerate().map(of_birth).collect()
}

/// The text at a place of v1's answer, of which births are all or parts.
struct Whole<'b> {
    place: &'b Place,
    own: u64,
    at: u64,
    general: u64,
    name: Option<u64>,
    label: Option<Label>,
    thing: Option<&'b str>,
    text: &'b str,
    /// The number of its first birth.
    first: usize,
    /// Its births and their ranges, in the order of the text.
    parts: Vec<(Range<usize>, &'b Birth)>,
}

/// The text that a birth is, or is a part of, and what names that text at its place.
fn text_of<'b>(expected: &'b Expected, number: usize, birth: &'b Birth) -> (u64, &'b str) {
    let (at, _) = expected.keys(number, birth);
    let text = match birth.range {
        Some(_) => expected.texts.get(&at).map_or(&*birth.text, |text| text),
        None => &*birth.text,
    };
    // Two values may stand at one place: parameters of one name.
    (at ^ text_hash(None, text), text)
}

/// What births are parts of, each by its name.
fn wholes<'b>(births: &'b [Birth], expected: &'b Expected) -> FxHashMap<u64, Whole<'b>> {
    let mut wholes: FxHashMap<u64, Whole<'b>> = FxHashMap::default();
    for (number, birth) in births.iter().enumerate() {
        let (own, text) = text_of(expected, number, birth);
        let (at, general) = expected.keys(number, birth);
        let whole = wholes.entry(own).or_insert_with(|| Whole {
            place: &birth.place,
            own,
            at,
            general,
            name: name_of_place(&birth.place),
            label: expected.labels.get(&(number as u32)).copied(),
            thing: birth.thing.as_deref(),
            text,
            first: number,
            parts: Vec::new(),
        });
        let all = 0..whole.text.len();
        let range = birth.range.as_ref().map_or(all, |r| r.start as usize..r.end as usize);
        whole.parts.push((range, birth));
    }
    for whole in wholes.values_mut() {
        whole.parts.sort_by_key(|(range, _)| range.start);
        whole.parts.dedup_by_key(|(range, _)| range.clone());
    }
    wholes
}

impl Whole<'_> {
    /// What it says at v2 if all its parts are what they are bound to; none where one is not.
    fn bound(&self, known: &dyn Known) -> Option<String> {
        // What was issued as a whole says more than what its parts are bound to.
        if let Some(birth) = self.issued_whole() {
            return known.bound(text_hash(birth.thing.as_deref(), &birth.text)).map(str::to_owned);
        }
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for (range, birth) in &self.parts {
            text.push_str(self.text.get(from..range.start)?);
            text.push_str(known.bound(text_hash(birth.thing.as_deref(), &birth.text))?);
            from = range.end;
        }
        text.push_str(self.text.get(from..)?);
        Some(text)
    }

    /// Whether it is a time that is given back.
    fn is_moment(&self) -> bool {
        self.thing.is_some_and(is_moment)
    }

    /// Whether what stands at its place is it, whatever it is called there: a link may go
    /// elsewhere, but another input is another one.
    fn place_tells(&self) -> bool {
        self.label.is_none() || matches!(self.place.steps().last(), Some(Step::Segment(_)))
    }

    /// The birth that is all of it, where there is one beside those of its parts.
    fn issued_whole(&self) -> Option<&Birth> {
        let all = 0..self.text.len();
        self.parts.iter().find(|(range, _)| *range == all).map(|(_, birth)| *birth)
    }

    /// The part of v2's text that has the place of a birth in v1's.
    fn part(&self, birth: &Birth, text: &str) -> Taken {
        let Some(range) = &birth.range else { return Taken::Issued(text.into()) };
        let own = range.start as usize..range.end as usize;
        let found = self
            .between_marks(&own, text)
            .or_else(|| by_turn(self.text, &own, text, strength::signed))
            .or_else(|| by_turn(self.text, &own, text, words))
            .or_else(|| by_border(self.text, &own, text));
        match found.filter(|found| !found.is_empty()) {
            Some(found) => Taken::Issued(found.into()),
            None => Taken::Lacking(format!("{} is built otherwise in the answer", birth.place)),
        }
    }

    /// What of `text` stands between what stands around `own` in v1's.
    fn between_marks<'t>(&self, own: &Range<usize>, text: &'t str) -> Option<&'t str> {
        let (mut from, mut rest, mut is_next) = (0, text, false);
        for (range, _) in self.parts.iter().filter(|(range, _)| range.len() < self.text.len()) {
            let mark = self.text.get(from..range.start)?;
            let (part, behind) = match from {
                0 if !is_next => ("", rest.strip_prefix(mark)?),
                _ if mark.is_empty() => return None,
                _ => rest.split_once(mark)?,
            };
            if is_next {
                return Some(part);
            }
            is_next = range == own;
            (rest, from) = (behind, range.end);
        }
        rest.strip_suffix(self.text.get(from..)?).filter(|_| is_next)
    }
}

/// What of `text` has the turn that a range has in `old` among what `parts` finds, where that is as
/// many in both.
fn by_turn<'t, I: Iterator<Item = Range<usize>>>(
    old: &'t str,
    range: &Range<usize>,
    text: &'t str,
    parts: impl Fn(&'t str) -> I,
) -> Option<&'t str> {
    let turn = parts(old).position(|part| part == *range)?;
    (parts(text).count() == parts(old).count()).then(|| parts(text).nth(turn))?.map(|p| &text[p])
}

/// What stands in `text` behind the same beginning, or before the same end, as a range of `old`
/// does, up to the character that ends it there: the rest may be made anew each time.
fn by_border<'t>(old: &str, range: &Range<usize>, text: &'t str) -> Option<&'t str> {
    let (before, behind) = (old.get(..range.start)?, old.get(range.end..)?);
    let is_border = |c: &char| !c.is_alphanumeric();
    let from_start = || {
        let rest = text.strip_prefix(before).filter(|_| !before.is_empty())?;
        rest.split_once(behind.chars().next().filter(is_border)?).map(|(found, _)| found)
    };
    let to_end = || {
        let rest = text.strip_suffix(behind).filter(|_| !behind.is_empty())?;
        rest.rsplit_once(before.chars().next_back().filter(is_border)?).map(|(_, found)| found)
    };
    from_start().or_else(to_end)
}

/// Where the runs of letters, digits and what ids have among them stand in a text.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].find(in_word)?;
        let rest = &text[at..];
        let end = at + rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        Some(std::mem::replace(&mut at, end)..end)
    })
}

fn is_of_body(place: &Place) -> bool {
    !matches!(place.steps().first(), Some(Step::Header(_) | Step::Cookie(_) | Step::Status))
}

/// Whether other places differ from it in a number alone: elements, lines.
fn is_numbered(place: &Place) -> bool {
    place.steps().iter().any(|step| {
        matches!(step, Step::Index(_) | Step::Line(_) | Step::Event(_) | Step::PartAt(_))
            || matches!(step, Step::Element(_, n) | Step::Text(n) if *n > 1)
    })
}

/// A value of v2's answer.
struct SeenValue {
    at: u64,
    label: Option<u64>,
    text: Box<str>,
}

/// The values of v2's answer that may be counterparts, and where they are found.
struct Found {
    values: Vec<SeenValue>,
    used: Vec<bool>,
    by_place: FxHashMap<u64, usize>,
    by_general: FxHashMap<u64, Vec<usize>>,
    /// By generalised place and text, the last first.
    by_text: FxHashMap<(u64, u64), Vec<usize>>,
    /// By name: how many, and the first.
    by_name: FxHashMap<u64, (usize, usize)>,
    by_label: FxHashMap<u64, Vec<usize>>,
    /// By the list's element and the generalised place.
    by_element: FxHashMap<(u64, u64), Vec<usize>>,
    /// What the values of a generalised place name.
    things: FxHashMap<u64, Option<Box<str>>>,
    /// What its lists' elements say.
    elements: Elements,
    /// Both answers made what they tell of (RFC 9110 §15.3.2): no value of v1's is there already.
    is_made: bool,
}

/// Status of an answer that made something.
const CREATED: u16 = 201;

impl Found {
    fn of(births: &[Birth], expected: &Expected, answer: &Response, schema: &Schema) -> Self {
        let of_birth =
            |birth: &Birth, holds| (key(birth.place.general(), holds), birth.thing.clone());
        let things: FxHashMap<u64, Option<Box<str>>> = births
            .iter()
            .flat_map(|birth| [of_birth(birth, false), of_birth(birth, true)])
            .collect();
        let names: FxHashSet<u64> =
            births.iter().filter_map(|birth| name_of_place(&birth.place)).collect();
        let mut found = Self {
            values: Vec::new(),
            used: Vec::new(),
            by_place: FxHashMap::default(),
            by_general: FxHashMap::default(),
            by_text: FxHashMap::default(),
            by_name: FxHashMap::default(),
            by_label: FxHashMap::default(),
            by_element: FxHashMap::default(),
            things,
            elements: Elements::default(),
            is_made: [expected.status, answer.status] == [CREATED; 2],
        };
        let wanted = Wanted::of(births);
        let labels: FxHashSet<u64> = expected.labels.values().map(|label| label.name).collect();
        let call = Call::of(schema, expected.call.as_deref().unwrap_or_default().as_bytes());
        each_value(answer, births, call, |at, text, holds, label| {
            found.elements.add(&wanted, at, text);
            let (place, general) = (key(at.hash(), holds), key(at.general(), holds));
            let name = at.name().map(name_hash).filter(|name| names.contains(name));
            let is_listed = found.things.contains_key(&general);
            let is_labelled = label.is_some_and(|label| labels.contains(&label));
            if !is_listed && name.is_none() && !is_labelled {
                return;
            }
            let number = found.values.len();
            if is_listed {
                found.by_general.entry(general).or_default().push(number);
                let said = (general, text_hash(None, text));
                found.by_text.entry(said).or_default().push(number);
                found.by_place.entry(place).or_insert(number);
            }
            if let Some(name) = name {
                found.by_name.entry(name).or_insert((0, number)).0 += 1;
            }
            if let Some(label) = label.filter(|_| is_labelled) {
                found.by_label.entry(label).or_default().push(number);
            }
            if let Some(element) = wanted.element(at) {
                found.by_element.entry((element, general)).or_default().push(number);
            }
            found.values.push(SeenValue { at: place, label, text: text.into() });
            found.used.push(false);
        });
        found.by_text.values_mut().for_each(|list| list.reverse());
        found
    }

    fn thing(&self, general: u64) -> Option<&str> {
        self.things.get(&general).and_then(|thing| thing.as_deref())
    }

    fn list(&self, general: u64) -> &[usize] {
        self.by_general.get(&general).map_or(&[], Vec::as_slice)
    }

    /// Whether each side numbered things of a kind by its own counter: one may have the other's
    /// number.
    fn numbers_anew(&self, thing: Option<&str>) -> bool {
        self.is_made && thing.is_some()
    }

    /// By what a value is bound to, else by the value itself: at its place, else at one that
    /// differs in numbers.
    fn by_value(&mut self, whole: &Whole<'_>, known: &dyn Known) -> Option<Box<str>> {
        let bound = whole.bound(known);
        if bound.is_none() && self.numbers_anew(whole.thing) {
            return None;
        }
        let wanted = bound.as_deref().unwrap_or(whole.text);
        let exact = self.by_place.get(&whole.at).copied();
        let exact = exact.filter(|&at| !self.used[at] && &*self.values[at].text == wanted);
        let at = exact.or_else(|| {
            let list = self.by_text.get_mut(&(whole.general, text_hash(None, wanted)))?;
            while let Some(at) = list.pop() {
                if !self.used[at] {
                    return Some(at);
                }
            }
            None
        })?;
        self.used[at] = true;
        Some(self.values[at].text.clone())
    }

    /// Whether a value may be the counterpart of a new one: it is nobody's yet.
    fn is_free(&self, at: usize, thing: Option<&str>, known: &dyn Known) -> bool {
        let is_known = || known.is_issued(text_hash(thing, &self.values[at].text));
        !self.used[at] && (thing.is_some_and(is_moment) || !is_known())
    }

    /// What stands in an element as a whole does in its own, where it is nobody's yet and alone.
    fn within(&self, element: u64, whole: &Whole<'_>, known: &dyn Known) -> Option<usize> {
        match &self.by_element.get(&(element, whole.general))?[..] {
            [at] => self.is_free(*at, whole.thing, known).then_some(*at),
            _ => None,
        }
    }

    /// What stands at exactly this place, where it is nobody's yet.
    fn at(&self, whole: &Whole<'_>, known: &dyn Known) -> Option<usize> {
        let at = self.by_place.get(&whole.at).copied();
        // Where no list is, and of an input of which a page has but one, a value that v2 issued
        // before is one that it gives twice: tokens that are signed in one second are equal.
        let numbered = is_numbered(whole.place);
        let is_one = |at: usize| {
            whole.label.is_some_and(|l| l.count == 1 && self.values[at].label == Some(l.name))
        };
        let may_be = |at: usize| !numbered || is_one(at) || self.is_free(at, whole.thing, known);
        at.filter(|&at| !self.used[at] && may_be(at))
    }

    /// Whether a value is called as a whole is, where that is called something.
    fn is_called(&self, at: usize, whole: &Whole<'_>) -> bool {
        whole.label.is_none_or(|label| self.values[at].label == Some(label.name))
    }

    /// What is called the same, wherever it stands: where there are as many, the one at the same
    /// turn, and any where all say the same.
    fn called(&self, whole: &Whole<'_>, known: &dyn Known) -> Option<usize> {
        let label = whole.label?;
        let list = self.by_label.get(&label.name)?;
        let text = |at: &usize| &self.values[*at].text;
        let at = match list.len() == label.count as usize {
            true => list.get(label.turn as usize)?,
            false => list.first().filter(|first| {
                label.is_one && list.iter().all(|other| text(other) == text(first))
            })?,
        };
        self.is_free(*at, whole.thing, known).then_some(*at)
    }

    /// The only value of the whole answer under the name of v1's, where it was the only one there,
    /// too.
    fn only(&self, whole: &Whole<'_>, expected: &Expected, known: &dyn Known) -> Option<usize> {
        let name = whole.name?;
        let &(count, first) = self.by_name.get(&name)?;
        let is_only = count == 1 && expected.named.get(&name) == Some(&1);
        let is_free = self.is_free(first, whole.thing, known) && self.values[first].at != whole.at;
        (is_only && is_free).then_some(first)
    }
}

/// The values of a generalised place that only one side has: v1's, and v2's at the same turn.
struct Turns {
    /// v1's, by text: at which turns, the last first.
    turns: FxHashMap<u64, Vec<usize>>,
    /// v2's; none where they are not as many as v1's.
    theirs: Option<Vec<usize>>,
    /// The first of these that may be left.
    first_left: usize,
}

impl Turns {
    fn of(found: &Found, general: u64, expected: &Expected, known: &dyn Known) -> Self {
        let thing = found.thing(general);
        let ours = expected.lists.get(&general).map_or(&[][..], Vec::as_slice);
        // As v2 says v1's values.
        let said: Vec<u64> = ours
            .iter()
            .map(|text| known.bound(*text).map_or(*text, |bound| text_hash(thing, bound)))
            .collect();
        let theirs = found.list(general);
        let texts: Vec<u64> =
            theirs.iter().map(|&at| text_hash(thing, &found.values[at].text)).collect();
        // What is bound already is not new, though v2's list lacks it for now.
        let (by_ours, by_theirs) = match found.numbers_anew(thing) {
            true => (&[][..], &[][..]),
            false => (&said[..], &texts[..]),
        };
        let alone = unshared(&said, by_theirs).into_iter();
        let alone: Vec<usize> = alone.filter(|&n| known.bound(ours[n]).is_none()).collect();
        let left = unshared(&texts, by_ours).into_iter();
        let left = left.filter(|&n| !known.is_issued(texts[n]));
        let left: Vec<usize> = left.map(|n| theirs[n]).collect();
        let mut turns: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (turn, &number) in alone.iter().enumerate().rev() {
            turns.entry(ours[number]).or_default().push(turn);
        }
        Self { turns, theirs: (left.len() == alone.len()).then_some(left), first_left: 0 }
    }

    fn of_text(&mut self, text: u64, used: &[bool]) -> Option<usize> {
        let turn = self.turns.get_mut(&text)?.pop()?;
        let theirs = self.theirs.as_ref()?;
        // What the elements themselves told has its turn taken: then the first that is left.
        if let Some(&own) = theirs.get(turn).filter(|&&at| !used[at]) {
            return Some(own);
        }
        let free = theirs[self.first_left..].iter().take_while(|&&at| used[at]).count();
        self.first_left += free;
        theirs.get(self.first_left).copied()
    }
}

/// The numbers of those in `list` that `other` does not have, each counted.
fn unshared(list: &[u64], other: &[u64]) -> Vec<usize> {
    let mut left: FxHashMap<u64, usize> = FxHashMap::default();
    for text in other {
        *left.entry(*text).or_default() += 1;
    }
    let is_alone = |number: &usize| match left.get_mut(&list[*number]) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    (0..list.len()).filter(is_alone).collect()
}

/// Whether a text may be what v2 issued for one of v1's: not where it says that there is none.
fn usable(whole: &Whole<'_>, text: &str) -> Result<Box<str>, String> {
    let says_none = |text: &str| matches!(text, "" | "null" | "false" | "true" | "undefined");
    if says_none(text) && !says_none(whole.text) {
        let what = if text.is_empty() { "empty" } else { text };
        return Err(format!("{} is {what} in the answer", whole.place));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Response {
        Response {
            status,
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            body: Body::whole(body.as_bytes().to_vec()),
            ..Response::default()
        }
    }

    fn birth(place: &str, text: &str) -> Birth {
        Birth {
            slot: 0,
            place: place.parse().unwrap(),
            range: None,
            text: text.into(),
            thing: None,
            flow: Some(0),
        }
    }

    fn within(place: &str, range: Range<u32>, text: &str) -> Birth {
        Birth { range: Some(range), ..birth(place, text) }
    }

    fn taken(
        births: &[Birth],
        one: &Response,
        two: &Response,
        known: &[(&str, &str)],
    ) -> Vec<String> {
        let known: FxHashMap<u64, String> =
            known.iter().map(|(x, y)| (text_hash(None, x), (*y).to_owned())).collect();
        let expected = Expected::of(one, births, b"/", &Schema::default());
        let told = |taken: Taken| match taken {
            Taken::Issued(text) => text.into(),
            Taken::Lacking(why) => format!("! {why}"),
        };
        take(births, &expected, two, &Schema::default(), &known).into_iter().map(told).collect()
    }

    #[test]
    fn times_are_told_by_their_places() {
        let time =
            |place: &str, text: &str| Birth { thing: Some("moment".into()), ..birth(place, text) };
        // Of one second at v1, of two at v2; and the other way round.
        let births = [
            time("$[0].updated", "2026-11-28 10:00:05"),
            time("$[1].updated", "2026-11-28 10:00:05"),
        ];
        let list = |times: [&str; 2]| {
            let [a, b] = times;
            format!(r#"[{{"n":"a","updated":"{a}"}},{{"n":"b","updated":"{b}"}}]"#)
        };
        let (one, two) = ("2026-11-29 18:40:10", "2026-11-29 18:40:11");
        for (v1, v2) in
            [(["2026-11-28 10:00:05"; 2], [one, two]), (["2026-11-28 10:00:05"; 2], [one, one])]
        {
            let (v1, v2_list) = (answer(200, &[], &list(v1)), answer(200, &[], &list(v2)));
            // Whatever the second was bound to elsewhere.
            for known in [&[][..], &[("2026-11-28 10:00:05", one)]] {
                assert_eq!(taken(&births, &v1, &v2_list, known), v2);
            }
        }
        // In another order the elements tell.
        let births = [
            time("$[0].updated", "2026-11-28 10:00:05"),
            time("$[1].updated", "2026-11-28 10:00:06"),
        ];
        let v1 = answer(200, &[], &list(["2026-11-28 10:00:05", "2026-11-28 10:00:06"]));
        let other = format!(r#"[{{"n":"b","updated":"{one}"}},{{"n":"a","updated":"{two}"}}]"#);
        assert_eq!(taken(&births, &v1, &answer(200, &[], &other), &[]), [two, one]);
    }

    #[test]
    fn a_signed_value_is_taken_whole_out_of_a_text() {
        let (v1, v2) = (
            "eyJmIjogMn0.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE",
            "eyJmIjogMTAwMn0.agHkRB.T9bZfNn5rYc1XhEkJ8sQx0_vLw2",
        );
        for (before, behind) in [("/dl?t=", ""), ("/dl/", "/file"), ("It is ", ". Made at 10:00:0")]
        {
            let text = |token: &str, n: u8| match behind.ends_with('0') {
                true => format!("{before}{token}{behind}{n}"),
                false => format!("{before}{token}{behind}"),
            };
            let said = |text: &str| answer(200, &[], &format!(r#"{{"text":"{text}"}}"#));
            let from = before.len() as u32;
            let births = [within("$.text", from..from + v1.len() as u32, v1)];
            let (one, two) = (said(&text(v1, 1)), said(&text(v2, 2)));
            assert_eq!(taken(&births, &one, &two, &[]), [v2], "{before}{behind}");
        }
    }

    #[test]
    fn what_both_made_has_each_sides_own_numbers_in_turn() {
        let births = |of: &[u32]| -> Vec<Birth> {
            let one = |(at, n): (usize, &u32)| Birth {
                thing: Some("item".into()),
                ..birth(&format!("$.items[{at}].id"), &n.to_string())
            };
            of.iter().enumerate().map(one).collect()
        };
        let list = |status: u16, of: &[u32]| {
            let items: Vec<String> = of.iter().map(|n| format!("{{\"id\":{n}}}")).collect();
            answer(status, &[], &format!("{{\"items\":[{}]}}", items.join(",")))
        };
        let run = |status, v2: &[u32]| {
            taken(&births(&[1, 2, 3]), &list(status, &[1, 2, 3]), &list(status, v2), &[])
        };
        assert_eq!(run(201, &[2, 3, 4]), ["2", "3", "4"]);
        assert_eq!(run(201, &[3, 2, 1]), ["3", "2", "1"]);
        // What is listed is there already, and what is not is new.
        assert_eq!(run(200, &[2, 3, 4]), ["4", "2", "3"]);
    }

    #[test]
    fn a_values_counterpart() {
        for (births, one, two, known, expected) in [
            // Exactly there.
            (&["$.id=a1"][..], r#"{"id":"a1"}"#, r#"{"id":"b1","x":1}"#, &[][..], &["b1"][..]),
            // In a list with data that both have: the new one is the new one.
            (&["$[1]=n1"], r#"["old","n1"]"#, r#"["m1","old"]"#, &[], &["m1"]),
            // Equally many, in order.
            (&["$[0]=a", "$[1]=b"], r#"["a","b"]"#, r#"["c","d"]"#, &[], &["c", "d"]),
            // A listing that shows bound values in another order.
            (
                &["$[0]=a", "$[1]=b"],
                r#"["a","b"]"#,
                r#"["d","c"]"#,
                &[("a", "c"), ("b", "d")],
                &["c", "d"],
            ),
            // Numbers that are swapped stay swapped, though v1's are there.
            (&["$[0]=1", "$[1]=2"], "[1,2]", "[2,1]", &[("1", "2"), ("2", "1")], &["2", "1"]),
            // One that was listed is bound already, the other is new.
            (&["$[1]=b"], r#"["a","b"]"#, r#"["z","c"]"#, &[("a", "c")], &["z"]),
            // What is bound is not there for now, and what is there is another one's.
            (
                &["$[0]=a", "$[1]=b"],
                r#"["a","b"]"#,
                r#"["c"]"#,
                &[("b", "d"), ("x", "c")],
                &["! no $[0] in the answer", "d"],
            ),
            // A value of its own that is issued anew.
            (&["$.rev=r1"], r#"{"rev":"r1"}"#, r#"{"rev":"s2"}"#, &[("r1", "s1")], &["s2"]),
            // One id for two things: a client would go on with it.
            (&["$.id=a2"], r#"{"id":"a2"}"#, r#"{"id":"b1"}"#, &[("a1", "b1")], &["b1"]),
            // Another shape, one value of the name.
            (&["$.token=t"], r#"{"token":"t"}"#, r#"{"data":{"token":"u"}}"#, &[], &["u"]),
            (
                &["$.token=t"],
                r#"{"token":"t"}"#,
                r#"{"a":{"token":"u"},"b":{"token":"v"}}"#,
                &[],
                &["! no $.token in the answer"],
            ),
            (&["$.token=t"], r#"{"token":"t"}"#, "{}", &[], &["! no $.token in the answer"]),
            (
                &["$.token=t"],
                r#"{"token":"t"}"#,
                r#"{"token":null}"#,
                &[],
                &["! $.token is null in the answer"],
            ),
        ] {
            let births: Vec<Birth> = births
                .iter()
                .map(|text| text.split_once('=').unwrap())
                .map(|(place, text)| birth(place, text))
                .collect();
            let json = [("Content-Type", "application/json")];
            let (one, two) = (answer(200, &json, one), answer(200, &json, two));
            assert_eq!(taken(&births, &one, &two, known), expected);
        }
    }

    #[test]
    fn elements_of_lists_are_known_by_what_stands_beside_their_ids() {
        let births = |ids: &[&str]| -> Vec<Birth> {
            let at = |(n, id): (usize, &&str)| birth(&format!("$.r[{n}].id"), id);
            ids.iter().enumerate().map(at).collect()
        };
        let list = |rows: &[(&str, &str)]| {
            let row = |(id, more): &(&str, &str)| format!(r#"{{"id":"{id}",{more}}}"#);
            let rows: Vec<String> = rows.iter().map(row).collect();
            answer(200, &[], &format!(r#"{{"r":[{}]}}"#, rows.join(",")))
        };
        let [one, two] = [r#""type":"create","n":1"#, r#""type":"member","n":1"#];
        // The ids are random, and so is the order.
        let (v1, v2) = (list(&[("a1", one), ("b2", two)]), list(&[("c3", two), ("d4", one)]));
        assert_eq!(taken(&births(&["a1", "b2"]), &v1, &v2, &[]), ["d4", "c3"]);
        // One is told by what is bound, and the other two, which nothing tells apart, by turns.
        let [x, y] = [r#""of":"u1","n":1"#, r#""of":"w9","n":1"#];
        let plain = r#""n":1"#;
        let v1 = list(&[("a1", plain), ("b2", x), ("e5", plain)]);
        let v2 = list(&[("c3", y), ("d4", plain), ("f6", plain)]);
        let known = [("u1", "w9")];
        assert_eq!(taken(&births(&["a1", "b2", "e5"]), &v1, &v2, &known), ["d4", "c3", "f6"]);
        // Nothing tells them: by turns.
        let (v1, v2) = (list(&[("a1", plain), ("b2", plain)]), list(&[("c3", x), ("d4", x)]));
        assert_eq!(taken(&births(&["a1", "b2"]), &v1, &v2, &[]), ["c3", "d4"]);
    }

    #[test]
    fn two_values_at_one_place_are_two() {
        let births = [birth("$.u query:tag", "a1"), birth("$.u query:tag", "b2")];
        let at = |uri: &str| answer(200, &[], &format!(r#"{{"u":"http://h/p?{uri}"}}"#));
        let (one, two) = (at("tag=a1&tag=b2"), at("tag=c3&tag=d4"));
        assert_eq!(taken(&births, &one, &two, &[]), ["c3", "d4"]);
    }

    #[test]
    fn a_url_and_its_origin_are_two_values() {
        let births = [birth("$.url", "http://v1.test/f/a7"), birth("$.url", "http://v1.test")];
        let json = [("Content-Type", "application/json")];
        let one = answer(200, &json, r#"{"url":"http://v1.test/f/a7"}"#);
        let two = answer(200, &json, r#"{"url":"http://v2.test:8080/f/b8"}"#);
        let expected = ["http://v2.test:8080/f/b8", "http://v2.test:8080"];
        assert_eq!(taken(&births, &one, &two, &[]), expected);
    }

    #[test]
    fn what_was_issued_as_a_whole_is_known_though_a_part_of_it_flows_too() {
        let (v1, v2) = ("arn:7777777777:t/s/2026-11-29T03:02:17.54", "arn:7777777777:t/s/v2.1");
        let births = [birth("$.arn", v1), within("$.arn", 4..14, "7777777777")];
        let one = answer(200, &[], &format!(r#"{{"arn":"{v1}"}}"#));
        let two = answer(200, &[], &format!(r#"{{"arn":"{v2}"}}"#));
        // v2 issued it before, so that it is free for nothing else.
        let known = [(v1, v2), ("7777777777", "7777777777")];
        assert_eq!(taken(&births, &one, &two, &known), [v2, "7777777777"]);
        assert_eq!(taken(&births, &one, &two, &known[1..]), [v2, "7777777777"]);
    }

    #[test]
    fn an_error_issues_nothing_in_its_body() {
        let births = [birth("$.id", "a1"), birth("cookie:sid", "s1")];
        let one = answer(200, &[("Set-Cookie", "sid=s1")], r#"{"id":"a1"}"#);
        let two = answer(500, &[("Set-Cookie", "sid=s2; Path=/")], r#"{"id":"req-7"}"#);
        assert_eq!(taken(&births, &one, &two, &[]), ["! answered 500", "s2"]);
    }

    #[test]
    fn a_cookie_that_is_taken_back_elsewhere_is_not_the_one_that_is_set() {
        let births = [birth("cookie:sid", "s1")];
        let one = answer(200, &[("Set-Cookie", "sid=s1; Path=/a")], "");
        let gone = "sid=x; Path=/a; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        let two = answer(200, &[("Set-Cookie", gone), ("Set-Cookie", "sid=n1; Path=/b")], "");
        assert_eq!(taken(&births, &one, &two, &[]), ["n1"]);
    }

    #[test]
    fn parts_of_a_text_are_found_by_what_stands_around_them() {
        let births = [within("$.uri", 8..10, "r1"), within("$.uri", 13..15, "a7")];
        let one = answer(200, &[], r#"{"uri":"runs:/2/r1/x/a7.txt"}"#);
        let at = |uri: &str| answer(200, &[], &format!(r#"{{"uri":"{uri}"}}"#));
        assert_eq!(taken(&births, &one, &at("runs:/2/r9-9/x/b.txt"), &[]), ["r9-9", "b"]);
        assert_eq!(taken(&births, &one, &at("runs:/5/r9/x/b8.txt"), &[]), ["r9", "b8"]);
        // The same beginning, and what follows it is new; and the same end.
        let built = "! $.uri is built otherwise in the answer";
        assert_eq!(taken(&births, &one, &at("runs:/2/r9/b8"), &[]), ["r9", built]);
        assert_eq!(taken(&births, &one, &at("s3://b/x/b8.txt"), &[]), [built, "b8"]);
        assert_eq!(taken(&births, &one, &at("elsewhere"), &[]), [built, built]);
    }

    #[test]
    fn values_of_a_page_are_found_by_what_they_are_called() {
        let html = [("Content-Type", "text/html")];
        let input = |name: &str, value: &str| format!("<input name={name} value={value}>");
        let one = format!(
            "<div><form>{}{}</form><a href=/groups/5/edit>x</a><a href=/groups/6/edit>y</a></div>",
            input("csrf", "tok-v1"),
            input("next", "/home-1")
        );
        let births = [
            birth("/html/body/div/form/input/@value", "tok-v1"),
            birth("/html/body/div/a/@href path[2]", "5"),
            birth("/html/body/div/a[2]/@href path[2]", "6"),
        ];
        let one = answer(200, &html, &one);
        let [csrf, next] = [input("csrf", "tok-v2"), input("next", "/home-2")];
        let links = "<a href=/>home</a><a href=/groups/15/edit>x</a><a href=/groups/16/edit>y</a>";
        let lacking = "! no /html/body/div/form/input/@value in the answer";
        for (two, token) in [
            // The other way round, elsewhere, and twice.
            (format!("<div><form>{next}{csrf}</form>{links}</div>"), "tok-v2"),
            (format!("<main>{links}<form>{next}{csrf}</form></main>"), "tok-v2"),
            (format!("<p>{csrf}</p><main>{links}<form>{csrf}</form></main>"), "tok-v2"),
            // Another one stands at its place.
            (format!("<div><form>{next}</form>{links}</div>"), lacking),
        ] {
            let two = answer(200, &html, &two);
            assert_eq!(taken(&births, &one, &two, &[])[..], [token, "15", "16"]);
        }
    }

    #[test]
    fn an_input_of_which_a_page_has_one_may_hold_what_another_page_held() {
        let html = [("Content-Type", "text/html")];
        let page = |names: [&str; 2], token: &str| {
            let input = |name: &str| format!("<input name={name} value={token}>");
            let inputs: String = names.into_iter().map(input).collect();
            answer(200, &html, &format!("<div></div><div><form>{inputs}</form></div>"))
        };
        let births = [birth("/html/body/div[2]/form/input/@value", "v1-9")];
        // v1's pages were made in two seconds, v2's in one.
        let known = [("v1-8", "v2-8")];
        let of = |names| taken(&births, &page(names, "v1-9"), &page(names, "v2-8"), &known);
        assert_eq!(of(["csrf", "other"]), ["v2-8"]);
        let lacking = "! no /html/body/div[2]/form/input/@value in the answer";
        assert_eq!(of(["row", "row"]), [lacking], "one of several");
    }

    #[test]
    fn entity_tags_and_locations() {
        let births = [birth("header:etag", "e1"), birth("header:location path[2]", "7")];
        let one = answer(201, &[("ETag", "\"e1\""), ("Location", "/orders/7")], "");
        let two = answer(201, &[("Etag", "W/\"e2\""), ("location", "http://v2/orders/1007")], "");
        assert_eq!(taken(&births, &one, &two, &[]), ["e2", "1007"]);
    }
}
