//! Documents inside values: JSON that stands in a string, an attribute, a form field, a cookie or
//! an event, as it is, percent-encoded, in base64, in a `data:` URI, or as the claims of a token.
//!
//! Such a document is compared by structure, like any other. Its places begin with the place of the
//! value and a blank: `$.args $.items[0].id`.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::change::{Change, Context, Differ, SeenChange, Sink, kind_of, mix, shown_below};
use super::nouns::Named;
use super::rules::RuleVerdict;
use super::{Kind, json, nouns, parts, query};
use crate::message::json::code;
use crate::message::kinds;
use crate::message::signed::{Payload, Signed};
use crate::message::tokens::{Token, tokens};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Documents inside documents that are opened, one in another.
const MAX_DEPTH: usize = 3;

/// Where a document stands that is a value itself.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// The value's place, and its general one.
    pub(super) place: String,
    pub(super) general: String,
    /// The hash of the general place.
    pub(super) hash: u64,
    /// What changes in it are.
    pub(super) kind: Kind,
    /// What the value and all around it are called: secrets are known by their names.
    pub(super) names: Vec<String>,
    pub(super) depth: usize,
}

impl Base {
    /// The base of a value at a place without structure.
    pub(super) fn plain(kind: Kind, place: &str, name: &str) -> Self {
        Self {
            place: place.to_owned(),
            general: place.to_owned(),
            hash: super::change::hash_place(place),
            kind,
            names: vec![name.to_owned()],
            depth: 0,
        }
    }

    /// The base of a part of the value that is called so.
    fn below(&self, name: &str) -> Self {
        Self {
            place: format!("{} {name}", self.place),
            general: format!("{} {name}", self.general),
            hash: mix(self.hash, name.as_bytes()),
            kind: self.kind,
            names: self.names.clone(),
            depth: self.depth + 1,
        }
    }

    /// The hash of the document's root.
    pub(super) fn root_hash(&self) -> u64 {
        mix(self.hash, b" $")
    }

    /// Whether a rule takes the values here.
    pub(super) fn is_ruled(
        &self,
        context: &Context<'_>,
        [a, b]: [Option<&str>; 2],
        sink: &mut Sink,
    ) -> bool {
        let RuleVerdict::Taken(rule) = context.rules.judge_place(&self.general, a, b) else {
            return false;
        };
        sink.ruled.push(rule);
        true
    }

    /// Reports two values here that are not written alike, unless v2's stands for v1's; `things`
    /// tells what they may name.
    pub(super) fn told(
        &self,
        context: &Context<'_>,
        [a, b]: [Option<&str>; 2],
        things: impl FnOnce() -> Named,
        sink: &mut Sink,
    ) {
        let (label, seen) = match (a, b) {
            (Some(a), Some(b)) => match context.differ(a, b, false, things) {
                Differ::Not => return sink.twins.push(self.hash),
                Differ::Identity(label) => (label, SeenChange::PLAIN),
                Differ::So(seen) => ("changed", seen),
            },
            (Some(_), None) => ("removed", SeenChange::PLAIN),
            _ => ("added", SeenChange::PLAIN),
        };
        sink.saw(self.hash);
        let names = || self.names.iter().map(String::as_str);
        let shown =
            |value: Option<&str>| value.map(|value| shown_below(context.masker, names(), value));
        sink.add(Change {
            kind: kind_of(label, self.kind),
            place: self.place.clone(),
            general: self.general.clone(),
            place_hash: self.hash,
            label: Cow::Borrowed(label),
            expected: shown(a),
            actual: shown(b),
            look: seen.look,
            parts: seen.parts,
            numbers: seen.numbers,
        });
    }

    /// The same, unless a rule takes them.
    pub(super) fn value(
        &self,
        context: &Context<'_>,
        both: [Option<&str>; 2],
        things: impl FnOnce() -> Named,
        sink: &mut Sink,
    ) {
        if !self.is_ruled(context, both, sink) {
            self.told(context, both, things, sink);
        }
    }
}

