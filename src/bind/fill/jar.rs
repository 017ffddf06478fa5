//! The cookies of a session that v2 sets and v1 did not, and those that v2 takes back (RFC 6265).
//!
//! A cookie that both versions set goes by its value, as a flow. Here is only what v1's client
//! never had from v1, and would have had from v2; and what a cookie is called at v2 where its name
//! is each installation's own; and how v2 wrote the values that flow, which go back as they came.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::edit::Changes;
use crate::message::encoding::Encoding;
use crate::message::fields::{self, Crumb};
use crate::message::target::{host, host_and_port, path_and_query};
use crate::message::{Headers, Request, Response};
use crate::time::Timestamp;

/// Most cookies that are kept of a session (RFC 6265 §6.1 asks for 50 a domain).
const COOKIES: usize = 200;
/// Most values of which it is kept how v2 wrote them: of a cookie that is set with every answer
/// more than one may be under way.
const WRITTEN: usize = 20;

/// The cookies of one session.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    /// Names of v1's cookies and what they are called at v2, each of one host.
    renamed: Vec<(Box<str>, [Box<str>; 2])>,
    /// Values that have escapes, or would get some.
    written: Vec<Written>,
}

/// How v2 wrote the value of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    name: Box<str>,
    /// What it says.
    text: Box<str>,
    /// As it was set.
    raw: Box<str>,
}

/// What v2 said of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: Box<str>,
    /// None where v2 took it back.
    value: Option<Box<str>>,
    /// Whether v1 did not set it; else v1's answer is not known, and only requests that carry a
    /// cookie of this name get it.
    is_v2s: bool,
    /// The host that set it, in lower case, or the domain that it is for.
    domain: Box<str>,
    /// Also for hosts below the domain.
    below: bool,
    path: Box<str>,
    expires: Option<Timestamp>,
}

