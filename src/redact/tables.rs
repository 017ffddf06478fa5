//! Secrets in tables that are text: lines of values of which the first names the columns (CSV), and
//! rows between bars (Markdown, clients of databases).

use std::ops::Range;

use super::edits::Edits;
use super::hide::{self, Hide};
use super::json;
use super::marks::Marks;
use super::names::HeaderSecret;
use super::values;
use super::view::ViewEncoding;

/// Longest name of a column, in bytes.
const LONGEST_NAME: usize = 40;

/// What a column holds.
#[derive(Clone, Copy)]
enum Column {
    Secret(HeaderSecret),
    /// Names of what stands in the column of values.
    Names,
    Values,
    Other,
}

impl Column {
    fn of(hide: &impl Hide, name: &[u8]) -> Self {
        let text = std::str::from_utf8(name).unwrap_or_default().trim();
        match hide.form_field(text) {
            Some(kind) => Self::Secret(kind),
            None if json::is_name_of_other(name.trim_ascii()) => Self::Names,
            None if json::is_value_of_other(name.trim_ascii()) => Self::Values,
            None => Self::Other,
        }
    }
}

/// The separator of a text that is a table of values although no type says so, and of whose columns
/// one is secret by its name.
pub(super) fn separator(hide: &impl Hide, content: &[u8]) -> Option<u8> {
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    let mut lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let (head, next) = (lines.next()?, lines.next()?);
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-. \"".contains(byte);
    b",;\t".iter().copied().find(|&separator| {
        let cells = || head.split(|&byte| byte == separator);
        let count = |line: &[u8]| memchr::memchr_iter(separator, line).count();
        let is_name = |cell: &[u8]| {
            !cell.is_empty() && cell.len() <= LONGEST_NAME && cell.iter().all(is_of_name)
        };
        let is_secret = |cell: &[u8]| {
            let name = std::str::from_utf8(cell).unwrap_or_default();
            hide.form_field(name.trim_matches('"').trim()).is_some()
        };
        count(head) > 0
            && count(next) == count(head)
            && cells().all(is_name)
            && cells().any(is_secret)
    })
}

/// Lines of values, of which the first names the columns (RFC 4180).
pub(super) fn lines(hide: &mut impl Hide, content: &[u8], separator: u8) -> Option<Vec<u8>> {
    // Some write a semicolon between values although the type says otherwise.
    let first = &content[..memchr::memchr(b'\n', content).unwrap_or(content.len())];
    let has = |sign: u8| memchr::memchr(sign, first).is_some();
    let separator = if !has(separator) && has(b';') { b';' } else { separator };
    let mut marks = Marks::of(hide, content);
    let mut edits = Edits::new(content);
    let mut columns: Vec<Column> = Vec::new();
    let mut named = None;
    // A mark of the order of bytes is no part of a name.
    let start = if content.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    let (mut at, mut column, mut is_head) = (start, 0, true);
    while at < content.len() {
        let quoted = content[at] == b'"';
        let from = at + usize::from(quoted);
        let end = if quoted {
            closing_quote(&content[from..])
        } else {
            content[from..].iter().position(|&byte| byte == separator || byte == b'\n')
        };
        let to = end.map_or(content.len(), |length| from + length);
        let range = from..to - usize::from(!quoted && content[from..to].ends_with(b"\r"));
        let cell = &content[range.clone()];
        if is_head {
            columns.push(Column::of(hide, cell));
        } else {
            let secret = match columns.get(column).copied() {
                Some(Column::Secret(kind)) => Some(kind),
                Some(Column::Values) => named,
                Some(Column::Names) => {
                    named = std::str::from_utf8(cell).ok().and_then(|name| hide.form_field(name));
                    None
                }
                _ => None,
            };
            let new = match secret {
                Some(kind) => hide::whole(hide, kind, cell, ViewEncoding::Plain),
                None if marks.has_look(content, &range).0 => {
                    hide::parts(hide, cell, ViewEncoding::Plain)
                }
                None => None,
            };
            edits.put(&range, new);
        }
        at = to + usize::from(quoted);
        // What stands behind a closing quote is a separator or the end of the line.
        at += content[at.min(content.len())..]
            .iter()
            .take_while(|&&byte| byte != separator && byte != b'\n')
            .count();
        let ends_line = content.get(at) == Some(&b'\n');
        (column, named) = if ends_line { (0, None) } else { (column + 1, named) };
        is_head &= !ends_line;
        at += 1;
    }
    edits.finish()
}

