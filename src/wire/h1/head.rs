//! Heads of messages: start line, header fields, and what they say of the body's framing (RFC 9112
//! §§2–6).
//!
//! `httparse` reads the plain ones. What it refuses and servers in the wild accept (lone LF,
//! obs-fold, blanks before a colon, lines without a colon, a target with blanks, no reason, no
//! version) is read by the lenient code here. Bytes are kept as they came; what is odd is named in
//! [`Head::oddities`].

use std::mem::MaybeUninit;

use bytes::Bytes;

use crate::limits;
use crate::message::{Framing, Headers, Request, Response, Version};
use crate::wire::h1::parsed::Keep;

/// Header fields that the fast way has room for; more take the slow way.
const FAST_FIELDS: usize = 64;

/// Names of what is odd in a message.
pub(super) type Oddities = Vec<&'static str>;

/// A start line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartLine {
    Request { method: Bytes, target: Bytes, version: Version },
    Response { status: u16, reason: Bytes, version: Version },
}

/// A head as read.
#[derive(Debug)]
pub(super) struct Head {
    pub start: StartLine,
    pub headers: Headers,
    pub oddities: Oddities,
    /// The bytes of a request's head, where its parts do not tell them.
    pub raw: Option<Bytes>,
}

/// Reads the head at the front of `input` where it is whole and plain: the head and its length.
/// `None`: ask the lenient way.
pub(super) fn fast(input: &[u8], max_fields: usize, keep: Keep) -> Option<(Head, usize)> {
    let mut room = [const { MaybeUninit::uninit() }; FAST_FIELDS];
    if input.starts_with(b"HTTP/1.") {
        let mut response = httparse::Response::new(&mut []);
        let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            input,
            &mut room,
        ) {
            Ok(httparse::Status::Complete(length)) => length,
            _ => return None,
        };
        // The library gives an empty reason where it holds bytes beyond ASCII, so the line is read
        // here.
        let line = &input[..memchr::memchr(b'\n', input)?];
        let start = status_line(line.strip_suffix(b"\r").unwrap_or(line))?;
        let headers = copy(response.headers, length, max_fields, keep)?;
        return Some((Head { start, headers, oddities: Oddities::new(), raw: None }, length));
    }
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, &mut room) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return None,
    };
    let start = StartLine::Request {
        method: method_bytes(request.method?.as_bytes()),
        target: Bytes::copy_from_slice(request.path?.as_bytes()),
        version: if request.version? == 1 { Version::Http11 } else { Version::Http10 },
    };
    let headers = copy(request.headers, length, max_fields, keep)?;
    let line = start.line_length();
    let is_kept = keep == Keep::Everything && !is_usual(&input[..length], line, request.headers);
    let raw = is_kept.then(|| Bytes::copy_from_slice(&input[..length]));
    Some((Head { start, headers, oddities: Oddities::new(), raw }, length))
}

/// Whether a head that the library read is in the form in which this program writes one: each field
/// behind `: ` (`:` where it is empty), each line with CRLF. The library allows one blank only
/// between the parts of a start line.
fn is_usual(head: &[u8], line: usize, fields: &[httparse::Header<'_>]) -> bool {
    let ends_line = |at: usize| head.get(at.wrapping_sub(2)..at) == Some(b"\r\n");
    let mut at = line;
    for field in fields {
        let (name, value) = (field.name.len(), field.value.len());
        let begins = at;
        at += name + value + if value == 0 { 3 } else { 4 };
        if field.name.as_ptr() as usize != head.as_ptr() as usize + begins
            || !ends_line(begins)
            || (value > 0
                && field.value.as_ptr() as usize != head.as_ptr() as usize + begins + name + 2)
            || (value > 0 && head.get(begins + name..begins + name + 2) != Some(b": "))
        {
            return false;
        }
    }
    ends_line(at) && at + 2 == head.len() && ends_line(head.len())
}

fn copy(
    fields: &[httparse::Header<'_>],
    bytes: usize,
    max_fields: usize,
    keep: Keep,
) -> Option<Headers> {
    if fields.len() > max_fields {
        return None;
    }
    if keep == Keep::Outline {
        let decide = fields.iter().filter(|field| decides(field.name.as_bytes()));
        return Some(decide.map(|field| (field.name.as_bytes(), field.value)).collect());
    }
    let mut headers = Headers::with_capacity(fields.len(), bytes);
    for field in fields {
        headers.push(field.name.as_bytes(), field.value);
    }
    Some(headers)
}

/// Whether a field is one of [`Keep::Outline`].
fn decides(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"host"),
        7 => name.eq_ignore_ascii_case(b"upgrade"),
        10 => name.eq_ignore_ascii_case(b"connection"),
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        24 => name.eq_ignore_ascii_case(b"sec-websocket-extensions"),
        _ => false,
    }
}

