//! A document as a tree of elements and texts, in one flat list.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

use crate::redact::Masker;
use crate::redact::names::is_secret_field;

/// Deepest nesting that is compared by structure.
pub(super) const MAX_DEPTH: usize = 256;
/// Most elements and texts of one document.
const MAX_NODES: usize = 1 << 18;
/// Longest outline of an element, in bytes.
const MAX_OUTLINE: usize = 400;

/// An element's name and attributes; attributes are sorted, the first of several with one name
/// counts.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    pub(super) attributes: Vec<(Box<str>, Box<str>)>,
}

impl Element {
    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let at = self.attributes.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.attributes[at].1)
    }

    /// What the value of an input, or the content of a `<meta>`, is called: its name, where that is
    /// a secret's, or its id.
    pub(super) fn field(&self) -> Option<&str> {
        let both = [self.attribute("name"), self.attribute("id")].into_iter().flatten();
        both.clone().find(|name| is_secret_field(name)).or_else(|| both.clone().next())
    }
}

/// Whether an attribute of this name is the value of what [`Element::field`] names.
pub(super) fn is_value(attribute: &str) -> bool {
    matches!(attribute, "value" | "content")
}

#[derive(Debug)]
enum Content {
    Element(Element),
    Text(Box<str>),
    Doctype(Box<str>),
}

#[derive(Debug)]
struct Entry {
    content: Content,
    /// The index behind this node's subtree.
    next: u32,
    /// Equal subtrees have equal hashes.
    hash: u64,
}

/// A tree; the root is an element without name.
#[derive(Debug)]
pub(super) struct Tree(Vec<Entry>);

/// A node of a tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    tree: &'t Tree,
    index: u32,
}

impl Tree {
    pub(super) fn root(&self) -> Node<'_> {
        Node { tree: self, index: 0 }
    }
}

impl<'t> Node<'t> {
    fn entry(self) -> &'t Entry {
        &self.tree.0[self.index as usize]
    }

    /// The step of a place that leads here.
    pub(super) fn name(self) -> &'t str {
        match &self.entry().content {
            Content::Element(element) => &element.name,
            Content::Text(_) => "text()",
            Content::Doctype(_) => "doctype()",
        }
    }

    pub(super) fn hash(self) -> u64 {
        self.entry().hash
    }

    pub(super) fn element(self) -> Option<&'t Element> {
        match &self.entry().content {
            Content::Element(element) => Some(element),
            _ => None,
        }
    }

    /// A text's or a doctype's own text.
    pub(super) fn text(self) -> &'t str {
        match &self.entry().content {
            Content::Element(_) => "",
            Content::Text(text) | Content::Doctype(text) => text,
        }
    }

    pub(super) fn children(self) -> impl Iterator<Item = Node<'t>> {
        let end = if self.element().is_some() { self.entry().next } else { self.index + 1 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let node = Node { tree: self.tree, index };
            (index < end).then(|| {
                index = node.entry().next;
                node
            })
        })
    }

    /// What stands here in short: `<a href="/x">see there`, with the texts of all that is under it,
    /// secrets masked.
    pub(super) fn outline(self, masker: &Masker) -> String {
        let Some(element) = self.element() else { return masker.text(self.text()).into_owned() };
        let mut out = format!("<{}", element.name);
        let field = element.field();
        for (name, value) in element.attributes.iter().take(8) {
            let names = [&*element.name, name].into_iter().chain(field.filter(|_| is_value(name)));
            out.push_str(&format!(" {name}=\"{}\"", masker.below(names, value)));
        }
        out.push('>');
        // Where the element of a secret's name ends that was entered last.
        let mut secret_to =
            if masker.hides_all_below([&*element.name]) { self.entry().next } else { 0 };
        for index in self.index + 1..self.entry().next {
            match &self.tree.0[index as usize].content {
                Content::Element(element)
                    if index >= secret_to && masker.hides_all_below([&*element.name]) =>
                {
                    secret_to = self.tree.0[index as usize].next;
                }
                Content::Text(text) => {
                    out.push_str(if out.ends_with('>') { "" } else { " " });
                    out.push_str(&if index < secret_to {
                        masker.secret(text)
                    } else {
                        masker.text(text)
                    });
                }
                _ => {}
            }
            if out.len() > MAX_OUTLINE {
                break;
            }
        }
        out
    }
}

/// Builds a tree from what a parser sees, in order.
pub(super) struct Builder {
    entries: Vec<Entry>,
    open: Vec<u32>,
    /// Text that may go on.
    text: String,
    /// Whether the tree has become too deep or too large.
    failed: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        let root = Entry { content: Content::Element(Element::default()), next: 0, hash: 0 };
        Self { entries: vec![root], open: vec![0], text: String::new(), failed: false }
    }

    /// The names of the open elements, the innermost first.
    pub(super) fn open(&self) -> impl Iterator<Item = &str> {
        self.open.iter().rev().filter_map(|&index| match &self.entries[index as usize].content {
            Content::Element(element) if index > 0 => Some(&*element.name),
            _ => None,
        })
    }

    pub(super) fn start(&mut self, name: &str, mut attributes: Vec<(Box<str>, Box<str>)>) {
        self.end_text();
        attributes.sort_by(|a, b| a.0.cmp(&b.0));
        attributes.dedup_by(|a, b| a.0 == b.0);
        if self.open.len() > MAX_DEPTH {
            self.failed = true;
            return;
        }
        if self.push(Content::Element(Element { name: name.into(), attributes })) {
            self.open.push(self.entries.len() as u32 - 1);
        }
    }

    /// Ends the innermost open element.
    pub(super) fn end(&mut self) {
        self.end_text();
        if self.open.len() > 1
            && let Some(index) = self.open.pop()
        {
            self.close(index);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn doctype(&mut self, text: &str) {
        self.end_text();
        if self.push(Content::Doctype(text.into())) {
            self.close(self.entries.len() as u32 - 1);
        }
    }

    /// Whether the tree is beyond its bounds: then there is no use in going on.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// The tree, with all elements ended; none where it is beyond its bounds.
    pub(super) fn finish(mut self) -> Option<Tree> {
        while self.open.len() > 1 && !self.failed {
            self.end();
        }
        self.end_text();
        self.close(0);
        (!self.failed).then_some(Tree(self.entries))
    }

    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        let exact = self
            .open()
            .next()
            .is_some_and(|name| matches!(name, "pre" | "textarea" | "script" | "style"));
        let text = if exact {
            text.trim().replace("\r\n", "\n")
        } else {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        if !text.is_empty() && self.push(Content::Text(text.into())) {
            self.close(self.entries.len() as u32 - 1);
        }
    }

    /// Adds a node; false where the tree has become too large.
    fn push(&mut self, content: Content) -> bool {
        self.failed |= self.entries.len() >= MAX_NODES;
        if !self.failed {
            self.entries.push(Entry { content, next: 0, hash: 0 });
        }
        !self.failed
    }

    fn close(&mut self, index: u32) {
        let mut hasher = FxHasher::default();
        let mut child = index as usize + 1;
        while child < self.entries.len() {
            hasher.write_u64(self.entries[child].hash);
            child = self.entries[child].next as usize;
        }
        match &self.entries[index as usize].content {
            Content::Element(element) => (0, &element.name, &element.attributes).hash(&mut hasher),
            Content::Text(text) => (1, text).hash(&mut hasher),
            Content::Doctype(text) => (2, text).hash(&mut hasher),
        }
        let next = self.entries.len() as u32;
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.hash) = (next, hasher.finish());
    }
}
