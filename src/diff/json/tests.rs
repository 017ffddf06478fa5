//! What counts as one change, and where it is.

use super::*;
use crate::diff::bindings::Bindings;
use crate::diff::rules::{DiffConfig, RouteRules, Rules};
use crate::message::Request;

fn changes_by(rules: &RouteRules, a: &str, b: &str) -> Vec<String> {
    let request = Request::default();
    let context = Context { rules, ..Context::plain(&request) };
    let mut sink = Sink::default();
    assert!(compare(&context, a.as_bytes(), b.as_bytes(), &mut sink), "{a} {b}");
    sink.changes.iter().map(|change| format!("{} {}", change.place, change.label)).collect()
}

fn changes(a: &str, b: &str) -> Vec<String> {
    changes_by(&RouteRules::default(), a, b)
}

#[test]
fn equal_values_in_other_words_are_no_change() {
    for (a, b) in [
        (r#"{"a":1,"b":[1,2]}"#, r#" { "b" : [1.0, 2e0], "a":1 } "#),
        (r#""\u00e9\/""#, r#""é/""#),
        ("-0", "0"),
        ("[]", "[ ]"),
        ("\u{feff}{}", "{}"),
    ] {
        assert_eq!(changes(a, b), [""; 0], "{a} {b}");
    }
}

#[test]
fn one_thing_changed_is_one_change() {
    for (a, b, expected) in [
        (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, &["$.a changed"][..]),
        (r#"{"a":null}"#, r#"{}"#, &["$.a removed"]),
        (r#"{"a":null}"#, r#"{"a":"x"}"#, &["$.a null→string"]),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, &["$.a number→string"]),
        (r#"{"a":{"b":{"c":1,"d":2}}}"#, r#"{"a":{}}"#, &["$.a.b removed"]),
        (
            r#"{"item_count":3,"x":0}"#,
            r#"{"items_count":3,"x":0}"#,
            &["$.item_count renamed item_count→items_count"],
        ),
        (r#"{"a":3}"#, r#"{"b":4}"#, &["$.a removed", "$.b added"]),
        (r#"{"a":1,"b":1}"#, r#"{"aa":1,"bb":1}"#, &["$.a renamed a→aa", "$.b renamed b→bb"]),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, &["$.a removed"]),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":3}"#, &["$.a changed"]),
        (r#""\ud800""#, r#""\udfff""#, &["$ changed"]),
        ("[1,2,3]", "[3,1,2]", &["$ reordered"]),
        ("[1,2,3]", "[1,9,3]", &["$[1] changed"]),
        ("[1,2,3]", "[0,1,2,3]", &["$[0] added"]),
        ("[1,2,3,4]", "[1,4]", &["$[1] removed", "$[2] removed"]),
        ("[1,1]", "[1]", &["$[1] removed"]),
        (
            r#"[{"id":1,"p":5},{"id":2,"p":6}]"#,
            r#"[{"id":2,"p":6},{"id":1,"p":7}]"#,
            &["$[0].p changed", "$ reordered"],
        ),
        (
            r#"[{"id":1,"p":5},{"id":2,"p":6}]"#,
            r#"[{"id":0,"p":1},{"id":1,"p":5},{"id":2,"p":6}]"#,
            &["$[0] added"],
        ),
        (
            r#"[{"id":1},{"id":2}]"#,
            r#"[{"id":8},{"id":9}]"#,
            &["$[0].id changed", "$[1].id changed"],
        ),
    ] {
        assert_eq!(changes(a, b), expected, "{a} {b}");
    }
}

#[test]
fn rules_for_arrays() {
    let config: DiffConfig = toml::from_str(
        "[[match]]\npath = \"$.tags\"\nunordered = true\n[[match]]\npath = \"$.rows\"\n\
         by_key = \"nr\"\n[[ignore]]\npath = \"$.at\"",
    )
    .unwrap();
    let rules = Rules::new(&config).unwrap().of_route("GET /");
    for (a, b, expected) in [
        (r#"{"tags":[1,2,3]}"#, r#"{"tags":[3,2,1]}"#, &[][..]),
        (r#"{"tags":[1,2,3]}"#, r#"{"tags":[3,2,4]}"#, &["$.tags[0] changed"]),
        (
            r#"{"rows":[{"nr":1,"a":1},{"nr":2,"a":2}]}"#,
            r#"{"rows":[{"nr":2,"a":2},{"nr":1,"a":3}]}"#,
            &["$.rows[0].a changed"],
        ),
        (r#"{"at":{"x":1}}"#, r#"{"at":{"x":2}}"#, &[]),
    ] {
        assert_eq!(changes_by(&rules, a, b), expected, "{a} {b}");
    }
}

#[test]
fn hostile_texts_are_left_to_others_without_a_panic() {
    let request = Request::default();
    let context = Context::plain(&request);
    let deep = "[".repeat(1_000_000);
    for text in [deep.as_str(), "", "{\"a\":NaN}", "\u{0}"] {
        assert!(!compare(&context, text.as_bytes(), b"{}", &mut Sink::default()));
    }
    let many = format!("[{}]", vec!["1"; 100_000].join(","));
    let other = many.replace('1', "2");
    let mut sink = Sink::default();
    assert!(compare(&context, many.as_bytes(), other.as_bytes(), &mut sink));
    assert_eq!((sink.changes.len(), sink.more), (crate::diff::change::MAX_CHANGES, 100_000 - 500));
}

#[test]
fn the_replays_own_marker_is_no_addition() {
    for name in ["X-Shadowtap-Replay", "x-shadowtap-replay", "HTTP_X_SHADOWTAP_REPLAY"] {
        assert!(is_marker(name), "{name}");
    }
    assert!(
        !is_marker("shadowtap-replay")
            && !is_marker("é-shadowtap-replay")
            && !is_marker("x-shadowtap-replays")
    );
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let state = "a=b,shadowtap=000000000000000c0000000300000001";
    assert!(is_own_trace("Traceparent", context) && is_own_trace("HTTP_TRACESTATE", state));
    for (name, value) in
        [("traceparent", "none"), ("Tracestate", "a=b"), ("parent", context), ("trace_id", context)]
    {
        assert!(!is_own_trace(name, value), "{name}: {value}");
    }
}

/// Two objects, arrays of objects, or arrays of scalars of `n` members that have little in common.
fn adversaries(n: usize) -> Vec<(String, String)> {
    let joined = |member: &dyn Fn(usize) -> String| -> String {
        (0..n).map(member).collect::<Vec<_>>().join(",")
    };
    let object = |name: &str, value: &dyn Fn(usize) -> usize| {
        format!("{{{}}}", joined(&|i| format!("\"{name}{i}\":{}", value(i))))
    };
    let array = |element: &dyn Fn(usize) -> String| format!("[{}]", joined(element));
    vec![
        (object("k", &|i| i), object("j", &|i| i)),
        (object("k", &|i| i), object("j", &|i| n - i)),
        (object("k", &|_| 0), object("j", &|_| 0)),
        (object("k", &|i| i % 7), object("j", &|i| i % 5)),
        (object("", &|i| i), object("0", &|i| i + 1)),
        (array(&|i| i.to_string()), array(&|i| (n - i).to_string())),
        (array(&|_| "0".to_owned()), array(&|i| (i % 2).to_string())),
        (
            array(&|i| format!("{{\"id\":{i},\"a\":1}}")),
            array(&|i| format!("{{\"a\":2,\"id\":{}}}", n - i)),
        ),
        (
            array(&|i| format!("[{i},[{i},[{i}]]]")),
            format!("[[],{}]", joined(&|i| format!("[{i},[{i},[0]]]"))),
        ),
    ]
}

#[test]
fn no_object_and_no_array_costs_more_than_n_log_n() {
    for kind in 0..adversaries(1).len() {
        steps::hold_to_n_log_n(500, |n| {
            let (a, b) = &adversaries(n)[kind];
            changes(a, b);
            changes(b, a);
        });
    }
}

#[test]
fn renamings_are_found_among_many_of_one_value() {
    let object = |name: &str| {
        let members: Vec<String> = (0..200).map(|i| format!("\"{name}{i:03}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let found = changes(&object("item_count_"), &object("items_count_"));
    assert_eq!(found.len(), 200);
    for (at, change) in found.iter().enumerate() {
        let expected = format!("renamed item_count_{at:03}→items_count_{at:03}");
        assert!(change.ends_with(&expected), "{change}");
    }
}

#[test]
fn names_that_each_answer_has_anew_are_values_and_what_they_name_is_compared() {
    let map = |names: [&str; 2], states: [&str; 2]| {
        let member = |(name, state): (&str, &str)| format!("\"{name}\":{{\"state\":\"{state}\"}}");
        let members: Vec<_> = names.into_iter().zip(states).map(member).collect();
        format!("{{\"by\":{{{}}}}}", members.join(","))
    };
    for [a, b, c, d] in [
        [
            "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
            "0a1d4fae-7dec-41d0-a765-00a0c91e6bf6",
            "9b8d4fae-7dec-41d0-a765-00a0c91e6bf6",
            "9c2d4fae-7dec-41d0-a765-00a0c91e6bf6",
        ],
        ["f8cfa4d3", "1b3bf1a9", "90c2e77a", "04fa9b1c"],
        [
            "bi0PeJC4LzA6Z4AAhx3pg",
            "TUwrVGVUvoQ2bX9sLk0aZ",
            "h1Ri4bwvWLa4Sz8kP62tZ",
            "x7Kd0qPz2mNcVb5LsWj8e",
        ],
        ["app-de46eff2.js", "app-8492d45b.js", "app-828e839b.js", "app-446bed64.js"],
        [
            "urn:uuid:7487a34c-392f-4e49-9de6-70d3be63c7bb",
            "urn:uuid:0c7f4a09-0053-4b3f-955e-9d3e023ab17e",
            "urn:uuid:3273b83d-a02b-4c79-a092-fea1a9ba2db4",
            "urn:uuid:226cad18-156b-45af-8ada-ece2cd93eb71",
        ],
    ] {
        let v1 = map([a, b], ["open", "paid"]);
        // In whatever order they stand, each thing is found by what it is.
        for v2 in [map([c, d], ["open", "paid"]), map([d, c], ["paid", "open"])] {
            let found = changes(&v1, &v2);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found.iter().all(|one| one.ends_with("~ changed")), "{found:?}");
        }
        let found = changes(&v1, &map([c, d], ["open", "void"]));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|one| one.ends_with(".state changed")), "{found:?}");
    }
    // Words are names.
    for (a, b) in
        [("order_total", "orderTotal"), ("address_line1", "address1"), ("md5hash1", "md5hash2")]
    {
        let found = changes(&map([a, "x"], ["open", "paid"]), &map([b, "x"], ["open", "paid"]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("renamed"), "{found:?}");
    }
}

#[test]
fn header_fields_in_a_body_are_compared_as_header_fields() {
    let batch = |name: &str, value: &str| {
        format!(r#"{{"responses":[{{"status":200,"headers":{{"{name}":"{value}"}}}}]}}"#)
    };
    for (name, a, b) in [
        ("Access-Control-Expose-Headers", "Retry-After, Alert", "alert, Retry-After"),
        ("Date", "Sun, 29 Nov 2026 08:00:00 GMT", "Sun, 29 Nov 2026 09:00:00 GMT"),
        ("X-Request-Id", "a", "b"),
        ("ETag", "\\\"1\\\"", "\\\"2\\\""),
    ] {
        assert_eq!(changes(&batch(name, a), &batch(name, b)), [""; 0], "{name}");
    }
    for (name, a, b) in [
        ("Access-Control-Expose-Headers", "Retry-After, Alert", "Retry-After"),
        ("Content-Type", "text/plain", "text/html"),
        ("ETag", "W/\\\"1\\\"", "\\\"1\\\""),
    ] {
        let place = "$.responses[0].headers";
        let found = changes(&batch(name, a), &batch(name, b));
        assert!(matches!(&found[..], [one] if one.starts_with(place)), "{name} {found:?}");
    }
    // Not of a message.
    assert_eq!(changes(r#"{"Date":"a"}"#, r#"{"Date":"b"}"#), ["$.Date changed"]);
}

#[test]
fn elements_without_the_key_of_the_others_keep_their_turn() {
    let rows = |ids: &[&str]| {
        let row = |id: &&str| match *id {
            "" => r#"{"of":"the root"}"#.to_owned(),
            id => format!(r#"{{"id":"{id}"}}"#),
        };
        format!("[{}]", ids.iter().map(row).collect::<Vec<_>>().join(","))
    };
    assert_eq!(changes(&rows(&["a", "b", "c", ""]), &rows(&["b", "c", ""])), ["$[0] removed"]);
    assert_eq!(changes(&rows(&["", "a", "b"]), &rows(&["", "b", "a"])), ["$ reordered"]);
    // Most have none: it is no key.
    let (a, b) = (rows(&["", "", "", "a"]), rows(&["", "", "", "b"]));
    assert_eq!(changes(&a, &b), ["$[3].id changed"]);
}

#[test]
fn things_of_random_keys_that_nothing_bound_are_the_same_things() {
    let rows = |id: &str, kind: &str| {
        let of = |id: &str, kind: &str| format!(r#"{{"id":"{id}","kind":"{kind}"}}"#);
        [of("a", "x"), of(id, kind), of("b", "x")]
    };
    let (one, two) =
        ("08d6392f-8bcd-405f-9719-566835ee61bf", "cf418beb-a2e6-4ea0-b75a-9ea4282f0678");
    let a = format!("[{}]", rows(one, "y").join(","));
    let [first, own, last] = rows(two, "y");
    let b = format!("[{first},{last},{own}]");
    // Where they stand may follow from their ids.
    assert_eq!(changes(&a, &b), ["$[1].id changed"]);
    // Words are names: one went, another came.
    let a = format!("[{}]", rows("red", "y").join(","));
    let b = format!("[{}]", rows("blue", "y").join(","));
    assert_eq!(changes(&a, &b), ["$[1] removed", "$[1] added"]);
}

#[test]
fn a_time_by_its_parts_is_one_value() {
    let request = Request::default();
    let at = |text: &str| text.parse().expect("a time");
    let context = Context {
        expected_at: at("2026-11-29T14:16:20Z"),
        actual_at: Some(at("2026-11-29T15:40:50Z")),
        ..Context::plain(&request)
    };
    let looks = |a: &str, b: &str| {
        let mut sink = Sink::default();
        assert!(compare(&context, a.as_bytes(), b.as_bytes(), &mut sink));
        let time = |look: &Look| matches!(look, Look::Kind(kind) if kind.is_time());
        sink.changes.iter().map(|c| (c.place.clone(), time(&c.look))).collect::<Vec<_>>()
    };
    let one = |is_time| vec![("$.when".to_owned(), is_time)];
    let of = |parts: &str| format!("{{\"when\":{parts}}}");
    let v1 = of("[2026, 11, 29, 14, 16, 17]");
    assert_eq!(looks(&v1, &of("[2026, 11, 29, 15, 40, 48]")), one(true));
    assert_eq!(looks(&v1, &of("[2026, 11, 29, 15, 40]")), one(true), "without seconds");
    let nanos = of("[2026, 11, 29, 15, 40, 48, 120000000]");
    assert_eq!(looks(&v1, &nanos), one(true));
    let times = looks(&v1, &of("[2031, 11, 29, 15, 40, 48]"));
    assert!(!times.is_empty() && times.iter().all(|time| !time.1), "{times:?}");
    let others = looks(&of("[1, 2, 3, 4, 5, 6]"), &of("[1, 2, 3, 4, 5, 7]"));
    assert_eq!(others, [("$.when[5]".to_owned(), false)]);
}

/// How lists look that name `v1`'s things with `v2`'s ids, which answers issued in this order.
fn looks_of_lists(issued: &[(&str, &str, u32)], a: &str, b: &str) -> Vec<(String, Look)> {
    let bindings = Bindings::of_ids(issued);
    let request = Request::default();
    let context = Context { bound: Some(Bound::new(&bindings, 1)), ..Context::plain(&request) };
    let mut sink = Sink::default();
    assert!(compare(&context, a.as_bytes(), b.as_bytes(), &mut sink));
    let told = |change: &Change| (format!("{} {}", change.place, change.label), change.look);
    sink.changes.iter().map(told).collect()
}

#[test]
fn lists_of_new_ids_have_an_order_or_none() {
    let issued = [("a", "w", 0), ("b", "x", 1), ("c", "y", 2), ("d", "z", 3)];
    let rows = |ids: &[&str], more: &[&str]| {
        let row = |(id, more): (&&str, &&str)| format!(r#"{{"event_id":"{id}","as":"{more}"}}"#);
        let rows: Vec<String> = ids.iter().zip(more).map(row).collect();
        format!("[{}]", rows.join(","))
    };
    let list = |ids: &[&str]| {
        format!("[{}]", ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","))
    };
    let of = |a: &str, b: &str| looks_of_lists(&issued, a, b);
    let shuffled = |sides| vec![("$ reordered".to_owned(), Look::Shuffled(sides))];
    // Elements are known by what is bound, whatever it is called.
    let one = rows(&["a", "c", "b", "d"], &["p", "q", "o", "r"]);
    let other = rows(&["y", "w", "z", "x"], &["q", "p", "r", "o"]);
    assert_eq!(of(&one, &other), shuffled([true; 2]));
    // v1's was in the order in which they were issued; v2's falls by a member.
    let one = rows(&["a", "b", "c", "d"], &["p", "o", "q", "r"]);
    assert_eq!(of(&one, &other), shuffled([false, true]));
    let other = rows(&["z", "y", "w", "x"], &["r", "q", "p", "o"]);
    assert_eq!(of(&one, &other), shuffled([false; 2]));
    assert_eq!(of(&list(&["b", "a", "d", "c"]), &list(&["y", "z", "w", "x"])), shuffled([true; 2]));
    assert_eq!(
        of(&list(&["a", "b", "c", "d"]), &list(&["z", "y", "x", "w"])),
        shuffled([false; 2])
    );
    assert_eq!(of(&list(&["a", "b"]), &list(&["x", "w"])), shuffled([false; 2]), "too few");
    assert_eq!(of(&list(&["b", "a", "c"]), &list(&["x", "w", "y"])), [], "the same");
}

#[test]
fn a_position_in_a_stream_is_like_others_that_were_issued() {
    let issued = [("s9_4_0", "s12_5_1", 0)];
    let of = |a: &str, b: &str| {
        let text = |value: &str| format!(r#"{{"start":"{value}"}}"#);
        looks_of_lists(&issued, &text(a), &text(b))
    };
    let one = |look| vec![("$.start changed".to_owned(), look)];
    assert_eq!(of("s121_40_7", "s99_4_1"), one(Look::Kind(ValueKind::Position)));
    assert_eq!(of("s121_40_7", "t99_4_1"), one(Look::Plain), "another make");
    assert_eq!(of("v1_2_3", "v1_2_4"), one(Look::Plain), "none was issued");
}

#[test]
fn ages_are_borne_out_by_what_is_around_them() {
    let request = Request::default();
    let at = |text: &str| text.parse().expect("a time");
    let context = Context {
        expected_at: at("2026-11-22T10:00:00Z"),
        actual_at: Some(at("2026-11-23T12:00:00Z")),
        ..Context::plain(&request)
    };
    let event = |sent: &str, age: u32| {
        format!(r#"{{"e":[{{"sent":"{sent}","unsigned":{{"age":{age}}}}}],"took":{age}}}"#)
    };
    let looks = |a: &str, b: &str| {
        let mut sink = Sink::default();
        assert!(compare(&context, a.as_bytes(), b.as_bytes(), &mut sink));
        let plain = sink.changes.iter().filter(|change| change.look == Look::Plain);
        plain.map(|change| change.place.clone()).collect::<Vec<_>>()
    };
    let v1 = event("2026-11-22T09:59:59Z", 1_000);
    assert_eq!(looks(&v1, &event("2026-11-23T11:59:57Z", 3_000)), [""; 0]);
    assert_eq!(looks(&v1, &event("2026-11-23T11:59:57Z", 60_000)), ["$.e[0].unsigned.age"]);
}
