//! Contents that are no parts: by structure where they have one, as lines where they are text, else
//! by length and hash.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::change::{Context, Look, Sink, short};
use super::markup::Language;
use super::{Kind, calls, embedded, events, form, json, markup, table, text};
use crate::exchange::socket::list::packets;
use crate::message::json::tape::Tape;
use crate::message::kinds::ValueKind;
use crate::message::media::{Format, MediaType, UTF_8_MARK, in_utf8};
use crate::message::packed;
use crate::message::zip;
use crate::message::{Body, Headers};

/// Compares contents that are no parts.
pub(super) fn structured(
    context: &Context<'_>,
    headers: [&Headers; 2],
    a: &[u8],
    b: &[u8],
    sink: &mut Sink,
) {
    if calls::compare(context, headers, [a, b], sink) {
        return;
    }
    let types = headers.map(kind_of);
    // RFC 8259 §8.1 allows none before JSON, and many readers take none.
    let is_marked = !a.starts_with(UTF_8_MARK) && b.starts_with(UTF_8_MARK);
    if is_marked && types.iter().all(|kind| kind.is_json()) {
        changed_frame("body mark", [None, Some("byte order mark before the JSON")], sink);
    }
    let (a, b) = (in_utf8(a, types[0]), in_utf8(b, types[1]));
    if types.iter().all(|kind| kind.is_json_lines()) {
        let (left, right) = (json_lines(&a), json_lines(&b));
        if json::compare(context, &left, &right, sink) {
            return;
        }
    }
    if types.iter().all(|kind| kind.is_events())
        && let (Ok(left), Ok(right)) = (std::str::from_utf8(&a), std::str::from_utf8(&b))
    {
        let waits = [left, right].map(events::retry);
        let [left, right] = events::both_as_json(left, right);
        if json::compare(context, &left, &right, sink) {
            if waits[0] != waits[1] {
                changed_frame("body retry", waits, sink);
            }
            return;
        }
    }
    if let (Ok(left), Ok(right)) = (std::str::from_utf8(&a), std::str::from_utf8(&b))
        && let Some(table::Tables { json: [left, right], separators }) =
            table::both(types, left, right)
        && json::compare(context, &left, &right, sink)
    {
        if separators[0] != separators[1] {
            let shown = separators.map(|byte| if byte == b';' { ";" } else { "," });
            changed_frame("body separator", shown.map(Some), sink);
        }
        return;
    }
    if let (Some(left), Some(right)) = (packets(&a), packets(&b))
        && json::compare(context, &left, &right, sink)
    {
        return;
    }
    let packed = |at: usize, content| packed::as_json(content, headers[at].get("content-type")?);
    if let (Some(left), Some(right)) = (packed(0, &*a), packed(1, &*b))
        && json::compare(context, &left, &right, sink)
    {
        return;
    }
    let wanted = types.iter().any(|kind| kind.is_json());
    let is_json = |kind: MediaType<'_>, content: &[u8]| kind.format(content) == Format::Json;
    if wanted || is_json(types[0], &a) && is_json(types[1], &b) {
        let left = Tape::parse(&a);
        let beside =
            left.as_ref().map_or_else(|_| Tape::parse(&b), |left| Tape::parse_beside(&b, left));
        match (left, beside) {
            (Ok(a), Ok(b)) => return json::compare_tapes(context, &a, &b, sink),
            // Several documents, a line each, under the name of one.
            (Err(_), Err(_)) if json::compare(context, &json_lines(&a), &json_lines(&b), sink) => {
                return;
            }
            (Ok(_), Err(_)) if wanted => {
                let (a, b) = (shown(context, &a), shown(context, &b));
                return sink.plain(Kind::Body, "$", "json→other", Some(a), Some(b), Look::Plain);
            }
            (Err(_), Ok(_)) if wanted => {
                let (a, b) = (shown(context, &a), shown(context, &b));
                return sink.plain(Kind::Body, "$", "other→json", Some(a), Some(b), Look::Plain);
            }
            _ => {}
        }
    }
    // Where places are counted, also equal markup is walked.
    let unmarked =
        |text: &Cow<'_, [u8]>| if text.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 };
    let (left, right) = (&a[unmarked(&a)..], &b[unmarked(&b)..]);
    if let (Ok(x), Ok(y)) = (std::str::from_utf8(left), std::str::from_utf8(right))
        && (a != b || sink.present.is_some())
        && languages(types, left, right)
            .into_iter()
            .flatten()
            .any(|language| markup::compare(context, language, x, y, sink))
    {
        return;
    }
    if a == b {
        return;
    }
    match (std::str::from_utf8(&a), std::str::from_utf8(&b)) {
        (Ok(a), Ok(b)) if types.iter().all(|kind| kind.is_form()) => {
            form::compare(context, a, b, sink);
        }
        (Ok(left), Ok(right)) if !a.contains(&0) && !b.contains(&0) => {
            if !embedded::in_code(context, left, right, sink) {
                text::compare(context, left, right, sink);
            }
        }
        _ => binary(&a, &b, sink),
    }
}

