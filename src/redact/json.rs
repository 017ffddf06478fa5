//! Secrets in JSON: below a secret's name, in pairs of a name and a value, in the variables of
//! GraphQL, and by the look of what stands in strings. Reads tokens, not documents, so that damaged
//! and cut ones are searched too.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

use super::edits::Edits;
use super::hide::{self, Hide};
use super::marks::Marks;
use super::names::{self, HeaderSecret};
use super::rules::RedactStep;
use super::scan::{JsonToken, Scanner};
use super::view::{View, ViewEncoding};

/// Deepest nesting that paths are followed into; what is deeper belongs to the value at this depth.
const DEPTH: usize = 128;
/// Members that tell by its path which value another member holds.
const LOCATIONS: [&str; 2] = ["loc", "path"];
/// Members that say, where they are true, that the value beside them is secret (Terraform, GitLab,
/// Azure).
const FLAGS: [&str; 4] = ["sensitive", "masked", "issecret", "is_secret"];
/// Members that hold what people read beside a value.
const LABELS: [&str; 1] = ["label"];
/// Members that hold texts by the names of fields: `{"errors": {"password": ["is too short"]}}`.
const TEXTS: [&str; 7] =
    ["errors", "i18n", "labels", "messages", "placeholders", "translations", "violations"];
/// Members that hold what is said of fields by their names (JSON Schema).
const SCHEMAS: [&str; 2] = ["properties", "definitions"];
/// Operations of a JSON Patch (RFC 6902 §4).
const OPERATIONS: [&[u8]; 6] = [b"add", b"remove", b"replace", b"move", b"copy", b"test"];
/// Members of a JSON Web Key (RFC 7518 §6) that are secret.
const KEY_PARTS: [&[u8]; 8] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"oth", b"k"];

/// Members that say something of the value beside them only where another member does, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JointMember {
    /// `op` and `path` of a JSON Patch (RFC 6902 §4).
    Operation,
    Pointer,
    /// `name` or `key`, and `secret`.
    Title,
    Flag,
}

impl JointMember {
    fn of(key: &[u8]) -> Option<Self> {
        match key {
            b"op" => Some(Self::Operation),
            b"path" => Some(Self::Pointer),
            _ if names::is_among(&["secret"], key) => Some(Self::Flag),
            _ => names::is_among(&["name", "key"], key).then_some(Self::Title),
        }
    }
}

/// What an object holds by the names of fields, in place of their values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Describes {
    Texts,
    Schemas,
}

impl Describes {
    fn of(key: &[u8]) -> Option<Self> {
        if names::is_among(&TEXTS, key) {
            return Some(Self::Texts);
        }
        names::is_among(&SCHEMAS, key).then_some(Self::Schemas)
    }

    /// How what stands in a secret's place is one: words are texts.
    fn judged(self, kind: HeaderSecret, opens: bool) -> HeaderSecret {
        let says = self == Self::Texts || opens;
        if says && kind == HeaderSecret::Whole { HeaderSecret::NoWord } else { kind }
    }
}

/// What encloses a value.
#[derive(Default)]
struct JsonFrame {
    is_array: bool,
    /// Everything in it is secret.
    secret: Option<HeaderSecret>,
    has_step: bool,
    /// It holds the variables of a GraphQL document.
    has_variables: bool,
    describes: Option<Describes>,
    /// What a member, or the element before, names is secret.
    named: Option<HeaderSecret>,
    /// Strings so far, of an array.
    strings: usize,
    /// It is a path, whose last name says what another member holds.
    is_location: bool,
    /// It has an operation of a JSON Patch.
    has_operation: bool,
    /// What the pointer of a JSON Patch names is secret.
    pointed: Option<HeaderSecret>,
    /// It has a name or a key.
    has_title: bool,
    /// It says `"secret": true`.
    is_flagged: bool,
    /// The value that a member may name later, and how it is written.
    value: Option<(Range<usize>, ViewEncoding)>,
}

/// What the key before the next value says.
#[derive(Clone, Copy)]
struct KeySays {
    secret: Option<HeaderSecret>,
    /// Whether it is one of the names of members that name another one's value.
    is_name: bool,
    /// Whether it is one of the names of members that hold what another one names.
    is_value: bool,
    is_variables: bool,
    is_location: bool,
    /// Whether it says, where it is true, that what stands beside it is secret.
    is_flag: bool,
    /// Whether it holds what people read beside a value: a name, or any text.
    is_label: bool,
    joint: Option<JointMember>,
    describes: Option<Describes>,
}