/// Compares the documents that two values hold; false where one of them holds none.
pub(super) fn compare(
    context: &Context<'_>,
    base: &Base,
    expected: &str,
    actual: &str,
    sink: &mut Sink,
) -> bool {
    if base.depth >= MAX_DEPTH {
        return false;
    }
    if let Some([a, b]) = documents(expected, actual)
        && json::compare_within(context, base, &a, &b, sink)
    {
        return true;
    }
    if let [Some(a), Some(b)] = [expected, actual].map(SignedClaims::of)
        && json::compare_within(context, base, &a.claims, &b.claims, sink)
    {
        let [a, b] = [a, b].map(|token| token.signing());
        if a != b {
            json::compare_within(context, base, &a, &b, sink);
        }
        return true;
    }
    if let [Some(a), Some(b)] = [expected, actual].map(signed_of)
        && signed(context, base, [a, b], sink)
    {
        return true;
    }
    let Some(Surrounded { documents: [a, b], around }) = surrounded(expected, actual) else {
        return query::compare(context, base, expected, actual, sink);
    };
    if !json::compare_within(context, base, a.as_bytes(), b.as_bytes(), sink) {
        return false;
    }
    if let Some([a, b]) = around {
        let things = || nouns::at(&[], context.request);
        base.value(context, [Some(&a), Some(&b)], things, sink);
    }
    true
}

/// The parts of a signed value.
fn signed_of(text: &str) -> Option<Signed<'_>> {
    kinds::is_signed(text.as_bytes()).then(|| Signed::of(text.as_bytes())).flatten()
}

/// Whether a text is a signed value that can be read.
pub(super) fn is_signed(text: &str) -> bool {
    signed_of(text).is_some_and(|signed| signed.payload().is_some())
}

/// Compares what two signed values say, and when they were signed. False where they say the same, or
/// one of them cannot be read: then they are values as others are.
fn signed(context: &Context<'_>, base: &Base, sides: [Signed<'_>; 2], sink: &mut Sink) -> bool {
    let before = (sink.changes.len(), sink.more);
    let at =
        |signed: Signed<'_>| Some(Timestamp::from_nanos(signed.at()?.checked_mul(NANOS_PER_SEC)?));
    let times = sides.map(at);
    let payloads = sides.map(Signed::payload);
    // Where a secret was hidden, other characters stand for those of the payload and the time.
    let is_plain = matches!(
        payloads[0],
        Some(Payload::Json(Cow::Borrowed(_)) | Payload::Text(Cow::Borrowed(_)))
    );
    if is_plain && !times[0].is_some_and(|at| context.is_of_last_year(at)) {
        return false;
    }
    match payloads {
        [Some(Payload::Json(a)), Some(Payload::Json(b))] => {
            if !json::compare_within(context, base, a.as_bytes(), b.as_bytes(), sink) {
                return false;
            }
        }
        [Some(Payload::Text(a)), Some(Payload::Text(b))] => {
            let inner = base.below("payload");
            if a == b {
                sink.saw(inner.hash);
            } else if !compare(context, &inner, &a, &b, sink) {
                inner.value(context, [Some(&a), Some(&b)], Named::default, sink);
            }
        }
        _ => return false,
    }
    if let [Some(a), Some(b)] = times
        && context.is_stale(a, b)
    {
        let [a, b] = [a, b].map(|at| at.to_string());
        base.below("signed_at").value(context, [Some(&a), Some(&b)], Named::default, sink);
    }
    (sink.changes.len(), sink.more) != before
}

/// Compares two texts that are documents in code, equal around them, as `callback({…});` is; false
/// where they are none.
pub(super) fn in_code(
    context: &Context<'_>,
    expected: &str,
    actual: &str,
    sink: &mut Sink,
) -> bool {
    let [Some(a), Some(b)] = [expected, actual].map(called) else { return false };
    let ((before, argument, behind), (head, other, tail)) = (a, b);
    (before, behind) == (head, tail)
        && json::compare(context, argument.as_bytes(), other.as_bytes(), sink)
}

/// What stands before the argument of a call that is a whole text, the argument, and what stands
/// behind it: JSON with padding.
fn called(text: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = text.trim_ascii().split_once('(')?;
    let (argument, tail) = rest.split_at(rest.trim_end_matches(';').trim_ascii_end().len());
    let (name, rest) = (head.strip_prefix("/**/").unwrap_or(head), argument.strip_suffix(')')?);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let begins = rest.trim_ascii_start().starts_with(['{', '[']);
    let is_call = begins && !name.is_empty() && name.chars().all(is_name);
    is_call.then_some((head, rest, tail.trim_ascii()))
}

/// Whether a value may hold a document: a cheap test.
pub(super) fn may_hold(text: &str) -> bool {
    let start = data_of(text).1.trim_ascii_start().as_bytes();
    (match start.first() {
        Some(b'{' | b'[') => true,
        Some(b'%') => start.starts_with(b"%7B") || start.starts_with(b"%5B"),
        // Braces and brackets in base64.
        Some(b'e') => matches!(start.get(1), Some(b'y' | b'w' | b'3')),
        Some(b'W') => start.len() > 2,
        _ => false,
    }) || kinds::is_signed(text.as_bytes())
}

