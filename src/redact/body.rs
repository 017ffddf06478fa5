//! Secrets in bodies, by the body's form: JSON, forms, parts of a multipart body, XML and HTML, and
//! any other text.

use std::ops::Range;

use memchr::memmem;

use super::hide::{Hide, Pairs, pairs};
use super::markup;
use super::rules::Step;
use super::scan::{Scanner, Token};
use super::view::{Encoding, View};

/// Deepest nesting that paths are followed into; what is deeper belongs to the value at this depth.
const DEPTH: usize = 128;

/// The content with its secrets replaced; none where there are none. What its type does not say is
/// told by its look.
pub(super) fn redact(hide: &mut impl Hide, content_type: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let kind = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    if kind.contains("json") || Scanner::looks_like_json(content) {
        json(hide, content)
    } else if kind.starts_with("application/x-www-form-urlencoded")
        || (kind.is_empty() && looks_like_form(content))
    {
        pairs(hide, content, Pairs::Form)
    } else if kind.starts_with("multipart/") {
        multipart(
            hide,
            parameter(&String::from_utf8_lossy(content_type), "boundary")?.as_bytes(),
            content,
        )
    } else if let Some(boundary) = own_boundary(content) {
        multipart(hide, boundary, content)
    } else if markup::looks_like_it(content) || kind.contains("xml") || kind.contains("html") {
        markup::redact(hide, content)
    } else {
        hide.parts(content, Encoding::Plain)
    }
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

/// Replacements in a text, in order.
pub(super) struct Edits<'a> {
    text: &'a [u8],
    made: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Edits<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, made: Vec::new() }
    }

    pub(super) fn put(&mut self, range: &Range<usize>, new: Option<Vec<u8>>) {
        let Some(new) = new else { return };
        if self.made.last().is_none_or(|(last, _)| range.start >= last.end) {
            self.made.push((range.clone(), new));
        }
    }

    pub(super) fn finish(self) -> Option<Vec<u8>> {
        self.finish_by(|_| None)
    }

    /// The text with what was replaced, and with what `between` makes of the rest.
    fn finish_by(self, mut between: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut changed = !self.made.is_empty();
        let mut out = Vec::with_capacity(self.text.len());
        let mut from = 0;
        let end = (self.text.len()..self.text.len(), Vec::new());
        for (range, new) in self.made.iter().chain([&end]) {
            let rest = &self.text[from..range.start];
            let other = between(rest);
            changed |= other.is_some();
            out.extend_from_slice(other.as_deref().unwrap_or(rest));
            out.extend_from_slice(new);
            from = range.end;
        }
        changed.then_some(out)
    }
}

/// What encloses a value in JSON.
struct Frame {
    is_array: bool,
    /// Everything in it is secret.
    secret: bool,
    has_step: bool,
}

fn json(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(content);
    let (holds_parts, has_paths) = (hide.holds_parts(content), hide.has_paths());
    let mut frames: Vec<Frame> = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    // Whether the name before the next value says that it is secret.
    let mut named = false;
    // Whether it is perhaps no JSON, but a text that begins like one.
    let mut odd = false;
    for token in Scanner::new(content) {
        let inside_secret = frames.last().is_some_and(|frame| frame.secret);
        match token {
            Token::Key(range) => {
                let view = View::new(&content[range], Encoding::Json);
                let name = String::from_utf8_lossy(&view.bytes);
                named = hide.is_field(&name);
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
                let secret = inside_secret || named;
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
                odd |= !is_text && !matches!(scalar[0], b'-' | b'0'..=b'9');
                let encoding = if is_text { Encoding::Json } else { Encoding::Bare };
                let secret = std::mem::take(&mut named)
                    || inside_secret
                    || (has_paths && hide.is_path(&steps));
                let new = if secret {
                    hide.whole(scalar, encoding)
                } else if holds_parts || memchr::memchr(b'\\', scalar).is_some() {
                    hide.parts(scalar, encoding)
                } else {
                    None
                };
                edits.put(&range, new);
            }
        }
    }
    if odd {
        return edits.finish_by(|rest| hide.parts(rest, Encoding::Plain));
    }
    edits.finish()
}

/// RFC 7578: the parts' names are those of fields.
fn multipart(hide: &mut impl Hide, boundary: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let delimiter = [b"--", boundary].concat();
    let mut edits = Edits::new(content);
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
            .and_then(|line| parameter(line, "name"));
        let kind = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        let text = &content[value.clone()];
        let new = if name.is_some_and(|name| hide.is_form_field(&name)) {
            hide.whole(text, Encoding::Plain)
        } else {
            // Not again into parts of parts, which would let a hostile body nest without end.
            match kind {
                Some(kind) if !kind.to_ascii_lowercase().starts_with("multipart/") => {
                    redact(hide, kind.as_bytes(), text)
                }
                _ => hide.parts(text, Encoding::Plain),
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
