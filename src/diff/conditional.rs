//! Conditional requests (RFC 9110 §13): their validators are v1's, and mean nothing to a v2 whose
//! entity tags and times are others.
//!
//! What follows from that alone (`200` for `304`, `412` for want of v1's tag, all for a part) is
//! not held against v2. Another content is: it is compared with what v1 said elsewhere.

use super::change::{Context, Look, Sink};
use super::{Kind, compare};
use crate::message::method::is_safe;
use crate::message::{Body, Headers, Request, Response};

/// How two answers to one conditional request meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// Like any two answers.
    Plain,
    /// v2 refuses what names v1's entity tag.
    Refused,
    /// v1 said that its client has the content, v2 gives it.
    Given,
    /// v1 gave the content, v2 says that the client has it.
    Kept,
    /// One gave a part, the other all.
    Part,
}

/// Whether a request has a condition on what its client knows of v1.
pub(super) fn is_conditional(headers: &Headers) -> bool {
    ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"]
        .iter()
        .any(|name| headers.get(name).is_some())
}

/// How the answers to a request meet. `is_own` says whether a validator of v1's was sent as the one
/// that v2 gave in its place.
pub(super) fn meeting(
    request: &Request,
    is_own: impl Fn(&str) -> bool,
    [expected, actual]: [u16; 2],
) -> Meeting {
    let value = |name: &str| request.headers.get(name).map(<[u8]>::trim_ascii);
    // `*` names no tag of v1.
    let names = |name: &str| value(name).is_some_and(|value| !value.is_empty() && value != b"*");
    let known = || names("if-none-match") || names("if-modified-since");
    // Who was sent its own tag has no reason to refuse it (RFC 9110 §13.2.2).
    let is_strange = |name: &str| {
        let tags = value(name).and_then(|value| std::str::from_utf8(value).ok());
        // A time has a comma, too.
        let one = tags.into_iter().chain(tags.into_iter().flat_map(|tags| tags.split(',')));
        names(name) && !one.map(|tag| tag.trim()).any(&is_own)
    };
    // What was asked for by its content is given, or has not changed (§13.1.2).
    let is_write = !is_safe(&request.method);
    match (expected, actual) {
        (200..=299 | 304, 412)
            if is_strange("if-match")
                || is_strange("if-unmodified-since")
                || is_write && is_strange("if-none-match") =>
        {
            Meeting::Refused
        }
        (304, 200..=299) if known() => Meeting::Given,
        (200..=299, 304) if known() => Meeting::Kept,
        (206, 200) | (200, 206) if names("if-range") => Meeting::Part,
        _ => Meeting::Plain,
    }
}

/// Compares two answers that meet so. `known` is what v1 answered to the same question before.
pub(super) fn compare(
    context: &Context<'_>,
    meeting: Meeting,
    [expected, actual]: [&Response; 2],
    known: Option<&Response>,
    sink: &mut Sink,
) {
    let label = format!("{}→{}", expected.status, actual.status);
    let (a, b) = (expected.status.to_string(), actual.status.to_string());
    sink.saw(super::change::hash_place("status"));
    sink.plain(Kind::Status, "status", label, Some(a), Some(b), Look::Excused);
    match (meeting, known) {
        (Meeting::Given, Some(known)) => compare::answers(context, known, actual, sink),
        // The client has what v1 gave before, and v2 says that this still holds.
        (Meeting::Kept, Some(known)) => compare::answers(context, expected, known, sink),
        (Meeting::Part, _) => {
            if let Some((whole, part)) = parts(expected, actual) {
                compare::answers(context, &whole, &part, sink);
            }
        }
        _ => {}
    }
}

/// Both answers as the part that both hold; none where that cannot be told.
fn parts(expected: &Response, actual: &Response) -> Option<(Response, Response)> {
    let of = if expected.status == 206 { expected } else { actual };
    let (from, to) = range(of.headers.get("content-range")?)?;
    let cut = |response: &Response| {
        let mut response = response.clone();
        if response.status == 200 {
            let bytes = response.body.bytes.get(from..=to)?.to_vec();
            response.body = Body::whole(bytes);
            response.status = 206;
        }
        response.headers = response
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-range"))
            .collect();
        Some(response)
    };
    Some((cut(expected)?, cut(actual)?))
}

/// `bytes 0-99/1234` (RFC 9110 §14.4) as the first and the last byte.
fn range(value: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(value).ok()?;
    let (from, to) = text.strip_prefix("bytes ")?.split('/').next()?.split_once('-')?;
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, value: &str) -> Request {
        let headers = [(name.as_bytes(), value.as_bytes())].into_iter().collect();
        Request { method: "GET".into(), headers, ..Request::default() }
    }

    #[test]
    fn what_validators_of_v1_explain() {
        let of = |name, value, a, b| meeting(&request(name, value), |_| false, [a, b]);
        assert_eq!(of("If-None-Match", "\"1\"", 304, 200), Meeting::Given);
        assert_eq!(
            of("If-Modified-Since", "Sat, 28 Nov 2026 00:00:00 GMT", 304, 200),
            Meeting::Given
        );
        assert_eq!(of("If-None-Match", "W/\"1\"", 200, 304), Meeting::Kept);
        assert_eq!(of("If-Match", "\"1\"", 204, 412), Meeting::Refused);
        assert_eq!(of("If-Unmodified-Since", "x", 200, 412), Meeting::Refused);
        assert_eq!(of("If-Range", "\"1\"", 206, 200), Meeting::Part);
        let create = Request { method: "PUT".into(), ..request("If-None-Match", "\"1\"") };
        assert_eq!(meeting(&create, |_| false, [204, 412]), Meeting::Refused);
        // v2 refuses the tag that it gave itself, and what no condition forbids.
        let own = |name| meeting(&request(name, "\"0\", \"1\""), |it| it == "\"1\"", [200, 412]);
        assert_eq!(own("If-Match"), Meeting::Plain);
        assert_eq!(own("If-Unmodified-Since"), Meeting::Plain);
        assert_eq!(of("If-None-Match", "\"1\"", 200, 412), Meeting::Plain);
        // What they do not.
        assert_eq!(of("If-Match", "*", 200, 412), Meeting::Plain, "any version would do");
        assert_eq!(of("If-Match", "\"1\"", 412, 200), Meeting::Plain, "v2 does not check");
        assert_eq!(of("If-None-Match", "\"1\"", 304, 500), Meeting::Plain);
        assert_eq!(of("Accept", "*/*", 304, 200), Meeting::Plain);
        assert_eq!(of("Range", "bytes=0-1", 206, 200), Meeting::Plain, "v2 ignores ranges");
    }

    #[test]
    fn a_part_is_compared_with_the_same_part() {
        let answer = |status, range: &str, body: &str| Response {
            status,
            headers: [(&b"Content-Range"[..], range.as_bytes())].into_iter().collect(),
            body: Body::whole(body.as_bytes().to_vec()),
            ..Response::default()
        };
        let part = answer(206, "bytes 2-4/9", "cde");
        let (a, b) = parts(&part, &answer(200, "", "abcdefghi")).unwrap();
        assert_eq!((a.body.bytes, a.status, b.status), (b.body.bytes, 206, 206));
        assert!(parts(&part, &answer(200, "", "abc")).is_none());
        assert_eq!(range(b"bytes */9"), None);
        assert_eq!(range(b"bytes 4-2/9"), None);
    }
}