impl Jar {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty() && self.renamed.is_empty() && self.written.is_empty()
    }

    /// Learns of an answer of v2's to `request`; `set_by_v1`: the cookies that v1 set in its place,
    /// none where v1's answer is not known.
    pub fn learn(
        &mut self,
        request: &Request,
        answer: &Response,
        set_by_v1: Option<&[Box<str>]>,
        now: Timestamp,
    ) {
        let is_v2s = set_by_v1.is_some();
        let set_by_v1 = set_by_v1.unwrap_or_default();
        for field in answer.headers.all("set-cookie") {
            let Some(cookie) = Cookie::of(request, field, now) else { continue };
            self.keep_written(&cookie);
            let is_same = |known: &Cookie| known.name == cookie.name;
            self.cookies.retain(|known| {
                !is_same(known) || known.domain != cookie.domain || known.path != cookie.path
            });
            if !set_by_v1.contains(&cookie.name) && self.cookies.len() < COOKIES {
                self.cookies.push(Cookie { is_v2s, ..cookie });
            }
        }
        for (name, new) in renamed(set_by_v1, answer) {
            let own: Box<str> = host_of(request).into();
            self.renamed.retain(|(host, [known, _])| *known != name || *host != own);
            if self.renamed.len() == COOKIES {
                self.renamed.remove(0);
            }
            self.renamed.push((own, [name, new]));
        }
        // What only v1 sets anew is v1's client's own again.
        let set_by_v2 = |name: &str| {
            answer.headers.all("set-cookie").any(|f| fields::set_cookie(f).name == name.as_bytes())
        };
        self.cookies.retain(|known| !set_by_v1.contains(&known.name) || set_by_v2(&known.name));
    }

    /// Adds what the session has from v2 alone to a request, and takes away what v2 took back.
    /// `bound`: whether a cookie's value is bound by a flow, which then goes first.
    pub fn apply(
        &self,
        request: &Request,
        changes: &mut Changes,
        bound: impl Fn(&str) -> bool,
        now: Timestamp,
    ) {
        let mut due: Vec<(&Cookie, bool)> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.is_for(request, now) && !bound(&cookie.name))
            .map(|cookie| (cookie, false))
            .collect();
        if due.is_empty() && self.renamed.is_empty() && self.written.is_empty() {
            return;
        }
        let own = host_of(request);
        let is_cookie = |name: &[u8]| name.eq_ignore_ascii_case(b"cookie");
        let mut last = None;
        for (index, (_, value)) in
            request.headers.iter().enumerate().filter(|(_, (name, _))| is_cookie(name))
        {
            let held = current(changes, index).unwrap_or(value).to_vec();
            let made = self.rewritten(&own, &held, &mut due, &bound);
            if made != held {
                set(changes, index, (!made.is_empty()).then_some(made));
            }
            last = Some(index);
        }
        let more: Vec<String> = due
            .iter()
            .filter(|(cookie, told)| !told && cookie.is_v2s)
            .filter_map(|(cookie, _)| Some(format!("{}={}", cookie.name, cookie.value.as_deref()?)))
            .collect();
        if more.is_empty() {
            return;
        }
        let more = more.join("; ");
        let Some(index) = last else {
            return changes.added.push((b"Cookie".to_vec(), more.into_bytes()));
        };
        let held = current(changes, index)
            .or_else(|| request.headers.iter().nth(index).map(|(_, value)| value));
        let gone = changes.fields.iter().any(|(at, value)| *at == index && value.is_none());
        let made = match held.filter(|held| !gone && !held.is_empty()) {
            Some(held) => [held, b"; ", more.as_bytes()].concat(),
            None => more.into_bytes(),
        };
        set(changes, index, Some(made));
    }

    fn keep_written(&mut self, cookie: &Cookie) {
        let Some(raw) = cookie.value.as_deref() else { return };
        let text = Encoding::Percent.decoded(raw);
        self.written.retain(|known| known.name != cookie.name || *known.text != *text);
        if text == raw && Encoding::Percent.encoded(raw) == raw {
            return;
        }
        if self.written.len() == WRITTEN {
            self.written.remove(0);
        }
        let name = cookie.name.clone();
        self.written.push(Written { name, text: text.into(), raw: raw.into() });
    }

    /// The value of a cookie that v2 set, as it was set: a client sends it back so (RFC 6265 §5.4).
    fn as_set<'v>(&'v self, name: &[u8], value: &'v [u8]) -> &'v [u8] {
        let Ok(text) = std::str::from_utf8(value) else { return value };
        let said = Encoding::Percent.decoded(text);
        let is_it = |known: &&Written| {
            known.name.as_bytes() == name && (*known.text == *text || *known.text == *said)
        };
        self.written.iter().find(is_it).map_or(value, |known| known.raw.as_bytes())
    }

    /// A `Cookie` field without what v2 took back, and with v2's values and names.
    fn rewritten(
        &self,
        own: &str,
        field: &[u8],
        due: &mut [(&Cookie, bool)],
        bound: impl Fn(&str) -> bool,
    ) -> Vec<u8> {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut changed = false;
        for Crumb { name, value: held, .. } in fields::cookies(field) {
            let is_it = |(host, names): &&(Box<str>, [Box<str>; 2])| {
                **host == *own && names[0].as_bytes() == name
            };
            let renamed = self.renamed.iter().find(is_it).map(|(_, names)| names);
            let called = renamed.map_or(name, |[_, new]| new.as_bytes());
            let is_bound = std::str::from_utf8(name).is_ok_and(&bound);
            let value = if is_bound { self.as_set(called, held) } else { held };
            changed |= value != held;
            let plain =
                || if name.is_empty() { value.to_vec() } else { [name, b"=", value].concat() };
            let of_flow = renamed.filter(|_| is_bound).map(|_| value);
            let set = due.iter_mut().find(|(cookie, _)| cookie.name.as_bytes() == called);
            let new = match (of_flow, set) {
                (of_flow, Some((cookie, told))) => {
                    *told = true;
                    cookie.value.as_deref().map(|set| of_flow.unwrap_or(set.as_bytes()))
                }
                (Some(value), None) => Some(value),
                (None, None) => {
                    pieces.push(plain());
                    continue;
                }
            };
            changed = true;
            pieces.extend(new.map(|value| [called, b"=", value].concat()));
        }
        if changed { pieces.join(&b"; "[..]) } else { field.to_vec() }
    }
}

