//! JSON compared by structure: members by name, numbers by value, arrays by position, by key or as
//! sets.
//!
//! One change is reported where one thing changed: a missing object is one change and not one for
//! each of its members, a member with another name and the same value is a renaming, an array in
//! another order is one `reordered`.

mod array;
mod nodes;

use std::borrow::Cow;
use std::cell::OnceCell;

use rustc_hash::{FxHashMap, FxHashSet};

pub(super) use self::array::KEYS;
use self::nodes::{hash, same_text};
use super::Kind;
use super::bindings::Bound;
use super::change::{
    Change, Context, Differ, Look, SeenChange, Sink, Step, is_variable, kind_of, mix, short,
    shown_below,
};
use super::elapsed::elapsed;
use super::embedded::{self, Base, may_hold, may_surround};
use super::header_table;
use super::nouns::{self, Beside, Called, Named};
use super::query;
use super::rules::{Located, RuleVerdict};
use crate::limits;
use crate::message::json::number;
use crate::message::json::tape::{Node, Tape, Type};
use crate::message::kinds::ValueKind;
use crate::message::place::json_path;
use crate::message::trace::{TRACEPARENT, TRACESTATE, TraceParent, exchange_in_state};
use crate::outcome::MARKER;
use crate::steps;

/// Compares two texts; false where one of them is not JSON that is compared by structure.
pub fn compare(context: &Context<'_>, expected: &[u8], actual: &[u8], sink: &mut Sink) -> bool {
    let Ok(expected) = Tape::parse(expected) else { return false };
    let Ok(actual) = Tape::parse_beside(actual, &expected) else { return false };
    compare_tapes(context, &expected, &actual, sink);
    true
}

/// Compares two texts that are values themselves; false where one of them is not JSON.
pub(super) fn compare_within(
    context: &Context<'_>,
    base: &Base,
    expected: &[u8],
    actual: &[u8],
    sink: &mut Sink,
) -> bool {
    let Ok(expected) = Tape::parse(expected) else { return false };
    let Ok(actual) = Tape::parse_beside(actual, &expected) else { return false };
    walk(context, Some(base), &expected, &actual, sink);
    true
}

/// The same for parsed texts.
pub fn compare_tapes(
    context: &Context<'_>,
    expected: &Tape<'_>,
    actual: &Tape<'_>,
    sink: &mut Sink,
) {
    walk(context, None, expected, actual, sink);
}

fn walk(
    context: &Context<'_>,
    base: Option<&Base>,
    expected: &Tape<'_>,
    actual: &Tape<'_>,
    sink: &mut Sink,
) {
    let roots = [expected.root(), actual.root()];
    let mut walk = JsonWalk {
        context,
        sink,
        base,
        path: Vec::new(),
        wild: Vec::new(),
        hashes: vec![base.map_or(ROOT_HASH, Base::root_hash)],
        roots,
        around: Vec::new(),
        located: OnceCell::new(),
    };
    walk.value(expected.root(), actual.root());
}

/// The hash of the place `$`.
pub const ROOT_HASH: u64 = 0x24;

/// A walk through two documents at once. Recursion is bounded by [`tape::MAX_DEPTH`].
struct JsonWalk<'w, 'c, 'a> {
    context: &'w Context<'c>,
    sink: &'w mut Sink,
    /// The value that holds these documents, where they are no bodies.
    base: Option<&'w Base>,
    path: Vec<Step<'a>>,
    /// Where in the path names stand that are values.
    wild: Vec<usize>,
    hashes: Vec<u64>,
    roots: [Node<'w, 'a>; 2],
    /// The objects that hold the present place, as their texts, the innermost last.
    around: Vec<[&'a [u8]; 2]>,
    /// Where the rules' queries lead in these documents; found when it is first asked for.
    located: OnceCell<Located>,
}

