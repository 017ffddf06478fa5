//! Takes secrets out of exchanges, so that recordings may leave the node.
//!
//! Two passes over each exchange: the first finds secrets by the rules, where they stand and by
//! their look, and puts tokens in their place; the second looks for the same secrets everywhere
//! else in the exchange, also percent-encoded and in base64, so that what a request sends and the
//! answer repeats has the same token. Tokens depend on the secret and the key alone, so the result
//! does not depend on order or threads. Fails closed: a body that cannot be decoded cannot be
//! searched, and is left out.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::again::{self, Repeated};
use super::edits::Edits;
use super::hide::{self, Hide};
use super::known::KnownTokens;
use super::names::{self, HeaderSecret};
use super::packed::PackedDocument;
use super::rules::{NamePattern, RedactPath, RedactRule, RedactStep};
use super::shapes::{self, SecretShape};
use super::sieve::Kinds;
use super::token::Tokens;
use super::view::{View, ViewEncoding};
use super::wrapped::{self, Wrapping};
use super::{body, unnamed, values};
use crate::exchange::{Carriage, Completeness, Exchange, Redacted, SocketMessage};
use crate::limits;
use crate::message::protobuf::{Readings, Schema, Speaker};
use crate::message::{Body, HeaderPart, Headers, Request, Response, content};

/// Most secrets of one exchange that are looked for again.
const MOST_REPEATED: usize = 256;
/// Most tokens that a thread remembers, and the longest secret that it does so for, in bytes; the
/// same of values without a secret.
const REMEMBERED: (usize, usize) = (2 << 10, 256);
/// How much is left out before the place where a body was cut, in bytes: a secret that the cut goes
/// through is not known by its look any more, and longer ones than this are rare.
const UNSURE_BYTES: usize = 16 << 10;
/// Longest value of a field with a closed grammar that is not looked at, in bytes.
const LONGEST_CLOSED: usize = 48;
/// Headers that carry a digest of the body, which is another one now.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// Redacts exchanges by rules, under one key. Shared by threads.
#[derive(Clone)]
pub struct Redactor {
    /// Differs from that of every other set of rules.
    id: u64,
    defaults: bool,
    /// Bodies that cannot be searched are left out.
    strict: bool,
    headers: Vec<NamePattern>,
    cookies: Vec<NamePattern>,
    query: Vec<NamePattern>,
    form: Vec<NamePattern>,
    json: Vec<RedactPath>,
    patterns: Vec<regex::bytes::Regex>,
    tokens: Tokens,
    /// Names the fields of Protocol Buffers.
    readings: Arc<Readings>,
    mark: Redacted,
    unsearched: Arc<[AtomicU64; 2]>,
}

