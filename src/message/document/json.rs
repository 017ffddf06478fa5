//! The values of JSON: leaves, and names that are values. Members of one name are told one by one.

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::super::json::tape::{Node, Tape, Type};
use super::super::place::{Step, Trail};
use super::{Encoding, Form, Patch, Value, Walk, further, offset_in};

impl Walk<'_> {
    /// What JSON in a value holds, undone to `text`; none where it is none.
    pub(super) fn json_in(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        value: Value<'_>,
    ) -> Option<Option<String>> {
        let tape = Tape::parse(text.as_bytes()).ok()?;
        if !self.visit.inside(at, value) {
            return None;
        }
        Some(self.json_tape(Some(at), text, &tape))
    }

    /// A text of JSON; none where it is none.
    pub(super) fn json(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<Option<String>> {
        let tape = Tape::parse(text.as_bytes()).ok()?;
        Some(self.json_tape(at, text, &tape))
    }

    /// A document that stands at a place of its own; what is none is left.
    pub(super) fn json_at(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let tape = Tape::parse(text.as_bytes()).ok()?;
        let mut patch = Patch::default();
        self.node(at, text, tape.root(), &mut patch);
        patch.applied(text)
    }

    fn json_tape(&mut self, at: Option<&Trail<'_>>, text: &str, tape: &Tape<'_>) -> Option<String> {
        let mut patch = Patch::default();
        self.node(&further(at, Step::Root), text, tape.root(), &mut patch);
        patch.applied(text)
    }

    /// Recursion is bounded by the depth that the tape allows.
    fn node(&mut self, at: &Trail<'_>, text: &str, node: Node<'_, '_>, patch: &mut Patch) {
        let raw = node.raw_str();
        let start = offset_in(text, raw);
        let span = start..start + raw.len();
        match node.kind() {
            Type::Object => self.object(at, text, node, patch),
            Type::Array => self.array(at, text, node, patch),
            Type::String | Type::Escaped => {
                let edited = self.text(at, &node.text(), Encoding::Json);
                patch.put_some(span, edited, Encoding::Json);
            }
            Type::Null | Type::Boolean | Type::Number => {
                let edited = self.one(at, raw, Form::Bare, Encoding::Bare);
                patch.put_some(span, edited, Encoding::Bare);
            }
        }
    }

    fn array(&mut self, at: &Trail<'_>, text: &str, node: Node<'_, '_>, patch: &mut Patch) {
        let mut index = 0;
        for element in node.elements() {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            self.node(&at.then(Step::Index(index)), text, element, patch);
            index += 1;
        }
        if index == 0 {
            self.one(at, "[]", Form::Empty, Encoding::Bare);
        }
    }

    fn object(&mut self, at: &Trail<'_>, text: &str, node: Node<'_, '_>, patch: &mut Patch) {
        let mut names = Names::default();
        let mut members = node.members().peekable();
        if members.peek().is_none() {
            self.one(at, "{}", Form::Empty, Encoding::Bare);
        }
        while let Some((key, value)) = members.next() {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            let name = key.text();
            let which =
                if names.is_empty() && members.peek().is_none() { 1 } else { names.count(&name) };
            let member = at.then(Step::Name((&*name).into()));
            if member.is_variable() {
                let raw = key.raw_str();
                let start = offset_in(text, raw);
                let edited = self.one(&member.then(Step::Key), &name, Form::Key, Encoding::Json);
                patch.put_some(start..start + raw.len(), edited, Encoding::Json);
            }
            match which {
                1 if *name == *"id" => self.id(&member, text, (node, value), patch),
                1 => self.node(&member, text, value, patch),
                _ => self.node(&member.then(Step::Again(which)), text, value, patch),
            }
        }
    }

    /// The `id` of an object, with the kind of thing that the object says it is.
    fn id(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        (object, id): (Node<'_, '_>, Node<'_, '_>),
        patch: &mut Patch,
    ) {
        let Some(kind) = kind_of(object) else { return self.node(at, text, id, patch) };
        let (raw, kind) = (id.raw_str(), Some(&*kind));
        let start = offset_in(text, raw);
        let (form, encoding) = match id.kind() {
            Type::Number => (Form::Bare, Encoding::Bare),
            Type::String | Type::Escaped => (Form::Text, Encoding::Json),
            _ => return self.node(at, text, id, patch),
        };
        let own = id.text();
        let edited = self.whole(at, Value { text: &own, form, encoding, label: None, kind });
        patch.put_some(start..start + raw.len(), edited, encoding);
    }
}

/// Names of members that say of what kind their object is.
const KINDS: [&str; 9] = [
    "__typename",
    "type",
    "kind",
    "@type",
    "object",
    "object_type",
    "entity_type",
    "resource_type",
    "model",
];

/// Whether a member of this name says of what kind its object is.
pub(crate) fn tells_kind(name: &str) -> bool {
    KINDS.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// What kind an object says that it is: `order` of `"type": "shop.order"`.
fn kind_of<'n>(object: Node<'n, '_>) -> Option<Cow<'n, str>> {
    let is_text = |value: &Node<'_, '_>| matches!(value.kind(), Type::String | Type::Escaped);
    let mut members = object.members().filter(|(_, value)| is_text(value));
    members.find(|(name, _)| tells_kind(&name.text())).map(|(_, value)| value.text())
}

/// How often each name of an object was there: most objects have few.
#[derive(Default)]
struct Names {
    few: [u64; FEW],
    count: usize,
    many: FxHashMap<u64, usize>,
}

/// Names that are looked through one by one.
const FEW: usize = 16;

impl Names {
    const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn count(&mut self, name: &str) -> usize {
        let mut hasher = FxHasher::default();
        name.hash(&mut hasher);
        let name = hasher.finish();
        let before = self.few[..self.count.min(FEW)].iter().filter(|few| **few == name).count();
        if self.count < FEW {
            self.few[self.count] = name;
            self.count += 1;
            return before + 1;
        }
        self.count += 1;
        let more = self.many.entry(name).or_default();
        *more += 1;
        before + *more
    }
}