impl<'a> JsonWalk<'_, '_, 'a> {
    fn value(&mut self, a: Node<'_, 'a>, b: Node<'_, 'a>) {
        let hash = *self.hashes.last().expect("the root's hash stays");
        self.sink.saw(hash);
        steps::add(1);
        // Equal text is an equal value; its places may have to be counted, and rules about them.
        if same_text(a, b) {
            match &mut self.sink.present {
                None => return,
                Some(present) if self.context.rules.is_empty() => return note(present, a, hash),
                Some(_) => {}
            }
        }
        match (a.kind(), b.kind()) {
            (Type::Object, Type::Object) => {
                self.around.push([a.raw(), b.raw()]);
                self.object(a, b);
                self.around.pop();
            }
            (Type::Array, Type::Array) => self.array(a, b),
            (Type::Number, Type::Number) => {
                if !number::equal(a.raw_str(), b.raw_str()) {
                    self.differ(a, b, [a.raw_str(), b.raw_str()], true);
                }
            }
            (Type::String | Type::Escaped, Type::String | Type::Escaped) => {
                // Escapes differ between writers; values count. Lone surrogates have no value, so
                // their escapes count.
                let (left, right) = (a.text(), b.text());
                if left != right || left.contains('\u{fffd}') && a.raw() != b.raw() {
                    if self.is_twin(&left, &right) {
                        self.sink.twins.push(hash);
                    } else if self.is_field(&left, &right) {
                        // The table of header fields says that they are equal.
                    } else if !self.embedded(a, b, &left, &right) {
                        self.differ(a, b, [&left, &right], false);
                    }
                }
            }
            (left, right) if left == right => {
                if a.raw() != b.raw() {
                    self.changed("changed".into(), Some(a), Some(b), SeenChange::PLAIN);
                }
            }
            (left, right) => self.changed(
                format!("{}→{}", left.name(), right.name()).into(),
                Some(a),
                Some(b),
                SeenChange::PLAIN,
            ),
        }
    }

    /// Whether v2 issued one text in the place of the other, and it says nothing of its own.
    fn is_twin(&self, left: &str, right: &str) -> bool {
        let is_twin = |bound: Bound<'_>| bound.is_twin(left, right, &Named::default());
        self.context.bound.is_some_and(is_twin) && !embedded::is_signed(left)
    }

