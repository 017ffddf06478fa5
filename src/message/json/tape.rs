//! A JSON text as a tape: one flat list of nodes that point into the text.
//!
//! Nothing is converted: numbers keep their digits, strings their escapes, objects their order and
//! duplicate names, so that a comparison is exact and says what was really sent. Depth is bounded;
//! memory is 16 bytes a node. The second of two texts is read beside the tape of the first
//! ([`Tape::parse_beside`]): where they are equal, which is most of them, its nodes are known.

use std::borrow::Cow;

use crate::message::json::escape::special_in_json;
use crate::message::json::unescape::said;

/// Deepest nesting that is compared by structure; deeper texts are compared as text.
pub const MAX_DEPTH: usize = 256;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Type {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number, as its digits.
    Number,
    /// A string without escapes; the span is without quotes.
    String,
    /// A string with escapes; the span is without quotes.
    Escaped,
    /// An array.
    Array,
    /// An object: its children are names and values in turn.
    Object,
}

impl Type {
    /// The name in shapes, e.g. `string→null`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String | Self::Escaped => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct TapeEntry {
    start: u32,
    end: u32,
    /// The index behind this node's subtree.
    next: u32,
    kind: Type,
}

/// Why a text is not JSON (RFC 8259), or not one that is compared by structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeError {
    /// Not JSON at this byte.
    Invalid(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Longer than 4 GiB.
    TooLong,
}

/// A parsed text.
#[derive(Debug, Default)]
pub struct Tape<'a> {
    text: &'a str,
    nodes: Vec<TapeEntry>,
}

/// A node of a tape.
#[derive(Clone, Copy)]
pub struct Node<'t, 'a> {
    tape: &'t Tape<'a>,
    index: u32,
}

impl<'a> Tape<'a> {
    /// Parses a text, which must be one value and blanks (RFC 8259 §2). A byte order mark is
    /// skipped (§8.1).
    pub fn parse(text: &'a [u8]) -> Result<Self, TapeError> {
        Self::parse_beside(text, &Tape::default())
    }

    /// The same for a text that is much like another, which was parsed before.
    pub fn parse_beside(text: &'a [u8], other: &Tape<'_>) -> Result<Self, TapeError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if u32::try_from(text.len()).is_err() {
            return Err(TapeError::TooLong);
        }
        let text = simdutf8::compat::from_utf8(text)
            .map_err(|error| TapeError::Invalid(error.valid_up_to()))?;
        let room =
            if other.nodes.is_empty() { text.len() / 12 + 4 } else { other.nodes.len() + 16 };
        let all = LikelyNext { next: 0, end: other.nodes.len() as u32 };
        let mut parser = TapeParser {
            text: text.as_bytes(),
            at: 0,
            nodes: Vec::with_capacity(room),
            open: Vec::with_capacity(16),
            other: &other.nodes,
            other_text: other.text.as_bytes(),
            ahead: all,
            value: None,
        };
        parser.run()?;
        Ok(Self { text, nodes: parser.nodes })
    }

    /// The value.
    pub fn root(&self) -> Node<'_, 'a> {
        Node { tape: self, index: 0 }
    }
}

/// Which nodes of the other tape are likely to come next: what is left of the container that stands
/// where ours does.
#[derive(Clone, Copy, Default)]
struct LikelyNext {
    next: u32,
    end: u32,
}

/// Longest container that is compared with the other text as a whole; a longer one is taken part by
/// part, so that nested ones are not compared again and again.
const MAX_COMPARED: u32 = 16 << 10;

struct TapeParser<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<TapeEntry>,
    /// The containers that are open, and what was ahead where they were opened. They are as deep in
    /// the other text.
    open: Vec<(u32, LikelyNext)>,
    other: &'a [TapeEntry],
    other_text: &'a [u8],
    ahead: LikelyNext,
    /// The node of the other tape that is likely to be the value that is due.
    value: Option<u32>,
}

