//! Routes, learned from the paths themselves: `/orders/8231/items/2` and its kind become `GET
//! /orders/{id}/items/{n}`.
//!
//! A segment is a parameter by its shape (number, UUID, date, long token: the same in every run) or
//! by cardinality (a place that holds more different names than an API has: slugs). Learning
//! streams and is bounded, and its result does not depend on the order of the requests. Patterns
//! from the configuration come before anything learned. Query parameters are no part of a route.

pub mod rpc;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::kinds;
use crate::message::target::path_and_query;
use crate::message::tokens::{Token, tokens};
use crate::steps;

/// Different words at one place of a path before they are taken for slugs: an API with more
/// endpoints side by side is rare.
const MAX_WORDS: usize = 60;
/// The same at the first place of a path, where endpoints are and slugs seldom.
const MAX_FIRST_WORDS: usize = 150;
/// Different names that look like slugs (several words, digits) at one place before they are taken
/// for such.
const MAX_SLUGS: usize = 12;
/// Most places that are kept; beyond, new names count as slugs at once. A scan of a million paths
/// stays in a few MiB.
const MAX_NODES: usize = 20_000;
/// Segments of a path that are looked at; what follows is `**`.
const MAX_SEGMENTS: usize = 24;
/// Longest literal segment, in bytes; a longer one is a value.
const MAX_LITERAL: usize = 64;
/// Most methods that are kept as they are; a capture with more is hostile.
const MAX_METHODS: usize = 64;
/// The format's name in `routes.json`.
const FORMAT: &str = "shadowtap/routes";

/// What a segment of a path looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RouteSegment {
    /// A plain word: part of the API.
    Word,
    /// Several words or a mixture of letters and digits: an API may name something so, but not
    /// often side by side.
    SlugLike,
    /// Digits only.
    Number,
    /// An identifier by its shape.
    Id,
    /// A calendar date.
    Date,
    /// An e-mail address.
    Email,
}

/// A route that the user gave: `GET /orders/{id}`, `* /files/**`, `GET /index.php?action=list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    text: Arc<str>,
    method: Option<String>,
    segments: Vec<PathPiece>,
    open: bool,
    query: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathPiece {
    Literal(String),
    /// `{name}` with what stands before and behind it in the segment.
    Any {
        before: String,
        behind: String,
    },
}

impl FromStr for RoutePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a route: {why}; write for example \"GET /orders/{{id}}\" or \"* /files/**\""
            )
        };
        let (method, rest) =
            text.trim().split_once(' ').ok_or_else(|| wrong("a method and a path are needed"))?;
        let (path, query) = match rest.trim().split_once('?') {
            None => (rest.trim(), ""),
            Some((path, query)) => (path, query),
        };
        let path = path.strip_prefix('/').ok_or_else(|| wrong("the path must start with /"))?;
        let (path, open) = match path.strip_suffix("**") {
            None => (path, false),
            Some("") => ("", true),
            Some(path) => {
                (path.strip_suffix('/').ok_or_else(|| wrong("** must follow a /"))?, true)
            }
        };
        let segments = if open && path.is_empty() {
            Vec::new()
        } else {
            path.split('/')
                .map(|segment| match (segment.find('{'), segment.rfind('}')) {
                    (None, None) => Ok(PathPiece::Literal(segment.to_owned())),
                    (Some(start), Some(end)) if start < end => Ok(PathPiece::Any {
                        before: segment[..start].to_owned(),
                        behind: segment[end + 1..].to_owned(),
                    }),
                    _ => Err(wrong("a brace has no partner")),
                })
                .collect::<Result<_, _>>()?
        };
        let query = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| match part.split_once('=') {
                None => (part.to_owned(), None),
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            })
            .collect();
        let method = (method != "*").then(|| method.to_owned());
        Ok(Self { text: text.trim().into(), method, segments, open, query })
    }
}

impl RoutePattern {
    /// The route's name: the pattern, with the request's method where the pattern takes any.
    fn name(&self, method: &str) -> Arc<str> {
        match &self.method {
            Some(_) => Arc::clone(&self.text),
            None => format!("{method}{}", &self.text[1..]).into(),
        }
    }

    /// Whether it is the route of a request.
    pub fn matches(&self, method: &str, target: &[u8]) -> bool {
        if self.method.as_deref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        let (path, query) = path_and_query(target);
        let Some(path) = path.strip_prefix(b"/") else { return false };
        let mut segments = path.split(|&byte| byte == b'/');
        for piece in &self.segments {
            let Some(segment) = segments.next() else { return false };
            let fits = match piece {
                PathPiece::Literal(literal) => segment == literal.as_bytes(),
                PathPiece::Any { before, behind } => {
                    segment.len() > before.len() + behind.len()
                        && segment.starts_with(before.as_bytes())
                        && segment.ends_with(behind.as_bytes())
                }
            };
            if !fits {
                return false;
            }
        }
        (self.open || segments.next().is_none())
            && self.query.iter().all(|wanted| has_parameter(query, wanted))
    }
}