    /// What the members beside the present place say of what it may name.
    fn beside(&self, [left, right]: [&str; 2], named: &mut Named) {
        /// Longest object whose members are asked, in bytes: each of them may ask.
        const LONGEST: usize = 4 << 10;
        let (Some(bound), Some(objects)) = (self.context.bound, self.around.last()) else {
            return;
        };
        if named.called == Called::Otherwise || objects[0].len().max(objects[1].len()) > LONGEST {
            return;
        }
        let [Ok(ours), Ok(theirs)] = objects.map(Tape::parse) else { return };
        let members = ours.root().members().map(|(name, value)| {
            let told = match value.kind() {
                Type::String | Type::Escaped => Beside::Text(value.text()),
                Type::Number => Beside::Number(value.text()),
                Type::Object if value.members().any(|(name, _)| name.text() == "id") => {
                    Beside::Thing
                }
                _ => Beside::Other,
            };
            (name.text(), told)
        });
        match named.called {
            Called::Number => {
                // The number of what has it as its `id`, too.
                let has_id = |object: &Tape<'_>, own: &str| {
                    let mut members = object.root().members();
                    members.any(|(name, value)| name.text() == "id" && value.text() == own)
                };
                if has_id(&ours, left) && has_id(&theirs, right) {
                    (named.called, named.any) = (Called::Id, true);
                }
            }
            _ => {
                let (kinds, others) = nouns::beside(left, members);
                bound.tell(left, kinds, others, named);
            }
        }
    }

    /// Whether the present place is a header field of a message in the document, whose values the
    /// table of header fields holds for equal.
    fn is_field(&self, left: &str, right: &str) -> bool {
        let [.., Step::Name(of), Step::Name(name)] = &self.path[..] else { return false };
        of.eq_ignore_ascii_case("headers")
            && header_table::are_equal_in_body(&self.context.rules.compare, name, left, right)
    }

    /// Reports two values that are not written alike, unless v2's stands for v1's. What a change
    /// looks like nobody asks of those that are only counted.
    fn differ(&mut self, a: Node<'_, 'a>, b: Node<'_, 'a>, [left, right]: [&str; 2], number: bool) {
        let differ = if self.sink.is_full() && self.context.bound.is_none() {
            Differ::So(SeenChange::PLAIN)
        } else {
            let beside = |named: &mut Named| self.beside([left, right], named);
            self.context.differ_beside(left, right, number, &self.path, beside)
        };
        match differ {
            Differ::Not => self.sink.twins.extend(self.hashes.last()),
            Differ::Identity(label) => {
                self.changed(label.into(), Some(a), Some(b), SeenChange::PLAIN)
            }
            Differ::So(seen) => {
                let plain = seen.look == Look::Plain;
                let seen = match plain.then(|| self.elapsed([left, right])).flatten() {
                    Some(kind) => SeenChange { parts: Vec::new(), look: Look::Kind(kind), ..seen },
                    None => seen,
                };
                self.changed("changed".into(), Some(a), Some(b), seen);
            }
        }
    }

    /// How two numbers at the present place say how long something took, or ago it was.
    fn elapsed(&self, values: [&str; 2]) -> Option<ValueKind> {
        let named = self.path.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name),
            _ => None,
        });
        elapsed(self.context, named?, values, &self.around)
    }

    /// Compares the documents that two strings hold; false where they hold none.
    fn embedded(&mut self, a: Node<'_, 'a>, b: Node<'_, 'a>, left: &str, right: &str) -> bool {
        let may = |text: &str| may_hold(text) || may_surround(text) || query::may_be(text);
        if !may(left) || !may(right) {
            return false;
        }
        if self.is_ruled(Some(a), Some(b)) {
            return true;
        }
        let base = Base {
            place: self.place(false),
            general: self.place(true),
            hash: *self.hashes.last().expect("the root's hash stays"),
            kind: self.base.map_or(Kind::Body, |base| base.kind),
            names: self.names().map(str::to_owned).collect(),
            depth: self.base.map_or(0, |base| base.depth) + 1,
        };
        embedded::compare(self.context, &base, left, right, self.sink)
    }

    fn object(&mut self, a: Node<'_, 'a>, b: Node<'_, 'a>) {
        // The same names in the same order, as almost always.
        let mut right = b.members();
        let mut left = a.members();
        loop {
            let mut ahead = (left.clone(), right.clone());
            match (ahead.0.next(), ahead.1.next()) {
                (None, None) => return,
                (Some((name, value)), Some((other, actual))) if name.raw() == other.raw() => {
                    if self.sink.present.is_some() || !same_text(value, actual) {
                        self.member(name.text(), value, actual);
                    }
                    (left, right) = ahead;
                }
                _ => break,
            }
        }
        self.members_by_name(left.collect(), right.collect());
    }

    fn member(&mut self, name: Cow<'a, str>, a: Node<'_, 'a>, b: Node<'_, 'a>) {
        self.enter_name(name);
        self.value(a, b);
        self.leave();
    }

    /// Members in different orders; the n-th of several with one name belongs to the n-th of the
    /// other side.
    fn members_by_name(
        &mut self,
        a: Vec<(Node<'_, 'a>, Node<'_, 'a>)>,
        b: Vec<(Node<'_, 'a>, Node<'_, 'a>)>,
    ) {
        let mut places: FxHashMap<Cow<'a, str>, Vec<usize>> = FxHashMap::default();
        for (index, (name, _)) in b.iter().enumerate().rev() {
            places.entry(name.text()).or_default().push(index);
        }
        let mut used = vec![false; b.len()];
        let mut removed = Vec::new();
        for (name, value) in a {
            match places.get_mut(&name.text()).and_then(Vec::pop) {
                Some(index) => {
                    used[index] = true;
                    self.member(name.text(), value, b[index].1);
                }
                None => removed.push((name, value)),
            }
        }
        let added = b.iter().zip(used).filter(|(_, used)| !used);
        let mut added = Added::new(added.map(|(member, _)| *member));
        let mut anew = Vec::new();
        for (key, value) in removed {
            let name = key.text();
            if let Some(bound) = self.context.bound
                && let Some(actual) = added.take_twin(bound, &name)
            {
                self.member(name, value, actual);
                continue;
            }
            if added.may_be_anew(self.context, &name) {
                match added.take_same(value, |other| self.context.are_anew(&name, other)) {
                    Some((other, actual)) => self.keyed_anew([key, other], [value, actual]),
                    None => anew.push((key, value)),
                }
                continue;
            }
            match added.take_renamed(&name, value) {
                Some((new, actual)) => {
                    let label = format!("renamed {}→{}", short(&name), short(&new));
                    self.enter_name(name);
                    self.changed(label.into(), Some(value), Some(actual), SeenChange::PLAIN);
                }
                None => {
                    self.enter_name(name);
                    self.changed("removed".into(), Some(value), None, SeenChange::PLAIN);
                }
            }
            self.leave();
        }
        for (key, value) in anew {
            match added.take_anew(self.context, &key.text()) {
                Some((other, actual)) => self.keyed_anew([key, other], [value, actual]),
                None => {
                    self.enter_name(key.text());
                    self.changed("removed".into(), Some(value), None, SeenChange::PLAIN);
                    self.leave();
                }
            }
        }
        for (name, value) in added.members.into_iter().flatten() {
            let name = name.text();
            if is_marker(&name) || is_own_trace(&name, &value.text()) {
                continue;
            }
            self.enter_name(name);
            self.changed("added".into(), None, Some(value), SeenChange::PLAIN);
            self.leave();
        }
    }

    /// Members whose names are values that each answer has anew, as in a map from ids: the names
    /// are compared as values, and what they name as the elements of a list.
    fn keyed_anew(&mut self, keys: [Node<'_, 'a>; 2], values: [Node<'_, 'a>; 2]) {
        self.wild.push(self.path.len());
        let parent = *self.hashes.last().expect("the root's hash stays");
        self.hashes.push(mix(parent, b"[*]"));
        self.path.push(Step::Name(keys[0].text()));
        self.value(values[0], values[1]);
        let member = *self.hashes.last().expect("the root's hash stays");
        self.hashes.push(mix(member, b"~"));
        self.path.push(Step::Key);
        let [a, b] = keys.map(|key| key.text());
        self.differ(keys[0], keys[1], [&a, &b], false);
        self.leave();
        self.leave();
        self.wild.pop();
    }

    fn enter_name(&mut self, name: Cow<'a, str>) {
        let parent = *self.hashes.last().expect("the root's hash stays");
        self.hashes.push(hash_of_name(parent, &name));
        self.path.push(Step::Name(name));
    }

    fn enter_index(&mut self, index: usize) {
        let parent = *self.hashes.last().expect("the root's hash stays");
        self.hashes.push(mix(parent, b"[*]"));
        self.path.push(Step::Index(index));
    }

    fn leave(&mut self) {
        self.hashes.pop();
        self.path.pop();
    }

    fn located(&self) -> &Located {
        self.located.get_or_init(|| self.context.rules.locate(self.roots[0], self.roots[1]))
    }

    /// Reports a change at the present place, unless a rule takes it.
    fn changed(
        &mut self,
        label: Cow<'static, str>,
        a: Option<Node<'_, '_>>,
        b: Option<Node<'_, '_>>,
        seen: SeenChange,
    ) {
        let place_hash = *self.hashes.last().expect("the root's hash stays");
        self.sink.saw(place_hash);
        if self.is_ruled(a, b) {
            return;
        }
        if self.sink.is_full() {
            self.sink.more += 1;
            return;
        }
        let (expected, actual) = (self.shown(a), self.shown(b));
        let kind = kind_of(&label, self.base.map_or(Kind::Body, |base| base.kind));
        let (place, general) = (self.place(false), self.place(true));
        self.sink.add(Change {
            kind,
            place,
            general,
            place_hash,
            label,
            expected,
            actual,
            look: seen.look,
            parts: seen.parts,
            numbers: seen.numbers,
        });
    }

    /// A value at the present place as it is shown: what stands anywhere below a secret's name is
    /// secret.
    fn shown(&self, node: Option<Node<'_, '_>>) -> Option<String> {
        let node = node?;
        let (masker, text) = (self.context.masker, node.text());
        Some(match node.is_container() {
            false => shown_below(masker, self.names(), &text),
            true if masker.hides_all_below(self.names()) => short(&masker.secret(&text)),
            true => short(&masker.text(&text)),
        })
    }

    /// The present place, within the value that holds the document.
    fn place(&self, general: bool) -> String {
        let path = match general && !self.wild.is_empty() {
            false => json_path(&self.path, general),
            true => {
                let mut path = self.path.clone();
                self.wild.iter().for_each(|&at| path[at] = Step::Index(0));
                json_path(&path, true)
            }
        };
        match self.base {
            None => path,
            Some(base) => format!("{} {path}", if general { &base.general } else { &base.place }),
        }
    }

    /// The names of all that the present place is in.
    fn names(&self) -> impl Iterator<Item = &str> {
        let outer = self.base.into_iter().flat_map(|base| base.names.iter().map(String::as_str));
        outer.chain(self.path.iter().filter_map(|step| match step {
            Step::Name(name) => Some(&**name),
            _ => None,
        }))
    }

    /// Whether a rule takes a change at the present place.
    fn is_ruled(&mut self, a: Option<Node<'_, '_>>, b: Option<Node<'_, '_>>) -> bool {
        if self.context.rules.is_empty() {
            return false;
        }
        let value = |node: Option<Node<'_, '_>>| node.map(|node| node.text().into_owned());
        let (left, right) = (value(a), value(b));
        let (left, right) = (left.as_deref(), right.as_deref());
        let rules = self.context.rules;
        let verdict = match self.base {
            None => rules.judge_json(self.located(), &self.path, left, right),
            Some(_) => rules.judge_place(&self.place(true), left, right),
        };
        if let RuleVerdict::Taken(rule) = verdict {
            self.sink.ruled.push(rule);
        }
        verdict != RuleVerdict::Stays
    }
}

