//! A request taken apart into places with values: what calls are compared by.
//!
//! Places are `path[2]`, `query.currency`, `header.soapaction`, `$.items[0].price` (JSON),
//! `form.card`, `part.file` and `/Envelope/Body/Amount` (XML). A value that varies by itself (a
//! time, a UUID, a random token) has a kind; two requests are equal by kind where all else is
//! equal. Only hashes are kept of recorded calls, texts are made again to explain.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::discriminant;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::message::kinds;
use crate::message::kinds::ValueKind;
use crate::message::target::path_and_query;
use crate::message::{Headers, content};

/// Largest body that is taken apart, in bytes; a larger one is compared as a whole, by length and
/// hash.
pub(super) const BODY_COMPARED: usize = 1 << 20;
/// Most places of a body; one with more is compared as a whole.
const PLACES: usize = 5_000;
/// Longest place that is written out, in bytes: a hostile body may nest long names.
const PLACE_BYTES: usize = 1 << 10;

/// Header fields that choose the operation at the provider and are always compared.
const CHOOSING_HEADERS: [&str; 3] = ["soapaction", "x-amz-target", "x-http-method-override"];

/// What is compared beside method, host, path, query and body, and what is not compared by value.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Names of header fields that are compared, in lower case.
    pub headers: Vec<String>,
    /// Places whose value may be any, indices as `[*]`: `$.nonce`, `query.ts`, `$.items[*].id`.
    pub volatile: Vec<String>,
}

/// How a value counts when calls are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// A plain value.
    Plain,
    /// A value that looks like the name of one thing (letters and digits, or many digits).
    Identifier,
    /// A value that varies by itself.
    Volatile,
}

/// One value at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    /// Hash of the place.
    pub(super) place: u64,
    /// Hash of place and value.
    pub(super) value: u64,
    /// Hash of place and kind where the value varies by itself, else as `value`.
    pub(super) kind: u64,
    pub(super) weight: Weight,
}

/// A body as it came: whole, or too large to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Whole(&'a [u8]),
    Hashed { length: u64, sha256: [u8; 32] },
}

impl<'a> Content<'a> {
    /// The content of a recorded body.
    pub(super) fn of(body: &'a crate::message::Body) -> Self {
        match body.sha256 {
            Some(sha256) if body.is_cut() => Self::Hashed { length: body.length, sha256 },
            _ if body.bytes.len() > BODY_COMPARED => {
                Self::Hashed { length: body.length, sha256: Sha256::digest(&body.bytes).into() }
            }
            _ => Self::Whole(&body.bytes),
        }
    }
}

/// What is taken apart: a request, its host and route known.
pub(super) struct Subject<'a> {
    pub(super) route: &'a str,
    pub(super) target: &'a [u8],
    pub(super) headers: &'a Headers,
    pub(super) content: Content<'a>,
}

/// The first value of a header field, as text.
fn field<'a>(headers: &'a Headers, name: &str) -> Cow<'a, str> {
    String::from_utf8_lossy(headers.get(name).unwrap_or_default())
}

/// Hashes of the values that name something (an order, a cart, a customer), wherever they stand;
/// sorted.
pub(super) fn names(target: &[u8], headers: &Headers, content: Content<'_>) -> Box<[u64]> {
    let mut names = Vec::new();
    let subject = Subject { route: "", target, headers, content };
    walk(&subject, &Rules::default(), &mut |_, text, typed, _| {
        let names_one = match kind_of(text, typed) {
            Some(kind) => !kind.is_time(),
            None => is_identifier(text),
        };
        if names_one {
            names.push(hash("", 4, text.as_bytes()));
        }
    });
    names.sort_unstable();
    names.dedup();
    names.into_boxed_slice()
}

/// The features of a request, sorted, with its two keys: over the values, and over values by kind.
pub(super) struct Taken {
    pub(super) features: Vec<Feature>,
    pub(super) exact: u64,
    pub(super) by_kind: u64,
}