/// Reads a head of which every line is there (or, in a damaged message, as many as came). `None`:
/// no start line.
pub(super) fn lenient(head: &[u8], max_fields: usize) -> Option<Head> {
    let mut lines = lines(head);
    let start = start_line(lines.next()?)?;
    let mut oddities = Oddities::new();
    match &start {
        StartLine::Request { version: Version::Http09, .. } => oddities.push("no-version"),
        StartLine::Request { target, .. } if target.is_empty() => oddities.push("no-target"),
        StartLine::Request { target, .. } if memchr::memchr2(b' ', b'\t', target).is_some() => {
            oddities.push("blank-in-target")
        }
        _ => {}
    }
    let headers = fields(lines, max_fields, &mut oddities);
    let raw = start.raw(&headers, head);
    Some(Head { start, headers, oddities, raw })
}

/// Reads header or trailer lines up to the blank one.
pub(super) fn fields<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    max_fields: usize,
    oddities: &mut Oddities,
) -> Headers {
    let mut headers = Headers::new();
    let mut note = |what| {
        if !oddities.contains(&what) {
            oddities.push(what);
        }
    };
    for line in lines {
        if line.is_empty() {
            break;
        }
        if matches!(line[0], b' ' | b'\t') && !headers.is_empty() {
            // obs-fold (RFC 9112 §5.2): one blank in place of the line end and what surrounds it.
            note("obs-fold");
            headers.extend_last(b" ");
            headers.extend_last(line.trim_ascii());
            continue;
        }
        if headers.len() >= max_fields {
            note("too-many-fields");
            break;
        }
        if memchr::memchr2(b'\r', 0, line).is_some() {
            note("control-in-field");
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            note("field-without-colon");
            headers.push(line.trim_ascii(), b"");
            continue;
        };
        let name = line[..colon].trim_ascii();
        if name.len() != colon {
            note("blank-around-field-name");
        }
        headers.push(name, line[colon + 1..].trim_ascii());
    }
    headers
}

/// The lines of a head, without their ends (CRLF or lone LF, RFC 9112 §2.2).
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// Reads a start line of either kind.
pub(super) fn start_line(line: &[u8]) -> Option<StartLine> {
    if line.starts_with(b"HTTP/") { status_line(line) } else { request_line(line) }
}

/// `HTTP/x.y SP 3DIGIT [SP reason]` (RFC 9112 §4); the reason and its blank may be missing.
pub(super) fn status_line(line: &[u8]) -> Option<StartLine> {
    let (version, rest) = version(line)?;
    let rest = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"\t"))?.trim_ascii_start();
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let status = digits.iter().fold(0u16, |status, &digit| status * 10 + u16::from(digit - b'0'));
    let reason = match rest.get(3) {
        None => &[][..],
        Some(b' ' | b'\t') => &rest[4..],
        Some(_) => return None,
    };
    Some(StartLine::Response { status, reason: reason_bytes(reason), version })
}

/// `method SP target SP HTTP/x.y` (RFC 9112 §3). Blanks in the target are kept; without a version
/// it is HTTP/0.9 (RFC 1945 §4.1), which only `GET`-like known methods may be, so that other
/// protocols are not taken for it.
pub(super) fn request_line(line: &[u8]) -> Option<StartLine> {
    let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let method = &line[..blank];
    if method.is_empty() || method.len() > 64 || !method.iter().all(|&byte| is_token(byte)) {
        return None;
    }
    let rest = line[blank..].trim_ascii();
    let at = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    if let Some((version, b"")) = version(&rest[at..]) {
        let target = rest[..at].trim_ascii();
        return Some(StartLine::Request {
            method: method_bytes(method),
            target: Bytes::copy_from_slice(target),
            version,
        });
    }
    let simple = is_known_method(method)
        && rest.first().is_some_and(|&byte| byte == b'/' || rest.starts_with(b"http://"));
    if !simple || rest.iter().any(|&byte| byte < b' ') {
        return None;
    }
    Some(StartLine::Request {
        method: method_bytes(method),
        target: Bytes::copy_from_slice(rest),
        version: Version::Http09,
    })
}

/// Reads `HTTP/x.y` and gives what follows. Zeros before a number say nothing (RFC 2616 §3.1), and
/// clients that got `HTTP/1.01` went on; so they did with `HTTP/1` of a server that leaves out the
/// rest.
fn version(text: &[u8]) -> Option<(Version, &[u8])> {
    let text = text.strip_prefix(b"HTTP/")?;
    let (major, rest) = version_number(text)?;
    let (minor, rest) = match rest {
        [b'.', rest @ ..] => version_number(rest)?,
        _ => (0, rest),
    };
    let version = match (major, minor) {
        (1, 1) => Version::Http11,
        (1, 0) => Version::Http10,
        (0, 9) => Version::Http09,
        (major, minor) => Version::Other(major, minor),
    };
    Some((version, rest))
}

