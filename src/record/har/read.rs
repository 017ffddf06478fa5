//! Entries of a HAR as exchanges.
//!
//! A request of HTTP/2 or 3 becomes one of HTTP/1.1 (its pseudo-header fields are in the URL), and
//! says so in a mark. A content coding that the HAR has undone is done again, so that the body is
//! what its header says; where that cannot be, the header is left out.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::Url;

use super::{HarContent, HarEntry, HarPair, HarRequest, HarResponse, PostData};
use crate::exchange::{Completeness, Exchange, TimedRequest, TimedResponse};
use crate::flow::Endpoint;
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
    let mut take = |entry: HarEntry| match each(exchange(&entry)) {
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

impl<'de, F: FnMut(HarEntry) -> bool> DeserializeSeed<'de> for ListItems<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de, F: FnMut(HarEntry) -> bool> Visitor<'de> for ListItems<'_, F> {
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
        while let Some(entry) = items.next_element::<HarEntry>()? {
            if !(self.take)(entry) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

fn exchange(entry: &HarEntry) -> Result<ReadEntry, Reason> {
    let url = Url::parse(&entry.request.url).map_err(|_| "har-entry-without-url")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("har-entry-of-another-scheme");
    }
    let started: Timestamp =
        entry.started_date_time.parse().map_err(|_| "har-entry-without-time")?;
    let mut marks = Vec::new();
    let authority = authority(&entry.request, &url);
    let (request, request_is_whole) = request(&entry.request, &url, &authority, &mut marks);
    let timing = HarTiming::of(entry);
    let at = started.plus(timing.before);
    let response = response(&entry.response, &mut marks);
    let completeness = match &response {
        _ if !request_is_whole => Completeness::RequestDamaged,
        None => Completeness::NoResponse,
        Some((_, false)) => Completeness::ResponseDamaged,
        Some((_, true)) => Completeness::Complete,
    };
    let address = entry.server_ip_address.trim_matches(['[', ']']).parse().unwrap_or(UNKNOWN);
    let timed = |(message, whole): (Response, bool)| TimedResponse {
        at: at.plus(timing.first_byte),
        first_byte_ns: Some(timing.first_byte),
        last_byte_ns: whole.then_some(timing.last_byte),
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
    first_byte: i64,
    last_byte: i64,
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
            let whole = nanos(Some(entry.time));
            return Self { before: 0, sending: 0, first_byte: whole, last_byte: whole };
        }
        Self { before, sending, first_byte: sending + waiting, last_byte: parts }
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
    marks: &mut Vec<String>,
) -> (Request, bool) {
    let (body, whole) = match &asked.post_data {
        Some(data) => posted(data),
        None => (Some(Vec::new()), asked.body_size <= 0),
    };
    let body = body.unwrap_or_default();
    let chunked = has_chunks(&asked.headers);
    let mut headers = Headers::new();
    if !has(&asked.headers, "host") {
        headers.push(b"Host", authority.as_bytes());
    }
    for HarPair { name, value } in plain(&asked.headers) {
        let length = name.eq_ignore_ascii_case("content-length");
        match length && !body.is_empty() {
            true => headers.push(name.as_bytes(), body.len().to_string().as_bytes()),
            false => headers.push(name.as_bytes(), value.as_bytes()),
        }
    }
    if !body.is_empty() && !chunked && !has(&asked.headers, "content-length") {
        headers.push(b"Content-Length", body.len().to_string().as_bytes());
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
        method: Bytes::from(asked.method.clone().into_bytes()),
        target: Bytes::from(target(url).into_bytes()),
        version: version(&asked.http_version, marks),
        headers,
        body: Body::whole(body),
        framing,
        ..Request::default()
    };
    (request, whole)
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The bytes of a request's body, where the HAR tells them.
fn posted(data: &PostData) -> (Option<Vec<u8>>, bool) {
    match &data.text {
        Some(text) if data.encoding.eq_ignore_ascii_case("base64") => {
            let bytes = STANDARD.decode(text).ok();
            let whole = bytes.is_some();
            (bytes, whole)
        }
        Some(text) => (Some(text.clone().into_bytes()), true),
        None if data.mime_type.contains("x-www-form-urlencoded") => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(data.params.iter().map(|pair| (&pair.name, &pair.value)));
            (Some(form.finish().into_bytes()), true)
        }
        None => (None, false),
    }
}

/// The response, where there was one, and whether all of it is there.
fn response(answer: &HarResponse, marks: &mut Vec<String>) -> Option<(Response, bool)> {
    let status =
        u16::try_from(answer.status).ok().filter(|status| (100..1_000).contains(status))?;
    let (decoded, whole) = content(&answer.content);
    if !whole {
        marks.push("the HAR does not hold the response's body".to_owned());
    }
    let coded = coding(&answer.headers).map(|coding| (coding, again(coding, &decoded)));
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

/// A response's content, and whether it is there.
fn content(content: &HarContent) -> (Vec<u8>, bool) {
    match &content.text {
        Some(text) if content.encoding.eq_ignore_ascii_case("base64") => {
            STANDARD.decode(text).map_or((Vec::new(), false), |bytes| (bytes, true))
        }
        Some(text) => (text.clone().into_bytes(), true),
        None => (Vec::new(), content.size <= 0),
    }
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
        _ => None,
    }
}

/// Fields that are no pseudo-header fields of HTTP/2.
fn plain(headers: &[HarPair]) -> impl Iterator<Item = &HarPair> {
    headers.iter().filter(|field| !field.name.starts_with(':') && !field.name.is_empty())
}

fn has(headers: &[HarPair], name: &str) -> bool {
    headers.iter().any(|field| field.name.eq_ignore_ascii_case(name))
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
