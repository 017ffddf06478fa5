//! The one walk over all values of a message: where each stands, what it says, and how it is
//! written there.
//!
//! Content codings and charsets are undone, formats are told by type and content ([`media`]). A
//! value may hold a document itself (JSON in a string, a token's claims, a URL, XML in a cell): the
//! walk goes inside unless the visitor says no. What holds no structure, or not the one that it
//! claims, is told line by line, so that nothing goes unseen; what is no text is told by length
//! and hash. The walk is bounded ([`Bounds`]) and says where a bound cut it.
//!
//! A visitor may give another text for a value: the walk encodes it as the old one was, layer by
//! layer, and gives the edited message back ([`edit`]). A read-only walk pays nothing for that.
//!
//! [`edit`]: super::edit
//! [`media`]: super::media

mod body;
mod fields;
mod json;
mod markup;
mod protobuf;

use std::ops::Range;

use sha2::{Digest as _, Sha256};

pub(crate) use self::json::tells_kind;
use super::encoding::{self, Encoding, hex};
use super::json::code;
use super::media::MediaType;
use super::place::{Step, Trail};
use super::protobuf::{Call, Speaker};
use super::{Body, Headers, Request, Response};
use crate::limits::{WALKED_BODY_BYTES, WALKED_LAYERS, WALKED_VALUES};
use crate::steps;

/// A value of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'v> {
    /// What it says, decoded.
    pub text: &'v str,
    /// What it is.
    pub form: Form,
    /// How it is written where it stands.
    pub encoding: Encoding,
    /// What it is called beside its place: the name of the input or `<meta>` that it is the value
    /// of.
    pub label: Option<&'v str>,
    /// Of an `id` in JSON, the kind of thing that its object says it is: `order` beside
    /// `"type": "order"`.
    pub kind: Option<&'v str>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A text.
    Text,
    /// A number, a truth value or null of JSON.
    Bare,
    /// An array, object or element without content.
    Empty,
    /// The name of a member that looks like a value.
    Key,
    /// Stands for bytes that are no text: their length and hash.
    Digest,
}

/// Is told each value.
pub trait Visit {
    /// A value; a text that is given back takes its place.
    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String>;

    /// A value that holds a document, as it stands (a token whole): whether to go inside. If not,
    /// it is told as one.
    fn inside(&mut self, _at: &Trail<'_>, _value: Value<'_>) -> bool {
        true
    }

    /// Whether nothing is asked of header fields of this name.
    fn passes_over(&self, _header: &str) -> bool {
        false
    }
}

/// A visitor that only reads.
pub struct Reader<F>(pub F);

impl<F: FnMut(&Trail<'_>, Value<'_>)> Visit for Reader<F> {
    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        (self.0)(at, value);
        None
    }
}

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest body, in bytes, before and after its codings are undone; a longer one is told by
    /// length and hash.
    pub body_bytes: usize,
    /// Most values.
    pub values: usize,
    /// Most documents inside each other.
    pub layers: u8,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { body_bytes: WALKED_BODY_BYTES, values: WALKED_VALUES, layers: WALKED_LAYERS }
    }
}

/// What a walk's visitor put into a message: the parts that it changed, whole.
#[derive(Debug, Default)]
pub struct Edited {
    /// The target of a request.
    pub target: Option<Vec<u8>>,
    /// Header fields by their number, in order.
    pub headers: Vec<(usize, Vec<u8>)>,
    /// The body, its content codings undone.
    pub body: Option<Vec<u8>>,
}

impl Edited {
    /// Whether nothing was put.
    pub fn is_empty(&self) -> bool {
        self.target.is_none() && self.headers.is_empty() && self.body.is_none()
    }
}

/// A walk under way.
pub struct Walk<'w> {
    visit: &'w mut dyn Visit,
    body_bytes: usize,
    left: usize,
    layers: u8,
    cut: bool,
    call: Call,
    speaker: Speaker,
}

impl<'w> Walk<'w> {
    /// A walk that tells `visit`.
    pub fn new(visit: &'w mut dyn Visit, bounds: Bounds) -> Self {
        Self {
            visit,
            body_bytes: bounds.body_bytes,
            left: bounds.values,
            layers: bounds.layers,
            cut: false,
            call: Call::default(),
            speaker: Speaker::Question,
        }
    }