/// A number of one to four digits, and what follows.
fn version_number(text: &[u8]) -> Option<(u8, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let value =
        digits.iter().take(4).fold(0u32, |value, &digit| value * 10 + u32::from(digit - b'0'));
    let number = u8::try_from(value).ok().filter(|_| (1..=4).contains(&length))?;
    Some((number, rest))
}

/// RFC 9110 §5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Methods of RFC 9110, WebDAV, UPnP and others that are seen; a start line may have any token.
const METHODS: [&str; 35] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "MERGE",
    "CHECKOUT",
    "CHECKIN",
    "VERSION-CONTROL",
    "MKACTIVITY",
    "ACL",
    "BIND",
    "NOTIFY",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "M-SEARCH",
    "PURGE",
    "LINK",
    "UNLINK",
    "QUERY",
    "RPC_CONNECT",
    "BITS_POST",
];

/// Whether a method is one that is registered or in wide use.
pub(super) fn is_known_method(method: &[u8]) -> bool {
    METHODS.iter().any(|known| known.as_bytes() == method)
}

/// Whether a line is a start line beyond doubt: a status line, or a known method with a version.
pub(super) fn is_certain_start(line: &[u8]) -> bool {
    match start_line(line) {
        Some(StartLine::Request { method, version, .. }) => {
            version != Version::Http09 && is_known_method(&method)
        }
        Some(StartLine::Response { .. }) => true,
        None => false,
    }
}

fn method_bytes(method: &[u8]) -> Bytes {
    match METHODS.iter().find(|known| known.as_bytes() == method) {
        Some(known) => Bytes::from_static(known.as_bytes()),
        None => Bytes::copy_from_slice(method),
    }
}

fn reason_bytes(reason: &[u8]) -> Bytes {
    const REASONS: [&str; 12] = [
        "OK",
        "Not Found",
        "Not Modified",
        "No Content",
        "Found",
        "Created",
        "Bad Request",
        "Internal Server Error",
        "Moved Permanently",
        "Unauthorized",
        "Forbidden",
        "Partial Content",
    ];
    match REASONS.iter().find(|known| known.as_bytes() == reason) {
        Some(known) => Bytes::from_static(known.as_bytes()),
        None => Bytes::copy_from_slice(reason),
    }
}

/// What the head says of the body that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyPlan {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl BodyPlan {
    pub(super) const fn framing(self) -> Framing {
        match self {
            Self::None => Framing::None,
            Self::Length(_) => Framing::ContentLength,
            Self::Chunked => Framing::Chunked,
            Self::UntilClose => Framing::Close,
        }
    }
}

/// What matters of the header fields for framing and for the connection, gathered in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadFacts {
    length: Option<Result<u64, ()>>,
    /// Two lengths that differ.
    two_lengths: bool,
    /// `chunked` more than once, which RFC 9112 §6.1 forbids.
    chunked_twice: bool,
    coding: TransferCoding,
    close: bool,
    keep_alive: bool,
    pub upgrade: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TransferCoding {
    #[default]
    None,
    Chunked,
    Other,
}

/// Oddities by which a body ends in one place for one reader and elsewhere for another (RFC 9112
/// §11.2).
pub const AMBIGUOUS_FRAMING: [&str; 4] = [
    "transfer-encoding-and-content-length",
    "differing-content-length",
    "bad-content-length",
    "repeated-transfer-coding",
];

impl HeadFacts {
    /// Reads the fields, naming what RFC 9112 §6.3 calls an error.
    pub(super) fn of(headers: &Headers, oddities: &mut Oddities) -> Self {
        let mut facts = Self::default();
        for (name, value) in headers.iter() {
            match name.len() {
                7 if name.eq_ignore_ascii_case(b"upgrade") => facts.upgrade = true,
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    for token in tokens(value) {
                        facts.close |= token.eq_ignore_ascii_case(b"close");
                        facts.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    facts.add_length(value, oddities)
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    for token in tokens(value) {
                        if token.eq_ignore_ascii_case(b"chunked") {
                            if facts.coding == TransferCoding::Chunked {
                                facts.chunked_twice = true;
                                oddities.push("repeated-transfer-coding");
                            }
                            facts.coding = TransferCoding::Chunked;
                        } else if !token.eq_ignore_ascii_case(b"identity") {
                            facts.coding = TransferCoding::Other;
                            oddities.push("other-transfer-coding");
                        }
                    }
                }
                _ => {}
            }
        }
        if facts.coding != TransferCoding::None && facts.length.is_some() {
            oddities.push("transfer-encoding-and-content-length");
        }
        facts
    }

