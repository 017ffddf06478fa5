//! Changes to requests that the user asked for: headers, the marker, and where a host's requests
//! go. Nothing else is touched.

use std::borrow::Cow;

use regex::bytes::Regex;

use crate::message::target::{host, is_for};
use crate::message::trace::{TRACEPARENT, TRACESTATE, TraceParent};
use crate::message::{Headers, Request, Version};
use crate::outcome::MARKER;
use crate::replay::traces::Traces;

/// The one pseudo-header field that is no other flag's (RFC 9113 §8.3.1): replaced, never added.
const SCHEME: &str = ":scheme";

/// A header field from `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    value: String,
}

impl Field {
    /// The field's name; its value may be a secret.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::str::FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(value) = text.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(':')) {
            let (name, value) = (SCHEME.to_owned(), value.trim().to_owned());
            let is_one = matches!(&value[..], "http" | "https");
            return match is_one {
                true => Ok(Self { name, value }),
                false => Err(format!("{value:?} is no {SCHEME} of HTTP/2: write http or https")),
            };
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(format!(
                "{text:?} is not a header: write for example 'Authorization: Bearer …'"
            ));
        };
        check_name(name)?;
        let value = value.trim();
        // A line end in a value would be another header, or another request.
        if value.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
            return Err(format!("the value of header {name:?} has a control character"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Checks that `name` is a token (RFC 9110 §5.6.2).
pub fn check_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is not the name of a header"));
    }
    Ok(())
}

/// All changes of a run.
#[derive(Clone, Debug, Default)]
pub struct Rewriter {
    /// Fields that replace those of their name, or are added at the end.
    pub set: Vec<Field>,
    /// Names of fields that are taken away.
    pub remove: Vec<String>,
    /// The marker's value; none for no marker.
    pub marker: Option<String>,
    /// Hosts that go elsewhere: (host, upstream's number, its authority).
    pub hosts: Vec<(String, u16, String)>,
    /// Changes of targets, each after the one before.
    pub targets: Vec<TargetRule>,
    /// A trace of its own for each request; none to send what was captured.
    pub traces: Option<Traces>,
}

/// `PATTERN=>REPLACEMENT`: what the expression matches in a request's target, query included, is
/// replaced; `$1` or `${name}` stand for its groups.
#[derive(Clone, Debug)]
pub struct TargetRule {
    pattern: Regex,
    replacement: String,
}

impl std::fmt::Display for TargetRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=>{}", self.pattern, self.replacement)
    }
}

impl std::str::FromStr for TargetRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((pattern, replacement)) = text.split_once("=>").filter(|(p, _)| !p.is_empty())
        else {
            return Err(format!("{text:?} rewrites nothing: write for example '^/v1/=>/v2/'"));
        };
        let pattern = Regex::new(pattern)
            .map_err(|error| format!("{pattern:?} is not a regular expression: {error}"))?;
        Ok(Self { pattern, replacement: replacement.to_owned() })
    }
}

impl TargetRule {
    /// A target as the rule changes it; none where it does not match.
    pub(super) fn replaced(&self, target: &[u8]) -> Option<Vec<u8>> {
        let matches = self.pattern.is_match(target);
        matches.then(|| self.pattern.replace_all(target, self.replacement.as_bytes()).into_owned())
    }
}

impl Rewriter {
    /// Which upstream a request goes to: 0 is the target.
    pub fn upstream(&self, request: &Request) -> u16 {
        self.mapped(request).map_or(0, |(_, upstream, _)| *upstream)
    }

    fn mapped(&self, request: &Request) -> Option<&(String, u16, String)> {
        self.hosts.iter().find(|(name, _, _)| is_for(request, name))
    }

