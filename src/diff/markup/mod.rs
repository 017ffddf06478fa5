//! HTML and XML compared by structure: elements by name, attributes by name, text with its blanks
//! folded.
//!
//! Places are written like XPath, concrete (`/html/body/div[2]/@class`) and general
//! (`/html/body/div/@class`). Comments and processing instructions are not compared, nor are blanks
//! between elements; `class` is compared as a set. A document that cannot be read so, is too deep
//! or too large is left to the comparison by lines.

mod linked;
mod outline;

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use self::linked::PageLinks;
use self::outline::{field, is_value, outline};
use super::Kind;
use super::change::{Change, Context, Differ, Look, SeenChange, Sink, kind_of, mix, short};
use super::embedded::{self, Base, may_hold, may_surround};
use super::json::KEYS;
use super::rules::RuleVerdict;
use super::text::common;
use super::{identity, nouns, query};
use crate::message::encoding::Encoding;
use crate::message::kinds::ValueKind;
use crate::message::markup::tree::{Element, TreeNode};
use crate::message::markup::{html, xml};
use crate::message::{dates, kinds, place};
use crate::redact::Masker;
use crate::steps;

/// Longest document that is compared by structure, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// Which language a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// HTML as browsers read it: nothing is an error.
    Html,
    /// XML, which must be well-formed.
    Xml,
}

/// Compares two documents; false where one of them cannot be compared by structure.
pub fn compare(
    context: &Context<'_>,
    language: Language,
    expected: &str,
    actual: &str,
    sink: &mut Sink,
) -> bool {
    if expected.len().max(actual.len()) > MAX_BYTES {
        return false;
    }
    let parse = match language {
        Language::Html => html::parse,
        Language::Xml => xml::parse,
    };
    let (Some(expected), Some(actual)) = (parse(expected), parse(actual)) else { return false };
    let bound = context.bound.filter(|_| language == Language::Html);
    let links = bound.map(|bound| PageLinks::new(bound, expected.root()));
    let links = links.as_ref();
    let mut walk = MarkupWalk { context, sink, path: Vec::new(), dated: false, links };
    walk.children(expected.root(), actual.root());
    true
}

/// A step of a place: what it is called, which of several it is, and the hash of the general place
/// so far.
struct MarkupStep {
    name: String,
    index: Option<usize>,
    hash: u64,
}

/// A walk through two trees at once. Recursion is bounded by [`tree::MAX_DEPTH`].
struct MarkupWalk<'w, 'c> {
    context: &'w Context<'c>,
    sink: &'w mut Sink,
    path: Vec<MarkupStep>,
    /// Whether an attribute of the element at hand has a date, as a link has whose text says how
    /// long ago that was.
    dated: bool,
    /// What v1's page has links to.
    links: Option<&'w PageLinks<'w>>,
}

impl MarkupWalk<'_, '_> {
    fn children(&mut self, a: TreeNode<'_>, b: TreeNode<'_>) {
        let (left, right): (Vec<_>, Vec<_>) = (a.children().collect(), b.children().collect());
        steps::add(left.len() + right.len());
        let numbers = [numbered(&left), numbered(&right)];
        let pairs = self.by_identity(&left, &right).unwrap_or_else(|| aligned(&left, &right));
        for (a, b) in pairs {
            let (node, index) = match (a, b) {
                (Some(a), _) => (left[a], numbers[0][a]),
                (None, Some(b)) => (right[b], numbers[1][b]),
                (None, None) => continue,
            };
            self.enter(node.name(), index);
            match (a.map(|a| left[a]), b.map(|b| right[b])) {
                (Some(a), Some(b)) => self.pair(a, b),
                (Some(a), None) => self.lone("removed", Some(a), None),
                (_, b) => self.lone("added", None, b),
            }
            self.path.pop();
        }
    }

