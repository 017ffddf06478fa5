//! What varies by itself is no difference, wherever it stands; what changed is one, beside it.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/spoken.rs"]
mod spoken;

use dice::Dice;
use shadowtap::diff::approvals::{Approval, Approvals};
use shadowtap::diff::{Class, Cluster};
use shadowtap::time::Timestamp;
use spoken::{Said, Talk, answer, diff, diff_beside, diff_with, json, talk};

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
        ("application/json", &|text| format!("{{\"x\":{}}}", quoted(text)), "$.x $.b"),
        ("application/json", &|text| format!("[{}]", quoted(&base64(text))), "$[*] $.b"),
        (
            "application/x-www-form-urlencoded",
            &|text| format!("q={}&z=1", percent(text)),
            "form:q $.b",
        ),
        ("text/event-stream", &|text| format!("data: {text}\n\n"), "$[*].data.b"),
        ("text/xml", &|text| format!("<r><v>{text}</v></r>"), "/r/v/text() $.b"),
        (
            "text/html",
            &|text| format!("<p>x</p><script>var s = {text};</script>"),
            "/script/text() $.b",
        ),
        ("text/html", &|text| format!("<div data-s='{text}'>x</div>"), "/div/@data-s $.b"),
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
        assert!(found.len() == 1 && found[0].ends_with(" $.b"), "{found:?}");
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

/// Where v1 answers others of a route, that it has none for one says something: the thing was
/// deleted, is somebody else's, was asked for too often. A method that it refuses is refused.
#[test]
fn an_error_that_says_something_is_not_fixed_by_an_answer() {
    for status in [404, 410, 429] {
        let talks: Vec<Talk> = (0..20)
            .map(|n| {
                let v1 = || match n % 2 {
                    0 => json(format!("{{\"n\":{n}}}")),
                    _ => answer(status, "application/json", "{}"),
                };
                talk(&format!("GET /notes/{n}"), v1(), json(format!("{{\"n\":{n}}}")))
            })
            .collect();
        let totals = diff(&talks).findings.totals;
        assert_eq!((totals.fixed, totals.mismatched), (0, 10), "{status}");
    }
    let refused =
        |n: usize| talk(&format!("DELETE /notes/{n}"), answer(405, "text/plain", "no"), json("{}"));
    let totals = diff(&(0..20).map(refused).collect::<Vec<_>>()).findings.totals;
    assert_eq!((totals.fixed, totals.mismatched), (0, 20));
}

