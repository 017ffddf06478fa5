//! Answers of v1 that are not whole, since their client left, gave up or was cut off: what is known
//! of them counts. v2 may go on with a stream for as long as it likes, but not fail where v1 did
//! not.

use super::content::kind_of;
use super::{events, json};
use crate::diff::Kind;
use crate::diff::change::{Context, Look, Sink};
use crate::exchange::Completeness;
use crate::message::{Response, content};
use crate::outcome::{FailureKind, Outcome};
use crate::redact::mask::Masker;

/// Whether v1's answer ended before its end, or never began.
pub(super) fn is_left(completeness: Completeness) -> bool {
    matches!(completeness, Completeness::NoResponse | Completeness::ResponseDamaged)
}

/// Compares what is known: v1's status, and whether there was an answer at all.
pub(super) fn compare(v1: Option<u16>, outcome: &Outcome, masker: &Masker, sink: &mut Sink) {
    let v1 = v1.filter(|&status| status > 0);
    let v2 = outcome.response.as_ref().map(|answer| answer.status).filter(|&status| status > 0);
    let said = v1.map(|status| status.to_string());
    if let (Some(failure), false) = (&outcome.failure, is_as_open(v1, v2, outcome)) {
        let (kind, detail) = (failure.kind.name(), masker.text(&failure.detail).into_owned());
        return sink.plain(Kind::Failure, kind, kind, said, Some(detail), Look::Plain);
    }
    let Some(after) = v2 else { return };
    // A client that gave up had no error: one that comes now is v2's.
    let differs = v1.map_or(after >= 400, |before| before != after);
    if differs {
        let before = v1.map_or_else(|| "none".to_owned(), |before| before.to_string());
        let label = format!("{before}→{after}");
        sink.plain(Kind::Status, "status", label, said, Some(after.to_string()), Look::Plain);
    }
}

/// Compares the events of two streams as far as both go; whether there were any.
pub(super) fn events(context: &Context<'_>, v1: &Response, v2: &Response, sink: &mut Sink) -> bool {
    let text = |answer: &Response| {
        let coded = content::is_coded(answer.headers.all("content-encoding"));
        let plain = kind_of(&answer.headers).is_events() && !coded && !answer.body.is_cut();
        let text = String::from_utf8_lossy(&answer.body.bytes).into_owned();
        plain.then_some(text)
    };
    let (Some(a), Some(b)) = (text(v1), text(v2)) else { return false };
    let both = events::as_far_as_both(&a, &b);
    both.is_some_and(|[a, b]| json::compare(context, &a, &b, sink))
}

/// Whether v2's answer is as open as v1's: it was being sent, or had not begun for who gave up.
fn is_as_open(v1: Option<u16>, v2: Option<u16>, outcome: &Outcome) -> bool {
    let kind = outcome.failure.as_ref().map(|failure| failure.kind);
    match kind {
        Some(FailureKind::Timeout) => v1.is_none() || v2.is_some(),
        // A stream may be cut where v1's was.
        Some(FailureKind::Closed) => v1.is_none() || v2.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;

    fn told(v1: Option<u16>, v2: Option<u16>, failure: Option<FailureKind>) -> Vec<String> {
        let answer = |status| Response { status, ..Response::default() };
        let outcome = Outcome {
            response: v2.map(answer),
            failure: failure.map(|kind| Failure::new(kind, "so")),
            ..Outcome::default()
        };
        let mut sink = Sink::default();
        compare(v1, &outcome, &Masker::off(), &mut sink);
        sink.changes.iter().map(|change| change.label.to_string()).collect()
    }

    #[test]
    fn what_v1_had_said_counts_and_what_it_had_not_is_no_difference() {
        let none: [&str; 0] = [];
        // A stream that both send, one that v2 ends, one that nobody answered.
        assert_eq!(told(Some(200), Some(200), None), none);
        assert_eq!(told(Some(200), Some(200), Some(FailureKind::Timeout)), none);
        assert_eq!(told(None, None, None), none);
        assert_eq!(told(None, Some(200), None), none);
        assert_eq!(told(None, None, Some(FailureKind::Timeout)), none);
        // Errors where v1 had none, and no answer where v1 had begun one.
        assert_eq!(told(Some(200), Some(500), None), ["200→500"]);
        assert_eq!(told(Some(200), Some(404), None), ["200→404"]);
        assert_eq!(told(None, Some(404), None), ["none→404"]);
        assert_eq!(told(None, Some(503), None), ["none→503"]);
        assert_eq!(told(Some(200), None, Some(FailureKind::Timeout)), ["timeout"]);
        assert_eq!(told(Some(200), None, Some(FailureKind::Closed)), ["closed"]);
        assert_eq!(told(None, None, Some(FailureKind::Connect)), ["connect"]);
    }
}
