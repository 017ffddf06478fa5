//! Header fields compared as a multiset by name, whatever their order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Kind;
use super::challenge;
use super::change::{Context, Differ, SeenChange, Sink, Step, hash_place, kind_of, short};
use super::context::Look;
use super::embedded::{self, Base};
use super::header_table::{How, built_in, members};
use super::nouns::{self, Named};
use super::query;
use super::rules::RuleVerdict;
use crate::message::Headers;
use crate::message::encoding::Encoding;
use crate::message::fields::renamed_cookies;
use crate::message::kinds;
use crate::message::protobuf::{DETAILS, details};
use crate::message::target::path_and_query;
use crate::steps;
use crate::time::NANOS_PER_SEC;

/// Compares header fields. `bodies` says whether there are bodies to compare, from which
/// `Content-Length` follows.
pub fn compare(
    context: &Context<'_>,
    expected: &Headers,
    actual: &Headers,
    bodies: bool,
    sink: &mut Sink,
) {
    fields(context, "", expected, actual, bodies, sink);
}

/// Compares trailer fields; their places are `trailer:name`.
pub fn compare_trailers(
    context: &Context<'_>,
    expected: &Headers,
    actual: &Headers,
    sink: &mut Sink,
) {
    if !expected.is_empty() || !actual.is_empty() {
        fields(context, "trailer:", expected, actual, false, sink);
    }
}

