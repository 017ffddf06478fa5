//! How secrets are replaced where they stand, for both that do it: the masker for readers and the
//! redactor for recordings. Since both walk by the same steps, neither can see a secret that the
//! other does not.

use std::cell::Cell;
use std::ops::Range;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use base64::{DecodeError, Engine as _};

use super::drawn;
use super::edits::Edits;
pub(super) use super::hider::Hide;
use super::names::{self, HeaderSecret};
use super::packed::PackedDocument;
use super::shapes::SecretShape;
use super::view::{View, ViewEncoding};
use super::wrapped::Wrapping;
use super::{body, json, values};
use crate::message::content;
use crate::message::packed::looks_like_php;

/// What stands in place of a value whose name says that it is secret; none where there is nothing
/// secret in it.
pub(super) fn whole(
    hide: &mut impl Hide,
    kind: HeaderSecret,
    source: &[u8],
    encoding: ViewEncoding,
) -> Option<Vec<u8>> {
    let view = View::new(source, encoding);
    let mut found = values::find(kind, &view.bytes);
    if found.is_empty() && kind.is_by_look() {
        return parts(hide, source, encoding);
    }
    if found.is_empty() && matches!(kind, HeaderSecret::Protocols | HeaderSecret::Authority) {
        found = hide.by_look(&view.bytes);
    }
    put(hide, &view, encoding, found)
}

/// The value with the secrets replaced that are known by their look, also inside of JSON that it
/// may be; none where there is none.
pub(super) fn parts<H: Hide>(
    hide: &mut H,
    source: &[u8],
    encoding: ViewEncoding,
) -> Option<Vec<u8>> {
    parts_within(hide, source, encoding, MOST_ENCODINGS)
}

/// Percent-encodings of percent-encodings that are undone.
const MOST_ENCODINGS: usize = 3;

fn parts_within<H: Hide>(
    hide: &mut H,
    source: &[u8],
    encoding: ViewEncoding,
    left: usize,
) -> Option<Vec<u8>> {
    let view = View::new(source, encoding);
    let is_percent = matches!(encoding, ViewEncoding::Percent | ViewEncoding::Form);
    if is_percent && left > 0 && is_percent_encoded(&view.bytes) {
        let new = parts_within(hide, &view.bytes, ViewEncoding::Percent, left - 1)?;
        return Some(match H::KEEPS_LENGTH {
            true => view.rewritten(new),
            false => again_encoded(&new),
        });
    }
    let is_document = body::looks_like_document(&view.bytes)
        || !matches!(encoding, ViewEncoding::Plain | ViewEncoding::Bare)
            && body::looks_like_markup(&view.bytes)
        || looks_like_php(&view.bytes);
    let found = if is_document {
        vec![(0..view.bytes.len(), SecretShape::Document)]
    } else {
        hide.by_look(&view.bytes)
    };
    put(hide, &view, encoding, found)
}

/// Whether a decoded value is percent-encoded once more: quotes, braces, points of tokens and signs
/// between pairs are.
fn is_percent_encoded(value: &[u8]) -> bool {
    let signs: [&[u8]; 8] = [b"%22", b"%3D", b"%3d", b"%7B", b"%7b", b"%25", b"%2E", b"%2e"];
    memchr::memchr_iter(b'%', value)
        .any(|at| value.get(at..at + 3).is_some_and(|sign| signs.contains(&sign)))
}

/// A value with each percent sign written as an escape.
fn again_encoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 16);
    for &byte in value {
        match byte {
            b'%' => out.extend_from_slice(b"%25"),
            _ => out.push(byte),
        }
    }
    out
}

