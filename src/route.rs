//! Routes, learned from the paths themselves: `/orders/8231/items/2` and its kind become `GET
//! /orders/{id}/items/{n}`.
//!
//! A segment is a parameter by its shape (number, UUID, date, long token: the same in every run) or
//! by cardinality (a place that holds more different names than an API has: slugs). Learning
//! streams and is bounded, and its result does not depend on the order of the requests. Patterns
//! from the configuration come before anything learned. Query parameters are no part of a route.

mod file;
mod pattern;
pub mod rpc;
mod segment;

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use pattern::RoutePattern;
use segment::{
    RouteSegment, class, extension, literal, literal_class, names_service, parameterless,
    split_extension,
};

use crate::message::target::path_and_query;
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
        // `dt=2026-11-28`, as stores partition their keys.
        if let Some((name, value)) = named_value(segment) {
            let (stem, behind) = split_extension(value);
            let found = match class(stem) {
                class @ RouteSegment::Date => Some(("{date}", class)),
                class @ (RouteSegment::Number | RouteSegment::Id) => Some(("{id}", class)),
                _ => None,
            };
            if let Some((key, class)) = found {
                let key = format!("{}{key}{}", literal(name), literal(behind));
                return (Cow::Owned(key), class);
            }
        }
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

/// What stands for the segments beyond [`MAX_SEGMENTS`]; no segment contains a slash.
const REST: &[u8] = b"/";

/// `name=` and the value behind it, where a segment is so.
fn named_value(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = segment.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let at = name.count();
    (at > 0 && segment.get(at) == Some(&b'=')).then(|| segment.split_at(at + 1))
}

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

#[cfg(test)]
mod tests;
