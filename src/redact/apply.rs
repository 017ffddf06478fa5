//! Takes secrets out of exchanges, so that recordings may leave the node.
//!
//! Two passes over each exchange: the first finds secrets by the rules, where they stand and by
//! their look, and puts tokens in their place; the second looks for the same secrets everywhere
//! else in the exchange, also percent-encoded and in base64, so that what a request sends and the
//! answer repeats has the same token. Tokens depend on the secret and the key alone, so the result
//! does not depend on order or threads. Fails closed: a body that cannot be decoded cannot be
//! searched, and is left out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use memchr::memmem;

use super::answer::Known;
use super::body;
use super::hide::{self, Hide};
use super::names::{self, HeaderSecret};
use super::rules::{Name, Path, Rule, Step};
use super::shapes::{self, Shape};
use super::token::Tokens;
use super::view::{Encoding, View};
use crate::exchange::Redacted;
use crate::exchange::{Completeness, Exchange};
use crate::limits;
use crate::message::{Body, Headers, Request, Response, content};

/// Shortest secret that is looked for where no rule says that there is one; shorter ones are found
/// by chance.
const SHORTEST_REPEATED: usize = 6;
/// Most secrets of one exchange that are looked for again.
const MOST_REPEATED: usize = 256;
/// How much is left out before the place where a body was cut, in bytes: a secret that the cut goes
/// through is not known by its look any more, and longer ones than this are rare.
const UNSURE_BYTES: usize = 16 << 10;
/// Headers that carry a digest of the body, which is another one now.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// Redacts exchanges by rules, under one key. Shared by threads.
#[derive(Clone)]
pub struct Redactor {
    defaults: bool,
    headers: Vec<Name>,
    cookies: Vec<Name>,
    query: Vec<Name>,
    form: Vec<Name>,
    json: Vec<Path>,
    patterns: Vec<regex::bytes::Regex>,
    tokens: Tokens,
    mark: Redacted,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("defaults", &self.defaults).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor for `rules`, with tokens under `key`.
    pub fn new(rules: &[Rule], key: &[u8]) -> Self {
        let mut redactor = Self {
            defaults: false,
            headers: Vec::new(),
            cookies: Vec::new(),
            query: Vec::new(),
            form: Vec::new(),
            json: Vec::new(),
            patterns: Vec::new(),
            tokens: Tokens::new(key),
            mark: Redacted::default(),
        };
        redactor.mark.key = Some(redactor.tokens.fingerprint());
        redactor.mark.rules = rules.iter().map(ToString::to_string).collect();
        redactor.mark.rules.sort_unstable();
        redactor.mark.rules.dedup();
        for rule in rules {
            match rule {
                Rule::Default => redactor.defaults = true,
                Rule::Header(name) => redactor.headers.push(name.clone()),
                Rule::Cookie(name) => redactor.cookies.push(name.clone()),
                Rule::Query(name) => redactor.query.push(name.clone()),
                Rule::Form(name) => redactor.form.push(name.clone()),
                Rule::Json(path) => redactor.json.push(path.clone()),
                Rule::Pattern(pattern) => redactor.patterns.push(pattern.clone()),
            }
        }
        redactor
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
        let repeated = pass.repeated();
        let mut undecoded = false;
        if let (Some(request), Some(searched)) = (&mut exchange.request, request_body) {
            let message = &mut request.message;
            if let Some(target) = pass.again(&repeated, &message.target) {
                message.target = Bytes::from(target);
            }
            pass.headers_again(&repeated, &mut message.headers);
            pass.headers_again(&repeated, &mut message.trailers);
            let (headers, trailers) = (&mut message.headers, &mut message.trailers);
            undecoded |= pass.finish(
                &repeated,
                searched,
                &mut message.body,
                headers,
                trailers,
                request_is_cut,
            );
            // What was kept of the wire's form holds the secrets too; the sizes of chunks hold
            // none.
            message.verbatim =
                message.verbatim.take().and_then(|verbatim| verbatim.sizes_of(message.body.length));
        }
        for (response, searched) in
            exchange.response.iter_mut().chain(&mut exchange.interim).zip(bodies)
        {
            undecoded |=
                pass.finish_response(&repeated, searched, &mut response.message, response_is_cut);
        }
        if undecoded {
            exchange.marks.push("body left out by redaction: it cannot be decoded".to_owned());
        }
        pass.changes
    }

    /// What a recording that this redacted says of it.
    pub fn mark(&self) -> Redacted {
        self.mark.clone()
    }

    /// Whether anything is looked for by its look.
    fn searches(&self) -> bool {
        self.defaults || !self.patterns.is_empty()
    }
}

