//! The values of targets, header fields, cookies, forms and URLs.

use super::super::Headers;
use super::super::encoding;
use super::super::fields::{self, Crumb};
use super::super::place::{Step, Trail};
use super::super::target;
use super::{Encoding, Form, Patch, Value, Walk, further, offset_in};

/// Header fields whose value is a URL.
const URLS: [&str; 4] = ["location", "content-location", "referer", "refresh"];
/// Those that hold entity tags.
const TAGS: [&str; 4] = ["etag", "if-match", "if-none-match", "if-range"];

/// What pairs of names and values are.
#[derive(Clone, Copy)]
pub(super) enum PairNames {
    Query,
    Form,
}

impl Walk<'_> {
    /// Path and query of a target; gives the edited target.
    pub fn target(&mut self, target: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(target).ok();
        let Some(text) = text else {
            self.digest(&Trail::new(Step::Segment(0)), target);
            return None;
        };
        let (path, query) = target::path_and_query(target);
        let (path, query) = (std::str::from_utf8(path).ok()?, std::str::from_utf8(query).ok()?);
        let mut patch = Patch::default();
        self.path(None, text, path, &mut patch, |_| true);
        self.pairs(None, text, query, PairNames::Query, &mut patch);
        patch.applied(text).map(String::into_bytes)
    }

    /// The segments of a path that `open` says are values, by their number from 1.
    pub(super) fn path(
        &mut self,
        at: Option<&Trail<'_>>,
        whole: &str,
        path: &str,
        patch: &mut Patch,
        open: impl Fn(usize) -> bool,
    ) {
        let begin = offset_in(whole, path);
        let mut start = 0;
        for (index, segment) in path.split('/').enumerate() {
            let from = begin + start;
            start += segment.len() + 1;
            if segment.is_empty() && index == 0 || !open(index) {
                continue;
            }
            let trail = further(at, Step::Segment(index));
            let text = Encoding::Percent.decoded(segment);
            let edited = self.text(&trail, &text, Encoding::Percent);
            if let Some(edited) = edited {
                let range = from..from + segment.len();
                patch.put(range, encoding::segment_like(segment, &edited));
            }
        }
    }

    /// The segments of a target's path that `open` says are values.
    pub fn segments(&mut self, target: &[u8], open: impl Fn(usize) -> bool) {
        let path = target::path_and_query(target).0;
        match std::str::from_utf8(path) {
            Ok(path) => self.path(None, path, path, &mut Patch::default(), open),
            Err(_) => self.digest(&Trail::new(Step::Segment(0)), path),
        }
    }

    /// The parameters of a path's segments (RFC 3986 §3.3): `/orders;customer=7/items`.
    pub fn segment_parameters(&mut self, target: &[u8]) {
        let path = target::path_and_query(target).0;
        let Ok(path) = std::str::from_utf8(path) else { return };
        for (index, segment) in path.split('/').enumerate() {
            let trail = Trail::new(Step::Segment(index));
            for parameter in segment.split(';').skip(1) {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                let name = Encoding::Percent.decoded(name);
                let trail = trail.then(Step::Attribute(name));
                self.text(&trail, &Encoding::Percent.decoded(value), Encoding::Percent);
            }
        }
    }

    /// The parameters of a target's query.
    pub fn query(&mut self, target: &[u8]) {
        let query = target::path_and_query(target).1;
        match std::str::from_utf8(query) {
            Ok(query) => self.pairs(None, query, query, PairNames::Query, &mut Patch::default()),
            Err(_) => self.digest(&Trail::new(Step::Query("".into())), query),
        }
    }

    /// The pairs of a query or a form, which is a part of `whole`.
    pub(super) fn pairs(
        &mut self,
        at: Option<&Trail<'_>>,
        whole: &str,
        pairs: &str,
        are: PairNames,
        patch: &mut Patch,
    ) {
        let begin = offset_in(whole, pairs);
        let mut start = 0;
        for pair in pairs.split('&') {
            let from = begin + start;
            start += pair.len() + 1;
            if pair.is_empty() {
                continue;
            }
            if self.left == 0 {
                self.cut = true;
                return;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = Encoding::Form.decoded(name);
            let step = match are {
                PairNames::Query => Step::Query(name),
                PairNames::Form => Step::Form(name),
            };
            let trail = further(at, step);
            let text = Encoding::Form.decoded(value);
            let edited = self.text(&trail, &text, Encoding::Form);
            let value_at = from + pair.len() - value.len();
            if let Some(edited) = edited {
                patch.put(value_at..value_at + value.len(), encoding::form_like(value, &edited));
            }
        }
    }

    /// All header fields; gives those that were edited, with their number.
    pub fn headers(&mut self, headers: &Headers) -> Vec<(usize, Vec<u8>)> {
        let mut edited = Vec::new();
        for (index, (name, value)) in headers.iter().enumerate() {
            if let Some(value) = self.header(None, name, value) {
                edited.push((index, value));
            }
        }
        edited
    }

    /// A header field; gives the edited value.
    pub fn header(&mut self, at: Option<&Trail<'_>>, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let name = String::from_utf8_lossy(name);
        if self.visit.passes_over(&name) {
            return None;
        }
        let trail = further(at, Step::Header((&*name).into()));
        let Ok(text) = std::str::from_utf8(value) else {
            self.digest(&trail, value);
            return None;
        };
        let is = |names: &[&str]| names.iter().any(|own| name.eq_ignore_ascii_case(own));
        let edited = if is(&["cookie"]) {
            self.cookies(at, text)
        } else if is(&["set-cookie"]) {
            self.set_cookie(at, text)
        } else if is(&["authorization", "proxy-authorization"]) {
            self.credentials(&trail, text)
        } else if is(&TAGS) {
            self.tags(&trail, text)
        } else if is(&URLS) {
            self.url(&trail, text).unwrap_or_else(|| self.text(&trail, text, Encoding::Plain))
        } else if is(&["link"]) {
            self.links(&trail, text)
        } else if let Some(pair) = fields::hidden_pair(text.trim()) {
            let edited = self.text(&trail, &pair, Encoding::Base64);
            edited.map(|edited| Encoding::Base64.encoded(&edited).into_owned())
        } else {
            self.text(&trail, text.trim(), Encoding::Plain)
        };
        edited.map(String::into_bytes)
    }

    fn cookies(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        for crumb in fields::cookies(text.as_bytes()) {
            self.crumb(at, text, crumb, &mut patch);
        }
        patch.applied(text)
    }

    /// A cookie with its attributes.
    fn set_cookie(&mut self, at: Option<&Trail<'_>>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        let cookie = fields::set_cookie(text.as_bytes());
        self.crumb(at, text, cookie, &mut patch);
        let name = slice(text, cookie.name);
        let of_cookie = further(at, Step::Cookie(name.into()));
        for attribute in fields::set_cookie_attributes(text.as_bytes()) {
            let value = slice(text, attribute.value);
            let trail = of_cookie.then(Step::Attribute(slice(text, attribute.name).into()));
            let edited = self.one(&trail, value, Form::Text, Encoding::Plain);
            patch.put_some(attribute.at..attribute.at + value.len(), edited, Encoding::Plain);
        }
        patch.applied(text)
    }

    fn crumb(&mut self, at: Option<&Trail<'_>>, text: &str, crumb: Crumb<'_>, patch: &mut Patch) {
        let (name, value) = (slice(text, crumb.name), slice(text, crumb.value));
        let trail = further(at, Step::Cookie(name.into()));
        // Cookies have no encoding of their own, and most frameworks use that of URLs.
        let encoding = if value.contains('%') { Encoding::Percent } else { Encoding::Plain };
        let edited = self.text(&trail, &encoding.decoded(value), encoding);
        patch.put_some(crumb.at..crumb.at + value.len(), edited, encoding);
    }

    /// `Bearer`: its token; `Basic`: user and password; others as they are.
    fn credentials(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let Some((scheme, from)) = fields::credentials(text.as_bytes()) else {
            return self.text(at, text, Encoding::Plain);
        };
        let mut patch = Patch::default();
        let rest = text.get(from..).unwrap_or_default();
        let encoding = if scheme.eq_ignore_ascii_case(b"basic") {
            Encoding::Base64
        } else if scheme.eq_ignore_ascii_case(b"bearer") {
            Encoding::Plain
        } else {
            return self.text(at, text, Encoding::Plain);
        };
        let edited = self.text(at, &encoding.decoded(rest), encoding);
        patch.put_some(from..text.len(), edited, encoding);
        patch.applied(text)
    }

    /// Entity tags without quotes and `W/` (RFC 9110 §8.8.3).
    fn tags(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        let mut rest = text;
        while let Some(open) = rest.find('"') {
            let Some(end) = rest[open + 1..].find('"') else { break };
            let tag = &rest[open + 1..open + 1 + end];
            let from = offset_in(text, tag);
            let edited = self.one(at, tag, Form::Text, Encoding::Plain);
            patch.put_some(from..from + tag.len(), edited, Encoding::Plain);
            rest = &rest[open + end + 2..];
        }
        if rest.len() == text.len() {
            // A date (`If-Range`), `*`, or a tag without quotes.
            return self.text(at, text, Encoding::Plain);
        }
        patch.applied(text)
    }

    /// The targets of `Link` (RFC 8288 §3), and what is said of them.
    fn links(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let mut patch = Patch::default();
        let mut rest = text;
        while let Some(open) = rest.find('<') {
            let Some(end) = rest[open..].find('>') else { break };
            let (said, link) = (&rest[..open], &rest[open + 1..open + end]);
            self.said(at, said);
            let from = offset_in(text, link);
            let edited = self.url(at, link).unwrap_or_else(|| self.text(at, link, Encoding::Plain));
            patch.put_some(from..from + link.len(), edited, Encoding::Plain);
            rest = &rest[open + end + 1..];
        }
        self.said(at, rest);
        patch.applied(text)
    }

    fn said(&mut self, at: &Trail<'_>, text: &str) {
        let text = text.trim_matches([' ', ',', ';']);
        if !text.is_empty() {
            self.one(at, text, Form::Text, Encoding::Plain);
        }
    }

    /// A URL in a value, where it is absolute and has more than an origin.
    pub(super) fn url_in(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<Option<String>> {
        let (scheme, rest) = value.text.split_once("://")?;
        let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !is_web
            || rest.contains(char::is_whitespace)
            || !rest.contains(['/', '?'])
            || !self.visit.inside(at, value)
        {
            return None;
        }
        self.url(at, value.text)
    }

    /// A link within an origin (`/path?name=value`): by its query it is told from other paths.
    pub(super) fn link_in(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<Option<String>> {
        let text = value.text;
        let (path, query) = text.split_once('?')?;
        let is_link = query.split_once('=').is_some_and(|(name, _)| !name.is_empty())
            && !path.starts_with("//")
            && !path.contains(['#', '=', '&'])
            && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>'));
        if !is_link || !self.visit.inside(at, value) {
            return None;
        }
        self.url(at, text)
    }

    /// The parts of a URL, which may be relative: origin, segments, parameters, fragment. None
    /// where it has blanks, and so is none.
    pub(super) fn url(&mut self, at: &Trail<'_>, text: &str) -> Option<Option<String>> {
        if text.contains(char::is_whitespace) {
            return None;
        }
        let (before, fragment) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
        let (path, query) = target::path_and_query(before.as_bytes());
        let (path, query) = (slice(before, path), slice(before, query));
        let mut patch = Patch::default();
        let origin = match target::authority(before.as_bytes()) {
            Some(authority) => {
                &before[..offset_in(before, slice(before, authority)) + authority.len()]
            }
            None => "",
        };
        if !origin.is_empty() {
            let edited = self.one(at, origin, Form::Text, Encoding::Plain);
            patch.put_some(0..origin.len(), edited, Encoding::Plain);
        }
        if offset_in(before, path) >= origin.len() && before.len() > origin.len() {
            self.path(Some(at), text, path, &mut patch, |_| true);
        }
        self.pairs(Some(at), text, query, PairNames::Query, &mut patch);
        if let Some(fragment) = fragment {
            let trail = at.then(Step::Attribute("fragment".into()));
            let from = offset_in(text, fragment);
            let edited = self.text(&trail, fragment, Encoding::Plain);
            patch.put_some(from..from + fragment.len(), edited, Encoding::Plain);
        }
        Some(patch.applied(text))
    }
}

/// The text of a slice of bytes that was cut from `text` at ASCII.
fn slice<'t>(_text: &'t str, part: &'t [u8]) -> &'t str {
    std::str::from_utf8(part).unwrap_or_default()
}
