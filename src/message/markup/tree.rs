//! A document as a tree of elements and texts, in one flat list.

use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;

use rustc_hash::FxHasher;

/// Deepest nesting that is compared by structure.
pub(crate) const MAX_DEPTH: usize = 256;
/// Most elements and texts of one document.
const MAX_NODES: usize = 1 << 18;

/// An element's name and attributes; attributes are sorted, the first of several with one name
/// counts.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: Box<str>,
    pub(crate) attributes: Vec<(Box<str>, Box<str>)>,
    /// Where the value of each stands in the text, with its quotes; empty where nobody asked.
    pub(crate) spans: Vec<Range<u32>>,
}

/// An attribute as a parser sees it: its name, its value, and where that stands.
pub(crate) type Attribute = (Box<str>, Box<str>, Range<u32>);

impl Element {
    /// An attribute's value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let at = self.attributes.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.attributes[at].1)
    }
}

#[derive(Debug)]
enum NodeContent {
    Element(Element),
    Text(Box<str>),
    Doctype(Box<str>),
}

#[derive(Debug)]
struct TreeEntry {
    content: NodeContent,
    /// The index behind this node's subtree.
    next: u32,
    /// Equal subtrees have equal hashes.
    hash: u64,
    /// Where a text stands, where somebody asked.
    span: Range<u32>,
}

/// A tree; the root is an element without name.
#[derive(Debug)]
pub(crate) struct Tree(Vec<TreeEntry>);

/// A node of a tree.
#[derive(Clone, Copy)]
pub(crate) struct TreeNode<'t> {
    tree: &'t Tree,
    index: u32,
}

impl Tree {
    pub(crate) fn root(&self) -> TreeNode<'_> {
        TreeNode { tree: self, index: 0 }
    }
}

impl<'t> TreeNode<'t> {
    fn entry(self) -> &'t TreeEntry {
        &self.tree.0[self.index as usize]
    }

    /// The step of a place that leads here.
    pub(crate) fn name(self) -> &'t str {
        match &self.entry().content {
            NodeContent::Element(element) => &element.name,
            NodeContent::Text(_) => "text()",
            NodeContent::Doctype(_) => "doctype()",
        }
    }

    pub(crate) fn hash(self) -> u64 {
        self.entry().hash
    }

    pub(crate) fn element(self) -> Option<&'t Element> {
        match &self.entry().content {
            NodeContent::Element(element) => Some(element),
            _ => None,
        }
    }

    /// A text's or a doctype's own text.
    pub(crate) fn text(self) -> &'t str {
        match &self.entry().content {
            NodeContent::Element(_) => "",
            NodeContent::Text(text) | NodeContent::Doctype(text) => text,
        }
    }

    pub(crate) fn children(self) -> impl Iterator<Item = TreeNode<'t>> {
        let end = if self.element().is_some() { self.entry().next } else { self.index + 1 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let node = TreeNode { tree: self.tree, index };
            (index < end).then(|| {
                index = node.entry().next;
                node
            })
        })
    }

    /// Whether it is text (and not an element, or a doctype).
    pub(crate) fn is_text(self) -> bool {
        matches!(self.entry().content, NodeContent::Text(_))
    }

    /// All that stands under it, in the order of the document.
    pub(crate) fn descendants(self) -> impl Iterator<Item = TreeNode<'t>> {
        let end = if self.element().is_some() { self.end() } else { 0 };
        (self.index + 1..end).map(move |index| TreeNode { tree: self.tree, index })
    }

    /// Where a text stands in the document, as it is written there.
    pub(crate) fn span(self) -> Range<usize> {
        let span = &self.entry().span;
        span.start as usize..span.end as usize
    }

    /// Its place in the order of the document.
    pub(crate) const fn position(self) -> u32 {
        self.index
    }

    /// The place behind all that stands under it.
    pub(crate) fn end(self) -> u32 {
        self.entry().next
    }
}

/// Builds a tree from what a parser sees, in order.
pub(crate) struct Builder {
    entries: Vec<TreeEntry>,
    open: Vec<u32>,
    /// Text that may go on.
    text: String,
    /// Where that stands.
    span: Range<u32>,
    /// Whether it is asked where things stand.
    placed: bool,
    /// Whether an element has two attributes of one name.
    pub(crate) doubled: bool,
    /// Whether the tree has become too deep or too large.
    failed: bool,
}

