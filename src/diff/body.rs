//! Bodies: content codings and charset undone, then part by part, by structure where they have one,
//! as lines where they are text, else by length and hash.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use sha2::{Digest as _, Sha256};

use super::change::{Context, Look, Sink, short};
use super::markup::Language;
use super::{Kind, events, form, json, markup, multipart, text};
use crate::limits::CONTENT_BYTES;
use crate::message::json::tape::Tape;
use crate::message::{Body, Headers, Response, content};

/// Compares the bodies of two answers.
pub(super) fn compare(
    context: &Context<'_>,
    expected: &Response,
    actual: &Response,
    sink: &mut Sink,
) {
    let (a, b) = (&expected.body, &actual.body);
    if a.is_cut() || b.is_cut() {
        return cut(a, b, sink);
    }
    let coding =
        |headers: &Headers| headers.all("content-encoding").map(<[u8]>::to_vec).collect::<Vec<_>>();
    // Where places are counted, also equal documents are walked.
    if a.bytes == b.bytes
        && sink.present.is_none()
        && coding(&expected.headers) == coding(&actual.headers)
    {
        return;
    }
    let decoded = |response: &'_ Response| {
        content::decode(
            &response.body.bytes,
            response.headers.all("content-encoding"),
            CONTENT_BYTES,
        )
        .map(Cow::into_owned)
    };
    let headers = [&expected.headers, &actual.headers];
    let plain = !content::is_coded(expected.headers.all("content-encoding"))
        && !content::is_coded(actual.headers.all("content-encoding"));
    if plain {
        return contents(context, headers, &a.bytes, &b.bytes, sink);
    }
    match (decoded(expected), decoded(actual)) {
        (Ok(a), Ok(b)) => contents(context, headers, &a, &b, sink),
        // v1's own content is damaged or of an unknown coding: bytes are all there is.
        (Err(_), _) => binary(&a.bytes, &b.bytes, sink),
        (Ok(_), Err(error)) => {
            let actual = Some(error.to_string());
            sink.plain(
                Kind::Body,
                "body",
                "not decodable",
                Some(described(a)),
                actual,
                Look::Plain,
            );
        }
    }
}

/// Compares decoded contents.
fn contents(context: &Context<'_>, headers: [&Headers; 2], a: &[u8], b: &[u8], sink: &mut Sink) {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return,
        (false, true) => {
            return sink.plain(
                Kind::Missing,
                "body",
                "removed",
                Some(shown(context, a)),
                None,
                Look::Plain,
            );
        }
        (true, false) => {
            return sink.plain(
                Kind::Body,
                "body",
                "added",
                None,
                Some(shown(context, b)),
                Look::Plain,
            );
        }
        _ => {}
    }
    if !multipart::compare(context, headers, a, b, sink) {
        structured(context, headers, a, b, sink);
    }
}

/// Compares contents that are no parts.
pub(super) fn structured(
    context: &Context<'_>,
    headers: [&Headers; 2],
    a: &[u8],
    b: &[u8],
    sink: &mut Sink,
) {
    let types = headers.map(media_type);
    let (a, b) = (in_utf8(a, &types[0]), in_utf8(b, &types[1]));
    if types.iter().all(|(name, _)| is_json_lines(name)) {
        let (left, right) = (json_lines(&a), json_lines(&b));
        if json::compare(context, &left, &right, sink) {
            return;
        }
    }
    if types.iter().all(|(name, _)| name == "text/event-stream")
        && let (Ok(left), Ok(right)) = (std::str::from_utf8(&a), std::str::from_utf8(&b))
    {
        let (left, right) = (events::as_json(left), events::as_json(right));
        if json::compare(context, &left, &right, sink) {
            return;
        }
    }
    let wanted = types.iter().any(|(name, _)| is_json(name));
    if wanted || looks_like_json(&a) && looks_like_json(&b) {
        let left = Tape::parse(&a);
        let beside =
            left.as_ref().map_or_else(|_| Tape::parse(&b), |left| Tape::parse_beside(&b, left));
        match (left, beside) {
            (Ok(a), Ok(b)) => return json::compare_tapes(context, &a, &b, sink),
            // Several documents, a line each, under the name of one.
            (Err(_), Err(_)) if json::compare(context, &json_lines(&a), &json_lines(&b), sink) => {
                return;
            }
            (Ok(_), Err(_)) if wanted => {
                let (a, b) = (shown(context, &a), shown(context, &b));
                return sink.plain(Kind::Body, "$", "json→other", Some(a), Some(b), Look::Plain);
            }
            (Err(_), Ok(_)) if wanted => {
                let (a, b) = (shown(context, &a), shown(context, &b));
                return sink.plain(Kind::Body, "$", "other→json", Some(a), Some(b), Look::Plain);
            }
            _ => {}
        }
    }
    // Where places are counted, also equal markup is walked.
    let unmarked =
        |text: &Cow<'_, [u8]>| if text.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 };
    let (left, right) = (&a[unmarked(&a)..], &b[unmarked(&b)..]);
    if let (Some(language), Ok(left), Ok(right)) =
        (language(&types, left, right), std::str::from_utf8(left), std::str::from_utf8(right))
        && (a != b || sink.present.is_some())
        && markup::compare(context, language, left, right, sink)
    {
        return;
    }
    if a == b {
        return;
    }
    match (std::str::from_utf8(&a), std::str::from_utf8(&b)) {
        (Ok(a), Ok(b))
            if types.iter().all(|(name, _)| name == "application/x-www-form-urlencoded") =>
        {
            form::compare(context, a, b, sink);
        }
        (Ok(left), Ok(right)) if !a.contains(&0) && !b.contains(&0) => {
            text::compare(context, left, right, sink)
        }
        _ => binary(&a, &b, sink),
    }
}

