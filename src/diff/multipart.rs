//! Multipart bodies (RFC 2046 §5.1) taken apart, and compared part by part: by name where every
//! part has one (as in forms), else by position. Places are those inside the part behind `part
//! NAME: ` or `part 2: `.

use std::collections::BTreeMap;

use super::Kind;
use super::body::{parameter, shown, structured};
use super::change::{Context, Look, Sink, hash_place, mix, short};
use super::headers;
use super::rules::Verdict;
use crate::message::Headers;
use crate::redact::names::is_secret_field;

/// Parts of one body that are compared one by one; a body with more is compared as text or bytes.
const MAX_PARTS: usize = 1_000;
/// Header fields of a part.
const MAX_FIELDS: usize = 100;

struct Part<'a> {
    name: Option<String>,
    headers: Headers,
    content: &'a [u8],
}

/// Compares two multipart bodies; false where one of them is none. Parts of parts are compared as
/// text or bytes: a hostile body may nest them without end.
pub(super) fn compare(
    context: &Context<'_>,
    types: [&Headers; 2],
    a: &[u8],
    b: &[u8],
    sink: &mut Sink,
) -> bool {
    let (Some(left), Some(right)) = (parts(types[0], a), parts(types[1], b)) else { return false };
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
    a: Option<&Part<'_>>,
    b: Option<&Part<'_>>,
    sink: &mut Sink,
) {
    let mut inside =
        Sink { present: sink.present.as_ref().map(|_| Default::default()), ..Sink::default() };
    match (a, b) {
        (Some(a), Some(b)) => {
            let headers = [&a.headers, &b.headers];
            headers::compare(context, headers[0], headers[1], true, &mut inside);
            if !a.is_secret() && !b.is_secret() {
                structured(context, headers, a.content, b.content, &mut inside);
            } else if a.content != b.content {
                // Its places would tell of the secret.
                let (a, b) = (Some(a.shown(context)), Some(b.shown(context)));
                inside.plain(Kind::Body, "part", "changed", a, b, Look::Plain);
            }
        }
        (Some(a), None) => inside.plain(
            Kind::Missing,
            "part",
            "removed",
            Some(a.shown(context)),
            None,
            Look::Plain,
        ),
        (None, Some(b)) => {
            inside.plain(Kind::Body, "part", "added", None, Some(b.shown(context)), Look::Plain)
        }
        (None, None) => {}
    }
    // What was found inside is told under the part's name.
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
            Verdict::Taken(rule) => sink.ruled.push(rule),
            _ => sink.add(change),
        }
    }
}

/// The parts by their names; none where one has no name or two have the same.
fn by_name<'p, 'a>(parts: &'p [Part<'a>]) -> Option<BTreeMap<&'p str, &'p Part<'a>>> {
    let mut names = BTreeMap::new();
    for part in parts {
        if names.insert(part.name.as_deref()?, part).is_some() {
            return None;
        }
    }
    Some(names)
}

/// The parts between the delimiters; none where the body is not closed by its last one.
fn parts<'a>(headers: &Headers, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let kind = String::from_utf8_lossy(headers.get("content-type")?);
    if !kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return None;
    }
    let delimiter =
        ["--", &parameter(&kind, "boundary").filter(|boundary| !boundary.is_empty())?].concat();
    let mut parts = Vec::new();
    // Where the part under way begins.
    let mut begin = None;
    for at in memchr::memmem::find_iter(body, delimiter.as_bytes()) {
        let rest = &body[at + delimiter.len()..];
        let at_line = at == 0 || body[at - 1] == b'\n';
        let last = rest.starts_with(b"--");
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        // A line that goes on with other characters is no delimiter.
        if !at_line || !last && rest.get(blanks) != Some(&b'\n') {
            continue;
        }
        if let Some(begin) = begin {
            if parts.len() == MAX_PARTS {
                return None;
            }
            let whole = &body[begin..at.max(begin)];
            let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
            parts.push(Part::read(whole.strip_suffix(b"\r").unwrap_or(whole)));
        }
        if last {
            return Some(parts);
        }
        begin = Some(at + delimiter.len() + blanks + 1);
    }
    None
}

impl<'a> Part<'a> {
    /// Whether its name is a secret's.
    fn is_secret(&self) -> bool {
        self.name.as_deref().is_some_and(is_secret_field)
    }

    fn shown(&self, context: &Context<'_>) -> String {
        match std::str::from_utf8(self.content) {
            Ok(text) if self.is_secret() => short(&context.masker.secret(text)),
            _ => shown(context, self.content),
        }
    }

    fn read(whole: &'a [u8]) -> Self {
        let mut headers = Headers::new();
        let mut content = whole;
        while headers.len() < MAX_FIELDS && !content.is_empty() {
            let end = memchr::memchr(b'\n', content).map_or(content.len(), |end| end + 1);
            let (line, rest) = content.split_at(end);
            content = rest;
            let line = line.trim_ascii_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
            headers.push(name, value.get(1..).unwrap_or_default().trim_ascii());
        }
        let disposition = headers.get("content-disposition").map(String::from_utf8_lossy);
        let name = disposition.and_then(|disposition| parameter(&disposition, "name"));
        Self { name, headers, content }
    }
}
