//! Secrets in bodies, by the body's form: JSON, forms, parts of a multipart body, XML and HTML, and
//! any other text.

use std::ops::Range;

use memchr::memmem;

use super::edits::Edits;
use super::events;
use super::hide::{self, Hide, PairKind, pairs};
use super::marks::Marks;
use super::names::HeaderSecret;
use super::packed::PackedDocument;
use super::scan::Scanner;
use super::tables::{self, TablePart};
use super::view::{View, ViewEncoding};
use super::wrapped::Wrapping;
use super::{drawn, json, markup};
use crate::limits;

/// The content with its secrets replaced; none where there are none. What its type does not say is
/// told by its look.
pub(super) fn redact(hide: &mut impl Hide, content_type: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let kind = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    if let Some(document) = PackedDocument::of(content, content_type) {
        return packed(hide, &document);
    }
    if is_table(&kind) {
        lines(hide, content, if kind.contains("csv") { b',' } else { b'\t' })
    } else if kind.contains("json") || Scanner::looks_like_json(content) {
        json::redact(hide, content)
    } else if kind.starts_with("application/x-www-form-urlencoded")
        || (kind.is_empty() && looks_like_form(content))
    {
        pairs(hide, content, PairKind::Form)
    } else if let Some(boundary) = boundary(content_type, &kind) {
        multipart(hide, boundary.as_bytes(), content)
    } else if let Some(boundary) = own_boundary(content) {
        multipart(hide, boundary, content)
    } else if events::looks_like_it(content) {
        event_stream(hide, content)
    } else if markup::looks_like_it(content) || kind.contains("xml") || kind.contains("html") {
        markup::redact(hide, content)
    } else if let Some(separator) = separator(hide, content) {
        lines(hide, content, separator)
    } else if tables::has_rows(content) {
        rows(hide, content)
    } else {
        hide::parts(hide, content, ViewEncoding::Plain)
    }
}

/// The boundary that the type of a multipart body names.
fn boundary(content_type: &[u8], kind: &str) -> Option<String> {
    let is_multipart = kind.starts_with("multipart/");
    is_multipart.then(|| parameter(&String::from_utf8_lossy(content_type), "boundary")).flatten()
}

/// A stream of events, of which some have several lines of data.
fn event_stream<H: Hide>(hide: &mut H, content: &[u8]) -> Option<Vec<u8>> {
    // Data is no stream again: it would be one without end.
    let inner = |hide: &mut &mut H, data: &[u8]| document(*hide, data);
    let plain = |hide: &mut &mut H, text: &[u8]| hide::looks(*hide, text);
    events::redact(hide, content, H::KEEPS_LENGTH, inner, plain)
}

fn is_table(kind: &str) -> bool {
    kind.contains("csv") || kind.contains("tab-separated")
}

/// A document that is no text, searched as what it says.
pub(super) fn packed<H: Hide>(hide: &mut H, document: &PackedDocument<'_>) -> Option<Vec<u8>> {
    let new = json::redact(hide, document.json());
    let said = new.as_deref().unwrap_or_else(|| document.json());
    // Both ask for what hides.
    let hide = std::cell::RefCell::new(hide);
    let octets = |octets: &[u8]| redact(*hide.borrow_mut(), b"", octets);
    document.with(said, octets, |old, new| {
        if H::KEEPS_LENGTH { hide.borrow_mut().hidden(old, old) } else { Some(new) }
    })
}

fn separator(hide: &impl Hide, content: &[u8]) -> Option<u8> {
    tables::separator(content, |name| hide.form_field(name).is_some())
}

/// Lines of values, of which the first names the columns.
fn lines(hide: &mut impl Hide, content: &[u8], separator: u8) -> Option<Vec<u8>> {
    let mut marks = Marks::of(hide, content);
    let mut edits = Edits::new(content);
    let mut columns: Vec<Option<HeaderSecret>> = Vec::new();
    let text = |range: &Range<usize>| std::str::from_utf8(&content[range.clone()]);
    tables::lines(content, separator, |part| match part {
        TablePart::Head { range, .. } => {
            columns.push(hide.form_field(text(&range).unwrap_or_default().trim()));
        }
        TablePart::Cell { column, range, before, is_named } => {
            let cell = &content[range.clone()];
            let named = || {
                let kind = hide.form_field(text(&before?).ok()?.trim());
                // Without heads that say so, what stands before it may be any word.
                kind.filter(|_| is_named || drawn::in_cell(cell))
            };
            let secret = columns.get(column).copied().flatten().or_else(named);
            let new = match secret {
                Some(kind) => hide::whole(hide, kind, cell, ViewEncoding::Plain),
                None if marks.has_look(content, &range).0 => {
                    hide::parts(hide, cell, ViewEncoding::Plain)
                }
                None => None,
            };
            edits.put(&range, new);
        }
        TablePart::Around(_) => {}
    });
    edits.finish()
}

/// A text with rows between bars; what stands around them is searched as a text.
fn rows(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let mut columns: Vec<Option<HeaderSecret>> = Vec::new();
    tables::rows(content, |part| {
        let label = |hide: &_, range: &Range<usize>| label(hide, &content[range.clone()]);
        let (range, secret) = match part {
            TablePart::Head { column, range } => {
                columns.truncate(column);
                columns.push(label(hide, &range));
                return;
            }
            TablePart::Cell { column, range, before, .. } => {
                let named = before.and_then(|before| label(hide, &before));
                (range, columns.get(column).copied().flatten().or(named))
            }
            TablePart::Around(range) => (range, None),
        };
        let value = &content[range.clone()];
        let new = match secret.filter(|_| drawn::in_cell(value)) {
            Some(kind) => hide::whole(hide, kind, value, ViewEncoding::Plain),
            None => hide::parts(hide, value, ViewEncoding::Plain),
        };
        edits.put(&range, new);
    });
    edits.finish()
}