/// Whether a text may hold a document somewhere inside, as scripts (`window.state = {…};`) and
/// lines of a log do: a cheap test.
pub(super) fn may_surround(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'{', b'[', bytes).any(|at| code::begins(&bytes[at..]))
}

/// Two texts with documents inside, taken apart.
#[derive(Debug, PartialEq)]
struct Surrounded<'t> {
    /// The one document in each, or a list of them.
    documents: [Cow<'t, str>; 2],
    /// What stands around them, with a sign for each, where it differs.
    around: Option<[String; 2]>,
}

/// Takes two texts apart that say the same around the documents in them, but for values: nonces
/// stand beside the state of a page.
fn surrounded<'t>(a: &'t str, b: &'t str) -> Option<Surrounded<'t>> {
    /// Stands for a document in what is around it; bytes of no JSON and hardly of any code.
    const DOCUMENT: &str = "{…}";
    let (left, right) = (code::documents(a), code::documents(b));
    let is_whole = left.first().is_none_or(|first| first.len() == a.len());
    if is_whole || left.len() != right.len() {
        return None;
    }
    let mut differs = None;
    if around(a, &left).ne(around(b, &right)) {
        let [a, b] = [(a, &left), (b, &right)]
            .map(|(text, documents)| around(text, documents).collect::<Vec<_>>().join(DOCUMENT));
        if !say_the_same(&a, &b) {
            return None;
        }
        differs = Some([a, b]);
    }
    let listed = |text: &'t str, documents: &[Range<usize>]| match documents {
        [one] => Cow::Borrowed(&text[one.clone()]),
        all => {
            let all: Vec<&str> = all.iter().map(|one| &text[one.clone()]).collect();
            Cow::Owned(format!("[{}]", all.join(",")))
        }
    };
    Some(Surrounded { documents: [listed(a, &left), listed(b, &right)], around: differs })
}

/// What stands before, between and behind documents.
fn around<'t>(text: &'t str, documents: &[Range<usize>]) -> impl Iterator<Item = &'t str> {
    let starts = std::iter::once(0).chain(documents.iter().map(|one| one.end));
    let ends = documents.iter().map(|one| one.start).chain([text.len()]);
    starts.zip(ends).map(|(start, end)| &text[start..end])
}

/// Whether two texts differ in nothing but values: what stands between these is equal, and where
/// one has a word, the other has one.
fn say_the_same(a: &str, b: &str) -> bool {
    if a.len().max(b.len()) > parts::LONGEST {
        return false;
    }
    fn mark(token: Token<'_>) -> Option<&str> {
        match token {
            Token::Mark(mark) => Some(mark),
            Token::Value(_) | Token::Chunk(_) => None,
        }
    }
    tokens(a).map(mark).eq(tokens(b).map(mark))
}

/// What a `data:` URI (RFC 2397) says of its data, and the data; of any other text nothing, and
/// all of it.
fn data_of(text: &str) -> (&str, &str) {
    let is_uri = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let comma = if is_uri { text.find(',') } else { None };
    text.split_at(comma.map_or(0, |at| at + 1))
}

/// What both values hold, where both hold it in the same way.
fn documents<'t>(a: &'t str, b: &'t str) -> Option<[Cow<'t, [u8]>; 2]> {
    let ((head, a), (other, b)) = (data_of(a), data_of(b));
    if head != other {
        return None;
    }
    if !may_hold(a) || !may_hold(b) {
        return None;
    }
    let plain = |text: &str| text.trim_ascii_start().starts_with(['{', '[']);
    match (plain(a), plain(b)) {
        (true, true) => Some([a.as_bytes().into(), b.as_bytes().into()]),
        (false, false) => Some([decoded(a)?.into(), decoded(b)?.into()]),
        _ => None,
    }
}

/// A JSON Web Token (RFC 7519 §3): what of it is compared. Its signature and the key's name are
/// each installation's own.
struct SignedClaims {
    head: Vec<u8>,
    claims: Vec<u8>,
    is_signed: bool,
}

impl SignedClaims {
    fn of(token: &str) -> Option<Self> {
        let (head, rest) = token.split_once('.')?;
        let (claims, signature) = rest.split_once('.')?;
        let head = Some(head).filter(|head| head.starts_with("ey")).and_then(decoded)?;
        let is_one = head.starts_with(b"{") && !signature.contains('.');
        let claims = is_one.then(|| decoded(claims))??;
        Some(Self { head, claims, is_signed: !signature.is_empty() })
    }