/// Takes a request apart; `scope` (host and route) is part of the keys.
pub(super) fn take(subject: &Subject<'_>, rules: &Rules, scope: u64) -> Taken {
    let mut features = Vec::with_capacity(16);
    walk(subject, rules, &mut |place, text, typed, any| {
        let place_hash = hash(place, 0, b"");
        let value = hash(place, 1 + u8::from(typed), text.as_bytes());
        let kind = if any {
            Some(hash(place, 3, b""))
        } else {
            kind_of(text, typed).map(|kind| family(place, kind))
        };
        let weight = match kind {
            Some(_) => Weight::Volatile,
            None if is_identifier(text) => Weight::Identifier,
            None => Weight::Plain,
        };
        features.push(Feature { place: place_hash, value, kind: kind.unwrap_or(value), weight });
    });
    features.sort_unstable_by_key(|feature| (feature.place, feature.value));
    let (mut exact, mut by_kind) = (DefaultHasher::new(), DefaultHasher::new());
    scope.hash(&mut exact);
    scope.hash(&mut by_kind);
    for feature in &features {
        feature.value.hash(&mut exact);
        feature.kind.hash(&mut by_kind);
    }
    Taken { exact: exact.finish(), by_kind: by_kind.finish(), features }
}

/// The same as texts, to explain a choice: place, value, and whether it varies by itself.
pub(super) fn describe(subject: &Subject<'_>, rules: &Rules) -> Vec<Described> {
    let mut all = Vec::new();
    walk(subject, rules, &mut |place, text, typed, any| {
        let family =
            if any { Some(0) } else { kind_of(text, typed).map(|kind| family(place, kind)) };
        all.push(Described { place: place.to_owned(), value: text.to_owned(), typed, family });
    });
    all.sort();
    all
}

/// A place with its value in text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Described {
    pub(super) place: String,
    pub(super) value: String,
    /// Whether the value is a number, a truth value or null of JSON, rather than a text.
    pub(super) typed: bool,
    /// Equal for values of one kind at one place, where they vary by themselves.
    pub(super) family: Option<u64>,
}

fn hash(place: &str, tag: u8, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    tag.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}

/// Values of one family stand for each other: the length of a random token may vary, its sort does
/// not.
fn family(place: &str, kind: ValueKind) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    discriminant(&kind).hash(&mut hasher);
    hasher.finish()
}

fn kind_of(text: &str, typed: bool) -> Option<ValueKind> {
    if typed { kinds::of_number(text) } else { kinds::of_text(text) }
}

/// Whether a value looks like the name of one thing: an order number, a cart's id, a customer's
/// e-mail address.
fn is_identifier(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    text.len() >= 5
        && text.len() <= 128
        && !text.contains(' ')
        && (digits >= 6 || digits >= 1 && letters >= 1 || text.contains('@'))
}

/// What a walk tells of each place: the place, the value's text, whether it is a JSON value that is
/// no text, and whether the rules say that it may be any.
type Visit<'v> = dyn FnMut(&str, &str, bool, bool) + 'v;

fn walk(subject: &Subject<'_>, rules: &Rules, visit: &mut Visit<'_>) {
    let mut tell = |place: &str, text: &str, typed: bool| {
        let any = !rules.volatile.is_empty()
            && rules.volatile.iter().any(|pattern| place_matches(pattern, place));
        visit(place, text, typed, any);
    };
    let (path, query) = path_and_query(subject.target);
    path_places(subject.route, path, &mut tell);
    pairs("query", query, &mut tell);
    for name in CHOOSING_HEADERS.iter().copied().chain(rules.headers.iter().map(String::as_str)) {
        if subject.headers.get(name).is_some() {
            tell(&format!("header.{name}"), field(subject.headers, name).trim(), false);
        }
    }
    match subject.content {
        Content::Hashed { length, sha256 } => {
            let digest: String = sha256.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            tell("body", &format!("{length} bytes, sha256 {digest}"), true);
        }
        Content::Whole(b"") => {}
        Content::Whole(bytes) => {
            // What cannot be decoded is compared as it came.
            let coding = subject.headers.get("content-encoding");
            let decoded =
                coding.map(|coding| content::decode(bytes, std::iter::once(coding), BODY_COMPARED));
            let plain =
                decoded.as_ref().and_then(|decoded| decoded.as_deref().ok()).unwrap_or(bytes);
            body(plain, &field(subject.headers, "content-type"), &mut tell);
        }
    }
}

