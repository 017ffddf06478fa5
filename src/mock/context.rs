//! Header fields and cookies by which a call says whose data it wants: `X-Tenant`,
//! `Accept-Language`, a session's cookie. The calls of a host and route tell which of them do.
//!
//! What belongs to the connection, the client library, tracing or credentials says nothing of it,
//! nor does what is new in each call.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHashSet};

use super::naming;
use crate::message::Headers;
use crate::message::encoding::base64_text;
use crate::message::fields::{CONDITIONS, cookies, is_framing, is_hop_by_hop};
use crate::message::kinds;
use crate::message::media::MediaType;
use crate::message::place::{Step, Trail};
use crate::message::population::{Population, TextForm};
use crate::redact::names::header_secret;

/// Most fields and cookies of a host and route that count.
const MOST: usize = 16;
/// Different values of each that are looked at.
const SAMPLES: usize = 32;
/// Most media types of answers that are told apart.
const MOST_TYPES: usize = 8;
/// So many calls with as many values tell what is new in each.
const CALLS: u32 = 4;

/// Fields of HTTP and of client libraries that do not say what is asked for.
const GENERAL: [&str; 26] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "cache-control",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "range",
    "referer",
    "save-data",
    "soapaction",
    "trailer",
    "user-agent",
    "via",
    "x-http-method-override",
    "x-real-ip",
    "x-requested-with",
];
/// The same by how their names begin.
const BEGINNINGS: [&str; 15] = [
    "access-control-",
    "cf-",
    "content-",
    "grpc-",
    "proxy-",
    "sec-",
    "upgrade",
    "x-amz",
    "x-b3-",
    "x-datadog-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-",
    "x-ms-client-",
    "x-stainless-",
];
/// Words of names whose value is of the client, of the attempt, or new in each call.
const WORDS: [&str; 36] = [
    "agent",
    "attempt",
    "attempts",
    "auth",
    "authorization",
    "b3",
    "baggage",
    "build",
    "correlation",
    "csrf",
    "date",
    "deadline",
    "digest",
    "hash",
    "idempotency",
    "invocation",
    "key",
    "library",
    "newrelic",
    "nonce",
    "retries",
    "retry",
    "runtime",
    "sdk",
    "sentry",
    "signature",
    "span",
    "telemetry",
    "time",
    "timeout",
    "timestamp",
    "token",
    "trace",
    "traceparent",
    "tracestate",
    "version",
];

/// Which header fields and cookies of a host and route's calls say what is asked for.
#[derive(Debug, Default)]
pub(super) struct ContextNames {
    headers: Vec<ContextName>,
    cookies: Vec<ContextName>,
    /// The media types of their answers, where these are several: `Accept` chooses among them.
    types: Vec<Box<str>>,
}

/// A header field or cookie that says it.
#[derive(Debug)]
struct ContextName {
    name: Box<str>,
    /// Whether a call that lacks it asks for something else: its name is a thing's, or its values
    /// tell calls apart.
    is_telling: bool,
}