fn binary(a: &[u8], b: &[u8], sink: &mut Sink) {
    if a != b {
        let described = |bytes: &[u8]| described(&Body::whole(bytes.to_vec()));
        let label = if a.len() == b.len() { "changed" } else { "length" };
        sink.plain(Kind::Body, "bytes", label, Some(described(a)), Some(described(b)), Look::Plain);
    }
}

/// Bodies of which not all was kept: by length and hash. Without a hash (what was redacted has
/// none) by what both hold.
fn cut(a: &Body, b: &Body, sink: &mut Sink) {
    let hash = |body: &Body| {
        body.sha256.or_else(|| (!body.is_cut()).then(|| Sha256::digest(&body.bytes).into()))
    };
    let is_same = match (hash(a), hash(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.bytes.iter().zip(&b.bytes).all(|(a, b)| a == b),
    };
    if a.length != b.length || !is_same {
        let label = if a.length == b.length { "changed" } else { "length" };
        sink.plain(Kind::Body, "bytes", label, Some(described(a)), Some(described(b)), Look::Plain);
    }
}

/// `1024 bytes, sha256 ab12…`.
fn described(body: &Body) -> String {
    let hash: [u8; 32] = body.sha256.unwrap_or_else(|| Sha256::digest(&body.bytes).into());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {hex}…", body.length)
}

pub(super) fn shown(context: &Context<'_>, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => short(&context.masker.text(text)),
        Err(_) => described(&Body::whole(bytes.to_vec())),
    }
}

/// The media type in lower case without parameters, and the charset.
fn media_type(headers: &Headers) -> (String, Option<String>) {
    let value = String::from_utf8_lossy(headers.get("content-type").unwrap_or_default())
        .to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_owned();
    let charset = parts
        .find_map(|part| part.strip_prefix("charset="))
        .map(|name| name.trim_matches('"').to_owned());
    (name, charset)
}

/// A parameter of a header's value, without quotes.
pub(super) fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The byte order mark of UTF-8.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The content in UTF-8: as it is where it has no other charset, or one that nobody knows. The
/// charset is what the header says; else what the content says of itself.
fn in_utf8<'a>(content: &'a [u8], (kind, charset): &(String, Option<String>)) -> Cow<'a, [u8]> {
    let named = |name: &[u8]| Encoding::for_label(name);
    let encoding = match charset {
        Some(name) => named(name.as_bytes()),
        None => Encoding::for_bom(content).map(|(encoding, _)| encoding).or_else(|| {
            // What is written in letters of ASCII is not in UTF-16, whatever it says (HTML
            // §13.2.3.2, XML 1.0 §F.1).
            own_charset(kind, content)
                .and_then(named)
                .filter(|encoding| encoding.is_ascii_compatible())
        }),
    };
    match encoding {
        Some(encoding) if encoding != UTF_8 => match encoding.decode(content) {
            (Cow::Borrowed(text), ..) => Cow::Borrowed(text.as_bytes()),
            (Cow::Owned(text), ..) => Cow::Owned(text.into_bytes()),
        },
        _ => Cow::Borrowed(content),
    }
}

