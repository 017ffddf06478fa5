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

use super::context::ContextNames;
use super::drawn::{Drawn, DrawnSamples};
use super::hashing::{hash, text_hash, value_at};
use super::moving::SaidTime;
use super::naming::{self, Names};
use super::shelf::{Shelf, ShelfPiece};
use super::told::{self, ToldNumbers, ToldSamples};
use crate::limits::WALKED_BODY_BYTES;
use crate::message::document::{Bounds, Form, Reader, Value, Walk, digest_text};
use crate::message::encoding::base64_text;
use crate::message::fields::CONDITIONS;
use crate::message::json::number::Decimal;
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Pattern, Step, Trail};
use crate::message::protobuf::{Readings, Speaker};
use crate::message::target::path_and_query;
use crate::message::tokens::{Token, runs, tokens};
use crate::message::{Body, Headers};
use crate::time::Timestamp;

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
    /// A header field or cookie of the call's own: it counts where both calls have it.
    Context,
}

/// One value at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    /// Hash of the place.
    pub(super) place: u64,
    /// Hash of the text, wherever it stands.
    pub(super) text: u64,
    /// Hash of place and text.
    pub(super) value: u64,
    /// Hash of place and kind where the value varies by itself, else as `value`.
    pub(super) kind: u64,
    /// Whether a value that varies by itself names the thing that is asked for.
    pub(super) names: Names,
    /// Whether the value was there before this call, and so was not made up for it: the recording
    /// has it, or what it is called and what the call does say so.
    pub(super) known: bool,
    pub(super) weight: Weight,
    /// Of a write: the time that it says.
    pub(super) time: Option<SaidTime>,
}

/// Where features stand and what they are, without their values: calls of one make share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FeatureSlot {
    place: u64,
    typed: bool,
    /// The kind, where it is not the value.
    kind: Option<u64>,
    names: Names,
    known: bool,
    weight: Weight,
    /// Whether a time is kept behind the texts.
    is_timed: bool,
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
                let Feature { place, text, value, kind, names, known, weight, time } = *feature;
                let typed = value != value_at(place, false, text);
                let kind = (kind != value).then_some(kind);
                let is_timed = time.is_some();
                FeatureSlot { place, typed, kind, names, known, weight, is_timed }
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
        let texts = features.iter().map(|feature| feature.text);
        let times = features.iter().filter_map(|feature| feature.time).map(SaidTime::pack);
        let values: Vec<u8> = texts.chain(times).flat_map(u64::to_le_bytes).collect();
        (layout, shelf.put(&values))
    }

    /// Nothing more is kept.
    pub(super) fn settle(&mut self) {
        self.known = FxHashMap::default();
        self.all.shrink_to_fit();
    }

    /// The features of this layout with these values.
    pub(super) fn unpack<'f>(&'f self, layout: u32, values: &'f [u8]) -> PackedFeatures<'f> {
        PackedFeatures { slots: &self.all[layout as usize], texts: values.as_chunks().0 }
    }
}

/// The features of a recorded call, sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedFeatures<'f> {
    slots: &'f [FeatureSlot],
    /// … with the times behind the texts.
    texts: &'f [[u8; 8]],
}

impl PackedFeatures<'_> {
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<Feature> {
        let slot = self.slots.get(index)?;
        let text = u64::from_le_bytes(*self.texts.get(index)?);
        let FeatureSlot { place, typed, kind, names, known, weight, is_timed } = *slot;
        let value = value_at(place, typed, text);
        let time = if is_timed { self.time(index) } else { None };
        let kind = kind.unwrap_or(value);
        Some(Feature { place, text, value, kind, names, known, weight, time })
    }

    fn time(&self, index: usize) -> Option<SaidTime> {
        let before = self.slots[..index].iter().filter(|slot| slot.is_timed).count();
        let packed = self.texts.get(self.slots.len() + before)?;
        Some(SaidTime::unpack(u64::from_le_bytes(*packed)))
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
    /// Whether it only reads.
    pub(super) reads: bool,
    /// When it is made.
    pub(super) at: Timestamp,
}