impl ContextNames {
    /// None of them.
    pub(super) const fn none() -> Self {
        Self { headers: Vec::new(), cookies: Vec::new(), types: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.headers.len() + self.cookies.len() + usize::from(!self.types.is_empty())
    }

    /// Tells those that a call has, each with its value, and without one those that it lacks though
    /// they are telling.
    pub(super) fn walk(&self, headers: &Headers, visit: &mut dyn FnMut(&Trail<'_>, Option<&str>)) {
        for ContextName { name, is_telling } in &self.headers {
            let at = Trail::new(Step::Header((&**name).into()));
            let mut any = false;
            for value in headers.all(name).filter_map(|value| said(name, value)) {
                any = true;
                visit(&at, Some(&value));
            }
            if *is_telling && !any {
                visit(&at, None);
            }
        }
        if let Some(wanted) = best_type(headers, &self.types) {
            visit(&Trail::new(Step::Header("accept".into())), Some(wanted));
        }
        if self.cookies.is_empty() {
            return;
        }
        let mut found = [false; MOST];
        for field in headers.all("cookie") {
            crumbs(field, &mut |name, value| {
                if let Some(which) = self.cookies.iter().position(|known| *known.name == *name) {
                    found[which.min(MOST - 1)] = true;
                    visit(&Trail::new(Step::Cookie(name.into())), Some(value));
                }
            });
        }
        for (cookie, found) in self.cookies.iter().zip(found) {
            if cookie.is_telling && !found {
                visit(&Trail::new(Step::Cookie((&*cookie.name).into())), None);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum ContextField {
    Header,
    Cookie,
}

/// Values of the fields and cookies of each host and route.
#[derive(Default)]
pub(super) struct ContextSamples {
    of_fields: FxHashMap<u64, FxHashMap<(ContextField, Box<str>), Sample>>,
    types: FxHashMap<u64, BTreeSet<Box<str>>>,
}

#[derive(Default)]
struct Sample {
    calls: u32,
    values: FxHashSet<u64>,
    population: Population,
    /// Whether each value is of a kind that varies by itself.
    varies: bool,
}

impl ContextSamples {
    /// Adds a call to a host and route; `is_compared` names fields that are compared anyway.
    pub(super) fn add(
        &mut self,
        scope: u64,
        headers: &Headers,
        is_compared: impl Fn(&str) -> bool,
    ) {
        let mut of_scope = self.of_fields.remove(&scope).unwrap_or_default();
        walk(headers, &mut |kind, name, value| {
            let known = of_scope.contains_key(&(kind, name.into()));
            if !known
                && (of_scope.len() >= MOST || kind == ContextField::Header && is_compared(name))
            {
                return;
            }
            of_scope.entry((kind, name.into())).or_default().add(value);
        });
        self.of_fields.insert(scope, of_scope);
    }

    /// Adds the media type of an answer to a call of a host and route.
    pub(super) fn add_type(&mut self, scope: u64, content_type: &[u8]) {
        let types = self.types.entry(scope).or_default();
        if types.len() < MOST_TYPES {
            types.insert(MediaType::new(content_type).name().to_ascii_lowercase().into());
        }
    }

    /// What counts, by host and route.
    pub(super) fn judged(self) -> FxHashMap<u64, ContextNames> {
        let judge = |of_scope: FxHashMap<(ContextField, Box<str>), Sample>| {
            let mut names = ContextNames::default();
            for ((kind, name), sample) in of_scope {
                if sample.is_new_each_time(&name) || sample.is_of_the_caller(&name) {
                    continue;
                }
                // One user is the caller, whose name may be another one at v2.
                if &*name == CREDENTIALS && sample.values.len() < 2 {
                    continue;
                }
                let is_telling = sample.values.len() > 1 || names_a_thing(&name);
                let own = ContextName { name, is_telling };
                match kind {
                    ContextField::Header => names.headers.push(own),
                    ContextField::Cookie => names.cookies.push(own),
                }
            }
            names
        };
        let judged = self.of_fields.into_iter().map(|(scope, of_scope)| (scope, judge(of_scope)));
        let mut judged: FxHashMap<_, _> = judged.filter(|(_, names)| !names.is_empty()).collect();
        for (scope, types) in self.types {
            if types.len() > 1 {
                judged.entry(scope).or_default().types = types.into_iter().collect();
            }
        }
        judged
    }
}

impl Sample {
    fn add(&mut self, value: &str) {
        let varies = kinds::of_text(value).is_some();
        self.varies = varies && (self.calls == 0 || self.varies);
        self.calls += 1;
        if self.values.len() < SAMPLES {
            let mut hasher = DefaultHasher::new();
            value.hash(&mut hasher);
            if self.values.insert(hasher.finish()) {
                self.population.add(TextForm::of(value));
            }
        }
    }

    /// Whether all calls have one value, and the name is none of a thing's: what tells nothing
    /// apart is the caller's own, and v2's is another.
    fn is_of_the_caller(&self, name: &str) -> bool {
        self.calls >= CALLS && self.values.len() == 1 && !names_a_thing(name)
    }

    /// Whether the values are drawn anew for each call, and the name is none of a thing's.
    fn is_new_each_time(&self, name: &str) -> bool {
        let each = (self.calls as usize).min(SAMPLES);
        let is_drawn = || self.varies || self.population.is_drawn(&Population::default());
        self.calls >= CALLS && self.values.len() >= each && is_drawn() && !names_a_thing(name)
    }
}

/// Tells the header fields and cookies that may say what is asked for: names in lower case for
/// fields, as they are for cookies.
fn walk(headers: &Headers, visit: &mut dyn FnMut(ContextField, &str, &str)) {
    for (name, value) in headers.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name == "cookie" {
            crumbs(value, &mut |name, value| {
                if !is_of_the_client(&name.to_ascii_lowercase()) {
                    visit(ContextField::Cookie, name, value);
                }
            });
        } else if (name == CREDENTIALS || may_say(&name))
            && let Some(value) = said(&name, value)
        {
            visit(ContextField::Header, &name, &value);
        }
    }
}

/// The field whose user says whose data is wanted; its password does not.
const CREDENTIALS: &str = "authorization";

/// What a header field, its name in lower case, says of what is asked for.
fn said<'v>(name: &str, value: &'v [u8]) -> Option<Cow<'v, str>> {
    if name == CREDENTIALS {
        let (scheme, credentials) = value.split_at_checked("Basic ".len())?;
        let credentials = std::str::from_utf8(credentials).ok()?.trim();
        let pair = scheme.eq_ignore_ascii_case(b"basic ").then(|| base64_text(credentials))??;
        let (user, _) = pair.split_once(':')?;
        return Some(Cow::Owned(user.to_owned()));
    }
    std::str::from_utf8(value).ok().map(|value| Cow::Borrowed(value.trim()))
}

/// Tells the cookies of a field that have a value.
fn crumbs(field: &[u8], visit: &mut dyn FnMut(&str, &str)) {
    for crumb in cookies(field) {
        let both = std::str::from_utf8(crumb.name).ok().zip(std::str::from_utf8(crumb.value).ok());
        if let Some((name, value)) = both.filter(|(_, value)| !value.is_empty()) {
            visit(name, value);
        }
    }
}

/// Which of several media types a call likes best; none where it likes two equally.
fn best_type<'t>(headers: &Headers, types: &'t [Box<str>]) -> Option<&'t str> {
    if types.is_empty() {
        return None;
    }
    let fields = || headers.all("accept");
    let ranges =
        || fields().flat_map(|field| field.split(|&byte| byte == b',')).map(MediaType::new);
    // The most specific range that covers a type tells how much it is liked (RFC 9110 §12.5.1).
    let liked = |media: &str| {
        let family = media.split('/').next().map(|family| format!("{family}/*"));
        let of = |name: &str| {
            let mut named = ranges().filter(|range| range.name().eq_ignore_ascii_case(name));
            named.next().map(quality)
        };
        of(media).or_else(|| of(&family?)).or_else(|| of("*/*")).unwrap_or(0.0)
    };
    let all: Vec<f64> = types.iter().map(|media| liked(media)).collect();
    let most = all.iter().copied().fold(0.0, f64::max);
    let mut best = types.iter().zip(&all).filter(|(_, liked)| **liked == most && most > 0.0);
    best.next().filter(|_| best.next().is_none()).map(|(media, _)| &**media)
}

/// How much a media range is liked, by its `q`.
fn quality(range: MediaType<'_>) -> f64 {
    range.parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0))
}

