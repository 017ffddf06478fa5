//! Puts other values into a message, each encoded as the one whose place it takes.
//!
//! The walk says where values stand and writes new ones, layer by layer ([`document`]). Here the
//! message is made whole again: content codings are done anew, lengths and digests follow the body,
//! and what was kept of the bytes on the wire is let go of where it no longer holds. What is not
//! edited keeps its bytes.
//!
//! [`document`]: super::document

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::document::{Bounds, Edited, Value, Visit, Walk};
use super::place::{Pattern, Trail};
use super::{Body, Headers, Request, Response, content};
use crate::message::wire::Verbatim;

/// Texts for places: the first pattern that leads to a value gives its new text.
#[derive(Clone, Debug, Default)]
pub struct Puts(pub Vec<(Pattern, String)>);

impl Visit for Puts {
    fn value(&mut self, at: &Trail<'_>, _: Value<'_>) -> Option<String> {
        let steps = at.steps();
        let (_, text) = self.0.iter().find(|(pattern, _)| pattern.covers_steps(&steps))?;
        Some(text.clone())
    }
}

/// Walks a request and puts what `visit` gives into it; whether it gave anything.
pub fn request(request: &mut Request, visit: &mut dyn Visit, bounds: Bounds) -> bool {
    let edited = Walk::new(visit, bounds).request(request);
    if edited.is_empty() {
        return false;
    }
    // The head on the wire, and where the body was cut, are those of the old message.
    let chunks = request.verbatim.take().and_then(|verbatim| verbatim.chunks);
    let chunks = chunks.filter(|_| edited.body.is_none());
    request.verbatim = Verbatim::of(None, chunks);
    let changes = Changes::of(&request.headers, edited);
    changes.apply(&mut request.headers, &mut request.body);
    if let Some(target) = changes.target {
        request.target = target.into();
    }
    true
}

/// The same for an answer.
pub fn response(response: &mut Response, visit: &mut dyn Visit, bounds: Bounds) -> bool {
    let edited: Edited = Walk::new(visit, bounds).response(response);
    if edited.is_empty() {
        return false;
    }
    Changes::of(&response.headers, edited).apply(&mut response.headers, &mut response.body);
    true
}

/// What is to stand in a message in place of what does, whatever carries it: the parts that change,
/// whole, with all that follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The target of a request.
    pub target: Option<Vec<u8>>,
    /// Values of header fields by the field's number, in order; a field without one goes.
    pub fields: Vec<(usize, Option<Vec<u8>>)>,
    /// Fields behind all others: name and value.
    pub added: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body as it is transferred, its content codings done again.
    pub body: Option<Vec<u8>>,
}

impl Changes {
    /// What an edit of a message with these header fields comes to: where its body changes, codings
    /// are done again, and lengths and digests follow.
    pub fn of(headers: &Headers, edited: Edited) -> Self {
        let recoded = edited.body.map(|content| coded(headers, content));
        let mut new = edited.headers.into_iter().peekable();
        let mut fields = Vec::new();
        for (index, (name, value)) in headers.iter().enumerate() {
            let put = new.next_if(|(at, _)| *at == index).map(|(_, value)| value);
            let held = put.as_deref().unwrap_or(value);
            let wanted = match &recoded {
                Some((bytes, is_coded)) => follows(name, held, bytes, *is_coded),
                None => Some(held.to_vec()),
            };
            if wanted.as_deref() != Some(value) {
                fields.push((index, wanted));
            }
        }
        let body = recoded.map(|(bytes, _)| bytes);
        Self { target: edited.target, fields, added: Vec::new(), body }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.target.is_none()
            && self.fields.is_empty()
            && self.added.is_empty()
            && self.body.is_none()
    }

    /// Changes fields and body.
    pub fn apply(&self, headers: &mut Headers, body: &mut Body) {
        *headers = self.fields(headers);
        if let Some(bytes) = &self.body {
            *body = Body::whole(bytes.clone());
        }
    }

    /// The header fields as they are to be.
    pub fn fields(&self, headers: &Headers) -> Headers {
        let mut changed = self.fields.iter().peekable();
        let mut made = Headers::with_capacity(headers.len() + self.added.len(), headers.weight());
        for (index, (name, value)) in headers.iter().enumerate() {
            match changed.next_if(|(at, _)| *at == index) {
                Some((_, Some(value))) => made.push(name, value),
                Some((_, None)) => {}
                None => made.push(name, value),
            }
        }
        self.added.iter().for_each(|(name, value)| made.push(name, value));
        made
    }
}

