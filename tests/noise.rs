//! What varies by itself is no difference, wherever it stands; what changed is one, beside it.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "support/spoken.rs"]
mod spoken;

use shadowtap::diff::Class;
use spoken::{Said, Talk, answer, diff, diff_with, json, talk};

/// Thirty requests of one kind, answered by both versions.
fn thirty(kind: &str, v1: impl Fn(usize) -> String, v2: impl Fn(usize) -> String) -> Vec<Talk> {
    let one = |n: usize| {
        let both = [v1(n), v2(n)].map(|body| answer(200, kind, body));
        let [v1, v2] = both;
        talk(&format!("GET /things/{n}"), v1, v2)
    };
    (0..30).map(one).collect()
}

#[test]
fn json_inside_of_a_value_is_compared_as_json() {
    let inner = |n: usize, b: u32| format!("{{\"a\":{n},\"b\":{b}}}");
    let other = |n: usize, b: u32| format!("{{ \"b\": {b},\"a\" : {n} }}");
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let percent =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    type Wrap<'w> = (&'w str, &'w dyn Fn(&str) -> String, &'w str);
    let wraps: [Wrap<'_>; 8] = [
        ("application/json", &|text| format!("{{\"x\":{}}}", quoted(text)), "$.x|$.b"),
        ("application/json", &|text| format!("[{}]", quoted(&base64(text))), "$[*]|$.b"),
        (
            "application/x-www-form-urlencoded",
            &|text| format!("q={}&z=1", percent(text)),
            "form:q|$.b",
        ),
        ("text/event-stream", &|text| format!("data: {text}\n\n"), "$[*].data.b"),
        ("text/xml", &|text| format!("<r><v>{text}</v></r>"), "/r/v/text()|$.b"),
        (
            "text/html",
            &|text| format!("<p>x</p><script>var s = {text};</script>"),
            "/script/text()|$.b",
        ),
        ("text/html", &|text| format!("<div data-s='{text}'>x</div>"), "/div/@data-s|$.b"),
        ("application/x-ndjson", &|text| format!("{text}\n{{\"end\":true}}\n"), "$[*].b"),
    ];
    for (kind, wrap, place) in wraps {
        let same = thirty(kind, |n| wrap(&inner(n, 2)), |n| wrap(&other(n, 2)));
        assert_eq!(diff(&same).places(), [""; 0], "{kind}: another order");
        let changed = thirty(kind, |n| wrap(&inner(n, 2)), |n| wrap(&other(n, 3)));
        let places = diff(&changed).places();
        assert!(
            places.len() == 1 && places[0].ends_with(place),
            "{kind}: {places:?} instead of {place}"
        );
    }
}

#[test]
fn a_document_in_a_header_or_a_cookie_is_compared_as_json() {
    for (name, wrap) in [("X-Meta", ""), ("Set-Cookie", "state=")] {
        let with = |text: String| json("{}").with(name, &format!("{wrap}{text}"));
        let run = |b: u32| {
            let v2 = format!("{{\"b\":{b},\"a\":1}}");
            let one = |n| {
                talk(&format!("GET /{n}"), with("{\"a\":1,\"b\":2}".to_owned()), with(v2.clone()))
            };
            diff(&(0..10).map(one).collect::<Vec<_>>()).places()
        };
        assert_eq!(run(2), [""; 0], "{name}");
        let found = run(3);
        assert!(found.len() == 1 && found[0].ends_with("|$.b"), "{found:?}");
    }
}

#[test]
fn xml_is_compared_as_xml_whatever_its_type_says() {
    for kind in ["", "text/plain", "text/html", "application/octet-stream"] {
        let v1 = |n: usize| format!("<?xml version='1.0'?><R a='1' b='2'><N>{n}</N></R>");
        let same =
            thirty(kind, v1, |n| format!("<?xml version=\"1.0\"?><R b='2' a='1'><N>{n}</N></R>"));
        assert_eq!(diff(&same).places(), [""; 0], "{kind}");
        let other =
            thirty(kind, v1, |n| format!("<?xml version='1.0'?><R a='1' b='3'><N>{n}</N></R>"));
        let places = diff(&other).places();
        assert!(places.len() == 1 && places[0].ends_with("/@b"), "{kind}: {places:?}");
    }
}

/// v1 fails, v2 answers: shown as fixed, by the configuration as a regression. The other way round
/// it is the worst there is.
#[test]
fn a_right_answer_for_an_error_is_fixed() {
    let error = || answer(500, "text/plain", "oops");
    let missing = || answer(404, "application/json", "{}");
    for v1 in [error, missing] {
        let talks: Vec<Talk> =
            (0..10).map(|n| talk(&format!("GET /a/{n}"), v1(), json("{\"a\":1}"))).collect();
        let found = diff(&talks);
        assert_eq!(found.places(), [""; 0]);
        assert_eq!((found.findings.totals.fixed, found.findings.totals.mismatched), (10, 0));
        assert!(found.differences.iter().all(|difference| difference.class == Class::Fixed));
        assert_eq!(diff_with(&talks, "fixed = \"fail\"").findings.totals.mismatched, 10);
    }
    for (v1, v2) in [
        (json("{}"), error()),
        (answer(403, "text/plain", "no"), json("{}")),
        (answer(422, "text/plain", "no"), json("{}")),
        (error(), answer(404, "text/plain", "")),
    ] {
        let found = diff(&[talk("GET /a", v1, v2)]);
        assert_eq!((found.findings.totals.fixed, found.findings.totals.mismatched), (0, 1));
    }
}

