//! Documents that are no text, read as the JSON that they say: MessagePack, CBOR (RFC 8949), BSON,
//! and what PHP serializes; with the places where their strings and numbers stand.

use std::ops::Range;

use super::encoding::hex;

/// Deepest nesting that is read.
const DEPTH: usize = 64;

/// How documents are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    MessagePack,
    Cbor,
    Bson,
    Php,
    /// `name|value` pairs, as PHP keeps sessions.
    PhpSession,
}

/// A document, read.
pub(crate) struct PackedText {
    /// What it says, as JSON.
    pub(crate) json: Vec<u8>,
    /// Where its strings and numbers stand, in the order of the JSON.
    pub(crate) leaves: Vec<(Range<usize>, PackedLeaf)>,
}

impl PackedText {
    /// The document that `content` is, by its type and its first octets; none where it is none.
    pub(crate) fn of(content: &[u8], content_type: &[u8]) -> Option<Self> {
        let PackedReader { json, leaves, .. } = PackedReader::read(content, content_type, false)?;
        Some(Self { json, leaves })
    }
}

/// How a value is written in the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackedLeaf {
    Text,
    /// Octets that are no text.
    Octets,
    /// An unsigned number, the highest octet first.
    Big,
    /// The same, the lowest octet first.
    Little,
    /// A number that has no octets of its own.
    Inline,
}

/// A number of half precision (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let number = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { number } else { -number }
}

/// Whether a value that is text looks like what PHP serializes.
pub(crate) fn looks_like_php(value: &[u8]) -> bool {
    matches!(packing(value, b""), Some(Packing::Php | Packing::PhpSession))
}

fn packing(content: &[u8], content_type: &[u8]) -> Option<Packing> {
    let kind = content_type.to_ascii_lowercase();
    let named = |name: &[u8]| memchr::memmem::find(&kind, name).is_some();
    if named(b"msgpack") || named(b"messagepack") {
        return Some(Packing::MessagePack);
    } else if named(b"cbor") {
        return Some(Packing::Cbor);
    } else if named(b"bson") {
        return Some(Packing::Bson);
    }
    match content {
        // Maps and arrays that are not empty.
        [0x81..=0x8f | 0x91..=0x9f | 0xdc..=0xdf, _, ..] => Some(Packing::MessagePack),
        [0xa1..=0xbb | 0xbf | 0xd9, _, ..] => Some(Packing::Cbor),
        [a, b, c, d, 1..=0x13, ..]
            if usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])) == Ok(content.len()) =>
        {
            Some(Packing::Bson)
        }
        [b'a' | b'O' | b's', b':', b'0'..=b'9', ..] => Some(Packing::Php),
        [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => {
            let name = content.iter().take(64).position(|byte| !is_of_name(*byte))?;
            let rest = content.get(name..name + 3)?;
            matches!(rest, [b'|', b'a' | b'i' | b's' | b'b' | b'O' | b'N', b':' | b';'])
                .then_some(Packing::PhpSession)
        }
        _ => None,
    }
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// What a document of MessagePack, CBOR or BSON says, as JSON that loses nothing; none where it is
/// none by its type, or not whole.
pub(crate) fn as_json(content: &[u8], content_type: &[u8]) -> Option<Vec<u8>> {
    let kind = content_type.to_ascii_lowercase();
    let named = |name: &[u8]| memchr::memmem::find(&kind, name).is_some();
    if ![&b"msgpack"[..], b"messagepack", b"cbor", b"bson"].into_iter().any(named) {
        return None;
    }
    PackedReader::read(content, content_type, true).map(|reader| reader.json)
}

struct PackedReader<'a> {
    content: &'a [u8],
    at: usize,
    json: Vec<u8>,
    leaves: Vec<(Range<usize>, PackedLeaf)>,
    packing: Packing,
    /// Whether what cannot be a secret is written, too.
    is_exact: bool,
}

