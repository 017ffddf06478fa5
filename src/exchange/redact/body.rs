//! Secrets in bodies, by the body's form: JSON, forms, parts of a multipart body, XML and HTML, and any other text.

use std::ops::Range;

use memchr::memmem;

use super::apply::Pass;
use super::names;
use super::rules::Step;
use super::scan::{Scanner, Token};
use super::view::{Encoding, View};

/// Deepest nesting that paths are followed into; what is deeper belongs to the value at this depth.
const DEPTH: usize = 128;

/// The content with its secrets replaced; none where there are none. Never changes the length.
pub(super) fn redact(pass: &mut Pass<'_>, content_type: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let kind = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    if kind.contains("json") || Scanner::looks_like_json(content) {
        json(pass, content)
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        form(pass, content)
    } else if kind.starts_with("multipart/") {
        multipart(pass, &String::from_utf8_lossy(content_type), content)
    } else if content.trim_ascii_start().starts_with(b"<") || kind.contains("xml") || kind.contains("html") {
        markup(pass, content)
    } else {
        pass.parts(content, Encoding::Plain)
    }
}

/// Replacements in a text, in order.
struct Edits<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    from: usize,
}

impl<'a> Edits<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, out: Vec::new(), from: 0 }
    }

    fn put(&mut self, range: &Range<usize>, new: Option<Vec<u8>>) {
        let Some(new) = new else { return };
        if range.start < self.from {
            return;
        }
        self.out.extend_from_slice(&self.text[self.from..range.start]);
        self.out.extend_from_slice(&new);
        self.from = range.end;
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.from == 0 && self.out.is_empty() {
            return None;
        }
        self.out.extend_from_slice(&self.text[self.from..]);
        Some(self.out)
    }
}

fn form(pass: &mut Pass<'_>, content: &[u8]) -> Option<Vec<u8>> {
    let fields: Vec<String> = content
        .split(|&byte| byte == b'&')
        .map(|pair| &pair[..memchr::memchr(b'=', pair).unwrap_or(pair.len())])
        .map(|name| String::from_utf8_lossy(&View::new(name, Encoding::Form).bytes).into_owned())
        .filter(|name| pass.is_form_field(name))
        .collect();
    pass.pairs(content, &|name| fields.iter().any(|field| field == name))
}

/// What encloses a value in JSON.
struct Frame {
    is_array: bool,
    /// Everything in it is secret.
    secret: bool,
    has_step: bool,
}

fn json(pass: &mut Pass<'_>, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let (holds_parts, has_paths) = (pass.holds_parts(content), pass.has_paths());
    let mut frames: Vec<Frame> = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    // Whether the name before the next value says that it is secret.
    let mut named = false;
    let mut name_opens = false;
    for token in Scanner::new(content) {
        let inside_secret = frames.last().is_some_and(|frame| frame.secret);
        match token {
            Token::Key(range) => {
                let view = View::new(&content[range], Encoding::Json);
                let name = String::from_utf8_lossy(&view.bytes);
                named = pass.is_field(&name);
                name_opens = named && names::holds_secrets_only(&name);
                if has_paths && steps.len() < DEPTH {
                    if frames.last().is_some_and(|frame| frame.has_step) {
                        steps.pop();
                    }
                    steps.push(Step::Member(name.into_owned()));
                    if let Some(frame) = frames.last_mut() {
                        frame.has_step = true;
                    }
                }
            }
            Token::Open(byte) => {
                let secret = inside_secret || (named && (name_opens || byte == b'['));
                frames.push(Frame { is_array: byte == b'[', secret, has_step: false });
                named = false;
                if has_paths && byte == b'[' && steps.len() < DEPTH {
                    steps.push(Step::Index(0));
                    frames.last_mut().expect("one was pushed").has_step = true;
                }
            }
            Token::Close(_) => {
                if frames.pop().is_some_and(|frame| frame.has_step) {
                    steps.pop();
                }
                named = false;
            }
            Token::Comma => {
                named = false;
                if frames.last().is_some_and(|frame| frame.is_array && frame.has_step)
                    && let Some(Step::Index(index)) = steps.last_mut()
                {
                    *index += 1;
                }
            }
            Token::Text(range) | Token::Number(range) | Token::Word(range) => {
                let scalar = &content[range.clone()];
                let is_text = range.start > 0 && content[range.start - 1] == b'"';
                if !is_text && matches!(scalar, b"true" | b"false" | b"null") {
                    named = false;
                    continue;
                }
                let encoding = if is_text { Encoding::Json } else { Encoding::Plain };
                let secret = std::mem::take(&mut named) || inside_secret || (has_paths && pass.is_path(&steps));
                let new = if secret {
                    pass.whole(scalar, encoding)
                } else if holds_parts || memchr::memchr(b'\\', scalar).is_some() {
                    pass.parts(scalar, encoding)
                } else {
                    None
                };
                edits.put(&range, new);
            }
        }
    }
    edits.finish()
}

