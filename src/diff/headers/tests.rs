//! What comparing many fields costs, and where a location differs.

use super::super::bindings::{Bindings, Bound};
use super::*;
use crate::message::Request;

#[test]
fn no_head_costs_more_than_n_log_n() {
    let request = Request::default();
    let context = Context::plain(&request);
    let names: [fn(usize, usize, usize) -> String; 4] = [
        |_, _, _| "x-same".to_owned(),
        |n, at, side| format!("x-{}", if side == 0 { at } else { n - at }),
        |_, at, side| format!("x-{}", at * 2 + side),
        |_, at, _| format!("x-{}", at % 7),
    ];
    for name in names {
        steps::hold_to_n_log_n(500, |n| {
            let head = |side: usize| -> Headers {
                let fields = (0..n).map(|at| (name(n, at, side), (at + side).to_string()));
                let fields: Vec<_> = fields.collect();
                fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
            };
            compare(&context, &head(0), &head(1), true, &mut Sink::default());
        });
    }
}

#[test]
fn a_location_is_compared_by_its_path_and_by_each_parameter() {
    let hosts = || [vec!["shop.example".to_owned()], vec!["v2.staging:8080".to_owned()]];
    let changes = |a: &str, b: &str| {
        let request = Request::default();
        let context = Context { hosts: &hosts, ..Context::plain(&request) };
        let head = |value: &str| [(&b"Location"[..], value.as_bytes())].into_iter().collect();
        let (mut sink, [a, b]): (_, [Headers; 2]) = (Sink::default(), [head(a), head(b)]);
        compare(&context, &a, &b, true, &mut sink);
        sink.changes.into_iter().map(|change| change.general).collect::<Vec<_>>()
    };
    let v1 = "https://shop.example/open/cb?state=f8cfa4d3&x=1";
    for (v2, places) in [
        ("https://shop.example/open/cb?x=1&state=f8cfa4d3", &[][..]),
        ("http://v2.staging:8080/open/cb?state=f8cfa4d3&x=1", &[]),
        ("/open/cb?state=f8cfa4d3&x=1", &[]),
        ("/open/cb?state=f8cfa4d3&x=%31", &[]),
        ("https://shop.example/open/cb?state=90c2e77a&x=1", &["location query:state"]),
        ("https://shop.example/void/cb?state=90c2e77a&x=1", &["location", "location query:state"]),
        ("https://evil.example/open/cb?state=f8cfa4d3&x=1", &["location"]),
        ("https://shop.example/open/cb", &["location"]),
    ] {
        assert_eq!(changes(v1, v2), places, "{v2}");
    }
}

#[test]
fn the_fragment_of_a_location_may_be_another_id() {
    use std::io::Write as _;

    let mut file = tempfile::tempfile().expect("a file");
    let line = r#"{"slot":0,"id":"0-0","place":"path[2]","thing":"note","v1":"7","v2":"8"}"#;
    writeln!(file, "{line}").expect("room");
    let bindings = Bindings::read(&file).expect("read");
    let changes = |b: &str| {
        let request = Request::default();
        let context = Context { bound: Some(Bound::new(&bindings, 1)), ..Context::plain(&request) };
        let head = |value: &str| [(&b"Location"[..], value.as_bytes())].into_iter().collect();
        let (mut sink, a, b): (_, Headers, Headers) =
            (Sink::default(), head("/posts/4#note-7"), head(b));
        compare(&context, &a, &b, true, &mut sink);
        sink.changes.len()
    };
    assert_eq!(["/posts/4#note-8", "/posts/4#note-9", "/posts/4"].map(changes), [0, 1, 1]);
}

#[test]
fn a_number_in_a_link_names_what_its_path_does() {
    use std::io::Write as _;

    let mut file = tempfile::tempfile().expect("a file");
    let line = r#"{"slot":0,"id":"0-0","place":"path[2]","thing":"topicphp","v1":"7","v2":"8"}"#;
    writeln!(file, "{line}").expect("room");
    let bindings = Bindings::read(&file).expect("read");
    let changes = |a: &str, b: &str| {
        let request = Request::default();
        let context = Context { bound: Some(Bound::new(&bindings, 1)), ..Context::plain(&request) };
        let head = |value: &str| [(&b"Location"[..], value.as_bytes())].into_iter().collect();
        let (mut sink, a, b): (_, Headers, Headers) = (Sink::default(), head(a), head(b));
        compare(&context, &a, &b, true, &mut sink);
        sink.changes.len()
    };
    assert_eq!(changes("/topic.php?id=7&x=1", "/topic.php?id=8&x=1"), 0);
    assert_eq!(changes("/topic.php?id=7", "/topic.php?id=9"), 1);
    assert_eq!(changes("/topic.php?start=7", "/topic.php?start=8"), 1, "no topic");
    assert_eq!(changes("/forum.php?id=7", "/forum.php?id=8"), 1, "of another kind");
}

#[test]
fn a_cookie_in_percent_encoding_is_compared_by_what_it_says() {
    use std::io::Write as _;

    let mut file = tempfile::tempfile().expect("a file");
    let line =
        r#"{"slot":0,"id":"0-0","place":"cookie:at","v1":"1@77#a1b2c3d4","v2":"2@78#a1b2c3d4"}"#;
    writeln!(file, "{line}").expect("room");
    let bindings = Bindings::read(&file).expect("read");
    let changes = |b: &str| {
        let request = Request::default();
        let context = Context { bound: Some(Bound::new(&bindings, 1)), ..Context::plain(&request) };
        let head = |value: &str| [(&b"Set-Cookie"[..], value.as_bytes())].into_iter().collect();
        let (mut sink, a, b): (_, Headers, Headers) =
            (Sink::default(), head("at=1%4077%23a1b2c3d4; Path=/"), head(b));
        compare(&context, &a, &b, true, &mut sink);
        sink.changes.len()
    };
    assert_eq!(changes("at=2%4078%23a1b2c3d4; Path=/"), 0);
    assert_eq!(changes("at=2%4079%23a1b2c3d4; Path=/"), 1);
}

/// What is left of a session rests on when it began; whether a cookie lasts hours or years, or is
/// taken back, does not.
#[test]
fn cookies_expire_alike() {
    let request = Request::default();
    let context = Context {
        actual_at: Some("2026-11-22T14:00:00Z".parse().unwrap()),
        ..Context::plain(&request)
    };
    let changes = |a: &str, b: &str| {
        let head = |day: &str| -> Headers {
            let value = format!("sid=x; Path=/; Expires={day}");
            [(&b"Set-Cookie"[..], value.as_bytes())].into_iter().collect()
        };
        let mut sink = Sink::default();
        compare(&context, &head(a), &head(b), true, &mut sink);
        sink.changes.into_iter().map(|change| change.general).collect::<Vec<_>>()
    };
    // v1 was asked at 10:00, v2 at 14:00.
    let [hour, half, years, gone, epoch] = [
        "Sun, 22 Nov 2026 11:00:00 GMT",
        "Sun, 22 Nov 2026 14:30:00 GMT",
        "Sun, 22 Nov 2037 14:00:00 GMT",
        "Sat, 21 Nov 2026 14:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ];
    for (a, b) in [(hour, half), (gone, epoch), (epoch, gone), (hour, "soon")] {
        assert!(changes(a, b).is_empty(), "{a} {b}");
    }
    for (a, b) in [(hour, years), (hour, gone), (epoch, half)] {
        let changes = changes(a, b);
        assert!(changes.len() == 1 && changes[0].contains("expires"), "{a} {b}: {changes:?}");
    }
}