fn has_parameter(query: &[u8], (name, value): &(String, Option<String>)) -> bool {
    query.split(|&byte| byte == b'&').any(|part| {
        let at = part.iter().position(|&byte| byte == b'=');
        let (n, v) = at.map_or((part, None), |at| (&part[..at], Some(&part[at + 1..])));
        n == name.as_bytes() && value.as_ref().is_none_or(|value| v == Some(value.as_bytes()))
    })
}

/// The routes of a service.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    patterns: Vec<RoutePattern>,
    nodes: Vec<RouteNode>,
    free: Vec<u32>,
    methods: Vec<Box<str>>,
}

/// A place of a path.
#[derive(Clone, Debug, Default)]
struct RouteNode {
    children: FxHashMap<Box<str>, u32>,
    /// Literal children by file extension, as `/static` has several kinds of file.
    groups: FxHashMap<Box<str>, Group>,
    /// The routes that end here: method and name.
    ends: Vec<(u16, Arc<str>)>,
    /// It is a service of RPC, whose children are methods however many they are.
    is_service: bool,
}

/// The literal children of a place that share an extension.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    words: u32,
    slugs: u32,
    words_merged: bool,
    slugs_merged: bool,
    /// Identifiers by shape stand here as well: what was merged are identifiers, some of which look
    /// like slugs.
    ids: bool,
}

impl Group {
    fn merges(&self, class: RouteSegment) -> bool {
        self.words_merged || self.slugs_merged && class != RouteSegment::Word
    }

    /// Whether the child with this key of a group belongs into the group's `{slug}`.
    fn takes(&self, key: &str, extension: &str) -> bool {
        match key.strip_prefix("{n}").or_else(|| key.strip_prefix("{id}")) {
            Some(behind) => behind == extension && self.slugs_merged,
            None => {
                !key.starts_with('{')
                    && self::extension(key) == extension
                    && self.merges(literal_class(key))
            }
        }
    }
}

impl RouteNode {
    /// A child's key as it is named: a `{slug}` among identifiers is one.
    fn shown<'k>(&self, key: &'k str) -> Cow<'k, str> {
        match key.strip_prefix("{slug}") {
            Some(extension) if self.groups.get(extension).is_some_and(|group| group.ids) => {
                Cow::Owned(format!("{SLUG_ID}{extension}"))
            }
            _ => Cow::Borrowed(key),
        }
    }
}

const ROOT: u32 = 0;

/// A `{slug}` that is named `{id}`.
const SLUG_ID: &str = "{slug:id}";

impl Routes {
    /// Nothing learned; `patterns` come first, in their order.
    pub fn new(patterns: Vec<RoutePattern>) -> Self {
        Self { patterns, nodes: vec![RouteNode::default()], ..Self::default() }
    }

    /// The same routes under other patterns.
    #[must_use]
    pub fn with_patterns(mut self, patterns: Vec<RoutePattern>) -> Self {
        self.patterns = patterns;
        self
    }

    /// Learns from a request. Streaming and bounded; the result does not depend on the order of the
    /// calls.
    pub fn learn(&mut self, method: &[u8], target: &[u8]) {
        if self.nodes.is_empty() {
            self.nodes.push(RouteNode::default());
        }
        if !self.patterns.is_empty() {
            let method = String::from_utf8_lossy(method);
            if self.patterns.iter().any(|pattern| pattern.matches(&method, target)) {
                return;
            }
        }
        let Some(path) = path_and_query(target).0.strip_prefix(b"/") else { return };
        let mut node = ROOT;
        for (depth, segment) in segments(path).enumerate() {
            node = self.enter(node, depth, segment);
        }
        let method = self.method(method);
        let ends = &mut self.nodes[node as usize].ends;
        if !ends.iter().any(|(known, _)| *known == method) {
            ends.push((method, Arc::from("")));
        }
    }

    /// Gives every learned route its name; called once after learning, and again after more of it.
    pub fn settle(&mut self) {
        if self.nodes.is_empty() {
            return;
        }
        let mut ends = Vec::new();
        self.walk(ROOT, &mut Vec::new(), &mut |node, keys| {
            for (index, (method, _)) in self.nodes[node as usize].ends.iter().enumerate() {
                let method = self.methods.get(*method as usize).map_or("*", |method| method);
                ends.push((node, index, Arc::from(name(method, keys.iter().map(|key| &**key)))));
            }
        });
        for (node, index, name) in ends {
            self.nodes[node as usize].ends[index].1 = name;
        }
    }