impl KeySays {
    const NOTHING: Self = Self {
        secret: None,
        is_name: false,
        is_value: false,
        is_variables: false,
        is_location: false,
        is_flag: false,
        is_label: false,
        joint: None,
        describes: None,
    };
}

/// The content with its secrets replaced; none where there are none.
pub(super) fn redact(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let marks = Marks::of(hide, content);
    let has_paths = hide.has_paths();
    if marks.is_empty() && !has_paths && !marks.has_escapes() {
        return None;
    }
    let mut walk = SecretJsonWalk::new(content, marks);
    if !has_paths && walk.is_flat(hide) {
        return walk.flat(hide);
    }
    walk.enclose(secret_variables(hide, content));
    walk.has_paths = has_paths;
    walk.walk(hide)
}

/// The variables of a GraphQL document, of which `variables` are secret.
pub(super) fn redact_variables(
    hide: &mut impl Hide,
    content: &[u8],
    variables: Vec<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut walk = SecretJsonWalk::new(content, Marks::of(hide, content));
    walk.enclose(variables);
    walk.key.is_variables = true;
    walk.walk(hide)
}

impl<'a> SecretJsonWalk<'a> {
    const fn new(content: &'a [u8], marks: Marks) -> Self {
        Self {
            content,
            is_key: false,
            is_secret_object: false,
            marks,
            variables: Vec::new(),
            has_paths: false,
            edits: Edits::new(content),
            frames: Vec::new(),
            steps: Vec::new(),
            key: KeySays::NOTHING,
            odd: false,
            is_grant: None,
        }
    }

    /// Looks for what makes members secret that have other names: a GraphQL document of which
    /// `variables` are, a JSON Web Key, a Secret of Kubernetes.
    fn enclose(&mut self, variables: Vec<Vec<u8>>) {
        // Both hold a part of a secret's name.
        let content = self.content;
        let has = |text: &[u8]| memmem::find(content, text).is_some();
        let named = !self.marks.has_no_names();
        self.is_key = named && has(b"\"kty\"");
        self.is_secret_object =
            named && (has(b"\"kind\":\"Secret\"") || has(b"\"kind\": \"Secret\""));
        self.variables = variables;
    }

    fn walk(mut self, hide: &mut impl Hide) -> Option<Vec<u8>> {
        let walk = &mut self;
        for token in Scanner::new(walk.content) {
            walk.token(hide, token);
        }
        self.finish(hide)
    }

