//! Answers of v1 that are not whole, since their client left, gave up or was cut off: what is known
//! of them counts. v2 may go on with a stream for as long as it likes, but not fail where v1 did
//! not, nor begin otherwise.

use super::beginning::Begun;
use std::borrow::Cow;

use super::content::{binary, json_lines, kind_of, shown};
use super::markup::Language;
use super::{beginning, events, form, json, markup, text};
use crate::diff::Kind;
use crate::diff::change::{Context, Look, Sink};
use crate::exchange::{Completeness, Exchange};
use crate::message::media::{Format, in_utf8};
use crate::message::{Response, content, reset_of};
use crate::outcome::{FailureKind, Outcome};
use crate::redact::mask::Masker;
use crate::wire::h2::frame::PROTOCOL_ERROR;

/// Whether v1's answer ended before its end, or never began.
pub(super) fn is_left(completeness: Completeness) -> bool {
    matches!(completeness, Completeness::NoResponse | Completeness::ResponseDamaged)
}

/// What is known of an answer of v1 that is not whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftAnswer {
    status: Option<u16>,
    /// How its client left, where it reset its stream.
    reset: Option<u32>,
    /// There may have been one, which the capture lacks.
    is_lost: bool,
    /// What its client had of the content; nothing where bytes are missing inside.
    had: HeardContent,
    /// When the first of it came, in nanoseconds since the request, where that is known: with the
    /// head, but for streams.
    began_ns: Option<i64>,
}

/// How much of an answer's content was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
struct HeardContent {
    /// Whole events of a stream of events.
    events: Option<usize>,
    bytes: u64,
}

impl HeardContent {
    fn of(answer: &Response) -> Self {
        let events = stream_of(answer).map(|text| events::count(&text));
        Self { events, bytes: answer.body.length }
    }

    /// Whether there is less of it than of `other`. How far codings shorten the same content tells
    /// nothing.
    fn is_less_than(self, other: Self, is_coded: bool) -> bool {
        match (self.events, other.events) {
            (Some(own), Some(other)) => own < other,
            _ if is_coded => self.bytes == 0 && other.bytes > 0,
            _ => self.bytes < other.bytes,
        }
    }
}

impl LeftAnswer {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let status = exchange.response.as_ref().map(|answer| answer.message.status);
        let request = exchange.request.as_ref();
        let answer = exchange.response.as_ref().filter(|_| exchange.is_begun());
        let pieces = answer.and_then(|answer| answer.message.extras.as_ref());
        let had = answer.map(|answer| HeardContent::of(&answer.message)).unwrap_or_default();
        let began = pieces.and_then(|extras| extras.pieces.first()).map(|(_, at)| *at);
        let head = answer.and_then(|answer| answer.first_byte_ns);
        Self {
            had,
            began_ns: began.or(head.filter(|_| had.events.is_none())),
            status: status.filter(|&status| status > 0),
            reset: request.and_then(|one| reset_of(one.message.extras.as_deref())),
            is_lost: exchange.completeness == Completeness::ResponseDamaged,
        }
    }
}

/// Compares what is known: v1's status, and whether there was an answer at all.
pub(super) fn compare(left: LeftAnswer, outcome: &Outcome, masker: &Masker, sink: &mut Sink) {
    let LeftAnswer { status: v1, reset, is_lost, .. } = left;
    let v2 = outcome.response.as_ref().map(|answer| answer.status).filter(|&status| status > 0);
    let said = v1.map(|status| status.to_string());
    let is_as_before = is_as_open(left, v2, outcome) || is_as_wrong(reset, outcome);
    if let (Some(failure), false) = (&outcome.failure, is_as_before) {
        let (kind, detail) = (failure.kind.name(), masker.text(&failure.detail).into_owned());
        return sink.plain(Kind::Failure, kind, kind, said, Some(detail), Look::Plain);
    }
    let Some(after) = v2 else { return };
    if v1 == v2 && left.is_silent(outcome) {
        let detail = Some("nothing of the content for as long as v1's client read".to_owned());
        return sink.plain(Kind::Failure, "timeout", "timeout", said, detail, Look::Plain);
    }
    // A client that gave up had no error: one that comes now is v2's.
    let differs = v1.map_or(after >= 400 && !is_lost, |before| before != after);
    if differs {
        let before = v1.map_or_else(|| "none".to_owned(), |before| before.to_string());
        let label = format!("{before}→{after}");
        sink.plain(Kind::Status, "status", label, said, Some(after.to_string()), Look::Plain);
    }
}

