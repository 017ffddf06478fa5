//! Bodies laid out to be read: JSON a value a line with its place, forms a field a line, markup an
//! element a line, everything else as it is; what is no text as its first bytes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::hidden::{Hidden, fields};
use crate::gate::words::count;
use crate::message::document::digest_text;
use crate::message::json::tape::{Node, Tape, Type};
use crate::message::media::{Format, MediaType, in_utf8};
use crate::message::place::Step;
use crate::message::{Body, Headers, content};
use crate::report::text::visible;

/// Longest body that is laid out, in bytes, codings undone; of a longer one the beginning.
const LONGEST: usize = 1 << 20;
/// Most lines of a body.
const MOST_LINES: usize = 4_000;
/// Longest line, in characters; of a longer one the beginning.
const LINE_CHARS: usize = 4_000;
/// Lines of markup that are longer are broken between elements.
const LONG_MARKUP: usize = 200;
/// Bytes of a body that is no text that are shown, and how many on a line.
const HEX: (usize, usize) = (128, 16);

/// A line of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShownLine {
    /// What is shown.
    pub text: String,
    /// The place of the value on it, as differences name it; empty where it has none.
    pub place: String,
    /// Where its name stands in the text.
    pub(super) name: Range<usize>,
    /// Where its value stands.
    pub(super) value: Range<usize>,
}

impl ShownLine {
    /// A line without a place.
    pub(super) fn plain(text: String) -> Self {
        let value = indent_of(&text)..text.len();
        Self { text, value, ..Self::default() }
    }

    /// A header field.
    pub(super) fn field(name: &str, value: &str) -> Self {
        let text = format!("{name}: {value}");
        let place = name.to_ascii_lowercase();
        Self { name: 0..name.len(), value: name.len() + 2..text.len(), place, text }
    }
}

