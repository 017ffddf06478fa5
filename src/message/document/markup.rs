//! The values of XML and HTML: texts, attributes, and the namespaces of elements.
//!
//! Elements are named without their prefix, which is the writer's choice; in what namespace one is
//! stands at a place of its own. The values of inputs and `<meta>` carry the name that they have on
//! the page; what stands in a script or an attribute may be a document.

use rustc_hash::FxHashMap;

use super::super::markup::tree::{Element, Tree, TreeNode};
use super::super::markup::{html, xml};
use super::super::place::{Step, Trail};
use super::{Encoding, Form, Patch, Value, Walk};

/// Attributes of HTML whose value is a URL.
const URLS: [&str; 5] = ["href", "src", "action", "formaction", "data-url"];

/// What holds for an element and all under it.
#[derive(Clone, Copy)]
struct Scope<'s> {
    html: bool,
    /// Namespaces by prefix, the innermost last.
    namespaces: &'s [(&'s str, &'s str)],
    /// That of the parent.
    namespace: &'s str,
}

impl Walk<'_> {
    /// XML in a value, undone to `text`; none where it is none, or no more than a text.
    pub(super) fn xml_in(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        value: Value<'_>,
    ) -> Option<Option<String>> {
        let tree = xml::parse_placed(text)?;
        if tree.root().children().all(|node| node.element().is_none())
            || !self.visit.inside(at, value)
        {
            return None;
        }
        Some(self.tree(Some(at), text, &tree, false))
    }

    /// A document of XML; none where it is not well-formed.
    pub(super) fn xml(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<Option<String>> {
        let tree = xml::parse_placed(text)?;
        Some(self.tree(at, text, &tree, false))
    }

    /// A page; none where it is beyond the bounds of one.
    pub(super) fn html(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<Option<String>> {
        let tree = html::parse_placed(text)?;
        Some(self.tree(at, text, &tree, true))
    }

    fn tree(
        &mut self,
        at: Option<&Trail<'_>>,
        text: &str,
        tree: &Tree,
        html: bool,
    ) -> Option<String> {
        let mut patch = Patch::default();
        let scope = Scope { html, namespaces: &[], namespace: "" };
        self.children(at, tree.root(), scope, &mut patch);
        // Attributes are told by name, not in the order in which they stand.
        patch.0.sort_by_key(|(at, _)| at.start);
        patch.applied(text)
    }

    /// Recursion is bounded by the depth that a tree may have.
    fn children(
        &mut self,
        at: Option<&Trail<'_>>,
        node: TreeNode<'_>,
        scope: Scope<'_>,
        patch: &mut Patch,
    ) {
        let mut numbers: FxHashMap<&str, usize> = FxHashMap::default();
        let alone = node.children().nth(1).is_none();
        for child in node.children() {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            let name = local(child.name());
            let number = if alone {
                1
            } else {
                let number = numbers.entry(name).or_default();
                *number += 1;
                *number
            };
            match child.element() {
                Some(element) => {
                    let step = Step::Element(name.into(), number);
                    let trail = super::further(at, step);
                    self.element(&trail, child, element, scope, patch);
                }
                None => {
                    let trail = super::further(at, Step::Text(number));
                    self.markup_text(&trail, child, scope, patch);
                }
            }
        }
    }

    fn markup_text(
        &mut self,
        at: &Trail<'_>,
        node: TreeNode<'_>,
        scope: Scope<'_>,
        patch: &mut Patch,
    ) {
        if !node.is_text() {
            // A document type.
            self.one(at, node.text(), Form::Text, Encoding::Plain);
            return;
        }
        let raw = scope.html
            && matches!(at.before().map(Trail::last), Some(Step::Element(name, _)) if is_raw(name));
        let (encoding, edited) = match raw {
            true => (Encoding::Plain, self.code(at, node.text())),
            false => (Encoding::Text, self.text(at, node.text(), Encoding::Text)),
        };
        patch.put_some(node.span(), edited, encoding);
    }

    fn element(
        &mut self,
        at: &Trail<'_>,
        node: TreeNode<'_>,
        element: &Element,
        scope: Scope<'_>,
        patch: &mut Patch,
    ) {
        let mut namespaces = Vec::new();
        let declares = element.attributes.iter().any(|(name, _)| name.starts_with("xmlns"));
        if !scope.html && declares {
            namespaces.extend_from_slice(scope.namespaces);
            namespaces.extend(
                element
                    .attributes
                    .iter()
                    .filter_map(|(name, value)| Some((declared_prefix(name)?, &**value))),
            );
        }
        let namespaces = if declares { &namespaces[..] } else { scope.namespaces };
        let namespace = match scope.html {
            true => "",
            false => in_scope(namespaces, prefix(&element.name)).unwrap_or_default(),
        };
        if namespace != scope.namespace {
            self.one(&at.then(Step::Namespace), namespace, Form::Text, Encoding::Attribute);
        }
        let label = scope.html.then(|| label(element)).flatten();
        let mut told = false;
        for (index, (name, value)) in element.attributes.iter().enumerate() {
            if !scope.html && declared_prefix(name).is_some() {
                continue;
            }
            told = true;
            let trail = at.then(Step::Attribute(local(name).into()));
            let foreign = prefix(name);
            if !scope.html && !foreign.is_empty() {
                let namespace = in_scope(namespaces, foreign).unwrap_or(foreign);
                self.one(&trail.then(Step::Namespace), namespace, Form::Text, Encoding::Attribute);
            }
            let label = label.filter(|_| matches!(&**name, "value" | "content"));
            let edited = if scope.html && URLS.contains(&&**name) {
                self.url(&trail, value)
                    .unwrap_or_else(|| self.text(&trail, value, Encoding::Attribute))
            } else {
                self.labelled(&trail, value, Encoding::Attribute, label)
            };
            if let Some(span) = element.spans.get(index).filter(|span| !span.is_empty()) {
                let span = span.start as usize..span.end as usize;
                patch.put_some(span, edited, Encoding::Attribute);
            }
        }
        if node.children().next().is_none() && !told {
            self.one(at, "", Form::Empty, Encoding::Text);
        }
        let scope = Scope { namespaces, namespace, ..scope };
        self.children(Some(at), node, scope, patch);
    }
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

/// The prefix that an attribute declares; empty for that of names without one.
fn declared_prefix(attribute: &str) -> Option<&str> {
    match attribute.strip_prefix("xmlns")? {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    }
}

fn in_scope<'s>(namespaces: &[(&str, &'s str)], prefix: &str) -> Option<&'s str> {
    namespaces.iter().rev().find(|(known, _)| *known == prefix).map(|(_, namespace)| *namespace)
}

/// Elements of HTML whose text is written as it is (HTML §13.1.2).
fn is_raw(name: &str) -> bool {
    matches!(name, "script" | "style")
}

/// What an input or a `<meta>` is called on the page.
fn label(element: &Element) -> Option<&str> {
    ["name", "property", "id"].into_iter().find_map(|name| element.attribute(name))
}