/// Compares what v1's client had of an answer before it left with the same part of v2's, which may
/// have been left as well; whether there was anything to compare.
pub(super) fn begun(
    context: &Context<'_>,
    exchange: &Exchange,
    [v1, v2]: [&Response; 2],
    is_left_too: bool,
    sink: &mut Sink,
) -> bool {
    let is_open = is_left_too || v2.body.is_cut() || !exchange.is_begun();
    if events(context, [v1, v2], is_open, sink) {
        return true;
    }
    let (a, b) = (&v1.body, &v2.body);
    // Where bytes are missing inside, nobody knows what stood in which place.
    if !exchange.is_begun() || is_coded(v1) || is_coded(v2) || a.bytes.is_empty() {
        return false;
    }
    let lines = || match is_left_too && b.bytes.len() < a.bytes.len() {
        true => beginning::of_lines(&b.bytes, &a.bytes).map(|[b, a]| [a, b]),
        false => beginning::of_lines(&a.bytes, &b.bytes),
    };
    let of_text = |sink: &mut Sink| {
        let Some(both) = lines() else { return false };
        let [a, b] = both.map(String::from_utf8_lossy);
        text::compare(context, &a, &b, sink);
        true
    };
    match kind_of(&v1.headers).format(&a.bytes) {
        Format::Json => {
            let heard = of_json(context, [v1, v2], is_left_too || b.is_cut(), sink);
            heard.unwrap_or_else(|| of_text(sink))
        }
        Format::JsonLines => lines().is_some_and(|both| {
            let [a, b] = both.map(json_lines);
            json::compare(context, &a, &b, sink)
        }),
        Format::Text => of_text(sink),
        Format::Bytes => {
            let both = a.bytes.len().min(b.bytes.len());
            let had = if is_left_too || b.is_cut() { both } else { a.bytes.len() };
            binary(&a.bytes[..had], &b.bytes[..both], sink);
            had > 0
        }
        Format::Html => of_markup(context, Language::Html, [v1, v2], is_left_too, sink),
        Format::Xml => of_markup(context, Language::Xml, [v1, v2], is_left_too, sink),
        Format::Form => beginning::of_form(&a.bytes, &b.bytes).is_some_and(|both| {
            let [a, b] = both.each_ref().map(|text| String::from_utf8_lossy(text));
            let of_both = !is_left_too && !v2.body.is_cut() && kind_of(&v2.headers).is_form();
            if of_both {
                form::compare(context, &a, &b, sink);
            }
            of_both
        }),
        _ => false,
    }
}

/// Compares the beginnings of markup; whether there were any.
fn of_markup(
    context: &Context<'_>,
    language: Language,
    answers: [&Response; 2],
    is_left_too: bool,
    sink: &mut Sink,
) -> bool {
    let kinds = answers.map(|answer| kind_of(&answer.headers));
    let [a, b] = [0, 1].map(|side| in_utf8(&answers[side].body.bytes, kinds[side]));
    let is_cut = is_left_too || answers[1].body.is_cut();
    let must_close = matches!(language, Language::Xml);
    beginning::of_markup(&a, &b, is_cut, must_close).is_some_and(|both| {
        let [a, b] = both.each_ref().map(|text| String::from_utf8_lossy(text));
        markup::compare(context, language, &a, &b, sink)
    })
}

/// Compares the beginnings of JSON; whether there were any. None where only v1's looks like JSON,
/// and nobody says that it is.
fn of_json(
    context: &Context<'_>,
    answers: [&Response; 2],
    is_cut: bool,
    sink: &mut Sink,
) -> Option<bool> {
    let kinds = answers.map(|answer| kind_of(&answer.headers));
    let [a, b] = [0, 1].map(|side| in_utf8(&answers[side].body.bytes, kinds[side]));
    let is_said = kinds[0].is_json();
    match beginning::of_json(&a, &b, is_cut) {
        Begun::Both([a, b]) => Some(json::compare(context, &a, &b, sink)),
        Begun::Other if is_said => {
            let [a, b] = [a, b].map(|text| Some(shown(context, &text)));
            sink.plain(Kind::Body, "$", "json→other", a, b, Look::Plain);
            Some(true)
        }
        _ => (is_said || is_cut).then_some(false),
    }
}