/// The charset that an XML declaration (XML 1.0 §4.3.3) or a `<meta>` near the start of HTML
/// (§4.2.5.4) names.
fn own_charset<'a>(kind: &str, content: &'a [u8]) -> Option<&'a [u8]> {
    /// A page must name it within so many bytes.
    const PROLOG: usize = 1_024;
    let start = &content[..content.len().min(PROLOG)];
    let find = |text: &[u8], name: &[u8]| {
        text.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))
    };
    // Behind the name of an attribute and its `=`, up to what ends it.
    let value = |text: &'a [u8], name: &[u8]| {
        let rest = text[find(text, name)? + name.len()..]
            .trim_ascii_start()
            .strip_prefix(b"=")?
            .trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
        let end = rest.iter().position(|byte| {
            matches!(byte, b'"' | b'\'' | b';' | b'/' | b'>' | b'?') || byte.is_ascii_whitespace()
        });
        Some(&rest[..end?])
    };
    if is_xml(kind) {
        let declaration = start.strip_prefix(b"<?xml")?;
        return value(&declaration[..find(declaration, b"?>")?], b"encoding");
    }
    if kind != "text/html" {
        return None;
    }
    let mut rest = start;
    while let Some(at) = find(rest, b"<meta") {
        rest = &rest[at + 5..];
        let tag = &rest[..memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1)];
        if let Some(name) = value(tag, b"charset") {
            return Some(name);
        }
    }
    None
}

fn is_xml(name: &str) -> bool {
    matches!(name, "text/xml" | "application/xml") || name.ends_with("+xml")
}

fn is_json(name: &str) -> bool {
    matches!(name, "application/json" | "text/json" | "application/javascript+json")
        || name.ends_with("+json")
}

fn is_json_lines(name: &str) -> bool {
    matches!(
        name,
        "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
    )
}

/// The markup that both contents are written in; none where they are not, or not in the same.
fn language(types: &[(String, Option<String>); 2], a: &[u8], b: &[u8]) -> Option<Language> {
    let of = |name: &str, content: &[u8]| {
        let html = name == "text/html";
        let content = content.trim_ascii_start();
        match content.first() {
            Some(b'<') if is_xml(name) => Some(Language::Xml),
            // XML under another name, as many a framework sends it.
            Some(b'<') if !html && !starts_as_html(content) || is_plain_xml(content) => {
                Some(Language::Xml)
            }
            Some(b'<') if html => Some(Language::Html),
            _ => None,
        }
    };
    of(&types[0].0, a).filter(|language| of(&types[1].0, b) == Some(*language))
}

/// Whether markup without a name of its own begins as a page does.
fn starts_as_html(content: &[u8]) -> bool {
    let starts = |tag: &str| {
        content.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| starts(tag))
}

/// Whether markup begins with an XML declaration and is no page in XHTML.
fn is_plain_xml(content: &[u8]) -> bool {
    let start = &content[..content.len().min(512)];
    let html = |window: &[u8]| window.eq_ignore_ascii_case(b"html");
    start.starts_with(b"<?xml") && !start.windows(4).any(html)
}

/// Lines of JSON as one array.
fn json_lines(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    [b"[", lines.join(&b","[..]).as_slice(), b"]"].concat()
}

