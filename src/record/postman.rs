//! Postman collections (v2.0 and v2.1) as exchanges: each saved response with the request that it
//! answered; a request without one stands alone. Variables have the values that the collection
//! gives them; no script is run.
//!
//! Format: <https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html>. It tells
//! no times: requests are a second apart, in the order of the collection.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::exchange::{
    Completeness, Exchange, HOST_UNKNOWN, TimedRequest, TimedResponse, UNANSWERED,
};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::target::origin_form;
use crate::message::{Body, Framing, Headers, Request, Response};
use crate::record::curl::form::{FORM_TYPE, Form};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN};
use crate::record::loose;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Said of every exchange of a collection.
pub const MARK: &str =
    "from a Postman collection: no time is recorded, requests are a second apart";

/// Stands for a host that is not known, while a URL is read (RFC 2606).
const NO_HOST: &str = "host.invalid";
/// How often variables may stand in the values of others.
const NESTED_VARIABLES: u32 = 8;
/// Longest text that variables may make of one.
const FILLED_BYTES: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Collection {
    item: Vec<PostmanItem>,
    #[serde(deserialize_with = "loose::nullable")]
    variable: Vec<PostmanPair>,
    auth: Option<Auth>,
}

/// A request, or a folder of items.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PostmanItem {
    item: Vec<PostmanItem>,
    /// Of a folder: that of its requests which say nothing else.
    auth: Option<Auth>,
    request: Option<PostmanRequest>,
    #[serde(deserialize_with = "loose::nullable")]
    response: Vec<Saved>,
}

/// A request; a text stands for its URL.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum PostmanRequest {
    Url(String),
    Whole(Box<WholeCollection>),
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct WholeCollection {
    #[serde(deserialize_with = "loose::text")]
    method: String,
    url: Option<Address>,
    #[serde(deserialize_with = "fields")]
    header: Vec<PostmanPair>,
    body: Option<PostmanContent>,
    auth: Option<Auth>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Address {
    Text(String),
    Parts(Box<AddressParts>),
}

/// A URL in parts. `raw` is all of it; tools that write collections leave it out.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct AddressParts {
    #[serde(deserialize_with = "loose::nullable")]
    raw: String,
    #[serde(deserialize_with = "loose::nullable")]
    protocol: String,
    #[serde(deserialize_with = "joined_by_dots")]
    host: String,
    #[serde(deserialize_with = "loose::text")]
    port: String,
    #[serde(deserialize_with = "joined_by_slashes")]
    path: String,
    #[serde(deserialize_with = "loose::nullable")]
    query: Vec<PostmanPair>,
    /// What stands for `:name` in the path.
    #[serde(deserialize_with = "loose::nullable")]
    variable: Vec<PostmanPair>,
}

impl Address {
    /// The URL as it is written, variables and all; none where it names no host.
    fn text(&self) -> Option<String> {
        let parts = match self {
            Self::Text(text) => return Some(text.clone()).filter(|text| !text.is_empty()),
            Self::Parts(parts) if !parts.raw.is_empty() => return Some(parts.raw.clone()),
            Self::Parts(parts) if parts.host.is_empty() => return None,
            Self::Parts(parts) => parts,
        };
        let protocol = if parts.protocol.is_empty() { "http" } else { &parts.protocol };
        let scheme = if parts.host.starts_with("{{") { "" } else { &format!("{protocol}://") };
        let port = if parts.port.is_empty() { "" } else { &format!(":{}", parts.port) };
        let pairs = parts.query.iter().filter(|pair| !pair.disabled);
        let query: Vec<String> = pairs.map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        let query = if query.is_empty() { "" } else { &format!("?{}", query.join("&")) };
        Some(format!("{scheme}{}{port}/{}{query}", parts.host, parts.path))
    }

    /// A path with the values of its own variables in the places of their names.
    fn fill_path(&self, path: &str) -> String {
        let Self::Parts(parts) = self else { return path.to_owned() };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let value = |segment: &str| {
            let name = segment.strip_prefix(':')?;
            let pair = parts.variable.iter().find(|pair| pair.key == name)?;
            Some(pair.value.clone()).filter(|value| !value.is_empty())
        };
        let segments: Vec<String> =
            path.split('/').map(|part| value(part).unwrap_or_else(|| part.to_owned())).collect();
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", segments.join("/"))
    }
}

