//! The values of bodies and parts: codings and charset undone, then by format.

use std::borrow::Cow;

use encoding_rs::{UTF_16BE, UTF_16LE};

use super::super::Headers;
use super::super::content;
use super::super::encoding;
use super::super::media::{self, Format, MediaType, UTF_8_MARK};
use super::super::multipart::{self, BodyPart};
use super::super::place::{Step, Trail};
use super::fields::PairNames;
use super::{Encoding, Form, Patch, Walk, further, kind_of, offset_in, whole};
use crate::steps;

impl Walk<'_> {
    /// A whole body; gives the edited one, its codings undone.
    pub fn body(&mut self, headers: &Headers, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.is_empty() {
            return None;
        }
        if bytes.len() > self.body_bytes {
            self.digest(&Trail::new(Step::Body), bytes);
            return None;
        }
        let codings = || headers.all("content-encoding");
        // What cannot be decoded is told as it came.
        let plain = if content::is_coded(codings()) {
            content::decode(bytes, codings(), self.body_bytes).unwrap_or(Cow::Borrowed(bytes))
        } else {
            Cow::Borrowed(bytes)
        };
        if let Some(edited) = self.call(headers, &plain) {
            return edited;
        }
        self.content(None, kind_of(headers), &plain)
    }

    /// A content without codings; gives the edited one, in its charset.
    fn content(
        &mut self,
        at: Option<&Trail<'_>>,
        kind: MediaType<'_>,
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        if bytes.is_empty() {
            return None;
        }
        let utf8 = media::in_utf8(bytes, kind);
        let format = kind.format(&utf8);
        if format == Format::Multipart
            && let Some(parts) = multipart::parts(kind, bytes)
        {
            return self.parts(at, bytes, &parts);
        }
        let unmarked = utf8.strip_prefix(UTF_8_MARK).unwrap_or(&utf8);
        let Ok(text) = std::str::from_utf8(unmarked) else {
            self.digest(&whole(at), bytes);
            return None;
        };
        let edited = match format {
            Format::Bytes => {
                self.digest(&whole(at), bytes);
                None
            }
            _ => self.formatted(at, format, text),
        };
        edited.map(|edited| in_charset(&edited, bytes, kind))
    }

    fn formatted(&mut self, at: Option<&Trail<'_>>, format: Format, text: &str) -> Option<String> {
        let structured = match format {
            Format::Json => self.json(at, text),
            Format::Events => Some(self.events(at, text)),
            Format::Form => {
                let mut patch = Patch::default();
                self.pairs(at, text, text.trim_end(), PairNames::Form, &mut patch);
                Some(patch.applied(text))
            }
            Format::Xml => self.xml(at, text),
            Format::Html => self.html(at, text),
            Format::JsonLines | Format::Multipart | Format::Text | Format::Bytes => None,
        };
        structured.unwrap_or_else(|| self.lines(at, text))
    }

    /// A text line by line; each may hold a document. Blank lines say nothing.
    fn lines(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        let single = !text.trim_end().contains('\n');
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            if self.left == 0 {
                self.cut = true;
                break;
            }
            let trail = match single {
                true => whole(at),
                false => further(at, Step::Line(index + 1)),
            };
            let from = offset_in(text, line);
            let edited = self.text(&trail, line, Encoding::Plain);
            patch.put_some(from..from + line.len(), edited, Encoding::Plain);
        }
        patch.applied(text)
    }

    /// Server-sent events (HTML §9.2.6): the data of each, which may hold a document, its name, its
    /// id.
    fn events(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        let mut number = 1;
        let mut data: Vec<&str> = Vec::new();
        for line in text.lines().chain(std::iter::once("")) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() && !data.is_empty() => {
                    self.event(&further(at, Step::Event(number)), text, &data, &mut patch);
                    data.clear();
                    number += 1;
                }
                "data" => data.push(value),
                "event" | "id" | "retry" => {
                    let event = further(at, Step::Event(number));
                    let trail = event.then(Step::Attribute(field.into()));
                    let edited = self.one(&trail, value, Form::Text, Encoding::Plain);
                    let from = offset_in(text, value);
                    patch.put_some(from..from + value.len(), edited, Encoding::Plain);
                }
                // A comment, or a field that means nothing.
                _ => {}
            }
            if self.left == 0 {
                self.cut = true;
                break;
            }
        }
        // Fields of one event may stand before or behind its data.
        patch.0.sort_by_key(|(at, _)| at.start);
        patch.applied(text)
    }

    fn event(&mut self, at: &Trail<'_>, text: &str, data: &[&str], patch: &mut Patch) {
        let joined: Cow<'_, str> = match data {
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.join("\n")),
        };
        if let Some(edited) = self.text(at, &joined, Encoding::Plain) {
            let from = offset_in(text, data[0]);
            patch.put(from..from + data[0].len(), edited.replace('\n', "\ndata: "));
            for line in &data[1..] {
                // The rest of the lines are in the first one now; a comment says nothing.
                let from = offset_in(text, line);
                let start = text[..from].rfind('\n').map_or(from, |end| end + 1);
                patch.put(start..from + line.len(), ":");
            }
        }
    }

    fn parts(
        &mut self,
        at: Option<&Trail<'_>>,
        body: &[u8],
        parts: &[BodyPart<'_>],
    ) -> Option<Vec<u8>> {
        if self.layers == 0 {
            self.digest(&whole(at), body);
            return None;
        }
        self.layers -= 1;
        let mut out = Vec::new();
        let mut from = 0;
        for (index, part) in parts.iter().enumerate() {
            let same = |other: &&BodyPart<'_>| {
                steps::add(1);
                other.name == part.name
            };
            let others = || parts.iter().filter(same);
            let step = match &part.name {
                // A form seldom has more than a few parts, and never more than `multipart` takes.
                Some(name) if others().nth(1).is_none() => Step::Part((&**name).into()),
                _ => Step::PartAt(index),
            };
            let trail = further(at, step);
            self.part_fields(&trail, part);
            let edited = self.content(Some(&trail), part.kind(), &part.decoded());
            if let Some(edited) = edited.and_then(|edited| transferred(part, edited)) {
                out.extend_from_slice(&body[from..part.at.start]);
                out.extend_from_slice(&edited);
                from = part.at.end;
            }
        }
        self.layers += 1;
        if from == 0 {
            return None;
        }
        out.extend_from_slice(&body[from..]);
        Some(out)
    }

    /// What the header fields of a part say of its content. How it travelled, and the boundary of
    /// parts in it, say nothing.
    fn part_fields(&mut self, at: &Trail<'_>, part: &BodyPart<'_>) {
        for (name, value) in part.headers.iter() {
            let is = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
            if is("content-length") || is("content-transfer-encoding") {
                continue;
            }
            if is("content-type") {
                let kind = MediaType::new(value);
                let shown = if kind.is_multipart() { kind.name() } else { kind.shown() };
                let trail = at.then(Step::Header("content-type".into()));
                self.one(&trail, shown, Form::Text, Encoding::Plain);
            } else {
                self.header(Some(at), name, value);
            }
        }
    }
}