/// Bodies that could not be searched for secrets, as they are of no form that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsearched {
    /// How many.
    pub bodies: u64,
    /// Their bytes in all.
    pub bytes: u64,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("defaults", &self.defaults).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor for `rules`, with tokens under `key`.
    pub fn new(rules: &[RedactRule], key: &[u8]) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let mut redactor = Self {
            id: MADE.fetch_add(1, Ordering::Relaxed),
            defaults: false,
            strict: false,
            headers: Vec::new(),
            cookies: Vec::new(),
            query: Vec::new(),
            form: Vec::new(),
            json: Vec::new(),
            patterns: Vec::new(),
            tokens: Tokens::new(key),
            readings: Arc::default(),
            mark: Redacted::default(),
            unsearched: Arc::default(),
        };
        redactor.mark.key = Some(redactor.tokens.fingerprint());
        redactor.mark.rules = rules.iter().map(ToString::to_string).collect();
        redactor.mark.rules.sort_unstable();
        redactor.mark.rules.dedup();
        for rule in rules {
            match rule {
                RedactRule::Default => redactor.defaults = true,
                RedactRule::Strict => (redactor.defaults, redactor.strict) = (true, true),
                RedactRule::Header(name) => redactor.headers.push(name.clone()),
                RedactRule::Cookie(name) => redactor.cookies.push(name.clone()),
                RedactRule::Query(name) => redactor.query.push(name.clone()),
                RedactRule::Form(name) => redactor.form.push(name.clone()),
                RedactRule::Json(path) => redactor.json.push(path.clone()),
                RedactRule::Pattern(pattern) => redactor.patterns.push(pattern.clone()),
            }
        }
        redactor
    }

    /// The same, which knows the fields of messages by their names.
    #[must_use]
    pub fn with_schema(self, schema: Schema) -> Self {
        Self { readings: Arc::new(Readings::new(schema)), ..self }
    }

    /// Redacts an exchange; answers how many places were changed.
    pub fn apply(&self, exchange: &mut Exchange) -> usize {
        let mut pass = Pass::new(self, None);
        let request_is_cut = exchange.completeness == Completeness::RequestDamaged;
        let response_is_cut = exchange.completeness != Completeness::Complete;
        let request_body =
            exchange.request.as_mut().map(|request| pass.request(&mut request.message));
        let responses = exchange.response.iter_mut().chain(&mut exchange.interim);
        let bodies: Vec<_> = responses
            .map(|response| pass.response(&mut response.message, response_is_cut))
            .collect();
        let mut carriage = exchange.carriage.take();
        let messages: Vec<Searched> = carriage
            .iter_mut()
            .flat_map(|carriage| &mut carriage.messages)
            .map(|message| pass.message(message))
            .collect();
        let repeated = pass.repeated();
        let mut left_out = LeftOut::default();
        if let Some(carriage) = &mut carriage {
            left_out.add(pass.finish_carriage(&repeated, carriage, messages));
        }
        exchange.carriage = carriage;
        if let (Some(request), Some(searched)) = (&mut exchange.request, request_body) {
            let message = &mut request.message;
            if let Some(target) = repeated.replace(&message.target, &mut pass.changes) {
                message.target = Bytes::from(target);
            }
            pass.headers_again(&repeated, &mut message.headers);
            pass.headers_again(&repeated, &mut message.trailers);
            let (headers, trailers) = (&mut message.headers, &mut message.trailers);
            left_out.add(pass.finish(
                &repeated,
                searched,
                &mut message.body,
                headers,
                trailers,
                request_is_cut,
            ));
            // What was kept of the wire's form holds the secrets too; the sizes of chunks hold
            // none.
            message.verbatim =
                message.verbatim.take().and_then(|verbatim| verbatim.sizes_of(message.body.length));
        }
        for (response, searched) in
            exchange.response.iter_mut().chain(&mut exchange.interim).zip(bodies)
        {
            left_out.add(pass.finish_response(
                &repeated,
                searched,
                &mut response.message,
                response_is_cut,
            ));
        }
        exchange.marks.extend(left_out.marks());
        pass.changes
    }

    /// A text that goes with recordings, as the name of an input: with its secrets replaced.
    pub fn text(&self, text: &str) -> String {
        let new = hide::target(&mut Pass::new(self, None), text.as_bytes());
        new.and_then(|new| String::from_utf8(new).ok()).unwrap_or_else(|| text.to_owned())
    }

    /// A body of this type, redacted.
    #[cfg(test)]
    pub(super) fn body_of_type(&self, content_type: &[u8], content: &[u8]) -> Vec<u8> {
        let new = body::redact(&mut Pass::new(self, None), content_type, content);
        new.unwrap_or_else(|| content.to_vec())
    }

    /// What could not be searched so far, by all that share this redactor.
    pub fn unsearched(&self) -> Unsearched {
        let [bodies, bytes] = &*self.unsearched;
        Unsearched { bodies: bodies.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }

    /// Whether bodies that cannot be searched are left out.
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// What a recording that this redacted says of it.
    pub fn mark(&self) -> Redacted {
        self.mark.clone()
    }
}

/// Why bodies of an exchange were left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    undecodable: bool,
    opaque: bool,
}

impl LeftOut {
    const fn add(&mut self, other: Self) {
        self.undecodable |= other.undecodable;
        self.opaque |= other.opaque;
    }

    fn marks(self) -> impl Iterator<Item = String> {
        let undecodable = "body left out by redaction: it cannot be decoded";
        let opaque = "body left out by redaction: it cannot be searched";
        [(self.undecodable, undecodable), (self.opaque, opaque)]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, mark)| mark.to_owned())
    }
}