type Tell<'t> = dyn FnMut(&str, &str, bool) + 't;

/// The segments of a path that the route leaves open.
fn path_places(route: &str, path: &[u8], tell: &mut Tell<'_>) {
    let template = route.split_once(' ').map_or("", |(_, path)| path);
    let mut keys = template.split('/');
    let mut open = false;
    for (index, segment) in path.split(|&byte| byte == b'/').enumerate() {
        let key = keys.next();
        open |= key.is_none_or(|key| key.contains("**"));
        if open || key.is_some_and(|key| key.contains(['{', '*'])) {
            tell(&format!("path[{index}]"), &String::from_utf8_lossy(segment), false);
        }
    }
}

/// The pairs of a query or a form, as a multiset: equal names are numbered in the order of their
/// values.
fn pairs(prefix: &str, text: &[u8], tell: &mut Tell<'_>) {
    let mut pairs: Vec<_> = url::form_urlencoded::parse(text).take(PLACES).collect();
    pairs.sort_unstable();
    let mut place = String::new();
    let mut number = 0;
    for (index, (name, value)) in pairs.iter().enumerate() {
        number = if index > 0 && pairs[index - 1].0 == *name { number + 1 } else { 0 };
        place.clear();
        place.push_str(prefix);
        place.push('.');
        place.push_str(name);
        if number > 0 {
            place.push_str(&format!("[{number}]"));
        }
        tell(&place, value, false);
    }
}

fn body(bytes: &[u8], content_type: &str, tell: &mut Tell<'_>) {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let first = bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    if (kind.contains("json") || matches!(first, Some(b'{' | b'[')))
        && let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && leaves(&value) <= PLACES
    {
        json(&value, &mut String::from("$"), tell);
    } else if kind == "application/x-www-form-urlencoded" {
        pairs("form", bytes, tell);
    } else if kind == "multipart/form-data"
        && let Some(boundary) = boundary(content_type)
    {
        parts(bytes, boundary, tell);
    } else if (kind.contains("xml") || first == Some(b'<'))
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        xml(text, tell);
    } else {
        whole("body", bytes, tell);
    }
}

/// A value that is compared as a whole: its text, or its hash where it is long or no text.
fn whole(place: &str, bytes: &[u8], tell: &mut Tell<'_>) {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= PLACE_BYTES => tell(place, text, false),
        _ => {
            let digest: String =
                Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            tell(place, &format!("{} bytes, sha256 {digest}", bytes.len()), true);
        }
    }
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum::<usize>().max(1),
        Value::Object(fields) => fields.values().map(leaves).sum::<usize>().max(1),
        _ => 1,
    }
}

fn json(value: &Value, place: &mut String, tell: &mut Tell<'_>) {
    let length = place.len();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                if length + name.len() < PLACE_BYTES {
                    place.push('.');
                    place.push_str(name);
                }
                json(field, place, tell);
                place.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                place.push('[');
                place.push_str(&index.to_string());
                place.push(']');
                json(item, place, tell);
                place.truncate(length);
            }
        }
        Value::String(text) => tell(place, text, false),
        Value::Number(number) => match number.as_f64() {
            // 1.0 and 1 are one number.
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => {
                tell(place, &format!("{float:.0}"), true)
            }
            _ => tell(place, &number.to_string(), true),
        },
        Value::Bool(_) | Value::Null => tell(place, &value.to_string(), true),
        Value::Object(_) => tell(place, "{}", true),
        Value::Array(_) => tell(place, "[]", true),
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    let at = content_type.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let text = content_type[at..].split(';').next()?.trim().trim_matches('"');
    (!text.is_empty()).then_some(text)
}