fn fields<'h>(
    context: &Context<'_>,
    prefix: &str,
    expected: &'h Headers,
    actual: &'h Headers,
    bodies: bool,
    sink: &mut Sink,
) {
    // All names in lower case, one behind the other, and each field by where its name stands: by
    // name, v1's before v2's, then in their order.
    let mut names = String::with_capacity(256);
    let mut fields: Vec<(Range<usize>, bool, &'h [u8])> =
        Vec::with_capacity(expected.len() + actual.len());
    for (is_actual, headers) in [(false, expected), (true, actual)] {
        // Pseudo-header fields say what method, target and status say (RFC 9113 §8.3).
        for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
            let start = names.len();
            names.push_str(&String::from_utf8_lossy(name));
            fields.push((start..names.len(), is_actual, value.trim_ascii()));
        }
    }
    names.make_ascii_lowercase();
    fields.sort_by(|a, b| {
        steps::add(1);
        names[a.0.clone()].cmp(&names[b.0.clone()]).then(a.1.cmp(&b.1))
    });
    for group in fields.chunk_by(|a, b| names[a.0.clone()] == names[b.0.clone()]) {
        let name = &names[group[0].0.clone()];
        let (a, b) = group.split_at(group.partition_point(|(_, is_actual, _)| !is_actual));
        let value_of = |field: &(Range<usize>, bool, &'h [u8])| field.2;
        let how =
            built_in(name).filter(|_| !context.rules.compare.iter().any(|wanted| wanted == name));
        let how = if name == "content-length" && !bodies { None } else { how };
        if how == Some(How::Ignored) {
            continue;
        }
        sink.saw(hash_place(name));
        if name == "set-cookie" && sink.present.is_some() {
            for field in a {
                let cookie = crate::message::fields::set_cookie(field.2).name;
                let cookie = String::from_utf8_lossy(cookie);
                sink.saw(hash_place(&format!("set-cookie:{}", cookie.trim())));
            }
        }
        if a.iter().map(value_of).eq(b.iter().map(value_of)) {
            continue;
        }
        let (a, b): (&mut Vec<_>, &mut Vec<_>) =
            (&mut a.iter().map(value_of).collect(), &mut b.iter().map(value_of).collect());
        let field = FieldRule { context, place: format!("{prefix}{name}"), name };
        match (how, name) {
            _ if a.is_empty() || b.is_empty() => field.lone(a, b, sink),
            (Some(How::Expiry), _) => match (is_date(a), is_date(b)) {
                (false, true) => field.change("none→date", a, b, SeenChange::PLAIN, sink),
                (true, false) => field.change("date→none", a, b, SeenChange::PLAIN, sink),
                (true, true) => {
                    if let Some(label) = field.other_expiry([a[0], b[0]]) {
                        field.change(label, a, b, SeenChange::PLAIN, sink);
                    }
                }
                _ => {}
            },
            (Some(How::Presence), _) => {}
            (Some(How::EntityTag), _) => {
                let weak =
                    |values: &[&[u8]]| values.first().is_some_and(|value| value.starts_with(b"W/"));
                if weak(a) != weak(b) {
                    field.change(
                        if weak(a) { "weak→strong" } else { "strong→weak" },
                        a,
                        b,
                        SeenChange::PLAIN,
                        sink,
                    );
                } else if let Some(label) = field.another_tag(a, b) {
                    field.change(label, a, b, SeenChange::PLAIN, sink);
                }
            }
            (Some(How::Set), _) => {
                if members(a) != members(b) {
                    field.change("changed", a, b, SeenChange::PLAIN, sink);
                }
            }
            (_, "set-cookie") => cookies(context, a, b, sink),
            (_, "www-authenticate" | "proxy-authenticate") => field.challenges(a, b, sink),
            (_, "location" | "content-location" | "refresh") => field.location(a, b, sink),
            (_, "content-type") => {
                if media_type(a) != media_type(b) {
                    field.change("changed", a, b, SeenChange::PLAIN, sink);
                }
            }
            (_, DETAILS) => field.details(a, b, sink),
            _ => field.values(a, b, sink),
        }
    }
}

/// Whether a field is a date.
fn is_date(values: &[&[u8]]) -> bool {
    let is = |value: &&[u8]| {
        std::str::from_utf8(value).is_ok_and(|text| kinds::written_time(text).is_some())
    };
    values.iter().any(is)
}

struct FieldRule<'f, 'c> {
    context: &'f Context<'c>,
    place: String,
    name: &'f str,
}

impl FieldRule<'_, '_> {
    fn lone(&self, a: &[&[u8]], b: &[&[u8]], sink: &mut Sink) {
        let label = if b.is_empty() { "removed" } else { "added" };
        if self.name == "set-cookie" {
            return cookies(self.context, a, b, sink);
        }
        self.change(label, a, b, SeenChange::PLAIN, sink);
    }

    fn values(&self, a: &mut [&[u8]], b: &mut [&[u8]], sink: &mut Sink) {
        // Several fields of one name are one list (RFC 9110 §5.3).
        if a.len() != b.len() && joined(a) == joined(b) {
            return;
        }
        let texts = |values: &[&[u8]]| {
            let list = joined(values);
            let text = String::from_utf8_lossy(&list);
            text.split(',').map(|member| member.trim().to_owned()).collect::<Vec<_>>()
        };
        if self.context.bound.is_some() && self.holds_list(a) && self.holds_list(b) {
            match self.context.same_things(&texts(a), &texts(b), &[Step::Header(self.name.into())])
            {
                Some(same) if same.in_order => return sink.twins.push(hash_place(&self.place)),
                Some(_) => return self.change("reordered", a, b, SeenChange::PLAIN, sink),
                None => {}
            }
        }
        if a.len() > 1 {
            a.sort_unstable();
            b.sort_unstable();
            if a == b {
                return;
            }
        }
        let (label, look) = match (&*a, &*b) {
            ([left], [right]) => {
                let (a, b) = (String::from_utf8_lossy(left), String::from_utf8_lossy(right));
                let base = Base::plain(Kind::Header, &self.place, self.name);
                if (embedded::may_hold(&a) || query::may_be(&a))
                    && matches!(self.judged(&[left], &[right]), RuleVerdict::Stays)
                    && embedded::compare(self.context, &base, &a, &b, sink)
                {
                    return;
                }
                match self.differ(&a, &b) {
                    Differ::Not => return sink.twins.push(hash_place(&self.place)),
                    Differ::Identity(label) => (label, SeenChange::PLAIN),
                    Differ::So(seen) => ("changed", seen),
                }
            }
            _ => ("changed", SeenChange::PLAIN),
        };
        self.change(label, a, b, look, sink);
    }

    /// What a failed call tells beside its status, compared by what it says.
    fn details(&self, a: &mut [&[u8]], b: &mut [&[u8]], sink: &mut Sink) {
        let read = match (&*a, &*b) {
            ([a], [b]) => details([a, b]),
            _ => None,
        };
        match read {
            Some([left, right]) if left == right => {}
            Some([left, right]) => self.values(&mut [&left], &mut [&right], sink),
            None => self.values(a, b, sink),
        }
    }

    /// Whether a field has several members (RFC 9110 §5.6.1).
    fn holds_list(&self, values: &[&[u8]]) -> bool {
        values.len() > 1 || values.iter().any(|value| value.contains(&b','))
    }

    fn differ(&self, a: &str, b: &str) -> Differ {
        self.context.differ_at(a, b, false, &[Step::Header(self.name.into())])
    }

    /// How v2 mistakes one version of a resource for another: where it shows the tag that it issued
    /// for a tag of v1's other than this one. A tag that it issued for none says nothing: it may
    /// be made of a time.
    fn another_tag(&self, a: &[&[u8]], b: &[&[u8]]) -> Option<&'static str> {
        let bound = self.context.bound?;
        let ([a], [b]) = (a, b) else { return None };
        let [a, b] = [a, b].map(|tag| {
            let tag = std::str::from_utf8(tag).unwrap_or_default();
            tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
        });
        let steps = [Step::Header(self.name.into())];
        bound.mistaken(a, b, &nouns::at(&steps, self.context.request))
    }

    fn challenges(&self, a: &[&[u8]], b: &[&[u8]], sink: &mut Sink) {
        for (part, a, b) in challenge::differing(a, b) {
            let label = match (&a, &b) {
                (Some(_), None) => "removed",
                (None, _) => "added",
                _ => "changed",
            };
            let look = match (&a, &b) {
                (Some(a), Some(b)) => self.context.seen(a, b, false),
                _ => SeenChange::PLAIN,
            };
            let part = FieldRule {
                context: self.context,
                place: format!("{}:{part}", self.place),
                name: self.name,
            };
            let a: Vec<&[u8]> = a.iter().map(String::as_bytes).collect();
            let b: Vec<&[u8]> = b.iter().map(String::as_bytes).collect();
            part.change(label, &a, &b, look, sink);
        }
    }

    /// How v2 lets caches keep what v1 said has long expired, or the other way. Otherwise when an
    /// answer expires says how old a cache before v1 was, and is noise.
    fn other_expiry(&self, both: [&[u8]; 2]) -> Option<&'static str> {
        const LONG_AGO: i64 = -365 * 86_400 * NANOS_PER_SEC;
        const SOON: i64 = 60 * NANOS_PER_SEC;
        let [one, other] =
            both.map(|value| kinds::written_instant(std::str::from_utf8(value).ok()?));
        let left = [one?.since(self.context.expected_at), other?.since(self.context.actual_at?)];
        match (left.map(|left| left < LONG_AGO), left.map(|left| left > SOON)) {
            ([true, _], [_, true]) => Some("expired→fresh"),
            ([_, true], [true, _]) => Some("fresh→expired"),
            _ => None,
        }
    }

    /// Whether v1 sends a client to itself by HTTPS, and v2 does so in clear, though the replay asks
    /// it as v1 was asked. How v2 is reached where it names its own address is not v1's.
    fn loses_tls(&self, a: &[&[u8]], b: &[&[u8]], hosts: &[String]) -> bool {
        let by = |value: &[u8], scheme: &str| {
            let url = String::from_utf8_lossy(value);
            let is_by = url.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
            is_by && without_host(&url, hosts).len() < url.len()
        };
        let mut pairs = a.iter().zip(b);
        !self.context.in_clear && pairs.any(|(a, b)| by(a, "https://") && by(b, "http://"))
    }

    /// A location whose authority is v1's or v2's own is compared without it.
    fn location(&self, a: &mut [&[u8]], b: &mut [&[u8]], sink: &mut Sink) {
        let own = |values: &[&[u8]], hosts: &[String]| {
            values
                .iter()
                .map(|value| without_host(&String::from_utf8_lossy(value), hosts))
                .collect::<Vec<_>>()
        };
        let [v1, v2] = (self.context.hosts)();
        // v2 may also name v1, as configured or by the Host it was sent.
        let either: Vec<String> = v1.iter().chain(&v2).cloned().collect();
        let (left, right) = (own(a, &v1), own(b, &either));
        if self.loses_tls(a, b, &v1) {
            self.change("https→http", a, b, SeenChange::PLAIN, sink);
        }
        if left == right {
            return;
        }
        let (label, look) = match (&*left, &*right) {
            ([one], [other]) if self.of_one_url(a, b, [one, other], sink) => return,
            ([a], [b]) if within_server(a) != within_server(b) => match self.differ(a, b) {
                Differ::Not => return sink.twins.push(hash_place(&self.place)),
                Differ::Identity(label) => (label, SeenChange::PLAIN),
                Differ::So(seen) => ("changed", seen),
            },
            _ => ("changed", SeenChange::PLAIN),
        };
        self.change(label, a, b, look, sink);
    }

    /// Compares two URLs by parameter, unless a rule speaks of the field; false where one of them
    /// has none.
    fn of_one_url(&self, a: &[&[u8]], b: &[&[u8]], urls: [&str; 2], sink: &mut Sink) -> bool {
        urls.into_iter().all(query::may_be) && matches!(self.judged(a, b), RuleVerdict::Stays) && {
            let base = Base::plain(Kind::Header, &self.place, self.name);
            query::compare(self.context, &base, urls[0], urls[1], sink)
        }
    }

    /// What the rules say of a change.
    fn judged(&self, a: &[&[u8]], b: &[&[u8]]) -> RuleVerdict {
        let text = |values: &[&[u8]]| {
            (!values.is_empty()).then(|| String::from_utf8_lossy(&joined(values)).into_owned())
        };
        self.context.rules.judge_header(self.name, text(a).as_deref(), text(b).as_deref())
    }

    fn change(
        &self,
        label: &'static str,
        a: &[&[u8]],
        b: &[&[u8]],
        seen: SeenChange,
        sink: &mut Sink,
    ) {
        let text = |values: &[&[u8]]| {
            (!values.is_empty()).then(|| String::from_utf8_lossy(&joined(values)).into_owned())
        };
        let (a, b) = (text(a), text(b));
        if let RuleVerdict::Taken(rule) =
            self.context.rules.judge_header(self.name, a.as_deref(), b.as_deref())
        {
            sink.ruled.push(rule);
            return;
        }
        let masker = self.context.masker;
        // What a challenge of Negotiate or NTLM carries.
        let secret = self.place.ends_with(";token");
        let shown = |value: Option<String>| {
            value.map(|value| {
                short(&if secret {
                    masker.secret(&value)
                } else {
                    masker.header(self.name, &value)
                })
            })
        };
        let kind = kind_of(label, Kind::Header);
        sink.plain(kind, &self.place, label, shown(a), shown(b), seen);
    }
}