/// What became of a body in the first pass.
pub(super) enum Searched {
    /// Nothing to search.
    Empty,
    /// Its content, where that differs from the body: decoded, or changed.
    Content { content: Option<Vec<u8>>, changed: bool, coded: bool, wrapping: Option<Wrapping> },
    /// Its coding cannot be undone, or not for certain to its end.
    Undecodable,
    /// It is of no form that can be searched, and is to be left out for that.
    Opaque,
}

/// What became of messages of Protocol Buffers.
enum MessagesRedacted {
    /// They were searched; their body, where it was changed.
    Searched(Option<Vec<u8>>),
    /// They hold secrets and cannot be written without them.
    Unwritable,
}

/// A secret that was found, what is put in its place, and the forms in which both may be repeated.
struct Replacement {
    token: Vec<u8>,
    forms: Rc<again::Forms>,
}

thread_local! {
    /// Values of headers come again and again: those in which the redactor of this number found
    /// nothing.
    static NOTHING_IN: RefCell<(u64, FxHashSet<Box<[u8]>>)> = RefCell::default();
    /// Cookies and keys come with every request: their tokens are made once, under the key of this
    /// name.
    static TOKENS: RefCell<(String, FxHashMap<Box<[u8]>, Rc<Replacement>>)> = RefCell::default();
}

/// The work on one exchange.
pub(super) struct Pass<'a> {
    rules: &'a Redactor,
    /// The target of the request, as it came.
    target: Bytes,
    found: Vec<(Vec<u8>, Rc<Replacement>)>,
    pub(super) changes: usize,
    /// What is found is a token already, and stays.
    pub(super) reads_tokens: bool,
    /// What was found so.
    pub(super) tokens: FxHashSet<Vec<u8>>,
    /// Tokens that may come from other requests.
    known: Option<&'a KnownTokens>,
}

impl Hide for Pass<'_> {
    const KEEPS_LENGTH: bool = true;

    fn hidden(&mut self, value: &[u8], _source: &[u8]) -> Option<Vec<u8>> {
        if value.is_empty() {
            return None;
        }
        if let Some(new) = self.escaped(value) {
            return Some(new);
        }
        let replacement = self.replacement(value);
        let token = replacement.token.clone();
        self.remember(value, replacement);
        Some(token)
    }

    fn by_look(&self, value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
        let mut found = if self.rules.defaults { shapes::find(value, true) } else { Vec::new() };
        for pattern in &self.rules.patterns {
            for captures in pattern.captures_iter(value) {
                let group = captures
                    .get(1)
                    .or_else(|| captures.get(0))
                    .expect("the whole match is always there");
                if !group.is_empty() {
                    found.push((group.range(), SecretShape::Named));
                }
            }
        }
        if !self.rules.patterns.is_empty() {
            found.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
        }
        found
    }

    fn looks_for(&self, _kinds: Kinds) -> bool {
        self.rules.defaults
    }

    fn looks_at_all(&self) -> bool {
        !self.rules.patterns.is_empty()
    }

    fn parameter(&self, name: &str) -> Option<HeaderSecret> {
        self.by_rules(&self.rules.query, name, || names::parameter_secret(name))
    }

    fn form_field(&self, name: &str) -> Option<HeaderSecret> {
        self.by_rules(&self.rules.form, name, || names::field_secret(name))
    }

    fn field(&self, name: &str) -> Option<HeaderSecret> {
        self.rules.defaults.then(|| names::field_secret(name)).flatten()
    }

    fn is_path(&self, steps: &[RedactStep]) -> bool {
        self.rules.json.iter().any(|path| path.reaches(steps))
    }

    fn has_paths(&self) -> bool {
        !self.rules.json.is_empty()
    }
}

impl<'a> Pass<'a> {
    pub(super) const fn new(rules: &'a Redactor, known: Option<&'a KnownTokens>) -> Self {
        Self {
            rules,
            target: Bytes::new(),
            found: Vec::new(),
            changes: 0,
            reads_tokens: false,
            tokens: FxHashSet::with_hasher(FxBuildHasher),
            known,
        }
    }