/// What is known of the places of all calls.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) rules: &'a FeatureRules,
    pub(super) drawn: &'a Drawn,
    pub(super) told: &'a ToldNumbers,
    /// Which header fields and cookies of the scope's calls say what is asked for.
    pub(super) context: &'a ContextNames,
    /// Names host and route of the call.
    pub(super) scope: u64,
}

/// Hashes of the values that name something (an order, a cart, a customer), wherever they stand;
/// sorted.
pub(super) fn names(target: &[u8], headers: &Headers, content: Content<'_>) -> Box<[u64]> {
    names_and_times(target, headers, content).0
}

/// The same, and the times that it says.
pub(super) fn names_and_times(
    target: &[u8],
    headers: &Headers,
    content: Content<'_>,
) -> (Box<[u64]>, Vec<SaidTime>) {
    let (mut names, mut times) = (Vec::new(), Vec::new());
    let at = Timestamp::default();
    let subject = Subject { route: "", target, headers, content, reads: false, at };
    walk(&subject, &FeatureRules::default(), &mut |_, value| {
        let names_one = match kind_of(value) {
            Some(kind) if kind.is_time() => {
                times.extend(SaidTime::of(kind, value.text));
                false
            }
            Some(_) => true,
            None => is_identifier(value.text),
        };
        if names_one {
            names.push(text_hash(value.text));
        }
    });
    names.sort_unstable();
    names.dedup();
    (names.into_boxed_slice(), times)
}

/// The features of a request, sorted, with its two keys: over the values, and over values by kind.
pub(super) struct TakenFeatures {
    pub(super) features: Vec<Feature>,
    pub(super) exact: u64,
    pub(super) by_kind: u64,
    /// Names the condition under which it asks (`If-None-Match` and its like); none where it asks
    /// without one.
    pub(super) condition: Option<u64>,
    /// What its own header fields and cookies say, where the recording shows that they matter.
    pub(super) context: Option<Context>,
}

/// What the header fields and cookies of a call say that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    key: u64,
    /// Whether it has all of them.
    pub(super) is_whole: bool,
}

impl TakenFeatures {
    /// A key of its, for calls that say the same in their header fields and cookies.
    pub(super) fn in_context(&self, key: u64) -> Option<u64> {
        let context = self.context?;
        Some(hash(key, 6, &context.key.to_le_bytes()))
    }

    /// Its two keys where it is compared with calls that were answered by their condition.
    pub(super) fn conditional(&self) -> Option<[u64; 2]> {
        let condition = self.condition?;
        Some([self.exact, self.by_kind].map(|key| hash(key, 5, &condition.to_le_bytes())))
    }
}

/// Tells the texts of a request whose places are to be judged, and its numbers, of which `is_told`
/// says whether v1 told them to its client.
pub(super) fn sample(
    subject: &Subject<'_>,
    rules: &FeatureRules,
    scope: u64,
    samples: (&mut DrawnSamples, &mut ToldSamples),
    is_told: impl Fn(u64) -> bool,
) {
    walk(subject, rules, &mut |at, value| {
        let place = drawn_at(scope, at);
        if matches!(value.form, Form::Text | Form::Key) {
            samples.0.add(place, value.text);
        }
        if matches!(value.form, Form::Text | Form::Bare) {
            samples.1.add(place, value.text, told::names_one(at), &is_told);
        }
    });
}

