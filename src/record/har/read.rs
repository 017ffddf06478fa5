//! Entries of a HAR as exchanges.
//!
//! A request of HTTP/2 or 3 becomes one of HTTP/1.1 (its pseudo-header fields are in the URL), and
//! says so in a mark. A content coding or a charset that the HAR has undone is done again, so that
//! the body is what its header says; where that cannot be, the header is left out.
//!
//! Browsers list more than went to the server, and less than came from it: answers out of caches,
//! requests that were blocked, bodies that nobody read (of redirects, of pages that were left).

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use super::{HarEntry, HarPair, HarRequest, HarResponse, OwnMember, PostData};
use crate::exchange::{
    BODY_NOT_KEPT, Completeness, Exchange, TimedRequest, TimedResponse, UNANSWERED,
};
use crate::flow::Endpoint;
use crate::message::media::MediaType;
use crate::message::{Body, Framing, Headers, Request, Response, Version};
use crate::time::Timestamp;

/// The address of who is not known (RFC 5737: for documentation).
pub const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0));

/// Why an entry is no exchange, as a kebab-case name.
pub type Reason = &'static str;

/// An exchange that has no name yet, and what its lane is chosen by.
pub struct ReadEntry {
    /// The exchange; its id is the default one.
    pub exchange: Exchange,
    /// Requests with the same key may share connections: by the connection's name where the file
    /// tells one, else by the authority.
    pub key: String,
}

/// Reads a HAR entry by entry. `each` says by an error that it cannot go on.
pub fn read<E>(
    input: impl std::io::Read,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<Result<(), E>, serde_json::Error> {
    let mut stopped = Ok(());
    let mut take = |entry: &RawValue| match each(understood(entry)) {
        Ok(()) => true,
        Err(error) => {
            stopped = Err(error);
            false
        }
    };
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = ListItems { path: &["log", "entries"], take: &mut take }.deserialize(&mut json);
    match (read, stopped) {
        (_, Err(stopped)) => Ok(Err(stopped)),
        (read, Ok(())) => read.map(Ok),
    }
}

/// Goes down to the list at `path` and takes its items one by one.
struct ListItems<'p, F> {
    path: &'p [&'static str],
    take: &'p mut F,
}