/// The cookies that v1 set and v2 sets by another name: v1's name and v2's.
fn renamed(set_by_v1: &[Box<str>], answer: &Response) -> Vec<(Box<str>, Box<str>)> {
    let name = |field| std::str::from_utf8(fields::set_cookie(field).name).ok();
    let set: BTreeSet<&str> = answer.headers.all("set-cookie").filter_map(name).collect();
    let own: BTreeSet<&str> = set_by_v1.iter().map(|name| &**name).collect();
    let pairs =
        fields::renamed_cookies(own.difference(&set).copied(), set.difference(&own).copied());
    pairs.into_iter().map(|(one, other)| (one.into(), other.into())).collect()
}

/// An answer of v2's whose cookies have the names that v1 gave them; none where all have.
pub(super) fn as_v1_names(set_by_v1: &[Box<str>], answer: &Response) -> Option<Response> {
    let renamed = renamed(set_by_v1, answer);
    if renamed.is_empty() {
        return None;
    }
    let old_name: BTreeMap<&[u8], &str> =
        renamed.iter().map(|(old, new)| (new.as_bytes(), &**old)).collect();
    let mut headers = Headers::default();
    for (name, value) in answer.headers.iter() {
        let own = name.eq_ignore_ascii_case(b"set-cookie").then(|| fields::set_cookie(value).name);
        match own.and_then(|own| Some((own, old_name.get(own)?))) {
            Some((own, old)) => {
                let rest = &value.trim_ascii_start()[own.len()..];
                headers.push(name, &[old.as_bytes(), rest].concat());
            }
            None => headers.push(name, value),
        }
    }
    Some(Response { headers, ..answer.clone() })
}

/// The value that a field is to have, where it changes.
fn current(changes: &Changes, index: usize) -> Option<&[u8]> {
    changes.fields.iter().find(|(at, _)| *at == index).and_then(|(_, value)| value.as_deref())
}

fn set(changes: &mut Changes, index: usize, value: Option<Vec<u8>>) {
    let at = changes.fields.partition_point(|(known, _)| *known < index);
    match changes.fields.get_mut(at) {
        Some((known, old)) if *known == index => *old = value,
        _ => changes.fields.insert(at, (index, value)),
    }
}

impl Cookie {
    /// A cookie as `field` sets it (RFC 6265 §5.3); none where it is not for this host.
    fn of(request: &Request, field: &[u8], now: Timestamp) -> Option<Self> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let crumb = fields::set_cookie(field);
        let (name, value) = (text(crumb.name)?, text(crumb.value)?);
        if name.is_empty() {
            return None;
        }
        let own = host_of(request);
        let mut cookie = Self {
            name: name.into(),
            value: Some(value.into()),
            is_v2s: true,
            domain: own.as_str().into(),
            below: false,
            path: default_path(request).into(),
            expires: None,
        };
        let (mut age, mut gone) = (None, false);
        for Crumb { name, value, .. } in fields::set_cookie_attributes(field) {
            let value = text(value)?;
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if is("domain") && !value.is_empty() {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if !is_below(&own, &domain) {
                    return None;
                }
                (cookie.domain, cookie.below) = (domain.into(), true);
            } else if is("path") && value.starts_with('/') {
                cookie.path = value.into();
            } else if is("max-age") {
                age = value.parse::<i64>().ok().or(age);
            } else if is("expires") {
                cookie.expires = expiry(&value);
            }
        }
        if let Some(seconds) = age {
            gone = seconds <= 0;
            cookie.expires = Some(now.plus(seconds.saturating_mul(1_000_000_000)));
        }
        if gone || cookie.expires.is_some_and(|at| at <= now) {
            (cookie.value, cookie.expires) = (None, None);
        }
        Some(cookie)
    }

    fn is_for(&self, request: &Request, now: Timestamp) -> bool {
        let own = host_of(request);
        let is_host = if self.below { is_below(&own, &self.domain) } else { *self.domain == *own };
        let (path, _) = path_and_query(&request.target);
        let is_path = path.strip_prefix(self.path.as_bytes()).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(b"/") || self.path.ends_with('/')
        });
        is_host && is_path && self.expires.is_none_or(|at| at > now)
    }
}

