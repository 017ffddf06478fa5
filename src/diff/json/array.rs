//! Arrays: by position, by key, as sets; moved elements told from changed ones.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::bindings::Bound;
use super::super::change::{Look, SeenChange, Step};
use super::super::identity::{FEWEST, Same, both_in_order, is_ordered, shuffled};
use super::super::nouns::{self, Named};
use super::super::rules::ArrayRule;
use super::JsonWalk;
use super::nodes::{equal, hash, same_text};
use crate::message::json::tape::{Node, Type};
use crate::message::kinds;
use crate::steps;

/// Names of members that identify the elements of an array, the likeliest first.
pub(in crate::diff) const KEYS: [&str; 10] =
    ["id", "_id", "uuid", "guid", "key", "sku", "code", "slug", "email", "name"];

impl<'a> JsonWalk<'_, '_, 'a> {
    pub(super) fn array(&mut self, a: Node<'_, 'a>, b: Node<'_, 'a>) {
        let left: Vec<_> = a.elements().collect();
        let right: Vec<_> = b.elements().collect();
        let rule = if self.context.rules.is_empty() {
            None
        } else {
            self.context.rules.array(self.located(), &self.path)
        };
        match rule {
            Some((rule, ArrayRule::Unordered)) => {
                self.sink.ruled.push(rule);
                self.as_sets(&left, &right);
            }
            Some((rule, ArrayRule::ByKey(key))) => {
                self.sink.ruled.push(rule);
                match keyed(&left, &right, &key).map(|keys| self.identified(keys)) {
                    Some(keys) => self.by_key(&left, &right, keys, false),
                    None => self.by_position(&left, &right),
                }
            }
            None if self.are_times(a, b, [&left, &right]) => {}
            None => {
                let found = if self.same_order(&left, &right) {
                    None
                } else {
                    KEYS.iter().find_map(|key| self.likely_keys(&left, &right, key))
                };
                let found = found.or_else(|| self.bound_keys(&left, &right));
                match found {
                    Some(keys) => self.by_key(&left, &right, keys, true),
                    None => self.by_position(&left, &right),
                }
            }
        }
    }

    /// Whether two arrays are times by their parts that vary as times do: reports them as one
    /// change.
    fn are_times(
        &mut self,
        a: Node<'_, 'a>,
        b: Node<'_, 'a>,
        [left, right]: [&[Node<'_, 'a>]; 2],
    ) -> bool {
        let Some((one, other)) = time_of(left).zip(time_of(right)) else { return false };
        let look = self.context.look(&one, &other, false);
        let varies = one != other && matches!(look, Look::Kind(kind) if kind.is_time());
        if varies {
            self.changed("changed".into(), Some(a), Some(b), look.into());
        }
        varies
    }