    /// The pairs of children that name the same things; none where they are no list of such, or
    /// stand in the same order anyhow.
    fn by_identity(&mut self, left: &[TreeNode<'_>], right: &[TreeNode<'_>]) -> Option<Pairs> {
        let bound = self.context.bound.filter(|_| left.len() == right.len() && left.len() > 1)?;
        let same_names = left.iter().zip(right).all(|(a, b)| a.name() == b.name());
        let elements = || left.iter().enumerate().filter(|(_, node)| node.element().is_some());
        let name = elements().next()?.1.name();
        // Texts between elements stay where they are.
        let list: Vec<usize> = elements().map(|(at, _)| at).collect();
        if !same_names || list.len() < 2 || list.iter().any(|&at| left[at].name() != name) {
            return None;
        }
        let key = key_of(left[list[0]])?;
        let keys = |side: &[TreeNode<'_>]| -> Option<Vec<String>> {
            list.iter().map(|&at| value_of(side[at], &key).filter(|v| !v.is_empty())).collect()
        };
        let (ours, theirs) = (keys(left)?, keys(right)?);
        let mut steps = self.steps(None);
        steps.push(place::Step::Element(Cow::Owned(local(name).to_owned()), 1));
        steps.extend(key.step());
        let things = nouns::at(&steps, self.context.request);
        let same = identity::same(bound, &ours, &theirs, &things)?;
        if same.places.is_sorted() {
            return None;
        }
        if !same.in_order {
            let look = Look::Shuffled(same.shuffled);
            let shown = |keys: &[String]| keys.join(", ");
            self.changed(
                "reordered",
                Some(&shown(&ours)),
                Some(&shown(&theirs)),
                None,
                look.into(),
            );
        }
        let mut pairs: Pairs = (0..left.len()).map(|at| (Some(at), Some(at))).collect();
        for (&at, &place) in list.iter().zip(&same.places) {
            pairs[at].1 = Some(list[place]);
        }
        Some(pairs)
    }

    fn pair(&mut self, a: TreeNode<'_>, b: TreeNode<'_>) {
        self.saw();
        if self.sink.present.is_none() && a.hash() == b.hash() {
            return;
        }
        match (a.element(), b.element()) {
            (Some(left), Some(right)) => {
                self.attributes(left, right);
                let around = std::mem::replace(&mut self.dated, is_dated(left) && is_dated(right));
                self.children(a, b);
                self.dated = around;
            }
            _ if a.text() == b.text() => {}
            _ if self.dated && self.context.are_bare_ages(a.text(), b.text()) => {
                let seen = Look::Kind(ValueKind::Moment).into();
                self.differs(Differ::So(seen), [a.text(), b.text()], None);
            }
            _ if self.embedded(a.text(), b.text()) => {}
            _ => {
                let (left, right) = (a.text(), b.text());
                let differ = self.context.differ_at(left, right, false, &self.steps(None));
                self.differs(differ, [left, right], None);
            }
        }
    }

    fn attributes(&mut self, a: &Element, b: &Element) {
        let named = |element: &Element| field(element).map(str::to_owned);
        let field = named(a).or_else(|| named(b));
        let names = a.attributes.iter().map(|(name, _)| name);
        let added =
            b.attributes.iter().map(|(name, _)| name).filter(|name| a.attribute(name).is_none());
        for name in names.chain(added) {
            let (left, right) = (a.attribute(name), b.attribute(name));
            self.enter(&format!("@{name}"), None);
            self.saw();
            let same = match (left, right) {
                (Some(left), Some(right)) if &**name == "class" => set(left) == set(right),
                _ => left == right,
            };
            let mut embedded = || left.zip(right).is_some_and(|(a, b)| self.embedded(a, b));
            if !same && !embedded() {
                // An input's value belongs to the input's name.
                let field = field.as_deref().filter(|_| is_value(name));
                match (left, right) {
                    (Some(left), Some(right)) => {
                        let steps = self.steps(field);
                        let differ = self.context.differ_at(left, right, false, &steps);
                        self.differs(differ, [left, right], field);
                    }
                    (Some(_), None) => {
                        self.changed("removed", left, right, field, SeenChange::PLAIN)
                    }
                    _ => self.changed("added", left, right, field, SeenChange::PLAIN),
                }
            }
            self.path.pop();
        }
    }

    /// Reports two values that are not written alike, unless v2's stands for v1's.
    fn differs(&mut self, differ: Differ, [a, b]: [&str; 2], field: Option<&str>) {
        let is_linked = || self.links.is_some_and(|links| links.are_equal(a, b));
        match differ {
            Differ::Not => self.sink.twins.extend(self.path.last().map(|step| step.hash)),
            Differ::So(_) if is_linked() => {
                self.sink.twins.extend(self.path.last().map(|step| step.hash));
            }
            Differ::Identity(label) => {
                self.changed(label, Some(a), Some(b), field, SeenChange::PLAIN)
            }
            Differ::So(seen) => self.changed("changed", Some(a), Some(b), field, seen),
        }
    }