    /// The route of a request and of the operation that it names ([`rpc::operation`]): paths that
    /// the user named stand for themselves.
    pub fn route_of(&self, method: &[u8], target: &[u8], operation: Option<&str>) -> Arc<str> {
        let route = self.route(method, target);
        let is_given = || {
            let method = String::from_utf8_lossy(method);
            self.patterns.iter().any(|pattern| pattern.matches(&method, target))
        };
        match operation {
            Some(operation) if !is_given() => format!("{route} {operation}").into(),
            _ => route,
        }
    }

    /// The route of a request. Never fails: what was not learned is named by the shape of its
    /// segments.
    pub fn route(&self, method: &[u8], target: &[u8]) -> Arc<str> {
        let method = String::from_utf8_lossy(method);
        if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.matches(&method, target))
        {
            return pattern.name(&method);
        }
        let Some(path) = path_and_query(target).0.strip_prefix(b"/") else {
            // `*`, an authority, or one that the capture cannot tell.
            let target = match target {
                b"*" => "*",
                b"" => "{unknown}",
                _ => "{authority}",
            };
            return format!("{} {target}", literal(method.as_bytes())).into();
        };
        let mut node = Some(ROOT).filter(|_| !self.nodes.is_empty());
        for segment in segments(path) {
            let Some(at) = node else { break };
            let place = &self.nodes[at as usize];
            node = place.children.get(&*self.key(place, segment).0).copied();
        }
        if let Some(node) = node
            && let Some(known) = self.methods.iter().position(|known| **known == *method)
            && let Some((_, name)) =
                self.nodes[node as usize].ends.iter().find(|(end, _)| *end as usize == known)
            && !name.is_empty()
        {
            return Arc::clone(name);
        }
        self.unlearned(&method, path)
    }

    /// The name of a route that has no end in the tree: the keys as far as the tree goes, then by
    /// shape alone.
    fn unlearned(&self, method: &str, path: &[u8]) -> Arc<str> {
        let empty = RouteNode::default();
        let mut place = self.nodes.first().unwrap_or(&empty);
        let mut keys: Vec<Cow<'_, str>> = Vec::new();
        for segment in segments(path) {
            let key = self.key(place, segment).0;
            let next =
                place.children.get(&*key).map_or(&empty, |&child| &self.nodes[child as usize]);
            keys.push(place.shown(&key).into_owned().into());
            place = next;
        }
        name(&literal(method.as_bytes()), keys.iter().map(|key| &**key)).into()
    }

    /// The learned routes' names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .ends()
            .map(|(method, keys)| name(&method, keys.iter().map(|key| &**key)))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn ends(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let mut ends = Vec::new();
        if !self.nodes.is_empty() {
            self.walk(ROOT, &mut Vec::new(), &mut |node, keys| {
                for (method, _) in &self.nodes[node as usize].ends {
                    let method = self.methods.get(*method as usize).map_or("*", |method| method);
                    ends.push((
                        method.to_owned(),
                        keys.iter().map(|key| key.to_string()).collect(),
                    ));
                }
            });
        }
        ends.into_iter()
    }

    /// Visits all places with the keys that lead there. Paths are bounded by [`MAX_SEGMENTS`], so
    /// is the recursion.
    fn walk<'a>(
        &'a self,
        node: u32,
        keys: &mut Vec<Cow<'a, str>>,
        visit: &mut impl FnMut(u32, &[Cow<'a, str>]),
    ) {
        visit(node, keys);
        for (key, &child) in &self.nodes[node as usize].children {
            keys.push(self.nodes[node as usize].shown(key));
            self.walk(child, keys, visit);
            keys.pop();
        }
    }

    fn method(&mut self, method: &[u8]) -> u16 {
        let method = literal(method);
        if let Some(at) = self.methods.iter().position(|known| **known == *method) {
            return at as u16;
        }
        if self.methods.len() < MAX_METHODS {
            self.methods.push(method.into());
        }
        (self.methods.len() - 1) as u16
    }

    /// The child of `node` that `segment` leads to, made where it is new; merges names where a
    /// place has too many.
    fn enter(&mut self, node: u32, depth: usize, segment: &[u8]) -> u32 {
        steps::add(1);
        let (key, class) = self.key(&self.nodes[node as usize], segment);
        if matches!(class, RouteSegment::Number | RouteSegment::Id) {
            let behind = split_extension(parameterless(segment)).1;
            self.nodes[node as usize].groups.entry(literal(behind).into()).or_default().ids = true;
        }
        let place = &self.nodes[node as usize];
        if let Some(&child) = place.children.get(&*key) {
            return child;
        }
        let key: Box<str> = key.into();
        let child = self.make(node, key.clone());
        self.nodes[child as usize].is_service = names_service(&key);
        if !matches!(class, RouteSegment::Word | RouteSegment::SlugLike) {
            return child;
        }
        let full = self.nodes.len() - self.free.len() > MAX_NODES;
        let extension = extension(&key);
        let group = self.nodes[node as usize].groups.entry(extension.into()).or_default();
        *(if class == RouteSegment::Word { &mut group.words } else { &mut group.slugs }) += 1;
        if self.merge_group(node, depth, extension, full)
            && !self.nodes[node as usize].children.contains_key(&key)
        {
            return self.nodes[node as usize].children[&*slug_key(extension)];
        }
        child
    }

    fn make(&mut self, parent: u32, key: Box<str>) -> u32 {
        let child = match self.free.pop() {
            Some(child) => child,
            None => {
                self.nodes.push(RouteNode::default());
                (self.nodes.len() - 1) as u32
            }
        };
        self.nodes[parent as usize].children.insert(key, child);
        child
    }

    /// Merges the children of a group into `{slug}` where they are too many; says whether it did.
    fn merge_group(&mut self, node: u32, depth: usize, extension: &str, full: bool) -> bool {
        let max_words = if depth == 0 { MAX_FIRST_WORDS } else { MAX_WORDS };
        let is_service = self.nodes[node as usize].is_service;
        let Some(group) = self.nodes[node as usize].groups.get_mut(extension) else { return false };
        let max_words = if is_service { usize::MAX } else { max_words };
        let words = !group.words_merged && (full || group.words as usize > max_words);
        let many_slugs = !is_service && group.slugs as usize > MAX_SLUGS;
        let slugs = !group.slugs_merged && (words || many_slugs);
        if !words && !slugs {
            return false;
        }
        group.words_merged |= words;
        group.slugs_merged |= slugs;
        let group = *group;
        let slug = slug_key(extension);
        let into = match self.nodes[node as usize].children.get(&*slug) {
            Some(&child) => child,
            None => self.make(node, slug.into()),
        };
        let mut merged: Vec<(Box<str>, u32)> = self.nodes[node as usize]
            .children
            .iter()
            .filter(|(key, _)| group.takes(key, extension))
            .map(|(key, &child)| (key.clone(), child))
            .collect();
        merged.sort();
        steps::add(merged.len());
        for (key, child) in merged {
            self.nodes[node as usize].children.remove(&key);
            self.merge(child, into, depth + 1);
        }
        true
    }

    /// Adds what stands under `from` to `into`.
    fn merge(&mut self, from: u32, into: u32, depth: usize) {
        let RouteNode { children, groups, ends, .. } =
            std::mem::take(&mut self.nodes[from as usize]);
        for (method, name) in ends {
            if !self.nodes[into as usize].ends.iter().any(|(known, _)| *known == method) {
                self.nodes[into as usize].ends.push((method, name));
            }
        }
        for (extension, theirs) in groups {
            let mine = self.nodes[into as usize].groups.entry(extension).or_default();
            mine.words_merged |= theirs.words_merged;
            mine.slugs_merged |= theirs.slugs_merged;
            mine.ids |= theirs.ids;
        }
        let mut children: Vec<_> = children.into_iter().collect();
        children.sort();
        steps::add(children.len());
        for (key, child) in children {
            let class = if key.starts_with('{') { RouteSegment::Id } else { literal_class(&key) };
            let extension: Box<str> = extension(&key).into();
            let group =
                self.nodes[into as usize].groups.get(&extension).copied().unwrap_or_default();
            let key = if group.takes(&key, &extension) { slug_key(&extension).into() } else { key };
            match self.nodes[into as usize].children.get(&key) {
                Some(&known) => self.merge(child, known, depth + 1),
                None => {
                    self.nodes[into as usize].children.insert(key, child);
                    if class != RouteSegment::Id && !group.merges(class) {
                        let group =
                            self.nodes[into as usize].groups.entry(extension.clone()).or_default();
                        *(if class == RouteSegment::Word {
                            &mut group.words
                        } else {
                            &mut group.slugs
                        }) += 1;
                        self.merge_group(into, depth, &extension, false);
                    }
                }
            }
        }
        // Literals that were there before, in a group that the other place had merged.
        let merged: Vec<Box<str>> = self.nodes[into as usize].groups.keys().cloned().collect();
        for extension in merged {
            self.sweep(into, depth, &extension);
        }
        self.free.push(from);
    }

    /// Moves literals that stand beside their group's `{slug}` into it.
    fn sweep(&mut self, node: u32, depth: usize, extension: &str) {
        let group = self.nodes[node as usize].groups[extension];
        let slug = slug_key(extension);
        let stray: Vec<Box<str>> = self.nodes[node as usize]
            .children
            .keys()
            .filter(|key| group.takes(key, extension))
            .cloned()
            .collect();
        for key in stray {
            let Some(child) = self.nodes[node as usize].children.remove(&key) else { continue };
            match self.nodes[node as usize].children.get(&*slug) {
                Some(&into) => self.merge(child, into, depth + 1),
                None => {
                    let _ = self.nodes[node as usize].children.insert(slug.as_str().into(), child);
                }
            }
        }
    }

    /// The key of `segment` at a place, and what it looks like.
    fn key<'a>(&self, place: &RouteNode, segment: &'a [u8]) -> (Cow<'a, str>, RouteSegment) {
        if segment == REST {
            return (Cow::Borrowed("**"), RouteSegment::Id);
        }
        let segment = parameterless(segment);
        let (stem, behind) = split_extension(segment);
        let parameter = |name: &str| Cow::Owned(format!("{name}{}", literal(behind)));
        let merged = |class| {
            let group = place.groups.get(&*literal(behind));
            matches!(class, RouteSegment::Number | RouteSegment::Id)
                && group.is_some_and(|group| group.slugs_merged)
        };
        match class(stem) {
            class if merged(class) => (Cow::Owned(slug_key(&literal(behind))), class),
            class @ RouteSegment::Number if behind.is_empty() => (Cow::Borrowed("{n}"), class),
            class @ RouteSegment::Number => (parameter("{n}"), class),
            class @ RouteSegment::Id => (parameter("{id}"), class),
            class @ RouteSegment::Date => (parameter("{date}"), class),
            class @ RouteSegment::Email => (Cow::Borrowed("{email}"), class),
            _ if segment.len() > MAX_LITERAL => (parameter("{slug}"), RouteSegment::Id),
            _ => {
                let key = literal(segment);
                let class = literal_class(&key);
                match place.groups.get(extension(&key)) {
                    Some(group) if group.merges(class) => {
                        (Cow::Owned(slug_key(extension(&key))), class)
                    }
                    _ => (key, class),
                }
            }
        }
    }
}