/// A value with what `inner` makes of what it says.
pub(super) fn within<H: Hide>(
    hide: &mut H,
    source: &[u8],
    encoding: ViewEncoding,
    inner: impl FnOnce(&mut H, &[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let view = View::new(source, encoding);
    let new = inner(hide, &view.bytes)?;
    Some(instead_of::<H>(&view, new, encoding, SecretShape::Document))
}

/// What stands in place of all of a view.
fn instead_of<H: Hide>(
    view: &View<'_>,
    new: Vec<u8>,
    encoding: ViewEncoding,
    shape: SecretShape,
) -> Vec<u8> {
    match H::KEEPS_LENGTH {
        true => view.rewritten(new),
        false => fitted(new, view.source(), encoding, shape),
    }
}

/// As [`parts`], of a text that is no JSON.
pub(super) fn looks(hide: &mut impl Hide, source: &[u8]) -> Option<Vec<u8>> {
    let found = hide.by_look(source);
    put(hide, &View::new(source, ViewEncoding::Plain), ViewEncoding::Plain, found)
}

/// The source of a view with what was found replaced.
fn put<H: Hide>(
    hide: &mut H,
    view: &View<'_>,
    encoding: ViewEncoding,
    found: Vec<(Range<usize>, SecretShape)>,
) -> Option<Vec<u8>> {
    if found.is_empty() {
        return None;
    }
    if let [(range, shape)] = &found[..]
        && range.len() == view.bytes.len()
    {
        let new = replaced(hide, &view.bytes, view.source(), *shape)?;
        return Some(instead_of::<H>(view, new, encoding, *shape));
    }
    let mut edits = Edits::new(if H::KEEPS_LENGTH { &view.bytes } else { view.source() });
    for (range, shape) in found {
        // Where two overlap, what hangs over is another.
        let written = view.source_range(&range);
        let place = if H::KEEPS_LENGTH { range.clone() } else { written.clone() };
        let Some(place) = edits.free(place) else { continue };
        let range = if H::KEEPS_LENGTH { place.clone() } else { range };
        let source = &view.source()[written];
        let mut new = replaced(hide, &view.bytes[range], source, shape);
        if !H::KEEPS_LENGTH {
            new = new.map(|new| fitted(new, source, encoding, shape));
        }
        edits.put(&place, new);
    }
    let new = edits.finish()?;
    Some(if H::KEEPS_LENGTH { view.rewritten(new) } else { new })
}

fn replaced(
    hide: &mut impl Hide,
    value: &[u8],
    source: &[u8],
    shape: SecretShape,
) -> Option<Vec<u8>> {
    match shape {
        SecretShape::Parameter => inner(hide, value, ViewEncoding::Form),
        SecretShape::Cookie => inner(hide, value, ViewEncoding::Percent),
        SecretShape::Basic => basic(hide, value, source),
        SecretShape::Base64 => base64(hide, value),
        SecretShape::Document => body::document(hide, value),
        _ => hide.hidden(value, source),
    }
}

/// A secret that is percent-encoded inside of what it was found in.
fn inner<H: Hide>(hide: &mut H, value: &[u8], encoding: ViewEncoding) -> Option<Vec<u8>> {
    let view = View::new(value, encoding);
    let new = hide.hidden(&view.bytes, value)?;
    Some(if H::KEEPS_LENGTH { view.rewritten(new) } else { new })
}

/// User and password have the tokens that they have elsewhere.
fn basic<H: Hide>(hide: &mut H, credentials: &[u8], source: &[u8]) -> Option<Vec<u8>> {
    let pair = values::basic(credentials);
    if let Some((pair, colon)) = pair.as_ref().filter(|_| !H::KEEPS_LENGTH) {
        hide.noticed(&pair[colon + 1..]);
    }
    let pair = pair.filter(|_| H::KEEPS_LENGTH);
    let Some((pair, colon)) = pair else { return hide.hidden(credentials, source) };
    let (user, password) = (&pair[..colon], &pair[colon + 1..]);
    let mut new = hide.hidden(user, user).unwrap_or_default();
    new.push(b':');
    new.extend(hide.hidden(password, password).unwrap_or_default());
    Some(STANDARD.encode(new).into_bytes())
}

/// A document in base64: written again in the same alphabet where it holds a secret.
fn base64<H: Hide>(hide: &mut H, text: &[u8]) -> Option<Vec<u8>> {
    let is_url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let padded = text.ends_with(b"=");
    let engine = match (is_url, padded) {
        (false, true) => &STANDARD,
        (false, false) => &STANDARD_NO_PAD,
        (true, true) => &URL_SAFE,
        (true, false) => &URL_SAFE_NO_PAD,
    };
    let decoded = engine.decode(text).or_else(|error| match error {
        // One sign too many, where a text was cut.
        DecodeError::InvalidLength(length) => engine.decode(&text[..length / 4 * 4]),
        error => Err(error),
    });
    let decoded = decoded.ok()?;
    let new = if std::str::from_utf8(&decoded).is_ok() {
        body::document(hide, &decoded)?
    } else if let Some(document) = PackedDocument::of(&decoded, b"") {
        body::packed(hide, &document)?
    } else {
        // What is compressed anew may be longer: it is hidden as a whole.
        return compressed(hide, &decoded).then(|| hide.hidden(text, text)).flatten();
    };
    let new = engine.encode(new).into_bytes();
    let rest = text.get(new.len()..).unwrap_or_default();
    Some([&new, rest].concat())
}

thread_local! {
    /// Whether a compressed value is being looked into.
    static INFLATED: Cell<bool> = const { Cell::new(false) };
}

/// Most bytes that come out of one byte of a compressed value; more cannot be looked into.
const EXPANSION: usize = 16;
/// And what is let come out of the smallest, in bytes.
const LEAST_EXPANSION: usize = 4 << 10;

/// Whether there is a secret in a compressed value. One inside of another is not looked into, as
/// they may be nested without end.
fn compressed(hide: &mut impl Hide, value: &[u8]) -> bool {
    let Some(coding) = Wrapping::of(value, b"").and_then(Wrapping::coding) else { return false };
    if INFLATED.replace(true) {
        return false;
    }
    let most = value.len() * EXPANSION + LEAST_EXPANSION;
    let inner = content::decode(value, [coding].into_iter(), most);
    let is_secret = inner.is_ok_and(|inner| body::document(hide, &inner).is_some());
    INFLATED.set(false);
    is_secret
}

/// A mask, written so that what surrounds it can still be read.
fn fitted(new: Vec<u8>, source: &[u8], encoding: ViewEncoding, shape: SecretShape) -> Vec<u8> {
    match (encoding, shape) {
        (ViewEncoding::Bare, _) if matches!(source.first(), Some(b'-' | b'0'..=b'9')) => {
            [b"\"", &new[..], b"\""].concat()
        }
        (ViewEncoding::Json, SecretShape::Document | SecretShape::Base64) => {
            let mut out = Vec::with_capacity(new.len());
            for byte in new {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                match byte {
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\t' => out.extend_from_slice(b"\\t"),
                    _ => out.push(byte),
                }
            }
            out
        }
        (ViewEncoding::Markup, SecretShape::Document | SecretShape::Base64) => {
            let mut out = Vec::with_capacity(new.len());
            for byte in new {
                match byte {
                    b'"' => out.extend_from_slice(b"&quot;"),
                    b'&' => out.extend_from_slice(b"&amp;"),
                    b'<' => out.extend_from_slice(b"&lt;"),
                    _ => out.push(byte),
                }
            }
            out
        }
        (ViewEncoding::Form | ViewEncoding::Percent, SecretShape::Document) => {
            let mut out = Vec::with_capacity(new.len());
            for byte in new {
                match byte {
                    b'&' | b'%' | b'#' | b'+' | b';' => {
                        out.extend_from_slice(format!("%{byte:02X}").as_bytes());
                    }
                    _ => out.push(byte),
                }
            }
            out
        }
        _ => new,
    }
}

/// What the names of `name=value` pairs are.
#[derive(Clone, Copy)]
pub(super) enum PairKind {
    /// Parameters of a query.
    Query,
    /// Fields of a form.
    Form,
}

/// Whether a value is nothing but a URL or a target with parameters; in any other text they are
/// found by their look.
pub(super) fn is_url(value: &[u8]) -> bool {
    let inside = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'"');
    memchr::memchr2(b'?', b'#', value).is_some()
        && (matches!(value.first(), Some(b'/' | b'?' | b'#' | b'.'))
            || memchr::memmem::find(value, b"://").is_some())
        && !value.iter().any(inside)
}

/// A request target or URL: by the names in its query, and in its fragment, where OAuth's implicit
/// flow puts tokens (RFC 6749 §4.2.2); by the look of what stands elsewhere.
pub(super) fn target(hide: &mut impl Hide, target: &[u8]) -> Option<Vec<u8>> {
    let mut edits = Edits::new(target);
    let fragment = memchr::memchr(b'#', target).unwrap_or(target.len());
    let query = memchr::memchr(b'?', &target[..fragment]).unwrap_or(fragment);
    edits.put(&(0..query), parts(hide, &target[..query], ViewEncoding::Percent));
    if query < fragment {
        let range = query + 1..fragment;
        edits.put(&range, pairs(hide, &target[range.clone()], PairKind::Query));
    }
    if fragment < target.len() {
        // Routes of pages: `#/callback?access_token=…`.
        let mut from = fragment + 1;
        if let Some(mark) = memchr::memchr(b'?', &target[from..]) {
            let route = from..from + mark;
            edits.put(&route, parts(hide, &target[route.clone()], ViewEncoding::Percent));
            from += mark + 1;
        }
        let range = from..target.len();
        edits.put(&range, pairs(hide, &target[range.clone()], PairKind::Query));
    }
    edits.finish()
}

/// `name=value&name=value`
pub(super) fn pairs(hide: &mut impl Hide, form: &[u8], kind: PairKind) -> Option<Vec<u8>> {
    // What OAuth's token requests send (RFC 6749 §4.1.3) has the names of its redirects.
    let is_grant = memchr::memmem::find(form, b"grant_type").is_some() || is_form_post(form);
    let variables = graphql_variables(hide, form);
    let mut named = NamedBefore::default();
    let mut edits = Edits::new(form);
    let mut from = 0;
    for pair in form.split(|&byte| byte == b'&') {
        let range = from..from + pair.len();
        from = range.end + 1;
        let Some(equals) = memchr::memchr(b'=', pair) else {
            edits.put(&range, parts(hide, pair, ViewEncoding::Form));
            continue;
        };
        let value = &pair[equals + 1..];
        let name = name_of_pair(&pair[..equals]);
        let secret = match kind {
            PairKind::Form if !is_grant => hide.form_field(&name),
            PairKind::Form => hide.form_field(&name).or_else(|| hide.parameter(&name)),
            PairKind::Query => hide.parameter(&name),
        };
        let secret = secret.or_else(|| named.value(hide, &name, value, ViewEncoding::Form));
        let new = match secret {
            Some(kind) => whole(hide, kind, value, ViewEncoding::Form),
            None if name == "variables" && !variables.is_empty() => {
                within(hide, value, ViewEncoding::Form, |hide, inner| {
                    json::redact_variables(hide, inner, variables.clone())
                })
            }
            None => parts(hide, value, ViewEncoding::Form),
        };
        edits.put(&(range.start + equals + 1..range.end), new);
    }
    edits.finish()
}

/// Whether it is what a server has a browser send back after a login (`response_mode=form_post`):
/// a code and a state that looks drawn, or has beside it what else such an answer has.
fn is_form_post(form: &[u8]) -> bool {
    const BESIDE: [&[u8]; 3] = [b"session_state", b"iss", b"id_token"];
    let (mut has_code, mut has_state, mut is_certain) = (false, false, false);
    for pair in form.split(|&byte| byte == b'&') {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
        has_code |= name == b"code";
        is_certain |= BESIDE.contains(&name);
        if name == b"state" {
            has_state = true;
            is_certain |= drawn::as_value(&View::new(value, ViewEncoding::Form).bytes);
        }
    }
    has_code && has_state && is_certain
}

/// The name of a pair, which may be encoded several times.
fn name_of_pair(source: &[u8]) -> String {
    let mut name = View::new(source, ViewEncoding::Form).bytes.into_owned();
    for _ in 1..MOST_ENCODINGS {
        let view = View::new(&name, ViewEncoding::Percent);
        if !view.is_encoded() {
            break;
        }
        name = view.bytes.into_owned();
    }
    String::from_utf8_lossy(&name).into_owned()
}

/// The secret variables of the GraphQL document that a query or form holds beside them.
fn graphql_variables(hide: &impl Hide, form: &[u8]) -> Vec<Vec<u8>> {
    if memchr::memmem::find(form, b"variables=").is_none() {
        return Vec::new();
    }
    let document = form.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(b"query="));
    let document = View::new(document.unwrap_or_default(), ViewEncoding::Form);
    json::variables_of(hide, &document.bytes)
}

/// What the field before says of the next one: `name=password&value=…`,
/// `f[0][name]=token&f[0][value]=…`.
#[derive(Default)]
pub(super) struct NamedBefore {
    /// What the two have in common, and how what is named is secret.
    last: Option<(String, HeaderSecret)>,
}

impl NamedBefore {
    /// How the value of this field is secret by the one before it.
    pub(super) fn value(
        &mut self,
        hide: &impl Hide,
        name: &str,
        source: &[u8],
        encoding: ViewEncoding,
    ) -> Option<HeaderSecret> {
        let end = name.trim_end_matches(']').len();
        let start = name[..end].rfind(['[', '.']).map_or(0, |at| at + 1);
        let (around, member) = (&name[..start], &name.as_bytes()[start..end]);
        if names::is_name_of_other(member) {
            let view = View::new(source, encoding);
            let named = std::str::from_utf8(&view.bytes).unwrap_or_default();
            let kind = hide.form_field(named).filter(|_| named.len() <= 64);
            self.last = kind.map(|kind| (around.to_owned(), kind));
            return None;
        }
        let (known, kind) = self.last.as_ref()?;
        (names::is_value_of_other(member) && known == around).then_some(*kind)
    }
}