impl<'a> PackedReader<'a> {
    /// Reads all of a document; none where it is none, or not whole.
    fn read(content: &'a [u8], content_type: &[u8], is_exact: bool) -> Option<Self> {
        let packing = packing(content, content_type)?;
        let (json, leaves) = (Vec::new(), Vec::new());
        let mut reader = Self { content, at: 0, json, leaves, packing, is_exact };
        reader.all()?;
        Some(reader)
    }

    /// All values in a row: one document, or several.
    fn all(&mut self) -> Option<()> {
        if self.packing == Packing::PhpSession {
            return self.session();
        }
        self.value(0)?;
        if self.at == self.content.len() {
            return Some(());
        }
        self.json.insert(0, b'[');
        while self.at < self.content.len() {
            self.json.push(b',');
            self.value(0)?;
        }
        self.json.push(b']');
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match self.packing {
            Packing::MessagePack => self.message_pack(depth),
            Packing::Cbor => self.cbor(depth),
            Packing::Bson => self.bson(depth),
            Packing::Php | Packing::PhpSession => self.php(depth),
        }
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.content.len())?;
        let range = self.at..end;
        self.at = end;
        Some(range)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|range| self.content[range.start])
    }

    /// An unsigned number of so many octets, the highest first.
    fn big(&mut self, octets: usize) -> Option<u64> {
        let range = self.take(octets)?;
        Some(self.content[range].iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, octets: usize) -> Option<usize> {
        usize::try_from(self.big(octets)?).ok()
    }

    fn little(&mut self) -> Option<usize> {
        let range = self.take(4)?;
        let octets: [u8; 4] = self.content[range].try_into().ok()?;
        usize::try_from(i32::from_le_bytes(octets)).ok()
    }

    fn null(&mut self) {
        self.json.extend_from_slice(b"null");
    }

    /// A value that is no string and no number to look for.
    fn skip(&mut self, length: usize) -> Option<()> {
        let range = self.take(length)?;
        match (self.is_exact && length > 0).then(|| hex(&self.content[range])) {
            Some(octets) => self.json.extend_from_slice(format!("\"{octets}\"").as_bytes()),
            None => self.null(),
        }
        Some(())
    }

    /// What is written as such only where nothing is to be lost.
    fn exact(&mut self, written: impl std::fmt::Display) {
        match self.is_exact {
            true => self.json.extend_from_slice(written.to_string().as_bytes()),
            false => self.null(),
        }
    }

    /// A number with a fraction, of so many octets.
    fn float(&mut self, octets: usize, little: bool) -> Option<()> {
        let range = self.take(octets)?;
        let mut bits =
            self.content[range].iter().fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
        if little {
            bits = bits.swap_bytes() >> (64 - 8 * octets);
        }
        let number = match octets {
            2 => half(bits as u16),
            4 => f64::from(f32::from_bits(bits as u32)),
            _ => f64::from_bits(bits),
        };
        match number.is_finite() {
            true if octets == 4 => self.exact(number as f32),
            true => self.exact(number),
            false => self.exact(format_args!("\"{number}\"")),
        }
        Some(())
    }

    /// A number that may be below zero, of so many octets, the highest first.
    fn signed(&mut self, octets: usize) -> Option<()> {
        if !self.is_exact {
            return self.unsigned(octets, PackedLeaf::Big);
        }
        let shift = 64 - 8 * octets as u32;
        let number = (self.big(octets)? << shift).cast_signed() >> shift;
        self.exact(number);
        Some(())
    }

    fn text(&mut self, range: Range<usize>) {
        let (text, leaf) = match std::str::from_utf8(&self.content[range.clone()]) {
            Ok(text) => (text, PackedLeaf::Text),
            Err(_) if self.is_exact => {
                let octets = hex(&self.content[range]);
                self.json.extend_from_slice(format!("\"{octets}\"").as_bytes());
                return;
            }
            Err(_) => ("", PackedLeaf::Octets),
        };
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.json, text);
        self.leaves.push((range, leaf));
    }

    fn string(&mut self, length: usize) -> Option<()> {
        let range = self.take(length)?;
        self.text(range);
        Some(())
    }

    fn unsigned(&mut self, octets: usize, leaf: PackedLeaf) -> Option<()> {
        let range = self.take(octets)?;
        let all = self.content[range.clone()].iter();
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number =
            if leaf == PackedLeaf::Little { all.rev().fold(0, add) } else { all.fold(0, add) };
        self.json.extend_from_slice(number.to_string().as_bytes());
        self.leaves.push((range, leaf));
        Some(())
    }

    /// A number that stands in the octet before.
    fn inline(&mut self, number: u8) {
        self.json.extend_from_slice(number.to_string().as_bytes());
        self.leaves.push((self.at..self.at, PackedLeaf::Inline));
    }

    /// `[value, …]`
    fn list(&mut self, count: usize, depth: usize) -> Option<()> {
        self.json.push(b'[');
        for index in 0..count {
            if index > 0 {
                self.json.push(b',');
            }
            self.value(depth + 1)?;
        }
        self.json.push(b']');
        Some(())
    }

    /// `{"name": value, …}`
    fn map(&mut self, count: usize, depth: usize) -> Option<()> {
        self.json.push(b'{');
        for index in 0..count {
            if index > 0 {
                self.json.push(b',');
            }
            self.name(depth)?;
            self.value(depth + 1)?;
        }
        self.json.push(b'}');
        Some(())
    }

    /// A name is a value that is not looked at; what is no string is one by how it is written.
    fn name(&mut self, depth: usize) -> Option<()> {
        let (json, leaves) = (self.json.len(), self.leaves.len());
        self.value(depth + 1)?;
        self.leaves.truncate(leaves);
        let written = self.json.split_off(json);
        match written.first() {
            Some(b'"') => self.json.extend_from_slice(&written),
            _ => {
                let name = String::from_utf8_lossy(&written).into_owned();
                let _ = serde_json::to_writer(&mut self.json, &name);
            }
        }
        self.json.push(b':');
        Some(())
    }

    fn message_pack(&mut self, depth: usize) -> Option<()> {
        let byte = self.byte()?;
        let small = |mask: u8| usize::from(byte & mask);
        match byte {
            0..=0x7f => self.inline(byte),
            0x80..=0x8f => self.map(small(0x0f), depth)?,
            0x90..=0x9f => self.list(small(0x0f), depth)?,
            0xa0..=0xbf => self.string(small(0x1f))?,
            0xc0 => self.null(),
            0xc2 => self.exact(false),
            0xc3 => self.exact(true),
            0xe0..=0xff => self.exact(byte.cast_signed()),
            0xc4..=0xc6 => {
                let length = self.length(1 << (byte - 0xc4))?;
                self.string(length)?;
            }
            0xc7..=0xc9 => {
                let length = self.length(1 << (byte - 0xc7))?;
                self.skip(length.checked_add(1)?)?;
            }
            0xca | 0xcb => self.float(4 << (byte - 0xca), false)?,
            0xcc..=0xcf => self.unsigned(1 << (byte - 0xcc), PackedLeaf::Big)?,
            0xd0..=0xd3 => self.signed(1 << (byte - 0xd0))?,
            0xd4..=0xd8 => self.skip(1 + (1 << (byte - 0xd4)))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (byte - 0xd9))?;
                self.string(length)?;
            }
            0xdc | 0xdd => {
                let count = self.length(2 << (byte - 0xdc))?;
                self.list(count, depth)?;
            }
            0xde | 0xdf => {
                let count = self.length(2 << (byte - 0xde))?;
                self.map(count, depth)?;
            }
            0xc1 => return None,
        }
        Some(())
    }

    fn cbor(&mut self, depth: usize) -> Option<()> {
        let byte = self.byte()?;
        let (major, info) = (byte >> 5, byte & 0x1f);
        if info == 31 {
            return self.cbor_open(major, depth);
        }
        let octets = match info {
            0..=23 => 0,
            24..=27 => 1 << (info - 24),
            _ => return None,
        };
        if major == 0 {
            match octets {
                0 => self.inline(info),
                _ => self.unsigned(octets, PackedLeaf::Big)?,
            }
            return Some(());
        }
        if major == 7 {
            match (octets, info) {
                (2.., _) => self.float(octets, false)?,
                (1, _) => self.skip(1)?,
                (_, 20) => self.exact(false),
                (_, 21) => self.exact(true),
                _ => self.null(),
            }
            return Some(());
        }
        let count = if octets == 0 { u64::from(info) } else { self.big(octets)? };
        if major == 1 {
            self.exact(-1 - i128::from(count));
            return Some(());
        }
        let count = usize::try_from(count).ok()?;
        match major {
            2 | 3 => self.string(count)?,
            4 => self.list(count, depth)?,
            5 => self.map(count, depth)?,
            // A tag says what the value behind it is.
            _ => self.value(depth + 1)?,
        }
        Some(())
    }

    /// A value whose end is marked: strings in pieces are lists of them.
    fn cbor_open(&mut self, major: u8, depth: usize) -> Option<()> {
        let is_map = match major {
            2..=4 => false,
            5 => true,
            _ => return None,
        };
        self.json.push(if is_map { b'{' } else { b'[' });
        let mut is_first = true;
        while *self.content.get(self.at)? != 0xff {
            if !std::mem::take(&mut is_first) {
                self.json.push(b',');
            }
            if is_map {
                self.name(depth)?;
            }
            self.value(depth + 1)?;
        }
        self.at += 1;
        self.json.push(if is_map { b'}' } else { b']' });
        Some(())
    }

    fn bson(&mut self, depth: usize) -> Option<()> {
        let start = self.at;
        let length = self.little()?;
        let end = start.checked_add(length).filter(|&end| end <= self.content.len())?;
        self.json.push(b'{');
        let mut is_first = true;
        loop {
            let kind = self.byte()?;
            if kind == 0 {
                break;
            }
            if !std::mem::take(&mut is_first) {
                self.json.push(b',');
            }
            let name = self.until(0)?;
            self.write_name(name);
            self.bson_value(kind, depth)?;
        }
        self.json.push(b'}');
        (self.at == end).then_some(())
    }

    fn bson_value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            2 | 0x0d | 0x0e => {
                let length = self.little()?.checked_sub(1)?;
                self.string(length)?;
                (self.byte()? == 0).then_some(())
            }
            3 | 4 => self.value(depth + 1),
            5 => {
                let length = self.little()?;
                self.byte()?;
                self.string(length)
            }
            0x10 => self.unsigned(4, PackedLeaf::Little),
            0x12 => self.unsigned(8, PackedLeaf::Little),
            1 => self.float(8, true),
            9 | 0x11 => self.skip(8),
            7 => self.skip(12),
            8 => self.skip(1),
            0x13 => self.skip(16),
            0x0b => {
                self.until(0)?;
                self.until(0)?;
                self.skip(0)
            }
            6 | 0x0a | 0x7f | 0xff => self.skip(0),
            _ => None,
        }
    }

    /// What stands before `end`, which is taken too.
    fn until(&mut self, end: u8) -> Option<Range<usize>> {
        let length = memchr::memchr(end, &self.content[self.at..])?;
        let range = self.take(length)?;
        self.at += 1;
        Some(range)
    }

    fn write_name(&mut self, range: Range<usize>) {
        let name = String::from_utf8_lossy(&self.content[range]);
        let _ = serde_json::to_writer(&mut self.json, &*name);
        self.json.push(b':');
    }

    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.content[self.at..].starts_with(text).then(|| self.at += text.len())
    }

    fn decimal(&mut self, end: u8) -> Option<usize> {
        let range = self.until(end)?;
        std::str::from_utf8(&self.content[range]).ok()?.parse().ok()
    }

    /// `s:20:"…";` and its kind, of which the letter and the colon were read.
    fn php_string(&mut self) -> Option<Range<usize>> {
        let length = self.decimal(b':')?;
        self.expect(b"\"")?;
        let range = self.take(length)?;
        self.expect(b"\"")?;
        Some(range)
    }

    fn php(&mut self, depth: usize) -> Option<()> {
        let kind = self.byte()?;
        if kind == b'N' {
            self.null();
            return self.expect(b";");
        }
        self.expect(b":")?;
        match kind {
            b's' | b'E' => {
                let range = self.php_string()?;
                self.text(range);
                self.expect(b";")
            }
            b'i' => {
                let range = self.until(b';')?;
                let is_number = self.content[range.clone()].iter().all(u8::is_ascii_digit);
                // Its digits are text of the same length.
                if is_number {
                    self.text(range)
                } else {
                    self.null()
                }
                Some(())
            }
            b'b' | b'd' | b'R' | b'r' => {
                self.until(b';')?;
                self.null();
                Some(())
            }
            b'a' | b'O' => {
                if kind == b'O' {
                    self.php_string()?;
                    self.expect(b":")?;
                }
                let count = self.decimal(b':')?;
                self.expect(b"{")?;
                self.php_members(count, depth)?;
                self.expect(b"}")
            }
            _ => None,
        }
    }

    fn php_members(&mut self, count: usize, depth: usize) -> Option<()> {
        self.json.push(b'{');
        for index in 0..count {
            if index > 0 {
                self.json.push(b',');
            }
            match self.content.get(self.at)? {
                b's' => {
                    self.at += 1;
                    self.expect(b":")?;
                    let mut name = self.php_string()?;
                    self.expect(b";")?;
                    // `\0Class\0name` of what is private.
                    let mark = memchr::memrchr(0, &self.content[name.clone()]);
                    name.start += mark.map_or(0, |at| at + 1);
                    self.write_name(name);
                }
                b'i' => {
                    self.at += 1;
                    self.expect(b":")?;
                    let name = self.until(b';')?;
                    self.write_name(name);
                }
                _ => return None,
            }
            self.value(depth + 1)?;
        }
        self.json.push(b'}');
        Some(())
    }

    /// `name|value` in a row.
    fn session(&mut self) -> Option<()> {
        self.json.push(b'{');
        while self.at < self.content.len() {
            if self.at > 0 {
                self.json.push(b',');
            }
            let name = self.until(b'|')?;
            self.write_name(name);
            self.value(0)?;
        }
        self.json.push(b'}');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_written_as_json_that_loses_nothing() {
        let of = |kind: &str, content: &[u8]| {
            as_json(content, kind.as_bytes()).map(|json| String::from_utf8(json).unwrap())
        };
        let price = 12.5_f64.to_be_bytes();
        let map = [&b"\x83\xa2id\x07\xa5price\xcb"[..], &price, b"\xa2ok\xc3"].concat();
        let json = r#"{"id":7,"price":12.5,"ok":true}"#;
        assert_eq!(of("application/msgpack", &map).as_deref(), Some(json));
        let list = b"\x96\xff\xd0\x85\xd1\xff\x00\xc2\xc0\xc4\x02\xfe\xff";
        let json = r#"[-1,-123,-256,false,null,"feff"]"#;
        assert_eq!(of("application/x-msgpack", list).as_deref(), Some(json));
        let map = [b"\xa3bid\x07eprice\xfb".as_slice(), &price].concat();
        let map = [&map[..], b"bok\xf5"].concat();
        let json = r#"{"id":7,"price":12.5,"ok":true}"#;
        assert_eq!(of("application/cbor", &map).as_deref(), Some(json));
        let list = b"\x85\x20\x38\x63\xf9\x3e\x00\xf4\x41\xff";
        assert_eq!(of("application/cbor", list).as_deref(), Some(r#"[-1,-100,1.5,false,"ff"]"#));
        assert_eq!(of("application/msgpack", b"\x82\xa2id\x07"), None, "cut");
        assert_eq!(of("application/octet-stream", b"\x81\xa2id\x07"), None, "by its type alone");
    }
}
