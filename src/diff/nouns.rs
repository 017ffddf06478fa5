//! The kinds of things that a value may name where it stands: only there a small number is bound.

use std::borrow::Cow;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

use crate::bind::find::things::{self, Nouns, Stands, singular};
use crate::message::Request;
use crate::message::document::tells_kind;
use crate::message::place::{Step, Trail};
use crate::message::target::path_and_query;

/// How a value is called that names a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Called {
    /// In any other way: in a link, by the name of its thing.
    #[default]
    Otherwise,
    /// `id`, `uuid`, `key`.
    Id,
    /// `number`, `no`: what people count, perhaps anew for each customer.
    Number,
}

impl Called {
    /// How a value at these steps is called.
    pub(super) fn at(steps: &[Step<'_>]) -> Self {
        match steps.last() {
            Some(Step::Name(name)) if things::is_counted(name) => Self::Number,
            Some(Step::Name(name)) if things::is_nameless(name) => Self::Id,
            _ => Self::Otherwise,
        }
    }
}

/// What a value may name where it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// The kinds of things, as its name, what holds it and what was asked for tell them.
    pub(super) nouns: Vec<String>,
    /// How it is called.
    pub(super) called: Called,
    /// The hash of its name; 0 where it has none.
    pub(super) name: u64,
    /// Whether it may name a thing of a kind that nothing tells: the `id` of what changed, of what
    /// was found.
    pub(super) any: bool,
    /// Kinds that it does not name: what stands beside it does.
    pub(super) others: Vec<String>,
    /// Whether it may be the number that was asked for, whatever it is called.
    pub(super) asked: bool,
}

impl Named {
    /// Of the kind called `noun`, however it is called.
    pub(super) fn of(noun: String) -> Self {
        Self { nouns: vec![noun], ..Self::default() }
    }

    fn add(&mut self, nouns: impl IntoIterator<Item = String>) {
        for noun in nouns {
            if !self.nouns.contains(&noun) {
                self.nouns.push(noun);
            }
        }
    }
}