impl<'de, F: FnMut(&RawValue) -> bool> DeserializeSeed<'de> for ListItems<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de, F: FnMut(&RawValue) -> bool> Visitor<'de> for ListItems<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.first() {
            Some(name) => write!(f, "an object with {name:?}, as in a HAR"),
            None => f.write_str("the list of a HAR's entries"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if Some(&&*name) == self.path.first() {
                map.next_value_seed(ListItems { path: &self.path[1..], take: &mut *self.take })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(entry) = items.next_element::<Box<RawValue>>()? {
            if !(self.take)(&entry) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// An entry that is JSON and no entry costs itself, not the file.
fn understood(entry: &RawValue) -> Result<ReadEntry, Reason> {
    let entry = serde_json::from_str(entry.get()).map_err(|_| "har-entry-not-understood")?;
    exchange(&entry)
}

/// Why Chromium sent no request: nothing of it reached a server.
const NEVER_SENT: [&str; 5] = [
    "net::ERR_BLOCKED_BY_CLIENT",
    "net::ERR_BLOCKED_BY_CSP",
    "net::ERR_INTERNET_DISCONNECTED",
    "net::ERR_NAME_NOT_RESOLVED",
    "net::ERR_ADDRESS_UNREACHABLE",
];

/// Why an entry tells nothing of the server: its answer came from elsewhere, or nothing was sent.
fn of_the_browser_alone(entry: &HarEntry) -> Option<Reason> {
    let network = ["", "Network Load"];
    let answer = &entry.response;
    match () {
        () if answer.of_service_worker || entry.fetch_type == "Service Worker" => {
            Some("har-entry-of-a-service-worker")
        }
        () if !entry.from_cache.is_empty() || !network.contains(&&*entry.fetch_type) => {
            Some("har-entry-from-a-cache")
        }
        () if came_from_nowhere(answer) => Some("har-entry-from-a-cache"),
        () if answer.status == 0 && NEVER_SENT.contains(&&*answer.error) => {
            Some("har-entry-never-sent")
        }
        () => None,
    }
}

/// Whether an answer has a body of which nothing was transferred. Chromium takes the head, which it
/// knows from its cache, off the bytes that came, which are none.
fn came_from_nowhere(answer: &HarResponse) -> bool {
    let has_text = answer.content.text.as_ref().is_some_and(|text| !text.is_empty());
    answer.status >= 200
        && answer.error.is_empty()
        && transferred(answer) == Some(0)
        && (has_text || answer.body_size < -1)
}

fn transferred(answer: &HarResponse) -> Option<i64> {
    answer.transfer_size.as_ref()?.as_i64()
}

/// Whether an answer was 304 on the wire: Chromium then shows the status and the body of its cache.
fn was_not_modified(asked: &HarRequest, answer: &HarResponse) -> bool {
    let is_conditional = ["if-none-match", "if-modified-since"];
    let has_text = answer.content.text.as_ref().is_some_and(|text| !text.is_empty());
    let only_head = answer.body_size <= 0 && transferred(answer).is_some_and(|bytes| bytes > 0);
    is_conditional.iter().any(|name| has(&asked.headers, name))
        && answer.status == 200
        && (has_text || answer.content.size > 0)
        && (only_head || length(&answer.headers) == Some(0))
}

fn exchange(entry: &HarEntry) -> Result<ReadEntry, Reason> {
    let url = Url::parse(&entry.request.url).map_err(|_| "har-entry-without-url")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("har-entry-of-another-scheme");
    }
    if let Some(reason) = of_the_browser_alone(entry) {
        return Err(reason);
    }
    let started: Timestamp =
        entry.started_date_time.trim().parse().map_err(|_| "har-entry-without-time")?;
    let mut marks = Vec::new();
    let authority = authority(&entry.request, &url);
    let own = entry.own.clone().unwrap_or_default();
    let (request, request_is_whole) = request(&entry.request, &url, &authority, &own, &mut marks);
    let timing = HarTiming::of(entry);
    let at = started.plus(timing.before);
    let is_head = entry.request.method.eq_ignore_ascii_case("HEAD");
    let not_modified = was_not_modified(&entry.request, &entry.response).then(|| HarResponse {
        status: 304,
        status_text: "Not Modified".to_owned(),
        ..entry.response.clone()
    });
    if not_modified.is_some() {
        marks.push("was 304: the HAR shows what the browser had in its cache".to_owned());
    }
    let answer = not_modified.as_ref().unwrap_or(&entry.response);
    let response = response(answer, is_head, &own, &mut marks);
    // What a browser gave up says nothing of the server; what this program wrote does.
    if response.is_none() && (entry.exchange.is_empty() || entry.unanswered) {
        marks.push(UNANSWERED.to_owned());
    }
    let request_is_whole = request_is_whole && own.completeness.request_is_whole();
    let completeness = match &response {
        _ if !request_is_whole => Completeness::RequestDamaged,
        None => Completeness::NoResponse,
        Some((_, false)) => Completeness::ResponseDamaged,
        Some((_, true)) => Completeness::Complete,
    };
    let found = std::mem::replace(&mut marks, own.marks);
    for mark in found {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    let address = entry.server_ip_address.trim_matches(['[', ']']).parse().unwrap_or(UNKNOWN);
    let timed = |(message, whole): (Response, bool)| TimedResponse {
        at: at.plus(timing.first_byte.unwrap_or_default()),
        first_byte_ns: timing.first_byte,
        last_byte_ns: timing.last_byte.filter(|_| whole),
        message,
    };
    let server = Endpoint::new(address, url.port_or_known_default().unwrap_or_default());
    let exchange = Exchange {
        completeness,
        request: Some(TimedRequest { at, duration_ns: timing.sending, message: request }),
        response: response.map(timed),
        marks,
        ..Exchange::between(Endpoint::new(UNKNOWN, 0), server)
    };
    Ok(ReadEntry { exchange, key: format!("{authority} {}", entry.connection) })
}

/// Nanoseconds: before the request's first byte, then from it.
struct HarTiming {
    before: i64,
    sending: i64,
    first_byte: Option<i64>,
    last_byte: Option<i64>,
}

impl HarTiming {
    fn of(entry: &HarEntry) -> Self {
        let nanos = |ms: Option<f64>| (ms.unwrap_or(0.0).clamp(0.0, 1e9) * 1e6) as i64;
        let timings = &entry.timings;
        let before = [timings.blocked, timings.dns, timings.connect].map(nanos).iter().sum();
        let [sending, waiting, receiving] =
            [timings.send, timings.wait, timings.receive].map(nanos);
        let parts = sending + waiting + receiving;
        if parts == 0 {
            // A tool that says that it does not know did not measure nothing.
            let is_unknown = timings.wait.is_some_and(|wait| wait < 0.0) && entry.time <= 0.0;
            let whole = (!is_unknown).then(|| nanos(Some(entry.time)));
            return Self { before: 0, sending: 0, first_byte: whole, last_byte: whole };
        }
        // Of other tools it is that of an answer without a body.
        let is_known = entry.exchange.is_empty() || timings.receive.is_none_or(|ms| ms >= 0.0);
        Self {
            before,
            sending,
            first_byte: Some(sending + waiting),
            last_byte: is_known.then_some(parts),
        }
    }
}

fn authority(asked: &HarRequest, url: &Url) -> String {
    let named =
        |wanted: &str| asked.headers.iter().find(|field| field.name.eq_ignore_ascii_case(wanted));
    if let Some(field) = named("host").or_else(|| named(":authority")) {
        return field.value.clone();
    }
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The request, and whether all of it is there.
fn request(
    asked: &HarRequest,
    url: &Url,
    authority: &str,
    own: &OwnMember,
    marks: &mut Vec<String>,
) -> (Request, bool) {
    let posted = asked.post_data.as_ref().map(|data| (data, posted(data)));
    let (body, whole) = match posted {
        Some((_, Some(Posted::Text(text)))) if is_a_byte_a_character(text, asked) => {
            (text.chars().map(|c| c as u8).collect(), true)
        }
        Some((data, Some(Posted::Text(text)))) => {
            (in_charset(text, &asked.headers, &data.mime_type, marks), true)
        }
        Some((_, Some(Posted::Bytes(bytes)))) => (bytes, true),
        Some((_, None)) => (Vec::new(), false),
        None => (Vec::new(), asked.body_size <= 0),
    };
    // Browsers list no body with a file in it, and some tools none that is not text.
    let promised =
        length(&asked.headers).unwrap_or(0).max(u64::try_from(asked.body_size).unwrap_or(0));
    let is_expected = promised > 0 || is_multipart(&asked.headers);
    let whole = whole && !(body.is_empty() && is_expected);
    let chunked = has_chunks(&asked.headers);
    let mut headers = Headers::new();
    if !has(&asked.headers, "host") {
        headers.push(b"Host", authority.as_bytes());
    }
    for HarPair { name, value } in plain(&asked.headers) {
        let length = name.eq_ignore_ascii_case("content-length");
        match length && !body.is_empty() && own.completeness.request_is_whole() {
            true => headers.push(name.as_bytes(), body.len().to_string().as_bytes()),
            false => headers.push(name.as_bytes(), value.as_bytes()),
        }
    }
    if !body.is_empty() && !chunked && !has(&asked.headers, "content-length") {
        headers.push(b"Content-Length", body.len().to_string().as_bytes());
    }
    if !asked.cookies.is_empty() && !has(&asked.headers, "cookie") {
        let pair = |HarPair { name, value }: &HarPair| format!("{name}={value}");
        let cookies: Vec<String> = asked.cookies.iter().map(pair).collect();
        headers.push(b"Cookie", cookies.join("; ").as_bytes());
    }
    if !whole {
        marks.push("the HAR does not hold the request's body".to_owned());
    }
    let framing = match (body.is_empty(), chunked) {
        (_, true) => Framing::Chunked,
        (false, false) => Framing::ContentLength,
        (true, false) => Framing::None,
    };
    let request = Request {
        method: method(&asked.method),
        target: Bytes::from(target(url, &asked.query_string).into_bytes()),
        version: version(&asked.http_version, marks),
        headers,
        body: Body::whole(body),
        framing,
        ..Request::default()
    };
    (request, whole)
}

/// A method as it was sent: clients take `get` for `GET` (not `patch`, as the Fetch standard has
/// it), and some write down what they were told.
fn method(written: &str) -> Bytes {
    let upper = written.to_ascii_uppercase();
    match &*upper {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" => Bytes::from(upper),
        _ => Bytes::from(written.to_owned()),
    }
}

/// Whether a text has a character for each byte of a body that is no text: as the length of the
/// body says, or where that is not known a character which stands in no text.
fn is_a_byte_a_character(text: &str, asked: &HarRequest) -> bool {
    let listed = u64::try_from(asked.body_size).ok().filter(|bytes| *bytes > 0);
    let is_in_no_text = |byte: u8| byte < b' ' && !byte.is_ascii_whitespace();
    !text.is_ascii()
        && text.chars().all(|c| c <= '\u{ff}')
        && match length(&asked.headers).or(listed) {
            Some(length) => length == text.chars().count() as u64,
            None => text.bytes().any(is_in_no_text),
        }
}

/// Whether a request says that it has parts; browsers do not list them where one is a file.
fn is_multipart(headers: &[HarPair]) -> bool {
    let field = headers.iter().find(|field| is_named(field, "content-type"));
    field.is_some_and(|field| MediaType::new(field.value.as_bytes()).is_multipart())
}

/// The bytes of a body, as its header says.
fn length(headers: &[HarPair]) -> Option<u64> {
    let field = headers.iter().find(|field| is_named(field, "content-length"))?;
    field.value.trim().parse().ok()
}

/// Path and query; some tools list the query only beside the URL.
fn target(url: &Url, listed: &[HarPair]) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None if listed.is_empty() => url.path().to_owned(),
        None => format!("{}?{}", url.path(), encoded(listed)),
    }
}

fn encoded(pairs: &[HarPair]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs.iter().map(|pair| (&pair.name, &pair.value))).finish()
}

/// A request's body, as the HAR tells it.
enum Posted<'a> {
    Text(&'a str),
    Bytes(Vec<u8>),
}

fn posted(data: &PostData) -> Option<Posted<'_>> {
    match &data.text {
        Some(text) if data.encoding.eq_ignore_ascii_case("base64") => {
            STANDARD.decode(text).ok().map(Posted::Bytes)
        }
        Some(text) if !text.is_empty() || data.params.is_empty() => Some(Posted::Text(text)),
        _ if data.mime_type.contains("x-www-form-urlencoded") => {
            Some(Posted::Bytes(encoded(&data.params).into_bytes()))
        }
        // Nothing is in it, and nothing is said to be.
        None if data.params.is_empty() && data.mime_type.is_empty() => Some(Posted::Text("")),
        _ => None,
    }
}

