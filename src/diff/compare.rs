//! Two answers to the same request, compared.

use super::change::{Context, Look, Sink, hash_place};
use super::{Kind, body, calls, headers};
use crate::message::Response;

/// Compares v1's answer with v2's. Where the status is of another class (200 against 500), that is
/// the one difference: what else differs follows from it.
pub fn answers(context: &Context<'_>, expected: &Response, actual: &Response, sink: &mut Sink) {
    sink.saw(hash_place("status"));
    if expected.status != actual.status {
        let label = format!("{}→{}", expected.status, actual.status);
        let (a, b) = (expected.status.to_string(), actual.status.to_string());
        sink.plain(Kind::Status, "status", label, Some(a), Some(b), Look::Plain);
        if expected.status / 100 != actual.status / 100 {
            return;
        }
    }
    if calls::compare_status(expected, actual, sink) {
        return;
    }
    // RFC 9110 §6.4.1: no content after HEAD, in 204 and in 304.
    let without =
        |response: &Response| matches!(response.status, 204 | 304) || response.status < 200;
    let bodies = &*context.request.method != b"HEAD" && !without(expected) && !without(actual);
    headers::compare(context, &expected.headers, &actual.headers, bodies, sink);
    if bodies {
        body::compare(context, expected, actual, sink);
    }
    headers::compare_trailers(context, &expected.trailers, &actual.trailers, sink);
}