/// The parts of a form (RFC 7578), by name; the boundary itself varies and does not count.
fn parts(bytes: &[u8], boundary: &str, tell: &mut Tell<'_>) {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut starts: Vec<usize> =
        memchr::memmem::find_iter(bytes, &delimiter).take(PLACES).collect();
    starts.push(bytes.len());
    for pair in starts.windows(2) {
        let part = &bytes[(pair[0] + delimiter.len()).min(pair[1])..pair[1]];
        let Some(end) = memchr::memmem::find(part, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&part[..end]);
        let name = head
            .split("name=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default();
        let content = &part[end + 4..];
        whole(&format!("part.{name}"), content.strip_suffix(b"\r\n").unwrap_or(content), tell);
    }
}

/// The texts and attributes of an XML document by the path of their elements, without namespace
/// prefixes. Not a validating parser: what is not well formed gives places all the same, equal ones
/// for equal documents.
fn xml(text: &str, tell: &mut Tell<'_>) {
    let mut place = String::new();
    let mut opened: Vec<usize> = Vec::new();
    let mut told = 0;
    let local = |name: &str| name.rsplit(':').next().unwrap_or(name).to_owned();
    for piece in text.split('<') {
        let Some((tag, content)) = piece.split_once('>') else { continue };
        if let Some(rest) = tag.strip_prefix('/') {
            let _ = rest;
            if let Some(length) = opened.pop() {
                place.truncate(length);
            }
        } else if !tag.starts_with(['?', '!']) && opened.len() < 64 && place.len() < PLACE_BYTES {
            let (name, attributes) =
                tag.trim_end_matches('/').split_once(char::is_whitespace).unwrap_or((tag, ""));
            let before = place.len();
            place.push('/');
            place.push_str(&local(name.trim_end_matches('/')));
            for attribute in
                attributes.split_whitespace().filter(|attribute| !attribute.starts_with("xmlns"))
            {
                if let Some((name, value)) = attribute.split_once('=') {
                    tell(
                        &format!("{place}@{}", local(name)),
                        value.trim_matches(['"', '\'', '/']),
                        false,
                    );
                    told += 1;
                }
            }
            if tag.ends_with('/') {
                tell(&place, "", false);
                told += 1;
                place.truncate(before);
            } else {
                opened.push(before);
            }
        }
        let content = content.trim();
        if !content.is_empty() {
            tell(&place, content, false);
            told += 1;
        }
        if told > PLACES {
            return;
        }
    }
}

/// Whether a place is the pattern's: `[*]` stands for any index, `*` at the end for the rest.
fn place_matches(pattern: &str, place: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*').filter(|prefix| !prefix.ends_with('[')) {
        return place.starts_with(prefix);
    }
    let (mut pattern, mut place) = (pattern, place);
    loop {
        match pattern.split_once("[*]") {
            None => return pattern == place,
            Some((before, after)) => {
                let Some(rest) = place.strip_prefix(before).and_then(|rest| rest.strip_prefix('['))
                else {
                    return false;
                };
                let Some((index, rest)) = rest.split_once(']') else { return false };
                if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
                    return false;
                }
                (pattern, place) = (after, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(target: &str, content_type: &str, body: &str, rules: &Rules) -> Vec<String> {
        let headers: Headers =
            std::iter::once((&b"Content-Type"[..], content_type.as_bytes())).collect();
        let subject = Subject {
            route: "POST /v1/{id}/x",
            target: target.as_bytes(),
            headers: &headers,
            content: Content::Whole(body.as_bytes()),
        };
        describe(&subject, rules)
            .into_iter()
            .map(|d| {
                format!(
                    "{}={}{}",
                    d.place,
                    d.value,
                    if d.family.is_some() { " (varies)" } else { "" }
                )
            })
            .collect()
    }

    fn keys(target: &str, content_type: &str, body: &str) -> (u64, u64) {
        let headers: Headers =
            std::iter::once((&b"Content-Type"[..], content_type.as_bytes())).collect();
        let content = Content::Whole(body.as_bytes());
        let taken = take(
            &Subject { route: "POST /v1", target: target.as_bytes(), headers: &headers, content },
            &Rules::default(),
            7,
        );
        (taken.exact, taken.by_kind)
    }

    #[test]
    fn every_kind_of_body_is_taken_apart() {
        let rules = Rules { headers: vec![], volatile: vec!["$.a[*].n".to_owned()] };
        assert_eq!(
            places(
                "/v1/7781/x?b=2&a=1&b=1",
                "application/json",
                r#"{"a":[{"n":1.0},{"n":true}],"e":{},"s":"1"}"#,
                &rules
            ),
            [
                "$.a[0].n=1 (varies)",
                "$.a[1].n=true (varies)",
                "$.e={}",
                "$.s=1",
                "path[2]=7781",
                "query.a=1",
                "query.b=1",
                "query.b[1]=2"
            ]
        );
        assert_eq!(
            places(
                "/v1/q/x",
                "application/x-www-form-urlencoded",
                "card=4242&t=2026-11-22T10:00:00Z",
                &rules
            ),
            ["form.card=4242", "form.t=2026-11-22T10:00:00Z (varies)", "path[2]=q"]
        );
        let multipart =
            "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--XX--\r\n";
        assert_eq!(
            places("/v1/q/x", "multipart/form-data; boundary=XX", multipart, &rules),
            ["part.a=one", "path[2]=q"]
        );
        let soap = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"u\"><s:Body><Pay cur=\"EUR\"><Amount>12</Amount><Now/></Pay></s:Body></s:Envelope>";
        assert_eq!(
            places("/v1/q/x", "text/xml", soap, &rules),
            [
                "/Envelope/Body/Pay/Amount=12",
                "/Envelope/Body/Pay/Now=",
                "/Envelope/Body/Pay@cur=EUR",
                "path[2]=q"
            ]
        );
        assert_eq!(places("/v1/q/x", "text/plain", "hello", &rules), ["body=hello", "path[2]=q"]);
    }

    #[test]
    fn order_does_not_count_and_values_that_vary_are_equal_by_kind() {
        let json = "application/json";
        let a = keys(
            "/v1?x=1&y=2",
            json,
            r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":5,"t":"a"}"#,
        );
        let b = keys(
            "/v1?y=2&x=1",
            json,
            r#"{"t":"a","n":5.0,"k":"0190163d-8694-739b-aea5-966c26f8ad91"}"#,
        );
        assert_ne!(a.0, b.0);
        assert_eq!(a.1, b.1);
        for (other, why) in [
            (
                r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":"5","t":"a"}"#,
                "a text is no number",
            ),
            (r#"{"k":"f81d4fae","n":5,"t":"a"}"#, "no identifier"),
            (r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":6,"t":"a"}"#, "another number"),
        ] {
            assert_ne!(keys("/v1?x=1&y=2", json, other).1, a.1, "{why}");
        }
        assert_ne!(
            keys("/v1?x=1", json, "").1,
            keys("/v1?x=1&x=1", json, "").1,
            "a query is a multiset"
        );
    }

    #[test]
    fn hostile_bodies_end() {
        let deep = "[".repeat(100_000);
        let wide = format!("[{}1]", "1,".repeat(20_000));
        for body in [&deep, &wide, &"<".repeat(50_000), &"<a>".repeat(50_000)] {
            assert!(places("/v1/q/x", "application/json", body, &Rules::default()).len() < 6_000);
            assert!(places("/v1/q/x", "text/xml", body, &Rules::default()).len() < 6_000);
        }
    }
}
