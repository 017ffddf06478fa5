//! Reads messages in the very form in which this program writes them, several times as fast as a
//! general reader of JSON does: each key is expected where the writer puts it, and strings are
//! found and unescaped in one walk.
//!
//! Only ever a first try: `None` says that a line has another form (another writer's order of keys,
//! blanks, a rare field, an error), and serde reads it then, or says what is wrong with it. What is
//! read here is what serde would have read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::message::json::escape::special_in_json;
use crate::message::json::unescape::unescape;
use crate::message::{Body, Framing, Headers, Request, Response, Version};

/// Where in a line the reader is.
pub(crate) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
    /// The last string that had escapes, without them.
    unescaped: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// At the start of a line; none where it is not UTF-8.
    pub(crate) fn new(line: &'a [u8]) -> Option<Self> {
        simdutf8::basic::from_utf8(line).ok()?;
        Some(Self { line, at: 0, unescaped: Vec::new() })
    }

    /// Goes past `wanted`, where it comes next.
    #[inline]
    pub(crate) fn skip(&mut self, wanted: &[u8]) -> bool {
        let found = self.line[self.at..].starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    /// The same where nothing else may come.
    #[inline]
    pub(crate) fn expect(&mut self, wanted: &[u8]) -> Option<()> {
        self.skip(wanted).then_some(())
    }

    /// The line must be used up.
    pub(crate) fn end(&self) -> Option<()> {
        (self.at == self.line.len()).then_some(())
    }

    /// An integer of at most 18 digits.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        let negative = self.skip(b"-");
        let start = self.at;
        let mut value = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.line.get(self.at) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - start;
        // `-0` is a floating-point number to serde.
        let fits =
            (1..=18).contains(&digits) && (self.line[start] != b'0' || digits == 1 && !negative);
        fits.then_some(if negative { -value } else { value })
    }

    /// An integer that is not negative.
    fn length(&mut self) -> Option<u64> {
        u64::try_from(self.integer()?).ok()
    }

    /// The rest of a short string without escapes, whose opening quote was passed.
    pub(crate) fn plain(&mut self) -> Option<&'a str> {
        let rest = &self.line[self.at..];
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
        self.at += end + 1;
        (rest[end] == b'"').then(|| std::str::from_utf8(&rest[..end]).ok())?
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Option<&[u8]> {
        self.expect(b"\"")?;
        let start = self.at;
        self.at += run(&self.line[start..]);
        match self.line.get(self.at)? {
            b'"' => {
                self.at += 1;
                Some(&self.line[start..self.at - 1])
            }
            b'\\' => {
                self.unescaped.clear();
                // What is left of the line is at least as long, and mostly this string.
                self.unescaped.reserve(self.line.len() - start);
                self.unescaped.extend_from_slice(&self.line[start..self.at]);
                self.at += unescape(&mut self.unescaped, &self.line[self.at..])?;
                Some(&self.unescaped)
            }
            _ => None,
        }
    }

    /// Octets: a string, or `{"base64":"…"}`.
    pub(crate) fn octets(&mut self) -> Option<&[u8]> {
        if self.skip(b"{\"base64\":\"") { self.base64() } else { self.string() }
    }

    fn base64(&mut self) -> Option<&[u8]> {
        let text = self.plain()?;
        self.expect(b"}")?;
        self.unescaped.clear();
        BASE64.decode_vec(text, &mut self.unescaped).ok()?;
        Some(&self.unescaped)
    }

    fn body(&mut self) -> Option<Bytes> {
        if self.skip(b"null") {
            return Some(Bytes::new());
        }
        if self.skip(b"{\"base64\":\"") {
            return self.base64().map(Bytes::copy_from_slice);
        }
        self.expect(b"{\"utf8\":")?;
        let bytes = Bytes::copy_from_slice(self.string()?);
        self.expect(b"}")?;
        Some(bytes)
    }

    fn headers(&mut self) -> Option<Headers> {
        if self.skip(b"[]") {
            return Some(Headers::new());
        }
        let mut headers = Headers::with_capacity(12, 384);
        self.pairs(|cursor| {
            headers.push(cursor.octets()?, b"");
            cursor.expect(b",")?;
            headers.extend_last(cursor.octets()?);
            Some(())
        })?;
        Some(headers)
    }

    /// A list of pairs; `pair` takes what stands between the brackets of one.
    fn pairs(&mut self, mut pair: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b"[")?;
        if self.skip(b"]") {
            return Some(());
        }
        loop {
            self.expect(b"[")?;
            pair(self)?;
            self.expect(b"]")?;
            if !self.skip(b",") {
                return self.expect(b"]");
            }
        }
    }

    /// What requests and responses share, from `"version"` to `"trailers"`, with what comes before
    /// the status or behind the target.
    fn tail(&mut self) -> Option<(Version, Headers, Body, Framing, Headers)> {
        self.expect(b",\"version\":\"")?;
        let version = match self.plain()? {
            "1.1" => Version::Http11,
            other => other.parse().ok()?,
        };
        self.expect(b",\"headers\":")?;
        let headers = self.headers()?;
        self.expect(b",\"body\":")?;
        let bytes = self.body()?;
        self.expect(b",\"body_bytes\":")?;
        let length = self.length().filter(|length| *length >= bytes.len() as u64)?;
        self.expect(b",\"framing\":\"")?;
        let framing = match self.plain()? {
            "none" => Framing::None,
            "content-length" => Framing::ContentLength,
            "chunked" => Framing::Chunked,
            "close" => Framing::Close,
            "frames" => Framing::Frames,
            _ => return None,
        };
        self.expect(b",\"trailers\":")?;
        Some((version, headers, Body { bytes, length, sha256: None }, framing, self.headers()?))
    }

    /// The fields of a request to the brace that closes it.
    pub(crate) fn request(&mut self) -> Option<Request> {
        self.expect(b"\"method\":")?;
        let method = match self.octets()? {
            b"GET" => Bytes::from_static(b"GET"),
            b"POST" => Bytes::from_static(b"POST"),
            other => Bytes::copy_from_slice(other),
        };
        self.expect(b",\"target\":")?;
        let target = Bytes::copy_from_slice(self.octets()?);
        let (version, headers, body, framing, trailers) = self.tail()?;
        self.expect(b"}")?;
        Some(Request {
            method,
            target,
            version,
            headers,
            body,
            framing,
            trailers,
            verbatim: None,
            extras: None,
        })
    }

    /// The fields of a response to the brace that closes it.
    pub(crate) fn response(&mut self) -> Option<Response> {
        self.expect(b"\"status\":")?;
        let status = u16::try_from(self.integer()?).ok()?;
        self.expect(b",\"reason\":")?;
        let reason = match self.octets()? {
            b"OK" => Bytes::from_static(b"OK"),
            other => Bytes::copy_from_slice(other),
        };
        let (version, headers, body, framing, trailers) = self.tail()?;
        self.expect(b"}")?;
        Some(Response { status, reason, version, headers, body, framing, trailers, extras: None })
    }

    /// The same, read for its status alone: the rest is gone past, and nothing of it is copied.
    pub(crate) fn status(&mut self) -> Option<u16> {
        self.expect(b"\"status\":")?;
        let status = u16::try_from(self.integer()?).ok()?;
        self.expect(b",\"reason\":")?;
        self.pass_octets()?;
        self.expect(b",\"version\":")?;
        self.pass_string()?;
        self.expect(b",\"headers\":")?;
        self.pass_headers()?;
        self.expect(b",\"body\":")?;
        if !self.skip(b"null") {
            self.pass_object()?;
        }
        self.expect(b",\"body_bytes\":")?;
        self.length()?;
        if self.skip(b",\"body_sha256\":") {
            self.pass_string()?;
        }
        self.expect(b",\"framing\":")?;
        self.pass_string()?;
        self.expect(b",\"trailers\":")?;
        self.pass_headers()?;
        self.expect(b"}")?;
        Some(status)
    }

    fn pass_headers(&mut self) -> Option<()> {
        self.pairs(|cursor| {
            cursor.pass_octets()?;
            cursor.expect(b",")?;
            cursor.pass_octets()
        })
    }

    fn pass_octets(&mut self) -> Option<()> {
        if self.line.get(self.at) == Some(&b'"') { self.pass_string() } else { self.pass_object() }
    }

    /// Goes past octets that are named by their form.
    fn pass_object(&mut self) -> Option<()> {
        if !self.skip(b"{\"base64\":") {
            self.expect(b"{\"utf8\":")?;
        }
        self.pass_string()?;
        self.expect(b"}")
    }

    fn pass_string(&mut self) -> Option<()> {
        self.expect(b"\"")?;
        loop {
            self.at += run(&self.line[self.at..]);
            match self.line[self.at..] {
                [b'"', ..] => {
                    self.at += 1;
                    return Some(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                // The writer escapes control characters so, and no surrogates.
                [b'\\', b'u', b'0', b'0', high, low, ..]
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    self.at += 6
                }
                _ => return None,
            }
        }
    }
}

/// How many bytes come before the first that ends a run of plain ones in a JSON string, or before
/// the end.
fn run(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special_in_json(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)).count();
    words.len() * 8 + plain
}