/// RFC 7578: the parts' names are those of fields.
fn multipart(pass: &mut Pass<'_>, content_type: &str, content: &[u8]) -> Option<Vec<u8>> {
    let boundary = parameter(content_type, "boundary")?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut edits = Edits::new(content);
    let starts: Vec<usize> = memmem::find_iter(content, &delimiter).collect();
    for (index, &start) in starts.iter().enumerate() {
        let from = start + delimiter.len();
        let to = starts.get(index + 1).copied().unwrap_or(content.len());
        let part = &content[from..to.max(from)];
        let Some(head) = memmem::find(part, b"\r\n\r\n") else { continue };
        let mut value = from + head + 4..to;
        if content[value.clone()].ends_with(b"\r\n") {
            value.end -= 2;
        }
        let head = String::from_utf8_lossy(&part[..head]).into_owned();
        let name = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))
            .and_then(|line| parameter(line, "name"));
        let kind = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        let text = &content[value.clone()];
        let new = if name.is_some_and(|name| pass.is_form_field(&name)) {
            pass.whole(text, Encoding::Plain)
        } else {
            // Not again into parts of parts, which would let a hostile body nest without end.
            match kind {
                Some(kind) if !kind.to_ascii_lowercase().starts_with("multipart/") => redact(pass, kind.as_bytes(), text),
                _ => pass.parts(text, Encoding::Plain),
            }
        };
        edits.put(&value, new);
    }
    edits.finish()
}

/// A parameter of a header's value, without quotes.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Elements and attributes by their names, and inputs of forms in HTML.
fn markup(pass: &mut Pass<'_>, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let holds_parts = pass.holds_parts(content);
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &content[at..]).map(|found| at + found) {
        if holds_parts {
            let text = at..open;
            let new = pass.parts(&content[text.clone()], Encoding::Plain);
            edits.put(&text, new);
        }
        let close = memchr::memchr(b'>', &content[open..]).map_or(content.len(), |found| open + found);
        let tag = &content[open + 1..close];
        let name_end = tag.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'/').unwrap_or(tag.len());
        attributes(pass, content, open + 1 + name_end..close, holds_parts, &mut edits);
        at = (close + 1).min(content.len());
        if pass.is_field(local(&tag[..name_end])) {
            let text = at..memchr::memchr(b'<', &content[at..]).map_or(content.len(), |found| at + found);
            if !content[text.clone()].trim_ascii().is_empty() {
                let new = pass.whole(&content[text.clone()], Encoding::Plain);
                edits.put(&text, new);
            }
            at = text.end;
        }
    }
    if holds_parts {
        let new = pass.parts(&content[at..], Encoding::Plain);
        edits.put(&(at..content.len()), new);
    }
    edits.finish()
}

/// The name without its prefix.
fn local(name: &[u8]) -> &str {
    let name = std::str::from_utf8(name).unwrap_or_default();
    name.rsplit(':').next().unwrap_or(name)
}

fn attributes(pass: &mut Pass<'_>, content: &[u8], range: Range<usize>, holds_parts: bool, edits: &mut Edits<'_>) {
    let mut found: Vec<(&str, Range<usize>)> = Vec::new();
    let mut at = range.start;
    while let Some(equals) = memchr::memchr(b'=', &content[at..range.end]).map(|found| at + found) {
        let name_from =
            content[at..equals].iter().rposition(|byte| byte.is_ascii_whitespace()).map_or(at, |found| at + found + 1);
        let quote =
            content.get(equals + 1).copied().filter(|byte| matches!(byte, b'"' | b'\'')).filter(|_| equals + 1 < range.end);
        let value = match quote {
            Some(quote) => {
                let from = equals + 2;
                from..memchr::memchr(quote, &content[from..range.end]).map_or(range.end, |found| from + found)
            }
            None => {
                let from = equals + 1;
                let end = content[from..range.end]
                    .iter()
                    .position(|byte| byte.is_ascii_whitespace())
                    .map_or(range.end, |found| from + found);
                from..end
            }
        };
        found.push((local(&content[name_from..equals]), value.clone()));
        at = (value.end + usize::from(quote.is_some())).min(range.end);
    }
    // <input name="csrf_token" value="…">
    let field = found
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("name"))
        .is_some_and(|(_, value)| std::str::from_utf8(&content[value.clone()]).is_ok_and(|name| pass.is_form_field(name)));
    for (name, value) in found {
        let is_value = name.eq_ignore_ascii_case("value") || name.eq_ignore_ascii_case("content");
        let secret = pass.is_field(name) || (field && is_value);
        let text = &content[value.clone()];
        let new = match (secret, holds_parts) {
            (true, _) => pass.whole(text, Encoding::Plain),
            (false, true) => pass.parts(text, Encoding::Plain),
            (false, false) => None,
        };
        edits.put(&value, new);
    }
}