    /// The first pass over a request.
    pub(super) fn request(&mut self, message: &mut Request) -> Searched {
        self.target = message.target.clone();
        if let Some(target) = hide::target(self, &message.target) {
            message.target = Bytes::from(target);
        }
        self.headers(&mut message.headers);
        self.headers(&mut message.trailers);
        self.body(&message.headers, &message.body, false, Speaker::Question)
    }

    /// The first pass over a response.
    pub(super) fn response(&mut self, message: &mut Response, is_cut: bool) -> Searched {
        if let Some(reason) = hide::parts(self, &message.reason, ViewEncoding::Plain) {
            message.reason = Bytes::from(reason);
        }
        self.headers(&mut message.headers);
        self.headers(&mut message.trailers);
        self.body(&message.headers, &message.body, is_cut, Speaker::Answer)
    }

    /// The first pass over a message of a WebSocket.
    pub(super) fn message(&mut self, message: &SocketMessage) -> Searched {
        if message.kind.is_data() {
            return self.body(&Headers::new(), &message.data, false, Speaker::Question);
        }
        let content = hide::looks(self, &message.data.bytes);
        Searched::Content { changed: content.is_some(), content, coded: false, wrapping: None }
    }

    /// The second pass over the messages of a WebSocket, and over the name in a TLS session.
    fn finish_carriage(
        &mut self,
        repeated: &Repeated,
        carriage: &mut Carriage,
        messages: Vec<Searched>,
    ) -> LeftOut {
        let left_out = self.finish_messages(repeated, &mut carriage.messages, messages);
        if let Some(name) = carriage.tls.as_mut().and_then(|tls| tls.sni.as_mut())
            && let Some(new) = repeated.replace(name.as_bytes(), &mut self.changes)
        {
            *name = String::from_utf8_lossy(&new).into_owned();
        }
        left_out
    }

    /// The second pass over the messages of a WebSocket.
    pub(super) fn finish_messages(
        &mut self,
        repeated: &Repeated,
        messages: &mut [SocketMessage],
        searched: Vec<Searched>,
    ) -> LeftOut {
        let mut left_out = LeftOut::default();
        for (message, searched) in messages.iter_mut().zip(searched) {
            let (body, none) = (&mut message.data, &mut Headers::new());
            left_out.add(self.finish(repeated, searched, body, none, &mut Headers::new(), false));
        }
        left_out
    }

    /// The second pass over a response. Answers why its body had to be left out.
    pub(super) fn finish_response(
        &mut self,
        repeated: &Repeated,
        searched: Searched,
        message: &mut Response,
        is_cut: bool,
    ) -> LeftOut {
        if let Some(reason) = repeated.replace(&message.reason, &mut self.changes) {
            message.reason = Bytes::from(reason);
        }
        self.headers_again(repeated, &mut message.headers);
        self.headers_again(repeated, &mut message.trailers);
        self.finish(
            repeated,
            searched,
            &mut message.body,
            &mut message.headers,
            &mut message.trailers,
            is_cut,
        )
    }

    fn by_rules(
        &self,
        rules: &[NamePattern],
        name: &str,
        by_default: impl FnOnce() -> Option<HeaderSecret>,
    ) -> Option<HeaderSecret> {
        if rules.iter().any(|rule| rule.matches(name)) {
            return Some(HeaderSecret::All);
        }
        self.rules.defaults.then(by_default).flatten()
    }

    /// What is put in place of a secret that is known from elsewhere, where this is how it is
    /// escaped there: a text that repeats a form says `%40`, and has the token of `@`.
    fn escaped(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let is_signed = value.iter().any(|byte| matches!(byte, b'%' | b'+' | b'\\' | b'&'));
        if self.reads_tokens || !is_signed || self.is_known(value) {
            return None;
        }
        for encoding in
            [ViewEncoding::Percent, ViewEncoding::Form, ViewEncoding::Json, ViewEncoding::Markup]
        {
            let view = View::new(value, encoding);
            if !view.is_encoded() || !self.is_known(&view.bytes) {
                continue;
            }
            let token = self.replacement(&view.bytes).token.clone();
            let new = view.rewritten(token);
            if new.len() == value.len() {
                self.changes += 1;
                return Some(new);
            }
        }
        None
    }