    /// Where the string that begins at `start` ends, and whether it has escapes.
    fn string(&self, start: usize) -> (usize, bool) {
        let mut at = start;
        let mut has_escapes = false;
        while let Some(next) = self.content.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            if self.content[at + next] == b'"' {
                return (at + next, has_escapes);
            }
            has_escapes = true;
            at += next + 2;
        }
        (self.content.len(), has_escapes)
    }

    /// Where the next string begins from `at` on, without its quote.
    fn next_string(&self, at: usize) -> Option<usize> {
        Some(at + memchr(b'"', self.content.get(at..)?)? + 1)
    }

    /// Whether each secret is told by the key right before it, or by its own look: nothing that
    /// names a secret encloses others, nor says what stands elsewhere. Most documents are so, and
    /// need no walk over all that encloses a value.
    fn is_flat(&mut self, hide: &impl Hide) -> bool {
        if self.marks.has_no_names() {
            return true;
        }
        let content = self.content;
        let mut key = 0..0;
        let mut at = 0;
        while let Some(start) = self.next_string(at) {
            let range = start..self.string(start).0;
            at = range.end + 1;
            let is_key = Scanner::is_key(content, at);
            if self.marks.has_name(content, &range)
                && match is_key {
                    true => self.encloses(hide, &range),
                    false => names_another(hide, content, &key, &range),
                }
            {
                return false;
            }
            if is_key {
                key = range;
            }
        }
        self.marks.rewind();
        true
    }

    /// Whether a key says more than that the scalar behind it is secret.
    fn encloses(&self, hide: &impl Hide, range: &Range<usize>) -> bool {
        let source = &self.content[range.clone()];
        source == b"kty"
            || names::is_among(&FLAGS, source)
            || JointMember::of(source) == Some(JointMember::Flag)
            || matches!(self.behind_key(range), Some(b'{' | b'['))
                && (Describes::of(source).is_some() || secret_key(hide, source).is_some())
    }

    /// What a member's value begins with.
    fn behind_key(&self, key: &Range<usize>) -> Option<u8> {
        let rest = self.content.get(key.end + 1..)?;
        rest.iter().copied().find(|byte| !byte.is_ascii_whitespace() && *byte != b':')
    }

    /// Looks at the values that call for it, where [`Self::is_flat`]: quotes are all that need be
    /// read.
    fn flat(mut self, hide: &mut impl Hide) -> Option<Vec<u8>> {
        let content = self.content;
        let mut at = 0;
        while at < content.len() {
            let string = self.next_string(at);
            for token in
                Scanner::between(content, at..string.map_or(content.len(), |start| start - 1))
            {
                match token {
                    JsonToken::Number(range) => {
                        if self.key.secret.is_some() || self.marks.calls_for(&range) {
                            self.scalar(hide, range);
                        }
                        self.key = KeySays::NOTHING;
                    }
                    JsonToken::Word(range) => self.scalar(hide, range),
                    _ => self.key = KeySays::NOTHING,
                }
            }
            let Some(start) = string else { break };
            let (end, has_escapes) = self.string(start);
            let range = start..end;
            at = end + 1;
            if Scanner::is_key(content, at) {
                self.key = KeySays::NOTHING;
                if self.marks.has_name(content, &range)
                    && !matches!(self.behind_key(&range), None | Some(b',' | b'}' | b']'))
                {
                    let source = &content[range];
                    self.key.secret = secret_key(hide, source).or_else(|| self.code(source));
                }
            } else if self.key.secret.is_some() || has_escapes || self.marks.calls_for(&range) {
                self.scalar(hide, range);
            }
        }
        self.finish(hide)
    }

    /// How a code is secret that is given for a token.
    fn code(&mut self, key: &[u8]) -> Option<HeaderSecret> {
        if key != b"code" {
            return None;
        }
        let content = self.content;
        let is_grant = || memmem::find(content, b"\"grant_type\"").is_some();
        self.is_grant.get_or_insert_with(is_grant).then_some(HeaderSecret::Whole)
    }

    fn finish(self, hide: &mut impl Hide) -> Option<Vec<u8>> {
        if self.odd {
            return self.edits.finish_by(|rest| hide::looks(hide, rest));
        }
        self.edits.finish()
    }
}

struct SecretJsonWalk<'a> {
    content: &'a [u8],
    marks: Marks,
    variables: Vec<Vec<u8>>,
    has_paths: bool,
    /// A JSON Web Key is in it.
    is_key: bool,
    /// It is a Secret of Kubernetes.
    is_secret_object: bool,
    edits: Edits<'a>,
    frames: Vec<JsonFrame>,
    steps: Vec<RedactStep>,
    key: KeySays,
    /// Whether it is perhaps no JSON, but a text that begins like one.
    odd: bool,
    /// Whether it asks for a token (RFC 6749 §4.1.3), once that was asked.
    is_grant: Option<bool>,
}

