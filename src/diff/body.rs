//! Bodies: content codings and charset undone, then part by part, by structure where they have one,
//! as lines where they are text, else by length and hash.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::change::{Context, Look, Sink, short};
use super::markup::Language;
use super::{Kind, calls, events, form, json, markup, multipart, table, text};
use crate::limits::CONTENT_BYTES;
use crate::message::json::tape::Tape;
use crate::message::media::{Format, MediaType, UTF_8_MARK, in_utf8};
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
    if calls::compare(context, headers, [a, b], sink) {
        return;
    }
    let types = headers.map(kind_of);
    let (a, b) = (in_utf8(a, types[0]), in_utf8(b, types[1]));
    if types.iter().all(|kind| kind.is_json_lines()) {
        let (left, right) = (json_lines(&a), json_lines(&b));
        if json::compare(context, &left, &right, sink) {
            return;
        }
    }
    if types.iter().all(|kind| kind.is_events())
        && let (Ok(left), Ok(right)) = (std::str::from_utf8(&a), std::str::from_utf8(&b))
    {
        let (left, right) = (events::as_json(left), events::as_json(right));
        if json::compare(context, &left, &right, sink) {
            return;
        }
    }
    if let (Ok(left), Ok(right)) = (std::str::from_utf8(&a), std::str::from_utf8(&b))
        && let Some([left, right]) = table::as_json(types, left, right)
        && json::compare(context, &left, &right, sink)
    {
        return;
    }
    let wanted = types.iter().any(|kind| kind.is_json());
    let is_json = |kind: MediaType<'_>, content: &[u8]| kind.format(content) == Format::Json;
    if wanted || is_json(types[0], &a) && is_json(types[1], &b) {
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
    if let (Ok(x), Ok(y)) = (std::str::from_utf8(left), std::str::from_utf8(right))
        && (a != b || sink.present.is_some())
        && languages(types, left, right)
            .into_iter()
            .flatten()
            .any(|language| markup::compare(context, language, x, y, sink))
    {
        return;
    }
    if a == b {
        return;
    }
    match (std::str::from_utf8(&a), std::str::from_utf8(&b)) {
        (Ok(a), Ok(b)) if types.iter().all(|kind| kind.is_form()) => {
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

/// The type of a content.
pub(super) fn kind_of(headers: &Headers) -> MediaType<'_> {
    MediaType::new(headers.get("content-type").unwrap_or_default())
}

/// The markup that both contents may be written in, the likelier first: an XML declaration makes
/// XML whatever the type says, but not of what is not well-formed.
fn languages(types: [MediaType<'_>; 2], a: &[u8], b: &[u8]) -> [Option<Language>; 2] {
    let language = match (types[0].format(a), types[1].format(b)) {
        (Format::Xml, Format::Xml) => Some(Language::Xml),
        (Format::Html, Format::Html) => Some(Language::Html),
        // One of them says what it is and the other one does not.
        (Format::Xml, Format::Html) | (Format::Html, Format::Xml) => {
            return [Some(Language::Xml), None];
        }
        _ => None,
    };
    let page = language == Some(Language::Xml) && types.iter().all(|kind| kind.is_html());
    [language, page.then_some(Language::Html)]
}

/// Lines of JSON as one array.
fn json_lines(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    [b"[", lines.join(&b","[..]).as_slice(), b"]"].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::message::Request;

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
        let request = Request::default();
        let context = Context::plain(&request);
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
        let page = "<!doctype html><html><META http-equiv='content-type' content='text/html; \
            charset=ISO-8859-1'><p>";
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