    /// Whether this exchange has it as a secret, or a request before had it as a token.
    fn is_known(&self, value: &[u8]) -> bool {
        self.found.iter().any(|(known, _)| known == value)
            || self.known.is_some_and(|known| known.holds(value))
            || self.tokens.contains(value)
    }

    /// What is put in a secret's place; a token stays what it is.
    fn replacement(&mut self, secret: &[u8]) -> Rc<Replacement> {
        let stays = || {
            let forms = Rc::new(again::Forms::of(secret, secret));
            Rc::new(Replacement { token: secret.to_vec(), forms })
        };
        if self.reads_tokens {
            self.tokens.insert(secret.to_vec());
            return stays();
        }
        if let Some(known) = self.known
            && (known.holds(secret) || self.tokens.contains(secret))
        {
            return stays();
        }
        let make = || {
            let token = self.rules.tokens.token(secret);
            let forms = Rc::new(again::Forms::of(secret, &token));
            Rc::new(Replacement { token, forms })
        };
        if secret.len() > REMEMBERED.1 {
            return make();
        }
        let key = self.rules.mark.key.as_deref().unwrap_or_default();
        TOKENS.with_borrow_mut(|(of, tokens)| {
            if of != key {
                key.clone_into(of);
                tokens.clear();
            }
            if let Some(known) = tokens.get(secret) {
                return Rc::clone(known);
            }
            if tokens.len() >= REMEMBERED.0 {
                tokens.clear();
            }
            let made = make();
            tokens.insert(secret.into(), Rc::clone(&made));
            made
        })
    }

    fn remember(&mut self, secret: &[u8], replacement: Rc<Replacement>) {
        self.changes += 1;
        let worth = secret.len() >= again::SHORTEST
            && secret.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
        if worth
            && self.found.len() < MOST_REPEATED
            && !self.found.iter().any(|(known, _)| known == secret)
        {
            self.found.push((secret.to_vec(), replacement));
        }
    }

    pub(super) fn headers(&mut self, headers: &mut Headers) {
        self.each_value(headers, |pass, name, value| {
            pass.header(&String::from_utf8_lossy(name), value)
        });
    }

    /// Replaces what `new` gives another value.
    fn each_value(
        &mut self,
        headers: &mut Headers,
        mut new: impl FnMut(&mut Self, &[u8], &[u8]) -> Option<Vec<u8>>,
    ) {
        let mut changed: Option<Headers> = None;
        for (index, (name, value)) in headers.parts().enumerate() {
            // What the capture cannot tell stays unknown.
            match (new(self, name.octets(), value.octets()), &mut changed) {
                (Some(new), Some(fields)) => fields.push_parts(name, HeaderPart::Known(&new)),
                (None, Some(fields)) => fields.push_parts(name, value),
                (Some(new), None) => {
                    let mut fields = Headers::with_capacity(headers.len(), 512);
                    headers.parts().take(index).for_each(|(n, v)| fields.push_parts(n, v));
                    fields.push_parts(name, HeaderPart::Known(&new));
                    changed = Some(fields);
                }
                (None, None) => {}
            }
        }
        if let Some(changed) = changed {
            *headers = changed;
        }
    }

    fn header(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        if name == ":path" {
            return hide::target(self, value);
        }
        let named = self.rules.headers.iter().any(|rule| rule.matches(name));
        // An authority goes by what it looks like, as it does where an answer repeats it.
        let kind = names::header_secret(name)
            .filter(|kind| (self.rules.defaults || named) && *kind != HeaderSecret::Authority);
        match kind {
            kind if named && kind.is_none_or(HeaderSecret::is_whole) => {
                hide::whole(self, HeaderSecret::All, value, ViewEncoding::Plain)
            }
            Some(kind) => hide::whole(self, kind, value, ViewEncoding::Plain),
            None if names::is_closed(name)
                && value.len() < LONGEST_CLOSED
                && !self.looks_at_all() =>
            {
                None
            }
            None if !self.rules.cookies.is_empty() => self.cookies(name, value),
            None if names::is_percent_encoded(name) => {
                hide::parts(self, value, ViewEncoding::Percent)
            }
            None => self.other(value),
        }
    }