/// What became of a body in the first pass.
pub(super) enum Searched {
    /// Nothing to search.
    Empty,
    /// Its content, where that differs from the body: decoded, or changed.
    Content { content: Option<Vec<u8>>, changed: bool, coded: bool },
    /// Its coding cannot be undone, or not for certain to its end.
    Undecodable,
}

/// A secret in a form that it may be repeated in, and its token in the same form.
pub(super) struct Repeated {
    secret: Vec<u8>,
    token: Vec<u8>,
}

/// The work on one exchange.
pub(super) struct Pass<'a> {
    rules: &'a Redactor,
    found: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) changes: usize,
    /// What is found is a token already, and stays.
    pub(super) reads_tokens: bool,
    /// What was found so.
    pub(super) tokens: Vec<Vec<u8>>,
    /// Tokens that may come from other requests.
    known: Option<&'a Known>,
}

impl Hide for Pass<'_> {
    fn whole(&mut self, source: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
        let view = View::new(source, encoding);
        if view.bytes.is_empty() {
            return None;
        }
        let token = self.token(&view.bytes);
        let written = view.rewritten(&token);
        self.remember(&view.bytes, token);
        Some(written)
    }

    fn parts(&mut self, source: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
        if !self.rules.searches() {
            return None;
        }
        let view = View::new(source, encoding);
        let mut ranges: Vec<_> = Vec::new();
        if self.rules.defaults {
            ranges.extend(shapes::find(&view.bytes, true));
        }
        for pattern in &self.rules.patterns {
            for captures in pattern.captures_iter(&view.bytes) {
                let group = captures
                    .get(1)
                    .or_else(|| captures.get(0))
                    .expect("the whole match is always there");
                if !group.is_empty() {
                    ranges.push((group.range(), Shape::Named));
                }
            }
        }
        if ranges.is_empty() {
            return None;
        }
        ranges.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
        let mut value = view.bytes.to_vec();
        let mut end = 0;
        for (range, shape) in ranges {
            if range.end <= end {
                continue;
            }
            // Where two overlap, what hangs over is another.
            let range = range.start.max(end)..range.end;
            end = range.end;
            let encoding = if shape == Shape::Parameter { Encoding::Form } else { Encoding::Plain };
            if let Some(token) = self.whole(&view.bytes[range.clone()], encoding) {
                value[range].copy_from_slice(&token);
            }
        }
        Some(view.rewritten(&value))
    }

    fn holds_parts(&self, source: &[u8]) -> bool {
        !self.rules.patterns.is_empty()
            || (self.rules.defaults && !shapes::find(source, true).is_empty())
    }

    fn is_parameter(&self, name: &str) -> bool {
        (self.rules.defaults && names::is_secret_parameter(name))
            || self.rules.query.iter().any(|rule| rule.matches(name))
    }

    fn is_form_field(&self, name: &str) -> bool {
        (self.rules.defaults && names::is_secret_field(name))
            || self.rules.form.iter().any(|rule| rule.matches(name))
    }

    fn is_field(&self, name: &str) -> bool {
        self.rules.defaults && names::is_secret_field(name)
    }

    fn is_path(&self, steps: &[Step]) -> bool {
        self.rules.json.iter().any(|path| path.reaches(steps))
    }

    fn has_paths(&self) -> bool {
        !self.rules.json.is_empty()
    }
}

impl<'a> Pass<'a> {
    pub(super) const fn new(rules: &'a Redactor, known: Option<&'a Known>) -> Self {
        Self {
            rules,
            found: Vec::new(),
            changes: 0,
            reads_tokens: false,
            tokens: Vec::new(),
            known,
        }
    }

    /// The first pass over a request.
    pub(super) fn request(&mut self, message: &mut Request) -> Searched {
        if let Some(target) = hide::target(self, &message.target) {
            message.target = Bytes::from(target);
        }
        self.headers(&mut message.headers);
        self.headers(&mut message.trailers);
        self.body(&message.headers, &message.body, false)
    }

    /// The first pass over a response.
    pub(super) fn response(&mut self, message: &mut Response, is_cut: bool) -> Searched {
        self.headers(&mut message.headers);
        self.headers(&mut message.trailers);
        self.body(&message.headers, &message.body, is_cut)
    }