/// Whether a segment is the full name of a service, as gRPC, Twirp and Connect have it in paths:
/// `shop.v1.Orders`.
fn names_service(segment: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let service = segment.rsplit_once('.').map_or("", |(_, name)| name);
    service.starts_with(|c: char| c.is_ascii_uppercase()) && segment.chars().all(is_name)
}

/// A segment without its parameters (RFC 3986 §3.3), as `;jsessionid=…`.
fn parameterless(segment: &[u8]) -> &[u8] {
    memchr::memchr(b';', segment).map_or(segment, |at| &segment[..at])
}

/// What stands for the segments beyond [`MAX_SEGMENTS`]; no segment contains a slash.
const REST: &[u8] = b"/";

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = MAX_SEGMENTS;
    path.split(|&byte| byte == b'/').map_while(move |segment| {
        left = left.checked_sub(1)?;
        Some(if left == 0 { REST } else { segment })
    })
}

/// The name of a route. The first number of a path identifies something, a later one counts within
/// it.
fn name<'a>(method: &str, keys: impl Iterator<Item = &'a str>) -> String {
    let mut name = method.to_owned();
    name.push(' ');
    let mut first = true;
    for key in keys {
        name.push('/');
        let number = key.strip_prefix("{n}").filter(|_| first);
        match number.or_else(|| key.strip_prefix(SLUG_ID)) {
            Some(behind) => {
                name.push_str("{id}");
                name.push_str(behind);
            }
            _ => name.push_str(key),
        }
        first &= !key.starts_with('{');
    }
    if name.ends_with(' ') {
        name.push('/');
    }
    name
}