impl TapeParser<'_> {
    fn run(&mut self) -> Result<(), TapeError> {
        self.value = self.element_ahead();
        loop {
            // A value is due.
            self.blanks();
            if self.same_value() {
                self.copy_value();
            } else if self.value()? {
                continue;
            }
            // A value has ended: close containers until another value is due.
            loop {
                let Some(&(container, _)) = self.open.last() else {
                    self.blanks();
                    return if self.at == self.text.len() {
                        Ok(())
                    } else {
                        Err(TapeError::Invalid(self.at))
                    };
                };
                self.blanks();
                let is_object = self.nodes[container as usize].kind == Type::Object;
                match (self.text.get(self.at), is_object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.blanks();
                        self.name()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        self.value = self.element_ahead();
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => self.close(container),
                    _ => return Err(TapeError::Invalid(self.at)),
                }
            }
        }
    }

    fn close(&mut self, container: u32) {
        self.at += 1;
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[container as usize];
        node.end = self.at as u32;
        node.next = next;
        if let Some((_, ahead)) = self.open.pop() {
            self.ahead = ahead;
        }
    }

    /// The next element of the other array, or the other text's value.
    fn element_ahead(&mut self) -> Option<u32> {
        let next = Some(self.ahead.next).filter(|next| *next < self.ahead.end)?;
        self.ahead.next = self.other[next as usize].next;
        Some(next)
    }

    /// Whether the value that is due is the one that is likely, byte for byte.
    fn same_value(&self) -> bool {
        let Some(likely) = self.value else { return false };
        let entry = self.other[likely as usize];
        let quote = usize::from(matches!(entry.kind, Type::String | Type::Escaped));
        let theirs = &self.other_text[entry.start as usize - quote..entry.end as usize + quote];
        if entry.kind >= Type::Array && entry.end - entry.start > MAX_COMPARED
            || !self.text[self.at..].starts_with(theirs)
        {
            return false;
        }
        // `1` is not `12`.
        let behind = self.text.get(self.at + theirs.len());
        entry.kind != Type::Number
            || !matches!(behind, Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
    }

    /// Takes the nodes of the likely value as those of the value that is due.
    fn copy_value(&mut self) {
        let Some(likely) = self.value.take() else { return };
        let entry = self.other[likely as usize];
        let quote = usize::from(matches!(entry.kind, Type::String | Type::Escaped)) as u32;
        // Differences modulo 2^32: what stands earlier here than there comes out right as well.
        let moved = (self.at as u32).wrapping_sub(entry.start - quote);
        let shifted = (self.nodes.len() as u32).wrapping_sub(likely);
        self.nodes.extend(self.other[likely as usize..entry.next as usize].iter().map(|entry| {
            TapeEntry {
                start: entry.start.wrapping_add(moved),
                end: entry.end.wrapping_add(moved),
                next: entry.next.wrapping_add(shifted),
                kind: entry.kind,
            }
        }));
        self.at += (entry.end - entry.start + 2 * quote) as usize;
    }

    /// Reads a value; true where a container was opened whose first value is due.
    fn value(&mut self) -> Result<bool, TapeError> {
        let start = self.at;
        match self.text.get(start) {
            Some(b'"') => self.string()?,
            Some(b'{') => {
                self.enter(Type::Object)?;
                self.blanks();
                if self.text.get(self.at) != Some(&b'}') {
                    self.name()?;
                    return Ok(true);
                }
                self.close(self.nodes.len() as u32 - 1);
            }
            Some(b'[') => {
                self.enter(Type::Array)?;
                self.blanks();
                if self.text.get(self.at) != Some(&b']') {
                    self.value = self.element_ahead();
                    return Ok(true);
                }
                self.close(self.nodes.len() as u32 - 1);
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true", Type::Boolean)?,
            Some(b'f') => self.word(b"false", Type::Boolean)?,
            Some(b'n') => self.word(b"null", Type::Null)?,
            _ => return Err(TapeError::Invalid(start)),
        }
        Ok(false)
    }

    fn enter(&mut self, kind: Type) -> Result<(), TapeError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(TapeError::TooDeep);
        }
        let likely = self.value.take().filter(|likely| self.other[*likely as usize].kind == kind);
        let inside = likely
            .map(|likely| LikelyNext { next: likely + 1, end: self.other[likely as usize].next });
        self.open.push((
            self.nodes.len() as u32,
            std::mem::replace(&mut self.ahead, inside.unwrap_or_default()),
        ));
        self.push(kind, self.at, self.at + 1);
        self.at += 1;
        Ok(())
    }

    fn name(&mut self) -> Result<(), TapeError> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(TapeError::Invalid(self.at));
        }
        self.value = self.member_ahead();
        if let Some(value) = self.value {
            let name = self.other[value as usize - 1];
            self.push(name.kind, self.at + 1, self.at + 1 + (name.end - name.start) as usize);
            self.at += (name.end - name.start) as usize + 2;
        } else {
            self.string()?;
        }
        self.blanks();
        if self.text.get(self.at) != Some(&b':') {
            return Err(TapeError::Invalid(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// The value of the member of the other object that has the name that comes next: of one of the
    /// next few, since members are added and removed.
    fn member_ahead(&mut self) -> Option<u32> {
        let mut name = self.ahead.next;
        for _ in 0..3 {
            if name >= self.ahead.end {
                return None;
            }
            let (entry, value) = (self.other[name as usize], name + 1);
            let behind = self.other[value as usize].next;
            if self.text[self.at..]
                .starts_with(&self.other_text[entry.start as usize - 1..=entry.end as usize])
            {
                self.ahead.next = behind;
                return Some(value);
            }
            name = behind;
        }
        None
    }

    fn string(&mut self) -> Result<(), TapeError> {
        let start = self.at + 1;
        let mut at = start;
        let mut kind = Type::String;
        loop {
            // Eight bytes at a time as long as none of them is special.
            while let Some(chunk) = self.text.get(at..at + 8) {
                let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
                let special = special_in_json(word);
                if special != 0 {
                    at += (special.trailing_zeros() / 8) as usize;
                    break;
                }
                at += 8;
            }
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    kind = Type::Escaped;
                    at += match self.text.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u')
                            if self
                                .text
                                .get(at + 2..at + 6)
                                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                        {
                            6
                        }
                        _ => return Err(TapeError::Invalid(at)),
                    };
                }
                Some(0x20..) => at += 1,
                _ => return Err(TapeError::Invalid(at)),
            }
        }
        self.push(kind, start, at);
        self.at = at + 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), TapeError> {
        let start = self.at;
        let mut at = start + usize::from(self.text[start] == b'-');
        let digits =
            |from: usize| self.text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(at);
        if whole == 0 || whole > 1 && self.text[at] == b'0' {
            return Err(TapeError::Invalid(at));
        }
        at += whole;
        if self.text.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(TapeError::Invalid(at));
            }
            at += 1 + fraction;
        }
        if matches!(self.text.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.text.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits((at + 1 + sign).min(self.text.len()));
            if exponent == 0 {
                return Err(TapeError::Invalid(at));
            }
            at += 1 + sign + exponent;
        }
        self.push(Type::Number, start, at);
        self.at = at;
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Type) -> Result<(), TapeError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(TapeError::Invalid(self.at));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn push(&mut self, kind: Type, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(TapeEntry { start: start as u32, end: end as u32, next, kind });
    }

    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