    /// The second pass over a response. Answers whether its body had to be left out.
    pub(super) fn finish_response(
        &mut self,
        repeated: &[Repeated],
        searched: Searched,
        message: &mut Response,
        is_cut: bool,
    ) -> bool {
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

    /// The token for a secret; a token stays what it is.
    fn token(&mut self, secret: &[u8]) -> Vec<u8> {
        if self.reads_tokens {
            self.tokens.push(secret.to_vec());
            return secret.to_vec();
        }
        if let Some(known) = self.known
            && (known.holds(secret) || self.tokens.iter().any(|token| token == secret))
        {
            return secret.to_vec();
        }
        self.rules.tokens.token(secret)
    }

    fn remember(&mut self, secret: &[u8], token: Vec<u8>) {
        self.changes += 1;
        let worth = secret.len() >= SHORTEST_REPEATED
            && secret.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
        if worth
            && self.found.len() < MOST_REPEATED
            && !self.found.iter().any(|(known, _)| known == secret)
        {
            self.found.push((secret.to_vec(), token));
        }
    }

    pub(super) fn headers(&mut self, headers: &mut Headers) {
        let mut changed = false;
        let new: Vec<Option<Vec<u8>>> = headers
            .iter()
            .map(|(name, value)| self.header(&String::from_utf8_lossy(name), value))
            .inspect(|new| changed |= new.is_some())
            .collect();
        if changed {
            let values = headers
                .iter()
                .zip(&new)
                .map(|((name, old), new)| (name, new.as_deref().unwrap_or(old)));
            *headers = values.collect();
        }
    }

    fn header(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let kind = names::header_secret(name);
        let named = self.rules.headers.iter().any(|rule| rule.matches(name));
        match kind {
            Some(HeaderSecret::Credentials) if self.rules.defaults || named => {
                self.credentials(value)
            }
            Some(HeaderSecret::Cookies) => self.cookies(value, named),
            Some(HeaderSecret::SetCookie) => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let mut out = self.cookies(&value[..end], named)?;
                out.extend_from_slice(&value[end..]);
                Some(out)
            }
            Some(HeaderSecret::Whole) if self.rules.defaults => self.whole(value, Encoding::Plain),
            _ if named => self.whole(value, Encoding::Plain),
            // Referer, Location and others that hold a target.
            _ if hide::is_url(value) => hide::target(self, value),
            _ => self.parts(value, Encoding::Plain),
        }
    }

    /// `scheme credentials`; user and password of the Basic scheme (RFC 7617) have the tokens that
    /// they have elsewhere.
    fn credentials(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let Some(space) = memchr::memchr(b' ', value).filter(|&at| at + 1 < value.len()) else {
            return self.whole(value, Encoding::Plain);
        };
        let (scheme, secret) = value.split_at(space + 1);
        let basic = scheme
            .trim_ascii()
            .eq_ignore_ascii_case(b"basic")
            .then(|| STANDARD.decode(secret.trim_ascii()).ok())
            .flatten();
        let new = match basic.as_deref().and_then(|pair| Some((pair, memchr::memchr(b':', pair)?)))
        {
            Some((pair, colon)) => {
                let mut new = self.whole(&pair[..colon], Encoding::Plain).unwrap_or_default();
                new.push(b':');
                new.extend(self.whole(&pair[colon + 1..], Encoding::Plain).unwrap_or_default());
                STANDARD.encode(new).into_bytes()
            }
            None => self.whole(secret, Encoding::Plain)?,
        };
        Some([scheme, &new].concat())
    }

