//! Exchanges as entries of a HAR.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::{Encoding, UTF_8};

use super::{
    HarContent, HarEntry, HarPair, HarRequest, HarResponse, Nothing, OwnMember, PostData, Timings,
};
use crate::exchange::{BODY_NOT_KEPT, Completeness, Exchange, TimedResponse, UNANSWERED};
use crate::limits;
use crate::message::content;
use crate::message::media::MediaType;
use crate::message::target::{host, path_and_query};
use crate::message::{Body, Headers, Request};

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
    let first = answer.and_then(|answer| answer.first_byte_ns);
    let last = answer.and_then(|answer| answer.last_byte_ns);
    let sending = request.duration_ns.clamp(0, first.unwrap_or_default().max(0));
    let took = |from: Option<i64>, to: Option<i64>| match (answer, from.zip(to)) {
        (Some(_), None) => -1.0,
        (None, None) => 0.0,
        (_, Some((from, to))) => ms(to - from),
    };
    let own = own_member(exchange);
    let is_whole = exchange.completeness != Completeness::ResponseDamaged;
    let (response, still_coded) =
        answer.map_or_else(|| (none(), false), |answer| answered(answer, is_whole));
    let own = match still_coded {
        true => Some(OwnMember { still_coded, ..own.unwrap_or_default() }),
        false => own,
    };
    let entry = HarEntry {
        started_date_time: request.at.to_string(),
        time: ms(last.or(first).unwrap_or_default()),
        request: asked(exchange, &request.message),
        response,
        timings: Timings {
            send: Some(ms(sending)),
            wait: Some(took(Some(sending), first)),
            receive: Some(took(first, last)),
            ..Timings::default()
        },
        own,
        server_ip_address: exchange.server.address.to_string(),
        connection: exchange.id.connection.to_string(),
        exchange: exchange.id.to_string(),
        unanswered: exchange.is_marked(UNANSWERED),
        cache: Nothing {},
        ..HarEntry::default()
    };
    serde_json::to_writer(out, &entry).is_ok()
}

/// What is said beside the entry, where it is not plainly complete. A body that was too long to be
/// kept whole is not all of it either.
fn own_member(exchange: &Exchange) -> Option<OwnMember> {
    let is_cut = |body: Option<&Body>| body.is_some_and(Body::is_cut);
    let request = exchange.request.as_ref().map(|request| &request.message.body);
    let response = exchange.response.as_ref().map(|answer| &answer.message.body);
    let mut marks = exchange.marks.clone();
    let completeness = match exchange.completeness {
        whole if whole.request_is_whole() && is_cut(request) => Completeness::RequestDamaged,
        Completeness::Complete if is_cut(response) => {
            marks.push(BODY_NOT_KEPT.to_owned());
            Completeness::ResponseDamaged
        }
        as_it_is => as_it_is,
    };
    // That there is no answer, an entry says by itself.
    let is_plain = matches!(completeness, Completeness::Complete | Completeness::NoResponse)
        && marks.iter().all(|mark| mark == UNANSWERED);
    (!is_plain).then_some(OwnMember { completeness, marks, still_coded: false })
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
        body_size: match request.body.bytes.is_empty() {
            true if !exchange.completeness.request_is_whole() => -1,
            _ => i64::try_from(request.body.length).unwrap_or(-1),
        },
    }
}

fn posted(request: &Request) -> PostData {
    let mime_type = field(&request.headers, "content-type");
    let (text, encoding) = as_text(&request.body.bytes, &mime_type);
    PostData { mime_type, text: Some(text), encoding, params: Vec::new() }
}

/// The answer, and whether its body is still in its content coding. Nothing of a body that is not
/// whole is no empty body.
fn answered(answer: &TimedResponse, is_whole: bool) -> (HarResponse, bool) {
    let response = &answer.message;
    let codings: Vec<&[u8]> = response.headers.all("content-encoding").collect();
    let decoded = content::decode(&response.body.bytes, codings.into_iter(), limits::BODY_BYTES);
    let body = decoded.as_deref().unwrap_or(&response.body.bytes);
    let mime_type = field(&response.headers, "content-type");
    let (text, encoding) = as_text(body, &mime_type);
    let is_unknown = body.is_empty() && !is_whole;
    let response_of_har = HarResponse {
        status: i64::from(response.status),
        status_text: String::from_utf8_lossy(&response.reason).into_owned(),
        http_version: format!("HTTP/{}", response.version),
        cookies: Vec::new(),
        headers: pairs(&response.headers),
        content: HarContent {
            size: if is_unknown { -1 } else { body.len() as i64 },
            mime_type,
            text: (!is_unknown).then_some(text),
            encoding,
        },
        redirect_url: field(&response.headers, "location"),
        headers_size: -1,
        body_size: match is_unknown {
            true => -1,
            false => i64::try_from(response.body.length).unwrap_or(-1),
        },
        ..HarResponse::default()
    };
    (response_of_har, decoded.is_err() && !body.is_empty())
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