fn slug_key(extension: &str) -> String {
    format!("{{slug}}{extension}")
}

/// A segment as a part of a name: UTF-8, without braces, blanks and control characters (these
/// percent-encoded).
fn literal(segment: &[u8]) -> Cow<'_, str> {
    let plain = |c: char| !c.is_control() && !matches!(c, '{' | '}' | ' ' | '*');
    match std::str::from_utf8(segment) {
        Ok(text) if text.chars().all(plain) => Cow::Borrowed(text),
        _ => {
            let mut out = String::with_capacity(segment.len() * 3);
            for &byte in segment {
                if byte.is_ascii_graphic() && plain(byte as char) {
                    out.push(byte as char);
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            Cow::Owned(out)
        }
    }
}

/// `app.3f9a` and `.js`: an extension has one to five letters and digits, at least one letter.
fn split_extension(segment: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'.', segment) {
        Some(at)
            if at > 0
                && (1..=5).contains(&(segment.len() - at - 1))
                && segment[at + 1..].iter().all(u8::is_ascii_alphanumeric)
                && segment[at + 1..].iter().any(u8::is_ascii_alphabetic)
                && !segment.contains(&b'@') =>
        {
            segment.split_at(at)
        }
        _ => (segment, b""),
    }
}

fn extension(key: &str) -> &str {
    let (stem, _) = split_extension(key.as_bytes());
    &key[stem.len()..]
}