/// A field's value beside a new body; none where the field can no longer be true.
fn follows(name: &[u8], value: &[u8], body: &[u8], is_coded: bool) -> Option<Vec<u8>> {
    let is = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
    if is("content-length") {
        return Some(body.len().to_string().into_bytes());
    }
    if is("content-encoding") {
        return is_coded.then(|| value.to_vec());
    }
    if is("content-md5") {
        return Some(STANDARD.encode(md5::Md5::digest(body)).into_bytes());
    }
    if is("content-digest") || is("repr-digest") || is("digest") {
        return digest(value, body);
    }
    Some(value.to_vec())
}

/// `sha-256=:…:` (RFC 9530) or `SHA-256=…` (RFC 3230) of a body; none for other algorithms.
fn digest(value: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let (algorithm, old) = text.split_once('=')?;
    let hash = match algorithm.trim().to_ascii_lowercase().as_str() {
        "sha-256" => STANDARD.encode(Sha256::digest(body)),
        "sha-512" => STANDARD.encode(Sha512::digest(body)),
        _ => return None,
    };
    let colon = if old.starts_with(':') { ":" } else { "" };
    Some(format!("{algorithm}={colon}{hash}{colon}").into_bytes())
}

/// A content with its codings done again; whether it has them. One that cannot be done leaves the
/// content plain.
fn coded(headers: &Headers, content: Vec<u8>) -> (Vec<u8>, bool) {
    if !content::is_coded(headers.all("content-encoding")) {
        return (content, false);
    }
    let names: Vec<String> = headers
        .all("content-encoding")
        .flat_map(super::fields::members)
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect();
    let done = names.iter().try_fold(content.clone(), |bytes, name| code(name, &bytes));
    match done {
        Some(bytes) => (bytes, true),
        None => (content, false),
    }
}

