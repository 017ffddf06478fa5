//! Secrets in streams of events (`text/event-stream`) of which one has its data in several lines:
//! the lines are searched as the one text that they say.

use std::ops::Range;

use super::edits::Edits;

/// What a line of data begins with.
const DATA: &[u8] = b"data:";

/// Whether a text is a stream of events, of which one has several lines of data.
pub(super) fn looks_like_it(content: &[u8]) -> bool {
    let starts = [DATA, b"event:", b"id:", b"retry:", b":"];
    starts.iter().any(|start| content.starts_with(start)) && {
        let mut is_data = false;
        content.split(|&byte| byte == b'\n').any(|line| {
            let was_data = std::mem::replace(&mut is_data, line.starts_with(DATA));
            was_data && is_data
        })
    }
}

/// The content with what `inner` makes of the data of each event, and `plain` of what stands
/// around it; where `keeps_length`, texts are replaced by such of their length.
pub(super) fn redact<T>(
    mut with: T,
    content: &[u8],
    keeps_length: bool,
    inner: impl Fn(&mut T, &[u8]) -> Option<Vec<u8>>,
    plain: impl Fn(&mut T, &[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let mut lines: Vec<Range<usize>> = Vec::new();
    let (mut at, mut around) = (0, 0);
    loop {
        // None behind the last line, which ends an event as any other does.
        let line = content.get(at..);
        let line = line.map(|rest| &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]);
        let end = at + line.map_or(0, <[u8]>::len);
        if let Some(data) = line.filter(|line| line.starts_with(DATA)) {
            let from = at + DATA.len();
            let from = from + usize::from(content.get(from) == Some(&b' '));
            lines.push(from.min(end)..end - usize::from(data.ends_with(b"\r")));
        } else {
            if let [first, .., last] = &lines[..] {
                edits.put(&(around..first.start), plain(&mut with, &content[around..first.start]));
                around = last.end;
                event(&mut with, content, &lines, keeps_length, &inner, &mut edits);
            }
            lines.clear();
        }
        if line.is_none() {
            break;
        }
        at = end + 1;
    }
    edits.put(&(around..content.len()), plain(&mut with, &content[around..]));
    edits.finish()
}

/// One event: its lines of data, joined.
fn event<T>(
    with: &mut T,
    content: &[u8],
    lines: &[Range<usize>],
    keeps_length: bool,
    inner: impl Fn(&mut T, &[u8]) -> Option<Vec<u8>>,
    edits: &mut Edits<'_>,
) {
    let data: Vec<&[u8]> = lines.iter().map(|line| &content[line.clone()]).collect();
    let Some(new) = inner(with, &data.join(&b'\n')) else { return };
    let mut rest = &new[..];
    for (index, line) in lines.iter().enumerate() {
        let is_last = index + 1 == lines.len();
        let newline = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let length = match (is_last, keeps_length) {
            (true, _) => rest.len(),
            (false, true) => line.len(),
            (false, false) => newline,
        };
        // What spans lines may have fewer of them where it is masked.
        let mut text = rest[..length].to_vec();
        text.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        edits.put(line, Some(text));
        rest = rest.get(length + 1..).unwrap_or_default();
    }
}