fn looks_like_json(content: &[u8]) -> bool {
    matches!(content.trim_ascii_start().first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::rules::RouteRules;
    use super::*;
    use crate::message::Request;
    use crate::redact::Masker;

    fn answer(kind: &str, coding: &str, body: Vec<u8>) -> Response {
        let fields = [("Content-Type", kind), ("Content-Encoding", coding)];
        let headers = fields
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Response {
            status: 200,
            headers: headers.collect(),
            body: Body::whole(body),
            ..Response::default()
        }
    }

    fn changes(a: &Response, b: &Response) -> Vec<String> {
        let context = Context {
            request: &Request::default(),
            expected_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            actual_at: None,
            hosts: &Default::default,
            rules: &RouteRules::default(),
            masker: &Masker::off(),
        };
        let mut sink = Sink::default();
        compare(&context, a, b, &mut sink);
        sink.changes.iter().map(|change| format!("{} {}", change.place, change.label)).collect()
    }

    fn json(a: &str, b: &str) -> Vec<String> {
        changes(
            &answer("application/json", "", a.into()),
            &answer("application/json", "", b.into()),
        )
    }

    #[test]
    fn what_cannot_be_undone_within_its_bound_is_said_and_not_held() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..=CONTENT_BYTES >> 20 {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = answer("application/json", "gzip", encoder.finish().unwrap());
        let small = answer("application/json", "", b"{}".to_vec());
        assert_eq!(changes(&small, &bomb), ["body not decodable"]);
        assert_eq!(
            changes(&bomb, &small),
            ["bytes length"],
            "v1's own content cannot be read: bytes are all there is"
        );
        assert_eq!(changes(&bomb, &bomb), [""; 0]);
    }

    #[test]
    fn odd_json_is_compared_for_what_it_says() {
        assert_eq!(
            json(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#),
            ["$.a changed"],
            "each of several members of one name"
        );
        assert_eq!(json(r#"{"a":1,"a":2}"#, r#"{"a":2}"#), ["$.a changed", "$.a removed"]);
        assert_eq!(
            json(r#"["\ud800"]"#, r#"["\ud801"]"#),
            ["$[0] changed"],
            "lone surrogates have no value but are not equal"
        );
        assert_eq!(json(r#"["\ud83d\ude00"]"#, r#"["😀"]"#), [""; 0]);
        assert_eq!(json("[NaN]", "[1]"), ["$ other→json"]);
        assert_eq!(json("[1]", "[NaN]"), ["$ json→other"]);
        assert_eq!(json("[NaN, 1]", "[NaN, 2]").len(), 1, "no JSON on either side: text");
        let deep =
            |inner: &str| format!("{}{inner}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(json(&deep("1"), &deep("2")).len(), 1, "too deep for structure");
        assert_eq!(
            json("{\"n\":1}\n{\"n\":2}\n", "{\"n\":1}\n{\"n\":3}\n"),
            ["$[1].n changed"],
            "several documents, a line each"
        );
    }

    #[test]
    fn a_document_may_name_its_own_charset() {
        let latin = |kind: &str, before: &str, word: &[u8]| {
            answer(kind, "", [before.as_bytes(), word, b"</p>"].concat())
        };
        let page = "<!doctype html><html><META http-equiv='content-type' content='text/html; charset=ISO-8859-1'><p>";
        let utf = |before: &str| before.replace("ISO-8859-1", "utf-8");
        for (kind, before) in [
            ("text/html", page),
            ("application/xml", "<?xml version=\"1.0\" encoding='ISO-8859-1'?><p>"),
        ] {
            let one = latin(kind, before, b"caf\xe9");
            assert_eq!(
                changes(&one, &latin(kind, &utf(before), "caf\u{e9}".as_bytes())).len(),
                usize::from(kind == "text/html")
            );
            let found = changes(&one, &latin(kind, before, b"caf\xe8"));
            assert!(found.len() == 1 && found[0] != "bytes changed", "{found:?}");
            // The header has the first word.
            let named = format!("{kind}; charset=utf-8");
            assert_eq!(
                changes(&latin(&named, before, b"caf\xe9"), &latin(&named, before, b"caf\xe8")),
                ["bytes changed"]
            );
        }
        let wide: Vec<u8> = "\u{feff}<a>1</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(
            changes(
                &answer("text/xml", "", wide),
                &answer("text/xml", "", b"\xef\xbb\xbf<a>1</a>".to_vec())
            ),
            [""; 0]
        );
        assert_eq!(own_charset("text/html", b"<meta charset=utf-16>"), Some(&b"utf-16"[..]));
        assert_eq!(own_charset("text/html", b"<meta charset=utf"), None);
        assert_eq!(own_charset("text/plain", b"<meta charset=latin1>"), None);
    }

    #[test]
    fn parts_are_compared_one_by_one() {
        let form = |boundary: &str, parts: &[(&str, &str)]| {
            let part = |(head, content): &(&str, &str)| {
                format!("--{boundary}\r\n{head}\r\n\r\n{content}\r\n")
            };
            let body = format!(
                "preamble\r\n{}--{boundary}--\r\nepilogue",
                parts.iter().map(part).collect::<String>()
            );
            answer(&format!("multipart/form-data; boundary=\"{boundary}\""), "", body.into_bytes())
        };
        let json =
            "Content-Disposition: form-data; name=\"order\"\r\nContent-Type: application/json";
        let text = "content-disposition: form-data; name=note";
        let one = form("xX", &[(json, r#"{"id":1,"n":[1,2]}"#), (text, "one\r\n--xXno delimiter")]);
        assert_eq!(
            changes(
                &one,
                &form(
                    "yY",
                    &[(text, "one\r\n--xXno delimiter"), (json, r#"{"n":[1,2],"id":1.0}"#)]
                )
            ),
            [""; 0]
        );
        let other = form("yY", &[(json, r#"{"id":1,"n":[1,3]}"#), (text, "two")]);
        assert_eq!(
            changes(&one, &other),
            ["part note: lines 1 to 2 changed", "part order: $.n[1] changed"]
        );
        assert_eq!(
            changes(&one, &form("xX", &[(json, r#"{"id":1,"n":[1,2]}"#)])),
            ["part note: part removed"]
        );
        assert_eq!(
            changes(&form("a", &[("X: 1", "p")]), &form("b", &[("X: 2", "p"), ("", "q")])),
            ["part 0: x changed", "part 1: part added"]
        );
        let open = answer("multipart/mixed; boundary=a", "", b"--a\r\n\r\nnot closed".to_vec());
        let found = changes(&open, &form("a", &[("", "x")]));
        assert!(
            !found.is_empty() && found.iter().all(|change| change.contains("line ")),
            "{found:?}"
        );
    }

    #[test]
    fn a_string_of_a_hundred_megabytes_is_one_change() {
        let long = |last: char| format!("[\"{}{last}\"]", "x".repeat(100_000_000));
        assert_eq!(json(&long('a'), &long('b')), ["$[0] changed"]);
    }
}
