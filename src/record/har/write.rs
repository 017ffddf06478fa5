//! Exchanges as entries of a HAR.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::{Encoding, UTF_8};

use super::{HarContent, HarEntry, HarPair, HarRequest, HarResponse, Nothing, PostData, Timings};
use crate::exchange::{Exchange, TimedResponse, UNANSWERED};
use crate::limits;
use crate::message::content;
use crate::message::media::MediaType;
use crate::message::target::{host, path_and_query};
use crate::message::{Headers, Request};

/// What stands before the first entry.
pub fn beginning(tool: &str) -> String {
    let (name, version) = tool.split_once(' ').unwrap_or((tool, ""));
    let creator = serde_json::json!({ "name": name, "version": version });
    format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[\n")
}

/// What stands behind the last entry.
pub const END: &str = "\n]}}\n";

/// Appends an entry; false of an exchange without a request, which no HAR can hold.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange) -> bool {
    let Some(request) = &exchange.request else { return false };
    let answer = exchange.response.as_ref();
    let ms = |nanos: i64| nanos as f64 / 1e6;
    let first = answer.and_then(|answer| answer.first_byte_ns).unwrap_or(0);
    let last = answer.and_then(|answer| answer.last_byte_ns).unwrap_or(first);
    let sending = request.duration_ns.clamp(0, first.max(0));
    let entry = HarEntry {
        started_date_time: request.at.to_string(),
        time: ms(last),
        request: asked(exchange, &request.message),
        response: answer.map_or_else(none, answered),
        timings: Timings {
            send: Some(ms(sending)),
            wait: Some(ms(first - sending)),
            receive: Some(ms(last - first)),
            ..Timings::default()
        },
        server_ip_address: exchange.server.address.to_string(),
        connection: exchange.id.connection.to_string(),
        exchange: exchange.id.to_string(),
        unanswered: exchange.is_marked(UNANSWERED),
        cache: Nothing {},
        ..HarEntry::default()
    };
    serde_json::to_writer(out, &entry).is_ok()
}

fn asked(exchange: &Exchange, request: &Request) -> HarRequest {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let scheme = if exchange.server.port == 443 { "https" } else { "http" };
    let host = host(request).map_or_else(|| exchange.server.to_string(), text);
    let target = text(&request.target);
    let url = match target.starts_with('/') {
        true => format!("{scheme}://{host}{target}"),
        false if target.contains("://") => target.clone(),
        false => format!("{scheme}://{host}/{target}"),
    };
    let (_, query) = path_and_query(&request.target);
    let query = url::form_urlencoded::parse(query);
    HarRequest {
        method: text(&request.method),
        url,
        http_version: format!("HTTP/{}", request.version),
        cookies: Vec::new(),
        headers: pairs(&request.headers),
        query_string: query
            .map(|(name, value)| HarPair { name: name.into_owned(), value: value.into_owned() })
            .collect(),
        post_data: (!request.body.bytes.is_empty()).then(|| posted(request)),
        headers_size: -1,
        body_size: i64::try_from(request.body.length).unwrap_or(-1),
    }
}

fn posted(request: &Request) -> PostData {
    let mime_type = field(&request.headers, "content-type");
    let (text, encoding) = as_text(&request.body.bytes, &mime_type);
    PostData { mime_type, text: Some(text), encoding, params: Vec::new() }
}

fn answered(answer: &TimedResponse) -> HarResponse {
    let response = &answer.message;
    let codings: Vec<&[u8]> = response.headers.all("content-encoding").collect();
    let decoded = content::decode(&response.body.bytes, codings.into_iter(), limits::BODY_BYTES);
    let body = decoded.as_deref().unwrap_or(&response.body.bytes);
    let mime_type = field(&response.headers, "content-type");
    let (text, encoding) = as_text(body, &mime_type);
    HarResponse {
        status: i64::from(response.status),
        status_text: String::from_utf8_lossy(&response.reason).into_owned(),
        http_version: format!("HTTP/{}", response.version),
        cookies: Vec::new(),
        headers: pairs(&response.headers),
        content: HarContent { size: body.len() as i64, mime_type, text: Some(text), encoding },
        redirect_url: field(&response.headers, "location"),
        headers_size: -1,
        body_size: i64::try_from(response.body.length).unwrap_or(-1),
        ..HarResponse::default()
    }
}

/// Browsers write a request that has no answer so.
fn none() -> HarResponse {
    HarResponse {
        http_version: "unknown".to_owned(),
        headers_size: -1,
        body_size: -1,
        ..HarResponse::default()
    }
}

/// A body as text, or in base64. A text is read as one of the charset that its type names, so that
/// bytes which are not in it are no text.
fn as_text(bytes: &[u8], mime_type: &str) -> (String, String) {
    let is_text = bytes.is_ascii()
        || MediaType::new(mime_type.as_bytes())
            .parameter("charset")
            .is_none_or(|name| Encoding::for_label(name.as_bytes()).is_none_or(|it| it == UTF_8));
    match std::str::from_utf8(bytes) {
        Ok(text) if is_text => (text.to_owned(), String::new()),
        _ => (STANDARD.encode(bytes), "base64".to_owned()),
    }
}

fn field(headers: &Headers, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

fn pairs(headers: &Headers) -> Vec<HarPair> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| HarPair { name: text(name), value: text(value) }).collect()
}