impl SecretJsonWalk<'_> {
    fn token(&mut self, hide: &mut impl Hide, token: JsonToken) {
        match token {
            JsonToken::Key(range) => self.key(hide, range),
            JsonToken::Open(byte) => self.open(byte),
            JsonToken::Close(_) => {
                let frame = self.frames.pop().unwrap_or_default();
                if frame.has_step {
                    self.steps.pop();
                }
                if frame.is_location
                    && let Some(around) = self.frames.last_mut()
                {
                    around.named = frame.named;
                }
                self.key = KeySays::NOTHING;
            }
            JsonToken::Comma => self.comma(),
            JsonToken::Text(range) | JsonToken::Number(range) | JsonToken::Word(range) => {
                self.scalar(hide, range);
            }
        }
    }

    fn key(&mut self, hide: &mut impl Hide, range: Range<usize>) {
        let source = &self.content[range.clone()];
        self.key = KeySays {
            is_name: names::is_name_of_other(source),
            is_value: names::is_value_of_other(source),
            is_variables: source == b"variables" && !self.variables.is_empty(),
            is_location: names::is_among(&LOCATIONS, source),
            is_flag: names::is_among(&FLAGS, source),
            is_label: names::is_among(&LABELS, source),
            joint: JointMember::of(source),
            describes: Describes::of(source),
            secret: None,
        };
        let describes = self.frames.last().and_then(|frame| frame.describes);
        let is_part_of_key = self.is_key && KEY_PARTS.contains(&source);
        let is_data = self.is_secret_object && matches!(source, b"data" | b"stringData");
        if is_part_of_key || is_data {
            self.key.secret = Some(HeaderSecret::Whole);
        }
        let may_be_secret = self.marks.has_name(self.content, &range);
        let is_variable = self.frames.last().is_some_and(|frame| frame.has_variables)
            && self.variables.iter().any(|variable| variable == source);
        if is_variable {
            self.key.secret = Some(HeaderSecret::Whole);
        }
        if may_be_secret || self.has_paths {
            let view = View::new(source, ViewEncoding::Json);
            let name = String::from_utf8_lossy(&view.bytes);
            if may_be_secret {
                let kind = hide.field(&name);
                let kind = kind.map(|kind| describes.map_or(kind, |says| says.judged(kind, false)));
                self.key.secret = self.key.secret.or(kind).or_else(|| self.code(source));
            }
            if self.has_paths && self.steps.len() < DEPTH {
                if self.frames.last().is_some_and(|frame| frame.has_step) {
                    self.steps.pop();
                }
                self.steps.push(RedactStep::Member(name.into_owned()));
                if let Some(frame) = self.frames.last_mut() {
                    frame.has_step = true;
                }
            }
        }
    }

    fn open(&mut self, byte: u8) {
        let key = std::mem::replace(&mut self.key, KeySays::NOTHING);
        let around = self.frames.last();
        let named = around.filter(|_| key.is_value).and_then(|frame| frame.named);
        let describes = around.and_then(|frame| frame.describes);
        let secret = key.secret.map(|kind| describes.map_or(kind, |says| says.judged(kind, true)));
        // What stands below a session has names of its own.
        let is_made = |kind| kind == HeaderSecret::Made;
        let secret = secret.map(|kind| if is_made(kind) { HeaderSecret::NoWord } else { kind });
        self.frames.push(JsonFrame {
            is_array: byte == b'[',
            secret: around.and_then(|frame| frame.secret).or(secret).or(named),
            describes: key.describes.filter(|_| byte == b'{').or(describes),
            has_variables: key.is_variables,
            is_location: key.is_location && byte == b'[',
            ..JsonFrame::default()
        });
        if self.has_paths && byte == b'[' && self.steps.len() < DEPTH {
            self.steps.push(RedactStep::Index(0));
            self.frames.last_mut().expect("one was pushed").has_step = true;
        }
    }

    fn comma(&mut self) {
        self.key = KeySays::NOTHING;
        if self.frames.last().is_some_and(|frame| frame.is_array && frame.has_step)
            && let Some(RedactStep::Index(index)) = self.steps.last_mut()
        {
            *index += 1;
        }
    }

    fn scalar(&mut self, hide: &mut impl Hide, range: Range<usize>) {
        let key = std::mem::replace(&mut self.key, KeySays::NOTHING);
        let scalar = &self.content[range.clone()];
        let is_text = range.start > 0 && self.content[range.start - 1] == b'"';
        if let Some(member) = key.joint {
            self.joint(hide, member, &range, is_text);
        }
        if !is_text && matches!(scalar, b"true" | b"false" | b"null") {
            if key.is_flag && scalar == b"true" {
                self.name(hide, HeaderSecret::Whole);
            }
            return;
        }
        self.odd |= !is_text && !matches!(scalar[0], b'-' | b'0'..=b'9');
        let encoding = if is_text { ViewEncoding::Json } else { ViewEncoding::Bare };
        if key.is_variables && is_text {
            // The variables as a text.
            let variables = self.variables.clone();
            let new = hide::within(hide, scalar, encoding, |hide, inner| {
                redact_variables(hide, inner, variables)
            });
            self.edits.put(&range, new);
            return;
        }
        let (has_look, has_name) = self.marks.has_look(self.content, &range);
        let secret = key
            .secret
            .or_else(|| self.frames.last().and_then(|frame| frame.secret))
            .or_else(|| self.by_name(hide, key, &range, encoding, has_name))
            .or_else(|| (self.has_paths && hide.is_path(&self.steps)).then_some(HeaderSecret::All));
        let new = match secret {
            Some(kind) => hide::whole(hide, kind, scalar, encoding),
            None if has_look || self.marks.has_escapes() && memchr(b'\\', scalar).is_some() => {
                hide::parts(hide, scalar, encoding)
            }
            None => None,
        };
        self.edits.put(&range, new);
    }

    /// Whether a value is secret by what stands beside it: `{"name": "password", "value": …}`,
    /// `[["password", …]]`, `["Authorization", …]`, `["--token", …]`.
    fn by_name(
        &mut self,
        hide: &mut impl Hide,
        key: KeySays,
        range: &Range<usize>,
        encoding: ViewEncoding,
        has_name: bool,
    ) -> Option<HeaderSecret> {
        let in_pairs = self.frames.len() > 1 && self.frames[self.frames.len() - 2].is_array;
        let frame = self.frames.last_mut()?;
        if frame.is_array {
            frame.strings += 1;
            if frame.is_location {
                frame.named =
                    has_name.then(|| name_of(hide, &self.content[range.clone()])).flatten();
                return None;
            }
            let named = frame.named.take();
            let is_named = named.is_some_and(|kind| kind != HeaderSecret::Drawn);
            if has_name && !is_named && encoding == ViewEncoding::Json {
                let source = &self.content[range.clone()];
                let names = in_pairs && frame.strings == 1
                    || names::is_extension(&String::from_utf8_lossy(source))
                    || source.starts_with(b"--");
                // In a list of words the next one is secret only where it looks so.
                frame.named = name_of(hide, source).map(|kind| match kind {
                    kind if names || !kind.is_whole() => kind,
                    _ => HeaderSecret::Drawn,
                });
            }
            return named;
        }
        if key.is_value {
            if frame.named.is_none() {
                frame.value = Some((range.clone(), encoding));
            }
            return frame.named;
        }
        if (key.is_name || key.is_label) && has_name && encoding == ViewEncoding::Json {
            let kind = name_of(hide, &self.content[range.clone()])?;
            let is_word = key.is_label && kind == HeaderSecret::Whole;
            self.name(hide, if is_word { HeaderSecret::NoWord } else { kind });
        }
        None
    }

    /// Takes the value beside two members that say together that it is secret.
    fn joint(
        &mut self,
        hide: &mut impl Hide,
        member: JointMember,
        range: &Range<usize>,
        is_text: bool,
    ) {
        let scalar = &self.content[range.clone()];
        let pointed =
            (member == JointMember::Pointer && is_text).then(|| name_of(hide, scalar)).flatten();
        let Some(frame) = self.frames.last_mut().filter(|frame| !frame.is_array) else { return };
        match member {
            JointMember::Operation => frame.has_operation |= OPERATIONS.contains(&scalar),
            JointMember::Pointer => frame.pointed = pointed,
            JointMember::Title => frame.has_title |= is_text,
            JointMember::Flag => frame.is_flagged |= !is_text && scalar == b"true",
        }
        let flagged = (frame.is_flagged && frame.has_title).then_some(HeaderSecret::Whole);
        let secret = frame.pointed.filter(|_| frame.has_operation).or(flagged);
        if let Some(kind) = secret.filter(|_| frame.named.is_none()) {
            self.name(hide, kind);
        }
    }

    /// Takes the value beside a member that says it is secret.
    fn name(&mut self, hide: &mut impl Hide, kind: HeaderSecret) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.named = Some(kind);
        if let Some((value, encoding)) = frame.value.take() {
            let new = hide::whole(hide, kind, &self.content[value.clone()], encoding);
            self.edits.put_before(&value, new);
        }
    }
}

