//! What a page names by its links, its choices and its ids: its rows have the same numbers in other
//! attributes and cells, where nothing tells of what kind they are.

use std::cell::OnceCell;

use rustc_hash::FxHashMap;

use super::super::bindings::Bound;
use super::super::nouns::Named;
use crate::bind::find::things::{self, singular};
use crate::message::markup::tree::{Element, TreeNode};

/// Attributes that are links.
const LINKS: [&str; 6] = ["href", "action", "src", "formaction", "data-href", "data-url"];
/// Attributes that say which one an element is.
const IDS: [&str; 5] = ["id", "for", "data-id", "aria-controls", "aria-labelledby"];
/// Most values that are kept of one page, and longest text in which they are looked for, in bytes.
const MOST: usize = 4_096;
const LONGEST: usize = 512;

/// v1's values in the links of a page, with the names of those that v2 issued in their place.
pub(super) struct PageLinks<'p> {
    bound: Bound<'p>,
    root: TreeNode<'p>,
    /// Found when they are asked for: most pages do not differ where they would be.
    values: OnceCell<FxHashMap<&'p str, Vec<u64>>>,
}

impl<'p> PageLinks<'p> {
    /// Of v1's page.
    pub(super) fn new(bound: Bound<'p>, root: TreeNode<'p>) -> Self {
        Self { bound, root, values: OnceCell::new() }
    }

    /// Whether `b` is `a` with what v2 calls the things to which v1's page has links, and differs
    /// in nothing else.
    pub(super) fn are_equal(&self, a: &str, b: &str) -> bool {
        if a.len().max(b.len()) > LONGEST {
            return false;
        }
        let values = self.values.get_or_init(|| self.find());
        if values.is_empty() {
            return false;
        }
        let (mut ours, mut theirs) = (words(a), words(b));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if one == other || is_linked(values, one, other) => {}
                _ => return false,
            }
        }
    }

    fn find(&self) -> FxHashMap<&'p str, Vec<u64>> {
        let mut values = FxHashMap::default();
        let mut left = vec![(self.root, None)];
        while let Some((node, choice)) = left.pop() {
            if values.len() >= MOST {
                break;
            }
            let mut chosen: Option<&str> = choice;
            if let Some(element) = node.element() {
                chosen = match &*element.name {
                    "select" => element.attribute("name"),
                    "option" | "optgroup" => choice,
                    _ => None,
                };
                self.element(element, choice, &mut values);
            }
            left.extend(node.children().map(|child| (child, chosen)));
        }
        values
    }

    /// Takes what an element names, one of the choices of the field `choice` or none.
    fn element(
        &self,
        element: &'p Element,
        choice: Option<&str>,
        values: &mut FxHashMap<&'p str, Vec<u64>>,
    ) {
        for (name, value) in &element.attributes {
            let is = |own: &&str| name.eq_ignore_ascii_case(own);
            if LINKS.iter().any(&is) {
                self.take(value, values);
            } else if IDS.iter().any(&is) {
                // `comment-5`, `row_5`, `note5`.
                let number = value.find(|c: char| c.is_ascii_digit()).unwrap_or(value.len());
                let word = value[..number].trim_end_matches(['-', '_', ':', '.']);
                if let Some(noun) = word.rsplit(['-', '_', ':', '.']).next().and_then(singular) {
                    self.add(&value[number..], noun, values);
                }
            } else if let Some(field) = choice.filter(|_| is(&"value")) {
                let named = things::identified(field).filter(|noun| !noun.is_empty());
                if let Some(noun) = singular(named.unwrap_or(field)) {
                    self.add(value, noun, values);
                }
            }
        }
    }

    /// Takes what a link names by its path and its query.
    fn take(&self, link: &'p str, values: &mut FxHashMap<&'p str, Vec<u64>>) {
        let mut noun: Option<String> = None;
        let path = link.split(['?', '#']).next().unwrap_or(link);
        for segment in path.split('/') {
            let own = noun.take();
            if let Some(own) = own.filter(|_| !segment.is_empty()) {
                self.add(segment, own, values);
            }
            noun = singular(segment);
        }
        let query = link.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or(query);
        // What the path is about: the topic of `/topic.php?id=5`.
        let about = || path.rsplit('/').next().and_then(|last| singular(last.split('.').next()?));
        for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
            let own = if things::is_nameless(name) { about() } else { singular(name) };
            if let Some(own) = own.filter(|_| !value.is_empty()) {
                self.add(value, own, values);
            }
        }
    }

    fn add(&self, value: &'p str, noun: String, values: &mut FxHashMap<&'p str, Vec<u64>>) {
        if let Some(twin) = self.bound.twin(value, &Named::of(noun)) {
            let known = values.entry(value).or_default();
            if !known.contains(&twin) {
                known.push(twin);
            }
        }
    }
}

/// Whether two words are what a link names, by themselves or behind the same word: `row5`.
fn is_linked(values: &FxHashMap<&str, Vec<u64>>, a: &str, b: &str) -> bool {
    let is = |a: &str, b: &str| values.get(a).is_some_and(|v2| v2.contains(&Bound::name(b)));
    let digit = |text: &str| text.find(|c: char| c.is_ascii_digit());
    is(a, b)
        || digit(a)
            .zip(digit(b))
            .is_some_and(|(at, to)| at > 0 && a[..at] == b[..to] && is(&a[at..], &b[to..]))
}

/// Words, and each sign between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric();
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_words_and_signs() {
        let cut: Vec<&str> = words("remove('row-5é')").collect();
        assert_eq!(cut, ["remove", "(", "'", "row", "-", "5é", "'", ")"]);
    }

    #[test]
    fn a_number_behind_the_same_word_is_the_number() {
        let values = FxHashMap::from_iter([("5", vec![Bound::name("1005")])]);
        for (a, b, is) in [
            ("5", "1005", true),
            ("row5", "row1005", true),
            ("row5", "line1005", false),
            ("5", "1006", false),
            ("6", "1005", false),
            ("row", "row1005", false),
        ] {
            assert_eq!(is_linked(&values, a, b), is, "{a} {b}");
        }
    }
}