/// How what a cell names is secret.
fn label<H: Hide>(hide: &H, cell: &[u8]) -> Option<HeaderSecret> {
    let name = std::str::from_utf8(cell).ok().filter(|name| name.len() <= tables::LONGEST_NAME)?;
    hide.field(name)
}

/// One line of pairs.
fn looks_like_form(content: &[u8]) -> bool {
    memchr::memchr(b'=', content).is_some()
        && !content.iter().any(|byte| {
            byte.is_ascii_whitespace() || matches!(byte, b'<' | b':' | b'?' | b';' | b'"')
        })
}

/// The boundary that a multipart body begins with.
fn own_boundary(content: &[u8]) -> Option<&[u8]> {
    let first = content.strip_prefix(b"--")?;
    let (boundary, rest) = first.split_at(memchr::memchr(b'\n', first)?);
    let boundary = boundary.trim_ascii_end();
    let part = rest[1..].get(..8)?;
    (part.eq_ignore_ascii_case(b"content-") && !boundary.is_empty() && boundary.len() <= 70)
        .then_some(boundary)
}

/// Whether a value is a document of its own: JSON from its first sign to its last.
pub(super) fn looks_like_document(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    value.len() > 4
        && matches!((value[0], value[value.len() - 1]), (b'{', b'}') | (b'[', b']'))
        && memchr::memchr(b'"', value).is_some()
}

/// Whether a value is markup, from its first sign to its last.
pub(super) fn looks_like_markup(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    value.starts_with(b"<") && value.ends_with(b">") && markup::looks_like_it(value)
}

/// A document inside of a value: JSON, markup, or what is no text.
pub(super) fn document(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    if let Some(document) = PackedDocument::of(content, b"") {
        packed(hide, &document)
    } else if Scanner::looks_like_json(content) {
        json::redact(hide, content)
    } else if markup::looks_like_it(content) {
        markup::redact(hide, content)
    } else {
        hide::looks(hide, content)
    }
}

/// RFC 7578: the parts' names are those of fields.
fn multipart(hide: &mut impl Hide, boundary: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let delimiter = [b"--", boundary].concat();
    let mut edits = Edits::new(content);
    // Many small parts may be large ones inside.
    let mut left = limits::BODY_BYTES;
    let mut named = hide::NamedBefore::default();
    let starts: Vec<usize> = memmem::find_iter(content, &delimiter).collect();
    for (index, &start) in starts.iter().enumerate() {
        let from = start + delimiter.len();
        let to = starts.get(index + 1).copied().unwrap_or(content.len());
        let part = &content[from..to.max(from)];
        // Line ends are CR LF; where a text was joined from lines they are not.
        let ends: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
        let Some((head, blank)) =
            ends.iter().filter_map(|end| Some((memmem::find(part, end)?, end.len()))).min()
        else {
            continue;
        };
        let mut value = from + head + blank..to;
        for end in *b"\n\r" {
            value.end -= usize::from(content[value.clone()].ends_with(&[end]));
        }
        let head = String::from_utf8_lossy(&part[..head]).into_owned();
        let name = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))
            .and_then(|line| parameter(line, "name").or_else(|| extended(line, "name*")));
        let kind = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        let text = &content[value.clone()];
        let secret = name.and_then(|name| {
            hide.form_field(&name).or_else(|| named.value(hide, &name, text, ViewEncoding::Plain))
        });
        let new = if let Some(kind) = secret {
            hide::whole(hide, kind, text, ViewEncoding::Plain)
        } else {
            let of_type = kind.as_deref().unwrap_or_default().as_bytes();
            let wrapped = Wrapping::of(text, of_type).filter(|_| left > 0);
            let wrapped = wrapped.and_then(|wrapping| Some((wrapping, wrapping.undo(text)?)));
            // Not again into parts of parts, which would let a hostile body nest without end.
            match kind {
                _ if let Some((wrapping, inner)) = &wrapped => {
                    left = left.saturating_sub(inner.len());
                    let new = match own_boundary(inner) {
                        Some(_) => hide::parts(hide, inner, ViewEncoding::Plain),
                        None => redact(hide, b"", inner),
                    };
                    new.map(|new| wrapping.redo(&new))
                }
                Some(kind) if !kind.to_ascii_lowercase().starts_with("multipart/") => {
                    redact(hide, kind.as_bytes(), text)
                }
                _ => hide::parts(hide, text, ViewEncoding::Plain),
            }
        };
        edits.put(&value, new);
    }
    edits.finish()
}

/// A parameter in the extended notation (RFC 8187): `UTF-8''pass%77ord`.
fn extended(value: &str, name: &str) -> Option<String> {
    let value = parameter(value, name)?;
    let (_charset, rest) = value.split_once('\'')?;
    let (_language, text) = rest.split_once('\'')?;
    let decoded = View::new(text.as_bytes(), ViewEncoding::Percent).bytes.into_owned();
    String::from_utf8(decoded).ok()
}

/// A parameter of a header's value, without quotes.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}