/// What a URL names at its server: path, query and fragment.
fn within_server(url: &str) -> ((&[u8], &[u8]), Option<&str>) {
    (path_and_query(url.as_bytes()), url.split_once('#').map(|(_, fragment)| fragment))
}

fn joined(values: &[&[u8]]) -> Vec<u8> {
    values.join(&b", "[..])
}

/// A media type as type and sorted parameters, case and quotes apart (RFC 9110 §8.3.1).
fn media_type(values: &[&[u8]]) -> Vec<String> {
    let text = String::from_utf8_lossy(values.first().unwrap_or(&&b""[..])).to_ascii_lowercase();
    let mut parts = text.split(';').map(|part| part.trim().replace(['"', ' '], ""));
    let mut out: Vec<String> = parts.next().into_iter().collect();
    // What stands between parts says nothing of them, and is mostly made anew.
    let is_multipart = out.first().is_some_and(|kind| kind.starts_with("multipart/"));
    let mut parameters: Vec<String> = parts
        .filter(|part| !(part.is_empty() || is_multipart && part.starts_with("boundary=")))
        .collect();
    parameters.sort();
    out.extend(parameters);
    out
}

/// A URL without scheme and authority, where the authority is one of `hosts`.
fn without_host(url: &str, hosts: &[String]) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest[..end].to_ascii_lowercase();
    let authority = authority
        .strip_suffix(if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" })
        .unwrap_or(&authority);
    if hosts.iter().any(|host| host == authority) {
        let path = &rest[end..];
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    } else {
        url.to_owned()
    }
}