/// The class of a segment's part before its extension.
fn class(stem: &[u8]) -> RouteSegment {
    if stem.is_empty() {
        return RouteSegment::Word;
    }
    if stem.iter().all(u8::is_ascii_digit) {
        return RouteSegment::Number;
    }
    let identifier = kinds::uuid(stem).is_some()
        || stem == b"00000000-0000-0000-0000-000000000000"
        || kinds::ulid(stem)
        || kinds::ksuid(stem)
        || kinds::object_id(stem)
        || kinds::random_hex(stem)
        || kinds::random_token(stem)
        || prefixed_number(stem)
        || prefixed_hex(stem)
        || holds_identifier(stem);
    if identifier {
        return RouteSegment::Id;
    }
    if stem.len() == 10
        && std::str::from_utf8(stem).ok().and_then(kinds::of_text) == Some(kinds::ValueKind::Date)
    {
        return RouteSegment::Date;
    }
    let at =
        stem.iter().position(|&byte| byte == b'@').or_else(|| memchr::memmem::find(stem, b"%40"));
    if at.is_some_and(|at| at > 0 && stem[at..].contains(&b'.')) {
        return RouteSegment::Email;
    }
    RouteSegment::Word
}

/// `r-f81d4fae-…`, `2026-f81d4fae-…-final`: fixed parts around something that looks random.
fn holds_identifier(stem: &[u8]) -> bool {
    /// Shortest stem that can hold one, in bytes.
    const SHORTEST: usize = 20;
    let Some(text) = std::str::from_utf8(stem).ok().filter(|_| stem.len() >= SHORTEST) else {
        return false;
    };
    tokens(text).any(|token| match token {
        Token::Mark(_) => false,
        Token::Value(part) | Token::Chunk(part) => {
            part.len() >= 16 && kinds::of_text(part).is_some_and(|kind| !kind.is_time())
        }
    })
}

/// `ord_8231`, `SKU-0042`, `P1001`: one to five letters of one case, perhaps a joiner, at least
/// three digits.
fn prefixed_number(stem: &[u8]) -> bool {
    let letters = stem.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let joiner = usize::from(stem.get(letters).is_some_and(|byte| matches!(byte, b'-' | b'_')));
    let digits = &stem[letters + joiner..];
    (1..=5).contains(&letters)
        && digits.len() >= 3
        && digits.iter().all(u8::is_ascii_digit)
        && (stem[..letters].iter().all(u8::is_ascii_lowercase)
            || stem[..letters].iter().all(u8::is_ascii_uppercase))
}

/// `c-3f2a91c0`, `req_0f3e…`: one to five letters, a joiner, at least eight hexadecimal digits of
/// which one is no letter.
fn prefixed_hex(stem: &[u8]) -> bool {
    let letters = stem.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let digits = stem.get(letters + 1..).unwrap_or_default();
    (1..=5).contains(&letters)
        && matches!(stem.get(letters), Some(b'-' | b'_'))
        && digits.len() >= 8
        && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits.iter().any(u8::is_ascii_digit)
}

/// Whether a literal looks like a slug: several joined words, escapes, letters among digits, or
/// long.
fn literal_class(key: &str) -> RouteSegment {
    let bytes = split_extension(key.as_bytes()).0;
    let joiners =
        bytes.iter().filter(|byte| matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b',')).count();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    // `v1`, `oauth2`, `s3`: one digit at the end of a word is a name.
    let numbered = digits == 1 && bytes.last().is_some_and(u8::is_ascii_digit) && joiners == 0;
    let slug = joiners >= 2
        || bytes.contains(&b'%')
        || !key.is_ascii()
        || bytes.len() > 24
        || (digits > 0 && letters > 0 && !numbered);
    if slug { RouteSegment::SlugLike } else { RouteSegment::Word }
}