/// A baseline in staging may fail now and then, as v2 does: but v1 never did.
#[test]
fn no_status_that_v1_never_gave_is_noise() {
    for status in [302, 401, 404, 500, 503] {
        let said = |fails: bool| match fails {
            true => answer(status, "text/plain", "no"),
            false => json("{}"),
        };
        let one = |n: usize| talk(&format!("GET /a/{n}"), json("{}"), said(n % 25 == 3));
        let talks: Vec<Talk> = (0..100).map(one).collect();
        for remainder in [3, 4] {
            let staged: Vec<Said> = (0..100).map(|n| said(n % 25 == remainder)).collect();
            let found = diff_beside(&talks, &staged);
            assert_eq!(found.findings.totals.mismatched, 4, "{status}");
        }
        // v1 itself did, of equal requests.
        let flaky: Vec<Talk> =
            (0..100).map(|n| talk("GET /a", said(n % 9 == 0), said(n % 10 == 0))).collect();
        assert_eq!(diff(&flaky).findings.totals.mismatched, 0, "{status}");
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
    // Nothing tells what it was.
    let found = diff(&[conditional("{\"error\":1}")]);
    let totals = &found.findings.totals;
    assert_eq!((totals.compared, totals.mismatched), (0, 0));
    assert_eq!(totals.not_compared["content-not-recorded"], 1);
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
    // What v1 refused changed nothing.
    for (status, mismatched) in
        [(400, 1), (403, 1), (404, 1), (409, 1), (422, 1), (408, 0), (500, 0), (303, 0)]
    {
        let refused = answer(status, "application/json", "{}");
        let put = talk("PUT /profile", refused, json("{}")).skipped();
        let found = diff(&[put, get("{\"name\":\"b\"}", "{\"name\":\"a\"}")]);
        assert_eq!(found.findings.totals.mismatched, mismatched, "{status}");
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

impl Dice {
    fn uuid(&mut self) -> String {
        let hex = self.of(HEX, 32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    fn base64(&mut self, bytes: usize, url: bool) -> String {
        use base64::Engine as _;
        let bytes: Vec<u8> = (0..bytes).map(|_| self.below(256) as u8).collect();
        match url {
            true => base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes),
            false => base64::engine::general_purpose::STANDARD.encode(bytes),
        }
    }
}

const HEX: &str = "0123456789abcdef";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CAPITALS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const CROCKFORD: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Random values as services make them, each under a name.
fn drawn(dice: &mut Dice) -> Vec<(&'static str, String)> {
    let nano = format!("{BASE62}-_");
    vec![
        ("nano", dice.of(&nano, 21)),
        ("nano-short", dice.of(&nano, 12)),
        ("base64-8", dice.base64(8, false)),
        ("base64-16", dice.base64(16, false)),
        ("base64-20", dice.base64(20, false)),
        ("base64-32", dice.base64(32, false)),
        ("base64url-8", dice.base64(8, true)),
        ("base64url-18", dice.base64(18, true)),
        ("base64url-32", dice.base64(32, true)),
        ("hex-8", dice.of(HEX, 8)),
        ("hex-20", dice.of(HEX, 20)),
        ("hex-24", dice.of(HEX, 24)),
        ("hex-32", dice.of(HEX, 32)),
        ("ulid", format!("01{}", dice.of(CROCKFORD, 24))),
        ("ksuid", format!("2{}", dice.of(BASE62, 26))),
        ("snowflake", format!("1{}", dice.of("0123456789", 18))),
        ("number", format!("{}", (dice.below(1 << 32) << 31 | dice.below(1 << 31)) | 1 << 58)),
        ("capitals-16", dice.of(CAPITALS, 16)),
        ("stripe", format!("ch_{}", dice.of(BASE62, 24))),
        ("vpc", format!("vpc-{}", dice.of(HEX, 8))),
        ("pool", format!("us-east-1_{}", dice.of(HEX, 12))),
        ("arn", format!("arn:aws:sqs:eu-west-1:123456789012:job-{}", dice.of(HEX, 16))),
        ("nonce", format!("script-src 'nonce-{}' 'self'", dice.base64(16, false))),
        ("uuid", dice.uuid()),
        ("urn", format!("urn:uuid:{}", dice.uuid())),
        ("uuid-file", format!("r-{}.json", dice.uuid())),
        ("build", format!("/static/app-{}.js", dice.of(HEX, 8))),
        ("url", format!("https://cdn.test/o/{}?sig={}", dice.of(HEX, 12), dice.base64(20, true))),
        ("text", format!("Order {} was taken by {}", dice.of(CAPITALS, 12), dice.of(HEX, 8))),
    ]
}

/// A password as services propose one: 24 letters, digits and signs.
fn password(dice: &mut Dice) -> String {
    dice.of(&format!("{BASE62}!@#$%^*()"), 24)
}

/// Ways in which a value stands in an answer.
type Put = fn(&[(&'static str, String)]) -> Said;
const PUTS: [(&str, Put); 5] = [
    ("json", |all| {
        let members: Vec<_> =
            all.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
        json(format!("{{{}}}", members.join(",")))
    }),
    ("html", |all| {
        let row = |(name, value): &(&str, String)| {
            format!("<x-{name} data-v=\"{value}\">{value}</x-{name}>")
        };
        answer(200, "text/html", all.iter().map(row).collect::<String>())
    }),
    ("header", |all| {
        all.iter().fold(json("{}"), |said, (name, value)| said.with(&format!("X-{name}"), value))
    }),
    ("cookie", |all| {
        all.iter().fold(json("{}"), |said, (name, value)| {
            said.with("Set-Cookie", &format!("{name}={value}; Path=/"))
        })
    }),
    ("lines", |all| {
        // A line is known by what it begins with, up to a digit.
        let letter = |c: char| c.to_digit(10).map_or(c, |digit| (b'a' + digit as u8) as char);
        let line = |(name, value): &(&str, String)| {
            format!("{} = {value}\n", name.chars().map(letter).collect::<String>())
        };
        answer(200, "text/plain", all.iter().map(line).collect::<String>())
    }),
];

#[test]
fn random_values_of_every_form_are_noise_at_every_place() {
    for (name, put) in PUTS {
        let many = if name == "json" { 1_000 } else { 150 };
        for (count, seed) in [(many, 7), (20, 8)] {
            let (mut v1, mut v2) = (Dice(seed), Dice(seed << 32));
            let one = |n| talk(&format!("GET /x/{n}"), put(&drawn(&mut v1)), put(&drawn(&mut v2)));
            let talks: Vec<Talk> = (0..count).map(one).collect();
            let found = diff(&talks);
            assert_eq!(found.of(Class::Regression), [""; 0], "{name}, {count} samples");
        }
    }
}

#[test]
fn generated_passwords_are_noise_and_what_else_stands_there_is_found() {
    for (name, put) in PUTS.into_iter().filter(|(name, _)| *name != "lines") {
        let run = |second: &dyn Fn(&mut Dice) -> String| {
            let (mut v1, mut v2) = (Dice(21), Dice(22));
            let one = |n| {
                let both = [password(&mut v1), second(&mut v2)];
                let [v1, v2] = both.map(|value| put(&[("proposed", value)]));
                talk(&format!("GET /x/{n}"), v1, v2)
            };
            diff(&(0..40).map(one).collect::<Vec<_>>()).of(Class::Regression)
        };
        assert_eq!(run(&password), [""; 0], "{name}");
        let twice = if name == "html" { 2 } else { 1 };
        for other in [
            &|_: &mut Dice| "ChooseYourOwn(Password)1".to_owned(),
            &|dice: &mut Dice| dice.of(BASE62, 16),
            &|_: &mut Dice| "none".to_owned(),
        ] as [&dyn Fn(&mut Dice) -> String; 3]
        {
            assert_eq!(run(other).len(), twice, "{name}");
        }
    }
}

#[test]
fn state_beside_a_nonce_in_one_script_is_compared_by_structure() {
    let page = |nonce: &str, state: &str, total: u32| {
        format!(
            "<script>use(nonce(\"{nonce}\"));preload({{\"/posts/4\":{{\"at\":\"{state}\",\
             \"total\":{total}}}}});</script>"
        )
    };
    let run = |call: &str, total: u32| {
        let (mut v1, mut v2) = (Dice(31), Dice(32));
        let state = |dice: &mut Dice| format!("id-{}", dice.of(HEX, 16));
        let one = |n| {
            let expected = page(&v1.of(HEX, 10), &state(&mut v1), 7);
            let actual = page(&v2.of(HEX, 10), &state(&mut v2), total).replace("use(", call);
            talk(
                &format!("GET /x/{n}"),
                answer(200, "text/html", expected),
                answer(200, "text/html", actual),
            )
        };
        diff(&(0..30).map(one).collect::<Vec<_>>()).places()
    };
    assert_eq!(run("use(", 7), [""; 0]);
    let places = run("use(", 8);
    assert!(places.len() == 1 && places[0].ends_with(".total"), "{places:?}");
    assert_eq!(run("leave(", 7), ["/html/head/script/text()"]);
}

/// A second of thirty years in the forms in which people and programs write it, each with a name.
fn written(second: i64) -> Vec<(&'static str, String)> {
    let at = Timestamp::from_nanos(second * 1_000_000_000).to_string();
    let [y, m, d, time] = [&at[..4], &at[5..7], &at[8..10], &at[11..19]];
    let month =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
            [m.parse::<usize>().unwrap() - 1];
    vec![
        ("instant", format!("{y}-{m}-{d}T{time}Z")),
        ("basic", format!("{y}{m}{d}T{}Z", time.replace(':', ""))),
        ("day", format!("{y}-{m}-{d}")),
        ("point", format!("{d}.{m}.{y}")),
        ("slash", format!("{m}/{d}/{y}")),
        ("short", format!("{}/{}/{y}", m.trim_start_matches('0'), d.trim_start_matches('0'))),
        ("http", format!("{}, {d} {month} {y} {time} GMT", weekday(second))),
        ("words", format!("born on {month} {d}, {y} at sea")),
        ("digits", format!("{y}{m}{d}")),
        ("epoch", format!("{}", second + 400_000_000)),
    ]
}

fn weekday(second: i64) -> &'static str {
    ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(second / 86_400 % 7) as usize]
}

fn second(dice: &mut Dice) -> i64 {
    700_000_000 + dice.below(1_000_000_000) as i64
}

#[test]
fn dates_that_are_drawn_are_noise_and_those_that_mean_something_are_not() {
    for (name, put) in PUTS {
        for (count, seed) in [(if name == "json" { 1_000 } else { 100 }, 3), (20, 4)] {
            let run = |other: &dyn Fn(i64, &mut Dice) -> i64| {
                let (mut v1, mut v2) = (Dice(seed), Dice(seed << 32));
                let one = |n| {
                    let own = second(&mut v1);
                    let [v1, v2] = [own, other(own, &mut v2)].map(|at| put(&written(at)));
                    talk(&format!("GET /x/{n}"), v1, v2)
                };
                let talks: Vec<Talk> = (0..count).map(one).collect();
                diff(&talks).of(Class::Regression).len()
            };
            let drawn = run(&|_, dice| second(dice));
            assert_eq!(drawn, 0, "{name}, {count} samples");
            let twice = if name == "html" { 2 } else { 1 };
            let all = twice * written(0).len();
            assert_eq!(run(&|own, _| own + 5 * 86_400), all, "{name}, {count}: days later");
            let apart = run(&|own, dice| own + 31 * 86_400 + dice.below(9_000_000) as i64);
            assert_eq!(apart, all, "{name}, {count}: some months later");
        }
    }
}

/// What stands there instead of each random value, and whether it can be told from a few.
fn changed(name: &str, dice: &mut Dice) -> Option<String> {
    Some(match name {
        "nano" => dice.of(BASE62, 20),
        "nano-short" => "unauthorized".to_owned(),
        "base64-8" => dice.base64(9, false),
        "base64-16" => dice.of(HEX, 32),
        "base64-32" => dice.uuid(),
        "base64url-8" => "processing1".to_owned(),
        "hex-8" => dice.of("ghijklmnop0123456789", 8),
        "hex-20" => dice.of(HEX, 19),
        "hex-24" => dice.of("0123456789ABCDEF", 24),
        "ulid" => dice.of(CROCKFORD, 25),
        "snowflake" => dice.of("123456789", 9),
        "capitals-16" => "ACCESSPROHIBITED".to_owned(),
        "stripe" => format!("re_{}", dice.of(BASE62, 24)),
        "vpc" => format!("subnet-{}", dice.of(HEX, 8)),
        "pool" => format!("eu-west-2_{}", dice.of(HEX, 12)),
        "arn" => format!("arn:aws:sqs:eu-west-1:210987654321:job-{}", dice.of(HEX, 16)),
        "nonce" => format!("script-src 'nonce-{}' 'none'", dice.base64(16, false)),
        "uuid" => dice.of(HEX, 32),
        "urn" => format!("urn:oid:{}", dice.uuid()),
        "uuid-file" => format!("r-{}.xml", dice.uuid()),
        "build" => format!("/static/vendor-{}.js", dice.of(HEX, 8)),
        "url" => format!("https://other.test/o/{}?sig={}", dice.of(HEX, 12), dice.base64(20, true)),
        "text" => format!("Order {} was lost by {}", dice.of(CAPITALS, 12), dice.of(HEX, 8)),
        _ => return None,
    })
}

#[test]
fn what_else_stands_where_random_values_stood_is_found() {
    for (name, put) in PUTS {
        for count in [4, 60] {
            let (mut v1, mut v2) = (Dice(17), Dice(18));
            let one = |n| {
                let mut second = drawn(&mut v2);
                for (name, value) in &mut second {
                    if let Some(other) = changed(name, &mut v2) {
                        *value = other;
                    }
                }
                talk(&format!("GET /x/{n}"), put(&drawn(&mut v1)), put(&second))
            };
            let talks: Vec<Talk> = (0..count).map(one).collect();
            let found = diff(&talks);
            let wanted = drawn(&mut Dice(1))
                .iter()
                .filter(|(n, _)| changed(n, &mut Dice(1)).is_some())
                .count();
            let twice = if name == "html" { 2 } else { 1 };
            let all = found.of(Class::Regression);
            let missed: Vec<_> = drawn(&mut Dice(1))
                .into_iter()
                .map(|(one, _)| one)
                .filter(|one| changed(one, &mut Dice(1)).is_some())
                .filter(|one| {
                    let line = format!("\"{one} =");
                    let named = [
                        format!(".{one} "),
                        format!("x-{one}/"),
                        format!("x-{one} "),
                        format!(":{one} "),
                    ];
                    !all.iter().any(|c| c.contains(&line) || named.iter().any(|n| c.contains(n)))
                })
                .collect();
            assert_eq!(
                all.len(),
                twice * wanted,
                "{name}, {count} samples: {missed:?} missed\n{all:#?}"
            );
        }
    }
}

#[test]
fn a_new_value_in_a_text_hides_no_other_beside_it() {
    let texts: [fn(&mut Dice, u64, &str) -> String; 4] = [
        |dice, n, host| format!("https://{host}.test/o/{}?n={n}", dice.of(HEX, 16)),
        |dice, n, host| format!("{host}: order {} costs {n}.50 EUR", dice.of(CAPITALS, 14)),
        |dice, n, host| format!("[{}] from {host} at {n}", dice.uuid()),
        |dice, n, host| format!("id={};n={n};host={host}", dice.base64(16, true)),
    ];
    for (number, text) in texts.into_iter().enumerate() {
        for (name, put) in PUTS {
            let run = |more: u64, host: &str| {
                let (mut v1, mut v2) = (Dice(3), Dice(4));
                let one = |n: u64| {
                    let of = |dice: &mut Dice, n, host: &str| put(&[("v", text(dice, n, host))]);
                    let both = (of(&mut v1, n, "shop"), of(&mut v2, n + more, host));
                    talk(&format!("GET /x/{n}"), both.0, both.1)
                };
                diff(&(0..40).map(one).collect::<Vec<_>>()).places().len()
            };
            let twice = if name == "html" { 2 } else { 1 };
            assert_eq!(run(0, "shop"), 0, "{number} in {name}");
            assert_eq!(run(1, "shop"), twice, "{number} in {name}: another number");
            assert_eq!(run(0, "store"), twice, "{number} in {name}: another host");
        }
    }
}

/// What stands behind a slash or a hyphen may be of the value before it, as in base64: what v1 has
/// there each time says otherwise.
#[test]
fn a_drawn_value_hides_no_number_that_is_put_together_with_it() {
    let texts: [fn(&str, &str) -> String; 5] = [
        |id, n| format!("https://shop.test/p/red/{id}/{n}"),
        |id, n| format!("/o/{id}/item-{n}?a=1"),
        |id, n| format!("{id}-{n}"),
        |id, n| format!("{n}_{id}"),
        |id, n| format!("order {id}/{n} was placed"),
    ];
    let ids: [fn(&mut Dice) -> String; 4] = [
        |dice| dice.of(BASE62, 21),
        |dice| dice.of(HEX, 32),
        |dice| dice.of(CAPITALS, 16),
        |dice| format!("ch_{}", dice.of(BASE62, 24)),
    ];
    for (text, id) in texts.into_iter().flat_map(|text| ids.map(|id| (text, id))) {
        let run = |other: [&str; 2]| {
            let (mut v1, mut v2) = (Dice(3), Dice(4));
            let one = |n: u64| {
                let of = |dice: &mut Dice, n: &str| {
                    json(format!("{{\"v\":\"{}\"}}", text(&id(dice), n)))
                };
                talk(&format!("GET /x/{n}"), of(&mut v1, other[0]), of(&mut v2, other[1]))
            };
            diff(&(0..10).map(one).collect::<Vec<_>>()).of(Class::Regression).len()
        };
        let shown = text("ID", "5");
        assert_eq!(run(["5", "5"]), 0, "{shown}");
        for other in [["5", "7"], ["55", "7"], ["120", "121"], ["v2", "v3"], ["eu", "us"]] {
            assert!(run(other) > 0, "{shown}: {other:?}");
        }
    }
}

/// Equal requests, so that v1 is seen to vary: that the text as a whole varies excuses no word in
/// it that v1 never had.
#[test]
fn what_v1_varies_hides_no_word_beside_it() {
    let texts: [fn(&mut Dice, &str) -> String; 4] = [
        |dice, word| format!("/{word}/cb/{}", dice.of(HEX, 16)),
        |dice, word| format!("{word}-{}", dice.uuid()),
        |dice, word| format!("s3://bucket/{word}/{}/part-{}", dice.of(HEX, 8), dice.of(BASE62, 12)),
        |dice, word| format!("{word}.{}.eu", dice.of(BASE62, 20)),
    ];
    for (number, text) in texts.into_iter().enumerate() {
        for (name, put) in PUTS {
            let run = |other: Option<&str>| {
                let (mut v1, mut v2) = (Dice(5), Dice(6));
                let one = |n: usize| {
                    let word = if (n / 3).is_multiple_of(2) { "paid" } else { "open" };
                    let of = |dice: &mut Dice, word: &str| put(&[("v", text(dice, word))]);
                    talk("GET /x/all", of(&mut v1, word), of(&mut v2, other.unwrap_or(word)))
                };
                diff(&(0..40).map(one).collect::<Vec<_>>()).of(Class::Regression)
            };
            let (same, other) = (run(None), run(Some("void")));
            assert_eq!(same, [""; 0], "{number} in {name}");
            assert!(!other.is_empty(), "{number} in {name}: another word");
        }
    }
}

#[test]
fn dates_in_every_usual_form_are_noise_where_they_go_with_the_request() {
    // The recording starts at 10:00:00 on the 22nd, the replay a day later.
    let forms: [fn(u32) -> String; 9] = [
        |day| format!("2026-11-{day}T10:00:01Z"),
        |day| format!("202611{day}T100001Z"),
        |day| format!("{day}.11.2026"),
        |day| format!("11/{day}/2026"),
        |day| format!("11/{day}/2026, 10:00 AM"),
        |day| format!("Nov. {day}, 2026, 10 a.m.").replace("10 a", "10:00 a"),
        |day| format!("{} Nov {day} 10:00:01 2026", if day == 22 { "Sun" } else { "Mon" }),
        |day| format!("{day}/Nov/2026:10:00:01 +0000"),
        |day| format!("{}, {day} Nov 2026 10:00:01 GMT", if day == 22 { "Sun" } else { "Mon" }),
    ];
    for form in forms {
        for around in ["", "made on "] {
            let text = |day| format!("{around}{}", form(day));
            for (name, put) in PUTS {
                let run = |v1, v2| {
                    let one = |n| {
                        talk(
                            &format!("GET /x/{n}"),
                            put(&[("v", text(v1))]),
                            put(&[("v", text(v2))]),
                        )
                    };
                    diff(&(0..5).map(one).collect::<Vec<_>>()).places().len()
                };
                assert_eq!(run(22, 23), 0, "{} in {name}", text(22));
                assert!(run(11, 29) > 0, "{} in {name}", text(22));
            }
        }
    }
}

#[test]
fn equal_requests_that_get_random_values_excuse_no_other_form() {
    for (name, put) in PUTS {
        let run = |is_other: bool| {
            let (mut v1, mut v2) = (Dice(51), Dice(52));
            let mut one = |n: usize| {
                let of = |dice: &mut Dice, is_other: bool| {
                    let mut all = drawn(dice);
                    all.retain(|(name, _)| changed_form(name, &mut Dice(1)).is_some());
                    for (name, value) in &mut all {
                        if is_other {
                            *value = changed_form(name, dice).unwrap();
                        }
                    }
                    put(&all)
                };
                let both = (of(&mut v1, false), of(&mut v2, is_other));
                talk(&format!("GET /x/{}", n % 5), both.0, both.1)
            };
            diff(&(0..40).map(&mut one).collect::<Vec<_>>()).of(Class::Regression)
        };
        assert_eq!(run(false), [""; 0], "{name}");
        let mut all = drawn(&mut Dice(1));
        all.retain(|(name, _)| changed_form(name, &mut Dice(1)).is_some());
        let twice = if name == "html" { 2 } else { 1 };
        let found = run(true);
        assert_eq!(found.len(), twice * all.len(), "{name}: {found:#?}");
    }
}

/// Another length, another alphabet or a word in the place of a random value.
fn changed_form(name: &str, dice: &mut Dice) -> Option<String> {
    Some(match name {
        "nano" => dice.of(BASE62, 17),
        "hex-20" => dice.of(HEX, 24),
        "hex-24" => dice.of("0123456789ABCDEF", 24),
        "hex-32" => dice.uuid(),
        "uuid" => dice.of(HEX, 32),
        "base64-32" => dice.base64(24, false),
        "ulid" => dice.of(HEX, 26),
        "capitals-16" => dice.of(BASE62, 16),
        "stripe" => format!("ch_{}", dice.of(BASE62, 14)),
        "nonce" => format!("script-src 'nonce-{}' 'self' 'unsafe-inline'", dice.base64(16, false)),
        "text" => format!("Order {} was taken late by {}", dice.of(CAPITALS, 12), dice.of(HEX, 8)),
        _ => return None,
    })
}

#[test]
fn another_path_before_a_long_random_value_is_found() {
    let links: [fn(&mut Dice, &str) -> String; 4] = [
        |dice, at| format!("https://pay.test/{at}/{}", dice.base64(100, true)),
        |dice, at| format!("/{at}/{}?lang=de", dice.base64(64, true)),
        |dice, at| format!("/o/{at}/{}", dice.of("0123456789ABCDEF-_~", 150)),
        |dice, at| format!("/o?at={at}&s={}", dice.of(&format!("{BASE62}-_~"), 150)),
    ];
    for link in links {
        for (name, put) in PUTS {
            let run = |at: &str| {
                let (mut v1, mut v2) = (Dice(61), Dice(62));
                let mut one = |n| {
                    let both = [link(&mut v1, "carts"), link(&mut v2, at)];
                    let [v1, v2] = both.map(|link| put(&[("v", link)]));
                    talk(&format!("GET /x/{n}"), v1, v2)
                };
                diff(&(0..20).map(&mut one).collect::<Vec<_>>()).places().len()
            };
            let shown = link(&mut Dice(1), "carts");
            assert_eq!(run("carts"), 0, "{shown} in {name}");
            assert!(run("baskets") > 0, "{shown} in {name}");
        }
    }
}

#[test]
fn calls_of_one_path_have_routes_of_their_own() {
    let call = |n: usize, name: &str, v2: u32| {
        let one = talk("POST /", json("{\"n\":1}"), json(format!("{{\"n\":{v2}}}")));
        let field = format!("Api_2012.{name}");
        one.asking("X-Amz-Target", &field).saying(&format!("{{\"k\":{n}}}"))
    };
    let talks: Vec<Talk> =
        (0..20).map(|n| if n % 2 == 0 { call(n, "Get", 1) } else { call(n, "Put", 2) }).collect();
    let found = diff(&talks);
    let routes: Vec<_> =
        found.findings.totals.routes.iter().map(|r| (&*r.route, r.mismatched)).collect();
    assert_eq!(routes, [("POST / Api_2012.Get", 0), ("POST / Api_2012.Put", 10)]);
    assert_eq!(found.places(), ["$.n"]);
    assert_eq!(found.differences[0].route, "POST / Api_2012.Put");
}

#[test]
fn a_cookie_whose_name_is_an_installations_own_is_one_change() {
    let (one, other) = ("SSESS60efd0e1da1c4e095e5c1d9d", "SSESS8035dd95e391b757a988ecdb");
    let run = |name: &str, flag: &str| {
        let (mut v1, mut v2) = (Dice(41), Dice(42));
        let set = |name: &str, dice: &mut Dice, flag: &str| {
            json("{}").with("Set-Cookie", &format!("{name}={}; Path=/{flag}", dice.of(BASE62, 32)))
        };
        let one = |n| talk(&format!("GET /{n}"), set(one, &mut v1, ""), set(name, &mut v2, flag));
        diff(&(0..20).map(one).collect::<Vec<_>>()).of(Class::Regression)
    };
    assert_eq!(run(one, ""), [""; 0]);
    let renamed = run(other, "");
    assert!(renamed.len() == 1 && renamed[0].contains(" renamed "), "{renamed:?}");
    let flagged = run(other, "; Secure");
    assert_eq!(flagged.len(), 2, "{flagged:?}");
    assert!(flagged.iter().any(|one| one.contains(";secure")), "{flagged:?}");
    assert_eq!(run("session", "").len(), 2, "another cookie");
}

#[test]
fn parameters_without_a_name_are_values_of_a_link() {
    let run = |v2: &dyn Fn(usize) -> String| {
        let one = |n: usize| {
            let page = |at: String| {
                answer(200, "text/html", format!("<img src=\"/task.php?id=start&{at}\">"))
            };
            talk(&format!("GET /{n}"), page(format!("{}", 1_796_008_800 + n)), page(v2(n)))
        };
        diff(&(0..20).map(one).collect::<Vec<_>>()).places()
    };
    let found = run(&|_| "logo".to_owned());
    assert!(found.len() == 1 && found[0].ends_with("/img/@src"), "{found:?}");
    assert!(!run(&|n| format!("{}&id=other", 1_796_008_900 + n)).is_empty());
}

#[test]
fn xml_without_a_declaration_is_compared_as_xml_too() {
    let vpc = |id: u32, zone: &str| {
        format!(
            "<CreateVpcResponse xmlns=\"http://ec2.test/doc/\"><vpc><id>{id}</id>\
             <zone>{zone}</zone></vpc></CreateVpcResponse>"
        )
    };
    for (one, other) in [
        ("text/html", "text/xml"),
        ("text/xml", "text/html"),
        ("text/html; charset=utf-8", "text/html"),
        ("text/plain", "application/xml"),
    ] {
        let run = |zone: &str| {
            let v2 = format!("{}\n", vpc(1, zone).replace("><vpc", ">\n  <vpc"));
            let both = talk("POST /", answer(200, one, vpc(1, "a")), answer(200, other, v2));
            let found = diff(&[both]);
            let body = found.findings.clusters.iter().filter(|c| c.place != "content-type");
            body.map(|c| c.place.clone()).collect::<Vec<_>>()
        };
        assert_eq!(run("a"), [""; 0], "{one} {other}");
        assert_eq!(run("b"), ["/CreateVpcResponse/vpc/zone/text()"], "{one} {other}");
    }
}

#[test]
fn one_change_on_many_routes_is_one_cause() {
    let one = |route: &str, n: usize| {
        let v2 = json("{\"n\":1}").with("X-New", "1");
        talk(&format!("GET /{route}/{n}"), json("{\"n\":1}"), v2)
    };
    let mut talks: Vec<Talk> = ["alpha", "beta", "gamma"]
        .into_iter()
        .flat_map(|r| (0..4).map(move |n| one(r, n)))
        .collect();
    talks.push(talk("GET /beta/5", json("{\"n\":1}"), json("{\"n\":2}")));
    let totals = diff(&talks).findings.totals;
    assert_eq!((totals.clusters, totals.causes), (4, 2));
}

#[test]
fn parameters_of_urls_in_values_are_compared_by_name() {
    let url =
        |n: usize, rest: &str| json(format!("{{\"next\":\"https://h.test/o?n={n}&{rest}\"}}"));
    let run = |v1: &str, v2: &str| {
        let one = |n: usize| talk(&format!("GET /x/{n}"), url(n, v1), url(n, v2));
        diff(&(0..6).map(one).collect::<Vec<_>>()).places()
    };
    assert_eq!(run("a=1&b=two", "b=two&a=1"), [""; 0], "in another order");
    assert_eq!(run("a=1&b=two", "b=three&a=1"), ["$.next query:b"]);
    assert_eq!(run("a=1&b=two", "a=1"), ["$.next query:b"]);
    assert_eq!(run("a=1&b=t+w", "a=1&b=t%20w"), [""; 0], "a blank, written in two ways");
    // Base64 that was not escaped has plus signs.
    let (mut v1, mut v2) = (Dice(9), Dice(10));
    let of = |dice: &mut Dice, n| url(n, &format!("sig={}", dice.base64(20, false)));
    let one = |n| talk(&format!("GET /x/{n}"), of(&mut v1, n), of(&mut v2, n));
    assert_eq!(diff(&(0..40).map(one).collect::<Vec<_>>()).places(), [""; 0]);
    let other = talk("GET /x", url(1, "a=1"), json("{\"next\":\"https://i.test/o?n=1&a=1\"}"));
    assert_eq!(diff(&[other]).places(), ["$.next"]);
}

#[test]
fn events_of_a_stream_that_was_left_are_compared_as_far_as_they_go() {
    let stream = |all: &[&str]| {
        let events: String =
            all.iter().map(|data| format!("data: {{\"v\":\"{data}\"}}\n\n")).collect();
        answer(200, "text/event-stream", events + "data: {\"v\"")
    };
    let run = |v1: &[&str], v2: &[&str]| {
        diff(&[talk("GET /events", stream(v1), stream(v2)).left()]).places()
    };
    assert_eq!(run(&["a", "b"], &["a", "b", "c"]), [""; 0], "v2 went on");
    assert_eq!(run(&["a", "b"], &["a"]), [""; 0], "v2 was slower");
    assert_eq!(run(&["a", "b"], &["a", "x", "c"]), ["$[*].data.v"]);
}

/// Values that are drawn anew in texts, in forms that have marks inside; and what means something
/// in the same place.
#[test]
fn values_with_marks_inside_are_values_of_a_text() {
    type Made = fn(&mut Dice) -> String;
    const BCRYPT: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    fn pairs(dice: &mut Dice, count: usize) -> String {
        (0..count).map(|_| dice.of(HEX, 2)).collect::<Vec<_>>().join(":")
    }
    let forms: [(Made, Option<Made>); 5] = [
        (
            |dice| format!("$2b$12${}", dice.of(BCRYPT, 53)),
            Some(|dice| format!("$2b$04${}", dice.of(BCRYPT, 53))),
        ),
        (|dice| pairs(dice, 6), Some(|dice| pairs(dice, 5))),
        (|dice| pairs(dice, 20), None),
        (
            |dice| format!("10.0.0.9:{}", 32_768 + dice.below(28_000)),
            Some(|dice| format!("10.0.0.8:{}", 32_768 + dice.below(28_000))),
        ),
        (
            |dice| format!("ORD-{}-{}", dice.of(CAPITALS, 6), dice.of("0123456789", 4)),
            Some(|dice| format!("INV-{}-{}", dice.of(CAPITALS, 6), dice.of("0123456789", 4))),
        ),
    ];
    for (number, (made, other)) in forms.into_iter().enumerate() {
        let run = |v2: Made, price: &str| {
            let (mut first, mut second) = (Dice(21), Dice(22));
            let text = |value: String, price: &str| format!("for {value}, at {price}.");
            let one = |_| (text(made(&mut first), "7.50 EUR"), text(v2(&mut second), price));
            let all: Vec<_> = (0..30).map(one).collect();
            let talks = thirty("text/plain", |n| all[n].0.clone(), |n| all[n].1.clone());
            diff(&talks).findings.totals.mismatched
        };
        assert_eq!(run(made, "7.50 EUR"), 0, "{number}");
        assert_eq!(run(made, "8.50 EUR"), 30, "{number}: another price");
        if let Some(other) = other {
            assert_eq!(run(other, "7.50 EUR"), 30, "{number}: another form");
        }
    }
}

#[test]
fn ports_that_stay_are_no_noise() {
    let run = |v1: fn(u64) -> u64, v2: fn(u64) -> u64| {
        let text = |port| format!("from 10.0.0.9:{port}");
        let talks = thirty("text/plain", |n| text(v1(n as u64)), |n| text(v2(n as u64)));
        diff(&talks).findings.totals.mismatched
    };
    assert_eq!(run(|n| 40_000 + n * 7, |n| 50_000 + n * 3), 0);
    assert_eq!(run(|_| 40_000, |_| 50_000), 30, "a server's port");
    assert_eq!(run(|n| 40_000 + n % 3, |n| 50_000 + n % 3), 30, "three servers' ports");
    assert_eq!(run(|n| 8_000 + n, |n| 9_000 + n), 30, "ports that nobody draws");
}

/// Where other words stand beside a new id in some answers, these count and the others do not.
#[test]
fn an_answer_with_other_words_makes_no_other_count() {
    for every in [2, 3, 5, 9] {
        let (mut first, mut second) = (Dice(31), Dice(32));
        let all: Vec<_> = (0..30)
            .map(|n| {
                let sign = if n % every == 0 { '$' } else { '€' };
                let text = |dice: &mut Dice, sign| format!("no {}, {sign}10", dice.of(HEX, 16));
                (text(&mut first, '€'), text(&mut second, sign))
            })
            .collect();
        let talks = thirty("text/plain", |n| all[n].0.clone(), |n| all[n].1.clone());
        let changed = (0..30).filter(|n| n % every == 0).count() as u64;
        assert_eq!(diff(&talks).findings.totals.mismatched, changed, "every {every}th");
    }
}

#[test]
fn a_rename_is_approved_where_the_value_is_the_same_and_keeps_its_name() {
    let v2 = |n: usize| n + usize::from(n.is_multiple_of(5));
    let talks = thirty(
        "application/json",
        |n| format!(r#"{{"id": 7, "item_count": {n}}}"#),
        |n| format!(r#"{{"id": 7, "items_count": {}}}"#, v2(n)),
    );
    let clusters = |found: &spoken::Found, class: Class| -> Vec<Cluster> {
        found.findings.clusters.iter().filter(|cluster| cluster.class == class).cloned().collect()
    };
    let before = clusters(&diff(&talks), Class::Regression);
    assert_eq!(before.len(), 1, "{before:#?}");
    assert_eq!((&*before[0].shape, before[0].exchanges), ("renamed item_count→items_count", 30));
    let approved = vec![Approval::of(&before[0], "a new name", None)];
    let found = spoken::diff_approved(&talks, Approvals { approved, ..Approvals::default() });
    let after = clusters(&found, Class::Approved);
    assert_eq!(after.len(), 1, "{after:#?}");
    assert_eq!((&after[0].id, after[0].exchanges), (&before[0].id, 24));
    // A value that changed under the new name is no rename, and has its own clusters.
    let wrong = clusters(&found, Class::Regression);
    let mut told: Vec<_> = wrong.iter().map(|one| (&*one.place, &*one.shape)).collect();
    told.sort_unstable();
    assert_eq!(told, [("$.item_count", "removed"), ("$.items_count", "added")]);
    assert!(wrong.iter().all(|one| one.exchanges == 6), "{wrong:#?}");
    assert_eq!(found.findings.totals.mismatched, 6);
}
