//! Postman collections (v2.0 and v2.1) as exchanges: each saved response with the request that it
//! answered; a request without one stands alone. Variables have the values that the collection
//! gives them; no script is run.
//!
//! Format: <https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html>. It tells no
//! times: requests are a second apart, in the order of the collection.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::exchange::{Completeness, Exchange, TimedRequest, TimedResponse, UNANSWERED};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::target::origin_form;
use crate::message::{Body, Framing, Headers, Request, Response};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Said of every exchange of a collection.
pub const MARK: &str =
    "from a Postman collection: no time is recorded, requests are a second apart";

/// How often variables may stand in the values of others.
const NESTED_VARIABLES: u32 = 8;
/// Longest text that variables may make of one.
const FILLED_BYTES: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Collection {
    item: Vec<PostmanItem>,
    variable: Vec<PostmanPair>,
}

/// A request, or a folder of items.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PostmanItem {
    item: Vec<PostmanItem>,
    request: Option<PostmanRequest>,
    #[serde(deserialize_with = "nullable")]
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
    Parts { raw: String },
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PostmanContent {
    mode: String,
    raw: String,
    urlencoded: Vec<PostmanPair>,
    graphql: Option<GraphQl>,
    options: serde_json::Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct GraphQl {
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
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PostmanPair {
    #[serde(alias = "id")]
    key: String,
    #[serde(deserialize_with = "loose")]
    value: String,
    disabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Saved {
    original_request: Option<PostmanRequest>,
    status: String,
    code: u16,
    #[serde(deserialize_with = "fields")]
    header: Vec<PostmanPair>,
    #[serde(deserialize_with = "nullable")]
    body: String,
    #[serde(deserialize_with = "loose")]
    response_time: String,
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Values that people write as numbers, too.
fn loose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
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
        Some(PostmanPair { key, value, disabled: false })
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
    Ok(reading.items(collection.item, &mut each))
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
        each: &mut impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
    ) -> Result<(), E> {
        for item in items {
            self.items(item.item, each)?;
            let Some(asked) = item.request else { continue };
            if item.response.is_empty() {
                each(self.exchange(asked, None))?;
                continue;
            }
            for saved in item.response {
                let original = saved.original_request.clone().unwrap_or_else(|| asked.clone());
                each(self.exchange(original, Some(saved)))?;
            }
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        asked: PostmanRequest,
        saved: Option<Saved>,
    ) -> Result<ReadEntry, Reason> {
        let whole = match asked {
            PostmanRequest::Url(url) => {
                WholeCollection { url: Some(Address::Text(url)), ..WholeCollection::default() }
            }
            PostmanRequest::Whole(whole) => *whole,
        };
        let (Some(Address::Text(url)) | Some(Address::Parts { raw: url })) = &whole.url else {
            return Err("postman-request-without-url");
        };
        let url = self.fill(url)?;
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let parsed = Url::parse(&url).map_err(|_| "postman-request-without-url")?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("postman-request-without-url");
        }
        let mut marks = vec![MARK.to_owned()];
        let host = parsed.host_str().unwrap_or_default();
        let authority =
            parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let (message, is_whole) = self.request(&whole, &url, &authority)?;
        if !is_whole {
            marks.push("the collection does not hold the request's body".to_owned());
        }
        let at = self.at;
        self.at = at.plus(NANOS_PER_SEC);
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
        url: &str,
        authority: &str,
    ) -> Result<(Request, bool), Reason> {
        let mut headers = Headers::new();
        let mut has = |name: &str, value: &str| headers.push(name.as_bytes(), value.as_bytes());
        has("Host", authority);
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
        if let Some(credentials) = self.credentials(whole.auth.as_ref())? {
            has("Authorization", &credentials);
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
            target: Bytes::from(origin_form(url.as_bytes())),
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

    fn credentials(&self, auth: Option<&Auth>) -> Result<Option<String>, Reason> {
        let Some(auth) = auth else { return Ok(None) };
        match &*auth.kind {
            "bearer" => {
                let token = self.fill(&named(&auth.bearer, "token"))?;
                Ok(Some(format!("Bearer {token}")))
            }
            "basic" => {
                let user = self.fill(&named(&auth.basic, "username"))?;
                let password = self.fill(&named(&auth.basic, "password"))?;
                Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
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
            status: saved.code,
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
      "variable": [{"key": "base", "value": "http://{{name}}:8080"}, {"key": "name", "value": "shop"}],
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
        {"name": "file", "request": {"method": "PUT", "url": "http://shop/f", "body": {"mode": "file"}}},
        {"name": "unknown", "request": "{{other}}/x"}]}"#;

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
    fn variables_that_name_each_other_come_to_an_end() {
        let text = r#"{"info":{"schema":"x"},
            "variable":[{"key":"a","value":"{{b}}{{b}}"},{"key":"b","value":"{{a}}{{a}}"}],
            "item":[{"request":"http://x/{{a}}"}]}"#;
        assert_eq!(read_all(text), [Err("postman-variable-too-long")]);
    }
}