/// Compares the events that v1's client had with as many of v2's, fewer where v2's stream `is_open`;
/// whether there were any.
fn events(context: &Context<'_>, both: [&Response; 2], is_open: bool, sink: &mut Sink) -> bool {
    let [Some(a), Some(b)] = both.map(stream_of) else { return false };
    let both = events::begun(&a, &b, is_open);
    both.is_some_and(|[a, b]| json::compare(context, &a, &b, sink))
}

/// The text of a stream of events that is as it was sent.
fn stream_of(answer: &Response) -> Option<Cow<'_, str>> {
    let plain = kind_of(&answer.headers).is_events() && !is_coded(answer) && !answer.body.is_cut();
    plain.then(|| String::from_utf8_lossy(&answer.body.bytes))
}

fn is_coded(answer: &Response) -> bool {
    content::is_coded(answer.headers.all("content-encoding"))
}

impl LeftAnswer {
    /// Whether v2 broke its answer off before all had come that v1's client had.
    fn is_cut_short(&self, outcome: &Outcome) -> bool {
        let heard = outcome.response.as_ref().map(HeardContent::of).unwrap_or_default();
        let is_coded = outcome.response.as_ref().is_some_and(is_coded);
        heard.is_less_than(self.had, is_coded)
    }

    /// Whether nothing of v2's content came where v1's had come long before its client left: in
    /// less than half of the time, where it is known.
    fn is_silent(&self, outcome: &Outcome) -> bool {
        let read = outcome.left_ns.or(outcome.failed_ns).zip(outcome.sent_ns);
        let Some(read) = read.map(|(end, sent)| end - sent) else { return false };
        let in_time = self.began_ns.is_some_and(|began| began.saturating_mul(2) <= read);
        let has_any = self.had.events.unwrap_or(1) > 0 && self.had.bytes > 0;
        let came = outcome.response.as_ref().map_or(0, |answer| answer.body.length);
        has_any && in_time && came == 0
    }
}

/// Whether v2's answer is as open as v1's: it was being sent, or had not begun for who gave up.
fn is_as_open(left: LeftAnswer, v2: Option<u16>, outcome: &Outcome) -> bool {
    let is_begun = left.status.is_none() || v2.is_some();
    match outcome.failure.as_ref().map(|failure| failure.kind) {
        Some(FailureKind::Timeout) => is_begun && !left.is_silent(outcome),
        // A stream may be cut where v1's was, not before.
        Some(FailureKind::Closed) => is_begun && !left.is_cut_short(outcome),
        _ => false,
    }
}