/// `Set-Cookie` by cookie and attribute (RFC 6265 §4.1); places are `set-cookie:NAME` and
/// `set-cookie:NAME;attribute`.
fn cookies(context: &Context<'_>, a: &[&[u8]], b: &[&[u8]], sink: &mut Sink) {
    let mut names: BTreeMap<String, [Option<ComparedCookie>; 2]> = BTreeMap::new();
    for (side, values) in [a, b].into_iter().enumerate() {
        for value in values {
            let cookie = ComparedCookie::parse(&String::from_utf8_lossy(value));
            // The last of several with one name counts, as for a browser.
            let name = cookie.name.clone();
            names.entry(name).or_default()[side] = Some(cookie);
        }
    }
    let lone = |side: usize| {
        let is_lone = move |sides: &[Option<ComparedCookie>; 2]| sides[1 - side].is_none();
        names.iter().filter(move |(_, sides)| is_lone(sides)).map(|(name, _)| &**name)
    };
    let owned = |(name, new): (&str, &str)| (name.to_owned(), new.to_owned());
    let renamed: Vec<_> = renamed_cookies(lone(0), lone(1)).into_iter().map(owned).collect();
    for (name, new) in renamed {
        let Some([_, second]) = names.remove(&new) else { continue };
        if let Some(sides) = names.get_mut(&name) {
            sides[1] = second;
        }
        if let RuleVerdict::Taken(rule) = context.rules.judge_cookie(&name, Some(&name), Some(&new))
        {
            sink.ruled.push(rule);
            continue;
        }
        // Whatever v2's name, it is one change: a baseline has a third one.
        let place = format!("set-cookie:{name}");
        let [expected, actual] = [&name, &new].map(|name| Some(short(name)));
        sink.plain(Kind::Header, &place, "renamed", expected, actual, Look::Plain);
    }
    let mut twins = Vec::new();
    for (name, sides) in names {
        let place = format!("set-cookie:{name}");
        let held = cookie_documents(context, &place, &name, &sides, sink);
        let mut report = |place: &str,
                          label: &'static str,
                          a: Option<&str>,
                          b: Option<&str>,
                          seen: SeenChange| {
            if let RuleVerdict::Taken(rule) = context.rules.judge_cookie(&name, a, b) {
                sink.ruled.push(rule);
                return;
            }
            let secret = !place.contains(';');
            let shown = |value: Option<&str>| {
                value.map(|value| {
                    if secret { context.masker.secret(value) } else { context.masker.value(value) }
                        .into_owned()
                })
            };
            let kind = kind_of(label, Kind::Header);
            sink.plain(
                kind,
                place,
                label,
                shown(a).as_deref().map(short),
                shown(b).as_deref().map(short),
                seen,
            );
        };
        match &sides {
            [Some(a), None] => report(&place, "removed", Some(&a.value), None, SeenChange::PLAIN),
            [None, Some(b)] => report(&place, "added", None, Some(&b.value), SeenChange::PLAIN),
            [Some(a), Some(b)] => {
                if a.value != b.value && held {
                    // What differs in it is told; it is v1's value in no way.
                    twins.push(hash_place(&place));
                } else if a.value != b.value {
                    let steps = [Step::Cookie((&*name).into())];
                    let differ = match (a.value.is_empty(), b.value.is_empty()) {
                        (false, false) => {
                            // As values are bound, and their parts told apart.
                            let plain = [&a.value, &b.value].map(|v| Encoding::Percent.decoded(v));
                            context.differ_at(&plain[0], &plain[1], false, &steps)
                        }
                        _ => Differ::So(SeenChange::PLAIN),
                    };
                    let found = match differ {
                        Differ::Not => {
                            twins.push(hash_place(&place));
                            None
                        }
                        Differ::Identity(label) => Some((label, SeenChange::PLAIN)),
                        Differ::So(seen) => Some(("changed", seen)),
                    };
                    if let Some((label, seen)) = found {
                        report(&place, label, Some(&a.value), Some(&b.value), seen);
                    }
                }
                cookie_attributes(context, &place, a, b, &mut report);
            }
            [None, None] => {}
        }
    }
    sink.twins.append(&mut twins);
}