    /// The present place as steps; `field` is what the value belongs to.
    fn steps(&self, field: Option<&str>) -> Vec<place::Step<'static>> {
        let step = |step: &MarkupStep| match step.name.as_str() {
            "text()" => place::Step::Text(1),
            name => match name.strip_prefix('@') {
                Some(name) => place::Step::Attribute(Cow::Owned(local(name).to_owned())),
                None => place::Step::Element(Cow::Owned(local(name).to_owned()), 1),
            },
        };
        let mut steps: Vec<place::Step<'static>> = self.path.iter().map(step).collect();
        steps.extend(field.map(|field| place::Step::Attribute(Cow::Owned(field.to_owned()))));
        steps
    }

    /// Compares the documents that two values hold; false where they hold none.
    fn embedded(&mut self, a: &str, b: &str) -> bool {
        let may = |text: &str| may_hold(text) || may_surround(text) || query::may_be(text);
        if !may(a) || !may(b) {
            return false;
        }
        if self.is_ruled(Some(a), Some(b)) {
            return true;
        }
        let base = Base {
            place: self.place(false),
            general: self.place(true),
            hash: self.path.last().map_or(0x2f, |step| step.hash),
            kind: Kind::Body,
            names: self.names().map(str::to_owned).collect(),
            depth: 0,
        };
        embedded::compare(self.context, &base, a, b, self.sink)
    }

    /// An element or a text that has no counterpart, shown by what it says.
    fn lone(&mut self, label: &'static str, a: Option<TreeNode<'_>>, b: Option<TreeNode<'_>>) {
        self.saw();
        let plain = |node: Option<TreeNode<'_>>| node.map(|node| outline(node, &Masker::off()));
        let (left, right) = (plain(a), plain(b));
        if self.is_ruled(left.as_deref(), right.as_deref()) {
            return;
        }
        let masker = self.context.masker;
        let secret = masker.hides_all_below(self.names());
        let shown = |node: Option<TreeNode<'_>>, text: Option<String>| match node {
            Some(node) if !secret => Some(short(&outline(node, masker))),
            _ => text.map(|text| masker.secret(&text).into_owned()),
        };
        self.report(label, shown(a, left), shown(b, right), SeenChange::PLAIN);
    }

    fn enter(&mut self, name: &str, index: Option<usize>) {
        let hash = mix(self.path.last().map_or(0x2f, |step| step.hash), name.as_bytes());
        self.path.push(MarkupStep { name: place::told(name).into_owned(), index, hash });
    }

    fn saw(&mut self) {
        let hash = self.path.last().map_or(0x2f, |step| step.hash);
        self.sink.saw(hash);
    }

    fn place(&self, general: bool) -> String {
        let step = |step: &MarkupStep| match step.index.filter(|_| !general) {
            Some(index) => format!("/{}[{index}]", step.name),
            None => format!("/{}", step.name),
        };
        self.path.iter().map(step).collect()
    }

    /// What the steps to the present place are called: elements and an attribute.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(|step| local(step.name.trim_start_matches('@')))
    }

    fn is_ruled(&mut self, a: Option<&str>, b: Option<&str>) -> bool {
        if self.context.rules.is_empty() {
            return false;
        }
        match self.context.rules.judge_place(&self.place(true), a, b) {
            RuleVerdict::Taken(rule) => {
                self.sink.ruled.push(rule);
                true
            }
            _ => false,
        }
    }

    /// Reports a change of a value at the present place, unless a rule takes it. `field` names what
    /// the value belongs to, beside the place.
    fn changed(
        &mut self,
        label: &'static str,
        a: Option<&str>,
        b: Option<&str>,
        field: Option<&str>,
        seen: SeenChange,
    ) {
        if self.is_ruled(a, b) {
            return;
        }
        let masker = self.context.masker;
        let secret = masker.hides_all_below(self.names().chain(field));
        let shown = |value: Option<&str>| {
            value.map(|value| {
                if secret { masker.secret(value).into_owned() } else { short(&masker.text(value)) }
            })
        };
        self.report(label, shown(a), shown(b), seen);
    }

    fn report(
        &mut self,
        label: &'static str,
        expected: Option<String>,
        actual: Option<String>,
        seen: SeenChange,
    ) {
        if self.sink.is_full() {
            self.sink.more += 1;
            return;
        }
        let kind = kind_of(label, Kind::Body);
        let place_hash = self.path.last().map_or(0x2f, |step| step.hash);
        let (place, general) = (self.place(false), self.place(true));
        self.sink.add(Change {
            kind,
            place,
            general,
            place_hash,
            label: Cow::Borrowed(label),
            expected,
            actual,
            look: seen.look,
            parts: seen.parts,
            numbers: seen.numbers,
        });
    }
}

/// Whether an attribute of an element has a date in it: `title="Nov. 28, 2026, 6:40 p.m."`.
fn is_dated(element: &Element) -> bool {
    const LONGEST: usize = 256;
    element.attributes.iter().any(|(_, value)| {
        // `href="/timeline?from=2026-11-29T16%3A38%3A05Z"`.
        let value = &*Encoding::Percent.decoded(value);
        let starts = value.char_indices().filter(|(at, c)| {
            c.is_ascii_alphanumeric() && !value[..*at].ends_with(|c: char| c.is_alphanumeric())
        });
        let dated = |(at, _)| {
            let rest: &str = &value[at..];
            let word = rest.split([' ', '&', ',']).next().unwrap_or(rest);
            dates::at_start(rest).is_some() || kinds::written_time(word).is_some()
        };
        value.len() <= LONGEST && starts.into_iter().any(dated)
    })
}

