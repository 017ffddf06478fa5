//! Tables that are text, for the search of secrets: lines of values of which the first names the
//! columns (CSV), and rows between bars (Markdown, clients of databases).

use std::ops::Range;

use super::names::{is_name_of_other, is_value_of_other};

/// Longest name of a column, in bytes.
pub(super) const LONGEST_NAME: usize = 40;

/// A part of a table.
pub(super) enum TablePart {
    /// What names a column.
    Head { column: usize, range: Range<usize> },
    /// A cell; `before` is what names it in its row, where `is_named` by what its column is called.
    Cell { column: usize, range: Range<usize>, before: Option<Range<usize>>, is_named: bool },
    /// What stands around tables.
    Around(Range<usize>),
}

/// The separator of a text that is a table of values although no type says so, and of whose columns
/// one is secret by its name.
pub(super) fn separator(content: &[u8], is_secret: impl Fn(&str) -> bool) -> Option<u8> {
    let content = &content[first_row(content)..];
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
            is_secret(name.trim_matches('"').trim())
        };
        count(head) > 0
            && count(next) == count(head)
            && cells().all(is_name)
            && cells().any(is_secret)
    })
}

/// Tells the cells of lines of values, of which the first names the columns (RFC 4180).
pub(super) fn lines(content: &[u8], separator: u8, mut part: impl FnMut(TablePart)) {
    let start = first_row(content);
    // Some write a semicolon between values although the type says otherwise.
    let first = &content[start..];
    let first = &first[..memchr::memchr(b'\n', first).unwrap_or(first.len())];
    let has = |sign: u8| memchr::memchr(sign, first).is_some();
    let separator = if !has(separator) && has(b';') { b';' } else { separator };
    // Columns of names, and of what they name.
    let (mut naming, mut named): (Vec<usize>, Vec<usize>) = Default::default();
    let mut before = None;
    // Lines of two values are names and what they name.
    let has_two = memchr::memchr_iter(separator, first).count() == 1;
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
        if is_head {
            let name = content[range.clone()].trim_ascii();
            naming.extend(is_name_of_other(name).then_some(column));
            named.extend(is_value_of_other(name).then_some(column));
            part(TablePart::Head { column, range });
        } else {
            let is_named = !naming.is_empty() && named.first() == Some(&column);
            if naming.first() == Some(&column) || has_two && column == 0 {
                before = Some(range.clone());
            }
            let before = before.clone().filter(|_| is_named || has_two && column == 1);
            part(TablePart::Cell { column, range, before, is_named });
        }
        at = to + usize::from(quoted);
        // What stands behind a closing quote is a separator or the end of the line.
        at += content[at.min(content.len())..]
            .iter()
            .take_while(|&&byte| byte != separator && byte != b'\n')
            .count();
        let ends_line = content.get(at) == Some(&b'\n');
        (column, before) = if ends_line { (0, None) } else { (column + 1, before) };
        is_head &= !ends_line;
        at += 1;
    }
}

/// Most lines before those of a table.
const MOST_LINES_BEFORE: usize = 16;

/// Where the first row begins, behind a mark of the order of bytes, comments, and the line that
/// tells spreadsheets the separator (`sep=;`).
fn first_row(content: &[u8]) -> usize {
    let mut at = if content.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    for _ in 0..MOST_LINES_BEFORE {
        let line = &content[at..];
        let Some(end) = memchr::memchr(b'\n', line) else { break };
        let says = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
        let is_separator = matches!(says, [b's', b'e', b'p', b'=', _]);
        if !is_separator && !line.starts_with(b"#") {
            break;
        }
        at += end + 1;
    }
    at
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

/// Tells the parts of a text with rows between bars: a cell is named by the first one of its
/// column, or by the one that begins its row.
pub(super) fn rows(content: &[u8], mut part: impl FnMut(TablePart)) {
    let mut is_in_table = false;
    // Where the text before the next row begins.
    let (mut text, mut at) = (0, 0);
    while at < content.len() {
        let end = memchr::memchr(b'\n', &content[at..]).map_or(content.len(), |found| at + found);
        let line = at..end;
        at = end + 1;
        let row = &content[line.clone()];
        if memchr::memchr(b'|', row).is_none() {
            // Rules between rows are none of their end.
            is_in_table &= is_rule(row);
            continue;
        }
        part(TablePart::Around(text..line.start));
        text = at.min(content.len());
        if is_rule(row) {
            continue;
        }
        let cells = cells(content, line);
        if !is_in_table {
            for (column, cell) in cells.iter().enumerate() {
                part(TablePart::Head { column, range: cell.clone() });
            }
        }
        is_in_table = true;
        let first = cells.iter().position(|cell| !cell.is_empty()).unwrap_or(0);
        for (column, range) in cells.iter().enumerate() {
            let before = cells.get(first).cloned().filter(|_| column > first);
            part(TablePart::Cell { column, range: range.clone(), before, is_named: true });
        }
    }
    part(TablePart::Around(text..content.len()));
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