/// A text in the charset that its type names: a HAR holds it in Unicode.
fn in_charset(
    text: &str,
    headers: &[HarPair],
    mime_type: &str,
    marks: &mut Vec<String>,
) -> Vec<u8> {
    let named = headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"));
    let kind = MediaType::new(named.map_or(mime_type, |field| &*field.value).as_bytes());
    let charset = kind.parameter("charset").and_then(|name| Encoding::for_label(name.as_bytes()));
    let Some(charset) = charset.filter(|&charset| charset != UTF_8) else {
        return text.as_bytes().to_vec();
    };
    match charset {
        _ if charset == UTF_16LE => {
            return text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        _ if charset == UTF_16BE => {
            return text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        }
        _ => {}
    }
    let (bytes, _, is_lossy) = charset.encode(text);
    if is_lossy {
        marks.push(format!("a body is in UTF-8: not all of it can be said in {}", charset.name()));
        return text.as_bytes().to_vec();
    }
    bytes.into_owned()
}

/// The response, where there was one, and whether all of it is there.
fn response(
    answer: &HarResponse,
    is_head: bool,
    own: &OwnMember,
    marks: &mut Vec<String>,
) -> Option<(Response, bool)> {
    let status =
        u16::try_from(answer.status).ok().filter(|status| (100..1_000).contains(status))?;
    // What a browser shows there is out of its cache.
    let has_no_body = is_head || status < 200 || matches!(status, 204 | 304);
    let (decoded, whole) = match has_no_body {
        true => (Vec::new(), true),
        false => content(answer, marks),
    };
    // Where this program wrote down what is missing, its marks say it.
    let is_told = own.completeness == Completeness::ResponseDamaged;
    if !whole && !is_told {
        marks.push(BODY_NOT_KEPT.to_owned());
    }
    let whole = whole && !is_told;
    let undone = coding(&answer.headers).filter(|_| !own.still_coded);
    let coded = undone.map(|coding| (coding, again(coding, &decoded)));
    let (left_out, body) = match coded {
        None => (false, decoded),
        Some((_, Some(body))) => (false, body),
        Some((coding, None)) => {
            marks.push(format!("content-encoding {coding} left out: the HAR has undone it"));
            (true, decoded)
        }
    };
    let headers = plain(&answer.headers)
        .filter(|field| !(left_out && field.name.eq_ignore_ascii_case("content-encoding")))
        .map(|field| match field.name.eq_ignore_ascii_case("content-length") && whole {
            true if !body.is_empty() => (field.name.clone(), body.len().to_string()),
            _ => (field.name.clone(), field.value.clone()),
        });
    let mut fields = Headers::new();
    headers.for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    let framing = match () {
        () if has_chunks(&answer.headers) => Framing::Chunked,
        () if has(&answer.headers, "content-length") => Framing::ContentLength,
        () if body.is_empty() => Framing::None,
        () => Framing::Close,
    };
    let response = Response {
        status,
        reason: Bytes::from(answer.status_text.clone().into_bytes()),
        version: version(&answer.http_version, &mut Vec::new()),
        headers: fields,
        body: Body::whole(body),
        framing,
        ..Response::default()
    };
    Some((response, whole))
}

/// A response's content, and whether all of it is there.
fn content(answer: &HarResponse, marks: &mut Vec<String>) -> (Vec<u8>, bool) {
    let content = &answer.content;
    let (decoded, whole) = match &content.text {
        Some(text) if content.encoding.eq_ignore_ascii_case("base64") => {
            STANDARD.decode(text).map_or((Vec::new(), false), |bytes| (bytes, true))
        }
        Some(text) => (in_charset(text, &answer.headers, &content.mime_type, marks), true),
        None => (Vec::new(), content.size <= 0),
    };
    // Nobody reads the bodies of redirects, and those of pages that were left.
    let was_read = answer.error.is_empty() && (!decoded.is_empty() || !promises_bytes(answer));
    (decoded, whole && was_read)
}

/// Whether an answer said that bytes follow. Coded bytes may stand for none.
fn promises_bytes(answer: &HarResponse) -> bool {
    coding(&answer.headers).is_none() && length(&answer.headers).unwrap_or(0) > 0
}

fn coding(headers: &[HarPair]) -> Option<&str> {
    let field = headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-encoding"))?;
    Some(field.value.trim()).filter(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// A body in its content coding; none of a coding that cannot be made here.
fn again(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let level = flate2::Compression::fast();
    match &*coding.to_ascii_lowercase() {
        _ if body.is_empty() => Some(Vec::new()),
        "gzip" | "x-gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
        "zstd" => zstd::encode_all(body, 1).ok(),
        "br" => Some(stored_brotli(body)),
        _ => None,
    }
}

/// A body in brotli without compression: blocks of plain bytes (RFC 7932 §9.2). Whoever reads it
/// decodes it anyway.
fn stored_brotli(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 8);
    // The first bit of the stream is its window (2^16).
    let mut before = 1;
    for block in body.chunks(1 << 16) {
        // Not the last one, a length of four nibbles, plain bytes from the next whole byte on.
        let head = (block.len() as u32 - 1) << 3 | 1 << 19;
        out.extend_from_slice(&(head << before).to_le_bytes()[..3]);
        out.extend_from_slice(block);
        before = 0;
    }
    // The last one, which is empty.
    out.push(3 << before);
    out
}

/// Fields that are no pseudo-header fields of HTTP/2.
fn plain(headers: &[HarPair]) -> impl Iterator<Item = &HarPair> {
    headers.iter().filter(|field| !field.name.starts_with(':') && !field.name.is_empty())
}

fn has(headers: &[HarPair], name: &str) -> bool {
    headers.iter().any(|field| is_named(field, name))
}

fn is_named(field: &HarPair, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

fn has_chunks(headers: &[HarPair]) -> bool {
    let chunked = |field: &HarPair| {
        field.name.eq_ignore_ascii_case("transfer-encoding")
            && field.value.to_ascii_lowercase().contains("chunked")
    };
    headers.iter().any(chunked)
}

/// The version that a tool names; a request of HTTP/2 or 3 is sent as one of HTTP/1.1, and marked.
pub(crate) fn version(text: &str, marks: &mut Vec<String>) -> Version {
    let known = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    match known.chars().next() {
        Some('2' | '3') => {
            marks.push(format!("was {}", text.chars().take(12).collect::<String>()));
            Version::Http11
        }
        _ if known == "1.0" => Version::Http10,
        _ => Version::Http11,
    }
}