/// The quote that ends a value; two in a row are one in it.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', &text[at..])?;
        if text.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Whether there are rows between bars in a text.
pub(super) fn has_rows(content: &[u8]) -> bool {
    memchr::memchr(b'|', content).is_some()
        && (content.starts_with(b"|")
            || [&b"\n|"[..], b"-+-", b"-|-"]
                .iter()
                .any(|sign| memchr::memmem::find(content, sign).is_some()))
}

/// A text with rows between bars: a cell is secret by the name above it, or by the one that begins
/// its row. What stands around the rows is searched as a text.
pub(super) fn rows(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let mut columns: Option<Vec<Option<HeaderSecret>>> = None;
    // Where the text before the next row begins.
    let (mut text, mut at) = (0, 0);
    while at < content.len() {
        let end = memchr::memchr(b'\n', &content[at..]).map_or(content.len(), |found| at + found);
        let line = at..end;
        at = end + 1;
        let row = &content[line.clone()];
        if memchr::memchr(b'|', row).is_none() {
            // Rules between rows are none of their end.
            if !is_rule(row) {
                columns = None;
            }
            continue;
        }
        let before = text..line.start;
        edits.put(&before, hide::parts(hide, &content[before.clone()], ViewEncoding::Plain));
        text = at.min(content.len());
        if is_rule(row) {
            continue;
        }
        let cells = cells(content, line);
        let names = |cell: &Range<usize>| label(hide, &content[cell.clone()]);
        match &columns {
            None => columns = Some(cells.iter().map(names).collect()),
            Some(_) => {}
        }
        let known = columns.as_deref().unwrap_or_default();
        let first = cells.iter().find(|cell| !cell.is_empty()).and_then(names);
        for (index, cell) in cells.iter().enumerate() {
            let value = &content[cell.clone()];
            let above = known.get(index).copied().flatten();
            let secret = above.or(first.filter(|_| index > 0));
            let is_value = values::is_in_cell(value);
            let new = match secret.filter(|_| is_value) {
                Some(kind) => hide::whole(hide, kind, value, ViewEncoding::Plain),
                None => hide::parts(hide, value, ViewEncoding::Plain),
            };
            edits.put(cell, new);
        }
    }
    let rest = text..content.len();
    edits.put(&rest, hide::parts(hide, &content[rest.clone()], ViewEncoding::Plain));
    edits.finish()
}

/// A line that stands between rows: `|---|:--:|`, `+-----+`.
fn is_rule(line: &[u8]) -> bool {
    line.iter().any(|byte| matches!(byte, b'-' | b'='))
        && line.iter().all(|byte| b"-=+|: \r\t".contains(byte))
}

/// The cells of a row, without the blanks and marks around what they say.
fn cells(content: &[u8], line: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = line.start;
    for cell in content[line].split(|&byte| byte == b'|') {
        let is_around = |byte: &&u8| byte.is_ascii_whitespace() || matches!(byte, b'`' | b'*');
        let before = cell.iter().take_while(is_around).count();
        let behind = cell[before..].iter().rev().take_while(is_around).count();
        found.push(from + before..from + cell.len() - behind);
        from += cell.len() + 1;
    }
    found
}

/// How what a cell names is secret.
fn label(hide: &impl Hide, cell: &[u8]) -> Option<HeaderSecret> {
    let name = std::str::from_utf8(cell).ok().filter(|name| name.len() <= LONGEST_NAME)?;
    hide.field(name)
}