/// An instant as `Expires` gives it: in the form of mail, with blanks or, as older servers write
/// it, hyphens (RFC 6265 §5.1.1). One too far away to be told is none.
fn expiry(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(&text.trim().replace('-', " ")).ok()?;
    let nanos = zoned.timestamp().as_nanosecond();
    Some(Timestamp::from_nanos(i64::try_from(nanos).ok()?))
}

fn host_of(request: &Request) -> String {
    let host = host(request).and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default();
    host_and_port(host).0.to_ascii_lowercase()
}

/// Whether `host` is `domain` or below it (RFC 6265 §5.1.3).
fn is_below(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// The path of a cookie that names none (RFC 6265 §5.1.4).
fn default_path(request: &Request) -> String {
    let (path, _) = path_and_query(&request.target);
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0).max(1);
    String::from_utf8_lossy(path.get(..end).unwrap_or(b"/")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, cookies: &[&str]) -> Request {
        let mut headers = Headers::new();
        headers.push(b"Host", b"shop.test:8080");
        cookies.iter().for_each(|cookie| headers.push(b"Cookie", cookie.as_bytes()));
        Request { target: target.to_owned().into(), headers, ..Request::default() }
    }

    fn answer(cookies: &[&str]) -> Response {
        let fields = cookies.iter().map(|field| (&b"Set-Cookie"[..], field.as_bytes()));
        Response { headers: fields.collect(), ..Response::default() }
    }

    /// The `Cookie` fields of a request behind answers of v2's to `/a/b`.
    fn sent(set: &[&str], by_v1: &[&str], target: &str, cookies: &[&str]) -> Vec<String> {
        let by_v1: Vec<Box<str>> = by_v1.iter().map(|name| (*name).into()).collect();
        sent_after(set, Some(&by_v1), target, cookies)
    }

    /// The same where v1 set these, or where its answer is not known.
    fn sent_after(
        set: &[&str],
        by_v1: Option<&[Box<str>]>,
        target: &str,
        cookies: &[&str],
    ) -> Vec<String> {
        let now = Timestamp::from_nanos(1_795_341_600_000_000_000);
        let mut jar = Jar::default();
        jar.learn(&request("/a/b", &[]), &answer(set), by_v1, now);
        let asked = request(target, cookies);
        let mut changes = Changes::default();
        jar.apply(&asked, &mut changes, |_| false, now.plus(1));
        let fields = changes.fields(&asked.headers);
        fields.all("cookie").map(|field| String::from_utf8_lossy(field).into_owned()).collect()
    }

    #[test]
    fn what_v1_may_have_set_is_sent_only_where_its_client_had_it() {
        let after = |cookies: &[&str]| sent_after(&["n=1; Path=/"], None, "/x", cookies);
        assert!(after(&[]).is_empty());
        assert_eq!(after(&["a=b"]), ["a=b"]);
        assert_eq!(after(&["a=b; n=0"]), ["a=b; n=1"]);
        let gone = sent_after(&["n=; Path=/; Max-Age=0"], None, "/x", &["a=b; n=0"]);
        assert_eq!(gone, ["a=b"]);
    }

    #[test]
    fn what_only_v2_sets_is_sent() {
        let far = "n=1; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT";
        assert_eq!(sent(&[far], &[], "/x", &[]), ["n=1"]);
        assert_eq!(sent(&[far], &[], "/x", &["a=b"]), ["a=b; n=1"]);
        assert_eq!(sent(&[far], &["n"], "/x", &["n=0"]), ["n=0"]);
        assert_eq!(sent(&[far], &[], "/x", &["n=0; a=b"]), ["n=1; a=b"]);
        assert_eq!(sent(&["n=1"], &[], "/a/c", &[]), ["n=1"], "its path is /a");
        assert!(sent(&["n=1"], &[], "/ab", &[]).is_empty());
        assert!(sent(&["n=1; Path=/; Max-Age=0"], &[], "/", &[]).is_empty());
        assert!(sent(&["n=1; Path=/; Domain=else.test"], &[], "/", &[]).is_empty());
        assert_eq!(sent(&["n=1; Path=/; Domain=.test"], &[], "/", &[]), ["n=1"]);
    }

    #[test]
    fn cookies_whose_name_is_an_installations_own_have_v2s() {
        let (one, other) = ("DW60efd0e1da1c4e095e5c1d9d", "DW8035dd95e391b757a988ecdb");
        let [set, asked] = [format!("{other}=v2; Path=/"), format!("{one}=v1; a=b")];
        assert_eq!(sent(&[&set], &[one], "/x", &[&asked]), [format!("{other}=v2; a=b")]);
        // Where two could be meant, none is.
        let more = format!("{}=v2; Path=/", other.replace('8', "9"));
        let both = sent(&[&set, &more], &[one], "/x", &[&asked]);
        assert!(both[0].starts_with(&asked), "{both:?}");
        assert!(renamed(&[one.into()], &answer(&["DX8035dd95e391b757a988ecdb=1"])).is_empty());
        assert!(renamed(&[one.into()], &answer(&["DW8035dd95e391b757a988ecd=1"])).is_empty());
        assert!(renamed(&["sid".into()], &answer(&["ses=1"])).is_empty());
        let answer = as_v1_names(&[one.into()], &answer(&[&set, "n=1"])).unwrap();
        let fields: Vec<_> = answer.headers.all("set-cookie").collect();
        assert_eq!(fields, [format!("{one}=v2; Path=/").as_bytes(), b"n=1"]);
    }

    /// What is sent of `held`, whose cookie `sid` a flow binds, after v2 set `set`.
    fn sent_back(set: &[&str], held: &str) -> String {
        let request = request("/x", &[held]);
        let mut jar = Jar::default();
        jar.learn(&request, &answer(set), Some(&["sid".into()]), Timestamp::from_nanos(0));
        let mut changes = Changes::default();
        jar.apply(&request, &mut changes, |name| name == "sid", Timestamp::from_nanos(0));
        let made = changes.fields.first().and_then(|(_, value)| value.clone());
        made.map_or_else(|| held.to_owned(), |made| String::from_utf8(made).unwrap())
    }

    #[test]
    fn a_value_goes_back_as_v2_wrote_it() {
        for raw in ["s%3Aa-1.X%2B7n%2Fx", "s:a-1.X+7n/x", "s%3aa-1.X+7n%2fx"] {
            let set = format!("sid={raw}; Path=/; HttpOnly");
            // However v1's was written: so is v2's put in its place.
            for put in ["s:a-1.X+7n/x", "s:a-1.X+7n%2Fx", "s%3Aa-1.X%2B7n%2Fx"] {
                let held = format!("a=%2F; sid={put}; b=1");
                assert_eq!(sent_back(&[&set], &held), format!("a=%2F; sid={raw}; b=1"));
            }
            let other = "sid=s%3Aother; b=s:a-1.X+7n/x";
            assert_eq!(sent_back(&[&set], other), other, "v1's own, or another cookie");
            let both = [&*set, "sid=s%3Anext; Path=/"];
            assert_eq!(
                sent_back(&both, "sid=s:a-1.X+7n%2Fx"),
                format!("sid={raw}"),
                "the last but one"
            );
        }
    }

    #[test]
    fn what_v2_takes_back_is_not_sent() {
        let gone = "n=; Path=/; Max-Age=0";
        assert_eq!(sent(&[gone], &[], "/x", &["n=0; a=b"]), ["a=b"]);
        assert!(sent(&[gone], &[], "/x", &["n=0"]).is_empty());
        assert_eq!(sent(&[gone], &["n"], "/x", &["n=0"]), ["n=0"], "v1 took it back as well");
        for past in ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01-Jan-1970 00:00:10 GMT"] {
            let old = format!("n=x; Path=/; Expires={past}");
            assert_eq!(sent(&[&old, "m=2; Path=/"], &[], "/x", &["n=0"]), ["m=2"], "{past}");
        }
    }
}