    /// The same, with the names that a schema gives to what is said in this call.
    pub fn of(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// Whether a bound kept values from being told.
    pub const fn was_cut(&self) -> bool {
        self.cut
    }

    /// All of a request: path, query, header fields, body, trailer fields.
    pub fn request(&mut self, request: &Request) -> Edited {
        let target = self.target(&request.target);
        let headers = self.headers(&request.headers);
        let body = self.message_body(&request.headers, &request.body);
        self.headers(&request.trailers);
        Edited { target, headers, body }
    }

    /// All of an answer: status, header fields, body, trailer fields.
    pub fn response(&mut self, response: &Response) -> Edited {
        self.speaker = Speaker::Answer;
        let status = response.status.to_string();
        self.one(&Trail::new(Step::Status), &status, Form::Bare, Encoding::Bare);
        let headers = self.headers(&response.headers);
        let body = self.message_body(&response.headers, &response.body);
        self.headers(&response.trailers);
        Edited { target: None, headers, body }
    }

    /// An element of a list in JSON, such as a message among those of a WebSocket; gives it with
    /// what was put into it.
    pub fn list_element(&mut self, number: usize, json: &str) -> Option<String> {
        self.json_at(&Trail::new(Step::Root).then(Step::Index(number)), json)
    }

    fn message_body(&mut self, headers: &Headers, body: &Body) -> Option<Vec<u8>> {
        match body.sha256 {
            Some(sha256) if body.is_cut() => {
                let text = digest_text(body.length, &sha256);
                self.one(&Trail::new(Step::Body), &text, Form::Digest, Encoding::Plain);
                None
            }
            _ => self.body(headers, &body.bytes),
        }
    }

    fn tell(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        steps::add(1);
        if self.left == 0 {
            self.cut = true;
            return None;
        }
        self.left -= 1;
        self.visit.value(at, value)
    }

    /// A value of a certain form.
    fn one(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        form: Form,
        encoding: Encoding,
    ) -> Option<String> {
        self.tell(at, Value { text, form, encoding, label: None, kind: None })
    }

    /// A text: as one value, or by what is in it. Gives what is to stand there, not encoded.
    fn text(&mut self, at: &Trail<'_>, text: &str, encoding: Encoding) -> Option<String> {
        self.labelled(at, text, encoding, None)
    }

    fn labelled(
        &mut self,
        at: &Trail<'_>,
        text: &str,
        encoding: Encoding,
        label: Option<&str>,
    ) -> Option<String> {
        self.whole(at, Value { text, form: Form::Text, encoding, label, kind: None })
    }

    /// A text with what is known of it.
    fn whole(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        match self.document_in(at, value) {
            Some(edited) => edited,
            None => self.tell(at, value),
        }
    }

    /// What a text holds, where it holds a document: none where it does not.
    fn document_in(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<Option<String>> {
        let text = value.text;
        let first = *text.as_bytes().trim_ascii_start().first()?;
        if self.layers == 0 || text.len() < 2 {
            return None;
        }
        self.layers -= 1;
        let found = match first {
            b'{' | b'[' => self.json_in(at, text, value),
            b'<' => self.xml_in(at, text, value),
            b'e' | b'W' | b'P' => self.token_in(at, value),
            b'h' | b'H' => self.url_in(at, value),
            b'/' => self.link_in(at, value),
            _ => None,
        };
        self.layers += 1;
        found
    }

    /// A script: a document, or the documents in its code and what stands between them, each at a
    /// line of its own.
    fn code(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let (form, encoding) = (Form::Text, Encoding::Plain);
        let value = Value { text, form, encoding, label: None, kind: None };
        if let Some(edited) = self.document_in(at, value) {
            return edited;
        }
        let documents = if self.layers == 0 { Vec::new() } else { code::documents(text) };
        if documents.is_empty() || !self.visit.inside(at, value) {
            return self.tell(at, value);
        }
        self.layers -= 1;
        let mut patch = Patch::default();
        let root = at.then(Step::Root);
        let is_one = documents.len() == 1;
        let mut from = 0;
        let end = text.len()..text.len();
        for (index, range) in documents.into_iter().chain([end]).enumerate() {
            let between = &text[from..range.start];
            if !between.trim_ascii().is_empty() {
                let line = at.then(Step::Line(index + 1));
                patch.put_some(
                    from..range.start,
                    self.one(&line, between, Form::Text, Encoding::Plain),
                    Encoding::Plain,
                );
            }
            let indexed = root.then(Step::Index(index));
            let place = if is_one { &root } else { &indexed };
            let edited = self.json_at(place, &text[range.clone()]);
            patch.put_some(range.clone(), edited, Encoding::Plain);
            from = range.end;
        }
        self.layers += 1;
        patch.applied(text)
    }

    /// A JSON Web Token's claims, or a document in base64.
    fn token_in(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<Option<String>> {
        /// Shortest text of base64 that may hold a document.
        const SHORTEST: usize = 8;
        let text = value.text;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=.".contains(&byte);
        if text.len() < SHORTEST || !text.bytes().all(plain) {
            return None;
        }
        let mut parts = text.split('.');
        let (head, payload, signature) = (parts.next()?, parts.next(), parts.next());
        let (held, around) = match (payload, signature, parts.next()) {
            (None, ..) => (head, None),
            (Some(payload), Some(signature), None) => (payload, Some((head, signature))),
            _ => return None,
        };
        let held = encoding::base64_text(held)?;
        let edited = match held.as_bytes().trim_ascii_start().first()? {
            b'{' | b'[' => self.json_in(at, &held, value)?,
            b'<' => self.xml_in(at, &held, value)?,
            _ => return None,
        };
        Some(edited.map(|edited| match around {
            Some((head, signature)) => {
                format!("{head}.{}.{signature}", encoding::base64_of(edited.as_bytes(), true))
            }
            None => encoding::base64_of(edited.as_bytes(), text.contains(['-', '_'])),
        }))
    }

    /// Bytes that are no text.
    fn digest(&mut self, at: &Trail<'_>, bytes: &[u8]) {
        let text = digest_text(bytes.len() as u64, &Sha256::digest(bytes));
        self.one(at, &text, Form::Digest, Encoding::Plain);
    }
}

/// `1024 bytes, sha256 ab12cd34ef567890`.
pub fn digest_text(length: u64, sha256: &[u8]) -> String {
    let start = hex(&sha256[..sha256.len().min(8)]);
    format!("{length} bytes, sha256 {start}")
}

/// What is to stand elsewhere in a text than it does: byte ranges in order, and their new texts.
#[derive(Debug, Default)]
struct Patch(Vec<(Range<usize>, String)>);

impl Patch {
    fn put(&mut self, at: Range<usize>, text: impl Into<String>) {
        self.0.push((at, text.into()));
    }

    /// Puts a text that a visitor gave, encoded.
    fn put_some(&mut self, at: Range<usize>, text: Option<String>, encoding: Encoding) {
        if let Some(text) = text {
            self.put(at, encoding.encoded(&text));
        }
    }

    /// The patched text; none where nothing was put.
    fn applied(self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(text.len() + 32);
        let mut from = 0;
        for (at, new) in self.0 {
            out.push_str(text.get(from..at.start).unwrap_or_default());
            out.push_str(&new);
            from = at.end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        Some(out)
    }
}

/// Where a slice of `text` begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// The trail one step further, or its first step.
fn further<'n>(at: Option<&'n Trail<'n>>, step: Step<'n>) -> Trail<'n> {
    match at {
        Some(at) => at.then(step),
        None => Trail::new(step),
    }
}

/// The trail to a content as a whole: of a part its own, else that of the body.
fn whole<'n>(at: Option<&Trail<'n>>) -> Trail<'n> {
    at.map_or_else(|| Trail::new(Step::Body), Trail::clone)
}

/// The type of a body or part.
fn kind_of(headers: &Headers) -> MediaType<'_> {
    MediaType::new(headers.get("content-type").unwrap_or_default())
}

#[cfg(test)]
mod tests;
