//! HAR 1.2 (the HTTP Archive of browsers and proxies), read and written. It tells what was said and
//! when, not how it travelled: bodies are content-decoded, HTTP/2 is a word in `httpVersion`.
//!
//! Format: <http://www.softwareishard.com/blog/har-12-spec/>. Fields that a tool leaves out have
//! defaults; fields of their own (`_…`) are passed over. What only this program's recordings tell stands in
//! `_shadowtap`.

pub mod read;
pub mod write;

use serde::{Deserialize, Serialize};

use crate::exchange::Completeness;
use crate::record::loose;

/// One request with its answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HarEntry {
    #[serde(deserialize_with = "loose::text")]
    started_date_time: String,
    /// Milliseconds.
    #[serde(deserialize_with = "loose::number")]
    time: f64,
    #[serde(deserialize_with = "loose::nullable")]
    request: HarRequest,
    #[serde(deserialize_with = "loose::nullable")]
    response: HarResponse,
    cache: Nothing,
    #[serde(deserialize_with = "loose::nullable")]
    timings: Timings,
    #[serde(
        rename = "serverIPAddress",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "loose::text"
    )]
    server_ip_address: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "loose::text")]
    connection: String,
    #[serde(
        rename = "_exchange",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "loose::text"
    )]
    exchange: String,
    /// Of an entry without an answer that this program wrote: v1 may have answered.
    #[serde(
        rename = "_answerNotRecorded",
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "loose::flag"
    )]
    unanswered: bool,
    /// What a HAR has no word for, of entries that this program wrote.
    #[serde(rename = "_shadowtap", skip_serializing_if = "Option::is_none")]
    own: Option<OwnMember>,
    /// `memory` or `disk`, as Chromium writes where its answer came from.
    #[serde(rename = "_fromCache", skip_serializing, deserialize_with = "loose::text")]
    from_cache: String,
    /// The same of WebKit: `Network Load`, `Disk Cache`, `Service Worker`.
    #[serde(rename = "_fetchType", skip_serializing, deserialize_with = "loose::text")]
    fetch_type: String,
}

/// How much of an exchange the recording held, so that what is missing does not come back as empty.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnMember {
    completeness: Completeness,
    /// Why, and what else is odd.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<String>,
    /// The text of the answer is in the content coding that its header names: it could not be undone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    still_coded: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarRequest {
    #[serde(deserialize_with = "loose::text")]
    method: String,
    #[serde(deserialize_with = "loose::text")]
    url: String,
    #[serde(deserialize_with = "loose::text")]
    http_version: String,
    #[serde(deserialize_with = "loose::nullable")]
    cookies: Vec<HarPair>,
    #[serde(deserialize_with = "loose::nullable")]
    headers: Vec<HarPair>,
    #[serde(deserialize_with = "loose::nullable")]
    query_string: Vec<HarPair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData>,
    #[serde(deserialize_with = "loose::whole")]
    headers_size: i64,
    #[serde(deserialize_with = "loose::whole")]
    body_size: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarResponse {
    #[serde(deserialize_with = "loose::whole")]
    status: i64,
    #[serde(deserialize_with = "loose::text")]
    status_text: String,
    #[serde(deserialize_with = "loose::text")]
    http_version: String,
    #[serde(deserialize_with = "loose::nullable")]
    cookies: Vec<Nothing>,
    #[serde(deserialize_with = "loose::nullable")]
    headers: Vec<HarPair>,
    #[serde(deserialize_with = "loose::nullable")]
    content: HarContent,
    #[serde(rename = "redirectURL", deserialize_with = "loose::text")]
    redirect_url: String,
    #[serde(deserialize_with = "loose::whole")]
    headers_size: i64,
    #[serde(deserialize_with = "loose::whole")]
    body_size: i64,
    /// Why no more of it was read: `net::ERR_ABORTED`; Playwright calls it a failure.
    #[serde(
        rename = "_error",
        alias = "_failureText",
        skip_serializing,
        deserialize_with = "loose::text"
    )]
    error: String,
    /// Bytes that came over the network, head and all, as Chromium counts them.
    #[serde(rename = "_transferSize", skip_serializing)]
    transfer_size: Option<serde_json::Value>,
    #[serde(
        rename = "_fetchedViaServiceWorker",
        skip_serializing,
        deserialize_with = "loose::flag"
    )]
    of_service_worker: bool,
}

/// A header field, or a parameter.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct HarPair {
    #[serde(deserialize_with = "loose::text")]
    name: String,
    #[serde(deserialize_with = "loose::text")]
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PostData {
    #[serde(deserialize_with = "loose::text")]
    mime_type: String,
    text: Option<String>,
    #[serde(
        skip_serializing_if = "String::is_empty",
        alias = "_encoding",
        deserialize_with = "loose::text"
    )]
    encoding: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "loose::nullable")]
    params: Vec<HarPair>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct HarContent {
    #[serde(deserialize_with = "loose::whole")]
    size: i64,
    #[serde(deserialize_with = "loose::text")]
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "loose::text")]
    encoding: String,
}

/// Milliseconds; −1 is "does not apply", and of `wait` and `receive` "not known".
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