/// How a difference of a cookie is told: place, label, v1's value, v2's value, how it looks.
type ReportCookie<'r> =
    &'r mut dyn FnMut(&str, &'static str, Option<&str>, Option<&str>, SeenChange);

/// Compares the attributes of a cookie.
fn cookie_attributes(
    context: &Context<'_>,
    place: &str,
    a: &ComparedCookie,
    b: &ComparedCookie,
    report: ReportCookie<'_>,
) {
    let hosted = |value: Option<&String>, hosts: &[String]| {
        let is = |host: &String, value: &str| host.split(':').next() == Some(value);
        value.is_none_or(|value| hosts.iter().any(|host| is(host, value.trim_start_matches('.'))))
    };
    let attributes: BTreeSet<&String> = a.attributes.keys().chain(b.attributes.keys()).collect();
    for attribute in attributes {
        let (left, right) = (a.attributes.get(attribute), b.attributes.get(attribute));
        if left == right {
            continue;
        }
        if let (Some(a), Some(b), "expires") = (left, right, attribute.as_str())
            && expire_alike(context, a, b)
        {
            continue;
        }
        // A domain may be the host's own.
        if attribute == "domain" {
            let [v1, v2] = (context.hosts)();
            if hosted(left, &v1) && hosted(right, &v2) {
                continue;
            }
        }
        let place = format!("{place};{attribute}");
        let (left, right) = (left.map(String::as_str), right.map(String::as_str));
        let (label, seen) = match (left, right) {
            (Some(_), None) => ("removed", SeenChange::PLAIN),
            (None, _) => ("added", SeenChange::PLAIN),
            // A path may name what v2 issued: `/interaction/8f3c…`.
            (Some(a), Some(b)) => match context.differ(a, b, false, Named::default) {
                Differ::Not => continue,
                Differ::Identity(label) => (label, SeenChange::PLAIN),
                Differ::So(seen) => ("changed", seen),
            },
        };
        report(&place, label, left, right, seen);
    }
}