/// Notes all places of a value that is the same on both sides, whose place is `hash`.
fn note(present: &mut FxHashSet<u64>, node: Node<'_, '_>, hash: u64) {
    present.insert(hash);
    for (name, value) in node.members() {
        note(present, value, hash_of_name(hash, &name.text()));
    }
    let element = mix(hash, b"[*]");
    for value in node.elements() {
        note(present, value, element);
    }
}

/// The hash of the place of the member called `name`.
fn hash_of_name(parent: u64, name: &str) -> u64 {
    // The test for names that are values costs more than the hash; only such names have a digit.
    let variable = name.bytes().any(|byte| byte.is_ascii_digit()) && is_variable(name);
    mix(parent, if variable { b"[*]" } else { name.as_bytes() })
}

/// Whether a member is the replay's own marker, echoed by a service that shows what it was sent;
/// frameworks write names of headers in several ways (`X-Shadowtap-Replay`,
/// `HTTP_X_SHADOWTAP_REPLAY`).
fn is_marker(name: &str) -> bool {
    ends_in_field(name, MARKER)
}

/// The same of the context of its trace (`--traces`).
fn is_own_trace(name: &str, value: &str) -> bool {
    ends_in_field(name, TRACEPARENT) && value.parse::<TraceParent>().is_ok()
        || ends_in_field(name, TRACESTATE) && exchange_in_state(value.as_bytes()).is_some()
}