    fn other(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let id = self.rules.id;
        let is_plain = NOTHING_IN.with_borrow_mut(|(of, values)| {
            if *of != id {
                *of = id;
                values.clear();
            }
            values.contains(value)
        });
        if is_plain {
            return None;
        }
        // Referer, Location and others that hold a target.
        let new = if hide::is_url(value) {
            hide::target(self, value)
        } else {
            hide::parts(self, value, ViewEncoding::Plain)
        };
        if new.is_none() && value.len() <= REMEMBERED.1 {
            NOTHING_IN.with_borrow_mut(|(_, values)| {
                if values.len() >= REMEMBERED.0 {
                    values.clear();
                }
                values.insert(value.into());
            });
        }
        new
    }

    /// The cookies that rules name.
    fn cookies(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let Some(kind @ (HeaderSecret::Cookies | HeaderSecret::SetCookie)) =
            names::header_secret(name)
        else {
            return self.other(value);
        };
        let mut edits = Edits::new(value);
        for (range, _) in values::find(kind, value) {
            let before = value[..range.start].strip_suffix(b"=").unwrap_or_default();
            let start = memchr::memrchr(b';', before).map_or(0, |at| at + 1);
            let cookie = String::from_utf8_lossy(before[start..].trim_ascii());
            let secret = &value[range.clone()];
            let new = if self.rules.cookies.iter().any(|rule| rule.matches(&cookie)) {
                hide::whole(self, HeaderSecret::All, secret, ViewEncoding::Percent)
            } else {
                hide::parts(self, secret, ViewEncoding::Percent)
            };
            edits.put(&range, new);
        }
        edits.finish()
    }

    fn body(&mut self, headers: &Headers, body: &Body, is_cut: bool, said: Speaker) -> Searched {
        if body.bytes.is_empty() {
            return Searched::Empty;
        }
        let coded = content::is_coded(headers.all("content-encoding"));
        let is_cut = is_cut || body.is_cut();
        if coded && is_cut {
            return Searched::Undecodable;
        }
        let decoded =
            match content::decode(&body.bytes, headers.all("content-encoding"), limits::BODY_BYTES)
            {
                Ok(decoded) => decoded,
                Err(_) => return Searched::Undecodable,
            };
        let kind = headers.get("content-type").unwrap_or_default();
        let wrapping = Wrapping::of(&decoded, kind);
        if is_cut && wrapping.is_some_and(Wrapping::needs_all) {
            return Searched::Undecodable;
        }
        let unwrapped = wrapping.and_then(|wrapping| wrapping.undo(&decoded));
        let wrapping = wrapping.filter(|_| unwrapped.is_some());
        let text = unwrapped.as_deref().unwrap_or(&decoded);
        let (new, is_read) = match self.messages(said, headers, text) {
            Some(MessagesRedacted::Searched(new)) => (new, true),
            Some(MessagesRedacted::Unwritable) => return Searched::Undecodable,
            None => {
                let new = unnamed::redact(self, headers, text);
                (new.or_else(|| body::redact(self, kind, text)), false)
            }
        };
        let is_opaque = || {
            !is_read && wrapped::is_opaque(text, kind) && PackedDocument::of(text, kind).is_none()
        };
        if !self.reads_tokens && self.rules.defaults && is_opaque() {
            let [bodies, bytes] = &*self.rules.unsearched;
            bodies.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            if self.rules.strict {
                return Searched::Opaque;
            }
        }
        let changed = new.is_some();
        let content = new.or(unwrapped).or_else(|| coded.then(|| decoded.into_owned()));
        Searched::Content { content, changed, coded, wrapping }
    }

