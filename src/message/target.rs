//! The parts of a request-target (RFC 9112 §3.2) and of an authority (RFC 3986 §3.2).
//!
//! A target is in origin form (`/path?query`), absolute form, authority form (CONNECT) or `*`. An
//! authority is compared in lower case, without user information and without the scheme's own port.

use std::borrow::Cow;

use super::Request;

/// The authority of a target in absolute form; none for the other forms.
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    let rest = &target[behind_scheme(target)?..];
    Some(&rest[..authority_end(rest)])
}

/// Where the authority of a target in absolute form begins.
fn behind_scheme(target: &[u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return None;
    }
    let at = memchr::memmem::find(target, b"://")?;
    let scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    (at > 0 && target[..at].iter().all(scheme)).then_some(at + 3)
}

fn authority_end(rest: &[u8]) -> usize {
    rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len())
}

/// Path and query of a target, neither decoded; the query is without its `?`. A fragment, which no
/// client should send, is left out.
pub fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = target;
    if let Some(at) = behind_scheme(target) {
        rest = &target[at + authority_end(&target[at..])..];
        if !matches!(rest.first(), Some(b'/' | b'?')) {
            rest = b"/";
        }
    }
    let rest = memchr::memchr(b'#', rest).map_or(rest, |at| &rest[..at]);
    match memchr::memchr(b'?', rest) {
        None => (rest, b""),
        Some(at) => (&rest[..at], &rest[at + 1..]),
    }
}

/// A target whose path has no escapes but those that it needs: `/a%2Db` and `/a-b` are one (RFC
/// 3986 §6.2.2.2), and so are signs that stand for themselves in a segment (§3.3). A slash, and
/// what parts parameters of a segment, stays escaped.
pub fn with_plain_path(target: &[u8]) -> Cow<'_, [u8]> {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    if memchr::memchr(b'%', &target[..end]).is_none() {
        return Cow::Borrowed(target);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,".contains(&byte);
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut plain = Vec::with_capacity(target.len());
    let mut at = 0;
    while at < end {
        let escape = match &target[at..end] {
            [b'%', high, low, ..] => value(*high).zip(value(*low)),
            _ => None,
        };
        match escape.map(|(high, low)| (high * 16 + low) as u8) {
            Some(byte) if is_plain(byte) => plain.push(byte),
            Some(_) => plain.extend(target[at..at + 3].iter().map(u8::to_ascii_uppercase)),
            None => plain.push(target[at]),
        }
        at += if escape.is_some() { 3 } else { 1 };
    }
    plain.extend_from_slice(&target[end..]);
    Cow::Owned(plain)
}

/// The path and query that a target names, in origin form, for people.
pub fn origin_form(target: &[u8]) -> String {
    let (path, query) = path_and_query(target);
    let path = if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path) };
    match query {
        b"" => path.into_owned(),
        query => format!("{path}?{}", String::from_utf8_lossy(query)),
    }
}

/// The authority that a request is for: that of an absolute target (it beats `Host`, RFC 9112
/// §3.2.2), else `:authority` or `Host`.
pub fn host(request: &Request) -> Option<&[u8]> {
    authority(&request.target).or_else(|| {
        let field = request.headers.get(":authority").or_else(|| request.headers.get("host"));
        field.map(<[u8]>::trim_ascii)
    })
}

/// Whether a request is for the host `wanted`; see [`authority_is`].
/// `*.name` stands for every host below `name`.
pub fn is_for(request: &Request, wanted: &str) -> bool {
    let Some(host) = host(request) else { return false };
    match wanted.strip_prefix('*') {
        None => authority_is(host, wanted),
        Some(below) => {
            let (_, port) = host_and_port(below);
            let named = std::str::from_utf8(host).unwrap_or_default().trim();
            let shown = if port.is_some() { named } else { host_and_port(named).0 };
            let start = shown.len().checked_sub(below.len()).filter(|&start| start > 0);
            start
                .and_then(|start| shown.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(below))
        }
    }
}

/// An authority without user information.
fn bare(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Host and port of an authority or a `Host` field. An IPv6 address keeps its brackets; one without
/// them has no port.
pub fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let authority = bare(authority.trim());
    let Some((host, port)) = authority.rsplit_once(':') else { return (authority, None) };
    let inside = host.contains(':') && !host.ends_with(']');
    if inside || port.contains(']') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return (authority, None);
    }
    // `host:` has the scheme's own port (RFC 3986 §3.2.3).
    (host, port.parse().ok())
}

/// A host without its port.
pub fn without_port(host: &[u8]) -> &[u8] {
    match std::str::from_utf8(host) {
        Ok(text) => host_and_port(text).0.as_bytes(),
        Err(_) => host,
    }
}

