//! Elements in short, for people: what stands in a document at a place that differs, its secrets
//! masked.

use crate::message::markup::tree::{Element, TreeNode};
use crate::redact::Masker;
use crate::redact::names::is_secret_field;

/// Longest outline of an element, in bytes.
const MAX_OUTLINE: usize = 400;

/// What the value of an input, or the content of a `<meta>`, is called: its name, where that is a
/// secret's, or its id.
pub(super) fn field(element: &Element) -> Option<&str> {
    let both = [element.attribute("name"), element.attribute("id")].into_iter().flatten();
    both.clone().find(|name| is_secret_field(name)).or_else(|| both.clone().next())
}

/// Whether an attribute of this name is the value of what [`field`] names.
pub(super) fn is_value(attribute: &str) -> bool {
    matches!(attribute, "value" | "content")
}

/// What stands at `node` in short: `<a href="/x">see there`, with the texts of all that is under
/// it, secrets masked.
pub(super) fn outline(node: TreeNode<'_>, masker: &Masker) -> String {
    let Some(element) = node.element() else { return masker.text(node.text()).into_owned() };
    let mut out = opening(element, masker);
    // Where the element of a secret's name ends that was entered last.
    let mut secret_to = if masker.hides_all_below([&*element.name]) { node.end() } else { 0 };
    for below in node.descendants() {
        let hidden = below.position() < secret_to;
        match below.element() {
            Some(element) if !hidden && masker.hides_all_below([&*element.name]) => {
                secret_to = below.end();
            }
            Some(_) => {}
            None if below.is_text() => {
                out.push_str(if out.ends_with('>') { "" } else { " " });
                let text = below.text();
                out.push_str(&if hidden { masker.secret(text) } else { masker.text(text) });
            }
            None => {}
        }
        if out.len() > MAX_OUTLINE {
            break;
        }
    }
    out
}

fn opening(element: &Element, masker: &Masker) -> String {
    let mut out = format!("<{}", element.name);
    let field = field(element);
    for (name, value) in element.attributes.iter().take(8) {
        let names = [&*element.name, name].into_iter().chain(field.filter(|_| is_value(name)));
        out.push_str(&format!(" {name}=\"{}\"", masker.below(names, value)));
    }
    out.push('>');
    out
}