    /// How it is signed, if at all: as a document of its `alg` (RFC 7515 §4.1.1) and of whether it
    /// has a signature.
    fn signing(&self) -> Vec<u8> {
        let head: Option<serde_json::Value> = serde_json::from_slice(&self.head).ok();
        let alg = head.as_ref().and_then(|head| head.get("alg"));
        serde_json::json!({ "alg": alg, "signed": self.is_signed }).to_string().into_bytes()
    }
}

/// A document in percent-encoding or base64.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim_ascii();
    let bytes = if text.starts_with('%') {
        let (name, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
        name.into_owned().into_bytes()
    } else {
        let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()?
    };
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_documents_says_the_same_but_for_values() {
        let of =
            |a: &str, b: &str| surrounded(a, b).map(|both| both.documents.map(Cow::into_owned));
        let pair = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
        assert_eq!(of("s = [{\"a\":1}];", "s = [{\"a\":2}];"), pair("[{\"a\":1}]", "[{\"a\":2}]"));
        assert_eq!(
            of("f(() => {g({\"a\":1},{\"b\":2})})", "f(() => {g({\"a\":1},{\"b\":3})})"),
            pair("[{\"a\":1},{\"b\":2}]", "[{\"a\":1},{\"b\":3}]")
        );
        assert_eq!(
            of("nonce(\"cab5c15f27\"); s({\"a\":1});", "nonce(\"6ca02282f6\"); s({\"a\":2});"),
            pair("{\"a\":1}", "{\"a\":2}")
        );
        let [left, _] = surrounded("s = {\"a\":1};", "t = {\"a\":1};").unwrap().around.unwrap();
        assert_eq!(left, "s = {…};");
        assert_eq!(of("s = {\"a\":1};", "s += {\"a\":1};"), None);
        assert_eq!(of("s = {\"a\":1};", "s = {\"a\":1}; {\"b\":2}"), None);
        assert_eq!(of("} {\"", "} {\""), None);
        assert_eq!(of("{\"a\":1}", "{\"a\":1}"), None);
    }

    #[test]
    fn documents_are_known_in_each_coding_and_nothing_else_is() {
        let of = |a: &str, b: &str| {
            documents(a, b).map(|all| all.map(|one| String::from_utf8(one.into_owned()).unwrap()))
        };
        let pair = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
        assert_eq!(of("{\"a\":1}", " [2]"), pair("{\"a\":1}", " [2]"));
        assert_eq!(of("%7B%22a%22%3A1%7D", "%5B2%5D"), pair("{\"a\":1}", "[2]"));
        assert_eq!(of("eyJhIjoxfQ==", "eyJhIjoyfQ"), pair("{\"a\":1}", "{\"a\":2}"));
        assert_eq!(of("WzEsMl0", "W3siYSI6MX1d"), pair("[1,2]", "[{\"a\":1}]"));
        let uri = |data: &str| format!("data:application/json;base64,{data}");
        assert_eq!(of(&uri("WzEsMl0"), &uri("WzFd")), pair("[1,2]", "[1]"));
        assert_eq!(of("data:,%5B1%5D", "data:,%5B2%5D"), pair("[1]", "[2]"));
        assert_eq!(of(&uri("WzEsMl0"), "data:,WzFd"), None);
        let claims = |text: &str| {
            SignedClaims::of(text).map(|token| String::from_utf8(token.claims).unwrap())
        };
        let told = |text: &str| {
            SignedClaims::of(text).map(|token| String::from_utf8(token.signing()).unwrap())
        };
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
        assert_eq!(told(unsigned).as_deref(), Some(r#"{"alg":"none","signed":false}"#));
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        assert_eq!(claims(token).as_deref(), Some(r#"{"sub":"1"}"#));
        for other in
            ["eyJhIjoxfQ.aSl2mA.c2ln", "a.eyJzdWIiOiIxIn0.c2ln", "eyJhIjoxfQ.x", &token[1..]]
        {
            assert_eq!(claims(other), None, "{other}");
        }
        for (a, b) in
            [("key", "we"), ("{\"a\":1}", "eyJhIjoxfQ=="), ("{", "x"), ("Wyoming", "Wyatt")]
        {
            assert_eq!(of(a, b), None, "{a} {b}");
        }
    }
}