/// Hashes of the numbers that a message says where one names something, or anywhere; sorted.
pub(super) fn numbers(
    target: &[u8],
    headers: &Headers,
    content: Content<'_>,
    anywhere: bool,
) -> Vec<u64> {
    let mut found = Vec::new();
    let at = Timestamp::default();
    let subject = Subject { route: "", target, headers, content, reads: false, at };
    walk(&subject, &FeatureRules::default(), &mut |at, value| {
        if anywhere || told::names_one(at) {
            let whole = |part: &str| anywhere || part.len() == value.text.len();
            let parts = told::numbers(value.text).filter(|(.., part)| whole(part));
            found.extend(parts.map(|(.., part)| text_hash(part)));
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

/// Names a place among those that may have values that are drawn.
fn drawn_at(scope: u64, at: &Trail<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (scope, at.general()).hash(&mut hasher);
    hasher.finish()
}

/// Takes a request apart; its scope is part of the keys.
pub(super) fn take(subject: &Subject<'_>, known: Known<'_>) -> TakenFeatures {
    let Known { rules, scope, .. } = known;
    let anew = MadeAnew::of(subject);
    let asked = naming::Asked { route: subject.route, reads: subject.reads, at: subject.at };
    let mut features = Vec::with_capacity(16);
    walk(subject, rules, &mut |at, value| {
        let plain = plain_text(value);
        let text = text_hash(&plain);
        let typed = value.form != Form::Text;
        let hashed = value_at(at.hash(), typed, text);
        let family = family(at, value, known, anew);
        let weight = match family {
            Some(_) => Weight::Volatile,
            None if is_identifier(&plain) => Weight::Identifier,
            None => Weight::Plain,
        };
        let kind = family.unwrap_or_else(|| match value.form {
            // Below a fresh name the place is another one each time.
            Form::Key => hashed,
            _ if at.varies() => value_at(at.general(), typed, text),
            _ => hashed,
        });
        let may_name = weight == Weight::Volatile
            && !rules.volatile.iter().any(|pattern| pattern.covers(at))
            && !anew.covers(at);
        let (names, known, time) =
            if may_name { told_of(asked, at, value) } else { (Names::No, false, None) };
        let place = at.hash();
        features.push(Feature { place, text, value: hashed, kind, names, known, weight, time });
    });
    let context = context_of(subject, known, &mut features);
    features.sort_unstable_by_key(|feature| (feature.place, feature.value));
    let (mut exact, mut by_kind) = (DefaultHasher::new(), DefaultHasher::new());
    scope.hash(&mut exact);
    scope.hash(&mut by_kind);
    let counted = || features.iter().filter(|feature| feature.weight != Weight::Context);
    for feature in counted() {
        feature.value.hash(&mut exact);
    }
    // Fresh names of members stand in another order each time.
    let mut kinds: Vec<u64> = counted().map(|feature| feature.kind).collect();
    kinds.sort_unstable();
    kinds.hash(&mut by_kind);
    TakenFeatures {
        exact: exact.finish(),
        by_kind: by_kind.finish(),
        features,
        condition: condition(subject.headers),
        context,
    }
}

/// Of a value that varies by itself: whether it names something, whether that is there without the
/// call, and the time that it says.
fn told_of(
    asked: naming::Asked<'_>,
    at: &Trail<'_>,
    value: Value<'_>,
) -> (Names, bool, Option<SaidTime>) {
    let (text, kind) = telling(value);
    let names = naming::names_by(asked, at, text, kind);
    if let Some(kind) = kind.filter(|kind| !asked.reads && kind.is_time() && names <= Names::Time) {
        let time = SaidTime::of(kind, text);
        return (time.map_or(Names::No, |_| names), false, time);
    }
    let exists = !asked.reads && names >= Names::Value && naming::exists(asked, at, text, kind);
    (names, exists, None)
}

/// Adds the header fields and cookies that matter to the features.
fn context_of(
    subject: &Subject<'_>,
    known: Known<'_>,
    features: &mut Vec<Feature>,
) -> Option<Context> {
    let names = known.context;
    if names.is_empty() {
        return None;
    }
    let from = features.len();
    names.walk(subject.headers, &mut |at, value| {
        // That it is lacking is a value that no field has.
        let (place, text) = (at.hash(), value.map_or(0, text_hash));
        let value = value_at(place, value.is_none(), text);
        let (kind, weight, names) = (value, Weight::Context, Names::No);
        let (known, time) = (false, None);
        features.push(Feature { place, text, value, kind, names, known, weight, time });
    });
    let own = &mut features[from..];
    own.sort_unstable_by_key(|feature| (feature.place, feature.text));
    let mut hasher = DefaultHasher::new();
    own.iter().for_each(|feature| feature.value.hash(&mut hasher));
    let mut places: Vec<u64> = own.iter().map(|feature| feature.place).collect();
    places.dedup();
    Some(Context { key: hasher.finish(), is_whole: places.len() == names.len() })
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
pub(super) fn describe(subject: &Subject<'_>, known: Known<'_>) -> Vec<Described> {
    let mut all = Vec::new();
    let anew = MadeAnew::of(subject);
    walk(subject, known.rules, &mut |at, value| {
        all.push(Described {
            place: at.to_string(),
            at: at.hash(),
            value: plain_text(value).into_owned(),
            typed: value.form != Form::Text,
            family: family(at, value, known, anew),
            context: false,
            lacks: false,
        });
    });
    known.context.walk(subject.headers, &mut |at, text| {
        let (place, lacks) = (at.to_string(), text.is_none());
        let value = text.unwrap_or_default().to_owned();
        let (at, typed, family) = (at.hash(), false, None);
        all.push(Described { place, at, value, typed, family, context: true, lacks });
    });
    all.sort();
    all
}

/// A place with its value in text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Described {
    pub(super) place: String,
    /// Hash of the place.
    pub(super) at: u64,
    pub(super) value: String,
    /// Whether the value is a number, a truth value or null of JSON, rather than a text.
    pub(super) typed: bool,
    /// Equal for values of one kind at one place, where they vary by themselves.
    pub(super) family: Option<u64>,
    /// Whether it counts only where both calls have it.
    pub(super) context: bool,
    /// Whether it is not there, though it tells calls apart.
    pub(super) lacks: bool,
}

/// A value as it is compared: `1.0` and `1` are one number, and a document of GraphQL says the same
/// however it is laid out.
fn plain_text(value: Value<'_>) -> Cow<'_, str> {
    let text = value.text;
    if value.form == Form::Text && is_graphql(text) {
        return Cow::Owned(without_layout(text));
    }
    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
    if value.form != Form::Bare || whole {
        return Cow::Borrowed(text);
    }
    Decimal::parse(text).map_or(Cow::Borrowed(text), |number| Cow::Owned(number.to_string()))
}

/// Whether a text is a document of GraphQL.
fn is_graphql(text: &str) -> bool {
    const STARTS: [&str; 5] = ["{", "query", "mutation", "subscription", "fragment"];
    let start = text.trim_start();
    STARTS.iter().any(|word| start.starts_with(word))
        && text.trim_end().ends_with('}')
        && start[start.find('{').unwrap_or(0) + 1..]
            .trim_start()
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.'))
}

/// A document of GraphQL without what means nothing in it: blanks, line ends, commas and comments
/// outside of strings (its specification, §2.1).
fn without_layout(text: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut parted = false;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => string_length(rest),
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        if c == '#' || c == ',' || c == '\u{feff}' || c.is_ascii_whitespace() {
            parted = true;
            continue;
        }
        // Two names need something between them.
        if std::mem::take(&mut parted) && is_name(c) && out.ends_with(is_name) {
            out.push(' ');
        }
        out.push_str(part);
    }
    out
}

/// The length of the string at the start of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let (quote, escape) =
        if text.starts_with("\"\"\"") { ("\"\"\"", "\\\"\"\"") } else { ("\"", "\\\"") };
    let mut at = quote.len();
    loop {
        let rest = &text[at..];
        let Some(end) = rest.find(['"', '\\']) else { return text.len() };
        let here = &rest[end..];
        at += end;
        if here.starts_with(quote) {
            return at + quote.len();
        }
        at += match here {
            here if here.starts_with(escape) => escape.len(),
            // An escaped backslash is no start of another escape.
            here if here.starts_with("\\\\") && quote.len() == 1 => 2,
            _ => 1,
        };
    }
}

/// What the value's place and kind have in common with those that may stand there as well; none
/// for a value that must be equal.
fn family(at: &Trail<'_>, value: Value<'_>, known: Known<'_>, anew: MadeAnew) -> Option<u64> {
    let Known { rules, drawn, told, scope, .. } = known;
    // Below a fresh name places are other ones each time.
    let place = if at.varies() { at.general() } else { at.hash() };
    if !rules.volatile.is_empty() && rules.volatile.iter().any(|pattern| pattern.covers(at)) {
        return Some(hash(place, 3, b""));
    }
    if anew.covers(at) {
        return Some(hash(place, 3, b""));
    }
    if naming::is_document(at) {
        return None;
    }
    let is_text = matches!(value.form, Form::Text | Form::Key);
    // All values of a place tell more than one does.
    let judged = drawn_at(scope, at);
    let drawn = if is_text { drawn.in_text(judged, value.text) } else { 0 };
    if !told.is_empty() && told.is_whole(judged, value.text) {
        return Some(hash(place, 4, b""));
    }
    match kind_of(value).filter(|_| drawn == 0) {
        Some(kind) => Some(of_kind(place, kind)),
        None if is_text => mixed(place, value.text, drawn, (told, judged)),
        None => None,
    }
}

/// What a call makes anew each time, whatever it looks like.
#[derive(Clone, Copy)]
struct MadeAnew {
    /// The segments of the path that are its day, from … to before.
    dated: [usize; 2],
    /// The numbers of JSON-RPC.
    numbered: bool,
    /// The signature of its target, and what is signed with it: until when it holds.
    signed: bool,
}

impl MadeAnew {
    fn of(subject: &Subject<'_>) -> Self {
        Self {
            dated: dated(subject),
            numbered: is_numbered(subject.content),
            signed: naming::is_signed(path_and_query(subject.target).1),
        }
    }

    fn covers(self, at: &Trail<'_>) -> bool {
        let [from, to] = self.dated;
        let is_dated = matches!(*at.last(), Step::Segment(at) if (from..to).contains(&at));
        is_dated && at.before().is_none()
            || self.numbered && is_number(at)
            || self.signed && naming::is_of_signature(at)
    }
}

/// The segments of a path that say on which day, perhaps in which hour, the call is made:
/// `/2026/11/28/18`, `/year=2026/month=11/day=28`.
fn dated(subject: &Subject<'_>) -> [usize; 2] {
    let path = std::str::from_utf8(path_and_query(subject.target).0).unwrap_or_default();
    let mut segments = path.split('/').map(|segment| match segment.split_once('=') {
        Some((name, value)) if name.bytes().all(|byte| byte.is_ascii_alphabetic()) => value,
        _ => segment,
    });
    let is_day = |date: &str| naming::is_fresh(ValueKind::Date, date, subject.at);
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut at = 0;
    while let Some(year) = segments.next() {
        let mut ahead = segments.clone();
        at += 1;
        if is_number(year, 4)
            && let Some(month) = ahead.next().filter(|text| is_number(text, 2))
            && let Some(day) = ahead.next().filter(|text| is_number(text, 2))
            && is_day(&format!("{year}-{month}-{day}"))
        {
            let hour = ahead.next().is_some_and(|text| is_number(text, 2) && text < "24");
            return [at - 1, at + 2 + usize::from(hour)];
        }
    }
    [0; 2]
}

/// Whether a body is of JSON-RPC, whose clients number their calls.
fn is_numbered(content: Content<'_>) -> bool {
    matches!(content, Content::Whole(body) if memchr::memmem::find(body, b"\"jsonrpc\"").is_some())
}

/// Whether a place is the number of a call of JSON-RPC, alone or in a batch.
fn is_number(at: &Trail<'_>) -> bool {
    let Some(before) = at.before() else { return false };
    let root = |trail: &Trail<'_>| *trail.last() == Step::Root && trail.before().is_none();
    let in_batch = || matches!(before.last(), Step::Index(_)) && before.before().is_some_and(root);
    matches!(at.last(), Step::Name(name) if name == "id") && (root(before) || in_batch())
}

/// The family of a text that is made of fixed parts and values that vary by themselves: an object's
/// key with a UUID in it, `urn:uuid:…`, a line with a time. None where no part varies. `drawn` are
/// those that are known to be drawn at random, a bit each; `told` where v1 tells numbers.
fn mixed(place: u64, text: &str, drawn: u32, (told, judged): (&ToldNumbers, u64)) -> Option<u64> {
    /// Shortest part that varies by itself, and longest text that is looked at, in bytes.
    const SHORTEST: usize = 8;
    const LONGEST: usize = 16 << 10;
    let shortest = if told.is_empty() { SHORTEST } else { 1 };
    if !(shortest..=LONGEST).contains(&text.len()) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    let (mut varies, long) = (false, text.len() >= SHORTEST);
    for (at, token) in tokens(text).enumerate() {
        let part = token.text();
        if told.has(judged, at, 0, part) {
            varies = true;
            (3, at).hash(&mut hasher);
            continue;
        }
        if u32::try_from(at).is_ok_and(|at| drawn.checked_shr(at).unwrap_or(0) & 1 == 1) {
            varies = true;
            (2, at).hash(&mut hasher);
            continue;
        }
        let kind = match token {
            Token::Mark(_) => None,
            Token::Value(_) | Token::Chunk(_) => varying(part).filter(|_| long),
        };
        let mut add = |part: &str, kind: Option<ValueKind>| match kind {
            Some(kind) => {
                varies = true;
                (1, discriminant(&kind)).hash(&mut hasher);
            }
            None => (0, part).hash(&mut hasher),
        };
        match token {
            Token::Chunk(_) if kind.is_none() => {
                if let Some((head, number)) = numbered(part) {
                    add(head, varying(head));
                    add(number, None);
                } else {
                    for (run, number) in runs(part).zip(1..) {
                        if told.has(judged, at, number, run.text()) {
                            add("", Some(ValueKind::Position));
                        } else {
                            add(run.text(), epoch(run));
                        }
                    }
                }
            }
            _ => add(part, kind),
        }
    }
    varies.then(|| hasher.finish())
}

/// Takes a short number off a value that is drawn: `8Vq…_200` is another one in another size. That
/// such a value ends so by itself happens once in two thousand times.
fn numbered(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind(['-', '_'])?;
    let (head, number) = text.split_at(at);
    let is_short = (3..=6).contains(&number.len());
    if !is_short || !number[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let drawn = match kinds::of_text(head)? {
        ValueKind::Token(_) | ValueKind::Hex(_) | ValueKind::Ulid | ValueKind::Ksuid => head,
        ValueKind::Prefixed(..) => &head[head.find(['-', '_'])? + 1..],
        _ => return None,
    };
    (!drawn.contains(['-', '_', '+', '/'])).then_some((head, number))
}

/// The kind of a run of digits that is a time.
fn epoch(run: Token<'_>) -> Option<ValueKind> {
    /// Fewer digits may count anything.
    const DIGITS: usize = 10;
    kinds::of_number(run.text()).filter(|_| run.text().len() >= DIGITS)
}

/// What of a value tells its kind, and the kind: a time in a text where nothing else varies.
fn telling<'t>(value: Value<'t>) -> (&'t str, Option<ValueKind>) {
    if let Some(kind) = kind_of(value) {
        return (value.text, Some(kind));
    }
    let mut found: Option<(&str, ValueKind)> = None;
    for token in tokens(value.text).take(MOST_PARTS) {
        let own = if matches!(token, Token::Mark(_)) { None } else { varying(token.text()) };
        let split = own.is_none() && matches!(token, Token::Chunk(_));
        let within = runs(if split { token.text() } else { "" });
        let within = within.filter_map(|run| Some((run.text(), epoch(run)?)));
        for part in own.map(|kind| (token.text(), kind)).into_iter().chain(within) {
            if found.replace(part).is_some() {
                return (value.text, None);
            }
        }
    }
    match found {
        Some((text, kind)) if kind.is_time() => (text, Some(kind)),
        _ => (value.text, None),
    }
}

/// Most parts of a text that are looked at for one that tells its kind.
const MOST_PARTS: usize = 64;

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
        ValueKind::Token(_) | ValueKind::Prefixed(..) if numbered(text).is_some() => true,
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
    if memchr::memchr(b';', subject.target).is_some() {
        walk.segment_parameters(subject.target);
    }
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
        let value = Value {
            text: &text,
            form: Form::Digest,
            encoding: Default::default(),
            label: None,
            kind: None,
        };
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
mod tests;