/// Children that belong together.
type Pairs = Vec<(Option<usize>, Option<usize>)>;

/// What names the thing that an element of a list is.
enum Key {
    Attribute(&'static str),
    Child(&'static str),
    Text,
}

impl Key {
    /// The step to it from the element.
    fn step(&self) -> Option<place::Step<'static>> {
        match self {
            Self::Attribute(name) => Some(place::Step::Attribute((*name).into())),
            Self::Child(name) => Some(place::Step::Element((*name).into(), 1)),
            Self::Text => None,
        }
    }
}

/// What names the thing that an element is: an attribute or a child of a name that identifies, else
/// all that it says.
fn key_of(node: TreeNode<'_>) -> Option<Key> {
    let element = node.element()?;
    let is = |own: &str, name: &str| local(own).eq_ignore_ascii_case(name);
    let attribute = |name: &&str| element.attributes.iter().any(|(own, _)| is(own, name));
    let child = |name: &&str| node.children().any(|child| is(child.name(), name));
    KEYS.iter()
        .find_map(|name| attribute(name).then_some(Key::Attribute(name)))
        .or_else(|| KEYS.iter().find_map(|name| child(name).then_some(Key::Child(name))))
        .or_else(|| only_text(node).map(|_| Key::Text))
}

fn value_of(node: TreeNode<'_>, key: &Key) -> Option<String> {
    let is = |own: &str, name: &str| local(own).eq_ignore_ascii_case(name);
    match key {
        Key::Attribute(name) => {
            let mut all = node.element()?.attributes.iter();
            all.find(|(own, _)| is(own, name)).map(|(_, value)| value.to_string())
        }
        Key::Child(name) => only_text(node.children().find(|child| is(child.name(), name))?),
        Key::Text => only_text(node),
    }
}

/// What an element says that holds a text alone.
fn only_text(node: TreeNode<'_>) -> Option<String> {
    let mut children = node.children();
    let text = children.next().filter(|child| child.element().is_none())?;
    children.next().is_none().then(|| text.text().trim().to_owned())
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// Names of a `class`, in any order.
fn set(value: &str) -> Vec<&str> {
    let mut names: Vec<&str> = value.split_ascii_whitespace().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Which of several children of its name each one is, from 1; none where it is the only one.
fn numbered(nodes: &[TreeNode<'_>]) -> Vec<Option<usize>> {
    let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
    let mut numbers = Vec::with_capacity(nodes.len());
    for node in nodes {
        let count = counts.entry(node.name()).or_default();
        *count += 1;
        numbers.push(*count);
    }
    nodes
        .iter()
        .zip(numbers)
        .map(|(node, number)| (counts[node.name()] > 1).then_some(number))
        .collect()
}

/// Which children belong together: equal ones first, then those of one name in their order; the
/// rest stands alone.
fn aligned(left: &[TreeNode<'_>], right: &[TreeNode<'_>]) -> Pairs {
    if left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.name() == b.name()) {
        return (0..left.len()).map(|at| (Some(at), Some(at))).collect();
    }
    let hashes = |nodes: &[TreeNode<'_>]| nodes.iter().map(|node| node.hash()).collect::<Vec<_>>();
    let equal = common(&hashes(left), &hashes(right)).unwrap_or_default();
    let mut pairs = Vec::with_capacity(left.len().max(right.len()));
    let (mut a, mut b) = (0, 0);
    for (x, y) in equal.into_iter().chain([(left.len(), right.len())]) {
        let mut places: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for at in (b..y).rev() {
            places.entry(right[at].name()).or_default().push(at);
        }
        let mut next = b;
        for (at, node) in left[..x].iter().enumerate().skip(a) {
            let waiting = places.entry(node.name()).or_default();
            let other = std::iter::from_fn(|| waiting.pop()).find(|other| *other >= next);
            if let Some(other) = other {
                pairs.extend((next..other).map(|lone| (None, Some(lone))));
                next = other + 1;
            }
            pairs.push((Some(at), other));
        }
        pairs.extend((next..y).map(|lone| (None, Some(lone))));
        if x < left.len() && y < right.len() {
            pairs.push((Some(x), Some(y)));
        }
        (a, b) = (x + 1, y + 1);
    }
    pairs
}

#[cfg(test)]
mod tests;