/// How what a string names is secret.
fn name_of(hide: &impl Hide, source: &[u8]) -> Option<HeaderSecret> {
    let view = View::new(source, ViewEncoding::Json);
    let name = std::str::from_utf8(&view.bytes).ok()?;
    // A name, not a sentence.
    let is_name = name.len() <= 64 && name.split_ascii_whitespace().count() <= 2;
    is_name.then(|| hide.field(name)).flatten()
}

/// How a member of this name is secret.
fn secret_key(hide: &impl Hide, source: &[u8]) -> Option<HeaderSecret> {
    let view = View::new(source, ViewEncoding::Json);
    hide.field(&String::from_utf8_lossy(&view.bytes))
}

/// Whether the value at `range` may say that a value elsewhere is secret, where `key` is the last
/// one before it.
fn names_another(
    hide: &impl Hide,
    content: &[u8],
    key: &Range<usize>,
    range: &Range<usize>,
) -> bool {
    let value = &content[range.clone()];
    let key_says = &content[key.clone()];
    if value == b"kty" || key_says == b"query" && memchr(b'$', value).is_some() {
        return true;
    }
    crate::steps::add(1);
    // Asked first: what stands before a value is looked at once, however many come behind a key.
    if name_of(hide, value).is_none() {
        return false;
    }
    // An element of an array may name the one behind it.
    let between = content.get(key.end + 1..range.start - 1).unwrap_or_default();
    let is_gap = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b':';
    let gap = between.iter().take_while(is_gap).count();
    crate::steps::add(gap);
    let is_member = !key.is_empty() && gap == between.len();
    !is_member
        || names::is_name_of_other(key_says)
        || names::is_among(&LABELS, key_says)
        || matches!(key_says, b"path" | b"kind")
        || JointMember::of(key_says).is_some()
}

