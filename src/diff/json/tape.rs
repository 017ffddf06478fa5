//! A JSON text as a tape: one flat list of nodes that point into the text.
//!
//! Nothing is converted: numbers keep their digits, strings their escapes, objects their order and duplicate names, so that a
//! comparison is exact and says what was really sent. Depth is bounded; memory is 16 bytes a node.

use std::borrow::Cow;

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
struct Entry {
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
    text: &'a [u8],
    nodes: Vec<Entry>,
}

/// A node of a tape.
#[derive(Clone, Copy)]
pub struct Node<'t, 'a> {
    tape: &'t Tape<'a>,
    index: u32,
}

impl<'a> Tape<'a> {
    /// Parses a text, which must be one value and blanks (RFC 8259 §2). A byte order mark is skipped (§8.1).
    pub fn parse(text: &'a [u8]) -> Result<Self, TapeError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if u32::try_from(text.len()).is_err() {
            return Err(TapeError::TooLong);
        }
        if let Err(error) = simdutf8::compat::from_utf8(text) {
            return Err(TapeError::Invalid(error.valid_up_to()));
        }
        let mut parser = Parser { text, at: 0, nodes: Vec::with_capacity(text.len() / 12 + 4), open: Vec::new() };
        parser.run()?;
        Ok(Self { text, nodes: parser.nodes })
    }

    /// The value.
    pub fn root(&self) -> Node<'_, 'a> {
        Node { tape: self, index: 0 }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<Entry>,
    /// Indices of the containers that are open.
    open: Vec<u32>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), TapeError> {
        loop {
            // A value is due.
            self.blanks();
            let opened = self.value()?;
            if opened {
                continue;
            }
            // A value has ended: close containers until another value is due.
            loop {
                let Some(&container) = self.open.last() else {
                    self.blanks();
                    return if self.at == self.text.len() { Ok(()) } else { Err(TapeError::Invalid(self.at)) };
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
        self.open.pop();
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
        self.open.push(self.nodes.len() as u32);
        self.push(kind, self.at, self.at + 1);
        self.at += 1;
        Ok(())
    }

    fn name(&mut self) -> Result<(), TapeError> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(TapeError::Invalid(self.at));
        }
        self.string()?;
        self.blanks();
        if self.text.get(self.at) != Some(&b':') {
            return Err(TapeError::Invalid(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), TapeError> {
        let start = self.at + 1;
        let mut at = start;
        let mut kind = Type::String;
        loop {
            // Eight bytes at a time as long as none of them is special.
            while let Some(chunk) = self.text.get(at..at + 8) {
                let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
                let special = special_bytes(word);
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
                        Some(b'u') if self.text.get(at + 2..at + 6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => 6,
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
        let digits = |from: usize| self.text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
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
        self.nodes.push(Entry { start: start as u32, end: end as u32, next, kind });
    }

    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// The high bit of every byte of `word` that is a quote, a backslash or a control character.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote & HIGH;
    let slash = slash.wrapping_sub(ONES) & !slash & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    quote | slash | control
}

impl<'t, 'a> Node<'t, 'a> {
    fn entry(self) -> Entry {
        self.tape.nodes[self.index as usize]
    }

    /// What it is.
    pub fn kind(self) -> Type {
        self.entry().kind
    }

    /// The bytes as they stand in the text; of a string without quotes, escapes kept.
    pub fn raw(self) -> &'a [u8] {
        let entry = self.entry();
        &self.tape.text[entry.start as usize..entry.end as usize]
    }

    /// The same as text.
    pub fn raw_str(self) -> &'a str {
        // The whole text was checked, and a node starts and ends at ASCII.
        std::str::from_utf8(self.raw()).unwrap_or("\u{fffd}")
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        matches!(self.kind(), Type::String | Type::Escaped)
    }

    /// Whether it is an array or an object.
    pub fn is_container(self) -> bool {
        matches!(self.kind(), Type::Array | Type::Object)
    }

    /// A string's value; lone surrogates become U+FFFD here (their escapes differ in [`Self::raw`]). Of anything else, its text.
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
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'u') => match (code(at + 2), rest.get(at + 6..at + 8).and_then(|u| (u == "\\u").then(|| code(at + 8))?)) {
                (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                    (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or('\u{fffd}'), 12)
                }
                (Some(code), _) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
                (None, _) => ('\u{fffd}', 2),
            },
            Some(&byte) => (byte as char, 2),
            None => ('\u{fffd}', 1),
        };
        out.push(c);
        rest = rest.get(at + length..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_serde_json_on_what_is_json() {
        for text in [
            "null",
            " true ",
            "[]",
            "{}",
            "[1,2,[3]]",
            r#"{"a":{"b":[]},"a":1}"#,
            "-0",
            "1e5",
            "1.50E-3",
            "0",
            "\"\\u00e9\\n\"",
            r#""\ud83d\ude00""#,
            "[[[[]]]]",
            "\"\"",
            r#"{"":0}"#,
            "",
            "nul",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{1:2}",
            "01",
            "1.",
            "-",
            "1e",
            ".5",
            "+1",
            "NaN",
            "\"\u{1}\"",
            "\"abc",
            "[1 2]",
            "[1}",
            "{]",
            "1 2",
            "\"\\x\"",
            "\"\\u12\"",
            "[",
            "{\"a\":1",
            "tru",
            "'a'",
            "[\"a\" : 1]",
            "]",
            "\"\\",
        ] {
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(Tape::parse(text.as_bytes()).is_ok(), theirs.is_ok(), "{text:?}");
        }
        assert_eq!(Tape::parse(b"\"\xff\"").err(), Some(TapeError::Invalid(1)));
        assert_eq!(Tape::parse("[".repeat(1_000_000).as_bytes()).err(), Some(TapeError::TooDeep));
        assert!(Tape::parse(&[b"[".repeat(MAX_DEPTH), b"]".repeat(MAX_DEPTH)].concat()).is_ok());
    }

    #[test]
    fn nodes_lead_through_the_text() {
        let tape = Tape::parse(br#"{"a":[1,{"x":2},"q\n\ud83d\ude00\ud800"],"a":null}"#).unwrap();
        let members: Vec<_> = tape.root().members().map(|(name, value)| (name.text().into_owned(), value.kind())).collect();
        assert_eq!(members, [("a".to_owned(), Type::Array), ("a".to_owned(), Type::Null)]);
        let array: Vec<_> = tape.root().members().next().unwrap().1.elements().collect();
        assert_eq!(array[1].raw_str(), r#"{"x":2}"#);
        assert_eq!(array[2].text(), "q\n😀\u{fffd}");
        assert_eq!(array[2].elements().count() + array[2].members().count(), 0);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,8}", inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn rebuilt(node: Node<'_, '_>) -> serde_json::Value {
        match node.kind() {
            Type::Array => node.elements().map(rebuilt).collect::<Vec<_>>().into(),
            Type::Object => serde_json::Value::Object(node.members().map(|(k, v)| (k.text().into_owned(), rebuilt(v))).collect()),
            Type::String | Type::Escaped => node.text().into_owned().into(),
            _ => serde_json::from_str(node.raw_str()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in any_json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            // Not `value` itself: serde_json's default reading of doubles is not exact.
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(rebuilt(Tape::parse(text.as_bytes()).unwrap().root()), expected);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in prop::collection::vec(prop_oneof![
            Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b':'), Just(b','), Just(b'u'), any::<u8>()], 0..40)) {
            let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
            let ours = Tape::parse(&bytes);
            // serde_json refuses lone surrogates only when it builds a string; the tape keeps them.
            prop_assert_eq!(ours.is_ok(), theirs.is_ok() && std::str::from_utf8(&bytes).is_ok());
        }
    }
}
