//! Bodies: content codings and charset undone, then part by part, by structure where they have one,
//! as lines where they are text, else by length and hash.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::change::{Context, Look, Sink};
use super::content::{binary, described, shown, structured};
use super::{Kind, multipart};
use crate::limits::CONTENT_BYTES;
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
    fn packets_of_long_polling_are_compared_by_structure() {
        let told = |a: &str, b: &str| {
            let kind = "text/plain; charset=UTF-8";
            changes(&answer(kind, "", a.into()), &answer(kind, "", b.into()))
        };
        let one = "40{\"sid\":\"a\", \"n\":1}\u{1e}42[\"x\",{\"price\":5}]";
        let same = "40{\"n\":1,\"sid\":\"a\"}\u{1e}42[\"x\",{\"price\":5.0}]";
        assert_eq!(told(one, same), [""; 0]);
        let dearer = one.replace('5', "6");
        assert_eq!(told(one, &dearer), ["$[1]['42'].x[0].price changed"]);
    }

    #[test]
    fn a_document_in_a_call_and_a_sequence_of_texts_are_compared_by_structure() {
        let told = |kind: &str, a: &str, b: &str| {
            changes(&answer(kind, "", a.into()), &answer(kind, "", b.into()))
        };
        let script = "application/javascript";
        let none: [&str; 0] = [];
        assert_eq!(told(script, "cb({\"a\":1,\"b\":2});", "cb({\"b\":2,\n\"a\":1});\n"), none);
        // What stands around it counts, too.
        for other in ["cb([1]);", "/**/cb([1])", "/**/cb([1]);;", "/**/ob([1]);"] {
            assert_eq!(told(script, "/**/cb([1]);", other).len(), 1, "{other}");
        }
        assert_eq!(told(script, "/**/cb([1,2]);", "/**/cb([1,3]);"), ["$[1] changed"]);
        assert_eq!(told(script, "cb([1]);", "other([1]);").len(), 1);
        let sequence = "application/json-seq";
        let texts = "\u{1e}{\"a\":1,\"b\":2}\n\u{1e}[3]\n";
        assert_eq!(told(sequence, texts, "\u{1e}{\"b\":2,\"a\":1}\n\u{1e}[3]\n"), none);
        assert_eq!(told(sequence, texts, &texts.replace('3', "4")), ["$[1][0] changed"]);
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