#[derive(Serialize, Deserialize)]
struct RouteFile {
    format: String,
    version: u32,
    patterns: Vec<String>,
    /// Learned routes as method and keys; more than their names, since `{n}` and `{id}` are one in
    /// a name.
    learned: Vec<(String, Vec<String>)>,
    /// The names, for people.
    #[serde(default)]
    routes: Vec<String>,
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut learned: Vec<_> = self.ends().collect();
        learned.sort();
        RouteFile {
            format: FORMAT.to_owned(),
            version: 1,
            patterns: self.patterns.iter().map(|pattern| pattern.text.to_string()).collect(),
            learned,
            routes: self.names(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = RouteFile::deserialize(deserializer)?;
        if file.format != FORMAT || file.version > 1 {
            return Err(serde::de::Error::custom(format!(
                "not {FORMAT:?} of version 1: {:?} {}",
                file.format, file.version
            )));
        }
        let patterns = file
            .patterns
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)?;
        let mut routes = Self::new(patterns);
        for (method, keys) in &file.learned {
            let mut node = ROOT;
            for key in keys.iter().take(MAX_SEGMENTS) {
                let place = &mut routes.nodes[node as usize];
                let key = match key.strip_prefix(SLUG_ID) {
                    None => Cow::Borrowed(key.as_str()),
                    Some(extension) => {
                        place.groups.entry(extension.into()).or_default().ids = true;
                        Cow::Owned(slug_key(extension))
                    }
                };
                if let Some(extension) = key.strip_prefix("{slug}") {
                    // Words that went their own way stay; the rest of the group is merged.
                    place.groups.entry(extension.into()).or_default().slugs_merged = true;
                }
                node = match place.children.get(&*key) {
                    Some(&child) => child,
                    None => routes.make(node, key.into()),
                };
            }
            let method = routes.method(method.as_bytes());
            routes.nodes[node as usize].ends.push((method, Arc::from("")));
        }
        for node in &mut routes.nodes {
            let words: Vec<Box<str>> =
                node.children.keys().filter(|key| !key.starts_with('{')).cloned().collect();
            for (extension, group) in &mut node.groups {
                // A group whose words are all gone was merged whole.
                let any = words.iter().any(|key| {
                    self::extension(key) == &**extension && literal_class(key) == RouteSegment::Word
                });
                group.words_merged = group.slugs_merged && !any;
            }
            for key in words {
                let group = node.groups.entry(extension(&key).into()).or_default();
                *(if literal_class(&key) == RouteSegment::Word {
                    &mut group.words
                } else {
                    &mut group.slugs
                }) += 1;
            }
        }
        routes.settle();
        Ok(routes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(targets: &[&str]) -> Routes {
        let mut routes = Routes::new(vec![]);
        for target in targets {
            routes.learn(b"GET", target.as_bytes());
        }
        routes.settle();
        routes
    }

    #[test]
    fn targets_that_are_no_path_have_a_name_too() {
        let routes = Routes::new(vec![]);
        for (method, target, name) in [
            ("OPTIONS", "*", "OPTIONS *"),
            ("CONNECT", "shop.test:443", "CONNECT {authority}"),
            ("POST", "", "POST {unknown}"),
        ] {
            assert_eq!(&*routes.route(method.as_bytes(), target.as_bytes()), name);
        }
    }

    #[test]
    fn learning_costs_no_more_than_n_log_n() {
        let word = |n: usize| -> String {
            (0..3).map(|at| char::from(b'a' + (n / 26_usize.pow(at) % 26) as u8)).collect()
        };
        let paths: [&dyn Fn(usize) -> String; 4] = [
            &|n| format!("/{}", word(n)),
            &|n| format!("/{0}/{0}/{0}", word(n)),
            &|n| format!("/a/{}/{}", word(n % 90), word(n)),
            &|n| format!("/{}-{n}/x/{}", word(n), word(n * 7)),
        ];
        for path in paths {
            steps::hold_to_n_log_n(2_000, |n| {
                let mut routes = Routes::new(vec![]);
                (0..n).for_each(|n| routes.learn(b"GET", path(n).as_bytes()));
                routes.settle();
            });
        }
    }

    #[test]
    fn methods_of_a_service_are_routes_however_many_they_are() {
        let mut routes = Routes::new(vec![]);
        let path =
            |service: usize, method: usize| format!("/shop.v{service}.Shop/Do{method}Things");
        let word = |n: usize| char::from(b'a' + (n % 26) as u8).to_string().repeat(1 + n / 26);
        let named = |n: usize| format!("/shop.v1.Orders/Get{}", word(n));
        (0..200).for_each(|n| routes.learn(b"POST", named(n).as_bytes()));
        (0..40).for_each(|n| routes.learn(b"POST", path(n, 1).as_bytes()));
        routes.settle();
        for path in [named(0), named(199)] {
            assert_eq!(*routes.route(b"POST", path.as_bytes()), *format!("POST {path}"));
        }
        assert!(!names_service("index.Html/x") && !names_service("logo.png"));
    }

    #[test]
    fn shapes_need_no_samples() {
        let routes = learned(&[]);
        for (target, route) in [
            ("/orders/8231/items/2", "GET /orders/{id}/items/{n}"),
            ("/orders/8231?full=1", "GET /orders/{id}"),
            ("http://shop.local/orders/1", "GET /orders/{id}"),
            ("/", "GET /"),
            ("/v1/users/f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "GET /v1/users/{id}"),
            ("/reports/2026-11-22.csv", "GET /reports/{date}.csv"),
            ("/products/P1001", "GET /products/{id}"),
            ("/users/jane.doe@example.org/cart", "GET /users/{email}/cart"),
            ("/users/me", "GET /users/me"),
            ("/status/404;v=1", "GET /status/{id}"),
            ("/a%20b/{x}", "GET /a%20b/%7Bx%7D"),
            ("*", "GET *"),
            ("", "GET {unknown}"),
        ] {
            assert_eq!(&*routes.route(b"GET", target.as_bytes()), route, "{target}");
        }
        assert_eq!(&*routes.route(b"CONNECT", b"shop.local:443"), "CONNECT {authority}");
    }

    #[test]
    fn slugs_are_found_by_cardinality_in_any_order() {
        let mut targets: Vec<String> =
            (0..40).map(|n| format!("/products/red-shoe-no-{}/reviews", "x".repeat(n))).collect();
        targets.extend(["/products/search", "/products/new", "/health"].map(str::to_owned));
        let forward = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
        let backward = learned(&targets.iter().rev().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            forward.names(),
            [
                "GET /health",
                "GET /products/new",
                "GET /products/search",
                "GET /products/{slug}/reviews"
            ]
        );
        assert_eq!(forward.names(), backward.names());
        assert_eq!(
            &*forward.route(b"GET", b"/products/blue-shoe-no-9/reviews"),
            "GET /products/{slug}/reviews"
        );
    }

    #[test]
    fn identifiers_of_which_some_look_like_slugs_are_one_route() {
        let mut targets: Vec<String> = (0..40)
            .map(|n| format!("/carts/cart-{}-x/items", "ab".repeat(n % 7 + 1) + &n.to_string()))
            .collect();
        targets.extend(
            [
                "/carts/8231/items",
                "/carts/f81d4fae-7dec-41d0-a765-00a0c91e6bf6/items",
                "/carts/new",
            ]
            .map(str::to_owned),
        );
        let forward = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
        let backward = learned(&targets.iter().rev().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(forward.names(), ["GET /carts/new", "GET /carts/{id}/items"]);
        assert_eq!(backward.names(), forward.names());
        let read: Routes = serde_json::from_str(&serde_json::to_string(&forward).unwrap()).unwrap();
        for target in ["/carts/1/items", "/carts/a-b-c/items", "/carts/c-3f2a91c0/items"] {
            assert_eq!(
                &*forward.route(b"GET", target.as_bytes()),
                "GET /carts/{id}/items",
                "{target}"
            );
            assert_eq!(
                &*read.route(b"GET", target.as_bytes()),
                "GET /carts/{id}/items",
                "{target}"
            );
        }
    }

    #[test]
    fn a_scan_of_paths_stays_bounded() {
        let mut routes = Routes::new(vec![]);
        for n in 0..100_000_u32 {
            let word: String =
                n.to_string().bytes().map(|digit| (digit - b'0' + b'a') as char).collect();
            routes.learn(b"GET", format!("/x/{word}/y/{word}").as_bytes());
            routes.learn(word.as_bytes(), format!("/{word}").as_bytes());
        }
        routes.settle();
        assert!(
            routes.nodes.len() < 2 * MAX_NODES && routes.names().len() < 500,
            "{} {}",
            routes.nodes.len(),
            routes.names().len()
        );
        routes.learn(b"GET", "/deep".repeat(1_000).as_bytes());
        assert!(routes.route(b"GET", "/deep".repeat(1_000).as_bytes()).ends_with("/**"));
    }

    #[test]
    fn nothing_learned_is_nothing_to_settle() {
        let mut routes = Routes::default();
        routes.settle();
        assert_eq!(&*routes.route(b"GET", b"/a/7"), "GET /a/{id}");
        assert!(routes.names().is_empty());
    }

    #[test]
    fn patterns_come_first() {
        let patterns = [
            "GET /orders/{order}",
            "* /files/**",
            "GET /index.php?action=list",
            "GET /u/{name}.json",
        ];
        let routes = Routes::new(patterns.iter().map(|text| text.parse().unwrap()).collect());
        for (method, target, route) in [
            ("GET", "/orders/8", "GET /orders/{order}"),
            ("POST", "/orders/8", "POST /orders/{id}"),
            ("PUT", "/files/a/b/c", "PUT /files/**"),
            ("GET", "/index.php?x=1&action=list", "GET /index.php?action=list"),
            ("GET", "/index.php?action=show", "GET /index.php"),
            ("GET", "/u/jane.json", "GET /u/{name}.json"),
        ] {
            assert_eq!(&*routes.route(method.as_bytes(), target.as_bytes()), route, "{target}");
        }
        for text in ["", "GET", "GET orders", "GET /a/{b", "GET /a**"] {
            assert!(text.parse::<RoutePattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_round_trips() {
        let mut targets: Vec<String> = (0..40).map(|n| format!("/p/red-shoe-no-{n}")).collect();
        targets.extend((0..90).map(|n| {
            format!("/w/{}", "ab".repeat(n % 9 + 1).replace('b', &"cdefghijkl"[n / 9..n / 9 + 1]))
        }));
        targets.extend(["/p/new", "/orders/1/items/2"].map(str::to_owned));
        let routes = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
        let read: Routes = serde_json::from_str(&serde_json::to_string(&routes).unwrap()).unwrap();
        for target in &targets {
            assert_eq!(
                read.route(b"GET", target.as_bytes()),
                routes.route(b"GET", target.as_bytes()),
                "{target}"
            );
        }
        assert_eq!(read.names(), routes.names());
    }
}
