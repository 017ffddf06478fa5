//! Secrets in HTML and XML: everything below an element of a secret's name, attributes of one,
//! inputs of forms, and what is known by its look. Reads tags, not documents, so that damaged and
//! cut ones are searched too.

use std::ops::Range;

use super::body::Edits;
use super::hide::Hide;
use super::view::Encoding;

/// Whether there is a tag in it.
pub(super) fn looks_like_it(content: &[u8]) -> bool {
    memchr::memchr_iter(b'<', content).any(|at| {
        content
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?'))
    })
}

/// The content with its secrets replaced; none where there are none.
pub(super) fn redact(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let holds_parts = hide.holds_parts(content);
    // The element of a secret's name that is open, and how many of that name are.
    let mut inside: Option<(&[u8], usize)> = None;
    let mut at = 0;
    loop {
        let open = memchr::memchr(b'<', &content[at..]).map_or(content.len(), |found| at + found);
        let text = at..open;
        let new = if inside.is_some() && !content[text.clone()].trim_ascii().is_empty() {
            hide.whole(&content[text.clone()], Encoding::Plain)
        } else if holds_parts {
            hide.parts(&content[text.clone()], Encoding::Plain)
        } else {
            None
        };
        edits.put(&text, new);
        if open == content.len() {
            return edits.finish();
        }
        let close =
            memchr::memchr(b'>', &content[open..]).map_or(content.len(), |found| open + found);
        let tag = open + 1..close;
        at = (close + 1).min(content.len());
        if let Some(end) = content[tag.clone()].strip_prefix(b"![CDATA[") {
            // Text, which ends with `]]>` and not with the first `>`.
            let start = tag.end - end.len();
            let end = memchr::memmem::find(&content[start..], b"]]>")
                .map_or(content.len(), |found| start + found);
            let new = match inside {
                Some(_) => hide.whole(&content[start..end], Encoding::Plain),
                None => hide.parts(&content[start..end], Encoding::Plain),
            };
            edits.put(&(start..end), new);
            at = (end + 3).min(content.len());
            continue;
        }
        let name_end = content[tag.clone()]
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || *byte == b'/');
        let closes = content.get(tag.start) == Some(&b'/');
        if closes {
            let name = content[tag.start + 1..tag.end].trim_ascii();
            inside = match inside {
                Some((open, depth)) if open.eq_ignore_ascii_case(name) => {
                    (depth > 1).then(|| (open, depth - 1))
                }
                other => other,
            };
            continue;
        }
        let name = &content[tag.start..tag.start + name_end.unwrap_or(tag.len())];
        if matches!(name.first(), Some(b'!' | b'?')) {
            // Comments and declarations.
            if holds_parts {
                let new = hide.parts(&content[tag.clone()], Encoding::Plain);
                edits.put(&tag, new);
            }
            continue;
        }
        let secret = hide.is_field(local(name));
        attributes(
            hide,
            content,
            tag.start + name.len()..tag.end,
            (inside.is_some() || secret, holds_parts),
            &mut edits,
        );
        let is_empty = content[tag.clone()].ends_with(b"/");
        match &mut inside {
            Some((open, depth)) if open.eq_ignore_ascii_case(name) && !is_empty => *depth += 1,
            None if secret && !is_empty => inside = Some((name, 1)),
            _ => {}
        }
    }
}

/// The name without its prefix.
fn local(name: &[u8]) -> &str {
    let name = std::str::from_utf8(name).unwrap_or_default();
    name.rsplit(':').next().unwrap_or(name)
}

/// The attributes of one tag; of an element that is `all` secret each of them.
fn attributes(
    hide: &mut impl Hide,
    content: &[u8],
    range: Range<usize>,
    (all, holds_parts): (bool, bool),
    edits: &mut Edits<'_>,
) {
    let mut found: Vec<(&[u8], Range<usize>)> = Vec::new();
    let mut at = range.start;
    while let Some(equals) = memchr::memchr(b'=', &content[at..range.end]).map(|found| at + found) {
        let name = content[at..equals].trim_ascii_end();
        let name = &name[name
            .iter()
            .rposition(|byte| byte.is_ascii_whitespace())
            .map_or(0, |found| found + 1)..];
        let blanks = content[equals + 1..range.end]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let from = equals + 1 + blanks;
        let quote =
            content[from..range.end].first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let value = match quote {
            Some(quote) => {
                let from = from + 1;
                from..memchr::memchr(quote, &content[from..range.end])
                    .map_or(range.end, |found| from + found)
            }
            None => {
                let end =
                    content[from..range.end].iter().position(|byte| byte.is_ascii_whitespace());
                from..end.map_or(range.end, |found| from + found)
            }
        };
        found.push((name, value.clone()));
        at = (value.end + usize::from(quote.is_some())).min(range.end);
    }
    // <input name="csrf_token" value="…">
    let field = found
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"name") || name.eq_ignore_ascii_case(b"id"))
        .any(|(_, value)| {
            std::str::from_utf8(&content[value.clone()]).is_ok_and(|name| hide.is_form_field(name))
        });
    for (name, value) in found {
        let is_value = name.eq_ignore_ascii_case(b"value") || name.eq_ignore_ascii_case(b"content");
        let is_namespace = name.starts_with(b"xmlns");
        let secret = (all && !is_namespace) || hide.is_field(local(name)) || (field && is_value);
        let text = &content[value.clone()];
        let new = match (secret, holds_parts) {
            (true, _) => hide.whole(text, Encoding::Plain),
            (false, true) => hide.parts(text, Encoding::Plain),
            (false, false) => None,
        };
        edits.put(&value, new);
    }
}