/// A part's new content, in its transfer encoding; none where that cannot be written.
fn transferred(part: &BodyPart<'_>, content: Vec<u8>) -> Option<Vec<u8>> {
    let encoding = part.headers.get("content-transfer-encoding").unwrap_or_default();
    if encoding.eq_ignore_ascii_case(b"base64") {
        return Some(encoding::base64_of(&content, false).into_bytes());
    }
    (!encoding.eq_ignore_ascii_case(b"quoted-printable")).then_some(content)
}

/// A text in the charset and with the mark that `original` has.
fn in_charset(text: &str, original: &[u8], kind: MediaType<'_>) -> Vec<u8> {
    let wide = |unit: fn(u16) -> [u8; 2], mark: [u8; 2]| {
        let mark: &[u8] = if original.starts_with(&mark) { &mark } else { &[] };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        mark.iter().copied().chain(text.encode_utf16().flat_map(unit)).collect()
    };
    match media::charset(original, kind) {
        Some(encoding) if encoding == UTF_16LE => wide(u16::to_le_bytes, [0xff, 0xfe]),
        Some(encoding) if encoding == UTF_16BE => wide(u16::to_be_bytes, [0xfe, 0xff]),
        Some(encoding) if !original.starts_with(UTF_8_MARK) => encoding.encode(text).0.into_owned(),
        _ if original.starts_with(UTF_8_MARK) => [UTF_8_MARK, text.as_bytes()].concat(),
        _ => text.as_bytes().to_vec(),
    }
}