/// Whether a header field, in lower case, may say what is asked for.
fn may_say(name: &str) -> bool {
    // What is copied, and where to (`x-amz-copy-source`, WebDAV's `Destination`).
    let is_source = name.ends_with("-copy-source") || name.ends_with("-rename-source");
    !GENERAL.contains(&name)
        && (is_source || !BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)))
        && !CONDITIONS.contains(&name)
        && !is_hop_by_hop(name.as_bytes())
        && !is_framing(name.as_bytes())
        && !is_of_the_client(name)
        && header_secret(name).is_none()
}

/// Whether a name, in lower case, says that its value is the client's own, of the attempt, or new
/// in each call. The version of an API is none of the client's.
fn is_of_the_client(name: &str) -> bool {
    if name.ends_with("api-version") {
        return false;
    }
    naming::says_new(name)
        || naming::is_key(name)
        || name.starts_with("_ga")
        || words(name).any(|word| WORDS.contains(&word))
}

/// Whether a name says that its value names a thing: `x-tenant`, `X-Customer-Id`, `session`.
fn names_a_thing(name: &str) -> bool {
    const THINGS: [&str; 23] = [
        "account",
        "cart",
        "client",
        "company",
        "customer",
        "device",
        "group",
        "member",
        "merchant",
        "order",
        "org",
        "organisation",
        "organization",
        "project",
        "region",
        "session",
        "shop",
        "site",
        "store",
        "team",
        "tenant",
        "user",
        "workspace",
    ];
    let name = name.to_ascii_lowercase();
    words(&name).any(|word| {
        THINGS.iter().any(|thing| word == *thing || word.strip_suffix("id") == Some(thing))
    })
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}