/// Reports what frames the values of both contents in another way, at a place of its own.
fn changed_frame(place: &str, [a, b]: [Option<&str>; 2], sink: &mut Sink) {
    let label = match (a, b) {
        (_, None) => "removed",
        (None, _) => "added",
        _ => "changed",
    };
    let kind = if label == "removed" { Kind::Missing } else { Kind::Body };
    let shown = |value: Option<&str>| value.map(short);
    sink.plain(kind, place, label, shown(a), shown(b), Look::Plain);
}

/// Compares contents of which nothing more is known than their bytes.
pub(super) fn binary(a: &[u8], b: &[u8], sink: &mut Sink) {
    if a != b {
        let described = |bytes: &[u8]| described(&Body::whole(bytes.to_vec()));
        let label = if a.len() == b.len() { "changed" } else { "length" };
        // Archives that say the same were made at other times.
        let timeless = zip::timeless(a).filter(|one| zip::timeless(b).as_ref() == Some(one));
        let look = timeless.map_or(Look::Plain, |_| Look::Kind(ValueKind::Moment));
        sink.plain(Kind::Body, "bytes", label, Some(described(a)), Some(described(b)), look);
    }
}

/// `1024 bytes, sha256 ab12…`.
pub(super) fn described(body: &Body) -> String {
    let hash: [u8; 32] = body.sha256.unwrap_or_else(|| Sha256::digest(&body.bytes).into());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {hex}…", body.length)
}

pub(super) fn shown(context: &Context<'_>, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => short(&context.masker.text(text)),
        Err(_) => described(&Body::whole(bytes.to_vec())),
    }
}

/// The type of a content.
pub(super) fn kind_of(headers: &Headers) -> MediaType<'_> {
    MediaType::new(headers.get("content-type").unwrap_or_default())
}

/// The markup that both contents may be written in, the likelier first: an XML declaration makes
/// XML whatever the type says, but not of what is not well-formed.
fn languages(types: [MediaType<'_>; 2], a: &[u8], b: &[u8]) -> [Option<Language>; 2] {
    let language = match (types[0].format(a), types[1].format(b)) {
        (Format::Xml, Format::Xml) => Some(Language::Xml),
        (Format::Html, Format::Html) => Some(Language::Html),
        // One of them says what it is and the other one does not.
        (Format::Xml, Format::Html) | (Format::Html, Format::Xml) => {
            return [Some(Language::Xml), None];
        }
        _ => None,
    };
    let page = language == Some(Language::Xml) && types.iter().all(|kind| kind.is_html());
    [language, page.then_some(Language::Html)]
}

/// Lines of JSON as one array.
pub(super) fn json_lines(text: &[u8]) -> Vec<u8> {
    // A sequence of texts (RFC 7464) has a sign before each.
    let lines: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .map(|line: &[u8]| line.strip_prefix(b"\x1e").unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty())
        .collect();
    [b"[", lines.join(&b","[..]).as_slice(), b"]"].concat()
}