    /// Whether the elements stand as they did: then keys say nothing new. A cheap test on the first
    /// member of each object.
    fn same_order(&self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>]) -> bool {
        left.len() == right.len()
            && left.iter().zip(right).all(|(a, b)| match (a.kind(), b.kind()) {
                (Type::Object, Type::Object) => {
                    same_text(*a, *b)
                        || KEYS.iter().all(|key| {
                            let value = |node: &Node<'_, 'a>| {
                                node.members()
                                    .find(|(name, _)| name.raw() == key.as_bytes())
                                    .map(|(_, v)| v.raw())
                            };
                            value(a) == value(b)
                        })
                }
                _ => false,
            })
    }

    /// The same for a key that nobody named: it must match at least half of the shorter side, else
    /// it may be noise itself.
    fn likely_keys(
        &self,
        left: &[Node<'_, '_>],
        right: &[Node<'_, '_>],
        key: &str,
    ) -> Option<Keys> {
        if left.is_empty() || right.is_empty() {
            return None;
        }
        let keys = self.identified(keyed(left, right, key)?);
        let theirs: FxHashSet<&String> = keys.right.iter().collect();
        let is_common = |key: &&String| theirs.contains(key) && !key.starts_with(NAMELESS);
        let common = keys.left.iter().filter(is_common).count();
        (common > 0 && common * 2 >= left.len().min(right.len())).then_some(keys)
    }

    /// The same for members whose values are bound, whatever their name: `event_id`.
    fn bound_keys(&self, left: &[Node<'_, '_>], right: &[Node<'_, '_>]) -> Option<Keys> {
        /// Members of the first element that may be ids.
        const MEMBERS: usize = 16;
        let bound = self.context.bound.filter(|_| left.len() > 1 && right.len() > 1)?;
        let members = left[0].members().take(MEMBERS);
        let mut ids = members.filter(|(name, value)| {
            let name = name.text();
            let is_id = !value.is_container() && !KEYS.contains(&&*name);
            is_id && bound.twin(&value.text(), &Named::default()).is_some()
        });
        ids.find_map(|(name, _)| self.likely_keys(left, right, &name.text()))
    }

    /// Keys of v1's as v2 calls the things that they name.
    fn identified(&self, [left, right]: [Vec<String>; 2]) -> Keys {
        let Some(bound) = self.context.bound else {
            return Keys { own: left.clone(), left, right, sorted: false };
        };
        let things = nouns::at(&[&self.path[..], &ID].concat(), self.context.request);
        let value = |key: &str| key.strip_prefix('"').unwrap_or(key).to_owned();
        let theirs: FxHashMap<u64, &String> =
            right.iter().map(|key| (Bound::name(&value(key)), key)).collect();
        let twin = |key: &String| {
            let twin = bound.twin(&value(key), &things).and_then(|twin| theirs.get(&twin));
            twin.map_or_else(|| key.clone(), |twin| (*twin).clone())
        };
        let twins: Vec<String> = left.iter().map(twin).collect();
        let named = |keys: &[String]| {
            keys.iter().filter(|key| !key.starts_with(NAMELESS)).cloned().collect::<Vec<_>>()
        };
        let sorted = twins != left && both_in_order(&named(&left), &named(&right));
        Keys { own: left, left: twins, right, sorted }
    }

    /// Whether two lists of ids name the same things, and whether in the same order; none where
    /// they do not.
    fn same_things(&self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>]) -> Option<Same> {
        if self.context.bound.is_none() || left.len() != right.len() || left.len() < 2 {
            return None;
        }
        let text = |node: &Node<'_, 'a>| (!node.is_container()).then(|| node.text().into_owned());
        let sides = [left, right].map(|side| side.iter().map(text).collect::<Option<Vec<_>>>());
        let [Some(left), Some(right)] = sides else { return None };
        self.context.same_things(&left, &right, &self.path)
    }

    fn by_position(&mut self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>]) {
        match self.same_things(left, right) {
            Some(same) if same.in_order => return,
            Some(same) => return self.reordered(left, right, Look::Shuffled(same.shuffled)),
            None => {}
        }
        let same = |(a, b): &(&Node<'_, 'a>, &Node<'_, 'a>)| equal(**a, **b);
        if left.len() == right.len() {
            let scalars = left.iter().chain(right).all(|node| !node.is_container());
            let differing = left.iter().zip(right).filter(|pair| !same(pair)).count();
            if differing > 1
                && (scalars || differing > 2 || left.len() == 2)
                && same_elements(left, right)
            {
                self.reordered(left, right, Look::Plain);
                return;
            }
            for (index, (a, b)) in left.iter().zip(right).enumerate() {
                self.element(index, *a, *b);
            }
            return;
        }
        // What is equal at both ends has not moved; in between, equal elements belong together
        // wherever they stand.
        let head = left.iter().zip(right).take_while(same).count();
        let tail =
            left[head..].iter().rev().zip(right[head..].iter().rev()).take_while(same).count();
        for index in 0..head {
            self.element(index, left[index], right[index]);
        }
        let (middle, other) = (&left[head..left.len() - tail], &right[head..right.len() - tail]);
        let (gone, come) = unmatched(middle, other);
        let pairs = gone.len().min(come.len());
        for (&a, &b) in gone.iter().zip(&come) {
            self.element(head + a, middle[a], other[b]);
        }
        for &index in &gone[pairs..] {
            self.lone(head + index, Some(middle[index]), None);
        }
        for &index in &come[pairs..] {
            self.lone(head + index, None, Some(other[index]));
        }
        for (a, b) in left[left.len() - tail..].iter().zip(&right[right.len() - tail..]) {
            self.element(left.len() - tail, *a, *b);
        }
    }

    fn as_sets(&mut self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>]) {
        let (gone, come) = unmatched(left, right);
        // Elements of one kind that have no equal: most likely changed.
        let pairs = gone.len().min(come.len());
        for (&a, &b) in gone.iter().zip(&come) {
            self.element(a, left[a], right[b]);
        }
        for &index in &gone[pairs..] {
            self.lone(index, Some(left[index]), None);
        }
        for &index in &come[pairs..] {
            self.lone(index, None, Some(right[index]));
        }
    }

    fn by_key(&mut self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>], keys: Keys, ordered: bool) {
        let places: FxHashMap<&str, usize> =
            keys.right.iter().enumerate().map(|(index, key)| (key.as_str(), index)).collect();
        let mut order = Vec::with_capacity(left.len());
        let (mut used, mut gone) = (vec![false; right.len()], Vec::new());
        for (index, key) in keys.left.iter().enumerate() {
            match places.get(key.as_str()) {
                Some(&other) => {
                    used[other] = true;
                    order.push(other);
                    self.element(index, left[index], right[other]);
                }
                None => gone.push(index),
            }
        }
        let come: Vec<usize> = (0..right.len()).filter(|index| !used[*index]).collect();
        // Random keys that nothing bound are new on both sides: the things are the same.
        let is_pair = |(&a, &b): (&usize, &usize)| {
            let kind = |key: &str| kinds::of_text(key.strip_prefix('"').unwrap_or(key));
            kind(&keys.left[a]).is_some_and(|of| kind(&keys.right[b]) == Some(of))
        };
        if gone.len() == come.len() && gone.iter().zip(&come).all(is_pair) {
            for (&a, &b) in gone.iter().zip(&come) {
                self.element(a, left[a], right[b]);
            }
        } else {
            gone.iter().for_each(|&index| self.lone(index, Some(left[index]), None));
            come.iter().for_each(|&index| self.lone(index, None, Some(right[index])));
        }
        if ordered && !keys.sorted && !order.is_sorted() {
            let are_all = gone.is_empty() && come.is_empty();
            let shuffled = are_all.then(|| self.shuffled(left, right, &keys, &order)).flatten();
            self.reordered(left, right, shuffled.map_or(Look::Plain, Look::Shuffled));
        }
    }

    /// Whether elements with new ids, which have these places at v2, stand in an order that is none
    /// at v1 and at v2: neither that of a member nor that in which they were issued.
    fn shuffled(
        &self,
        left: &[Node<'_, 'a>],
        right: &[Node<'_, 'a>],
        keys: &Keys,
        order: &[usize],
    ) -> Option<[bool; 2]> {
        let bound = self.context.bound?;
        let theirs: FxHashSet<&String> = keys.right.iter().collect();
        if left.len() < FEWEST || keys.own.iter().any(|key| theirs.contains(key)) {
            return None;
        }
        let things = nouns::at(&[&self.path[..], &ID].concat(), self.context.request);
        let names: Vec<String> =
            keys.own.iter().map(|key| key.strip_prefix('"').unwrap_or(key).to_owned()).collect();
        let issued = shuffled(bound, &names, order, &things);
        let by_members = by_no_member(left, right);
        let [a, b] = [issued, by_members].map(|known| known.unwrap_or([true; 2]));
        (issued.is_some() || by_members.is_some()).then_some([a[0] && b[0], a[1] && b[1]])
    }

    fn element(&mut self, index: usize, a: Node<'_, 'a>, b: Node<'_, 'a>) {
        if self.sink.present.is_none() && same_text(a, b) {
            return;
        }
        self.enter_index(index);
        self.value(a, b);
        self.leave();
    }

    fn lone(&mut self, index: usize, a: Option<Node<'_, 'a>>, b: Option<Node<'_, 'a>>) {
        self.enter_index(index);
        self.changed(
            if b.is_none() { "removed".into() } else { "added".into() },
            a,
            b,
            SeenChange::PLAIN,
        );
        self.leave();
    }

    /// One change for the whole array; shows the elements' keys or the elements themselves.
    fn reordered(&mut self, left: &[Node<'_, 'a>], right: &[Node<'_, 'a>], look: Look) {
        // The array's own nodes are not at hand here; its first and last element span it.
        let before = self.sink.changes.len();
        self.changed(
            "reordered".into(),
            left.first().copied(),
            right.first().copied(),
            look.into(),
        );
        if let Some(change) = self.sink.changes.get_mut(before) {
            change.expected =
                change.expected.take().map(|first| format!("first of {}: {first}", left.len()));
            change.actual =
                change.actual.take().map(|first| format!("first of {}: {first}", right.len()));
        }
    }
}

