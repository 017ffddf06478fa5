//! A request taken apart into places with values: what calls are compared by.
//!
//! The walk over its values ([`document`]) tells the places; of the path only those segments that
//! the route leaves open, of the header fields only those that choose the operation and those that
//! the user names. A value that varies by itself (a time, a UUID, a random token, also within a
//! text) has a family; two requests are equal by kind where all else is equal. Only hashes are kept
//! of recorded calls, texts are made again to explain.
//!
//! [`document`]: crate::message::document

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::discriminant;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

use super::shelf::{Shelf, ShelfPiece};
use crate::limits::WALKED_BODY_BYTES;
use crate::message::document::{Bounds, Form, Reader, Value, Walk, digest_text};
use crate::message::encoding::base64_text;
use crate::message::fields::CONDITIONS;
use crate::message::json::number::Decimal;
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Pattern, Step, Trail};
use crate::message::protobuf::{Readings, Speaker};
use crate::message::tokens::{Token, tokens};
use crate::message::{Body, Headers};

/// Header fields that choose what the provider does, and are always compared.
const CHOOSING_HEADERS: [&str; 4] =
    ["soapaction", "x-amz-target", "x-http-method-override", "range"];

/// What is compared beside method, host, path, query and body, and what is not compared by value.
#[derive(Clone, Debug, Default)]
pub struct FeatureRules {
    /// Names of header fields that are compared, in lower case.
    pub headers: Vec<String>,
    /// Places whose value may be any: `$.nonce`, `query:ts`, `$.items[*].id`.
    pub volatile: Vec<Pattern>,
    /// How messages of Protocol Buffers are read.
    pub readings: Arc<Readings>,
}

/// How a value counts when calls are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Whether it is a segment of the path that varies by itself and is no time: it names the
    /// thing that is asked for.
    pub(super) names: bool,
    pub(super) weight: Weight,
}

/// Where features stand and what they are, without their values: calls of one make share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FeatureSlot {
    place: u64,
    /// The kind, where it is not the value.
    kind: Option<u64>,
    names: bool,
    weight: Weight,
}

/// The layouts of all recorded calls.
#[derive(Debug, Default)]
pub(super) struct FeatureLayouts {
    all: Vec<Box<[FeatureSlot]>>,
    /// By hash: a layout that others may share.
    known: FxHashMap<u64, u32>,
}

impl FeatureLayouts {
    /// Keeps features: the number of their layout, and their values.
    pub(super) fn pack(&mut self, features: &[Feature], shelf: &mut Shelf) -> (u32, ShelfPiece) {
        let slots: Box<[FeatureSlot]> = features
            .iter()
            .map(|feature| {
                let Feature { place, value, kind, names, weight } = *feature;
                FeatureSlot { place, kind: (kind != value).then_some(kind), names, weight }
            })
            .collect();
        let mut hasher = DefaultHasher::new();
        slots.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.known.get(&hash).filter(|&&at| self.all[at as usize] == slots).copied();
        let layout = known.unwrap_or_else(|| {
            self.all.push(slots);
            let at = u32::try_from(self.all.len() - 1).expect("fewer layouts than calls");
            self.known.insert(hash, at);
            at
        });
        let values: Vec<u8> =
            features.iter().flat_map(|feature| feature.value.to_le_bytes()).collect();
        (layout, shelf.put(&values))
    }

    /// Nothing more is kept.
    pub(super) fn settle(&mut self) {
        self.known = FxHashMap::default();
        self.all.shrink_to_fit();
    }

    /// The features of this layout with these values.
    pub(super) fn unpack<'f>(&'f self, layout: u32, values: &'f [u8]) -> PackedFeatures<'f> {
        PackedFeatures { slots: &self.all[layout as usize], values: values.as_chunks().0 }
    }
}

/// The features of a recorded call, sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedFeatures<'f> {
    slots: &'f [FeatureSlot],
    values: &'f [[u8; 8]],
}

impl PackedFeatures<'_> {
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<Feature> {
        let slot = self.slots.get(index)?;
        let value = u64::from_le_bytes(*self.values.get(index)?);
        let kind = slot.kind.unwrap_or(value);
        Some(Feature { place: slot.place, value, kind, names: slot.names, weight: slot.weight })
    }
}

/// A body as it came: whole, or too large to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Whole(&'a [u8]),
    Hashed { length: u64, sha256: [u8; 32] },
}