fn ends_in_field(name: &str, field: &str) -> bool {
    let ending = name.len().checked_sub(field.len()).and_then(|at| name.get(at..));
    ending.is_some_and(|ending| ending.replace('_', "-").eq_ignore_ascii_case(field))
}

/// Members that only v2's object has, found by their values.
struct Added<'t, 'a> {
    /// In their order; none where it was taken.
    members: Vec<Option<(Node<'t, 'a>, Node<'t, 'a>)>>,
    left: usize,
    /// The first member that may be left whose name is a value.
    next_anew: usize,
    /// Where each name stands, as bindings name it; made when it is first asked for.
    by_name: OnceCell<FxHashMap<u64, usize>>,
    /// Those of one value, by its hash, the first at the end.
    by_value: FxHashMap<u64, Vec<usize>>,
}

impl<'t, 'a> Added<'t, 'a> {
    fn new(members: impl Iterator<Item = (Node<'t, 'a>, Node<'t, 'a>)>) -> Self {
        let members: Vec<_> = members.map(Some).collect();
        Self {
            left: members.len(),
            members,
            next_anew: 0,
            by_name: OnceCell::new(),
            by_value: FxHashMap::default(),
        }
    }

    /// Takes a member, where nobody has taken it.
    fn take(&mut self, at: usize) -> Option<(Node<'t, 'a>, Node<'t, 'a>)> {
        let member = self.members[at].take()?;
        self.left -= 1;
        Some(member)
    }