fn code(name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let level = flate2::Compression::default();
    match name {
        "identity" => Some(bytes.to_vec()),
        "gzip" | "x-gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).ok()?;
            encoder.finish().ok()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).ok()?;
            encoder.finish().ok()
        }
        "zstd" => zstd::encode_all(bytes, 0).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puts(list: &[(&str, &str)]) -> Puts {
        Puts(list.iter().map(|(at, text)| (at.parse().unwrap(), (*text).to_owned())).collect())
    }

    fn message(target: &str, fields: &[(&str, &str)], body: &[u8]) -> Request {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Request {
            method: "POST".into(),
            target: target.to_owned().into(),
            headers: fields.collect(),
            body: Body::whole(body.to_vec()),
            ..Request::default()
        }
    }

    #[test]
    fn a_value_is_written_as_the_old_one_was() {
        for (kind, body, place, text, expected) in [
            (
                "application/json",
                r#"{"a": "x" , "b":[1,2]}"#,
                "$.a",
                "q\"\n",
                r#"{"a": "q\"\n" , "b":[1,2]}"#,
            ),
            (
                "application/json",
                r#"{"a":"x","b":[1,2]}"#,
                "$.b[1]",
                "30",
                r#"{"a":"x","b":[1,30]}"#,
            ),
            ("application/json", r#"{"b":[1,2]}"#, "$.b[1]", "x-3", r#"{"b":[1,"x-3"]}"#),
            ("application/json", r#"{"p":"{\"n\":1}"}"#, "$.p $.n", "2", r#"{"p":"{\"n\":2}"}"#),
            (
                "application/json",
                r#"{"u":"https://h/a/1?k=v#f"}"#,
                "$.u query:k",
                "a b",
                r#"{"u":"https://h/a/1?k=a+b#f"}"#,
            ),
            (
                "application/json",
                r#"{"u":"https://h/a/1?k=v"}"#,
                "$.u path[2]",
                "ä",
                r#"{"u":"https://h/a/%C3%A4?k=v"}"#,
            ),
            (
                "application/x-www-form-urlencoded",
                "a=1&b=x+y&a=2",
                "form:b",
                "1&2",
                "a=1&b=1%262&a=2",
            ),
            (
                "text/xml",
                "<a x = '1'><b>one &amp; two</b><b/></a>",
                "/a/b/text()",
                "<3",
                "<a x = '1'><b>&lt;3</b><b/></a>",
            ),
            ("text/xml", "<a x = '1' y='2'/>", "/a/@x", "\"", "<a x = \"&quot;\" y='2'/>"),
            ("text/xml", "<a><![CDATA[100]]></a>", "/a", "1&2", "<a>1&amp;2</a>"),
            (
                "text/html",
                "<p>x<input name=csrf value=abc><script>{\"t\":\"s\"}</script>",
                "//input/@value",
                "n>w",
                "<p>x<input name=csrf value=\"n&gt;w\"><script>{\"t\":\"s\"}</script>",
            ),
            (
                "text/html",
                "<p>x<script>{\"t\":\"s\"}</script>",
                "//script/text() $.t",
                "<&",
                "<p>x<script>{\"t\":\"<&\"}</script>",
            ),
            (
                "text/html",
                "<script>f({\"a\":1}, {\"t\":\"s\"}) // &amp;</script>",
                "//script/text() $[1].t",
                "<&",
                "<script>f({\"a\":1}, {\"t\":\"<&\"}) // &amp;</script>",
            ),
            (
                "text/event-stream",
                "id: 7\ndata: {\"i\":1}\n\ndata: a\ndata: b\n\n",
                "event[1] $.i",
                "2",
                "id: 7\ndata: {\"i\":2}\n\ndata: a\ndata: b\n\n",
            ),
            (
                "text/event-stream",
                "data: a\ndata: b\n\n",
                "event[1]",
                "c\nd",
                "data: c\ndata: d\n:\n\n",
            ),
            (
                "application/x-ndjson",
                "{\"n\":1}\n{\"n\":2}\n",
                "line[2] $.n",
                "3",
                "{\"n\":1}\n{\"n\":3}\n",
            ),
            (
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=o\r\n\r\n{\"n\":1}\r\n--b--",
                "part:o $.n",
                "2",
                "--b\r\nContent-Disposition: form-data; name=o\r\n\r\n{\"n\":2}\r\n--b--",
            ),
            ("text/plain; charset=latin1", "caf\u{e9}", "body", "th\u{e9}", "th\u{e9}"),
        ] {
            let bytes = if kind.contains("latin1") {
                body.chars().map(|c| c as u8).collect()
            } else {
                body.as_bytes().to_vec()
            };
            let mut edited =
                message("/x", &[("Content-Type", kind), ("Content-Length", "1")], &bytes);
            assert!(
                request(&mut edited, &mut puts(&[(place, text)]), Bounds::default()),
                "{body} {place}"
            );
            let bytes = &edited.body.bytes[..];
            let found = if kind.contains("latin1") {
                bytes.iter().map(|&byte| byte as char).collect()
            } else {
                String::from_utf8_lossy(bytes).into_owned()
            };
            assert_eq!(found, expected, "{place}");
            assert_eq!(
                edited.headers.get("content-length"),
                Some(bytes.len().to_string().as_bytes())
            );
        }
    }

    #[test]
    fn targets_fields_and_tokens_are_edited_where_they_stand() {
        let claims =
            |n: u8| super::super::encoding::base64_of(format!("{{\"n\":{n}}}").as_bytes(), true);
        let bearer = format!("Bearer eyJhbGciOiJub25lIn0.{}.sig", claims(1));
        let mut edited = message(
            "http://h/a/b%20c?x=1&y=2",
            &[
                ("Cookie", "a=1; sid=old ;b=2"),
                ("Authorization", &bearer),
                ("If-Match", "W/\"one\", \"two\""),
            ],
            b"",
        );
        let mut all = puts(&[
            ("path[2]", "d/e"),
            ("query:y", "z z"),
            ("cookie:sid", "new"),
            ("header:authorization $.n", "2"),
            ("header:if-match", "t"),
        ]);
        assert!(request(&mut edited, &mut all, Bounds::default()));
        assert_eq!(&edited.target[..], b"http://h/a/d%2Fe?x=1&y=z+z");
        assert_eq!(edited.headers.get("cookie"), Some(&b"a=1; sid=new ;b=2"[..]));
        let bearer = format!("Bearer eyJhbGciOiJub25lIn0.{}.sig", claims(2));
        assert_eq!(edited.headers.get("authorization"), Some(bearer.as_bytes()));
        assert_eq!(edited.headers.get("if-match"), Some(&b"W/\"t\", \"t\""[..]));
        let untouched = edited.clone();
        assert!(!request(&mut edited, &mut puts(&[("cookie:none", "x")]), Bounds::default()));
        assert_eq!(edited, untouched);
    }

    #[test]
    fn codings_and_digests_follow() {
        for (coding, kept) in [("gzip", true), ("deflate", true), ("zstd", true), ("br", false)] {
            let plain = b"{\"n\":1}".to_vec();
            let body = code(coding, &plain).unwrap_or_else(|| {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(&plain).unwrap();
                out
            });
            let fields = [
                ("Content-Type", "application/json"),
                ("Content-Encoding", coding),
                ("Content-MD5", "x"),
                ("Content-Digest", "sha-256=:x:"),
            ];
            let mut edited = message("/", &fields, &body);
            assert!(
                request(&mut edited, &mut puts(&[("$.n", "2")]), Bounds::default()),
                "{coding}"
            );
            let codings = edited.headers.all("content-encoding");
            let bytes = content::decode(&edited.body.bytes, codings, 100).unwrap();
            assert_eq!(&bytes[..], b"{\"n\":2}", "{coding}");
            assert_eq!(edited.headers.get("content-encoding").is_some(), kept);
            assert_eq!(edited.headers.get("content-md5").map(<[u8]>::len), Some(24));
            assert!(edited.headers.get("content-digest").unwrap().len() > 40);
        }
    }
}