impl<'a> Content<'a> {
    /// The content of a recorded body.
    pub(super) fn of(body: &'a Body) -> Self {
        match body.sha256 {
            Some(sha256) if body.is_cut() => Self::Hashed { length: body.length, sha256 },
            _ if body.bytes.len() > WALKED_BODY_BYTES => {
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

/// Hashes of the values that name something (an order, a cart, a customer), wherever they stand;
/// sorted.
pub(super) fn names(target: &[u8], headers: &Headers, content: Content<'_>) -> Box<[u64]> {
    let mut names = Vec::new();
    let subject = Subject { route: "", target, headers, content };
    walk(&subject, &FeatureRules::default(), &mut |_, value| {
        let names_one = match kind_of(value) {
            Some(kind) => !kind.is_time(),
            None => is_identifier(value.text),
        };
        if names_one {
            names.push(hash(0, 4, value.text.as_bytes()));
        }
    });
    names.sort_unstable();
    names.dedup();
    names.into_boxed_slice()
}

/// The features of a request, sorted, with its two keys: over the values, and over values by kind.
pub(super) struct TakenFeatures {
    pub(super) features: Vec<Feature>,
    pub(super) exact: u64,
    pub(super) by_kind: u64,
    /// Names the condition under which it asks (`If-None-Match` and its like); none where it asks
    /// without one.
    pub(super) condition: Option<u64>,
}

impl TakenFeatures {
    /// Its two keys where it is compared with calls that were answered by their condition.
    pub(super) fn conditional(&self) -> Option<[u64; 2]> {
        let condition = self.condition?;
        Some([self.exact, self.by_kind].map(|key| hash(key, 5, &condition.to_le_bytes())))
    }
}

/// Takes a request apart; `scope` (host and route) is part of the keys.
pub(super) fn take(subject: &Subject<'_>, rules: &FeatureRules, scope: u64) -> TakenFeatures {
    let mut features = Vec::with_capacity(16);
    walk(subject, rules, &mut |at, value| {
        let text = plain_text(value);
        let typed = value.form != Form::Text;
        let hashed = hash(at.hash(), 1 + u8::from(typed), text.as_bytes());
        let family = family(at, value, rules);
        let weight = match family {
            Some(_) => Weight::Volatile,
            None if is_identifier(&text) => Weight::Identifier,
            None => Weight::Plain,
        };
        let kind = family.unwrap_or_else(|| match value.form {
            // Below a fresh name the place is another one each time.
            Form::Key => hashed,
            _ if at.varies() => hash(at.general(), 1 + u8::from(typed), text.as_bytes()),
            _ => hashed,
        });
        let names = weight == Weight::Volatile
            && matches!(at.last(), Step::Segment(_))
            && at.before().is_none()
            && !kind_of(value).is_some_and(ValueKind::is_time)
            && !rules.volatile.iter().any(|pattern| pattern.covers(at));
        features.push(Feature { place: at.hash(), value: hashed, kind, weight, names });
    });
    features.sort_unstable_by_key(|feature| (feature.place, feature.value));
    let (mut exact, mut by_kind) = (DefaultHasher::new(), DefaultHasher::new());
    scope.hash(&mut exact);
    scope.hash(&mut by_kind);
    for feature in &features {
        feature.value.hash(&mut exact);
    }
    // Fresh names of members stand in another order each time.
    let mut kinds: Vec<u64> = features.iter().map(|feature| feature.kind).collect();
    kinds.sort_unstable();
    kinds.hash(&mut by_kind);
    TakenFeatures {
        exact: exact.finish(),
        by_kind: by_kind.finish(),
        features,
        condition: condition(subject.headers),
    }
}

/// The condition under which a request asks.
fn condition(headers: &Headers) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut any = false;
    for name in CONDITIONS {
        for value in headers.all(name) {
            any = true;
            (name, value.trim_ascii()).hash(&mut hasher);
        }
    }
    any.then(|| hasher.finish())
}

/// The same as texts, to explain a choice: place, value, and whether it varies by itself.
pub(super) fn describe(subject: &Subject<'_>, rules: &FeatureRules) -> Vec<Described> {
    let mut all = Vec::new();
    walk(subject, rules, &mut |at, value| {
        all.push(Described {
            place: at.to_string(),
            value: plain_text(value).into_owned(),
            typed: value.form != Form::Text,
            family: family(at, value, rules),
        });
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

/// The hash of bytes by themselves.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    hash(0, 0, bytes)
}

fn hash(place: u64, tag: u8, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    tag.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}

/// A value as it is compared: `1.0` and `1` are one number.
fn plain_text(value: Value<'_>) -> Cow<'_, str> {
    let text = value.text;
    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
    if value.form != Form::Bare || whole {
        return Cow::Borrowed(text);
    }
    Decimal::parse(text).map_or(Cow::Borrowed(text), |number| Cow::Owned(number.to_string()))
}

/// What the value's place and kind have in common with those that may stand there as well; none
/// for a value that must be equal.
fn family(at: &Trail<'_>, value: Value<'_>, rules: &FeatureRules) -> Option<u64> {
    // Below a fresh name places are other ones each time.
    let place = if at.varies() { at.general() } else { at.hash() };
    if !rules.volatile.is_empty() && rules.volatile.iter().any(|pattern| pattern.covers(at)) {
        return Some(hash(place, 3, b""));
    }
    match (kind_of(value), value.form) {
        (Some(kind), _) => Some(of_kind(place, kind)),
        (None, Form::Text | Form::Key) => mixed(place, value.text),
        _ => None,
    }
}

/// The family of a text that is made of fixed parts and values that vary by themselves: an object's
/// key with a UUID in it, `urn:uuid:…`, a line with a time. None where no part varies.
fn mixed(place: u64, text: &str) -> Option<u64> {
    /// Shortest part that varies by itself, and longest text that is looked at, in bytes.
    const SHORTEST: usize = 8;
    const LONGEST: usize = 16 << 10;
    if !(SHORTEST..=LONGEST).contains(&text.len()) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    let mut varies = false;
    for token in tokens(text) {
        let part = token.text();
        let kind = match token {
            Token::Mark(_) => None,
            Token::Value(_) | Token::Chunk(_) => varying(part),
        };
        match kind {
            Some(kind) => {
                varies = true;
                (1, discriminant(&kind)).hash(&mut hasher);
            }
            None => (0, part).hash(&mut hasher),
        }
    }
    varies.then(|| hasher.finish())
}

/// Values of one family stand for each other: the length of a random token may vary, its sort does
/// not.
fn of_kind(place: u64, kind: ValueKind) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    discriminant(&kind).hash(&mut hasher);
    hasher.finish()
}

fn kind_of(value: Value<'_>) -> Option<ValueKind> {
    match value.form {
        Form::Bare => kinds::of_number(value.text),
        Form::Text | Form::Key => varying(value.text),
        Form::Empty | Form::Digest => None,
    }
}

/// The kind of a text that varies by itself. What only looks random because it is text in base64 or
/// hexadecimal digits says something.
fn varying(text: &str) -> Option<ValueKind> {
    let kind = kinds::of_text(text)?;
    let says = match kind {
        ValueKind::Token(_) => base64_text(text).is_some(),
        ValueKind::Hex(_) => text_in_hex(text),
        _ => false,
    };
    (!says).then_some(kind)
}

/// Whether hexadecimal digits stand for readable text.
fn text_in_hex(digits: &str) -> bool {
    /// Fewer random bytes may by chance be readable.
    const FEWEST: usize = 10;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len() >= 2 * FEWEST
        && digits
            .as_bytes()
            .chunks(2)
            .all(|pair| byte(pair).is_some_and(|byte| byte == b' ' || byte.is_ascii_graphic()))
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

fn walk(subject: &Subject<'_>, rules: &FeatureRules, visit: &mut dyn FnMut(&Trail<'_>, Value<'_>)) {
    let mut reader = Reader(visit);
    let mut walk = Walk::new(&mut reader, Bounds::default());
    walk.segments(subject.target, open_segments(subject.route));
    walk.query(subject.target);
    for name in CHOOSING_HEADERS.iter().copied().chain(rules.headers.iter().map(String::as_str)) {
        if let Some(value) = subject.headers.get(name) {
            walk.header(None, name.as_bytes(), value);
        }
    }
    let whole = match subject.content {
        Content::Hashed { length, sha256 } => Some(digest_text(length, &sha256)),
        Content::Whole(bytes) => {
            let read =
                rules.readings.read(Speaker::Question, subject.target, subject.headers, bytes);
            match read {
                Some(read) => walk.body(&Headers::new(), &read.json),
                None => walk.body(subject.headers, bytes),
            };
            // What was not told one by one is compared as a whole.
            walk.was_cut().then(|| digest_text(bytes.len() as u64, &Sha256::digest(bytes)))
        }
    };
    if let Some(text) = whole {
        let value =
            Value { text: &text, form: Form::Digest, encoding: Default::default(), label: None };
        (reader.0)(&Trail::new(Step::Body), value);
    }
}

/// Which segments of a path a route leaves open.
fn open_segments(route: &str) -> impl Fn(usize) -> bool {
    let template = route.split_once(' ').map_or("", |(_, path)| path);
    let keys: Vec<&str> = template.split('/').collect();
    let rest = keys.iter().position(|key| key.contains("**")).unwrap_or(keys.len());
    let open: Vec<bool> = keys.iter().map(|key| key.contains(['{', '*'])).collect();
    move |index| index >= rest || open.get(index).copied().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(target: &str, content_type: &str, body: &str, rules: &FeatureRules) -> Vec<String> {
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
            &FeatureRules::default(),
            7,
        );
        (taken.exact, taken.by_kind)
    }

    #[test]
    fn every_kind_of_body_is_taken_apart() {
        let volatile = vec!["$.a[*].n".parse().unwrap()];
        let rules = FeatureRules { volatile, ..FeatureRules::default() };
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
                "query:a=1",
                "query:b=1",
                "query:b=2"
            ]
        );
        assert_eq!(
            places(
                "/v1/q/x",
                "application/x-www-form-urlencoded",
                "card=4242&t=2026-11-22T10:00:00Z",
                &rules
            ),
            ["form:card=4242", "form:t=2026-11-22T10:00:00Z (varies)", "path[2]=q"]
        );
        let multipart =
            "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--XX--\r\n";
        assert_eq!(
            places("/v1/q/x", "multipart/form-data; boundary=XX", multipart, &rules),
            ["part:a=one", "part:a header:content-disposition=form-data; name=\"a\"", "path[2]=q"]
        );
        let soap = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"u\"><s:Body><Pay cur=\"EUR\"><Amount>12</Amount><Now/></Pay></s:Body></s:Envelope>";
        assert_eq!(
            places("/v1/q/x", "text/xml", soap, &rules),
            [
                "/Envelope/Body/Pay/@cur=EUR",
                "/Envelope/Body/Pay/Amount/text()=12",
                "/Envelope/Body/Pay/Now=",
                "/Envelope/Body/Pay/namespace()=",
                "/Envelope/namespace()=u",
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
            assert!(
                places("/v1/q/x", "application/json", body, &FeatureRules::default()).len() < 6_000
            );
            assert!(places("/v1/q/x", "text/xml", body, &FeatureRules::default()).len() < 6_000);
        }
    }

    /// Each format with a call, the same call written in another way, and calls that say something
    /// else in a way that was once overlooked.
    #[test]
    fn another_amount_is_never_equal_whatever_the_format() {
        let gzip = |text: &str| {
            use std::io::Write as _;
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        let json = |text: &str| crate::message::encoding::base64_of(text.as_bytes(), true);
        let token = |amount: u32| {
            format!(
                "{}.{}.c2ln",
                json("{\"alg\":\"HS256\"}"),
                json(&format!("{{\"amount\":{amount},\"iat\":1795341600}}"))
            )
        };
        type Case<'c> = (&'c str, &'c str, Vec<u8>, Vec<u8>, Vec<Vec<u8>>);
        let text = |text: &str| text.as_bytes().to_vec();
        let cases: Vec<Case<'_>> = vec![
            (
                "text/xml",
                "",
                text("<a><![CDATA[100]]></a>"),
                text("<a> 100</a>"),
                vec![text("<a><![CDATA[999]]></a>"), text("<a><![CDATA[100]]>0</a>")],
            ),
            (
                "text/xml",
                "",
                text("<a v=\"1 000\" w='x'/>"),
                text("<a w=\"x\" v='1 000'></a>"),
                vec![text("<a v=\"1 999\" w='x'/>"), text("<a v=\"1\" w='x'/>")],
            ),
            (
                "text/xml",
                "",
                text("<n:a xmlns:n='u' xmlns:m='v'><n:x>1</n:x><m:x>2</m:x></n:a>"),
                text("<a xmlns='u'><x>1</x><q:x xmlns:q='v'>2</q:x></a>"),
                vec![
                    text("<n:a xmlns:n='u' xmlns:m='v'><n:x>2</n:x><m:x>1</m:x></n:a>"),
                    text("<n:a xmlns:n='w' xmlns:m='v'><n:x>1</n:x><m:x>2</m:x></n:a>"),
                ],
            ),
            (
                "text/xml",
                "",
                text("<a><i>1</i><i>2</i></a>"),
                text("<a>\n<i>1</i>\n<i>2</i><!-- c --></a>"),
                vec![text("<a><i>2</i><i>1</i></a>"), text("<a><i>1</i></a>")],
            ),
            (
                "text/xml",
                "",
                text("<!DOCTYPE a [<!ENTITY n \"100\">]><a>&n;</a>"),
                text("<!DOCTYPE a [<!ENTITY n \"100\">]>\n<a>&n;</a>"),
                vec![text("<!DOCTYPE a [<!ENTITY n \"999\">]><a>&n;</a>")],
            ),
            (
                "text/xml",
                "",
                text("<a>100</b>"),
                text("<a>100</b>\n"),
                vec![text("<a>999</b>"), text("<a>100</b></b>")],
            ),
            ("text/xml", "", wide("<a>100</a>"), text("<a>100</a>"), vec![wide("<a>999</a>")]),
            (
                "application/json",
                "",
                text(r#"{"a":1,"a":2,"b":"x"}"#),
                text(r#"{"b":"x", "a":1.0, "a":2}"#),
                vec![text(r#"{"a":2,"a":1,"b":"x"}"#), text(r#"{"a":2,"b":"x"}"#)],
            ),
            (
                "application/json",
                "",
                text(r#"{"n":9007199254740993}"#),
                text(r#"{"n":9007199254740993.0}"#),
                vec![text(r#"{"n":9007199254740992}"#), text(r#"{"n":"9007199254740993"}"#)],
            ),
            (
                "application/json",
                "",
                text(r#"{"p":"{\"amount\":100}"}"#),
                text(r#"{"p":"{ \"amount\" : 1e2 }"}"#),
                vec![text(r#"{"p":"{\"amount\":999}"}"#)],
            ),
            (
                "application/json",
                "",
                format!("{{\"d\":\"{}\"}}", json("{\"amount\":100}")).into(),
                format!("{{\"d\":\"{}\"}}", json("{\"amount\" :100}")).into(),
                vec![format!("{{\"d\":\"{}\"}}", json("{\"amount\":999}")).into()],
            ),
            ("application/jose", "", token(100).into(), token(100).into(), vec![token(999).into()]),
            (
                "application/json; charset=utf-16be",
                "",
                wide("{\"a\":\"\u{e9}\"}"),
                text(
                    "\u{0}{\u{0}\"\u{0}a\u{0}\"\u{0}:\u{0}\"\u{0}\\\u{0}u\u{0}0\u{0}0\u{0}e\u{0}9\u{0}\"\u{0}}",
                ),
                vec![wide("{\"a\":\"\u{e8}\"}")],
            ),
            (
                "application/json",
                "gzip",
                gzip("{\"a\":100}"),
                gzip("{ \"a\":100}"),
                vec![gzip("{\"a\":999}")],
            ),
            (
                "application/json",
                "",
                text("{broken 100"),
                text("{broken 100\n"),
                vec![text("{broken 999")],
            ),
            (
                "application/x-www-form-urlencoded",
                "",
                text("a=100&b=caf%C3%A9"),
                text("b=caf%c3%a9&a=1%300"),
                vec![text("a=999&b=caf%C3%A9"), text("a=100&b=caf%C3%A8"), text("a=100&b=caf%e9")],
            ),
            (
                "application/x-ndjson",
                "",
                text("{\"a\":100}\n{\"a\":2}\n"),
                text("{\"a\":100}\r\n{ \"a\":2}"),
                vec![text("{\"a\":2}\n{\"a\":100}\n"), text("{\"a\":100}\n{\"a\":9}\n")],
            ),
            (
                "multipart/mixed; boundary=b",
                "",
                text("--b\r\nContent-Type: text/plain\r\n\r\n100\r\n--b--"),
                text(
                    "--b\r\ncontent-type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nMTAw\r\n--b--",
                ),
                vec![
                    text("--b\r\nContent-Type: text/plain\r\n\r\n999\r\n--b--"),
                    text("--b\r\nContent-Type: text/html\r\n\r\n100\r\n--b--"),
                    text("--b\r\nContent-Type: text/plain\r\n\r\n100\r\n--b\r\n\r\n1\r\n--b--"),
                ],
            ),
            (
                "multipart/form-data; boundary=b",
                "",
                text("--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\n1\r\n--b--"),
                text("--b\r\nContent-Disposition:form-data; name=a; filename=x\r\n\r\n1\r\n--b--"),
                vec![
                    text(
                        "--b\r\nContent-Disposition: form-data; name=a; filename=y\r\n\r\n1\r\n--b--",
                    ),
                    text(
                        "--b\r\nContent-Disposition: form-data; name=b; filename=x\r\n\r\n1\r\n--b--",
                    ),
                ],
            ),
            (
                "text/plain",
                "",
                text("one\namount 100"),
                text("one\r\namount 100\r\n"),
                vec![text("one\namount 999"), text("amount 100\none")],
            ),
            (
                "application/octet-stream",
                "",
                vec![0, 1, 2, 255],
                vec![0, 1, 2, 255],
                vec![vec![0, 1, 3, 255], vec![0, 1, 2, 254]],
            ),
        ];
        for (kind, coding, call, same, others) in cases {
            let by_kind = |body: &[u8]| {
                let fields = [("Content-Type", kind), ("Content-Encoding", coding)];
                let headers: Headers = fields
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                    .collect();
                let content = Content::Whole(body);
                let subject =
                    Subject { route: "POST /v1", target: b"/v1", headers: &headers, content };
                take(&subject, &FeatureRules::default(), 7).by_kind
            };
            let shown = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            let expected = by_kind(&call);
            // A charset that only the header names holds for the whole row.
            assert_eq!(by_kind(&same), expected, "{kind}: {} is {}", shown(&same), shown(&call));
            for other in &others {
                assert_ne!(
                    by_kind(other),
                    expected,
                    "{kind}: {} is not {}",
                    shown(other),
                    shown(&call)
                );
            }
        }
    }

    #[test]
    fn a_text_varies_where_only_its_fresh_parts_do() {
        let key = |text: &str| keys("/v1", "application/json", &format!("{{\"k\":\"{text}\"}}")).1;
        let (one, two) =
            ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-439b-aea5-966c26f8ad91");
        for form in ["urn:uuid:#", "r-#.json", "receipts/u1/#.txt", "2026-#/part", "#:eu:1"] {
            assert_eq!(key(&form.replace('#', one)), key(&form.replace('#', two)), "{form}");
        }
        for (a, b) in [
            ("20260921T141320Z", "20261128T100000Z"),
            ("AK/20260921T141320Z/eu", "AK/20261128T100000Z/eu"),
            ("sent 2026-11-22T10:00:00Z by a", "sent 2026-11-23T11:00:00Z by a"),
            ("4bf92f3577b34da6a3ce929d0e0e4736.tmp", "0af7651916cd43dd8448eb211c80319c.tmp"),
        ] {
            assert_eq!(key(a), key(b), "{a}");
        }
        for (a, b) in [
            (format!("r-{one}.json"), format!("s-{two}.json")),
            (format!("urn:uuid:{one} 100"), format!("urn:uuid:{two} 999")),
            (
                "YW1vdW50PTEwMDtjdXJyZW5jeT1FVVI=".to_owned(),
                "YW1vdW50PTk5OTtjdXJyZW5jeT1FVVI=".to_owned(),
            ),
            (
                "616d6f756e743d3130303b633d455552".to_owned(),
                "616d6f756e743d3939393b633d455552".to_owned(),
            ),
            (
                "sent 2026-11-22T10:00:00Z by a".to_owned(),
                "sent 2026-11-23T11:00:00Z by b".to_owned(),
            ),
            ("version 1.2.3 of x".to_owned(), "version 1.2.4 of x".to_owned()),
        ] {
            assert_ne!(key(&a), key(&b), "{a} {b}");
        }
    }

    #[test]
    fn fresh_names_of_members_are_equal_by_kind_and_their_values_are_not() {
        let key = |id: &str, amount: u32| {
            keys(
                "/v1",
                "application/json",
                &format!("{{\"by_id\":{{\"{id}\":{{\"amount\":{amount}}}}}}}"),
            )
            .1
        };
        let (one, two) =
            ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-439b-aea5-966c26f8ad91");
        assert_eq!(key(one, 1), key(two, 1));
        assert_ne!(key(one, 1), key(two, 2));
        assert_ne!(key("8231", 1), key("8232", 1), "a number is a name of one thing");
    }
}