/// Whether v1's client could not read v1's answer either, and said so.
fn is_as_wrong(reset: Option<u32>, outcome: &Outcome) -> bool {
    let is_wrong = outcome.failure.as_ref().is_some_and(|it| it.kind == FailureKind::Protocol);
    is_wrong && reset == Some(PROTOCOL_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Request};
    use crate::outcome::Failure;

    fn told(v1: Option<u16>, v2: Option<u16>, failure: Option<FailureKind>) -> Vec<String> {
        let answer = |status| Response { status, ..Response::default() };
        let outcome = Outcome {
            response: v2.map(answer),
            failure: failure.map(|kind| Failure::new(kind, "so")),
            ..Outcome::default()
        };
        let mut sink = Sink::default();
        let left = LeftAnswer { status: v1, ..LeftAnswer::default() };
        compare(left, &outcome, &Masker::off(), &mut sink);
        sink.changes.iter().map(|change| change.label.to_string()).collect()
    }

    /// What is told where v1's client left after it had `v1`, the first of it 10 ms behind the
    /// request, and v2's answer was `v2`: it `failed`, or was left after as long, 100 ms.
    fn of_content(kind: &str, v1: &str, v2: &str, failed: Option<FailureKind>) -> Vec<String> {
        let answer = |text: &str| Response {
            status: 200,
            headers: [(&b"Content-Type"[..], kind.as_bytes())].into_iter().collect(),
            body: Body::whole(text.as_bytes().to_vec()),
            ..Response::default()
        };
        let left = LeftAnswer {
            status: Some(200),
            had: HeardContent::of(&answer(v1)),
            began_ns: Some(10_000_000),
            ..LeftAnswer::default()
        };
        let outcome = Outcome {
            sent_ns: Some(5),
            left_ns: failed.is_none().then_some(100_000_005),
            failure: failed.map(|kind| Failure::new(kind, "so")),
            response: Some(answer(v2)),
            ..Outcome::default()
        };
        let mut sink = Sink::default();
        compare(left, &outcome, &Masker::off(), &mut sink);
        sink.changes.iter().map(|change| change.label.to_string()).collect()
    }

    #[test]
    fn v2_may_not_break_off_before_v1s_client_had_left() {
        let closed = Some(FailureKind::Closed);
        let (octets, stream) = ("application/octet-stream", "text/event-stream");
        let none: [&str; 0] = [];
        for (v2, told) in [("", true), ("ab", true), ("abc", false), ("abcdef", false)] {
            let found = of_content(octets, "abc", v2, closed);
            assert_eq!(found, if told { vec!["closed"] } else { vec![] }, "{v2}");
        }
        let (two, three) = ("data: 1\n\ndata: 2\n\n", "data: 1\n\ndata: 2\n\ndata: 3\n\n");
        assert_eq!(of_content(stream, three, two, closed), ["closed"]);
        assert_eq!(of_content(stream, two, three, closed), none);
        // Comments and the beginning of an event are no event.
        let longer = ": a long comment to keep the connection\n\ndata: 1\n\ndata";
        assert_eq!(of_content(stream, two, longer, closed), ["closed"]);
        assert_eq!(of_content(stream, longer, "data: 1\n\n", closed), none);
    }

    #[test]
    fn v2_may_be_slow_but_not_silent_where_v1_was_not() {
        let none: [&str; 0] = [];
        for kind in ["application/json", "text/event-stream"] {
            assert_eq!(of_content(kind, "data: 1\n\n", "", None), ["timeout"], "{kind}");
            assert_eq!(of_content(kind, "data: 1\n\n", "d", None), none, "it is slower");
            assert_eq!(of_content(kind, "", "", None), none, "a long poll");
        }
    }

    #[test]
    fn a_stream_that_v2_ends_has_the_events_that_v1s_client_had() {
        let request = Request::default();
        let answer = |events: usize| Response {
            headers: [(&b"Content-Type"[..], &b"text/event-stream"[..])].into_iter().collect(),
            body: Body::whole((0..events).fold(String::new(), |all, n| all + &event(n))),
            ..Response::default()
        };
        fn event(number: usize) -> String {
            format!("data: {{\"n\":{number}}}\n\n")
        }
        let left = Exchange {
            marks: vec!["response: ended-inside at packet 7".to_owned()],
            ..Exchange::between("10.0.0.9:1".parse().unwrap(), "10.0.0.1:80".parse().unwrap())
        };
        let told = |v1: usize, v2: usize, is_left_too: bool| {
            let mut sink = Sink::default();
            let both = [&answer(v1), &answer(v2)];
            begun(&Context::plain(&request), &left, both, is_left_too, &mut sink);
            !sink.changes.is_empty()
        };
        assert!(told(5, 2, false), "it ended after two of five");
        assert!(told(5, 0, false));
        for (v1, v2, is_left_too) in [(5, 2, true), (5, 5, false), (2, 5, false), (0, 3, false)] {
            assert!(!told(v1, v2, is_left_too), "{v1} {v2} {is_left_too}");
        }
    }

    #[test]
    fn of_an_answer_that_the_capture_lacks_nothing_is_known() {
        let between = Exchange::between("1.1.1.1:1".parse().unwrap(), "1.1.1.1:2".parse().unwrap());
        let told = |completeness| {
            let exchange = Exchange { completeness, ..between.clone() };
            let response = Some(Response { status: 404, ..Response::default() });
            let outcome = Outcome { response, ..Outcome::default() };
            let mut sink = Sink::default();
            compare(LeftAnswer::of(&exchange), &outcome, &Masker::off(), &mut sink);
            sink.changes.len()
        };
        assert_eq!(told(Completeness::NoResponse), 1, "its client gave up");
        assert_eq!(told(Completeness::ResponseDamaged), 0);
    }

    #[test]
    fn an_answer_that_v1s_client_could_not_read_either_is_no_difference() {
        let failed = |kind| Outcome {
            failure: Some(Failure::new(kind, "content before a head")),
            ..Outcome::default()
        };
        let told = |kind, reset| {
            let mut sink = Sink::default();
            let left = LeftAnswer { reset, ..LeftAnswer::default() };
            compare(left, &failed(kind), &Masker::off(), &mut sink);
            sink.changes.len()
        };
        assert_eq!(told(FailureKind::Protocol, Some(1)), 0);
        assert_eq!(told(FailureKind::Protocol, Some(8)), 1, "it only left");
        assert_eq!(told(FailureKind::Protocol, None), 1);
        assert_eq!(told(FailureKind::Connect, Some(1)), 1);
    }

    #[test]
    fn what_a_client_had_of_an_answer_is_compared_with_as_much_of_v2s() {
        let answer = |kind: &str, text: &str| Response {
            status: 200,
            headers: [(&b"Content-Type"[..], kind.as_bytes())].into_iter().collect(),
            body: Body::whole(text.as_bytes().to_vec()),
            ..Response::default()
        };
        let request = Request::default();
        let context = Context::plain(&request);
        let end = |mark: &str| Exchange {
            marks: vec![format!("response: {mark} at packet 7")],
            ..Exchange::between("10.0.0.9:1".parse().unwrap(), "10.0.0.1:80".parse().unwrap())
        };
        let told = |exchange: &Exchange, kind: &str, a: &str, b: &str| {
            let mut sink = Sink::default();
            begun(&context, exchange, [&answer(kind, a), &answer(kind, b)], false, &mut sink);
            let told = |change: &super::super::change::Change| {
                format!("{} {}", change.place, change.label)
            };
            sink.changes.iter().map(told).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        let (left, json) = (end("ended-inside"), "application/json");
        let octets = "application/octet-stream";
        assert_eq!(told(&left, octets, "\0ab", "\0abc"), none);
        assert_eq!(told(&left, octets, "\0ab", "\0xbc"), ["bytes changed"]);
        assert_eq!(told(&left, octets, "\0ab", "\0a"), ["bytes length"]);
        assert_eq!(told(&end("gap of 5 bytes"), octets, "\0ab", "\0xbc"), none);
        assert_eq!(told(&left, "text/plain", "a\nb\nc", "a\nb\nd\n"), none);
        assert_eq!(told(&left, "text/plain", "a\nb\nc", "a\nx\nc\n").len(), 1);
        let whole = r#"{"n":2,"items":[{"id":1,"a":"x]"},{"id":2,"a":"y"}],"end":true}"#;
        for at in 1..whole.len() {
            assert_eq!(told(&left, json, &whole[..at], whole), none, "{}", &whole[..at]);
        }
        let other = whole.replace("y", "z");
        assert_eq!(told(&left, json, &whole[..47], &other), none, "that was not there yet");
        assert_eq!(told(&left, json, &whole[..53], &other), ["$.items[1].a changed"]);
        let fewer = r#"{"n":2,"items":[{"id":1,"a":"x]"}],"end":true,"more":1}"#;
        assert_eq!(told(&left, json, &whole[..53], fewer).len(), 1);
        assert_eq!(told(&left, json, whole, &other), ["$.items[1].a changed"]);
        // What is no JSON where v1 had some, and what goes on as lines.
        for other in ["", "<html>oops", &whole[..40], "{\"n\":2},"] {
            assert_eq!(told(&left, json, &whole[..53], other), ["$ json→other"], "{other}");
        }
        assert_eq!(told(&left, json, "{\"a\":1,", "{\"a\":1,\"b\":2}\n{\"c\":3}\n"), none);
        assert_eq!(told(&left, json, "{\"a\":1,", "{\"a\":2}\n{}\n"), ["$[0].a changed"]);
        assert_eq!(told(&left, "text/plain", "[x] a\n[y", "[x] a\nb\n"), none);
        assert_eq!(told(&left, "text/plain", "[x\n[y", "oops").len(), 1);
    }

    #[test]
    fn what_a_client_had_of_markup_and_forms_is_compared_with_as_much_of_v2s() {
        let request = Request::default();
        let left = Exchange {
            marks: vec!["response: ended-inside at packet 7".to_owned()],
            ..Exchange::between("10.0.0.9:1".parse().unwrap(), "10.0.0.1:80".parse().unwrap())
        };
        let told = |kind: &str, a: &str, b: &str, is_left_too: bool| {
            let answer = |text: &str| Response {
                headers: [(&b"Content-Type"[..], kind.as_bytes())].into_iter().collect(),
                body: Body::whole(text.as_bytes().to_vec()),
                ..Response::default()
            };
            let mut sink = Sink::default();
            let both = [&answer(a), &answer(b)];
            begun(&Context::plain(&request), &left, both, is_left_too, &mut sink);
            sink.changes.iter().map(|change| change.place.clone()).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        let page = "<!doctype html><html><head><title>Shop</title><script>if (a > 1) { b() }\
                    </script></head><body><!-- x > y --><p id='a'>12.50<br>EUR</p><ul><li>red\
                    <li>blue</ul><p>end</p></body></html>";
        let feed = "<?xml version=\"1.0\"?><feed><!-- > --><entry n=\"1\"><t>red</t><u/></entry>\
                    <entry n=\"2\"><t><![CDATA[a > b]]></t></entry></feed>";
        let form = "token=a1&total=12.50&cur=EUR&end=1";
        for (kind, whole, other, from) in [
            ("text/html", page, page.replace("12.50", "12.90"), "12.50<br>"),
            ("text/html", page, page.replace("id='a'", "id='b'"), "id='a'>"),
            ("application/xml", feed, feed.replace("red", "blue"), "red</t>"),
            ("application/xml", feed, feed.replace("<u/>", "<v/>"), "<u/>"),
            ("application/x-www-form-urlencoded", form, form.replace("50", "90"), "12.50&"),
        ] {
            let known = whole.find(from).unwrap() + from.len();
            for at in 1..whole.len() {
                assert_eq!(told(kind, &whole[..at], whole, false), none, "{}", &whole[..at]);
                assert_eq!(told(kind, &whole[..at], &whole[..known], true), none, "{at}");
                let found = told(kind, &whole[..at], &other, false);
                assert!(!found.is_empty() || at < known, "{kind}: {}", &whole[..at]);
            }
        }
        assert!(
            !told("text/html", &page[..150], "<html><body>oops</body></html>", false).is_empty()
        );
    }

    #[test]
    fn of_json_that_both_left_the_beginning_that_both_had_is_compared() {
        let request = Request::default();
        let told = |a: &str, b: &str| {
            let answer = |text: &str| Response {
                headers: [(&b"Content-Type"[..], &b"application/json"[..])].into_iter().collect(),
                body: Body::whole(text.as_bytes().to_vec()),
                ..Response::default()
            };
            let mut sink = Sink::default();
            let answers = [&answer(a), &answer(b)];
            let heard = of_json(&Context::plain(&request), answers, true, &mut sink);
            let places = sink.changes.iter().map(|change| change.place.clone());
            (heard, places.collect::<Vec<_>>())
        };
        let whole = r#"{"n":2,"items":[{"id":1,"a":"x]"},{"id":2,"a":"y"}],"end":true}"#;
        for at in 1..whole.len() {
            for other in 1..whole.len() {
                let found = told(&whole[..at], &whole[..other]);
                assert_eq!(found, (Some(true), vec![]), "{at} {other}");
            }
        }
        let other = whole.replace('y', "z");
        assert_eq!(told(&whole[..60], &other[..53]).1, ["$.items[1].a"]);
        assert_eq!(told(&whole[..53], &other[..60]).1, ["$.items[1].a"]);
        assert_eq!(told(&whole[..53], "").0, Some(false), "nobody knows what would have come");
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
