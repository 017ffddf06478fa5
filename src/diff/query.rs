//! URLs in values compared by parameter: each is a place of its own, in whatever order they stand.
//!
//! Places are `$.next query:cursor`; what stands before the query is compared as the value itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::{Context, Sink, mix};
use super::embedded::{self, Base};
use super::nouns;

/// Most parameters of one URL that are compared by name.
const MOST: usize = 100;

/// Whether a value may be a URL with a query: a cheap test.
pub(super) fn may_be(text: &str) -> bool {
    split(text).is_some()
}

/// What stands before the query, and the query, of a URL or an absolute path.
fn split(text: &str) -> Option<(&str, &str)> {
    let (before, query) = text.split_once('?')?;
    let is_url = before.starts_with('/') || before.contains("://");
    let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '#');
    (is_url && query.contains('=') && !text.contains(blank)).then_some((before, query))
}

/// A URL taken apart.
struct Link<'t> {
    /// What stands before its query; behind it the parameters without a name, which are values as
    /// the path is: `/task?1796008827`.
    before: Cow<'t, str>,
    query: Cow<'t, str>,
    /// How many parameters have no name.
    bare: usize,
}

impl<'t> Link<'t> {
    fn of(before: &'t str, query: &'t str) -> Self {
        let is_bare = |part: &&str| !part.is_empty() && !part.contains('=');
        let (bare, named): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_bare);
        if bare.is_empty() {
            return Self::named(before, query);
        }
        let whole = format!("{before}?{}", bare.join("&"));
        Self { before: whole.into(), query: named.join("&").into(), bare: bare.len() }
    }

    /// One whose parameters all count as names.
    const fn named(before: &'t str, query: &'t str) -> Self {
        Self { before: Cow::Borrowed(before), query: Cow::Borrowed(query), bare: 0 }
    }
}

/// A value of a parameter: a plus sign is a blank, but in base64 that was not escaped it is itself.
struct Parameter {
    value: String,
    /// With its plus signs.
    written: String,
}

/// Compares two URLs; false where one of them is none.
pub(super) fn compare(
    context: &Context<'_>,
    base: &Base,
    expected: &str,
    actual: &str,
    sink: &mut Sink,
) -> bool {
    let (Some(expected), Some(actual)) = (split(expected), split(actual)) else { return false };
    let mut links = [expected, actual].map(|(before, query)| Link::of(before, query));
    if links[0].bare != links[1].bare {
        links = [expected, actual].map(|(before, query)| Link::named(before, query));
    }
    let (path, [a, b]) = (expected.0, [&*links[0].before, &*links[1].before]);
    let mut names: BTreeMap<String, [Vec<Parameter>; 2]> = BTreeMap::new();
    for (side, Link { query, .. }) in links.iter().enumerate() {
        let signs = query.replace('+', "%2B");
        let values = |text| url::form_urlencoded::parse(text).into_owned();
        let written = values(signs.as_bytes()).map(|(_, written)| written);
        for ((name, value), written) in values(query.as_bytes()).zip(written) {
            names.entry(name).or_default()[side].push(Parameter { value, written });
        }
    }
    if names.len() > MOST {
        return false;
    }
    if a != b {
        one(context, base, None, a, [Some(a), Some(b)], sink);
    }
    for (name, [left, right]) in &names {
        for at in 0..left.len().max(right.len()) {
            let both = [left.get(at), right.get(at)];
            let [a, b] = both.map(|one| one.map(|one| &one.value));
            if a == b {
                sink.saw(mix(base.hash, name.as_bytes()));
            } else {
                let written = both.map(|one| one.map(|one| &*one.written));
                one(context, base, Some(name), path, written, sink);
            }
        }
    }
    true
}

/// Reports a parameter of a link to `path`, or what stands before them, unless a rule takes it.
fn one(
    context: &Context<'_>,
    base: &Base,
    name: Option<&str>,
    path: &str,
    [a, b]: [Option<&str>; 2],
    sink: &mut Sink,
) {
    let Some(name) = name else {
        let things = || nouns::at(&[], context.request);
        return base.value(context, [a, b], things, sink);
    };
    let at = |outer: &str| format!("{outer} query:{name}");
    let inner = Base {
        place: at(&base.place),
        general: at(&base.general),
        hash: mix(base.hash, name.as_bytes()),
        names: base.names.iter().cloned().chain([name.to_owned()]).collect(),
        depth: base.depth + 1,
        ..base.clone()
    };
    if inner.is_ruled(context, [a, b], sink) {
        return;
    }
    if let (Some(a), Some(b)) = (a, b)
        && embedded::may_hold(a)
        && embedded::compare(context, &inner, a, b, sink)
    {
        return;
    }
    inner.told(context, [a, b], || nouns::of_link(name, path, context.request), sink);
}