fn joined_by_dots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    joined(deserializer, ".")
}

fn joined_by_slashes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    joined(deserializer, "/")
}

/// A text, or the list of its parts: texts, or objects with a value.
fn joined<'de, D: Deserializer<'de>>(deserializer: D, by: &str) -> Result<String, D::Error> {
    let part = |part: &serde_json::Value| match part {
        serde_json::Value::Object(object) => {
            object.get("value").and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        }
        part => part.as_str().unwrap_or_default().to_owned(),
    };
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text.trim_start_matches('/').to_owned(),
        serde_json::Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join(by),
        _ => String::new(),
    })
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PostmanContent {
    #[serde(deserialize_with = "loose::text")]
    mode: String,
    #[serde(deserialize_with = "loose::text")]
    raw: String,
    #[serde(deserialize_with = "loose::nullable")]
    urlencoded: Vec<PostmanPair>,
    #[serde(deserialize_with = "loose::nullable")]
    formdata: Vec<PostmanPair>,
    graphql: Option<GraphQl>,
    options: serde_json::Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct GraphQl {
    #[serde(deserialize_with = "loose::text")]
    query: String,
    variables: serde_json::Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    #[serde(rename = "type")]
    kind: String,
    bearer: serde_json::Value,
    basic: serde_json::Value,
    apikey: serde_json::Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PostmanPair {
    #[serde(alias = "id", deserialize_with = "loose::text")]
    key: String,
    #[serde(deserialize_with = "loose::text")]
    value: String,
    #[serde(deserialize_with = "loose::flag")]
    disabled: bool,
    /// Of a form's part: `file` for one whose content is in a file.
    #[serde(rename = "type", deserialize_with = "loose::text")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Saved {
    original_request: Option<PostmanRequest>,
    #[serde(deserialize_with = "loose::text")]
    status: String,
    #[serde(deserialize_with = "loose::whole")]
    code: i64,
    #[serde(deserialize_with = "fields")]
    header: Vec<PostmanPair>,
    #[serde(deserialize_with = "loose::nullable")]
    body: String,
    #[serde(deserialize_with = "loose::text")]
    response_time: String,
}

/// A list of fields, or a text with a field a line.
fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PostmanPair>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum WrittenRequest {
        List(Vec<PostmanPair>),
        Text(String),
    }
    let pair = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        Some(PostmanPair { key, value, ..PostmanPair::default() })
    };
    Ok(match Option::<WrittenRequest>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(WrittenRequest::List(list)) => list,
        Some(WrittenRequest::Text(text)) => text.lines().filter_map(pair).collect(),
    })
}