    /// A body of Protocol Buffers whose fields are known by their names; none where it is another.
    fn messages(
        &mut self,
        said: Speaker,
        headers: &Headers,
        content: &[u8],
    ) -> Option<MessagesRedacted> {
        let target = self.target.clone();
        let readings = Arc::clone(&self.rules.readings);
        let read =
            readings.read(said, &target, headers, content).filter(|read| read.unread == 0)?;
        let Some(edited) = body::redact(self, b"application/json", &read.json) else {
            return Some(MessagesRedacted::Searched(None));
        };
        Some(match readings.write(said, &target, headers, content, &edited) {
            Some(written) => MessagesRedacted::Searched(Some(written)),
            None => MessagesRedacted::Unwritable,
        })
    }

    /// The secrets that were found, in the forms in which they may be repeated.
    pub(super) fn repeated(&self) -> Repeated {
        Repeated::of(self.found.iter().map(|(_, found)| Rc::clone(&found.forms)).collect())
    }

    fn headers_again(&mut self, repeated: &Repeated, headers: &mut Headers) {
        self.each_value(headers, |pass, _, value| repeated.replace(value, &mut pass.changes));
    }

    /// Puts the body back, decoded where it was changed, with headers that fit it. Answers why it
    /// had to be left out.
    pub(super) fn finish(
        &mut self,
        repeated: &Repeated,
        searched: Searched,
        body: &mut Body,
        headers: &mut Headers,
        trailers: &mut Headers,
        is_cut: bool,
    ) -> LeftOut {
        let (content, changed, coded, wrapping) = match searched {
            Searched::Empty => return LeftOut::default(),
            Searched::Undecodable | Searched::Opaque => {
                self.changes += 1;
                (body.bytes, body.sha256) = (Bytes::new(), None);
                let opaque = matches!(searched, Searched::Opaque);
                return LeftOut { undecodable: !opaque, opaque };
            }
            Searched::Content { content, changed, coded, wrapping } => {
                (content, changed, coded, wrapping)
            }
        };
        let text = content.as_deref().unwrap_or(&body.bytes);
        let again = repeated.replace(text, &mut self.changes);
        let is_cut = is_cut || body.is_cut();
        let Some(mut new) = again.or(content.filter(|_| changed)) else {
            if is_cut {
                body.bytes.truncate(body.bytes.len().saturating_sub(UNSURE_BYTES));
            }
            return LeftOut::default();
        };
        if let Some(wrapping) = wrapping {
            new = wrapping.redo(&new);
        }
        if is_cut {
            // Its length stays: nothing of it was decoded, and tokens are as long as what they
            // stand for.
            new.truncate(new.len().saturating_sub(UNSURE_BYTES));
        } else {
            body.length = new.len() as u64;
        }
        body.sha256 = None;
        body.bytes = Bytes::from(new);
        let length = body.length.to_string();
        for fields in [headers, trailers] {
            *fields = fields
                .iter()
                .filter(|(name, _)| {
                    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
                    let stale = (coded && is("content-encoding"))
                        || DIGESTS.iter().any(|digest| is(digest));
                    !stale
                })
                .map(|(name, value)| {
                    (
                        name,
                        if name.eq_ignore_ascii_case(b"content-length") {
                            length.as_bytes()
                        } else {
                            value
                        },
                    )
                })
                .collect();
        }
        LeftOut::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a capture of HTTP/2 cannot tell is unknown behind redaction too, not empty.
    #[test]
    fn unknown_fields_stay_unknown() {
        let mut headers = Headers::new();
        headers.push_parts(HeaderPart::unknown(1), HeaderPart::unknown(1));
        headers.push(b":path", b"/reset?access_token=abcdef0123456789");
        headers.push(b"authorization", b"Bearer abcdef0123456789");
        headers.push_parts(HeaderPart::unknown(2), HeaderPart::Known(b"value"));
        let redactor = Redactor::new(&[RedactRule::Default], b"key");
        Pass::new(&redactor, None).headers(&mut headers);
        let parts: Vec<_> = headers.parts().collect();
        assert_eq!(headers.unknown(), 2);
        assert_eq!(parts[0], (HeaderPart::Unknown(1), HeaderPart::Unknown(1)));
        assert_eq!(parts[3], (HeaderPart::Unknown(2), HeaderPart::Known(&b"value"[..])));
        for (_, value) in &parts[1..3] {
            assert!(memchr::memmem::find(value.octets(), b"abcdef0123456789").is_none());
        }
    }
}
