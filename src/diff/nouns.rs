//! The kinds of things that a value may name where it stands: only there a small number is bound.

use crate::message::place::Step;
use crate::message::target::path_and_query;

/// What stands before a value in a text says what it names: `pages/8`, `page_8_title`, `page=8`.
pub(super) fn before(text: &str, at: usize) -> Option<String> {
    let head = text.get(..at)?;
    let joined = head.trim_end_matches(['/', '_', '-', '=', ':', '#', '.']);
    if joined.len() == head.len() {
        return None;
    }
    let start = joined
        .rfind(|c: char| !c.is_alphanumeric())
        .map_or(0, |at| at + joined[at..].chars().next().map_or(0, char::len_utf8));
    singular(&joined[start..])
}

/// What a value may name that stands at a place of an answer to a request for `target`.
pub(super) fn at(steps: &[Step<'_>], target: &[u8]) -> Vec<String> {
    let mut names = steps.iter().rev().filter_map(|step| match step {
        Step::Name(name) | Step::Element(name, _) | Step::Attribute(name) => Some(&**name),
        Step::Cookie(name) => Some(&**name),
        _ => None,
    });
    let Some(own) = names.next() else { return of_path(target).into_iter().collect() };
    let lower = own.to_ascii_lowercase();
    let bare = lower.strip_suffix("ids").or_else(|| lower.strip_suffix("id"));
    match bare.map(|name| name.trim_end_matches(['_', '-'])) {
        Some("") => names
            .find_map(|name| singular(name).filter(|name| !is_holder(name)))
            .or_else(|| of_path(target))
            .into_iter()
            .collect(),
        Some(thing) => {
            let last = thing.rsplit(['_', '-']).next().filter(|last| *last != thing);
            [Some(thing), last].into_iter().flatten().filter_map(singular).collect()
        }
        None => singular(own).into_iter().collect(),
    }
}

/// What a path is about: its last word.
fn of_path(target: &[u8]) -> Option<String> {
    let path = String::from_utf8_lossy(path_and_query(target).0);
    path.rsplit('/').find_map(singular)
}

/// Names of members that only hold what the path names.
fn is_holder(name: &str) -> bool {
    matches!(name, "data" | "result" | "row" | "list" | "object" | "item" | "value" | "record")
}

/// `pages`, `Pages` and `page` are one kind; what has a digit is none.
fn singular(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    if lower.is_empty() || lower.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(match lower.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => lower.strip_suffix('s').unwrap_or(&lower).to_owned(),
    })
}