/// Reads a collection; `each` says by an error that it cannot go on. A collection is a document
/// that people write: one beyond [`limits::DOCUMENT_BYTES`] is cut, and damaged by that.
pub fn read<E>(
    input: impl std::io::Read,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<Result<(), E>, serde_json::Error> {
    let collection: Collection =
        serde_json::from_reader(std::io::BufReader::new(input.take(limits::DOCUMENT_BYTES)))?;
    let variables = collection.variable.into_iter().map(|pair| (pair.key, pair.value)).collect();
    let mut reading = PostmanReading { variables, at: Timestamp::from_nanos(0) };
    Ok(reading.items(collection.item, collection.auth.as_ref(), &mut each))
}

struct PostmanReading {
    variables: HashMap<String, String>,
    at: Timestamp,
}

impl PostmanReading {
    /// The items of a folder; JSON's own depth bounds that of folders.
    fn items<E>(
        &mut self,
        items: Vec<PostmanItem>,
        auth: Option<&Auth>,
        each: &mut impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
    ) -> Result<(), E> {
        for item in items {
            let auth = item.auth.as_ref().or(auth);
            self.items(item.item, auth, each)?;
            let Some(asked) = item.request else { continue };
            if item.response.is_empty() {
                each(self.exchange(asked, auth, None))?;
                continue;
            }
            for saved in item.response {
                let original = saved.original_request.clone().unwrap_or_else(|| asked.clone());
                each(self.exchange(original, auth, Some(saved)))?;
            }
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        asked: PostmanRequest,
        inherited: Option<&Auth>,
        saved: Option<Saved>,
    ) -> Result<ReadEntry, Reason> {
        let whole = match asked {
            PostmanRequest::Url(url) => {
                WholeCollection { url: Some(Address::Text(url)), ..WholeCollection::default() }
            }
            PostmanRequest::Whole(whole) => *whole,
        };
        let address = whole.url.as_ref().ok_or("postman-request-without-url")?;
        let url = address.text().ok_or("postman-request-without-url")?;
        let mut marks = vec![MARK.to_owned()];
        let url = match self.behind_unknown_host(&url) {
            Some(path) => {
                marks.push(HOST_UNKNOWN.to_owned());
                format!("http://{NO_HOST}{}", self.fill(path)?)
            }
            None => self.fill(&url)?,
        };
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let parsed = Url::parse(&url).map_err(|_| "postman-request-without-url")?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("postman-request-without-url");
        }
        let authority = match parsed.host_str().unwrap_or_default() {
            NO_HOST => String::new(),
            host => parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        };
        let target = self.fill(&address.fill_path(&origin_form(url.as_bytes())))?;
        let auth = whole.auth.as_ref().or(inherited);
        let (message, is_whole) = self.request(&whole, auth, target, &authority)?;
        if !is_whole {
            marks.push("the collection does not hold the request's body".to_owned());
        }
        let at = self.at;
        self.at = at.plus(NANOS_PER_SEC);
        // An example that was never sent has no status.
        let saved = saved.filter(|saved| (100..1_000).contains(&saved.code));
        let response = saved.map(|saved| answer(&saved, at));
        if response.is_none() {
            marks.push(UNANSWERED.to_owned());
        }
        let exchange = Exchange {
            completeness: match (is_whole, &response) {
                (false, _) => Completeness::RequestDamaged,
                (true, None) => Completeness::NoResponse,
                (true, Some(_)) => Completeness::Complete,
            },
            request: Some(TimedRequest { at, duration_ns: 0, message }),
            response,
            marks,
            ..Exchange::between(
                Endpoint::new(UNKNOWN, 0),
                Endpoint::new(UNKNOWN, parsed.port_or_known_default().unwrap_or_default()),
            )
        };
        Ok(ReadEntry { exchange, key: authority })
    }

    /// What stands behind a variable for the host that the collection does not set. Such variables
    /// are in environments, which are files of their own, and the replay has a target anyway.
    fn behind_unknown_host<'t>(&self, url: &'t str) -> Option<&'t str> {
        let url = url.trim_start().strip_prefix("http://").unwrap_or(url);
        let url = url.strip_prefix("https://").unwrap_or(url);
        let (name, rest) = url.strip_prefix("{{")?.split_once("}}")?;
        if self.variables.get(name.trim()).is_some_and(|value| !value.is_empty()) {
            return None;
        }
        // `{{host}}:{{port}}/path`
        let path = rest.find(['/', '?']).unwrap_or(rest.len());
        Some(&rest[path..])
    }

    /// `{{name}}` filled in; a name that the collection does not know ends it.
    fn fill(&self, text: &str) -> Result<String, Reason> {
        let mut text = text.to_owned();
        for _ in 0..NESTED_VARIABLES {
            if !text.contains("{{") {
                return Ok(text);
            }
            let mut filled = String::with_capacity(text.len());
            let mut rest = &*text;
            while let Some((before, behind)) = rest.split_once("{{") {
                filled.push_str(before);
                let (name, after) = behind.split_once("}}").ok_or("postman-variable-unknown")?;
                let value = self.variables.get(name.trim()).ok_or("postman-variable-unknown")?;
                filled.push_str(value);
                rest = after;
                if filled.len() > FILLED_BYTES {
                    return Err("postman-variable-too-long");
                }
            }
            filled.push_str(rest);
            text = filled;
        }
        Err("postman-variable-too-long")
    }

    /// The request, and whether its body is known.
    fn request(
        &self,
        whole: &WholeCollection,
        auth: Option<&Auth>,
        target: String,
        authority: &str,
    ) -> Result<(Request, bool), Reason> {
        let mut headers = Headers::new();
        let mut has = |name: &str, value: &str| headers.push(name.as_bytes(), value.as_bytes());
        if !authority.is_empty() {
            has("Host", authority);
        }
        let mut kind_is_given = false;
        for pair in whole.header.iter().filter(|pair| !pair.disabled && !pair.key.is_empty()) {
            if pair.key.eq_ignore_ascii_case("host")
                || pair.key.eq_ignore_ascii_case("content-length")
            {
                continue;
            }
            kind_is_given |= pair.key.eq_ignore_ascii_case("content-type");
            has(&self.fill(&pair.key)?, &self.fill(&pair.value)?);
        }
        if let Some((name, value)) = self.credentials(auth)? {
            has(&name, &value);
        }
        let (body, kind) = self.body(whole.body.as_ref())?;
        let is_whole = body.is_some();
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            if let Some(kind) = kind.filter(|_| !kind_is_given) {
                has("Content-Type", kind);
            }
            has("Content-Length", &body.len().to_string());
        }
        let method = if whole.method.is_empty() { "GET" } else { &whole.method };
        let request = Request {
            method: Bytes::from(method.to_owned()),
            target: Bytes::from(target),
            framing: if body.is_empty() { Framing::None } else { Framing::ContentLength },
            headers,
            body: Body::whole(body),
            ..Request::default()
        };
        Ok((request, is_whole))
    }

    /// A body and its media type; none of a body in a file.
    fn body(
        &self,
        content: Option<&PostmanContent>,
    ) -> Result<(Option<String>, Option<&'static str>), Reason> {
        let Some(content) = content else { return Ok((Some(String::new()), None)) };
        match &*content.mode {
            "raw" => {
                let language = content.options["raw"]["language"].as_str().unwrap_or_default();
                let kind = match language {
                    "json" => "application/json",
                    "xml" => "application/xml",
                    "html" => "text/html",
                    _ => "text/plain",
                };
                Ok((Some(self.fill(&content.raw)?), Some(kind)))
            }
            "urlencoded" => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for pair in content.urlencoded.iter().filter(|pair| !pair.disabled) {
                    form.append_pair(&self.fill(&pair.key)?, &self.fill(&pair.value)?);
                }
                Ok((Some(form.finish()), Some("application/x-www-form-urlencoded")))
            }
            "formdata" if content.formdata.iter().all(|part| part.kind != "file") => {
                let mut form = Form::default();
                for part in content.formdata.iter().filter(|part| !part.disabled) {
                    form.add(self.fill(&part.key)?.as_bytes(), self.fill(&part.value)?.as_bytes());
                }
                let body = String::from_utf8(form.end()).unwrap_or_default();
                Ok((Some(body), Some(FORM_TYPE)))
            }
            "graphql" => {
                let graphql = content.graphql.clone().unwrap_or_default();
                let variables = match &graphql.variables {
                    serde_json::Value::String(text) => {
                        serde_json::from_str(&self.fill(text)?).unwrap_or_default()
                    }
                    other => other.clone(),
                };
                let body = serde_json::json!({
                    "query": self.fill(&graphql.query)?,
                    "variables": variables,
                });
                Ok((Some(body.to_string()), Some("application/json")))
            }
            "" => Ok((Some(String::new()), None)),
            _ => Ok((None, None)),
        }
    }

    /// The header field that lets a request in; of other kinds of authorisation there is none.
    fn credentials(&self, auth: Option<&Auth>) -> Result<Option<(String, String)>, Reason> {
        let Some(auth) = auth else { return Ok(None) };
        let authorization = |value: String| Ok(Some(("Authorization".to_owned(), value)));
        match &*auth.kind {
            "bearer" => {
                let token = self.fill(&named(&auth.bearer, "token"))?;
                authorization(format!("Bearer {token}"))
            }
            "basic" => {
                let user = self.fill(&named(&auth.basic, "username"))?;
                let password = self.fill(&named(&auth.basic, "password"))?;
                authorization(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            "apikey" if named(&auth.apikey, "in") != "query" => {
                let name = self.fill(&named(&auth.apikey, "key"))?;
                let value = self.fill(&named(&auth.apikey, "value"))?;
                Ok(Some((name, value)).filter(|(name, _)| !name.is_empty()))
            }
            _ => Ok(None),
        }
    }
}

/// A setting of an authorisation: in a list of pairs (v2.1) or an object (v2.0).
fn named(settings: &serde_json::Value, name: &str) -> String {
    let in_list = || settings.as_array()?.iter().find(|pair| pair["key"] == name);
    let value = in_list().map_or(&settings[name], |pair| &pair["value"]);
    value.as_str().unwrap_or_default().to_owned()
}

/// A saved response; Postman shows bodies decoded, so that a content coding is no longer true.
fn answer(saved: &Saved, at: Timestamp) -> TimedResponse {
    let took = saved.response_time.parse::<f64>().unwrap_or(0.0).clamp(0.0, 1e9);
    let took = (took * 1e6) as i64;
    let body = saved.body.clone().into_bytes();
    let mut headers = Headers::new();
    for PostmanPair { key, value, .. } in &saved.header {
        let length = key.eq_ignore_ascii_case("content-length");
        let is_coded = key.eq_ignore_ascii_case("content-encoding")
            || key.eq_ignore_ascii_case("transfer-encoding");
        match () {
            () if is_coded => {}
            () if length => headers.push(key.as_bytes(), body.len().to_string().as_bytes()),
            () => headers.push(key.as_bytes(), value.as_bytes()),
        }
    }
    let framing = match () {
        () if headers.get("content-length").is_some() => Framing::ContentLength,
        () if body.is_empty() => Framing::None,
        () => Framing::Close,
    };
    TimedResponse {
        at: at.plus(took),
        first_byte_ns: Some(took),
        last_byte_ns: Some(took),
        message: Response {
            status: u16::try_from(saved.code).unwrap_or_default(),
            reason: Bytes::from(saved.status.clone()),
            headers,
            body: Body::whole(body),
            framing,
            ..Response::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<Result<Exchange, Reason>> {
        let mut all = Vec::new();
        read::<()>(text.as_bytes(), |read| {
            all.push(read.map(|read| read.exchange));
            Ok(())
        })
        .expect("a collection")
        .expect("nothing stops");
        all
    }

    const COLLECTION: &str = r#"{
      "info": {"_postman_id": "1", "name": "shop",
        "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
      "variable": [{"key": "base", "value": "http://{{name}}:8080"},
        {"key": "name", "value": "shop"}],
      "item": [{"name": "carts", "item": [{
        "name": "add",
        "request": {"method": "POST", "url": {"raw": "{{base}}/cart?x=1", "path": ["cart"]},
          "header": [{"key": "X-A", "value": "1"}, {"key": "X-B", "value": "2", "disabled": true}],
          "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "t", "type": "string"}]},
          "body": {"mode": "raw", "raw": "{\"n\":1}", "options": {"raw": {"language": "json"}}}},
        "response": [{"name": "ok", "status": "Created", "code": 201, "responseTime": 12,
          "header": [{"key": "Content-Type", "value": "application/json"}], "body": "{}"}]}]},
        {"name": "list", "request": "{{base}}/items", "response": null},
        {"name": "form", "request": {"method": "PUT", "url": "http://shop/f",
          "body": {"mode": "urlencoded", "urlencoded": [{"key": "a", "value": "b c"}]}}},
        {"name": "file",
          "request": {"method": "PUT", "url": "http://shop/f", "body": {"mode": "file"}}},
        {"name": "unknown", "request": "http://shop/{{other}}"}]}"#;

    #[test]
    fn saved_responses_are_exchanges_and_other_requests_stand_alone() {
        let all = read_all(COLLECTION);
        let [Ok(add), Ok(list), Ok(form), Ok(file), Err(unknown)] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!(*unknown, "postman-variable-unknown");
        assert_eq!(add.completeness, Completeness::Complete);
        let request = &add.request.as_ref().expect("a request").message;
        for (name, value) in [
            ("host", "shop:8080"),
            ("x-a", "1"),
            ("authorization", "Bearer t"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(request.headers.get(name), Some(value.as_bytes()), "{name}");
        }
        assert!(request.headers.get("x-b").is_none(), "it is disabled");
        assert_eq!(&request.target[..], b"/cart?x=1");
        let response = add.response.as_ref().expect("a response");
        assert_eq!((response.message.status, response.last_byte_ns), (201, Some(12_000_000)));
        assert_eq!(list.completeness, Completeness::NoResponse);
        assert!(list.marks.iter().any(|mark| mark == UNANSWERED));
        let form = &form.request.as_ref().expect("a request").message;
        assert_eq!(&form.body.bytes[..], b"a=b+c");
        assert_eq!(file.completeness, Completeness::RequestDamaged);
    }

    #[test]
    fn what_an_environment_or_a_folder_says_is_known_as_far_as_it_can_be() {
        let all = read_all(
            r#"{"info":{"schema":"x"},
            "auth": {"type": "apikey", "apikey": [{"key": "key", "value": "X-Key"},
                {"key": "value", "value": "k"}]},
            "item": [
            {"auth": {"type": "basic", "basic": [{"key": "username", "value": "u"}]}, "item": [
                {"request": {"method": "GET", "url": {"raw": "{{base}}/users/:id?x=:id",
                    "variable": [{"key": "id", "value": 7}]}}},
                {"request": {"auth": {"type": "noauth"}, "url": {"protocol": "https", "port": "81",
                    "host": ["shop", "example"], "path": ["a", {"value": "b"}],
                    "query": [{"key": "q", "value": "1"}]}}}]},
            {"request": {"method": "POST", "url": "{{host}}:{{port}}/f",
                "body": {"mode": "formdata", "raw": null, "formdata": [
                {"key": "a", "value": "1", "type": "text"},
                {"key": "b", "value": "2", "disabled": true}]}},
             "response": [{"name": "never sent", "code": null}]}]}"#,
        );
        let [Ok(user), Ok(parts), Ok(form)] = &all[..] else { panic!("{all:?}") };
        let of =
            |exchange: &Exchange| exchange.request.as_ref().expect("a request").message.clone();
        let (request, has) = (of(user), |exchange: &Exchange| exchange.is_marked(HOST_UNKNOWN));
        assert_eq!(&request.target[..], b"/users/7?x=:id");
        assert_eq!(request.headers.get("authorization"), Some(&b"Basic dTo="[..]));
        assert!(has(user) && request.headers.get("host").is_none(), "the target's is sent");
        let request = of(parts);
        assert_eq!(&request.target[..], b"/a/b?q=1");
        assert_eq!(request.headers.get("host"), Some(&b"shop.example:81"[..]));
        assert!(request.headers.get("authorization").is_none() && !has(parts));
        let request = of(form);
        assert_eq!((&request.target[..], has(form)), (&b"/f"[..], true));
        assert_eq!(request.headers.get("x-key"), Some(&b"k"[..]));
        assert_eq!(form.completeness, Completeness::NoResponse, "an example without a status");
        let body = String::from_utf8_lossy(&request.body.bytes);
        assert!(body.contains("name=\"a\"\r\n\r\n1\r\n--"), "{body}");
        assert!(!body.contains("name=\"b\""), "{body}");
    }

    #[test]
    fn variables_that_name_each_other_come_to_an_end() {
        let text = r#"{"info":{"schema":"x"},
            "variable":[{"key":"a","value":"{{b}}{{b}}"},{"key":"b","value":"{{a}}{{a}}"}],
            "item":[{"request":"http://x/{{a}}"}]}"#;
        assert_eq!(read_all(text), [Err("postman-variable-too-long")]);
    }
}