    /// Takes the added member whose name is what v2 issued in the place of `name`.
    fn take_twin(&mut self, bound: Bound<'_>, name: &str) -> Option<Node<'t, 'a>> {
        let twin = bound.twin(name, &Named::default())?;
        let by_name = self.by_name.get_or_init(|| {
            let named = |(at, member): (usize, &Option<(Node<'t, 'a>, Node<'t, 'a>)>)| {
                Some((Bound::name(&member.as_ref()?.0.text()), at))
            };
            self.members.iter().enumerate().filter_map(named).collect()
        });
        let at = *by_name.get(&twin)?;
        self.take(at).map(|(_, actual)| actual)
    }

    /// Whether `name` and the next added name that is left are values that each answer has anew.
    fn may_be_anew(&mut self, context: &Context<'_>, name: &str) -> bool {
        while self.members.get(self.next_anew).is_some_and(Option::is_none) {
            self.next_anew += 1;
        }
        let next = self.members.get(self.next_anew).and_then(Option::as_ref);
        next.is_some_and(|(other, _)| context.are_anew(name, &other.text()))
    }

    /// Takes the next added member, where its name is a value made as `name` was.
    fn take_anew(
        &mut self,
        context: &Context<'_>,
        name: &str,
    ) -> Option<(Node<'t, 'a>, Node<'t, 'a>)> {
        if !self.may_be_anew(context, name) {
            return None;
        }
        self.take(self.next_anew)
    }

    /// Finds all members by their values, when it is first asked for.
    fn index_values(&mut self) {
        if self.by_value.is_empty() {
            for (index, member) in self.members.iter().enumerate().rev() {
                let Some((_, value)) = member else { continue };
                self.by_value.entry(hash(*value)).or_default().push(index);
            }
        }
    }

    /// Takes the first added member with this value whose name is `wanted`, among the first
    /// [`limits::RENAMING_CANDIDATES`].
    fn take_same(
        &mut self,
        value: Node<'_, '_>,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(Node<'t, 'a>, Node<'t, 'a>)> {
        self.index_values();
        let same = self.by_value.get_mut(&hash(value))?;
        let from = same.len().saturating_sub(limits::RENAMING_CANDIDATES);
        let place = (from..same.len()).rev().find(|&place| {
            steps::add(1);
            self.members[same[place]]
                .as_ref()
                .is_some_and(|(name, actual)| actual.kind() == value.kind() && wanted(&name.text()))
        })?;
        let index = same.remove(place);
        self.take(index)
    }

    /// Takes the added member that is the removed one under another name: one with the same value,
    /// the likest name among the first [`limits::RENAMING_CANDIDATES`]. A value that says nothing
    /// (null, true, an empty one) is enough only where there is no choice.
    fn take_renamed(
        &mut self,
        name: &str,
        value: Node<'_, '_>,
    ) -> Option<(Cow<'a, str>, Node<'t, 'a>)> {
        let mute = matches!(value.kind(), Type::Null | Type::Boolean)
            || matches!(value.raw(), b"" | b"[]" | b"{}");
        self.index_values();
        let same = self.by_value.get_mut(&hash(value))?;
        let mut best: Option<(usize, f64)> = None;
        let from = same.len().saturating_sub(limits::RENAMING_CANDIDATES);
        for (place, &index) in same.iter().enumerate().skip(from).rev() {
            steps::add(1);
            let Some((other, actual)) = &self.members[index] else { continue };
            let likeness = strsim::jaro_winkler(name, &other.text());
            if actual.kind() == value.kind() && best.is_none_or(|(_, most)| likeness > most) {
                best = Some((place, likeness));
            }
        }
        let (place, likeness) = best?;
        if mute && self.left > 1 && likeness < 0.7 {
            return None;
        }
        let index = same.remove(place);
        self.take(index).map(|(name, actual)| (name.text(), actual))
    }
}

#[cfg(test)]
mod tests;
