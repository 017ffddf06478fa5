//! Multipart bodies (RFC 2046 §5.1) taken apart, and compared part by part: by name where every
//! part has one (as in forms), else by position. Places are those inside the part behind `part
//! NAME: ` or `part 2: `.

use std::collections::BTreeMap;

use super::Kind;
use super::change::{Context, Look, Sink, hash_place, mix, short};
use super::content::{kind_of, shown, structured};
use super::headers;
use super::rules::RuleVerdict;
use crate::message::Headers;
use crate::message::multipart::{BodyPart, parts};
use crate::message::place::told;
use crate::redact::names::is_secret_field;

/// Compares two multipart bodies; false where one of them is none. Parts of parts are compared as
/// text or bytes: a hostile body may nest them without end.
pub(super) fn compare(
    context: &Context<'_>,
    types: [&Headers; 2],
    a: &[u8],
    b: &[u8],
    sink: &mut Sink,
) -> bool {
    let (Some(left), Some(right)) = (parts(kind_of(types[0]), a), parts(kind_of(types[1]), b))
    else {
        return false;
    };
    match (by_name(&left), by_name(&right)) {
        (Some(left), Some(mut right)) => {
            for (name, a) in left {
                part(context, name, name, Some(a), right.remove(name), sink);
            }
            for (name, b) in right {
                part(context, name, name, None, Some(b), sink);
            }
        }
        _ => {
            for index in 0..left.len().max(right.len()) {
                part(context, &index.to_string(), "[*]", left.get(index), right.get(index), sink);
            }
        }
    }
    true
}

fn part(
    context: &Context<'_>,
    which: &str,
    general: &str,
    a: Option<&BodyPart<'_>>,
    b: Option<&BodyPart<'_>>,
    sink: &mut Sink,
) {
    let mut inside =
        Sink { present: sink.present.as_ref().map(|_| Default::default()), ..Sink::default() };
    match (a, b) {
        (Some(a), Some(b)) => {
            let headers = [&a.headers, &b.headers];
            headers::compare(context, headers[0], headers[1], true, &mut inside);
            if !is_secret(a) && !is_secret(b) {
                structured(context, headers, &a.decoded(), &b.decoded(), &mut inside);
            } else if a.content != b.content {
                // Its places would tell of the secret.
                let (a, b) = (Some(shown_part(a, context)), Some(shown_part(b, context)));
                inside.plain(Kind::Body, "part", "changed", a, b, Look::Plain);
            }
        }
        (Some(a), None) => inside.plain(
            Kind::Missing,
            "part",
            "removed",
            Some(shown_part(a, context)),
            None,
            Look::Plain,
        ),
        (None, Some(b)) => inside.plain(
            Kind::Body,
            "part",
            "added",
            None,
            Some(shown_part(b, context)),
            Look::Plain,
        ),
        (None, None) => {}
    }
    // What was found inside is told under the part's name.
    let [which, general] = [told(which), told(general)];
    let (prefix, prefix_general) = (format!("part {which}: "), format!("part {general}: "));
    let of_part = hash_place(&prefix_general);
    if let (Some(all), Some(present)) = (&mut sink.present, &inside.present) {
        all.insert(mix(of_part, &hash_place("part").to_le_bytes()));
        all.extend(present.iter().map(|place| mix(of_part, &place.to_le_bytes())));
    }
    sink.ruled.append(&mut inside.ruled);
    sink.more += inside.more;
    for mut change in inside.changes {
        change.place.insert_str(0, &prefix);
        change.general.insert_str(0, &prefix_general);
        change.place_hash = mix(of_part, &change.place_hash.to_le_bytes());
        let (a, b) = (change.expected.as_deref(), change.actual.as_deref());
        match context.rules.judge_place(&change.general, a, b) {
            RuleVerdict::Taken(rule) => sink.ruled.push(rule),
            _ => sink.add(change),
        }
    }
}

/// The parts by their names; none where one has no name or two have the same.
fn by_name<'p, 'a>(parts: &'p [BodyPart<'a>]) -> Option<BTreeMap<&'p str, &'p BodyPart<'a>>> {
    let mut names = BTreeMap::new();
    for part in parts {
        if names.insert(part.name.as_deref()?, part).is_some() {
            return None;
        }
    }
    Some(names)
}

/// Whether a part's name is a secret's.
fn is_secret(part: &BodyPart<'_>) -> bool {
    part.name.as_deref().is_some_and(is_secret_field)
}

fn shown_part(part: &BodyPart<'_>, context: &Context<'_>) -> String {
    match std::str::from_utf8(part.content) {
        Ok(text) if is_secret(part) => short(&context.masker.secret(text)),
        _ => shown(context, part.content),
    }
}