    /// The field that is all that changes in the head of `request`, if any does; none where more
    /// than that may change, or where its head is not in the usual form.
    pub fn only_marks(&self, request: &Request) -> Option<Option<(&[u8], &[u8])>> {
        let usual = matches!(request.version, Version::Http11 | Version::Http10)
            && request.verbatim.as_ref().is_none_or(|verbatim| verbatim.head.is_none());
        let unchanged = self.set.is_empty()
            && self.traces_of(request).is_none()
            && self.remove.is_empty()
            && self.mapped(request).is_none()
            && !self.targets.iter().any(|rule| rule.pattern.is_match(&request.target));
        (usual && unchanged)
            .then(|| self.marker.as_ref().map(|marker| (MARKER.as_bytes(), marker.as_bytes())))
    }

    /// The traces of which `request` gets one of its own; none where it keeps what it has.
    fn traces_of(&self, request: &Request) -> Option<&Traces> {
        let is_context = |value: &[u8]| TraceParent::read(value).is_some();
        let has_context = || request.headers.get(TRACEPARENT).is_some_and(is_context);
        self.traces.as_ref().filter(|traces| !(traces.keeps() && has_context()))
    }

    /// The fields that replace those of their names in `request`.
    fn fields(&self, request: &Request) -> Cow<'_, [Field]> {
        // A request of HTTP/0.9 is one line (RFC 1945 §4.1): it has no place for a field.
        if request.version == Version::Http09 {
            return Cow::Borrowed(&[]);
        }
        let Some(traces) = self.traces_of(request) else { return Cow::Borrowed(&self.set) };
        let [parent, state] = traces.stand_ins();
        let own = [(TRACEPARENT, parent), (TRACESTATE, state)];
        let own = own.map(|(name, value)| Field { name: name.to_owned(), value: value.to_owned() });
        Cow::Owned(self.set.iter().cloned().chain(own).collect())
    }

    /// Changes the head of `request`. `Err` says why it cannot be done as asked.
    pub fn apply(&self, request: &mut Request) -> Result<(), String> {
        let mapped = match self.mapped(request) {
            Some((_, _, authority))
                if request.target.starts_with(b"/") || request.target.as_ref() == b"*" =>
            {
                Some(authority)
            }
            Some(_) => {
                let host = String::from_utf8_lossy(host(request).unwrap_or_default()).into_owned();
                return Err(format!(
                    "the target is in absolute form, so host {host:?} cannot be mapped without \
                     changing it"
                ));
            }
            None => None,
        };
        self.rewrite(request)?;
        let set = self.fields(request);
        let marker = self.marker.as_ref().filter(|_| request.version != Version::Http09);
        if set.is_empty() && self.remove.is_empty() && mapped.is_none() {
            if let Some(marker) = marker {
                request.headers.push(MARKER.as_bytes(), marker.as_bytes());
                if let Some(verbatim) = &mut request.verbatim {
                    verbatim.push_field(MARKER.as_bytes(), marker.as_bytes());
                }
            }
            return Ok(());
        }
        // A head that is changed is written anew, in the usual form.
        if let Some(verbatim) = &mut request.verbatim {
            verbatim.head = None;
        }
        let mut headers = Headers::with_capacity(request.headers.len() + set.len() + 1, 512);
        let mut placed = vec![false; set.len()];
        for (name, value) in request.headers.iter() {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if self.remove.iter().any(|removed| is(removed)) {
                continue;
            }
            if let Some(at) = set.iter().position(|field| is(&field.name)) {
                // Once in the place of the first, with the name as the user wrote it.
                if !std::mem::replace(&mut placed[at], true) {
                    set.iter().zip(&mut placed).filter(|(field, _)| is(&field.name)).for_each(
                        |(field, placed)| {
                            *placed = true;
                            headers.push(field.name.as_bytes(), field.value.as_bytes());
                        },
                    );
                }
                continue;
            }
            match mapped {
                Some(authority) if is("host") => headers.push(name, authority.as_bytes()),
                _ => headers.push(name, value),
            }
        }
        let left = set.iter().zip(&placed).filter(|(_, placed)| !**placed);
        for (field, _) in left.filter(|(field, _)| field.name != SCHEME) {
            headers.push(field.name.as_bytes(), field.value.as_bytes());
        }
        if let Some(marker) = marker {
            headers.push(MARKER.as_bytes(), marker.as_bytes());
        }
        request.headers = headers;
        Ok(())
    }

    /// Changes the target.
    fn rewrite(&self, request: &mut Request) -> Result<(), String> {
        for rule in &self.targets {
            let changed =
                rule.pattern.replace_all(&request.target, rule.replacement.as_bytes()).into_owned();
            if changed == request.target.as_ref() {
                continue;
            }
            if changed.is_empty() || changed.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
                let shown = String::from_utf8_lossy(&changed).into_owned();
                return Err(format!("{rule} makes {shown:?} of its target, which cannot be sent"));
            }
            request.target = changed.into();
            if let Some(verbatim) = &mut request.verbatim {
                verbatim.head = None;
            }
        }
        Ok(())
    }

    /// Whether a change would break the request's framing: the body is sent as it was recorded.
    pub fn check(&self) -> Result<(), String> {
        let own = |field: &&Field| {
            let of_trace = [TRACEPARENT, TRACESTATE];
            of_trace.iter().any(|name| field.name.eq_ignore_ascii_case(name))
        };
        if let Some(field) = self.set.iter().find(own).filter(|_| self.traces.is_some()) {
            return Err(format!(
                "--traces gives each request a {} of its own: leave --header {} out",
                field.name, field.name
            ));
        }
        let framing = ["content-length", "transfer-encoding"];
        let names = self.set.iter().map(|field| &field.name).chain(&self.remove);
        for name in names {
            if framing.iter().any(|field| name.eq_ignore_ascii_case(field)) {
                return Err(format!(
                    "{name} tells where a body ends; it is sent as recorded and cannot be changed"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request() -> Request {
        let fields = [("Host", "shop.local"), ("Cookie", "a"), ("cookie", "b"), ("X-A", "1")];
        Request {
            method: Bytes::from_static(b"GET"),
            target: Bytes::from_static(b"/"),
            headers: fields
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
            ..Request::default()
        }
    }

    fn rewritten(rewriter: &Rewriter) -> Vec<String> {
        let mut request = request();
        rewriter.apply(&mut request).unwrap();
        request
            .headers
            .iter()
            .map(|(n, v)| format!("{}: {}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .collect()
    }

    #[test]
    fn only_what_was_asked_for_is_changed() {
        let field = |text: &str| text.parse::<Field>().unwrap();
        assert_eq!(
            rewritten(&Rewriter::default()),
            ["Host: shop.local", "Cookie: a", "cookie: b", "X-A: 1"]
        );
        let marked = Rewriter { marker: Some("r1".to_owned()), ..Rewriter::default() };
        assert_eq!(rewritten(&marked)[4], "x-shadowtap-replay: r1");
        let set =
            Rewriter { set: vec![field("COOKIE: c"), field("New: n")], ..Rewriter::default() };
        assert_eq!(rewritten(&set), ["Host: shop.local", "COOKIE: c", "X-A: 1", "New: n"]);
        let twice = Rewriter { set: vec![field("x-a: 1"), field("x-a: 2")], ..Rewriter::default() };
        assert_eq!(
            rewritten(&twice),
            ["Host: shop.local", "Cookie: a", "cookie: b", "x-a: 1", "x-a: 2"]
        );
        let removed = Rewriter {
            remove: vec!["Cookie".to_owned()],
            marker: Some("r".to_owned()),
            ..Rewriter::default()
        };
        assert_eq!(rewritten(&removed), ["Host: shop.local", "X-A: 1", "x-shadowtap-replay: r"]);
    }

    #[test]
    fn a_mapped_host_goes_elsewhere_under_its_new_name() {
        let rewriter = Rewriter {
            hosts: vec![("shop.local".to_owned(), 2, "v2:81".to_owned())],
            ..Rewriter::default()
        };
        assert_eq!(rewriter.upstream(&request()), 2);
        assert_eq!(rewritten(&rewriter)[0], "Host: v2:81");
        let mut other = request();
        other.headers = Headers::new();
        assert_eq!(rewriter.upstream(&other), 0);
        let mut absolute = request();
        absolute.target = Bytes::from_static(b"http://shop.local/x");
        assert!(rewriter.apply(&mut absolute).is_err());
    }

    #[test]
    fn targets_are_rewritten_by_pattern() {
        let rewritten = |rules: &[&str], target: &str| {
            let targets = rules.iter().map(|rule| rule.parse().unwrap()).collect();
            let rewriter = Rewriter { targets, ..Rewriter::default() };
            let mut request = request();
            request.target = Bytes::copy_from_slice(target.as_bytes());
            let only_marks = rewriter.only_marks(&request).is_some();
            rewriter.apply(&mut request).map(|()| {
                let now = String::from_utf8_lossy(&request.target).into_owned();
                assert_eq!(only_marks, now == target, "{target}");
                now
            })
        };
        let to = |rules: &[&str], target: &str| rewritten(rules, target).unwrap();
        assert_eq!(to(&["^/v1/=>/v2/"], "/v1/a?x=/v1/"), "/v2/a?x=/v1/");
        assert_eq!(to(&["/orders/(\\d+)=>/orders/by-id/$1"], "/orders/7?a"), "/orders/by-id/7?a");
        assert_eq!(to(&["a=>b", "b=>c"], "/a"), "/c");
        assert_eq!(to(&["x=>y"], "/a"), "/a");
        assert!(rewritten(&["a=>b c"], "/a").is_err());
        for text in ["", "a", "=>b", "(=>b"] {
            assert!(text.parse::<TargetRule>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn headers_as_written() {
        for text in ["", "no colon", ": v", "a b: c", "a: b\r\nc: d", "a: \u{0}"] {
            assert!(text.parse::<Field>().is_err(), "{text:?}");
        }
        let rewriter =
            Rewriter { remove: vec!["Content-length".to_owned()], ..Rewriter::default() };
        assert!(rewriter.check().is_err());
    }

    #[test]
    fn a_trace_of_its_own_takes_the_place_of_a_captured_one() {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let fresh = Rewriter { traces: Some(Traces::new("r", false)), ..Rewriter::default() };
        let keeping = Rewriter { traces: Some(Traces::new("r", true)), ..Rewriter::default() };
        let with = |value: &str| {
            let fields = [("Host", "h"), ("Traceparent", value), ("tracestate", "a=b"), ("X", "1")];
            let headers = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            Request { headers, ..request() }
        };
        let [parent, state] = Traces::new("r", false).stand_ins().map(str::to_owned);
        let sent = |rewriter: &Rewriter, request: Request| {
            let mut changed = request.clone();
            let only_marks = rewriter.only_marks(&request);
            rewriter.apply(&mut changed).unwrap();
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let fields: Vec<_> =
                changed.headers.iter().map(|(n, v)| format!("{}: {}", text(n), text(v))).collect();
            (only_marks.is_some(), fields)
        };
        let own = vec![
            "Host: h".to_owned(),
            format!("traceparent: {parent}"),
            format!("tracestate: {state}"),
            "X: 1".to_owned(),
        ];
        assert_eq!(sent(&fresh, with(context)), (false, own.clone()));
        assert_eq!(sent(&keeping, with("00-what")), (false, own), "what is no context is not kept");
        let (is_same, fields) = sent(&keeping, with(context));
        assert!(is_same && fields[1] == format!("Traceparent: {context}"), "{fields:?}");
        assert_eq!(sent(&keeping, request()).1.len(), request().headers.len() + 2);
        let simple = Request { version: Version::Http09, headers: Headers::new(), ..request() };
        assert!(sent(&fresh, simple).1.is_empty(), "HTTP/0.9 has no fields");
        let twice = Rewriter { set: vec!["traceparent: x".parse().unwrap()], ..fresh.clone() };
        assert!(fresh.check().is_ok() && twice.check().is_err());
    }
}
