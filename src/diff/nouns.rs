//! The kinds of things that a value may name where it stands: only there a small number is bound.

use crate::bind::find::things::{self, Nouns, Stands, singular};
use crate::message::place::{Step, Trail};
use crate::message::target::path_and_query;

/// What an `id` may name that does not say of what it is.
pub(super) const ANY_THING: &str = "any thing";

/// What a value may name that stands at a place of an answer to a request for `target`.
pub(super) fn at(steps: &[Step<'_>], target: &[u8]) -> Vec<String> {
    let nouns = path_of(target);
    let mut found = Vec::new();
    follow(steps, None, &mut |trail| found = things::at(trail, Stands::Issued, None, &nouns).0);
    // The `id` of a list's elements may be of any thing: what changed, what was found.
    if let Some(Step::Name(name)) = steps.last()
        && things::is_nameless(name)
    {
        found.push(ANY_THING.to_owned());
    }
    // `object_id` is of whatever the answer is about.
    let named = steps.last().and_then(Step::name).is_some_and(is_any_thing);
    if named {
        found.extend(of(target).filter(|noun| !found.contains(noun)));
    }
    // A number in a link's query names what its parameter is called.
    if let Some(Step::Query(name)) = steps.last() {
        found.extend(singular(name).filter(|name| !found.contains(name)));
    }
    // `"task": 5` is the task of that number, and `"tasks": [5]` are some.
    let member = steps.iter().rev().find(|step| !matches!(step, Step::Index(_)));
    if let Some(Step::Name(name)) = member
        && (!things::is_counter(name) || things::is_reference(name))
    {
        found.extend(singular(name).filter(|name| !found.contains(name)));
    }
    found
}

/// What a parameter of a link to `path` may name: `5` in `/topic.php?id=5` a topic.
pub(super) fn of_link(name: &str, path: &str, target: &[u8]) -> Vec<String> {
    let mut found = at(&[Step::Query(name.into())], target);
    found.extend(
        of(path.as_bytes()).filter(|noun| things::is_nameless(name) && !found.contains(noun)),
    );
    found
}

/// Whether a field of this name holds the id of a thing of any kind.
fn is_any_thing(name: &str) -> bool {
    const ANY: [&str; 5] = ["object", "entity", "resource", "subject", "target"];
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix("id").map(|stem| stem.trim_end_matches(['_', '-']));
    stem.is_some_and(|stem| ANY.contains(&stem))
}

/// What a number names that a request's path has as a segment: an issue in `/issues/8/edit`.
pub(super) fn of_number(number: &str, target: &[u8]) -> Option<String> {
    if number.is_empty() {
        return None;
    }
    let mut segments = path_and_query(target).0.split(|byte| *byte == b'/').rev();
    segments.find(|segment| *segment == number.as_bytes())?;
    singular(std::str::from_utf8(segments.next()?).ok()?)
}

/// Whether these steps lead to an entity tag: `$.eTag`, `/prop/getetag/text()`.
pub(super) fn is_entity_tag(steps: &[Step<'_>]) -> bool {
    let mut named = steps.iter().rev().filter_map(|step| match step {
        Step::Name(name) | Step::Element(name, _) | Step::Attribute(name) => Some(name),
        _ => None,
    });
    named.next().is_some_and(|name| things::is_entity_tag(name))
}

/// What an entity tag of `target` names.
pub(super) fn entity_tag_of(target: &[u8]) -> String {
    path_of(target).entity_tag()
}

/// What a request for `target` is about.
pub(super) fn of(target: &[u8]) -> Option<String> {
    path_of(target).own().next().and_then(singular)
}

fn path_of(target: &[u8]) -> Nouns {
    // Every value of the answer asks.
    const MOST: usize = 4 << 10;
    let path = path_and_query(target).0;
    Nouns::of(&String::from_utf8_lossy(&path[..path.len().min(MOST)]))
}

/// Walks the steps, which trails lead to.
fn follow(steps: &[Step<'_>], before: Option<&Trail<'_>>, then: &mut dyn FnMut(&Trail<'_>)) {
    let Some((first, rest)) = steps.split_first() else { return };
    let trail = match before {
        Some(before) => before.then(first.clone()),
        None => Trail::new(first.clone()),
    };
    if rest.is_empty() { then(&trail) } else { follow(rest, Some(&trail), then) }
}

/// What stands before a value in a text says what it names: `pages/8`, `page_8_title`, `page=8`,
/// `Page #8`.
pub(super) fn before(text: &str, at: usize) -> Option<String> {
    let head = text.get(..at)?;
    let joined = head.trim_end_matches(['/', '_', '-', '=', ':', '#', '.']);
    if joined.len() == head.len() {
        return None;
    }
    let joined = if head.ends_with('#') { joined.trim_end() } else { joined };
    let word = last_word(joined);
    match word.eq_ignore_ascii_case("id") {
        // `page_id=8` names a page.
        true => singular(last_word(
            joined[..joined.len() - word.len()].trim_end_matches(|c: char| !c.is_alphanumeric()),
        )),
        false => singular(word),
    }
}

fn last_word(text: &str) -> &str {
    let start = text
        .rfind(|c: char| !c.is_alphanumeric())
        .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_any_object_is_of_what_was_asked_for() {
        let at = |name: &'static str| at(&[Step::Root, Step::Name(name.into())], b"/issues/8/edit");
        for name in ["object_id", "objectId", "target-id"] {
            assert!(at(name).contains(&"issue".to_owned()), "{name} {:?}", at(name));
        }
        for (name, noun) in [
            ("task", Some("task")),
            ("Tasks", Some("task")),
            ("order", Some("order")),
            ("page", None),
        ] {
            let named = [Step::Root, Step::Name(name.into()), Step::Index(2)];
            let found = super::at(&named, b"/issues/8");
            assert_eq!(found.first().map(String::as_str), noun, "{name}");
        }
        for name in ["object", "order_id", "amount"] {
            assert!(!at(name).contains(&"issue".to_owned()), "{name}");
        }
    }

    #[test]
    fn a_number_of_the_path_is_of_what_stands_before_it() {
        let of = |number: &str| of_number(number, b"/issues/8/entries/new?x=9");
        assert_eq!(of("8").as_deref(), Some("issue"));
        assert_eq!([of("9"), of(""), of_number("8", b"/8")], [None, None, None]);
    }
}