/// The hash of a name under which values are issued.
pub(super) fn name_of(steps: &[Step<'_>]) -> u64 {
    let named = steps.iter().rev().find_map(|step| match step {
        Step::Name(name)
        | Step::Attribute(name)
        | Step::Element(name, _)
        | Step::Header(name)
        | Step::Cookie(name) => Some(name),
        _ => None,
    });
    named.map_or(0, |name| {
        let mut hasher = FxHasher::default();
        name.to_ascii_lowercase().hash(&mut hasher);
        hasher.finish() | 1
    })
}

/// What a value may name that stands at a place of an answer to `request`.
pub(super) fn at(steps: &[Step<'_>], request: &Request) -> Named {
    let target = &*request.target;
    let nouns = path_of(target).asked_by(&request.method);
    let mut found = Named { called: Called::at(steps), name: name_of(steps), ..Named::default() };
    follow(steps, None, &mut |trail| {
        found.nouns = things::at(trail, Stands::Issued, None, &nouns).0;
    });
    if found.nouns.iter().any(|noun| things::is_person(noun)) {
        found.add(things::people());
    }
    // What a page has in attributes and cells has no better name.
    found.asked = found.called == Called::Id
        || matches!(steps.last(), Some(Step::Attribute(_) | Step::Text(_)));
    // The `id` of a list's elements may be of any thing: what changed, what was found.
    found.any = found.called == Called::Id;
    // `object_id` is of whatever the answer is about.
    if steps.last().and_then(Step::name).is_some_and(is_any_thing) {
        found.add(of(target));
    }
    // A number in a link's query names what its parameter is called.
    if let Some(Step::Query(name)) = steps.last() {
        found.add(singular(name));
    }
    // `"task": 5` is the task of that number, and `"tasks": [5]` are some; so is what a form has as
    // its `task`.
    let member = steps.iter().rev().find(|step| !matches!(step, Step::Index(_)));
    let is_field = matches!(steps, [.., Step::Attribute(_), Step::Attribute(_)]);
    if let Some(Step::Name(name)) = member
        && (!things::is_counter(name) || things::is_reference(name))
    {
        let noun = singular(name);
        // `"author": 5` is the user of that number.
        if noun.as_deref().is_some_and(things::is_person) {
            found.add(things::people());
        }
        found.add(noun);
    } else if let Some(Step::Attribute(name)) = member
        && is_field
        && (!things::is_counter(name) || things::is_reference(name))
    {
        found.add(singular(name));
    }
    found
}

/// What a parameter of a link to `path` may name: `5` in `/topic.php?id=5` a topic.
pub(super) fn of_link(name: &str, path: &str, request: &Request) -> Named {
    let mut found = at(&[Step::Query(name.into())], request);
    if things::is_nameless(name) {
        found.add(of(path.as_bytes()));
        // The order of `/order.php?id=5`.
        let file = path.rsplit('/').next().and_then(|last| last.split_once('.'));
        found.add(file.and_then(|(stem, _)| singular(stem)));
        found.asked = true;
    }
    found
}

/// What an object in an answer says of itself beside its `id`, which is `own`: what kinds of thing
/// it may be, and of which kinds it names others.
pub(super) fn beside<'m>(
    own: &str,
    members: impl Iterator<Item = (Cow<'m, str>, Beside<'m>)>,
) -> (Vec<String>, Vec<String>) {
    let (mut kinds, mut others) = (Vec::new(), Vec::new());
    for (name, value) in members {
        match value {
            Beside::Text(text) if tells_kind(&name) => kinds.extend(things::told(&text)),
            Beside::Thing => others.extend(singular(&name)),
            // `user_id` may say the `id` of a user once more.
            Beside::Number(text) | Beside::Text(text) if text != own => {
                let noun = things::identified(&name).filter(|noun| !noun.is_empty());
                others.extend(noun.and_then(singular));
            }
            Beside::Number(_) | Beside::Text(_) => {}
            Beside::Other => {}
        }
    }
    (kinds, others)
}

/// What stands beside an `id`.
pub(super) enum Beside<'m> {
    Text(Cow<'m, str>),
    Number(Cow<'m, str>),
    /// An object with an `id` of its own.
    Thing,
    Other,
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

/// What a word before a number in a text says that it names: `Order 7`, `Order No. 7`; a page of
/// that many is none.
pub(super) fn spoken(text: &str, at: usize) -> Option<String> {
    const NUMBERS: [&str; 4] = ["no", "nr", "num", "number"];
    let said = text.get(..at)?.strip_suffix(' ')?;
    let word = last_word(said.strip_suffix('.').unwrap_or(said));
    let is_number = NUMBERS.iter().any(|own| word.eq_ignore_ascii_case(own));
    let word = match is_number {
        true => last_word(said.trim_end_matches('.').strip_suffix(word)?.trim_end()),
        false => last_word(said),
    };
    let is_thing = is_number || !things::is_counter(word) || things::is_reference(word);
    singular(word).filter(|_| is_thing)
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
        let request = Request { target: b"/issues/8/edit".to_vec().into(), ..Request::default() };
        let at = |name: &'static str| at(&[Step::Root, Step::Name(name.into())], &request);
        for name in ["object_id", "objectId", "target-id"] {
            let found = at(name).nouns;
            assert!(found.contains(&"issue".to_owned()), "{name} {found:?}");
        }
        for (name, noun) in [
            ("task", Some("task")),
            ("Tasks", Some("task")),
            ("order", Some("order")),
            ("page", None),
        ] {
            let named = [Step::Root, Step::Name(name.into()), Step::Index(2)];
            let found = super::at(&named, &request).nouns;
            assert_eq!(found.first().map(String::as_str), noun, "{name}");
        }
        for name in ["object", "order_id", "amount"] {
            assert!(!at(name).nouns.contains(&"issue".to_owned()), "{name}");
        }
    }

    #[test]
    fn a_number_of_the_path_is_of_what_stands_before_it() {
        let of = |number: &str| of_number(number, b"/issues/8/entries/new?x=9");
        assert_eq!(of("8").as_deref(), Some("issue"));
        assert_eq!([of("9"), of(""), of_number("8", b"/8")], [None, None, None]);
    }
}