/// Keys of the elements of two arrays, v1's as v2 calls them.
struct Keys {
    /// v1's as v1 has them.
    own: Vec<String>,
    left: Vec<String>,
    right: Vec<String>,
    /// Whether each side stands in the order of its own ids: then their order says nothing.
    sorted: bool,
}

/// The member that an element's key is of.
const ID: [Step<'static>; 1] = [Step::Name(Cow::Borrowed("id"))];

/// Begins the key of an element that has none, by its turn among those.
const NAMELESS: char = '\0';

/// The key of every element on both sides; none where more than half of the elements have none, or
/// two have the same. A few without one are told apart by their turn.
fn keyed(left: &[Node<'_, '_>], right: &[Node<'_, '_>], key: &str) -> Option<[Vec<String>; 2]> {
    let keys = |elements: &[Node<'_, '_>]| {
        let mut seen = FxHashSet::default();
        let mut nameless = 0;
        let keys = elements
            .iter()
            .map(|element| {
                steps::add(1);
                let Some((_, value)) = element.members().find(|(name, _)| name.text() == key)
                else {
                    nameless += 1;
                    return (element.kind() == Type::Object)
                        .then(|| format!("{NAMELESS}{nameless}"));
                };
                let text = match value.kind() {
                    Type::String | Type::Escaped => format!("\"{}", value.text()),
                    Type::Number => value.raw_str().to_owned(),
                    _ => return None,
                };
                seen.insert(text.clone()).then_some(text)
            })
            .collect::<Option<Vec<_>>>()?;
        (nameless * 2 <= elements.len()).then_some(keys)
    };
    Some([keys(left)?, keys(right)?])
}

/// Whether no member of the elements rises or falls through v1's list, and through v2's; none where
/// none differs between elements, and where there are too many to look.
fn by_no_member(left: &[Node<'_, '_>], right: &[Node<'_, '_>]) -> Option<[bool; 2]> {
    /// Longest list that is looked through.
    const LONGEST: usize = 256;
    if left.len() > LONGEST {
        return None;
    }
    let mut none = None;
    for (name, value) in left[0].members().filter(|(_, value)| !value.is_container()) {
        let column = |elements: &[Node<'_, '_>]| {
            let cell = |element: &Node<'_, '_>| {
                steps::add(1);
                let (_, cell) = element.members().find(|(own, _)| own.raw() == name.raw())?;
                (!cell.is_container()).then(|| cell.text().into_owned())
            };
            elements.iter().map(cell).collect::<Option<Vec<String>>>()
        };
        let in_order = |cells: &[String]| match value.kind() {
            Type::Number => {
                let number = |cell: &String| cell.parse().unwrap_or(f64::NAN);
                is_ordered(&cells.iter().map(number).collect::<Vec<f64>>())
            }
            _ => is_ordered(cells),
        };
        let (Some(a), Some(b)) = (column(left), column(right)) else { continue };
        if a.iter().any(|cell| *cell != a[0]) {
            let none = none.get_or_insert([true; 2]);
            none[0] &= !in_order(&a);
            none[1] &= !in_order(&b);
        }
    }
    none
}

fn same_elements(left: &[Node<'_, '_>], right: &[Node<'_, '_>]) -> bool {
    let (gone, come) = unmatched(left, right);
    gone.is_empty() && come.is_empty()
}

/// Which elements of each side have no equal one on the other, each used once.
fn unmatched(left: &[Node<'_, '_>], right: &[Node<'_, '_>]) -> (Vec<usize>, Vec<usize>) {
    let mut places: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (index, node) in right.iter().enumerate().rev() {
        places.entry(hash(*node)).or_default().push(index);
    }
    let mut come = vec![true; right.len()];
    let mut gone = Vec::new();
    for (index, node) in left.iter().enumerate() {
        match places.get_mut(&hash(*node)).and_then(Vec::pop) {
            Some(other) => come[other] = false,
            None => gone.push(index),
        }
    }
    (gone, come.iter().enumerate().filter(|(_, lone)| **lone).map(|(index, _)| index).collect())
}

/// `[2026, 11, 29, 14, 16, 17]`: a time by its parts, as Java's and Python's serializers write
/// some, with or without seconds and nanoseconds.
fn time_of(parts: &[Node<'_, '_>]) -> Option<String> {
    if !(5..=7).contains(&parts.len()) || parts.iter().any(|part| part.kind() != Type::Number) {
        return None;
    }
    let part = |at: usize| parts.get(at).map_or(Some(0), |part| part.text().parse::<u32>().ok());
    let (year, month, day) = (part(0)?, part(1)?, part(2)?);
    let (hour, minute, second, _) = (part(3)?, part(4)?, part(5)?, part(6)?);
    let is_time = (1970..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    is_time.then(|| format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}