/// Arguments that are versions of what the field around them changes.
const VERSIONS: [&[u8]; 6] = [b"old", b"new", b"current", b"previous", b"confirm", b"value"];

/// What stands before the last bracket that is open in `text`.
fn enclosing(text: &[u8]) -> Option<&[u8]> {
    let window = &text[text.len().saturating_sub(256)..];
    memrchr(b'(', window).map(|at| &window[..at])
}

/// Variables that a GraphQL document passes to arguments of secrets' names:
/// `login(password: $p)`.
fn secret_variables(hide: &impl Hide, content: &[u8]) -> Vec<Vec<u8>> {
    let is_graphql = memmem::find(content, b"\"variables\"").is_some()
        && memmem::find(content, b"\"query\"").is_some();
    if is_graphql { variables_of(hide, content) } else { Vec::new() }
}

/// The variables of a GraphQL document that are secret by the arguments that they are passed to, or
/// by their types.
pub(super) fn variables_of(hide: &impl Hide, content: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for dollar in memchr_iter(b'$', content) {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let last = |text: &'_ [u8]| {
            let text = text[text.len().saturating_sub(64)..].trim_ascii_end();
            let length = text.iter().rev().take_while(|byte| is_name(byte)).count();
            text[text.len() - length..].to_vec()
        };
        let variable = content[dollar + 1..].iter().take(64).take_while(|byte| is_name(byte));
        let variable: Vec<u8> = variable.copied().collect();
        let is_secret = |name: &[u8]| {
            std::str::from_utf8(name).is_ok_and(|name| {
                let kind = names::field_secret(name);
                kind.is_some_and(|kind| kind != HeaderSecret::Drawn) && hide.field(name).is_some()
            })
        };
        let before = content[..dollar].trim_ascii_end();
        let secret = if let Some(before) = before.strip_suffix(b":") {
            let argument = last(before);
            is_secret(&argument)
                || VERSIONS.contains(&&*argument)
                    && enclosing(before).is_some_and(|field| is_secret(&last(field)))
        } else {
            // `$p: Password!`
            let rest = content[dollar + 1 + variable.len()..].trim_ascii_start();
            rest.strip_prefix(b":").is_some_and(|rest| {
                let kind = rest.trim_ascii_start();
                let kind = &kind[..kind.iter().take(64).take_while(|byte| is_name(byte)).count()];
                kind.len() > 1 && kind[1..].iter().all(u8::is_ascii_lowercase) && is_secret(kind)
            })
        };
        if secret && found.len() < DEPTH && !found.contains(&variable) {
            found.push(variable);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Masker;

    #[test]
    fn some_members_tell_of_a_value_only_beside_another() {
        let masker = Masker::new(b"key");
        for (text, is_hidden) in [
            (r#"{"op":"replace","path":"/spec/password","value":"k1"}"#, true),
            (r#"{"value":"k1","path":"/spec/password","op":"add"}"#, true),
            (r#"{"path":"/login/password","value":"k1"}"#, false),
            (r#"{"op":"get","path":"/login/password","value":"k1"}"#, false),
            (r#"{"name":"x","secret":true,"value":"k1"}"#, true),
            (r#"{"value":"k1","secret":true,"key":"x"}"#, true),
            (r#"{"secret":true,"value":"k1"}"#, false),
            (r#"{"name":"x","secret":false,"value":"k1"}"#, false),
            (r#"[{"name":"x"},{"secret":true,"value":"k1"}]"#, false),
            (r#"{"sensitive":true,"value":"k1"}"#, true),
            (r#"{"pw":"hunter22","cred":"k1"}"#, false),
            (r#"{"pw":"k1-3","cred":"k1-3"}"#, true),
            (r#"{"parola":"ciao k1"}"#, false),
            (r#"{"parola":"xk1x"}"#, true),
            (r#"{"user_code":"EMP-k1"}"#, false),
            (r#"{"errors":{"user":{"password":["k1 is short"],"token":"missing k1"}}}"#, false),
            (r#"{"labels":{"password":"Password k1"}}"#, false),
            (r#"{"properties":{"password":{"type":"string","title":"of k1"}}}"#, false),
            (r#"{"properties":{"password":{"type":"string","default":"k1k1"}}}"#, true),
            (r#"{"properties":{"token":"of k1"}}"#, true),
            (r#"{"errors":{"password":"k1-k1"}}"#, true),
            (r#"{"errors":[1],"password":"of k1"}"#, true),
            (r#"{"ajax_nonce":"Zq7hT2mXk1Lk4RvB1nYs"}"#, true),
            (r#"{"ticket":"Zq7hT2mXk1Lk4RvB1nYs","g-recaptcha-response":"k1"}"#, true),
            (r#"{"challenge":"Climb k1","nonce":"of k1"}"#, false),
            (r#"{"sessionTitle":"k1k1","has_password":"k1k1","privateKeyPath":"/k1.pem"}"#, false),
            (r#"{"fieldName":"password","fieldValue":"k1"}"#, true),
            (r#"{"field":"password","from":"a","to":"k1"}"#, true),
            (r#"{"diff":[{"path":["user","password"],"rhs":"k1"}]}"#, true),
        ] {
            let shown = masker.text(text);
            assert_eq!(!shown.contains("k1"), is_hidden, "{text}: {shown}");
        }
        let text = r#"{"path":"/login/password","value":12}"#;
        assert_eq!(masker.text(text), text);
    }

    const SECRET: &str = "AKIAIOSFODNN7EXAMPLE";

    fn walk_of<'a>(masker: &Masker, text: &'a str) -> SecretJsonWalk<'a> {
        SecretJsonWalk::new(text.as_bytes(), Marks::of(&masker, text.as_bytes()))
    }

    /// What the walk over all that encloses a value makes of a text.
    fn walked(masker: &Masker, text: &str) -> Option<Vec<u8>> {
        let mut walk = walk_of(masker, text);
        walk.enclose(secret_variables(&masker, text.as_bytes()));
        walk.walk(&mut &*masker)
    }

    #[test]
    fn a_flat_text_is_searched_as_any_other() {
        let masker = Masker::new(b"key");
        for text in [
            r#"{"a":"S","b":[1,"x S y",{"c":"S"}]}"#,
            r#"{ "S" : "S" , "d":4111111111111111,"e":-4111111111111111 }"#,
            r#"["S","S",null,true,"https://u:zz@h.example/"]"#,
            r#"{"a":"S"#,
            r#"{"a":S,"b":"S"}"#,
            r#"{it is S, "and S", 4111111111111111"#,
            r#""S""#,
            r#""S"#,
            "{\"a\":\"\",\"\":\"S\"}",
            "[\"a\"\n:\"S\",\"S\" \t: 1]",
            r#"[{"company":"Tea","access_token":"q7Zr0pW3sT9u"},{"pin":1234,"key":"S"}]"#,
            r#"{"api_key":q7Zr0pW3sT9u,"shipping_code":"DHL","passport":"a\"b S"}"#,
            r#"{"пароль":"q7Zr0pW3sT9u","pass\u0077ord" : "q7Zr0pW3sT9u"}"#,
            r#"{"token_type":"bearer","token":"q7Zr0pW3sT9u","note":"password: k9k9k9k9"}"#,
            r#"{"password":null,"secret":true,"token":"#,
        ] {
            let text = text.replace('S', SECRET);
            let is_flat = walk_of(&masker, &text).is_flat(&&masker);
            // The last one says that a value beside it is secret.
            assert_eq!(is_flat, !text.ends_with("true,\"token\":"), "{text}");
            if is_flat {
                let flat = walk_of(&masker, &text).flat(&mut &masker);
                assert_eq!(flat, walked(&masker, &text), "{text}");
                assert!(flat.is_some(), "{text}");
            }
        }
        for text in [r#"{"a":"b"}"#, "\"", "[1,2]", r#"{"company":"x","inside":[true]}"#] {
            assert!(walk_of(&masker, text).is_flat(&&masker), "{text}");
            assert_eq!(walk_of(&masker, text).flat(&mut &masker), None, "{text}");
        }
        for text in [
            r#"{"name":"password","value":"k1k1k1"}"#,
            r#"[["Authorization","k1k1k1"]]"#,
            r#"{"credentials":{"a":"k1k1k1"}}"#,
            r#"{"sensitive":true,"value":"k1k1k1"}"#,
            r#"{"kty":"oct","k":"k1k1k1"}"#,
            r#"{"kind":"Secret","data":{"a":"k1k1k1"}}"#,
            r#"{"query":"mutation($p:X){login(password:$p)}","variables":{"p":"k1k1k1"}}"#,
            r#"{"op":"add","path":"/password","value":"k1k1k1"}"#,
            r#"{"loc":["body","password"],"value":"k1k1k1"}"#,
        ] {
            assert!(!walk_of(&masker, text).is_flat(&&masker), "{text}");
            let hidden = redact(&mut &masker, text.as_bytes()).expect("a secret is in it");
            assert!(!String::from_utf8_lossy(&hidden).contains("k1k1k1"), "{text}");
        }
    }

    #[test]
    fn a_text_is_found_to_be_flat_in_n_log_n() {
        let masker = Masker::new(b"key");
        crate::steps::hold_to_n_log_n(2_000, |n| {
            let elements = vec![r#""token a b c""#; n].join(",");
            let text = format!("{{\"passport\":{}[{elements}]}}", " ".repeat(n));
            assert!(walk_of(&masker, &text).is_flat(&&masker));
        });
    }

    /// A member, an element or a value of JSON, drawn at random.
    fn draw_json(draw: &mut impl FnMut(usize) -> usize, depth: usize, text: &mut String) {
        const STRINGS: [&str; 31] = [
            "errors",
            "labels",
            "properties",
            "some text",
            "access_token",
            "company",
            "name",
            "key",
            "value",
            "password",
            "S",
            "S",
            "pass\\u0077ord",
            "path",
            "op",
            "add",
            "/a/password",
            "query",
            "kty",
            "d",
            "kind",
            "data",
            "secret",
            "sensitive",
            "loc",
            "пароль",
            "a\\nb token=q7Zr0pW3sT9u",
            "k9q7Zr0pW3sT9u",
            "variables",
            "($p:X){login(password:$p)}",
            "p",
        ];
        const SPACES: [&str; 5] = ["", "", "", " ", "\n\t"];
        const BARE: [&str; 6] = ["12345678", "4111111111111111", "true", "null", "S", "-1.5"];
        let string = |draw: &mut dyn FnMut(usize) -> usize, text: &mut String| {
            text.push_str(&format!("\"{}\"{}", STRINGS[draw(31)], SPACES[draw(5)]));
        };
        match draw(if depth == 0 { 4 } else { 7 }) {
            0 => text.push_str(BARE[draw(6)]),
            1..=3 => string(draw, text),
            kind => {
                let is_array = kind == 4;
                text.push_str(if is_array { "[" } else { "{" });
                for at in 0..draw(5) {
                    text.push_str(if at > 0 { "," } else { "" });
                    text.push_str(SPACES[draw(5)]);
                    if !is_array {
                        string(draw, text);
                        text.push_str(&format!(":{}", SPACES[draw(5)]));
                    }
                    draw_json(draw, depth - 1, text);
                }
                text.push_str(if is_array { "]" } else { "}" });
            }
        }
    }

    #[test]
    fn whatever_is_flat_is_searched_as_the_whole_walk_would() {
        let masker = Masker::new(b"key");
        let mut random = 7_u64;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let [mut flat, mut hidden, mut cut] = [0; 3];
        for _ in 0..20_000 {
            let mut text = String::new();
            draw_json(&mut draw, 4, &mut text);
            let mut text = text.replace('S', SECRET);
            if draw(3) == 0 {
                let at = (0..=draw(text.len())).rev().find(|at| text.is_char_boundary(*at));
                text.truncate(at.expect("0 is one"));
                cut += 1;
            }
            if walk_of(&masker, &text).is_flat(&&masker) {
                let new = walk_of(&masker, &text).flat(&mut &masker);
                assert_eq!(new, walked(&masker, &text), "{text}");
                flat += 1;
                hidden += usize::from(new.is_some());
            }
        }
        assert!(flat > 5_000 && hidden > 2_000 && cut > 5_000, "{flat} {hidden} {cut}");
    }
}