    /// Several equal lengths are one (RFC 9110 §8.6); of differing ones the first counts, as in the
    /// servers that accept them.
    fn add_length(&mut self, value: &[u8], oddities: &mut Oddities) {
        for part in value.split(|&byte| byte == b',') {
            let next = decimal(part.trim_ascii()).ok_or(());
            match self.length {
                None => {
                    if next.is_err() {
                        oddities.push("bad-content-length");
                    }
                    self.length = Some(next);
                }
                Some(first) if first == next => oddities.push("repeated-content-length"),
                Some(_) => {
                    self.two_lengths = true;
                    oddities.push("differing-content-length");
                }
            }
        }
    }

    /// The body of a request (RFC 9112 §6.3): none unless framed. A last coding other than chunked
    /// cannot be framed in a request; the length stands in where there is one.
    pub(super) const fn of_request(&self) -> BodyPlan {
        match (self.coding, self.length) {
            (TransferCoding::Chunked, _) => BodyPlan::Chunked,
            (_, Some(Ok(length))) => BodyPlan::Length(length),
            _ => BodyPlan::None,
        }
    }

    /// Whether what frames the body tells nothing that can be meant: a length that is no number, two
    /// numbers, or more than any message has (RFC 9112 §6.3, item 5); `chunked` twice (§6.1).
    pub(super) fn has_no_one_length(&self) -> bool {
        let absurd = !matches!(self.length, None | Some(Ok(..=limits::DECLARED_BYTES)));
        self.chunked_twice || self.coding == TransferCoding::None && (self.two_lengths || absurd)
    }

    /// The body of a response that may have one.
    pub(super) const fn of_response(&self) -> BodyPlan {
        match (self.coding, self.length) {
            (TransferCoding::Chunked, _) => BodyPlan::Chunked,
            (TransferCoding::Other, _) | (_, None | Some(Err(()))) => BodyPlan::UntilClose,
            (TransferCoding::None, Some(Ok(length))) => BodyPlan::Length(length),
        }
    }

    /// Whether the connection goes on after the message (RFC 9112 §9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.keep_alive && !self.close,
            Version::Http09 => false,
            _ => !self.close,
        }
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = char::from(byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl StartLine {
    /// Length of a request line in its usual form, with its end.
    fn line_length(&self) -> usize {
        match self {
            Self::Request { method, target, .. } => {
                method.len() + target.len() + " HTTP/1.1\r\n".len() + 1
            }
            Self::Response { .. } => 0,
        }
    }

    /// The bytes of a request's head, where an encoder would not make the same of its parts.
    fn raw(&self, headers: &Headers, head: &[u8]) -> Option<Bytes> {
        let Self::Request { method, target, version } = self else { return None };
        let mut usual = Vec::with_capacity(head.len() + 16);
        super::encode::usual_head(&mut usual, (method, target, *version), headers);
        (usual != head).then(|| Bytes::copy_from_slice(head))
    }

    /// The message with an empty body.
    pub(super) fn into_message(self, headers: Headers) -> super::parser::Message {
        match self {
            Self::Request { method, target, version } => super::parser::Message::Request(Request {
                method,
                target,
                version,
                headers,
                ..Request::default()
            }),
            Self::Response { status, reason, version } => {
                super::parser::Message::Response(Response {
                    status,
                    reason,
                    version,
                    headers,
                    ..Response::default()
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_however_they_are_written() {
        for (text, version) in [
            ("HTTP/1.1 200 OK", Version::Http11),
            ("HTTP/1.01 200 OK", Version::Http11),
            ("HTTP/01.1 200", Version::Http11),
            ("HTTP/1.0001\t200 OK", Version::Http11),
            ("HTTP/1.00 200 OK", Version::Http10),
            ("HTTP/1 200 OK", Version::Http10),
            ("HTTP/1.12 200 OK", Version::Other(1, 12)),
            ("HTTP/2 200", Version::Other(2, 0)),
        ] {
            let start = start_line(text.as_bytes());
            let Some(StartLine::Response { status: 200, version: read, .. }) = start else {
                panic!("{text}: {start:?}");
            };
            assert_eq!(read, version, "{text}");
        }
        for text in
            ["HTTP/ 200", "HTTP/1. 200", "HTTP/x.1 200", "HTTP/1.300 200", "HTTP/1.00001 200"]
        {
            assert!(start_line(text.as_bytes()).is_none(), "{text}");
        }
        let asked = start_line(b"GET /a b HTTP/1.01");
        let Some(StartLine::Request { target, version: Version::Http11, .. }) = asked else {
            panic!("no request line: {asked:?}");
        };
        assert_eq!(target, "/a b");
    }
}