fn tagged(tag: &str, body: &str) -> Said {
    json(body).with("ETag", tag)
}

#[test]
fn validators_of_v1_explain_what_v2_cannot_know() {
    let not_modified = || answer(304, "", "").with("ETag", "\"v1\"");
    let full = |v2: &str| talk("GET /p/1", tagged("\"v1\"", "{\"n\":1}"), tagged("\"x\"", v2));
    let conditional = |v2: &str| {
        talk("GET /p/1", not_modified(), tagged("\"x\"", v2)).asking("If-None-Match", "\"v1\"")
    };
    let found = diff(&[full("{\"n\":1}"), conditional("{\"n\":1}"), conditional("{ \"n\": 1 }")]);
    assert_eq!(found.places(), [""; 0]);
    assert!(found.of(Class::Noise)[0].contains("validator of v1"), "{:?}", found.of(Class::Noise));
    // The content that v1's client had was another one.
    let found = diff(&[full("{\"n\":1}"), conditional("{\"n\":2}")]);
    assert_eq!(found.places(), ["$.n"]);
    // Without a validator it is another answer.
    let found = diff(&[talk("GET /p/1", not_modified(), json("{\"n\":1}"))]);
    assert_eq!(found.findings.totals.mismatched, 1);

    // v2 says that the client has it, though v1 had something new by then.
    let kept = |tag: &str, body: &str| {
        talk("GET /p/1", tagged("\"v1b\"", body), answer(304, "", "")).asking("If-None-Match", tag)
    };
    assert_eq!(diff(&[full("{\"n\":1}"), kept("\"v1\"", "{\"n\":1}")]).places(), [""; 0]);
    assert_eq!(diff(&[full("{\"n\":1}"), kept("\"v1\"", "{\"n\":9}")]).places(), ["$.n"]);

    let refused = |name: &str, value: &str| {
        let v2 = answer(412, "application/json", "{}");
        diff(&[talk("PUT /p/1", tagged("\"v1\"", "{}"), v2).asking(name, value)])
    };
    for (name, value) in
        [("If-Match", "\"v1\""), ("If-Unmodified-Since", "Sat, 28 Nov 2026 10:00:00 GMT")]
    {
        let totals = refused(name, value).findings.totals;
        assert_eq!((totals.mismatched, totals.excused), (0, 1), "{name}");
    }
    assert_eq!(refused("If-Match", "*").findings.totals.mismatched, 1);

    let part = |body: &str| {
        let v1 = answer(206, "text/plain", "cde").with("Content-Range", "bytes 2-4/9");
        let one = talk("GET /f", v1, answer(200, "text/plain", body));
        diff(&[one.asking("Range", "bytes=2-4").asking("If-Range", "\"v1\"")]).places()
    };
    assert_eq!(part("abcdefghi"), [""; 0]);
    assert_eq!(part("abXdefghi").len(), 1);
}

#[test]
fn what_follows_from_a_skipped_write_is_no_regression() {
    let put = || talk("PUT /profile", json("{}"), json("{}")).skipped();
    let get = |v1: &str, v2: &str| talk("GET /profile", json(v1), json(v2));
    let found = diff(&[
        get("{\"name\":\"a\"}", "{\"name\":\"a\"}"),
        put(),
        get("{\"name\":\"b\",\"x\":1}", "{\"name\":\"a\"}"),
        get("{\"name\":\"b\",\"x\":1}", "{\"name\":\"a\"}"),
    ]);
    assert_eq!(found.places(), [""; 0]);
    let totals = &found.findings.totals;
    assert_eq!((totals.consequences, totals.skipped_writes, totals.mismatched), (2, 1, 0));
    let told = found.of(Class::Consequence);
    assert!(
        told.iter().all(|c| c.contains("PUT /profile") && c.contains("--unsafe-methods")),
        "{told:?}"
    );

    // The same change where nothing was written, and what no write explains.
    let found = diff(&[
        get("{\"name\":\"a\"}", "{\"name\":\"A\"}"),
        put(),
        get("{\"name\":\"b\"}", "{\"name\":\"B\"}"),
    ]);
    assert_eq!((found.places(), found.findings.totals.mismatched), (vec!["$.name".to_owned()], 2));
    for v2 in [answer(500, "text/plain", "x"), json("{\"title\":\"a\"}"), json("{\"name\":7}")] {
        let one = talk("GET /profile", json("{\"name\":\"a\"}"), v2);
        assert_eq!(diff(&[put(), one]).findings.totals.mismatched, 1);
    }
    // What was made and is not there.
    let found = diff(&[
        talk("POST /posts", answer(201, "application/json", "{\"id\":7}"), json("")).skipped(),
        talk("GET /posts/7", json("{\"id\":7}"), answer(404, "application/json", "{}")),
        talk("GET /posts", json("[{\"id\":7}]"), json("[]")),
        talk("GET /users", json("[{\"id\":7}]"), json("[]")),
    ]);
    let totals = &found.findings.totals;
    assert_eq!((totals.consequences, totals.excused, totals.mismatched), (2, 1, 1));
}