/// Whether a text has no blanks but single ones between its words.
fn is_collapsed(text: &[u8]) -> bool {
    let mut before = b' ';
    for &byte in text {
        // Of other scripts there are blanks of their own.
        if byte < b' ' || !byte.is_ascii() || byte == b' ' && before == b' ' {
            return false;
        }
        before = byte;
    }
    before != b' '
}

impl Builder {
    /// `placed` keeps where attributes and texts stand.
    pub(crate) fn new(placed: bool) -> Self {
        let content = NodeContent::Element(Element::default());
        let root = TreeEntry { content, next: 0, hash: 0, span: 0..0 };
        Self {
            entries: vec![root],
            open: vec![0],
            text: String::new(),
            span: 0..0,
            placed,
            doubled: false,
            failed: false,
        }
    }

    /// The names of the open elements, the innermost first.
    pub(crate) fn open(&self) -> impl Iterator<Item = &str> {
        self.open.iter().rev().filter_map(|&index| match &self.entries[index as usize].content {
            NodeContent::Element(element) if index > 0 => Some(&*element.name),
            _ => None,
        })
    }

    pub(crate) fn start(&mut self, name: &str, mut found: Vec<Attribute>) {
        self.end_text();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let all = found.len();
        found.dedup_by(|a, b| a.0 == b.0);
        self.doubled |= found.len() < all;
        if self.open.len() > MAX_DEPTH {
            self.failed = true;
            return;
        }
        let asked = if self.placed { &found[..] } else { &[] };
        let spans = asked.iter().map(|(_, _, span)| span.clone()).collect();
        let attributes = found.into_iter().map(|(name, value, _)| (name, value)).collect();
        if self.push(NodeContent::Element(Element { name: name.into(), attributes, spans })) {
            self.open.push(self.entries.len() as u32 - 1);
        }
    }

    /// Ends the innermost open element.
    pub(crate) fn end(&mut self) {
        self.end_text();
        if self.open.len() > 1
            && let Some(index) = self.open.pop()
        {
            self.close(index);
        }
    }

    /// A text, or more of it, and where it stands.
    pub(crate) fn text(&mut self, text: &str, span: Range<usize>) {
        if self.text.is_empty() {
            self.span.start = span.start as u32;
        }
        self.span.end = span.end as u32;
        self.text.push_str(text);
    }

    pub(crate) fn doctype(&mut self, text: &str) {
        self.end_text();
        if self.push(NodeContent::Doctype(text.into())) {
            self.close(self.entries.len() as u32 - 1);
        }
    }

    /// Whether the tree is beyond its bounds: then there is no use in going on.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// The tree, with all elements ended; none where it is beyond its bounds.
    pub(crate) fn finish(mut self) -> Option<Tree> {
        // Of a tree that is not whole the ends are not known.
        if self.failed {
            return None;
        }
        while self.open.len() > 1 {
            self.end();
        }
        self.end_text();
        if self.failed {
            return None;
        }
        self.close(0);
        Some(Tree(self.entries))
    }

    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        let exact = self
            .open()
            .next()
            .is_some_and(|name| matches!(name, "pre" | "textarea" | "script" | "style"));
        let text = if exact {
            text.trim().replace("\r\n", "\n")
        } else if is_collapsed(text.as_bytes()) {
            text
        } else {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        if !text.is_empty() && self.push(NodeContent::Text(text.into())) {
            self.close(self.entries.len() as u32 - 1);
        }
    }

    /// Adds a node; false where the tree has become too large.
    fn push(&mut self, content: NodeContent) -> bool {
        self.failed |= self.entries.len() >= MAX_NODES;
        if !self.failed {
            self.entries.push(TreeEntry { content, next: 0, hash: 0, span: self.span.clone() });
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
            NodeContent::Element(element) => {
                (0, &element.name, &element.attributes).hash(&mut hasher)
            }
            NodeContent::Text(text) => (1, text).hash(&mut hasher),
            NodeContent::Doctype(text) => (2, text).hash(&mut hasher),
        }
        let next = self.entries.len() as u32;
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.hash) = (next, hasher.finish());
    }
}
