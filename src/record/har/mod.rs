//! HAR 1.2 (the HTTP Archive of browsers and proxies), read and written. It tells what was said and
//! when, not how it travelled: bodies are content-decoded, HTTP/2 is a word in `httpVersion`.
//!
//! Format: <http://www.softwareishard.com/blog/har-12-spec/>. Fields that a tool leaves out have
//! defaults; fields of their own (`_…`) are passed over.

pub mod read;
pub mod write;

use serde::{Deserialize, Serialize};

/// One request with its answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HarEntry {
    started_date_time: String,
    /// Milliseconds.
    time: f64,
    request: HarRequest,
    response: HarResponse,
    cache: Nothing,
    timings: Timings,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "String::is_empty")]
    server_ip_address: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text_or_number")]
    connection: String,
    #[serde(rename = "_exchange", skip_serializing_if = "String::is_empty")]
    exchange: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarRequest {
    method: String,
    url: String,
    http_version: String,
    cookies: Vec<Nothing>,
    headers: Vec<HarPair>,
    query_string: Vec<HarPair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData>,
    headers_size: i64,
    body_size: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarResponse {
    status: i64,
    status_text: String,
    http_version: String,
    cookies: Vec<Nothing>,
    headers: Vec<HarPair>,
    content: HarContent,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
}

/// A header field, or a parameter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct HarPair {
    name: String,
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PostData {
    mime_type: String,
    text: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", alias = "_encoding")]
    encoding: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<HarPair>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarContent {
    size: i64,
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    encoding: String,
}

/// Milliseconds; −1 is "does not apply".
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Timings {
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    send: Option<f64>,
    wait: Option<f64>,
    receive: Option<f64>,
}

/// An object or a list whose content is of no use here.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Nothing {}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// Tools write a connection's name as a text or as a number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}