/// Whether two cookies expire alike: both are taken back, or both last for times of one order. How
/// much is left of a session depends on when it began; what is no date says nothing.
fn expire_alike(context: &Context<'_>, a: &str, b: &str) -> bool {
    const TIMES: i64 = 10;
    const APART: i64 = 86_400 * NANOS_PER_SEC;
    let [a, b] = [a, b].map(kinds::written_instant);
    let (Some(a), Some(b), Some(actual_at)) = (a, b, context.actual_at) else {
        return true;
    };
    let left = [a.since(context.expected_at), b.since(actual_at)];
    match left.map(|left| left > 0) {
        [true, true] => {
            let [short, long] = [left[0].min(left[1]), left[0].max(left[1])];
            long / TIMES <= short || long - short <= APART
        }
        [one, other] => one == other,
    }
}

/// Compares the documents that a cookie's two values hold; false where they hold none.
fn cookie_documents(
    context: &Context<'_>,
    place: &str,
    name: &str,
    sides: &[Option<ComparedCookie>; 2],
    sink: &mut Sink,
) -> bool {
    let [Some(ComparedCookie { value: a, .. }), Some(ComparedCookie { value: b, .. })] = sides
    else {
        return false;
    };
    let base = Base::plain(Kind::Header, place, name);
    a != b
        && embedded::may_hold(a)
        && context.rules.judge_cookie(name, Some(a), Some(b)) == RuleVerdict::Stays
        && embedded::compare(context, &base, a, b, sink)
}

struct ComparedCookie {
    name: String,
    value: String,
    attributes: BTreeMap<String, String>,
}

impl ComparedCookie {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) =
            parts.next().and_then(|pair| pair.split_once('=')).unwrap_or(("", text));
        let attributes = parts
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                let name = name.trim().to_ascii_lowercase();
                let value = match name.as_str() {
                    "path" => value.to_owned(),
                    "expires" => value.trim().to_owned(),
                    _ => value.trim().to_ascii_lowercase(),
                };
                (name, value)
            })
            .collect();
        Self { name: name.trim().to_owned(), value: value.trim().to_owned(), attributes }
    }
}

#[cfg(test)]
mod tests;