impl<'t, 'a> Node<'t, 'a> {
    #[inline]
    fn entry(self) -> TapeEntry {
        self.tape.nodes[self.index as usize]
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> Type {
        self.entry().kind
    }

    /// The bytes as they stand in the text; of a string without quotes, escapes kept.
    #[inline]
    pub fn raw(self) -> &'a [u8] {
        let entry = self.entry();
        &self.tape.text.as_bytes()[entry.start as usize..entry.end as usize]
    }

    /// The same as text.
    pub fn raw_str(self) -> &'a str {
        let entry = self.entry();
        &self.tape.text[entry.start as usize..entry.end as usize]
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        matches!(self.kind(), Type::String | Type::Escaped)
    }

    /// Whether it is an array or an object.
    pub fn is_container(self) -> bool {
        matches!(self.kind(), Type::Array | Type::Object)
    }

    /// A string's value; lone surrogates become U+FFFD here (their escapes differ in
    /// [`Self::raw`]). Of anything else, its text.
    pub fn text(self) -> Cow<'a, str> {
        let raw = self.raw_str();
        if self.kind() == Type::Escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// An array's elements.
    pub fn elements(self) -> Elements<'t, 'a> {
        let entry = self.entry();
        let end = if entry.kind == Type::Array { entry.next } else { self.index + 1 };
        Elements { tape: self.tape, next: self.index + 1, end }
    }

    /// An object's members: names and values, in order, duplicates kept.
    pub fn members(self) -> Members<'t, 'a> {
        let entry = self.entry();
        let end = if entry.kind == Type::Object { entry.next } else { self.index + 1 };
        Members(Elements { tape: self.tape, next: self.index + 1, end })
    }
}

/// See [`Node::elements`].
#[derive(Clone)]
pub struct Elements<'t, 'a> {
    tape: &'t Tape<'a>,
    next: u32,
    end: u32,
}

impl<'t, 'a> Iterator for Elements<'t, 'a> {
    type Item = Node<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let node = Node { tape: self.tape, index: self.next };
        self.next = node.entry().next;
        Some(node)
    }
}

/// See [`Node::members`].
#[derive(Clone)]
pub struct Members<'t, 'a>(Elements<'t, 'a>);

impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (Node<'t, 'a>, Node<'t, 'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// Undoes a string's escapes (RFC 8259 §7), which the parser has checked.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let code = |from: usize| u32::from_str_radix(rest.get(from..from + 4)?, 16).ok();
        let (c, length) = match rest.as_bytes().get(at + 1) {
            Some(b'u') => match (
                code(at + 2),
                rest.get(at + 6..at + 8).and_then(|u| (u == "\\u").then(|| code(at + 8))?),
            ) {
                (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => (
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                        .unwrap_or('\u{fffd}'),
                    12,
                ),
                (Some(code), _) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
                (None, _) => ('\u{fffd}', 2),
            },
            Some(&letter) => (said(letter).unwrap_or(letter) as char, 2),
            None => ('\u{fffd}', 1),
        };
        out.push(c);
        rest = rest.get(at + length..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