/// An authority as it is compared: in lower case, without the port that its scheme has anyway.
/// Where the scheme is not known, both ports of HTTP count as that.
pub fn canonical_authority(authority: &str) -> Cow<'_, str> {
    let trimmed = bare(authority.trim());
    let (host, port) = host_and_port(trimmed);
    let shown = match port {
        // A name may end with the root's dot (RFC 3986 §3.2.2).
        None | Some(80 | 443) if !host.is_empty() => {
            host.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(host)
        }
        _ => trimmed,
    };
    if shown.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(shown.to_ascii_lowercase())
    } else {
        Cow::Borrowed(shown)
    }
}

/// Whether an authority is `wanted`: `name` for any port, `name:port` for that one.
pub fn authority_is(authority: &[u8], wanted: &str) -> bool {
    authority.eq_ignore_ascii_case(wanted.as_bytes())
        || without_port(authority).eq_ignore_ascii_case(wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_of_a_path_that_mean_nothing_are_undone() {
        for (target, plain) in [
            ("/a%2Db/c%5fd%7E", "/a-b/c_d~"),
            ("/x%3Ay/%40z?t=10%3A00", "/x:y/@z?t=10%3A00"),
            ("/a%2fb%3Bc%3Dd%3Fe%25f%20g%c3%A9", "/a%2Fb%3Bc%3Dd%3Fe%25f%20g%C3%A9"),
            ("/a%2", "/a%2"),
            ("/a%zz%", "/a%zz%"),
            ("/?a%2Db#%2D", "/?a%2Db#%2D"),
            ("*", "*"),
        ] {
            assert_eq!(&*with_plain_path(target.as_bytes()), plain.as_bytes(), "{target}");
        }
    }

    #[test]
    fn every_form_of_target_has_path_and_query() {
        for (target, of, path, query) in [
            ("/a/b?c=d", None, "/a/b", "c=d"),
            ("/a?u=http://x/y", None, "/a", "u=http://x/y"),
            ("http://h:81/a?b", Some("h:81"), "/a", "b"),
            ("https://u:p@h?b", Some("u:p@h"), "", "b"),
            ("HTTP://h", Some("h"), "/", ""),
            ("h:443", None, "h:443", ""),
            ("*", None, "*", ""),
            ("/a#f?x", None, "/a", ""),
            ("", None, "", ""),
        ] {
            let (found, (p, q)) = (authority(target.as_bytes()), path_and_query(target.as_bytes()));
            assert_eq!(found, of.map(str::as_bytes), "{target}");
            assert_eq!((p, q), (path.as_bytes(), query.as_bytes()), "{target}");
        }
        assert_eq!(origin_form(b"http://h"), "/");
        assert_eq!(origin_form(b"http://h/x?y"), "/x?y");
    }

    #[test]
    fn the_authority_of_an_absolute_target_comes_first() {
        for (target, expected) in [
            ("/a", "header.example"),
            ("http://abs.example:81/x", "abs.example:81"),
            ("*", "header.example"),
        ] {
            let request = Request {
                target: target.into(),
                headers: [(&b"Host"[..], &b"header.example "[..])].into_iter().collect(),
                ..Request::default()
            };
            assert_eq!(host(&request), Some(expected.as_bytes()), "{target}");
            assert!(is_for(&request, expected));
        }
    }

    proptest! {
        #[test]
        fn any_target_has_a_path(target: Vec<u8>) {
            let request = Request { target: target.clone().into(), ..Request::default() };
            let _ = (path_and_query(&target), host(&request), origin_form(&target));
        }
    }

    #[test]
    fn an_authority_has_one_form() {
        for (given, host, port, canonical) in [
            ("Shop.Local", "Shop.Local", None, "shop.local"),
            ("shop:80", "shop", Some(80), "shop"),
            ("shop:443", "shop", Some(443), "shop"),
            ("shop:8080", "shop", Some(8080), "shop:8080"),
            (" shop: ", "shop", None, "shop"),
            ("[::1]:80", "[::1]", Some(80), "[::1]"),
            ("[::1]", "[::1]", None, "[::1]"),
            ("::1", "::1", None, "::1"),
            ("u:p@h:81", "h", Some(81), "h:81"),
            ("h:port", "h:port", None, "h:port"),
            ("h:99999", "h", None, "h"),
        ] {
            assert_eq!(host_and_port(given), (host, port), "{given}");
            assert_eq!(canonical_authority(given), canonical, "{given}");
        }
        assert!(authority_is(b"Shop:81", "shop") && authority_is(b"Shop:81", "shop:81"));
        assert!(!authority_is(b"Shop:81", "shop:80"));
        assert_eq!(without_port(b"[::1]:80"), b"[::1]");
    }
}