fn indent_of(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// The lines of a body, and of the trailer fields behind it.
pub(super) fn lines(
    headers: &Headers,
    body: &Body,
    trailers: &Headers,
    hidden: &Hidden<'_>,
) -> Vec<ShownLine> {
    let mut lines =
        if body.bytes.is_empty() { Vec::new() } else { content_lines(headers, body, hidden) };
    if body.is_cut() {
        let (kept, all) = (count(body.bytes.len() as u64), count(body.length));
        lines.push(ShownLine::plain(format!("… {kept} of {all} bytes were kept")));
    }
    for (name, value) in fields(trailers, hidden) {
        lines.push(ShownLine::plain(format!("(trailer) {name}: {value}")));
    }
    lines
}

fn content_lines(headers: &Headers, body: &Body, hidden: &Hidden<'_>) -> Vec<ShownLine> {
    let codings = headers.all("content-encoding");
    let Ok(content) = content::decode(&body.bytes, codings, LONGEST) else {
        let mut lines = bytes(&body.bytes, hidden);
        lines.push(ShownLine::plain("(its content coding cannot be undone)".to_owned()));
        return lines;
    };
    let media = MediaType::new(headers.get("content-type").unwrap_or_default());
    let content = in_utf8(&content, media);
    let format = media.format(&content);
    match text_of(&content) {
        Some(text) if format != Format::Bytes => {
            let mut masked = hidden.masker.text(text).into_owned();
            hidden.echoes.hide(&mut masked);
            let mut lines = laid_out(&masked, format);
            if text.len() < content.len() {
                lines.push(ShownLine::plain(format!("… of {} bytes", count(content.len() as u64))));
            }
            lines
        }
        _ => bytes(&content, hidden),
    }
}

/// The text that bytes are, as far as it is shown.
fn text_of(content: &[u8]) -> Option<&str> {
    let start = content.get(..LONGEST).unwrap_or(content);
    match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        // Cut inside of a character.
        Err(error) if start.len() < content.len() && error.valid_up_to() + 4 > start.len() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn laid_out(text: &str, format: Format) -> Vec<ShownLine> {
    let mut out = Layout::default();
    match format {
        Format::Json | Format::JsonLines => {
            if !out.json(text) && !out.json_lines(text) {
                out.text(text);
            }
        }
        Format::Form => out.form(text),
        Format::Xml | Format::Html => out.markup(text),
        _ => out.text(text),
    }
    out.finish()
}

/// Lines under way.
#[derive(Default)]
struct Layout {
    lines: Vec<ShownLine>,
    place: String,
    left_out: usize,
}

impl Layout {
    fn push(&mut self, line: ShownLine) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(line);
        } else {
            self.left_out += 1;
        }
    }

    fn finish(mut self) -> Vec<ShownLine> {
        if self.left_out > 0 {
            let more = count(self.left_out as u64);
            self.lines.push(ShownLine::plain(format!("… and {more} more lines")));
        }
        self.lines
    }

    fn json(&mut self, text: &str) -> bool {
        let Ok(tape) = Tape::parse(text.as_bytes()) else { return false };
        self.place.push('$');
        self.value(tape.root(), None, 0, false);
        true
    }

    /// Several documents, a line each: compared as an array of them.
    fn json_lines(&mut self, text: &str) -> bool {
        let documents: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let tapes: Result<Vec<Tape<'_>>, _> =
            documents.iter().map(|line| Tape::parse(line.as_bytes())).collect();
        let Ok(tapes) = tapes else { return false };
        for (index, tape) in tapes.iter().enumerate() {
            self.place = format!("$[{index}]");
            self.value(tape.root(), None, 0, false);
        }
        !tapes.is_empty()
    }

    /// A value with all that is in it. Recursion is bounded by the tape's depth.
    fn value(&mut self, node: Node<'_, '_>, name: Option<&str>, depth: usize, comma: bool) {
        let comma = if comma { "," } else { "" };
        let (open, close) = match node.kind() {
            Type::Object if node.members().next().is_some() => ("{", "}"),
            Type::Array if node.elements().next().is_some() => ("[", "]"),
            _ => {
                let quote = if node.is_string() { "\"" } else { "" };
                let value = cut(node.raw_str());
                return self.member(name, &format!("{quote}{value}{quote}"), depth, comma);
            }
        };
        self.member(name, open, depth, "");
        let length = self.place.len();
        let mut members = node.members().peekable();
        while let Some((member, value)) = members.next() {
            self.step(&Step::Name(member.text()));
            self.value(value, Some(member.raw_str()), depth + 1, members.peek().is_some());
            self.place.truncate(length);
        }
        let mut elements = node.elements().enumerate().peekable();
        while let Some((index, value)) = elements.next() {
            self.step(&Step::Index(index));
            self.value(value, None, depth + 1, elements.peek().is_some());
            self.place.truncate(length);
        }
        self.member(None, close, depth, comma);
    }

    fn step(&mut self, step: &Step<'_>) {
        let _ = write!(self.place, "{step}");
    }

    /// One line of JSON.
    fn member(&mut self, name: Option<&str>, value: &str, depth: usize, comma: &str) {
        if self.lines.len() >= MOST_LINES {
            self.left_out += 1;
            return;
        }
        let mut text = "  ".repeat(depth.min(40));
        let mut named = 0..0;
        if let Some(name) = name {
            let start = text.len();
            let _ = write!(text, "\"{}\"", visible(name));
            named = start..text.len();
            text.push_str(": ");
        }
        let start = text.len();
        text.push_str(&visible(value));
        let value = start..text.len();
        text.push_str(comma);
        // What closes a container has no value of its own.
        let closes = text[value.clone()].starts_with(['}', ']']);
        let place = if closes { String::new() } else { visible(&self.place).into_owned() };
        self.lines.push(ShownLine { text, place, name: named, value });
    }

    fn form(&mut self, text: &str) {
        for field in text.split('&') {
            let mut line = ShownLine::plain(visible(&cut(field)).into_owned());
            if let Some((name, _)) = line.text.split_once('=') {
                (line.place, line.name) = (name.to_owned(), 0..name.len());
                line.value = name.len() + 1..line.text.len();
            }
            self.push(line);
        }
    }

    fn markup(&mut self, text: &str) {
        for line in text.lines() {
            if line.len() <= LONG_MARKUP {
                self.push(ShownLine::plain(visible(line).into_owned()));
                continue;
            }
            // Behind each `>` that a `<` follows.
            let mut from = 0;
            for (at, _) in line.match_indices("><") {
                self.push(ShownLine::plain(visible(&cut(&line[from..=at])).into_owned()));
                from = at + 1;
            }
            self.push(ShownLine::plain(visible(&cut(&line[from..])).into_owned()));
        }
    }

    fn text(&mut self, text: &str) {
        for line in text.lines() {
            self.push(ShownLine::plain(visible(&cut(line)).into_owned()));
        }
    }
}

/// A line of a bounded length.
fn cut(line: &str) -> Cow<'_, str> {
    crate::report::text::short(line, LINE_CHARS)
}

/// What is no text: by length and hash, since nobody finds the secrets in it; where secrets are
/// shown, its first bytes as well.
fn bytes(content: &[u8], hidden: &Hidden<'_>) -> Vec<ShownLine> {
    let told = digest_text(content.len() as u64, &Sha256::digest(content));
    let mut lines = vec![ShownLine::plain(told)];
    if hidden.masker.is_off() {
        lines.extend(hex(content));
    }
    lines
}

/// The first bytes, as numbers and as letters.
fn hex(bytes: &[u8]) -> Vec<ShownLine> {
    let (most, width) = HEX;
    bytes[..bytes.len().min(most)]
        .chunks(width)
        .enumerate()
        .map(|(row, chunk)| {
            let mut text = format!("{:04x} ", row * width);
            chunk.iter().for_each(|byte| {
                let _ = write!(text, " {byte:02x}");
            });
            let pad = " ".repeat((width - chunk.len()) * 3 + 2);
            let letters = chunk.iter().map(|&byte| match byte {
                b' '..=b'~' => char::from(byte),
                _ => '.',
            });
            text.push_str(&pad);
            text.extend(letters);
            ShownLine::plain(text)
        })
        .collect()
}