    /// `name=value; name=value`
    fn cookies(&mut self, value: &[u8], named: bool) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(value.len());
        let mut changed = false;
        for (index, pair) in value.split(|&byte| byte == b';').enumerate() {
            if index > 0 {
                out.push(b';');
            }
            let equals = memchr::memchr(b'=', pair).map_or(0, |at| at + 1);
            let (name, secret) = pair.split_at(equals);
            let space =
                if equals == 0 { secret.len() - secret.trim_ascii_start().len() } else { 0 };
            let cookie =
                String::from_utf8_lossy(name.trim_ascii().strip_suffix(b"=").unwrap_or(name))
                    .into_owned();
            let rules = self.rules;
            let all =
                named || rules.defaults || rules.cookies.iter().any(|rule| rule.matches(&cookie));
            let new = if all {
                self.whole(&secret[space..], Encoding::Percent)
            } else {
                self.parts(&secret[space..], Encoding::Percent)
            };
            changed |= new.is_some();
            out.extend_from_slice(name);
            out.extend_from_slice(&secret[..space]);
            out.extend_from_slice(new.as_deref().unwrap_or(&secret[space..]));
        }
        changed.then_some(out)
    }

    fn body(&mut self, headers: &Headers, body: &Body, is_cut: bool) -> Searched {
        if body.bytes.is_empty() {
            return Searched::Empty;
        }
        let coded = content::is_coded(headers.all("content-encoding"));
        if coded && (is_cut || body.is_cut()) {
            return Searched::Undecodable;
        }
        let decoded =
            match content::decode(&body.bytes, headers.all("content-encoding"), limits::BODY_BYTES)
            {
                Ok(decoded) => decoded,
                Err(_) => return Searched::Undecodable,
            };
        let new = body::redact(self, headers.get("content-type").unwrap_or_default(), &decoded);
        let changed = new.is_some();
        Searched::Content {
            content: new.or_else(|| coded.then(|| decoded.into_owned())),
            changed,
            coded,
        }
    }

    /// The secrets that were found, in the forms in which they may be repeated, the longest first.
    pub(super) fn repeated(&self) -> Vec<Repeated> {
        let mut repeated: Vec<Repeated> = Vec::new();
        for (secret, token) in &self.found {
            let mut add = |form: &dyn Fn(&[u8]) -> Vec<u8>| {
                let one = Repeated { secret: form(secret), token: form(token) };
                if one.secret.len() >= SHORTEST_REPEATED
                    && !repeated.iter().any(|known| known.secret == one.secret)
                {
                    repeated.push(one);
                }
            };
            add(&<[u8]>::to_vec);
            for offset in 0..3 {
                add(&|value| base64_inside(value, offset, false));
                add(&|value| base64_inside(value, offset, true));
            }
        }
        repeated.sort_by_key(|one| usize::MAX - one.secret.len());
        repeated
    }

    /// `text` with all repeated secrets replaced, as they are, percent-encoded or escaped; none
    /// where there is none.
    pub(super) fn again(&mut self, repeated: &[Repeated], text: &[u8]) -> Option<Vec<u8>> {
        if repeated.is_empty() {
            return None;
        }
        let mut out: Option<Vec<u8>> = None;
        for encoding in [Encoding::Plain, Encoding::Percent, Encoding::Form, Encoding::Json] {
            let view = View::new(out.as_deref().unwrap_or(text), encoding);
            if encoding != Encoding::Plain && !view.is_encoded() {
                continue;
            }
            let mut value: Option<Vec<u8>> = None;
            for one in repeated {
                let mut from = 0;
                while let Some(at) =
                    memmem::find(&value.as_deref().unwrap_or(&view.bytes)[from..], &one.secret)
                {
                    let range = from + at..from + at + one.secret.len();
                    from = range.end;
                    value.get_or_insert_with(|| view.bytes.to_vec())[range]
                        .copy_from_slice(&one.token);
                    self.changes += 1;
                }
            }
            if let Some(value) = value {
                out = Some(view.rewritten(&value));
            }
        }
        out
    }

    fn headers_again(&mut self, repeated: &[Repeated], headers: &mut Headers) {
        let mut changed = false;
        let values: Vec<Option<Vec<u8>>> = headers
            .iter()
            .map(|(_, value)| self.again(repeated, value))
            .inspect(|new| changed |= new.is_some())
            .collect();
        if changed {
            *headers = headers
                .iter()
                .zip(&values)
                .map(|((name, old), new)| (name, new.as_deref().unwrap_or(old)))
                .collect();
        }
    }

    /// Puts the body back, decoded where it was changed, with headers that fit it. Answers whether
    /// it had to be left out.
    pub(super) fn finish(
        &mut self,
        repeated: &[Repeated],
        searched: Searched,
        body: &mut Body,
        headers: &mut Headers,
        trailers: &mut Headers,
        is_cut: bool,
    ) -> bool {
        let (content, changed, coded) = match searched {
            Searched::Empty => return false,
            Searched::Undecodable => {
                self.changes += 1;
                (body.bytes, body.sha256) = (Bytes::new(), None);
                return true;
            }
            Searched::Content { content, changed, coded } => (content, changed, coded),
        };
        let again = self.again(repeated, content.as_deref().unwrap_or(&body.bytes));
        let is_cut = is_cut || body.is_cut();
        let Some(mut new) = again.or(content.filter(|_| changed)) else {
            if is_cut {
                body.bytes.truncate(body.bytes.len().saturating_sub(UNSURE_BYTES));
            }
            return false;
        };
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
        false
    }
}

/// The part of a base64 text that `value` alone decides, where it stands `offset` bytes (modulo
/// three) into what was encoded.
fn base64_inside(value: &[u8], offset: usize, url: bool) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let engine = if url { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    let mut text = engine.encode(&padded).into_bytes();
    // The signs that share bits with the neighbours.
    let first = (offset * 8).div_ceil(6);
    text.truncate(padded.len() * 8 / 6);
    text.drain(..first.min(text.len()));
    text
}
